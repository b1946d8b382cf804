//! Subscriptions of the stateless era: `subscriptions/listen` is acknowledged first, brings what was asked for under its own id, and nothing else
//! does.
//!
//! Over HTTP a subscription is the stream that answers its request. Over stdio all share one channel, and the id in `_meta` tells.

mod delivery;

use std::collections::HashMap;

use serde_json::Value;

use super::conversation::{Conversation, Direction, Message};
use super::declared::{Declared, at};
use super::exchange::Exchange;
use super::http_exchange::HttpExchange;
use super::stateless::{self, SUBSCRIPTION};
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope, quoted};
use crate::jsonrpc::Shape;
use crate::revision::Era;
use crate::trace::{EventKind, TransportKind};

pub(super) const MONITOR: Monitor = Monitor {
    name: "listen",
    scope: Scope::Stateless,
    over: EVERYWHERE,
    summary: "subscriptions are acknowledged first, bring what was asked for under their own id, and end when they are ended",
    requirements: &[
        "subscriptions/ack-first",
        "subscriptions/ack-prompt",
        "subscriptions/ack-subset",
        "subscriptions/ack-omits-unsupported",
        "subscriptions/subscription-id-value",
        "subscriptions/filter-respected",
        "subscriptions/no-delivery-without-listen",
        "subscriptions/false-equals-omitted",
        "subscriptions/request-scoped-excluded",
        "subscriptions/stdio-cancel-ends",
        "subscriptions/close-result-shape",
        "subscriptions/graceful-close-result",
        "resources/updated-only-subscribed",
        "meta/subscription-id-only-on-listen",
        "cancellation/server-cancel-only-listen",
        "cancellation/server-teardown-signal",
        "ext-tasks/ack-task-ids",
        "ext-tasks/no-progress-on-tasks",
    ],
    judge: observe,
};

/// How long the acknowledgement may take, in microseconds.
const PROMPT_US: u64 = 5_000_000;
/// How long what the server was about to send may take, once it is known to have read the end of the subscription.
const CROSSED_US: u64 = 100_000;

/// Notifications that only a subscription brings: the field of the filter that asks for them, and the capability behind it.
const KINDS: [(&str, &str, &str); 3] = [
    (
        "notifications/tools/list_changed",
        "toolsListChanged",
        "tools.listChanged",
    ),
    (
        "notifications/prompts/list_changed",
        "promptsListChanged",
        "prompts.listChanged",
    ),
    (
        "notifications/resources/list_changed",
        "resourcesListChanged",
        "resources.listChanged",
    ),
];
const UPDATED: &str = "notifications/resources/updated";
const OF_TASK: &str = "notifications/tasks";
const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";

/// A request to be told of changes.
struct Subscription<'m> {
    exchange: &'m Exchange<'m>,
    /// Its id as it stands in the request.
    id: &'m Value,
    filter: &'m Value,
    /// The HTTP exchange that it is.
    stream: Option<u32>,
    /// The event at which the client ended it, or the server did.
    cancelled: Option<usize>,
    /// Whether it was refused.
    refused: bool,
}

impl Subscription<'_> {
    fn opened(&self) -> usize {
        self.exchange.request.event
    }

    /// Whether it was open when the event happened.
    fn is_open(&self, event: usize) -> bool {
        let answered = self.exchange.answers.first().map(|answer| answer.message.event);
        !self.refused
            && self.opened() < event
            && answered.is_none_or(|answered| answered > event)
            && self.cancelled.is_none_or(|cancelled| cancelled > event)
    }

    /// Whether the client asked for changes of a kind.
    fn wants(&self, field: &str) -> bool {
        self.filter.get(field) == Some(&Value::Bool(true))
    }

    /// Whether the client asked for news of a resource.
    fn wants_resource(&self, uri: &str) -> bool {
        strings(self.filter.get("resourceSubscriptions")).any(|subscribed| {
            let base = subscribed.trim_end_matches('/');
            uri == subscribed
                || uri == base
                || uri
                    .strip_prefix(base)
                    .is_some_and(|rest| rest.starts_with(['/', '?', '#']))
        })
    }
}

/// What the rules look at.
struct View<'m> {
    conversation: &'m Conversation<'m>,
    messages: &'m [Message<'m>],
    exchanges: &'m [Exchange<'m>],
    subscriptions: Vec<Subscription<'m>>,
    /// The position of the subscription that each notification belongs to, by its event.
    owners: HashMap<usize, usize>,
    /// The event of the first acknowledgement of each subscription.
    acknowledged: Vec<Option<usize>>,
    declared: Option<Declared<'m>>,
}

