//! Resources and prompts that the official conformance suite expects by their names.

use serde_json::{Value, json};

use super::changes::{EXTRA_PROMPT, EXTRA_RESOURCE, WATCHED};
use super::content::{embedded, image};
use super::showcase;
use super::{Object, Session};
use crate::envelope::RpcError;

/// The template's URIs.
pub(super) const TEMPLATE: &str = "test://template/{id}/data";

/// The prompts that are always there.
pub(super) const PROMPTS: [&str; 4] = [
    "test_simple_prompt",
    "test_prompt_with_arguments",
    "test_prompt_with_embedded_resource",
    "test_prompt_with_image",
];

impl Session {
    pub(super) fn suite_resources(&self) -> Vec<Value> {
        let resource = |uri: &str, name: &str, title: &str, mime_type: &str| {
            let description = "A resource for tests.";
            let item = json!({ "uri": uri, "name": name, "description": description, "mimeType": mime_type });
            self.titled(item, title)
        };
        let mut resources = vec![
            resource("test://static-text", "static-text", "Static text", "text/plain"),
            resource("test://static-binary", "static-binary", "Static picture", "image/png"),
            resource(WATCHED, "watched-resource", "Watched resource", "text/plain"),
        ];
        if self.changes.extra {
            resources.push(resource(
                EXTRA_RESOURCE,
                "extra-resource",
                "Extra resource",
                "text/plain",
            ));
        }
        resources
    }

    pub(super) fn suite_contents(&self, uri: &str) -> Option<Value> {
        let plain = |text: String| json!({ "uri": uri, "mimeType": "text/plain", "text": text });
        match uri {
            "test://static-text" => Some(plain("This is the content of the static text resource.".to_owned())),
            "test://static-binary" => Some(json!({ "uri": uri, "mimeType": "image/png", "blob": showcase::logo() })),
            WATCHED => Some(plain(format!("Version {}", self.changes.version))),
            EXTRA_RESOURCE if self.changes.extra => Some(plain("Still here".to_owned())),
            _ => {
                let id = uri.strip_prefix("test://template/")?.strip_suffix("/data")?;
                let known = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
                let data = json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") });
                known.then(|| json!({ "uri": uri, "mimeType": "application/json", "text": data.to_string() }))
            }
        }
    }

    pub(super) fn suite_template(&self) -> Value {
        let template = json!({
            "uriTemplate": TEMPLATE,
            "name": "template",
            "description": "Data of a number.",
            "mimeType": "application/json",
        });
        self.titled(template, "Data")
    }

    pub(super) fn suite_prompts(&self) -> Vec<Value> {
        let argument = |name: &str, title: &str, description: &str| {
            self.titled(
                json!({ "name": name, "description": description, "required": true }),
                title,
            )
        };
        let prompt = |name: &str, title: &str, description: &str, arguments: Vec<Value>| {
            let mut item = json!({ "name": name, "description": description });
            if !arguments.is_empty() {
                item["arguments"] = json!(arguments);
            }
            self.titled(item, title)
        };
        let [simple, with_arguments, with_resource, with_image] = PROMPTS;
        let two = vec![
            argument("arg1", "First", "The first word."),
            argument("arg2", "Second", "The second word."),
        ];
        let uri = vec![argument("resourceUri", "Resource", "The URI of the resource.")];
        let mut prompts = vec![
            prompt(simple, "Simple prompt", "A prompt without arguments.", Vec::new()),
            prompt(
                with_arguments,
                "Prompt with arguments",
                "A prompt with two arguments.",
                two,
            ),
            prompt(
                with_resource,
                "Prompt with resource",
                "A prompt that embeds a resource.",
                uri,
            ),
            prompt(
                with_image,
                "Prompt with picture",
                "A prompt with a picture.",
                Vec::new(),
            ),
        ];
        if self.changes.extra {
            prompts.push(prompt(
                EXTRA_PROMPT,
                "Extra prompt",
                "Is there only at times.",
                Vec::new(),
            ));
        }
        prompts
    }

    /// The prompt, or `None` when it is none of these.
    pub(super) fn suite_prompt(&self, name: &str, arguments: &Object) -> Option<Result<Value, RpcError>> {
        let words = |text: &str| json!({ "role": "user", "content": { "type": "text", "text": text } });
        let needed = |name: &str| {
            let missing = || RpcError::invalid_params(format!("Invalid params: argument {name:?} is missing"));
            arguments.get(name).and_then(Value::as_str).ok_or_else(missing)
        };
        let messages = match name {
            "test_simple_prompt" => Ok(vec![words("This is a simple prompt for testing.")]),
            "test_prompt_with_arguments" => needed("arg1").and_then(|first| {
                let second = needed("arg2")?;
                Ok(vec![words(&format!(
                    "Prompt with arguments: arg1='{first}', arg2='{second}'"
                ))])
            }),
            "test_prompt_with_embedded_resource" => needed("resourceUri").map(|uri| {
                let resource = embedded(&absolute(uri), "text/plain", "Embedded resource content for testing.");
                vec![
                    json!({ "role": "user", "content": resource }),
                    words("Please process the embedded resource above."),
                ]
            }),
            "test_prompt_with_image" => Ok(vec![
                json!({ "role": "user", "content": image() }),
                words("Please analyze the image above."),
            ]),
            EXTRA_PROMPT if self.changes.extra => Ok(vec![words("Still here")]),
            _ => return None,
        };
        Some(messages.map(|messages| json!({ "description": "A prompt for tests.", "messages": messages })))
    }
}

/// What is no absolute URI is taken for the name of a resource here.
fn absolute(uri: &str) -> String {
    let plain = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"<>\"{}|\\^`%".contains(&byte))
    };
    match uri.split_once(':') {
        Some((scheme, _))
            if plain(uri) && scheme.bytes().all(|byte| byte.is_ascii_lowercase()) && !scheme.is_empty() =>
        {
            uri.to_owned()
        }
        _ if plain(uri) && !uri.contains(':') => format!("test://{uri}"),
        _ => "test://embedded-resource".to_owned(),
    }
}
