//! Faults in what the server asks of the client: sampling, elicitation, roots, progress and cancellation.

use super::Fault;

pub(super) const FAULTS: &[Fault] = &[];
