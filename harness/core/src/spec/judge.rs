//! Whether a value is valid under a schema that a server sent.
//!
//! The schema is hostile input: nothing is ever fetched, patterns have a step limit, size and depth are capped. A verdict rests on every
//! plausible reading of the schema (dialects, formats as annotation and as assertion): where readings disagree there is no verdict.

use std::collections::HashMap;
use std::sync::OnceLock;

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

/// Which dialect a schema without `$schema` is read in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialectPolicy {
    /// 2020-12, as revision 2025-11-25 and later say.
    Exactly2020,
    /// Earlier revisions name none: whatever is valid under a common dialect will do.
    AnyCommon,
}

/// Why a schema cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaProblem {
    /// It is not a valid schema of its dialect.
    #[error("at {pointer:?}: {message}")]
    Invalid {
        /// JSON pointer into the schema.
        pointer: String,
        /// What is wrong.
        message: String,
    },
    /// Its `$schema` names no dialect that is known.
    #[error("$schema names the unknown dialect {0:?}")]
    UnknownDialect(String),
    /// A `$ref` leads out of the schema, or nowhere.
    #[error("$ref {0:?} does not lead to a place inside the schema; it is never fetched")]
    Reference(String),
    /// A `$ref` leads back to itself.
    #[error("$ref {0:?} leads back to itself")]
    Loop(String),
    /// It is larger or deeper than Touchstone is ready to read.
    #[error("the schema is too large: {0}")]
    TooLarge(String),
    /// It cannot be compiled, for example because of a pattern.
    #[error("{0}")]
    Uncompilable(String),
}

/// What every plausible reading of the schema says of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// Valid under all of them.
    Valid,
    /// Invalid under all of them.
    Invalid(Vec<Violation>),
    /// They disagree, or a limit was reached.
    Doubtful(String),
}

/// One rule that a value breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The keyword.
    pub keyword: String,
    /// JSON pointer into the value.
    pub instance_pointer: String,
    /// JSON pointer into the schema.
    pub schema_pointer: String,
    /// In words.
    pub message: String,
}

/// A compiled schema of a server.
#[derive(Debug)]
pub struct SchemaJudge {
    schema: Value,
    drafts: Vec<Draft>,
    primary: Validator,
    /// The other readings, compiled when they are first needed.
    others: OnceLock<Vec<Validator>>,
}

/// Largest schema that is read, in values.
const MOST_NODES: usize = 50_000;
/// Deepest schema that is read.
const DEEPEST: usize = 100;
/// References in one schema: a long chain of them is followed by recursion.
const MOST_REFERENCES: usize = 1_000;
/// Most subschemas that apply to the same value at once, references followed.
const HEAVIEST: u64 = 100_000;
/// Steps that one pattern may take on one string.
const PATTERN_STEPS: usize = 100_000;
/// Violations that are kept of one value.
const MOST_VIOLATIONS: usize = 50;

impl SchemaJudge {
    /// Compiles a schema.
    ///
    /// # Errors
    /// When it is not a valid schema, refers outside itself, or is too large.
    pub fn compile(schema: &Value, policy: DialectPolicy) -> Result<Self, SchemaProblem> {
        measure(schema, 0, &mut 0)?;
        references(schema, schema)?;
        let mut weights = Weights {
            root: schema,
            known: HashMap::new(),
            open: Vec::new(),
        };
        if weights.of(schema) > HEAVIEST {
            return Err(SchemaProblem::TooLarge(
                "its references multiply the work on one value without bound".to_owned(),
            ));
        }
        let candidates = dialects(schema, policy)?;
        let mut problem = None;
        let mut drafts = Vec::new();
        for draft in candidates {
            match check_against_meta_schema(schema, draft) {
                Ok(()) => drafts.push(draft),
                Err(found) => {
                    problem.get_or_insert(found);
                }
            }
        }
        let Some(first) = drafts.first().copied() else {
            return Err(problem.unwrap_or_else(|| SchemaProblem::Uncompilable("no dialect fits".to_owned())));
        };
        let primary = build(schema, first, false)?;
        Ok(Self {
            schema: schema.clone(),
            drafts,
            primary,
            others: OnceLock::new(),
        })
    }

