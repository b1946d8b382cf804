//! Newline-delimited messages over the standard streams of a child process.
//!
//! ```text
//! stdout ──► reader task (output) ──► tap ──► bounded queue ──► receive
//! stderr ──► drain task (errors) ──► tap, head and tail
//! send ──► input ──► stdin, with a deadline
//! ```
//!
//! Reader, drain and input do not wait for each other, so a server that fills one pipe, or reads none, cannot block the others. When the process
//! has ended, what it wrote is read to its end, but a descendant that keeps a pipe open is not waited for.

mod errors;
mod input;
mod output;
#[cfg(test)]
#[cfg(unix)]
mod tests;

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use touchstone_core::trace::{EventKind, Intent, Payload};

use self::errors::StderrLog;
use self::input::Input;
use self::output::Queue;
use super::{Incoming, Sent, TransportError, TransportLimits};
use crate::process::{Exit, Ladder, ProcessOptions, ServerProcess, SpawnError};
use crate::tap::Tap;
use crate::target::CommandTarget;

/// How long a pipe is read on after the process has ended, in case a descendant holds it open. Longer than the guard leaves descendants alone.
const AFTER_EXIT: Duration = Duration::from_millis(300);

/// How a stdio connection is made.
#[derive(Debug, Clone, Default)]
pub struct StdioOptions {
    /// Caps and deadlines.
    pub limits: TransportLimits,
    /// How the process is started and ended.
    pub process: ProcessOptions,
}

/// A connection over the standard streams of a process. Dropping it ends the process.
pub struct StdioConnection {
    process: ServerProcess,
    input: Input,
    queue: Queue,
    stderr: StderrLog,
    tap: Tap,
    ladder: Ladder,
    tasks: [JoinHandle<()>; 2],
    finished: bool,
}

impl StdioConnection {
    /// Starts the server. Does not wait for it to say anything, so a spare one can be opened ahead of time.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn open(target: &CommandTarget, options: &StdioOptions, tap: Tap) -> Result<Self, SpawnError> {
        let (process, streams) = ServerProcess::start(target, &options.process, &tap).await?;
        let limits = &options.limits;
        let (queue, sender) = output::queue(limits);
        let reader = output::read(
            streams.stdout,
            sender,
            process.exit_watch(),
            limits.message_bytes,
            tap.clone(),
        );
        let stderr = StderrLog::default();
        let drain = errors::drain(streams.stderr, stderr.clone(), process.exit_watch(), tap.clone());
        Ok(Self {
            process,
            input: Input::new(streams.stdin, limits),
            queue,
            stderr,
            tap,
            ladder: options.process.ladder,
            tasks: [tokio::task::spawn_local(reader), tokio::task::spawn_local(drain)],
            finished: false,
        })
    }

    /// The server's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Writes a message and its newline. Cancel-safe, and safe after [`TransportError::Stalled`]: what was not taken yet is written before
    /// anything else, so that messages never run into each other.
    ///
    /// # Errors
    /// When stdin is closed, or the server does not read it in time.
    pub async fn send(&mut self, message: &[u8], intent: Intent) -> Result<Sent, TransportError> {
        self.input.ready()?;
        let event = self.record(message, intent);
        self.input.push(&[message, b"\n"]);
        self.input.flush_unless_gathering().await?;
        Ok(Sent { event, exchange: None })
    }

    /// From now on lets messages wait for each other, to be written at once; or no longer, and writes those that wait. What is listened for
    /// writes them, too.
    ///
    /// # Errors
    /// When the server does not read in time.
    pub async fn gather(&mut self, gathers: bool) -> Result<(), TransportError> {
        self.input.gather(gathers).await
    }

    /// Writes chunks of bytes one by one, with pauses between them so that they arrive apart, and a newline after the last if wanted. The trace
    /// shows the lines that they make up.
    ///
    /// # Errors
    /// When stdin is closed, or the server does not read it in time.
    pub async fn send_chunks(
        &mut self,
        chunks: &[Vec<u8>],
        newline: bool,
        intent: Intent,
    ) -> Result<Sent, TransportError> {
        self.input.ready()?;
        let all = chunks.concat();
        // A newline ends a line; it does not begin another one.
        let lines = if newline {
            &all
        } else {
            all.strip_suffix(b"\n").unwrap_or(&all)
        };
        let mut event = self.tap.position();
        for line in lines.split(|byte| *byte == b'\n') {
            event = self.record(line, intent);
        }
        for (index, chunk) in chunks.iter().enumerate() {
            let last = index + 1 == chunks.len();
            self.input.push(&[chunk, if last && newline { b"\n" } else { b"" }]);
            self.input.flush_in_time().await?;
            if !last {
                tokio::time::sleep(input::BETWEEN_CHUNKS).await;
            }
        }
        Ok(Sent { event, exchange: None })
    }

    /// Writes exact bytes, without a newline of ours.
    ///
    /// # Errors
    /// When stdin is closed, or the server does not read it in time.
    pub async fn send_raw(&mut self, bytes: &[u8], intent: Intent) -> Result<Sent, TransportError> {
        self.send_chunks(&[bytes.to_vec()], false, intent).await
    }

    /// Waits for what comes next, and writes meanwhile what the server did not take in time. Cancel-safe. `None` once [`Incoming::Closed`]
    /// was given.
    pub async fn receive(&mut self) -> Option<Incoming> {
        loop {
            tokio::select! {
                biased;
                incoming = self.queue.next() => return incoming,
                // A failure shows with the next message that is sent.
                _ = self.input.flush(), if self.input.is_behind() => {}
            }
        }
    }

    /// Closes the server's input.
    pub fn close_stdin(&mut self) {
        if self.input.close() {
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

    /// How the server ended, if it has.
    #[must_use]
    pub fn exit(&self) -> Option<Exit> {
        self.process.exit()
    }

    /// Waits for the server to end.
    pub async fn wait_exit(&mut self, within: Duration) -> Option<Exit> {
        self.process.wait_exit(within).await
    }

    /// Gives the server less time to end by itself.
    pub fn shorten_grace(&mut self, grace: Duration) {
        self.ladder.stdin = self.ladder.stdin.min(grace);
    }

    /// Ends the server: closes its input, waits, and helps along with signals. What it says meanwhile is recorded and dropped. Once is enough.
    pub async fn close(&mut self) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        self.close_stdin();
        // A server that waits for a reader could not end.
        self.queue.discard();
        let ladder = self.ladder;
        let exit = self.process.end(&ladder).await;
        // What was written last, and news of survivors, come a moment after the exit.
        let [reader, drain] = &mut self.tasks;
        let rest = async {
            let _ = tokio::join!(reader, drain);
        };
        let _ = tokio::time::timeout(AFTER_EXIT * 2, rest).await;
        if exit.is_some() {
            self.process.settled().await;
        }
    }

    /// What the server wrote to stderr: its beginning and its end, when it was much.
    #[must_use]
    pub fn stderr_tail(&self) -> String {
        self.stderr.text()
    }

    fn record(&self, line: &[u8], intent: Intent) -> usize {
        self.tap.record(EventKind::Sent {
            payload: Payload::from(line),
            exchange: None,
            intent,
        })
    }
}

