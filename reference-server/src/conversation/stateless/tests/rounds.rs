//! Results that wait for input, and tasks.

use super::*;

fn accepted(content: Value) -> Value {
    json!({ "action": "accept", "content": content })
}

/// An answer to each question, as an agreeable client gives it.
fn answers(questions: &Value) -> Value {
    let value = |field: &Value| match field["type"].as_str().unwrap() {
        "boolean" => json!(true),
        "integer" | "number" => json!(3),
        "array" => json!([]),
        _ if field["format"] == "email" => json!("a@example.com"),
        _ => json!("Tester"),
    };
    let answer = |question: &Value| match question["method"].as_str().unwrap() {
        "elicitation/create" if question["params"]["mode"] == "url" => json!({ "action": "accept" }),
        "elicitation/create" => {
            let fields = question["params"]["requestedSchema"]["properties"].as_object().unwrap();
            accepted(
                fields
                    .iter()
                    .map(|(name, field)| (name.clone(), value(field)))
                    .collect(),
            )
        }
        "sampling/createMessage" => {
            json!({ "role": "assistant", "model": "m", "content": { "type": "text", "text": "Paris" } })
        }
        _ => json!({ "roots": [{ "uri": "file:///a" }] }),
    };
    let questions = questions.as_object().unwrap().iter();
    questions
        .map(|(key, question)| (key.clone(), answer(question)))
        .collect()
}

/// Calls, and answers what is asked until there is a result; each round on a server of its own.
fn completed(method: &str, params: &Value) -> (Value, usize) {
    let (mut asked, mut rounds) = (params.clone(), 0);
    loop {
        let result = Client::new(&[]).ask(method, asked)["result"].clone();
        if result["resultType"] != "input_required" {
            return (result, rounds);
        }
        rounds += 1;
        assert!(rounds < 10);
        asked = params.clone();
        asked["inputResponses"] = answers(&result["inputRequests"]);
        if let Some(state) = result.get("requestState") {
            asked["requestState"] = state.clone();
        }
    }
}

#[test]
fn retries_go_on_with_what_they_bring_on_any_server() {
    for (tool, rounds, text) in [
        ("test_input_required_result_elicitation", 1, "Hello, Tester!"),
        ("test_input_required_result_sampling", 1, "LLM response: Paris"),
        ("test_input_required_result_list_roots", 1, "1 roots: file:///a"),
        ("test_input_required_result_request_state", 1, "state-ok: confirmed"),
        (
            "test_input_required_result_multiple_inputs",
            1,
            "Answered: user_name, greeting, client_roots",
        ),
        ("test_input_required_result_multi_round", 2, "Tester likes Tester"),
        ("test_elicitation_url", 1, "User response: action=accept"),
    ] {
        let (result, asked) = completed("tools/call", &json!({ "name": tool, "arguments": {} }));
        assert_eq!((asked, &result["content"][0]["text"]), (rounds, &json!(text)), "{tool}");
    }
    let prompt = json!({ "name": "test_input_required_result_prompt" });
    let (result, asked) = completed("prompts/get", &prompt);
    assert!(asked == 1 && result["messages"].is_array());
}

#[test]
fn only_the_answers_to_what_was_asked_count() {
    let mut client = Client::new(&[]);
    let tool = "test_input_required_result_elicitation";
    let mut ask = |responses: Value| {
        let params = json!({ "name": tool, "arguments": {}, "inputResponses": responses });
        client.ask("tools/call", params)
    };
    let named = accepted(json!({ "name": "A" }));
    for responses in [json!({}), json!({ "wrong": named })] {
        assert_eq!(ask(responses)["result"]["resultType"], "input_required");
    }
    let with_more = ask(json!({ "user_name": named, "more": 5 }));
    assert_eq!(with_more["result"]["resultType"], "complete");
    for responses in [
        json!(null),
        json!([]),
        json!({ "user_name": 12345 }),
        json!({ "user_name": { "action": "maybe" } }),
    ] {
        assert_eq!(code(&ask(responses)), -32602);
    }
    for (answer, failed) in [
        (json!({ "action": "decline" }), false),
        (json!({ "action": "cancel" }), false),
        (accepted(json!({ "name": 5 })), true),
    ] {
        assert_eq!(ask(json!({ "user_name": answer }))["result"]["isError"], failed);
    }
    // A later round cannot be answered before it was asked.
    let both = json!({ "step1": named, "step2": accepted(json!({ "color": "B" })) });
    let early = json!({ "name": "test_input_required_result_multi_round", "inputResponses": both });
    assert_eq!(
        client.ask("tools/call", early)["result"]["resultType"],
        "input_required"
    );
    let unasked = json!({ "name": "echo", "arguments": { "text": "a" }, "inputResponses": { "x": named } });
    assert_eq!(client.ask("tools/call", unasked)["result"]["content"][0]["text"], "a");
}

