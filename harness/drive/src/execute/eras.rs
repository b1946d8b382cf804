//! Which revisions a server speaks: both eras are asked, each on a process or session of its own, side by side.
//!
//! The stateless era is asked by `server/discover`, the older one by `initialize`; neither has an effect. A server that knows only one of the two
//! may answer the other with any error, go away, or say nothing. Silence costs little: once one era has answered, the other gets as long as that
//! took, and a bit more. The session that answered serves the cases of its revision.

use std::time::Duration;

use futures_util::future::{self, Either};
use futures_util::stream::{self, StreamExt as _};
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use touchstone_core::revision::{Era, Revision};
use touchstone_core::trace::TransportKind;

use super::engine::{Selection, StartError};
use crate::session::{ClientIdentity, ConnectError, Connector, HandshakeFailure, Opening, Session};

/// The revision that stands for its era.
const MODERN: Revision = Revision::V2026_07_28;
/// The shortest and the longest time that one era may go on being silent when the other has answered.
const PATIENCE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// Lists by which a server that does not answer `server/discover` shows what it offers.
const LISTS: [(&str, &str); 3] = [
    ("tools/list", "tools"),
    ("prompts/list", "prompts"),
    ("resources/list", "resources"),
];

/// What was found out about one era.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EraReport {
    /// The era.
    pub era: Era,
    /// The revisions of it that the server was found to speak, newest first.
    pub spoken: Vec<Revision>,
    /// By what.
    pub how: String,
}

/// A session that was opened while looking for revisions, and serves as the shared one of its revision.
pub(super) struct Opened {
    pub revision: Revision,
    pub session: Session,
}

/// What was found out about a server.
pub(super) struct Eras {
    /// One session for each revision to be judged, newest first.
    pub opened: Vec<Opened>,
    /// What was found, and how.
    pub reports: Vec<EraReport>,
    /// Sessions that came to nothing, and are still to be ended.
    pub left: Vec<Session>,
}

impl Eras {
    /// The newest revision of the handshake era that the server speaks; `None` when there is none, or nobody has asked.
    pub(super) fn handshake_revision(&self) -> Option<Revision> {
        let reports = self.reports.iter().filter(|report| report.era == Era::Stateful);
        reports.flat_map(|report| report.spoken.first().copied()).next()
    }

    /// Whether the server speaks only the stateless era, as far as both were asked.
    pub(super) fn modern_only(&self) -> bool {
        let asked = |era| self.reports.iter().find(|report| report.era == era);
        asked(Era::Stateless).is_some_and(|report| !report.spoken.is_empty())
            && asked(Era::Stateful).is_some_and(|report| report.spoken.is_empty())
    }
}

/// What one era came to.
struct Side {
    opened: Vec<Opened>,
    left: Vec<Session>,
    how: String,
    /// Whether the server said anything, good or bad.
    answered: bool,
    /// Why there is no session, when there is none.
    failure: Option<StartError>,
}

impl Side {
    fn failed(error: StartError) -> Self {
        let (how, answered) = match &error {
            StartError::Connect(ConnectError::Handshake(failure)) => (failure.reason.clone(), failure.refused),
            other => (other.to_string(), false),
        };
        Self {
            opened: Vec::new(),
            left: Vec::new(),
            how,
            answered,
            failure: Some(error),
        }
    }

    fn silent(how: impl Into<String>) -> Self {
        Self {
            opened: Vec::new(),
            left: Vec::new(),
            how: how.into(),
            answered: false,
            failure: None,
        }
    }

    fn opened(revision: Revision, session: Session, how: impl Into<String>) -> Self {
        Self {
            opened: vec![Opened { revision, session }],
            left: Vec::new(),
            how: how.into(),
            answered: true,
            failure: None,
        }
    }

    fn report(&self, era: Era) -> EraReport {
        EraReport {
            era,
            spoken: self.opened.iter().map(|opened| opened.revision).collect(),
            how: self.how.clone(),
        }
    }

    /// The failed handshake behind it.
    fn handshake_failure(&self) -> Option<&HandshakeFailure> {
        match &self.failure {
            Some(StartError::Connect(ConnectError::Handshake(failure))) => Some(failure),
            _ => None,
        }
    }
}

