//! The keys of `_meta` in what the server sends: their grammar, and the prefixes that are not the server's to use.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::conversation::{Conversation, Direction};
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope, quoted};
use crate::revision::Revision;

pub(super) const MONITOR: Monitor = Monitor {
    name: "meta",
    scope: Scope::Either,
    over: EVERYWHERE,
    summary: "keys of _meta are well-formed, and keep off the prefixes that are reserved for MCP",
    requirements: &[
        "meta/key-prefix-grammar",
        "meta/key-name-grammar",
        "meta/reserved-prefix-unused",
        "meta/reverse-dns-prefix",
        "meta/trace-context-values",
    ],
    judge: observe,
};

/// Members that hold what is the server's own or the user's: a `_meta` in there is not the protocol's.
const FOREIGN: [&str; 8] = [
    "structuredContent",
    "inputSchema",
    "outputSchema",
    "requestedSchema",
    "arguments",
    "data",
    "experimental",
    "input",
];

/// What comes behind `io.modelcontextprotocol/` in some revision: a server of several revisions may use it in all of them.
const DEFINED: [&str; 10] = [
    "related-task",
    "model-immediate-response",
    "protocolVersion",
    "clientInfo",
    "clientCapabilities",
    "serverInfo",
    "logLevel",
    "subscriptionId",
    "progressToken",
    "ui",
];

/// Last labels of domain names, and hardly ever first labels of a reversed one's rest.
const TOP_LEVEL: [&str; 8] = ["com", "org", "net", "io", "dev", "ai", "app", "co"];

fn observe(conversation: &Conversation<'_>, context: &Context<'_>, observer: &mut Observer<'_>) {
    let messages = conversation.messages();
    // A key that comes back is the client's.
    let mut echoed: BTreeSet<&str> = BTreeSet::new();
    for message in &messages {
        let mut members = Vec::new();
        collect(message.value, &mut members);
        match message.direction {
            Direction::ToServer => echoed.extend(members.iter().map(|(key, _)| *key)),
            Direction::FromServer => {
                for (key, value) in members {
                    trace_context(observer, key, value, message.event);
                    if !echoed.contains(key) {
                        judge(observer, context.revision, key, message.event);
                    }
                }
            }
        }
    }
}

/// Keys under which the context of a distributed trace travels, with the values of W3C Trace Context and Baggage.
fn trace_context(observer: &mut Observer<'_>, key: &str, value: &Value, event: usize) {
    let text = value.as_str();
    let sound = match key {
        "traceparent" => text.is_some_and(is_traceparent),
        "tracestate" | "baggage" => text.is_some_and(|list| {
            list.split(',').all(|entry| {
                let entry = entry.trim();
                entry.is_empty() || entry.split_once('=').is_some_and(|(name, _)| !name.trim().is_empty())
            })
        }),
        _ => return,
    };
    if sound {
        observer.kept("meta/trace-context-values", event);
    } else {
        let message = format!(
            "{key} in _meta is {}, which W3C Trace Context does not know",
            quoted(&value.to_string())
        );
        observer.broken(BreachAt::new("meta/trace-context-values", event, message).about(key));
    }
}

/// `version-trace_id-parent_id-flags`, in small hexadecimal digits, neither id all zeros. Later versions may add fields.
fn is_traceparent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, parent, flags, rest @ ..] = parts.as_slice() else {
        return false;
    };
    let hexadecimal = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let some = |part: &str| part.bytes().any(|byte| byte != b'0');
    hexadecimal(version, 2)
        && *version != "ff"
        && (*version != "00" || rest.is_empty())
        && hexadecimal(trace, 32)
        && some(trace)
        && hexadecimal(parent, 16)
        && some(parent)
        && hexadecimal(flags, 2)
}

/// The members of every `_meta` object at a place that the protocol defines.
fn collect<'a>(value: &'a Value, keys: &mut Vec<(&'a str, &'a Value)>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, keys)),
        Value::Object(members) => {
            if let Some(Value::Object(meta)) = members.get("_meta") {
                keys.extend(meta.iter().map(|(key, value)| (key.as_str(), value)));
            }
            own(members).for_each(|member| collect(member, keys));
        }
        _ => {}
    }
}

fn own(members: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    members
        .iter()
        .filter(|(name, _)| *name != "_meta" && !FOREIGN.contains(&name.as_str()))
        .map(|(_, member)| member)
}

fn judge(observer: &mut Observer<'_>, revision: Revision, key: &str, event: usize) {
    // More than one slash is not discussed: what follows the first one then is no verdict's business.
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), Some(name).filter(|name| !name.contains('/'))),
        None => (None, Some(key)),
    };
    match name {
        Some(name) if is_name(name) => observer.kept("meta/key-name-grammar", event),
        Some(name) => {
            let message = format!(
                "the name {} in the _meta key {} has to begin and end with a letter or digit, with hyphens, underscores and dots in between",
                quoted(name),
                quoted(key)
            );
            observer.broken(BreachAt::new("meta/key-name-grammar", event, message).about(key));
        }
        None => {}
    }
    let Some(prefix) = prefix else { return };
    let labels: Vec<&str> = prefix.split('.').collect();
    if !labels.iter().all(|label| is_label(label)) {
        let message = format!(
            "the prefix {} of a _meta key is no series of labels joined by dots, each beginning with a letter and ending with a letter or digit",
            quoted(prefix)
        );
        observer.broken(BreachAt::new("meta/key-prefix-grammar", event, message).about(key));
        return;
    }
    observer.kept("meta/key-prefix-grammar", event);
    if is_reserved(&labels, revision) {
        let defined = prefix == "io.modelcontextprotocol" && name.is_some_and(|name| DEFINED.contains(&name));
        if !defined {
            let message = format!("the prefix of the _meta key {} is reserved for MCP", quoted(key));
            observer.broken(BreachAt::new("meta/reserved-prefix-unused", event, message).about(key));
        }
        return;
    }
    observer.kept("meta/reserved-prefix-unused", event);
    match labels.as_slice() {
        [first, .., last] if TOP_LEVEL.contains(last) && !TOP_LEVEL.contains(first) => {
            let message = format!(
                "the prefix of the _meta key {} reads like a domain name; write it the other way round, as in com.example/",
                quoted(key)
            );
            observer.broken(BreachAt::new("meta/reverse-dns-prefix", event, message).about(key));
        }
        _ => observer.kept("meta/reverse-dns-prefix", event),
    }
}

/// The rule has moved from the last label but one to the second label.
fn is_reserved(labels: &[&str], revision: Revision) -> bool {
    let place = if revision >= Revision::V2025_11_25 {
        Some(1)
    } else {
        labels.len().checked_sub(2)
    };
    place
        .and_then(|place| labels.get(place))
        .is_some_and(|label| ["mcp", "modelcontextprotocol"].contains(label))
}

/// Whether a text may stand between the dots of a prefix.
pub(super) fn is_label(label: &str) -> bool {
    label.starts_with(|first: char| first.is_ascii_alphabetic())
        && label.ends_with(|last: char| last.is_ascii_alphanumeric())
        && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// Whether a text may follow a prefix.
pub(super) fn is_name(name: &str) -> bool {
    name.is_empty()
        || (name.starts_with(|first: char| first.is_ascii_alphanumeric())
            && name.ends_with(|last: char| last.is_ascii_alphanumeric())
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
}
