//! What a server has to bear, and this one does not: messages that come together, what is no message, clients that are too early.

use serde_json::{Value, json};

use super::spoil::{Answers, Instead, error, message, params};
use super::{Decorator, Fault, ONE_STREAM, Received, STDIO};
use crate::conversation::Output;
use crate::envelope::{Incoming, Message, Request, Response};

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "pings-together-dropped",
        "reads only every second of several pings that come together",
        &["base-protocol/request-answered-once"],
        || Box::new(Hasty::default()),
    )
    .over(STDIO),
    Fault::new(
        "id-invented",
        "answers what is no JSON under an id that it makes up",
        &["base-protocol/undetectable-id"],
        || {
            Box::new(Instead(|bytes| {
                let parse_error = json!({ "jsonrpc": "2.0", "id": "unknown", "error": error(-32700, "Parse error") });
                let broken = serde_json::from_slice::<Value>(bytes).is_err();
                broken.then(|| vec![message(&parse_error)])
            }))
        },
    )
    .over(ONE_STREAM),
    Fault::new(
        "completion-of-anything",
        "completes a value that is no text with nothing, not even a list",
        &["completion/inputs-validated", "completion/result-shape"],
        || {
            Box::new(Answers(|request, _| {
                let value = params(request).get("argument")?.get("value")?.clone();
                (request.method == "completion/complete" && value.is_number()).then(|| Ok(json!({ "completion": {} })))
            }))
        },
    ),
    Fault::new(
        "early-ping-fatal",
        "opens no session for a client that has pinged before",
        &["lifecycle/ping-before-initialize"],
        || Box::new(Offended::default()),
    )
    .over(STDIO),
    Fault::new(
        "early-request-unanswered",
        "says nothing to a client that asks before it has initialized",
        &["lifecycle/request-before-initialize"],
        || Box::new(Reserved::new(Threshold::Asked)),
    )
    .over(STDIO),
    Fault::new(
        "uninitialized-unanswered",
        "says nothing to a client that asks before it has said that it is initialized",
        &["lifecycle/request-before-initialized-notification"],
        || Box::new(Reserved::new(Threshold::Told)),
    )
    .over(ONE_STREAM),
];

/// Reads no ping that directly follows another. Only those whose id is a text: the others are signs of life.
#[derive(Debug, Default)]
struct Hasty {
    pinged: bool,
}

impl Decorator for Hasty {
    fn instead(&mut self, bytes: &[u8]) -> Option<Vec<Output>> {
        let value: Value = serde_json::from_slice(bytes).ok()?;
        let ping = value["method"] == "ping" && value["id"].is_string();
        let drop = ping && self.pinged;
        self.pinged = ping && !drop;
        drop.then(Vec::new)
    }
}

/// Remembers a ping that came too early.
#[derive(Debug, Default)]
struct Offended {
    opened: bool,
    early: bool,
}

impl Decorator for Offended {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        match request.method.as_str() {
            "ping" if !self.opened => self.early = true,
            "initialize" if self.early => response.outcome = Err(error(-32600, "You have pinged already")),
            "initialize" => self.opened = true,
            _ => {}
        }
        response
    }
}

/// From when on a client is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Threshold {
    /// When it has asked for a session.
    Asked,
    /// When it has told that it is ready.
    Told,
}

/// Answers feature requests from a threshold on only.
#[derive(Debug)]
struct Reserved {
    threshold: Threshold,
    asked: bool,
    told: bool,
}

impl Reserved {
    fn new(threshold: Threshold) -> Self {
        Self {
            threshold,
            asked: false,
            told: false,
        }
    }

    fn is_ready(&self) -> bool {
        match self.threshold {
            Threshold::Asked => self.asked,
            Threshold::Told => self.told || !self.asked,
        }
    }
}

impl Decorator for Reserved {
    fn incoming(&mut self, incoming: Incoming) -> Incoming {
        match &incoming {
            Incoming::Request(request) if request.method == "initialize" => self.asked = true,
            Incoming::Notification { method, .. } if method == "notifications/initialized" => self.told = true,
            _ => {}
        }
        incoming
    }

    fn outputs(&mut self, received: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        if matches!(received, Received::Requests(_)) && !self.is_ready() {
            outputs.retain(|output| !answers_feature(output));
        }
        outputs
    }
}

/// Whether it is an answer to something else than the opening of a session or a ping.
fn answers_feature(output: &Output) -> bool {
    let Output::Message {
        message: Message::Response(Response { outcome, .. }),
        ..
    } = output
    else {
        return false;
    };
    match outcome {
        Ok(result) => result.get("protocolVersion").is_none() && result.as_object().is_some_and(|it| !it.is_empty()),
        Err(_) => true,
    }
}
