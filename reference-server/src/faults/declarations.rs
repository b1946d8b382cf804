//! Faults in the handshake: what the server declares, and which versions it agrees to.

use serde_json::{Value, json};

use super::spoil::{After, Answers, Every, Results, error, message, notification, params, take};
use super::{Decorator, Fault, Received, STDIO};
use crate::conversation::Output;
use crate::envelope::{Request, Response};
use crate::revision::Revision;

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "echo-version",
        "agrees to any protocol version",
        &["lifecycle/version-counter-offer"],
        || {
            Box::new(Results(|request, result| {
                let version = params(request).get("protocolVersion").cloned();
                let date = |version: &Value| {
                    version
                        .as_str()
                        .is_some_and(|text| text.starts_with(|c: char| c.is_ascii_digit()))
                };
                if let ("initialize", Some(version)) = (request.method.as_str(), version.filter(date)) {
                    result["protocolVersion"] = version;
                }
            }))
        },
    ),
    Fault::new(
        "reject-version",
        "refuses protocol versions that it does not know",
        &["lifecycle/version-counter-offer"],
        || {
            Box::new(Answers(|request, _| {
                unknown_version(request).then(|| Err(error(-32602, "Unsupported protocol version")))
            }))
        },
    ),
    Fault::new(
        "offer-oldest",
        "offers the oldest version instead of an unknown one",
        &["lifecycle/version-counter-offer-latest"],
        || {
            Box::new(Results(|request, result| {
                if unknown_version(request) {
                    result["protocolVersion"] = json!("2024-11-05");
                }
            }))
        },
    ),
    Fault::new(
        "offer-unusable",
        "offers a version that it does not speak",
        &["lifecycle/version-counter-offer-usable"],
        || {
            Box::new(Results(|request, result| {
                if request.method == "initialize"
                    && params(request).get("protocolVersion") == Some(&json!("1999-01-01"))
                {
                    result["protocolVersion"] = json!("2024-10-07");
                }
            }))
        },
    ),
    Fault::new(
        "speaks-first",
        "tells that its tools have changed before anybody has asked",
        &["lifecycle/first-interaction"],
        || Box::new(SpeaksFirst),
    )
    .over(STDIO),
    Fault::new(
        "ping-early-refused",
        "refuses pings before it has been told that the client is ready",
        &["lifecycle/ping-before-initialized"],
        || Box::new(PingEarly::default()),
    ),
    Fault::new(
        "plain-client-refused",
        "refuses clients without capabilities",
        &["lifecycle/client-capabilities-empty"],
        || {
            Box::new(Answers(|request, _| {
                let plain = params(request).get("capabilities") == Some(&json!({}));
                (request.method == "initialize" && plain).then(|| Err(error(-32602, "Capabilities are missing")))
            }))
        },
    ),
    Fault::new(
        "plain-client-no-ping",
        "does not answer pings of clients without capabilities",
        &["ping/no-capability"],
        || Box::new(NoPing::default()),
    ),
    Fault::new(
        "odd-client-refused",
        "refuses clients with capabilities that it does not know",
        &["base-protocol/unknown-client-capabilities-tolerated"],
        || {
            Box::new(Answers(|request, _| {
                let odd = params(request)
                    .get("capabilities")
                    .is_some_and(|client| client.get("comExampleSomething").is_some());
                odd.then(|| Err(error(-32602, "Unknown capability")))
            }))
        },
    ),
    Fault::new(
        "client-info-strict",
        "refuses clients that say more of themselves",
        &["lifecycle/client-info-extra-members"],
        || {
            Box::new(Answers(|request, _| {
                let more = params(request)
                    .get("clientInfo")
                    .is_some_and(|info| info.get("com.example.extra").is_some());
                more.then(|| Err(error(-32602, "Unknown member of clientInfo")))
            }))
        },
    ),
    Fault::new(
        "capability-true",
        "declares logging as true",
        &["schema/capability-values-object"],
        || initialized(|result| result["capabilities"]["logging"] = json!(true)),
    ),
    Fault::new(
        "capability-flag-text",
        "writes listChanged as a text",
        &["schema/capability-flags-boolean"],
        || initialized(|result| result["capabilities"]["tools"]["listChanged"] = json!("yes")),
    ),
    Fault::new(
        "experimental-number",
        "has a number for an experimental capability",
        &["schema/experimental-capability-shape"],
        || initialized(|result| result["capabilities"]["experimental"] = json!({ "com.example.reference": 1 })),
    ),
    Fault::new(
        "instructions-number",
        "has a number for instructions",
        &["schema/instructions-string"],
        || initialized(|result| result["instructions"] = json!(5)),
    ),
    Fault::new(
        "server-nameless",
        "does not give its name",
        &["schema/server-info-name"],
        || initialized(|result| drop(take(&mut result["serverInfo"], "name"))),
    ),
    Fault::new(
        "server-versionless",
        "does not give its version",
        &["schema/server-info-version"],
        || initialized(|result| drop(take(&mut result["serverInfo"], "version"))),
    ),
    Fault::new(
        "server-description-number",
        "has a number for its description",
        &["schema/server-info-description"],
        || initialized(|result| result["serverInfo"]["description"] = json!(5)),
    )
    .under(Revision::V2025_11_25),
    Fault::new(
        "server-website-words",
        "has no URL for its website",
        &["schema/server-info-website-url"],
        || initialized(|result| result["serverInfo"]["websiteUrl"] = json!("our website")),
    )
    .under(Revision::V2025_11_25),
    Fault::new(
        "tools-changed-undeclared",
        "tells that its tools have changed, and declares no such news",
        &["tools/list-changed-undeclared"],
        || Box::new(Undeclared::new("tools")),
    ),
    Fault::new(
        "resources-changed-undeclared",
        "tells that its resources have changed, and declares no such news",
        &["resources/list-changed-undeclared"],
        || Box::new(Undeclared::new("resources")),
    ),
    Fault::new(
        "prompts-changed-undeclared",
        "tells that its prompts have changed, and declares no such news",
        &["prompts/list-changed-undeclared"],
        || Box::new(Undeclared::new("prompts")),
    ),
    Fault::new(
        "tools-changed-extra",
        "sends the tools with the news that they have changed",
        &["tools/list-changed-shape"],
        || {
            Box::new(After::new("tools/list", || {
                notification("notifications/tools/list_changed", json!({ "tools": [] }))
            }))
        },
    ),
];

