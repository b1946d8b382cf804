//! Tools that ask the user, by a form or by a URL (client/elicitation).

use serde_json::{Value, json};

use super::asking::{ask, result};
use super::tools::{Tool, arguments, no_arguments, text};
use super::{Answer, Object, Session};
use crate::envelope::{Message, RpcError};
use crate::revision::Revision;

/// Elicitation came with 2025-06-18.
pub(super) const TOOLS_2025_06_18: &[Tool] = &[Tool {
    name: "test_elicitation",
    title: "Ask the user",
    description: "Asks the user for a name and an address of mail, and returns the answer.",
    read_only: true,
    input: || arguments(json!({ "message": { "type": "string" } }), &["message"]),
    output: None,
    run: |session, arguments, _| {
        let message = arguments["message"].as_str().unwrap_or_default();
        let properties = json!({
            "username": { "type": "string", "description": "What to call you" },
            "email": { "type": "string", "format": "email", "description": "Where to write to you" },
        });
        form(session, message, properties, &["username", "email"])
    },
}];

/// Defaults, further kinds of choices, and URLs came with 2025-11-25.
pub(super) const TOOLS_2025_11_25: &[Tool] = &[
    Tool {
        name: "test_elicitation_sep1034_defaults",
        title: "Ask with defaults",
        description: "Asks the user for values of every kind, each with a default.",
        read_only: true,
        input: no_arguments,
        output: None,
        run: |session, _, _| {
            let properties = json!({
                "name": { "type": "string", "description": "A name", "default": "John Doe" },
                "age": { "type": "integer", "description": "An age", "default": 30 },
                "score": { "type": "number", "description": "A score", "default": 95.5 },
                "status": { "type": "string", "enum": ["active", "inactive", "pending"], "default": "active" },
                "verified": { "type": "boolean", "description": "Whether it was checked", "default": true },
            });
            form(session, "Please check these values", properties, &[])
        },
    },
    Tool {
        name: "test_elicitation_sep1330_enums",
        title: "Ask for choices",
        description: "Asks the user to choose, in every form that a choice can have.",
        read_only: true,
        input: no_arguments,
        output: None,
        run: |session, _, _| {
            let titled = json!([
                { "const": "value1", "title": "First" },
                { "const": "value2", "title": "Second" },
                { "const": "value3", "title": "Third" },
            ]);
            let options = ["option1", "option2", "option3"];
            let properties = json!({
                "untitledSingle": { "type": "string", "enum": options },
                "titledSingle": { "type": "string", "oneOf": titled },
                "legacyEnum": { "type": "string", "enum": options, "enumNames": ["One", "Two", "Three"] },
                "untitledMulti": { "type": "array", "items": { "type": "string", "enum": options } },
                "titledMulti": { "type": "array", "items": { "anyOf": titled } },
            });
            form(session, "Please choose", properties, &[])
        },
    },
    Tool {
        name: "test_elicitation_url",
        title: "Send the user to a page",
        description: "Sends the user to a page, and says so when that is done.",
        read_only: true,
        input: no_arguments,
        output: None,
        run: by_url,
    },
];

/// The error with which one request sends the user to a page went with 2026-07-28.
pub(super) const REFUSING_TOOLS: &[Tool] = &[Tool {
    name: "test_url_elicitation_required",
    title: "Demand a visit to a page",
    description: "Does nothing before the user has been at a page.",
    read_only: true,
    input: no_arguments,
    output: None,
    run: |session, _, _| {
        if !session.client_has("/elicitation/url") {
            return Err("The user has to visit a page first, and the client cannot open one".to_owned());
        }
        let elicitations = json!([visit(session.revision)?]);
        Ok(Answer::refusal(RpcError::url_elicitation_required(elicitations)))
    },
}];

/// Tasks came with 2025-11-25 as well.
pub(super) const TASK_TOOLS: &[Tool] = &[Tool {
    name: "test_task_elicitation",
    title: "Ask the user from a task",
    description: "Runs as a task, and asks the user for a name on the way.",
    read_only: true,
    input: no_arguments,
    output: None,
    run: |session, _, _| {
        let properties = json!({ "username": { "type": "string", "description": "What to call you" } });
        form(session, "Who is this task for?", properties, &["username"])
    },
}];

