//! What answers look like, without their values: how a campaign notices that it has come to something new.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;
use touchstone_core::jsonrpc;

use super::arena::Record;
use super::case::{FuzzCase, Phase, Step};
use crate::session::Answer;

/// Cases that are kept to go on from.
const MOST_KEPT: usize = 400;
/// Of those with news of their form, so many of the last are gone on from most.
const FRESH: usize = 4;
/// Sightings up to which a form counts as new.
const RARE: u64 = 12;
/// Cases that are kept of one form.
const SIGHTINGS: u32 = 3;
/// What a case is called that follows up something new.
pub(super) const FOLLOWING: &str = "a call that follows something new";
/// Cases of one form that are followed up.
const FOLLOWED: u32 = 2;
/// Steps of the longest that is.
const LONGEST_FOLLOWED: usize = 8;
/// Calls that are remembered.
const MOST_RECENT: usize = 64;
/// Those of one tool that are put in front of a case.
const CONTEXT: usize = 2;
/// Shapes that are told apart.
const MOST_SHAPES: usize = 20_000;
/// Values that are kept to be used again.
const MOST_VALUES: usize = 256;

/// Different texts of one tool that count as news; what gives back every text it gets would be news for ever.
const MOST_TEXTS: u32 = 24;

/// What was seen, and what is worth going on from. Grows only with what answers look like, never with how long they took.
#[derive(Default)]
pub(super) struct Feedback {
    shapes: BTreeMap<String, u64>,
    /// How many different texts each tool has given.
    texts: BTreeMap<String, u32>,
    /// What led to something new, oldest first.
    kept: Vec<Kept>,
    /// The tools whose answers have had a member of that name.
    producers: BTreeMap<String, BTreeSet<String>>,
    /// How often each form is kept.
    forms: BTreeMap<String, u32>,
    /// What led to a new form and is to be followed up, oldest first.
    due: Vec<FuzzCase>,
    /// How often that was done for each form.
    followed: BTreeMap<String, u32>,
    /// The same for each tool.
    turns: BTreeMap<String, u32>,
    /// The last calls, oldest first.
    recent: VecDeque<Step>,
    pool: Vec<Value>,
    known: BTreeSet<String>,
}

/// What was new about an answer, least telling first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum News {
    /// What came after what.
    Passage,
    /// Its words.
    Words,
    /// Its form.
    Form,
}

/// A case that led to something new.
pub(super) struct Kept {
    pub case: FuzzCase,
    shape: String,
    news: News,
    /// How often it was gone on from.
    chosen: Cell<u64>,
    /// How often with the next of a range of values.
    turns: Cell<u64>,
}

impl Kept {
    /// A number that is another one, the next, every time.
    pub(super) fn turn(&self) -> u64 {
        self.turns.replace(self.turns.get() + 1)
    }
}

