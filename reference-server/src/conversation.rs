//! One conversation with one client: message bytes in, outputs out, no clock and no input or output.
//!
//! A tool may need the client first: then a question (a request to the client) is sent instead of the response, and the
//! tool goes on when the answer has come, or when its time is over (`wake`).
//!
//! Requests of the stateless era go their own way (`conversation/stateless`), also in a conversation that has begun with
//! a handshake: each of them says by itself what it is.
//!
//! `receive` reads the frame, answers every request in it through `features`, lets the faults (if any) spoil each
//! answer, and schedules the answers; a transport sends them when they are due.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::envelope::{self, Frame, Id, Incoming, Message, Reply, Request, Response, RpcError};
use crate::faults::{Decorator, Fault, Received};
use crate::features::{Answer, Continuation, Scratch, Session, showcase};
use crate::revision::Revision;
use crate::stateless::Stateless;
use crate::transport::Answers;

/// What a conversation needs to know. Conversations made from clones share the scratch directory of `write_note`.
#[derive(Clone, Debug)]
pub struct Options {
    /// The revisions to negotiate; never empty.
    pub(crate) revisions: Vec<Revision>,
    pub(crate) faults: Vec<&'static Fault>,
    pub(crate) page_size: usize,
    /// In which form requests are answered over Streamable HTTP.
    pub(crate) answers: Answers,
    /// Whether each request stands for itself.
    pub(crate) stateless: bool,
    pub(crate) scratch: Arc<Scratch>,
}

impl Options {
    /// Options for the revisions (none: all) and faults (none: a correct server), and for lists of `page_size` items
    /// a page (at least one).
    pub fn new(revisions: &[Revision], faults: &[&'static Fault], page_size: usize) -> Self {
        let revisions = if revisions.is_empty() {
            Revision::ALL.to_vec()
        } else {
            revisions.to_vec()
        };
        Self {
            revisions,
            faults: faults.to_vec(),
            page_size: page_size.max(1),
            answers: Answers::default(),
            stateless: false,
            scratch: Arc::default(),
        }
    }

    /// The same options for another mode of Streamable HTTP.
    #[must_use]
    pub fn answering(self, answers: Answers, stateless: bool) -> Self {
        let revisions: Vec<Revision> = self
            .revisions
            .iter()
            .copied()
            // Who remembers nothing must be told the revision by each request, which clients of 2024-11-05 do not do.
            .filter(|revision| !stateless || *revision > Revision::V2024_11_05)
            .collect();
        Self {
            revisions: if revisions.is_empty() {
                self.revisions
            } else {
                revisions
            },
            answers,
            stateless,
            ..self
        }
    }

    /// Whether the client can be asked: a question needs a stream, and somebody who remembers it.
    fn can_ask(&self) -> bool {
        !self.stateless && self.answers != Answers::Json
    }

    /// The revisions that begin with a handshake.
    fn stateful(&self) -> impl Iterator<Item = Revision> {
        self.revisions
            .iter()
            .copied()
            .filter(|revision| !revision.is_stateless())
    }

    /// The revisions without handshake, newest first.
    pub(crate) fn without_handshake(&self) -> Vec<Revision> {
        let all = Revision::ALL.into_iter().rev();
        all.filter(|revision| revision.is_stateless() && self.revisions.contains(revision))
            .collect()
    }

    /// Whether some revision begins with a handshake.
    pub(crate) fn has_handshake(&self) -> bool {
        self.stateful().next().is_some()
    }

    /// The newest revision to negotiate.
    pub(crate) fn newest(&self) -> Revision {
        self.stateful().max().unwrap_or(Revision::V2025_11_25)
    }

    /// Whether the date is that of a revision to negotiate.
    pub(crate) fn supported(&self, date: &str) -> Option<Revision> {
        self.stateful().find(|revision| revision.as_str() == date)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new(&[], &[], 3)
    }
}

/// What a transport has to do.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send a message once the time has passed.
    Message {
        /// The message.
        message: Message,
        /// How long after the message that caused it.
        after: Duration,
        /// The id of the request it belongs to; `None` for batches and for answers without an id.
        request: Option<Value>,
    },
    /// Send no more about this request: the client has cancelled it.
    Withdraw {
        /// The id of the request.
        request: Value,
    },
    /// Send these messages now instead of what still waits to be said about a request; nothing when nothing waits.
    Settle {
        /// The id of the request.
        request: Value,
        /// The messages.
        messages: Vec<Message>,
    },
    /// Send a message that belongs to no request.
    Aside(Message),
    /// The request stays open: what is said to its listener belongs on its stream, until the result of the request.
    Listen {
        /// The listener, which no other request ever has.
        listener: u64,
    },
    /// Send a message to a listener.
    News {
        /// The listener.
        listener: u64,
        /// The message.
        message: Message,
    },
    /// Call [`Conversation::wake`] once the time has passed.
    Wake {
        /// How long.
        after: Duration,
        /// What to call it with.
        question: u64,
        /// The id of the request that is to be withdrawn with it.
        request: Option<Value>,
    },
    /// Give up the connection of a request, whose answer waits for the client to come back (Streamable HTTP only).
    Interrupt {
        /// How long after the message that caused it.
        after: Duration,
        /// How soon the client may come back.
        retry: Duration,
        /// The id of the request.
        request: Option<Value>,
    },
    /// Print a line that is not a message (faults only).
    Text(String),
    /// End the process with this code (faults only).
    Exit(i32),
}

