//! Streamable HTTP (2025-03-26 and later): every message is a POST of its own, answered by JSON, by an event stream, or by 202.
//!
//! Posts run side by side; what they bring arrives in one queue. The session id and the protocol version that the server has given are added
//! to every request; everything else about a request can be changed by a case through [`StreamableHttpConnection::request_raw`].

use std::cell::RefCell;
use std::rc::Rc;

use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use tokio::sync::mpsc;

use touchstone_core::trace::Intent;

use super::http::{Exchanges, HttpClient, HttpError, HttpRequest, MESSAGE_TYPES, Observer, RawRequest};
use super::routing::{PROTOCOL_VERSION, Routing};
use super::{Incoming, Sent, TransportError, TransportLimits};
use crate::tap::Tap;
use crate::target::UrlTarget;

pub(super) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Session ids that are remembered in order to end the sessions; a server that hands out more has to clean up itself.
const REMEMBERED_SESSIONS: usize = 64;

/// A connection over Streamable HTTP. Opening it contacts nobody: the first message does.
#[derive(Debug)]
pub struct StreamableHttpConnection {
    exchanges: Exchanges,
    queue: mpsc::Receiver<Incoming>,
    sessions: Rc<RefCell<Sessions>>,
    protocol_version: Option<HeaderValue>,
    /// In the stateless era: how messages are mirrored. Session ids mean nothing then.
    routing: Option<Routing>,
    closed: bool,
    closed_given: bool,
}

/// The sessions that the server has opened for this connection.
#[derive(Debug, Default)]
struct Sessions {
    current: Option<HeaderValue>,
    /// Counts the calls of `forget_session`: a response to an earlier request does not bring the forgotten id back.
    generation: u32,
    /// Handed out and not ended yet.
    open: Vec<HeaderValue>,
    ended: Vec<HeaderValue>,
}

impl StreamableHttpConnection {
    /// A connection to `target`, recorded by `tap`.
    ///
    /// # Errors
    /// When the URL or a header of the target cannot be used.
    pub fn open(target: &UrlTarget, limits: &TransportLimits, tap: Tap) -> Result<Self, HttpError> {
        let client = HttpClient::new(&target.url, &target.headers, limits)?;
        let (exchanges, queue) = Exchanges::new(client, tap, limits);
        let sessions = Rc::default();
        Ok(Self {
            exchanges,
            queue,
            sessions,
            protocol_version: None,
            routing: None,
            closed: false,
            closed_given: false,
        })
    }

    /// Posts one message and returns at once; the answer arrives in the queue.
    ///
    /// # Errors
    /// When the connection was closed.
    pub async fn send(&mut self, message: &[u8], intent: Intent) -> Result<Sent, TransportError> {
        let mut request = self.default_request(&Method::POST)?;
        self.mirror(&mut request, Some(message));
        request.set_body(message.to_vec());
        let observer = self.observer(true, None);
        Ok(self.exchanges.start(request, Some(intent), observer).into())
    }

    /// Waits for what comes next. Cancel-safe. `None` once [`Incoming::Closed`] was given, which happens only after
    /// [`StreamableHttpConnection::close`]: a server that cannot be reached makes exchanges fail, not the connection.
    pub async fn receive(&mut self) -> Option<Incoming> {
        if let Some(item) = self.queue.recv().await {
            return Some(item);
        }
        (!std::mem::replace(&mut self.closed_given, true)).then(|| Incoming::Closed {
            reason: "the harness closed the connection".to_owned(),
        })
    }

    /// Opens a stream for messages of the server by GET, from where an earlier stream broke off when `last_event_id` is given. The
    /// response, 405 included, arrives in the queue.
    ///
    /// # Errors
    /// When the connection was closed, or the id cannot stand in a header.
    pub fn open_stream(&mut self, last_event_id: Option<&str>) -> Result<u32, TransportError> {
        let mut request = self.default_request(&Method::GET)?;
        if let Some(id) = last_event_id {
            request.set(LAST_EVENT_ID, header_value("Last-Event-ID", id.as_bytes())?);
        }
        let observer = self.observer(true, None);
        Ok(self.exchanges.start(request, None, observer).exchange)
    }

    /// Asks the server to end the session, by DELETE. The id goes on being sent until [`StreamableHttpConnection::forget_session`].
    ///
    /// # Errors
    /// When the connection was closed.
    pub fn end_session(&mut self) -> Result<u32, TransportError> {
        let request = self.default_request(&Method::DELETE)?;
        let observer = self.observer(false, self.sessions.borrow().current.clone());
        Ok(self.exchanges.start(request, None, observer).exchange)
    }

    /// Sends a request of a case's own making: the defaults for its method, changed as it says. Gives back the number of
    /// the exchange, whose results arrive in the queue.
    ///
    /// # Errors
    /// When the connection was closed, or HTTP cannot carry the request.
    pub fn request_raw(&mut self, raw: &RawRequest) -> Result<u32, TransportError> {
        let method = raw.parsed_method()?;
        let mut request = self.default_request(&method)?;
        if !raw.document {
            self.mirror(&mut request, raw.body.as_deref());
        }
        raw.apply(&mut request)?;
        let ends = (method == Method::DELETE)
            .then(|| request.headers().get(SESSION_ID).cloned())
            .flatten();
        let observer = self.observer(raw.adopt_session, ends);
        let intent = (!request.is_document()).then_some(raw.intent);
        Ok(self.exchanges.start(request, intent, observer).exchange)
    }

