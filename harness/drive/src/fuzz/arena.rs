//! Where cases run: one live session after the other, each with the trace of what went on since the last look at it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use touchstone_core::jsonrpc::IdToken;
use touchstone_core::revision::Revision;
use touchstone_core::trace::{EventKind, Intent, Trace};

use super::case::{Bind, FuzzCase, HttpMessage, RelationKind, Step, What};
use crate::execute::inventory::{CallPolicy, Inventory};
use crate::session::{Answer, ClientIdentity, ConnectError, Connector, Outcome, Pending, Session, Until};
use crate::transport::{Connection, RawRequest, TransportError};

/// What became of a case.
pub(super) struct Record {
    pub case: FuzzCase,
    /// For each step, the event that shows what was sent.
    pub sent: Vec<Option<usize>>,
    /// For each step that is a request, its answer.
    pub answers: Vec<Option<Answer>>,
    /// Events from the first to behind the last.
    pub events: std::ops::Range<usize>,
    /// How long the answers took together.
    pub took: Duration,
}

impl Record {
    /// Whether a request got no answer.
    pub(super) fn is_unanswered(&self) -> bool {
        self.answers
            .iter()
            .flatten()
            .any(|answer| matches!(answer.outcome, Outcome::Silence | Outcome::Closed))
    }
}

/// The events of a while, and the cases that ran in it.
pub(super) struct Window {
    pub trace: Trace,
    pub records: Vec<Record>,
    /// Cases of the session before it.
    pub start: usize,
}

impl Window {
    /// What the server worked on for so long at least, tools by their names: since it was sent, or since the answer before it came, because a
    /// server may take one request after the other.
    pub(super) fn worked_on(&self, least: Duration) -> Vec<String> {
        let at = |event: usize| self.trace.events.get(event).map(|event| event.at_us);
        let mut answered: Vec<(u64, u64, &Step)> = Vec::new();
        for record in &self.records {
            let steps = record.case.steps.iter().zip(&record.sent).zip(&record.answers);
            answered.extend(steps.filter_map(|((step, sent), answer)| {
                let came = at(answer.as_ref()?.event?)?;
                Some((came, at((*sent)?)?, step))
            }));
        }
        answered.sort_by_key(|(came, ..)| *came);
        let mut before = 0;
        answered.retain(|(came, sent, _)| {
            let began = (*sent).max(std::mem::replace(&mut before, *came));
            Duration::from_micros(came.saturating_sub(began)) >= least
        });
        // Reading a name out of a call costs more than all of this: few are left.
        answered.into_iter().map(|(.., step)| step.subject()).collect()
    }
}

/// How some cases went.
pub(super) struct Batch {
    /// How many were run.
    pub done: usize,
    /// Whether the server went away, or no longer answered.
    pub lost: bool,
}

/// A session with what is needed to open another one like it.
pub(super) struct Arena<'a> {
    connector: &'a Connector,
    revision: Revision,
    policy: (CallPolicy, BTreeSet<String>),
    session: Option<Session>,
    /// Events before the first window.
    prefix: usize,
    windows: usize,
    name: &'static str,
    silent: bool,
    /// Requests that may be on their way now.
    at_once: usize,
    /// What was run since somebody looked last.
    pub gathered: Vec<Record>,
    /// Cases since the session was opened, newest last.
    history: Vec<FuzzCase>,
    /// Cases before those that are remembered.
    forgotten: usize,
}

/// Cases of a session that are remembered, to find out which of them led to its end.
const MOST_HISTORY: usize = 4_000;

impl<'a> Arena<'a> {
    pub(super) fn new(
        connector: &'a Connector,
        revision: Revision,
        policy: (CallPolicy, BTreeSet<String>),
        name: &'static str,
    ) -> Self {
        Self {
            connector,
            revision,
            policy,
            session: None,
            prefix: 0,
            windows: 0,
            name,
            silent: false,
            at_once: AT_ONCE,
            gathered: Vec::new(),
            history: Vec::new(),
            forgotten: 0,
        }
    }

