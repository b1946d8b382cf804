//! Tasks of the extension of 2026-07-28: a handle that can be used at once, states that tell everything, and an end that stays.
//!
//! Two answers to `tasks/get` are compared only where the request for the later one was sent after the earlier one had arrived.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::conversation::Conversation;
use super::exchange::Exchange;
use super::stateless::result_type;
use super::task::variation;
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope, quoted};
use crate::spec::requirement::Severity;
use crate::trace::EventKind;

pub(super) const MONITOR: Monitor = Monitor {
    name: "ext-task",
    scope: Scope::Stateless,
    over: EVERYWHERE,
    summary: "tasks of the extension can be asked about at once, do not change after their end, and repeat what they ask",
    requirements: &[
        "ext-tasks/durable-before-response",
        "ext-tasks/mrtr-before-task",
        "ext-tasks/terminal-is-final",
        "ext-tasks/get-idempotent",
        "ext-tasks/failed-status-message",
        "ext-tasks/input-keys-unique",
        "ext-tasks/id-entropy",
    ],
    judge: observe,
};

/// How many ids it takes to tell chance from a pattern.
const ENOUGH_IDS: usize = 4;
/// Ids that vary by less than this many bits are counted or timed ones. Random ids have 64 and more.
const FEWEST_BITS: f64 = 40.0;
/// What a server answers that does not know a task.
const UNKNOWN: i64 = -32602;

/// What was told of a task in answer to one request.
struct Sighting<'m> {
    asked: usize,
    at: usize,
    state: &'m Value,
    status: &'m str,
}

impl Sighting<'_> {
    fn is_over(&self) -> bool {
        matches!(self.status, "completed" | "failed" | "cancelled")
    }
}

fn observe(conversation: &Conversation<'_>, context: &Context<'_>, observer: &mut Observer<'_>) {
    let messages = conversation.messages();
    let (exchanges, _) = conversation.exchanges(&messages);
    let mut begun: BTreeMap<&str, usize> = BTreeMap::new();
    let mut told: BTreeMap<&str, Vec<Sighting<'_>>> = BTreeMap::new();
    for exchange in exchanges.iter().filter(|exchange| exchange.is_of(context.revision)) {
        let Some(answer) = exchange.answers.first().map(|answer| answer.message) else {
            continue;
        };
        let result = answer.value.get("result");
        match exchange.method {
            "tools/call" => {
                let handle = result.filter(|result| result_type(result) == Some("task"));
                if let Some(handle) = handle {
                    asked_first(observer, exchange, handle, answer.event);
                }
                if let Some(id) = handle.and_then(|handle| handle.get("taskId")?.as_str()) {
                    begun.entry(id).or_insert(answer.event);
                }
            }
            "tasks/get" => {
                let id = exchange.request.value.pointer("/params/taskId").and_then(Value::as_str);
                let (Some(id), Some(state)) = (id, result) else {
                    continue;
                };
                if let Some(status) = state.get("status").and_then(Value::as_str) {
                    told.entry(id).or_default().push(Sighting {
                        asked: exchange.request.event,
                        at: answer.event,
                        state,
                        status,
                    });
                }
            }
            _ => {}
        }
    }
    durable(observer, &begun, &exchanges);
    for sightings in told.values() {
        for sighting in sightings {
            explained(observer, sighting);
        }
        for later in sightings {
            let earlier = sightings.iter().rfind(|earlier| earlier.at < later.asked);
            if let Some(earlier) = earlier {
                compared(observer, &exchanges, earlier, later);
            }
        }
    }
    for (id, sightings) in &told {
        keys(observer, &exchanges, id, sightings);
    }
    guessed(conversation, observer, &begun);
}

/// Input that is needed to begin is asked for before there is a task. What a task that waits from its beginning needs it for cannot be seen.
fn asked_first(observer: &mut Observer<'_>, exchange: &Exchange<'_>, handle: &Value, event: usize) {
    const REQUIREMENT: &str = "ext-tasks/mrtr-before-task";
    let answered = exchange.request.value.pointer("/params/inputResponses").is_some();
    if answered {
        observer.kept(REQUIREMENT, event);
    } else if handle.get("status").and_then(Value::as_str) == Some("input_required") {
        let text = "a task waits for input from its beginning; what is needed to begin is asked for by the call itself";
        observer.broken(BreachAt::new(REQUIREMENT, event, text).at_most(Severity::Info));
    }
}

/// The first question about a task after its handle has arrived.
fn durable(observer: &mut Observer<'_>, begun: &BTreeMap<&str, usize>, exchanges: &[Exchange<'_>]) {
    const REQUIREMENT: &str = "ext-tasks/durable-before-response";
    for (id, handle) in begun {
        let first = exchanges.iter().find(|exchange| {
            exchange.method == "tasks/get"
                && exchange.request.event > *handle
                && exchange.request.value.pointer("/params/taskId").and_then(Value::as_str) == Some(*id)
        });
        let Some(answer) = first.and_then(|first| first.answers.first()) else {
            continue;
        };
        // One that was cancelled in between was known once.
        let cancelled = exchanges.iter().any(|exchange| {
            exchange.method == "tasks/cancel"
                && (*handle..answer.message.event).contains(&exchange.request.event)
                && exchange.request.value.pointer("/params/taskId").and_then(Value::as_str) == Some(*id)
                && exchange
                    .answers
                    .first()
                    .is_some_and(|answer| answer.message.value.get("result").is_some())
        });
        if cancelled {
            continue;
        }
        let event = answer.message.event;
        match answer.message.value.pointer("/error/code").and_then(Value::as_i64) {
            None => observer.kept(REQUIREMENT, event),
            Some(UNKNOWN) => {
                let text = "a task was not known to tasks/get right after its handle had been given out";
                observer.broken(BreachAt::new(REQUIREMENT, event, text).also(&[*handle]));
            }
            // A refusal for another reason says nothing.
            Some(_) => {}
        }
    }
}

