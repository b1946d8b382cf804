//! What no clause demands of Streamable HTTP and good servers do all the same: it is told as information.

use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue, LOCATION, ORIGIN};
use http::{Method, StatusCode};
use serde_json::json;
use tokio::sync::mpsc;

use std::collections::BTreeSet;

use super::super::{Decorator, Fault, STREAMABLE_HTTP};
use super::{REVISION, SESSION, asking, asks, http, refused, replying};
use crate::envelope::{Request, Response, RpcError};
use crate::transport::deviation::{Asked, HttpDecorator};
use crate::transport::http_server::{self, Reply};

pub(in super::super) const FAULTS: &[Fault] = &[
    Fault::new(
        "http-accept-ignored",
        "answers with an event stream whatever the client accepts",
        &["transport-streamable-http/accept-insufficient"],
        || {
            asking(|head| {
                if head.method == Method::POST && has(head, &ACCEPT, b"application/json") {
                    let better = HeaderValue::from_static("application/json;q=0.5, text/event-stream");
                    head.headers.insert(ACCEPT, better);
                }
                None
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-accept-wildcard-500",
        "breaks down over a wildcard in Accept",
        &["transport-streamable-http/accept-wildcard"],
        || asking(|head| has(head, &ACCEPT, b"*/*").then(|| refused(StatusCode::INTERNAL_SERVER_ERROR))),
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-type-unchecked",
        "reads bodies that are said to be plain text",
        &["transport-streamable-http/content-type-wrong"],
        || {
            asking(|head| {
                if has(head, &CONTENT_TYPE, b"text/plain") {
                    let json = HeaderValue::from_static("application/json");
                    head.headers.insert(CONTENT_TYPE, json);
                }
                None
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-methods-404",
        "refuses methods that it does not have with status 404",
        &["transport-streamable-http/other-methods-405"],
        || {
            asking(|head| {
                let known = [Method::POST, Method::GET, Method::DELETE].contains(&head.method);
                (!known).then(|| refused(StatusCode::NOT_FOUND))
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-origin-null-served",
        "trusts the origin null",
        &["transport-streamable-http/origin-null"],
        || {
            asking(|head| {
                if has(head, &ORIGIN, b"null") {
                    head.headers.remove(ORIGIN);
                }
                None
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-origin-own-refused",
        "refuses every request that has an origin, its own as well",
        &["transport-streamable-http/origin-own-ok"],
        || {
            asking(|head| {
                let refuses = head.headers.contains_key(ORIGIN);
                refuses.then(|| refused(StatusCode::FORBIDDEN))
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-get-accept-unchecked",
        "opens streams for clients that do not accept any",
        &["transport-streamable-http/get-without-accept"],
        || {
            asking(|head| {
                if head.method == Method::GET {
                    let events = HeaderValue::from_static("text/event-stream");
                    head.headers.insert(ACCEPT, events);
                }
                None
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-version-other-500",
        "breaks down over a version that it knows and that was not agreed on",
        &["transport-streamable-http/version-header-mismatch"],
        || {
            asking(|head| {
                let other = has(head, &REVISION, b"2025-03-26");
                other.then(|| refused(StatusCode::INTERNAL_SERVER_ERROR))
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-version-on-initialize-refused",
        "refuses initialize when it comes with a version in a field",
        &["transport-streamable-http/version-header-on-initialize"],
        || {
            asking(|head| {
                let first = head.method == Method::POST && !head.headers.contains_key(SESSION);
                (first && head.headers.contains_key(REVISION)).then(|| refused(StatusCode::BAD_REQUEST))
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-second-stream-500",
        "breaks down over a second stream by GET",
        &["transport-streamable-http/get-second-stream"],
        || http(OneStream(BTreeSet::new())),
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-initialize-redirected",
        "sends clients elsewhere whose request to initialize has a text as id",
        &["transport-streamable-http/url-trailing-slash"],
        || {
            replying(|asked, reply| {
                let by_text = asked.message().is_some_and(|message| message["id"].is_string());
                if !asks(asked, "initialize") || !by_text || reply.status() != StatusCode::OK {
                    return reply;
                }
                let mut reply = http_server::empty(StatusCode::TEMPORARY_REDIRECT);
                reply
                    .headers_mut()
                    .insert(LOCATION, HeaderValue::from_static("/mcp/"));
                reply
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-old-stream-without-endpoint",
        "has a stream of the older transport at /sse that does not say where to post",
        &["transport-http-sse/compat-hosting"],
        || {
            asking(|head| {
                (head.uri.path() == "/sse").then(|| {
                    let news = json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": "info", "data": "Welcome" } });
                    let (events, reader) = mpsc::unbounded_channel();
                    // The reader is right here, so this cannot fail.
                    let _ = events.send(http_server::event("message", news.to_string().as_bytes()));
                    http_server::event_stream(reader)
                })
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-question-without-result",
        "answers a tool that samples with an error once the client has answered",
        &["transport-streamable-http/server-requests-on-stream"],
        || Box::new(Ungrateful),
    )
    .over(STREAMABLE_HTTP),
];

fn has(head: &http::request::Parts, name: &http::HeaderName, value: &[u8]) -> bool {
    head.headers.get(name).is_some_and(|field| field.as_bytes() == value)
}

/// The sessions for which a stream was opened.
#[derive(Clone, Debug)]
struct OneStream(BTreeSet<HeaderValue>);

impl HttpDecorator for OneStream {
    fn reply(&mut self, asked: &Asked, reply: Reply) -> Reply {
        let listens = asked.head.method == Method::GET
            && reply.status() == StatusCode::OK
            && !asked.head.headers.contains_key("last-event-id");
        match asked.head.headers.get(SESSION).filter(|_| listens) {
            Some(session) if !self.0.insert(session.clone()) => refused(StatusCode::INTERNAL_SERVER_ERROR),
            _ => reply,
        }
    }
}

#[derive(Debug)]
struct Ungrateful;

impl Decorator for Ungrateful {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        let samples = request
            .params
            .as_ref()
            .is_ok_and(|params| params.get("name").is_some_and(|name| name == "test_sampling"));
        if samples && request.method == "tools/call" {
            response.outcome = Err(RpcError::invalid_request("Something went wrong"));
        }
        response
    }
}
