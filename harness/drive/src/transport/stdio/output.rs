//! The server's standard output: split at LF, recorded, queued.
//!
//! The queue is bounded in messages and in bytes. When it is full the reader stops reading, and the server has to wait: nothing is lost.

use std::sync::Arc;

use tokio::process::ChildStdout;
use tokio::sync::{Semaphore, mpsc, watch};
use touchstone_core::jsonrpc::{Line, LineReader};
use touchstone_core::trace::{Channel, EventKind, Payload};

use super::{AFTER_EXIT, PatientReader};
use crate::process::Exit;
use crate::tap::Tap;
use crate::transport::{Incoming, TransportLimits};

/// How many of the longest possible messages may wait.
const LONGEST_MESSAGES: usize = 2;
/// Size of one read.
const READ_BYTES: usize = 64 * 1024;

/// The receiving end of the queue.
pub(super) struct Queue {
    incoming: mpsc::Receiver<Incoming>,
    room: Arc<Semaphore>,
    bytes: usize,
    closed: bool,
}

/// The sending end.
pub(super) struct QueueSender {
    incoming: mpsc::Sender<Incoming>,
    room: Arc<Semaphore>,
    bytes: usize,
}

/// A queue as large as the limits say.
pub(super) fn queue(limits: &TransportLimits) -> (Queue, QueueSender) {
    let (sender, receiver) = mpsc::channel(limits.queue_messages.max(1));
    let bytes = limits
        .message_bytes
        .saturating_mul(LONGEST_MESSAGES)
        .clamp(1, u32::MAX as usize);
    let room = Arc::new(Semaphore::new(bytes));
    (
        Queue {
            incoming: receiver,
            room: Arc::clone(&room),
            bytes,
            closed: false,
        },
        QueueSender {
            incoming: sender,
            room,
            bytes,
        },
    )
}

impl Queue {
    /// Waits for what comes next. Cancel-safe. `None` after the end.
    pub(super) async fn next(&mut self) -> Option<Incoming> {
        if self.closed {
            return None;
        }
        let incoming = self.incoming.recv().await;
        match &incoming {
            Some(Incoming::Message { bytes, .. }) => self.room.add_permits(bytes.len().min(self.bytes)),
            None | Some(Incoming::Closed { .. }) => self.closed = true,
            Some(_) => {}
        }
        incoming
    }

    /// From now on whatever comes is recorded only.
    pub(super) fn discard(&mut self) {
        self.closed = true;
        self.incoming.close();
        self.room.close();
    }
}

impl QueueSender {
    /// Queues something, when there is room. When nobody receives any more, it is dropped.
    async fn send(&self, incoming: Incoming) {
        if let Incoming::Message { bytes, .. } = &incoming {
            let wanted = u32::try_from(bytes.len().min(self.bytes)).unwrap_or(u32::MAX);
            if let Ok(permit) = self.room.acquire_many(wanted).await {
                permit.forget();
            }
        }
        let _ = self.incoming.send(incoming).await;
    }
}

/// Reads stdout to its end, a line at a time.
pub(super) async fn read(
    stdout: ChildStdout,
    sender: QueueSender,
    mut exit: watch::Receiver<Option<Exit>>,
    cap: usize,
    tap: Tap,
) {
    let mut stdout = PatientReader::new(stdout, exit.clone());
    let mut lines = LineReader::new(cap);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = stdout.read(&mut buffer).await;
        if count == 0 {
            break;
        }
        if tap.is_full() {
            // Nothing more is kept. A server that cannot write any more harms nobody, and is ended by whoever listens.
            let _ = exit.wait_for(Option::is_some).await;
            break;
        }
        lines.push(&buffer[..count]);
        while let Some(line) = lines.next_line() {
            let bytes = match line {
                Line::Complete(bytes) => bytes,
                Line::TooLong { kept, total } => {
                    let limit = format!("bytes of one line on stdout: it had {total}, {} were kept", kept.len());
                    tap.record(EventKind::LimitReached { limit });
                    kept
                }
            };
            deliver(&sender, &tap, bytes, true).await;
        }
    }
    if let Some(rest) = lines.finish() {
        if rest.len() >= cap {
            tap.record(EventKind::LimitReached {
                limit: format!("bytes of one line on stdout: {} were kept", rest.len()),
            });
        }
        deliver(&sender, &tap, rest, false).await;
    }
    tap.record(EventKind::StdoutClosed);
    // How the server ended is worth a moment's wait: it is what the user wants to know.
    let ended = tokio::time::timeout(AFTER_EXIT, exit.wait_for(Option::is_some)).await;
    let reason = match ended.ok().and_then(Result::ok).and_then(|exit| *exit) {
        Some(exit) => format!("the server {exit}"),
        None => "the server closed its standard output".to_owned(),
    };
    sender.send(Incoming::Closed { reason }).await;
}

async fn deliver(sender: &QueueSender, tap: &Tap, bytes: Vec<u8>, terminated: bool) {
    let payload = Payload::from(bytes.as_slice());
    let event = tap.record(EventKind::Received {
        payload,
        channel: Channel::Stdout,
        exchange: None,
        terminated,
    });
    sender
        .send(Incoming::Message {
            bytes,
            event,
            channel: Channel::Stdout,
            exchange: None,
        })
        .await;
}
