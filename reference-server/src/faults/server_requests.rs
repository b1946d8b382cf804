//! Faults in what the server asks and tells by itself: sampling, forms, roots, pings, progress, logs, news, cancellation.
//!
//! Most spoil the params of one method (`Wording`), or let the server believe that the client can do more than it
//! declared (`Belief`); `unasked` has those that change what happens when.

use std::time::Duration;

use serde_json::{Value, json};

use super::unasked::{
    CancelAnswered, Deaf, DieOnCancel, Forgetful, Late, Leveller, NewsForAll, PingFlood, Pushy, Swallow, Trusting,
    Waiting,
};
use super::{Decorator, EVERYWHERE, Fault, STDIO};
use crate::conversation::Output;
use crate::envelope::{Incoming, Message};
use crate::revision::Revision;
use crate::transport::Transport;

const PROGRESS: &str = "notifications/progress";
const LOG: &str = "notifications/message";
const SAMPLE: &str = "sampling/createMessage";
const ELICIT: &str = "elicitation/create";
const LAST: Option<Revision> = Some(Revision::V2025_11_25);

type Make = fn() -> Box<dyn Decorator>;

const fn fault(id: &'static str, summary: &'static str, caught_by: &'static [&'static str], make: Make) -> Fault {
    since(id, summary, None, caught_by, make)
}

const fn since(
    id: &'static str,
    summary: &'static str,
    revision: Option<Revision>,
    caught_by: &'static [&'static str],
    make: Make,
) -> Fault {
    on(EVERYWHERE, id, summary, revision, caught_by, make)
}

const fn on(
    transports: &'static [Transport],
    id: &'static str,
    summary: &'static str,
    revision: Option<Revision>,
    caught_by: &'static [&'static str],
    make: Make,
) -> Fault {
    Fault {
        id,
        summary,
        transports,
        revision,
        serve_with: &[],
        caught_by,
        make,
    }
}

