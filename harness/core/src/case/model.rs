//! What a case says about itself, before its steps.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::step::{Action, Step};
use crate::revision::Revision;
use crate::spec::requirement::RevisionKey;

/// One case as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Case {
    /// Its name within the area, a kebab-case word.
    #[serde(rename = "case")]
    pub name: String,
    /// One sentence that says what is right.
    pub title: String,
    /// What must hold for the case to make sense: capabilities, transports, client capabilities, things found on the server.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Revisions to which the case is limited beyond what its requirements say.
    #[serde(default)]
    pub revisions: RevisionRange,
    /// Whether the case may share a live session.
    #[serde(default)]
    pub isolation: Isolation,
    /// Whether the session is opened before the first step.
    #[serde(default)]
    pub handshake: Handshake,
    /// What the client declares, when the case needs something special; such a case gets its own session.
    pub client: Option<ClientProfile>,
    /// Whether everything that the case sends may be sent by a client.
    #[serde(default)]
    pub input: Input,
    /// Requirements that monitors judge thanks to this stimulus, although no step names them.
    #[serde(default)]
    pub exercises: Vec<String>,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// A range of revisions, both ends included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevisionRange {
    /// The first revision.
    pub since: Option<RevisionKey>,
    /// The last revision.
    pub until: Option<RevisionKey>,
}

/// Whether a case may share a session with others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// Reuses a live session.
    #[default]
    Shared,
    /// Gets a process or HTTP session of its own: for anything that could wound the server or end the session.
    Fresh,
}

/// Whether the session is opened before the first step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Handshake {
    /// The session is ready when the first step runs.
    #[default]
    Automatic,
    /// The steps do what they want with a raw connection.
    Manual,
}

/// Whether a client may send what the case sends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Input {
    /// Every message is one that a client may send: the answers count as conformance.
    #[default]
    Legal,
    /// Some bytes are such as no client may send: only survival counts, as robustness.
    Illegal,
}

/// What the client declares.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ClientProfile {
    /// The `capabilities` object; a part that the revision does not know is legal, objects are open.
    pub capabilities: Option<Value>,
    /// The `clientInfo` object.
    pub info: Option<Value>,
}

impl RevisionRange {
    /// Whether `revision` lies in the range.
    #[must_use]
    pub fn contains(&self, revision: Revision) -> bool {
        self.since.is_none_or(|since| since.0 <= revision) && self.until.is_none_or(|until| revision <= until.0)
    }
}

impl Case {
    /// Every requirement that the case is tied to: named by an expectation, or exercised for the monitors.
    #[must_use]
    pub fn requirements(&self) -> Vec<&str> {
        let mut ids: Vec<&str> = self.exercises.iter().map(String::as_str).collect();
        self.visit(&mut |step| ids.extend(step.expect.iter().map(|expectation| expectation.requirement.as_str())));
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The requirements on which an expectation of the case can give a verdict. One that is only exercised needs somebody else to judge it.
    #[must_use]
    pub fn judged(&self) -> BTreeSet<&str> {
        let mut ids = BTreeSet::new();
        self.visit(&mut |step| ids.extend(step.expect.iter().map(|expectation| expectation.requirement.as_str())));
        ids
    }

    /// Whether the case needs a connection that no other case uses.
    #[must_use]
    pub fn wants_own_session(&self) -> bool {
        self.isolation == Isolation::Fresh || self.handshake == Handshake::Manual || self.client.is_some()
    }

    /// Calls `visit` for every step, the nested ones included.
    pub fn visit<'a>(&'a self, visit: &mut impl FnMut(&'a Step)) {
        fn walk<'a>(steps: &'a [Step], visit: &mut impl FnMut(&'a Step)) {
            for step in steps {
                visit(step);
                match &step.action {
                    Action::ForEach { steps, .. } | Action::Repeat { steps, .. } | Action::Parallel { steps } => {
                        walk(steps, visit)
                    }
                    _ => {}
                }
            }
        }
        walk(&self.steps, visit);
    }
}
