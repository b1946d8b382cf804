//! The server as an OAuth resource server (basic/authorization), switched on by `ServeOptions::authorization`.
//!
//! [`Authorization`] stands before the endpoint of Streamable HTTP: it serves the metadata and its own small authorization
//! server (`grants`), lets requests with a good token through, and refuses all others (`denial`). The endpoint only asks
//! the [`Grant`] of a request whether its message is within the scopes. `token` issues and verifies tokens, `settings`
//! writes tokens of every kind for a tester, and a [`Deviation`] is what a fault changes.

mod denial;
mod grants;
mod settings;
mod token;

pub(crate) use denial::Denial;
pub(crate) use settings::write as write_settings;
pub(crate) use token::{Claims, Issuer};

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::body::Incoming;
use jsonwebtoken::Validation;
use serde_json::{Value, json};

use crate::faults::Fault;
use crate::transport::http_server::{self, Refusal, Reply, refusal};

/// What every token needs.
pub(crate) const BASE_SCOPE: &str = "mcp:use";
/// What tools that change something need as well.
pub(crate) const WRITE_SCOPE: &str = "mcp:write";
/// The tools that change something.
const WRITING_TOOLS: [&str; 2] = ["create_issue", "write_note"];

const SESSION_HEADER: &str = "mcp-session-id";
const RESOURCE_METADATA: &str = "/.well-known/oauth-protected-resource";
const SERVER_METADATA: &str = "/.well-known/oauth-authorization-server";

/// What a fault changes about authorization; [`Deviation::NONE`] changes nothing.
#[derive(Clone, Copy)]
pub(crate) struct Deviation {
    /// How tokens are verified.
    pub(crate) validation: fn(&mut Validation),
    /// Whether the request is let through.
    pub(crate) admit: fn(&Visit<'_>, Result<Grant, Denial>) -> Result<Grant, Denial>,
    /// Whether a grant that may not be enough is.
    pub(crate) permits: fn(bool) -> bool,
    /// Whether a session opened by one principal may be used by another.
    pub(crate) shares_sessions: bool,
    /// Whose message it is taken for, in what is kept for a principal.
    pub(crate) principal: fn(&Value, String) -> String,
    /// The refusal to send instead.
    pub(crate) denial: fn(Denial) -> Denial,
    /// The path to take a request for instead.
    pub(crate) path: fn(&str) -> &str,
    /// The metadata document to serve instead.
    pub(crate) document: fn(Document, Value) -> Value,
    /// Whether a client with this redirect URI may register or be sent there.
    pub(crate) redirects: fn(&str, bool) -> bool,
}

impl Deviation {
    /// The correct server.
    pub(crate) const NONE: Self = Self {
        validation: |_| {},
        admit: |_, admission| admission,
        permits: |permitted| permitted,
        shares_sessions: false,
        principal: |_, subject| subject,
        denial: |denial| denial,
        path: |path| path,
        document: |_, content| content,
        redirects: |_, allowed| allowed,
    };
}

impl fmt::Debug for Deviation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Deviation").finish_non_exhaustive()
    }
}

/// The metadata documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Document {
    /// RFC 9728.
    Resource,
    /// RFC 8414.
    Server,
}

/// A request as deviations see it.
pub(crate) struct Visit<'a> {
    pub(crate) method: &'a Method,
    pub(crate) query: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) issuer: &'a Issuer,
}

impl Visit<'_> {
    /// Whether the request names a session.
    pub(crate) fn has_session(&self) -> bool {
        self.headers.contains_key(SESSION_HEADER)
    }
}

/// What a request may do.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    subject: String,
    scopes: Vec<String>,
    deviations: Vec<&'static Deviation>,
    /// The scopes that the message would have needed.
    lacking: Arc<OnceLock<String>>,
}

impl Grant {
    pub(crate) fn new(claims: &Claims) -> Self {
        Self {
            subject: claims.sub.clone(),
            scopes: claims.scope.split(' ').map(str::to_owned).collect(),
            deviations: Vec::new(),
            lacking: Arc::default(),
        }
    }

    /// Who sends the body.
    pub(crate) fn principal(&self, body: &[u8]) -> String {
        let message: Value = serde_json::from_slice(body).unwrap_or_default();
        let deviations = self.deviations.iter();
        deviations.fold(self.subject.clone(), |subject, deviation| {
            (deviation.principal)(&message, subject)
        })
    }

    /// Refuses a body with a call that needs more than was granted.
    pub(crate) fn permit(&self, body: &[u8]) -> Result<(), Refusal> {
        let message: Value = serde_json::from_slice(body).unwrap_or_default();
        let messages = message.as_array().map_or(std::slice::from_ref(&message), Vec::as_slice);
        let writes = messages.iter().any(|message| {
            let tool = message.pointer("/params/name").and_then(Value::as_str);
            message["method"] == "tools/call" && tool.is_some_and(|tool| WRITING_TOOLS.contains(&tool))
        });
        let permitted = !writes || self.scopes.iter().any(|scope| scope == WRITE_SCOPE);
        let permitted = self
            .deviations
            .iter()
            .fold(permitted, |permitted, deviation| (deviation.permits)(permitted));
        if permitted {
            return Ok(());
        }
        // Set once: a request has one body.
        let _ = self.lacking.set(format!("{BASE_SCOPE} {WRITE_SCOPE}"));
        Err(refusal(StatusCode::FORBIDDEN, "the token lacks a scope"))
    }
}

/// The guard of one server.
pub(crate) struct Authorization {
    issuer: Issuer,
    deviations: Vec<&'static Deviation>,
    grants: grants::AuthorizationServer,
    /// The principals of the sessions.
    sessions: Mutex<HashMap<String, String>>,
}

