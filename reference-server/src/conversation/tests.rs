//! The server as a client sees it: bytes in, messages out, one table for each area.

use super::*;
use crate::faults::{faults, find};

/// A conversation in which `initialize` has settled on the revision.
fn settled(revision: Revision, faults: &[&str]) -> Conversation {
    let faults: Vec<_> = faults.iter().map(|id| find(id).unwrap()).collect();
    let mut conversation = Conversation::new(&Options::new(&[], &faults, 3));
    let initialize = initialize(revision.as_str());
    conversation.receive(initialize.as_bytes());
    conversation
}

fn initialize(date: &str) -> String {
    let params = json!({ "protocolVersion": date, "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params }).to_string()
}

/// The messages the bytes lead to, whenever they are due.
fn messages(conversation: &mut Conversation, bytes: impl AsRef<[u8]>) -> Vec<Value> {
    let outputs = conversation.receive(bytes.as_ref());
    let messages = outputs.iter().filter_map(|output| match output {
        Output::Message { message, .. } => Some(serde_json::from_slice(&message.to_bytes()).unwrap()),
        _ => None,
    });
    messages.collect()
}

/// The only message.
fn one(conversation: &mut Conversation, bytes: impl AsRef<[u8]>) -> Value {
    let messages = messages(conversation, bytes);
    assert_eq!(messages.len(), 1, "{messages:?}");
    messages.into_iter().next().unwrap()
}

fn ask(conversation: &mut Conversation, method: &str, params: Value) -> Value {
    one(
        conversation,
        json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string(),
    )
}

fn call(conversation: &mut Conversation, tool: &str, arguments: Value) -> Value {
    ask(
        conversation,
        "tools/call",
        json!({ "name": tool, "arguments": arguments }),
    )
}

#[test]
fn frames_that_are_no_requests_get_the_codes_of_json_rpc() {
    let rows: [(&[u8], i64, Value); 19] = [
        (b"garbage", -32700, json!(null)),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"",
            -32700,
            json!(null),
        ),
        (b"\xff{}", -32700, json!(null)),
        (b"", -32700, json!(null)),
        (b"{} {}", -32700, json!(null)),
        (b"1", -32600, json!(null)),
        (b"null", -32600, json!(null)),
        (b"{}", -32600, json!(null)),
        (b"[]", -32600, json!(null)),
        (br#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600, json!(null)),
        (br#"{"jsonrpc":"1.0","id":7,"method":"ping"}"#, -32600, json!(7)),
        (br#"{"id":7,"method":"ping"}"#, -32600, json!(7)),
        (br#"{"jsonrpc":"2.0","id":7}"#, -32600, json!(7)),
        (br#"{"jsonrpc":"2.0","id":7,"method":1}"#, -32600, json!(7)),
        (
            br#"{"jsonrpc":"2.0","id":7,"method":"ping","params":[]}"#,
            -32600,
            json!(7),
        ),
        (br#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600, json!(null)),
        (br#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#, -32600, json!(null)),
        (br#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, -32600, json!(null)),
        (br#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, -32600, json!(null)),
    ];
    for (bytes, code, id) in rows {
        let answer = one(&mut settled(Revision::V2025_11_25, &[]), bytes);
        assert_eq!(
            (&answer["error"]["code"], &answer["id"]),
            (&json!(code), &id),
            "{}",
            bytes.escape_ascii()
        );
    }
}

#[test]
fn params_too_deep_to_read_are_answered_with_the_id() {
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let request = format!(r#"{{"jsonrpc":"2.0","id":5,"method":"ping","params":{{"a":{deep}}}}}"#);
    let answer = one(&mut settled(Revision::V2025_11_25, &[]), request);
    assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(-32602), &json!(5)));
}

#[test]
fn ids_come_back_as_the_same_token() {
    let tokens = [
        "1",
        "-0",
        "1.0",
        "1e2",
        "123456789012345678901234567890",
        r#""a""#,
        r#""\u0061\/""#,
        r#""""#,
    ];
    for token in tokens {
        let request = format!(r#"{{"jsonrpc":"2.0","id":{token},"method":"ping"}}"#);
        let outputs = Conversation::new(&Options::default()).receive(request.as_bytes());
        let [Output::Message { message, .. }] = outputs.as_slice() else {
            panic!("{token}: {outputs:?}")
        };
        let expected = format!(r#"{{"jsonrpc":"2.0","id":{token},"result":{{}}}}"#);
        assert_eq!(String::from_utf8(message.to_bytes()).unwrap(), expected);
    }
}

#[test]
fn notifications_and_responses_are_never_answered() {
    for bytes in [
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        r#"{"jsonrpc":"2.0","method":"no/such"}"#,
        r#"{"jsonrpc":"2.0","method":"ping","params":3}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":""}}"#,
    ] {
        assert!(
            messages(&mut settled(Revision::V2025_11_25, &[]), bytes).is_empty(),
            "{bytes}"
        );
    }
}

#[test]
fn arrays_are_batches_in_one_revision() {
    let mut conversation = settled(Revision::V2025_03_26, &[]);
    let slow =
        r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"slow","arguments":{"milliseconds":9}}}"#;
    let ping = r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#;
    let notification = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let answers = one(
        &mut conversation,
        format!("[{slow},{notification},3,{ping},{}]", initialize("2025-03-26")),
    );
    let answers = answers.as_array().unwrap();
    let ids: Vec<_> = answers.iter().map(|answer| answer["id"].clone()).collect();
    assert_eq!(ids, [json!(2), json!(null), json!("p"), json!(0)]);
    assert_eq!(
        (&answers[1]["error"]["code"], &answers[3]["error"]["code"]),
        (&json!(-32600), &json!(-32600))
    );
    assert!(messages(&mut conversation, format!("[{notification}]")).is_empty());
    assert_eq!(one(&mut conversation, "[]")["error"]["code"], -32600);
}

#[test]
fn initialize_echoes_what_is_supported_and_offers_the_newest_otherwise() {
    let only: [Revision; 2] = [Revision::V2024_11_05, Revision::V2025_03_26];
    let rows: [(&[Revision], &str, &str); 6] = [
        (&[], "2024-11-05", "2024-11-05"),
        (&[], "2025-11-25", "2025-11-25"),
        (&[], "2099-01-01", "2025-11-25"),
        (&only, "2025-03-26", "2025-03-26"),
        (&only, "2025-06-18", "2025-03-26"),
        (&only, "", "2025-03-26"),
    ];
    for (revisions, asked, got) in rows {
        let mut conversation = Conversation::new(&Options::new(revisions, &[], 3));
        for _ in 0..2 {
            let result = one(&mut conversation, initialize(asked))["result"].clone();
            assert_eq!(result["protocolVersion"], got);
            assert_eq!(result["serverInfo"].get("title").is_some(), got >= "2025-06-18");
            assert_eq!(result["capabilities"].get("completions").is_some(), got >= "2025-03-26");
        }
    }
}

#[test]
fn initialize_without_its_members_is_refused() {
    for params in [
        json!({}),
        json!({ "protocolVersion": 1, "capabilities": {}, "clientInfo": {} }),
        json!({ "protocolVersion": "2025-06-18", "clientInfo": {} }),
        json!({ "protocolVersion": "2025-06-18", "capabilities": [], "clientInfo": {} }),
        json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": "t" }),
    ] {
        let mut conversation = Conversation::new(&Options::default());
        assert_eq!(ask(&mut conversation, "initialize", params)["error"]["code"], -32602);
        assert!(!conversation.is_initialized());
        assert_eq!(ask(&mut conversation, "ping", json!({}))["result"], json!({}));
    }
}

#[test]
fn tools_have_only_the_members_of_their_revision() {
    for revision in Revision::STATEFUL {
        let options = Options::new(&[], &[], 100);
        let mut conversation = Conversation::new(&options);
        conversation.receive(initialize(revision.as_str()).as_bytes());
        let list = ask(&mut conversation, "tools/list", json!({}));
        let tools = list["result"]["tools"].as_array().unwrap();
        assert!(tools.len() > 20);
        for tool in tools {
            assert_eq!(tool.get("title").is_some(), revision.has_titles());
            assert_eq!(tool["inputSchema"]["type"], "object");
            assert_eq!(tool["inputSchema"]["additionalProperties"], false);
            assert!(tool["name"] != "test_elicitation" || revision >= Revision::V2025_06_18);
        }
        let search = tools.iter().find(|tool| tool["name"] == "search_docs").unwrap();
        assert_eq!(search.get("outputSchema").is_some(), revision.has_titles());
        let found = call(&mut conversation, "search_docs", json!({ "query": "tool" }))["result"].clone();
        assert_eq!(found.get("structuredContent").is_some(), revision.has_titles());
        let twin: Value = serde_json::from_str(found["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(twin["total"], 1);
        assert!(!revision.has_titles() || twin == found["structuredContent"]);
    }
}

#[test]
fn tools_do_their_work() {
    let mut conversation = settled(Revision::V2025_11_25, &[]);
    let long = "x".repeat(50);
    let rows = [
        ("add", json!({ "a": 2, "b": 3.0 }), "5"),
        ("add", json!({ "a": i64::MAX, "b": u64::MAX }), "27670116110564327422"),
        ("echo", json!({ "text": "a\u{0}\u{1F600}\n\"" }), "a\u{0}\u{1F600}\n\""),
        (
            "get_user",
            json!({ "user_id": "usr_1" }),
            r#"{"id":"usr_1","name":"First user"}"#,
        ),
        ("counter", json!({}), "1"),
        ("counter", json!({}), "2"),
        ("slow", json!({ "milliseconds": 0 }), "Waited for 0 milliseconds"),
        ("write_note", json!({ "name": "n", "text": "" }), "Wrote the note \"n\""),
        (
            "create_issue",
            json!({ "issue": { "title": "Title", "priority": "critical", "body": long } }),
            "Created issue #1 with priority critical: Title",
        ),
    ];
    for (tool, arguments, text) in rows {
        let result = call(&mut conversation, tool, arguments)["result"].clone();
        assert_eq!(
            (&result["content"][0]["text"], &result["isError"]),
            (&json!(text), &json!(false)),
            "{tool}"
        );
    }
}

#[test]
fn bad_arguments_and_failures_are_results_with_is_error() {
    let mut conversation = settled(Revision::V2025_11_25, &[]);
    let rows = [
        ("add", json!({ "a": 1 })),
        ("add", json!({ "a": 1, "b": "2" })),
        ("add", json!({ "a": 1, "b": 2, "c": 3 })),
        ("search_docs", json!({ "query": "" })),
        ("search_docs", json!({ "query": "a", "limit": 0 })),
        ("search_docs", json!({ "query": "a", "limit": 101 })),
        ("create_issue", json!({ "issue": { "title": "Four" , "labels": [1] } })),
        ("create_issue", json!({ "issue": { "title": "x".repeat(201) } })),
        (
            "create_issue",
            json!({ "issue": { "title": "Title", "priority": "urgent" } }),
        ),
        (
            "create_issue",
            json!({ "issue": { "title": "Title", "priority": "critical", "body": "short" } }),
        ),
        ("get_user", json!({ "user_id": "1" })),
        ("get_user", json!({ "user_id": "usr_unknown" })),
        ("slow", json!({ "milliseconds": 5001 })),
        ("write_note", json!({ "name": "../n", "text": "" })),
        ("risky_tool", json!({})),
    ];
    for (tool, arguments) in rows {
        let answer = call(&mut conversation, tool, arguments.clone());
        assert_eq!(answer["result"]["isError"], true, "{tool} {arguments}: {answer}");
        assert!(!answer["result"]["content"][0]["text"].as_str().unwrap().is_empty());
    }
}

#[test]
fn slow_reports_progress_before_its_answer_and_only_when_asked() {
    let mut conversation = settled(Revision::V2025_11_25, &[]);
    let mut params = json!({ "name": "slow", "arguments": { "milliseconds": 100 } });
    assert!(ask(&mut conversation, "tools/call", params.clone())["result"].is_object());
    params["_meta"] = json!({ "progressToken": "token" });
    let request = json!({ "jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": params });
    let outputs = conversation.receive(request.to_string().as_bytes());
    let due = outputs.iter().map(|output| match output {
        Output::Message { after, request, .. } if *request == Some(json!(4)) => *after,
        output => panic!("{output:?}"),
    });
    let due: Vec<_> = due.collect();
    assert!(due.is_sorted() && due.len() == 5 && due[4] == Duration::from_millis(100));
    let sent = messages(&mut conversation, request.to_string());
    assert!(
        sent[..4]
            .iter()
            .all(|message| message["params"]["progressToken"] == "token")
    );
    assert!(sent[..4].is_sorted_by_key(|message| message["params"]["progress"].as_u64()));
}

#[test]
fn bad_params_have_codes() {
    let mut conversation = settled(Revision::V2025_11_25, &[]);
    let prompt = json!({ "type": "ref/prompt", "name": "code_review_prompt" });
    let rows = [
        ("no/such", json!({}), -32601),
        ("tools/call", json!({}), -32602),
        ("tools/call", json!({ "name": 1 }), -32602),
        ("tools/call", json!({ "name": "no_such", "arguments": {} }), -32602),
        ("tools/call", json!({ "name": "echo", "arguments": [] }), -32602),
        ("tools/list", json!({ "cursor": "made up" }), -32602),
        ("prompts/list", json!({ "cursor": 1 }), -32602),
        ("resources/read", json!({}), -32602),
        ("resources/read", json!({ "uri": "docs://none" }), -32002),
        ("resources/read", json!({ "uri": "config://app/none" }), -32002),
        ("resources/subscribe", json!({}), -32602),
        ("prompts/get", json!({}), -32602),
        ("prompts/get", json!({ "name": "none" }), -32602),
        ("prompts/get", json!({ "name": "code_review_prompt" }), -32602),
        (
            "prompts/get",
            json!({ "name": "code_review_prompt", "arguments": { "pr_url": 1 } }),
            -32602,
        ),
        ("logging/setLevel", json!({}), -32602),
        ("logging/setLevel", json!({ "level": "loud" }), -32602),
        ("completion/complete", json!({ "ref": prompt }), -32602),
        (
            "completion/complete",
            json!({ "ref": prompt, "argument": { "name": "none", "value": "" } }),
            -32602,
        ),
        (
            "completion/complete",
            json!({ "ref": { "type": "ref/x" }, "argument": { "name": "a", "value": "" } }),
            -32602,
        ),
    ];
    for (method, params, code) in rows {
        let answer = ask(&mut conversation, method, params.clone());
        assert_eq!(answer["error"]["code"], code, "{method} {params}: {answer}");
        assert!(code != -32002 || answer["error"]["data"]["uri"] == params["uri"]);
    }
}

#[test]
fn error_messages_stay_short_whatever_they_quote() {
    let mut conversation = settled(Revision::V2025_11_25, &[]);
    let message = ask(&mut conversation, &"no\n".repeat(5000), json!({}))["error"]["message"].clone();
    let message = message.as_str().unwrap();
    assert!(message.len() < 200 && !message.contains('\n'), "{message}");
}

#[test]
fn resources_prompts_completions_and_levels_work() {
    let mut conversation = settled(Revision::V2025_11_25, &[]);
    for (uri, member) in [
        ("docs://readme", "text"),
        ("docs://logo", "blob"),
        ("config://app/name", "text"),
    ] {
        let contents = ask(&mut conversation, "resources/read", json!({ "uri": uri }))["result"]["contents"].clone();
        assert!(
            contents[0]["uri"] == uri && contents[0][member].is_string(),
            "{contents}"
        );
    }
    for method in ["resources/subscribe", "resources/unsubscribe"] {
        assert_eq!(
            ask(&mut conversation, method, json!({ "uri": "docs://readme" }))["result"],
            json!({})
        );
    }
    let arguments = json!({ "pr_url": "https://example.com/1", "focus": "tests" });
    let review = ask(
        &mut conversation,
        "prompts/get",
        json!({ "name": "code_review_prompt", "arguments": arguments }),
    );
    let text = review["result"]["messages"][0]["content"]["text"].as_str().unwrap();
    assert!(text.contains("https://example.com/1") && text.contains("tests"));
    assert!(ask(&mut conversation, "prompts/get", json!({ "name": "greeting" }))["result"]["messages"].is_array());
    let template = json!({ "type": "ref/resource", "uri": "config://app/{key}" });
    let prefix = json!({ "name": "key", "value": "re" });
    let completed = ask(
        &mut conversation,
        "completion/complete",
        json!({ "ref": template, "argument": prefix }),
    );
    let expected = json!({ "values": ["region", "retries"], "total": 2, "hasMore": false });
    assert_eq!(completed["result"]["completion"], expected);
    assert_eq!(
        ask(&mut conversation, "logging/setLevel", json!({ "level": "notice" }))["result"],
        json!({})
    );
}

#[test]
fn lists_lead_from_page_to_page() {
    let mut conversation = settled(Revision::V2025_06_18, &[]);
    for (method, member, count) in [
        ("tools/list", "tools", 26),
        ("resources/list", "resources", 7),
        ("resources/templates/list", "resourceTemplates", 2),
        ("prompts/list", "prompts", 8),
    ] {
        let (mut params, mut seen) = (json!({}), 0);
        loop {
            let result = ask(&mut conversation, method, params)["result"].clone();
            seen += result[member].as_array().unwrap().len();
            let Some(cursor) = result.get("nextCursor") else { break };
            params = json!({ "cursor": cursor });
        }
        assert_eq!(seen, count, "{method}");
    }
}

#[test]
fn faults_in_answers_change_only_what_they_name() {
    let last = Revision::V2025_11_25;
    assert_eq!(ask(&mut settled(last, &["id-stringify"]), "ping", json!({}))["id"], "1");

    let failed = call(&mut settled(last, &["missing-is-error"]), "risky_tool", json!({}));
    assert!(failed["result"].get("isError").is_none() && failed["result"]["content"].is_array());

    let tools = ask(&mut settled(last, &["schema-invalid-result"]), "tools/list", json!({}));
    assert!(
        tools["result"]["tools"]
            .as_array()
            .unwrap()
            .iter()
            .all(|tool| tool["description"].is_number())
    );

    let mut lying = settled(last, &["cap-lie"]);
    assert!(one(&mut lying, initialize("2025-11-25"))["result"]["capabilities"]["prompts"].is_object());
    for method in ["prompts/list", "prompts/get"] {
        assert_eq!(
            ask(&mut lying, method, json!({ "name": "greeting" }))["error"]["code"],
            -32601
        );
    }
}

#[test]
fn faults_in_traffic_change_only_what_they_name() {
    let last = Revision::V2025_11_25;
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let notification = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

    let mut doubling = settled(last, &["dup-response"]);
    let twice = messages(&mut doubling, ping);
    assert!(twice.len() == 2 && twice[0] == twice[1]);
    assert!(messages(&mut doubling, notification).is_empty());

    let mut replying = settled(last, &["reply-notif"]);
    assert_eq!(
        one(&mut replying, notification),
        json!({ "jsonrpc": "2.0", "id": null, "result": {} })
    );
    assert_eq!(one(&mut replying, ping)["id"], 1);

    let mut dying = settled(last, &["die-malformed"]);
    assert!(matches!(dying.receive(b"garbage").as_slice(), [Output::Exit(1)]));
    assert_eq!(one(&mut dying, "{}")["error"]["code"], -32600);
}

#[test]
fn every_fault_is_found_by_its_id_and_names_what_catches_it() {
    for fault in faults() {
        assert_eq!(find(fault.id).unwrap().id, fault.id);
        let variant = fault.id.starts_with("variant-");
        assert_eq!(fault.caught_by.is_empty(), variant, "{}", fault.id);
        assert!(!fault.transports.is_empty());
    }
    let unknown = find("no-such").unwrap_err().to_string();
    assert!(faults().all(|fault| unknown.contains(fault.id)), "{unknown}");
}
