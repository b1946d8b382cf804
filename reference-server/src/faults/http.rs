//! Faults of the HTTP transports, by what they change: requests, replies, sessions, streams, what is between clients, and mere manners;
//! those of HTTP+SSE apart.

pub(super) mod deep;
pub(super) mod interruptions;
pub(super) mod legacy;
pub(super) mod manners;
pub(super) mod neighbours;
pub(super) mod replies;
pub(super) mod requests;
pub(super) mod sessions;
pub(super) mod streams;

use std::fmt;

use bytes::Bytes;
use http::header::HeaderName;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;

use super::Decorator;
use crate::envelope::{Request, Response, RpcError};
use crate::transport::deviation::{Act, Asked, HttpDecorator};
use crate::transport::http_server::{self, Reply};

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const REVISION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// A fault that changes nothing but HTTP, as it is before anything has happened.
#[derive(Clone, Debug)]
struct Http<T>(T);

impl<T: HttpDecorator + Clone + 'static> Decorator for Http<T> {
    fn http(&self) -> Option<Box<dyn HttpDecorator>> {
        Some(Box::new(self.0.clone()))
    }
}

/// The same, of a server that sends no news by itself and does not say that it would.
#[derive(Clone, Debug)]
struct Silent<T>(T);

impl<T: HttpDecorator + Clone + 'static> Decorator for Silent<T> {
    fn http(&self) -> Option<Box<dyn HttpDecorator>> {
        Some(Box::new(self.0.clone()))
    }

    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if ["resources/subscribe", "resources/unsubscribe"].contains(&request.method.as_str()) {
            response.outcome = Err(RpcError::method_not_found(&request.method));
        }
        let capabilities = response
            .outcome
            .as_mut()
            .ok()
            .and_then(|result| result.get_mut("capabilities"));
        for offer in capabilities.and_then(Value::as_object_mut).into_iter().flatten() {
            if let Some(offer) = offer.1.as_object_mut() {
                offer.remove("listChanged");
                offer.remove("subscribe");
            }
        }
        response
    }
}

/// A fault that changes replies only, of a server that sends no news.
fn silently_replying(reply: fn(&Asked, Reply) -> Reply) -> Box<dyn Decorator> {
    Box::new(Silent(Plain { reply, ..PLAIN }))
}

/// A reply in place of the stream that a GET has opened.
fn instead_of_stream(asked: &Asked, reply: Reply, other: impl FnOnce() -> Reply) -> Reply {
    match asked.head.method == Method::GET && reply.status() == StatusCode::OK {
        true => other(),
        false => reply,
    }
}

pub(super) fn http<T: HttpDecorator + Clone + 'static>(decorator: T) -> Box<dyn Decorator> {
    Box::new(Http(decorator))
}

/// What is sent to a client that comes back with the id of an event, if that is known.
pub(super) type Missed = Option<Vec<Bytes>>;

/// What a fault does that remembers nothing; [`PLAIN`] does nothing.
#[derive(Clone, Copy)]
pub(super) struct Plain {
    pub(super) received: fn(&mut [u8]),
    pub(super) request: fn(&mut Parts) -> Option<Reply>,
    pub(super) reply: fn(&Asked, Reply) -> Reply,
    pub(super) act: fn(Act) -> Vec<Act>,
    pub(super) event: fn(Bytes) -> Bytes,
    pub(super) missed: fn(Missed, &[Bytes]) -> Missed,
}

pub(super) const PLAIN: Plain = Plain {
    received: |_| {},
    request: |_| None,
    reply: |_, reply| reply,
    act: |act| vec![act],
    event: |event| event,
    missed: |missed, _| missed,
};

impl fmt::Debug for Plain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Plain").finish_non_exhaustive()
    }
}

impl HttpDecorator for Plain {
    fn received(&mut self, bytes: &mut [u8]) {
        (self.received)(bytes);
    }

    fn request(&mut self, head: &mut Parts) -> Option<Reply> {
        (self.request)(head)
    }

    fn reply(&mut self, asked: &Asked, reply: Reply) -> Reply {
        (self.reply)(asked, reply)
    }

    fn act(&mut self, act: Act) -> Vec<Act> {
        (self.act)(act)
    }

    fn event(&mut self, _stream: u64, event: Bytes) -> Bytes {
        (self.event)(event)
    }

    fn missed(&mut self, missed: Missed, everything: &[Bytes]) -> Missed {
        (self.missed)(missed, everything)
    }
}

/// A fault that changes replies only.
fn replying(reply: fn(&Asked, Reply) -> Reply) -> Box<dyn Decorator> {
    http(Plain { reply, ..PLAIN })
}

/// A fault that changes what it sees of requests only, or answers them by itself.
fn asking(request: fn(&mut Parts) -> Option<Reply>) -> Box<dyn Decorator> {
    http(Plain { request, ..PLAIN })
}

/// A fault that changes what is done with streams only.
fn acting(act: fn(Act) -> Vec<Act>) -> Box<dyn Decorator> {
    http(Plain { act, ..PLAIN })
}

/// A fault that changes the bytes of events only.
fn framing(event: fn(Bytes) -> Bytes) -> Box<dyn Decorator> {
    http(Plain { event, ..PLAIN })
}

/// Whether what was posted is the request of a ping, which every client sends and no client builds on.
fn asks_ping(asked: &Asked) -> bool {
    asked
        .message()
        .is_some_and(|message| message["method"] == "ping" && message.get("id").is_some())
}

/// Whether what was posted is a request of that method.
fn asks(asked: &Asked, method: &str) -> bool {
    asked.message().is_some_and(|message| message["method"] == method)
}

/// Whether what was posted is a notification.
fn notifies(asked: &Asked) -> bool {
    asked
        .message()
        .is_some_and(|message| message.get("method").is_some() && message.get("id").is_none())
}

/// Whether what was posted is a response of the client.
fn responds(asked: &Asked) -> bool {
    asked
        .message()
        .is_some_and(|message| message.get("method").is_none() && message.get("id").is_some())
}

/// The same reply with another status.
fn with_status(mut reply: Reply, status: StatusCode) -> Reply {
    *reply.status_mut() = status;
    reply
}

/// A reply with another status where the right one is `right`.
fn instead_of(reply: Reply, right: StatusCode, wrong: StatusCode) -> Reply {
    if reply.status() == right {
        with_status(reply, wrong)
    } else {
        reply
    }
}

/// A refusal of that status.
fn refused(status: StatusCode) -> Reply {
    http_server::refusal(status, "this server will not").into()
}

/// Whether the request has an origin that is not one of this machine.
fn is_foreign(headers: &HeaderMap) -> bool {
    headers
        .get(http::header::ORIGIN)
        .is_some_and(|origin| !origin.as_bytes().windows(9).any(|part| part == b"127.0.0.1"))
}

/// Whether the field with the revision is there and names none that exists.
fn has_odd_revision(headers: &HeaderMap) -> bool {
    headers
        .get(&REVISION)
        .is_some_and(|date| !date.as_bytes().starts_with(b"202"))
}

/// An answer to whatever was asked, with the id of that.
fn answer(asked: &Asked) -> Vec<u8> {
    let id = asked.message().map(|message| message["id"].clone()).unwrap_or_default();
    serde_json::json!({ "jsonrpc": "2.0", "id": id, "result": {} })
        .to_string()
        .into_bytes()
}

/// Whether the message is an answer.
fn is_answer(message: &Value) -> bool {
    message.get("result").is_some() || message.get("error").is_some()
}

fn is_post(asked: &Asked) -> bool {
    asked.head.method == Method::POST
}
