//! What no clause demands, or only softly, and good servers do all the same: most of it is told as information.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::spoil::{
    Answers, Entry, Every, Named, Wording, block, error, internal, is_unknown_tool, params, take, text,
};
use super::{Decorator, Fault, Received, STDIO};
use crate::conversation::Output;
use crate::envelope::{Message, Request, Response};
use crate::revision::Revision;

pub(super) const FAULTS: &[Fault] = &[
    // Lists and what they describe.
    Fault::new(
        "annotations-contradict",
        "says of a tool that it changes nothing and destroys something",
        &["tools/annotations-consistent"],
        || {
            Box::new(Entry("tools/list", "tools", "add", |tool| {
                tool["annotations"]["destructiveHint"] = json!(true);
            }))
        },
    ),
    Fault::new(
        "required-unknown",
        "requires an argument of which the schema knows nothing else",
        &["tools/input-schema-required-known"],
        || {
            Box::new(Entry("tools/list", "tools", "write_note", |tool| {
                if let Some(required) = tool.pointer_mut("/inputSchema/required").and_then(Value::as_array_mut) {
                    required.push(json!("signature"));
                }
            }))
        },
    ),
    Fault::new(
        "no-arguments-open",
        "accepts any arguments for tools that have none",
        &["tools/no-parameter-schema"],
        || {
            Box::new(Entry("tools/list", "tools", "test_simple_text", |tool| {
                take(&mut tool["inputSchema"], "additionalProperties");
            }))
        },
    )
    .under(Revision::V2025_11_25),
    Fault::new(
        "list-forgets",
        "leaves a tool out of every second list",
        &["tools/list-repeatable", "progress/token-accepted-everywhere"],
        || {
            Box::new(Second::of("tools/list", |_, result| {
                if let Some(tools) = result["tools"].as_array_mut() {
                    tools.retain(|tool| tool["name"] != "search_docs");
                }
            }))
        },
    ),
    Fault::new(
        "list-turned-round",
        "begins every second list at its end",
        &["pagination/no-cursor-first-page", "progress/token-accepted-everywhere"],
        || {
            Box::new(Second::of("tools/list", |request, result| {
                if let (None, Some(tools)) = (params(request).get("cursor"), result["tools"].as_array_mut()) {
                    tools.reverse();
                }
            }))
        },
    ),
    Fault::new(
        "argument-twice",
        "lists an argument of a prompt twice",
        &["prompts/argument-names-unique"],
        || {
            Box::new(Entry(
                "prompts/list",
                "prompts",
                "test_prompt_with_arguments",
                |prompt| {
                    if let Some(arguments) = prompt["arguments"].as_array_mut() {
                        arguments.push(json!({ "name": "arg1", "description": "The first word, again." }));
                    }
                },
            ))
        },
    ),
    Fault::new(
        "cursor-empty",
        "gives an empty cursor for an empty last page",
        &["pagination/next-cursor-nonempty"],
        || {
            Box::new(Answers(|request, response| {
                if request.method != "resources/templates/list" {
                    return None;
                }
                if params(request).get("cursor") == Some(&json!("")) {
                    return Some(Ok(json!({ "resourceTemplates": [] })));
                }
                let mut result = response.outcome.as_ref().ok()?.clone();
                result["nextCursor"] = json!("");
                Some(Ok(result))
            }))
        },
    ),
    Fault::new(
        "description-escapes",
        "colours a description for terminals",
        &["security/control-characters"],
        || {
            Box::new(Entry("tools/list", "tools", "add", |tool| {
                tool["description"] = json!("Adds \u{1b}[31mtwo\u{1b}[0m integers.");
            }))
        },
    ),
    Fault::new(
        "description-hidden",
        "hides something in a description",
        &["security/hidden-unicode"],
        || {
            Box::new(Entry("tools/list", "tools", "add", |tool| {
                tool["description"] = json!("Adds two integers.\u{2060}\u{202e}");
            }))
        },
    ),
    Fault::new(
        "size-wrong",
        "lists a resource with a wrong size",
        &["resources/size-accurate"],
        || {
            Box::new(Entry("resources/list", "resources", "docs://readme", |resource| {
                resource["size"] = json!(1);
            }))
        },
    ),
    Fault::new(
        "icon-not-an-image",
        "has an icon that is no picture",
        &["schema/icon-data-uri"],
        || {
            Box::new(Entry("tools/list", "tools", "show_logo", |tool| {
                tool["icons"] =
                    json!([{ "src": "data:image/png;base64,bm90IGEgcGljdHVyZQ==", "mimeType": "image/png" }]);
            }))
        },
    )
    .under(Revision::V2025_11_25),
    Fault::new(
        "dialect-draft-7",
        "writes the schema of a tool in an older dialect",
        &["schema/dialect-2020-12-recommended"],
        || {
            Box::new(Entry("tools/list", "tools", "add", |tool| {
                tool["inputSchema"]["$schema"] = json!("http://json-schema.org/draft-07/schema#");
            }))
        },
    )
    .under(Revision::V2025_11_25),
    // Results.
    Fault::new(
        "completion-total-small",
        "counts fewer values than it gives",
        &["completion/total-consistent"],
        || {
            Box::new(Every("completion/complete", |result| {
                if result["completion"]["values"]
                    .as_array()
                    .is_some_and(|values| !values.is_empty())
                {
                    result["completion"]["total"] = json!(0);
                }
            }))
        },
    ),
    Fault::new(
        "read-other-type",
        "gives a resource another type than the list does",
        &["resources/read-mime-consistent"],
        || {
            Box::new(Named("resources/read", "docs://readme", |result| {
                result["contents"][0]["mimeType"] = json!("text/html");
            }))
        },
    ),
    Fault::new(
        "read-other-uri",
        "gives a resource another URI than the one that was asked for",
        &["resources/read-uri-echo"],
        || {
            Box::new(Named("resources/read", "docs://readme", |result| {
                result["contents"][0]["uri"] = json!("other://somewhere/else");
            }))
        },
    ),
    Fault::new(
        "read-text-and-blob",
        "gives a resource as text and as bytes at once",
        &["resources/content-not-both"],
        || {
            Box::new(Named("resources/read", "docs://readme", |result| {
                result["contents"][0]["blob"] = json!("VGV4dA==");
            }))
        },
    ),
    Fault::new(
        "image-no-image-type",
        "gives a picture a type that is none of pictures",
        &["tools/content-image-mime"],
        || {
            Box::new(Named("tools/call", "test_image_content", |result| {
                if let Some(block) = block(result, "image") {
                    block["mimeType"] = json!("application/octet-stream");
                }
            }))
        },
    ),
    Fault::new(
        "failure-speechless",
        "says nothing about what went wrong in a tool",
        &["tools/execution-error-content"],
        || {
            Box::new(Named("tools/call", "test_error_handling", |result| {
                result["content"] = json!([])
            }))
        },
    ),
    Fault::new(
        "link-dead",
        "links to a resource that cannot be read",
        &["tools/resource-link-readable"],
        || {
            Box::new(Named("tools/call", "show_logo", |result| {
                if let Some(block) = block(result, "resource_link") {
                    block["uri"] = json!("test://gone");
                }
            }))
        },
    ),
    Fault::new(
        "progress-above-total",
        "does more than there is to do",
        &["progress/not-above-total"],
        || {
            Box::new(Wording("notifications/progress", |params| {
                if params.get("total").is_some() {
                    params["total"] = json!(-1);
                }
            }))
        },
    ),
    // Errors.
    Fault::new(
        "not-found-without-uri",
        "does not name the resource that it has not found",
        &["resources/not-found-data-uri"],
        || {
            Box::new(Answers(|request, response| {
                let mut error = response.outcome.as_ref().err()?.clone();
                error.data = None;
                (request.method == "resources/read").then_some(Err(error))
            }))
        },
    ),
    Fault::new(
        "error-trace",
        "shows where it is in its source when something goes wrong",
        &["security/no-internal-details-in-errors"],
        || {
            Box::new(Answers(|request, response| {
                let mut error = response.outcome.as_ref().err()?.clone();
                error.data = Some(json!("Traceback (most recent call last)"));
                (request.method == "prompts/get").then_some(Err(error))
            }))
        },
    ),
    Fault::new(
        "unknown-tool-code",
        "has a code of its own for tools that do not exist",
        &["tools/unknown-tool-code"],
        || {
            Box::new(Answers(|request, response| {
                is_unknown_tool(request, response).then(|| Err(error(-32001, "Unknown tool")))
            }))
        },
    ),
    Fault::new(
        "hostile-name-served",
        "has tools by the names of members that everything has",
        &["tools/hostile-names"],
        || {
            Box::new(Answers(|request, _| {
                let name = params(request).get("name").cloned().unwrap_or_default();
                let hostile = ["__proto__", "constructor", "toString"]
                    .iter()
                    .any(|known| name == *known);
                (request.method == "tools/call" && hostile).then(|| Ok(text("[object Object]")))
            }))
        },
    ),
    Fault::new(
        "invalid-arguments-internal",
        "has an internal error when an argument is missing",
        &["tools/validation-error-either"],
        || {
            Box::new(Answers(|request, response| {
                let result = response.outcome.as_ref().ok()?;
                let said = result["content"][0]["text"].as_str()?;
                let missing = said.starts_with("Invalid arguments") && said.contains("lacks the required member");
                (request.method == "tools/call" && missing).then(|| Err(internal()))
            }))
        },
    ),
    Fault::new(
        "completion-of-unknown-template",
        "completes what it does not know",
        &["completion/unknown-template"],
        || {
            Box::new(Answers(|request, response| {
                let params = params(request);
                let kind = params.get("ref").map(|reference| &reference["type"]);
                let unknown = kind == Some(&json!("ref/resource")) && response.outcome.is_err();
                (request.method == "completion/complete" && unknown).then(|| Ok(completed()))
            }))
        },
    ),
    Fault::new(
        "challenge-over-stdio",
        "asks for a token over stdio, as is done over HTTP",
        &["authorization/stdio-credentials-from-environment"],
        || {
            Box::new(Answers(|request, response| {
                let mut error = response.outcome.as_ref().err()?.clone();
                error.data =
                    Some(json!({ "WWW-Authenticate": "Bearer resource_metadata=\"https://server.example/\"" }));
                (request.method == "prompts/get").then_some(Err(error))
            }))
        },
    )
    .over(STDIO),
    // Tasks.
    Fault::new(
        "task-immediate-number",
        "has a number for what the model is told at once about a task",
        &["tasks/model-immediate-response"],
        || {
            Box::new(Every("tools/call", |result| {
                if result.get("task").is_some() {
                    result["_meta"]["io.modelcontextprotocol/model-immediate-response"] = json!(5);
                }
            }))
        },
    )
    .under(Revision::V2025_11_25),
    Fault::new(
        "task-poll-at-once",
        "wants to be asked about tasks without any pause",
        &["tasks/poll-interval"],
        || {
            Box::new(Every("tools/call", |result| {
                if let Some(task) = result.get_mut("task") {
                    task["pollInterval"] = json!(0);
                }
            }))
        },
    )
    .under(Revision::V2025_11_25),
    Fault::new(
        "task-expired-internal",
        "has an internal error when a task is asked for that was there once",
        &["tasks/expired-task"],
        || Box::new(Remembering::default()),
    )
    .under(Revision::V2025_11_25),
    Fault::new(
        "task-result-once",
        "gives the result of a task only once",
        &["tasks/result-repeatable"],
        || {
            Box::new(Second::of("tasks/result", |_, result| {
                result["content"] = json!([{ "type": "text", "text": "You have it already" }]);
            }))
        },
    )
    .under(Revision::V2025_11_25),
    // Cancellation.
    Fault::new(
        "cancel-all",
        "gives up everything that is in progress when one request is cancelled",
        &[
            "cancellation/only-that-request",
            "base-protocol/request-answered-once",
            "transport-streamable-http/sse-not-closed-early",
        ],
        || Box::new(Hasty::default()),
    ),
    Fault::new(
        "client-progress-answered",
        "answers the client's progress",
        &[
            "progress/client-progress-ignored",
            "base-protocol/notification-no-response",
        ],
        || {
            Box::new(super::spoil::Instead(|bytes| {
                let value: Value = serde_json::from_slice(bytes).ok()?;
                (value["method"] == "notifications/progress").then(|| {
                    let error = error(-32600, "Nothing is in progress");
                    vec![super::spoil::message(
                        &json!({ "jsonrpc": "2.0", "id": null, "error": error }),
                    )]
                })
            }))
        },
    ),
    Fault::new(
        "die-malformed-answer",
        "ends when the client answers a question with what is no answer to it",
        &[
            "client-features/malformed-reply-tolerated",
            "base-protocol/request-answered-once",
        ],
        || {
            Box::new(super::spoil::Instead(|bytes| {
                let value: Value = serde_json::from_slice(bytes).ok()?;
                let empty = value.get("result").is_some_and(|result| *result == json!({}));
                let malformed = value.get("method").is_none() && empty && value["id"].is_number();
                malformed.then(|| vec![Output::Exit(1)])
            }))
        },
    )
    .over(STDIO),
    Fault::new(
        "first-bom",
        "writes a byte order mark before the first message",
        &["transport-stdio/no-bom"],
        || Box::new(Marked::default()),
    )
    .over(STDIO),
    Fault::new(
        "stderr-binary",
        "writes bytes to stderr that are no text",
        &["transport-stdio/stderr-free-form"],
        || {
            Box::new(Every("prompts/list", |_| {
                use std::io::Write as _;
                // Where nobody reads it nothing is lost.
                let _ = std::io::stderr().write_all(b"caf\xe9 \xff\n");
            }))
        },
    )
    .over(STDIO),
    Fault::new(
        "exit-three",
        "ends with an exit code that says that something went wrong",
        &["transport-stdio/exit-code-zero"],
        || Box::new(Ending),
    )
    .over(STDIO),
];

