//! Making what was found small: on a fresh server for each attempt, first the conversation, then the messages, then their values and bytes.
//!
//! An attempt holds when the same signature is seen again; of a death, when the server dies again. Attempts are bounded by number and time, and the
//! smallest conversation found so far is given back whenever they run out.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use touchstone_core::monitor::{self, Context, Conversation};
use touchstone_core::revision::Revision;
use touchstone_core::spec::judge::Judgement;
use touchstone_core::spec::requirement::Catalog;
use touchstone_core::spec::schema::SchemaLibrary;
use touchstone_core::verdict::{self, Observation};
use touchstone_generate::simpler;

use super::arena::{Arena, Window};
use super::case::{Expect, FuzzCase, RelationKind, Step, What};
use super::ledger::{self, Reproduced, is_death};
use super::oracle;
use super::relations;
use super::toolbox::Toolbox;
use crate::execute::CallPolicy;
use crate::session::Connector;

/// Where attempts are made.
pub(super) struct Lab<'a> {
    pub connector: &'a Connector,
    pub revision: Revision,
    pub policy: (CallPolicy, BTreeSet<String>),
    pub catalog: &'a Catalog,
    pub schemas: &'a SchemaLibrary,
    pub toolbox: &'a Toolbox,
    pub within: Duration,
    pub cancel: &'a CancellationToken,
}

/// How much may be spent on one finding.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    pub spawns: usize,
    pub time: Duration,
}

/// What is looked for.
#[derive(Debug, Clone)]
pub(super) struct Sign {
    pub signature: String,
    pub death: bool,
}

/// What came of the work.
pub(super) struct Smallest {
    pub cases: Vec<FuzzCase>,
    pub reproduced: Reproduced,
    pub spawns: usize,
}

/// Attempts with the smallest conversation at the end.
const CONFIRMATIONS: u32 = 3;

struct Work<'l, 'a> {
    lab: &'l Lab<'a>,
    sign: &'l Sign,
    spawns: usize,
    most: usize,
    deadline: Instant,
    /// The keyword that the arguments of the last call break, and must go on to break.
    keyword: Option<Option<String>>,
}

impl Lab<'_> {
    /// Everything that is to be seen of some cases on a fresh server; `None` when it cannot be started.
    pub(super) async fn observe(&self, cases: &[FuzzCase]) -> Option<Vec<Observation>> {
        let mut arena = Arena::new(self.connector, self.revision, self.policy.clone(), "again");
        arena.open().await.ok()?;
        let mut rest = cases;
        while !rest.is_empty()
            && let Some(batch) = arena.run(rest.to_vec(), Some(self.within)).await
        {
            rest = if batch.lost { &[] } else { &rest[batch.done..] };
        }
        let window = arena.window();
        arena.discard().await;
        let window = window?;
        Some(self.judge(&window))
    }

    /// What monitors and oracle say of a window; deaths are told with the case that they followed on.
    pub(super) fn judge(&self, window: &Window) -> Vec<Observation> {
        let context = Context {
            revision: self.revision,
            schemas: self.schemas.for_revision(self.revision),
        };
        let conversation = Conversation::of(&window.trace);
        let mut observations = monitor::observe(&conversation, &context);
        for observation in &mut observations {
            blame(observation, window, &BTreeSet::new());
        }
        let own = oracle::judge(window, self.toolbox);
        observations.extend(own.into_iter().map(|verdict| verdict.observation));
        observations
    }

    /// Whether one of the observations is what is looked for.
    fn is_seen(&self, observations: &[Observation], sign: &Sign) -> bool {
        observations.iter().any(|observation| {
            if sign.death {
                return is_death(observation);
            }
            verdict::identity(self.catalog, self.revision, observation)
                .is_some_and(|(signature, _)| signature == sign.signature)
        })
    }

    /// Whether some cases show it on a fresh server.
    pub(super) async fn shows(&self, cases: &[FuzzCase], sign: &Sign) -> Option<bool> {
        Some(self.is_seen(&self.observe(cases).await?, sign))
    }

    /// Makes a conversation small. `suspects` are tried alone first, then each of them behind the end of `before`, longer and longer.
    pub(super) async fn shrink(
        &self,
        sign: &Sign,
        suspects: &[FuzzCase],
        before: &[FuzzCase],
        allowance: Allowance,
    ) -> Smallest {
        let mut work = Work {
            lab: self,
            sign,
            spawns: 0,
            most: allowance.spawns,
            deadline: Instant::now() + allowance.time,
            keyword: None,
        };
        let Some(mut cases) = work.find(suspects, before).await else {
            return Smallest {
                cases: suspects.first().cloned().into_iter().collect(),
                reproduced: Reproduced::Never(u32::try_from(work.spawns).unwrap_or(u32::MAX)),
                spawns: work.spawns,
            };
        };
        work.fewer_cases(&mut cases).await;
        work.fewer_steps(&mut cases).await;
        work.smaller_values(&mut cases).await;
        work.fewer_fields(&mut cases).await;
        work.fewer_bytes(&mut cases).await;
        // The rest of the allowance does not matter here: nothing is reported that was not seen again.
        let mut times = 0;
        let mut of = 0;
        for _ in 0..CONFIRMATIONS {
            if self.cancel.is_cancelled() {
                break;
            }
            of += 1;
            work.spawns += 1;
            times += u32::from(self.shows(&cases, sign).await == Some(true));
        }
        Smallest {
            cases,
            reproduced: match (times, of) {
                (_, 0) => Reproduced::NotTried("the campaign was interrupted".to_owned()),
                (0, of) => Reproduced::Never(of),
                (times, of) if times == of => Reproduced::Always(of),
                (times, of) => Reproduced::Sometimes(times, of),
            },
            spawns: work.spawns,
        }
    }
}

