//! The dated protocol revisions: a type inside the engine, never a bare string.

use std::fmt;
use std::str::FromStr;

/// One dated version of the Model Context Protocol, oldest first in its ordering.
///
/// ```
/// use touchstone_core::revision::{Era, Revision};
/// let revision: Revision = "2025-06-18".parse().unwrap();
/// assert_eq!(revision.era(), Era::Stateful);
/// assert!(revision > Revision::V2025_03_26);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Revision {
    /// The first published revision; HTTP+SSE is its network transport.
    V2024_11_05,
    /// Streamable HTTP, JSON-RPC batches, tool annotations, audio.
    V2025_03_26,
    /// No batches; structured tool output, elicitation, resource links.
    V2025_06_18,
    /// Tasks, icons, URL elicitation, sampling with tools.
    V2025_11_25,
    /// The stateless era: metadata on every request instead of a handshake.
    V2026_07_28,
}

/// How a conversation begins and what carries its metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Era {
    /// An `initialize` handshake opens a session (2024-11-05 to 2025-11-25).
    Stateful,
    /// Every request carries its own `_meta` (2026-07-28).
    Stateless,
}

/// A string that names no revision that Touchstone knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown protocol revision {0:?}; known are {known}", known = Revision::ALL.map(|r| r.as_str()).join(", "))]
pub struct UnknownRevision(pub String);

impl Revision {
    /// Every known revision, oldest first.
    pub const ALL: [Self; 5] = [
        Self::V2024_11_05,
        Self::V2025_03_26,
        Self::V2025_06_18,
        Self::V2025_11_25,
        Self::V2026_07_28,
    ];

    /// The revisions that are negotiated by an `initialize` handshake, oldest first.
    pub const STATEFUL: [Self; 4] = [
        Self::V2024_11_05,
        Self::V2025_03_26,
        Self::V2025_06_18,
        Self::V2025_11_25,
    ];

    /// The date that stands for the revision on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// The era that the revision belongs to.
    #[must_use]
    pub const fn era(self) -> Era {
        match self {
            Self::V2026_07_28 => Era::Stateless,
            _ => Era::Stateful,
        }
    }

    /// Whether the revision lets a JSON array of messages travel as one message (2025-03-26, basic/index#batching).
    #[must_use]
    pub const fn has_batches(self) -> bool {
        matches!(self, Self::V2025_03_26)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Revision {
    type Err = UnknownRevision;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|revision| revision.as_str() == text)
            .ok_or_else(|| UnknownRevision(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_revision_survives_its_own_spelling() {
        for revision in Revision::ALL {
            assert_eq!(revision.as_str().parse(), Ok(revision));
        }
    }

    #[test]
    fn an_unknown_revision_names_the_known_ones() {
        let message = "2025-01-01".parse::<Revision>().unwrap_err().to_string();
        assert!(
            message.contains("2025-01-01") && message.contains("2024-11-05"),
            "{message}"
        );
    }

    #[test]
    fn order_is_by_date() {
        assert!(Revision::ALL.is_sorted());
        assert!(Revision::ALL.map(Revision::as_str).is_sorted());
    }
}
