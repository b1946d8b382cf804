//! The tap: stamps what crosses the wire with the time and appends it to the trace, before anyone interprets it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use touchstone_core::trace::{EventKind, Payload, REPEATED_SECRET, Trace, TransportKind};

/// Bytes of payload that one trace keeps by default.
pub const DEFAULT_TRACE_BYTES: usize = 24 * 1024 * 1024;

/// Bytes of payload that all traces of a run keep by default.
pub const DEFAULT_RUN_BYTES: usize = 96 * 1024 * 1024;

/// What an event costs beyond its payload: a flood of tiny messages fills the memory as well.
const EVENT_COST: usize = 192;

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

    /// Gives back what a part of a trace had taken that was cut out.
    fn give_back(&self, bytes: usize) {
        self.left.set(self.left.get() + bytes);
    }

    /// Takes so many bytes, or what is left of them.
    fn take(&self, wanted: usize) -> usize {
        let left = self.left.get();
        let taken = wanted.min(left);
        self.left.set(left - taken);
        taken
    }
}

/// A handle on the growing trace of one connection. Clones share the trace.
#[derive(Clone)]
pub struct Tap {
    shared: Rc<Shared>,
}

struct Shared {
    started: Instant,
    secrets: Vec<String>,
    run: TraceBudget,
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
        secrets: Vec<String>,
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
                state.trace.push(
                    at_us,
                    EventKind::LimitReached {
                        limit: "bytes of the trace".to_owned(),
                    },
                );
            }
        } else if state.full && matches!(kind, EventKind::StreamOddity { .. }) {
            return state.trace.events.len().saturating_sub(1);
        }
        state.trace.push(at_us, kind)
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

/// Replaces secrets by [`REPEATED_SECRET`]. What goes out holds them only in header fields and queries, which are hidden already.
fn hide(kind: &mut EventKind, secrets: &[String]) {
    if let EventKind::HttpResponse { headers, .. } = kind {
        for (_, value) in headers {
            for secret in secrets {
                if value.contains(secret.as_str()) {
                    *value = value.replace(secret.as_str(), REPEATED_SECRET);
                }
            }
        }
    }
    let Some(payload) = payload_of(kind) else { return };
    for secret in secrets {
        let found = payload
            .bytes()
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        if found {
            *payload = payload.text().replace(secret.as_str(), REPEATED_SECRET).as_str().into();
        }
    }
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
            vec!["hunter22".to_owned()],
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
    fn traces_of_a_run_share_what_they_may_keep() {
        let run = TraceBudget::new(3 * EVENT_COST);
        let tap = |name: &str| Tap::hiding(name, TransportKind::Stdio, 1000, run.clone(), Vec::new());
        let (first, second) = (tap("first"), tap("second"));
        for _ in 0..2 {
            first.record(EventKind::Stderr { payload: "".into() });
            second.record(EventKind::Stderr { payload: "".into() });
        }
        assert!(!first.is_full() && second.is_full());
    }
}
