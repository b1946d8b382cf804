//! Faults of HTTP that no ordinary request shows: campaigns find them among odd ones. Not in the table that cases must be able to catch.

use std::collections::BTreeSet;

use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::request::Parts;

use super::super::{Fault, STREAMABLE_HTTP, Transport};
use super::{SESSION, asking, http, refused};
use crate::transport::deviation::HttpDecorator;
use crate::transport::http_server::Reply;

const BOTH: &[Transport] = &[Transport::StreamableHttp, Transport::HttpSse];

pub(in super::super) const FAULTS: &[Fault] = &[
    Fault::new(
        "http-quality-500",
        "fails at a quality in Accept that is no number",
        &["fuzzing/http-client-errors"],
        || {
            asking(|head| {
                let accept = head.headers.get(ACCEPT)?.to_str().ok()?;
                let odd = accept
                    .split([',', ';'])
                    .filter_map(|part| part.trim().strip_prefix("q="))
                    .any(|quality| quality.parse::<f32>().is_err());
                odd.then(|| refused(StatusCode::INTERNAL_SERVER_ERROR))
            })
        },
    )
    .over(BOTH),
    Fault::new(
        "http-charset-500",
        "fails at a parameter of Content-Type whose quotation marks do not close",
        &["fuzzing/http-client-errors"],
        || {
            asking(|head| {
                let kind = head.headers.get(CONTENT_TYPE)?.to_str().ok()?;
                let open = kind.matches('"').count() % 2 == 1;
                open.then(|| refused(StatusCode::INTERNAL_SERVER_ERROR))
            })
        },
    )
    .over(BOTH),
    Fault::new(
        "http-session-prefix",
        "takes the beginning of a session id for the whole",
        &["transport-streamable-http/session-unknown-404"],
        || http(Prefixes::default()),
    )
    .over(STREAMABLE_HTTP),
];

/// `http-session-prefix`: looks sessions up by how their ids begin.
#[derive(Clone, Debug, Default)]
struct Prefixes(BTreeSet<String>);

impl HttpDecorator for Prefixes {
    fn session_id(&mut self, id: String) -> String {
        self.0.insert(id.clone());
        id
    }

    fn request(&mut self, head: &mut Parts) -> Option<Reply> {
        let given = head.headers.get(SESSION)?.to_str().ok()?.to_owned();
        let whole = self.0.iter().find(|id| given.len() >= 8 && id.starts_with(&given))?;
        let whole = HeaderValue::from_str(whole).ok()?;
        head.headers.insert(SESSION, whole);
        None
    }
}
