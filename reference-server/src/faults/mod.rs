//! Named deviations from the specification, each a decorator around the correct server.
//!
//! A decorator sees every answer once (`response`), everything a frame leads to once (`outputs`), and the start and
//! end of the input; by default it changes nothing. The correct path knows none of them by name.

mod answers;
mod authorization;
mod features;
mod http;
mod process;
mod server_requests;
mod tasks;
mod traffic;
mod unasked;

use std::fmt;

use thiserror::Error;

use crate::conversation::Output;
use crate::envelope::{Frame, Incoming, Request, Response};
use crate::revision::Revision;
use crate::transport::Transport;

/// A way in which the server can be told to break the specification.
pub struct Fault {
    /// What `--fault` takes.
    pub id: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// Where it has an effect.
    pub transports: &'static [Transport],
    /// The revision in which it shows; `None` when any will do.
    pub revision: Option<Revision>,
    /// Further arguments of `touchstone serve` that the fault needs to show.
    pub serve_with: &'static [&'static str],
    /// The requirements of which at least one must be found broken, and none beside them.
    pub caught_by: &'static [&'static str],
    make: fn() -> Box<dyn Decorator>,
}

impl Fault {
    /// A decorator for a new conversation.
    pub(crate) fn decorator(&self) -> Box<dyn Decorator> {
        (self.make)()
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Fault")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The faults, one table for each theme.
const TABLES: [&[Fault]; 8] = [
    process::FAULTS,
    traffic::FAULTS,
    answers::FAULTS,
    features::FAULTS,
    server_requests::FAULTS,
    tasks::FAULTS,
    http::FAULTS,
    authorization::FAULTS,
];

/// All faults.
pub fn faults() -> impl Iterator<Item = &'static Fault> {
    TABLES.into_iter().flatten()
}

/// The fault of that id.
pub(crate) fn find(id: &str) -> Result<&'static Fault, UnknownFault> {
    faults()
        .find(|fault| fault.id == id)
        .ok_or_else(|| UnknownFault { id: id.to_owned() })
}

/// A fault that does not exist.
#[derive(Debug, Error)]
#[error("unknown fault {id:?}; known are {}", faults().map(|fault| fault.id).collect::<Vec<_>>().join(", "))]
pub struct UnknownFault {
    /// What was asked for.
    pub id: String,
}

/// What a frame was, as far as faults care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Unparseable,
    Notification,
    /// As many requests.
    Requests(usize),
    Other,
}

impl Received {
    pub(crate) fn of(frame: &Frame) -> Self {
        match frame {
            Frame::Unparseable(_) => Self::Unparseable,
            Frame::One(Incoming::Notification { .. }) => Self::Notification,
            Frame::One(Incoming::Request(_)) => Self::Requests(1),
            Frame::Array(entries) => Self::Requests(
                entries
                    .iter()
                    .filter(|entry| matches!(entry, Incoming::Request(_)))
                    .count(),
            ),
            Frame::One(_) => Self::Other,
        }
    }
}

/// What a fault changes.
pub(crate) trait Decorator: fmt::Debug + Send {
    /// What is said before the first message.
    fn at_start(&self) -> Vec<Output> {
        Vec::new()
    }

    /// Whether the process stays when its input has ended.
    fn outlives_input(&self) -> bool {
        false
    }

    /// What to take in instead of what came.
    fn incoming(&mut self, incoming: Incoming) -> Incoming {
        incoming
    }

    /// The answer to send instead.
    fn response(&mut self, _request: &Request, response: Response) -> Response {
        response
    }

    /// The outputs of one frame to send instead.
    fn outputs(&mut self, _received: Received, outputs: Vec<Output>) -> Vec<Output> {
        outputs
    }
}

const EVERYWHERE: &[Transport] = &[Transport::Stdio, Transport::StreamableHttp, Transport::HttpSse];
const STDIO: &[Transport] = &[Transport::Stdio];
