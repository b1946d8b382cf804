//! Starting servers and ending them, tree and all.
//!
//! ```text
//! harness ──control socket── guard ──► server ──► whatever it starts
//!    └──────────── stdin, stdout, stderr ──┘
//! ```
//!
//! On Linux a small guard process stands between harness and server ([`guard`]). It adopts what the server leaves behind, ends the whole tree
//! when the control socket closes, for whatever reason (even `kill -9` of the harness), and tells which processes outlived the server.
//!
//! Elsewhere, and without a guard program, the server is a direct child. On Unix its process group is signalled and killed with it; a process
//! that left the group is not found, and nothing is ended when the harness itself is killed with SIGKILL. On Windows only the server process
//! itself is killed; there are no signals, and what it started may live on.

mod command;
#[cfg(target_os = "linux")]
mod control;
mod direct;
#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod group;
#[cfg(target_os = "linux")]
pub mod guard;
#[cfg(not(target_os = "linux"))]
#[path = "no_guard.rs"]
pub mod guard;
#[cfg(target_os = "linux")]
mod guarded;
mod hint;
mod limits;
mod server;
#[cfg(test)]
#[cfg(unix)]
mod tests;

pub use command::{SpawnError, resolve};
pub use limits::ResourceLimits;
pub use server::{Exit, Ladder, ServerProcess, Streams};

use std::path::PathBuf;
use std::time::Duration;

/// How server processes are started and ended.
#[derive(Debug, Clone, Default)]
pub struct ProcessOptions {
    /// The program that can act as the guard.
    pub guard: GuardProgram,
    /// Times of the shutdown ladder.
    pub ladder: Ladder,
    /// What a server may take of the machine.
    pub limits: ResourceLimits,
}

/// The program that acts as the guard: one whose `main` begins with [`guard::run_if_requested`]. Only Linux has guards; elsewhere the server
/// is a direct child, whatever is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum GuardProgram {
    /// None: the server is a direct child, and its process group is signalled.
    #[default]
    None,
    /// The program that is running now.
    CurrentExecutable,
    /// Another one.
    Path(PathBuf),
}

/// How long descendants may take to end by themselves after the server: a launcher and what it launched do not end at the same instant.
const LEAVING: Duration = Duration::from_millis(250);