    /// Speaks the stateless era, or, with `None`, the one of sessions.
    pub fn set_routing(&mut self, routing: Option<Routing>) {
        self.routing = routing;
    }

    /// Remembers what listed tools say about header fields.
    pub fn note_tools(&self, tools: &[serde_json::Value]) {
        if let Some(routing) = &self.routing {
            routing.note_tools(tools);
        }
    }

    fn mirror(&self, request: &mut HttpRequest, body: Option<&[u8]>) {
        for (name, value) in self.routing.iter().flat_map(|routing| routing.fields(body)) {
            request.set(name, value);
        }
    }

    /// Breaks off one exchange, as a client that disconnects does. Its end arrives in the queue.
    pub fn abandon(&mut self, exchange: u32) {
        self.exchanges.stop(exchange);
    }

    /// Sets or removes the `MCP-Protocol-Version` field of the requests to come. A version that cannot stand in a header is not sent.
    pub fn set_protocol_version(&mut self, version: Option<String>) {
        self.protocol_version = version.and_then(|version| HeaderValue::from_str(&version).ok());
    }

    /// The session id that requests carry, when the server has given one.
    #[must_use]
    pub fn session_id(&self) -> Option<String> {
        self.sessions
            .borrow()
            .current
            .as_ref()
            .map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned())
    }

    /// The URL of the endpoint.
    #[must_use]
    pub fn url(&self) -> &url::Url {
        self.exchanges.client().url()
    }

    /// Sends no session id until the answer to a later request brings a new one. The session itself is ended by
    /// [`StreamableHttpConnection::close`], unless it was ended before.
    pub fn forget_session(&mut self) {
        let mut sessions = self.sessions.borrow_mut();
        sessions.current = None;
        sessions.generation += 1;
    }

    /// Ends every exchange, then every session that the server has opened and that was not ended yet. What has arrived before can still be
    /// received; then comes [`Incoming::Closed`].
    pub async fn close(&mut self) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        self.exchanges.stop_all().await;
        let open = std::mem::take(&mut self.sessions.borrow_mut().open);
        // In the stateless era nobody asks to end what nobody should have opened.
        let open = if self.routing.is_none() { open } else { Vec::new() };
        for id in open {
            let Ok(mut request) = self.fresh_request(&Method::DELETE) else {
                break;
            };
            request.set(SESSION_ID, id.clone());
            let observer = self.observer(false, Some(id));
            self.exchanges.start(request, None, observer);
        }
        self.exchanges.settle().await;
    }

    /// A request with everything that an ordinary client sends with this method.
    fn default_request(&self, method: &Method) -> Result<HttpRequest, TransportError> {
        if self.closed {
            return Err(TransportError::Closed("the harness closed it".to_owned()));
        }
        let mut request = self.fresh_request(method)?;
        if let Some(id) = &self.sessions.borrow().current {
            request.set(SESSION_ID, id.clone());
        }
        Ok(request)
    }

    fn fresh_request(&self, method: &Method) -> Result<HttpRequest, TransportError> {
        let mut request = self.exchanges.client().request(method.clone())?;
        match *method {
            Method::GET => request.set(ACCEPT, HeaderValue::from_static("text/event-stream")),
            Method::DELETE => {}
            _ => {
                request.set(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                request.set(ACCEPT, HeaderValue::from_static(MESSAGE_TYPES));
            }
        }
        if let Some(version) = &self.protocol_version {
            request.set(PROTOCOL_VERSION, version.clone());
        }
        Ok(request)
    }

    fn observer(&self, adopt: bool, ends: Option<HeaderValue>) -> Rc<dyn Observer> {
        let generation = self.sessions.borrow().generation;
        Rc::new(SessionObserver {
            sessions: Rc::clone(&self.sessions),
            adopt: (adopt && self.routing.is_none()).then_some(generation),
            ends,
        })
    }
}

/// Keeps account of the sessions that responses open and end.
struct SessionObserver {
    sessions: Rc<RefCell<Sessions>>,
    /// The generation in which an id that the response carries becomes the connection's.
    adopt: Option<u32>,
    /// The session that the request asks to end.
    ends: Option<HeaderValue>,
}

impl Observer for SessionObserver {
    fn head(&self, status: u16, headers: &HeaderMap) {
        let mut sessions = self.sessions.borrow_mut();
        let success = (200..300).contains(&status);
        if let Some(id) = &self.ends {
            // 404: it is gone already. 405: the server does not let clients end sessions.
            if success || matches!(status, 404 | 405) {
                sessions.open.retain(|open| open != id);
                if sessions.ended.len() < REMEMBERED_SESSIONS {
                    sessions.ended.push(id.clone());
                }
            }
            return;
        }
        let Some(id) = headers.get(SESSION_ID) else { return };
        if sessions.open.len() < REMEMBERED_SESSIONS && !sessions.open.contains(id) && !sessions.ended.contains(id) {
            sessions.open.push(id.clone());
        }
        if success && self.adopt == Some(sessions.generation) {
            sessions.current = Some(id.clone());
        }
    }
}

fn header_value(name: &str, value: &[u8]) -> Result<HeaderValue, TransportError> {
    HeaderValue::from_bytes(value).map_err(|_| {
        TransportError::InvalidRequest(format!("the value of {name} has bytes that no header field may have"))
    })
}

#[cfg(test)]
mod tests;
