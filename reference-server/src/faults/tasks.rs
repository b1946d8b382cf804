//! Faults of tasks (2025-11-25).

use super::Fault;

pub(super) const FAULTS: &[Fault] = &[];
