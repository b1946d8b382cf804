//! Streamable HTTP, reply by reply: status, media type and body of what answers requests, notifications and responses.

use super::conversation::{Conversation, Frame};
use super::http_exchange::{Head, HttpExchange, responses, shapes};
use super::{BreachAt, Context, Monitor, Observer, STREAMABLE, Scope, quoted};
use crate::jsonrpc::{Document, Reading, Shape};
use crate::trace::{EventKind, TransportKind};

pub(super) const MONITOR: Monitor = Monitor {
    name: "http-reply",
    scope: Scope::Either,
    over: STREAMABLE,
    summary: "over Streamable HTTP requests are answered with JSON or an event stream, everything else with 202 and no body",
    requirements: &[
        "transport-streamable-http/single-endpoint",
        "transport-streamable-http/request-content-type",
        "transport-streamable-http/json-single-object",
        "transport-streamable-http/success-status-200",
        "transport-streamable-http/error-status-free",
        "transport-streamable-http/notification-202",
        "transport-streamable-http/no-body-202",
        "transport-streamable-http/response-202",
        "transport-streamable-http/rejected-input-body",
        "transport-streamable-http/allow-header-on-405",
        "transport-streamable-http/get-sse-or-405",
        "transport-streamable-http/origin-403-body",
        "transport-streamable-http/origin-absent-ok",
        "transport-streamable-http/url-trailing-slash",
    ],
    judge: observe,
};

fn observe(conversation: &Conversation<'_>, context: &Context<'_>, observer: &mut Observer<'_>) {
    if conversation.transport() != TransportKind::StreamableHttp {
        return;
    }
    let exchanges = HttpExchange::all(conversation);
    for exchange in &exchanges {
        let Some(head) = &exchange.response else { continue };
        if head.status == 405 {
            if exchange.response_field("allow").is_some() {
                observer.kept("transport-streamable-http/allow-header-on-405", head.event);
            } else {
                let message = "a reply with status 405 has no Allow field, which RFC 9110 asks for";
                let breach = BreachAt::new("transport-streamable-http/allow-header-on-405", head.event, message);
                observer.broken(breach);
            }
        }
        if conversation.illegal_at(exchange.request) {
            continue;
        }
        if head.status == 403 && exchange.request_field("origin").is_some() {
            without_id(observer, exchange, "transport-streamable-http/origin-403-body");
        }
        if exchange.method == "POST" && exchange.asks("initialize") {
            redirected(observer, exchange, head);
        }
        if exchange.method == "POST" && exchange.is_proper() {
            posted(observer, context, exchange, head);
        }
    }
    first_get(conversation, observer, &exchanges);
}

/// Whether the first POST had to go elsewhere. Many clients drop the body or the credentials on the way, or do not go at all.
fn redirected(observer: &mut Observer<'_>, exchange: &HttpExchange<'_>, head: &Head<'_>) {
    const REQUIREMENT: &str = "transport-streamable-http/url-trailing-slash";
    match head.status {
        200..=299 => observer.kept(REQUIREMENT, head.event),
        301 | 302 | 307 | 308 => {
            let to = exchange.response_field("location").unwrap_or_default();
            let message = format!(
                "initialize was redirected with status {} to {}; serve it at the URL that clients are given",
                head.status,
                quoted(to)
            );
            observer.broken(BreachAt::new(REQUIREMENT, head.event, message).also(&[exchange.request]));
        }
        _ => {}
    }
}

