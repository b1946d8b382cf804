//! A campaign from its first connection to its report.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use touchstone_core::monitor::{self, Context, Conversation};
use touchstone_core::revision::Revision;
use touchstone_core::spec::judge::Judgement;
use touchstone_core::spec::requirement::{Catalog, Severity};
use touchstone_core::spec::schema::SchemaLibrary;
use touchstone_core::trace::TransportKind;
use touchstone_core::verdict::{
    self, Breach, CaseResult, Circumstances, Observation, Outcome as Seen, RevisionRun, Score, Verdict,
};

use super::arena::{Arena, Record, Window};
use super::case::{Expect, FuzzCase, Phase, Step};
use super::corpus::StoredCase;
use super::feedback::Feedback;
use super::growth::{self, Trend};
use super::ledger::{self, Ledger, Reproduced, Reproduction, is_death};
use super::oracle::{self, CANARY};
use super::phases::{self, Random};
use super::replay::{ReplayVerdict, verdict as replay_verdict};
use super::schedule::Schedule;
use super::shrink::{self, Allowance, Lab, Sign};
use super::toolbox::Toolbox;
use crate::execute::{CallPolicy, StartError};
use crate::session::{ConnectError, Connector, ConnectorOptions, Outcome};
use crate::target::Target;

/// How long a campaign goes on. Without a limit it ends when the systematic phases do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Budget {
    /// So long at most.
    pub time: Option<Duration>,
    /// So many calls at most.
    pub count: Option<u64>,
}

/// What a campaign is to do.
#[derive(Debug, Clone)]
pub struct CampaignOptions {
    /// How long.
    pub budget: Budget,
    /// What random choices begin with.
    pub seed: u64,
    /// Which phases.
    pub phases: BTreeSet<Phase>,
    /// Only these tools; all when empty.
    pub tools: Vec<String>,
    /// Which tools may be called.
    pub call: CallPolicy,
    /// Tools that may be called whatever their annotations say.
    pub allowed_tools: BTreeSet<String>,
    /// Arguments for ordinary calls, by tool.
    pub examples: BTreeMap<String, Value>,
    /// The revision; the newest that the server speaks when `None`.
    pub revision: Option<Revision>,
    /// How connections are made.
    pub connector: ConnectorOptions,
    /// Where findings are stored, and those of before are found.
    pub corpus: Option<PathBuf>,
    /// Whether what answers look like decides what is sent next.
    pub guided: bool,
    /// How long an answer is waited for.
    pub within: Duration,
    /// Attempts to make one finding small; 0 for none.
    pub spawns: usize,
}

impl Default for CampaignOptions {
    fn default() -> Self {
        Self {
            budget: Budget::default(),
            seed: 0,
            phases: Phase::ALL.into_iter().collect(),
            tools: Vec::new(),
            call: CallPolicy::default(),
            allowed_tools: BTreeSet::new(),
            examples: BTreeMap::new(),
            revision: None,
            connector: ConnectorOptions::default(),
            corpus: None,
            guided: true,
            within: Duration::from_secs(5),
            spawns: 80,
        }
    }
}

/// How far a campaign is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// What it is mostly doing.
    pub phase: Phase,
    /// Calls so far.
    pub calls: u64,
    /// Since its beginning.
    pub elapsed: Duration,
    /// Findings that weigh.
    pub findings: usize,
    /// Constraints of schemas that were touched.
    pub covered: usize,
    /// All of them.
    pub constraints: usize,
}

/// What happens during a campaign, for displays.
#[derive(Debug, Clone)]
pub enum CampaignEvent<'a> {
    /// Some calls later.
    Progress(Progress),
    /// Something that weighs was found.
    Found {
        /// Its signature.
        signature: &'a str,
        /// What happened.
        message: &'a str,
    },
    /// A finding of before was sent again.
    Regression {
        /// The file.
        file: &'a str,
        /// What became of it.
        verdict: ReplayVerdict,
    },
}

