//! A reader of server-sent events that hides nothing.
//!
//! It follows the event-stream grammar of the HTML standard (LF, CR and CRLF end a line; a blank line ends an event), but where a browser would
//! silently drop something, it says so with an [`SseItem::Oddity`]. Bytes come in any chunks; memory is bounded by the cap.

use std::collections::VecDeque;
use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing found in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SseItem {
    /// An event.
    Event(SseEvent),
    /// A comment line, without its colon.
    Comment(Vec<u8>),
    /// Something that a browser would ignore or repair.
    Oddity(Oddity),
}

/// Something in a stream that a browser would ignore or repair.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "detail", rename_all = "kebab-case")]
pub enum Oddity {
    /// The stream begins with a byte order mark.
    ByteOrderMark,
    /// Some lines end in one way, some in another.
    MixedLineEnds,
    /// The stream ends in the middle of a line.
    EndsInLine,
    /// The stream ends without the blank line that completes the last event.
    EndsInEvent,
    /// A line is longer than this many bytes.
    LongLine(usize),
    /// An event is longer than this many bytes.
    LongEvent(usize),
    /// An id holds NUL, and is ignored.
    NulInId,
    /// The value of `retry` is no number.
    BadRetry(String),
    /// A field that no event has.
    UnknownField(String),
    /// The value of the field is not UTF-8.
    NotUtf8(String),
}

impl fmt::Display for Oddity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByteOrderMark => formatter.write_str("the stream begins with a byte order mark"),
            Self::MixedLineEnds => formatter.write_str("lines end in different ways"),
            Self::EndsInLine => formatter.write_str("the stream ends in the middle of a line"),
            Self::EndsInEvent => {
                formatter.write_str("the stream ends without the blank line that completes the last event")
            }
            Self::LongLine(cap) => write!(formatter, "a line is longer than {cap} bytes"),
            Self::LongEvent(cap) => write!(formatter, "an event is longer than {cap} bytes"),
            Self::NulInId => formatter.write_str("an id holds NUL and is ignored"),
            Self::BadRetry(value) => write!(formatter, "retry is no number: {value:?}"),
            Self::UnknownField(name) => write!(formatter, "unknown field {name:?}"),
            Self::NotUtf8(field) => write!(formatter, "{field} is not UTF-8"),
        }
    }
}

/// Longest text of the server that an oddity keeps, in characters.
const SHOWN: usize = 100;

/// The beginning of some bytes, as text.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(SHOWN).collect()
}

/// An event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// The `event` field.
    pub name: Option<String>,
    /// The `data` fields, joined by LF.
    pub data: Vec<u8>,
    /// The `id` field of this very event.
    pub id: Option<String>,
    /// The `retry` field, in milliseconds.
    pub retry: Option<u64>,
    /// Whether there was a `data` field at all.
    pub has_data: bool,
    /// False when the stream ended before the event's blank line.
    pub complete: bool,
}

/// Reads an event stream.
///
/// ```
/// use touchstone_core::sse::{SseItem, SseReader};
/// let mut reader = SseReader::new(1024);
/// reader.push(b"event: message\r\ndata: {}\r\n\r\n");
/// let Some(SseItem::Event(event)) = reader.next_item() else { panic!() };
/// assert_eq!((event.name.as_deref(), event.data.as_slice()), (Some("message"), &b"{}"[..]));
/// ```
#[derive(Debug)]
pub struct SseReader {
    cap: usize,
    line: Vec<u8>,
    /// The last byte was a CR, so that an LF right after it belongs to it.
    after_cr: bool,
    started: bool,
    overlong: bool,
    event: SseEvent,
    /// Whether the event under construction has reached the cap.
    full: bool,
    /// Whether the event under construction has any field.
    open: bool,
    endings: [bool; 3],
    items: VecDeque<SseItem>,
}

