//! `server/discover`: what a server says of itself agrees with what it does.

use std::collections::BTreeSet;

use serde_json::Value;

use super::conversation::Conversation;
use super::exchange::Exchange;
use super::meta::{is_label, is_name};
use super::resource::result;
use super::stateless::{self, TASKS};
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope, quoted};
use crate::spec::requirement::Severity;

pub(super) const MONITOR: Monitor = Monitor {
    name: "discover",
    scope: Scope::Stateless,
    over: EVERYWHERE,
    summary: "versions, extensions and identity of a discovery agree with each other and with what is served",
    requirements: &[
        "discover/supported-versions-include-sent",
        "discover/identity-in-meta",
        "discover/no-legacy-tasks-capability",
        "discover/extension-identifiers",
        "meta/server-info-on-results",
        "versioning/version-identifier-format",
        "versioning/supported-lists-agree",
    ],
    judge: observe,
};

/// Where a result says whose it is.
const IDENTITY: &str = "/_meta/io.modelcontextprotocol~1serverInfo";

fn observe(conversation: &Conversation<'_>, context: &Context<'_>, observer: &mut Observer<'_>) {
    let messages = conversation.messages();
    let (exchanges, _) = conversation.exchanges(&messages);
    let mut discovered: Option<(BTreeSet<&str>, usize)> = None;
    for exchange in exchanges.iter().filter(|exchange| exchange.is_of(context.revision)) {
        let Some((result, event)) = result(exchange) else {
            continue;
        };
        identity(observer, exchange, result, event);
        if exchange.method != "server/discover" {
            continue;
        }
        if let Some(versions) = versions(result.get("supportedVersions")) {
            format_of(observer, "supportedVersions", &versions, event);
            included(observer, exchange, &versions, event);
            discovered.get_or_insert((versions, event));
        }
        if let Some(capabilities) = result.get("capabilities") {
            extensions(observer, capabilities, event);
        }
    }
    for exchange in &exchanges {
        for answer in &exchange.answers {
            let error = answer.message.value.get("error");
            if error.and_then(|error| error.get("code")?.as_i64()) != Some(-32022) {
                continue;
            }
            let Some(supported) = versions(answer.message.value.pointer("/error/data/supported")) else {
                continue;
            };
            let event = answer.message.event;
            format_of(observer, "data.supported", &supported, event);
            // One that refuses a version which is in use is the breach of another rule.
            let refused = stateless::version(exchange.request.value);
            if let Some((discovered, first)) = &discovered
                && !refused.is_some_and(|version| discovered.contains(version))
            {
                agree(observer, context, discovered, &supported, [event, *first]);
            }
        }
    }
}

/// A list of versions, if it is one.
fn versions(list: Option<&Value>) -> Option<BTreeSet<&str>> {
    list?.as_array()?.iter().map(Value::as_str).collect()
}

/// One mistake for a server that says nowhere who it is; where it does is judged for the discovery.
fn identity(observer: &mut Observer<'_>, exchange: &Exchange<'_>, result: &Value, event: usize) {
    const ANYWHERE: &str = "meta/server-info-on-results";
    const DISCOVERY: &str = "discover/identity-in-meta";
    let is_discovery = exchange.method == "server/discover";
    if result.pointer(IDENTITY).is_some() {
        observer.kept(ANYWHERE, event);
        if is_discovery {
            observer.kept(DISCOVERY, event);
        }
    } else if is_discovery && result.get("serverInfo").is_some() {
        let text =
            "serverInfo is a member of the result, where clients of this revision do not look; it belongs into _meta";
        observer.broken(BreachAt::new(DISCOVERY, event, text));
    } else {
        let text = "a result does not say in _meta which server it comes from";
        observer.broken(BreachAt::new(ANYWHERE, event, text).about(exchange.method));
    }
}

fn format_of(observer: &mut Observer<'_>, place: &str, versions: &BTreeSet<&str>, event: usize) {
    const REQUIREMENT: &str = "versioning/version-identifier-format";
    let stranger = versions
        .iter()
        .find(|version| !is_date(version) && !version.to_ascii_lowercase().starts_with("draft"));
    match stranger {
        Some(version) => {
            let text = format!("{place} has {}, which is no date", quoted(version));
            observer.broken(BreachAt::new(REQUIREMENT, event, text));
        }
        None if versions.is_empty() => {}
        None => observer.kept(REQUIREMENT, event),
    }
}

fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let digits = |part: &str, count: usize| part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
    matches!(parts.as_slice(), [year, month, day] if digits(year, 4) && digits(month, 2) && digits(day, 2))
}

fn included(observer: &mut Observer<'_>, exchange: &Exchange<'_>, versions: &BTreeSet<&str>, event: usize) {
    const REQUIREMENT: &str = "discover/supported-versions-include-sent";
    let Some(sent) = stateless::version(exchange.request.value) else {
        return;
    };
    if versions.contains(sent) {
        observer.kept(REQUIREMENT, event);
    } else {
        let text = format!(
            "the request was served under {}, which supportedVersions does not have",
            quoted(sent)
        );
        observer.broken(BreachAt::new(REQUIREMENT, event, text).also(&[exchange.request.event]));
    }
}

fn extensions(observer: &mut Observer<'_>, capabilities: &Value, event: usize) {
    const IDENTIFIERS: &str = "discover/extension-identifiers";
    const LEGACY: &str = "discover/no-legacy-tasks-capability";
    let extensions = capabilities.get("extensions").and_then(Value::as_object);
    for name in extensions.into_iter().flatten().map(|(name, _)| name) {
        let sound = name
            .split_once('/')
            .is_some_and(|(prefix, rest)| prefix.split('.').all(is_label) && !rest.is_empty() && is_name(rest));
        if sound {
            observer.kept(IDENTIFIERS, event);
        } else {
            let text = format!("the extension {} has no name like com.example/name", quoted(name));
            observer.broken(BreachAt::new(IDENTIFIERS, event, text).about(name));
        }
    }
    if capabilities.get("tasks").is_none() {
        observer.kept(LEGACY, event);
        return;
    }
    // The set of capabilities is open: without the extension the member may mean something else.
    let known = extensions.is_some_and(|extensions| extensions.contains_key(TASKS));
    let at_most = if known { Severity::Fail } else { Severity::Warn };
    let text = "the capability `tasks` of an older revision is declared; tasks are an extension now";
    observer.broken(BreachAt::new(LEGACY, event, text).at_most(at_most));
}

/// Both lists describe the same server.
fn agree(
    observer: &mut Observer<'_>,
    context: &Context<'_>,
    discovered: &BTreeSet<&str>,
    supported: &BTreeSet<&str>,
    [event, first]: [usize; 2],
) {
    const REQUIREMENT: &str = "versioning/supported-lists-agree";
    let revision = context.revision.as_str();
    let (text, at_most) = if discovered == supported {
        return observer.kept(REQUIREMENT, event);
    } else if discovered.contains(revision) != supported.contains(revision) {
        let text = format!("version {revision} is in one of data.supported of error -32022 and supportedVersions only");
        (text, Severity::Fail)
    } else {
        let text = "data.supported of error -32022 and supportedVersions of the discovery list different versions";
        (text.to_owned(), Severity::Warn)
    };
    observer.broken(BreachAt::new(REQUIREMENT, event, text).at_most(at_most).also(&[first]));
}
