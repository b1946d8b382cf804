//! Faults of tools, resources, prompts, completion, pagination and logging.

use super::Fault;

pub(super) const FAULTS: &[Fault] = &[];
