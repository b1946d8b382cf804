//! Values that break exactly one rule.

use serde_json::{Map, Value, json};
use touchstone_core::pointer::below;

use crate::build::{LONGEST, MOST_ITEMS, bounds};
use crate::shape::{flatten, types};
use crate::string::fit;

/// A value with exactly one fault.
#[derive(Debug, Clone, PartialEq)]
pub struct SingleFault {
    /// The keyword that is violated.
    pub keyword: String,
    /// JSON pointer to the place of the fault.
    pub pointer: String,
    /// The value.
    pub value: Value,
    /// What is wrong with it, in words.
    pub description: String,
}

/// A member name that no schema is likely to know.
const STRANGER: &str = "touchstone_unknown_member";

/// Candidates; the judge decides which of them are certain.
pub(crate) fn violations(root: &Value, base: &Value) -> Vec<SingleFault> {
    let mut found = Vec::new();
    places(root, root, base, "", 0, &mut |schema, value, pointer| {
        let mut fault = |keyword: &str, wrong: Value, description: String| {
            if let Some(changed) = replaced(base, pointer, wrong) {
                found.push(SingleFault {
                    keyword: keyword.to_owned(),
                    pointer: pointer.to_owned(),
                    value: changed,
                    description,
                });
            }
        };
        of_type(schema, &mut fault);
        of_literals(schema, &mut fault);
        match value {
            Value::String(text) => of_string(schema, text, &mut fault),
            Value::Number(_) => of_number(schema, &mut fault),
            Value::Array(items) => of_array(schema, items, &mut fault),
            Value::Object(members) => of_object(schema, members, &mut fault),
            _ => {}
        }
    });
    found
}

/// Visits every place of a value with the keywords that hold there. Places below a choice are left out: which branch a value is meant for is
/// anybody's guess.
pub(crate) fn places(
    schema: &Value,
    root: &Value,
    value: &Value,
    pointer: &str,
    depth: usize,
    visit: &mut impl FnMut(&Map<String, Value>, &Value, &str),
) {
    let Some(flat) = flatten(schema, root) else { return };
    if depth > 8 || flat.contains_key("anyOf") || flat.contains_key("oneOf") || flat.contains_key("if") {
        return;
    }
    visit(&flat, value, pointer);
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if let Some(property) = flat.get("properties").and_then(|properties| properties.get(name)) {
                    let here = below(pointer, name);
                    places(property, root, member, &here, depth + 1, visit);
                }
            }
        }
        Value::Array(items) => {
            let schema = flat
                .get("items")
                .filter(|items| items.is_object() && !flat.contains_key("prefixItems"));
            if let (Some(schema), Some(first)) = (schema, items.first()) {
                places(schema, root, first, &format!("{pointer}/0"), depth + 1, visit);
            }
        }
        _ => {}
    }
}

/// The value with another one in place of what the pointer leads to.
pub(crate) fn replaced(base: &Value, pointer: &str, new: Value) -> Option<Value> {
    let mut changed = base.clone();
    *changed.pointer_mut(pointer)? = new;
    Some(changed)
}

fn of_type(schema: &Map<String, Value>, fault: &mut impl FnMut(&str, Value, String)) {
    if !schema.contains_key("type") {
        return;
    }
    let allowed = types(schema);
    // Nothing that a lenient reader could turn into the wanted type.
    let wrong = [
        ("object", json!({ "touchstone": true })),
        ("array", json!(["touchstone"])),
        ("string", json!("touchstone")),
    ];
    let scalar = allowed.iter().all(|name| !matches!(name.as_str(), "object" | "array"));
    let candidate = wrong.iter().find(|(name, _)| {
        let fits = allowed.iter().any(|allowed| allowed == name);
        !fits && (scalar || *name == "string")
    });
    if let Some((name, value)) = candidate {
        fault(
            "type",
            value.clone(),
            format!("{name} in place of {}", allowed.join(" or ")),
        );
    }
}

fn of_literals(schema: &Map<String, Value>, fault: &mut impl FnMut(&str, Value, String)) {
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array) {
        let wrong = match allowed.first() {
            Some(Value::String(_)) => json!("touchstone-none-of-these"),
            Some(Value::Number(_)) => json!(987_654_321),
            _ => return,
        };
        fault("enum", wrong, "a value that is not in the list".to_owned());
    }
    if let Some(Value::String(constant)) = schema.get("const") {
        fault(
            "const",
            json!(format!("{constant}-touchstone")),
            "another value than the constant".to_owned(),
        );
    }
}

