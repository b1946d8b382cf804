//! The authorization server that goes with the reference server: registration, authorization code with PKCE, tokens.
//!
//! It asks nobody for consent: everyone who can reach it, on loopback, is `anna`.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{CACHE_CONTROL, HeaderValue, LOCATION};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::{BASE_SCOPE, Deviation, Issuer, WRITE_SCOPE, token};
use crate::transport::http_server::{self, Refusal, Reply, empty, refusal};

/// The most that a body may hold, in bytes.
const BODY_CAP: usize = 64 * 1024;
/// Clients and codes that are remembered.
const REMEMBERED: usize = 1000;

const AUTHORIZE: &str = "/authorize";
const TOKEN: &str = "/token";
const REGISTER: &str = "/register";

/// The metadata (RFC 8414).
pub(super) fn metadata(origin: &str) -> Value {
    json!({
        "issuer": origin,
        "authorization_endpoint": format!("{origin}{AUTHORIZE}"),
        "token_endpoint": format!("{origin}{TOKEN}"),
        "registration_endpoint": format!("{origin}{REGISTER}"),
        "scopes_supported": [BASE_SCOPE, WRITE_SCOPE],
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "client_id_metadata_document_supported": true,
    })
}

pub(super) struct AuthorizationServer {
    deviations: Vec<&'static Deviation>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The redirect URIs of registered clients.
    clients: HashMap<String, Vec<String>>,
    codes: HashMap<String, Code>,
}

/// What a code was given for.
struct Code {
    client: String,
    redirect: String,
    challenge: String,
    scope: String,
}

type Form = HashMap<String, String>;

impl AuthorizationServer {
    pub(super) const PATHS: [&str; 3] = [AUTHORIZE, TOKEN, REGISTER];

    pub(super) fn new(deviations: Vec<&'static Deviation>) -> Self {
        Self {
            deviations,
            state: Mutex::default(),
        }
    }

    /// Answers a request for one of the paths.
    pub(super) async fn serve(&self, request: Request<Incoming>, issuer: &Issuer) -> Reply {
        let replied = match (request.uri().path(), request.method()) {
            (AUTHORIZE, &Method::GET) => self.authorize(&form(request.uri().query().unwrap_or_default())),
            (AUTHORIZE, _) => Err(http_server::wrong_method("GET")),
            (_, &Method::POST) => {
                let path = request.uri().path().to_owned();
                match Limited::new(request.into_body(), BODY_CAP).collect().await {
                    Ok(body) if path == REGISTER => self.register(&body.to_bytes()),
                    Ok(body) => self.exchange(&form(&String::from_utf8_lossy(&body.to_bytes())), issuer),
                    Err(_) => Err(refusal(StatusCode::BAD_REQUEST, "the body could not be read")),
                }
            }
            _ => Err(http_server::wrong_method("POST")),
        };
        replied.unwrap_or_else(Reply::from)
    }

    /// Registers a client (RFC 7591) whose redirect URIs are https or loopback.
    fn register(&self, body: &[u8]) -> Result<Reply, Refusal> {
        let content: Value = serde_json::from_slice(body).unwrap_or_default();
        let uris: Option<Vec<String>> = content["redirect_uris"]
            .as_array()
            .and_then(|uris| uris.iter().map(|uri| uri.as_str().map(str::to_owned)).collect());
        let uris = uris.filter(|uris| !uris.is_empty() && uris.iter().all(|uri| self.may_redirect(uri, is_safe(uri))));
        let Some(uris) = uris else {
            let error =
                json!({ "error": "invalid_redirect_uri", "error_description": "redirect URIs are https or loopback" });
            return Ok(oauth(StatusCode::BAD_REQUEST, &error));
        };
        let client = http_server::session_id()?;
        let mut content = content;
        content["client_id"] = json!(client);
        content["token_endpoint_auth_method"] = json!("none");
        let mut state = self.state();
        if state.clients.len() < REMEMBERED {
            state.clients.insert(client, uris);
        }
        Ok(oauth(StatusCode::CREATED, &content))
    }