impl View<'_> {
    fn over_http(&self) -> bool {
        self.conversation.transport() == TransportKind::StreamableHttp
    }

    /// The position of the subscription that a message belongs to.
    fn owner(&self, message: &Message<'_>) -> Option<usize> {
        self.owners.get(&message.event).copied()
    }
}

fn observe(conversation: &Conversation<'_>, context: &Context<'_>, observer: &mut Observer<'_>) {
    let messages = conversation.messages();
    let (exchanges, _) = conversation.exchanges(&messages);
    let subscriptions = subscriptions(conversation, context, &messages, &exchanges);
    let owners = owners(conversation, &messages, &subscriptions);
    let mut acknowledged = vec![None; subscriptions.len()];
    for message in messages.iter().rev() {
        if notification(message) == Some(ACKNOWLEDGED)
            && let Some(position) = owners.get(&message.event)
        {
            acknowledged[*position] = Some(message.event);
        }
    }
    let view = View {
        owners,
        acknowledged,
        subscriptions,
        declared: Declared::of(&exchanges, Era::Stateless),
        conversation,
        messages: &messages,
        exchanges: &exchanges,
    };
    acknowledgements(&view, observer);
    delivery::observe(&view, observer);
    only_on_listen(&view, observer);
    cancellations(&view, observer);
    ended(&view, observer);
}

/// To which subscription each notification belongs: to the one whose stream brought it, or whose id it has exactly.
fn owners(
    conversation: &Conversation<'_>,
    messages: &[Message<'_>],
    subscriptions: &[Subscription<'_>],
) -> HashMap<usize, usize> {
    let over_http = conversation.transport() == TransportKind::StreamableHttp;
    let notifications = messages.iter().filter(|message| notification(message).is_some());
    notifications
        .filter_map(|message| {
            let owner = if over_http {
                let stream = conversation.frames()[message.frame].exchange;
                subscriptions.iter().position(|own| own.stream == stream)
            } else {
                let id = stateless::subscription(message.value)?;
                let before = |own: &Subscription<'_>| own.opened() < message.event && same(own.id, id);
                let text = |id: &Value| id.as_str().map_or_else(|| id.to_string(), str::to_owned);
                let alike = |own: &Subscription<'_>| own.opened() < message.event && text(own.id) == text(id);
                // One of another type is meant for the same subscription; that it differs is judged.
                subscriptions
                    .iter()
                    .rposition(before)
                    .or_else(|| subscriptions.iter().rposition(alike))
            };
            Some((message.event, owner?))
        })
        .collect()
}

/// All requests to listen.
fn subscriptions<'m>(
    conversation: &Conversation<'_>,
    context: &Context<'_>,
    messages: &[Message<'_>],
    exchanges: &'m [Exchange<'m>],
) -> Vec<Subscription<'m>> {
    let listens = exchanges
        .iter()
        .filter(|exchange| exchange.method == "subscriptions/listen" && exchange.is_of(context.revision));
    listens
        .filter_map(|exchange| {
            let id = exchange.request.value.get("id")?;
            let stream = conversation.frames()[exchange.request.frame].exchange;
            let cancelled = messages.iter().find(|message| {
                message.event > exchange.request.event
                    && matches!(message.shape, Shape::Notification { method, .. } if method == "notifications/cancelled")
                    && message.value.pointer("/params/requestId").is_some_and(|found| same(found, id))
            });
            // Over HTTP closing the stream is what ends it.
            let closed = stream.and_then(|stream| {
                let events = conversation.trace().events.iter();
                let mut events = events.map(|event| &event.kind).enumerate().skip(exchange.request.event);
                events
                    .find(|(_, kind)| matches!(kind, EventKind::HttpEnded { exchange, .. } if *exchange == stream))
                    .map(|(event, _)| event)
            });
            let answer = exchange.answers.first();
            Some(Subscription {
                exchange,
                id,
                filter: exchange.request.value.pointer("/params/notifications").unwrap_or(&Value::Null),
                stream,
                cancelled: closed.or_else(|| cancelled.map(|message| message.event)),
                refused: answer.is_some_and(|answer| answer.message.value.get("error").is_some())
                    || conversation.refused(stream),
            })
        })
        .collect()
}

/// Equal in type and value; 7 and 7.0 are one number.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        _ => left == right,
    }
}

/// The texts in a list.
fn strings(list: Option<&Value>) -> impl Iterator<Item = &str> {
    list.and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// The method of a notification of the server.
fn notification<'m>(message: &Message<'m>) -> Option<&'m str> {
    match message.shape {
        Shape::Notification { method, .. } if message.direction == Direction::FromServer => Some(method),
        _ => None,
    }
}

