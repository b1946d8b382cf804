//! What judges what: for each requirement the monitors, schemas and cases that can give a verdict on it, in which revisions and over which
//! transports.
//!
//! A case that only *exercises* a requirement brings about what a monitor or a schema then judges; it is a stimulus, no judge.

use std::collections::BTreeMap;

use crate::case::{Case, Need, Suite};
use crate::monitor;
use crate::revision::Revision;
use crate::spec::requirement::{Catalog, Requirement};
use crate::spec::schema::SchemaLibrary;
use crate::trace::TransportKind;

/// What kind of thing gives verdicts on a requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JudgeKind {
    /// Code that watches every conversation.
    Monitor,
    /// The schema of a message.
    Schema,
    /// An expectation of a case.
    Case,
}

impl JudgeKind {
    /// The word used in lists.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Monitor => "monitor",
            Self::Schema => "schema",
            Self::Case => "case",
        }
    }
}

/// Something that gives verdicts on a requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judge {
    /// What kind of thing it is.
    pub kind: JudgeKind,
    /// The name of the monitor or the id of the case; `messages` for the schemas.
    pub name: String,
    /// The revisions in which it does, oldest first.
    pub revisions: Vec<Revision>,
    /// The transports over which it does.
    pub transports: Vec<TransportKind>,
}

/// The judges of every requirement.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    judges: BTreeMap<String, Vec<Judge>>,
    stimuli: BTreeMap<String, Vec<String>>,
}

impl Coverage {
    /// Looks through all monitors, and the schemas and cases given. What names a requirement that is not in the catalog is passed over.
    #[must_use]
    pub fn new(catalog: &Catalog, schemas: &SchemaLibrary, suite: &Suite) -> Self {
        let mut coverage = Self::default();
        for monitor in monitor::all() {
            for requirement in monitor.requirements.iter().filter_map(|id| catalog.get(id)) {
                let levels = requirement.levels.keys().map(|key| key.0);
                let revisions = levels.filter(|revision| monitor.scope.speaks_of(*revision)).collect();
                coverage.add(requirement, JudgeKind::Monitor, monitor.name, revisions, |transport| {
                    monitor.over.contains(&transport)
                });
            }
        }
        let mut by_schema: BTreeMap<String, Vec<Revision>> = BTreeMap::new();
        for revision in Revision::ALL {
            for id in schemas.for_revision(revision).requirements() {
                by_schema.entry(id).or_default().push(revision);
            }
        }
        for (id, revisions) in by_schema {
            if let Some(requirement) = catalog.get(&id) {
                coverage.add(requirement, JudgeKind::Schema, "messages", revisions, |_| true);
            }
        }
        for (id, _, case) in suite.cases() {
            coverage.case(catalog, &id, case);
        }
        coverage
    }

    /// What gives verdicts on the requirement: monitors, then schemas, then cases.
    #[must_use]
    pub fn judges(&self, requirement: &str) -> &[Judge] {
        self.judges.get(requirement).map_or(&[], Vec::as_slice)
    }

    /// The cases that bring about what others judge.
    #[must_use]
    pub fn stimuli(&self, requirement: &str) -> &[String] {
        self.stimuli.get(requirement).map_or(&[], Vec::as_slice)
    }

    /// Whether something gives verdicts on the requirement in the revision.
    #[must_use]
    pub fn is_judged(&self, requirement: &str, revision: Revision) -> bool {
        self.judges(requirement)
            .iter()
            .any(|judge| judge.revisions.contains(&revision))
    }

    /// Whether something gives verdicts on the requirement in the revision over the transport.
    #[must_use]
    pub fn is_judged_over(&self, requirement: &str, revision: Revision, transport: TransportKind) -> bool {
        let mut judges = self.judges(requirement).iter();
        judges.any(|judge| judge.revisions.contains(&revision) && judge.transports.contains(&transport))
    }

    /// The requirements on which something gives verdicts in the revision over the transport.
    pub fn judged_over(&self, revision: Revision, transport: TransportKind) -> impl Iterator<Item = &str> {
        let ids = self.judges.keys().map(String::as_str);
        ids.filter(move |id| self.is_judged_over(id, revision, transport))
    }

    /// The requirements on which something gives verdicts in the revision.
    pub fn judged_in(&self, revision: Revision) -> impl Iterator<Item = &str> {
        let ids = self.judges.keys().map(String::as_str);
        ids.filter(move |id| self.is_judged(id, revision))
    }

