//! Our own schemas: derived for every revision, valid under the meta-schema, and right about the messages of `testdata`.
//!
//! `messages.json` holds a valid message for every kind that there is, as full as can be. One that is `like` another is a copy of it, `with` other
//! values at some places and `without` what stood at others. `faults.json` changes one place of a message and of its likes, and says which single
//! fault comes of it.

mod completeness;
mod differential;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::*;
use crate::spec::requirement::Severity;

/// A valid message of some revisions.
struct Message {
    name: String,
    /// The message that it is made from.
    like: Option<String>,
    definition: String,
    revisions: Vec<Revision>,
    /// The definition of the official schemas that describes it: the first of these that a revision has.
    official: Vec<String>,
    /// What is put around it for that: a method whose params it is, or `error CODE`, whose data it is.
    wrap: Option<String>,
    value: Value,
}

/// The revisions between the bounds of a row.
fn revisions(row: &Value) -> Vec<Revision> {
    let bound = |key: &str| {
        row.get(key)
            .map(|text| text.as_str().unwrap().parse::<Revision>().unwrap())
    };
    let (since, until) = (bound("since"), bound("until"));
    let holds = |revision: &Revision| {
        since.is_none_or(|since| since <= *revision) && until.is_none_or(|until| *revision <= until)
    };
    Revision::ALL.into_iter().filter(holds).collect()
}

fn messages() -> Vec<Message> {
    let rows: Vec<Value> = serde_json::from_str(include_str!("testdata/messages.json")).unwrap();
    let text = |row: &Value, key: &str| row.get(key).map(|text| text.as_str().unwrap().to_owned());
    let message = |row: &Value| {
        let like = text(row, "like");
        let base = like.as_ref().map_or(row, |like| {
            rows.iter().find(|other| other["name"] == like.as_str()).unwrap()
        });
        let mut value = base["value"].clone();
        for pointer in row.get("without").and_then(Value::as_array).into_iter().flatten() {
            put(&mut value, pointer.as_str().unwrap(), None);
        }
        for (pointer, new) in row.get("with").and_then(Value::as_object).into_iter().flatten() {
            put(&mut value, pointer, Some(new.clone()));
        }
        Message {
            name: text(row, "name").unwrap(),
            like,
            definition: text(base, "definition").unwrap(),
            revisions: revisions(row),
            official: base
                .get("official")
                .map(|names| serde_json::from_value(names.clone()).unwrap())
                .unwrap_or_default(),
            wrap: text(base, "wrap"),
            value,
        }
    };
    rows.iter().map(message).collect()
}

/// The messages with one fault each, made from the rows of `faults.json`: the row, the message, the broken value and the revisions to try.
fn faulty<'m>(messages: &'m [Message], rows: &'m [Value]) -> Vec<(&'m Value, &'m Message, Value, Vec<Revision>)> {
    let mut all = Vec::new();
    for row in rows {
        let name = row["message"].as_str().unwrap();
        assert!(
            messages.iter().any(|message| message.name == name),
            "{row} names no message"
        );
        let at = row["at"].as_str().unwrap();
        let outer = at.rsplit_once('/').map_or("", |(outer, _)| outer);
        let mut tried = 0;
        for message in messages {
            let alike = message.like.as_deref() == Some(name);
            // Some places are left out of a message that is made from another.
            let there = |pointer: &str| message.value.pointer(pointer).is_some();
            let fits = there(outer) && (row.get("to").is_some() || there(at));
            if !(message.name == name || (alike && fits)) {
                continue;
            }
            let within = revisions(row);
            let within: Vec<Revision> = within
                .into_iter()
                .filter(|revision| message.revisions.contains(revision))
                .collect();
            tried += within.len();
            let mut value = message.value.clone();
            put(&mut value, at, row.get("to").cloned());
            all.push((row, message, value, within));
        }
        assert!(tried > 0, "{row} is tried in no revision");
    }
    all
}

/// Puts a value where the pointer points, or takes away what is there.
fn put(value: &mut Value, pointer: &str, new: Option<Value>) {
    let Some((outer, step)) = pointer.rsplit_once('/') else {
        *value = new.unwrap();
        return;
    };
    let step = step.replace("~1", "/").replace("~0", "~");
    match (value.pointer_mut(outer).unwrap(), new) {
        (Value::Object(members), Some(new)) => drop(members.insert(step, new)),
        (Value::Object(members), None) => drop(members.shift_remove(&step).unwrap()),
        (Value::Array(items), Some(new)) => items[step.parse::<usize>().unwrap()] = new,
        (place, _) => panic!("{pointer} leads into {place}"),
    }
}