fn explained(observer: &mut Observer<'_>, sighting: &Sighting<'_>) {
    const REQUIREMENT: &str = "ext-tasks/failed-status-message";
    if sighting.status != "failed" {
        return;
    }
    let text = sighting.state.get("statusMessage").and_then(Value::as_str);
    if text.is_some_and(|text| !text.trim().is_empty()) {
        observer.kept(REQUIREMENT, sighting.at);
    } else {
        let text = "a task failed, and no statusMessage says why";
        observer.broken(BreachAt::new(REQUIREMENT, sighting.at, text));
    }
}

/// Two states of one task, one after the other.
fn compared(observer: &mut Observer<'_>, exchanges: &[Exchange<'_>], earlier: &Sighting<'_>, later: &Sighting<'_>) {
    const FINAL: &str = "ext-tasks/terminal-is-final";
    const IDEMPOTENT: &str = "ext-tasks/get-idempotent";
    let also = [earlier.at];
    // What somebody else does in between may change what is told.
    let touched = exchanges.iter().any(|exchange| {
        matches!(exchange.method, "tasks/update" | "tasks/cancel")
            && exchange.request.event > earlier.asked
            && exchange.request.event < later.at
    });
    if earlier.is_over() {
        let outcome = |sighting: &Sighting<'_>| {
            (
                sighting.state.get("result").cloned(),
                sighting.state.get("error").cloned(),
            )
        };
        if earlier.status != later.status {
            let text = format!(
                "a task was {}, and is {} now",
                quoted(earlier.status),
                quoted(later.status)
            );
            observer.broken(BreachAt::new(FINAL, later.at, text).also(&also));
        } else if outcome(earlier) != outcome(later) {
            let text = "the outcome of a task that was over has changed";
            observer.broken(BreachAt::new(FINAL, later.at, text).also(&also));
        } else if !touched && earlier.state.get("lastUpdatedAt") != later.state.get("lastUpdatedAt") {
            observer.kept(FINAL, later.at);
            let text = "lastUpdatedAt of a task that was over has changed, although it was only looked at";
            observer.broken(BreachAt::new(IDEMPOTENT, later.at, text).also(&also));
        } else {
            observer.kept(FINAL, later.at);
            observer.kept(IDEMPOTENT, later.at);
        }
        return;
    }
    if touched || earlier.status != "input_required" || later.status != "input_required" {
        return;
    }
    let asked = |sighting: &Sighting<'_>| -> BTreeSet<String> {
        let requests = sighting.state.get("inputRequests").and_then(Value::as_object);
        requests.into_iter().flatten().map(|(key, _)| key.clone()).collect()
    };
    if asked(earlier).is_subset(&asked(later)) {
        observer.kept(IDEMPOTENT, later.at);
    } else {
        let text = "what a task asks for is gone after tasks/get had told of it, and nobody had answered";
        observer.broken(BreachAt::new(IDEMPOTENT, later.at, text).also(&also));
    }
}

/// A key stands for one question as long as a task lives.
fn keys(observer: &mut Observer<'_>, exchanges: &[Exchange<'_>], id: &str, sightings: &[Sighting<'_>]) {
    const REQUIREMENT: &str = "ext-tasks/input-keys-unique";
    let mut asked: BTreeMap<&str, (&Value, usize)> = BTreeMap::new();
    for sighting in sightings {
        let requests = sighting.state.get("inputRequests").and_then(Value::as_object);
        for (key, request) in requests.into_iter().flatten() {
            let Some((first, since)) = asked.get(key.as_str()) else {
                asked.insert(key, (request, sighting.at));
                observer.kept(REQUIREMENT, sighting.at);
                continue;
            };
            let answered = exchanges.iter().any(|exchange| {
                exchange.method == "tasks/update"
                    && exchange.request.event > *since
                    && exchange.request.event < sighting.asked
                    && exchange.request.value.pointer("/params/taskId").and_then(Value::as_str) == Some(id)
                    && exchange.request.value["params"]["inputResponses"].get(key).is_some()
            });
            if answered && *first != request {
                let text = format!(
                    "a task asks another question under the key {}, which was answered before",
                    quoted(key)
                );
                observer.broken(BreachAt::new(REQUIREMENT, sighting.at, text).also(&[*since]));
            }
        }
    }
}

fn guessed(conversation: &Conversation<'_>, observer: &mut Observer<'_>, begun: &BTreeMap<&str, usize>) {
    const REQUIREMENT: &str = "ext-tasks/id-entropy";
    let Some(last) = begun.values().copied().max().filter(|_| begun.len() >= ENOUGH_IDS) else {
        return;
    };
    let authorized = conversation.trace().events.iter().any(|event| match &event.kind {
        EventKind::HttpRequest { headers, .. } => headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("authorization")),
        _ => false,
    });
    let ids: Vec<&str> = begun.keys().copied().collect();
    let bits = variation(&ids);
    if bits >= FEWEST_BITS {
        observer.kept(REQUIREMENT, last);
    } else if !authorized {
        // Ids need not be secret where tasks are bound to whoever asks.
        let text = format!(
            "the ids of {} tasks vary by about {bits:.0} bits, so that they can be guessed; one is {}",
            ids.len(),
            quoted(ids[0])
        );
        observer.broken(BreachAt::new(REQUIREMENT, last, text).at_most(Severity::Warn));
    }
}
