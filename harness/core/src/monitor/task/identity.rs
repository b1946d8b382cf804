//! Who may see a task: ids that nobody can guess or meet twice, and servers that know whom they talk to.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{BreachAt, Observer, quoted};
use super::{Source, View};
use crate::spec::requirement::Severity;
use crate::trace::{EventKind, TransportKind};

/// How many ids it takes to tell chance from a pattern.
const ENOUGH_IDS: usize = 8;
/// Ids that vary by less than this many bits are counted or timed ones. Random ids have 64 and more.
const FEWEST_BITS: f64 = 40.0;

pub(super) fn observe(view: &View<'_>, observer: &mut Observer<'_>) {
    declared(view, observer);
    unique(view, observer);
    known_requestor(view, observer);
}

/// A server that answers a call with a task must have declared that it does.
fn declared(view: &View<'_>, observer: &mut Observer<'_>) {
    let Some((.., declared_at)) = view.handshake else {
        return;
    };
    for sighting in view.sightings.iter().filter(|sighting| sighting.source == Source::Call) {
        if view.declares("tasks.requests.tools.call") == Some(true) {
            observer.kept("tasks/capability-declared", sighting.at);
        } else {
            let message = "a tool call was answered with a task although tasks.requests.tools.call is not declared";
            observer.broken(BreachAt::new("tasks/capability-declared", sighting.at, message).also(&[declared_at]));
        }
    }
}

fn unique(view: &View<'_>, observer: &mut Observer<'_>) {
    let mut ids: BTreeMap<&str, usize> = BTreeMap::new();
    for sighting in view.sightings.iter().filter(|sighting| sighting.source == Source::Call) {
        if let Some(first) = ids.insert(sighting.id, sighting.at) {
            let message = format!("two tasks have the id {}", quoted(sighting.id));
            observer.broken(BreachAt::new("tasks/id-unique", sighting.at, message).also(&[first]));
        } else if ids.len() > 1 {
            observer.kept("tasks/id-unique", sighting.at);
        }
    }
    let Some(last) = ids.values().copied().max().filter(|_| ids.len() >= ENOUGH_IDS) else {
        return;
    };
    if has_authorization(view) {
        return; // Ids need not be secret where tasks are bound to whoever asks.
    }
    let ids: Vec<&str> = ids.into_keys().collect();
    let bits = variation(&ids);
    if bits >= FEWEST_BITS {
        observer.kept("tasks/id-entropy", last);
    } else {
        let message = format!(
            "the ids of {} tasks vary by about {bits:.0} bits, so that they can be guessed; one is {}",
            ids.len(),
            quoted(ids[0])
        );
        observer.broken(BreachAt::new("tasks/id-entropy", last, message).at_most(Severity::Warn));
    }
}

/// A guess, in bits, at how much ids vary: each place at which they differ counts as much as its alphabet allows.
pub(in super::super) fn variation(ids: &[&str]) -> f64 {
    let places = ids.iter().map(|id| id.chars().count()).max().unwrap_or_default();
    let distinct: Vec<BTreeSet<char>> = (0..places)
        .map(|place| ids.iter().filter_map(|id| id.chars().nth(place)).collect())
        .filter(|found: &BTreeSet<char>| found.len() > 2)
        .collect();
    let all = || distinct.iter().flatten();
    let size: f64 = if all().all(char::is_ascii_digit) {
        10.0
    } else if all().all(char::is_ascii_hexdigit) {
        16.0
    } else {
        36.0
    };
    size.log2() * distinct.len() as f64
}

/// Over HTTP, only a session or authorization tells one requestor from another.
fn known_requestor(view: &View<'_>, observer: &mut Observer<'_>) {
    let Some((.., declared_at)) = view.handshake else {
        return;
    };
    if view.conversation.transport() != TransportKind::StreamableHttp || view.declares("tasks.list") != Some(true) {
        return;
    }
    let has_session = view.conversation.trace().events.iter().any(|event| match &event.kind {
        EventKind::HttpResponse { headers, .. } => headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("mcp-session-id")),
        _ => false,
    });
    if has_session || has_authorization(view) {
        observer.kept("tasks/list-needs-identity", declared_at);
    } else {
        let message =
            "tasks.list is declared, but without sessions or authorization the server cannot tell whose tasks to list";
        observer.broken(BreachAt::new("tasks/list-needs-identity", declared_at, message));
    }
}

fn has_authorization(view: &View<'_>) -> bool {
    view.conversation.trace().events.iter().any(|event| match &event.kind {
        EventKind::HttpRequest { headers, .. } => headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("authorization")),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_ids_are_told_from_counted_and_timed_ones() {
        let ids = |make: &dyn Fn(u64) -> String| (0..8).map(make).collect::<Vec<_>>();
        let bits = |ids: Vec<String>| variation(&ids.iter().map(String::as_str).collect::<Vec<_>>());
        let scattered = |seed: u64| {
            seed.wrapping_add(77)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(29)
        };
        assert!(bits(ids(&|n| format!("{:016x}{:016x}", scattered(n), scattered(n + 99)))) > FEWEST_BITS);
        assert!(bits(ids(&|n| format!("task-{n}"))) < FEWEST_BITS);
        assert!(bits(ids(&|n| format!("{}", 1_764_066_600_000_u64 + n * 37))) < FEWEST_BITS);
        assert!(bits(ids(&|n| format!("{:08x}", scattered(n) as u32))) < FEWEST_BITS);
    }
}
