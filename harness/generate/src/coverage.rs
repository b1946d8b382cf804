//! Every constraint of a schema, from both sides: valid values right at it, and values that break it and nothing else.
//!
//! More than cases need ([`Generator::boundaries`] and [`Generator::violations`] are short), and meant for campaigns: every limit with its
//! neighbours, every type in place of another, every branch of a choice. The judge has the last word on each value.

use serde_json::{Map, Value, json};
use touchstone_core::pointer::below;
use touchstone_core::spec::judge::Judgement;

use crate::build::{LONGEST, MOST_ITEMS, bounds};
use crate::flaws::flaws_at;
use crate::generator::Generator;
use crate::shape::{flatten, merge, types};
use crate::string::fit;
use crate::violation::replaced;

/// A valid value right at a constraint.
#[derive(Debug, Clone, PartialEq)]
pub struct Edge {
    /// The keyword that it touches, or what is special about it in other words.
    pub keyword: String,
    /// JSON pointer to the place.
    pub pointer: String,
    /// Whether the schema speaks of it. What is merely unusual, such as an odd character, a server may have reasons to refuse.
    pub explicit: bool,
    /// The value.
    pub value: Value,
}

/// A value that breaks one keyword at one place, certainly.
#[derive(Debug, Clone, PartialEq)]
pub struct Flaw {
    /// The keyword.
    pub keyword: String,
    /// JSON pointer to the place.
    pub pointer: String,
    /// Whether a lenient reader could take the value for a valid one, as `"5"` for 5: accepting it is nothing to complain about.
    pub coercible: bool,
    /// The value.
    pub value: Value,
}

/// Member name that no schema is likely to know.
pub(crate) const STRANGER: &str = "touchstone_unknown_member";
/// Deepest place that is visited.
const DEEPEST: usize = 10;
/// Most values of one kind that are made for one schema.
const MOST: usize = 2_000;

/// A place of the base value with what holds there.
pub(crate) struct Spot<'a> {
    pub(crate) schema: &'a Map<String, Value>,
    pub(crate) value: &'a Value,
    pub(crate) pointer: &'a str,
    /// The schemas of a choice (`anyOf`, `oneOf`) at this place.
    pub(crate) branches: &'a [Value],
}

impl Generator {
    /// Valid values right at every constraint. The same every time.
    #[must_use]
    pub fn edges(&self) -> Vec<Edge> {
        let Ok(base) = self.fullest() else { return Vec::new() };
        let schema = self.judge().schema();
        let mut found = Vec::new();
        let whole = |keyword: &str, value: &Value| Edge {
            keyword: keyword.to_owned(),
            pointer: String::new(),
            explicit: true,
            value: value.clone(),
        };
        if let Ok(simplest) = self.simplest() {
            found.push(whole("required", &simplest));
        }
        found.push(whole("properties", &base));
        spots(schema, schema, &base, "", 0, &mut |spot| {
            let mut edge = |keyword: &str, explicit: bool, value: Value| {
                if let Some(value) = replaced(&base, spot.pointer, value).filter(|_| found.len() < MOST) {
                    found.push(Edge {
                        keyword: keyword.to_owned(),
                        pointer: spot.pointer.to_owned(),
                        explicit,
                        value,
                    });
                }
            };
            edges_at(spot, schema, &mut edge);
        });
        let mut seen: Vec<Value> = Vec::new();
        found.retain(|edge| {
            let new = !seen.contains(&edge.value);
            if new {
                seen.push(edge.value.clone());
            }
            new && self.judge().judge(&edge.value) == Judgement::Valid
        });
        found
    }

    /// Values that break exactly one keyword at one place, certainly. The same every time.
    #[must_use]
    pub fn flaws(&self) -> Vec<Flaw> {
        let Ok(base) = self.fullest() else { return Vec::new() };
        let schema = self.judge().schema();
        let mut found: Vec<Flaw> = Vec::new();
        spots(schema, schema, &base, "", 0, &mut |spot| {
            let mut flaw = |keyword: &str, coercible: bool, value: Value| {
                if let Some(value) = replaced(&base, spot.pointer, value).filter(|_| found.len() < MOST) {
                    found.push(Flaw {
                        keyword: keyword.to_owned(),
                        pointer: spot.pointer.to_owned(),
                        coercible,
                        value,
                    });
                }
            };
            flaws_at(spot, &mut flaw);
        });
        let mut certain: Vec<Flaw> = Vec::new();
        for mut flaw in found {
            let Judgement::Invalid(violations) = self.judge().judge(&flaw.value) else {
                continue;
            };
            // What the judge says is broken counts, not what was meant; and it must be one thing only.
            let Some(first) = violations.first() else { continue };
            if violations.iter().any(|violation| violation.keyword != first.keyword) {
                continue;
            }
            if first.keyword != flaw.keyword && !["anyOf", "oneOf", "type"].contains(&first.keyword.as_str()) {
                continue;
            }
            flaw.keyword.clone_from(&first.keyword);
            if !certain.iter().any(|known| known.value == flaw.value) {
                certain.push(flaw);
            }
        }
        certain
    }

