//! `${path}` in the strings of a case: replaced by what the path leads to.
//!
//! A string that is nothing but one `${path}` becomes the value itself, of whatever type; inside a longer string the value is written out.
//! `$${` stands for a literal `${`. `${path|filter}` is a text made from what the path leads to:
//!
//! - `other-case`: capital letters for small ones and the other way round, no value where there are no letters;
//! - `first-variable`: the name of the first variable of a URI template;
//! - `first-link`: the URI of the first resource link in a list of content blocks;
//! - `base64`: the text in base64;
//! - `tampered`: the text with a character in its middle replaced by another.
//!
//! And of an object, `with-stranger` is the same object with one more member, of a name that nobody uses, and `first-member` is one with its first
//! member alone.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::expectation::lookup;

/// A `${path}` that leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("${{{path}}} has no value; known names are {known}")]
pub struct Unbound {
    /// The path.
    pub path: String,
    /// The names that have values.
    pub known: String,
}

/// Replaces every `${path}` in the strings of `value`, member names left alone.
///
/// # Errors
/// When a path has no value.
pub fn interpolate(value: &Value, bindings: &Map<String, Value>) -> Result<Value, Unbound> {
    Ok(match value {
        Value::String(text) => string(text, bindings)?,
        Value::Array(items) => items
            .iter()
            .map(|item| interpolate(item, bindings))
            .collect::<Result<_, _>>()
            .map(Value::Array)?,
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| Ok((name.clone(), interpolate(value, bindings)?)));
            Value::Object(members.collect::<Result<_, Unbound>>()?)
        }
        other => other.clone(),
    })
}

/// Replaces every `${path}` in a text; values that are not strings are written as JSON.
///
/// # Errors
/// When a path has no value.
pub fn interpolate_text(text: &str, bindings: &Map<String, Value>) -> Result<String, Unbound> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if rest[..start].ends_with('$') {
            out.push_str(&rest[..start]);
            out.push('{');
            rest = &rest[start + 2..];
            continue;
        }
        let Some(length) = rest[start + 2..].find('}') else {
            break;
        };
        out.push_str(&rest[..start]);
        match &*resolve(&rest[start + 2..start + 2 + length], bindings)? {
            Value::String(inner) => out.push_str(inner),
            other => out.push_str(&other.to_string()),
        }
        rest = &rest[start + 3 + length..];
    }
    out.push_str(rest);
    Ok(out)
}

fn string(text: &str, bindings: &Map<String, Value>) -> Result<Value, Unbound> {
    let whole = text
        .strip_prefix("${")
        .and_then(|inner| inner.strip_suffix('}'))
        .filter(|path| !path.contains(['{', '}']));
    match whole {
        Some(path) => resolve(path, bindings).map(Cow::into_owned),
        None => interpolate_text(text, bindings).map(Value::String),
    }
}

fn resolve<'a>(reference: &str, bindings: &'a Map<String, Value>) -> Result<Cow<'a, Value>, Unbound> {
    let (path, filter) = reference
        .split_once('|')
        .map_or((reference, None), |(path, filter)| (path, Some(filter)));
    let (first, rest) = path
        .split_once('.')
        .map_or((path, None), |(first, rest)| (first, Some(rest)));
    let value = bindings.get(first);
    let value = match rest {
        Some(rest) => value.and_then(|value| lookup(value, rest)),
        None => value,
    };
    let value = match filter {
        None => value.map(Cow::Borrowed),
        Some(filter) => value
            .and_then(|value| match filter {
                "first-link" => first_link(value).map(Value::String),
                "with-stranger" => with_stranger(value),
                "first-member" => first_member(value),
                filter => filtered(filter, value.as_str()?).map(Value::String),
            })
            .map(Cow::Owned),
    };
    value.ok_or_else(|| Unbound {
        path: reference.to_owned(),
        known: bindings.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
    })
}

/// The URI of the first resource link among content blocks.
fn first_link(content: &Value) -> Option<String> {
    let is_link = |block: &&Value| block.get("type").is_some_and(|kind| kind == "resource_link");
    let link = content.as_array()?.iter().find(is_link)?;
    Some(link.get("uri")?.as_str()?.to_owned())
}

