//! What a campaign has seen is judged: monitors and oracles look at a window, on a thread of their own while the next one is run; what is new goes into
//! the ledger, and is made small.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use touchstone_core::monitor::{self, Context, Conversation};
use touchstone_core::revision::Revision;
use touchstone_core::spec::requirement::Severity;
use touchstone_core::spec::schema::SchemaLibrary;
use touchstone_core::trace::TransportKind;
use touchstone_core::verdict::{Observation, Outcome as Seen};

use super::arena::{Record, Window};
use super::campaign::CampaignEvent;
use super::case::{FuzzCase, Phase};
use super::ledger::{self, FirstSeen, Reproduced, Reproduction, is_death};
use super::oracle;
use super::running::Running;
use super::shrink::{self, Allowance, Sign};
use super::toolbox::Toolbox;

/// An answer that takes so long makes a tool a slow one.
const SLOW: Duration = Duration::from_millis(60);
/// Longest time for one finding.
const LONGEST_SHRINK: Duration = Duration::from_secs(20);

/// Looks at windows with monitors and oracles, beside the calls that come next.
pub(super) struct Judge {
    pub revision: Revision,
    pub schemas: Arc<SchemaLibrary>,
    pub toolbox: Arc<Toolbox>,
    /// Tools that take their time.
    pub slow: BTreeSet<String>,
    /// Calls of the campaign until the end of the window.
    pub calls: u64,
}

/// A window with what there is to see in it.
pub(super) struct Judged {
    window: Window,
    /// Observations with the position of the record that each is about.
    found: Vec<(Observation, Option<usize>)>,
    own_mistakes: Vec<String>,
    /// What took its time.
    slow: Vec<String>,
    /// Calls of the campaign until the end of the window.
    calls: u64,
}

impl Judge {
    /// Looks at a window.
    pub(super) fn look_at(&self, window: Window) -> Judged {
        let context = Context {
            revision: self.revision,
            schemas: self.schemas.for_revision(self.revision),
        };
        let conversation = Conversation::of(&window.trace);
        let mut found: Vec<(Observation, Option<usize>)> = Vec::new();
        for mut observation in monitor::observe(&conversation, &context) {
            let broken = matches!(observation.outcome, Seen::Broken(_));
            let record = if is_death(&observation) {
                shrink::blame(&mut observation, &window, &self.slow)
            } else {
                broken.then(|| shrink::culprit(&observation, &window)).flatten()
            };
            found.push((observation, record));
        }
        let own_mistakes = monitor::own_mistakes(&conversation, &context);
        drop(conversation);
        found.extend(
            oracle::judge(&window, &self.toolbox)
                .into_iter()
                .map(|verdict| (verdict.observation, Some(verdict.record))),
        );
        Judged {
            found,
            own_mistakes,
            slow: window.worked_on(SLOW),
            calls: self.calls,
            window,
        }
    }
}

