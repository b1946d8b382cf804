//! Streamable HTTP at `/mcp` (basic/transports, Streamable HTTP).
//!
//! An answer that is one message and ready at once is JSON, if the client likes that no less; anything else, that is
//! progress or a delay, is an event stream that ends with the answer, or without it when the request is cancelled
//! meanwhile. [`Answers`] can ask for JSON or streams always; a stateless server makes a new conversation for each POST.
//! Requests of the stateless era have a way of their own (`stateless_http`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming as IncomingBody;
use serde_json::Value;
use tokio::sync::{broadcast, mpsc};
use tokio::time::Instant;

use super::Answers;
use super::deviation::{Deviations, Purpose};
use super::event_log::{EventLog, Form};
use super::http_server::{self, Exits, Refusal, Reply, accepts, empty, refusal};
use super::stateless_http::StatelessEndpoint;
use crate::authorization::Grant;
use crate::conversation::{Conversation, Options, Output};
use crate::envelope::{self, Frame, Incoming, Message, Response, Role};
use crate::outbox::{Departure, Outbox, sleep_until};
use crate::revision::Revision;

/// The path of the endpoint.
pub(crate) const PATH: &str = "/mcp";

const SESSION_HEADER: &str = "mcp-session-id";
const LAST_EVENT_ID: &str = "last-event-id";
const REVISION_HEADER: &str = "mcp-protocol-version";

/// How many messages that belong to no request are kept until somebody listens.
const KEPT_NEWS: usize = 64;

/// How many cancellations a slow stream may lag behind before it misses one.
const CANCELLATIONS: usize = 64;

/// All sessions of one server.
pub(crate) struct Endpoint {
    options: Options,
    exits: Exits,
    deviations: Arc<Deviations>,
    sessions: Mutex<HashMap<String, Arc<HttpSession>>>,
    stateless: Arc<StatelessEndpoint>,
}

struct HttpSession {
    conversation: Mutex<Conversation>,
    /// What takes back or replaces answers, for the streams that still work on them.
    cancelled: broadcast::Sender<Output>,
    log: Mutex<EventLog>,
    /// The ways to the streams whose requests wait for an answer of the client, by the request's id.
    asking: Mutex<HashMap<String, mpsc::UnboundedSender<Output>>>,
    news: Mutex<News>,
}

/// What belongs to no request: sent on the stream that was opened by the last GET, kept while there is none.
#[derive(Default)]
struct News {
    stream: Option<u64>,
    kept: Vec<Message>,
}

impl HttpSession {
    fn new(options: &Options) -> Self {
        let (cancelled, _) = broadcast::channel(CANCELLATIONS);
        let form = Form {
            crlf: options.answers == Answers::Events,
            // Nobody can come back for an event to a server that has forgotten it.
            numbered: !options.stateless,
        };
        Self {
            conversation: Mutex::new(Conversation::new(options)),
            cancelled,
            log: Mutex::new(EventLog::new(form, Deviations::of(&options.faults))),
            asking: Mutex::default(),
            news: Mutex::default(),
        }
    }

    /// Opens the stream for what belongs to no request.
    fn listen(&self) -> mpsc::UnboundedReceiver<Bytes> {
        let (number, events) = self.open_stream(Purpose::Listening);
        let mut news = lock(&self.news);
        news.stream = Some(number);
        for message in std::mem::take(&mut news.kept) {
            lock(&self.log).send(number, &message.to_bytes());
        }
        events
    }

    fn announce(&self, message: Message) {
        let mut news = lock(&self.news);
        match news.stream {
            Some(number) => lock(&self.log).send(number, &message.to_bytes()),
            None if news.kept.len() < KEPT_NEWS => news.kept.push(message),
            None => {}
        }
    }

    /// Takes an output to the stream of its request, if that waits for an answer of the client; gives it back if not.
    fn route(&self, output: Output) -> Option<Output> {
        let (Output::Message { request: Some(id), .. } | Output::Wake { request: Some(id), .. }) = &output else {
            return Some(output);
        };
        match lock(&self.asking).get(&id.to_string()) {
            Some(stream) => stream.send(output).err().map(|refused| refused.0),
            None => Some(output),
        }
    }

