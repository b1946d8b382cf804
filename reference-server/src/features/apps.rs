//! A tool with a page to show it by (the extension MCP Apps, `io.modelcontextprotocol/ui`): the page is a resource that the
//! tool names, and the tool answers in words all the same.

use serde_json::{Value, json};

use super::Session;
use super::tools::{Tool, no_arguments, text};

/// The extension.
pub(crate) const EXTENSION: &str = "io.modelcontextprotocol/ui";

/// The tool.
pub(super) const NAME: &str = "show_dashboard";

/// The page.
pub(super) const PAGE_URI: &str = "ui://reference/dashboard";
const MIME_TYPE: &str = "text/html;profile=mcp-app";

const PAGE: &str = "<!doctype html>\n<html lang=\"en\">\n<head><title>Dashboard</title></head>\n<body><p>All is well.</p></body>\n</html>\n";

pub(super) const TOOLS: &[Tool] = &[Tool {
    name: NAME,
    title: "Show the dashboard",
    description: "Tells how the server is, and has a page that shows it.",
    read_only: true,
    input: no_arguments,
    output: None,
    run: |_, _, _| Ok(text("All is well.")),
}];

/// What the tool says of its page.
pub(super) fn link() -> Value {
    json!({ "ui": { "resourceUri": PAGE_URI, "visibility": ["model", "app"] } })
}

fn needs() -> Value {
    json!({ "ui": { "csp": { "connectDomains": [], "resourceDomains": [] }, "prefersBorder": true } })
}

impl Session {
    /// The page as it is listed.
    pub(super) fn listed_page(&self) -> Option<Value> {
        let item = json!({
            "uri": PAGE_URI,
            "name": "dashboard",
            "description": "How the server is, as a page.",
            "mimeType": MIME_TYPE,
            "size": PAGE.len(),
            "_meta": needs(),
        });
        self.revision.is_stateless().then(|| self.titled(item, "Dashboard"))
    }

    /// The page itself.
    pub(super) fn page(&self) -> Option<Value> {
        let contents = json!({ "uri": PAGE_URI, "mimeType": MIME_TYPE, "text": PAGE, "_meta": needs() });
        self.revision.is_stateless().then_some(contents)
    }
}
