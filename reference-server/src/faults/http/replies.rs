//! Replies of Streamable HTTP with a wrong status, media type or body.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};

use super::super::{Fault, STREAMABLE_HTTP};
use super::{
    PLAIN, Plain, Silent, answer, asking, asks, asks_ping, instead_of, instead_of_stream, is_foreign, is_post,
    notifies, refused, replying, responds, silently_replying, with_status,
};
use crate::revision::Revision;
use crate::transport::deviation::Asked;
use crate::transport::http_server::{self, Reply};

pub(in super::super) const FAULTS: &[Fault] = &[
    Fault::new(
        "http-type-missing",
        "answers ping without a Content-Type",
        &["transport-streamable-http/request-content-type"],
        || {
            replying(|asked, mut reply| {
                if asks_ping(asked) {
                    reply.headers_mut().remove(CONTENT_TYPE);
                }
                reply
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-type-text",
        "answers ping with JSON that is called text/plain",
        &["transport-streamable-http/request-content-type"],
        || {
            replying(|asked, mut reply| {
                if asks_ping(asked) {
                    let text = HeaderValue::from_static("text/plain");
                    reply.headers_mut().insert(CONTENT_TYPE, text);
                }
                reply
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-notification-200",
        "accepts notifications with status 200",
        &["transport-streamable-http/notification-202"],
        || {
            replying(|asked, reply| match notifies(asked) {
                true => instead_of(reply, StatusCode::ACCEPTED, StatusCode::OK),
                false => reply,
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-notification-204",
        "accepts notifications with status 204",
        &["transport-streamable-http/notification-202"],
        || {
            replying(|asked, reply| match notifies(asked) {
                true => instead_of(reply, StatusCode::ACCEPTED, StatusCode::NO_CONTENT),
                false => reply,
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-202-with-body",
        "accepts notifications with a body that says so",
        &["transport-streamable-http/no-body-202"],
        || {
            replying(
                |asked, reply| match notifies(asked) && reply.status() == StatusCode::ACCEPTED {
                    true => http_server::json(StatusCode::ACCEPTED, b"{\"status\":\"accepted\"}".to_vec()),
                    false => reply,
                },
            )
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-response-200",
        "accepts responses of the client with status 200",
        &["transport-streamable-http/response-202"],
        || {
            replying(|asked, reply| match responds(asked) {
                true => instead_of(reply, StatusCode::ACCEPTED, StatusCode::OK),
                false => reply,
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-response-500",
        "breaks down over responses that nothing was asked for",
        &["transport-streamable-http/response-202"],
        || {
            replying(|asked, reply| match responds(asked) {
                true => instead_of(reply, StatusCode::ACCEPTED, StatusCode::INTERNAL_SERVER_ERROR),
                false => reply,
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-result-201",
        "answers ping with status 201",
        &["transport-streamable-http/success-status-200"],
        || {
            replying(|asked, reply| match asks_ping(asked) {
                true => instead_of(reply, StatusCode::OK, StatusCode::CREATED),
                false => reply,
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-malformed-200",
        "refuses a body that is no JSON with status 200",
        &["transport-streamable-http/malformed-body-status"],
        || replying(|asked, reply| unreadable(asked, reply, StatusCode::OK)),
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-malformed-500",
        "refuses a body that is no JSON with status 500",
        &["transport-streamable-http/malformed-body-status"],
        || replying(|asked, reply| unreadable(asked, reply, StatusCode::INTERNAL_SERVER_ERROR)),
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-malformed-accepted",
        "accepts a body that is no JSON",
        &["transport-streamable-http/malformed-body-status"],
        || {
            replying(|asked, reply| match is_unreadable(asked) {
                true => http_server::empty(StatusCode::ACCEPTED),
                false => reply,
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-json-array",
        "answers ping with an array of one response",
        &["transport-streamable-http/json-single-object"],
        || {
            replying(
                |asked, reply| match asks_ping(asked) && reply.status() == StatusCode::OK {
                    true => http_server::json(StatusCode::OK, [b"[", &answer(asked)[..], b"]"].concat()),
                    false => reply,
                },
            )
        },
    )
    .over(STREAMABLE_HTTP)
    .under(Revision::V2025_03_26),
    Fault::new(
        "http-batch-200",
        "accepts a batch without requests with status 200",
        &[
            "transport-streamable-http/batch-no-requests-202",
            "transport-streamable-http/notification-202",
        ],
        || {
            replying(|asked, reply| match posts_batch(asked) {
                true => instead_of(reply, StatusCode::ACCEPTED, StatusCode::OK),
                false => reply,
            })
        },
    )
    .over(STREAMABLE_HTTP)
    .under(Revision::V2025_03_26),
    Fault::new(
        "variant-http-delete-405",
        "is correct, and does not let clients end sessions",
        &[],
        || {
            asking(|head| {
                (head.method == Method::DELETE).then(|| {
                    let mut reply = refused(StatusCode::METHOD_NOT_ALLOWED);
                    reply.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST"));
                    reply
                })
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-json-empty",
        "answers the wish for another level of logs with an empty body of type application/json",
        &["transport-streamable-http/json-single-object"],
        || {
            replying(
                |asked, reply| match asks(asked, "logging/setLevel") && reply.status() == StatusCode::OK {
                    true => http_server::json(StatusCode::OK, Vec::new()),
                    false => reply,
                },
            )
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-get-404",
        "knows no GET at the path of its endpoint",
        &["transport-streamable-http/single-endpoint"],
        || silently_replying(|asked, reply| instead_of_stream(asked, reply, || refused(StatusCode::NOT_FOUND))),
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-get-json",
        "answers GET with a JSON document about itself",
        &["transport-streamable-http/get-sse-or-405"],
        || {
            silently_replying(|asked, reply| {
                let about = || http_server::json(StatusCode::OK, b"{\"name\":\"touchstone-reference\"}".to_vec());
                instead_of_stream(asked, reply, about)
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-get-500",
        "breaks down over GET",
        &["transport-streamable-http/get-sse-or-405"],
        || {
            silently_replying(|asked, reply| {
                instead_of_stream(asked, reply, || refused(StatusCode::INTERNAL_SERVER_ERROR))
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-405-without-allow",
        "refuses GET without saying which methods there are",
        &["transport-streamable-http/allow-header-on-405"],
        || {
            silently_replying(|asked, reply| {
                instead_of_stream(asked, reply, || refused(StatusCode::METHOD_NOT_ALLOWED))
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-origin-refusal-with-id",
        "refuses a foreign origin with an error that has an id of its own",
        &[
            "transport-streamable-http/origin-403-body",
            "base-protocol/response-id-echo",
        ],
        || {
            replying(|asked, reply| match is_foreign(&asked.head.headers) && is_post(asked) {
                true => http_server::json(StatusCode::FORBIDDEN, with_id()),
                false => reply,
            })
        },
    )
    .over(STREAMABLE_HTTP)
    .under(Revision::V2025_11_25),
    Fault::new(
        "http-refusal-with-id",
        "refuses notifications with an error that has an id of its own",
        &[
            "transport-streamable-http/rejected-input-body",
            "base-protocol/notification-no-response",
        ],
        || {
            replying(
                |asked, reply| match reply.status() == StatusCode::NOT_FOUND && notifies(asked) {
                    true => http_server::json(StatusCode::NOT_FOUND, with_id()),
                    false => reply,
                },
            )
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "variant-http-get-405",
        "is correct, and offers no stream for what belongs to no request",
        &[],
        || {
            Box::new(Silent(Plain {
                request: |head| {
                    (head.method == Method::GET).then(|| {
                        let mut reply = refused(StatusCode::METHOD_NOT_ALLOWED);
                        let allowed = HeaderValue::from_static("POST, DELETE");
                        reply.headers_mut().insert(ALLOW, allowed);
                        reply
                    })
                },
                ..PLAIN
            }))
        },
    )
    .over(STREAMABLE_HTTP),
];

fn is_unreadable(asked: &Asked) -> bool {
    asked.body().is_some() && asked.message().is_none()
}

fn unreadable(asked: &Asked, reply: Reply, status: StatusCode) -> Reply {
    match is_unreadable(asked) {
        true => with_status(reply, status),
        false => reply,
    }
}

fn posts_batch(asked: &Asked) -> bool {
    asked.body().map(Bytes::as_ref).unwrap_or_default().starts_with(b"[")
}

fn with_id() -> Vec<u8> {
    b"{\"jsonrpc\":\"2.0\",\"id\":\"refused\",\"error\":{\"code\":-32000,\"message\":\"Refused\"}}".to_vec()
}
