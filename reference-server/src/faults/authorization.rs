//! Faults of the server as an OAuth resource server, and of the authorization server that goes with it.

use std::sync::atomic::{AtomicU32, Ordering};

use http::header::AUTHORIZATION;
use http::{Method, StatusCode};
use serde_json::json;

use super::{Decorator, Fault, STREAMABLE_HTTP};
use crate::authorization::{Claims, Denial, Deviation, Document, Grant, Visit};
use crate::revision::Revision;

/// A decorator that changes nothing but authorization.
#[derive(Debug)]
pub(super) struct Authorizing(pub(super) &'static Deviation);

impl Decorator for Authorizing {
    fn authorization(&self) -> Option<&'static Deviation> {
        Some(self.0)
    }
}

/// A fault of a server with authorization.
macro_rules! fault {
    ($id:literal, $summary:literal, $revision:expr, $caught_by:expr, $($hook:ident: $change:expr),+) => {
        Fault {
            id: $id,
            summary: $summary,
            transports: STREAMABLE_HTTP,
            revision: $revision,
            serve_with: &["--authorization"],
            caught_by: $caught_by,
            make: || Box::new(Authorizing(const { &Deviation { $($hook: $change,)+ ..Deviation::NONE } })),
        }
    };
}

const OLD: Option<Revision> = Some(Revision::V2025_03_26);
const NEW: Option<Revision> = Some(Revision::V2025_11_25);

