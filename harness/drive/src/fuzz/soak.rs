//! The phase of growth: longer and longer texts, and the same call again and again while memory and handles are watched.

use std::time::Duration;

use serde_json::{Value, json};
use touchstone_core::spec::judge::Judgement;
use touchstone_core::spec::requirement::Severity;
use touchstone_core::verdict::{Breach, Observation, Outcome as Seen, Score};

use super::campaign::CampaignEvent;
use super::case::{Expect, FuzzCase, Phase, Step};
use super::growth::{self, Trend};
use super::ledger::{self, FirstSeen, Reproduced, Reproduction};
use super::running::Running;
use crate::session::Outcome;

impl Running<'_> {
    /// Calls each tool with longer and longer texts, and then the same way again and again while memory and handles are watched.
    pub(super) async fn growth(&mut self) {
        let tools: Vec<String> = self
            .toolbox
            .callable()
            .filter(|tool| tool.read_only && tool.simplest.is_some())
            .map(|tool| tool.name.clone())
            .take(12)
            .zip(0..)
            .filter(|(_, number)| self.options().partition.is_none_or(|part| part.holds_number(*number)))
            .map(|(name, _)| name)
            .collect();
        // A few calls each, so these come first.
        for name in &tools {
            if self.is_over() {
                return;
            }
            self.ladder(name).await;
        }
        for name in &tools {
            if self.is_over() {
                return;
            }
            let first = self.watch(name).await;
            if matches!(first, Trend::Memory | Trend::Handles) {
                // Another process must grow as well.
                if !self.restart().await {
                    return;
                }
                if self.watch(name).await == first {
                    self.tell_growth(name, first);
                }
            }
        }
    }

    async fn watch(&mut self, name: &str) -> Trend {
        let Some(value) = self.toolbox.tool(name).and_then(|tool| tool.simplest.clone()) else {
            return Trend::Steady;
        };
        let mut samples = Vec::new();
        for round in 0..growth::WARM_UP + growth::MOST {
            let case = || {
                let mut case = FuzzCase::of(Phase::Growth, "the same call again and again", Step::call(name, &value));
                case.independent = true;
                case
            };
            if self.is_over() {
                return Trend::Steady;
            }
            self.run((0..growth::CALLS).map(|_| case()).collect(), Phase::Growth)
                .await;
            if !self.arena.is_open() {
                return Trend::Steady;
            }
            let Some(usage) = self.arena.pid().and_then(growth::usage) else {
                return Trend::Steady;
            };
            if round + 1 >= growth::WARM_UP {
                samples.push(usage);
            }
            match growth::trend(&samples) {
                Trend::Open => {}
                decided => return decided,
            }
        }
        Trend::Steady
    }

    fn tell_growth(&mut self, name: &str, trend: Trend) {
        let (requirement, what) = match trend {
            Trend::Memory => ("fuzzing/memory-bounded", "memory"),
            _ => ("fuzzing/handles-bounded", "the number of open handles"),
        };
        let message =
            format!("{what} grows with every call of the tool {name}, on two servers, and does not come down again");
        self.tell(requirement, name, message);
    }

    /// Takes in a finding that no window shows.
    fn tell(&mut self, requirement: &str, about: &str, message: String) {
        let Some(value) = self.toolbox.tool(about).and_then(|tool| tool.simplest.clone()) else {
            return;
        };
        let case = FuzzCase::of(
            Phase::Growth,
            "the same call again and again",
            Step::call(about, &value),
        );
        let observation = Observation {
            requirement: requirement.to_owned(),
            outcome: Seen::Broken(Breach {
                message: message.clone(),
                about: Some(about.to_owned()),
                at_most: Severity::Fail,
                score: Score::Conformance,
                cause: None,
            }),
            case: Some("fuzz/growth".to_owned()),
            evidence: Vec::new(),
        };
        let seen = ledger::Seen {
            case: Some(&case),
            before: &[],
            at: FirstSeen {
                calls: self.sums.calls,
                after: self.began.elapsed(),
            },
        };
        if let Some(signature) = self.ledger.add(self.campaign.catalog, self.revision, observation, seen) {
            (self.on_event)(CampaignEvent::Found {
                signature: &signature,
                message: &message,
            });
            if let Some(entry) = self.ledger.entries.get_mut(&signature) {
                entry.reproduction = Some(Reproduction {
                    signature,
                    requirement: requirement.to_owned(),
                    message,
                    severity: entry.severity,
                    death: false,
                    seed: self.campaign.options.seed,
                    first: entry.first,
                    calls_before: 1,
                    cases: vec![case],
                    reproduced: Reproduced::Always(2),
                    spawns: 1,
                });
            }
        }
    }

    /// The time for texts of growing length.
    async fn ladder(&mut self, name: &str) {
        const LENGTHS: [usize; 4] = [4_000, 8_000, 16_000, 32_000];
        let Some(tool) = self.toolbox.tool(name) else { return };
        let Some(Value::Object(base)) = tool.fullest.clone() else {
            return;
        };
        let texts: Vec<String> = base
            .iter()
            .filter(|(_, value)| value.is_string())
            .map(|(name, _)| name.clone())
            .take(2)
            .collect();
        for member in texts {
            let with = |length: usize| {
                let mut changed = base.clone();
                // A repeated letter with an odd end is what patterns stumble over.
                changed.insert(member.clone(), json!(format!("{}!", "a".repeat(length - 1))));
                Value::Object(changed)
            };
            if tool.judge(&with(LENGTHS[3])) != Some(Judgement::Valid) {
                continue;
            }
            let mut suspicious = true;
            for _ in 0..2 {
                let mut times = Vec::new();
                for length in LENGTHS {
                    if self.is_over() {
                        return;
                    }
                    times.push(self.time_of(name, &with(length)).await);
                }
                let (Some(Some(first)), Some(Some(last))) = (times.first(), times.last()) else {
                    return;
                };
                suspicious &= *last >= Duration::from_millis(300) && *last >= *first * 24;
                if !suspicious {
                    break;
                }
            }
            if suspicious {
                let message = format!("the tool {name} takes far longer than in proportion for longer texts");
                self.tell("fuzzing/latency-bounded", name, message);
            }
        }
    }

    /// How long one call takes, the better of two.
    async fn time_of(&mut self, name: &str, arguments: &Value) -> Option<Duration> {
        let mut best: Option<Duration> = None;
        for _ in 0..2 {
            if !self.arena.is_open() {
                return None;
            }
            let mut case = FuzzCase::of(Phase::Growth, "a text of growing length", Step::call(name, arguments));
            case.expect = Expect::Arguments {
                explicit: false,
                coercible: false,
            };
            self.run(vec![case], Phase::Growth).await;
            // A look in between leaves nothing to see; then the server was lost.
            let record = self.arena.gathered.last()?;
            let answered = record
                .answers
                .iter()
                .flatten()
                .all(|answer| !matches!(answer.outcome, Outcome::Silence | Outcome::Closed));
            let took = record.took;
            if !answered {
                return None;
            }
            best = Some(best.map_or(took, |best| best.min(took)));
        }
        best
    }
}
