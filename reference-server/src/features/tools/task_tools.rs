//! The tools that run as tasks under the extension of 2026-07-28, by the names of the official suite.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::asking::{Beside, ask, result};
use super::super::elicitation::check;
use super::super::inputs::{form, named, needing_forms, said};
use super::super::{Answer, Object, Session};
use super::catalogue::{Tool, arguments, no_arguments};
use super::{jobs, text};

/// How long a computation takes at most when nobody can wait for it as a task.
const PATIENCE: Duration = Duration::from_millis(100);

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "greet",
        title: "Greet",
        description: "Says hello, and never runs as a task.",
        read_only: true,
        input: || arguments(json!({ "name": { "type": "string" } }), &["name"]),
        output: None,
        run: |_, arguments, _| {
            Ok(text(&format!(
                "Hello, {}!",
                arguments["name"].as_str().unwrap_or_default()
            )))
        },
    },
    Tool {
        name: "slow_compute",
        title: "Compute slowly",
        description: "Computes for some seconds as a task, and for a moment only for clients without tasks.",
        read_only: true,
        input: || {
            let seconds = json!({ "type": "integer", "minimum": 0, "maximum": 60 });
            let label = json!({ "type": "string", "maxLength": 100, "default": "computation" });
            arguments(json!({ "seconds": seconds, "label": label }), &["seconds"])
        },
        output: None,
        run: compute,
    },
    jobs::FAILING,
    jobs::PROTOCOL_ERROR,
    Tool {
        name: "confirm_delete",
        title: "Delete after a question",
        description: "Runs as a task, asks the user on the way, and deletes nothing: the file is made up.",
        read_only: true,
        input: || arguments(json!({ "filename": { "type": "string" } }), &["filename"]),
        output: None,
        run: |session, arguments, _| {
            let filename = arguments["filename"].as_str().unwrap_or_default().to_owned();
            let question = form(&format!("Delete {filename}?"), "confirm", "boolean");
            Ok(needing_forms(session, |_| {
                let schema = question["requestedSchema"].clone();
                let answer = ask("elicitation/create", Some(question), move |_, reply| {
                    let answer = result(reply)?;
                    if answer["action"] == "accept" {
                        check(&schema, &answer["content"])?;
                    }
                    Ok(text(&match answer["content"]["confirm"] == true {
                        true => format!("Deleted {filename}"),
                        false => format!("Kept {filename}"),
                    }))
                });
                named("confirm", false, answer)
            }))
        },
    },
    Tool {
        name: "multi_input",
        title: "Ask twice at once",
        description: "Runs as a task, and asks the user two things at once on the way.",
        read_only: true,
        input: no_arguments,
        output: None,
        run: |session, _, _| Ok(needing_forms(session, |_| two_questions())),
    },
    Tool {
        name: "test_tool_with_task",
        title: "Ask, and then run as a task",
        description: "Asks the user for a name, and greets from a task.",
        read_only: true,
        input: no_arguments,
        output: None,
        run: |session, _, _| {
            let question = form("What is your name?", "name", "string");
            Ok(needing_forms(session, |_| {
                let schema = question["requestedSchema"].clone();
                let answer = ask("elicitation/create", Some(question), move |_, reply| {
                    let answer = result(reply)?;
                    if answer["action"] == "accept" {
                        check(&schema, &answer["content"])?;
                    }
                    Ok(Answer {
                        after: Duration::from_millis(20),
                        ..text(&format!("Hello from a task, {}!", said(&answer["content"], "name")))
                    })
                });
                named("user_name", true, answer)
            }))
        },
    },
];

fn compute(session: &mut Session, arguments: &Object, _: Option<&Value>) -> Result<Answer, String> {
    let seconds = arguments["seconds"].as_f64().unwrap_or_default();
    let label = arguments.get("label").and_then(Value::as_str).unwrap_or("computation");
    let time = Duration::from_secs(seconds as u64);
    let patient = session.client_has("/extensions/io.modelcontextprotocol~1tasks");
    Ok(Answer {
        after: if patient { time } else { time.min(PATIENCE) },
        ..text(&format!("Computed {label}"))
    })
}

fn two_questions() -> Answer {
    let first = form("What is your name?", "name", "string");
    let answer = ask("elicitation/create", Some(first), |_, reply| {
        let answers = result(reply)?;
        let given = answers.as_object().into_iter().flatten();
        let accepted = given.filter(|(_, answer)| answer["action"] == "accept").count();
        Ok(text(&format!("{accepted} of 2 questions were answered")))
    });
    let mut answer = named("first", false, answer);
    if let Some(ask) = &mut answer.ask {
        ask.round.beside = vec![Beside {
            key: "second",
            method: "elicitation/create",
            params: Some(form("Are you sure?", "confirm", "boolean")),
        }];
    }
    answer
}
