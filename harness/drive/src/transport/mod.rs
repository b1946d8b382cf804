//! Moving bytes and frames between the harness and a server. A transport knows no MCP method.
//!
//! Every transport is driven the same way: [`Connection::send`] hands over the bytes of one message, [`Connection::receive`] gives back, one by
//! one, what the server sent and what became of the exchanges, in the order of arrival. All of it is recorded by the tap first.

mod http_sse;
mod stdio;
mod streamable_http;

pub use http_sse::HttpSseConnection;
pub use stdio::StdioConnection;
pub use streamable_http::StreamableHttpConnection;

use std::time::Duration;

use touchstone_core::trace::{Channel, Intent, TransportKind};

/// Caps and deadlines of a transport. Every one of them protects the harness from the server.
#[derive(Debug, Clone)]
pub struct TransportLimits {
    /// Longest line on stdout, longest body, longest event of an event stream, in bytes.
    pub message_bytes: usize,
    /// Messages that wait to be received before the reader stops reading.
    pub queue_messages: usize,
    /// Longest time that writing one message may take.
    pub write: Duration,
    /// Longest time to establish a TCP or TLS connection.
    pub connect: Duration,
    /// Longest time from request to response head of an HTTP exchange.
    pub response_head: Duration,
}

impl Default for TransportLimits {
    fn default() -> Self {
        Self {
            message_bytes: 16 * 1024 * 1024,
            queue_messages: 1024,
            write: Duration::from_secs(10),
            connect: Duration::from_secs(5),
            response_head: Duration::from_secs(30),
        }
    }
}

/// What a connection gives back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A message, or bytes that stand where a message should.
    Message {
        /// The bytes, without framing.
        bytes: Vec<u8>,
        /// Index of the event in the trace.
        event: usize,
        /// Where it came from.
        channel: Channel,
        /// The HTTP exchange that carried it.
        exchange: Option<u32>,
    },
    /// The head of an HTTP response arrived.
    Head {
        /// The exchange.
        exchange: u32,
        /// Its status code.
        status: u16,
        /// Index of the event in the trace.
        event: usize,
    },
    /// An HTTP exchange is over: its body was read to the end, or it failed.
    ExchangeEnded {
        /// The exchange.
        exchange: u32,
        /// Why it failed, when it did.
        failure: Option<String>,
    },
    /// The server will send nothing more: its stdout ended, its process exited, its event stream closed.
    Closed {
        /// What happened, in words.
        reason: String,
    },
}

/// A message that was handed to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Index of the event in the trace.
    pub event: usize,
    /// The HTTP exchange that carries it.
    pub exchange: Option<u32>,
}

/// Why bytes could not be handed over.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TransportError {
    /// The server closed its end.
    #[error("the server has closed the connection: {0}")]
    Closed(String),
    /// The server did not take the bytes in time.
    #[error("the server did not read its input within {0:?}")]
    Stalled(Duration),
    /// The operation makes no sense on this transport.
    #[error("{operation} is not possible over {transport}")]
    Unsupported {
        /// What was asked.
        operation: &'static str,
        /// The transport.
        transport: TransportKind,
    },
}

/// An open connection to a server.
pub enum Connection {
    /// Over the standard streams of a process.
    Stdio(StdioConnection),
    /// Over Streamable HTTP.
    StreamableHttp(StreamableHttpConnection),
    /// Over the HTTP+SSE transport of 2024-11-05.
    HttpSse(HttpSseConnection),
}

impl Connection {
    /// Which transport this is.
    #[must_use]
    pub fn kind(&self) -> TransportKind {
        match self {
            Self::Stdio(_) => TransportKind::Stdio,
            Self::StreamableHttp(_) => TransportKind::StreamableHttp,
            Self::HttpSse(_) => TransportKind::HttpSse,
        }
    }

    /// Hands the bytes of one message to the server, framed as the transport demands.
    ///
    /// # Errors
    /// When the server has gone or does not take the bytes in time.
    pub async fn send(&mut self, message: &[u8], intent: Intent) -> Result<Sent, TransportError> {
        match self {
            Self::Stdio(connection) => connection.send(message, intent).await,
            Self::StreamableHttp(connection) => connection.send(message, intent).await,
            Self::HttpSse(connection) => connection.send(message, intent).await,
        }
    }

    /// Waits for what comes next. Cancel-safe: dropping the future loses nothing. `None` once [`Incoming::Closed`] was given.
    pub async fn receive(&mut self) -> Option<Incoming> {
        match self {
            Self::Stdio(connection) => connection.receive().await,
            Self::StreamableHttp(connection) => connection.receive().await,
            Self::HttpSse(connection) => connection.receive().await,
        }
    }
}
