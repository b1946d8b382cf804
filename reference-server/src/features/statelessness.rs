//! Tools for what has to hold where nothing is remembered: handles, states that are good for one time, subscriptions that
//! the server ends, and a result that is no object.

use serde_json::{Value, json};

use super::inputs::{form, named, needing_forms};
use super::tasks::random_id;
use super::tools::{Tool, arguments, no_arguments, text};
use super::{Answer, Object, Session, inputs};

/// How many handles are kept.
const MOST_HANDLES: usize = 1000;

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "test_open_handle",
        title: "Open a handle",
        description: "Gives out a handle to something that later calls can name.",
        read_only: true,
        input: no_arguments,
        output: Some(|| arguments(json!({ "handle": { "type": "string" } }), &["handle"])),
        run: open,
    },
    Tool {
        name: "test_use_handle",
        title: "Use a handle",
        description: "Tells whether a handle is one that was given out.",
        read_only: true,
        input: || arguments(json!({ "handle": { "type": "string" } }), &["handle"]),
        output: None,
        run: |session, arguments, _| {
            let handle = arguments["handle"].as_str().unwrap_or_default();
            let own = |(known, owner): &(String, Option<String>)| known == handle && *owner == session.principal;
            match session.handles.iter().any(own) {
                true => Ok(text("The handle is good")),
                false => Err("There is no such handle; open one with test_open_handle".to_owned()),
            }
        },
    },
    Tool {
        name: "test_structured_array",
        title: "A list",
        description: "Returns three numbers as a list.",
        read_only: true,
        input: no_arguments,
        output: Some(|| json!({ "type": "array", "items": { "type": "integer" } })),
        run: |_, _, _| {
            let mut answer = text("[1,2,3]");
            answer.result["structuredContent"] = json!([1, 2, 3]);
            Ok(answer)
        },
    },
    Tool {
        name: "test_end_subscription",
        title: "End a subscription",
        description: "Has the server end the subscriptions with this id.",
        read_only: true,
        input: || arguments(json!({ "subscription": { "type": "string" } }), &["subscription"]),
        output: None,
        run: |session, arguments, _| {
            session.ending = arguments.get("subscription").cloned();
            Ok(text("Ended, if there was such a subscription"))
        },
    },
    Tool {
        name: "test_input_required_result_once",
        title: "Confirm once",
        description: "Asks the user for a confirmation that is good for one time.",
        read_only: true,
        input: no_arguments,
        output: None,
        run: |session, _, _| {
            let question = form("Please confirm", "ok", "boolean");
            Ok(needing_forms(session, |_| {
                let answer = inputs::checked(question, |content| {
                    Ok(text(match content["ok"] == true {
                        true => "Done, once",
                        false => "Not done",
                    }))
                });
                let mut answer = named("confirm", true, answer);
                if let Some(ask) = &mut answer.ask {
                    ask.round.once = true;
                }
                answer
            }))
        },
    },
];

/// 128 random bits, which are no password: where the server knows who asks, a handle is good for who has opened it.
fn open(session: &mut Session, _: &Object, _: Option<&Value>) -> Result<Answer, String> {
    let handle = random_id().map_err(|error| error.message)?;
    if session.handles.len() >= MOST_HANDLES {
        session.handles.remove(0);
    }
    session.handles.push((handle.clone(), session.principal.clone()));
    let structured = json!({ "handle": handle });
    let mut answer = text(&structured.to_string());
    answer.result["structuredContent"] = structured;
    Ok(answer)
}