    fn open_stream(&self, purpose: Purpose) -> (u64, mpsc::UnboundedReceiver<Bytes>) {
        let primed = lock(&self.conversation).revision() >= Revision::V2025_11_25;
        lock(&self.log).open(purpose, primed)
    }

    /// Sends the outputs on the stream when they are due, and ends it when none is left. A reader that goes away does
    /// not cancel the request: it may come back.
    async fn stream(self: Arc<Self>, stream: u64, outputs: Vec<Output>, cancelled: broadcast::Receiver<Output>) {
        let send = |departure| match departure {
            Departure::Message(message) => lock(&self.log).send(stream, &message.to_bytes()),
            Departure::Interrupt(retry) => lock(&self.log).interrupt(stream, retry),
            _ => {}
        };
        self.send(outputs, cancelled, send).await;
        lock(&self.log).end(stream);
    }

    /// Waits for the answer among the outputs; `None` when the request was cancelled.
    async fn answer(&self, outputs: Vec<Output>, cancelled: broadcast::Receiver<Output>) -> Option<Message> {
        let mut answer = None;
        self.send(outputs, cancelled, |departure| match departure {
            Departure::Message(message) if message.is_log() => self.announce(message),
            Departure::Message(message) if message.role() == Role::Answer => answer = Some(message),
            _ => {}
        })
        .await;
        answer
    }

    /// Sends the outputs when they are due.
    ///
    /// While the request waits for an answer of the client the stream stays open; the outputs that follow come through `asking`.
    async fn send(
        &self,
        outputs: Vec<Output>,
        mut cancelled: broadcast::Receiver<Output>,
        mut send: impl FnMut(Departure),
    ) {
        let asks = asks(&outputs);
        let (sender, mut routed) = mpsc::unbounded_channel();
        if let Some(id) = &asks {
            lock(&self.asking).insert(id.to_string(), sender);
        }
        let mut open = asks.is_some();
        let mut outbox = Outbox::default();
        outbox.extend(Instant::now(), outputs);
        loop {
            for departure in outbox.due(Instant::now(), |question| lock(&self.conversation).wake(question)) {
                if let Departure::Message(message) = &departure {
                    open &= message.role() != Role::Answer;
                }
                send(departure);
            }
            if !open {
                outbox.forget_questions();
                if outbox.next_due().is_none() {
                    break;
                }
            }
            tokio::select! {
                Ok(output) = cancelled.recv() => {
                    open &= !matches!(&output, Output::Withdraw { request } if asks.as_ref() == Some(request));
                    outbox.extend(Instant::now(), vec![output]);
                }
                Some(output) = routed.recv(), if open => outbox.extend(Instant::now(), vec![output]),
                () = sleep_until(outbox.next_due()) => {}
            }
        }
        if let Some(id) = &asks {
            lock(&self.asking).remove(&id.to_string());
        }
    }
}

impl Endpoint {
    pub(crate) fn new(options: Options, exits: Exits, deviations: Arc<Deviations>) -> Self {
        Self {
            stateless: Arc::new(StatelessEndpoint::new(options.clone(), exits.clone())),
            options,
            exits,
            deviations,
            sessions: Mutex::default(),
        }
    }

    /// Ends what is listened to, before the server ends; `false` when nobody listens.
    pub(crate) fn end(&self) -> bool {
        self.stateless.end()
    }

    /// Answers one HTTP request.
    pub(crate) async fn handle(self: Arc<Self>, request: Request<IncomingBody>) -> Reply {
        self.try_handle(request).await.unwrap_or_else(Reply::from)
    }

    async fn try_handle(&self, request: Request<IncomingBody>) -> Result<Reply, Refusal> {
        http_server::check_origin(request.headers())?;
        if request.uri().path() != PATH {
            return Err(refusal(StatusCode::NOT_FOUND, "the endpoint is /mcp"));
        }
        match *request.method() {
            Method::POST => self.post(request).await,
            _ if self.options.stateless || self.stateless.is_meant(request.headers()) => {
                Err(http_server::wrong_method("POST"))
            }
            Method::GET => self.get(request.headers()),
            Method::DELETE => self.delete(request.headers()),
            _ => Err(http_server::wrong_method("GET, POST, DELETE")),
        }
    }

