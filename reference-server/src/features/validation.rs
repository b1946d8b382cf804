//! Checks a value against the part of JSON Schema that the tools' schemas use.
//!
//! The published `inputSchema` is what is checked, so that the two cannot drift apart.

use serde_json::Value;

/// Whether a text matches.
type Meaning = fn(&str) -> bool;

/// The patterns of our schemas, with what they mean: a regular expression engine would be too much for three.
const PATTERNS: [(&str, Meaning); 3] = [
    (PRIORITY, |text| ["low", "normal", "high", "critical"].contains(&text)),
    (USER_ID, |text| text.starts_with("usr_")),
    (NOTE_NAME, |text| {
        (1..=32).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    }),
];

pub(super) const PRIORITY: &str = "^(low|normal|high|critical)$";
pub(super) const USER_ID: &str = "^usr_";
pub(super) const NOTE_NAME: &str = "^[a-z0-9-]{1,32}$";

/// Says what is wrong with the value first; `path` is what to call it.
pub(super) fn check(schema: &Value, value: &Value, path: &str) -> Result<(), String> {
    match schema["type"].as_str() {
        Some("object") => check_object(schema, value, path),
        Some("array") => check_array(schema, value, path),
        Some("string") => check_string(schema, value, path),
        Some("integer") => check_integer(schema, value, path),
        Some("boolean") if !value.is_boolean() => Err(format!("{path} must be a boolean")),
        _ => Ok(()),
    }
}

fn check_object(schema: &Value, value: &Value, path: &str) -> Result<(), String> {
    let object = value.as_object().ok_or_else(|| format!("{path} must be an object"))?;
    let required = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    for name in required {
        if !object.contains_key(name) {
            return Err(format!("{path} lacks the required member {name:?}"));
        }
    }
    for (name, member) in object {
        match schema["properties"].get(name) {
            Some(schema) => check(schema, member, &format!("{path}.{name}"))?,
            None => return Err(format!("{path} has the unknown member {name:?}")),
        }
    }
    Ok(())
}

fn check_array(schema: &Value, value: &Value, path: &str) -> Result<(), String> {
    let entries = value.as_array().ok_or_else(|| format!("{path} must be an array"))?;
    entries
        .iter()
        .enumerate()
        .try_for_each(|(index, entry)| check(&schema["items"], entry, &format!("{path}[{index}]")))
}

fn check_string(schema: &Value, value: &Value, path: &str) -> Result<(), String> {
    let text = value.as_str().ok_or_else(|| format!("{path} must be a string"))?;
    // JSON Schema counts characters, not bytes.
    let length = text.chars().count() as u64;
    if let Some(least) = schema["minLength"].as_u64().filter(|least| length < *least) {
        return Err(format!("{path} must have {least} characters or more, but has {length}"));
    }
    if let Some(most) = schema["maxLength"].as_u64().filter(|most| length > *most) {
        return Err(format!("{path} must have {most} characters or fewer, but has {length}"));
    }
    if let Some(known) = schema["enum"].as_array().filter(|known| !known.contains(value)) {
        return Err(format!("{path} must be one of {}", Value::from(known.clone())));
    }
    match PATTERNS.iter().find(|(pattern, _)| schema["pattern"] == **pattern) {
        Some((pattern, holds)) if !holds(text) => Err(format!("{path} must match {pattern}")),
        _ => Ok(()),
    }
}

fn check_integer(schema: &Value, value: &Value, path: &str) -> Result<(), String> {
    // A number without a fraction is an integer, however it is written (JSON Schema, section 6.1.1 of validation).
    let number = value
        .as_f64()
        .filter(|number| number.fract() == 0.0)
        .ok_or_else(|| format!("{path} must be an integer"))?;
    if let Some(least) = schema["minimum"].as_f64().filter(|least| number < *least) {
        return Err(format!("{path} must be {least} or more, but is {value}"));
    }
    if let Some(most) = schema["maximum"].as_f64().filter(|most| number > *most) {
        return Err(format!("{path} must be {most} or less, but is {value}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn violations_are_told_from_valid_values() {
        let rows = [
            (json!({ "type": "integer" }), json!(3.0), true),
            (json!({ "type": "integer" }), json!(3.5), false),
            (json!({ "type": "integer" }), json!("3"), false),
            (json!({ "type": "integer", "minimum": 1 }), json!(0), false),
            (json!({ "type": "integer", "maximum": 100 }), json!(100), true),
            (json!({ "type": "integer", "maximum": 100 }), json!(101), false),
            (json!({ "type": "boolean" }), json!(null), false),
            (json!({ "type": "string", "minLength": 1 }), json!(""), false),
            (json!({ "type": "string", "maxLength": 2 }), json!("éé"), true),
            (json!({ "type": "string", "maxLength": 2 }), json!("ééé"), false),
            (json!({ "type": "string", "enum": ["a", "b"] }), json!("b"), true),
            (json!({ "type": "string", "enum": ["a", "b"] }), json!("c"), false),
            (json!({ "type": "string", "pattern": PRIORITY }), json!("high"), true),
            (json!({ "type": "string", "pattern": PRIORITY }), json!("high\n"), false),
            (
                json!({ "type": "string", "pattern": NOTE_NAME }),
                json!("../etc"),
                false,
            ),
            (
                json!({ "type": "array", "items": { "type": "string" } }),
                json!(["a", 1]),
                false,
            ),
            (
                json!({ "type": "object", "required": ["a"], "properties": { "a": {} } }),
                json!({}),
                false,
            ),
            (
                json!({ "type": "object", "properties": { "a": {} } }),
                json!({ "b": 1 }),
                false,
            ),
        ];
        for (schema, value, valid) in rows {
            assert_eq!(check(&schema, &value, "value").is_ok(), valid, "{schema} {value}");
        }
    }
}
