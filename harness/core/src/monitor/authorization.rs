//! Refusals of an OAuth resource server: what a 401 and a 403 say, and what they must not.
//!
//! A server may have an authentication of its own, about which nothing is said. So a trace is judged only when something in it shows OAuth: a
//! bearer challenge, or a metadata document.

use super::conversation::Conversation;
use super::{BreachAt, Context, Monitor, Observer, STREAMABLE, Scope, quoted};
use crate::challenge::{self, Challenge};
use crate::trace::{EventKind, TransportKind};

pub(super) const MONITOR: Monitor = Monitor {
    name: "authorization",
    scope: Scope::Wire,
    over: STREAMABLE,
    summary: "a refusal for want of authorization carries a challenge that leads to the metadata, and no data",
    requirements: &[
        "authorization/challenge-header",
        "authorization/challenge-syntax",
        "authorization/challenge-resource-metadata",
        "authorization/challenge-scope",
        "authorization/no-data-leak",
        "authorization/no-offline-access",
    ],
    judge: observe,
};

/// Members that only answers to authorized requests have.
const DATA: [&str; 6] = ["capabilities", "serverInfo", "tools", "resources", "prompts", "content"];

/// The head of a refusal.
struct Refusal<'a> {
    event: usize,
    exchange: u32,
    status: u16,
    headers: &'a [(String, String)],
}

impl Refusal<'_> {
    fn challenges(&self) -> impl Iterator<Item = &str> {
        let named = self.headers.iter();
        let named = named.filter(|(name, _)| name.eq_ignore_ascii_case("www-authenticate"));
        named.map(|(_, value)| value.as_str())
    }
}

fn observe(conversation: &Conversation<'_>, _context: &Context<'_>, observer: &mut Observer<'_>) {
    if conversation.transport() != TransportKind::StreamableHttp {
        return;
    }
    let refusals = refusals(conversation);
    if !(refusals
        .iter()
        .any(|refusal| challenge::bearer(refusal.challenges()).is_some())
        || has_metadata(conversation))
    {
        return;
    }
    for refusal in &refusals {
        if refusal.status == 401 {
            challenged(observer, refusal);
        }
        no_data(conversation, observer, refusal);
        let bearer = challenge::bearer(refusal.challenges());
        if let Some(scope) = bearer.as_ref().and_then(|bearer| bearer.get("scope")) {
            offline(observer, "the scope of the challenge", scope.split(' '), refusal.event);
        }
    }
    for (event, document) in metadata(conversation) {
        let scopes = document.get("scopes_supported").and_then(serde_json::Value::as_array);
        if let Some(scopes) = scopes {
            let names = scopes.iter().filter_map(serde_json::Value::as_str);
            offline(observer, "scopes_supported of the metadata", names, event);
        }
    }
}

/// Metadata of the protected resource, with the events that brought it.
fn metadata(conversation: &Conversation<'_>) -> Vec<(usize, serde_json::Value)> {
    let events = &conversation.trace().events;
    let asked: Vec<u32> = events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::HttpRequest { exchange, target, .. }
                if target.starts_with("/.well-known/oauth-protected-resource") =>
            {
                Some(*exchange)
            }
            _ => None,
        })
        .filter(|exchange| conversation.status(Some(*exchange)) == Some(200))
        .collect();
    let bodies = events
        .iter()
        .enumerate()
        .filter_map(|(event, happened)| match &happened.kind {
            EventKind::HttpBody { exchange, payload } if asked.contains(exchange) => Some((event, payload)),
            EventKind::Received {
                exchange: Some(exchange),
                payload,
                ..
            } if asked.contains(exchange) => Some((event, payload)),
            _ => None,
        });
    bodies
        .filter_map(|(event, payload)| Some((event, serde_json::from_slice(payload.bytes()).ok()?)))
        .collect()
}

/// A scope that is no business of a resource: refresh tokens are between the client and the authorization server.
fn offline<'s>(observer: &mut Observer<'_>, place: &str, mut scopes: impl Iterator<Item = &'s str>, event: usize) {
    const REQUIREMENT: &str = "authorization/no-offline-access";
    if scopes.any(|scope| scope == "offline_access") {
        let message = format!("{place} has offline_access, which is between client and authorization server");
        observer.broken(BreachAt::new(REQUIREMENT, event, message));
    } else {
        observer.kept(REQUIREMENT, event);
    }
}

