//! Faults in subscriptions, and in what goes on other streams than it should.

use serde_json::{Value, json};

use super::super::spoil::{Every, Wording, reword, take};
use super::super::{Decorator, Fault, Received};
use super::{Reads, SUBSCRIPTION_ID, fault, http_fault, listener, refused, request_in, stdio_fault, told};
use crate::conversation::Output;
use crate::envelope::{Id, Incoming, Message, Request, Response};
use crate::features::Object;
use crate::stateless::complete;

const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";
const TOOLS: &str = "notifications/tools/list_changed";
const PROMPTS: &str = "notifications/prompts/list_changed";
/// Where a fault that tells too much is found out.
const UNASKED: &[&str] = &[
    "subscriptions/no-delivery-without-listen",
    "transport-stdio/notifications-scoped",
    "base-protocol/no-unprompted-traffic",
    "transport-streamable-http/sse-related-messages",
];

pub(in super::super) const FAULTS: &[Fault] = &[
    fault(
        "listen-unknown",
        "has news and does not know subscriptions/listen",
        &[
            "subscriptions/listen-implemented",
            "base-protocol/message-patterns-supported",
            "base-protocol/features-advertised",
        ],
        || {
            Box::new(super::super::spoil::Instead(|bytes| {
                let (id, method, _) = request_in(bytes)?;
                (method == "subscriptions/listen").then(|| refused(&id, -32601, "Method not found"))
            }))
        },
    ),
    fault(
        "listen-news-first",
        "tells news before it acknowledges the subscription",
        &["subscriptions/ack-first", "subscriptions/filter-respected"],
        || Box::new(NewsFirst),
    ),
    fault(
        "listen-late",
        "acknowledges a subscription only when there is something to tell",
        &[
            "subscriptions/ack-prompt",
            "subscriptions/ack-first",
            "base-protocol/message-patterns-supported",
        ],
        || Box::new(Late(Vec::new())),
    ),
    fault(
        "listen-list",
        "acknowledges a subscription with a list of what is told",
        &["subscriptions/ack-notifications-object"],
        || {
            Box::new(Wording(ACKNOWLEDGED, |params| {
                params["notifications"] = json!(["toolsListChanged"])
            }))
        },
    ),
    fault(
        "listen-more",
        "acknowledges more than was asked for",
        &["subscriptions/ack-subset", "subscriptions/false-equals-omitted"],
        || {
            Box::new(Wording(ACKNOWLEDGED, |params| {
                for field in ["toolsListChanged", "promptsListChanged", "resourcesListChanged"] {
                    params["notifications"][field] = json!(true);
                }
            }))
        },
    ),
    fault(
        "listen-unsupported",
        "acknowledges news of prompts, which it has not said that it tells",
        &["subscriptions/ack-omits-unsupported", "subscriptions/ack-subset"],
        || {
            Box::new(Every("server/discover", |result| {
                result["capabilities"]["prompts"] = json!({})
            }))
        },
    ),
    fault(
        "listen-id-text",
        "names subscriptions by text, whatever their id is",
        &["subscriptions/subscription-id-value"],
        || Box::new(TextIds),
    ),
    fault(
        "listen-other-news",
        "tells news of prompts to those who asked for news of tools",
        &["subscriptions/filter-respected"],
        || Box::new(OtherNews),
    ),
    fault(
        "news-unasked",
        "tells news to everybody who calls a tool",
        UNASKED,
        || Box::new(Unasked { once_heard: false }),
    ),
    fault(
        "news-remembered",
        "goes on with telling news to those who once have listened",
        &[
            "subscriptions/no-state-across-connections",
            "subscriptions/no-delivery-without-listen",
            "subscriptions/stdio-cancel-ends",
            "transport-stdio/notifications-scoped",
            "base-protocol/no-unprompted-traffic",
            "transport-streamable-http/sse-related-messages",
        ],
        || Box::new(Unasked { once_heard: true }),
    ),
    fault(
        "listen-false-is-true",
        "takes what was declined for asked",
        &["subscriptions/false-equals-omitted", "subscriptions/ack-subset"],
        || {
            Box::new(Reads(|method, params| {
                if method == "subscriptions/listen"
                    && let Some(Value::Object(filter)) = params.get_mut("notifications")
                {
                    for value in filter.values_mut().filter(|value| **value == false) {
                        *value = json!(true);
                    }
                }
            }))
        },
    ),
    http_fault(
        "listen-progress",
        "reports progress of other requests to those who listen",
        &[
            "subscriptions/request-scoped-excluded",
            "transport-streamable-http/sse-related-messages",
            "progress/only-known-tokens",
            // What is told twice does not grow.
            "progress/monotonic",
        ],
        || Box::new(Copies::new("notifications/progress")),
    ),
    http_fault(
        "listen-logs",
        "logs for other requests to those who listen",
        &[
            "logging/request-stream-only",
            "subscriptions/request-scoped-excluded",
            "transport-streamable-http/sse-related-messages",
            "logging/none-without-level",
        ],
        || Box::new(Copies::new("notifications/message")),
    ),
    fault(
        "listen-any-filter",
        "takes any filter for an empty one",
        &["subscriptions/notifications-param-required"],
        || {
            Box::new(Reads(|method, params| {
                let sound = params
                    .get("notifications")
                    .and_then(Value::as_object)
                    .is_some_and(|filter| {
                        filter.iter().all(|(field, value)| match field.ends_with("Changed") {
                            true => value.is_boolean(),
                            false => value.is_array() || value.is_boolean(),
                        })
                    });
                if method == "subscriptions/listen" && !sound {
                    params.insert("notifications".to_owned(), json!({}));
                }
            }))
        },
    ),
    fault(
        "listen-echo",
        "acknowledges fields of a filter that it does not know",
        &["subscriptions/unknown-filter-fields"],
        || Box::new(Echo(Object::new())),
    ),
    http_fault(
        "listen-ends",
        "ends a subscription as soon as it has begun",
        &[
            "subscriptions/http-sse-stream",
            "subscriptions/concurrent",
            "transport-streamable-http/disconnect-other-requests-unaffected",
            // Nobody is left to be told.
            "tools/list-changed-sent",
            "prompts/list-changed-sent",
            "resources/list-changed-sent",
            "resources/updated-sent",
        ],
        || Box::new(Ends),
    ),
    stdio_fault(
        "listen-uncancelled",
        "goes on with a subscription that was cancelled",
        &["subscriptions/stdio-cancel-ends"],
        || Box::new(Uncancelled(Vec::new())),
    ),
    http_fault(
        "listen-once",
        "takes every id for a subscription once only, also when that has ended",
        &[
            "subscriptions/http-close-ends",
            "transport-streamable-http/disconnect-other-requests-unaffected",
        ],
        || Box::new(Once(Vec::new())),
    ),
    fault(
        "listen-end-silent",
        "ends without ending subscriptions",
        &[
            "subscriptions/graceful-close-result",
            "cancellation/server-teardown-signal",
        ],
        || Box::new(Ending(|_| false)),
    ),
    fault(
        "listen-end-unnamed",
        "does not name the subscription that it ends",
        &["subscriptions/close-result-shape"],
        || {
            Box::new(Ending(|response| {
                if let Ok(result) = &mut response.outcome {
                    take(&mut result["_meta"], SUBSCRIPTION_ID);
                }
                true
            }))
        },
    ),
    fault(
        "cancels-requests",
        "cancels a call of its client before it answers",
        &["cancellation/server-cancel-only-listen"],
        || Box::new(Cancels),
    ),
];

