//! What the requests about tasks are answered with, given what is known of the task.

use serde_json::Value;

use super::super::conversation::Message;
use super::super::{BreachAt, Context, Observer, quoted, schema};
use super::{Source, View, questions, related};
use crate::spec::requirement::Severity;
use crate::trace::{Channel, TransportKind};

/// How much later than the answer to a later request an answer may come that is owed at once, in milliseconds.
const AT_ONCE: u64 = 900;
/// How long it may take whatever else happened.
const VERY_LATE: u64 = 5_000;

pub(super) fn observe(view: &View<'_>, context: &Context<'_>, observer: &mut Observer<'_>) {
    errors(view, observer);
    unrelated(view, observer);
    gets(view, observer);
    let mut results: Vec<(&str, &Message<'_>)> = Vec::new();
    for (request, id, answer) in view.answered("tasks/result") {
        waited_for(view, observer, request, id, answer);
        ended(view, observer, request, id, answer);
        let Some(result) = answer.value.get("result") else {
            continue;
        };
        payload(view, context, observer, id, answer, result);
        match results.iter().find(|(other, _)| *other == id) {
            None => results.push((id, answer)),
            Some((_, first)) if first.value.get("result") == Some(result) => {
                observer.kept("tasks/result-repeatable", answer.event);
            }
            Some((_, first)) => {
                let message = "tasks/result gives another result when it is asked again";
                observer.broken(BreachAt::new("tasks/result-repeatable", answer.event, message).also(&[first.event]));
            }
        }
    }
    for (request, id, answer) in view.answered("tasks/cancel") {
        cancelled(view, observer, request, id, answer);
    }
}

/// Errors of all methods of tasks say what is wrong.
fn errors(view: &View<'_>, observer: &mut Observer<'_>) {
    for exchange in view
        .exchanges
        .iter()
        .filter(|exchange| exchange.method.starts_with("tasks/"))
    {
        let Some(answer) = exchange.answers.first() else {
            continue;
        };
        let Some(text) = answer.message.value.pointer("/error/message").and_then(Value::as_str) else {
            continue;
        };
        if text.trim().is_empty() {
            let message = format!("the error of {} says nothing", exchange.method);
            let breach = BreachAt::new("tasks/error-messages", answer.message.event, message);
            observer.broken(breach.about(exchange.method));
        } else {
            observer.kept("tasks/error-messages", answer.message.event);
        }
    }
}

/// Results that name their tasks themselves have no related-task metadata.
fn unrelated(view: &View<'_>, observer: &mut Observer<'_>) {
    for exchange in view.exchanges {
        let Some(answer) = exchange.answers.first() else {
            continue;
        };
        let Some(result) = answer.message.value.get("result") else {
            continue;
        };
        if !matches!(exchange.method, "tasks/get" | "tasks/list" | "tasks/cancel") {
            continue;
        }
        if related(result).is_some() {
            let message = format!("the result of {} has related-task metadata", exchange.method);
            let breach = BreachAt::new("tasks/related-absent", answer.message.event, message);
            observer.broken(breach.about(exchange.method));
        } else {
            observer.kept("tasks/related-absent", answer.message.event);
        }
    }
}

fn gets(view: &View<'_>, observer: &mut Observer<'_>) {
    let channel = |message: &Message<'_>| view.conversation.frames()[message.frame].channel;
    let answers = view.exchanges.iter().filter_map(|exchange| exchange.answers.first());
    let knows_json = answers
        .into_iter()
        .any(|answer| channel(answer.message) == Some(Channel::JsonBody));
    for (request, id, answer) in view.answered("tasks/get") {
        let told = answer.value.pointer("/result/taskId").and_then(Value::as_str);
        let misled = request.value.get("params").and_then(related).is_some();
        if let Some(told) = told.filter(|told| *told != id && !misled) {
            let message = format!("tasks/get was asked for {} and tells of {}", quoted(id), quoted(told));
            observer.broken(BreachAt::new("tasks/get-shape", answer.event, message).also(&[request.event]));
        }
        if view.conversation.transport() != TransportKind::StreamableHttp {
            continue;
        }
        match channel(answer) {
            Some(Channel::JsonBody) => observer.kept("tasks/no-sse-for-get", answer.event),
            Some(Channel::PostStream) => {
                let message = "tasks/get was answered with an event stream";
                // A server that answers everything with a stream has no choice.
                let at_most = if knows_json { Severity::Warn } else { Severity::Info };
                observer.broken(BreachAt::new("tasks/no-sse-for-get", answer.event, message).at_most(at_most));
            }
            _ => {}
        }
    }
}

/// Whether the result came when the task was over, and not before.
fn waited_for(view: &View<'_>, observer: &mut Observer<'_>, request: &Message<'_>, id: &str, answer: &Message<'_>) {
    if let Some(before) = view.known(id, request.event).filter(|before| before.is_over()) {
        if before.status == "cancelled" {
            let waited = view.milliseconds(request.event, answer.event);
            if view.overtaken(request.event, answer.event) < AT_ONCE && waited < VERY_LATE {
                observer.kept("tasks/result-cancelled", answer.event);
            } else {
                let message = format!("tasks/result of a cancelled task was answered only after {waited} ms");
                let breach = BreachAt::new("tasks/result-cancelled", answer.event, message);
                observer.broken(breach.also(&[request.event, before.at]).at_most(Severity::Warn));
            }
        }
        return;
    }
    let Some(next) = view.asked_after(id, answer.event) else {
        return;
    };
    if next.status == "input_required" && questions::explains(view, id, answer.event) {
        return; // The task should have left that status, which is a rule of its own.
    }
    if !next.is_over() && next.has_known_status() {
        let message = format!(
            "tasks/result was answered although the task is still {} afterwards",
            next.status
        );
        observer.broken(BreachAt::new("tasks/result-blocks", answer.event, message).also(&[request.event, next.at]));
        return;
    }
    let meanwhile = view.of(id).any(|sighting| {
        let asked_meanwhile = sighting.asked.is_some_and(|asked| asked.event > request.event);
        sighting.source == Source::Get && asked_meanwhile && sighting.at < answer.event && !sighting.is_over()
    });
    if meanwhile {
        observer.kept("tasks/result-blocks", answer.event);
    }
}

/// Whether the result fits the status with which the task has ended.
fn ended(view: &View<'_>, observer: &mut Observer<'_>, request: &Message<'_>, id: &str, answer: &Message<'_>) {
    let before = view.known(id, request.event).filter(|before| before.is_over());
    let Some(end) = before.or_else(|| view.asked_after(id, answer.event)) else {
        return;
    };
    let failed_tool = answer.value.pointer("/result/isError") == Some(&Value::Bool(true));
    let is_error = answer.value.get("error").is_some();
    match end.status {
        // Nothing says what tasks/result gives here; what a tool gives at its end shows that it went on to its end.
        "cancelled" if !failed_tool && !is_error => {
            if let Some(cancelled) = cancelled_at_work(view, id).filter(|cancelled| *cancelled < request.event) {
                let message = "the task was cancelled at work, and yet tasks/result gives a result as of finished work";
                let breach = BreachAt::new("tasks/cancel-stops-work", answer.event, message);
                observer.broken(breach.also(&[cancelled]).at_most(Severity::Warn));
            }
        }
        "completed" if failed_tool => {
            let message = "the result of the tool says isError, but the task is completed, not failed";
            observer.broken(BreachAt::new("tasks/failed-on-is-error", end.at, message).also(&[answer.event]));
        }
        "failed" if failed_tool => observer.kept("tasks/failed-on-is-error", end.at),
        "failed" if is_error => observer.kept("tasks/result-error-passthrough", answer.event),
        "failed" => {
            let message = "the task has failed, but tasks/result gives neither an error nor a result that says isError";
            let breach = BreachAt::new("tasks/result-error-passthrough", answer.event, message);
            observer.broken(breach.also(&[end.at]).at_most(Severity::Warn));
        }
        _ => {}
    }
}

/// The answer to the request that cancelled a task of which it was known that it was at work.
fn cancelled_at_work(view: &View<'_>, id: &str) -> Option<usize> {
    let first = view.of(id).find(|told| told.status == "cancelled")?;
    let asked = first.asked.filter(|_| first.source == Source::Cancel)?;
    let before = view.known(id, asked.event)?;
    (!before.is_over()).then_some(first.at)
}

/// The result itself: that of a tool call, with the id of the task beside it.
fn payload(
    view: &View<'_>,
    context: &Context<'_>,
    observer: &mut Observer<'_>,
    id: &str,
    answer: &Message<'_>,
    result: &Value,
) {
    let named = related(result).and_then(|related| related.get("taskId")?.as_str());
    if let Some(other) = named.filter(|named| *named != id) {
        let message = format!("tasks/result of {} names {} as related task", quoted(id), quoted(other));
        observer.broken(BreachAt::new("tasks/result-related-task", answer.event, message));
    } else if named.is_some() {
        observer.kept("tasks/result-related-task", answer.event);
    }
    let of_a_tool = view.of(id).any(|sighting| sighting.source == Source::Call);
    let definition = context.schemas.result_definition("tools/call");
    if let Some(definition) = definition.filter(|_| of_a_tool && result.is_object()) {
        let checked = context.schemas.check(definition, result);
        let whole = schema::Whole {
            value: result,
            place: "the result of tasks/result",
            method: "tasks/result",
            general: schema::GENERAL,
        };
        schema::report(observer, context, checked, &whole, answer.event);
    }
}

fn cancelled(view: &View<'_>, observer: &mut Observer<'_>, request: &Message<'_>, id: &str, answer: &Message<'_>) {
    if view.declares("tasks.cancel") == Some(false) {
        return;
    }
    let Some(before) = view.known(id, request.event) else {
        return;
    };
    let code = answer.value.pointer("/error/code").and_then(Value::as_i64);
    let result = answer.value.get("result");
    let events = [request.event, before.at];
    match (before.is_over(), code, result) {
        (true, Some(-32602), _) => observer.kept("tasks/cancel-terminal", answer.event),
        (true, Some(code), _) => {
            let message = format!("cancelling a task that is over is refused with {code}, not with -32602");
            observer.broken(BreachAt::new("tasks/cancel-terminal", answer.event, message).also(&events));
        }
        (true, None, Some(_)) => {
            let message = format!("a task that is {} already could be cancelled", before.status);
            observer.broken(BreachAt::new("tasks/cancel-terminal", answer.event, message).also(&events));
        }
        (false, None, Some(result)) => {
            let (told, status) = (result.get("taskId"), result.get("status").and_then(Value::as_str));
            if told.and_then(Value::as_str).is_some_and(|told| told != id) {
                let message = "tasks/cancel tells of another task than it was asked to cancel";
                observer.broken(BreachAt::new("tasks/cancel-result", answer.event, message).also(&events));
            } else if status == Some("cancelled") {
                observer.kept("tasks/cancel-result", answer.event);
            } else if let Some(status) = status {
                let message = format!("tasks/cancel was answered with a task that is {}", quoted(status));
                observer.broken(BreachAt::new("tasks/cancel-result", answer.event, message).also(&events));
            }
        }
        (false, Some(code), _) => {
            let next = view.asked_after(id, answer.event);
            if let Some(next) = next.filter(|next| !next.is_over() && next.has_known_status()) {
                let message = format!("cancelling a task that is {} was refused with {code}", next.status);
                observer.broken(BreachAt::new("tasks/cancel-result", answer.event, message).also(&[next.at]));
            }
        }
        _ => {}
    }
}
