//! A campaign that is going on: rounds of cases, what is seen of them, what becomes of a server that dies, and the sum at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use touchstone_core::revision::Revision;
use touchstone_core::verdict::{self, CaseResult, Circumstances, RevisionRun, Verdict};
use touchstone_generate::Malformed;

use super::arena::{Arena, Window};
use super::campaign::{Campaign, CampaignEvent, CampaignOptions, CampaignRun, Progress, Sums};
use super::case::{FuzzCase, Phase, Step, What};
use super::chance::{self, Random};
use super::corpus::StoredCase;
use super::feedback::Feedback;
use super::judging::Judged;
use super::ledger::{Ledger, Reproduced, Reproduction};
use super::replay::{ATTEMPTS, ReplayVerdict, Replayed};
use super::schedule::Schedule;
use super::shrink::{Lab, Sign};
use super::toolbox::Toolbox;
use super::{http, phases, relations};
use crate::session::Connector;

/// Deaths after which the tool, or kind of message, that brings them about is left alone.
const MOST_DEATHS: u32 = 3;
/// Starts in a row that may fail.
const MOST_STARTS: usize = 3;
/// Rounds in a row without a single call.
const MOST_FRUITLESS: usize = 20;
/// Cases that are handed over together.
const WINDOW: usize = 128;
/// Cases that monitors look at together: each look costs what came before all cases once more.
const MANY: usize = 512;
/// The same over HTTP, where some rules look at every exchange for every other.
const FEW: usize = 96;
/// No tool.
static NONE: BTreeSet<String> = BTreeSet::new();
/// How long what has begun may go on at least, once the time is over.
const OVERTIME: Duration = Duration::from_secs(5);
/// Calls after which it is known which tools take their time. The examples come first: they call each tool.
const SETTLED: u64 = 200;

/// A campaign that is going on.
pub(super) struct Running<'a> {
    pub(super) campaign: &'a Campaign<'a>,
    pub(super) connector: &'a Connector,
    pub(super) revision: Revision,
    pub(super) arena: Arena<'a>,
    pub(super) toolbox: &'a Arc<Toolbox>,
    pub(super) ledger: Ledger,
    pub(super) feedback: Feedback,
    pub(super) sums: Sums,
    pub(super) covered: BTreeSet<String>,
    pub(super) deaths: BTreeMap<String, u32>,
    /// Tools that take their time: of a crowd that is lost they are the last to suspect.
    pub(super) slow: BTreeSet<String>,
    pub(super) own_mistakes: Vec<String>,
    /// The window that is being judged.
    pub(super) judging: Option<JoinHandle<Judged>>,
    /// Signatures that wait to be made small.
    pub(super) waiting: Vec<String>,
    /// Suspects of deaths, by signature.
    pub(super) suspects: BTreeMap<String, Vec<FuzzCase>>,
    pub(super) began: Instant,
    pub(super) cancel: &'a CancellationToken,
    pub(super) on_event: &'a dyn Fn(CampaignEvent<'_>),
    pub(super) ended: Option<String>,
}

