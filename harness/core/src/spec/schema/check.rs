//! Checking a value against a derived schema, with faults that name the field and the requirement.
//!
//! Keywords of a schema itself come before those of what it refers to, and the same fault is kept once: the more specific place reports it.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::format;
use crate::pointer::below;
use crate::spec::pattern;
use crate::spec::requirement::Severity;

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// What is wrong.
    pub faults: Vec<SchemaFault>,
    /// Requirements whose schemas were applied to some value: those without a fault were seen to be kept.
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
    /// The requirement that is broken, if the place names one that exists in the revision.
    pub requirement: Option<String>,
    /// The most that the fault may weigh, whatever the requirement's level: where sources disagree it is less than `Fail`.
    pub at_most: Severity,
}

/// What null in place of an optional member breaks.
pub(super) const NULL_OPTIONAL: &str = "schema/no-null-optionals";
/// Faults that one value may have before the check stops: a list of a million broken entries has one cause.
const MOST_FAULTS: usize = 200;
/// Deepest nesting that is followed.
const DEEPEST: usize = 64;

pub(super) fn check(
    definitions: &Map<String, Value>,
    requirements: &BTreeSet<String>,
    definition: &str,
    value: &Value,
) -> Checked {
    let mut check = Check {
        definitions,
        requirements,
        checked: Checked::default(),
    };
    if let Some(schema) = definitions.get(definition) {
        let root = Place {
            path: None,
            requirement: None,
            at_most: Severity::Fail,
            scope: None,
            depth: 0,
        };
        check.node(schema, value, root);
    }
    check.checked
}

struct Check<'a> {
    definitions: &'a Map<String, Value>,
    requirements: &'a BTreeSet<String>,
    checked: Checked,
}

/// Where a check stands: in the value, and under which requirement.
#[derive(Clone, Copy)]
struct Place<'s> {
    path: Option<&'s Path<'s>>,
    requirement: Option<&'s str>,
    at_most: Severity,
    scope: Option<&'s Scope<'s>>,
    depth: usize,
}

/// The way from the root of the value, spelled out only when there is a fault.
struct Path<'s> {
    outer: Option<&'s Path<'s>>,
    step: Step<'s>,
}

#[derive(Clone, Copy)]
enum Step<'s> {
    Member(&'s str),
    Index(usize),
}

/// An `x-attribute`: the requirement ids that count inside a part of a schema that several contexts share.
struct Scope<'s> {
    ids: &'s Map<String, Value>,
    outer: Option<&'s Scope<'s>>,
}

impl<'s> Place<'s> {
    fn deeper(self) -> Self {
        Self {
            depth: self.depth + 1,
            ..self
        }
    }

    /// The id that counts here for an id that a schema names.
    fn attributed(self, id: &'s str) -> Option<&'s str> {
        let mut id = id;
        let mut scope = self.scope;
        while let Some(Scope { ids, outer }) = scope {
            match ids.get(id).or_else(|| ids.get("*")) {
                Some(Value::String(other)) => id = other,
                Some(_) => return None,
                None => {}
            }
            scope = *outer;
        }
        Some(id)
    }
}

impl Path<'_> {
    fn pointer(path: Option<&Self>) -> String {
        path.map_or_else(String::new, |path| {
            let outer = Self::pointer(path.outer);
            match path.step {
                Step::Member(name) => below(&outer, name),
                Step::Index(index) => format!("{outer}/{index}"),
            }
        })
    }
}

