//! Faults at the start and the end of the process.

use super::{Decorator, Fault, STDIO};
use crate::conversation::Output;

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        id: "banner",
        summary: "prints a line of text on stdout at the start",
        transports: STDIO,
        revision: None,
        serve_with: &[],
        caught_by: &["transport-stdio/stdout-pure"],
        make: || Box::new(Banner),
    },
    Fault {
        id: "eof-stay",
        summary: "stays alive after the end of stdin until a signal ends it",
        transports: STDIO,
        revision: None,
        serve_with: &[],
        caught_by: &["transport-stdio/exit-on-stdin-close"],
        make: || Box::new(EofStay),
    },
    Fault::new(
        "sigterm-ignored",
        "stays alive after SIGTERM",
        &["transport-stdio/exit-on-sigterm"],
        || Box::new(SigtermIgnored),
    )
    .over(STDIO),
];

/// `sigterm-ignored`: only the end of the input counts.
#[derive(Debug)]
pub(super) struct SigtermIgnored;

impl Decorator for SigtermIgnored {
    fn outlives_signals(&self) -> bool {
        true
    }
}

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
