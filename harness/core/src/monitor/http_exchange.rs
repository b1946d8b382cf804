//! HTTP exchanges as the monitors of the HTTP transports see them: what was asked, what came back, in which order.

use std::collections::HashMap;

use super::conversation::{Conversation, Direction, Frame};
use crate::jsonrpc::{Document, Element, IdToken, Reading, Shape};
use crate::sse::Oddity;
use crate::trace::{EventKind, Intent, Payload};

/// One request and what came back.
pub(super) struct HttpExchange<'a> {
    /// Its number.
    pub(super) number: u32,
    /// The event of the request.
    pub(super) request: usize,
    /// The HTTP method.
    pub(super) method: &'a str,
    /// Path and query that were asked for.
    pub(super) target: &'a str,
    request_fields: &'a [(String, String)],
    /// The message that was posted.
    pub(super) posted: Option<&'a Frame>,
    /// The head of the response.
    pub(super) response: Option<Head<'a>>,
    /// A body that is neither a message nor an event stream.
    pub(super) body: Option<(usize, &'a Payload)>,
    /// What the response holds, in order.
    pub(super) items: Vec<Item<'a>>,
    /// The event of its end, with the reason for a failure.
    pub(super) ended: Option<(usize, Option<&'a str>)>,
}

/// The head of a response.
pub(super) struct Head<'a> {
    /// Its event.
    pub(super) event: usize,
    /// The status code.
    pub(super) status: u16,
    fields: &'a [(String, String)],
}

/// One thing in a response.
pub(super) enum Item<'a> {
    /// A message, or what stands in its place, with the other fields of its event.
    Message {
        frame: &'a Frame,
        name: Option<&'a str>,
        id: Option<&'a str>,
        retry: Option<u64>,
    },
    /// An event of a stream without a message.
    Event {
        event: usize,
        name: Option<&'a str>,
        data: &'a [u8],
        id: Option<&'a str>,
        retry: Option<u64>,
        terminated: bool,
    },
    /// Something odd about the framing of a stream.
    Oddity { event: usize, oddity: &'a Oddity },
}

impl<'a> HttpExchange<'a> {
    /// All exchanges of a conversation, in order.
    pub(super) fn all(conversation: &'a Conversation<'_>) -> Vec<Self> {
        let mut exchanges: Vec<Self> = Vec::new();
        let mut frames = conversation.frames().iter().peekable();
        let mut positions: HashMap<u32, usize> = HashMap::new();
        for (event, kind) in conversation.trace().events.iter().map(|event| &event.kind).enumerate() {
            let frame = frames.next_if(|frame| frame.event == event);
            if let EventKind::HttpRequest {
                exchange,
                method,
                target,
                headers,
                ..
            } = kind
            {
                positions.insert(*exchange, exchanges.len());
                exchanges.push(Self {
                    number: *exchange,
                    request: event,
                    method,
                    target,
                    request_fields: headers,
                    posted: None,
                    response: None,
                    body: None,
                    items: Vec::new(),
                    ended: None,
                });
                continue;
            }
            let Some(number) = kind.exchange() else { continue };
            if let Some(position) = positions.get(&number) {
                exchanges[*position].take_in(event, kind, frame);
            }
        }
        exchanges
    }

    fn take_in(&mut self, event: usize, kind: &'a EventKind, frame: Option<&'a Frame>) {
        match kind {
            EventKind::Sent { .. } => self.posted = frame,
            EventKind::HttpResponse { status, headers, .. } => {
                self.response = Some(Head {
                    event,
                    status: *status,
                    fields: headers,
                });
            }
            EventKind::HttpBody { payload, .. } => self.body = Some((event, payload)),
            EventKind::HttpEnded { failure, .. } => self.ended = Some((event, failure.as_deref())),
            EventKind::Received { .. } => self.items.extend(frame.map(|frame| Item::Message {
                frame,
                name: None,
                id: None,
                retry: None,
            })),
            EventKind::StreamEventFields {
                name: the_name,
                id: the_id,
                retry: the_retry,
                ..
            } => {
                if let Some(Item::Message { name, id, retry, .. }) = self.items.last_mut() {
                    (*name, *id, *retry) = (the_name.as_deref(), the_id.as_deref(), *the_retry);
                }
            }
            EventKind::StreamEvent {
                name,
                data,
                id,
                retry,
                terminated,
                ..
            } => self.items.push(Item::Event {
                event,
                name: name.as_deref(),
                data: data.bytes(),
                id: id.as_deref(),
                retry: *retry,
                terminated: *terminated,
            }),
            EventKind::StreamOddity { oddity, .. } => self.items.push(Item::Oddity { event, oddity }),
            _ => {}
        }
    }

