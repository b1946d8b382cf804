//! HTTP+SSE (2024-11-05): one event stream brings every message of the server, and its first event names the URI to post to.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method};
use tokio::sync::mpsc;
use url::Url;

use touchstone_core::trace::Intent;

use super::http::{
    ExchangeFailure, Exchanges, HttpClient, HttpError, HttpRequest, MESSAGE_TYPES, Observer, RawRequest, essence,
};
use super::{Incoming, Sent, TransportError, TransportLimits};
use crate::tap::Tap;
use crate::target::UrlTarget;

/// How much of a refusal's body, or of an event that cannot be used, an error message shows.
const SHOWN_BYTES: usize = 200;

/// Why no connection over HTTP+SSE came about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpSseError {
    /// The exchange itself failed.
    #[error("GET {url} failed: {error}")]
    Http {
        /// The URL, without credentials.
        url: String,
        /// Why.
        error: HttpError,
    },
    /// The server answered with an error status.
    #[error(
        "GET {url} was answered with status {status}: {beginning:?}; is this the path of the event stream, often /sse?"
    )]
    Refused {
        /// The URL, without credentials.
        url: String,
        /// The status.
        status: u16,
        /// The beginning of the body.
        beginning: String,
    },
    /// The server answered with something else than an event stream.
    #[error(
        "GET {url} was answered with content type {content_type:?} instead of text/event-stream: {beginning:?}; \
         is this the path of the event stream, often /sse?"
    )]
    NotAnEventStream {
        /// The URL, without credentials.
        url: String,
        /// The media type of the answer.
        content_type: String,
        /// The beginning of the body.
        beginning: String,
    },
    /// The stream ended, or nothing came in time.
    #[error(
        "the event stream brought no endpoint event: {0}; a server of Streamable HTTP behaves like this, try that transport"
    )]
    NoEndpoint(String),
    /// Another event came first.
    #[error("the first event of the stream is {name:?} with data {data:?}, not the endpoint event")]
    OtherEventFirst {
        /// The type of the event; `message` when it names none.
        name: String,
        /// The beginning of its data.
        data: String,
    },
    /// The data of the endpoint event is no URI that can be posted to.
    #[error("the endpoint event names {data:?}, which cannot be posted to: {reason}")]
    UnusableEndpoint {
        /// The beginning of its data.
        data: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The endpoint is on another origin. It was not contacted.
    #[error(
        "the endpoint event leads to the foreign origin {origin}, which was not contacted; messages are only posted to {own}"
    )]
    ForeignEndpoint {
        /// The origin that the event names.
        origin: String,
        /// The origin of the event stream.
        own: String,
    },
}

/// A connection over HTTP+SSE: the event stream is open and the endpoint known.
#[derive(Debug)]
pub struct HttpSseConnection {
    exchanges: Exchanges,
    queue: mpsc::Receiver<Incoming>,
    stream: Rc<StreamObserver>,
    endpoint: Url,
    closed_given: bool,
}

impl HttpSseConnection {
    /// Opens the event stream and waits for the endpoint event.
    ///
    /// # Errors
    /// When the server does not offer this transport here, or names an endpoint that must not be used.
    pub async fn open(target: &UrlTarget, limits: &TransportLimits, tap: Tap) -> Result<Self, HttpSseError> {
        let url = shown(&target.url);
        let failed = |error| HttpSseError::Http {
            url: url.clone(),
            error,
        };
        let client = HttpClient::new(&target.url, &target.headers, limits).map_err(failed)?;
        let (mut exchanges, queue) = Exchanges::new(client, tap, limits);
        let mut request = exchanges.client().request(Method::GET).map_err(failed)?;
        request.set(ACCEPT, HeaderValue::from_static("text/event-stream"));
        let (signals, start) = mpsc::unbounded_channel();
        let stream = Rc::new(StreamObserver {
            signals: RefCell::new(Some(signals)),
            early: Cell::new(0),
            over: RefCell::default(),
        });
        exchanges.start(request, None, Rc::clone(&stream) as Rc<dyn Observer>);

        let found = first_event(start, limits.first_event, &target.url).await;
        *stream.signals.borrow_mut() = None;
        match found.and_then(|data| resolve_endpoint(&target.url, &data)) {
            Ok(endpoint) => Ok(Self {
                exchanges,
                queue,
                stream,
                endpoint,
                closed_given: false,
            }),
            Err(error) => {
                exchanges.stop_all().await;
                Err(error)
            }
        }
    }

