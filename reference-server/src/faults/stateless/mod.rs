//! Faults of the stateless era: in what a request says of itself, in rounds of input, in subscriptions, in the extensions, in
//! the HTTP header. Most of them read a request otherwise than it was meant, let one pass that is to be refused, or spoil a
//! result.

pub(super) mod apps;
pub(super) mod caching;
pub(super) mod discovery;
pub(super) mod endpoint;
pub(super) mod headers;
pub(super) mod listening;
pub(super) mod messages;
pub(super) mod metadata;
pub(super) mod principals;
pub(super) mod rounds;
pub(super) mod tasks;
pub(super) mod variants;
pub(super) mod versions;

#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use super::{Decorator, Fault, STDIO, STREAMABLE_HTTP};
use crate::conversation::Output;
use crate::envelope::{Incoming, Message, Request, RpcError};
use crate::features::Object;
use crate::revision::Revision;
use crate::stateless::Rule;
use crate::transport::Transport;

/// The transports of the era.
const BOTH: &[Transport] = &[Transport::Stdio, Transport::StreamableHttp];

const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
const TASKS: &str = "io.modelcontextprotocol/tasks";
const VERSION: &str = "io.modelcontextprotocol/protocolVersion";

/// A fault of the era, over both of its transports.
const fn fault(
    id: &'static str,
    summary: &'static str,
    caught_by: &'static [&'static str],
    make: fn() -> Box<dyn Decorator>,
) -> Fault {
    Fault::new(id, summary, caught_by, make)
        .over(BOTH)
        .under(Revision::V2026_07_28)
}

/// A fault of the era that shows over HTTP only.
const fn http_fault(
    id: &'static str,
    summary: &'static str,
    caught_by: &'static [&'static str],
    make: fn() -> Box<dyn Decorator>,
) -> Fault {
    fault(id, summary, caught_by, make).over(STREAMABLE_HTTP)
}

/// A fault of the era that shows over stdio only.
const fn stdio_fault(
    id: &'static str,
    summary: &'static str,
    caught_by: &'static [&'static str],
    make: fn() -> Box<dyn Decorator>,
) -> Fault {
    fault(id, summary, caught_by, make).over(STDIO)
}

/// Lets requests pass that break a rule, if the refusal would say this.
#[derive(Debug)]
struct Passes(Rule, &'static str);

impl Decorator for Passes {
    fn refusal(&mut self, rule: Rule, _: &str, error: RpcError) -> Option<RpcError> {
        let passes = rule == self.0 && error.message.contains(self.1);
        (!passes).then_some(error)
    }
}

/// Refuses requests that break a rule with another error.
#[derive(Debug)]
struct Refuses(Rule, fn(&mut RpcError));

impl Decorator for Refuses {
    fn refusal(&mut self, rule: Rule, _: &str, mut error: RpcError) -> Option<RpcError> {
        if rule == self.0 {
            (self.1)(&mut error);
        }
        Some(error)
    }
}

/// Reads the params of requests otherwise.
#[derive(Debug)]
struct Reads(fn(&str, &mut Object));

impl Decorator for Reads {
    fn incoming(&mut self, mut incoming: Incoming) -> Incoming {
        if let Incoming::Request(Request {
            method,
            params: Ok(params),
            ..
        }) = &mut incoming
        {
            (self.0)(method, params);
        }
        incoming
    }
}

/// What a request says in `_meta`.
fn said<'a>(params: &'a Object, key: &str) -> Option<&'a Value> {
    params.get("_meta")?.get(key)
}

/// Whether a result is one of this era.
fn is_stateless(result: &Value) -> bool {
    result.get("resultType").is_some()
}

/// The method and params of a frame, if it is a request.
fn request_in(bytes: &[u8]) -> Option<(Value, String, Object)> {
    let mut message: Value = serde_json::from_slice(bytes).ok()?;
    let id = message.get("id")?.clone();
    let method = message["method"].as_str()?.to_owned();
    let params = match message["params"].take() {
        Value::Object(params) => params,
        _ => Object::new(),
    };
    Some((id, method, params))
}

/// An error answer to a request that is not looked at any further.
fn refused(id: &Value, code: i64, message: &str) -> Vec<Output> {
    let error = json!({ "code": code, "message": message });
    vec![super::spoil::message(
        &json!({ "jsonrpc": "2.0", "id": id, "error": error }),
    )]
}

/// The listener that these outputs are the first for.
fn listener(outputs: &[Output]) -> Option<u64> {
    outputs.iter().find_map(|output| match output {
        Output::Listen { listener } => Some(*listener),
        _ => None,
    })
}

/// A notification as an output that belongs to no request.
fn told(method: &'static str, params: Value) -> Output {
    Output::Message {
        message: Message::Notification { method, params },
        after: std::time::Duration::ZERO,
        request: None,
    }
}