    fn case(&mut self, catalog: &Catalog, id: &str, case: &Case) {
        let expected = case.judged();
        let needs: Vec<Need> = case.needs.iter().filter_map(|need| need.parse().ok()).collect();
        let carried_by = |transport| {
            needs.iter().all(|need| match need {
                Need::Transport(needed) => *needed == transport,
                Need::Http => transport.is_http(),
                _ => true,
            })
        };
        for requirement in case.requirements().into_iter().filter_map(|id| catalog.get(id)) {
            if expected.contains(requirement.id.as_str()) {
                let levels = requirement.levels.keys().map(|key| key.0);
                let revisions = levels.filter(|revision| case.revisions.contains(*revision)).collect();
                self.add(requirement, JudgeKind::Case, id, revisions, carried_by);
            } else {
                self.stimuli
                    .entry(requirement.id.clone())
                    .or_default()
                    .push(id.to_owned());
            }
        }
    }

    fn add(
        &mut self,
        requirement: &Requirement,
        kind: JudgeKind,
        name: &str,
        revisions: Vec<Revision>,
        carried_by: impl Fn(TransportKind) -> bool,
    ) {
        let applies = |transport: &TransportKind| requirement.applies_to(*transport) && carried_by(*transport);
        let transports: Vec<TransportKind> = TransportKind::ALL.into_iter().filter(applies).collect();
        if !revisions.is_empty() && !transports.is_empty() {
            let judges = self.judges.entry(requirement.id.clone()).or_default();
            judges.push(Judge {
                kind,
                name: name.to_owned(),
                revisions,
                transports,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASES: &str = "
- case: a
  title: t
  needs: [stdio]
  revisions: { since: '2025-06-18', until: '2025-11-25' }
  exercises: [ping/prompt]
  steps:
    - request: ping
      expect: [{ requirement: ping/answered, that: { outcome: result } }]
";

    fn coverage() -> Coverage {
        let entry = |id: &str| {
            format!(
                r#"{{"id": "{id}", "levels": {{"2025-03-26": "MUST", "2025-06-18": "MUST", "2026-07-28": "MAY"}}, "statement": "s",
                "ref": "r", "needs": "none", "test": "t", "kind": "wire", "tier": "A", "oracle": "monitor"}}"#
            )
        };
        let text = format!("[{},{}]", entry("ping/answered"), entry("ping/prompt"));
        let catalog = Catalog::from_json([("ping", text.as_str())]).unwrap();
        let document = r#"{"$defs": {"A": {"x-requirement": "ping/answered", "x-until": "2025-11-25"}}}"#;
        let schemas = SchemaLibrary::load([("ping", document)], &catalog).unwrap();
        let mut suite = Suite::default();
        suite.add_yaml("ping", "cases/ping/a.yaml", CASES, &catalog).unwrap();
        Coverage::new(&catalog, &schemas, &suite)
    }

    #[test]
    fn judges_are_limited_to_their_revisions_and_transports() {
        let coverage = coverage();
        let seen: Vec<(JudgeKind, &str, usize, usize)> = coverage
            .judges("ping/answered")
            .iter()
            .map(|judge| {
                (
                    judge.kind,
                    judge.name.as_str(),
                    judge.revisions.len(),
                    judge.transports.len(),
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                (JudgeKind::Monitor, "lifecycle", 2, 3),
                (JudgeKind::Schema, "messages", 2, 3),
                (JudgeKind::Case, "ping/a", 1, 1)
            ]
        );
        assert!(coverage.is_judged("ping/answered", Revision::V2025_06_18));
        assert!(!coverage.is_judged("ping/answered", Revision::V2024_11_05));
        assert_eq!(
            coverage.judged_in(Revision::V2025_06_18).collect::<Vec<_>>(),
            ["ping/answered"]
        );
        assert_eq!(coverage.judged_in(Revision::V2024_11_05).count(), 0);
    }

    #[test]
    fn a_stimulus_is_no_judge() {
        let coverage = coverage();
        assert_eq!(coverage.judges("ping/prompt"), []);
        assert_eq!(coverage.stimuli("ping/prompt"), ["ping/a"]);
        assert_eq!(coverage.judges("ping/unheard-of"), []);
    }
}
