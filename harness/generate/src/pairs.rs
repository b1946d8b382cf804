//! Combinations: every pair of interesting values of two members together, in as few values as a greedy choice finds. Many faults need two arguments
//! to meet, hardly any needs three.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use touchstone_core::spec::judge::Judgement;

use crate::generator::Generator;

/// Members that are combined.
const MOST_MEMBERS: usize = 8;
/// Values of one member that are combined.
const MOST_VALUES: usize = 5;
/// Values that are made.
const MOST: usize = 48;

/// A choice for one member: its position, and the position of the value among its own.
type Choice = (usize, usize);

impl Generator {
    /// Valid values in which every two members meet with every two of their values at limits. The same every time.
    #[must_use]
    pub fn pairs(&self) -> Vec<Value> {
        let Ok(Value::Object(base)) = self.fullest() else {
            return Vec::new();
        };
        let members = self.interesting(&base);
        let mut open = BTreeSet::new();
        for (first, (_, values)) in members.iter().enumerate() {
            for (second, (_, others)) in members.iter().enumerate().skip(first + 1) {
                open.extend(
                    (0..values.len())
                        .flat_map(|value| (0..others.len()).map(move |other| ((first, value), (second, other)))),
                );
            }
        }
        let mut made = Vec::new();
        while let Some(pair) = open.pop_first() {
            let choices = complete(&members, pair, &open);
            for (index, choice) in choices.iter().enumerate() {
                for other in &choices[index + 1..] {
                    open.remove(&(*choice, *other));
                }
            }
            let mut value = base.clone();
            for (member, chosen) in choices {
                let (name, values) = &members[member];
                value.insert(name.clone(), values[chosen].clone());
            }
            let value = Value::Object(value);
            if self.judge().judge(&value) == Judgement::Valid {
                made.push(value);
            }
            if made.len() >= MOST {
                break;
            }
        }
        made
    }

    /// Members with the values at their limits, those with a choice only.
    fn interesting(&self, base: &Map<String, Value>) -> Vec<(String, Vec<Value>)> {
        let mut members: Vec<(String, Vec<Value>)> = Vec::new();
        for (name, value) in base.iter().take(MOST_MEMBERS) {
            let values = match value {
                Value::Bool(_) => vec![json!(true), json!(false)],
                plain => vec![plain.clone()],
            };
            members.push((name.clone(), values));
        }
        for edge in self.edges().into_iter().filter(|edge| edge.explicit) {
            let Some(name) = edge.pointer.strip_prefix('/') else {
                continue;
            };
            let home = members.iter_mut().find(|(known, _)| known == name);
            let (Some((_, values)), Some(value)) = (home, edge.value.get(name)) else {
                continue;
            };
            let small = value.to_string().len() <= 200;
            if small && values.len() < MOST_VALUES && !values.contains(value) {
                values.push(value.clone());
            }
        }
        members.retain(|(_, values)| values.len() > 1);
        members
    }
}

/// A choice for every member that has the pair, and with each further member as many open pairs as it can.
fn complete(
    members: &[(String, Vec<Value>)],
    pair: (Choice, Choice),
    open: &BTreeSet<(Choice, Choice)>,
) -> Vec<Choice> {
    let mut choices = vec![pair.0, pair.1];
    for (member, (_, values)) in members.iter().enumerate() {
        if choices.iter().any(|(chosen, _)| *chosen == member) {
            continue;
        }
        let gain = |value: &usize| {
            let here = (member, *value);
            let met = |other: &&Choice| open.contains(&(here.min(**other), here.max(**other)));
            choices.iter().filter(met).count()
        };
        // Of equal ones the first.
        let best = (0..values.len()).rev().max_by_key(gain).unwrap_or(0);
        choices.push((member, best));
    }
    choices.sort_unstable();
    choices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_two_limits_meet_in_few_values() {
        let schema = json!({"type": "object", "required": ["query"], "properties": {
            "query": {"type": "string", "minLength": 1, "maxLength": 9},
            "limit": {"type": "integer", "minimum": 1, "maximum": 100},
            "archived": {"type": "boolean"},
            "order": {"enum": ["up", "down"]},
        }});
        let made = Generator::new(&schema).unwrap().pairs();
        let met = |limit: i64, archived: bool, order: &str| {
            made.iter()
                .any(|value| value["limit"] == json!(limit) && value["archived"] == json!(archived) && order.is_empty())
                || made
                    .iter()
                    .any(|value| value["limit"] == json!(limit) && value["order"] == json!(order))
        };
        for limit in [1, 100] {
            assert!(
                met(limit, true, "") && met(limit, false, "") && met(limit, true, "down"),
                "{made:?}"
            );
        }
        assert!((10..=MOST).contains(&made.len()), "{}", made.len());
    }
}
