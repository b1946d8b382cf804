//! Tools about what a request says beside its params since 2026-07-28: the client's capabilities, the level of logs, and
//! arguments that stand in the HTTP header too.

use std::time::Duration;

use serde_json::{Value, json};

use super::tools::{Tool, arguments, no_arguments, text};
use super::{Answer, Object, Session};
use crate::envelope::RpcError;

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "test_missing_capability",
        title: "Need a capability",
        description: "Works only for clients that have declared sampling.",
        read_only: true,
        input: no_arguments,
        output: None,
        run: |session, _, _| {
            Ok(match session.client_has("/sampling") {
                true => text("The client offers sampling"),
                false => Answer::refusal(RpcError::missing_capability(json!({ "sampling": {} }))),
            })
        },
    },
    Tool {
        name: "test_streaming_elicitation",
        title: "Take a moment",
        description: "Answers after a moment, without any question to the client on the way.",
        read_only: true,
        input: no_arguments,
        output: None,
        run: |_, _, _| {
            Ok(Answer {
                after: Duration::from_millis(20),
                ..text("Nothing had to be asked")
            })
        },
    },
    Tool {
        name: "test_logging_tool",
        title: "Log when asked to",
        description: "Logs one message at level info for those who ask for logs of that level.",
        read_only: true,
        input: no_arguments,
        output: None,
        run: |session, _, _| {
            let logs = session.log(1, "The tool is at work");
            Ok(Answer {
                notifications: logs.map(|message| (Duration::ZERO, message)).into_iter().collect(),
                ..text("Logged, if that was wanted")
            })
        },
    },
    Tool {
        name: "test_custom_headers",
        title: "Arguments in the header",
        description: "Tells its arguments, each of which stands in the HTTP header as well.",
        read_only: true,
        input: || {
            let options = json!({
                "type": "object",
                "properties": { "label": { "type": "string", "x-mcp-header": "Label" } },
                "additionalProperties": false,
            });
            arguments(
                json!({
                    "region": { "type": "string", "x-mcp-header": "Region" },
                    "priority": { "type": "integer", "x-mcp-header": "Priority" },
                    "verbose": { "type": "boolean", "x-mcp-header": "Verbose" },
                    "options": options,
                }),
                &[],
            )
        },
        output: None,
        run: told,
    },
];

fn told(_: &mut Session, arguments: &Object, _: Option<&Value>) -> Result<Answer, String> {
    Ok(text(&Value::Object(arguments.clone()).to_string()))
}
