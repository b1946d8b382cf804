//! What was found so far: one entry for each signature, however often it was seen.

use std::collections::BTreeMap;

use touchstone_core::revision::Revision;
use touchstone_core::spec::requirement::{Catalog, Severity};
use touchstone_core::trace::Trace;
use touchstone_core::verdict::{self, Breach, Observation, Outcome};

use super::case::FuzzCase;

/// How surely the smallest conversation shows what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reproduced {
    /// Every time, on a process of its own.
    Always(u32),
    /// Now and then: so many times out of so many.
    Sometimes(u32, u32),
    /// Not again, in so many attempts.
    Never(u32),
    /// Nobody has tried, for a reason.
    NotTried(String),
}

impl Reproduced {
    /// In words.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Always(times) => format!("reproduced {times} of {times} times on fresh servers"),
            Self::Sometimes(times, of) => format!("flaky: reproduced {times} of {of} times on fresh servers"),
            Self::Never(of) => format!("flaky: not reproduced in {of} attempts on fresh servers"),
            Self::NotTried(reason) => format!("not tried again: {reason}"),
        }
    }
}

/// How a finding can be seen again.
#[derive(Debug, Clone, PartialEq)]
pub struct Reproduction {
    /// The finding's signature.
    pub signature: String,
    /// The requirement that it breaks.
    pub requirement: String,
    /// What happened.
    pub message: String,
    /// What it means for the run.
    pub severity: Severity,
    /// Whether the server died or fell silent.
    pub death: bool,
    /// The seed of the campaign.
    pub seed: u64,
    /// Calls that were sent before it was seen first.
    pub first_call: u64,
    /// Calls of the conversation in which it was seen first.
    pub calls_before: u64,
    /// The smallest conversation that shows it.
    pub cases: Vec<FuzzCase>,
    /// How surely.
    pub reproduced: Reproduced,
    /// Servers that were started to make it small.
    pub spawns: usize,
}

/// One mistake of the server.
pub(super) struct Entry {
    pub observation: Observation,
    pub severity: Severity,
    pub count: u64,
    /// One observation for each tool or method that it is about.
    pub about: BTreeMap<String, Observation>,
    /// The case in which it was seen first, and those before it in its session.
    pub case: Option<FuzzCase>,
    pub before: Vec<FuzzCase>,
    pub death: bool,
    pub first_call: u64,
    pub reproduction: Option<Reproduction>,
}

/// Everything that was found and kept.
#[derive(Default)]
pub(super) struct Ledger {
    kept: BTreeMap<String, (u64, Observation)>,
    pub entries: BTreeMap<String, Entry>,
    /// The traces that first observations refer to.
    pub traces: Vec<Trace>,
}

/// Things that one finding is about, at most.
const MOST_ABOUT: usize = 50;
/// Traces that are kept, at most.
const MOST_TRACES: usize = 60;

/// Requirements that are broken by a server that dies or falls silent.
pub(super) const DEATHS: [&str; 2] = ["base-protocol/request-answered-once", "base-protocol/survives-garbage"];

/// Whether an observation tells of the end of a server, or of its silence.
pub(super) fn is_death(observation: &Observation) -> bool {
    let Outcome::Broken(breach) = &observation.outcome else {
        return false;
    };
    DEATHS.contains(&observation.requirement.as_str())
        && ["got no answer", "was not answered"]
            .iter()
            .any(|sign| breach.message.contains(sign))
}

/// The breach of an observation.
pub(super) fn breach(observation: &mut Observation) -> Option<&mut Breach> {
    match &mut observation.outcome {
        Outcome::Broken(breach) => Some(breach),
        Outcome::Kept(_) => None,
    }
}

impl Ledger {
    /// Takes an observation in. Gives back the signature when it is the first of its kind.
    pub(super) fn add(
        &mut self,
        catalog: &Catalog,
        revision: Revision,
        observation: Observation,
        seen: Seen<'_>,
    ) -> Option<String> {
        if let Outcome::Kept(times) = observation.outcome {
            let entry = self
                .kept
                .entry(observation.requirement.clone())
                .or_insert_with(|| (0, observation));
            entry.0 += times;
            return None;
        }
        let (signature, severity) = verdict::identity(catalog, revision, &observation)?;
        let about = match &observation.outcome {
            Outcome::Broken(breach) => breach.about.clone(),
            Outcome::Kept(_) => None,
        };
        if let Some(entry) = self.entries.get_mut(&signature) {
            entry.count += 1;
            if let Some(about) = about.filter(|_| entry.about.len() < MOST_ABOUT) {
                entry.about.entry(about).or_insert(observation);
            }
            return None;
        }
        self.entries.insert(
            signature.clone(),
            Entry {
                severity,
                count: 1,
                about: about.map(|about| (about, observation.clone())).into_iter().collect(),
                case: seen.case.cloned(),
                before: seen.before.to_vec(),
                death: is_death(&observation),
                first_call: seen.calls,
                reproduction: None,
                observation,
            },
        );
        Some(signature)
    }

    /// Keeps a trace that evidence refers to.
    pub(super) fn keep(&mut self, trace: Trace) {
        if self.traces.len() < MOST_TRACES {
            self.traces.push(trace);
        }
    }

    /// An entry that tells of the death of the same tool: chance comes to one crash on many ways.
    pub(super) fn death_of(&mut self, subject: &str) -> Option<&mut Entry> {
        self.entries
            .values_mut()
            .find(|entry| entry.death && entry.case.as_ref().is_some_and(|case| case.subject == subject))
    }

    /// Entries that weigh.
    pub(super) fn weighty(&self) -> usize {
        self.entries
            .values()
            .filter(|entry| entry.severity > Severity::Info)
            .count()
    }

    /// Everything as observations, each distinct mistake once for each thing that it is about.
    pub(super) fn observations(&self) -> Vec<Observation> {
        let kept = self.kept.values().map(|(times, observation)| Observation {
            outcome: Outcome::Kept(*times),
            ..observation.clone()
        });
        let broken = self.entries.values().flat_map(|entry| {
            let others = entry
                .about
                .values()
                .filter(|other| **other != entry.observation)
                .cloned();
            std::iter::once(entry.observation.clone()).chain(others)
        });
        kept.chain(broken).collect()
    }
}

/// When something was seen.
pub(super) struct Seen<'a> {
    pub case: Option<&'a FuzzCase>,
    pub before: &'a [FuzzCase],
    pub calls: u64,
}