    /// Opens a session, with the lists of what it offers in its trace. Gives back those and the capabilities.
    pub(super) async fn open(&mut self) -> Result<(Inventory, Value, Value), ConnectError> {
        self.end().await;
        let name = format!("{}/{}", self.revision, self.name);
        let client = ClientIdentity::touchstone(self.revision);
        let mut session = self.connector.session(&name, self.revision, client).await?;
        let opening = match session.open().await {
            Ok(opening) => opening,
            Err(problem) => return Err(self.connector.failed_handshake(session, problem).await),
        };
        let inventory = Inventory::take(&mut session, &self.policy.0, &self.policy.1).await;
        session.forget();
        settle(&mut session).await;
        self.prefix = session.tap().position();
        self.session = Some(session);
        self.history.clear();
        self.forgotten = 0;
        self.gathered.clear();
        self.silent = false;
        Ok((inventory, opening.capabilities, opening.server))
    }

    /// The revision that was agreed on.
    pub(super) fn revision(&self) -> Option<Revision> {
        let opening = self.session.as_ref()?.opening()?;
        opening
            .revision
            .or_else(|| opening.version.is_empty().then_some(self.revision))
    }

    /// The id of the server's process, when it is ours.
    pub(super) fn pid(&mut self) -> Option<u32> {
        match self.session.as_mut()?.connection() {
            Connection::Stdio(connection) => Some(connection.pid()),
            _ => None,
        }
    }

    /// Whether so much is kept that somebody should look at it.
    pub(super) fn is_heavy(&self) -> bool {
        self.session
            .as_ref()
            .is_some_and(|session| session.tap().is_half_full())
    }

    /// Whether requests carry the id of a session.
    pub(super) fn has_session_id(&mut self) -> bool {
        let address = self.session.as_mut().and_then(|session| session.connection().address());
        address.is_some_and(|address| address.session.is_some())
    }

    /// Whether there is a session that can go on.
    pub(super) fn is_open(&self) -> bool {
        !self.silent && self.session.as_ref().is_some_and(|session| session.closed().is_none())
    }

    /// Ends the session. Gives back the rest of its trace when something happened that no window shows.
    pub(super) async fn end(&mut self) -> Option<Trace> {
        let mut session = self.session.take()?;
        self.connector.end(&mut session).await;
        let trace = self.cut(&session);
        let _ = session.tap().cut(0, "");
        Some(trace)
    }

    /// Ends the session at once: nobody wants to know how it ends.
    pub(super) async fn discard(&mut self) {
        if let Some(mut session) = self.session.take() {
            session.connection().shorten_grace(Duration::from_millis(300));
            self.connector.end(&mut session).await;
            let _ = session.tap().cut(0, "");
        }
    }

    fn cut(&mut self, session: &Session) -> Trace {
        self.windows += 1;
        session.tap().cut(
            self.prefix,
            &format!("{}/{}-{}", self.revision, self.name, self.windows),
        )
    }

    /// What was run since the last look, with everything that was recorded meanwhile.
    pub(super) fn window(&mut self) -> Option<Window> {
        let session = self.session.take()?;
        let trace = self.cut(&session);
        self.session = Some(session);
        let records = std::mem::take(&mut self.gathered);
        Some(Window {
            trace,
            start: (self.forgotten + self.history.len()).saturating_sub(records.len()),
            records,
        })
    }

    /// What the session was sent before its case of that number, as far as it is remembered.
    pub(super) fn before(&self, number: usize) -> &[FuzzCase] {
        let end = number.saturating_sub(self.forgotten).min(self.history.len());
        &self.history[..end]
    }