pub(super) const FAULTS: &[Fault] = &[
    // Refusals.
    fault!("auth-no-challenge", "refuses without a WWW-Authenticate header", None,
        &["authorization/challenge-header"],
        denial: |denial| Denial { challenge: None, ..denial }),
    fault!("auth-malformed-challenge", "leaves out the commas of challenges", None,
        &["authorization/challenge-syntax"],
        denial: without_commas),
    fault!("auth-other-scheme", "challenges with the scheme OAuth", None,
    &["authorization/challenge-syntax"],
    denial: |mut denial| {
        if let Some(challenge) = &mut denial.challenge {
            challenge.scheme = "OAuth";
        }
        denial
    }),
    fault!("auth-no-resource-metadata", "leaves resource_metadata out of challenges", None,
        &["authorization/challenge-resource-metadata"],
        denial: |denial| without(denial, "resource_metadata")),
    fault!("auth-relative-resource-metadata", "names the metadata by a path alone", None,
        &["authorization/challenge-resource-metadata"],
        denial: |denial| with(denial, "resource_metadata", "/.well-known/oauth-protected-resource/mcp")),
    fault!("auth-no-scope", "leaves the scope out of challenges", NEW,
        &["authorization/challenge-scope"],
        denial: |denial| if denial.status == StatusCode::UNAUTHORIZED { without(denial, "scope") } else { denial }),
    fault!("auth-changing-scope", "asks for other scopes every time", NEW,
        &["authorization/scope-consistency"],
        denial: changing_scope),
    fault!("auth-error-without-token", "gives an error code to requests without a token", None,
        &["authorization/no-token-no-error-code"],
        denial: |denial| if denial.is_missing() { with(denial, "error", "invalid_token") } else { denial }),
    fault!("auth-invalid-without-error", "gives no error code to requests with a bad token", None,
        &["authorization/invalid-token-error"],
        denial: |denial| if denial.status == StatusCode::UNAUTHORIZED { without(denial, "error") } else { denial }),
    fault!("auth-403", "answers a request without a token with 403", None,
    &["authorization/unauthenticated-401"],
    admit: |visit, admission| admission.map_err(|denial| match is_anonymous(visit) {
        true => Denial { status: StatusCode::FORBIDDEN, ..denial },
        false => denial,
    })),
    fault!("auth-200", "answers a request without a token with 200 and a JSON-RPC error", None,
    &["authorization/unauthenticated-401"],
    admit: |visit, admission| admission.map_err(|denial| match is_anonymous(visit) {
        true => Denial {
            status: StatusCode::OK,
            challenge: None,
            body: json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": -32001, "message": "no token" } }).to_string(),
            fields: vec![("content-type", "application/json".to_owned())],
        },
        false => denial,
    })),
    fault!("auth-invalid-400", "answers a token that is no JWT with 400", None,
    &["authorization/invalid-token-401"],
    admit: |visit, admission| admission.map_err(|denial| match token(visit).is_some_and(|token| !token.contains('.')) {
        true if denial.status == StatusCode::UNAUTHORIZED => Denial { status: StatusCode::BAD_REQUEST, ..denial },
        _ => denial,
    })),
    fault!("auth-malformed-500", "fails at malformed Authorization headers", None,
    &["authorization/malformed-400"],
    denial: |denial| match denial.status {
        StatusCode::BAD_REQUEST => Denial { status: StatusCode::INTERNAL_SERVER_ERROR, challenge: None, ..denial },
        _ => denial,
    }),
    fault!("auth-leaked-list", "adds the list of tools to refusals", None,
    &["authorization/no-data-leak"],
    denial: |denial| Denial {
        body: json!({ "result": { "tools": [{ "name": "add" }] } }).to_string(),
        ..denial
    }),
    fault!("auth-leaked-session", "gives a session id to requests that it refuses", None,
    &["authorization/no-data-leak"],
    denial: |mut denial| {
        denial.fields.push(("mcp-session-id", "f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1".to_owned()));
        denial
    }),
    fault!(
        "auth-own",
        "has an authentication of its own, without challenge and metadata",
        None,
        &["authorization/http-conforms"],
        denial: |denial| Denial { challenge: None, ..denial },
        path: |path| if path == "/mcp" { path } else { "/nothing" }
    ),
    fault!("auth-scheme-case", "knows the scheme in one spelling only", None,
    &["authorization/scheme-case"],
    admit: |visit, admission| match visit.headers.get(AUTHORIZATION) {
        Some(field) if field.as_bytes().starts_with(b"bearer ") => Err(Denial::missing(visit.issuer)),
        _ => admission,
    }),
    fault!("auth-token-repeated", "repeats tokens that it refuses", None,
    &["authorization/token-not-echoed"],
    admit: |visit, admission| admission.map_err(|denial| match token(visit) {
        Some(token) => Denial { body: format!("{} is no good token", token), ..denial },
        None => denial,
    })),
    // Metadata of the resource.
    fault!("auth-all-scopes", "names a scope for everything", NEW,
    &["authorization/prm-scopes"],
    document: |document, content| edited(document, Document::Resource, content, |content| {
        content["scopes_supported"] = json!(["*"]);
    })),
    fault!("auth-no-metadata", "serves no metadata of the resource", None,
        &["authorization/prm-implemented"],
        path: without_resource_metadata),
    fault!("auth-undiscoverable", "serves no metadata of the resource, in the newest revision", NEW,
        &["authorization/discovery-available"],
        path: without_resource_metadata),
    fault!("auth-wrong-resource", "names another resource in its metadata", None,
    &["authorization/prm-resource"],
    document: |document, content| edited(document, Document::Resource, content, |content| {
        content["resource"] = json!(format!("{}/other", origin(content)));
    })),
    fault!("auth-resource-fragment", "adds a fragment to its resource identifier", None,
    &["authorization/prm-resource-no-fragment"],
    document: |document, content| edited(document, Document::Resource, content, |content| {
        content["resource"] = json!(format!("{}/mcp#tools", origin(content)));
    })),
    fault!("auth-resource-slash", "ends its resource identifier with a slash", None,
    &["authorization/prm-resource-no-trailing-slash"],
    document: |document, content| edited(document, Document::Resource, content, |content| {
        content["resource"] = json!(format!("{}/mcp/", origin(content)));
    })),
    fault!("auth-no-servers", "names no authorization server", None,
    &["authorization/prm-authorization-servers"],
    document: |document, content| edited(document, Document::Resource, content, |content| {
        content["authorization_servers"] = json!([]);
    })),
    fault!("auth-plain-server", "names an authorization server without TLS", None,
    &["authorization/prm-authorization-servers-https"],
    document: |document, content| edited(document, Document::Resource, content, |content| {
        content["authorization_servers"] = json!(["http://issuer.example"]);
    })),
    // Tokens.
    fault!("auth-expired", "accepts expired tokens", None,
        &["authorization/expired-token-401"],
        validation: |validation| validation.validate_exp = false),
    fault!("auth-any-audience", "accepts tokens for other resources", None,
        &["authorization/audience-validated"],
        validation: |validation| validation.validate_aud = false),
    fault!("auth-any-issuer", "accepts tokens of other issuers", None,
        &["authorization/foreign-token-refused"],
        validation: |validation| validation.iss = None),
    fault!("auth-unverified", "does not verify signatures", None,
        &["authorization/tampered-token-401"],
        admit: |visit, admission| admission.or_else(|denial| unverified(visit).ok_or(denial))),
    fault!("auth-query-token", "accepts tokens in the query string", None,
        &["authorization/query-token-rejected"],
        admit: |visit, admission| admission.or_else(|denial| in_query(visit).ok_or(denial))),
    fault!("auth-any-scope", "does not look at scopes", None,
        &["tools/access-control"],
        permits: |_| true),
    fault!("auth-scope-401", "answers a missing scope with 401", None,
    &["authorization/insufficient-scope-403"],
    denial: |denial| match denial.status {
        StatusCode::FORBIDDEN => Denial { status: StatusCode::UNAUTHORIZED, ..denial },
        _ => denial,
    }),
    fault!("auth-scope-unnamed", "does not say which scope is missing", NEW,
        &["authorization/insufficient-scope-challenge"],
        denial: |denial| if denial.status == StatusCode::FORBIDDEN { without(denial, "scope") } else { denial }),
    fault!("auth-session-suffices", "takes a session id for an authentication", None,
    &["authorization/session-not-authentication", "authorization/unauthenticated-401-all-methods"],
    admit: |visit, admission| match visit.has_session() && token(visit).is_none() {
        true => admission.or_else(|_| Ok(grant(visit))),
        false => admission,
    }),
    fault!("auth-open-stream", "gives the event stream to everybody", None,
    &["authorization/unauthenticated-401-all-methods"],
    admit: |visit, admission| match *visit.method {
        Method::GET => admission.or_else(|_| Ok(grant(visit))),
        _ => admission,
    }),
    fault!("auth-shared-sessions", "lets every principal use every session", None,
        &["authorization/session-bound-to-user"],
        shares_sessions: true),
    // The authorization server.
    fault!("auth-server-without-metadata", "has an authorization server without metadata", OLD,
        &["authorization/as-metadata"],
        path: |path| if path.starts_with("/.well-known/") { "/nothing" } else { path }),
    fault!("auth-server-without-endpoints", "has neither metadata nor the endpoints that stand for it", OLD,
        &["authorization/as-fallback-endpoints", "authorization/as-metadata"],
        path: |path| if path == "/mcp" { path } else { "/nothing" }),
    fault!("auth-server-below-path", "serves the metadata of its authorization server below the path of the endpoint", OLD,
    &["authorization/as-metadata-location"],
    path: |path| match path {
        "/.well-known/oauth-authorization-server/mcp" => "/.well-known/oauth-authorization-server",
        other if other.starts_with("/.well-known/") => "/nothing",
        other => other,
    }),
    fault!("auth-server-other-issuer", "has metadata of the authorization server for another issuer", None,
    &["authorization/as-discovery"],
    document: |document, content| edited(document, Document::Server, content, |content| {
        content["issuer"] = json!("https://issuer.example");
    })),
    fault!("auth-server-plain", "names endpoints of the authorization server without TLS", OLD,
    &["authorization/as-https"],
    document: |document, content| edited(document, Document::Server, content, |content| {
        content["authorization_endpoint"] = json!("http://issuer.example/authorize");
    })),
    fault!("auth-server-no-pkce", "does not say that it supports PKCE", OLD,
        &["authorization/as-pkce"],
        document: |document, content| removed(document, content, "code_challenge_methods_supported")),
    fault!("auth-server-no-registration", "has no registration of clients", OLD,
        &["authorization/as-registration"],
        document: |document, content| removed(document, content, "registration_endpoint")),
    fault!("auth-server-no-client-metadata", "does not support metadata documents of clients", NEW,
        &["authorization/as-client-id-metadata"],
        document: |document, content| removed(document, content, "client_id_metadata_document_supported")),
    fault!("auth-open-redirect", "redirects to where a client was never registered", OLD,
        &["authorization/as-redirect-uri-validated"],
        redirects: |uri, allowed| allowed || uri.starts_with("https:")),
    fault!("auth-plain-redirect", "registers redirects without TLS", OLD,
        &["authorization/as-redirect-uri-https"],
        redirects: |uri, allowed| allowed || uri.starts_with("http:")),
];

