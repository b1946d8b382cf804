//! The JSON Schema of case files says what the loader says.

use std::collections::BTreeSet;

use jsonschema::Validator;
use serde_json::{Value, json};
use touchstone_core::case::{Case, Suite};
use touchstone_core::spec::requirement::Catalog;

fn schema() -> Value {
    serde_json::from_str(touchstone_cases::CASE_FILE_SCHEMA).expect("the schema is JSON")
}

fn validator() -> Validator {
    let options = jsonschema::options().with_draft(jsonschema::Draft::Draft202012);
    options.build(&schema()).expect("the schema is a JSON Schema")
}

/// Why the loader refuses a file of cases.
fn loader(file: &Value) -> Result<(), String> {
    let files = touchstone_cases::requirements()
        .iter()
        .map(|file| (file.area, file.json));
    let catalog = Catalog::from_json(files).expect("the embedded requirements are a catalog");
    // JSON is YAML.
    Suite::default()
        .add_yaml("tools", "cases/tools/a.yaml", &file.to_string(), &catalog)
        .map_err(|error| error.to_string())
}

/// The keys that the loader names when it meets an unknown one at a place.
fn known_keys(file: Value) -> BTreeSet<String> {
    let error = serde_json::from_value::<Vec<Case>>(file)
        .expect_err("the key is unknown")
        .to_string();
    let (_, expected) = error
        .split_once("expected")
        .unwrap_or_else(|| panic!("no list of keys in: {error}"));
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn with_step(step: Value) -> Value {
    json!([{ "case": "a", "title": "t", "exercises": ["tools/name-unique"], "steps": [step] }])
}

fn with_expectation(expectation: Value) -> Value {
    with_step(json!({ "request": "ping", "expect": [expectation] }))
}

fn properties(pointer: &str) -> BTreeSet<String> {
    let schema = schema();
    let place = schema
        .pointer(pointer)
        .unwrap_or_else(|| panic!("{pointer} is missing"));
    assert_eq!(place["additionalProperties"], false, "{pointer} is open");
    place["properties"]
        .as_object()
        .expect("an object has properties")
        .keys()
        .cloned()
        .collect()
}

#[test]
fn every_case_file_is_valid() {
    let validator = validator();
    for file in touchstone_cases::cases() {
        let cases: Value = serde_json::from_str(file.json).unwrap();
        let problems: Vec<String> = validator
            .iter_errors(&cases)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(problems.is_empty(), "{}: {problems:#?}", file.path);
    }
}

#[test]
fn schema_and_loader_know_the_same_keys() {
    let case = json!({ "case": "a", "title": "t", "steps": [] });
    let with = |key: &str, value: Value| {
        let mut case = case.clone();
        case[key] = value;
        json!([case])
    };
    let stranger = json!({ "stranger": 1 });
    for (pointer, file) in [
        ("/$defs/case", with("stranger", json!(1))),
        ("/$defs/case/properties/revisions", with("revisions", stranger.clone())),
        ("/$defs/case/properties/client", with("client", stranger.clone())),
        ("/$defs/step", with_step(stranger.clone())),
        (
            "/$defs/step/properties/arguments",
            with_step(json!({ "request": "a", "arguments": stranger })),
        ),
        ("/$defs/step/properties/http", with_step(json!({ "http": stranger }))),
        ("/$defs/expectation", with_expectation(stranger.clone())),
    ] {
        assert_eq!(properties(pointer), known_keys(file), "{pointer}");
    }
}

#[test]
fn schema_and_loader_know_the_same_actions() {
    let error = serde_json::from_value::<Vec<Case>>(with_step(json!({})))
        .unwrap_err()
        .to_string();
    let (_, list) = error
        .split_once("one of: ")
        .unwrap_or_else(|| panic!("no list of actions in: {error}"));
    let list = list.split(" at line").next().unwrap_or_default();
    let loader: BTreeSet<String> = list.split(", ").map(|name| name.trim().to_owned()).collect();
    let schema = schema();
    let named = schema.pointer("/$defs/step/oneOf").and_then(Value::as_array).unwrap();
    let schema: BTreeSet<String> = named
        .iter()
        .filter_map(|choice| choice["required"][0].as_str().map(str::to_owned))
        .collect();
    assert_eq!(schema, loader);
}

#[test]
fn schema_and_loader_refuse_the_same_mistakes() {
    let validator = validator();
    let case = |key: &str, value: Value| {
        let mut case = json!({ "case": "a", "title": "t", "exercises": ["tools/name-unique"], "steps": [] });
        case[key] = value;
        json!([case])
    };
    let mistakes = [
        case("titel", json!("t")),
        case("case", json!("Not A Slug")),
        case("title", json!([])),
        case("steps", json!({})),
        case("needs", json!(["tols"])),
        case("needs", json!("tools")),
        case("revisions", json!({ "since": "2025-01-01" })),
        case("revisions", json!({ "from": "2025-03-26" })),
        case("isolation", json!("alone")),
        case("handshake", json!("none")),
        case("client", json!({ "name": "x" })),
        case("input", json!("odd")),
        json!([{ "case": "a", "exercises": ["tools/name-unique"], "steps": [] }]),
        json!([{ "case": "a", "title": "t", "exercises": ["tools/name-unique"] }]),
        json!({}),
        with_step(json!({})),
        with_step(json!({ "params": {} })),
        with_step(json!({ "request": "a", "notify": "b" })),
        with_step(json!({ "reqest": "a" })),
        with_step(json!({ "request": {} })),
        with_step(json!({ "request": "a", "id": {} })),
        with_step(json!({ "notify": "a", "id": "5" })),
        with_step(json!({ "notify": "a", "arguments": { "generate": "valid", "from": "tool" } })),
        with_step(json!({ "request": "a", "arguments": { "generate": "some", "from": "tool" } })),
        with_step(json!({ "request": "a", "arguments": { "generate": "valid" } })),
        with_step(json!({ "request": "a", "newline": true })),
        with_step(json!({ "send": null })),
        with_step(json!({ "send-base64": "no base64" })),
        with_step(json!({ "send-chunks": "text" })),
        with_step(json!({ "http": { "method": "POST", "json": {}, "body": "x" } })),
        with_step(json!({ "http": { "headers": {} } })),
        with_step(json!({ "answer": [] })),
        with_step(json!({ "silence": "soon" })),
        with_step(json!({ "silence": 200 })),
        with_step(json!({ "request": "a", "within": "5 minutes" })),
        with_step(json!({ "close-stdin": false })),
        with_step(json!({ "expect-exit": "yes" })),
        with_step(json!({ "reconnect": false })),
        with_step(json!({ "probe": "dead" })),
        with_step(json!({ "for-each": "tools", "steps": [] })),
        with_step(json!({ "for-each": "tools", "as": "tool" })),
        with_step(json!({ "for-each": "files", "as": "file", "steps": [] })),
        with_step(json!({ "for-each": "tools", "as": "tool", "at-most": -1, "steps": [] })),
        with_step(json!({ "repeat": 3 })),
        with_step(json!({ "repeat": -1, "steps": [] })),
        with_step(json!({ "parallel": [{ "probe": "alive" }] })),
        with_step(json!({ "request": "a", "needs": ["tols"] })),
        with_step(json!({ "request": "a", "needs": "tools" })),
        with_step(json!({ "bind": "x" })),
        with_expectation(json!({ "that": { "a": 1 } })),
        with_expectation(json!({ "requirement": "Tools", "that": { "a": 1 } })),
        with_expectation(json!({ "requirement": "tools/name-unique", "that": [{ "a": 1 }] })),
        with_expectation(json!({ "requirement": "tools/name-unique", "any": { "a": 1 } })),
        with_expectation(json!({ "requirement": "tools/name-unique", "unless": { "a": 1 } })),
    ];
    for file in &mistakes {
        assert!(!validator.is_valid(file), "the schema accepts {file}");
        assert!(loader(file).is_err(), "the loader accepts {file}");
    }
    // The frame around the mistakes is not one of them.
    for sound in [
        case("needs", json!(["tools", "not:resources.subscribe"])),
        with_step(json!({ "request": "a" })),
        with_step(json!({ "request": "a", "needs": ["tools"] })),
    ] {
        assert!(validator.is_valid(&sound) && loader(&sound).is_ok(), "{sound}");
    }
}
