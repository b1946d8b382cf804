//! The small decorators that most faults are made of: a function at one place of the conversation.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Decorator, Received};
use crate::conversation::Output;
use crate::envelope::{Message, Request, Response, RpcError};

/// Changes the results of requests.
#[derive(Debug)]
pub(super) struct Results(pub(super) fn(&Request, &mut Value));

impl Decorator for Results {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if let Ok(result) = &mut response.outcome {
            (self.0)(request, result);
        }
        response
    }
}

/// Answers requests otherwise; `None` leaves the answer as it is.
#[derive(Debug)]
pub(super) struct Answers(pub(super) fn(&Request, &Response) -> Option<Result<Value, RpcError>>);

impl Decorator for Answers {
    fn response(&mut self, request: &Request, response: Response) -> Response {
        match (self.0)(request, &response) {
            Some(outcome) => Response { outcome, ..response },
            None => response,
        }
    }
}

/// Changes the bytes of everything that is sent.
#[derive(Debug)]
pub(super) struct Bytes(pub(super) fn(Vec<u8>) -> Vec<u8>);

impl Decorator for Bytes {
    fn outputs(&mut self, _: Received, outputs: Vec<Output>) -> Vec<Output> {
        rewritten(outputs, self.0)
    }
}

/// The outputs with other bytes for every message.
pub(super) fn rewritten(outputs: Vec<Output>, change: impl Fn(Vec<u8>) -> Vec<u8>) -> Vec<Output> {
    let rewrite = |output| match output {
        Output::Message {
            message,
            after,
            request,
        } => Output::Message {
            message: Message::Raw(change(message.to_bytes())),
            after,
            request,
        },
        other => other,
    };
    outputs.into_iter().map(rewrite).collect()
}

/// Applies a change to the params of every message of a method that the server sends.
pub(super) fn reword(outputs: &mut [Output], method: &str, mut change: impl FnMut(&mut Value)) {
    for output in outputs {
        let (Output::Message { message, .. } | Output::Aside(message) | Output::News { message, .. }) = output else {
            continue;
        };
        match message {
            Message::Notification { method: found, params } if *found == method => change(params),
            Message::Request {
                method: found, params, ..
            } if *found == method => change(params.get_or_insert_with(|| json!({}))),
            _ => {}
        }
    }
}

/// Spoils the params of every message of a method that the server sends.
#[derive(Debug)]
pub(super) struct Wording(pub(super) &'static str, pub(super) fn(&mut Value));

impl Decorator for Wording {
    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        reword(&mut outputs, self.0, self.1);
        outputs
    }
}

/// Says something more behind the answers to a request of this method.
#[derive(Debug)]
pub(super) struct After {
    method: &'static str,
    more: fn() -> Value,
    due: bool,
}

impl After {
    pub(super) fn new(method: &'static str, more: fn() -> Value) -> Self {
        Self {
            method,
            more,
            due: false,
        }
    }
}

impl Decorator for After {
    fn response(&mut self, request: &Request, response: Response) -> Response {
        self.due |= request.method == self.method;
        response
    }

    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        if std::mem::take(&mut self.due) {
            outputs.push(message(&(self.more)()));
        }
        outputs
    }
}

/// Does something else with a frame than to read it.
#[derive(Debug)]
pub(super) struct Instead(pub(super) fn(&[u8]) -> Option<Vec<Output>>);

impl Decorator for Instead {
    fn instead(&mut self, bytes: &[u8]) -> Option<Vec<Output>> {
        (self.0)(bytes)
    }
}

/// A message of any form, sent at once.
pub(super) fn message(value: &Value) -> Output {
    Output::Message {
        message: Message::Raw(value.to_string().into_bytes()),
        after: Duration::ZERO,
        request: None,
    }
}

/// A notification of the server.
pub(super) fn notification(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": method, "params": params })
}

/// A result that is one text.
pub(super) fn text(text: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": text }], "isError": false })
}

/// The error of a server that has lost its way.
pub(super) fn internal() -> RpcError {
    error(-32603, "Internal error")
}

/// Any error.
pub(super) fn error(code: i64, message: &str) -> RpcError {
    RpcError {
        code,
        message: message.to_owned(),
        data: None,
    }
}

