//! `show_logo`: a tool whose result has every kind of content that the revision knows.

use serde_json::{Value, json};

use super::super::{Answer, Object, Session, resources, showcase};
use super::catalogue::Tool;

pub(super) const NAME: &str = "show_logo";

pub(super) const TOOL: Tool = Tool {
    name: NAME,
    title: "Show the logo",
    description: "Shows the logo in every kind of content: text, picture, sound, embedded resource and link.",
    read_only: true,
    input: || {
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": { "background": { "type": "string", "enum": ["light", "dark"], "default": "light" } },
            "additionalProperties": false,
        })
    },
    output: None,
    run,
};

impl Session {
    /// The tool's description with what later revisions have added to descriptions.
    pub(super) fn presented(&self, mut item: Value) -> Value {
        if self.revision.has_tasks() {
            item["execution"] = json!({ "taskSupport": "forbidden" });
        }
        showcase::adorned(self.revision, item)
    }
}

fn run(session: &mut Session, arguments: &Object, _: Option<&Value>) -> Result<Answer, String> {
    let revision = session.revision;
    let background = arguments.get("background").and_then(Value::as_str).unwrap_or("light");
    let caption = showcase::text_block(revision, &format!("The logo, on a {background} background."));
    let readme = resources::contents(session, "docs://readme").ok_or("the read-me is gone")?;
    let blocks = [
        Some(caption),
        Some(showcase::image_block()),
        showcase::audio_block(revision),
        Some(showcase::embedded_block(revision, readme)),
        showcase::link_block(revision),
    ];
    let content: Vec<Value> = blocks.into_iter().flatten().collect();
    Ok(Answer::from(json!({
        "content": content,
        "isError": false,
        "_meta": { "com.example/rendered": true },
    })))
}
