//! Members of notifications, questions and results that have a wrong form.

use serde_json::{Value, json};

use super::spoil::{Answers, Every, Named, Wording, error, is_unknown_tool, refused_call};
use super::{Decorator, Fault, Received};
use crate::conversation::Output;
use crate::envelope::{Message, Request, Response};
use crate::revision::Revision;

/// A fault that shows where forms and URLs exist.
const fn newest(fault: Fault) -> Fault {
    fault.under(Revision::V2025_11_25)
}

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "capabilities-array",
        "has an array for its capabilities",
        &["lifecycle/capabilities-object"],
        || {
            Box::new(Every("initialize", |result| {
                result["capabilities"] = json!([]);
            }))
        },
    ),
    Fault::new(
        "logger-number",
        "gives its loggers numbers",
        &["logging/message-logger"],
        || Box::new(Wording("notifications/message", |params| params["logger"] = json!(7))),
    ),
    Fault::new(
        "set-level-told",
        "answers the wish for a level with that level",
        &["logging/set-level-empty-result"],
        || Box::new(Every("logging/setLevel", |result| result["level"] = json!("info"))),
    ),
    Fault::new(
        "set-level-notice",
        "does not know the level notice",
        &["logging/set-level-accepted"],
        || {
            Box::new(Answers(|request, _| {
                let notice = super::spoil::params(request).get("level") == Some(&json!("notice"));
                (request.method == "logging/setLevel" && notice).then(|| Err(error(-32602, "Unknown level")))
            }))
        },
    ),
    Fault::new(
        "progress-message-number",
        "says by a number what it is doing",
        &["progress/message-string"],
        || Box::new(Wording("notifications/progress", |params| params["message"] = json!(5))),
    ),
    Fault::new(
        "progress-total-text",
        "gives the total of its progress as text",
        &["progress/total-number"],
        || {
            Box::new(Wording("notifications/progress", |params| {
                params["total"] = json!("100")
            }))
        },
    ),
    Fault::new(
        "progress-token-missing",
        "does not say which request its progress belongs to",
        &["progress/token-required"],
        || {
            Box::new(Wording("notifications/progress", |params| {
                super::spoil::take(params, "progressToken");
            }))
        },
    ),
    Fault::new(
        "embedded-annotations-inside",
        "puts the annotations of an embedded resource into the resource",
        &["schema/embedded-annotations-place"],
        || {
            Box::new(Named("tools/call", "test_embedded_resource", |result| {
                if let Some(block) = super::spoil::block(result, "resource") {
                    block["resource"]["annotations"] = json!({ "audience": ["user"] });
                }
            }))
        },
    ),
    // Questions.
    Fault::new(
        "sampling-hints-texts",
        "hints at models by mere texts",
        &["client-features/sampling-hints"],
        || {
            Box::new(Wording("sampling/createMessage", |params| {
                params["modelPreferences"] = json!({ "hints": ["any"] });
            }))
        },
    ),
    Fault::new(
        "sampling-context-unknown",
        "asks for a context that there is not",
        &["client-features/sampling-include-context-value"],
        || {
            Box::new(Wording("sampling/createMessage", |params| {
                params["includeContext"] = json!("everything");
            }))
        },
    ),
    Fault::new(
        "sampling-temperature-text",
        "gives the temperature for sampling in words",
        &["client-features/sampling-optional-types"],
        || {
            Box::new(Wording("sampling/createMessage", |params| {
                params["temperature"] = json!("low");
            }))
        },
    ),
    newest(Fault::new(
        "sampling-choice-unknown",
        "leaves the choice of tools to a mode that there is not",
        &["client-features/sampling-tools-shape"],
        || {
            Box::new(Wording("sampling/createMessage", |params| {
                if params.get("tools").is_some() {
                    params["toolChoice"] = json!({ "mode": "perhaps" });
                }
            }))
        },
    )),
    Fault::new(
        "question-token-object",
        "has an object for the progress token of its own requests",
        &["progress/server-token-unique"],
        || {
            Box::new(Wording("sampling/createMessage", |params| {
                params["_meta"] = json!({ "progressToken": {} });
            }))
        },
    ),
    newest(Fault::new(
        "question-as-task",
        "wants its own requests to be run as tasks, whatever the client declares",
        &["tasks/server-as-requestor"],
        || {
            Box::new(Wording("sampling/createMessage", |params| {
                params["task"] = json!({ "ttl": 60000 });
            }))
        },
    )),
    Fault::new(
        "form-array",
        "asks for a form that is an array",
        &["client-features/elicitation-form-schema"],
        || {
            Box::new(Wording("elicitation/create", |params| {
                if let Some(schema) = params.get_mut("requestedSchema") {
                    schema["type"] = json!("array");
                }
            }))
        },
    )
    .under(Revision::V2025_06_18),
    newest(Fault::new(
        "form-enum-text",
        "has one text for all that a field of a form may be",
        &["client-features/elicitation-enum-form"],
        || {
            Box::new(Wording("elicitation/create", |params| {
                if let Some(field) = params.pointer_mut("/requestedSchema/properties/untitledSingle") {
                    field["enum"] = json!("one, two");
                }
            }))
        },
    )),
    newest(Fault::new(
        "form-required-unknown",
        "requires a field that its form does not have",
        &["client-features/elicitation-required-known"],
        || {
            Box::new(Wording("elicitation/create", |params| {
                if let Some(schema) = params.get_mut("requestedSchema") {
                    schema["required"] = json!(["signature"]);
                }
            }))
        },
    )),
    newest(Fault::new(
        "elicitation-mode-unknown",
        "elicits in a mode that there is not",
        &["client-features/elicitation-mode-value"],
        || {
            Box::new(Wording("elicitation/create", |params| {
                if params.get("requestedSchema").is_some() {
                    params["mode"] = json!("popup");
                }
            }))
        },
    )),
    newest(Fault::new(
        "elicitation-url-unnamed",
        "sends users to a URL without an id for that",
        &["client-features/elicitation-url-shape"],
        || {
            Box::new(Wording("elicitation/create", |params| {
                super::spoil::take(params, "elicitationId");
            }))
        },
    )),
    newest(Fault::new(
        "elicitation-url-relative",
        "sends users to a URL without a host",
        &["client-features/elicitation-url-valid"],
        || {
            Box::new(Wording("elicitation/create", |params| {
                if params.get("url").is_some() {
                    params["url"] = json!("consent/form");
                }
            }))
        },
    )),
    newest(Fault::new(
        "elicitation-url-personal",
        "puts the address of the user into the URL",
        &["client-features/elicitation-url-no-user-data"],
        || {
            Box::new(Wording("elicitation/create", |params| {
                if let Some(Value::String(url)) = params.get_mut("url") {
                    url.push_str("?user=someone@mail.example");
                }
            }))
        },
    )),
    newest(Fault::new(
        "url-required-without-list",
        "does not say where the user has to go first",
        &[
            "client-features/url-elicitation-error-only",
            "client-features/url-elicitation-error-used",
        ],
        || {
            Box::new(Answers(|request, response| {
                let mut error = refused_call(request, response, -32042)?;
                error.data = None;
                Some(Err(error))
            }))
        },
    )),
    newest(Fault::new(
        "url-required-unnamed",
        "does not give the visit an id to which the user has to go first",
        &["client-features/url-elicitation-error-shape"],
        || {
            Box::new(Answers(|request, response| {
                let mut error = refused_call(request, response, -32042)?;
                let visits = error.data.as_mut().and_then(|data| data["elicitations"].as_array_mut());
                for visit in visits.into_iter().flatten() {
                    super::spoil::take(visit, "elicitationId");
                }
                Some(Err(error))
            }))
        },
    )),
    newest(Fault::new(
        "url-required-for-anything",
        "says of a tool that does not exist that the user has to go to a URL first",
        &["client-features/url-elicitation-error-only"],
        || {
            Box::new(Answers(|request, response| {
                is_unknown_tool(request, response).then(|| Err(error(-32042, "Unknown tool")))
            }))
        },
    )),
    // How much, and in which words.
    Fault::new(
        "error-longwinded",
        "explains errors at length",
        &["base-protocol/error-message-concise"],
        || {
            Box::new(Answers(|request, response| {
                let error = response.outcome.as_ref().err()?;
                (request.method == "prompts/get").then(|| {
                    let mut error = error.clone();
                    error.message = format!(
                        "{}. {}",
                        error.message,
                        "Please read the manual of this server. ".repeat(12)
                    );
                    Err(error)
                })
            }))
        },
    ),
    Fault::new(
        "logger-changing",
        "logs under another name every time",
        &["logging/logger-consistent"],
        || Box::new(Numbered::default()),
    ),
    Fault::new(
        "log-flood",
        "logs everything two hundred times",
        &["logging/rate-limited"],
        || Box::new(Flood("notifications/message")),
    ),
    Fault::new(
        "progress-flood",
        "reports each step in two hundred",
        &["progress/rate-limited"],
        || Box::new(Flood("notifications/progress")),
    ),
];

