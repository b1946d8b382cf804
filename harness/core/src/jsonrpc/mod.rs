//! A byte-exact reader of JSON-RPC messages.
//!
//! ```text
//! bytes ──► scan (tokens, spans, oddities) ──► Document (value, Shape, IdToken)
//! stdout ──► LineReader ──► lines
//! IdToken, method, params ──► write ──► bytes
//! ```
//!
//! Nothing is lost on the way: ids keep their exact token, duplicate member names and lone surrogates are told, and a text that merely ends too
//! early is [`Reading::Incomplete`], not invalid. The scanner does not recurse, so nesting cannot exhaust the stack.

mod document;
mod id;
mod line;
mod scan;
mod write;

pub use document::{Document, Element, Reading, Shape, read, value};
pub use id::{IdKind, IdToken};
pub use line::{Line, LineReader};
pub use scan::{Fault, FaultKind, Limits, Member, Oddity};
pub use write::{error_bytes, notification_bytes, request_bytes, result_bytes};
