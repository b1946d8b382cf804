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
//! [`Stateful`] opens with `initialize`; a stateless era adds metadata to every request instead.

mod answer;
mod connect;
mod exact;
mod hint;
mod protocol;
mod reply;
mod spare;

pub use answer::{Answer, Outcome};
pub use connect::{ConnectError, Connector, ConnectorOptions, HandshakeFailure};
pub use protocol::{ClientIdentity, Opening, OpeningProblem, Protocol, Stateful, protocol_for};
pub use reply::ReplyPolicy;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use touchstone_core::jsonrpc::{self, Document, IdToken, Reading, Shape};
use touchstone_core::revision::Revision;
use touchstone_core::trace::{EventKind, Intent};

use crate::tap::Tap;
use crate::transport::{Connection, Incoming, Sent, TransportError};

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
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(60),
            request: Duration::from_secs(10),
            settle: Duration::from_millis(20),
            inbox: 4096,
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
    /// Tools that take their time, and how long one call was waited for.
    slow_tools: BTreeMap<String, Duration>,
}

/// The end of an HTTP exchange.
#[derive(Debug, Clone)]
struct Ended {
    failure: Option<String>,
    at: Instant,
}

/// How far an HTTP exchange is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// To its end.
    End,
    /// To the head of the response.
    Head,
    /// To the first event of its stream.
    Event,
}

