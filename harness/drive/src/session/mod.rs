//! One conversation with a server under one revision: handshake, ids, answers, requests of the server.
//!
//! ```text
//! cases ──► Session ──► Connection (transport)
//!             │  ▲
//!             │  └── inbox: notifications and whatever else came meanwhile
//!             └───── Protocol: what the era adds to messages (handshake or metadata, probe)
//! ```
//!
//! [`Session`] owns ids, deadlines and the pairing of answers, whatever the era. What differs between eras is behind [`Protocol`]:
//! [`Stateful`] opens with `initialize`; [`Stateless`] adds metadata to every request instead.

mod answer;
mod connect;
mod exact;
mod exchange;
mod hint;
mod intake;
mod protocol;
mod reply;
mod rounds;
mod spare;
mod stateless;
mod waiting;

pub use answer::{Answer, Outcome};
pub use connect::{ConnectError, Connector, ConnectorOptions, HandshakeFailure};
pub use exchange::Until;
pub use protocol::{ClientIdentity, Opening, OpeningProblem, Protocol, Stateful, protocol_for};
pub use reply::ReplyPolicy;
pub use rounds::Manner;
pub use stateless::{CLIENT_CAPABILITIES, CLIENT_INFO, PROTOCOL_VERSION, Stateless};

use exchange::{Ended, exchange_never_ended};
use rounds::Asked;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use touchstone_core::jsonrpc::{self, IdToken};
use touchstone_core::revision::{Era, Revision};
use touchstone_core::trace::{ENDED_BY_HARNESS, EventKind, Intent};

use crate::tap::Tap;
use crate::transport::{Connection, Sent, TransportError};

/// Deadlines of a session.
#[derive(Debug, Clone, Copy)]
pub struct SessionLimits {
    /// Longest wait for the first answer of a fresh server: interpreters and package runners may need many seconds.
    pub start: Duration,
    /// Longest wait for any other answer.
    pub request: Duration,
    /// How long something unexpected, such as an answer to a notification, is waited for after a liveness probe was answered.
    pub settle: Duration,
    /// Messages that may wait unread before the oldest are dropped.
    pub inbox: usize,
    /// A tool whose call took longer than this is called by no further item of a `for-each`: its work is long, and every call would cost as much.
    pub slow_call: Duration,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(60),
            request: Duration::from_secs(10),
            settle: Duration::from_millis(20),
            inbox: 4096,
            slow_call: Duration::from_secs(2),
        }
    }
}

impl SessionLimits {
    /// The same limits, and no tool is passed over for being slow: what is sent must not depend on how busy the machine is where it is compared
    /// with what was sent before.
    #[must_use]
    pub fn repeatable(self) -> Self {
        Self {
            slow_call: Duration::MAX,
            ..self
        }
    }
}

/// A message from the server that answers nothing we wait for.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Index of the event in the trace.
    pub event: usize,
    /// The message, or null when the bytes are no JSON.
    pub value: Value,
    /// Its method, if it is a notification or request.
    pub method: Option<String>,
    /// Its id token, if it has one.
    pub id: Option<IdToken>,
}

/// A request that was sent and not answered yet.
#[derive(Debug, Clone)]
pub struct Pending {
    /// Its id.
    pub id: IdToken,
    /// Where it was sent.
    pub sent: Sent,
    /// When it was sent.
    pub since: Instant,
}

/// An open conversation.
pub struct Session {
    connection: Connection,
    tap: Tap,
    revision: Revision,
    protocol: Box<dyn Protocol>,
    limits: SessionLimits,
    replies: ReplyPolicy,
    next_id: u64,
    opening: Option<Opening>,
    /// Ids of requests that wait for their answers.
    outstanding: Vec<IdToken>,
    /// The requests of the stateless era, by id.
    asked: BTreeMap<String, Asked>,
    /// Requests that were sent again with input, by the id that they had before.
    retried: BTreeMap<String, Pending>,
    /// Ids that were answered: a second answer to one of them answers nothing else.
    answered: BTreeSet<String>,
    answers: Vec<Arrival>,
    inbox: Vec<Arrival>,
    statuses: BTreeMap<u32, u16>,
    ended: BTreeMap<u32, Ended>,
    /// Exchanges that went on in another one, after their stream had broken off.
    resumed: BTreeMap<u32, u32>,
    closed: Option<String>,
    answered_once: bool,
    /// Requests that were given up one after the other.
    given_up: usize,
    /// Things that came after the deadline of the wait, one after the other.
    overtime: usize,
    /// Tools that take their time, and how long one call was waited for.
    slow_tools: BTreeMap<String, Duration>,
    /// The server does not read its input: replies to it are put in line, and nobody waits.
    replies_wait: bool,
}

