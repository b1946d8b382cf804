//! Tasks of 2025-11-25: how they begin, change and end, and what the requests about them are answered with.
//!
//! Every place where a server tells of a task is a sighting: the answer to the call that began it, `tasks/get`, `tasks/list`, `tasks/cancel` and
//! the status notification. Two sightings are compared only where the request for the later one was sent after the earlier one had arrived:
//! answers to requests in flight together may be told in any order.

mod identity;
mod lifecycle;
mod listing;
mod progress;
mod questions;
mod requests;
#[cfg(test)]
mod tests;

pub(super) use identity::variation;

use serde_json::Value;

use super::conversation::{Conversation, Direction, Message};
use super::exchange::Exchange;
use super::{Context, EVERYWHERE, Monitor, Observer, Scope};
use crate::case::expectation::lookup;
use crate::jsonrpc::Shape;

pub(super) const MONITOR: Monitor = Monitor {
    name: "task",
    scope: Scope::Stateful,
    over: EVERYWHERE,
    summary: "tasks begin as working, change only as they may, and are told of consistently; their results wait for the end",
    requirements: &[
        "tasks/capability-declared",
        "tasks/create-prompt",
        "tasks/created-at",
        "tasks/last-updated-at",
        "tasks/ttl-in-get",
        "tasks/get-shape",
        "tasks/id-unique",
        "tasks/id-entropy",
        "tasks/initial-status",
        "tasks/valid-transitions",
        "tasks/terminal-is-final",
        "tasks/poll-interval",
        "tasks/result-blocks",
        "tasks/result-repeatable",
        "tasks/result-related-task",
        "tasks/result-error-passthrough",
        "tasks/result-cancelled",
        "tasks/failed-on-is-error",
        "tasks/failed-status-message",
        "tasks/error-messages",
        "tasks/related-messages",
        "tasks/related-absent",
        "tasks/status-notification-shape",
        "tasks/status-notification-no-related",
        "tasks/list-paginated",
        "tasks/list-next-cursor",
        "tasks/list-complete",
        "tasks/list-needs-identity",
        "tasks/cancel-result",
        "tasks/cancel-terminal",
        "tasks/cancel-sticky",
        "tasks/cancel-stops-work",
        "tasks/input-required-status",
        "tasks/input-required-left",
        "progress/task-token-continues",
        "progress/task-stops-at-terminal",
        "tasks/no-sse-for-get",
        "tasks/server-as-requestor",
    ],
    judge: observe,
};

/// The member of `_meta` that says to which task a message belongs.
const RELATED: &str = "io.modelcontextprotocol/related-task";

/// Where a task was told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Call,
    Get,
    List,
    Cancel,
    Notification,
}

/// One telling of a task.
#[derive(Clone, Copy)]
struct Sighting<'a> {
    source: Source,
    id: &'a str,
    task: &'a Value,
    status: &'a str,
    /// The request that it answers; notifications answer none.
    asked: Option<&'a Message<'a>>,
    /// The event that brought it.
    at: usize,
}

impl Sighting<'_> {
    fn is_over(&self) -> bool {
        matches!(self.status, "completed" | "failed" | "cancelled")
    }

    /// Whether the status is one that the specification knows; the schema judges those that it does not know.
    fn has_known_status(&self) -> bool {
        self.is_over() || matches!(self.status, "working" | "input_required")
    }
}

/// What the rules look at.
struct View<'a> {
    conversation: &'a Conversation<'a>,
    messages: &'a [Message<'a>],
    exchanges: &'a [Exchange<'a>],
    /// All sightings, in the order of their arrival.
    sightings: Vec<Sighting<'a>>,
    /// The capabilities of client and server, and the event that brought the latter.
    handshake: Option<(&'a Value, &'a Value, usize)>,
}

impl<'a> View<'a> {
    fn declares(&self, path: &str) -> Option<bool> {
        let (_, server, _) = self.handshake?;
        Some(lookup(server, path).is_some_and(|flag| *flag != Value::Bool(false)))
    }

