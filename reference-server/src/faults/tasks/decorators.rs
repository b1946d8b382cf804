//! What the faults of tasks do to answers and notifications.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::super::{Decorator, Received};
use crate::conversation::Output;
use crate::envelope::{Message, Request, Response, RpcError};

pub(super) const RELATED: &str = "io.modelcontextprotocol/related-task";

pub(super) fn method(request: &Request) -> &str {
    &request.method
}

/// The task that a request is about.
pub(super) fn named(request: &Request) -> String {
    param(request, "taskId")
}

/// The tool that a request calls.
pub(super) fn tool(request: &Request) -> String {
    param(request, "name")
}

fn param(request: &Request, member: &str) -> String {
    let params = request.params.as_ref().ok();
    let value = params.and_then(|params| params.get(member)?.as_str());
    value.unwrap_or_default().to_owned()
}

/// The result of a request for the method.
pub(super) fn result_of<'a>(request: &Request, response: &'a mut Response, method: &str) -> Option<&'a mut Value> {
    response.outcome.as_mut().ok().filter(|_| request.method == method)
}

/// Whether the response is an error that says so.
pub(super) fn refused(response: &Response, why: &str) -> bool {
    matches!(&response.outcome, Err(error) if error.message.contains(why))
}

/// Whether a request has a progress token.
pub(super) fn wants_progress(request: &Request) -> bool {
    let meta = request.params.as_ref().ok().and_then(|params| params.get("_meta"));
    meta.is_some_and(|meta| meta.get("progressToken").is_some())
}

/// Whether it is the status notification of a task.
pub(super) fn is_status(message: &Message) -> bool {
    matches!(message, Message::Notification { method, .. } if *method == "notifications/tasks/status")
}

/// Whether a call is answered with a task.
pub(super) fn creates(request: &Request, response: &Response) -> bool {
    request.method == "tools/call" && matches!(&response.outcome, Ok(result) if result.get("task").is_some())
}

pub(super) fn invented_task(id: &str) -> Value {
    let then = "2025-11-25T10:30:00.000Z";
    json!({ "taskId": id, "status": "working", "createdAt": then, "lastUpdatedAt": then, "ttl": 60_000 })
}

/// What `slow_compute` gives, and what is right for other tools too.
pub(super) fn plain_result() -> Value {
    let label = json!({ "label": "computation" });
    json!({ "content": [{ "type": "text", "text": label.to_string() }], "structuredContent": label, "isError": false })
}

/// Takes a part of the tasks capability away, or all of it, and the tools that make no sense without.
pub(super) fn undeclare(request: &Request, response: &mut Response, part: Option<&str>) {
    if let Some(result) = result_of(request, response, "initialize")
        && let Some(capabilities) = result["capabilities"].as_object_mut()
    {
        match (part, capabilities.get_mut("tasks")) {
            (Some(part), Some(Value::Object(tasks))) => drop(tasks.shift_remove(part)),
            _ => drop(capabilities.shift_remove("tasks")),
        }
    } else if let Some(result) = result_of(request, response, "tools/list")
        && let Some(tools) = result["tools"].as_array_mut()
    {
        tools.retain(|tool| tool["execution"]["taskSupport"] != "required");
    }
}

/// Changes answers, one by one.
#[derive(Debug)]
pub(super) struct Answers(pub(super) fn(&Request, &mut Response));

impl Decorator for Answers {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        (self.0)(request, &mut response);
        response
    }
}

/// Changes the result of one method; of a call the task that it gives.
#[derive(Debug)]
struct Spoilt {
    method: &'static str,
    spoil: fn(&mut Value),
}

pub(super) fn spoilt_task(method: &'static str, spoil: fn(&mut Value)) -> Box<dyn Decorator> {
    Box::new(Spoilt { method, spoil })
}

impl Decorator for Spoilt {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if let Some(result) = result_of(request, &mut response, self.method) {
            match result.get_mut("task") {
                Some(task) => (self.spoil)(task),
                None if self.method != "tools/call" => (self.spoil)(result),
                None => {}
            }
        }
        response
    }
}

/// Changes every task in every answer.
#[derive(Debug)]
struct EachTask(fn(&mut Map<String, Value>));

pub(super) fn each_task(spoil: fn(&mut Map<String, Value>)) -> Box<dyn Decorator> {
    Box::new(EachTask(spoil))
}

