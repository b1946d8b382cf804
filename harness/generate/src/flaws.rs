//! What breaks a constraint: candidates for each keyword at a place; the judge decides which of them are certain.

use serde_json::{Map, Value, json};

use crate::build::{LONGEST, MOST_ITEMS, bounds};
use crate::coverage::{STRANGER, Spot, limit, texts};
use crate::shape::types;
use crate::string::fit;

/// Every candidate at a place: keyword, whether a lenient reader forgives it, value.
pub(crate) fn flaws_at(spot: &Spot<'_>, flaw: &mut impl FnMut(&str, bool, Value)) {
    let schema = spot.schema;
    type_flaws(spot, flaw);
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array) {
        flaw("enum", false, json!("touchstone-none-of-these"));
        flaw("enum", false, json!(987_654_321));
        if let Some(text) = allowed.iter().find_map(Value::as_str) {
            flaw("enum", true, json!(text.to_uppercase()));
            flaw("enum", true, json!(format!(" {text}")));
        }
    }
    if let Some(constant) = schema.get("const") {
        flaw("const", false, json!(format!("{constant}-touchstone")));
    }
    match spot.value {
        Value::String(text) => string_flaws(schema, text, flaw),
        Value::Number(_) => number_flaws(schema, flaw),
        Value::Array(items) => array_flaws(schema, items, flaw),
        Value::Object(members) => object_flaws(schema, members, flaw),
        _ => {}
    }
}

/// A value of every type that is not allowed.
fn type_flaws(spot: &Spot<'_>, flaw: &mut impl FnMut(&str, bool, Value)) {
    let keyword = if spot.branches.is_empty() { "type" } else { "anyOf" };
    if spot.branches.is_empty() && !spot.schema.contains_key("type") {
        return;
    }
    let allowed = types(spot.schema);
    let scalar = |name: &str| !matches!(name, "object" | "array");
    let only_scalars = allowed.iter().all(|name| scalar(name));
    for (name, value) in [
        ("object", json!({ "touchstone": true })),
        ("array", json!(["touchstone"])),
        ("string", json!("touchstone")),
        ("string", json!("5")),
        ("string", json!("true")),
        ("string", json!("{}")),
        ("integer", json!(5)),
        ("number", json!(0.5)),
        ("boolean", json!(true)),
        ("null", Value::Null),
    ] {
        // Objects and arrays are never taken for scalars; a word is for a number, but not "5". A lone value may be taken for a list of one.
        let sure = match name {
            "object" | "array" => only_scalars,
            "string" => value == json!("touchstone") && !allowed.iter().any(|name| name == "array"),
            "number" => allowed.iter().all(|name| name == "object" || name == "integer"),
            _ => allowed.iter().all(|name| name == "object"),
        };
        flaw(keyword, !sure, value);
    }
}

fn string_flaws(schema: &Map<String, Value>, text: &str, flaw: &mut impl FnMut(&str, bool, Value)) {
    if let Some(least) = limit(schema, "minLength", LONGEST).filter(|least| *least > 0) {
        flaw("minLength", false, json!(fit(text, 0, least - 1)));
        flaw("minLength", false, json!(""));
    }
    if let Some(most) = limit(schema, "maxLength", LONGEST) {
        flaw("maxLength", false, json!(fit(text, most + 1, most + 1)));
        flaw("maxLength", false, json!(fit(text, most * 2 + 10, most * 2 + 10)));
    }
    if schema.contains_key("pattern") {
        for wrong in ["touchstone?!", "~", "", "\u{1f600}", "A1 b2"] {
            flaw("pattern", false, json!(wrong));
        }
        // An anchor that only looks at the first line lets this pass.
        flaw("pattern", true, json!(format!("{text}\n!")));
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "bounds beyond i64 saturate, and the judge decides about the value"
)]
fn number_flaws(schema: &Map<String, Value>, flaw: &mut impl FnMut(&str, bool, Value)) {
    let (least, most) = bounds(schema, 0.0);
    if let Some(least) = least {
        let exclusive = schema.contains_key("exclusiveMinimum");
        let keyword = if exclusive { "exclusiveMinimum" } else { "minimum" };
        let beyond = if exclusive { least.floor() } else { least.ceil() - 1.0 } as i64;
        flaw(keyword, false, json!(beyond));
        flaw(keyword, false, json!(beyond.saturating_sub(1_000_000)));
    }
    if let Some(most) = most {
        let exclusive = schema.contains_key("exclusiveMaximum");
        let keyword = if exclusive { "exclusiveMaximum" } else { "maximum" };
        let beyond = if exclusive { most.ceil() } else { most.floor() + 1.0 } as i64;
        flaw(keyword, false, json!(beyond));
        flaw(keyword, false, json!(beyond.saturating_add(1_000_000)));
    }
    if let Some(step) = schema
        .get("multipleOf")
        .and_then(Value::as_i64)
        .filter(|step| *step > 1)
    {
        let start = least.map_or(0, |least| least.ceil() as i64);
        if let Some(wrong) = (start..start.saturating_add(step)).find(|number| number % step != 0) {
            flaw("multipleOf", false, json!(wrong));
        }
    }
}

fn array_flaws(schema: &Map<String, Value>, items: &[Value], flaw: &mut impl FnMut(&str, bool, Value)) {
    if let Some(least) = limit(schema, "minItems", MOST_ITEMS).filter(|least| *least > 0) {
        let fewer = items.iter().take(usize::try_from(least - 1).unwrap_or(0)).cloned();
        flaw("minItems", false, Value::Array(fewer.collect()));
    }
    let Some(first) = items.first() else { return };
    if let Some(most) = limit(schema, "maxItems", MOST_ITEMS) {
        let more = vec![first.clone(); usize::try_from(most + 1).unwrap_or(0)];
        flaw("maxItems", false, Value::Array(more));
    }
    if schema.get("uniqueItems") == Some(&Value::Bool(true)) {
        flaw("uniqueItems", false, json!([first, first]));
    }
}

fn object_flaws(schema: &Map<String, Value>, members: &Map<String, Value>, flaw: &mut impl FnMut(&str, bool, Value)) {
    for name in texts(schema, "required") {
        let mut fewer = members.clone();
        if fewer.remove(name).is_some() {
            flaw("required", false, Value::Object(fewer));
        }
    }
    let mut more = members.clone();
    more.insert(STRANGER.to_owned(), json!(true));
    if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
        flaw("additionalProperties", false, Value::Object(more.clone()));
    }
    if let Some(most) = limit(schema, "maxProperties", MOST_ITEMS) {
        for index in 0..=most {
            more.insert(format!("{STRANGER}{index}"), json!(true));
        }
        flaw("maxProperties", false, Value::Object(more.clone()));
    }
    if limit(schema, "minProperties", MOST_ITEMS).is_some_and(|least| least > 0) {
        flaw("minProperties", false, json!({}));
    }
    if schema.contains_key("propertyNames") {
        let mut odd = members.clone();
        odd.insert("~ no name ~".to_owned(), json!(true));
        flaw("propertyNames", false, Value::Object(odd));
    }
    for (name, needed) in schema
        .get("dependentRequired")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        for other in needed.as_array().into_iter().flatten().filter_map(Value::as_str) {
            let mut fewer = members.clone();
            if fewer.contains_key(name) && fewer.remove(other).is_some() {
                flaw("dependentRequired", false, Value::Object(fewer));
            }
        }
    }
}