fn files(folder: &str, extension: &str) -> Vec<(String, String)> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cases");
    let mut files: Vec<_> = std::fs::read_dir(root.join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|found| found == extension));
    files.sort();
    let read = |path: std::path::PathBuf| {
        (
            path.file_stem().unwrap().to_str().unwrap().to_owned(),
            std::fs::read_to_string(path).unwrap(),
        )
    };
    files.into_iter().map(read).collect()
}

fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    for (area, text) in files("requirements", "yaml") {
        catalog.add(&area, crate::yaml::parse(&area, &text).unwrap()).unwrap();
    }
    catalog
}

/// The schema documents and the catalog, read from the crate that holds them.
fn library() -> SchemaLibrary {
    let documents = files("schemas", "json");
    SchemaLibrary::load(
        documents.iter().map(|(name, text)| (name.as_str(), text.as_str())),
        &catalog(),
    )
    .unwrap()
}

/// Somebody else's validator for all definitions of a document, compiled once.
struct Definitions(jsonschema::Validator);

impl Definitions {
    /// `key` is where the document keeps its definitions.
    fn new(document: &Value, key: &str) -> Self {
        let names = document[key].as_object().unwrap().keys();
        let properties: Map<String, Value> = names
            .map(|name| (name.clone(), json!({ "$ref": format!("#/{key}/{name}") })))
            .collect();
        let schema = json!({ "$schema": document["$schema"], "properties": properties, key: document[key] });
        Self(
            jsonschema::options()
                .offline()
                .should_validate_formats(false)
                .build(&schema)
                .unwrap(),
        )
    }

    fn accept(&self, definition: &str, value: &Value) -> bool {
        self.0.is_valid(&json!({ definition: value }))
    }
}

/// Whether nothing but formats is wrong, which plain schemas leave out.
fn only_formats(checked: &Checked) -> bool {
    checked.faults.iter().all(|fault| fault.rule == "format")
}

#[test]
fn every_derived_schema_is_valid() {
    let library = library();
    for revision in Revision::ALL {
        let plain = library.for_revision(revision).plain();
        jsonschema::meta::validate(&plain).unwrap_or_else(|error| panic!("{revision}: {error}"));
        assert!(
            !plain.to_string().contains("\"x-"),
            "{revision}: a keyword of our own is left"
        );
        let every = Definitions::new(&plain, "$defs");
        assert!(
            every.accept("Role", &json!("user")) && !every.accept("Role", &json!("system")),
            "{revision}"
        );
    }
}

#[test]
fn faults_are_attributed_to_requirements_of_the_revision() {
    fn ids(value: &Value, found: &mut Vec<String>) {
        for (key, member) in value.as_object().into_iter().flatten() {
            match (key.as_str(), member) {
                ("x-requirement" | "x-breaks", Value::String(id)) => found.push(id.clone()),
                ("x-attribute", Value::Object(map)) => {
                    found.extend(map.values().filter_map(Value::as_str).map(str::to_owned));
                }
                _ => ids(member, found),
            }
        }
        value.as_array().into_iter().flatten().for_each(|item| ids(item, found));
    }
    let (library, catalog) = (library(), catalog());
    for revision in Revision::ALL {
        let schemas = library.for_revision(revision);
        let mut found = Vec::new();
        schemas
            .definitions
            .values()
            .for_each(|definition| ids(definition, &mut found));
        assert!(found.len() > 50, "{revision}: {}", found.len());
        for id in found.into_iter().chain(schemas.requirements()) {
            assert!(
                catalog.get(&id).unwrap().level(revision).is_some(),
                "{id} does not exist in {revision}"
            );
        }
    }
}

