//! What an era adds to a conversation: how it opens, what every message carries, and which request is always valid.

use serde_json::{Map, Value, json};
use touchstone_core::revision::{Era, Revision};

use super::answer::{Answer, Outcome};
use super::stateless::Stateless;

/// How the client presents itself.
#[derive(Debug, Clone)]
pub struct ClientIdentity {
    /// The `clientInfo` object.
    pub info: Value,
    /// The `capabilities` object.
    pub capabilities: Value,
}

impl ClientIdentity {
    /// Touchstone itself, declaring everything that it can answer in `revision`.
    #[must_use]
    pub fn touchstone(revision: Revision) -> Self {
        let mut capabilities = match revision.era() {
            Era::Stateful => json!({ "roots": { "listChanged": true }, "sampling": {} }),
            Era::Stateless => json!({ "roots": {}, "sampling": {} }),
        };
        if revision >= Revision::V2025_06_18 {
            capabilities["elicitation"] = json!({});
        }
        Self {
            info: json!({ "name": "touchstone", "version": env!("CARGO_PKG_VERSION") }),
            capabilities,
        }
    }
}

/// What the server said of itself when the session was opened.
#[derive(Debug, Clone, Default)]
pub struct Opening {
    /// The revision that the server chose; `None` when it is one that Touchstone does not know.
    pub revision: Option<Revision>,
    /// The version string as sent.
    pub version: String,
    /// The server's capabilities.
    pub capabilities: Value,
    /// The server's name and version.
    pub server: Value,
    /// All versions that the server says it supports, where the era has it say so.
    pub versions: Vec<String>,
}

/// Why a conversation could not be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpeningProblem {
    /// Whether the server answered, with an error: it may accept another revision.
    pub refused: bool,
    /// What happened.
    pub reason: String,
    /// The versions that the server names instead, where it names some.
    pub versions: Vec<String>,
}

impl OpeningProblem {
    /// The server answered, and refuses.
    pub(super) fn refused(reason: impl Into<String>) -> Self {
        Self {
            refused: true,
            reason: reason.into(),
            versions: Vec::new(),
        }
    }

    /// There was no answer.
    pub(super) fn lost(reason: impl Into<String>) -> Self {
        Self {
            refused: false,
            reason: reason.into(),
            versions: Vec::new(),
        }
    }

    /// Why `method`, which should have opened the conversation, did not.
    pub(super) fn of(method: &str, answer: &Answer) -> Self {
        let error = answer.message.as_ref().and_then(|message| message.get("error"));
        let mut problem = match answer.outcome {
            Outcome::Error | Outcome::Result | Outcome::ToolError => {
                let shown = error.map(Value::to_string).unwrap_or_default();
                Self::refused(format!("{method} was answered with the error {shown}"))
            }
            Outcome::Refused => {
                let status = answer.status.map(|status| status.to_string()).unwrap_or_default();
                Self::refused(format!("{method} was answered with HTTP status {status}"))
            }
            Outcome::Silence => Self::lost(format!("{method} was not answered in time")),
            _ => Self::lost(
                answer
                    .reason
                    .clone()
                    .unwrap_or_else(|| format!("the server went away during {method}")),
            ),
        };
        problem.versions = error
            .and_then(|error| error.pointer("/data/supported"))
            .map(texts)
            .unwrap_or_default();
        problem
    }
}

/// The texts of a list.
pub(super) fn texts(list: &Value) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The part of a conversation that depends on the era.
pub trait Protocol {
    /// The era.
    fn era(&self) -> Era;

    /// The identity that the client shows.
    fn client(&self) -> ClientIdentity;

    /// The capabilities that the client declares.
    fn client_capabilities(&self) -> Value {
        self.client().capabilities
    }

    /// The request that opens the conversation, if the era has one.
    fn opening_request(&self, revision: Revision) -> Option<(String, Value)>;

    /// Reads the answer to the opening request.
    ///
    /// # Errors
    /// When the answer opens nothing; the text says why.
    fn opened(&self, revision: Revision, answer: &Answer) -> Result<Opening, OpeningProblem>;

    /// The notification that follows the opening, if the era has one.
    fn opening_notification(&self) -> Option<String>;

    /// The `MCP-Protocol-Version` header that every HTTP request carries from then on.
    fn version_header(&self, revision: Revision) -> Option<String>;

    /// Whether a client over Streamable HTTP listens on a stream of its own for what the server says by itself.
    fn listens(&self) -> bool;

    /// What the era adds to the `_meta` of every request.
    fn meta(&self) -> Map<String, Value>;

    /// The params of a message with what the era adds to them.
    fn dress(&self, method: &str, params: Option<Value>) -> Option<Value>;

    /// The cheapest request that is always valid.
    fn probe(&self) -> (&'static str, Option<Value>);
}

/// The era of the `initialize` handshake (2024-11-05 to 2025-11-25).
pub struct Stateful {
    client: ClientIdentity,
}

impl Stateful {
    /// A client with this identity.
    #[must_use]
    pub fn new(client: ClientIdentity) -> Self {
        Self { client }
    }

    /// The params of an `initialize` request.
    #[must_use]
    pub fn initialize_params(client: &ClientIdentity, version: &str) -> Value {
        json!({ "protocolVersion": version, "capabilities": client.capabilities, "clientInfo": client.info })
    }
}

/// The protocol of a revision's era.
#[must_use]
pub fn protocol_for(revision: Revision, client: ClientIdentity) -> Box<dyn Protocol> {
    match revision.era() {
        Era::Stateful => Box::new(Stateful::new(client)),
        Era::Stateless => Box::new(Stateless::new(revision, client)),
    }
}

impl Protocol for Stateful {
    fn era(&self) -> Era {
        Era::Stateful
    }

    fn client(&self) -> ClientIdentity {
        self.client.clone()
    }

    fn opening_request(&self, revision: Revision) -> Option<(String, Value)> {
        Some((
            "initialize".to_owned(),
            Self::initialize_params(&self.client, revision.as_str()),
        ))
    }

    fn opened(&self, _revision: Revision, answer: &Answer) -> Result<Opening, OpeningProblem> {
        let (Outcome::Result, Some(result)) = (answer.outcome, answer.result()) else {
            return Err(OpeningProblem::of("initialize", answer));
        };
        let version = result
            .get("protocolVersion")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        Ok(Opening {
            revision: version.parse().ok(),
            version,
            capabilities: result.get("capabilities").cloned().unwrap_or_else(|| json!({})),
            server: result.get("serverInfo").cloned().unwrap_or(Value::Null),
            versions: Vec::new(),
        })
    }

    fn opening_notification(&self) -> Option<String> {
        Some("notifications/initialized".to_owned())
    }

    fn version_header(&self, revision: Revision) -> Option<String> {
        (revision >= Revision::V2025_06_18).then(|| revision.to_string())
    }

    fn listens(&self) -> bool {
        true
    }

    fn meta(&self) -> Map<String, Value> {
        Map::new()
    }

    fn dress(&self, _method: &str, params: Option<Value>) -> Option<Value> {
        params
    }

    fn probe(&self) -> (&'static str, Option<Value>) {
        ("ping", None)
    }
}
