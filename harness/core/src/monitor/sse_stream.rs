//! Event streams of both HTTP transports: their framing, what their events hold, where answers arrive, and when streams end.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::conversation::{Conversation, Direction, Frame};
use super::http_exchange::{HttpExchange, Item, responses};
use super::{BreachAt, Context, HTTP, Monitor, Observer, Scope, quoted};
use crate::jsonrpc::{Document, IdToken, Reading, Shape};
use crate::revision::Revision;
use crate::spec::requirement::Severity;
use crate::sse::Oddity;
use crate::trace::{ENDED_BY_HARNESS, TransportKind};

pub(super) const MONITOR: Monitor = Monitor {
    name: "event-stream",
    scope: Scope::Either,
    over: HTTP,
    summary: "event streams are well formed, hold messages, bring the answers that belong to them, and end after that",
    requirements: &[
        "transport-streamable-http/sse-framing",
        "transport-streamable-http/sse-data-is-message",
        "transport-streamable-http/sse-event-type",
        "transport-streamable-http/sse-delivers-response",
        "transport-streamable-http/sse-related-messages",
        "transport-streamable-http/sse-not-closed-early",
        "transport-streamable-http/sse-early-close-resumable",
        "transport-streamable-http/sse-retry-before-close",
        "transport-streamable-http/sse-closed-after-response",
        "transport-streamable-http/sse-priming-event",
        "transport-streamable-http/get-no-responses",
        "transport-streamable-http/get-close-polling",
        "transport-streamable-http/get-unrelated-messages",
        "transport-streamable-http/no-broadcast",
        "transport-streamable-http/event-id-unique",
        "transport-streamable-http/event-id-no-nul",
        "transport-http-sse/sse-framing",
        "transport-http-sse/message-events",
    ],
    judge: observe,
};

/// How long a stream may stay open after the last answer, in microseconds.
const LINGERS_US: u64 = 2_000_000;

fn observe(conversation: &Conversation<'_>, context: &Context<'_>, observer: &mut Observer<'_>) {
    let streamable = match conversation.transport() {
        TransportKind::Stdio => return,
        transport => transport == TransportKind::StreamableHttp,
    };
    let exchanges = HttpExchange::all(conversation);
    let streams: Vec<&HttpExchange<'_>> = exchanges
        .iter()
        .filter(|exchange| exchange.is_stream() && !conversation.illegal_at(exchange.request))
        .filter(|exchange| !(streamable && is_elsewhere(exchange, &exchanges)))
        .collect();
    for stream in &streams {
        framing(observer, stream, streamable);
        events(observer, context, stream, streamable);
    }
    if !streamable {
        return;
    }
    let resumable = streams.iter().any(|stream| stream.event_ids().next().is_some());
    for stream in &streams {
        match stream.method {
            "POST" if stream.is_proper() => {
                answers(conversation, context, observer, stream, &streams);
                primed(context, observer, stream, resumable);
                lingering(conversation, observer, stream);
            }
            "GET" if !stream.is_resumed() => {
                no_responses(observer, stream, &exchanges);
                closed_by_server(observer, context, stream, &exchanges);
            }
            _ => {}
        }
    }
    progress(observer, &streams, &exchanges);
    event_ids(observer, &streams);
}

/// Whether a stream comes from another path than the endpoint: it may be one of HTTP+SSE, beside Streamable HTTP.
fn is_elsewhere(stream: &HttpExchange<'_>, exchanges: &[HttpExchange<'_>]) -> bool {
    let path = |exchange: &HttpExchange<'_>| exchange.target.split('?').next().map(str::to_owned);
    let endpoint = exchanges.iter().find(|exchange| exchange.method == "POST");
    stream.method == "GET" && endpoint.is_some_and(|endpoint| path(endpoint) != path(stream))
}