fn completed() -> Value {
    json!({ "completion": { "values": ["something"], "total": 1, "hasMore": false } })
}

/// Changes every second result for the same params.
#[derive(Debug)]
struct Second {
    method: &'static str,
    change: fn(&Request, &mut Value),
    times: BTreeMap<String, u32>,
}

impl Second {
    fn of(method: &'static str, change: fn(&Request, &mut Value)) -> Self {
        Self {
            method,
            change,
            times: BTreeMap::new(),
        }
    }
}

impl Decorator for Second {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if request.method != self.method {
            return response;
        }
        let times = self
            .times
            .entry(Value::Object(params(request)).to_string())
            .or_default();
        *times += 1;
        if let (true, Ok(result)) = (times.is_multiple_of(2), &mut response.outcome) {
            (self.change)(request, result);
        }
        response
    }
}

/// Knows the tasks that there were.
#[derive(Debug, Default)]
struct Remembering {
    tasks: Vec<Value>,
}

impl Decorator for Remembering {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if let Ok(result) = &response.outcome
            && let Some(task) = result.get("task")
        {
            self.tasks.push(task["taskId"].clone());
        }
        let known = |id: &Value| self.tasks.contains(id);
        if request.method == "tasks/get"
            && response.outcome.is_err()
            && params(request).get("taskId").is_some_and(known)
        {
            response.outcome = Err(internal());
        }
        response
    }
}

