//! Results, notifications and requests of the server against the message schemas of the revision.

use serde_json::{Map, Value};

use super::conversation::{Conversation, Direction};
use super::exchange::Exchange;
use super::stateless;
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope};
use crate::case::expectation::lookup;
use crate::jsonrpc::Shape;
use crate::revision::Era;
use crate::spec::requirement::Severity;
use crate::spec::schema::Checked;

pub(super) const MONITOR: Monitor = Monitor {
    name: "schema",
    scope: Scope::Either,
    over: EVERYWHERE,
    summary: "every result, notification and server request has the members that the revision defines",
    requirements: &[
        "lifecycle/negotiated-version-respected",
        "base-protocol/server-method-vocabulary",
        "schema/results-valid",
        "schema/notification-shapes",
        "client-features/no-elicitation-complete",
    ],
    judge: observe,
};

/// The rule that a schema breach falls under when its place names no other.
pub(super) const GENERAL: &str = "lifecycle/negotiated-version-respected";
/// The same in the stateless era, which has one for results and one for notifications.
const RESULTS: &str = "schema/results-valid";
const NOTIFICATIONS: &str = "schema/notification-shapes";

fn general(context: &Context<'_>, of_era: &'static str) -> &'static str {
    match context.revision.era() {
        Era::Stateful => GENERAL,
        Era::Stateless => of_era,
    }
}

fn observe(conversation: &Conversation<'_>, context: &Context<'_>, observer: &mut Observer<'_>) {
    let messages = conversation.messages();
    let (exchanges, _) = conversation.exchanges(&messages);
    for exchange in exchanges.iter().filter(|exchange| exchange.is_of(context.revision)) {
        for answer in &exchange.answers {
            if let Some(result) = answer.message.value.get("result").filter(|result| result.is_object()) {
                let Some(definition) = definition_of(context, exchange, result) else {
                    continue;
                };
                let checked = context.schemas.check(definition, result);
                let place = format!("the result of {}", exchange.method);
                let whole = Whole {
                    value: result,
                    place: &place,
                    method: exchange.method,
                    general: general(context, RESULTS),
                };
                report(observer, context, checked, &whole, answer.message.event);
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
            // Where a server may send no requests at all, that is the breach.
            Shape::Request { .. } if context.revision.era() == Era::Stateless => continue,
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
            let whole = Whole {
                value: params,
                place: &format!("the {kind} {method}"),
                method,
                general: general(context, NOTIFICATIONS),
            };
            let checked = context.schemas.check(definition, params);
            report(observer, context, checked, &whole, message.event);
        }
    }
}

/// The definition that a result must fit, which depends on what it says that it is. Of a kind that may not stand here there is none: that is the
/// breach of another rule.
fn definition_of<'c>(context: &Context<'c>, exchange: &Exchange<'_>, result: &Value) -> Option<&'c str> {
    let method = exchange.method;
    let schemas = context.schemas;
    if context.revision.era() == Era::Stateless {
        return match stateless::result_type(result) {
            Some("complete") | None => schemas.result_definition(method),
            Some("input_required") => schemas.input_result_definition(method),
            Some("task") => schemas.task_result_definition(method),
            Some(_) => None,
        };
    }
    // A server that takes a request as a task answers with the task instead of the result.
    let as_task = exchange.request.value.pointer("/params/task").is_some();
    let task = schemas
        .task_result_definition(method)
        .filter(|_| as_task && result.get("task").is_some());
    task.or_else(|| schemas.result_definition(method))
}

/// What was checked as a whole: a result or the params of a message.
pub(super) struct Whole<'a> {
    pub(super) value: &'a Value,
    /// What it is, in words.
    pub(super) place: &'a str,
    pub(super) method: &'a str,
    /// The rule that counts where a place names no other.
    pub(super) general: &'static str,
}

/// Reports what is wrong with a value, each fault under the rule that it breaks.
pub(super) fn report(
    observer: &mut Observer<'_>,
    context: &Context<'_>,
    checked: Checked,
    whole: &Whole<'_>,
    event: usize,
) {
    let Whole {
        value,
        place,
        method,
        general,
    } = *whole;
    for fault in &checked.faults {
        let requirement = fault.requirement.as_deref().unwrap_or(general);
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
        observer.kept(general, event);
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
        let requirement = match (context.revision.era(), method) {
            (Era::Stateful, _) => GENERAL,
            (Era::Stateless, "notifications/elicitation/complete") => "client-features/no-elicitation-complete",
            (Era::Stateless, _) => NOTIFICATIONS,
        };
        observer.broken(BreachAt::new(requirement, event, text).about(method));
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
