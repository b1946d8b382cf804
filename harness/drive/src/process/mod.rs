//! Starting servers and ending them, tree and all.
//!
//! ```text
//! harness ──control socket── guard ──► server ──► whatever it starts
//!    └──────────── stdin, stdout, stderr ──┘
//! ```
//!
//! On Linux a small guard process stands between harness and server. It adopts what the server leaves behind, ends the whole tree when the
//! control socket closes, for whatever reason (even `kill -9` of the harness), and tells which processes outlived the server. Elsewhere, and
//! without a guard program, the server's process group is signalled, and a process that left the group is not found.

mod command;
#[cfg(target_os = "linux")]
pub mod guard;
#[cfg(not(target_os = "linux"))]
#[path = "no_guard.rs"]
pub mod guard;
mod server;

pub use command::{SpawnError, resolve};
pub use server::{Exit, Ladder, ServerProcess, Streams};

use std::path::PathBuf;

/// How server processes are started and ended.
#[derive(Debug, Clone, Default)]
pub struct ProcessOptions {
    /// The program that can act as the guard.
    pub guard: GuardProgram,
    /// Times of the shutdown ladder.
    pub ladder: Ladder,
}

/// The program that acts as the guard: one whose `main` begins with [`guard::run_if_requested`].
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
