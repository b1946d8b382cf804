//! Subscriptions, from the acknowledgement to the end.

use super::*;

const TAG: &str = "io.modelcontextprotocol/subscriptionId";

fn listen(client: &mut Client, id: &Value, filter: &Value) -> Vec<Value> {
    let params = json!({ "_meta": client.meta(), "notifications": filter });
    let request = json!({ "jsonrpc": "2.0", "id": id, "method": "subscriptions/listen", "params": params });
    client.send(&request.to_string())
}

/// What is told while a tool is called, without the response.
fn told(client: &mut Client, tool: &str) -> Vec<Value> {
    let params = json!({ "name": tool, "arguments": {} });
    let mut said = client.all("tools/call", params, json!({}));
    said.retain(|message| message.get("method").is_some());
    said
}

#[test]
fn listeners_are_told_what_they_asked_for_and_nothing_else() {
    let mut client = Client::new(&[]);
    assert!(told(&mut client, "test_change_lists").is_empty());
    let asked = json!({
        "toolsListChanged": true,
        "promptsListChanged": false,
        "resourceSubscriptions": ["test://watched-resource", "no:such"],
        "com.example/x": true,
    });
    let honoured = json!({ "toolsListChanged": true, "resourceSubscriptions": ["test://watched-resource"] });
    for id in [json!(0), json!("L-1")] {
        let acknowledged = listen(&mut client, &id, &asked);
        assert_eq!(acknowledged.len(), 1);
        client.official.check_message("", &acknowledged[0]);
        assert_eq!(acknowledged[0]["method"], "notifications/subscriptions/acknowledged");
        let params = json!({ "notifications": honoured, "_meta": { TAG: id } });
        assert_eq!(acknowledged[0]["params"], params);
    }
    let lists = told(&mut client, "test_change_lists");
    let tags: Vec<&Value> = lists.iter().map(|message| &message["params"]["_meta"][TAG]).collect();
    assert_eq!(tags, [&json!(0), &json!("L-1")]);
    assert!(
        lists
            .iter()
            .all(|message| message["method"] == "notifications/tools/list_changed")
    );
    assert_eq!(told(&mut client, "test_change_resource").len(), 2);
    assert_eq!(told(&mut client, "test_trigger_prompt_change").len(), 0);
    client.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":0}}"#);
    let left = told(&mut client, "test_change_resource");
    assert_eq!((left.len(), &left[0]["params"]["_meta"][TAG]), (1, &json!("L-1")));
    let ended = spoken(&client.conversation.end());
    assert_eq!((ended.len(), &ended[0]["id"]), (1, &json!("L-1")));
    assert_eq!(ended[0]["result"]["_meta"][TAG], "L-1");
    client.official.check_message("subscriptions/listen", &ended[0]);
    assert!(told(&mut client, "test_change_resource").is_empty());
}

#[test]
fn listeners_hear_of_tasks() {
    let mut client = Client::new(&[]);
    let handle = client.call("slow_compute", json!({ "seconds": 60 }));
    let id = handle["result"]["taskId"].clone();
    let acknowledged = listen(&mut client, &json!(7), &json!({ "taskIds": [id, "no-such"] }));
    assert_eq!(acknowledged[0]["params"]["notifications"], json!({ "taskIds": [id] }));
    let said = client.all("tasks/cancel", json!({ "taskId": id }), json!({}));
    let news = said.iter().find(|message| message["method"] == "notifications/tasks");
    let mut told = news.unwrap()["params"].clone();
    assert_eq!(told["_meta"][TAG], 7);
    let mut task = client.ask("tasks/get", json!({ "taskId": id }))["result"].clone();
    for value in [&mut task, &mut told] {
        value["_meta"] = json!(null);
        value["resultType"] = json!(null);
    }
    assert_eq!(task, told);
}

#[test]
fn those_who_share_a_conversation_are_not_confused_by_their_ids() {
    let mut client = Client::new(&[]);
    client.conversation = Conversation::shared(&Options::default());
    // Without a header nothing is refused for it, so that the client can speak as it does over stdio.
    listen(&mut client, &json!(1), &json!({ "toolsListChanged": true }));
    listen(&mut client, &json!(1), &json!({ "promptsListChanged": true }));
    client.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#);
    assert_eq!(told(&mut client, "test_change_lists").len(), 2);
    client.conversation.forget_listener(1);
    let left = told(&mut client, "test_change_lists");
    assert_eq!(left[0]["method"], "notifications/prompts/list_changed");
}
