//! Log messages: of the levels that were asked for, not too many, and without what does not belong into a log.

use serde_json::Value;

use super::conversation::{Conversation, Direction};
use super::declared::{RACE_US, SECOND_US, at, busiest_second, notified};
use super::exchange::Exchange;
use super::http_exchange::HttpExchange;
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope, quoted};
use crate::spec::requirement::Severity;
use crate::trace::{REPEATED_CONFIDENCE, REPEATED_SECRET, TransportKind};

pub(super) const MONITOR: Monitor = Monitor {
    name: "logging",
    scope: Scope::Either,
    over: EVERYWHERE,
    summary: "log messages keep to the level that was set, are not too many, and hold no secrets",
    requirements: &[
        "logging/level-filter",
        "logging/logger-consistent",
        "logging/rate-limited",
        "logging/no-secrets",
        "logging/no-pii",
        "logging/no-internal-details",
    ],
    judge: observe,
};

/// The levels, from the least severe.
pub(super) const LEVELS: [&str; 8] = [
    "debug",
    "info",
    "notice",
    "warning",
    "error",
    "critical",
    "alert",
    "emergency",
];
/// Messages that a second may hold, beside those that the client's own calls explain.
const MOST_IN_A_SECOND: usize = 100;
/// Messages that one call explains.
const FOR_A_CALL: usize = 5;
/// From how many messages on it says something that no two have the same logger.
const MANY: usize = 10;

/// The position of a level among the levels.
pub(super) fn severity(level: &str) -> Option<usize> {
    LEVELS.iter().position(|known| *known == level)
}

fn observe(conversation: &Conversation<'_>, _context: &Context<'_>, observer: &mut Observer<'_>) {
    let messages = conversation.messages();
    let (exchanges, _) = conversation.exchanges(&messages);
    let logs: Vec<(usize, &Value)> = notified(&messages, "notifications/message")
        .map(|(message, params)| (message.event, params))
        .collect();
    filtered(conversation, observer, &exchanges, &logs);
    let sent_text: String = messages
        .iter()
        .filter(|message| message.direction == Direction::ToServer)
        .filter(|_| !logs.is_empty())
        .map(|message| message.value.to_string())
        .collect();
    for (event, params) in &logs {
        contents(observer, *event, params, &sent_text);
    }
    let Some((first, _)) = logs.first() else { return };
    let moments: Vec<u64> = logs.iter().map(|(event, _)| at(conversation, *event)).collect();
    let (most, start) = busiest_second(&moments);
    // Who calls tools hundreds of times in a second is told so much more.
    let from = moments.get(start).copied().unwrap_or_default();
    let second = from.saturating_sub(SECOND_US)..from + SECOND_US;
    let is_call = |exchange: &&Exchange<'_>| {
        exchange.method == "tools/call" && second.contains(&at(conversation, exchange.request.event))
    };
    let calls = exchanges.iter().filter(is_call).count();
    if most > MOST_IN_A_SECOND + calls * FOR_A_CALL {
        let text = format!("{most} log messages came within a second");
        observer.broken(BreachAt::new("logging/rate-limited", logs[start].0, text));
    } else {
        observer.kept("logging/rate-limited", *first);
    }
    let mut names: Vec<&str> = logs
        .iter()
        .filter_map(|(_, params)| params.get("logger")?.as_str())
        .collect();
    let named = names.len();
    names.sort_unstable();
    names.dedup();
    if named >= MANY && names.len() == named {
        let text = format!("each of {named} log messages has a logger name of its own");
        observer.broken(BreachAt::new("logging/logger-consistent", *first, text));
    } else if named > names.len() {
        observer.kept("logging/logger-consistent", *first);
    }
}