/// Numbers of a campaign.
#[derive(Debug, Clone, Default)]
pub struct Sums {
    /// The seed.
    pub seed: u64,
    /// Calls.
    pub calls: u64,
    /// How long the calls took, without what was spent on making findings small.
    pub calling: Duration,
    /// How long everything took.
    pub elapsed: Duration,
    /// Cases by phase.
    pub phases: BTreeMap<&'static str, u64>,
    /// How often the server had to be started again.
    pub restarts: usize,
    /// Servers that were started to make findings small.
    pub spawns: usize,
    /// Constraints of schemas that were touched.
    pub covered: usize,
    /// All of them.
    pub constraints: usize,
    /// Different shapes of answers.
    pub shapes: usize,
    /// What keeps killing the server, and how many cases were left out because of that.
    pub parked: BTreeMap<String, u64>,
    /// Findings of before, by file.
    pub regressions: BTreeMap<String, &'static str>,
    /// Tools that are never called, because that was not allowed.
    pub uncalled: usize,
    /// A digest of everything that was sent: the same seed gives the same.
    pub digest: u64,
}

/// What a campaign found out.
#[derive(Debug)]
pub struct CampaignRun {
    /// The transport.
    pub transport: TransportKind,
    /// Verdicts, findings and traces.
    pub run: RevisionRun,
    /// How findings can be seen again.
    pub reproductions: Vec<Reproduction>,
    /// Numbers.
    pub sums: Sums,
    /// Whether it was interrupted.
    pub interrupted: bool,
    /// Why it ended early.
    pub ended: Option<String>,
    /// Mistakes of Touchstone itself.
    pub own_mistakes: Vec<String>,
    /// Sessions that were opened.
    pub sessions: usize,
}

/// Runs campaigns.
pub struct Campaign<'a> {
    /// The requirements.
    pub catalog: &'a Catalog,
    /// The message schemas.
    pub schemas: &'a SchemaLibrary,
    /// What to do.
    pub options: CampaignOptions,
}

/// Deaths after which the tool, or kind of message, that brings them about is left alone.
const MOST_DEATHS: u32 = 3;
/// Starts in a row that may fail.
const MOST_STARTS: usize = 3;
/// Cases of a window: as much as monitors look at together.
const WINDOW: usize = 96;
/// Longest time for one finding.
const LONGEST_SHRINK: Duration = Duration::from_secs(20);

/// A target with a planted secret.
pub(super) fn with_canary(target: &Target) -> Target {
    let mut target = target.clone();
    if let Target::Command(command) = &mut target {
        command.environment.push((CANARY.0.to_owned(), CANARY.1.to_owned()));
    }
    target
}

/// A campaign that is going on.
struct Running<'a> {
    campaign: &'a Campaign<'a>,
    connector: &'a Connector,
    revision: Revision,
    arena: Arena<'a>,
    toolbox: &'a Toolbox,
    ledger: Ledger,
    feedback: Feedback,
    sums: Sums,
    covered: BTreeSet<String>,
    deaths: BTreeMap<String, u32>,
    own_mistakes: Vec<String>,
    /// Signatures that wait to be made small.
    waiting: Vec<String>,
    /// Suspects of deaths, by signature.
    suspects: BTreeMap<String, Vec<FuzzCase>>,
    began: Instant,
    cancel: &'a CancellationToken,
    on_event: &'a dyn Fn(CampaignEvent<'_>),
    ended: Option<String>,
}

