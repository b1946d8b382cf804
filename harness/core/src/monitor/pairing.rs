//! Requests and answers: every request answered once, with its own id, and nothing answered that asks for nothing.

use serde_json::Value;

use super::conversation::{Conversation, Direction, Frame, Message};
use super::exchange::Exchange;
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope, quoted};
use crate::jsonrpc::{Document, IdKind, Reading, Shape};
use crate::spec::requirement::Severity;
use crate::trace::{EventKind, Intent, TransportKind};

pub(super) const MONITOR: Monitor = Monitor {
    name: "pairing",
    scope: Scope::Wire,
    over: EVERYWHERE,
    summary: "every request gets exactly one answer with its own id, notifications get none, and the server stays alive",
    requirements: &[
        "base-protocol/response-id-echo",
        "base-protocol/response-id-type",
        "base-protocol/string-id-supported",
        "base-protocol/integer-id-supported",
        "base-protocol/request-answered-once",
        "base-protocol/undetectable-id",
        "base-protocol/notification-no-response",
        "base-protocol/unknown-notification-silent",
        "base-protocol/malformed-notification-silent",
        "base-protocol/survives-garbage",
    ],
    judge: observe,
};

/// Responses to nothing that are judged of one trace: each is compared with everything before it.
const MOST_STRAYS: usize = 200;

fn observe(conversation: &Conversation<'_>, context: &Context<'_>, observer: &mut Observer<'_>) {
    let messages = conversation.messages();
    let (exchanges, strays) = conversation.exchanges(&messages);
    let mut deaths: Vec<usize> = Vec::new();
    for exchange in &exchanges {
        if !matches!(exchange.id.kind(), IdKind::String | IdKind::Integer) {
            continue; // No client may send such an id, and the specification does not say what becomes of it.
        }
        match exchange.answers.as_slice() {
            // A subscription is answered when it ends.
            [] if exchange.method == "subscriptions/listen" => {}
            [] => unanswered(conversation, observer, exchange, &mut deaths),
            [answer] => answered(observer, exchange, answer.message, answer.exact),
            [first, second, ..] => {
                answered(observer, exchange, first.message, first.exact);
                let message = format!("a request was answered {} times", exchange.answers.len());
                let breach = BreachAt::new("base-protocol/request-answered-once", second.message.event, message)
                    .about(exchange.method);
                observer.broken(breach.also(&[exchange.request.event, first.message.event]));
            }
        }
    }
    let mut replied: Vec<(&Message<'_>, &Message<'_>)> = Vec::new();
    for stray in strays
        .into_iter()
        .take(MOST_STRAYS)
        .filter(|stray| !refuses_batch(&messages, stray))
    {
        match answered_notification(conversation, &messages, stray, &replied) {
            Some(notification) => replied.push((notification, stray)),
            None => stray_response(conversation, observer, stray),
        }
    }
    answered_notifications(context, observer, &replied);
    silent_notifications(context, observer, &messages, &exchanges, &replied);
    survived(conversation, observer, &exchanges);
}

/// A request with an answer.
fn answered(observer: &mut Observer<'_>, exchange: &Exchange<'_>, answer: &Message<'_>, exact: bool) {
    let event = answer.event;
    if exchange.answers.len() == 1 {
        observer.kept("base-protocol/request-answered-once", event);
    }
    if exact {
        observer.kept("base-protocol/response-id-echo", event);
        observer.kept("base-protocol/response-id-type", event);
        let kind = if exchange.id.kind() == IdKind::String {
            "base-protocol/string-id-supported"
        } else {
            "base-protocol/integer-id-supported"
        };
        observer.kept(kind, event);
    } else {
        let found = answer.value.get("id").map(Value::to_string).unwrap_or_default();
        let message = format!(
            "the request had the id {}, its answer has {}",
            quoted(&exchange.id.to_string()),
            quoted(&found)
        );
        observer
            .broken(BreachAt::new("base-protocol/response-id-type", event, message).also(&[exchange.request.event]));
    }
}

