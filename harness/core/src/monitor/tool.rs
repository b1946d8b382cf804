//! Tools: the schemas that they advertise, and results that keep to them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::conversation::Conversation;
use super::exchange::Exchange;
use super::resource::{entries, result};
use super::stateless::result_type;
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope, quoted};
use crate::revision::Revision;
use crate::spec::judge::{DialectPolicy, SchemaJudge, SchemaProblem};
use crate::spec::requirement::Severity;

pub(super) const MONITOR: Monitor = Monitor {
    name: "tool",
    scope: Scope::Either,
    over: EVERYWHERE,
    summary: "tool schemas are valid JSON Schema, structured results conform to them, names are well-formed",
    requirements: &[
        "tools/input-schema-valid",
        "tools/output-schema-valid",
        "tools/output-schema-structured-present",
        "tools/output-schema-conformance",
        "tools/structured-content-text",
        "tools/non-object-structured-content-text",
        "tools/name-length",
        "tools/name-charset",
        "tools/input-schema-required-known",
    ],
    judge: observe,
};

/// A tool as it was listed last.
struct Listed<'a> {
    definition: &'a Value,
    output: Option<SchemaJudge>,
}

/// Which dialect a schema without `$schema` is read in.
#[must_use]
pub fn dialect(revision: Revision) -> DialectPolicy {
    if revision >= Revision::V2025_11_25 {
        DialectPolicy::Exactly2020
    } else {
        DialectPolicy::AnyCommon
    }
}

/// The tools that lists have shown, each time that they did: name, tool, and the event of the answer.
pub(super) fn listed<'a>(exchanges: &[Exchange<'a>]) -> impl Iterator<Item = (&'a str, &'a Value, usize)> {
    let lists = exchanges.iter().filter(|exchange| exchange.method == "tools/list");
    lists.filter_map(result).flat_map(|(result, event)| {
        let named = move |tool: &'a Value| Some((tool.get("name")?.as_str()?, tool, event));
        entries(result, "tools").filter_map(named)
    })
}

fn observe(conversation: &Conversation<'_>, context: &Context<'_>, observer: &mut Observer<'_>) {
    let messages = conversation.messages();
    let (exchanges, _) = conversation.exchanges(&messages);
    let mut tools: BTreeMap<&str, Listed<'_>> = BTreeMap::new();
    for exchange in &exchanges {
        match exchange.method {
            "tools/list" => list(observer, context, exchange, &mut tools),
            "tools/call" => call(observer, context, exchange, &tools),
            _ => {}
        }
    }
}

fn list<'a>(
    observer: &mut Observer<'_>,
    context: &Context<'_>,
    exchange: &Exchange<'a>,
    tools: &mut BTreeMap<&'a str, Listed<'a>>,
) {
    let Some(answer) = exchange.answers.first() else { return };
    let event = answer.message.event;
    let listed = answer
        .message
        .value
        .pointer("/result/tools")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    for tool in listed {
        let Some(name) = tool.get("name").and_then(Value::as_str) else {
            continue;
        };
        if tools.get(name).is_some_and(|known| known.definition == tool) {
            continue; // Judged already.
        }
        name_rules(observer, name, event);
        if let Some(schema) = tool.get("inputSchema").filter(|schema| schema.is_object()) {
            compile(
                observer,
                context,
                name,
                schema,
                "inputSchema",
                "tools/input-schema-valid",
                event,
            );
            required_known(observer, name, schema, event);
        }
        let output = tool.get("outputSchema").filter(|schema| schema.is_object());
        let output = output.and_then(|schema| {
            compile(
                observer,
                context,
                name,
                schema,
                "outputSchema",
                "tools/output-schema-valid",
                event,
            )
        });
        tools.insert(
            name,
            Listed {
                definition: tool,
                output,
            },
        );
    }
}

fn name_rules(observer: &mut Observer<'_>, name: &str, event: usize) {
    let length = name.chars().count();
    if (1..=128).contains(&length) {
        observer.kept("tools/name-length", event);
    } else {
        let message = format!("the tool name has {length} characters; 1 to 128 are recommended");
        observer.broken(BreachAt::new("tools/name-length", event, message).about(name));
    }
    match name
        .chars()
        .find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')))
    {
        None => observer.kept("tools/name-charset", event),
        Some(stranger) => {
            let message = format!(
                "the tool name {} has the character {}",
                quoted(name),
                quoted(&stranger.to_string())
            );
            observer.broken(BreachAt::new("tools/name-charset", event, message).about(name));
        }
    }
}

fn compile(
    observer: &mut Observer<'_>,
    context: &Context<'_>,
    tool: &str,
    schema: &Value,
    member: &str,
    requirement: &'static str,
    event: usize,
) -> Option<SchemaJudge> {
    match SchemaJudge::compile(schema, dialect(context.revision)) {
        Ok(judge) => {
            observer.kept(requirement, event);
            Some(judge)
        }
        // The dialect has a rule of its own there.
        Err(_) if context.revision >= Revision::V2025_11_25 && names_no_dialect(schema) => None,
        Err(SchemaProblem::UnknownDialect(_)) if context.revision >= Revision::V2025_11_25 => None,
        // And so have references.
        Err(SchemaProblem::Reference(_)) if context.revision >= Revision::V2026_07_28 => None,
        Err(problem) => {
            let message = format!("the {member} of tool {} is not usable: {problem}", quoted(tool));
            observer.broken(BreachAt::new(requirement, event, message).about(tool));
            None
        }
    }
}