    /// What every plausible reading says of `value`.
    #[must_use]
    pub fn judge(&self, value: &Value) -> Judgement {
        let others = self.others.get_or_init(|| {
            // Where the schema names no dialect, draft-07 and 2020-12 are both what its author may have had in mind.
            let mut readings = self.drafts.clone();
            if self.schema.get("$schema").is_none() {
                readings.extend([Draft::Draft7, Draft::Draft202012]);
            }
            readings.dedup();
            let both = readings.into_iter().flat_map(|draft| [(draft, false), (draft, true)]);
            both.filter_map(|(draft, formats)| build(&self.schema, draft, formats).ok())
                .collect()
        });
        let violations = self.validate(value);
        if violations
            .iter()
            .any(|violation| violation.message.contains("backtrack"))
        {
            return Judgement::Doubtful("a pattern took too many steps".to_owned());
        }
        let valid = violations.is_empty();
        if others.iter().all(|reading| reading.is_valid(value) == valid) {
            if valid {
                Judgement::Valid
            } else {
                Judgement::Invalid(violations)
            }
        } else {
            Judgement::Doubtful("dialects, or formats as annotation and as assertion, disagree".to_owned())
        }
    }

    /// The rules that `value` breaks, in the schema's own dialect, formats being annotations.
    #[must_use]
    pub fn validate(&self, value: &Value) -> Vec<Violation> {
        let violation = |error: jsonschema::ValidationError<'_>| Violation {
            keyword: error.kind().keyword().to_owned(),
            instance_pointer: error.instance_path().to_string(),
            schema_pointer: error.schema_path().to_string(),
            message: short(&error.masked_with("the value").to_string()),
        };
        self.primary
            .iter_errors(value)
            .take(MOST_VIOLATIONS)
            .map(violation)
            .collect()
    }

    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &Value {
        &self.schema
    }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(300) {
        Some((cut, _)) => format!("{}...", &text[..cut]),
        None => text.to_owned(),
    }
}

/// The dialects that a schema may be written in.
fn dialects(schema: &Value, policy: DialectPolicy) -> Result<Vec<Draft>, SchemaProblem> {
    if let Some(named) = schema.get("$schema") {
        let name = named.as_str().unwrap_or_default();
        let draft = match name.trim_end_matches('#').trim_end_matches('/') {
            "https://json-schema.org/draft/2020-12/schema" | "http://json-schema.org/draft/2020-12/schema" => {
                Draft::Draft202012
            }
            "https://json-schema.org/draft/2019-09/schema" | "http://json-schema.org/draft/2019-09/schema" => {
                Draft::Draft201909
            }
            "http://json-schema.org/draft-07/schema" | "https://json-schema.org/draft-07/schema" => Draft::Draft7,
            "http://json-schema.org/draft-06/schema" | "https://json-schema.org/draft-06/schema" => Draft::Draft6,
            "http://json-schema.org/draft-04/schema" | "https://json-schema.org/draft-04/schema" => Draft::Draft4,
            _ => {
                return Err(SchemaProblem::UnknownDialect(
                    named.as_str().map_or_else(|| named.to_string(), str::to_owned),
                ));
            }
        };
        return Ok(vec![draft]);
    }
    Ok(match policy {
        DialectPolicy::Exactly2020 => vec![Draft::Draft202012],
        DialectPolicy::AnyCommon => vec![Draft::Draft202012, Draft::Draft7, Draft::Draft201909],
    })
}

fn check_against_meta_schema(schema: &Value, draft: Draft) -> Result<(), SchemaProblem> {
    let meta = match draft {
        Draft::Draft4 => jsonschema::draft4::meta::validate(schema),
        Draft::Draft6 => jsonschema::draft6::meta::validate(schema),
        Draft::Draft7 => jsonschema::draft7::meta::validate(schema),
        Draft::Draft201909 => jsonschema::draft201909::meta::validate(schema),
        _ => jsonschema::draft202012::meta::validate(schema),
    };
    meta.map_err(|error| SchemaProblem::Invalid {
        pointer: error.instance_path().to_string(),
        message: short(&error.to_string()),
    })
}

fn build(schema: &Value, draft: Draft, formats: bool) -> Result<Validator, SchemaProblem> {
    jsonschema::options()
        .with_draft(draft)
        .offline()
        .should_validate_formats(formats)
        .should_ignore_unknown_formats(true)
        .with_pattern_options(
            PatternOptions::fancy_regex()
                .backtrack_limit(PATTERN_STEPS)
                .size_limit(1 << 22),
        )
        .build(schema)
        .map_err(|error| SchemaProblem::Uncompilable(short(&error.to_string())))
}

