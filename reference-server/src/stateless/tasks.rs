//! Calls that go on after their answer: the tasks extension of 2026-07-28 (ext-tasks, `io.modelcontextprotocol/tasks`).
//!
//! The server decides which calls become tasks, for clients that have declared the extension on that very call. As
//! everywhere here nothing runs in the background: a task knows when it will be done, and goes on with the answers that
//! `tasks/update` brings.

use std::time::Duration;

use serde_json::{Value, json};

use super::results::complete;
use super::rounds::{Question, check, questions};
use crate::envelope::{Message, Reply, RpcError};
use crate::features::{Answer, Ask, Object, Session, iso_8601, random_id};

/// The extension.
pub(crate) const EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// How long a task is kept.
const TTL: Duration = Duration::from_secs(10 * 60);
/// How often to ask, in milliseconds.
const POLL_INTERVAL: u64 = 100;
/// How many tasks there may be.
const MOST: usize = 1000;

/// How a tool that knows of tasks runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Support {
    /// As a task where it can.
    Optional,
    /// As a task or not at all.
    Required,
    /// As a task or not at all, once it has asked what it needs to know before.
    AfterInput,
}

/// What the tool says of tasks.
pub(super) fn support(tool: &str) -> Option<Support> {
    match tool {
        "slow_compute" => Some(Support::Optional),
        "failing_job" | "protocol_error_job" | "confirm_delete" | "multi_input" => Some(Support::Required),
        "test_tool_with_task" => Some(Support::AfterInput),
        _ => None,
    }
}

/// Whether the client has declared the extension.
pub(super) fn declared(session: &Session) -> bool {
    session.client["extensions"][EXTENSION].is_object()
}

/// The refusal of a client that has not.
pub(super) fn undeclared() -> RpcError {
    RpcError::missing_capability(json!({ "extensions": { EXTENSION: {} } }))
}

/// All tasks.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    tasks: Vec<Task>,
    created: u64,
    /// Those whose state has changed and was not yet told.
    changed: Vec<u64>,
}

/// One task. Times are those since 1970.
#[derive(Debug)]
struct Task {
    number: u64,
    id: String,
    /// Who has begun it, where that is known.
    owner: Option<String>,
    created: Duration,
    /// When it came into the state that it is in, unless that is its end.
    updated: Duration,
    due: Duration,
    cancelled: bool,
    open: Option<Open>,
    /// How many rounds of questions there were.
    rounds: usize,
    outcome: Result<Value, RpcError>,
}

/// Questions without all their answers.
#[derive(Debug)]
struct Open {
    ask: Ask,
    questions: Vec<Question>,
    answers: Object,
}

impl Tasks {
    /// Makes a task of what a tool has answered, or will have when it is due, or asks first.
    pub(super) fn begin(&mut self, answer: Answer, owner: Option<String>, now: Duration) -> Result<Value, RpcError> {
        self.tasks.retain(|task| task.created + TTL > now);
        if self.tasks.len() >= MOST {
            return Err(RpcError::new(-32603, "Too many tasks; wait until some have expired"));
        }
        self.created += 1;
        let mut task = Task {
            number: self.created,
            id: random_id()?,
            owner,
            created: now,
            updated: now,
            due: now,
            cancelled: false,
            open: None,
            rounds: 0,
            outcome: Ok(Value::Null),
        };
        task.go_on(answer, now);
        let mut handle = task.described("working", now);
        handle["resultType"] = json!("task");
        self.changed.push(task.number);
        self.tasks.push(task);
        Ok(handle)
    }

    /// Answers a method of tasks.
    pub(super) fn answer(
        &mut self,
        session: &mut Session,
        method: &str,
        params: &Object,
        now: Duration,
    ) -> Result<Value, RpcError> {
        let id = params.get("taskId").and_then(Value::as_str);
        let own = |task: &&mut Task| Some(task.id.as_str()) == id && task.owner == session.principal;
        let task = self.tasks.iter_mut().find(own);
        let task = task.filter(|task| task.created + TTL > now);
        let task =
            task.ok_or_else(|| RpcError::invalid_params("Invalid params: there is no such task, or no longer"))?;
        match method {
            "tasks/get" => return Ok(task.detailed(now)),
            "tasks/update" => task.update(session, params, now)?,
            // One that is over stays what it is.
            _ if !task.is_over(now) => {
                task.cancelled = true;
                task.updated = now;
            }
            _ => return Ok(json!({})),
        }
        self.changed.push(task.number);
        Ok(json!({}))
    }

    /// The ids of this list that are those of tasks of the principal.
    pub(super) fn known(&self, ids: &[Value], principal: Option<&String>) -> Vec<Value> {
        let own = |task: &Task, id: &Value| *id == task.id && task.owner.as_ref() == principal;
        let known = |id: &&Value| self.tasks.iter().any(|task| own(task, id));
        ids.iter().filter(known).cloned().collect()
    }

