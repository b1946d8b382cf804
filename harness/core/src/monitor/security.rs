//! What texts of the server give away, and what they hide.

use serde_json::Value;

use super::conversation::{Conversation, Direction};
use super::resource::entries;
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope, quoted};

pub(super) const MONITOR: Monitor = Monitor {
    name: "security",
    scope: Scope::Wire,
    over: EVERYWHERE,
    summary: "errors show no stack traces, texts have no terminal escapes and no invisible characters",
    requirements: &[
        "security/no-internal-details-in-errors",
        "security/control-characters",
        "security/hidden-unicode",
    ],
    judge: observe,
};

/// Beginnings of stack traces in common languages.
const TRACES: [&str; 7] = [
    "Traceback (most recent call last)",
    "\n    at ",
    "panicked at ",
    "goroutine 1 [",
    "Exception in thread \"",
    "\n\tat ",
    ".py\", line ",
];

fn observe(conversation: &Conversation<'_>, _context: &Context<'_>, observer: &mut Observer<'_>) {
    for message in conversation.messages() {
        if message.direction == Direction::ToServer {
            continue;
        }
        if let Some(error) = message.value.get("error") {
            details(observer, &texts(error), message.event);
        }
        let Some(result) = message.value.get("result") else {
            continue;
        };
        if result.get("isError") == Some(&Value::Bool(true)) {
            let content = entries(result, "content").flat_map(texts).collect::<Vec<_>>();
            details(observer, &content, message.event);
        }
        described(observer, result, message.event);
    }
}

/// All texts in a value.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(members) => members.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

fn details(observer: &mut Observer<'_>, texts: &[&str], event: usize) {
    match TRACES
        .iter()
        .find(|trace| texts.iter().any(|text| text.contains(**trace)))
    {
        None => observer.kept("security/no-internal-details-in-errors", event),
        Some(trace) => {
            let message = format!("an error shows a stack trace, by the words {}", quoted(trace.trim()));
            observer.broken(BreachAt::new("security/no-internal-details-in-errors", event, message));
        }
    }
}

/// What the server says of itself and of what it offers.
fn described(observer: &mut Observer<'_>, result: &Value, event: usize) {
    const MEMBERS: [&str; 3] = ["description", "title", "name"];
    let listed = ["tools", "prompts", "resources", "resourceTemplates"]
        .into_iter()
        .flat_map(|list| entries(result, list));
    let descriptions = listed.flat_map(|entry| MEMBERS.into_iter().filter_map(|member| entry.get(member)?.as_str()));
    let instructions = result.get("instructions").and_then(Value::as_str);
    for text in descriptions.chain(instructions) {
        match text
            .chars()
            .find(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
        {
            None => observer.kept("security/control-characters", event),
            Some(control) => {
                let message = format!("a text has the control character U+{:04X}", u32::from(control));
                observer.broken(BreachAt::new("security/control-characters", event, message).about(text));
            }
        }
        match text.chars().find(|c| is_hidden(*c)) {
            None => observer.kept("security/hidden-unicode", event),
            Some(hidden) => {
                let message = format!("a text has the invisible character U+{:04X}", u32::from(hidden));
                observer.broken(BreachAt::new("security/hidden-unicode", event, message).about(text));
            }
        }
    }
}

/// Zero-width spaces, marks of direction and tags. The joiners U+200C and U+200D belong to scripts and emoji.
fn is_hidden(character: char) -> bool {
    matches!(character, '\u{200b}' | '\u{2060}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}')
}
