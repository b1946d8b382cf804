//! What only a campaign can tell: whether arguments that break a schema were refused, and whether calls that mean the same got the same answer.
//!
//! Validity is judged here, on the bytes that were sent, by the judge of the schema; what a generator meant to make plays no part. Where readings
//! disagree nothing is said.

use serde_json::{Value, json};
use touchstone_core::jsonrpc;
use touchstone_core::spec::judge::Judgement;
use touchstone_core::spec::requirement::Severity;
use touchstone_core::trace::Trace;
use touchstone_core::verdict::{Breach, Evidence, Observation, Outcome as Seen, Score};

use super::arena::{Record, Window};
use super::case::{Expect, Phase, RelationKind, Step, What};
use super::toolbox::Toolbox;
use crate::session::{Answer, Outcome};
use touchstone_generate::Spelling;

/// The variable that is planted in the environment of the server, and its value.
pub(super) const CANARY: (&str, &str) = ("TOUCHSTONE_CANARY_SECRET", "canary-7f3a9c51e8d24b60");

/// An observation and the record that it is about.
pub(super) struct Verdict {
    pub observation: Observation,
    /// Position of the record in its window.
    pub record: usize,
}

/// Judges every record of a window by what a campaign alone can tell.
pub(super) fn judge(window: &Window, toolbox: &Toolbox) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for (index, record) in window.records.iter().enumerate() {
        let mut judging = Judging {
            trace: &window.trace,
            toolbox,
            record,
            found: Vec::new(),
        };
        judging.answers();
        judging.relation();
        verdicts.extend(judging.found.into_iter().map(|observation| Verdict {
            observation,
            record: index,
        }));
    }
    verdicts
}

struct Judging<'a> {
    trace: &'a Trace,
    toolbox: &'a Toolbox,
    record: &'a Record,
    found: Vec<Observation>,
}

