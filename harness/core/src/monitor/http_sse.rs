//! HTTP+SSE of 2024-11-05: the endpoint event, and which way messages take.

use super::conversation::Conversation;
use super::http_exchange::{HttpExchange, Item, responses};
use super::{BreachAt, Context, HTTP_SSE, Monitor, Observer, Scope, quoted};
use crate::spec::requirement::Severity;
use crate::trace::TransportKind;

pub(super) const MONITOR: Monitor = Monitor {
    name: "http-sse",
    scope: Scope::Stateful,
    over: HTTP_SSE,
    summary: "over HTTP+SSE the stream names the endpoint first, and responses come on the stream",
    requirements: &[
        "transport-http-sse/sse-endpoint",
        "transport-http-sse/endpoint-event",
        "transport-http-sse/endpoint-event-first",
        "transport-http-sse/endpoint-uri-resolvable",
        "transport-http-sse/post-endpoint",
        "transport-http-sse/responses-on-stream",
        "transport-http-sse/post-status",
    ],
    judge: observe,
};

/// How long the endpoint event may take, in microseconds.
const PROMPT_US: u64 = 1_500_000;

fn observe(conversation: &Conversation<'_>, _context: &Context<'_>, observer: &mut Observer<'_>) {
    if conversation.transport() != TransportKind::HttpSse {
        return;
    }
    for exchange in HttpExchange::all(conversation) {
        if conversation.illegal_at(exchange.request) {
            continue;
        }
        if exchange.method == "GET" && exchange.is_stream() {
            stream(conversation, observer, &exchange);
        }
        if exchange.method == "POST" && exchange.is_proper() {
            post(observer, &exchange);
        }
    }
}

fn stream(conversation: &Conversation<'_>, observer: &mut Observer<'_>, exchange: &HttpExchange<'_>) {
    let opened = exchange.response.as_ref().map_or(exchange.request, |head| head.event);
    observer.kept("transport-http-sse/sse-endpoint", opened);
    for frame in exchange.messages() {
        if !responses(frame).is_empty() {
            observer.kept("transport-http-sse/responses-on-stream", frame.event);
        }
    }
    let mut before = None;
    for item in &exchange.items {
        match item {
            Item::Event {
                event,
                name: Some("endpoint"),
                data,
                ..
            } if !data.is_empty() => {
                observer.kept("transport-http-sse/endpoint-event", *event);
                match before {
                    None => observer.kept("transport-http-sse/endpoint-event-first", *event),
                    Some(earlier) => {
                        let message = "another event came before the endpoint event, which clients expect first";
                        let breach = BreachAt::new("transport-http-sse/endpoint-event-first", earlier, message);
                        observer.broken(breach.also(&[*event]));
                    }
                }
                endpoint(observer, exchange, *event, data);
                return;
            }
            Item::Event { event, .. } => before = before.or(Some(*event)),
            Item::Message { frame, .. } => before = before.or(Some(frame.event)),
            Item::Oddity { .. } => {}
        }
    }
    let events = &conversation.trace().events;
    let end = exchange.ended.map_or(events.len() - 1, |(end, _)| end);
    if before.is_some() || exchange.ended_well() || events[end].at_us.saturating_sub(events[opened].at_us) > PROMPT_US {
        let message = "the stream brought no endpoint event, so that clients do not know where to post messages";
        let breach = BreachAt::new("transport-http-sse/endpoint-event", end, message);
        observer.broken(breach.also(&[exchange.request]));
    }
}

/// The data of an endpoint event: a URI or the reference of one, best on the same origin.
fn endpoint(observer: &mut Observer<'_>, exchange: &HttpExchange<'_>, event: usize, data: &[u8]) {
    const REQUIREMENT: &str = "transport-http-sse/endpoint-uri-resolvable";
    let text = String::from_utf8_lossy(data);
    let shown = quoted(&text);
    let allowed = |byte: &u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(byte);
    if !data.iter().all(allowed) {
        let message = format!("the endpoint event names {shown}, which is no URI");
        observer.broken(BreachAt::new(REQUIREMENT, event, message));
        return;
    }
    let authority = match text.split_once("://") {
        Some((scheme, rest))
            if scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) =>
        {
            if !matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https") {
                let message = format!("the endpoint event names {shown}, which is not http or https");
                observer.broken(BreachAt::new(REQUIREMENT, event, message));
                return;
            }
            rest.split(['/', '?', '#']).next()
        }
        _ => text
            .strip_prefix("//")
            .and_then(|rest| rest.split(['/', '?', '#']).next()),
    };
    let host = exchange.request_field("host").unwrap_or_default();
    match authority {
        Some(other) if !other.eq_ignore_ascii_case(host) => {
            let message =
                format!("the endpoint event leads to another origin than the stream's: {shown}; clients refuse that");
            observer.broken(BreachAt::new(REQUIREMENT, event, message).at_most(Severity::Warn));
        }
        _ => observer.kept(REQUIREMENT, event),
    }
}

fn post(observer: &mut Observer<'_>, exchange: &HttpExchange<'_>) {
    if let Some(head) = exchange
        .response
        .as_ref()
        .filter(|head| matches!(head.status, 404 | 405 | 501) && exchange.asks("initialize"))
    {
        let message = format!(
            "initialize was posted to the URI of the endpoint event, and refused there with status {}",
            head.status
        );
        let breach = BreachAt::new("transport-http-sse/post-endpoint", head.event, message);
        observer.broken(breach.also(&[exchange.request]));
    }
    let Some(head) = exchange.success() else { return };
    observer.kept("transport-http-sse/post-endpoint", head.event);
    observer.kept("transport-http-sse/post-status", head.event);
    for frame in exchange.messages() {
        if !responses(frame).is_empty() {
            let message = "a response came in the body of the reply to the POST; it belongs on the event stream";
            let breach = BreachAt::new("transport-http-sse/responses-on-stream", frame.event, message);
            observer.broken(breach.also(&[exchange.request]));
        }
    }
}