/// An object with a member of a name that nobody uses.
fn with_stranger(value: &Value) -> Option<Value> {
    let mut members = value.as_object()?.clone();
    members.insert(
        "touchstone-stranger".to_owned(),
        serde_json::json!({ "action": "accept" }),
    );
    Some(Value::Object(members))
}

/// An object with nothing but the first member of another.
fn first_member(value: &Value) -> Option<Value> {
    let (name, member) = value.as_object()?.iter().next()?;
    Some(serde_json::json!({ name.as_str(): member }))
}

/// A text with the character in its middle replaced by another.
fn tampered(text: &str) -> Option<String> {
    let middle = text.chars().count() / 2;
    let change = |(place, character)| match (place == middle, character) {
        (true, 'A') => 'B',
        (true, _) => 'A',
        (false, character) => character,
    };
    Some(text.chars().enumerate().map(change).collect::<String>()).filter(|changed| changed != text)
}

/// What a filter makes of a text, if anything.
fn filtered(filter: &str, text: &str) -> Option<String> {
    match filter {
        "other-case" => {
            let other = |letter: char| match letter.is_ascii_lowercase() {
                true => letter.to_ascii_uppercase(),
                false => letter.to_ascii_lowercase(),
            };
            Some(text.chars().map(other).collect::<String>()).filter(|swapped| swapped != text)
        }
        // RFC 6570: an operator may stand before the names, modifiers behind them.
        "first-variable" => {
            let (_, expression) = text.split_once('{')?;
            let (expression, _) = expression.split_once('}')?;
            let names = expression.trim_start_matches(['+', '#', '.', '/', ';', '?', '&']);
            let name = names.split([',', ':', '*']).next()?;
            Some(name.to_owned()).filter(|name| !name.is_empty())
        }
        "base64" => {
            use base64::Engine as _;
            Some(base64::engine::general_purpose::STANDARD.encode(text))
        }
        "tampered" => tampered(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn bindings() -> Map<String, Value> {
        let Value::Object(map) = json!({"tool": {"name": "add", "limits": [1, 2]}, "n": 3}) else {
            unreachable!()
        };
        map
    }

    #[test]
    fn a_lone_reference_keeps_its_type_and_others_are_written_out() {
        let value = json!({"a": "${n}", "b": "call ${tool.name} ${n} times", "c": ["${tool.limits.1}"], "d": "$${n}"});
        assert_eq!(
            interpolate(&value, &bindings()).unwrap(),
            json!({"a": 3, "b": "call add 3 times", "c": [2], "d": "${n}"})
        );
    }

    #[test]
    fn filters_make_texts_of_texts() {
        let content = json!([{"type": "text", "uri": "a:1"}, {"type": "resource_link", "uri": "a:2"}]);
        let Value::Object(bindings) = json!({"tool": {"name": "get_User"}, "n": "1", "t": "a://{/path*}{?q}", "u": "a://b", "c": content, "e": []})
        else {
            unreachable!()
        };
        for (text, expected) in [
            ("${tool.name|other-case}", Some("GET_uSER")),
            ("${n|other-case}", None),
            ("${t|first-variable}", Some("path")),
            ("${u|first-variable}", None),
            ("${c|first-link}", Some("a:2")),
            ("${e|first-link}", None),
            ("${n|upside-down}", None),
            ("${n|base64}", Some("MQ==")),
            ("${tool.name|tampered}", Some("get_Aser")),
            ("${tool|first-member}", Some(r#"{"name":"get_User"}"#)),
            ("${n|first-member}", None),
            (
                "${tool|with-stranger}",
                Some(r#"{"name":"get_User","touchstone-stranger":{"action":"accept"}}"#),
            ),
        ] {
            assert_eq!(interpolate_text(text, &bindings).ok().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn an_unbound_name_is_told_with_the_known_ones() {
        let error = interpolate(&json!("${tol.name}"), &bindings()).unwrap_err().to_string();
        assert!(error.contains("tol.name") && error.contains("tool"), "{error}");
    }
}