/// Tells the death of a server with the case that it followed on, so that different causes have different signatures.
pub(super) fn blame(observation: &mut Observation, window: &Window, slow: &BTreeSet<String>) -> Option<usize> {
    if !is_death(observation) {
        return None;
    }
    let record = prime_suspect(window, slow).or_else(|| culprit(observation, window))?;
    let case = &window.records[record].case;
    let breach = ledger::breach(observation)?;
    breach.message = format!("{}; this came after {} ({})", breach.message, case.label, case.subject);
    breach.about = Some(case.subject.clone());
    Some(record)
}

/// Of the cases that were on their way when the server ended: the first that is not simply slow. A server takes one after the other.
pub(super) fn prime_suspect(window: &Window, slow: &BTreeSet<String>) -> Option<usize> {
    let unanswered = || {
        let records = window.records.iter().enumerate();
        records.filter(|(_, record)| record.is_unanswered())
    };
    let quick = unanswered().find(|(_, record)| !slow.contains(&record.case.subject));
    quick.or_else(|| unanswered().next()).map(|(index, _)| index)
}

/// The record that an observation is about: the one that sent what its evidence shows, or during which it happened.
pub(super) fn culprit(observation: &Observation, window: &Window) -> Option<usize> {
    let events = || observation.evidence.iter().map(|evidence| evidence.event);
    let sent = |event: usize| {
        window
            .records
            .iter()
            .position(|record| record.sent.contains(&Some(event)))
    };
    let answered = |event: usize| {
        let answers = |record: &super::arena::Record| {
            record
                .answers
                .iter()
                .flatten()
                .any(|answer| answer.event == Some(event))
        };
        window.records.iter().position(answers)
    };
    let within = |event: usize| window.records.iter().position(|record| record.events.contains(&event));
    let before = |event: usize| window.records.iter().rposition(|record| record.events.start <= event);
    events()
        .find_map(sent)
        .or_else(|| events().find_map(answered))
        .or_else(|| events().find_map(within))
        .or_else(|| events().filter_map(before).next())
}

impl Work<'_, '_> {
    fn is_over(&self) -> bool {
        self.spawns >= self.most || Instant::now() >= self.deadline || self.lab.cancel.is_cancelled()
    }

    async fn holds(&mut self, cases: &[FuzzCase]) -> bool {
        if cases.is_empty() || self.is_over() || !self.keeps_its_keyword(cases) {
            return false;
        }
        self.spawns += 1;
        self.lab.shows(cases, self.sign).await == Some(true)
    }

    /// Whether the last call is as valid or invalid as it was, and by the same keyword. A call that is refused and ends the server may break anything;
    /// one that is valid stays so, as a crash of proper use says more than any other.
    fn keeps_its_keyword(&mut self, cases: &[FuzzCase]) -> bool {
        const ABOUT_ARGUMENTS: [&str; 4] = [
            "tools/input-",
            "tools/hostile-arguments",
            "fuzzing/valid-arguments",
            "fuzzing/no-internal-error",
        ];
        let about_arguments = ABOUT_ARGUMENTS.iter().any(|id| self.sign.signature.starts_with(id));
        if !self.sign.death && !about_arguments {
            return true;
        }
        let last = cases.last().and_then(|case| case.steps.last()).and_then(Step::called);
        let Some((name, arguments)) = last else { return true };
        let judged = self.lab.toolbox.tool(&name).and_then(|tool| tool.judge(&arguments));
        let keyword = match judged {
            Some(Judgement::Invalid(violations)) => violations.first().map(|violation| violation.keyword.clone()),
            _ => None,
        };
        match &self.keyword {
            None => {
                self.keyword = Some(keyword);
                true
            }
            Some(Some(_)) if self.sign.death => true,
            Some(wanted) => *wanted == keyword,
        }
    }

