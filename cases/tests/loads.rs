//! The embedded data is what the loader of `touchstone-core` understands, and covers what it should.

use std::collections::BTreeSet;

use touchstone_core::case::{Action, Case, FixtureCatalog, Input, Suite};
use touchstone_core::revision::Revision;
use touchstone_core::spec::requirement::Catalog;

fn catalog() -> Catalog {
    let files = touchstone_cases::requirements()
        .iter()
        .map(|file| (file.area, file.json));
    Catalog::from_json(files).expect("the embedded requirements are a catalog")
}

/// All cases, read from the YAML that people wrote, with every check of the loader.
fn suite(catalog: &Catalog) -> Suite {
    let mut suite = Suite::default();
    for file in touchstone_cases::cases() {
        if let Err(error) = suite.add_yaml(file.area, file.path, file.yaml, catalog) {
            panic!("{error}");
        }
    }
    suite
}

/// Calls `visit` with every method that a case sends as a well-formed message of its own making.
fn methods(case: &Case, visit: &mut impl FnMut(&str)) {
    case.visit(&mut |step| match &step.action {
        Action::Request { method, .. } | Action::Start { method, .. } => visit(method),
        Action::Send(message) => {
            if let Some(method) = message.get("method").and_then(serde_json::Value::as_str) {
                visit(method);
            }
        }
        _ => {}
    });
}

#[test]
fn every_requirement_file_is_a_part_of_the_catalog() {
    let catalog = catalog();
    assert!(catalog.iter().count() > 900, "{}", catalog.iter().count());
    let areas: BTreeSet<&str> = touchstone_cases::requirements().iter().map(|file| file.area).collect();
    assert_eq!(areas.len(), touchstone_cases::requirements().len());
}

#[test]
fn every_need_of_a_requirement_is_in_the_vocabulary() {
    for requirement in catalog().iter() {
        for need in &requirement.needs {
            need.parse::<touchstone_core::case::Need>()
                .unwrap_or_else(|error| panic!("{}: {error}", requirement.id));
        }
    }
}

#[test]
fn a_grade_stands_only_where_there_is_a_level_and_an_ambiguity() {
    for requirement in catalog().iter().filter(|requirement| !requirement.grade.is_empty()) {
        assert!(
            requirement.ambiguity.is_some(),
            "{} is graded without a reason",
            requirement.id
        );
        for (revision, grade) in &requirement.grade {
            let level = requirement
                .level(revision.0)
                .unwrap_or_else(|| panic!("{} has no level to grade", requirement.id));
            assert!(
                *grade < level.severity(),
                "{}: the grade changes nothing in {}",
                requirement.id,
                revision.0
            );
        }
    }
}

#[test]
fn every_fixture_that_a_case_needs_has_a_name() {
    let catalog = catalog();
    let fixtures = FixtureCatalog::from_json("cases/fixtures.yaml", touchstone_cases::fixtures()).unwrap();
    let kinds: BTreeSet<&str> = fixtures.kinds().collect();
    for (id, _, case) in suite(&catalog).cases() {
        for kind in case.needs.iter().filter_map(|need| need.strip_prefix("fixture:")) {
            // Tools say by themselves whether they can run as tasks.
            assert!(
                kinds.contains(kind) || kind == "task-tool",
                "{id} needs the fixture {kind}, which nothing satisfies"
            );
        }
    }
}

#[test]
fn every_schema_is_json() {
    for schema in touchstone_cases::schemas() {
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(schema.text);
        assert!(parsed.is_ok(), "{}: {parsed:?}", schema.name);
    }
}

#[test]
fn the_embedded_form_gives_the_same_cases() {
    let written = suite(&catalog());
    let mut embedded = Suite::default();
    for file in touchstone_cases::cases() {
        embedded.add_embedded(file.area, file.path, file.json).unwrap();
    }
    for (left, right) in written.files.iter().zip(&embedded.files) {
        assert_eq!(format!("{left:#?}"), format!("{right:#?}"));
    }
    assert_eq!(written.files.len(), embedded.files.len());
}

#[test]
fn ids_are_unique_and_every_case_is_tied_to_a_requirement() {
    let catalog = catalog();
    let suite = suite(&catalog);
    let mut ids = BTreeSet::new();
    for (id, _, case) in suite.cases() {
        assert!(!case.requirements().is_empty(), "{id} is tied to nothing");
        assert!(ids.insert(id.clone()), "{id} exists twice");
    }
    assert!(ids.len() >= 75, "only {} cases", ids.len());
}

