//! The stateless era, revision 2026-07-28: no handshake, no sessions, and every request says for itself what it needs to say.
//!
//! `rules` is the list of what a request must fulfil before anything is done for it, `headers` what of it stands in the HTTP
//! header; `results` completes what the features have answered; `rounds` asks the client inside results instead of by
//! requests, with `seal` for the state that the client keeps meanwhile; `subscriptions` knows who listens to what; `tasks` is
//! the extension by which calls go on after their answer. How they play together is told in `conversation/stateless`.
//!
//! Nothing of a request is remembered for the next one. What tools have changed is the server's, not a client's.

mod headers;
mod results;
mod rounds;
mod rules;
mod seal;
mod subscriptions;
mod tasks;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use serde_json::Value;

pub(crate) use self::results::{complete, discovery};
pub(crate) use self::rounds::{Answered, bound_to};
pub(crate) use self::rules::{Asked, CLIENT_CAPABILITIES, LOG_LEVEL, RULES, Rule};
pub(crate) use self::seal::{open, seal};
pub(crate) use self::subscriptions::Subscriptions;
use self::tasks::{Support, Tasks};
use crate::conversation::Options;
use crate::envelope::RpcError;
use crate::features::{Object, Session};
use crate::revision::Revision;

/// The prefix of everything in `_meta` that is the protocol's.
pub(crate) const PREFIX: &str = "io.modelcontextprotocol/";

/// What the server knows beyond a single request.
#[derive(Debug)]
pub(crate) struct Stateless {
    /// The revisions without handshake that are served, newest first.
    pub(crate) served: Vec<Revision>,
    /// Whether there are revisions with a handshake as well.
    pub(crate) dual: bool,
    /// What the tools have changed.
    pub(crate) session: Session,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) tasks: Tasks,
    /// Whether a request of this era has come on the connection: then a request without metadata is a broken one of this era.
    pub(crate) seen: bool,
    /// Many clients share the conversation, one POST at a time: an id names no request then, and everything that comes is of
    /// this era.
    pub(crate) shared: bool,
    /// The header of the POST that is being answered.
    pub(crate) posted: Option<HeaderMap>,
    /// The time since 1970.
    pub(crate) now: Duration,
}

impl Stateless {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            served: options.without_handshake(),
            dual: options.has_handshake(),
            session: Session::new(Revision::V2026_07_28, options.page_size, Arc::clone(&options.scratch)),
            subscriptions: Subscriptions::default(),
            tasks: Tasks::default(),
            seen: false,
            shared: false,
            posted: None,
            now: Duration::ZERO,
        }
    }

    /// Says what time it is. Time does not run backwards, whatever becomes of the clock.
    pub(crate) fn advance(&mut self, since_1970: Duration) {
        self.now = self.now.max(since_1970);
    }

    /// The client of stdio has cancelled the request: who listened by it listens no more.
    pub(crate) fn cancelled(&mut self, request: &Value) {
        if !self.shared {
            self.subscriptions.cancel(request);
        }
    }

    /// Whether everything is of this era, whatever it looks like.
    pub(crate) fn is_alone(&self) -> bool {
        !self.served.is_empty() && (self.shared || !self.dual)
    }

    /// Whether the params of a request are those of this era, by what stands in `_meta`.
    pub(crate) fn speaks(params: &Object) -> bool {
        let names = ["protocolVersion", "clientCapabilities", "clientInfo", "logLevel"];
        let meta = params.get("_meta").and_then(Value::as_object);
        meta.is_some_and(|meta| {
            meta.keys()
                .any(|key| key.strip_prefix(PREFIX).is_some_and(|name| names.contains(&name)))
        })
    }

    /// Answers a method of the features; a question becomes a result that waits for input.
    pub(crate) fn answer(&mut self, method: &str, params: &Object) -> Result<Answered, RpcError> {
        const METHODS: [&str; 8] = [
            "tools/list",
            "tools/call",
            "resources/list",
            "resources/templates/list",
            "resources/read",
            "prompts/list",
            "prompts/get",
            "completion/complete",
        ];
        let now = self.now;
        if ["tasks/get", "tasks/update", "tasks/cancel"].contains(&method) {
            if !tasks::declared(&self.session) {
                return Err(tasks::undeclared());
            }
            let answer = self.tasks.answer(&mut self.session, method, params, now)?;
            return Ok(Answered::Complete(answer.into()));
        }
        if !METHODS.contains(&method) {
            return Err(RpcError::method_not_found(method));
        }
        let tool = params.get("name").and_then(Value::as_str);
        let support = tool.filter(|_| method == "tools/call").and_then(tasks::support);
        match support {
            Some(support) if tasks::declared(&self.session) => self.as_task(support, method, params),
            Some(Support::Required | Support::AfterInput) => Err(tasks::undeclared()),
            _ => rounds::answer(&mut self.session, method, params, now),
        }
    }

    /// Carries a call out as a task. What is answered at once is none, such as that the arguments are wrong.
    fn as_task(&mut self, support: Support, method: &str, params: &Object) -> Result<Answered, RpcError> {
        let answer = match support {
            Support::AfterInput => match rounds::answer(&mut self.session, method, params, self.now)? {
                Answered::Complete(answer) => answer,
                waiting => return Ok(waiting),
            },
            _ => self.session.answer(method, params)?,
        };
        if answer.after.is_zero() && answer.ask.is_none() {
            return Ok(Answered::Complete(answer));
        }
        let handle = self.tasks.begin(answer, self.session.principal.clone(), self.now)?;
        Ok(Answered::Complete(handle.into()))
    }
}