/// `listen-news-first`.
#[derive(Debug)]
struct NewsFirst;

impl Decorator for NewsFirst {
    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        if let Some(listener) = listener(&outputs)
            && let Some(Output::News {
                message: Message::Notification { params, .. },
                ..
            }) = outputs.get(1)
        {
            let message = Message::Notification {
                method: TOOLS,
                params: json!({ "_meta": params["_meta"] }),
            };
            outputs.insert(1, Output::News { listener, message });
        }
        outputs
    }
}

/// `listen-late`.
#[derive(Debug)]
struct Late(Vec<Output>);

impl Decorator for Late {
    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        if listener(&outputs).is_some() {
            self.0.extend(outputs.drain(1..));
            return outputs;
        }
        if outputs.iter().any(|output| matches!(output, Output::News { .. })) {
            outputs.splice(0..0, self.0.drain(..));
        }
        outputs
    }
}

/// `listen-id-text`.
#[derive(Debug)]
struct TextIds;

impl Decorator for TextIds {
    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        for method in [ACKNOWLEDGED, TOOLS, PROMPTS, "notifications/resources/updated"] {
            reword(&mut outputs, method, |params| {
                if let Some(id) = params["_meta"].get_mut(SUBSCRIPTION_ID).filter(|id| !id.is_string()) {
                    *id = json!(id.to_string());
                }
            });
        }
        outputs
    }
}

/// `listen-other-news`.
#[derive(Debug)]
struct OtherNews;

impl Decorator for OtherNews {
    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        let more: Vec<Output> = outputs
            .iter()
            .filter_map(|output| match output {
                Output::News {
                    listener,
                    message: Message::Notification { method: TOOLS, params },
                } => Some(Output::News {
                    listener: *listener,
                    message: Message::Notification {
                        method: PROMPTS,
                        params: params.clone(),
                    },
                }),
                _ => None,
            })
            .collect();
        outputs.extend(more);
        outputs
    }
}

/// `news-unasked`, `news-remembered`.
#[derive(Debug)]
struct Unasked {
    /// Whether it begins only when somebody has listened.
    once_heard: bool,
}

impl Decorator for Unasked {
    fn outputs(&mut self, received: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        if self.once_heard {
            // From now on it is told.
            self.once_heard = listener(&outputs).is_none();
            return outputs;
        }
        let calls = outputs.iter().any(|output| match output {
            Output::Message {
                message: Message::Response(response),
                ..
            } => response
                .outcome
                .as_ref()
                .is_ok_and(|result| result.get("content").is_some()),
            _ => false,
        });
        if calls && received == Received::Requests(1) {
            outputs.insert(0, told(TOOLS, json!({})));
        }
        outputs
    }
}

