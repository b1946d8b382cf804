//! A trace read as a conversation: frames parsed once, requests paired with their answers.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::exchange::{Exchange, Pairing};
use crate::jsonrpc::{self, Document, Reading, Shape};
use crate::trace::{Channel, EventKind, Intent, Trace, TransportKind};

/// Who spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The harness, as the client.
    ToServer,
    /// The server.
    FromServer,
}

/// One frame: a line, a body, or the data of a stream event.
pub struct Frame {
    /// Index of its event.
    pub event: usize,
    /// Who sent it.
    pub direction: Direction,
    /// What the bytes are.
    pub reading: Reading,
    /// What it was meant to be (frames of the harness).
    pub intent: Option<Intent>,
    /// Where it came from (frames of the server).
    pub channel: Option<Channel>,
    /// The HTTP exchange that carried it.
    pub exchange: Option<u32>,
    /// Whether it was framed to its end.
    pub terminated: bool,
}

/// One JSON-RPC message of a frame: the frame itself, or an element of a batch.
pub struct Message<'a> {
    /// Position of the frame in [`Conversation::frames`].
    pub frame: usize,
    /// Index of the event.
    pub event: usize,
    /// Who sent it.
    pub direction: Direction,
    /// Its kind.
    pub shape: &'a Shape,
    /// Its members.
    pub value: &'a Value,
    /// Whether it is an element of a batch.
    pub batched: bool,
}

/// The end of the server process.
pub struct End {
    /// The event that shows it.
    pub event: usize,
    /// What happened, in words.
    pub description: String,
    /// Whether the harness had asked for it, by closing stdin or by a signal.
    pub own_doing: bool,
}

/// An exit in words.
fn exit_in_words(code: Option<i32>, signal: Option<i32>) -> String {
    match (code, signal) {
        (Some(code), _) => format!("the server exited with code {code}"),
        (None, Some(signal)) => format!("the server was ended by signal {signal}"),
        (None, None) => "the server exited".to_owned(),
    }
}

/// The events on resumed streams whose bytes had come before on another stream.
fn redelivered(trace: &Trace) -> BTreeSet<usize> {
    let mut resumed: BTreeSet<u32> = BTreeSet::new();
    let mut found = BTreeSet::new();
    // The exchanges that brought some bytes before; two are enough to know of another one.
    let mut seen: HashMap<&[u8], [Option<u32>; 2]> = HashMap::new();
    for (index, event) in trace.events.iter().enumerate() {
        match &event.kind {
            EventKind::HttpRequest { exchange, headers, .. } => {
                let comes_back = |(name, _): &(String, String)| name.eq_ignore_ascii_case("last-event-id");
                if headers.iter().any(comes_back) {
                    resumed.insert(*exchange);
                }
            }
            EventKind::Received { payload, exchange, .. } => {
                let number = exchange.unwrap_or(u32::MAX);
                let earlier = seen.entry(payload.bytes()).or_default();
                let elsewhere = earlier.iter().flatten().any(|other| *other != number);
                if exchange.is_some_and(|exchange| resumed.contains(&exchange)) && elsewhere {
                    found.insert(index);
                }
                if !earlier.contains(&Some(number))
                    && let Some(free) = earlier.iter_mut().find(|place| place.is_none())
                {
                    *free = Some(number);
                }
            }
            _ => {}
        }
    }
    found
}

/// A stretch of events that belongs to one case.
struct Stretch {
    case: String,
    illegal: bool,
    start: usize,
    end: usize,
}

/// Values and member names that are held of one trace: a server decides how many there are in its bytes, and each takes ten times their room.
const MOST_VALUES: usize = 1_000_000;

/// The parsed view of a trace.
pub struct Conversation<'a> {
    trace: &'a Trace,
    frames: Vec<Frame>,
    /// Events of frames that were sent again to a client that came back.
    redelivered: BTreeSet<usize>,
    stretches: Vec<Stretch>,
    /// The event of the first answer that agreed to a handshake.
    handshake: Option<usize>,
    /// The status of each HTTP exchange that has one.
    statuses: HashMap<u32, u16>,
    pairing: OnceCell<Pairing>,
}

