//! From a target to verdicts: finds the revisions, opens sessions, runs cases side by side, and judges what was recorded.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use touchstone_core::case::{FixtureCatalog, Suite};
use touchstone_core::coverage::Coverage;
use touchstone_core::monitor::{self, Context, Conversation};
use touchstone_core::revision::Revision;
use touchstone_core::spec::requirement::Catalog;
use touchstone_core::spec::schema::SchemaLibrary;
use touchstone_core::trace::{Trace, TransportKind};
use touchstone_core::verdict::{
    self, CaseResult, Circumstances, Observation, Outcome, RevisionRun, ToolCoverage, Verdict,
};

use super::fixture::Fixtures;
use super::halt::{Halt, Patience};
use super::inventory::{CallPolicy, Inventory};
use super::lane::{Finished, Lane, Shared, run_alone};
use super::locked::{Access, Locked};
use super::plan::{CaseFilter, Plan, Planned, Surroundings};
use super::protection::Protection;
use crate::credentials::Credentials;
use crate::session::{ClientIdentity, ConnectError, Connector, ConnectorOptions, Session};
use crate::target::Target;
use crate::transport::DetectError;

/// Fewest cases that run at the same time unless the user says otherwise: a case mostly waits, so that one processor serves several.
const JOBS: usize = 4;

/// Cases for which another shared session is worth its start.
const CASES_PER_LANE: usize = 20;

/// Most shared sessions: each costs a start, which for an interpreter is a second of work.
const MOST_LANES: usize = 2;

/// Which revisions are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Selection {
    /// The newest that the server speaks.
    #[default]
    Newest,
    /// Every one that it speaks.
    All,
    /// One.
    Only(Revision),
}

/// What a run is to do.
#[derive(Debug, Clone, Default)]
pub struct EngineOptions {
    /// Which revisions are judged.
    pub selection: Selection,
    /// Which cases are run.
    pub filter: CaseFilter,
    /// Which tools may be called with valid arguments.
    pub call: CallPolicy,
    /// Tools that may be called whatever their annotations say.
    pub allowed_tools: BTreeSet<String>,
    /// The user's own fixtures, which come before those that are known by their names.
    pub fixtures: FixtureCatalog,
    /// Cases that run at the same time; 0 for as many as there are processors, and at least four.
    pub jobs: usize,
    /// Longest time for a target; what is not done by then is not exercised.
    pub time_limit: Option<Duration>,
    /// How connections are made.
    pub connector: ConnectorOptions,
    /// Tokens beside the one that the target's header fields carry.
    pub credentials: Credentials,
    /// Arguments for valid calls, by tool, instead of generated ones.
    pub examples: BTreeMap<String, Value>,
}

/// What happens during a run, for progress displays.
#[derive(Debug, Clone)]
pub enum RunEvent<'a> {
    /// A revision was agreed on, and this many cases will run in it.
    Revision {
        /// The revision.
        revision: Revision,
        /// Cases that will run.
        cases: usize,
    },
    /// A case is done. Its verdict is known only when the monitors have judged the trace.
    Case {
        /// The revision.
        revision: Revision,
        /// The case.
        id: &'a str,
    },
}

/// Why nothing could be judged.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No connection was possible, or the server never answered.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server speaks none of the wanted revisions.
    #[error("the server does not speak revision {wanted}; it offers {offered}")]
    Revision {
        /// What was asked for.
        wanted: String,
        /// What the server answered with.
        offered: String,
    },
    /// The time for the run was over before anything was learnt.
    #[error("the time for the run, {0:?}, was over before the server had answered")]
    OutOfTime(Duration),
    /// The run was interrupted before anything was learnt.
    #[error("interrupted before the server had answered")]
    Interrupted,
}

/// What was found out about a target.
#[derive(Debug)]
pub struct TargetRun {
    /// The transport that was used.
    pub transport: TransportKind,
    /// Revisions that the server agreed to, of those that were asked for.
    pub offered: Vec<Revision>,
    /// One for each judged revision, newest first.
    pub runs: Vec<RevisionRun>,
    /// Whether the run was interrupted or out of time, so that cases are missing.
    pub interrupted: bool,
    /// The time that the run was given, when it was over before the run was.
    pub out_of_time: Option<Duration>,
    /// Mistakes of Touchstone itself.
    pub own_mistakes: Vec<String>,
    /// Server processes or HTTP sessions that were opened.
    pub sessions: usize,
    /// Why only authorization could be judged, when that is so.
    pub locked: Option<Locked>,
}

