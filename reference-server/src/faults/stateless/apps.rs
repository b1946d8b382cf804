//! Faults in tools with pages (the extension MCP Apps).

use serde_json::{Value, json};

use super::super::spoil::{Answers, Entry, Named, asks, error, params};
use super::super::{Decorator, Fault};
use super::{CAPABILITIES, fault, said};

const TOOL: &str = "show_dashboard";
const PAGE: &str = "ui://reference/dashboard";

pub(in super::super) const FAULTS: &[Fault] = &[
    fault(
        "page-https",
        "names a page of a tool that is no resource of its own kind",
        &["ext-apps/resource-uri-scheme", "ext-apps/resource-exists"],
        || tool(|tool| tool["_meta"]["ui"]["resourceUri"] = json!("https://example.com/dashboard")),
    ),
    fault(
        "page-missing",
        "names a page of a tool that does not exist",
        &["ext-apps/resource-exists"],
        || tool(|tool| tool["_meta"]["ui"]["resourceUri"] = json!("ui://reference/none")),
    ),
    fault(
        "page-plain-html",
        "gives its page the type of any page",
        &["ext-apps/resource-mime", "resources/read-mime-consistent"],
        || page(|page| page["mimeType"] = json!("text/html")),
    ),
    fault(
        "page-no-html",
        "has a page that is no HTML",
        &["ext-apps/resource-content"],
        || page(|page| page["text"] = json!("All is well.")),
    ),
    fault(
        "page-visibility",
        "says in one word to whom a tool is shown",
        &["ext-apps/tool-meta-shape"],
        || tool(|tool| tool["_meta"]["ui"]["visibility"] = json!("model")),
    ),
    fault(
        "page-domains",
        "says in one word to where a page may connect",
        &["ext-apps/resource-meta-shape"],
        || page(|page| page["_meta"]["ui"]["csp"]["connectDomains"] = json!("https://example.com")),
    ),
    fault(
        "page-flat-key",
        "names a page by the key that was given up",
        &["ext-apps/flat-key-deprecated"],
        || tool(|tool| tool["_meta"] = json!({ "ui/resourceUri": PAGE })),
    ),
    fault(
        "page-no-words",
        "says nothing in words where it has a page",
        &["ext-apps/text-fallback"],
        || Box::new(Named("tools/call", TOOL, |result| result["content"] = json!([]))),
    ),
    fault(
        "page-demanded",
        "refuses to call a tool for clients that show no pages",
        &[
            "ext-apps/degrades-without-client-support",
            "ext-apps/text-fallback",
            "discover/extension-fallback",
        ],
        || {
            Box::new(Answers(|request, response| {
                let able = said(&params(request), CAPABILITIES)
                    .is_some_and(|capabilities| capabilities["extensions"].get("io.modelcontextprotocol/ui").is_some());
                let meant = asks(request, "tools/call", TOOL) && response.outcome.is_ok() && !able;
                meant.then(|| {
                    let mut error = error(-32021, "The client shows no pages");
                    let needed = json!({ "extensions": { "io.modelcontextprotocol/ui": {} } });
                    error.data = Some(json!({ "requiredCapabilities": needed }));
                    Err(error)
                })
            }))
        },
    ),
];

fn tool(change: fn(&mut Value)) -> Box<dyn Decorator> {
    Box::new(Entry("tools/list", "tools", TOOL, change))
}

/// Changes the page as it is read.
fn page(change: fn(&mut Value)) -> Box<dyn Decorator> {
    Box::new(Page(change))
}

#[derive(Debug)]
struct Page(fn(&mut Value));

impl Decorator for Page {
    fn response(
        &mut self,
        request: &crate::envelope::Request,
        mut response: crate::envelope::Response,
    ) -> crate::envelope::Response {
        if asks(request, "resources/read", PAGE)
            && let Some(contents) = response
                .outcome
                .as_mut()
                .ok()
                .and_then(|result| result["contents"].get_mut(0))
        {
            (self.0)(contents);
        }
        response
    }
}
