//! HTTP with SSE: a stream at `/sse` names the endpoint for messages and carries all answers
//! (2024-11-05, basic/transports).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::deviation::{Act, Deviations, Purpose};
use super::http_server::{self, Exits, Refusal, Reply, accepts, empty, refusal};
use crate::conversation::{Conversation, Options};
use crate::outbox::{Departure, Outbox, sleep_until};

/// The path of the stream.
pub(crate) const PATH: &str = "/sse";

const MESSAGES: &str = "/messages";

/// All sessions of one server, each with the way to its task.
pub(crate) struct Endpoint {
    options: Options,
    exits: Exits,
    deviations: Arc<Deviations>,
    opened: AtomicU64,
    sessions: Mutex<HashMap<String, mpsc::UnboundedSender<Bytes>>>,
}

impl Endpoint {
    pub(crate) fn new(options: Options, exits: Exits, deviations: Arc<Deviations>) -> Self {
        Self {
            options,
            exits,
            deviations,
            opened: AtomicU64::default(),
            sessions: Mutex::default(),
        }
    }

    /// Answers one HTTP request.
    pub(crate) async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Reply {
        self.try_handle(request).await.unwrap_or_else(Reply::from)
    }

    async fn try_handle(self: Arc<Self>, request: Request<Incoming>) -> Result<Reply, Refusal> {
        http_server::check_origin(request.headers())?;
        match (request.uri().path(), request.method()) {
            (PATH, &Method::GET) => self.open(request.headers()),
            (PATH, _) => Err(http_server::wrong_method("GET")),
            (MESSAGES, &Method::POST) => self.post(request).await,
            (MESSAGES, _) => Err(http_server::wrong_method("POST")),
            _ => Err(refusal(StatusCode::NOT_FOUND, "the endpoint is /sse")),
        }
    }

    fn open(self: Arc<Self>, headers: &HeaderMap) -> Result<Reply, Refusal> {
        if headers.contains_key(http::header::ACCEPT) && !accepts(headers, "text", "event-stream") {
            return Err(refusal(
                StatusCode::NOT_ACCEPTABLE,
                "the client must accept text/event-stream",
            ));
        }
        let id = self.deviations.session_id(http_server::session_id()?);
        let (events, reader) = mpsc::unbounded_channel();
        let (posts, received) = mpsc::unbounded_channel();
        let mut stream = Stream {
            number: self.opened.fetch_add(1, Ordering::Relaxed),
            events: Some(events),
            deviations: Arc::clone(&self.deviations),
        };
        stream.open();
        stream.send("endpoint", format!("{MESSAGES}?session_id={id}").into_bytes());
        self.sessions().insert(id.clone(), posts);
        tokio::spawn(async move {
            converse(Conversation::new(&self.options), received, stream, &self.exits).await;
            self.sessions().remove(&id);
        });
        Ok(http_server::event_stream(reader))
    }

    async fn post(&self, request: Request<Incoming>) -> Result<Reply, Refusal> {
        let posts = session_id(request.uri()).and_then(|id| self.sessions().get(id).cloned());
        let posts = posts.ok_or_else(no_session)?;
        let body = http_server::json_body(request).await?;
        posts.send(body).map_err(|_| no_session())?;
        Ok(empty(StatusCode::ACCEPTED))
    }

    /// The map is sound even if a holder of the lock has panicked: every change of it is one call.
    fn sessions(&self) -> MutexGuard<'_, HashMap<String, mpsc::UnboundedSender<Bytes>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn session_id(uri: &Uri) -> Option<&str> {
    uri.query()?
        .split('&')
        .find_map(|pair| pair.strip_prefix("session_id="))
}

fn no_session() -> Refusal {
    refusal(StatusCode::NOT_FOUND, "there is no such session; open a stream at /sse")
}

/// The stream of a session, as the side sees it that sends.
struct Stream {
    number: u64,
    /// Gone once the server has ended the stream.
    events: Option<mpsc::UnboundedSender<Bytes>>,
    deviations: Arc<Deviations>,
}

impl Stream {
    fn open(&mut self) {
        self.perform(Act::Open {
            stream: self.number,
            purpose: Purpose::Listening,
            primed: false,
        });
    }

    fn send(&mut self, kind: &'static str, data: Vec<u8>) {
        self.perform(Act::Send {
            stream: self.number,
            kind,
            data,
        });
    }

    fn perform(&mut self, act: Act) {
        for act in self.deviations.act(act) {
            match act {
                Act::Open { .. } | Act::Interrupt { .. } => {}
                Act::Send { kind, data, .. } => {
                    let event = self.deviations.event(self.number, http_server::event(kind, &data));
                    // Fails when the reader is gone, which ends the session.
                    let _ = self.events.as_ref().map(|events| events.send(event));
                }
                Act::End { .. } => self.events = None,
            }
        }
    }

    /// Waits until there is nobody to send to.
    async fn closed(&self) {
        if let Some(events) = &self.events {
            events.closed().await;
        }
    }
}

/// One session: lasts as long as somebody reads its stream.
async fn converse(
    mut conversation: Conversation,
    mut posts: mpsc::UnboundedReceiver<Bytes>,
    mut stream: Stream,
    exits: &Exits,
) {
    let mut outbox = Outbox::default();
    loop {
        tokio::select! {
            Some(body) = posts.recv() => {
                conversation.advance(super::since_1970());
                outbox.extend(Instant::now(), conversation.receive(&body));
            }
            () = sleep_until(outbox.next_due()) => {}
            () = stream.closed() => return,
        }
        for departure in outbox.due(Instant::now(), |question| conversation.wake(question)) {
            match departure {
                Departure::Message(message) => stream.send("message", message.to_bytes()),
                Departure::Exit(code) => {
                    // Fails when the server is already ending.
                    let _ = exits.send(code);
                }
                Departure::Text(_) | Departure::Wake(_) | Departure::Interrupt(_) => {}
            }
        }
    }
}