/// What comes first, and what it says.
fn acknowledgements(view: &View<'_>, observer: &mut Observer<'_>) {
    const FIRST: &str = "subscriptions/ack-first";
    const PROMPT: &str = "subscriptions/ack-prompt";
    for (position, subscription) in view.subscriptions.iter().enumerate().filter(|(_, own)| !own.refused) {
        let answer = subscription.exchange.answers.first().map(|answer| answer.message);
        let notifications = view.messages.iter().filter(|message| {
            message.event > subscription.opened()
                && notification(message).is_some()
                && view.owner(message) == Some(position)
        });
        let first = notifications.chain(answer).min_by_key(|message| message.event);
        let opened = at(view.conversation, subscription.opened());
        let Some(first) = first else {
            let last = view.conversation.trace().events.len().saturating_sub(1);
            let until = subscription.cancelled.or(subscription.exchange.gave_up).unwrap_or(last);
            let waited = at(view.conversation, until).saturating_sub(opened);
            if waited > PROMPT_US || subscription.exchange.gave_up.is_some() {
                let text = format!("a subscription was not acknowledged within {} ms", waited / 1_000);
                observer.broken(BreachAt::new(PROMPT, subscription.opened(), text));
            }
            continue;
        };
        if notification(first) != Some(ACKNOWLEDGED) {
            let what = notification(first).unwrap_or("its result");
            let text = format!("the first that came of a subscription is {what}, and not the acknowledgement");
            observer.broken(BreachAt::new(FIRST, first.event, text).also(&[subscription.opened()]));
            continue;
        }
        observer.kept(FIRST, first.event);
        let waited = at(view.conversation, first.event).saturating_sub(opened);
        if waited > PROMPT_US {
            let text = format!("a subscription was acknowledged after {} ms only", waited / 1_000);
            observer.broken(BreachAt::new(PROMPT, first.event, text).also(&[subscription.opened()]));
        } else {
            observer.kept(PROMPT, first.event);
        }
        if let Some(agreed) = first.value.pointer("/params/notifications") {
            agreement(view, observer, subscription, agreed, first.event);
        }
    }
}

/// What the server agrees to, against what was asked for and what it can do.
fn agreement(
    view: &View<'_>,
    observer: &mut Observer<'_>,
    subscription: &Subscription<'_>,
    agreed: &Value,
    event: usize,
) {
    const SUBSET: &str = "subscriptions/ack-subset";
    const FALSE: &str = "subscriptions/false-equals-omitted";
    const UNSUPPORTED: &str = "subscriptions/ack-omits-unsupported";
    let also = [subscription.opened()];
    let mut more = Vec::new();
    for (_, field, capability) in KINDS {
        let granted = agreed.get(field) == Some(&Value::Bool(true));
        let asked = subscription.filter.get(field);
        match (granted, asked) {
            (true, Some(Value::Bool(true))) => {}
            (true, Some(Value::Bool(false))) => {
                let text = format!("{field} was asked for with false, and is acknowledged");
                observer.broken(BreachAt::new(FALSE, event, text).also(&also));
            }
            (true, _) => more.push(field.to_owned()),
            (false, Some(Value::Bool(false))) => observer.kept(FALSE, event),
            (false, _) => {}
        }
        if let Some(declared) = &view.declared
            && subscription.wants(field)
            && !declared.declares(capability)
        {
            unsupported(observer, UNSUPPORTED, granted, field, event);
        }
    }
    let asked: Vec<&str> = strings(subscription.filter.get("resourceSubscriptions")).collect();
    let granted: Vec<&str> = strings(agreed.get("resourceSubscriptions")).collect();
    more.extend(
        granted
            .iter()
            .filter(|uri| !asked.contains(*uri))
            .map(|uri| quoted(uri)),
    );
    if let Some(declared) = &view.declared
        && !asked.is_empty()
        && !declared.declares("resources.subscribe")
    {
        unsupported(
            observer,
            UNSUPPORTED,
            !granted.is_empty(),
            "resourceSubscriptions",
            event,
        );
    }
    if more.is_empty() {
        observer.kept(SUBSET, event);
    } else {
        let text = format!("the acknowledgement has what was not asked for: {}", more.join(", "));
        observer.broken(BreachAt::new(SUBSET, event, text).also(&also));
    }
    let tasks: Vec<&str> = strings(subscription.filter.get("taskIds")).collect();
    match strings(agreed.get("taskIds")).find(|id| !tasks.contains(id)) {
        Some(stranger) => {
            let text = format!(
                "the acknowledgement has the task {}, which was not asked for",
                quoted(stranger)
            );
            observer.broken(BreachAt::new("ext-tasks/ack-task-ids", event, text).also(&also));
        }
        None if !tasks.is_empty() => observer.kept("ext-tasks/ack-task-ids", event),
        None => {}
    }
}

