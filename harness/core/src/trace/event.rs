//! The kinds of things that can happen on a connection.

use serde::{Deserialize, Serialize};

use super::Payload;
use crate::sse::Oddity;

/// Why an exchange failed that the harness itself broke off.
pub const ENDED_BY_HARNESS: &str = "ended by the harness";

/// Stands in what a server said where it repeated a secret of the tester.
pub const REPEATED_SECRET: &str = "***a secret of the tester***";

/// Stands in what a server said where it repeated something else that it was given in confidence: a variable of its environment, a header field.
pub const REPEATED_CONFIDENCE: &str = "***a value given in confidence***";

/// One timestamped thing in a trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Microseconds since the trace began, on a monotonic clock.
    pub at_us: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// Where a received message came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// A line of the standard output.
    Stdout,
    /// The body of an HTTP response with content type `application/json`.
    JsonBody,
    /// The data of an event in the stream that answers a POST.
    PostStream,
    /// The data of an event in a stream opened by GET.
    GetStream,
}

/// What a sent message is meant to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Intent {
    /// A message that a client may send: it is checked against our own schemas.
    Proper,
    /// A well-formed message whose params a case made wrong on purpose, because a requirement states the answer.
    Deliberate,
    /// A message that a case broke on purpose.
    Broken,
}

/// A process that outlived the server it descends from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Survivor {
    /// Its process id.
    pub pid: u32,
    /// Its command name as the system gives it; text from outside.
    pub name: String,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum EventKind {
    /// The server process was started.
    ProcessStarted {
        /// Its process id.
        pid: u32,
    },
    /// The server process ended.
    ProcessExited {
        /// The exit code, unless a signal ended it.
        code: Option<i32>,
        /// The signal that ended it.
        signal: Option<i32>,
    },
    /// Processes of the server's tree were still alive after it had ended, and were killed.
    Survivors {
        /// The processes.
        processes: Vec<Survivor>,
    },
    /// The harness sent a signal to the server's process group.
    Signalled {
        /// The signal's name, for example `SIGTERM`.
        signal: String,
    },
    /// The harness closed the server's standard input.
    StdinClosed,
    /// The server's standard output ended.
    StdoutClosed,
    /// Bytes of one message (or what stands in its place) left for the server. Framing (newline, HTTP) is not part of the payload.
    Sent {
        /// The bytes.
        payload: Payload,
        /// The HTTP exchange that carried it.
        exchange: Option<u32>,
        /// What it is meant to be.
        intent: Intent,
    },
    /// Bytes of one message (or what stands in its place) came from the server.
    Received {
        /// The bytes, without the newline or the event-stream framing.
        payload: Payload,
        /// Where they came from.
        channel: Channel,
        /// The HTTP exchange that carried it.
        exchange: Option<u32>,
        /// False when the stream ended before the line's newline, or before the event's blank line.
        terminated: bool,
    },
    /// Bytes on the server's standard error.
    Stderr {
        /// The bytes, usually one line.
        payload: Payload,
    },
    /// An HTTP request left for the server.
    HttpRequest {
        /// Number of the exchange within the trace.
        exchange: u32,
        /// The HTTP method.
        method: String,
        /// Path and query.
        target: String,
        /// Header fields in order, secrets replaced.
        headers: Vec<(String, String)>,
    },
    /// The head of an HTTP response arrived.
    HttpResponse {
        /// Number of the exchange.
        exchange: u32,
        /// The status code.
        status: u16,
        /// Header fields in order, as sent.
        headers: Vec<(String, String)>,
    },
    /// A response body that is neither a JSON message nor an event stream, or the part of it that was kept.
    HttpBody {
        /// Number of the exchange.
        exchange: u32,
        /// The bytes that were kept.
        payload: Payload,
    },
    /// An HTTP exchange ended.
    HttpEnded {
        /// Number of the exchange.
        exchange: u32,
        /// Why it failed, when it did: connection refused, reset, deadline, cap.
        failure: Option<String>,
    },
    /// An event of an event stream that is not a message: `endpoint`, a priming event, something unknown.
    StreamEvent {
        /// Number of the exchange.
        exchange: u32,
        /// The event's type field.
        name: Option<String>,
        /// Its data.
        data: Payload,
        /// Its id field.
        id: Option<String>,
        /// Its retry field, in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry: Option<u64>,
        /// False when the stream ended before the event's blank line.
        terminated: bool,
    },
    /// The other fields of an event whose data is the message received just before, where there were any.
    StreamEventFields {
        /// Number of the exchange.
        exchange: u32,
        /// The type field.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// The id field.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The retry field, in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry: Option<u64>,
    },
    /// A comment in an event stream, as servers send to keep a connection alive.
    StreamComment {
        /// Number of the exchange.
        exchange: u32,
        /// What follows the colon.
        payload: Payload,
    },
    /// Something odd about the framing of an event stream.
    StreamOddity {
        /// Number of the exchange.
        exchange: u32,
        /// What was odd.
        oddity: Oddity,
    },
    /// A cap was reached: what follows of this kind is counted, not kept.
    LimitReached {
        /// Which cap, in words.
        limit: String,
    },
    /// The harness stopped waiting for the answer to a request.
    GaveUp {
        /// The request's id token.
        id: String,
        /// How long it had waited, in milliseconds.
        waited_ms: u64,
    },
    /// A case began to use the connection.
    CaseStarted {
        /// `area/name` id of the case.
        case: String,
        /// Whether the case sends what no client may send: then only survival is judged.
        illegal: bool,
    },
    /// The case is done with the connection.
    CaseEnded {
        /// The same id.
        case: String,
    },
}

impl EventKind {
    /// The HTTP exchange that the event belongs to.
    #[must_use]
    pub fn exchange(&self) -> Option<u32> {
        match self {
            Self::Sent { exchange, .. } | Self::Received { exchange, .. } => *exchange,
            Self::HttpRequest { exchange, .. }
            | Self::HttpResponse { exchange, .. }
            | Self::HttpBody { exchange, .. }
            | Self::HttpEnded { exchange, .. }
            | Self::StreamEvent { exchange, .. }
            | Self::StreamEventFields { exchange, .. }
            | Self::StreamComment { exchange, .. }
            | Self::StreamOddity { exchange, .. } => Some(*exchange),
            _ => None,
        }
    }
}
