//! Every fault of the era shows: a long conversation goes otherwise than with the correct server.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::super::{Fault, faults};
use super::*;
use crate::conversation::{Conversation, Options};
use crate::envelope::Message;

/// Faults that show in HTTP alone, between processes, or in pages of lists that this conversation does not get to; the kill matrix
/// tries them.
const ELSEWHERE: &[&str] = &[
    "listen-once",
    "auth-state-anybody",
    "auth-handle-anybody",
    "auth-task-anybody",
    "cursors-of-process",
    "list-by-connection",
    "eof-stay-idle",
    "page-https",
    "page-missing",
    "page-visibility",
    "page-flat-key",
    "list-after-read",
    "list-after-call",
    "schema-dangling",
    "schema-remote",
    "parameter-no-name",
    "parameter-odd-name",
    "parameter-same-name",
    "parameter-number",
    "parameter-unreachable",
    "parameter-secret",
];

/// A request without its metadata.
fn asked(method: &str, params: Value) -> (String, Value) {
    (method.to_owned(), params)
}

fn called(tool: &str, arguments: Value) -> (String, Value) {
    asked("tools/call", json!({ "name": tool, "arguments": arguments }))
}

/// What a client says, request by request; `$task` is the last task, `$state` the last state, `$handle` the last handle.
fn script() -> Vec<(String, Value)> {
    let accepted = |content: Value| json!({ "action": "accept", "content": content });
    let named = accepted(json!({ "name": "A", "ok": true, "confirm": true, "context": "c" }));
    let retry = |tool: &str, responses: Value| {
        asked(
            "tools/call",
            json!({ "name": tool, "arguments": {}, "inputResponses": responses }),
        )
    };
    let with_state = |tool: &str, state: &str| {
        let responses = json!({ "confirm": named });
        asked(
            "tools/call",
            json!({ "name": tool, "arguments": {}, "inputResponses": responses, "requestState": state }),
        )
    };
    let (form, tampered) = (
        "test_input_required_result_elicitation",
        "test_input_required_result_tampered_state",
    );
    let once = "test_input_required_result_once";
    let prompt = json!({ "type": "ref/prompt", "name": "code_review_prompt" });
    let mut script = vec![
        asked("tools/list", json!({})),
        asked("server/discover", json!({})),
        asked("server/discover", json!({})),
        asked("tools/list", json!({})),
        asked("tools/list", json!({ "cursor": "dG9vbHMgZnJvbSAz" })),
        asked("prompts/list", json!({})),
        asked("resources/list", json!({})),
        asked("resources/templates/list", json!({})),
        asked("resources/read", json!({ "uri": "docs://readme" })),
        asked("resources/read", json!({ "uri": "ui://reference/dashboard" })),
        asked("resources/read", json!({ "uri": "docs://none" })),
        asked("resources/list", json!({})),
        asked("prompts/get", json!({ "name": "greeting" })),
        asked("prompts/list", json!({})),
        asked(
            "completion/complete",
            json!({ "ref": prompt, "argument": { "name": "focus", "value": "" } }),
        ),
        asked("no/such", json!({})),
        called("no_such", json!({})),
        called("show_dashboard", json!({})),
        called("show_logo", json!({})),
        called("search_docs", json!({ "query": "tool" })),
        called("test_structured_array", json!({})),
        called("test_logging_levels", json!({})),
        called("test_open_handle", json!({})),
        called("test_use_handle", json!({ "handle": "$handle" })),
        called("slow", json!({ "milliseconds": 100 })),
        called("slow", json!({ "milliseconds": 0 })),
        called("test_missing_capability", json!({})),
        called("test_list_roots", json!({})),
        called("test_elicitation_url", json!({})),
        called("test_input_required_result_capabilities", json!({})),
        called(form, json!({})),
        retry(form, json!({ "user_name": named })),
        retry(form, json!({ "user_name": 5 })),
        retry(form, json!({ "user_name": named, "more": named })),
        retry(form, json!({})),
        asked(
            "tools/call",
            json!({ "name": "echo", "arguments": { "text": "a" }, "inputResponses": { "x": named } }),
        ),
        called(tampered, json!({})),
        with_state(tampered, "$state"),
        with_state("test_input_required_result_request_state", "$state"),
        with_state(tampered, "garbage"),
        called(once, json!({})),
        with_state(once, "$state"),
        with_state(once, "$state"),
        called("failing_job", json!({})),
        asked("tasks/get", json!({ "taskId": "$task" })),
        asked("tasks/get", json!({ "taskId": "none" })),
        asked("tasks/cancel", json!({ "taskId": "none" })),
        called("multi_input", json!({})),
        asked("tasks/get", json!({ "taskId": "$task" })),
        asked(
            "subscriptions/listen",
            json!({ "notifications": { "taskIds": ["$task", "none"] } }),
        ),
        asked(
            "tasks/update",
            json!({ "taskId": "$task", "inputResponses": { "first": named, "odd": {} } }),
        ),
        asked("tasks/get", json!({ "taskId": "$task" })),
        asked("tasks/cancel", json!({ "taskId": "$task" })),
        asked("tasks/get", json!({ "taskId": "$task" })),
        called("slow_compute", json!({ "seconds": 1 })),
        asked("tasks/get", json!({ "taskId": "$task" })),
        called("protocol_error_job", json!({})),
        asked("wait", json!({})),
        asked("tasks/get", json!({ "taskId": "$task" })),
        called("failing_job", json!({})),
        asked("wait", json!({})),
        asked("tasks/get", json!({ "taskId": "$task" })),
        called("slow_compute", json!({ "seconds": 1 })),
        asked("wait", json!({})),
        asked("tasks/get", json!({ "taskId": "$task" })),
        asked("tasks/get", json!({ "taskId": "$task" })),
        called("test_tool_with_task", json!({})),
        asked(
            "tools/call",
            json!({ "name": "slow_compute", "arguments": { "seconds": 1 }, "task": {} }),
        ),
        asked("subscriptions/listen", json!({})),
        asked(
            "subscriptions/listen",
            json!({ "notifications": { "toolsListChanged": true, "promptsListChanged": false } }),
        ),
        asked(
            "subscriptions/listen",
            json!({ "notifications": { "toolsListChanged": true, "com.example/x": true } }),
        ),
        called("test_change_lists", json!({})),
        called("test_tool_with_progress", json!({})),
        called("test_logging_levels", json!({})),
        called("slow", json!({ "milliseconds": 100 })),
        asked("cancel", json!({})),
        asked(
            "subscriptions/listen",
            json!({ "notifications": { "toolsListChanged": true } }),
        ),
        asked("cancel", json!({})),
        called("test_change_lists", json!({})),
        called("test_end_subscription", json!({ "subscription": "r71" })),
    ];
    for method in [
        "ping",
        "initialize",
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
    ] {
        script.push(asked(method, json!({})));
    }
    script.extend(["tasks/result", "tasks/list"].map(|method| asked(method, json!({}))));
    let with_label = |label: &str| {
        let arguments = match label {
            "none" => json!({ "options": { "label": label } }),
            _ => json!({ "region": "Hello", "options": { "label": label } }),
        };
        called("test_custom_headers", arguments)
    };
    script.extend(["good", "other", "missing", "broken", "none"].map(with_label));
    script.extend((0..14).map(|_| called(form, json!({}))));
    script
}

