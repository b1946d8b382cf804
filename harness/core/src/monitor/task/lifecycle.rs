//! What one task says of itself over time.

use serde_json::Value;

use super::super::{BreachAt, Observer, quoted};
use super::{Sighting, Source, View, related};
use crate::case::expectation::lookup;
use crate::jsonrpc::Shape;
use crate::monitor::Direction;
use crate::spec::requirement::Severity;

/// A call that takes this long to be answered, with a task that is then over, was carried out first. In milliseconds.
const LATE: u64 = 1000;

pub(super) fn observe(view: &View<'_>, observer: &mut Observer<'_>) {
    for sighting in &view.sightings {
        match sighting.source {
            Source::Call => begun(view, observer, sighting),
            Source::Get => got(view, observer, sighting),
            Source::Notification => notified(view, observer, sighting),
            Source::List | Source::Cancel => {}
        }
        // A task that begins is not one that changes; that its id is new is judged elsewhere.
        if sighting.source != Source::Call {
            changed(view, observer, sighting);
        }
        times(view, observer, sighting);
        if let Some(interval) = sighting.task.get("pollInterval").and_then(Value::as_i64) {
            if interval > 0 {
                observer.kept("tasks/poll-interval", sighting.at);
            } else {
                let message = format!("pollInterval is {interval}; no client can ask that often");
                observer.broken(BreachAt::new("tasks/poll-interval", sighting.at, message));
            }
        }
    }
    requests_of_the_server(view, observer);
}

/// The answer to the call.
fn begun(view: &View<'_>, observer: &mut Observer<'_>, begun: &Sighting<'_>) {
    match begun.status {
        "working" => observer.kept("tasks/initial-status", begun.at),
        status if begun.has_known_status() => {
            let message = format!("a new task has the status {}; it begins as working", quoted(status));
            // A task that is over at once might be told as it is; one that nobody cancelled cannot be cancelled.
            let at_most = if status == "cancelled" {
                Severity::Fail
            } else {
                Severity::Warn
            };
            observer.broken(BreachAt::new("tasks/initial-status", begun.at, message).at_most(at_most));
        }
        _ => {}
    }
    let (Some(request), Some(next)) = (begun.asked, view.asked_after(begun.id, begun.at)) else {
        return;
    };
    let waited = view.milliseconds(request.event, begun.at);
    if !next.is_over() {
        observer.kept("tasks/create-prompt", begun.at);
    } else if waited >= LATE && next.status != "cancelled" {
        let message = format!("the call was answered with a task only after {waited} ms, when the work was done");
        observer.broken(BreachAt::new("tasks/create-prompt", begun.at, message).also(&[request.event, next.at]));
    }
}

fn got(view: &View<'_>, observer: &mut Observer<'_>, got: &Sighting<'_>) {
    if got.status == "failed" {
        let message = got.task.get("statusMessage").and_then(Value::as_str);
        if message.is_some_and(|message| !message.trim().is_empty()) {
            observer.kept("tasks/failed-status-message", got.at);
        } else if got.task.get("statusMessage").is_none_or(Value::is_string) {
            let message = "the task has failed, but no statusMessage says why";
            observer.broken(BreachAt::new("tasks/failed-status-message", got.at, message));
        }
    }
    let begun = view
        .of(got.id)
        .find(|sighting| sighting.source == Source::Call && sighting.at < got.at);
    if let Some((begun, [granted, told])) = begun.and_then(|begun| {
        let (granted, told) = (begun.task.get("ttl")?, got.task.get("ttl")?);
        Some((begun, [granted, told]))
    }) {
        if granted == told {
            observer.kept("tasks/ttl-in-get", got.at);
        } else {
            let message = format!("the ttl was {granted} when the task began, and is {told} in tasks/get");
            observer.broken(
                BreachAt::new("tasks/ttl-in-get", got.at, message)
                    .also(&[begun.at])
                    .at_most(Severity::Warn),
            );
        }
    }
}

fn notified(view: &View<'_>, observer: &mut Observer<'_>, told: &Sighting<'_>) {
    if related(told.task).is_some() {
        let message = "the status notification has related-task metadata beside the task itself";
        observer.broken(BreachAt::new("tasks/status-notification-no-related", told.at, message));
    } else {
        observer.kept("tasks/status-notification-no-related", told.at);
    }
    let elsewhere = |sighting: &Sighting<'_>| sighting.source != Source::Notification;
    if !view.of(told.id).any(elsewhere) && view.sightings.iter().any(elsewhere) && !calls_plainly(view, told.at) {
        let message = format!(
            "a status notification is about {}, which is no task of this client",
            quoted(told.id)
        );
        observer.broken(BreachAt::new("tasks/status-notification-shape", told.at, message).at_most(Severity::Warn));
    }
}

