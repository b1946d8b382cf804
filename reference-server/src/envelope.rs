//! The JSON-RPC frame: bytes in, one [`Incoming`] out; [`Message`] in, bytes out.
//!
//! Ids are kept as the token the client wrote, because an answer must repeat it exactly: reading `1.0` or an integer
//! beyond 64 bits into a number and writing it again would change it. Everything else is read into values.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::revision::Revision;

/// The id of a request: the exact token of the client, or `null` where none could be read.
#[derive(Clone, Debug)]
pub struct Id(Box<RawValue>);

impl Id {
    /// The id of an answer to something whose id could not be read (JSON-RPC 2.0, section 5).
    pub fn null() -> Self {
        Self(RawValue::NULL.to_owned())
    }

    /// The id for any token of JSON; an error when the text is not JSON.
    ///
    /// # Errors
    /// When `token` is not one JSON value.
    pub fn from_token(token: String) -> Result<Self, serde_json::Error> {
        RawValue::from_string(token).map(Self)
    }

    /// The token as it goes on the wire.
    pub fn token(&self) -> &str {
        self.0.get()
    }

    /// The id as a value, to compare with the one a cancellation names.
    pub(crate) fn value(&self) -> Option<Value> {
        serde_json::from_str(self.token()).ok()
    }

    /// MCP allows strings and integers. A number such as `1.0` is an integer, as in JSON Schema.
    fn read(raw: &RawValue) -> Option<Self> {
        let token = raw.get();
        let valid = match token.as_bytes().first() {
            Some(b'"') => true,
            Some(b'-' | b'0'..=b'9') => {
                token.bytes().skip(1).all(|byte| byte.is_ascii_digit())
                    || token
                        .parse::<f64>()
                        .is_ok_and(|number| number.is_finite() && number.fract() == 0.0)
            }
            _ => false,
        };
        valid.then(|| Self(raw.to_owned()))
    }
}

/// An error answer before it has an id.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RpcError {
    /// The JSON-RPC or MCP code.
    pub code: i64,
    /// For people.
    pub message: String,
    /// More, for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl RpcError {
    /// The message is kept to one short line, whatever words of the client it quotes (JSON-RPC 2.0, section 5.1).
    pub(crate) fn new(code: i64, message: impl Into<String>) -> Self {
        const LONGEST: usize = 160;
        let message: String = message.into();
        let message = message
            .chars()
            .take(LONGEST)
            .map(|char| if char.is_control() { ' ' } else { char })
            .collect();
        Self {
            code,
            message,
            data: None,
        }
    }

    /// -32700: the bytes are not JSON.
    pub(crate) fn parse(message: impl Into<String>) -> Self {
        Self::new(-32700, message)
    }

    /// -32600: JSON, but not a message.
    pub(crate) fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(-32600, message)
    }

    /// -32601: a method this server does not have.
    pub(crate) fn method_not_found(method: &str) -> Self {
        Self::new(-32601, format!("Method not found: {method}"))
    }

    /// -32602: a method it has, with params it cannot use.
    pub(crate) fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(-32602, message)
    }

    /// The error that some servers answer a cancelled request with, although none is due (faults only).
    pub(crate) fn cancelled() -> Self {
        Self::new(-32800, "Request cancelled")
    }

    /// -32042: the user has to visit URLs first (client/elicitation, URL Elicitation Required Error).
    pub(crate) fn url_elicitation_required(elicitations: Value) -> Self {
        Self {
            data: Some(serde_json::json!({ "elicitations": elicitations })),
            ..Self::new(-32042, "This request needs the user to visit a URL first")
        }
    }

    /// A resource that does not exist (server/resources, Error Handling): the code of its own was given up with the handshake.
    pub(crate) fn resource_not_found(revision: Revision, uri: &str) -> Self {
        let code = if revision.is_stateless() { -32602 } else { -32002 };
        Self {
            data: Some(serde_json::json!({ "uri": uri })),
            ..Self::new(code, "Resource not found")
        }
    }

    /// -32020: what the header of a POST says is not what its body says.
    pub(crate) fn header_mismatch(message: impl Into<String>) -> Self {
        Self::new(-32020, message)
    }

    /// -32021: the client has not declared what this request needs; `needed` as it would have to be declared.
    pub(crate) fn missing_capability(needed: Value) -> Self {
        Self {
            data: Some(serde_json::json!({ "requiredCapabilities": needed })),
            ..Self::new(
                -32021,
                "The request needs capabilities that the client has not declared",
            )
        }
    }

    /// -32022: the version that the request names is not served.
    pub(crate) fn unsupported_version(supported: &[Revision], requested: Option<&Value>) -> Self {
        let supported: Vec<&str> = supported.iter().map(|revision| revision.as_str()).collect();
        let mut data = serde_json::json!({ "supported": supported });
        if let Some(requested) = requested {
            data["requested"] = requested.clone();
        }
        Self {
            data: Some(data),
            ..Self::new(
                -32022,
                format!("Unsupported protocol version; supported: {}", supported.join(", ")),
            )
        }
    }
}