impl Feedback {
    /// Looks at what came of a case; keeps it when something about it is new. True when something is.
    pub(super) fn learn(&mut self, record: &Record, keep: bool) -> bool {
        let mut novel: Option<(News, String)> = None;
        let mut before = String::new();
        for (index, answer) in record.answers.iter().enumerate() {
            let Some(answer) = answer else { continue };
            let step = record.case.steps.get(index);
            let subject = step.map(super::case::Step::subject).unwrap_or_default();
            let message = answer.message.as_ref();
            let result = message.and_then(|message| message.get("result"));
            let code = message
                .and_then(|message| message.pointer("/error/code"))
                .map(Value::to_string)
                .unwrap_or_default();
            let error = message
                .and_then(|message| message.pointer("/error/message"))
                .and_then(Value::as_str);
            let outcome = answer.outcome.as_str();
            let form = format!(
                "{subject} {outcome} {code} {}",
                result.map(|result| shape(result, 0)).unwrap_or_default()
            );
            let mut news = self.is_rare(&form).then(|| (News::Form, form.clone()));
            let words = error
                .map(masked)
                .or_else(|| Some(masked(result?.pointer("/content/0/text")?.as_str()?)));
            if let Some(words) = words
                && self.texts.get(&subject).is_none_or(|texts| *texts < MOST_TEXTS)
                && self.is_new(&format!("{form} {words}"))
            {
                *self.texts.entry(subject.clone()).or_default() += 1;
                news.get_or_insert_with(|| (News::Words, form.clone()));
            }
            let passage = format!("{before} > {subject} {outcome} {code}");
            if self.is_new(&passage) {
                news.get_or_insert((News::Passage, passage));
            }
            before = format!("{subject} {outcome} {code}");
            novel = novel.max(news);
            if let Some(message) = message {
                for (name, value) in harvest(message) {
                    if !name.is_empty() && self.producers.len() < MOST_VALUES {
                        self.producers.entry(name).or_default().insert(subject.clone());
                    }
                    if self.pool.len() < MOST_VALUES && self.known.insert(value.to_string()) {
                        self.pool.push(value);
                    }
                }
            }
        }
        let sequence = matches!(record.case.phase, Phase::Random | Phase::Stateful);
        let is_new = novel.is_some();
        let ordinary = record.case.legal && record.case.relation.is_none();
        let called = sequence || matches!(record.case.phase, Phase::Examples | Phase::Coverage);
        if let Some((News::Form, shape)) = novel.as_ref().filter(|_| keep && called && ordinary)
            && record.answers.last().is_some_and(succeeded)
            && record.case.steps.len() <= LONGEST_FOLLOWED
        {
            let times = self.followed.entry(shape.clone()).or_default();
            if *times < FOLLOWED && self.due.len() < MOST_KEPT {
                *times += 1;
                let mut case = record.case.clone();
                // What follows something up begins with what led there.
                if case.label != FOLLOWING {
                    self.put_in_front(&mut case);
                }
                self.due.push(case);
            }
        }
        if let Some((news, shape)) = novel.filter(|_| keep && sequence && ordinary) {
            if self.kept.len() >= MOST_KEPT {
                // What told least, and of that the oldest, makes room.
                let least = self.kept.iter().enumerate().min_by_key(|(_, kept)| kept.news);
                let least = least.map(|(index, _)| index).unwrap_or(0);
                self.kept.remove(least);
            }
            let mut case = record.case.clone();
            if news == News::Form {
                *self.forms.entry(shape.clone()).or_default() += 1;
                self.put_in_front(&mut case);
            }
            self.kept.push(Kept {
                case,
                shape,
                news,
                chosen: Cell::new(0),
                turns: Cell::new(0),
            });
        }
        if ordinary {
            for step in record.case.steps.iter().filter(|step| step.called().is_some()) {
                let mut plain = step.clone();
                plain.held = false;
                plain.binds.clear();
                self.recent.push_back(plain);
            }
            while self.recent.len() > MOST_RECENT {
                self.recent.pop_front();
            }
        }
        is_new
    }

    /// Whether a form was seen a few times only, and is not kept often enough. What other cases had left behind may have brought it about: so one
    /// sighting is no proof that the case leads there.
    fn is_rare(&mut self, form: &str) -> bool {
        self.is_new(form);
        let seen = self.shapes.get(form).copied().unwrap_or(u64::MAX);
        seen <= RARE && self.forms.get(form).copied().unwrap_or(0) < SIGHTINGS
    }

    /// Puts the last calls of the same tool in front of a short case: they may have led to what was new.
    fn put_in_front(&self, case: &mut FuzzCase) {
        if case.steps.len() > 2 || case.steps.iter().any(|step| !step.binds.is_empty()) {
            return;
        }
        let tool = case.steps[0].subject();
        let same = self.recent.iter().rev().filter(|step| step.subject() == tool);
        let mut steps: Vec<Step> = same.take(CONTEXT).cloned().collect();
        steps.reverse();
        steps.append(&mut case.steps);
        case.steps = steps;
    }

    /// Something that led to a new form and was not followed up so far: what following up has led to, newest first, before all else; then tool by tool.
    pub(super) fn take_due(&mut self) -> Option<FuzzCase> {
        let deeper = self.due.iter().rposition(|case| case.label == FOLLOWING);
        let turns = |(_, case): &(usize, &FuzzCase)| self.turns.get(&case.subject).copied();
        let at = deeper.or_else(|| Some(self.due.iter().enumerate().min_by_key(turns)?.0))?;
        let case = self.due.remove(at);
        *self.turns.entry(case.subject.clone()).or_default() += 1;
        Some(case)
    }

