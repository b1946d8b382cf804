//! Faults in what tasks tell while they are at work: progress, questions to the client, work that nobody stops.

use serde_json::{Map, Value, json};

use super::super::{Decorator, Fault, Received};
use super::decorators::{
    Answers, Notifications, RELATED, each_task, is_status, named, plain_result, refused, result_of,
};
use super::fault;
use crate::conversation::Output;
use crate::envelope::{Message, Request, Response, RpcError};

pub(in super::super) const FAULTS: &[Fault] = &[
    fault(
        "task-progress-own-token",
        "reports progress of tasks under their ids instead of the tokens of their calls",
        &["progress/task-token-continues"],
        || {
            Box::new(Notifications("notifications/progress", |params| {
                if let Some(task) = params
                    .pointer("/_meta/io.modelcontextprotocol~1related-task/taskId")
                    .cloned()
                {
                    params["progressToken"] = task;
                }
            }))
        },
    ),
    fault(
        "task-progress-after-end",
        "reports progress of tasks after having told that they are over",
        &["progress/task-stops-at-terminal"],
        || Box::new(ProgressAfterEnd),
    ),
    fault(
        "task-cancel-finishes",
        "goes on with the work of cancelled tasks, and gives what comes of it",
        &["tasks/cancel-stops-work"],
        || {
            Box::new(Answers(|request, response| {
                if request.method == "tasks/result" && refused(response, "was cancelled") {
                    let mut result = plain_result();
                    result["_meta"][RELATED] = json!({ "taskId": named(request) });
                    response.outcome = Ok(result);
                }
            }))
        },
    ),
    fault(
        "task-input-working",
        "says of tasks that wait for the client that they are at work",
        &["tasks/input-required-status"],
        || {
            let works = |task: &mut Map<String, Value>| {
                if task.get("status").is_some_and(|status| status == "input_required") {
                    task.insert("status".to_owned(), json!("working"));
                }
            };
            each_task(works)
        },
    ),
    fault(
        "task-input-stays",
        "says of tasks that they wait for the client when it has answered long ago",
        &["tasks/input-required-left"],
        || Box::new(InputStays::default()),
    ),
    fault(
        "task-question-unrelated",
        "does not say to which task a question belongs",
        &["tasks/related-messages"],
        || Box::new(Unrelated),
    ),
    fault(
        "variant-insists-on-tasks",
        "is correct, and refuses plain calls of a tool that can run as a task",
        &[],
        || {
            Box::new(Answers(|request, response| {
                let params = request.params.as_ref().ok();
                let plain = params.is_some_and(|params| {
                    params.get("name").is_some_and(|name| name == "slow_compute") && !params.contains_key("task")
                });
                if plain && request.method == "tools/call" {
                    response.outcome = Err(RpcError::invalid_request("This server carries out such calls as tasks"));
                }
            }))
        },
    ),
];

/// `task-progress-after-end`: the progress comes between the last status and the result.
#[derive(Debug)]
struct ProgressAfterEnd;

impl Decorator for ProgressAfterEnd {
    fn outputs(&mut self, _: Received, outputs: Vec<Output>) -> Vec<Output> {
        let due = outputs.iter().find_map(|output| match output {
            Output::Message { message, after, .. } if is_status(message) => Some(*after),
            _ => None,
        });
        let Some(due) = due else { return outputs };
        let (mut late, mut rest): (Vec<_>, Vec<_>) = outputs.into_iter().partition(|output| {
            matches!(output, Output::Message { message: Message::Notification { method, .. }, .. } if *method == "notifications/progress")
        });
        for output in &mut late {
            if let Output::Message { after, .. } = output {
                *after = due;
            }
        }
        let status = rest
            .iter()
            .position(|output| matches!(output, Output::Message { message, .. } if is_status(message)));
        let behind = status.map_or(rest.len(), |status| status + 1);
        rest.splice(behind..behind, late);
        rest
    }
}

/// `task-input-stays`: whatever was told to wait for the client goes on waiting.
#[derive(Debug, Default)]
struct InputStays {
    waiting: Vec<String>,
}

impl Decorator for InputStays {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        let id = named(request);
        if let Some(task) = result_of(request, &mut response, "tasks/get") {
            if task["status"] == "input_required" {
                self.waiting.push(id);
            } else if self.waiting.contains(&id) {
                task["status"] = json!("input_required");
            }
        }
        response
    }

    /// A notification would tell how it is.
    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        outputs.retain(|output| !matches!(output, Output::Message { message, .. } if is_status(message)));
        outputs
    }
}

/// `task-question-unrelated`.
#[derive(Debug)]
struct Unrelated;

impl Decorator for Unrelated {
    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        for output in &mut outputs {
            if let Output::Message {
                message: Message::Request {
                    params: Some(params), ..
                },
                ..
            } = output
                && let Some(meta) = params.get_mut("_meta").and_then(Value::as_object_mut)
            {
                meta.shift_remove(RELATED);
            }
        }
        outputs
    }
}
