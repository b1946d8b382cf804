//! The client's roots (client/roots).

use serde_json::Value;

use super::asking::{ask, result};
use super::tools::{Tool, no_arguments, text};
use super::{Answer, Object, Session};

pub(super) const TOOLS: &[Tool] = &[Tool {
    name: "test_list_roots",
    title: "List the roots",
    description: "Tells which roots the client offers.",
    read_only: true,
    input: no_arguments,
    output: None,
    run: list,
}];

/// Asks once, and again only when the client has said that its roots have changed.
fn list(session: &mut Session, _: &Object, _: Option<&Value>) -> Result<Answer, String> {
    if !session.client_has("/roots") {
        return Err("The client offers no roots".to_owned());
    }
    if let Some(known) = &session.roots {
        return tell(known);
    }
    Ok(ask("roots/list", None, |session, reply| {
        let answer = result(reply)?;
        let told = tell(&answer)?;
        if session.client.pointer("/roots/listChanged") == Some(&Value::Bool(true)) {
            session.roots = Some(answer);
        }
        Ok(told)
    }))
}

pub(super) fn tell(answer: &Value) -> Result<Answer, String> {
    let roots = answer["roots"].as_array().ok_or("The client gave no list of roots")?;
    let uris: Option<Vec<&str>> = roots.iter().map(|root| root["uri"].as_str()).collect();
    let uris = uris.ok_or("The client gave a root without URI")?;
    Ok(text(&format!("{} roots: {}", uris.len(), uris.join(", "))))
}