fn measure(value: &Value, depth: usize, nodes: &mut usize) -> Result<(), SchemaProblem> {
    *nodes += 1;
    if depth > DEEPEST {
        return Err(SchemaProblem::TooLarge(format!(
            "nested more than {DEEPEST} levels deep"
        )));
    }
    if *nodes > MOST_NODES {
        return Err(SchemaProblem::TooLarge(format!(
            "more than {MOST_NODES} values, or {MOST_REFERENCES} references"
        )));
    }
    match value {
        Value::Object(members) => {
            // A reference weighs as much as all the nodes that it may take up.
            if members.contains_key("$ref") {
                *nodes += MOST_NODES / MOST_REFERENCES;
            }
            members
                .values()
                .try_for_each(|member| measure(member, depth + 1, nodes))
        }
        Value::Array(items) => items.iter().try_for_each(|item| measure(item, depth + 1, nodes)),
        _ => Ok(()),
    }
}

/// How many subschemas apply to the same value, references followed: what doubles at every step is refused before it is tried.
struct Weights<'a> {
    root: &'a Value,
    known: HashMap<&'a str, u64>,
    open: Vec<&'a str>,
}

impl<'a> Weights<'a> {
    fn of(&mut self, schema: &'a Value) -> u64 {
        let Value::Object(members) = schema else { return 1 };
        let mut weight: u64 = 1;
        for (keyword, value) in members {
            let more = match (keyword.as_str(), value) {
                ("$ref", Value::String(target)) => self.of_reference(target),
                ("allOf" | "anyOf" | "oneOf", Value::Array(parts)) => {
                    parts.iter().fold(0_u64, |sum, part| sum.saturating_add(self.of(part)))
                }
                ("not" | "if" | "then" | "else", part) => self.of(part),
                _ => 0,
            };
            weight = weight.saturating_add(more);
        }
        weight
    }

    fn of_reference(&mut self, target: &'a str) -> u64 {
        if let Some(known) = self.known.get(target) {
            return *known;
        }
        // A way back to where one is adds nothing new.
        if self.open.contains(&target) {
            return 1;
        }
        self.open.push(target);
        let weight = resolve(target, self.root).map_or(1, |place| self.of(place));
        self.open.pop();
        self.known.insert(target, weight);
        weight
    }
}

/// Every `$ref` must lead to a place inside the schema, and a chain of nothing but references must not lead back to itself.
fn references(value: &Value, root: &Value) -> Result<(), SchemaProblem> {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(target)) = members.get("$ref") {
                follow(target, root)?;
            }
            let is_data = |name: &str| matches!(name, "const" | "enum" | "default" | "examples");
            members
                .iter()
                .filter(|(name, _)| !is_data(name))
                .try_for_each(|(_, member)| references(member, root))
        }
        Value::Array(items) => items.iter().try_for_each(|item| references(item, root)),
        _ => Ok(()),
    }
}

fn follow(target: &str, root: &Value) -> Result<(), SchemaProblem> {
    let mut seen: Vec<String> = Vec::new();
    let mut next = Some(target.to_owned());
    while let Some(reference) = next {
        if seen.contains(&reference) {
            return Err(SchemaProblem::Loop(reference));
        }
        let Some(place) = resolve(&reference, root) else {
            return Err(SchemaProblem::Reference(reference));
        };
        next = place.get("$ref").and_then(Value::as_str).map(str::to_owned);
        seen.push(reference);
    }
    Ok(())
}