impl Authorization {
    /// The guard of the endpoint at `path` below `origin`.
    pub(crate) fn new(origin: String, path: &str, faults: &[&'static Fault]) -> Result<Self, getrandom::Error> {
        let deviations: Vec<_> = faults
            .iter()
            .filter_map(|fault| fault.decorator().authorization())
            .collect();
        Ok(Self {
            issuer: Issuer::new(origin, path, &deviations)?,
            grants: grants::AuthorizationServer::new(deviations.clone()),
            deviations,
            sessions: Mutex::default(),
        })
    }

    /// Who issues the tokens.
    pub(crate) fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// Answers a request, with the help of the endpoint when the request is authorized.
    pub(crate) async fn serve<Replying>(
        &self,
        mut request: Request<Incoming>,
        endpoint: impl FnOnce(Request<Incoming>) -> Replying,
    ) -> Reply
    where
        Replying: Future<Output = Reply>,
    {
        if let Err(refusal) = http_server::check_origin(request.headers()) {
            return refusal.into();
        }
        let path = self
            .deviations
            .iter()
            .fold(request.uri().path(), |path, deviation| (deviation.path)(path));
        if let Some(document) = self.document(path, request.method()) {
            return document;
        }
        if grants::AuthorizationServer::PATHS.contains(&path) {
            return self.grants.serve(request, &self.issuer).await;
        }
        if path != &self.issuer.resource()[self.issuer.origin().len()..] {
            return refusal(StatusCode::NOT_FOUND, "there is nothing here").into();
        }
        let grant = match self.admit(&request) {
            Ok(grant) => grant,
            Err(denial) => return self.refuse(denial),
        };
        if !self.owns_session(request.headers(), &grant) {
            return refusal(StatusCode::NOT_FOUND, "there is no such session; initialize a new one").into();
        }
        request.extensions_mut().insert(grant.clone());
        let reply = endpoint(request).await;
        if let Some(scopes) = grant.lacking.get() {
            return self.refuse(Denial::insufficient(&self.issuer, scopes));
        }
        if let Some(id) = reply.headers().get(SESSION_HEADER).and_then(|id| id.to_str().ok()) {
            let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            sessions.insert(id.to_owned(), grant.subject);
        }
        reply
    }

    fn admit(&self, request: &Request<Incoming>) -> Result<Grant, Denial> {
        let admission = bearer(request.headers(), &self.issuer).and_then(|token| self.issuer.verify(token));
        let visit = Visit {
            method: request.method(),
            query: request.uri().query(),
            headers: request.headers(),
            issuer: &self.issuer,
        };
        let admission = admission.map(|claims| Grant::new(&claims));
        let mut grant = self
            .deviations
            .iter()
            .fold(admission, |admission, deviation| (deviation.admit)(&visit, admission))?;
        grant.deviations.clone_from(&self.deviations);
        Ok(grant)
    }

    /// A session belongs to the principal that opened it: its id must not work with another one's token.
    fn owns_session(&self, headers: &HeaderMap, grant: &Grant) -> bool {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let id = headers.get(SESSION_HEADER).and_then(|id| id.to_str().ok());
        let owner = id.and_then(|id| sessions.get(id));
        owner.is_none_or(|owner| *owner == grant.subject)
            || self.deviations.iter().any(|deviation| deviation.shares_sessions)
    }

    fn refuse(&self, denial: Denial) -> Reply {
        self.deviations
            .iter()
            .fold(denial, |denial, deviation| (deviation.denial)(denial))
            .into()
    }

    /// The metadata that a GET asks for, readable by everybody.
    fn document(&self, path: &str, method: &Method) -> Option<Reply> {
        let (origin, resource) = (self.issuer.origin(), self.issuer.resource());
        let endpoint = &resource[origin.len()..];
        let (document, content) = if path == RESOURCE_METADATA
            || path
                .strip_prefix(RESOURCE_METADATA)
                .is_some_and(|rest| rest == endpoint)
        {
            let content = json!({
                "resource": resource,
                "authorization_servers": [origin],
                "scopes_supported": [BASE_SCOPE, WRITE_SCOPE],
                "bearer_methods_supported": ["header"],
                "resource_name": "Touchstone reference server",
            });
            (Document::Resource, content)
        } else if path == SERVER_METADATA {
            (Document::Server, grants::metadata(origin))
        } else {
            return None;
        };
        let content = self
            .deviations
            .iter()
            .fold(content, |content, deviation| (deviation.document)(document, content));
        Some(match *method {
            Method::GET => http_server::json(StatusCode::OK, content.to_string().into_bytes()),
            _ => http_server::wrong_method("GET").into(),
        })
    }
}

/// The token of the `Authorization` field; tokens in the query string do not count (OAuth 2.1, section 5.1).
pub(crate) fn bearer<'a>(headers: &'a HeaderMap, issuer: &Issuer) -> Result<&'a str, Denial> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let (field, more) = (fields.next(), fields.next());
    let Some(field) = field else {
        return Err(Denial::missing(issuer));
    };
    let text = field.to_str().unwrap_or_default().trim();
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    if more.is_some() {
        return Err(Denial::malformed(issuer));
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        // Another scheme is no token, so this is a request without one.
        return Err(Denial::missing(issuer));
    }
    let token = token.trim_start();
    // RFC 6750, section 2.1: b64token.
    let body = token.trim_end_matches('=');
    let well_formed = !body.is_empty()
        && body
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte));
    if well_formed {
        Ok(token)
    } else {
        Err(Denial::malformed(issuer))
    }
}