    async fn post(&self, request: Request<IncomingBody>) -> Result<Reply, Refusal> {
        let headers = request.headers().clone();
        if !accepts(&headers, "application", "json") || !accepts(&headers, "text", "event-stream") {
            let why = "the client must accept application/json and text/event-stream";
            return Err(refusal(StatusCode::NOT_ACCEPTABLE, why));
        }
        let grant = request.extensions().get::<Grant>().cloned();
        let body = http_server::json_body(request).await?;
        if let Some(grant) = &grant {
            grant.permit(&body)?;
        }
        if self.stateless.is_posted(&headers, &body) {
            let principal = grant.map(|grant| grant.principal(&body));
            return self.stateless.post(headers, principal, &body).await;
        }
        self.check_revision(&headers)?;
        if self.options.stateless {
            return self.receive(&self.nobody(&headers), &headers, &body).await;
        }
        match headers.contains_key(SESSION_HEADER) {
            true => self.receive(&self.session(&headers)?, &headers, &body).await,
            false => self.first_post(&headers, &body).await,
        }
    }

    /// A session for one request, which says by itself in which revision it is made.
    fn nobody(&self, headers: &HeaderMap) -> Arc<HttpSession> {
        let date = headers.get(REVISION_HEADER).and_then(|date| date.to_str().ok());
        let revision = self.options.supported(date.unwrap_or(Revision::V2025_03_26.as_str()));
        let session = HttpSession::new(&self.options);
        lock(&session.conversation).assume(revision.unwrap_or_else(|| self.options.newest()));
        Arc::new(session)
    }

    /// A POST outside a session: `initialize`, or something that cannot be a message of any session.
    async fn first_post(&self, headers: &HeaderMap, body: &[u8]) -> Result<Reply, Refusal> {
        let initialize = match envelope::read(body) {
            Frame::One(Incoming::Request(request)) if request.method == "initialize" => true,
            Frame::Unparseable(_) | Frame::One(Incoming::Invalid { .. }) => false,
            _ => return Err(missing_session()),
        };
        let session = Arc::new(HttpSession::new(&self.options));
        let mut reply = self.receive(&session, headers, body).await?;
        if initialize && lock(&session.conversation).is_initialized() {
            let id = self.deviations.session_id(http_server::session_id()?);
            let value = HeaderValue::from_str(&id).expect("session ids are ASCII without control characters");
            reply.headers_mut().insert(SESSION_HEADER, value);
            lock(&self.sessions).insert(id, session);
        }
        Ok(reply)
    }

