//! The snapshot form of a conversation: what a server does, without what changes from run to run.
//!
//! ```text
//! stretches of traces ──► turns (a message of the client, and what belongs to it) ──► text, values masked, order canonical
//! ```
//!
//! Ids, times, ports, session ids, cursors, task ids, paths and versions become signs. Messages of the client stand in the order in which they were
//! sent; answers and progress stand below the request that they belong to, whenever they came; what belongs to no request stands at the end, sorted.
//! What is chance by its nature is left out: the answer to a cancelled request, how far a task is, which tasks there are.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::{Map, Value};

use super::{EventKind, Trace};

/// A stretch of a trace, both ends included.
#[derive(Debug, Clone, Copy)]
pub struct Stretch<'a> {
    /// The trace.
    pub trace: &'a Trace,
    /// Index of the first event.
    pub from: usize,
    /// Index of the last event.
    pub to: usize,
}

/// The stretches during which a case ran, in the order of traces.
#[must_use]
pub fn stretches_of<'a>(case: &str, traces: &'a [Trace]) -> Vec<Stretch<'a>> {
    let mut found = Vec::new();
    for trace in traces {
        let mut open = None;
        for (index, event) in trace.events.iter().enumerate() {
            match &event.kind {
                EventKind::CaseStarted { case: started, .. } => open = (started == case).then_some(index),
                EventKind::CaseEnded { .. } => {
                    if let Some(from) = open.take() {
                        found.push(Stretch { trace, from, to: index });
                    }
                }
                _ => {}
            }
        }
        if let Some(from) = open {
            let to = trace.events.len().saturating_sub(1);
            found.push(Stretch { trace, from, to });
        }
    }
    found
}