    /// Sends the user back with a code. A client or redirect URI that is not registered gets no redirect (OAuth 2.1,
    /// section 4.1.2.1).
    fn authorize(&self, query: &Form) -> Result<Reply, Refusal> {
        let parameter = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
        let (client, redirect) = (parameter("client_id"), parameter("redirect_uri"));
        let known = self
            .state()
            .clients
            .get(client)
            .is_some_and(|uris| uris.iter().any(|uri| uri == redirect));
        if !self.may_redirect(redirect, known) {
            return Err(refusal(StatusCode::BAD_REQUEST, "this client has no such redirect URI"));
        }
        let answer = if parameter("response_type") != "code" {
            "error=unsupported_response_type".to_owned()
        } else if parameter("code_challenge_method") != "S256" || parameter("code_challenge").is_empty() {
            "error=invalid_request".to_owned()
        } else {
            let code = http_server::session_id()?;
            let granted = Code {
                client: client.to_owned(),
                redirect: redirect.to_owned(),
                challenge: parameter("code_challenge").to_owned(),
                scope: query.get("scope").cloned().unwrap_or_else(|| BASE_SCOPE.to_owned()),
            };
            let mut state = self.state();
            if state.codes.len() >= REMEMBERED {
                state.codes.clear();
            }
            state.codes.insert(code.clone(), granted);
            format!("code={code}")
        };
        let separator = if redirect.contains('?') { '&' } else { '?' };
        let state = query
            .get("state")
            .map(|state| format!("&state={}", encoded(state)))
            .unwrap_or_default();
        let mut reply = empty(StatusCode::FOUND);
        let location = HeaderValue::from_str(&format!("{redirect}{separator}{answer}{state}"))
            .map_err(|_| refusal(StatusCode::BAD_REQUEST, "the redirect URI is not a URI"))?;
        reply.headers_mut().insert(LOCATION, location);
        Ok(reply)
    }

    /// Gives a token for a code.
    fn exchange(&self, form: &Form, issuer: &Issuer) -> Result<Reply, Refusal> {
        let parameter = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        if parameter("grant_type") != "authorization_code" {
            return Ok(oauth(
                StatusCode::BAD_REQUEST,
                &json!({ "error": "unsupported_grant_type" }),
            ));
        }
        let code = self.state().codes.remove(parameter("code"));
        let digest = ring::digest::digest(&ring::digest::SHA256, parameter("code_verifier").as_bytes());
        let verifier = URL_SAFE_NO_PAD.encode(digest.as_ref());
        let resource_fits = form
            .get("resource")
            .is_none_or(|resource| resource == issuer.resource());
        let code = code.filter(|code| {
            code.client == parameter("client_id")
                && code.redirect == parameter("redirect_uri")
                && code.challenge == verifier
        });
        let (Some(code), true) = (code, resource_fits) else {
            return Ok(oauth(StatusCode::BAD_REQUEST, &json!({ "error": "invalid_grant" })));
        };
        let signed = issuer
            .sign(&issuer.claims("anna", &code.scope))
            .map_err(|_| refusal(StatusCode::INTERNAL_SERVER_ERROR, "the token could not be signed"))?;
        let granted = json!({
            "access_token": signed, "token_type": "Bearer", "expires_in": token::LIFETIME, "scope": code.scope,
        });
        Ok(oauth(StatusCode::OK, &granted))
    }

    fn may_redirect(&self, uri: &str, allowed: bool) -> bool {
        self.deviations
            .iter()
            .fold(allowed, |allowed, deviation| (deviation.redirects)(uri, allowed))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// https, or http on loopback; without a fragment.
fn is_safe(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let local = uri
        .host()
        .is_some_and(|host| ["localhost", "127.0.0.1", "[::1]"].contains(&host));
    let secure = uri.scheme_str() == Some("https") || (uri.scheme_str() == Some("http") && local);
    secure && !text.contains('#')
}

fn oauth(status: StatusCode, content: &Value) -> Reply {
    let mut reply = http_server::json(status, content.to_string().into_bytes());
    reply
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// Reads `application/x-www-form-urlencoded`.
fn form(text: &str) -> Form {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.first_chunk::<2>().and_then(|pair| std::str::from_utf8(pair).ok());
        match (first, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = tail;
            }
            (byte, _) => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
