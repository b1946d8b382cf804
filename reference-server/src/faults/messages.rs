//! Faults in the form of messages: ids, envelopes, framing, and frames that end the server.

use serde_json::{Value, json};

use super::spoil::{
    After, Answers, Bytes, Instead, Results, error, internal, is_unknown_tool, message, notification, rewritten,
};
use super::{Decorator, Fault, Received, STDIO};
use crate::conversation::Output;
use crate::envelope::{Request, Response};
use crate::revision::Revision;

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "both",
        "has error beside result in responses, set to null",
        &["base-protocol/response-result-xor-error"],
        || {
            edited(|message| {
                if message.get("result").is_some() {
                    message["error"] = json!(null);
                }
            })
        },
    ),
    Fault::new(
        "code-text",
        "writes error codes as texts",
        &["base-protocol/error-code-integer"],
        || {
            edited(|message| {
                let unknown = |error: &&mut Value| {
                    error["message"]
                        .as_str()
                        .is_some_and(|text| text.starts_with("Unknown tool"))
                };
                if let Some(error) = message.get_mut("error").filter(unknown) {
                    error["code"] = json!("-32602");
                }
            })
        },
    ),
    Fault::new(
        "no-jsonrpc",
        "leaves jsonrpc out of answers",
        &["base-protocol/jsonrpc-member"],
        || edited(|message| drop(super::spoil::take(message, "jsonrpc"))),
    ),
    Fault::new(
        "no-error-message",
        "gives errors no message",
        &["base-protocol/error-message-string"],
        || {
            edited(|message| {
                if let Some(error) = message.get_mut("error") {
                    super::spoil::take(error, "message");
                }
            })
        },
    ),
    Fault::new(
        "result-text",
        "returns a text instead of an object",
        &["base-protocol/result-is-object"],
        || {
            Box::new(Results(|request, result| {
                if super::spoil::asks(request, "tools/call", "echo") && result["isError"] != true {
                    *result = json!("done");
                }
            }))
        },
    ),
    Fault::new(
        "kinds-mixed",
        "sends a message that is notification and response at once",
        &["base-protocol/message-kind-closed"],
        || {
            Box::new(After::new(
                "prompts/list",
                || json!({ "jsonrpc": "2.0", "method": "notifications/prompts/list_changed", "result": {} }),
            ))
        },
    ),
    Fault::new(
        "reserved-code",
        "uses an error code that JSON-RPC keeps for itself",
        &["base-protocol/error-code-reserved-range"],
        || {
            Box::new(Answers(|request, response| {
                is_unknown_tool(request, response).then(|| Err(error(-32500, "Unknown tool")))
            }))
        },
    ),
    Fault::new(
        "wrong-code",
        "has an internal error when a method is unknown",
        &["base-protocol/method-not-found"],
        || {
            Box::new(Answers(|_, response| {
                response
                    .outcome
                    .as_ref()
                    .is_err_and(|error| error.code == -32601)
                    .then(|| Err(internal()))
            }))
        },
    ),
    Fault::new(
        "method-ci",
        "knows methods whatever the case of their names",
        &["base-protocol/method-not-found"],
        || Box::new(Answers(|request, _| (request.method == "PING").then(|| Ok(json!({}))))),
    ),
    Fault::new(
        "unknown-method-ok",
        "answers methods that do not exist",
        &["base-protocol/method-not-found", "base-protocol/concurrent-requests"],
        || {
            Box::new(Answers(|request, _| {
                (request.method == "touchstone/no-such-method").then(|| Ok(json!({})))
            }))
        },
    ),
    Fault::new(
        "ghost",
        "answers a request that nobody has made",
        &["base-protocol/response-id-echo"],
        || {
            Box::new(After::new(
                "prompts/list",
                || json!({ "jsonrpc": "2.0", "id": 987_654_321, "result": {} }),
            ))
        },
    ),
    Fault::new(
        "notification-id",
        "gives notifications an id",
        &["base-protocol/server-notification-no-id"],
        || {
            Box::new(After::new(
                "prompts/list",
                || json!({ "jsonrpc": "2.0", "id": null, "method": "notifications/prompts/list_changed" }),
            ))
        },
    ),
    Fault::new(
        "notification-params-array",
        "has an array for the params of a notification",
        &["base-protocol/server-params-object"],
        || {
            Box::new(After::new("prompts/list", || {
                notification("notifications/prompts/list_changed", json!([]))
            }))
        },
    ),
    Fault::new(
        "array-answer",
        "sends an answer as an array where there are no batches",
        &["base-protocol/batch-not-emitted"],
        || {
            edited(|message| {
                if message.pointer("/result/content/0/text") == Some(&json!("Wrote the note \"0\""))
                    || message["result"]["prompts"].is_array()
                {
                    *message = json!([message]);
                }
            })
        },
    ),
    Fault::new(
        "batch-short",
        "leaves out the last answer to a batch",
        &[
            "base-protocol/batch-response-complete",
            "base-protocol/batch-receive",
            "transport-streamable-http/batch-mixed",
        ],
        || {
            edited(|message| {
                if let Some(answers) = message.as_array_mut().filter(|answers| answers.len() > 1) {
                    answers.pop();
                }
            })
        },
    )
    .under(Revision::V2025_03_26),
    Fault::new(
        "batch-of-nothing",
        "answers a batch of notifications",
        &[
            "base-protocol/batch-notifications-only",
            "transport-streamable-http/batch-no-requests-202",
            "base-protocol/unknown-notification-silent",
            "base-protocol/notification-no-response",
        ],
        || {
            Box::new(Instead(|bytes| {
                let notifications = bytes.trim_ascii_start().starts_with(b"[")
                    && !has(bytes, b"\"id\"")
                    && has(bytes, b"notifications/touchstone");
                notifications.then(|| vec![message(&json!({ "jsonrpc": "2.0", "id": null, "result": {} }))])
            }))
        },
    )
    .under(Revision::V2025_03_26),
    Fault::new(
        "reply-unknown-notification",
        "answers notifications that it does not know",
        &["base-protocol/unknown-notification-silent"],
        || {
            Box::new(Instead(|bytes| {
                let unknown = has(bytes, b"notifications/touchstone/") && !has(bytes, b"[{");
                unknown.then(|| {
                    vec![message(
                        &json!({ "jsonrpc": "2.0", "id": null, "error": error(-32601, "Method not found") }),
                    )]
                })
            }))
        },
    ),
    Fault::new(
        "params-demanded",
        "refuses requests without params",
        &["base-protocol/optional-params-absent", "tools/list-supported"],
        || {
            Box::new(Instead(|bytes| {
                let value: Value = serde_json::from_slice(bytes).ok()?;
                let bare =
                    value["method"] == "tools/list" && value.get("params").is_none() && value.get("id").is_some();
                bare.then(|| {
                    vec![message(
                        &json!({ "jsonrpc": "2.0", "id": value["id"], "error": error(-32602, "params are missing") }),
                    )]
                })
            }))
        },
    ),
    Fault::new(
        "json-log",
        "writes JSON that is no message on stdout",
        &["transport-stdio/stdout-schema-valid"],
        || {
            Box::new(After::new(
                "prompts/list",
                || json!({ "level": "info", "text": "prompts listed" }),
            ))
        },
    )
    .over(STDIO),
    Fault::new(
        "pretty",
        "spreads a message over several lines",
        &["transport-stdio/no-embedded-newlines"],
        || Box::new(Pretty::default()),
    )
    .over(STDIO),
    Fault::new(
        "content-length",
        "frames messages as the Language Server Protocol does",
        &["transport-stdio/newline-delimited"],
        || {
            Box::new(Bytes(|bytes| {
                let head = format!("Content-Length: {}\r\n\r\n", bytes.len());
                [head.into_bytes(), bytes].concat()
            }))
        },
    )
    .over(STDIO),
    Fault::new(
        "bad-utf8",
        "sends a byte that is no UTF-8",
        &["base-protocol/utf8-output"],
        || Box::new(BadUtf8::default()),
    )
    .over(STDIO),
    Fault::new(
        "goodbye",
        "prints a line of text on stdout at the end",
        &["transport-stdio/exit-quiet"],
        || Box::new(Goodbye),
    )
    .over(STDIO),
    Fault::new(
        "strict-lines",
        "reads only lines that begin with a brace",
        &["transport-stdio/reads-split-messages"],
        || {
            Box::new(Instead(|bytes| {
                (bytes.starts_with(b" ") && has(bytes, b"spaces")).then(|| {
                    vec![message(
                        &json!({ "jsonrpc": "2.0", "id": "spaces", "error": error(-32700, "Parse error") }),
                    )]
                })
            }))
        },
    )
    .over(STDIO),
    Fault::new(
        "die-utf8",
        "exits with code 1 on bytes that are no UTF-8",
        &["base-protocol/survives-garbage"],
        || dying(|bytes| std::str::from_utf8(bytes).is_err()),
    ),
    Fault::new(
        "die-deep",
        "exits with code 1 on deeply nested values",
        &["base-protocol/survives-garbage"],
        || dying(|bytes| has(bytes, &[b'['; 200])),
    ),
    Fault::new(
        "die-notification",
        "exits with code 1 on notifications that it does not know",
        &["base-protocol/request-answered-once"],
        || dying(|bytes| has(bytes, b"notifications/touchstone/unknown\"")),
    ),
    Fault::new(
        "die-large",
        "exits with code 1 on a megabyte",
        &["base-protocol/request-answered-once"],
        || dying(|bytes| bytes.len() > 500_000),
    ),
    Fault::new(
        "die-scalar",
        "exits with code 1 on JSON that is no object",
        &["base-protocol/survives-garbage"],
        || dying(|bytes| bytes.trim_ascii() == b"null"),
    ),
    Fault::new(
        "die-foreign-framing",
        "exits with code 1 on the headers of another protocol",
        &["base-protocol/survives-garbage"],
        || dying(|bytes| bytes.starts_with(b"Content-Length")),
    )
    .over(STDIO),
    Fault::new(
        "ping-storm",
        "pings after every request",
        &["ping/server-ping-not-excessive"],
        || Box::new(PingStorm::default()),
    )
    .over(STDIO),
    Fault::new(
        "ping-result",
        "answers pings with more than an empty result",
        &["ping/empty-result"],
        || {
            Box::new(Results(|request, result| {
                if request.method == "ping" {
                    *result = json!({ "pong": true });
                }
            }))
        },
    ),
    Fault::new(
        "ping-params-refused",
        "refuses pings with empty params",
        &["ping/with-params"],
        || {
            Box::new(Instead(|bytes| {
                let value: Value = serde_json::from_slice(bytes).ok()?;
                let empty =
                    value["method"] == "ping" && value.get("params") == Some(&json!({})) && value["id"] != "spaces";
                empty.then(|| {
                    vec![message(
                        &json!({ "jsonrpc": "2.0", "id": value["id"], "error": error(-32602, "no params") }),
                    )]
                })
            }))
        },
    ),
];

