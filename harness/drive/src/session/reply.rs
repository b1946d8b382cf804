//! How requests of the server are answered: per case, or from what the client declares.

use serde_json::{Map, Value, json};
use touchstone_core::jsonrpc::{self, IdToken};
use touchstone_generate::Generator;

/// Most requests of a server that one case answers; a flood beyond that is left unanswered.
const MOST: usize = 1000;

/// Answers to requests of the server.
#[derive(Debug, Clone)]
pub struct ReplyPolicy {
    capabilities: Value,
    overrides: Map<String, Value>,
    answered: usize,
}

impl ReplyPolicy {
    /// Answers for a client that declares these capabilities.
    #[must_use]
    pub fn new(capabilities: Value) -> Self {
        Self {
            capabilities,
            overrides: Map::new(),
            answered: 0,
        }
    }

    /// Answers a method in a special way until [`ReplyPolicy::reset`]: `{"result": ...}`, `{"error": {...}}`, or null for no answer at all.
    pub fn set(&mut self, method: &str, reply: Value) {
        self.overrides.insert(method.to_owned(), reply);
    }

    /// Back to the answers that the capabilities suggest.
    pub fn reset(&mut self) {
        self.overrides.clear();
        self.answered = 0;
    }

    /// The bytes of the reply, or `None` when there shall be none.
    pub fn reply(&mut self, id: &IdToken, method: &str, params: Option<&Value>) -> Option<Vec<u8>> {
        let reply = self.next(method, params)?;
        if let Some(error) = reply.get("error") {
            let code = error.get("code").and_then(Value::as_i64).unwrap_or(-32603);
            let message = error.get("message").and_then(Value::as_str).unwrap_or("refused");
            return Some(jsonrpc::error_bytes(id, code, message));
        }
        reply.get("result").map(|result| jsonrpc::result_bytes(id, result))
    }

    /// The result with which a question in an answer is answered, or `None` when the case, or the client's capabilities, give none.
    pub fn response(&mut self, method: &str, params: Option<&Value>) -> Option<Value> {
        self.next(method, params)?.get("result").cloned()
    }

    /// The reply as it was set or as the capabilities suggest, or `None` in a flood.
    fn next(&mut self, method: &str, params: Option<&Value>) -> Option<Value> {
        self.answered += 1;
        if self.answered > MOST {
            return None;
        }
        Some(match self.overrides.get(method) {
            Some(special) => special.clone(),
            None => self.canned(method, params),
        })
    }

    fn canned(&self, method: &str, params: Option<&Value>) -> Value {
        let declared = |capability: &str| self.capabilities.get(capability).is_some();
        match method {
            "ping" => json!({ "result": {} }),
            "roots/list" if declared("roots") => {
                json!({ "result": { "roots": [{ "uri": "file:///touchstone", "name": "touchstone" }] } })
            }
            "sampling/createMessage" if declared("sampling") => json!({ "result": {
                "role": "assistant",
                "content": { "type": "text", "text": "This is a canned answer." },
                "model": "touchstone",
                "stopReason": "endTurn"
            } }),
            "elicitation/create" if declared("elicitation") => json!({ "result": elicited(params) }),
            _ => json!({ "error": { "code": -32601, "message": "Method not found" } }),
        }
    }
}

/// Fills in a form with the simplest valid content; a form that cannot be filled in, or a URL, is declined.
fn elicited(params: Option<&Value>) -> Value {
    let schema = params.and_then(|params| params.get("requestedSchema"));
    match schema
        .and_then(|schema| Generator::new(schema).ok())
        .and_then(|generator| generator.simplest().ok())
    {
        Some(content) => json!({ "action": "accept", "content": content }),
        None => json!({ "action": "decline" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(policy: &mut ReplyPolicy, method: &str) -> Value {
        let id = IdToken::integer(7);
        serde_json::from_slice(&policy.reply(&id, method, None).unwrap()).unwrap()
    }

    #[test]
    fn ping_is_always_answered_and_the_rest_as_declared() {
        let mut policy = ReplyPolicy::new(json!({ "roots": {} }));
        assert_eq!(
            reply(&mut policy, "ping"),
            json!({"jsonrpc": "2.0", "id": 7, "result": {}})
        );
        assert!(
            reply(&mut policy, "roots/list")
                .pointer("/result/roots/0/uri")
                .is_some()
        );
        assert_eq!(
            reply(&mut policy, "sampling/createMessage").pointer("/error/code"),
            Some(&json!(-32601))
        );
    }

    #[test]
    fn a_case_may_answer_in_its_own_way() {
        let mut policy = ReplyPolicy::new(json!({}));
        policy.set("roots/list", json!({ "error": { "code": -1, "message": "no" } }));
        assert_eq!(
            reply(&mut policy, "roots/list").pointer("/error/code"),
            Some(&json!(-1))
        );
        policy.set("ping", Value::Null);
        assert!(policy.reply(&IdToken::integer(1), "ping", None).is_none());
        policy.reset();
        assert_eq!(reply(&mut policy, "ping").pointer("/result"), Some(&json!({})));
    }

    #[test]
    fn a_flood_is_not_answered_for_ever() {
        let mut policy = ReplyPolicy::new(json!({}));
        let answered = (0..MOST + 10)
            .filter(|_| policy.reply(&IdToken::integer(1), "ping", None).is_some())
            .count();
        assert_eq!(answered, MOST);
    }
}
