//! Faults of the HTTP transports.

use super::Fault;

pub(super) const FAULTS: &[Fault] = &[];