/// A request without answer: was one due, and what became of the server?
fn unanswered(
    conversation: &Conversation<'_>,
    observer: &mut Observer<'_>,
    exchange: &Exchange<'_>,
    deaths: &mut Vec<usize>,
) {
    let request = exchange.request.event;
    let proper = conversation.frames()[exchange.request.frame].intent != Some(Intent::Broken);
    let end = conversation.end_after(request);
    // The wait may have ended before the server did.
    let gave_up = exchange
        .gave_up
        .filter(|gave_up| end.as_ref().is_none_or(|end| *gave_up < end.event));
    let (event, what) = match (end, gave_up) {
        // Whether a batch is answered is judged by the cases that send one.
        _ if exchange.cancelled || exchange.request.batched => return,
        (Some(end), None) if end.own_doing => return,
        (Some(end), None) => (end.event, end.description),
        (_, Some(event)) => {
            let waited = match &conversation.trace().events[event].kind {
                EventKind::GaveUp { waited_ms, .. } => *waited_ms,
                _ => 0,
            };
            (event, format!("no answer came within {waited} ms"))
        }
        (None, None) => match unreadable(conversation, exchange) {
            Some(found) => found,
            None => return,
        },
    };
    if conversation.illegal_at(request) {
        if proper && !deaths.contains(&event) {
            deaths.push(event);
            let message = format!(
                "after input that no client may send, {} was not answered: {what}",
                exchange.method
            );
            observer.not_survived(event, &[request], message);
        }
        return;
    }
    if deaths.contains(&event) {
        return; // One death, one finding.
    }
    deaths.push(event);
    // A server that dies of what it does not expect dies of many methods: one mistake. A tool that ends it is another one.
    let name = exchange.request.value.pointer("/params/name").and_then(Value::as_str);
    let tool = name.filter(|_| exchange.method == "tools/call");
    let (asked, about) = match tool {
        Some(tool) => ("the call of a tool", tool),
        None => ("a request", exchange.method),
    };
    let mut message = format!("{asked} got no answer: {what}");
    let mut at_most = Severity::Fail;
    // How long a tool may work is nowhere said, so that one that works on looks like one that has forgotten the call.
    if tool.is_some() && gave_up.is_some() {
        message.push_str("; a tool may work for longer");
        at_most = Severity::Warn;
    }
    let breach = BreachAt::new("base-protocol/request-answered-once", event, message).about(about);
    observer.broken(breach.at_most(at_most).also(&[request]));
}

/// The end of the HTTP exchange that should have brought the answer, when what came is no HTTP.
fn unreadable(conversation: &Conversation<'_>, exchange: &Exchange<'_>) -> Option<(usize, String)> {
    const SIGNS: [&str; 2] = ["is not valid HTTP/1.1", "response head is larger than"];
    let wanted = conversation.frames()[exchange.request.frame].exchange?;
    conversation
        .trace()
        .events
        .iter()
        .enumerate()
        .find_map(|(index, event)| match &event.kind {
            EventKind::HttpEnded {
                exchange,
                failure: Some(failure),
            } if *exchange == wanted && SIGNS.iter().any(|sign| failure.contains(sign)) => {
                Some((index, failure.clone()))
            }
            _ => None,
        })
}

/// The notification that a response which belongs to no request seems to answer.
///
/// Over HTTP the exchange tells. Over stdio it is the last message before it; a response without a usable id may also come later, and then
/// answers the last notification that has no answer yet.
fn answered_notification<'m>(
    conversation: &Conversation<'_>,
    messages: &'m [Message<'m>],
    stray: &Message<'_>,
    replied: &[(&Message<'_>, &Message<'_>)],
) -> Option<&'m Message<'m>> {
    let exchange = conversation.frames()[stray.frame].exchange;
    let has_id = stray.value.get("id").is_some_and(|id| !id.is_null());
    // On HTTP a refused notification may get an error body. It has no id then; an invented one is a mistake of the refusal, and no answer.
    if conversation.refused(exchange) {
        return None;
    }
    let mut before = messages
        .iter()
        .rev()
        .filter(|message| message.direction == Direction::ToServer && message.event < stray.event)
        .filter(|message| {
            conversation.transport() != TransportKind::StreamableHttp
                || conversation.frames()[message.frame].exchange == exchange
        })
        .take_while(|message| !unreadable_between(conversation, message.event.saturating_sub(1), stray.event));
    let is_free = |message: &&Message<'_>| {
        matches!(message.shape, Shape::Notification { .. })
            && !replied.iter().any(|(other, _)| other.event == message.event)
    };
    if has_id {
        before.next().filter(is_free)
    } else {
        before.find(is_free)
    }
}

/// Notifications that were answered. A server that answers ordinary ones answers all of them: that is one mistake.
fn answered_notifications(
    context: &Context<'_>,
    observer: &mut Observer<'_>,
    replied: &[(&Message<'_>, &Message<'_>)],
) {
    const GENERAL: &str = "base-protocol/notification-no-response";
    let ordinary = replied
        .iter()
        .any(|(notification, _)| notification_requirement(context, notification) == GENERAL);
    for (notification, response) in replied {
        let requirement = if ordinary {
            GENERAL
        } else {
            notification_requirement(context, notification)
        };
        let method = notification
            .value
            .get("method")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let message = "a notification was answered with a response; notifications get none, not even an error";
        let breach = BreachAt::new(requirement, response.event, message).about(method);
        observer.broken(breach.also(&[notification.event]));
    }
}

