//! How a conversation takes in what is of the stateless era, request by request.
//!
//! Over stdio both eras can be spoken on one connection: a request is of this era when its `_meta` says so, or when only this
//! era has its method. One without such a sign is of the stateful era if there was a handshake or nothing of this era
//! before; else it is a broken request of this one.

use std::time::Duration;

use http::HeaderMap;
use serde_json::{Value, json};

use super::{Conversation, Options, Output};
use crate::envelope::{Frame, Incoming, Message, Request, Response, RpcError};
use crate::faults::Received;
use crate::features::Answer;
use crate::stateless::{Answered, Asked, CLIENT_CAPABILITIES, LOG_LEVEL, RULES, Rule, Stateless, complete, discovery};

/// Where the numbers of alarms for tasks begin; below are questions to the client.
const TASKS: u64 = 1 << 63;

impl Conversation {
    /// A conversation of the stateless era alone, which all clients of an endpoint share.
    pub(crate) fn shared(options: &Options) -> Self {
        let mut conversation = Self::new(options);
        conversation.stateless.shared = true;
        conversation
    }

    /// Takes a frame that came by POST under this header.
    pub(crate) fn receive_posted(&mut self, headers: HeaderMap, bytes: &[u8]) -> Vec<Output> {
        self.stateless.posted = Some(headers);
        let outputs = self.receive(bytes);
        self.stateless.posted = None;
        outputs
    }

    /// Says whom the frames that follow come from, where that is known.
    pub(crate) fn serve(&mut self, principal: Option<String>) {
        self.stateless.session.principal = principal;
    }

    /// Forgets a listener that is gone.
    pub(crate) fn forget_listener(&mut self, listener: u64) {
        self.stateless.subscriptions.forget(listener);
    }

    /// Ends all subscriptions with their results.
    pub(crate) fn end_subscriptions(&mut self) -> Vec<Output> {
        let ended = self.stateless.subscriptions.end();
        let outputs = ended.into_iter().map(closing).collect();
        self.decorators.iter_mut().fold(outputs, |outputs, decorator| {
            decorator.outputs(Received::Other, outputs)
        })
    }

    /// Whether the frame is of the stateless era.
    pub(super) fn is_stateless(&self, frame: &Frame) -> bool {
        let stateless = &self.stateless;
        let by_connection = stateless.is_alone() || (stateless.seen && self.negotiated.is_none());
        match frame {
            _ if stateless.served.is_empty() => false,
            Frame::One(Incoming::Request(request)) => {
                let own = ["server/discover", "subscriptions/listen"].contains(&request.method.as_str());
                let says = request.params.as_ref().is_ok_and(Stateless::speaks);
                let handshake = request.method == "initialize" && !stateless.is_alone();
                says || (own && self.negotiated.is_none()) || (by_connection && !handshake)
            }
            // Over stdio both eras have the same notification, and neither has any answer to it.
            Frame::One(Incoming::Notification { .. } | Incoming::Response { .. }) => stateless.is_alone(),
            _ => by_connection,
        }
    }

    pub(super) fn receive_stateless(&mut self, frame: Frame) -> Vec<Output> {
        match frame {
            Frame::One(Incoming::Request(request)) => {
                self.stateless.seen = true;
                self.request(&request)
            }
            // Who shares the conversation ends a request by closing its stream.
            Frame::One(Incoming::Notification { method, params }) if !self.stateless.shared => {
                self.notified(&method, params)
            }
            Frame::One(Incoming::Notification { .. } | Incoming::Response { .. }) => Vec::new(),
            Frame::One(Incoming::Invalid { id, error }) => vec![refused(&Response {
                id,
                outcome: Err(error),
            })],
            Frame::Unparseable(error) => vec![anonymous(&error)],
            Frame::Array(_) => vec![anonymous(&RpcError::invalid_request(
                "Invalid request: a message is an object, and comes alone",
            ))],
        }
    }

    fn request(&mut self, request: &Request) -> Vec<Output> {
        match self.perform_stateless(request) {
            Ok(outputs) => outputs,
            Err(error) => vec![self.respond(request, Err(error), Duration::ZERO)],
        }
    }

