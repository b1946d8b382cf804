//! The run record: everything a report shows, as JSON with a published schema (`format: 1`).

mod build;
mod events;

pub(crate) use build::add_new;
pub use build::{RecordInput, Start};
pub use events::{TRACE_BUDGET, limit_traces};

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use touchstone_core::verdict::Verdict;

use crate::campaign::{CampaignEntry, ReproductionEntry};

/// The version of the record that is written.
pub const FORMAT: u32 = 1;

/// One run against one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunRecord {
    /// Version of this format.
    pub format: u32,
    /// What made the record.
    pub tool: Tool,
    /// The server under test, without secrets: a command line or a URL.
    pub target: String,
    /// The words that name the target on the command line, for commands that run something again.
    #[serde(default)]
    pub invocation: String,
    /// The transport, when a connection was made.
    pub transport: Option<String>,
    /// The server's name and version, as it gave them.
    pub server: Value,
    /// When the run began, RFC 3339.
    pub started: String,
    /// How long it took.
    pub duration_ms: u64,
    /// Server processes or HTTP sessions that were opened.
    pub sessions: usize,
    /// Which revisions the server was found to speak, era by era, and by what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub eras: Vec<EraEntry>,
    /// Whether the run was interrupted, so that cases are missing.
    pub interrupted: bool,
    /// Which part of the cases ran, `1/3`, where they were shared out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// Why nothing could be judged.
    pub failure: Option<Failure>,
    /// One for each judged revision.
    pub runs: Vec<Run>,
    /// Distinct mistakes over all revisions, worst first.
    pub findings: Vec<FindingEntry>,
    /// Counts.
    pub summary: Summary,
    /// Of a campaign of `touchstone fuzz`, its numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<CampaignEntry>,
    /// What the requirements say, by id.
    #[serde(default)]
    pub requirements: BTreeMap<String, RequirementText>,
    /// The baseline that was applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Vec<BaselineEntry>>,
    /// What crossed the wire, as far as it is kept.
    #[serde(default)]
    pub traces: Vec<TraceEntry>,
    /// What of the traces was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traces_note: Option<String>,
}

/// What a requirement says, whatever the verdict on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequirementText {
    /// What a conforming server does, in our words.
    pub statement: String,
    /// Where the specification says it, by revision.
    pub links: BTreeMap<String, Vec<String>>,
    /// Where the specification is unclear, and how it is graded because of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ambiguity: Option<String>,
}

/// An entry of the baseline, and what it came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BaselineEntry {
    /// `requirement`, `case` or `finding`.
    pub kind: String,
    /// What it names.
    pub name: String,
    /// Why it is excused.
    pub reason: String,
    /// The last day of the excuse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// How many findings or cases it excused, over all revisions.
    pub excused: u64,
    /// Whether what it excuses is right now, so that the entry has to go.
    pub stale: bool,
}

/// What crossed the wire of one connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TraceEntry {
    /// Its name, for example `2025-06-18/shared`.
    pub name: String,
    /// The revision.
    pub revision: String,
    /// The transport.
    pub transport: String,
    /// Events, in order; those that were left out are missing.
    pub events: Vec<TraceEvent>,
    /// How many were left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub omitted: u64,
}

/// One thing in a trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TraceEvent {
    /// Index of the event in the whole trace.
    pub event: usize,
    /// Microseconds since the trace began.
    pub at_us: u64,
    /// `sent`, `received`, `stderr`, or what else happened.
    pub what: String,
    /// The bytes as text, or what happened in words.
    pub text: String,
    /// How many bytes there were, where the text is cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The HTTP exchange that carried it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<u32>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What made a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    /// Always `touchstone`.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// What was found out about one era.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EraEntry {
    /// `stateless` (2026-07-28 and later) or `stateful` (opened by a handshake).
    pub era: String,
    /// The revisions of it that the server speaks, of those that were asked for, newest first.
    pub revisions: Vec<String>,
    /// What showed it.
    pub how: String,
}

/// Why nothing could be judged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// What happened.
    pub reason: String,
    /// The end of the server's stderr.
    pub stderr: String,
    /// The first line on stdout that was no message.
    pub stdout: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

/// One revision over one transport.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// The negotiated revision.
    pub revision: String,
    /// The transport.
    pub transport: String,
    /// Requirements that exist in the revision.
    pub requirements: Vec<RequirementEntry>,
    /// Cases.
    pub cases: Vec<CaseEntry>,
    /// Tools that the server lists, and how many may be called.
    pub tools: Tools,
}

/// How many tools were exercised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tools {
    /// Tools that the server lists.
    pub listed: usize,
    /// Tools that may be called with valid arguments.
    pub callable: usize,
}