/// A level that the server agreed to: the event of its answer, and the level.
fn levels(exchanges: &[Exchange<'_>]) -> Vec<(usize, Option<usize>)> {
    let set = exchanges
        .iter()
        .filter(|exchange| exchange.method == "logging/setLevel");
    set.filter_map(|exchange| {
        let answer = exchange.answers.first()?;
        answer.message.value.get("result")?;
        let wanted = exchange.request.value.pointer("/params/level").and_then(Value::as_str);
        Some((answer.message.event, wanted.and_then(severity)))
    })
    .collect()
}

/// Nothing less severe than the level that was set last. Before the first time the server decides.
fn filtered(
    conversation: &Conversation<'_>,
    observer: &mut Observer<'_>,
    exchanges: &[Exchange<'_>],
    logs: &[(usize, &Value)],
) {
    let levels = levels(exchanges);
    let in_force = |event: usize| levels.iter().rfind(|(set, _)| *set < event);
    let over_http = conversation.transport() == TransportKind::StreamableHttp;
    let posts = if over_http {
        HttpExchange::all(conversation)
    } else {
        Vec::new()
    };
    for (event, params) in logs {
        let found = params.get("level").and_then(Value::as_str);
        let (Some((set, Some(wanted))), Some(found)) = (in_force(*event), found.and_then(severity)) else {
            continue;
        };
        if found >= *wanted {
            observer.kept("logging/level-filter", *event);
            continue;
        }
        let age = at(conversation, *event).saturating_sub(at(conversation, *set));
        // Between two streams there is no order: it may have been on its way, unless it came on that of a request which was made later.
        if over_http && age < RACE_US && !posted_after(conversation, &posts, *set, *event) {
            continue;
        }
        let text = format!(
            "a message of level {} was sent after the level was set to {}",
            LEVELS[found], LEVELS[*wanted]
        );
        observer.broken(BreachAt::new("logging/level-filter", *event, text).also(&[*set]));
    }
    // A tool that ran while little was wanted, and said nothing that was not.
    for exchange in exchanges.iter().filter(|exchange| exchange.method == "tools/call") {
        if let Some(answer) = exchange.answers.first()
            && in_force(exchange.request.event).is_some_and(|(_, wanted)| wanted.is_some_and(|wanted| wanted > 0))
        {
            observer.kept("logging/level-filter", answer.message.event);
        }
    }
}

/// Whether the message came on the stream of a POST that was sent after the event `set`.
fn posted_after(conversation: &Conversation<'_>, posts: &[HttpExchange<'_>], set: usize, event: usize) -> bool {
    let frame = conversation.frames().iter().find(|frame| frame.event == event);
    let exchange = frame.and_then(|frame| frame.exchange);
    posts
        .iter()
        .any(|post| Some(post.number) == exchange && post.method == "POST" && post.request > set)
}

/// Beginnings of credentials that are told by their form, each with the least length of what follows.
const SECRETS: [(&str, usize); 10] = [
    ("sk-", 32),
    ("sk_live_", 16),
    ("ghp_", 30),
    ("github_pat_", 30),
    ("glpat-", 16),
    ("xoxb-", 20),
    ("xoxp-", 20),
    ("AKIA", 16),
    ("AIza", 32),
    ("eyJ", 40),
];

/// Signs of how the server is made.
const INTERNALS: [(&str, &str); 7] = [
    ("Traceback (most recent call last)", "a stack trace"),
    ("\n    at ", "a stack trace"),
    ("stack backtrace:", "a stack trace"),
    ("/home/", "a path in somebody's home"),
    ("/Users/", "a path in somebody's home"),
    ("\\Users\\", "a path in somebody's home"),
    ("postgres://", "a connection string"),
];

fn contents(observer: &mut Observer<'_>, event: usize, params: &Value, sent: &str) {
    let mut text = String::new();
    collect(params.get("data").unwrap_or(&Value::Null), &mut text);
    let private_key = text.contains("-----BEGIN") && text.contains("PRIVATE KEY-----");
    let secret = SECRETS.iter().find(|(start, least)| is_secret(&text, start, *least));
    match secret {
        _ if text.contains(REPEATED_CONFIDENCE) || text.contains(REPEATED_SECRET) => {
            let text = "a log message holds a secret that was given to the server";
            observer.broken(BreachAt::new("logging/no-secrets", event, text));
        }
        // The finding says the kind only: what a log should not hold, a report should not either.
        Some((start, _)) => {
            let text = format!("a log message holds what looks like a credential ({start}...)");
            observer.broken(BreachAt::new("logging/no-secrets", event, text));
        }
        None if private_key => {
            observer.broken(BreachAt::new(
                "logging/no-secrets",
                event,
                "a log message holds a private key",
            ));
        }
        None => observer.kept("logging/no-secrets", event),
    }
    match addresses(&text).next() {
        Some(address) => {
            // One that we sent ourselves is somebody's data for certain.
            let at_most = if sent.contains(address) {
                Severity::Fail
            } else {
                Severity::Warn
            };
            let text = format!("a log message holds the address {}", quoted(address));
            observer.broken(BreachAt::new("logging/no-pii", event, text).at_most(at_most));
        }
        None => observer.kept("logging/no-pii", event),
    }
    match INTERNALS.iter().find(|(sign, _)| text.contains(sign)) {
        Some((_, what)) => {
            let text = format!("a log message holds {what}");
            observer.broken(BreachAt::new("logging/no-internal-details", event, text).at_most(Severity::Warn));
        }
        None => observer.kept("logging/no-internal-details", event),
    }
}

/// All strings of a value, one a line.
fn collect(value: &Value, text: &mut String) {
    match value {
        Value::String(string) => {
            text.push_str(string);
            text.push('\n');
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, text)),
        Value::Object(members) => members.values().for_each(|member| collect(member, text)),
        _ => {}
    }
}

fn is_secret(text: &str, start: &str, least: usize) -> bool {
    text.match_indices(start).any(|(position, _)| {
        let word_before = text[..position].chars().next_back().is_some_and(char::is_alphanumeric);
        let rest = &text[position + start.len()..];
        let length = rest
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
            .count();
        !word_before && length >= least
    })
}

/// Addresses of mail in a text.
fn addresses(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '@');
    text.split(move |c| !is_part(c)).filter(|word| {
        word.split_once('@').is_some_and(|(user, host)| {
            let last = host.trim_end_matches('.').rsplit_once('.').map_or("", |(_, last)| last);
            !user.is_empty() && !host.contains('@') && last.len() >= 2 && last.chars().all(|c| c.is_ascii_alphabetic())
        })
    })
}
