//! The stateless era: each mistake under its own rule, and what is legal under none.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::*;

pub(super) static LIBRARY: LazyLock<SchemaLibrary> = LazyLock::new(library);

static CATALOG: LazyLock<Catalog> = LazyLock::new(catalog);

/// What is broken in a way that weighs, and what is kept, of the rules that the revision has.
pub(super) fn judged_stateless(trace: &Trace) -> (BTreeSet<String>, BTreeSet<String>) {
    let revision = Revision::V2026_07_28;
    let exists = |id: &String| CATALOG.get(id).unwrap().level(revision).is_some();
    let (broken, kept) = judged(&LIBRARY, revision, trace);
    (
        broken.into_iter().filter(exists).collect(),
        kept.into_iter().filter(exists).collect(),
    )
}

/// A line with its time in milliseconds: `>` sent, `<` received.
pub(super) type Timed = (u64, char, String);

/// A request with the `_meta` that every request needs; members of the `_meta` given come on top.
pub(super) fn ask(id: impl Into<Value>, method: &str, params: Value) -> String {
    let mut params = params;
    let given = params.get("_meta").cloned().unwrap_or_else(|| json!({}));
    let mut meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": { "elicitation": {}, "sampling": {}, "roots": {} }
    });
    for (name, value) in given.as_object().unwrap() {
        meta[name] = value.clone();
    }
    params["_meta"] = meta;
    json!({ "jsonrpc": "2.0", "id": id.into(), "method": method, "params": params }).to_string()
}

/// A result as servers of the stateless era send it, unless it says otherwise.
pub(super) fn done(id: impl Into<Value>, result: Value) -> String {
    let mut result = result;
    if result.get("resultType").is_none() {
        result["resultType"] = json!("complete");
    }
    if result.get("_meta").is_none() {
        result["_meta"] = json!({});
    }
    if result["_meta"].is_object() {
        result["_meta"]["io.modelcontextprotocol/serverInfo"] = json!({ "name": "s", "version": "1" });
    }
    json!({ "jsonrpc": "2.0", "id": id.into(), "result": result }).to_string()
}

pub(super) fn refused(id: impl Into<Value>, code: i64, data: Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id.into(), "error": { "code": code, "message": "no", "data": data } }).to_string()
}

pub(super) fn tell(method: &str, params: Value) -> String {
    json!({ "jsonrpc": "2.0", "method": method, "params": params }).to_string()
}

/// Something told to a subscription.
fn news(subscription: impl Into<Value>, method: &str, params: Value) -> String {
    let mut params = params;
    params["_meta"] = json!({ "io.modelcontextprotocol/subscriptionId": subscription.into() });
    tell(method, params)
}

pub(super) fn hints(result: Value) -> Value {
    let mut result = result;
    result["ttlMs"] = json!(0);
    result["cacheScope"] = json!("private");
    result
}

pub(super) fn discovery(capabilities: Value) -> [Timed; 2] {
    let result = hints(json!({ "supportedVersions": ["2026-07-28"], "capabilities": capabilities }));
    [
        (0, '>', ask("d", "server/discover", json!({}))),
        (1, '<', done("d", result)),
    ]
}

fn capable() -> Value {
    json!({ "tools": { "listChanged": true }, "logging": {}, "resources": { "subscribe": true, "listChanged": true },
        "extensions": { "io.modelcontextprotocol/tasks": {} } })
}

/// What is broken in a way that weighs, and what is kept, when these lines follow a discovery.
pub(super) fn told(lines: impl IntoIterator<Item = Timed>) -> (BTreeSet<String>, BTreeSet<String>) {
    spoken(discovery(capable()).into_iter().chain(lines))
}

/// The same when these lines are all.
pub(super) fn spoken(lines: impl IntoIterator<Item = Timed>) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut trace = Trace::new("t", TransportKind::Stdio);
    for (at, direction, text) in lines {
        let payload = text.as_str().into();
        let kind = match direction {
            '>' => EventKind::Sent {
                payload,
                exchange: None,
                intent: Intent::Proper,
            },
            _ => EventKind::Received {
                payload,
                channel: Channel::Stdout,
                exchange: None,
                terminated: true,
            },
        };
        trace.push(at * 1_000, kind);
    }
    judged_stateless(&trace)
}

