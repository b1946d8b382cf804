//! Newline-delimited messages over the standard streams of a child process.
//!
//! ```text
//! stdout ──► reader task ──► LineReader ──► tap ──► bounded queue ──► receive
//! stderr ──► drain task ──► tap, head and tail
//! send ──► stdin, with a deadline
//! ```
//!
//! Reader, drain and writer do not wait for each other, so a server that fills one pipe cannot block the others.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use touchstone_core::jsonrpc::{Line, LineReader};
use touchstone_core::trace::{Channel, EventKind, Intent, Payload};

use super::{Incoming, Sent, TransportError, TransportLimits};
use crate::process::{Exit, Ladder, ProcessOptions, ServerProcess, SpawnError};
use crate::tap::Tap;
use crate::target::CommandTarget;

/// How much of stderr is kept for error messages, from its end.
const STDERR_TAIL: usize = 64 * 1024;
/// How long stdout is read on after the process has ended, in case a descendant holds it open.
const AFTER_EXIT: Duration = Duration::from_millis(300);

/// How a stdio connection is made.
#[derive(Debug, Clone, Default)]
pub struct StdioOptions {
    /// Caps and deadlines.
    pub limits: TransportLimits,
    /// How the process is started and ended.
    pub process: ProcessOptions,
}

/// A connection over the standard streams of a process.
pub struct StdioConnection {
    process: ServerProcess,
    stdin: Option<ChildStdin>,
    incoming: mpsc::Receiver<Incoming>,
    stderr: Rc<RefCell<VecDeque<u8>>>,
    tap: Tap,
    write_limit: Duration,
    ladder: Ladder,
    tasks: [JoinHandle<()>; 2],
    closed: bool,
}

