//! Walks over paged lists: they end, pages do not overlap, and names are unique.

use std::collections::BTreeMap;

use serde_json::Value;

use super::conversation::{Conversation, Exchange};
use super::{BreachAt, Context, Monitor, Observer, quoted};

pub(super) const MONITOR: Monitor = Monitor {
    name: "listing",
    summary: "paged lists come to an end, pages do not overlap, names and URIs are unique",
    requirements: &[
        "pagination/terminates",
        "pagination/no-overlap",
        "pagination/cursor-accepted",
        "pagination/operations",
        "pagination/next-cursor-nonempty",
        "prompts/argument-names-unique",
        "tools/name-unique",
        "prompts/name-unique",
        "resources/uri-unique",
    ],
    judge: observe,
};

/// List methods: the member that holds the entries, the member that identifies an entry, and the requirement of uniqueness.
const LISTS: [(&str, &str, &str, Option<&str>); 4] = [
    ("tools/list", "tools", "name", Some("tools/name-unique")),
    ("prompts/list", "prompts", "name", Some("prompts/name-unique")),
    ("resources/list", "resources", "uri", Some("resources/uri-unique")),
    ("resources/templates/list", "resourceTemplates", "uriTemplate", None),
];

/// A walk in progress.
#[derive(Default)]
struct Walk {
    /// Entries seen, with the page and event of the first time.
    seen: BTreeMap<String, (usize, usize)>,
    /// Cursors given out so far.
    cursors: Vec<String>,
    /// Those of them that were asked for.
    followed: Vec<String>,
    pages: usize,
}

fn observe(conversation: &Conversation<'_>, _context: &Context<'_>, observer: &mut Observer<'_>) {
    let messages = conversation.messages();
    let (exchanges, _) = conversation.exchanges(&messages);
    for (method, member, key, unique) in LISTS {
        let mut walk = Walk::default();
        for exchange in exchanges.iter().filter(|exchange| exchange.method == method) {
            page(observer, exchange, &mut walk, member, key, unique);
        }
    }
}

fn page(
    observer: &mut Observer<'_>,
    exchange: &Exchange<'_>,
    walk: &mut Walk,
    member: &str,
    key: &str,
    unique: Option<&'static str>,
) {
    let cursor = exchange.request.value.pointer("/params/cursor").and_then(Value::as_str);
    match cursor {
        None => *walk = Walk::default(),
        // A cursor that this walk did not just give out, or that was followed already: a case tries something, no walk goes on.
        Some(cursor) if walk.cursors.last().map(String::as_str) != Some(cursor) => return,
        Some(cursor) if walk.followed.iter().any(|known| known == cursor) => return,
        Some(cursor) => walk.followed.push(cursor.to_owned()),
    }
    let Some(answer) = exchange.answers.first() else { return };
    let event = answer.message.event;
    let Some(result) = answer.message.value.get("result") else {
        if cursor.is_some() {
            // A server that takes the parameter for an unknown one does not support pages there at all.
            let says = answer.message.value.pointer("/error/message").and_then(Value::as_str);
            let (requirement, message) = match says.is_some_and(speaks_of_an_unknown_parameter) {
                true => (
                    "pagination/operations",
                    "does not know the parameter cursor, which it gave out itself",
                ),
                false => ("pagination/cursor-accepted", "refused a cursor that it gave out itself"),
            };
            let message = format!("{} {message}", exchange.method);
            observer.broken(
                BreachAt::new(requirement, event, message)
                    .also(&[exchange.request.event])
                    .about(exchange.method),
            );
        }
        return;
    };
    walk.pages += 1;
    if cursor.is_some() {
        observer.kept("pagination/cursor-accepted", event);
        observer.kept("pagination/operations", event);
    }
    argument_names(observer, result, event);
    for name in result
        .get(member)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.get(key)?.as_str())
    {
        match walk.seen.insert(name.to_owned(), (walk.pages, event)) {
            None => {}
            Some((page, first)) if page == walk.pages => {
                if let Some(requirement) = unique {
                    let message = format!("{} lists {} twice", exchange.method, quoted(name));
                    observer.broken(BreachAt::new(requirement, event, message).also(&[first]).about(name));
                }
            }
            Some((_, first)) => {
                let message = format!("{} is on two pages of {}", quoted(name), exchange.method);
                observer.broken(
                    BreachAt::new("pagination/no-overlap", event, message)
                        .also(&[first])
                        .about(name),
                );
            }
        }
    }
    let next = result.get("nextCursor").and_then(Value::as_str);
    match next {
        None => {}
        Some("") => {
            let message = format!(
                "{} gave out an empty cursor, which many clients take for the end",
                exchange.method
            );
            observer.broken(BreachAt::new("pagination/next-cursor-nonempty", event, message).about(exchange.method));
        }
        Some(_) => observer.kept("pagination/next-cursor-nonempty", event),
    }
    match next {
        Some(next) if walk.cursors.iter().any(|known| known == next) => {
            let message = format!(
                "{} gave out the same cursor again: following it never ends",
                exchange.method
            );
            observer.broken(BreachAt::new("pagination/terminates", event, message).about(exchange.method));
        }
        Some(next) => walk.cursors.push(next.to_owned()),
        None => {
            if let Some(requirement) = unique {
                observer.kept(requirement, event);
            }
            if walk.pages > 1 {
                observer.kept("pagination/terminates", event);
                observer.kept("pagination/no-overlap", event);
            }
        }
    }
}

/// Whether an error says that a parameter is not known.
fn speaks_of_an_unknown_parameter(message: &str) -> bool {
    let message = message.to_lowercase();
    let unknown = [
        "unknown",
        "unexpected",
        "unrecognized",
        "unrecognised",
        "unsupported",
        "additional",
        "extra",
    ];
    let parameter = ["param", "argument", "propert", "key", "field", "member"];
    unknown.iter().any(|word| message.contains(word)) && parameter.iter().any(|word| message.contains(word))
}

/// Arguments of one prompt with the same name.
fn argument_names(observer: &mut Observer<'_>, result: &Value, event: usize) {
    for prompt in result.get("prompts").and_then(Value::as_array).into_iter().flatten() {
        let arguments = prompt.get("arguments").and_then(Value::as_array).into_iter().flatten();
        let names: Vec<&str> = arguments
            .filter_map(|argument| argument.get("name")?.as_str())
            .collect();
        let twice = names
            .iter()
            .enumerate()
            .find(|(index, name)| names[..*index].contains(name));
        if let Some((_, name)) = twice {
            let prompt = prompt.get("name").and_then(Value::as_str).unwrap_or_default();
            let message = format!("prompt {} has two arguments {}", quoted(prompt), quoted(name));
            observer.broken(BreachAt::new("prompts/argument-names-unique", event, message).about(prompt));
        } else if !names.is_empty() {
            observer.kept("prompts/argument-names-unique", event);
        }
    }
}
