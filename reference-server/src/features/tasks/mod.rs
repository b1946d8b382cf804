//! Tasks of 2025-11-25: a tool call that goes on after its answer (basic/utilities/tasks).
//!
//! There is no clock here: a transport tells the time before each message, and a task knows when it will be done. A
//! request for the result of a task that is at work is scheduled for that time, and brought forward when the task is
//! cancelled.
//!
//! A tool may have to ask the client before it can go on. Its task is `input_required` then, and whoever asks for the
//! result is asked first: the question goes where the result is waited for (Input Required Status).

mod task;
mod timestamp;

#[cfg(test)]
mod tests;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use self::task::{RELATED, Task};
pub(crate) use self::timestamp::iso_8601;
use super::asking::ask;
use super::{Answer, Ask, Object, Session, object, string};
use crate::conversation::Output;
use crate::envelope::{Id, Message, Reply, RpcError};

/// How long a task is kept when the client names no time.
const USUAL_TTL: Duration = Duration::from_secs(10 * 60);
/// How long a task is kept at most.
const LONGEST_TTL: Duration = Duration::from_secs(60 * 60);
/// How many tasks one client may have.
const MOST_TASKS: usize = 1000;

/// The tasks of one client.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    tasks: Vec<Task>,
    created: u64,
    /// The time since 1970.
    now: Duration,
    /// The request that is being answered.
    asking: Option<Id>,
    /// What the answer brings forward.
    settled: Vec<Output>,
}

/// What the tool says about tasks in `execution.taskSupport`. Those that say nothing have none.
pub(super) fn support(tool: &str) -> Option<&'static str> {
    match tool {
        "slow_compute" => Some("optional"),
        "failing_job" | "protocol_error_job" | "test_task_elicitation" => Some("required"),
        "add" => Some("forbidden"),
        _ => None,
    }
}

impl Tasks {
    /// Says what time it is. Time does not run backwards, whatever becomes of the clock.
    pub(crate) fn advance(&mut self, since_1970: Duration) {
        self.now = self.now.max(since_1970);
        let now = self.now;
        self.tasks.retain(|task| !task.is_expired(now));
    }

    /// Says which request is answered next.
    pub(crate) fn asked_by(&mut self, id: &Id) {
        self.asking = Some(id.clone());
    }

    /// What the last answer has brought forward.
    pub(crate) fn take_settled(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.settled)
    }

    /// The task that the params name.
    fn named(&mut self, params: &Object) -> Result<&mut Task, RpcError> {
        let id = string(params, "taskId")?;
        self.tasks
            .iter_mut()
            .find(|task| task.id == id)
            .ok_or_else(|| RpcError::invalid_params("Invalid params: there is no such task, or no longer"))
    }

    fn list(&self, size: usize, params: &Object) -> Result<Value, RpcError> {
        let after = match params.get("cursor") {
            None => 0,
            Some(cursor) => (1..=self.created)
                .find(|number| cursor.as_str() == Some(cursor_after(*number).as_str()))
                .ok_or_else(|| {
                    RpcError::invalid_params("Invalid params: the cursor is not one this list has given out")
                })?,
        };
        let mut rest = self.tasks.iter().filter(|task| task.number > after);
        let page: Vec<&Task> = rest.by_ref().take(size).collect();
        let mut result = json!({ "tasks": page.iter().map(|task| task.describe(self.now)).collect::<Vec<_>>() });
        if let (Some(last), Some(_)) = (page.last(), rest.next()) {
            result["nextCursor"] = json!(cursor_after(last.number));
        }
        Ok(result)
    }

    /// The result, now or when the task is over; progress and the last status go before it.
    fn result(&mut self, params: &Object) -> Result<Answer, RpcError> {
        let (now, asking) = (self.now, self.asking.clone());
        let task = self.named(params)?;
        let mut notifications = Vec::new();
        if let Some(question) = task.question.as_ref().filter(|_| !task.is_over(now)) {
            let answer = asked_again(question, &task.id, asking.clone());
            task.waiting.extend(asking);
            return Ok(answer);
        }
        let after = task.due.saturating_sub(now);
        if !task.is_over(now) {
            // What could not be told before is told now.
            if task.waiting.is_empty() {
                let progress = task.progress.iter();
                notifications.extend(progress.map(|(at, message)| (at.saturating_sub(now), message.clone())));
            }
            notifications.push((after, task.notification(task.due)));
            task.waiting.extend(asking);
        }
        let after = if task.is_over(now) { Duration::ZERO } else { after };
        let (result, error) = match task.payload() {
            Ok(result) => (result, None),
            Err(error) => (Value::Null, Some(error)),
        };
        Ok(Answer {
            result,
            error,
            after,
            notifications,
            ..Answer::from(Value::Null)
        })
    }

    fn cancel(&mut self, params: &Object) -> Result<Value, RpcError> {
        let now = self.now;
        let task = self.named(params)?;
        if task.is_over(now) {
            return Err(RpcError::invalid_params("Invalid params: the task is over already"));
        }
        task.cancelled = Some(now);
        let settled = task.settle(now);
        let told = task.describe(now);
        self.settled.extend(settled);
        Ok(told)
    }

    /// Goes on with a task whose question has come to this; who waits for its result is told when there is one.
    fn go_on(&mut self, id: &str, asked_by: Option<Id>, answer: Option<Answer>) -> Result<Answer, RpcError> {
        let now = self.now;
        let params = Object::from_iter([("taskId".to_owned(), json!(id))]);
        let task = self.named(&params)?;
        let token = asked_by.as_ref().map(Id::token);
        task.waiting.retain(|waiting| Some(waiting.token()) != token);
        let mut told = Vec::new();
        if let Some(answer) = answer {
            task.go_on(now, answer);
            if task.is_over(now) {
                told.push((Duration::ZERO, task.notification(now)));
                let settled = task.settle(now);
                self.settled.extend(settled);
            }
        }
        self.asking = asked_by;
        let mut answer = self.result(&params)?;
        answer.notifications.splice(0..0, told);
        Ok(answer)
    }
}

