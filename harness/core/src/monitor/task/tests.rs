//! Small traces with tasks: what breaks a rule is found under that rule, and what is legal is not.

use std::collections::BTreeSet;

use super::super::tests::{Line, judged_newest};
use Line::{In, Out};

const HELLO: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
const WELCOME: &str = r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"tasks":{"list":{},"cancel":{},"requests":{"tools":{"call":{}}}}},"serverInfo":{"name":"s","version":"1"}}}"#;
const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","task":{"ttl":1000}}}"#;
const BEGUN: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"task":{"taskId":"a","status":"working","createdAt":"2025-11-25T10:30:00Z","lastUpdatedAt":"2025-11-25T10:30:00Z","ttl":1000}}}"#;
const RESULT: &str = r#"{"jsonrpc":"2.0","id":2,"method":"tasks/result","params":{"taskId":"a"}}"#;
const PAYLOAD: &str = r#"{"jsonrpc":"2.0","id":2,"result":{"content":[],"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"a"}}}}"#;
const GET: &str = r#"{"jsonrpc":"2.0","id":3,"method":"tasks/get","params":{"taskId":"a"}}"#;
const WORKING: &str = r#"{"jsonrpc":"2.0","id":3,"result":{"taskId":"a","status":"working","createdAt":"2025-11-25T10:30:00Z","lastUpdatedAt":"2025-11-25T10:30:00Z","ttl":1000}}"#;
const AGAIN: &str = r#"{"jsonrpc":"2.0","id":4,"method":"tasks/get","params":{"taskId":"a"}}"#;
const DONE: &str = r#"{"jsonrpc":"2.0","id":4,"result":{"taskId":"a","status":"completed","createdAt":"2025-11-25T10:30:00Z","lastUpdatedAt":"2025-11-25T10:30:01Z","ttl":1000}}"#;
const CANCEL: &str = r#"{"jsonrpc":"2.0","id":5,"method":"tasks/cancel","params":{"taskId":"a"}}"#;

fn broken(lines: impl IntoIterator<Item = Line>) -> Vec<String> {
    let lines = [Out(HELLO), In(WELCOME), Out(CALL), In(BEGUN)].into_iter().chain(lines);
    judged_newest(lines).0.into_iter().collect()
}

#[test]
fn a_task_from_beginning_to_end_keeps_the_rules() {
    let lines = [
        Out(HELLO),
        In(WELCOME),
        Out(CALL),
        In(BEGUN),
        Out(RESULT),
        Out(GET),
        In(WORKING),
    ];
    let (broken, kept) = judged_newest(lines.into_iter().chain([In(PAYLOAD), Out(AGAIN), In(DONE)]));
    assert_eq!(broken, BTreeSet::new());
    for requirement in [
        "tasks/initial-status",
        "tasks/create-prompt",
        "tasks/result-blocks",
        "tasks/result-related-task",
        "tasks/valid-transitions",
        "tasks/ttl-in-get",
        "tasks/capability-declared",
    ] {
        assert!(kept.contains(requirement), "{requirement}: {kept:?}");
    }
}

#[test]
fn a_result_before_the_end_and_a_status_that_runs_back_are_found() {
    assert_eq!(
        broken([Out(RESULT), In(PAYLOAD), Out(GET), In(WORKING)]),
        ["tasks/result-blocks"]
    );
    assert_eq!(
        broken([Out(AGAIN), In(DONE), Out(GET), In(WORKING)])[..],
        ["tasks/last-updated-at", "tasks/valid-transitions"]
    );
    // Requests in flight together may be told in any order.
    assert!(broken([Out(AGAIN), Out(GET), In(DONE), In(WORKING)]).is_empty());
}

#[test]
fn what_is_over_cannot_be_cancelled() {
    const REFUSED: &str = r#"{"jsonrpc":"2.0","id":5,"error":{"code":-32602,"message":"over"}}"#;
    const ACCEPTED: &str = r#"{"jsonrpc":"2.0","id":5,"result":{"taskId":"a","status":"cancelled","createdAt":"2025-11-25T10:30:00Z","lastUpdatedAt":"2025-11-25T10:30:02Z","ttl":1000}}"#;
    assert!(broken([Out(AGAIN), In(DONE), Out(CANCEL), In(REFUSED)]).is_empty());
    assert_eq!(
        broken([Out(AGAIN), In(DONE), Out(CANCEL), In(ACCEPTED)]),
        ["tasks/cancel-terminal"]
    );
    assert_eq!(
        broken([Out(CANCEL), In(REFUSED), Out(GET), In(WORKING)]),
        ["tasks/cancel-result"]
    );
    assert!(broken([Out(CANCEL), In(ACCEPTED)]).is_empty());
}

#[test]
fn a_server_asks_for_tasks_only_where_the_client_takes_them() {
    const ASKS: &str = r#"{"jsonrpc":"2.0","id":9,"method":"elicitation/create","params":{"message":"m","requestedSchema":{"type":"object","properties":{}},"task":{"ttl":5}}}"#;
    assert!(broken([In(ASKS)]).contains(&"tasks/server-as-requestor".to_owned()));
}