#[test]
fn methods_exist_only_in_their_revisions() {
    let library = library();
    let at = |revision| library.for_revision(revision);
    let (first, third, fourth) = (
        at(Revision::V2024_11_05),
        at(Revision::V2025_06_18),
        at(Revision::V2025_11_25),
    );
    assert_eq!(
        at(Revision::V2025_03_26).server_request_definition("elicitation/create"),
        None
    );
    assert_eq!(
        third.server_request_definition("elicitation/create"),
        Some("ElicitParams")
    );
    assert_eq!(
        third.client_result_definition("elicitation/create"),
        Some("ElicitResult")
    );
    assert_eq!(third.result_definition("tasks/get"), None);
    assert_eq!(fourth.result_definition("tasks/get"), Some("GetTaskResult"));
    assert_eq!(fourth.server_request_definition("tasks/get"), Some("TaskParams"));
    assert_eq!(third.task_result_definition("tools/call"), None);
    assert_eq!(fourth.task_result_definition("tools/call"), Some("CreateTaskResult"));
    assert_eq!(third.error_data_definition(-32042), None);
    assert_eq!(fourth.error_data_definition(-32042), Some("UrlElicitationRequired"));
    assert_eq!(first.client_request_definition("tools/call"), Some("CallToolParams"));
    assert_eq!(
        first.client_notification_definition("notifications/initialized"),
        Some("ClientParams")
    );
    assert_eq!(first.notification_definition("notifications/initialized"), None);
    assert_eq!(first.notification_definition("notifications/made_up"), None);
    let sent: Vec<&str> = first.server_methods().collect();
    assert_eq!(sent[..3], ["ping", "roots/list", "sampling/createMessage"]);
    assert!(
        sent.contains(&"notifications/progress") && !sent.contains(&"tools/list"),
        "{sent:?}"
    );
    assert!(first.client_methods().any(|method| method == "tools/list"));
    let newest = at(Revision::V2026_07_28);
    assert_eq!(newest.result_definition("initialize"), None);
    assert_eq!(newest.result_definition("server/discover"), Some("DiscoverResult"));
    assert_eq!(
        newest.input_result_definition("prompts/get"),
        Some("InputRequiredResult")
    );
    assert_eq!(fourth.input_result_definition("prompts/get"), None);
    assert_eq!(newest.input_result_definition("prompts/list"), None);
    assert_eq!(newest.task_result_definition("tools/call"), Some("CreateTaskResult"));
    assert_eq!(newest.server_request_definition("elicitation/create"), None);
    assert_eq!(newest.error_data_definition(-32022), Some("UnsupportedVersion"));
    assert_eq!(fourth.error_data_definition(-32022), None);
}

#[test]
fn every_valid_message_has_no_fault() {
    let (library, messages) = (library(), messages());
    for revision in Revision::ALL {
        let schemas = library.for_revision(revision);
        for message in messages.iter().filter(|message| message.revisions.contains(&revision)) {
            assert!(
                schemas.definitions.contains_key(&message.definition),
                "{revision}: {}",
                message.name
            );
            let checked = schemas.check(&message.definition, &message.value);
            assert_eq!(checked.faults, [], "{revision}: {}", message.name);
        }
    }
}

