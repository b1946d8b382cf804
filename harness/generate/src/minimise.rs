//! Making a value smaller while something about it stays true.

use serde_json::Value;

/// The smallest value found for which `still` holds, in at most `calls` calls of it. The given value is taken to hold.
pub fn minimise(value: Value, mut still: impl FnMut(&Value) -> bool, calls: usize) -> Value {
    let mut best = value;
    let mut left = calls;
    loop {
        let mut smaller = None;
        for candidate in simpler(&best) {
            if left == 0 {
                return best;
            }
            left -= 1;
            if still(&candidate) {
                smaller = Some(candidate);
                break;
            }
        }
        match smaller {
            Some(candidate) => best = candidate,
            None => return best,
        }
    }
}

/// Values that are simpler by one step, the biggest steps first. Every one of them is strictly simpler, so that the search ends.
#[must_use]
pub fn simpler(value: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    match value {
        Value::Object(members) => {
            for name in members.keys() {
                let mut fewer = members.clone();
                fewer.remove(name);
                found.push(Value::Object(fewer));
            }
            for (name, member) in members {
                for simpler in simpler(member) {
                    let mut changed = members.clone();
                    changed.insert(name.clone(), simpler);
                    found.push(Value::Object(changed));
                }
            }
        }
        Value::Array(items) => {
            if items.len() > 1 {
                found.push(Value::Array(items[..items.len() / 2].to_vec()));
                found.push(Value::Array(items[items.len() / 2..].to_vec()));
            }
            for index in 0..items.len() {
                let mut fewer = items.clone();
                fewer.remove(index);
                found.push(Value::Array(fewer));
            }
            for (index, item) in items.iter().enumerate() {
                for simpler in simpler(item) {
                    let mut changed = items.clone();
                    changed[index] = simpler;
                    found.push(Value::Array(changed));
                }
            }
        }
        Value::String(text) if !text.is_empty() => {
            let characters: Vec<char> = text.chars().collect();
            let half = characters.len() / 2;
            found.push(Value::from(""));
            if half > 0 {
                found.push(Value::from(characters[..half].iter().collect::<String>()));
                found.push(Value::from(characters[half..].iter().collect::<String>()));
                found.push(Value::from(
                    characters[..characters.len() - 1].iter().collect::<String>(),
                ));
            }
            if let Some(position) = characters.iter().position(|c| *c != 'a') {
                let mut plain = characters.clone();
                plain[position] = 'a';
                found.push(Value::from(plain.iter().collect::<String>()));
            }
        }
        Value::Number(number) => {
            if let Some(number) = number.as_i64().filter(|number| *number != 0) {
                found.push(Value::from(0));
                if number.unsigned_abs() > 1 {
                    found.push(Value::from(number / 2));
                    found.push(Value::from(number - number.signum()));
                }
                if number < 0 && number != i64::MIN {
                    found.push(Value::from(-number));
                }
            }
        }
        Value::Bool(true) => found.push(Value::Bool(false)),
        _ => {}
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_does_not_matter_goes_away() {
        let value = json!({"a": [5, 900, "x"], "b": {"c": "some text"}, "d": true});
        let least = minimise(
            value,
            |value| {
                value
                    .pointer("/a")
                    .and_then(Value::as_array)
                    .is_some_and(|a| a.iter().any(|n| n.as_i64() > Some(99)))
            },
            1000,
        );
        assert_eq!(least, json!({"a": [100]}));
    }

    #[test]
    fn the_search_is_bounded_and_ends() {
        let mut calls = 0;
        let value = json!("x".repeat(1000));
        let least = minimise(
            value.clone(),
            |_| {
                calls += 1;
                false
            },
            3,
        );
        assert_eq!((least, calls), (value, 3));
        assert_eq!(minimise(json!({"a": [1, -2, "b", false]}), |_| true, 10_000), json!({}));
    }
}
