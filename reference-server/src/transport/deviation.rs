//! What a fault may change about HTTP, at the few places where the transports ask; without faults nobody answers.
//!
//! Two kinds of instances are asked: one of the endpoint (connections, requests, session ids, replies), and one of each
//! session (its streams). Over HTTP+SSE the endpoint's instance is asked about the streams as well.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use serde_json::Value;

use super::http_server::Reply;
use crate::faults::Fault;

/// A request as it came, for whoever changes the reply.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Method, target and header fields.
    pub(crate) head: Parts,
    /// The body that was read of it.
    posted: Posted,
}

/// Where the body of a request is kept once it was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Posted(Arc<OnceLock<Bytes>>);

impl Posted {
    /// Keeps the body.
    pub(crate) fn keep(&self, body: &Bytes) {
        // A body is read once, so there is nothing there yet.
        let _ = self.0.set(body.clone());
    }
}

impl Asked {
    pub(crate) fn new(head: Parts, posted: Posted) -> Self {
        Self { head, posted }
    }

    /// What was posted, if that is JSON.
    pub(crate) fn message(&self) -> Option<Value> {
        serde_json::from_slice(self.posted.0.get()?).ok()
    }

    /// What was posted, whatever it is.
    pub(crate) fn body(&self) -> Option<&Bytes> {
        self.posted.0.get()
    }
}

/// Why there is a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It answers a POST.
    Answer,
    /// It was opened by a GET.
    Listening,
}

/// What the server does with a stream.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// It begins; a primed one with an event that has an id and no data.
    Open {
        stream: u64,
        purpose: Purpose,
        primed: bool,
    },
    /// It brings an event.
    Send {
        stream: u64,
        kind: &'static str,
        data: Vec<u8>,
    },
    /// Its connection is closed, after an event that says when to come back; what is sent later waits for that.
    Interrupt { stream: u64, retry: Option<Duration> },
    /// It ends.
    End { stream: u64 },
}

impl Act {
    /// The stream.
    pub(crate) fn stream(&self) -> u64 {
        let (Self::Open { stream, .. }
        | Self::Send { stream, .. }
        | Self::Interrupt { stream, .. }
        | Self::End { stream }) = self;
        *stream
    }

    /// The message that is sent.
    pub(crate) fn message(&self) -> Option<Value> {
        match self {
            Self::Send { data, .. } => serde_json::from_slice(data).ok(),
            _ => None,
        }
    }
}

/// What a fault changes about HTTP.
pub(crate) trait HttpDecorator: fmt::Debug + Send {
    /// Bytes as they come from a connection.
    fn received(&mut self, _bytes: &mut [u8]) {}

    /// The head of a request before anything looks at it. A reply here stands for all that the server would do.
    fn request(&mut self, _head: &mut Parts) -> Option<Reply> {
        None
    }

    /// The session id to give instead.
    fn session_id(&mut self, id: String) -> String {
        id
    }

    /// The reply to give instead.
    fn reply(&mut self, _asked: &Asked, reply: Reply) -> Reply {
        reply
    }

    /// What to do with the streams instead.
    fn act(&mut self, act: Act) -> Vec<Act> {
        vec![act]
    }

    /// The bytes of one event of a stream to send instead.
    fn event(&mut self, _stream: u64, event: Bytes) -> Bytes {
        event
    }

    /// Whether what is said on a stream that nobody reads at the moment is kept.
    fn keeps_unread(&self) -> bool {
        true
    }

    /// What to send to a client that comes back with the id of an event: `None` is for an id that is not known.
    /// `everything` is what was sent on all streams so far.
    fn missed(&mut self, missed: Option<Vec<Bytes>>, _everything: &[Bytes]) -> Option<Vec<Bytes>> {
        missed
    }
}

/// All that faults change about HTTP, in the order of the faults.
#[derive(Debug, Default)]
pub(crate) struct Deviations(Mutex<Vec<Box<dyn HttpDecorator>>>);

impl Deviations {
    /// A new instance of what these faults change.
    pub(crate) fn of(faults: &[&'static Fault]) -> Self {
        let decorators = faults.iter().filter_map(|fault| fault.decorator().http());
        Self(Mutex::new(decorators.collect()))
    }

    pub(crate) fn received(&self, bytes: &mut [u8]) {
        self.each(|decorator| decorator.received(bytes));
    }

    /// The reply of the first fault that has one.
    pub(crate) fn request(&self, head: &mut Parts) -> Option<Reply> {
        let mut decorators = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        decorators.iter_mut().find_map(|decorator| decorator.request(head))
    }

    pub(crate) fn session_id(&self, id: String) -> String {
        self.fold(id, |decorator, id| decorator.session_id(id))
    }

    pub(crate) fn reply(&self, asked: &Asked, reply: Reply) -> Reply {
        self.fold(reply, |decorator, reply| decorator.reply(asked, reply))
    }

    pub(crate) fn act(&self, act: Act) -> Vec<Act> {
        self.fold(vec![act], |decorator, acts| {
            acts.into_iter().flat_map(|act| decorator.act(act)).collect()
        })
    }

    pub(crate) fn event(&self, stream: u64, event: Bytes) -> Bytes {
        self.fold(event, |decorator, event| decorator.event(stream, event))
    }

    pub(crate) fn keeps_unread(&self) -> bool {
        self.fold(true, |decorator, keeps| keeps && decorator.keeps_unread())
    }

    pub(crate) fn missed(&self, missed: Option<Vec<Bytes>>, everything: &[Bytes]) -> Option<Vec<Bytes>> {
        self.fold(missed, |decorator, missed| decorator.missed(missed, everything))
    }

    fn each(&self, mut visit: impl FnMut(&mut dyn HttpDecorator)) {
        self.fold((), |decorator, ()| visit(decorator));
    }

    /// A fault that panics leaves nothing half done that matters.
    fn fold<T>(&self, start: T, mut step: impl FnMut(&mut dyn HttpDecorator, T) -> T) -> T {
        let mut decorators = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        decorators
            .iter_mut()
            .fold(start, |value, decorator| step(decorator.as_mut(), value))
    }
}