/// A request to the client that has no answer yet.
#[derive(Debug)]
struct Question {
    id: u64,
    /// The request of the client that cannot go on without the answer.
    request: Request,
    then: Continuation,
}

/// The state of one client's session.
#[derive(Debug)]
pub struct Conversation {
    options: Options,
    session: Session,
    /// The revision of the last `initialize`.
    negotiated: Option<Revision>,
    decorators: Vec<Box<dyn Decorator>>,
    /// What the client was asked and has not answered. An entry goes with its answer, with its time, or with its request.
    questions: Vec<Question>,
    /// How many questions there were.
    asked: u64,
    stateless: Stateless,
}

impl Conversation {
    /// A conversation before its first message.
    pub fn new(options: &Options) -> Self {
        let mut session = Session::new(options.newest(), options.page_size, Arc::clone(&options.scratch));
        session.forgetful = options.stateless;
        Self {
            options: options.clone(),
            session,
            negotiated: None,
            decorators: options.faults.iter().map(|fault| fault.decorator()).collect(),
            questions: Vec::new(),
            asked: 0,
            stateless: Stateless::new(options),
        }
    }

    /// Takes for granted what an earlier request has negotiated, for a server that remembers nothing.
    pub(crate) fn assume(&mut self, revision: Revision) {
        self.negotiated = Some(revision);
        self.session.revision = revision;
    }

    /// What the server says before any message: nothing, unless a fault makes it talk.
    pub fn start(&self) -> Vec<Output> {
        self.decorators
            .iter()
            .flat_map(|decorator| decorator.at_start())
            .collect()
    }

    /// What the server says after its input has ended: the results of what was listened to, if anything was.
    pub fn end(&mut self) -> Vec<Output> {
        let mut outputs = self.end_subscriptions();
        outputs.extend(self.decorators.iter().flat_map(|decorator| decorator.at_end()));
        outputs
    }

    /// Whether the process outlives the end of its input; `false` unless a fault says so.
    pub fn outlives_input(&self) -> bool {
        self.decorators.iter().any(|decorator| decorator.outlives_input())
    }

    /// Whether the process outlives a signal that asks for its end; `false` unless a fault says so.
    pub(crate) fn outlives_signals(&self) -> bool {
        self.decorators.iter().any(|decorator| decorator.outlives_signals())
    }

    /// Whether an `initialize` has succeeded.
    pub(crate) fn is_initialized(&self) -> bool {
        self.negotiated.is_some()
    }