/// Opens one session for each revision to be judged.
///
/// # Errors
/// When the server speaks none of them.
pub(super) async fn find(connector: &Connector, selection: Selection) -> Result<Eras, StartError> {
    match selection {
        Selection::Only(wanted) if wanted.era() == Era::Stateful => {
            let side = exactly(connector, wanted).await;
            let report = side.report(Era::Stateful);
            sum_up(vec![side], vec![report])
        }
        Selection::Only(wanted) => {
            let (modern, mut older) = side_by_side(modern(connector, true), newest_handshake(connector)).await;
            let reports = vec![modern.report(Era::Stateless), older.report(Era::Stateful)];
            // It was only to be known whether there are any.
            let unwanted = older.opened.drain(..).map(|opened| opened.session);
            older.left.extend(unwanted);
            older.failure = None;
            let spoken = reports.iter().flat_map(|report| &report.spoken);
            let spoken: Vec<&str> = spoken.map(|revision| revision.as_str()).collect();
            let spoken = spoken.join(", ");
            let refused = |error| match error {
                // It speaks, but another revision: that says more than how it refused this one.
                StartError::Connect(ConnectError::Handshake(_)) | StartError::Revision { .. } if !spoken.is_empty() => {
                    StartError::Revision {
                        wanted: wanted.to_string(),
                        offered: spoken,
                    }
                }
                other => other,
            };
            sum_up(vec![modern, older], reports).map_err(refused)
        }
        Selection::Newest => {
            let (modern, mut older) = side_by_side(modern(connector, false), newest_handshake(connector)).await;
            if modern.opened.is_empty() {
                let refused = older.handshake_failure().is_some_and(|failure| failure.refused);
                let ended = older.handshake_failure().is_some_and(|failure| failure.ended);
                if refused {
                    // A server that refuses a version with an error may accept an older one.
                    older = older_handshakes(connector, older).await;
                } else if ended && modern.answered {
                    // Where only one process can run at a time, the second did not come up.
                    older = newest_handshake(connector).await;
                }
            }
            let reports = vec![modern.report(Era::Stateless), older.report(Era::Stateful)];
            sum_up(vec![modern, older], reports)
        }
        Selection::All => {
            let (modern, older) = side_by_side(modern(connector, false), every_handshake(connector)).await;
            let reports = vec![modern.report(Era::Stateless), older.report(Era::Stateful)];
            sum_up(vec![modern, older], reports)
        }
    }
}

/// Asks both eras at the same time. One that has been answered well is reason not to wait long for the other, and so is any answer to
/// `initialize`, which takes a server at least as long as `server/discover`.
async fn side_by_side(modern: impl Future<Output = Side>, older: impl Future<Output = Side>) -> (Side, Side) {
    let since = Instant::now();
    let patience = || (since.elapsed() * 2).clamp(PATIENCE.0, PATIENCE.1);
    let silent = |method: &str| Side::silent(format!("{method} was not answered while the other era was"));
    match future::select(Box::pin(modern), Box::pin(older)).await {
        Either::Left((modern, older)) if modern.opened.is_empty() => {
            let older = older.await;
            (modern, older)
        }
        Either::Left((modern, older)) => {
            let older = tokio::time::timeout(patience(), older).await;
            (modern, older.unwrap_or_else(|_| silent("initialize")))
        }
        Either::Right((older, modern)) if older.answered => {
            let modern = tokio::time::timeout(patience(), modern).await;
            (modern.unwrap_or_else(|_| silent("server/discover")), older)
        }
        Either::Right((older, modern)) => {
            let modern = modern.await;
            (modern, older)
        }
    }
}

/// Puts the sides together, the newest revision first.
#[expect(clippy::result_large_err, reason = "there is one for each run")]
fn sum_up(sides: Vec<Side>, reports: Vec<EraReport>) -> Result<Eras, StartError> {
    let mut eras = Eras {
        opened: Vec::new(),
        reports,
        left: Vec::new(),
    };
    let mut failure = None;
    for side in sides {
        eras.opened.extend(side.opened);
        eras.left.extend(side.left);
        // The older era's failure is the one that most servers can do something about.
        failure = side.failure.or(failure);
    }
    if eras.opened.is_empty() {
        return Err(failure.unwrap_or(StartError::Revision {
            wanted: "any that Touchstone knows".to_owned(),
            offered: "none".to_owned(),
        }));
    }
    Ok(eras)
}

/// Asks for the stateless era. With `insist` a server that refuses `server/discover` is taken for one of it when its lists are.
async fn modern(connector: &Connector, insist: bool) -> Side {
    if connector.transport() == TransportKind::HttpSse {
        return Side::silent("HTTP+SSE is a transport of the older era");
    }
    let name = format!("{MODERN}/shared");
    let session = connector
        .session(&name, MODERN, ClientIdentity::touchstone(MODERN))
        .await;
    let mut session = match session {
        Ok(session) => session,
        Err(error) => return Side::failed(error.into()),
    };
    let problem = match session.open().await {
        Ok(opening) if opening.revision == Some(MODERN) => {
            let how = match opening.versions.as_slice() {
                [] => "server/discover was answered with a result".to_owned(),
                versions => format!("server/discover names {}", versions.join(", ")),
            };
            return Side::opened(MODERN, session, how);
        }
        // It has accepted the version of the request, whatever it lists, and somebody wants to know what it does in it.
        Ok(opening) if insist => {
            let how = format!(
                "server/discover names {}, and was answered in {MODERN}",
                opening.version
            );
            let opening = Opening {
                revision: Some(MODERN),
                version: MODERN.to_string(),
                ..opening
            };
            connector.assume(opening.clone());
            session.assume(opening);
            return Side::opened(MODERN, session, how);
        }
        Ok(opening) => {
            let mut side = Side::failed(StartError::Revision {
                wanted: MODERN.to_string(),
                offered: opening.version,
            });
            side.answered = true;
            side.left.push(session);
            return side;
        }
        Err(problem) => problem,
    };
    let named = problem.versions.iter().any(|version| version == MODERN.as_str());
    if (named || (insist && problem.refused))
        && session.closed().is_none()
        && let Some(opening) = undiscovered(&mut session).await
    {
        let how = format!("{}, and its lists are those of {MODERN}", problem.reason);
        connector.assume(opening.clone());
        session.assume(opening);
        return Side::opened(MODERN, session, how);
    }
    Side::failed(connector.failed_handshake(session, problem).await.into())
}