/// A POST of something that a client may send.
fn posted(observer: &mut Observer<'_>, context: &Context<'_>, exchange: &HttpExchange<'_>, head: &Head<'_>) {
    let shapes = exchange.posted_shapes();
    let requests = exchange.request_ids().len();
    let all = |wanted: fn(&Shape) -> bool| !shapes.is_empty() && shapes.iter().all(|shape| wanted(shape));
    if requests > 0 {
        answer_to_request(observer, context, exchange, head, requests);
        return;
    }
    let only_notifications = all(|shape| matches!(shape, Shape::Notification { .. }));
    let only_responses = all(|shape| matches!(shape, Shape::Response { .. } | Shape::ErrorResponse { .. }));
    if !only_notifications && !only_responses {
        return;
    }
    if head.status >= 400 {
        without_id(observer, exchange, "transport-streamable-http/rejected-input-body");
    }
    // A notification that is answered with a response is reported where requests and answers are paired.
    if exchange.success().is_none() || exchange.messages().next().is_some() {
        return;
    }
    let (requirement, what) = if only_notifications {
        ("transport-streamable-http/notification-202", "a notification")
    } else {
        ("transport-streamable-http/response-202", "a response of the client")
    };
    if head.status != 202 {
        let message = format!(
            "{what} was accepted with status {}; it must be 202 Accepted, without a body",
            head.status
        );
        observer.broken(BreachAt::new(requirement, head.event, message).also(&[exchange.request]));
        return;
    }
    observer.kept(requirement, head.event);
    match exchange.body {
        None if exchange.ended_well() => observer.kept("transport-streamable-http/no-body-202", head.event),
        None => {}
        Some((event, payload)) => {
            let message = format!("the reply with status 202 has the body {}", quoted(&payload.text()));
            let breach = BreachAt::new("transport-streamable-http/no-body-202", event, message);
            observer.broken(breach.also(&[exchange.request]));
        }
    }
}

/// A POST with at least one request.
fn answer_to_request(
    observer: &mut Observer<'_>,
    context: &Context<'_>,
    exchange: &HttpExchange<'_>,
    head: &Head<'_>,
    requests: usize,
) {
    let media_type = exchange.media_type();
    let is_json = media_type == "application/json";
    if exchange.success().is_some() {
        if exchange.request_field("origin").is_none() {
            observer.kept("transport-streamable-http/origin-absent-ok", head.event);
        }
        if is_json || media_type == "text/event-stream" {
            observer.kept("transport-streamable-http/request-content-type", head.event);
        } else {
            let found = match media_type.as_str() {
                "" => "no content type".to_owned(),
                other => format!("content type {}", quoted(other)),
            };
            let message = format!(
                "a request was answered with status {} and {found}; it must be application/json or text/event-stream",
                head.status
            );
            let breach = BreachAt::new("transport-streamable-http/request-content-type", head.event, message);
            observer.broken(breach.also(&[exchange.request]));
            return;
        }
    }
    for frame in exchange.messages() {
        for shape in shapes(frame) {
            match shape {
                Shape::Response { .. } if head.status == 200 => {
                    observer.kept("transport-streamable-http/success-status-200", frame.event);
                }
                Shape::Response { .. } => {
                    let message = format!("a result came with status {} instead of 200", head.status);
                    let breach = BreachAt::new("transport-streamable-http/success-status-200", frame.event, message);
                    observer.broken(breach.also(&[head.event]));
                }
                Shape::ErrorResponse { .. } => {
                    observer.kept("transport-streamable-http/error-status-free", frame.event);
                }
                _ => {}
            }
        }
    }
    let single = requests == 1 && exchange.posted_shapes().len() == 1 && !posted_a_batch(exchange);
    if is_json && single && exchange.success().is_some() && exchange.ended_well() {
        json_body(observer, context, exchange, head);
    }
}

/// The JSON body that answers a single request.
fn json_body(observer: &mut Observer<'_>, context: &Context<'_>, exchange: &HttpExchange<'_>, head: &Head<'_>) {
    const REQUIREMENT: &str = "transport-streamable-http/json-single-object";
    let mut frames = exchange.messages();
    let Some(frame) = frames.next() else {
        let message = "a request was answered with an empty body of type application/json";
        observer.broken(BreachAt::new(REQUIREMENT, head.event, message).also(&[exchange.request]));
        return;
    };
    let Reading::Complete(Document { shape, .. }) = &frame.reading else {
        return; // No JSON at all, which is reported with the form of messages.
    };
    match shape {
        // Where there are no batches any array is reported with the form of messages.
        Shape::Batch(_) if context.revision.has_batches() => {
            let message = "a single request was answered with an array; the body must be one JSON object";
            observer.broken(BreachAt::new(REQUIREMENT, frame.event, message).also(&[exchange.request]));
        }
        Shape::Response { .. } | Shape::ErrorResponse { .. } => observer.kept(REQUIREMENT, frame.event),
        Shape::Request { method, .. } | Shape::Notification { method, .. } => {
            let message = format!(
                "the body that should hold the response holds {}; other messages need an event stream",
                quoted(method)
            );
            observer.broken(BreachAt::new(REQUIREMENT, frame.event, message).also(&[exchange.request]));
        }
        _ => {}
    }
}