    /// The revision that shapes the answers: the negotiated one, before that the newest.
    pub(crate) fn revision(&self) -> Revision {
        self.session.revision
    }

    /// Says what time it is, as the time since 1970. Tasks need to know before each frame; without it no time passes.
    pub fn advance(&mut self, since_1970: Duration) {
        self.session.tasks.advance(since_1970);
        self.stateless.advance(since_1970);
    }

    /// Takes one frame from the client: a line of stdio, or the body of a POST. Never panics, whatever the bytes.
    pub fn receive(&mut self, bytes: &[u8]) -> Vec<Output> {
        if let Some(outputs) = self
            .decorators
            .iter_mut()
            .find_map(|decorator| decorator.instead(bytes))
        {
            return outputs;
        }
        let frame = envelope::read(bytes);
        let frame = match frame {
            Frame::One(incoming) => Frame::One(
                self.decorators
                    .iter_mut()
                    .fold(incoming, |incoming, decorator| decorator.incoming(incoming)),
            ),
            other => other,
        };
        let received = Received::of(&frame);
        let mut outputs = match frame {
            frame if self.is_stateless(&frame) => self.receive_stateless(frame),
            Frame::Unparseable(error) => vec![now(Response {
                id: Id::null(),
                outcome: Err(error),
            })],
            Frame::One(incoming) => self.one(incoming),
            Frame::Array(entries) if self.negotiated.is_some_and(Revision::has_batches) => self.batch(entries),
            Frame::Array(_) => {
                let error = RpcError::invalid_request("Invalid request: batches exist in revision 2025-03-26 only");
                vec![now(Response {
                    id: Id::null(),
                    outcome: Err(error),
                })]
            }
        };
        outputs.splice(0..0, self.settled());
        self.decorators
            .iter_mut()
            .fold(outputs, |outputs, decorator| decorator.outputs(received, outputs))
    }

    /// Gives up on a question to which there was no answer in time; nothing happens when there was one.
    pub(crate) fn wake(&mut self, question: u64) -> Vec<Output> {
        let Some(position) = self.questions.iter().position(|open| open.id == question) else {
            let outputs = self.wake_task(question);
            return self.decorators.iter_mut().fold(outputs, |outputs, decorator| {
                decorator.outputs(Received::Other, outputs)
            });
        };
        let open = self.questions.swap_remove(position);
        let params = json!({ "requestId": open.id, "reason": "No answer came in time" });
        let mut outputs = vec![Output::Message {
            message: Message::Notification {
                method: "notifications/cancelled",
                params,
            },
            after: Duration::ZERO,
            request: open.request.id.value(),
        }];
        let answered = self.go_on(open, Reply::Nothing);
        outputs.extend(self.settled());
        outputs.extend(answered);
        self.decorators.iter_mut().fold(outputs, |outputs, decorator| {
            decorator.outputs(Received::Other, outputs)
        })
    }

    /// What the last answer has brought forward. Whoever is answered by that needs no answer to a question any more.
    fn settled(&mut self) -> Vec<Output> {
        let settled = self.session.tasks.take_settled();
        for output in &settled {
            if let Output::Settle { request, .. } = output {
                self.questions
                    .retain(|open| open.request.id.value().as_ref() != Some(request));
            }
        }
        settled
    }

    fn one(&mut self, incoming: Incoming) -> Vec<Output> {
        match incoming {
            Incoming::Request(request) => {
                let answer = self.perform(&request);
                self.outputs(request, answer)
            }
            Incoming::Notification { method, params } => self.notified(&method, params),
            Incoming::Response { id, reply } => self.replied(id.as_ref(), reply),
            Incoming::Invalid { id, error } => vec![now(Response {
                id,
                outcome: Err(error),
            })],
        }
    }

    /// An answer of the client. One to a question that is not open, or has another id, answers nothing.
    fn replied(&mut self, id: Option<&Value>, reply: Reply) -> Vec<Output> {
        let asked = |open: &Question| id == Some(&Value::from(open.id));
        match self.questions.iter().position(asked) {
            Some(position) => {
                let open = self.questions.swap_remove(position);
                self.go_on(open, reply)
            }
            None => Vec::new(),
        }
    }