    fn of<'v>(&'v self, id: &'v str) -> impl DoubleEndedIterator<Item = &'v Sighting<'a>> {
        self.sightings.iter().filter(move |sighting| sighting.id == id)
    }

    /// The last that was known of a task before an event. One that is said to be over when it begins is not: that has a rule of its own.
    fn known<'v>(&'v self, id: &'v str, before: usize) -> Option<&'v Sighting<'a>> {
        self.of(id)
            .filter(|sighting| sighting.source != Source::Call || !sighting.is_over())
            .rfind(|sighting| sighting.at < before)
    }

    /// What the first `tasks/get` that was sent after an event says.
    fn asked_after<'v>(&'v self, id: &'v str, event: usize) -> Option<&'v Sighting<'a>> {
        let asked_later = |sighting: &&Sighting<'_>| sighting.asked.is_some_and(|request| request.event > event);
        self.of(id)
            .filter(|sighting| sighting.source == Source::Get)
            .find(asked_later)
    }

    /// The exchanges of a method that were answered: the request, the task that it names, and the answer.
    fn answered(&self, method: &'static str) -> impl Iterator<Item = (&'a Message<'a>, &'a str, &'a Message<'a>)> {
        self.exchanges
            .iter()
            .filter(move |exchange| exchange.method == method)
            .filter_map(|exchange| {
                let id = exchange.request.value.pointer("/params/taskId")?.as_str()?;
                Some((exchange.request, id, exchange.answers.first()?.message))
            })
    }

    /// For how long, in milliseconds, the answer to a request was missing when one that was sent after it was answered already. Mere time shows
    /// nothing: the machine may be busy.
    fn overtaken(&self, request: usize, answer: usize) -> u64 {
        let others = self.exchanges.iter().filter(|other| other.request.event > request);
        let answered = others.filter_map(|other| Some(other.answers.first()?.message.event));
        let first = answered.filter(|other| *other < answer).min();
        first.map_or(0, |first| self.milliseconds(first, answer))
    }

    /// The time between two events, in milliseconds.
    fn milliseconds(&self, start: usize, end: usize) -> u64 {
        let at = |event: usize| {
            self.conversation
                .trace()
                .events
                .get(event)
                .map_or(0, |event| event.at_us)
        };
        at(end).saturating_sub(at(start)) / 1000
    }
}

/// What a message says in `_meta` about the task that it belongs to.
fn related(holder: &Value) -> Option<&Value> {
    holder.get("_meta")?.get(RELATED)
}

fn observe(conversation: &Conversation<'_>, context: &Context<'_>, observer: &mut Observer<'_>) {
    if context.schemas.task_result_definition("tools/call").is_none() {
        return; // The revision has no tasks.
    }
    let messages = conversation.messages();
    let (exchanges, _) = conversation.exchanges(&messages);
    let mut sightings: Vec<Sighting<'_>> = exchanges.iter().flat_map(told_by).collect();
    sightings.extend(messages.iter().filter_map(notified));
    sightings.sort_by_key(|sighting| sighting.at);
    let handshake = exchanges.iter().find_map(|exchange| {
        let answer = exchange.answers.first().filter(|_| exchange.method == "initialize")?;
        Some((
            exchange.request.value.pointer("/params/capabilities")?,
            answer.message.value.pointer("/result/capabilities")?,
            answer.message.event,
        ))
    });
    let view = View {
        conversation,
        messages: &messages,
        exchanges: &exchanges,
        sightings,
        handshake,
    };
    identity::observe(&view, observer);
    lifecycle::observe(&view, observer);
    progress::observe(&view, observer);
    questions::observe(&view, observer);
    requests::observe(&view, context, observer);
    listing::observe(&view, observer);
}

/// The tasks that an answer tells of.
fn told_by<'a>(exchange: &Exchange<'a>) -> Vec<Sighting<'a>> {
    let Some(answer) = exchange.answers.first() else {
        return Vec::new();
    };
    let Some(result) = answer.message.value.get("result") else {
        return Vec::new();
    };
    let (source, tasks): (Source, Vec<&Value>) = match exchange.method {
        "tools/call" if exchange.request.value.pointer("/params/task").is_some() => {
            (Source::Call, result.get("task").into_iter().collect())
        }
        "tasks/get" => (Source::Get, vec![result]),
        "tasks/cancel" => (Source::Cancel, vec![result]),
        "tasks/list" => {
            let tasks = result.get("tasks").and_then(Value::as_array);
            (Source::List, tasks.into_iter().flatten().collect())
        }
        _ => return Vec::new(),
    };
    let sightings = tasks.into_iter().filter_map(|task| {
        Some(Sighting {
            asked: Some(exchange.request),
            ..sighting(source, task, answer.message.event)?
        })
    });
    sightings.collect()
}

/// The task that a notification tells of.
fn notified<'a>(message: &'a Message<'a>) -> Option<Sighting<'a>> {
    match message.shape {
        Shape::Notification { method, .. }
            if method == "notifications/tasks/status" && message.direction == Direction::FromServer =>
        {
            sighting(Source::Notification, message.value.get("params")?, message.event)
        }
        _ => None,
    }
}

/// A telling of a task that has at least an id and a status.
fn sighting(source: Source, task: &Value, at: usize) -> Option<Sighting<'_>> {
    Some(Sighting {
        source,
        id: task.get("taskId")?.as_str()?,
        task,
        status: task.get("status")?.as_str()?,
        asked: None,
        at,
    })
}
