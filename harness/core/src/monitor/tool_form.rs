//! How tools describe themselves: dialects of their schemas, and hints that do not contradict each other.

use std::collections::BTreeSet;

use serde_json::Value;

use super::conversation::Conversation;
use super::tool::listed;
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope, quoted};
use crate::revision::Revision;
use crate::spec::requirement::Severity;

pub(super) const MONITOR: Monitor = Monitor {
    name: "tool-form",
    scope: Scope::Either,
    over: EVERYWHERE,
    summary: "schemas of tools name a known dialect, preferably 2020-12, and hints do not contradict each other",
    requirements: &[
        "tools/schema-dialect-known",
        "schema/dialect-2020-12-recommended",
        "tools/no-parameter-schema",
        "tools/annotations-consistent",
    ],
    judge: observe,
};

/// The meta-schema of 2020-12.
const NEWEST: &str = "json-schema.org/draft/2020-12/schema";
/// Meta-schemas of dialects that are in use, without scheme and empty fragment.
const KNOWN: [&str; 5] = [
    NEWEST,
    "json-schema.org/draft/2019-09/schema",
    "json-schema.org/draft-07/schema",
    "json-schema.org/draft-06/schema",
    "json-schema.org/draft-04/schema",
];

fn observe(conversation: &Conversation<'_>, context: &Context<'_>, observer: &mut Observer<'_>) {
    let messages = conversation.messages();
    let (exchanges, _) = conversation.exchanges(&messages);
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for (name, tool, event) in listed(&exchanges) {
        if !seen.insert(tool.to_string()) {
            continue; // Judged already.
        }
        for member in ["inputSchema", "outputSchema"] {
            if let Some(schema) = tool.get(member).filter(|schema| schema.is_object()) {
                dialect(observer, name, member, schema, event);
            }
        }
        if let Some(schema) = tool
            .get("inputSchema")
            .filter(|_| context.revision >= Revision::V2025_11_25)
        {
            without_parameters(observer, name, schema, event);
        }
        hints(observer, name, tool, event);
    }
}

fn dialect(observer: &mut Observer<'_>, tool: &str, member: &str, schema: &Value, event: usize) {
    let Some(dialect) = schema.get("$schema") else {
        // Without `$schema` it is 2020-12.
        observer.kept("schema/dialect-2020-12-recommended", event);
        return;
    };
    // Anything but a text is reported by the schemas.
    let Some(dialect) = dialect.as_str() else { return };
    let plain = dialect.trim_end_matches('#');
    let plain = plain
        .strip_prefix("https://")
        .or_else(|| plain.strip_prefix("http://"))
        .unwrap_or(plain);
    if !KNOWN.contains(&plain) {
        let message = format!(
            "$schema in the {member} of tool {} names a dialect that is not known: {}",
            quoted(tool),
            quoted(dialect)
        );
        let breach = BreachAt::new("tools/schema-dialect-known", event, message).about(tool);
        observer.broken(breach.at_most(Severity::Warn));
        return;
    }
    observer.kept("tools/schema-dialect-known", event);
    if plain == NEWEST {
        observer.kept("schema/dialect-2020-12-recommended", event);
    } else {
        let message = format!(
            "the {member} of tool {} is written in {}; 2020-12 is recommended, others are allowed",
            quoted(tool),
            quoted(dialect)
        );
        let breach = BreachAt::new("schema/dialect-2020-12-recommended", event, message).about(tool);
        observer.broken(breach.at_most(Severity::Info));
    }
}

fn without_parameters(observer: &mut Observer<'_>, tool: &str, schema: &Value, event: usize) {
    let has_parameters = schema
        .get("properties")
        .and_then(Value::as_object)
        .is_some_and(|properties| !properties.is_empty());
    // Parameters may also come in by reference or combination.
    let simple = ["$ref", "allOf", "anyOf", "oneOf", "patternProperties"]
        .iter()
        .all(|keyword| schema.get(*keyword).is_none());
    if has_parameters || !simple || schema.get("type") != Some(&Value::from("object")) {
        return;
    }
    if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
        observer.kept("tools/no-parameter-schema", event);
    } else {
        let message = format!(
            "tool {} has no parameters; additionalProperties: false would say so",
            quoted(tool)
        );
        observer.broken(BreachAt::new("tools/no-parameter-schema", event, message).about(tool));
    }
}

fn hints(observer: &mut Observer<'_>, tool: &str, definition: &Value, event: usize) {
    let hint = |name: &str| {
        definition
            .pointer(&format!("/annotations/{name}"))
            .and_then(Value::as_bool)
    };
    if hint("readOnlyHint") != Some(true) {
        return;
    }
    if hint("destructiveHint") == Some(true) {
        let message = format!(
            "tool {} says that it is read-only, and that it is destructive",
            quoted(tool)
        );
        observer.broken(BreachAt::new("tools/annotations-consistent", event, message).about(tool));
    } else {
        observer.kept("tools/annotations-consistent", event);
    }
}
