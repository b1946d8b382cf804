//! What an answer must be like: paths into it, each with a literal or a JSON Schema.
//!
//! An answer is one JSON object, built by the engine: `outcome`, `result`, `error`, `http.status`, and what the step adds. `outcome` is `result`,
//! `tool-error` (a result with `isError: true`), `error`, `silence` (nothing came in time) or `closed` (the server went away).

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::spec::assertion;
use crate::spec::requirement::Severity;

/// One thing that must hold, tied to a requirement.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Expectation {
    /// The requirement that is kept or broken.
    pub requirement: String,
    /// Judge only answers that match.
    pub when: Option<Match>,
    /// Must match.
    pub that: Option<Match>,
    /// At least one must match.
    #[serde(default)]
    pub any: Vec<Match>,
    /// All must match.
    #[serde(default)]
    pub all: Vec<Match>,
    /// None may match.
    #[serde(default)]
    pub none: Vec<Match>,
    /// Not kept, but common practice that the specification does not forbid: told as information.
    #[serde(default)]
    pub tolerate: Vec<Match>,
    /// Not kept, but the text is unclear: at most a warning.
    #[serde(default)]
    pub doubt: Vec<Match>,
    /// What to tell the server's author.
    pub message: Option<String>,
}

/// Paths into the answer, each with what must stand there: an object is a JSON Schema, anything else a literal.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Match(pub Map<String, Value>);

/// What an expectation says of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It holds.
    Kept,
    /// It does not speak of this answer.
    Irrelevant,
    /// It does not hold.
    Broken {
        /// What was expected and what was found.
        message: String,
        /// The most that the breach may weigh.
        at_most: Severity,
        /// What other rules may be broken by as well; see [`crate::verdict::Breach::cause`].
        cause: Option<String>,
    },
}

/// Why an answer does not match.
struct Mismatch {
    /// In words.
    message: String,
    /// The cause, where it is one that shows under many rules.
    cause: Option<String>,
}

impl From<String> for Mismatch {
    fn from(message: String) -> Self {
        Self { message, cause: None }
    }
}

impl Expectation {
    /// Judges an answer. The paths and schemas must be interpolated already.
    #[must_use]
    pub fn judge(&self, answer: &Value) -> Judgement {
        if self.when.as_ref().is_some_and(|guard| guard.mismatch(answer).is_some()) {
            return Judgement::Irrelevant;
        }
        let Some(complaint) = self.complaint(answer) else {
            return Judgement::Kept;
        };
        let at_most = if self
            .tolerate
            .iter()
            .any(|tolerated| tolerated.mismatch(answer).is_none())
        {
            Severity::Info
        } else if self.doubt.iter().any(|doubtful| doubtful.mismatch(answer).is_none()) {
            Severity::Warn
        } else {
            Severity::Fail
        };
        let Mismatch {
            message: complaint,
            cause,
        } = complaint;
        let message = match &self.message {
            Some(message) => format!("{message} ({complaint})"),
            None => complaint,
        };
        Judgement::Broken {
            message,
            at_most,
            cause,
        }
    }

    /// Whether the expectation looks at how the request ended at all. One that does not says nothing about a request without answer.
    #[must_use]
    pub fn looks_at_outcome(&self) -> bool {
        let groups = [&self.any, &self.all, &self.none];
        groups
            .into_iter()
            .flatten()
            .chain(&self.that)
            .chain(&self.when)
            .any(|group| group.0.keys().any(|path| path == "outcome"))
    }