/// Writes the stretches of one case. `redact` names members whose values are left out, by name or by the end of their dotted path.
#[must_use]
pub fn render(stretches: &[Stretch<'_>], redact: &[String]) -> String {
    let mut masks = Masks {
        redact,
        ..Masks::default()
    };
    let mut text = String::new();
    for (at, stretch) in stretches.iter().enumerate() {
        if stretches.len() > 1 {
            let _ = writeln!(text, "connection {}", at + 1);
        }
        let mut turns = Turns::default();
        turns.read(stretch);
        turns.write(&mut masks, &mut text);
    }
    text
}

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

#[derive(Default)]
struct Turns {
    turns: Vec<Turn>,
    /// Requests of the server, by id, with the client's answer.
    asked: Vec<(Value, String, Value, Option<Value>)>,
    unprompted: Vec<(String, Value)>,
    http: BTreeMap<u32, String>,
    ended: Option<String>,
}

impl Turns {
    fn read(&mut self, stretch: &Stretch<'_>) {
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
        self.ended = end(stretch);
        self.leave_out_probe();
    }

    fn sent(&mut self, bytes: &[u8], exchange: Option<u32>) {
        let Ok(Value::Object(mut message)) = serde_json::from_slice::<Value>(bytes) else {
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

    fn received(&mut self, bytes: &[u8], exchange: Option<u32>, before: &[super::Event]) {
        let Ok(value) = serde_json::from_slice::<Value>(bytes) else {
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

    fn turn_of(&mut self, exchange: u32) -> Option<&mut Turn> {
        self.turns.iter_mut().find(|turn| turn.exchange == Some(exchange))
    }

    /// Whether the server is alive is asked after every case; that it is says nothing about the case.
    fn leave_out_probe(&mut self) {
        let fine = |turn: &Turn| {
            matches!(&turn.what, Sent::Request { method, .. } if method == "ping")
                && matches!(turn.answers.as_slice(), [Answer::Result(Value::Object(result))] if result.is_empty())
        };
        if self.turns.len() > 1 && self.turns.last().is_some_and(fine) {
            self.turns.pop();
        }
    }

    fn write(self, masks: &mut Masks<'_>, text: &mut String) {
        let ids: Vec<Value> = self
            .turns
            .iter()
            .map(|turn| match &turn.what {
                Sent::Request { id, .. } => id.clone(),
                _ => Value::Null,
            })
            .collect();
        masks.requests = ids;
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
            // A task goes on after the answer, so that it is chance how much of its progress comes in time.
            let is_task = matches!(&turn.what, Sent::Request { params, .. } if !params["task"].is_null());
            for progress in turn.progress.iter().filter(|_| !is_task) {
                block.push_str("  <- progress\n");
                masks.body(&mut block, progress);
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
fn asked_before(id: &Value, before: &[super::Event]) -> bool {
    before.iter().any(|event| match &event.kind {
        EventKind::Sent { payload, .. } => {
            serde_json::from_slice::<Value>(payload.bytes()).is_ok_and(|message| message.get("id") == Some(id))
        }
        _ => false,
    })
}

/// Longest text that is written out, in characters.
const LONGEST: usize = 600;

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}... ({} bytes in all)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}

/// Masks what changes from run to run. The same value gets the same sign throughout a case.
#[derive(Default)]
struct Masks<'r> {
    redact: &'r [String],
    /// Values that the server made up: cursors, tasks, sessions.
    known: BTreeMap<String, String>,
    counts: BTreeMap<&'static str, usize>,
    /// Ids of the requests, by their numbers.
    requests: Vec<Value>,
}

/// Members whose texts are made up by whoever sends them first.
const MADE_UP: [(&str, &str); 6] = [
    ("requestState", "state"),
    ("nextCursor", "cursor"),
    ("taskId", "task"),
    ("progressToken", "token"),
    ("sessionId", "session"),
    ("elicitationId", "elicitation"),
];

static PATTERNS: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    [
        (r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}", "<uuid>"),
        (
            r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:[.,]\d+)?(?:Z|[+-]\d{2}:?\d{2})?",
            "<time>",
        ),
        (r"(127\.0\.0\.1|localhost|\[::1\]|0\.0\.0\.0):\d+", "$1:<port>"),
        (
            r#"(?:/(?:home|root|tmp|usr|var|opt|private|Users|work|workspace|mnt|srv|builds|app|nix|run)/)[^\s"'`:,;)\]}<>]+"#,
            "<path>",
        ),
        (r#"\b[A-Za-z]:\\[^\s"'`,;)\]}<>]+"#, "<path>"),
        (r"\b[0-9a-f]{16,}\b", "<hex>"),
        (r"\b1[5-9]\d{11}\b", "<time>"),
    ]
    .into_iter()
    .filter_map(|(pattern, sign)| Some((Regex::new(pattern).ok()?, sign)))
    .collect()
});

impl Masks<'_> {
    /// Writes a value below its head, members sorted.
    fn body(&mut self, text: &mut String, value: &Value) {
        if value.is_null() {
            return;
        }
        let masked = self.value(value, "", "");
        let pretty = serde_json::to_string_pretty(&masked).unwrap_or_default();
        for line in pretty.lines() {
            let _ = writeln!(text, "    {line}");
        }
    }

    fn value(&mut self, value: &Value, key: &str, path: &str) -> Value {
        let named = |redacted: &String| redacted == key || path.ends_with(&format!(".{redacted}"));
        if !key.is_empty() && self.redact.iter().any(named) {
            return Value::from("<redacted>");
        }
        match value {
            Value::Object(members) => {
                let mut names: Vec<&String> = members.keys().collect();
                names.sort();
                let is_info = matches!(
                    key,
                    "serverInfo"
                        | "clientInfo"
                        | "io.modelcontextprotocol/serverInfo"
                        | "io.modelcontextprotocol/clientInfo"
                );
                // How far a task is when somebody looks is chance.
                let is_task = members.contains_key("taskId") && members.contains_key("status");
                let names = names.into_iter().filter(|name| !(is_task && *name == "statusMessage"));
                let masked = names.map(|name| {
                    let value = &members[name];
                    if is_task && name == "status" {
                        return (name.clone(), Value::from("<status>"));
                    }
                    let value = if is_info && name == "version" {
                        Value::from("<version>")
                    } else {
                        self.value(value, name, &format!("{path}.{name}"))
                    };
                    (name.clone(), value)
                });
                Value::Object(masked.collect::<Map<_, _>>())
            }
            // Which tasks there are depends on what else has run.
            Value::Array(items) if key == "tasks" && items.iter().all(|item| item["taskId"].is_string()) => {
                Value::from("<tasks>")
            }
            Value::Array(items) => Value::Array(items.iter().map(|item| self.value(item, "", path)).collect()),
            Value::String(text) => Value::from(self.string(text, key)),
            Value::Number(number) => self.number(number, key),
            other => other.clone(),
        }
    }

    fn number(&mut self, number: &serde_json::Number, key: &str) -> Value {
        const SECONDS: std::ops::Range<f64> = 1.5e9..2.5e9;
        if key == "requestId" || key == "id" {
            let id = Value::Number(number.clone());
            if self.requests.contains(&id) {
                return Value::from("<request>");
            }
        }
        if key == "progressToken" || key.ends_with("/subscriptionId") {
            return Value::from(self.sign("token", &number.to_string()));
        }
        match number.as_f64() {
            Some(time) if SECONDS.contains(&time) || SECONDS.contains(&(time / 1000.0)) => Value::from("<time>"),
            _ => Value::Number(number.clone()),
        }
    }

    fn string(&mut self, text: &str, key: &str) -> String {
        if let Some((_, kind)) = MADE_UP.iter().find(|(name, _)| *name == key) {
            return self.sign(kind, text);
        }
        if (key == "requestId" || key == "id") && self.requests.iter().any(|other| other.as_str() == Some(text)) {
            return "<request>".to_owned();
        }
        self.text(text)
    }

    /// The sign of a made-up value.
    fn sign(&mut self, kind: &'static str, text: &str) -> String {
        if let Some(sign) = self.known.get(text) {
            return sign.clone();
        }
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        let sign = format!("<{kind} {count}>");
        self.known.insert(text.to_owned(), sign.clone());
        sign
    }

    fn text(&self, text: &str) -> String {
        // Short values could be a part of anything.
        const SHORTEST: usize = 6;
        if let Some(sign) = self.known.get(text) {
            return sign.clone();
        }
        let mut masked = shortened(text);
        for (value, sign) in &self.known {
            if value.len() >= SHORTEST && masked.contains(value.as_str()) {
                masked = masked.replace(value.as_str(), sign);
            }
        }
        for (pattern, sign) in PATTERNS.iter() {
            masked = pattern
                .replace_all(&masked, |found: &Captures<'_>| {
                    let mut sign_with_groups = String::new();
                    found.expand(sign, &mut sign_with_groups);
                    sign_with_groups
                })
                .into_owned();
        }
        masked
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Channel, Intent, TransportKind};
    use super::*;

    fn conversation(lines: &[&str]) -> Trace {
        let mut trace = Trace::new("t", TransportKind::Stdio);
        let case = || "a/b".to_owned();
        trace.push(
            0,
            EventKind::CaseStarted {
                case: case(),
                illegal: false,
            },
        );
        for line in lines {
            let (way, text) = line.split_at(2);
            let payload = text.into();
            trace.push(
                0,
                match way {
                    "> " => EventKind::Sent {
                        payload,
                        exchange: None,
                        intent: Intent::Proper,
                    },
                    _ => EventKind::Received {
                        payload,
                        channel: Channel::Stdout,
                        exchange: None,
                        terminated: true,
                    },
                },
            );
        }
        trace.push(0, EventKind::CaseEnded { case: case() });
        trace
    }

    fn snapshot(lines: &[&str], redact: &[&str]) -> String {
        let traces = [conversation(lines)];
        let redact: Vec<String> = redact.iter().map(|name| (*name).to_owned()).collect();
        render(&stretches_of("a/b", &traces), &redact)
    }

    #[test]
    fn what_changes_from_run_to_run_becomes_signs() {
        insta::assert_snapshot!(snapshot(
            &[
                r#"> {"jsonrpc":"2.0","id":7,"method":"tools/list","params":{}}"#,
                r#"< {"jsonrpc":"2.0","id":7,"result":{"tools":[],"nextCursor":"c-8213"}}"#,
                r#"> {"jsonrpc":"2.0","id":8,"method":"tools/list","params":{"cursor":"c-8213"}}"#,
                r#"< {"jsonrpc":"2.0","id":8,"result":{"load":0.7,"inner":{"load":1},"at":"2026-11-26T05:00:00Z","log":"/home/user/x.log on 127.0.0.1:4711","serverInfo":{"version":"1.2","name":"s"},"started":1795600000}}"#,
            ],
            &["load"]
        ));
    }

    #[test]
    fn the_order_in_which_things_come_does_not_matter() {
        let call =
            r#"> {"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","_meta":{"progressToken":"p"}}}"#;
        let ping = r#"> {"jsonrpc":"2.0","id":2,"method":"tools/list"}"#;
        let progress =
            r#"< {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":1}}"#;
        let log = r#"< {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"a"}}"#;
        let change = r#"< {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
        let asks = r#"< {"jsonrpc":"2.0","id":"s1","method":"roots/list"}"#;
        let says = r#"> {"jsonrpc":"2.0","id":"s1","result":{"roots":[]}}"#;
        let first = r#"< {"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#;
        let second = r#"< {"jsonrpc":"2.0","id":2,"error":{"code":-32601,"message":"no"}}"#;
        let one = snapshot(&[call, ping, progress, log, asks, says, change, first, second], &[]);
        let other = snapshot(&[call, asks, change, ping, second, says, progress, first, log], &[]);
        assert_eq!(one, other);
        insta::assert_snapshot!(one);
    }

    #[test]
    fn an_answer_that_crosses_with_a_cancellation_is_chance() {
        let call = r#"> {"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"x"}}"#;
        let cancel = r#"> {"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"x"}}"#;
        let answer = r#"< {"jsonrpc":"2.0","id":"x","result":{}}"#;
        assert_eq!(snapshot(&[call, cancel, answer], &[]), snapshot(&[call, cancel], &[]));
    }
}
