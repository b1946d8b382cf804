//! Faults in what follows on a frame.

use std::time::Duration;

use serde_json::json;

use super::{Decorator, EVERYWHERE, Fault, Received, STDIO};
use crate::conversation::Output;
use crate::envelope::{Id, Message, Response};
use crate::revision::Revision;

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        id: "log-line",
        summary: "prints a line of text on stdout after every third request",
        transports: STDIO,
        revision: None,
        serve_with: &[],
        caught_by: &["transport-stdio/stdout-pure", "transport-stdio/exit-quiet"],
        make: || Box::new(LogLine::default()),
    },
    Fault {
        id: "dup-response",
        summary: "sends every response twice",
        transports: EVERYWHERE,
        revision: None,
        serve_with: &[],
        caught_by: &["base-protocol/request-answered-once"],
        make: || Box::new(DupResponse),
    },
    Fault {
        id: "reply-notif",
        summary: "answers notifications",
        transports: EVERYWHERE,
        revision: None,
        serve_with: &[],
        caught_by: &["base-protocol/notification-no-response"],
        make: || Box::new(ReplyNotif),
    },
    Fault {
        id: "die-malformed",
        summary: "exits with code 1 on a message that is not JSON",
        transports: EVERYWHERE,
        revision: None,
        serve_with: &[],
        caught_by: &["base-protocol/survives-garbage"],
        make: || Box::new(DieMalformed),
    },
    Fault {
        id: "future-notification",
        summary: "sends notifications of a later revision than the one that was negotiated",
        transports: STDIO,
        revision: Some(Revision::V2025_06_18),
        serve_with: &[],
        caught_by: &["lifecycle/negotiated-version-respected"],
        make: || {
            Box::new(StrayMessages::new(
                r#""method":"notifications/tasks/status","params":{}"#,
                false,
            ))
        },
    },
    Fault {
        id: "unknown-request",
        summary: "asks the client for something that no revision knows",
        transports: STDIO,
        revision: None,
        serve_with: &[],
        caught_by: &["base-protocol/server-method-vocabulary"],
        make: || Box::new(StrayMessages::new(r#""method":"client/unheardOf""#, true)),
    },
];

/// `future-notification`, `unknown-request`: after every fifth request a message of the server's own.
#[derive(Debug)]
pub(super) struct StrayMessages {
    members: &'static str,
    has_id: bool,
    requests: usize,
}

impl StrayMessages {
    const fn new(members: &'static str, has_id: bool) -> Self {
        Self {
            members,
            has_id,
            requests: 0,
        }
    }
}

impl Decorator for StrayMessages {
    fn outputs(&mut self, received: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        const EVERY: usize = 5;
        if let Received::Requests(count) = received {
            let before = self.requests / EVERY;
            self.requests += count;
            for number in before..self.requests / EVERY {
                let id = if self.has_id {
                    format!(r#""id":"stray-{number}","#)
                } else {
                    String::new()
                };
                outputs.push(Output::Text(format!(r#"{{"jsonrpc":"2.0",{id}{}}}"#, self.members)));
            }
        }
        outputs
    }
}

/// `log-line`: stray text among the messages.
#[derive(Debug, Default)]
pub(super) struct LogLine {
    requests: usize,
}

impl Decorator for LogLine {
    fn outputs(&mut self, received: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        const EVERY: usize = 3;
        if let Received::Requests(count) = received {
            let lines = (self.requests + count) / EVERY - self.requests / EVERY;
            self.requests += count;
            outputs.extend((0..lines).map(|_| Output::Text("INFO request handled".to_owned())));
        }
        outputs
    }
}

/// `dup-response`: everything that is an answer is sent twice in a row.
#[derive(Debug)]
pub(super) struct DupResponse;

impl Decorator for DupResponse {
    fn outputs(&mut self, _: Received, outputs: Vec<Output>) -> Vec<Output> {
        outputs
            .into_iter()
            .flat_map(|output| {
                let copies = match &output {
                    Output::Message {
                        message: Message::Response(_) | Message::Batch(_),
                        ..
                    } => 2,
                    _ => 1,
                };
                std::iter::repeat_n(output, copies)
            })
            .collect()
    }
}

/// `reply-notif`: a notification gets an empty result.
#[derive(Debug)]
pub(super) struct ReplyNotif;

impl Decorator for ReplyNotif {
    fn outputs(&mut self, received: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        if received == Received::Notification {
            let response = Response {
                id: Id::null(),
                outcome: Ok(json!({})),
            };
            let message = Message::Response(response);
            outputs.push(Output::Message {
                message,
                after: Duration::ZERO,
                request: None,
            });
        }
        outputs
    }
}

/// `die-malformed`: no answer, but the end of the process.
#[derive(Debug)]
pub(super) struct DieMalformed;

impl Decorator for DieMalformed {
    fn outputs(&mut self, received: Received, outputs: Vec<Output>) -> Vec<Output> {
        match received {
            Received::Unparseable => vec![Output::Exit(1)],
            _ => outputs,
        }
    }
}
