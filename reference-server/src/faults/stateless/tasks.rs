//! Faults in the extension of tasks.

use serde_json::{Value, json};

use super::super::spoil::{Answers, Every, Named, Wording, asks, error, internal, params, take};
use super::super::{Decorator, Fault, Received};
use super::{CAPABILITIES, Passes, TASKS, fault, http_fault, listener, stdio_fault};
use crate::conversation::Output;
use crate::envelope::{Incoming, Message, Request, Response, RpcError};
use crate::features::Object;
use crate::stateless::{Rule, complete};

pub(in super::super) const FAULTS: &[Fault] = &[
    fault(
        "task-for-anybody",
        "makes tasks of calls for clients that know of none",
        &[
            "ext-tasks/never-for-undeclared-client",
            "ext-tasks/required-capability-error",
            "discover/extension-fallback",
            "base-protocol/result-type-known",
            "base-protocol/undeclared-client-capability-unused",
        ],
        || declaring(|method| method == "tools/call"),
    ),
    fault(
        "tasks-other-error",
        "refuses a call that can only be a task with an error of another kind",
        // It blames the arguments, which are right.
        &["ext-tasks/required-capability-error", "tools/inputs-match-own-schema"],
        || {
            Box::new(Answers(|request, response| {
                let refused = response.outcome.as_ref().is_err_and(|error| error.code == -32021);
                (refused && asks(request, "tools/call", "failing_job")).then(|| Err(error(-32602, "Only as a task")))
            }))
        },
    ),
    fault(
        "tasks-prompts",
        "makes a task of getting a prompt",
        &["ext-tasks/only-tools-call", "base-protocol/result-type-known"],
        || {
            Box::new(Named("prompts/get", "greeting", |result| {
                result["resultType"] = json!("task");
                result["taskId"] = json!("a5d1c1f0e3b24c7f9d8e7a6b5c4d3e2f");
                result["status"] = json!("working");
                result["createdAt"] = json!("2026-07-28T10:00:00.000Z");
                result["lastUpdatedAt"] = json!("2026-07-28T10:00:00.000Z");
                result["ttlMs"] = json!(60_000);
            }))
        },
    ),
    fault(
        "task-complete",
        "gives a task out as if it were the result",
        &["ext-tasks/result-type-task", "tools/call-result-content"],
        || handle(|handle| handle["resultType"] = json!("complete")),
    ),
    fault(
        "task-type-get",
        "gives the state of a task the type of a new task",
        &[
            "ext-tasks/result-type-task-nowhere-else",
            "ext-tasks/get-result-type-complete",
        ],
        || Box::new(Every("tasks/get", |task| task["resultType"] = json!("task"))),
    ),
    fault(
        "task-handle-ttl",
        "says as text how long a task is kept",
        &["ext-tasks/create-result-shape"],
        || handle(|handle| handle["ttlMs"] = json!("600000")),
    ),
    fault(
        "task-nested",
        "puts a new task into a member of its own, as it was done before",
        &["ext-tasks/create-result-shape", "ext-tasks/result-type-task"],
        || {
            handle(|handle| {
                let nested = json!({ "resultType": "task", "task": handle.take() });
                *handle = complete("tools/call", nested);
            })
        },
    ),
    fault(
        "task-status-running",
        "has a status of tasks that is none",
        &["ext-tasks/status-enum"],
        || {
            Box::new(Every("tasks/get", |task| {
                if task["status"] == "working" {
                    task["status"] = json!("running");
                }
            }))
        },
    ),
    fault(
        "task-not-yet",
        "gives out tasks before it knows them",
        &["ext-tasks/durable-before-response"],
        || Box::new(NotYet(Vec::new())),
    ),
    fault(
        "task-before-input",
        "names a task before it has the input to begin it",
        // The task that it names is none.
        &["ext-tasks/mrtr-before-task", "ext-tasks/durable-before-response"],
        || {
            Box::new(Named("tools/call", "test_tool_with_task", |result| {
                if result["resultType"] == "input_required" {
                    result["resultType"] = json!("task");
                    result["taskId"] = json!("a5d1c1f0e3b24c7f9d8e7a6b5c4d3e2f");
                    result["status"] = json!("input_required");
                    result["createdAt"] = json!("2026-07-28T10:00:00.000Z");
                    result["lastUpdatedAt"] = json!("2026-07-28T10:00:00.000Z");
                    result["ttlMs"] = json!(60_000);
                    take(result, "inputRequests");
                    take(result, "requestState");
                }
            }))
        },
    ),
    fault(
        "task-busy",
        "tells nothing of a task that is at work",
        &["ext-tasks/get-working", "ext-tasks/durable-before-response"],
        || {
            Box::new(Answers(|request, response| {
                let working = response.outcome.as_ref().is_ok_and(|task| task["status"] == "working");
                (request.method == "tasks/get" && working).then(|| Err(internal()))
            }))
        },
    ),
    fault(
        "task-no-questions",
        "does not tell what a task waits for",
        &["ext-tasks/get-input-required"],
        || {
            Box::new(Every("tasks/get", |task| {
                take(task, "inputRequests");
            }))
        },
    ),
    fault(
        "task-no-result",
        "does not tell what has come of a task",
        &["ext-tasks/get-completed"],
        || {
            Box::new(Every("tasks/get", |task| {
                take(task, "result");
            }))
        },
    ),
    fault(
        "task-no-error",
        "does not tell the error in which a task has ended",
        &["ext-tasks/get-failed"],
        || {
            Box::new(Every("tasks/get", |task| {
                take(task, "error");
            }))
        },
    ),
    fault(
        "task-cancelled-gone",
        "knows nothing of tasks that were cancelled",
        &["ext-tasks/get-cancelled", "ext-tasks/terminal-is-final"],
        || {
            Box::new(Answers(|request, response| {
                let cancelled = response
                    .outcome
                    .as_ref()
                    .is_ok_and(|task| task["status"] == "cancelled");
                (request.method == "tasks/get" && cancelled).then(|| Err(error(-32602, "There is no such task")))
            }))
        },
    ),
    fault(
        "task-get-untyped",
        "does not say of what type the state of a task is",
        &[
            "ext-tasks/get-result-type-complete",
            "base-protocol/result-type-present",
        ],
        || {
            Box::new(Every("tasks/cancel", |task| {
                take(task, "resultType");
            }))
        },
    ),
    fault(
        "task-tool-failed",
        "lets a task fail because its tool has",
        &["ext-tasks/failed-only-for-json-rpc"],
        || {
            Box::new(Every("tasks/get", |task| {
                if task["result"]["isError"] == true {
                    take(task, "result");
                    task["status"] = json!("failed");
                    task["statusMessage"] = json!("The tool has failed");
                    task["error"] = json!({ "code": -32603, "message": "The tool has failed" });
                }
            }))
        },
    ),
    fault(
        "task-failed-silently",
        "does not say in words why a task has failed",
        &["ext-tasks/failed-status-message"],
        || {
            Box::new(Every("tasks/get", |task| {
                if task["status"] == "failed" {
                    take(task, "statusMessage");
                }
            }))
        },
    ),
    fault(
        "task-again",
        "goes on with a task that was over",
        &["ext-tasks/terminal-is-final"],
        || Box::new(Again(Vec::new())),
    ),
    fault(
        "task-touched",
        "changes a task each time it is looked at",
        &["ext-tasks/get-idempotent", "ext-tasks/terminal-is-final"],
        || Box::new(Touched(0)),
    ),
    fault(
        "task-unknown-internal",
        "has an internal error when it does not know a task",
        &["ext-tasks/unknown-id-get"],
        || unknown("tasks/get", || Err(internal())),
    ),
    fault(
        "task-unknown-cancelled",
        "cancels tasks that do not exist",
        &["ext-tasks/unknown-id-update-cancel"],
        || unknown("tasks/cancel", || Ok(complete("tasks/cancel", json!({})))),
    ),
    fault(
        "task-methods-open",
        "answers about tasks to clients that know of none",
        &["ext-tasks/methods-need-capability", "discover/extension-fallback"],
        || declaring(|method| method.starts_with("tasks/")),
    ),
    fault(
        "task-listen-open",
        "tells of tasks to clients that know of none",
        &["ext-tasks/listen-needs-capability", "discover/extension-fallback"],
        || declaring(|method| method == "subscriptions/listen"),
    ),
    fault(
        "task-update-tells",
        "tells the whole task when it has taken input for it",
        &["ext-tasks/update-ack"],
        || {
            Box::new(Every("tasks/update", |ack| {
                ack["taskId"] = json!("a5d1c1f0e3b24c7f9d8e7a6b5c4d3e2f");
                ack["status"] = json!("working");
            }))
        },
    ),
    fault(
        "task-update-strict",
        "refuses input for a task that it has not asked for",
        &["ext-tasks/update-unknown-keys-ignored"],
        || {
            Box::new(Answers(|request, _| {
                const KEYS: [&str; 3] = ["confirm", "first", "second"];
                let params = params(request);
                let given = params.get("inputResponses").and_then(Value::as_object)?;
                let odd = request.method == "tasks/update" && given.keys().any(|key| !KEYS.contains(&key.as_str()));
                odd.then(|| Err(error(-32602, "Invalid params: nobody asked for this")))
            }))
        },
    ),
    fault(
        "task-keys-reused",
        "asks another question under a name that was answered",
        &["ext-tasks/input-keys-unique", "ext-tasks/update-partial"],
        || {
            Box::new(Every("tasks/get", |task| {
                if let Some(questions) = task.get_mut("inputRequests").and_then(Value::as_object_mut)
                    && questions.len() == 1
                    && let Some(question) = questions.shift_remove("second")
                {
                    questions.insert("first".to_owned(), question);
                }
            }))
        },
    ),
    fault(
        "task-cancel-tells",
        "tells the whole task when it has cancelled it",
        &["ext-tasks/cancel-ack"],
        || {
            Box::new(Every("tasks/cancel", |ack| {
                ack["taskId"] = json!("a5d1c1f0e3b24c7f9d8e7a6b5c4d3e2f");
                ack["status"] = json!("cancelled");
            }))
        },
    ),
    fault(
        "task-news-short",
        "tells only that a task has changed",
        &["ext-tasks/notifications-full-state"],
        || {
            Box::new(Wording("notifications/tasks", |params| {
                for member in ["createdAt", "lastUpdatedAt", "ttlMs"] {
                    take(params, member);
                }
            }))
        },
    ),
    fault(
        "task-ids-more",
        "agrees to tell of a task that nobody asked for",
        &["ext-tasks/ack-task-ids"],
        || {
            Box::new(Wording("notifications/subscriptions/acknowledged", |params| {
                if let Some(ids) = params["notifications"].get_mut("taskIds").and_then(Value::as_array_mut) {
                    ids.push(json!("a5d1c1f0e3b24c7f9d8e7a6b5c4d3e2f"));
                }
            }))
        },
    ),
    fault(
        "task-progress",
        "reports progress of a task to those who listen",
        &[
            "ext-tasks/no-progress-on-tasks",
            "subscriptions/request-scoped-excluded",
            "progress/only-known-tokens",
        ],
        || Box::new(Progress(None)),
    ),
    http_fault(
        "task-any-name",
        "does not look at the header that names a task",
        &["ext-tasks/name-header"],
        || Box::new(AnyName),
    ),
    fault(
        "tasks-result-kept",
        "still answers tasks/result",
        &["ext-tasks/removed-methods"],
        || old("tasks/result", || complete("tasks/result", json!({ "content": [] }))),
    ),
    fault(
        "tasks-list-kept",
        "still answers tasks/list",
        &["ext-tasks/removed-methods"],
        || old("tasks/list", || complete("tasks/list", json!({ "tasks": [] }))),
    ),
    fault(
        "task-param-refused",
        "refuses calls that ask for a task in the old way",
        &["ext-tasks/legacy-task-param-ignored"],
        || {
            Box::new(Answers(|request, _| {
                let asked = params(request).contains_key("task");
                asked.then(|| Err(error(-32602, "Invalid params: unknown member task")))
            }))
        },
    ),
    stdio_fault(
        "task-numbers",
        "counts its tasks and names them by their numbers",
        &["ext-tasks/id-entropy", "security/handles-unpredictable"],
        || Box::new(Numbers(Vec::new())),
    ),
];

