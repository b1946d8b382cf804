//! The handshake: who speaks first, and what version negotiation answers.

use serde_json::Value;

use super::conversation::{Conversation, Direction};
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope, quoted};
use crate::jsonrpc::Shape;
use crate::revision::Revision;
use crate::spec::requirement::Severity;

pub(super) const MONITOR: Monitor = Monitor {
    name: "lifecycle",
    scope: Scope::Stateful,
    over: EVERYWHERE,
    summary: "the handshake comes first, and an unsupported version is never agreed to",
    requirements: &[
        "lifecycle/initialize-answered",
        "lifecycle/version-echo",
        "lifecycle/version-counter-offer",
        "lifecycle/first-interaction",
        "lifecycle/no-requests-before-initialized",
        "ping/answered",
    ],
    judge: observe,
};

fn observe(conversation: &Conversation<'_>, _context: &Context<'_>, observer: &mut Observer<'_>) {
    let messages = conversation.messages();
    let (exchanges, _) = conversation.exchanges(&messages);
    for exchange in &exchanges {
        let Some(answer) = exchange.answers.first() else {
            continue;
        };
        if exchange.method == "ping" && answer.message.value.get("result").is_some() {
            observer.kept("ping/answered", answer.message.event);
        }
        if exchange.method != "initialize" || conversation.illegal_at(exchange.request.event) {
            continue;
        }
        let requested = exchange
            .request
            .value
            .pointer("/params/protocolVersion")
            .and_then(Value::as_str);
        let offered = answer
            .message
            .value
            .pointer("/result/protocolVersion")
            .and_then(Value::as_str);
        let (Some(requested), Some(offered)) = (requested, offered) else {
            continue;
        };
        observer.kept("lifecycle/initialize-answered", answer.message.event);
        let known = requested.parse::<Revision>().is_ok();
        match (known, requested == offered) {
            (true, true) => observer.kept("lifecycle/version-echo", answer.message.event),
            (false, false) => observer.kept("lifecycle/version-counter-offer", answer.message.event),
            (false, true) => {
                let message = format!(
                    "the server agreed to protocol version {}, which does not exist",
                    quoted(requested)
                );
                let breach = BreachAt::new("lifecycle/version-counter-offer", answer.message.event, message);
                observer.broken(breach.also(&[exchange.request.event]));
            }
            (true, false) => {}
        }
    }

    let first_request = messages
        .iter()
        .find(|message| message.direction == Direction::ToServer)
        .map(|message| message.event);
    let welcomed = exchanges
        .iter()
        .find(|exchange| exchange.method == "initialize")
        .and_then(|exchange| exchange.answers.first())
        .map(|answer| answer.message.event);
    let initialized = messages.iter().find(|message| {
        message.direction == Direction::ToServer
            && matches!(message.shape, Shape::Notification { method, .. } if method == "notifications/initialized")
    });
    for message in messages
        .iter()
        .filter(|message| message.direction == Direction::FromServer)
    {
        let (method, is_request) = match message.shape {
            Shape::Request { method, .. } => (method, true),
            Shape::Notification { method, .. } => (method, false),
            _ => continue,
        };
        let harmless = method == "ping" || method == "notifications/message";
        let early = !is_request && welcomed.is_some_and(|welcomed| message.event < welcomed);
        if !harmless && early && first_request.is_some_and(|first| message.event > first) {
            let text = format!("the server sent {} before it had answered initialize", quoted(method));
            let breach = BreachAt::new("lifecycle/first-interaction", message.event, text);
            observer.broken(breach.at_most(Severity::Warn));
        } else if !harmless && first_request.is_none_or(|first| message.event < first) {
            let text = format!("the server sent {} before the client had said anything", quoted(method));
            observer.broken(BreachAt::new("lifecycle/first-interaction", message.event, text));
        } else if is_request && !harmless && initialized.is_some_and(|initialized| message.event < initialized.event) {
            let text = format!(
                "the server sent the request {} before it was told notifications/initialized",
                quoted(method)
            );
            observer.broken(BreachAt::new(
                "lifecycle/no-requests-before-initialized",
                message.event,
                text,
            ));
        }
    }
    if let Some(first) = first_request {
        observer.kept("lifecycle/first-interaction", first);
    }
    if let Some(initialized) = initialized {
        observer.kept("lifecycle/no-requests-before-initialized", initialized.event);
    }
}
