//! What a server asks of the user: in a mode that the client has, without secrets in forms, and by safe URLs.

use std::collections::BTreeMap;

use serde_json::Value;

use super::conversation::{Conversation, Direction, Message};
use super::declared::{Asked, notified, questions};
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope, quoted};
use crate::revision::Revision;
use crate::spec::requirement::Severity;
use crate::trace::TransportKind;

pub(super) const MONITOR: Monitor = Monitor {
    name: "elicitation",
    scope: Scope::Either,
    over: EVERYWHERE,
    summary: "elicitation uses the modes of the client, asks for no secrets in forms, and sends users to safe URLs",
    requirements: &[
        "client-features/elicitation-mode-supported",
        "client-features/elicitation-no-sensitive",
        "client-features/elicitation-form-no-urls",
        "client-features/elicitation-required-known",
        "client-features/elicitation-url-https",
        "client-features/elicitation-url-no-user-data",
        "client-features/elicitation-id-unique",
        "client-features/elicitation-complete-shape",
        "client-features/url-elicitation-error-only",
        "client-features/url-elicitation-error-shape",
    ],
    judge: observe,
};

/// The error that sends the user to URLs first.
const URL_REQUIRED: i64 = -32042;

fn observe(conversation: &Conversation<'_>, context: &Context<'_>, observer: &mut Observer<'_>) {
    let messages = conversation.messages();
    let (exchanges, _) = conversation.exchanges(&messages);
    let mut ids: BTreeMap<&str, usize> = BTreeMap::new();
    let mut unnamed = false;
    let questions = questions(&messages, &exchanges);
    for asked in questions.iter().filter(|asked| asked.method == "elicitation/create") {
        let event = asked.message.event;
        let is_url = asked.params.get("mode").and_then(Value::as_str) == Some("url");
        if context.revision >= Revision::V2025_11_25 {
            mode(observer, asked, is_url);
        }
        if !is_url {
            form(observer, event, asked.params, &messages);
            continue;
        }
        url(observer, event, asked.params);
        let id = asked.params.get("elicitationId").and_then(Value::as_str);
        unnamed |= id.is_none();
        if let Some(id) = id {
            match ids.insert(id, event) {
                None => observer.kept("client-features/elicitation-id-unique", event),
                Some(first) => {
                    let text = format!("two elicitations have the id {}", quoted(id));
                    let breach = BreachAt::new("client-features/elicitation-id-unique", event, text);
                    observer.broken(breach.at_most(Severity::Warn).also(&[first]));
                }
            }
        }
    }
    let mut demanded: Vec<(usize, &str)> = Vec::new();
    for answer in exchanges.iter().flat_map(|exchange| &exchange.answers) {
        let Some(error) = answer.message.value.get("error") else {
            continue;
        };
        let event = answer.message.event;
        if error.get("code").and_then(Value::as_i64) != Some(URL_REQUIRED) {
            observer.kept("client-features/url-elicitation-error-only", event);
            continue;
        }
        let elicitations = error.pointer("/data/elicitations").and_then(Value::as_array);
        url_required(observer, context, event, error, elicitations.is_some());
        for elicitation in elicitations.into_iter().flatten() {
            if let Some(id) = elicitation.get("elicitationId").and_then(Value::as_str) {
                demanded.push((event, id));
            }
            url(observer, event, elicitation);
        }
    }
    for (message, params) in notified(&messages, "notifications/elicitation/complete") {
        let Some(id) = params.get("elicitationId").and_then(Value::as_str) else {
            continue;
        };
        let known = ids.get(id).is_some_and(|asked| *asked < message.event)
            || demanded
                .iter()
                .any(|(event, demanded)| *demanded == id && *event < message.event);
        // A client that was sent nowhere hears of somebody else's visit, which the case with two clients looks for.
        let somebody_elses =
            conversation.transport() == TransportKind::StreamableHttp && ids.is_empty() && demanded.is_empty();
        if known {
            observer.kept("client-features/elicitation-complete-shape", message.event);
        // Which visit is over cannot be told where one has no id, which is reported with the form of the request.
        } else if !somebody_elses && !unnamed {
            let text = format!(
                "the elicitation {} is said to be complete, and was never begun",
                quoted(id)
            );
            observer.broken(BreachAt::new(
                "client-features/elicitation-complete-shape",
                message.event,
                text,
            ));
        }
    }
}