/// A request whose frame is sound.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) id: Id,
    pub(crate) method: String,
    /// The params, empty when the member is absent; an error when they are an object that cannot be represented
    /// (nested too deeply, numbers out of range, lone surrogates), which is still owed an answer with the id.
    pub(crate) params: Result<Map<String, Value>, String>,
}

/// What became of a request of this server.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// The client has answered.
    Result(Value),
    /// The client has refused.
    Error(Value),
    /// The client has said nothing for too long.
    Nothing,
}

/// What one JSON value from the client is.
#[derive(Debug)]
pub(crate) enum Incoming {
    Request(Request),
    Notification {
        method: String,
        params: Map<String, Value>,
    },
    /// The answer to a request of this server, if it has such a one.
    Response {
        id: Option<Value>,
        reply: Reply,
    },
    /// Not a message; answered with the error.
    Invalid {
        id: Id,
        error: RpcError,
    },
}

/// What the bytes of one frame are.
#[derive(Debug)]
pub(crate) enum Frame {
    One(Incoming),
    Array(Vec<Incoming>),
    Unparseable(RpcError),
}

/// Reads one frame.
pub(crate) fn read(bytes: &[u8]) -> Frame {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return Frame::Unparseable(RpcError::parse(format!("Parse error: not UTF-8: {error}"))),
    };
    let raw: &RawValue = match serde_json::from_str(text.trim_ascii()) {
        Ok(raw) => raw,
        Err(error) => return Frame::Unparseable(RpcError::parse(format!("Parse error: {error}"))),
    };
    if !raw.get().starts_with('[') {
        return Frame::One(read_one(raw));
    }
    match serde_json::from_str::<Vec<&RawValue>>(raw.get()) {
        Ok(entries) => Frame::Array(entries.into_iter().map(read_one).collect()),
        Err(error) => Frame::Unparseable(RpcError::parse(format!("Parse error: {error}"))),
    }
}

fn read_one(raw: &RawValue) -> Incoming {
    if !raw.get().starts_with('{') {
        return invalid(Id::null(), "a message is an object");
    }
    let members: BTreeMap<String, &RawValue> = match serde_json::from_str(raw.get()) {
        Ok(members) => members,
        Err(error) => return invalid(Id::null(), &format!("a member name cannot be read: {error}")),
    };
    if !members.contains_key("method") && (members.contains_key("result") || members.contains_key("error")) {
        return response(&members);
    }
    let id = members.get("id").map(|id| Id::read(id));
    let Some(echoed) = id.clone().unwrap_or_else(|| Some(Id::null())) else {
        return invalid(Id::null(), "id must be a string or an integer");
    };
    if members.get("jsonrpc").and_then(|version| string(version)).as_deref() != Some("2.0") {
        return invalid(echoed, "jsonrpc must be \"2.0\"");
    }
    let Some(method) = members.get("method") else {
        return invalid(echoed, "method is missing");
    };
    let Some(method) = string(method) else {
        return invalid(echoed, "method must be a string");
    };
    let params = members.get("params").copied();
    if id.is_none() {
        // A notification is never answered, so params that cannot be read count as none.
        let params = params
            .and_then(|params| serde_json::from_str(params.get()).ok())
            .unwrap_or_default();
        return Incoming::Notification { method, params };
    }
    if params.is_some_and(|params| !params.get().starts_with('{')) {
        return invalid(echoed, "params must be an object");
    }
    let params = match params {
        Some(params) => serde_json::from_str(params.get()).map_err(|error| error.to_string()),
        None => Ok(Map::new()),
    };
    Incoming::Request(Request {
        id: echoed,
        method,
        params,
    })
}

