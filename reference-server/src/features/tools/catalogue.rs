//! What each tool is called, takes and gives.

use serde_json::{Value, json};

use super::super::validation::{NOTE_NAME, PRIORITY, USER_ID};
use super::super::{Answer, Object, Session};
use super::actions;

/// Runs a tool on arguments that its schema allows; the value is the progress token, if the client gave one.
type Run = fn(&mut Session, &Object, Option<&Value>) -> Result<Answer, String>;

pub(in crate::features) struct Tool {
    pub(in crate::features) name: &'static str,
    pub(in crate::features) title: &'static str,
    pub(in crate::features) description: &'static str,
    pub(in crate::features) read_only: bool,
    pub(in crate::features) input: fn() -> Value,
    pub(in crate::features) output: Option<fn() -> Value>,
    pub(in crate::features) run: Run,
}

pub(super) const TOOLS: [Tool; 9] = [
    Tool {
        name: "add",
        title: "Add",
        description: "Adds two integers.",
        read_only: true,
        input: || {
            arguments(
                json!({ "a": { "type": "integer" }, "b": { "type": "integer" } }),
                &["a", "b"],
            )
        },
        output: None,
        run: actions::add,
    },
    Tool {
        name: "search_docs",
        title: "Search the documents",
        description: "Finds documents whose title or text contains the query.",
        read_only: true,
        input: || {
            let query = json!({ "type": "string", "minLength": 1, "description": "What to look for." });
            let limit = json!({ "type": "integer", "minimum": 1, "maximum": 100, "default": 10 });
            let archived = json!({ "type": "boolean", "default": false });
            arguments(
                json!({ "query": query, "limit": limit, "include_archived": archived }),
                &["query"],
            )
        },
        output: Some(|| {
            let document = arguments(
                json!({ "title": { "type": "string" }, "archived": { "type": "boolean" } }),
                &["title", "archived"],
            );
            arguments(
                json!({ "documents": { "type": "array", "items": document }, "total": { "type": "integer" } }),
                &["documents", "total"],
            )
        }),
        run: actions::search_docs,
    },
    Tool {
        name: "create_issue",
        title: "Create an issue",
        description: "Creates an issue. A critical one needs a body of 50 characters or more.",
        read_only: false,
        input: || {
            let issue = arguments(
                json!({
                    "title": { "type": "string", "minLength": 5, "maxLength": 200 },
                    "body": { "type": "string", "default": "" },
                    "labels": { "type": "array", "items": { "type": "string" }, "default": [] },
                    "priority": { "type": "string", "pattern": PRIORITY, "default": "normal" },
                }),
                &["title"],
            );
            arguments(json!({ "issue": issue }), &["issue"])
        },
        output: None,
        run: actions::create_issue,
    },
    Tool {
        name: "get_user",
        title: "Get a user",
        description: "Tells who a user is, by an id that begins with usr_, such as usr_1.",
        read_only: true,
        input: || {
            arguments(
                json!({ "user_id": { "type": "string", "pattern": USER_ID } }),
                &["user_id"],
            )
        },
        output: None,
        run: actions::get_user,
    },
    Tool {
        name: "echo",
        title: "Echo",
        description: "Returns the text exactly.",
        read_only: true,
        input: || arguments(json!({ "text": { "type": "string" } }), &["text"]),
        output: None,
        run: actions::echo,
    },
    Tool {
        name: "risky_tool",
        title: "Risky tool",
        description: "Always fails, and changes nothing.",
        read_only: true,
        input: || arguments(json!({}), &[]),
        output: None,
        run: actions::risky_tool,
    },
    Tool {
        name: "slow",
        title: "Slow",
        description: "Answers after some time, and reports progress to those who ask for it.",
        read_only: true,
        input: || {
            let milliseconds = json!({ "type": "integer", "minimum": 0, "maximum": 500 });
            arguments(json!({ "milliseconds": milliseconds }), &["milliseconds"])
        },
        output: None,
        run: actions::slow,
    },
    Tool {
        name: "counter",
        title: "Counter",
        description: "Counts the calls of this session.",
        read_only: false,
        input: || arguments(json!({}), &[]),
        output: None,
        run: actions::counter,
    },
    Tool {
        name: "write_note",
        title: "Write a note",
        description: "Writes a note into a scratch directory that is removed when the server ends.",
        read_only: false,
        input: || {
            let name = json!({ "type": "string", "pattern": NOTE_NAME });
            let text = json!({ "type": "string", "maxLength": 10000 });
            arguments(json!({ "name": name, "text": text }), &["name", "text"])
        },
        output: None,
        run: actions::write_note,
    },
];

/// The schema of a tool that takes nothing.
pub(in crate::features) fn no_arguments() -> Value {
    arguments(json!({}), &[])
}

/// A closed object schema.
pub(in crate::features) fn arguments(properties: Value, required: &[&str]) -> Value {
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}
