//! Faults in results that wait for input, and in what is made of the answers.

use serde_json::{Value, json};

use super::super::spoil::{Answers, Bytes, Instead, error, params, take, text};
use super::super::{Decorator, Fault};
use super::{Reads, fault, refused, request_in};
use crate::envelope::{Request, Response};
use crate::stateless;

/// The names of all questions.
const KEYS: [&str; 8] = [
    "user_name",
    "capital_question",
    "client_roots",
    "confirm",
    "greeting",
    "step1",
    "step2",
    "user_context",
];
/// The tool with one form.
const FORM: &str = "test_input_required_result_elicitation";

pub(in super::super) const FAULTS: &[Fault] = &[
    fault(
        "input-required-elsewhere",
        "waits for input before it completes an argument",
        &["mrtr/only-on-three-methods"],
        || {
            Box::new(Answers(|request, response| {
                let served = request.method == "completion/complete" && response.outcome.is_ok();
                let waiting = json!({ "resultType": "input_required", "requestState": "later" });
                served.then(|| Ok(stateless::complete(&request.method, waiting)))
            }))
        },
    ),
    fault(
        "input-required-nothing",
        "waits for input, and says neither which nor keeps a state",
        &["mrtr/at-least-one-member"],
        || {
            waiting(|result| {
                take(result, "inputRequests");
                take(result, "requestState");
            })
        },
    ),
    fault(
        "input-required-ping",
        "asks for something that no client gives",
        &["mrtr/input-requests-kinds"],
        || each_question(|question| *question = json!({ "method": "ping" })),
    ),
    fault(
        "input-required-twice",
        "asks twice under the same name",
        &["mrtr/input-requests-keys-unique", "schema/duplicate-members-out"],
        || {
            Box::new(Bytes(|bytes| {
                let text = String::from_utf8_lossy(&bytes);
                let twice = r#""inputRequests":{"user_name":{"method":"roots/list"},"user_name""#;
                text.replace(r#""inputRequests":{"user_name""#, twice).into_bytes()
            }))
        },
    ),
    fault(
        "input-required-rpc",
        "asks with whole JSON-RPC requests",
        &["mrtr/input-requests-not-jsonrpc"],
        || {
            each_question(|question| {
                question["jsonrpc"] = json!("2.0");
                question["id"] = json!(1);
            })
        },
    ),
    fault(
        "state-object",
        "has the client keep an object instead of a text",
        &["mrtr/request-state-string"],
        || {
            waiting(|result| {
                if let Some(state) = take(result, "requestState") {
                    result["requestState"] = json!({ "sealed": state });
                }
            })
        },
    ),
    fault(
        "retry-unanswered",
        "never answers a retry",
        &[
            "mrtr/final-result-completes",
            "base-protocol/request-answered-once",
            // What silence is over HTTP.
            "transport-streamable-http/request-content-type",
        ],
        || {
            Box::new(Instead(|bytes| {
                let (_, method, params) = request_in(bytes)?;
                let answers = params.get("inputResponses")?.as_object()?;
                let right = answers
                    .get("user_name")
                    .is_some_and(|answer| answer["action"] == "accept");
                (method == "tools/call" && right && params["name"] == FORM).then(Vec::new)
            }))
        },
    ),
    fault(
        "retry-awaited",
        "asks nothing more after some questions that were never answered",
        &["mrtr/no-retry-assumed"],
        || Box::new(Awaiting(0)),
    ),
    fault(
        "responses-unread",
        "takes anything for an answer",
        &["mrtr/responses-validated", "mrtr/protocol-errors-as-jsonrpc"],
        || {
            Box::new(Reads(|_, params| {
                let Some(Value::Object(answers)) = params.get_mut("inputResponses") else {
                    return;
                };
                for answer in answers.values_mut() {
                    let action = answer["action"].as_str().unwrap_or_default();
                    let accept =
                        json!({ "action": "accept", "content": { "name": "Nobody", "ok": true, "context": "" } });
                    if !["accept", "decline", "cancel"].contains(&action)
                        && answer.get("role").is_none()
                        && answer.get("roots").is_none()
                    {
                        *answer = accept;
                    }
                }
            }))
        },
    ),
    fault(
        "responses-failure",
        "tells a malformed answer in a result",
        &["mrtr/protocol-errors-as-jsonrpc", "mrtr/responses-validated"],
        || {
            Box::new(Answers(|request, response| {
                let error = response.outcome.as_ref().err()?;
                let malformed = params(request).contains_key("inputResponses") && error.message.contains("response");
                malformed.then(|| {
                    let mut result = text(&error.message);
                    result["isError"] = json!(true);
                    Ok(stateless::complete(&request.method, result))
                })
            }))
        },
    ),
    fault(
        "responses-strict",
        "refuses retries with answers to what it did not ask",
        &["mrtr/unknown-keys-ignored", "mrtr/unsolicited-responses-tolerated"],
        || {
            Box::new(Answers(|request, _| {
                let params = params(request);
                let answers = params.get("inputResponses")?.as_object()?;
                let odd = answers.keys().any(|key| !KEYS.contains(&key.as_str()));
                // Input for a task is another matter.
                (odd && request.method != "tasks/update")
                    .then(|| Err(error(-32602, "Invalid params: nobody asked for this")))
            }))
        },
    ),
    fault(
        "responses-missing",
        "refuses retries without the answer that it needs",
        &["mrtr/missing-response-re-requested"],
        || {
            Box::new(Answers(|request, response| {
                let waits = response
                    .outcome
                    .as_ref()
                    .is_ok_and(|result| result["resultType"] == "input_required");
                let empty = params(request)
                    .get("inputResponses")
                    .is_some_and(|answers| *answers == json!({}));
                (waits && empty).then(|| Err(error(-32602, "Invalid params: an answer is missing")))
            }))
        },
    ),
    fault(
        "responses-unsolicited",
        "refuses answers where it has not asked anything",
        &["mrtr/unsolicited-responses-tolerated"],
        || {
            Box::new(Answers(|request, _| {
                let params = params(request);
                let asking = params
                    .get("name")
                    .and_then(Value::as_str)
                    .is_some_and(|name| name.starts_with("test_input"));
                let answered = params.contains_key("inputResponses") && !asking && request.method != "tasks/update";
                answered.then(|| Err(error(-32602, "Invalid params: nothing was asked")))
            }))
        },
    ),
    fault(
        "state-internal",
        "has an internal error when a state is not one of its own",
        &[
            "mrtr/state-attacker-controlled",
            "mrtr/tampered-state-rejected",
            "security/no-internal-details-in-errors",
        ],
        || {
            Box::new(Answers(|_, response| {
                let refused = response
                    .outcome
                    .as_ref()
                    .err()
                    .is_some_and(|error| error.message.contains("requestState"));
                refused.then(|| {
                    Err(error(
                        -32603,
                        "thread 'main' panicked at src/state.rs:12:34: invalid state",
                    ))
                })
            }))
        },
    ),
    fault(
        "state-unchecked",
        "goes on with a state that somebody has tampered with",
        &["mrtr/tampered-state-rejected", "mrtr/state-bound-to-request"],
        || {
            Box::new(Reads(|_, params| {
                let state = params.get("requestState").and_then(Value::as_str);
                if state.is_some_and(|state| stateless::open(state).is_none()) {
                    params.shift_remove("requestState");
                }
            }))
        },
    ),
    fault(
        "state-unbound",
        "takes a state for other requests than the one it was given out for",
        &["mrtr/state-bound-to-request"],
        || {
            Box::new(Reads(|method, params| {
                let state = params.get("requestState").and_then(Value::as_str);
                if let Some(mut content) = state.and_then(stateless::open) {
                    content["for"] = stateless::bound_to(method, params);
                    params.insert("requestState".to_owned(), json!(stateless::seal(&content)));
                }
            }))
        },
    ),
    fault(
        "state-reused",
        "takes a state twice that is good for one time",
        &["mrtr/single-use-enforced"],
        || {
            Box::new(Reads(|method, params| {
                let state = params.get("requestState").and_then(Value::as_str);
                if let Some(mut content) = state.and_then(stateless::open)
                    && params
                        .get("name")
                        .is_some_and(|name| name == "test_input_required_result_once")
                {
                    content["number"] = json!(getrandom::u64().unwrap_or_default());
                    content["for"] = stateless::bound_to(method, params);
                    params.insert("requestState".to_owned(), json!(stateless::seal(&content)));
                }
            }))
        },
    ),
    fault(
        "elicitation-id",
        "gives a visit to a page an id, as it was done before",
        &["client-features/no-elicitation-complete"],
        || {
            each_question(|question| {
                if question["params"]["mode"] == "url" {
                    question["params"]["elicitationId"] = json!("visit-1");
                }
            })
        },
    ),
    fault(
        "asks-undeclared",
        "asks clients what they have not declared that they answer",
        &[
            "base-protocol/undeclared-client-capability-unused",
            "client-features/elicitation-needs-capability",
            "client-features/sampling-needs-capability",
            "client-features/roots-needs-capability",
            "client-features/elicitation-mode-supported",
            "base-protocol/no-state-from-earlier-requests",
            "meta/missing-capability-error",
        ],
        || {
            Box::new(Reads(|method, params| {
                let asking = params
                    .get("name")
                    .and_then(Value::as_str)
                    .is_some_and(|name| name.starts_with("test_"));
                if asking
                    && ["tools/call", "prompts/get"].contains(&method)
                    && let Some(meta) = params
                        .get_mut("_meta")
                        .filter(|meta| meta[super::CAPABILITIES].is_object())
                {
                    for capability in ["elicitation", "sampling", "roots"] {
                        meta[super::CAPABILITIES][capability] = json!({});
                    }
                }
            }))
        },
    ),
];

/// Changes results that wait for input.
fn waiting(change: fn(&mut Value)) -> Box<dyn Decorator> {
    Box::new(Waiting(change))
}

#[derive(Debug)]
struct Waiting(fn(&mut Value));

impl Decorator for Waiting {
    fn response(&mut self, _: &Request, mut response: Response) -> Response {
        if let Ok(result) = &mut response.outcome
            && result.get("resultType").is_some_and(|kind| kind == "input_required")
        {
            (self.0)(result);
        }
        response
    }
}

/// Changes every question.
fn each_question(change: fn(&mut Value)) -> Box<dyn Decorator> {
    Box::new(EachQuestion(change))
}

#[derive(Debug)]
struct EachQuestion(fn(&mut Value));

impl Decorator for EachQuestion {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if let Ok(result) = &mut response.outcome
            && ["tools/call", "prompts/get"].contains(&request.method.as_str())
            && let Some(questions) = result.get_mut("inputRequests").and_then(Value::as_object_mut)
        {
            questions.values_mut().for_each(self.0);
        }
        response
    }
}

/// `retry-awaited`.
#[derive(Debug)]
struct Awaiting(u32);

impl Decorator for Awaiting {
    fn instead(&mut self, bytes: &[u8]) -> Option<Vec<crate::conversation::Output>> {
        const PATIENCE: u32 = 12;
        let (id, method, params) = request_in(bytes)?;
        let tool = params.get("name")?.as_str()?;
        if method != "tools/call" || !tool.starts_with("test_input_required") {
            return None;
        }
        let asks = tool == FORM && !params.contains_key("inputResponses");
        self.0 = if asks { self.0 + 1 } else { 0 };
        (self.0 > PATIENCE).then(|| refused(&id, -32603, "Too many questions are open"))
    }
}