#[test]
fn every_fault_names_its_place_and_its_requirement() {
    let (library, messages) = (library(), messages());
    let rows: Vec<Value> = serde_json::from_str(include_str!("testdata/faults.json")).unwrap();
    let plain: BTreeMap<Revision, Definitions> = Revision::ALL
        .map(|revision| {
            (
                revision,
                Definitions::new(&library.for_revision(revision).plain(), "$defs"),
            )
        })
        .into();
    let mut wrong = Vec::new();
    for (row, message, value, revisions) in faulty(&messages, &rows) {
        let name = &message.name;
        for revision in revisions {
            let checked = library.for_revision(revision).check(&message.definition, &value);
            let found: Vec<Value> = checked
                .faults
                .iter()
                .map(|fault| json!([fault.pointer, fault.rule, fault.requirement]))
                .collect();
            if found != [row["fault"].clone()] {
                wrong.push(format!("{revision} {name} {row}: {:?}", checked.faults));
                continue;
            }
            let at_most = if row.get("at-most").is_some() {
                Severity::Warn
            } else {
                Severity::Fail
            };
            assert_eq!(checked.faults[0].at_most, at_most, "{revision} {name} {row}");
            let accepted = plain[&revision].accept(&message.definition, &value);
            assert_eq!(
                accepted,
                only_formats(&checked),
                "{revision} {name} {row}: the plain schema"
            );
        }
    }
    assert!(
        wrong.is_empty(),
        "{} faults are not found as they should be:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn what_later_revisions_define_is_a_legal_extra_before() {
    let library = library();
    let check =
        |revision, definition: &str, value: Value| library.for_revision(revision).check(definition, &value).faults;
    let structured = json!({ "content": [], "structuredContent": 5 });
    assert_eq!(check(Revision::V2025_03_26, "CallToolResult", structured.clone()), []);
    assert_eq!(check(Revision::V2025_06_18, "CallToolResult", structured).len(), 1);
    let support = json!({ "tools": [{ "name": "a", "inputSchema": { "type": "object" }, "execution": 5 }] });
    assert_eq!(check(Revision::V2025_06_18, "ListToolsResult", support), []);
    let cancelled = json!({ "reason": "a task is cancelled in another way" });
    assert_eq!(check(Revision::V2025_11_25, "ClientCancelled", cancelled.clone()), []);
    assert_eq!(
        check(Revision::V2025_06_18, "ClientCancelled", cancelled)[0].rule,
        "required"
    );
}

#[test]
fn lenient_where_the_sources_disagree() {
    let library = library();
    for revision in Revision::STATEFUL {
        for (definition, value) in [
            (
                "ErrorResponse",
                json!({ "jsonrpc": "2.0", "id": null, "error": { "code": 1, "message": "", "data": null } }),
            ),
            (
                "ErrorResponse",
                json!({ "jsonrpc": "2.0", "error": { "code": 1.0, "message": "" } }),
            ),
            (
                "CompleteResult",
                json!({ "completion": { "values": [], "total": 5.0 } }),
            ),
            ("LoggingMessage", json!({ "level": "info", "data": null })),
            ("CallToolResult", json!({ "content": [], "vendor": null })),
            ("PingResult", json!({})),
        ] {
            assert_eq!(
                library.for_revision(revision).check(definition, &value).faults,
                [],
                "{revision} {definition}"
            );
        }
    }
}

#[test]
fn a_nested_task_breaks_the_shape_of_tasks_get() {
    let library = library();
    let checked = library
        .for_revision(Revision::V2025_11_25)
        .check("GetTaskResult", &json!({ "task": {} }));
    let broken: BTreeSet<&str> = checked
        .faults
        .iter()
        .filter_map(|fault| fault.requirement.as_deref())
        .collect();
    assert_eq!(
        broken,
        BTreeSet::from(["tasks/get-shape", "tasks/task-required-members"])
    );
    assert_eq!(checked.faults.len(), 2, "{:?}", checked.faults);
}

#[test]
fn only_what_was_there_counts_as_exercised() {
    let library = library();
    let schemas = library.for_revision(Revision::V2025_06_18);
    let exercised = |definition: &str, value: Value| schemas.check(definition, &value).exercised;
    let empty = exercised("ListToolsResult", json!({ "tools": [] }));
    assert!(
        empty.contains("tools/list-array") && !empty.contains("tools/name-string"),
        "{empty:?}"
    );
    let one = exercised(
        "ListToolsResult",
        json!({ "tools": [{ "name": "a", "inputSchema": { "type": "object" } }] }),
    );
    assert!(
        one.contains("tools/name-string") && !one.contains("tools/description-string"),
        "{one:?}"
    );
    assert!(!one.contains("schema/no-null-optionals"), "{one:?}");
    let cursor = exercised("ListToolsResult", json!({ "tools": [], "nextCursor": "c" }));
    assert!(cursor.contains("schema/no-null-optionals"), "{cursor:?}");
    let image = json!({ "type": "image", "data": "aGk=", "mimeType": "image/png" });
    let prompt = exercised(
        "GetPromptResult",
        json!({ "messages": [{ "role": "user", "content": image }] }),
    );
    assert!(prompt.contains("prompts/image-encoded"), "{prompt:?}");
    assert!(!prompt.iter().any(|id| id.starts_with("tools/")), "{prompt:?}");
    // That a token is unique cannot be seen from one message.
    let token = exercised("PingParams", json!({ "_meta": { "progressToken": 1 } }));
    assert!(
        token.contains("ping/server-ping-shape") && !token.contains("progress/server-token-unique"),
        "{token:?}"
    );
    assert_eq!(
        exercised("ResourceParams", json!({ "uri": "a:b", "_meta": {} })),
        BTreeSet::new()
    );
}

#[test]
fn hostile_values_end_the_check_early() {
    let library = library();
    let schemas = library.for_revision(Revision::V2025_11_25);
    let many = schemas.check("ListToolsResult", &json!({ "tools": vec![5; 10_000] }));
    assert_eq!(many.faults.len(), 200);
    let mut deep = json!({});
    for _ in 0..60 {
        deep = json!({ "content": [deep], "type": "tool_result", "toolUseId": "u" });
    }
    let params = json!({ "maxTokens": 1, "messages": [{ "role": "user", "content": deep }] });
    assert_eq!(schemas.check("CreateMessageParams", &params).faults.len(), 1);
}

#[test]
fn mistakes_in_a_document_are_named() {
    let catalog = catalog();
    for (text, pointer, complaint) in [
        ("{", "", "EOF"),
        ("[]", "", "an object"),
        (r#"{"defs": {}}"#, "/defs", "unknown member"),
        (
            r#"{"$defs": {"A": {"tipe": "object"}}}"#,
            "/$defs/A/tipe",
            "unknown keyword",
        ),
        (r#"{"$defs": {"A": {"type": "text"}}}"#, "/$defs/A/type", "no value"),
        (r#"{"$defs": {"A": {"pattern": "("}}}"#, "/$defs/A/pattern", "no value"),
        (
            r##"{"$defs": {"A": {"items": {"$ref": "#/$defs/B"}}}}"##,
            "/$defs/A/items/$ref",
            "no definition",
        ),
        (
            r##"{"$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"x-since": "2025-06-18"}}}"##,
            "/$defs/A/$ref",
            "in 2024-11-05",
        ),
        (
            r#"{"$defs": {"A": {"x-since": "2023-01-01"}}}"#,
            "/$defs/A/x-since",
            "no revision",
        ),
        (
            r#"{"$defs": {"A": {"properties": {"a/b": {"x-until": 5}}}}}"#,
            "/$defs/A/properties/a~1b/x-until",
            "no revision",
        ),
        (
            r#"{"$defs": {"A": {"x-requirement": "a/b"}}}"#,
            "/$defs/A/x-requirement",
            "unknown requirement a/b",
        ),
        (
            r#"{"$defs": {"A": {"x-attribute": {"a/b": null}}}}"#,
            "/$defs/A/x-attribute/a~1b",
            "unknown requirement",
        ),
        (
            r#"{"$defs": {"A": {"format": "shape"}}}"#,
            "/$defs/A/format",
            "unknown format",
        ),
        (
            r#"{"$defs": {"A": {"required": ["a"]}}}"#,
            "/$defs/A/required",
            "no property \"a\"",
        ),
        (
            r#"{"$defs": {"A": {"x-required": {"a": {}}}}}"#,
            "/$defs/A/x-required/a",
            "no property \"a\"",
        ),
        (
            r#"{"$defs": {"A": {"x-choose": {"by": "t", "map": {}}}}}"#,
            "/$defs/A/x-choose",
            "required string",
        ),
        (
            r#"{"$defs": {"A": {"x-at-most": "never"}}}"#,
            "/$defs/A/x-at-most",
            "no value",
        ),
        (
            r#"{"x-methods": {"requests": {}}}"#,
            "/x-methods/requests",
            "unknown table",
        ),
        (
            r#"{"x-methods": {"server-notifications": {"a/b": {"params": "C"}}}}"#,
            "/x-methods/server-notifications/a~1b/params",
            "no definition",
        ),
        (r#"{"x-errors": {"one": {"data": "C"}}}"#, "/x-errors/one", "an integer"),
    ] {
        let error = SchemaLibrary::load([("broken", text)], &catalog).unwrap_err();
        assert_eq!(
            (error.document.as_str(), error.pointer.as_str()),
            ("broken", pointer),
            "{text}: {error}"
        );
        assert!(error.problem.contains(complaint), "{text}: {error}");
    }
    let twice = SchemaLibrary::load(
        [("a", r#"{"$defs": {"A": {}}}"#), ("b", r#"{"$defs": {"A": {}}}"#)],
        &catalog,
    );
    assert_eq!(twice.unwrap_err().document, "b");
}
