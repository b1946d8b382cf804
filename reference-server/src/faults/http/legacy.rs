//! HTTP+SSE of 2024-11-05.

use bytes::Bytes;
use http::header::{HOST, HeaderValue, ORIGIN};
use http::request::Parts;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::super::{Fault, HTTP_SSE};
use super::{acting, answer, asking, asks_ping, framing, http, is_answer, is_post, replying, with_status};
use crate::revision::Revision;
use crate::transport::deviation::{Act, Asked, HttpDecorator};
use crate::transport::http_server::{self, Reply};

/// A fault of the old transport, in its revision.
const fn legacy(fault: Fault) -> Fault {
    fault.over(HTTP_SSE).under(Revision::V2024_11_05)
}

pub(in super::super) const FAULTS: &[Fault] = &[
    legacy(Fault::new(
        "sse-endpoint-late",
        "says something else on the stream before it says where to post",
        &["transport-http-sse/endpoint-event-first"],
        || {
            acting(|act| match act {
                Act::Send {
                    stream,
                    kind: "endpoint",
                    ..
                } => vec![
                    Act::Send {
                        stream,
                        kind: "welcome",
                        data: b"one moment please".to_vec(),
                    },
                    act,
                ],
                act => vec![act],
            })
        },
    )),
    legacy(Fault::new(
        "sse-endpoint-no-uri",
        "names an endpoint that is no URI",
        &["transport-http-sse/endpoint-uri-resolvable"],
        || acting(|act| renamed(act, |path| format!("{path}&for=all of us"))),
    )),
    legacy(Fault::new(
        "sse-message-event-name",
        "sends messages as events of type response",
        &["transport-http-sse/message-events"],
        || framing(|event| replaced(&event, "event: message", "event: response")),
    )),
    legacy(Fault::new(
        "sse-not-utf8",
        "sends event ids that are not UTF-8",
        &["transport-http-sse/sse-framing"],
        || framing(|event| Bytes::from([b"id: caf\xe9\n", &event[..]].concat())),
    )),
    legacy(Fault::new(
        "sse-origin-served",
        "serves requests of any origin",
        &["transport-http-sse/origin-validated"],
        || {
            asking(|head| {
                head.headers.remove(ORIGIN);
                None
            })
        },
    )),
    legacy(Fault::new(
        "sse-origin-served-by-post",
        "looks at the origin of those who open a stream only",
        &["transport-http-sse/origin-validated"],
        || {
            asking(|head| {
                if head.method == Method::POST {
                    head.headers.remove(ORIGIN);
                }
                None
            })
        },
    )),
    legacy(Fault::new(
        "sse-stream-203",
        "opens streams with status 203",
        &["transport-http-sse/sse-endpoint"],
        || {
            replying(
                |asked, reply| match asked.head.method == Method::GET && reply.status() == StatusCode::OK {
                    true => with_status(reply, StatusCode::NON_AUTHORITATIVE_INFORMATION),
                    false => reply,
                },
            )
        },
    )),
    legacy(Fault::new(
        "sse-answer-by-post",
        "answers ping in the reply to the POST",
        &["transport-http-sse/responses-on-stream"],
        || http(ByPost::default()),
    )),
    legacy(Fault::new(
        "sse-malformed-500",
        "refuses a body that is no JSON with status 500",
        &["transport-http-sse/post-malformed"],
        || {
            replying(
                |asked, reply| match asked.body().is_some() && asked.message().is_none() {
                    true => with_status(reply, StatusCode::INTERNAL_SERVER_ERROR),
                    false => reply,
                },
            )
        },
    )),
    legacy(Fault::new(
        "sse-unknown-session-202",
        "accepts messages for sessions that it does not know",
        &["transport-http-sse/post-unknown-session"],
        || {
            replying(
                |asked, reply| match is_post(asked) && reply.status() == StatusCode::NOT_FOUND {
                    true => http_server::empty(StatusCode::ACCEPTED),
                    false => reply,
                },
            )
        },
    )),
    legacy(Fault::new(
        "sse-endpoint-missing",
        "does not say where to post",
        &["transport-http-sse/endpoint-event"],
        || {
            acting(|act| match act {
                Act::Send { kind: "endpoint", .. } => Vec::new(),
                act => vec![act],
            })
        },
    )),
    legacy(Fault::new(
        "sse-endpoint-never",
        "ends the stream without saying where to post",
        &["transport-http-sse/endpoint-event"],
        || {
            acting(|act| match act {
                Act::Send {
                    stream,
                    kind: "endpoint",
                    ..
                } => vec![Act::End { stream }],
                act => vec![act],
            })
        },
    )),
    legacy(Fault::new(
        "sse-endpoint-foreign",
        "names an endpoint on another host",
        &["transport-http-sse/endpoint-uri-resolvable"],
        || acting(|act| renamed(act, |path| format!("http://messages.example{path}"))),
    )),
    legacy(Fault::new(
        "sse-endpoint-file",
        "names an endpoint that is a file",
        &["transport-http-sse/endpoint-uri-resolvable"],
        || acting(|act| renamed(act, |path| format!("file://{path}"))),
    )),
    legacy(Fault::new(
        "sse-endpoint-dead",
        "names an endpoint at which there is nothing",
        &["transport-http-sse/post-endpoint"],
        || acting(|act| renamed(act, |path| format!("/nowhere{path}"))),
    )),
    legacy(Fault::new(
        "sse-clients-crossed",
        "answers the client that came first when two have given a request the same text as id",
        &["transport-http-sse/multiple-clients"],
        || http(Crossed::default()),
    )),
    legacy(Fault::new(
        "variant-sse-endpoint-absolute",
        "is correct, and names its endpoint with scheme and host",
        &[],
        || http(Absolute(String::new())),
    )),
    legacy(Fault::new(
        "variant-sse-post-200",
        "is correct, and accepts messages with status 200 and a body that says so",
        &[],
        || {
            replying(
                |asked, reply| match is_post(asked) && reply.status() == StatusCode::ACCEPTED {
                    true => http_server::text(StatusCode::OK, "Accepted"),
                    false => reply,
                },
            )
        },
    )),
];