impl Decorator for EachTask {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        let Ok(result) = &mut response.outcome else {
            return response;
        };
        let tasks: Vec<&mut Value> = match request.method.as_str() {
            "tools/call" => result.get_mut("task").into_iter().collect(),
            "tasks/get" | "tasks/cancel" => vec![result],
            "tasks/list" => {
                let tasks = result["tasks"].as_array_mut();
                tasks.into_iter().flatten().collect()
            }
            _ => Vec::new(),
        };
        for task in tasks.into_iter().filter_map(Value::as_object_mut) {
            (self.0)(task);
        }
        response
    }
}

/// Changes the params of notifications.
#[derive(Debug)]
pub(super) struct Notifications(pub(super) &'static str, pub(super) fn(&mut Value));

impl Decorator for Notifications {
    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        let (wanted, spoil) = (self.0, self.1);
        let mut change = |message: &mut Message| match message {
            Message::Notification { method, params } if *method == wanted => spoil(params),
            _ => {}
        };
        for output in &mut outputs {
            match output {
                Output::Message { message, .. } => change(message),
                Output::Settle { messages, .. } => messages.iter_mut().for_each(&mut change),
                _ => {}
            }
        }
        outputs
    }
}

/// Sends some answers later, the first few of them.
#[derive(Debug)]
pub(super) struct Late {
    wanted: fn(&Request, &Response) -> bool,
    by: Duration,
    left: usize,
    now: bool,
}

impl Late {
    pub(super) fn new(wanted: fn(&Request, &Response) -> bool, by: Duration, most: usize) -> Self {
        Self {
            wanted,
            by,
            left: most,
            now: false,
        }
    }
}

impl Decorator for Late {
    fn response(&mut self, request: &Request, response: Response) -> Response {
        self.now = self.left > 0 && (self.wanted)(request, &response);
        self.left -= usize::from(self.now);
        response
    }

    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        if std::mem::take(&mut self.now) {
            for output in &mut outputs {
                if let Output::Message { after, .. } = output {
                    *after += self.by;
                }
            }
        }
        outputs
    }
}

/// `task-result-early`: nothing waits for the end of the work.
#[derive(Debug, Default)]
pub(super) struct ResultEarly {
    now: bool,
}

impl Decorator for ResultEarly {
    fn response(&mut self, request: &Request, response: Response) -> Response {
        self.now = request.method == "tasks/result";
        response
    }

    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        if std::mem::take(&mut self.now) {
            outputs.retain(|output| {
                let Output::Message { message, .. } = output else {
                    return true;
                };
                matches!(message, Message::Response(_))
            });
            for output in &mut outputs {
                if let Output::Message { after, .. } = output {
                    *after = Duration::ZERO;
                }
            }
        }
        outputs
    }
}

/// `task-status-backwards`, `task-terminal-changes`: a completed task is something else from the second telling on.
#[derive(Debug)]
pub(super) struct SecondThoughts {
    then: &'static str,
    told: Vec<String>,
}

impl SecondThoughts {
    pub(super) fn new(then: &'static str) -> Self {
        Self { then, told: Vec::new() }
    }
}

impl Decorator for SecondThoughts {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        let id = named(request);
        if let Some(task) = result_of(request, &mut response, "tasks/get").filter(|task| task["status"] == "completed")
        {
            if self.told.contains(&id) {
                task["status"] = json!(self.then);
                task["statusMessage"] = json!("Something else has happened");
            } else {
                self.told.push(id);
            }
        }
        response
    }
}

/// `task-id-reused`: every task is told as the first one was.
#[derive(Debug, Default)]
pub(super) struct IdReused {
    first: Option<Value>,
}

impl Decorator for IdReused {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if creates(request, &response)
            && let Some(result) = result_of(request, &mut response, "tools/call")
        {
            result["task"] = self.first.get_or_insert_with(|| result["task"].clone()).clone();
        }
        response
    }
}

/// `task-id-counted`: the ids that are given out are numbers, which lead nowhere.
#[derive(Debug, Default)]
pub(super) struct IdCounted {
    count: usize,
}

impl Decorator for IdCounted {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if creates(request, &response)
            && let Some(result) = result_of(request, &mut response, "tools/call")
        {
            self.count += 1;
            result["task"]["taskId"] = json!(format!("task-{}", self.count));
        }
        response
    }
}

/// `task-related-obeyed`: the task that the metadata names is told instead.
#[derive(Debug, Default)]
pub(super) struct RelatedObeyed {
    tasks: BTreeMap<String, Value>,
}