/// Whether the call of a tool was refused because there is no such tool.
pub(super) fn is_unknown_tool(request: &Request, response: &Response) -> bool {
    let unknown = response
        .outcome
        .as_ref()
        .is_err_and(|error| error.message.starts_with("Unknown tool"));
    request.method == "tools/call" && unknown
}

/// The error with which a call was refused, if it has this code.
pub(super) fn refused_call(request: &Request, response: &Response, code: i64) -> Option<RpcError> {
    let error = response.outcome.as_ref().err()?;
    (request.method == "tools/call" && error.code == code).then(|| error.clone())
}

/// The params of a request, empty when they cannot be read.
pub(super) fn params(request: &Request) -> Map<String, Value> {
    request.params.clone().unwrap_or_default()
}

/// Whether the request is of the method, and its name or URI is this one.
pub(super) fn asks(request: &Request, method: &str, name: &str) -> bool {
    let named = |member: &str| {
        request
            .params
            .as_ref()
            .is_ok_and(|params| params.get(member) == Some(&name.into()))
    };
    request.method == method && (named("name") || named("uri"))
}

/// The entry of a list in a result, by its name or URI.
pub(super) fn entry<'a>(result: &'a mut Value, list: &str, name: &str) -> Option<&'a mut Value> {
    let named = |entry: &Value| ["name", "uri", "uriTemplate"].iter().any(|key| entry[*key] == name);
    result
        .get_mut(list)?
        .as_array_mut()?
        .iter_mut()
        .find(|entry| named(entry))
}

/// Adds an entry to the last page of a list.
pub(super) fn add(result: &mut Value, list: &str, entry: Value) {
    if result.get("nextCursor").is_none()
        && let Some(entries) = result.get_mut(list).and_then(Value::as_array_mut)
    {
        entries.push(entry);
    }
}

/// Takes a member out of an object.
pub(super) fn take(value: &mut Value, member: &str) -> Option<Value> {
    value.as_object_mut()?.shift_remove(member)
}

/// The first content block of a type in the result of a tool or prompt.
pub(super) fn block<'a>(result: &'a mut Value, kind: &str) -> Option<&'a mut Value> {
    let of_tool = result.get("content").is_some_and(Value::is_array);
    let list = if of_tool { "content" } else { "messages" };
    let entries = result.get_mut(list)?.as_array_mut()?.iter_mut();
    let mut found = entries.filter_map(|entry| match of_tool {
        true => Some(entry),
        false => entry.get_mut("content"),
    });
    found.find(|block| block["type"] == kind)
}

/// Changes one entry of a list: the method, the list, the name or URI of the entry, and what becomes of it.
#[derive(Debug)]
pub(super) struct Entry(
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) fn(&mut Value),
);

impl Decorator for Entry {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if let Ok(result) = &mut response.outcome
            && request.method == self.0
            && let Some(entry) = entry(result, self.1, self.2)
        {
            (self.3)(entry);
        }
        response
    }
}

/// Adds an entry to a list: the method, the list, and the entry.
#[derive(Debug)]
pub(super) struct Addition(
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) fn() -> Value,
);

impl Decorator for Addition {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if let Ok(result) = &mut response.outcome
            && request.method == self.0
        {
            add(result, self.1, (self.2)());
        }
        response
    }
}

/// Changes the result of a request for something by name or URI: the method, the name, and what becomes of the result.
#[derive(Debug)]
pub(super) struct Named(
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) fn(&mut Value),
);

impl Decorator for Named {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if let Ok(result) = &mut response.outcome
            && asks(request, self.0, self.1)
        {
            (self.2)(result);
        }
        response
    }
}

/// Changes every successful result of a method.
#[derive(Debug)]
pub(super) struct Every(pub(super) &'static str, pub(super) fn(&mut Value));

impl Decorator for Every {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if let Ok(result) = &mut response.outcome
            && request.method == self.0
        {
            (self.1)(result);
        }
        response
    }
}

/// Changes the results of a tool.
pub(super) fn returned(tool: &'static str, change: fn(&mut Value)) -> Box<dyn Decorator> {
    Box::new(Returned { tool, change })
}

#[derive(Debug)]
struct Returned {
    tool: &'static str,
    change: fn(&mut Value),
}

impl Decorator for Returned {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if let Ok(result) = &mut response.outcome
            && asks(request, "tools/call", self.tool)
            && result["isError"] != true
        {
            (self.change)(result);
        }
        response
    }
}
