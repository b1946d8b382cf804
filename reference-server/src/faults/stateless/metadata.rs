//! Faults in what requests and results say of themselves in `_meta`.

use http::StatusCode;
use serde_json::{Value, json};

use super::super::Fault;
use super::super::http::{PLAIN, Plain, http};
use super::super::spoil::{Answers, Results, Wording, asks, error, params, take, text};
use super::{CAPABILITIES, CLIENT_INFO, Passes, Reads, SERVER_INFO, SUBSCRIPTION_ID, VERSION, fault, http_fault};
use super::{is_stateless, said};
use crate::envelope::RpcError;
use crate::stateless::{Rule, complete};
use crate::transport::deviation::Asked;
use crate::transport::http_server::Reply;

pub(in super::super) const FAULTS: &[Fault] = &[
    fault(
        "meta-optional",
        "serves requests without _meta",
        &[
            "meta/missing-meta-rejected",
            "meta/missing-required-http-400",
            "base-protocol/no-state-from-earlier-requests",
        ],
        || {
            Box::new(Reads(|method, params| {
                if !params.contains_key("_meta") && method != "initialize" {
                    params.insert("_meta".to_owned(), json!({ VERSION: "2026-07-28", CAPABILITIES: {} }));
                }
            }))
        },
    ),
    fault(
        "meta-version-optional",
        "serves requests that name no version",
        &[
            "meta/missing-protocol-version-rejected",
            "meta/missing-required-http-400",
        ],
        || {
            Box::new(Reads(|_, params| {
                if let Some(meta) = params.get_mut("_meta").filter(|meta| meta.get(CAPABILITIES).is_some())
                    && meta.get(VERSION).is_none()
                {
                    meta[VERSION] = json!("2026-07-28");
                }
            }))
        },
    ),
    fault(
        "meta-capabilities-optional",
        "serves requests that do not tell the client's capabilities",
        &[
            "meta/missing-client-capabilities-rejected",
            "meta/missing-required-http-400",
        ],
        || {
            Box::new(Reads(|_, params| {
                if let Some(meta) = params.get_mut("_meta").filter(|meta| meta.get(VERSION).is_some())
                    && meta.get(CAPABILITIES).is_none()
                {
                    meta[CAPABILITIES] = json!({});
                }
            }))
        },
    ),
    http_fault(
        "meta-missing-200",
        "refuses requests without metadata with the status of a success",
        &["meta/missing-required-http-400"],
        || {
            http(Plain {
                reply: |asked, reply| restatus(reply, StatusCode::OK, lacks_metadata(asked)),
                ..PLAIN
            })
        },
    ),
    fault(
        "meta-any-type",
        "serves requests whose metadata is of the wrong type",
        &["meta/ill-typed-required-fields"],
        || {
            Box::new(Reads(|_, params| {
                let Some(meta) = params.get_mut("_meta") else { return };
                if meta.get(VERSION).is_some_and(Value::is_number) {
                    meta[VERSION] = json!("2026-07-28");
                }
                if meta
                    .get(CAPABILITIES)
                    .is_some_and(|capabilities| !capabilities.is_object())
                {
                    meta[CAPABILITIES] = json!({});
                }
            }))
        },
    ),
    fault(
        "client-info-needed",
        "refuses clients that do not say who they are",
        &["meta/client-info-optional", "meta/client-info-not-behavioural"],
        || {
            Box::new(Answers(|request, response| {
                let anonymous = said(&params(request), CLIENT_INFO).is_none();
                let served = response.outcome.as_ref().is_ok_and(is_stateless);
                (anonymous && served).then(|| Err(error(-32602, "Invalid params: no clientInfo")))
            }))
        },
    ),
    fault(
        "client-info-matters",
        "describes its tools otherwise to each client",
        &["meta/client-info-not-behavioural"],
        || {
            Box::new(Results(|request, result| {
                if let ("tools/list", Some(info)) = (request.method.as_str(), said(&params(request), CLIENT_INFO)) {
                    result["tools"][0]["description"] = json!(format!("For {}.", info["name"]));
                }
            }))
        },
    ),
    fault(
        "capability-not-missed",
        "works without a capability that it needs",
        &["meta/missing-capability-error"],
        || {
            Box::new(Answers(|request, response| {
                let refused = response.outcome.as_ref().is_err_and(|error| error.code == -32021);
                let meant = asks(request, "tools/call", "test_missing_capability");
                (meant && refused).then(|| Ok(complete("tools/call", text("Nothing was sampled"))))
            }))
        },
    ),
    fault(
        "capability-list",
        "lists the capabilities that it misses instead of saying how to declare them",
        &["meta/missing-capability-data"],
        || {
            Box::new(Answers(|_, response| {
                let missed = |error: &&RpcError| {
                    let data = error.data.as_ref().map(|data| &data["requiredCapabilities"]);
                    data.is_some_and(|needed| needed.get("sampling").is_some())
                };
                let mut error = response.outcome.as_ref().err().filter(missed)?.clone();
                error.data = Some(json!({ "requiredCapabilities": ["sampling"] }));
                Some(Err(error))
            }))
        },
    ),
    http_fault(
        "capability-200",
        "misses a capability with the status of a success",
        &["meta/missing-capability-http-400"],
        || {
            http(Plain {
                reply: |asked, reply| {
                    let meant = asked.message().is_some_and(|message| {
                        message["params"]["name"] == "test_missing_capability"
                            && message["params"]["_meta"][CAPABILITIES].get("sampling").is_none()
                    });
                    restatus(reply, StatusCode::OK, meant)
                },
                ..PLAIN
            })
        },
    ),
    fault(
        "results-anonymous",
        "says who it is in no result but that of server/discover",
        &["meta/server-info-on-results"],
        || {
            Box::new(Results(|request, result| {
                if request.method != "server/discover" && is_stateless(result) {
                    take(&mut result["_meta"], SERVER_INFO);
                }
            }))
        },
    ),
    fault(
        "subscription-id-elsewhere",
        "names a subscription in reports of progress",
        &["meta/subscription-id-only-on-listen"],
        || {
            Box::new(Wording("notifications/progress", |params| {
                params["_meta"] = json!({ SUBSCRIPTION_ID: 1 });
            }))
        },
    ),
    fault(
        "trace-garbage",
        "says a trace context that is none",
        &["meta/trace-context-values"],
        || {
            Box::new(Results(|request, result| {
                if request.method == "tools/list" && is_stateless(result) {
                    result["_meta"]["traceparent"] = json!("00-xyz-1");
                }
            }))
        },
    ),
    fault(
        "trace-refused",
        "refuses requests with a trace context",
        &["meta/trace-context-accepted"],
        || {
            Box::new(Answers(|request, _| {
                let traced = said(&params(request), "traceparent").is_some();
                traced.then(|| Err(error(-32602, "Invalid params: unknown key traceparent")))
            }))
        },
    ),
    fault(
        "log-level-any",
        "takes any word for a level of logs",
        &["logging/invalid-level-in-meta"],
        || Box::new(Passes(Rule::LogLevel, "")),
    ),
];

/// The reply with another status, if it is meant.
pub(super) fn restatus(mut reply: Reply, status: StatusCode, meant: bool) -> Reply {
    if meant {
        *reply.status_mut() = status;
    }
    reply
}

/// Whether a request of this era lacks what it has to say in `_meta`.
fn lacks_metadata(asked: &Asked) -> bool {
    let Some(message) = asked.message() else { return false };
    let version = asked.head.headers.get("mcp-protocol-version");
    let meta = &message["params"]["_meta"];
    message.get("id").is_some()
        && message.get("method").is_some_and(Value::is_string)
        && version.is_some_and(|version| version == "2026-07-28")
        && (!meta[VERSION].is_string() || !meta[CAPABILITIES].is_object())
}
