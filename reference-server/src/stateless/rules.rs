//! What a request must fulfil before anything is done for it, rule by rule in the order in which they are looked at.
//!
//! The order is that of most servers: the metadata, what the HTTP header says of it, the version, and then the rest.

use http::HeaderMap;
use serde_json::Value;

use super::headers;
use crate::envelope::RpcError;
use crate::features::{LEVELS, Object, Session};
use crate::revision::Revision;

const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
pub(crate) const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
pub(crate) const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";

/// A request, and what it is held against.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    pub(crate) params: &'a Object,
    /// The header of the POST it came by; `None` where there is no such thing.
    pub(crate) headers: Option<&'a HeaderMap>,
    /// The revisions that are served.
    pub(crate) served: &'a [Revision],
    /// Whether there are revisions with a handshake.
    pub(crate) dual: bool,
    pub(crate) session: &'a Session,
}

impl Asked<'_> {
    fn meta(&self) -> Option<&Object> {
        self.params.get("_meta").and_then(Value::as_object)
    }

    fn in_meta(&self, key: &str) -> Option<&Value> {
        self.meta()?.get(key)
    }

    /// The version that the request names.
    pub(super) fn version(&self) -> Option<&str> {
        self.in_meta(PROTOCOL_VERSION)?.as_str()
    }
}

/// The name of a rule, by which a fault can leave it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A handshake is refused with the versions that are served, where there is none.
    NoHandshake,
    /// There is `_meta`.
    Meta,
    /// `_meta` names a version.
    Version,
    /// `_meta` tells the capabilities of the client.
    Capabilities,
    /// The header names the version of the body.
    VersionHeader,
    /// The header names the method of the body.
    MethodHeader,
    /// The header names what the request is about, in the methods that name something.
    NameHeader,
    /// The version is served.
    ServedVersion,
    /// The level of logs is one.
    LogLevel,
    /// The header repeats the arguments that a tool wants there.
    ParameterHeaders,
}

/// Says what is wrong, if anything is.
type Check = fn(&Asked<'_>) -> Option<RpcError>;

/// All rules that can be told before the method is looked at.
pub(crate) const RULES: [(Rule, Check); 10] = [
    (Rule::NoHandshake, no_handshake),
    (Rule::Meta, meta),
    (Rule::Version, version),
    (Rule::Capabilities, capabilities),
    (Rule::VersionHeader, headers::version),
    (Rule::MethodHeader, headers::method),
    (Rule::NameHeader, headers::name),
    (Rule::ServedVersion, served_version),
    (Rule::LogLevel, log_level),
    (Rule::ParameterHeaders, headers::parameters),
];

fn no_handshake(asked: &Asked<'_>) -> Option<RpcError> {
    let handshake = asked.method == "initialize" && asked.version().is_none() && !asked.dual;
    handshake.then(|| RpcError::unsupported_version(asked.served, asked.params.get("protocolVersion")))
}

fn invalid(why: &str) -> RpcError {
    RpcError::invalid_params(format!("Invalid params: {why}"))
}

fn meta(asked: &Asked<'_>) -> Option<RpcError> {
    asked.meta().is_none().then(|| invalid("_meta must be an object"))
}

fn version(asked: &Asked<'_>) -> Option<RpcError> {
    let why = "_meta must name the protocolVersion, a string";
    asked.version().is_none().then(|| invalid(why))
}

fn capabilities(asked: &Asked<'_>) -> Option<RpcError> {
    let there = asked.in_meta(CLIENT_CAPABILITIES).is_some_and(Value::is_object);
    (!there).then(|| invalid("_meta must tell the clientCapabilities, an object"))
}

fn served_version(asked: &Asked<'_>) -> Option<RpcError> {
    let version = asked.version()?;
    let served = asked.served.iter().any(|revision| revision.as_str() == version);
    (!served).then(|| RpcError::unsupported_version(asked.served, Some(&Value::from(version))))
}

fn log_level(asked: &Asked<'_>) -> Option<RpcError> {
    let level = asked.in_meta(LOG_LEVEL)?;
    let known = level.as_str().is_some_and(|level| LEVELS.contains(&level));
    (!known).then(|| invalid(&format!("the logLevel must be one of {}", LEVELS.join(", "))))
}