impl<'a> Conversation<'a> {
    /// Parses every frame of the trace, unless there is more in it than can be held: what comes after that is left out.
    #[must_use]
    pub fn of(trace: &'a Trace) -> Self {
        let limits = jsonrpc::Limits::default();
        let mut frames: Vec<Frame> = Vec::new();
        let mut stretches: Vec<Stretch> = Vec::new();
        let mut values = 0;
        for (event, kind) in trace.events.iter().map(|event| &event.kind).enumerate() {
            match kind {
                EventKind::Sent {
                    payload,
                    exchange,
                    intent,
                } => frames.push(Frame {
                    event,
                    direction: Direction::ToServer,
                    reading: jsonrpc::read(payload.bytes(), &limits),
                    intent: Some(*intent),
                    channel: None,
                    exchange: *exchange,
                    terminated: true,
                }),
                EventKind::Received {
                    payload,
                    channel,
                    exchange,
                    terminated,
                } => frames.push(Frame {
                    event,
                    direction: Direction::FromServer,
                    reading: jsonrpc::read(payload.bytes(), &limits),
                    intent: None,
                    channel: Some(*channel),
                    exchange: *exchange,
                    terminated: *terminated,
                }),
                EventKind::CaseStarted { case, illegal } => {
                    stretches.push(Stretch {
                        case: case.clone(),
                        illegal: *illegal,
                        start: event,
                        end: usize::MAX,
                    });
                }
                EventKind::CaseEnded { .. } => {
                    if let Some(open) = stretches.last_mut() {
                        open.end = event;
                    }
                }
                _ => {}
            }
            if let Some(Reading::Complete(document)) = frames
                .last()
                .filter(|frame| frame.event == event)
                .map(|frame| &frame.reading)
            {
                values += document.nodes;
                if values > MOST_VALUES {
                    // Its answer would be missing.
                    let asked = frames.iter().rposition(|frame| frame.direction == Direction::ToServer);
                    frames.truncate(asked.unwrap_or(0));
                    break;
                }
            }
        }
        let agreed = |frame: &Frame| match &frame.reading {
            Reading::Complete(Document { value: Some(value), .. }) => {
                frame.direction == Direction::FromServer && value.pointer("/result/protocolVersion").is_some()
            }
            _ => false,
        };
        let handshake = frames.iter().find(|frame| agreed(frame)).map(|frame| frame.event);
        let mut statuses = HashMap::new();
        for event in &trace.events {
            if let EventKind::HttpResponse { exchange, status, .. } = &event.kind {
                statuses.entry(*exchange).or_insert(*status);
            }
        }
        Self {
            trace,
            frames,
            redelivered: redelivered(trace),
            stretches,
            handshake,
            statuses,
            pairing: OnceCell::new(),
        }
    }

    /// The event of the first answer that agreed to a handshake: what follows on the connection belongs to the stateful era.
    #[must_use]
    pub fn handshake(&self) -> Option<usize> {
        self.handshake
    }

