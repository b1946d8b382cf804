//! One request out, one response back.

use std::rc::Rc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http_body_util::BodyExt as _;
use url::Url;

use super::HttpError;
use super::connection::{Endpoint, Link, Pool};
use super::recording::{Secrets, shown_target, shown_url};
use super::request::{HttpRequest, parse_target};
use crate::transport::{TransportLimits, path_and_query};

/// A client of one origin. Clones share its connections.
#[derive(Clone)]
pub struct HttpClient {
    shared: Rc<Shared>,
}

struct Shared {
    url: Url,
    default_headers: HeaderMap,
    secrets: Secrets,
    limits: TransportLimits,
    pool: Rc<Pool>,
}

/// The head of a response, and its body still to be read.
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// The header fields. Their names have lost their capitalisation.
    pub headers: HeaderMap,
    /// The body.
    pub body: ResponseBody,
}

/// The body of a response. Dropping it before its end closes the connection.
pub struct ResponseBody {
    incoming: hyper::body::Incoming,
    link: Option<Link>,
    keep_link: bool,
    pool: Rc<Pool>,
    head_caps: (usize, usize),
}

impl HttpClient {
    /// A client for the origin of `url`. `headers` go with every request and are hidden wherever requests are recorded; so are the user and
    /// password of the URL, which are sent as basic authentication. Nothing is contacted yet.
    ///
    /// # Errors
    /// When the URL is not `http` or `https`, needs TLS that this build lacks, or a header cannot be sent.
    pub fn new(url: &Url, headers: &[(String, String)], limits: &TransportLimits) -> Result<Self, HttpError> {
        let endpoint = Endpoint::new(url)?;
        let mut default_headers = HeaderMap::new();
        default_headers.insert(HOST, header_value("Host", &endpoint.host_field)?);
        default_headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("touchstone/", env!("CARGO_PKG_VERSION"))),
        );
        default_headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(credentials) = basic_credentials(url) {
            default_headers.insert(AUTHORIZATION, header_value("Authorization", &credentials)?);
        }
        let mut secret_fields = Vec::new();
        for (name, value) in headers {
            let parsed = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| HttpError::Request(format!("{name:?} is not a header field name")))?;
            default_headers.insert(parsed.clone(), header_value(name, value)?);
            secret_fields.push((parsed, value.clone()));
        }
        let pool = Pool::new(endpoint, limits);
        let secrets = Secrets::new(&secret_fields);
        let shared = Shared {
            url: url.clone(),
            default_headers,
            secrets,
            limits: limits.clone(),
            pool: Rc::new(pool),
        };
        Ok(Self {
            shared: Rc::new(shared),
        })
    }

    /// A request for the client's own URL, with the fields that every request has.
    ///
    /// # Errors
    /// When the path cannot stand in a request line.
    pub fn request(&self, method: Method) -> Result<HttpRequest, HttpError> {
        self.request_to(method, &self.shared.url)
    }

    /// A request for path and query of another URL of the same origin.
    ///
    /// # Errors
    /// When the URL has another origin, or its path cannot stand in a request line.
    pub fn request_to(&self, method: Method, url: &Url) -> Result<HttpRequest, HttpError> {
        if url.origin() != self.shared.url.origin() {
            let reason = format!("it is not on {}", self.shared.url.origin().ascii_serialization());
            return Err(HttpError::Url {
                url: shown_url(url),
                reason,
            });
        }
        let target = parse_target(path_and_query(url))?;
        let headers = self.shared.default_headers.clone();
        Ok(HttpRequest {
            method,
            target,
            headers,
            body: None,
            lowercase_names: false,
            document: false,
        })
    }

    /// Sends a request and waits for the head of the response.
    ///
    /// # Errors
    /// When no connection comes about, no head arrives in time, or what arrives is not HTTP.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let limits = &self.shared.limits;
        let pool = &self.shared.pool;
        let lowercase_names = request.lowercase_names;
        let head_caps = (limits.head_bytes, limits.head_fields);
        let mut message = request.into_message();
        loop {
            let (mut link, reused) = pool.take(lowercase_names).await?;
            link.wait.begin();
            let answer = tokio::time::timeout(limits.response_head, link.sender.try_send_request(message)).await;
            match answer {
                Err(_) => return Err(HttpError::HeadDeadline(limits.response_head)),
                Ok(Ok(response)) => {
                    link.wait.end();
                    let (head, incoming) = response.into_parts();
                    let link = Some(link);
                    let body = ResponseBody {
                        incoming,
                        link,
                        keep_link: !lowercase_names,
                        pool: Rc::clone(pool),
                        head_caps,
                    };
                    return Ok(HttpResponse {
                        status: head.status.as_u16(),
                        headers: head.headers,
                        body,
                    });
                }
                // An idle connection may turn out to be closed; as long as no byte has left, another one can be used.
                Ok(Err(mut error)) => match error.take_message() {
                    Some(unsent) if reused => message = unsent,
                    _ => return Err(HttpError::from_hyper(error.error(), head_caps)),
                },
            }
        }
    }

    /// The URL this client was made for.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.shared.url
    }

    /// How a request stands in a trace: its path and query, and its fields, without secrets.
    pub(super) fn shown_request(&self, request: &HttpRequest) -> (String, Vec<(String, String)>) {
        let fields = self
            .shared
            .secrets
            .request_fields(&request.headers, request.lowercase_names);
        (shown_target(request.target.as_str()), fields)
    }

    /// How the fields of a response stand in a trace.
    pub(super) fn shown_fields(&self, headers: &HeaderMap) -> Vec<(String, String)> {
        self.shared.secrets.response_fields(headers)
    }
}

