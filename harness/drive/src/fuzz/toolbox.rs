//! What a server offers, ready to generate from and to judge by.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use touchstone_core::spec::judge::Judgement;
use touchstone_generate::{Edge, Flaw, Generator};

use crate::execute::inventory::Inventory;

/// A tool.
pub(super) struct Tool {
    pub name: String,
    pub definition: Value,
    /// `None` when its inputSchema is not usable: a monitor says so.
    pub generator: Option<Generator>,
    pub edges: Vec<Edge>,
    /// Valid arguments in which limits of two members meet.
    pub pairs: Vec<Value>,
    pub flaws: Vec<Flaw>,
    pub simplest: Option<Value>,
    pub fullest: Option<Value>,
    /// Whether it may be called.
    pub callable: bool,
    /// Whether it says that it changes nothing.
    pub read_only: bool,
    /// Whether a plain call of it is refused, because it insists on tasks.
    pub insists_on_tasks: bool,
}

/// Everything that is offered.
pub(super) struct Toolbox {
    pub tools: Vec<Tool>,
    pub inventory: Inventory,
    pub capabilities: Value,
}

/// Most tools that are prepared: the others are beyond what a campaign gets to.
const MOST_TOOLS: usize = 500;

impl Toolbox {
    pub(super) fn new(
        inventory: Inventory,
        capabilities: Value,
        only: &[String],
        examples: &BTreeMap<String, Value>,
    ) -> Self {
        let mut names = BTreeSet::new();
        let tools = inventory
            .tools
            .iter()
            .take(MOST_TOOLS)
            .filter_map(|definition| {
                let name = definition.get("name")?.as_str()?.to_owned();
                let wanted = only.is_empty() || only.contains(&name);
                // Of two tools with one name nobody knows which is called.
                let alone = names.insert(name.clone());
                let schema = definition.get("inputSchema").filter(|schema| schema.is_object());
                let generator = schema.and_then(|schema| Generator::new(schema).ok());
                let insists = definition.pointer("/execution/taskSupport").and_then(Value::as_str) == Some("required");
                let callable = inventory.callable(definition) && wanted && alone && !insists;
                let prepared = generator.as_ref().filter(|_| callable);
                let object = |value: &Value| value.is_object();
                let example = examples.get(&name).cloned();
                Some(Tool {
                    edges: prepared
                        .map(Generator::edges)
                        .unwrap_or_default()
                        .into_iter()
                        .filter(|edge| edge.value.is_object())
                        .collect(),
                    pairs: prepared.map(Generator::pairs).unwrap_or_default(),
                    flaws: prepared
                        .map(Generator::flaws)
                        .unwrap_or_default()
                        .into_iter()
                        .filter(|flaw| flaw.value.is_object())
                        .collect(),
                    simplest: example
                        .or_else(|| generator.as_ref().and_then(|generator| generator.simplest().ok()))
                        .filter(object),
                    fullest: generator
                        .as_ref()
                        .and_then(|generator| generator.fullest().ok())
                        .filter(object),
                    read_only: definition.pointer("/annotations/readOnlyHint") == Some(&Value::Bool(true)),
                    insists_on_tasks: insists,
                    callable,
                    generator,
                    definition: definition.clone(),
                    name,
                })
            })
            .collect();
        Self {
            tools,
            inventory,
            capabilities,
        }
    }

    /// The tools that may be called.
    pub(super) fn callable(&self) -> impl Iterator<Item = &Tool> {
        self.tools.iter().filter(|tool| tool.callable)
    }

    pub(super) fn tool(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.name == name)
    }

    /// Whether the server declared a capability.
    pub(super) fn has(&self, capability: &str) -> bool {
        self.capabilities.get(capability).is_some()
    }

    /// The constraints that can be covered: each keyword at each place of each tool.
    pub(super) fn constraints(&self) -> BTreeSet<String> {
        let of_edges = |tool: &Tool| -> Vec<String> {
            let edges = tool.edges.iter().filter(|edge| edge.explicit);
            edges
                .map(|edge| constraint(&tool.name, &edge.keyword, &edge.pointer))
                .collect()
        };
        let of_flaws = |tool: &Tool| -> Vec<String> {
            let flaws = tool.flaws.iter();
            flaws
                .map(|flaw| constraint(&tool.name, &flaw.keyword, &flaw.pointer))
                .collect()
        };
        self.callable()
            .flat_map(|tool| of_edges(tool).into_iter().chain(of_flaws(tool)))
            .collect()
    }
}

/// The name of a constraint.
pub(super) fn constraint(tool: &str, keyword: &str, pointer: &str) -> String {
    format!("{tool} {keyword} {pointer}")
}

/// Values of a member that are few enough to be tried one by one.
const FEW: i64 = 64;

impl Tool {
    /// The members that take one of a few values, with those: whole numbers of a small range, what is enumerated, yes and no.
    pub(super) fn choices(&self) -> Vec<(&String, Vec<Value>)> {
        let properties = self.definition.pointer("/inputSchema/properties");
        let few = |schema: &Value| -> Option<Vec<Value>> {
            if let Some(Value::Array(values)) = schema.get("enum") {
                return Some(values.clone());
            }
            match schema.get("type")?.as_str()? {
                "boolean" => Some(vec![Value::Bool(false), Value::Bool(true)]),
                "integer" => {
                    let least = schema.get("minimum")?.as_i64()?;
                    let most = schema.get("maximum")?.as_i64()?;
                    let small = most.checked_sub(least).is_some_and(|range| range < FEW);
                    small.then(|| (least..=most).map(Value::from).collect())
                }
                _ => None,
            }
        };
        let members = properties.and_then(Value::as_object).into_iter().flatten();
        let members = members.filter_map(|(member, schema)| Some((member, few(schema)?)));
        members
            .filter(|(_, values)| (2..=FEW as usize).contains(&values.len()))
            .collect()
    }

    /// What every plausible reading of its schema says of arguments.
    pub(super) fn judge(&self, arguments: &Value) -> Option<Judgement> {
        self.generator
            .as_ref()
            .map(|generator| generator.judge().judge(arguments))
    }

    /// Whether it takes no arguments, or need not be given any.
    pub(super) fn is_plain(&self) -> bool {
        self.definition.pointer("/inputSchema/required/0").is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn choices_are_what_can_be_tried_one_by_one() {
        let properties = json!({
            "dial": { "type": "integer", "minimum": 1, "maximum": 3 },
            "level": { "enum": ["low", "high"] },
            "loud": { "type": "boolean" },
            "only": { "enum": ["one"] },
            "page": { "type": "integer", "minimum": 1, "maximum": 100 },
            "all": { "type": "integer", "minimum": i64::MIN, "maximum": i64::MAX },
            "text": { "type": "string" }
        });
        let tool = json!({ "name": "t", "inputSchema": { "type": "object", "properties": properties } });
        let mut inventory = Inventory::default();
        inventory.tools.push(tool);
        let toolbox = Toolbox::new(inventory, json!({}), &[], &BTreeMap::new());
        let choices: BTreeMap<&str, Vec<Value>> = toolbox.tools[0]
            .choices()
            .into_iter()
            .map(|(name, values)| (name.as_str(), values))
            .collect();
        let expected = [
            ("dial", vec![json!(1), json!(2), json!(3)]),
            ("level", vec![json!("low"), json!("high")]),
            ("loud", vec![json!(false), json!(true)]),
        ];
        assert_eq!(choices, BTreeMap::from(expected));
    }
}
