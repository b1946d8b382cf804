//! Two fixed resources, one text and one binary, and a template; `suite` has those for tests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Object, Session, paging, string};
use crate::envelope::RpcError;

/// The template's URIs, as RFC 6570 writes them.
pub(super) const CONFIG_TEMPLATE: &str = "config://app/{key}";

/// The keys the template knows, with their values.
pub(super) const CONFIG: [(&str, &str); 4] = [
    ("environment", "test"),
    ("name", "touchstone-reference"),
    ("region", "eu-west-1"),
    ("retries", "3"),
];

const README: &str = "# Reference server\n\nIts documents never change, so that two reads are the same.\n";

/// A PNG: one transparent pixel.
const LOGO: [u8; 68] = [
    0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0x00, 0x00, 0x00, 0x0D, 0x49, 0x48, 0x44, 0x52, 0x00, 0x00, 0x00,
    0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x06, 0x00, 0x00, 0x00, 0x1F, 0x15, 0xC4, 0x89, 0x00, 0x00, 0x00, 0x0B, 0x49,
    0x44, 0x41, 0x54, 0x78, 0xDA, 0x63, 0x60, 0x00, 0x02, 0x00, 0x00, 0x05, 0x00, 0x01, 0xE9, 0xFA, 0xDC, 0xD8, 0x00,
    0x00, 0x00, 0x00, 0x49, 0x45, 0x4E, 0x44, 0xAE, 0x42, 0x60, 0x82,
];

impl Session {
    pub(super) fn list_resources(&self, params: &Object) -> Result<Value, RpcError> {
        let resources = [
            (
                "docs://readme",
                "readme",
                "Read me",
                "text/markdown",
                "What this server is for.",
            ),
            ("docs://logo", "logo", "Logo", "image/png", "A picture of one pixel."),
        ];
        let items = resources.into_iter().map(|(uri, name, title, mime_type, description)| {
            self.titled(
                json!({ "uri": uri, "name": name, "description": description, "mimeType": mime_type }),
                title,
            )
        });
        paging::page(
            "resources",
            items.chain(self.suite_resources()).collect(),
            self.page_size,
            params,
        )
    }

    pub(super) fn read_resource(&self, params: &Object) -> Result<Value, RpcError> {
        let uri = string(params, "uri")?;
        contents(self, uri)
            .map(|contents| json!({ "contents": [contents] }))
            .ok_or_else(|| RpcError::resource_not_found(uri))
    }

    pub(super) fn list_templates(&self, params: &Object) -> Result<Value, RpcError> {
        let template = json!({
            "uriTemplate": CONFIG_TEMPLATE,
            "name": "config",
            "description": "One setting of the application.",
            "mimeType": "text/plain",
        });
        let items = vec![self.titled(template, "Configuration"), self.suite_template()];
        paging::page("resourceTemplates", items, self.page_size, params)
    }

    /// The item with its title, in the revisions that have titles.
    pub(super) fn titled(&self, mut item: Value, title: &str) -> Value {
        if self.revision.has_titles() {
            item["title"] = json!(title);
        }
        item
    }
}

/// The picture of one pixel, in base64.
pub(super) fn picture() -> String {
    STANDARD.encode(LOGO)
}

pub(super) fn contents(session: &Session, uri: &str) -> Option<Value> {
    match uri {
        "docs://readme" => Some(json!({ "uri": uri, "mimeType": "text/markdown", "text": README })),
        "docs://logo" => Some(json!({ "uri": uri, "mimeType": "image/png", "blob": picture() })),
        _ if uri.starts_with("test://") => session.suite_contents(uri),
        _ => {
            let key = uri.strip_prefix("config://app/")?;
            let (_, value) = CONFIG.iter().find(|(known, _)| *known == key)?;
            Some(json!({ "uri": uri, "mimeType": "text/plain", "text": value }))
        }
    }
}