/// Reads some requests as if their client had declared tasks.
fn declaring(meant: fn(&str) -> bool) -> Box<dyn Decorator> {
    Box::new(Declaring(meant))
}

#[derive(Debug)]
struct Declaring(fn(&str) -> bool);

impl Decorator for Declaring {
    fn incoming(&mut self, mut incoming: Incoming) -> Incoming {
        if let Incoming::Request(Request {
            method,
            params: Ok(params),
            ..
        }) = &mut incoming
            && (self.0)(method)
        {
            declare(params);
        }
        incoming
    }
}

fn declare(params: &mut Object) {
    if let Some(meta) = params.get_mut("_meta").filter(|meta| meta[CAPABILITIES].is_object()) {
        meta[CAPABILITIES]["extensions"][TASKS] = json!({});
    }
}

/// Changes a new task.
fn handle(change: fn(&mut Value)) -> Box<dyn Decorator> {
    Box::new(Handle(change))
}

#[derive(Debug)]
struct Handle(fn(&mut Value));

impl Decorator for Handle {
    fn response(&mut self, _: &Request, mut response: Response) -> Response {
        if let Ok(result) = &mut response.outcome
            && result.get("resultType").is_some_and(|kind| kind == "task")
        {
            (self.0)(result);
        }
        response
    }
}

