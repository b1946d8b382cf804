//! Checking a value against a derived schema, with faults that name the field and the requirement.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::format;
use crate::spec::pattern;

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// What is wrong.
    pub faults: Vec<SchemaFault>,
    /// Requirements whose schemas were applied to some value.
    pub exercised: BTreeSet<String>,
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaFault {
    /// JSON pointer into the value.
    pub pointer: String,
    /// The keyword that does not hold.
    pub rule: &'static str,
    /// What was expected and what was found.
    pub message: String,
    /// The requirement that is broken, if the place names one.
    pub requirement: Option<String>,
}

/// Faults that one value may have before the check stops: a list of a million broken entries has one cause.
const MOST_FAULTS: usize = 200;
/// Deepest nesting that is followed.
const DEEPEST: usize = 64;
/// What null in place of an optional member breaks.
const NULL_OPTIONAL: &str = "schema/no-null-optionals";

struct Check<'a> {
    definitions: &'a Map<String, Value>,
    checked: Checked,
}

pub(super) fn check(definitions: &Map<String, Value>, definition: &str, value: &Value) -> Checked {
    let mut check = Check {
        definitions,
        checked: Checked::default(),
    };
    if let Some(schema) = definitions.get(definition) {
        check.node(schema, value, "", None, 0);
    }
    check.checked
}

