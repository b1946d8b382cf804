//! Faults of ids, of both sides, and of who asks whom for what.

use serde_json::{Value, json};

use super::messages::has;
use super::spoil::{After, Answers, Instead, Results, error, message};
use super::{Decorator, Fault, Received};
use crate::conversation::Output;
use crate::envelope::{Id, Request, Response};

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "id-digits",
        "turns string ids of digits into numbers",
        &["base-protocol/response-id-type"],
        || Box::new(IdDigits),
    ),
    Fault::new(
        "id-float",
        "writes number ids with a fraction",
        &["base-protocol/response-id-type", "base-protocol/response-id-echo"],
        || Box::new(IdFloat),
    ),
    Fault::new(
        "id-i32",
        "keeps 32 bits of number ids",
        &[
            "base-protocol/response-id-echo",
            "base-protocol/request-answered-once",
            "base-protocol/integer-id-supported",
        ],
        || Box::new(IdCut),
    ),
    Fault::new(
        "id-zero-falsy",
        "takes a request with the id 0 for a notification",
        &[
            "base-protocol/request-answered-once",
            "transport-streamable-http/request-content-type",
        ],
        || Box::new(Instead(|bytes| has(bytes, b"\"id\":0,").then(Vec::new))),
    ),
    Fault::new(
        "string-ids-refused",
        "refuses pings with string ids",
        &[
            "transport-stdio/reads-split-messages",
            "base-protocol/string-id-supported",
            "base-protocol/concurrent-requests",
        ],
        || {
            Box::new(Answers(|request, _| {
                let string = request.id.token().starts_with('"');
                (request.method == "ping" && string).then(|| Err(error(-32600, "The id must be a number")))
            }))
        },
    ),
    Fault::new(
        "ascii-only",
        "refuses messages beyond ASCII",
        &["base-protocol/utf8-input"],
        || {
            Box::new(Instead(|bytes| {
                let value: Value = serde_json::from_slice(bytes).ok().filter(|_| !bytes.is_ascii())?;
                let id = value.get("id")?;
                Some(vec![message(
                    &json!({ "jsonrpc": "2.0", "id": id, "error": error(-32700, "ASCII only") }),
                )])
            }))
        },
    ),
    Fault::new(
        "request-id-fraction",
        "asks with a fraction for an id",
        &[
            "base-protocol/server-request-id-type",
            "base-protocol/server-request-id-unique",
            "ping/server-ping-not-excessive",
        ],
        || {
            Box::new(After::new(
                "prompts/list",
                || json!({ "jsonrpc": "2.0", "id": 1.5, "method": "ping" }),
            ))
        },
    ),
    Fault::new(
        "request-id-reused",
        "asks with the same id again",
        &[
            "base-protocol/server-request-id-unique",
            "ping/server-ping-not-excessive",
        ],
        || {
            Box::new(After::new(
                "prompts/list",
                || json!({ "jsonrpc": "2.0", "id": "again", "method": "ping" }),
            ))
        },
    ),
    Fault::new(
        "asks-anyone",
        "asks for roots whatever the client has declared",
        &["client-features/roots-needs-capability"],
        || {
            Box::new(Asks {
                when: "tools/call",
                first: false,
                asked: 0,
                due: false,
            })
        },
    ),
    Fault::new(
        "asks-early",
        "asks for roots before it has answered initialize",
        &[
            "lifecycle/no-requests-before-initialized",
            "base-protocol/undeclared-client-capability-unused",
            "client-features/roots-needs-capability",
        ],
        || {
            Box::new(Asks {
                when: "initialize",
                first: true,
                asked: 0,
                due: false,
            })
        },
    ),
    Fault::new(
        "scalar",
        "sends a number where a message belongs",
        &["base-protocol/message-is-object", "transport-stdio/stdout-schema-valid"],
        || Box::new(After::new("prompts/list", || json!(5))),
    ),
    Fault::new(
        "offer-words",
        "offers the latest version, in words",
        &[
            "lifecycle/protocol-version-string",
            "lifecycle/version-counter-offer-usable",
        ],
        || {
            Box::new(Results(|request, result| {
                let wanted = request
                    .params
                    .as_ref()
                    .ok()
                    .and_then(|params| params.get("protocolVersion"));
                if request.method == "initialize" && wanted == Some(&json!("1999-01-01")) {
                    result["protocolVersion"] = json!("latest");
                }
            }))
        },
    ),
    Fault::new(
        "ping-unknown",
        "does not know ping",
        &[
            "cancellation/late-response-ignored",
            "client-features/elicitation-decline-handled",
            "client-features/roots-change-handled",
            "client-features/roots-unavailable",
            "ping/answered",
            "ping/empty-result",
            "ping/with-params",
            "ping/prompt",
            "ping/no-capability",
            "lifecycle/ping-before-initialized",
            "base-protocol/utf8-input",
            "base-protocol/unknown-params-members",
            "cancellation/race-graceful",
            "lifecycle/initialized-notification-accepted",
            "meta/reserved-values-not-assumed",
            "meta/vendor-keys-accepted",
            "progress/token-accepted-everywhere",
            "progress/token-types",
            "transport-stdio/reads-split-messages",
            "base-protocol/string-id-supported",
            "base-protocol/integer-id-supported",
            "base-protocol/concurrent-requests",
        ],
        || {
            Box::new(Answers(|request, _| {
                (request.method == "ping").then(|| Err(error(-32601, "Method not found: ping")))
            }))
        },
    ),
];

