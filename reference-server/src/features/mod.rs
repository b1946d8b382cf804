//! What the server offers, once the frame of a request is sound: method and params in, result or error out.

pub(crate) mod apps;
mod asking;
mod changes;
mod completion;
mod content;
mod elicitation;
mod inputs;
mod logging;
mod metadata;
mod paging;
mod prompts;
mod reconnection;
mod resources;
mod roots;
mod sampling;
mod scratch;
pub(crate) mod showcase;
mod statelessness;
mod suite;
mod tasks;
mod tools;
mod validation;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

pub(crate) use asking::{Ask, Continuation};
pub(crate) use logging::LEVELS;
pub(crate) use reconnection::Interruption;
pub(crate) use scratch::Scratch;
pub(crate) use tasks::{Tasks, iso_8601, random_id};

use crate::envelope::{Message, RpcError};
use crate::revision::Revision;

/// The params of a request, or the arguments of a tool.
pub(crate) type Object = Map<String, Value>;

/// A result, and when it is due.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) result: Value,
    /// How long the result takes.
    pub(crate) after: Duration,
    /// Progress and logs on the way, each with its time.
    pub(crate) notifications: Vec<(Duration, Message)>,
    /// News that belong to no request.
    pub(crate) asides: Vec<Message>,
    /// What the client is asked before there is a result.
    pub(crate) ask: Option<Ask>,
    /// Whether the connection is given up before there is a result.
    pub(crate) interruption: Option<Interruption>,
    /// An error to answer with instead, once it is due.
    pub(crate) error: Option<RpcError>,
}

impl Answer {
    /// An error.
    pub(crate) fn refusal(error: RpcError) -> Self {
        Self {
            error: Some(error),
            ..Self::from(Value::Null)
        }
    }

    /// The result, or the error.
    pub(crate) fn outcome(&self) -> Result<Value, RpcError> {
        match &self.error {
            Some(error) => Err(error.clone()),
            None => Ok(self.result.clone()),
        }
    }
}

impl From<Value> for Answer {
    fn from(result: Value) -> Self {
        Self {
            result,
            after: Duration::ZERO,
            notifications: Vec::new(),
            asides: Vec::new(),
            ask: None,
            interruption: None,
            error: None,
        }
    }
}

/// What one client has changed, and what decides the shape of its results.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) revision: Revision,
    /// The capabilities that the client declared.
    pub(crate) client: Value,
    /// Nothing is remembered after the request: no levels of logs, no subscriptions, no tasks.
    pub(crate) forgetful: bool,
    level: logging::Level,
    changes: changes::Changes,
    /// The client's roots, until it says that they have changed.
    roots: Option<Value>,
    /// How many progress tokens were put on questions.
    tokens: u64,
    page_size: usize,
    /// What `counter` has counted.
    counter: u64,
    /// How many issues `create_issue` has made.
    issues: u64,
    scratch: Arc<Scratch>,
    pub(crate) tasks: Tasks,
    /// Who asks, where that is known: what is kept for one principal is nobody else's.
    pub(crate) principal: Option<String>,
    /// The handles that were given out, and to whom.
    handles: Vec<(String, Option<String>)>,
    /// The states that were good for one time, by their numbers.
    pub(crate) used: Vec<Value>,
    /// The id of the subscriptions that a tool wants to end.
    pub(crate) ending: Option<Value>,
}

impl Session {
    pub(crate) fn new(revision: Revision, page_size: usize, scratch: Arc<Scratch>) -> Self {
        Self {
            revision,
            client: Value::Null,
            forgetful: false,
            level: logging::Level::default(),
            changes: changes::Changes::default(),
            roots: None,
            tokens: 0,
            page_size,
            counter: 0,
            issues: 0,
            scratch,
            tasks: Tasks::default(),
            principal: None,
            handles: Vec::new(),
            used: Vec::new(),
            ending: None,
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
        let remembered = ["resources/subscribe", "resources/unsubscribe", "logging/setLevel"];
        if let Some(answer) = self.prompt_that_asks(method, params) {
            return answer;
        }
        let result = match method {
            _ if self.forgetful && remembered.contains(&method) => Err(RpcError::method_not_found(method)),
            "ping" => Ok(json!({})),
            "tools/list" => self.list_tools(params),
            "resources/list" => self.list_resources(params),
            "resources/templates/list" => self.list_templates(params),
            "resources/read" => self.read_resource(params),
            "resources/subscribe" => self.subscribe(params),
            "resources/unsubscribe" => self.unsubscribe(params),
            "prompts/list" => self.list_prompts(params),
            "prompts/get" => self.get_prompt(params),
            "completion/complete" => completion::complete(params),
            "logging/setLevel" => self.set_level(params),
            _ => Err(RpcError::method_not_found(method)),
        };
        result.map(Answer::from)
    }

    /// Takes in what a request of the stateless era says about its client, and forgets what earlier ones have said. `false`
    /// when there is no such level of logs.
    pub(crate) fn begin_request(&mut self, client: Value, level: Option<&str>) -> bool {
        self.client = client;
        self.roots = None;
        let level = logging::Level::named(level);
        self.level = level.unwrap_or_default();
        level.is_some()
    }

    /// Whether there are tasks.
    pub(crate) fn has_tasks(&self) -> bool {
        self.revision.has_tasks() && !self.forgetful
    }

    /// Takes in a notification of the client.
    pub(crate) fn notified(&mut self, method: &str) {
        if method == "notifications/roots/list_changed" {
            self.roots = None;
        }
    }

    /// Whether the client declared the capability, given as a path.
    fn client_has(&self, path: &str) -> bool {
        self.client.pointer(path).is_some_and(|value| !value.is_null())
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