    /// A valid value from a seed of its own, or the simplest where chance leads to none.
    #[must_use]
    pub fn sample(&self, dice: &mut crate::Dice) -> Option<Value> {
        for length in [256, 64, 16] {
            let tape = dice.tape(length);
            if let Ok(value) = self.valid(&mut arbitrary::Unstructured::new(&tape)) {
                return Some(value);
            }
        }
        self.simplest().ok()
    }
}

/// Visits every place of a value, choices included.
fn spots(schema: &Value, root: &Value, value: &Value, pointer: &str, depth: usize, visit: &mut impl FnMut(&Spot<'_>)) {
    let Some(mut flat) = flatten(schema, root) else { return };
    if depth > DEEPEST || flat.contains_key("if") {
        return;
    }
    let mut branches = Vec::new();
    for keyword in ["anyOf", "oneOf"] {
        if let Some(Value::Array(choice)) = flat.remove(keyword) {
            let fitting = choice
                .iter()
                .filter_map(|branch| flatten(branch, root))
                .find(|branch| types(branch).iter().any(|name| is_of(value, name)));
            if let Some(fitting) = fitting {
                merge(&mut flat, fitting);
            }
            branches.extend(choice);
        }
    }
    visit(&Spot {
        schema: &flat,
        value,
        pointer,
        branches: &branches,
    });
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let property = flat.get("properties").and_then(|properties| properties.get(name));
                let property = property.or_else(|| flat.get("additionalProperties").filter(|more| more.is_object()));
                if let Some(property) = property {
                    let here = below(pointer, name);
                    spots(property, root, member, &here, depth + 1, visit);
                }
            }
        }
        Value::Array(items) => {
            let prefix = flat.get("prefixItems").and_then(Value::as_array);
            for (index, item) in items.iter().enumerate().take(4) {
                let schema = prefix.and_then(|prefix| prefix.get(index)).or_else(|| {
                    // One ordinary item shows what holds for all of them.
                    let first = index == prefix.map_or(0, Vec::len);
                    flat.get("items").filter(|items| first && items.is_object())
                });
                if let Some(schema) = schema {
                    spots(schema, root, item, &format!("{pointer}/{index}"), depth + 1, visit);
                }
            }
        }
        _ => {}
    }
}

fn is_of(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" | "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => false,
    }
}

fn edges_at(spot: &Spot<'_>, root: &Value, edge: &mut impl FnMut(&str, bool, Value)) {
    let schema = spot.schema;
    for allowed in schema
        .get("enum")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .take(64)
    {
        edge("enum", true, allowed.clone());
    }
    if let Some(default) = schema.get("default") {
        edge("default", true, default.clone());
    }
    for example in schema.get("examples").and_then(Value::as_array).into_iter().flatten() {
        edge("examples", true, example.clone());
    }
    for branch in spot.branches {
        // The simplest value of each branch.
        let whole = match branch {
            Value::Object(members) => {
                let mut members = members.clone();
                for definitions in ["$defs", "definitions"] {
                    if let Some(found) = root.get(definitions) {
                        members.insert(definitions.to_owned(), found.clone());
                    }
                }
                Value::Object(members)
            }
            other => other.clone(),
        };
        if let Some(value) = Generator::new(&whole)
            .ok()
            .and_then(|generator| generator.simplest().ok())
        {
            edge("anyOf", true, value);
        }
    }
    let named = types(schema);
    if named.len() > 1 && named.iter().any(|name| name == "null") {
        edge("type", true, Value::Null);
    }
    match spot.value {
        Value::String(text) => string_edges(schema, text, edge),
        Value::Number(_) => number_edges(schema, edge),
        Value::Bool(flag) => edge("type", true, json!(!flag)),
        Value::Array(items) => array_edges(schema, items, edge),
        Value::Object(members) => object_edges(schema, members, edge),
        Value::Null => {}
    }
}

