//! Icons: where their pictures may come from.

use base64::Engine as _;
use serde_json::Value;

use super::content::contradicts;
use super::conversation::{Conversation, Direction};
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope, quoted};
use crate::spec::requirement::Severity;

pub(super) const MONITOR: Monitor = Monitor {
    name: "icon",
    scope: Scope::Either,
    over: EVERYWHERE,
    summary: "pictures of icons come over HTTP or as data, and data is the picture that it says it is",
    requirements: &["schema/icon-src-scheme", "schema/icon-data-uri"],
    judge: observe,
};

fn observe(conversation: &Conversation<'_>, _context: &Context<'_>, observer: &mut Observer<'_>) {
    for message in conversation.messages() {
        if message.direction == Direction::FromServer
            && let Some(result) = message.value.get("result")
        {
            let mut sources = Vec::new();
            collect(result, &mut sources);
            for source in sources {
                judge(observer, source, message.event);
            }
        }
    }
}

/// The sources of all icons at places where the schema has them.
fn collect<'a>(value: &'a Value, sources: &mut Vec<&'a str>) {
    const PLACES: [&str; 8] = [
        "serverInfo",
        "_meta",
        "io.modelcontextprotocol/serverInfo",
        "tools",
        "prompts",
        "resources",
        "resourceTemplates",
        "content",
    ];
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, sources)),
        Value::Object(members) => {
            let icons = members.get("icons").and_then(Value::as_array);
            sources.extend(icons.into_iter().flatten().filter_map(|icon| icon.get("src")?.as_str()));
            for place in PLACES {
                if let Some(member) = members.get(place) {
                    collect(member, sources);
                }
            }
        }
        _ => {}
    }
}

fn judge(observer: &mut Observer<'_>, source: &str, event: usize) {
    // A source without a scheme is no URI, which the schemas report.
    let Some((scheme, rest)) = source.split_once(':') else {
        return;
    };
    let broken = |message: String, at_most: Severity| {
        BreachAt::new("schema/icon-src-scheme", event, message)
            .about(source)
            .at_most(at_most)
    };
    match scheme.to_ascii_lowercase().as_str() {
        "https" => observer.kept("schema/icon-src-scheme", event),
        "http" => {
            let message =
                "the picture of an icon comes over plain http; clients must insist on https or data".to_owned();
            observer.broken(broken(message, Severity::Warn));
        }
        "data" => match rest.split_once(',') {
            Some((head, data)) if head.starts_with("image/") && head.ends_with(";base64") => {
                observer.kept("schema/icon-src-scheme", event);
                picture(observer, head, data, event);
            }
            _ => {
                let message = "the data URI of an icon is no picture in base64".to_owned();
                observer.broken(broken(message, Severity::Warn));
            }
        },
        other => {
            let message = format!(
                "the picture of an icon has the scheme {}; only http, https and data are allowed",
                quoted(other)
            );
            observer.broken(broken(message, Severity::Fail));
        }
    }
}

fn picture(observer: &mut Observer<'_>, head: &str, data: &str, event: usize) {
    let mime = head.split(';').next().unwrap_or_default();
    match base64::engine::general_purpose::STANDARD.decode(data) {
        Ok(bytes) if !contradicts(mime, &bytes) => observer.kept("schema/icon-data-uri", event),
        _ => {
            let message = format!("the data of an icon does not decode to {}", quoted(mime));
            observer.broken(BreachAt::new("schema/icon-data-uri", event, message));
        }
    }
}