impl Decorator for RelatedObeyed {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if creates(request, &response)
            && let Some(result) = result_of(request, &mut response, "tools/call")
        {
            let task = result["task"].clone();
            self.tasks
                .insert(task["taskId"].as_str().unwrap_or_default().to_owned(), task);
        }
        let related = request.params.as_ref().ok().and_then(|params| {
            let related = params.get("_meta")?.get(RELATED)?;
            self.tasks.get(related.get("taskId")?.as_str()?)
        });
        if let (Some(related), Some(task)) = (related, result_of(request, &mut response, "tasks/get")) {
            *task = related.clone();
        }
        response
    }
}

/// `task-failed-completed`: no failure is told, nor any status by itself.
#[derive(Debug)]
pub(super) struct FailedCompleted;

impl Decorator for FailedCompleted {
    fn response(&mut self, request: &Request, response: Response) -> Response {
        let complete = |task: &mut Map<String, Value>| {
            if task.get("status").is_some_and(|status| status == "failed") {
                task.insert("status".to_owned(), json!("completed"));
            }
        };
        EachTask(complete).response(request, response)
    }

    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        outputs.retain(|output| !matches!(output, Output::Message { message, .. } if is_status(message)));
        outputs
    }
}

/// `task-cancel-refused`: the task is cancelled behind the client's back, which sees it go on and end well.
#[derive(Debug, Default)]
pub(super) struct CancelRefused {
    /// Tasks that should have been cancelled, and how often they were asked about since.
    asked: BTreeMap<String, usize>,
    /// Tasks with a question to the client. These are cancelled properly: nothing but the end of the question ends them.
    asking: Vec<String>,
    /// Whether this is what was refused last.
    now: bool,
}

impl Decorator for CancelRefused {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        let id = named(request);
        match (request.method.as_str(), self.asked.get_mut(&id)) {
            ("tasks/cancel", None) if response.outcome.is_ok() && !self.asking.contains(&id) => {
                self.now = true;
                self.asked.insert(id, 0);
                response.outcome = Err(RpcError::new(-32603, "The task cannot be cancelled"));
            }
            ("tasks/get", Some(times)) => {
                *times += 1;
                if let Ok(task) = &mut response.outcome {
                    task["status"] = json!(if *times == 1 { "working" } else { "completed" });
                }
            }
            ("tasks/list", _) => {
                if let Ok(result) = &mut response.outcome
                    && let Some(tasks) = result["tasks"].as_array_mut()
                {
                    tasks.retain(|task| task["taskId"].as_str().is_none_or(|id| !self.asked.contains_key(id)));
                }
            }
            ("tasks/result", Some(_)) => {
                let mut result = plain_result();
                result["_meta"][RELATED] = json!({ "taskId": id });
                response.outcome = Ok(result);
            }
            _ => {}
        }
        response
    }

    /// Whoever waits for the result is not told of the cancellation either, but gets the result in time.
    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        let refused = std::mem::take(&mut self.now);
        outputs.retain(|output| !(refused && matches!(output, Output::Settle { .. })));
        for output in &outputs {
            if let Output::Message {
                message: Message::Request {
                    params: Some(params), ..
                },
                ..
            } = output
                && let Some(task) = params.pointer("/_meta/io.modelcontextprotocol~1related-task/taskId")
            {
                self.asking.extend(task.as_str().map(str::to_owned));
            }
        }
        outputs
    }
}

/// `task-cancel-ignored`: from the second telling on, a cancelled task is at work.
#[derive(Debug, Default)]
pub(super) struct CancelIgnored {
    told: Vec<String>,
}

impl Decorator for CancelIgnored {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        let id = named(request);
        if let Some(task) = result_of(request, &mut response, "tasks/get").filter(|task| task["status"] == "cancelled")
        {
            if self.told.contains(&id) {
                task["status"] = json!("working");
            } else {
                self.told.push(id);
            }
        }
        response
    }
}

/// `task-cancel-finished`: a cancellation that comes too late is answered with the task as it is.
#[derive(Debug, Default)]
pub(super) struct FinishedCancelled {
    tasks: BTreeMap<String, Value>,
}

impl Decorator for FinishedCancelled {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        let id = named(request);
        match (request.method.as_str(), &response.outcome) {
            ("tasks/get" | "tasks/cancel", Ok(task)) => drop(self.tasks.insert(id, task.clone())),
            ("tasks/cancel", Err(_)) if refused(&response, "the task is over already") => {
                if let Some(task) = self.tasks.get(&id) {
                    response.outcome = Ok(task.clone());
                }
            }
            _ => {}
        }
        response
    }
}
