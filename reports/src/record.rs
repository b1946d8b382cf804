//! The run record: everything a report shows, as JSON with a published schema (`format: 1`).

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use touchstone_core::spec::requirement::{Catalog, Severity};
use touchstone_core::trace::{EventKind, Trace, TransportKind};
use touchstone_core::verdict::{Evidence, Finding, RevisionRun, Score, Verdict};

/// The version of the record that is written.
pub const FORMAT: u32 = 1;
/// Longest excerpt of a message that a finding carries, in characters.
const LONGEST_EXCERPT: usize = 4_000;

/// One run against one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunRecord {
    /// Version of this format.
    pub format: u32,
    /// What made the record.
    pub tool: Tool,
    /// The server under test, without secrets: a command line or a URL.
    pub target: String,
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
    /// Why nothing could be judged.
    pub failure: Option<Failure>,
    /// One for each judged revision.
    pub runs: Vec<Run>,
    /// Distinct mistakes over all revisions, worst first.
    pub findings: Vec<FindingEntry>,
    /// Counts.
    pub summary: Summary,
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
    /// Why it was not exercised or does not apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
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
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// The trace that shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// A distinct mistake of the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FindingEntry {
    /// Identity across runs; holds no raw values.
    pub signature: String,
    /// The requirement that it breaks.
    pub requirement: String,
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
    /// How often it was seen, over all revisions.
    pub occurrences: u64,
    /// What crossed the wire at the first occurrence, in order.
    pub evidence: Vec<Excerpt>,
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
}

/// When and against what a run began.
#[derive(Debug, Clone)]
pub struct Start {
    /// The target without secrets.
    pub target: String,
    /// When it began.
    pub at: SystemTime,
    /// How long it took.
    pub duration: Duration,
}

/// What a record is made of.
#[derive(Debug)]
pub struct RecordInput<'a> {
    /// When and against what.
    pub start: Start,
    /// The transport, when a connection was made.
    pub transport: Option<TransportKind>,
    /// Sessions that were opened.
    pub sessions: usize,
    /// Whether the run was interrupted.
    pub interrupted: bool,
    /// Why nothing could be judged.
    pub failure: Option<Failure>,
    /// What was found out.
    pub runs: &'a [RevisionRun],
}

