//! A server behind a guard, seen from the harness (Linux).

use std::io::{IoSlice, Result};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use touchstone_core::trace::EventKind;

use super::command::{SpawnError, environment};
use super::control::Report;
use super::group::Group;
use super::guard::{ARGUMENT, was_requested};
use super::{Exit, GuardProgram, ResourceLimits, Streams};
use crate::tap::Tap;
use crate::target::CommandTarget;

/// Longest time from starting the guard to its first word.
const START: Duration = Duration::from_secs(10);
/// Names the running program even when its file was replaced meanwhile.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// A server that a guard has started. The guard ends everything when `orders` is dropped.
pub(super) struct Guarded {
    pub(super) pid: u32,
    pub(super) orders: OwnedWriteHalf,
    pub(super) exit: watch::Receiver<Option<Exit>>,
    pub(super) follower: JoinHandle<()>,
}

/// The guard program that the options name, if they name one.
pub(super) fn program(guard: &GuardProgram) -> Option<PathBuf> {
    match guard {
        GuardProgram::None => None,
        GuardProgram::Path(path) => Some(path.clone()),
        GuardProgram::CurrentExecutable => {
            let present = Path::new(THIS_PROGRAM);
            Some(if present.exists() {
                present.to_path_buf()
            } else {
                std::env::current_exe().unwrap_or_else(|_| present.to_path_buf())
            })
        }
    }
}

/// Has `guard` start `program`.
pub(super) async fn start(
    guard: &Path,
    program: &Path,
    target: &CommandTarget,
    limits: &ResourceLimits,
    tap: &Tap,
) -> std::result::Result<(Guarded, Streams), SpawnError> {
    if was_requested() {
        return Err(SpawnError::Guard(
            "a program that acts as its own guard must call process::guard::run_if_requested() first thing in main"
                .to_owned(),
        ));
    }
    let trouble = |error: std::io::Error| SpawnError::Guard(error.to_string());
    let (child, socket, streams) = spawn(guard, program, target, limits).map_err(trouble)?;
    let (reader, orders) = socket.into_split();
    let mut lines = BufReader::new(reader).lines();
    let first = tokio::time::timeout(START, lines.next_line())
        .await
        .ok()
        .and_then(std::result::Result::ok)
        .flatten();
    let pid = match first.as_deref().and_then(Report::parse) {
        Some(Report::Started { pid }) => pid,
        Some(Report::Failed { code }) => {
            return Err(SpawnError::refused(program, &std::io::Error::from_raw_os_error(code)));
        }
        _ => {
            let text = format!(
                "{} did not act as one; its main must begin with process::guard::run_if_requested()",
                guard.display()
            );
            return Err(SpawnError::Guard(text));
        }
    };
    tap.record(EventKind::ProcessStarted { pid });
    let (sender, exit) = watch::channel(None);
    let follower = tokio::task::spawn_local(follow(lines, child, pid, sender, tap.clone()));
    Ok((
        Guarded {
            pid,
            orders,
            exit,
            follower,
        },
        streams,
    ))
}

/// Starts the guard, its control socket as stdin, the server's streams already on their way in it.
fn spawn(
    guard: &Path,
    program: &Path,
    target: &CommandTarget,
    limits: &ResourceLimits,
) -> Result<(Child, tokio::net::UnixStream, Streams)> {
    let (ours, theirs) = UnixStream::pair()?;
    let streams = hand_over_streams(&ours)?;
    let mut command = Command::new(guard);
    command
        .arg0("touchstone-guard")
        .arg(ARGUMENT)
        .arg(limits.word())
        .arg(program)
        .arg(&target.program)
        .args(&target.arguments);
    command.env_clear().envs(environment(target));
    if let Some(directory) = &target.directory {
        command.current_dir(directory);
    }
    command
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let child = command.spawn()?;
    ours.set_nonblocking(true)?;
    Ok((child, tokio::net::UnixStream::from_std(ours)?, streams))
}

/// Makes three pipes, puts the server's ends into the socket, and gives back the harness's.
fn hand_over_streams(socket: &UnixStream) -> Result<Streams> {
    let (stdin, our_stdin) = std::io::pipe()?;
    let (our_stdout, stdout) = std::io::pipe()?;
    let (our_stderr, stderr) = std::io::pipe()?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let theirs = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&theirs));
    rustix::net::sendmsg(socket, &[IoSlice::new(b"s")], &mut ancillary, SendFlags::empty())?;
    Ok(Streams {
        stdin: ChildStdin::from_std(OwnedFd::from(our_stdin).into())?,
        stdout: ChildStdout::from_std(OwnedFd::from(our_stdout).into())?,
        stderr: ChildStderr::from_std(OwnedFd::from(our_stderr).into())?,
    })
}

/// Records what the guard tells, until it ends.
async fn follow(
    mut lines: Lines<BufReader<OwnedReadHalf>>,
    mut guard: Child,
    pid: u32,
    sender: watch::Sender<Option<Exit>>,
    tap: Tap,
) {
    while let Ok(Some(line)) = lines.next_line().await {
        match Report::parse(&line) {
            Some(Report::Exited(exit)) => {
                tap.record(EventKind::ProcessExited {
                    code: exit.code,
                    signal: exit.signal,
                });
                sender.send_replace(Some(exit));
            }
            Some(Report::TooMany(count)) => {
                let limit = format!("processes of the server: it had {count}, and all were killed");
                tap.record(EventKind::LimitReached { limit });
            }
            Some(Report::Survivors(processes)) => {
                tap.record(EventKind::Survivors { processes });
            }
            _ => {}
        }
    }
    // The guard is reaped here, so that no zombie is left.
    let ended_properly = guard.wait().await.is_ok_and(|status| status.success());
    if !ended_properly
        && sender.borrow().is_none()
        && let Some(group) = Group::of(pid)
    {
        // Somebody has killed the guard itself: what can be reached without it is ended from here.
        let _ = group.signal("SIGKILL");
    }
}
