//! A running server process, with or without a guard.

use std::fmt;
use std::time::Duration;

use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use touchstone_core::trace::EventKind;

use super::ProcessOptions;
use super::command::{SpawnError, resolve};
use super::direct::{self, DirectHandle};
use crate::tap::Tap;
use crate::target::CommandTarget;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// The exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The number of the signal that ended it.
    pub signal: Option<i32>,
}

/// As the rest of a sentence that begins with "the server".
impl fmt::Display for Exit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(formatter, "exited with code {code}"),
            (None, Some(signal)) => match signal_name(signal) {
                Some(name) => write!(formatter, "was ended by {name}"),
                None => write!(formatter, "was ended by signal {signal}"),
            },
            (None, None) => formatter.write_str("exited"),
        }
    }
}

/// Times of the shutdown ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ladder {
    /// From closing stdin to SIGTERM.
    pub stdin: Duration,
    /// From SIGTERM to SIGKILL.
    pub term: Duration,
    /// From SIGKILL to giving up.
    pub kill: Duration,
}

impl Default for Ladder {
    fn default() -> Self {
        Self {
            stdin: Duration::from_secs(5),
            term: Duration::from_secs(2),
            kill: Duration::from_secs(2),
        }
    }
}

/// The standard streams of a server.
#[derive(Debug)]
pub struct Streams {
    /// Its input.
    pub stdin: ChildStdin,
    /// Its output.
    pub stdout: ChildStdout,
    /// Its error output.
    pub stderr: ChildStderr,
}

/// Signals that can be sent to a server.
const SIGNALS: [&str; 4] = ["SIGTERM", "SIGINT", "SIGHUP", "SIGKILL"];

/// A running server. Dropping it ends the server and, as far as the platform allows, everything the server has started.
pub struct ServerProcess {
    pid: u32,
    control: Control,
    exit: watch::Receiver<Option<Exit>>,
    /// The task that follows the process, to its end and a bit beyond: survivors are told last.
    follower: Option<JoinHandle<()>>,
    tap: Tap,
}

/// How signals reach the server. Dropping it ends the server.
enum Control {
    /// Through the guard.
    #[cfg(target_os = "linux")]
    Guard(tokio::net::unix::OwnedWriteHalf),
    /// Directly.
    Direct(DirectHandle),
}

impl ServerProcess {
    /// Starts a server. Waits for nothing that the server itself does. Must be called within a [`tokio::task::LocalSet`].
    ///
    /// # Errors
    /// When the program is not there or the system refuses to start it.
    pub async fn start(
        target: &CommandTarget,
        options: &ProcessOptions,
        tap: &Tap,
    ) -> Result<(Self, Streams), SpawnError> {
        let program = resolve(target)?;
        #[cfg(target_os = "linux")]
        if let Some(guard) = super::guarded::program(&options.guard) {
            let (guarded, streams) = super::guarded::start(&guard, &program, target, &options.limits, tap).await?;
            let control = Control::Guard(guarded.orders);
            let process = Self {
                pid: guarded.pid,
                control,
                exit: guarded.exit,
                follower: Some(guarded.follower),
                tap: tap.clone(),
            };
            return Ok((process, streams));
        }
        #[cfg(not(target_os = "linux"))]
        let _ = &options.guard;
        if !options.limits.is_none() {
            return Err(SpawnError::Limits);
        }
        let (direct, streams) = direct::start(&program, target, tap)?;
        let control = Control::Direct(direct.handle);
        Ok((
            Self {
                pid: direct.pid,
                control,
                exit: direct.exit,
                follower: Some(direct.follower),
                tap: tap.clone(),
            },
            streams,
        ))
    }

    /// The server's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// How the server ended, if it has.
    #[must_use]
    pub fn exit(&self) -> Option<Exit> {
        *self.exit.borrow()
    }

    /// Waits for the server to end.
    pub async fn wait_exit(&mut self, within: Duration) -> Option<Exit> {
        let waited = tokio::time::timeout(within, self.exit.wait_for(Option::is_some)).await;
        waited.ok().and_then(Result::ok).and_then(|exit| *exit)
    }

    /// Waits, for a moment at most, until everything is known about the end of a server that has ended: above all its survivors.
    pub async fn settled(&mut self) {
        if let Some(follower) = self.follower.take() {
            let _ = tokio::time::timeout(Duration::from_secs(1), follower).await;
        }
    }

    /// A handle on which the end of the server can be awaited elsewhere.
    #[must_use]
    pub fn exit_watch(&self) -> watch::Receiver<Option<Exit>> {
        self.exit.clone()
    }

    /// Sends a signal to the server's process group.
    ///
    /// # Errors
    /// When the name is none of SIGTERM, SIGINT, SIGHUP and SIGKILL, when the server has ended, or when the platform has no such signal.
    pub fn signal(&mut self, name: &str) -> Result<(), String> {
        if !SIGNALS.contains(&name) {
            return Err(format!("{name} is not one of {}", SIGNALS.join(", ")));
        }
        if let Some(exit) = self.exit() {
            return Err(format!("{name} cannot be sent: the server {exit}"));
        }
        match &self.control {
            #[cfg(target_os = "linux")]
            Control::Guard(orders) => {
                let line = format!("signal {name}\n");
                orders
                    .try_write(line.as_bytes())
                    .map_err(|error| format!("{name} cannot be sent: the guard is gone ({error})"))?;
            }
            Control::Direct(handle) => handle.signal(name)?,
        }
        self.tap.record(EventKind::Signalled {
            signal: name.to_owned(),
        });
        Ok(())
    }

    /// Waits for the server to end after its input was closed, and helps it along, rung by rung. A rung that the platform does not have is
    /// left out. `None` when not even SIGKILL ended it in time.
    pub async fn end(&mut self, ladder: &Ladder) -> Option<Exit> {
        if let Some(exit) = self.wait_exit(ladder.stdin).await {
            return Some(exit);
        }
        for (signal, patience) in [("SIGTERM", ladder.term), ("SIGKILL", ladder.kill)] {
            if self.signal(signal).is_ok()
                && let Some(exit) = self.wait_exit(patience).await
            {
                return Some(exit);
            }
        }
        self.exit()
    }
}

/// The name of a signal whose number is the same on every Unix.
fn signal_name(number: i32) -> Option<&'static str> {
    Some(match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        _ => return None,
    })
}
