//! Requests of the stateless era over Streamable HTTP: each POST stands for itself, and closing its stream cancels it
//! (basic/transports, Streamable HTTP, of 2026-07-28).
//!
//! One conversation answers all of them. What others are told because of a request goes to the streams of those who listen.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Answers;
use super::deviation::{Deviations, Purpose};
use super::event_log::{EventLog, Form};
use super::http_server::{self, Exits, Refusal, Reply, empty, refusal};
use super::streamable_http::{likes_events, lock};
use crate::conversation::{Conversation, Options, Output};
use crate::envelope::{self, Frame, Incoming, Message, Request, Role};
use crate::outbox::{Departure, Outbox, sleep_until};
use crate::revision::Revision;
use crate::stateless::Stateless;

const VERSION_HEADER: &str = "mcp-protocol-version";
const METHOD_HEADER: &str = "mcp-method";
/// Has proxies pass events on as they come.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What serves the stateless era at an endpoint.
pub(crate) struct StatelessEndpoint {
    options: Options,
    exits: Exits,
    conversation: Mutex<Conversation>,
    /// The ways to those who listen.
    listeners: Mutex<HashMap<u64, mpsc::UnboundedSender<Message>>>,
}

impl StatelessEndpoint {
    pub(crate) fn new(options: Options, exits: Exits) -> Self {
        Self {
            conversation: Mutex::new(Conversation::shared(&options)),
            options,
            exits,
            listeners: Mutex::default(),
        }
    }

    /// Whether a request is of this era, by its header: what has no handshake is this era's altogether.
    pub(crate) fn is_meant(&self, headers: &HeaderMap) -> bool {
        if self.options.without_handshake().is_empty() {
            return false;
        }
        let version = headers.get(VERSION_HEADER).and_then(|version| version.to_str().ok());
        let version = version.and_then(|version| version.trim().parse::<Revision>().ok());
        // Clients of both eras may name the method in a header all the time; a version of the other era says more.
        let modern = version.map_or_else(|| headers.contains_key(METHOD_HEADER), Revision::is_stateless);
        modern || !self.options.has_handshake()
    }

    /// Whether a POST is of this era, by its header or its body.
    pub(crate) fn is_posted(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        let says = || match envelope::read(body) {
            Frame::One(Incoming::Request(Request { params: Ok(params), .. })) => Stateless::speaks(&params),
            _ => false,
        };
        self.is_meant(headers) || (!self.options.without_handshake().is_empty() && says())
    }

    /// Answers a POST of this principal, if the server knows whom it serves.
    pub(crate) async fn post(
        self: &Arc<Self>,
        headers: HeaderMap,
        principal: Option<String>,
        body: &[u8],
    ) -> Result<Reply, Refusal> {
        let frame = envelope::read(body);
        if matches!(frame, Frame::One(Incoming::Response { .. })) {
            let why = "a client has nothing to respond to: the server makes no requests";
            return Err(refusal(StatusCode::BAD_REQUEST, why));
        }
        // Whatever a fault makes of the refusal of what is no message, it stays a refusal.
        let refuses = matches!(
            frame,
            Frame::Unparseable(_) | Frame::Array(_) | Frame::One(Incoming::Invalid { .. })
        );
        let events_liked = likes_events(&headers);
        let received = {
            let mut conversation = lock(&self.conversation);
            conversation.advance(super::since_1970());
            conversation.serve(principal);
            conversation.receive_posted(headers, body)
        };
        let (mut outputs, mut listening) = (Vec::new(), None);
        for output in received {
            match output {
                Output::Listen { listener } => {
                    let (sender, told) = mpsc::unbounded_channel();
                    lock(&self.listeners).insert(listener, sender);
                    listening = Some((listener, told));
                }
                Output::News { listener, message } => self.tell(listener, message),
                Output::Exit(code) => {
                    // Fails when the server is already ending.
                    let _ = self.exits.send(code);
                    return Err(refusal(StatusCode::INTERNAL_SERVER_ERROR, "the server is ending"));
                }
                Output::Wake { after, question, .. } => self.set_alarm(after, question),
                // Nobody shares a connection here, so there is nothing to take back by an id.
                Output::Withdraw { .. } | Output::Settle { .. } => {}
                output => outputs.push(output),
            }
        }
        if let Some((listener, told)) = listening {
            return Ok(self.listen(listener, outputs, told));
        }
        if outputs.is_empty() {
            return Ok(empty(StatusCode::ACCEPTED));
        }
        if let (true, Some(Output::Message { message, .. })) = (refuses, outputs.first()) {
            return Ok(http_server::json(StatusCode::BAD_REQUEST, message.to_bytes()));
        }
        let wishes = match self.options.answers {
            Answers::Fitting if events_liked => Answers::Events,
            answers => answers,
        };
        if let [
            Output::Message {
                message,
                after: Duration::ZERO,
                ..
            },
        ] = outputs.as_slice()
            && (wishes != Answers::Events || status(message) != StatusCode::OK)
        {
            return Ok(http_server::json(status(message), message.to_bytes()));
        }
        if wishes == Answers::Json {
            let answer = answer(outputs).await;
            let answer = answer.ok_or_else(|| refusal(StatusCode::INTERNAL_SERVER_ERROR, "there is no answer"))?;
            return Ok(http_server::json(status(&answer), answer.to_bytes()));
        }
        let (stream, events) = self.open(Purpose::Answer);
        tokio::spawn(stream.send(outputs));
        Ok(streaming(events))
    }

