//! Valid values at the edges of what a schema allows.

use serde_json::{Map, Value, json};

use crate::build::{LONGEST, bounds};
use crate::string::fit;
use crate::violation::{places, replaced};

/// A valid value, and what is special about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    /// What is special, for example `maximum`.
    pub label: String,
    /// JSON pointer to the special place.
    pub pointer: String,
    /// The value.
    pub value: Value,
}

/// Candidates; the judge decides which of them are valid.
pub(crate) fn boundaries(root: &Value, full: &Value, simple: &Value) -> Vec<Labelled> {
    let mut found = vec![
        Labelled {
            label: "only what is required".to_owned(),
            pointer: String::new(),
            value: simple.clone(),
        },
        Labelled {
            label: "with every optional part".to_owned(),
            pointer: String::new(),
            value: full.clone(),
        },
    ];
    places(root, root, full, "", 0, &mut |schema, value, pointer| {
        let mut edge = |label: &str, edge: Value| {
            if let Some(changed) = replaced(full, pointer, edge) {
                found.push(Labelled {
                    label: label.to_owned(),
                    pointer: pointer.to_owned(),
                    value: changed,
                });
            }
        };
        for allowed in schema.get("enum").and_then(Value::as_array).into_iter().flatten() {
            edge("enum", allowed.clone());
        }
        match value {
            Value::String(text) => strings(schema, text, &mut edge),
            Value::Number(_) => numbers(schema, &mut edge),
            Value::Bool(flag) => edge("the other truth value", json!(!flag)),
            Value::Array(_) => edge("no items", json!([])),
            Value::Object(members) => optional(schema, members, &mut edge),
            Value::Null => {}
        }
        if schema
            .get("type")
            .and_then(Value::as_array)
            .is_some_and(|types| types.contains(&json!("null")))
        {
            edge("null", Value::Null);
        }
    });
    found.dedup_by(|a, b| a.value == b.value);
    found
}

fn strings(schema: &Map<String, Value>, text: &str, edge: &mut impl FnMut(&str, Value)) {
    let bound = |keyword: &str| {
        schema
            .get(keyword)
            .and_then(Value::as_u64)
            .filter(|bound| *bound <= LONGEST)
    };
    match bound("minLength") {
        Some(least) => edge("minLength", json!(fit(text, least, least))),
        None => edge("the empty string", json!("")),
    }
    if let Some(most) = bound("maxLength") {
        edge("maxLength", json!(fit(text, most, most)));
    }
    edge("unicode", json!("zq7é中😀\u{2028}x1"));
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "bounds beyond i64 saturate, and the judge decides about the value"
)]
fn numbers(schema: &Map<String, Value>, edge: &mut impl FnMut(&str, Value)) {
    let (least, most) = bounds(schema, 1.0);
    if let Some(least) = least {
        edge("minimum", json!(least.ceil() as i64));
    }
    if let Some(most) = most {
        edge("maximum", json!(most.floor() as i64));
    }
    if least.is_none() && most.is_none() {
        for number in [0_i64, -1, 9_007_199_254_740_991] {
            edge("an ordinary limit of readers", json!(number));
        }
    }
}

fn optional(schema: &Map<String, Value>, members: &Map<String, Value>, edge: &mut impl FnMut(&str, Value)) {
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for name in members.keys().filter(|name| !required.contains(&name.as_str())) {
        let mut fewer = members.clone();
        fewer.remove(name);
        edge("without one optional member", Value::Object(fewer));
    }
}