/// Whether a plain tool call was in flight: a server may carry that out as a task of its own as well.
fn calls_plainly(view: &View<'_>, event: usize) -> bool {
    view.exchanges.iter().any(|exchange| {
        let answered = exchange
            .answers
            .first()
            .is_some_and(|answer| answer.message.event < event);
        let plain = exchange.request.value.pointer("/params/task").is_none();
        exchange.method == "tools/call" && plain && exchange.request.event < event && !answered
    })
}

/// A status against the last one that was known when it was asked for.
fn changed(view: &View<'_>, observer: &mut Observer<'_>, now: &Sighting<'_>) {
    let Some(asked) = now.asked else { return };
    let Some(before) = view.known(now.id, asked.event).filter(|_| now.has_known_status()) else {
        return;
    };
    if now.source == Source::Cancel && before.is_over() {
        return; // What a cancellation of a finished task is answered with has a rule of its own.
    }
    let requirement = match before.status {
        "cancelled" => "tasks/cancel-sticky",
        _ if before.is_over() && now.is_over() => "tasks/terminal-is-final",
        _ => "tasks/valid-transitions",
    };
    if before.is_over() && before.status != now.status {
        let message = format!("the task was {} already, and is {} now", before.status, now.status);
        observer.broken(BreachAt::new(requirement, now.at, message).also(&[before.at]));
    } else if before.is_over() {
        observer.kept("tasks/terminal-is-final", now.at);
        if before.status == "cancelled" {
            observer.kept("tasks/cancel-sticky", now.at);
        }
    } else if before.status != now.status {
        observer.kept("tasks/valid-transitions", now.at);
    }
}

/// The times of a task: the creation stays, the last change comes after it and does not go back.
fn times(view: &View<'_>, observer: &mut Observer<'_>, now: &Sighting<'_>) {
    let (created, updated) = (time(now.task, "createdAt"), time(now.task, "lastUpdatedAt"));
    if let Some((created, updated)) = created
        .zip(updated)
        .filter(|(created, updated)| comparable(created, updated))
        && updated < created
    {
        let message = "lastUpdatedAt is before createdAt";
        observer.broken(BreachAt::new("tasks/last-updated-at", now.at, message).at_most(Severity::Warn));
        return;
    }
    let asked = now.asked.filter(|_| now.source != Source::Call);
    let Some(before) = asked.and_then(|asked| view.known(now.id, asked.event)) else {
        return;
    };
    if let Some((first, again)) = time(before.task, "createdAt").zip(created)
        && first != again
        && comparable(first, again)
    {
        let message = "createdAt has changed during the life of the task";
        let breach = BreachAt::new("tasks/created-at", now.at, message).at_most(Severity::Warn);
        observer.broken(breach.also(&[before.at]));
    }
    if let Some((first, again)) = time(before.task, "lastUpdatedAt").zip(updated)
        && again < first
        && comparable(first, again)
    {
        let message = "lastUpdatedAt has gone back";
        let breach = BreachAt::new("tasks/last-updated-at", now.at, message).at_most(Severity::Warn);
        observer.broken(breach.also(&[before.at]));
    }
}

fn time<'a>(task: &'a Value, member: &str) -> Option<&'a str> {
    task.get(member)?.as_str()
}

/// Whether two times are written alike, in UTC, so that their order is that of their texts.
fn comparable(one: &str, other: &str) -> bool {
    let written = |text: &str| {
        text.chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect::<String>()
    };
    one.starts_with(|c: char| c.is_ascii_digit()) && one.ends_with('Z') && written(one) == written(other)
}

/// A server asks for a task of its own only where the client has declared that it takes such requests.
fn requests_of_the_server(view: &View<'_>, observer: &mut Observer<'_>) {
    let Some((client, ..)) = view.handshake else { return };
    for message in view
        .messages
        .iter()
        .filter(|message| message.direction == Direction::FromServer)
    {
        let path = match message.shape {
            Shape::Request { method, .. } if method == "sampling/createMessage" => {
                "tasks.requests.sampling.createMessage"
            }
            Shape::Request { method, .. } if method == "elicitation/create" => "tasks.requests.elicitation.create",
            _ => continue,
        };
        if message.value.pointer("/params/task").is_some() && lookup(client, path).is_none() {
            let text = format!("the server asks for a task although the client does not declare {path}");
            observer.broken(BreachAt::new("tasks/server-as-requestor", message.event, text));
        } else {
            observer.kept("tasks/server-as-requestor", message.event);
        }
    }
}
