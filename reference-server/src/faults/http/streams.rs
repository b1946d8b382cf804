//! Event streams of Streamable HTTP: their framing, what they hold, when they end.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::StatusCode;

use super::super::{Fault, STREAMABLE_HTTP};
use super::{acting, asks_ping, framing, http, is_answer, replying};
use crate::revision::Revision;
use crate::transport::deviation::{Act, HttpDecorator, Purpose};
use crate::transport::http_server;

pub(in super::super) const FAULTS: &[Fault] = &[
    Fault::new(
        "http-stream-empty",
        "answers ping with an event stream that ends at once",
        &["transport-streamable-http/sse-not-closed-early"],
        || {
            replying(
                |asked, reply| match asks_ping(asked) && reply.status() == StatusCode::OK {
                    true => http_server::ended_stream(),
                    false => reply,
                },
            )
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-stream-without-answer",
        "ends event streams without the answer",
        &["transport-streamable-http/sse-delivers-response"],
        || {
            acting(|act| match act.message() {
                Some(message) if is_answer(&message) => Vec::new(),
                _ => vec![act],
            })
        },
    )
    .over(STREAMABLE_HTTP)
    .under(Revision::V2025_11_25),
    Fault::new(
        "http-stream-never-closed",
        "leaves event streams open after the answer",
        &["transport-streamable-http/sse-closed-after-response"],
        || {
            acting(|act| match act {
                Act::End { .. } => Vec::new(),
                act => vec![act],
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-stream-no-blank-line",
        "sends the answer without the blank line that completes the event",
        &["transport-streamable-http/sse-framing"],
        || {
            framing(|event| match holds_answer(&event) {
                true => event.slice(..event.len() - 1),
                false => event,
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-stream-line-without-data",
        "breaks a message over two lines, the second without `data:`",
        &["transport-streamable-http/sse-framing"],
        || {
            framing(|event| {
                edited(&event, |text| {
                    text.replacen("data: {", "data: {\"jsonrpc\":\"2.0\"}\n{", 1)
                })
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-stream-not-utf8",
        "sends a comment that is not UTF-8",
        &["transport-streamable-http/sse-framing"],
        || framing(|event| Bytes::from([b": caf\xe9\n", &event[..]].concat())),
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-stream-data-broken",
        "breaks a message over two data lines in the middle of a word",
        &[
            "transport-streamable-http/sse-data-is-message",
            "base-protocol/message-shape",
        ],
        || framing(|event| edited(&event, |text| text.replacen("\"jsonrpc\"", "\"json\ndata: rpc\"", 1))),
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-stream-text-event",
        "sends events that say in words how far it is",
        &["transport-streamable-http/sse-data-is-message"],
        || framing(|event| Bytes::from([b"event: status\ndata: working\n\n", &event[..]].concat())),
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-stream-empty-event",
        "begins streams with an event without data, in a revision that does not know such events",
        &["transport-streamable-http/sse-data-is-message"],
        || framing(|event| Bytes::from([b"id: first\ndata:\n\n", &event[..]].concat())),
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-stream-event-name",
        "sends messages as events of type response",
        &["transport-streamable-http/sse-event-type"],
        || framing(|event| edited(&event, |text| text.replacen("event: message", "event: response", 1))),
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-event-id-repeated",
        "counts the events of each stream from the beginning",
        &["transport-streamable-http/event-id-unique"],
        || {
            framing(|event| {
                edited(&event, |text| match (text.strip_prefix("id: "), text.find('-')) {
                    (Some(_), Some(hyphen)) => format!("id: {}", &text[hyphen + 1..]),
                    _ => text.to_owned(),
                })
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-event-id-space",
        "makes event ids that no header can hold",
        &["transport-streamable-http/event-id-no-nul"],
        || framing(|event| edited(&event, |text| text.replacen("id: ", "id: \u{e9}v\u{e9}nement ", 1))),
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-stream-unprimed",
        "gives event ids, but begins streams without an empty event to resume from",
        &["transport-streamable-http/sse-priming-event"],
        || {
            acting(|act| match act {
                Act::Open { stream, purpose, .. } => vec![Act::Open {
                    stream,
                    purpose,
                    primed: false,
                }],
                act => vec![act],
            })
        },
    )
    .over(STREAMABLE_HTTP)
    .under(Revision::V2025_11_25),
    Fault::new(
        "http-get-closed",
        "closes the stream of a GET at once, without saying when to come back",
        &["transport-streamable-http/get-close-polling"],
        || {
            acting(|act| match act {
                Act::Open {
                    stream,
                    purpose: Purpose::Listening,
                    ..
                } => vec![act, Act::End { stream }],
                act => vec![act],
            })
        },
    )
    .over(STREAMABLE_HTTP)
    .under(Revision::V2025_11_25),
    Fault::new(
        "http-answers-on-get",
        "sends the answers of event streams on the stream of a GET",
        &["transport-streamable-http/get-no-responses"],
        || http(Misrouted::new(|routes, act| routes.answer_by_get(act))),
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-progress-broadcast",
        "sends progress on the stream of a GET as well",
        &["transport-streamable-http/no-broadcast"],
        || http(Misrouted::new(|routes, act| routes.broadcast(act))),
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-progress-crossed",
        "sends progress on whichever stream was opened last",
        &["transport-streamable-http/sse-related-messages"],
        || http(Misrouted::new(|routes, act| routes.cross(act))),
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-resume-nothing",
        "gives event ids, but does not send what was missed",
        &["transport-streamable-http/resume-replays"],
        || {
            http(super::Plain {
                missed: |missed, _| missed.map(|_| Vec::new()),
                ..super::PLAIN
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-resume-everything",
        "sends what was said on all streams to a client that comes back",
        &["transport-streamable-http/resume-same-stream-only"],
        || {
            http(super::Plain {
                missed: |missed, everything| missed.map(|_| everything.to_vec()),
                ..super::PLAIN
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-resume-unknown",
        "sends everything to a client that comes back with an event id that was never given",
        &["transport-streamable-http/resume-unknown-event-id"],
        || {
            http(super::Plain {
                missed: |missed, everything| Some(missed.unwrap_or_else(|| everything.to_vec())),
                ..super::PLAIN
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-resume-twice",
        "sends what was missed twice",
        &["transport-streamable-http/resume-no-duplicates"],
        || {
            http(super::Plain {
                missed: |missed, _| missed.map(|missed| [missed.clone(), missed].concat()),
                ..super::PLAIN
            })
        },
    )
    .over(STREAMABLE_HTTP),
];

fn holds_answer(event: &Bytes) -> bool {
    let text = String::from_utf8_lossy(event);
    let data = text.lines().find_map(|line| line.strip_prefix("data: "));
    data.and_then(|data| serde_json::from_str(data).ok())
        .is_some_and(|message| is_answer(&message))
}

fn edited(event: &Bytes, edit: impl FnOnce(&str) -> String) -> Bytes {
    Bytes::from(edit(&String::from_utf8_lossy(event)))
}

/// The streams of a session that are open, and what goes to a wrong one of them.
#[derive(Clone, Debug)]
struct Misrouted {
    listening: Option<u64>,
    answering: BTreeSet<u64>,
    route: fn(&Self, Act) -> Vec<Act>,
}

impl Misrouted {
    fn new(route: fn(&Self, Act) -> Vec<Act>) -> Self {
        Self {
            listening: None,
            answering: BTreeSet::new(),
            route,
        }
    }

    fn answer_by_get(&self, act: Act) -> Vec<Act> {
        let message = act.message();
        match (message.is_some_and(|message| is_answer(&message)), self.listening) {
            (true, Some(stream)) => vec![elsewhere(act, stream)],
            _ => vec![act],
        }
    }

    fn broadcast(&self, act: Act) -> Vec<Act> {
        match (is_progress(&act), self.listening) {
            (true, Some(stream)) => vec![elsewhere(act.clone(), stream), act],
            _ => vec![act],
        }
    }

    fn cross(&self, act: Act) -> Vec<Act> {
        match (is_progress(&act), self.answering.last()) {
            (true, Some(stream)) => vec![elsewhere(act, *stream)],
            _ => vec![act],
        }
    }
}

impl HttpDecorator for Misrouted {
    fn act(&mut self, act: Act) -> Vec<Act> {
        match &act {
            Act::Open {
                stream,
                purpose: Purpose::Listening,
                ..
            } => self.listening = Some(*stream),
            Act::Open { stream, .. } => {
                self.answering.insert(*stream);
            }
            Act::End { stream } => {
                self.answering.remove(stream);
            }
            Act::Send { .. } => {}
        }
        (self.route)(self, act)
    }
}

fn is_progress(act: &Act) -> bool {
    act.message()
        .is_some_and(|message| message["method"] == "notifications/progress")
}

fn elsewhere(act: Act, stream: u64) -> Act {
    match act {
        Act::Send { kind, data, .. } => Act::Send { stream, kind, data },
        act => act,
    }
}
