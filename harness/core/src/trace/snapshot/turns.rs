//! Who said what during a stretch: every message of the client with what belongs to it, and what belongs to none.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use super::Stretch;
use super::counted::Counted;
use super::masks::{Masks, shortened};
use crate::jsonrpc;
use crate::trace::{ENDED_BY_HARNESS, Event, EventKind};

/// A message of the client, or something else it did, with what belongs to it.
struct Turn {
    what: Sent,
    exchange: Option<u32>,
    progress: Vec<Value>,
    answers: Vec<Answer>,
    /// The client took the request back: whether an answer still comes is chance.
    cancelled: bool,
    gave_up: bool,
}

enum Sent {
    Request { id: Value, method: String, params: Value },
    Notification { method: String, params: Value },
    Other(String),
    Http(String),
}

enum Answer {
    Result(Value),
    Error(Value),
    Text(String),
}

/// The turns of one stretch, and what belongs to none of them.
#[derive(Default)]
pub(super) struct Turns {
    turns: Vec<Turn>,
    /// Requests of the server, by id, with the client's answer.
    asked: Vec<(Value, String, Value, Option<Value>)>,
    unprompted: Vec<(String, Value)>,
    http: BTreeMap<u32, String>,
    /// Exchanges that the client broke off.
    broken_off: BTreeSet<u32>,
    ended: Option<String>,
}

impl Turns {
    /// Takes in the events of a stretch.
    pub(super) fn read(&mut self, stretch: &Stretch<'_>) {
        let events = &stretch.trace.events;
        let carries = |exchange: u32| {
            events[stretch.from..=stretch.to]
                .iter()
                .any(|event| matches!(&event.kind, EventKind::Sent { exchange: Some(other), .. } if *other == exchange))
        };
        for event in &events[stretch.from..=stretch.to] {
            match &event.kind {
                EventKind::Sent { payload, exchange, .. } => self.sent(payload.bytes(), *exchange),
                EventKind::Received { payload, exchange, .. } => {
                    self.received(payload.bytes(), *exchange, &events[..stretch.from]);
                }
                EventKind::HttpRequest {
                    exchange,
                    method,
                    headers,
                    ..
                } if !carries(*exchange) => {
                    let resumed = headers
                        .iter()
                        .any(|(name, _)| name.eq_ignore_ascii_case("last-event-id"));
                    let text = format!("{method}{}", if resumed { ", resuming" } else { "" });
                    self.turns.push(Turn::new(Sent::Http(text), Some(*exchange)));
                }
                EventKind::HttpResponse {
                    exchange,
                    status,
                    headers,
                } => {
                    let kind = headers
                        .iter()
                        .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
                        .and_then(|(_, value)| value.split(';').next())
                        .map(|value| format!(", {}", value.trim()))
                        .unwrap_or_default();
                    self.http.insert(*exchange, format!("{status}{kind}"));
                }
                EventKind::HttpBody { exchange, payload } => {
                    let text = payload.text().into_owned();
                    match self.turn_of(*exchange) {
                        Some(turn) => turn.answers.push(Answer::Text(text)),
                        None => self.unprompted.push(("body".to_owned(), Value::String(text))),
                    }
                }
                EventKind::GaveUp { id, .. } => {
                    let id: Value = serde_json::from_str(id).unwrap_or(Value::Null);
                    if let Some(turn) = self.request(&id) {
                        turn.gave_up = true;
                    }
                }
                EventKind::StdinClosed => self.turns.push(Turn::new(Sent::Other("closes stdin".to_owned()), None)),
                EventKind::Signalled { signal } => {
                    self.turns.push(Turn::new(Sent::Other(format!("sends {signal}")), None));
                }
                _ => {}
            }
        }
        // Whether a connection is closed a moment before or after its case has ended is chance.
        self.broken_off = events[stretch.from..]
            .iter()
            .filter_map(|event| match &event.kind {
                EventKind::HttpEnded { exchange, failure } => {
                    (failure.as_deref() == Some(ENDED_BY_HARNESS)).then_some(*exchange)
                }
                _ => None,
            })
            .collect();
        self.ended = end(stretch);
        self.leave_out_probe();
    }