#[test]
fn every_case_runs_in_some_revision() {
    let catalog = catalog();
    let suite = suite(&catalog);
    let running: BTreeSet<String> = Revision::ALL
        .into_iter()
        .flat_map(|revision| suite.of(revision, &catalog).map(|(id, ..)| id))
        .collect();
    for (id, ..) in suite.cases() {
        assert!(running.contains(&id), "{id} runs nowhere");
    }
}

#[test]
fn every_area_of_the_protocol_has_cases() {
    let suite = suite(&catalog());
    let areas: BTreeSet<&str> = suite.files.iter().map(|file| file.area.as_str()).collect();
    for area in [
        "base-protocol",
        "cancellation",
        "client-features",
        "completion",
        "discover",
        "language",
        "lifecycle",
        "logging",
        "pagination",
        "ping",
        "progress",
        "prompts",
        "resources",
        "tools",
        "transport-stdio",
    ] {
        assert!(areas.contains(area), "no case in {area}");
    }
}

/// The cases that send methods of the handshake era to see that they are none any more.
const UNKNOWN_ON_PURPOSE: [&str; 3] = [
    "base-protocol/removed-methods",
    "versioning/initialize-as-any-other-method",
    "versioning/handshake-refused",
];

/// A case without a range would run in every revision that has one of its requirements; this catches the ranges that were forgotten.
#[test]
fn methods_are_sent_only_in_revisions_that_have_them() {
    let catalog = catalog();
    let suite = suite(&catalog);
    let of_the_handshake_era = [
        "initialize",
        "ping",
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
    ]
    .map(str::to_owned);
    for (id, _, case) in suite
        .of(Revision::V2026_07_28, &catalog)
        .filter(|(id, ..)| !UNKNOWN_ON_PURPOSE.contains(&id.as_str()))
    {
        methods(case, &mut |method| {
            assert!(
                !of_the_handshake_era.contains(&method.to_owned()),
                "{id} sends {method} in 2026-07-28"
            );
        });
    }
    for revision in Revision::STATEFUL {
        for (id, _, case) in suite.of(revision, &catalog) {
            methods(case, &mut |method| {
                assert_ne!(method, "server/discover", "{id} in {revision}")
            });
        }
    }
}

/// Text that is sent as it is would go out with its `${...}`; the session adds nothing to it either.
#[test]
fn raw_texts_hold_no_references_and_legal_ones_are_proper_messages() {
    let suite = suite(&catalog());
    for (id, _, case) in suite.cases() {
        case.visit(&mut |step| {
            let Action::SendRaw { chunks, .. } = &step.action else {
                return;
            };
            let bytes = chunks.concat();
            assert!(!String::from_utf8_lossy(&bytes).contains("${"), "{id}");
            if case.input == Input::Legal {
                for line in bytes.split(|byte| *byte == b'\n') {
                    let message: serde_json::Value =
                        serde_json::from_slice(line).unwrap_or_else(|error| panic!("{id}: {error}"));
                    assert_eq!(message["jsonrpc"], "2.0", "{id}");
                }
            }
        });
    }
}

/// In an illegal case an unanswered `request` counts as a server that did not survive, so what is odd must not travel as one.
#[test]
fn illegal_cases_end_with_a_probe_or_before_the_session_is_open() {
    use touchstone_core::case::Handshake;
    let suite = suite(&catalog());
    for (id, _, case) in suite
        .cases()
        .filter(|(_, _, case)| case.input == Input::Illegal && case.handshake == Handshake::Automatic)
    {
        let last = case.steps.last().map(|step| &step.action);
        assert!(
            matches!(last, Some(Action::Probe)),
            "{id} does not look whether the server is alive"
        );
    }
}

#[test]
fn hints_speak_of_requirements_that_exist() {
    let catalog = catalog();
    let hints: serde_json::Value = serde_json::from_str(touchstone_cases::hints()).expect("the hints are JSON");
    let repairs = hints["repairs"].as_object().expect("repairs by requirement");
    let known = hints["sdks"].as_array().expect("a list of SDKs").iter();
    let known = known.flat_map(|sdk| sdk["known"].as_array().expect("what it is known for"));
    let ids = repairs
        .keys()
        .map(String::as_str)
        .chain(known.filter_map(|known| known["requirement"].as_str()));
    for id in ids {
        assert!(
            catalog.get(id).is_some(),
            "hints.yaml speaks of {id}, which is no requirement"
        );
    }
}
