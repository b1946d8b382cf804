//! What both HTTP transports share: accepting connections, the checks every request must pass, bodies.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CONTENT_TYPE, HOST, HeaderMap, ORIGIN};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::connection::Connection;
use super::deviation::{Asked, Deviations, Posted};
use crate::serve::ServeError;

/// The answer to an HTTP request.
pub(crate) type Reply = Response<BoxBody<Bytes, Infallible>>;

/// Where a fault that ends the process leaves its exit code.
pub(crate) type Exits = mpsc::UnboundedSender<i32>;

/// The most a body may hold, in bytes.
const BODY_CAP: usize = 4 * 1024 * 1024;

/// Answers requests until a fault ends the process; a single failing connection ends only itself.
pub(crate) async fn run<Handler, Replying>(
    listener: TcpListener,
    mut exits: mpsc::UnboundedReceiver<i32>,
    deviations: Arc<Deviations>,
    handler: Handler,
) -> Result<(), ServeError>
where
    Handler: Fn(Request<Incoming>) -> Replying + Clone + Send + 'static,
    Replying: Future<Output = Reply> + Send + 'static,
{
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            Some(code) = exits.recv() => return Err(ServeError::Exited { code }),
        };
        let (handler, deviations) = (handler.clone(), Arc::clone(&deviations));
        tokio::spawn(async move {
            let connection = Connection {
                stream,
                deviations: Arc::clone(&deviations),
            };
            let service = service_fn(move |request| {
                let (handler, deviations) = (handler.clone(), Arc::clone(&deviations));
                async move { Ok::<_, Infallible>(answer(request, &deviations, handler).await) }
            });
            // An error here is a client that went away or does not speak HTTP: there is nobody to tell.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(connection), service)
                .await;
        });
    }
}

/// Has a request answered by the handler, unless a fault has something else in mind.
async fn answer<Handler, Replying>(request: Request<Incoming>, deviations: &Deviations, handler: Handler) -> Reply
where
    Handler: Fn(Request<Incoming>) -> Replying,
    Replying: Future<Output = Reply>,
{
    let (mut head, body) = request.into_parts();
    let posted = Posted::default();
    let asked = Asked::new(head.clone(), posted.clone());
    let reply = match deviations.request(&mut head) {
        Some(reply) => reply,
        None => {
            head.extensions.insert(posted);
            handler(Request::from_parts(head, body)).await
        }
    };
    deviations.reply(&asked, reply)
}

/// Refuses what may come from a web page elsewhere (basic/transports, Security Warning: DNS rebinding).
pub(crate) fn check_origin(headers: &HeaderMap) -> Result<(), Refusal> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    if !host
        .and_then(|host| format!("http://{host}/").parse().ok())
        .is_some_and(|uri| is_loopback(&uri))
    {
        return Err(refusal(
            StatusCode::FORBIDDEN,
            "the Host header must name a loopback address",
        ));
    }
    let mut origins = headers.get_all(ORIGIN).iter();
    if !origins.all(|origin| {
        origin
            .to_str()
            .ok()
            .and_then(|text| text.parse().ok())
            .is_some_and(|uri| is_loopback(&uri))
    }) {
        return Err(refusal(
            StatusCode::FORBIDDEN,
            "the Origin header must name a loopback address",
        ));
    }
    Ok(())
}

fn is_loopback(uri: &Uri) -> bool {
    // Credentials before the host would make a foreign name look like ours.
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
    authority.is_some_and(|authority| {
        ["localhost", "127.0.0.1", "[::1]"]
            .iter()
            .any(|own| authority.host().eq_ignore_ascii_case(own))
    })
}

/// Whether the Accept header admits the media type, given as its two halves.
pub(crate) fn accepts(headers: &HeaderMap, kind: &str, subtype: &str) -> bool {
    quality(headers, kind, subtype) > 0
}

/// How much the client likes the media type, in thousandths: by the most specific range that holds it (RFC 9110, 12.5.1).
pub(crate) fn quality(headers: &HeaderMap, kind: &str, subtype: &str) -> u16 {
    let ranges = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','));
    let matching = ranges.filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let (accepted_kind, accepted_subtype) = parts.next()?.split_once('/')?;
        let specificity = match (accepted_kind, accepted_subtype) {
            ("*", "*") => 0,
            (accepted, "*") if accepted.eq_ignore_ascii_case(kind) => 1,
            (accepted, own) if accepted.eq_ignore_ascii_case(kind) && own.eq_ignore_ascii_case(subtype) => 2,
            _ => return None,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        Some((specificity, weight.map_or(1000, thousandths)))
    });
    matching.max().map_or(0, |(_, weight)| weight)
}

/// A weight between 0 and 1; what cannot be read counts as 1.
fn thousandths(weight: &str) -> u16 {
    match weight.parse::<f32>() {
        // Between 0 and 1000 nothing is lost but what comes after the third digit.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 1000"
        )]
        Ok(weight) if (0.0..=1.0).contains(&weight) => (weight * 1000.0).round() as u16,
        _ => 1000,
    }
}

