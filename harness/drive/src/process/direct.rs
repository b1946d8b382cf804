//! A server as a direct child, without a guard.
//!
//! Its process group, where there are groups, ends with it: a moment after the server has exited what remains of the group is killed, and so is
//! all of it when the handle is dropped.

use std::cell::Cell;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::rc::Rc;

use tokio::process::{Child, Command};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use touchstone_core::trace::EventKind;

use super::command::{SpawnError, environment};
use super::group::Group;
use super::{Exit, LEAVING, Streams};
use crate::tap::Tap;
use crate::target::CommandTarget;

/// A server that was started directly.
pub(super) struct Direct {
    pub(super) pid: u32,
    pub(super) handle: DirectHandle,
    pub(super) exit: watch::Receiver<Option<Exit>>,
    pub(super) follower: JoinHandle<()>,
}

/// Reaches the server with signals, and kills it when dropped.
pub(super) struct DirectHandle {
    shared: Rc<Shared>,
}

struct Shared {
    group: Option<Group>,
    kill: Notify,
    /// Nothing is left to be killed: from then on the group's number may belong to somebody else.
    over: Cell<bool>,
}

/// Starts `program`.
pub(super) fn start(program: &Path, target: &CommandTarget, tap: &Tap) -> Result<(Direct, Streams), SpawnError> {
    let mut command = Command::new(program);
    #[cfg(unix)]
    command.arg0(&target.program);
    command
        .args(&target.arguments)
        .env_clear()
        .envs(environment(target))
        .kill_on_drop(true);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(directory) = &target.directory {
        command.current_dir(directory);
    }
    Group::lead(&mut command);
    let mut child = command.spawn().map_err(|error| SpawnError::refused(program, &error))?;
    let pid = child.id().unwrap_or_default();
    let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(SpawnError::refused(program, &std::io::ErrorKind::BrokenPipe.into()));
    };
    tap.record(EventKind::ProcessStarted { pid });
    let shared = Rc::new(Shared {
        group: Group::of(pid),
        kill: Notify::new(),
        over: Cell::new(false),
    });
    let (sender, exit) = watch::channel(None);
    let follower = tokio::task::spawn_local(follow(child, Rc::clone(&shared), sender, tap.clone()));
    Ok((
        Direct {
            pid,
            handle: DirectHandle { shared },
            exit,
            follower,
        },
        Streams { stdin, stdout, stderr },
    ))
}

impl DirectHandle {
    pub(super) fn signal(&self, name: &str) -> Result<(), String> {
        if self.shared.over.get() {
            return Err(format!("{name} cannot be sent: the server has ended"));
        }
        if name == "SIGKILL" {
            self.shared.kill.notify_one();
        }
        self.shared.group.map_or_else(
            || Err("the server has no process group".to_owned()),
            |group| group.signal(name),
        )
    }
}

impl Drop for DirectHandle {
    fn drop(&mut self) {
        // It has ended if this fails.
        let _ = self.signal("SIGKILL");
    }
}

/// Waits for the end of the server, then for that of its group.
async fn follow(mut child: Child, shared: Rc<Shared>, sender: watch::Sender<Option<Exit>>, tap: Tap) {
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            () = shared.kill.notified() => {
                // It has ended if this fails, and the wait shows it.
                let _ = child.start_kill();
            }
        }
    };
    let group = shared.group.filter(|group| group.remains());
    shared.over.set(group.is_none());
    if let Ok(status) = status {
        let exit = exit_of(status);
        tap.record(EventKind::ProcessExited {
            code: exit.code,
            signal: exit.signal,
        });
        sender.send_replace(Some(exit));
    }
    if let Some(group) = group {
        tokio::time::sleep(LEAVING).await;
        let _ = group.signal("SIGKILL");
        shared.over.set(true);
    }
}

fn exit_of(status: ExitStatus) -> Exit {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal = None;
    Exit {
        code: status.code(),
        signal,
    }
}