pub(super) const FAULTS: &[Fault] = &[
    // What the client did not declare.
    fault(
        "sampling-undeclared",
        "samples whatever the client declared",
        &["client-features/sampling-needs-capability"],
        || Box::new(Belief("", "sampling", || json!({}))),
    ),
    fault(
        "roots-undeclared",
        "asks for roots whatever the client declared",
        &["client-features/roots-needs-capability"],
        || Box::new(Belief("", "roots", || json!({}))),
    ),
    fault(
        "elicitation-undeclared",
        "asks for forms whatever the client declared",
        &["client-features/elicitation-needs-capability"],
        || Box::new(Belief("", "elicitation", || json!({}))),
    ),
    since(
        "url-undeclared",
        "sends users to URLs although the client shows forms only",
        LAST,
        &[
            "client-features/elicitation-mode-supported",
            "client-features/url-elicitation-error-capability",
            // The error is seen as one that should be a result.
            "tools/execution-error-as-result",
        ],
        || Box::new(Belief("/elicitation", "url", || json!({}))),
    ),
    since(
        "form-undeclared",
        "asks for forms although the client shows URLs only",
        LAST,
        &["client-features/elicitation-mode-supported"],
        || Box::new(Belief("/elicitation", "form", || json!({}))),
    ),
    since(
        "sampling-tools-undeclared",
        "samples with tools although the client does not declare them",
        LAST,
        &["client-features/sampling-tools-capability"],
        || Box::new(Belief("/sampling", "tools", || json!({}))),
    ),
    // Requests of the wrong form.
    fault(
        "sampling-no-limit",
        "leaves maxTokens out of sampling",
        &["client-features/sampling-request-shape"],
        || Box::new(Wording(SAMPLE, |params| remove(params, "maxTokens"))),
    ),
    fault(
        "sampling-fraction",
        "gives a maxTokens that is no whole number",
        &["schema/integer-members"],
        || Box::new(Wording(SAMPLE, |params| params["maxTokens"] = json!(100.5))),
    ),
    fault(
        "sampling-system-role",
        "samples with messages of the role system",
        &["client-features/sampling-role"],
        || {
            Box::new(Wording(SAMPLE, |params| {
                params["messages"][0]["role"] = json!("system")
            }))
        },
    ),
    fault(
        "sampling-resource-content",
        "samples with a kind of content that sampling does not have",
        &["client-features/sampling-content"],
        || {
            let resource = |params: &mut Value| {
                let resource = json!({ "uri": "test://static-text", "text": "t" });
                params["messages"][0]["content"] = json!({ "type": "resource", "resource": resource });
            };
            Box::new(Wording(SAMPLE, resource))
        },
    ),
    fault(
        "sampling-priority-range",
        "gives priorities of models above 1",
        &["client-features/sampling-priorities"],
        || {
            Box::new(Wording(SAMPLE, |params| {
                params["modelPreferences"] = json!({ "costPriority": 3 })
            }))
        },
    ),
    since(
        "sampling-context",
        "asks for the context of all servers, which the client does not declare",
        LAST,
        &["client-features/sampling-context-capability"],
        || Box::new(Wording(SAMPLE, |params| params["includeContext"] = json!("allServers"))),
    ),
    since(
        "sampling-mixed-results",
        "mixes tool results with text",
        LAST,
        &["client-features/sampling-tool-result-only"],
        || {
            let mix = |results: &mut Vec<Value>| results.push(json!({ "type": "text", "text": "Here they are" }));
            Box::new(Results(mix))
        },
    ),
    since(
        "sampling-missing-result",
        "gives only the first of several tool results",
        LAST,
        &["client-features/sampling-tool-use-balanced"],
        || Box::new(Results(|results| results.truncate(1))),
    ),
    since(
        "sampling-structured-lie",
        "gives structured tool results that do not fit their schema",
        LAST,
        &["client-features/sampling-tool-result-structured"],
        || {
            let lie = |results: &mut Vec<Value>| results[0]["structuredContent"] = json!({ "weather": 7 });
            Box::new(Results(lie))
        },
    ),
    fault(
        "roots-params",
        "asks for roots with params",
        &["client-features/roots-request-shape"],
        || Box::new(Wording("roots/list", |params| params["cursor"] = json!("x"))),
    ),
    fault(
        "roots-each-time",
        "asks for the roots with every call",
        &["client-features/roots-cached"],
        || Box::new(Belief("/roots", "listChanged", || json!(false))),
    ),
    fault(
        "ping-params",
        "pings with a payload",
        &["ping/server-ping-shape"],
        || Box::new(Wording("ping", |params| params["payload"] = json!("hello"))),
    ),
    fault(
        "elicitation-nested",
        "asks for a form with a nested object",
        &["client-features/elicitation-form-flat"],
        || {
            Box::new(Field(
                "address",
                || json!({ "type": "object", "properties": { "city": { "type": "string" } } }),
            ))
        },
    ),
    fault(
        "elicitation-password",
        "asks for a password by a form",
        &["client-features/elicitation-no-sensitive"],
        || Box::new(Field("dbPassword", || json!({ "type": "string" }))),
    ),
    fault(
        "elicitation-format",
        "asks for a string of a format that forms do not have",
        &["client-features/elicitation-string-format"],
        || Box::new(Field("phone", || json!({ "type": "string", "format": "phone" }))),
    ),
    fault(
        "elicitation-no-message",
        "asks for a form without a message",
        &["client-features/elicitation-message"],
        || Box::new(Wording(ELICIT, |params| remove(params, "message"))),
    ),
    since(
        "elicitation-default-lie",
        "gives a default of another type than its field",
        LAST,
        &["client-features/elicitation-default-type"],
        || Box::new(Field("count", || json!({ "type": "integer", "default": "many" }))),
    ),
    since(
        "elicitation-form-url",
        "puts a link into a form",
        LAST,
        &["client-features/elicitation-form-no-urls"],
        || {
            let link = || json!({ "type": "string", "description": "See https://reference.example/terms" });
            Box::new(Field("terms", link))
        },
    ),
    since(
        "elicitation-http",
        "sends users to a URL without TLS",
        LAST,
        &["client-features/elicitation-url-https"],
        || {
            let plain = |params: &mut Value| {
                if params["url"].is_string() {
                    params["url"] = json!("http://reference.example/confirm");
                }
            };
            Box::new(Wording(ELICIT, plain))
        },
    ),
    since(
        "elicitation-same-id",
        "gives all elicitations by URL the same id",
        LAST,
        &[
            "client-features/elicitation-id-unique",
            "client-features/elicitation-complete-shape",
        ],
        || {
            let same = |params: &mut Value| {
                if params["url"].is_string() {
                    params["elicitationId"] = json!("the-one");
                }
            };
            Box::new(Wording(ELICIT, same))
        },
    ),
    since(
        "elicitation-complete-stranger",
        "says that an elicitation is complete which never began",
        LAST,
        &["client-features/elicitation-complete-shape"],
        || {
            let other = |params: &mut Value| params["elicitationId"] = json!("another");
            Box::new(Wording("notifications/elicitation/complete", other))
        },
    ),
    // Answers of the client.
    fault(
        "trusts-client",
        "takes whatever comes back from the client for a good answer",
        &[
            "client-features/elicitation-content-validated",
            "client-features/sampling-content-validated",
        ],
        || Box::new(Trusting::default()),
    ),
    fault(
        "wedged-by-refusal",
        "never answers a call whose question was refused",
        &[
            "base-protocol/request-answered-once",
            "client-features/roots-unavailable",
            "client-features/elicitation-decline-handled",
        ],
        || Box::new(Deaf::default()),
    ),
    // Progress.
    fault(
        "progress-stringify",
        "turns number tokens into strings in progress",
        &["progress/token-echo"],
        || {
            let stringify = |params: &mut Value| {
                if params["progressToken"].is_number() {
                    params["progressToken"] = json!(params["progressToken"].to_string());
                }
            };
            Box::new(Wording(PROGRESS, stringify))
        },
    ),
    fault(
        "progress-invented",
        "reports progress under a token of its own",
        &["progress/only-known-tokens"],
        || Box::new(Wording(PROGRESS, |params| params["progressToken"] = json!("invented"))),
    ),
    fault(
        "progress-falls",
        "reports progress that goes down",
        &["progress/monotonic"],
        || {
            let fall = |params: &mut Value| {
                let progress = params["progress"].as_f64().unwrap_or_default();
                params["progress"] = json!(params["total"].as_f64().unwrap_or_default() - progress);
            };
            Box::new(Wording(PROGRESS, fall))
        },
    ),
    fault(
        "progress-stands",
        "reports the same progress again and again",
        &["progress/monotonic"],
        || Box::new(Wording(PROGRESS, |params| params["progress"] = json!(1))),
    ),
    fault(
        "progress-string",
        "reports progress as a text",
        &["progress/progress-number"],
        || {
            Box::new(Wording(PROGRESS, |params| {
                params["progress"] = json!(params["progress"].to_string())
            }))
        },
    ),
    fault(
        "progress-json-message",
        "puts JSON into the message of progress",
        &["progress/message-informative"],
        || Box::new(Wording(PROGRESS, |params| params["message"] = json!("{\"step\": 1}"))),
    ),
    fault(
        "progress-late",
        "reports progress after the answer",
        &["progress/stops-after-completion"],
        || Box::new(Late(PROGRESS, Duration::from_millis(10))),
    ),
    // Logs.
    fault(
        "log-unfiltered",
        "logs at every level, whatever was set",
        &["logging/level-filter"],
        || Box::new(Leveller("debug")),
    ),
    fault(
        "log-silent",
        "logs nothing but emergencies, whatever was set",
        &["logging/level-passes"],
        || Box::new(Leveller("emergency")),
    ),
    fault(
        "log-level-name",
        "logs at levels that do not exist",
        &["logging/message-level", "logging/level-passes"],
        || {
            Box::new(Wording(LOG, |params| {
                if params["level"] == "critical" {
                    params["level"] = json!("fatal");
                }
            }))
        },
    ),
    fault("log-no-data", "logs without data", &["logging/message-data"], || {
        Box::new(Wording(LOG, |params| remove(params, "data")))
    }),
    fault("log-secret", "logs a key", &["logging/no-secrets"], || {
        Box::new(Wording(LOG, |params| {
            params["data"] = json!({ "key": format!("sk-{}", "x7".repeat(24)) })
        }))
    }),
    fault("log-mail", "logs somebody's address", &["logging/no-pii"], || {
        Box::new(Wording(LOG, |params| {
            params["data"] = json!("Login of someone@example.com")
        }))
    }),
    fault(
        "log-trace",
        "logs a stack trace",
        &["logging/no-internal-details"],
        || {
            Box::new(Wording(LOG, |params| {
                params["data"] = json!("Traceback (most recent call last):\n  File")
            }))
        },
    ),
    // Pings and cancellation.
    fault(
        "ping-flood",
        "pings the client many times after each call",
        &["ping/server-ping-not-excessive"],
        || Box::new(PingFlood::default()),
    ),
    fault(
        "ping-waits",
        "answers pings only when the tool is done",
        &["ping/during-long-request"],
        || Box::new(Waiting::default()),
    ),
    fault(
        "cancel-ignored",
        "goes on with requests that were cancelled",
        &["cancellation/no-response-after-cancel", "cancellation/stops-processing"],
        || Box::new(Forgetful("notifications/cancelled")),
    ),
    fault(
        "cancel-answered",
        "answers a cancellation of a running call with an error",
        &["cancellation/no-response-after-cancel"],
        || Box::new(CancelAnswered::times(1)),
    ),
    fault(
        "cancel-answered-twice",
        "answers a cancellation of a running call with two errors",
        &[
            "cancellation/no-response-after-cancel",
            "base-protocol/request-answered-once",
        ],
        || Box::new(CancelAnswered::times(2)),
    ),
    on(
        STDIO,
        "die-on-cancel",
        "exits when a request is cancelled that is not running",
        None,
        &[
            "cancellation/unknown-id-ignored",
            "cancellation/finished-id-ignored",
            "cancellation/race-graceful",
            "base-protocol/request-answered-once",
            // Some of the cases that send what no client may send cancel something, too.
            "base-protocol/survives-garbage",
        ],
        || Box::new(DieOnCancel::default()),
    ),
    fault(
        "cancels-strangers",
        "cancels requests that it never sent",
        &["cancellation/server-cancel-own-request"],
        || {
            Box::new(Wording("notifications/cancelled", |params| {
                params["requestId"] = json!("stranger")
            }))
        },
    ),
    fault(
        "cancel-reason-number",
        "gives numbers as reasons of its cancellations",
        &["cancellation/server-cancel-shape"],
        || Box::new(Wording("notifications/cancelled", |params| params["reason"] = json!(5))),
    ),
    // News.
    fault(
        "updated-for-all",
        "tells everybody that a resource has changed when it is read",
        &["resources/updated-only-subscribed"],
        || Box::new(NewsForAll::default()),
    ),
    fault(
        "updated-after-unsubscribe",
        "goes on telling of changes after the client has unsubscribed",
        &["resources/unsubscribe-stops"],
        || Box::new(Forgetful("resources/unsubscribe")),
    ),
    fault(
        "updated-missing",
        "tells no subscriber of changes",
        &["resources/updated-sent"],
        || Box::new(Swallow(&["notifications/resources/updated"])),
    ),
    fault(
        "updated-no-uri",
        "tells of changes without saying of what",
        &["resources/updated-shape", "resources/updated-sent"],
        || {
            Box::new(Wording("notifications/resources/updated", |params| {
                remove(params, "uri")
            }))
        },
    ),
    fault(
        "list-changed-missing",
        "tells nobody that its lists have changed",
        &[
            "tools/list-changed-sent",
            "prompts/list-changed-sent",
            "resources/list-changed-sent",
        ],
        || {
            Box::new(Swallow(&[
                "notifications/tools/list_changed",
                "notifications/prompts/list_changed",
                "notifications/resources/list_changed",
            ]))
        },
    ),
    fault(
        "list-changed-undeclared",
        "tells that its lists have changed without declaring it",
        &[
            "tools/list-changed-undeclared",
            "prompts/list-changed-undeclared",
            "resources/list-changed-undeclared",
        ],
        || Box::new(Pushy("listChanged")),
    ),
    fault(
        "logging-undeclared",
        "logs without declaring it",
        &["logging/capability-declared"],
        || Box::new(Pushy("logging")),
    ),
];

