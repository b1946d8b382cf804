//! The stateless era as a client sees it: bytes in, messages out. Whatever the server says is held against the
//! specification's own schema where that is at hand.

use std::path::Path;

use super::*;
use crate::faults::find;
use crate::revision::Revision;

mod dialogue;
mod listening;
mod rounds;

/// The specification's schema; `None` where it is not at hand.
struct Official(Option<Value>);

impl Official {
    fn find() -> Self {
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/spec/official-schema/2026-07-28.schema.json");
        let text = std::fs::read_to_string(file).ok();
        Self(text.map(|text| serde_json::from_str(&text).unwrap()))
    }

    fn check(&self, definition: &str, value: &Value) {
        let Some(document) = &self.0 else { return };
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$ref": format!("#/$defs/{definition}"),
            "$defs": document["$defs"],
        });
        let validator = jsonschema::options().build(&schema).unwrap();
        let errors: Vec<String> = validator.iter_errors(value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{definition}: {errors:?} in {value}");
    }

    /// Checks one message of the server that answers the method, or comes meanwhile.
    fn check_message(&self, method: &str, message: &Value) {
        if let Some(method) = message["method"].as_str() {
            assert!(message.get("id").is_none(), "the server asks: {message}");
            if method != "notifications/tasks" {
                self.check("ServerNotification", message);
            }
            return;
        }
        if message.get("error").is_some() {
            return self.check("JSONRPCErrorResponse", message);
        }
        let result = &message["result"];
        match (result["resultType"].as_str().unwrap(), method) {
            ("task", "tools/call") | ("complete", "tasks/get" | "tasks/update" | "tasks/cancel") => {}
            ("input_required", "tools/call" | "prompts/get" | "resources/read") => {
                assert!(result.get("ttlMs").is_none() && result.get("cacheScope").is_none());
                self.check("InputRequiredResult", result);
            }
            ("complete", _) => self.check(definition(method), result),
            (kind, _) => panic!("{method} gave {kind}"),
        }
    }
}

fn definition(method: &str) -> &'static str {
    match method {
        "server/discover" => "DiscoverResult",
        "tools/list" => "ListToolsResult",
        "tools/call" => "CallToolResult",
        "resources/list" => "ListResourcesResult",
        "resources/templates/list" => "ListResourceTemplatesResult",
        "resources/read" => "ReadResourceResult",
        "prompts/list" => "ListPromptsResult",
        "prompts/get" => "GetPromptResult",
        "completion/complete" => "CompleteResult",
        "subscriptions/listen" => "SubscriptionsListenResult",
        other => panic!("{other} has no result"),
    }
}

/// A client that can do everything, unless it says otherwise.
struct Client {
    conversation: Conversation,
    capabilities: Value,
    official: Official,
    requests: u64,
}

impl Client {
    fn new(faults: &[&str]) -> Self {
        Self::of(&[], faults)
    }

    fn of(revisions: &[Revision], faults: &[&str]) -> Self {
        let faults: Vec<_> = faults.iter().map(|id| find(id).unwrap()).collect();
        let mut conversation = Conversation::new(&Options::new(revisions, &faults, 3));
        conversation.advance(Duration::from_secs(1_800_000_000));
        Self {
            conversation,
            capabilities: json!({
                "elicitation": { "form": {}, "url": {} },
                "sampling": { "tools": {} },
                "roots": {},
                "extensions": { "io.modelcontextprotocol/tasks": {} },
            }),
            official: Official::find(),
            requests: 0,
        }
    }

    fn with(mut self, capabilities: Value) -> Self {
        self.capabilities = capabilities;
        self
    }

    fn meta(&self) -> Value {
        json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": self.capabilities,
            "io.modelcontextprotocol/clientInfo": { "name": "t", "version": "1" },
        })
    }

    /// All that the server says to the bytes.
    fn send(&mut self, bytes: &str) -> Vec<Value> {
        let outputs = self.conversation.receive(bytes.as_bytes());
        spoken(&outputs)
    }

    /// All that the server says to a request with more in its `_meta`.
    fn all(&mut self, method: &str, mut params: Value, meta: Value) -> Vec<Value> {
        self.requests += 1;
        let mut all = self.meta();
        for (key, value) in meta.as_object().unwrap() {
            all[key] = value.clone();
        }
        params["_meta"] = all;
        let request = json!({ "jsonrpc": "2.0", "id": self.requests, "method": method, "params": params });
        let messages = self.send(&request.to_string());
        for message in &messages {
            self.official.check_message(method, message);
        }
        messages
    }

    /// The response to a request.
    fn ask(&mut self, method: &str, params: Value) -> Value {
        let messages = self.all(method, params, json!({}));
        let answers: Vec<&Value> = messages
            .iter()
            .filter(|message| message.get("method").is_none())
            .collect();
        assert!(answers.len() == 1, "{method}: {messages:?}");
        assert_eq!(answers[0]["id"], self.requests);
        answers[0].clone()
    }

    fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.ask("tools/call", json!({ "name": tool, "arguments": arguments }))
    }
}

fn spoken(outputs: &[Output]) -> Vec<Value> {
    let messages = outputs.iter().filter_map(|output| match output {
        Output::Message { message, .. } | Output::News { message, .. } | Output::Aside(message) => Some(message),
        _ => None,
    });
    messages
        .map(|message| serde_json::from_slice(&message.to_bytes()).unwrap())
        .collect()
}

fn code(answer: &Value) -> i64 {
    answer["error"]["code"].as_i64().unwrap_or_default()
}