impl<'a> Check<'a> {
    fn node<'s>(&mut self, schema: &'s Value, value: &'s Value, place: Place<'s>)
    where
        'a: 's,
    {
        if place.depth > DEEPEST || self.checked.faults.len() >= MOST_FAULTS {
            return;
        }
        let own = self.own_requirement(schema, place);
        let at_most = match schema.get("x-at-most").and_then(Value::as_str) {
            Some("info") => Severity::Info,
            Some(_) => place.at_most.min(Severity::Warn),
            None => place.at_most,
        };
        let scope = schema.get("x-attribute").and_then(Value::as_object).map(|ids| Scope {
            ids,
            outer: place.scope,
        });
        let place = Place {
            requirement: own.or(place.requirement),
            at_most,
            scope: scope.as_ref().or(place.scope),
            ..place
        };

        if schema.get("x-absent").is_some() {
            self.fault(
                place,
                "x-absent",
                "the member does not belong here; leave it out".to_owned(),
            );
            return;
        }
        if let Some(wanted) = schema.get("type")
            && !has_type(value, wanted)
        {
            let wanted = described(wanted);
            self.fault(place, "type", format!("expected {wanted}, got {}", shown(value)));
            return;
        }
        self.literals(schema, value, place);
        match value {
            Value::Object(members) => self.object(schema, members, place),
            Value::Array(items) => self.array(schema, items, place),
            Value::String(text) => self.string(schema, text, place),
            Value::Number(number) => self.number(schema, number.as_f64().unwrap_or_default(), place),
            _ => {}
        }
        if let Some(target) = self.target(schema) {
            self.node(target, value, place.deeper());
        }
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.node(part, value, place.deeper());
        }
        if let (Some(choose), Value::Object(members)) = (schema.get("x-choose"), value) {
            self.choose(choose, value, members, place);
        }
    }

    /// The requirement that a schema names, noted as exercised if the schema alone can show it to be kept.
    fn own_requirement<'s>(&mut self, schema: &'s Value, place: Place<'s>) -> Option<&'s str> {
        let named = schema.get("x-requirement").and_then(Value::as_str);
        let own = named.and_then(|id| place.attributed(id));
        if let Some(own) = own {
            self.exercise(own);
        }
        own.or_else(|| {
            schema
                .get("x-breaks")
                .and_then(Value::as_str)
                .and_then(|id| place.attributed(id))
        })
    }

    fn exercise(&mut self, requirement: &str) {
        if !self.checked.exercised.contains(requirement) {
            self.checked.exercised.insert(requirement.to_owned());
        }
    }

    fn target(&self, schema: &Value) -> Option<&'a Value> {
        let name = schema.get("$ref")?.as_str()?.strip_prefix("#/$defs/")?;
        self.definitions.get(name)
    }

    fn literals(&mut self, schema: &Value, value: &Value, place: Place<'_>) {
        if let Some(wanted) = schema.get("const")
            && wanted != value
        {
            self.fault(place, "const", format!("expected {wanted}, got {}", shown(value)));
        }
        if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
            && !allowed.contains(value)
        {
            let allowed: Vec<String> = allowed
                .iter()
                .map(|allowed| allowed.as_str().map_or_else(|| allowed.to_string(), str::to_owned))
                .collect();
            self.fault(place, "enum", none_of(&shown(value), &allowed));
        }
    }

    fn object<'s>(&mut self, schema: &'s Value, members: &'s Map<String, Value>, place: Place<'s>)
    where
        'a: 's,
    {
        let properties = schema.get("properties").and_then(Value::as_object);
        let property = |name: &str| properties.and_then(|properties| properties.get(name));
        let required = schema.get("required").and_then(Value::as_array);
        let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|required| required == name));
        // What one rule asks for and is not there is one mistake, however many members it has.
        let mut missing: Vec<(Option<&str>, Vec<&str>)> = Vec::new();
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            if !members.contains_key(name) {
                let own = property(name).and_then(|property| self.own_requirement(property, place));
                let requirement = own.or(place.requirement);
                match missing.iter_mut().find(|(known, _)| *known == requirement) {
                    Some((_, names)) => names.push(name),
                    None => missing.push((requirement, vec![name])),
                }
            }
        }
        for (requirement, mut names) in missing {
            names.sort_unstable();
            let place = Place { requirement, ..place };
            let text = match names.as_slice() {
                [name] => format!("the member {name:?} is missing"),
                names => {
                    let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
                    format!("the members {} are missing", names.join(", "))
                }
            };
            self.fault(place, "required", text);
        }
        if let Some(forms) = schema.get("x-one-of").and_then(Value::as_array)
            && !forms
                .iter()
                .filter_map(Value::as_str)
                .any(|name| members.contains_key(name))
        {
            let names: Vec<String> = forms.iter().map(Value::to_string).collect();
            self.fault(
                place,
                "x-one-of",
                format!("none of the members {} is there", names.join(", ")),
            );
        }
        let additional = schema.get("additionalProperties");
        for (name, value) in members {
            let path = Path {
                outer: place.path,
                step: Step::Member(name),
            };
            let here = Place {
                path: Some(&path),
                ..place
            }
            .deeper();
            match (property(name), additional) {
                (Some(property), _) if is_required(name) => self.node(property, value, here),
                (Some(property), _) => self.optional(name, property, value, here),
                (None, Some(additional)) => self.node(additional, value, here),
                (None, None) => {}
            }
        }
    }

    /// An optional member that is there: it may be absent, but not null unless its own schema says so.
    fn optional<'s>(&mut self, name: &str, property: &'s Value, value: &'s Value, place: Place<'s>)
    where
        'a: 's,
    {
        let null = if self.requirements.contains(NULL_OPTIONAL) {
            place.attributed(NULL_OPTIONAL)
        } else {
            None
        };
        if value.is_null() && !self.allows_null(property, 0) {
            let message = format!("the optional member {name:?} is null; leave it out instead");
            self.fault(
                Place {
                    requirement: null,
                    ..place
                },
                "type",
                message,
            );
            return;
        }
        if let Some(null) = null {
            self.exercise(null);
        }
        self.node(property, value, place);
    }

    fn allows_null(&self, schema: &Value, depth: usize) -> bool {
        let own = match schema.get("type") {
            Some(wanted) => has_type(&Value::Null, wanted),
            None => {
                let allowed = schema.get("enum").and_then(Value::as_array);
                allowed.is_none_or(|allowed| allowed.contains(&Value::Null))
            }
        };
        let parts = schema.get("allOf").and_then(Value::as_array);
        own && depth < DEEPEST
            && self
                .target(schema)
                .is_none_or(|target| self.allows_null(target, depth + 1))
            && parts.is_none_or(|parts| parts.iter().all(|part| self.allows_null(part, depth + 1)))
    }

    fn array<'s>(&mut self, schema: &'s Value, items: &'s [Value], place: Place<'s>)
    where
        'a: 's,
    {
        if let Some(least) = bound(schema, "minItems").filter(|least| items.len() < *least) {
            self.fault(
                place,
                "minItems",
                format!("{} items, at least {least} are needed", items.len()),
            );
        }
        if let Some(most) = bound(schema, "maxItems").filter(|most| items.len() > *most) {
            self.fault(
                place,
                "maxItems",
                format!("{} items, at most {most} are allowed", items.len()),
            );
        }
        if let Some(schema) = schema.get("items") {
            for (index, item) in items.iter().enumerate() {
                let path = Path {
                    outer: place.path,
                    step: Step::Index(index),
                };
                self.node(
                    schema,
                    item,
                    Place {
                        path: Some(&path),
                        ..place
                    }
                    .deeper(),
                );
            }
        }
    }

    fn string(&mut self, schema: &Value, text: &str, place: Place<'_>) {
        if let Some(least) = bound(schema, "minLength").filter(|least| text.chars().count() < *least) {
            self.fault(
                place,
                "minLength",
                format!("{} has fewer than {least} characters", shown(&text.into())),
            );
        }
        if let Some(wanted) = schema.get("pattern").and_then(Value::as_str)
            && !pattern::matches(wanted, text)
        {
            self.fault(
                place,
                "pattern",
                format!("{} does not match {wanted}", shown(&text.into())),
            );
        }
        if let Some(name) = schema.get("format").and_then(Value::as_str)
            && let Err(problem) = format::check(name, text)
        {
            self.fault(
                place,
                "format",
                format!("{} is no {}: {problem}", shown(&text.into()), format::noun(name)),
            );
        }
    }

    fn number(&mut self, schema: &Value, number: f64, place: Place<'_>) {
        let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
        if let Some(least) = bound("minimum").filter(|least| number < *least) {
            self.fault(place, "minimum", format!("{number} is less than {least}"));
        }
        if let Some(most) = bound("maximum").filter(|most| number > *most) {
            self.fault(place, "maximum", format!("{number} is more than {most}"));
        }
    }

    fn choose<'s>(&mut self, choose: &'s Value, value: &'s Value, members: &'s Map<String, Value>, place: Place<'s>)
    where
        'a: 's,
    {
        let by = choose.get("by").and_then(Value::as_str).unwrap_or_default();
        let map = choose.get("map").and_then(Value::as_object);
        let choice = match members.get(by) {
            Some(Value::String(choice)) => choice.as_str(),
            // A discriminator of the wrong type, or missing without a default, is reported as the property that it is.
            Some(_) => return,
            None => {
                if let Some(default) = choose.get("default") {
                    self.node(default, value, place.deeper());
                }
                return;
            }
        };
        match map.and_then(|map| map.get(choice)) {
            Some(schema) => self.node(schema, value, place.deeper()),
            None if choose.get("open") == Some(&Value::Bool(true)) => {}
            None => {
                let known: Vec<String> = map.into_iter().flat_map(Map::keys).cloned().collect();
                let path = Path {
                    outer: place.path,
                    step: Step::Member(by),
                };
                let message = none_of(&shown(&choice.into()), &known);
                self.fault(
                    Place {
                        path: Some(&path),
                        ..place
                    },
                    "enum",
                    message,
                );
            }
        }
    }

    fn fault(&mut self, place: Place<'_>, rule: &'static str, message: String) {
        let pointer = Path::pointer(place.path);
        let known = |fault: &SchemaFault| fault.rule == rule && fault.pointer == pointer && fault.message == message;
        if self.checked.faults.len() < MOST_FAULTS && !self.checked.faults.iter().any(known) {
            let requirement = place.requirement.map(str::to_owned);
            self.checked.faults.push(SchemaFault {
                pointer,
                rule,
                message,
                requirement,
                at_most: place.at_most,
            });
        }
    }
}

