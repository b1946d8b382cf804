//! Subscriptions to resources: news come to subscribers only, and stop when they unsubscribe.

use serde_json::Value;

use super::conversation::{Conversation, Direction};
use super::declared::{Declared, at, notified};
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope, quoted};
use crate::jsonrpc::Shape;
use crate::revision::Era;
use crate::trace::TransportKind;

pub(super) const MONITOR: Monitor = Monitor {
    name: "subscription",
    scope: Scope::Stateful,
    over: EVERYWHERE,
    summary: "notifications/resources/updated comes for subscribed resources only, and not after unsubscribing",
    requirements: &["resources/updated-only-subscribed", "resources/unsubscribe-stops"],
    judge: observe,
};

/// How long, in microseconds, news may be on their way on another stream.
const ON_ITS_WAY_US: u64 = 30_000;

fn observe(conversation: &Conversation<'_>, _context: &Context<'_>, observer: &mut Observer<'_>) {
    let messages = conversation.messages();
    let (exchanges, _) = conversation.exchanges(&messages);
    let Some(declared) = Declared::of(&exchanges, Era::Stateful) else {
        return;
    };
    if !declared.declares("resources.subscribe") {
        return; // News without the capability are the breach of another rule.
    }
    // Subscribed from the request on, unsubscribed from the answer on.
    let changes: Vec<(usize, bool, &str)> = exchanges
        .iter()
        .filter_map(|exchange| {
            let answer = exchange.answers.first()?.message;
            answer.value.get("result")?;
            let uri = exchange.request.value.pointer("/params/uri")?.as_str()?;
            match exchange.method {
                "resources/subscribe" => Some((exchange.request.event, true, uri)),
                "resources/unsubscribe" => Some((answer.event, false, uri)),
                _ => None,
            }
        })
        .collect();
    for (message, params) in notified(&messages, "notifications/resources/updated") {
        let Some(uri) = params.get("uri").and_then(Value::as_str) else {
            continue;
        };
        let concerns = |subscribed: &str| {
            let subscribed = subscribed.trim_end_matches('/');
            uri == subscribed
                || uri
                    .strip_prefix(subscribed)
                    .is_some_and(|rest| rest.starts_with(['/', '?', '#']))
        };
        let last = changes
            .iter()
            .filter(|(event, _, subscribed)| *event < message.event && (concerns(subscribed) || uri == *subscribed))
            .max_by_key(|(event, ..)| *event);
        match last {
            Some((_, true, _)) => observer.kept("resources/updated-only-subscribed", message.event),
            None => {
                let text = format!("news came of {}, which nobody has subscribed to", quoted(uri));
                observer.broken(BreachAt::new("resources/updated-only-subscribed", message.event, text));
            }
            Some((stopped, false, _)) => {
                // Between two streams there is no order: something must have been asked and answered since.
                let asked_since = messages.iter().any(|other| {
                    other.direction == Direction::ToServer
                        && matches!(other.shape, Shape::Request { .. })
                        && other.event > *stopped
                        && other.event < message.event
                });
                let old = at(conversation, message.event).saturating_sub(at(conversation, *stopped)) > ON_ITS_WAY_US;
                if conversation.transport() != TransportKind::StreamableHttp || (asked_since && old) {
                    let text = format!("news came of {} after the client had unsubscribed", quoted(uri));
                    let breach = BreachAt::new("resources/unsubscribe-stops", message.event, text);
                    observer.broken(breach.also(&[*stopped]));
                }
            }
        }
    }
    let read = exchanges
        .iter()
        .find(|exchange| exchange.method == "resources/read" && !exchange.answers.is_empty());
    if let Some(read) = read {
        observer.kept("resources/updated-only-subscribed", read.request.event);
    }
}
