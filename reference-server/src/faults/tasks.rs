//! Faults of tasks (2025-11-25).

mod decorators;
pub(super) mod flow;

use std::time::Duration;

use serde_json::json;

use self::decorators::{
    Answers, CancelIgnored, CancelRefused, FinishedCancelled, IdReused, Late, Notifications, RelatedObeyed,
    ResultEarly, SecondThoughts, each_task, refused, result_of, spoilt_task,
};
use super::{Decorator, Fault};
use crate::envelope::RpcError;
use crate::revision::Revision;
use crate::transport::Transport;

/// A fault that shows on all transports.
const fn fault(
    id: &'static str,
    summary: &'static str,
    caught_by: &'static [&'static str],
    make: fn() -> Box<dyn Decorator>,
) -> Fault {
    Fault::new(id, summary, caught_by, make).under(Revision::V2025_11_25)
}

pub(super) const FAULTS: &[Fault] = &[
    fault(
        "tasks-undeclared",
        "has the methods of tasks, but declares no capability for them",
        &["tasks/methods-undeclared", "tasks/undeclared-ignores-task"],
        || {
            Box::new(Answers(|request, response| {
                decorators::undeclare(request, response, None)
            }))
        },
    ),
    fault(
        "task-undeclared",
        "answers tool calls with tasks without declaring that",
        &["tasks/capability-declared"],
        || {
            Box::new(Answers(|request, response| {
                decorators::undeclare(request, response, Some("requests"));
                if request.method == "tools/call" && refused(response, "does not run as a task") {
                    response.outcome = Ok(json!({ "task": decorators::invented_task(request.id.token()) }));
                }
            }))
        },
    ),
    fault(
        "tasks-list-undeclared",
        "lists tasks without declaring that",
        &["tasks/list-undeclared"],
        || {
            Box::new(Answers(|request, response| {
                if let Some(result) = result_of(request, response, "initialize")
                    && let Some(tasks) = result["capabilities"]["tasks"].as_object_mut()
                {
                    tasks.shift_remove("list");
                }
            }))
        },
    ),
    fault(
        "tasks-capability-boolean",
        "declares tasks.list as a boolean",
        &["tasks/capability-shape"],
        || {
            Box::new(Answers(|request, response| {
                if let Some(result) = result_of(request, response, "initialize") {
                    result["capabilities"]["tasks"]["list"] = json!(true);
                }
            }))
        },
    ),
    fault(
        "task-unknown-code",
        "refuses unknown tasks with -32603",
        &["tasks/get-unknown", "tasks/result-unknown", "tasks/cancel-unknown"],
        || {
            Box::new(Answers(|_, response| {
                if refused(response, "there is no such task") {
                    response.outcome = Err(RpcError::new(-32603, "There is no such task"));
                }
            }))
        },
    ),
    fault(
        "task-unknown-invented",
        "answers tasks/get for unknown ids with a task",
        &["tasks/get-unknown"],
        || {
            Box::new(Answers(|request, response| {
                if decorators::named(request).starts_with("touchstone") && request.method == "tasks/get" {
                    response.outcome = Ok(decorators::invented_task(&decorators::named(request)));
                }
            }))
        },
    ),
    fault(
        "task-required-plain",
        "runs tools plainly that run as tasks only",
        &["tasks/tool-required"],
        || {
            Box::new(Answers(|_, response| {
                if refused(response, "runs as a task only") {
                    response.outcome = Ok(decorators::plain_result());
                }
            }))
        },
    ),
    fault(
        "task-forbidden-run",
        "ignores task in calls of tools that do not run as tasks",
        &["tasks/tool-forbidden"],
        || {
            Box::new(Answers(|request, response| {
                let asked = request.params.as_ref().is_ok_and(|params| params.contains_key("task"));
                if asked && decorators::tool(request) == "add" && refused(response, "does not run as a task") {
                    response.outcome = Ok(decorators::plain_result());
                }
            }))
        },
    ),
    fault(
        "task-optional-refused",
        "refuses to run a tool as a task that says it may",
        &["tasks/tool-optional"],
        || {
            Box::new(Answers(|request, response| {
                if decorators::creates(request, response) && decorators::tool(request) == "slow_compute" {
                    response.outcome = Err(RpcError::method_not_found("tools/call with task"));
                }
            }))
        },
    ),
    fault(
        "task-create-plain",
        "answers calls with task as if the member were not there",
        &["tasks/create-result"],
        || {
            Box::new(Answers(|request, response| {
                if decorators::creates(request, response) {
                    response.outcome = Ok(decorators::plain_result());
                }
            }))
        },
    ),
    fault(
        "task-create-completed",
        "says of new tasks that they are completed",
        &["tasks/initial-status"],
        || spoilt_task("tools/call", |task| task["status"] = json!("completed")),
    ),
    fault(
        "task-create-late",
        "answers a call with its task only when the work is done",
        &["tasks/create-prompt"],
        || {
            // Only where the client wants to know how it goes on: a check should not take for ever.
            let reports = |request: &_, response: &_| {
                decorators::creates(request, response) && decorators::wants_progress(request)
            };
            Box::new(Late::new(reports, Duration::from_millis(1200), 2))
        },
    ),
    fault(
        "task-id-chosen",
        "takes over the id that the client proposes for a task",
        &["tasks/id-receiver-generated"],
        || {
            Box::new(Answers(|request, response| {
                let chosen = request
                    .params
                    .as_ref()
                    .ok()
                    .and_then(|params| params.get("task")?.get("taskId").cloned());
                if let (Some(chosen), Some(result)) = (chosen, result_of(request, response, "tools/call")) {
                    result["task"]["taskId"] = chosen;
                }
            }))
        },
    ),
    fault(
        "task-id-reused",
        "gives all tasks the same id",
        &["tasks/id-unique"],
        || Box::new(IdReused::default()),
    ),
    fault(
        "task-id-counted",
        "counts tasks for their ids",
        &["tasks/id-entropy"],
        || Box::new(decorators::IdCounted::default()),
    ),
    fault(
        "task-ttl-missing",
        "leaves out ttl",
        &["tasks/task-required-members"],
        || each_task(|task| drop(task.shift_remove("ttl"))),
    ),
    fault("task-ttl-text", "gives ttl as a string", &["tasks/ttl-type"], || {
        each_task(|task| drop(task.insert("ttl".to_owned(), json!("60000"))))
    }),
    fault(
        "task-ttl-unlimited",
        "keeps all tasks for ever",
        &["tasks/ttl-limit"],
        || each_task(|task| drop(task.insert("ttl".to_owned(), json!(null)))),
    ),
    fault(
        "task-ttl-differs",
        "tells another ttl in tasks/get",
        &["tasks/ttl-in-get"],
        || spoilt_task("tasks/get", |task| task["ttl"] = json!(1_234_567)),
    ),
    fault(
        "task-time-not-iso",
        "gives createdAt in words",
        &["tasks/created-at"],
        || each_task(|task| drop(task.insert("createdAt".to_owned(), json!("a moment ago")))),
    ),
    fault(
        "task-time-number",
        "gives lastUpdatedAt as a number",
        &["tasks/last-updated-at"],
        || each_task(|task| drop(task.insert("lastUpdatedAt".to_owned(), json!(1_764_066_600)))),
    ),
    fault(
        "task-poll-text",
        "gives pollInterval as a string",
        &["tasks/task-optional-members"],
        || each_task(|task| drop(task.insert("pollInterval".to_owned(), json!("100ms")))),
    ),
    fault(
        "task-status-unknown",
        "has a status of its own",
        &["tasks/status-enum"],
        || {
            spoilt_task("tasks/get", |task| {
                if task["status"] == "completed" {
                    task["status"] = json!("done");
                }
            })
        },
    ),
    fault(
        "task-get-nested",
        "nests the result of tasks/get under task",
        &["tasks/get-shape", "tasks/task-required-members"],
        || spoilt_task("tasks/get", |task| *task = json!({ "task": task.take() })),
    ),
    fault(
        "task-get-id-number",
        "gives taskId as a number",
        &["tasks/id-string"],
        || spoilt_task("tasks/get", |task| task["taskId"] = json!(5)),
    ),
    fault(
        "task-get-related",
        "adds related-task metadata to tasks/get",
        &["tasks/related-absent"],
        || {
            spoilt_task("tasks/get", |task| {
                task["_meta"][decorators::RELATED] = json!({ "taskId": task["taskId"] });
            })
        },
    ),
    fault(
        "task-related-obeyed",
        "asks related-task metadata which task is meant",
        &["tasks/related-ignored"],
        || Box::new(RelatedObeyed::default()),
    ),
    Fault {
        transports: &[Transport::StreamableHttp],
        ..fault(
            "task-get-stream",
            "answers tasks/get with an event stream",
            &["tasks/no-sse-for-get"],
            || {
                let gets = |request: &_, _: &_| decorators::method(request) == "tasks/get";
                Box::new(Late::new(gets, Duration::from_millis(1), usize::MAX))
            },
        )
    },
    fault(
        "task-status-backwards",
        "says of completed tasks that they work again",
        &["tasks/valid-transitions"],
        || Box::new(SecondThoughts::new("working")),
    ),
    fault(
        "task-terminal-changes",
        "says of completed tasks that they have failed",
        &["tasks/terminal-is-final"],
        || Box::new(SecondThoughts::new("failed")),
    ),
    fault(
        "task-result-early",
        "gives results before they can be there",
        &["tasks/result-blocks"],
        || Box::new(ResultEarly::default()),
    ),
    fault(
        "task-result-differs",
        "gives another result for a task than for a plain call",
        &["tasks/result-terminal"],
        || {
            spoilt_task("tasks/result", |result| {
                result["content"][0]["text"] = json!("something else")
            })
        },
    ),
    fault(
        "task-result-unrelated",
        "leaves out the related-task metadata of a result",
        &["tasks/result-related-task"],
        || {
            spoilt_task("tasks/result", |result| {
                drop(result.as_object_mut().and_then(|result| result.shift_remove("_meta")));
            })
        },
    ),
    fault(
        "task-result-misrelated",
        "names another task in the related-task metadata of a result",
        &["tasks/result-related-task"],
        || {
            spoilt_task("tasks/result", |result| {
                result["_meta"][decorators::RELATED]["taskId"] = json!("another");
            })
        },
    ),
    fault(
        "task-result-cancelled-late",
        "lets those wait who ask for the result of a cancelled task",
        &["tasks/result-cancelled"],
        || {
            let cancelled = |_: &_, response: &_| refused(response, "was cancelled");
            Box::new(Late::new(cancelled, Duration::from_millis(1200), 1))
        },
    ),
    fault(
        "task-error-swallowed",
        "gives an empty result where the request has ended in an error",
        &["tasks/result-error-passthrough"],
        || {
            Box::new(Answers(|request, response| {
                if request.method == "tasks/result" && refused(response, "the job cannot be done") {
                    let id = decorators::named(request);
                    response.outcome = Ok(json!({ "content": [], "_meta": { decorators::RELATED: { "taskId": id } } }));
                }
            }))
        },
    ),
    fault(
        "task-failed-completed",
        "says of failed tasks that they are completed",
        &["tasks/failed-on-is-error"],
        || Box::new(decorators::FailedCompleted),
    ),
    fault(
        "task-failed-silent",
        "does not say why a task has failed",
        &["tasks/failed-status-message"],
        || {
            spoilt_task("tasks/get", |task| {
                drop(task.as_object_mut().and_then(|task| task.shift_remove("statusMessage")));
            })
        },
    ),
    fault(
        "task-error-empty",
        "has errors without a message",
        &["tasks/error-messages"],
        || {
            Box::new(Answers(|request, response| {
                if let (true, Err(error)) = (request.method.starts_with("tasks/"), &mut response.outcome) {
                    error.message.clear();
                }
            }))
        },
    ),
    fault(
        "task-progress-unrelated",
        "does not say to which task progress belongs",
        &["tasks/related-messages"],
        || {
            Box::new(Notifications("notifications/progress", |params| {
                drop(params.as_object_mut().and_then(|params| params.shift_remove("_meta")));
            }))
        },
    ),
    fault(
        "task-status-incomplete",
        "leaves out createdAt in status notifications",
        &["tasks/status-notification-shape"],
        || {
            Box::new(Notifications("notifications/tasks/status", |params| {
                drop(
                    params
                        .as_object_mut()
                        .and_then(|params| params.shift_remove("createdAt")),
                );
            }))
        },
    ),
    fault(
        "task-status-wrong-id",
        "sends status notifications about tasks that nobody knows",
        &["tasks/status-notification-shape"],
        || {
            Box::new(Notifications("notifications/tasks/status", |params| {
                params["taskId"] = json!("unheard-of")
            }))
        },
    ),
    fault(
        "task-status-related",
        "adds related-task metadata to status notifications",
        &["tasks/status-notification-no-related"],
        || {
            Box::new(Notifications("notifications/tasks/status", |params| {
                params["_meta"][decorators::RELATED] = json!({ "taskId": params["taskId"] });
            }))
        },
    ),
    fault(
        "task-list-gaps",
        "leaves out tasks of the list",
        &["tasks/list-complete"],
        || {
            spoilt_task("tasks/list", |result| {
                if let Some(tasks) = result["tasks"].as_array_mut().filter(|tasks| tasks.len() > 1) {
                    tasks.remove(1);
                }
            })
        },
    ),
    fault(
        "task-list-cut",
        "gives the first page of the list without a cursor",
        &["tasks/list-next-cursor"],
        || {
            spoilt_task("tasks/list", |result| {
                drop(
                    result
                        .as_object_mut()
                        .and_then(|result| result.shift_remove("nextCursor")),
                );
            })
        },
    ),
    fault(
        "task-list-object",
        "gives the list as an object",
        &["tasks/list-shape"],
        || spoilt_task("tasks/list", |result| result["tasks"] = json!({})),
    ),
    fault(
        "task-cursor-ignored",
        "answers invalid cursors with an empty list",
        &["tasks/list-invalid-cursor"],
        || {
            Box::new(Answers(|request, response| {
                if request.method == "tasks/list" && refused(response, "the cursor is not one") {
                    response.outcome = Ok(json!({ "tasks": [] }));
                }
            }))
        },
    ),
    fault(
        "task-cancel-working",
        "answers a cancellation before the task is cancelled",
        &["tasks/cancel-result"],
        || spoilt_task("tasks/cancel", |task| task["status"] = json!("working")),
    ),
    fault(
        "task-cancel-refused",
        "refuses to cancel tasks at work",
        &["tasks/cancel-result"],
        || Box::new(CancelRefused::default()),
    ),
    fault(
        "task-cancel-ignored",
        "goes on with cancelled tasks",
        &["tasks/cancel-sticky"],
        || Box::new(CancelIgnored::default()),
    ),
    fault(
        "task-cancel-finished",
        "accepts to cancel tasks that are over",
        &["tasks/cancel-terminal"],
        || Box::new(FinishedCancelled::default()),
    ),
    fault(
        "task-cancel-finished-code",
        "refuses to cancel tasks that are over with -32603",
        &["tasks/cancel-terminal"],
        || {
            Box::new(Answers(|_, response| {
                if refused(response, "the task is over already") {
                    response.outcome = Err(RpcError::new(-32603, "The task is over already"));
                }
            }))
        },
    ),
];
