//! Correct servers that differ from the ordinary one: nothing that weighs may be found about them.

use serde_json::Value;

use super::spoil::{error, take};
use super::{Decorator, Fault, Received};
use crate::conversation::Output;
use crate::envelope::{Message, Request, Response, RpcError};

pub(super) const VARIANTS: &[Fault] = &[
    Fault::new(
        "variant-only-tools",
        "is correct, and offers nothing but tools",
        &[],
        || Box::new(Without(&["resources", "prompts", "completions", "logging"])),
    ),
    Fault::new("variant-no-tools", "is correct, and offers no tools", &[], || {
        Box::new(Without(&["tools"]))
    }),
    Fault::new(
        "variant-no-subscriptions",
        "is correct, and offers neither subscriptions nor news",
        &[],
        || Box::new(NoNews),
    ),
    Fault::new(
        "variant-silent",
        "is correct, and answers nothing that it cannot read",
        &[],
        || Box::new(Silent),
    ),
    Fault::new(
        "variant-invalid-params",
        "is correct, and tells wrong arguments in a protocol error, as older revisions do",
        &[],
        || Box::new(InvalidParams),
    ),
];

/// A server without some capabilities, and without their methods.
#[derive(Debug)]
struct Without(&'static [&'static str]);

impl Decorator for Without {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if let ("initialize", Ok(result)) = (request.method.as_str(), &mut response.outcome) {
            for capability in self.0 {
                take(&mut result["capabilities"], capability);
            }
        }
        let of = match request.method.split('/').next() {
            Some("completion") => "completions",
            Some(area) => area,
            None => "",
        };
        if let ("tools/call", Ok(result)) = (request.method.as_str(), &mut response.outcome)
            && self.0.contains(&"resources")
            && let Some(blocks) = result["content"].as_array_mut()
        {
            // Resources come from servers that have some.
            blocks.retain(|block| block["type"] != "resource");
        }
        if self.0.contains(&of) {
            response.outcome = Err(RpcError::method_not_found(&request.method));
        }
        response
    }

    fn outputs(&mut self, _: Received, outputs: Vec<Output>) -> Vec<Output> {
        let news: Vec<&str> = self.0.iter().filter_map(|capability| news_of(capability)).collect();
        without(outputs, &news)
    }
}

/// The notification that needs a capability.
fn news_of(capability: &str) -> Option<&'static str> {
    match capability {
        "tools" => Some("notifications/tools/list_changed"),
        "prompts" => Some("notifications/prompts/list_changed"),
        "resources" => Some("notifications/resources/list_changed"),
        "logging" => Some("notifications/message"),
        _ => None,
    }
}

/// The outputs without some notifications.
fn without(mut outputs: Vec<Output>, methods: &[&str]) -> Vec<Output> {
    outputs.retain(|output| match output {
        Output::Aside(Message::Notification { method, .. })
        | Output::Message {
            message: Message::Notification { method, .. },
            ..
        } => !methods.contains(method),
        _ => true,
    });
    outputs
}

/// A server whose lists never change, and whose resources cannot be subscribed to.
#[derive(Debug)]
struct NoNews;

impl Decorator for NoNews {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if let ("initialize", Ok(result)) = (request.method.as_str(), &mut response.outcome) {
            for list in ["tools", "prompts", "resources"] {
                result["capabilities"][list] = serde_json::json!({});
            }
        }
        if ["resources/subscribe", "resources/unsubscribe"].contains(&request.method.as_str()) {
            response.outcome = Err(error(-32601, "Method not found"));
        }
        response
    }

    fn outputs(&mut self, _: Received, outputs: Vec<Output>) -> Vec<Output> {
        let news: Vec<&str> = ["tools", "prompts", "resources"]
            .into_iter()
            .filter_map(news_of)
            .collect();
        without(outputs, &news)
    }
}

/// What most SDKs do: a frame that is no message is left alone.
#[derive(Debug)]
struct Silent;

impl Decorator for Silent {
    fn outputs(&mut self, received: Received, outputs: Vec<Output>) -> Vec<Output> {
        match received {
            Received::Unparseable => Vec::new(),
            _ => outputs,
        }
    }
}

/// Up to 2025-06-18 both ways are right.
#[derive(Debug)]
struct InvalidParams;

impl Decorator for InvalidParams {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        let text = |result: &Value| {
            result
                .pointer("/content/0/text")
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        if request.method == "tools/call"
            && let Some(why) = response.outcome.as_ref().ok().and_then(text)
            && why.starts_with("Invalid arguments for ")
        {
            response.outcome = Err(RpcError::invalid_params(why));
        }
        response
    }
}