/// Whether `$schema` is something else than a text.
fn names_no_dialect(schema: &Value) -> bool {
    schema.get("$schema").is_some_and(|dialect| !dialect.is_string())
}

fn required_known(observer: &mut Observer<'_>, tool: &str, schema: &Value, event: usize) {
    let properties = schema.get("properties");
    let required = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    for name in required {
        if properties.and_then(|properties| properties.get(name)).is_some() {
            observer.kept("tools/input-schema-required-known", event);
        } else {
            let message = format!(
                "tool {} requires the argument {}, which its properties do not define",
                quoted(tool),
                quoted(name)
            );
            observer.broken(BreachAt::new("tools/input-schema-required-known", event, message).about(tool));
        }
    }
}

fn call(
    observer: &mut Observer<'_>,
    context: &Context<'_>,
    exchange: &Exchange<'_>,
    tools: &BTreeMap<&str, Listed<'_>>,
) {
    let Some(answer) = exchange.answers.first() else { return };
    let Some(result) = answer.message.value.get("result") else {
        return;
    };
    let Some(name) = exchange.request.value.pointer("/params/name").and_then(Value::as_str) else {
        return;
    };
    let begun = result.get("task").is_some() && exchange.request.value.pointer("/params/task").is_some();
    if begun || matches!(result_type(result), Some("input_required" | "task")) {
        return; // The tool has only begun: this is no result of it.
    }
    let event = answer.message.event;
    if result.get("isError") == Some(&Value::Bool(true)) || context.revision < Revision::V2025_06_18 {
        return;
    }
    let structured = result.get("structuredContent");
    if let Some(judge) = tools.get(name).and_then(|listed| listed.output.as_ref()) {
        match structured {
            None => {
                let message = format!(
                    "tool {} has an outputSchema, but its result has no structuredContent",
                    quoted(name)
                );
                let breach = BreachAt::new("tools/output-schema-structured-present", event, message);
                observer.broken(breach.about(name).also(&[exchange.request.event]));
            }
            Some(value) => {
                observer.kept("tools/output-schema-structured-present", event);
                match judge.validate(value).first() {
                    None => observer.kept("tools/output-schema-conformance", event),
                    Some(violation) => {
                        let message = format!(
                            "structuredContent of tool {} breaks its outputSchema at {}: {}",
                            quoted(name),
                            if violation.instance_pointer.is_empty() {
                                "its root"
                            } else {
                                &violation.instance_pointer
                            },
                            violation.message
                        );
                        let breach = BreachAt::new("tools/output-schema-conformance", event, message);
                        observer.broken(breach.about(name).also(&[exchange.request.event]));
                    }
                }
            }
        }
    }
    if let Some(structured) = structured {
        let texts: Vec<&str> = result
            .get("content")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|block| block.get("text")?.as_str())
            .collect();
        let twin = texts.iter().any(|text| says(text, structured));
        // What is no object has a rule of its own from 2026-07-28.
        let requirement = if structured.is_object() || context.revision < Revision::V2026_07_28 {
            "tools/structured-content-text"
        } else {
            "tools/non-object-structured-content-text"
        };
        if twin {
            observer.kept(requirement, event);
        } else {
            let message = format!(
                "the result of tool {} has structuredContent, but no text block with the same JSON",
                quoted(name)
            );
            let breach = BreachAt::new(requirement, event, message).about(name);
            // The proposal demands it of what is no object, the page only recommends it.
            let breach = if structured.is_object() {
                breach
            } else {
                breach.at_most(Severity::Warn)
            };
            // A client without structured content misses nothing where the text has all that the only member has.
            let unwrapped = only_member(structured).is_some_and(|value| unwrapped(&texts, value));
            observer.broken(if unwrapped {
                breach.at_most(Severity::Info)
            } else {
                breach
            });
        }
    }
}

/// Whether a text is the JSON of a value.
fn says(text: &str, value: &Value) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|said| said == *value)
}

/// The value of an object that has one member, as results are wrapped that are no object.
fn only_member(structured: &Value) -> Option<&Value> {
    let members = structured.as_object()?;
    members.values().next().filter(|_| members.len() == 1)
}

/// Whether texts say a value without its wrapping: as JSON, a text as itself, a list as one text for each entry.
fn unwrapped(texts: &[&str], value: &Value) -> bool {
    let alone = |text: &str, value: &Value| value.as_str() == Some(text) || says(text, value);
    match (texts, value) {
        ([text], value) if alone(text, value) => true,
        (texts, Value::Array(entries)) => {
            texts.len() == entries.len() && texts.iter().zip(entries).all(|(text, entry)| alone(text, entry))
        }
        _ => false,
    }
}
