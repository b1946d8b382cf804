//! What both sides declared in the handshake, and requests of the server with what the client answered.

use serde_json::Value;

use super::conversation::{Conversation, Direction, Exchange, Message};
use crate::jsonrpc::{IdToken, Shape};

/// How long, in microseconds, something may have been on its way when its opposite was sent.
pub(super) const RACE_US: u64 = 200_000;

/// The capabilities of the handshake.
pub(super) struct Declared<'m> {
    pub(super) client: &'m Value,
    pub(super) server: &'m Value,
}

impl<'m> Declared<'m> {
    /// What was declared in the first handshake that succeeded.
    pub(super) fn of(exchanges: &[Exchange<'m>]) -> Option<Self> {
        exchanges.iter().find_map(|exchange| {
            let answer = exchange.answers.first().filter(|_| exchange.method == "initialize")?;
            Some(Self {
                client: exchange.request.value.pointer("/params/capabilities")?,
                server: answer.message.value.pointer("/result/capabilities")?,
            })
        })
    }

    /// Whether the client declared what the JSON pointer leads to.
    pub(super) fn client_has(&self, pointer: &str) -> bool {
        self.client.pointer(pointer).is_some()
    }
}

/// A request of the server.
pub(super) struct Asked<'m> {
    pub(super) message: &'m Message<'m>,
    pub(super) id: &'m IdToken,
    pub(super) method: &'m str,
    pub(super) params: &'m Value,
    /// The event of the client's answer.
    pub(super) answered: Option<usize>,
}

/// All requests of the server, in order.
pub(super) fn asked<'m>(messages: &'m [Message<'m>]) -> Vec<Asked<'m>> {
    let mut all: Vec<Asked<'m>> = Vec::new();
    for message in messages {
        match (message.direction, message.shape) {
            (Direction::FromServer, Shape::Request { id, method, .. }) => all.push(Asked {
                message,
                id,
                method,
                params: message.value.get("params").unwrap_or(&Value::Null),
                answered: None,
            }),
            (Direction::ToServer, Shape::Response { id: Some(id) } | Shape::ErrorResponse { id: Some(id) }) => {
                let open = all
                    .iter_mut()
                    .rev()
                    .find(|asked| asked.id.same_value(id) && asked.answered.is_none());
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

/// The most of these moments that lie within one second, and where the first such second begins in the list.
pub(super) fn busiest_second(moments: &[u64]) -> (usize, usize) {
    let mut most = (0, 0);
    let mut start = 0;
    for (index, moment) in moments.iter().enumerate() {
        while moment.saturating_sub(moments[start]) >= 1_000_000 {
            start += 1;
        }
        if index - start + 1 > most.0 {
            most = (index - start + 1, start);
        }
    }
    most
}