/// The body of a POST, which must be JSON and not too long.
pub(crate) async fn json_body(request: Request<Incoming>) -> Result<Bytes, Refusal> {
    let content_type = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Err(refusal(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the Content-Type must be application/json",
        ));
    }
    let posted = request.extensions().get::<Posted>().cloned().unwrap_or_default();
    match Limited::new(request.into_body(), BODY_CAP).collect().await {
        Ok(collected) => {
            let body = collected.to_bytes();
            posted.keep(&body);
            Ok(body)
        }
        Err(error) if error.is::<LengthLimitError>() => {
            Err(refusal(StatusCode::PAYLOAD_TOO_LARGE, "the body must not exceed 4 MiB"))
        }
        Err(_) => Err(refusal(StatusCode::BAD_REQUEST, "the body could not be read")),
    }
}

/// Why an HTTP request is not passed on to a conversation.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    why: &'static str,
    /// The methods there are, when the method was the reason.
    allowed: Option<&'static str>,
}

/// A refusal in words.
pub(crate) fn refusal(status: StatusCode, why: &'static str) -> Refusal {
    Refusal {
        status,
        why,
        allowed: None,
    }
}

/// A refusal of the method.
pub(crate) fn wrong_method(allowed: &'static str) -> Refusal {
    let why = "this method is not allowed here";
    Refusal {
        status: StatusCode::METHOD_NOT_ALLOWED,
        why,
        allowed: Some(allowed),
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        let mut refused = text(refusal.status, refusal.why);
        if let Some(allowed) = refusal.allowed {
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
        }
        refused
    }
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Reply {
    reply(status, None, Full::default())
}

/// An answer of one JSON message.
pub(crate) fn json(status: StatusCode, message: Vec<u8>) -> Reply {
    reply(status, Some("application/json"), Full::new(Bytes::from(message)))
}

/// An event stream that lasts until every sender of the events is gone.
pub(crate) fn event_stream(events: mpsc::UnboundedReceiver<Bytes>) -> Reply {
    let mut streaming = reply(StatusCode::OK, Some("text/event-stream"), EventBody { events });
    streaming
        .headers_mut()
        .insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    streaming
}

/// An event stream that never brings anything (faults only).
pub(crate) fn silent_stream() -> Reply {
    let (events, reader) = mpsc::unbounded_channel();
    tokio::spawn(async move { events.closed().await });
    event_stream(reader)
}

/// An event stream that ends at once (faults only).
pub(crate) fn ended_stream() -> Reply {
    event_stream(mpsc::unbounded_channel().1)
}

/// An answer in words.
pub(crate) fn text(status: StatusCode, words: &'static str) -> Reply {
    let body = Full::new(Bytes::from_static(words.as_bytes()));
    reply(status, Some("text/plain; charset=utf-8"), body)
}

/// One event. `data` has no line breaks, since JSON escapes those in strings.
pub(crate) fn event(kind: &str, data: &[u8]) -> Bytes {
    let mut bytes = format!("event: {kind}\ndata: ").into_bytes();
    bytes.extend_from_slice(data);
    bytes.extend_from_slice(b"\n\n");
    Bytes::from(bytes)
}

/// A new session id: 128 random bits in hexadecimal; an answer of status 500 when there is no randomness.
pub(crate) fn session_id() -> Result<String, Refusal> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)
        .map_err(|_| refusal(StatusCode::INTERNAL_SERVER_ERROR, "no random session id could be made"))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn reply<B>(status: StatusCode, content_type: Option<&'static str>, body: B) -> Reply
where
    B: Body<Data = Bytes, Error = Infallible> + Send + Sync + 'static,
{
    let mut reply = Response::new(body.boxed());
    *reply.status_mut() = status;
    if let Some(content_type) = content_type {
        reply
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    reply
}

struct EventBody {
    events: mpsc::UnboundedReceiver<Bytes>,
}

impl Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.events
            .poll_recv(context)
            .map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_hosts_and_origins_pass() {
        let rows = [
            (Some("127.0.0.1:80"), None, true),
            (Some("localhost:1"), Some("http://localhost:3000"), true),
            (Some("[::1]:1"), Some("https://127.0.0.1"), true),
            (None, None, false),
            (Some("evil.example"), None, false),
            (Some("localhost.evil.example"), None, false),
            (Some("localhost@evil.example"), None, false),
            (Some("localhost"), Some("http://evil.example"), false),
            (Some("localhost"), Some("null"), false),
        ];
        for (host, origin, passes) in rows {
            let mut headers = HeaderMap::new();
            host.map(|host| headers.insert(HOST, HeaderValue::from_static(host)));
            origin.map(|origin| headers.insert(ORIGIN, HeaderValue::from_static(origin)));
            assert_eq!(check_origin(&headers).is_ok(), passes, "{host:?} {origin:?}");
        }
    }

    #[test]
    fn wildcards_and_parameters_of_accept_are_understood() {
        for (accept, json, events) in [
            ("application/json, text/event-stream", true, true),
            ("Application/JSON;q=0.9", true, false),
            ("*/*", true, true),
            ("text/*", false, true),
            ("application/jsonx", false, false),
            ("application/json;q=0, */*", false, true),
            ("*/*;q=0.1, text/event-stream; q=0", true, false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(accepts(&headers, "application", "json"), json, "{accept}");
            assert_eq!(accepts(&headers, "text", "event-stream"), events, "{accept}");
        }
        let accept = HeaderValue::from_static("text/event-stream, application/json;q=0.25");
        let headers = HeaderMap::from_iter([(ACCEPT, accept)]);
        assert_eq!(quality(&headers, "application", "json"), 250);
        assert_eq!(quality(&headers, "text", "event-stream"), 1000);
    }
}
