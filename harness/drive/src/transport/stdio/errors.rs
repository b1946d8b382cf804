//! The server's standard error: always drained, so that the server never waits for us, and kept within bounds.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::process::ChildStderr;
use tokio::sync::watch;
use touchstone_core::jsonrpc::{Line, LineReader};
use touchstone_core::trace::{EventKind, Payload};

use super::PatientReader;
use crate::process::Exit;
use crate::tap::Tap;

/// How much of the beginning is kept for error messages, in bytes.
const HEAD: usize = 16 * 1024;
/// How much of the end is kept for error messages, in bytes.
const TAIL: usize = 64 * 1024;
/// Longest line that is recorded whole.
const LINE: usize = 64 * 1024;
/// Bytes recorded in the trace, a line counting as at least [`LINE_COST`].
const RECORDED: usize = 256 * 1024;
/// What a line costs beyond its bytes.
const LINE_COST: usize = 256;

/// The beginning and the end of what was written. Clones share it.
#[derive(Clone, Default)]
pub(super) struct StderrLog {
    kept: Rc<RefCell<Kept>>,
}

#[derive(Default)]
struct Kept {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    left_out: u64,
}

impl StderrLog {
    /// The text, with a note where some is missing.
    pub(super) fn text(&self) -> String {
        let kept = self.kept.borrow();
        let mut bytes = kept.head.clone();
        if kept.left_out > 0 {
            bytes.extend_from_slice(format!("\n[{} bytes left out]\n", kept.left_out).as_bytes());
        }
        bytes.extend(&kept.tail);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn push(&self, bytes: &[u8]) {
        let mut kept = self.kept.borrow_mut();
        let room = HEAD.saturating_sub(kept.head.len()).min(bytes.len());
        let (head, rest) = bytes.split_at(room);
        kept.head.extend_from_slice(head);
        kept.tail.extend(rest);
        let excess = kept.tail.len().saturating_sub(TAIL);
        kept.tail.drain(..excess);
        kept.left_out += excess as u64;
    }
}

/// Reads stderr to its end, whatever the server writes there.
pub(super) async fn drain(stderr: ChildStderr, log: StderrLog, exit: watch::Receiver<Option<Exit>>, tap: Tap) {
    let mut stderr = PatientReader::new(stderr, exit);
    let mut lines = LineReader::new(LINE);
    let mut buffer = vec![0; 16 * 1024];
    let mut budget = Budget {
        left: RECORDED,
        told: false,
    };
    loop {
        let count = stderr.read(&mut buffer).await;
        if count == 0 {
            break;
        }
        log.push(&buffer[..count]);
        if budget.told {
            continue; // A flood is drained, and not even split into lines.
        }
        lines.push(&buffer[..count]);
        while let Some(line) = lines.next_line() {
            let (Line::Complete(bytes) | Line::TooLong { kept: bytes, .. }) = line;
            budget.record(&tap, bytes);
        }
    }
    if let Some(rest) = lines.finish() {
        budget.record(&tap, rest);
    }
}

/// What may still be recorded: a flood is drained, but not kept.
struct Budget {
    left: usize,
    told: bool,
}

impl Budget {
    fn record(&mut self, tap: &Tap, bytes: Vec<u8>) {
        match self.left.checked_sub(bytes.len() + LINE_COST) {
            Some(left) => {
                self.left = left;
                tap.record(EventKind::Stderr {
                    payload: Payload::from(bytes),
                });
            }
            None if !self.told => {
                self.told = true;
                self.left = 0;
                tap.record(EventKind::LimitReached {
                    limit: format!("bytes on stderr: the first {RECORDED} were kept"),
                });
            }
            None => {}
        }
    }
}
