//! Taking in what the server sends, and telling which of it answers which request.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use touchstone_core::jsonrpc::{self, Document, IdToken, Reading, Shape};
use touchstone_core::revision::Era;
use touchstone_core::trace::Intent;

use super::{Arrival, Ended, Pending, Session, TOO_MUCH};
use crate::transport::{Incoming, TransportError};

impl Session {
    /// Takes in the next thing that the connection gives. False when nothing came before the deadline.
    pub(super) async fn pump(&mut self, deadline: Instant) -> bool {
        // What lies ready is taken in even when it is late, but a flood always has something ready.
        if Instant::now() < deadline {
            self.overtime = 0;
        } else if self.overtime >= self.limits.inbox {
            return false;
        } else {
            self.overtime += 1;
        }
        let Ok(incoming) = tokio::time::timeout_at(deadline, self.connection.receive()).await else {
            return false;
        };
        match incoming {
            None => {
                self.closed.get_or_insert_with(|| "the connection is closed".to_owned());
            }
            Some(Incoming::Closed { reason }) => self.closed = Some(reason),
            Some(Incoming::Head { exchange, status, .. }) => {
                self.statuses.insert(exchange, status);
            }
            Some(Incoming::ExchangeEnded { exchange, failure }) => {
                let at = Instant::now();
                self.ended.insert(exchange, Ended { failure, at });
            }
            Some(Incoming::Message { bytes, event, .. }) => self.take_in(&bytes, event).await,
        }
        if self.tap.is_full() {
            self.closed.get_or_insert_with(|| TOO_MUCH.to_owned());
        }
        true
    }

    /// Sorts a frame: answers, requests to be answered, and the rest.
    pub(super) async fn take_in(&mut self, bytes: &[u8], event: usize) {
        let Reading::Complete(Document {
            shape,
            value: Some(value),
            ..
        }) = jsonrpc::read(bytes, &jsonrpc::Limits::default())
        else {
            return; // In the trace; monitors judge it.
        };
        match (shape, value) {
            (Shape::Batch(elements), Value::Array(values)) => {
                for (element, value) in elements.into_iter().zip(values) {
                    self.sort(element.shape, value, event).await;
                }
            }
            (shape, value) => self.sort(shape, value, event).await,
        }
    }

    pub(super) async fn sort(&mut self, shape: Shape, value: Value, event: usize) {
        match shape {
            Shape::Response { id: Some(id) } | Shape::ErrorResponse { id: Some(id) } if self.is_repeated(&id) => {
                // In the trace; the monitors judge it.
            }
            Shape::Response { id } | Shape::ErrorResponse { id } => {
                if let Some(id) = &id {
                    if self.answer_questions(id, &value, event).await {
                        return;
                    }
                    self.note_tools(&value);
                }
                self.answers.push(Arrival {
                    event,
                    value,
                    method: None,
                    id,
                });
                self.trim();
            }
            Shape::Request { id, method, .. } => {
                if let Some(reply) = self.replies.reply(&id, &method, value.get("params")) {
                    self.send_reply(&reply).await;
                }
                self.inbox.push(Arrival {
                    event,
                    value,
                    method: Some(method),
                    id: Some(id),
                });
                self.trim();
            }
            Shape::Notification { method, .. } => {
                self.inbox.push(Arrival {
                    event,
                    value,
                    method: Some(method),
                    id: None,
                });
                self.trim();
            }
            _ => {}
        }
    }

    /// Sends a reply. A server that asks and does not read what it is told costs one wait: after that replies stand in line until it reads again.
    async fn send_reply(&mut self, reply: &[u8]) {
        let patience = if self.replies_wait {
            Duration::ZERO
        } else {
            self.limits.request
        };
        let sent = tokio::time::timeout(patience, self.connection.send(reply, Intent::Proper)).await;
        // One that does not take the reply is noticed by the request that waits.
        self.replies_wait = matches!(sent, Err(_) | Ok(Err(TransportError::Stalled(_))));
    }

    /// Tools may say which of their arguments go along as header fields, which the connection has to know.
    fn note_tools(&mut self, response: &Value) {
        if self.protocol.era() == Era::Stateless
            && let Some(tools) = response.pointer("/result/tools").and_then(Value::as_array)
        {
            self.connection.note_tools(tools);
        }
    }

    /// Whether a response with this id came before, and no request waits for another.
    pub(super) fn is_repeated(&self, id: &IdToken) -> bool {
        self.answered.contains(id.as_str())
            && !self
                .outstanding
                .iter()
                .any(|other| other.same_value(id) || other.looks_like(id))
    }

    /// Keeps what waits unread within bounds; the trace has it all.
    pub(super) fn trim(&mut self) {
        for waiting in [&mut self.inbox, &mut self.answers] {
            let excess = waiting.len().saturating_sub(self.limits.inbox);
            waiting.drain(..excess);
        }
    }

    /// The answer to a request among those that came: with its own id, or one that differs only in type, or, over HTTP, an error without
    /// id in the same exchange.
    pub(super) fn position_of_answer(&self, pending: &Pending) -> Option<usize> {
        let by = |wanted: &dyn Fn(&IdToken) -> bool| {
            self.answers
                .iter()
                .position(|arrival| arrival.event > pending.sent.event && arrival.id.as_ref().is_some_and(wanted))
        };
        // An id of another type is taken for this request's only if it is not the very id of another one.
        let nobodys = |id: &IdToken| {
            let owners = self.outstanding.iter().filter(|other| other.same_value(id)).count();
            let copies = self
                .answers
                .iter()
                .filter(|arrival| arrival.id.as_ref().is_some_and(|other| other.same_value(id)))
                .count();
            copies > owners
        };
        by(&|id| id.same_value(&pending.id))
            .or_else(|| by(&|id| id.looks_like(&pending.id) && nobodys(id)))
            .or_else(|| {
                let exchange = pending.sent.exchange?;
                self.ended.get(&exchange)?;
                self.answers.iter().position(|arrival| {
                    let unreadable =
                        arrival.value.get("id").is_none_or(Value::is_null) || arrival.value.get("error").is_some();
                    unreadable && self.exchange_of(arrival.event) == Some(exchange)
                })
            })
    }
}
