//! Progress: reported under the token of a request that is under way, growing, and over when the answer is there.

use std::collections::BTreeMap;

use serde_json::Value;

use super::conversation::{Conversation, Direction, Message};
use super::declared::{asked, at, busiest_second, notified};
use super::exchange::Exchange;
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope, quoted};
use crate::spec::requirement::Severity;
use crate::trace::TransportKind;

pub(super) const MONITOR: Monitor = Monitor {
    name: "progress",
    scope: Scope::Either,
    over: EVERYWHERE,
    summary: "progress belongs to a request under way, grows, and ends with the answer",
    requirements: &[
        "progress/only-known-tokens",
        "progress/token-echo",
        "progress/monotonic",
        "progress/stops-after-completion",
        "progress/message-informative",
        "progress/not-above-total",
        "progress/rate-limited",
        "progress/server-token-unique",
    ],
    judge: observe,
};

/// Notifications under one token that a second may hold.
const MOST_IN_A_SECOND: usize = 100;

/// What was reported so far about a request.
#[derive(Default)]
struct Reported {
    last: Option<(f64, usize)>,
    moments: Vec<u64>,
}

fn observe(conversation: &Conversation<'_>, _context: &Context<'_>, observer: &mut Observer<'_>) {
    let messages = conversation.messages();
    let (exchanges, _) = conversation.exchanges(&messages);
    let mut reported: BTreeMap<usize, Reported> = BTreeMap::new();
    for (message, params) in notified(&messages, "notifications/progress") {
        let Some(token) = params
            .get("progressToken")
            .filter(|token| token.is_string() || token.is_number())
        else {
            continue; // The schemas say so.
        };
        let Some(exchange) = owner(observer, &exchanges, message, token) else {
            continue;
        };
        ended(conversation, observer, exchange, message);
        let so_far = reported.entry(exchange.request.event).or_default();
        so_far.moments.push(at(conversation, message.event));
        growing(observer, so_far, message.event, params, exchange.method);
        wording(observer, message.event, params);
    }
    for (request, reported) in &reported {
        let (most, _) = busiest_second(&reported.moments);
        if most > MOST_IN_A_SECOND {
            let message = format!("{most} progress notifications of one request came within a second");
            observer.broken(BreachAt::new("progress/rate-limited", *request, message));
        } else {
            observer.kept("progress/rate-limited", *request);
        }
    }
    own_tokens(observer, &messages);
}

fn token_of<'m>(exchange: &Exchange<'m>) -> Option<&'m Value> {
    exchange.request.value.pointer("/params/_meta/progressToken")
}

/// The request that the token belongs to: the last one before the notification.
fn owner<'e, 'm>(
    observer: &mut Observer<'_>,
    exchanges: &'e [Exchange<'m>],
    message: &Message<'_>,
    token: &Value,
) -> Option<&'e Exchange<'m>> {
    let last = |wanted: &dyn Fn(&Value) -> bool| {
        exchanges
            .iter()
            .rfind(|exchange| exchange.request.event < message.event && token_of(exchange).is_some_and(wanted))
    };
    if let Some(exchange) = last(&|given| same(given, token)) {
        observer.kept("progress/only-known-tokens", message.event);
        observer.kept("progress/token-echo", message.event);
        return Some(exchange);
    }
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if let Some(exchange) = last(&|given| text(given) == text(token)) {
        let given = token_of(exchange).map(Value::to_string).unwrap_or_default();
        let message_text = format!(
            "the request has the progress token {}, its progress comes under {}",
            quoted(&given),
            quoted(&token.to_string())
        );
        observer
            .broken(BreachAt::new("progress/token-echo", message.event, message_text).also(&[exchange.request.event]));
    } else if !of_a_task(exchanges, message) {
        let text = format!(
            "progress came under the token {}, which no request has given",
            quoted(&token.to_string())
        );
        observer.broken(BreachAt::new("progress/only-known-tokens", message.event, text));
    }
    None
}

/// Whether the report says that it belongs to a task whose call has a token: that it must come under this one is judged with the tasks.
fn of_a_task(exchanges: &[Exchange<'_>], message: &Message<'_>) -> bool {
    let Some(task) = message
        .value
        .pointer("/params/_meta/io.modelcontextprotocol~1related-task/taskId")
    else {
        return false;
    };
    exchanges.iter().any(|exchange| {
        let begun = exchange.answers.first();
        let id = begun.and_then(|answer| answer.message.value.pointer("/result/task/taskId"));
        id == Some(task) && token_of(exchange).is_some()
    })
}

/// Equal in type and value; 7 and 7.0 are one number.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        _ => left == right,
    }
}

