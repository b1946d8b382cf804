//! Faults in messages of the stateless era: their types and codes, whose turn it is to speak, and what is remembered.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::spoil::{Answers, Bytes, Every, Results, asks, error, params, take};
use super::super::{Decorator, Fault, Received};
use super::{CAPABILITIES, LOG_LEVEL, Reads, fault, is_stateless, stdio_fault, told};
use crate::conversation::Output;
use crate::envelope::{Incoming, Message, Request, Response, RpcError};
use crate::stateless::complete;

pub(in super::super) const FAULTS: &[Fault] = &[
    fault(
        "asks-client",
        "makes a request of its own to the client while a tool is called",
        &[
            "base-protocol/no-server-requests",
            "base-protocol/server-method-vocabulary",
        ],
        || Box::new(AsksClient(0)),
    ),
    stdio_fault(
        "news-at-start",
        "tells news before anybody has asked for anything",
        &[
            "base-protocol/no-unprompted-traffic",
            "subscriptions/no-delivery-without-listen",
            "transport-stdio/notifications-scoped",
            // The first that comes on every connection.
            "subscriptions/no-state-across-connections",
        ],
        || Box::new(NewsAtStart),
    ),
    fault(
        "result-untyped",
        "does not say of what type a list of prompts is",
        &["base-protocol/result-type-present"],
        || {
            Box::new(Every("prompts/list", |result| {
                take(result, "resultType");
            }))
        },
    ),
    fault(
        "result-type-unknown",
        "has a type of results that nobody knows",
        &["base-protocol/result-type-known"],
        || {
            Box::new(Every("prompts/list", |result| {
                if is_stateless(result) {
                    result["resultType"] = json!("partial");
                }
            }))
        },
    ),
    fault(
        "code-reserved",
        "has an error code of its own that is reserved for JSON-RPC",
        &[
            "base-protocol/app-codes-outside-reserved",
            "tools/unknown-tool-code",
            "tools/unknown-tool-error",
        ],
        || coded(-32_500),
    ),
    fault(
        "code-legacy",
        "has an error code of its own in the range that was left to implementations before",
        &[
            "base-protocol/legacy-error-range-unused",
            "base-protocol/app-codes-outside-reserved",
            "tools/unknown-tool-code",
            "tools/unknown-tool-error",
        ],
        || coded(-32_001),
    ),
    fault(
        "code-of-mcp",
        "has an error code of its own in the range that is the protocol's",
        &[
            "base-protocol/reserved-range-only-defined",
            "base-protocol/app-codes-outside-reserved",
            "tools/unknown-tool-code",
            "tools/unknown-tool-error",
        ],
        || coded(-32_050),
    ),
    fault(
        "code-of-header",
        "says that the header is wrong when a tool is not known",
        &[
            "base-protocol/reserved-codes-own-meaning",
            "transport-stdio/no-header-layer",
            "tools/unknown-tool-code",
            "tools/unknown-tool-error",
            "headers/mismatch-body-json-rpc",
        ],
        || coded(-32_020),
    ),
    fault(
        "code-retired",
        "does not find a resource with the code that was given up",
        &["base-protocol/retired-codes-unused", "resources/not-found-code"],
        || resource_missing(|error| Err(RpcError { code: -32_002, ..error })),
    ),
    fault(
        "missing-resource-invalid",
        "calls a request for a resource that does not exist an invalid one",
        &["resources/not-found-code"],
        || resource_missing(|error| Err(RpcError { code: -32_600, ..error })),
    ),
    fault(
        "not-found-empty",
        "gives no contents for a resource that does not exist",
        &[
            "resources/not-found-not-empty",
            "resources/not-found-error",
            "resources/not-found-code",
            // A text that is no URI names nothing either.
            "resources/uri-validated",
        ],
        || resource_missing(|_| Ok(complete("resources/read", json!({ "contents": [] })))),
    ),
    fault(
        "not-found-no-uri",
        "does not say which resource it does not find",
        &["resources/not-found-data-uri"],
        || resource_missing(|error| Err(RpcError { data: None, ..error })),
    ),
    fault(
        "capabilities-kept",
        "goes by what a client has declared earlier when it declares nothing",
        &[
            "base-protocol/no-state-from-earlier-requests",
            "base-protocol/interleaved-conversations",
            "base-protocol/undeclared-client-capability-unused",
            "ext-tasks/never-for-undeclared-client",
            "ext-tasks/methods-need-capability",
            "ext-tasks/listen-needs-capability",
            "ext-tasks/required-capability-error",
            "discover/extension-fallback",
            "meta/missing-capability-error",
            "client-features/elicitation-needs-capability",
            "client-features/sampling-needs-capability",
            "client-features/roots-needs-capability",
            "client-features/elicitation-mode-supported",
            "client-features/sampling-tools-capability",
            "base-protocol/result-type-known",
        ],
        || Box::new(Kept(json!({}))),
    ),
    fault(
        "slow-blocks",
        "answers nobody while a tool takes its time",
        &["base-protocol/slow-request-nonblocking"],
        || Box::new(Blocks(None)),
    ),
    stdio_fault(
        "cursors-of-process",
        "knows only the cursors that the same process has given out",
        &["base-protocol/no-connection-affinity", "pagination/stable-cursors"],
        || Box::new(OwnCursors(getrandom::u64().unwrap_or_default())),
    ),
    fault(
        "logs-unasked",
        "logs for clients that want no logs",
        &["logging/none-without-level"],
        || {
            Box::new(Reads(|method, params| {
                if let Some(meta) = params.get_mut("_meta").filter(|meta| meta.get(CAPABILITIES).is_some())
                    && meta.get(LOG_LEVEL).is_none()
                    && method == "tools/call"
                {
                    meta[LOG_LEVEL] = json!("debug");
                }
            }))
        },
    ),
    fault(
        "logs-all",
        "logs at every level for clients that want the severe ones",
        &["logging/threshold-respected"],
        || {
            Box::new(Reads(|_, params| {
                if let Some(meta) = params.get_mut("_meta")
                    && meta
                        .get(LOG_LEVEL)
                        .is_some_and(|level| level.is_string() && *level != "loud")
                {
                    meta[LOG_LEVEL] = json!("debug");
                }
            }))
        },
    ),
    fault(
        "logs-late",
        "logs after it has answered",
        &[
            "logging/before-response",
            "transport-stdio/notifications-scoped",
            "transport-streamable-http/sse-closed-after-response",
        ],
        || Box::new(LogsLate),
    ),
    stdio_fault(
        "cancel-unheard",
        "goes on with a request that was cancelled",
        &[
            "cancellation/no-further-messages",
            "cancellation/no-response-after-cancel",
            "cancellation/stops-processing",
            "subscriptions/stdio-cancel-ends",
        ],
        || Box::new(Unheard),
    ),
    fault(
        "list-reversed",
        "lists its tools in another order every second time",
        &[
            "tools/list-deterministic-order",
            "pagination/stable-cursors",
            "pagination/no-overlap",
            "discover/idempotent-any-time",
        ],
        || Box::new(Reversed(false)),
    ),
    stdio_fault(
        "list-by-connection",
        "describes a tool otherwise on every connection",
        &["tools/list-not-connection-dependent"],
        || Box::new(ByConnection(getrandom::u64().unwrap_or_default())),
    ),
    fault(
        "list-after-prompt",
        "describes a prompt otherwise once somebody has got one",
        &["prompts/list-not-connection-dependent"],
        || {
            Box::new(Wears {
                area: "prompts",
                wears: |request, response| request.method == "prompts/get" && response.outcome.is_ok(),
                times: 0,
            })
        },
    ),
    fault(
        "list-after-read",
        "describes a resource otherwise once somebody has read one",
        &["resources/list-not-connection-dependent"],
        || {
            Box::new(Wears {
                area: "resources",
                wears: |request, response| request.method == "resources/read" && response.outcome.is_ok(),
                times: 0,
            })
        },
    ),
    fault(
        "list-after-call",
        "describes a tool otherwise once somebody has called one that does not exist",
        &[
            "tools/list-not-changed-by-other-requests",
            "tools/list-not-connection-dependent",
        ],
        || {
            Box::new(Wears {
                area: "tools",
                wears: super::super::spoil::is_unknown_tool,
                times: 0,
            })
        },
    ),
    fault(
        "schema-dangling",
        "refers in a schema to a definition that is not there",
        &["schema/refs-resolve-locally", "tools/input-schema-valid"],
        || rich(|schema| schema["properties"]["address"] = json!({ "$ref": "#/$defs/nowhere" })),
    ),
    fault(
        "schema-remote",
        "refers in a schema to another server",
        &["security/own-schemas-no-network-ref"],
        || rich(|schema| schema["properties"]["address"] = json!({ "$ref": "https://example.com/address.json" })),
    ),
    fault(
        "text-half",
        "describes a tool with half a character",
        &["schema/strings-not-lone-surrogates"],
        || {
            Box::new(Bytes(|bytes| {
                let text = String::from_utf8_lossy(&bytes);
                text.replace("Adds two integers.", "Adds two integers.\\ud83d")
                    .into_bytes()
            }))
        },
    ),
    fault(
        "member-twice",
        "describes a tool twice",
        &["schema/duplicate-members-out"],
        || {
            Box::new(Bytes(|bytes| {
                let text = String::from_utf8_lossy(&bytes);
                let once = r#""description":"Adds two integers.""#;
                text.replace(once, &format!("{once},{once}")).into_bytes()
            }))
        },
    ),
    fault(
        "structured-silent",
        "has a list for its result that it does not tell in words",
        &["tools/non-object-structured-content-text"],
        || {
            Box::new(Results(|request, result| {
                if params(request)
                    .get("name")
                    .is_some_and(|name| name == "test_structured_array")
                {
                    result["content"] = json!([{ "type": "text", "text": "Three numbers" }]);
                }
            }))
        },
    ),
    fault(
        "valid-refused",
        "refuses arguments that its schema allows",
        &["tools/inputs-match-own-schema"],
        || {
            Box::new(Answers(|request, response| {
                let served = asks(request, "tools/call", "show_logo") && response.outcome.is_ok();
                served.then(|| Err(error(-32602, "Invalid params: background must be blue")))
            }))
        },
    ),
    stdio_fault(
        "eof-stay-idle",
        "stays when its input ends before anything was said",
        &[
            "transport-stdio/eof-before-any-message",
            "transport-stdio/exit-on-stdin-close",
        ],
        || Box::new(StaysIdle(false)),
    ),
];

