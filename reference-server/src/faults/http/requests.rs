//! Requests that are served though they must not be, or refused though they are in order.

use std::collections::BTreeSet;

use http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue, ORIGIN};
use http::request::Parts;
use http::{Method, StatusCode};

use super::super::{Fault, STREAMABLE_HTTP};
use super::{
    PLAIN, Plain, REVISION, SESSION, asking, has_odd_revision, http, is_foreign, is_post, refused, replying,
    with_status,
};
use crate::revision::Revision;
use crate::transport::deviation::HttpDecorator;
use crate::transport::http_server::Reply;

pub(in super::super) const FAULTS: &[Fault] = &[
    Fault::new(
        "http-origin-served",
        "serves requests of any origin",
        &["transport-streamable-http/origin-validated"],
        || {
            asking(|head| {
                head.headers.remove(ORIGIN);
                None
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-origin-served-by-get",
        "looks at the origin of a POST only",
        &["transport-streamable-http/origin-validated-get"],
        || {
            asking(|head| {
                if head.method != Method::POST {
                    head.headers.remove(ORIGIN);
                }
                None
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-origin-400",
        "refuses a foreign origin with status 400 instead of 403",
        &["transport-streamable-http/origin-invalid-403"],
        || {
            replying(|asked, reply| match is_foreign(&asked.head.headers) {
                true => with_status(reply, StatusCode::BAD_REQUEST),
                false => reply,
            })
        },
    )
    .over(STREAMABLE_HTTP)
    .under(Revision::V2025_11_25),
    Fault::new(
        "http-host-served",
        "serves requests for any host, so that a web page can reach it by DNS rebinding",
        &["transport-streamable-http/host-rebinding-guard"],
        || {
            asking(|head| {
                head.headers.insert(HOST, HeaderValue::from_static("127.0.0.1"));
                None
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-revision-unchecked",
        "serves requests whose MCP-Protocol-Version does not exist",
        &["transport-streamable-http/unsupported-version-400"],
        || {
            asking(|head| {
                if has_odd_revision(&head.headers) {
                    head.headers.remove(REVISION);
                }
                None
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-revision-unchecked-by-get",
        "looks at the MCP-Protocol-Version of a POST only",
        &["transport-streamable-http/unsupported-version-400-get"],
        || {
            asking(|head| {
                if head.method == Method::GET && has_odd_revision(&head.headers) {
                    head.headers.remove(REVISION);
                }
                None
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-revision-500",
        "answers an MCP-Protocol-Version that does not exist with status 500",
        &["transport-streamable-http/unsupported-version-400"],
        || {
            replying(
                |asked, reply| match is_post(asked) && has_odd_revision(&asked.head.headers) {
                    true => with_status(reply, StatusCode::INTERNAL_SERVER_ERROR),
                    false => reply,
                },
            )
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-revision-demanded",
        "refuses requests without MCP-Protocol-Version in a session that has seen it",
        &["transport-streamable-http/version-header-missing"],
        || http(Demanding(BTreeSet::new())),
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-accept-in-order",
        "wants the media types of Accept in one order, and without parameters",
        &["transport-streamable-http/accept-both"],
        || {
            asking(|head| {
                let accept = head.headers.get(ACCEPT).map(HeaderValue::as_bytes).unwrap_or_default();
                let reversed = head.method == Method::POST && accept.starts_with(b"text/event-stream");
                reversed.then(|| refused(StatusCode::NOT_ACCEPTABLE))
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-charset-refused",
        "refuses a Content-Type with a charset",
        &["transport-streamable-http/content-type-parameters"],
        || {
            asking(|head| {
                let given = head.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
                let refuses = given.unwrap_or_default().contains(&b';');
                refuses.then(|| refused(StatusCode::UNSUPPORTED_MEDIA_TYPE))
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-header-case",
        "knows the session header in one spelling only",
        &["transport-streamable-http/session-header-case"],
        || {
            http(Plain {
                received: |bytes| {
                    let name = b"\nmcp-session-id:";
                    if let Some(start) = bytes.windows(name.len()).position(|part| part == name) {
                        bytes[start + 1] = b'x';
                    }
                },
                ..PLAIN
            })
        },
    )
    .over(STREAMABLE_HTTP),
];

/// Knows the sessions in which the revision was named.
#[derive(Clone, Debug)]
struct Demanding(BTreeSet<HeaderValue>);

impl HttpDecorator for Demanding {
    fn request(&mut self, head: &mut Parts) -> Option<Reply> {
        let session = head.headers.get(SESSION)?;
        if head.headers.contains_key(REVISION) {
            self.0.insert(session.clone());
        }
        let lacks = self.0.contains(session) && !head.headers.contains_key(REVISION);
        lacks.then(|| refused(StatusCode::BAD_REQUEST))
    }
}
