//! The header fields that mirror a message in the stateless era (2026-07-28), so that whatever stands between client and server can route it
//! without reading the body: `MCP-Protocol-Version`, `Mcp-Method`, `Mcp-Name` and `Mcp-Param-*`.
//!
//! They follow from the bytes of the body, whoever made them. What a case wants to have wrong it sets itself, on top of this.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

pub(super) const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// The key of the version in `_meta`.
const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";

/// Most tools whose annotations are remembered.
const MOST_TOOLS: usize = 10_000;
/// Deepest schema that is looked into.
const DEEPEST: usize = 32;

/// Which arguments of which tools are mirrored in fields, as their schemas say. Shared by all connections of a run: the lists are read once.
pub type MirroredArguments = Rc<RefCell<BTreeMap<String, Vec<Mirrored>>>>;

/// One argument that is mirrored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirrored {
    /// The way to it in the arguments.
    path: Vec<String>,
    /// The field.
    field: HeaderName,
}

/// How messages of one connection are mirrored.
#[derive(Debug, Clone)]
pub struct Routing {
    version: String,
    arguments: MirroredArguments,
}

impl Routing {
    /// Mirrors messages of this version.
    #[must_use]
    pub fn new(version: impl Into<String>, arguments: MirroredArguments) -> Self {
        Self {
            version: version.into(),
            arguments,
        }
    }

    /// Remembers which arguments of these tools are mirrored.
    pub fn note_tools(&self, tools: &[Value]) {
        let mut known = self.arguments.borrow_mut();
        for tool in tools {
            let Some(name) = tool.get("name").and_then(Value::as_str) else {
                continue;
            };
            let mut found = Vec::new();
            if let Some(schema) = tool.get("inputSchema") {
                annotated(schema, &mut Vec::new(), &mut found);
            }
            if known.len() < MOST_TOOLS || known.contains_key(name) {
                known.insert(name.to_owned(), found);
            }
        }
    }

    /// The fields of a request with this body; without body only the version.
    pub(super) fn fields(&self, body: Option<&[u8]>) -> Vec<(HeaderName, HeaderValue)> {
        let message = body.and_then(|body| serde_json::from_slice::<Value>(body).ok());
        let params = message.as_ref().and_then(|message| message.get("params"));
        let version = params
            .and_then(|params| params.get("_meta")?.get(VERSION_KEY)?.as_str())
            .unwrap_or(&self.version);
        let mut fields = Vec::new();
        let mut set = |name: &HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                fields.push((name.clone(), value));
            }
        };
        set(&PROTOCOL_VERSION, version);
        let Some(method) = message.as_ref().and_then(|message| message.get("method")?.as_str()) else {
            return fields;
        };
        set(&METHOD, method);
        let named = match method {
            "tools/call" | "prompts/get" => "name",
            "resources/read" => "uri",
            "tasks/get" | "tasks/update" | "tasks/cancel" => "taskId",
            _ => return fields,
        };
        let Some(Value::Object(params)) = params else {
            return fields;
        };
        if let Some(name) = params.get(named).and_then(Value::as_str) {
            set(&NAME, &encoded(name));
            if method == "tools/call" {
                for mirrored in self.arguments.borrow().get(name).into_iter().flatten() {
                    if let Some(value) = mirrored.value_in(params) {
                        set(&mirrored.field, &value);
                    }
                }
            }
        }
        fields
    }
}

impl Mirrored {
    /// The text of the field for these params; `None` when the argument is not there, or nothing that can be mirrored.
    fn value_in(&self, params: &Map<String, Value>) -> Option<String> {
        let mut value = params.get("arguments")?;
        for key in &self.path {
            value = value.get(key)?;
        }
        match value {
            Value::String(text) => Some(encoded(text)),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => None,
        }
    }
}

