//! Faults of prompts: listing them, fetching one, and what becomes of odd arguments.

use serde_json::{Value, json};

use super::spoil::{
    Addition, After, Answers, Entry, Every, Named, asks, block, error, internal, notification, params, take,
};
use super::{Decorator, Fault};
use crate::envelope::{Request, Response};

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "prompts-object",
        "lists prompts as an object",
        &["prompts/list-array", "prompts/list-supported"],
        || Box::new(Every("prompts/list", |result| *result = json!({ "prompts": {} }))),
    ),
    Fault::new(
        "prompt-name-number",
        "lists a number for a name",
        &["prompts/name-string"],
        || Box::new(Addition("prompts/list", "prompts", || json!({ "name": 5 }))),
    ),
    Fault::new(
        "dup-prompt",
        "lists a prompt twice",
        &["prompts/name-unique", "pagination/no-overlap"],
        || {
            Box::new(Addition(
                "prompts/list",
                "prompts",
                || json!({ "name": "summarise_readme" }),
            ))
        },
    ),
    Fault::new(
        "prompt-description-number",
        "lists a number for a description",
        &["prompts/optional-strings"],
        || review(|prompt| prompt["description"] = json!(5)),
    ),
    Fault::new(
        "prompt-arguments-object",
        "lists arguments as an object",
        &["prompts/arguments-array"],
        || review(|prompt| prompt["arguments"] = json!({})),
    ),
    Fault::new(
        "argument-required-text",
        "writes of an argument that it is required as a text",
        &["prompts/argument-required-boolean"],
        || review(|prompt| prompt["arguments"][1]["required"] = json!("no")),
    ),
    Fault::new(
        "argument-description-number",
        "lists a number for the description of an argument",
        &["prompts/argument-optional-strings"],
        || review(|prompt| prompt["arguments"][1]["description"] = json!(5)),
    ),
    Fault::new(
        "prompt-no-messages",
        "fetches a prompt without messages",
        &[
            "prompts/get-messages",
            "prompts/listed-gettable",
            "prompts/get-without-arguments",
        ],
        || greeting(|result| drop(take(result, "messages"))),
    ),
    Fault::new(
        "prompt-result-description-number",
        "fetches a number for a description",
        &["prompts/get-description-string"],
        || greeting(|result| result["description"] = json!(5)),
    ),
    Fault::new(
        "message-role-odd",
        "has a message of the system",
        &["prompts/message-role"],
        || greeting(|result| result["messages"][0]["role"] = json!("system")),
    ),
    Fault::new(
        "message-content-array",
        "has a message with several contents",
        &["prompts/message-content-single"],
        || greeting(|result| result["messages"][0]["content"] = json!([{ "type": "text", "text": "Hello!" }])),
    ),
    Fault::new(
        "message-content-odd",
        "has a message with content of a type of its own",
        &["prompts/message-content-type"],
        || greeting(|result| result["messages"][0]["content"]["type"] = json!("markdown")),
    ),
    Fault::new(
        "prompt-image-type",
        "has a picture whose MIME type is none",
        &["prompts/image-encoded"],
        || pictured("image", |block| block["mimeType"] = json!("picture")),
    ),
    Fault::new(
        "prompt-image-raw",
        "has a picture that is no base64",
        &["prompts/image-encoded"],
        || pictured("image", |block| block["data"] = json!("no base64!")),
    ),
    Fault::new(
        "prompt-audio-type",
        "has a sound without MIME type",
        &["prompts/audio-encoded"],
        || pictured("audio", |block| drop(take(block, "mimeType"))),
    ),
    Fault::new(
        "prompt-embedded-no-uri",
        "embeds a resource without URI in a prompt",
        &["prompts/embedded-uri"],
        || pictured("resource", |block| drop(take(&mut block["resource"], "uri"))),
    ),
    Fault::new(
        "prompt-embedded-no-mime",
        "embeds a resource without MIME type in a prompt",
        &["prompts/embedded-mime"],
        || pictured("resource", |block| drop(take(&mut block["resource"], "mimeType"))),
    ),
    Fault::new(
        "prompt-embedded-empty",
        "embeds a resource without contents in a prompt",
        &["prompts/embedded-payload"],
        || pictured("resource", |block| drop(take(&mut block["resource"], "text"))),
    ),
    Fault::new(
        "prompt-argument-missing-ok",
        "fetches prompts without their required arguments",
        &["prompts/missing-required-argument"],
        || {
            Box::new(Answers(|request, response| {
                refused(request, response, "\"pr_url\" is missing").then(|| Ok(said("Please review nothing.")))
            }))
        },
    ),
    Fault::new(
        "prompt-argument-missing-code",
        "refuses missing arguments with a code of its own",
        &["prompts/missing-required-argument"],
        || {
            Box::new(Answers(|request, response| {
                refused(request, response, "\"pr_url\" is missing").then(|| Err(error(0, "pr_url is missing")))
            }))
        },
    ),
    Fault::new(
        "unknown-prompt-code",
        "refuses unknown prompts with a code of its own",
        &["prompts/unknown-name"],
        || {
            Box::new(Answers(|request, response| {
                refused(request, response, "Unknown prompt").then(|| Err(error(0, "Unknown prompt")))
            }))
        },
    ),
    Fault::new(
        "nameless-prompt-internal",
        "has an internal error when no prompt is named",
        &["prompts/missing-name"],
        || {
            Box::new(Answers(|request, response| {
                refused(request, response, "name must be a string").then(|| Err(internal()))
            }))
        },
    ),
    Fault::new(
        "prompt-arguments-anything",
        "takes arguments that are no texts",
        &["prompts/arguments-validated"],
        || {
            Box::new(Answers(|request, response| {
                let odd = ["arguments must be an object", "must be a string"];
                let named = params(request).get("name").is_some_and(Value::is_string);
                (named && odd.iter().any(|why| refused(request, response, why))).then(|| Ok(said("Anything goes.")))
            }))
        },
    ),
    Fault::new(
        "prompt-unfetchable",
        "lists a prompt that cannot be fetched",
        &["prompts/listed-gettable", "prompts/get-without-arguments"],
        || {
            Box::new(Answers(|request, _| {
                asks(request, "prompts/get", "greeting").then(|| Err(error(-32602, "Unknown prompt: greeting")))
            }))
        },
    ),
    Fault::new(
        "prompt-arguments-demanded",
        "refuses to fetch prompts without the arguments member",
        &["prompts/get-without-arguments"],
        || {
            Box::new(Answers(|request, response| {
                let absent = response.outcome.is_ok() && !params(request).contains_key("arguments");
                (request.method == "prompts/get" && absent).then(|| Err(error(-32602, "arguments must be given")))
            }))
        },
    ),
    Fault::new(
        "prompt-template",
        "carries out expressions in arguments",
        &["prompts/injection-safe"],
        || {
            Box::new(Every("prompts/get", |result| {
                let done = result.to_string().replace("{{7*191}}", "1337");
                *result = serde_json::from_str(&done).unwrap_or_default();
            }))
        },
    ),
    Fault::new(
        "prompt-reads-files",
        "reads the file that an argument names",
        &["prompts/injection-safe"],
        || {
            Box::new(Every("prompts/get", |result| {
                if result.to_string().contains("../etc/passwd") {
                    *result = said("root:x:0:0:root:/root:/bin/sh");
                }
            }))
        },
    ),
    Fault::new(
        "prompt-trace",
        "shows a stack trace when an argument has odd characters",
        &["prompts/hostile-arguments"],
        || {
            Box::new(Answers(|request, _| {
                let odd = params(request)
                    .get("arguments")
                    .is_some_and(|arguments| arguments.to_string().contains("{% raw"));
                let trace = "Traceback (most recent call last): File \"prompts.py\", line 7";
                (request.method == "prompts/get" && odd).then(|| Err(error(-32603, trace)))
            }))
        },
    ),
    Fault::new(
        "prompts-changed-extra",
        "sends the prompts with the news that they have changed",
        &["prompts/list-changed-shape"],
        || {
            Box::new(After::new("prompts/list", || {
                notification("notifications/prompts/list_changed", json!({ "prompts": [] }))
            }))
        },
    ),
    Fault::new(
        "prompts-undeclared",
        "serves prompts, and declares none",
        &["prompts/capability-declared", "prompts/list-changed-undeclared"],
        || {
            Box::new(Every("initialize", |result| {
                drop(take(&mut result["capabilities"], "prompts"))
            }))
        },
    ),
];

fn review(change: fn(&mut Value)) -> Box<dyn Decorator> {
    Box::new(Entry("prompts/list", "prompts", "code_review_prompt", change))
}

fn greeting(change: fn(&mut Value)) -> Box<dyn Decorator> {
    Box::new(Named("prompts/get", "greeting", change))
}

/// The result of a prompt that says this.
fn said(text: &str) -> Value {
    json!({ "messages": [{ "role": "user", "content": { "type": "text", "text": text } }] })
}

/// Whether a prompt was refused with these words.
fn refused(request: &Request, response: &Response, why: &str) -> bool {
    request.method == "prompts/get"
        && response
            .outcome
            .as_ref()
            .is_err_and(|error| error.message.contains(why))
}

/// Changes a content block of the prompts that show more than text.
fn pictured(kind: &'static str, change: fn(&mut Value)) -> Box<dyn Decorator> {
    Box::new(Pictured { kind, change })
}

#[derive(Debug)]
struct Pictured {
    kind: &'static str,
    change: fn(&mut Value),
}

impl Decorator for Pictured {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if let Ok(result) = &mut response.outcome
            && request.method == "prompts/get"
            && let Some(block) = block(result, self.kind)
        {
            (self.change)(block);
        }
        response
    }
}