/// Asks the client for its roots.
#[derive(Debug)]
struct Asks {
    /// The method behind whose requests it asks.
    when: &'static str,
    /// Whether it asks before it answers.
    first: bool,
    asked: usize,
    due: bool,
}

impl Decorator for Asks {
    fn response(&mut self, request: &Request, response: Response) -> Response {
        self.due |= request.method == self.when;
        response
    }

    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        if std::mem::take(&mut self.due) {
            self.asked += 1;
            let question = json!({ "jsonrpc": "2.0", "id": format!("ask-{}", self.asked), "method": "roots/list" });
            let place = if self.first { 0 } else { outputs.len() };
            outputs.insert(place, message(&question));
        }
        outputs
    }
}

/// Changes the ids of answers.
fn with_id(response: Response, change: impl Fn(&str) -> Option<String>) -> Response {
    match change(response.id.token()).and_then(|token| Id::from_token(token).ok()) {
        Some(id) => Response { id, ..response },
        None => response,
    }
}

/// `id-digits`: `"7"` comes back as `7`.
#[derive(Debug)]
struct IdDigits;

impl Decorator for IdDigits {
    fn response(&mut self, _: &Request, response: Response) -> Response {
        with_id(response, |token| {
            let digits = token.strip_prefix('"')?.strip_suffix('"')?;
            (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.to_owned())
        })
    }
}

/// `id-float`: 7 comes back as 7.5.
#[derive(Debug)]
struct IdFloat;

impl Decorator for IdFloat {
    fn response(&mut self, request: &Request, response: Response) -> Response {
        if request.method != "prompts/list" {
            return response;
        }
        with_id(response, |token| {
            token
                .bytes()
                .all(|byte| byte.is_ascii_digit())
                .then(|| format!("{token}.0"))
        })
    }
}

/// `id-i32`: 2147483648 comes back as -2147483648.
#[derive(Debug)]
struct IdCut;

impl Decorator for IdCut {
    fn response(&mut self, _: &Request, response: Response) -> Response {
        with_id(response, |token| {
            let number: i64 = token.parse().ok()?;
            #[expect(clippy::cast_possible_truncation, reason = "the fault")]
            let cut = number as i32;
            (i64::from(cut) != number).then(|| cut.to_string())
        })
    }
}
