//! Preconditions of cases and requirements: what must be there before a check makes sense.

use crate::trace::TransportKind;

/// One precondition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// Always holds.
    Nothing,
    /// The connection runs over this transport.
    Transport(TransportKind),
    /// The connection runs over HTTP.
    Http,
    /// The server declared the capability, given as a dotted path.
    Capability(String),
    /// The harness declares the client capability; the case says how.
    Client(String),
    /// Something was found on the server, for example `safe-tool`.
    Found(String),
    /// A tool, prompt or resource of this kind must be offered.
    Fixture(String),
    /// The server did not declare the capability.
    Undeclared(String),
    /// Something else that the catalog names: credentials, sessions, extensions.
    Circumstance(String),
}

/// Capabilities that a need may name by themselves.
const CAPABILITIES: [&str; 6] = ["tools", "resources", "prompts", "logging", "completions", "tasks"];
/// Circumstances that the catalog knows.
const CIRCUMSTANCES: [&str; 13] = [
    "modern-only",
    "dual-era",
    "loopback",
    "spawned",
    "auth",
    "session",
    "sse-resumable",
    "token",
    "token:expired",
    "token:low-scope",
    "token:other-audience",
    "two-principals",
    "subscriptions",
];

impl std::str::FromStr for Need {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" {
            return Ok(Self::Nothing);
        }
        if text == "http" {
            return Ok(Self::Http);
        }
        if let Ok(transport) = text.parse() {
            return Ok(Self::Transport(transport));
        }
        let root = text.split('.').next().unwrap_or(text);
        if CAPABILITIES.contains(&root) {
            return Ok(Self::Capability(text.to_owned()));
        }
        if CIRCUMSTANCES.contains(&text) {
            return Ok(Self::Circumstance(text.to_owned()));
        }
        match text.split_once(':') {
            Some(("not", capability)) if CAPABILITIES.contains(&capability.split('.').next().unwrap_or_default()) => {
                Ok(Self::Undeclared(capability.to_owned()))
            }
            Some(("client", rest)) => Ok(Self::Client(rest.to_owned())),
            Some(("has", rest)) => Ok(Self::Found(rest.to_owned())),
            Some(("fixture", rest)) => Ok(Self::Fixture(rest.to_owned())),
            Some(("ext", _)) => Ok(Self::Circumstance(text.to_owned())),
            _ => Err(format!("unknown precondition {text:?}")),
        }
    }
}

impl Need {
    /// Why the need cannot be met on this connection whatever the case does, or `None` when it can or this cannot be told yet.
    #[must_use]
    pub fn unmet(&self, transport: TransportKind, capabilities: &serde_json::Value) -> Option<String> {
        match self {
            Self::Transport(needed) if *needed != transport => Some(format!("only over {needed}")),
            Self::Http if !transport.is_http() => Some("only over HTTP".to_owned()),
            Self::Capability(path) => {
                (!declares(capabilities, path)).then(|| format!("capability `{path}` not declared"))
            }
            Self::Undeclared(path) => declares(capabilities, path).then(|| format!("capability `{path}` is declared")),
            _ => None,
        }
    }
}

fn declares(capabilities: &serde_json::Value, path: &str) -> bool {
    super::expectation::lookup(capabilities, path).is_some_and(|flag| *flag != serde_json::Value::Bool(false))
}
