//! Named deviations from the specification, each a decorator around the correct server.
//!
//! A decorator sees every answer once (`response`), everything a frame leads to once (`outputs`), and the start and
//! end of the input; by default it changes nothing. The correct path knows none of them by name.

mod answers;
mod authorization;
mod completion;
mod content;
mod courtesy;
mod declarations;
mod deep;
mod endurance;
mod features;
mod http;
mod identity;
mod leniency;
mod messages;
mod process;
mod prompts;
mod resources;
mod server_requests;
mod shapes;
mod shared;
mod spoil;
mod stateless;
mod tasks;
mod tools;
mod traffic;
mod unasked;
mod unprompted;
mod variants;

use std::fmt;

use thiserror::Error;

use crate::authorization::Deviation;
use crate::conversation::Output;
use crate::envelope::{Frame, Incoming, Request, Response, RpcError};
use crate::revision::Revision;
use crate::stateless::Rule;
use crate::transport::Transport;
use crate::transport::deviation::HttpDecorator;

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
    /// The requirements of which at least one must be found broken, and none beside them. None at all: a correct variant.
    pub caught_by: &'static [&'static str],
    make: fn() -> Box<dyn Decorator>,
}

impl Fault {
    /// A fault that shows over every transport, in the revision that is judged unless told otherwise.
    const fn new(
        id: &'static str,
        summary: &'static str,
        caught_by: &'static [&'static str],
        make: fn() -> Box<dyn Decorator>,
    ) -> Self {
        Self {
            id,
            summary,
            transports: EVERYWHERE,
            revision: None,
            serve_with: &[],
            caught_by,
            make,
        }
    }

    /// The same fault over some transports only.
    const fn over(self, transports: &'static [Transport]) -> Self {
        Self { transports, ..self }
    }

    /// The same fault, shown in a revision of its own.
    const fn under(self, revision: Revision) -> Self {
        Self {
            revision: Some(revision),
            ..self
        }
    }

    /// The same fault of a server with further arguments.
    const fn served_with(self, serve_with: &'static [&'static str]) -> Self {
        Self { serve_with, ..self }
    }

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
const TABLES: &[&[Fault]] = &[
    process::FAULTS,
    traffic::FAULTS,
    answers::FAULTS,
    identity::FAULTS,
    messages::FAULTS,
    declarations::FAULTS,
    features::FAULTS,
    tools::FAULTS,
    content::FAULTS,
    resources::FAULTS,
    prompts::FAULTS,
    completion::FAULTS,
    variants::VARIANTS,
    server_requests::FAULTS,
    unprompted::FAULTS,
    tasks::FAULTS,
    tasks::flow::FAULTS,
    shapes::FAULTS,
    leniency::FAULTS,
    courtesy::FAULTS,
    endurance::FAULTS,
    shared::FAULTS,
    http::requests::FAULTS,
    http::replies::FAULTS,
    http::sessions::FAULTS,
    http::streams::FAULTS,
    http::interruptions::FAULTS,
    http::neighbours::FAULTS,
    http::manners::FAULTS,
    http::legacy::FAULTS,
    authorization::FAULTS,
    stateless::discovery::FAULTS,
    stateless::versions::FAULTS,
    stateless::metadata::FAULTS,
    stateless::caching::FAULTS,
    stateless::rounds::FAULTS,
    stateless::listening::FAULTS,
    stateless::tasks::FAULTS,
    stateless::apps::FAULTS,
    stateless::messages::FAULTS,
    stateless::headers::FAULTS,
    stateless::endpoint::FAULTS,
    stateless::principals::FAULTS,
    stateless::variants::VARIANTS,
];

/// All faults.
pub fn faults() -> impl Iterator<Item = &'static Fault> {
    TABLES.iter().copied().flatten()
}

#[cfg(test)]
#[test]
fn every_fault_has_an_id_of_its_own() {
    let mut ids = std::collections::BTreeSet::new();
    for fault in faults().chain(deep_faults()) {
        assert!(
            ids.insert(fault.id),
            "there are two faults {:?}, and --fault finds one of them",
            fault.id
        );
    }
}

/// Faults that cases need not catch: only campaigns come to them.
pub fn deep_faults() -> impl Iterator<Item = &'static Fault> {
    deep::FAULTS.iter().chain(http::deep::FAULTS)
}

/// The fault of that id.
pub(crate) fn find(id: &str) -> Result<&'static Fault, UnknownFault> {
    faults()
        .chain(deep_faults())
        .find(|fault| fault.id == id)
        .ok_or_else(|| UnknownFault { id: id.to_owned() })
}

/// A fault that does not exist.
#[derive(Debug, Error)]
#[error("unknown fault {id:?}; known are {}", faults().chain(deep_faults()).map(|fault| fault.id).collect::<Vec<_>>().join(", "))]
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

    /// What is said after the last message, once the input has ended (stdio).
    fn at_end(&self) -> Vec<Output> {
        Vec::new()
    }

    /// What a frame leads to instead of being read.
    fn instead(&mut self, _bytes: &[u8]) -> Option<Vec<Output>> {
        None
    }

    /// Whether the process stays when its input has ended.
    fn outlives_input(&self) -> bool {
        false
    }

    /// What it changes about authorization.
    fn authorization(&self) -> Option<&'static Deviation> {
        None
    }

    /// What it changes about HTTP: a new instance for the endpoint and for each session.
    fn http(&self) -> Option<Box<dyn HttpDecorator>> {
        None
    }

    /// Whether the process stays when a signal asks it to end.
    fn outlives_signals(&self) -> bool {
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

    /// What to refuse a request of the stateless era with instead, by the rule that it breaks; `None` lets it pass.
    fn refusal(&mut self, _rule: Rule, _method: &str, error: RpcError) -> Option<RpcError> {
        Some(error)
    }

    /// The outputs of one frame to send instead.
    fn outputs(&mut self, _received: Received, outputs: Vec<Output>) -> Vec<Output> {
        outputs
    }
}

const EVERYWHERE: &[Transport] = &[Transport::Stdio, Transport::StreamableHttp, Transport::HttpSse];
const STREAMABLE_HTTP: &[Transport] = &[Transport::StreamableHttp];
const HTTP_SSE: &[Transport] = &[Transport::HttpSse];
const STDIO: &[Transport] = &[Transport::Stdio];
/// Where everything that the server says takes one way.
const ONE_STREAM: &[Transport] = &[Transport::Stdio, Transport::HttpSse];
