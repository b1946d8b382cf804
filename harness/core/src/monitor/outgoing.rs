//! The harness against itself: what we send as proper messages must be valid under our own schemas.
//!
//! A mistake found here is a bug of Touchstone, never a verdict on the server.

use serde_json::{Map, Value};

use super::Context;
use super::conversation::{Conversation, Direction};
use super::stateless;
use crate::jsonrpc::Shape;
use crate::revision::Era;
use crate::trace::Intent;

/// What is wrong with messages that the harness sent as proper ones, and which monitors have failed since this was asked last.
#[must_use]
pub fn own_mistakes(conversation: &Conversation<'_>, context: &Context<'_>) -> Vec<String> {
    let mut mistakes = super::FAILURES.take();
    let empty = Value::Object(Map::new());
    for frame in conversation
        .frames()
        .iter()
        .filter(|frame| frame.direction == Direction::ToServer)
    {
        if frame.intent == Some(Intent::Proper) && !matches!(frame.reading, crate::jsonrpc::Reading::Complete(_)) {
            mistakes.push(format!(
                "event {} of {} is no JSON",
                frame.event,
                conversation.trace_name()
            ));
        }
    }
    for message in conversation.messages() {
        let proper = conversation.frames()[message.frame].intent == Some(Intent::Proper);
        if message.direction != Direction::ToServer || !proper {
            continue;
        }
        // What a case says to a server of both eras after a handshake is written in a revision of the older one.
        let older = conversation.handshake().is_some_and(|agreed| agreed < message.event)
            && context.revision.era() == Era::Stateless
            && stateless::version(message.value).is_none();
        if older {
            continue;
        }
        let definition = match message.shape {
            Shape::Request { method, .. } => Some((method.as_str(), context.schemas.client_request_definition(method))),
            Shape::Notification { method, .. } => {
                Some((method.as_str(), context.schemas.client_notification_definition(method)))
            }
            Shape::NotAMessage(reason) => {
                mistakes.push(format!(
                    "event {} of {} is no message: {reason}",
                    message.event,
                    conversation.trace_name()
                ));
                None
            }
            _ => None,
        };
        // Methods that do not exist are sent on purpose, and are legal to ask for.
        let Some((method, Some(definition))) = definition else {
            continue;
        };
        let params = message.value.get("params").unwrap_or(&empty);
        for fault in context.schemas.check(definition, params).faults {
            let place = format!("event {} of {}", message.event, conversation.trace_name());
            mistakes.push(format!(
                "{place}: params of {method}, at {:?}: {}",
                fault.pointer, fault.message
            ));
        }
    }
    mistakes
}
