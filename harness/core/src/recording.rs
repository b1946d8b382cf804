//! Recorded sessions: a trace that no case of ours brought about, judged by the same monitors.
//!
//! Revision, capabilities and the server's name are read from the handshake that stands in the trace.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::coverage::{Coverage, JudgeKind};
use crate::jsonrpc;
use crate::monitor::{self, Context, Conversation};
use crate::revision::Revision;
use crate::spec::requirement::Catalog;
use crate::spec::schema::SchemaLibrary;
use crate::trace::{EventKind, Trace, TransportKind};
use crate::verdict::{self, Circumstances, Observation, RevisionRun, ToolCoverage};

/// What a handshake said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Handshake {
    /// The revision that the server agreed to, as it spelled it.
    pub version: Option<String>,
    /// The server's name and version.
    pub server: Value,
    /// Its capabilities; null where nothing was seen of them.
    pub capabilities: Value,
}

impl Handshake {
    /// Looks for the result of `initialize` or of `server/discover`, or for a request that names its version.
    #[must_use]
    pub fn find(trace: &Trace) -> Self {
        let mut found = Self::default();
        for event in &trace.events {
            match &event.kind {
                EventKind::Received { payload, .. } => {
                    let Some(message) = jsonrpc::value(payload.bytes()) else {
                        continue;
                    };
                    let result = &message["result"];
                    if let (Some(version), true) =
                        (result["protocolVersion"].as_str(), result["capabilities"].is_object())
                    {
                        return Self {
                            version: Some(version.to_owned()),
                            server: result["serverInfo"].clone(),
                            capabilities: result["capabilities"].clone(),
                        };
                    }
                    if result["supportedVersions"].is_array() && found.capabilities.is_null() {
                        found.capabilities = result["capabilities"].clone();
                        found.server = result["_meta"]["io.modelcontextprotocol/serverInfo"].clone();
                    }
                }
                EventKind::Sent { payload, .. } if found.version.is_none() => {
                    if let Some(message) = jsonrpc::value(payload.bytes()) {
                        let version = &message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"];
                        found.version = version.as_str().map(str::to_owned);
                    }
                }
                _ => {}
            }
        }
        found
    }
}

/// Why recordings cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordingError {
    /// No handshake stands in the trace.
    #[error("{0}: no revision is negotiated in this trace; say with --revision which one it is")]
    NoRevision(String),
    /// The handshake agrees on something unknown.
    #[error("{trace}: {error}")]
    Revision {
        /// The trace.
        trace: String,
        /// What is wrong.
        error: crate::revision::UnknownRevision,
    },
}

/// Judges recorded traces: one run for each revision and transport among them. `wanted` says which revision it is where no handshake tells.
///
/// # Errors
/// When nothing says under which revision a trace was made.
pub fn judge(
    traces: Vec<Trace>,
    wanted: Option<Revision>,
    catalog: &Catalog,
    schemas: &SchemaLibrary,
    coverage: &Coverage,
) -> Result<Vec<RevisionRun>, RecordingError> {
    // The newest revision first.
    type Place = (std::cmp::Reverse<Revision>, TransportKind);
    let mut groups: BTreeMap<Place, Vec<(Trace, Handshake)>> = BTreeMap::new();
    for trace in traces {
        let handshake = Handshake::find(&trace);
        let revision = match (wanted, &handshake.version) {
            (Some(wanted), _) => wanted,
            (None, Some(version)) => version.parse().map_err(|error| RecordingError::Revision {
                trace: trace.name.clone(),
                error,
            })?,
            (None, None) => return Err(RecordingError::NoRevision(trace.name)),
        };
        let key = (std::cmp::Reverse(revision), trace.transport);
        groups.entry(key).or_default().push((trace, handshake));
    }
    let mut runs = Vec::new();
    for ((std::cmp::Reverse(revision), transport), group) in groups {
        let context = Context {
            revision,
            schemas: schemas.for_revision(revision),
        };
        let mut observations: Vec<Observation> = Vec::new();
        for (trace, _) in &group {
            observations.extend(monitor::observe(&Conversation::of(trace), &context));
        }
        let told = group
            .iter()
            .map(|(_, handshake)| handshake)
            .find(|handshake| !handshake.capabilities.is_null())
            .cloned()
            .unwrap_or_default();
        let by_watching = |id: &str| {
            coverage
                .judges(id)
                .iter()
                .any(|judge| judge.kind != JudgeKind::Case && judge.revisions.contains(&revision))
        };
        let covered: BTreeSet<String> = coverage.judged_in(revision).map(str::to_owned).collect();
        let reasons = covered.iter().map(|id| {
            let reason = if by_watching(id) {
                "the recording does not show it"
            } else {
                "only a case of Touchstone's own can show it, and a recording has none"
            };
            (id.clone(), reason.to_owned())
        });
        let circumstances = Circumstances {
            revision,
            transport,
            capabilities: told.capabilities,
            reasons: reasons.collect(),
            covered: covered.clone(),
            protected: false,
            blocked: None,
        };
        let judged = verdict::judge(catalog, &circumstances, &observations);
        runs.push(RevisionRun {
            revision,
            transport,
            server: told.server,
            requirements: judged.requirements,
            cases: Vec::new(),
            findings: judged.findings,
            traces: group.into_iter().map(|(trace, _)| trace).collect(),
            tools: ToolCoverage::default(),
        });
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{Channel, Intent};

    #[test]
    fn the_handshake_is_read_from_the_trace() {
        let mut trace = Trace::new("t", TransportKind::Stdio);
        trace.push(
            0,
            EventKind::Sent {
                payload: r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#
                    .into(),
                exchange: None,
                intent: Intent::Proper,
            },
        );
        assert_eq!(Handshake::find(&trace).version, None);
        trace.push(
            1,
            EventKind::Received {
                payload: r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"s"}}}"#.into(),
                channel: Channel::Stdout,
                exchange: None,
                terminated: true,
            },
        );
        let found = Handshake::find(&trace);
        assert_eq!(found.version.as_deref(), Some("2025-06-18"));
        assert_eq!(found.server["name"], "s");
    }
}