fn unsupported(observer: &mut Observer<'_>, requirement: &'static str, granted: bool, field: &str, event: usize) {
    if granted {
        let text = format!("{field} is acknowledged, and the server does not declare that it tells of it");
        observer.broken(BreachAt::new(requirement, event, text).about(field));
    } else {
        observer.kept(requirement, event);
    }
}

/// The id of a subscription in messages that belong to none.
fn only_on_listen(view: &View<'_>, observer: &mut Observer<'_>) {
    const REQUIREMENT: &str = "meta/subscription-id-only-on-listen";
    let judge = |observer: &mut Observer<'_>, message: &Message<'_>, what: &str| {
        if stateless::subscription(message.value).is_some() {
            let text = format!("{what} carries {SUBSCRIPTION}, and belongs to no subscription");
            observer.broken(BreachAt::new(REQUIREMENT, message.event, text).about(what));
        } else {
            observer.kept(REQUIREMENT, message.event);
        }
    };
    for message in view.messages {
        if let Some(method @ ("notifications/progress" | "notifications/message")) = notification(message) {
            judge(observer, message, method);
        }
    }
    for exchange in view
        .exchanges
        .iter()
        .filter(|exchange| exchange.method != "subscriptions/listen")
    {
        for answer in &exchange.answers {
            if answer.message.value.get("result").is_some() {
                judge(observer, answer.message, &format!("the result of {}", exchange.method));
            }
        }
    }
}

/// Cancellations by the server end subscriptions, and nothing else.
fn cancellations(view: &View<'_>, observer: &mut Observer<'_>) {
    const REQUIREMENT: &str = "cancellation/server-cancel-only-listen";
    for message in view.messages {
        if notification(message) != Some("notifications/cancelled") {
            continue;
        }
        let Some(id) = message.value.pointer("/params/requestId") else {
            continue; // The schemas say so.
        };
        let open = view
            .subscriptions
            .iter()
            .find(|own| own.opened() < message.event && same(own.id, id) && own.exchange.answers.is_empty());
        match open {
            Some(_) => {
                observer.kept(REQUIREMENT, message.event);
                observer.kept("cancellation/server-teardown-signal", message.event);
            }
            None => {
                let text = format!(
                    "the server cancelled {}, which is no open subscription",
                    quoted(&id.to_string())
                );
                observer.broken(BreachAt::new(REQUIREMENT, message.event, text));
            }
        }
    }
    // None of a server that answered all the time is a rule kept as well.
    if let Some(answer) = view.exchanges.iter().find_map(|exchange| exchange.answers.first()) {
        observer.kept(REQUIREMENT, answer.message.event);
    }
}

/// How subscriptions end.
fn ended(view: &View<'_>, observer: &mut Observer<'_>) {
    const SHAPE: &str = "subscriptions/close-result-shape";
    const GRACEFUL: &str = "subscriptions/graceful-close-result";
    let streams: Vec<HttpExchange<'_>> = if view.over_http() && !view.subscriptions.is_empty() {
        HttpExchange::all(view.conversation)
    } else {
        Vec::new()
    };
    for subscription in view.subscriptions.iter().filter(|own| !own.refused) {
        if let Some(answer) = subscription.exchange.answers.first() {
            let event = answer.message.event;
            observer.kept(GRACEFUL, event);
            observer.kept("cancellation/server-teardown-signal", event);
            // Whether the member is there is judged by the schemas.
            let found = stateless::subscription(answer.message.value).filter(|id| id.is_string() || id.is_number());
            if let Some(found) = found.filter(|found| !same(found, subscription.id)) {
                let text = format!(
                    "the result of the subscription {} says that it belongs to {}",
                    quoted(&subscription.id.to_string()),
                    quoted(&found.to_string())
                );
                observer.broken(BreachAt::new(SHAPE, event, text).also(&[subscription.opened()]));
            }
            continue;
        }
        let stream = streams.iter().find(|stream| Some(stream.number) == subscription.stream);
        if let Some(stream) = stream
            && stream.is_stream()
            && stream.ended_well()
            && let Some((end, _)) = stream.ended
        {
            let text = "the server ended a subscription without its result";
            observer.broken(BreachAt::new(GRACEFUL, end, text).also(&[subscription.opened()]));
        }
    }
}
