//! Opens connections to a target, as many as the run needs.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::time::Duration;

use touchstone_core::jsonrpc::{self, IdToken};
use touchstone_core::revision::{Era, Revision};
use touchstone_core::trace::{Channel, EventKind, Trace, TransportKind};

use super::hint;
use super::protocol::{ClientIdentity, Opening, OpeningProblem, Stateful, protocol_for};
use super::spare::Spares;
use super::{Session, SessionLimits};
use crate::credentials::Secret;
use crate::process::{ProcessOptions, SpawnError};
use crate::tap::{DEFAULT_RUN_BYTES, DEFAULT_TRACE_BYTES, Tap, TraceBudget};
use crate::target::Target;
use crate::transport::{
    Connection, DetectError, HttpError, HttpSseConnection, HttpSseError, MirroredArguments, Routing, StdioOptions,
    StreamableHttpConnection, TransportLimits, detect,
};

/// How connections are made.
#[derive(Debug, Clone)]
pub struct ConnectorOptions {
    /// Caps and deadlines of the transport.
    pub transport: TransportLimits,
    /// Deadlines of the session.
    pub session: SessionLimits,
    /// How server processes are started and ended.
    pub process: ProcessOptions,
    /// Bytes of payload that a trace keeps.
    pub trace_bytes: usize,
    /// Bytes of payload that all traces together keep.
    pub run_bytes: usize,
    /// Texts that must not stand in a trace.
    pub secrets: Vec<Secret>,
}

impl Default for ConnectorOptions {
    fn default() -> Self {
        Self {
            transport: TransportLimits::default(),
            session: SessionLimits::default(),
            process: ProcessOptions::default(),
            trace_bytes: DEFAULT_TRACE_BYTES,
            run_bytes: DEFAULT_RUN_BYTES,
            secrets: Vec::new(),
        }
    }
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The server process could not be started.
    #[error(transparent)]
    Process(#[from] SpawnError),
    /// What listens at the URL is no MCP server, or nothing listens.
    #[error(transparent)]
    Detect(#[from] DetectError),
    /// The HTTP request could not be made.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The event stream is not one.
    #[error(transparent)]
    HttpSse(#[from] HttpSseError),
    /// The connection was made, but the conversation could not be opened.
    #[error("{0}")]
    Handshake(HandshakeFailure),
    /// The target and the transport do not go together.
    #[error("{0}")]
    Mismatch(String),
}

/// A handshake that failed, with what helps to find out why.
#[derive(Debug, Clone)]
pub struct HandshakeFailure {
    /// Whether the server answered with an error, so that another revision may do.
    pub refused: bool,
    /// The versions that it names instead, where it does.
    pub versions: Vec<String>,
    /// Whether the server went away.
    pub ended: bool,
    /// What happened.
    pub reason: String,
    /// The end of what the server wrote to stderr.
    pub stderr: String,
    /// The first thing on stdout that was no message.
    pub stdout: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl fmt::Display for HandshakeFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "no session could be opened: {}", self.reason)
    }
}

/// Makes connections to one target.
pub struct Connector {
    target: Target,
    transport: TransportKind,
    options: ConnectorOptions,
    sessions: Cell<usize>,
    /// Set when a server had to be ended by a signal: the next ones get less time, the finding is made.
    slow_exit: Cell<bool>,
    /// Set when the server has answered: one that listens already needs no time to start any more.
    answered: Cell<bool>,
    budget: TraceBudget,
    spares: Spares,
    /// Which arguments are mirrored in header fields in the stateless era.
    mirrored: MirroredArguments,
    /// What stands for the answer of a server that does not answer what should open a conversation of the stateless era.
    assumed: RefCell<Option<Opening>>,
}

/// Over HTTP the ids of each session of the stateless era begin at a multiple of this: the server cannot tell senders apart.
const IDS_OF_ONE_SESSION: u64 = 1_000_000;

/// Grace after stdin was closed, once it is known that the server does not exit by itself.
const SHORT_GRACE: Duration = Duration::from_millis(500);

impl Connector {
    /// Finds out how to reach the target.
    ///
    /// # Errors
    /// When nothing that speaks MCP answers at the URL.
    pub async fn prepare(target: Target, options: ConnectorOptions) -> Result<Self, ConnectError> {
        let transport = match &target {
            Target::Command(_) => TransportKind::Stdio,
            Target::Url(url) => match url.transport {
                Some(TransportKind::Stdio) => {
                    return Err(ConnectError::Mismatch(
                        "a URL cannot be reached over stdio; give a command after `--` instead".to_owned(),
                    ));
                }
                Some(transport) => transport,
                None => {
                    let client = ClientIdentity::touchstone(Revision::V2025_11_25);
                    let params = Stateful::initialize_params(&client, Revision::V2025_11_25.as_str());
                    let message = jsonrpc::request_bytes(&IdToken::integer(1), "initialize", Some(&params));
                    detect(url, &message, &options.transport).await?
                }
            },
        };
        Ok(Self {
            target,
            transport,
            budget: TraceBudget::new(options.run_bytes),
            options,
            answered: Cell::new(false),
            sessions: Cell::new(0),
            slow_exit: Cell::new(false),
            spares: Spares::default(),
            mirrored: MirroredArguments::default(),
            assumed: RefCell::default(),
        })
    }

    /// The target.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The transport.
    #[must_use]
    pub fn transport(&self) -> TransportKind {
        self.transport
    }

    /// Whether the harness starts the server itself.
    #[must_use]
    pub fn spawns(&self) -> bool {
        matches!(self.target, Target::Command(_))
    }

    /// How many sessions were opened.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.get()
    }

