//! Faults in a single answer.

use serde_json::{Value, json};

use super::{Decorator, EVERYWHERE, Fault};
use crate::envelope::{Id, Request, Response, RpcError};

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        id: "id-stringify",
        summary: "turns number ids into strings in answers",
        transports: EVERYWHERE,
        revision: None,
        serve_with: &[],
        caught_by: &["base-protocol/response-id-type"],
        make: || Box::new(IdStringify),
    },
    Fault {
        id: "missing-is-error",
        summary: "leaves isError out of the results of tools that failed",
        transports: EVERYWHERE,
        revision: None,
        serve_with: &[],
        caught_by: &[
            "tools/input-validated",
            "tools/input-type-validated",
            "tools/input-additional-validated",
            "tools/hostile-arguments",
            "tools/output-schema-structured-present",
            "client-features/elicitation-content-validated",
            "client-features/sampling-content-validated",
        ],
        make: || Box::new(MissingIsError),
    },
    Fault {
        id: "schema-invalid-result",
        summary: "gives numbers for descriptions in tools/list",
        transports: EVERYWHERE,
        revision: None,
        serve_with: &[],
        caught_by: &["tools/description-string"],
        make: || Box::new(SchemaInvalidResult),
    },
    Fault {
        id: "cap-lie",
        summary: "declares prompts but does not have their methods",
        transports: EVERYWHERE,
        revision: None,
        serve_with: &[],
        caught_by: &["base-protocol/features-advertised"],
        make: || Box::new(CapLie),
    },
];

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