impl Campaign<'_> {
    /// Runs a campaign against a target. Must run inside a `LocalSet`.
    ///
    /// # Errors
    /// When no session can be opened.
    pub async fn run(
        &self,
        target: &Target,
        on_event: &dyn Fn(CampaignEvent<'_>),
        cancel: &CancellationToken,
    ) -> Result<CampaignRun, StartError> {
        let began = Instant::now();
        let prepared = tokio::select! {
            prepared = Connector::prepare(with_canary(target), self.options.connector.clone()) => prepared,
            () = cancel.cancelled() => return Err(StartError::Interrupted),
        };
        let connector = prepared?;
        let policy = (self.options.call.clone(), self.options.allowed_tools.clone());
        let opened = tokio::select! {
            opened = self.open(&connector, &policy) => opened,
            () = cancel.cancelled() => return Err(StartError::Interrupted),
        };
        let Opened {
            arena,
            revision,
            inventory,
            capabilities,
            server,
        } = opened?;
        let tools = inventory.coverage();
        let toolbox = Toolbox::new(
            inventory,
            capabilities.clone(),
            &self.options.tools,
            &self.options.examples,
        );
        let mut running = Running {
            campaign: self,
            connector: &connector,
            revision,
            arena,
            toolbox: &toolbox,
            ledger: Ledger::default(),
            feedback: Feedback::default(),
            sums: Sums {
                seed: self.options.seed,
                constraints: toolbox.constraints().len(),
                uncalled: toolbox.tools.iter().filter(|tool| !tool.callable).count(),
                ..Sums::default()
            },
            covered: BTreeSet::new(),
            deaths: BTreeMap::new(),
            own_mistakes: Vec::new(),
            waiting: Vec::new(),
            suspects: BTreeMap::new(),
            began,
            cancel,
            on_event,
            ended: None,
        };
        running.go().await;
        let mut result = running.finish(&capabilities, server).await;
        result.run.tools = tools;
        Ok(result)
    }

    async fn open<'c>(
        &self,
        connector: &'c Connector,
        policy: &(CallPolicy, BTreeSet<String>),
    ) -> Result<Opened<'c>, StartError> {
        let candidates: Vec<Revision> = match self.options.revision {
            Some(revision) => vec![revision],
            None => Revision::STATEFUL.into_iter().rev().collect(),
        };
        let mut refusal: Option<StartError> = None;
        for wanted in candidates {
            let mut arena = Arena::new(connector, wanted, policy.clone(), "fuzz");
            match arena.open().await {
                Ok((inventory, capabilities, server)) => {
                    let agreed = arena.revision();
                    if agreed == Some(wanted) {
                        return Ok(Opened {
                            arena,
                            revision: wanted,
                            inventory,
                            capabilities,
                            server,
                        });
                    }
                    arena.discard().await;
                    refusal.get_or_insert(StartError::Revision {
                        wanted: wanted.to_string(),
                        offered: agreed
                            .map_or_else(|| "none that Touchstone knows".to_owned(), |agreed| agreed.to_string()),
                    });
                }
                Err(ConnectError::Handshake(failure)) if failure.refused => {
                    refusal.get_or_insert(ConnectError::Handshake(failure).into());
                }
                Err(error) => return Err(refusal.unwrap_or(error.into())),
            }
        }
        Err(refusal.unwrap_or(StartError::Interrupted))
    }
}

struct Opened<'c> {
    arena: Arena<'c>,
    revision: Revision,
    inventory: crate::execute::inventory::Inventory,
    capabilities: Value,
    server: Value,
}