    fn get(&self, headers: &HeaderMap) -> Result<Reply, Refusal> {
        if !accepts(headers, "text", "event-stream") {
            return Err(refusal(
                StatusCode::NOT_ACCEPTABLE,
                "the client must accept text/event-stream",
            ));
        }
        self.check_revision(headers)?;
        let session = self.session(headers)?;
        let last_event_id = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok());
        let resumed = last_event_id.and_then(|id| lock(&session.log).resume(id));
        Ok(http_server::event_stream(resumed.unwrap_or_else(|| session.listen())))
    }

    fn delete(&self, headers: &HeaderMap) -> Result<Reply, Refusal> {
        self.check_revision(headers)?;
        let session = self.session(headers)?;
        lock(&self.sessions).retain(|_, known| !Arc::ptr_eq(known, &session));
        lock(&session.log).clear();
        Ok(empty(StatusCode::OK))
    }

    fn session(&self, headers: &HeaderMap) -> Result<Arc<HttpSession>, Refusal> {
        let id = headers.get(SESSION_HEADER).ok_or_else(missing_session)?;
        let session = id.to_str().ok().and_then(|id| lock(&self.sessions).get(id).cloned());
        session.ok_or_else(|| refusal(StatusCode::NOT_FOUND, "there is no such session; initialize a new one"))
    }

    fn check_revision(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        match headers.get(REVISION_HEADER) {
            Some(date)
                if date
                    .to_str()
                    .ok()
                    .and_then(|date| self.options.supported(date))
                    .is_none() =>
            {
                Err(refusal(
                    StatusCode::BAD_REQUEST,
                    "the MCP-Protocol-Version is not supported",
                ))
            }
            _ => Ok(()),
        }
    }

    /// Lets the session answer the body.
    async fn receive(&self, session: &Arc<HttpSession>, headers: &HeaderMap, body: &[u8]) -> Result<Reply, Refusal> {
        // Subscribed before the request is taken in, so that no cancellation of it can be missed.
        let cancelled = session.cancelled.subscribe();
        let mut outputs = Vec::new();
        let frame = envelope::read(body);
        let is_answer = match &frame {
            Frame::One(incoming) => matches!(incoming, Incoming::Response { .. }),
            Frame::Array(entries) => entries.iter().any(|entry| matches!(entry, Incoming::Response { .. })),
            Frame::Unparseable(_) => false,
        };
        // Whatever a fault makes of the refusal of a frame that is none, it stays a refusal.
        let refuses = matches!(frame, Frame::Unparseable(_) | Frame::One(Incoming::Invalid { .. }));
        let received = {
            let mut conversation = lock(&session.conversation);
            conversation.advance(super::since_1970());
            conversation.receive(body)
        };
        for output in received {
            match output {
                output @ (Output::Withdraw { .. } | Output::Settle { .. }) => {
                    // Fails when no stream is open, and then there is nothing to withdraw.
                    let _ = session.cancelled.send(output);
                }
                Output::Exit(code) => {
                    // Fails when the server is already ending.
                    let _ = self.exits.send(code);
                    return Err(refusal(StatusCode::INTERNAL_SERVER_ERROR, "the server is ending"));
                }
                Output::Aside(message) => session.announce(message),
                output if is_answer => outputs.extend(session.route(output)),
                output => outputs.push(output),
            }
        }
        if outputs.is_empty() {
            return Ok(empty(StatusCode::ACCEPTED));
        }
        if let (true, Some(Output::Message { message, .. })) = (refuses, outputs.first()) {
            return Ok(http_server::json(StatusCode::BAD_REQUEST, message.to_bytes()));
        }
        let wishes = match self.options.answers {
            Answers::Fitting if likes_events(headers) => Answers::Events,
            answers => answers,
        };
        match (outputs.as_slice(), wishes) {
            (
                [
                    Output::Message {
                        message,
                        after: Duration::ZERO,
                        ..
                    },
                ],
                wishes,
            ) if message.role() != Role::Question
                && (wishes != Answers::Events || status(message) != StatusCode::OK) =>
            {
                Ok(http_server::json(status(message), message.to_bytes()))
            }
            (_, Answers::Json) => {
                let answer = session.answer(outputs, cancelled).await;
                let answer = answer.ok_or_else(|| refusal(StatusCode::CONFLICT, "the request was cancelled"))?;
                Ok(http_server::json(status(&answer), answer.to_bytes()))
            }
            _ => {
                let (number, events) = session.open_stream(Purpose::Answer);
                tokio::spawn(Arc::clone(session).stream(number, outputs, cancelled));
                Ok(http_server::event_stream(events))
            }
        }
    }
}

pub(super) fn likes_events(headers: &HeaderMap) -> bool {
    http_server::quality(headers, "text", "event-stream") > http_server::quality(headers, "application", "json")
}

/// The request that waits for an answer of the client when these outputs are all that came of it.
fn asks(outputs: &[Output]) -> Option<Value> {
    outputs.iter().find_map(|output| match output {
        Output::Message { message, request, .. } if message.role() == Role::Question => request.clone(),
        _ => None,
    })
}

/// Input the server cannot accept is an HTTP error (Sending Messages to the Server, point 4).
fn status(message: &Message) -> StatusCode {
    match message {
        Message::Response(Response {
            outcome: Err(error), ..
        }) if [-32700, -32600].contains(&error.code) => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}

fn missing_session() -> Refusal {
    refusal(
        StatusCode::BAD_REQUEST,
        "the Mcp-Session-Id header is missing; initialize first",
    )
}

/// The data is sound even if a holder of the lock has panicked: each step leaves it consistent.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
