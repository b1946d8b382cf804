//! What belongs to one client and is kept for all of them: the decorators of all conversations share it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::spoil::params;
use super::{Decorator, Fault, Received, STREAMABLE_HTTP};
use crate::conversation::Output;
use crate::envelope::{Message, Request, Response};
use crate::features::LEVELS;
use crate::revision::Revision;

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "log-level-shared",
        "logs to every client what the last one wished for",
        &["logging/level-per-session"],
        || Box::new(OneLevel),
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "auth-tasks-shared",
        "shows the tasks of one principal to another who knows their ids",
        &["tasks/auth-bound"],
        || Box::new(OneStore),
    )
    .over(STREAMABLE_HTTP)
    .under(Revision::V2025_11_25)
    .served_with(&["--authorization"]),
];

static LEVEL: Mutex<usize> = Mutex::new(0);
static TASKS: Mutex<BTreeMap<String, Value>> = Mutex::new(BTreeMap::new());

fn place(level: Option<&Value>) -> usize {
    let name = level.and_then(Value::as_str).unwrap_or_default();
    LEVELS.iter().position(|known| *known == name).unwrap_or_default()
}

#[derive(Debug)]
struct OneLevel;

impl Decorator for OneLevel {
    fn response(&mut self, request: &Request, response: Response) -> Response {
        if request.method == "logging/setLevel" && response.outcome.is_ok() {
            *LEVEL.lock().unwrap_or_else(PoisonError::into_inner) = place(params(request).get("level"));
        }
        response
    }

    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        let least = *LEVEL.lock().unwrap_or_else(PoisonError::into_inner);
        outputs.retain(|output| match output {
            Output::Message {
                message: Message::Notification { method, params },
                ..
            } if *method == "notifications/message" => place(params.get("level")) >= least,
            _ => true,
        });
        outputs
    }
}

#[derive(Debug)]
struct OneStore;

impl Decorator for OneStore {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        let mut tasks = TASKS.lock().unwrap_or_else(PoisonError::into_inner);
        match (request.method.as_str(), &mut response.outcome) {
            ("tools/call", Ok(result)) => {
                if let Some((id, task)) = result
                    .get("task")
                    .and_then(|task| Some((task["taskId"].as_str()?, task)))
                {
                    tasks.insert(id.to_owned(), task.clone());
                }
            }
            ("tasks/get", outcome @ Err(_)) => {
                let params = params(request);
                let id = params.get("taskId").and_then(Value::as_str);
                if let Some(task) = id.and_then(|id| tasks.get(id)) {
                    *outcome = Ok(task.clone());
                }
            }
            _ => {}
        }
        response
    }
}
