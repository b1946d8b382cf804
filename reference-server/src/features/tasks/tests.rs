//! Tasks by the clock of the test: what is told of them at which time.

use std::time::Duration;

use serde_json::{Value, json};

use crate::conversation::{Conversation, Options, Output};
use crate::envelope::Message;
use crate::revision::Revision;

/// A conversation and its clock.
struct Client {
    conversation: Conversation,
    now: Duration,
}

impl Client {
    fn new(revision: Revision) -> Self {
        let mut client = Self {
            conversation: Conversation::new(&Options::default()),
            now: Duration::from_secs(1_764_066_600),
        };
        let info = json!({ "name": "test", "version": "1" });
        let params = json!({ "protocolVersion": revision.as_str(), "capabilities": {}, "clientInfo": info });
        client.outputs("initialize", params);
        client
    }

    /// Shakes hands once more, as a client that shows forms.
    fn client_shows_forms(&mut self) {
        let info = json!({ "name": "test", "version": "1" });
        let capabilities = json!({ "elicitation": {} });
        let params = json!({ "protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": info });
        self.outputs("initialize", params);
    }

    /// Answers a question of the server.
    fn reply(&mut self, id: &Value, result: Value) -> Vec<Output> {
        let reply = json!({ "jsonrpc": "2.0", "id": id, "result": result });
        self.conversation.advance(self.now);
        self.conversation.receive(reply.to_string().as_bytes())
    }

    fn outputs(&mut self, method: &str, params: Value) -> Vec<Output> {
        let request = json!({ "jsonrpc": "2.0", "id": method, "method": method, "params": params });
        self.conversation.advance(self.now);
        self.conversation.receive(request.to_string().as_bytes())
    }

    /// The last message that a request leads to, and when.
    fn ask_when(&mut self, method: &str, params: Value) -> (Value, Duration) {
        match self.outputs(method, params).pop() {
            Some(Output::Message { message, after, .. }) => (value(&message), after),
            other => panic!("{other:?}"),
        }
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.ask_when(method, params).0
    }

    fn begin(&mut self, tool: &str, arguments: Value, task: Value) -> Value {
        let params = json!({ "name": tool, "arguments": arguments, "task": task });
        self.ask("tools/call", params)["result"]["task"].clone()
    }

    fn pass(&mut self, milliseconds: u64) {
        self.now += Duration::from_millis(milliseconds);
    }
}

fn value(message: &Message) -> Value {
    serde_json::from_slice(&message.to_bytes()).unwrap()
}

#[test]
fn a_task_works_then_is_done_and_gives_what_the_plain_call_gives() {
    let mut client = Client::new(Revision::V2025_11_25);
    let arguments = json!({ "milliseconds": 200 });
    let task = client.begin("slow_compute", arguments.clone(), json!({ "ttl": 1000 }));
    assert_eq!((&task["status"], &task["ttl"]), (&json!("working"), &json!(1000)));
    let named = json!({ "taskId": task["taskId"] });
    client.pass(50);
    assert_eq!(client.ask("tasks/get", named.clone())["result"]["status"], "working");
    let (early, after) = client.ask_when("tasks/result", named.clone());
    assert_eq!(after, Duration::from_millis(150));
    client.pass(150);
    let told = client.ask("tasks/get", named.clone())["result"].clone();
    assert_eq!(
        (&told["status"], told.get("statusMessage")),
        (&json!("completed"), None)
    );
    assert_eq!(told["lastUpdatedAt"], "2025-11-25T10:30:00.200Z");
    let (late, after) = client.ask_when("tasks/result", named.clone());
    assert_eq!((after, &late), (Duration::ZERO, &early));
    let plain = client.ask("tools/call", json!({ "name": "slow_compute", "arguments": arguments }));
    assert_eq!(late["result"]["content"], plain["result"]["content"]);
    let related = &late["result"]["_meta"]["io.modelcontextprotocol/related-task"];
    assert_eq!(related, &named);
    client.pass(900);
    assert_eq!(
        client.ask("tasks/get", named)["error"]["code"],
        -32602,
        "it has expired"
    );
}

#[test]
fn a_cancelled_task_stays_so_and_whoever_waits_for_it_is_told() {
    let mut client = Client::new(Revision::V2025_11_25);
    let task = client.begin("slow_compute", json!({ "milliseconds": 200 }), json!({}));
    let named = json!({ "taskId": task["taskId"] });
    client.ask("tasks/result", named.clone());
    let outputs = client.outputs("tasks/cancel", named.clone());
    let [Output::Settle { request, messages }, Output::Message { message, .. }] = outputs.as_slice() else {
        panic!("{outputs:?}")
    };
    assert_eq!(request, "tasks/result");
    assert_eq!(value(&messages[0])["params"]["status"], "cancelled");
    assert_eq!(value(&messages[1])["error"]["code"], -32602);
    assert_eq!(value(message)["result"]["status"], "cancelled");
    client.pass(500);
    assert_eq!(client.ask("tasks/get", named.clone())["result"]["status"], "cancelled");
    assert_eq!(client.ask("tasks/cancel", named)["error"]["code"], -32602);
}