/// Does not know a tool with this code.
fn coded(code: i64) -> Box<dyn Decorator> {
    Box::new(Coded(code))
}

#[derive(Debug)]
struct Coded(i64);

impl Decorator for Coded {
    fn response(&mut self, _: &Request, mut response: Response) -> Response {
        if let Err(error) = &mut response.outcome
            && error.message.starts_with("Unknown tool")
        {
            error.code = self.0;
        }
        response
    }
}

/// Changes the answer about a resource that does not exist.
fn resource_missing(change: fn(RpcError) -> Result<Value, RpcError>) -> Box<dyn Decorator> {
    Box::new(ResourceMissing(change))
}

#[derive(Debug)]
struct ResourceMissing(fn(RpcError) -> Result<Value, RpcError>);

impl Decorator for ResourceMissing {
    fn response(&mut self, request: &Request, response: Response) -> Response {
        match response.outcome {
            Err(error) if request.method == "resources/read" && error.data.is_some() => Response {
                outcome: (self.0)(error),
                ..response
            },
            outcome => Response { outcome, ..response },
        }
    }
}

/// Changes the schema that has a bit of everything.
fn rich(change: fn(&mut Value)) -> Box<dyn Decorator> {
    Box::new(Rich(change))
}

#[derive(Debug)]
struct Rich(fn(&mut Value));

