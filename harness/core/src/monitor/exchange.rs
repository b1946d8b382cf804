//! Requests and what answers them: which response of a conversation belongs to which request.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::conversation::{Conversation, Direction, Message};
use super::stateless;
use crate::jsonrpc::{IdToken, Shape};
use crate::revision::{Era, Revision};
use crate::trace::EventKind;

/// A request of the harness and what came of it.
pub struct Exchange<'a> {
    /// The request.
    pub request: &'a Message<'a>,
    /// Its id.
    pub id: &'a IdToken,
    /// Its method.
    pub method: &'a str,
    /// The answers, in order; exactly one when all is well.
    pub answers: Vec<Answered<'a>>,
    /// The event that says that the harness stopped waiting.
    pub gave_up: Option<usize>,
    /// Whether the harness cancelled the request, so that no answer is owed.
    pub cancelled: bool,
}

impl Exchange<'_> {
    /// Whether the request is one of the revision: in the stateless era every request names the version that it is to be served under, in the
    /// stateful era the handshake has.
    #[must_use]
    pub fn is_of(&self, revision: Revision) -> bool {
        revision.era() == Era::Stateful || stateless::version(self.request.value) == Some(revision.as_str())
    }
}

/// An answer to a request.
#[derive(Clone, Copy)]
pub struct Answered<'a> {
    /// The response.
    pub message: &'a Message<'a>,
    /// Whether its id token is the request's; if not, only its value looks the same, for example `"1"` for `1`.
    pub exact: bool,
}

/// Which messages of a conversation belong together, by their positions in its list of messages.
///
/// A response belongs to the last request before it whose id token equals its own and that lacks an answer, or failing that has one already,
/// or failing that looks the same by value. Over HTTP the request that the response came back to goes first: clients of one server may use the
/// same ids.
pub(super) struct Pairing {
    pairs: Vec<Pair>,
    strays: Vec<usize>,
}

/// An [`Exchange`] by positions.
struct Pair {
    request: usize,
    /// Each with whether its id token is the request's.
    answers: Vec<(usize, bool)>,
    gave_up: Option<usize>,
    cancelled: bool,
}

impl Pairing {
    /// Pairs the messages of the conversation.
    pub(super) fn of(conversation: &Conversation<'_>, messages: &[Message<'_>]) -> Self {
        let mut pairs: Vec<Pair> = Vec::new();
        let mut ids: Vec<&IdToken> = Vec::new();
        let mut strays = Vec::new();
        // The request that each HTTP exchange carried.
        let mut carriers: HashMap<u32, usize> = HashMap::new();
        for (position, message) in messages.iter().enumerate() {
            match (message.direction, message.shape) {
                (Direction::ToServer, Shape::Request { id, .. }) => {
                    if let (Some(number), false) = (conversation.frames()[message.frame].exchange, message.batched) {
                        carriers.insert(number, pairs.len());
                    }
                    ids.push(id);
                    pairs.push(Pair {
                        request: position,
                        answers: Vec::new(),
                        gave_up: None,
                        cancelled: false,
                    });
                }
                (Direction::ToServer, Shape::Notification { method, .. }) if method == "notifications/cancelled" => {
                    let cancelled = message.value.pointer("/params/requestId").map(Value::to_string);
                    if let Some(index) = ids.iter().rposition(|id| Some(id.as_str()) == cancelled.as_deref()) {
                        pairs[index].cancelled = true;
                    }
                }
                (Direction::FromServer, Shape::Response { id } | Shape::ErrorResponse { id }) => {
                    let carrier = conversation.frames()[message.frame]
                        .exchange
                        .and_then(|number| carriers.get(&number));
                    let found = id.as_ref().and_then(|id| {
                        let own = carrier.filter(|index| ids[**index].same_value(id));
                        own.map(|index| (*index, true)).or_else(|| find(&pairs, &ids, id))
                    });
                    match found {
                        Some((index, exact)) => pairs[index].answers.push((position, exact)),
                        None => strays.push(position),
                    }
                }
                _ => {}
            }
        }
        share_out(&mut pairs, &ids);
        let events = conversation.trace().events.iter().enumerate();
        let gave_up: BTreeMap<&str, usize> = events
            .filter_map(|(event, entry)| match &entry.kind {
                EventKind::GaveUp { id, .. } => Some((id.as_str(), event)),
                _ => None,
            })
            .collect();
        for (pair, id) in pairs.iter_mut().zip(ids) {
            pair.gave_up = gave_up.get(id.as_str()).copied();
        }
        Self { pairs, strays }
    }

    /// The exchanges and the strays among the messages that were paired.
    pub(super) fn applied_to<'m>(&self, messages: &'m [Message<'m>]) -> (Vec<Exchange<'m>>, Vec<&'m Message<'m>>) {
        let exchange = |pair: &Pair| {
            let request = &messages[pair.request];
            let Shape::Request { id, method, .. } = request.shape else {
                return None;
            };
            let answer = |(position, exact): &(usize, bool)| Answered {
                message: &messages[*position],
                exact: *exact,
            };
            Some(Exchange {
                request,
                id,
                method,
                answers: pair.answers.iter().map(answer).collect(),
                gave_up: pair.gave_up,
                cancelled: pair.cancelled,
            })
        };
        let strays = self.strays.iter().map(|position| &messages[*position]);
        (self.pairs.iter().filter_map(exchange).collect(), strays.collect())
    }
}

/// Where one request has two answers and another, whose id differs only in type, has none, the second answer was meant for the other.
fn share_out(pairs: &mut [Pair], ids: &[&IdToken]) {
    for index in 0..pairs.len() {
        if !pairs[index].answers.is_empty() {
            continue;
        }
        let donor = pairs
            .iter()
            .zip(ids)
            .position(|(other, id)| other.answers.len() > 1 && id.looks_like(ids[index]));
        if let Some((position, _)) = donor.and_then(|donor| pairs[donor].answers.pop()) {
            pairs[index].answers.push((position, false));
        }
    }
}

/// The pair that a response with this id belongs to, and whether the token is exactly the request's.
fn find(pairs: &[Pair], ids: &[&IdToken], id: &IdToken) -> Option<(usize, bool)> {
    let last = |alike: &dyn Fn(&IdToken) -> bool| {
        let open = (0..ids.len())
            .rev()
            .find(|index| alike(ids[*index]) && pairs[*index].answers.is_empty());
        open.or_else(|| ids.iter().rposition(|other| alike(other)))
    };
    last(&|other| other.same_value(id))
        .map(|index| (index, true))
        .or_else(|| last(&|other| other.looks_like(id)).map(|index| (index, false)))
}
