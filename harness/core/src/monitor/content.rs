//! Content of tool results beyond its shape: embedded resources, pictures, and what a failed call says.

use base64::Engine as _;
use serde_json::Value;

use super::conversation::Conversation;
use super::resource::{entries, result};
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope, quoted};
use crate::spec::requirement::Severity;

pub(super) const MONITOR: Monitor = Monitor {
    name: "content",
    scope: Scope::Either,
    over: EVERYWHERE,
    summary: "embedded resources come from servers with resources, pictures are pictures, failures say why",
    requirements: &[
        "tools/embedded-needs-resources",
        "schema/embedded-annotations-place",
        "tools/content-image-mime",
        "tools/execution-error-content",
    ],
    judge: observe,
};

fn observe(conversation: &Conversation<'_>, _context: &Context<'_>, observer: &mut Observer<'_>) {
    let messages = conversation.messages();
    let (exchanges, _) = conversation.exchanges(&messages);
    let mut resources_declared = None;
    for exchange in &exchanges {
        let Some((result, event)) = result(exchange) else {
            continue;
        };
        match exchange.method {
            "initialize" | "server/discover" => {
                resources_declared = result
                    .get("capabilities")
                    .map(|capabilities| capabilities.get("resources").is_some());
            }
            "tools/call" => {
                for block in entries(result, "content") {
                    match block.get("type").and_then(Value::as_str) {
                        Some("resource") => embedded(observer, block, resources_declared, event),
                        Some("image") => image(observer, block, event),
                        _ => {}
                    }
                }
                if result.get("isError") == Some(&Value::Bool(true)) {
                    failure(observer, result, event);
                }
            }
            _ => {}
        }
    }
}

fn embedded(observer: &mut Observer<'_>, block: &Value, declared: Option<bool>, event: usize) {
    match declared {
        Some(true) => observer.kept("tools/embedded-needs-resources", event),
        Some(false) => {
            let message = "a result embeds a resource, but the capability `resources` is not declared";
            observer.broken(BreachAt::new("tools/embedded-needs-resources", event, message));
        }
        None => {}
    }
    let inside = block.pointer("/resource/annotations").is_some();
    if inside {
        // An example of the specification has them there.
        let message = "annotations stand inside the embedded resource, where they mean nothing; the schema has them on the content block";
        let breach = BreachAt::new("schema/embedded-annotations-place", event, message);
        observer.broken(breach.at_most(Severity::Info));
    } else if block.get("annotations").is_some() {
        observer.kept("schema/embedded-annotations-place", event);
    }
}

/// What the first bytes of common picture formats are.
const SIGNATURES: [(&str, &[u8]); 4] = [
    ("image/png", b"\x89PNG"),
    ("image/jpeg", b"\xff\xd8\xff"),
    ("image/gif", b"GIF8"),
    ("image/webp", b"RIFF"),
];

/// Whether data is visibly not of the type that it is said to have.
pub(super) fn contradicts(mime: &str, data: &[u8]) -> bool {
    SIGNATURES
        .iter()
        .any(|(known, signature)| *known == mime && !data.starts_with(signature))
}

fn image(observer: &mut Observer<'_>, block: &Value, event: usize) {
    let Some(mime) = block.get("mimeType").and_then(Value::as_str) else {
        return;
    };
    let data = block
        .get("data")
        .and_then(Value::as_str)
        .and_then(|data| base64::engine::general_purpose::STANDARD.decode(data).ok());
    if mime.starts_with("image/") && !data.is_some_and(|data| contradicts(mime, &data)) {
        observer.kept("tools/content-image-mime", event);
    } else {
        let message = format!("an image block has the type {}, which its data is not", quoted(mime));
        observer.broken(BreachAt::new("tools/content-image-mime", event, message));
    }
}

fn failure(observer: &mut Observer<'_>, result: &Value, event: usize) {
    let explained = entries(result, "content")
        .filter_map(|block| block.get("text")?.as_str())
        .any(|text| !text.trim().is_empty());
    if explained {
        observer.kept("tools/execution-error-content", event);
    } else {
        let message = "a call failed, and no text in its result says why";
        observer.broken(BreachAt::new("tools/execution-error-content", event, message));
    }
}
