//! A lane: a live session that runs one case after the other, and is replaced when it dies.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Map, Value, json};
use tokio::time::Instant;
use touchstone_core::case::{Arguments, Case, Handshake, Input};
use touchstone_core::revision::Revision;
use touchstone_core::spec::requirement::Catalog;
use touchstone_core::trace::Trace;

use super::arguments;
use super::halt::{Halt, Patience};
use super::inventory::Inventory;
use super::plan::{Planned, Surroundings, legacy_version};
use super::protection;
use super::runner::{CaseReport, Runner};
use crate::credentials::Credentials;
use crate::session::{ClientIdentity, ConnectError, Connector, Session};
use crate::tap::Tap;
use crate::target::Target;

/// What cases of one revision share.
pub(super) struct Shared<'a> {
    pub connector: &'a Connector,
    pub catalog: &'a Catalog,
    pub revision: Revision,
    pub inventory: Rc<Inventory>,
    pub surroundings: &'a Surroundings<'a>,
    pub credentials: &'a Credentials,
    /// Arguments for valid calls, by tool.
    pub examples: &'a BTreeMap<String, Value>,
    /// The fixtures that were found, by kind, as cases see them.
    pub fixtures: Value,
    /// When the run stops before its end.
    pub halt: &'a Halt,
}

/// A case that was run.
pub(super) struct Finished<'a> {
    pub planned: Planned<'a>,
    pub report: CaseReport,
    pub duration_us: u64,
    /// Name of the trace in which the case began.
    pub trace: Option<String>,
}

impl<'a> Finished<'a> {
    /// A case that was not run.
    pub(super) fn not_run(planned: Planned<'a>, reason: String) -> Self {
        let mut report = CaseReport::default();
        for requirement in planned.case.requirements() {
            report.unexercised.insert(requirement.to_owned(), reason.clone());
        }
        report.stopped = Some(reason);
        Self {
            planned,
            report,
            duration_us: 0,
            trace: None,
        }
    }
}

/// A session with what goes on it.
pub(super) struct Lane<'a> {
    shared: &'a Shared<'a>,
    name: String,
    session: Option<Session>,
    /// The trace of the session in use, which outlives a case that is broken off.
    current: Option<Tap>,
    restarts: usize,
    patience: Patience,
    /// Traces of sessions that are over.
    pub traces: Vec<Trace>,
}

/// Sessions that a lane opens before it gives up on a server that keeps dying.
const MOST_RESTARTS: usize = 50;

impl<'a> Lane<'a> {
    /// A lane that goes on with an open session, or opens one when it is needed.
    pub(super) fn new(shared: &'a Shared<'a>, name: String, session: Option<Session>) -> Self {
        Self {
            shared,
            name,
            current: session.as_ref().map(|session| session.tap().clone()),
            session,
            restarts: 0,
            patience: Patience::default(),
            traces: Vec::new(),
        }
    }

    /// Runs a case on the lane's session.
    pub(super) async fn run(&mut self, planned: Planned<'a>) -> Finished<'a> {
        if let Some(reason) = self.patience.worn_out() {
            return Finished::not_run(planned, reason);
        }
        let mut session = match self.session.take() {
            Some(session) if is_usable(&session) => session,
            gone => {
                if let Some(mut gone) = gone {
                    self.shared.connector.end(&mut gone).await;
                    self.keep_trace();
                }
                match self.open().await {
                    Ok(session) => session,
                    Err(reason) => {
                        self.patience.note(false);
                        return Finished::not_run(planned, reason);
                    }
                }
            }
        };
        self.current = Some(session.tap().clone());
        let finished = run_case(self.shared, planned, &mut session).await;
        self.patience.note(is_responsive(&session));
        self.session = Some(session);
        finished
    }

    /// Puts the trace of the session that is over to the others.
    fn keep_trace(&mut self) {
        self.traces.extend(self.current.take().map(|tap| tap.snapshot()));
    }

    async fn open(&mut self) -> Result<Session, String> {
        self.restarts += 1;
        if self.restarts > MOST_RESTARTS {
            return Err(format!(
                "blocked: the server had to be started {MOST_RESTARTS} times already"
            ));
        }
        let number = if self.restarts > 1 || self.name == "shared" {
            format!("#{}", self.restarts + 1)
        } else {
            String::new()
        };
        let name = format!("{}/{}{number}", self.shared.revision, self.name);
        opened(self.shared, &name, ClientIdentity::touchstone(self.shared.revision))
            .await
            .map_err(|error| format!("blocked: the server could not be started again: {error}"))
    }

    /// Ends the session and gives back all traces.
    pub(super) async fn close(mut self) -> Vec<Trace> {
        // When the run stops, nobody waits for the server; without its session it is killed.
        if let Some(mut session) = self.session.take()
            && !self.shared.halt.is_cancelled()
        {
            tokio::select! {
                () = self.shared.connector.end(&mut session) => {}
                () = self.shared.halt.cancelled() => {}
            }
        }
        self.keep_trace();
        self.traces
    }
}

/// Runs a case on a connection of its own. Gives back its traces as well.
pub(super) async fn run_alone<'a>(
    shared: &'a Shared<'a>,
    planned: Planned<'a>,
    patience: &Patience,
) -> (Finished<'a>, Vec<Trace>) {
    let name = format!("{}/{}", shared.revision, planned.id());
    let client = identity(shared.revision, planned.case);
    let opening = async {
        match planned.case.handshake {
            Handshake::Automatic => opened(shared, &name, client).await,
            Handshake::Manual => shared.connector.session(&name, shared.revision, client).await,
        }
    };
    let session = tokio::select! {
        biased;
        () = shared.halt.cancelled() => return (Finished::not_run(planned, shared.halt.reason()), Vec::new()),
        session = opening => session,
    };
    let mut session = match session {
        Ok(session) => session,
        Err(error) => {
            patience.note(false);
            return (Finished::not_run(planned, format!("blocked: {error}")), Vec::new());
        }
    };
    let mut finished = tokio::select! {
        finished = run_case(shared, planned, &mut session) => finished,
        () = shared.halt.cancelled() => Finished::not_run(planned, shared.halt.reason()),
    };
    // Without a handshake a server may keep silent.
    if planned.case.handshake == Handshake::Automatic {
        patience.note(is_responsive(&session));
    }
    tokio::select! {
        biased;
        () = shared.halt.cancelled() => {}
        () = shared.connector.end(&mut session) => {}
    }
    let mut traces = std::mem::take(&mut finished.report.traces);
    traces.push(session.tap().snapshot());
    (finished, traces)
}

