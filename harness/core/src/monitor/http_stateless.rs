//! What answers of the stateless era over Streamable HTTP carry beside the message: no sessions, no ids to resume from.

use super::conversation::Conversation;
use super::http_exchange::HttpExchange;
use super::{BreachAt, Context, Monitor, Observer, STREAMABLE, Scope, quoted};
use crate::trace::{EventKind, TransportKind};

pub(super) const MONITOR: Monitor = Monitor {
    name: "http-stateless",
    scope: Scope::Stateless,
    over: STREAMABLE,
    summary: "answers open no sessions, streams have no event ids and are not to be buffered",
    requirements: &[
        "transport-streamable-http/session-id-not-minted",
        "transport-streamable-http/no-sse-event-ids",
        "transport-streamable-http/x-accel-buffering",
        "transport-streamable-http/keepalive-comments",
    ],
    judge: observe,
};

fn observe(conversation: &Conversation<'_>, context: &Context<'_>, observer: &mut Observer<'_>) {
    if conversation.transport() != TransportKind::StreamableHttp {
        return;
    }
    let exchanges = HttpExchange::all(conversation);
    let own: Vec<&HttpExchange<'_>> = exchanges
        .iter()
        .filter(|exchange| exchange.method == "POST" && exchange.request_field("mcp-session-id").is_none())
        .filter(|exchange| exchange.request_field("mcp-protocol-version") == Some(context.revision.as_str()))
        .collect();
    for exchange in &own {
        let Some(head) = &exchange.response else { continue };
        session(observer, exchange, head.event);
        if exchange.is_stream() && !exchange.request_ids().is_empty() {
            stream(observer, exchange, head.event);
        }
    }
    for (event, kind) in conversation.trace().events.iter().map(|event| &event.kind).enumerate() {
        if let EventKind::StreamComment { exchange, .. } = kind
            && own.iter().any(|own| own.number == *exchange)
        {
            observer.kept("transport-streamable-http/keepalive-comments", event);
        }
    }
}

fn session(observer: &mut Observer<'_>, exchange: &HttpExchange<'_>, event: usize) {
    const REQUIREMENT: &str = "transport-streamable-http/session-id-not-minted";
    match exchange.response_field("mcp-session-id") {
        None => observer.kept(REQUIREMENT, event),
        Some(id) => {
            let text = format!(
                "the answer carries the session id {}; this revision has no sessions",
                quoted(id)
            );
            observer.broken(BreachAt::new(REQUIREMENT, event, text).also(&[exchange.request]));
        }
    }
}

fn stream(observer: &mut Observer<'_>, exchange: &HttpExchange<'_>, event: usize) {
    const IDS: &str = "transport-streamable-http/no-sse-event-ids";
    const BUFFERING: &str = "transport-streamable-http/x-accel-buffering";
    match exchange.event_ids().next() {
        None => observer.kept(IDS, event),
        Some((event, id)) => {
            let text = format!(
                "an event of a stream has the id {}; streams of this revision cannot be resumed",
                quoted(id)
            );
            observer.broken(BreachAt::new(IDS, event, text).also(&[exchange.request]));
        }
    }
    match exchange.response_field("x-accel-buffering") {
        Some(value) if value.trim().eq_ignore_ascii_case("no") => observer.kept(BUFFERING, event),
        found => {
            let found = found.map_or_else(|| "not there".to_owned(), quoted);
            let text = format!(
                "the header field X-Accel-Buffering of an event stream is {found}; with `no` proxies pass events on at once"
            );
            observer.broken(BreachAt::new(BUFFERING, event, text).also(&[exchange.request]));
        }
    }
}