impl<'a> Running<'a> {
    fn options(&self) -> &'a CampaignOptions {
        &self.campaign.options
    }

    fn lab(&self) -> Lab<'a> {
        Lab {
            connector: self.connector,
            revision: self.revision,
            policy: (self.options().call.clone(), self.options().allowed_tools.clone()),
            catalog: self.campaign.catalog,
            schemas: self.campaign.schemas,
            toolbox: self.toolbox,
            within: self.options().within,
            cancel: self.cancel,
        }
    }

    /// Whether the budget is used up.
    fn is_over(&self) -> bool {
        let budget = self.options().budget;
        self.cancel.is_cancelled()
            || self.ended.is_some()
            || budget.time.is_some_and(|time| self.began.elapsed() >= time)
            || budget.count.is_some_and(|count| self.sums.calls >= count)
    }

    async fn go(&mut self) {
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
            (Phase::Metamorphic, phases::metamorphic(self.toolbox)),
        ];
        let mut growth_due = wanted.contains(&Phase::Growth);
        let mut schedule = Schedule::new(lists, wanted);
        let mut fruitless = 0;
        while !self.is_over() {
            if growth_due && schedule.is_systematic_done() {
                growth_due = false;
                self.growth().await;
                continue;
            }
            let phase = schedule.phase();
            let random = Random {
                toolbox: self.toolbox,
                feedback: &self.feedback,
                seed: self.options().seed,
                guided: self.options().guided,
                revision: self.revision,
            };
            let cases = schedule.next(&random);
            // A server without tools gives chance little to work with.
            fruitless = if cases.is_empty() { fruitless + 1 } else { 0 };
            if fruitless > 3 {
                break;
            }
            self.round(cases, phase).await;
        }
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
    async fn run(&mut self, cases: Vec<FuzzCase>, phase: Phase) {
        let mut rest = cases;
        while !rest.is_empty() && !self.cancel.is_cancelled() && self.ended.is_none() {
            if !self.arena.is_open() && !self.restart().await {
                return;
            }
            let began = Instant::now();
            let batch = rest.clone();
            let within = Some(self.options().within);
            let window = tokio::select! {
                biased;
                window = self.arena.run(batch, within) => window,
                () = self.cancel.cancelled() => return,
            };
            self.sums.calling += began.elapsed();
            let Some(window) = window else { return };
            let done = window.records.len().max(1).min(rest.len());
            rest.drain(..done);
            let lost = window.lost;
            self.take_in(window);
            (self.on_event)(CampaignEvent::Progress(self.progress(phase)));
            self.work_off().await;
            if lost {
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

    /// Ends what is left of the session and opens another one.
    async fn restart(&mut self) -> bool {
        if let Some(trace) = self.arena.end().await {
            self.take_in(Window {
                trace,
                records: Vec::new(),
                lost: false,
            });
        }
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

    /// Judges a window and remembers what matters.
    fn take_in(&mut self, mut window: Window) {
        let context = Context {
            revision: self.revision,
            schemas: self.campaign.schemas.for_revision(self.revision),
        };
        let conversation = Conversation::of(&window.trace);
        let mut found: Vec<(Observation, Option<usize>)> = Vec::new();
        for mut observation in monitor::observe(&conversation, &context) {
            let broken = matches!(observation.outcome, Seen::Broken(_));
            let record = if is_death(&observation) {
                shrink::blame(&mut observation, &window)
            } else {
                broken.then(|| shrink::culprit(&observation, &window)).flatten()
            };
            found.push((observation, record));
        }
        if self.own_mistakes.len() < 10 {
            self.own_mistakes.extend(monitor::own_mistakes(&conversation, &context));
        }
        drop(conversation);
        found.extend(
            oracle::judge(&window, self.toolbox)
                .into_iter()
                .map(|verdict| (verdict.observation, Some(verdict.record))),
        );

        let before_window = self.arena.history.len().saturating_sub(window.records.len());
        let mut keep_trace = false;
        for (observation, record) in found {
            let case = record
                .and_then(|record| window.records.get(record))
                .map(|record| record.case.clone());
            let death = is_death(&observation);
            if death {
                self.note_death(&observation, case.as_ref());
                // Chance comes to one crash on many ways: it is known already.
                if let Some(case) = case
                    .as_ref()
                    .filter(|case| matches!(case.phase, Phase::Random | Phase::Stateful))
                    && let Some(entry) = self.ledger.death_of(&case.subject)
                {
                    entry.count += 1;
                    continue;
                }
            }
            let end = record.map_or(self.arena.history.len(), |record| {
                (before_window + record + 1).min(self.arena.history.len())
            });
            // Of a death everything that was on its way may be the cause.
            let end = if death { self.arena.history.len() } else { end };
            let seen = ledger::Seen {
                case: case.as_ref(),
                before: &self.arena.history[..end],
                calls: self.sums.calls + record.map_or(0, |record| record as u64 + 1),
            };
            if let Some(signature) = self.ledger.add(self.campaign.catalog, self.revision, observation, seen) {
                keep_trace = true;
                self.new_entry(&signature, death, &window.records);
            }
        }
        for record in &window.records {
            self.sums.calls += record.case.calls();
            *self.sums.phases.entry(record.case.phase.as_str()).or_default() += 1;
            if let Some(covers) = record.case.covers.as_ref().filter(|_| !record.is_unanswered()) {
                self.covered.insert(covers.clone());
            }
            for step in &record.case.steps {
                self.sums.digest = digest(self.sums.digest, step);
            }
            self.feedback.learn(record, self.campaign.options.guided);
        }
        if keep_trace {
            self.ledger.keep(std::mem::replace(
                &mut window.trace,
                touchstone_core::trace::Trace::new("", TransportKind::Stdio),
            ));
        }
    }

    fn note_death(&mut self, observation: &Observation, case: Option<&FuzzCase>) {
        let about = match &observation.outcome {
            Seen::Broken(breach) => breach.about.clone(),
            Seen::Kept(_) => None,
        };
        if let Some(subject) = case.map(|case| case.subject.clone()).or(about) {
            *self.deaths.entry(subject).or_default() += 1;
        }
    }

    /// Decides what becomes of something that was not known before.
    fn new_entry(&mut self, signature: &str, death: bool, records: &[Record]) {
        let Some(entry) = self.ledger.entries.get(signature) else {
            return;
        };
        if entry.severity == Severity::Info {
            return;
        }
        let message = match &entry.observation.outcome {
            Seen::Broken(breach) => breach.message.clone(),
            Seen::Kept(_) => String::new(),
        };
        (self.on_event)(CampaignEvent::Found {
            signature,
            message: &message,
        });
        let mut suspects: Vec<FuzzCase> = entry.case.clone().into_iter().collect();
        if death {
            let others = records
                .iter()
                .filter(|record| record.is_unanswered())
                .map(|record| record.case.clone());
            suspects.extend(others.filter(|case| Some(case) != entry.case.as_ref()).take(5));
        }
        self.suspects.insert(signature.to_owned(), suspects);
        self.waiting.push(signature.to_owned());
    }

    /// Makes small what was found last.
    async fn work_off(&mut self) {
        while let Some(signature) = self.waiting.pop() {
            let Some(entry) = self.ledger.entries.get(&signature) else {
                continue;
            };
            let suspects = self.suspects.remove(&signature).unwrap_or_default();
            let sign = Sign {
                signature: signature.clone(),
                death: entry.death,
            };
            let first_call = entry.first_call;
            let before: Vec<FuzzCase> = entry.before.clone();
            let calls_before = before.iter().map(FuzzCase::calls).sum::<u64>().max(1);
            let left = self
                .options()
                .budget
                .time
                .map(|time| time.saturating_sub(self.began.elapsed()) / 2);
            let time = left
                .map_or(LONGEST_SHRINK, |left| left.min(LONGEST_SHRINK))
                .max(Duration::from_secs(2));
            let small =
                if self.options().spawns == 0 || self.cancel.is_cancelled() || suspects.is_empty() && before.is_empty()
                {
                    let reason = if suspects.is_empty() {
                        "no message of the campaign brings it about"
                    } else {
                        "no attempts were allowed"
                    };
                    shrink::Smallest {
                        cases: suspects.into_iter().take(1).collect(),
                        reproduced: Reproduced::NotTried(reason.to_owned()),
                        spawns: 0,
                    }
                } else {
                    let allowance = Allowance {
                        spawns: self.options().spawns,
                        time,
                    };
                    self.lab().shrink(&sign, &suspects, &before, allowance).await
                };
            self.sums.spawns += small.spawns;
            let Some(entry) = self.ledger.entries.get_mut(&signature) else {
                continue;
            };
            entry.before = Vec::new();
            entry.reproduction = Some(Reproduction {
                signature,
                requirement: entry.observation.requirement.clone(),
                message: match &entry.observation.outcome {
                    Seen::Broken(breach) => breach.message.clone(),
                    Seen::Kept(_) => String::new(),
                },
                severity: entry.severity,
                death: entry.death,
                seed: self.campaign.options.seed,
                first_call,
                calls_before,
                cases: small.cases,
                reproduced: small.reproduced,
                spawns: small.spawns,
            });
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
        for (path, stored) in stored.into_iter().filter(|(_, stored)| stored.revision == revision) {
            if self.is_over() {
                return;
            }
            let sign = Sign {
                signature: stored.signature.clone(),
                death: stored.death,
            };
            let mut seen = 0;
            let mut attempts = 0;
            while attempts < 3 {
                attempts += 1;
                match lab.shows(&stored.cases, &sign).await {
                    Some(true) => seen += 1,
                    Some(false) if attempts == 1 => {}
                    Some(false) => {}
                    None => break,
                }
                // Once seen and once more is enough to call it there.
                if seen == 2 {
                    break;
                }
            }
            self.sums.spawns += attempts as usize;
            let verdict = replay_verdict(seen, if seen == 2 && attempts == 2 { 2 } else { attempts });
            let file = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            (self.on_event)(CampaignEvent::Regression { file: &file, verdict });
            self.sums.regressions.insert(file, verdict.as_str());
            if verdict != ReplayVerdict::Fixed {
                // What is still there is a finding of this campaign too.
                self.run(stored.cases, Phase::Regressions).await;
            }
        }
    }

    /// Calls the same tool again and again while memory and handles are watched, and with longer and longer texts.
    async fn growth(&mut self) {
        let tools: Vec<String> = self
            .toolbox
            .callable()
            .filter(|tool| tool.read_only && tool.simplest.is_some())
            .map(|tool| tool.name.clone())
            .take(12)
            .collect();
        for name in &tools {
            if self.is_over() {
                return;
            }
            let first = self.watch(name).await;
            if matches!(first, Trend::Memory | Trend::Handles) {
                // Another process must grow as well.
                if !self.restart().await {
                    return;
                }
                if self.watch(name).await == first {
                    self.tell_growth(name, first);
                }
            }
        }
        for name in &tools {
            if self.is_over() {
                return;
            }
            self.ladder(name).await;
        }
    }

    async fn watch(&mut self, name: &str) -> Trend {
        let Some(value) = self.toolbox.tool(name).and_then(|tool| tool.simplest.clone()) else {
            return Trend::Steady;
        };
        let mut samples = Vec::new();
        for round in 0..growth::WARM_UP + growth::MOST {
            let case = || {
                let mut case = FuzzCase::of(Phase::Growth, "the same call again and again", Step::call(name, &value));
                case.independent = true;
                case
            };
            if self.is_over() {
                return Trend::Steady;
            }
            self.run((0..growth::CALLS).map(|_| case()).collect(), Phase::Growth)
                .await;
            if !self.arena.is_open() {
                return Trend::Steady;
            }
            let Some(usage) = self.arena.pid().and_then(growth::usage) else {
                return Trend::Steady;
            };
            if round + 1 >= growth::WARM_UP {
                samples.push(usage);
            }
            match growth::trend(&samples) {
                Trend::Open => {}
                decided => return decided,
            }
        }
        Trend::Steady
    }

    fn tell_growth(&mut self, name: &str, trend: Trend) {
        let (requirement, what) = match trend {
            Trend::Memory => ("fuzzing/memory-bounded", "memory"),
            _ => ("fuzzing/handles-bounded", "the number of open handles"),
        };
        let message =
            format!("{what} grows with every call of the tool {name}, on two servers, and does not come down again");
        self.tell(requirement, name, message);
    }

    /// Takes in a finding that no window shows.
    fn tell(&mut self, requirement: &str, about: &str, message: String) {
        let Some(value) = self.toolbox.tool(about).and_then(|tool| tool.simplest.clone()) else {
            return;
        };
        let case = FuzzCase::of(
            Phase::Growth,
            "the same call again and again",
            Step::call(about, &value),
        );
        let observation = Observation {
            requirement: requirement.to_owned(),
            outcome: Seen::Broken(Breach {
                message: message.clone(),
                about: Some(about.to_owned()),
                at_most: Severity::Fail,
                score: Score::Conformance,
            }),
            case: Some("fuzz/growth".to_owned()),
            evidence: Vec::new(),
        };
        let seen = ledger::Seen {
            case: Some(&case),
            before: &[],
            calls: self.sums.calls,
        };
        if let Some(signature) = self.ledger.add(self.campaign.catalog, self.revision, observation, seen) {
            (self.on_event)(CampaignEvent::Found {
                signature: &signature,
                message: &message,
            });
            if let Some(entry) = self.ledger.entries.get_mut(&signature) {
                entry.reproduction = Some(Reproduction {
                    signature,
                    requirement: requirement.to_owned(),
                    message,
                    severity: entry.severity,
                    death: false,
                    seed: self.campaign.options.seed,
                    first_call: self.sums.calls,
                    calls_before: 1,
                    cases: vec![case],
                    reproduced: Reproduced::Always(2),
                    spawns: 1,
                });
            }
        }
    }

    /// The time for texts of growing length.
    async fn ladder(&mut self, name: &str) {
        const LENGTHS: [usize; 4] = [4_000, 8_000, 16_000, 32_000];
        let Some(tool) = self.toolbox.tool(name) else { return };
        let Some(Value::Object(base)) = tool.fullest.clone() else {
            return;
        };
        let texts: Vec<String> = base
            .iter()
            .filter(|(_, value)| value.is_string())
            .map(|(name, _)| name.clone())
            .take(2)
            .collect();
        for member in texts {
            let with = |length: usize| {
                let mut changed = base.clone();
                // A repeated letter with an odd end is what patterns stumble over.
                changed.insert(member.clone(), json!(format!("{}!", "a".repeat(length - 1))));
                Value::Object(changed)
            };
            if tool.judge(&with(LENGTHS[3])) != Some(Judgement::Valid) {
                continue;
            }
            let mut suspicious = true;
            for _ in 0..2 {
                let mut times = Vec::new();
                for length in LENGTHS {
                    if self.is_over() {
                        return;
                    }
                    times.push(self.time_of(name, &with(length)).await);
                }
                let (Some(Some(first)), Some(Some(last))) = (times.first(), times.last()) else {
                    return;
                };
                suspicious &= *last >= Duration::from_millis(300) && *last >= *first * 24;
                if !suspicious {
                    break;
                }
            }
            if suspicious {
                let message = format!("the tool {name} takes far longer than in proportion for longer texts");
                self.tell("fuzzing/latency-bounded", name, message);
            }
        }
    }

    /// How long one call takes, the better of two.
    async fn time_of(&mut self, name: &str, arguments: &Value) -> Option<Duration> {
        let mut best: Option<Duration> = None;
        for _ in 0..2 {
            if !self.arena.is_open() {
                return None;
            }
            let mut case = FuzzCase::of(Phase::Growth, "a text of growing length", Step::call(name, arguments));
            case.expect = Expect::Arguments {
                explicit: false,
                coercible: false,
            };
            let window = self.arena.run(vec![case], Some(self.options().within)).await?;
            let record = window.records.first()?;
            let answered = record
                .answers
                .iter()
                .flatten()
                .all(|answer| !matches!(answer.outcome, Outcome::Silence | Outcome::Closed));
            let took = record.took;
            self.take_in(window);
            self.work_off().await;
            if !answered {
                return None;
            }
            best = Some(best.map_or(took, |best| best.min(took)));
        }
        best
    }

    /// Ends the session, and sums up.
    async fn finish(mut self, capabilities: &Value, server: Value) -> CampaignRun {
        if let Some(trace) = self.arena.end().await {
            self.take_in(Window {
                trace,
                records: Vec::new(),
                lost: false,
            });
        }
        self.work_off().await;
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
        for finding in &mut findings {
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
                title: format!(
                    "{} cases of the phase {phase}",
                    self.sums.phases.get(phase).copied().unwrap_or(0)
                ),
                verdict: worst.unwrap_or(Verdict::Passed),
                reason: None,
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
    let text = format!("{:?}", step.what);
    text.bytes().fold(before ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