impl Decorator for Rich {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if let Ok(result) = &mut response.outcome
            && request.method == "tools/list"
            && let Some(tool) = super::super::spoil::entry(result, "tools", "json_schema_2020_12_tool")
        {
            (self.0)(&mut tool["inputSchema"]);
        }
        response
    }
}

/// Whether the outputs hold the result of a call.
fn calls(outputs: &[Output]) -> bool {
    outputs.iter().any(|output| match output {
        Output::Message {
            message: Message::Response(response),
            ..
        } => response
            .outcome
            .as_ref()
            .is_ok_and(|result| result.get("content").is_some()),
        _ => false,
    })
}

/// `asks-client`.
#[derive(Debug)]
struct AsksClient(u64);

impl Decorator for AsksClient {
    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        if calls(&outputs) {
            self.0 += 1;
            let message = Message::Request {
                id: json!(format!("question-{}", self.0)),
                method: "roots/list",
                params: None,
            };
            let request = outputs.iter().find_map(|output| match output {
                Output::Message { request, .. } => request.clone(),
                _ => None,
            });
            outputs.insert(
                0,
                Output::Message {
                    message,
                    after: Duration::ZERO,
                    request,
                },
            );
        }
        outputs
    }
}

/// `news-at-start`.
#[derive(Debug)]
struct NewsAtStart;

impl Decorator for NewsAtStart {
    fn at_start(&self) -> Vec<Output> {
        vec![told("notifications/tools/list_changed", json!({}))]
    }
}

/// `capabilities-kept`.
#[derive(Debug)]
struct Kept(Value);

