//! Questions to the client: asked, answered, refused, forgotten.

use super::*;

fn settled(revision: Revision, capabilities: Value) -> Conversation {
    let mut conversation = Conversation::new(&Options::default());
    let client = json!({ "name": "t", "version": "1" });
    let params = json!({ "protocolVersion": revision.as_str(), "capabilities": capabilities, "clientInfo": client });
    let initialize = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
    conversation.receive(initialize.to_string().as_bytes());
    conversation
}

/// The messages the value leads to.
fn send(conversation: &mut Conversation, message: Value) -> Vec<Value> {
    shown(conversation.receive(message.to_string().as_bytes()))
}

fn shown(outputs: Vec<Output>) -> Vec<Value> {
    let messages = outputs.into_iter().filter_map(|output| match output {
        Output::Message { message, .. } | Output::Aside(message) => Some(message),
        _ => None,
    });
    messages
        .map(|message| serde_json::from_slice(&message.to_bytes()).unwrap())
        .collect()
}

fn call(conversation: &mut Conversation, id: u64, tool: &str, arguments: Value) -> Vec<Value> {
    let params = json!({ "name": tool, "arguments": arguments });
    send(
        conversation,
        json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params }),
    )
}

fn reply(conversation: &mut Conversation, id: &Value, result: Value) -> Vec<Value> {
    send(conversation, json!({ "jsonrpc": "2.0", "id": id, "result": result }))
}

fn spoken(text: &str) -> Value {
    json!({ "role": "assistant", "model": "m", "content": { "type": "text", "text": text } })
}

#[test]
fn a_question_is_answered_once_and_by_its_exact_id() {
    let mut conversation = settled(Revision::V2025_06_18, json!({ "sampling": {} }));
    let asked = call(&mut conversation, 7, "test_sampling", json!({ "prompt": "Hi" }));
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0]["method"], "sampling/createMessage");
    assert_eq!(asked[0]["params"]["messages"][0]["content"]["text"], "Hi");
    assert!(reply(&mut conversation, &json!("1"), spoken("No")).is_empty());
    assert!(reply(&mut conversation, &json!(99), spoken("No")).is_empty());
    let answer = reply(&mut conversation, &asked[0]["id"], spoken("Yes"));
    assert_eq!(answer[0]["id"], 7);
    assert_eq!(answer[0]["result"]["content"][0]["text"], "LLM response: Yes");
    assert!(reply(&mut conversation, &asked[0]["id"], spoken("Again")).is_empty());
}

#[test]
fn refusals_and_nonsense_are_failures_of_the_tool() {
    let error = json!({ "error": { "code": -1, "message": "no" } });
    let replies = [
        error,
        json!({ "error": 5 }),
        json!({ "result": {} }),
        json!({ "result": 7 }),
        json!({ "result": { "role": "assistant", "content": { "type": "hologram" } } }),
    ];
    let mut conversation = settled(Revision::V2025_11_25, json!({ "sampling": {} }));
    for mut answer in replies {
        let asked = call(&mut conversation, 1, "test_sampling", json!({ "prompt": "Hi" }));
        answer["jsonrpc"] = json!("2.0");
        answer["id"] = asked[0]["id"].clone();
        let failed = send(&mut conversation, answer.clone());
        assert_eq!(failed[0]["result"]["isError"], true, "{answer}");
    }
}

#[test]
fn nobody_is_asked_for_what_was_not_declared() {
    for tool in [
        "test_list_roots",
        "test_sampling_with_tools",
        "test_elicitation_sep1034_defaults",
        "test_elicitation_url",
        "test_url_elicitation_required",
    ] {
        let mut conversation = settled(Revision::V2025_11_25, json!({}));
        let answer = call(&mut conversation, 1, tool, json!({}));
        assert_eq!(answer[0]["result"]["isError"], true, "{tool}");
    }
    let mut conversation = settled(Revision::V2025_11_25, json!({ "elicitation": { "url": {} } }));
    let answer = call(&mut conversation, 1, "test_elicitation", json!({ "message": "m" }));
    assert_eq!(answer[0]["result"]["isError"], true);
    let answer = call(&mut conversation, 1, "test_url_elicitation_required", json!({}));
    assert_eq!(answer[0]["error"]["code"], -32042);
}

#[test]
fn a_cancelled_request_or_one_without_answer_leaves_no_question() {
    let mut conversation = settled(Revision::V2025_06_18, json!({ "sampling": {} }));
    let asked = call(&mut conversation, 7, "test_sampling", json!({ "prompt": "Hi" }));
    let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 7 } });
    assert!(send(&mut conversation, cancel).is_empty());
    assert!(conversation.questions.is_empty());
    assert!(reply(&mut conversation, &asked[0]["id"], spoken("Late")).is_empty());

    let asked = call(&mut conversation, 8, "test_impatient_request", json!({}));
    let id = asked[0]["id"].as_u64().unwrap();
    let given_up = shown(conversation.wake(id));
    assert_eq!(given_up[0]["params"]["requestId"], id);
    assert_eq!(given_up[1]["result"]["isError"], false);
    assert!(reply(&mut conversation, &asked[0]["id"], json!({})).is_empty());
    assert!(shown(conversation.wake(id)).is_empty());
}

#[test]
fn a_model_may_use_tools_for_some_turns() {
    let mut conversation = settled(Revision::V2025_11_25, json!({ "sampling": { "tools": {} } }));
    let mut asked = call(&mut conversation, 1, "test_sampling_with_tools", json!({}));
    let wish = json!({ "type": "tool_use", "id": "a", "name": "get_weather", "input": { "city": "Bern" } });
    let mut turns = 0;
    while let Some("sampling/createMessage") = asked[0]["method"].as_str() {
        turns += 1;
        let messages = asked[0]["params"]["messages"].as_array().unwrap();
        let last = &messages[messages.len() - 1];
        assert!(turns == 1 || last["content"][0]["toolUseId"] == "a");
        let id = asked[0]["id"].clone();
        asked = reply(
            &mut conversation,
            &id,
            json!({ "role": "assistant", "model": "m", "content": [wish] }),
        );
    }
    assert_eq!((turns, &asked[0]["result"]["isError"]), (5, &json!(true)));
}

#[test]
fn subscribers_alone_are_told() {
    let mut conversation = settled(Revision::V2025_06_18, json!({}));
    let subscribe = |method: &str| {
        let params = json!({ "uri": "test://watched-resource" });
        json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
    };
    assert_eq!(call(&mut conversation, 2, "test_change_resource", json!({})).len(), 1);
    send(&mut conversation, subscribe("resources/subscribe"));
    assert_eq!(call(&mut conversation, 2, "test_change_resource", json!({})).len(), 2);
    send(&mut conversation, subscribe("resources/unsubscribe"));
    assert_eq!(call(&mut conversation, 2, "test_change_resource", json!({})).len(), 1);
}

#[test]
fn only_wanted_levels_are_logged() {
    let mut conversation = settled(Revision::V2025_06_18, json!({}));
    for (level, messages) in [("debug", 8), ("warning", 5), ("emergency", 1)] {
        let params = json!({ "level": level });
        send(
            &mut conversation,
            json!({ "jsonrpc": "2.0", "id": 1, "method": "logging/setLevel", "params": params }),
        );
        let logged = call(&mut conversation, 2, "test_logging_levels", json!({}));
        assert_eq!(logged.len(), messages + 1, "{level}");
    }
}
