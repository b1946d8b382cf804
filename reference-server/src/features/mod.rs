//! What the server offers, once the frame of a request is sound: method and params in, result or error out.

mod completion;
mod paging;
mod prompts;
mod resources;
mod scratch;
pub(crate) mod showcase;
mod tasks;
mod tools;
mod validation;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

pub(crate) use scratch::Scratch;
pub(crate) use tasks::Tasks;

use crate::envelope::{Message, RpcError};
use crate::revision::Revision;

/// The params of a request, or the arguments of a tool.
pub(crate) type Object = Map<String, Value>;

/// A result, and when it is due.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) result: Value,
    /// An error to answer with instead, once it is due.
    pub(crate) error: Option<RpcError>,
    /// How long the result takes.
    pub(crate) after: Duration,
    /// Progress on the way, each with its time.
    pub(crate) notifications: Vec<(Duration, Message)>,
}

impl From<Value> for Answer {
    fn from(result: Value) -> Self {
        Self {
            result,
            error: None,
            after: Duration::ZERO,
            notifications: Vec::new(),
        }
    }
}

/// What one client has changed, and what decides the shape of its results.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) revision: Revision,
    page_size: usize,
    /// What `counter` has counted.
    counter: u64,
    /// How many issues `create_issue` has made.
    issues: u64,
    scratch: Arc<Scratch>,
    pub(crate) tasks: Tasks,
}

impl Session {
    pub(crate) fn new(revision: Revision, page_size: usize, scratch: Arc<Scratch>) -> Self {
        Self {
            revision,
            page_size,
            counter: 0,
            issues: 0,
            scratch,
            tasks: Tasks::default(),
        }
    }

    /// Answers any request but `initialize`.
    pub(crate) fn answer(&mut self, method: &str, params: &Object) -> Result<Answer, RpcError> {
        if method == "tools/call" {
            return self.call_tool(params);
        }
        if let Some(answer) = self.answer_about_tasks(method, params) {
            return answer;
        }
        let result = match method {
            "ping" => Ok(json!({})),
            "tools/list" => self.list_tools(params),
            "resources/list" => self.list_resources(params),
            "resources/templates/list" => self.list_templates(params),
            "resources/read" => resources::read(params),
            "resources/subscribe" | "resources/unsubscribe" => resources::subscription(params),
            "prompts/list" => self.list_prompts(params),
            "prompts/get" => self.get_prompt(params),
            "completion/complete" => completion::complete(params),
            "logging/setLevel" => set_level(params),
            _ => Err(RpcError::method_not_found(method)),
        };
        result.map(Answer::from)
    }
}

/// Accepts a level; nothing here is ever logged, so that it has no further effect (server/utilities/logging).
fn set_level(params: &Object) -> Result<Value, RpcError> {
    const LEVELS: [&str; 8] = [
        "debug",
        "info",
        "notice",
        "warning",
        "error",
        "critical",
        "alert",
        "emergency",
    ];
    match string(params, "level")? {
        level if LEVELS.contains(&level) => Ok(json!({})),
        level => Err(RpcError::invalid_params(format!(
            "Unknown log level {level:?}; known are {}",
            LEVELS.join(", ")
        ))),
    }
}

/// A string that must be there.
fn string<'a>(params: &'a Object, member: &str) -> Result<&'a str, RpcError> {
    params
        .get(member)
        .and_then(Value::as_str)
        .ok_or_else(|| RpcError::invalid_params(format!("Invalid params: {member} must be a string")))
}

/// An object that may be absent, which is the same as empty.
fn object<'a>(params: &'a Object, member: &str) -> Result<Option<&'a Object>, RpcError> {
    match params.get(member) {
        None => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(_) => Err(RpcError::invalid_params(format!(
            "Invalid params: {member} must be an object"
        ))),
    }
}
