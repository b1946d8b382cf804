//! Progress of tasks: under the token of the call that began the task, with the task's id beside it, and over when the task is.

use serde_json::Value;

use super::super::conversation::{Direction, Message};
use super::super::declared::{RACE_US, at};
use super::super::{BreachAt, Observer, quoted};
use super::{Sighting, Source, View, related};
use crate::jsonrpc::Shape;
use crate::spec::requirement::Severity;
use crate::trace::TransportKind;

pub(super) fn observe(view: &View<'_>, observer: &mut Observer<'_>) {
    let reports: Vec<&Message<'_>> = view.messages.iter().filter(|message| is_progress(message)).collect();
    for begun in view.sightings.iter().filter(|sighting| sighting.source == Source::Call) {
        let token = begun
            .asked
            .and_then(|request| request.value.pointer("/params/_meta/progressToken"));
        let Some(token) = token else { continue };
        let later = reports.iter().copied().filter(|report| report.event > begun.at);
        let (own, foreign): (Vec<&Message<'_>>, Vec<&Message<'_>>) =
            later.partition(|report| report.value.pointer("/params/progressToken") == Some(token));
        for report in &own {
            observer.kept("progress/task-token-continues", report.event);
            if task_of(report) == Some(begun.id) {
                observer.kept("tasks/related-messages", report.event);
            } else {
                let text = "progress of a task has no related-task metadata that names the task";
                let breach = BreachAt::new("tasks/related-messages", report.event, text).at_most(Severity::Warn);
                // "All" messages of a task suggests that progress is meant too; it is not said.
                observer.broken(breach.also(&[begun.at]));
            }
        }
        for report in foreign.iter().filter(|report| task_of(report) == Some(begun.id)) {
            let found = report.value.pointer("/params/progressToken").unwrap_or(&Value::Null);
            let text = format!(
                "progress of the task comes under the token {}, the call that began it has {}",
                quoted(&found.to_string()),
                quoted(&token.to_string())
            );
            observer.broken(BreachAt::new("progress/task-token-continues", report.event, text).also(&[begun.at]));
        }
        ended(view, observer, begun, &own);
    }
}

fn is_progress(message: &Message<'_>) -> bool {
    message.direction == Direction::FromServer
        && matches!(message.shape, Shape::Notification { method, .. } if method == "notifications/progress")
}

/// The task that a report says it belongs to.
fn task_of<'a>(report: &Message<'a>) -> Option<&'a str> {
    related(report.value.get("params")?)?.get("taskId")?.as_str()
}

/// Nothing is reported of a task that was told to be over.
fn ended(view: &View<'_>, observer: &mut Observer<'_>, begun: &Sighting<'_>, reports: &[&Message<'_>]) {
    let over = view
        .of(begun.id)
        .find(|sighting| sighting.source != Source::Call && sighting.is_over());
    let (Some(over), Some(first)) = (over, reports.first()) else {
        return;
    };
    let frames = view.conversation.frames();
    let carried_by = |event: usize| frames.iter().find(|frame| frame.event == event)?.exchange;
    let age = |event: usize| at(view.conversation, event).saturating_sub(at(view.conversation, over.at));
    let late = reports.iter().find(|report| {
        let ordered = view.conversation.transport() != TransportKind::StreamableHttp
            || carried_by(report.event) == carried_by(over.at);
        // Between two streams there is no order, and what a cancellation stops may have been on its way.
        let crossed = !ordered || over.status == "cancelled";
        report.event > over.at && (!crossed || age(report.event) > RACE_US)
    });
    match late {
        Some(late) => {
            let text = format!("progress of the task came when it was {} already", over.status);
            observer.broken(BreachAt::new("progress/task-stops-at-terminal", late.event, text).also(&[over.at]));
        }
        None if first.event < over.at => observer.kept("progress/task-stops-at-terminal", over.at),
        None => {}
    }
    // That the work has stopped can be told only where it was seen to go on, for as long as the same work took another time.
    let outlived = view.sightings.iter().any(|other| {
        let after = other.at > over.at && other.is_over() && other.id != begun.id;
        after
            && view
                .of(other.id)
                .any(|sighting| sighting.source == Source::Call && sighting.at > begun.at)
    });
    if over.status == "cancelled" && late.is_none() && first.event < over.at && outlived {
        observer.kept("tasks/cancel-stops-work", over.at);
    }
}