/// A value that is not among those that are allowed. Which ones that are differs between revisions, and the mistake is the same: what stands
/// between the marks is left out of a finding's identity.
fn none_of(found: &str, allowed: &[String]) -> String {
    format!("{found} is none of `{}`", allowed.join(", "))
}

fn bound(schema: &Value, keyword: &str) -> Option<usize> {
    schema
        .get(keyword)
        .and_then(Value::as_u64)
        .and_then(|bound| usize::try_from(bound).ok())
}

fn has_type(value: &Value, wanted: &Value) -> bool {
    match wanted {
        Value::Array(names) => names.iter().any(|name| has_type(value, name)),
        Value::String(name) => match name.as_str() {
            "null" => value.is_null(),
            "boolean" => value.is_boolean(),
            "string" => value.is_string(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            "number" => value.is_number(),
            "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
            _ => false,
        },
        _ => false,
    }
}

/// A type as words: `a string`, `a string or an integer`, `null`.
fn described(wanted: &Value) -> String {
    let one = |name: &str| match name {
        "null" => "null".to_owned(),
        "integer" | "array" | "object" => format!("an {name}"),
        _ => format!("a {name}"),
    };
    match wanted {
        Value::Array(names) => names
            .iter()
            .filter_map(Value::as_str)
            .map(one)
            .collect::<Vec<_>>()
            .join(" or "),
        name => one(name.as_str().unwrap_or_default()),
    }
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
