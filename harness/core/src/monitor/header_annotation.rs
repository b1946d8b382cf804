//! `x-mcp-header` in the schemas of tools: which arguments a client repeats in header fields, and under which names.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::conversation::Conversation;
use super::elicitation::asks_for_secret;
use super::tool::listed;
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope, quoted};
use crate::spec::requirement::Severity;

pub(super) const MONITOR: Monitor = Monitor {
    name: "header-annotation",
    scope: Scope::Stateless,
    over: EVERYWHERE,
    summary: "x-mcp-header names a header field of its own, on a primitive property that calls can reach",
    requirements: &[
        "headers/param-annotation-non-empty",
        "headers/param-annotation-token",
        "headers/param-annotation-unique",
        "headers/param-annotation-primitive",
        "headers/param-annotation-reachable",
        "headers/param-annotation-not-sensitive",
    ],
    judge: observe,
};

/// The keyword.
const KEYWORD: &str = "x-mcp-header";
/// Deepest schema that is looked through.
const DEEPEST: usize = 100;

/// A place that has the keyword.
struct Annotation<'a> {
    /// The name of the property, if it is one.
    property: Option<&'a str>,
    schema: &'a Value,
    value: &'a Value,
    /// Whether only `properties` lie between it and the root.
    reachable: bool,
}

fn observe(conversation: &Conversation<'_>, _context: &Context<'_>, observer: &mut Observer<'_>) {
    let messages = conversation.messages();
    let (exchanges, _) = conversation.exchanges(&messages);
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for (name, tool, event) in listed(&exchanges) {
        let Some(schema) = tool.get("inputSchema") else {
            continue;
        };
        let mut annotations = Vec::new();
        collect(schema, None, false, 0, &mut annotations);
        if annotations.is_empty() || !seen.insert(format!("{name} {schema}")) {
            continue; // Nothing to see, or judged already.
        }
        judge(observer, name, &annotations, event);
    }
}

/// All places of a schema that have the keyword. `reachable`: whether a call can reach this one; the root is no argument.
fn collect<'a>(
    schema: &'a Value,
    property: Option<&'a str>,
    reachable: bool,
    depth: usize,
    found: &mut Vec<Annotation<'a>>,
) {
    let Some(members) = schema.as_object().filter(|_| depth <= DEEPEST) else {
        return;
    };
    if let Some(value) = members.get(KEYWORD) {
        found.push(Annotation {
            property,
            schema,
            value,
            reachable,
        });
    }
    let open = reachable || depth == 0;
    for (keyword, value) in members {
        match (keyword.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                for (name, property) in properties {
                    collect(property, Some(name), open, depth + 1, found);
                }
            }
            ("$defs" | "definitions" | "patternProperties" | "dependentSchemas", Value::Object(schemas)) => {
                for schema in schemas.values() {
                    collect(schema, None, false, depth + 1, found);
                }
            }
            ("const" | "enum" | "default" | "examples" | KEYWORD, _) => {}
            (_, Value::Array(schemas)) => {
                for schema in schemas {
                    collect(schema, None, false, depth + 1, found);
                }
            }
            (_, schema @ Value::Object(_)) => collect(schema, None, false, depth + 1, found),
            _ => {}
        }
    }
}

fn judge(observer: &mut Observer<'_>, tool: &str, annotations: &[Annotation<'_>], event: usize) {
    let mut names: BTreeMap<String, ()> = BTreeMap::new();
    for annotation in annotations {
        let place = annotation.property.map_or_else(
            || format!("{KEYWORD} in the inputSchema of tool {}", quoted(tool)),
            |property| format!("{KEYWORD} of {} of tool {}", quoted(property), quoted(tool)),
        );
        let broken = |requirement: &'static str, text: String| BreachAt::new(requirement, event, text);
        if !annotation.reachable {
            let text = format!("{place} stands where no call reaches it by `properties` alone");
            observer.broken(broken("headers/param-annotation-reachable", text).about(tool));
            continue;
        }
        observer.kept("headers/param-annotation-reachable", event);
        let Some(name) = annotation.value.as_str().filter(|name| !name.is_empty()) else {
            let found = quoted(&annotation.value.to_string());
            let text = format!("{place} is {found}, not the name of a header field");
            observer.broken(broken("headers/param-annotation-non-empty", text).about(tool));
            continue;
        };
        observer.kept("headers/param-annotation-non-empty", event);
        if name.bytes().all(is_token) {
            observer.kept("headers/param-annotation-token", event);
        } else {
            let text = format!("{place} is {}, which is no token (RFC 9110, 5.6.2)", quoted(name));
            observer.broken(broken("headers/param-annotation-token", text).about(tool));
        }
        if names.insert(name.to_ascii_lowercase(), ()).is_some() {
            let text = format!("{place} is {}, which another property has as well", quoted(name));
            observer.broken(broken("headers/param-annotation-unique", text).about(tool));
        } else {
            observer.kept("headers/param-annotation-unique", event);
        }
        match annotation.schema.get("type") {
            Some(Value::String(kind)) if matches!(kind.as_str(), "string" | "integer" | "boolean") => {
                observer.kept("headers/param-annotation-primitive", event);
            }
            Some(Value::String(kind)) => {
                let text = format!("{place} stands on a property of type {}", quoted(kind));
                observer.broken(broken("headers/param-annotation-primitive", text).about(tool));
            }
            _ => {
                let text = format!("{place} stands on a property without a single type");
                let breach = broken("headers/param-annotation-primitive", text).about(tool);
                observer.broken(breach.at_most(Severity::Warn));
            }
        }
        if annotation.property.is_some_and(is_personal) {
            let text = format!("{place} puts what looks like a secret or personal data into a header field");
            observer.broken(broken("headers/param-annotation-not-sensitive", text).about(tool));
        } else {
            observer.kept("headers/param-annotation-not-sensitive", event);
        }
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether a property sounds like something that logs of proxies should not hold.
fn is_personal(property: &str) -> bool {
    let plain = property.to_ascii_lowercase();
    asks_for_secret(property) || ["email", "e-mail", "e_mail", "ssn", "token"].contains(&plain.as_str())
}
