//! What stands for process groups on Windows: nothing. The server process is killed through its handle; what it started is not found.

use tokio::process::Command;

/// A process on its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group;

impl Group {
    /// Does nothing.
    pub(super) fn lead(_command: &mut Command) {}

    /// The process alone.
    #[expect(clippy::unnecessary_wraps, reason = "the same surface as on Unix")]
    pub(super) fn of(_leader: u32) -> Option<Self> {
        Some(Self)
    }

    /// Only killing is possible, and whoever holds the process handle does it.
    pub(super) fn signal(self, name: &str) -> Result<(), String> {
        if name == "SIGKILL" {
            Ok(())
        } else {
            Err(format!("{name} cannot be sent: Windows has no signals"))
        }
    }

    /// Whether processes are left that a signal would reach.
    pub(super) fn remains(self) -> bool {
        false
    }
}
