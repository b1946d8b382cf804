//! A running server process, with or without a guard.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use touchstone_core::trace::{EventKind, Survivor};

use super::command::{SpawnError, environment, resolve};
use super::{GuardProgram, ProcessOptions};
use crate::tap::Tap;
use crate::target::CommandTarget;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// The exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal.
    pub signal: Option<i32>,
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
pub struct Streams {
    /// Its input.
    pub stdin: ChildStdin,
    /// Its output.
    pub stdout: ChildStdout,
    /// Its error output.
    pub stderr: ChildStderr,
}

/// A running server.
pub struct ServerProcess {
    pid: u32,
    control: Control,
    exit: watch::Receiver<Option<Exit>>,
    /// The task that follows the process, to its end and a bit beyond: survivors are told last.
    follower: Option<tokio::task::JoinHandle<()>>,
    tap: Tap,
}

/// How signals reach the server.
enum Control {
    /// Through the guard, which ends everything when this is dropped.
    #[cfg(target_os = "linux")]
    Guard(tokio::net::unix::OwnedWriteHalf),
    /// Directly, to its process group, which is killed when this is dropped.
    Group(ProcessGroup),
}

impl ServerProcess {
    /// Starts a server.
    ///
    /// # Errors
    /// When the program is not there or the system refuses to start it.
    pub async fn start(
        target: &CommandTarget,
        options: &ProcessOptions,
        tap: &Tap,
    ) -> Result<(Self, Streams), SpawnError> {
        let program = resolve(target)?;
        let guard = match &options.guard {
            GuardProgram::None => None,
            GuardProgram::CurrentExecutable => {
                Some(std::env::current_exe().map_err(|error| SpawnError::Guard(error.to_string()))?)
            }
            GuardProgram::Path(path) => Some(path.clone()),
        };
        let refused = |error: std::io::Error| SpawnError::Refused {
            program: program.display().to_string(),
            error: error.to_string(),
        };
        #[cfg(target_os = "linux")]
        if let Some(guard) = guard {
            return Self::start_guarded(&guard, &program, target, tap).await;
        }
        #[cfg(not(target_os = "linux"))]
        let _ = guard;
        let mut command = Command::new(&program);
        prepare(&mut command, target);
        #[cfg(unix)]
        command.process_group(0);
        command.kill_on_drop(true);
        let mut child = command.args(&target.arguments).spawn().map_err(refused)?;
        let pid = child.id().unwrap_or_default();
        let streams = streams(&mut child)?;
        tap.record(EventKind::ProcessStarted { pid });
        let (sender, exit) = watch::channel(None);
        let recorder = tap.clone();
        let follower = tokio::task::spawn_local(async move {
            if let Ok(status) = child.wait().await {
                let ended = exit_of(status);
                recorder.record(EventKind::ProcessExited {
                    code: ended.code,
                    signal: ended.signal,
                });
                sender.send_replace(Some(ended));
            }
        });
        Ok((
            Self {
                pid,
                control: Control::Group(ProcessGroup(pid)),
                exit,
                follower: Some(follower),
                tap: tap.clone(),
            },
            streams,
        ))
    }

