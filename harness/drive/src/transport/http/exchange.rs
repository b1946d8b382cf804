//! Exchanges: requests that run side by side, each in a task of its own, recorded by the tap and reported through one queue.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::rc::Rc;

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use touchstone_core::jsonrpc;
use touchstone_core::sse::{SseEvent, SseItem, SseReader};
use touchstone_core::trace::{Channel, ENDED_BY_HARNESS, EventKind, Intent, Payload};

use super::{HttpClient, HttpError, HttpRequest, ResponseBody};
use crate::tap::Tap;
use crate::transport::{Incoming, Sent, TransportLimits};

/// What a client of Streamable HTTP accepts as an answer.
pub(in crate::transport) const MESSAGE_TYPES: &str = "application/json, text/event-stream";

/// How much of a body that is no message is kept.
const OTHER_BODY_BYTES: usize = 64 * 1024;

/// Comments, oddities and events without a message that one stream may leave in the trace. Keep-alives need a handful an hour.
const NOTED_ITEMS: usize = 1000;

/// Longest id or type of an event that is kept as it is. No header field, in which an id comes back, can be longer.
const LONGEST_FIELD: usize = 16 * 1024;

/// Why an exchange failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::transport) enum ExchangeFailure {
    /// No response, or no end of it.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The harness stopped it.
    #[error("{ENDED_BY_HARNESS}")]
    Ended,
    /// The body is longer than allowed.
    #[error("the response body is longer than {0} bytes")]
    TooLong(usize),
    /// The body is encoded although only `identity` was accepted.
    #[error("the response body is encoded as {0} although only identity was accepted")]
    Encoded(String),
}

/// What a transport wants to know of an exchange as it happens, before the session does.
pub(in crate::transport) trait Observer {
    /// The head of the response arrived.
    fn head(&self, _status: u16, _headers: &HeaderMap) {}
    /// An event of an event stream arrived; messages count, and so do events of other types, if they have data.
    fn stream_event(&self, _name: Option<&str>, _data: &[u8]) {}
    /// A body that is no message was read.
    fn other_body(&self, _bytes: &[u8]) {}
    /// The exchange is over. What is given back is put into the queue last of all.
    fn ended(&self, _failure: Option<&ExchangeFailure>) -> Option<Incoming> {
        None
    }
}

/// The exchanges of one connection.
pub(in crate::transport) struct Exchanges {
    client: HttpClient,
    tap: Tap,
    limits: TransportLimits,
    queue: Option<mpsc::Sender<Incoming>>,
    next: u32,
    running: Vec<Running>,
}

/// A request that was recorded and is on its way.
#[derive(Debug, Clone, Copy)]
pub(in crate::transport) struct Started {
    /// The number of the exchange.
    pub(in crate::transport) exchange: u32,
    /// Index of the event that holds the body, or the request when there is no body.
    pub(in crate::transport) event: usize,
}

impl From<Started> for Sent {
    fn from(started: Started) -> Self {
        Self {
            event: started.event,
            exchange: Some(started.exchange),
        }
    }
}