    /// A header field of the request.
    pub(super) fn request_field(&self, name: &str) -> Option<&'a str> {
        field(self.request_fields, name)
    }

    /// Every header field of the request with this name.
    pub(super) fn request_fields_named<'n>(&self, wanted: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        let fields = self.request_fields.iter();
        let named = fields.filter(move |(name, _)| name.eq_ignore_ascii_case(wanted));
        named.map(|(_, value)| value.as_str())
    }

    /// Whether the fields of MCP are spelled in no odd way, and none of them repeats an argument of a tool.
    pub(super) fn is_plain(&self) -> bool {
        let mut own = self.request_fields.iter().filter(|(name, _)| {
            let start = name.get(..4).unwrap_or_default();
            start.eq_ignore_ascii_case("mcp-")
        });
        own.all(|(name, _)| {
            let mixed =
                name.contains(|c: char| c.is_ascii_uppercase()) && name.contains(|c: char| c.is_ascii_lowercase());
            mixed && !name.to_ascii_lowercase().starts_with("mcp-param-")
        })
    }

    /// A header field of the response.
    pub(super) fn response_field(&self, name: &str) -> Option<&'a str> {
        field(self.response.as_ref()?.fields, name)
    }

    /// The head of a response that says that all went well.
    pub(super) fn success(&self) -> Option<&Head<'a>> {
        self.response.as_ref().filter(|head| (200..300).contains(&head.status))
    }

    /// The media type of the response in lower case, without parameters; empty when there is none.
    pub(super) fn media_type(&self) -> String {
        let value = self.response_field("content-type").unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// Whether the response is an event stream.
    pub(super) fn is_stream(&self) -> bool {
        self.success().is_some() && self.media_type() == "text/event-stream"
    }

    /// Whether the stream goes on where an earlier one broke off.
    pub(super) fn is_resumed(&self) -> bool {
        self.request_field("last-event-id").is_some()
    }

    /// Whether what was posted is a message that a client may send.
    pub(super) fn is_proper(&self) -> bool {
        self.posted.is_some_and(|frame| frame.intent != Some(Intent::Broken))
    }

    /// The shapes of the messages that were posted, a batch taken apart.
    pub(super) fn posted_shapes(&self) -> Vec<&'a Shape> {
        self.posted.map(shapes).unwrap_or_default()
    }

    /// The ids of the requests that were posted.
    pub(super) fn request_ids(&self) -> Vec<&'a IdToken> {
        let shapes = self.posted_shapes().into_iter();
        shapes
            .filter_map(|shape| match shape {
                Shape::Request { id, .. } => Some(id),
                _ => None,
            })
            .collect()
    }

    /// Whether a request of this method was posted.
    pub(super) fn asks(&self, wanted: &str) -> bool {
        self.posted_shapes()
            .iter()
            .any(|shape| matches!(shape, Shape::Request { method, .. } if method == wanted))
    }

    /// The frames that came back.
    pub(super) fn messages(&self) -> impl Iterator<Item = &'a Frame> + '_ {
        self.items.iter().filter_map(|item| match item {
            Item::Message { frame, .. } => Some(*frame),
            _ => None,
        })
    }

    /// The ids of the events of the stream, each with its event.
    pub(super) fn event_ids(&self) -> impl Iterator<Item = (usize, &'a str)> + '_ {
        self.items.iter().filter_map(|item| match item {
            Item::Message { frame, id, .. } => Some((frame.event, (*id)?)),
            Item::Event { event, id, .. } => Some((*event, (*id)?)),
            Item::Oddity { .. } => None,
        })
    }

    /// Whether the server ended the response by itself and in good order.
    pub(super) fn ended_well(&self) -> bool {
        matches!(self.ended, Some((_, None)))
    }

    /// The session that the exchange belongs to: the one that it names, or the one that it opened.
    pub(super) fn session(&self) -> Option<&'a str> {
        self.request_field("mcp-session-id")
            .or_else(|| self.response_field("mcp-session-id"))
    }
}

/// The shapes of the messages in a frame, a batch taken apart.
pub(super) fn shapes(frame: &Frame) -> Vec<&Shape> {
    match &frame.reading {
        Reading::Complete(Document {
            shape: Shape::Batch(elements),
            ..
        }) => elements.iter().map(|Element { shape, .. }| shape).collect(),
        Reading::Complete(Document { shape, .. }) => vec![shape],
        _ => Vec::new(),
    }
}

/// Whether a frame holds a response, and to which id.
pub(super) fn responses(frame: &Frame) -> Vec<Option<&IdToken>> {
    debug_assert!(frame.direction == Direction::FromServer);
    let shapes = shapes(frame).into_iter();
    shapes
        .filter_map(|shape| match shape {
            Shape::Response { id } | Shape::ErrorResponse { id } => Some(id.as_ref()),
            _ => None,
        })
        .collect()
}

fn field<'a>(fields: &'a [(String, String)], wanted: &str) -> Option<&'a str> {
    let found = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
    found.map(|(_, value)| value.as_str())
}
