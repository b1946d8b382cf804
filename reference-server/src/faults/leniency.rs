//! Input that should be refused or passed over, and is served, answered or the end of the server.

use serde_json::{Value, json};

use super::spoil::{Answers, Instead, error, message, params, take};
use super::{Decorator, Fault, ONE_STREAM, Received};
use crate::conversation::Output;
use crate::envelope::{Incoming, Message, Request, Response};
use crate::revision::Revision;

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "batch-served",
        "serves batches in a revision that has none",
        &["base-protocol/batch-refused"],
        || {
            Box::new(Instead(|bytes| {
                let batch: Vec<Value> = serde_json::from_slice(bytes).ok()?;
                let asks = |entry: &&Value| entry["method"] == "ping" && entry.get("id").is_some();
                let answers: Vec<Value> = batch.iter().filter(asks).map(|entry| pong(&entry["id"])).collect();
                (!answers.is_empty()).then(|| vec![message(&json!(answers))])
            }))
        },
    ),
    Fault::new(
        "version-one-served",
        "serves requests of JSON-RPC 1.0",
        &["base-protocol/invalid-request"],
        || {
            Box::new(Instead(|bytes| {
                let value: Value = serde_json::from_slice(bytes).ok()?;
                let served = value["method"] == "ping" && value["jsonrpc"] == "1.0" && value.get("id").is_some();
                served.then(|| vec![message(&pong(&value["id"]))])
            }))
        },
    ),
    Fault::new(
        "parse-error-code",
        "has a code of its own for what is no JSON",
        &["base-protocol/parse-error"],
        || {
            Box::new(Instead(|bytes| {
                let broken = serde_json::from_slice::<Value>(bytes).is_err();
                broken.then(|| {
                    let error = error(-32001, "What is this?");
                    vec![message(&json!({ "jsonrpc": "2.0", "id": null, "error": error }))]
                })
            }))
        },
    ),
    Fault::new(
        "undeclared-served",
        "serves prompts without saying that it has some",
        &["base-protocol/undeclared-method-refused", "prompts/capability-declared"],
        || Box::new(Discreet),
    ),
    Fault::new(
        "batch-empty-array",
        "answers an empty batch with an empty array",
        &["base-protocol/batch-empty"],
        || {
            Box::new(Instead(|bytes| {
                (bytes.trim_ascii() == b"[]").then(|| vec![message(&json!([]))])
            }))
        },
    )
    .under(Revision::V2025_03_26),
    Fault::new(
        "batch-all-or-nothing",
        "refuses a batch as a whole for one entry that is no message",
        &["base-protocol/batch-invalid-entry"],
        || {
            Box::new(Instead(|bytes| {
                let batch: Vec<Value> = serde_json::from_slice(bytes).ok()?;
                let mixed = batch.iter().any(Value::is_object) && !batch.iter().all(Value::is_object);
                mixed.then(|| {
                    let error = error(-32600, "Invalid request");
                    vec![message(&json!({ "jsonrpc": "2.0", "id": null, "error": error }))]
                })
            }))
        },
    )
    .under(Revision::V2025_03_26),
    Fault::new(
        "batch-initialize-served",
        "opens a session by a batch",
        &["base-protocol/batch-initialize"],
        || {
            Box::new(Instead(|bytes| {
                let batch: Vec<Value> = serde_json::from_slice(bytes).ok()?;
                let opening = batch.iter().find(|entry| entry["method"] == "initialize")?;
                let result = json!({
                    "protocolVersion": "2025-03-26",
                    "capabilities": {},
                    "serverInfo": { "name": "touchstone-reference", "version": "1" },
                });
                let answer = json!({ "jsonrpc": "2.0", "id": opening["id"], "result": result });
                Some(vec![message(&json!([answer]))])
            }))
        },
    )
    // Over Streamable HTTP an array opens no session.
    .over(ONE_STREAM)
    .under(Revision::V2025_03_26),
    Fault::new(
        "params-array-served",
        "serves a ping with an array of params",
        &["base-protocol/params-must-be-object"],
        || {
            Box::new(Instead(|bytes| {
                let value: Value = serde_json::from_slice(bytes).ok()?;
                (value["method"] == "ping" && value["params"].is_array()).then(|| vec![message(&pong(&value["id"]))])
            }))
        },
    ),
    Fault::new(
        "malformed-cancel-answered",
        "answers cancellations that do not say what is cancelled",
        &[
            "base-protocol/malformed-notification-silent",
            "cancellation/malformed-ignored",
        ],
        || {
            Box::new(Instead(|bytes| {
                let value: Value = serde_json::from_slice(bytes).ok()?;
                let id = &value["params"]["requestId"];
                let malformed = value["method"] == "notifications/cancelled" && !id.is_string() && !id.is_number();
                malformed.then(|| {
                    let error = error(-32602, "Invalid params");
                    vec![message(&json!({ "jsonrpc": "2.0", "id": null, "error": error }))]
                })
            }))
        },
    ),
    Fault::new(
        "initialize-anonymous",
        "opens a session for a client that does not say who it is and what it can do",
        &["lifecycle/initialize-invalid-params"],
        || Box::new(Trusting),
    ),
    Fault::new(
        "set-level-anything",
        "accepts levels that there are not",
        &["logging/set-level-invalid"],
        || {
            Box::new(Answers(|request, response| {
                let some = params(request).contains_key("level");
                (request.method == "logging/setLevel" && some && response.outcome.is_err()).then(|| Ok(json!({})))
            }))
        },
    ),
    Fault::new(
        "set-level-nothing",
        "accepts the wish for no level",
        &["logging/set-level-missing"],
        || {
            Box::new(Answers(|request, response| {
                let some = params(request).contains_key("level");
                (request.method == "logging/setLevel" && !some && response.outcome.is_err()).then(|| Ok(json!({})))
            }))
        },
    ),
    Fault::new(
        "null-id-served",
        "serves requests whose id is null",
        &["base-protocol/null-id-request"],
        || {
            Box::new(Instead(|bytes| {
                let value: Value = serde_json::from_slice(bytes).ok()?;
                let served = value["method"] == "ping" && value.get("id") == Some(&Value::Null);
                served.then(|| vec![message(&pong(&Value::Null))])
            }))
        },
    ),
    Fault::new(
        "fractional-id-rounded",
        "rounds ids",
        &["base-protocol/fractional-id"],
        || {
            Box::new(Instead(|bytes| {
                let value: Value = serde_json::from_slice(bytes).ok()?;
                let id = value["id"].as_f64().filter(|id| id.fract() != 0.0)?;
                (value["method"] == "ping").then(|| vec![message(&pong(&json!(id.trunc())))])
            }))
        },
    ),
    Fault::new(
        "double-id-answered-twice",
        "answers a request with two ids under both",
        &["security/duplicate-keys-in"],
        || {
            Box::new(Instead(|bytes| {
                let double = bytes.windows(13).any(|part| part == b"\"id\":\"second\"")
                    && bytes.windows(12).any(|part| part == b"\"id\":\"first\"");
                double.then(|| {
                    ["first", "second"]
                        .iter()
                        .map(|id| message(&pong(&json!(id))))
                        .collect()
                })
            }))
        },
    ),
    Fault::new(
        "version-refused-without-data",
        "refuses a version without saying which ones it knows",
        &["lifecycle/version-error-data", "lifecycle/version-counter-offer"],
        || {
            Box::new(Answers(|request, _| {
                let old = params(request)
                    .get("protocolVersion")
                    .and_then(Value::as_str)
                    .is_some_and(|version| version < "2024");
                (request.method == "initialize" && old).then(|| Err(error(-32602, "Unsupported protocol version")))
            }))
        },
    ),
    Fault::new(
        "stray-response-answered",
        "complains about responses to nothing",
        &["base-protocol/unsolicited-response-ignored"],
        || {
            Box::new(Instead(|bytes| {
                let value: Value = serde_json::from_slice(bytes).ok()?;
                let id = value["id"].as_str()?;
                let stray =
                    value.get("method").is_none() && (value.get("result").is_some() || value.get("error").is_some());
                stray.then(|| {
                    let error = error(-32600, "Nothing was asked");
                    vec![message(&json!({ "jsonrpc": "2.0", "id": id, "error": error }))]
                })
            }))
        },
    )
    // Over Streamable HTTP it would not be acknowledged with 202 either.
    .over(ONE_STREAM),
    Fault::new(
        "second-initialize-other-version",
        "agrees on another version when a client initializes again",
        &["lifecycle/second-initialize"],
        || Box::new(Wavering::default()),
    ),
];

