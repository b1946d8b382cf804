//! From what a run found out to its record.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use touchstone_core::baseline::EntryUse;
use touchstone_core::spec::requirement::{Catalog, Severity};
use touchstone_core::trace::TransportKind;
use touchstone_core::verdict::{Excuse, Finding, RevisionRun, Score, Verdict};

use super::events::{self, TRACE_BUDGET};
use super::{
    BaselineEntry, CaseEntry, ExcuseEntry, FORMAT, Failure, FindingEntry, RequirementEntry, RequirementText, Run,
    RunRecord, Severities, Summary, Tool, Tools,
};
use crate::advice;
use crate::hint::{Hints, Recognised};

/// When and against what a run began.
#[derive(Debug, Clone)]
pub struct Start {
    /// The target without secrets.
    pub target: String,
    /// The words that name it on the command line, without secrets.
    pub invocation: String,
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
    /// Which part of the cases ran.
    pub partition: Option<String>,
    /// Why nothing could be judged.
    pub failure: Option<Failure>,
    /// What was found out.
    pub runs: &'a [RevisionRun],
    /// What became of the entries of the baseline, where there is one.
    pub baseline: Option<&'a [EntryUse]>,
    /// What usually repairs a mistake, and what SDKs are known for.
    pub hints: &'a Hints,
}

impl<'a> RecordInput<'a> {
    /// Nothing was found out yet.
    #[must_use]
    pub fn new(start: Start, hints: &'a Hints) -> Self {
        Self {
            start,
            transport: None,
            sessions: 0,
            interrupted: false,
            partition: None,
            failure: None,
            runs: &[],
            baseline: None,
            hints,
        }
    }
}

impl RunRecord {
    /// Builds the record of a run.
    #[must_use]
    pub fn build(catalog: &Catalog, input: RecordInput<'_>) -> Self {
        let runs: Vec<Run> = input.runs.iter().map(|run| run_entry(catalog, run)).collect();
        let findings = merge(catalog, &input);
        let summary = Summary::of(&runs, &findings);
        let (traces, traces_note) = events::entries(input.runs, TRACE_BUDGET);
        Self {
            format: FORMAT,
            tool: Tool {
                name: "touchstone".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            target: input.start.target,
            invocation: input.start.invocation,
            transport: input.transport.map(|transport| transport.to_string()),
            server: input.runs.first().map_or(Value::Null, |run| run.server.clone()),
            started: humantime::format_rfc3339_seconds(input.start.at).to_string(),
            duration_ms: u64::try_from(input.start.duration.as_millis()).unwrap_or(u64::MAX),
            sessions: input.sessions,
            eras: Vec::new(),
            interrupted: input.interrupted,
            partition: input.partition,
            failure: input.failure,
            requirements: texts(catalog, input.runs),
            runs,
            findings,
            summary,
            campaign: None,
            baseline: input
                .baseline
                .map(|entries| entries.iter().map(baseline_entry).collect()),
            traces,
            traces_note,
        }
    }
}

fn baseline_entry(entry: &EntryUse) -> BaselineEntry {
    BaselineEntry {
        kind: entry.kind.to_owned(),
        name: entry.name.clone(),
        reason: entry.excuse.reason.clone(),
        expires: entry.excuse.expires.clone(),
        excused: entry.excused,
        stale: entry.stale,
    }
}

/// What the requirements of the judged revisions say.
fn texts(catalog: &Catalog, runs: &[RevisionRun]) -> BTreeMap<String, RequirementText> {
    let mut texts: BTreeMap<String, RequirementText> = BTreeMap::new();
    for run in runs {
        for requirement in run.requirements.iter().filter_map(|verdict| catalog.get(&verdict.id)) {
            let text = texts.entry(requirement.id.clone()).or_insert_with(|| RequirementText {
                statement: requirement.statement.clone(),
                links: BTreeMap::new(),
                ambiguity: requirement.ambiguity.clone(),
            });
            let links = requirement.links(run.revision);
            text.links.insert(run.revision.to_string(), links);
        }
    }
    texts
}

fn run_entry(catalog: &Catalog, run: &RevisionRun) -> Run {
    let mut stretches = events::stretches(&run.traces);
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
                advice: (requirement.verdict == Verdict::NotExercised)
                    .then(|| advice::for_requirement(catalog.get(&requirement.id), requirement.reason.as_deref()))
                    .flatten(),
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
                findings: case.findings.clone(),
                duration_us: case.duration_us,
                trace: case.trace.clone(),
                stretches: stretches.remove(&case.id).unwrap_or_default(),
            })
            .collect(),
        tools: Tools {
            listed: run.tools.listed,
            callable: run.tools.callable,
        },
    }
}

