//! What every result has in the stateless era beside what the features say: its type, who the server is, and how long the
//! client may keep it.

use serde_json::{Value, json};

use super::tasks;
use crate::features::{apps, showcase};
use crate::revision::Revision;

const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

/// The result with its type and the server's name, and with hints for caches where the method has such.
pub(crate) fn complete(method: &str, result: Value) -> Value {
    let Value::Object(result) = result else { return result };
    let mut completed = json!({ "resultType": "complete" });
    let waits = result.contains_key("resultType");
    for (member, value) in result {
        completed[member] = value;
    }
    if let Some((milliseconds, scope)) = hints(method).filter(|_| !waits) {
        completed["ttlMs"] = json!(milliseconds);
        completed["cacheScope"] = json!(scope);
    }
    completed["_meta"][SERVER_INFO] = identity();
    completed
}

/// How long a result may be kept, in milliseconds, and by whom.
fn hints(method: &str) -> Option<(u64, &'static str)> {
    match method {
        "server/discover" => Some((3_600_000, "public")),
        "tools/list" | "prompts/list" | "resources/list" | "resources/templates/list" => Some((60_000, "public")),
        "resources/read" => Some((0, "private")),
        _ => None,
    }
}

/// Who the server is, in short.
fn identity() -> Value {
    json!({
        "name": "touchstone-reference",
        "version": env!("CARGO_PKG_VERSION"),
        "title": "Touchstone reference server",
    })
}

/// What `server/discover` tells.
pub(crate) fn discovery(served: &[Revision]) -> Value {
    let served: Vec<&str> = served.iter().map(|revision| revision.as_str()).collect();
    let mut discovery = json!({
        "supportedVersions": served,
        "capabilities": {
            "logging": {},
            "prompts": { "listChanged": true },
            "resources": { "subscribe": true, "listChanged": true },
            "tools": { "listChanged": true },
            "completions": {},
            "experimental": { "com.example.reference": {} },
            "extensions": { tasks::EXTENSION: {}, apps::EXTENSION: {} },
        },
        "instructions": "Tools with readOnlyHint are safe to call; write_note writes into a scratch directory.",
    });
    discovery = complete("server/discover", discovery);
    discovery["_meta"][SERVER_INFO] = showcase::introduced(Revision::V2026_07_28, identity());
    discovery
}