/// Finds the annotations of a schema. They count only where nothing but `properties` leads to them.
fn annotated(schema: &Value, path: &mut Vec<String>, found: &mut Vec<Mirrored>) {
    if path.len() > DEEPEST {
        return;
    }
    for (name, property) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        path.push(name.clone());
        if let Some(field) = property.get("x-mcp-header").and_then(Value::as_str)
            && let Ok(field) = HeaderName::from_bytes(format!("mcp-param-{field}").as_bytes())
        {
            found.push(Mirrored {
                path: path.clone(),
                field,
            });
        }
        annotated(property, path, found);
        path.pop();
    }
}

/// A text as a field value: itself, or in base64 where a field cannot hold it or it would be taken for that.
pub(crate) fn encoded(text: &str) -> String {
    let blank = |character: char| matches!(character, ' ' | '\t');
    let plain = text.chars().all(|character| matches!(character, ' '..='~' | '\t'));
    let marked = text.starts_with("=?base64?") && text.ends_with("?=");
    if plain && !marked && !text.starts_with(blank) && !text.ends_with(blank) {
        text.to_owned()
    } else {
        format!("=?base64?{}?=", STANDARD.encode(text))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(routing: &Routing, body: &Value) -> BTreeMap<String, String> {
        let fields = routing.fields(Some(body.to_string().as_bytes()));
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        fields
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect()
    }

    #[test]
    fn a_message_is_mirrored() {
        let routing = Routing::new("2026-07-28", MirroredArguments::default());
        let call = json!({ "id": 1, "method": "tools/call", "params": { "name": "add" } });
        let of_call = fields(&routing, &call);
        assert_eq!(of_call["mcp-protocol-version"], "2026-07-28");
        assert_eq!(
            (of_call["mcp-method"].as_str(), of_call["mcp-name"].as_str()),
            ("tools/call", "add")
        );
        let own = json!({ "id": 1, "method": "tools/list", "params": { "_meta": { VERSION_KEY: "1900-01-01" } } });
        let of_list = fields(&routing, &own);
        assert_eq!(of_list["mcp-protocol-version"], "1900-01-01");
        assert!(!of_list.contains_key("mcp-name"));
        let read = json!({ "id": 1, "method": "resources/read", "params": { "uri": "x://ü" } });
        assert_eq!(fields(&routing, &read)["mcp-name"], "=?base64?eDovL8O8?=");
        assert_eq!(routing.fields(Some(b"{")).len(), 1);
        assert_eq!(routing.fields(None).len(), 1);
    }

    #[test]
    fn annotated_arguments_are_mirrored_where_they_are_given() {
        let routing = Routing::new("2026-07-28", MirroredArguments::default());
        routing.note_tools(&[json!({ "name": "t", "inputSchema": { "properties": {
            "region": { "type": "string", "x-mcp-header": "Region" },
            "deep": { "properties": { "count": { "type": "integer", "x-mcp-header": "Count" } } },
            "list": { "items": { "properties": { "no": { "x-mcp-header": "No" } } } },
            "odd": { "x-mcp-header": "not a token" },
        } } })]);
        let call = |arguments: Value| json!({ "id": 1, "method": "tools/call", "params": { "name": "t", "arguments": arguments } });
        let some = fields(
            &routing,
            &call(json!({ "region": " eu", "deep": { "count": 42 }, "list": [{ "no": 1 }], "odd": 1 })),
        );
        assert_eq!(some["mcp-param-region"], "=?base64?IGV1?=");
        assert_eq!(some["mcp-param-count"], "42");
        assert_eq!(some.len(), 5);
        assert_eq!(fields(&routing, &call(json!({ "region": null }))).len(), 3);
    }

    #[test]
    fn what_a_field_cannot_hold_is_encoded() {
        assert_eq!(encoded("a b"), "a b");
        assert_eq!(encoded(""), "");
        for text in [" a", "a\n", "ü", "=?base64?YQ==?="] {
            assert!(encoded(text).starts_with("=?base64?"), "{text:?}");
        }
    }
}
