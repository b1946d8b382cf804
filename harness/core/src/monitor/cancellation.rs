//! Cancellations of both sides: what is cancelled is not answered any more, and the server cancels only what it asked itself.

use serde_json::Value;

use super::conversation::{Conversation, Direction, Message};
use super::declared::{RACE_US, asked, at, notified};
use super::exchange::Exchange;
use super::http_exchange::HttpExchange;
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope, quoted};
use crate::jsonrpc::Shape;
use crate::revision::Era;
use crate::spec::requirement::Severity;
use crate::trace::{EventKind, TransportKind};

pub(super) const MONITOR: Monitor = Monitor {
    name: "cancellation",
    scope: Scope::Either,
    over: EVERYWHERE,
    summary: "a cancelled request gets no late answer and no further progress; the server cancels only open requests of its own",
    requirements: &[
        "cancellation/no-response-after-cancel",
        "cancellation/stops-processing",
        "cancellation/no-further-messages",
        "cancellation/server-cancel-own-request",
        "cancellation/not-for-tasks",
    ],
    judge: observe,
};

/// How long, in microseconds, a request must have been under way for an error to be the answer to its cancellation.
const SETTLED_US: u64 = 100_000;
/// How long a request must have been under way for its cancellation not to have overtaken it, where nothing else shows that it had arrived.
const ARRIVED_US: u64 = 1_000_000;
/// How long what the server was about to send may take, once it is known to have read the cancellation.
const CROSSED_US: u64 = 100_000;

fn observe(conversation: &Conversation<'_>, context: &Context<'_>, observer: &mut Observer<'_>) {
    let messages = conversation.messages();
    let (exchanges, _) = conversation.exchanges(&messages);
    let stateless = context.revision.era() == Era::Stateless;
    // Over HTTP the notification does nothing there: the end of the stream is what cancels.
    let in_force = !stateless || conversation.transport() == TransportKind::Stdio;
    for message in messages.iter().filter(|_| in_force) {
        let (Direction::ToServer, Shape::Notification { method, .. }) = (message.direction, message.shape) else {
            continue;
        };
        let id = message.value.pointer("/params/requestId").map(Value::to_string);
        if method != "notifications/cancelled" || conversation.illegal_at(message.event) {
            continue;
        }
        let cancelled = exchanges
            .iter()
            .rfind(|exchange| exchange.request.event < message.event && Some(exchange.id.to_string()) == id)
            // What becomes of a subscription is judged with the subscriptions.
            .filter(|exchange| exchange.method != "subscriptions/listen");
        if let Some(exchange) = cancelled {
            let cancellation = Cancellation {
                event: message.event,
                read: read(conversation, &exchanges, message),
                ends_messages: stateless,
            };
            withdrawn(conversation, observer, exchange, &cancellation, &messages);
        }
    }
    own(conversation, observer, &messages);
}

/// A cancellation that the harness sent.
struct Cancellation {
    event: usize,
    /// The event that shows that the server has read it.
    read: Option<usize>,
    /// Whether nothing may come any more that is about the request.
    ends_messages: bool,
}

/// The event that shows that the server has read a message: the answer to a request that was sent later, over HTTP after the server had
/// accepted the message. How long something took is no such sign: the machine may be busy.
fn read(conversation: &Conversation<'_>, exchanges: &[Exchange<'_>], message: &Message<'_>) -> Option<usize> {
    let sent =
        match conversation.frames()[message.frame].exchange {
            None => message.event,
            Some(carrier) => conversation.trace().events.iter().position(
                |event| matches!(event.kind, EventKind::HttpResponse { exchange, .. } if exchange == carrier),
            )?,
        };
    let later = exchanges.iter().filter(|exchange| exchange.request.event > sent);
    later
        .filter_map(|exchange| Some(exchange.answers.first()?.message.event))
        .min()
}