#[test]
fn a_state_is_good_for_its_request_and_for_some_time() {
    let mut client = Client::new(&[]);
    let tool = "test_input_required_result_tampered_state";
    let first = client.call(tool, json!({}))["result"].clone();
    let state = first["requestState"].as_str().unwrap().to_owned();
    let retry = |name: &str, arguments: Value, state: Value| {
        let responses = json!({ "confirm": accepted(json!({ "ok": true })) });
        json!({ "name": name, "arguments": arguments, "inputResponses": responses, "requestState": state })
    };
    let good = retry(tool, json!({}), json!(state));
    let text = client.ask("tools/call", good.clone())["result"]["content"][0]["text"].clone();
    assert_eq!(text, "state-ok: confirmed");
    let other = "test_input_required_result_request_state";
    for bad in [
        retry(tool, json!({}), json!(format!("{state}-TAMPERED"))),
        retry(tool, json!({}), json!(&state[1..])),
        retry(tool, json!({}), json!("x".repeat(100_000))),
        retry(tool, json!({}), json!(5)),
        retry(other, json!({}), json!(state)),
        retry("echo", json!({ "text": "a" }), json!(state)),
    ] {
        assert_eq!(code(&client.ask("tools/call", bad)), -32602);
    }
    client.conversation.advance(Duration::from_secs(1_800_000_000 + 3600));
    assert_eq!(code(&client.ask("tools/call", good)), -32602);
}

#[test]
fn only_what_the_client_has_declared_is_asked() {
    for (capabilities, methods) in [
        (json!({ "sampling": {} }), vec!["sampling/createMessage"]),
        (json!({ "elicitation": {} }), vec!["elicitation/create"]),
        (json!({ "elicitation": { "url": {} }, "roots": {} }), vec!["roots/list"]),
        (json!({}), vec![]),
    ] {
        let mut client = Client::new(&[]).with(capabilities);
        let result = client.call("test_input_required_result_capabilities", json!({}))["result"].clone();
        let asked = result["inputRequests"].as_object().into_iter().flatten();
        let asked: Vec<&str> = asked
            .map(|(_, question)| question["method"].as_str().unwrap())
            .collect();
        assert_eq!(asked, methods);
    }
    let mut client = Client::new(&[]);
    client.call("test_list_roots", json!({}));
    client.capabilities = json!({});
    assert_eq!(client.call("test_list_roots", json!({}))["result"]["isError"], true);
}

fn begun(client: &mut Client, tool: &str, arguments: Value) -> Value {
    let handle = client.call(tool, arguments)["result"].clone();
    let told = (&handle["resultType"], &handle["status"]);
    assert_eq!(told, (&json!("task"), &json!("working")), "{tool}");
    handle["taskId"].clone()
}

fn state_of(client: &mut Client, id: &Value) -> Value {
    client.ask("tasks/get", json!({ "taskId": id }))["result"].clone()
}

#[test]
fn tasks_go_from_their_handle_to_their_end() {
    let mut client = Client::new(&[]);
    let slow = begun(&mut client, "slow_compute", json!({ "seconds": 2 }));
    assert_eq!(state_of(&mut client, &slow)["status"], "working");
    let stopped = begun(&mut client, "slow_compute", json!({ "seconds": 60 }));
    for _ in 0..2 {
        let ack = client.ask("tasks/cancel", json!({ "taskId": stopped }))["result"].clone();
        assert!(ack["resultType"] == "complete" && ack.get("status").is_none());
        assert_eq!(state_of(&mut client, &stopped)["status"], "cancelled");
    }
    let failing = begun(&mut client, "failing_job", json!({}));
    let broken = begun(&mut client, "protocol_error_job", json!({}));
    client.conversation.advance(Duration::from_secs(1_800_000_003));
    let text = state_of(&mut client, &slow)["result"]["content"][0]["text"].clone();
    assert_eq!(text, "Computed computation");
    assert_eq!(state_of(&mut client, &failing)["result"]["isError"], true);
    let broken = state_of(&mut client, &broken);
    assert!(broken["status"] == "failed" && broken["error"]["code"] == -32603);
    assert!(broken["statusMessage"].is_string());
    for (method, id) in [
        ("tasks/get", json!("x")),
        ("tasks/cancel", json!(5)),
        ("tasks/get", json!("")),
    ] {
        assert_eq!(code(&client.ask(method, json!({ "taskId": id }))), -32602);
    }
    client.capabilities = json!({});
    let alone = client.call("slow_compute", json!({ "seconds": 60 }))["result"].clone();
    assert_eq!(alone["resultType"], "complete");
}

#[test]
fn tasks_ask_and_are_told() {
    let mut client = Client::new(&[]);
    let asking = begun(&mut client, "multi_input", json!({}));
    assert_eq!(state_of(&mut client, &asking)["status"], "input_required");
    for (responses, left) in [
        (json!({ "unknown": {} }), 2),
        (json!({ "first": accepted(json!({ "name": "A" })) }), 1),
    ] {
        let update = json!({ "taskId": asking, "inputResponses": responses });
        client.ask("tasks/update", update);
        let open = state_of(&mut client, &asking)["inputRequests"].clone();
        assert_eq!(open.as_object().unwrap().len(), left);
    }
    let rest = json!({ "second": accepted(json!({ "confirm": true })) });
    client.ask("tasks/update", json!({ "taskId": asking, "inputResponses": rest }));
    let text = state_of(&mut client, &asking)["result"]["content"][0]["text"].clone();
    assert_eq!(text, "2 of 2 questions were answered");

    let (handle, rounds) = completed("tools/call", &json!({ "name": "test_tool_with_task", "arguments": {} }));
    assert!(rounds == 1 && handle["resultType"] == "task");
    assert!(handle.get("requestState").is_none());
}
