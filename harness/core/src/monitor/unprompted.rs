//! In the stateless era a server only answers: it asks nothing by itself, and whatever it says belongs to a request of the client.

use super::conversation::{Conversation, Direction, Message};
use super::exchange::Exchange;
use super::stateless::subscription;
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope, quoted};
use crate::jsonrpc::Shape;
use crate::trace::{Channel, TransportKind};

pub(super) const MONITOR: Monitor = Monitor {
    name: "unprompted",
    scope: Scope::Stateless,
    over: EVERYWHERE,
    summary: "the server sends no requests, and nothing that belongs to no request of the client",
    requirements: &[
        "base-protocol/no-server-requests",
        "base-protocol/no-unprompted-traffic",
        "transport-stdio/notifications-scoped",
    ],
    judge: observe,
};

/// Notifications about which other rules say when they may come.
const OWNED: [&str; 8] = [
    "notifications/progress",
    "notifications/message",
    "notifications/cancelled",
    "notifications/tools/list_changed",
    "notifications/prompts/list_changed",
    "notifications/resources/list_changed",
    "notifications/resources/updated",
    "notifications/subscriptions/acknowledged",
];

fn observe(conversation: &Conversation<'_>, _context: &Context<'_>, observer: &mut Observer<'_>) {
    const SCOPED: &str = "transport-stdio/notifications-scoped";
    let messages = conversation.messages();
    let (exchanges, _) = conversation.exchanges(&messages);
    // Whoever has answered once has shown what it sends.
    let Some(answered) = exchanges
        .iter()
        .find_map(|exchange| exchange.answers.first())
        .map(|answer| answer.message.event)
    else {
        return;
    };
    let stdio = conversation.transport() == TransportKind::Stdio;
    let first = messages
        .iter()
        .find(|message| message.direction == Direction::ToServer)
        .map_or(usize::MAX, |message| message.event);
    let busy = Busy::of(&exchanges);
    observer.kept("base-protocol/no-server-requests", answered);
    observer.kept("base-protocol/no-unprompted-traffic", answered);
    if stdio {
        observer.kept(SCOPED, answered);
    }
    for message in messages
        .iter()
        .filter(|message| message.direction == Direction::FromServer)
    {
        let (method, is_request) = match message.shape {
            // One with an id is meant as a notification all the same.
            Shape::Request { method, .. } => (method, !method.starts_with("notifications/")),
            Shape::Notification { method, .. } => (method, false),
            _ => continue,
        };
        if is_request {
            let text = format!(
                "the server sent the request {}; in this revision it asks inside results only",
                quoted(method)
            );
            observer.broken(BreachAt::new("base-protocol/no-server-requests", message.event, text).about(method));
            continue;
        }
        let opened_by_get = conversation.frames()[message.frame].channel == Some(Channel::GetStream);
        if (stdio && message.event < first) || opened_by_get {
            let when = if opened_by_get {
                "on a stream that belongs to no request"
            } else {
                "before the client had said anything"
            };
            let text = format!("the server sent {} {when}", quoted(method));
            observer.broken(BreachAt::new("base-protocol/no-unprompted-traffic", message.event, text).about(method));
        } else if stdio && !OWNED.contains(&method.as_str()) && busy.is_orphan(message) {
            let text = format!(
                "the server sent {} while no request of the client was under way",
                quoted(method)
            );
            observer.broken(BreachAt::new(SCOPED, message.event, text).about(method));
        }
    }
}

/// When requests were under way.
struct Busy {
    /// The event of each request, and the last answer (or none, for ever) to it and those before it.
    spans: Vec<(usize, usize)>,
}

impl Busy {
    fn of(exchanges: &[Exchange<'_>]) -> Self {
        let mut until = 0;
        let spans = exchanges
            .iter()
            .map(|exchange| {
                let answered = exchange.answers.first();
                until = until.max(answered.map_or(usize::MAX, |answer| answer.message.event));
                (exchange.request.event, until)
            })
            .collect();
        Self { spans }
    }

    /// Whether a message belongs to nothing that was under way when it came. The id of a subscription that is over tells of something that has
    /// an owner; which one is judged there.
    fn is_orphan(&self, message: &Message<'_>) -> bool {
        let begun = self.spans.partition_point(|(request, _)| *request < message.event);
        let under_way = self.spans[..begun]
            .last()
            .is_some_and(|(_, until)| *until > message.event);
        subscription(message.value).is_none() && !under_way
    }
}
