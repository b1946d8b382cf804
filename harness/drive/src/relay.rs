//! Stands between a client and a server over stdio, and makes a trace of what passes.
//!
//! ```text
//! client ──► input ──► server        every byte as it came, at once; the trace is written beside it, line by line
//! client ◄── output ◄── server
//! client ◄── errors ◄── server
//! ```
//!
//! Bytes are passed on exactly as they came, whatever the recording makes of them, and no wait lies between. A trace that cannot be written
//! any more, or that has become too long to be judged, is given up, and the session goes on.

use std::cell::RefCell;
use std::future::pending;
use std::io::Write;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use touchstone_core::jsonrpc::{Line, LineReader};
use touchstone_core::trace::{Channel, Event, EventKind, Intent, Payload, Trace, TransportKind};

use crate::process::{Exit, ProcessOptions, ServerProcess, SpawnError, Streams};
use crate::tap::Tap;
use crate::target::CommandTarget;

/// Size of one read.
const READ_BYTES: usize = 64 * 1024;
/// Longest line that the trace keeps; longer ones pass all the same.
const LONGEST_LINE: usize = 16 * 1024 * 1024;
/// Bytes of a trace after which nothing that passes is written any more: a server must not fill the disk of whoever records it, nor make a trace
/// that nobody can judge.
const LARGEST_TRACE: usize = 48 * 1024 * 1024;
/// What an event costs whoever judges it, beyond its bytes.
const EVENT_COST: usize = 768;
/// How long output is still passed on after the server has ended: what it left behind may have the stream open for ever.
const AFTER_EXIT: Duration = Duration::from_secs(2);

/// The streams of the client.
pub struct Client<I, O, E> {
    /// What the client writes.
    pub input: I,
    /// What the client reads.
    pub output: O,
    /// Where the server's errors go.
    pub errors: E,
}

/// What came of a session.
#[derive(Debug)]
pub struct Relayed {
    /// How the server ended.
    pub exit: Option<Exit>,
    /// Why the trace is not complete, when it is not.
    pub lost: Option<std::io::Error>,
}

/// The trace that is being written.
struct Recorder<W> {
    out: W,
    began: Instant,
    /// What the process itself tells: its start, its end, signals.
    tap: Tap,
    told: usize,
    /// Bytes that have been written, and what the events cost.
    written: usize,
    /// Whether there was more than is kept.
    full: bool,
    failure: Option<std::io::Error>,
}

impl<W: Write> Recorder<W> {
    fn new(mut out: W, name: &str) -> Self {
        let head = Trace::new(name, TransportKind::Stdio)
            .to_json_lines()
            .unwrap_or_default();
        let failure = out.write_all(head.as_bytes()).and_then(|()| out.flush()).err();
        Self {
            out,
            began: Instant::now(),
            tap: Tap::new(name, TransportKind::Stdio, 0),
            told: 0,
            written: 0,
            full: false,
            failure,
        }
    }

    /// Writes what the process told meanwhile.
    fn catch_up(&mut self) {
        let events: Vec<Event> = self.tap.read(|trace| trace.events[self.told..].to_vec());
        self.told += events.len();
        for event in events {
            self.line(&event);
        }
    }

    fn record(&mut self, kind: EventKind) {
        self.catch_up();
        let at_us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        if self.full {
            return;
        }
        self.full = self.written > LARGEST_TRACE;
        let kind = if self.full {
            EventKind::LimitReached {
                limit: "bytes of the trace".to_owned(),
            }
        } else {
            kind
        };
        self.line(&Event { at_us, kind });
    }

    fn line(&mut self, event: &Event) {
        if self.failure.is_some() {
            return;
        }
        let written = serde_json::to_vec(event)
            .map_err(std::io::Error::other)
            .and_then(|mut line| {
                line.push(b'\n');
                self.written += line.len() + EVENT_COST;
                self.out.write_all(&line)?;
                self.out.flush()
            });
        self.failure = written.err();
    }
}

/// Which stream is passed on.
#[derive(Clone, Copy)]
enum Direction {
    Input,
    Output,
    Errors,
}

