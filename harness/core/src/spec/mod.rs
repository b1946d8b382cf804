//! What the specification says, as data: requirements, message schemas, and the judge of schemas that servers send.

pub mod assertion;
pub mod judge;
mod pattern;
pub mod requirement;
pub mod schema;