    fn sent(&mut self, bytes: &[u8], exchange: Option<u32>) {
        let Some(Value::Object(mut message)) = jsonrpc::value(bytes) else {
            let text = String::from_utf8_lossy(bytes).into_owned();
            self.turns.push(Turn::new(Sent::Other(shortened(&text)), exchange));
            return;
        };
        let id = message.get("id").cloned();
        let params = message.remove("params").unwrap_or(Value::Null);
        match (message.remove("method"), id) {
            (Some(Value::String(method)), Some(id)) => {
                self.turns
                    .push(Turn::new(Sent::Request { id, method, params }, exchange));
            }
            (Some(Value::String(method)), None) => {
                if method == "notifications/cancelled"
                    && let Some(turn) = self.request(&params["requestId"])
                {
                    turn.cancelled = true;
                }
                self.turns
                    .push(Turn::new(Sent::Notification { method, params }, exchange));
            }
            (None, Some(id)) => {
                let answer = message.remove("result").or_else(|| message.remove("error"));
                match self
                    .asked
                    .iter_mut()
                    .find(|(asked, .., said)| *asked == id && said.is_none())
                {
                    Some((.., said)) => *said = answer,
                    // An answer to what was asked before the case began is chance.
                    None => {
                        let text = String::from_utf8_lossy(bytes).into_owned();
                        if message.contains_key("jsonrpc") && answer.is_none() {
                            self.turns.push(Turn::new(Sent::Other(shortened(&text)), exchange));
                        }
                    }
                }
            }
            (method, _) => {
                let text = String::from_utf8_lossy(bytes).into_owned();
                drop(method);
                self.turns.push(Turn::new(Sent::Other(shortened(&text)), exchange));
            }
        }
    }

    fn received(&mut self, bytes: &[u8], exchange: Option<u32>, before: &[Event]) {
        let Some(value) = jsonrpc::value(bytes) else {
            let text = String::from_utf8_lossy(bytes).into_owned();
            self.unprompted.push(("no message".to_owned(), Value::String(text)));
            return;
        };
        let Value::Object(mut message) = value else {
            // The answer to a batch.
            match exchange.and_then(|exchange| self.turn_of(exchange)) {
                Some(turn) => turn.answers.push(Answer::Result(value)),
                None => self.unprompted.push(("batch".to_owned(), value)),
            }
            return;
        };
        let id = message.get("id").cloned();
        let params = message.remove("params").unwrap_or(Value::Null);
        match (message.remove("method"), id) {
            (Some(Value::String(method)), Some(id)) => self.asked.push((id, method, params, None)),
            (Some(Value::String(method)), None) => {
                let token = &params["progressToken"];
                let home = self.turns.iter_mut().find(|turn| match &turn.what {
                    Sent::Request { params, .. } => !token.is_null() && params["_meta"]["progressToken"] == *token,
                    _ => false,
                });
                match home {
                    Some(turn) if method == "notifications/progress" => turn.progress.push(params),
                    // Late progress, and how a task gets on: when it comes is chance.
                    _ if method == "notifications/tasks/status" => {}
                    _ if method == "notifications/progress" && !token.is_null() => {}
                    // Over HTTP the other sessions of a server change its lists as well.
                    _ if exchange.is_some() && method.ends_with("_changed") => {}
                    _ => self.unprompted.push((method, params)),
                }
            }
            (_, id) => {
                let id = id.unwrap_or(Value::Null);
                let answer = match (message.remove("result"), message.remove("error")) {
                    (Some(result), _) => Answer::Result(result),
                    (None, Some(error)) => Answer::Error(error),
                    (None, None) => Answer::Text(shortened(&String::from_utf8_lossy(bytes))),
                };
                if let Some(turn) = self.request(&id) {
                    turn.answers.push(answer);
                } else if let Some(turn) = exchange.and_then(|exchange| self.turn_of(exchange)) {
                    turn.answers.push(answer);
                } else if !asked_before(&id, before) {
                    let value = match answer {
                        Answer::Result(value) | Answer::Error(value) => value,
                        Answer::Text(text) => Value::String(text),
                    };
                    self.unprompted.push(("answer to nothing".to_owned(), value));
                }
            }
        }
    }

