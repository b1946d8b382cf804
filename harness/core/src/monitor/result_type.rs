//! What kind of result an answer says that it is, and where that kind may stand.

use serde_json::Value;

use super::conversation::Conversation;
use super::declared::Declared;
use super::exchange::Exchange;
use super::stateless::{self, MAY_ASK, TASKS, UI};
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope, quoted};
use crate::revision::Era;
use crate::spec::requirement::Severity;

pub(super) const MONITOR: Monitor = Monitor {
    name: "result-type",
    scope: Scope::Stateless,
    over: EVERYWHERE,
    summary: "results are complete, or ask for input where they may, or begin a task that the client understands",
    requirements: &[
        "base-protocol/result-type-known",
        "mrtr/only-on-three-methods",
        "ext-tasks/advertised",
        "ext-tasks/only-tools-call",
        "ext-tasks/never-for-undeclared-client",
        "ext-tasks/result-type-task",
        "ext-tasks/result-type-task-nowhere-else",
        "ext-tasks/get-result-type-complete",
    ],
    judge: observe,
};

const KNOWN: &str = "base-protocol/result-type-known";

fn observe(conversation: &Conversation<'_>, context: &Context<'_>, observer: &mut Observer<'_>) {
    let messages = conversation.messages();
    let (exchanges, _) = conversation.exchanges(&messages);
    let declared = Declared::of(&exchanges, Era::Stateless);
    for exchange in exchanges.iter().filter(|exchange| exchange.is_of(context.revision)) {
        for answer in &exchange.answers {
            let Some(result) = answer.message.value.get("result").filter(|result| result.is_object()) else {
                continue;
            };
            // That it is there is judged by the schemas.
            let Some(kind) = stateless::result_type(result) else {
                continue;
            };
            let event = answer.message.event;
            match kind {
                "complete" => complete(observer, exchange, declared.as_ref(), result, event),
                "input_required" => asks(observer, exchange, event),
                "task" => task(observer, exchange, declared.as_ref(), event),
                other => unknown(observer, exchange, other, event),
            }
        }
    }
}

fn complete(
    observer: &mut Observer<'_>,
    exchange: &Exchange<'_>,
    declared: Option<&Declared<'_>>,
    result: &Value,
    event: usize,
) {
    observer.kept(KNOWN, event);
    let method = exchange.method;
    if !MAY_ASK.contains(&method) {
        observer.kept("mrtr/only-on-three-methods", event);
    }
    let has_tasks = declared.is_some_and(|declared| declared.advertises(TASKS));
    match method {
        "tools/call" if result.get("taskId").is_some() && result.get("content").is_none() => {
            let text = "a result that is the handle of a task says that it is complete";
            observer.broken(BreachAt::new("ext-tasks/result-type-task", event, text));
        }
        "tools/call" if has_tasks && !stateless::knows_extension(exchange.request.value, TASKS) => {
            observer.kept("ext-tasks/never-for-undeclared-client", event);
        }
        "tasks/get" | "tasks/update" | "tasks/cancel" => {
            observer.kept("ext-tasks/result-type-task-nowhere-else", event);
            observer.kept("ext-tasks/get-result-type-complete", event);
        }
        _ => {}
    }
    if has_tasks && method != "tools/call" && stateless::knows_extension(exchange.request.value, TASKS) {
        observer.kept("ext-tasks/only-tools-call", event);
    }
}

fn asks(observer: &mut Observer<'_>, exchange: &Exchange<'_>, event: usize) {
    let method = exchange.method;
    if MAY_ASK.contains(&method) {
        observer.kept(KNOWN, event);
        return;
    }
    let text = format!(
        "{method} was answered with input_required, which only tools/call, prompts/get and resources/read may be"
    );
    observer.broken(BreachAt::new("mrtr/only-on-three-methods", event, text).about(method));
}

fn task(observer: &mut Observer<'_>, exchange: &Exchange<'_>, declared: Option<&Declared<'_>>, event: usize) {
    let method = exchange.method;
    match method {
        "tools/call" if stateless::knows_extension(exchange.request.value, TASKS) => {
            observer.kept(KNOWN, event);
            observer.kept("ext-tasks/result-type-task", event);
            match declared {
                Some(declared) if !declared.advertises(TASKS) => {
                    let text =
                        "a call was answered with a task, and the server does not advertise the extension for tasks";
                    observer.broken(BreachAt::new("ext-tasks/advertised", event, text).also(&[declared.event]));
                }
                Some(_) => observer.kept("ext-tasks/advertised", event),
                None => {}
            }
        }
        "tools/call" => {
            let text = "a call was answered with a task, although its client does not declare the extension for tasks";
            let breach = BreachAt::new("ext-tasks/never-for-undeclared-client", event, text);
            observer.broken(breach.also(&[exchange.request.event]));
        }
        // Two examples of the extension have it so; its text and its schema do not.
        "tasks/get" => {
            let text = "tasks/get was answered with resultType task; only the call that begins a task is";
            observer.broken(BreachAt::new("ext-tasks/result-type-task-nowhere-else", event, text));
        }
        "tasks/update" | "tasks/cancel" => {
            let text = format!("{method} was answered with resultType task instead of complete");
            observer.broken(BreachAt::new("ext-tasks/get-result-type-complete", event, text).about(method));
        }
        _ => {
            let text = format!("{method} was answered with a task; only tools/call may be");
            observer.broken(BreachAt::new("ext-tasks/only-tools-call", event, text).about(method));
        }
    }
}

/// A kind of an extension is right where both sides know the extension; which ones define kinds cannot be known.
fn unknown(observer: &mut Observer<'_>, exchange: &Exchange<'_>, kind: &str, event: usize) {
    let extensions = stateless::capabilities(exchange.request.value)
        .and_then(|capabilities| capabilities.get("extensions")?.as_object());
    let foreign = extensions
        .into_iter()
        .flatten()
        .any(|(name, _)| ![TASKS, UI].contains(&name.as_str()));
    let text = format!(
        "resultType of {} is {}, which is neither complete nor input_required nor of an extension that the client declared",
        exchange.method,
        quoted(kind)
    );
    let at_most = if foreign { Severity::Info } else { Severity::Fail };
    observer.broken(
        BreachAt::new(KNOWN, event, text)
            .about(exchange.method)
            .at_most(at_most),
    );
}
