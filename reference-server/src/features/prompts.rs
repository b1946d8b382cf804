//! Prompts: one with arguments, one without, and two that show more than text; `suite` has those for tests.

use serde_json::{Value, json};

use super::{Object, Session, object, paging, resources, showcase, string};
use crate::envelope::RpcError;

impl Session {
    pub(super) fn list_prompts(&self, params: &Object) -> Result<Value, RpcError> {
        let pull_request = self.titled(
            json!({ "name": "pr_url", "description": "Where the pull request is.", "required": true }),
            "Pull request",
        );
        let focus = self.titled(
            json!({ "name": "focus", "description": "What to look at most.", "required": false }),
            "Focus",
        );
        let review = json!({
            "name": "code_review_prompt",
            "description": "Asks for the review of a pull request.",
            "arguments": [pull_request, focus],
        });
        let greeting = json!({ "name": "greeting", "description": "Says hello." });
        let picture = json!({ "name": "describe_logo", "description": "Asks what the logo shows." });
        let document = json!({ "name": "summarise_readme", "description": "Asks for a summary of the read-me." });
        let mut items = vec![
            self.titled(review, "Code review"),
            showcase::adorned(self.revision, self.titled(greeting, "Greeting")),
            self.titled(picture, "Describe the logo"),
            self.titled(document, "Summarise the read-me"),
        ];
        items.extend(self.suite_prompts());
        items.extend(self.listed_prompt_that_asks());
        paging::page("prompts", items, self.page_size, params)
    }

    pub(super) fn get_prompt(&self, params: &Object) -> Result<Value, RpcError> {
        let name = string(params, "name")?;
        let none = Object::new();
        let arguments = object(params, "arguments")?.unwrap_or(&none);
        if let Some((name, _)) = arguments.iter().find(|(_, value)| !value.is_string()) {
            return Err(RpcError::invalid_params(format!(
                "Invalid params: argument {name:?} must be a string"
            )));
        }
        if let Some(shown) = self.shown(name) {
            return Ok(shown);
        }
        self.suite_prompt(name, arguments)
            .unwrap_or_else(|| get(name, arguments))
    }

    /// A prompt that shows more than text.
    fn shown(&self, name: &str) -> Option<Value> {
        let revision = self.revision;
        let (description, blocks): (_, Vec<Value>) = match name {
            "describe_logo" => {
                let blocks = [Some(showcase::image_block()), showcase::audio_block(revision)];
                ("A question about a picture", blocks.into_iter().flatten().collect())
            }
            "summarise_readme" => {
                let contents = resources::contents(self, "docs://readme").unwrap_or_default();
                let caption = showcase::text_block(revision, "Please summarise this.");
                let blocks = vec![showcase::embedded_block(revision, contents), caption];
                ("A question about a document", blocks)
            }
            _ => return None,
        };
        let messages: Vec<Value> = blocks
            .into_iter()
            .map(|block| json!({ "role": "user", "content": block }))
            .collect();
        Some(json!({ "description": description, "messages": messages }))
    }
}

fn get(name: &str, arguments: &Object) -> Result<Value, RpcError> {
    let argument = |name: &str| arguments.get(name).and_then(Value::as_str);
    let (description, text) = match name {
        "code_review_prompt" => {
            let pull_request = argument("pr_url")
                .ok_or_else(|| RpcError::invalid_params("Invalid params: argument \"pr_url\" is missing"))?;
            let focus = argument("focus")
                .map(|focus| format!(" Look at {focus} most."))
                .unwrap_or_default();
            (
                "A review of a pull request",
                format!("Please review the pull request {pull_request}.{focus}"),
            )
        }
        "greeting" => ("A greeting", "Hello! What can you do?".to_owned()),
        _ => return Err(RpcError::invalid_params(format!("Unknown prompt: {name}"))),
    };
    Ok(json!({
        "description": description,
        "messages": [{ "role": "user", "content": { "type": "text", "text": text } }],
    }))
}
