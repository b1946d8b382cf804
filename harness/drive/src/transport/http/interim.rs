//! A bound on interim responses (`100 Continue` and its like): the HTTP library reads over them for as long as they come, which can be for ever.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Interim responses that may come before a response. Servers that say they are still at work say it every few seconds.
const MOST_INTERIM: u32 = 100;

/// How an interim response begins on a new line; `x` stands for any byte.
const BEGINNING: &[u8] = b"\nHTTP/1.x 1";

/// Whether the head of a response is waited for. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Wait(Rc<Cell<bool>>);

impl Wait {
    /// A request goes out: its response is the next one.
    pub(super) fn begin(&self) {
        self.0.set(true);
    }

    /// The head is there. What follows is its body, which may hold anything.
    pub(super) fn end(&self) {
        self.0.set(false);
    }
}

/// A connection whose reading fails when too many interim responses come instead of the response.
pub(super) struct Bounded<S> {
    stream: S,
    wait: Wait,
    counter: Counter,
}

impl<S> Bounded<S> {
    pub(super) fn new(stream: S, wait: Wait) -> Self {
        Self {
            stream,
            wait,
            counter: Counter::default(),
        }
    }
}

/// Counts beginnings of interim responses, however they are cut into pieces.
#[derive(Default)]
struct Counter {
    matched: usize,
    found: u32,
}

impl Counter {
    fn read(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let wanted = BEGINNING[self.matched];
            // A line break stands at the beginning only, so that nothing that matched before can be a part of another match.
            self.matched = match *byte {
                byte if byte == wanted || wanted == b'x' => self.matched + 1,
                b'\n' => 1,
                _ => 0,
            };
            if self.matched == BEGINNING.len() {
                self.matched = 0;
                self.found += 1;
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if !self.wait.0.get() {
            self.counter = Counter::default();
            return Poll::Ready(Ok(()));
        }
        self.counter.read(&buffer.filled()[before..]);
        if self.counter.found > MOST_INTERIM {
            let message = format!("more than {MOST_INTERIM} interim responses (1xx) came instead of a response");
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, message)));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interim_responses_are_counted_however_they_are_cut() {
        let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nX: \n\nHTTP/1.0 103 x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
        for size in [1, 2, 7, bytes.len()] {
            let mut counter = Counter::default();
            bytes.chunks(size).for_each(|piece| counter.read(piece));
            // The first stands behind no line break.
            assert_eq!(counter.found, 2, "in pieces of {size}");
        }
    }
}