/// What a server offers that does not answer `server/discover`: what it lists, in the form of the stateless era.
async fn undiscovered(session: &mut Session) -> Option<Opening> {
    let mut capabilities = Map::new();
    for (method, capability) in LISTS {
        let answer = session.request(method, None, None).await;
        if answer.result().is_some_and(|result| result.get("resultType").is_some()) {
            capabilities.insert(capability.to_owned(), json!({}));
        }
    }
    (!capabilities.is_empty()).then(|| Opening {
        revision: Some(MODERN),
        version: MODERN.to_string(),
        capabilities: Value::Object(capabilities),
        ..Opening::default()
    })
}

/// A session that answered `initialize`.
struct Candidate {
    revision: Option<Revision>,
    version: String,
    session: Session,
}

async fn initialize(connector: &Connector, revision: Revision) -> Result<Candidate, ConnectError> {
    let name = format!("{revision}/shared");
    let client = ClientIdentity::touchstone(revision);
    let mut session = connector.session(&name, revision, client).await?;
    match session.open().await {
        Ok(opening) => Ok(Candidate {
            revision: opening.revision.filter(|revision| revision.era() == Era::Stateful),
            version: opening.version,
            session,
        }),
        Err(problem) => Err(connector.failed_handshake(session, problem).await),
    }
}

fn agreed(version: &str) -> String {
    format!("initialize agreed on {version}")
}

/// The wanted revision of the handshake era, or nothing.
async fn exactly(connector: &Connector, wanted: Revision) -> Side {
    match initialize(connector, wanted).await {
        Ok(candidate) if candidate.revision == Some(wanted) => {
            Side::opened(wanted, candidate.session, agreed(&candidate.version))
        }
        Ok(candidate) => offered(wanted, candidate),
        Err(error) => Side::failed(error.into()),
    }
}

/// The server offers something else than what is wanted.
fn offered(wanted: Revision, candidate: Candidate) -> Side {
    let mut side = Side::failed(StartError::Revision {
        wanted: wanted.to_string(),
        offered: candidate.version,
    });
    side.answered = true;
    side.left.push(candidate.session);
    side
}

/// Asks for the newest revision of the handshake era; what the server offers instead will do.
async fn newest_handshake(connector: &Connector) -> Side {
    handshake(connector, Revision::V2025_11_25).await
}

async fn handshake(connector: &Connector, wanted: Revision) -> Side {
    match initialize(connector, wanted).await {
        Ok(Candidate {
            revision: Some(revision),
            version,
            session,
        }) => Side::opened(revision, session, agreed(&version)),
        Ok(candidate) => offered(wanted, candidate),
        Err(error) => Side::failed(error.into()),
    }
}

/// Asks for the older revisions, one after the other, of a server that refused the newest.
async fn older_handshakes(connector: &Connector, refusal: Side) -> Side {
    let mut left = refusal.left;
    let mut failure = refusal.failure;
    for wanted in Revision::STATEFUL.into_iter().rev().skip(1) {
        let mut side = handshake(connector, wanted).await;
        left.append(&mut side.left);
        let refused = side.handshake_failure().is_some_and(|failure| failure.refused);
        if !side.opened.is_empty() {
            side.left = left;
            return side;
        }
        failure = side.failure;
        if !refused {
            break;
        }
    }
    Side {
        opened: Vec::new(),
        left,
        how: refusal.how,
        answered: true,
        failure,
    }
}

/// Asks for every revision of the handshake era.
async fn every_handshake(connector: &Connector) -> Side {
    let sides: Vec<Side> = stream::iter(Revision::STATEFUL.into_iter().rev())
        .map(|wanted| exactly(connector, wanted))
        .buffered(2)
        .collect()
        .await;
    let mut all = Side::silent("");
    for side in sides {
        all.answered |= side.answered;
        all.opened.extend(side.opened);
        all.left.extend(side.left);
        if let Some(failure) = side.failure {
            all.failure.get_or_insert(failure);
        }
        if all.how.is_empty() {
            all.how = side.how;
        }
    }
    if !all.opened.is_empty() {
        let versions: Vec<&str> = all.opened.iter().map(|opened| opened.revision.as_str()).collect();
        all.how = agreed(&versions.join(", "));
        all.failure = None;
    }
    all
}
