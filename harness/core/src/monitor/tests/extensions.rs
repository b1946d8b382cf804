//! Extensions of the stateless era: tasks and interfaces.

use serde_json::{Value, json};

use super::stateless::*;
use super::*;

#[test]
fn tasks_of_the_extension_stay_what_they_are() {
    let declared = json!({ "io.modelcontextprotocol/clientCapabilities": { "extensions": { "io.modelcontextprotocol/tasks": {} } } });
    let meta = || json!({ "_meta": declared });
    let state = |status: &str, more: Value| {
        let mut state = json!({ "taskId": "t", "status": status, "createdAt": "2026-07-28T10:00:00Z",
            "lastUpdatedAt": "2026-07-28T10:00:00Z", "ttlMs": 60000 });
        for (name, value) in more.as_object().unwrap() {
            state[name] = value.clone();
        }
        state
    };
    let begin = || {
        let mut params = meta();
        params["name"] = json!("a");
        vec![
            ('>', ask("c", "tools/call", params)),
            ('<', done("c", state("working", json!({ "resultType": "task" })))),
        ]
    };
    let get = |id: &str| {
        let mut params = meta();
        params["taskId"] = json!("t");
        ('>', ask(id, "tasks/get", params))
    };
    let is = |id: &str, status: &str, more: Value| ('<', done(id, state(status, more)));
    let result = |text: &str| json!({ "result": { "content": [{ "type": "text", "text": text }] } });
    let with = |rest: Vec<(char, String)>| told(lines(begin().into_iter().chain(rest)));

    let (broken, kept) = with(vec![
        get("1"),
        is("1", "working", json!({})),
        get("2"),
        is("2", "completed", result("x")),
        get("3"),
        is("3", "completed", result("x")),
    ]);
    assert_eq!(broken, BTreeSet::new());
    for requirement in [
        "advertised",
        "create-result-shape",
        "result-type-task",
        "durable-before-response",
        "terminal-is-final",
        "get-working",
        "get-completed",
        "get-result-type-complete",
        "status-enum",
    ] {
        assert!(
            kept.contains(&format!("ext-tasks/{requirement}")),
            "{requirement}: {kept:#?}"
        );
    }
    let asks = |key: &str| json!({ "inputRequests": { key: { "method": "roots/list" } } });
    for (requirement, rest) in [
        (
            "durable-before-response",
            vec![get("1"), ('<', refused("1", -32602, Value::Null))],
        ),
        (
            "terminal-is-final",
            vec![
                get("1"),
                is("1", "cancelled", json!({})),
                get("2"),
                is("2", "working", json!({})),
            ],
        ),
        (
            "terminal-is-final",
            vec![
                get("1"),
                is("1", "completed", result("x")),
                get("2"),
                is("2", "completed", result("y")),
            ],
        ),
        (
            "failed-status-message",
            vec![
                get("1"),
                is("1", "failed", json!({ "error": { "code": -32603, "message": "m" } })),
            ],
        ),
        (
            "get-idempotent",
            vec![
                get("1"),
                is("1", "input_required", asks("a")),
                get("2"),
                is("2", "input_required", asks("b")),
            ],
        ),
        (
            "get-idempotent",
            vec![
                get("1"),
                is("1", "completed", result("x")),
                get("2"),
                is("2", "completed", {
                    let mut later = result("x");
                    later["lastUpdatedAt"] = json!("2026-07-28T11:00:00Z");
                    later
                }),
            ],
        ),
        ("get-completed", vec![get("1"), is("1", "completed", json!({}))]),
        (
            "result-type-task-nowhere-else",
            vec![get("1"), is("1", "working", json!({ "resultType": "task" }))],
        ),
    ] {
        let (broken, _) = with(rest);
        assert_eq!(broken, BTreeSet::from([format!("ext-tasks/{requirement}")]));
    }
    // One that was cancelled before anybody asked for it was known all the same.
    let mut cancel = meta();
    cancel["taskId"] = json!("t");
    let (broken, _) = with(vec![
        ('>', ask("x", "tasks/cancel", cancel)),
        ('<', done("x", json!({ "resultType": "complete" }))),
        get("1"),
        ('<', refused("1", -32602, Value::Null)),
    ]);
    assert_eq!(broken, BTreeSet::new());
}

#[test]
fn interfaces_are_documents_under_their_own_scheme() {
    let extension = json!({ "tools": {}, "resources": {}, "extensions": { "io.modelcontextprotocol/ui": {} } });
    let discovered = || {
        let capabilities = hints(json!({ "supportedVersions": ["2026-07-28"], "capabilities": extension }));
        [
            ('>', ask(1, "server/discover", json!({}))),
            ('<', done(1, capabilities)),
        ]
    };
    let tool = |meta: Value| {
        let tool =
            json!({ "name": "a", "inputSchema": { "type": "object", "properties": { "x": {} } }, "_meta": meta });
        vec![
            ('>', ask(2, "tools/list", json!({}))),
            ('<', done(2, hints(json!({ "tools": [tool] })))),
        ]
    };
    let document = |mime: &str, text: &str, ui: Value| {
        let content = json!({ "uri": "ui://a", "mimeType": mime, "text": text, "_meta": { "ui": ui } });
        vec![
            ('>', ask(2, "resources/read", json!({ "uri": "ui://a" }))),
            ('<', done(2, hints(json!({ "contents": [content] })))),
        ]
    };
    const MIME: &str = "text/html; profile=mcp-app";
    const HTML: &str = "<!-- x -->\n<!DOCTYPE html><html></html>";
    // The first discovery of a conversation counts, and this one advertises the extension.
    let told = |rest: Vec<(char, String)>| spoken(lines(discovered().into_iter().chain(rest)));
    let (broken, kept) = told(tool(json!({ "ui": { "resourceUri": "ui://a" } })));
    assert_eq!(broken, BTreeSet::new());
    for requirement in [
        "extension-advertised",
        "resource-uri-scheme",
        "tool-meta-shape",
        "flat-key-deprecated",
    ] {
        assert!(
            kept.contains(&format!("ext-apps/{requirement}")),
            "{requirement}: {kept:#?}"
        );
    }
    let (broken, kept) = told(document(MIME, HTML, json!({ "prefersBorder": true })));
    assert_eq!(broken, BTreeSet::new());
    for requirement in ["resource-mime", "resource-content", "resource-meta-shape"] {
        assert!(
            kept.contains(&format!("ext-apps/{requirement}")),
            "{requirement}: {kept:#?}"
        );
    }
    for (requirement, rest) in [
        (
            "resource-uri-scheme",
            tool(json!({ "ui": { "resourceUri": "https://example.com/" } })),
        ),
        (
            "tool-meta-shape",
            tool(json!({ "ui": { "resourceUri": "ui://a", "visibility": "model" } })),
        ),
        ("flat-key-deprecated", tool(json!({ "ui/resourceUri": "ui://a" }))),
        ("resource-mime", document("text/html", HTML, json!({}))),
        ("resource-content", document(MIME, "hello", json!({}))),
        ("resource-meta-shape", document(MIME, HTML, json!({ "domain": 5 }))),
    ] {
        let (broken, _) = told(rest);
        assert_eq!(broken, BTreeSet::from([format!("ext-apps/{requirement}")]));
    }
}