    /// Where messages are posted.
    #[must_use]
    pub fn endpoint(&self) -> &Url {
        &self.endpoint
    }

    /// The URL of the event stream.
    #[must_use]
    pub fn url(&self) -> &Url {
        self.exchanges.client().url()
    }

    /// Posts one message to the endpoint and returns at once; what the server answers arrives in the queue.
    ///
    /// # Errors
    /// When the event stream is over.
    pub async fn send(&mut self, message: &[u8], intent: Intent) -> Result<Sent, TransportError> {
        let mut request = self.default_request(&Method::POST)?;
        request.set_body(message.to_vec());
        Ok(self.exchanges.start(request, Some(intent), Rc::new(Unobserved)).into())
    }

    /// Waits for what comes next. Cancel-safe. `None` once [`Incoming::Closed`] was given: when the event stream is over.
    pub async fn receive(&mut self) -> Option<Incoming> {
        if self.closed_given {
            return None;
        }
        let item = self.queue.recv().await;
        let item = item.unwrap_or_else(|| Incoming::Closed {
            reason: "the harness closed the connection".to_owned(),
        });
        self.closed_given = matches!(item, Incoming::Closed { .. });
        Some(item)
    }

    /// Sends a request of a case's own making: the defaults for its method, changed as it says. A POST goes to the endpoint, anything else
    /// to the URL of the event stream. Gives back the number of the exchange, whose results arrive in the queue.
    ///
    /// # Errors
    /// When the event stream is over, or HTTP cannot carry the request.
    pub fn request_raw(&mut self, raw: &RawRequest) -> Result<u32, TransportError> {
        let mut request = self.default_request(&raw.parsed_method()?)?;
        raw.apply(&mut request)?;
        Ok(self
            .exchanges
            .start(request, Some(raw.intent), Rc::new(Unobserved))
            .exchange)
    }

    /// Breaks off one exchange, as a client that disconnects does. Its end arrives in the queue.
    pub fn abandon(&mut self, exchange: u32) {
        self.exchanges.stop(exchange);
    }

    /// Ends the event stream and every other exchange. What has arrived before can still be received; then comes [`Incoming::Closed`].
    pub async fn close(&mut self) {
        self.exchanges.stop_all().await;
    }

    fn default_request(&self, method: &Method) -> Result<HttpRequest, TransportError> {
        if let Some(reason) = &*self.stream.over.borrow() {
            return Err(TransportError::Closed(reason.clone()));
        }
        let client = self.exchanges.client();
        if *method != Method::POST {
            let mut request = client.request(method.clone())?;
            request.set(ACCEPT, HeaderValue::from_static("text/event-stream"));
            return Ok(request);
        }
        let mut request = client.request_to(Method::POST, &self.endpoint)?;
        request.set(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.set(ACCEPT, HeaderValue::from_static(MESSAGE_TYPES));
        Ok(request)
    }
}

/// What happened on the event stream before the connection was open.
enum Signal {
    Head { status: u16, content_type: String },
    Event { name: String, data: Vec<u8> },
    OtherBody(Vec<u8>),
    Ended(Option<ExchangeFailure>),
}

/// Watches the event stream.
#[derive(Debug)]
struct StreamObserver {
    /// Until the connection is open.
    signals: RefCell<Option<mpsc::UnboundedSender<Signal>>>,
    /// Events that came while the connection was being opened.
    early: Cell<usize>,
    /// Why the stream is over, once it is.
    over: RefCell<Option<String>>,
}

/// Events that may come before the endpoint event; the monitors judge that they do.
const EARLY_EVENTS: usize = 20;

impl StreamObserver {
    fn signal(&self, signal: Signal) {
        if let Some(signals) = &*self.signals.borrow() {
            // Nobody listens once the connection is open or has failed to.
            let _ = signals.send(signal);
        }
    }
}

impl Observer for StreamObserver {
    fn head(&self, status: u16, headers: &HeaderMap) {
        self.signal(Signal::Head {
            status,
            content_type: essence(headers),
        });
    }

    fn stream_event(&self, name: Option<&str>, data: &[u8]) {
        self.signal(Signal::Event {
            name: name.unwrap_or("message").to_owned(),
            data: data.to_vec(),
        });
        // The endpoint event decides; a server that goes on must not fill the memory.
        let known = self.early.get() + 1;
        self.early.set(known);
        if name == Some("endpoint") || known >= EARLY_EVENTS {
            *self.signals.borrow_mut() = None;
        }
    }

