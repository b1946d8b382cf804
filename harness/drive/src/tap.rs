//! The tap: stamps what crosses the wire with the time and appends it to the trace, before anyone interprets it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use touchstone_core::trace::{EventKind, Payload, Trace, TransportKind};

use crate::credentials::Secret;

/// Bytes of payload that one trace keeps by default.
pub const DEFAULT_TRACE_BYTES: usize = 24 * 1024 * 1024;

/// Bytes of payload that all traces of a run keep by default.
pub const DEFAULT_RUN_BYTES: usize = 96 * 1024 * 1024;

/// What an event costs beyond its payload: a flood of tiny messages fills the memory as well.
const EVENT_COST: usize = 768;

/// Bytes that the traces of a run may still keep together. Clones share it.
#[derive(Debug, Clone)]
pub struct TraceBudget {
    left: Rc<Cell<usize>>,
}

impl TraceBudget {
    /// So many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self {
            left: Rc::new(Cell::new(bytes)),
        }
    }

    /// Takes so many bytes, or what is left of them.
    fn take(&self, wanted: usize) -> usize {
        let left = self.left.get();
        let taken = wanted.min(left);
        self.left.set(left - taken);
        taken
    }
}

impl TraceBudget {
    /// What was taken is not kept any longer.
    fn give_back(&self, bytes: usize) {
        self.left.set(self.left.get().saturating_add(bytes));
    }
}

/// A handle on the growing trace of one connection. Clones share the trace.
#[derive(Clone)]
pub struct Tap {
    shared: Rc<Shared>,
}

struct Shared {
    started: Instant,
    secrets: Vec<Secret>,
    run: TraceBudget,
    /// What the trace may keep.
    bytes: usize,
    state: RefCell<State>,
}

struct State {
    trace: Trace,
    bytes_left: usize,
    full: bool,
}

impl Tap {
    /// Starts an empty trace; `bytes` is how much payload it may keep.
    #[must_use]
    pub fn new(name: impl Into<String>, transport: TransportKind, bytes: usize) -> Self {
        Self::hiding(name, transport, bytes, TraceBudget::new(bytes), Vec::new())
    }

    /// Starts an empty trace in which none of `secrets` will stand, wherever the server repeats them; `run` is what it shares with the other
    /// traces of the run.
    #[must_use]
    pub fn hiding(
        name: impl Into<String>,
        transport: TransportKind,
        bytes: usize,
        run: TraceBudget,
        secrets: Vec<Secret>,
    ) -> Self {
        let state = State {
            trace: Trace::new(name, transport),
            bytes_left: bytes,
            full: false,
        };
        Self {
            shared: Rc::new(Shared {
                started: Instant::now(),
                secrets,
                run,
                bytes,
                state: RefCell::new(state),
            }),
        }
    }

    /// Appends an event stamped with the present time and returns its index. When the trace is full, one [`EventKind::LimitReached`] says so,
    /// and from then on nothing is kept whose amount the server decides: the index is then that of the last event.
    pub fn record(&self, mut kind: EventKind) -> usize {
        let at_us = u64::try_from(self.shared.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mut state = self.shared.state.borrow_mut();
        if !self.shared.secrets.is_empty() {
            hide(&mut kind, &self.shared.secrets);
        }
        if let Some(payload) = payload_of(&mut kind) {
            if state.full {
                return state.trace.events.len().saturating_sub(1);
            }
            let size = payload.bytes().len() + EVENT_COST;
            let granted = self.shared.run.take(size.min(state.bytes_left));
            state.bytes_left -= granted;
            if granted < size {
                let kept = granted.saturating_sub(EVENT_COST).min(payload.bytes().len());
                *payload = Payload::from(payload.bytes()[..kept].to_vec());
                state.full = true;
                let limit = EventKind::LimitReached {
                    limit: "bytes of the trace".to_owned(),
                };
                let limit = state.trace.push(at_us, limit);
                // A part of a message would be taken for what the server has sent.
                if !matches!(kind, EventKind::Stderr { .. } | EventKind::StreamComment { .. }) {
                    return limit;
                }
            }
        } else if state.full && matches!(kind, EventKind::StreamOddity { .. }) {
            return state.trace.events.len().saturating_sub(1);
        }
        state.trace.push(at_us, kind)
    }

    /// Whether more than half of what the trace may keep is kept.
    #[must_use]
    pub fn is_half_full(&self) -> bool {
        self.used() > self.shared.bytes / 2
    }

    /// Bytes that are kept now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.shared.bytes - self.shared.state.borrow().bytes_left
    }

    /// Whether the server has sent more than the trace keeps: what comes now can no longer be judged.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.shared.state.borrow().full
    }

    /// Gives the trace another name: a connection that was opened ahead of time is used at last.
    pub fn rename(&self, name: &str) {
        name.clone_into(&mut self.shared.state.borrow_mut().trace.name);
    }

    /// Reads the trace as it stands.
    pub fn read<T>(&self, read: impl FnOnce(&Trace) -> T) -> T {
        read(&self.shared.state.borrow().trace)
    }

    /// A copy of the trace as it stands.
    #[must_use]
    pub fn snapshot(&self) -> Trace {
        self.read(Trace::clone)
    }

    /// Takes what was recorded since `from` out of the trace, and gives back a trace of its own: what came before `from`, and that. Indexes
    /// of events stay what they were.
    #[must_use]
    pub fn cut(&self, from: usize, name: &str) -> Trace {
        let mut state = self.shared.state.borrow_mut();
        let from = from.min(state.trace.events.len());
        let mut part = Trace::new(name, state.trace.transport);
        let rest = state.trace.events.split_off(from);
        let mut freed = 0;
        part.events = state.trace.events.clone();
        part.events.extend(rest.into_iter().map(|mut event| {
            freed += payload_of(&mut event.kind).map_or(0, |payload| payload.bytes().len() + EVENT_COST);
            event
        }));
        state.bytes_left += freed;
        self.shared.run.give_back(freed);
        part
    }

    /// The number of events so far, which is the index of the next one.
    #[must_use]
    pub fn position(&self) -> usize {
        self.read(|trace| trace.events.len())
    }
}

