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
const ATTEMPTS: u32 = 3;

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
    /// What became of it.
    pub verdict: ReplayVerdict,
    /// How often it was seen.
    pub seen: u32,
    /// How often it was sent.
    pub attempts: u32,
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
}

/// Sends a stored finding to a server, three times, each on a server of its own. Must run inside a `LocalSet`.
///
/// # Errors
/// When there is no server that speaks the revision.
pub async fn replay(
    stored: &StoredCase,
    target: &Target,
    connector: ConnectorOptions,
    within: Duration,
    catalog: &Catalog,
    schemas: &SchemaLibrary,
) -> Result<Replayed, ReplayError> {
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
    let mut seen = 0;
    for _ in 0..ATTEMPTS {
        let shown = lab.shows(&stored.cases, &sign).await.ok_or(ReplayError::Lost)?;
        seen += u32::from(shown);
    }
    Ok(Replayed {
        verdict: verdict(seen, ATTEMPTS),
        seen,
        attempts: ATTEMPTS,
    })
}

/// What so many sightings in so many attempts mean.
pub(super) fn verdict(seen: u32, attempts: u32) -> ReplayVerdict {
    match seen {
        0 => ReplayVerdict::Fixed,
        seen if seen == attempts => ReplayVerdict::Failed,
        _ => ReplayVerdict::Flaky,
    }
}