    fn other_body(&self, bytes: &[u8]) {
        self.signal(Signal::OtherBody(bytes.to_vec()));
    }

    fn ended(&self, failure: Option<&ExchangeFailure>) -> Option<Incoming> {
        self.signal(Signal::Ended(failure.cloned()));
        let reason = match failure {
            None => "the event stream ended".to_owned(),
            Some(failure) => format!("the event stream ended: {failure}"),
        };
        *self.over.borrow_mut() = Some(reason.clone());
        Some(Incoming::Closed { reason })
    }
}

/// A POST brings nothing that the connection itself needs to know.
struct Unobserved;

impl Observer for Unobserved {}

/// The data of the endpoint event.
async fn first_event(
    mut signals: mpsc::UnboundedReceiver<Signal>,
    limit: Duration,
    url: &Url,
) -> Result<Vec<u8>, HttpSseError> {
    let mut head: Option<(u16, String)> = None;
    let mut body = Vec::new();
    let mut other = None;
    loop {
        // Until the head is there, the exchange has deadlines of its own.
        let signal = match &head {
            None => signals.recv().await,
            Some(_) => match tokio::time::timeout(limit, signals.recv()).await {
                Ok(signal) => signal,
                Err(_) => {
                    return Err(
                        other.unwrap_or_else(|| HttpSseError::NoEndpoint(format!("nothing came within {limit:?}")))
                    );
                }
            },
        };
        match signal.unwrap_or(Signal::Ended(Some(ExchangeFailure::Ended))) {
            Signal::Head { status, content_type } => head = Some((status, content_type)),
            Signal::Event { name, data } if name == "endpoint" => return Ok(data),
            // Clients that are told to expect it first give up here; waiting shows whether it comes at all.
            Signal::Event { name, data } => {
                other.get_or_insert_with(|| HttpSseError::OtherEventFirst {
                    name: beginning(name.as_bytes()),
                    data: beginning(&data),
                });
            }
            Signal::OtherBody(bytes) => body = bytes,
            Signal::Ended(failure) => return Err(other.unwrap_or_else(|| without_event(head, &body, failure, url))),
        }
    }
}

/// Why an exchange that has ended brought no event.
fn without_event(
    head: Option<(u16, String)>,
    body: &[u8],
    failure: Option<ExchangeFailure>,
    url: &Url,
) -> HttpSseError {
    let url = shown(url);
    match (head, failure) {
        (Some((status, _)), _) if !(200..300).contains(&status) => HttpSseError::Refused {
            url,
            status,
            beginning: beginning(body),
        },
        (Some((_, content_type)), _) if content_type != "text/event-stream" => HttpSseError::NotAnEventStream {
            url,
            content_type,
            beginning: beginning(body),
        },
        (None, Some(ExchangeFailure::Http(error))) => HttpSseError::Http { url, error },
        (_, Some(failure)) => HttpSseError::NoEndpoint(failure.to_string()),
        (_, None) => HttpSseError::NoEndpoint("the stream ended".to_owned()),
    }
}

/// The endpoint that an event names, on the origin of the event stream.
fn resolve_endpoint(stream: &Url, data: &[u8]) -> Result<Url, HttpSseError> {
    let unusable = |reason: String| HttpSseError::UnusableEndpoint {
        data: beginning(data),
        reason,
    };
    let text = std::str::from_utf8(data).map_err(|_| unusable("it is not UTF-8".to_owned()))?;
    let endpoint = stream.join(text).map_err(|error| unusable(error.to_string()))?;
    if !matches!(endpoint.scheme(), "http" | "https") {
        return Err(unusable(format!(
            "its scheme is {}, not http or https",
            endpoint.scheme()
        )));
    }
    if endpoint.origin() != stream.origin() {
        let origin = endpoint.origin().ascii_serialization();
        return Err(HttpSseError::ForeignEndpoint {
            origin,
            own: stream.origin().ascii_serialization(),
        });
    }
    Ok(endpoint)
}

fn shown(url: &Url) -> String {
    super::http::shown_url(url)
}

fn beginning(bytes: &[u8]) -> String {
    super::http::beginning(bytes, SHOWN_BYTES)
}

#[cfg(test)]
mod tests;
