//! What an HTTP header has to say of the body it stands before, so that it can be routed unread (basic/transports,
//! Streamable HTTP, Standard Request Headers and Custom Headers from Tool Parameters).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use serde_json::Value;

use super::rules::Asked;
use crate::envelope::RpcError;
use crate::features::Object;

pub(super) const VERSION: &str = "mcp-protocol-version";
pub(super) const METHOD: &str = "mcp-method";
const NAME: &str = "mcp-name";
const PARAMETER: &str = "mcp-param-";

/// What stands before and behind a value that cannot stand in a header as it is.
const MARKS: (&str, &str) = ("=?base64?", "?=");

pub(super) fn version(asked: &Asked<'_>) -> Option<RpcError> {
    same(asked.headers?, VERSION, asked.version()?)
}

pub(super) fn method(asked: &Asked<'_>) -> Option<RpcError> {
    same(asked.headers?, METHOD, asked.method)
}

pub(super) fn name(asked: &Asked<'_>) -> Option<RpcError> {
    let member = match asked.method {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        "tasks/get" | "tasks/update" | "tasks/cancel" => "taskId",
        _ => return None,
    };
    let headers = asked.headers?;
    let value = asked.params.get(member)?.as_str()?;
    match single(headers, NAME).and_then(|found| decoded(&found)) {
        Ok(found) if found == value => None,
        Ok(_) => Some(mismatch(NAME, "is not what the body names")),
        Err(error) => Some(error),
    }
}

/// The arguments that the tool's schema wants in the header, and what stands there.
pub(super) fn parameters(asked: &Asked<'_>) -> Option<RpcError> {
    let headers = asked.headers.filter(|_| asked.method == "tools/call")?;
    let schema = asked.session.schema_of(asked.params.get("name")?.as_str()?)?;
    let none = Object::new();
    let arguments = asked
        .params
        .get("arguments")
        .and_then(Value::as_object)
        .unwrap_or(&none);
    let mut wanted = Vec::new();
    annotated(&schema, Some(arguments), &mut wanted);
    wanted.into_iter().find_map(|(suffix, argument)| {
        let header = format!("{PARAMETER}{}", suffix.to_ascii_lowercase());
        match argument.filter(|argument| !argument.is_null()) {
            Some(argument) => parameter(headers, &header, argument),
            None if headers.contains_key(&header) => Some(mismatch(&header, "has no argument in the body")),
            None => None,
        }
    })
}

/// The annotations of a schema and the arguments they are about, down through the objects in it.
fn annotated<'a>(schema: &Value, arguments: Option<&'a Object>, found: &mut Vec<(String, Option<&'a Value>)>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let argument = arguments.and_then(|arguments| arguments.get(name));
        if let Some(suffix) = property["x-mcp-header"].as_str() {
            found.push((suffix.to_owned(), argument));
        }
        annotated(property, argument.and_then(Value::as_object), found);
    }
}

fn parameter(headers: &HeaderMap, header: &str, argument: &Value) -> Option<RpcError> {
    let found = match single(headers, header).and_then(|found| decoded(&found)) {
        Ok(found) => found,
        Err(error) => return Some(error),
    };
    let same = match argument {
        Value::String(text) => found == *text,
        Value::Bool(truth) => found == truth.to_string(),
        // 42 and 42.0 are the same number.
        Value::Number(number) => {
            found == number.to_string() || found.parse().is_ok_and(|found: f64| number.as_f64() == Some(found))
        }
        // Whatever it is, the schema does not allow it.
        _ => true,
    };
    (!same).then(|| mismatch(header, "is not the argument in the body"))
}

/// Whether the header says exactly this.
fn same(headers: &HeaderMap, header: &str, expected: &str) -> Option<RpcError> {
    match single(headers, header) {
        Ok(found) if found == expected => None,
        Ok(_) => Some(mismatch(header, "is not what the body says")),
        Err(error) => Some(error),
    }
}

/// The value of a header that says one thing, however often it says so.
fn single(headers: &HeaderMap, header: &str) -> Result<String, RpcError> {
    let mut values = headers.get_all(header).iter();
    let first = values.next().ok_or_else(|| mismatch(header, "is missing"))?;
    if values.any(|other| other != first) {
        return Err(mismatch(header, "is there twice, with different values"));
    }
    let value = first
        .to_str()
        .map_err(|_| mismatch(header, "has characters that a header must not have"))?;
    Ok(value.trim_matches([' ', '\t']).to_owned())
}

/// The value behind a value with the marks of base64; any other is what it is.
fn decoded(value: &str) -> Result<String, RpcError> {
    let encoded = value.strip_prefix(MARKS.0).and_then(|rest| rest.strip_suffix(MARKS.1));
    let Some(encoded) = encoded else {
        return Ok(value.to_owned());
    };
    let bytes = STANDARD.decode(encoded).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| RpcError::header_mismatch("Header mismatch: a value that is marked as base64 is none"))
}

fn mismatch(header: &str, why: &str) -> RpcError {
    RpcError::header_mismatch(format!("Header mismatch: {header} {why}"))
}
