//! The run record, and what can be made of it.
//!
//! ```text
//! RevisionRun (core) ──► RunRecord (JSON, published schema) ──► terminal, ...
//! ```
//!
//! Every report is a pure function of the record. Text from a server is hostile: [`escape`] makes it harmless for the place where it is shown.

pub mod campaign;
pub mod escape;
pub mod record;
pub mod terminal;

pub use record::{RecordInput, RunRecord, Start};
