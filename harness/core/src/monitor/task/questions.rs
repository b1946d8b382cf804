//! What a task asks the client: while it waits for the answer it is `input_required`, and then no longer.

use super::super::declared::{Asked, asked};
use super::super::{BreachAt, Observer};
use super::{Source, View, related};

/// The questions that say to which task they belong, with its id.
fn questions<'a>(view: &View<'a>) -> Vec<(&'a str, Asked<'a>)> {
    asked(view.messages)
        .into_iter()
        .filter_map(|asked| Some((related(asked.params)?.get("taskId")?.as_str()?, asked)))
        .collect()
}

pub(super) fn observe(view: &View<'_>, observer: &mut Observer<'_>) {
    let questions = questions(view);
    for (id, question) in &questions {
        let arrived = question.message.event;
        // Only what was asked after the question had come, and answered before the client has answered it.
        let meanwhile = view.of(id).filter(|told| {
            let asked_later = told.asked.is_some_and(|request| request.event > arrived);
            let answered = question.answered.is_some_and(|answered| answered < told.at);
            told.source == Source::Get && asked_later && !answered
        });
        for told in meanwhile {
            match told.status {
                "input_required" => observer.kept("tasks/input-required-status", told.at),
                "working" => {
                    let text = format!(
                        "the task waits for an answer to {}, but says that it is working",
                        question.method
                    );
                    observer.broken(BreachAt::new("tasks/input-required-status", told.at, text).also(&[arrived]));
                }
                _ => {}
            }
        }
    }
    for (_, id, answer) in view.answered("tasks/result") {
        let Some(last) = last_answered(&questions, id, answer.event) else {
            continue;
        };
        let Some(next) = view.asked_after(id, answer.event) else {
            continue;
        };
        if next.status != "input_required" {
            observer.kept("tasks/input-required-left", next.at);
        } else if stays(&questions, id, answer.event) {
            let text = "the client has answered, and there is a result, but the task is still input_required";
            observer.broken(BreachAt::new("tasks/input-required-left", next.at, text).also(&[last, answer.event]));
        }
    }
}

/// When the client answered a question of the task for the last time before an event.
fn last_answered(questions: &[(&str, Asked<'_>)], id: &str, before: usize) -> Option<usize> {
    let of_the_task = questions.iter().filter(|(task, _)| *task == id);
    of_the_task
        .filter_map(|(_, question)| question.answered)
        .filter(|answered| *answered < before)
        .max()
}

/// Whether a task that is told to be `input_required` after an event has no reason to be: the client has answered all that it was asked.
fn stays(questions: &[(&str, Asked<'_>)], id: &str, event: usize) -> bool {
    let mut of_the_task = questions.iter().filter(|(task, _)| *task == id);
    of_the_task.all(|(_, question)| question.answered.is_some_and(|answered| answered < event))
}

/// Whether a result that came while the task was `input_required` is a matter of that status alone.
pub(super) fn explains(view: &View<'_>, id: &str, event: usize) -> bool {
    let questions = questions(view);
    last_answered(&questions, id, event).is_some() && stays(&questions, id, event)
}