    /// What is to be told of the tasks that have changed; those that will be done later are named with the time until then.
    pub(crate) fn take_news(&mut self, now: Duration) -> (Vec<Message>, Vec<(u64, Duration)>) {
        let changed = std::mem::take(&mut self.changed);
        let changed = self.tasks.iter().filter(|task| changed.contains(&task.number));
        let (mut news, mut later) = (Vec::new(), Vec::new());
        for task in changed {
            news.push(task.notification(now));
            if task.open.is_none() && !task.is_over(now) {
                later.push((task.number, task.due.saturating_sub(now)));
            }
        }
        (news, later)
    }

    /// What is to be told of a task now that it is done; nothing if it came otherwise.
    pub(crate) fn done(&self, number: u64, now: Duration) -> Option<Message> {
        let task = self.tasks.iter().find(|task| task.number == number)?;
        let due = task.open.is_none() && !task.cancelled;
        due.then(|| task.notification(now.max(task.due)))
    }
}

impl Task {
    fn go_on(&mut self, answer: Answer, now: Duration) {
        self.updated = now;
        self.due = now + answer.after;
        self.open = answer.ask.map(|ask| {
            self.rounds += 1;
            Open {
                questions: questions(&ask, self.rounds),
                ask,
                answers: Object::new(),
            }
        });
        self.outcome = answer.error.map_or(Ok(answer.result), Err);
    }

    /// Takes in the answers to what is open; others answer nothing.
    fn update(&mut self, session: &mut Session, params: &Object, now: Duration) -> Result<(), RpcError> {
        let given = params
            .get("inputResponses")
            .and_then(Value::as_object)
            .ok_or_else(|| RpcError::invalid_params("Invalid params: inputResponses must be an object"))?;
        if self.is_over(now) {
            return Ok(());
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        for question in &open.questions {
            if let Some(answer) = given.get(&question.key) {
                check(question, answer)?;
                open.answers.entry(&question.key).or_insert_with(|| answer.clone());
            }
        }
        if open.answers.len() < open.questions.len() {
            return Ok(());
        }
        let Some(open) = self.open.take() else { return Ok(()) };
        let reply = match open.questions.as_slice() {
            [only] => open.answers.get(&only.key).cloned().unwrap_or_default(),
            _ => Value::Object(open.answers),
        };
        let answer = open.ask.then.run(session, Reply::Result(reply));
        self.go_on(answer, now);
        Ok(())
    }

    /// Whether nothing about it changes any more.
    fn is_over(&self, now: Duration) -> bool {
        self.cancelled || (self.open.is_none() && self.due <= now)
    }

    fn status(&self, now: Duration) -> &'static str {
        match &self.outcome {
            _ if self.cancelled => "cancelled",
            _ if self.open.is_some() => "input_required",
            _ if now < self.due => "working",
            // That a tool has failed is a result like any other.
            Ok(_) => "completed",
            Err(_) => "failed",
        }
    }

    fn described(&self, status: &str, updated: Duration) -> Value {
        let mut task = json!({
            "taskId": self.id,
            "status": status,
            "createdAt": iso_8601(self.created),
            "lastUpdatedAt": iso_8601(updated),
            "ttlMs": u64::try_from(TTL.as_millis()).unwrap_or(u64::MAX),
            "pollIntervalMs": POLL_INTERVAL,
        });
        let message = match (&self.outcome, status) {
            (_, "working") => Some("The tool is at work".to_owned()),
            (_, "input_required") => Some("The tool has a question to the client".to_owned()),
            (_, "cancelled") => Some("The client has cancelled the task".to_owned()),
            (Err(error), _) => Some(format!("The task has failed: {}", error.message)),
            _ => None,
        };
        if let Some(message) = message {
            task["statusMessage"] = json!(message);
        }
        task
    }

    /// The task with what belongs to its status.
    fn detailed(&self, now: Duration) -> Value {
        let status = self.status(now);
        let updated = match status {
            "completed" | "failed" => self.due,
            _ => self.updated,
        };
        let mut task = self.described(status, updated);
        match (&self.outcome, &self.open) {
            (_, Some(open)) if status == "input_required" => {
                let open_questions = open
                    .questions
                    .iter()
                    .filter(|question| !open.answers.contains_key(&question.key));
                task["inputRequests"] = open_questions
                    .map(|question| (question.key.clone(), question.as_asked()))
                    .collect();
            }
            (Ok(result), _) if status == "completed" => task["result"] = complete("tools/call", result.clone()),
            (Err(error), _) if status == "failed" => task["error"] = json!(error),
            _ => {}
        }
        task
    }

    fn notification(&self, now: Duration) -> Message {
        Message::Notification {
            method: "notifications/tasks",
            params: self.detailed(now),
        }
    }
}