/// Lines one millisecond apart.
pub(super) fn lines(texts: impl IntoIterator<Item = (char, String)>) -> Vec<Timed> {
    (2..)
        .zip(texts)
        .map(|(at, (direction, text))| (at, direction, text))
        .collect()
}

fn call(id: &str) -> (char, String) {
    ('>', ask(id, "tools/call", json!({ "name": "a" })))
}

fn called(id: &str) -> (char, String) {
    ('<', done(id, json!({ "content": [] })))
}

const FILTER: &str = r#"{"toolsListChanged":true,"resourceSubscriptions":["docs://a"]}"#;

fn filter() -> Value {
    serde_json::from_str(FILTER).unwrap()
}

fn listen(id: &str) -> (char, String) {
    (
        '>',
        ask(id, "subscriptions/listen", json!({ "notifications": filter() })),
    )
}

fn acknowledged(id: &str) -> (char, String) {
    (
        '<',
        news(
            id,
            "notifications/subscriptions/acknowledged",
            json!({ "notifications": filter() }),
        ),
    )
}

#[test]
fn a_healthy_conversation_breaks_nothing_and_keeps_what_it_showed() {
    let asks = json!({ "resultType": "input_required", "requestState": "s",
        "inputRequests": { "e": { "method": "elicitation/create",
            "params": { "message": "m", "requestedSchema": { "type": "object", "properties": {} } } } } });
    let with_log = json!({ "name": "a", "_meta": { "io.modelcontextprotocol/logLevel": "info", "progressToken": 7 } });
    let tool = json!({ "name": "a", "inputSchema": { "type": "object",
        "properties": { "region": { "type": "string", "x-mcp-header": "Region" } } } });
    let (broken, kept) = told(lines([
        ('>', ask(1, "tools/list", json!({}))),
        ('<', done(1, hints(json!({ "tools": [tool], "nextCursor": "c" })))),
        ('>', ask(2, "tools/list", json!({ "cursor": "c" }))),
        ('<', done(2, hints(json!({ "tools": [] })))),
        ('>', ask(3, "tools/call", json!({ "name": "a" }))),
        ('<', done(3, asks)),
        ('>', ask(4, "tools/call", with_log)),
        (
            '<',
            tell("notifications/message", json!({ "level": "info", "data": 1 })),
        ),
        (
            '<',
            tell("notifications/progress", json!({ "progressToken": 7, "progress": 1 })),
        ),
        (
            '<',
            done(
                4,
                json!({ "content": [{ "type": "text", "text": "[1]" }], "structuredContent": [1] }),
            ),
        ),
        listen("L"),
        acknowledged("L"),
        ('<', news("L", "notifications/tools/list_changed", json!({}))),
        (
            '<',
            news("L", "notifications/resources/updated", json!({ "uri": "docs://a/b" })),
        ),
        (
            '<',
            done(
                "L",
                json!({ "_meta": { "io.modelcontextprotocol/subscriptionId": "L" } }),
            ),
        ),
        ('>', ask(5, "made/up", json!({}))),
        ('<', refused(5, -32601, Value::Null)),
    ]));
    assert_eq!(broken, BTreeSet::new());
    for requirement in [
        "base-protocol/no-server-requests",
        "base-protocol/no-unprompted-traffic",
        "base-protocol/result-type-present",
        "base-protocol/result-type-known",
        "base-protocol/reserved-range-only-defined",
        "base-protocol/undeclared-client-capability-unused",
        "caching/hints-on-discover",
        "caching/hints-on-tools-list",
        "caching/scope-same-on-all-pages",
        "caching/scope-values",
        "cancellation/server-cancel-only-listen",
        "client-features/elicitation-needs-capability",
        "discover/identity-in-meta",
        "discover/required-fields",
        "discover/supported-versions-include-sent",
        "discover/extension-identifiers",
        "headers/param-annotation-reachable",
        "headers/param-annotation-primitive",
        "logging/none-without-level",
        "logging/threshold-respected",
        "logging/before-response",
        "meta/server-info-on-results",
        "meta/subscription-id-only-on-listen",
        "mrtr/only-on-three-methods",
        "mrtr/at-least-one-member",
        "mrtr/input-requests-keys-unique",
        "mrtr/input-requests-kinds",
        "resources/updated-only-subscribed",
        "schema/results-valid",
        "schema/notification-shapes",
        "subscriptions/ack-first",
        "subscriptions/ack-prompt",
        "subscriptions/ack-subset",
        "subscriptions/subscription-id-value",
        "subscriptions/filter-respected",
        "subscriptions/no-delivery-without-listen",
        "subscriptions/close-result-shape",
        "tools/non-object-structured-content-text",
        "transport-stdio/notifications-scoped",
        "versioning/version-identifier-format",
    ] {
        assert!(kept.contains(requirement), "{requirement} was there to see: {kept:#?}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_mistake_breaks_its_own_rule_and_no_other() {
    let complete_call = || [call("c"), called("c")];
    let asking = |method: &str, params: Value| {
        let requests = json!({ "k": { "method": method, "params": params } });
        json!({ "resultType": "input_required", "inputRequests": requests })
    };
    let no_capabilities = json!({ "name": "a", "_meta": { "io.modelcontextprotocol/clientCapabilities": {} } });
    let unclaimed = json!({ "jsonrpc": "2.0", "id": 9, "method": "tools/list" }).to_string();
    let version = |text: &str| json!({ "_meta": { "io.modelcontextprotocol/protocolVersion": text } });
    let tools = |schema: Value| {
        let tool = json!({ "name": "a", "inputSchema": schema });
        vec![
            ('>', ask(1, "tools/list", json!({}))),
            ('<', done(1, hints(json!({ "tools": [tool] })))),
        ]
    };
    let annotated = |property: Value| json!({ "type": "object", "properties": { "region": property } });
    let leveled = |level: &str| json!({ "name": "a", "_meta": { "io.modelcontextprotocol/logLevel": level } });
    let log = |level: &str| ('<', tell("notifications/message", json!({ "level": level, "data": 1 })));
    let rows: Vec<(&str, Vec<(char, String)>)> = vec![
        // Nothing comes by itself.
        (
            "base-protocol/no-server-requests",
            [call("c")]
                .into_iter()
                .chain([(
                    '<',
                    r#"{"jsonrpc":"2.0","id":"s","method":"roots/list"}"#.to_owned(),
                )])
                .chain([called("c")])
                .collect(),
        ),
        (
            "transport-stdio/notifications-scoped",
            complete_call()
                .into_iter()
                .chain([('<', tell("notifications/made_up", json!({})))])
                .collect(),
        ),
        (
            "client-features/no-elicitation-complete",
            vec![
                call("c"),
                ('<', tell("notifications/elicitation/complete", json!({ "elicitationId": "e" }))),
                called("c"),
            ],
        ),
        // Kinds of results.
        (
            "base-protocol/result-type-present",
            vec![
                call("c"),
                ('<', r#"{"jsonrpc":"2.0","id":"c","result":{"content":[],"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}}}}"#.to_owned()),
            ],
        ),
        (
            "base-protocol/result-type-known",
            vec![call("c"), ('<', done("c", json!({ "resultType": "partial", "content": [] })))],
        ),
        (
            "mrtr/only-on-three-methods",
            vec![
                ('>', ask(1, "tools/list", json!({}))),
                ('<', done(1, json!({ "resultType": "input_required", "requestState": "s" }))),
            ],
        ),
        (
            "ext-tasks/never-for-undeclared-client",
            vec![
                call("c"),
                ('<', done("c", json!({ "resultType": "task", "taskId": "t", "status": "working",
                    "createdAt": "2026-07-28T10:00:00Z", "lastUpdatedAt": "2026-07-28T10:00:00Z", "ttlMs": null }))),
            ],
        ),
        (
            "mrtr/at-least-one-member",
            vec![call("c"), ('<', done("c", json!({ "resultType": "input_required" })))],
        ),
        (
            "caching/no-hints-on-input-required",
            vec![
                call("c"),
                ('<', done("c", json!({ "resultType": "input_required", "requestState": "s", "ttlMs": 0 }))),
            ],
        ),
        (
            "mrtr/input-requests-keys-unique",
            vec![
                call("c"),
                ('<', done("c", asking("roots/list", json!({}))).replace(r#""inputRequests":{"#, r#""inputRequests":{"k":{"method":"roots/list"},"#)),
            ],
        ),
        // What the client can do.
        (
            "client-features/sampling-needs-capability",
            vec![
                ('>', ask("c", "tools/call", no_capabilities.clone())),
                ('<', done("c", asking("sampling/createMessage", json!({ "messages": [], "maxTokens": 5 })))),
            ],
        ),
        (
            "client-features/roots-needs-capability",
            vec![
                ('>', ask("c", "tools/call", no_capabilities)),
                ('<', done("c", asking("roots/list", json!({})))),
            ],
        ),
        (
            "client-features/elicitation-mode-supported",
            vec![
                call("c"),
                ('<', done("c", asking("elicitation/create", json!({ "mode": "url", "message": "m", "url": "https://example.com/" })))),
            ],
        ),
        (
            "client-features/sampling-context-capability",
            vec![
                call("c"),
                ('<', done("c", asking("sampling/createMessage", json!({ "messages": [], "maxTokens": 5, "includeContext": "thisServer" })))),
            ],
        ),
        // Error codes.
        (
            "base-protocol/reserved-range-only-defined",
            vec![call("c"), ('<', refused("c", -32050, Value::Null))],
        ),
        (
            "base-protocol/legacy-error-range-unused",
            vec![call("c"), ('<', refused("c", -32000, Value::Null))],
        ),
        (
            "base-protocol/app-codes-outside-reserved",
            vec![call("c"), ('<', refused("c", -32500, Value::Null))],
        ),
        (
            "base-protocol/retired-codes-unused",
            vec![call("c"), ('<', refused("c", -32002, Value::Null))],
        ),
        (
            "transport-stdio/no-header-layer",
            vec![call("c"), ('<', refused("c", -32020, Value::Null))],
        ),
        (
            "base-protocol/reserved-codes-own-meaning",
            vec![
                call("c"),
                called("c"),
                call("e"),
                ('<', refused("e", -32022, json!({ "supported": ["2025-11-25"], "requested": "2026-07-28" }))),
            ],
        ),
        (
            "versioning/unsupported-version-requested-echo",
            vec![
                ('>', ask(1, "server/discover", version("1900-01-01"))),
                ('<', refused(1, -32022, json!({ "supported": ["2026-07-28"], "requested": "1900" }))),
            ],
        ),
        (
            "versioning/unsupported-version-supported-list",
            vec![
                ('>', ask(1, "server/discover", version("1900-01-01"))),
                ('<', refused(1, -32022, json!({ "requested": "1900-01-01" }))),
            ],
        ),
        (
            "versioning/supported-lists-agree",
            vec![
                ('>', ask(1, "server/discover", version("1900-01-01"))),
                ('<', refused(1, -32022, json!({ "supported": ["2026-07-28", "2025-11-25"], "requested": "1900-01-01" }))),
            ],
        ),
        (
            "versioning/version-identifier-format",
            vec![
                ('>', ask(1, "server/discover", json!({}))),
                ('<', done(1, hints(json!({ "supportedVersions": ["2026-07-28", "v2"], "capabilities": {} })))),
            ],
        ),
        (
            "meta/missing-capability-data",
            vec![
                call("c"),
                ('<', refused("c", -32021, json!({ "requiredCapabilities": { "elicitation": {} } }))),
            ],
        ),
        (
            "meta/missing-capability-data",
            vec![call("c"), ('<', refused("c", -32021, json!({ "requiredCapabilities": ["x"] })))],
        ),
        // Discovery.
        (
            "discover/supported-versions-include-sent",
            vec![
                ('>', ask(1, "server/discover", json!({}))),
                ('<', done(1, hints(json!({ "supportedVersions": ["2027-01-01"], "capabilities": {} })))),
            ],
        ),
        (
            "discover/extension-identifiers",
            vec![
                ('>', ask(1, "server/discover", json!({}))),
                ('<', done(1, hints(json!({ "supportedVersions": ["2026-07-28"], "capabilities": { "extensions": { "tasks": {} } } })))),
            ],
        ),
        (
            "discover/no-legacy-tasks-capability",
            vec![
                ('>', ask(1, "server/discover", json!({}))),
                ('<', done(1, hints(json!({ "supportedVersions": ["2026-07-28"], "capabilities": { "tasks": {} } })))),
            ],
        ),
        (
            "meta/server-info-on-results",
            vec![
                call("c"),
                ('<', r#"{"jsonrpc":"2.0","id":"c","result":{"resultType":"complete","content":[]}}"#.to_owned()),
            ],
        ),
        (
            "meta/trace-context-values",
            vec![call("c"), ('<', done("c", json!({ "content": [], "_meta": { "traceparent": "00-0-0-01" } })))],
        ),
        // Caching.
        (
            "caching/hints-on-tools-list",
            vec![('>', ask(1, "tools/list", json!({}))), ('<', done(1, json!({ "tools": [] })))],
        ),
        (
            "caching/scope-same-on-all-pages",
            vec![
                ('>', ask(1, "tools/list", json!({}))),
                ('<', done(1, hints(json!({ "tools": [], "nextCursor": "c" })))),
                ('>', ask(2, "tools/list", json!({ "cursor": "c" }))),
                ('<', done(2, json!({ "tools": [], "ttlMs": 0, "cacheScope": "public" }))),
            ],
        ),
        (
            "tools/list-deterministic-order",
            vec![
                ('>', ask(1, "tools/list", json!({}))),
                ('<', done(1, hints(json!({ "tools": [{ "name": "a", "inputSchema": { "type": "object", "properties": { "x": {} } } }, { "name": "b", "inputSchema": { "type": "object", "properties": { "x": {} } } }] })))),
                ('>', ask(2, "tools/list", json!({}))),
                ('<', done(2, hints(json!({ "tools": [{ "name": "b", "inputSchema": { "type": "object", "properties": { "x": {} } } }, { "name": "a", "inputSchema": { "type": "object", "properties": { "x": {} } } }] })))),
            ],
        ),
        // Annotations of arguments.
        (
            "headers/param-annotation-non-empty",
            tools(annotated(json!({ "type": "string", "x-mcp-header": "" }))),
        ),
        (
            "headers/param-annotation-token",
            tools(annotated(json!({ "type": "string", "x-mcp-header": "My Region" }))),
        ),
        (
            "headers/param-annotation-primitive",
            tools(annotated(json!({ "type": "number", "x-mcp-header": "Region" }))),
        ),
        (
            "headers/param-annotation-reachable",
            tools(annotated(json!({ "type": "array", "items": { "type": "string", "x-mcp-header": "Region" } }))),
        ),
        (
            "headers/param-annotation-unique",
            tools(json!({ "type": "object", "properties": { "a": { "type": "string", "x-mcp-header": "R" },
                "b": { "type": "object", "properties": { "c": { "type": "string", "x-mcp-header": "r" } } } } })),
        ),
        (
            "headers/param-annotation-not-sensitive",
            tools(json!({ "type": "object", "properties": { "apiKey": { "type": "string", "x-mcp-header": "R" } } })),
        ),
        (
            "schema/refs-resolve-locally",
            tools(json!({ "type": "object", "properties": { "a": { "$ref": "#/$defs/b" } } })),
        ),
        (
            "security/own-schemas-no-network-ref",
            tools(json!({ "type": "object", "properties": { "a": { "$ref": "https://example.com/s.json" } } })),
        ),
        (
            "schema/duplicate-members-out",
            vec![call("c"), ('<', done("c", json!({ "content": [] })).replacen(r#""jsonrpc""#, r#""jsonrpc":"2.0","jsonrpc""#, 1))],
        ),
        // Logs.
        ("logging/none-without-level", vec![call("c"), log("error"), called("c")]),
        (
            "logging/threshold-respected",
            vec![('>', ask("c", "tools/call", leveled("error"))), log("info"), called("c")],
        ),
        (
            "logging/before-response",
            vec![('>', ask("c", "tools/call", leveled("debug"))), called("c"), log("info")],
        ),
        // Subscriptions.
        (
            "subscriptions/ack-first",
            vec![
                listen("L"),
                ('<', news("L", "notifications/tools/list_changed", json!({}))),
                acknowledged("L"),
            ],
        ),
        (
            "subscriptions/ack-subset",
            vec![
                listen("L"),
                ('<', news("L", "notifications/subscriptions/acknowledged", json!({ "notifications": { "resourcesListChanged": true } }))),
            ],
        ),
        (
            "subscriptions/ack-omits-unsupported",
            vec![
                ('>', ask("L", "subscriptions/listen", json!({ "notifications": { "promptsListChanged": true } }))),
                ('<', news("L", "notifications/subscriptions/acknowledged", json!({ "notifications": { "promptsListChanged": true } }))),
            ],
        ),
        (
            "subscriptions/false-equals-omitted",
            vec![
                ('>', ask("L", "subscriptions/listen", json!({ "notifications": { "toolsListChanged": false } }))),
                ('<', news("L", "notifications/subscriptions/acknowledged", json!({ "notifications": { "toolsListChanged": true } }))),
            ],
        ),
        (
            "subscriptions/subscription-id-value",
            vec![
                ('>', ask(7, "subscriptions/listen", json!({ "notifications": filter() }))),
                ('<', news(7, "notifications/subscriptions/acknowledged", json!({ "notifications": filter() }))),
                ('<', news("7", "notifications/tools/list_changed", json!({}))),
            ],
        ),
        (
            "subscriptions/subscription-id-value",
            vec![listen("L"), acknowledged("L"), ('<', tell("notifications/tools/list_changed", json!({})))],
        ),
        (
            "subscriptions/filter-respected",
            vec![
                listen("L"),
                acknowledged("L"),
                ('<', news("L", "notifications/resources/list_changed", json!({}))),
            ],
        ),
        (
            "resources/updated-only-subscribed",
            vec![
                listen("L"),
                acknowledged("L"),
                ('<', news("L", "notifications/resources/updated", json!({ "uri": "docs://ab" }))),
            ],
        ),
        (
            "subscriptions/no-delivery-without-listen",
            vec![call("c"), ('<', tell("notifications/tools/list_changed", json!({}))), called("c")],
        ),
        // Who tells it to everybody has not forgotten an id.
        (
            "subscriptions/no-delivery-without-listen",
            vec![
                call("c"),
                ('<', tell("notifications/tools/list_changed", json!({}))),
                called("c"),
                listen("L"),
                acknowledged("L"),
                ('<', tell("notifications/tools/list_changed", json!({}))),
            ],
        ),
        (
            "subscriptions/close-result-shape",
            vec![
                listen("L"),
                acknowledged("L"),
                ('<', done("L", json!({ "_meta": { "io.modelcontextprotocol/subscriptionId": "M" } }))),
            ],
        ),
        (
            "meta/subscription-id-only-on-listen",
            vec![
                call("c"),
                ('<', done("c", json!({ "content": [], "_meta": { "io.modelcontextprotocol/subscriptionId": "c" } }))),
            ],
        ),
        (
            "cancellation/server-cancel-only-listen",
            vec![
                call("c"),
                ('<', tell("notifications/cancelled", json!({ "requestId": "c" }))),
                called("c"),
            ],
        ),
        (
            "tools/non-object-structured-content-text",
            vec![call("c"), ('<', done("c", json!({ "content": [], "structuredContent": [1] })))],
        ),
    ];
    let mut wrong = Vec::new();
    for (requirement, rest) in rows {
        let (broken, _) = told(lines(rest.clone()));
        if broken != BTreeSet::from([requirement.to_owned()]) {
            wrong.push(format!("{requirement}: {broken:?} for {rest:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
    // A request that says nothing about itself is judged by the cases that send one.
    let (broken, _) = told(lines([
        ('>', unclaimed),
        ('<', r#"{"jsonrpc":"2.0","id":9,"result":{"tools":[]}}"#.to_owned()),
    ]));
    assert_eq!(broken, BTreeSet::new());
}

#[test]
fn what_is_cancelled_over_stdio_brings_nothing_more() {
    let cancel = |id: &str| tell("notifications/cancelled", json!({ "requestId": id }));
    let ping = |at: u64| {
        [
            (at, '>', ask("p", "server/discover", json!({}))),
            (
                at + 1,
                '<',
                discovery(capable())[1].2.replace(r#""id":"d""#, r#""id":"p""#),
            ),
        ]
    };
    let listening = || {
        let lines = lines([listen("L"), acknowledged("L")]);
        lines.into_iter().chain([(10, '>', cancel("L"))]).chain(ping(20))
    };
    let (broken, kept) = told(listening());
    assert_eq!(broken, BTreeSet::new());
    assert!(kept.contains("subscriptions/stdio-cancel-ends"));
    let late = (400, '<', news("L", "notifications/tools/list_changed", json!({})));
    let (broken, _) = told(listening().chain([late]));
    assert_eq!(broken, BTreeSet::from(["subscriptions/stdio-cancel-ends".to_owned()]));

    let working = json!({ "name": "a", "_meta": { "progressToken": 7 } });
    let progress = |at: u64, value: u64| {
        (
            at,
            '<',
            tell(
                "notifications/progress",
                json!({ "progressToken": 7, "progress": value }),
            ),
        )
    };
    let start = || {
        [
            (2, '>', ask("c", "tools/call", working.clone())),
            progress(3, 1),
            (10, '>', cancel("c")),
        ]
    };
    let (broken, _) = told(start().into_iter().chain(ping(20)).chain([progress(400, 2)]));
    assert_eq!(broken, BTreeSet::from(["cancellation/no-further-messages".to_owned()]));
}

#[test]
fn a_slow_acknowledgement_is_found() {
    let (broken, _) = told([(2, '>', listen("L").1), (5_100, '<', acknowledged("L").1)]);
    assert_eq!(broken, BTreeSet::from(["subscriptions/ack-prompt".to_owned()]));
}

#[test]
fn nothing_comes_before_the_client_has_spoken() {
    let mut trace = Trace::new("t", TransportKind::Stdio);
    let early = tell("notifications/made_up", json!({}));
    trace.push(
        0,
        EventKind::Received {
            payload: early.as_str().into(),
            channel: Channel::Stdout,
            exchange: None,
            terminated: true,
        },
    );
    let [(.., question), (.., answer)] = discovery(capable());
    trace.push(
        1_000,
        EventKind::Sent {
            payload: question.as_str().into(),
            exchange: None,
            intent: Intent::Proper,
        },
    );
    trace.push(
        2_000,
        EventKind::Received {
            payload: answer.as_str().into(),
            channel: Channel::Stdout,
            exchange: None,
            terminated: true,
        },
    );
    let (broken, _) = judged_stateless(&trace);
    assert_eq!(
        broken,
        BTreeSet::from(["base-protocol/no-unprompted-traffic".to_owned()])
    );
}
