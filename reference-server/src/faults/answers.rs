//! Faults in a single answer.

use serde_json::{Value, json};

use super::Decorator;
use crate::envelope::{Id, Request, Response, RpcError};

/// `id-stringify`: `7` comes back as `"7"`.
#[derive(Debug)]
pub(super) struct IdStringify;

impl Decorator for IdStringify {
    fn response(&mut self, _: &Request, response: Response) -> Response {
        if response.id.token().starts_with('"') {
            return response;
        }
        match Id::from_token(format!("\"{}\"", response.id.token())) {
            Ok(id) => Response { id, ..response },
            Err(_) => response,
        }
    }
}

/// `missing-is-error`: failures look like successes.
#[derive(Debug)]
pub(super) struct MissingIsError;

impl Decorator for MissingIsError {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if let ("tools/call", Ok(Value::Object(result))) = (request.method.as_str(), &mut response.outcome)
            && result.get("isError") == Some(&Value::Bool(true))
        {
            result.shift_remove("isError");
        }
        response
    }
}

/// `schema-invalid-result`: `description` is a number.
#[derive(Debug)]
pub(super) struct SchemaInvalidResult;

impl Decorator for SchemaInvalidResult {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if let ("tools/list", Ok(result)) = (request.method.as_str(), &mut response.outcome) {
            for tool in result
                .get_mut("tools")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                tool["description"] = json!(42);
            }
        }
        response
    }
}

/// `cap-lie`: the prompts that the capabilities promise are not there.
#[derive(Debug)]
pub(super) struct CapLie;

impl Decorator for CapLie {
    fn response(&mut self, request: &Request, response: Response) -> Response {
        if !["prompts/list", "prompts/get"].contains(&request.method.as_str()) {
            return response;
        }
        Response {
            outcome: Err(RpcError::method_not_found(&request.method)),
            ..response
        }
    }
}