/// Answers with 401 and 403.
fn refusals<'a>(conversation: &Conversation<'a>) -> Vec<Refusal<'a>> {
    let events = conversation.trace().events.iter().enumerate();
    events
        .filter_map(|(event, happened)| match &happened.kind {
            EventKind::HttpResponse {
                exchange,
                status,
                headers,
            } if matches!(status, 401 | 403) => Some(Refusal {
                event,
                exchange: *exchange,
                status: *status,
                headers,
            }),
            _ => None,
        })
        .collect()
}

/// Whether the server has served metadata of OAuth.
fn has_metadata(conversation: &Conversation<'_>) -> bool {
    conversation.trace().events.iter().any(|event| match &event.kind {
        EventKind::HttpRequest { exchange, target, .. } => {
            target.starts_with("/.well-known/oauth-") && conversation.status(Some(*exchange)) == Some(200)
        }
        _ => false,
    })
}

fn challenged(observer: &mut Observer<'_>, refusal: &Refusal<'_>) {
    let fields: Vec<&str> = refusal.challenges().collect();
    if fields.is_empty() {
        let message = "the answer with status 401 has no WWW-Authenticate header";
        observer.broken(BreachAt::new("authorization/challenge-header", refusal.event, message));
        return;
    }
    observer.kept("authorization/challenge-header", refusal.event);
    let problem = fields
        .iter()
        .find_map(|field| Some((field, challenge::parse(field).err()?)));
    let bearer = challenge::bearer(fields.iter().copied());
    let (Some(bearer), None) = (&bearer, &problem) else {
        let message = match problem {
            Some((field, problem)) => format!("WWW-Authenticate {} is malformed: {}", quoted(field), quoted(&problem)),
            None => format!("WWW-Authenticate {} has no Bearer challenge", quoted(fields[0])),
        };
        observer.broken(BreachAt::new("authorization/challenge-syntax", refusal.event, message));
        return;
    };
    observer.kept("authorization/challenge-syntax", refusal.event);
    resource_metadata(observer, refusal, bearer);
    match bearer.get("scope") {
        Some(scope) if is_scope(scope) => observer.kept("authorization/challenge-scope", refusal.event),
        Some(scope) => {
            let message = format!(
                "the scope {} of the challenge is no list of scopes separated by spaces",
                quoted(scope)
            );
            observer.broken(BreachAt::new("authorization/challenge-scope", refusal.event, message));
        }
        None => {
            let message =
                "the challenge of the 401 has no scope parameter, which would tell the client what to ask for";
            observer.broken(BreachAt::new("authorization/challenge-scope", refusal.event, message));
        }
    }
}

fn resource_metadata(observer: &mut Observer<'_>, refusal: &Refusal<'_>, bearer: &Challenge) {
    const REQUIREMENT: &str = "authorization/challenge-resource-metadata";
    let message = match bearer.get("resource_metadata") {
        Some(url) if is_absolute(url) => return observer.kept(REQUIREMENT, refusal.event),
        Some(url) => format!("resource_metadata {} of the challenge is no absolute URL", quoted(url)),
        None => {
            "the challenge of the 401 has no resource_metadata parameter, which would lead to the metadata".to_owned()
        }
    };
    observer.broken(BreachAt::new(REQUIREMENT, refusal.event, message));
}

fn no_data(conversation: &Conversation<'_>, observer: &mut Observer<'_>, refusal: &Refusal<'_>) {
    const REQUIREMENT: &str = "authorization/no-data-leak";
    let session = refusal
        .headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("mcp-session-id"));
    let body = conversation.trace().events.iter().find_map(|event| match &event.kind {
        EventKind::HttpBody { exchange, payload } if *exchange == refusal.exchange => Some(payload),
        EventKind::Received { exchange, payload, .. } if *exchange == Some(refusal.exchange) => Some(payload),
        _ => None,
    });
    let content = body.and_then(|body| serde_json::from_slice::<serde_json::Value>(body.bytes()).ok());
    let leaked = content.as_ref().and_then(|content| {
        let result = content.get("result")?;
        Some(
            DATA.into_iter()
                .find(|member| result.get(member).is_some())
                .unwrap_or("result"),
        )
    });
    let status = refusal.status;
    if let Some(member) = leaked {
        let message = format!(
            "the body of the answer with status {status} holds `{member}`: a request that is refused gets no data"
        );
        observer.broken(BreachAt::new(REQUIREMENT, refusal.event, message));
    } else if session.is_some() {
        let message = format!("the answer with status {status} gives a session id to a request that is refused");
        observer.broken(BreachAt::new(REQUIREMENT, refusal.event, message));
    } else {
        observer.kept(REQUIREMENT, refusal.event);
    }
}

