//! Pings of the server: now and then, not all the time.

use super::conversation::{Conversation, Direction};
use super::{BreachAt, Context, Monitor, Observer};
use crate::jsonrpc::Shape;

pub(super) const MONITOR: Monitor = Monitor {
    name: "ping",
    summary: "a server that pings does not ping all the time",
    requirements: &["ping/server-ping-not-excessive", "ping/server-ping-periodic"],
    judge: observe,
};

/// As many pings within [`SHORT_US`] are more than one a second, even where a few come in a row at the start.
const MANY: usize = 5;
const SHORT_US: u64 = 3_000_000;

fn observe(conversation: &Conversation<'_>, _context: &Context<'_>, observer: &mut Observer<'_>) {
    let pings: Vec<usize> = conversation
        .messages()
        .iter()
        .filter(|message| message.direction == Direction::FromServer)
        .filter(|message| matches!(message.shape, Shape::Request { method, .. } if method == "ping"))
        .map(|message| message.event)
        .collect();
    let at = |event: usize| conversation.trace().events[event].at_us;
    let storm = pings
        .windows(MANY)
        .find(|pings| at(pings[MANY - 1]).saturating_sub(at(pings[0])) < SHORT_US);
    match (storm, pings.as_slice()) {
        (_, []) => {}
        (Some(storm), _) => {
            let within = at(storm[MANY - 1]).saturating_sub(at(storm[0])) / 1000;
            let message = format!("the server sent {MANY} pings within {within} ms");
            observer
                .broken(BreachAt::new("ping/server-ping-not-excessive", storm[MANY - 1], message).also(&storm[..1]));
        }
        (None, [first, rest @ ..]) => {
            observer.kept("ping/server-ping-not-excessive", *first);
            if !rest.is_empty() {
                observer.kept("ping/server-ping-periodic", *first);
            }
        }
    }
}
