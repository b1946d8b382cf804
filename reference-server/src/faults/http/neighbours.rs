//! Clients of Streamable HTTP that are not kept apart, and sessions that end with others or not at all.
//!
//! What these faults do to one client shows to another, so the endpoint's instance works on the replies of all sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use http_body_util::combinators::BoxBody;
use hyper::body::{Body, Frame};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::super::{Fault, STREAMABLE_HTTP};
use super::interruptions::without_id;
use super::{SESSION, asks, asks_ping, http, is_answer, is_post, refused};
use crate::revision::Revision;
use crate::transport::deviation::{Asked, HttpDecorator};
use crate::transport::http_server::{self, Reply};

pub(in super::super) const FAULTS: &[Fault] = &[
    Fault::new(
        "http-session-id-repeated",
        "gives the same session id to all clients whose request to initialize has a text as id",
        &["transport-streamable-http/session-id-unique"],
        || http(Repeated(None)),
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-session-id-withheld",
        "gives no session id to clients whose request to initialize has a text as id",
        &["transport-streamable-http/session-new-per-initialize"],
        || http(Withheld),
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-delete-keeps-streams",
        "leaves the streams open that listen to a session when that is ended",
        &["transport-streamable-http/session-delete-ends-streams"],
        || http(Endless),
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-delete-ends-others",
        "ends all sessions when one is ended that has asked for nothing",
        &["transport-streamable-http/session-delete-isolated"],
        || http(Together::default()),
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-answer-of-another",
        "takes a request for that of another client which has the same text as id",
        &["transport-streamable-http/session-isolation"],
        || http(Mixed::default()),
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-complete-to-all",
        "tells all clients when a user is done at a URL",
        &["client-features/elicitation-complete-recipient"],
        || http(Party::default()),
    )
    .over(STREAMABLE_HTTP)
    .under(Revision::V2025_11_25),
    Fault::new(
        "http-cancel-by-id-alone",
        "stops the requests of all clients that have the id of one that is cancelled",
        &["security/cross-session-ids"],
        || http(Crossed::default()),
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-posts-limited",
        "serves a client at most four times in 40 milliseconds",
        &[
            "transport-streamable-http/concurrent-posts",
            "base-protocol/concurrent-requests",
        ],
        || http(Limited::default()),
    )
    .over(STREAMABLE_HTTP),
];

fn session_of(head: &Parts) -> Option<&str> {
    head.headers.get(SESSION)?.to_str().ok()
}

/// Whether a session is asked for by a request whose id is a text.
fn initializes_by_text(asked: &Asked) -> bool {
    asks(asked, "initialize") && asked.message().is_some_and(|message| message["id"].is_string())
}