fn posted_a_batch(exchange: &HttpExchange<'_>) -> bool {
    exchange.posted.is_some_and(|frame: &Frame| {
        matches!(
            &frame.reading,
            Reading::Complete(Document {
                shape: Shape::Batch(_),
                ..
            })
        )
    })
}

/// A refusal in the terms of JSON-RPC answers nothing that has an id.
fn without_id(observer: &mut Observer<'_>, exchange: &HttpExchange<'_>, requirement: &'static str) {
    for frame in exchange.messages() {
        for id in responses(frame) {
            match id {
                None => observer.kept(requirement, frame.event),
                // What JSON-RPC asks for where an id cannot be known.
                Some(id) if id.as_str() == "null" => observer.kept(requirement, frame.event),
                Some(id) => {
                    let message = format!(
                        "the refusal has the id {}; it answers no request",
                        quoted(&id.to_string())
                    );
                    observer.broken(BreachAt::new(requirement, frame.event, message));
                }
            }
        }
    }
}

/// Whether a POST found that its session is no longer there.
fn is_lost(exchange: &HttpExchange<'_>) -> bool {
    exchange.method == "POST" && exchange.response.as_ref().is_some_and(|head| head.status == 404)
}

/// The GET with which every session asks for the stream on which the server may speak by itself: nothing about it is unusual.
fn first_get(conversation: &Conversation<'_>, observer: &mut Observer<'_>, exchanges: &[HttpExchange<'_>]) {
    let cases_begin = conversation
        .trace()
        .events
        .iter()
        .position(|event| matches!(event.kind, EventKind::CaseStarted { .. }))
        .unwrap_or(usize::MAX);
    let served = exchanges
        .iter()
        .any(|exchange| exchange.method == "POST" && exchange.success().is_some());
    let automatic = exchanges
        .iter()
        .find(|exchange| exchange.method == "GET" && exchange.request < cases_begin && !exchange.is_resumed());
    let Some((exchange, head)) = automatic.and_then(|exchange| Some((exchange, exchange.response.as_ref()?))) else {
        return;
    };
    // A session that was ended before the answer came is no longer there to be asked.
    let ended = exchanges
        .iter()
        .any(|other| other.method == "DELETE" && other.request < head.event);
    let lost = exchanges
        .iter()
        .any(|other| is_lost(other) && other.session() == exchange.session() && exchange.session().is_some());
    if ended || lost {
        return;
    }
    // Where a case asked for a stream meanwhile, that one may have come first, and there may be one only.
    let raced = exchanges
        .iter()
        .any(|other| other.method == "GET" && other.number != exchange.number && other.request < head.event);
    if raced && !exchange.is_stream() && head.status != 405 {
        return;
    }
    match head.status {
        401 | 403 => {} // Credentials are a matter of their own.
        404 | 501 if served => {
            let message = format!(
                "POST works, but GET on the same path is answered with status {}; it must give an event stream or 405",
                head.status
            );
            let breach = BreachAt::new("transport-streamable-http/single-endpoint", head.event, message);
            observer.broken(breach.also(&[exchange.request]));
        }
        status => {
            if served {
                observer.kept("transport-streamable-http/single-endpoint", head.event);
            }
            if status == 405 || exchange.is_stream() {
                observer.kept("transport-streamable-http/get-sse-or-405", head.event);
            } else {
                let message = format!(
                    "GET was answered with status {status} and content type {}; it must be an event stream or 405",
                    quoted(&exchange.media_type())
                );
                let breach = BreachAt::new("transport-streamable-http/get-sse-or-405", head.event, message);
                observer.broken(breach.also(&[exchange.request]));
            }
        }
    }
}
