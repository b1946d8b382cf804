//! What a step changes about the `_meta` of what it sends.

use serde_json::{Map, Value};

/// How the `_meta` of a message differs from what the session makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetaChange {
    /// There is none at all.
    None,
    /// These keys have these values; null leaves a key out.
    Keys(Map<String, Value>),
}

impl MetaChange {
    /// Reads the word `none` or an object.
    pub(super) fn read(value: Value) -> Result<Self, String> {
        match value {
            Value::Object(keys) => Ok(Self::Keys(keys)),
            Value::String(word) if word == "none" => Ok(Self::None),
            other => Err(format!("meta is an object, or the word none, not {other}")),
        }
    }

    /// The same with every value put through `change`.
    ///
    /// # Errors
    /// What `change` gives.
    pub fn try_map<E>(&self, change: impl Fn(&Value) -> Result<Value, E>) -> Result<Self, E> {
        Ok(match self {
            Self::None => Self::None,
            Self::Keys(keys) => Self::Keys(
                keys.iter()
                    .map(|(key, value)| Ok((key.clone(), change(value)?)))
                    .collect::<Result<_, E>>()?,
            ),
        })
    }

    /// The params with the change. Params that are no object, or whose `_meta` is none, are left as they are: they are wrong on purpose.
    #[must_use]
    pub fn apply(&self, params: Option<Value>) -> Option<Value> {
        match self {
            Self::None => match params {
                Some(Value::Object(mut members)) => {
                    members.remove("_meta");
                    Some(Value::Object(members))
                }
                other => other,
            },
            Self::Keys(keys) => {
                let mut members = match params {
                    None => Map::new(),
                    Some(Value::Object(members)) => members,
                    other => return other,
                };
                let meta = members.entry("_meta").or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(meta) = meta {
                    for (key, value) in keys {
                        if value.is_null() {
                            meta.remove(key);
                        } else {
                            meta.insert(key.clone(), value.clone());
                        }
                    }
                }
                Some(Value::Object(members))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_set_and_left_out() {
        let change = MetaChange::read(json!({ "a": null, "b": 2 })).unwrap();
        let changed = change.apply(Some(json!({ "_meta": { "a": 1, "c": 3 }, "name": "x" })));
        assert_eq!(changed, Some(json!({ "_meta": { "b": 2, "c": 3 }, "name": "x" })));
        assert_eq!(change.apply(None), Some(json!({ "_meta": { "b": 2 } })));
        assert_eq!(change.apply(Some(json!([1]))), Some(json!([1])));
        assert_eq!(change.apply(Some(json!({ "_meta": [] }))), Some(json!({ "_meta": [] })));
    }

    #[test]
    fn there_can_be_none() {
        let none = MetaChange::read(json!("none")).unwrap();
        assert_eq!(
            none.apply(Some(json!({ "_meta": {}, "x": 1 }))),
            Some(json!({ "x": 1 }))
        );
        assert_eq!(none.apply(None), None);
        assert!(MetaChange::read(json!(5)).unwrap_err().contains("word none"));
    }
}
