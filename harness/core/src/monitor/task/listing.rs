//! Walks over the list of tasks: everything that can be got is listed.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::{BreachAt, Observer};
use super::{Source, View};

/// A page with more tasks than this is no page.
const LONGEST_PAGE: usize = 100;

/// A walk in progress.
#[derive(Default)]
struct Walk<'a> {
    start: usize,
    pages: usize,
    ids: BTreeSet<&'a str>,
    next: Option<&'a str>,
}

pub(super) fn observe(view: &View<'_>, observer: &mut Observer<'_>) {
    let mut walk = Walk::default();
    for exchange in view.exchanges.iter().filter(|exchange| exchange.method == "tasks/list") {
        let cursor = exchange.request.value.pointer("/params/cursor").and_then(Value::as_str);
        match cursor {
            None => {
                walk = Walk {
                    start: exchange.request.event,
                    ..Walk::default()
                };
            }
            // A cursor that this walk did not just give out: a case tries something, no walk goes on.
            Some(cursor) if walk.next != Some(cursor) => continue,
            Some(_) => {}
        }
        let Some(answer) = exchange.answers.first() else {
            continue;
        };
        let Some(result) = answer.message.value.get("result") else {
            continue;
        };
        let Some(tasks) = result.get("tasks").and_then(Value::as_array) else {
            continue;
        };
        let event = answer.message.event;
        walk.pages += 1;
        walk.ids
            .extend(tasks.iter().filter_map(|task| task.get("taskId")?.as_str()));
        walk.next = result.get("nextCursor").and_then(Value::as_str);
        if walk.next.is_some() {
            observer.kept("tasks/list-paginated", event);
        } else if tasks.len() > LONGEST_PAGE {
            let message = format!("tasks/list gives {} tasks at once", tasks.len());
            observer.broken(BreachAt::new("tasks/list-paginated", event, message));
        }
        if result.get("nextCursor").is_none() {
            complete(view, observer, &walk, event);
        }
    }
}

/// A walk that has come to its end has shown all tasks that were there when it began and can still be got.
fn complete(view: &View<'_>, observer: &mut Observer<'_>, walk: &Walk<'_>, event: usize) {
    let begun = view
        .sightings
        .iter()
        .filter(|sighting| sighting.source == Source::Call && sighting.at < walk.start);
    // In the order in which they began; what is neither listed nor there any more says nothing.
    let listed = |id: &&str| walk.ids.contains(id);
    let there: Vec<&str> = begun
        .map(|sighting| sighting.id)
        .filter(|id| listed(id) || view.asked_after(id, event).is_some())
        .collect();
    if !there.iter().any(|id| view.asked_after(id, event).is_some()) {
        return;
    }
    let missing = there.iter().filter(|id| !listed(id)).count();
    if missing == 0 {
        observer.kept("tasks/list-complete", event);
        if walk.pages > 1 {
            observer.kept("tasks/list-next-cursor", event);
        }
        return;
    }
    // All that lack are the newest, or all are the oldest: the list was cut off, and a cursor is what lacks.
    let leading = there.iter().take_while(|id| listed(id)).count();
    let trailing = there.iter().rev().take_while(|id| listed(id)).count();
    let found = there.len() - missing;
    let cut_off = found > 0 && (leading == found || trailing == found);
    let (requirement, how) = if cut_off {
        ("tasks/list-next-cursor", "ends without nextCursor before")
    } else {
        ("tasks/list-complete", "leaves out")
    };
    let message = format!(
        "tasks/list {how} {missing} of {} tasks that tasks/get knows",
        there.len()
    );
    observer.broken(BreachAt::new(requirement, event, message));
}
