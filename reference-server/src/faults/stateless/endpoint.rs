//! Faults of the endpoint of the stateless era: statuses, methods of HTTP, streams, what is left of sessions.

use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde_json::Value;

use super::super::http::{PLAIN, Plain, http};
use super::super::{Decorator, Fault};
use super::headers::is_modern;
use super::http_fault;
use super::metadata::restatus;
use crate::transport::deviation::{Asked, HttpDecorator};
use crate::transport::http_server::{self, Reply, empty};

/// Arguments of a server without handshake.
const ALONE: &[&str] = &["--revision", "2026-07-28"];
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

pub(in super::super) const FAULTS: &[Fault] = &[
    http_fault(
        "path-by-method",
        "has another path for the prompts",
        &[
            "transport-streamable-http/single-post-endpoint",
            "prompts/list-supported",
            "pagination/invalid-cursor",
        ],
        || {
            replies(|asked, reply| {
                if !is_modern(asked) || method(asked) != "prompts/list" {
                    return reply;
                }
                let mut moved = empty(StatusCode::PERMANENT_REDIRECT);
                moved
                    .headers_mut()
                    .insert(LOCATION, HeaderValue::from_static("/mcp/prompts"));
                moved
            })
        },
    ),
    http_fault(
        "unknown-method-200",
        "does not know a method with the status of a success",
        &[
            "transport-streamable-http/method-not-found-404",
            "versioning/removed-methods",
            "versioning/initialize-with-modern-meta",
        ],
        || {
            replies(|asked, reply| {
                let meant = is_modern(asked) && reply.status() == StatusCode::NOT_FOUND;
                restatus(reply, StatusCode::OK, meant)
            })
        },
    ),
    http_fault(
        "unknown-version-200",
        "refuses a version with the status of a success",
        &["transport-streamable-http/unsupported-version-400"],
        || {
            replies(|asked, reply| {
                let version = asked
                    .head
                    .headers
                    .get(VERSION)
                    .and_then(|version| version.to_str().ok());
                let odd = version.filter(|version| ["1900-01-01", "2999-12-31"].contains(version));
                let meant = odd.is_some_and(|version| asked.message().is_some_and(|message| says(&message, version)));
                restatus(reply, StatusCode::OK, meant)
            })
        },
    ),
    http_fault(
        "response-accepted",
        "accepts responses, to which there is no request",
        &["transport-streamable-http/posted-response-refused"],
        || {
            replies(|asked, reply| {
                let response = asked.message().is_some_and(|message| message.get("result").is_some());
                if response && is_modern(asked) {
                    empty(StatusCode::ACCEPTED)
                } else {
                    reply
                }
            })
        },
    ),
    http_fault(
        "stream-buffered",
        "lets proxies hold back the events of its streams",
        &["transport-streamable-http/x-accel-buffering"],
        || {
            replies(|_, mut reply| {
                reply.headers_mut().remove("x-accel-buffering");
                reply
            })
        },
    ),
    http_fault(
        "stream-numbered",
        "gives its events ids, although nobody can come back for one",
        &["transport-streamable-http/no-sse-event-ids"],
        || {
            http(Plain {
                event: |event| match event.starts_with(b"id:") {
                    true => event,
                    false => Bytes::from([b"id: 1\n", &event[..]].concat()),
                },
                ..PLAIN
            })
        },
    ),
    Fault {
        serve_with: ALONE,
        ..http_fault(
            "get-stream",
            "opens a stream by GET",
            &["transport-streamable-http/get-405", "deprecated/http-sse-transport"],
            || {
                http(Plain {
                    request: |head| (head.method == Method::GET).then(http_server::ended_stream),
                    ..PLAIN
                })
            },
        )
    },
    Fault {
        serve_with: ALONE,
        ..http_fault(
            "delete-accepted",
            "ends sessions that do not exist",
            &["transport-streamable-http/delete-405"],
            || {
                http(Plain {
                    request: |head| (head.method == Method::DELETE).then(|| empty(StatusCode::OK)),
                    ..PLAIN
                })
            },
        )
    },
    Fault {
        serve_with: ALONE,
        ..http_fault(
            "event-id-refused",
            "refuses requests that name an event",
            &["transport-streamable-http/no-sse-resumption"],
            || {
                replies(|asked, reply| {
                    let named = asked.head.headers.contains_key("last-event-id") && asked.head.method == Method::POST;
                    match named && is_modern(asked) {
                        true => http_server::text(StatusCode::BAD_REQUEST, "There is no such event"),
                        false => reply,
                    }
                })
            },
        )
    },
    http_fault(
        "session-id-refused",
        "refuses requests that name a session",
        &["transport-streamable-http/session-header-ignored"],
        || {
            replies(
                |asked, reply| match asked.head.headers.contains_key(SESSION) && is_modern(asked) {
                    true => http_server::text(StatusCode::NOT_FOUND, "There is no such session"),
                    false => reply,
                },
            )
        },
    ),
    http_fault(
        "session-id-given",
        "gives out ids of sessions, of which there are none",
        &["transport-streamable-http/session-id-not-minted"],
        || {
            replies(|asked, mut reply| {
                if is_modern(asked) {
                    reply.headers_mut().insert(SESSION, HeaderValue::from_static("e4a1c3"));
                }
                reply
            })
        },
    ),
    http_fault(
        "era-of-first",
        "serves nobody without a handshake for a while after somebody had one",
        &["versioning/dual-era-modern-served-stateless"],
        || http(EraOfFirst { handshake: false }),
    ),
];

fn replies(reply: fn(&Asked, Reply) -> Reply) -> Box<dyn Decorator> {
    http(Plain { reply, ..PLAIN })
}

fn method(asked: &Asked) -> String {
    let message = asked.message().unwrap_or_default();
    message["method"].as_str().unwrap_or_default().to_owned()
}

/// Whether the message says this version in its body.
fn says(message: &Value, version: &str) -> bool {
    message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] == version
}

/// `era-of-first`: the first list of tools after each handshake is refused, if it comes without one.
#[derive(Clone, Debug)]
struct EraOfFirst {
    handshake: bool,
}

impl HttpDecorator for EraOfFirst {
    fn reply(&mut self, asked: &Asked, reply: Reply) -> Reply {
        match method(asked).as_str() {
            "notifications/initialized" => self.handshake = true,
            "tools/list" if is_modern(asked) && self.handshake => {
                self.handshake = false;
                return http_server::text(StatusCode::BAD_REQUEST, "There is a session already");
            }
            _ => {}
        }
        reply
    }
}
