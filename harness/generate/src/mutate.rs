//! Random changes to JSON values: what a campaign does to arguments when the systematic part is over.

use serde_json::{Map, Value, json};

use crate::dice::Dice;

/// Texts that have broken programs before.
pub const HOSTILE_TEXTS: [&str; 24] = [
    "",
    " ",
    "\u{0}",
    "a\u{0}b",
    "é中😀",
    "e\u{301}",
    "\u{2028}\u{2029}\u{85}",
    "\u{202e}\u{200f}",
    "\u{feff}",
    "\u{1b}[2J",
    "\r\n",
    "'",
    "\"",
    "\\",
    "../../etc/passwd",
    "file:///etc/passwd",
    "__proto__",
    "constructor",
    "' OR '1'='1",
    "$(id)",
    "`id`; id | id && id",
    "{{7*7}}",
    "%s%s%n%x",
    "NaN",
];

/// Numbers at which representations end.
const NUMBERS: [i64; 14] = [
    0,
    1,
    -1,
    127,
    128,
    255,
    256,
    65_536,
    2_147_483_647,
    2_147_483_648,
    -2_147_483_649,
    9_007_199_254_740_993,
    i64::MAX,
    i64::MIN,
];

/// The value with one random change somewhere inside; words from `pool` are put in now and then.
#[must_use]
pub fn mutate(value: &Value, dice: &mut Dice, pool: &[Value]) -> Value {
    let mut changed = value.clone();
    change(&mut changed, dice, pool, 0);
    changed
}

fn change(value: &mut Value, dice: &mut Dice, pool: &[Value], depth: usize) {
    // Go down into a part more often than not.
    if depth < 8 && dice.chance(75) {
        match value {
            Value::Object(members) if !members.is_empty() => {
                let at = dice.below(members.len());
                if let Some((_, member)) = members.iter_mut().nth(at) {
                    return change(member, dice, pool, depth + 1);
                }
            }
            Value::Array(items) if !items.is_empty() => {
                let at = dice.below(items.len());
                return change(&mut items[at], dice, pool, depth + 1);
            }
            _ => {}
        }
    }
    if dice.chance(15)
        && let Some(other) = dice.pick(pool)
    {
        *value = other.clone();
        return;
    }
    *value = match value {
        Value::Object(members) => object(members, dice),
        Value::Array(items) => array(items, dice),
        Value::String(text) => string(text, dice),
        Value::Number(number) => match number.as_i64() {
            Some(number) => integer(number, dice),
            None => json!(number.as_f64().unwrap_or_default() * -2.0),
        },
        Value::Bool(flag) => json!(!*flag),
        Value::Null => stranger(dice),
    };
}

/// A small value of any type.
fn stranger(dice: &mut Dice) -> Value {
    match dice.below(7) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(NUMBERS[dice.below(NUMBERS.len())]),
        3 => json!(0.1),
        4 => json!(HOSTILE_TEXTS[dice.below(HOSTILE_TEXTS.len())]),
        5 => json!([]),
        _ => json!({}),
    }
}

fn object(members: &Map<String, Value>, dice: &mut Dice) -> Value {
    let mut changed = members.clone();
    match dice.below(4) {
        0 if !changed.is_empty() => {
            let at = dice.below(changed.len());
            if let Some(name) = changed.keys().nth(at).cloned() {
                changed.remove(&name);
            }
        }
        1 => {
            let name = HOSTILE_TEXTS[dice.below(HOSTILE_TEXTS.len())];
            changed.insert(name.to_owned(), stranger(dice));
        }
        2 => {
            for member in changed.values_mut() {
                if dice.chance(50) {
                    change(member, dice, &[], 8);
                }
            }
        }
        _ => return stranger(dice),
    }
    Value::Object(changed)
}

fn array(items: &[Value], dice: &mut Dice) -> Value {
    let mut changed = items.to_vec();
    match dice.below(4) {
        0 if !changed.is_empty() => {
            changed.remove(dice.below(changed.len()));
        }
        1 if !changed.is_empty() => {
            let again = changed[dice.below(changed.len())].clone();
            let times = [1, 2, 16, 100][dice.below(4)];
            changed.extend(vec![again; times]);
        }
        2 => changed.push(stranger(dice)),
        _ => return stranger(dice),
    }
    Value::Array(changed)
}

fn string(text: &str, dice: &mut Dice) -> Value {
    let mut characters: Vec<char> = text.chars().collect();
    let at = dice.below(characters.len() + 1);
    match dice.below(8) {
        0 if !characters.is_empty() => {
            characters.remove(at.min(characters.len() - 1));
        }
        1 | 2 => {
            let more: Vec<char> = HOSTILE_TEXTS[dice.below(HOSTILE_TEXTS.len())].chars().collect();
            characters.splice(at..at, more);
        }
        3 => {
            let times = [2, 10, 100, 1000][dice.below(4)];
            return json!(text.repeat(times).chars().take(20_000).collect::<String>());
        }
        4 => return json!(HOSTILE_TEXTS[dice.below(HOSTILE_TEXTS.len())]),
        5 => return json!(text.to_uppercase()),
        6 => characters.truncate(at),
        _ => return stranger(dice),
    }
    json!(characters.into_iter().collect::<String>())
}

fn integer(number: i64, dice: &mut Dice) -> Value {
    match dice.below(8) {
        0 => json!(number.wrapping_add(1)),
        1 => json!(number.wrapping_sub(1)),
        2 => json!(number.wrapping_neg()),
        3 => json!(number.wrapping_mul(2)),
        4 => json!(NUMBERS[dice.below(NUMBERS.len())]),
        5 | 6 => json!(i64::try_from(dice.below(64)).unwrap_or(0)),
        _ => stranger(dice),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_many_and_can_be_made_again() {
        let value = json!({"a": [1, 2, {"b": "text"}], "c": 5});
        let changed = |stream| mutate(&value, &mut Dice::new(1, stream), &[json!("pooled")]);
        let different: std::collections::BTreeSet<String> =
            (0..200).map(|stream| changed(stream).to_string()).collect();
        assert!(different.len() > 80, "{}", different.len());
        assert!(different.iter().any(|text| text.contains("pooled")));
        assert_eq!(changed(5), changed(5));
    }
}