/// The stream as a browser would read it.
fn framing(observer: &mut Observer<'_>, stream: &HttpExchange<'_>, streamable: bool) {
    let requirement = if streamable {
        "transport-streamable-http/sse-framing"
    } else {
        "transport-http-sse/sse-framing"
    };
    let mut sound = None;
    let mut broken = false;
    let mut complain = |observer: &mut Observer<'_>, event: usize, message: String, at_most: Severity| {
        observer.broken(BreachAt::new(requirement, event, message).at_most(at_most));
        broken |= at_most > Severity::Info;
    };
    let mut unfinished = None;
    for item in &stream.items {
        match item {
            Item::Message { frame, .. } if frame.terminated => sound = Some(frame.event),
            Item::Message { frame, .. } => {
                let whole = matches!(frame.reading, Reading::Complete(_));
                unfinished = Some((frame.event, whole));
            }
            Item::Event { event, terminated, .. } if *terminated => sound = Some(*event),
            Item::Event { event, .. } => unfinished = unfinished.or(Some((*event, false))),
            Item::Oddity { event, oddity } => match oddity {
                Oddity::UnknownField(text) if text.trim_start().starts_with(['{', '[']) => {
                    let message = format!(
                        "a line of JSON has no `data:` before it, so no client sees it: {}",
                        quoted(text)
                    );
                    complain(observer, *event, message, Severity::Fail);
                }
                Oddity::NotUtf8(_) => complain(observer, *event, oddity.to_string(), Severity::Fail),
                Oddity::BadRetry(_) | Oddity::ByteOrderMark => {
                    complain(observer, *event, oddity.to_string(), Severity::Info);
                }
                Oddity::NulInId if streamable => observer.broken(BreachAt::new(
                    "transport-streamable-http/event-id-no-nul",
                    *event,
                    oddity.to_string(),
                )),
                _ => {}
            },
        }
    }
    // What a broken connection cuts off is no fault of the framing.
    if let Some((event, whole)) = unfinished.filter(|_| stream.ended_well()) {
        let (message, at_most) = if whole {
            let message =
                "the stream ends without the blank line that completes an event, so no client sees the message in it";
            (message, Severity::Fail)
        } else {
            ("the stream ends in the middle of an event", Severity::Warn)
        };
        complain(observer, event, message.to_owned(), at_most);
    }
    if let Some(event) = sound.filter(|_| !broken) {
        observer.kept(requirement, event);
    }
}

/// What the events of a stream hold.
fn events(observer: &mut Observer<'_>, context: &Context<'_>, stream: &HttpExchange<'_>, streamable: bool) {
    const TYPE: &str = "transport-streamable-http/sse-event-type";
    let data = if streamable {
        "transport-streamable-http/sse-data-is-message"
    } else {
        "transport-http-sse/message-events"
    };
    for item in &stream.items {
        match item {
            Item::Message { frame, name, .. } if frame.terminated => {
                if let (Some(name), false) = (name, streamable) {
                    let message = format!("a message came as an event of type {}, not message", quoted(name));
                    observer.broken(BreachAt::new(data, frame.event, message));
                    continue;
                }
                match name {
                    None => observer.kept(TYPE, frame.event),
                    Some(name) => {
                        let message = format!(
                            "a message came as an event of type {}, which clients that wait for messages do not see",
                            quoted(name)
                        );
                        observer.broken(BreachAt::new(TYPE, frame.event, message));
                    }
                }
                match &frame.reading {
                    Reading::Complete(Document { value, .. })
                        if super::envelope::attempts_a_message(value.as_ref()) =>
                    {
                        observer.kept(data, frame.event);
                    }
                    Reading::Complete(_) => {} // Reported with the form of messages.
                    _ if !speaks_of_data(context, streamable) => {}
                    Reading::Invalid(_) | Reading::Incomplete => {
                        let message = "the data of an event is not one JSON message";
                        observer.broken(BreachAt::new(data, frame.event, message));
                    }
                }
            }
            Item::Event {
                event,
                name,
                data: text,
                terminated,
                ..
            } if streamable && *terminated => {
                let ordinary = matches!(name, None | Some("" | "message"));
                // Which revision it will be is not agreed on before initialize is answered.
                let agreed = context.revision < Revision::V2025_11_25 && !stream.asks("initialize");
                if ordinary && text.is_empty() && agreed && !understands_priming(stream) {
                    let message = "an event without data; clients of this revision expect a message in every event";
                    observer.broken(BreachAt::new(data, *event, message).at_most(Severity::Warn));
                } else if !ordinary && !text.is_empty() {
                    let message = format!(
                        "an event of type {} holds no JSON-RPC message but {}",
                        quoted(name.unwrap_or_default()),
                        quoted(&String::from_utf8_lossy(text))
                    );
                    observer.broken(BreachAt::new(data, *event, message).at_most(Severity::Warn));
                }
            }
            _ => {}
        }
    }
}

