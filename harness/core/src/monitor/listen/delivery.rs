//! What subscriptions bring, and what comes without one.

use serde_json::Value;

use super::super::conversation::Message;
use super::super::declared::at;
use super::super::stateless::{self, SUBSCRIPTION};
use super::super::{BreachAt, Observer, quoted};
use super::{ACKNOWLEDGED, CROSSED_US, KINDS, OF_TASK, Subscription, UPDATED, View, notification, same, strings};
use crate::jsonrpc::Shape;

const ID: &str = "subscriptions/subscription-id-value";
const WITHOUT: &str = "subscriptions/no-delivery-without-listen";
const ONLY_SUBSCRIBED: &str = "resources/updated-only-subscribed";
const SCOPED: &str = "subscriptions/request-scoped-excluded";

pub(super) fn observe(view: &View<'_>, observer: &mut Observer<'_>) {
    // That nothing comes unasked is seen by whoever listens to the answers.
    let answered = view.exchanges.iter().find_map(|exchange| exchange.answers.first());
    if let Some(answer) = answered {
        observer.kept(WITHOUT, answer.message.event);
    }
    let read = view
        .exchanges
        .iter()
        .find(|exchange| exchange.method == "resources/read" && !exchange.answers.is_empty());
    if let Some(read) = read {
        observer.kept(ONLY_SUBSCRIBED, read.request.event);
    }
    for message in view.messages {
        let Some(method) = notification(message) else { continue };
        let of_subscription = method == UPDATED
            || method == OF_TASK
            || method == ACKNOWLEDGED
            || KINDS.iter().any(|(name, ..)| *name == method);
        if of_subscription {
            delivered(view, observer, message, method);
        } else if view.over_http() && matches!(method, "notifications/progress" | "notifications/message") {
            scoped(view, observer, message, method);
        }
    }
    after_the_end(view, observer);
    clean(view, observer);
}

/// A notification that only subscriptions bring.
fn delivered(view: &View<'_>, observer: &mut Observer<'_>, message: &Message<'_>, method: &str) {
    let given = stateless::subscription(message.value);
    if given.is_some_and(|id| !(id.is_string() || id.is_number())) {
        return; // The schemas say so.
    }
    let Some(position) = view.owner(message) else {
        stranger(view, observer, message, method, given);
        return;
    };
    let owner = &view.subscriptions[position];
    match given {
        Some(id) if same(owner.id, id) => observer.kept(ID, message.event),
        Some(id) => {
            let text = format!(
                "{method} has the subscription id {}, its subscription is {}",
                quoted(&id.to_string()),
                quoted(&owner.id.to_string())
            );
            observer.broken(
                BreachAt::new(ID, message.event, text)
                    .also(&[owner.opened()])
                    .about(method),
            );
        }
        None => {
            let text = format!("{method} has no {SUBSCRIPTION} in its _meta");
            observer.broken(
                BreachAt::new(ID, message.event, text)
                    .also(&[owner.opened()])
                    .about(method),
            );
        }
    }
    // What comes before the acknowledgement is the breach of that order.
    if view.acknowledged[position].is_some_and(|acknowledged| acknowledged < message.event) {
        wanted(observer, owner, message, method);
    }
}

/// Whether the subscription asked for it.
fn wanted(observer: &mut Observer<'_>, owner: &Subscription<'_>, message: &Message<'_>, method: &str) {
    const FILTER: &str = "subscriptions/filter-respected";
    let also = [owner.opened()];
    if let Some((_, field, _)) = KINDS.iter().find(|(name, ..)| *name == method) {
        if owner.wants(field) {
            observer.kept(FILTER, message.event);
        } else if owner.filter.get(*field) == Some(&Value::Bool(false)) {
            let text = format!("{method} came to a subscription that had asked for {field} with false");
            observer.broken(BreachAt::new("subscriptions/false-equals-omitted", message.event, text).also(&also));
        } else {
            let text = format!("{method} came to a subscription that had not asked for it");
            observer.broken(BreachAt::new(FILTER, message.event, text).also(&also).about(method));
        }
    } else if method == UPDATED {
        match message.value.pointer("/params/uri").and_then(Value::as_str) {
            Some(uri) if owner.wants_resource(uri) => {
                observer.kept(FILTER, message.event);
                observer.kept(ONLY_SUBSCRIBED, message.event);
            }
            Some(uri) => {
                let text = format!("news came of {}, which nobody has subscribed to", quoted(uri));
                observer.broken(BreachAt::new(ONLY_SUBSCRIBED, message.event, text).also(&also));
            }
            None => {}
        }
    } else if method == OF_TASK {
        let task = message.value.pointer("/params/taskId").and_then(Value::as_str);
        if task.is_some_and(|task| strings(owner.filter.get("taskIds")).any(|wanted| wanted == task)) {
            observer.kept(FILTER, message.event);
        } else {
            let text = "news came of a task to a subscription that had not asked for it";
            observer.broken(BreachAt::new(FILTER, message.event, text).also(&also).about(method));
        }
    }
}