struct Running {
    exchange: u32,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Exchanges {
    /// Exchanges over `client`, and the queue that receives what becomes of them.
    pub(in crate::transport) fn new(
        client: HttpClient,
        tap: Tap,
        limits: &TransportLimits,
    ) -> (Self, mpsc::Receiver<Incoming>) {
        let (queue, receiver) = mpsc::channel(limits.queue_messages.max(1));
        // Numbers go on where an earlier connection with the same trace has stopped.
        let next = tap.read(|trace| {
            let numbers = trace.events.iter().filter_map(|event| match event.kind {
                EventKind::HttpRequest { exchange, .. } => Some(exchange + 1),
                _ => None,
            });
            numbers.max().unwrap_or(0)
        });
        (
            Self {
                client,
                tap,
                limits: limits.clone(),
                queue: Some(queue),
                next,
                running: Vec::new(),
            },
            receiver,
        )
    }

    pub(in crate::transport) fn client(&self) -> &HttpClient {
        &self.client
    }

    /// Records a request and starts a task that sends it and reads the response. Its body is recorded as a message when `intent` is given.
    pub(in crate::transport) fn start(
        &mut self,
        request: HttpRequest,
        intent: Option<Intent>,
        observer: Rc<dyn Observer>,
    ) -> Started {
        let exchange = self.next;
        self.next += 1;
        let (target, headers) = self.client.shown_request(&request);
        let method = request.method.to_string();
        let channel = if request.method == http::Method::GET {
            Channel::GetStream
        } else {
            Channel::PostStream
        };
        let mut event = self.tap.record(EventKind::HttpRequest {
            exchange,
            method,
            target,
            headers,
        });
        if let (Some(body), Some(intent)) = (&request.body, intent) {
            let payload = Payload::from(body.to_vec());
            event = self.tap.record(EventKind::Sent {
                payload,
                exchange: Some(exchange),
                intent,
            });
        }
        let stop = CancellationToken::new();
        let exchanging = Exchange {
            client: self.client.clone(),
            tap: self.tap.clone(),
            limits: self.limits.clone(),
            queue: self.queue.clone(),
            exchange,
            channel,
            noted: 0,
            observer,
        };
        let task = tokio::task::spawn_local(exchanging.drive(request, stop.clone()));
        self.running.retain(|running| !running.task.is_finished());
        self.running.push(Running { exchange, stop, task });
        Started { exchange, event }
    }

    /// Ends one exchange: its connection is closed, the trace says so. Nothing happens when it is over already.
    pub(in crate::transport) fn stop(&self, exchange: u32) {
        for running in self.running.iter().filter(|running| running.exchange == exchange) {
            running.stop.cancel();
        }
    }

    /// Ends every exchange and takes the queue away: whoever reads it finds what has arrived so far, and then its end.
    pub(in crate::transport) async fn stop_all(&mut self) {
        self.queue = None;
        for running in &self.running {
            running.stop.cancel();
        }
        self.settle().await;
    }

    /// Waits until every exchange is over, for as long as closing may take, then ends those that are left.
    pub(in crate::transport) async fn settle(&mut self) {
        let all = async {
            for running in &mut self.running {
                // A task that was stopped or has panicked has nothing more to record.
                let _ = (&mut running.task).await;
            }
        };
        if tokio::time::timeout(self.limits.close, all).await.is_err() {
            for running in &self.running {
                running.stop.cancel();
            }
            tokio::task::yield_now().await;
        }
        self.running.retain(|running| !running.task.is_finished());
    }
}

impl Drop for Exchanges {
    fn drop(&mut self) {
        for running in &self.running {
            running.stop.cancel();
        }
    }
}

impl fmt::Debug for Exchanges {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Exchanges")
            .field("next", &self.next)
            .field("running", &self.running.len())
            .finish()
    }
}

/// One exchange on its way.
struct Exchange {
    client: HttpClient,
    tap: Tap,
    limits: TransportLimits,
    queue: Option<mpsc::Sender<Incoming>>,
    exchange: u32,
    channel: Channel,
    noted: usize,
    observer: Rc<dyn Observer>,
}

