//! Credentials where they do not belong: tokens in what a server says, and challenges of HTTP over stdio.

use super::conversation::{Conversation, Direction};
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope, quoted};
use crate::jsonrpc::Shape;
use crate::trace::{EventKind, REPEATED_SECRET, TransportKind};

pub(super) const MONITOR: Monitor = Monitor {
    name: "credential",
    scope: Scope::Wire,
    over: EVERYWHERE,
    summary: "the client's token is not repeated, and over stdio nobody is asked for one",
    requirements: &[
        "authorization/token-not-echoed",
        "authorization/stdio-credentials-from-environment",
    ],
    judge: observe,
};

fn observe(conversation: &Conversation<'_>, _context: &Context<'_>, observer: &mut Observer<'_>) {
    match conversation.transport() {
        TransportKind::Stdio => challenges(conversation, observer),
        TransportKind::StreamableHttp => echoes(conversation, observer),
        TransportKind::HttpSse => {}
    }
}

/// Whether the token came back in an answer. Whoever records the trace has put a mark in its place.
fn echoes(conversation: &Conversation<'_>, observer: &mut Observer<'_>) {
    const REQUIREMENT: &str = "authorization/token-not-echoed";
    let mut answered = None;
    let mut sent = false;
    let mut echoed = false;
    for (index, event) in conversation.trace().events.iter().enumerate() {
        let place = match &event.kind {
            EventKind::HttpRequest { headers, .. } => {
                sent |= headers
                    .iter()
                    .any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
                continue;
            }
            EventKind::HttpResponse { headers, .. } => {
                answered = Some(index);
                let field = headers.iter().find(|(_, value)| value.contains(REPEATED_SECRET));
                field.map(|(name, _)| format!("in the field {}", quoted(name)))
            }
            EventKind::Received { payload, .. } | EventKind::HttpBody { payload, .. } => payload
                .text()
                .contains(REPEATED_SECRET)
                .then(|| "in the body of an answer".to_owned()),
            EventKind::StreamEvent { data, .. } => data
                .text()
                .contains(REPEATED_SECRET)
                .then(|| "in an event of a stream".to_owned()),
            _ => None,
        };
        if let Some(place) = place {
            echoed = true;
            let message = format!("the server repeated the token of the client {place}");
            observer.broken(BreachAt::new(REQUIREMENT, index, message));
        }
    }
    if let Some(event) = answered.filter(|_| sent && !echoed) {
        observer.kept(REQUIREMENT, event);
    }
}

/// Whether a server over stdio refuses requests as a protected resource does over HTTP, instead of taking what it needs from its environment.
fn challenges(conversation: &Conversation<'_>, observer: &mut Observer<'_>) {
    const REQUIREMENT: &str = "authorization/stdio-credentials-from-environment";
    const MARKS: [&str; 3] = ["www-authenticate", "bearer realm=", "resource_metadata="];
    let mut served = None;
    let mut challenged = false;
    for message in conversation.messages() {
        match (message.direction, message.shape) {
            (Direction::FromServer, Shape::Response { .. }) => served = Some(message.event),
            (Direction::FromServer, Shape::ErrorResponse { .. }) => {
                let text = message.value["error"].to_string().to_lowercase();
                if let Some(mark) = MARKS.into_iter().find(|mark| text.contains(mark)) {
                    challenged = true;
                    let message_text = format!(
                        "an error holds {}, a challenge of HTTP; over stdio credentials come from the environment",
                        quoted(mark)
                    );
                    observer.broken(BreachAt::new(REQUIREMENT, message.event, message_text));
                }
            }
            _ => {}
        }
    }
    if let Some(event) = served.filter(|_| !challenged) {
        observer.kept(REQUIREMENT, event);
    }
}
