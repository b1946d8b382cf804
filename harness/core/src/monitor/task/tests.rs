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

const CANCELLED: &str = r#"{"jsonrpc":"2.0","id":5,"result":{"taskId":"a","status":"cancelled","createdAt":"2025-11-25T10:30:00Z","lastUpdatedAt":"2025-11-25T10:30:02Z","ttl":1000}}"#;

#[test]
fn a_cancelled_task_has_no_result_of_finished_work() {
    assert_eq!(
        broken([Out(CANCEL), In(CANCELLED), Out(RESULT), In(PAYLOAD)]),
        ["tasks/cancel-stops-work"]
    );
    const NONE: &str = r#"{"jsonrpc":"2.0","id":2,"error":{"code":-32602,"message":"cancelled"}}"#;
    assert!(broken([Out(CANCEL), In(CANCELLED), Out(RESULT), In(NONE)]).is_empty());
    // Who asked before may get either.
    assert!(broken([Out(RESULT), Out(CANCEL), In(CANCELLED), In(PAYLOAD)]).is_empty());
}

#[test]
fn progress_of_a_task_keeps_its_token_and_ends_with_it() {
    const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","task":{"ttl":1000},"_meta":{"progressToken":"p"}}}"#;
    const HALF: &str = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":1,"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"a"}}}}"#;
    const OTHER: &str = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"a","progress":1,"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"a"}}}}"#;
    let judged = |lines: [Line; 3]| {
        let begun = [Out(HELLO), In(WELCOME), Out(CALL), In(BEGUN)];
        judged_newest(begun.into_iter().chain(lines))
    };
    let (broken, kept) = judged([In(HALF), Out(AGAIN), In(DONE)]);
    assert_eq!(broken, BTreeSet::new());
    assert!(kept.contains("progress/task-token-continues") && kept.contains("progress/task-stops-at-terminal"));
    let broken = |lines: [Line; 3]| judged(lines).0.into_iter().collect::<Vec<String>>();
    assert_eq!(
        broken([In(OTHER), Out(AGAIN), In(DONE)]),
        ["progress/task-token-continues"]
    );
    assert_eq!(
        broken([Out(AGAIN), In(DONE), In(HALF)]),
        ["progress/task-stops-at-terminal"]
    );
}

#[test]
fn a_task_is_input_required_as_long_as_its_question_is_open() {
    const ASKS: &str = r#"{"jsonrpc":"2.0","id":9,"method":"elicitation/create","params":{"message":"m","requestedSchema":{"type":"object","properties":{}},"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"a"}}}}"#;
    const REPLY: &str = r#"{"jsonrpc":"2.0","id":9,"result":{"action":"decline"}}"#;
    const WAITS: &str = r#"{"jsonrpc":"2.0","id":3,"result":{"taskId":"a","status":"input_required","createdAt":"2025-11-25T10:30:00Z","lastUpdatedAt":"2025-11-25T10:30:00Z","ttl":1000}}"#;
    const STILL: &str = r#"{"jsonrpc":"2.0","id":4,"result":{"taskId":"a","status":"input_required","createdAt":"2025-11-25T10:30:00Z","lastUpdatedAt":"2025-11-25T10:30:00Z","ttl":1000}}"#;
    let judged = |get: &'static str, again: &'static str| {
        let lines = [
            Out(RESULT),
            In(ASKS),
            Out(GET),
            In(get),
            Out(REPLY),
            In(PAYLOAD),
            Out(AGAIN),
            In(again),
        ];
        let (mut broken, kept) =
            judged_newest([Out(HELLO), In(WELCOME), Out(CALL), In(BEGUN)].into_iter().chain(lines));
        // The client of these traces has declared nothing.
        broken.retain(|id| id.starts_with("tasks/"));
        (broken.into_iter().collect::<Vec<String>>(), kept)
    };
    let (broken, kept) = judged(WAITS, DONE);
    assert_eq!(broken, Vec::<String>::new());
    assert!(kept.contains("tasks/input-required-status") && kept.contains("tasks/input-required-left"));
    assert_eq!(judged(WORKING, DONE).0, ["tasks/input-required-status"]);
    assert_eq!(judged(WAITS, STILL).0, ["tasks/input-required-left"]);
}
