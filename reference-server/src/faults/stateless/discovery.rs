//! Faults in what `server/discover` tells.

use serde_json::{Value, json};

use super::super::spoil::{Every, take};
use super::super::{Decorator, Fault};
use super::{SERVER_INFO, TASKS, fault};
use crate::envelope::{Request, Response};

pub(in super::super) const FAULTS: &[Fault] = &[
    fault(
        "discovery-odd-version",
        "lists a version that is a number",
        &[
            "discover/required-fields",
            "discover/implemented",
            "versioning/version-identifier-format",
        ],
        || discovered(|result| push(&mut result["supportedVersions"], json!(20_260_728))),
    ),
    fault(
        "discovery-no-type",
        "does not say of what type the result of server/discover is",
        &["base-protocol/result-type-present", "discover/required-fields"],
        || {
            discovered(|result| {
                take(result, "resultType");
            })
        },
    ),
    fault(
        "discovery-other-version",
        "does not list the version by which it was asked, once it has done so",
        &[
            "discover/supported-versions-include-sent",
            "discover/idempotent-any-time",
            "versioning/supported-lists-agree",
        ],
        || Box::new(OtherVersion(false)),
    ),
    fault(
        "discovery-info-on-top",
        "says who it is beside _meta, as after a handshake",
        &["discover/identity-in-meta", "meta/server-info-on-results"],
        || {
            discovered(|result| {
                if let Some(info) = take(&mut result["_meta"], SERVER_INFO) {
                    result["serverInfo"] = info;
                }
            })
        },
    ),
    fault(
        "discovery-changes",
        "has another capability each time it is asked",
        &["discover/idempotent-any-time"],
        || Box::new(Changes(0)),
    ),
    fault(
        "discovery-old-tasks",
        "says that it has the tasks of 2025-11-25",
        &["discover/no-legacy-tasks-capability"],
        || discovered(|result| result["capabilities"]["tasks"] = json!({ "list": {}, "cancel": {} })),
    ),
    fault(
        "extension-no-prefix",
        "has an extension whose name has no prefix",
        &["discover/extension-identifiers"],
        || discovered(|result| result["capabilities"]["extensions"]["dashboards"] = json!({})),
    ),
    fault(
        "extension-settings-true",
        "has an extension whose settings are true",
        &["discover/extension-settings-object"],
        || discovered(|result| result["capabilities"]["extensions"]["com.example/dashboards"] = json!(true)),
    ),
    fault(
        "tasks-not-advertised",
        "makes tasks of calls and does not say that it has tasks",
        &["ext-tasks/advertised", "base-protocol/result-type-known"],
        || {
            discovered(|result| {
                take(&mut result["capabilities"]["extensions"], TASKS);
            })
        },
    ),
    fault(
        "apps-not-advertised",
        "has tools with pages and does not say so",
        &["ext-apps/extension-advertised"],
        || {
            discovered(|result| {
                take(&mut result["capabilities"]["extensions"], "io.modelcontextprotocol/ui");
            })
        },
    ),
];

/// Changes what is discovered.
fn discovered(change: fn(&mut Value)) -> Box<dyn Decorator> {
    Box::new(Every("server/discover", change))
}

fn push(list: &mut Value, entry: Value) {
    if let Some(list) = list.as_array_mut() {
        list.push(entry);
    }
}

/// `discovery-changes`.
#[derive(Debug)]
struct Changes(u64);

impl Decorator for Changes {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if request.method == "server/discover"
            && let Ok(result) = &mut response.outcome
        {
            self.0 += 1;
            result["capabilities"]["experimental"] = json!({ format!("com.example/{}", self.0): {} });
        }
        response
    }
}

/// `discovery-other-version`.
#[derive(Debug)]
struct OtherVersion(bool);

impl Decorator for OtherVersion {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if request.method == "server/discover"
            && let Ok(result) = &mut response.outcome
        {
            if self.0 {
                result["supportedVersions"] = json!(["2099-01-01"]);
            }
            self.0 = true;
        }
        response
    }
}
