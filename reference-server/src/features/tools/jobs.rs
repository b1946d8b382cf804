//! The tools that run as tasks in 2025-11-25; two of them do so under the extension of 2026-07-28 too.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::{Answer, Object, Session};
use super::catalogue::{Tool, arguments};
use super::text;
use crate::envelope::{Message, RpcError};

/// How long the jobs take that end in a failure.
const SHORT: Duration = Duration::from_millis(20);

pub(super) const JOBS: [Tool; 3] = [
    Tool {
        name: "slow_compute",
        title: "Compute slowly",
        description: "Computes for some time, as a task or not.",
        read_only: true,
        input: || {
            let milliseconds = json!({ "type": "integer", "minimum": 150, "maximum": 250 });
            let label = json!({ "type": "string", "maxLength": 100, "default": "computation" });
            arguments(
                json!({ "milliseconds": milliseconds, "label": label }),
                &["milliseconds"],
            )
        },
        output: Some(|| arguments(json!({ "label": { "type": "string" } }), &["label"])),
        run: slow_compute,
    },
    FAILING,
    PROTOCOL_ERROR,
];

pub(super) const FAILING: Tool = Tool {
    name: "failing_job",
    title: "Failing job",
    description: "Works for a moment as a task, and then fails, as it always does.",
    read_only: true,
    input: || arguments(json!({}), &[]),
    output: None,
    run: failing_job,
};

pub(super) const PROTOCOL_ERROR: Tool = Tool {
    name: "protocol_error_job",
    title: "Job with a protocol error",
    description: "Works for a moment as a task, and then ends in a JSON-RPC error, as it always does.",
    read_only: true,
    input: || arguments(json!({}), &[]),
    output: None,
    run: protocol_error_job,
};

/// Answers late, with progress half-way if there is a token to report it under.
fn slow_compute(_: &mut Session, arguments: &Object, token: Option<&Value>) -> Result<Answer, String> {
    let milliseconds = arguments["milliseconds"].as_f64().unwrap_or_default();
    let label = arguments.get("label").and_then(Value::as_str).unwrap_or("computation");
    let structured = json!({ "label": label });
    let mut answer = text(&structured.to_string());
    answer.result["structuredContent"] = structured;
    answer.after = Duration::from_millis(milliseconds as u64);
    let half = answer.after / 2;
    answer.notifications.extend(token.map(|token| {
        let message = Message::Notification {
            method: "notifications/progress",
            params: json!({ "progressToken": token, "progress": 1, "total": 2 }),
        };
        (half, message)
    }));
    Ok(answer)
}

fn failing_job(_: &mut Session, _: &Object, _: Option<&Value>) -> Result<Answer, String> {
    let mut answer = text("The job has failed");
    answer.result["isError"] = json!(true);
    answer.after = SHORT;
    Ok(answer)
}

fn protocol_error_job(_: &mut Session, _: &Object, _: Option<&Value>) -> Result<Answer, String> {
    Ok(Answer {
        error: Some(RpcError::new(-32603, "Internal error: the job cannot be done")),
        after: SHORT,
        ..Answer::from(Value::Null)
    })
}