impl StdioConnection {
    /// Starts the server. Does not wait for it to say anything.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn open(target: &CommandTarget, options: &StdioOptions, tap: Tap) -> Result<Self, SpawnError> {
        let (process, streams) = ServerProcess::start(target, &options.process, &tap).await?;
        let (sender, incoming) = mpsc::channel(options.limits.queue_messages);
        let reader = read_stdout(
            streams.stdout,
            sender,
            process.exit_watch(),
            options.limits.message_bytes,
            tap.clone(),
        );
        let stderr = Rc::new(RefCell::new(VecDeque::new()));
        let drain = drain_stderr(streams.stderr, Rc::clone(&stderr), tap.clone());
        Ok(Self {
            process,
            stdin: Some(streams.stdin),
            incoming,
            stderr,
            tap,
            write_limit: options.limits.write,
            ladder: options.process.ladder,
            tasks: [tokio::task::spawn_local(reader), tokio::task::spawn_local(drain)],
            closed: false,
        })
    }

    /// Writes a message and its newline.
    ///
    /// # Errors
    /// When stdin is closed, or the server does not read it in time.
    pub async fn send(&mut self, message: &[u8], intent: Intent) -> Result<Sent, TransportError> {
        self.send_chunks(&[message.to_vec()], true, intent).await
    }

    /// Writes chunks of bytes one by one, each flushed, and a newline after the last if wanted. The trace shows the lines that they make up.
    ///
    /// # Errors
    /// When stdin is closed, or the server does not read it in time.
    pub async fn send_chunks(
        &mut self,
        chunks: &[Vec<u8>],
        newline: bool,
        intent: Intent,
    ) -> Result<Sent, TransportError> {
        let mut event = self.tap.position();
        for line in chunks.concat().split(|byte| *byte == b'\n') {
            event = self.tap.record(EventKind::Sent {
                payload: Payload::from(line),
                exchange: None,
                intent,
            });
        }
        let Some(stdin) = &mut self.stdin else {
            return Err(TransportError::Closed("its input was closed already".to_owned()));
        };
        let write = async {
            for (index, chunk) in chunks.iter().enumerate() {
                if index > 0 {
                    // The chunks must arrive apart.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                stdin.write_all(chunk).await?;
                stdin.flush().await?;
            }
            if newline {
                stdin.write_all(b"\n").await?;
            }
            stdin.flush().await
        };
        match tokio::time::timeout(self.write_limit, write).await {
            Ok(Ok(())) => Ok(Sent { event, exchange: None }),
            Ok(Err(error)) => Err(TransportError::Closed(format!(
                "it no longer reads its input ({error})"
            ))),
            Err(_) => Err(TransportError::Stalled(self.write_limit)),
        }
    }

    /// Waits for what comes next.
    pub async fn receive(&mut self) -> Option<Incoming> {
        if self.closed {
            return None;
        }
        let incoming = self.incoming.recv().await;
        self.closed = matches!(incoming, None | Some(Incoming::Closed { .. }));
        incoming
    }

    /// Closes the server's input.
    pub fn close_stdin(&mut self) {
        if self.stdin.take().is_some() {
            self.tap.record(EventKind::StdinClosed);
        }
    }

    /// Sends a signal to the server's process group.
    ///
    /// # Errors
    /// When the signal is unknown or cannot be sent.
    pub fn signal(&mut self, name: &str) -> Result<(), String> {
        self.process.signal(name)
    }

    /// Waits for the server to end.
    pub async fn wait_exit(&mut self, within: Duration) -> Option<Exit> {
        self.process.wait_exit(within).await
    }

    /// Gives the server less time to end by itself.
    pub fn shorten_grace(&mut self, grace: Duration) {
        self.ladder.stdin = self.ladder.stdin.min(grace);
    }

    /// Ends the server: closes its input, waits, and helps along with signals.
    pub async fn close(&mut self) {
        self.close_stdin();
        let ladder = self.ladder;
        self.process.end(&ladder).await;
        // What was written last, and news of survivors, come a moment after the exit.
        let [reader, drain] = &mut self.tasks;
        let rest = async {
            let _ = tokio::join!(reader, drain);
        };
        let _ = tokio::time::timeout(AFTER_EXIT * 2, rest).await;
        if self.process.exit().is_some() {
            self.process.settled().await;
        }
    }

    /// The end of what the server wrote to stderr.
    #[must_use]
    pub fn stderr_tail(&self) -> String {
        let bytes: Vec<u8> = self.stderr.borrow().iter().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for StdioConnection {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Reads stdout to its end, a line at a time.
async fn read_stdout(
    mut stdout: ChildStdout,
    sender: mpsc::Sender<Incoming>,
    mut exit: watch::Receiver<Option<Exit>>,
    cap: usize,
    tap: Tap,
) {
    let mut lines = LineReader::new(cap);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = tokio::select! {
            read = stdout.read(&mut buffer) => read.unwrap_or(0),
            () = long_after(&mut exit) => 0,
        };
        if count == 0 {
            break;
        }
        lines.push(&buffer[..count]);
        while let Some(line) = lines.next_line() {
            let bytes = match line {
                Line::Complete(bytes) => bytes,
                Line::TooLong { kept, total } => {
                    tap.record(EventKind::LimitReached {
                        limit: format!("bytes of one line: it had {total}, {} were kept", kept.len()),
                    });
                    kept
                }
            };
            if deliver(&sender, &tap, bytes, true).await.is_err() {
                return;
            }
        }
    }
    if let Some(rest) = lines.finish()
        && deliver(&sender, &tap, rest, false).await.is_err()
    {
        return;
    }
    // The exit code is worth a moment's wait: it is what the user wants to know.
    let ended = tokio::time::timeout(AFTER_EXIT, exit.wait_for(Option::is_some)).await;
    let reason = match ended.ok().and_then(Result::ok).and_then(|exit| *exit) {
        Some(Exit { code: Some(code), .. }) => format!("the server exited with code {code}"),
        Some(Exit {
            signal: Some(signal), ..
        }) => format!("the server was ended by signal {signal}"),
        Some(_) => "the server exited".to_owned(),
        None => "the server closed its standard output".to_owned(),
    };
    tap.record(EventKind::StdoutClosed);
    let _ = sender.send(Incoming::Closed { reason }).await;
}

async fn deliver(sender: &mpsc::Sender<Incoming>, tap: &Tap, bytes: Vec<u8>, terminated: bool) -> Result<(), ()> {
    let payload = Payload::from(bytes.clone());
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
        .await
        .map_err(|_| ())
}

/// Ends a while after the process has ended.
async fn long_after(exit: &mut watch::Receiver<Option<Exit>>) {
    if exit.wait_for(Option::is_some).await.is_err() {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(AFTER_EXIT).await;
}

/// Reads stderr to its end, whatever the server writes there.
async fn drain_stderr(mut stderr: ChildStderr, tail: Rc<RefCell<VecDeque<u8>>>, tap: Tap) {
    let mut lines = LineReader::new(STDERR_TAIL);
    let mut buffer = vec![0; 16 * 1024];
    let mut last_kept = 0;
    while let Ok(count) = stderr.read(&mut buffer).await {
        if count == 0 {
            break;
        }
        {
            let mut tail = tail.borrow_mut();
            tail.extend(&buffer[..count]);
            let excess = tail.len().saturating_sub(STDERR_TAIL);
            tail.drain(..excess);
        }
        lines.push(&buffer[..count]);
        while let Some(line) = lines.next_line() {
            let (Line::Complete(bytes) | Line::TooLong { kept: bytes, .. }) = line;
            last_kept += bytes.len() + 64;
            // A flood on stderr is drained, but not kept.
            if last_kept <= STDERR_TAIL * 4 {
                tap.record(EventKind::Stderr {
                    payload: Payload::from(bytes),
                });
            }
        }
    }
    if let Some(rest) = lines.finish() {
        tap.record(EventKind::Stderr {
            payload: Payload::from(rest),
        });
    }
}
