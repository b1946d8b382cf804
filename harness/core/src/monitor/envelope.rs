//! The JSON-RPC envelope of everything that the server sends.

use std::collections::BTreeMap;

use serde_json::Value;

use super::conversation::{Conversation, Direction};
use super::http_exchange::HttpExchange;
use super::sse_stream::speaks_of_data;
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope, quoted};
use crate::jsonrpc::{Reading, Shape};
use crate::spec::requirement::Severity;
use crate::trace::{Channel, TransportKind};

pub(super) const MONITOR: Monitor = Monitor {
    name: "envelope",
    scope: Scope::Wire,
    over: EVERYWHERE,
    summary: "every message is a well-formed JSON-RPC 2.0 request, notification, result or error",
    requirements: &[
        "base-protocol/message-is-object",
        "base-protocol/jsonrpc-member",
        "base-protocol/message-kind-closed",
        "base-protocol/result-is-object",
        "base-protocol/response-result-xor-error",
        "base-protocol/error-code-integer",
        "base-protocol/error-message-string",
        "base-protocol/error-message-concise",
        "base-protocol/error-code-reserved-range",
        "base-protocol/server-notification-no-id",
        "base-protocol/server-params-object",
        "base-protocol/server-request-id-type",
        "base-protocol/server-request-id-unique",
        "base-protocol/batch-not-emitted",
    ],
    judge: observe,
};

/// Longest error message that counts as one short sentence, in characters.
const CONCISE: usize = 300;

/// Whether a JSON value is meant to be a message: an object with one of the members that only messages have, or an array of such.
pub(super) fn attempts_a_message(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Object(members)) => ["jsonrpc", "method", "result", "error"]
            .iter()
            .any(|name| members.contains_key(*name)),
        Some(Value::Array(items)) => items
            .iter()
            .any(|item| item.is_object() && attempts_a_message(Some(item))),
        _ => false,
    }
}

fn observe(conversation: &Conversation<'_>, context: &Context<'_>, observer: &mut Observer<'_>) {
    let mut request_ids: BTreeMap<(Option<&str>, String), usize> = BTreeMap::new();
    for frame in conversation
        .frames()
        .iter()
        .filter(|frame| frame.direction == Direction::FromServer)
    {
        let Reading::Complete(document) = &frame.reading else {
            // The data of stream events is judged with the streams.
            let streamable = conversation.transport() == TransportKind::StreamableHttp;
            let on_stream = matches!(frame.channel, Some(Channel::PostStream | Channel::GetStream));
            if frame.channel != Some(Channel::Stdout) && !(on_stream && speaks_of_data(context, streamable)) {
                unreadable(observer, frame.event, &frame.reading);
            }
            continue;
        };
        let Some(value) = &document.value else { continue };
        if frame.channel == Some(Channel::JsonBody)
            && !attempts_a_message(Some(value))
            && conversation.refused(frame.exchange)
        {
            continue; // The body of an HTTP error need not be a JSON-RPC message.
        }
        match (value, &document.shape) {
            (Value::Array(items), _) => {
                if context.revision.has_batches() && !items.is_empty() {
                    observer.kept("base-protocol/message-is-object", frame.event);
                } else {
                    let message = format!(
                        "the server sent an array, and revision {} has no batches",
                        context.revision
                    );
                    observer.broken(BreachAt::new("base-protocol/batch-not-emitted", frame.event, message));
                }
            }
            (Value::Object(_), _) => observer.kept("base-protocol/message-is-object", frame.event),
            _ if frame.channel == Some(Channel::Stdout) => {}
            _ => {
                let message = format!("{} is no JSON object", quoted(&value.to_string()));
                observer.broken(BreachAt::new("base-protocol/message-is-object", frame.event, message));
            }
        }
    }
    // Over HTTP one conversation may see several sessions, each with ids of its own.
    let exchanges = HttpExchange::all(conversation);
    let sessions: BTreeMap<usize, &str> = exchanges
        .iter()
        .filter_map(|exchange| Some((exchange, exchange.session()?)))
        .flat_map(|(exchange, session)| exchange.messages().map(move |frame| (frame.event, session)))
        .collect();
    for message in conversation
        .messages()
        .iter()
        .filter(|message| message.direction == Direction::FromServer)
    {
        if attempts_a_message(Some(message.value)) {
            judge_message(observer, message.value, message.event);
        }
        if let Shape::Request { id, method, .. } = message.shape
            && !method.starts_with("notifications/")
            && let Some(first) =
                request_ids.insert((sessions.get(&message.event).copied(), id.to_string()), message.event)
        {
            let text = format!("the server used the request id {} twice", quoted(&id.to_string()));
            observer
                .broken(BreachAt::new("base-protocol/server-request-id-unique", message.event, text).also(&[first]));
        }
    }
    for event in request_ids.values() {
        observer.kept("base-protocol/server-request-id-unique", *event);
    }
    if conversation
        .frames()
        .iter()
        .any(|frame| frame.direction == Direction::FromServer)
    {
        observer.kept("base-protocol/batch-not-emitted", conversation.frames()[0].event);
    }
}

/// A body or stream event that stands in the place of a message and is no JSON.
fn unreadable(observer: &mut Observer<'_>, event: usize, reading: &Reading) {
    let what = match reading {
        Reading::Invalid(fault) => fault.description.clone(),
        _ => "it ends too early".to_owned(),
    };
    let message = format!("what should be a message is not JSON: {what}");
    observer.broken(BreachAt::new("base-protocol/message-is-object", event, message));
}