fn pong(id: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": {} })
}

/// Has prompts, and does not say so.
#[derive(Debug)]
struct Discreet;

impl Decorator for Discreet {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if let ("initialize", Ok(result)) = (request.method.as_str(), &mut response.outcome) {
            take(&mut result["capabilities"], "prompts");
        }
        response
    }

    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        outputs.retain(|output| {
            let (Output::Message { message, .. } | Output::Aside(message)) = output else {
                return true;
            };
            !matches!(message, Message::Notification { method, .. } if *method == "notifications/prompts/list_changed")
        });
        outputs
    }
}

/// Fills in what a client does not say of itself.
#[derive(Debug)]
struct Trusting;

impl Decorator for Trusting {
    fn incoming(&mut self, mut incoming: Incoming) -> Incoming {
        if let Incoming::Request(request) = &mut incoming
            && request.method == "initialize"
            && let Ok(params) = &mut request.params
        {
            params.entry("protocolVersion").or_insert(json!("2025-06-18"));
            params.entry("capabilities").or_insert(json!({}));
            params
                .entry("clientInfo")
                .or_insert(json!({ "name": "somebody", "version": "0" }));
        }
        incoming
    }
}

/// Knows whether a session was opened before.
#[derive(Debug, Default)]
struct Wavering {
    opened: bool,
}

impl Decorator for Wavering {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if let ("initialize", Ok(result)) = (request.method.as_str(), &mut response.outcome)
            && std::mem::replace(&mut self.opened, true)
        {
            result["protocolVersion"] = json!("2024-11-05");
        }
        response
    }
}