/// How long an answer may come on another stream, once the one on which it was due has ended without it.
const ELSEWHERE: Duration = Duration::from_millis(200);
/// How often a stream that ended without the answer is asked for what is missing.
const MOST_RESUMPTIONS: usize = 5;
/// Longest pause before that which a server can ask for.
const LONGEST_RETRY: Duration = Duration::from_secs(1);
/// How often a stream is looked at whose events bring no message.
const GLANCE: Duration = Duration::from_millis(5);

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
            answered: BTreeSet::new(),
            answers: Vec::new(),
            inbox: Vec::new(),
            statuses: BTreeMap::new(),
            ended: BTreeMap::new(),
            resumed: BTreeMap::new(),
            closed: None,
            answered_once: false,
            slow_tools: BTreeMap::new(),
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

    /// Notes that a call of this tool was waited for so long.
    pub fn note_slow_tool(&mut self, name: &str, waited: Duration) {
        self.slow_tools.insert(name.to_owned(), waited);
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
            let sent = self.notify(&method, None).await.map_err(|error| OpeningProblem {
                refused: false,
                reason: error.to_string(),
            })?;
            let deadline = Instant::now() + self.limits.request;
            while let Some(exchange) = sent.exchange.filter(|exchange| !self.ended.contains_key(exchange)) {
                if self.closed.is_some() || !self.pump(deadline).await {
                    exchange_never_ended(&self.tap, exchange);
                    break;
                }
            }
        }
        // What a server says by itself comes on this stream; one that has none answers 405, and that is fine.
        self.connection.open_stream().map_err(|error| OpeningProblem {
            refused: false,
            reason: error.to_string(),
        })?;
        self.opening = Some(opening.clone());
        Ok(opening)
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
        let params = self.protocol.dress(method, params);
        let bytes = jsonrpc::request_bytes(id, method, params.as_ref());
        let sent = self.send_bytes(&bytes, intent).await?;
        self.answered.remove(id.as_str());
        self.outstanding.push(id.clone());
        Ok(Pending {
            id: id.clone(),
            sent,
            since: Instant::now(),
        })
    }

    /// Waits for the answer of a request.
    pub async fn finish(&mut self, pending: &Pending, within: Option<Duration>) -> Answer {
        let answer = self.answer_to(pending, within).await;
        if let Some(position) = self.outstanding.iter().position(|id| *id == pending.id) {
            self.outstanding.remove(position);
        }
        answer
    }

    async fn answer_to(&mut self, pending: &Pending, within: Option<Duration>) -> Answer {
        let limit = within.unwrap_or(if self.answered_once {
            self.limits.request
        } else {
            self.limits.start
        });
        let deadline = pending.since + limit;
        loop {
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
                return Answer {
                    exact,
                    ..Answer::of_message(arrival.value, Some(arrival.event), self.status(pending))
                };
            }
            if let Some(reason) = self.closed.clone() {
                return Answer::closed(&reason, self.status(pending));
            }
            if let Some(failure) = self.exchange_over(pending) {
                self.answered_once = true;
                self.notice_lost_session(pending);
                return Answer::refused(self.status(pending), failure);
            }
            if let Some(exchange) = self.broke_off(pending) {
                if self.resume(exchange).await {
                    continue;
                }
                let limit = self.ended.get(&exchange).map_or(deadline, |ended| ended.at + ELSEWHERE);
                if !self.pump(limit.min(deadline)).await && self.position_of_answer(pending).is_none() {
                    // The end of the exchange is in the trace, and tells more than a request without an answer.
                    self.answered_once = true;
                    return Answer::silence(self.status(pending));
                }
                continue;
            }
            if !self.pump(deadline).await {
                let waited_ms = u64::try_from(pending.since.elapsed().as_millis()).unwrap_or(u64::MAX);
                self.tap.record(EventKind::GaveUp {
                    id: pending.id.to_string(),
                    waited_ms,
                });
                if let Some(exchange) = pending.sent.exchange {
                    self.connection.abandon(exchange);
                }
                return Answer::silence(self.status(pending));
            }
        }
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
        let params = self.protocol.dress(method, params);
        let bytes = jsonrpc::notification_bytes(method, params.as_ref());
        self.send_bytes(&bytes, intent).await
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

    /// The cheapest request that is always valid, to see whether the server is alive.
    pub async fn probe(&mut self) -> Answer {
        let (method, params) = self.protocol.probe();
        self.request(method, params, None).await
    }

    /// Waits until the server has shown that it is alive, and a moment longer, so that a reply to what was sent before would have come.
    /// Gives back the responses that answered nothing, and how the probe went.
    pub async fn settle(&mut self, sent: Option<Sent>) -> (Vec<Arrival>, Answer) {
        let exchange = sent.and_then(|sent| sent.exchange);
        // What is posted side by side may overtake; what answers it comes on the one event stream, not in the exchange.
        let over_sse = matches!(self.connection, Connection::HttpSse(_));
        if let Some(exchange) = exchange.filter(|_| over_sse) {
            self.follow_exchange(exchange, Until::End, None).await;
        }
        let probe = self.probe().await;
        let deadline = Instant::now() + self.limits.settle;
        let exchange_deadline = Instant::now() + self.limits.request;
        // Over HTTP the end of the exchange tells that no reply will come.
        while let Some(exchange) = exchange.filter(|exchange| !self.ended.contains_key(exchange)) {
            if self.closed.is_some() || !self.pump(exchange_deadline).await {
                exchange_never_ended(&self.tap, exchange);
                break;
            }
        }
        if exchange.is_none() || over_sse {
            while self.closed.is_none() && self.pump(deadline).await {}
        }
        // Answers to requests that were started before are still waited for.
        let outstanding = &self.outstanding;
        let (kept, mut strays): (Vec<Arrival>, Vec<Arrival>) =
            std::mem::take(&mut self.answers).into_iter().partition(|arrival| {
                arrival
                    .id
                    .as_ref()
                    .is_some_and(|id| outstanding.iter().any(|other| other.same_value(id)))
            });
        self.answers = kept;
        strays.retain(|arrival| !self.refuses_another(arrival, exchange));
        (strays, probe)
    }

    /// Whether a response is the body of the refusal of another HTTP request, such as the GET that would listen: it answers nothing else.
    fn refuses_another(&self, arrival: &Arrival, exchange: Option<u32>) -> bool {
        let own = self.exchange_of(arrival.event);
        let status = own.and_then(|own| self.exchange_status(own));
        own != exchange && status.is_some_and(|status| status >= 400)
    }

    /// Waits for a notification or request with this method whose params are wanted.
    pub async fn wait_for(
        &mut self,
        method: &str,
        wanted: impl Fn(&Value) -> bool,
        within: Duration,
    ) -> Option<Arrival> {
        let deadline = Instant::now() + within;
        let fits = |arrival: &Arrival| {
            let params = arrival.value.get("params").unwrap_or(&Value::Null);
            arrival.method.as_deref() == Some(method) && wanted(params)
        };
        loop {
            if let Some(position) = self.inbox.iter().position(fits) {
                return Some(self.inbox.remove(position));
            }
            if self.closed.is_some() || !self.pump(deadline).await {
                return None;
            }
        }
    }

    /// Listens for a while and gives back everything that came.
    pub async fn listen(&mut self, duration: Duration) -> Vec<Arrival> {
        let deadline = Instant::now() + duration;
        while self.closed.is_none() && self.pump(deadline).await {}
        let mut arrivals = std::mem::take(&mut self.inbox);
        arrivals.append(&mut self.answers);
        arrivals
    }

    /// Forgets what has come so far, so that the next case begins with an empty inbox.
    pub fn forget(&mut self) {
        self.inbox.clear();
        self.answers.clear();
        self.outstanding.clear();
        self.replies.reset();
    }

    /// The HTTP status with which an exchange was answered, if it is known.
    #[must_use]
    pub fn exchange_status(&self, exchange: u32) -> Option<u16> {
        self.statuses.get(&exchange).copied()
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

    /// Follows an HTTP exchange as far as wanted. False when it did not come so far in time.
    pub async fn follow_exchange(&mut self, exchange: u32, until: Until, within: Option<Duration>) -> bool {
        let deadline = Instant::now() + within.unwrap_or(self.limits.request);
        loop {
            let enough = self.ended.contains_key(&exchange)
                || match until {
                    Until::End => false,
                    Until::Head => self.statuses.contains_key(&exchange),
                    Until::Event => self.has_event(exchange),
                };
            if enough || self.closed.is_some() {
                return enough;
            }
            // Events that bring no message wake nobody.
            let next = if until == Until::Event {
                deadline.min(Instant::now() + GLANCE)
            } else {
                deadline
            };
            if !self.pump(next).await && Instant::now() >= deadline {
                return false;
            }
        }
    }

    /// The answer that an exchange brought, taken out of those that wait; `None` when it brought none.
    pub fn answer_of_exchange(&mut self, exchange: u32) -> Option<Answer> {
        let position = self
            .answers
            .iter()
            .position(|arrival| self.exchange_of(arrival.event) == Some(exchange))?;
        let arrival = self.answers.remove(position);
        let status = self.exchange_status(exchange);
        Some(Answer::of_message(arrival.value, Some(arrival.event), status))
    }

    fn has_event(&self, exchange: u32) -> bool {
        self.tap.read(|trace| {
            trace.events.iter().rev().any(|event| match &event.kind {
                EventKind::StreamEvent { exchange: other, .. } => *other == exchange,
                EventKind::Received { exchange: other, .. } => *other == Some(exchange),
                _ => false,
            })
        })
    }

    /// Whether the request of an exchange carried a session id.
    #[must_use]
    pub fn in_session(&self, exchange: u32) -> bool {
        self.tap.read(|trace| {
            trace.events.iter().any(|event| match &event.kind {
                EventKind::HttpRequest {
                    exchange: found,
                    headers,
                    ..
                } if *found == exchange => headers
                    .iter()
                    .any(|(name, _)| name.eq_ignore_ascii_case("mcp-session-id")),
                _ => false,
            })
        })
    }

    /// The body of an exchange that brought no message, as JSON when it is some.
    #[must_use]
    pub fn document(&self, exchange: u32) -> Option<Value> {
        let body = self.tap.read(|trace| {
            trace.events.iter().find_map(|event| match &event.kind {
                EventKind::HttpBody {
                    exchange: found,
                    payload,
                } if *found == exchange => Some(payload.clone()),
                _ => None,
            })
        });
        serde_json::from_slice(body?.bytes()).ok()
    }

    /// Ends the session properly.
    pub async fn close(&mut self) {
        self.connection.close().await;
        while self.closed.is_none() && self.pump(Instant::now() + self.limits.settle).await {}
    }

    /// Takes in the next thing that the connection gives. False when nothing came before the deadline.
    async fn pump(&mut self, deadline: Instant) -> bool {
        let Ok(incoming) = tokio::time::timeout_at(deadline, self.connection.receive()).await else {
            return false;
        };
        match incoming {
            None => {
                self.closed.get_or_insert_with(|| "the connection is closed".to_owned());
            }
            Some(Incoming::Closed { reason }) => self.closed = Some(reason),
            Some(Incoming::Head { exchange, status, .. }) => {
                self.statuses.insert(exchange, status);
            }
            Some(Incoming::ExchangeEnded { exchange, failure }) => {
                let at = Instant::now();
                self.ended.insert(exchange, Ended { failure, at });
            }
            Some(Incoming::Message { bytes, event, .. }) => self.take_in(&bytes, event).await,
        }
        true
    }

    /// Sorts a frame: answers, requests to be answered, and the rest.
    async fn take_in(&mut self, bytes: &[u8], event: usize) {
        let Reading::Complete(Document {
            shape,
            value: Some(value),
            ..
        }) = jsonrpc::read(bytes, &jsonrpc::Limits::default())
        else {
            return; // In the trace; monitors judge it.
        };
        match (shape, value) {
            (Shape::Batch(elements), Value::Array(values)) => {
                for (element, value) in elements.into_iter().zip(values) {
                    self.sort(element.shape, value, event).await;
                }
            }
            (shape, value) => self.sort(shape, value, event).await,
        }
    }

    async fn sort(&mut self, shape: Shape, value: Value, event: usize) {
        match shape {
            Shape::Response { id: Some(id) } | Shape::ErrorResponse { id: Some(id) } if self.is_repeated(&id) => {
                // In the trace; the monitors judge it.
            }
            Shape::Response { id } | Shape::ErrorResponse { id } => {
                self.answers.push(Arrival {
                    event,
                    value,
                    method: None,
                    id,
                });
                self.trim();
            }
            Shape::Request { id, method, .. } => {
                if let Some(reply) = self.replies.reply(&id, &method, value.get("params")) {
                    // A server that does not take the reply is noticed by the request that waits.
                    let _ = self.connection.send(&reply, Intent::Proper).await;
                }
                self.inbox.push(Arrival {
                    event,
                    value,
                    method: Some(method),
                    id: Some(id),
                });
                self.trim();
            }
            Shape::Notification { method, .. } => {
                self.inbox.push(Arrival {
                    event,
                    value,
                    method: Some(method),
                    id: None,
                });
                self.trim();
            }
            _ => {}
        }
    }

    /// Whether a response with this id came before, and no request waits for another.
    fn is_repeated(&self, id: &IdToken) -> bool {
        self.answered.contains(id.as_str())
            && !self
                .outstanding
                .iter()
                .any(|other| other.same_value(id) || other.looks_like(id))
    }

    /// Keeps what waits unread within bounds; the trace has it all.
    fn trim(&mut self) {
        for waiting in [&mut self.inbox, &mut self.answers] {
            let excess = waiting.len().saturating_sub(self.limits.inbox);
            waiting.drain(..excess);
        }
    }

    /// The answer to a request among those that came: with its own id, or one that differs only in type, or, over HTTP, an error without
    /// id in the same exchange.
    fn position_of_answer(&self, pending: &Pending) -> Option<usize> {
        let by = |wanted: &dyn Fn(&IdToken) -> bool| {
            self.answers
                .iter()
                .position(|arrival| arrival.event > pending.sent.event && arrival.id.as_ref().is_some_and(wanted))
        };
        // An id of another type is taken for this request's only if it is not the very id of another one.
        let nobodys = |id: &IdToken| {
            let owners = self.outstanding.iter().filter(|other| other.same_value(id)).count();
            let copies = self
                .answers
                .iter()
                .filter(|arrival| arrival.id.as_ref().is_some_and(|other| other.same_value(id)))
                .count();
            copies > owners
        };
        by(&|id| id.same_value(&pending.id))
            .or_else(|| by(&|id| id.looks_like(&pending.id) && nobodys(id)))
            .or_else(|| {
                let exchange = pending.sent.exchange?;
                self.ended.get(&exchange)?;
                self.answers.iter().position(|arrival| {
                    let unreadable =
                        arrival.value.get("id").is_none_or(Value::is_null) || arrival.value.get("error").is_some();
                    unreadable && self.exchange_of(arrival.event) == Some(exchange)
                })
            })
    }

    fn exchange_of(&self, event: usize) -> Option<u32> {
        self.tap
            .read(|trace| match trace.events.get(event).map(|event| &event.kind) {
                Some(EventKind::Received { exchange, .. }) => *exchange,
                _ => None,
            })
    }

    /// A 404 that says nothing of the request itself is how a server tells that a session is over (Streamable HTTP, Session Management): what
    /// goes on in it would only show the same again.
    fn notice_lost_session(&mut self, pending: &Pending) {
        let in_session = self
            .connection
            .address()
            .is_some_and(|address| address.session.is_some());
        if in_session && self.status(pending) == Some(404) {
            self.closed
                .get_or_insert_with(|| "the server no longer knows the session: it answers 404".to_owned());
        }
    }

    /// Whether the HTTP exchange of a request is over without an answer in sight, and why it failed. An exchange that ends with a 2xx status
    /// may be answered on another stream (HTTP+SSE always does), so only a refusal or a failure ends the wait.
    fn exchange_over(&self, pending: &Pending) -> Option<Option<String>> {
        let exchange = pending.sent.exchange?;
        let failure = &self.ended.get(&exchange)?.failure;
        let refused = self.statuses.get(&exchange).is_none_or(|status| *status >= 300);
        (refused || failure.is_some()).then(|| failure.clone())
    }

    /// The Streamable HTTP exchange that should have brought the answer to a request, and ended in good order without it.
    fn broke_off(&self, pending: &Pending) -> Option<u32> {
        if !matches!(self.connection, Connection::StreamableHttp(_)) {
            return None;
        }
        let mut exchange = pending.sent.exchange?;
        while let Some(next) = self.resumed.get(&exchange) {
            exchange = *next;
        }
        self.ended.contains_key(&exchange).then_some(exchange)
    }

    /// Asks for what is missing of a stream that ended without the answer. False when the stream gave no event id to come back with.
    async fn resume(&mut self, exchange: u32) -> bool {
        if self.resumed.len() >= MOST_RESUMPTIONS {
            return false;
        }
        let (id, retry) = self.tap.read(|trace| {
            let mut last = (None, None);
            for event in &trace.events {
                match &event.kind {
                    EventKind::StreamEvent {
                        exchange: other,
                        id,
                        retry,
                        ..
                    }
                    | EventKind::StreamEventFields {
                        exchange: other,
                        id,
                        retry,
                        ..
                    } if *other == exchange => {
                        last = (id.clone().or(last.0), retry.or(last.1));
                    }
                    _ => {}
                }
            }
            last
        });
        let (Some(id), Connection::StreamableHttp(connection)) = (id, &mut self.connection) else {
            return false;
        };
        tokio::time::sleep(Duration::from_millis(retry.unwrap_or(0)).min(LONGEST_RETRY)).await;
        match connection.open_stream(Some(&id)) {
            Ok(next) => self.resumed.insert(exchange, next).is_none(),
            Err(_) => false,
        }
    }

    fn status(&self, pending: &Pending) -> Option<u16> {
        self.statuses.get(&pending.sent.exchange?).copied()
    }

    fn failed(&self, error: &TransportError) -> Answer {
        match error {
            TransportError::Closed(reason) => Answer::closed(self.closed.as_deref().unwrap_or(reason), None),
            other => Answer::closed(&other.to_string(), None),
        }
    }
}

/// Leaves a mark in the trace that an exchange never ended.
fn exchange_never_ended(tap: &Tap, exchange: u32) {
    tap.record(EventKind::LimitReached {
        limit: format!("time for the HTTP exchange {exchange} to end"),
    });
}
