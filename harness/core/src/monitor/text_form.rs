//! JSON texts of the server that readers understand differently: names that occur twice, halves of surrogate pairs.

use super::conversation::{Conversation, Direction};
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope, quoted};
use crate::jsonrpc::{self, Document, Oddity, Reading};
use crate::trace::EventKind;

pub(super) const MONITOR: Monitor = Monitor {
    name: "text-form",
    scope: Scope::Wire,
    over: EVERYWHERE,
    summary: "no object has a member twice, and no string holds half of a surrogate pair",
    requirements: &[
        "schema/duplicate-members-out",
        "schema/strings-not-lone-surrogates",
        "mrtr/input-requests-keys-unique",
    ],
    judge: observe,
};

fn observe(conversation: &Conversation<'_>, _context: &Context<'_>, observer: &mut Observer<'_>) {
    for frame in conversation.frames() {
        let Reading::Complete(document) = &frame.reading else {
            continue;
        };
        if frame.direction == Direction::ToServer {
            continue;
        }
        let event = frame.event;
        let keys = keys_of_input_requests(conversation, event, document);
        let twice_asked = keys.as_ref().and_then(|keys| repeated(keys));
        if let Some(key) = twice_asked {
            let text = format!("inputRequests has the key {} twice", quoted(key));
            observer.broken(BreachAt::new("mrtr/input-requests-keys-unique", event, text));
        } else if keys.as_ref().is_some_and(|keys| !keys.is_empty()) {
            observer.kept("mrtr/input-requests-keys-unique", event);
        }
        let duplicate = document.oddities.iter().find_map(|oddity| match oddity {
            Oddity::DuplicateName(name) => Some(name.as_str()),
            _ => None,
        });
        match duplicate {
            // That has a rule of its own.
            Some(name) if twice_asked == Some(name) => {}
            Some(name) => {
                let text = format!("an object has the member {} twice", quoted(name));
                observer.broken(BreachAt::new("schema/duplicate-members-out", event, text).about(name));
            }
            None => observer.kept("schema/duplicate-members-out", event),
        }
        if document.oddities.contains(&Oddity::LoneSurrogate) {
            let text = "a string holds half of a surrogate pair, which is no character";
            observer.broken(BreachAt::new("schema/strings-not-lone-surrogates", event, text));
        } else {
            observer.kept("schema/strings-not-lone-surrogates", event);
        }
    }
}

/// The keys of the input requests in a result, as they were written.
fn keys_of_input_requests(conversation: &Conversation<'_>, event: usize, document: &Document) -> Option<Vec<String>> {
    document.value.as_ref()?.pointer("/result/inputRequests")?.as_object()?;
    let EventKind::Received { payload, .. } = &conversation.trace().events[event].kind else {
        return None;
    };
    let limits = jsonrpc::Limits::default();
    let mut bytes = payload.bytes();
    for name in ["result", "inputRequests"] {
        let Reading::Complete(outer) = jsonrpc::read(bytes, &limits) else {
            return None;
        };
        let place = outer.members.iter().rfind(|member| member.name == name)?.value.clone();
        bytes = bytes.get(place)?;
    }
    let Reading::Complete(requests) = jsonrpc::read(bytes, &limits) else {
        return None;
    };
    Some(requests.members.into_iter().map(|member| member.name).collect())
}

fn repeated(keys: &[String]) -> Option<&str> {
    let twice = keys.iter().enumerate().find(|(at, key)| keys[..*at].contains(key));
    twice.map(|(_, key)| key.as_str())
}
