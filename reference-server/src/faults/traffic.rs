//! Faults in what follows on a frame.

use std::time::Duration;

use serde_json::json;

use super::{Decorator, EVERYWHERE, Fault, Received, STDIO};
use crate::conversation::Output;
use crate::envelope::{Id, Message, Response};

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
];

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
