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
        // A cursor that this walk did not just give out: a case tries something, no walk goes on.
        Some(cursor) if walk.cursors.last().map(String::as_str) != Some(cursor) => return,
        Some(_) => {}
    }
    let Some(answer) = exchange.answers.first() else { return };
    let event = answer.message.event;
    let Some(result) = answer.message.value.get("result") else {
        if cursor.is_some() {
            let message = format!("the cursor that {} gave out was refused", exchange.method);
            observer
                .broken(BreachAt::new("pagination/cursor-accepted", event, message).also(&[exchange.request.event]));
        }
        return;
    };
    walk.pages += 1;
    if cursor.is_some() {
        observer.kept("pagination/cursor-accepted", event);
    }
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
    match result.get("nextCursor").and_then(Value::as_str) {
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
