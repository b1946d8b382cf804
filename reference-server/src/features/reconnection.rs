//! A tool whose connection breaks off before it has answered, so that the client has to come back for the result
//! (2025-11-25, basic/transports, Sending Messages to the Server: polling).

use std::time::Duration;

use super::tools::{Tool, no_arguments, text};
use super::{Answer, Session};
use crate::revision::Revision;

/// When a connection is given up before the request is answered. Only Streamable HTTP can do that: there the client comes
/// back with the id of the last event it has seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interruption {
    /// How long after the request.
    pub(crate) after: Duration,
    /// How soon the client may come back.
    pub(crate) retry: Duration,
}

/// Longer than a client takes to come back, so that it has to wait for the result.
const WORK: Duration = Duration::from_millis(40);
const RETRY: Duration = Duration::from_millis(20);

pub(super) const TOOLS: &[Tool] = &[Tool {
    name: "test_reconnection",
    title: "Break off and resume",
    description: "Closes the event stream of the call before the result is there; a client that comes back gets it.",
    read_only: true,
    input: no_arguments,
    output: None,
    run: |session, _, _| Ok(interrupted(session)),
}];

fn interrupted(session: &Session) -> Answer {
    let mut answer = text("Reconnection test completed successfully");
    // Before 2025-11-25 a stream had better not be closed early.
    if session.revision >= Revision::V2025_11_25 {
        answer.after = WORK;
        answer.interruption = Some(Interruption {
            after: Duration::ZERO,
            retry: RETRY,
        });
    }
    answer
}
