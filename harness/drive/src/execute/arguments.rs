//! Arguments for a tool, made from its own schema, and judged again before they count.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use touchstone_core::case::{Arguments, Generate};
use touchstone_core::spec::judge::{DialectPolicy, Judgement, SchemaJudge};
use touchstone_generate::Generator;

/// Most boundary values that one step tries.
const MOST_BOUNDARIES: usize = 24;

/// Makes the values that a step sends, one call each. An error says why there is none, so that the tool is passed over.
///
/// With `text`, every text among the arguments is that one, and optional arguments of prompts, which are all texts, are given as well.
pub(super) fn make(
    wanted: &Arguments,
    text: Option<&str>,
    tool: &Value,
    dialect: DialectPolicy,
    examples: &BTreeMap<String, Value>,
) -> Result<Vec<Value>, String> {
    let schema = schema_of(tool)?;
    let judge = SchemaJudge::compile(&schema, dialect)
        .map_err(|problem| format!("its inputSchema is not usable: {problem}"))?;
    let generator = Generator::new(&schema).map_err(|problem| format!("its inputSchema is not usable: {problem}"))?;
    let example = tool
        .get("name")
        .and_then(Value::as_str)
        .and_then(|name| examples.get(name));
    if let (Generate::Valid, Some(example)) = (wanted.generate, example) {
        return match judge.judge(example) {
            Judgement::Invalid(_) => Err("the example arguments in the settings do not fit its inputSchema".to_owned()),
            _ => Ok(vec![example.clone()]),
        };
    }
    let values: Vec<Value> = match wanted.generate {
        Generate::Valid => vec![
            generator
                .simplest()
                .map_err(|reason| format!("no valid arguments can be made: {reason}"))?,
        ],
        Generate::Boundary => generator
            .boundaries()
            .into_iter()
            .map(|labelled| labelled.value)
            .take(MOST_BOUNDARIES)
            .collect(),
        Generate::Invalid => {
            let mut faults = generator.violations();
            faults.retain(|fault| wanted.violate.as_deref().is_none_or(|keyword| keyword == fault.keyword));
            faults.sort_by_key(|fault| fault.pointer.matches('/').count());
            faults.into_iter().map(|fault| fault.value).collect()
        }
    };
    let fitting = |value: &Value| {
        matches!(
            (wanted.generate, judge.judge(value)),
            (Generate::Invalid, Judgement::Invalid(_)) | (Generate::Valid | Generate::Boundary, Judgement::Valid)
        )
    };
    let values = match text {
        None => values,
        Some(text) => values.into_iter().map(|value| with_text(value, text, tool)).collect(),
    };
    // `arguments` itself is always an object: anything else is a malformed request, and another rule.
    let mut values: Vec<Value> = values
        .into_iter()
        .filter(|value| value.is_object() && fitting(value))
        .collect();
    if wanted.generate == Generate::Invalid {
        values.truncate(1);
    }
    if values.is_empty() {
        return Err(match &wanted.violate {
            Some(keyword) => format!("its inputSchema gives no certain way to violate `{keyword}`"),
            None => "its inputSchema gives no certain value of this kind".to_owned(),
        });
    }
    Ok(values)
}

/// The arguments with every text among them replaced, and all texts that a prompt can be given.
fn with_text(mut value: Value, text: &str, item: &Value) -> Value {
    if let Value::Object(members) = &mut value {
        for argument in item.get("arguments").and_then(Value::as_array).into_iter().flatten() {
            if let Some(name) = argument.get("name").and_then(Value::as_str) {
                members.insert(name.to_owned(), json!(text));
            }
        }
        for member in members.values_mut().filter(|member| member.is_string()) {
            *member = json!(text);
        }
    }
    value
}

/// The schema of the arguments: a tool's own, or, for a prompt, an object of texts.
fn schema_of(item: &Value) -> Result<Value, String> {
    if let Some(schema) = item.get("inputSchema") {
        return Ok(schema.clone());
    }
    let arguments = item
        .get("arguments")
        .and_then(Value::as_array)
        .ok_or("it declares no arguments")?;
    let name = |argument: &Value| argument.get("name").and_then(Value::as_str).map(str::to_owned);
    let properties: serde_json::Map<String, Value> = arguments
        .iter()
        .filter_map(name)
        .map(|name| (name, json!({ "type": "string", "minLength": 1 })))
        .collect();
    let is_required = |argument: &&Value| argument.get("required") == Some(&Value::Bool(true));
    let required: Vec<String> = arguments.iter().filter(is_required).filter_map(name).collect();
    Ok(json!({ "type": "object", "properties": properties, "required": required }))
}
