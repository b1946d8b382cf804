//! Sessions of Streamable HTTP: their ids, and who is served without a good one.

use std::collections::BTreeSet;

use http::header::{HeaderValue, ORIGIN};
use http::request::Parts;
use http::{Method, StatusCode};

use super::super::{Fault, STREAMABLE_HTTP};
use super::{SESSION, asking, has_odd_revision, http, instead_of, is_post, notifies, refused, replying, with_status};
use crate::transport::deviation::{Asked, HttpDecorator};
use crate::transport::http_server::{self, Reply};

pub(in super::super) const FAULTS: &[Fault] = &[
    Fault::new(
        "http-session-id-space",
        "makes session ids with a space in them",
        &["transport-streamable-http/session-id-charset"],
        || http(Ids(|_, random| format!("session {random}"))),
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-session-id-counted",
        "counts its sessions, and takes the number as id",
        &["transport-streamable-http/session-id-secure"],
        || http(Counted(Ids(|count, _| format!("session-{count}")), 0)),
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-session-id-short",
        "makes session ids of 24 random bits",
        &["transport-streamable-http/session-id-secure"],
        || http(Ids(|_, random| random[..6].to_owned())),
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-session-unknown-400",
        "refuses a session id that it does not know with status 400",
        &["transport-streamable-http/session-unknown-404"],
        || {
            http(Sessions::new(|sessions, id| {
                (!sessions.given.contains(id)).then_some(StatusCode::BAD_REQUEST)
            }))
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-session-unknown-401",
        "refuses a session id that it does not know with status 401",
        &["transport-streamable-http/session-unknown-404"],
        || {
            http(Sessions::new(|sessions, id| {
                (!sessions.given.contains(id)).then_some(StatusCode::UNAUTHORIZED)
            }))
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-session-unknown-500",
        "breaks down over a session id that it does not know",
        &["transport-streamable-http/session-unknown-404"],
        || {
            http(Sessions::new(|sessions, id| {
                (!sessions.given.contains(id)).then_some(StatusCode::INTERNAL_SERVER_ERROR)
            }))
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-session-invented",
        "serves a session id that it has never given",
        &["transport-streamable-http/session-unknown-404"],
        || http(Invented(Sessions::new(|_, _| None))),
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-session-unknown-accepted",
        "accepts notifications for sessions that it does not know",
        &["transport-streamable-http/rejected-input-http-error"],
        || {
            replying(|asked, reply| match notifies(asked) {
                true if reply.status() == StatusCode::NOT_FOUND => http_server::empty(StatusCode::ACCEPTED),
                _ => reply,
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-session-zombie",
        "says that a session is ended, and goes on to serve it",
        &["transport-streamable-http/session-terminated-404"],
        || {
            asking(|head| {
                let sound = head.headers.contains_key(SESSION)
                    && !head.headers.contains_key(ORIGIN)
                    && !has_odd_revision(&head.headers);
                (head.method == Method::DELETE && sound).then(|| http_server::empty(StatusCode::OK))
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-session-ended-400",
        "refuses a session that was ended with status 400",
        &["transport-streamable-http/session-terminated-404"],
        || {
            http(Sessions::new(|sessions, id| {
                sessions.ended.contains(id).then_some(StatusCode::BAD_REQUEST)
            }))
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-session-ended-stream",
        "opens a stream for a session that was ended",
        &["transport-streamable-http/session-terminated-404-get"],
        || http(EndedStream(Sessions::new(|_, _| None))),
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-delete-500",
        "breaks down over the end of a session",
        &["transport-streamable-http/session-delete"],
        || {
            replying(|asked, reply| match asked.head.method == Method::DELETE {
                true => instead_of(reply, StatusCode::OK, StatusCode::INTERNAL_SERVER_ERROR),
                false => reply,
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-session-missing-404",
        "refuses POSTs without a session id with status 404",
        &["transport-streamable-http/session-required-400"],
        || {
            replying(
                |asked, reply| match is_post(asked) && !asked.head.headers.contains_key(SESSION) {
                    true if !has_odd_revision(&asked.head.headers) && asked.message().is_some() => {
                        instead_of(reply, StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND)
                    }
                    _ => reply,
                },
            )
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-session-missing-stream",
        "opens a stream for a client without a session id",
        &["transport-streamable-http/session-required-400-get"],
        || {
            asking(|head| {
                let lacks = head.method == Method::GET && !head.headers.contains_key(SESSION);
                lacks.then(http_server::silent_stream)
            })
        },
    )
    .over(STREAMABLE_HTTP),
    Fault::new(
        "http-session-missing-delete-404",
        "refuses a DELETE without a session id with status 404",
        &["transport-streamable-http/session-required-400-get"],
        || {
            asking(|head| {
                let lacks = head.method == Method::DELETE && !head.headers.contains_key(SESSION);
                lacks.then(|| refused(StatusCode::NOT_FOUND))
            })
        },
    )
    .over(STREAMABLE_HTTP),
];

/// How ids of sessions are made from their number and a random id.
#[derive(Clone, Copy, Debug)]
struct Ids(fn(u64, &str) -> String);

impl HttpDecorator for Ids {
    fn session_id(&mut self, id: String) -> String {
        (self.0)(0, &id)
    }
}

/// Ids of sessions with a number.
#[derive(Clone, Copy, Debug)]
struct Counted(Ids, u64);

impl HttpDecorator for Counted {
    fn session_id(&mut self, id: String) -> String {
        self.1 += 1;
        self.0.0(self.1, &id)
    }
}

/// The sessions that there are and were, and what status the ids of others get.
#[derive(Clone, Debug)]
struct Sessions {
    given: BTreeSet<String>,
    ended: BTreeSet<String>,
    status: fn(&Self, &str) -> Option<StatusCode>,
}

impl Sessions {
    fn new(status: fn(&Self, &str) -> Option<StatusCode>) -> Self {
        let (given, ended) = Default::default();
        Self { given, ended, status }
    }
}

fn session_of(head: &Parts) -> Option<&str> {
    head.headers.get(SESSION)?.to_str().ok()
}

impl HttpDecorator for Sessions {
    fn session_id(&mut self, id: String) -> String {
        self.given.insert(id.clone());
        id
    }

    fn reply(&mut self, asked: &Asked, reply: Reply) -> Reply {
        let Some(id) = session_of(&asked.head) else {
            return reply;
        };
        if reply.status() == StatusCode::NOT_FOUND {
            if !is_post(asked) || notifies(asked) {
                return reply;
            }
            return match (self.status)(self, id) {
                Some(status) => with_status(reply, status),
                None => reply,
            };
        }
        if asked.head.method == Method::DELETE && reply.status().is_success() {
            self.ended.insert(id.to_owned());
        }
        reply
    }
}

/// Opens silent streams for sessions that were ended.
#[derive(Clone, Debug)]
struct EndedStream(Sessions);

impl HttpDecorator for EndedStream {
    fn session_id(&mut self, id: String) -> String {
        self.0.session_id(id)
    }

    fn reply(&mut self, asked: &Asked, reply: Reply) -> Reply {
        let ended = session_of(&asked.head).is_some_and(|id| self.0.ended.contains(id));
        match ended && asked.head.method == Method::GET {
            true => http_server::silent_stream(),
            false => self.0.reply(asked, reply),
        }
    }
}

/// Takes ids that were never given for one of the sessions that there are.
#[derive(Clone, Debug)]
struct Invented(Sessions);

impl HttpDecorator for Invented {
    fn session_id(&mut self, id: String) -> String {
        self.0.session_id(id)
    }

    fn request(&mut self, head: &mut Parts) -> Option<Reply> {
        let unknown = !self.0.given.contains(session_of(head)?);
        if unknown {
            let mut alive = self.0.given.difference(&self.0.ended);
            head.headers.insert(SESSION, HeaderValue::from_str(alive.next()?).ok()?);
        }
        None
    }

    fn reply(&mut self, asked: &Asked, reply: Reply) -> Reply {
        self.0.reply(asked, reply)
    }
}
