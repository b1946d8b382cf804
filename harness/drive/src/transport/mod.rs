//! Moving bytes and frames between the harness and a server. A transport knows no MCP method.
//!
//! Every transport is driven the same way: [`Connection::send`] hands over the bytes of one message, [`Connection::receive`] gives back, one by
//! one, what the server sent and what became of the exchanges, in the order of arrival. All of it is recorded by the tap first.

pub mod detect;
pub mod http;
mod http_sse;
mod routing;
mod stdio;
mod streamable_http;

pub use detect::{DetectError, detect};
pub use http::{HttpError, RawRequest};
pub use http_sse::{HttpSseConnection, HttpSseError};
pub use routing::{MirroredArguments, Routing};
pub use stdio::{StdioConnection, StdioOptions};
pub use streamable_http::StreamableHttpConnection;

use std::time::Duration;

use touchstone_core::trace::{Channel, Intent, TransportKind};
use url::{Host, Url};

use crate::process::Exit;

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
    /// Longest pause within a response body that is not an event stream.
    pub body_idle: Duration,
    /// Longest time from the head of an event stream to the event that must come first.
    pub first_event: Duration,
    /// Longest time that ending a connection may take.
    pub close: Duration,
    /// Longest head of an HTTP response, in bytes.
    pub head_bytes: usize,
    /// Header fields that an HTTP response may have.
    pub head_fields: usize,
}

