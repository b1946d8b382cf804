//! Our own schemas: derived for every revision, valid under the meta-schema, and right about a table of messages.

use serde_json::{Value, json};

use super::*;

/// The schema documents and the catalog, read from the crate that holds them.
fn library() -> SchemaLibrary {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cases");
    let mut catalog = Catalog::default();
    let files = |folder: &str, extension: &str| {
        let mut files: Vec<_> = std::fs::read_dir(root.join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.retain(|path| path.extension().is_some_and(|found| found == extension));
        files.sort();
        files.into_iter().map(|path| {
            (
                path.file_stem().unwrap().to_str().unwrap().to_owned(),
                std::fs::read_to_string(path).unwrap(),
            )
        })
    };
    for (area, text) in files("requirements", "yaml") {
        catalog.add(&area, crate::yaml::parse(&area, &text).unwrap()).unwrap();
    }
    let documents: Vec<(String, String)> = files("schemas", "json").collect();
    SchemaLibrary::load(
        documents.iter().map(|(name, text)| (name.as_str(), text.as_str())),
        &catalog,
    )
    .unwrap()
}

#[test]
fn every_derived_schema_is_valid_and_refers_to_nothing_missing() {
    let library = library();
    for revision in Revision::STATEFUL {
        let plain = library.for_revision(revision).plain();
        jsonschema::meta::validate(&plain).unwrap_or_else(|error| panic!("{revision}: {error}"));
        let missing = |reference: &str| !plain["$defs"].as_object().unwrap().contains_key(reference);
        let text = plain.to_string();
        let dangling: Vec<&str> = text
            .split("#/$defs/")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .filter(|name| missing(name))
            .collect();
        assert_eq!(dangling, Vec::<&str>::new(), "{revision}");
        for name in library.for_revision(revision).definitions() {
            let schema = json!({ "$ref": format!("#/$defs/{name}"), "$defs": plain["$defs"] });
            jsonschema::options()
                .offline()
                .build(&schema)
                .unwrap_or_else(|error| panic!("{revision} {name}: {error}"));
        }
    }
}

#[test]
fn methods_exist_only_in_their_revisions() {
    let library = library();
    let at = |revision| library.for_revision(revision);
    assert_eq!(
        at(Revision::V2025_03_26).server_request_definition("elicitation/create"),
        None
    );
    assert!(
        at(Revision::V2025_06_18)
            .server_request_definition("elicitation/create")
            .is_some()
    );
    assert_eq!(at(Revision::V2025_06_18).result_definition("tasks/get"), None);
    assert!(
        at(Revision::V2024_11_05)
            .client_notification_definition("notifications/initialized")
            .is_some()
    );
    assert_eq!(
        at(Revision::V2024_11_05).notification_definition("notifications/made_up"),
        None
    );
}

/// A message, and what is wrong with it: pointer, rule and requirement, or nothing.
struct Row {
    revision: Revision,
    definition: &'static str,
    value: Value,
    fault: Option<(&'static str, &'static str, Option<&'static str>)>,
}

fn row(
    revision: Revision,
    definition: &'static str,
    value: Value,
    fault: Option<(&'static str, &'static str, Option<&'static str>)>,
) -> Row {
    Row {
        revision,
        definition,
        value,
        fault,
    }
}

#[test]
fn a_table_of_messages_is_judged_as_it_should() {
    use Revision::{V2024_11_05 as R1, V2025_03_26 as R2, V2025_06_18 as R3, V2025_11_25 as R4};
    let text = || json!([{ "type": "text", "text": "x" }]);
    let audio = || json!({ "content": [{ "type": "audio", "data": "aGk=", "mimeType": "audio/wav" }] });
    let tool = |extra: Value| {
        let mut tool = json!({ "name": "a", "inputSchema": { "type": "object" } });
        for (key, value) in extra.as_object().unwrap() {
            tool[key] = value.clone();
        }
        json!({ "tools": [tool] })
    };
    let rows = [
        row(R1, "CallToolResult", json!({ "content": text() }), None),
        row(
            R1,
            "CallToolResult",
            json!({}),
            Some(("", "required", Some("tools/call-result-content"))),
        ),
        row(
            R1,
            "CallToolResult",
            json!({ "content": [{ "type": "text" }] }),
            Some(("/content/0", "required", Some("tools/content-text"))),
        ),
        row(
            R1,
            "CallToolResult",
            audio(),
            Some(("/content/0/type", "enum", Some("tools/call-content-type-known"))),
        ),
        row(R2, "CallToolResult", audio(), None),
        row(
            R1,
            "CallToolResult",
            json!({ "content": [], "isError": "no" }),
            Some(("/isError", "type", Some("tools/is-error-boolean"))),
        ),
        row(
            R2,
            "CallToolResult",
            json!({ "content": [], "structuredContent": 5 }),
            None,
        ),
        row(
            R3,
            "CallToolResult",
            json!({ "content": [], "structuredContent": 5 }),
            Some(("/structuredContent", "type", Some("tools/structured-content-object"))),
        ),
        row(
            R3,
            "CallToolResult",
            json!({ "content": [], "structuredContent": null }),
            Some(("/structuredContent", "type", Some("schema/no-null-optionals"))),
        ),
        row(
            R3,
            "CallToolResult",
            json!({ "content": [{ "type": "image", "data": "??", "mimeType": "image/png" }] }),
            Some(("/content/0/data", "format", Some("tools/base64-valid"))),
        ),
        row(R1, "ListToolsResult", tool(json!({ "anything": [1, null] })), None),
        row(
            R1,
            "ListToolsResult",
            tool(json!({ "description": 5 })),
            Some(("/tools/0/description", "type", Some("tools/description-string"))),
        ),
        row(
            R1,
            "ListToolsResult",
            tool(json!({ "inputSchema": { "type": "array" } })),
            Some(("/tools/0/inputSchema/type", "const", Some("tools/input-schema-object"))),
        ),
        row(
            R1,
            "ListToolsResult",
            json!({ "tools": [{ "inputSchema": { "type": "object" } }] }),
            Some(("/tools/0", "required", Some("tools/name-string"))),
        ),
        row(
            R4,
            "ListToolsResult",
            tool(json!({ "execution": { "taskSupport": "maybe" } })),
            Some((
                "/tools/0/execution/taskSupport",
                "enum",
                Some("tools/execution-task-support"),
            )),
        ),
        row(
            R3,
            "ListToolsResult",
            tool(json!({ "execution": { "taskSupport": "maybe" } })),
            None,
        ),
        row(
            R1,
            "ListToolsResult",
            json!({ "tools": [], "nextCursor": 5 }),
            Some(("/nextCursor", "type", Some("pagination/next-cursor-string"))),
        ),
        row(
            R1,
            "InitializeResult",
            json!({ "protocolVersion": "2024-11-05", "capabilities": { "tools": true }, "serverInfo": { "name": "a", "version": "1" } }),
            Some(("/capabilities/tools", "type", Some("schema/capability-values-object"))),
        ),
        row(
            R1,
            "InitializeResult",
            json!({ "protocolVersion": "2024-11-05", "capabilities": {}, "serverInfo": { "name": "a" } }),
            Some(("/serverInfo", "required", Some("schema/server-info-version"))),
        ),
        row(
            R2,
            "ReadResourceResult",
            json!({ "contents": [{ "uri": "a:b", "text": "" }] }),
            None,
        ),
        row(
            R2,
            "ReadResourceResult",
            json!({ "contents": [{ "uri": "a:b" }] }),
            Some(("/contents/0", "anyOf", Some("resources/content-text-or-blob"))),
        ),
        row(
            R2,
            "ReadResourceResult",
            json!({ "contents": [{ "uri": "/b", "text": "" }] }),
            Some(("/contents/0/uri", "format", Some("resources/content-uri"))),
        ),
        row(
            R1,
            "GetPromptResult",
            json!({ "messages": [{ "role": "system", "content": { "type": "text", "text": "x" } }] }),
            Some(("/messages/0/role", "enum", Some("prompts/message-role"))),
        ),
        row(
            R1,
            "CompleteResult",
            json!({ "completion": { "values": [], "total": 1.5 } }),
            Some(("/completion/total", "type", Some("completion/total-integer"))),
        ),
        row(
            R1,
            "CompleteResult",
            json!({ "completion": { "values": [], "total": 5.0 } }),
            None,
        ),
        row(
            R1,
            "LoggingMessage",
            json!({ "level": "loud", "data": null }),
            Some(("/level", "enum", Some("logging/message-level"))),
        ),
        row(
            R1,
            "Progress",
            json!({ "progressToken": 1, "progress": "2" }),
            Some(("/progress", "type", Some("progress/progress-number"))),
        ),
        row(
            R3,
            "ElicitParams",
            json!({ "message": "m", "requestedSchema": { "type": "object", "properties": { "a": { "type": "object" } } } }),
            Some((
                "/requestedSchema/properties/a/type",
                "enum",
                Some("client-features/elicitation-form-flat"),
            )),
        ),
    ];
    let library = library();
    for Row {
        revision,
        definition,
        value,
        fault,
    } in rows
    {
        let schemas = library.for_revision(revision);
        let checked = schemas.check(definition, &value);
        let found: Vec<_> = checked
            .faults
            .iter()
            .map(|fault| (fault.pointer.as_str(), fault.rule, fault.requirement.as_deref()))
            .collect();
        assert_eq!(
            found,
            fault.into_iter().collect::<Vec<_>>(),
            "{revision} {definition} {value}: {:?}",
            checked.faults
        );
        // Formats are ours alone, and so is the rule about null; apart from those the plain schema must agree.
        if !matches!(fault, Some((_, "format", _) | (.., Some("schema/no-null-optionals")))) {
            let plain = schemas.plain();
            let schema = json!({ "$ref": format!("#/$defs/{definition}"), "$defs": plain["$defs"] });
            let validator = jsonschema::options().offline().build(&schema).unwrap();
            assert_eq!(
                validator.is_valid(&value),
                fault.is_none(),
                "{revision} {definition} {value}"
            );
        }
    }
}

#[test]
fn only_what_was_there_counts_as_exercised() {
    let library = library();
    let schemas = library.for_revision(Revision::V2025_06_18);
    let empty = schemas.check("ListToolsResult", &json!({ "tools": [] }));
    assert!(empty.exercised.contains("tools/list-array") && !empty.exercised.contains("tools/name-string"));
    let one = schemas.check(
        "ListToolsResult",
        &json!({ "tools": [{ "name": "a", "inputSchema": { "type": "object" } }] }),
    );
    assert!(one.exercised.contains("tools/name-string") && !one.exercised.contains("tools/description-string"));
}

#[test]
fn mistakes_in_a_document_are_named() {
    for (text, complaint) in [
        (r##"{"$defs": {"A": {"tipe": "object"}}}"##, "/$defs/A/tipe"),
        (r##"{"$defs": {"A": {"$ref": "#/$defs/B"}}}"##, "no definition \"B\""),
        (r##"{"$defs": {"A": {"x-since": "2023-01-01"}}}"##, "no revision"),
        (
            r##"{"$defs": {"A": {"x-requirement": "a/b"}}}"##,
            "unknown requirement a/b",
        ),
        (r##"{"$defs": {"A": {"format": "shape"}}}"##, "unknown format"),
        ("{", "EOF"),
    ] {
        let error = SchemaLibrary::load([("d", text)], &Catalog::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains(complaint), "{text}: {error}");
    }
}
