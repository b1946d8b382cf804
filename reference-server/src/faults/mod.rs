//! Named deviations from the specification, each a decorator around the correct server.
//!
//! A decorator sees every answer once (`response`), everything a frame leads to once (`outputs`), and the start and
//! end of the input; by default it changes nothing. The correct path knows none of them by name.

mod answers;
mod process;
mod traffic;

use std::fmt;

use thiserror::Error;

use crate::conversation::Output;
use crate::envelope::{Frame, Incoming, Request, Response};
use crate::transport::Transport;

/// A way in which the server can be told to break the specification.
pub struct Fault {
    /// What `--fault` takes.
    pub id: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// Where it has an effect.
    pub transports: &'static [Transport],
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

/// All faults.
pub fn faults() -> &'static [Fault] {
    &FAULTS
}

/// The fault of that id.
pub(crate) fn find(id: &str) -> Result<&'static Fault, UnknownFault> {
    FAULTS
        .iter()
        .find(|fault| fault.id == id)
        .ok_or_else(|| UnknownFault { id: id.to_owned() })
}

/// A fault that does not exist.
#[derive(Debug, Error)]
#[error("unknown fault {id:?}; known are {}", FAULTS.iter().map(|fault| fault.id).collect::<Vec<_>>().join(", "))]
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

static FAULTS: [Fault; 10] = [
    Fault {
        id: "banner",
        summary: "prints a line of text on stdout at the start",
        transports: STDIO,
        caught_by: &["transport-stdio/stdout-pure"],
        make: || Box::new(process::Banner),
    },
    Fault {
        id: "log-line",
        summary: "prints a line of text on stdout after every third request",
        transports: STDIO,
        caught_by: &["transport-stdio/stdout-pure", "transport-stdio/exit-quiet"],
        make: || Box::new(traffic::LogLine::default()),
    },
    Fault {
        id: "id-stringify",
        summary: "turns number ids into strings in answers",
        transports: EVERYWHERE,
        caught_by: &["base-protocol/response-id-type"],
        make: || Box::new(answers::IdStringify),
    },
    Fault {
        id: "dup-response",
        summary: "sends every response twice",
        transports: EVERYWHERE,
        caught_by: &["base-protocol/request-answered-once"],
        make: || Box::new(traffic::DupResponse),
    },
    Fault {
        id: "reply-notif",
        summary: "answers notifications",
        transports: EVERYWHERE,
        caught_by: &["base-protocol/notification-no-response"],
        make: || Box::new(traffic::ReplyNotif),
    },
    Fault {
        id: "missing-is-error",
        summary: "leaves isError out of the results of tools that failed",
        transports: EVERYWHERE,
        caught_by: &[
            "tools/input-validated",
            "tools/input-type-validated",
            "tools/input-additional-validated",
            "tools/hostile-arguments",
            "tools/output-schema-structured-present",
        ],
        make: || Box::new(answers::MissingIsError),
    },
    Fault {
        id: "die-malformed",
        summary: "exits with code 1 on a message that is not JSON",
        transports: EVERYWHERE,
        caught_by: &["base-protocol/survives-garbage"],
        make: || Box::new(traffic::DieMalformed),
    },
    Fault {
        id: "schema-invalid-result",
        summary: "gives numbers for descriptions in tools/list",
        transports: EVERYWHERE,
        caught_by: &["tools/description-string"],
        make: || Box::new(answers::SchemaInvalidResult),
    },
    Fault {
        id: "eof-stay",
        summary: "stays alive after the end of stdin until a signal ends it",
        transports: STDIO,
        caught_by: &["transport-stdio/exit-on-stdin-close"],
        make: || Box::new(process::EofStay),
    },
    Fault {
        id: "cap-lie",
        summary: "declares prompts but does not have their methods",
        transports: EVERYWHERE,
        caught_by: &["base-protocol/features-advertised"],
        make: || Box::new(answers::CapLie),
    },
];
