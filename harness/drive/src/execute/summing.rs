//! From what was recorded to the verdicts of one revision: the monitors judge the traces, and everything is put together.

use std::collections::BTreeMap;

use serde_json::Value;
use touchstone_core::coverage::Coverage;
use touchstone_core::monitor::{self, Context, Conversation};
use touchstone_core::revision::Revision;
use touchstone_core::trace::Trace;
use touchstone_core::verdict::{
    self, CaseResult, Circumstances, Observation, Outcome, RevisionRun, ToolCoverage, Verdict,
};

use super::engine::Engine;
use super::inventory::Inventory;
use super::lane::Finished;
use super::locked::Access;
use super::plan::Plan;
use super::unopened::counts_without_session;
use crate::session::Connector;

impl Engine<'_> {
    /// Judges the traces and puts everything together.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one record, each produced elsewhere"
    )]
    pub(super) fn sum_up(
        &self,
        connector: &Connector,
        access: &Access,
        revision: Revision,
        capabilities: &Value,
        server: Value,
        inventory: &Inventory,
        plan: Plan<'_>,
        finished: Vec<Finished<'_>>,
        mut traces: Vec<Trace>,
        apart: Vec<Trace>,
        opened: bool,
    ) -> (RevisionRun, Vec<String>) {
        let context = Context {
            revision,
            schemas: self.schemas.for_revision(revision),
        };
        let mut observations: Vec<Observation> = Vec::new();
        let mut own_mistakes = Vec::new();
        for trace in &traces {
            let conversation = Conversation::of(trace);
            observations.extend(monitor::observe(&conversation, &context));
            own_mistakes.extend(monitor::own_mistakes(&conversation, &context));
        }
        // What was said in another revision is evidence, and judged by nobody here.
        traces.extend(apart);
        let mut reasons: BTreeMap<String, String> = BTreeMap::new();
        for skipped in &plan.skipped {
            for requirement in skipped.planned.case.requirements() {
                reasons
                    .entry(requirement.to_owned())
                    .or_insert_with(|| skipped.reason.clone());
            }
        }
        for case in &finished {
            observations.extend(case.report.observations.iter().cloned());
            for (requirement, reason) in &case.report.unexercised {
                reasons.entry(requirement.clone()).or_insert_with(|| reason.clone());
            }
        }
        let coverage = Coverage::new(self.catalog, self.schemas, self.suite);
        let circumstances = Circumstances {
            revision,
            transport: connector.transport(),
            capabilities: capabilities.clone(),
            reasons,
            covered: coverage.judged_in(revision).map(str::to_owned).collect(),
            protected: access.protection.demanded,
            blocked: access.protection.locked.clone(),
        };
        access.credentials.hide_in(&mut observations);
        if access.protection.locked.is_some() {
            // A server that lets nobody in has shown nothing else that is good.
            observations.retain(|observation| {
                observation.requirement.starts_with("authorization/")
                    || matches!(observation.outcome, Outcome::Broken(_))
            });
        }
        if !opened {
            observations.retain(|observation| counts_without_session(&observation.requirement, &observation.outcome));
        }
        let judged = verdict::judge(self.catalog, &circumstances, &observations);
        let broken = self.broken_by_case(revision, &observations);
        let mut cases: Vec<CaseResult> = finished.iter().map(|case| case_result(case, &broken)).collect();
        cases.extend(plan.skipped.into_iter().map(|skipped| CaseResult {
            id: skipped.planned.id(),
            title: skipped.planned.case.title.clone(),
            verdict: Verdict::NotApplicable,
            reason: Some(skipped.reason),
            messages: Vec::new(),
            findings: Vec::new(),
            duration_us: 0,
            trace: None,
        }));
        cases.sort_by(|a, b| a.id.cmp(&b.id));
        let tools: ToolCoverage = inventory.coverage();
        let run = RevisionRun {
            revision,
            transport: connector.transport(),
            server,
            requirements: judged.requirements,
            cases,
            findings: judged.findings,
            traces,
            tools,
        };
        (run, own_mistakes)
    }

    /// What was broken during each case: how badly, and in which words.
    fn broken_by_case<'o>(
        &self,
        revision: Revision,
        observations: &'o [Observation],
    ) -> BTreeMap<&'o str, Vec<Broken<'o>>> {
        let mut broken: BTreeMap<&str, Vec<Broken<'_>>> = BTreeMap::new();
        for observation in observations {
            let (Outcome::Broken(breach), Some(case)) = (&observation.outcome, observation.case.as_deref()) else {
                continue;
            };
            let Some(requirement) = self.catalog.get(&observation.requirement) else {
                continue;
            };
            if requirement.level(revision).is_some() {
                let severity = verdict::severity_of(requirement, revision, breach);
                broken.entry(case).or_default().push(Broken {
                    verdict: severity.into(),
                    requirement: &observation.requirement,
                    message: &breach.message,
                    signature: verdict::signature_of(&requirement.id, severity, breach),
                });
            }
        }
        for messages in broken.values_mut() {
            messages.sort_by_key(|broken| std::cmp::Reverse(broken.verdict));
        }
        broken
    }
}

/// What was broken during a case.
struct Broken<'a> {
    verdict: Verdict,
    requirement: &'a str,
    message: &'a str,
    signature: String,
}

fn case_result(case: &Finished<'_>, broken: &BTreeMap<&str, Vec<Broken<'_>>>) -> CaseResult {
    let id = case.planned.id();
    let broken = broken.get(id.as_str()).map_or(&[][..], Vec::as_slice);
    let kept = case
        .report
        .observations
        .iter()
        .any(|observation| matches!(observation.outcome, Outcome::Kept(_)));
    let worst = broken.first().map(|broken| broken.verdict);
    let mut findings: Vec<String> = Vec::new();
    for broken in broken {
        if !findings.contains(&broken.signature) {
            findings.push(broken.signature.clone());
        }
    }
    let unexercised = case.report.unexercised.values().next();
    let verdict = match (worst, &case.report.stopped) {
        (Some(worst), _) => worst,
        (None, Some(_)) => Verdict::NotExercised,
        (None, None) if !kept && unexercised.is_some() => Verdict::NotExercised,
        (None, None) => Verdict::Passed,
    };
    CaseResult {
        id,
        title: case.planned.case.title.clone(),
        verdict,
        reason: case
            .report
            .stopped
            .clone()
            .or_else(|| unexercised.filter(|_| verdict == Verdict::NotExercised).cloned()),
        messages: broken
            .iter()
            .map(|broken| format!("{} {}: {}", broken.verdict.as_str(), broken.requirement, broken.message))
            .collect(),
        findings,
        duration_us: case.duration_us,
        trace: case.trace.clone(),
    }
}
