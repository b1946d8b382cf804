//! Faults of tools: how they are listed, what they accept, what they return.

use serde_json::{Value, json};

use super::spoil::{Answers, Entry, Results, add, asks, entry, error, internal, params, returned, take, text};
use super::{Decorator, Fault};
use crate::envelope::{Request, Response, RpcError};
use crate::revision::Revision;

pub(super) const FAULTS: &[Fault] = &[
    Fault::new("dup-tool", "lists a tool twice", &["tools/name-unique"], || {
        listed("echo", |tools, tool| tools.push(tool.clone()))
    }),
    Fault::new(
        "tool-name-number",
        "gives a tool a number for a name",
        &["tools/name-string"],
        || {
            Box::new(Results(|_, result| {
                add(
                    result,
                    "tools",
                    json!({ "name": 5, "inputSchema": { "type": "object" } }),
                )
            }))
        },
    ),
    Fault::new(
        "tool-title-number",
        "gives a tool a number for a title",
        &["schema/title-string"],
        || changed("echo", |tool| tool["title"] = json!(5)),
    ),
    Fault::new(
        "tools-object",
        "lists tools as an object",
        &["tools/list-array", "tools/list-supported"],
        || {
            Box::new(Results(|request, result| {
                if request.method == "tools/list" {
                    *result = json!({ "tools": {} });
                }
            }))
        },
    ),
    Fault::new(
        "schema-bad",
        "has a type in an inputSchema that JSON Schema does not know",
        &["tools/input-schema-valid"],
        || {
            changed("search_docs", |tool| {
                tool["inputSchema"]["properties"]["query"]["type"] = json!("unknown")
            })
        },
    ),
    Fault::new(
        "ref-dangling",
        "has a $ref in an inputSchema that leads nowhere",
        &["tools/input-schema-valid"],
        || {
            changed("search_docs", |tool| {
                tool["inputSchema"]["properties"]["query"] = json!({ "$ref": "#/$defs/none" })
            })
        },
    ),
    Fault::new(
        "schema-no-object",
        "has an inputSchema of type string",
        &["tools/input-schema-object"],
        || changed("counter", |tool| tool["inputSchema"] = json!({ "type": "string" })),
    ),
    Fault::new(
        "schema-properties-array",
        "has an array of properties in an inputSchema",
        &["tools/input-schema-properties", "tools/input-schema-valid"],
        || changed("counter", |tool| tool["inputSchema"]["properties"] = json!([])),
    ),
    Fault::new(
        "schema-required-text",
        "has a text for the required members of an inputSchema",
        &["tools/input-schema-required", "tools/input-schema-valid"],
        || changed("counter", |tool| tool["inputSchema"]["required"] = json!("none")),
    ),
    Fault::new(
        "output-schema-bad",
        "has a type in an outputSchema that JSON Schema does not know",
        &["tools/output-schema-valid"],
        || {
            changed("search_docs", |tool| {
                tool["outputSchema"]["properties"]["total"]["type"] = json!("whole")
            })
        },
    ),
    Fault::new(
        "output-schema-array",
        "has an outputSchema of type array, and structured results that are objects",
        &["tools/output-schema-object", "tools/output-schema-conformance"],
        || changed("search_docs", |tool| tool["outputSchema"] = json!({ "type": "array" })),
    ),
    Fault::new(
        "annotations-text",
        "writes readOnlyHint as a text",
        &["tools/annotations-shape"],
        || changed("counter", |tool| tool["annotations"]["readOnlyHint"] = json!("no")),
    ),
    Fault::new(
        "task-support-odd",
        "supports tasks sometimes",
        &["tools/execution-task-support"],
        || {
            changed("show_logo", |tool| {
                tool["execution"] = json!({ "taskSupport": "sometimes" })
            })
        },
    )
    .under(Revision::V2025_11_25),
    Fault::new(
        "dialect-unknown",
        "writes an inputSchema in a dialect that nobody knows",
        &["tools/schema-dialect-known"],
        || {
            changed("show_logo", |tool| {
                tool["inputSchema"]["$schema"] = json!("https://example.com/dialect")
            })
        },
    )
    .under(Revision::V2025_11_25),
    Fault::new(
        "tool-name-charset",
        "has a tool with spaces in its name",
        &["tools/name-charset"],
        || Box::new(Phantom("say hello!")),
    )
    .under(Revision::V2025_11_25),
    Fault::new(
        "tool-name-empty",
        "has a tool without a name to speak of",
        &["tools/name-length"],
        || Box::new(Phantom("")),
    )
    .under(Revision::V2025_11_25),
    Fault::new(
        "tool-name-ci",
        "finds tools whatever the case of their names",
        &["tools/name-case-sensitive"],
        || {
            Box::new(Answers(|request, _| {
                let name = params(request).get("name").and_then(Value::as_str).map(str::to_owned)?;
                let known = ["ADD", "SEARCH_DOCS", "ECHO", "SHOW_LOGO"].contains(&name.as_str());
                (request.method == "tools/call" && known).then(|| Ok(text("done")))
            }))
        },
    )
    .under(Revision::V2025_11_25),
    Fault::new(
        "unknown-tool-ok",
        "calls tools that do not exist",
        &["tools/unknown-tool-error"],
        || {
            Box::new(Answers(|request, response| {
                refused(request, response, "Unknown tool").then(|| Ok(text("done")))
            }))
        },
    ),
    Fault::new(
        "nameless-call-ok",
        "calls no tool when none is named",
        &["tools/missing-name"],
        || {
            Box::new(Answers(|request, _| {
                let named = params(request).get("name").is_some_and(Value::is_string);
                (request.method == "tools/call" && !named).then(|| Ok(text("done")))
            }))
        },
    ),
    Fault::new(
        "nameless-call-internal",
        "has an internal error when no tool is named",
        &["base-protocol/invalid-params-code"],
        || {
            Box::new(Answers(|request, _| {
                let named = params(request).get("name").is_some_and(Value::is_string);
                (request.method == "tools/call" && !named).then(|| Err(internal()))
            }))
        },
    ),
    Fault::new(
        "arguments-anything",
        "takes arguments that are no object",
        &["tools/arguments-not-object"],
        || {
            Box::new(Answers(|request, _| {
                let odd = params(request)
                    .get("arguments")
                    .is_some_and(|arguments| !arguments.is_object());
                (request.method == "tools/call" && odd).then(|| Ok(text("done")))
            }))
        },
    ),
    Fault::new(
        "arguments-demanded",
        "refuses calls without the arguments member",
        &["tools/call-without-arguments"],
        || {
            Box::new(Answers(|request, response| {
                let absent = response.outcome.is_ok() && !params(request).contains_key("arguments");
                (request.method == "tools/call" && absent).then(|| Err(error(-32602, "arguments must be given")))
            }))
        },
    ),
    Fault::new(
        "accept-missing",
        "runs tools without their required arguments",
        &["tools/input-validated"],
        || accepting(|why| why.contains("lacks the required member")),
    ),
    Fault::new(
        "accept-type",
        "runs tools with arguments of the wrong type",
        &["tools/input-type-validated"],
        || {
            accepting(|why| {
                ["an integer", "a string", "a boolean", "an array", "an object"]
                    .iter()
                    .any(|kind| why.ends_with(kind))
            })
        },
    ),
    Fault::new(
        "accept-extra",
        "runs tools with arguments that their schemas exclude",
        &["tools/input-additional-validated"],
        || accepting(|why| why.contains("has the unknown member")),
    ),
    Fault::new(
        "accept-enum",
        "ignores enumerations in schemas",
        &["tools/hostile-arguments"],
        || accepting(|why| why.contains("must be one of")),
    ),
    Fault::new(
        "accept-range",
        "ignores limits of numbers and texts in schemas",
        &["tools/hostile-arguments"],
        || {
            accepting(|why| {
                ["or more, but", "or less, but", "or fewer, but"]
                    .iter()
                    .any(|limit| why.contains(limit))
            })
        },
    ),
    Fault::new(
        "failure-as-error",
        "tells the failure of a tool in a protocol error",
        &["tools/execution-error-as-result"],
        || {
            Box::new(Answers(|request, _| {
                asks(request, "tools/call", "risky_tool").then(|| Err(error(-32000, "The risky tool has failed")))
            }))
        },
    ),
    Fault::new(
        "validation-as-error",
        "tells wrong arguments in a protocol error",
        &["tools/validation-error-as-result"],
        || {
            Box::new(Answers(|request, response| {
                invalid(request, response).map(|why| Err(RpcError::invalid_params(why)))
            }))
        },
    )
    .under(Revision::V2025_11_25),
    Fault::new(
        "no-content",
        "leaves content out of results",
        &["tools/call-result-content"],
        || returned("echo", |result| drop(take(result, "content"))),
    ),
    Fault::new(
        "content-blob",
        "has content blocks of a type of its own",
        &["tools/call-content-type-known"],
        || returned("echo", |result| result["content"][0]["type"] = json!("blob")),
    ),
    Fault::new(
        "content-untyped",
        "has content blocks without type",
        &["schema/content-block-discriminator", "tools/call-content-type-known"],
        || returned("echo", |result| drop(take(&mut result["content"][0], "type"))),
    ),
    Fault::new(
        "text-number",
        "has a number for the text of a block",
        &["tools/content-text"],
        || returned("echo", |result| result["content"][0]["text"] = json!(5)),
    ),
    Fault::new(
        "is-error-text",
        "writes isError as a text",
        &["tools/is-error-boolean"],
        || returned("echo", |result| result["isError"] = json!("false")),
    ),
    Fault::new(
        "out-mismatch",
        "returns structured content that breaks its outputSchema",
        &["tools/output-schema-conformance"],
        || {
            returned("search_docs", |result| {
                result["structuredContent"]["total"] = json!("many");
                result["content"][0]["text"] = json!(result["structuredContent"].to_string());
            })
        },
    ),
    Fault::new(
        "out-missing",
        "returns no structured content for an outputSchema",
        &["tools/output-schema-structured-present"],
        || returned("search_docs", |result| drop(take(result, "structuredContent"))),
    ),
    Fault::new(
        "out-array",
        "returns an array as structured content",
        &["tools/structured-content-object"],
        || {
            returned(
                "echo",
                |result| *result = json!({ "content": [{ "type": "text", "text": "[]" }], "structuredContent": [] }),
            )
        },
    ),
    Fault::new(
        "out-no-text",
        "returns structured content without its text",
        &["tools/structured-content-text"],
        || returned("search_docs", |result| result["content"] = json!([])),
    ),
];

