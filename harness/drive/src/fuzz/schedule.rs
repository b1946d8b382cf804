//! Which cases come next: the systematic phases side by side, each at its own pace, and then chance.
//!
//! The order depends on the lists and the budget alone. A short budget so still touches every phase.

use std::collections::{BTreeSet, VecDeque};

use super::case::{FuzzCase, Phase};
use super::chance::Random;
use crate::execute::Partition;

/// Cases of each phase in one round. What finds most for its calls comes first and most.
const PACE: [(Phase, usize); 5] = [
    (Phase::Coverage, 48),
    (Phase::Protocol, 12),
    (Phase::Bytes, 10),
    (Phase::Metamorphic, 8),
    (Phase::Http, 10),
];

/// Sequences in one round.
const SEQUENCES: usize = 4;

/// Cases that follow up something new in one round.
const FOLLOW_UPS: usize = 24;

/// Cases about slow tools in one round.
const LATE: usize = 4;

/// Cases of chance in one round.
const RANDOM: usize = 128;

/// The cases that are still to come.
pub(super) struct Schedule {
    lists: Vec<(Phase, VecDeque<FuzzCase>)>,
    /// Cases about what takes its time.
    late: VecDeque<FuzzCase>,
    /// What follows up something new; the newest comes first.
    follow_ups: VecDeque<FuzzCase>,
    wanted: BTreeSet<Phase>,
    part: Option<Partition>,
    stateful: u64,
    random: u64,
    /// Sequences that come while there are lists.
    sequences_due: bool,
}

impl Schedule {
    /// A schedule of lists; phases that are not wanted are left out, and so are the cases of other parts.
    pub(super) fn new(lists: Vec<(Phase, Vec<FuzzCase>)>, wanted: BTreeSet<Phase>, part: Option<Partition>) -> Self {
        let lists = lists.into_iter().filter(|(phase, _)| wanted.contains(phase));
        let mine = |case: &FuzzCase| {
            part.is_none_or(|part| match &case.covers {
                // What covers one constraint stays together, so that the constraints of all parts add up.
                Some(constraint) => part.holds(constraint),
                None => part.holds_number(case.number),
            })
        };
        Self {
            lists: lists
                .map(|(phase, cases)| (phase, cases.into_iter().filter(mine).collect()))
                .collect(),
            late: VecDeque::new(),
            follow_ups: VecDeque::new(),
            sequences_due: wanted.contains(&Phase::Stateful),
            wanted,
            part,
            stateful: 0,
            random: 0,
        }
    }

    /// The cases of the next round; none when the lists are used up and nothing random is wanted.
    pub(super) fn next(&mut self, random: &Random<'_>) -> Vec<FuzzCase> {
        // First of all what must come first.
        for first in [Phase::Regressions, Phase::Examples] {
            if let Some((_, list)) = self
                .lists
                .iter_mut()
                .find(|(phase, list)| *phase == first && !list.is_empty())
            {
                let count = list.len().min(48);
                return list.drain(..count).collect();
            }
        }
        let mut round = Vec::new();
        for (phase, pace) in PACE {
            if let Some((_, list)) = self.lists.iter_mut().find(|(found, _)| *found == phase) {
                let count = list.len().min(pace);
                round.extend(list.drain(..count));
            }
        }
        let systematic = !round.is_empty();
        if self.sequences_due {
            let count = if systematic { SEQUENCES } else { SEQUENCES * 4 };
            round.extend(self.sequences(random, count));
        }
        if !systematic && self.wanted.contains(&Phase::Random) {
            for _ in 0..RANDOM {
                let number = mine(&mut self.random, self.part);
                round.extend(random.any(number));
            }
        } else if !systematic && !self.wanted.contains(&Phase::Stateful) && self.late.is_empty() {
            return Vec::new();
        }
        let count = self.follow_ups.len().min(FOLLOW_UPS);
        round.extend(self.follow_ups.drain(..count));
        let few = self.late.len().min(if systematic { 0 } else { LATE });
        round.extend(self.late.drain(..few));
        // What may be on its way together stands together: one wait for all of it.
        round.sort_by_key(|case| (!case.independent, !case.legal));
        round
    }

    /// Whether what was new can be followed up now.
    pub(super) fn is_ready_to_follow(&self) -> bool {
        self.wanted.contains(&Phase::Stateful) && self.follow_ups.len() < FOLLOW_UPS
    }

    /// Follows up something new, before what was to be followed up already.
    pub(super) fn follow(&mut self, cases: Vec<FuzzCase>) {
        for case in cases.into_iter().rev() {
            self.follow_ups.push_front(case);
        }
    }

    /// Puts off what is about these tools: they would use up the time of all the others. It comes bit by bit, beside what chance brings.
    pub(super) fn put_off(&mut self, slow: &BTreeSet<String>) {
        for (_, list) in &mut self.lists {
            let (late, rest) = list.drain(..).partition(|case| slow.contains(&case.subject));
            *list = rest;
            self.late.extend::<VecDeque<FuzzCase>>(late);
        }
    }

    fn sequences(&mut self, random: &Random<'_>, count: usize) -> Vec<FuzzCase> {
        let mut cases = Vec::new();
        for _ in 0..count {
            let number = mine(&mut self.stateful, self.part);
            cases.extend(random.stateful(number));
        }
        cases
    }

    /// The phase that the next round is mostly of.
    pub(super) fn phase(&self) -> Phase {
        let open = self.lists.iter().find(|(_, list)| !list.is_empty());
        open.map_or(Phase::Random, |(phase, _)| *phase)
    }

    /// Whether all lists are used up.
    pub(super) fn is_systematic_done(&self) -> bool {
        self.lists.iter().all(|(_, list)| list.is_empty())
    }
}

/// The next number of a phase that belongs to the part.
fn mine(next: &mut u64, part: Option<Partition>) -> u64 {
    loop {
        let number = *next;
        *next += 1;
        if part.is_none_or(|part| part.holds_number(number)) {
            return number;
        }
    }
}
