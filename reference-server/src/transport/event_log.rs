//! The event streams of one Streamable HTTP session, kept so that a client that lost its connection can come back
//! with `Last-Event-ID` and miss nothing (basic/transports, Resumability and Redelivery).
//!
//! Event ids are `STREAM-INDEX`: unique in the session, and enough to find the stream again.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::deviation::{Act, Deviations, Purpose};
use super::http_server;

/// How many streams are remembered before those that nobody needs are forgotten, oldest first.
const REMEMBERED: usize = 64;

/// The streams, by number.
#[derive(Debug, Default)]
pub(crate) struct EventLog {
    opened: u64,
    streams: BTreeMap<u64, Stream>,
    form: Form,
    deviations: Deviations,
}

/// What events look like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    /// Lines end with CRLF instead of LF.
    pub(crate) crlf: bool,
    /// Events have ids.
    pub(crate) numbered: bool,
}

impl Default for Form {
    fn default() -> Self {
        Self {
            crlf: false,
            numbered: true,
        }
    }
}

impl Form {
    /// An event with that id; its lines end with LF. Messages have no line breaks of their own.
    fn applied(self, id: &str, event: &[u8]) -> Bytes {
        let id = if self.numbered {
            format!("id: {id}\n")
        } else {
            String::new()
        };
        let event = [id.as_bytes(), event].concat();
        if !self.crlf {
            return Bytes::from(event);
        }
        Bytes::from(String::from_utf8_lossy(&event).replace('\n', "\r\n"))
    }
}

#[derive(Debug)]
struct Stream {
    events: Vec<Bytes>,
    /// Who reads it now; `None` once it has ended.
    reader: Option<mpsc::UnboundedSender<Bytes>>,
}

impl EventLog {
    /// The streams of a new session.
    pub(crate) fn new(form: Form, deviations: Deviations) -> Self {
        Self {
            form,
            deviations,
            ..Self::default()
        }
    }

    /// A new stream. A primed one begins with an event that has an id and no data, which 2025-11-25 asks for; clients
    /// of older revisions might take it for a broken message.
    pub(crate) fn open(&mut self, purpose: Purpose, primed: bool) -> (u64, mpsc::UnboundedReceiver<Bytes>) {
        self.forget();
        let (reader, events) = mpsc::unbounded_channel();
        self.opened += 1;
        let number = self.opened;
        self.streams.insert(
            number,
            Stream {
                events: Vec::new(),
                reader: Some(reader),
            },
        );
        self.perform(Act::Open {
            stream: number,
            purpose,
            primed,
        });
        (number, events)
    }

    /// Sends a message on the stream, whether or not its reader is there at the moment.
    pub(crate) fn send(&mut self, number: u64, message: &[u8]) {
        self.perform(Act::Send {
            stream: number,
            kind: "message",
            data: message.to_vec(),
        });
    }

    /// The way to the reader of a stream, to know when it goes away.
    pub(crate) fn reader(&self, number: u64) -> Option<mpsc::UnboundedSender<Bytes>> {
        self.streams.get(&number)?.reader.clone()
    }

    /// Closes the connection of the stream before it has ended; what follows waits until the client comes back.
    pub(crate) fn interrupt(&mut self, number: u64, retry: Duration) {
        // Nobody could come back to a stream without ids.
        if self.form.numbered {
            self.perform(Act::Interrupt {
                stream: number,
                retry: Some(retry),
            });
        }
    }

    /// Ends the stream; its events can still be asked for.
    pub(crate) fn end(&mut self, number: u64) {
        self.perform(Act::End { stream: number });
    }

    fn perform(&mut self, act: Act) {
        for act in self.deviations.act(act) {
            match act {
                Act::Open { stream, primed, .. } => {
                    if primed && self.form.numbered {
                        self.push(stream, b"data:\n\n");
                    }
                }
                Act::Send { stream, .. } if self.is_lost(stream) => {}
                Act::Send { stream, kind, data } => self.push(stream, &http_server::event(kind, &data)),
                Act::Interrupt { stream, retry } => {
                    if let Some(retry) = retry {
                        self.push(stream, format!("retry: {}\ndata:\n\n", retry.as_millis()).as_bytes());
                    }
                    if let Some(stream) = self.streams.get_mut(&stream) {
                        // The other end is gone, but the stream has not ended.
                        stream.reader = Some(mpsc::unbounded_channel().0);
                    }
                }
                Act::End { stream } => {
                    if let Some(stream) = self.streams.get_mut(&stream) {
                        stream.reader = None;
                    }
                }
            }
        }
    }

    /// Whether what is sent on the stream now reaches nobody, ever.
    fn is_lost(&self, number: u64) -> bool {
        let away = |stream: &Stream| stream.reader.as_ref().is_some_and(mpsc::UnboundedSender::is_closed);
        self.streams.get(&number).is_some_and(away) && !self.deviations.keeps_unread()
    }

