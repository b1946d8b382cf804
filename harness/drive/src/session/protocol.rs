//! What an era adds to a conversation: how it opens, what every message carries, and which request is always valid.

use serde_json::{Value, json};
use touchstone_core::revision::{Era, Revision};

use super::answer::{Answer, Outcome};

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
        let mut capabilities = json!({ "roots": { "listChanged": true }, "sampling": {} });
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
}

/// Why a conversation could not be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpeningProblem {
    /// Whether the server answered, with an error: it may accept another revision.
    pub refused: bool,
    /// What happened.
    pub reason: String,
}

/// The part of a conversation that depends on the era.
pub trait Protocol {
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

/// The protocol of a revision's era, or `None` where Touchstone does not speak it yet.
#[must_use]
pub fn protocol_for(revision: Revision, client: ClientIdentity) -> Option<Box<dyn Protocol>> {
    match revision.era() {
        Era::Stateful => Some(Box::new(Stateful::new(client))),
        Era::Stateless => None,
    }
}

impl Protocol for Stateful {
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
        let problem = |refused: bool, reason: String| Err(OpeningProblem { refused, reason });
        match (answer.outcome, answer.result()) {
            (Outcome::Result, Some(result)) => {
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
                })
            }
            (Outcome::Error, _) => {
                let error = answer
                    .message
                    .as_ref()
                    .and_then(|message| message.get("error"))
                    .map(Value::to_string);
                problem(
                    true,
                    format!("initialize was answered with the error {}", error.unwrap_or_default()),
                )
            }
            (Outcome::Refused, _) => {
                let status = answer.status.map(|status| status.to_string()).unwrap_or_default();
                problem(true, format!("initialize was answered with HTTP status {status}"))
            }
            (Outcome::Silence, _) => problem(false, "initialize was not answered in time".to_owned()),
            _ => problem(
                false,
                answer
                    .reason
                    .clone()
                    .unwrap_or_else(|| "the server went away during initialize".to_owned()),
            ),
        }
    }

    fn opening_notification(&self) -> Option<String> {
        Some("notifications/initialized".to_owned())
    }

    fn version_header(&self, revision: Revision) -> Option<String> {
        (revision >= Revision::V2025_06_18).then(|| revision.to_string())
    }

    fn dress(&self, _method: &str, params: Option<Value>) -> Option<Value> {
        params
    }

    fn probe(&self) -> (&'static str, Option<Value>) {
        ("ping", None)
    }
}
