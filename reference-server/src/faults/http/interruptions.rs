//! Streams of Streamable HTTP whose connection ends before the answer: what is said before, and what a client finds that comes back.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::json;

use super::super::{Fault, STREAMABLE_HTTP};
use super::{PLAIN, Plain, acting, http, is_answer};
use crate::revision::Revision;
use crate::transport::deviation::{Act, HttpDecorator};

/// A fault in the revision that lets servers close a stream early.
const fn polling(fault: Fault) -> Fault {
    fault.over(STREAMABLE_HTTP).under(Revision::V2025_11_25)
}

pub(in super::super) const FAULTS: &[Fault] = &[
    polling(Fault::new(
        "http-drop-without-retry",
        "closes a stream before the answer, and does not say when to come back",
        &["transport-streamable-http/sse-retry-before-close"],
        || {
            acting(|act| match act {
                Act::Interrupt { stream, .. } => vec![Act::Interrupt { stream, retry: None }],
                act => vec![act],
            })
        },
    )),
    polling(Fault::new(
        "http-drop-without-ids",
        "closes a stream before the answer, and has given no event id to come back with",
        &[
            "transport-streamable-http/sse-early-close-resumable",
            "transport-streamable-http/sse-delivers-response",
        ],
        || {
            http(Plain {
                act: |act| match act {
                    Act::Open { stream, purpose, .. } => vec![Act::Open {
                        stream,
                        purpose,
                        primed: false,
                    }],
                    act => vec![act],
                },
                event: without_id,
                ..PLAIN
            })
        },
    )),
    polling(Fault::new(
        "http-drop-loses-result",
        "has a failure instead of the result for a client that comes back to a stream that it had closed",
        &["transport-streamable-http/polling-resume"],
        || http(Losing(BTreeSet::new())),
    )),
    Fault::new(
        "http-disconnect-cancels",
        "gives up what nobody is there to read when it is ready",
        &["transport-streamable-http/disconnect-not-cancel"],
        || http(Careless),
    )
    .over(STREAMABLE_HTTP),
];

/// The event without the line of its id.
pub(super) fn without_id(event: Bytes) -> Bytes {
    match event.strip_prefix(b"id: ") {
        Some(rest) => {
            let end = rest
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(rest.len(), |end| end + 1);
            event.slice(event.len() - rest.len() + end..)
        }
        None => event,
    }
}

/// Knows the streams that were closed before their answer.
#[derive(Clone, Debug)]
struct Losing(BTreeSet<u64>);

impl HttpDecorator for Losing {
    fn act(&mut self, act: Act) -> Vec<Act> {
        match (act, self) {
            (act @ Act::Interrupt { stream, .. }, known) => {
                known.0.insert(stream);
                vec![act]
            }
            (Act::Send { stream, kind, data }, known) if known.0.contains(&stream) => {
                let message: serde_json::Value = serde_json::from_slice(&data).unwrap_or_default();
                let data = match is_answer(&message) {
                    true => json!({
                        "jsonrpc": "2.0",
                        "id": message["id"],
                        "result": {
                            "content": [{ "type": "text", "text": "The result is no longer there" }],
                            "isError": true,
                        },
                    })
                    .to_string()
                    .into_bytes(),
                    false => data,
                };
                vec![Act::Send { stream, kind, data }]
            }
            (act, _) => vec![act],
        }
    }
}

/// Keeps nothing for readers that are away.
#[derive(Clone, Copy, Debug)]
struct Careless;

impl HttpDecorator for Careless {
    fn keeps_unread(&self) -> bool {
        false
    }
}