impl ResponseBody {
    /// The next bytes of the body; `None` at its end. Cancel-safe.
    ///
    /// # Errors
    /// When the connection ends before the body does, the framing is wrong, or nothing comes within `idle`.
    pub async fn chunk(&mut self, idle: Option<Duration>) -> Result<Option<Bytes>, HttpError> {
        loop {
            let frame = match idle {
                Some(limit) => tokio::time::timeout(limit, self.incoming.frame())
                    .await
                    .map_err(|_| HttpError::BodyDeadline(limit))?,
                None => self.incoming.frame().await,
            };
            match frame {
                None => {
                    if let Some(link) = self.link.take().filter(|_| self.keep_link) {
                        self.pool.give_back(link);
                    }
                    return Ok(None);
                }
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => return Err(HttpError::from_hyper(&error, self.head_caps)),
            }
        }
    }

    /// Reads the body to its end or to the cap. The second value says whether it is longer than `cap`.
    ///
    /// # Errors
    /// As [`ResponseBody::chunk`], together with what had arrived.
    pub async fn read(&mut self, cap: usize, idle: Duration) -> Result<(Vec<u8>, bool), (Vec<u8>, HttpError)> {
        let mut bytes = Vec::new();
        loop {
            match self.chunk(Some(idle)).await {
                Ok(None) => return Ok((bytes, false)),
                Ok(Some(chunk)) => {
                    let room = cap - bytes.len();
                    if chunk.len() > room {
                        bytes.extend_from_slice(&chunk[..room]);
                        return Ok((bytes, true));
                    }
                    bytes.extend_from_slice(&chunk);
                }
                Err(error) => return Err((bytes, error)),
            }
        }
    }
}

fn header_value(name: &str, value: &str) -> Result<HeaderValue, HttpError> {
    HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
        HttpError::Request(format!(
            "the value of {name} has characters that no header field may have"
        ))
    })
}

/// User and password of a URL as a value of `Authorization`.
fn basic_credentials(url: &Url) -> Option<String> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut credentials = percent_decoded(url.username());
    credentials.push(b':');
    credentials.extend(percent_decoded(url.password().unwrap_or_default()));
    Some(format!("Basic {}", STANDARD.encode(credentials)))
}

/// Replaces `%41` by `A`; the URL parser has encoded whatever was special in user and password.
fn percent_decoded(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().iter();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(&byte) = bytes.next() {
        let hex = bytes
            .as_slice()
            .first_chunk::<2>()
            .and_then(|pair| std::str::from_utf8(pair).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(value) if byte == b'%' => {
                decoded.push(value);
                bytes.nth(1);
            }
            _ => decoded.push(byte),
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_a_url_become_basic_authentication() {
        let url = "http://anna:p%40ss@localhost/".parse().unwrap();
        // The encoding of `anna:p@ss`.
        assert_eq!(basic_credentials(&url).as_deref(), Some("Basic YW5uYTpwQHNz"));
        assert_eq!(basic_credentials(&"http://localhost/".parse().unwrap()), None);
    }

    #[test]
    fn a_url_that_cannot_be_requested_says_why() {
        let limits = TransportLimits::default();
        let error = |url: &str| {
            HttpClient::new(&url.parse().unwrap(), &[], &limits)
                .err()
                .map(|error| error.to_string())
        };
        let ftp = error("ftp://u:secret@host/x").expect("ftp is refused");
        assert!(ftp.contains("ftp") && !ftp.contains("secret"), "{ftp}");
        if cfg!(not(feature = "tls")) {
            let https = error("https://host/mcp").expect("https needs the feature");
            assert!(https.contains("cargo feature `tls`"), "{https}");
        }
        let client = HttpClient::new(&"http://127.0.0.1:1/mcp".parse().unwrap(), &[], &limits).unwrap();
        let foreign = client.request_to(Method::GET, &"http://127.0.0.1:2/mcp".parse().unwrap());
        assert!(matches!(foreign, Err(HttpError::Url { .. })));
    }

    #[test]
    fn a_header_with_a_line_break_is_refused_without_showing_its_value() {
        let headers = [("X-Key".to_owned(), "secret\r\nX-Evil: 1".to_owned())];
        let error = HttpClient::new(&"http://h/".parse().unwrap(), &headers, &TransportLimits::default()).err();
        let message = error.expect("refused").to_string();
        assert!(message.contains("X-Key") && !message.contains("secret"), "{message}");
    }
}