    /// The request with this id: the first that has no answer yet, or else the last.
    fn request(&mut self, id: &Value) -> Option<&mut Turn> {
        let is = |turn: &Turn| matches!(&turn.what, Sent::Request { id: other, .. } if other == id && !id.is_null());
        let at = self
            .turns
            .iter()
            .position(|turn| is(turn) && turn.answers.is_empty())
            .or_else(|| self.turns.iter().rposition(is))?;
        self.turns.get_mut(at)
    }

    /// Tasks that the client began and cancelled before it had seen their end: the work may be done before the cancellation comes.
    fn racing_tasks(&self) -> BTreeSet<String> {
        let mut begun = BTreeSet::new();
        let mut racing = BTreeSet::new();
        let mut last = "";
        for turn in &self.turns {
            if let Sent::Request { method, params, .. } = &turn.what {
                let looked = matches!(last, "tasks/get" | "tasks/result");
                if let Some(task) = params["taskId"].as_str()
                    && method == "tasks/cancel"
                    && begun.contains(task)
                    && !looked
                {
                    racing.insert(task.to_owned());
                }
                last = method;
            }
            for answer in &turn.answers {
                let Answer::Result(result) = answer else { continue };
                let task = result["task"]["taskId"].as_str().or_else(|| result["taskId"].as_str());
                begun.extend(task);
            }
        }
        racing
    }

    fn turn_of(&mut self, exchange: u32) -> Option<&mut Turn> {
        self.turns.iter_mut().find(|turn| turn.exchange == Some(exchange))
    }

    /// Whether the server is alive is asked after every case; that it is says nothing about the case.
    fn leave_out_probe(&mut self) {
        let fine = |turn: &Turn| {
            matches!(&turn.what, Sent::Request { method, .. } if matches!(method.as_str(), "ping" | "server/discover"))
                && matches!(turn.answers.as_slice(), [Answer::Result(_)])
        };
        if self.turns.len() > 1 && self.turns.last().is_some_and(fine) {
            self.turns.pop();
        }
    }