fn of_string(schema: &Map<String, Value>, text: &str, fault: &mut impl FnMut(&str, Value, String)) {
    let bound = |keyword: &str| {
        schema
            .get(keyword)
            .and_then(Value::as_u64)
            .filter(|bound| *bound <= LONGEST)
    };
    if let Some(least) = bound("minLength").filter(|least| *least > 0) {
        fault(
            "minLength",
            json!(fit(text, 0, least - 1)),
            format!("one character less than {least}"),
        );
    }
    if let Some(most) = bound("maxLength") {
        fault(
            "maxLength",
            json!(fit(text, most + 1, most + 1)),
            format!("one character more than {most}"),
        );
    }
    if schema.contains_key("pattern") {
        for wrong in ["touchstone?!", "~", "", "\u{1f600}", "A1 b2"] {
            fault(
                "pattern",
                json!(wrong),
                "a text that does not match the pattern".to_owned(),
            );
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "bounds beyond i64 saturate, and the judge decides about the value"
)]
fn of_number(schema: &Map<String, Value>, fault: &mut impl FnMut(&str, Value, String)) {
    let (least, most) = bounds(schema, 0.0);
    let whole = |number: f64| json!(number as i64);
    if let Some(least) = least {
        let exclusive = schema.contains_key("exclusiveMinimum");
        let (keyword, wrong) = if exclusive {
            ("exclusiveMinimum", least.floor())
        } else {
            ("minimum", least.ceil() - 1.0)
        };
        fault(keyword, whole(wrong), format!("below {least}"));
    }
    if let Some(most) = most {
        let exclusive = schema.contains_key("exclusiveMaximum");
        let (keyword, wrong) = if exclusive {
            ("exclusiveMaximum", most.ceil())
        } else {
            ("maximum", most.floor() + 1.0)
        };
        fault(keyword, whole(wrong), format!("above {most}"));
    }
    if let Some(step) = schema
        .get("multipleOf")
        .and_then(Value::as_i64)
        .filter(|step| *step > 1)
    {
        let start = least.map_or(0, |least| least.ceil() as i64);
        let wrong = (start..start + step).find(|number| number % step != 0);
        if let Some(wrong) = wrong {
            fault("multipleOf", json!(wrong), format!("no multiple of {step}"));
        }
    }
}

fn of_array(schema: &Map<String, Value>, items: &[Value], fault: &mut impl FnMut(&str, Value, String)) {
    let bound = |keyword: &str| {
        schema
            .get(keyword)
            .and_then(Value::as_u64)
            .filter(|bound| *bound <= MOST_ITEMS)
    };
    let unique = schema.get("uniqueItems") == Some(&Value::Bool(true));
    if let Some(least) = bound("minItems").filter(|least| *least > 0) {
        let fewer = items
            .iter()
            .take(usize::try_from(least - 1).unwrap_or(0))
            .cloned()
            .collect();
        fault("minItems", Value::Array(fewer), format!("fewer than {least} items"));
    }
    if let (Some(most), Some(first), false) = (bound("maxItems"), items.first(), unique) {
        let more = vec![first.clone(); usize::try_from(most + 1).unwrap_or(0)];
        fault("maxItems", Value::Array(more), format!("more than {most} items"));
    }
    if let (true, Some(first)) = (unique, items.first()) {
        fault("uniqueItems", json!([first, first]), "the same item twice".to_owned());
    }
}

fn of_object(schema: &Map<String, Value>, members: &Map<String, Value>, fault: &mut impl FnMut(&str, Value, String)) {
    for name in schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        let mut fewer = members.clone();
        if fewer.remove(name).is_some() {
            fault(
                "required",
                Value::Object(fewer),
                format!("without the required member {name:?}"),
            );
        }
    }
    if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
        let mut more = members.clone();
        more.insert(STRANGER.to_owned(), json!(true));
        fault(
            "additionalProperties",
            Value::Object(more),
            "with a member that the schema excludes".to_owned(),
        );
    }
}
