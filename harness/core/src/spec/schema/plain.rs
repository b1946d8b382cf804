//! A derived schema without keywords of our own: plain JSON Schema 2020-12, for validators of others.

use serde_json::{Map, Value, json};

use super::derive::object;

/// The same schema in standard keywords. Formats and what a fault weighs have no standard form, and are left out.
pub(super) fn plain(schema: &Value) -> Value {
    let Value::Object(members) = schema else {
        return schema.clone();
    };
    let mut out = Map::new();
    let mut parts = Vec::new();
    for (keyword, value) in members {
        match keyword.as_str() {
            "x-requirement" | "x-breaks" | "x-attribute" | "x-at-most" | "format" => {}
            "properties" => {
                let properties: Map<String, Value> = value
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(name, property)| (name.clone(), plain(property)))
                    .collect();
                out.insert(keyword.clone(), Value::Object(properties));
            }
            "items" | "additionalProperties" => {
                out.insert(keyword.clone(), plain(value));
            }
            "allOf" => parts.extend(value.as_array().into_iter().flatten().map(plain)),
            "x-choose" => parts.extend(choice(value)),
            "x-one-of" => {
                let forms = value
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|name| json!({ "required": [name] }));
                parts.push(json!({ "anyOf": forms.collect::<Vec<_>>() }));
            }
            "x-absent" => parts.push(json!({ "not": {} })),
            _ => {
                out.insert(keyword.clone(), value.clone());
            }
        }
    }
    if !parts.is_empty() {
        out.insert("allOf".to_owned(), Value::Array(parts));
    }
    Value::Object(out)
}

/// Conditions, one for each choice. They hold for objects only: other values are judged by `type`.
fn choice(choose: &Value) -> Vec<Value> {
    let by = choose.get("by").and_then(Value::as_str).unwrap_or_default();
    let map = object(choose, "map");
    let mut parts = Vec::new();
    if choose.get("open") != Some(&Value::Bool(true)) {
        let names: Vec<&String> = map.into_iter().flat_map(Map::keys).collect();
        parts.push(json!({ "properties": { by: { "enum": names } } }));
    }
    for (name, target) in map.into_iter().flatten() {
        let chosen = json!({ "type": "object", "required": [by], "properties": { by: { "const": name } } });
        parts.push(json!({ "if": chosen, "then": plain(target) }));
    }
    if let Some(default) = choose.get("default") {
        let unsaid = json!({ "type": "object", "not": { "required": [by] } });
        parts.push(json!({ "if": unsaid, "then": plain(default) }));
    }
    parts
}