impl RunRecord {
    /// Builds the record of a run.
    #[must_use]
    pub fn build(catalog: &Catalog, input: RecordInput<'_>) -> Self {
        let runs: Vec<Run> = input.runs.iter().map(run_entry).collect();
        let findings = merge(catalog, input.runs);
        let summary = summarise(&runs, &findings);
        Self {
            format: FORMAT,
            tool: Tool {
                name: "touchstone".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            target: input.start.target,
            transport: input.transport.map(|transport| transport.to_string()),
            server: input.runs.first().map_or(Value::Null, |run| run.server.clone()),
            started: humantime::format_rfc3339_seconds(input.start.at).to_string(),
            duration_ms: u64::try_from(input.start.duration.as_millis()).unwrap_or(u64::MAX),
            sessions: input.sessions,
            eras: Vec::new(),
            interrupted: input.interrupted,
            failure: input.failure,
            runs,
            findings,
            summary,
        }
    }

    /// The JSON Schema of the record, 2020-12.
    #[must_use]
    pub fn json_schema() -> Value {
        schemars::schema_for!(RunRecord).to_value()
    }
}

fn run_entry(run: &RevisionRun) -> Run {
    Run {
        revision: run.revision.to_string(),
        transport: run.transport.to_string(),
        requirements: run
            .requirements
            .iter()
            .map(|requirement| RequirementEntry {
                id: requirement.id.clone(),
                level: requirement.level.to_string(),
                verdict: requirement.verdict.as_str().to_owned(),
                observed: requirement.observed,
                reason: requirement.reason.clone(),
            })
            .collect(),
        cases: run
            .cases
            .iter()
            .map(|case| CaseEntry {
                name: case.id.clone(),
                title: case.title.clone(),
                verdict: case.verdict.as_str().to_owned(),
                reason: case.reason.clone(),
                messages: case.messages.clone(),
                duration_us: case.duration_us,
                trace: case.trace.clone(),
            })
            .collect(),
        tools: Tools {
            listed: run.tools.listed,
            callable: run.tools.callable,
        },
    }
}

/// The findings of all runs, the same mistake in several revisions as one.
fn merge(catalog: &Catalog, runs: &[RevisionRun]) -> Vec<FindingEntry> {
    let mut merged: Vec<(Severity, FindingEntry)> = Vec::new();
    for run in runs {
        for finding in &run.findings {
            match merged
                .iter_mut()
                .find(|(_, entry)| entry.signature == finding.signature)
            {
                Some((severity, entry)) => {
                    entry.occurrences += finding.occurrences;
                    entry.revisions.push(run.revision.to_string());
                    for about in &finding.about {
                        if !entry.about.contains(about) {
                            entry.about.push(about.clone());
                        }
                    }
                    if finding.severity > *severity {
                        *severity = finding.severity;
                        entry.severity = severity_word(finding.severity).to_owned();
                        entry.level = finding.level.to_string();
                    }
                }
                None => merged.push((finding.severity, finding_entry(catalog, run, finding))),
            }
        }
    }
    merged.sort_by(|(a, left), (b, right)| b.cmp(a).then_with(|| left.requirement.cmp(&right.requirement)));
    merged.into_iter().map(|(_, entry)| entry).collect()
}

fn finding_entry(catalog: &Catalog, run: &RevisionRun, finding: &Finding) -> FindingEntry {
    let requirement = catalog.get(&finding.requirement);
    let mut evidence: Vec<&Evidence> = finding.evidence.iter().collect();
    evidence.sort_by_key(|evidence| evidence.event);
    evidence.dedup();
    FindingEntry {
        signature: finding.signature.clone(),
        requirement: finding.requirement.clone(),
        statement: requirement
            .map(|requirement| requirement.statement.clone())
            .unwrap_or_default(),
        level: finding.level.to_string(),
        severity: severity_word(finding.severity).to_owned(),
        score: match finding.score {
            Score::Conformance => "conformance".to_owned(),
            Score::Robustness => "robustness".to_owned(),
        },
        message: finding.message.clone(),
        about: finding.about.clone(),
        links: requirement
            .map(|requirement| requirement.links(run.revision))
            .unwrap_or_default(),
        ambiguity: requirement.and_then(|requirement| requirement.ambiguity.clone()),
        revisions: vec![run.revision.to_string()],
        case: finding.case.clone(),
        occurrences: finding.occurrences,
        evidence: evidence
            .into_iter()
            .filter_map(|evidence| excerpt(&run.traces, evidence))
            .collect(),
    }
}

/// The piece of a trace that evidence points at.
fn excerpt(traces: &[Trace], evidence: &Evidence) -> Option<Excerpt> {
    let trace = traces.iter().find(|trace| trace.name == evidence.trace)?;
    let (what, text) = match &trace.events.get(evidence.event)?.kind {
        EventKind::Sent { payload, .. } => ("sent", payload.text().into_owned()),
        EventKind::Received { payload, .. } => ("received", payload.text().into_owned()),
        EventKind::Stderr { payload } => ("stderr", payload.text().into_owned()),
        EventKind::ProcessExited { code, signal } => (
            "exited",
            match (code, signal) {
                (Some(code), _) => format!("exit code {code}"),
                (None, Some(signal)) => format!("signal {signal}"),
                (None, None) => String::new(),
            },
        ),
        EventKind::StdinClosed => ("closed stdin", String::new()),
        EventKind::StdoutClosed => ("stdout closed", String::new()),
        EventKind::Signalled { signal } => ("signalled", signal.clone()),
        EventKind::GaveUp { id, waited_ms } => ("gave up", format!("request {id} after {waited_ms} ms")),
        EventKind::HttpRequest { method, target, .. } => ("request", format!("{method} {target}")),
        EventKind::HttpResponse { status, .. } => ("response", status.to_string()),
        EventKind::Survivors { processes } => (
            "survivors",
            processes
                .iter()
                .map(|process| format!("{} ({})", process.name, process.pid))
                .collect::<Vec<_>>()
                .join(", "),
        ),
        EventKind::StreamEvent { data, .. } => ("stream event", data.text().into_owned()),
        EventKind::HttpBody { payload, .. } => ("body", payload.text().into_owned()),
        _ => return None,
    };
    let text = crate::escape::cut(&text, LONGEST_EXCERPT);
    Some(Excerpt {
        trace: evidence.trace.clone(),
        event: evidence.event,
        what: what.to_owned(),
        text,
    })
}

fn summarise(runs: &[Run], findings: &[FindingEntry]) -> Summary {
    let mut summary = Summary::default();
    for run in runs {
        for requirement in &run.requirements {
            *summary.requirements.entry(requirement.verdict.clone()).or_default() += 1;
        }
        for case in &run.cases {
            *summary.cases.entry(case.verdict.clone()).or_default() += 1;
        }
    }
    for finding in findings {
        let score = if finding.score == "robustness" {
            &mut summary.robustness
        } else {
            &mut summary.conformance
        };
        match finding.severity.as_str() {
            "fail" => score.fail += 1,
            "warn" => score.warn += 1,
            _ => score.info += 1,
        }
    }
    summary
}

const fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warn => "warn",
        Severity::Fail => "fail",
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
