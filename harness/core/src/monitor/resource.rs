//! Resources beyond the shape of their messages: schemes, text that is none, and what was listed against what is read.

use std::collections::BTreeMap;

use base64::Engine as _;
use serde_json::Value;

use super::conversation::Conversation;
use super::exchange::Exchange;
use super::stateless::result_type;
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope, quoted};
use crate::revision::Revision;
use crate::spec::requirement::Severity;

pub(super) const MONITOR: Monitor = Monitor {
    name: "resource",
    scope: Scope::Either,
    over: EVERYWHERE,
    summary: "schemes of URIs are well-formed, text is text, and reading a resource agrees with its listing",
    requirements: &[
        "resources/custom-scheme",
        "resources/text-only-for-text",
        "resources/size-accurate",
        "resources/read-mime-consistent",
        "resources/content-not-both",
    ],
    judge: observe,
};

fn observe(conversation: &Conversation<'_>, _context: &Context<'_>, observer: &mut Observer<'_>) {
    let messages = conversation.messages();
    let (exchanges, _) = conversation.exchanges(&messages);
    let mut listed: BTreeMap<&str, &Value> = BTreeMap::new();
    for exchange in &exchanges {
        let Some((result, event)) = result(exchange) else {
            continue;
        };
        match exchange.method {
            "resources/list" => {
                for resource in entries(result, "resources") {
                    if let Some(uri) = resource.get("uri").and_then(Value::as_str) {
                        scheme(observer, uri, event);
                        listed.insert(uri, resource);
                    }
                }
            }
            "resources/templates/list" => {
                for template in entries(result, "resourceTemplates") {
                    if let Some(uri) = template.get("uriTemplate").and_then(Value::as_str) {
                        scheme(observer, uri, event);
                    }
                }
            }
            "resources/read" => {
                let contents: Vec<&Value> = entries(result, "contents").collect();
                for content in &contents {
                    text_is_text(observer, content, event);
                    not_both(observer, content, event);
                }
                let uri = exchange.request.value.pointer("/params/uri").and_then(Value::as_str);
                if let (Some(resource), [content]) = (uri.and_then(|uri| listed.get(uri)), contents.as_slice()) {
                    agrees(observer, resource, content, event);
                }
            }
            "tools/call" => {
                for block in entries(result, "content").filter(|block| block.get("type") == Some(&"resource".into())) {
                    if let Some(content) = block.get("resource") {
                        text_is_text(observer, content, event);
                    }
                }
            }
            _ => {}
        }
    }
}

/// The result of a request and the event that shows it. One that asks for input first, or begins a task, is not the result yet.
pub(super) fn result<'a>(exchange: &Exchange<'a>) -> Option<(&'a Value, usize)> {
    let answer = exchange.answers.first()?;
    let result = answer.message.value.get("result")?;
    let preliminary = matches!(result_type(result), Some("input_required" | "task"));
    (!preliminary).then_some((result, answer.message.event))
}

/// The entries of a list in a result.
pub(super) fn entries<'a>(result: &'a Value, member: &str) -> impl Iterator<Item = &'a Value> {
    result.get(member).and_then(Value::as_array).into_iter().flatten()
}

/// The scheme of a URI or template, unless a variable stands in its place or there is none.
fn scheme_of(uri: &str) -> Option<&str> {
    let (scheme, _) = uri.split_once(':')?;
    (!scheme.contains(['{', '/', '?', '#'])).then_some(scheme)
}

fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '.' | '-'))
}

/// Whether what is wrong with a listed URI is its scheme, in a revision that has a rule for that: the general rule for URIs then steps aside.
pub(super) fn owns_scheme(requirement: &str, value: Option<&Value>, revision: Revision) -> bool {
    revision >= Revision::V2025_06_18
        && ["resources/uri-valid", "resources/template-uri-template"].contains(&requirement)
        && value
            .and_then(Value::as_str)
            .and_then(scheme_of)
            .is_some_and(|scheme| !is_scheme(scheme))
}

fn scheme(observer: &mut Observer<'_>, uri: &str, event: usize) {
    let Some(scheme) = scheme_of(uri) else { return };
    if is_scheme(scheme) {
        observer.kept("resources/custom-scheme", event);
    } else {
        let message = format!(
            "the scheme {} is none: a letter, then letters, digits, plus, hyphen or dot (RFC 3986)",
            quoted(scheme)
        );
        observer.broken(BreachAt::new("resources/custom-scheme", event, message).about(uri));
    }
}

/// Whether a type is one whose data cannot be text.
fn is_binary(mime: &str) -> bool {
    let mime = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let textual = ["+xml", "+json", "/xml", "/json"].iter().any(|end| mime.ends_with(end));
    !textual
        && (mime == "application/octet-stream"
            || ["image/", "audio/", "video/"].iter().any(|kind| mime.starts_with(kind)))
}

fn text_is_text(observer: &mut Observer<'_>, content: &Value, event: usize) {
    let Some(text) = content.get("text").and_then(Value::as_str) else {
        return;
    };
    let mime = content.get("mimeType").and_then(Value::as_str).unwrap_or_default();
    let uri = content.get("uri").and_then(Value::as_str).unwrap_or_default();
    let reason = if is_binary(mime) {
        format!("has the type {}", quoted(mime))
    } else if text.contains('\0') {
        "has NUL characters".to_owned()
    } else if text.contains('\u{fffd}') {
        "has replacement characters, as if bytes had been decoded that are no text".to_owned()
    } else {
        observer.kept("resources/text-only-for-text", event);
        return;
    };
    let message = format!("a resource is sent as text, but {reason}; send it as blob");
    // What cannot be text is not defined: a heuristic never fails a server.
    let breach = BreachAt::new("resources/text-only-for-text", event, message);
    observer.broken(breach.about(uri).at_most(Severity::Warn));
}

fn not_both(observer: &mut Observer<'_>, content: &Value, event: usize) {
    if content.get("text").is_some() && content.get("blob").is_some() {
        let message = "a content item has both text and blob";
        observer.broken(BreachAt::new("resources/content-not-both", event, message));
    } else {
        observer.kept("resources/content-not-both", event);
    }
}

/// A resource as it was listed and as it was read.
fn agrees(observer: &mut Observer<'_>, resource: &Value, content: &Value, event: usize) {
    let uri = resource.get("uri").and_then(Value::as_str).unwrap_or_default();
    let mime = |value: &Value| value.get("mimeType").and_then(Value::as_str).map(str::to_owned);
    if let (Some(listed), Some(read)) = (mime(resource), mime(content)) {
        if listed == read {
            observer.kept("resources/read-mime-consistent", event);
        } else {
            let message = format!("it is listed as {}, and read as {}", quoted(&listed), quoted(&read));
            observer.broken(BreachAt::new("resources/read-mime-consistent", event, message).about(uri));
        }
    }
    let text = content.get("text").and_then(Value::as_str).map(str::len);
    let blob = || {
        let blob = content.get("blob").and_then(Value::as_str)?;
        Some(base64::engine::general_purpose::STANDARD.decode(blob).ok()?.len())
    };
    if let (Some(size), Some(read)) = (resource.get("size").and_then(Value::as_u64), text.or_else(blob)) {
        if usize::try_from(size) == Ok(read) {
            observer.kept("resources/size-accurate", event);
        } else {
            let message = format!("its size is listed as {size}, but {read} bytes were read");
            observer.broken(BreachAt::new("resources/size-accurate", event, message).about(uri));
        }
    }
}