impl Direction {
    fn event(self, bytes: Vec<u8>, terminated: bool) -> EventKind {
        let payload = Payload::from(bytes);
        match self {
            Self::Input => EventKind::Sent {
                payload,
                exchange: None,
                intent: Intent::Proper,
            },
            Self::Output => EventKind::Received {
                payload,
                channel: Channel::Stdout,
                exchange: None,
                terminated,
            },
            Self::Errors => EventKind::Stderr { payload },
        }
    }
}

/// Starts the server and passes everything on until it has ended. `signals` gives the names of signals that came in the meantime; they are handed
/// to the server. Must run inside a [`tokio::task::LocalSet`].
///
/// # Errors
/// When the server cannot be started.
pub async fn relay<I, O, E, W>(
    target: &CommandTarget,
    options: &ProcessOptions,
    client: Client<I, O, E>,
    trace: W,
    signals: watch::Receiver<Option<&'static str>>,
) -> Result<Relayed, SpawnError>
where
    I: AsyncRead + Unpin + 'static,
    O: AsyncWrite + Unpin,
    E: AsyncWrite + Unpin,
    W: Write + 'static,
{
    let recorder = Rc::new(RefCell::new(Recorder::new(trace, "recorded")));
    let tap = recorder.borrow().tap.clone();
    let (mut process, Streams { stdin, stdout, stderr }) = ServerProcess::start(target, options, &tap).await?;
    let mut exit = process.exit_watch();

    // The client may keep its end open for ever, and a read of stdin cannot be called off: nobody waits for this task.
    let input = tokio::task::spawn_local({
        let recorder = Rc::clone(&recorder);
        async move {
            pass(client.input, stdin, Direction::Input, &recorder).await;
            // The server's stdin was closed with the end of `pass`.
            recorder.borrow_mut().record(EventKind::StdinClosed);
        }
    });
    let outputs = async {
        tokio::join!(
            async {
                pass(stdout, client.output, Direction::Output, &recorder).await;
                recorder.borrow_mut().record(EventKind::StdoutClosed);
            },
            pass(stderr, client.errors, Direction::Errors, &recorder),
        );
    };
    let ended = async {
        let _ = exit.wait_for(Option::is_some).await;
        tokio::time::sleep(AFTER_EXIT).await;
    };
    let hand_on = hand_on(&mut process, signals);
    tokio::select! {
        () = async { tokio::select! { () = outputs => {}, () = ended => {} } } => {}
        () = hand_on => {}
    }
    // Output may end before the process does.
    let mut exit = process.exit_watch();
    let exit = exit.wait_for(Option::is_some).await.ok().and_then(|exit| *exit);
    process.settled().await;
    input.abort();
    let mut recorder = recorder.borrow_mut();
    recorder.catch_up();
    let full = recorder.full.then(|| {
        let message = format!("it ends where it had {LARGEST_TRACE} bytes, {EVENT_COST} counted for each event");
        std::io::Error::new(std::io::ErrorKind::FileTooLarge, message)
    });
    Ok(Relayed {
        exit,
        lost: recorder.failure.take().or(full),
    })
}

/// Hands signals to the server, for ever.
async fn hand_on(process: &mut ServerProcess, mut signals: watch::Receiver<Option<&'static str>>) {
    while signals.changed().await.is_ok() {
        let signal = *signals.borrow_and_update();
        if let Some(signal) = signal {
            // A server that has ended meanwhile needs no signal.
            let _ = process.signal(signal);
        }
    }
    pending().await
}