    fn go_on(&mut self, open: Question, reply: Reply) -> Vec<Output> {
        let answer = open.then.run(&mut self.session, reply);
        self.outputs(open.request, Ok(answer))
    }

    /// What is sent for an answer: the response, or the question that comes before it.
    fn outputs(&mut self, request: Request, answer: Result<Answer, RpcError>) -> Vec<Output> {
        let id = request.id.value();
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(error) => Answer::refusal(error),
        };
        let belonging = |message: Message, after: Duration| Output::Message {
            message,
            after,
            request: id.clone(),
        };
        if self.options.stateless {
            answer.notifications.retain(|(_, message)| !message.is_log());
        }
        let notifications = std::mem::take(&mut answer.notifications).into_iter();
        let mut outputs: Vec<Output> = notifications
            .map(|(after, message)| belonging(message, after))
            .collect();
        outputs.extend(std::mem::take(&mut answer.asides).into_iter().map(Output::Aside));
        outputs.extend(answer.interruption.map(|interruption| Output::Interrupt {
            after: interruption.after,
            retry: interruption.retry,
            request: id.clone(),
        }));
        let Some(ask) = answer.ask.take() else {
            let response = self.decorated(&request, answer.outcome());
            outputs.push(belonging(Message::Response(response), answer.after));
            return outputs;
        };
        if !self.options.can_ask() {
            let open = Question {
                id: 0,
                request,
                then: ask.then,
            };
            outputs.extend(self.go_on(open, Reply::Nothing));
            return outputs;
        }
        self.asked += 1;
        let question = Message::Request {
            id: Value::from(self.asked),
            method: ask.method,
            params: ask.params,
        };
        outputs.push(belonging(question, answer.after));
        outputs.push(Output::Wake {
            after: answer.after + ask.patience,
            question: self.asked,
            request: id.clone(),
        });
        self.questions.push(Question {
            id: self.asked,
            request,
            then: ask.then,
        });
        outputs
    }

    /// A cancellation takes back what is not yet said; a change of the roots is remembered; all else has no effect here.
    fn notified(&mut self, method: &str, mut params: Map<String, Value>) -> Vec<Output> {
        match (method, params.remove("requestId")) {
            ("notifications/cancelled", Some(request)) => {
                self.questions
                    .retain(|open| open.request.id.value().as_ref() != Some(&request));
                self.stateless.cancelled(&request);
                vec![Output::Withdraw { request }]
            }
            _ => {
                self.session.notified(method);
                Vec::new()
            }
        }
    }

    /// Answers a batch with one array, sent when its slowest answer is due (2025-03-26, base protocol, Batching).
    fn batch(&mut self, entries: Vec<Incoming>) -> Vec<Output> {
        if entries.is_empty() {
            let error = RpcError::invalid_request("Invalid request: a batch must not be empty");
            return vec![now(Response {
                id: Id::null(),
                outcome: Err(error),
            })];
        }
        let mut outputs = Vec::new();
        let mut responses = Vec::new();
        let mut slowest = Duration::ZERO;
        for entry in entries {
            match entry {
                Incoming::Request(request) if request.method == "initialize" => {
                    let error = RpcError::invalid_request("Invalid request: initialize must not be part of a batch");
                    responses.push(self.decorated(&request, Err(error)));
                }
                Incoming::Request(request) => {
                    let mut answer = match self.perform(&request) {
                        // The array with the answers could not be sent before the client has answered; better not to ask.
                        Ok(Answer { ask: Some(_), .. }) => Answer::refusal(RpcError::invalid_request(
                            "Invalid request: this tool cannot be in a batch",
                        )),
                        Ok(answer) => answer,
                        Err(error) => Answer::refusal(error),
                    };
                    slowest = slowest.max(answer.after);
                    outputs.extend(std::mem::take(&mut answer.asides).into_iter().map(Output::Aside));
                    let notifications = std::mem::take(&mut answer.notifications);
                    responses.push(self.decorated(&request, answer.outcome()));
                    outputs.extend(notifications.into_iter().map(|(after, message)| Output::Message {
                        message,
                        after,
                        request: None,
                    }));
                }
                Incoming::Notification { method, params } => outputs.extend(self.notified(&method, params)),
                Incoming::Response { id, reply } => outputs.extend(self.replied(id.as_ref(), reply)),
                Incoming::Invalid { id, error } => responses.push(Response {
                    id,
                    outcome: Err(error),
                }),
            }
        }
        if !responses.is_empty() {
            outputs.push(Output::Message {
                message: Message::Batch(responses),
                after: slowest,
                request: None,
            });
        }
        outputs
    }

    fn perform(&mut self, request: &Request) -> Result<Answer, RpcError> {
        self.session.tasks.asked_by(&request.id);
        match &request.params {
            Err(error) => Err(RpcError::invalid_params(format!("Invalid params: {error}"))),
            Ok(params) if request.method == "initialize" => self.initialize(params).map(Answer::from),
            Ok(params) => self.session.answer(&request.method, params),
        }
    }

    fn decorated(&mut self, request: &Request, outcome: Result<Value, RpcError>) -> Response {
        let response = Response {
            id: request.id.clone(),
            outcome,
        };
        self.decorators
            .iter_mut()
            .fold(response, |response, decorator| decorator.response(request, response))
    }

    /// Negotiates (basic/lifecycle, Version Negotiation). A second `initialize` negotiates anew.
    fn initialize(&mut self, params: &Map<String, Value>) -> Result<Value, RpcError> {
        let date = params
            .get("protocolVersion")
            .and_then(Value::as_str)
            .ok_or_else(|| RpcError::invalid_params("Invalid params: protocolVersion must be a string"))?;
        for member in ["capabilities", "clientInfo"] {
            if !params.get(member).is_some_and(Value::is_object) {
                return Err(RpcError::invalid_params(format!(
                    "Invalid params: {member} must be an object"
                )));
            }
        }
        let revision = self.options.supported(date).unwrap_or_else(|| self.options.newest());
        self.negotiated = Some(revision);
        self.session.revision = revision;
        if self.options.can_ask() {
            self.session.client = params.get("capabilities").cloned().unwrap_or_default();
        }
        let mut capabilities = json!({
            "logging": {},
            "prompts": { "listChanged": true },
            "resources": { "subscribe": true, "listChanged": true },
            "tools": { "listChanged": true },
        });
        if revision >= Revision::V2025_03_26 {
            capabilities["completions"] = json!({});
        }
        if self.session.has_tasks() {
            capabilities["tasks"] = json!({ "list": {}, "cancel": {}, "requests": { "tools": { "call": {} } } });
        }
        if self.options.stateless {
            // What would have to be remembered, or told unasked.
            capabilities =
                json!({ "prompts": {}, "resources": {}, "tools": {}, "completions": capabilities["completions"] });
        }
        let mut info = json!({ "name": "touchstone-reference", "version": env!("CARGO_PKG_VERSION") });
        if revision.has_titles() {
            info["title"] = json!("Touchstone reference server");
        }
        let info = showcase::introduced(revision, info);
        capabilities["experimental"] = json!({ "com.example.reference": {} });
        Ok(json!({
            "protocolVersion": revision.as_str(),
            "capabilities": capabilities,
            "serverInfo": info,
            "instructions": "Tools with readOnlyHint are safe to call; write_note writes into a scratch directory.",
        }))
    }
}

/// An answer that is sent at once.
fn now(response: Response) -> Output {
    let request = response.id.value().filter(|id| !id.is_null());
    Output::Message {
        message: Message::Response(response),
        after: Duration::ZERO,
        request,
    }
}

mod stateless;

#[cfg(test)]
mod question_tests;
#[cfg(test)]
mod tests;