/// A notification of a subscription that belongs to none.
fn stranger(view: &View<'_>, observer: &mut Observer<'_>, message: &Message<'_>, method: &str, given: Option<&Value>) {
    // That the capability is not declared is another rule's business.
    let declared = KINDS
        .iter()
        .find(|(name, ..)| *name == method)
        .map(|(_, _, capability)| *capability)
        .or_else(|| (method == UPDATED).then_some("resources.subscribe"));
    if let (Some(server), Some(capability)) = (&view.declared, declared)
        && !server.declares(capability)
    {
        return;
    }
    // One that gets its news under its id has no need of those without.
    let served = |position: usize| {
        view.messages
            .iter()
            .any(|other| notification(other) == Some(method) && view.owner(other) == Some(position))
    };
    let kind = KINDS.iter().find(|(name, ..)| *name == method);
    let meant = |position: usize, own: &Subscription<'_>| {
        given.is_some() || (kind.is_none_or(|(_, field, _)| own.wants(field)) && !served(position))
    };
    let mut open = view.subscriptions.iter().enumerate();
    let open = open
        .find(|(position, own)| own.is_open(message.event) && meant(*position, own))
        .map(|(_, own)| own);
    // Who tells it when nobody listens has not forgotten the id.
    let unasked = given.is_none()
        && view.messages.iter().any(|other| {
            notification(other) == Some(method)
                && stateless::subscription(other.value).is_none()
                && !view.subscriptions.iter().any(|own| own.is_open(other.event))
        });
    match (open.filter(|_| !unasked), view.over_http()) {
        (Some(own), false) => {
            let text = match given {
                Some(id) => format!(
                    "{method} has the subscription id {}, and the open subscription is {}",
                    quoted(&id.to_string()),
                    quoted(&own.id.to_string())
                ),
                None => format!("{method} has no {SUBSCRIPTION} in its _meta"),
            };
            observer.broken(
                BreachAt::new(ID, message.event, text)
                    .also(&[own.opened()])
                    .about(method),
            );
        }
        _ => {
            let text = format!("{method} came, and no subscription had asked for it");
            observer.broken(BreachAt::new(WITHOUT, message.event, text).about(method));
        }
    }
}

/// Progress or a log message over HTTP: it belongs on the stream of its request.
fn scoped(view: &View<'_>, observer: &mut Observer<'_>, message: &Message<'_>, method: &str) {
    let Some(owner) = view.owner(message).map(|position| &view.subscriptions[position]) else {
        return;
    };
    let token = message.value.pointer("/params/progressToken");
    let of_task = token.is_some()
        && view.exchanges.iter().any(|exchange| {
            let begun = exchange
                .answers
                .first()
                .and_then(|answer| answer.message.value.get("result"));
            exchange.request.value.pointer("/params/_meta/progressToken") == token
                && begun.is_some_and(|result| stateless::result_type(result) == Some("task"))
        });
    let requirement = if of_task {
        "ext-tasks/no-progress-on-tasks"
    } else {
        SCOPED
    };
    let text = format!("{method} came on the stream of a subscription");
    observer.broken(
        BreachAt::new(requirement, message.event, text)
            .also(&[owner.opened()])
            .about(method),
    );
}

/// Streams of subscriptions that stayed clean while calls ran that could have put something there.
fn clean(view: &View<'_>, observer: &mut Observer<'_>) {
    for call in view.exchanges.iter().filter(|exchange| exchange.method == "tools/call") {
        let request = call.request.value;
        let talks =
            request.pointer("/params/_meta/progressToken").is_some() || stateless::claim(request, "logLevel").is_some();
        let Some(answer) = call.answers.first().filter(|_| talks) else {
            continue;
        };
        let listening = view.subscriptions.iter().any(|own| own.is_open(call.request.event));
        if listening && view.over_http() {
            observer.kept(SCOPED, answer.message.event);
        }
        let result = answer.message.value.get("result");
        if result.is_some_and(|result| stateless::result_type(result) == Some("task")) {
            observer.kept("ext-tasks/no-progress-on-tasks", answer.message.event);
        }
    }
}

/// What still comes over stdio of a subscription that the client has cancelled.
fn after_the_end(view: &View<'_>, observer: &mut Observer<'_>) {
    const REQUIREMENT: &str = "subscriptions/stdio-cancel-ends";
    if view.over_http() {
        return;
    }
    for (position, subscription) in view.subscriptions.iter().enumerate() {
        let Some(cancelled) = subscription.cancelled.filter(|_| !subscription.refused) else {
            continue;
        };
        let by_client = view.messages.iter().any(|message| {
            message.event == cancelled
                && matches!(message.shape, Shape::Notification { .. })
                && notification(message).is_none()
        });
        // The server has read it when it answers what was sent later.
        let read = view
            .exchanges
            .iter()
            .filter(|exchange| exchange.request.event > cancelled)
            .filter_map(|exchange| Some(exchange.answers.first()?.message.event))
            .min();
        let Some(read) = read.filter(|_| by_client) else {
            continue;
        };
        // What comes after a further request had been sent was not on its way any more.
        let next = view
            .exchanges
            .iter()
            .map(|exchange| exchange.request.event)
            .find(|request| *request > read);
        let late = view.messages.iter().find(|message| {
            let age = at(view.conversation, message.event).saturating_sub(at(view.conversation, read));
            message.event > read
                && notification(message).is_some_and(|method| method != ACKNOWLEDGED)
                && view.owner(message) == Some(position)
                && (age > CROSSED_US || next.is_some_and(|next| message.event > next))
        });
        match late {
            Some(late) => {
                let text = "a subscription went on after the client had cancelled it";
                observer.broken(BreachAt::new(REQUIREMENT, late.event, text).also(&[cancelled]));
            }
            None => observer.kept(REQUIREMENT, read),
        }
    }
}
