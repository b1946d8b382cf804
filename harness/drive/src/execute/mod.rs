//! Running cases: steps become a conversation, the conversation becomes traces and observations, and those become verdicts.
//!
//! ```text
//! plan ──► engine (sessions, lanes, restarts) ──► runner (steps) ──► expectations ──┐
//!                                             └─► traces ──► monitors ──────────────┴──► judge ──► RevisionRun
//! ```

mod arguments;
mod caught;
mod engine;
mod fixture;
mod halt;
mod http;
mod inventory;
mod lane;
mod locked;
mod places;
mod plan;
mod protection;
mod runner;

pub use engine::{Engine, EngineOptions, RunEvent, Selection, StartError, TargetRun};
pub use halt::TIME_LIMIT;
pub use inventory::{CallPolicy, Inventory};
pub use locked::Locked;
pub use plan::{CaseFilter, Plan, Planned, Skipped};