    /// A session on which nothing was said yet; `name` names its trace.
    ///
    /// # Errors
    /// When the server cannot be started or reached.
    pub async fn session(
        &self,
        name: &str,
        revision: Revision,
        client: ClientIdentity,
    ) -> Result<Session, ConnectError> {
        let stateless = revision.era() == Era::Stateless;
        if stateless && self.transport == TransportKind::HttpSse {
            let message = format!("revision {revision} is not spoken over HTTP+SSE");
            return Err(ConnectError::Mismatch(message));
        }
        let protocol = protocol_for(revision, client);
        let (mut connection, tap) = self.connection(name).await?;
        let number = self.sessions.get() + 1;
        self.sessions.set(number);
        if stateless {
            connection.speak_stateless(Routing::new(
                revision.as_str(),
                MirroredArguments::clone(&self.mirrored),
            ));
        }
        let mut limits = self.options.session;
        if self.answered.get() && !self.spawns() {
            limits.start = limits.start.min(limits.request);
        }
        let mut session = Session::new(connection, tap, revision, protocol, limits);
        if stateless {
            if self.transport.is_http() {
                session.count_from(number as u64 * IDS_OF_ONE_SESSION + 1);
            }
            if let Some(opening) = &*self.assumed.borrow() {
                session.assume(opening.clone());
            }
        }
        Ok(session)
    }

    /// Sessions of the stateless era are taken for opened from now on, by a server that does not answer what should open them.
    pub fn assume(&self, opening: Opening) {
        *self.assumed.borrow_mut() = Some(opening);
    }

    /// How far an attempt comes to open a session over HTTP+SSE, whose connection can fail after much was said.
    ///
    /// # Errors
    /// When the target is reached in another way.
    pub async fn attempt(&self, name: &str, revision: Revision, client: ClientIdentity) -> Result<Trace, ConnectError> {
        let protocol = protocol_for(revision, client);
        let (Target::Url(url), TransportKind::HttpSse) = (&self.target, self.transport) else {
            return Err(ConnectError::Mismatch("only for HTTP+SSE".to_owned()));
        };
        let tap = self.tap(name);
        if let Ok(connection) = HttpSseConnection::open(url, &self.options.transport, tap.clone()).await {
            let connection = Connection::HttpSse(connection);
            let mut session = Session::new(connection, tap.clone(), revision, protocol, self.options.session);
            // Whatever came of it stands in the trace.
            let _ = session.open().await;
            session.close().await;
        }
        Ok(tap.snapshot())
    }

    /// The server has answered once.
    pub fn note_answer(&self) {
        self.answered.set(true);
    }

    /// Ends a session properly, and remembers servers that do not end by themselves.
    pub async fn end(&self, session: &mut Session) {
        if self.slow_exit.get() {
            session.connection().shorten_grace(SHORT_GRACE);
        }
        session.close().await;
        let had_to_be_ended = session.tap().read(|trace| {
            trace
                .events
                .iter()
                .any(|event| matches!(&event.kind, EventKind::Signalled { .. }))
        });
        if had_to_be_ended {
            self.slow_exit.set(true);
        }
    }

    /// Ends a session whose handshake failed, and says what is known about why.
    pub async fn failed_handshake(&self, mut session: Session, problem: OpeningProblem) -> ConnectError {
        let stderr = session.connection().stderr_tail();
        let ended = session.closed().is_some();
        session.connection().speak_stateful();
        self.end(&mut session).await;
        let stdout = session.tap().read(|trace| {
            trace.events.iter().find_map(|event| match &event.kind {
                EventKind::Received {
                    payload,
                    channel: Channel::Stdout,
                    ..
                } if !payload.bytes().trim_ascii().is_empty()
                    && !payload.bytes().trim_ascii_start().starts_with(b"{") =>
                {
                    Some(payload.text().into_owned())
                }
                _ => None,
            })
        });
        let hint = hint::for_start_failure(&problem.reason, &stderr, stdout.as_deref());
        ConnectError::Handshake(HandshakeFailure {
            refused: problem.refused,
            versions: problem.versions,
            ended,
            reason: problem.reason,
            stderr,
            stdout,
            hint,
        })
    }

    /// So many more sessions will be opened: processes for them may be started ahead of time.
    pub fn expect_sessions(&self, sessions: usize) {
        self.spares.expect(sessions);
    }

    /// No session will be opened any more.
    pub fn dismiss_spares(&self) {
        self.spares.dismiss();
    }

    /// The tap of a new connection, which hides what must not be shown.
    fn tap(&self, name: &str) -> Tap {
        let secrets = self.options.secrets.iter().map(|secret| secret.expose().to_owned());
        let budget = self.budget.clone();
        Tap::hiding(
            name,
            self.transport,
            self.options.trace_bytes,
            budget,
            secrets.collect(),
        )
    }

    async fn connection(&self, name: &str) -> Result<(Connection, Tap), ConnectError> {
        let limits = &self.options.transport;
        let url = match &self.target {
            Target::Command(command) => {
                let options = StdioOptions {
                    limits: limits.clone(),
                    process: self.options.process.clone(),
                };
                let tap = |name: &str| self.tap(name);
                let (connection, tap) = self.spares.connection(name, command, &options, &tap).await?;
                return Ok((Connection::Stdio(connection), tap));
            }
            Target::Url(url) => url,
        };
        let tap = self.tap(name);
        let connection = match self.transport {
            TransportKind::HttpSse => Connection::HttpSse(HttpSseConnection::open(url, limits, tap.clone()).await?),
            _ => Connection::StreamableHttp(StreamableHttpConnection::open(url, limits, tap.clone())?),
        };
        Ok((connection, tap))
    }
}