/// Why a server is not listened to any more that floods the harness.
const TOO_MUCH: &str = "the server sent more than can be kept, and is not listened to any more";
/// How long an answer may come on another stream, once the one on which it was due has ended without it.
const ELSEWHERE: Duration = Duration::from_millis(200);

impl Session {
    /// A session over a connection on which nothing was said yet.
    #[must_use]
    pub fn new(
        connection: Connection,
        tap: Tap,
        revision: Revision,
        protocol: Box<dyn Protocol>,
        limits: SessionLimits,
    ) -> Self {
        let replies = ReplyPolicy::new(protocol.client_capabilities());
        Self {
            connection,
            tap,
            revision,
            protocol,
            limits,
            replies,
            next_id: 1,
            opening: None,
            outstanding: Vec::new(),
            asked: BTreeMap::new(),
            retried: BTreeMap::new(),
            answered: BTreeSet::new(),
            answers: Vec::new(),
            inbox: Vec::new(),
            statuses: BTreeMap::new(),
            ended: BTreeMap::new(),
            resumed: BTreeMap::new(),
            closed: None,
            answered_once: false,
            given_up: 0,
            overtime: 0,
            slow_tools: BTreeMap::new(),
            replies_wait: false,
        }
    }

    /// Takes up the version that was agreed on in a handshake made by hand, so that HTTP requests carry it from then on.
    pub fn take_up_version(&mut self, version: &str) {
        let header = version
            .parse()
            .ok()
            .and_then(|revision| self.protocol.version_header(revision));
        if header.is_some() {
            self.connection.set_protocol_version(header);
        }
    }

    /// Longest wait for what a tool does, which is its own affair, unlike the answers of the server itself.
    #[must_use]
    pub fn patience_with_tools(&self) -> Duration {
        self.limits.request * 3
    }

    /// Notes that a call of this tool was waited for so long, if that is long.
    pub fn note_waited(&mut self, name: &str, waited: Duration) {
        if waited > self.limits.slow_call {
            self.slow_tools.insert(name.to_owned(), waited);
        }
    }

    /// How long a call of this tool was waited for, if that was noted.
    #[must_use]
    pub fn slow_tool(&self, name: &str) -> Option<Duration> {
        self.slow_tools.get(name).copied()
    }

    /// Opens the conversation as the era demands.
    ///
    /// # Errors
    /// When the server gives no usable answer.
    pub async fn open(&mut self) -> Result<Opening, OpeningProblem> {
        if let Some(opening) = &self.opening {
            return Ok(opening.clone());
        }
        let Some((method, params)) = self.protocol.opening_request(self.revision) else {
            let opening = Opening::default();
            self.opening = Some(opening.clone());
            return Ok(opening);
        };
        let answer = self.request(&method, Some(params), None).await;
        let opening = self.protocol.opened(self.revision, &answer)?;
        if let Some(revision) = opening.revision {
            self.revision = revision;
        }
        if let Some(header) = self.protocol.version_header(self.revision) {
            self.connection.set_protocol_version(Some(header));
        }
        if let Some(method) = self.protocol.opening_notification() {
            // Over HTTP every message is a request of its own: the next one must not overtake this one.
            let sent = self.notify(&method, None).await;
            let sent = sent.map_err(|error| OpeningProblem::lost(error.to_string()))?;
            let deadline = Instant::now() + self.limits.request;
            while let Some(exchange) = sent.exchange.filter(|exchange| !self.ended.contains_key(exchange)) {
                if self.closed.is_some() || !self.pump(deadline).await {
                    exchange_never_ended(&self.tap, exchange);
                    break;
                }
            }
        }
        if self.protocol.listens() {
            // What a server says by itself comes on this stream; one that has none answers 405, and that is fine.
            let opened = self.connection.open_stream();
            opened.map_err(|error| OpeningProblem::lost(error.to_string()))?;
        }
        self.opening = Some(opening.clone());
        Ok(opening)
    }

    /// Takes the session for opened without asking the server, which does not answer what should open it.
    pub fn assume(&mut self, opening: Opening) {
        self.opening = Some(opening);
    }

    /// Counts ids from this number on, so that they differ from those of other sessions.
    pub fn count_from(&mut self, first: u64) {
        self.next_id = self.next_id.max(first);
    }