fn without(denial: Denial, parameter: &str) -> Denial {
    let challenge = denial.challenge.map(|challenge| challenge.without(parameter));
    Denial { challenge, ..denial }
}

fn with(denial: Denial, parameter: &'static str, value: &str) -> Denial {
    let mut denial = without(denial, parameter);
    if let Some(challenge) = &mut denial.challenge {
        challenge.parameters.insert(0, (parameter, value.to_owned()));
    }
    denial
}

fn without_commas(mut denial: Denial) -> Denial {
    if let Some(challenge) = denial.challenge.take() {
        let parameters = challenge
            .parameters
            .iter()
            .map(|(name, value)| format!("{name}=\"{value}\""));
        let text = format!("Bearer {}", parameters.collect::<Vec<_>>().join(" "));
        denial.fields.push(("www-authenticate", text));
    }
    denial
}

fn changing_scope(denial: Denial) -> Denial {
    static TIMES: AtomicU32 = AtomicU32::new(0);
    let scope = format!("mcp:use mcp:other-{}", TIMES.fetch_add(1, Ordering::Relaxed));
    with(denial, "scope", &scope)
}

fn without_resource_metadata(path: &str) -> &str {
    if path.starts_with("/.well-known/oauth-protected-resource") {
        "/nothing"
    } else {
        path
    }
}