    /// A conversation that shows it: one suspect, or the end of what was sent before.
    async fn find(&mut self, suspects: &[FuzzCase], before: &[FuzzCase]) -> Option<Vec<FuzzCase>> {
        for suspect in suspects.iter().take(6) {
            self.keyword = None;
            let alone = vec![suspect.clone()];
            if self.holds(&alone).await {
                return Some(alone);
            }
        }
        let mut length = 6;
        loop {
            let start = before.len().saturating_sub(length);
            for suspect in suspects.iter().take(3) {
                self.keyword = None;
                let mut end = before[start..].to_vec();
                end.push(suspect.clone());
                if self.holds(&end).await {
                    return Some(end);
                }
            }
            if start == 0 || self.is_over() {
                return None;
            }
            length *= 6;
        }
    }

    /// Leaves cases out, many at a time first.
    async fn fewer_cases(&mut self, cases: &mut Vec<FuzzCase>) {
        let mut chunk = cases.len() / 2;
        while chunk > 0 && cases.len() > 1 {
            let mut at = 0;
            while at < cases.len() && cases.len() > 1 {
                let mut fewer = cases.clone();
                fewer.drain(at..(at + chunk).min(cases.len()));
                if self.holds(&fewer).await {
                    *cases = fewer;
                } else {
                    at += chunk;
                }
                if self.is_over() {
                    return;
                }
            }
            chunk /= 2;
        }
    }

    /// Leaves steps of cases out, unless they are compared with each other.
    async fn fewer_steps(&mut self, cases: &mut Vec<FuzzCase>) {
        for index in 0..cases.len() {
            if cases[index].relation.is_some() {
                continue;
            }
            let mut chunk = cases[index].steps.len() / 2;
            while chunk > 0 && cases[index].steps.len() > 1 {
                let mut at = 0;
                while at < cases[index].steps.len() && cases[index].steps.len() > 1 {
                    let mut fewer = cases.clone();
                    remove_steps(&mut fewer[index], at, chunk);
                    if !fewer[index].steps.is_empty() && self.holds(&fewer).await {
                        *cases = fewer;
                    } else {
                        at += chunk;
                    }
                    if self.is_over() {
                        return;
                    }
                }
                chunk /= 2;
            }
            // Nothing need be sent together, and no value come from an earlier answer, if it shows without.
            let mut plain = cases.clone();
            for step in &mut plain[index].steps {
                step.held = false;
                step.binds.clear();
            }
            if plain != *cases && self.holds(&plain).await {
                *cases = plain;
            }
        }
    }

    /// Makes the params of requests simpler.
    async fn smaller_values(&mut self, cases: &mut Vec<FuzzCase>) {
        for index in 0..cases.len() {
            if let Some(kind) = cases[index].relation.as_ref().map(|relation| relation.kind) {
                if let RelationKind::Spelled(_) = kind {
                    self.smaller_spelled(cases, index).await;
                }
                continue;
            }
            for step in 0..cases[index].steps.len() {
                loop {
                    let now = cases.clone();
                    let Some(value) = inner(&now[index].steps[step]) else {
                        break;
                    };
                    let candidates = simpler(&value).into_iter().filter_map(|candidate| {
                        let mut changed = now.clone();
                        changed[index].steps[step] = with_inner(&now[index].steps[step], &candidate)?;
                        Some(changed)
                    });
                    if !self.take_up_first(cases, candidates).await {
                        break;
                    }
                }
            }
        }
    }

    /// The same for arguments whose spelling is the point.
    async fn smaller_spelled(&mut self, cases: &mut Vec<FuzzCase>, index: usize) {
        let lab = self.lab;
        loop {
            let now = cases.clone();
            let case = &now[index];
            let (Some(relation), Some((name, value))) = (&case.relation, case.steps.first().and_then(Step::called))
            else {
                return;
            };
            let (RelationKind::Spelled(spelling), Some(tool)) = (relation.kind, lab.toolbox.tool(&name)) else {
                return;
            };
            let simpler = simpler(&value).into_iter().filter(Value::is_object);
            let candidates = simpler.filter_map(|candidate| {
                let mut smaller = relations::spelled(case.phase, tool, &candidate, spelling)?;
                smaller.number = case.number;
                let mut changed = now.clone();
                changed[index] = smaller;
                Some(changed)
            });
            if !self.take_up_first(cases, candidates).await {
                return;
            }
        }
    }

