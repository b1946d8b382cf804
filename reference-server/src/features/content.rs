//! Tools for each kind of content, and those that show how a call can go: with progress, with a failure, with a rich schema.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::showcase;
use super::tools::{Tool, failed, no_arguments, text};
use super::{Answer, Object, Session};
use crate::envelope::Message;

/// Time between two steps of the tool with progress.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "test_simple_text",
        title: "A text",
        description: "Returns a text.",
        read_only: true,
        input: no_arguments,
        output: None,
        run: |_, _, _| Ok(text("This is a simple text response for testing.")),
    },
    Tool {
        name: "test_image_content",
        title: "A picture",
        description: "Returns a picture.",
        read_only: true,
        input: no_arguments,
        output: None,
        run: |_, _, _| Ok(content(json!([image()]))),
    },
    Tool {
        name: "test_embedded_resource",
        title: "A resource",
        description: "Returns an embedded resource.",
        read_only: true,
        input: no_arguments,
        output: None,
        run: |_, _, _| {
            let text = "This is an embedded resource content.";
            Ok(content(json!([embedded(
                "test://embedded-resource",
                "text/plain",
                text
            )])))
        },
    },
    Tool {
        name: "test_multiple_content_types",
        title: "A text, a picture and a resource",
        description: "Returns content of several kinds.",
        read_only: true,
        input: no_arguments,
        output: None,
        run: |_, _, _| {
            let data = json!({ "test": "data", "value": 123 }).to_string();
            Ok(content(json!([
                { "type": "text", "text": "Multiple content types test:" },
                image(),
                embedded("test://mixed-content-resource", "application/json", &data),
            ])))
        },
    },
    Tool {
        name: "test_error_handling",
        title: "A failure",
        description: "Always fails.",
        read_only: true,
        input: no_arguments,
        output: None,
        run: |_, _, _| Ok(failed("This tool intentionally returns an error for testing")),
    },
    Tool {
        name: "test_tool_with_progress",
        title: "Report progress",
        description: "Reports progress three times before it answers, to those who ask for it.",
        read_only: true,
        input: no_arguments,
        output: None,
        run: with_progress,
    },
];

/// Audio came with 2025-03-26.
pub(super) const TOOLS_2025_03_26: &[Tool] = &[Tool {
    name: "test_audio_content",
    title: "A sound",
    description: "Returns a sound.",
    read_only: true,
    input: no_arguments,
    output: None,
    run: |_, _, _| {
        let data = STANDARD.encode(SILENCE);
        Ok(content(
            json!([{ "type": "audio", "data": data, "mimeType": "audio/wav" }]),
        ))
    },
}];

/// JSON Schema 2020-12 is the dialect from 2025-11-25 on.
pub(super) const TOOLS_2025_11_25: &[Tool] = &[Tool {
    name: "json_schema_2020_12_tool",
    title: "A rich schema",
    description: "Has a schema with the keywords of JSON Schema 2020-12.",
    read_only: true,
    input: rich_schema,
    output: None,
    run: contact,
}];

/// A WAV without sound: 8000 samples a second, one channel, 8 bits, no samples.
const SILENCE: [u8; 44] = [
    b'R', b'I', b'F', b'F', 36, 0, 0, 0, b'W', b'A', b'V', b'E', b'f', b'm', b't', b' ', 16, 0, 0, 0, 1, 0, 1, 0, 0x40,
    0x1F, 0, 0, 0x40, 0x1F, 0, 0, 1, 0, 8, 0, b'd', b'a', b't', b'a', 0, 0, 0, 0,
];

fn content(content: Value) -> Answer {
    Answer::from(json!({ "content": content, "isError": false }))
}

pub(super) fn image() -> Value {
    json!({ "type": "image", "data": showcase::logo(), "mimeType": "image/png" })
}

pub(super) fn embedded(uri: &str, mime_type: &str, text: &str) -> Value {
    json!({ "type": "resource", "resource": { "uri": uri, "mimeType": mime_type, "text": text } })
}

fn with_progress(_: &mut Session, _: &Object, token: Option<&Value>) -> Result<Answer, String> {
    let steps = token.into_iter().flat_map(|token| {
        (0..3).map(move |step| {
            let params = json!({
                "progressToken": token,
                "progress": step * 50,
                "total": 100,
                "message": format!("Completed step {} of 100", step * 50),
            });
            // 2024-11-05 has no message, but its objects are open.
            let message = Message::Notification {
                method: "notifications/progress",
                params,
            };
            (PAUSE * step, message)
        })
    });
    Ok(Answer {
        notifications: steps.collect(),
        after: PAUSE * 2,
        ..text("Done")
    })
}

fn rich_schema() -> Value {
    let text = json!({ "type": "string" });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": { "street": text, "city": text },
            },
        },
        "properties": {
            "name": text,
            "address": { "$ref": "#/$defs/address" },
            "contactMethod": { "type": "string", "enum": ["phone", "email"] },
            "phone": text,
            "email": text,
        },
        "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
        "if": { "properties": { "contactMethod": { "const": "phone" } }, "required": ["contactMethod"] },
        "then": { "required": ["phone"] },
        "else": { "required": ["email"] },
        "additionalProperties": false,
    })
}

/// Checks by hand what the common check does not know of.
fn contact(_: &mut Session, arguments: &Object, _: Option<&Value>) -> Result<Answer, String> {
    let method = arguments.get("contactMethod").and_then(Value::as_str);
    if method.is_some_and(|method| !["phone", "email"].contains(&method)) {
        return Err("contactMethod must be phone or email".to_owned());
    }
    let needed = if method == Some("phone") { "phone" } else { "email" };
    if !arguments.contains_key(needed) {
        return Err(format!("{needed} is missing"));
    }
    if let Some(address) = arguments.get("address") {
        let fields = address.as_object().ok_or("address must be an object")?;
        if ["street", "city"]
            .iter()
            .any(|name| fields.get(*name).is_some_and(|field| !field.is_string()))
        {
            return Err("street and city must be strings".to_owned());
        }
    }
    Ok(text("These arguments are valid"))
}