    /// What does not hold, in words, or `None`.
    fn complaint(&self, answer: &Value) -> Option<Mismatch> {
        if let Some(mismatch) = self
            .that
            .iter()
            .chain(&self.all)
            .find_map(|wanted| wanted.mismatch(answer))
        {
            return Some(mismatch);
        }
        if !self.any.is_empty() {
            let mismatches: Vec<Mismatch> = self.any.iter().map_while(|wanted| wanted.mismatch(answer)).collect();
            if mismatches.len() == self.any.len() {
                let about_refusal = |path: &String| {
                    path == "outcome" || path == "result.isError" || path.split('.').next() == Some("error")
                };
                let outcome = answer.get("outcome").and_then(Value::as_str);
                if let Some(outcome) =
                    outcome.filter(|_| self.any.iter().all(|wanted| wanted.0.keys().all(about_refusal)))
                {
                    return Some(format!("{}, but it had to be refused", outcome_in_words(outcome)).into());
                }
                // The first alternative is the one that a case names as the right one.
                return mismatches.into_iter().next();
            }
        }
        let forbidden = self.none.iter().find(|unwanted| unwanted.mismatch(answer).is_none())?;
        let paths: Vec<String> = forbidden
            .0
            .keys()
            .map(|path| format!("{path} is {}", shown(lookup(answer, path).unwrap_or(&Value::Null))))
            .collect();
        Some(paths.join(" and ").into())
    }

    /// All matches, to be checked when a file is loaded.
    pub fn matches(&self) -> impl Iterator<Item = &Match> {
        self.when
            .iter()
            .chain(&self.that)
            .chain(&self.any)
            .chain(&self.all)
            .chain(&self.none)
            .chain(&self.tolerate)
            .chain(&self.doubt)
    }

    /// The same expectation with every literal and schema passed through `replace`.
    pub fn try_map<E>(&self, mut replace: impl FnMut(&Value) -> Result<Value, E>) -> Result<Self, E> {
        let mut map_one = |group: &Match| -> Result<Match, E> {
            group
                .0
                .iter()
                .map(|(path, value)| Ok((path.clone(), replace(value)?)))
                .collect::<Result<_, E>>()
                .map(Match)
        };
        let mut map_all = |groups: &[Match]| groups.iter().map(&mut map_one).collect::<Result<Vec<_>, E>>();
        let (any, all, none) = (map_all(&self.any)?, map_all(&self.all)?, map_all(&self.none)?);
        let (tolerate, doubt) = (map_all(&self.tolerate)?, map_all(&self.doubt)?);
        let when = self.when.as_ref().map(&mut map_one).transpose()?;
        let that = self.that.as_ref().map(&mut map_one).transpose()?;
        Ok(Self {
            requirement: self.requirement.clone(),
            when,
            that,
            any,
            all,
            none,
            tolerate,
            doubt,
            message: self.message.clone(),
        })
    }
}

impl Match {
    /// Why the answer does not match, or `None` when it does.
    fn mismatch(&self, answer: &Value) -> Option<Mismatch> {
        self.0.iter().find_map(|(path, wanted)| {
            let found = lookup(answer, path);
            if let (true, Some(Value::String(outcome))) = (path == "outcome", found)
                && !fits(wanted, &Value::from(outcome.as_str()))
            {
                return Some(outcome_in_words(outcome).to_owned().into());
            }
            let message = match (wanted, found) {
                (Value::Object(_), None) => Some(format!("{path} is missing")),
                (Value::Object(_), Some(found)) => assertion::first_violation(wanted, found)
                    .map(|violation| format!("{path} is {}: {violation}", shown(found))),
                (literal, Some(found)) if equal(literal, found) => None,
                (literal, Some(found)) => Some(format!("{path} is {}, expected {}", shown(found), shown(literal))),
                (literal, None) => Some(format!("{path} is missing, expected {}", shown(literal))),
            };
            message.map(|message| Mismatch {
                message,
                cause: found.and_then(|found| wrong_code(path, found, wanted)),
            })
        })
    }
}

/// One code where another is asked for: servers choose codes in one place, so that every rule which asks for the code shows the same mistake.
fn wrong_code(path: &str, found: &Value, wanted: &Value) -> Option<String> {
    let (found, wanted) = (found.as_i64()?, wanted.as_i64()?);
    (path == "error.code").then(|| format!("error code {found} where {wanted} is asked for"))
}