fn replaced(event: &Bytes, from: &str, to: &str) -> Bytes {
    Bytes::from(String::from_utf8_lossy(event).replacen(from, to, 1))
}

fn renamed(act: Act, rename: impl FnOnce(&str) -> String) -> Vec<Act> {
    vec![match act {
        Act::Send {
            stream,
            kind: kind @ "endpoint",
            data,
        } => Act::Send {
            stream,
            kind,
            data: rename(&String::from_utf8_lossy(&data)).into_bytes(),
        },
        act => act,
    }]
}

/// Knows under which texts a stream was answered, and answers others as that one.
#[derive(Clone, Debug, Default)]
struct Crossed(Vec<(String, u64, Value)>);

impl HttpDecorator for Crossed {
    fn act(&mut self, act: Act) -> Vec<Act> {
        let Some(mut message) = act.message().filter(is_answer) else {
            return vec![act];
        };
        let (Some(id), Act::Send { stream, kind, .. }) = (message["id"].as_str(), &act) else {
            return vec![act];
        };
        let (stream, kind) = (*stream, *kind);
        match self.0.iter().find(|(known, other, _)| known == id && *other != stream) {
            Some((.., first)) => vec![Act::Send {
                stream,
                kind,
                data: first.to_string().into_bytes(),
            }],
            None => {
                let id = id.to_owned();
                // With -32601 it would look as if the other had asked for something that there is not.
                if let Some(code) = message.pointer_mut("/error/code") {
                    *code = json!(-32603);
                }
                self.0.push((id, stream, message));
                vec![act]
            }
        }
    }
}

/// Knows the host that clients ask for.
#[derive(Clone, Debug)]
struct Absolute(String);

impl HttpDecorator for Absolute {
    fn request(&mut self, head: &mut Parts) -> Option<Reply> {
        let host = head.headers.get(HOST).map(HeaderValue::as_bytes).unwrap_or_default();
        self.0 = String::from_utf8_lossy(host).into_owned();
        None
    }

    fn act(&mut self, act: Act) -> Vec<Act> {
        renamed(act, |path| format!("http://{}{path}", self.0))
    }
}

/// Answers ping by itself, and keeps the answer off the stream.
#[derive(Clone, Debug, Default)]
struct ByPost {
    /// The ids of what was answered.
    answered: Vec<Value>,
}

impl HttpDecorator for ByPost {
    fn reply(&mut self, asked: &Asked, reply: Reply) -> Reply {
        if !asks_ping(asked) || reply.status() != StatusCode::ACCEPTED {
            return reply;
        }
        self.answered
            .extend(asked.message().map(|message| message["id"].clone()));
        http_server::json(StatusCode::OK, answer(asked))
    }

    fn act(&mut self, act: Act) -> Vec<Act> {
        let message = act
            .message()
            .filter(|message| message.get("result") == Some(&json!({})));
        let id = message.map(|message| message["id"].clone());
        match self.answered.iter().position(|answered| Some(answered) == id.as_ref()) {
            Some(position) => {
                self.answered.swap_remove(position);
                Vec::new()
            }
            None => vec![act],
        }
    }
}