    /// Takes up the first of the candidates that still shows it. False when none does, or the time is over.
    async fn take_up_first(
        &mut self,
        cases: &mut Vec<FuzzCase>,
        candidates: impl Iterator<Item = Vec<FuzzCase>>,
    ) -> bool {
        for candidate in candidates {
            if self.holds(&candidate).await {
                *cases = candidate;
                return true;
            }
            if self.is_over() {
                return false;
            }
        }
        false
    }

    /// Leaves changes to the fields of HTTP requests out.
    async fn fewer_fields(&mut self, cases: &mut Vec<FuzzCase>) {
        for index in 0..cases.len() {
            // Without the field that is wrong the request would be served rightly.
            if matches!(cases[index].expect, Expect::NotServed(_)) {
                continue;
            }
            for step in 0..cases[index].steps.len() {
                let mut at = 0;
                while let What::Http(message) = &cases[index].steps[step].what
                    && at < message.headers.len()
                {
                    let mut fewer = message.clone();
                    fewer.headers.remove(at);
                    let mut changed = cases.clone();
                    changed[index].steps[step].what = What::Http(fewer);
                    if self.holds(&changed).await {
                        *cases = changed;
                    } else {
                        at += 1;
                    }
                    if self.is_over() {
                        return;
                    }
                }
            }
        }
    }

    /// Leaves bytes out of messages that are no requests.
    async fn fewer_bytes(&mut self, cases: &mut Vec<FuzzCase>) {
        for index in 0..cases.len() {
            for step in 0..cases[index].steps.len() {
                let What::Raw(bytes) = &cases[index].steps[step].what else {
                    continue;
                };
                let mut best = bytes.clone();
                let mut chunk = best.len() / 2;
                while chunk > 0 {
                    let mut at = 0;
                    while at < best.len() {
                        let mut fewer = best.clone();
                        fewer.drain(at..(at + chunk).min(best.len()));
                        let mut changed = cases.clone();
                        changed[index].steps[step].what = What::Raw(fewer.clone());
                        if self.holds(&changed).await {
                            best = fewer;
                            *cases = changed;
                        } else {
                            at += chunk;
                        }
                        if self.is_over() {
                            return;
                        }
                    }
                    chunk /= 2;
                }
            }
        }
    }
}

/// Leaves steps out, and what was bound to their answers.
fn remove_steps(case: &mut FuzzCase, at: usize, count: usize) {
    let end = (at + count).min(case.steps.len());
    case.steps.drain(at..end);
    let removed = end - at;
    for step in &mut case.steps {
        step.binds.retain(|bind| !(at..end).contains(&bind.step));
        for bind in step.binds.iter_mut().filter(|bind| bind.step >= end) {
            bind.step -= removed;
        }
    }
    if let Some(last) = case.steps.last_mut() {
        last.held = false;
    }
}

/// The part of a request that may become simpler: the arguments of a call, the params of anything else.
fn inner(step: &Step) -> Option<Value> {
    if let Some((_, arguments)) = step.called() {
        return Some(arguments);
    }
    match &step.what {
        What::Request { params, .. } => serde_json::from_str(params.as_deref()?).ok(),
        _ => None,
    }
}

fn with_inner(step: &Step, value: &Value) -> Option<Step> {
    let mut changed = step.clone();
    let called = step.called();
    let What::Request { params, .. } = &mut changed.what else {
        return None;
    };
    match called {
        Some(_) => {
            let mut whole: Value = serde_json::from_str(params.as_deref()?).ok()?;
            whole["arguments"] = value.clone();
            *params = Some(whole.to_string());
        }
        None => *params = value.is_object().then(|| value.to_string()),
    }
    changed.binds.retain(|bind| {
        let here = params_of(&step.what).is_some_and(|params| params.pointer(&bind.into).is_some());
        here && value.is_object()
    });
    Some(changed)
}

fn params_of(what: &What) -> Option<Value> {
    match what {
        What::Request { params, .. } => serde_json::from_str(params.as_deref()?).ok(),
        _ => None,
    }
}
