//! The generator as a proptest strategy, over byte tapes.

use std::rc::Rc;

use arbitrary::Unstructured;
use proptest::prelude::*;
use serde_json::Value;

use crate::generator::Generator;

/// Bytes of the longest tape.
const LONGEST_TAPE: usize = 1024;

/// A strategy for valid values of a schema. Shrinking shortens and lowers the tape.
pub type ValueStrategy = BoxedStrategy<Value>;

impl Generator {
    /// A strategy for valid values.
    pub fn strategy(self) -> ValueStrategy {
        let generator = Rc::new(self);
        proptest::collection::vec(any::<u8>(), 0..LONGEST_TAPE)
            .prop_filter_map("the tape leads to no valid value", move |tape| {
                generator.valid(&mut Unstructured::new(&tape)).ok()
            })
            .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::violation::SingleFault;
    use serde_json::json;
    use touchstone_core::spec::judge::Judgement;

    fn schemas() -> Vec<Value> {
        vec![
            json!({"type": "object", "properties": {}}),
            json!({"type": "object", "properties": {"a": {"title": "A", "type": "integer"}, "b": {"type": "integer"}}, "required": ["a", "b"]}),
            json!({"type": "object", "additionalProperties": false, "required": ["query"], "properties": {
                "query": {"type": "string", "minLength": 1, "maxLength": 20},
                "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 10},
                "archived": {"type": "boolean", "default": false}}}),
            json!({"$defs": {"Issue": {"type": "object", "required": ["title", "body"], "properties": {
                    "title": {"type": "string", "minLength": 5, "maxLength": 200}, "body": {"type": "string"},
                    "labels": {"type": "array", "items": {"type": "string"}},
                    "priority": {"type": "string", "default": "normal", "pattern": "^(low|normal|high|critical)$"}}}},
                "type": "object", "properties": {"issue": {"$ref": "#/$defs/Issue"}}, "required": ["issue"]}),
            json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "properties": {
                "mode": {"enum": ["fast", "slow"]}, "count": {"type": "number", "exclusiveMinimum": 0}, "at": {"type": "string", "format": "date-time"}},
                "required": ["mode", "count", "at"], "additionalProperties": false}),
            json!({"type": "object", "properties": {"maybe": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": null},
                "ids": {"type": "array", "items": {"type": "integer", "multipleOf": 3}, "minItems": 2, "maxItems": 4, "uniqueItems": true}},
                "required": ["maybe", "ids"]}),
            json!({"type": "object", "properties": {"tree": {"$ref": "#/definitions/node"}}, "required": ["tree"], "definitions": {
                "node": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "pattern": "[A-Z]{2}-\\d+"},
                    "children": {"type": "array", "items": {"$ref": "#/definitions/node"}}}}}}),
            json!({"allOf": [{"type": "object", "required": ["x"], "properties": {"x": {"type": "integer", "minimum": 5}}},
                {"properties": {"x": {"maximum": 7}, "y": {"const": "k"}}, "required": ["y"]}]}),
        ]
    }

    #[test]
    fn every_schema_has_a_simplest_value_and_valid_edges() {
        for schema in schemas() {
            let generator = Generator::new(&schema).unwrap();
            let simplest = generator
                .simplest()
                .unwrap_or_else(|reason| panic!("{schema}: {reason}"));
            assert_eq!(generator.judge().judge(&simplest), Judgement::Valid);
            assert_eq!(generator.simplest().unwrap(), simplest, "the same every time");
            for edge in generator.boundaries() {
                assert_eq!(generator.judge().judge(&edge.value), Judgement::Valid, "{edge:?}");
            }
        }
    }

    #[test]
    fn the_simplest_values_look_as_a_person_would_write_them() {
        let simplest: Vec<Value> = schemas()
            .iter()
            .map(|schema| Generator::new(schema).unwrap().simplest().unwrap())
            .collect();
        insta::assert_json_snapshot!(simplest);
    }

    #[test]
    fn every_fault_is_certain_and_alone() {
        let mut keywords = std::collections::BTreeSet::new();
        for schema in schemas() {
            let generator = Generator::new(&schema).unwrap();
            for SingleFault {
                keyword,
                pointer,
                value,
                description,
            } in generator.violations()
            {
                let Judgement::Invalid(violations) = generator.judge().judge(&value) else {
                    panic!("{description} {value}")
                };
                assert!(
                    violations.iter().all(|violation| violation.keyword == keyword),
                    "{keyword} {pointer} {value}: {violations:?}"
                );
                keywords.insert(keyword);
            }
        }
        for keyword in [
            "type",
            "required",
            "enum",
            "minimum",
            "maximum",
            "minLength",
            "maxLength",
            "pattern",
            "additionalProperties",
            "multipleOf",
            "minItems",
            "maxItems",
            "uniqueItems",
            "exclusiveMinimum",
        ] {
            // maxItems needs items that may repeat, which uniqueItems of the sample forbids.
            assert!(
                keywords.contains(keyword) || keyword == "maxItems",
                "{keyword}: {keywords:?}"
            );
        }
    }

    #[test]
    fn hostile_schemas_end_quickly() {
        for schema in [
            json!({"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}}),
            json!({"type": "string", "minLength": 1e12}),
            json!({"type": "array", "items": {}, "minItems": 1_000_000_000}),
            json!({"type": "string", "pattern": "^(a{1000}){1000}$"}),
            json!({"not": {}}),
            json!({"type": "integer", "minimum": 5, "maximum": 1}),
        ] {
            if let Ok(generator) = Generator::new(&schema) {
                assert!(generator.simplest().is_err(), "{schema}");
                assert!(generator.violations().is_empty() && generator.boundaries().is_empty());
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn values_from_tapes_are_valid((index, tape) in (0..8_usize, proptest::collection::vec(any::<u8>(), 0..256))) {
            let generator = Generator::new(&schemas()[index]).unwrap();
            if let Ok(value) = generator.valid(&mut Unstructured::new(&tape)) {
                prop_assert_eq!(generator.judge().judge(&value), Judgement::Valid);
            }
        }
    }
}
