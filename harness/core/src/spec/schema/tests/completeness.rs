//! Nothing is left out: every method of every revision is described, every definition meets a valid message, and an invalid one that it refuses.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{library, messages, put, revisions};
use crate::revision::Revision;
use crate::spec::schema::RevisionSchemas;

/// Methods with the first revision that has them. None is gone before 2026-07-28.
type Methods = &'static [(Revision, &'static [&'static str])];

const SENT_BY_SERVERS: Methods = &[
    (
        Revision::V2024_11_05,
        &[
            "ping",
            "roots/list",
            "sampling/createMessage",
            "notifications/cancelled",
            "notifications/message",
            "notifications/progress",
            "notifications/prompts/list_changed",
            "notifications/resources/list_changed",
            "notifications/resources/updated",
            "notifications/tools/list_changed",
        ],
    ),
    (Revision::V2025_06_18, &["elicitation/create"]),
    (
        Revision::V2025_11_25,
        &[
            "tasks/cancel",
            "tasks/get",
            "tasks/list",
            "tasks/result",
            "notifications/elicitation/complete",
            "notifications/tasks/status",
        ],
    ),
];

const SENT_BY_CLIENTS: Methods = &[
    (
        Revision::V2024_11_05,
        &[
            "completion/complete",
            "initialize",
            "logging/setLevel",
            "ping",
            "prompts/get",
            "prompts/list",
            "resources/list",
            "resources/read",
            "resources/subscribe",
            "resources/templates/list",
            "resources/unsubscribe",
            "tools/call",
            "tools/list",
            "notifications/cancelled",
            "notifications/initialized",
            "notifications/progress",
            "notifications/roots/list_changed",
        ],
    ),
    (
        Revision::V2025_11_25,
        &[
            "tasks/cancel",
            "tasks/get",
            "tasks/list",
            "tasks/result",
            "notifications/tasks/status",
        ],
    ),
];

fn of(methods: Methods, revision: Revision) -> BTreeSet<&'static str> {
    let exist = methods.iter().filter(|(since, _)| *since <= revision);
    exist.flat_map(|(_, names)| names.iter().copied()).collect()
}

/// The methods of a revision in the specification's own schema, sent by `Server` or `Client`.
pub(super) fn official_methods(schema: &Value, sender: &str) -> BTreeSet<String> {
    let definitions = schema.get("$defs").unwrap_or(&schema["definitions"]);
    let union = |name: String| definitions[name]["anyOf"].as_array().unwrap().clone();
    let mut members = union(format!("{sender}Request"));
    members.extend(union(format!("{sender}Notification")));
    let method = |member: &Value| {
        let name = member["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
        definitions[name]["properties"]["method"]["const"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    members.iter().map(method).collect()
}

#[test]
fn every_method_is_described() {
    let library = library();
    for revision in Revision::STATEFUL {
        let schemas = library.for_revision(revision);
        assert_eq!(
            schemas.server_methods().collect::<BTreeSet<_>>(),
            of(SENT_BY_SERVERS, revision),
            "{revision}"
        );
        assert_eq!(
            schemas.client_methods().collect::<BTreeSet<_>>(),
            of(SENT_BY_CLIENTS, revision),
            "{revision}"
        );
        for method in schemas
            .client_methods()
            .filter(|method| !method.starts_with("notifications/"))
        {
            assert!(schemas.result_definition(method).is_some(), "{revision} {method}");
        }
    }
}

/// The schemas of a revision with one definition replaced.
fn with(schemas: &RevisionSchemas, definition: &str, replacement: Value) -> RevisionSchemas {
    let mut altered = schemas.clone();
    altered.definitions.insert(definition.to_owned(), replacement);
    altered
}

/// A definition that no valid message meets would be tried by nothing.
#[test]
fn every_definition_meets_a_valid_message() {
    let (library, messages) = (library(), messages());
    let mut unmet = Vec::new();
    for revision in Revision::STATEFUL {
        let schemas = library.for_revision(revision);
        for definition in schemas.definitions() {
            let without = with(schemas, definition, json!({ "x-absent": true }));
            let met = messages
                .iter()
                .filter(|message| message.revisions.contains(&revision))
                .any(|message| !without.check(&message.definition, &message.value).faults.is_empty());
            if !met {
                unmet.push(format!("{revision} {definition}"));
            }
        }
    }
    assert!(unmet.is_empty(), "{unmet:#?}");
}

/// A definition that refuses none of the hand-written faults might as well be left out.
#[test]
fn every_definition_refuses_an_invalid_message() {
    let (library, messages) = (library(), messages());
    let rows: Vec<Value> = serde_json::from_str(include_str!("../testdata/faults.json")).unwrap();
    let mut faulty = Vec::new();
    for row in &rows {
        let message = messages.iter().find(|message| row["message"] == message.name).unwrap();
        let mut value = message.value.clone();
        put(&mut value, row["at"].as_str().unwrap(), row.get("to").cloned());
        let revisions = revisions(row)
            .into_iter()
            .filter(|revision| message.revisions.contains(revision));
        faulty.push((revisions.collect::<Vec<_>>(), message.definition.as_str(), value));
    }
    let mut idle = Vec::new();
    for revision in Revision::STATEFUL {
        let schemas = library.for_revision(revision);
        let tried: Vec<_> = faulty
            .iter()
            .filter(|(revisions, ..)| revisions.contains(&revision))
            .map(|(_, definition, value)| (*definition, value, schemas.check(definition, value).faults.len()))
            .collect();
        for definition in schemas.definitions() {
            let anything_goes = with(schemas, definition, json!({}));
            let refuses = tried
                .iter()
                .any(|(outer, value, faults)| anything_goes.check(outer, value).faults.len() < *faults);
            if !refuses {
                idle.push(format!("{revision} {definition}"));
            }
        }
    }
    assert!(idle.is_empty(), "{idle:#?}");
}