pub(crate) fn limit(schema: &Map<String, Value>, keyword: &str, cap: u64) -> Option<u64> {
    let bound = schema.get(keyword)?;
    let whole = bound.as_u64().or_else(|| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "only whole numbers that are not negative are cast"
        )]
        bound
            .as_f64()
            .filter(|bound| bound.fract() == 0.0 && *bound >= 0.0)
            .map(|bound| bound as u64)
    });
    whole.filter(|bound| *bound <= cap)
}

fn string_edges(schema: &Map<String, Value>, text: &str, edge: &mut impl FnMut(&str, bool, Value)) {
    let least = limit(schema, "minLength", LONGEST);
    let most = limit(schema, "maxLength", LONGEST);
    if let Some(least) = least {
        edge("minLength", true, json!(fit(text, least, least)));
        edge("minLength", true, json!(fit(text, least + 1, least + 1)));
        // Characters count, not bytes.
        edge(
            "minLength",
            true,
            json!(fit("", least, least).chars().map(|_| '中').collect::<String>()),
        );
    }
    if let Some(most) = most {
        edge("maxLength", true, json!(fit(text, most, most)));
        edge(
            "maxLength",
            true,
            json!(fit(text, most.saturating_sub(1), most.saturating_sub(1))),
        );
        let each = |letter: char| {
            fit("", most.min(1000), most.min(1000))
                .chars()
                .map(|_| letter)
                .collect::<String>()
        };
        edge("maxLength", true, json!(each('中')));
        // Many programs count such a letter twice: a refusal is told of, and no more.
        edge("maxLength", false, json!(each('😀')));
    }
    for odd in [
        "",
        " ",
        "zq7é中😀\u{2028}x1",
        "\u{0}",
        "a\u{0}b",
        "e\u{301}",
        "\u{202e}abc",
        "line\nbreak\ttab\r",
        "\u{1b}[31mred",
        "true",
        "null",
        "0",
        "__proto__",
        "' OR 1=1 --",
        "../../../../etc/passwd",
        "{{7*7}}${7*7}%s%n",
        "<script>alert(1)</script>",
        "\u{feff}",
    ] {
        edge("odd text", false, json!(odd));
    }
    edge("long text", false, json!("a".repeat(10_000)));
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "bounds beyond i64 saturate, and the judge decides about the value"
)]
fn number_edges(schema: &Map<String, Value>, edge: &mut impl FnMut(&str, bool, Value)) {
    let step = schema
        .get("multipleOf")
        .and_then(Value::as_i64)
        .filter(|step| *step > 0)
        .unwrap_or(1);
    let (least, most) = bounds(schema, 1.0);
    for keyword in ["minimum", "maximum"] {
        if let Some(bound) = schema.get(keyword).filter(|bound| bound.is_number()) {
            edge(keyword, true, bound.clone());
        }
    }
    if let Some(least) = least {
        let least = least.ceil() as i64;
        edge("minimum", true, json!(least));
        edge("minimum", true, json!(least.saturating_add(step)));
    }
    if let Some(most) = most {
        let most = most.floor() as i64;
        edge("maximum", true, json!(most));
        edge("maximum", true, json!(most.saturating_sub(step)));
    }
    for number in [0, 1, -1] {
        edge("ordinary number", true, json!(number * step));
    }
    for number in [
        2_147_483_647,
        2_147_483_648,
        -2_147_483_649,
        4_294_967_296,
        9_007_199_254_740_991,
        9_007_199_254_740_993,
        i64::MAX,
        i64::MIN,
    ] {
        edge("large number", false, json!(number));
    }
    if types(schema).iter().any(|name| name == "number") {
        edge("fraction", true, json!(0.5));
        edge("fraction", false, json!(-1e-300));
        edge("large number", false, json!(1e300));
    }
}

fn array_edges(schema: &Map<String, Value>, items: &[Value], edge: &mut impl FnMut(&str, bool, Value)) {
    edge("items", true, json!([]));
    let Some(first) = items.first() else { return };
    let of = |count: u64| Value::Array(vec![first.clone(); usize::try_from(count).unwrap_or(0)]);
    edge("items", true, of(1));
    if let Some(least) = limit(schema, "minItems", MOST_ITEMS) {
        edge("minItems", true, of(least));
    }
    match limit(schema, "maxItems", MOST_ITEMS) {
        Some(most) => edge("maxItems", true, of(most)),
        None => edge("many items", false, of(MOST_ITEMS)),
    }
}