/// `listen-progress`, `listen-logs`: copies of what belongs to other requests.
#[derive(Debug)]
struct Copies {
    method: &'static str,
    listeners: Vec<u64>,
}

impl Copies {
    fn new(method: &'static str) -> Self {
        Self {
            method,
            listeners: Vec::new(),
        }
    }
}

impl Decorator for Copies {
    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        self.listeners.extend(listener(&outputs));
        let copied: Vec<Message> = outputs
            .iter()
            .filter_map(|output| match output {
                Output::Message {
                    message: message @ Message::Notification { method, .. },
                    ..
                } if *method == self.method => Some(message.clone()),
                _ => None,
            })
            .collect();
        for message in copied {
            outputs.extend(self.listeners.iter().map(|listener| Output::News {
                listener: *listener,
                message: message.clone(),
            }));
        }
        outputs
    }
}

/// `listen-echo`: the fields that it does not know of the filter that came last.
#[derive(Debug)]
struct Echo(Object);

impl Decorator for Echo {
    fn incoming(&mut self, incoming: Incoming) -> Incoming {
        const KNOWN: [&str; 5] = [
            "toolsListChanged",
            "promptsListChanged",
            "resourcesListChanged",
            "resourceSubscriptions",
            "taskIds",
        ];
        if let Incoming::Request(Request { params: Ok(params), .. }) = &incoming {
            let filter = params.get("notifications").and_then(Value::as_object);
            let odd = filter
                .into_iter()
                .flatten()
                .filter(|(field, _)| !KNOWN.contains(&field.as_str()));
            self.0 = odd.map(|(field, value)| (field.clone(), value.clone())).collect();
        }
        incoming
    }

    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        reword(&mut outputs, ACKNOWLEDGED, |params| {
            for (field, value) in std::mem::take(&mut self.0) {
                params["notifications"][field] = value;
            }
        });
        outputs
    }
}

/// `listen-ends`.
#[derive(Debug)]
struct Ends;

impl Decorator for Ends {
    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        let id = outputs.iter().find_map(|output| match output {
            Output::News {
                message: Message::Notification { params, .. },
                ..
            } => params["_meta"].get(SUBSCRIPTION_ID).cloned(),
            _ => None,
        });
        if let (Some(listener), Some(id)) = (listener(&outputs), id)
            && let Ok(token) = Id::from_token(id.to_string())
        {
            let result = complete("subscriptions/listen", json!({ "_meta": { SUBSCRIPTION_ID: id } }));
            let message = Message::Response(Response {
                id: token,
                outcome: Ok(result),
            });
            outputs.push(Output::News { listener, message });
        }
        outputs
    }
}

/// `listen-uncancelled`.
#[derive(Debug)]
struct Uncancelled(Vec<Value>);

impl Decorator for Uncancelled {
    fn incoming(&mut self, incoming: Incoming) -> Incoming {
        match incoming {
            Incoming::Request(Request { ref method, ref id, .. }) if method == "subscriptions/listen" => {
                self.0.extend(id.value());
                incoming
            }
            Incoming::Notification { method, mut params } if method == "notifications/cancelled" => {
                if params.get("requestId").is_some_and(|id| self.0.contains(id)) {
                    params.clear();
                }
                Incoming::Notification { method, params }
            }
            other => other,
        }
    }
}

/// `listen-once`.
#[derive(Debug)]
struct Once(Vec<Value>);

impl Decorator for Once {
    fn instead(&mut self, bytes: &[u8]) -> Option<Vec<Output>> {
        let (id, method, _) = request_in(bytes)?;
        if method != "subscriptions/listen" {
            return None;
        }
        if self.0.contains(&id) {
            return Some(refused(&id, -32600, "This subscription exists already"));
        }
        self.0.push(id);
        None
    }
}

/// `listen-end-silent`, `listen-end-unnamed`: what becomes of the results of subscriptions; `false` leaves one out.
#[derive(Debug)]
struct Ending(fn(&mut Response) -> bool);

impl Decorator for Ending {
    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        outputs.retain_mut(|output| match output {
            Output::News {
                message: Message::Response(response),
                ..
            } => (self.0)(response),
            _ => true,
        });
        outputs
    }
}

/// `cancels-requests`.
#[derive(Debug)]
struct Cancels;

impl Decorator for Cancels {
    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        let called = outputs.iter().find_map(|output| match output {
            Output::Message {
                message: Message::Response(response),
                request: Some(request),
                ..
            } if response
                .outcome
                .as_ref()
                .is_ok_and(|result| result.get("structuredContent").is_some()) =>
            {
                Some(request.clone())
            }
            _ => None,
        });
        if let Some(request) = called {
            outputs.insert(0, told("notifications/cancelled", json!({ "requestId": request })));
        }
        outputs
    }
}
