//! The server's standard input: everything is written in order, each message within a deadline.

use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::AsyncWriteExt as _;
use tokio::process::ChildStdin;

use crate::transport::{TransportError, TransportLimits};

/// Pause between chunks that are to arrive apart.
pub(super) const BETWEEN_CHUNKS: Duration = Duration::from_millis(10);

/// Bytes that wait for more at most.
const ENOUGH: usize = 32 * 1024;

/// The writing end. What the server does not take in time waits here, so that a message is never torn.
pub(super) struct Input {
    stdin: Option<ChildStdin>,
    behind: BytesMut,
    /// Whether messages wait for each other, to be written at once.
    gathers: bool,
    deadline: Duration,
    /// Bytes that may wait before nothing more is accepted.
    cap: usize,
    /// Why writing is over, when it failed.
    failure: Option<String>,
}

impl Input {
    pub(super) fn new(stdin: ChildStdin, limits: &TransportLimits) -> Self {
        Self {
            stdin: Some(stdin),
            behind: BytesMut::new(),
            gathers: false,
            deadline: limits.write,
            cap: limits.message_bytes,
            failure: None,
        }
    }

    /// Whether something can be sent at all.
    pub(super) fn ready(&self) -> Result<(), TransportError> {
        if let Some(failure) = &self.failure {
            return Err(TransportError::Closed(failure.clone()));
        }
        if self.stdin.is_none() {
            return Err(TransportError::Closed("its input was closed already".to_owned()));
        }
        if self.behind.len() > self.cap {
            return Err(TransportError::Stalled(self.deadline));
        }
        Ok(())
    }

    /// Puts bytes in line.
    pub(super) fn push(&mut self, parts: &[&[u8]]) {
        self.behind.reserve(parts.iter().map(|part| part.len()).sum());
        for part in parts {
            self.behind.extend_from_slice(part);
        }
    }

    /// Lets messages wait for each other, or writes those that do.
    pub(super) async fn gather(&mut self, gathers: bool) -> Result<(), TransportError> {
        self.gathers = gathers;
        if gathers { Ok(()) } else { self.flush_in_time().await }
    }

    /// Writes what is in line, unless it may wait for more.
    pub(super) async fn flush_unless_gathering(&mut self) -> Result<(), TransportError> {
        if self.gathers && self.behind.len() < ENOUGH {
            return Ok(());
        }
        self.flush_in_time().await
    }

    /// Whether the server has not taken everything yet.
    pub(super) fn is_behind(&self) -> bool {
        self.stdin.is_some() && !self.behind.is_empty()
    }

    /// Writes what is in line. Cancel-safe.
    pub(super) async fn flush(&mut self) -> Result<(), TransportError> {
        while let (Some(stdin), false) = (&mut self.stdin, self.behind.is_empty()) {
            match stdin.write(&self.behind).await {
                Ok(count @ 1..) => self.behind.advance(count),
                Ok(0) => return Err(self.fail("it no longer reads its input".to_owned())),
                Err(error) => return Err(self.fail(format!("it no longer reads its input ({error})"))),
            }
        }
        Ok(())
    }

    /// Writes what is in line, within the deadline.
    pub(super) async fn flush_in_time(&mut self) -> Result<(), TransportError> {
        let deadline = self.deadline;
        tokio::time::timeout(deadline, self.flush())
            .await
            .unwrap_or(Err(TransportError::Stalled(deadline)))
    }

    /// Closes it; false when it was closed already.
    pub(super) fn close(&mut self) -> bool {
        self.behind.clear();
        self.stdin.take().is_some()
    }

    fn fail(&mut self, reason: String) -> TransportError {
        self.behind.clear();
        self.failure = Some(reason.clone());
        TransportError::Closed(reason)
    }
}