/// Changes the result of `initialize`.
fn initialized(change: fn(&mut Value)) -> Box<dyn Decorator> {
    Box::new(Every("initialize", change))
}

/// Whether this is an `initialize` with a version that does not exist.
fn unknown_version(request: &Request) -> bool {
    let known = |version: &Value| Revision::ALL.iter().any(|revision| version == revision.as_str());
    request.method == "initialize"
        && params(request)
            .get("protocolVersion")
            .is_some_and(|version| !known(version))
}

/// `speaks-first`.
#[derive(Debug)]
struct SpeaksFirst;

impl Decorator for SpeaksFirst {
    fn at_start(&self) -> Vec<Output> {
        vec![message(&notification("notifications/tools/list_changed", json!({})))]
    }
}

/// `ping-early-refused`.
#[derive(Debug, Default)]
struct PingEarly {
    ready: bool,
}

impl Decorator for PingEarly {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if request.method == "ping" && !self.ready {
            response.outcome = Err(error(-32600, "Not initialized"));
        }
        response
    }

    fn outputs(&mut self, received: Received, outputs: Vec<Output>) -> Vec<Output> {
        self.ready |= received == Received::Notification;
        outputs
    }
}

/// `plain-client-no-ping`.
#[derive(Debug, Default)]
struct NoPing {
    plain: bool,
}

impl Decorator for NoPing {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if request.method == "initialize" {
            self.plain = params(request).get("capabilities") == Some(&json!({}));
        }
        if request.method == "ping" && self.plain {
            response.outcome = Err(error(-32601, "Method not found"));
        }
        response
    }
}

/// A list that changes without the capability.
#[derive(Debug)]
struct Undeclared {
    list: &'static str,
    due: bool,
}

impl Undeclared {
    fn new(list: &'static str) -> Self {
        Self { list, due: false }
    }
}

impl Decorator for Undeclared {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if let ("initialize", Ok(result)) = (request.method.as_str(), &mut response.outcome) {
            take(&mut result["capabilities"][self.list], "listChanged");
        }
        self.due |= request.method == format!("{}/list", self.list);
        response
    }

    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        if std::mem::take(&mut self.due) {
            let method = format!("notifications/{}/list_changed", self.list);
            outputs.push(message(&notification(&method, json!({}))));
        }
        outputs
    }
}