impl Default for TransportLimits {
    fn default() -> Self {
        Self {
            message_bytes: 8 * 1024 * 1024,
            queue_messages: 1024,
            write: Duration::from_secs(10),
            connect: Duration::from_secs(5),
            response_head: Duration::from_secs(30),
            body_idle: Duration::from_secs(30),
            first_event: Duration::from_secs(5),
            close: Duration::from_secs(2),
            head_bytes: 256 * 1024,
            head_fields: 512,
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
    /// A request that HTTP itself, or the client, cannot send.
    #[error("the HTTP request cannot be sent: {0}")]
    InvalidRequest(String),
}

impl From<HttpError> for TransportError {
    fn from(error: HttpError) -> Self {
        Self::InvalidRequest(error.to_string())
    }
}

/// The path of a URL with its query, as requests name it.
pub(crate) fn path_and_query(url: &Url) -> &str {
    &url[url::Position::BeforePath..url::Position::AfterQuery]
}

/// Where a server listens over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAddress {
    /// The URL that the tester gave.
    pub url: Url,
    /// Where messages are posted.
    pub endpoint: Url,
    /// The session id that requests carry.
    pub session: Option<String>,
}

impl HttpAddress {
    /// Whether the server listens on a loopback address.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
            None => false,
        }
    }
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

    /// Over stdio, lets messages wait for each other, to be written at once; or no longer, and writes those that wait.
    ///
    /// # Errors
    /// When the server does not read in time.
    pub async fn gather(&mut self, gathers: bool) -> Result<(), TransportError> {
        match self {
            Self::Stdio(connection) => connection.gather(gathers).await,
            Self::StreamableHttp(_) | Self::HttpSse(_) => Ok(()),
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

    /// Where the server listens and what names the session there; `None` over stdio.
    #[must_use]
    pub fn address(&self) -> Option<HttpAddress> {
        match self {
            Self::Stdio(_) => None,
            Self::StreamableHttp(connection) => Some(HttpAddress {
                url: connection.url().clone(),
                endpoint: connection.url().clone(),
                session: connection.session_id(),
            }),
            Self::HttpSse(connection) => Some(HttpAddress {
                url: connection.url().clone(),
                endpoint: connection.endpoint().clone(),
                session: None,
            }),
        }
    }

    /// Sends an HTTP request of a case's own making: the defaults of its method, changed as it says. Gives back the number of the exchange;
    /// what comes of it is received like everything else.
    ///
    /// # Errors
    /// Over stdio, when the connection is closed, and when HTTP cannot carry the request.
    pub fn http_request(&mut self, request: &RawRequest) -> Result<u32, TransportError> {
        match self {
            Self::Stdio(_) => Err(TransportError::Unsupported {
                operation: "an HTTP request",
                transport: TransportKind::Stdio,
            }),
            Self::StreamableHttp(connection) => connection.request_raw(request),
            Self::HttpSse(connection) => connection.request_raw(request),
        }
    }

    /// Breaks off an HTTP exchange, as a client that disconnects does. Its end is received like everything else.
    pub fn abandon(&mut self, exchange: u32) {
        match self {
            Self::Stdio(_) => {}
            Self::StreamableHttp(connection) => connection.abandon(exchange),
            Self::HttpSse(connection) => connection.abandon(exchange),
        }
    }

    /// Opens the stream on which a server may speak by itself. Only Streamable HTTP has one to open; a server need not offer it.
    ///
    /// # Errors
    /// When the connection is closed.
    pub fn open_stream(&mut self) -> Result<(), TransportError> {
        match self {
            Self::StreamableHttp(connection) => connection.open_stream(None).map(|_| ()),
            _ => Ok(()),
        }
    }

    /// Sets or removes the `MCP-Protocol-Version` field of the requests to come. Only Streamable HTTP has one.
    pub fn set_protocol_version(&mut self, version: Option<String>) {
        if let Self::StreamableHttp(connection) = self {
            connection.set_protocol_version(version);
        }
    }

    /// Speaks the stateless era from now on. Over Streamable HTTP messages are mirrored in header fields then, and session ids mean nothing.
    pub fn speak_stateless(&mut self, routing: Routing) {
        if let Self::StreamableHttp(connection) = self {
            connection.set_routing(Some(routing));
        }
    }

    /// Goes back to the era of sessions, so that one that the server has opened is ended as is due there.
    pub fn speak_stateful(&mut self) {
        if let Self::StreamableHttp(connection) = self {
            connection.set_routing(None);
        }
    }

    /// Remembers what listed tools say about header fields.
    pub fn note_tools(&self, tools: &[serde_json::Value]) {
        if let Self::StreamableHttp(connection) = self {
            connection.note_tools(tools);
        }
    }

    /// Hands over exact bytes: over stdio one write for each chunk, with a newline after the last if wanted; over HTTP one body.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub async fn send_chunks(
        &mut self,
        chunks: &[Vec<u8>],
        newline: bool,
        intent: Intent,
    ) -> Result<Sent, TransportError> {
        match self {
            Self::Stdio(connection) => connection.send_chunks(chunks, newline, intent).await,
            other => other.send(&chunks.concat(), intent).await,
        }
    }

    /// Closes the server's standard input.
    ///
    /// # Errors
    /// Over HTTP.
    pub fn close_stdin(&mut self) -> Result<(), TransportError> {
        self.stdio("closing stdin").map(StdioConnection::close_stdin)
    }

    /// Sends a signal to the server's process group.
    ///
    /// # Errors
    /// Over HTTP, and when the signal is unknown or cannot be sent.
    pub fn signal(&mut self, name: &str) -> Result<(), TransportError> {
        self.stdio("a signal")?
            .signal(name)
            .map_err(TransportError::InvalidRequest)
    }

    /// Waits for the server process to end.
    ///
    /// # Errors
    /// Over HTTP.
    pub async fn wait_exit(&mut self, within: Duration) -> Result<Option<Exit>, TransportError> {
        Ok(self.stdio("waiting for the exit")?.wait_exit(within).await)
    }

    /// Gives a server process less time to end by itself.
    pub fn shorten_grace(&mut self, grace: Duration) {
        if let Self::Stdio(connection) = self {
            connection.shorten_grace(grace);
        }
    }

    /// The end of what the server wrote to stderr, where there is a process.
    #[must_use]
    pub fn stderr_tail(&self) -> String {
        match self {
            Self::Stdio(connection) => connection.stderr_tail(),
            _ => String::new(),
        }
    }

    /// Ends the connection properly: the process, or the HTTP session.
    pub async fn close(&mut self) {
        match self {
            Self::Stdio(connection) => connection.close().await,
            Self::StreamableHttp(connection) => connection.close().await,
            Self::HttpSse(connection) => connection.close().await,
        }
    }

    fn stdio(&mut self, operation: &'static str) -> Result<&mut StdioConnection, TransportError> {
        let transport = self.kind();
        match self {
            Self::Stdio(connection) => Ok(connection),
            _ => Err(TransportError::Unsupported { operation, transport }),
        }
    }
}