fn is_event_stream(reply: &Reply) -> bool {
    reply
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

/// The first session id that was given to such a client.
#[derive(Clone, Debug)]
struct Repeated(Option<HeaderValue>);

impl HttpDecorator for Repeated {
    fn reply(&mut self, asked: &Asked, mut reply: Reply) -> Reply {
        if initializes_by_text(asked)
            && let Some(own) = reply.headers_mut().get_mut(SESSION)
        {
            *own = self.0.get_or_insert_with(|| own.clone()).clone();
        }
        reply
    }
}

#[derive(Clone, Copy, Debug)]
struct Withheld;

impl HttpDecorator for Withheld {
    fn reply(&mut self, asked: &Asked, mut reply: Reply) -> Reply {
        if initializes_by_text(asked) {
            reply.headers_mut().remove(SESSION);
        }
        reply
    }
}

/// Makes streams of GET that last until their readers go.
#[derive(Clone, Copy, Debug)]
struct Endless;

impl HttpDecorator for Endless {
    fn reply(&mut self, asked: &Asked, reply: Reply) -> Reply {
        let listens = asked.head.method == Method::GET && !asked.head.headers.contains_key("last-event-id");
        match listens && is_event_stream(&reply) {
            true => reply.map(|body| tapped(body, |frame| frame.map_or(Heard::Wait, Heard::Pass), None)),
            false => reply,
        }
    }
}

/// The sessions that there are, those that have asked for something, and those that ended with another.
#[derive(Clone, Debug, Default)]
struct Together {
    given: BTreeSet<String>,
    busy: BTreeSet<String>,
    ended: BTreeSet<String>,
}

impl HttpDecorator for Together {
    fn request(&mut self, head: &mut Parts) -> Option<Reply> {
        let ended = self.ended.contains(session_of(head)?);
        ended.then(|| refused(StatusCode::NOT_FOUND))
    }

    fn session_id(&mut self, id: String) -> String {
        self.given.insert(id.clone());
        id
    }

    fn reply(&mut self, asked: &Asked, reply: Reply) -> Reply {
        let Some(session) = session_of(&asked.head) else {
            return reply;
        };
        if asked.message().is_some_and(|message| message.get("id").is_some()) {
            self.busy.insert(session.to_owned());
        }
        let ends = asked.head.method == Method::DELETE && reply.status().is_success();
        if ends && !self.busy.contains(session) {
            self.ended.append(&mut self.given);
        }
        reply
    }
}

/// Which session was the first to ask under a text, and whether that was a ping.
#[derive(Clone, Debug, Default)]
struct Mixed(BTreeMap<String, (String, bool)>);

impl HttpDecorator for Mixed {
    fn reply(&mut self, asked: &Asked, reply: Reply) -> Reply {
        let Some(session) = session_of(&asked.head) else {
            return reply;
        };
        let message = asked.message().unwrap_or_default();
        let Some(id) = message["id"].as_str() else {
            return reply;
        };
        let pings = asks_ping(asked);
        let (first, first_pings) = self
            .0
            .entry(id.to_owned())
            .or_insert_with(|| (session.to_owned(), pings));
        if first == session || *first_pings == pings {
            return reply;
        }
        match *first_pings {
            true => http_server::json(StatusCode::OK, super::answer(asked)),
            false => {
                // With -32601 it would look as if there was no ping.
                let error = json!({ "code": -32603, "message": "Something went wrong" });
                let answer = json!({ "jsonrpc": "2.0", "id": id, "error": error });
                http_server::json(StatusCode::OK, answer.to_string().into_bytes())
            }
        }
    }
}

/// Ways to all streams that listen, with their sessions.
type Ways = Arc<Mutex<Vec<(String, mpsc::UnboundedSender<Bytes>)>>>;

/// Says on all streams that listen what is said on one.
#[derive(Clone, Debug, Default)]
struct Party(Ways);

impl HttpDecorator for Party {
    fn reply(&mut self, asked: &Asked, reply: Reply) -> Reply {
        let listens = asked.head.method == Method::GET && is_event_stream(&reply);
        let Some(session) = session_of(&asked.head).filter(|_| listens).map(str::to_owned) else {
            return reply;
        };
        let ways = Arc::clone(&self.0);
        let (way, overheard) = mpsc::unbounded_channel();
        lock(&ways).push((session.clone(), way));
        let hear = move |frame: Option<Bytes>| {
            let Some(bytes) = frame else { return Heard::End };
            if contains(&bytes, b"notifications/elicitation/complete") {
                for (_, way) in lock(&ways).iter().filter(|(other, _)| *other != session) {
                    // Fails when that reader has gone.
                    let _ = way.send(without_id(bytes.clone()));
                }
            }
            Heard::Pass(bytes)
        };
        reply.map(|body| tapped(body, hear, Some(overheard)))
    }
}

/// The requests in progress, by session and id, and those that somebody else has stopped.
#[derive(Clone, Debug, Default)]
struct Crossed {
    running: Arc<Mutex<BTreeSet<(String, String)>>>,
    stopped: Arc<Mutex<BTreeSet<(String, String)>>>,
}

impl HttpDecorator for Crossed {
    fn reply(&mut self, asked: &Asked, reply: Reply) -> Reply {
        let Some(session) = session_of(&asked.head).map(str::to_owned) else {
            return reply;
        };
        let message = asked.message().unwrap_or_default();
        if message["method"] == "notifications/cancelled" {
            let id = message["params"]["requestId"].to_string();
            let running = lock(&self.running).clone();
            let others = running
                .into_iter()
                .filter(|(other, own)| *other != session && *own == id);
            lock(&self.stopped).extend(others);
            return reply;
        }
        if !is_event_stream(&reply) {
            return reply;
        }
        let (running, stopped) = (Arc::clone(&self.running), Arc::clone(&self.stopped));
        let own = is_post(asked).then(|| (session.clone(), message["id"].to_string()));
        lock(&running).extend(own.clone());
        let hear = move |frame: Option<Bytes>| {
            let Some(bytes) = frame else {
                own.as_ref().map(|own| lock(&running).remove(own));
                return Heard::End;
            };
            let answered = answered_in(&bytes).map(|id| (session.clone(), id));
            match answered.is_some_and(|answered| lock(&stopped).contains(&answered)) {
                true => Heard::Drop,
                false => Heard::Pass(bytes),
            }
        };
        reply.map(|body| tapped(body, hear, None))
    }
}

/// The id of the answer in an event.
fn answered_in(event: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(event);
    let data = text.lines().find_map(|line| line.strip_prefix("data: "))?;
    let message: Value = serde_json::from_str(data).ok()?;
    is_answer(&message).then(|| message["id"].to_string())
}

/// When each session has posted something lately.
#[derive(Clone, Debug, Default)]
struct Limited(BTreeMap<String, Vec<Instant>>);

impl HttpDecorator for Limited {
    fn reply(&mut self, asked: &Asked, reply: Reply) -> Reply {
        const WINDOW: Duration = Duration::from_millis(40);
        let session = session_of(&asked.head).filter(|_| asks_ping(asked));
        let Some(session) = session.map(str::to_owned) else {
            return reply;
        };
        let now = Instant::now();
        let lately = self.0.entry(session).or_default();
        lately.retain(|moment| now - *moment < WINDOW);
        lately.push(now);
        match lately.len() > 4 {
            true => {
                let error = json!({
                    "jsonrpc": "2.0",
                    "id": asked.message().map(|message| message["id"].clone()),
                    "error": { "code": -32000, "message": "One request after the other, please" },
                });
                http_server::json(StatusCode::OK, error.to_string().into_bytes())
            }
            false => reply,
        }
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What becomes of a part of a body, or of its end.
enum Heard {
    Pass(Bytes),
    Drop,
    /// The body ends.
    End,
    /// The body goes on although it has ended, until its reader has gone.
    Wait,
}

/// The body as somebody hears it, who may say something in between.
fn tapped(
    inner: BoxBody<Bytes, Infallible>,
    hear: impl FnMut(Option<Bytes>) -> Heard + Send + Sync + 'static,
    between: Option<mpsc::UnboundedReceiver<Bytes>>,
) -> BoxBody<Bytes, Infallible> {
    Tapped {
        inner,
        hear: Box::new(hear),
        between,
        ended: false,
    }
    .boxed()
}

struct Tapped {
    inner: BoxBody<Bytes, Infallible>,
    hear: Box<dyn FnMut(Option<Bytes>) -> Heard + Send + Sync>,
    between: Option<mpsc::UnboundedReceiver<Bytes>>,
    ended: bool,
}

impl fmt::Debug for Tapped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tapped").finish_non_exhaustive()
    }
}

impl Body for Tapped {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(between) = &mut self.between
            && let Poll::Ready(Some(bytes)) = between.poll_recv(context)
        {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        while !self.ended {
            let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) else {
                return Poll::Pending;
            };
            let bytes = frame.map(|Ok(frame)| frame.into_data().unwrap_or_default());
            match (self.hear)(bytes) {
                Heard::Pass(bytes) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Heard::Drop => {}
                Heard::End => return Poll::Ready(None),
                Heard::Wait => self.ended = true,
            }
        }
        Poll::Pending
    }
}