/// Runs suites against targets.
pub struct Engine<'a> {
    /// The requirements.
    pub catalog: &'a Catalog,
    /// The message schemas.
    pub schemas: &'a SchemaLibrary,
    /// The cases.
    pub suite: &'a Suite,
    /// What to do.
    pub options: EngineOptions,
}

/// A session that was opened while looking for revisions, and serves as the shared one of its revision.
struct Opened {
    revision: Revision,
    session: Session,
}

/// What cases of a revision start from.
pub(super) struct Stage {
    pub revision: Revision,
    pub session: Option<Session>,
    pub capabilities: Value,
    pub server: Value,
    pub inventory: Rc<Inventory>,
}

impl Engine<'_> {
    /// Judges a target. Must run inside a `LocalSet`.
    ///
    /// # Errors
    /// When no session can be opened, so that there is nothing to judge.
    pub async fn run(
        &self,
        target: &Target,
        on_event: &dyn Fn(RunEvent<'_>),
        user: &CancellationToken,
    ) -> Result<TargetRun, StartError> {
        let halt = Halt::new(user, self.options.time_limit);
        let cancel = &halt;
        let mut credentials = self.options.credentials.clone();
        if let Target::Url(url) = target {
            credentials.valid = url.token().or(credentials.valid);
        }
        credentials.confidences.extend(target.confidences());
        let options = ConnectorOptions {
            secrets: credentials.secrets(),
            ..self.options.connector.clone()
        };
        let prepared = tokio::select! {
            prepared = Connector::prepare(target.clone(), options.clone()) => prepared,
            () = cancel.cancelled() => return Err(stopped(cancel)),
        };
        let mut access = Access {
            protection: Protection::default(),
            credentials,
        };
        let connector = match prepared {
            Ok(connector) => {
                access.protection = tokio::select! {
                    protection = self.protection(target, &connector, &access.credentials) => protection,
                    () = cancel.cancelled() => return Err(stopped(cancel)),
                };
                connector
            }
            Err(refusal @ ConnectError::Detect(DetectError::NeedsCredentials { .. })) => {
                let refusal = refusal.into();
                return self
                    .run_locked_out(target, options, access, refusal, on_event, cancel)
                    .await;
            }
            Err(error) => return Err(error.into()),
        };
        let opened = tokio::select! {
            opened = self.find_revisions(&connector) => opened,
            () = cancel.cancelled() => return Err(stopped(cancel)),
        };
        let opened = match opened {
            // The transport was given, so nobody has asked before.
            Err(refusal @ StartError::Connect(ConnectError::Handshake(_))) if access.protection.oauth => {
                return self
                    .run_locked_out(target, options, access, refusal, on_event, cancel)
                    .await;
            }
            opened => opened?,
        };
        let access = &access;
        let jobs = match self.options.jobs {
            0 => std::thread::available_parallelism().map_or(JOBS, |processors| processors.get().max(JOBS)),
            jobs => jobs,
        };
        let turns = Semaphore::new(jobs);
        let offered = opened.iter().map(|opened| opened.revision).collect();
        let own_mistakes = Cell::new(Vec::new());
        let revisions = opened.into_iter().map(|opened| {
            let (connector, turns, own_mistakes) = (&connector, &turns, &own_mistakes);
            async move {
                let (run, mut mistakes) = self
                    .judge_revision(connector, access, opened, turns, on_event, cancel)
                    .await;
                let mut all = own_mistakes.take();
                all.append(&mut mistakes);
                own_mistakes.set(all);
                run
            }
        });
        let runs = futures_util::future::join_all(revisions).await;
        connector.dismiss_spares();
        Ok(TargetRun {
            transport: connector.transport(),
            offered,
            runs,
            interrupted: cancel.is_cancelled(),
            out_of_time: cancel.out_of_time(),
            own_mistakes: own_mistakes.take(),
            sessions: connector.sessions(),
            locked: None,
        })
    }

    /// Opens one session for each revision to be judged, newest first.
    async fn find_revisions(&self, connector: &Connector) -> Result<Vec<Opened>, StartError> {
        match self.options.selection {
            Selection::Only(wanted) => {
                let opened = open(connector, wanted).await?;
                if opened.revision == Some(wanted) {
                    return Ok(vec![Opened {
                        revision: wanted,
                        session: opened.session,
                    }]);
                }
                let mut session = opened.session;
                connector.end(&mut session).await;
                Err(StartError::Revision {
                    wanted: wanted.to_string(),
                    offered: opened.version,
                })
            }
            Selection::Newest => {
                let mut refusal = None;
                for wanted in Revision::STATEFUL.into_iter().rev() {
                    match open(connector, wanted).await {
                        Ok(Candidate {
                            revision: Some(revision),
                            session,
                            ..
                        }) => return Ok(vec![Opened { revision, session }]),
                        Ok(Candidate {
                            version, mut session, ..
                        }) => {
                            connector.end(&mut session).await;
                            refusal.get_or_insert(StartError::Revision {
                                wanted: wanted.to_string(),
                                offered: version,
                            });
                        }
                        // A server that refuses a version with an error may accept an older one; anything else ends the search.
                        Err(ConnectError::Handshake(failure)) if failure.refused && wanted != Revision::V2024_11_05 => {
                        }
                        Err(error) => return Err(refusal.unwrap_or(error.into())),
                    }
                }
                Err(refusal.unwrap_or(StartError::Revision {
                    wanted: "newest".to_owned(),
                    offered: "none".to_owned(),
                }))
            }
            Selection::All => {
                let candidates = Revision::STATEFUL.into_iter().rev();
                let results: Vec<_> = stream::iter(candidates)
                    .map(|wanted| async move { (wanted, open(connector, wanted).await) })
                    .buffered(2)
                    .collect()
                    .await;
                let mut found = Vec::new();
                let mut failure = None;
                for (wanted, result) in results {
                    match result {
                        Ok(Candidate {
                            revision: Some(revision),
                            session,
                            ..
                        }) if revision == wanted => {
                            found.push(Opened { revision, session });
                        }
                        Ok(Candidate {
                            mut session, version, ..
                        }) => {
                            connector.end(&mut session).await;
                            failure.get_or_insert(StartError::Revision {
                                wanted: wanted.to_string(),
                                offered: version,
                            });
                        }
                        Err(error) => {
                            failure.get_or_insert(error.into());
                        }
                    }
                }
                if found.is_empty() {
                    return Err(failure.unwrap_or(StartError::Revision {
                        wanted: "all".to_owned(),
                        offered: "none".to_owned(),
                    }));
                }
                Ok(found)
            }
        }
    }

    /// Runs all cases of a revision and judges what was recorded.
    async fn judge_revision(
        &self,
        connector: &Connector,
        access: &Access,
        opened: Opened,
        turns: &Semaphore,
        on_event: &dyn Fn(RunEvent<'_>),
        cancel: &Halt,
    ) -> (RevisionRun, Vec<String>) {
        let Opened { revision, mut session } = opened;
        let opening = session.opening().cloned().unwrap_or_default();
        connector.note_answer();
        let inventory = tokio::select! {
            inventory = Inventory::take(&mut session, &self.options.call, &self.options.allowed_tools) => inventory,
            () = cancel.cancelled() => Inventory::default(),
        };
        let inventory = Rc::new(inventory);
        let stage = Stage {
            revision,
            session: Some(session),
            capabilities: opening.capabilities,
            server: opening.server,
            inventory,
        };
        self.run_cases(connector, access, stage, turns, on_event, cancel).await
    }

    /// Runs the cases that make sense, and judges what was recorded.
    pub(super) async fn run_cases(
        &self,
        connector: &Connector,
        access: &Access,
        stage: Stage,
        turns: &Semaphore,
        on_event: &dyn Fn(RunEvent<'_>),
        cancel: &Halt,
    ) -> (RevisionRun, Vec<String>) {
        let Stage {
            revision,
            mut session,
            capabilities,
            server,
            inventory,
        } = stage;
        let known = [&self.options.fixtures, &self.suite.fixtures];
        let fixtures = Fixtures::find(&known, revision, &inventory);
        let surroundings = Surroundings {
            transport: connector.transport(),
            capabilities: &capabilities,
            inventory: &inventory,
            spawned: connector.spawns(),
            named_host: matches!(connector.target(), Target::Url(url) if url.url.domain().is_some()),
            protection: &access.protection,
            credentials: &access.credentials,
            fixtures: &fixtures,
            address: session.as_mut().and_then(|session| session.connection().address()),
        };
        let plan = Plan::make(self.suite, self.catalog, revision, &self.options.filter, &surroundings);
        on_event(RunEvent::Revision {
            revision,
            cases: plan.run.len(),
        });

        let shared = Shared {
            connector,
            catalog: self.catalog,
            revision,
            inventory: Rc::clone(&inventory),
            surroundings: &surroundings,
            credentials: &access.credentials,
            examples: &self.options.examples,
            fixtures: fixtures.bindings(),
            halt: cancel,
        };
        let (alone, together): (Vec<Planned<'_>>, Vec<Planned<'_>>) =
            plan.run.iter().partition(|planned| planned.case.wants_own_session());
        let (rough, gentle): (Vec<Planned<'_>>, Vec<Planned<'_>>) = together
            .into_iter()
            .partition(|planned| planned.case.input == touchstone_core::case::Input::Illegal);

        let lanes = (gentle.len() / CASES_PER_LANE).clamp(1, MOST_LANES);
        // One for each case of its own and for each lane that has no session yet.
        connector.expect_sessions(alone.len() + lanes - 1 + usize::from(!rough.is_empty()));
        let on_done = |id: &str| on_event(RunEvent::Case { revision, id });
        let gentle = run_lanes(&shared, session, dealt(gentle, lanes), turns, cancel, &on_done);
        let rough = run_lane(
            Lane::new(&shared, "rough".to_owned(), None),
            rough,
            turns,
            cancel,
            &on_done,
        );
        let patience = Patience::default();
        let alone = async {
            let runs = alone.into_iter().map(|planned| {
                let (shared, on_done, patience) = (&shared, &on_done, &patience);
                async move {
                    let Ok(_turn) = turns.acquire().await else {
                        return (interrupted(planned, cancel), Vec::new());
                    };
                    let done = match patience.worn_out() {
                        Some(reason) => (Finished::not_run(planned, reason), Vec::new()),
                        None => run_alone(shared, planned, patience).await,
                    };
                    on_done(&planned.id());
                    done
                }
            });
            let done: Vec<_> = futures_util::future::join_all(runs).await;
            done.into_iter().unzip::<_, _, Vec<_>, Vec<Vec<Trace>>>()
        };
        let ((gentle, gentle_traces), (rough, rough_traces), (alone, alone_traces)) =
            tokio::join!(gentle, rough, alone);

        let mut traces: Vec<Trace> = gentle_traces;
        traces.extend(rough_traces);
        traces.extend(alone_traces.into_iter().flatten());
        let finished: Vec<Finished<'_>> = gentle.into_iter().chain(rough).chain(alone).collect();
        self.sum_up(
            connector,
            access,
            revision,
            &capabilities,
            server,
            &inventory,
            plan,
            finished,
            traces,
        )
    }

    /// Judges the traces and puts everything together.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one record, each produced elsewhere"
    )]
    fn sum_up(
        &self,
        connector: &Connector,
        access: &Access,
        revision: Revision,
        capabilities: &Value,
        server: Value,
        inventory: &Inventory,
        plan: Plan<'_>,
        finished: Vec<Finished<'_>>,
        traces: Vec<Trace>,
    ) -> (RevisionRun, Vec<String>) {
        let mut server = server;
        access.credentials.hide_in_value(&mut server);
        let mut finished = finished;
        for case in &mut finished {
            let texts = case
                .report
                .stopped
                .iter_mut()
                .chain(case.report.unexercised.values_mut());
            texts.for_each(|text| access.credentials.hide_in_text(text));
        }
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
        own_mistakes.extend(finished.iter_mut().filter_map(|case| case.own_mistake.take()));
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
        let judged = verdict::judge(self.catalog, &circumstances, &observations);
        let broken = self.broken_by_case(revision, &observations);
        let mut cases: Vec<CaseResult> = finished.iter().map(|case| case_result(case, &broken)).collect();
        cases.extend(plan.skipped.into_iter().map(|skipped| CaseResult {
            id: skipped.planned.id(),
            title: skipped.planned.case.title.clone(),
            verdict: Verdict::NotApplicable,
            reason: Some(skipped.reason),
            messages: Vec::new(),
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
    ) -> BTreeMap<&'o str, Vec<(Verdict, &'o str, &'o str)>> {
        let mut broken: BTreeMap<&str, Vec<(Verdict, &str, &str)>> = BTreeMap::new();
        for observation in observations {
            let (Outcome::Broken(breach), Some(case)) = (&observation.outcome, observation.case.as_deref()) else {
                continue;
            };
            let Some(requirement) = self.catalog.get(&observation.requirement) else {
                continue;
            };
            if requirement.level(revision).is_some() {
                let severity = verdict::severity_of(requirement, revision, breach);
                broken
                    .entry(case)
                    .or_default()
                    .push((severity.into(), &observation.requirement, &breach.message));
            }
        }
        for messages in broken.values_mut() {
            messages.sort_by_key(|(verdict, ..)| std::cmp::Reverse(*verdict));
        }
        broken
    }
}

/// A session that answered the opening request.
struct Candidate {
    revision: Option<Revision>,
    version: String,
    session: Session,
}

async fn open(connector: &Connector, revision: Revision) -> Result<Candidate, ConnectError> {
    let name = format!("{revision}/shared");
    let mut session = connector
        .session(&name, revision, ClientIdentity::touchstone(revision))
        .await?;
    match session.open().await {
        Ok(opening) => Ok(Candidate {
            revision: opening.revision,
            version: opening.version,
            session,
        }),
        Err(problem) => Err(connector.failed_handshake(session, problem).await),
    }
}

/// The cases dealt out like cards: which session a case runs on must not depend on how fast the others were.
fn dealt(cases: Vec<Planned<'_>>, lanes: usize) -> Vec<Vec<Planned<'_>>> {
    let mut hands: Vec<Vec<Planned<'_>>> = vec![Vec::new(); lanes];
    for (at, planned) in cases.into_iter().enumerate() {
        hands[at % lanes].push(planned);
    }
    hands
}

/// Runs each hand of cases on a session of its own; the first goes on with the one that is open.
async fn run_lanes<'a>(
    shared: &'a Shared<'a>,
    mut session: Option<Session>,
    hands: Vec<Vec<Planned<'a>>>,
    turns: &Semaphore,
    cancel: &Halt,
    on_done: &dyn Fn(&str),
) -> (Vec<Finished<'a>>, Vec<Trace>) {
    let lanes = hands.into_iter().enumerate().map(|(at, hand)| {
        let name = match at {
            0 => "shared".to_owned(),
            _ => format!("shared-{}", at + 1),
        };
        run_lane(Lane::new(shared, name, session.take()), hand, turns, cancel, on_done)
    });
    let done = futures_util::future::join_all(lanes).await;
    let (finished, traces): (Vec<_>, Vec<_>) = done.into_iter().unzip();
    (
        finished.into_iter().flatten().collect(),
        traces.into_iter().flatten().collect(),
    )
}

/// Runs cases one after the other on a lane, then ends it.
async fn run_lane<'a>(
    mut lane: Lane<'a>,
    cases: Vec<Planned<'a>>,
    turns: &Semaphore,
    cancel: &Halt,
    on_done: &dyn Fn(&str),
) -> (Vec<Finished<'a>>, Vec<Trace>) {
    let mut finished = Vec::new();
    let mut report_traces = Vec::new();
    for planned in cases {
        let Ok(_turn) = turns.acquire().await else { break };
        let mut done = tokio::select! {
            biased;
            () = cancel.cancelled() => interrupted(planned, cancel),
            done = lane.run(planned) => done,
        };
        report_traces.append(&mut done.report.traces);
        on_done(&planned.id());
        finished.push(done);
    }
    let mut traces = lane.close().await;
    traces.append(&mut report_traces);
    (finished, traces)
}

fn interrupted<'a>(planned: Planned<'a>, halt: &Halt) -> Finished<'a> {
    Finished::not_run(planned, halt.reason())
}

/// Why there is no run at all.
fn stopped(halt: &Halt) -> StartError {
    halt.out_of_time()
        .map_or(StartError::Interrupted, StartError::OutOfTime)
}

fn case_result(case: &Finished<'_>, broken: &BTreeMap<&str, Vec<(Verdict, &str, &str)>>) -> CaseResult {
    let id = case.planned.id();
    let broken = broken.get(id.as_str()).map_or(&[][..], Vec::as_slice);
    let kept = case
        .report
        .observations
        .iter()
        .any(|observation| matches!(observation.outcome, Outcome::Kept(_)));
    let worst = broken.first().map(|(verdict, ..)| *verdict);
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
            .map(|(verdict, requirement, message)| format!("{} {requirement}: {message}", verdict.as_str()))
            .collect(),
        duration_us: case.duration_us,
        trace: case.trace.clone(),
    }
}