impl Decorator for Kept {
    fn incoming(&mut self, mut incoming: Incoming) -> Incoming {
        if let Incoming::Request(Request { params: Ok(params), .. }) = &mut incoming
            && let Some(declared) = params.get_mut("_meta").and_then(|meta| meta.get_mut(CAPABILITIES))
        {
            match declared.as_object().is_some_and(|declared| declared.is_empty()) {
                true => *declared = self.0.clone(),
                false => self.0 = declared.clone(),
            }
        }
        incoming
    }
}

/// `slow-blocks`: whoever comes waits until the one before is done.
#[derive(Debug)]
struct Blocks(Option<Instant>);

impl Decorator for Blocks {
    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        let now = Instant::now();
        let wait = self
            .0
            .map_or(Duration::ZERO, |busy| busy.saturating_duration_since(now));
        let mut done = wait;
        for output in &mut outputs {
            if let Output::Message { after, .. } = output {
                *after += wait;
                done = done.max(*after);
            }
        }
        self.0 = Some(now + done);
        outputs
    }
}

/// `cursors-of-process`.
#[derive(Debug)]
struct OwnCursors(u64);

impl Decorator for OwnCursors {
    fn incoming(&mut self, mut incoming: Incoming) -> Incoming {
        if let Incoming::Request(Request { params: Ok(params), .. }) = &mut incoming
            && let Some(Value::String(cursor)) = params.get_mut("cursor")
        {
            let own = cursor.strip_prefix(&format!("{:x}-", self.0)).map(str::to_owned);
            *cursor = own.unwrap_or_else(|| "of another process".to_owned());
        }
        incoming
    }

    fn response(&mut self, _: &Request, mut response: Response) -> Response {
        if let Some(Value::String(cursor)) = response
            .outcome
            .as_mut()
            .ok()
            .and_then(|result| result.get_mut("nextCursor"))
        {
            *cursor = format!("{:x}-{cursor}", self.0);
        }
        response
    }
}

/// `logs-late`.
#[derive(Debug)]
struct LogsLate;

impl Decorator for LogsLate {
    fn outputs(&mut self, _: Received, outputs: Vec<Output>) -> Vec<Output> {
        let last = outputs.iter().filter_map(|output| match output {
            Output::Message { after, .. } => Some(*after),
            _ => None,
        });
        let last = last.max().unwrap_or_default();
        let is_log = |output: &Output| matches!(output, Output::Message { message, .. } if message.is_log());
        let (mut logs, mut others): (Vec<Output>, Vec<Output>) = outputs.into_iter().partition(is_log);
        for log in &mut logs {
            if let Output::Message { after, .. } = log {
                *after = last;
            }
        }
        others.append(&mut logs);
        others
    }
}

/// `cancel-unheard`.
#[derive(Debug)]
struct Unheard;

impl Decorator for Unheard {
    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        outputs.retain(|output| !matches!(output, Output::Withdraw { .. }));
        outputs
    }
}

/// `list-reversed`.
#[derive(Debug)]
struct Reversed(bool);

impl Decorator for Reversed {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if request.method == "tools/list"
            && !params(request).contains_key("cursor")
            && let Some(tools) = response
                .outcome
                .as_mut()
                .ok()
                .and_then(|result| result["tools"].as_array_mut())
        {
            self.0 = !self.0;
            if self.0 {
                tools.reverse();
            }
        }
        response
    }
}

/// `list-by-connection`.
#[derive(Debug)]
struct ByConnection(u64);

impl Decorator for ByConnection {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if request.method == "tools/list"
            && let Ok(result) = &mut response.outcome
            && let Some(tool) = super::super::spoil::entry(result, "tools", "echo")
        {
            tool["description"] = json!(format!("Answers with the text, for connection {:x}.", self.0));
        }
        response
    }
}

/// `list-after-...`.
#[derive(Debug)]
struct Wears {
    area: &'static str,
    wears: fn(&Request, &Response) -> bool,
    times: u64,
}

impl Decorator for Wears {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        self.times += u64::from((self.wears)(request, &response));
        if self.times > 0
            && request.method == format!("{}/list", self.area)
            && !params(request).contains_key("cursor")
            && let Ok(result) = &mut response.outcome
        {
            result[self.area][0]["description"] = json!(format!("Was needed {} times.", self.times));
        }
        response
    }
}

/// `eof-stay-idle`.
#[derive(Debug)]
struct StaysIdle(bool);

impl Decorator for StaysIdle {
    fn incoming(&mut self, incoming: Incoming) -> Incoming {
        self.0 = true;
        incoming
    }

    fn outlives_input(&self) -> bool {
        !self.0
    }
}