/// Answers otherwise about tasks that do not exist.
fn unknown(method: &'static str, instead: fn() -> Result<Value, RpcError>) -> Box<dyn Decorator> {
    Box::new(Unknown { method, instead })
}

#[derive(Debug)]
struct Unknown {
    method: &'static str,
    instead: fn() -> Result<Value, RpcError>,
}

impl Decorator for Unknown {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        let unknown = response
            .outcome
            .as_ref()
            .is_err_and(|error| error.message.contains("no such task"));
        if request.method == self.method && unknown {
            response.outcome = (self.instead)();
        }
        response
    }
}

/// Answers a method that was removed.
fn old(method: &'static str, instead: fn() -> Value) -> Box<dyn Decorator> {
    Box::new(Old { method, instead })
}

#[derive(Debug)]
struct Old {
    method: &'static str,
    instead: fn() -> Value,
}

impl Decorator for Old {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if request.method == self.method && response.outcome.is_err() {
            response.outcome = Ok((self.instead)());
        }
        response
    }
}

fn id_in(request: &Request) -> Option<String> {
    params(request).get("taskId").and_then(Value::as_str).map(str::to_owned)
}

/// `task-not-yet`.
#[derive(Debug)]
struct NotYet(Vec<String>);

impl Decorator for NotYet {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if request.method == "tasks/get"
            && response.outcome.is_ok()
            && let Some(id) = id_in(request)
            && !self.0.contains(&id)
        {
            self.0.push(id);
            response.outcome = Err(error(-32602, "There is no such task"));
        }
        response
    }
}

