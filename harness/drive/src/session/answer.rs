//! What came of a request, as cases see it.

use serde_json::{Map, Value, json};

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With a result.
    Result,
    /// With a tool result that says `isError: true`.
    ToolError,
    /// With a JSON-RPC error.
    Error,
    /// With an HTTP error status and no JSON-RPC message.
    Refused,
    /// With an HTTP success status and no JSON-RPC message (hand-made HTTP requests only).
    Accepted,
    /// Nothing came in time.
    Silence,
    /// The server went away.
    Closed,
}

impl Outcome {
    /// The word that expectations use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Result => "result",
            Self::ToolError => "tool-error",
            Self::Error => "error",
            Self::Refused => "refused",
            Self::Accepted => "accepted",
            Self::Silence => "silence",
            Self::Closed => "closed",
        }
    }
}

/// The answer to a request.
#[derive(Debug, Clone)]
pub struct Answer {
    /// How it ended.
    pub outcome: Outcome,
    /// The response, as sent.
    pub message: Option<Value>,
    /// Index of the event that shows the response.
    pub event: Option<usize>,
    /// The HTTP status of the exchange.
    pub status: Option<u16>,
    /// Why there is no response.
    pub reason: Option<String>,
    /// Whether the response has the id of the request, and not one that only looks like it.
    pub exact: bool,
    /// How often the request was sent again with input that the server had asked for.
    pub rounds: usize,
}

impl Answer {
    pub(super) fn of_message(mut message: Value, event: Option<usize>, status: Option<u16>) -> Self {
        // A member that is null beside the other one says nothing; the envelope monitor reports it.
        if let Value::Object(members) = &mut message
            && members.contains_key("result")
            && members.contains_key("error")
        {
            members.retain(|name, value| !(value.is_null() && ["result", "error"].contains(&name.as_str())));
        }
        let outcome = if message.get("error").is_some() {
            Outcome::Error
        } else if message.pointer("/result/isError") == Some(&Value::Bool(true)) {
            Outcome::ToolError
        } else {
            Outcome::Result
        };
        Self {
            outcome,
            message: Some(message),
            event,
            status,
            reason: None,
            exact: true,
            rounds: 0,
        }
    }

    /// The answer that the first of some unasked-for responses is, if there is one.
    pub(crate) fn of_arrival(arrival: &super::Arrival, status: Option<u16>) -> Self {
        Self::of_message(arrival.value.clone(), Some(arrival.event), status)
    }

    pub(crate) fn silence(status: Option<u16>) -> Self {
        Self {
            outcome: Outcome::Silence,
            message: None,
            event: None,
            status,
            reason: None,
            exact: true,
            rounds: 0,
        }
    }

    pub(crate) fn closed(reason: &str, status: Option<u16>) -> Self {
        Self {
            outcome: Outcome::Closed,
            message: None,
            event: None,
            status,
            reason: Some(reason.to_owned()),
            exact: true,
            rounds: 0,
        }
    }

    pub(crate) fn refused(status: Option<u16>, failure: Option<String>) -> Self {
        let outcome = if status.is_some() {
            Outcome::Refused
        } else {
            Outcome::Closed
        };
        Self {
            outcome,
            message: None,
            event: None,
            status,
            reason: failure,
            exact: true,
            rounds: 0,
        }
    }

    /// What became of a hand-made HTTP request that brought no message.
    pub(crate) fn without_message(status: Option<u16>, failure: Option<String>) -> Self {
        let outcome = match status {
            Some(status) if status < 400 => Outcome::Accepted,
            Some(_) => Outcome::Refused,
            None if failure.is_some() => Outcome::Closed,
            None => Outcome::Silence,
        };
        Self {
            outcome,
            ..Self::refused(status, failure)
        }
    }

    /// The result, if there is one.
    #[must_use]
    pub fn result(&self) -> Option<&Value> {
        self.message.as_ref()?.get("result")
    }

    /// The object that expectations look into.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut members = Map::new();
        members.insert("outcome".to_owned(), json!(self.outcome.as_str()));
        for name in ["id", "result", "error"] {
            if let Some(value) = self.message.as_ref().and_then(|message| message.get(name)) {
                members.insert(name.to_owned(), value.clone());
            }
        }
        if let Some(status) = self.status {
            members.insert("http".to_owned(), json!({ "status": status }));
        }
        if self.rounds > 0 {
            members.insert("rounds".to_owned(), json!(self.rounds));
        }
        if let Some(reason) = &self.reason {
            members.insert("reason".to_owned(), json!(reason));
        }
        Value::Object(members)
    }
}
