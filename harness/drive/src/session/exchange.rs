//! What became of the HTTP exchanges of a session: how far they went, whether they brought what they should, and how a stream that broke off
//! is taken up again.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use touchstone_core::jsonrpc;
use touchstone_core::trace::EventKind;

use super::{Answer, Pending, Session};
use crate::tap::Tap;
use crate::transport::Connection;

/// The end of an HTTP exchange.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) failure: Option<String>,
    pub(super) at: Instant,
}

/// How far an HTTP exchange is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// To its end.
    End,
    /// To the head of the response.
    Head,
    /// To the first event of its stream.
    Event,
}

/// How often a stream that ended without the answer is asked for what is missing.
const MOST_RESUMPTIONS: usize = 5;
/// Longest pause before that which a server can ask for.
const LONGEST_RETRY: Duration = Duration::from_secs(1);
/// How often a stream is looked at whose events bring no message.
const GLANCE: Duration = Duration::from_millis(5);

impl Session {
    /// The HTTP status with which an exchange was answered, if it is known.
    #[must_use]
    pub fn exchange_status(&self, exchange: u32) -> Option<u16> {
        self.statuses.get(&exchange).copied()
    }

    /// Follows an HTTP exchange as far as wanted. False when it did not come so far in time.
    pub async fn follow_exchange(&mut self, exchange: u32, until: Until, within: Option<Duration>) -> bool {
        let deadline = Instant::now() + within.unwrap_or(self.limits.request);
        loop {
            let enough = self.ended.contains_key(&exchange)
                || match until {
                    Until::End => false,
                    Until::Head => self.statuses.contains_key(&exchange),
                    Until::Event => self.has_event(exchange),
                };
            if enough || self.closed.is_some() {
                return enough;
            }
            // Events that bring no message wake nobody.
            let next = if until == Until::Event {
                deadline.min(Instant::now() + GLANCE)
            } else {
                deadline
            };
            if !self.pump(next).await && Instant::now() >= deadline {
                return false;
            }
        }
    }

    /// The answer that an exchange brought, taken out of those that wait; `None` when it brought none.
    pub fn answer_of_exchange(&mut self, exchange: u32) -> Option<Answer> {
        let position = self
            .answers
            .iter()
            .position(|arrival| self.exchange_of(arrival.event) == Some(exchange))?;
        let arrival = self.answers.remove(position);
        let status = self.exchange_status(exchange);
        Some(Answer::of_message(arrival.value, Some(arrival.event), status))
    }

    pub(super) fn has_event(&self, exchange: u32) -> bool {
        self.tap.read(|trace| {
            trace.events.iter().rev().any(|event| match &event.kind {
                EventKind::StreamEvent { exchange: other, .. } => *other == exchange,
                EventKind::Received { exchange: other, .. } => *other == Some(exchange),
                _ => false,
            })
        })
    }

    /// Whether the request of an exchange carried a session id.
    #[must_use]
    pub fn in_session(&self, exchange: u32) -> bool {
        self.tap.read(|trace| {
            trace.events.iter().any(|event| match &event.kind {
                EventKind::HttpRequest {
                    exchange: found,
                    headers,
                    ..
                } if *found == exchange => headers
                    .iter()
                    .any(|(name, _)| name.eq_ignore_ascii_case("mcp-session-id")),
                _ => false,
            })
        })
    }

    /// The body of an exchange that brought no message, as JSON when it is some.
    #[must_use]
    pub fn document(&self, exchange: u32) -> Option<Value> {
        let body = self.tap.read(|trace| {
            trace.events.iter().find_map(|event| match &event.kind {
                EventKind::HttpBody {
                    exchange: found,
                    payload,
                } if *found == exchange => Some(payload.clone()),
                _ => None,
            })
        });
        jsonrpc::value(body?.bytes())
    }

    pub(super) fn exchange_of(&self, event: usize) -> Option<u32> {
        self.tap
            .read(|trace| match trace.events.get(event).map(|event| &event.kind) {
                Some(EventKind::Received { exchange, .. }) => *exchange,
                _ => None,
            })
    }

    /// Whether the HTTP exchange of a request is over without an answer in sight, and why it failed. An exchange that ends with a 2xx status
    /// may be answered on another stream (HTTP+SSE always does), so only a refusal or a failure ends the wait.
    pub(super) fn exchange_over(&self, pending: &Pending) -> Option<Option<String>> {
        let exchange = pending.sent.exchange?;
        let failure = &self.ended.get(&exchange)?.failure;
        let refused = self.statuses.get(&exchange).is_none_or(|status| *status >= 300);
        (refused || failure.is_some()).then(|| failure.clone())
    }

    /// The Streamable HTTP exchange that should have brought the answer to a request, and ended in good order without it.
    pub(super) fn broke_off(&self, pending: &Pending) -> Option<u32> {
        if !matches!(self.connection, Connection::StreamableHttp(_)) {
            return None;
        }
        let mut exchange = pending.sent.exchange?;
        while let Some(next) = self.resumed.get(&exchange) {
            exchange = *next;
        }
        self.ended.contains_key(&exchange).then_some(exchange)
    }

    /// Asks for what is missing of a stream that ended without the answer. False when the stream gave no event id to come back with.
    pub(super) async fn resume(&mut self, exchange: u32) -> bool {
        if self.resumed.len() >= MOST_RESUMPTIONS {
            return false;
        }
        let (id, retry) = self.tap.read(|trace| {
            let mut last = (None, None);
            for event in &trace.events {
                match &event.kind {
                    EventKind::StreamEvent {
                        exchange: other,
                        id,
                        retry,
                        ..
                    }
                    | EventKind::StreamEventFields {
                        exchange: other,
                        id,
                        retry,
                        ..
                    } if *other == exchange => {
                        last = (id.clone().or(last.0), retry.or(last.1));
                    }
                    _ => {}
                }
            }
            last
        });
        let (Some(id), Connection::StreamableHttp(connection)) = (id, &mut self.connection) else {
            return false;
        };
        tokio::time::sleep(Duration::from_millis(retry.unwrap_or(0)).min(LONGEST_RETRY)).await;
        match connection.open_stream(Some(&id)) {
            Ok(next) => self.resumed.insert(exchange, next).is_none(),
            Err(_) => false,
        }
    }

    pub(super) fn status(&self, pending: &Pending) -> Option<u16> {
        self.statuses.get(&pending.sent.exchange?).copied()
    }

    /// A 404 that says nothing of the request itself is how a server tells that a session is over (Streamable HTTP, Session Management): what
    /// goes on in it would only show the same again.
    pub(super) fn notice_lost_session(&mut self, pending: &Pending) {
        let in_session = self
            .connection
            .address()
            .is_some_and(|address| address.session.is_some());
        if in_session && self.status(pending) == Some(404) {
            self.closed
                .get_or_insert_with(|| "the server no longer knows the session: it answers 404".to_owned());
        }
    }
}

/// Leaves a mark in the trace that an exchange never ended.
pub(super) fn exchange_never_ended(tap: &Tap, exchange: u32) {
    tap.record(EventKind::LimitReached {
        limit: format!("time for the HTTP exchange {exchange} to end"),
    });
}