/// `task-again`.
#[derive(Debug)]
struct Again(Vec<String>);

impl Decorator for Again {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if request.method == "tasks/get"
            && let Ok(task) = &mut response.outcome
            && task["status"] == "completed"
            && let Some(id) = id_in(request)
        {
            if self.0.contains(&id) {
                task["status"] = json!("working");
                take(task, "result");
            } else {
                self.0.push(id);
            }
        }
        response
    }
}

/// `task-touched`.
#[derive(Debug)]
struct Touched(u64);

impl Decorator for Touched {
    fn response(&mut self, request: &Request, response: Response) -> Response {
        self.0 += 1;
        let minutes = self.0 % 60;
        let mut response = response;
        if request.method == "tasks/get"
            && let Ok(task) = &mut response.outcome
        {
            task["lastUpdatedAt"] = json!(format!("2030-01-01T00:{minutes:02}:00.000Z"));
        }
        response
    }
}

/// `task-progress`.
#[derive(Debug)]
struct Progress(Option<u64>);

impl Decorator for Progress {
    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        self.0 = listener(&outputs).or(self.0);
        let about_task = outputs.iter().any(|output| match output {
            Output::Message {
                message: Message::Response(response),
                ..
            } => response
                .outcome
                .as_ref()
                .is_ok_and(|result| result.get("taskId").is_some()),
            _ => false,
        });
        if let Some(listener) = self.0.filter(|_| about_task) {
            let message = Message::Notification {
                method: "notifications/progress",
                params: json!({ "progressToken": "task", "progress": 1 }),
            };
            outputs.push(Output::News { listener, message });
        }
        outputs
    }
}

/// `task-any-name`.
#[derive(Debug)]
struct AnyName;

impl Decorator for AnyName {
    fn refusal(&mut self, rule: Rule, method: &str, error: RpcError) -> Option<RpcError> {
        match method.starts_with("tasks/") {
            true => Passes(Rule::NameHeader, "").refusal(rule, method, error),
            false => Some(error),
        }
    }
}

/// `task-numbers`: the ids of tasks, by the numbers that the client knows.
#[derive(Debug)]
struct Numbers(Vec<String>);

impl Decorator for Numbers {
    fn incoming(&mut self, incoming: Incoming) -> Incoming {
        let known = self.0.clone();
        let mut incoming = incoming;
        if let Incoming::Request(Request { params: Ok(params), .. }) = &mut incoming
            && let Some(Value::String(id)) = params.get_mut("taskId")
            && let Some(number) = id.strip_prefix("task-").and_then(|number| number.parse::<usize>().ok())
            && let Some(real) = number.checked_sub(1).and_then(|index| known.get(index))
        {
            id.clone_from(real);
        }
        incoming
    }

    fn response(&mut self, _: &Request, mut response: Response) -> Response {
        if let Ok(result) = &mut response.outcome
            && let Some(Value::String(id)) = result.get_mut("taskId")
        {
            let position = self.0.iter().position(|known| known == id).unwrap_or_else(|| {
                self.0.push(id.clone());
                self.0.len() - 1
            });
            *id = format!("task-{}", position + 1);
        }
        response
    }
}
