//! Faults of completion.

use serde_json::json;

use super::Fault;
use super::spoil::{Answers, Every, error, internal, params, take};
use crate::envelope::{Request, Response};

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "completion-numbers",
        "completes with numbers",
        &["completion/result-shape"],
        || {
            Box::new(Every("completion/complete", |result| {
                result["completion"]["values"] = json!([1, 2])
            }))
        },
    ),
    Fault::new(
        "completion-many",
        "completes with more than 100 values",
        &["completion/max-100"],
        || {
            Box::new(Every("completion/complete", |result| {
                let values: Vec<String> = (0..101).map(|number| format!("value {number}")).collect();
                result["completion"] = json!({ "values": values, "total": 101, "hasMore": false });
            }))
        },
    ),
    Fault::new(
        "completion-total-text",
        "counts completions in words",
        &["completion/total-integer"],
        || {
            Box::new(Every("completion/complete", |result| {
                result["completion"]["total"] = json!("four")
            }))
        },
    ),
    Fault::new(
        "completion-more-text",
        "writes hasMore as a text",
        &["completion/has-more-boolean"],
        || {
            Box::new(Every("completion/complete", |result| {
                result["completion"]["hasMore"] = json!("no")
            }))
        },
    ),
    Fault::new(
        "completion-no-prompts",
        "does not complete arguments of prompts",
        &["completion/ref-prompt", "completion/context-accepted"],
        || {
            Box::new(Answers(|request, response| {
                served(request, response, "ref/prompt").then(|| Err(internal()))
            }))
        },
    ),
    Fault::new(
        "completion-no-templates",
        "does not complete variables of templates",
        &["completion/ref-resource"],
        || {
            Box::new(Answers(|request, response| {
                served(request, response, "ref/resource").then(|| Err(internal()))
            }))
        },
    ),
    Fault::new(
        "completion-no-context",
        "refuses earlier arguments with a completion",
        &["completion/context-accepted"],
        || {
            Box::new(Answers(|request, response| {
                let given = params(request).contains_key("context");
                (given && served(request, response, "ref/prompt"))
                    .then(|| Err(error(-32602, "Unknown parameter: context")))
            }))
        },
    ),
    Fault::new(
        "completion-unknown-prompt",
        "completes for prompts that do not exist",
        &["completion/unknown-prompt"],
        || {
            Box::new(Answers(|request, response| {
                refused(request, response, "Unknown reference: ").then(|| Ok(json!({ "completion": { "values": [] } })))
            }))
        },
    ),
    Fault::new(
        "completion-missing-internal",
        "has an internal error when a part of the request is missing",
        &["completion/missing-arguments"],
        || {
            Box::new(Answers(|request, response| {
                refused(request, response, "must be an object").then(|| Err(internal()))
            }))
        },
    ),
    Fault::new(
        "completion-any-reference",
        "completes for references of any type",
        &["completion/invalid-ref-type"],
        || {
            Box::new(Answers(|request, response| {
                refused(request, response, "Unknown reference type")
                    .then(|| Ok(json!({ "completion": { "values": [] } })))
            }))
        },
    ),
    Fault::new(
        "completion-undeclared",
        "completes, and declares no completions",
        &["completion/capability-declared"],
        || Box::new(Undeclared(json!(["anything"]))),
    ),
    Fault::new(
        "completion-undeclared-empty",
        "completes with nothing, and declares no completions",
        &["completion/not-supported"],
        || Box::new(Undeclared(json!([]))),
    ),
];

/// Whether a completion for this kind of reference was given.
fn served(request: &Request, response: &Response, kind: &str) -> bool {
    let of_kind = params(request)
        .get("ref")
        .is_some_and(|reference| reference["type"] == kind);
    request.method == "completion/complete" && response.outcome.is_ok() && of_kind
}

fn refused(request: &Request, response: &Response, why: &str) -> bool {
    request.method == "completion/complete"
        && response
            .outcome
            .as_ref()
            .is_err_and(|error| error.message.contains(why))
}

/// Completes anything, and declares nothing.
#[derive(Debug)]
struct Undeclared(serde_json::Value);

impl super::Decorator for Undeclared {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        match (request.method.as_str(), &mut response.outcome) {
            ("initialize", Ok(result)) => drop(take(&mut result["capabilities"], "completions")),
            ("completion/complete", outcome) => *outcome = Ok(json!({ "completion": { "values": self.0 } })),
            _ => {}
        }
        response
    }
}