impl Running<'_> {
    fn judge(&self) -> Judge {
        Judge {
            revision: self.revision,
            schemas: Arc::clone(&self.campaign.schemas),
            toolbox: Arc::clone(self.toolbox),
            slow: self.slow.clone(),
            calls: self.sums.calls,
        }
    }

    /// Has what was run since the last look judged beside what comes next. What the look before has brought to light is taken in, and made small.
    pub(super) async fn look(&mut self) {
        let window = self.arena.window();
        self.take_in_judged().await;
        if let Some(window) = window {
            let judge = self.judge();
            self.judging = Some(tokio::task::spawn_blocking(move || judge.look_at(window)));
        }
    }

    /// Judges all that was run, and makes small what is new.
    pub(super) async fn settle(&mut self) {
        self.look().await;
        self.take_in_judged().await;
    }

    /// Judges what happened when a session came to its end.
    pub(super) async fn look_at_end(&mut self, window: Window) {
        let judged = self.judge().look_at(window);
        self.take_in(judged);
        self.work_off().await;
    }

    async fn take_in_judged(&mut self) {
        if let Some(judging) = self.judging.take() {
            match judging.await {
                Ok(judged) => self.take_in(judged),
                Err(failed) => std::panic::resume_unwind(failed.into_panic()),
            }
        }
        self.work_off().await;
    }

    /// Remembers what matters.
    fn take_in(&mut self, judged: Judged) {
        let Judged {
            mut window,
            found,
            own_mistakes,
            slow,
            calls: all_calls,
        } = judged;
        if self.own_mistakes.len() < 10 {
            self.own_mistakes.extend(own_mistakes);
        }
        let mut keep_trace = false;
        // How many calls there had been after each record.
        let all: u64 = window.records.iter().map(|record| record.case.calls()).sum();
        let mut count = all_calls.saturating_sub(all);
        let calls: Vec<u64> = window
            .records
            .iter()
            .map(|record| {
                count += record.case.calls();
                count
            })
            .collect();
        for (observation, record) in found {
            let case = record
                .and_then(|record| window.records.get(record))
                .map(|record| record.case.clone());
            let death = is_death(&observation);
            if death {
                self.note_death(&observation, case.as_ref());
                // Chance comes to one crash on many ways: it is known already.
                if let Some(case) = case
                    .as_ref()
                    .filter(|case| matches!(case.phase, Phase::Random | Phase::Stateful))
                    && let Some(entry) = self.ledger.death_of(&case.subject)
                {
                    entry.count += 1;
                    continue;
                }
            }
            let seen = ledger::Seen {
                case: case.as_ref(),
                before: self.arena.before(window.start + record.unwrap_or(window.records.len())),
                at: FirstSeen {
                    calls: record
                        .and_then(|record| calls.get(record).copied())
                        .unwrap_or(all_calls),
                    after: self.began.elapsed(),
                },
            };
            if let Some(signature) = self.ledger.add(self.campaign.catalog, self.revision, observation, seen) {
                keep_trace = true;
                self.new_entry(&signature, death, &window.records);
            }
        }
        self.slow.extend(slow);
        if keep_trace {
            self.ledger.keep(std::mem::replace(
                &mut window.trace,
                touchstone_core::trace::Trace::new("", TransportKind::Stdio),
            ));
        }
    }

    fn note_death(&mut self, observation: &Observation, case: Option<&FuzzCase>) {
        let about = match &observation.outcome {
            Seen::Broken(breach) => breach.about.clone(),
            Seen::Kept(_) => None,
        };
        if let Some(subject) = case.map(|case| case.subject.clone()).or(about) {
            *self.deaths.entry(subject).or_default() += 1;
        }
    }

    /// Decides what becomes of something that was not known before.
    fn new_entry(&mut self, signature: &str, death: bool, records: &[Record]) {
        let Some(entry) = self.ledger.entries.get(signature) else {
            return;
        };
        if entry.severity == Severity::Info {
            return;
        }
        let message = match &entry.observation.outcome {
            Seen::Broken(breach) => breach.message.clone(),
            Seen::Kept(_) => String::new(),
        };
        (self.on_event)(CampaignEvent::Found {
            signature,
            message: &message,
        });
        let mut suspects: Vec<FuzzCase> = entry.case.clone().into_iter().collect();
        if death {
            let others = records
                .iter()
                .filter(|record| record.is_unanswered())
                .map(|record| record.case.clone());
            suspects.extend(others.filter(|case| Some(case) != entry.case.as_ref()).take(5));
        }
        self.suspects.insert(signature.to_owned(), suspects);
        self.waiting.push(signature.to_owned());
    }

    /// Makes small what was found last.
    pub(super) async fn work_off(&mut self) {
        while let Some(signature) = self.waiting.pop() {
            if !self.ledger.entries.contains_key(&signature) {
                continue;
            }
            let suspects = self.suspects.remove(&signature).unwrap_or_default();
            if self.ledger.explain(&signature, suspects.first()) {
                continue;
            }
            let Some(entry) = self.ledger.entries.get(&signature) else {
                continue;
            };
            let sign = Sign {
                signature: signature.clone(),
                death: entry.death,
            };
            let first = entry.first;
            let mut before: Vec<FuzzCase> = entry.before.clone();
            let calls_before =
                before.iter().map(FuzzCase::calls).sum::<u64>() + suspects.first().map_or(0, FuzzCase::calls);
            // What takes its time would use up the time for attempts.
            before.retain(|case| !self.slow.contains(&case.subject));
            let left = self
                .options()
                .budget
                .time
                .map(|time| time.saturating_sub(self.began.elapsed()) / 2);
            let time = left
                .map_or(LONGEST_SHRINK, |left| left.min(LONGEST_SHRINK))
                .max(Duration::from_secs(2));
            let small =
                if self.options().spawns == 0 || self.cancel.is_cancelled() || suspects.is_empty() && before.is_empty()
                {
                    let reason = if suspects.is_empty() {
                        "no message of the campaign brings it about"
                    } else {
                        "no attempts were allowed"
                    };
                    shrink::Smallest {
                        cases: suspects.into_iter().take(1).collect(),
                        reproduced: Reproduced::NotTried(reason.to_owned()),
                        spawns: 0,
                    }
                } else {
                    let allowance = Allowance {
                        spawns: self.options().spawns,
                        time,
                    };
                    self.lab().shrink(&sign, &suspects, &before, allowance).await
                };
            self.sums.spawns += small.spawns;
            let Some(entry) = self.ledger.entries.get_mut(&signature) else {
                continue;
            };
            entry.before = Vec::new();
            let of = signature.clone();
            entry.reproduction = Some(Reproduction {
                signature,
                requirement: entry.observation.requirement.clone(),
                message: match &entry.observation.outcome {
                    Seen::Broken(breach) => breach.message.clone(),
                    Seen::Kept(_) => String::new(),
                },
                severity: entry.severity,
                death: entry.death,
                seed: self.campaign.options.seed,
                first,
                calls_before,
                cases: small.cases,
                reproduced: small.reproduced,
                spawns: small.spawns,
            });
            self.ledger.fold(&of);
        }
    }
}
