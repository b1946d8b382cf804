//! Decorators that change what happens when, for the faults in `server_requests` and `unprompted`.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Decorator, Received};
use crate::conversation::Output;
use crate::envelope::{Id, Incoming, Message, Reply, Request, Response, RpcError};
use crate::features::LEVELS;

/// The method of a request or notification.
fn method(incoming: &Incoming) -> Option<&str> {
    match incoming {
        Incoming::Request(request) => Some(&request.method),
        Incoming::Notification { method, .. } => Some(method),
        _ => None,
    }
}

/// Takes a level of its own instead of the one that is set.
#[derive(Debug)]
pub(super) struct Leveller(pub(super) &'static str);

impl Decorator for Leveller {
    fn incoming(&mut self, mut incoming: Incoming) -> Incoming {
        if let Incoming::Request(request) = &mut incoming
            && request.method == "logging/setLevel"
            && let Ok(params) = &mut request.params
            && params
                .get("level")
                .and_then(Value::as_str)
                .is_some_and(|level| LEVELS.contains(&level))
        {
            params.insert("level".to_owned(), json!(self.0));
        }
        incoming
    }
}

/// Takes a method for a harmless one.
#[derive(Debug)]
pub(super) struct Forgetful(pub(super) &'static str);

impl Decorator for Forgetful {
    fn incoming(&mut self, mut incoming: Incoming) -> Incoming {
        match &mut incoming {
            Incoming::Request(request) if request.method == self.0 => request.method = "ping".to_owned(),
            Incoming::Notification { method, .. } if method == self.0 => *method = "notifications/forgotten".to_owned(),
            _ => {}
        }
        incoming
    }
}

/// Sends nothing with these methods.
#[derive(Debug)]
pub(super) struct Swallow(pub(super) &'static [&'static str]);

impl Decorator for Swallow {
    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        outputs.retain(|output| match output {
            Output::Message { message, .. } | Output::Aside(message) => {
                !matches!(message, Message::Notification { method, .. } if self.0.contains(method))
            }
            _ => true,
        });
        outputs
    }
}

/// Sends the notifications of a method only after the answer.
#[derive(Debug)]
pub(super) struct Late(pub(super) &'static str, pub(super) Duration);

impl Decorator for Late {
    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        let answer = outputs.iter().find_map(|output| match output {
            Output::Message {
                message: Message::Response(_),
                after,
                ..
            } => Some(*after),
            _ => None,
        });
        let mut due = answer.unwrap_or_default();
        for output in &mut outputs {
            if let Output::Message {
                message: Message::Notification { method, .. },
                after,
                ..
            } = output
                && *method == self.0
                && answer.is_some()
            {
                due += self.1;
                *after = due;
            }
        }
        outputs
    }
}

/// Leaves something out of the capabilities, and uses it all the same.
#[derive(Debug)]
pub(super) struct Pushy(pub(super) &'static str);

impl Decorator for Pushy {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if let ("initialize", Ok(result)) = (request.method.as_str(), &mut response.outcome)
            && let Some(capabilities) = result["capabilities"].as_object_mut()
        {
            capabilities.shift_remove(self.0);
            for capability in capabilities.values_mut().filter_map(Value::as_object_mut) {
                capability.shift_remove(self.0);
            }
        }
        response
    }
}

/// Tells everybody that some resources have changed when they are read.
#[derive(Debug, Default)]
pub(super) struct NewsForAll {
    read: Option<Value>,
}

impl Decorator for NewsForAll {
    fn incoming(&mut self, incoming: Incoming) -> Incoming {
        if let Incoming::Request(Request {
            method,
            params: Ok(params),
            ..
        }) = &incoming
            && method == "resources/read"
        {
            self.read = params.get("uri").cloned();
        }
        incoming
    }

    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        // The first resource is one that cases subscribe to.
        let known = |uri: &Value| {
            uri.as_str()
                .is_some_and(|uri| uri == "docs://logo" || uri == "test://static-text")
        };
        if let Some(uri) = self.read.take().filter(known) {
            outputs.push(Output::Aside(Message::Notification {
                method: "notifications/resources/updated",
                params: json!({ "uri": uri }),
            }));
        }
        outputs
    }
}

/// Makes failures into successes when they come of an answer of the client.
#[derive(Debug, Default)]
pub(super) struct Trusting {
    answered: bool,
}

impl Decorator for Trusting {
    fn incoming(&mut self, incoming: Incoming) -> Incoming {
        self.answered = matches!(
            incoming,
            Incoming::Response {
                reply: Reply::Result(_),
                ..
            }
        );
        incoming
    }

