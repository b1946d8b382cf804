//! Why an HTTP exchange failed, in terms that tell the server's faults from the network's and from ours.

use std::error::Error as _;
use std::time::Duration;

/// Why a request got no response, or a response no end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The URL is not one that can be requested.
    #[error("{url} cannot be requested: {reason}")]
    Url {
        /// The URL, without credentials.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The URL asks for TLS and the program was built without it.
    #[error("{url} needs TLS, which this build leaves out; build with the cargo feature `tls`, or use http://")]
    TlsMissing {
        /// The URL, without credentials.
        url: String,
    },
    /// The request cannot be expressed in HTTP.
    #[error("the request cannot be sent: {0}")]
    Request(String),
    /// The host name has no address.
    #[error("the host name {host} has no address: {reason}")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// Nothing accepts connections there.
    #[error("no connection to {authority}: {reason}")]
    Connect {
        /// Host and port.
        authority: String,
        /// What the system said.
        reason: String,
    },
    /// The connection was not there in time.
    #[error("no connection to {authority} within {limit:?}")]
    ConnectDeadline {
        /// Host and port.
        authority: String,
        /// The time allowed.
        limit: Duration,
    },
    /// The TLS handshake failed.
    #[error("TLS with {host} failed: {reason}")]
    Tls {
        /// The host.
        host: String,
        /// What the TLS library said.
        reason: String,
    },
    /// The response head did not arrive in time.
    #[error("no response head within {0:?}")]
    HeadDeadline(Duration),
    /// The body paused for too long.
    #[error("the response body paused for more than {0:?}")]
    BodyDeadline(Duration),
    /// The response head has more bytes or more fields than allowed.
    #[error("the response head is larger than {bytes} bytes or has more than {fields} fields")]
    HeadTooLarge {
        /// Bytes allowed.
        bytes: usize,
        /// Fields allowed.
        fields: usize,
    },
    /// What came is not HTTP/1.1.
    #[error("the response is not valid HTTP/1.1: {0}")]
    Invalid(String),
    /// The connection ended before the response did.
    #[error("the connection ended before the response did: {0}")]
    Broken(String),
}

impl HttpError {
    /// Sorts an error of the HTTP library; `head` are the caps on bytes and fields of the head.
    pub(super) fn from_hyper(error: &hyper::Error, head: (usize, usize)) -> Self {
        let reason = chain(error);
        if error.is_parse_too_large() {
            Self::HeadTooLarge {
                bytes: head.0,
                fields: head.1,
            }
        } else if error.is_parse() || is_framing(error) {
            Self::Invalid(reason)
        } else if error.is_user() {
            Self::Request(reason)
        } else {
            Self::Broken(reason)
        }
    }
}

/// A chunk header that cannot be read comes wrapped as an input error of its own kind.
fn is_framing(error: &hyper::Error) -> bool {
    let io = error
        .source()
        .and_then(|source| source.downcast_ref::<std::io::Error>());
    io.is_some_and(|io| {
        matches!(
            io.kind(),
            std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData
        )
    })
}

/// The message of an error followed by those of its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
