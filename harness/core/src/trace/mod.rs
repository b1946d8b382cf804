//! Everything that crossed the wire of one connection, raw bytes first, append-only.
//!
//! A [`Trace`] belongs to one connection: one server process over stdio, or one HTTP session. Transports append [`Event`]s while bytes
//! pass; nothing is judged then. Monitors read the finished trace, and so does `check --trace` for a recording.
//!
//! On disk a trace is JSON Lines: the header, then one event a line, payloads as text where they are UTF-8 and base64 where not.

mod event;
mod file;
mod payload;
pub mod snapshot;

pub use event::{Channel, ENDED_BY_HARNESS, Event, EventKind, Intent, REPEATED_SECRET, Survivor};
pub use file::TraceFileError;
pub use payload::Payload;

use serde::{Deserialize, Serialize};

/// How bytes travel between client and server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransportKind {
    /// Newline-delimited messages over the standard streams of a child process.
    Stdio,
    /// One HTTP endpoint, answers as JSON or as an event stream (2025-03-26 and later).
    StreamableHttp,
    /// An event stream plus a POST endpoint that it names (2024-11-05).
    HttpSse,
}

impl TransportKind {
    /// Every transport.
    pub const ALL: [Self; 3] = [Self::Stdio, Self::StreamableHttp, Self::HttpSse];

    /// The name used on the command line, in case files and in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::StreamableHttp => "streamable-http",
            Self::HttpSse => "http-sse",
        }
    }

    /// Whether messages travel over HTTP.
    #[must_use]
    pub const fn is_http(self) -> bool {
        !matches!(self, Self::Stdio)
    }
}

impl std::fmt::Display for TransportKind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl std::str::FromStr for TransportKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            format!(
                "unknown transport {text:?}; known are {}",
                Self::ALL.map(Self::as_str).join(", ")
            )
        })
    }
}

/// The recorded life of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// A name unique within the run, for example `2025-06-18/shared`; reports link evidence by it.
    pub name: String,
    /// The transport that carried the bytes.
    pub transport: TransportKind,
    /// What happened, in the order in which it was seen.
    pub events: Vec<Event>,
}

impl Trace {
    /// An empty trace.
    #[must_use]
    pub fn new(name: impl Into<String>, transport: TransportKind) -> Self {
        Self {
            name: name.into(),
            transport,
            events: Vec::new(),
        }
    }

    /// Appends an event and returns its index, by which evidence refers to it.
    pub fn push(&mut self, at_us: u64, kind: EventKind) -> usize {
        self.events.push(Event { at_us, kind });
        self.events.len() - 1
    }
}
