//! Faults at the start and the end of the process.

use super::Decorator;
use crate::conversation::Output;

/// `banner`: a greeting for people where only messages may be.
#[derive(Debug)]
pub(super) struct Banner;

impl Decorator for Banner {
    fn at_start(&self) -> Vec<Output> {
        vec![Output::Text("Reference server is ready".to_owned())]
    }
}

/// `eof-stay`: the end of the input is ignored.
#[derive(Debug)]
pub(super) struct EofStay;

impl Decorator for EofStay {
    fn outlives_input(&self) -> bool {
        true
    }
}
