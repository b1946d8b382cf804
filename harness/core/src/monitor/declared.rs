//! What both sides declared, and what the server asked of the client with what the client answered.

use serde_json::Value;

use super::conversation::{Conversation, Direction, Message};
use super::exchange::Exchange;
use super::stateless;
use crate::case::expectation::lookup;
use crate::jsonrpc::{IdToken, Shape};
use crate::revision::Era;

/// How long, in microseconds, something may have been on its way when its opposite was sent.
pub(super) const RACE_US: u64 = 200_000;

/// What the server declared: in the handshake, or in its answer to `server/discover`.
pub(super) struct Declared<'m> {
    pub(super) server: &'m Value,
    /// The event that brought it.
    pub(super) event: usize,
}

impl<'m> Declared<'m> {
    /// What was declared first.
    pub(super) fn of(exchanges: &[Exchange<'m>], era: Era) -> Option<Self> {
        let method = match era {
            Era::Stateful => "initialize",
            Era::Stateless => "server/discover",
        };
        exchanges.iter().find_map(|exchange| {
            let answer = exchange.answers.first().filter(|_| exchange.method == method)?;
            Some(Self {
                server: answer.message.value.pointer("/result/capabilities")?,
                event: answer.message.event,
            })
        })
    }

    /// Whether the server declared the capability, given as a dotted path.
    pub(super) fn declares(&self, path: &str) -> bool {
        lookup(self.server, path).is_some_and(|flag| *flag != Value::Bool(false))
    }

    /// Whether the server advertised the extension.
    pub(super) fn advertises(&self, extension: &str) -> bool {
        self.server
            .get("extensions")
            .and_then(|extensions| extensions.get(extension))
            .is_some()
    }
}

/// What the server asked: a request of its own, or one that is embedded in a result.
pub(super) struct Asked<'m> {
    pub(super) message: &'m Message<'m>,
    /// The id of a request of its own.
    pub(super) id: Option<&'m IdToken>,
    pub(super) method: &'m str,
    pub(super) params: &'m Value,
    /// The event of the client's answer.
    pub(super) answered: Option<usize>,
    /// What the client had declared, if that is known.
    pub(super) client: Option<&'m Value>,
}

impl Asked<'_> {
    /// Whether the client declared what the JSON pointer leads to.
    pub(super) fn client_has(&self, pointer: &str) -> bool {
        self.client.is_some_and(|client| client.pointer(pointer).is_some())
    }
}

/// Everything that the server asked of the client: requests of its own, and what its results embed, in order.
pub(super) fn questions<'m>(messages: &'m [Message<'m>], exchanges: &[Exchange<'m>]) -> Vec<Asked<'m>> {
    let handshake = exchanges.iter().find(|exchange| {
        let answer = exchange.answers.first();
        exchange.method == "initialize" && answer.is_some_and(|answer| answer.message.value.get("result").is_some())
    });
    let client = handshake.and_then(|exchange| exchange.request.value.pointer("/params/capabilities"));
    let mut all = asked(messages);
    for own in &mut all {
        own.client = client;
    }
    for exchange in exchanges {
        let client = stateless::capabilities(exchange.request.value);
        for answer in &exchange.answers {
            let result = answer.message.value.get("result").unwrap_or(&Value::Null);
            for (_, request) in stateless::input_requests(result) {
                let Some(method) = request.get("method").and_then(Value::as_str) else {
                    continue; // The schemas say so.
                };
                all.push(Asked {
                    message: answer.message,
                    id: None,
                    method,
                    params: request.get("params").unwrap_or(&Value::Null),
                    answered: None,
                    client,
                });
            }
        }
    }
    all.sort_by_key(|asked| asked.message.event);
    all
}

/// The requests that the server sent itself, in order.
pub(super) fn asked<'m>(messages: &'m [Message<'m>]) -> Vec<Asked<'m>> {
    let mut all: Vec<Asked<'m>> = Vec::new();
    for message in messages {
        match (message.direction, message.shape) {
            (Direction::FromServer, Shape::Request { id, method, .. }) => all.push(Asked {
                message,
                id: Some(id),
                method,
                params: message.value.get("params").unwrap_or(&Value::Null),
                answered: None,
                client: None,
            }),
            (Direction::ToServer, Shape::Response { id: Some(id) } | Shape::ErrorResponse { id: Some(id) }) => {
                let open = all
                    .iter_mut()
                    .rev()
                    .find(|asked| asked.answered.is_none() && asked.id.is_some_and(|own| own.same_value(id)));
                if let Some(asked) = open {
                    asked.answered = Some(message.event);
                }
            }
            _ => {}
        }
    }
    all
}

/// Notifications of the server with this method: the event, and the params.
pub(super) fn notified<'m>(
    messages: &'m [Message<'m>],
    wanted: &str,
) -> impl Iterator<Item = (&'m Message<'m>, &'m Value)> {
    let wanted = wanted.to_owned();
    messages.iter().filter_map(move |message| match message.shape {
        Shape::Notification { method, .. } if message.direction == Direction::FromServer && *method == wanted => {
            Some((message, message.value.get("params").unwrap_or(&Value::Null)))
        }
        _ => None,
    })
}

/// When an event happened, in microseconds.
pub(super) fn at(conversation: &Conversation<'_>, event: usize) -> u64 {
    conversation.trace().events.get(event).map_or(0, |event| event.at_us)
}

/// A second in the unit of traces.
pub(super) const SECOND_US: u64 = 1_000_000;

/// The most of these moments that lie within one second, and where the first such second begins in the list.
pub(super) fn busiest_second(moments: &[u64]) -> (usize, usize) {
    let mut most = (0, 0);
    let mut start = 0;
    for (index, moment) in moments.iter().enumerate() {
        while moment.saturating_sub(moments[start]) >= SECOND_US {
            start += 1;
        }
        if index - start + 1 > most.0 {
            most = (index - start + 1, start);
        }
    }
    most
}