/// Whether the client shows forms: an empty capability means that it does.
pub(super) fn has_forms(session: &Session) -> bool {
    match session.client.get("elicitation").and_then(Value::as_object) {
        Some(modes) if session.revision >= Revision::V2025_11_25 => modes.is_empty() || modes.contains_key("form"),
        Some(_) => true,
        None => false,
    }
}

fn form(session: &mut Session, message: &str, properties: Value, required: &[&str]) -> Result<Answer, String> {
    if !has_forms(session) {
        return Err("The client shows no forms".to_owned());
    }
    let mut schema = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    let params = json!({ "message": message, "requestedSchema": schema });
    Ok(ask("elicitation/create", Some(params), move |_, reply| {
        let answer = result(reply)?;
        match answer["action"].as_str() {
            Some("accept") => {
                check(&schema, &answer["content"])?;
                Ok(text(&format!(
                    "User response: action=accept, content={}",
                    answer["content"]
                )))
            }
            Some(action @ ("decline" | "cancel")) => Ok(text(&format!("User response: action={action}"))),
            _ => Err("The answer of the client has no known action".to_owned()),
        }
    }))
}

/// Whether the content is what the form asked for: what a client sends is input like any other.
pub(super) fn check(schema: &Value, content: &Value) -> Result<(), String> {
    let content = content.as_object().ok_or("The form came back without content")?;
    for name in schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        if !content.contains_key(name) {
            return Err(format!("The form came back without {name:?}"));
        }
    }
    for (name, value) in content {
        let field = schema["properties"]
            .get(name)
            .ok_or_else(|| format!("The form has no field {name:?}"))?;
        let fits = match field["type"].as_str() {
            Some("string") => value.as_str().is_some_and(|text| {
                let mail = field["format"] != "email" || text.contains('@');
                mail && options(field).is_none_or(|options| options.contains(&value))
            }),
            Some("integer") => value.as_f64().is_some_and(|number| number.fract() == 0.0),
            Some("number") => value.is_number(),
            Some("boolean") => value.is_boolean(),
            _ => value.as_array().is_some_and(|chosen| {
                let options = options(&field["items"]).unwrap_or_default();
                chosen.iter().all(|choice| options.contains(&choice))
            }),
        };
        if !fits {
            return Err(format!("The field {name:?} came back with a value that it cannot have"));
        }
    }
    Ok(())
}

/// The values that a choice allows.
fn options(field: &Value) -> Option<Vec<&Value>> {
    if let Some(plain) = field["enum"].as_array() {
        return Some(plain.iter().collect());
    }
    let titled = field["oneOf"].as_array().or_else(|| field["anyOf"].as_array())?;
    Some(titled.iter().map(|option| &option["const"]).collect())
}

/// A visit to a page, under an id that no other visit has.
fn visit(revision: Revision) -> Result<Value, String> {
    let random = getrandom::u64().map_err(|error| format!("No id could be made: {error}"))?;
    let id = format!("visit-{random:016x}");
    let mut visit = json!({
        "mode": "url",
        "message": "Please confirm on our page",
        "url": format!("https://reference.example/confirm/{id}"),
    });
    if !revision.is_stateless() {
        visit["elicitationId"] = json!(id);
    }
    Ok(visit)
}

/// The page of this fixture needs nothing but a visit: with the user's consent it is done.
fn by_url(session: &mut Session, _: &Object, _: Option<&Value>) -> Result<Answer, String> {
    if !session.client_has("/elicitation/url") {
        return Err("The client opens no pages".to_owned());
    }
    let visit = visit(session.revision)?;
    let id = visit.get("elicitationId").cloned();
    Ok(ask("elicitation/create", Some(visit), move |_, reply| {
        let answer = result(reply)?;
        let action = answer["action"].as_str().unwrap_or_default();
        let mut told = text(&format!("User response: action={action}"));
        match action {
            "accept" => told.asides.extend(id.map(|id| Message::Notification {
                method: "notifications/elicitation/complete",
                params: json!({ "elicitationId": id }),
            })),
            "decline" | "cancel" => {}
            _ => return Err("The answer of the client has no known action".to_owned()),
        }
        Ok(told)
    }))
}