#[test]
fn failures_are_told_as_the_request_would_have_told_them() {
    let mut client = Client::new(Revision::V2025_11_25);
    for (tool, pointer, found) in [
        ("failing_job", "/result/isError", json!(true)),
        ("protocol_error_job", "/error/code", json!(-32603)),
    ] {
        let task = client.begin(tool, json!({}), json!({}));
        let named = json!({ "taskId": task["taskId"] });
        client.pass(20);
        let told = client.ask("tasks/get", named.clone())["result"].clone();
        assert!(
            told["status"] == "failed" && told["statusMessage"].is_string(),
            "{told}"
        );
        assert_eq!(client.ask("tasks/result", named).pointer(pointer), Some(&found));
    }
}

#[test]
fn the_list_has_every_task_once_and_refuses_foreign_cursors() {
    let mut client = Client::new(Revision::V2025_11_25);
    let begun: Vec<Value> = (0..7)
        .map(|_| client.begin("failing_job", json!({}), json!({}))["taskId"].clone())
        .collect();
    let (mut listed, mut params) = (Vec::new(), json!({}));
    loop {
        let page = client.ask("tasks/list", params)["result"].clone();
        listed.extend(
            page["tasks"]
                .as_array()
                .unwrap()
                .iter()
                .map(|task| task["taskId"].clone()),
        );
        let Some(cursor) = page.get("nextCursor") else { break };
        params = json!({ "cursor": cursor });
    }
    assert_eq!(listed, begun);
    let refused = client.ask("tasks/list", json!({ "cursor": "made up" }));
    assert_eq!(refused["error"]["code"], -32602);
}

#[test]
fn tools_choose_and_other_revisions_know_nothing() {
    let mut client = Client::new(Revision::V2025_11_25);
    let call = |name: &str, task: Option<Value>| {
        let mut params = json!({ "name": name, "arguments": { "a": 1, "b": 2 } });
        if let Some(task) = task {
            params["task"] = task;
        }
        params
    };
    for (params, code) in [
        (call("add", Some(json!({}))), -32601),
        (call("echo", Some(json!({}))), -32601),
        (call("failing_job", None), -32601),
        (call("slow_compute", Some(json!(5))), -32602),
        (call("slow_compute", Some(json!({ "ttl": -1 }))), -32602),
    ] {
        assert_eq!(client.ask("tools/call", params)["error"]["code"], code);
    }
    let ages = client.begin("failing_job", json!({}), json!({ "ttl": 315_360_000_000_u64 }));
    assert_eq!(ages["ttl"], 3_600_000);
    let mut client = Client::new(Revision::V2025_06_18);
    assert_eq!(client.ask("tasks/list", json!({}))["error"]["code"], -32601);
    assert_eq!(
        client.ask("tools/call", call("failing_job", None))["error"]["code"],
        -32602
    );
    let plain = client.ask("tools/call", call("add", Some(json!({}))));
    assert_eq!(plain["result"]["content"][0]["text"], "3");
}

#[test]
fn a_task_with_a_question_asks_whoever_waits_for_its_result() {
    let mut client = Client::new(Revision::V2025_11_25);
    client.client_shows_forms();
    let task = client.begin("test_task_elicitation", json!({}), json!({}));
    assert_eq!(task["status"], "working");
    let named = json!({ "taskId": task["taskId"] });
    let status = |client: &mut Client| client.ask("tasks/get", named.clone())["result"]["status"].clone();
    client.pass(50);
    assert_eq!(status(&mut client), "input_required");
    let outputs = client.outputs("tasks/result", named.clone());
    let Some(Output::Message { message, .. }) = outputs.first() else {
        panic!("{outputs:?}")
    };
    let question = value(message);
    assert_eq!(question["method"], "elicitation/create");
    let related = &question["params"]["_meta"]["io.modelcontextprotocol/related-task"];
    assert_eq!(related, &named);
    assert_eq!(status(&mut client), "input_required");
    let outputs = client.reply(&question["id"], json!({ "action": "decline" }));
    let [
        Output::Message { message: told, .. },
        Output::Message { message: result, .. },
    ] = outputs.as_slice()
    else {
        panic!("{outputs:?}")
    };
    assert_eq!(value(told)["params"]["status"], "completed");
    assert_eq!(value(result)["id"], "tasks/result");
    assert_eq!(status(&mut client), "completed");
}

#[test]
fn a_task_that_is_cancelled_has_no_question_any_more() {
    let mut client = Client::new(Revision::V2025_11_25);
    client.client_shows_forms();
    let task = client.begin("test_task_elicitation", json!({}), json!({}));
    let named = json!({ "taskId": task["taskId"] });
    let outputs = client.outputs("tasks/result", named.clone());
    let Some(Output::Message { message, .. }) = outputs.first() else {
        panic!("{outputs:?}")
    };
    let question = value(message)["id"].clone();
    let outputs = client.outputs("tasks/cancel", named.clone());
    assert!(matches!(outputs.first(), Some(Output::Settle { .. })), "{outputs:?}");
    let outputs = client.reply(&question, json!({ "action": "decline" }));
    assert!(outputs.is_empty(), "{outputs:?}");
    assert_eq!(client.ask("tasks/get", named)["result"]["status"], "cancelled");
}
