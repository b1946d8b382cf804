//! One task: what is known of it at any time follows from when it was created, when it is done and whether it was
//! cancelled. Nothing runs in the background.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::{Answer, Ask};
use super::timestamp::iso_8601;
use crate::conversation::Output;
use crate::envelope::{Id, Message, Response, RpcError};

/// Where the id of the task stands in `_meta` (basic/utilities/tasks, Related Task Metadata).
pub(super) const RELATED: &str = "io.modelcontextprotocol/related-task";

/// How often to ask, in milliseconds.
const POLL_INTERVAL: u64 = 100;

/// A request that is carried out as a task. Times are those since 1970.
#[derive(Debug)]
pub(super) struct Task {
    /// Its place among all tasks of the session, which cursors name.
    pub(super) number: u64,
    pub(super) id: String,
    pub(super) created: Duration,
    pub(super) ttl: Duration,
    /// When the work is done.
    pub(super) due: Duration,
    pub(super) cancelled: Option<Duration>,
    /// What has to be asked before the work can go on.
    pub(super) question: Option<Ask>,
    /// What the request comes to.
    pub(super) outcome: Result<Value, RpcError>,
    /// Progress on the way, each with its time.
    pub(super) progress: Vec<(Duration, Message)>,
    /// The requests for the result that wait for the end.
    pub(super) waiting: Vec<Id>,
}

impl Task {
    /// Whether nothing about it changes any more.
    pub(super) fn is_over(&self, now: Duration) -> bool {
        self.cancelled.is_some() || (self.question.is_none() && self.due <= now)
    }

    /// What the tool has answered, will have when it is due, or asks first.
    pub(super) fn go_on(&mut self, now: Duration, answer: Answer) {
        self.due = now + answer.after;
        self.question = answer.ask;
        self.outcome = answer.error.map_or(Ok(answer.result), Err);
    }

    /// The end of the task, for all who wait for it.
    pub(super) fn settle(&mut self, now: Duration) -> Vec<Output> {
        let (outcome, status) = (self.payload(), self.notification(now));
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let settled = waiting.filter_map(|id| {
            let (request, outcome) = (id.value()?, outcome.clone());
            let messages = vec![status.clone(), Message::Response(Response { id, outcome })];
            Some(Output::Settle { request, messages })
        });
        settled.collect()
    }

    pub(super) fn is_expired(&self, now: Duration) -> bool {
        self.created.saturating_add(self.ttl) <= now
    }

    fn status(&self, now: Duration) -> &'static str {
        match &self.outcome {
            _ if self.cancelled.is_some() => "cancelled",
            _ if self.question.is_some() => "input_required",
            _ if now < self.due => "working",
            Ok(result) if result.get("isError") != Some(&Value::Bool(true)) => "completed",
            _ => "failed",
        }
    }

    /// A failure is told in words, and so is what else a reader might wonder about.
    fn message(&self, status: &str) -> Option<String> {
        let failure = || match &self.outcome {
            Err(error) => error.message.clone(),
            Ok(result) => result["content"][0]["text"].as_str().unwrap_or_default().to_owned(),
        };
        match status {
            "working" => Some("The tool is at work".to_owned()),
            "input_required" => Some("The tool has a question to the client".to_owned()),
            "failed" => Some(format!("The tool has failed: {}", failure())),
            "cancelled" => Some("The client has cancelled the task".to_owned()),
            _ => None,
        }
    }

    /// The task as it is told to the client.
    pub(super) fn describe(&self, now: Duration) -> Value {
        let updated = match self.cancelled {
            Some(cancelled) => cancelled,
            None if self.question.is_none() && self.due <= now => self.due,
            None => self.created,
        };
        self.described(self.status(now), updated)
    }

    /// The task as it is when it begins, however short it is (basic/utilities/tasks, Task Status Lifecycle).
    pub(super) fn describe_new(&self) -> Value {
        self.described("working", self.created)
    }

    fn described(&self, status: &str, updated: Duration) -> Value {
        let mut task = json!({
            "taskId": self.id,
            "status": status,
            "createdAt": iso_8601(self.created),
            "lastUpdatedAt": iso_8601(updated),
            "ttl": u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX),
            "pollInterval": POLL_INTERVAL,
        });
        if let Some(message) = self.message(status) {
            task["statusMessage"] = json!(message);
        }
        task
    }

    /// What the request would have given, with the id of the task beside it.
    pub(super) fn payload(&self) -> Result<Value, RpcError> {
        if self.cancelled.is_some() {
            return Err(RpcError::invalid_params("The task was cancelled: it has no result"));
        }
        let mut result = self.outcome.clone()?;
        result["_meta"][RELATED] = json!({ "taskId": self.id });
        Ok(result)
    }

    /// The status at a time, as a notification.
    pub(super) fn notification(&self, at: Duration) -> Message {
        Message::Notification {
            method: "notifications/tasks/status",
            params: self.describe(at),
        }
    }
}
