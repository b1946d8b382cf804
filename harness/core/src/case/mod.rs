//! Cases: named stimulus plus expectations, written in YAML, tied to requirements.
//!
//! [`model`] is what a case says, [`step`] what one of its steps does, [`expectation`] what an answer must be like, [`interpolation`] how `${...}`
//! is replaced, [`fixture`] which tools are known by their names, and [`suite`] loads files and checks them against the catalog. `cases/language/manual.yaml` is the manual, and itself a case file.

pub mod expectation;
pub mod fixture;
pub mod interpolation;
pub mod meta;
pub mod model;
pub mod need;
pub mod step;
pub mod suite;

pub use expectation::{Expectation, Judgement, Match};
pub use fixture::{FixtureCatalog, Offer, Offered};
pub use meta::MetaChange;
pub use model::{Case, ClientProfile, Handshake, Input, Isolation, RevisionRange};
pub use need::Need;
pub use step::{Action, Arguments, Credential, Generate, HttpStep, HttpUntil, Source, Step};
pub use suite::{CaseFile, LoadError, Suite};
