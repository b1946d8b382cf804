//! Running cases: steps become a conversation, the conversation becomes traces and observations, and those become verdicts.
//!
//! ```text
//! plan ──► engine (sessions, lanes, restarts) ──► runner (steps) ──► expectations ──┐
//!                                             └─► traces ──► monitors ──────────────┴──► judge ──► RevisionRun
//! ```

mod arguments;
mod engine;
mod eras;
mod fixture;
mod halt;
mod hand_made;
mod http;
pub(crate) mod inventory;
mod judging;
mod lane;
mod locked;
mod places;
mod plan;
mod protection;
mod requests;
mod runner;
mod summing;
mod unopened;

pub use engine::{Engine, EngineOptions, RunEvent, Selection, StartError, TargetRun};
pub use eras::EraReport;
pub use inventory::{CallPolicy, Inventory};
pub use locked::Locked;
pub use plan::{CaseFilter, Partition, Plan, Planned, Skipped};