fn judge_message(observer: &mut Observer<'_>, value: &Value, event: usize) {
    let Value::Object(members) = value else { return };
    match members.get("jsonrpc") {
        Some(Value::String(version)) if version == "2.0" => observer.kept("base-protocol/jsonrpc-member", event),
        Some(other) => {
            let message = format!("jsonrpc is {}, not \"2.0\"", quoted(&other.to_string()));
            observer.broken(BreachAt::new("base-protocol/jsonrpc-member", event, message));
        }
        None => observer.broken(BreachAt::new(
            "base-protocol/jsonrpc-member",
            event,
            "the message has no jsonrpc member",
        )),
    }
    let (method, result, error) = (members.get("method"), members.get("result"), members.get("error"));
    match (method, result, error) {
        (Some(_), None, None) => {
            observer.kept("base-protocol/message-kind-closed", event);
            judge_call(observer, members, event);
        }
        (None, Some(_), Some(_)) => {
            let message = "the response has both result and error; leave the unused one out, do not set it to null";
            observer.broken(BreachAt::new("base-protocol/response-result-xor-error", event, message));
        }
        (None, Some(result), None) => {
            observer.kept("base-protocol/message-kind-closed", event);
            observer.kept("base-protocol/response-result-xor-error", event);
            if result.is_object() {
                observer.kept("base-protocol/result-is-object", event);
            } else {
                let message = format!("the result is {}, not an object", quoted(&result.to_string()));
                observer.broken(BreachAt::new("base-protocol/result-is-object", event, message));
            }
        }
        (None, None, Some(error)) => {
            observer.kept("base-protocol/message-kind-closed", event);
            observer.kept("base-protocol/response-result-xor-error", event);
            judge_error(observer, error, event);
        }
        (Some(_), ..) => {
            let message = "a message has method together with result or error; it must be one kind of message";
            observer.broken(BreachAt::new("base-protocol/message-kind-closed", event, message));
        }
        (None, None, None) => {
            let message = "a message has neither method nor result nor error";
            observer.broken(BreachAt::new("base-protocol/message-kind-closed", event, message));
        }
    }
}

/// A request or notification of the server.
fn judge_call(observer: &mut Observer<'_>, members: &serde_json::Map<String, Value>, event: usize) {
    let method = members.get("method").and_then(Value::as_str);
    if let Some(params) = members.get("params") {
        if params.is_object() {
            observer.kept("base-protocol/server-params-object", event);
        } else {
            let message = format!("params is {}, not an object", quoted(&params.to_string()));
            observer.broken(BreachAt::new("base-protocol/server-params-object", event, message));
        }
    }
    let notification = method.is_some_and(|method| method.starts_with("notifications/"));
    match (notification, members.get("id")) {
        (true, None) => observer.kept("base-protocol/server-notification-no-id", event),
        (true, Some(id)) => {
            let message = format!(
                "the notification has the id {}; notifications have none, not even null",
                quoted(&id.to_string())
            );
            observer.broken(BreachAt::new("base-protocol/server-notification-no-id", event, message));
        }
        (false, Some(id)) if id.is_string() || id.is_i64() || id.is_u64() => {
            observer.kept("base-protocol/server-request-id-type", event)
        }
        (false, Some(id)) => {
            let message = format!(
                "a request of the server has the id {}; it must be a string or an integer",
                quoted(&id.to_string())
            );
            observer.broken(BreachAt::new("base-protocol/server-request-id-type", event, message));
        }
        (false, None) => {}
    }
}

fn judge_error(observer: &mut Observer<'_>, error: &Value, event: usize) {
    match error.get("code") {
        Some(Value::Number(code)) if code.is_i64() || code.as_f64().is_some_and(|code| code.fract() == 0.0) => {
            observer.kept("base-protocol/error-code-integer", event);
            let code = code.as_i64().unwrap_or_default();
            let defined = [-32700, -32600, -32601, -32602, -32603].contains(&code) || (-32099..=-32000).contains(&code);
            if defined || !(-32768..=-32000).contains(&code) {
                observer.kept("base-protocol/error-code-reserved-range", event);
            } else {
                let message = format!("error code {code} is reserved by JSON-RPC and means nothing");
                observer.broken(BreachAt::new("base-protocol/error-code-reserved-range", event, message));
            }
        }
        found => {
            let found = found.map_or_else(|| "missing".to_owned(), |code| quoted(&code.to_string()));
            observer.broken(BreachAt::new(
                "base-protocol/error-code-integer",
                event,
                format!("error.code is {found}, not an integer"),
            ));
        }
    }
    match error.get("message") {
        Some(Value::String(text)) => {
            observer.kept("base-protocol/error-message-string", event);
            if text.chars().count() <= CONCISE && !text.contains('\n') {
                observer.kept("base-protocol/error-message-concise", event);
            } else {
                let message = "the error message is no single short sentence";
                observer.broken(
                    BreachAt::new("base-protocol/error-message-concise", event, message).at_most(Severity::Info),
                );
            }
        }
        found => {
            let found = found.map_or_else(|| "missing".to_owned(), |text| quoted(&text.to_string()));
            observer.broken(BreachAt::new(
                "base-protocol/error-message-string",
                event,
                format!("error.message is {found}, not a string"),
            ));
        }
    }
}