    /// Runs cases, those that may be together. Stops early when the server is lost, and when so much is kept that somebody should look at it; then at
    /// least some are done.
    pub(super) async fn run(&mut self, cases: Vec<FuzzCase>, within: Option<Duration>) -> Option<Batch> {
        let mut session = self.session.take()?;
        let mut records: Vec<Record> = Vec::new();
        let mut lost = false;
        let mut queue = cases.into_iter().peekable();
        while !lost
            && (records.is_empty() || !session.tap().is_half_full())
            && let Some(case) = queue.next()
        {
            let before = session.tap().used();
            let mut group = vec![case];
            while group[0].independent
                && group.len() < self.at_once
                && let Some(next) = queue.next_if(|next| next.independent && next.legal == group[0].legal)
            {
                group.push(next);
            }
            let first = records.len();
            let count = group.len();
            if group.len() > 1 || group[0].independent {
                together(&mut session, group, within, &mut records).await;
            } else {
                for case in group {
                    records.push(alone(&mut session, case, within).await);
                }
            }
            lost = session.closed().is_some() || records[first..].iter().any(Record::is_unanswered);
            let each = session.tap().used().saturating_sub(before) / count;
            self.at_once = (MOST_BYTES / each.max(1)).clamp(1, AT_ONCE);
        }
        if !lost {
            // Alive after all of it, or the last ones did something.
            let probe = session.probe().await;
            lost = matches!(probe.outcome, Outcome::Silence | Outcome::Closed);
        }
        if lost && session.closed().is_none() {
            self.silent = true;
        }
        if lost {
            // How it ended is part of what there is to see.
            session.listen(Duration::from_millis(30)).await;
        }
        session.forget_answers();
        self.session = Some(session);
        let done = records.len();
        self.remember(&records);
        self.gathered.append(&mut records);
        Some(Batch { done, lost })
    }

    fn remember(&mut self, records: &[Record]) {
        self.history.extend(records.iter().map(|record| record.case.clone()));
        let excess = self.history.len().saturating_sub(MOST_HISTORY);
        self.history.drain(..excess);
        self.forgotten += excess;
    }
}

/// Waits until every exchange of the opening is over: its events stand before each window, and an end that came later would be in one of them only.
async fn settle(session: &mut Session) {
    const PATIENCE: Duration = Duration::from_millis(500);
    let posts: Vec<u32> = session.tap().read(|trace| {
        let posts = trace.events.iter().filter_map(|event| match &event.kind {
            EventKind::HttpRequest { exchange, method, .. } if method == "POST" => Some(*exchange),
            _ => None,
        });
        posts.collect()
    });
    for exchange in posts {
        session.follow_exchange(exchange, Until::End, Some(PATIENCE)).await;
    }
}

/// Between calls that are to be alone, so that they are it even to a server that still works on what it has answered.
const APART: Duration = Duration::from_millis(2);

/// Requests that are on their way at the same time.
const AT_ONCE: usize = 64;

/// Bytes that answers to these may come to, as far as the last ones tell.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// Sends the requests of several cases before it waits for any answer.
async fn together(session: &mut Session, cases: Vec<FuzzCase>, within: Option<Duration>, records: &mut Vec<Record>) {
    let began = Instant::now();
    let illegal = cases.first().is_some_and(|case| !case.legal);
    let name = cases
        .first()
        .map(|case| format!("fuzz/{}", case.phase))
        .unwrap_or_default();
    session.begin_case(&name, illegal);
    let mut waiting: Vec<(Record, Option<Pending>)> = Vec::with_capacity(cases.len());
    // A write for each of them would wake the server as often. What cannot be written shows by the answers that do not come.
    let _ = session.connection().gather(true).await;
    for case in cases {
        let start = session.tap().position();
        let (sent, pending, failed) = match case.steps.first() {
            Some(step) => send(session, step, &[], illegal, within).await,
            None => (None, None, None),
        };
        let record = Record {
            case,
            sent: vec![sent],
            answers: vec![failed],
            events: start..start,
            took: Duration::ZERO,
        };
        waiting.push((record, pending));
    }
    let _ = session.connection().gather(false).await;
    for (mut record, pending) in waiting {
        if let Some(mut pending) = pending {
            // A server may take one after the other: what counts is that it goes on.
            pending.since = Instant::now();
            record.answers[0] = Some(session.finish(&pending, within).await);
        }
        record.events.end = session.tap().position();
        record.took = began.elapsed();
        records.push(record);
    }
    session.end_case(&name);
}