/// RFC 6749, section 3.3.
fn is_scope(text: &str) -> bool {
    let is_part = |c: char| matches!(c, '!' | '#'..='[' | ']'..='~');
    !text.is_empty()
        && text
            .split(' ')
            .all(|scope| !scope.is_empty() && scope.chars().all(is_part))
}

fn is_absolute(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && !text.contains(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::monitor::observe as observe_all;
    use crate::revision::Revision;
    use crate::spec::requirement::Catalog;
    use crate::spec::schema::SchemaLibrary;
    use crate::trace::Trace;
    use crate::verdict::Outcome;

    /// What is kept and what is broken when a POST is answered like this.
    fn judged(status: u16, headers: &[(&str, &str)], body: &str) -> (BTreeSet<String>, BTreeSet<String>) {
        let mut trace = Trace::new("t", TransportKind::StreamableHttp);
        let own = |headers: &[(&str, &str)]| {
            headers
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect()
        };
        let (method, target) = ("POST".to_owned(), "/mcp".to_owned());
        trace.push(
            0,
            EventKind::HttpRequest {
                exchange: 0,
                method,
                target,
                headers: vec![],
            },
        );
        trace.push(
            1,
            EventKind::HttpResponse {
                exchange: 0,
                status,
                headers: own(headers),
            },
        );
        if !body.is_empty() {
            trace.push(
                2,
                EventKind::HttpBody {
                    exchange: 0,
                    payload: body.into(),
                },
            );
        }
        trace.push(
            3,
            EventKind::HttpEnded {
                exchange: 0,
                failure: None,
            },
        );
        let (mut kept, mut broken) = (BTreeSet::new(), BTreeSet::new());
        let conversation = Conversation::of(&trace);
        let library = SchemaLibrary::load([], &Catalog::default()).unwrap();
        let context = Context {
            revision: Revision::V2025_06_18,
            schemas: library.for_revision(Revision::V2025_06_18),
        };
        for observation in observe_all(&conversation, &context) {
            let name = observation.requirement.replace("authorization/", "");
            match observation.outcome {
                Outcome::Kept(_) => kept.insert(name),
                Outcome::Broken(_) => broken.insert(name),
            };
        }
        (kept, broken)
    }

    const GOOD: &str = r#"Bearer scope="a b", resource_metadata="https://h/.well-known/oauth-protected-resource""#;

    #[test]
    fn a_good_refusal_keeps_every_rule() {
        let (kept, broken) = judged(401, &[("www-authenticate", GOOD)], "{\"error\": \"invalid_token\"}");
        assert!(broken.is_empty(), "{broken:?}");
        assert_eq!(kept.len(), MONITOR.requirements.len(), "{kept:?}");
    }

    #[test]
    fn each_part_that_is_wrong_is_found() {
        for (challenge, found) in [
            ("Bearer scope=\"a\"", "challenge-resource-metadata"),
            (
                "Bearer scope=\"a\", resource_metadata=\"/relative\"",
                "challenge-resource-metadata",
            ),
            ("Bearer resource_metadata=\"https://h/x\"", "challenge-scope"),
            (
                "Bearer scope=\"a  b\", resource_metadata=\"https://h/x\"",
                "challenge-scope",
            ),
        ] {
            let (_, broken) = judged(401, &[("www-authenticate", challenge)], "");
            assert_eq!(broken, BTreeSet::from([found.to_owned()]), "{challenge}");
        }
        let malformed = [
            ("www-authenticate", GOOD),
            ("www-authenticate", "Bearer a=\"b\" c=\"d\""),
        ];
        assert_eq!(
            judged(401, &malformed, "").1,
            BTreeSet::from(["challenge-syntax".to_owned()])
        );
    }

    #[test]
    fn data_and_sessions_are_for_the_authorized() {
        let leak = "{\"jsonrpc\": \"2.0\", \"id\": 1, \"result\": {\"tools\": []}}";
        for (headers, body) in [
            (&[("www-authenticate", GOOD)][..], leak),
            (&[("www-authenticate", GOOD), ("mcp-session-id", "s")], ""),
        ] {
            assert!(judged(403, headers, body).1.contains("no-data-leak"));
        }
    }

    #[test]
    fn an_authentication_of_another_kind_is_not_judged() {
        for headers in [&[][..], &[("www-authenticate", "Basic realm=\"x\"")]] {
            let (kept, broken) = judged(401, headers, "");
            assert!(kept.is_empty() && broken.is_empty(), "{kept:?} {broken:?}");
        }
    }
}
