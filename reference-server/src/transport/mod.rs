//! The three transports. Each one cuts its bytes into frames, feeds them to a conversation and sends what comes back.

mod connection;
pub(crate) mod deviation;
pub(crate) mod event_log;
pub(crate) mod http_server;
pub(crate) mod http_sse;
pub(crate) mod stateless_http;
pub(crate) mod stdio;
pub(crate) mod streamable_http;

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use thiserror::Error;

/// The time, for conversations, which have no clock. A clock that stands before 1970 is as good as none.
pub(crate) fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// In which form requests are answered over Streamable HTTP, which leaves the choice to the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answers {
    /// An answer that is one message and ready at once is JSON unless the client likes event streams better; all else is a stream.
    #[default]
    Fitting,
    /// JSON, however long it takes: no progress, no questions to the client.
    Json,
    /// Event streams, with lines that end with CRLF.
    Events,
}

impl Answers {
    /// The name on command lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fitting => "fitting",
            Self::Json => "json",
            Self::Events => "events",
        }
    }
}

impl fmt::Display for Answers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Answers {
    type Err = UnknownAnswers;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Fitting, Self::Json, Self::Events]
            .into_iter()
            .find(|answers| answers.as_str() == text)
            .ok_or_else(|| UnknownAnswers { text: text.to_owned() })
    }
}

/// A form of answers that does not exist.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("unknown form of answers {text:?}; known are fitting, json and events")]
pub struct UnknownAnswers {
    /// What was asked for.
    pub text: String,
}

/// How client and server are connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Lines on stdin and stdout.
    #[default]
    Stdio,
    /// One endpoint for POST, GET and DELETE (from 2025-03-26, served in every revision).
    StreamableHttp,
    /// An event stream and an endpoint for messages (2024-11-05, served in every revision).
    HttpSse,
}

impl Transport {
    /// The name on command lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::StreamableHttp => "streamable-http",
            Self::HttpSse => "http-sse",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Transport {
    type Err = UnknownTransport;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Stdio, Self::StreamableHttp, Self::HttpSse]
            .into_iter()
            .find(|transport| transport.as_str() == text)
            .ok_or_else(|| UnknownTransport { text: text.to_owned() })
    }
}

/// A transport that does not exist.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("unknown transport {text:?}; known are stdio, streamable-http and http-sse")]
pub struct UnknownTransport {
    /// What was asked for.
    pub text: String,
}