fn remove(params: &mut Value, member: &str) {
    if let Some(params) = params.as_object_mut() {
        params.shift_remove(member);
    }
}

/// Applies a change to the params of every message of a method that the server sends.
fn reword(outputs: &mut [Output], method: &str, mut change: impl FnMut(&mut Value)) {
    for output in outputs {
        let (Output::Message { message, .. } | Output::Aside(message)) = output else {
            continue;
        };
        match message {
            Message::Notification { method: found, params } if *found == method => change(params),
            Message::Request {
                method: found, params, ..
            } if *found == method => change(params.get_or_insert_with(|| json!({}))),
            _ => {}
        }
    }
}

/// Spoils the params of one method.
#[derive(Debug)]
struct Wording(&'static str, fn(&mut Value));

impl Decorator for Wording {
    fn outputs(&mut self, _: super::Received, mut outputs: Vec<Output>) -> Vec<Output> {
        reword(&mut outputs, self.0, self.1);
        outputs
    }
}

/// Adds a field to every form.
#[derive(Debug)]
struct Field(&'static str, fn() -> Value);

impl Decorator for Field {
    fn outputs(&mut self, _: super::Received, mut outputs: Vec<Output>) -> Vec<Output> {
        reword(&mut outputs, ELICIT, |params| {
            if params["requestedSchema"].is_object() {
                params["requestedSchema"]["properties"][self.0] = (self.1)();
            }
        });
        outputs
    }
}

/// Spoils the tool results that are given to the model.
#[derive(Debug)]
struct Results(fn(&mut Vec<Value>));

impl Decorator for Results {
    fn outputs(&mut self, _: super::Received, mut outputs: Vec<Output>) -> Vec<Output> {
        reword(&mut outputs, SAMPLE, |params| {
            let last = params["messages"]
                .as_array_mut()
                .and_then(|messages| messages.last_mut());
            let blocks = last.and_then(|message| message["content"].as_array_mut());
            if let Some(blocks) = blocks.filter(|blocks| blocks[0]["type"] == "tool_result") {
                (self.0)(blocks);
            }
        });
        outputs
    }
}

/// Believes that the client declared a member of its capabilities, below what it did declare.
#[derive(Debug)]
struct Belief(&'static str, &'static str, fn() -> Value);

impl Decorator for Belief {
    fn incoming(&mut self, mut incoming: Incoming) -> Incoming {
        if let Incoming::Request(request) = &mut incoming
            && request.method == "initialize"
            && let Ok(params) = &mut request.params
            && let Some(above) = params.get_mut("capabilities").and_then(|all| all.pointer_mut(self.0))
            && let Some(members) = above.as_object_mut()
        {
            // An empty elicitation capability means forms; it still does when another mode is added.
            if self.1 == "url" && members.is_empty() {
                members.insert("form".to_owned(), json!({}));
            }
            let belief = (self.2)();
            if belief.is_boolean() || !members.contains_key(self.1) {
                members.insert(self.1.to_owned(), belief);
            }
        }
        incoming
    }
}