/// Does something with the list of tools that has the tool.
fn listed(name: &'static str, change: fn(&mut Vec<Value>, &Value)) -> Box<dyn Decorator> {
    Box::new(Listed { name, change })
}

#[derive(Debug)]
struct Listed {
    name: &'static str,
    change: fn(&mut Vec<Value>, &Value),
}

impl Decorator for Listed {
    fn response(&mut self, _: &Request, mut response: Response) -> Response {
        if let Ok(result) = &mut response.outcome
            && let Some(tool) = entry(result, "tools", self.name).cloned()
            && let Some(tools) = result["tools"].as_array_mut()
        {
            (self.change)(tools, &tool);
        }
        response
    }
}

/// Changes the description of a tool.
fn changed(name: &'static str, change: fn(&mut Value)) -> Box<dyn Decorator> {
    Box::new(Entry("tools/list", "tools", name, change))
}

/// A further tool, which needs no arguments.
#[derive(Debug)]
struct Phantom(&'static str);

impl Decorator for Phantom {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if asks(request, "tools/call", self.0) {
            response.outcome = Ok(text("done"));
        } else if let ("tools/list", Ok(result)) = (request.method.as_str(), &mut response.outcome) {
            add(
                result,
                "tools",
                json!({ "name": self.0, "inputSchema": { "type": "object" } }),
            );
        }
        response
    }
}

/// Whether a call was refused with an error that begins with these words.
fn refused(request: &Request, response: &Response, why: &str) -> bool {
    request.method == "tools/call"
        && response
            .outcome
            .as_ref()
            .is_err_and(|error| error.message.starts_with(why))
}

/// What is wrong with the arguments of a call, in the words of the server.
fn invalid(request: &Request, response: &Response) -> Option<String> {
    let text = response.outcome.as_ref().ok()?.pointer("/content/0/text")?.as_str()?;
    (request.method == "tools/call" && text.starts_with("Invalid arguments for ")).then(|| text.to_owned())
}

/// Lets wrong arguments pass, for tools without an outputSchema.
fn accepting(kind: fn(&str) -> bool) -> Box<dyn Decorator> {
    Box::new(Accepting(kind))
}

#[derive(Debug)]
struct Accepting(fn(&str) -> bool);

impl Decorator for Accepting {
    fn response(&mut self, request: &Request, response: Response) -> Response {
        match invalid(request, &response) {
            Some(why) if (self.0)(&why) && !asks(request, "tools/call", "search_docs") => Response {
                outcome: Ok(text("done")),
                ..response
            },
            _ => response,
        }
    }
}