    /// The trace.
    #[must_use]
    pub fn trace(&self) -> &'a Trace {
        self.trace
    }

    /// The trace's name.
    #[must_use]
    pub fn trace_name(&self) -> &'a str {
        &self.trace.name
    }

    /// The transport.
    #[must_use]
    pub fn transport(&self) -> TransportKind {
        self.trace.transport
    }

    /// All frames, in order.
    #[must_use]
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// The case that was using the connection when the event happened. What happens after a case, before the next one, is still its doing.
    #[must_use]
    pub fn case_at(&self, event: usize) -> Option<&str> {
        self.stretch_at(event).map(|stretch| stretch.case.as_str())
    }

    /// The stretch that an event belongs to.
    fn stretch_at(&self, event: usize) -> Option<&Stretch> {
        let begun = self.stretches.partition_point(|stretch| stretch.start <= event);
        self.stretches[..begun].last()
    }

    /// Whether illegal input had been sent before the event, within the same case or at all since it cannot be undone.
    #[must_use]
    pub fn illegal_before(&self, event: usize) -> bool {
        self.stretches
            .iter()
            .any(|stretch| stretch.illegal && stretch.start <= event)
    }

    /// Whether the event happened while a case was sending illegal input.
    #[must_use]
    pub fn illegal_at(&self, event: usize) -> bool {
        self.stretch_at(event).is_some_and(|stretch| stretch.illegal)
    }

    /// Whether the HTTP exchange was answered with an error status.
    #[must_use]
    pub fn refused(&self, exchange: Option<u32>) -> bool {
        self.status(exchange).is_some_and(|status| status >= 400)
    }

    /// The status code with which the HTTP exchange was answered.
    #[must_use]
    pub fn status(&self, exchange: Option<u32>) -> Option<u16> {
        self.statuses.get(&exchange?).copied()
    }

    /// Whether the harness had sent something broken on purpose before the event, within the same case.
    #[must_use]
    pub fn broken_sent_before(&self, event: usize) -> bool {
        let start = self.stretch_at(event).map_or(0, |stretch| stretch.start);
        self.frames
            .iter()
            .any(|frame| frame.intent == Some(Intent::Broken) && frame.event >= start && frame.event < event)
    }

    /// How the server ended after the event, if it did.
    #[must_use]
    pub fn end_after(&self, event: usize) -> Option<End> {
        let events = &self.trace.events;
        let (index, description) =
            events
                .iter()
                .enumerate()
                .skip(event)
                .find_map(|(index, entry)| match &entry.kind {
                    EventKind::ProcessExited { code, signal } => Some((index, exit_in_words(*code, *signal))),
                    EventKind::StdoutClosed => Some((index, "the server closed its standard output".to_owned())),
                    _ => None,
                })?;
        // The exit code, when it is known soon after stdout ended, says more.
        let exit = events.iter().skip(index).find_map(|entry| match &entry.kind {
            EventKind::ProcessExited { code, signal } => Some(exit_in_words(*code, *signal)),
            _ => None,
        });
        let own_doing = events[..index]
            .iter()
            .any(|entry| matches!(entry.kind, EventKind::StdinClosed | EventKind::Signalled { .. }));
        Some(End {
            event: index,
            description: exit.unwrap_or(description),
            own_doing,
        })
    }

    /// All messages of both sides, elements of batches one by one, in order. Frames that are no JSON are left out, and so is what a stream
    /// that was resumed brought a second time: it is the same message.
    #[must_use]
    pub fn messages(&self) -> Vec<Message<'_>> {
        let mut messages = Vec::new();
        let frames = self.frames.iter().enumerate();
        for (index, frame) in frames.filter(|(_, frame)| !self.redelivered.contains(&frame.event)) {
            let Reading::Complete(Document {
                shape,
                value: Some(value),
                ..
            }) = &frame.reading
            else {
                continue;
            };
            let message = |shape, value, batched| Message {
                frame: index,
                event: frame.event,
                direction: frame.direction,
                shape,
                value,
                batched,
            };
            match (shape, value) {
                (Shape::Batch(elements), Value::Array(values)) => {
                    messages.extend(
                        elements
                            .iter()
                            .zip(values)
                            .map(|(element, value)| message(&element.shape, value, true)),
                    );
                }
                _ => messages.push(message(shape, value, false)),
            }
        }
        messages
    }

    /// The requests of the harness with their answers, and the responses of the server that answer nothing. `messages` are those of
    /// [`Self::messages`]; which of them belong together is worked out once.
    #[must_use]
    pub fn exchanges<'m>(&self, messages: &'m [Message<'m>]) -> (Vec<Exchange<'m>>, Vec<&'m Message<'m>>) {
        let pairing = self.pairing.get_or_init(|| Pairing::of(self, messages));
        pairing.applied_to(messages)
    }
}
