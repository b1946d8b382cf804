//! Requests: what a transport sends by default, and what a case may change about it.

use bytes::Bytes;
use http::Method;
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::PathAndQuery;
use http_body_util::Full;

use touchstone_core::trace::Intent;

use super::HttpError;

/// Fields that belong to the framing of HTTP itself. They follow from the request and cannot be set.
const FRAMING_FIELDS: [HeaderName; 5] = [CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION, UPGRADE, EXPECT];

/// One request to the server of an [`HttpClient`](super::HttpClient), complete with the fields that every request has.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    pub(super) method: Method,
    pub(super) target: PathAndQuery,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
    pub(super) lowercase_names: bool,
    /// Whether the response is a document of its own and no message.
    pub(super) document: bool,
}

/// A request of a transport case: the transport's defaults with changes. Whatever it is, it goes to the server under test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRequest {
    /// The method, any token.
    pub method: String,
    /// Path and query instead of those of the endpoint.
    pub target: Option<String>,
    /// Changes to the default fields, in order. `None` removes a field; a value replaces the default, and when the same name is given again
    /// the field is sent twice. The length of the body and the fields of the connection cannot be changed.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// The body, any bytes.
    pub body: Option<Vec<u8>>,
    /// What the body is meant to be.
    pub intent: Intent,
    /// Send field names in lower case, on a connection of its own, instead of the usual capitalisation.
    pub lowercase_names: bool,
    /// Take the response for a document of its own and not for a message: the request is not for the endpoint.
    pub document: bool,
    /// Let a session id in the response become the connection's session id, as it would after an ordinary message.
    pub adopt_session: bool,
}

impl RawRequest {
    /// The transport's default request of this method, without a body.
    #[must_use]
    pub fn new(method: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            target: None,
            headers: Vec::new(),
            body: None,
            intent: Intent::Broken,
            lowercase_names: false,
            document: false,
            adopt_session: false,
        }
    }

    /// Gives the request a body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>, intent: Intent) -> Self {
        self.body = Some(body.into());
        self.intent = intent;
        self
    }

    /// Sets a field, or adds it once more when this request has set it already.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.into(), Some(value.into())));
        self
    }

    /// Removes a field that the transport would send.
    #[must_use]
    pub fn without_header(mut self, name: impl Into<String>) -> Self {
        self.headers.push((name.into(), None));
        self
    }

    /// The method as HTTP has it.
    ///
    /// # Errors
    /// When it is not a token.
    pub(in crate::transport) fn parsed_method(&self) -> Result<Method, HttpError> {
        Method::from_bytes(self.method.as_bytes())
            .map_err(|_| HttpError::Request(format!("{:?} is not an HTTP method", self.method)))
    }

    /// Applies target, field changes, body and spelling to the transport's default request.
    ///
    /// # Errors
    /// When a name, a value or the target cannot be sent in HTTP.
    pub(in crate::transport) fn apply(&self, request: &mut HttpRequest) -> Result<(), HttpError> {
        if let Some(target) = &self.target {
            request.target = parse_target(target)?;
        }
        if let Some(body) = &self.body {
            request.set_body(body.clone());
        }
        let mut changed: Vec<HeaderName> = Vec::new();
        for (name, value) in &self.headers {
            let parsed = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| HttpError::Request(format!("{name:?} is not a header field name")))?;
            if FRAMING_FIELDS.contains(&parsed) {
                return Err(HttpError::Request(format!(
                    "{name} belongs to the framing of HTTP and cannot be changed"
                )));
            }
            match value {
                None => drop(request.headers.remove(&parsed)),
                Some(value) => {
                    let value = HeaderValue::from_bytes(value).map_err(|_| {
                        HttpError::Request(format!("the value of {name} has bytes that no header field may have"))
                    })?;
                    if changed.contains(&parsed) {
                        request.headers.append(parsed.clone(), value);
                    } else {
                        request.headers.insert(parsed.clone(), value);
                    }
                    changed.push(parsed);
                }
            }
        }
        request.lowercase_names = self.lowercase_names;
        request.document = self.document;
        Ok(())
    }
}

impl HttpRequest {
    /// The header fields.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Whether it asks for a document of its own, so that neither body is a message.
    pub(in crate::transport) fn is_document(&self) -> bool {
        self.document
    }

    /// Sets a header field.
    pub fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers.insert(name, value);
    }

    /// Sets the body.
    pub fn set_body(&mut self, body: Vec<u8>) {
        self.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        self.body = Some(Bytes::from(body));
    }

    /// The message for the HTTP library.
    pub(super) fn into_message(self) -> http::Request<Full<Bytes>> {
        let mut message = http::Request::new(Full::new(self.body.unwrap_or_default()));
        *message.method_mut() = self.method;
        *message.uri_mut() = http::Uri::from(self.target);
        *message.headers_mut() = self.headers;
        message
    }
}

/// Path and query in the form that stands in a request line.
pub(super) fn parse_target(target: &str) -> Result<PathAndQuery, HttpError> {
    let wrong = || HttpError::Request(format!("{target:?} is not a path that starts with a slash"));
    if !target.starts_with('/') {
        return Err(wrong());
    }
    target.parse().map_err(|_| wrong())
}