impl Drop for StdioConnection {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Ends a while after the process has ended; never when its end will not be known.
async fn long_after(mut exit: watch::Receiver<Option<Exit>>) {
    if exit.wait_for(Option::is_some).await.is_err() {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(AFTER_EXIT).await;
}

/// Reads a pipe while the process lives and a bit beyond. Everything the process itself has written is given, however slowly it is asked for; a
/// descendant that writes on and on is cut off.
struct PatientReader<R> {
    pipe: R,
    long_after_exit: std::pin::Pin<Box<dyn Future<Output = ()>>>,
    /// Bytes that may still be read, once the time after the exit is over.
    leftover: Option<usize>,
}

/// The most that a pipe holds without privileges: what the process wrote before its end is no more.
const PIPE_BYTES: usize = 1024 * 1024;

impl<R: tokio::io::AsyncRead + Unpin> PatientReader<R> {
    fn new(pipe: R, exit: watch::Receiver<Option<Exit>>) -> Self {
        Self {
            pipe,
            long_after_exit: Box::pin(long_after(exit)),
            leftover: None,
        }
    }

    /// Reads some bytes; 0 at the end.
    async fn read(&mut self, buffer: &mut [u8]) -> usize {
        use tokio::io::AsyncReadExt as _;
        if let Some(left) = &mut self.leftover {
            // Only what is there already; "unconstrained", because a task that has done much is told that nothing is there.
            let room = buffer.len().min(*left);
            let read = tokio::task::unconstrained(self.pipe.read(&mut buffer[..room]));
            let count = tokio::time::timeout(Duration::ZERO, read)
                .await
                .ok()
                .and_then(Result::ok)
                .unwrap_or(0);
            *left -= count;
            return count;
        }
        tokio::select! {
            biased;
            () = &mut self.long_after_exit => {}
            read = self.pipe.read(buffer) => return read.unwrap_or(0),
        }
        self.leftover = Some(PIPE_BYTES);
        Box::pin(self.read(buffer)).await
    }
}