    #[cfg(target_os = "linux")]
    async fn start_guarded(
        guard: &std::path::Path,
        program: &std::path::Path,
        target: &CommandTarget,
        tap: &Tap,
    ) -> Result<(Self, Streams), SpawnError> {
        use tokio::io::{AsyncBufReadExt as _, BufReader};

        let trouble = |error: std::io::Error| SpawnError::Guard(error.to_string());
        let mut secret = [0_u8; 16];
        getrandom::fill(&mut secret).map_err(|error| SpawnError::Guard(error.to_string()))?;
        let name = format!("touchstone-{}-{:032x}", std::process::id(), u128::from_le_bytes(secret));
        let listener =
            std::os::unix::net::UnixListener::bind_addr(&super::guard::address(name.as_bytes()).map_err(trouble)?);
        let listener = listener.map_err(trouble)?;
        listener.set_nonblocking(true).map_err(trouble)?;
        let listener = tokio::net::UnixListener::from_std(listener).map_err(trouble)?;

        let mut command = Command::new(guard);
        prepare(&mut command, target);
        command
            .arg(super::guard::ARGUMENT)
            .arg(&name)
            .arg(program)
            .args(&target.arguments);
        // A signal to the harness and its whole group, from a terminal or a CI runner, must not end the guard before it has done its work.
        command.process_group(0);
        let mut child = command.spawn().map_err(trouble)?;
        let streams = streams(&mut child)?;
        let connected = tokio::time::timeout(Duration::from_secs(10), listener.accept()).await;
        let (socket, _) = connected
            .map_err(|_| SpawnError::Guard("it did not connect in time".to_owned()))?
            .map_err(trouble)?;
        let (reader, writer) = socket.into_split();
        let mut lines = BufReader::new(reader).lines();
        let first = tokio::time::timeout(Duration::from_secs(10), lines.next_line()).await;
        let first = first.ok().and_then(Result::ok).flatten().unwrap_or_default();
        let pid = match first.split_once(' ') {
            Some(("started", pid)) => pid.parse().unwrap_or_default(),
            Some(("failed", error)) => {
                return Err(SpawnError::Refused {
                    program: program.display().to_string(),
                    error: error.to_owned(),
                });
            }
            _ => return Err(SpawnError::Guard("it said nothing".to_owned())),
        };
        tap.record(EventKind::ProcessStarted { pid });
        let (sender, exit) = watch::channel(None);
        let recorder = tap.clone();
        let follower = tokio::task::spawn_local(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                match line.split_once(' ') {
                    Some(("exited", rest)) => {
                        let mut numbers = rest.split(' ').map(|word| word.parse::<i32>().ok());
                        let ended = Exit {
                            code: numbers.next().flatten(),
                            signal: numbers.next().flatten(),
                        };
                        recorder.record(EventKind::ProcessExited {
                            code: ended.code,
                            signal: ended.signal,
                        });
                        sender.send_replace(Some(ended));
                    }
                    Some(("survivors", list)) if !list.is_empty() => {
                        let survivor = |entry: &str| {
                            let (pid, name) = entry.split_once(':')?;
                            Some(Survivor {
                                pid: pid.parse().ok()?,
                                name: name.to_owned(),
                            })
                        };
                        recorder.record(EventKind::Survivors {
                            processes: list.split(',').filter_map(survivor).collect(),
                        });
                    }
                    _ => {}
                }
            }
            // The guard itself is reaped here, so that no zombie is left.
            let _ = child.wait().await;
        });
        Ok((
            Self {
                pid,
                control: Control::Guard(writer),
                exit,
                follower: Some(follower),
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

    /// Waits, for a moment at most, until everything is known about the end of a server that has ended.
    pub(crate) async fn settled(&mut self) {
        if let Some(follower) = self.follower.take() {
            let _ = tokio::time::timeout(Duration::from_secs(1), follower).await;
        }
    }

    /// A handle on which the end of the server can be awaited elsewhere.
    pub(crate) fn exit_watch(&self) -> watch::Receiver<Option<Exit>> {
        self.exit.clone()
    }

    /// Sends a signal to the server's process group. Unknown names are refused.
    ///
    /// # Errors
    /// When the name is none of SIGTERM, SIGINT, SIGHUP and SIGKILL, or the platform has no signals.
    pub fn signal(&mut self, name: &str) -> Result<(), String> {
        if !["SIGTERM", "SIGINT", "SIGHUP", "SIGKILL"].contains(&name) {
            return Err(format!("{name} is not one of SIGTERM, SIGINT, SIGHUP, SIGKILL"));
        }
        self.tap.record(EventKind::Signalled {
            signal: name.to_owned(),
        });
        match &mut self.control {
            #[cfg(target_os = "linux")]
            Control::Guard(writer) => {
                let line = format!("signal {name}\n");
                writer
                    .try_write(line.as_bytes())
                    .map(|_| ())
                    .map_err(|error| format!("the guard is gone: {error}"))
            }
            Control::Group(group) => group.signal(name),
        }
    }

    /// Waits for the server to end after its input was closed, and helps it along, rung by rung.
    pub async fn end(&mut self, ladder: &Ladder) -> Option<Exit> {
        if let Some(exit) = self.wait_exit(ladder.stdin).await {
            return Some(exit);
        }
        for (signal, patience) in [("SIGTERM", ladder.term), ("SIGKILL", ladder.kill)] {
            if self.signal(signal).is_err() {
                break;
            }
            if let Some(exit) = self.wait_exit(patience).await {
                return Some(exit);
            }
        }
        None
    }
}

/// Environment, directory and pipes of a command.
fn prepare(command: &mut Command, target: &CommandTarget) {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.env_clear().envs(environment(target));
    if let Some(directory) = &target.directory {
        command.current_dir(directory);
    }
}

fn streams(child: &mut Child) -> Result<Streams, SpawnError> {
    match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
        (Some(stdin), Some(stdout), Some(stderr)) => Ok(Streams { stdin, stdout, stderr }),
        _ => Err(SpawnError::Guard("the standard streams are missing".to_owned())),
    }
}

fn exit_of(status: std::process::ExitStatus) -> Exit {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal = None;
    Exit {
        code: status.code(),
        signal,
    }
}

/// A process group that is killed when it is dropped.
struct ProcessGroup(u32);

impl ProcessGroup {
    #[cfg(unix)]
    fn signal(&self, name: &str) -> Result<(), String> {
        use rustix::process::{Pid, Signal, kill_process_group};
        let signal = match name {
            "SIGTERM" => Signal::TERM,
            "SIGINT" => Signal::INT,
            "SIGHUP" => Signal::HUP,
            _ => Signal::KILL,
        };
        // Group 0 and 1 would be ourselves and everything.
        let group = i32::try_from(self.0)
            .ok()
            .filter(|pid| *pid > 1)
            .and_then(Pid::from_raw)
            .ok_or("no process group")?;
        kill_process_group(group, signal).map_err(|error| error.to_string())
    }

    #[cfg(not(unix))]
    fn signal(&self, name: &str) -> Result<(), String> {
        Err(format!("{name} cannot be sent on this platform"))
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        // The group may be gone already.
        let _ = self.signal("SIGKILL");
    }
}