impl<'a> Check<'a> {
    fn node(&mut self, schema: &'a Value, value: &Value, pointer: &str, inherited: Option<&'a str>, depth: usize) {
        if depth > DEEPEST || self.checked.faults.len() >= MOST_FAULTS {
            return;
        }
        let own = schema.get("x-requirement").and_then(Value::as_str);
        if let Some(own) = own {
            self.checked.exercised.insert(own.to_owned());
        }
        let requirement = own.or(inherited);
        if let Some(target) = schema.get("$ref").and_then(Value::as_str)
            && let Some(target) = self.definitions.get(target.trim_start_matches("#/$defs/"))
        {
            self.node(target, value, pointer, requirement, depth + 1);
        }
        if let Some(wanted) = schema.get("type")
            && !has_type(value, wanted)
        {
            let wanted = wanted.as_str().map_or_else(|| wanted.to_string(), str::to_owned);
            self.fault(
                pointer,
                "type",
                format!("expected {} {wanted}, got {}", article(&wanted), shown(value)),
                requirement,
            );
            return;
        }
        self.literals(schema, value, pointer, requirement);
        match value {
            Value::Object(members) => self.object(schema, members, pointer, requirement, depth),
            Value::Array(items) => self.array(schema, items, pointer, requirement, depth),
            Value::String(text) => self.string(schema, text, pointer, requirement),
            Value::Number(number) => self.number(schema, number.as_f64().unwrap_or_default(), pointer, requirement),
            _ => {}
        }
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.node(part, value, pointer, requirement, depth + 1);
        }
        if let Some(parts) = schema.get("anyOf").and_then(Value::as_array) {
            let holds = |part: &Value| {
                let mut trial = Check {
                    definitions: self.definitions,
                    checked: Checked::default(),
                };
                trial.node(part, value, pointer, None, depth + 1);
                trial.checked.faults.is_empty()
            };
            if !parts.iter().any(holds) {
                self.fault(
                    pointer,
                    "anyOf",
                    format!("none of the allowed forms fits {}", shown(value)),
                    requirement,
                );
            }
        }
        if let Some(choose) = schema.get("x-choose") {
            self.choose(choose, value, pointer, requirement, depth);
        }
    }

    fn literals(&mut self, schema: &Value, value: &Value, pointer: &str, requirement: Option<&str>) {
        if let Some(wanted) = schema.get("const")
            && wanted != value
        {
            self.fault(
                pointer,
                "const",
                format!("expected {wanted}, got {}", shown(value)),
                requirement,
            );
        }
        if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
            && !allowed.contains(value)
        {
            let allowed: Vec<String> = allowed.iter().map(Value::to_string).collect();
            self.fault(
                pointer,
                "enum",
                format!("{} is none of {}", shown(value), allowed.join(", ")),
                requirement,
            );
        }
    }

    fn object(
        &mut self,
        schema: &'a Value,
        members: &Map<String, Value>,
        pointer: &str,
        requirement: Option<&'a str>,
        depth: usize,
    ) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        for name in required.iter().filter(|name| !members.contains_key(**name)) {
            let own = properties.and_then(|properties| properties.get(*name)?.get("x-requirement")?.as_str());
            if let Some(own) = own {
                self.checked.exercised.insert(own.to_owned());
            }
            self.fault(
                pointer,
                "required",
                format!("the member {name:?} is missing"),
                own.or(requirement),
            );
        }
        for (name, value) in members {
            let here = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
            match (
                properties.and_then(|properties| properties.get(name)),
                schema.get("additionalProperties"),
            ) {
                (Some(property), _) => {
                    if value.is_null() && !required.contains(&name.as_str()) && !self.allows_null(property) {
                        let message = format!("the optional member {name:?} is null; leave it out instead");
                        self.fault(&here, "type", message, Some(NULL_OPTIONAL));
                    } else {
                        self.node(property, value, &here, requirement, depth + 1);
                    }
                }
                (None, Some(additional)) if additional.is_object() => {
                    self.node(additional, value, &here, requirement, depth + 1)
                }
                _ => {}
            }
        }
    }

    /// Whether null is a legal value of a property.
    fn allows_null(&self, property: &Value) -> bool {
        let target = property
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|target| self.definitions.get(target.trim_start_matches("#/$defs/")));
        let schema = target.unwrap_or(property);
        let typed = schema.get("type").is_some()
            || schema.get("enum").is_some()
            || schema.get("x-choose").is_some()
            || schema.get("anyOf").is_some();
        !typed || schema.get("type").is_some_and(|wanted| has_type(&Value::Null, wanted))
    }

    fn array(&mut self, schema: &'a Value, items: &[Value], pointer: &str, requirement: Option<&'a str>, depth: usize) {
        let bound = |keyword: &str| {
            schema
                .get(keyword)
                .and_then(Value::as_u64)
                .and_then(|bound| usize::try_from(bound).ok())
        };
        if let Some(least) = bound("minItems").filter(|least| items.len() < *least) {
            self.fault(
                pointer,
                "minItems",
                format!("{} items, at least {least} are needed", items.len()),
                requirement,
            );
        }
        if let Some(most) = bound("maxItems").filter(|most| items.len() > *most) {
            self.fault(
                pointer,
                "maxItems",
                format!("{} items, at most {most} are allowed", items.len()),
                requirement,
            );
        }
        if let Some(schema) = schema.get("items") {
            for (index, item) in items.iter().enumerate() {
                self.node(schema, item, &format!("{pointer}/{index}"), requirement, depth + 1);
            }
        }
    }

    fn string(&mut self, schema: &Value, text: &str, pointer: &str, requirement: Option<&str>) {
        let bound = |keyword: &str| {
            schema
                .get(keyword)
                .and_then(Value::as_u64)
                .and_then(|bound| usize::try_from(bound).ok())
        };
        let length = text.chars().count();
        if bound("minLength").is_some_and(|least| length < least) {
            self.fault(
                pointer,
                "minLength",
                format!("the string has only {length} characters"),
                requirement,
            );
        }
        if bound("maxLength").is_some_and(|most| length > most) {
            self.fault(
                pointer,
                "maxLength",
                format!("the string has {length} characters"),
                requirement,
            );
        }
        if let Some(wanted) = schema.get("pattern").and_then(Value::as_str)
            && !pattern::matches(wanted, text)
        {
            self.fault(
                pointer,
                "pattern",
                format!("{} does not match {wanted}", shown(&Value::from(text))),
                requirement,
            );
        }
        if let Some(name) = schema.get("format").and_then(Value::as_str)
            && let Err(problem) = format::check(name, text)
        {
            self.fault(
                pointer,
                "format",
                format!("{} is no valid {name}: {problem}", shown(&Value::from(text))),
                requirement,
            );
        }
    }

    fn number(&mut self, schema: &Value, number: f64, pointer: &str, requirement: Option<&str>) {
        let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
        if bound("minimum").is_some_and(|least| number < least) {
            self.fault(pointer, "minimum", format!("{number} is too small"), requirement);
        }
        if bound("maximum").is_some_and(|most| number > most) {
            self.fault(pointer, "maximum", format!("{number} is too large"), requirement);
        }
    }

    fn choose(&mut self, choose: &'a Value, value: &Value, pointer: &str, requirement: Option<&'a str>, depth: usize) {
        let by = choose.get("by").and_then(Value::as_str).unwrap_or_default();
        let map = choose.get("map").and_then(Value::as_object);
        let Some(members) = value.as_object() else { return };
        let here = format!("{pointer}/{by}");
        match members.get(by) {
            Some(Value::String(choice)) => match map.and_then(|map| map.get(choice)) {
                Some(schema) => self.node(schema, value, pointer, requirement, depth + 1),
                None => {
                    let known: Vec<&str> = map.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
                    self.fault(
                        &here,
                        "enum",
                        format!("{choice:?} is none of {}", known.join(", ")),
                        requirement,
                    );
                }
            },
            Some(other) => self.fault(
                &here,
                "type",
                format!("expected a string, got {}", shown(other)),
                requirement,
            ),
            None => self.fault(
                pointer,
                "required",
                format!("the member {by:?} is missing"),
                requirement,
            ),
        }
    }

    fn fault(&mut self, pointer: &str, rule: &'static str, message: String, requirement: Option<&str>) {
        self.checked.faults.push(SchemaFault {
            pointer: pointer.to_owned(),
            rule,
            message,
            requirement: requirement.map(str::to_owned),
        });
    }
}

fn has_type(value: &Value, wanted: &Value) -> bool {
    match wanted {
        Value::Array(several) => several.iter().any(|wanted| has_type(value, wanted)),
        Value::String(name) => match name.as_str() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "null" => value.is_null(),
            "number" => value.is_number(),
            "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
            _ => false,
        },
        _ => false,
    }
}

fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'i', 'o']) { "an" } else { "a" }
}

/// A value in a message: its kind, and itself when it is short.
fn shown(value: &Value) -> String {
    const LONGEST: usize = 80;
    let kind = match value {
        Value::Null => return "null".to_owned(),
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let text = value.to_string();
    if text.chars().count() > LONGEST {
        format!("{kind} of {} bytes", text.len())
    } else {
        format!("{kind} {text}")
    }
}
