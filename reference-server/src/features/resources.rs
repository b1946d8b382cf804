//! Fixed resources, texts and a picture, and a template; `suite` has those for tests.

use serde_json::{Value, json};

use super::{Object, Session, apps, paging, showcase, string};
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

/// The URI of the logo.
pub(super) const LOGO_URI: &str = "docs://logo";

/// A guide, on a file system that is made up.
const GUIDE: &str = "Call tools/list first.\n";
const GUIDE_URI: &str = "file:///reference/guide.txt";

const NOTES: &str = "Nothing changes here.\n";

impl Session {
    pub(super) fn list_resources(&self, params: &Object) -> Result<Value, RpcError> {
        let resources = [
            (
                "docs://readme",
                "readme",
                "Read me",
                "text/markdown",
                "What this server is for.",
                README.len(),
            ),
            (
                LOGO_URI,
                "logo",
                "Logo",
                "image/png",
                "A picture of one pixel.",
                showcase::LOGO.len(),
            ),
            (GUIDE_URI, "guide", "Guide", "text/plain", "How to begin.", GUIDE.len()),
            (
                "docs://notes",
                "notes",
                "Notes",
                "text/plain",
                "What else is worth knowing.",
                NOTES.len(),
            ),
        ];
        let items = resources
            .into_iter()
            .map(|(uri, name, title, mime_type, description, size)| {
                let item = self.titled(
                    json!({
                        "uri": uri,
                        "name": name,
                        "description": description,
                        "mimeType": mime_type,
                        "size": size,
                        "annotations": showcase::annotations(self.revision),
                    }),
                    title,
                );
                showcase::adorned(self.revision, item)
            });
        let items = items.chain(self.suite_resources()).chain(self.listed_page()).collect();
        paging::page("resources", items, self.page_size, params)
    }

    pub(super) fn read_resource(&self, params: &Object) -> Result<Value, RpcError> {
        let uri = string(params, "uri")?;
        contents(self, uri)
            .map(|contents| json!({ "contents": [contents] }))
            .ok_or_else(|| RpcError::resource_not_found(self.revision, uri))
    }

    /// Whether there is such a resource.
    pub(crate) fn has_resource(&self, uri: &str) -> bool {
        contents(self, uri).is_some()
    }

    pub(super) fn list_templates(&self, params: &Object) -> Result<Value, RpcError> {
        let template = json!({
            "uriTemplate": CONFIG_TEMPLATE,
            "name": "config",
            "description": "One setting of the application.",
            "mimeType": "text/plain",
            "annotations": showcase::annotations(self.revision),
        });
        let template = showcase::adorned(self.revision, self.titled(template, "Configuration"));
        let items = vec![template, self.suite_template()];
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

pub(super) fn contents(session: &Session, uri: &str) -> Option<Value> {
    match uri {
        GUIDE_URI => Some(json!({ "uri": uri, "mimeType": "text/plain", "text": GUIDE })),
        "docs://notes" => Some(json!({ "uri": uri, "mimeType": "text/plain", "text": NOTES })),
        "docs://readme" => Some(json!({ "uri": uri, "mimeType": "text/markdown", "text": README })),
        LOGO_URI => Some(json!({ "uri": uri, "mimeType": "image/png", "blob": showcase::logo() })),
        apps::PAGE_URI => session.page(),
        _ if uri.starts_with("test://") => session.suite_contents(uri),
        _ => {
            let key = uri.strip_prefix("config://app/")?;
            let (_, value) = CONFIG.iter().find(|(known, _)| *known == key)?;
            Some(json!({ "uri": uri, "mimeType": "text/plain", "text": value }))
        }
    }
}
