//! Faults of a server that knows whom it serves, and forgets it where it keeps something for somebody.

use std::sync::{Mutex, PoisonError};

use http::header::AUTHORIZATION;
use serde_json::{Value, json};

use super::super::authorization::Authorizing;
use super::super::spoil::entry;
use super::super::{Decorator, Fault};
use super::http_fault;
use crate::authorization::Deviation;
use crate::envelope::{Request, Response};
use crate::transport::deviation::HttpDecorator;
use crate::transport::http_server::Reply;

/// A fault of a server with authorization.
const fn fault(
    id: &'static str,
    summary: &'static str,
    caught_by: &'static [&'static str],
    make: fn() -> Box<dyn Decorator>,
) -> Fault {
    http_fault(id, summary, caught_by, make).served_with(&["--authorization"])
}

pub(in super::super) const FAULTS: &[Fault] = &[
    fault(
        "auth-state-anybody",
        "takes the state of a request from whoever sends it",
        &["mrtr/state-bound-to-principal"],
        || {
            anybody(
                const {
                    &Deviation {
                        principal: |message, subject| about(message, "test_input_required", subject),
                        ..Deviation::NONE
                    }
                },
            )
        },
    ),
    fault(
        "auth-handle-anybody",
        "takes a handle for proof that its sender may use it",
        &["security/state-handle-not-auth"],
        || {
            anybody(
                const {
                    &Deviation {
                        principal: |message, subject| about(message, "_handle", subject),
                        ..Deviation::NONE
                    }
                },
            )
        },
    ),
    fault(
        "auth-task-anybody",
        "tells whoever knows the id of a task about it",
        &["ext-tasks/auth-per-request"],
        || {
            anybody(
                const {
                    &Deviation {
                        principal: |message, subject| {
                            let method = message["method"].as_str().unwrap_or_default();
                            match method.starts_with("tasks/") {
                                true => "anybody".to_owned(),
                                false => about(message, "slow_compute", subject),
                            }
                        },
                        ..Deviation::NONE
                    }
                },
            )
        },
    ),
    fault(
        "auth-list-of-last",
        "describes a tool by who has asked for the list before",
        &["authorization/lists-vary-only-by-credentials"],
        || Box::new(Personal { of_last: true }),
    ),
    fault(
        "auth-list-public",
        "describes a tool for who asks, and lets everybody keep that",
        &["caching/public-has-no-user-data"],
        || Box::new(Personal { of_last: false }),
    ),
];

fn anybody(deviation: &'static Deviation) -> Box<dyn Decorator> {
    Box::new(Authorizing(deviation))
}

/// Takes a call of tools with such a name for that of anybody.
fn about(message: &Value, name: &str, subject: String) -> String {
    let called = message.pointer("/params/name").and_then(Value::as_str);
    match called.is_some_and(|called| called.contains(name)) {
        true => "anybody".to_owned(),
        false => subject,
    }
}

/// The credentials of the last request, and of the last one for the list of tools. The decorators of a conversation see no header.
static SEEN: Mutex<(String, String)> = Mutex::new((String::new(), String::new()));

/// `auth-list-of-last`, `auth-list-public`.
#[derive(Clone, Debug)]
struct Personal {
    of_last: bool,
}

impl HttpDecorator for Personal {
    fn request(&mut self, head: &mut http::request::Parts) -> Option<Reply> {
        let token = head.headers.get(AUTHORIZATION).and_then(|token| token.to_str().ok());
        let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
        seen.0 = token.unwrap_or_default().to_owned();
        None
    }
}

impl Decorator for Personal {
    fn http(&self) -> Option<Box<dyn HttpDecorator>> {
        Some(Box::new(self.clone()))
    }

    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if request.method != "tools/list" {
            return response;
        }
        let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
        let (current, last) = &mut *seen;
        let before = std::mem::replace(last, current.clone());
        let whose = if self.of_last { &before } else { &*current };
        let mark = whose
            .bytes()
            .fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        if let Ok(result) = &mut response.outcome
            && let Some(tool) = entry(result, "tools", "add")
        {
            tool["description"] = json!(format!("Adds two integers, for user {mark:x}."));
        }
        response
    }
}
