//! Faults in how long results may be kept, and by whom.

use serde_json::{Value, json};

use super::super::spoil::{Results, params, take};
use super::super::{Decorator, Fault};
use super::{fault, is_stateless};

pub(in super::super) const FAULTS: &[Fault] = &[
    fault(
        "discovery-no-hints",
        "does not say how long a discovery may be kept",
        &["caching/hints-on-discover", "discover/required-fields"],
        || unhinted(|request| request == "server/discover"),
    ),
    fault(
        "tools-no-hints",
        "does not say how long a list of tools may be kept",
        &["caching/hints-on-tools-list"],
        || unhinted(|request| request == "tools/list"),
    ),
    fault(
        "prompts-no-hints",
        "does not say how long a list of prompts may be kept",
        &["caching/hints-on-prompts-list"],
        || unhinted(|request| request == "prompts/list"),
    ),
    fault(
        "resources-no-hints",
        "does not say how long a list of resources may be kept",
        &["caching/hints-on-resources-list"],
        || unhinted(|request| request == "resources/list"),
    ),
    fault(
        "templates-no-hints",
        "does not say how long a list of templates may be kept",
        &["caching/hints-on-resource-templates-list"],
        || unhinted(|request| request == "resources/templates/list"),
    ),
    fault(
        "contents-no-hints",
        "does not say how long the contents of a resource may be kept",
        &["caching/hints-on-resources-read"],
        || unhinted(|request| request == "resources/read"),
    ),
    fault(
        "ttl-negative",
        "lets lists of tools be kept for a negative time",
        &["caching/ttl-non-negative-integer"],
        || {
            Box::new(Results(|request, result| {
                if request.method == "tools/list" && is_stateless(result) {
                    result["ttlMs"] = json!(-1);
                }
            }))
        },
    ),
    fault(
        "ttl-fraction",
        "lets contents be kept for a fraction of a millisecond",
        &["caching/ttl-non-negative-integer", "schema/integer-members"],
        || {
            Box::new(Results(|request, result| {
                if request.method == "resources/read" && is_stateless(result) {
                    result["ttlMs"] = json!(0.5);
                }
            }))
        },
    ),
    fault(
        "scope-unknown",
        "lets lists of prompts be kept by everyone, which is no scope",
        &["caching/scope-values"],
        || {
            Box::new(Results(|request, result| {
                if request.method == "prompts/list" && is_stateless(result) {
                    result["cacheScope"] = json!("everyone");
                }
            }))
        },
    ),
    fault(
        "scope-by-page",
        "has another scope on the later pages of a list",
        &["caching/scope-same-on-all-pages"],
        || {
            Box::new(Results(|request, result| {
                if request.method == "tools/list" && params(request).contains_key("cursor") && is_stateless(result) {
                    result["cacheScope"] = json!("private");
                }
            }))
        },
    ),
    fault(
        "input-required-hints",
        "lets results be kept that only wait for input",
        &["caching/no-hints-on-input-required"],
        || {
            Box::new(Results(|_, result| {
                if result.get("resultType").is_some_and(|kind| kind == "input_required") {
                    result["ttlMs"] = json!(1000);
                    result["cacheScope"] = json!("public");
                }
            }))
        },
    ),
];

/// Leaves the hints out of complete results of some method.
fn unhinted(meant: fn(&str) -> bool) -> Box<dyn Decorator> {
    Box::new(Unhinted(meant))
}

#[derive(Debug)]
struct Unhinted(fn(&str) -> bool);

impl Decorator for Unhinted {
    fn response(
        &mut self,
        request: &crate::envelope::Request,
        mut response: crate::envelope::Response,
    ) -> crate::envelope::Response {
        if let Ok(result) = &mut response.outcome
            && (self.0)(&request.method)
        {
            for member in ["ttlMs", "cacheScope"] {
                let _: Option<Value> = take(result, member);
            }
        }
        response
    }
}