/// Replaces secrets by their marks. What goes out holds them only in header fields and queries, which are hidden already.
fn hide(kind: &mut EventKind, secrets: &[Secret]) {
    if let EventKind::HttpResponse { headers, .. } = kind {
        for (_, value) in headers {
            for secret in secrets {
                if value.contains(secret.expose()) {
                    *value = value.replace(secret.expose(), secret.mark());
                }
            }
        }
    }
    let Some(payload) = payload_of(kind) else { return };
    for secret in secrets {
        if let Some(bytes) = replaced(payload.bytes(), secret.expose().as_bytes(), secret.mark().as_bytes()) {
            *payload = bytes.into();
        }
    }
}

/// The bytes with one text in the place of another; `None` when it does not occur. Bytes that are no text stay as they are.
fn replaced(bytes: &[u8], wanted: &[u8], instead: &[u8]) -> Option<Vec<u8>> {
    let find = |from: usize| {
        let mut at = from;
        // Most bytes are not even its first.
        while let Some(step) = bytes.get(at..)?.iter().position(|byte| *byte == wanted[0]) {
            at += step;
            if bytes[at..].starts_with(wanted) {
                return Some(at);
            }
            at += 1;
        }
        None
    };
    let mut found = find(0)?;
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = 0;
    loop {
        out.extend_from_slice(&bytes[rest..found]);
        out.extend_from_slice(instead);
        rest = found + wanted.len();
        match find(rest) {
            Some(next) => found = next,
            None => break,
        }
    }
    out.extend_from_slice(&bytes[rest..]);
    Some(out)
}

/// The payload of an event whose size a server decides.
fn payload_of(kind: &mut EventKind) -> Option<&mut Payload> {
    match kind {
        EventKind::Received { payload, .. } | EventKind::Stderr { payload } | EventKind::HttpBody { payload, .. } => {
            Some(payload)
        }
        EventKind::StreamEvent { data, .. } => Some(data),
        EventKind::StreamComment { payload, .. } => Some(payload),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_the_server_repeats_does_not_stand_in_the_trace() {
        let budget = TraceBudget::new(1000);
        let tap = Tap::hiding(
            "t",
            TransportKind::StreamableHttp,
            1000,
            budget,
            vec![Secret::new("hunter22")],
        );
        let payload = "you sent hunter22!".into();
        tap.record(EventKind::HttpBody { exchange: 0, payload });
        let trace = format!("{:?}", tap.snapshot());
        assert!(
            trace.contains("you sent ***a secret of the tester***!") && !trace.contains("hunter22"),
            "{trace}"
        );
    }

    #[test]
    fn a_full_trace_says_so_once_and_keeps_only_what_the_harness_does() {
        let tap = Tap::new("t", TransportKind::Stdio, 2 * EVENT_COST + 4);
        for text in ["abc", "def", "ghi"] {
            tap.record(EventKind::Stderr { payload: text.into() });
        }
        assert_eq!(tap.record(EventKind::StdinClosed), 3);
        let kinds: Vec<EventKind> = tap.snapshot().events.into_iter().map(|event| event.kind).collect();
        assert_eq!(
            kinds,
            [
                EventKind::Stderr { payload: "abc".into() },
                EventKind::LimitReached {
                    limit: "bytes of the trace".to_owned()
                },
                EventKind::Stderr { payload: "d".into() },
                EventKind::StdinClosed,
            ]
        );
    }

    #[test]
    fn a_message_that_does_not_fit_is_not_kept_in_part() {
        let tap = Tap::new("t", TransportKind::Stdio, EVENT_COST + 4);
        let message = EventKind::HttpBody {
            exchange: 0,
            payload: "{\"jsonrpc\":\"2.0\"}".into(),
        };
        assert_eq!(tap.record(message), 0);
        let kinds: Vec<EventKind> = tap.snapshot().events.into_iter().map(|event| event.kind).collect();
        assert!(
            matches!(kinds.as_slice(), [EventKind::LimitReached { .. }]),
            "{kinds:?}"
        );
    }

    #[test]
    fn what_is_cut_off_makes_room() {
        let tap = Tap::new("t", TransportKind::Stdio, 3 * EVENT_COST);
        for _ in 0..100 {
            tap.record(EventKind::Stderr { payload: "a".into() });
            tap.record(EventKind::Stderr { payload: "b".into() });
            assert_eq!(tap.cut(0, "part").events.len(), 2);
        }
        assert!(!tap.is_full());
    }

    #[test]
    fn traces_of_a_run_share_what_they_may_keep() {
        let run = TraceBudget::new(3 * EVENT_COST);
        let tap = |name: &str| Tap::hiding(name, TransportKind::Stdio, 10_000, run.clone(), Vec::new());
        let (first, second) = (tap("first"), tap("second"));
        for _ in 0..2 {
            first.record(EventKind::Stderr { payload: "".into() });
            second.record(EventKind::Stderr { payload: "".into() });
        }
        assert!(!first.is_full() && second.is_full());
    }
}
