//! Schemas made from bytes: every keyword that the generator knows, in combinations that nobody writes.

use arbitrary::Unstructured;
use serde_json::{Map, Value, json};

/// A schema.
pub(crate) fn schema(source: &mut Unstructured<'_>, depth: usize) -> Value {
    if depth > 4 || source.is_empty() {
        return json!({ "type": "string" });
    }
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| {
        members.insert(name.to_owned(), value);
    };
    match pick(source, 10) {
        0 | 1 => {
            put("type", json!("object"));
            let names = ["a", "b", "c/d", "e~f"];
            let count = pick(source, names.len() + 1);
            let properties: Map<String, Value> = names[..count]
                .iter()
                .map(|name| ((*name).to_owned(), schema(source, depth + 1)))
                .collect();
            put("properties", Value::Object(properties));
            let required = pick(source, count + 1);
            put("required", json!(names[..required]));
            if flag(source) {
                put("additionalProperties", json!(flag(source)));
            }
            if flag(source) {
                put("maxProperties", json!(pick(source, 6)));
            }
            if flag(source) {
                put("minProperties", json!(pick(source, 3)));
            }
            if flag(source) {
                put("dependentRequired", json!({ "a": ["b"] }));
            }
        }
        2 => {
            put("type", json!("array"));
            put("items", schema(source, depth + 1));
            if flag(source) {
                put("minItems", json!(pick(source, 5)));
            }
            if flag(source) {
                put("maxItems", json!(pick(source, 5)));
            }
            put("uniqueItems", json!(flag(source)));
            if flag(source) {
                put("prefixItems", json!([schema(source, depth + 1)]));
            }
        }
        3 | 4 => {
            put("type", json!("string"));
            if flag(source) {
                put("minLength", json!(pick(source, 9)));
            }
            if flag(source) {
                put("maxLength", json!(pick(source, 9)));
            }
            if flag(source) {
                let patterns = ["^[a-z]+$", "^(x|yy)$", "[0-9]{2,4}", "^.*$", "^\\d+-\\w*$", "(?!a)b"];
                put("pattern", json!(patterns[pick(source, patterns.len())]));
            }
            if flag(source) {
                let formats = ["date", "email", "uri", "uuid", "ipv4", "nonsense"];
                put("format", json!(formats[pick(source, formats.len())]));
            }
        }
        5 | 6 => {
            put("type", json!(if flag(source) { "integer" } else { "number" }));
            for keyword in ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"] {
                if pick(source, 3) == 0 {
                    put(keyword, json!(i64::try_from(pick(source, 200)).unwrap_or(0) - 100));
                }
            }
            if flag(source) {
                put("multipleOf", json!(1 + pick(source, 7)));
            }
        }
        7 => {
            let keyword = if flag(source) { "anyOf" } else { "oneOf" };
            put(keyword, json!([schema(source, depth + 1), schema(source, depth + 1)]));
        }
        8 => put("allOf", json!([schema(source, depth + 1), schema(source, depth + 1)])),
        _ => match pick(source, 4) {
            0 => put("enum", json!(["x", 5, null, [1]])),
            1 => put("const", json!({ "k": 1 })),
            2 => put("type", json!(["boolean", "null"])),
            _ => put("$ref", json!("#")),
        },
    }
    Value::Object(members)
}

fn pick(source: &mut Unstructured<'_>, count: usize) -> usize {
    source.int_in_range(0..=count.saturating_sub(1)).unwrap_or(0)
}

fn flag(source: &mut Unstructured<'_>) -> bool {
    source.arbitrary().unwrap_or(false)
}