/// Whether a value is the literal, or valid under the schema.
fn fits(wanted: &Value, found: &Value) -> bool {
    if wanted.is_object() {
        assertion::first_violation(wanted, found).is_none()
    } else {
        equal(wanted, found)
    }
}

/// What an outcome that was not expected means.
fn outcome_in_words(outcome: &str) -> &str {
    match outcome {
        "result" => "it was answered with a result",
        "tool-error" => "it was answered with a tool result that says isError",
        "error" => "it was answered with a JSON-RPC error",
        "refused" => "it was answered with an HTTP error status and no JSON-RPC message",
        "accepted" => "it was answered with an HTTP success status and no JSON-RPC message",
        "silence" => "nothing came back",
        "closed" => "the server went away",
        "running" => "the process is still running",
        "exited" => "the process ended",
        "arrived" | "message" => "a message came",
        other => other,
    }
}

/// JSON equality by value: 1 and 1.0 are the same number.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, value)| b.get(key).is_some_and(|other| equal(value, other)))
        }
        _ => left == right,
    }
}

/// A value in a message: compact, and cut when it is long.
fn shown(value: &Value) -> String {
    const LONGEST: usize = 160;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}...", &text[..cut]),
        None => text,
    }
}

/// The value at a dotted path: member names, and positions in arrays.
#[must_use]
pub fn lookup<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, part| match value {
        Value::Object(members) => members.get(part),
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;
    use serde_json::json;

    fn expectation(text: &str) -> Expectation {
        yaml::parse("case.yaml", text).unwrap()
    }

    #[test]
    fn literals_and_schemas_are_told_apart() {
        let expectation = expectation("requirement: a/b\nthat: {error.code: -32601, error.message: {type: string}}");
        assert_eq!(
            expectation.judge(&json!({"error": {"code": -32601, "message": "no"}})),
            Judgement::Kept
        );
        let Judgement::Broken { message, at_most, .. } =
            expectation.judge(&json!({"error": {"code": -32601, "message": 5}}))
        else {
            panic!("must break")
        };
        assert!(message.contains("error.message is 5"), "{message}");
        assert_eq!(at_most, Severity::Fail);
    }

    #[test]
    fn common_practice_is_information_and_doubt_a_warning() {
        let expectation = expectation(
            "requirement: a/b\nthat: {outcome: error}\ntolerate: [{outcome: tool-error}]\ndoubt: [{outcome: silence}]",
        );
        let severity = |outcome: &str| match expectation.judge(&json!({ "outcome": outcome })) {
            Judgement::Broken { at_most, .. } => Some(at_most),
            _ => None,
        };
        assert_eq!(severity("error"), None);
        assert_eq!(severity("tool-error"), Some(Severity::Info));
        assert_eq!(severity("silence"), Some(Severity::Warn));
        assert_eq!(severity("result"), Some(Severity::Fail));
    }

    #[test]
    fn a_guard_that_does_not_match_gives_no_verdict() {
        let expectation = expectation("requirement: a/b\nwhen: {outcome: error}\nthat: {error.code: -32602}");
        assert_eq!(expectation.judge(&json!({"outcome": "result"})), Judgement::Irrelevant);
    }

    #[test]
    fn any_needs_one_and_none_allows_none() {
        let any = expectation("requirement: a/b\nany: [{a: 1}, {b: 2}]");
        assert_eq!(any.judge(&json!({"b": 2})), Judgement::Kept);
        assert!(matches!(any.judge(&json!({"b": 3})), Judgement::Broken { .. }));
        let none = expectation("requirement: a/b\nnone: [{result: {}}]");
        assert_eq!(none.judge(&json!({"error": 1})), Judgement::Kept);
        assert!(matches!(none.judge(&json!({"result": {}})), Judgement::Broken { .. }));
    }

    #[test]
    fn paths_reach_into_arrays() {
        assert_eq!(lookup(&json!({"a": [{"b": 3}]}), "a.0.b"), Some(&json!(3)));
        assert_eq!(lookup(&json!({"a": []}), "a.0.b"), None);
    }
}