/// The findings of all runs, the same mistake in several revisions as one.
fn merge(catalog: &Catalog, input: &RecordInput<'_>) -> Vec<FindingEntry> {
    let mut merged: Vec<(Severity, FindingEntry)> = Vec::new();
    for run in input.runs {
        let sdk = input.hints.recognise(&run.traces);
        for finding in &run.findings {
            match merged
                .iter_mut()
                .find(|(_, entry)| entry.signature == finding.signature)
            {
                Some((severity, entry)) => {
                    entry.occurrences += finding.occurrences;
                    entry.revisions.push(run.revision.to_string());
                    entry.broken_too(finding.requirements().map(str::to_owned));
                    add_new(&mut entry.about, &finding.about);
                    add_new(&mut entry.cases, &finding.cases);
                    // What is excused in one revision only still counts.
                    if finding.excused.is_none() {
                        entry.excused = None;
                    }
                    if finding.severity > *severity {
                        *severity = finding.severity;
                        entry.severity = severity_word(finding.severity).to_owned();
                        entry.level = finding.level.to_string();
                    }
                }
                None => merged.push((finding.severity, finding_entry(catalog, run, finding, input, sdk))),
            }
        }
    }
    let rank = |severity: &Severity, entry: &FindingEntry| (entry.excused.is_none(), *severity);
    merged.sort_by(|(a, left), (b, right)| {
        rank(b, right)
            .cmp(&rank(a, left))
            .then_with(|| left.requirement.cmp(&right.requirement))
    });
    merged.into_iter().map(|(_, entry)| entry).collect()
}

/// Adds what is not there yet.
pub(crate) fn add_new(all: &mut Vec<String>, more: &[String]) {
    for one in more {
        if !all.contains(one) {
            all.push(one.clone());
        }
    }
}

fn finding_entry(
    catalog: &Catalog,
    run: &RevisionRun,
    finding: &Finding,
    input: &RecordInput<'_>,
    sdk: Recognised,
) -> FindingEntry {
    let requirement = catalog.get(&finding.requirement);
    let evidence = events::excerpts(&run.traces, &finding.evidence, finding.score);
    let sdk = finding
        .requirements()
        .find_map(|id| input.hints.sdk(sdk, id, run.transport.as_str(), &evidence));
    FindingEntry {
        signature: finding.signature.clone(),
        requirement: finding.requirement.clone(),
        also: finding.also.clone(),
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
        cases: finding.cases.clone(),
        occurrences: finding.occurrences,
        evidence,
        reproduce: reproduce(run, finding, &input.start.invocation),
        reproduction: None,
        hint: finding
            .requirements()
            .find_map(|id| input.hints.repair(id))
            .map(str::to_owned),
        sdk,
        excused: finding.excused.as_ref().map(excuse_entry),
    }
}

fn excuse_entry(excuse: &Excuse) -> ExcuseEntry {
    ExcuseEntry {
        reason: excuse.reason.clone(),
        expires: excuse.expires.clone(),
    }
}

/// The command that shows a finding again.
fn reproduce(run: &RevisionRun, finding: &Finding, invocation: &str) -> String {
    let case = finding
        .case
        .as_ref()
        .map(|case| format!(" --case {case}"))
        .unwrap_or_default();
    let words = format!("touchstone check{case} --revision {} {invocation}", run.revision);
    words.trim_end().to_owned()
}

impl Summary {
    /// Counts what stands in runs and findings.
    #[must_use]
    pub fn of(runs: &[Run], findings: &[FindingEntry]) -> Self {
        let mut summary = Self::default();
        for run in runs {
            for requirement in &run.requirements {
                *summary.requirements.entry(requirement.verdict.clone()).or_default() += 1;
            }
            for case in &run.cases {
                *summary.cases.entry(case.verdict.clone()).or_default() += 1;
            }
        }
        for finding in findings {
            let score: &mut Severities = if finding.score == "robustness" {
                &mut summary.robustness
            } else {
                &mut summary.conformance
            };
            match (finding.excused.is_some(), finding.severity.as_str()) {
                (true, _) => score.excused += 1,
                (false, "fail") => score.fail += 1,
                (false, "warn") => score.warn += 1,
                _ => score.info += 1,
            }
        }
        summary
    }
}

pub(super) const fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warn => "warn",
        Severity::Fail => "fail",
    }
}
