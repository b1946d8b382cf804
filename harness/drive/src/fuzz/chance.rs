//! Random cases. Each comes from the seed, its phase and its number, and, where the campaign listens, from what answers have looked like so far.

use std::collections::BTreeSet;

use serde_json::Value;
use touchstone_core::pointer::below;
use touchstone_core::revision::{Era, Revision};
use touchstone_core::trace::TransportKind;
use touchstone_generate::{Dice, Malformed, Spelling, malformed, mutate};

use super::case::{Bind, Expect, FuzzCase, Phase, Step, What};
use super::feedback::{FOLLOWING, Feedback};
use super::http;
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
    pub transport: TransportKind,
    /// Malformed messages that are small enough to be sent often.
    pub odd: &'a [Malformed],
}

/// Largest malformed message that is sent by chance, in bytes.
const SMALL: usize = 4_096;

/// The malformed messages of [`Random::odd`]. Making them costs more than sending one.
pub(super) fn odd_messages(revision: Revision) -> Vec<Malformed> {
    let probe = match revision.era() {
        Era::Stateful => "ping",
        Era::Stateless => "server/discover",
    };
    let mut all = malformed(probe, "touchstone-random");
    all.retain(|message| message.bytes.len() < SMALL);
    all
}

/// How often a sequence goes on with the tool that was called last, in percent.
const AGAIN: usize = 50;
/// How often a sequence may go on from one with a tool that takes its time, in percent.
const PATIENT: usize = 4;
/// Tools that are handed what another one has given, when that is followed up.
const MOST_TAKERS: usize = 8;
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
            85..89 if self.transport.is_http() => http::random(self.revision, self.transport, dice),
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

    /// Whether a case calls a tool that takes its time.
    fn takes_time(&self, case: &FuzzCase) -> bool {
        let mut called = case.steps.iter().filter_map(Step::called);
        called.any(|(name, _)| self.slow.contains(&name))
    }

    /// A call for a sequence; values of earlier answers are used where names suggest it.
    fn step(&self, dice: &mut Dice, before: &[Step]) -> Option<Step> {
        let again = before.last().and_then(Step::called).filter(|_| dice.chance(AGAIN));
        let again = again.filter(|(name, _)| !self.slow.contains(name));
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
                step.binds.push(handing(dice.below(before.len()), name));
            }
        }
        Some(step)
    }

    /// A call that gives something, and calls that take it.
    fn handed_on(&self, dice: &mut Dice) -> Option<Vec<Step>> {
        let mut ways = Vec::new();
        let patient = dice.chance(PATIENT);
        for tool in self.toolbox.callable().filter(|tool| tool.generator.is_some()) {
            let properties = tool
                .definition
                .pointer("/inputSchema/properties")
                .and_then(Value::as_object);
            for name in properties.into_iter().flatten().map(|(name, _)| name) {
                let givers = self.feedback.producers(name).filter(|giver| **giver != tool.name);
                let takes_time = |giver: &str| self.slow.contains(&tool.name) || self.slow.contains(giver);
                let givers = givers.filter(|giver| patient || !takes_time(giver));
                ways.extend(givers.filter_map(|giver| Some((self.toolbox.tool(giver)?, tool, name))));
            }
        }
        let (giver, taker, name) = *dice.pick(&ways)?;
        let mut steps = vec![Step::call(&giver.name, &self.value(giver, dice, false)?)];
        for _ in 0..=dice.below(3) {
            // What takes the same may be another tool.
            let others: Vec<&Tool> = ways
                .iter()
                .filter(|(other, _, property)| other.name == giver.name && *property == name)
                .map(|(_, taker, _)| *taker)
                .collect();
            let taker = if dice.chance(60) {
                taker
            } else {
                dice.pick(&others).copied().unwrap_or(taker)
            };
            let value = self.value(taker, dice, false)?;
            steps.push(taking(taker, value, 0, name));
        }
        Some(steps)
    }

    /// The next call of a tool that takes one of a few values: all of them in turn.
    fn next_choice(&self, name: &str, turn: u64) -> Option<Step> {
        let tool = self.toolbox.tool(name)?;
        let (member, values) = tool.choices().into_iter().next()?;
        let value = values.get(usize::try_from(turn).ok()? % values.len())?;
        choosing(tool, member, value.clone())
    }

    /// What may come after calls that led to something new: the last one once more, every choice that its tool leaves, and what takes the values that it
    /// has given. A lock is opened pin by pin. Nothing comes of a tool that changes nothing.
    pub(super) fn follow_up(&self, led: &FuzzCase) -> Vec<FuzzCase> {
        let Some((last, (name, _))) = led.steps.last().and_then(|step| Some((step, step.called()?))) else {
            return Vec::new();
        };
        let tool = self.toolbox.tool(&name).filter(|tool| tool.callable && !tool.read_only);
        let Some(tool) = tool.filter(|tool| !self.slow.contains(&tool.name)) else {
            return Vec::new();
        };
        let mut next = vec![last.clone()];
        for (member, values) in tool.choices() {
            next.extend(values.into_iter().filter_map(|value| choosing(tool, member, value)));
        }
        next.extend(self.takers(&name, led.steps.len() - 1));
        let then = |step| {
            let mut steps = led.steps.clone();
            steps.iter_mut().for_each(|step| step.held = false);
            steps.push(step);
            let mut case = of_steps(Phase::Stateful, steps)?;
            FOLLOWING.clone_into(&mut case.label);
            case.number = led.number;
            Some(case)
        };
        next.into_iter().filter_map(then).collect()
    }

    /// Calls of other tools with an argument named like something that a tool has given, handed on from a step with that tool.
    fn takers(&self, giver: &str, step: usize) -> Vec<Step> {
        let others = self
            .toolbox
            .callable()
            .filter(|tool| tool.name != giver && !self.slow.contains(&tool.name));
        let calls = others.filter_map(|tool| {
            let properties = tool.definition.pointer("/inputSchema/properties")?.as_object()?;
            let given = |name: &&String| self.feedback.producers(name).any(|producer| producer == giver);
            let name = properties.keys().find(given)?;
            Some(taking(tool, tool.simplest.clone()?, step, name))
        });
        calls.take(MOST_TAKERS).collect()
    }

    fn sequence(&self, phase: Phase, dice: &mut Dice) -> Option<FuzzCase> {
        if self.guided
            && dice.chance(20)
            && let Some(steps) = self.handed_on(dice)
        {
            return of_steps(phase, steps);
        }
        let parent = if self.guided && dice.chance(70) {
            self.feedback.parent(dice)
        } else {
            None
        };
        let patient = dice.chance(PATIENT);
        let parent = parent.filter(|kept| patient || !self.takes_time(&kept.case));
        let mut steps = parent.map(|kept| kept.case.steps.clone()).unwrap_or_default();
        let last = steps.last().and_then(Step::called);
        if steps.is_empty() {
            for _ in 0..=dice.below(LONGEST_SEQUENCE) {
                let step = self.step(dice, &steps)?;
                steps.push(step);
            }
        } else {
            match dice.below(10) {
                // Mostly one more call: what is new came of the last one. Few values are gone through one by one.
                0..3 if let Some(step) = parent
                    .zip(last)
                    .and_then(|(kept, (name, _))| self.next_choice(&name, kept.turn())) =>
                {
                    steps.push(step);
                }
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
        of_steps(phase, steps)
    }

    fn disturbed(&self, dice: &mut Dice) -> Option<FuzzCase> {
        let message = dice.pick(self.odd)?.disturbed(dice);
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

/// What a step's answer gave, put into an argument.
fn handing(step: usize, argument: &str) -> Bind {
    Bind {
        step,
        from: String::new(),
        into: below("/arguments", argument),
    }
}

/// A call with an argument that a step's answer gave.
fn taking(tool: &Tool, arguments: Value, step: usize, argument: &str) -> Step {
    let mut arguments = arguments;
    if let Some(members) = arguments.as_object_mut() {
        members.entry(argument.to_owned()).or_insert_with(|| Value::from(""));
    }
    let mut call = Step::call(&tool.name, &arguments);
    call.binds.push(handing(step, argument));
    call
}

/// The simplest call of a tool with one argument chosen.
fn choosing(tool: &Tool, argument: &str, value: Value) -> Option<Step> {
    let mut arguments = tool.simplest.clone()?;
    arguments.as_object_mut()?.insert(argument.to_owned(), value);
    Some(Step::call(&tool.name, &arguments))
}

fn of_steps(phase: Phase, steps: Vec<Step>) -> Option<FuzzCase> {
    let mut case = FuzzCase::of(phase, "a sequence of calls", steps.first()?.clone());
    case.subject = steps.last().map(Step::subject).unwrap_or_default();
    case.steps = steps;
    Some(case)
}