    fn response(&mut self, _: &Request, mut response: Response) -> Response {
        if let Ok(result) = &mut response.outcome
            && self.answered
            && result["isError"] == true
        {
            result["isError"] = json!(false);
        }
        response
    }
}

/// Says nothing after a refusal of the client.
#[derive(Debug, Default)]
pub(super) struct Deaf {
    refused: bool,
}

impl Decorator for Deaf {
    fn incoming(&mut self, incoming: Incoming) -> Incoming {
        self.refused = matches!(
            incoming,
            Incoming::Response {
                reply: Reply::Error(_),
                ..
            }
        );
        incoming
    }

    fn outputs(&mut self, _: Received, outputs: Vec<Output>) -> Vec<Output> {
        match std::mem::take(&mut self.refused) {
            true => Vec::new(),
            false => outputs,
        }
    }
}

/// The ids of the calls that take their time.
#[derive(Debug, Default)]
struct Running(Vec<Value>);

impl Running {
    fn take_in(&mut self, incoming: &Incoming) {
        if let Incoming::Request(Request {
            id,
            method,
            params: Ok(params),
        }) = incoming
            && method == "tools/call"
            && params.get("name").is_some_and(|name| name == "slow")
        {
            self.0.extend(id.value());
        }
    }

    /// Whether the request was running; it is no longer.
    fn ends(&mut self, request: &Value) -> bool {
        let before = self.0.len();
        self.0.retain(|running| running != request);
        self.0.len() < before
    }
}

/// Answers the cancellation of a running call.
#[derive(Debug)]
pub(super) struct CancelAnswered {
    times: usize,
    running: Running,
}

impl CancelAnswered {
    pub(super) fn times(times: usize) -> Self {
        Self {
            times,
            running: Running::default(),
        }
    }
}

impl Decorator for CancelAnswered {
    fn incoming(&mut self, incoming: Incoming) -> Incoming {
        self.running.take_in(&incoming);
        incoming
    }

    fn outputs(&mut self, _: Received, outputs: Vec<Output>) -> Vec<Output> {
        let mut answers = Vec::new();
        for output in &outputs {
            if let Output::Withdraw { request } = output
                && self.running.ends(request)
                && let Ok(id) = Id::from_token(request.to_string())
            {
                let response = Response {
                    id,
                    outcome: Err(RpcError::cancelled()),
                };
                // Under no request, so that the cancellation does not take it back.
                let answer = Output::Aside(Message::Response(response));
                answers.extend(std::iter::repeat_n(answer, self.times));
            }
        }
        outputs.into_iter().chain(answers).collect()
    }
}

/// Exits when something is cancelled that is not running.
#[derive(Debug, Default)]
pub(super) struct DieOnCancel {
    running: Running,
}

impl Decorator for DieOnCancel {
    fn incoming(&mut self, incoming: Incoming) -> Incoming {
        self.running.take_in(&incoming);
        incoming
    }

    fn outputs(&mut self, _: Received, outputs: Vec<Output>) -> Vec<Output> {
        let stranger = outputs
            .iter()
            .any(|output| matches!(output, Output::Withdraw { request } if !self.running.ends(request)));
        if stranger { vec![Output::Exit(1)] } else { outputs }
    }
}

/// Answers pings only when the running call is done.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    running: Running,
    pinged: bool,
}

impl Decorator for Waiting {
    fn incoming(&mut self, incoming: Incoming) -> Incoming {
        self.running.take_in(&incoming);
        self.pinged = method(&incoming) == Some("ping");
        incoming
    }

    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        if self.pinged && self.running.0.pop().is_some() {
            for output in &mut outputs {
                if let Output::Message { after, .. } = output {
                    *after = Duration::from_millis(600);
                }
            }
        }
        outputs
    }
}

/// Pings many times after each call.
#[derive(Debug, Default)]
pub(super) struct PingFlood {
    called: bool,
    sent: usize,
}

impl Decorator for PingFlood {
    fn incoming(&mut self, incoming: Incoming) -> Incoming {
        self.called = method(&incoming) == Some("tools/call");
        incoming
    }

    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        const PINGS: u64 = 6;
        let answered = outputs.iter().find_map(|output| match output {
            Output::Message {
                message: Message::Response(_),
                after,
                request,
            } => Some((*after, request.clone())),
            _ => None,
        });
        if let Some((after, request)) = answered.filter(|_| self.called) {
            for number in 1..=PINGS {
                self.sent += 1;
                outputs.push(Output::Message {
                    message: Message::Request {
                        id: json!(format!("flood-{}", self.sent)),
                        method: "ping",
                        params: None,
                    },
                    after: after + Duration::from_millis(2 * number),
                    request: request.clone(),
                });
            }
        }
        outputs
    }
}
