//! Pings in both directions: answered while something else takes its time, and not sent too often.

use super::conversation::{Conversation, Message};
use super::declared::{asked, at, busiest_second, notified};
use super::exchange::Exchange;
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope};
use crate::spec::requirement::Severity;

pub(super) const MONITOR: Monitor = Monitor {
    name: "ping",
    scope: Scope::Stateful,
    over: EVERYWHERE,
    summary: "a ping is answered while another request takes its time; the server does not ping too often",
    requirements: &[
        "ping/during-long-request",
        "ping/server-ping-not-excessive",
        "ping/server-ping-periodic",
    ],
    judge: observe,
};

/// How long, in microseconds, a request must go on, once it is seen to be under way, to count as a long one.
const LONG_US: u64 = 200_000;

/// The first progress of a request: without any, a server that is late may have read the request and the ping only just now.
fn under_way(messages: &[Message<'_>], request: &Exchange<'_>) -> Option<usize> {
    let token = request.request.value.pointer("/params/_meta/progressToken")?;
    let mut reports = notified(messages, "notifications/progress");
    let own = reports
        .find(|(report, params)| report.event > request.request.event && params.get("progressToken") == Some(token));
    own.map(|(report, _)| report.event)
}

fn observe(conversation: &Conversation<'_>, _context: &Context<'_>, observer: &mut Observer<'_>) {
    let messages = conversation.messages();
    let (exchanges, _) = conversation.exchanges(&messages);
    let pings = exchanges.iter().filter(|exchange| exchange.method == "ping");
    for ping in pings {
        let Some(pong) = ping.answers.first().map(|answer| answer.message.event) else {
            continue;
        };
        let (sent, answered) = (ping.request.event, at(conversation, pong));
        for long in exchanges
            .iter()
            .filter(|exchange| exchange.method == "tools/call" && exchange.request.event < sent)
        {
            let Some(done) = long
                .answers
                .first()
                .map(|answer| answer.message.event)
                .filter(|done| *done > sent)
            else {
                continue;
            };
            let remaining = |since: usize| at(conversation, done).saturating_sub(at(conversation, since));
            if remaining(sent) < LONG_US {
                continue;
            }
            if answered < at(conversation, done) {
                observer.kept("ping/during-long-request", pong);
            } else if under_way(&messages, long).is_some_and(|seen| remaining(seen.max(sent)) >= LONG_US) {
                let text = "a ping was answered only when another request was done";
                // That follows from "promptly", and is said nowhere.
                let breach = BreachAt::new("ping/during-long-request", pong, text).at_most(Severity::Warn);
                observer.broken(breach.also(&[sent, long.request.event, done]));
            }
        }
    }
    let server_pings: Vec<usize> = asked(&messages)
        .iter()
        .filter(|asked| asked.method == "ping")
        .map(|asked| asked.message.event)
        .collect();
    let Some(first) = server_pings.first() else { return };
    observer.kept("ping/server-ping-periodic", *first);
    // One that belongs to a request of ours, such as a tool that pings, is no sign of life that nobody asked for.
    let idle = |event: usize| {
        !exchanges.iter().any(|exchange| {
            let done = exchange.answers.first().map(|answer| answer.message.event);
            exchange.request.event < event && done.is_none_or(|done| done > event)
        })
    };
    let unasked: Vec<usize> = server_pings.iter().copied().filter(|event| idle(*event)).collect();
    let moments: Vec<u64> = unasked.iter().map(|event| at(conversation, *event)).collect();
    let (most, start) = busiest_second(&moments);
    // Two may lie in a second when one comes every second.
    if most > 2 {
        let text = format!("the server sent {most} pings within a second to a client that was doing nothing");
        observer.broken(BreachAt::new("ping/server-ping-not-excessive", unasked[start], text));
    } else {
        observer.kept("ping/server-ping-not-excessive", *first);
    }
}
