//! Makes conversations with MCP servers happen: processes, transports, sessions, and the execution of cases.
//!
//! ```text
//! target -> process, transport -> session -> execute, fuzz -> trace, observations
//!                 |                                       ^
//!                 '---------------- tap ------------------'
//! ```
//!
//! Everything runs on one current-thread tokio runtime inside a `LocalSet`; every wait has a deadline and every queue is bounded.

pub mod credentials;
pub mod execute;
pub mod fuzz;
pub mod process;
pub mod relay;
pub mod session;
pub mod tap;
pub mod target;
pub mod transport;