/// An answer of the client. What cannot be read of it counts as null, and is for whoever asked to judge.
fn response(members: &BTreeMap<String, &RawValue>) -> Incoming {
    let member = |name: &str| -> Option<Value> { serde_json::from_str(members.get(name)?.get()).ok() };
    let reply = match member("result") {
        Some(result) => Reply::Result(result),
        None => Reply::Error(member("error").unwrap_or_default()),
    };
    Incoming::Response {
        id: member("id"),
        reply,
    }
}

fn string(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

fn invalid(id: Id, why: &str) -> Incoming {
    Incoming::Invalid {
        id,
        error: RpcError::invalid_request(format!("Invalid request: {why}")),
    }
}

/// The answer to one request.
#[derive(Clone, Debug)]
pub struct Response {
    /// The id of the request, or `null`.
    pub id: Id,
    /// The result, or the error.
    pub outcome: Result<Value, RpcError>,
}

/// What a message is to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It answers a request, or several.
    Answer,
    /// It wants an answer.
    Question,
    /// Neither.
    News,
}

/// A message to the client.
#[derive(Clone, Debug)]
pub enum Message {
    /// One answer.
    Response(Response),
    /// The answers to a batch (2025-03-26).
    Batch(Vec<Response>),
    /// A request to the client.
    Request {
        /// Its id.
        id: Value,
        /// Its method.
        method: &'static str,
        /// Its params, if it has any.
        params: Option<Value>,
    },
    /// A notification.
    Notification {
        /// Its method.
        method: &'static str,
        /// Its params.
        params: Value,
    },
    /// Bytes of any form (faults only).
    Raw(Vec<u8>),
}

impl Message {
    /// What the message is to the client; bytes of faults are read for it.
    pub(crate) fn role(&self) -> Role {
        let value = match self {
            Self::Response(_) | Self::Batch(_) => return Role::Answer,
            Self::Request { .. } => return Role::Question,
            Self::Notification { .. } => return Role::News,
            Self::Raw(bytes) => serde_json::from_slice::<Value>(bytes).unwrap_or_default(),
        };
        let message = value.as_array().and_then(|messages| messages.first()).unwrap_or(&value);
        match (message.get("method"), message.get("id")) {
            (Some(_), Some(_)) => Role::Question,
            (None, Some(_)) => Role::Answer,
            _ => Role::News,
        }
    }

    /// Whether it is a log message.
    pub(crate) fn is_log(&self) -> bool {
        matches!(
            self,
            Self::Notification {
                method: "notifications/message",
                ..
            }
        )
    }

    /// The message as one line of JSON, without the newline.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Raw(bytes) => bytes.clone(),
            Self::Response(response) => encode(&WireResponse::from(response)),
            Self::Batch(responses) => encode(&responses.iter().map(WireResponse::from).collect::<Vec<_>>()),
            Self::Request { id, method, params } => {
                let mut request = serde_json::json!({ "jsonrpc": "2.0", "id": id, "method": method });
                if let Some(params) = params {
                    request["params"] = params.clone();
                }
                encode(&request)
            }
            Self::Notification { method, params } => {
                encode(&serde_json::json!({ "jsonrpc": "2.0", "method": method, "params": params }))
            }
        }
    }
}

#[derive(Serialize)]
struct WireResponse<'a> {
    jsonrpc: &'static str,
    id: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a RpcError>,
}

impl<'a> From<&'a Response> for WireResponse<'a> {
    fn from(response: &'a Response) -> Self {
        let outcome = response.outcome.as_ref();
        Self {
            jsonrpc: "2.0",
            id: &response.id.0,
            result: outcome.ok(),
            error: outcome.err(),
        }
    }
}

fn encode(message: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(message).expect("values with string keys always serialise")
}