    /// Counts a shape; true when it is the first of its kind.
    fn is_new(&mut self, shape: &str) -> bool {
        if let Some(times) = self.shapes.get_mut(shape) {
            *times += 1;
            return false;
        }
        let room = self.shapes.len() < MOST_SHAPES;
        if room {
            self.shapes.insert(shape.to_owned(), 1);
        }
        room
    }

    /// Something to go on from: mostly what was new in its form last, or else what led to rare shapes and was not gone on from often.
    pub(super) fn parent(&self, dice: &mut touchstone_generate::Dice) -> Option<&Kept> {
        let of = |news: News| self.kept.iter().rev().filter(move |kept| kept.news == news).take(FRESH);
        let fresh: Vec<&Kept> = match dice.below(10) {
            0..6 => of(News::Form).collect(),
            6 | 7 => of(News::Words).collect(),
            _ => Vec::new(),
        };
        let kept = match dice.pick(&fresh) {
            Some(kept) => *kept,
            None => {
                let candidates = (0..3).filter_map(|_| dice.pick(&self.kept));
                let seen = |kept: &Kept| self.shapes.get(&kept.shape).copied().unwrap_or(0);
                candidates.min_by_key(|kept| (kept.chosen.get(), seen(kept)))?
            }
        };
        kept.chosen.set(kept.chosen.get() + 1);
        Some(kept)
    }

    /// The tools whose answers have had what an argument of this name may be.
    pub(super) fn producers(&self, argument: &str) -> impl Iterator<Item = &String> {
        let plain = argument.to_ascii_lowercase();
        let named = self.producers.get(argument);
        let id = plain.ends_with("id").then(|| self.producers.get("id")).flatten();
        named.into_iter().chain(id).flatten()
    }

    /// Values that the server has given.
    pub(super) fn pool(&self) -> &[Value] {
        &self.pool
    }

    /// How many different shapes were seen.
    pub(super) fn shapes(&self) -> usize {
        self.shapes.len()
    }
}

/// Whether an answer is the result that a call is meant to have.
fn succeeded(answer: &Option<Answer>) -> bool {
    let result = answer
        .as_ref()
        .and_then(|answer| answer.message.as_ref()?.get("result"));
    result.is_some_and(|result| result.get("isError") != Some(&Value::Bool(true)))
}

/// Names and types, lengths of lists in steps of two, no values.
fn shape(value: &Value, depth: usize) -> String {
    match value {
        Value::Null => "0".to_owned(),
        Value::Bool(flag) => if *flag { "t" } else { "f" }.to_owned(),
        Value::Number(_) => "n".to_owned(),
        Value::String(text) => match jsonrpc::value(text.as_bytes()) {
            Some(inner @ (Value::Object(_) | Value::Array(_))) if depth < 8 => format!("j{}", shape(&inner, depth + 1)),
            _ => "s".to_owned(),
        },
        Value::Array(items) => {
            let bucket = usize::BITS - items.len().leading_zeros();
            let exact = if items.len() <= 8 {
                items.len()
            } else {
                8 + bucket as usize
            };
            let inner: BTreeSet<String> = items.iter().take(8).map(|item| shape(item, depth + 1)).collect();
            format!("[{exact}{}]", inner.into_iter().collect::<Vec<_>>().join(","))
        }
        Value::Object(members) if depth < 8 => {
            let inner: Vec<String> = members
                .iter()
                .take(32)
                .map(|(name, member)| format!("{name}:{}", shape(member, depth + 1)))
                .collect();
            format!("{{{}}}", inner.join(","))
        }
        Value::Object(_) => "{}".to_owned(),
    }
}

