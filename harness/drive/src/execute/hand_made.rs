//! Messages of a case's own making: bytes that are sent as they are, and whatever answers them.

use std::time::Duration;

use serde_json::{Value, json};
use touchstone_core::case::{Input, Step};
use touchstone_core::jsonrpc::{self, IdToken, Reading, Shape};
use touchstone_core::trace::Intent;

use super::runner::{Runner, Seen};
use crate::session::{Answer, Arrival, Outcome, Pending};
use crate::transport::Sent;

/// How long the answers to hand-made messages are waited for, once a probe has shown that the server is alive: it may not answer them at all.
const HAND_MADE: Duration = Duration::from_secs(2);

impl Runner<'_> {
    /// Sends chunks of bytes and collects the answers to the requests in them, or whatever else answers them.
    pub(super) async fn send(&mut self, chunks: &[Vec<u8>], newline: bool, step: &Step) -> Seen {
        let within = step.within;
        let whole = chunks.concat();
        let illegal = self.case.input == Input::Illegal || step.deliberate;
        let intent = if illegal { Intent::Broken } else { Intent::Proper };
        let sent = match self.session.connection().send_chunks(chunks, newline, intent).await {
            Ok(sent) => sent,
            Err(error) => {
                return Seen {
                    value: json!({ "outcome": "closed", "reason": error.to_string() }),
                    events: vec![],
                    spoilt: None,
                };
            }
        };
        if illegal {
            return self.replies(Some(sent)).await;
        }
        let ids = request_ids(&whole);
        if !ids.is_empty() {
            self.session.probe().await;
        }
        let since = tokio::time::Instant::now();
        let mut answers = Vec::new();
        for id in ids {
            let pending = Pending { id, sent, since };
            answers.push(self.session.finish(&pending, Some(within.unwrap_or(HAND_MADE))).await);
        }
        let mut seen = self.replies(Some(sent)).await;
        let mut replies: Vec<Value> = answers.iter().filter_map(|answer| answer.message.clone()).collect();
        if let Some(worst) = answers
            .iter()
            .find(|answer| answer.message.is_none())
            .or(answers.first())
        {
            let Value::Array(strays) = seen.value["replies"].take() else {
                return seen;
            };
            seen.value = worst.to_value();
            replies.extend(strays);
            seen.events = answers
                .iter()
                .filter_map(|answer| answer.event)
                .chain([sent.event])
                .collect();
        }
        seen.value["replies"] = json!(replies);
        seen
    }

    /// What answers a message that asks for nothing: waits until a liveness probe was answered.
    pub(super) async fn replies(&mut self, sent: Option<Sent>) -> Seen {
        let (arrivals, probe) = self.session.settle(sent).await;
        let status = sent.and_then(|sent| self.session.exchange_status(sent.exchange?));
        let answer = match arrivals.first() {
            Some(first) => Answer::of_arrival(first, status),
            None if matches!(probe.outcome, Outcome::Closed | Outcome::Silence) => Answer::closed(
                probe.reason.as_deref().unwrap_or("the server no longer answers"),
                status,
            ),
            None => Answer::silence(status),
        };
        let mut value = answer.to_value();
        value["replies"] = json!(
            arrivals
                .iter()
                .map(|arrival: &Arrival| &arrival.value)
                .collect::<Vec<_>>()
        );
        let events = arrivals
            .iter()
            .map(|arrival| arrival.event)
            .chain(sent.map(|sent| sent.event))
            .collect();
        Seen {
            value,
            events,
            spoilt: None,
        }
    }
}

/// The ids of the requests in some bytes: one message, a batch, or several lines.
pub(super) fn request_ids(bytes: &[u8]) -> Vec<IdToken> {
    let mut ids = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Reading::Complete(document) = jsonrpc::read(line, &jsonrpc::Limits::default()) {
            match document.shape {
                Shape::Request { id, .. } => ids.push(id),
                Shape::Batch(elements) => ids.extend(elements.into_iter().filter_map(|element| match element.shape {
                    Shape::Request { id, .. } => Some(id),
                    _ => None,
                })),
                _ => {}
            }
        }
    }
    ids
}