/// Ways to say who one is and what one can: all, nothing, and everything that is wrong.
fn metadata() -> Vec<Option<Value>> {
    let all =
        json!({ "elicitation": { "form": {}, "url": {} }, "sampling": {}, "roots": {}, "extensions": { TASKS: {} } });
    let good = json!({ VERSION: "2026-07-28", CAPABILITIES: all });
    let changed = |key: &str, value: Value| {
        let mut meta = good.clone();
        meta[key] = value;
        Some(meta)
    };
    let without = |key: &str| {
        let mut meta = good.clone();
        super::super::spoil::take(&mut meta, key);
        Some(meta)
    };
    let mut talkative = good.clone();
    talkative["progressToken"] = json!(1);
    talkative[LOG_LEVEL] = json!("error");
    talkative[CLIENT_INFO] = json!({ "name": "t", "version": "1" });
    talkative["traceparent"] = json!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    vec![
        Some(talkative),
        changed(CAPABILITIES, json!({})),
        without(VERSION),
        without(CAPABILITIES),
        changed(VERSION, json!(5)),
        changed(VERSION, json!("1900-01-01")),
        changed(VERSION, json!("2025-11-25")),
        changed(LOG_LEVEL, json!("loud")),
        None,
    ]
}

/// The transcript of the conversation under some faults, without what is random in it.
fn transcript(faults: &[&'static Fault], revisions: &[Revision], posted: bool) -> Vec<String> {
    // With one page the end of a list is seen at once, with many its cursors.
    let options = Options::new(revisions, faults, if posted { 1000 } else { 3 });
    let mut said = Vec::new();
    let mut conversation = match posted {
        true => Conversation::shared(&options),
        false => Conversation::new(&options),
    };
    let mut now = Duration::from_secs(1_800_000_000);
    conversation.advance(now);
    said.extend(spoken(&conversation.start()));
    let (mut task, mut state, mut handle) = (json!("none"), json!("none"), json!("none"));
    let (mut number, mut last) = (0_u64, json!(0));
    let (all, mut ways) = (script(), metadata());
    let talkative = ways.remove(0);
    let probes = [
        called("echo", json!({ "text": "a" })),
        asked("server/discover", json!({})),
        asked("subscriptions/listen", json!({ "notifications": { "taskIds": [] } })),
    ];
    let further = ways
        .iter()
        .flat_map(|way| probes.iter().map(move |request| (request.clone(), way.clone())));
    let undeclared = all.iter().filter(|(method, params)| {
        method == "tools/call" && params.get("inputResponses").is_none() || method == "tasks/get"
    });
    let requests: Vec<((String, Value), Option<Value>)> = all
        .iter()
        .map(|request| (request.clone(), talkative.clone()))
        .chain(further)
        .chain(undeclared.map(|request| (request.clone(), ways[0].clone())))
        .collect();
    for ((method, params), meta) in requests {
        number += 1;
        match method.as_str() {
            "wait" => {
                now += Duration::from_secs(2);
                conversation.advance(now);
                continue;
            }
            "cancel" => {
                let cancel =
                    json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": last } });
                said.extend(spoken(&conversation.receive(cancel.to_string().as_bytes())));
                continue;
            }
            _ => {}
        }
        let mut params: Value = serde_json::from_str(
            &params
                .to_string()
                .replace("\"$task\"", &task.to_string())
                .replace("\"$state\"", &state.to_string())
                .replace("\"$handle\"", &handle.to_string()),
        )
        .unwrap();
        if let Some(meta) = meta {
            params["_meta"] = meta;
        }
        last = match method.as_str() {
            "subscriptions/listen" if number % 2 == 0 => json!(number),
            _ => json!(format!("r{number}")),
        };
        let request = json!({ "jsonrpc": "2.0", "id": last, "method": method, "params": params });
        let outputs = match posted {
            true => {
                let headers = header(&method, &params, number % 8);
                conversation.receive_posted(headers, request.to_string().as_bytes())
            }
            false => conversation.receive(request.to_string().as_bytes()),
        };
        for message in outputs.iter().filter_map(message_of) {
            let result: Value =
                serde_json::from_slice::<Value>(&message.to_bytes()).unwrap_or_default()["result"].clone();
            task = result.get("taskId").cloned().unwrap_or(task);
            state = result.get("requestState").cloned().unwrap_or(state);
            handle = result["structuredContent"].get("handle").cloned().unwrap_or(handle);
        }
        said.extend(spoken(&outputs));
        said.push(format!("{number} {method}"));
    }
    let client =
        json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    for (method, params) in [("initialize", client), ("tools/list", json!({}))] {
        let request = json!({ "jsonrpc": "2.0", "id": method, "method": method, "params": params });
        said.extend(spoken(&conversation.receive(request.to_string().as_bytes())));
    }
    said.extend(spoken(&conversation.end()));
    said
}

/// A header for the request that is good, or bad in one of several ways.
fn header(method: &str, params: &Value, way: u64) -> HeaderMap {
    let way = if params["arguments"]["options"].is_object() {
        0
    } else {
        way
    };
    let mut headers = HeaderMap::new();
    let mut set = |name: &'static str, value: &str| {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    };
    let named = ["name", "uri", "taskId"]
        .iter()
        .find_map(|member| params[*member].as_str());
    if way != 1 {
        set(
            "mcp-protocol-version",
            if way == 2 { "2999-12-31" } else { "2026-07-28" },
        );
    }
    if way != 3 {
        set("mcp-method", if way == 4 { "odd" } else { method });
    }
    let label = params["arguments"]["options"]["label"].as_str();
    if let Some(label) = label {
        set("mcp-param-label", label);
        let region = match label {
            "good" | "none" => Some("Hello"),
            "other" => Some("hello"),
            "broken" => Some("=?base64?!?="),
            _ => None,
        };
        region.into_iter().for_each(|region| set("mcp-param-region", region));
    }
    if let Some(named) = named.filter(|_| way != 5) {
        set(
            "mcp-name",
            match way {
                6 => "=?base64?!?=",
                7 => "another",
                _ => named,
            },
        );
    }
    headers
}

fn message_of(output: &Output) -> Option<&Message> {
    match output {
        Output::Message { message, .. } | Output::News { message, .. } | Output::Aside(message) => Some(message),
        _ => None,
    }
}

/// What is said, and when, without what is random in it.
fn spoken(outputs: &[Output]) -> Vec<String> {
    let line = |output: &Output| {
        if let Output::Withdraw { request } = output {
            return Some(format!("withdrawn {request}"));
        }
        let after = match output {
            Output::Message { after, .. } => after.as_millis(),
            _ => 0,
        };
        let text = String::from_utf8(message_of(output)?.to_bytes()).unwrap();
        Some(format!("{after} {}", without_random(&text)))
    };
    outputs.iter().filter_map(line).collect()
}

/// The text without hexadecimal ids and sealed states.
fn without_random(text: &str) -> String {
    let mut kept = String::new();
    let mut word = String::new();
    for char in text.chars().chain(std::iter::once(' ')) {
        if char.is_ascii_alphanumeric() || char == '_' || char == '-' || char == '.' {
            word.push(char);
            continue;
        }
        let hexadecimal = word.len() >= 16
            && word
                .trim_start_matches("visit-")
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit());
        kept.push_str(if hexadecimal || word.len() > 120 {
            "RANDOM"
        } else {
            &word
        });
        kept.push(char);
        word.clear();
    }
    kept
}

#[test]
fn every_fault_of_the_era_shows() {
    let alone = [Revision::V2026_07_28];
    let correct = |revisions: &[Revision], posted| transcript(&[], revisions, posted);
    let expected = [
        correct(&[], false),
        correct(&[], true),
        correct(&alone, false),
        correct(&alone, true),
    ];
    assert_eq!(
        expected[0],
        correct(&[], false),
        "the transcript has to be the same each time"
    );
    let of_era = faults().filter(|fault| fault.revision == Some(Revision::V2026_07_28));
    let (mut shown, mut hidden) = (0, Vec::new());
    for fault in of_era {
        if fault.id.starts_with("variant-") || fault.decorator().http().is_some() || ELSEWHERE.contains(&fault.id) {
            continue;
        }
        let shows = [(&[][..], false), (&[], true), (&alone, false), (&alone, true)]
            .into_iter()
            .zip(&expected)
            .any(|((revisions, posted), expected)| transcript(&[fault], revisions, posted) != *expected);
        match shows {
            true => shown += 1,
            false => hidden.push(fault.id),
        }
    }
    assert!(hidden.is_empty(), "{} show, these do not: {hidden:?}", shown);
    assert!(shown > 100);
}
