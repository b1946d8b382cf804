//! What a server may add to what it offers: icons, annotations, metadata, sizes, and a picture and a sound to show in every kind of content.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::revision::Revision;

/// A PNG: one transparent pixel.
pub(super) const LOGO: [u8; 68] = [
    0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0x00, 0x00, 0x00, 0x0D, 0x49, 0x48, 0x44, 0x52, 0x00, 0x00, 0x00,
    0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x06, 0x00, 0x00, 0x00, 0x1F, 0x15, 0xC4, 0x89, 0x00, 0x00, 0x00, 0x0B, 0x49,
    0x44, 0x41, 0x54, 0x78, 0xDA, 0x63, 0x60, 0x00, 0x02, 0x00, 0x00, 0x05, 0x00, 0x01, 0xE9, 0xFA, 0xDC, 0xD8, 0x00,
    0x00, 0x00, 0x00, 0x49, 0x45, 0x4E, 0x44, 0xAE, 0x42, 0x60, 0x82,
];

/// A WAV file: one sample of silence.
const SILENCE: [u8; 46] = [
    0x52, 0x49, 0x46, 0x46, 0x26, 0x00, 0x00, 0x00, 0x57, 0x41, 0x56, 0x45, 0x66, 0x6D, 0x74, 0x20, 0x10, 0x00, 0x00,
    0x00, 0x01, 0x00, 0x01, 0x00, 0x40, 0x1F, 0x00, 0x00, 0x80, 0x3E, 0x00, 0x00, 0x02, 0x00, 0x10, 0x00, 0x64, 0x61,
    0x74, 0x61, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00,
];

/// The logo as it stands in JSON.
pub(super) fn logo() -> String {
    STANDARD.encode(LOGO)
}

/// An item with icons and metadata, in the revisions that have them.
pub(super) fn adorned(revision: Revision, mut item: Value) -> Value {
    if revision.has_titles() {
        item["_meta"] = json!({ "com.example/origin": "reference" });
    }
    with_icons(revision, item)
}

/// An item with icons, in the revisions that have them.
fn with_icons(revision: Revision, mut item: Value) -> Value {
    if revision >= Revision::V2025_11_25 {
        item["icons"] = json!([
            { "src": format!("data:image/png;base64,{}", logo()), "mimeType": "image/png", "sizes": ["1x1"] },
            { "src": "https://example.com/icon.svg", "mimeType": "image/svg+xml", "sizes": ["any"], "theme": "dark" },
        ]);
    }
    item
}

/// For whom something is, and how much it matters.
pub(super) fn annotations(revision: Revision) -> Value {
    let mut annotations = json!({ "audience": ["user", "assistant"], "priority": 0.5 });
    if revision.has_titles() {
        annotations["lastModified"] = json!("2025-06-18T12:00:00Z");
    }
    annotations
}

/// What the server says of itself beyond its name and version.
pub(crate) fn introduced(revision: Revision, mut info: Value) -> Value {
    if revision >= Revision::V2025_11_25 {
        info["description"] = json!("A correct server, to check conformance suites against.");
        info["websiteUrl"] = json!("https://example.com/reference");
    }
    with_icons(revision, info)
}

/// A text about the logo, with annotations and metadata.
pub(super) fn text_block(revision: Revision, text: &str) -> Value {
    let mut block = json!({ "type": "text", "text": text, "annotations": annotations(revision) });
    if revision.has_titles() {
        block["_meta"] = json!({ "com.example/kind": "caption" });
    }
    block
}

pub(super) fn image_block() -> Value {
    json!({ "type": "image", "data": logo(), "mimeType": "image/png" })
}

/// A sound, in the revisions that have sounds.
pub(super) fn audio_block(revision: Revision) -> Option<Value> {
    let block = json!({ "type": "audio", "data": STANDARD.encode(SILENCE), "mimeType": "audio/wav" });
    (revision >= Revision::V2025_03_26).then_some(block)
}

/// A resource as part of a result.
pub(super) fn embedded_block(revision: Revision, contents: Value) -> Value {
    json!({ "type": "resource", "resource": contents, "annotations": annotations(revision) })
}

/// A link to the logo, in the revisions that have links.
pub(super) fn link_block(revision: Revision) -> Option<Value> {
    let link = json!({
        "type": "resource_link",
        "uri": super::resources::LOGO_URI,
        "name": "logo",
        "title": "Logo",
        "description": "A picture of one pixel.",
        "mimeType": "image/png",
        "size": LOGO.len(),
        "annotations": annotations(revision),
    });
    revision.has_titles().then(|| with_icons(revision, link))
}
