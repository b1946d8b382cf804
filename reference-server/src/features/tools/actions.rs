//! What each tool does with arguments that its schema allows. An `Err` is a failure for the model to read.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::{Answer, Object, Session};
use super::text;
use crate::envelope::Message;

/// Exact for all 64-bit integers; numbers written with an exponent can be too large for that and are added as they are.
pub(super) fn add(_: &mut Session, arguments: &Object, _: Option<&Value>) -> Result<Answer, String> {
    let (a, b) = (&arguments["a"], &arguments["b"]);
    let sum = match (exact(a), exact(b)) {
        (Some(a), Some(b)) => (a + b).to_string(),
        _ => (a.as_f64().unwrap_or_default() + b.as_f64().unwrap_or_default()).to_string(),
    };
    Ok(text(&sum))
}

fn exact(number: &Value) -> Option<i128> {
    const LARGEST: f64 = 1e30;
    let float = || {
        number
            .as_f64()
            .filter(|float| float.abs() <= LARGEST)
            .map(|float| float as i128)
    };
    number
        .as_i64()
        .map(i128::from)
        .or_else(|| number.as_u64().map(i128::from))
        .or_else(float)
}

pub(super) fn search_docs(session: &mut Session, arguments: &Object, _: Option<&Value>) -> Result<Answer, String> {
    const DOCUMENTS: [(&str, &str, bool); 4] = [
        ("Getting started", "How to install the server and run it.", false),
        ("Tools", "How to call a tool, and what a failure looks like.", false),
        ("Resources", "How to read a resource.", false),
        ("Old tools", "How tools were called before.", true),
    ];
    let query = string(arguments, "query").to_lowercase();
    let limit = arguments.get("limit").and_then(Value::as_f64).unwrap_or(10.0) as usize;
    let archived_too = arguments.get("include_archived") == Some(&Value::Bool(true));
    let matching: Vec<_> = DOCUMENTS
        .into_iter()
        .filter(|(title, body, archived)| {
            (archived_too || !archived) && [title, body].iter().any(|text| text.to_lowercase().contains(&query))
        })
        .map(|(title, _, archived)| json!({ "title": title, "archived": archived }))
        .collect();
    let total = matching.len();
    let structured = json!({ "documents": matching.into_iter().take(limit).collect::<Vec<_>>(), "total": total });
    let mut answer = text(&structured.to_string());
    if session.has_structured_results() {
        answer.result["structuredContent"] = structured;
    }
    Ok(answer)
}

pub(super) fn create_issue(session: &mut Session, arguments: &Object, _: Option<&Value>) -> Result<Answer, String> {
    const CRITICAL_BODY: usize = 50;
    let issue = &arguments["issue"];
    let priority = issue.get("priority").and_then(Value::as_str).unwrap_or("normal");
    let body = issue
        .get("body")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .chars()
        .count();
    if priority == "critical" && body < CRITICAL_BODY {
        return Err(format!(
            "A critical issue needs a body of {CRITICAL_BODY} characters or more, but it has {body}"
        ));
    }
    session.issues += 1;
    let title = issue["title"].as_str().unwrap_or_default();
    Ok(text(&format!(
        "Created issue #{} with priority {priority}: {title}",
        session.issues
    )))
}

pub(super) fn get_user(_: &mut Session, arguments: &Object, _: Option<&Value>) -> Result<Answer, String> {
    const USERS: [(&str, &str); 2] = [("usr_1", "First user"), ("usr_2", "Second user")];
    let id = string(arguments, "user_id");
    let (_, name) = USERS
        .iter()
        .find(|(known, _)| *known == id)
        .ok_or_else(|| format!("There is no user {id:?}; known users are usr_1 and usr_2"))?;
    Ok(text(&json!({ "id": id, "name": name }).to_string()))
}

pub(super) fn echo(_: &mut Session, arguments: &Object, _: Option<&Value>) -> Result<Answer, String> {
    Ok(text(string(arguments, "text")))
}

pub(super) fn risky_tool(_: &mut Session, _: &Object, _: Option<&Value>) -> Result<Answer, String> {
    Err("The risky tool has failed, as it always does".to_owned())
}

/// Answers late, with four steps of progress before the answer if there is a token to report them under.
pub(super) fn slow(_: &mut Session, arguments: &Object, token: Option<&Value>) -> Result<Answer, String> {
    const STEPS: u32 = 4;
    let milliseconds = arguments["milliseconds"].as_f64().unwrap_or_default();
    let after = Duration::from_millis(milliseconds as u64);
    let notifications = token.into_iter().flat_map(|token| {
        (1..=STEPS).map(move |step| {
            let params = json!({ "progressToken": token, "progress": step, "total": STEPS });
            (
                after * step / (STEPS + 1),
                Message::Notification {
                    method: "notifications/progress",
                    params,
                },
            )
        })
    });
    let notifications = notifications.collect();
    Ok(Answer {
        after,
        notifications,
        ..text(&format!("Waited for {} milliseconds", after.as_millis()))
    })
}

pub(super) fn counter(session: &mut Session, _: &Object, _: Option<&Value>) -> Result<Answer, String> {
    session.counter += 1;
    Ok(text(&session.counter.to_string()))
}

pub(super) fn write_note(session: &mut Session, arguments: &Object, _: Option<&Value>) -> Result<Answer, String> {
    let name = string(arguments, "name");
    session
        .scratch
        .write(name, string(arguments, "text"))
        .map_err(|error| format!("The note {name:?} could not be written: {error}"))?;
    Ok(text(&format!("Wrote the note {name:?}")))
}

/// A string that the schema has already found to be there.
fn string<'a>(arguments: &'a Object, name: &str) -> &'a str {
    arguments.get(name).and_then(Value::as_str).unwrap_or_default()
}