/// What still came of a request that was cancelled.
fn withdrawn(
    conversation: &Conversation<'_>,
    observer: &mut Observer<'_>,
    exchange: &Exchange<'_>,
    cancellation: &Cancellation,
    messages: &[Message<'_>],
) {
    let cancelled = cancellation.event;
    // Without sessions a server can hardly know whose request is meant.
    let stoppable = if has_no_session(conversation) {
        Severity::Info
    } else {
        Severity::Fail
    };
    let since = |event: usize| at(conversation, event).saturating_sub(at(conversation, cancelled));
    let is_late = |event: usize| {
        let read = cancellation.read.filter(|read| *read < event);
        read.is_some_and(|read| at(conversation, event).saturating_sub(at(conversation, read)) > CROSSED_US)
    };
    let answer = exchange.answers.first().map(|answer| answer.message.event);
    if answer.is_some_and(|answer| answer < cancelled) {
        return; // It was over already.
    }
    let refused = exchange
        .answers
        .first()
        .is_some_and(|answer| answer.message.value.get("error").is_some());
    // Over HTTP a cancellation may overtake its request; then the server has never heard of what it cancels.
    let heard = notified(messages, "notifications/progress").any(|(message, params)| {
        let token = exchange.request.value.pointer("/params/_meta/progressToken");
        token.is_some() && params.get("progressToken") == token && message.event < cancelled
    });
    let age = at(conversation, cancelled).saturating_sub(at(conversation, exchange.request.event));
    let arrived = heard || age > ARRIVED_US || conversation.transport() == TransportKind::Stdio;
    let waited = exchange.gave_up.is_some_and(|gave_up| since(gave_up) > RACE_US);
    match answer {
        Some(answer) if refused && (heard || age > SETTLED_US) => {
            let text = format!(
                "the cancellation of {} was answered with an error; nothing is due",
                exchange.method
            );
            let breach = BreachAt::new("cancellation/no-response-after-cancel", answer, text);
            observer.broken(breach.also(&[exchange.request.event, cancelled]));
        }
        Some(answer) if is_late(answer) && arrived => {
            let text = format!("{} was answered although it had been cancelled before", exchange.method);
            // Whoever cannot stop a request may ignore its cancellation.
            let breach = BreachAt::new("cancellation/no-response-after-cancel", answer, text)
                .at_most(stoppable.min(Severity::Warn));
            observer.broken(breach.also(&[exchange.request.event, cancelled]));
        }
        // It may have been on its way when the server read the cancellation.
        Some(_) => {}
        None if waited => observer.kept("cancellation/no-response-after-cancel", cancelled),
        None => {}
    }
    let Some(token) = exchange.request.value.pointer("/params/_meta/progressToken") else {
        return;
    };
    let progress: Vec<usize> = notified(messages, "notifications/progress")
        .filter(|(_, params)| params.get("progressToken") == Some(token))
        .map(|(message, _)| message.event)
        .filter(|event| *event > exchange.request.event)
        .collect();
    let late = progress.iter().find(|event| is_late(**event));
    // Where there is a rule about messages, the one about the work behind them steps aside.
    let requirement = if cancellation.ends_messages {
        "cancellation/no-further-messages"
    } else {
        "cancellation/stops-processing"
    };
    if let Some(late) = late {
        let text = format!(
            "{} went on reporting progress after it had been cancelled",
            exchange.method
        );
        let breach = BreachAt::new(requirement, *late, text);
        observer.broken(breach.also(&[cancelled]).at_most(stoppable));
    } else if waited && progress.iter().any(|event| *event < cancelled) {
        observer.kept("cancellation/stops-processing", cancelled);
        observer.kept("cancellation/no-further-messages", cancelled);
    }
}

/// Whether no request of the client belongs to a session.
fn has_no_session(conversation: &Conversation<'_>) -> bool {
    conversation.transport() == TransportKind::StreamableHttp
        && HttpExchange::all(conversation)
            .iter()
            .all(|exchange| exchange.session().is_none())
}

/// Cancellations that the server sent.
fn own(conversation: &Conversation<'_>, observer: &mut Observer<'_>, messages: &[Message<'_>]) {
    let questions = asked(messages);
    for (message, params) in notified(messages, "notifications/cancelled") {
        let Some(id) = params.get("requestId").filter(|id| id.is_string() || id.is_number()) else {
            continue; // The schemas say so.
        };
        let id = id.to_string();
        let question = questions
            .iter()
            .rfind(|asked| asked.message.event < message.event && asked.id.is_some_and(|own| own.to_string() == id));
        match question {
            None => {
                let text = format!("the server cancelled {}, which is no request of its own", quoted(&id));
                observer.broken(BreachAt::new(
                    "cancellation/server-cancel-own-request",
                    message.event,
                    text,
                ));
            }
            Some(question) => {
                let answered = question.answered.filter(|answered| *answered < message.event);
                match answered {
                    Some(answered) => {
                        let late = at(conversation, message.event).saturating_sub(at(conversation, answered)) > RACE_US;
                        // An answer may have crossed with the cancellation.
                        if late {
                            let text = format!("the server cancelled its {} after it was answered", question.method);
                            let breach = BreachAt::new("cancellation/server-cancel-own-request", message.event, text);
                            observer.broken(breach.also(&[answered]));
                        }
                    }
                    None => observer.kept("cancellation/server-cancel-own-request", message.event),
                }
                if question.params.get("task").is_some() {
                    let text = "the server cancelled a task by notifications/cancelled instead of tasks/cancel";
                    observer.broken(BreachAt::new("cancellation/not-for-tasks", message.event, text));
                }
            }
        }
    }
}
