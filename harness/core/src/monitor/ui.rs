//! The extension for user interfaces: what tools and resources say of their interface, and the documents behind `ui://`.

use base64::Engine as _;
use serde_json::Value;

use super::conversation::Conversation;
use super::declared::Declared;
use super::resource::{entries, result};
use super::stateless::UI;
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope, quoted};
use crate::revision::Era;
use crate::spec::requirement::Severity;

pub(super) const MONITOR: Monitor = Monitor {
    name: "ui",
    scope: Scope::Stateless,
    over: EVERYWHERE,
    summary: "interfaces are advertised, live under ui://, and are HTML documents of the right type",
    requirements: &[
        "ext-apps/extension-advertised",
        "ext-apps/resource-uri-scheme",
        "ext-apps/resource-mime",
        "ext-apps/resource-content",
        "ext-apps/tool-meta-shape",
        "ext-apps/resource-meta-shape",
        "ext-apps/flat-key-deprecated",
    ],
    judge: observe,
};

/// The type of an interface.
const MIME: &str = "text/html;profile=mcp-app";

fn observe(conversation: &Conversation<'_>, context: &Context<'_>, observer: &mut Observer<'_>) {
    let messages = conversation.messages();
    let (exchanges, _) = conversation.exchanges(&messages);
    let declared = Declared::of(&exchanges, Era::Stateless);
    let advertised = declared.as_ref().map(|declared| declared.advertises(UI));
    for exchange in &exchanges {
        let Some((result, event)) = result(exchange) else {
            continue;
        };
        let in_use = match exchange.method {
            "tools/list" => tools(observer, context, result, advertised == Some(true), event),
            "resources/list" | "resources/templates/list" => {
                let mut used = false;
                for member in ["resources", "resourceTemplates"] {
                    for resource in entries(result, member) {
                        let address = resource.get("uri").or_else(|| resource.get("uriTemplate"));
                        used |= address.and_then(Value::as_str).is_some_and(is_interface);
                        described(observer, context, resource, advertised == Some(true), event);
                    }
                }
                used
            }
            "resources/read" if advertised == Some(true) => {
                for content in entries(result, "contents") {
                    if content.get("uri").and_then(Value::as_str).is_some_and(is_interface) {
                        document(observer, content, event);
                        described(observer, context, content, true, event);
                    }
                }
                true
            }
            _ => false,
        };
        match advertised.filter(|_| in_use) {
            Some(true) => observer.kept("ext-apps/extension-advertised", event),
            Some(false) => {
                let text = format!("the server offers interfaces, and does not advertise the extension {UI}");
                // How a server advertises it is not said in the stable text of the extension.
                let breach = BreachAt::new("ext-apps/extension-advertised", event, text);
                observer.broken(breach.at_most(Severity::Info));
            }
            None => {}
        }
    }
}

fn is_interface(uri: &str) -> bool {
    uri.starts_with("ui://")
}

/// What tools say of their interface; whether one of them does.
fn tools(observer: &mut Observer<'_>, context: &Context<'_>, result: &Value, advertised: bool, event: usize) -> bool {
    let mut used = false;
    for tool in entries(result, "tools") {
        let name = tool.get("name").and_then(Value::as_str).unwrap_or_default();
        let Some(meta) = tool.get("_meta").and_then(Value::as_object) else {
            continue;
        };
        let (ui, flat) = (meta.get("ui"), meta.get("ui/resourceUri"));
        let linked = ui.is_some_and(|ui| ui.get("resourceUri").is_some());
        used |= linked || flat.is_some();
        if !advertised {
            continue; // It may mean something else.
        }
        if let Some(ui) = ui {
            shape(observer, context, "ToolUi", ui, name, event);
        }
        if flat.is_some() && !linked {
            let text = format!(
                "tool {} names its interface by the flat key ui/resourceUri only",
                quoted(name)
            );
            observer.broken(BreachAt::new("ext-apps/flat-key-deprecated", event, text).about(name));
        } else if linked {
            observer.kept("ext-apps/flat-key-deprecated", event);
        }
    }
    used
}

/// What a resource says of its interface.
fn described(observer: &mut Observer<'_>, context: &Context<'_>, resource: &Value, advertised: bool, event: usize) {
    let ui = resource.get("_meta").and_then(|meta| meta.get("ui"));
    if let Some(ui) = ui.filter(|_| advertised) {
        let about = resource.get("uri").and_then(Value::as_str).unwrap_or_default();
        shape(observer, context, "ResourceUi", ui, about, event);
    }
}

fn shape(observer: &mut Observer<'_>, context: &Context<'_>, definition: &str, ui: &Value, about: &str, event: usize) {
    let checked = context.schemas.check(definition, ui);
    for fault in &checked.faults {
        if let Some(requirement) = fault.requirement.as_deref() {
            let text = format!(
                "_meta.ui of {}, at {:?}: {}",
                quoted(about),
                fault.pointer,
                fault.message
            );
            observer.broken(
                BreachAt::new(requirement, event, text)
                    .about(about)
                    .at_most(fault.at_most),
            );
        }
    }
    let broken: Vec<&str> = checked
        .faults
        .iter()
        .filter_map(|fault| fault.requirement.as_deref())
        .collect();
    for requirement in checked.exercised.iter().filter(|id| !broken.contains(&id.as_str())) {
        observer.kept_by_data(requirement, event);
    }
}

/// The document of an interface.
fn document(observer: &mut Observer<'_>, content: &Value, event: usize) {
    let uri = content.get("uri").and_then(Value::as_str).unwrap_or_default();
    let plain = |text: &str| {
        text.chars()
            .filter(|c| !c.is_whitespace())
            .collect::<String>()
            .to_ascii_lowercase()
    };
    let mime = content.get("mimeType").and_then(Value::as_str).unwrap_or_default();
    if plain(mime) == MIME {
        observer.kept("ext-apps/resource-mime", event);
    } else {
        let text = format!(
            "the interface {} has the type {}; it must be {MIME}",
            quoted(uri),
            quoted(mime)
        );
        observer.broken(BreachAt::new("ext-apps/resource-mime", event, text).about(uri));
    }
    let text = content.get("text").and_then(Value::as_str).map(str::to_owned);
    let blob = content.get("blob").and_then(Value::as_str);
    let decoded = blob.and_then(|blob| base64::engine::general_purpose::STANDARD.decode(blob).ok());
    let decoded = decoded.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let complaint = match (&text, &blob) {
        (Some(_), Some(_)) => Some("has both text and blob"),
        (None, None) => return, // The schemas say so.
        _ => {
            let document = text.or(decoded).unwrap_or_default();
            (!is_html(&document)).then_some("is no HTML document")
        }
    };
    match complaint {
        None => observer.kept("ext-apps/resource-content", event),
        Some(complaint) => {
            let text = format!("the interface {} {complaint}", quoted(uri));
            observer.broken(BreachAt::new("ext-apps/resource-content", event, text).about(uri));
        }
    }
}

/// Whether a text begins as HTML documents do: with a doctype or the root element, after comments and white space.
fn is_html(document: &str) -> bool {
    let mut rest = document.trim_start_matches('\u{feff}').trim_start();
    while let Some(comment) = rest.strip_prefix("<!--") {
        let Some((_, after)) = comment.split_once("-->") else {
            return false;
        };
        rest = after.trim_start();
    }
    let begins = |start: &str| {
        rest.get(..start.len())
            .is_some_and(|beginning| beginning.eq_ignore_ascii_case(start))
    };
    begins("<!doctype html") || begins("<html")
}