/// Copies a stream to its end. When the reader is gone, the stream is dropped, which its writer notices as it would without us.
async fn pass<R, S, W>(mut from: R, mut to: S, direction: Direction, recorder: &RefCell<Recorder<W>>)
where
    R: AsyncRead + Unpin,
    S: AsyncWrite + Unpin,
    W: Write,
{
    let mut lines = LineReader::new(LONGEST_LINE);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = match from.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        let bytes = &buffer[..count];
        // Requests are recorded before they are answered, answers before the next request: the order in the trace is that of the client.
        lines.push(bytes);
        while let Some(line) = lines.next_line() {
            let kept = match line {
                Line::Complete(bytes) => bytes,
                Line::TooLong { kept, total } => {
                    let limit = format!("bytes of one line: it had {total}, {} were kept", kept.len());
                    recorder.borrow_mut().record(EventKind::LimitReached { limit });
                    kept
                }
            };
            recorder.borrow_mut().record(direction.event(kept, true));
        }
        if to.write_all(bytes).await.is_err() || to.flush().await.is_err() {
            break;
        }
    }
    if let Some(rest) = lines.finish() {
        recorder.borrow_mut().record(direction.event(rest, false));
    }
    let _ = to.shutdown().await;
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tokio::task::LocalSet;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn run(script: &str, input: &[u8]) -> (Vec<u8>, Vec<u8>, Relayed, Trace) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let target = CommandTarget::new("sh", ["-c".into(), script.into()]);
        let input = input.to_vec();
        let trace = Shared::default();
        let written = trace.clone();
        let (output, errors, relayed) = LocalSet::new().block_on(&runtime, async move {
            let (_keep, signals) = watch::channel(None);
            let (mut output, mut errors) = (Vec::new(), Vec::new());
            let client = Client {
                input: std::io::Cursor::new(input),
                output: &mut output,
                errors: &mut errors,
            };
            let options = ProcessOptions::default();
            let work = relay(&target, &options, client, trace, signals);
            let relayed = tokio::time::timeout(Duration::from_secs(20), work)
                .await
                .expect("it ends")
                .unwrap();
            (output, errors, relayed)
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        (output, errors, relayed, Trace::from_json_lines(&text).unwrap())
    }

    #[test]
    fn every_byte_passes_as_it_came_and_stands_in_the_trace() {
        let input = b"{\"id\":1}\n\xff\xfe\r\n\nlast without newline";
        let (output, errors, relayed, trace) = run("cat; echo oops >&2; exit 7", input);
        assert_eq!(output, input);
        assert_eq!(errors, b"oops\n");
        assert_eq!(relayed.exit.and_then(|exit| exit.code), Some(7));
        let sent: Vec<&[u8]> = trace
            .events
            .iter()
            .filter_map(|event| match &event.kind {
                EventKind::Sent { payload, .. } => Some(payload.bytes()),
                _ => None,
            })
            .collect();
        assert_eq!(sent.first(), Some(&&b"{\"id\":1}"[..]));
        assert_eq!(sent.last(), Some(&&b"last without newline"[..]));
        let last = trace.events.iter().rev().find_map(|event| match &event.kind {
            EventKind::Received {
                payload, terminated, ..
            } => Some((payload.bytes().to_vec(), *terminated)),
            _ => None,
        });
        assert_eq!(last, Some((b"last without newline".to_vec(), false)));
        let is = |wanted: fn(&EventKind) -> bool| trace.events.iter().any(|event| wanted(&event.kind));
        assert!(is(|kind| matches!(kind, EventKind::ProcessStarted { .. })));
        assert!(is(|kind| matches!(kind, EventKind::StdinClosed)));
        assert!(is(|kind| matches!(
            kind,
            EventKind::ProcessExited { code: Some(7), .. }
        )));
    }

    #[test]
    fn much_at_once_passes_whole() {
        let input = vec![b'x'; 3 * 1024 * 1024];
        let (output, _, relayed, _) = run("cat", &input);
        assert_eq!((output.len(), relayed.lost.is_none()), (input.len(), true));
    }

    #[test]
    fn a_flood_passes_whole_and_does_not_fill_the_disk() {
        let mut recorder = Recorder::new(std::io::sink(), "t");
        let line = || Direction::Output.event(vec![b'x'; 1024 * 1024], true);
        for _ in 0..200 {
            recorder.record(line());
        }
        assert!(recorder.full && recorder.written < LARGEST_TRACE + 3 * 1024 * 1024);
    }

    #[test]
    fn a_server_that_ends_by_itself_ends_the_session_though_the_client_stays() {
        let (output, _, relayed, _) = run("echo hello; exit 0", b"");
        assert_eq!(output, b"hello\n");
        assert_eq!(relayed.exit.and_then(|exit| exit.code), Some(0));
    }
}
