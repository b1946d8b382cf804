//! What was found so far: one entry for each signature, however often it was seen.

use std::collections::BTreeMap;
use std::time::Duration;

use touchstone_core::revision::Revision;
use touchstone_core::spec::requirement::{Catalog, Severity};
use touchstone_core::trace::Trace;
use touchstone_core::verdict::{self, Breach, Observation, Outcome};

use super::case::{FuzzCase, Step, What};

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
    /// When it was seen first.
    pub first: FirstSeen,
    /// Calls of the conversation in which it was seen first.
    pub calls_before: u64,
    /// The smallest conversation that shows it.
    pub cases: Vec<FuzzCase>,
    /// How surely.
    pub reproduced: Reproduced,
    /// Servers that were started to make it small.
    pub spawns: usize,
}

/// How far a campaign was when it saw something first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FirstSeen {
    /// Calls that had been sent.
    pub calls: u64,
    /// Time since it began.
    pub after: Duration,
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
    pub first: FirstSeen,
    pub reproduction: Option<Reproduction>,
}

/// Everything that was found and kept.
#[derive(Default)]
pub(super) struct Ledger {
    kept: BTreeMap<String, (u64, Observation)>,
    pub entries: BTreeMap<String, Entry>,
    /// Signatures that turned out to be of the same cause as another one.
    folded: BTreeMap<String, String>,
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
        if let Some(entry) = self
            .folded
            .get(&signature)
            .and_then(|other| self.entries.get_mut(other))
        {
            entry.count += 1;
            return None;
        }
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
                first: seen.at,
                reproduction: None,
                observation,
            },
        );
        Some(signature)
    }

    /// Puts an entry to another one when their smallest conversations show that both have one cause.
    pub(super) fn fold(&mut self, signature: &str) {
        while self.fold_one(signature) {}
    }

    /// Puts two entries together; false when there are none to put together.
    fn fold_one(&mut self, signature: &str) -> bool {
        let Some(entry) = self.entries.get(signature) else {
            return false;
        };
        let same = |(other, found): (&String, &Entry)| {
            let broader = cause(entry)?.broader(cause(found)?)?;
            let alike = other != signature && found.observation.requirement == entry.observation.requirement;
            alike.then(|| (other.clone(), broader))
        };
        let Some((other, broader)) = self.entries.iter().find_map(same) else {
            return false;
        };
        match broader {
            Broader::This => self.merge(other, signature.to_owned()),
            Broader::Other => self.merge(signature.to_owned(), other),
        }
        true
    }

    /// Puts an entry to a known one, without any attempt, when bytes that cannot be read ended the server: it is known to die of any.
    pub(super) fn explain(&mut self, signature: &str, case: Option<&FuzzCase>) -> bool {
        let steps: Vec<&Step> = case.into_iter().flat_map(|case| &case.steps).collect();
        let (Some(kind), Some(entry)) = (unreadable(&steps), self.entries.get(signature)) else {
            return false;
        };
        let covers = |found: &Entry| match cause(found) {
            Some(Cause::Unreadable(known)) => known == Unreadable::Words || known == kind,
            _ => false,
        };
        let same = |(other, found): &(&String, &Entry)| {
            *other != signature && found.observation.requirement == entry.observation.requirement && covers(found)
        };
        let Some(into) = self.entries.iter().find(same).map(|(other, _)| other.clone()) else {
            return false;
        };
        self.merge(signature.to_owned(), into);
        true
    }

    fn merge(&mut self, from: String, into: String) {
        if let Some(from_entry) = self.entries.remove(&from)
            && let Some(home) = self.entries.get_mut(&into)
        {
            home.count += from_entry.count;
            home.first = home.first.min(from_entry.first);
            for target in self.folded.values_mut().filter(|target| **target == from) {
                target.clone_from(&into);
            }
            self.folded.insert(from, into);
        }
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

/// What the smallest conversation comes to that ends a server.
enum Cause<'a> {
    /// These messages.
    Messages(Vec<&'a Step>),
    /// Hardly anything but that it cannot be read.
    Unreadable(Unreadable),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unreadable {
    /// Bytes that are no UTF-8.
    NoText,
    /// Signs that are not printed.
    Control,
    /// Letters that are no JSON.
    Words,
}

/// Which of two causes is the other one too.
enum Broader {
    This,
    Other,
}

impl Cause<'_> {
    fn broader(self, other: Self) -> Option<Broader> {
        match (self, other) {
            (Self::Messages(one), Self::Messages(other)) => (one == other).then_some(Broader::Other),
            // What stumbles over any words stumbles over bytes that are not even that.
            (Self::Unreadable(_), Self::Unreadable(Unreadable::Words)) => Some(Broader::Other),
            (Self::Unreadable(Unreadable::Words), Self::Unreadable(_)) => Some(Broader::This),
            (Self::Unreadable(one), Self::Unreadable(other)) => (one == other).then_some(Broader::Other),
            _ => None,
        }
    }
}

/// The cause of a death that was seen again.
fn cause(entry: &Entry) -> Option<Cause<'_>> {
    let reproduction = entry.reproduction.as_ref().filter(|_| entry.death)?;
    let seen = matches!(
        reproduction.reproduced,
        Reproduced::Always(_) | Reproduced::Sometimes(..)
    );
    let steps: Vec<&Step> = reproduction.cases.iter().flat_map(|case| &case.steps).collect();
    let short = unreadable(&steps).filter(|_| matches!(&steps[0].what, What::Raw(bytes) if bytes.len() <= SHORT));
    seen.then(|| short.map_or(Cause::Messages(steps), Cause::Unreadable))
}

