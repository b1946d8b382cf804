//! Correct servers of the stateless era that differ from the ordinary one: nothing that weighs may be found about them.

use serde_json::{Value, json};

use super::super::spoil::{Results, take};
use super::super::{Decorator, Fault, Received};
use super::{SERVER_INFO, TASKS, fault, http_fault, is_stateless, request_in};
use crate::conversation::Output;
use crate::envelope::{Request, Response, RpcError};
use crate::stateless::complete;

/// Arguments of a server without handshake.
const ALONE: &[&str] = &["--revision", "2026-07-28"];

pub(in super::super) const VARIANTS: &[Fault] = &[
    Fault {
        serve_with: ALONE,
        ..fault(
            "variant-stateless-alone",
            "is correct, and knows no handshake",
            &[],
            || Box::new(Ordinary),
        )
    },
    fault(
        "variant-stateless-dual",
        "is correct, and speaks both eras",
        &[],
        || Box::new(Ordinary),
    ),
    http_fault(
        "variant-stateless-events",
        "is correct, and answers by event streams with CRLF",
        &[],
        || Box::new(Ordinary),
    )
    .served_with(&["--answers", "events"]),
    http_fault(
        "variant-stateless-json",
        "is correct, and answers by JSON unless somebody listens",
        &[],
        || Box::new(Ordinary),
    )
    .served_with(&["--answers", "json"]),
    fault(
        "variant-stateless-one-page",
        "is correct, and has no list of several pages",
        &[],
        || Box::new(Ordinary),
    )
    .served_with(&["--page-size", "1000"]),
    fault(
        "variant-stateless-more-members",
        "is correct, and says members that no revision knows",
        &[],
        || Box::new(Results(more_members)),
    ),
    fault(
        "variant-stateless-anonymous",
        "is correct, and says who it is only when it is asked",
        &[],
        || {
            Box::new(Results(|request, result| {
                if request.method != "server/discover" && is_stateless(result) && result["resultType"] == "task" {
                    take(&mut result["_meta"], SERVER_INFO);
                }
            }))
        },
    ),
    fault(
        "variant-stateless-no-news",
        "is correct, and has no news and no subscriptions",
        &[],
        || Box::new(NoNews),
    ),
    fault(
        "variant-stateless-tools-only",
        "is correct, and offers nothing but tools",
        &[],
        || Box::new(ToolsOnly),
    ),
    fault(
        "variant-stateless-no-extensions",
        "is correct, and knows no extension",
        &[],
        || Box::new(NoExtensions),
    ),
    fault(
        "variant-stateless-private",
        "is correct, and lets nobody but the client keep anything, and that not at all",
        &[],
        || {
            Box::new(Results(|_, result| {
                if result.get("ttlMs").is_some() && result.get("cacheScope").is_some() {
                    result["ttlMs"] = json!(0);
                    result["cacheScope"] = json!("private");
                }
            }))
        },
    ),
];

/// What a server changes by its options alone.
#[derive(Debug)]
struct Ordinary;

impl Decorator for Ordinary {}

fn more_members(request: &Request, result: &mut Value) {
    if !is_stateless(result) {
        return;
    }
    let more = json!({ "of": ["a", "later", "revision"] });
    // Acknowledgements of tasks are empty, and stay so.
    if !["tasks/update", "tasks/cancel"].contains(&request.method.as_str()) {
        result["x-later"] = more.clone();
    }
    result["_meta"]["com.example/later"] = more;
}

/// `variant-stateless-no-news`.
#[derive(Debug)]
struct NoNews;

impl Decorator for NoNews {
    fn instead(&mut self, bytes: &[u8]) -> Option<Vec<Output>> {
        let (id, method, _) = request_in(bytes)?;
        (method == "subscriptions/listen").then(|| super::refused(&id, -32601, "Method not found"))
    }

    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if let Ok(result) = &mut response.outcome
            && request.method == "server/discover"
        {
            for list in ["tools", "prompts", "resources"] {
                result["capabilities"][list] = json!({});
            }
        }
        response
    }
}

/// `variant-stateless-tools-only`.
#[derive(Debug)]
struct ToolsOnly;

impl Decorator for ToolsOnly {
    fn instead(&mut self, bytes: &[u8]) -> Option<Vec<Output>> {
        NoNews.instead(bytes)
    }

    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        let area = request.method.split('/').next().unwrap_or_default();
        if let Ok(result) = &mut response.outcome {
            match request.method.as_str() {
                "server/discover" => result["capabilities"] = json!({ "tools": {} }),
                "tools/list" => {
                    for tool in result["tools"].as_array_mut().into_iter().flatten() {
                        take(tool, "_meta");
                    }
                }
                "tools/call" => {
                    if let Some(blocks) = result.get_mut("content").and_then(Value::as_array_mut) {
                        blocks.retain(|block| {
                            !["resource", "resource_link"].contains(&block["type"].as_str().unwrap_or_default())
                        });
                    }
                }
                _ => {}
            }
        }
        if ["resources", "prompts", "completion", "tasks"].contains(&area) {
            response.outcome = Err(RpcError::method_not_found(&request.method));
        }
        NoExtensions.without_tasks(request, response)
    }

    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        outputs.retain(|output| !matches!(output, Output::Message { message, .. } if message.is_log()));
        outputs
    }

    fn incoming(&mut self, incoming: crate::envelope::Incoming) -> crate::envelope::Incoming {
        NoExtensions.incoming(incoming)
    }
}

/// `variant-stateless-no-extensions`.
#[derive(Debug)]
struct NoExtensions;

impl NoExtensions {
    /// What can only be a task is a tool that cannot work.
    fn without_tasks(&self, _: &Request, response: Response) -> Response {
        let of_tasks = |error: &RpcError| {
            let needed = error
                .data
                .as_ref()
                .map(|data| &data["requiredCapabilities"]["extensions"]);
            needed.is_some_and(|extensions| extensions.get(TASKS).is_some())
        };
        let outcome = match response.outcome {
            Err(error) if of_tasks(&error) => {
                let content = json!([{ "type": "text", "text": "This tool has nothing to do it with" }]);
                Ok(complete("tools/call", json!({ "content": content, "isError": true })))
            }
            outcome => outcome,
        };
        Response { outcome, ..response }
    }
}

impl Decorator for NoExtensions {
    fn incoming(&mut self, mut incoming: crate::envelope::Incoming) -> crate::envelope::Incoming {
        if let crate::envelope::Incoming::Request(Request { params: Ok(params), .. }) = &mut incoming
            && let Some(declared) = params
                .get_mut("_meta")
                .and_then(|meta| meta.get_mut(super::CAPABILITIES))
        {
            take(declared, "extensions");
        }
        incoming
    }

    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if let Ok(result) = &mut response.outcome {
            match request.method.as_str() {
                "server/discover" => {
                    take(&mut result["capabilities"], "extensions");
                }
                "tools/list" => {
                    for tool in result["tools"].as_array_mut().into_iter().flatten() {
                        take(&mut tool["_meta"], "ui");
                        if tool["_meta"].as_object().is_none_or(|meta| meta.is_empty()) {
                            take(tool, "_meta");
                        }
                    }
                }
                "resources/list" => {
                    if let Some(resources) = result["resources"].as_array_mut() {
                        resources.retain(|resource| resource["name"] != "dashboard");
                    }
                }
                _ => {}
            }
        }
        if request.method.starts_with("tasks/") {
            response.outcome = Err(RpcError::method_not_found(&request.method));
        }
        self.without_tasks(request, response)
    }
}