/// Counts what it logs, in the name of the logger.
#[derive(Debug, Default)]
struct Numbered(u64);

impl Decorator for Numbered {
    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        super::spoil::reword(&mut outputs, "notifications/message", |params| {
            self.0 += 1;
            params["logger"] = json!(format!("worker-{}", self.0));
        });
        outputs
    }
}

/// Sends notifications of a method far too often.
#[derive(Debug)]
struct Flood(&'static str);

impl Decorator for Flood {
    fn response(&mut self, _: &Request, response: Response) -> Response {
        response
    }

    fn outputs(&mut self, _: Received, outputs: Vec<Output>) -> Vec<Output> {
        let copies = |output: Output| {
            let Output::Message {
                message: Message::Notification { method, params },
                after,
                request,
            } = &output
            else {
                return vec![output];
            };
            if *method != self.0 {
                return vec![output];
            }
            let copy = |number: u32| {
                let mut params = params.clone();
                let fraction = f64::from(number) / 1000.0;
                if let Some(progress) = params.get("progress").and_then(Value::as_f64) {
                    params["progress"] = json!(progress + fraction);
                }
                Output::Message {
                    message: Message::Notification { method, params },
                    after: *after,
                    request: request.clone(),
                }
            };
            (0..200).map(copy).collect()
        };
        outputs.into_iter().flat_map(copies).collect()
    }
}
