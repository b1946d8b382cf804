//! Capability honesty: what is declared works, what is used was declared, by both sides.

use serde_json::Value;

use super::conversation::{Conversation, Direction, Message};
use super::declared::{Asked, Declared, questions};
use super::exchange::Exchange;
use super::stateless;
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope};
use crate::jsonrpc::Shape;
use crate::revision::{Era, Revision};
use crate::spec::requirement::Severity;

pub(super) const MONITOR: Monitor = Monitor {
    name: "capability",
    scope: Scope::Either,
    over: EVERYWHERE,
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
    let Some(declared) = Declared::of(&exchanges, context.revision.era()) else {
        return;
    };
    let declared_at = declared.event;
    if !declared.server.is_object() {
        return; // What it has is not known, which is reported with the form of the result.
    }
    let declares = |path: &str| declared.declares(path);

    for exchange in exchanges.iter().filter(|exchange| exchange.is_of(context.revision)) {
        let Some((_, capability, proof)) = METHODS.iter().find(|(method, ..)| *method == exchange.method) else {
            continue;
        };
        if *capability == "completions" && context.revision < Revision::V2025_03_26 {
            continue; // Completion has no capability yet.
        }
        if exchange.method == "logging/setLevel" && context.revision.era() == Era::Stateless {
            continue; // Levels are named by each request.
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
    asked_for(observer, context, &exchanges, &messages);
    for message in messages
        .iter()
        .filter(|message| message.direction == Direction::FromServer && message.event > declared_at)
    {
        if let Shape::Notification { method, .. } = message.shape {
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
    }
}

/// What the server asked of the client, against what the client had declared.
fn asked_for(observer: &mut Observer<'_>, context: &Context<'_>, exchanges: &[Exchange<'_>], messages: &[Message<'_>]) {
    let stateless = context.revision.era() == Era::Stateless;
    let questions = questions(messages, exchanges);
    for asked in &questions {
        let Some((_, capability, requirement)) = CLIENT.iter().find(|(name, ..)| *name == asked.method) else {
            continue;
        };
        // Where a server may send no requests at all, that it asks in this way is the breach.
        if stateless && asked.id.is_some() {
            continue;
        }
        let requirement = rule(requirement, context.revision);
        let event = asked.message.event;
        if asked.client_has(&format!("/{capability}")) {
            observer.kept(requirement, event);
            observer.kept("base-protocol/undeclared-client-capability-unused", event);
        } else {
            let method = asked.method;
            let text = format!("the server sent {method} although the client does not declare `{capability}`");
            // Where there is a rule for the method, the general one steps aside.
            observer.broken(BreachAt::new(requirement, event, text));
        }
    }
    let calls = exchanges
        .iter()
        .filter(|exchange| exchange.method == "tools/call" && !exchange.answers.is_empty());
    if stateless {
        for call in calls {
            let client = stateless::capabilities(call.request.value).unwrap_or(&Value::Null);
            let end = call.answers[0].message.event;
            unused(observer, client, call, |asked| asked.message.event == end, &questions);
        }
    } else {
        let handshake = exchanges.iter().find(|exchange| exchange.method == "initialize");
        let client = handshake.and_then(|exchange| exchange.request.value.pointer("/params/capabilities"));
        for call in calls.take(1) {
            unused(observer, client.unwrap_or(&Value::Null), call, |_| true, &questions);
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
fn unused(
    observer: &mut Observer<'_>,
    client: &Value,
    call: &Exchange<'_>,
    belongs: impl Fn(&Asked<'_>) -> bool,
    questions: &[Asked<'_>],
) {
    for (wanted, capability, requirement) in CLIENT {
        let asked = questions.iter().any(|asked| asked.method == wanted && belongs(asked));
        if client.get(capability).is_none() && !asked {
            observer.kept(requirement, call.request.event);
            observer.kept("base-protocol/undeclared-client-capability-unused", call.request.event);
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
