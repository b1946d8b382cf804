//! References in the schemas that a server publishes: they lead to places inside, and need no network.

use std::collections::BTreeSet;

use serde_json::Value;

use super::conversation::Conversation;
use super::tool::listed;
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope, quoted};
use crate::spec::judge::resolve;

pub(super) const MONITOR: Monitor = Monitor {
    name: "schema-reference",
    scope: Scope::Either,
    over: EVERYWHERE,
    summary: "references in the schemas of tools lead to places inside, and need no network",
    requirements: &["schema/refs-resolve-locally", "security/own-schemas-no-network-ref"],
    judge: observe,
};

fn observe(conversation: &Conversation<'_>, _context: &Context<'_>, observer: &mut Observer<'_>) {
    let messages = conversation.messages();
    let (exchanges, _) = conversation.exchanges(&messages);
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for (name, tool, event) in listed(&exchanges) {
        for member in ["inputSchema", "outputSchema"] {
            let Some(schema) = tool.get(member).filter(|schema| schema.is_object()) else {
                continue;
            };
            if !seen.insert(format!("{name} {schema}")) {
                continue; // Judged already.
            }
            let mut found = Vec::new();
            references(schema, 0, &mut found);
            judge(observer, name, member, schema, &found, event);
        }
    }
}

fn judge(observer: &mut Observer<'_>, tool: &str, member: &str, schema: &Value, found: &[&str], event: usize) {
    let is_remote = |target: &str| {
        let target = target.to_ascii_lowercase();
        target.starts_with("http://") || target.starts_with("https://")
    };
    let lost = found
        .iter()
        .find(|target| target.starts_with('#') && resolve(target, schema).is_none());
    match lost {
        Some(target) => {
            let text = format!(
                "$ref {} in the {member} of tool {} leads nowhere inside the schema",
                quoted(target),
                quoted(tool)
            );
            observer.broken(BreachAt::new("schema/refs-resolve-locally", event, text).about(tool));
        }
        None if found.iter().any(|target| target.starts_with('#')) => {
            observer.kept("schema/refs-resolve-locally", event);
        }
        None => {}
    }
    // The address of a place inside may be written out in full.
    let remote = found
        .iter()
        .find(|target| is_remote(target) && resolve(target, schema).is_none());
    match remote {
        Some(target) => {
            let text = format!(
                "the {member} of tool {} cannot be understood without fetching {}",
                quoted(tool),
                quoted(target)
            );
            observer.broken(BreachAt::new("security/own-schemas-no-network-ref", event, text).about(tool));
        }
        None => observer.kept("security/own-schemas-no-network-ref", event),
    }
}

/// The targets of all references; what is data and no schema is passed over.
fn references<'a>(value: &'a Value, depth: usize, found: &mut Vec<&'a str>) {
    const DEEPEST: usize = 100;
    /// More than a schema may have that is compiled.
    const MOST: usize = 1_000;
    match value {
        _ if depth > DEEPEST || found.len() > MOST => {}
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), member) {
                    ("const" | "enum" | "default" | "examples", _) => {}
                    ("$ref" | "$dynamicRef", Value::String(target)) => found.push(target),
                    _ => references(member, depth + 1, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, depth + 1, found)),
        _ => {}
    }
}
