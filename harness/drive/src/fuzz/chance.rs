//! Random cases. Each comes from the seed, its phase and its number, and, where the campaign listens, from what answers have looked like so far.

use std::collections::BTreeSet;

use serde_json::Value;
use touchstone_core::revision::Revision;
use touchstone_generate::{Dice, Spelling, malformed, mutate};

use super::case::{Bind, Expect, FuzzCase, Phase, Step, What};
use super::feedback::Feedback;
use super::relations::spelled;
use super::toolbox::{Tool, Toolbox};

/// Where random choices come from.
pub(super) struct Random<'a> {
    pub toolbox: &'a Toolbox,
    pub feedback: &'a Feedback,
    pub seed: u64,
    /// Whether what was new is gone on from.
    pub guided: bool,
    /// Tools that take their time: they are called rarely.
    pub slow: &'a BTreeSet<String>,
    pub revision: Revision,
}

/// Calls in a sequence.
const LONGEST_SEQUENCE: usize = 8;

impl Random<'_> {
    fn dice(&self, phase: Phase, number: u64) -> Dice {
        Dice::new(self.seed, ((phase as u64) << 48) | number)
    }

    /// A sequence of calls that use what earlier ones gave.
    pub(super) fn stateful(&self, number: u64) -> Option<FuzzCase> {
        let dice = &mut self.dice(Phase::Stateful, number);
        let mut case = self.sequence(Phase::Stateful, dice)?;
        case.number = number;
        Some(case)
    }

    /// Anything.
    pub(super) fn any(&self, number: u64) -> Option<FuzzCase> {
        let dice = &mut self.dice(Phase::Random, number);
        let case = match dice.below(100) {
            0..45 => self.arguments(dice),
            45..85 => self.sequence(Phase::Random, dice),
            85..93 => self.disturbed(dice),
            _ => self.respelled(dice),
        };
        let mut case = case.or_else(|| self.disturbed(dice))?;
        case.number = number;
        Some(case)
    }

    fn tool(&self, dice: &mut Dice) -> Option<&Tool> {
        let tools: Vec<&Tool> = self
            .toolbox
            .callable()
            .filter(|tool| tool.generator.is_some())
            .collect();
        // Tools with more to get wrong get more attention.
        let weights = tools.iter().map(|tool| match self.slow.contains(&tool.name) {
            true => 1,
            false => 20 + (tool.edges.len() + tool.flaws.len()).min(60) * 2,
        });
        let weights: Vec<usize> = weights.collect();
        let mut roll = dice.below(weights.iter().sum());
        for (tool, weight) in tools.into_iter().zip(weights) {
            if roll < weight {
                return Some(tool);
            }
            roll -= weight;
        }
        None
    }

    /// Valid, nearly valid or changed arguments.
    fn value(&self, tool: &Tool, dice: &mut Dice, wild: bool) -> Option<Value> {
        let edge = |dice: &mut Dice| dice.pick(&tool.edges).map(|edge| edge.value.clone());
        let sample = |dice: &mut Dice| tool.generator.as_ref().and_then(|generator| generator.sample(dice));
        let base = match dice.below(10) {
            0..4 => edge(dice).or_else(|| sample(dice)),
            _ => sample(dice).or_else(|| edge(dice)),
        };
        let mut value = base.filter(Value::is_object).or_else(|| tool.simplest.clone())?;
        if wild && dice.chance(60) {
            for _ in 0..=dice.below(3) {
                let changed = mutate(&value, dice, self.feedback.pool());
                if changed.is_object() {
                    value = changed;
                }
            }
        }
        Some(value)
    }

    fn arguments(&self, dice: &mut Dice) -> Option<FuzzCase> {
        let tool = self.tool(dice)?;
        let value = self.value(tool, dice, true)?;
        let mut case = FuzzCase::of(Phase::Random, "random arguments", Step::call(&tool.name, &value));
        case.expect = Expect::Arguments {
            explicit: false,
            coercible: true,
        };
        case.independent = tool.read_only;
        Some(case)
    }

    /// A call for a sequence; values of earlier answers are used where names suggest it.
    fn step(&self, dice: &mut Dice, before: &[Step]) -> Option<Step> {
        let again = before.last().and_then(Step::called).filter(|_| dice.chance(35));
        let tool = match again.and_then(|(name, _)| self.toolbox.tool(&name)) {
            Some(tool) => tool,
            None => self.tool(dice)?,
        };
        let value = self.value(tool, dice, dice.clone().chance(10))?;
        let mut step = Step::call(&tool.name, &value);
        if !before.is_empty() && dice.chance(40) {
            let scalar = |value: &Value| value.is_string() || value.is_number();
            let names: Vec<&String> = value
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(_, value)| scalar(value))
                .map(|(name, _)| name)
                .collect();
            if let Some(name) = dice.pick(&names) {
                step.binds.push(Bind {
                    step: dice.below(before.len()),
                    from: String::new(),
                    into: format!("/arguments/{}", name.replace('~', "~0").replace('/', "~1")),
                });
            }
        }
        Some(step)
    }

    fn sequence(&self, phase: Phase, dice: &mut Dice) -> Option<FuzzCase> {
        let parent = if self.guided && dice.chance(70) {
            self.feedback.parent(dice)
        } else {
            None
        };
        let mut steps = parent.map(|case| case.steps.clone()).unwrap_or_default();
        if steps.is_empty() {
            for _ in 0..=dice.below(LONGEST_SEQUENCE) {
                let step = self.step(dice, &steps)?;
                steps.push(step);
            }
        } else {
            match dice.below(10) {
                // Mostly one more call: what is new came of the last one.
                0..6 => {
                    let step = self.step(dice, &steps)?;
                    steps.push(step);
                }
                6 | 7 => {
                    let last = steps.len() - 1;
                    let step = self.step(dice, &steps[..last])?;
                    steps[last] = step;
                }
                8 if steps.len() > 1 => {
                    steps.remove(dice.below(steps.len() - 1));
                    steps.iter_mut().for_each(|step| step.binds.clear());
                }
                _ => {
                    let at = dice.below(steps.len());
                    if let Some((name, arguments)) = steps[at].called() {
                        let changed = mutate(&arguments, dice, self.feedback.pool());
                        if changed.is_object() {
                            steps[at] = Step::call(&name, &changed);
                        }
                    }
                }
            }
            steps.truncate(LONGEST_SEQUENCE * 2);
        }
        let mut case = FuzzCase::of(phase, "a sequence of calls", steps[0].clone());
        case.subject = steps.last().map(Step::subject).unwrap_or_default();
        case.steps = steps;
        Some(case)
    }

    fn disturbed(&self, dice: &mut Dice) -> Option<FuzzCase> {
        let stateful = self.revision.era() == touchstone_core::revision::Era::Stateful;
        let all = malformed(if stateful { "ping" } else { "server/discover" }, "touchstone-random");
        let small: Vec<_> = all.into_iter().filter(|message| message.bytes.len() < 4_096).collect();
        let message = dice.pick(&small)?.disturbed(dice);
        let mut case = FuzzCase::of(Phase::Random, message.label, Step::new(What::Raw(message.bytes)));
        case.legal = false;
        message.family.clone_into(&mut case.subject);
        Some(case)
    }

    fn respelled(&self, dice: &mut Dice) -> Option<FuzzCase> {
        let tool = self.tool(dice).filter(|tool| tool.read_only)?;
        let value = self.value(tool, dice, false)?;
        let spelling = *dice.pick(&Spelling::ALL)?;
        spelled(Phase::Random, tool, &value, spelling)
    }
}
