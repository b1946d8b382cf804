//! Values from a JSON Schema: valid ones, ones at the edges, and ones that break exactly one rule.
//!
//! ```text
//! schema ──► shape (references, allOf, choices resolved) ──► build (from a source of choices) ──► judged again ──► value
//! ```
//!
//! One generator serves cases, fuzzer and property tests: choices come from nothing (the simplest value), from "everything" (all optional
//! parts), or from a byte tape. A generator is never its own oracle: every value is judged by [`touchstone_core::spec::judge`] before it is given.

mod boundary;
mod build;
mod coverage;
mod dice;
mod envelope;
mod flaws;
mod generator;
mod minimise;
mod mutate;
mod pairs;
mod shape;
mod source;
mod spelling;
mod strategy;
mod string;
mod violation;

pub use boundary::Labelled;
pub use coverage::{Edge, Flaw};
pub use dice::Dice;
pub use envelope::{Malformed, malformed};
pub use generator::{Generator, Unsupported};
pub use minimise::{minimise, simpler};
pub use mutate::{HOSTILE_TEXTS, mutate};
pub use spelling::{Spelling, spell};
pub use strategy::ValueStrategy;
pub use violation::SingleFault;