/// An empty capability means forms.
fn mode(observer: &mut Observer<'_>, asked: &Asked<'_>, is_url: bool) {
    let declared = asked.client.and_then(|client| client.get("elicitation"));
    let Some(modes) = declared.and_then(Value::as_object) else {
        return; // That it asks at all is the breach.
    };
    let supported = match is_url {
        true => modes.contains_key("url"),
        false => modes.contains_key("form") || !modes.contains_key("url"),
    };
    let event = asked.message.event;
    if supported {
        observer.kept("client-features/elicitation-mode-supported", event);
    } else {
        let mode = if is_url { "url" } else { "form" };
        let text = format!("an elicitation in {mode} mode came, which the client does not declare");
        observer.broken(BreachAt::new("client-features/elicitation-mode-supported", event, text));
    }
}

/// Words that ask for a secret, written small and apart.
const SECRETS: [&str; 12] = [
    "password",
    "passphrase",
    "passcode",
    "secret",
    "api key",
    "apikey",
    "access token",
    "auth token",
    "private key",
    "card number",
    "cvv",
    "credit card",
];

/// Whether a name asks for a secret.
pub(super) fn asks_for_secret(name: &str) -> bool {
    let words = apart(name);
    SECRETS.iter().any(|secret| has_words(&words, secret))
}

fn form(observer: &mut Observer<'_>, event: usize, params: &Value, messages: &[Message<'_>]) {
    let text_of = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let fields = params.pointer("/requestedSchema/properties").and_then(Value::as_object);
    let mut names = String::new();
    // A tool that asks what it was told to ask has the client's words in it, for which the client has to answer.
    let told = |text: &str| told_by_client(messages, event, text);
    let mut words = text_of(params, "message");
    if told(&words) {
        words.clear();
    }
    for (name, field) in fields.into_iter().flatten() {
        for part in [name.clone(), text_of(field, "title")] {
            names.push_str(&apart(&part));
            names.push('\n');
        }
        for part in [text_of(field, "title"), text_of(field, "description")] {
            words.push('\n');
            words.push_str(&part);
        }
    }
    let in_names = SECRETS.iter().find(|secret| has_words(&names, secret));
    let in_words = SECRETS.iter().find(|secret| has_words(&apart(&words), secret));
    match (in_names, in_words) {
        (None, None) => observer.kept("client-features/elicitation-no-sensitive", event),
        (Some(secret), _) => {
            let text = format!("a form asks for something called {secret}");
            // There are secrets that are no credentials.
            let at_most = if *secret == "secret" {
                Severity::Warn
            } else {
                Severity::Fail
            };
            let breach = BreachAt::new("client-features/elicitation-no-sensitive", event, text);
            observer.broken(breach.at_most(at_most));
        }
        // A text may speak of a secret without asking for it.
        (None, Some(secret)) => {
            let text = format!("the text of a form speaks of a {secret}");
            let breach = BreachAt::new("client-features/elicitation-no-sensitive", event, text);
            observer.broken(breach.at_most(Severity::Warn));
        }
    }
    let mut urls = words
        .split(|character: char| character.is_whitespace() || "\"'<>()".contains(character))
        .filter(|word| word.contains("http://") || word.contains("https://"));
    if urls.any(|url| !told(url)) {
        let text = "the text of a form holds a URL";
        observer.broken(BreachAt::new("client-features/elicitation-form-no-urls", event, text));
    } else {
        observer.kept("client-features/elicitation-form-no-urls", event);
    }
    let required = params.pointer("/requestedSchema/required").and_then(Value::as_array);
    if let Some(required) = required {
        let stranger = required
            .iter()
            .filter_map(Value::as_str)
            .find(|name| fields.is_none_or(|fields| !fields.contains_key(*name)));
        match stranger {
            Some(name) => {
                let text = format!("a form requires {}, which it does not have", quoted(name));
                observer.broken(BreachAt::new("client-features/elicitation-required-known", event, text));
            }
            None => observer.kept("client-features/elicitation-required-known", event),
        }
    }
}