    fn perform_stateless(&mut self, request: &Request) -> Result<Vec<Output>, RpcError> {
        let unreadable = |error: &String| RpcError::invalid_params(format!("Invalid params: {error}"));
        let params = request.params.as_ref().map_err(unreadable)?;
        for (rule, check) in RULES {
            let broken = check(&Asked {
                method: &request.method,
                params,
                headers: self.stateless.posted.as_ref(),
                served: &self.stateless.served,
                dual: self.stateless.dual,
                session: &self.stateless.session,
            });
            if let Some(error) = broken {
                self.refuse(rule, &request.method, error)?;
            }
        }
        let meta = params.get("_meta").and_then(Value::as_object);
        let said = |key: &str| meta.and_then(|meta| meta.get(key));
        let client = said(CLIENT_CAPABILITIES).cloned().unwrap_or_default();
        let level = said(LOG_LEVEL).and_then(Value::as_str);
        self.stateless.session.begin_request(client, level);
        match request.method.as_str() {
            "server/discover" => {
                let discovery = discovery(&self.stateless.served);
                Ok(vec![self.respond(request, Ok(discovery), Duration::ZERO)])
            }
            "subscriptions/listen" => {
                let Stateless {
                    subscriptions,
                    session,
                    tasks,
                    ..
                } = &mut self.stateless;
                subscriptions.listen(session, tasks, &request.id, params)
            }
            method => Ok(match self.stateless.answer(method, params)? {
                Answered::Complete(answer) => self.answered(request, answer),
                Answered::Waiting(waiting) => {
                    let waiting = complete(method, waiting);
                    vec![self.respond(request, Ok(waiting), Duration::ZERO)]
                }
            }),
        }
    }

    /// Refuses a request, unless a fault lets it pass.
    fn refuse(&mut self, rule: Rule, method: &str, error: RpcError) -> Result<(), RpcError> {
        let refusal = self.decorators.iter_mut().try_fold(error, |error, decorator| {
            decorator.refusal(rule, method, error).ok_or(())
        });
        refusal.map_or(Ok(()), Err)
    }

    /// The answer of a feature: what it says on the way, what others are told, and the response.
    fn answered(&mut self, request: &Request, answer: Answer) -> Vec<Output> {
        let id = request.id.value();
        let on_the_way = answer.notifications.iter().map(|(after, message)| Output::Message {
            message: message.clone(),
            after: *after,
            request: id.clone(),
        });
        let mut outputs: Vec<Output> = on_the_way.collect();
        outputs.extend(
            answer
                .asides
                .iter()
                .flat_map(|news| self.stateless.subscriptions.tell(news)),
        );
        let outcome = answer.outcome().map(|result| complete(&request.method, result));
        outputs.push(self.respond(request, outcome, answer.after));
        if let Some(id) = self.stateless.session.ending.take() {
            let ended = self.stateless.subscriptions.end_named(&id);
            outputs.extend(ended.into_iter().map(closing));
        }
        let (news, later) = self.stateless.tasks.take_news(self.stateless.now);
        outputs.extend(news.iter().flat_map(|news| self.stateless.subscriptions.tell(news)));
        outputs.extend(later.into_iter().map(|(task, after)| Output::Wake {
            after,
            question: TASKS + task,
            request: None,
        }));
        outputs
    }

    /// What is told of a task when its time has come.
    pub(super) fn wake_task(&mut self, alarm: u64) -> Vec<Output> {
        let task = alarm.checked_sub(TASKS);
        let done = task.and_then(|task| self.stateless.tasks.done(task, self.stateless.now));
        done.map(|news| self.stateless.subscriptions.tell(&news))
            .unwrap_or_default()
    }

    fn respond(&mut self, request: &Request, outcome: Result<Value, RpcError>, after: Duration) -> Output {
        let response = self.decorated(request, outcome);
        Output::Message {
            message: Message::Response(response),
            after,
            request: request.id.value(),
        }
    }
}

/// The result by which a subscription ends.
fn closing((listener, response): (u64, Response)) -> Output {
    let outcome = response.outcome.map(|result| complete("subscriptions/listen", result));
    let message = Message::Response(Response { outcome, ..response });
    Output::News { listener, message }
}

/// A refusal of what is no request, with its id if it has one that can be read.
fn refused(response: &Response) -> Output {
    match (&response.outcome, response.id.value()) {
        (Err(error), None | Some(Value::Null)) => anonymous(error),
        _ => super::now(response.clone()),
    }
}

/// A refusal without id: since 2025-11-25 the member may be left out, and the type never had a null.
fn anonymous(error: &RpcError) -> Output {
    let message = json!({ "jsonrpc": "2.0", "error": error });
    Output::Message {
        message: Message::Raw(message.to_string().into_bytes()),
        after: Duration::ZERO,
        request: None,
    }
}

#[cfg(test)]
mod tests;