/// Whether this monitor, rather than the one on the form of messages, speaks of data that cannot be read.
pub(super) fn speaks_of_data(context: &Context<'_>, streamable: bool) -> bool {
    streamable == (context.revision > Revision::V2024_11_05)
}

/// Whether the answers to the requests of a POST came on its own stream.
fn answers(
    conversation: &Conversation<'_>,
    context: &Context<'_>,
    observer: &mut Observer<'_>,
    stream: &HttpExchange<'_>,
    streams: &[&HttpExchange<'_>],
) {
    const DELIVERS: &str = "transport-streamable-http/sse-delivers-response";
    const EARLY: &str = "transport-streamable-http/sse-not-closed-early";
    const RESUMABLE: &str = "transport-streamable-http/sse-early-close-resumable";
    let unreadable = |frame: &Frame| !frame.terminated || !matches!(frame.reading, Reading::Complete(_));
    if stream.messages().any(unreadable) {
        return; // Whether an answer was among it cannot be told; the framing is reported.
    }
    let arrived: Vec<Option<&IdToken>> = stream.messages().flat_map(responses).collect();
    for id in stream.request_ids() {
        let belongs = |found: &Option<&IdToken>| found.is_none_or(|found| found.same_value(id) || found.looks_like(id));
        if arrived.iter().any(belongs) {
            let event = stream.response.as_ref().map_or(stream.request, |head| head.event);
            observer.kept(DELIVERS, event);
            observer.kept(EARLY, event);
            continue;
        }
        let Some((end, None)) = stream.ended else { continue };
        if was_cancelled(conversation, id) {
            continue;
        }
        let elsewhere = streams.iter().find(|other| {
            other.number != stream.number
                && (other.request > stream.request || other.method == "GET")
                && other
                    .messages()
                    .flat_map(responses)
                    .flatten()
                    .any(|found| found.same_value(id))
        });
        let came_back = stream.event_ids().next().is_some();
        match elsewhere {
            Some(other) if other.is_resumed() => {
                observer.kept(DELIVERS, end);
                observer.kept(RESUMABLE, end);
                told_to_come_back(context, observer, stream, end);
            }
            Some(other) if other.method == "GET" => {} // Reported as a response where none may be.
            Some(other) => {
                let message = "the response to a request came on the stream of another request";
                observer.broken(BreachAt::new(DELIVERS, end, message).also(&[stream.request, other.request]));
            }
            None => {
                let requirement = if context.revision < Revision::V2025_11_25 {
                    EARLY
                } else {
                    DELIVERS
                };
                let message = if came_back {
                    "the stream of a request ended without the response, and coming back with Last-Event-ID did not bring it"
                } else {
                    "the stream of a request ended without the response to it"
                };
                observer.broken(BreachAt::new(requirement, end, message).also(&[stream.request]));
                if !came_back && has_retry(stream) {
                    let message = "the stream said when to come back, and gave no event id to come back with";
                    let breach = BreachAt::new(RESUMABLE, end, message).at_most(Severity::Info);
                    observer.broken(breach.also(&[stream.request]));
                }
            }
        }
    }
}

/// Whether a stream that was closed before the answer said when to come back for it.
fn told_to_come_back(context: &Context<'_>, observer: &mut Observer<'_>, stream: &HttpExchange<'_>, end: usize) {
    const REQUIREMENT: &str = "transport-streamable-http/sse-retry-before-close";
    if context.revision < Revision::V2025_11_25 {
        return;
    }
    if has_retry(stream) {
        observer.kept(REQUIREMENT, end);
    } else {
        let message = "the server closed the stream of a request before the response, and sent no retry field that says when to come back";
        observer.broken(BreachAt::new(REQUIREMENT, end, message).also(&[stream.request]));
    }
}

/// Whether an event of the stream says when to come back.
fn has_retry(stream: &HttpExchange<'_>) -> bool {
    stream.items.iter().any(|item| {
        matches!(
            item,
            Item::Message { retry: Some(_), .. } | Item::Event { retry: Some(_), .. }
        )
    })
}

/// Whether the harness cancelled the request, so that no answer is owed.
fn was_cancelled(conversation: &Conversation<'_>, id: &IdToken) -> bool {
    conversation.messages().iter().any(|message| {
        message.direction == Direction::ToServer
            && matches!(message.shape, Shape::Notification { method, .. } if method == "notifications/cancelled")
            && message
                .value
                .pointer("/params/requestId")
                .map(Value::to_string)
                .as_deref()
                == Some(id.as_str())
    })
}

/// The event with which a stream that can be resumed begins.
fn primed(context: &Context<'_>, observer: &mut Observer<'_>, stream: &HttpExchange<'_>, resumable: bool) {
    const REQUIREMENT: &str = "transport-streamable-http/sse-priming-event";
    if context.revision < Revision::V2025_11_25 || stream.request_ids().is_empty() {
        return;
    }
    // A request that names another version, or none, as initialize does, is served as that version wants it.
    if stream.request_field("mcp-protocol-version") != Some(context.revision.as_str()) {
        return;
    }
    let first = stream.items.iter().find(|item| !matches!(item, Item::Oddity { .. }));
    match first {
        Some(Item::Event {
            event,
            data: b"",
            id: Some(_),
            ..
        }) => observer.kept(REQUIREMENT, *event),
        Some(Item::Event { event, .. }) => unprimed(observer, *event, resumable),
        Some(Item::Message { frame, .. }) => unprimed(observer, frame.event, resumable),
        _ => {}
    }
}

/// Whether the request says that its client knows of events without data, which came with 2025-11-25.
fn understands_priming(stream: &HttpExchange<'_>) -> bool {
    stream
        .request_field("mcp-protocol-version")
        .is_some_and(|version| version >= Revision::V2025_11_25.as_str())
}

fn unprimed(observer: &mut Observer<'_>, event: usize, resumable: bool) {
    let (message, at_most) = if resumable {
        let message = "the stream does not begin with an event that has an id and empty data, so a client that loses it early cannot resume";
        (message, Severity::Warn)
    } else {
        let message = "the stream does not begin with an event that has an id and empty data; this server gives no event ids at all";
        (message, Severity::Info)
    };
    let breach = BreachAt::new("transport-streamable-http/sse-priming-event", event, message);
    observer.broken(breach.at_most(at_most));
}

/// Whether the stream ends once everything is answered.
fn lingering(conversation: &Conversation<'_>, observer: &mut Observer<'_>, stream: &HttpExchange<'_>) {
    const REQUIREMENT: &str = "transport-streamable-http/sse-closed-after-response";
    let mut last = None;
    let mut count = 0;
    for frame in stream.messages() {
        let found = responses(frame).len();
        if found > 0 {
            count += found;
            last = Some(frame.event);
        }
    }
    let Some(last) = last.filter(|_| count >= stream.request_ids().len()) else {
        return;
    };
    let events = &conversation.trace().events;
    let end = match stream.ended {
        Some((end, None | Some(ENDED_BY_HARNESS))) => end,
        Some(_) => return,
        None => events.len() - 1,
    };
    let open = events[end].at_us.saturating_sub(events[last].at_us);
    if open > LINGERS_US {
        let message = format!(
            "the stream of a request was still open {} ms after the response",
            open / 1000
        );
        observer.broken(BreachAt::new(REQUIREMENT, last, message).also(&[stream.request]));
    } else if stream.ended_well() {
        observer.kept(REQUIREMENT, end);
    }
}

/// A stream that a client opened by GET brings requests and notifications only.
fn no_responses(observer: &mut Observer<'_>, stream: &HttpExchange<'_>, exchanges: &[HttpExchange<'_>]) {
    const REQUIREMENT: &str = "transport-streamable-http/get-no-responses";
    let mut sound = true;
    for frame in stream.messages() {
        if !responses(frame).is_empty() {
            sound = false;
            let message = "a stream opened by GET brought a response; responses belong on the stream of their request";
            observer.broken(BreachAt::new(REQUIREMENT, frame.event, message).also(&[stream.request]));
        }
    }
    let opened = stream.response.as_ref().map_or(stream.request, |head| head.event);
    let closed = stream.ended.map_or(usize::MAX, |(end, _)| end);
    let answered_meanwhile = exchanges.iter().any(|other| {
        other.method == "POST"
            && other
                .messages()
                .any(|frame| frame.event > opened && frame.event < closed)
    });
    if sound && answered_meanwhile {
        observer.kept(REQUIREMENT, opened);
    }
}

/// A server that closes a GET stream tells before when to come back. That it meant to end the stream for good cannot be ruled out.
fn closed_by_server(
    observer: &mut Observer<'_>,
    context: &Context<'_>,
    stream: &HttpExchange<'_>,
    exchanges: &[HttpExchange<'_>],
) {
    const REQUIREMENT: &str = "transport-streamable-http/get-close-polling";
    let Some((end, None)) = stream.ended else { return };
    let session_ended = exchanges
        .iter()
        .any(|other| other.method == "DELETE" && other.request < end && other.session() == stream.session());
    if context.revision < Revision::V2025_11_25 || session_ended {
        return;
    }
    if has_retry(stream) {
        observer.kept(REQUIREMENT, end);
    } else {
        let message = "the server closed a stream opened by GET without a retry field before";
        observer.broken(BreachAt::new(REQUIREMENT, end, message).at_most(Severity::Info));
    }
}

/// Progress comes on the stream of its request, and on no other beside it.
fn progress(observer: &mut Observer<'_>, streams: &[&HttpExchange<'_>], exchanges: &[HttpExchange<'_>]) {
    const RELATED: &str = "transport-streamable-http/sse-related-messages";
    const BROADCAST: &str = "transport-streamable-http/no-broadcast";
    const UNRELATED: &str = "transport-streamable-http/get-unrelated-messages";
    let own_tokens: BTreeMap<u32, BTreeSet<String>> = streams
        .iter()
        .map(|stream| (stream.number, posted_tokens(stream)))
        .collect();
    let mut on_own_stream: BTreeMap<String, (usize, u32)> = BTreeMap::new();
    let mut on_others: Vec<(String, String, usize, u32)> = Vec::new();
    // What comes on the stream of a subscription is judged with the subscriptions.
    let judged = |stream: &&&HttpExchange<'_>| !stream.is_resumed() && !stream.asks("subscriptions/listen");
    for stream in streams.iter().filter(judged) {
        let own = &own_tokens[&stream.number];
        for frame in stream.messages() {
            let Some((token, value)) = progress_of(frame) else {
                continue;
            };
            let key = format!("{token} {value}");
            if own.contains(&token) {
                observer.kept(RELATED, frame.event);
                on_own_stream.insert(key, (frame.event, stream.number));
                continue;
            }
            let belongs_elsewhere = own_tokens.values().any(|tokens| tokens.contains(&token));
            if stream.method == "POST" && belongs_elsewhere {
                let message = format!(
                    "progress with the token {} came on the stream of another request",
                    quoted(&token)
                );
                observer.broken(BreachAt::new(RELATED, frame.event, message).also(&[stream.request]));
            }
            if stream.method == "GET" {
                on_others.push((key, token, frame.event, stream.number));
            }
        }
    }
    let (mut repeated, mut strayed) = (false, false);
    for (key, token, event, number) in on_others {
        if let Some((first, _)) = on_own_stream.get(&key).filter(|(_, own)| *own != number) {
            repeated = true;
            let message = "the same progress came on the stream of its request and on the one opened by GET";
            observer.broken(BreachAt::new(BROADCAST, event, message).also(&[*first]));
            continue;
        }
        // Whatever comes after the end of a request is no longer related to something that runs.
        let running = exchanges.iter().find(|exchange| {
            exchange.method == "POST"
                && exchange.request < event
                && exchange.ended.is_none_or(|(end, _)| end > event)
                && posted_tokens(exchange).contains(&token)
        });
        if let Some(request) = running {
            strayed = true;
            let message = format!(
                "progress with the token {} of a request that was running came on the stream opened by GET",
                quoted(&token)
            );
            observer.broken(BreachAt::new(UNRELATED, event, message).also(&[request.request]));
        }
    }
    let listened = streams.iter().any(|stream| stream.method == "GET");
    if let Some((event, _)) = on_own_stream.values().next().filter(|_| listened && !repeated) {
        observer.kept(BROADCAST, *event);
        if !strayed {
            observer.kept(UNRELATED, *event);
        }
    }
}

/// The progress tokens of the requests that were posted.
fn posted_tokens(stream: &HttpExchange<'_>) -> BTreeSet<String> {
    let Some(Reading::Complete(Document { value: Some(value), .. })) = stream.posted.map(|frame| &frame.reading) else {
        return BTreeSet::new();
    };
    let messages = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    messages
        .iter()
        // The progress of a task comes on whichever stream waits for the task.
        .filter(|message| message.pointer("/params/task").is_none())
        .filter_map(|message| message.pointer("/params/_meta/progressToken"))
        .map(Value::to_string)
        .collect()
}

/// Token and value of a progress notification.
fn progress_of(frame: &Frame) -> Option<(String, String)> {
    let Reading::Complete(Document {
        shape: Shape::Notification { method, .. },
        value: Some(value),
        ..
    }) = &frame.reading
    else {
        return None;
    };
    let token = value.pointer("/params/progressToken")?;
    (method == "notifications/progress").then(|| (token.to_string(), value["params"]["progress"].to_string()))
}

/// Ids of events, which have to be different on all streams of a session.
fn event_ids(observer: &mut Observer<'_>, streams: &[&HttpExchange<'_>]) {
    const UNIQUE: &str = "transport-streamable-http/event-id-unique";
    let mut seen: BTreeMap<(Option<&str>, &str), usize> = BTreeMap::new();
    // On a resumed stream the ids of what was missed may come again.
    for stream in streams.iter().filter(|stream| !stream.is_resumed()) {
        for (event, id) in stream.event_ids() {
            if id.bytes().all(|byte| (0x21..=0x7e).contains(&byte)) && !id.is_empty() {
                observer.kept("transport-streamable-http/event-id-no-nul", event);
            } else {
                let message = format!("the event id {} cannot be sent back in a header", quoted(id));
                observer.broken(BreachAt::new(
                    "transport-streamable-http/event-id-no-nul",
                    event,
                    message,
                ));
            }
            match seen.insert((stream.session(), id), event) {
                None => observer.kept(UNIQUE, event),
                Some(first) => {
                    // Without sessions a server can hardly know which streams belong to one client.
                    let cap = if stream.session().is_some() {
                        Severity::Fail
                    } else {
                        Severity::Warn
                    };
                    let message = format!("two events of one session have the id {}", quoted(id));
                    observer.broken(BreachAt::new(UNIQUE, event, message).also(&[first]).at_most(cap));
                }
            }
        }
    }
}
