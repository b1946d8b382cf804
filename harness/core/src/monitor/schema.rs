//! Results, notifications and requests of the server against the message schemas of the revision.

use serde_json::{Map, Value};

use super::conversation::{Conversation, Direction};
use super::{BreachAt, Context, Monitor, Observer};
use crate::case::expectation::lookup;
use crate::jsonrpc::Shape;
use crate::spec::requirement::Severity;
use crate::spec::schema::Checked;

pub(super) const MONITOR: Monitor = Monitor {
    name: "schema",
    summary: "every result, notification and server request has the members that the revision defines",
    requirements: &[
        "lifecycle/negotiated-version-respected",
        "base-protocol/server-method-vocabulary",
    ],
    judge: observe,
};

/// The rule that a schema breach falls under when its place names no other.
const GENERAL: &str = "lifecycle/negotiated-version-respected";

fn observe(conversation: &Conversation<'_>, context: &Context<'_>, observer: &mut Observer<'_>) {
    let messages = conversation.messages();
    let (exchanges, _) = conversation.exchanges(&messages);
    for exchange in &exchanges {
        let as_task = exchange.request.value.pointer("/params/task").is_some();
        for answer in &exchange.answers {
            if let Some(result) = answer.message.value.get("result").filter(|result| result.is_object()) {
                // A server that takes a request as a task answers with the task instead of the result.
                let task = context
                    .schemas
                    .task_result_definition(exchange.method)
                    .filter(|_| as_task && result.get("task").is_some());
                let Some(definition) = task.or_else(|| context.schemas.result_definition(exchange.method)) else {
                    continue;
                };
                let checked = context.schemas.check(definition, result);
                let place = format!("the result of {}", exchange.method);
                report(
                    observer,
                    context,
                    checked,
                    result,
                    &place,
                    exchange.method,
                    answer.message.event,
                );
            }
        }
    }
    let empty = Value::Object(Map::new());
    for message in messages
        .iter()
        .filter(|message| message.direction == Direction::FromServer)
    {
        // A notification with an id is still a notification; the envelope monitor reports the id.
        let (method, definition, kind) = match message.shape {
            Shape::Notification { method, .. } => {
                (method, context.schemas.notification_definition(method), "notification")
            }
            Shape::Request { method, .. } if method.starts_with("notifications/") => {
                (method, context.schemas.notification_definition(method), "notification")
            }
            Shape::Request { method, .. } => (method, context.schemas.server_request_definition(method), "request"),
            _ => continue,
        };
        let Some(definition) = definition else {
            stranger(observer, context, kind, method, message.event);
            continue;
        };
        observer.kept("base-protocol/server-method-vocabulary", message.event);
        let params = message.value.get("params").unwrap_or(&empty);
        if params.is_object() {
            report(
                observer,
                context,
                context.schemas.check(definition, params),
                params,
                &format!("the {kind} {method}"),
                method,
                message.event,
            );
        }
    }
}

/// Reports what is wrong with a value, each fault under the rule that it breaks.
pub(super) fn report(
    observer: &mut Observer<'_>,
    context: &Context<'_>,
    checked: Checked,
    value: &Value,
    place: &str,
    method: &str,
    event: usize,
) {
    for fault in &checked.faults {
        let requirement = fault.requirement.as_deref().unwrap_or(GENERAL);
        if super::resource::owns_scheme(requirement, value.pointer(&fault.pointer), context.revision) {
            continue; // The resource monitor says it better.
        }
        let about = owner(value, &fault.pointer).unwrap_or_else(|| method.to_owned());
        let message = format!("{place}, at {}: {}", general_pointer(&fault.pointer), fault.message);
        observer.broken(
            BreachAt::new(requirement, event, message)
                .about(&about)
                .at_most(fault.at_most),
        );
    }
    if checked.faults.is_empty() {
        observer.kept(GENERAL, event);
    }
    let broken: Vec<&str> = checked
        .faults
        .iter()
        .filter_map(|fault| fault.requirement.as_deref())
        .collect();
    for requirement in checked
        .exercised
        .iter()
        .filter(|requirement| !broken.contains(&requirement.as_str()))
    {
        observer.kept_by_data(requirement, event);
    }
}

/// The name of the list entry in which the pointer ends: the tool, prompt or resource that the fault is about.
fn owner(value: &Value, pointer: &str) -> Option<String> {
    let mut parts = pointer.split('/').skip(1);
    let (list, index) = (parts.next()?, parts.next()?);
    let entry = lookup(value, &format!("{list}.{index}"))?;
    ["name", "uri", "uriTemplate"]
        .iter()
        .find_map(|key| entry.get(*key)?.as_str())
        .map(str::to_owned)
}

/// A pointer with its positions in arrays replaced, so that the same fault in many entries reads the same.
fn general_pointer(pointer: &str) -> String {
    let part = |part: &str| {
        if part.chars().all(|c| c.is_ascii_digit()) && !part.is_empty() {
            "*".to_owned()
        } else {
            part.to_owned()
        }
    };
    let general = pointer.split('/').map(part).collect::<Vec<_>>().join("/");
    if general.is_empty() {
        "its root".to_owned()
    } else {
        general
    }
}

/// A method that servers do not send in this revision. One of another revision shows that the server does not speak the negotiated one;
/// nothing forbids a private notification, which a client passes over.
fn stranger(observer: &mut Observer<'_>, context: &Context<'_>, kind: &str, method: &str, event: usize) {
    if context.schemas.belongs_to_another_revision(method) {
        if super::capability::asks_for_capability(method) {
            return; // No client declares the capability in a revision without it, which the capability monitor reports.
        }
        let text = format!(
            "the {kind} `{method}` is one of another revision, not of {}",
            context.revision
        );
        observer.broken(BreachAt::new(GENERAL, event, text).about(method));
        return;
    }
    let text = format!(
        "the {kind} `{method}` is not among the methods that a server may send in {}",
        context.revision
    );
    let at_most = if kind == "notification" {
        Severity::Info
    } else {
        Severity::Fail
    };
    observer.broken(
        BreachAt::new("base-protocol/server-method-vocabulary", event, text)
            .about(method)
            .at_most(at_most),
    );
}