    /// The era in use.
    #[must_use]
    pub fn era(&self) -> Era {
        self.protocol.era()
    }

    /// What the era adds to the `_meta` of every request.
    #[must_use]
    pub fn meta(&self) -> serde_json::Map<String, Value> {
        self.protocol.meta()
    }

    /// The method of the cheapest request that is always valid.
    #[must_use]
    pub fn probe_method(&self) -> &'static str {
        self.protocol.probe().0
    }

    /// What the server said of itself when the session was opened.
    #[must_use]
    pub fn opening(&self) -> Option<&Opening> {
        self.opening.as_ref()
    }

    /// The revision in use.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The trace.
    #[must_use]
    pub fn tap(&self) -> &Tap {
        &self.tap
    }

    /// The connection below.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Why the server is gone, when it is.
    #[must_use]
    pub fn closed(&self) -> Option<&str> {
        self.closed.as_deref()
    }

    /// How many requests were left unanswered since the last that was answered.
    #[must_use]
    pub fn given_up(&self) -> usize {
        self.given_up
    }

    /// How requests of the server are answered.
    pub fn replies(&mut self) -> &mut ReplyPolicy {
        &mut self.replies
    }

    /// The identity that the client shows.
    #[must_use]
    pub fn client(&self) -> ClientIdentity {
        self.protocol.client()
    }

    /// Sends a request and waits for its answer.
    pub async fn request(&mut self, method: &str, params: Option<Value>, within: Option<Duration>) -> Answer {
        let id = self.fresh_id();
        match self.start(&id, method, params).await {
            Ok(pending) => self.finish(&pending, within).await,
            Err(error) => self.failed(&error),
        }
    }

    /// The next unused id.
    pub fn fresh_id(&mut self) -> IdToken {
        let id = IdToken::integer(self.next_id);
        self.next_id += 1;
        id
    }

    /// Sends a request with an exact id and does not wait.
    ///
    /// # Errors
    /// When it cannot be handed over.
    pub async fn start(
        &mut self,
        id: &IdToken,
        method: &str,
        params: Option<Value>,
    ) -> Result<Pending, TransportError> {
        self.start_with(id, method, params, Intent::Proper).await
    }

    /// Sends a request with an exact id that is meant to be something special, and does not wait.
    ///
    /// # Errors
    /// When it cannot be handed over.
    pub async fn start_with(
        &mut self,
        id: &IdToken,
        method: &str,
        params: Option<Value>,
        intent: Intent,
    ) -> Result<Pending, TransportError> {
        self.start_in(id, method, params, &Manner::from(intent)).await
    }

    /// Waits for the answer of a request.
    pub async fn finish(&mut self, pending: &Pending, within: Option<Duration>) -> Answer {
        let mut pending = pending.clone();
        loop {
            let answer = self.answer_to(&pending, within).await;
            self.given_up = match &answer {
                Some(answer) if answer.outcome == Outcome::Silence => self.given_up + 1,
                _ => 0,
            };
            if let Some(position) = self.outstanding.iter().position(|id| *id == pending.id) {
                self.outstanding.remove(position);
            }
            let rounds = self.rounds(&pending.id);
            self.asked.remove(pending.id.as_str());
            match answer {
                Some(answer) => return Answer { rounds, ..answer },
                None => match self.successor(&pending.id) {
                    Some(next) => pending = next,
                    None => return Answer::silence(self.status(&pending)),
                },
            }
        }
    }

    /// The answer of a request, or `None` when it asked for input and the request was sent again.
    async fn answer_to(&mut self, pending: &Pending, within: Option<Duration>) -> Option<Answer> {
        let limit = within.unwrap_or(if self.answered_once {
            self.limits.request
        } else {
            self.limits.start
        });
        let deadline = pending.since + limit;
        loop {
            if self.retried.contains_key(pending.id.as_str()) {
                return None;
            }
            if let Some(position) = self.position_of_answer(pending) {
                let arrival = self.answers.remove(position);
                self.answered_once = true;
                let own = arrival.id.as_ref().is_some_and(|id| id.same_value(&pending.id));
                if !own {
                    self.notice_lost_session(pending);
                }
                let exact = arrival.id.as_ref().is_none_or(|id| id.same_value(&pending.id));
                self.answered
                    .insert(arrival.id.map_or_else(String::new, |id| id.to_string()));
                return Some(Answer {
                    exact,
                    ..Answer::of_message(arrival.value, Some(arrival.event), self.status(pending))
                });
            }
            if let Some(reason) = self.closed.clone() {
                if self.tap.is_full() {
                    self.give_up(pending);
                }
                return Some(Answer::closed(&reason, self.status(pending)));
            }
            if let Some(failure) = self.exchange_over(pending) {
                self.answered_once = true;
                self.notice_lost_session(pending);
                return Some(if failure.as_deref() == Some(ENDED_BY_HARNESS) {
                    // It was cancelled: nothing can come any more.
                    Answer::silence(self.status(pending))
                } else {
                    Answer::refused(self.status(pending), failure)
                });
            }
            if let Some(exchange) = self.broke_off(pending) {
                if self.resume(exchange).await {
                    continue;
                }
                let limit = self.ended.get(&exchange).map_or(deadline, |ended| ended.at + ELSEWHERE);
                if !self.pump(limit.min(deadline)).await && self.position_of_answer(pending).is_none() {
                    // The end of the exchange is in the trace, and tells more than a request without an answer.
                    self.answered_once = true;
                    return Some(Answer::silence(self.status(pending)));
                }
                continue;
            }
            if !self.pump(deadline).await {
                self.give_up(pending);
                if let Some(exchange) = pending.sent.exchange {
                    self.connection.abandon(exchange);
                }
                return Some(Answer::silence(self.status(pending)));
            }
        }
    }

    fn give_up(&self, pending: &Pending) {
        let waited_ms = u64::try_from(pending.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.tap.record(EventKind::GaveUp {
            id: pending.id.to_string(),
            waited_ms,
        });
    }

    /// Sends a notification.
    ///
    /// # Errors
    /// When it cannot be handed over.
    pub async fn notify(&mut self, method: &str, params: Option<Value>) -> Result<Sent, TransportError> {
        self.notify_with(method, params, Intent::Proper).await
    }

    /// Sends a notification that is meant to be something special.
    ///
    /// # Errors
    /// When it cannot be handed over.
    pub async fn notify_with(
        &mut self,
        method: &str,
        params: Option<Value>,
        intent: Intent,
    ) -> Result<Sent, TransportError> {
        self.notify_in(method, params, &Manner::from(intent)).await
    }

    /// Sends a notification in a manner of its own. A cancellation is done as the transport has it: where closing a stream is how a request is
    /// cancelled, the stream is closed and nothing sent.
    ///
    /// # Errors
    /// When it cannot be handed over.
    pub async fn notify_in(
        &mut self,
        method: &str,
        params: Option<Value>,
        manner: &Manner,
    ) -> Result<Sent, TransportError> {
        if let Some(sent) = self.hang_up_on(method, params.as_ref()) {
            return Ok(sent);
        }
        let params = self.dressed(method, params, manner.meta.as_ref());
        let bytes = jsonrpc::notification_bytes(method, params.as_ref());
        self.send_bytes(&bytes, manner.intent).await
    }

    /// Sends the bytes of one message.
    ///
    /// # Errors
    /// When they cannot be handed over.
    pub async fn send_bytes(&mut self, bytes: &[u8], intent: Intent) -> Result<Sent, TransportError> {
        let sent = self.connection.send(bytes, intent).await;
        if let Err(TransportError::Closed(_)) = &sent {
            // What the server still said before it went is worth having.
            while self.closed.is_none() && self.pump(Instant::now() + self.limits.settle).await {}
        }
        sent
    }

    /// Marks in the trace that a case begins to use the session.
    pub fn begin_case(&mut self, case: &str, illegal: bool) {
        self.tap.record(EventKind::CaseStarted {
            case: case.to_owned(),
            illegal,
        });
    }

    /// Marks in the trace that the case is done.
    pub fn end_case(&mut self, case: &str) {
        self.tap.record(EventKind::CaseEnded { case: case.to_owned() });
    }

    /// Whether the harness has asked the server to end, by closing its input or by a signal.
    #[must_use]
    pub fn ending(&self) -> bool {
        self.tap.read(|trace| {
            trace
                .events
                .iter()
                .any(|event| matches!(event.kind, EventKind::StdinClosed | EventKind::Signalled { .. }))
        })
    }

    /// Ends the session properly.
    pub async fn close(&mut self) {
        self.connection.close().await;
        while self.closed.is_none() && self.pump(Instant::now() + self.limits.settle).await {}
    }

    fn failed(&self, error: &TransportError) -> Answer {
        match error {
            TransportError::Closed(reason) => Answer::closed(self.closed.as_deref().unwrap_or(reason), None),
            other => Answer::closed(&other.to_string(), None),
        }
    }
}