    /// Writes the turns, in the order in which they began, and then the rest.
    pub(super) fn write(self, masks: &mut Masks<'_>, counted: &Counted, text: &mut String) {
        let ids: Vec<Value> = self
            .turns
            .iter()
            .map(|turn| match &turn.what {
                Sent::Request { id, .. } => id.clone(),
                _ => Value::Null,
            })
            .collect();
        masks.requests = ids;
        let racing = self.racing_tasks();
        let mut last = String::new();
        for turn in self.turns {
            let http = turn.exchange.and_then(|exchange| self.http.get(&exchange));
            // Whether the answer of a task comes at once or later decides in which form it comes.
            let task = matches!(&turn.what, Sent::Request { method, .. } if method.starts_with("tasks/"));
            let http = http.map(|http| match (task, http.split_once(',')) {
                (true, Some((status, _))) => format!(" (HTTP {status})"),
                _ => format!(" (HTTP {http})"),
            });
            let http = http.unwrap_or_default();
            let mut block = String::new();
            match &turn.what {
                Sent::Request { method, params, .. } => {
                    let _ = writeln!(block, "-> {method}{http}");
                    masks.body(&mut block, params);
                }
                Sent::Notification { method, params } => {
                    let _ = writeln!(block, "-> {method}, a notification{http}");
                    masks.body(&mut block, params);
                }
                Sent::Other(other) => {
                    let _ = writeln!(block, "-> {}{http}", masks.text(other));
                }
                Sent::Http(method) => {
                    let _ = writeln!(block, "-> {method}{http}");
                }
            }
            if turn.cancelled {
                block.push_str("  <- (cancelled: whether an answer comes is chance)\n");
                text.push_str(&block);
                continue;
            }
            if let Sent::Request { method, params, .. } = &turn.what
                && method.starts_with("tasks/")
                && params["taskId"].as_str().is_some_and(|task| racing.contains(task))
            {
                block.push_str("  <- (the task is cancelled in its course: which answer comes is chance)\n");
                text.push_str(&block);
                continue;
            }
            let hung_up = turn.answers.is_empty()
                && matches!(&turn.what, Sent::Request { .. })
                && turn
                    .exchange
                    .is_some_and(|exchange| self.broken_off.contains(&exchange));
            if hung_up && !turn.progress.is_empty() {
                block.push_str("  <- (hung up: how much comes before is chance)\n");
                text.push_str(&block);
                continue;
            }
            // A task goes on after the answer, so that it is chance how much of its progress comes in time.
            let is_task = matches!(&turn.what, Sent::Request { params, .. } if !params["task"].is_null());
            for progress in turn.progress.iter().filter(|_| !is_task) {
                block.push_str("  <- progress\n");
                masks.body(&mut block, progress);
            }
            if let Sent::Request { method, params, .. } = &turn.what {
                masks.counted = counted.places(method, params);
            }
            for answer in &turn.answers {
                match answer {
                    Answer::Result(value) => {
                        block.push_str("  <- result\n");
                        masks.body(&mut block, value);
                    }
                    Answer::Error(value) => {
                        block.push_str("  <- error\n");
                        masks.body(&mut block, value);
                    }
                    Answer::Text(body) => {
                        block.push_str("  <- body\n");
                        masks.body(&mut block, &Value::String(body.clone()));
                    }
                }
            }
            masks.counted.clear();
            if turn.gave_up && turn.answers.is_empty() {
                block.push_str("  <- (no answer in time)\n");
            }
            // How often a task is looked at until it has ended is chance.
            let polls = matches!(&turn.what, Sent::Request { method, .. } if method == "tasks/get");
            if polls && block == last {
                continue;
            }
            text.push_str(&block);
            last = block;
        }
        let mut loose: Vec<String> = Vec::new();
        for (_, method, params, said) in &self.asked {
            let mut block = format!("<- {method}, a request of the server\n");
            masks.body(&mut block, params);
            if let Some(said) = said {
                block.push_str("  -> answer\n");
                masks.body(&mut block, said);
            }
            loose.push(block);
        }
        for (what, value) in &self.unprompted {
            // Whether the server loses patience just before it has the client's answer is chance.
            let answered =
                |(id, _, _, said): &(Value, String, Value, Option<Value>)| said.is_some() && *id == value["requestId"];
            if what == "notifications/cancelled" && self.asked.iter().any(answered) {
                continue;
            }
            let mut block = format!("<- {what}\n");
            masks.body(&mut block, value);
            loose.push(block);
        }
        loose.sort();
        // How often the server says the same of itself is chance.
        loose.dedup();
        for block in loose {
            text.push_str(&block);
        }
        if let Some(ended) = self.ended {
            let _ = writeln!(text, "{ended}");
        }
    }
}

impl Turn {
    fn new(what: Sent, exchange: Option<u32>) -> Self {
        Self {
            what,
            exchange,
            progress: Vec::new(),
            answers: Vec::new(),
            cancelled: false,
            gave_up: false,
        }
    }
}

/// How the server ended during the stretch. On a connection of the case's own it may do so a moment after the case, which is the same.
fn end(stretch: &Stretch<'_>) -> Option<String> {
    let events = &stretch.trace.events;
    let cases = events
        .iter()
        .filter(|event| matches!(event.kind, EventKind::CaseStarted { .. }));
    let to = if cases.count() == 1 {
        events.len() - 1
    } else {
        stretch.to
    };
    events[stretch.from..=to].iter().find_map(|event| match &event.kind {
        EventKind::ProcessExited { code, signal } => Some(match (code, signal) {
            (Some(code), _) => format!("the server exited with code {code}"),
            (None, Some(signal)) => format!("the server was ended by signal {signal}"),
            (None, None) => "the server exited".to_owned(),
        }),
        _ => None,
    })
}

/// Whether a request with this id was sent before the stretch began: then its late answer is chance.
fn asked_before(id: &Value, before: &[Event]) -> bool {
    before.iter().any(|event| match &event.kind {
        EventKind::Sent { payload, .. } => {
            jsonrpc::value(payload.bytes()).is_some_and(|message| message.get("id") == Some(id))
        }
        _ => false,
    })
}