impl<'a> Running<'a> {
    pub(super) fn options(&self) -> &'a CampaignOptions {
        &self.campaign.options
    }

    pub(super) fn lab(&self) -> Lab<'a> {
        Lab {
            connector: self.connector,
            revision: self.revision,
            policy: (self.options().call.clone(), self.options().allowed_tools.clone()),
            catalog: self.campaign.catalog,
            schemas: &self.campaign.schemas,
            toolbox: self.toolbox,
            within: self.options().within,
            cancel: self.cancel,
        }
    }

    /// Whether the budget is used up.
    pub(super) fn is_over(&self) -> bool {
        let budget = self.options().budget;
        self.cancel.is_cancelled()
            || self.ended.is_some()
            || budget.time.is_some_and(|time| self.began.elapsed() >= time)
            || budget.count.is_some_and(|count| self.sums.calls >= count)
    }

    /// Whether so much more time than there was has gone that what has begun is not brought to its end: the server decides how long that takes.
    fn is_overdue(&self) -> bool {
        let overdue = |time: Duration| self.began.elapsed() >= time + time.max(OVERTIME);
        self.options().budget.time.is_some_and(overdue)
    }

    pub(super) async fn go(&mut self) {
        self.regressions().await;
        let mut wanted = self.options().phases.clone();
        let budget = self.options().budget;
        if budget.time.is_none() && budget.count.is_none() {
            // Without a limit, chance would never end.
            wanted.remove(&Phase::Random);
            wanted.remove(&Phase::Stateful);
        }
        let lists = vec![
            (Phase::Examples, phases::examples(self.toolbox, self.revision)),
            (Phase::Coverage, phases::coverage(self.toolbox)),
            (Phase::Protocol, phases::protocol(self.toolbox, self.revision)),
            (Phase::Bytes, phases::bytes(self.revision)),
            (Phase::Metamorphic, relations::metamorphic(self.toolbox)),
            (Phase::Http, self.http_cases()),
        ];
        let mut growth_due = wanted.contains(&Phase::Growth);
        let mut schedule = Schedule::new(lists, wanted, self.options().partition);
        // Decided once, when every tool was called a few times: what is sent must not depend on every moment's load.
        let mut slow: Option<BTreeSet<String>> = None;
        let odd = chance::odd_messages(self.revision);
        let mut fruitless = 0;
        while !self.is_over() {
            if growth_due && schedule.is_systematic_done() {
                growth_due = false;
                self.growth().await;
                continue;
            }
            if slow.is_none() && self.sums.calls >= SETTLED {
                self.settle().await;
                schedule.put_off(&self.slow);
                slow = Some(self.slow.clone());
            }
            let phase = schedule.phase();
            let slow = slow.as_ref().unwrap_or(&NONE);
            while schedule.is_ready_to_follow()
                && let Some(led) = self.feedback.take_due()
            {
                schedule.follow(self.random(slow, &odd).follow_up(&led));
            }
            let cases = schedule.next(&self.random(slow, &odd));
            let before = self.sums.calls;
            self.round(cases, phase).await;
            // A server without tools gives chance little to work with, and so does one that each of its tools keeps ending.
            fruitless = if self.sums.calls == before { fruitless + 1 } else { 0 };
            if fruitless > MOST_FRUITLESS {
                break;
            }
        }
    }

    /// Where the choices of the next round come from.
    fn random<'r>(&'r self, slow: &'r BTreeSet<String>, odd: &'r [Malformed]) -> Random<'r> {
        Random {
            toolbox: self.toolbox,
            feedback: &self.feedback,
            seed: self.options().seed,
            guided: self.options().guided,
            slow,
            revision: self.revision,
            transport: self.connector.transport(),
            odd,
        }
    }

    fn http_cases(&mut self) -> Vec<FuzzCase> {
        let transport = self.connector.transport();
        if !transport.is_http() {
            return Vec::new();
        }
        http::cases(self.revision, transport, self.arena.has_session_id())
    }

    /// Runs the cases of a round, window by window.
    async fn round(&mut self, cases: Vec<FuzzCase>, phase: Phase) {
        let mut window: Vec<FuzzCase> = Vec::new();
        let mut cases = cases.into_iter().peekable();
        while let Some(case) = cases.next() {
            if self.is_parked(&case) {
                continue;
            }
            let budget = self.options().budget.count.unwrap_or(u64::MAX);
            let planned: u64 = window.iter().map(FuzzCase::calls).sum();
            if self.sums.calls + planned + case.calls() > budget {
                if self.sums.calls + planned == 0 || window.is_empty() {
                    // What does not fit is left out; the next may be shorter.
                    if cases.peek().is_none() {
                        self.sums.calls = budget;
                    }
                    continue;
                }
                cases = vec![case]
                    .into_iter()
                    .chain(cases)
                    .collect::<Vec<_>>()
                    .into_iter()
                    .peekable();
                self.run(std::mem::take(&mut window), phase).await;
                if self.is_over() {
                    return;
                }
                continue;
            }
            window.push(case);
            if window.len() >= WINDOW {
                self.run(std::mem::take(&mut window), phase).await;
                if self.is_over() {
                    return;
                }
            }
        }
        if !window.is_empty() {
            self.run(window, phase).await;
        }
    }

    fn is_parked(&mut self, case: &FuzzCase) -> bool {
        let parked = self
            .deaths
            .get(&case.subject)
            .is_some_and(|deaths| *deaths >= MOST_DEATHS);
        if parked {
            *self.sums.parked.entry(case.subject.clone()).or_default() += 1;
        }
        parked
    }

    /// Runs cases until all are done, the server started again as often as needed.
    pub(super) async fn run(&mut self, cases: Vec<FuzzCase>, phase: Phase) {
        let mut rest = cases;
        while !rest.is_empty() && !self.cancel.is_cancelled() && self.ended.is_none() && !self.is_overdue() {
            if !self.arena.is_open() && !self.restart().await {
                return;
            }
            let began = Instant::now();
            let batch = rest.clone();
            let within = Some(self.options().within);
            let first = self.arena.gathered.len();
            let batch = tokio::select! {
                biased;
                batch = self.arena.run(batch, within) => batch,
                () = self.cancel.cancelled() => return,
            };
            self.sums.calling += began.elapsed();
            let Some(batch) = batch else { return };
            rest.drain(..batch.done.max(1).min(rest.len()));
            for record in &self.arena.gathered[first..] {
                self.sums.calls += record.case.calls();
                *self.sums.phases.entry(record.case.phase.as_str()).or_default() += 1;
                for step in &record.case.steps {
                    self.sums.digest = digest(self.sums.digest, step);
                }
                if let Some(covers) = record.case.covers.as_ref().filter(|_| !record.is_unanswered()) {
                    self.covered.insert(covers.clone());
                }
                self.feedback.learn(record, self.campaign.options.guided);
            }
            (self.on_event)(CampaignEvent::Progress(self.progress(phase)));
            let enough = if self.connector.transport().is_http() {
                FEW
            } else {
                MANY
            };
            if self.arena.gathered.len() >= enough || self.arena.is_heavy() {
                self.look().await;
            }
            if batch.lost {
                self.settle().await;
                self.sums.restarts += 1;
                let parked: BTreeSet<String> = self
                    .deaths
                    .iter()
                    .filter(|(_, deaths)| **deaths >= MOST_DEATHS)
                    .map(|(subject, _)| subject.clone())
                    .collect();
                let before = rest.len();
                let mut left_out: Vec<String> = Vec::new();
                rest.retain(|case| {
                    let keep = !parked.contains(&case.subject);
                    if !keep {
                        left_out.push(case.subject.clone());
                    }
                    keep
                });
                if rest.len() < before {
                    for subject in left_out {
                        *self.sums.parked.entry(subject).or_default() += 1;
                    }
                }
            }
        }
    }

    /// Ends what is left of the session, and judges how it ended.
    async fn end_session(&mut self) {
        self.settle().await;
        if let Some(trace) = self.arena.end().await {
            self.look_at_end(Window {
                trace,
                records: Vec::new(),
                start: 0,
            })
            .await;
        }
    }

    /// Ends what is left of the session and opens another one.
    pub(super) async fn restart(&mut self) -> bool {
        self.end_session().await;
        for attempt in 1..=MOST_STARTS {
            match self.arena.open().await {
                Ok(_) => return true,
                Err(error) if attempt == MOST_STARTS => {
                    self.ended = Some(format!("the server could not be started again: {error}"));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
        false
    }

    fn progress(&self, phase: Phase) -> Progress {
        Progress {
            phase,
            calls: self.sums.calls,
            elapsed: self.began.elapsed(),
            findings: self.ledger.weighty(),
            covered: self.covered.len(),
            constraints: self.sums.constraints,
        }
    }

    /// Sends what was found before.
    async fn regressions(&mut self) {
        let Some(folder) = self
            .options()
            .corpus
            .clone()
            .filter(|_| self.options().phases.contains(&Phase::Regressions))
        else {
            return;
        };
        let stored = match StoredCase::read_folder(&folder) {
            Ok(stored) => stored,
            Err(error) => {
                self.ended = Some(error.to_string());
                return;
            }
        };
        let lab = self.lab();
        let revision = self.revision;
        let part = self.options().partition;
        let mine = |number: u64| part.is_none_or(|part| part.holds_number(number));
        let stored = stored.into_iter().filter(|(_, stored)| stored.revision == revision);
        for (number, (path, stored)) in (0..).zip(stored) {
            if !mine(number) {
                continue;
            }
            if self.is_over() {
                return;
            }
            let sign = Sign {
                signature: stored.signature.clone(),
                death: stored.death,
            };
            let mut replayed = Replayed { seen: 0, attempts: 0 };
            // Once seen and once more is enough to call it there.
            while replayed.attempts < ATTEMPTS && replayed.seen < 2 {
                let Some(shown) = lab.shows(&stored.cases, &sign).await else {
                    break;
                };
                replayed.attempts += 1;
                replayed.seen += u32::from(shown);
            }
            self.sums.spawns += replayed.attempts as usize;
            let file = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            if replayed.attempts == 0 {
                self.sums.regressions.insert(file, "not tried");
                continue;
            }
            let verdict = replayed.verdict();
            (self.on_event)(CampaignEvent::Regression { file: &file, verdict });
            self.sums.regressions.insert(file, verdict.as_str());
            if verdict != ReplayVerdict::Fixed {
                // What is still there is a finding of this campaign too.
                self.run(stored.cases, Phase::Regressions).await;
            }
        }
    }

    /// Ends the session, and sums up.
    pub(super) async fn finish(mut self, capabilities: &Value, server: Value) -> CampaignRun {
        self.end_session().await;
        self.sums.elapsed = self.began.elapsed();
        self.sums.covered = self.covered.len();
        self.sums.shapes = self.feedback.shapes();
        let reproductions: Vec<Reproduction> = self
            .ledger
            .entries
            .values()
            .filter_map(|entry| entry.reproduction.clone())
            .collect();
        if let Some(folder) = &self.options().corpus {
            for reproduction in &reproductions {
                let seen = matches!(
                    reproduction.reproduced,
                    Reproduced::Always(_) | Reproduced::Sometimes(..)
                );
                let sent = !reproduction.cases.is_empty()
                    && !reproduction.requirement.starts_with("fuzzing/memory")
                    && !reproduction.requirement.ends_with("-bounded");
                if seen
                    && sent
                    && let Err(error) = StoredCase::of(reproduction, self.revision).write(folder)
                {
                    self.ended.get_or_insert(error.to_string());
                }
            }
        }
        let circumstances = Circumstances {
            revision: self.revision,
            transport: self.connector.transport(),
            capabilities: capabilities.clone(),
            reasons: BTreeMap::new(),
            covered: self
                .campaign
                .catalog
                .iter()
                .map(|requirement| requirement.id.clone())
                .collect(),
            protected: false,
            blocked: None,
        };
        let judged = verdict::judge(self.campaign.catalog, &circumstances, &self.ledger.observations());
        let mut findings = judged.findings;
        // A message may quote what the server has repeated.
        let confided = self.connector.target().credentials();
        let mut server = server;
        confided.hide_in_value(&mut server);
        for finding in &mut findings {
            confided.hide_in_text(&mut finding.message);
            if let Some(entry) = self.ledger.entries.get(&finding.signature) {
                finding.occurrences = entry.count;
            }
        }
        let cases = self.phase_results(&findings);
        CampaignRun {
            transport: self.connector.transport(),
            run: RevisionRun {
                revision: self.revision,
                transport: self.connector.transport(),
                server,
                requirements: judged.requirements,
                cases,
                findings,
                traces: self.ledger.traces,
                tools: verdict::ToolCoverage::default(),
            },
            reproductions,
            sums: self.sums,
            interrupted: self.cancel.is_cancelled(),
            ended: self.ended,
            own_mistakes: self.own_mistakes,
            sessions: self.connector.sessions(),
        }
    }

    /// Each phase as a case of the record.
    fn phase_results(&self, findings: &[verdict::Finding]) -> Vec<CaseResult> {
        let of = |phase: &str| {
            let id = format!("fuzz/{phase}");
            let mine = findings.iter().filter(|finding| finding.case.as_deref() == Some(&id));
            let worst = mine.clone().map(|finding| Verdict::from(finding.severity)).max();
            CaseResult {
                title: format!("the phase {phase} of the campaign"),
                verdict: worst.unwrap_or(Verdict::Passed),
                reason: None,
                findings: mine.clone().map(|finding| finding.signature.clone()).collect(),
                messages: mine
                    .map(|finding| format!("{}: {}", finding.requirement, finding.message))
                    .collect(),
                duration_us: 0,
                trace: None,
                id,
            }
        };
        self.sums.phases.keys().map(|phase| of(phase)).collect()
    }
}

/// What was sent so far, as one number.
fn digest(before: u64, step: &Step) -> u64 {
    let mut hash = before ^ 0xcbf2_9ce4_8422_2325;
    let mut add = |bytes: &[u8]| {
        for byte in bytes.iter().chain(&[0xff]) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    match &step.what {
        What::Request { method, params, id, .. } => {
            add(method.as_bytes());
            add(params.as_deref().unwrap_or_default().as_bytes());
            add(id.as_deref().unwrap_or_default().as_bytes());
        }
        What::Notify { method, params } => {
            add(method.as_bytes());
            add(params.as_deref().unwrap_or_default().as_bytes());
        }
        What::Raw(bytes) => add(bytes),
        What::Http(message) => add(format!("{message:?}").as_bytes()),
    }
    hash
}
