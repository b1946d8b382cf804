//! Every requirement is judged in every revision and over every transport that has it, or its entry says why it is not, or a list here names it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use touchstone_core::case::Suite;
use touchstone_core::coverage::Coverage;
use touchstone_core::monitor;
use touchstone_core::revision::Revision;
use touchstone_core::spec::requirement::{Catalog, Requirement, Tier};
use touchstone_core::spec::schema::SchemaLibrary;
use touchstone_core::trace::TransportKind;

fn loaded() -> (Catalog, Coverage) {
    let files = touchstone_cases::requirements()
        .iter()
        .map(|file| (file.area, file.json));
    let catalog = Catalog::from_json(files).expect("the embedded requirements are a catalog");
    let documents = touchstone_cases::schemas()
        .iter()
        .map(|schema| (schema.name, schema.text));
    let schemas = SchemaLibrary::load(documents, &catalog).expect("the embedded schemas can be derived");
    let mut suite = Suite::default();
    for file in touchstone_cases::cases() {
        suite
            .add_embedded(file.area, file.path, file.json)
            .expect("the embedded cases can be read");
    }
    let coverage = Coverage::new(&catalog, &schemas, &suite);
    (catalog, coverage)
}

/// Fails when something was found, and says what.
fn assert_none(found: &[(&Requirement, String)], complaint: &str) {
    let mut text = format!("{} {complaint}:\n", found.len());
    for (requirement, detail) in found {
        let _ = writeln!(text, "{} (tier {:?}): {detail}", requirement.id, requirement.tier);
    }
    assert!(found.is_empty(), "{text}");
}

#[test]
fn every_requirement_is_judged_or_has_a_reason() {
    let (catalog, coverage) = loaded();
    let mut open = Vec::new();
    for requirement in catalog.iter().filter(|entry| entry.unjudged_because().is_none()) {
        let unjudged: Vec<&str> = Revision::ALL
            .into_iter()
            .filter(|revision| requirement.level(*revision).is_some())
            .filter(|revision| !coverage.is_judged(&requirement.id, *revision))
            .map(Revision::as_str)
            .collect();
        if !unjudged.is_empty() {
            open.push((requirement, format!("nothing judges it in {}", unjudged.join(", "))));
        }
    }
    assert_none(&open, "requirements are not judged, and have no reason (`unjudged`)");
}

/// Where a requirement of tier A or B applies over a transport and is not judged there, with the reason.
const NOT_OVER: &[(&str, TransportKind, &str)] = &[(
    "cancellation/unknown-id-ignored",
    TransportKind::StreamableHttp,
    "over HTTP the notification has no function from 2026-07-28.",
)];

#[test]
fn what_is_judged_is_judged_over_every_transport_where_it_applies() {
    let (catalog, coverage) = loaded();
    let mut open = Vec::new();
    let mut excused: BTreeSet<(&str, TransportKind)> = BTreeSet::new();
    for requirement in catalog.iter().filter(|entry| matches!(entry.tier, Tier::A | Tier::B)) {
        let mut missing = Vec::new();
        for revision in Revision::ALL
            .into_iter()
            .filter(|revision| coverage.is_judged(&requirement.id, *revision))
        {
            let applies = TransportKind::ALL
                .into_iter()
                .filter(|transport| transport.is_of(revision) && requirement.applies_to(*transport));
            for transport in applies {
                if coverage.is_judged_over(&requirement.id, revision, transport) {
                    continue;
                }
                let known = NOT_OVER
                    .iter()
                    .find(|(id, over, _)| *id == requirement.id && *over == transport);
                match known {
                    Some((id, over, _)) => drop(excused.insert((id, *over))),
                    None => missing.push(format!("{revision} over {transport}")),
                }
            }
        }
        if !missing.is_empty() {
            open.push((requirement, missing.join(", ")));
        }
    }
    assert_none(
        &open,
        "requirements of tiers A and B are not judged over some transport",
    );
    for (id, over, reason) in NOT_OVER {
        assert!(
            excused.contains(&(*id, *over)),
            "{id} is judged over {over}: take it off the list"
        );
        assert!(reason.ends_with('.'), "{id}: {reason:?} is no sentence");
    }
}

#[test]
fn nothing_that_is_judged_says_that_it_is_not() {
    let (catalog, coverage) = loaded();
    let stale: Vec<(&Requirement, String)> = catalog
        .iter()
        .filter(|requirement| requirement.unjudged.is_some() && !coverage.judges(&requirement.id).is_empty())
        .map(|requirement| {
            let judges = coverage.judges(&requirement.id).iter();
            let names: Vec<String> = judges
                .map(|judge| format!("{} {}", judge.kind.as_str(), judge.name))
                .collect();
            (requirement, format!("judged by {}", names.join(", ")))
        })
        .collect();
    assert_none(&stale, "requirements are judged, and have a reason why they are not");
}

#[test]
fn a_reason_is_one_sentence_and_said_once() {
    let (catalog, _) = loaded();
    for requirement in catalog.iter() {
        let Some(reason) = &requirement.unjudged else { continue };
        let id = &requirement.id;
        assert!(
            !requirement.test.starts_with("untestable:"),
            "{id}: its test says already why it is not judged"
        );
        assert!(
            reason.ends_with('.') && !reason.contains('\n'),
            "{id}: {reason:?} is not one sentence"
        );
    }
}

/// What a case exercises is seen by a monitor or a schema, or the case would bring it about for nobody.
#[test]
fn what_a_case_exercises_is_judged_by_somebody() {
    let (catalog, coverage) = loaded();
    let unseen: Vec<(&Requirement, String)> = catalog
        .iter()
        .filter(|requirement| {
            Revision::ALL
                .into_iter()
                .any(|revision| requirement.level(revision).is_some())
        })
        .filter(|requirement| coverage.judges(&requirement.id).is_empty())
        .filter(|requirement| !coverage.stimuli(&requirement.id).is_empty())
        .map(|requirement| (requirement, coverage.stimuli(&requirement.id).join(", ")))
        .collect();
    assert_none(&unseen, "requirements are exercised by cases, and judged by nothing");
}

#[test]
fn every_id_that_a_monitor_names_is_in_the_catalog() {
    let (catalog, _) = loaded();
    for monitor in monitor::all() {
        let named: BTreeSet<&str> = monitor.requirements.iter().copied().collect();
        assert_eq!(
            named.len(),
            monitor.requirements.len(),
            "the monitor {} names an id twice",
            monitor.name
        );
        for id in named {
            let near = catalog.nearest(id).unwrap_or("nothing");
            assert!(
                catalog.get(id).is_some(),
                "the monitor {} names {id}, which is no requirement; nearest is {near}",
                monitor.name
            );
        }
    }
}
