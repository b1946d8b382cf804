//! From a target to verdicts: finds the revisions, opens sessions, runs cases side by side, and judges what was recorded.

use std::cell::{Cell, OnceCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use touchstone_core::case::{FixtureCatalog, Suite};
use touchstone_core::coverage::Coverage;
use touchstone_core::revision::Revision;
use touchstone_core::spec::requirement::Catalog;
use touchstone_core::spec::schema::SchemaLibrary;
use touchstone_core::trace::{Trace, TransportKind};
use touchstone_core::verdict::RevisionRun;

use super::eras::{self, EraReport, Opened};
use super::fixture::Fixtures;
use super::halt::{Halt, Patience};
use super::inventory::{CallPolicy, Inventory};
use super::lane::{Finished, Lane, Shared, run_alone};
use super::locked::{Access, Locked};
use super::plan::{CaseFilter, Plan, Planned, Surroundings};
use super::protection::Protection;
use crate::credentials::Credentials;
use crate::session::{ConnectError, Connector, ConnectorOptions, Session};
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
    /// The newest of each era that the server speaks.
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
    /// Which revisions each era was found to have, and by what.
    pub eras: Vec<EraReport>,
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
    /// What judges what, worked out when it is first needed.
    pub coverage: OnceCell<Coverage>,
}

/// What cases of a revision start from.
pub(super) struct Stage {
    pub revision: Revision,
    pub session: Option<Session>,
    /// How far an attempt came to open a session, where none could be opened.
    pub attempt: Option<Trace>,
    pub capabilities: Value,
    pub server: Value,
    /// The versions that the server lists, where the era has it list some.
    pub versions: Vec<String>,
    pub known: Known,
    pub inventory: Rc<Inventory>,
}

/// What the search for revisions tells the cases of each of them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Known {
    /// The newest revision of the handshake era that the server speaks.
    pub handshake_revision: Option<Revision>,
    /// Whether it speaks none of that era.
    pub modern_only: bool,
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
            Err(error) => {
                let credentials = access.credentials;
                return self
                    .run_unopened(target, options, credentials, error.into(), on_event, cancel)
                    .await;
            }
        };
        let opened = tokio::select! {
            opened = eras::find(&connector, self.options.selection) => opened,
            () = cancel.cancelled() => return Err(stopped(cancel)),
        };
        let mut eras = match opened {
            // The transport was given, so nobody has asked before.
            Err(refusal @ StartError::Connect(ConnectError::Handshake(_))) if access.protection.oauth => {
                return self
                    .run_locked_out(target, options, access, refusal, on_event, cancel)
                    .await;
            }
            Err(refusal) if connector.transport() == TransportKind::HttpSse => {
                let credentials = access.credentials;
                return self
                    .run_unopened(target, options, credentials, refusal, on_event, cancel)
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
        let opened = std::mem::take(&mut eras.opened);
        let left = std::mem::take(&mut eras.left);
        let offered = opened.iter().map(|opened| opened.revision).collect();
        let known = Known {
            handshake_revision: eras.handshake_revision(),
            modern_only: eras.modern_only(),
        };
        let own_mistakes = Cell::new(Vec::new());
        let revisions = opened.into_iter().map(|opened| {
            let (connector, turns, own_mistakes) = (&connector, &turns, &own_mistakes);
            async move {
                let (run, mut mistakes) = self
                    .judge_revision(connector, access, known, opened, turns, on_event, cancel)
                    .await;
                let mut all = own_mistakes.take();
                all.append(&mut mistakes);
                own_mistakes.set(all);
                run
            }
        });
        // What came to nothing is ended meanwhile.
        let end = async {
            for mut session in left {
                connector.end(&mut session).await;
            }
        };
        let (runs, ()) = tokio::join!(futures_util::future::join_all(revisions), end);
        connector.dismiss_spares();
        Ok(TargetRun {
            transport: connector.transport(),
            offered,
            runs,
            interrupted: cancel.is_cancelled(),
            out_of_time: cancel.out_of_time(),
            own_mistakes: own_mistakes.take(),
            sessions: connector.sessions(),
            eras: eras.reports,
            locked: None,
        })
    }

    /// Runs all cases of a revision and judges what was recorded.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one run, each with an owner of its own"
    )]
    async fn judge_revision(
        &self,
        connector: &Connector,
        access: &Access,
        known: Known,
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
            attempt: None,
            capabilities: opening.capabilities,
            server: opening.server,
            versions: opening.versions,
            known,
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
            attempt,
            capabilities,
            server,
            versions,
            known,
            inventory,
        } = stage;
        let catalogs = [&self.options.fixtures, &self.suite.fixtures];
        let fixtures = Fixtures::find(&catalogs, revision, &inventory);
        let opened = attempt.is_none();
        let surroundings = Surroundings {
            transport: connector.transport(),
            capabilities: &capabilities,
            inventory: &inventory,
            spawned: connector.spawns(),
            named_host: matches!(connector.target(), Target::Url(url) if url.url.domain().is_some()),
            protection: &access.protection,
            credentials: &access.credentials,
            fixtures: &fixtures,
            versions: &versions,
            known,
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
        traces.extend(attempt);
        let mut finished: Vec<Finished<'_>> = gentle.into_iter().chain(rough).chain(alone).collect();
        let apart = finished
            .iter_mut()
            .flat_map(|case| std::mem::take(&mut case.report.apart))
            .collect();
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
            apart,
            opened,
        )
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
