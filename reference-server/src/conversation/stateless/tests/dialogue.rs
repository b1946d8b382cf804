//! Requests and their answers: metadata, versions, eras, the features, what stands in the header.

use http::HeaderName;

use super::*;

#[test]
fn discovery_needs_nothing_before_it() {
    let mut client = Client::new(&[]);
    let first = client.ask("server/discover", json!({}))["result"].clone();
    assert_eq!(first["supportedVersions"], json!(["2026-07-28"]));
    assert!(first["capabilities"].get("tasks").is_none());
    assert!(first["_meta"]["io.modelcontextprotocol/serverInfo"]["name"].is_string());
    client.ask("tools/list", json!({}));
    assert_eq!(client.ask("server/discover", json!({}))["result"], first);
}

#[test]
fn broken_metadata_has_codes() {
    let version = "io.modelcontextprotocol/protocolVersion";
    let capabilities = "io.modelcontextprotocol/clientCapabilities";
    let good = json!({ version: "2026-07-28", capabilities: {} });
    let changed = |key: &str, value: Value| {
        let mut meta = good.clone();
        meta[key] = value;
        json!({ "_meta": meta })
    };
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let rows = [
        (json!({ "_meta": good.clone() }), 0),
        (json!({}), -32602),
        (json!({ "_meta": [] }), -32602),
        (json!({ "_meta": {} }), -32602),
        (json!({ "_meta": { version: "2026-07-28" } }), -32602),
        (json!({ "_meta": { capabilities: {} } }), -32602),
        (changed(version, json!(20_260_728)), -32602),
        (changed(capabilities, json!([])), -32602),
        (changed("io.modelcontextprotocol/logLevel", json!("loud")), -32602),
        (changed(version, json!("1900-01-01")), -32022),
        (changed(version, json!("2999-12-31")), -32022),
        (changed(version, json!("2025-11-25")), -32022),
        (changed("com.example/k", json!({ "any": [] })), 0),
        (changed("progressToken", json!("")), 0),
        (changed("traceparent", json!(trace)), 0),
    ];
    for (params, expected) in rows {
        for method in ["server/discover", "tools/list"] {
            let mut client = Client::new(&[]);
            client.ask("server/discover", json!({}));
            let request = json!({ "jsonrpc": "2.0", "id": "x", "method": method, "params": params });
            let answer = client.send(&request.to_string())[0].clone();
            client.official.check_message(method, &answer);
            assert_eq!(
                (code(&answer), &answer["id"]),
                (expected, &json!("x")),
                "{params}: {answer}"
            );
            if expected == -32022 {
                let told = json!({ "supported": ["2026-07-28"], "requested": params["_meta"][version] });
                assert_eq!(answer["error"]["data"], told);
            }
        }
    }
    let mut client = Client::new(&[]);
    client.ask("server/discover", json!({}));
    let bare = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    assert_eq!(code(&client.send(bare)[0]), -32602);
}

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":
    {"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;

#[test]
fn both_eras_are_spoken_on_one_connection() {
    let mut client = Client::new(&[]);
    assert!(client.send(LIST)[0]["result"].get("resultType").is_none());
    client.ask("tools/list", json!({}));
    assert_eq!(code(&client.send(LIST)[0]), -32602);
    assert_eq!(client.send(INITIALIZE)[0]["result"]["protocolVersion"], "2025-06-18");
    assert!(client.send(LIST)[0]["result"].get("resultType").is_none());
    assert_eq!(client.ask("tools/list", json!({}))["result"]["resultType"], "complete");
    assert!(client.send(LIST)[0]["result"].get("resultType").is_none());
    for method in [
        "initialize",
        "ping",
        "logging/setLevel",
        "resources/subscribe",
        "tasks/result",
        "tasks/list",
    ] {
        assert_eq!(code(&client.ask(method, json!({}))), -32601, "{method}");
    }
}

#[test]
fn a_server_of_this_era_alone_refuses_the_handshake_with_its_versions() {
    let mut client = Client::of(&[Revision::V2026_07_28], &[]);
    let refused = client.send(INITIALIZE)[0].clone();
    assert_eq!(code(&refused), -32022);
    let told = json!({ "supported": ["2026-07-28"], "requested": "2025-06-18" });
    assert_eq!(refused["error"]["data"], told);
    assert_eq!(code(&client.send(LIST)[0]), -32602);
    assert!(client.ask("server/discover", json!({}))["result"].is_object());
    for bytes in [
        "garbage",
        "[]",
        "{}",
        r#"{"jsonrpc":"2.0","id":null,"method":"server/discover"}"#,
    ] {
        let refused = client.send(bytes)[0].clone();
        assert!(refused.get("id").is_none() && code(&refused) < -32599, "{refused}");
        client.official.check_message("", &refused);
    }
    let mut older = Client::of(&[Revision::V2025_11_25], &[]);
    assert_eq!(code(&older.ask("server/discover", json!({}))), -32601);
}

#[test]
fn every_list_and_every_tool_answers_as_the_schema_says() {
    let mut client = Client::new(&[]);
    let mut entries = Vec::new();
    for (method, member) in [
        ("tools/list", "tools"),
        ("resources/list", "resources"),
        ("resources/templates/list", "resourceTemplates"),
        ("prompts/list", "prompts"),
    ] {
        let mut params = json!({});
        loop {
            let result = client.ask(method, params)["result"].clone();
            assert_eq!(
                (&result["ttlMs"], &result["cacheScope"]),
                (&json!(60_000), &json!("public"))
            );
            entries.extend(result[member].as_array().unwrap().iter().cloned());
            let Some(cursor) = result.get("nextCursor") else { break };
            params = json!({ "cursor": cursor });
        }
    }
    let is_tool = |entry: &&Value| entry.get("inputSchema").is_some();
    assert!(entries.iter().filter(is_tool).count() > 40);
    for tool in entries.iter().filter(is_tool) {
        assert!(tool.get("execution").is_none());
        for capabilities in [json!({}), client.capabilities.clone()] {
            let mut client = Client::new(&[]).with(capabilities);
            client.call(tool["name"].as_str().unwrap(), json!({}));
        }
    }
    for entry in entries.iter().filter(|entry| !is_tool(entry)) {
        if let Some(uri) = entry.get("uri") {
            let read = client.ask("resources/read", json!({ "uri": uri }))["result"].clone();
            assert_eq!((&read["contents"][0]["uri"], &read["ttlMs"]), (uri, &json!(0)));
        } else if entry.get("uriTemplate").is_none() {
            let arguments = json!({
                "pr_url": "https://example.com/1", "arg1": "a", "arg2": "b", "resourceUri": "test://a",
            });
            let params = json!({ "name": entry["name"], "arguments": arguments });
            client.ask("prompts/get", params);
        }
    }
    let reference = json!({ "type": "ref/prompt", "name": "code_review_prompt" });
    let argument = json!({ "name": "focus", "value": "s" });
    let completed = client.ask("completion/complete", json!({ "ref": reference, "argument": argument }));
    assert_eq!(
        completed["result"]["completion"]["values"],
        json!(["security", "style"])
    );
}

#[test]
fn bad_params_have_codes() {
    let mut client = Client::new(&[]).with(json!({}));
    let listen = "subscriptions/listen";
    for (method, params, expected) in [
        ("no/such", json!({}), -32601),
        ("tools/call", json!({}), -32602),
        ("tools/call", json!({ "name": "no_such" }), -32602),
        ("tools/list", json!({ "cursor": "made up" }), -32602),
        ("resources/read", json!({ "uri": "docs://none" }), -32602),
        ("prompts/get", json!({ "name": "none" }), -32602),
        (
            "prompts/get",
            json!({ "name": "test_input_required_result_prompt" }),
            -32021,
        ),
        ("tools/call", json!({ "name": "test_missing_capability" }), -32021),
        ("tools/call", json!({ "name": "failing_job" }), -32021),
        ("tasks/get", json!({ "taskId": "x" }), -32021),
        (listen, json!({}), -32602),
        (listen, json!({ "notifications": 5 }), -32602),
        (
            listen,
            json!({ "notifications": { "toolsListChanged": "yes" } }),
            -32602,
        ),
        (
            listen,
            json!({ "notifications": { "resourceSubscriptions": "x" } }),
            -32602,
        ),
        (listen, json!({ "notifications": { "taskIds": ["x"] } }), -32021),
    ] {
        let answer = client.ask(method, params.clone());
        assert_eq!(code(&answer), expected, "{method} {params}: {answer}");
        if expected == -32021 {
            client.official.check("MissingRequiredClientCapabilityError", &answer);
            let needed = answer["error"]["data"]["requiredCapabilities"].as_object();
            assert!(needed.is_some_and(|needed| !needed.is_empty()));
        }
    }
}

#[test]
fn logs_and_progress_come_only_to_those_who_ask() {
    let mut client = Client::new(&[]);
    let logging = json!({ "name": "test_logging_levels", "arguments": {} });
    assert_eq!(client.all("tools/call", logging.clone(), json!({})).len(), 1);
    for (level, count) in [("debug", 8), ("warning", 5), ("emergency", 1)] {
        let meta = json!({ "io.modelcontextprotocol/logLevel": level });
        assert_eq!(
            client.all("tools/call", logging.clone(), meta).len(),
            count + 1,
            "{level}"
        );
    }
    assert_eq!(client.all("tools/call", logging, json!({})).len(), 1);
    for token in [json!("t"), json!(0), json!("")] {
        let params = json!({ "name": "test_tool_with_progress", "arguments": {} });
        let mut said = client.all("tools/call", params, json!({ "progressToken": token }));
        said.retain(|message| message.get("method").is_some());
        assert_eq!(said.len(), 3);
        assert!(said.iter().all(|report| report["params"]["progressToken"] == token));
    }
}

/// A request under a header, and the code of its answer.
fn posted(header: &[(&str, &str)], method: &str, mut params: Value) -> i64 {
    let mut conversation = Conversation::shared(&Options::default());
    params["_meta"] = Client::new(&[]).with(json!({})).meta();
    let headers: HeaderMap = header
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
        .collect();
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let outputs = conversation.receive_posted(headers, request.to_string().as_bytes());
    let said = spoken(&outputs);
    code(said.iter().find(|message| message.get("method").is_none()).unwrap())
}

const VERSION: (&str, &str) = ("mcp-protocol-version", "2026-07-28");
const CALL: (&str, &str) = ("mcp-method", "tools/call");

#[test]
fn the_header_has_to_say_what_the_body_says() {
    let discover = ("mcp-method", "server/discover");
    let further = [("mcp-param-zzz", "1"), ("mcp-name", "anything")];
    let rows = [
        (vec![VERSION, discover], 0),
        (vec![discover], -32020),
        (vec![VERSION], -32020),
        (vec![("mcp-protocol-version", "2999-12-31"), discover], -32020),
        (vec![VERSION, ("mcp-method", "SERVER/DISCOVER")], -32020),
        (vec![VERSION, ("mcp-method", "  server/discover\t")], 0),
        (vec![VERSION, discover, further[0], further[1]], 0),
    ];
    for (header, expected) in rows {
        assert_eq!(posted(&header, "server/discover", json!({})), expected, "{header:?}");
    }
    for (name, expected) in [
        (Some("echo"), 0),
        (None, -32020),
        (Some("add"), -32020),
        (Some("ECHO"), -32020),
        (Some("=?base64?ZWNobw==?="), 0),
        (Some("=?base64?ZWNobw?="), -32020),
        (Some("=?base64?!!!?="), -32020),
        (Some("=?BASE64?ZWNobw==?="), -32020),
    ] {
        let mut header = vec![VERSION, CALL];
        header.extend(name.map(|name| ("mcp-name", name)));
        let params = json!({ "name": "echo", "arguments": { "text": "a" } });
        assert_eq!(posted(&header, "tools/call", params), expected, "{name:?}");
    }
}

#[test]
fn arguments_stand_in_the_header_as_the_tool_wants_them() {
    for (arguments, parameter, expected) in [
        (json!({}), None, 0),
        (json!({ "region": null }), None, 0),
        (json!({ "region": "Hello" }), Some(("mcp-param-region", "Hello")), 0),
        (
            json!({ "region": "Hello" }),
            Some(("mcp-param-region", "hello")),
            -32020,
        ),
        (json!({ "region": "Hello" }), None, -32020),
        (
            json!({ "region": "é" }),
            Some(("mcp-param-region", "=?base64?w6k=?=")),
            0,
        ),
        (
            json!({ "region": "é" }),
            Some(("mcp-param-region", "=?base64?w6g=?=")),
            -32020,
        ),
        (json!({ "priority": 42 }), Some(("mcp-param-priority", "42.0")), 0),
        (json!({ "priority": 42 }), Some(("mcp-param-priority", "43")), -32020),
        (json!({ "verbose": true }), Some(("mcp-param-verbose", "true")), 0),
        (json!({ "verbose": true }), Some(("mcp-param-verbose", "True")), -32020),
        (
            json!({ "options": { "label": "a" } }),
            Some(("mcp-param-label", "a")),
            0,
        ),
        (json!({ "options": { "label": "a" } }), None, -32020),
        (json!({}), Some(("mcp-param-region", "Hello")), -32020),
    ] {
        let mut header = vec![VERSION, CALL, ("mcp-name", "test_custom_headers")];
        header.extend(parameter);
        let params = json!({ "name": "test_custom_headers", "arguments": arguments });
        assert_eq!(
            posted(&header, "tools/call", params),
            expected,
            "{header:?} {arguments}"
        );
    }
}
