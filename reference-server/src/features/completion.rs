//! Completions of the prompts' arguments and of the template's variable (server/utilities/completion).

use serde_json::{Value, json};

use super::resources::{CONFIG, CONFIG_TEMPLATE};
use super::suite::{PROMPTS, TEMPLATE};
use super::{Object, object, string};
use crate::envelope::RpcError;

/// The specification's limit of values in one result.
const MOST_VALUES: usize = 100;

pub(super) fn complete(params: &Object) -> Result<Value, RpcError> {
    let reference = required(params, "ref")?;
    let argument = required(params, "argument")?;
    let name = string(argument, "name")?;
    let prefix = string(argument, "value")?;
    object(params, "context")?;
    let candidates = candidates(reference, name)?;
    let matching: Vec<_> = candidates
        .into_iter()
        .filter(|candidate| candidate.starts_with(prefix))
        .collect();
    let values: Vec<_> = matching.iter().take(MOST_VALUES).collect();
    let has_more = matching.len() > values.len();
    Ok(json!({ "completion": { "values": values, "total": matching.len(), "hasMore": has_more } }))
}

fn candidates(reference: &Object, argument: &str) -> Result<Vec<&'static str>, RpcError> {
    let (what, known) = match string(reference, "type")? {
        "ref/prompt" => match (string(reference, "name")?, argument) {
            ("code_review_prompt", "focus") => return Ok(vec!["performance", "security", "style", "tests"]),
            ("code_review_prompt", "pr_url") => return Ok(vec!["https://example.com/pull/1"]),
            ("test_prompt_with_arguments", "arg1" | "arg2") => return Ok(vec!["paris", "party", "test"]),
            ("test_prompt_with_embedded_resource", "resourceUri") => return Ok(vec!["test://static-text"]),
            (name, _) => (
                name,
                ["code_review_prompt", "greeting", "describe_logo", "summarise_readme"].contains(&name)
                    || PROMPTS.contains(&name),
            ),
        },
        "ref/resource" => match (string(reference, "uri")?, argument) {
            (CONFIG_TEMPLATE, "key") => return Ok(CONFIG.iter().map(|(key, _)| *key).collect()),
            (TEMPLATE, "id") => return Ok(vec!["1", "123"]),
            (uri, _) => (uri, uri == CONFIG_TEMPLATE || uri == TEMPLATE),
        },
        kind => return Err(RpcError::invalid_params(format!("Unknown reference type: {kind}"))),
    };
    Err(RpcError::invalid_params(match known {
        true => format!("{what} has no argument {argument:?}"),
        false => format!("Unknown reference: {what}"),
    }))
}

fn required<'a>(params: &'a Object, member: &str) -> Result<&'a Object, RpcError> {
    object(params, member)?
        .ok_or_else(|| RpcError::invalid_params(format!("Invalid params: {member} must be an object")))
}