/// Knows what is in progress, and gives all of it up.
#[derive(Debug, Default)]
struct Hasty {
    running: Vec<Value>,
}

impl Decorator for Hasty {
    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        for output in &outputs {
            match output {
                Output::Message {
                    message: Message::Response(_),
                    after,
                    request: Some(id),
                } if !after.is_zero() => self.running.push(id.clone()),
                _ => {}
            }
        }
        if outputs.iter().any(|output| matches!(output, Output::Withdraw { .. })) {
            outputs.extend(self.running.drain(..).map(|request| Output::Withdraw { request }));
        }
        outputs
    }
}

/// Knows whether it has said something.
#[derive(Debug, Default)]
struct Marked(bool);

impl Decorator for Marked {
    fn outputs(&mut self, _: Received, outputs: Vec<Output>) -> Vec<Output> {
        if outputs.is_empty() || std::mem::replace(&mut self.0, true) {
            return outputs;
        }
        super::spoil::rewritten(outputs, |bytes| [b"\xef\xbb\xbf", &bytes[..]].concat())
    }
}

/// Ends as if something had gone wrong.
#[derive(Debug)]
struct Ending;

impl Decorator for Ending {
    fn at_end(&self) -> Vec<Output> {
        vec![Output::Exit(3)]
    }
}
