//! JSON Schemas that our own cases use as assertions: compiled once, first violation in words.
//!
//! Unlike the schemas of servers these are trusted, so a compiled schema is kept for the life of the thread.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use jsonschema::Validator;
use serde_json::Value;

thread_local! {
    static COMPILED: RefCell<HashMap<String, Rc<Result<Validator, String>>>> = RefCell::new(HashMap::new());
}

/// Why `value` is not valid under `schema` (2020-12), or `None` when it is.
#[must_use]
pub fn first_violation(schema: &Value, value: &Value) -> Option<String> {
    match compiled(schema).as_ref() {
        Ok(validator) => validator.validate(value).err().map(|error| {
            let path = error.instance_path().to_string();
            if path.is_empty() {
                error.to_string()
            } else {
                format!("{error} at {path}")
            }
        }),
        Err(problem) => Some(problem.clone()),
    }
}

/// Whether `schema` is one at all.
///
/// # Errors
/// When it is not, with the reason.
pub fn check(schema: &Value) -> Result<(), String> {
    compiled(schema).as_ref().as_ref().map(|_| ()).map_err(Clone::clone)
}

fn compiled(schema: &Value) -> Rc<Result<Validator, String>> {
    let key = schema.to_string();
    COMPILED.with_borrow_mut(|cache| {
        let entry = cache.entry(key).or_insert_with(|| {
            let built = jsonschema::options()
                .with_draft(jsonschema::Draft::Draft202012)
                .offline()
                .build(schema);
            Rc::new(built.map_err(|error| format!("the assertion is not a JSON Schema: {error}")))
        });
        Rc::clone(entry)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_violation_names_value_and_place() {
        let schema = json!({"type": "array", "items": {"type": "integer"}});
        assert_eq!(first_violation(&schema, &json!([1, 2])), None);
        let violation = first_violation(&schema, &json!([1, "x"])).unwrap();
        assert!(violation.contains("\"x\"") && violation.contains("/1"), "{violation}");
    }

    #[test]
    fn a_bad_schema_is_refused() {
        assert!(check(&json!({"type": "strin"})).is_err());
        assert!(check(&json!({"$ref": "https://example.com/schema"})).is_err());
        assert!(check(&json!({"type": "string"})).is_ok());
    }
}
