//! Faults of the server as an OAuth resource server.

use super::Fault;

pub(super) const FAULTS: &[Fault] = &[];