impl Session {
    /// Answers a method of tasks; `None` when the method is another one, or the revision has no tasks.
    pub(super) fn answer_about_tasks(&mut self, method: &str, params: &Object) -> Option<Result<Answer, RpcError>> {
        if !self.has_tasks() {
            return None;
        }
        let now = self.tasks.now;
        Some(match method {
            "tasks/get" => self.tasks.named(params).map(|task| task.describe(now).into()),
            "tasks/list" => self.tasks.list(self.page_size, params).map(Answer::from),
            "tasks/cancel" => self.tasks.cancel(params).map(Answer::from),
            "tasks/result" => self.tasks.result(params),
            _ => return None,
        })
    }

    /// How long the task that a call asks for is to be kept; `None` for a call that asks for none, or that comes in a
    /// revision without tasks.
    ///
    /// Whether a tool runs as a task is the tool's choice (Tool-Level Negotiation).
    pub(super) fn task_asked_for(&self, tool: &str, params: &Object) -> Result<Option<Duration>, RpcError> {
        if !self.has_tasks() {
            return Ok(None);
        }
        let refused = |why: &str| Err(RpcError::new(-32601, format!("The tool {tool} {why}")));
        match (object(params, "task")?, support(tool)) {
            (None, Some("required")) => refused("runs as a task only"),
            (None, _) => Ok(None),
            (Some(_), None | Some("forbidden")) => refused("does not run as a task"),
            (Some(task), _) => match task.get("ttl") {
                None => Ok(Some(USUAL_TTL)),
                Some(ttl) => {
                    let ttl = ttl.as_u64().ok_or_else(|| {
                        RpcError::invalid_params("Invalid params: task.ttl must be a whole number of milliseconds")
                    })?;
                    Ok(Some(Duration::from_millis(ttl).min(LONGEST_TTL)))
                }
            },
        }
    }

    /// What the tool makes of the answer to its question; `None` when it has one already.
    fn answer_of_task(&mut self, task: &str, reply: Reply) -> Option<Answer> {
        let task = self.tasks.tasks.iter_mut().find(|known| known.id == task)?;
        let question = task.question.take()?;
        Some(question.then.run(self, reply))
    }

    /// Makes a task of what a tool has answered, or will have when it is due.
    pub(super) fn begin_task(&mut self, ttl: Duration, answer: Answer) -> Result<Answer, RpcError> {
        let tasks = &mut self.tasks;
        if tasks.tasks.len() >= MOST_TASKS {
            return Err(RpcError::new(-32603, "Too many tasks; wait until some have expired"));
        }
        let id = random_id()?;
        let progress = answer.notifications.into_iter();
        let progress = progress.map(|(after, message)| (tasks.now + after, related(message, &id)));
        let mut task = Task {
            number: tasks.created + 1,
            created: tasks.now,
            ttl,
            due: tasks.now,
            cancelled: None,
            question: None,
            outcome: Ok(Value::Null),
            progress: progress.collect(),
            waiting: Vec::new(),
            id,
        };
        task.go_on(
            tasks.now,
            Answer {
                notifications: Vec::new(),
                ..answer
            },
        );
        tasks.created += 1;
        let created = json!({ "task": task.describe_new() });
        tasks.tasks.push(task);
        Ok(created.into())
    }
}

/// The question of a task, put to the client by a request for its result. The first answer counts.
fn asked_again(question: &Ask, task: &str, asked_by: Option<Id>) -> Answer {
    let mut params = question.params.clone().unwrap_or_else(|| json!({}));
    params["_meta"][RELATED] = json!({ "taskId": task });
    let task = task.to_owned();
    ask(question.method, Some(params), move |session, reply| {
        let answer = session.answer_of_task(&task, reply);
        let gone_on = session.tasks.go_on(&task, asked_by, answer);
        Ok(gone_on.unwrap_or_else(Answer::refusal))
    })
}

/// A message of a task says which one it belongs to.
fn related(message: Message, task: &str) -> Message {
    match message {
        Message::Notification { method, mut params } => {
            params["_meta"][RELATED] = json!({ "taskId": task });
            Message::Notification { method, params }
        }
        other => other,
    }
}

/// 128 random bits: whoever knows the id may see the task.
pub(crate) fn random_id() -> Result<String, RpcError> {
    let random = || getrandom::u64().map_err(|error| RpcError::new(-32603, format!("No random id: {error}")));
    Ok(format!("{:016x}{:016x}", random()?, random()?))
}

fn cursor_after(number: u64) -> String {
    URL_SAFE_NO_PAD.encode(format!("tasks after {number}"))
}
