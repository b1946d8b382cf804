//! The pure part of Touchstone: no clock, no file system, no runtime.
//!
//! Bytes become messages ([`jsonrpc`], [`sse`]), messages and processes become a [`trace`], [`monitor`]s turn a trace into observations
//! about requirements ([`spec`]), and [`verdict`] sums those up. A [`case`] is the data that makes a conversation happen.
//!
//! ```text
//! bytes -> jsonrpc, sse -> trace -> monitor -> observation -> verdict
//!                            ^                     ^
//!                           case ------------------'
//! ```

pub mod baseline;
pub mod case;
pub mod challenge;
pub mod coverage;
pub mod jsonrpc;
pub mod monitor;
pub mod pointer;
pub mod recording;
pub mod revision;
pub mod spec;
pub mod spelling;
pub mod sse;
pub mod trace;
pub mod verdict;
pub mod yaml;