fn object_edges(schema: &Map<String, Value>, members: &Map<String, Value>, edge: &mut impl FnMut(&str, bool, Value)) {
    let required: Vec<&str> = texts(schema, "required").collect();
    let optional: Vec<&String> = members
        .keys()
        .filter(|name| !required.contains(&name.as_str()))
        .collect();
    for name in &optional {
        let mut fewer = members.clone();
        fewer.remove(*name);
        edge("required", true, Value::Object(fewer));
        let only = |(key, _): &(&String, &Value)| key == name || required.contains(&key.as_str());
        let kept = members
            .iter()
            .filter(only)
            .map(|(key, value)| (key.clone(), value.clone()));
        edge("required", true, Value::Object(kept.collect()));
    }
    if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
        let mut more = members.clone();
        more.insert(STRANGER.to_owned(), json!(true));
        edge("additionalProperties", false, Value::Object(more));
    }
}

pub(crate) fn texts<'a>(schema: &'a Map<String, Value>, keyword: &str) -> impl Iterator<Item = &'a str> {
    let entries = schema.get(keyword).and_then(Value::as_array);
    entries.into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn generator(schema: &Value) -> Generator {
        Generator::new(schema).unwrap()
    }

    #[test]
    fn every_limit_is_met_from_both_sides_also_deep_inside() {
        let schema = json!({"type": "object", "required": ["rows"], "properties": {"rows": {"type": "array", "items": {
            "type": "object", "required": ["seat"], "properties": {"seat": {"type": "integer", "minimum": 1, "maximum": 40}}}}}});
        let values: Vec<Value> = generator(&schema).edges().into_iter().map(|edge| edge.value).collect();
        for seat in [1, 2, 39, 40] {
            let wanted = |value: &Value| value.pointer("/rows/0/seat") == Some(&json!(seat));
            assert!(values.iter().any(wanted), "{seat}: {values:?}");
        }
        let flaws = generator(&schema).flaws();
        for (seat, keyword) in [(0, "minimum"), (41, "maximum")] {
            let wanted =
                |flaw: &Flaw| flaw.value.pointer("/rows/0/seat") == Some(&json!(seat)) && flaw.keyword == keyword;
            assert!(flaws.iter().any(wanted), "{seat}: {flaws:?}");
        }
    }

    #[test]
    fn a_choice_is_tried_branch_by_branch_and_broken_by_what_no_branch_allows() {
        let schema = json!({"type": "object", "required": ["n"], "properties": {"n": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}});
        let generator = generator(&schema);
        let edges = generator.edges();
        assert!(edges.iter().any(|edge| edge.value == json!({"n": null})), "{edges:?}");
        let flaws = generator.flaws();
        let sure: BTreeSet<&str> = flaws
            .iter()
            .filter(|flaw| !flaw.coercible)
            .map(|flaw| flaw.keyword.as_str())
            .collect();
        assert!(sure.contains("anyOf") && sure.contains("required"), "{flaws:?}");
        assert!(
            flaws
                .iter()
                .any(|flaw| flaw.coercible && flaw.value == json!({"n": "5"})),
            "{flaws:?}"
        );
    }

    #[test]
    fn edges_are_valid_and_flaws_break_one_keyword() {
        let schema = json!({"type": "object", "additionalProperties": false, "required": ["mode", "tags"], "minProperties": 1, "properties": {
            "mode": {"enum": ["fast", "slow"]}, "tags": {"type": "array", "items": {"type": "string", "minLength": 2, "maxLength": 5},
                "minItems": 1, "maxItems": 3, "uniqueItems": true},
            "size": {"type": "number", "exclusiveMinimum": 0, "maximum": 2.5}}});
        let generator = generator(&schema);
        for edge in generator.edges() {
            assert_eq!(generator.judge().judge(&edge.value), Judgement::Valid, "{edge:?}");
        }
        let flaws = generator.flaws();
        let keywords: BTreeSet<&str> = flaws.iter().map(|flaw| flaw.keyword.as_str()).collect();
        for keyword in [
            "additionalProperties",
            "enum",
            "exclusiveMinimum",
            "maxLength",
            "maximum",
            "minItems",
            "minLength",
            "required",
            "type",
            "uniqueItems",
        ] {
            assert!(keywords.contains(keyword), "{keyword}: {keywords:?}");
        }
        for flaw in flaws {
            let Judgement::Invalid(violations) = generator.judge().judge(&flaw.value) else {
                panic!("{flaw:?}")
            };
            assert!(
                violations.iter().all(|violation| violation.keyword == flaw.keyword),
                "{flaw:?}"
            );
        }
    }
}