/// Whether an error without an id refuses a batch as a whole: the last message before it, liveness probes aside, was one. Whether a batch may be
/// refused is judged by the cases that send one.
fn refuses_batch(messages: &[Message<'_>], stray: &Message<'_>) -> bool {
    let without_id = stray.value.get("id").is_none_or(Value::is_null);
    let is_probe = |message: &Message<'_>| {
        let method = message.value.get("method").and_then(Value::as_str);
        !message.batched && matches!(method, Some("ping" | "server/discover"))
    };
    let before = messages
        .iter()
        .rev()
        .find(|message| message.direction == Direction::ToServer && message.event < stray.event && !is_probe(message));
    let is_error = matches!(stray.shape, Shape::ErrorResponse { .. });
    without_id && is_error && before.is_some_and(|message| message.batched)
}

/// A response that belongs to no request and no notification.
fn stray_response(conversation: &Conversation<'_>, observer: &mut Observer<'_>, stray: &Message<'_>) {
    let id = stray.value.get("id");
    let shown = id.map_or_else(|| "no id".to_owned(), |id| format!("id {}", quoted(&id.to_string())));
    let is_error = matches!(stray.shape, Shape::ErrorResponse { .. });
    let refused = conversation.refused(conversation.frames()[stray.frame].exchange);
    if conversation.illegal_at(stray.event) || conversation.broken_sent_before(stray.event) || refused {
        match id {
            Some(id) if was_sent(conversation, stray.event, id) => {}
            None | Some(Value::Null) if is_error => observer.kept("base-protocol/undetectable-id", stray.event),
            _ => {
                let message = format!(
                    "the answer to input without an id that can be read has {shown}; it must be null or left out"
                );
                observer.broken(
                    BreachAt::new("base-protocol/undetectable-id", stray.event, message).at_most(Severity::Info),
                );
            }
        }
    } else {
        let message = format!("a response with {shown} answers no request");
        observer.broken(BreachAt::new("base-protocol/response-id-echo", stray.event, message));
    }
}

/// Whether something with that id was sent before, though it was no request: then the id could be read.
fn was_sent(conversation: &Conversation<'_>, before: usize, id: &Value) -> bool {
    let mut sent = conversation
        .frames()
        .iter()
        .filter(|frame| frame.direction == Direction::ToServer && frame.event < before);
    let token = id.to_string();
    let readable = |frame: &Frame| match &frame.reading {
        // The id of a request, which has its own answer, would be an older one.
        Reading::Complete(Document {
            value: Some(value),
            shape,
            ..
        }) => !matches!(shape, Shape::Request { .. }) && value.get("id") == Some(id),
        // Nested too deeply to be held as a value, but its id stands outside of that.
        Reading::Complete(Document {
            value: None,
            shape: Shape::Request { id: sent, .. },
            ..
        }) => sent.as_str() == token,
        _ => false,
    };
    !id.is_null() && sent.any(readable)
}

/// Which rule speaks of an answer to this notification.
fn notification_requirement(context: &Context<'_>, notification: &Message<'_>) -> &'static str {
    let method = notification
        .value
        .get("method")
        .and_then(Value::as_str)
        .unwrap_or_default();
    match context.schemas.client_notification_definition(method) {
        None => "base-protocol/unknown-notification-silent",
        Some(definition) => {
            let empty = Value::Object(serde_json::Map::new());
            let params = notification.value.get("params").unwrap_or(&empty);
            if context.schemas.check(definition, params).faults.is_empty() {
                "base-protocol/notification-no-response"
            } else {
                "base-protocol/malformed-notification-silent"
            }
        }
    }
}

/// Notifications that were followed by an answered request, so that an answer to them would have been seen.
fn silent_notifications(
    context: &Context<'_>,
    observer: &mut Observer<'_>,
    messages: &[Message<'_>],
    exchanges: &[Exchange<'_>],
    replied: &[(&Message<'_>, &Message<'_>)],
) {
    let last_answer = exchanges
        .iter()
        .flat_map(|exchange| &exchange.answers)
        .map(|answer| answer.message.event)
        .max();
    for message in messages {
        if message.direction == Direction::ToServer
            && matches!(message.shape, Shape::Notification { .. })
            && last_answer.is_some_and(|last| last > message.event)
            && !replied.iter().any(|(other, _)| other.event == message.event)
        {
            observer.kept(notification_requirement(context, message), message.event);
        }
    }
}

/// Illegal input after which a proper request was answered.
fn survived(conversation: &Conversation<'_>, observer: &mut Observer<'_>, exchanges: &[Exchange<'_>]) {
    for exchange in exchanges {
        let proper = conversation.frames()[exchange.request.frame].intent != Some(Intent::Broken);
        if let [answer, ..] = exchange.answers.as_slice()
            && proper
            && conversation.illegal_at(exchange.request.event)
            && conversation.broken_sent_before(exchange.request.event)
        {
            observer.kept("base-protocol/survives-garbage", answer.message.event);
        }
    }
}

/// Whether the harness sent something unreadable between two events.
fn unreadable_between(conversation: &Conversation<'_>, start: usize, end: usize) -> bool {
    conversation.frames().iter().any(|frame| {
        frame.direction == Direction::ToServer
            && frame.event > start
            && frame.event < end
            && frame.intent == Some(Intent::Broken)
    })
}
