//! Outputs that wait for their moment, so that every transport treats delays and cancellations alike.
//!
//! The clock is a parameter: the transport says what time it is, and sleeps until [`Outbox::next_due`].

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::conversation::Output;
use crate::envelope::Message;

/// What a transport has to put on the wire now.
#[derive(Debug)]
pub(crate) enum Departure {
    Message(Message),
    Text(String),
    Exit(i32),
    /// Time to give up on a question.
    Wake(u64),
    /// Time to give up the connection, until the client comes back after this long.
    Interrupt(Duration),
}

#[derive(Debug)]
struct Waiting {
    due: Instant,
    request: Option<Value>,
    departure: Departure,
}

/// The outputs not yet sent, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: Vec<Waiting>,
}

impl Outbox {
    /// Adds outputs, or takes away those of a request that was cancelled.
    pub(crate) fn extend(&mut self, now: Instant, outputs: Vec<Output>) {
        for output in outputs {
            let (after, request, departure) = match output {
                Output::Message {
                    message,
                    after,
                    request,
                } => (after, request, Departure::Message(message)),
                Output::Aside(message) | Output::News { message, .. } => {
                    (Duration::ZERO, None, Departure::Message(message))
                }
                // The transport that has streams has seen to it already.
                Output::Listen { .. } => continue,
                Output::Wake {
                    after,
                    question,
                    request,
                } => (after, request, Departure::Wake(question)),
                Output::Interrupt { after, retry, request } => (after, request, Departure::Interrupt(retry)),
                Output::Text(text) => (Duration::ZERO, None, Departure::Text(text)),
                Output::Exit(code) => (Duration::ZERO, None, Departure::Exit(code)),
                Output::Withdraw { request } => {
                    self.withdraw(&request);
                    continue;
                }
                Output::Settle { request, messages } => {
                    self.settle(now, &request, messages);
                    continue;
                }
            };
            self.waiting.push(Waiting {
                due: now + after,
                request,
                departure,
            });
        }
    }

    /// Drops what is still to be said about a request.
    pub(crate) fn withdraw(&mut self, request: &Value) {
        self.waiting.retain(|waiting| waiting.request.as_ref() != Some(request));
    }

    /// Sends the messages now instead of what is still to be said about a request, if anything is.
    fn settle(&mut self, now: Instant, request: &Value, messages: Vec<Message>) {
        let before = self.waiting.len();
        self.withdraw(request);
        if self.waiting.len() < before {
            self.waiting.extend(messages.into_iter().map(|message| Waiting {
                due: now,
                request: Some(request.clone()),
                departure: Departure::Message(message),
            }));
        }
    }

    /// Takes out what is due; `wake` says what comes of a question to which there was no answer.
    pub(crate) fn due(&mut self, now: Instant, mut wake: impl FnMut(u64) -> Vec<Output>) -> Vec<Departure> {
        let mut departures = Vec::new();
        loop {
            let due = self.take_due(now);
            if due.is_empty() {
                return departures;
            }
            for departure in due {
                match departure {
                    Departure::Wake(question) => self.extend(now, wake(question)),
                    other => departures.push(other),
                }
            }
        }
    }

    /// Forgets the questions to which nobody will get an answer any more.
    pub(crate) fn forget_questions(&mut self) {
        self.waiting
            .retain(|waiting| !matches!(waiting.departure, Departure::Wake(_)));
    }

    /// Takes out what is due, earliest first, and in the order of arrival among equals.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<Departure> {
        let (mut due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|waiting| waiting.due <= now);
        self.waiting = later;
        due.sort_by_key(|waiting| waiting.due);
        due.into_iter().map(|waiting| waiting.departure).collect()
    }

    /// When the next output is due; `None` when nothing waits.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.waiting.iter().map(|waiting| waiting.due).min()
    }
}

/// Sleeps until the moment, or forever when there is none.
pub(crate) async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(id: i64, after: u64) -> Output {
        Output::Message {
            message: Message::Notification {
                method: "notifications/message",
                params: Value::from(id),
            },
            after: Duration::from_millis(after),
            request: Some(Value::from(id)),
        }
    }

    #[test]
    fn outputs_leave_when_due_and_withdrawn_ones_never() {
        let start = Instant::now();
        let mut outbox = Outbox::default();
        outbox.extend(start, vec![output(1, 50), output(2, 0), output(3, 20)]);
        assert_eq!(outbox.take_due(start).len(), 1);
        assert_eq!(outbox.next_due(), Some(start + Duration::from_millis(20)));
        outbox.extend(
            start,
            vec![Output::Withdraw {
                request: Value::from(3),
            }],
        );
        assert_eq!(outbox.next_due(), Some(start + Duration::from_millis(50)));
        assert_eq!(outbox.take_due(start + Duration::from_secs(1)).len(), 1);
        assert_eq!(outbox.next_due(), None);
    }
}