/// Requests left unanswered in a row that show more than one request that is never answered: the last is always one that any server answers.
const NO_SIGN_OF_LIFE: usize = 2;

/// Whether the server has given a sign of life at last, or has ended, and not only floods us.
fn is_responsive(session: &Session) -> bool {
    session.given_up() < NO_SIGN_OF_LIFE && !session.tap().is_full()
}

/// Whether another case can run on the session.
fn is_usable(session: &Session) -> bool {
    session.closed().is_none() && is_responsive(session)
}

/// A session that is ready for requests.
async fn opened(shared: &Shared<'_>, name: &str, client: ClientIdentity) -> Result<Session, ConnectError> {
    let mut session = shared.connector.session(name, shared.revision, client).await?;
    match session.open().await {
        Ok(_) => Ok(session),
        Err(problem) => Err(shared.connector.failed_handshake(session, problem).await),
    }
}

async fn run_case<'a>(shared: &Shared<'_>, planned: Planned<'a>, session: &mut Session) -> Finished<'a> {
    let started = Instant::now();
    let id = planned.id();
    let illegal = planned.case.input == Input::Illegal;
    let trace = session.tap().read(|trace| trace.name.clone());
    session.forget();
    session.begin_case(&id, illegal);
    let mut bindings = bindings(shared, session);
    bindings.insert("fixture".to_owned(), shared.fixtures.clone());
    let runner = Runner {
        session: &mut *session,
        connector: shared.connector,
        inventory: &shared.inventory,
        surroundings: shared.surroundings,
        credentials: shared.credentials,
        examples: shared.examples,
        catalog: shared.catalog,
        case: planned.case,
        case_id: &id,
        revision: shared.revision,
        dialect: touchstone_core::monitor::dialect(shared.revision),
        bindings,
        pending: std::collections::BTreeMap::new(),
        others: std::collections::BTreeMap::new(),
        item: None,
        report: CaseReport::default(),
    };
    let report = runner.run().await;
    if session.closed().is_none() && !session.ending() {
        session.stop_listening().await;
    }
    // Liveness after every case; the monitors judge what comes of it.
    if session.closed().is_none() && !session.ending() && session.opening().is_some() {
        session.probe().await;
    }
    session.end_case(&id);
    let duration_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    Finished {
        planned,
        report,
        duration_us,
        trace: Some(trace),
    }
}

/// The identity that a case wants the client to show.
fn identity(revision: Revision, case: &Case) -> ClientIdentity {
    let mut client = ClientIdentity::touchstone(revision);
    if let Some(profile) = &case.client {
        client.capabilities = profile.capabilities.clone().unwrap_or(client.capabilities);
        client.info = profile.info.clone().unwrap_or(client.info);
    }
    client
}

/// The names that every case can use.
fn bindings(shared: &Shared<'_>, session: &Session) -> Map<String, Value> {
    let revision = shared.revision;
    let client = session.client();
    let opening = session.opening().cloned().unwrap_or_default();
    let mut bindings = Map::new();
    bindings.insert("revision".to_owned(), json!(revision.as_str()));
    bindings.insert(
        "client".to_owned(),
        json!({ "info": client.info, "capabilities": client.capabilities }),
    );
    let mut server =
        json!({ "info": opening.server, "capabilities": opening.capabilities, "versions": opening.versions });
    if let Some(version) = legacy_version(&opening.versions) {
        server["legacy-version"] = json!(version.as_str());
    }
    if let Some(revision) = shared.surroundings.known.handshake_revision {
        server["handshake-revision"] = json!(revision.as_str());
    }
    bindings.insert("server".to_owned(), server);
    bindings.insert("probe".to_owned(), json!({ "method": session.probe_method() }));
    bindings.insert("meta".to_owned(), Value::Object(session.meta()));
    let fresh =
        json!({ "name": "touchstone-no-such-name", "uri": "touchstone://no/such/resource", "text": "touchstone" });
    bindings.insert("fresh".to_owned(), fresh);
    if let Target::Url(target) = shared.connector.target() {
        bindings.insert("endpoint".to_owned(), protection::endpoint(&target.url));
    }
    if let Some(name) = &shared.credentials.beyond_low_scope {
        let tool = shared.inventory.tools.iter().find(|tool| tool["name"] == name.as_str());
        let wanted = Arguments::valid();
        let dialect = touchstone_core::monitor::dialect(revision);
        let made = tool.and_then(|tool| {
            arguments::make(&wanted, None, tool, dialect, shared.examples)
                .ok()?
                .pop()
        });
        let arguments = made.unwrap_or_else(|| json!({}));
        bindings.insert(
            "beyond-low-scope".to_owned(),
            json!({ "name": name, "arguments": arguments }),
        );
    }
    bindings
}