/// The place in a schema that a local reference names: the root, a JSON pointer, or an anchor.
#[must_use]
pub fn resolve<'a>(reference: &str, root: &'a Value) -> Option<&'a Value> {
    let own = root
        .get("$id")
        .or_else(|| root.get("id"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    let fragment = reference.strip_prefix(own).unwrap_or(reference).strip_prefix('#')?;
    if fragment.is_empty() || fragment.starts_with('/') {
        let decoded = percent_decoded(fragment);
        return root.pointer(&decoded);
    }
    anchor(fragment, root)
}

fn anchor<'a>(name: &str, value: &'a Value) -> Option<&'a Value> {
    match value {
        Value::Object(members) => {
            let named = members.get("$anchor").and_then(Value::as_str) == Some(name)
                || members
                    .get("$id")
                    .and_then(Value::as_str)
                    .is_some_and(|id| id.strip_prefix('#') == Some(name));
            if named {
                Some(value)
            } else {
                members.values().find_map(|member| anchor(name, member))
            }
        }
        Value::Array(items) => items.iter().find_map(|item| anchor(name, item)),
        _ => None,
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = rest
            .get(1..3)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (first, code) {
            (b'%', Some(code)) => {
                bytes.push(code);
                rest = &rest[3..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn judge(schema: Value) -> SchemaJudge {
        SchemaJudge::compile(&schema, DialectPolicy::AnyCommon).unwrap()
    }

    fn problem(schema: Value) -> String {
        SchemaJudge::compile(&schema, DialectPolicy::AnyCommon)
            .map(|_| ())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn what_all_readings_agree_on_is_a_verdict() {
        let judge =
            judge(json!({"type": "object", "properties": {"n": {"type": "integer", "maximum": 5}}, "required": ["n"]}));
        assert_eq!(judge.judge(&json!({"n": 5})), Judgement::Valid);
        assert_eq!(judge.judge(&json!({"n": 5.0})), Judgement::Valid);
        let Judgement::Invalid(violations) = judge.judge(&json!({"n": 6})) else {
            panic!()
        };
        assert_eq!(
            (violations[0].keyword.as_str(), violations[0].instance_pointer.as_str()),
            ("maximum", "/n")
        );
    }

    #[test]
    fn formats_and_dialects_that_disagree_give_no_verdict() {
        let formats = judge(json!({"type": "string", "format": "email"}));
        assert!(matches!(formats.judge(&json!("no address")), Judgement::Doubtful(_)));
        assert_eq!(formats.judge(&json!("a@example.com")), Judgement::Valid);
        // draft-07 ignores what stands beside $ref.
        let beside =
            judge(json!({"$ref": "#/definitions/a", "maxLength": 1, "definitions": {"a": {"type": "string"}}}));
        assert!(matches!(beside.judge(&json!("long")), Judgement::Doubtful(_)));
    }

    #[test]
    fn hostile_schemas_are_refused_quickly() {
        assert!(problem(json!({"$ref": "https://example.com/x"})).contains("never fetched"));
        assert!(problem(json!({"$ref": "file:///etc/passwd"})).contains("never fetched"));
        assert!(problem(json!({"properties": {"a": {"$ref": "#/$defs/none"}}})).contains("#/$defs/none"));
        assert!(problem(json!({"$ref": "#"})).contains("back to itself"));
        assert!(
            problem(json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}))
                .contains("itself")
        );
        assert!(problem(json!({"$schema": "https://example.com/dialect"})).contains("unknown dialect"));
        assert!(problem(json!({"type": "strng"})).contains("strng"));
        let deep = (0..200).fold(json!({}), |inner, _| json!({ "items": inner }));
        assert!(problem(deep).contains("too large"));
    }

    #[test]
    fn schemas_that_multiply_work_are_refused() {
        let link = |index: usize| json!({ "$ref": format!("#/$defs/d{index}") });
        let chain = |length: usize, copies: usize| {
            let definitions: serde_json::Map<String, Value> = (0..length)
                .map(|index| {
                    (
                        format!("d{index}"),
                        json!({ "allOf": vec![link((index + 1).min(length)); copies] }),
                    )
                })
                .chain([(format!("d{length}"), json!({}))])
                .collect();
            json!({ "$ref": "#/$defs/d0", "$defs": definitions })
        };
        assert!(
            problem(chain(40, 2)).contains("too large"),
            "2^40 subschemas on one value"
        );
        assert!(problem(chain(10_000, 1)).contains("too large"), "a chain of 10,000");
        assert_eq!(judge(chain(50, 1)).judge(&json!(5)), Judgement::Valid);
    }

    #[test]
    fn a_pattern_cannot_burn_time() {
        let judge = judge(json!({"type": "string", "pattern": "^(a+)+(?=b)$"}));
        assert!(!matches!(judge.judge(&json!("a".repeat(60))), Judgement::Valid));
    }

    #[test]
    fn recursive_schemas_and_anchors_work() {
        let tree = judge(json!({"type": "object", "properties": {"next": {"$ref": "#"}}}));
        assert_eq!(tree.judge(&json!({"next": {"next": {}}})), Judgement::Valid);
        assert!(matches!(
            tree.judge(&json!({"next": {"next": 5}})),
            Judgement::Invalid(_)
        ));
        let anchored = SchemaJudge::compile(
            &json!({"$ref": "#a", "$defs": {"x": {"$anchor": "a", "type": "string"}}}),
            DialectPolicy::Exactly2020,
        );
        assert!(anchored.is_ok());
    }
}
