//! A correct MCP server in all five revisions, with named faults that can be switched on.
//!
//! It exists to check the harness: every correct variant must raise no finding, and every [`Fault`] must be caught by
//! the requirement it names. It shares no code with the harness, so that a wrong assumption on one side shows up as a
//! disagreement.
//!
//! Data flow: a transport (`transport/`) cuts bytes into messages and hands each one to a [`Conversation`], which does
//! no input or output of its own. `envelope` reads the JSON-RPC frame, `features/` answers the method, `faults/` may
//! spoil the answer, and the transport sends the resulting [`Output`]s when they are due (`outbox`).
//! What is peculiar to the stateless era, the revision without a handshake, is in `stateless/`; the features are the same. Where it is asked for,
//! `authorization/` stands before the endpoint and refuses requests without a good token.

mod authorization;
mod conversation;
mod envelope;
mod faults;
mod features;
mod outbox;
mod revision;
mod serve;
mod stateless;
mod transport;

pub use conversation::{Conversation, Options, Output};
pub use envelope::{Id, Message, Response, RpcError};
pub use faults::{Fault, UnknownFault, deep_faults, faults};
pub use revision::{Revision, UnknownRevision};
pub use serve::{ServeError, ServeOptions, serve};
pub use transport::{Answers, Transport, UnknownAnswers, UnknownTransport};
