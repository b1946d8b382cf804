//! Runs the steps of one case on a session and judges its expectations.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};
use touchstone_core::case::interpolation::{Unbound, interpolate, interpolate_text};
use touchstone_core::case::{Action, Arguments, Case, Expectation, Input, Judgement, Need, Step};
use touchstone_core::jsonrpc::{self, IdToken, Reading, Shape};
use touchstone_core::revision::Revision;
use touchstone_core::spec::judge::DialectPolicy;
use touchstone_core::spec::requirement::{Catalog, Severity};
use touchstone_core::trace::{Intent, Trace};
use touchstone_core::verdict::{Breach, Evidence, Observation, Outcome as Observed, Score};

use super::arguments;
use super::inventory::{Inventory, walk};
use super::plan::{Surroundings, unmet};
use crate::credentials::Credentials;
use crate::session::{Answer, Arrival, Connector, Outcome, Pending, Session};
use crate::transport::Sent;

/// How long a server may take to exit when a case waits for it.
const EXIT: Duration = Duration::from_secs(5);
/// How long the answers to hand-made messages are waited for, once a probe has shown that the server is alive: it may not answer them at all.
const HAND_MADE: Duration = Duration::from_secs(2);

/// What the steps of a case came to.
#[derive(Default)]
pub(super) struct CaseReport {
    /// What the expectations say.
    pub observations: Vec<Observation>,
    /// Requirements that the case would have judged but could not, with the reason.
    pub unexercised: BTreeMap<String, String>,
    /// Why the case was not run to its end.
    pub stopped: Option<String>,
    /// Traces of connections that the case ended on its way.
    pub traces: Vec<Trace>,
}

/// Everything that the steps of a case work with.
pub(super) struct Runner<'a> {
    pub session: &'a mut Session,
    pub connector: &'a Connector,
    pub inventory: &'a Inventory,
    pub surroundings: &'a Surroundings<'a>,
    pub credentials: &'a Credentials,
    pub examples: &'a BTreeMap<String, Value>,
    pub catalog: &'a Catalog,
    pub case: &'a Case,
    pub case_id: &'a str,
    pub revision: Revision,
    pub dialect: DialectPolicy,
    pub bindings: Map<String, Value>,
    pub pending: BTreeMap<String, Pending>,
    /// Connections that `connect` steps have opened.
    pub others: BTreeMap<String, Session>,
    /// What the innermost `for-each` is at.
    pub item: Option<String>,
    pub report: CaseReport,
}

/// Why steps stop before their end.
pub(super) enum Stop {
    /// The case cannot go on.
    Case(String),
    /// This item of a `for-each` is passed over.
    Item(String),
}

impl From<Unbound> for Stop {
    fn from(unbound: Unbound) -> Self {
        // Inside a `for-each` the next item may have what this one lacks.
        Self::Item(unbound.to_string())
    }
}

/// An answer with the events that show it.
pub(super) struct Seen {
    pub value: Value,
    pub events: Vec<usize>,
    /// Why the answer shows nothing but a mistake that a monitor reports.
    pub spoilt: Option<&'static str>,
}

/// The code of an unknown method.
const METHOD_NOT_FOUND: i64 = -32601;
/// The requirements that a server without ping breaks. Whatever else is seen by a ping is not exercised then: one mistake, one finding.
const WITHOUT_PING: [&str; 2] = ["ping/answered", "ping/no-capability"];
/// The server does not know ping, which the cases of ping report.
const NO_PING: &str = "blocked: the server does not know ping";
/// Items that a `for-each` goes through: what five hundred tools have shown, the next does not change.
const MOST_ITEMS: usize = 500;
/// A tool whose call took longer than this is called by no further item of a `for-each`: its work is long, and every call would cost as much.
const SLOW_CALL: Duration = Duration::from_secs(2);

/// The answer has another id than the request, which the pairing monitor reports.
const OTHER_ID: &str = "blocked: the answer has another id than the request";
/// The server did not survive the notification, which the pairing monitor reports.
const GONE: &str = "blocked: the server went away";
/// The notification was answered, which the pairing monitor reports.
const ANSWERED: &str = "blocked: the notification was answered";