/// No progress after the answer. Between two streams there is no order, so only what came on the answer's own stream counts there.
fn ended(conversation: &Conversation<'_>, observer: &mut Observer<'_>, exchange: &Exchange<'_>, message: &Message<'_>) {
    let frames = conversation.frames();
    let answer = exchange.answers.first().map(|answer| answer.message);
    let as_task = exchange.request.value.pointer("/params/task").is_some();
    match answer.filter(|answer| answer.event < message.event) {
        Some(_) if as_task => {}
        Some(answer)
            if conversation.transport() == TransportKind::StreamableHttp
                && frames[answer.frame].exchange != frames[message.frame].exchange => {}
        Some(answer) => {
            let text = format!("progress of {} came after its answer", exchange.method);
            let breach = BreachAt::new("progress/stops-after-completion", message.event, text);
            observer.broken(breach.also(&[answer.event]));
        }
        None => observer.kept("progress/stops-after-completion", message.event),
    }
}

fn growing(observer: &mut Observer<'_>, so_far: &mut Reported, event: usize, params: &Value, method: &str) {
    let Some(progress) = params.get("progress").and_then(Value::as_f64) else {
        return;
    };
    if let Some((before, earlier)) = so_far.last {
        if progress > before {
            observer.kept("progress/monotonic", event);
        } else {
            // The page wants it to grow each time; the comment in the schema only when there is progress.
            let (what, at_most) = if progress < before {
                ("fell", Severity::Fail)
            } else {
                ("stayed the same", Severity::Warn)
            };
            let text = format!("the progress of {method} {what}: {before}, then {progress}");
            let breach = BreachAt::new("progress/monotonic", event, text).at_most(at_most);
            observer.broken(breach.also(&[earlier]));
        }
    }
    so_far.last = Some((progress, event));
    if let Some(total) = params.get("total").and_then(Value::as_f64) {
        if progress > total {
            let text = format!("the progress {progress} is more than the total {total}");
            observer.broken(BreachAt::new("progress/not-above-total", event, text));
        } else {
            observer.kept("progress/not-above-total", event);
        }
    }
}

fn wording(observer: &mut Observer<'_>, event: usize, params: &Value) {
    let Some(text) = params.get("message").and_then(Value::as_str) else {
        return;
    };
    let trimmed = text.trim();
    let data = trimmed.starts_with(['{', '[']) && serde_json::from_str::<Value>(trimmed).is_ok();
    if trimmed.is_empty() || data {
        let what = if data { "is JSON" } else { "is empty" };
        let text = format!("the message of a progress notification {what}; it is for people");
        observer.broken(BreachAt::new("progress/message-informative", event, text));
    } else {
        observer.kept("progress/message-informative", event);
    }
}

/// Tokens that the server puts on its own requests.
fn own_tokens(observer: &mut Observer<'_>, messages: &[Message<'_>]) {
    let mut open: Vec<(&Value, usize, Option<usize>)> = Vec::new();
    for asked in asked(messages) {
        debug_assert_eq!(asked.message.direction, Direction::FromServer);
        let Some(token) = asked.params.pointer("/_meta/progressToken") else {
            continue;
        };
        let event = asked.message.event;
        let is_token = token.is_string() || token.as_f64().is_some_and(|number| number.fract() == 0.0);
        let twin = open
            .iter()
            .find(|(other, _, answered)| same(other, token) && answered.is_none_or(|answered| answered > event));
        match twin {
            _ if !is_token => {
                let text = format!(
                    "the progress token {} is no string and no integer",
                    quoted(&token.to_string())
                );
                observer.broken(BreachAt::new("progress/server-token-unique", event, text));
            }
            Some((_, first, _)) => {
                let text = format!(
                    "two open requests of the server have the progress token {}",
                    quoted(&token.to_string())
                );
                observer.broken(BreachAt::new("progress/server-token-unique", event, text).also(&[*first]));
            }
            None => observer.kept("progress/server-token-unique", event),
        }
        open.push((token, event, asked.answered));
    }
}
