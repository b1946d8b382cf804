//! Which transport answers at a URL: Streamable HTTP, or HTTP+SSE.
//!
//! The `initialize` message is posted first. Whoever answers it speaks Streamable HTTP. A refusal leads to a GET, and an `endpoint` event there
//! to HTTP+SSE. Missing credentials, outages and redirects are no evidence for either; they end the detection with an error that says what
//! was met and what to do. Nothing is left behind: streams are closed and sessions ended.

use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use http::{HeaderName, Method};
use serde_json::Value;

use touchstone_core::sse::{SseItem, SseReader};
use touchstone_core::trace::TransportKind;

use super::TransportLimits;
use super::http::{HttpClient, HttpError, HttpResponse, MESSAGE_TYPES, beginning, essence, shown_url};
use super::http_sse::{HttpSseConnection, HttpSseError};
use super::streamable_http::SESSION_ID;
use crate::tap::Tap;
use crate::target::UrlTarget;

/// How much of an answer an error shows.
const SHOWN_BYTES: usize = 200;

/// Bytes that the throw-away trace of a probe may keep.
const PROBE_TRACE_BYTES: usize = 256 * 1024;

const PATH_HINT: &str =
    "Is the path right? FastMCP serves Streamable HTTP at /mcp and HTTP+SSE at /sse. --transport skips the detection.";

/// Why the transport of a URL is not known.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DetectError {
    /// There was no exchange to judge by.
    #[error("{url} gave no answer: {error}. {}", hint(.error))]
    NoAnswer {
        /// The URL, without credentials.
        url: String,
        /// What went wrong.
        error: HttpError,
    },
    /// The server wants to know who asks.
    #[error(
        "{url} refused the request with status {status}: it needs credentials{}. Pass them with --header 'Authorization: Bearer ...'.",
        .challenge.as_ref().map(|challenge| format!(" ({challenge})")).unwrap_or_default()
    )]
    NeedsCredentials {
        /// The URL, without credentials.
        url: String,
        /// 401 or 403.
        status: u16,
        /// The `WWW-Authenticate` field of the answer.
        challenge: Option<String>,
    },
    /// The server refuses this client.
    #[error(
        "{url} refused the request with status 403: {beginning:?}. Servers that check Origin or Host do this: \
         does the host of the URL belong to the hosts that the server allows?"
    )]
    Forbidden {
        /// The URL, without credentials.
        url: String,
        /// The beginning of the body.
        beginning: String,
    },
    /// The server, or something before it, is out of order.
    #[error(
        "{url} answered initialize with status {status}: {beginning:?}. The server is failing; its log should say why."
    )]
    Outage {
        /// The URL, without credentials.
        url: String,
        /// The status, 500 or more.
        status: u16,
        /// The beginning of the body.
        beginning: String,
    },
    /// The server sends the client elsewhere, and redirects are not followed.
    #[error(
        "{url} answered with status {status}, a redirect to {location:?}. Redirects are not followed: give that URL if it is the server's."
    )]
    Redirected {
        /// The URL, without credentials.
        url: String,
        /// The status, 300 to 399.
        status: u16,
        /// The `Location` field.
        location: String,
    },
    /// The server took the message and did not answer it.
    #[error(
        "{url} accepted initialize with status {status} but brought no answer to it within {waited:?}. Raise the limit if the server is slow to start."
    )]
    Unanswered {
        /// The URL, without credentials.
        url: String,
        /// The status of the response.
        status: u16,
        /// How long was waited.
        waited: Duration,
    },
    /// The server speaks HTTP+SSE, but not well enough to be used.
    #[error("the server at this URL speaks HTTP+SSE, but no message can be sent to it: {0}")]
    UnusableHttpSse(HttpSseError),
    /// Something answers that speaks neither transport.
    #[error(
        "{url} is no MCP endpoint: POST of initialize was answered with status {status} ({}) {beginning:?}, and {get}. {PATH_HINT}",
        if .content_type.is_empty() { "no content type" } else { .content_type }
    )]
    NotMcp {
        /// The URL, without credentials.
        url: String,
        /// The status of the answer to POST.
        status: u16,
        /// Its media type, empty when it has none.
        content_type: String,
        /// The beginning of its body.
        beginning: String,
        /// Why GET did not lead to HTTP+SSE either.
        get: HttpSseError,
    },
    /// The message to probe with is not a request.
    #[error("the message to detect the transport with is no JSON-RPC request with an id")]
    NotARequest,
}

