//! The run record, and what can be made of it.
//!
//! ```text
//! RevisionRun (core) ──► RunRecord (JSON, published schema) ──► terminal, html, junit, markdown, sarif, badge, annotations
//!                             ▲    │
//!                        merge, compare
//! ```
//!
//! Every report is a pure function of records. Text from a server is hostile: [`escape`] makes it harmless for the place where it is shown.

pub mod advice;
pub mod annotations;
pub mod badge;
pub mod campaign;
pub mod compare;
pub mod escape;
pub mod headline;
pub mod hint;
pub mod html;
pub mod junit;
pub mod kill_matrix;
pub mod markdown;
pub mod merge;
pub mod record;
pub mod sarif;
pub mod terminal;
#[cfg(test)]
mod testdata;

pub use hint::Hints;
pub use kill_matrix::KillMatrix;
pub use record::{RecordInput, RunRecord, Start};