/// Changes whole messages.
fn edited(change: fn(&mut Value)) -> Box<dyn Decorator> {
    Box::new(Edited(change))
}

#[derive(Debug)]
struct Edited(fn(&mut Value));

impl Decorator for Edited {
    fn outputs(&mut self, _: Received, outputs: Vec<Output>) -> Vec<Output> {
        rewritten(outputs, |bytes| {
            let mut value = serde_json::from_slice(&bytes).unwrap_or_default();
            (self.0)(&mut value);
            value.to_string().into_bytes()
        })
    }
}

/// Ends the server on some frames.
fn dying(of: fn(&[u8]) -> bool) -> Box<dyn Decorator> {
    Box::new(Dying(of))
}

#[derive(Debug)]
struct Dying(fn(&[u8]) -> bool);

impl Decorator for Dying {
    fn instead(&mut self, bytes: &[u8]) -> Option<Vec<Output>> {
        (self.0)(bytes).then(|| vec![Output::Exit(1)])
    }
}

pub(super) fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// `bad-utf8`: once, inside a notification.
#[derive(Debug, Default)]
struct BadUtf8 {
    due: bool,
}

impl Decorator for BadUtf8 {
    fn response(&mut self, request: &Request, response: Response) -> Response {
        self.due |= request.method == "prompts/list";
        response
    }

    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        if std::mem::take(&mut self.due) {
            let bytes = b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/prompts/list_changed\",\"params\":{\"_meta\":{\"com.example/text\":\"\x97\"}}}";
            outputs.push(Output::Message {
                message: crate::envelope::Message::Raw(bytes.to_vec()),
                after: std::time::Duration::ZERO,
                request: None,
            });
        }
        outputs
    }
}

/// `pretty`: once, a notification as people like to read it.
#[derive(Debug, Default)]
struct Pretty {
    due: bool,
}

impl Decorator for Pretty {
    fn response(&mut self, request: &Request, response: Response) -> Response {
        self.due |= request.method == "prompts/list";
        response
    }

    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        if std::mem::take(&mut self.due) {
            let news = notification("notifications/prompts/list_changed", json!({}));
            outputs.push(Output::Text(format!("{news:#}")));
        }
        outputs
    }
}

/// `goodbye`: a last word.
#[derive(Debug)]
struct Goodbye;

impl Decorator for Goodbye {
    fn at_end(&self) -> Vec<Output> {
        vec![Output::Text("Goodbye".to_owned())]
    }
}

/// `ping-storm`.
#[derive(Debug, Default)]
struct PingStorm {
    sent: usize,
}

impl Decorator for PingStorm {
    fn outputs(&mut self, received: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        if matches!(received, Received::Requests(_)) {
            self.sent += 1;
            outputs.push(message(
                &json!({ "jsonrpc": "2.0", "id": format!("storm-{}", self.sent), "method": "ping" }),
            ));
        }
        outputs
    }
}
