//! Walks over paged lists: they end, pages do not overlap, and names are unique.

use std::collections::BTreeMap;

use serde_json::Value;

use super::conversation::Conversation;
use super::exchange::Exchange;
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope, quoted};
use crate::spec::requirement::Severity;

pub(super) const MONITOR: Monitor = Monitor {
    name: "listing",
    scope: Scope::Either,
    over: EVERYWHERE,
    summary: "paged lists come to an end, pages do not overlap, names and URIs are unique",
    requirements: &[
        "pagination/terminates",
        "pagination/no-overlap",
        "pagination/cursor-accepted",
        "pagination/operations",
        "pagination/next-cursor-nonempty",
        "pagination/empty-string-cursor",
        "prompts/argument-names-unique",
        "tools/name-unique",
        "prompts/name-unique",
        "resources/uri-unique",
        "caching/scope-same-on-all-pages",
        "tools/list-deterministic-order",
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
    /// The `cacheScope` of the first page, with its event.
    scope: Option<(String, usize)>,
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
    order_of_tools(observer, &exchanges);
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
    cache_scope(observer, exchange, walk, result, event);
    if cursor.is_some() {
        observer.kept("pagination/cursor-accepted", event);
        observer.kept("pagination/operations", event);
    }
    argument_names(observer, result, event);
    if cursor == Some("") {
        let entries = result.get(member).and_then(Value::as_array).into_iter().flatten();
        let mut names = entries.filter_map(|entry| entry.get(key)?.as_str());
        if names.any(|name| !walk.seen.contains_key(name)) {
            observer.kept("pagination/empty-string-cursor", event);
        } else {
            let message = format!(
                "{} gave out an empty cursor, and began anew when it was sent back",
                exchange.method
            );
            observer.broken(
                BreachAt::new("pagination/empty-string-cursor", event, message)
                    .about(exchange.method)
                    .at_most(Severity::Warn),
            );
            return;
        }
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

/// All pages of a list have the same `cacheScope`.
fn cache_scope(observer: &mut Observer<'_>, exchange: &Exchange<'_>, walk: &mut Walk, result: &Value, event: usize) {
    const REQUIREMENT: &str = "caching/scope-same-on-all-pages";
    let Some(scope) = result.get("cacheScope").and_then(Value::as_str) else {
        return;
    };
    match &walk.scope {
        None => walk.scope = Some((scope.to_owned(), event)),
        Some((first, _)) if first == scope => observer.kept(REQUIREMENT, event),
        Some((first, at)) => {
            let message = format!(
                "a page of {} has the cacheScope {}, the first page {}",
                exchange.method,
                quoted(scope),
                quoted(first)
            );
            observer.broken(
                BreachAt::new(REQUIREMENT, event, message)
                    .also(&[*at])
                    .about(exchange.method),
            );
        }
    }
}

/// Names of tools in the order of a first page, with what the client had declared for it.
type Order<'m> = (Option<&'m Value>, Vec<&'m str>, usize);

/// The same tools in another order: lists that are compared with what was kept then look changed.
fn order_of_tools(observer: &mut Observer<'_>, exchanges: &[Exchange<'_>]) {
    const REQUIREMENT: &str = "tools/list-deterministic-order";
    /// Sets of tools that are remembered.
    const MOST_SETS: usize = 16;
    let mut seen: Vec<Order<'_>> = Vec::new();
    for exchange in exchanges.iter().filter(|exchange| exchange.method == "tools/list") {
        if exchange.request.value.pointer("/params/cursor").is_some() {
            continue;
        }
        let Some(answer) = exchange.answers.first() else {
            continue;
        };
        let Some(tools) = answer.message.value.pointer("/result/tools").and_then(Value::as_array) else {
            continue;
        };
        let names: Vec<&str> = tools.iter().filter_map(|tool| tool.get("name")?.as_str()).collect();
        let client = super::stateless::capabilities(exchange.request.value);
        let event = answer.message.event;
        let mut sorted = names.clone();
        sorted.sort_unstable();
        // The last list with the same tools for the same client.
        let earlier = seen.iter_mut().find(|(for_client, known, _)| {
            let mut known = known.clone();
            known.sort_unstable();
            *for_client == client && known == sorted
        });
        match earlier {
            None => {
                if seen.len() == MOST_SETS {
                    seen.remove(0);
                }
                seen.push((client, names, event));
            }
            Some((_, known, _)) if *known == names => observer.kept(REQUIREMENT, event),
            Some((_, known, first)) => {
                let message = "tools/list gave the same tools in another order than before";
                observer.broken(BreachAt::new(REQUIREMENT, event, message).also(&[*first]));
                *known = names;
                *first = event;
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