/// Runs one case, step by step.
async fn alone(session: &mut Session, case: FuzzCase, within: Option<Duration>) -> Record {
    let began = Instant::now();
    let start = session.tap().position();
    let illegal = !case.legal;
    let name = format!("fuzz/{}", case.phase);
    session.begin_case(&name, illegal);
    let count = case.steps.len();
    let mut sent = vec![None; count];
    let mut answers: Vec<Option<Answer>> = vec![None; count];
    let mut pending: Vec<(usize, Pending)> = Vec::new();
    let mut raw = false;
    let mut cancelled = false;
    let crowd = matches!(&case.relation, Some(relation) if relation.kind == RelationKind::Together);
    for (index, step) in case.steps.iter().enumerate() {
        if crowd && index > 0 && !case.steps[index - 1].held {
            tokio::time::sleep(APART).await;
        }
        let (event, waits, failed) = send(session, step, &answers, illegal, within).await;
        sent[index] = event;
        answers[index] = failed;
        pending.extend(waits.map(|pending| (index, pending)));
        raw |= matches!(step.what, What::Raw(_));
        cancelled |= matches!(&step.what, What::Notify { method, .. } if method == "notifications/cancelled");
        if step.held && index + 1 < count {
            continue;
        }
        for (index, mut pending) in pending.drain(..) {
            pending.since = pending.since.max(Instant::now());
            // What was cancelled need not be answered.
            let answer = if cancelled {
                patient(session, &pending).await
            } else {
                Some(session.finish(&pending, within).await)
            };
            answers[index] = answer;
        }
        if session.closed().is_some() {
            break;
        }
    }
    // What is no request has no answer to wait for: that the server still answers tells what it did.
    let silent = answers
        .iter()
        .flatten()
        .any(|answer| answer.outcome == Outcome::Silence);
    let quiet = answers.iter().all(Option::is_none);
    if (raw || quiet || illegal) && session.closed().is_none() && !silent {
        let probe = session.probe().await;
        if matches!(probe.outcome, Outcome::Silence | Outcome::Closed) {
            let last = count.saturating_sub(1);
            if let Some(answer) = answers.get_mut(last) {
                *answer = Some(probe);
            }
        }
        session.stray_answers();
    }
    session.end_case(&name);
    Record {
        case,
        sent,
        answers,
        events: start..session.tap().position(),
        took: began.elapsed(),
    }
}

/// The answer to a request that was cancelled, when there is one before the next probe is answered.
async fn patient(session: &mut Session, _pending: &Pending) -> Option<Answer> {
    let probe = session.probe().await;
    session.stray_answers();
    matches!(probe.outcome, Outcome::Silence | Outcome::Closed).then_some(probe)
}

