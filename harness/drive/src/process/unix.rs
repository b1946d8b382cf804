//! Process groups on Unix.

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::process::Command;

/// A process group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group(Pid);

impl Group {
    /// Lets the command lead a group of its own.
    pub(super) fn lead(command: &mut Command) {
        command.process_group(0);
    }

    /// The group that the process leads. Groups 0 and 1 would be ourselves and everything, so there is none for them.
    pub(super) fn of(leader: u32) -> Option<Self> {
        i32::try_from(leader)
            .ok()
            .filter(|pid| *pid > 1)
            .and_then(Pid::from_raw)
            .map(Self)
    }

    /// Sends a signal to every process of the group.
    pub(super) fn signal(self, name: &str) -> Result<(), String> {
        let signal = match name {
            "SIGTERM" => Signal::TERM,
            "SIGINT" => Signal::INT,
            "SIGHUP" => Signal::HUP,
            "SIGKILL" => Signal::KILL,
            _ => return Err(format!("{name} cannot be sent")),
        };
        kill_process_group(self.0, signal).map_err(|error| format!("{name} could not be sent: {error}"))
    }

    /// Whether the group still has processes.
    pub(super) fn remains(self) -> bool {
        test_kill_process_group(self.0).is_ok()
    }
}