impl Runner<'_> {
    /// Runs the case.
    pub(super) async fn run(mut self) -> CaseReport {
        let case = self.case;
        if let Err(Stop::Case(reason) | Stop::Item(reason)) = self.steps(&case.steps).await {
            self.unexercised_rest(&case.steps, &reason);
            self.report.stopped = Some(reason);
        }
        self.disconnect().await;
        self.report
    }

    async fn steps(&mut self, steps: &[Step]) -> Result<(), Stop> {
        for step in steps {
            if let Some(reason) = self.unmet(step) {
                self.unexercised_rest(std::slice::from_ref(step), &reason);
                continue;
            }
            // Nested steps call back into this function.
            Box::pin(self.step(step)).await?;
        }
        Ok(())
    }

    /// Why a step is passed over.
    fn unmet(&self, step: &Step) -> Option<String> {
        if step.needs.is_empty() {
            return None;
        }
        let needs = step.needs.iter().filter_map(|need| need.parse::<Need>().ok());
        needs.into_iter().find_map(|need| unmet(&need, self.surroundings))
    }

    /// Runs a step on the connection that it names.
    async fn step(&mut self, step: &Step) -> Result<(), Stop> {
        let Some(name) = &step.on else {
            return self.step_here(step).await;
        };
        self.change_to(name)?;
        let outcome = self.step_here(step).await;
        self.change_to(name)?;
        outcome
    }

    async fn step_here(&mut self, step: &Step) -> Result<(), Stop> {
        if step.on.is_none() {
            self.bind_session();
        }
        let seen = match &step.action {
            Action::Request {
                method,
                params,
                id,
                arguments,
            } => {
                return self
                    .request(step, method, params.as_ref(), id.as_deref(), arguments.as_ref())
                    .await;
            }
            Action::Start {
                method,
                params,
                arguments,
            } => {
                let (method, params) = self.filled_in(method, params.as_ref())?;
                let variants = self.variants(params, arguments.as_ref())?;
                let params = variants.into_iter().next().flatten();
                let id = self.session.fresh_id();
                let pending = self.session.start_with(&id, &method, params, self.intent(step)).await;
                let pending = pending.map_err(|error| Stop::Case(error.to_string()))?;
                if let Some(name) = &step.name {
                    self.bindings.insert(
                        name.clone(),
                        json!({ "id": serde_json::from_str::<Value>(&id.to_string()).unwrap_or_default() }),
                    );
                    self.pending.insert(name.clone(), pending);
                }
                return Ok(());
            }
            Action::AwaitAnswer { of } => {
                let pending = self
                    .pending
                    .remove(of)
                    .ok_or_else(|| Stop::Case(format!("no step started {of:?}")))?;
                let answer = self.session.finish(&pending, step.within).await;
                seen(&answer, Some(pending.sent))
            }
            Action::Notify { method, params } => {
                let (method, params) = self.filled_in(method, params.as_ref())?;
                let sent = self.session.notify_with(&method, params, self.intent(step)).await;
                let seen = self.replies(sent.ok()).await;
                let answered = seen.value["replies"]
                    .as_array()
                    .is_some_and(|replies| !replies.is_empty());
                let gone = seen.value["outcome"] == "closed";
                Seen {
                    spoilt: answered.then_some(ANSWERED).or(gone.then_some(GONE)),
                    ..seen
                }
            }
            Action::Send(message) => {
                let message = interpolate(message, &self.bindings)?;
                self.send(&[message.to_string().into_bytes()], true, step.within).await
            }
            Action::SendRaw { chunks, newline } => self.send(chunks, *newline, step.within).await,
            Action::Http(request) => self.http(request, step).await?,
            Action::Await { method, params } => {
                let wanted = params.clone().map(Value::Object);
                let wanted = wanted.map(|params| interpolate(&params, &self.bindings)).transpose()?;
                let has = |params: &Value| wanted.as_ref().is_none_or(|wanted| has_members(params, wanted));
                let within = step.within.unwrap_or(Duration::from_secs(5));
                match self.session.wait_for(method, has, within).await {
                    Some(arrival) => {
                        let mut value = json!({ "outcome": "arrived", "method": method });
                        value["params"] = arrival.value.get("params").cloned().unwrap_or(Value::Null);
                        if let Some(id) = arrival.value.get("id") {
                            value["id"] = id.clone();
                        }
                        Seen {
                            value,
                            events: vec![arrival.event],
                            spoilt: None,
                        }
                    }
                    None => Seen {
                        value: json!({ "outcome": "silence", "method": method }),
                        events: vec![],
                        spoilt: None,
                    },
                }
            }
            Action::Answer { replies } => {
                for (method, reply) in replies {
                    let reply = interpolate(reply, &self.bindings)?;
                    self.session.replies().set(method, reply);
                }
                return Ok(());
            }
            Action::Silence(duration) => {
                let arrivals = self.session.listen(*duration).await;
                let outcome = if arrivals.is_empty() { "silence" } else { "message" };
                let messages: Vec<&Value> = arrivals.iter().map(|arrival| &arrival.value).collect();
                let events = arrivals.iter().map(|arrival| arrival.event).collect();
                Seen {
                    value: json!({ "outcome": outcome, "messages": messages }),
                    events,
                    spoilt: None,
                }
            }
            Action::CloseStdin => {
                self.session
                    .connection()
                    .close_stdin()
                    .map_err(|error| Stop::Case(error.to_string()))?;
                return Ok(());
            }
            Action::Signal(name) => {
                self.session
                    .connection()
                    .signal(name)
                    .map_err(|error| Stop::Case(error.to_string()))?;
                return Ok(());
            }
            Action::ExpectExit => {
                let exit = self.session.connection().wait_exit(step.within.unwrap_or(EXIT)).await;
                let value = match exit.map_err(|error| Stop::Case(error.to_string()))? {
                    Some(exit) => json!({ "outcome": "exited", "code": exit.code, "signal": exit.signal }),
                    None => json!({ "outcome": "running" }),
                };
                let last = self.session.tap().position().saturating_sub(1);
                Seen {
                    value,
                    events: vec![last],
                    spoilt: None,
                }
            }
            Action::Probe => {
                let answer = self.session.probe().await;
                seen(&answer, None)
            }
            Action::ListAll { method } => {
                let first = self.session.tap().position();
                let walk = walk(self.session, method).await;
                let last = self.session.tap().position().saturating_sub(1);
                Seen {
                    value: walk.to_value(),
                    events: vec![last, first],
                    spoilt: None,
                }
            }
            Action::ForEach {
                source,
                item,
                at_most,
                steps,
            } => {
                return self
                    .for_each(self.inventory.source(*source), item, *at_most, steps)
                    .await;
            }
            Action::Repeat { times, steps } => {
                for _ in 0..*times {
                    self.steps(steps).await?;
                }
                return Ok(());
            }
            Action::Parallel { steps } => return self.parallel(steps).await,
            Action::Bind { values } => {
                for (name, value) in values {
                    let value = interpolate(value, &self.bindings)?;
                    self.bindings.insert(name.clone(), value);
                }
                return Ok(());
            }
            Action::Reconnect => return self.reconnect().await,
            Action::Connect { name } => return self.connect(name).await,
        };
        self.conclude(step, seen)
    }

    async fn request(
        &mut self,
        step: &Step,
        method: &str,
        params: Option<&Value>,
        id: Option<&str>,
        arguments: Option<&Arguments>,
    ) -> Result<(), Stop> {
        let (method, params) = self.filled_in(method, params)?;
        for params in self.variants(params, arguments)? {
            let called = self.called_item(&method, params.as_ref());
            if let Some(waited) = called.as_ref().and_then(|name| self.session.slow_tool(name)) {
                return Err(Stop::Item(format!(
                    "one call of it took {:.0} s already",
                    waited.as_secs_f64()
                )));
            }
            let since = tokio::time::Instant::now();
            let id = match id {
                Some(token) => {
                    let token = interpolate_text(token, &self.bindings)?;
                    IdToken::from_raw(&token).ok_or_else(|| Stop::Case(format!("{token:?} is no id token")))?
                }
                None => self.session.fresh_id(),
            };
            let patience = called.as_ref().map(|_| self.session.patience_with_tools());
            let answer = match self.session.start_with(&id, &method, params, self.intent(step)).await {
                Ok(pending) => {
                    let answer = self.session.finish(&pending, step.within.or(patience)).await;
                    seen(&answer, Some(pending.sent))
                }
                Err(error) => Seen {
                    value: json!({ "outcome": "closed", "reason": error.to_string() }),
                    events: vec![],
                    spoilt: None,
                },
            };
            if let Some(version) = answer.value["result"]["protocolVersion"].as_str()
                && method == "initialize"
                && self.session.opening().is_none()
            {
                self.session.take_up_version(version);
            }
            if let Some(name) = called.filter(|_| since.elapsed() > SLOW_CALL) {
                self.session.note_slow_tool(&name, since.elapsed());
            }
            self.conclude(step, answer)?;
        }
        Ok(())
    }

    /// The tool of a `for-each` that a request calls.
    fn called_item(&self, method: &str, params: Option<&Value>) -> Option<String> {
        let name = params?.get("name")?.as_str()?;
        (method == "tools/call" && self.item.as_deref() == Some(name)).then(|| name.to_owned())
    }

    /// The params with each of the arguments that are to be generated, or as they are.
    fn variants(&self, params: Option<Value>, wanted: Option<&Arguments>) -> Result<Vec<Option<Value>>, Stop> {
        let Some(wanted) = wanted else {
            return Ok(vec![params]);
        };
        let tool = self
            .bindings
            .get(&wanted.from)
            .ok_or_else(|| Stop::Case(format!("no tool is bound to {:?}", wanted.from)))?;
        let text = wanted.text.as_deref();
        let text = text.map(|text| interpolate_text(text, &self.bindings)).transpose()?;
        let values = arguments::make(wanted, text.as_deref(), tool, self.dialect, self.examples).map_err(Stop::Item)?;
        let with = |value| {
            let mut params = params.clone().unwrap_or_else(|| json!({}));
            params["arguments"] = value;
            Some(params)
        };
        Ok(values.into_iter().map(with).collect())
    }

    async fn parallel(&mut self, steps: &[Step]) -> Result<(), Stop> {
        let mut started = Vec::new();
        for step in steps {
            if let Some(reason) = self.unmet(step) {
                self.unexercised_rest(std::slice::from_ref(step), &reason);
                continue;
            }
            let Action::Request { method, params, id, .. } = &step.action else {
                continue;
            };
            let (method, params) = self.filled_in(method, params.as_ref())?;
            let token = match id.as_deref() {
                Some(token) => {
                    Some(IdToken::from_raw(token).ok_or_else(|| Stop::Case(format!("{token:?} is no id token")))?)
                }
                None => None,
            };
            if let Some(name) = &step.on {
                self.change_to(name)?;
            }
            let id = token.unwrap_or_else(|| self.session.fresh_id());
            let pending = self.session.start_with(&id, &method, params, self.intent(step)).await;
            if let Some(name) = &step.on {
                self.change_to(name)?;
            }
            let pending = pending.map_err(|error| Stop::Case(error.to_string()))?;
            started.push((step, pending));
        }
        for (step, pending) in started {
            if let Some(name) = &step.on {
                self.change_to(name)?;
            }
            let answer = self.session.finish(&pending, step.within).await;
            let concluded = self.conclude(step, seen(&answer, Some(pending.sent)));
            if let Some(name) = &step.on {
                self.change_to(name)?;
            }
            concluded?;
        }
        Ok(())
    }

    async fn for_each(
        &mut self,
        items: Vec<Value>,
        name: &str,
        at_most: Option<usize>,
        steps: &[Step],
    ) -> Result<(), Stop> {
        let outer = self.item.take();
        let mut passed_over = None;
        let mut done = 0;
        for item in items.into_iter().take(MOST_ITEMS) {
            if at_most.is_some_and(|most| done >= most) || (done > 0 && self.session.closed().is_some()) {
                break;
            }
            // Where nothing is waited for, whoever wants to stop the run would never have a turn.
            tokio::task::yield_now().await;
            self.item = ["name", "uri", "uriTemplate"]
                .iter()
                .find_map(|key| item.get(*key)?.as_str())
                .map(str::to_owned);
            self.bindings.insert(name.to_owned(), item);
            match self.steps(steps).await {
                Ok(()) => done += 1,
                Err(Stop::Item(reason)) => {
                    let what = self.item.clone().unwrap_or_default();
                    passed_over.get_or_insert(format!("{what}: {reason}"));
                }
                Err(stop) => return Err(stop),
            }
        }
        self.item = outer;
        if done == 0 {
            let reason = passed_over.unwrap_or_else(|| "the server offers nothing of the kind".to_owned());
            self.unexercised_rest(steps, &reason);
        }
        Ok(())
    }

    async fn reconnect(&mut self) -> Result<(), Stop> {
        self.connector.end(self.session).await;
        self.report.traces.push(self.session.tap().snapshot());
        let number = self.report.traces.len() + 1;
        let name = format!("{}/{}#{number}", self.revision, self.case_id);
        let fresh = self
            .connector
            .session(&name, self.revision, self.session.client())
            .await;
        *self.session = fresh.map_err(|error| Stop::Case(error.to_string()))?;
        self.session.begin_case(self.case_id, self.case.input == Input::Illegal);
        Ok(())
    }

    /// Sends chunks of bytes and collects the answers to the requests in them, or whatever else answers them.
    async fn send(&mut self, chunks: &[Vec<u8>], newline: bool, within: Option<Duration>) -> Seen {
        let whole = chunks.concat();
        let illegal = self.case.input == Input::Illegal;
        let intent = if illegal { Intent::Broken } else { Intent::Proper };
        let sent = match self.session.connection().send_chunks(chunks, newline, intent).await {
            Ok(sent) => sent,
            Err(error) => {
                return Seen {
                    value: json!({ "outcome": "closed", "reason": error.to_string() }),
                    events: vec![],
                    spoilt: None,
                };
            }
        };
        if illegal {
            return self.replies(Some(sent)).await;
        }
        let ids = request_ids(&whole);
        if !ids.is_empty() {
            self.session.probe().await;
        }
        let since = tokio::time::Instant::now();
        let mut answers = Vec::new();
        for id in ids {
            let pending = Pending { id, sent, since };
            answers.push(self.session.finish(&pending, Some(within.unwrap_or(HAND_MADE))).await);
        }
        let mut seen = self.replies(Some(sent)).await;
        let mut replies: Vec<Value> = answers.iter().filter_map(|answer| answer.message.clone()).collect();
        if let Some(worst) = answers
            .iter()
            .find(|answer| answer.message.is_none())
            .or(answers.first())
        {
            let Value::Array(strays) = seen.value["replies"].take() else {
                return seen;
            };
            seen.value = worst.to_value();
            replies.extend(strays);
            seen.events = answers
                .iter()
                .filter_map(|answer| answer.event)
                .chain([sent.event])
                .collect();
        }
        seen.value["replies"] = json!(replies);
        seen
    }

    /// What answers a message that asks for nothing: waits until a liveness probe was answered.
    async fn replies(&mut self, sent: Option<Sent>) -> Seen {
        let (arrivals, probe) = self.session.settle(sent).await;
        let status = sent.and_then(|sent| self.session.exchange_status(sent.exchange?));
        let answer = match arrivals.first() {
            Some(first) => Answer::of_arrival(first, status),
            None if matches!(probe.outcome, Outcome::Closed | Outcome::Silence) => Answer::closed(
                probe.reason.as_deref().unwrap_or("the server no longer answers"),
                status,
            ),
            None => Answer::silence(status),
        };
        let mut value = answer.to_value();
        value["replies"] = json!(
            arrivals
                .iter()
                .map(|arrival: &Arrival| &arrival.value)
                .collect::<Vec<_>>()
        );
        let events = arrivals
            .iter()
            .map(|arrival| arrival.event)
            .chain(sent.map(|sent| sent.event))
            .collect();
        Seen {
            value,
            events,
            spoilt: None,
        }
    }

    /// What a message of this step is meant to be.
    fn intent(&self, step: &Step) -> Intent {
        match (self.case.input, step.deliberate) {
            (Input::Illegal, _) => Intent::Broken,
            (Input::Legal, true) => Intent::Deliberate,
            (Input::Legal, false) => Intent::Proper,
        }
    }

    /// A method and its params with every `${...}` replaced.
    fn filled_in(&self, method: &str, params: Option<&Value>) -> Result<(String, Option<Value>), Stop> {
        let method = interpolate_text(method, &self.bindings)?;
        let params = params.map(|params| interpolate(params, &self.bindings)).transpose()?;
        Ok((method, params))
    }

    /// Keeps the answer under the step's name and judges the step's expectations.
    fn conclude(&mut self, step: &Step, seen: Seen) -> Result<(), Stop> {
        let is_request = !matches!(
            step.action,
            Action::Silence(_) | Action::Await { .. } | Action::ExpectExit
        );
        let about = self.item.clone().or_else(|| step.about().map(str::to_owned));
        let without_ping = matches!(&step.action, Action::Request { method, .. } if method == "ping")
            && seen.value["error"]["code"] == METHOD_NOT_FOUND;
        for expectation in &step.expect {
            if without_ping && !WITHOUT_PING.contains(&expectation.requirement.as_str()) {
                self.unexercised(&expectation.requirement, NO_PING);
                continue;
            }
            self.judge(expectation, &seen, is_request, about.as_deref())?;
        }
        let gone = self.session.closed().map(str::to_owned);
        if let Some(name) = &step.name {
            self.bindings.insert(name.clone(), seen.value);
        }
        match gone {
            // What comes after the end of the server says nothing, unless the case itself brought the end about.
            Some(reason) if !matches!(step.action, Action::ExpectExit | Action::Silence(_)) => {
                Err(Stop::Case(format!("blocked: {reason}")))
            }
            _ => Ok(()),
        }
    }

    fn judge(
        &mut self,
        expectation: &Expectation,
        seen: &Seen,
        is_request: bool,
        about: Option<&str>,
    ) -> Result<(), Stop> {
        let id = expectation.requirement.as_str();
        if self
            .catalog
            .get(id)
            .is_none_or(|requirement| requirement.level(self.revision).is_none())
        {
            return Ok(());
        }
        if let Some(reason) = seen.spoilt {
            self.unexercised(id, reason);
            return Ok(());
        }
        let illegal = self.case.input == Input::Illegal;
        let outcome = seen.value.get("outcome").and_then(Value::as_str).unwrap_or_default();
        if is_request && matches!(outcome, "silence" | "closed") && !illegal && !expectation.looks_at_outcome() {
            self.unexercised(id, "blocked: the request was not answered");
            return Ok(());
        }
        let expectation = expectation.try_map(|value| interpolate(value, &self.bindings))?;
        let outcome = match expectation.judge(&seen.value) {
            Judgement::Irrelevant => return Ok(()),
            Judgement::Kept => Observed::Kept(1),
            Judgement::Broken { message, at_most } => {
                // Illegal input: any answer is allowed, so this is only worth knowing.
                let at_most = if illegal { Severity::Info } else { at_most };
                let message = format!("{}: {message}", self.case.title);
                Observed::Broken(Breach {
                    message,
                    about: about.map(str::to_owned),
                    at_most,
                    score: Score::Conformance,
                })
            }
        };
        let trace = self.session.tap().read(|trace| trace.name.clone());
        let evidence = seen
            .events
            .iter()
            .map(|event| Evidence {
                trace: trace.clone(),
                event: *event,
            })
            .collect();
        self.report.observations.push(Observation {
            requirement: id.to_owned(),
            outcome,
            case: Some(self.case_id.to_owned()),
            evidence,
        });
        Ok(())
    }

    fn unexercised(&mut self, requirement: &str, reason: &str) {
        self.report
            .unexercised
            .entry(requirement.to_owned())
            .or_insert_with(|| reason.to_owned());
    }

    /// Notes that the expectations of steps were not judged.
    fn unexercised_rest(&mut self, steps: &[Step], reason: &str) {
        for step in steps {
            for expectation in &step.expect {
                self.unexercised(&expectation.requirement, reason);
            }
            if let Action::ForEach { steps, .. } | Action::Repeat { steps, .. } | Action::Parallel { steps } =
                &step.action
            {
                self.unexercised_rest(steps, reason);
            }
        }
    }
}

/// Whether some params have all of these members, with these values.
fn has_members(params: &Value, wanted: &Value) -> bool {
    let mut wanted = wanted.as_object().into_iter().flatten();
    wanted.all(|(name, value)| params.get(name) == Some(value))
}

fn seen(answer: &Answer, sent: Option<Sent>) -> Seen {
    let events = answer.event.into_iter().chain(sent.map(|sent| sent.event)).collect();
    Seen {
        value: answer.to_value(),
        events,
        spoilt: (!answer.exact).then_some(OTHER_ID),
    }
}

/// The ids of the requests in some bytes: one message, a batch, or several lines.
pub(super) fn request_ids(bytes: &[u8]) -> Vec<IdToken> {
    let mut ids = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Reading::Complete(document) = jsonrpc::read(line, &jsonrpc::Limits::default()) {
            match document.shape {
                Shape::Request { id, .. } => ids.push(id),
                Shape::Batch(elements) => ids.extend(elements.into_iter().filter_map(|element| match element.shape {
                    Shape::Request { id, .. } => Some(id),
                    _ => None,
                })),
                _ => {}
            }
        }
    }
    ids
}
