//! Whether a server demands authorization, found out by one request without credentials. No verdict comes of it: the cases of the area
//! `authorization` judge.

use std::time::Duration;

use http::Method;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use serde_json::json;
use touchstone_core::challenge;
use touchstone_core::jsonrpc::{self, IdToken};
use touchstone_core::revision::Revision;
use url::Url;

use crate::session::{ClientIdentity, Stateful};
use crate::target::UrlTarget;
use crate::transport::http::{HttpClient, HttpResponse};
use crate::transport::{HttpError, TransportLimits};

/// Longest wait for the body of an answer.
const BODY: Duration = Duration::from_secs(2);
/// How much of an answer is looked at.
const BODY_BYTES: usize = 64 * 1024;

/// What a server demands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Protection {
    /// It refuses requests without credentials.
    pub demanded: bool,
    /// It asks for a bearer token, or serves metadata of OAuth. One that does neither has an authentication of its own, which is allowed.
    pub oauth: bool,
    /// It names or serves metadata of the resource, as servers do from 2025-06-18 on.
    pub resource_metadata: bool,
    /// Why no session can be opened.
    pub locked: Option<String>,
}

impl Protection {
    /// Asks the server. `has_token` says that a token was given, with which the server can be used.
    pub(super) async fn find(target: &UrlTarget, limits: &TransportLimits, has_token: bool) -> Result<Self, HttpError> {
        let client = anonymous(target, limits)?;
        let mut response = client.send(initialize(&client)?).await?;
        let challenges: Vec<String> = response
            .headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect();
        let challenge = challenge::bearer(challenges.iter().map(String::as_str));
        let bearer = challenge.is_some();
        let demanded = match response.status {
            401 => true,
            403 if bearer => true,
            200..300 => has_token && !opened(&client, &mut response, limits).await,
            _ => has_token,
        };
        drop(response);
        let named = challenge
            .as_ref()
            .is_some_and(|challenge| challenge.get("resource_metadata").is_some());
        let resource_metadata = demanded && (named || serves(&client, &target.url, "oauth-protected-resource").await);
        let oauth = demanded
            && (bearer || resource_metadata || serves(&client, &target.url, "oauth-authorization-server").await);
        Ok(Self {
            demanded,
            oauth,
            resource_metadata,
            locked: None,
        })
    }
}

/// A client that sends no credentials.
fn anonymous(target: &UrlTarget, limits: &TransportLimits) -> Result<HttpClient, HttpError> {
    let mut url = target.url.clone();
    // Both calls fail only for URLs that cannot carry credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let others = target
        .headers
        .iter()
        .filter(|(name, _)| !name.eq_ignore_ascii_case("authorization"));
    HttpClient::new(&url, &others.cloned().collect::<Vec<_>>(), limits)
}

fn initialize(client: &HttpClient) -> Result<crate::transport::http::HttpRequest, HttpError> {
    let revision = Revision::V2025_11_25;
    let params = Stateful::initialize_params(&ClientIdentity::touchstone(revision), revision.as_str());
    let mut request = client.request(Method::POST)?;
    request.set(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request.set(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    request.set_body(jsonrpc::request_bytes(
        &IdToken::integer(1),
        "initialize",
        Some(&params),
    ));
    Ok(request)
}

/// Whether the answer to `initialize` opens a session; the session is ended again.
async fn opened(client: &HttpClient, response: &mut HttpResponse, limits: &TransportLimits) -> bool {
    let id_field = HeaderName::from_static("mcp-session-id");
    if let Some(id) = response.headers.get(&id_field).cloned() {
        if let Ok(mut request) = client.request(Method::DELETE) {
            request.set(id_field, id);
            // Whether clients may end sessions is for a case to find out.
            let _ = tokio::time::timeout(limits.close, client.send(request)).await;
        }
        return true;
    }
    let mut text = Vec::new();
    let deadline = tokio::time::Instant::now() + BODY;
    while text.len() < BODY_BYTES {
        match tokio::time::timeout_at(deadline, response.body.chunk(None)).await {
            Ok(Ok(Some(chunk))) => text.extend_from_slice(&chunk),
            _ => break,
        }
        if String::from_utf8_lossy(&text).contains("\"error\"") {
            return false;
        }
    }
    !String::from_utf8_lossy(&text).contains("\"error\"")
}

/// Whether metadata of this name lies where it belongs.
async fn serves(client: &HttpClient, url: &Url, name: &str) -> bool {
    for place in well_known(url, name) {
        let Ok(request) = client.request_to(Method::GET, &place) else {
            continue;
        };
        let response = client.send(request).await;
        if response.is_ok_and(|response| response.status == 200) {
            return true;
        }
    }
    false
}

/// Where metadata about a URL lies (RFC 8414, RFC 9728, OpenID discovery), most likely place first.
pub(super) fn well_known(url: &Url, name: &str) -> Vec<Url> {
    let path = url.path().trim_end_matches('/');
    let mut paths = vec![format!("/.well-known/{name}{path}")];
    match name {
        "openid-configuration" => paths.push(format!("{path}/.well-known/{name}")),
        _ => paths.push(format!("/.well-known/{name}")),
    }
    paths.dedup();
    let at = |path: &String| {
        let mut place = url.clone();
        place.set_path(path);
        place.set_query(None);
        place.set_fragment(None);
        place
    };
    paths.iter().map(at).collect()
}

/// The endpoint as cases see it.
pub(super) fn endpoint(url: &Url) -> serde_json::Value {
    let origin = url.origin().ascii_serialization();
    let path = url.path().trim_end_matches('/');
    let shouted = origin.split_once("://").map(|(_, authority)| authority.to_uppercase());
    json!({ "url": format!("{origin}{}", url.path()), "origin": origin, "path": path, "shouted": shouted })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_lies_below_well_known_with_the_path_and_without() {
        let places = |url: &str, name: &str| -> Vec<String> {
            let url: Url = url.parse().unwrap();
            well_known(&url, name)
                .iter()
                .map(|place| place.path().to_owned())
                .collect()
        };
        assert_eq!(
            places("http://h/mcp", "oauth-protected-resource"),
            [
                "/.well-known/oauth-protected-resource/mcp",
                "/.well-known/oauth-protected-resource"
            ]
        );
        assert_eq!(
            places("http://h/", "oauth-authorization-server"),
            ["/.well-known/oauth-authorization-server"]
        );
        assert_eq!(
            places("http://h/t", "openid-configuration"),
            [
                "/.well-known/openid-configuration/t",
                "/t/.well-known/openid-configuration"
            ]
        );
    }
}