fn edited(
    document: Document,
    wanted: Document,
    mut content: serde_json::Value,
    edit: fn(&mut serde_json::Value),
) -> serde_json::Value {
    if document == wanted {
        edit(&mut content);
    }
    content
}

fn removed(document: Document, mut content: serde_json::Value, member: &str) -> serde_json::Value {
    if let (Document::Server, Some(members)) = (document, content.as_object_mut()) {
        members.shift_remove(member);
    }
    content
}

/// The origin of the server, as its metadata tells it.
fn origin(content: &serde_json::Value) -> String {
    let server = content["authorization_servers"][0].as_str();
    server.unwrap_or_default().to_owned()
}

/// Whether the request has neither credentials nor a session.
fn is_anonymous(visit: &Visit<'_>) -> bool {
    !visit.has_session() && !visit.headers.contains_key(http::header::AUTHORIZATION)
}

fn token<'a>(visit: &'a Visit<'_>) -> Option<&'a str> {
    let field = visit.headers.get(http::header::AUTHORIZATION)?;
    field.to_str().ok()?.strip_prefix("Bearer ")
}

/// What the first principal may do.
fn grant(visit: &Visit<'_>) -> Grant {
    Grant::new(&visit.issuer.claims("anna", "mcp:use mcp:write"))
}

/// A grant for the claims of a token whose signature nobody has looked at.
fn unverified(visit: &Visit<'_>) -> Option<Grant> {
    let claims: Claims = jsonwebtoken::dangerous::insecure_decode_claims(token(visit)?).ok()?;
    let now = jsonwebtoken::get_current_timestamp();
    let fits = claims.aud == visit.issuer.resource() && claims.iss == visit.issuer.origin() && claims.exp > now;
    fits.then(|| Grant::new(&claims))
}

fn in_query(visit: &Visit<'_>) -> Option<Grant> {
    let mut pairs = visit.query?.split('&');
    let token = pairs.find_map(|pair| pair.strip_prefix("access_token="))?;
    Some(Grant::new(&visit.issuer.verify(token).ok()?))
}