/// The verdict on a requirement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequirementEntry {
    /// `area/slug`.
    pub id: String,
    /// `MUST`, `SHOULD NOT`, ...
    pub level: String,
    /// `passed`, `failed`, `warned`, `info`, `not-exercised`, `not-applicable` or `excused`.
    pub verdict: String,
    /// Observations that were summed up.
    pub observed: u64,
    /// Why it was not exercised or does not apply, or is excused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How it can be exercised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// What became of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaseEntry {
    /// `area/name`.
    pub name: String,
    /// The sentence that says what is right.
    pub title: String,
    /// As for requirements.
    pub verdict: String,
    /// Why it was not run, or not to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was broken, worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<String>,
    /// The signatures of what was broken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// The trace that shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// The stretches of traces during which it ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stretches: Vec<Stretch>,
}

/// A stretch of a trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stretch {
    /// The trace's name.
    pub trace: String,
    /// Index of its first event.
    pub from: usize,
    /// Index of its last event.
    pub to: usize,
}

/// A distinct mistake of the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FindingEntry {
    /// Identity across runs; holds no raw values.
    pub signature: String,
    /// The requirement that it breaks; of several, the one that weighs most.
    pub requirement: String,
    /// Requirements beside this one that the same mistake breaks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// What the requirement says, in our words.
    pub statement: String,
    /// Its level.
    pub level: String,
    /// `fail`, `warn` or `info`.
    pub severity: String,
    /// `conformance` or `robustness`.
    pub score: String,
    /// What happened.
    pub message: String,
    /// The distinct things it is about.
    pub about: Vec<String>,
    /// Where the specification says it.
    pub links: Vec<String>,
    /// Where the specification is unclear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ambiguity: Option<String>,
    /// Revisions in which it was seen.
    pub revisions: Vec<String>,
    /// The case of the first occurrence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// Every case that showed it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cases: Vec<String>,
    /// How often it was seen, over all revisions.
    pub occurrences: u64,
    /// What crossed the wire at the first occurrence, in order.
    pub evidence: Vec<Excerpt>,
    /// The command that shows it again.
    #[serde(default)]
    pub reproduce: String,
    /// The smallest conversation in which a campaign saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reproduction: Option<ReproductionEntry>,
    /// What usually repairs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What is known of the SDK that the server seems to be built on. Never changes the verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdk: Option<SdkNote>,
    /// Why a baseline excuses it; then it fails nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excused: Option<ExcuseEntry>,
}

impl FindingEntry {
    /// All requirements that it breaks.
    pub fn requirements(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.requirement).chain(&self.also).map(String::as_str)
    }

    /// The other requirements that the same mistake breaks, as a sentence for reports.
    pub(crate) fn also_breaks(&self) -> Option<String> {
        (!self.also.is_empty()).then(|| format!("The same mistake breaks {}.", self.also.join(", ")))
    }

    /// Takes in what another run saw of the same mistake.
    pub(crate) fn broken_too(&mut self, requirements: impl Iterator<Item = String>) {
        for requirement in requirements {
            if requirement != self.requirement
                && let Err(at) = self.also.binary_search(&requirement)
            {
                self.also.insert(at, requirement);
            }
        }
    }
}

/// That a mistake is probably the SDK's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SdkNote {
    /// The SDK and its versions.
    pub sdk: String,
    /// What it does, and what its user can do.
    pub note: String,
}

/// Why a baseline excuses a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExcuseEntry {
    /// The reason.
    pub reason: String,
    /// The last day of the excuse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// A piece of a trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Excerpt {
    /// The trace.
    pub trace: String,
    /// Index of the event.
    pub event: usize,
    /// `sent`, `received`, `stderr`, or what else happened.
    pub what: String,
    /// The bytes as text, invalid UTF-8 replaced, cut when long.
    pub text: String,
    /// How many bytes there were, where the text is cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Whether it is there to be understood only: the request that an answer belongs to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub context: bool,
}

/// Counts over all runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Requirements by verdict, summed over the runs.
    pub requirements: BTreeMap<String, u64>,
    /// Cases by verdict, summed over the runs.
    pub cases: BTreeMap<String, u64>,
    /// Findings about messages that a client may send.
    pub conformance: Severities,
    /// Findings about survival of what no client may send.
    pub robustness: Severities,
}

/// Findings by severity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Severities {
    /// Fail the run.
    pub fail: u64,
    /// Fail it with `--strict`.
    pub warn: u64,
    /// Never fail it.
    pub info: u64,
    /// Excused by a baseline.
    #[serde(default)]
    pub excused: u64,
}

impl RunRecord {
    /// The JSON Schema of the record, 2020-12.
    #[must_use]
    pub fn json_schema() -> Value {
        schemars::schema_for!(RunRecord).to_value()
    }
}

impl Run {
    /// How many requirements have this verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.requirements
            .iter()
            .filter(|requirement| requirement.verdict == verdict.as_str())
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_schema_is_the_one_of_the_types() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("record.schema.json");
        let mut schema = serde_json::to_string_pretty(&RunRecord::json_schema()).unwrap();
        schema.push('\n');
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(&path, &schema).unwrap();
        }
        let published = std::fs::read_to_string(&path).unwrap();
        assert!(
            published == schema,
            "run `UPDATE_SCHEMA=1 cargo test -p touchstone-reports` to write {}",
            path.display()
        );
    }
}
