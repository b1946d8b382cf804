//! Faults in versions, and in how the two eras live side by side.

use serde_json::{Value, json};

use super::super::spoil::{Answers, Instead, error};
use super::super::{Decorator, Fault};
use super::{Passes, Refuses, fault, http_fault, is_stateless, refused, request_in, stdio_fault};
use crate::envelope::{Request, Response, RpcError};
use crate::stateless::{Rule, complete};

/// Arguments of a server without handshake.
const ALONE: &[&str] = &["--revision", "2026-07-28"];

pub(in super::super) const FAULTS: &[Fault] = &[
    fault(
        "any-version",
        "serves requests of any version",
        &[
            "versioning/unsupported-version-error",
            "versioning/unsupported-version-supported-list",
            "versioning/unsupported-version-requested-echo",
            "versioning/unsupported-known-legacy",
            "versioning/each-request-judged-alone",
            "versioning/supported-lists-agree",
            "transport-streamable-http/unsupported-version-400",
        ],
        || Box::new(Passes(Rule::ServedVersion, "")),
    ),
    fault(
        "version-other-code",
        "refuses an unknown version with the code of an invalid request",
        &[
            "versioning/unsupported-version-error",
            "versioning/unsupported-version-supported-list",
            "versioning/unsupported-version-requested-echo",
            "versioning/unsupported-known-legacy",
            "versioning/each-request-judged-alone",
            "versioning/supported-lists-agree",
        ],
        || {
            Box::new(Refuses(Rule::ServedVersion, |error| {
                *error = plain(-32600, "Invalid version")
            }))
        },
    ),
    fault(
        "version-no-list",
        "does not say which versions it serves when it refuses one",
        &[
            "versioning/unsupported-version-supported-list",
            "versioning/supported-lists-agree",
            "versioning/unsupported-version-error",
        ],
        || {
            Box::new(Refuses(Rule::ServedVersion, |error| {
                told(error, "supported", json!([]))
            }))
        },
    ),
    fault(
        "version-no-echo",
        "does not repeat the version that it refuses",
        &["versioning/unsupported-version-requested-echo"],
        || {
            Box::new(Refuses(Rule::ServedVersion, |error| {
                told(error, "requested", json!("unknown"))
            }))
        },
    ),
    fault(
        "version-other-list",
        "names another version in its refusals than in its discovery",
        &["versioning/supported-lists-agree"],
        || {
            Box::new(Refuses(Rule::ServedVersion, |error| {
                told(error, "supported", json!(["2026-07-28", "2026-01-01"]));
            }))
        },
    ),
    fault(
        "version-old-inline",
        "serves requests that name a version with a handshake",
        &["versioning/unsupported-known-legacy"],
        || Box::new(OldInline),
    ),
    fault(
        "version-latest",
        "lists a version that is called latest",
        &["versioning/version-identifier-format"],
        || Box::new(Names(["2026-07-28", "latest"])),
    ),
    stdio_fault(
        "discovery-first",
        "answers nothing before it was asked for server/discover",
        &["versioning/each-request-judged-alone"],
        || Box::new(DiscoveryFirst(false)),
    ),
    fault(
        "removed-ping",
        "still answers ping",
        &["versioning/removed-methods"],
        || still("ping"),
    ),
    fault(
        "removed-set-level",
        "still answers logging/setLevel",
        &["versioning/removed-methods"],
        || still("logging/setLevel"),
    ),
    fault(
        "removed-subscribe",
        "still answers resources/subscribe",
        &["versioning/removed-methods"],
        || still("resources/subscribe"),
    ),
    fault(
        "removed-unsubscribe",
        "still answers resources/unsubscribe",
        &["versioning/removed-methods"],
        || still("resources/unsubscribe"),
    ),
    fault(
        "removed-initialize",
        "shakes hands with a client that says that it needs no handshake",
        &["versioning/initialize-with-modern-meta"],
        || {
            Box::new(Answers(|request, response| {
                let refused = request.method == "initialize" && response.outcome.is_err();
                let agreed = json!({
                    "protocolVersion": "2025-11-25",
                    "capabilities": {},
                    "serverInfo": { "name": "touchstone-reference", "version": "0" },
                });
                refused.then(|| Ok(complete("initialize", agreed)))
            }))
        },
    ),
    Fault {
        serve_with: ALONE,
        ..fault(
            "handshake-no-versions",
            "does not say which versions it serves when it refuses a handshake",
            &["versioning/initialize-error-names-versions"],
            || {
                Box::new(Refuses(Rule::NoHandshake, |error| {
                    *error = plain(-32600, "There is no handshake here")
                }))
            },
        )
    },
    Fault {
        serve_with: ALONE,
        ..stdio_fault(
            "handshake-silence",
            "says nothing to a handshake that it does not know",
            &[
                "versioning/initialize-rejected-modern-only-stdio",
                "versioning/initialize-error-names-versions",
                "base-protocol/request-answered-once",
            ],
            || {
                Box::new(Instead(|bytes| {
                    let (_, method, params) = request_in(bytes)?;
                    (method == "initialize" && params.contains_key("protocolVersion")).then(Vec::new)
                }))
            },
        )
    },
    Fault {
        serve_with: ALONE,
        ..http_fault(
            "handshake-404",
            "refuses a handshake with the status of a method that does not exist",
            &["versioning/initialize-rejected-modern-only-http"],
            || {
                Box::new(Instead(|bytes| {
                    let (id, method, params) = request_in(bytes)?;
                    let handshake = method == "initialize" && params.contains_key("protocolVersion");
                    handshake.then(|| refused(&id, -32601, "Method not found; this server speaks 2026-07-28"))
                }))
            },
        )
    },
    fault(
        "handshake-unserved",
        "shakes hands, and then serves nothing by what was agreed",
        &["versioning/dual-era-initialize-served"],
        || {
            Box::new(Answers(|request, response| {
                let served = response.outcome.as_ref().is_ok_and(|result| !is_stateless(result));
                (request.method == "tools/list" && served).then(|| Err(error(-32602, "Invalid params: no _meta")))
            }))
        },
    ),
    Fault {
        serve_with: ALONE,
        ..fault(
            "lists-old-version",
            "lists a version whose handshake it refuses",
            &[
                "versioning/legacy-versions-advertised",
                // It lists the very version that it refuses.
                "versioning/unsupported-version-supported-list",
            ],
            || Box::new(Names(["2026-07-28", "2025-11-25"])),
        )
    },
];