    /// Ends and forgets all streams.
    pub(crate) fn clear(&mut self) {
        self.streams.clear();
    }

    /// What follows the event of that id on its stream, and what is yet to come there; `None` for an unknown id.
    pub(crate) fn resume(&mut self, last_event_id: &str) -> Option<mpsc::UnboundedReceiver<Bytes>> {
        let found = self.missed(last_event_id);
        let number = found.as_ref().map(|(number, _)| *number);
        let everything: Vec<Bytes> = self.streams.values().flat_map(|stream| stream.events.clone()).collect();
        let missed = self.deviations.missed(found.map(|(_, missed)| missed), &everything)?;
        let (reader, events) = mpsc::unbounded_channel();
        for event in missed {
            // The receiver is still here, so this cannot fail.
            let _ = reader.send(event);
        }
        let stream = number.and_then(|number| self.streams.get_mut(&number));
        if let Some(stream) = stream.filter(|stream| stream.reader.is_some()) {
            stream.reader = Some(reader);
        }
        Some(events)
    }

    /// The stream that the event of this id was sent on, and what was sent there after it.
    fn missed(&self, last_event_id: &str) -> Option<(u64, Vec<Bytes>)> {
        let (number, index) = last_event_id.split_once('-')?;
        let number = number.parse().ok()?;
        let index: usize = index.parse().ok()?;
        let missed = self.streams.get(&number)?.events.get(index.checked_add(1)?..)?;
        Some((number, missed.to_vec()))
    }

    fn push(&mut self, number: u64, event: &[u8]) {
        let Some(stream) = self.streams.get_mut(&number) else {
            return;
        };
        let event = self.form.applied(&format!("{number}-{}", stream.events.len()), event);
        let event = self.deviations.event(number, event);
        if let Some(reader) = &stream.reader {
            // Fails while the reader is away; the event waits for its return.
            let _ = reader.send(event.clone());
        }
        stream.events.push(event);
    }

    fn forget(&mut self) {
        let unneeded = |stream: &Stream| stream.reader.as_ref().is_none_or(mpsc::UnboundedSender::is_closed);
        while self.streams.len() >= REMEMBERED {
            let oldest = self
                .streams
                .iter()
                .find(|(_, stream)| unneeded(stream))
                .map(|(number, _)| *number);
            match oldest {
                Some(number) => self.streams.remove(&number),
                None => return,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(events: &mut mpsc::UnboundedReceiver<Bytes>) -> Vec<String> {
        std::iter::from_fn(|| events.try_recv().ok())
            .map(|event| String::from_utf8(event.to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn a_reader_that_comes_back_gets_what_it_missed_of_its_own_stream() {
        let mut log = EventLog::default();
        let (first, mut events) = log.open(Purpose::Answer, true);
        let (second, _other) = log.open(Purpose::Answer, false);
        assert_eq!(drain(&mut events), ["id: 1-0\ndata:\n\n"]);
        drop(events);
        log.send(first, b"a");
        log.send(second, b"b");
        let mut resumed = log.resume("1-0").unwrap();
        log.send(first, b"c");
        log.end(first);
        let expected = [
            "id: 1-1\nevent: message\ndata: a\n\n",
            "id: 1-2\nevent: message\ndata: c\n\n",
        ];
        assert_eq!(drain(&mut resumed), expected);
        assert!(resumed.is_closed() && resumed.is_empty());
        assert_eq!(drain(&mut log.resume("1-1").unwrap()), expected[1..]);
    }

    #[test]
    fn a_stream_that_is_interrupted_goes_on_when_its_reader_comes_back() {
        let mut log = EventLog::default();
        let (number, mut events) = log.open(Purpose::Answer, true);
        log.interrupt(number, Duration::from_millis(20));
        assert_eq!(
            drain(&mut events),
            ["id: 1-0\ndata:\n\n", "id: 1-1\nretry: 20\ndata:\n\n"]
        );
        assert!(events.is_closed());
        log.send(number, b"a");
        let mut resumed = log.resume("1-1").unwrap();
        assert_eq!(drain(&mut resumed), ["id: 1-2\nevent: message\ndata: a\n\n"]);
        assert!(!resumed.is_closed());
        log.end(number);
        assert!(resumed.is_closed());
    }

    #[test]
    fn unknown_event_ids_resume_nothing() {
        let mut log = EventLog::default();
        let _events = log.open(Purpose::Answer, true);
        for id in ["", "x", "1", "1-1", "2-0", "1-18446744073709551615", "-1-0"] {
            assert!(log.resume(id).is_none(), "{id}");
        }
    }

    #[test]
    fn ended_streams_are_forgotten_in_the_end() {
        let mut log = EventLog::default();
        for _ in 0..3 * REMEMBERED {
            let (number, _) = log.open(Purpose::Answer, true);
            log.end(number);
        }
        assert_eq!(log.streams.len(), REMEMBERED);
    }
}
