//! Nothing is left out: every method of every revision is described, every definition meets a valid message, and an invalid one that it refuses.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{faulty, library, messages};
use crate::revision::Revision;
use crate::spec::schema::RevisionSchemas;

/// Methods with the first revision that has them. [`GONE`] has those that 2026-07-28 took away.
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
    (
        Revision::V2026_07_28,
        &["notifications/subscriptions/acknowledged", "notifications/tasks"],
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
    (
        Revision::V2026_07_28,
        &["server/discover", "subscriptions/listen", "tasks/update"],
    ),
];

/// Sent by servers and by clients up to 2025-11-25. Clients still send `tasks/get` and `tasks/cancel`, for the extension.
const GONE: [&[&str]; 2] = [
    &[
        "ping",
        "roots/list",
        "sampling/createMessage",
        "elicitation/create",
        "tasks/cancel",
        "tasks/get",
        "tasks/list",
        "tasks/result",
        "notifications/elicitation/complete",
        "notifications/tasks/status",
    ],
    &[
        "initialize",
        "logging/setLevel",
        "ping",
        "resources/subscribe",
        "resources/unsubscribe",
        "tasks/list",
        "tasks/result",
        "notifications/initialized",
        "notifications/progress",
        "notifications/roots/list_changed",
        "notifications/tasks/status",
    ],
];

/// Methods of the extension for tasks, which the specification's own schema does not have.
pub(super) const OF_EXTENSIONS: [&str; 4] = ["tasks/cancel", "tasks/get", "tasks/update", "notifications/tasks"];

fn of(methods: Methods, gone: &[&str], revision: Revision) -> BTreeSet<&'static str> {
    let exist = methods.iter().filter(|(since, _)| *since <= revision);
    let names = exist.flat_map(|(_, names)| names.iter().copied());
    names
        .filter(|name| revision < Revision::V2026_07_28 || !gone.contains(name))
        .collect()
}

/// The methods of a revision in the specification's own schema, sent by `Server` or `Client`.
pub(super) fn official_methods(schema: &Value, sender: &str) -> BTreeSet<String> {
    let definitions = schema.get("$defs").unwrap_or(&schema["definitions"]);
    // From 2026-07-28 servers send no requests, and the union of one member is that member.
    let union = |name: String| match definitions.get(&name) {
        None => Vec::new(),
        Some(one) => one["anyOf"].as_array().cloned().unwrap_or_else(|| vec![one.clone()]),
    };
    let mut members = union(format!("{sender}Request"));
    members.extend(union(format!("{sender}Notification")));
    let method = |member: &Value| {
        let target = member["$ref"].as_str().map(|target| target.rsplit('/').next().unwrap());
        let definition = target.map_or(member, |name| &definitions[name]);
        definition["properties"]["method"]["const"].as_str().unwrap().to_owned()
    };
    members.iter().map(method).collect()
}

#[test]
fn every_method_is_described() {
    let library = library();
    for revision in Revision::ALL {
        let schemas = library.for_revision(revision);
        assert_eq!(
            schemas.server_methods().collect::<BTreeSet<_>>(),
            of(SENT_BY_SERVERS, GONE[0], revision),
            "{revision}"
        );
        assert_eq!(
            schemas.client_methods().collect::<BTreeSet<_>>(),
            of(SENT_BY_CLIENTS, GONE[1], revision),
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
    for revision in Revision::ALL {
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
    let faulty = faulty(&messages, &rows);
    let mut idle = Vec::new();
    for revision in Revision::ALL {
        let schemas = library.for_revision(revision);
        let tried: Vec<_> = faulty
            .iter()
            .filter(|(.., revisions)| revisions.contains(&revision))
            .map(|(_, message, value, _)| {
                let definition = message.definition.as_str();
                (definition, value, schemas.check(definition, value).faults.len())
            })
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
