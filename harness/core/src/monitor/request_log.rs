//! Log messages of the stateless era: a request asks for them by the level that it names, and they come while it is under way, on its stream.

use std::collections::HashMap;

use serde_json::Value;

use super::conversation::Conversation;
use super::declared::notified;
use super::exchange::Exchange;
use super::logging::{LEVELS, severity};
use super::stateless;
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope};
use crate::trace::TransportKind;

pub(super) const MONITOR: Monitor = Monitor {
    name: "request-log",
    scope: Scope::Stateless,
    over: EVERYWHERE,
    summary: "log messages come for requests that ask for them, not below their level, before the answer and on its stream",
    requirements: &[
        "logging/none-without-level",
        "logging/threshold-respected",
        "logging/before-response",
        "logging/request-stream-only",
    ],
    judge: observe,
};

const WITHOUT: &str = "logging/none-without-level";
const THRESHOLD: &str = "logging/threshold-respected";
const BEFORE: &str = "logging/before-response";
const STREAM: &str = "logging/request-stream-only";

fn observe(conversation: &Conversation<'_>, context: &Context<'_>, observer: &mut Observer<'_>) {
    let messages = conversation.messages();
    let (exchanges, _) = conversation.exchanges(&messages);
    let own: Vec<&Exchange<'_>> = exchanges
        .iter()
        .filter(|exchange| exchange.is_of(context.revision) && exchange.method != "subscriptions/listen")
        .collect();
    let over_http = conversation.transport() == TransportKind::StreamableHttp;
    // The request that each HTTP exchange carried.
    let carriers: HashMap<u32, usize> = exchanges
        .iter()
        .enumerate()
        .filter_map(|(position, exchange)| Some((conversation.frames()[exchange.request.frame].exchange?, position)))
        .collect();
    let mut begun = own.iter().copied().peekable();
    let mut open: Vec<&Exchange<'_>> = Vec::new();
    let mut last = None;
    for (message, params) in notified(&messages, "notifications/message") {
        let event = message.event;
        while let Some(exchange) = begun.next_if(|exchange| exchange.request.event < event) {
            open.push(exchange);
            last = Some(exchange);
        }
        open.retain(|exchange| is_under_way(exchange, event));
        let asking: Vec<&Exchange<'_>> = open
            .iter()
            .copied()
            .filter(|exchange| level(exchange).is_some())
            .collect();
        if over_http {
            let stream = conversation.frames()[message.frame].exchange;
            let owner = stream.and_then(|stream| carriers.get(&stream).copied());
            match owner.map(|position| &exchanges[position]) {
                // The stream of a subscription is judged with the subscriptions.
                Some(owner) if owner.method == "subscriptions/listen" => {}
                Some(owner) if level(owner).is_some() => {
                    observer.kept(STREAM, event);
                    observer.kept(WITHOUT, event);
                    before(observer, owner, event);
                    threshold(observer, &[owner], params, event);
                }
                _ if !asking.is_empty() => {
                    let text = "a log message came on another stream than that of the request that asks for it";
                    observer.broken(BreachAt::new(STREAM, event, text).also(&[asking[0].request.event]));
                }
                _ => unasked(observer, event),
            }
            continue;
        }
        if !asking.is_empty() {
            observer.kept(WITHOUT, event);
            observer.kept(BEFORE, event);
            threshold(observer, &asking, params, event);
            continue;
        }
        // It may belong to one that asked, and is over.
        match last.filter(|last| open.is_empty() && level(last).is_some()) {
            Some(last) => before(observer, last, event),
            None => unasked(observer, event),
        }
    }
    quiet(conversation, observer, &own);
}

/// The level that a request asks for.
fn level(exchange: &Exchange<'_>) -> Option<usize> {
    severity(stateless::claim(exchange.request.value, "logLevel")?.as_str()?)
}

fn is_under_way(exchange: &Exchange<'_>, event: usize) -> bool {
    let answered = exchange.answers.first().map(|answer| answer.message.event);
    exchange.request.event < event && answered.is_none_or(|answered| answered > event)
}

fn unasked(observer: &mut Observer<'_>, event: usize) {
    let text = "a log message came, and no request under way asks for any";
    observer.broken(BreachAt::new(WITHOUT, event, text));
}

fn before(observer: &mut Observer<'_>, owner: &Exchange<'_>, event: usize) {
    match owner.answers.first().map(|answer| answer.message.event) {
        Some(answered) if answered < event => {
            let text = format!("a log message of {} came after its answer", owner.method);
            observer.broken(BreachAt::new(BEFORE, event, text).also(&[answered]));
        }
        _ => observer.kept(BEFORE, event),
    }
}

/// Not below what the most curious of the requests that it may belong to asks for.
fn threshold(observer: &mut Observer<'_>, asking: &[&Exchange<'_>], params: &Value, event: usize) {
    let found = params.get("level").and_then(Value::as_str).and_then(severity);
    let least = asking.iter().filter_map(|exchange| level(exchange)).min();
    let (Some(found), Some(least)) = (found, least) else {
        return;
    };
    if found >= least {
        observer.kept(THRESHOLD, event);
    } else {
        let text = format!(
            "a message of level {} came for a request that asks for {} and above",
            LEVELS[found], LEVELS[least]
        );
        observer.broken(BreachAt::new(THRESHOLD, event, text).also(&[asking[0].request.event]));
    }
}

/// Requests that were answered, and about which nothing was logged that should not be.
fn quiet(conversation: &Conversation<'_>, observer: &mut Observer<'_>, own: &[&Exchange<'_>]) {
    for exchange in own.iter().filter(|exchange| exchange.method == "tools/call") {
        let Some(answer) = exchange.answers.first() else {
            continue;
        };
        let event = answer.message.event;
        match level(exchange) {
            None => observer.kept(WITHOUT, event),
            Some(wanted) if wanted > 0 => observer.kept(THRESHOLD, event),
            Some(_) => {}
        }
    }
    // Every request that asks for nothing shows that nothing comes.
    let first = own
        .iter()
        .find(|exchange| level(exchange).is_none() && !exchange.answers.is_empty());
    if let Some(first) = first {
        observer.kept(WITHOUT, first.request.event);
        if conversation.transport() == TransportKind::StreamableHttp {
            observer.kept(STREAM, first.request.event);
        }
    }
}