/// Messages of the client in which the words of a question are looked for.
const RECENT: usize = 200;

/// Whether the text stands in something that the client had said shortly before.
fn told_by_client(messages: &[Message<'_>], before: usize, text: &str) -> bool {
    fn holds(value: &Value, text: &str) -> bool {
        match value {
            Value::String(words) => words.contains(text),
            Value::Array(items) => items.iter().any(|item| holds(item, text)),
            Value::Object(members) => members.values().any(|member| holds(member, text)),
            _ => false,
        }
    }
    let earlier = &messages[..messages.partition_point(|message| message.event < before)];
    let said = earlier.iter().rev();
    let mut said = said
        .filter(|message| message.direction == Direction::ToServer)
        .take(RECENT);
    !text.is_empty() && said.any(|message| holds(message.value, text))
}

/// `apiKey`, `api_key` and `API key` become `api key`.
fn apart(text: &str) -> String {
    let mut out = String::new();
    let mut small_before = false;
    for character in text.chars() {
        if character.is_uppercase() && small_before {
            out.push(' ');
        }
        small_before = character.is_lowercase();
        out.extend(
            match character {
                '_' | '-' | '.' => ' ',
                other => other,
            }
            .to_lowercase(),
        );
    }
    out
}

/// Whether the words stand in the text as words, one or many.
fn has_words(text: &str, words: &str) -> bool {
    text.match_indices(words).any(|(position, _)| {
        let before = text[..position].chars().next_back();
        let mut after = text[position + words.len()..].chars();
        let next = match after.next() {
            Some('s') => after.next(),
            other => other,
        };
        !before.is_some_and(char::is_alphanumeric) && !next.is_some_and(char::is_alphanumeric)
    })
}

fn url(observer: &mut Observer<'_>, event: usize, params: &Value) {
    let Some(url) = params.get("url").and_then(Value::as_str) else {
        return;
    };
    let Some((scheme, rest)) = url.split_once("://") else {
        return; // The schemas say so.
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let loopback = ["localhost", "127.0.0.1", "[::1]"]
        .iter()
        .any(|own| host == *own || host.strip_prefix(own).is_some_and(|port| port.starts_with(':')));
    if scheme.eq_ignore_ascii_case("https") || (scheme.eq_ignore_ascii_case("http") && loopback) {
        observer.kept("client-features/elicitation-url-https", event);
    } else {
        let text = format!("users are sent to {}, which is not https", quoted(url));
        observer.broken(BreachAt::new("client-features/elicitation-url-https", event, text));
    }
    let personal = authority.contains('@') || rest.contains("%40") || rest[authority.len()..].contains('@');
    let token = rest
        .split(['/', '?', '&', '=', '#'])
        .any(|part| part.len() > 40 && part.starts_with("eyJ"));
    if personal || token {
        let what = if token {
            "a token"
        } else {
            "an address or a name of the user"
        };
        let text = format!("the URL of an elicitation holds what looks like {what}");
        let breach = BreachAt::new("client-features/elicitation-url-no-user-data", event, text);
        observer.broken(breach.at_most(Severity::Warn));
    } else {
        observer.kept("client-features/elicitation-url-no-user-data", event);
    }
}

/// The data of error -32042, or that it is used for something else.
fn url_required(observer: &mut Observer<'_>, context: &Context<'_>, event: usize, error: &Value, has_list: bool) {
    let Some(definition) = context.schemas.error_data_definition(URL_REQUIRED) else {
        return;
    };
    if !has_list {
        let text =
            "error -32042 names no elicitations; it means that the user has to visit URLs first, and nothing else";
        observer.broken(BreachAt::new("client-features/url-elicitation-error-only", event, text));
        return;
    }
    observer.kept("client-features/url-elicitation-error-only", event);
    let checked = context
        .schemas
        .check(definition, error.get("data").unwrap_or(&Value::Null));
    match checked.faults.first() {
        Some(fault) => {
            let text = format!("the data of error -32042, at {}: {}", fault.pointer, fault.message);
            observer.broken(
                BreachAt::new("client-features/url-elicitation-error-shape", event, text).at_most(fault.at_most),
            );
        }
        None => observer.kept("client-features/url-elicitation-error-shape", event),
    }
}