impl SseReader {
    /// A reader that keeps lines and events of up to `cap` bytes.
    #[must_use]
    pub fn new(cap: usize) -> Self {
        Self {
            cap,
            line: Vec::new(),
            after_cr: false,
            started: false,
            overlong: false,
            event: SseEvent::default(),
            full: false,
            open: false,
            endings: [false; 3],
            items: VecDeque::new(),
        }
    }

    /// Takes in bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' if self.after_cr => {
                    self.after_cr = false;
                    self.ending(2);
                }
                b'\n' => {
                    self.ending(0);
                    self.end_line();
                }
                b'\r' => {
                    self.end_cr();
                    self.after_cr = true;
                    self.end_line();
                }
                other => {
                    self.end_cr();
                    if self.line.len() < self.cap {
                        self.line.push(*other);
                    } else {
                        self.overlong = true;
                    }
                }
            }
        }
    }

    /// The next thing found.
    pub fn next_item(&mut self) -> Option<SseItem> {
        self.items.pop_front()
    }

    /// What is left when the stream has ended: an event without its blank line is given with `complete: false`.
    #[must_use]
    pub fn finish(mut self) -> Vec<SseItem> {
        if !self.line.is_empty() {
            self.odd(Oddity::EndsInLine);
            self.end_line();
        }
        if self.open {
            self.odd(Oddity::EndsInEvent);
            self.dispatch(false);
        }
        self.items.into()
    }

    /// A CR that no LF followed was a line end of its own.
    fn end_cr(&mut self) {
        if self.after_cr {
            self.after_cr = false;
            self.ending(1);
        }
    }

    /// Notes which kind of line end was used: LF, CR, CRLF.
    fn ending(&mut self, kind: usize) {
        let before = self.endings.iter().filter(|used| **used).count();
        self.endings[kind] = true;
        if before == 1 && self.endings.iter().filter(|used| **used).count() == 2 {
            self.odd(Oddity::MixedLineEnds);
        }
    }

    fn odd(&mut self, what: Oddity) {
        self.items.push_back(SseItem::Oddity(what));
    }

    fn end_line(&mut self) {
        let mut line = std::mem::take(&mut self.line);
        if !self.started {
            self.started = true;
            if line.starts_with(b"\xef\xbb\xbf") {
                self.odd(Oddity::ByteOrderMark);
                line.drain(..3);
            }
        }
        if std::mem::take(&mut self.overlong) {
            self.odd(Oddity::LongLine(self.cap));
        }
        if line.is_empty() {
            if self.open {
                self.dispatch(true);
            }
            return;
        }
        if let Some(comment) = line.strip_prefix(b":") {
            self.items.push_back(SseItem::Comment(comment.to_vec()));
            return;
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (name, value) = match colon {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line.as_slice(), &b""[..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        self.field(name, value);
    }

    fn field(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"data" => {
                self.open = true;
                let separator = usize::from(self.event.has_data);
                if self.event.data.len() + separator + value.len() <= self.cap {
                    self.event.data.extend(std::iter::repeat_n(b'\n', separator));
                    self.event.data.extend_from_slice(value);
                    self.event.has_data = true;
                } else if !std::mem::replace(&mut self.full, true) {
                    self.odd(Oddity::LongEvent(self.cap));
                }
            }
            b"event" => {
                self.open = true;
                self.event.name = Some(self.text(value, "event"));
            }
            b"id" if value.contains(&0) => self.odd(Oddity::NulInId),
            b"id" => {
                self.open = true;
                self.event.id = Some(self.text(value, "id"));
            }
            b"retry" => match std::str::from_utf8(value)
                .ok()
                .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))
                .and_then(|text| text.parse().ok())
            {
                Some(retry) => {
                    self.open = true;
                    self.event.retry = Some(retry);
                }
                None => self.odd(Oddity::BadRetry(shown(value))),
            },
            other => self.odd(Oddity::UnknownField(shown(other))),
        }
    }

    fn text(&mut self, value: &[u8], field: &str) -> String {
        if std::str::from_utf8(value).is_err() {
            self.odd(Oddity::NotUtf8(field.to_owned()));
        }
        String::from_utf8_lossy(value).into_owned()
    }

    fn dispatch(&mut self, complete: bool) {
        self.open = false;
        self.full = false;
        let event = std::mem::take(&mut self.event);
        if std::str::from_utf8(&event.data).is_err() {
            self.odd(Oddity::NotUtf8("data".to_owned()));
        }
        self.items.push_back(SseItem::Event(SseEvent { complete, ..event }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8]) -> Vec<SseItem> {
        let mut reader = SseReader::new(1024);
        reader.push(bytes);
        reader.finish()
    }

    fn event(data: &str) -> SseItem {
        SseItem::Event(SseEvent {
            data: data.into(),
            has_data: true,
            complete: true,
            ..SseEvent::default()
        })
    }

    #[test]
    fn fields_make_up_an_event() {
        let items = all(b"id: 7\nevent: endpoint\nretry: 10\ndata: /a\ndata:  b\ndata\n\n");
        assert_eq!(
            items,
            [SseItem::Event(SseEvent {
                name: Some("endpoint".into()),
                data: b"/a\n b\n".to_vec(),
                id: Some("7".into()),
                retry: Some(10),
                has_data: true,
                complete: true,
            })]
        );
    }

    #[test]
    fn every_line_end_is_understood() {
        for text in [
            "data: a\n\ndata: b\n\n",
            "data: a\r\n\r\ndata: b\r\n\r\n",
            "data: a\r\rdata: b\r\r",
        ] {
            assert_eq!(all(text.as_bytes()), [event("a"), event("b")], "{text:?}");
        }
        assert!(all(b"data: a\r\n\ndata: b\n\n").contains(&SseItem::Oddity(Oddity::MixedLineEnds)));
    }

    #[test]
    fn what_a_browser_would_hide_is_told() {
        let oddities = |bytes: &[u8]| {
            all(bytes)
                .into_iter()
                .filter(|item| matches!(item, SseItem::Oddity(_)))
                .count()
        };
        for bytes in [
            &b"\xef\xbb\xbfdata: a\n\n"[..],
            b"data: a\n",
            b"retry: soon\n",
            b"dta: a\n",
            b"id: a\0\n",
            b"data: \xff\n\n",
        ] {
            assert!(oddities(bytes) >= 1, "{bytes:?}");
        }
        assert_eq!(oddities(b": keep-alive\n\ndata: \n\nid: 3\n\n"), 0);
    }

    #[test]
    fn an_event_that_never_ends_is_given_as_incomplete() {
        let items = all(b"data: {\"a\":1}\n");
        assert!(
            items
                .iter()
                .any(|item| matches!(item, SseItem::Event(event) if !event.complete && event.data == b"{\"a\":1}"))
        );
    }

    #[test]
    fn endless_lines_and_events_are_capped() {
        let mut reader = SseReader::new(16);
        for _ in 0..100 {
            reader.push(&[b'x'; 100]);
        }
        assert!(reader.line.len() <= 16);
        reader.push(b"\n");
        for _ in 0..100 {
            reader.push(b"data: 1234567890\n");
        }
        assert!(reader.event.data.len() <= 16);
        let oddities = std::iter::from_fn(|| reader.next_item()).count();
        assert!(
            oddities <= 4,
            "one complaint for each thing that is too long, not one for each line"
        );
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(bytes in prop::collection::vec(prop_oneof![
            Just(b'\n'), Just(b'\r'), Just(b':'), Just(b' '), Just(b'd'), Just(b'a'), Just(b't'), any::<u8>()
        ], 0..60), size in 1usize..7) {
            let mut parts = SseReader::new(1024);
            for chunk in bytes.chunks(size) {
                parts.push(chunk);
            }
            prop_assert_eq!(parts.finish(), all(&bytes));
        }
    }
}
