//! Placeholder.
use super::{Incoming, Sent, TransportError};
use touchstone_core::trace::Intent;

/// Placeholder.
pub struct StdioConnection;

impl StdioConnection {
    /// Placeholder.
    pub async fn send(&mut self, _message: &[u8], _intent: Intent) -> Result<Sent, TransportError> {
        Err(TransportError::Closed(String::new()))
    }

    /// Placeholder.
    pub async fn receive(&mut self) -> Option<Incoming> {
        None
    }
}