/// So short is what is left of bytes when nothing about them matters but that they cannot be read.
const SHORT: usize = 4;

/// Why the one message that was sent cannot be read.
fn unreadable(steps: &[&Step]) -> Option<Unreadable> {
    let [
        Step {
            what: What::Raw(bytes), ..
        },
    ] = steps
    else {
        return None;
    };
    match std::str::from_utf8(bytes) {
        Err(_) => Some(Unreadable::NoText),
        Ok(text) if serde_json::from_str::<serde_json::Value>(text).is_ok() => None,
        Ok(text) if text.contains(|letter: char| letter.is_control()) => Some(Unreadable::Control),
        Ok(_) => Some(Unreadable::Words),
    }
}

/// When something was seen.
pub(super) struct Seen<'a> {
    pub case: Option<&'a FuzzCase>,
    pub before: &'a [FuzzCase],
    pub at: FirstSeen,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::case::Phase;
    use touchstone_core::verdict::Score;

    fn dead(steps: Vec<Step>) -> Entry {
        let mut case = FuzzCase::of(Phase::Bytes, "x", steps[0].clone());
        case.steps = steps;
        let observation = Observation {
            requirement: DEATHS[1].to_owned(),
            outcome: Outcome::Broken(Breach {
                message: "ping was not answered".to_owned(),
                about: None,
                at_most: Severity::Fail,
                score: Score::Robustness,
                cause: None,
            }),
            case: None,
            evidence: Vec::new(),
        };
        Entry {
            severity: Severity::Fail,
            count: 1,
            about: BTreeMap::new(),
            case: None,
            before: Vec::new(),
            death: true,
            first: FirstSeen::default(),
            reproduction: Some(Reproduction {
                signature: String::new(),
                requirement: DEATHS[1].to_owned(),
                message: String::new(),
                severity: Severity::Fail,
                death: true,
                seed: 1,
                first: FirstSeen::default(),
                calls_before: 1,
                cases: vec![case],
                reproduced: Reproduced::Always(3),
                spawns: 3,
            }),
            observation,
        }
    }

    fn raw(bytes: &[u8]) -> Vec<Step> {
        vec![Step::new(What::Raw(bytes.to_vec()))]
    }

    /// What is left when each of some deaths was made small after the other.
    fn left(deaths: Vec<Vec<Step>>) -> Vec<(String, u64)> {
        let mut ledger = Ledger::default();
        for (number, steps) in deaths.into_iter().enumerate() {
            let signature = format!("s{number}");
            ledger.entries.insert(signature.clone(), dead(steps));
            ledger.fold(&signature);
        }
        let entries = ledger.entries.into_iter();
        entries.map(|(signature, entry)| (signature, entry.count)).collect()
    }

    #[test]
    fn one_mistake_that_many_messages_show_is_one_finding() {
        let one = |signature: &str, count| vec![(signature.to_owned(), count)];
        assert_eq!(left(vec![raw(b"\xff"), raw(b"\xc3"), raw(b"\xe2\x82")]), one("s0", 3));
        // Whoever dies of any words dies of what is not even that.
        assert_eq!(left(vec![raw(b"\xff"), raw(b"\0"), raw(b"{"), raw(b"h")]), one("s2", 4));
        let call = || vec![Step::call("add", &serde_json::json!({"a": 1}))];
        assert_eq!(left(vec![call(), call()]), one("s0", 2));
    }

    #[test]
    fn different_mistakes_stay_apart() {
        assert_eq!(left(vec![raw(b"\xff"), raw(b"\0")]).len(), 2);
        assert_eq!(left(vec![raw(b"hello"), raw(b"\\ud800")]).len(), 2);
        assert_eq!(left(vec![raw(b"5"), raw(b"{")]).len(), 2);
    }
}
