//! Platforms without a guard process: nothing to run.

/// Does nothing here; on Linux it acts as the guard when the program was started as one.
pub fn run_if_requested() {}