impl Judging<'_> {
    fn kept(&mut self, requirement: &str, step: usize) {
        self.found.push(Observation {
            requirement: requirement.to_owned(),
            outcome: Seen::Kept(1),
            case: None,
            evidence: self.evidence(&[step]),
        });
    }

    fn broken(&mut self, requirement: &str, steps: &[usize], about: &str, at_most: Severity, message: String) {
        let at_most = if self.record.case.legal {
            at_most
        } else {
            Severity::Info
        };
        self.weighs(requirement, steps, about, (at_most, Score::Conformance), message);
    }

    /// The same about a request that no client sends, and that weighs all the same.
    fn robust(&mut self, requirement: &str, step: usize, about: &str, message: String) {
        self.weighs(
            requirement,
            &[step],
            about,
            (Severity::Warn, Score::Robustness),
            message,
        );
    }

    fn weighs(
        &mut self,
        requirement: &str,
        steps: &[usize],
        about: &str,
        (at_most, score): (Severity, Score),
        message: String,
    ) {
        self.found.push(Observation {
            requirement: requirement.to_owned(),
            outcome: Seen::Broken(Breach {
                message,
                about: Some(about.to_owned()),
                at_most,
                score,
                cause: None,
            }),
            case: Some(format!("fuzz/{}", self.record.case.phase)),
            evidence: self.evidence(steps),
        });
    }

    /// The answers to some steps, and what was sent.
    fn evidence(&self, steps: &[usize]) -> Vec<Evidence> {
        let answers = steps.iter().filter_map(|step| self.answer(*step)?.event);
        let sent = steps.iter().filter_map(|step| *self.record.sent.get(*step)?);
        answers
            .chain(sent)
            .map(|event| Evidence {
                trace: self.trace.name.clone(),
                event,
            })
            .collect()
    }

    fn answer(&self, step: usize) -> Option<&Answer> {
        self.record.answers.get(step)?.as_ref()
    }

    fn answers(&mut self) {
        let record = self.record;
        for (index, step) in record.case.steps.iter().enumerate() {
            let Some(answer) = record.answers.get(index).and_then(Option::as_ref) else {
                continue;
            };
            if matches!(answer.outcome, Outcome::Silence | Outcome::Closed) {
                continue;
            }
            if let Some(requirement) = match record.case.expect {
                Expect::NoServerError => Some(None),
                Expect::NotServed(requirement) => Some(Some(requirement)),
                _ => None,
            } {
                self.status(index, answer, requirement);
                continue;
            }
            self.secrets(index, step, answer);
            match record.case.expect {
                Expect::Nothing => {
                    if let What::Request { deliberate: false, .. } = step.what {
                        self.arguments(index, step, answer, false, true);
                    }
                }
                Expect::Arguments { explicit, coercible } => self.arguments(index, step, answer, explicit, coercible),
                Expect::NoServerError | Expect::NotServed(_) => {}
                Expect::UnknownMethod => self.unknown_method(index, step, answer),
                Expect::UnknownTool => self.refused("tools/unknown-tool-error", index, step, answer),
                Expect::HostileName => self.refused("tools/hostile-names", index, step, answer),
                Expect::Refused(requirement) => self.refused(requirement, index, step, answer),
                Expect::Succeeds(requirement) => {
                    let subject = step.subject();
                    if answer.outcome == Outcome::Result {
                        self.kept(requirement, index);
                    } else {
                        let message = format!("{subject} was refused, {}", self.label());
                        self.broken(requirement, &[index], &subject, Severity::Warn, message);
                    }
                }
            }
        }
    }

    /// The HTTP status of an odd request, and whether it was served although it must not be.
    fn status(&mut self, index: usize, answer: &Answer, not_served: Option<&'static str>) {
        const REQUIREMENT: &str = "fuzzing/http-client-errors";
        let about = self.record.case.subject.clone();
        if answer.status == Some(500) {
            let message = format!(
                "a request that is odd in HTTP was answered with status 500: {}",
                self.label()
            );
            self.robust(REQUIREMENT, index, &about, message);
        } else if answer.status.is_some() {
            self.kept(REQUIREMENT, index);
        }
        let Some(requirement) = not_served else { return };
        if answer.outcome == Outcome::Result {
            let message = format!(
                "a request was served in a session that does not exist: {}",
                self.label()
            );
            self.robust(requirement, index, &about, message);
        } else if answer.status.is_some_and(|status| (400..500).contains(&status)) {
            self.kept(requirement, index);
        }
    }

    fn label(&self) -> &str {
        &self.record.case.label
    }

    /// A call, judged by the schema of the tool.
    fn arguments(&mut self, index: usize, step: &Step, answer: &Answer, explicit: bool, coercible: bool) {
        let Some((name, arguments)) = step.called() else { return };
        let toolbox = self.toolbox;
        let Some(tool) = toolbox.tool(&name).filter(|tool| !tool.insists_on_tasks) else {
            return;
        };
        // What was bound to an earlier answer is not what stands in the step.
        if !step.binds.is_empty() {
            return;
        }
        let code = answer
            .message
            .as_ref()
            .and_then(|message| message.pointer("/error/code"))
            .and_then(Value::as_i64);
        match tool.judge(&arguments) {
            Some(Judgement::Invalid(violations)) => {
                let keyword = violations
                    .first()
                    .map(|violation| violation.keyword.clone())
                    .unwrap_or_default();
                let alone = violations.iter().all(|violation| violation.keyword == keyword);
                let top = violations
                    .iter()
                    .all(|violation| violation.instance_pointer.matches('/').count() <= 1);
                let requirement = match keyword.as_str() {
                    "required" => "tools/input-validated",
                    "type" => "tools/input-type-validated",
                    "additionalProperties" => "tools/input-additional-validated",
                    _ => "tools/hostile-arguments",
                };
                let exists = requirement != "tools/input-additional-validated" || alone;
                match answer.outcome {
                    Outcome::Result if exists => {
                        let sure = !coercible && alone && top && matches!(keyword.as_str(), "required" | "type");
                        let told = tells_of_failure(answer);
                        let (at_most, end) = match (told, coercible || !alone, sure) {
                            (true, _, _) => (Severity::Info, "and the result tells of a failure without isError"),
                            (_, true, _) => (Severity::Info, "in a way that a lenient reader forgives"),
                            (_, _, true) => (Severity::Fail, "and nothing else"),
                            _ => (Severity::Warn, "and nothing else, deep inside or beyond types"),
                        };
                        let message = format!(
                            "the tool {name} accepted arguments that its inputSchema forbids: they break `{keyword}`, {end}"
                        );
                        self.broken(requirement, &[index], &name, at_most, message);
                        if told {
                            let message = format!("the tool {name} tells of a failure in a result without isError");
                            self.broken("fuzzing/failure-flagged", &[index], &name, Severity::Info, message);
                        }
                    }
                    Outcome::Error if code == Some(-32603) => {
                        let message = format!(
                            "the tool {name} answered arguments that break its inputSchema with an internal error"
                        );
                        self.broken("fuzzing/no-internal-error", &[index], &name, Severity::Warn, message);
                    }
                    Outcome::ToolError | Outcome::Error => {
                        self.kept(requirement, index);
                        self.kept("fuzzing/no-internal-error", index);
                    }
                    _ => {}
                }
            }
            Some(Judgement::Valid) => match answer.outcome {
                Outcome::Result => self.kept("fuzzing/valid-arguments-accepted", index),
                Outcome::ToolError | Outcome::Error => {
                    let validation = code == Some(-32602) || speaks_of_validation(answer);
                    if validation && explicit {
                        let message = format!(
                            "the tool {name} refused arguments that its inputSchema allows, as if it did not: {}",
                            self.label()
                        );
                        self.broken(
                            "fuzzing/valid-arguments-accepted",
                            &[index],
                            &name,
                            Severity::Warn,
                            message,
                        );
                    } else if validation {
                        let message = format!("the tool {name} refused unusual arguments that its inputSchema allows");
                        self.broken(
                            "fuzzing/valid-arguments-accepted",
                            &[index],
                            &name,
                            Severity::Info,
                            message,
                        );
                    }
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn unknown_method(&mut self, index: usize, step: &Step, answer: &Answer) {
        const REQUIREMENT: &str = "base-protocol/method-not-found";
        let code = answer
            .message
            .as_ref()
            .and_then(|message| message.pointer("/error/code"))
            .and_then(Value::as_i64);
        let subject = match &step.what {
            What::Request { method, .. } => method.chars().take(80).collect::<String>(),
            _ => String::new(),
        };
        match (answer.outcome, code) {
            (Outcome::Error, Some(-32601)) => self.kept(REQUIREMENT, index),
            (Outcome::Result | Outcome::ToolError, _) => {
                let message = format!(
                    "a request for a method that does not exist was served, {}",
                    self.label()
                );
                self.broken(REQUIREMENT, &[index], &subject, Severity::Fail, message);
            }
            (Outcome::Error, Some(code)) => {
                let message =
                    format!("a request for a method that does not exist was answered with the error code `{code}`");
                self.broken(REQUIREMENT, &[index], &subject, Severity::Warn, message);
            }
            _ => {}
        }
    }

    /// Something that must not succeed.
    fn refused(&mut self, requirement: &str, index: usize, step: &Step, answer: &Answer) {
        match answer.outcome {
            Outcome::Result => {
                let subject = step.subject();
                let about: String = subject.chars().take(80).collect();
                let at_most = if self.record.case.phase == Phase::Protocol {
                    Severity::Fail
                } else {
                    Severity::Warn
                };
                let message = format!("what had to be refused was answered with a result, {}", self.label());
                self.broken(requirement, &[index], &about, at_most, message);
            }
            Outcome::Error => self.kept(requirement, index),
            _ => {}
        }
    }

    /// Whether a refusal shows what only the server knows.
    fn secrets(&mut self, index: usize, step: &Step, answer: &Answer) {
        let refusal = matches!(answer.outcome, Outcome::Error | Outcome::ToolError);
        let Some(message) = answer.message.as_ref().filter(|_| refusal) else {
            return;
        };
        let text = message.to_string();
        let subject = step.subject();
        if text.contains(CANARY.1) {
            let message = "a refusal shows a value of the server's environment".to_owned();
            self.broken(
                "fuzzing/no-secrets-in-errors",
                &[index],
                &subject,
                Severity::Warn,
                message,
            );
        } else {
            self.kept("fuzzing/no-secrets-in-errors", index);
        }
    }

    /// Answers that must agree.
    fn relation(&mut self) {
        let record = self.record;
        let Some(relation) = &record.case.relation else { return };
        if relation.kind == RelationKind::Reflected {
            self.reflection();
            return;
        }
        let seen: Vec<Option<Value>> = record
            .answers
            .iter()
            .map(|answer| answer.as_ref().and_then(comparable))
            .collect();
        let agree = |(left, right): &(usize, usize)| match (seen.get(*left), seen.get(*right)) {
            (Some(Some(left)), Some(Some(right))) => Some(left == right),
            _ => None,
        };
        if !relation.stable.iter().all(|pair| agree(pair) == Some(true)) {
            return;
        }
        let subject = record.case.subject.clone();
        for pair in &relation.same {
            let Some(same) = agree(pair) else { continue };
            let steps = [pair.0, pair.1];
            let outcome = |step: usize| self.answer(step).map(|answer| answer.outcome);
            let same_outcome = outcome(pair.0) == outcome(pair.1);
            let (requirement, at_most, what) = match relation.kind {
                RelationKind::Spelled(spelling) => {
                    let requirement = match spelling {
                        Spelling::MemberOrder => "fuzzing/member-order",
                        Spelling::Fraction | Spelling::Exponent => "fuzzing/number-spelling",
                        _ => "fuzzing/escapes-equivalent",
                    };
                    // Only the outcome tells for sure: a text may show what was sent.
                    if matches!(spelling, Spelling::Fraction | Spelling::Exponent) && same_outcome {
                        self.kept(requirement, pair.1);
                        continue;
                    }
                    let at_most = match (same_outcome, spelling) {
                        (false, _) => Severity::Fail,
                        (true, Spelling::MemberOrder | Spelling::Spaces) => Severity::Info,
                        (true, _) => Severity::Warn,
                    };
                    (requirement, at_most, format!("with {}", spelling.as_str()))
                }
                RelationKind::Id => ("fuzzing/id-independent", Severity::Warn, "with another id".to_owned()),
                RelationKind::Repeated => ("fuzzing/repeatable", Severity::Info, "a second time".to_owned()),
                RelationKind::ReadOnly => (
                    "fuzzing/read-only-true",
                    Severity::Warn,
                    "after a call of a tool that says it is read-only".to_owned(),
                ),
                RelationKind::Together => {
                    // A server may refuse a crowd; a mix-up is another answer.
                    if outcome(pair.1) != Some(Outcome::Result) || !same_outcome {
                        continue;
                    }
                    (
                        "base-protocol/concurrent-requests",
                        Severity::Fail,
                        "together with others".to_owned(),
                    )
                }
                RelationKind::Reflected => continue,
            };
            if same {
                self.kept(requirement, pair.1);
            } else {
                let way = if same_outcome {
                    "another result"
                } else {
                    "another outcome"
                };
                let message = format!("the same call has {way} when it is sent {what}: twice so, and twice otherwise");
                self.broken(requirement, &steps, &subject, at_most, message);
                return;
            }
        }
    }

    /// A text that comes back must come back whole, whatever its characters.
    fn reflection(&mut self) {
        const REQUIREMENT: &str = "base-protocol/utf8-input";
        let record = self.record;
        let Some((plain, rich)) = self.answer(0).zip(self.answer(1)) else {
            return;
        };
        let (Some(sent_plain), Some(sent_rich)) = (marker(&record.case.steps[0]), marker(&record.case.steps[1])) else {
            return;
        };
        if plain.outcome != Outcome::Result || rich.outcome != Outcome::Result || !shows(plain, &sent_plain) {
            return;
        }
        let subject = record.case.subject.clone();
        if shows(rich, &sent_rich) {
            self.kept(REQUIREMENT, 1);
        } else {
            let message = format!(
                "the tool {subject} gives an ASCII text back as it was, and another one not, {}",
                self.label()
            );
            let at_most = if record.case.label.contains("control") {
                Severity::Info
            } else {
                Severity::Warn
            };
            self.broken(REQUIREMENT, &[1, 0], &subject, at_most, message);
        }
    }
}

/// The text with the marker that a call sends.
pub(super) fn marker(step: &Step) -> Option<String> {
    fn find(value: &Value) -> Option<String> {
        match value {
            Value::String(text) if text.contains("zq7") => Some(text.clone()),
            Value::Array(items) => items.iter().find_map(find),
            Value::Object(members) => members.values().find_map(find),
            _ => None,
        }
    }
    find(&step.called()?.1)
}

/// Whether some text of the result has another text in it.
fn shows(answer: &Answer, wanted: &str) -> bool {
    fn find(value: &Value, wanted: &str, escaped: &str) -> bool {
        match value {
            // A result in a text may be JSON, where some characters are escaped.
            Value::String(text) => {
                text.contains(wanted) || text.contains(escaped) || {
                    let inner = jsonrpc::value(text.as_bytes()).filter(|inner| !inner.is_string());
                    inner.is_some_and(|inner| find(&inner, wanted, escaped))
                }
            }
            Value::Array(items) => items.iter().any(|item| find(item, wanted, escaped)),
            Value::Object(members) => members.values().any(|member| find(member, wanted, escaped)),
            _ => false,
        }
    }
    let escaped = json!(wanted).to_string();
    answer
        .result()
        .is_some_and(|result| find(result, wanted, &escaped[1..escaped.len() - 1]))
}

/// What of an answer is compared: how it ended, and the result without metadata; texts that are JSON as JSON.
fn comparable(answer: &Answer) -> Option<Value> {
    fn plain(value: &Value) -> Value {
        match value {
            Value::Object(members) => members
                .iter()
                .filter(|(name, _)| *name != "_meta")
                .map(|(name, member)| (name.clone(), plain(member)))
                .collect(),
            Value::Array(items) => items.iter().map(plain).collect(),
            Value::String(text) => match jsonrpc::value(text.as_bytes()) {
                Some(inner @ (Value::Object(_) | Value::Array(_))) => plain(&inner),
                _ => value.clone(),
            },
            other => other.clone(),
        }
    }
    let message = answer.message.as_ref()?;
    Some(json!({
        "outcome": answer.outcome.as_str(),
        "result": message.get("result").map(plain),
        "code": message.pointer("/error/code"),
    }))
}

/// All texts of a result or error.
fn words(answer: &Answer) -> String {
    let message = answer.message.as_ref();
    let error = message
        .and_then(|message| message.pointer("/error/message"))
        .and_then(Value::as_str);
    let blocks = answer
        .result()
        .and_then(|result| result.get("content"))
        .and_then(Value::as_array);
    let texts = blocks
        .into_iter()
        .flatten()
        .filter_map(|block| block.get("text")?.as_str());
    error.into_iter().chain(texts).take(8).collect::<Vec<_>>().join("\n")
}

/// Whether a refusal speaks of the form of the arguments, in the words of the validators that are in use.
fn speaks_of_validation(answer: &Answer) -> bool {
    const SIGNS: [&str; 14] = [
        "validation error for",
        "input validation error",
        "invalid arguments for",
        "invalid_type",
        "too_small",
        "too_big",
        "invalid_string",
        "must not have",
        "is not of type",
        "is a required property",
        "additional properties are not allowed",
        "does not match '",
        "missing field `",
        "is not valid under any of the given schemas",
    ];
    let words = words(answer).to_lowercase();
    SIGNS.iter().any(|sign| words.contains(sign))
}

/// Whether a result that is not marked as a failure begins like one.
fn tells_of_failure(answer: &Answer) -> bool {
    const SIGNS: [&str; 8] = [
        "error",
        "exception",
        "traceback",
        "failed",
        "invalid",
        "missing",
        "validation",
        "input validation",
    ];
    let words = words(answer).to_lowercase();
    SIGNS.iter().any(|sign| words.trim_start().starts_with(sign))
}
