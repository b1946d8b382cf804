//! Capability honesty: what is declared works, what is used was declared, by both sides.

use serde_json::Value;

use super::conversation::{Conversation, Direction, Exchange, Message};
use super::{BreachAt, Context, Monitor, Observer};
use crate::case::expectation::lookup;
use crate::jsonrpc::Shape;
use crate::revision::Revision;
use crate::spec::requirement::Severity;

pub(super) const MONITOR: Monitor = Monitor {
    name: "capability",
    summary: "declared capabilities work, undeclared ones are not used",
    requirements: &[
        "base-protocol/features-advertised",
        "base-protocol/undeclared-client-capability-unused",
        "tools/capability-declared",
        "resources/capability-declared",
        "prompts/capability-declared",
        "completion/capability-declared",
        "logging/capability-declared",
        "tools/list-changed-undeclared",
        "resources/list-changed-undeclared",
        "prompts/list-changed-undeclared",
        "resources/updated-needs-capability",
        "client-features/roots-needs-capability",
        "client-features/sampling-needs-capability",
        "client-features/elicitation-needs-capability",
    ],
    judge: observe,
};

/// The requirement that a list proves, and the member that shows it.
type Proof = Option<(&'static str, &'static str)>;

/// Methods of a capability: the method, the capability, and, for lists, the requirement and the member that shows that the feature is there.
const METHODS: [(&str, &str, Proof); 6] = [
    ("tools/list", "tools", Some(("tools/capability-declared", "tools"))),
    (
        "resources/list",
        "resources",
        Some(("resources/capability-declared", "resources")),
    ),
    (
        "resources/templates/list",
        "resources",
        Some(("resources/capability-declared", "resourceTemplates")),
    ),
    (
        "prompts/list",
        "prompts",
        Some(("prompts/capability-declared", "prompts")),
    ),
    (
        "completion/complete",
        "completions",
        Some(("completion/capability-declared", "completion")),
    ),
    ("logging/setLevel", "logging", None),
];

/// Notifications that only a declared capability allows.
const NOTIFICATIONS: [(&str, &str, &str); 5] = [
    ("notifications/message", "logging", "logging/capability-declared"),
    (
        "notifications/tools/list_changed",
        "tools.listChanged",
        "tools/list-changed-undeclared",
    ),
    (
        "notifications/resources/list_changed",
        "resources.listChanged",
        "resources/list-changed-undeclared",
    ),
    (
        "notifications/prompts/list_changed",
        "prompts.listChanged",
        "prompts/list-changed-undeclared",
    ),
    (
        "notifications/resources/updated",
        "resources.subscribe",
        "resources/updated-needs-capability",
    ),
];

/// Requests of the server, the client capability that each needs, and the requirement that says so.
const CLIENT: [(&str, &str, &str); 3] = [
    ("roots/list", "roots", "client-features/roots-needs-capability"),
    (
        "sampling/createMessage",
        "sampling",
        "client-features/sampling-needs-capability",
    ),
    (
        "elicitation/create",
        "elicitation",
        "client-features/elicitation-needs-capability",
    ),
];

/// Whether the method asks a client for something that it has to declare.
pub(super) fn asks_for_capability(method: &str) -> bool {
    CLIENT.iter().any(|(name, ..)| *name == method)
}

