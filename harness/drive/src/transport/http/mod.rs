//! HTTP/1.1 as a conformance tool needs it: nothing happens that was not asked for.
//!
//! No redirect is followed, no proxy variable read, no body decompressed, no cookie kept, no request repeated. [`HttpClient`] sends one request
//! and gives back one response; `Exchanges` runs requests side by side, records each of them and puts what came back into one queue.
//!
//! ```text
//! send ─► Exchanges ─► HttpClient ─► Pool ─► TCP, TLS
//!             │             └─ head, body chunks ─► JSON body | event stream | other body
//!             └─► tap (everything), queue (what the session needs)
//! ```

mod client;
mod connection;
mod error;
mod exchange;
mod interim;
mod recording;
mod request;
#[cfg(test)]
pub(in crate::transport) mod test_server;
#[cfg(feature = "tls")]
mod tls;

pub use client::{HttpClient, HttpResponse, ResponseBody};
pub use error::HttpError;
pub use request::{HttpRequest, RawRequest};

pub(in crate::transport) use exchange::{ExchangeFailure, Exchanges, MESSAGE_TYPES, Observer, essence};
pub(in crate::transport) use recording::{beginning, shown_url};
