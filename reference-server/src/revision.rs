//! The revisions this server speaks, oldest first, so that "from revision X on" is a comparison.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A revision of the protocol; ordered by date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Revision {
    /// 2024-11-05: the first one, with HTTP+SSE.
    V2024_11_05,
    /// 2025-03-26: Streamable HTTP, batches, tool annotations, the completions capability.
    V2025_03_26,
    /// 2025-06-18: no batches any more; titles and structured tool results.
    V2025_06_18,
    /// 2025-11-25: icons, tasks, optional ids in errors.
    V2025_11_25,
    /// 2026-07-28: no handshake and no sessions; each request says for itself what it needs to say.
    V2026_07_28,
}

impl Revision {
    /// All of them, oldest first.
    pub const ALL: [Self; 5] = [
        Self::V2024_11_05,
        Self::V2025_03_26,
        Self::V2025_06_18,
        Self::V2025_11_25,
        Self::V2026_07_28,
    ];

    /// Those that begin with a handshake, oldest first.
    pub const STATEFUL: [Self; 4] = [
        Self::V2024_11_05,
        Self::V2025_03_26,
        Self::V2025_06_18,
        Self::V2025_11_25,
    ];

    /// The date by which the revision is negotiated.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// Whether a JSON array is a batch (JSON-RPC batching existed in 2025-03-26 only).
    pub(crate) fn has_batches(self) -> bool {
        self == Self::V2025_03_26
    }

    /// Whether there is no handshake (from 2026-07-28).
    pub fn is_stateless(self) -> bool {
        self >= Self::V2026_07_28
    }

    /// Whether requests may be carried out as tasks without an extension (2025-11-25 only).
    pub(crate) fn has_tasks(self) -> bool {
        self == Self::V2025_11_25
    }

    /// Whether things may carry a `title`, and tools structured results (from 2025-06-18).
    pub(crate) fn has_titles(self) -> bool {
        self >= Self::V2025_06_18
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
            .ok_or_else(|| UnknownRevision { text: text.to_owned() })
    }
}

/// A revision that this server does not speak.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "unknown revision {text:?}; the reference server speaks 2024-11-05, 2025-03-26, 2025-06-18, 2025-11-25 and 2026-07-28"
)]
pub struct UnknownRevision {
    /// What was asked for.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_revision_is_read_back_from_its_date() {
        for revision in Revision::ALL {
            assert_eq!(revision.to_string().parse(), Ok(revision));
        }
        assert!("2026-07-29".parse::<Revision>().is_err());
    }
}