fn observe(conversation: &Conversation<'_>, context: &Context<'_>, observer: &mut Observer<'_>) {
    let messages = conversation.messages();
    let (exchanges, _) = conversation.exchanges(&messages);
    let handshake = exchanges.iter().find_map(|exchange| {
        let answer = exchange.answers.first().filter(|_| exchange.method == "initialize")?;
        Some((
            exchange.request.value,
            answer.message.value.pointer("/result/capabilities")?,
            answer.message.event,
        ))
    });
    let Some((initialize, server, declared_at)) = handshake else {
        return;
    };
    if !server.is_object() {
        return; // What it has is not known, which is reported with the form of the result.
    }
    let declares = |path: &str| lookup(server, path).is_some_and(|flag| *flag != Value::Bool(false));

    for exchange in &exchanges {
        let Some((_, capability, proof)) = METHODS.iter().find(|(method, ..)| *method == exchange.method) else {
            continue;
        };
        if *capability == "completions" && context.revision < Revision::V2025_03_26 {
            continue; // Completion has no capability yet.
        }
        let Some(answer) = exchange.answers.first() else {
            continue;
        };
        let event = answer.message.event;
        let code = answer.message.value.pointer("/error/code").and_then(Value::as_i64);
        match (declares(capability), code) {
            (true, Some(-32601)) => {
                let message = format!(
                    "the capability `{capability}` is declared, but {} is an unknown method",
                    exchange.method
                );
                let breach = BreachAt::new("base-protocol/features-advertised", event, message);
                observer.broken(breach.also(&[declared_at]).about(capability));
            }
            (true, None) => {
                observer.kept("base-protocol/features-advertised", event);
                if let Some((requirement, _)) = proof {
                    observer.kept(requirement, event);
                }
            }
            (false, None) => undeclared_but_served(
                observer,
                exchange.method,
                capability,
                *proof,
                answer.message.value,
                [event, declared_at],
            ),
            _ => {}
        }
    }
    // What is not declared must not come: it was looked for all the time.
    for (_, capability, requirement) in NOTIFICATIONS {
        if !declares(capability) {
            observer.kept(requirement, declared_at);
        }
    }
    unused(observer, initialize, &exchanges, &messages);
    for message in messages
        .iter()
        .filter(|message| message.direction == Direction::FromServer && message.event > declared_at)
    {
        match message.shape {
            Shape::Notification { method, .. } => {
                let Some((_, capability, requirement)) = NOTIFICATIONS.iter().find(|(name, ..)| name == method) else {
                    continue;
                };
                if declares(capability) {
                    observer.kept(requirement, message.event);
                } else {
                    let text = format!("{method} was sent although the capability `{capability}` is not declared");
                    observer.broken(BreachAt::new(requirement, message.event, text).also(&[declared_at]));
                }
            }
            Shape::Request { method, .. } => {
                let Some((_, capability, requirement)) = CLIENT.iter().find(|(name, ..)| name == method) else {
                    continue;
                };
                let requirement = rule(requirement, context.revision);
                let offered = initialize
                    .pointer(&format!("/params/capabilities/{capability}"))
                    .is_some();
                if offered {
                    observer.kept(requirement, message.event);
                    observer.kept("base-protocol/undeclared-client-capability-unused", message.event);
                } else {
                    let text = format!("the server sent {method} although the client does not declare `{capability}`");
                    // Where there is a rule for the method, the general one steps aside.
                    observer.broken(BreachAt::new(requirement, message.event, text));
                }
            }
            _ => {}
        }
    }
}

/// The rule about a request of the server: the general one before the method had one of its own.
fn rule(requirement: &'static str, revision: Revision) -> &'static str {
    if requirement == "client-features/elicitation-needs-capability" && revision < Revision::V2025_06_18 {
        "base-protocol/undeclared-client-capability-unused"
    } else {
        requirement
    }
}

/// What the client did not declare, and what nobody asked it for while a tool ran.
fn unused(observer: &mut Observer<'_>, initialize: &Value, exchanges: &[Exchange<'_>], messages: &[Message<'_>]) {
    let called = exchanges
        .iter()
        .find(|exchange| exchange.method == "tools/call" && !exchange.answers.is_empty());
    let Some(called) = called else { return };
    for (wanted, capability, requirement) in CLIENT {
        let offered = initialize
            .pointer(&format!("/params/capabilities/{capability}"))
            .is_some();
        let asked = messages.iter().any(|message| {
            message.direction == Direction::FromServer
                && matches!(message.shape, Shape::Request { method, .. } if method == wanted)
        });
        if !offered && !asked {
            observer.kept(requirement, called.request.event);
            observer.kept(
                "base-protocol/undeclared-client-capability-unused",
                called.request.event,
            );
        }
    }
}

/// A method that works without its capability. An empty list shows no feature, and some SDKs answer so for all servers.
fn undeclared_but_served(
    observer: &mut Observer<'_>,
    method: &str,
    capability: &str,
    proof: Option<(&'static str, &str)>,
    answer: &Value,
    [event, declared_at]: [usize; 2],
) {
    let (requirement, member) = proof.unwrap_or(("base-protocol/features-advertised", ""));
    let something = match answer.pointer(&format!("/result/{member}")) {
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(completion)) => completion
            .get("values")
            .and_then(Value::as_array)
            .is_some_and(|values| !values.is_empty()),
        _ => false,
    };
    let cap = if something { Severity::Fail } else { Severity::Info };
    let message = format!("{method} works although the capability `{capability}` is not declared");
    observer.broken(
        BreachAt::new(requirement, event, message)
            .also(&[declared_at])
            .about(capability)
            .at_most(cap),
    );
}
