//! HTTP with SSE: a stream at `/sse` names the endpoint for messages and carries all answers
//! (2024-11-05, basic/transports).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tokio::time::Instant;

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
    sessions: Mutex<HashMap<String, mpsc::UnboundedSender<Bytes>>>,
}

impl Endpoint {
    pub(crate) fn new(options: Options, exits: Exits) -> Self {
        Self {
            options,
            exits,
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
        let id = http_server::session_id()?;
        let (events, stream) = mpsc::unbounded_channel();
        let (posts, received) = mpsc::unbounded_channel();
        let endpoint = format!("{MESSAGES}?session_id={id}");
        if events
            .send(http_server::event("endpoint", endpoint.as_bytes()))
            .is_err()
        {
            return Err(refusal(StatusCode::INTERNAL_SERVER_ERROR, "the server is ending"));
        }
        self.sessions().insert(id.clone(), posts);
        tokio::spawn(async move {
            converse(Conversation::new(&self.options), received, events, &self.exits).await;
            self.sessions().remove(&id);
        });
        Ok(http_server::event_stream(stream))
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

/// One session: lasts as long as somebody reads its stream.
async fn converse(
    mut conversation: Conversation,
    mut posts: mpsc::UnboundedReceiver<Bytes>,
    events: mpsc::UnboundedSender<Bytes>,
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
            () = events.closed() => return,
        }
        for departure in outbox.due(Instant::now(), |question| conversation.wake(question)) {
            let sent = match departure {
                Departure::Message(message) => events.send(http_server::event("message", &message.to_bytes())).is_ok(),
                Departure::Exit(code) => exits.send(code).is_ok(),
                Departure::Text(_) | Departure::Wake(_) => true,
            };
            if !sent {
                return;
            }
        }
    }
}
