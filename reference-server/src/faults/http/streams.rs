//! Event streams of Streamable HTTP: their framing, what they hold, when they end.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use super::super::{Decorator, Fault, STREAMABLE_HTTP};
use super::{Silent, acting, asks, framing, http, is_answer, replying};
use crate::revision::Revision;
use crate::transport::deviation::{Act, HttpDecorator, Purpose};
use crate::transport::http_server;

pub(in super::super) const FAULTS: &[Fault] = &[
    Fault::new(
        "http-stream-empty",
        "answers the wish for another level of logs with an event stream that ends at once",
        &["transport-streamable-http/sse-not-closed-early"],
        || {
            replying(
                |asked, reply| match asks(asked, "logging/setLevel") && reply.status() == StatusCode::OK {
                    true => http_server::ended_stream(),
                    false => reply,
                },
            )
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-stream-without-answer",
        "ends event streams without the answer, unless it has to ask the client first",
        &["transport-streamable-http/sse-delivers-response"],
        || {
            http(Calm {
                act: |act| match act.message() {
                    Some(message) if is_answer(&message) => Vec::new(),
                    _ => vec![act],
                },
                ..CALM
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
            calmly(|event| match holds_answer(&event) {
                true => event.slice(..event.len() - 1),
                false => event,
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-stream-line-without-data",
        "breaks a message over two lines, the second without `data:`",
        &[
            "transport-streamable-http/sse-framing",
            "transport-streamable-http/sse-data-is-message",
        ],
        || {
            calmly(|event| match holds_answer(&event) {
                true => replaced(&event, b"data: {", b"data: {\n{"),
                false => event,
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-stream-not-utf8",
        "sends an event id that is not UTF-8",
        &["transport-streamable-http/sse-framing"],
        || calmly(|event| replaced(&event, b"id: ", b"id: caf\xe9-")),
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-stream-data-broken",
        "breaks a message over two data lines in the middle of a word",
        &["transport-streamable-http/sse-data-is-message"],
        || calmly(|event| replaced(&event, b"\"jsonrpc\"", b"\"json\ndata: rpc\"")),
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
        || framing(|event| Bytes::from([b"data:\n\n", &event[..]].concat())),
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
            Box::new(Silent(super::Plain {
                act: |act| match act {
                    Act::Open {
                        stream,
                        purpose: Purpose::Listening,
                        ..
                    } => vec![act, Act::End { stream }],
                    act => vec![act],
                },
                ..super::PLAIN
            }))
        },
    )
    .over(STREAMABLE_HTTP)
    .under(Revision::V2025_11_25),
    Fault::new(
        "http-answers-on-get",
        "sends answers that come after progress on the stream of a GET",
        &["transport-streamable-http/get-no-responses"],
        || http(Misrouted::new(|routes, act| routes.answer_by_get(act))),
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-progress-broadcast",
        "sends progress on the stream of a GET as well",
        &["transport-streamable-http/no-broadcast", "progress/monotonic"],
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
        "http-resume-repeats",
        "sends a client that comes back the event again that it has already",
        &["transport-streamable-http/resume-no-duplicates"],
        || {
            http(super::Plain {
                missed: |missed, everything| {
                    let missed = missed?;
                    let next = everything.iter().position(|event| Some(event) == missed.first());
                    let known = next.and_then(|next| everything.get(next.checked_sub(1)?));
                    Some(known.into_iter().chain(&missed).cloned().collect())
                },
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

fn replaced(event: &Bytes, from: &[u8], to: &[u8]) -> Bytes {
    match event.windows(from.len()).position(|part| part == from) {
        Some(start) => Bytes::from([&event[..start], to, &event[start + from.len()..]].concat()),
        None => event.clone(),
    }
}

/// A fault that changes the bytes of events, on streams on which nothing is asked.
fn calmly(event: fn(Bytes) -> Bytes) -> Box<dyn Decorator> {
    http(Calm { event, ..CALM })
}

/// Spoils nothing but streams that report progress and ask the client nothing, so that what else is done with streams goes on.
#[derive(Clone, Debug)]
struct Calm {
    streams: Streams,
    act: fn(Act) -> Vec<Act>,
    event: fn(Bytes) -> Bytes,
}

const CALM: Calm = Calm {
    streams: Streams {
        progressing: BTreeSet::new(),
        asking: BTreeSet::new(),
    },
    act: |act| vec![act],
    event: |event| event,
};

/// What is known of streams.
#[derive(Clone, Debug)]
struct Streams {
    progressing: BTreeSet<u64>,
    asking: BTreeSet<u64>,
}

impl Streams {
    fn note(&mut self, act: &Act) {
        if is_progress(act) {
            self.progressing.insert(act.stream());
        }
        let asks = |message: Value| message.get("method").is_some() && message.get("id").is_some();
        if act.message().is_some_and(asks) {
            self.asking.insert(act.stream());
        }
    }

    fn is_calm(&self, stream: u64) -> bool {
        self.progressing.contains(&stream) && !self.asking.contains(&stream)
    }
}

impl HttpDecorator for Calm {
    fn act(&mut self, act: Act) -> Vec<Act> {
        self.streams.note(&act);
        match self.streams.is_calm(act.stream()) {
            true => (self.act)(act),
            false => vec![act],
        }
    }

    fn event(&mut self, stream: u64, event: Bytes) -> Bytes {
        match self.streams.is_calm(stream) {
            true => (self.event)(event),
            false => event,
        }
    }
}

fn edited(event: &Bytes, edit: impl FnOnce(&str) -> String) -> Bytes {
    Bytes::from(edit(&String::from_utf8_lossy(event)))
}

/// The streams of a session that are open, and what goes to a wrong one of them.
#[derive(Clone, Debug)]
struct Misrouted {
    listening: Option<u64>,
    answering: BTreeSet<u64>,
    streams: Streams,
    route: fn(&Self, Act) -> Vec<Act>,
}

impl Misrouted {
    fn new(route: fn(&Self, Act) -> Vec<Act>) -> Self {
        Self {
            listening: None,
            answering: BTreeSet::new(),
            streams: CALM.streams,
            route,
        }
    }

    fn answer_by_get(&self, act: Act) -> Vec<Act> {
        let answers = act.message().is_some_and(|message| is_answer(&message));
        match (&act, self.listening) {
            (Act::Send { stream: own, .. }, Some(stream)) if answers && self.streams.is_calm(*own) => {
                vec![elsewhere(act, stream)]
            }
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
        self.streams.note(&act);
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
            Act::Send { .. } | Act::Interrupt { .. } => {}
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
