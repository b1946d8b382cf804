//! Sending a stored finding again: is it still there?

use std::collections::BTreeSet;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use touchstone_core::spec::requirement::Catalog;
use touchstone_core::spec::schema::SchemaLibrary;

use super::arena::Arena;
use super::corpus::StoredCase;
use super::shrink::{Lab, Sign};
use super::toolbox::Toolbox;
use crate::execute::CallPolicy;
use crate::session::{ConnectError, Connector, ConnectorOptions};
use crate::target::Target;

/// Attempts.
pub(super) const ATTEMPTS: u32 = 3;

/// How long a replay waits.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For one answer, or for the end of the server.
    pub answer: Duration,
    /// For all attempts together, starts of the server included.
    pub whole: Duration,
}

/// What became of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReplayVerdict {
    /// It is not seen any more.
    Fixed,
    /// It is seen now and then.
    Flaky,
    /// It is seen every time.
    Failed,
}

impl ReplayVerdict {
    /// The word used in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Flaky => "flaky",
            Self::Failed => "failed",
        }
    }
}

/// A finding that was sent again.
#[derive(Debug, Clone)]
pub struct Replayed {
    /// How often it was seen.
    pub seen: u32,
    /// How often it was sent.
    pub attempts: u32,
}

impl Replayed {
    /// What became of it.
    #[must_use]
    pub fn verdict(&self) -> ReplayVerdict {
        match self.seen {
            0 => ReplayVerdict::Fixed,
            seen if seen == self.attempts => ReplayVerdict::Failed,
            _ => ReplayVerdict::Flaky,
        }
    }
}

/// Why it could not be sent again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There was no session.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server speaks another revision now.
    #[error("the finding is of revision {wanted}, and the server answers with {offered}")]
    Revision {
        /// The revision of the finding.
        wanted: String,
        /// The one that was agreed on.
        offered: String,
    },
    /// The server could not be started again.
    #[error("the server could not be started for another attempt")]
    Lost,
    /// All attempts together took too long.
    #[error("no verdict within {} s: {attempts} of {ATTEMPTS} attempts were over, and {seen} showed it; --time-limit allows more", within.as_secs_f32())]
    OutOfTime {
        /// How long they were waited for.
        within: Duration,
        /// How many were over.
        attempts: u32,
        /// How many of them showed it.
        seen: u32,
    },
}

/// Sends a stored finding to a server, three times, each on a server of its own. Must run inside a `LocalSet`.
///
/// # Errors
/// When there is no server that speaks the revision, or it keeps busy for longer than there is time.
pub async fn replay(
    stored: &StoredCase,
    target: &Target,
    connector: ConnectorOptions,
    patience: Patience,
    catalog: &Catalog,
    schemas: &SchemaLibrary,
) -> Result<Replayed, ReplayError> {
    let mut counted = Replayed { seen: 0, attempts: 0 };
    let work = attempts(
        stored,
        target,
        connector,
        patience.answer,
        (catalog, schemas),
        &mut counted,
    );
    match tokio::time::timeout(patience.whole, work).await {
        Ok(Ok(())) => Ok(counted),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(ReplayError::OutOfTime {
            within: patience.whole,
            attempts: counted.attempts,
            seen: counted.seen,
        }),
    }
}

/// Makes the attempts, and counts them as they end.
async fn attempts(
    stored: &StoredCase,
    target: &Target,
    connector: ConnectorOptions,
    within: Duration,
    (catalog, schemas): (&Catalog, &SchemaLibrary),
    counted: &mut Replayed,
) -> Result<(), ReplayError> {
    let connector = Connector::prepare(super::campaign::with_canary(target), connector).await?;
    let policy = (CallPolicy::All, BTreeSet::new());
    let mut arena = Arena::new(&connector, stored.revision, policy.clone(), "replay");
    let (inventory, capabilities, _) = arena.open().await?;
    let offered = arena.revision();
    arena.discard().await;
    if offered != Some(stored.revision) {
        return Err(ReplayError::Revision {
            wanted: stored.revision.to_string(),
            offered: offered.map(|revision| revision.to_string()).unwrap_or_default(),
        });
    }
    let toolbox = Toolbox::new(inventory, capabilities, &[], &std::collections::BTreeMap::new());
    let lab = Lab {
        connector: &connector,
        revision: stored.revision,
        policy,
        catalog,
        schemas,
        toolbox: &toolbox,
        within,
        cancel: &CancellationToken::new(),
    };
    let sign = Sign {
        signature: stored.signature.clone(),
        death: stored.death,
    };
    while counted.attempts < ATTEMPTS {
        let shown = lab.shows(&stored.cases, &sign).await.ok_or(ReplayError::Lost)?;
        counted.attempts += 1;
        counted.seen += u32::from(shown);
    }
    Ok(())
}