fn plain(code: i64, message: &str) -> RpcError {
    error(code, message)
}

/// Changes what an error tells programs.
fn told(error: &mut RpcError, member: &str, value: Value) {
    error.data.get_or_insert_with(|| json!({}))[member] = value;
}

/// Answers a method that was removed, where nobody else does.
fn still(method: &'static str) -> Box<dyn Decorator> {
    Box::new(Still(method))
}

/// `removed-...`.
#[derive(Debug)]
struct Still(&'static str);

impl Decorator for Still {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if request.method == self.0 && response.outcome.as_ref().is_err_and(|error| error.code == -32601) {
            response.outcome = Ok(complete(self.0, json!({})));
        }
        response
    }
}

/// `version-old-inline`.
#[derive(Debug)]
struct OldInline;

impl Decorator for OldInline {
    fn refusal(&mut self, rule: Rule, _: &str, error: RpcError) -> Option<RpcError> {
        let asked = error.data.as_ref().and_then(|data| data["requested"].as_str());
        let old =
            rule == Rule::ServedVersion && asked.is_some_and(|asked| ["2025-06-18", "2025-11-25"].contains(&asked));
        (!old).then_some(error)
    }
}

/// `version-latest` and `lists-old-version`: names these versions, wherever it names some.
#[derive(Debug)]
struct Names([&'static str; 2]);

impl Decorator for Names {
    fn refusal(&mut self, rule: Rule, _: &str, mut error: RpcError) -> Option<RpcError> {
        if [Rule::ServedVersion, Rule::NoHandshake].contains(&rule) {
            told(&mut error, "supported", json!(self.0));
        }
        Some(error)
    }

    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if let ("server/discover", Ok(result)) = (request.method.as_str(), &mut response.outcome) {
            result["supportedVersions"] = json!(self.0);
        }
        response
    }
}

/// `discovery-first`.
#[derive(Debug)]
struct DiscoveryFirst(bool);

impl Decorator for DiscoveryFirst {
    fn instead(&mut self, bytes: &[u8]) -> Option<Vec<crate::conversation::Output>> {
        let (id, method, params) = request_in(bytes)?;
        self.0 |= ["server/discover", "initialize"].contains(&method.as_str());
        (!self.0 && params.contains_key("_meta")).then(|| refused(&id, -32600, "Ask for server/discover first"))
    }
}
