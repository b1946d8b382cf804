//! Faults in what the server tells by itself: progress, logs, pings, cancellations, news. `unasked` has the decorators that change what
//! happens when.

use std::time::Duration;

use serde_json::{Value, json};

use super::spoil::{Wording, take};
use super::unasked::{
    CancelAnswered, DieOnCancel, Forgetful, Late, Leveller, NewsForAll, PingFlood, Pushy, Swallow, Waiting,
};
use super::{Fault, ONE_STREAM, STDIO};

const PROGRESS: &str = "notifications/progress";
const LOG: &str = "notifications/message";

pub(super) const FAULTS: &[Fault] = &[
    // Progress.
    Fault::new(
        "progress-stringify",
        "turns number tokens into strings in progress",
        &["progress/token-echo"],
        || {
            let stringify = |params: &mut Value| {
                if params["progressToken"].is_number() {
                    params["progressToken"] = json!(params["progressToken"].to_string());
                }
            };
            Box::new(Wording(PROGRESS, stringify))
        },
    ),
    Fault::new(
        "progress-invented",
        "reports progress under a token of its own",
        &["progress/only-known-tokens"],
        || Box::new(Wording(PROGRESS, |params| params["progressToken"] = json!("invented"))),
    ),
    Fault::new(
        "progress-falls",
        "reports progress that goes down",
        &["progress/monotonic"],
        || {
            let fall = |params: &mut Value| {
                let progress = params["progress"].as_f64().unwrap_or_default();
                params["progress"] = json!(params["total"].as_f64().unwrap_or_default() - progress);
            };
            Box::new(Wording(PROGRESS, fall))
        },
    ),
    Fault::new(
        "progress-stands",
        "reports the same progress again and again",
        &["progress/monotonic"],
        || Box::new(Wording(PROGRESS, |params| params["progress"] = json!(1))),
    ),
    Fault::new(
        "progress-string",
        "reports progress as a text",
        &["progress/progress-number"],
        || {
            Box::new(Wording(PROGRESS, |params| {
                params["progress"] = json!(params["progress"].to_string())
            }))
        },
    ),
    Fault::new(
        "progress-json-message",
        "puts JSON into the message of progress",
        &["progress/message-informative"],
        || Box::new(Wording(PROGRESS, |params| params["message"] = json!("{\"step\": 1}"))),
    ),
    Fault::new(
        "progress-late",
        "reports progress after the answer",
        &["progress/stops-after-completion"],
        || Box::new(Late(PROGRESS, Duration::from_millis(10))),
    ),
    // Logs.
    Fault::new(
        "log-unfiltered",
        "logs at every level, whatever was set",
        &["logging/level-filter"],
        || Box::new(Leveller("debug")),
    ),
    Fault::new(
        "log-silent",
        "logs nothing but emergencies, whatever was set",
        &["logging/level-passes"],
        || Box::new(Leveller("emergency")),
    ),
    Fault::new(
        "log-level-name",
        "logs at levels that do not exist",
        &["logging/message-level", "logging/level-passes"],
        || {
            Box::new(Wording(LOG, |params| {
                if params["level"] == "critical" {
                    params["level"] = json!("fatal");
                }
            }))
        },
    ),
    Fault::new("log-no-data", "logs without data", &["logging/message-data"], || {
        Box::new(Wording(LOG, |params| drop(take(params, "data"))))
    }),
    Fault::new("log-secret", "logs a key", &["logging/no-secrets"], || {
        Box::new(Wording(LOG, |params| {
            params["data"] = json!({ "key": format!("sk-{}", "x7".repeat(24)) })
        }))
    }),
    Fault::new("log-mail", "logs somebody's address", &["logging/no-pii"], || {
        Box::new(Wording(LOG, |params| {
            params["data"] = json!("Login of someone@example.com")
        }))
    }),
    Fault::new(
        "log-trace",
        "logs a stack trace",
        &["logging/no-internal-details"],
        || {
            Box::new(Wording(LOG, |params| {
                params["data"] = json!("Traceback (most recent call last):\n  File")
            }))
        },
    ),
    // Pings and cancellation.
    Fault::new(
        "ping-flood",
        "pings the client many times after each call",
        &["ping/server-ping-not-excessive"],
        || Box::new(PingFlood::default()),
    ),
    Fault::new(
        "ping-waits",
        "answers pings only when the tool is done",
        &["ping/during-long-request"],
        || Box::new(Waiting::default()),
    ),
    Fault::new(
        "cancel-ignored",
        "goes on with requests that were cancelled",
        &["cancellation/no-response-after-cancel", "cancellation/stops-processing"],
        || Box::new(Forgetful("notifications/cancelled")),
    ),
    Fault::new(
        "cancel-answered",
        "answers a cancellation of a running call with an error",
        &["cancellation/no-response-after-cancel"],
        || Box::new(CancelAnswered::times(1)),
    )
    // Over Streamable HTTP such an answer has no stream of its own any more, which is another mistake.
    .over(ONE_STREAM),
    Fault::new(
        "cancel-answered-twice",
        "answers a cancellation of a running call with two errors",
        &[
            "cancellation/no-response-after-cancel",
            "base-protocol/request-answered-once",
        ],
        || Box::new(CancelAnswered::times(2)),
    )
    .over(ONE_STREAM),
    Fault::new(
        "die-on-cancel",
        "exits when a request is cancelled that is not running",
        &[
            "cancellation/unknown-id-ignored",
            "cancellation/finished-id-ignored",
            "cancellation/race-graceful",
            "base-protocol/request-answered-once",
            // Some of the cases that send what no client may send cancel something, too.
            "base-protocol/survives-garbage",
        ],
        || Box::new(DieOnCancel::default()),
    )
    .over(STDIO),
    Fault::new(
        "cancels-strangers",
        "cancels requests that it never sent",
        &["cancellation/server-cancel-own-request"],
        || {
            Box::new(Wording("notifications/cancelled", |params| {
                params["requestId"] = json!("stranger")
            }))
        },
    ),
    Fault::new(
        "cancel-reason-number",
        "gives numbers as reasons of its cancellations",
        &["cancellation/server-cancel-shape"],
        || Box::new(Wording("notifications/cancelled", |params| params["reason"] = json!(5))),
    ),
    // News.
    Fault::new(
        "updated-for-all",
        "tells everybody that a resource has changed when it is read",
        &["resources/updated-only-subscribed"],
        || Box::new(NewsForAll::default()),
    ),
    Fault::new(
        "updated-after-unsubscribe",
        "goes on telling of changes after the client has unsubscribed",
        &["resources/unsubscribe-stops"],
        || Box::new(Forgetful("resources/unsubscribe")),
    ),
    Fault::new(
        "updated-missing",
        "tells no subscriber of changes",
        &["resources/updated-sent"],
        || Box::new(Swallow(&["notifications/resources/updated"])),
    ),
    Fault::new(
        "updated-no-uri",
        "tells of changes without saying of what",
        &["resources/updated-shape", "resources/updated-sent"],
        || {
            Box::new(Wording("notifications/resources/updated", |params| {
                drop(take(params, "uri"))
            }))
        },
    ),
    Fault::new(
        "list-changed-missing",
        "tells nobody that its lists have changed",
        &[
            "tools/list-changed-sent",
            "prompts/list-changed-sent",
            "resources/list-changed-sent",
        ],
        || {
            Box::new(Swallow(&[
                "notifications/tools/list_changed",
                "notifications/prompts/list_changed",
                "notifications/resources/list_changed",
            ]))
        },
    ),
    Fault::new(
        "list-changed-undeclared",
        "tells that its lists have changed without declaring it",
        &[
            "tools/list-changed-undeclared",
            "prompts/list-changed-undeclared",
            "resources/list-changed-undeclared",
        ],
        || Box::new(Pushy("listChanged")),
    ),
    Fault::new(
        "logging-undeclared",
        "logs without declaring it",
        &["logging/capability-declared"],
        || Box::new(Pushy("logging")),
    ),
];