/// A text without what changes from call to call: quoted parts, numbers, paths, and everything beyond its first words.
pub(super) fn masked(text: &str) -> String {
    let mut masked = String::new();
    let mut quote = None;
    for word in text.split_whitespace().take(10) {
        for character in word.chars() {
            match (quote, character) {
                (Some(open), close) if open == close => quote = None,
                (Some(_), _) => {}
                (None, '"' | '`' | '\'') => quote = Some(character),
                (None, character) if character.is_ascii_digit() => {
                    if !masked.ends_with('#') {
                        masked.push('#');
                    }
                }
                (None, character) if character.is_ascii_alphabetic() || ".:/_-".contains(character) => {
                    masked.push(character)
                }
                (None, _) => masked.push('?'),
            }
        }
        masked.push(' ');
    }
    masked.truncate(masked.char_indices().nth(120).map_or(masked.len(), |(at, _)| at));
    masked
}

/// Short values in an answer that could name something, with the names of their members: identifiers first.
pub(super) fn harvest(message: &Value) -> Vec<(String, Value)> {
    fn collect(value: &Value, name: &str, found: &mut Vec<(String, Value)>, depth: usize) {
        if depth > 8 || found.len() > 64 {
            return;
        }
        match value {
            Value::Object(members) => {
                for (name, member) in members
                    .iter()
                    .filter(|(name, _)| !["_meta", "type"].contains(&name.as_str()))
                {
                    collect(member, name, found, depth + 1);
                }
            }
            Value::Array(items) => items
                .iter()
                .take(16)
                .for_each(|item| collect(item, name, found, depth + 1)),
            Value::String(text) => {
                if let Some(inner @ (Value::Object(_) | Value::Array(_))) = jsonrpc::value(text.as_bytes()) {
                    collect(&inner, name, found, depth + 1);
                } else if text.len() <= 64 && !text.is_empty() && !text.contains(' ') {
                    found.push((name.to_owned(), value.clone()));
                } else {
                    // "Created issue #7": a word with a number in it is worth a try.
                    let words =
                        text.split(|character: char| !(character.is_ascii_alphanumeric() || "-_".contains(character)));
                    let words = words.filter(|word| word.len() <= 40 && word.bytes().any(|byte| byte.is_ascii_digit()));
                    for word in words.take(4) {
                        found.push((
                            name.to_owned(),
                            word.parse::<i64>().map_or_else(|_| Value::from(word), Value::from),
                        ));
                    }
                }
            }
            Value::Number(_) => found.push((name.to_owned(), value.clone())),
            _ => {}
        }
    }
    let mut found = Vec::new();
    if let Some(result) = message.get("result") {
        collect(result, "", &mut found, 0);
    }
    let is_id = |name: &str| name.eq_ignore_ascii_case("id") || name.ends_with("_id") || name.ends_with("Id");
    found.sort_by_key(|(name, _)| !is_id(name));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_following_up_has_led_to_comes_first_and_then_each_tool_in_turn() {
        let case = |tool: &str, label: &str| FuzzCase::of(Phase::Examples, label, Step::call(tool, &json!({})));
        let mut feedback = Feedback {
            due: vec![
                case("a", "first"),
                case("a", "second"),
                case("b", "third"),
                case("c", FOLLOWING),
            ],
            ..Feedback::default()
        };
        let order = std::iter::from_fn(|| feedback.take_due().map(|case| case.label));
        assert_eq!(order.collect::<Vec<_>>(), [FOLLOWING, "first", "third", "second"]);
    }

    #[test]
    fn shapes_tell_forms_apart_and_not_values() {
        let same = |left: Value, right: Value| shape(&left, 0) == shape(&right, 0);
        assert!(same(
            json!({"n": 1, "text": "Created issue #7"}),
            json!({"n": 2, "text": "Created issue #88"})
        ));
        assert!(!same(json!({"n": 1}), json!({"m": 1})));
        assert!(!same(json!([1, 2]), json!([1, 2, 3])));
    }

    #[test]
    fn identifiers_are_harvested_first_also_from_texts() {
        let message = json!({"result": {"content": [{"type": "text", "text": "{\"name\":\"x\",\"id\":\"u7\"}"}]}});
        assert_eq!(
            harvest(&message).first().map(|(_, value)| value.clone()),
            Some(json!("u7"))
        );
        let message = json!({"result": {"content": [{"type": "text", "text": "Created issue #12 now"}]}});
        assert_eq!(harvest(&message), [("text".to_owned(), json!(12))]);
    }
}