impl Exchange {
    async fn drive(mut self, request: HttpRequest, stop: CancellationToken) {
        let failure = tokio::select! {
            biased;
            () = stop.cancelled() => Some(ExchangeFailure::Ended),
            outcome = self.run(request) => outcome.err(),
        };
        let text = failure.as_ref().map(ToString::to_string);
        self.tap.record(EventKind::HttpEnded {
            exchange: self.exchange,
            failure: text.clone(),
        });
        let last = self.observer.ended(failure.as_ref());
        let Some(queue) = self.queue.take() else { return };
        for item in [
            Some(Incoming::ExchangeEnded {
                exchange: self.exchange,
                failure: text,
            }),
            last,
        ]
        .into_iter()
        .flatten()
        {
            tokio::select! {
                biased;
                // The receiver may be gone, and then nobody misses the item.
                _ = queue.send(item) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn run(&mut self, request: HttpRequest) -> Result<(), ExchangeFailure> {
        let document = request.document;
        let mut response = self.client.send(request).await?;
        let headers = self.client.shown_fields(&response.headers);
        let (exchange, status) = (self.exchange, response.status);
        let event = self.tap.record(EventKind::HttpResponse {
            exchange,
            status,
            headers,
        });
        self.observer.head(status, &response.headers);
        self.deliver(Incoming::Head {
            exchange,
            status,
            event,
        })
        .await;

        if let Some(encoding) = foreign_encoding(&response.headers) {
            self.read_other(&mut response.body).await?;
            return Err(ExchangeFailure::Encoded(encoding));
        }
        match essence(&response.headers).as_str() {
            _ if document => self.read_other(&mut response.body).await,
            "application/json" => self.read_json(status, &mut response.body).await,
            "text/event-stream" => self.read_stream(&mut response.body).await,
            _ => self.read_other(&mut response.body).await,
        }
    }

    async fn read_json(&mut self, status: u16, body: &mut ResponseBody) -> Result<(), ExchangeFailure> {
        let cap = self.limits.message_bytes;
        match body.read(cap, self.limits.body_idle).await {
            Ok((bytes, false)) => {
                let success = (200..300).contains(&status);
                if bytes.is_empty() {
                } else if (success && status != 202) || is_protocol_message(&bytes) {
                    self.receive(bytes, Channel::JsonBody).await;
                } else {
                    self.keep_other(&bytes);
                }
                Ok(())
            }
            Ok((bytes, true)) => {
                self.tap.record(EventKind::LimitReached {
                    limit: format!("{cap} bytes of a JSON body"),
                });
                self.keep_other(&bytes);
                Err(ExchangeFailure::TooLong(cap))
            }
            Err((bytes, error)) => {
                self.keep_other(&bytes);
                Err(error.into())
            }
        }
    }

    async fn read_other(&mut self, body: &mut ResponseBody) -> Result<(), ExchangeFailure> {
        let cap = OTHER_BODY_BYTES.min(self.limits.message_bytes);
        match body.read(cap, self.limits.body_idle).await {
            // A message under a wrong media type is still what the server says.
            Ok((bytes, false)) if is_protocol_message(&bytes) => {
                self.receive(bytes, Channel::JsonBody).await;
                Ok(())
            }
            Ok((bytes, cut)) => {
                self.keep_other(&bytes);
                if cut {
                    self.tap.record(EventKind::LimitReached {
                        limit: format!("{cap} bytes of a body that is no message"),
                    });
                    return Err(ExchangeFailure::TooLong(cap));
                }
                Ok(())
            }
            Err((bytes, error)) => {
                self.keep_other(&bytes);
                Err(error.into())
            }
        }
    }

    async fn read_stream(&mut self, body: &mut ResponseBody) -> Result<(), ExchangeFailure> {
        let mut stream = SseReader::new(self.limits.message_bytes);
        let end = loop {
            match body.chunk(None).await {
                Ok(Some(chunk)) => {
                    stream.push(&chunk);
                    while let Some(item) = stream.next_item() {
                        self.stream_item(item).await;
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error.into()),
            }
        };
        for item in stream.finish() {
            self.stream_item(item).await;
        }
        end
    }

    async fn stream_item(&mut self, item: SseItem) {
        let exchange = self.exchange;
        match item {
            SseItem::Event(event) => self.stream_event(event).await,
            SseItem::Comment(text) => self.note(EventKind::StreamComment {
                exchange,
                payload: text.into(),
            }),
            SseItem::Oddity(oddity) => self.note(EventKind::StreamOddity { exchange, oddity }),
        }
    }

    async fn stream_event(&mut self, event: SseEvent) {
        let (exchange, channel) = (self.exchange, self.channel);
        let SseEvent {
            name,
            data,
            id,
            retry,
            complete,
            ..
        } = event;
        let (name, id) = (name.map(shortened), id.map(shortened));
        if complete && !data.is_empty() {
            self.observer.stream_event(name.as_deref(), &data);
        }
        let ordinary = matches!(name.as_deref(), None | Some("" | "message"));
        // A message under another name reaches no client that listens for messages, but what it says is still worth having.
        let is_message = !data.is_empty() && (ordinary || is_protocol_message(&data));
        if !is_message {
            self.note(EventKind::StreamEvent {
                exchange,
                name,
                data: data.into(),
                id,
                retry,
                terminated: complete,
            });
            return;
        }
        let payload = Payload::from(data.as_slice());
        let received = EventKind::Received {
            payload,
            channel,
            exchange: Some(exchange),
            terminated: complete,
        };
        let event = self.tap.record(received);
        let name = name.filter(|_| !ordinary);
        if name.is_some() || id.is_some() || retry.is_some() {
            self.tap.record(EventKind::StreamEventFields {
                exchange,
                name,
                id,
                retry,
            });
        }
        // An event without its blank line is one that no client would see.
        if complete {
            self.deliver(Incoming::Message {
                bytes: data,
                event,
                channel,
                exchange: Some(exchange),
            })
            .await;
        }
    }

    /// Records what is no message, as long as there is not too much of it.
    fn note(&mut self, kind: EventKind) {
        self.noted += 1;
        if self.noted <= NOTED_ITEMS {
            self.tap.record(kind);
        } else if self.noted == NOTED_ITEMS + 1 {
            let limit = format!("{NOTED_ITEMS} comments, oddities and events without a message in one event stream");
            self.tap.record(EventKind::LimitReached { limit });
        }
    }

    fn keep_other(&self, bytes: &[u8]) {
        let kept = &bytes[..bytes.len().min(OTHER_BODY_BYTES)];
        self.observer.other_body(kept);
        if !kept.is_empty() {
            self.tap.record(EventKind::HttpBody {
                exchange: self.exchange,
                payload: kept.into(),
            });
        }
    }

    async fn receive(&self, bytes: Vec<u8>, channel: Channel) {
        let payload = Payload::from(bytes.as_slice());
        let exchange = Some(self.exchange);
        let event = self.tap.record(EventKind::Received {
            payload,
            channel,
            exchange,
            terminated: true,
        });
        self.deliver(Incoming::Message {
            bytes,
            event,
            channel,
            exchange,
        })
        .await;
    }

    /// Waits for room in the queue: a session that does not receive makes the reading stop.
    async fn deliver(&self, item: Incoming) {
        if let Some(queue) = &self.queue {
            // The receiver may be gone, and then nobody misses the item.
            let _ = queue.send(item).await;
        }
    }
}

/// A field of an event in bearable length. Different ones stay different.
fn shortened(field: String) -> String {
    if field.len() <= LONGEST_FIELD {
        return field;
    }
    let mut hasher = DefaultHasher::new();
    field.hash(&mut hasher);
    let kept = &field[..field.floor_char_boundary(LONGEST_FIELD)];
    format!("{kept}... ({} bytes, {:016x})", field.len(), hasher.finish())
}

/// The media type of a response in lower case, without parameters; empty when there is none.
pub(in crate::transport) fn essence(headers: &HeaderMap) -> String {
    let value = headers
        .get(CONTENT_TYPE)
        .map(http::HeaderValue::as_bytes)
        .unwrap_or_default();
    let text = String::from_utf8_lossy(value);
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The encoding of a body, when it has one.
fn foreign_encoding(headers: &HeaderMap) -> Option<String> {
    let value = String::from_utf8_lossy(headers.get(CONTENT_ENCODING)?.as_bytes())
        .trim()
        .to_owned();
    (!value.is_empty() && !value.eq_ignore_ascii_case("identity")).then_some(value)
}

/// Whether the body of a refusal is a JSON-RPC message, as it may be, rather than what some layer in front has to say.
fn is_protocol_message(bytes: &[u8]) -> bool {
    match jsonrpc::value(bytes) {
        Some(serde_json::Value::Object(object)) => object.contains_key("jsonrpc"),
        Some(serde_json::Value::Array(_)) => true,
        _ => false,
    }
}