/// Finds out which transport answers at the URL of `target`. `initialize_message` is posted as it is; its id is what an answer is known by.
///
/// # Errors
/// When nothing answers, the answer is no evidence, or what answers is no MCP server.
pub async fn detect(
    target: &UrlTarget,
    initialize_message: &[u8],
    limits: &TransportLimits,
) -> Result<TransportKind, DetectError> {
    let url = shown_url(&target.url);
    let message: Value = serde_json::from_slice(initialize_message).map_err(|_| DetectError::NotARequest)?;
    let id = message
        .get("id")
        .filter(|id| !id.is_null())
        .ok_or(DetectError::NotARequest)?;
    let no_answer = |error| DetectError::NoAnswer {
        url: url.clone(),
        error,
    };
    let client = HttpClient::new(&target.url, &target.headers, limits).map_err(no_answer)?;

    let mut request = client.request(Method::POST).map_err(no_answer)?;
    request.set(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request.set(ACCEPT, HeaderValue::from_static(MESSAGE_TYPES));
    request.set_body(initialize_message.to_vec());
    let mut response = client.send(request).await.map_err(no_answer)?;
    let answer = read_answer(&mut response, id, limits).await;
    let HttpResponse { status, headers, body } = response;
    drop(body);
    if let Some(session) = headers.get(SESSION_ID) {
        end_session(&client, session.clone(), limits).await;
    }

    let body = match answer {
        Answer::Ours => return Ok(TransportKind::StreamableHttp),
        Answer::Other(body) => body,
        Answer::None if (200..300).contains(&status) => {
            return Err(DetectError::Unanswered {
                url,
                status,
                waited: limits.response_head,
            });
        }
        Answer::None => Vec::new(),
    };
    let beginning = beginning(&body, SHOWN_BYTES);
    match status {
        401 => return Err(needs_credentials(url, status, &headers)),
        403 if headers.contains_key(WWW_AUTHENTICATE) => return Err(needs_credentials(url, status, &headers)),
        403 => return Err(DetectError::Forbidden { url, beginning }),
        300..=399 => {
            return Err(DetectError::Redirected {
                url,
                status,
                location: field(&headers, &LOCATION).unwrap_or_default(),
            });
        }
        500.. => return Err(DetectError::Outage { url, status, beginning }),
        _ => {}
    }
    match probe_event_stream(target, limits).await {
        Ok(()) => Ok(TransportKind::HttpSse),
        Err(
            error @ (HttpSseError::ForeignEndpoint { .. }
            | HttpSseError::UnusableEndpoint { .. }
            | HttpSseError::OtherEventFirst { .. }),
        ) => Err(DetectError::UnusableHttpSse(error)),
        // A refusal in the terms of JSON-RPC comes from an endpoint that takes messages by POST, whatever id it bears.
        Err(_) if is_protocol_message(&body) => Ok(TransportKind::StreamableHttp),
        Err(HttpSseError::Refused { status: 401, .. }) => Err(DetectError::NeedsCredentials {
            url,
            status: 401,
            challenge: None,
        }),
        Err(get) => Err(DetectError::NotMcp {
            url,
            status,
            content_type: essence(&headers),
            beginning,
            get,
        }),
    }
}

/// What the response to the posted message holds.
enum Answer {
    /// A JSON-RPC answer to our request.
    Ours,
    /// Something else.
    Other(Vec<u8>),
    /// An event stream without an answer, or nothing that could be read.
    None,
}

async fn read_answer(response: &mut HttpResponse, id: &Value, limits: &TransportLimits) -> Answer {
    if essence(&response.headers) == "text/event-stream" {
        let found = tokio::time::timeout(limits.response_head, find_in_stream(response, id, limits)).await;
        return if found.unwrap_or(false) {
            Answer::Ours
        } else {
            Answer::None
        };
    }
    let read = response.body.read(limits.message_bytes, limits.body_idle);
    match tokio::time::timeout(limits.response_head, read).await {
        Ok(Ok((bytes, _)) | Err((bytes, _))) if answers(&bytes, id) => {
            drop(bytes);
            Answer::Ours
        }
        Ok(Ok((bytes, _)) | Err((bytes, _))) => Answer::Other(bytes),
        Err(_) => Answer::None,
    }
}

/// Reads events until one of them answers the request. Requests and notifications of the server may come before it.
async fn find_in_stream(response: &mut HttpResponse, id: &Value, limits: &TransportLimits) -> bool {
    let mut stream = SseReader::new(limits.message_bytes);
    while let Ok(Some(chunk)) = response.body.chunk(None).await {
        stream.push(&chunk);
        while let Some(item) = stream.next_item() {
            if let SseItem::Event(event) = item
                && answers(&event.data, id)
            {
                return true;
            }
        }
    }
    false
}

/// Whether bytes are a JSON-RPC answer, or a batch with one, to the request with this id.
fn answers(bytes: &[u8], id: &Value) -> bool {
    let is_answer =
        |value: &Value| value.get("id") == Some(id) && (value.get("result").is_some() || value.get("error").is_some());
    match serde_json::from_slice::<Value>(bytes) {
        Ok(Value::Array(batch)) => batch.iter().any(is_answer),
        Ok(value) => is_answer(&value),
        Err(_) => false,
    }
}

fn is_protocol_message(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Value>(bytes).is_ok_and(|value| value.get("jsonrpc").is_some())
}

async fn end_session(client: &HttpClient, session: HeaderValue, limits: &TransportLimits) {
    let Ok(mut request) = client.request(Method::DELETE) else {
        return;
    };
    request.set(SESSION_ID, session);
    // Whether the server lets clients end sessions is for a case to find out.
    let _ = tokio::time::timeout(limits.close, client.send(request)).await;
}

async fn probe_event_stream(target: &UrlTarget, limits: &TransportLimits) -> Result<(), HttpSseError> {
    // A stream without an endpoint event need not even send its head; waiting for the event's time is enough.
    let limits = TransportLimits {
        response_head: limits.response_head.min(limits.first_event),
        ..limits.clone()
    };
    let tap = Tap::new("detection", TransportKind::HttpSse, PROBE_TRACE_BYTES);
    HttpSseConnection::open(target, &limits, tap).await?.close().await;
    Ok(())
}

fn needs_credentials(url: String, status: u16, headers: &HeaderMap) -> DetectError {
    DetectError::NeedsCredentials {
        url,
        status,
        challenge: field(headers, &WWW_AUTHENTICATE),
    }
}

fn field(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).map(|value| beginning(value.as_bytes(), SHOWN_BYTES))
}

/// What the user can do about an exchange that failed.
fn hint(error: &HttpError) -> &'static str {
    match error {
        HttpError::Url { .. } | HttpError::TlsMissing { .. } | HttpError::Request(_) => {
            "Check the URL and the headers."
        }
        HttpError::Resolve { .. } => "Check the host name.",
        HttpError::Connect { .. } => "Is the server running, and is the port right?",
        HttpError::ConnectDeadline { .. } => "Is the host reachable from here, and the port open?",
        HttpError::Tls { .. } => "Does the server speak TLS (https) here, with a certificate that this system trusts?",
        HttpError::HeadDeadline(_) | HttpError::BodyDeadline(_) => {
            "The connection was accepted; the server is wedged, or slow to start and needs a higher limit."
        }
        HttpError::HeadTooLarge { .. } | HttpError::Invalid(_) => {
            "Does another protocol listen there, perhaps https instead of http?"
        }
        HttpError::Broken(_) => "The server closed the connection; its log should say why. It may also expect https.",
    }
}

#[cfg(test)]
mod tests;
