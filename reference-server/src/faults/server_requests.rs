//! Faults in what the server asks of the client: samples of its model, forms and URLs for its user, roots, pings.
//!
//! Most spoil the params of one method (`Wording`), or let the server believe that the client can do more than it
//! declared (`Belief`); `unasked` has those that change what happens when.

use serde_json::{Value, json};

use super::spoil::{Wording, reword, take};
use super::unasked::{Deaf, Trusting};
use super::{Decorator, Fault};
use crate::conversation::Output;
use crate::envelope::Incoming;
use crate::revision::Revision;

const SAMPLE: &str = "sampling/createMessage";
const ELICIT: &str = "elicitation/create";
const LAST: Option<Revision> = Some(Revision::V2025_11_25);

type Make = fn() -> Box<dyn Decorator>;

const fn fault(id: &'static str, summary: &'static str, caught_by: &'static [&'static str], make: Make) -> Fault {
    Fault::new(id, summary, caught_by, make)
}

const fn since(
    id: &'static str,
    summary: &'static str,
    revision: Option<Revision>,
    caught_by: &'static [&'static str],
    make: Make,
) -> Fault {
    Fault {
        revision,
        ..Fault::new(id, summary, caught_by, make)
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
        || Box::new(Wording(SAMPLE, |params| drop(take(params, "maxTokens")))),
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
        || Box::new(Wording(ELICIT, |params| drop(take(params, "message")))),
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
];

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