    /// Ends what is listened to; `false` when nobody listens.
    pub(crate) fn end(&self) -> bool {
        let ended = lock(&self.conversation).end_subscriptions();
        let any = !ended.is_empty();
        for output in ended {
            if let Output::News { listener, message } = output {
                self.tell(listener, message);
            }
        }
        any
    }

    /// Tells those who listen what there is to tell once the time has passed.
    fn set_alarm(self: &Arc<Self>, after: Duration, alarm: u64) {
        let endpoint = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            let woken = lock(&endpoint.conversation).wake(alarm);
            for output in woken {
                if let Output::News { listener, message } = output {
                    endpoint.tell(listener, message);
                }
            }
        });
    }

    fn tell(&self, listener: u64, message: Message) {
        if let Some(sender) = lock(&self.listeners).get(&listener) {
            // Fails when the listener is just going.
            let _ = sender.send(message);
        }
    }

    /// A stream that stays open until its result has come, or until its reader goes.
    fn listen(self: &Arc<Self>, listener: u64, first: Vec<Output>, told: mpsc::UnboundedReceiver<Message>) -> Reply {
        let (stream, events) = self.open(Purpose::Listening);
        let endpoint = Arc::clone(self);
        tokio::spawn(async move {
            stream.follow(first, told).await;
            lock(&endpoint.listeners).remove(&listener);
            lock(&endpoint.conversation).forget_listener(listener);
        });
        streaming(events)
    }

    fn open(&self, purpose: Purpose) -> (Stream, mpsc::UnboundedReceiver<Bytes>) {
        let form = Form {
            crlf: self.options.answers == Answers::Events,
            // Nobody comes back for an event: a stream that breaks is a request that is cancelled.
            numbered: false,
        };
        let mut log = EventLog::new(form, Deviations::of(&self.options.faults));
        let (number, events) = log.open(purpose, false);
        (Stream { log, number }, events)
    }
}

/// The stream of one POST.
struct Stream {
    log: EventLog,
    number: u64,
}

impl Stream {
    /// Sends the outputs when they are due, and ends. When the reader goes the request is cancelled, and nothing more is
    /// done for it.
    async fn send(mut self, outputs: Vec<Output>) {
        let mut outbox = Outbox::default();
        outbox.extend(Instant::now(), outputs);
        let Some(reader) = self.log.reader(self.number) else {
            return;
        };
        loop {
            for departure in outbox.take_due(Instant::now()) {
                if let Departure::Message(message) = departure {
                    self.log.send(self.number, &message.to_bytes());
                }
            }
            if outbox.next_due().is_none() {
                break;
            }
            tokio::select! {
                () = reader.closed() => break,
                () = sleep_until(outbox.next_due()) => {}
            }
        }
        self.log.end(self.number);
    }

    /// Sends what the listener is told, up to the result of its request.
    async fn follow(mut self, first: Vec<Output>, mut told: mpsc::UnboundedReceiver<Message>) {
        let Some(reader) = self.log.reader(self.number) else {
            return;
        };
        for output in first {
            if let Output::Message { message, .. } = output {
                self.log.send(self.number, &message.to_bytes());
            }
        }
        loop {
            tokio::select! {
                () = reader.closed() => break,
                message = told.recv() => {
                    let Some(message) = message else { break };
                    self.log.send(self.number, &message.to_bytes());
                    if message.role() == Role::Answer {
                        break;
                    }
                }
            }
        }
        self.log.end(self.number);
    }
}

/// The answer among the outputs, once it is due.
async fn answer(outputs: Vec<Output>) -> Option<Message> {
    let mut outbox = Outbox::default();
    outbox.extend(Instant::now(), outputs);
    let mut answer = None;
    while outbox.next_due().is_some() {
        sleep_until(outbox.next_due()).await;
        for departure in outbox.take_due(Instant::now()) {
            if let Departure::Message(message) = departure
                && message.role() == Role::Answer
            {
                answer = Some(message);
            }
        }
    }
    answer
}

fn streaming(events: mpsc::UnboundedReceiver<Bytes>) -> Reply {
    let mut reply = http_server::event_stream(events);
    reply.headers_mut().insert(BUFFERING, HeaderValue::from_static("no"));
    reply
}

/// The status of an answer: some errors have one of their own, and none that tells of a broken request is a success.
fn status(message: &Message) -> StatusCode {
    let code = match message {
        Message::Response(response) => response.outcome.as_ref().err().map(|error| error.code),
        Message::Raw(bytes) => {
            let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
            value["error"]["code"].as_i64()
        }
        _ => None,
    };
    match code {
        None => StatusCode::OK,
        Some(-32601) => StatusCode::NOT_FOUND,
        Some(-32603) => StatusCode::INTERNAL_SERVER_ERROR,
        Some(_) => StatusCode::BAD_REQUEST,
    }
}