/// Sends a step. Gives back the event, what to wait for, and, when it could not be sent, that as an answer.
async fn send(
    session: &mut Session,
    step: &Step,
    answers: &[Option<Answer>],
    illegal: bool,
    within: Option<Duration>,
) -> (Option<usize>, Option<Pending>, Option<Answer>) {
    let intent = |deliberate: bool| match (illegal, deliberate) {
        (true, _) => Intent::Broken,
        (false, true) => Intent::Deliberate,
        (false, false) => Intent::Proper,
    };
    let result = match &step.what {
        What::Request {
            method,
            params,
            id,
            deliberate,
        } => {
            let params = bound(params.clone(), &step.binds, answers);
            let id = id
                .as_deref()
                .and_then(IdToken::from_raw)
                .unwrap_or_else(|| session.fresh_id());
            let sent = session
                .start_exact(&id, method, params.as_deref(), intent(*deliberate))
                .await;
            sent.map(|pending| (pending.sent.event, Some(pending)))
        }
        What::Notify { method, params } => {
            let params = params
                .as_deref()
                .map(|params| format!(r#","params":{params}"#))
                .unwrap_or_default();
            let line = format!(
                r#"{{"jsonrpc":"2.0","method":{}{params}}}"#,
                Value::from(method.as_str())
            );
            let sent = session.send_bytes(line.as_bytes(), intent(true)).await;
            sent.map(|sent| (sent.event, None))
        }
        What::Http(message) => return exchange(session, message, intent(true), within).await,
        What::Raw(bytes) => {
            let sent = session.send_bytes(bytes, intent(false)).await;
            sent.map(|sent| (sent.event, None))
        }
    };
    match result {
        Ok((event, pending)) => (Some(event), pending, None),
        Err(error) => {
            let last = session.tap().read(|trace| {
                let sent = |kind: &EventKind| matches!(kind, EventKind::Sent { .. });
                trace.events.iter().rposition(|event| sent(&event.kind))
            });
            (last, None, Some(Answer::closed(&error.to_string(), None)))
        }
    }
}

/// One HTTP request, and what came of it. A server may let it run out of time: whether it still answers others is seen afterwards.
async fn exchange(
    session: &mut Session,
    message: &HttpMessage,
    intent: Intent,
    within: Option<Duration>,
) -> (Option<usize>, Option<Pending>, Option<Answer>) {
    let address = session.connection().address();
    let mut raw = RawRequest::new(&message.method);
    if let Some((target, address)) = message.target.as_ref().zip(address.as_ref()) {
        raw.target = Some(super::http::aimed(target, address));
    }
    let known = address.and_then(|address| address.session);
    raw.intent = intent;
    raw.body.clone_from(&message.body);
    raw.headers = message
        .headers
        .iter()
        .map(|(name, value)| {
            let value = value.as_ref().map(|value| {
                let filled = super::http::filled(value, known.as_deref().unwrap_or_default());
                filled.into_bytes()
            });
            (name.clone(), value)
        })
        .collect();
    let event = session.tap().position();
    let number = match session.connection().http_request(&raw) {
        Ok(number) => number,
        // What cannot be put as a request was not sent.
        Err(TransportError::InvalidRequest(_)) => return (None, None, None),
        Err(error) => return (None, None, Some(Answer::closed(&error.to_string(), None))),
    };
    let until = if message.whole { Until::End } else { Until::Head };
    let came = session.follow_exchange(number, until, within).await;
    if !came || !message.whole {
        session.connection().abandon(number);
        session
            .follow_exchange(number, Until::End, Some(Duration::from_secs(1)))
            .await;
    }
    let status = session.exchange_status(number);
    let answer = session.answer_of_exchange(number);
    let answer = answer.or_else(|| status.map(|status| Answer::without_message(Some(status), None)));
    (Some(event), None, answer)
}

/// The params with what earlier answers gave.
fn bound(params: Option<String>, binds: &[Bind], answers: &[Option<Answer>]) -> Option<String> {
    let text = params?;
    if binds.is_empty() {
        return Some(text);
    }
    let Ok(mut value) = serde_json::from_str::<Value>(&text) else {
        return Some(text);
    };
    for bind in binds {
        let answer = answers
            .get(bind.step)
            .and_then(Option::as_ref)
            .and_then(|answer| answer.message.as_ref());
        let (Some(message), Some(place)) = (answer, value.pointer_mut(&bind.into)) else {
            continue;
        };
        let found = match bind.from.as_str() {
            "" => super::feedback::harvest(message)
                .into_iter()
                .map(|(_, value)| value)
                .find(|found| found.is_string() == place.is_string() && found.is_number() == place.is_number()),
            pointer => message.pointer(pointer).cloned(),
        };
        if let Some(found) = found {
            *place = found;
        }
    }
    Some(value.to_string())
}
