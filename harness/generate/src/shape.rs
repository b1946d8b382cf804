//! A schema made ready to generate from: references followed, `allOf` merged.

use serde_json::{Map, Value};
use touchstone_core::spec::judge::resolve;

/// Longest chain of references and merges that is followed.
const MOST_STEPS: usize = 40;

/// The keywords that hold at a place, references and `allOf` resolved. `None` for a schema that allows nothing, or a chain without end.
pub(crate) fn flatten(schema: &Value, root: &Value) -> Option<Map<String, Value>> {
    flatten_within(schema, root, &mut 0)
}

fn flatten_within(schema: &Value, root: &Value, steps: &mut usize) -> Option<Map<String, Value>> {
    *steps += 1;
    if *steps > MOST_STEPS {
        return None;
    }
    let members = match schema {
        Value::Bool(true) => return Some(Map::new()),
        Value::Object(members) => members,
        _ => return None,
    };
    let mut flat = members.clone();
    if let Some(Value::String(reference)) = members.get("$ref") {
        flat.remove("$ref");
        let target = flatten_within(resolve(reference, root)?, root, steps)?;
        merge(&mut flat, target);
    }
    if let Some(Value::Array(parts)) = members.get("allOf") {
        flat.remove("allOf");
        for part in parts {
            let part = flatten_within(part, root, steps)?;
            merge(&mut flat, part);
        }
    }
    Some(flat)
}

/// Adds the keywords of another schema that must hold as well. Where both have a keyword, the stricter reading is taken if it is easy to tell;
/// the judge has the last word on every value anyway.
pub(crate) fn merge(into: &mut Map<String, Value>, other: Map<String, Value>) {
    for (keyword, value) in other {
        match (into.get_mut(&keyword), value) {
            (None, value) => {
                into.insert(keyword, value);
            }
            (Some(Value::Object(known)), Value::Object(more))
                if keyword == "properties" || keyword.ends_with("defs") =>
            {
                for (name, schema) in more {
                    known.entry(name).or_insert(schema);
                }
            }
            (Some(Value::Array(known)), Value::Array(more)) if keyword == "required" => {
                for name in more {
                    if !known.contains(&name) {
                        known.push(name);
                    }
                }
            }
            (Some(Value::Array(known)), Value::Array(more)) if keyword == "enum" => {
                known.retain(|value| more.contains(value))
            }
            (Some(known), value) if keyword.starts_with("min") && value.as_f64() > known.as_f64() => *known = value,
            (Some(known), value) if keyword.starts_with("max") && value.as_f64() < known.as_f64() => *known = value,
            _ => {}
        }
    }
}

/// The types that a value at this place may have, most telling first; null last.
pub(crate) fn types(schema: &Map<String, Value>) -> Vec<String> {
    let mut types: Vec<String> = match schema.get("type") {
        Some(Value::String(name)) => vec![name.clone()],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => {
            let hints = [
                (
                    "object",
                    &[
                        "properties",
                        "required",
                        "additionalProperties",
                        "patternProperties",
                        "minProperties",
                    ][..],
                ),
                (
                    "array",
                    &[
                        "items",
                        "prefixItems",
                        "minItems",
                        "maxItems",
                        "uniqueItems",
                        "contains",
                    ],
                ),
                ("string", &["minLength", "maxLength", "pattern", "format"]),
                (
                    "number",
                    &[
                        "minimum",
                        "maximum",
                        "exclusiveMinimum",
                        "exclusiveMaximum",
                        "multipleOf",
                    ],
                ),
            ];
            let hinted = hints
                .iter()
                .find(|(_, keywords)| keywords.iter().any(|keyword| schema.contains_key(*keyword)));
            vec![hinted.map_or("string", |(name, _)| *name).to_owned()]
        }
    };
    types.sort_by_key(|name| name == "null");
    types
}
