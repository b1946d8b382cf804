//! Faults of what a result shows, and of what stands around it: pictures, annotations, metadata, icons.

use serde_json::{Value, json};

use super::spoil::{Entry, asks, block, entry, returned, take};
use super::{Decorator, Fault};
use crate::envelope::{Request, Response};
use crate::revision::Revision;

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "image-no-mime",
        "has a picture without MIME type",
        &["tools/content-image"],
        || shown("image", |block| drop(take(block, "mimeType"))),
    ),
    Fault::new(
        "image-not-base64",
        "has a picture that is no base64",
        &["tools/base64-valid"],
        || shown("image", |block| block["data"] = json!("no base64!")),
    ),
    Fault::new(
        "audio-no-data",
        "has a sound without data",
        &["tools/content-audio"],
        || shown("audio", |block| drop(take(block, "data"))),
    ),
    Fault::new(
        "embedded-bare",
        "embeds no resource in a resource block",
        &["tools/content-embedded-resource"],
        || shown("resource", |block| drop(take(block, "resource"))),
    ),
    Fault::new(
        "embedded-binary-text",
        "embeds binary data as text",
        &["resources/text-only-for-text"],
        || {
            shown("resource", |block| {
                block["resource"]["text"] = json!("\u{fffd}PNG\u{0}")
            })
        },
    ),
    Fault::new(
        "link-no-name",
        "links to a resource without naming it",
        &["tools/content-resource-link"],
        || shown("resource_link", |block| drop(take(block, "name"))),
    ),
    Fault::new(
        "audience-odd",
        "means everyone by the audience of a block",
        &["schema/annotations-audience"],
        || shown("text", |block| block["annotations"]["audience"] = json!(["everyone"])),
    ),
    Fault::new(
        "priority-five",
        "has a priority of five",
        &["schema/annotations-priority"],
        || shown("text", |block| block["annotations"]["priority"] = json!(5)),
    ),
    Fault::new(
        "last-modified-number",
        "has a number for the time of a change",
        &["schema/annotations-last-modified-type"],
        || shown("text", |block| block["annotations"]["lastModified"] = json!(20250618)),
    ),
    Fault::new(
        "last-modified-words",
        "tells the time of a change in words",
        &["schema/annotations-last-modified-format"],
        || {
            shown("text", |block| {
                block["annotations"]["lastModified"] = json!("yesterday")
            })
        },
    ),
    Fault::new("meta-array", "has an array for _meta", &["meta/is-object"], || {
        returned("show_logo", |result| result["_meta"] = json!([]))
    }),
    Fault::new(
        "meta-prefix",
        "has a _meta key whose prefix begins with a digit",
        &["meta/key-prefix-grammar"],
        || returned("show_logo", |result| result["_meta"] = json!({ "1st.example/key": 1 })),
    ),
    Fault::new(
        "meta-name",
        "has a _meta key whose name begins with a hyphen",
        &["meta/key-name-grammar"],
        || returned("show_logo", |result| result["_meta"] = json!({ "com.example/-key": 1 })),
    ),
    Fault::new(
        "meta-reserved",
        "has a _meta key of its own under a reserved prefix",
        &["meta/reserved-prefix-unused"],
        || {
            returned("show_logo", |result| {
                result["_meta"] = json!({ "tools.mcp.com/key": 1 })
            })
        },
    ),
    Fault::new(
        "meta-forward",
        "has a _meta key whose prefix is a domain name",
        &["meta/reverse-dns-prefix"],
        || {
            returned("show_logo", |result| {
                result["_meta"] = json!({ "api.example.com/key": 1 })
            })
        },
    )
    .under(Revision::V2025_11_25),
    Fault::new(
        "icons-object",
        "has an object for icons",
        &["schema/icons-array"],
        || logo(|tool| tool["icons"] = json!({ "src": "https://example.com/icon.png" })),
    )
    .under(Revision::V2025_11_25),
    Fault::new(
        "icon-no-src",
        "has an icon without a picture",
        &["schema/icon-src"],
        || icon(|icon| drop(take(icon, "src"))),
    )
    .under(Revision::V2025_11_25),
    Fault::new(
        "icon-script",
        "has an icon whose picture is a script",
        &["schema/icon-src-scheme"],
        || icon(|icon| icon["src"] = json!("javascript:alert(1)")),
    )
    .under(Revision::V2025_11_25),
    Fault::new(
        "icon-plain-http",
        "has an icon that comes over plain http",
        &["schema/icon-src-scheme"],
        || icon(|icon| icon["src"] = json!("http://example.com/icon.png")),
    )
    .under(Revision::V2025_11_25),
    Fault::new(
        "icon-mime-number",
        "has a number for the type of an icon",
        &["schema/icon-mime-type"],
        || icon(|icon| icon["mimeType"] = json!(5)),
    )
    .under(Revision::V2025_11_25),
    Fault::new(
        "icon-sizes-text",
        "has a text for the sizes of an icon",
        &["schema/icon-sizes"],
        || icon(|icon| icon["sizes"] = json!("1x1")),
    )
    .under(Revision::V2025_11_25),
    Fault::new(
        "icon-size-odd",
        "has an icon of a large size",
        &["schema/icon-sizes-format"],
        || icon(|icon| icon["sizes"] = json!(["large"])),
    )
    .under(Revision::V2025_11_25),
    Fault::new(
        "icon-theme-odd",
        "has an icon for a blue theme",
        &["schema/icon-theme"],
        || icon(|icon| icon["theme"] = json!("blue")),
    )
    .under(Revision::V2025_11_25),
];

/// Changes the description of `show_logo`.
fn logo(change: fn(&mut Value)) -> Box<dyn Decorator> {
    Box::new(Entry("tools/list", "tools", "show_logo", change))
}

/// Changes an icon of `show_logo`.
fn icon(change: fn(&mut Value)) -> Box<dyn Decorator> {
    Box::new(Icon(change))
}

#[derive(Debug)]
struct Icon(fn(&mut Value));

impl Decorator for Icon {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if let ("tools/list", Ok(result)) = (request.method.as_str(), &mut response.outcome)
            && let Some(icon) = entry(result, "tools", "show_logo").and_then(|tool| tool.pointer_mut("/icons/1"))
        {
            (self.0)(icon);
        }
        response
    }
}

/// Changes a content block of `show_logo`.
fn shown(kind: &'static str, change: fn(&mut Value)) -> Box<dyn Decorator> {
    Box::new(Shown { kind, change })
}

#[derive(Debug)]
struct Shown {
    kind: &'static str,
    change: fn(&mut Value),
}

impl Decorator for Shown {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if let Ok(result) = &mut response.outcome
            && asks(request, "tools/call", "show_logo")
            && result["isError"] != true
            && let Some(block) = block(result, self.kind)
        {
            (self.change)(block);
        }
        response
    }
}
