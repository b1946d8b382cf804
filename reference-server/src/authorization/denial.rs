//! Refusals of requests that are not authorized (basic/authorization, Error Handling; RFC 6750, section 3).

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};

use super::{BASE_SCOPE, Issuer};
use crate::transport::http_server::Reply;

/// A refusal before it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Denial {
    pub(crate) status: StatusCode,
    pub(crate) challenge: Option<Challenge>,
    pub(crate) body: String,
    /// Further header fields (faults only).
    pub(crate) fields: Vec<(&'static str, String)>,
}

/// A `WWW-Authenticate` challenge.
#[derive(Clone, Debug)]
pub(crate) struct Challenge {
    /// What stands before the parameters.
    pub(crate) scheme: &'static str,
    pub(crate) parameters: Vec<(&'static str, String)>,
}

impl Challenge {
    /// The value of the parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Drops the parameter.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.parameters.retain(|(known, _)| *known != name);
        self
    }
}

impl Denial {
    /// No token was sent: no error code either (RFC 6750, section 3.1).
    pub(crate) fn missing(issuer: &Issuer) -> Self {
        Self::new(
            issuer,
            StatusCode::UNAUTHORIZED,
            None,
            BASE_SCOPE,
            "authorization is required",
        )
    }

    /// The token is not good.
    pub(crate) fn invalid(issuer: &Issuer) -> Self {
        let why = "the access token is invalid or has expired";
        Self::new(issuer, StatusCode::UNAUTHORIZED, Some("invalid_token"), BASE_SCOPE, why)
    }

    /// The field is not a well-formed bearer token.
    pub(crate) fn malformed(issuer: &Issuer) -> Self {
        let why = "the Authorization header is malformed";
        Self::new(
            issuer,
            StatusCode::BAD_REQUEST,
            Some("invalid_request"),
            BASE_SCOPE,
            why,
        )
    }

    /// The token is good, but not for this.
    pub(crate) fn insufficient(issuer: &Issuer, scopes: &str) -> Self {
        let why = "the access token lacks a scope";
        Self::new(issuer, StatusCode::FORBIDDEN, Some("insufficient_scope"), scopes, why)
    }

    fn new(issuer: &Issuer, status: StatusCode, error: Option<&str>, scopes: &str, why: &str) -> Self {
        let mut parameters = Vec::new();
        if let Some(error) = error {
            parameters.push(("error", error.to_owned()));
            parameters.push(("error_description", why.to_owned()));
        }
        parameters.push(("scope", scopes.to_owned()));
        parameters.push(("resource_metadata", issuer.metadata_url()));
        Self {
            status,
            challenge: Some(Challenge {
                scheme: "Bearer",
                parameters,
            }),
            body: why.to_owned(),
            fields: Vec::new(),
        }
    }

    /// Whether no token was sent.
    pub(crate) fn is_missing(&self) -> bool {
        let error = self.challenge.as_ref().and_then(|challenge| challenge.get("error"));
        self.status == StatusCode::UNAUTHORIZED && error.is_none()
    }
}

impl From<Denial> for Reply {
    fn from(denial: Denial) -> Self {
        let mut reply = Response::new(Full::new(Bytes::from(denial.body)).boxed());
        *reply.status_mut() = denial.status;
        let headers = reply.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if let Some(challenge) = denial.challenge {
            let parameters = challenge
                .parameters
                .iter()
                .map(|(name, value)| format!("{name}=\"{value}\""));
            let text = format!("{} {}", challenge.scheme, parameters.collect::<Vec<_>>().join(", "));
            // Names and values are ours, and plain ASCII.
            if let Ok(value) = HeaderValue::from_str(text.trim_end()) {
                headers.insert(WWW_AUTHENTICATE, value);
            }
        }
        for (name, value) in denial.fields {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        reply
    }
}
