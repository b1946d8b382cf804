//! Runs the steps of one case on a session and judges its expectations.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};
use touchstone_core::case::interpolation::{Unbound, interpolate, interpolate_text};
use touchstone_core::case::{Action, Case, Input, Need, Step};
use touchstone_core::jsonrpc::IdToken;
use touchstone_core::revision::Revision;
use touchstone_core::spec::judge::DialectPolicy;
use touchstone_core::spec::requirement::Catalog;
use touchstone_core::trace::{Intent, Trace};
use touchstone_core::verdict::Observation;

use super::inventory::{Inventory, walk};
use super::plan::{Surroundings, unmet};
use crate::credentials::Credentials;
use crate::session::{Answer, Connector, Manner, Pending, Session};
use crate::transport::Sent;

/// How long a server may take to exit when a case waits for it.
const EXIT: Duration = Duration::from_secs(5);

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
    /// Traces of connections in another revision than the case's, which the rules of its revision do not judge.
    pub apart: Vec<Trace>,
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

/// A step that speaks of a request which no step before it has started.
fn unstarted(name: &str) -> Stop {
    Stop::Case(format!("no step started {name:?}"))
}

/// An answer with the events that show it.
pub(super) struct Seen {
    pub value: Value,
    pub events: Vec<usize>,
    /// Why the answer shows nothing but a mistake that a monitor reports.
    pub spoilt: Option<&'static str>,
}

/// Items that a `for-each` goes through: what five hundred tools have shown, the next does not change.
const MOST_ITEMS: usize = 500;
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

    pub(super) async fn steps(&mut self, steps: &[Step]) -> Result<(), Stop> {
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
    pub(super) fn unmet(&self, step: &Step) -> Option<String> {
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
                id,
                arguments,
            } => {
                let (method, params) = self.filled_in(method, params.as_ref())?;
                let variants = self.variants(params, arguments.as_ref())?;
                let params = variants.into_iter().next().flatten();
                let id = self.id(id.as_deref())?;
                let manner = self.manner(step)?;
                let pending = self.session.start_in(&id, &method, params, &manner).await;
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
                let pending = self.pending.remove(of).ok_or_else(|| unstarted(of))?;
                let answer = self.session.finish(&pending, step.within).await;
                seen(&answer, Some(pending.sent))
            }
            Action::Notify { method, params } => {
                let (method, params) = self.filled_in(method, params.as_ref())?;
                let manner = self.manner(step)?;
                let sent = self.session.notify_in(&method, params, &manner).await;
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
                self.send(&[message.to_string().into_bytes()], true, step).await
            }
            Action::SendRaw { chunks, newline } => self.send(chunks, *newline, step).await,
            Action::Http(request) => self.http(request, step).await?,
            Action::Await {
                method,
                params,
                unless_answered,
            } => {
                let wanted = params.clone().map(Value::Object);
                let wanted = wanted.map(|params| interpolate(&params, &self.bindings)).transpose()?;
                let has = |params: &Value| wanted.as_ref().is_none_or(|wanted| has_members(params, wanted));
                let within = step.within.unwrap_or(Duration::from_secs(5));
                let call = unless_answered.as_ref();
                let call = call
                    .map(|name| self.pending.get(name).ok_or_else(|| unstarted(name)))
                    .transpose()?;
                match self.session.wait_for(method, has, within, call).await {
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
                    // What follows speaks of what did not come.
                    None if step.name.is_some() && step.expect.is_empty() => {
                        return Err(Stop::Item(format!("the server sent no {method}")));
                    }
                    None => {
                        let refused = self.session.is_refused(method);
                        let outcome = if refused { "refused" } else { "silence" };
                        Seen {
                            value: json!({ "outcome": outcome, "method": method }),
                            events: vec![],
                            spoilt: None,
                        }
                    }
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
            Action::Connect { name, revision } => {
                let seen = self.connect(name, revision.as_deref()).await?;
                // What is seen stands in the trace of the new connection.
                self.change_to(name)?;
                let concluded = self.conclude(step, seen);
                self.change_to(name)?;
                return concluded;
            }
        };
        self.conclude(step, seen)
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

    /// What a message of this step is meant to be.
    pub(super) fn intent(&self, step: &Step) -> Intent {
        match (self.case.input, step.deliberate) {
            (Input::Illegal, _) => Intent::Broken,
            (Input::Legal, true) => Intent::Deliberate,
            (Input::Legal, false) => Intent::Proper,
        }
    }

    /// The id that a step wants, or the session's next one.
    pub(super) fn id(&mut self, wanted: Option<&str>) -> Result<IdToken, Stop> {
        let Some(token) = wanted else {
            return Ok(self.session.fresh_id());
        };
        let token = interpolate_text(token, &self.bindings)?;
        IdToken::from_raw(&token).ok_or_else(|| Stop::Case(format!("{token:?} is no id token")))
    }

    /// How a message of this step differs from what the session makes of it.
    pub(super) fn manner(&self, step: &Step) -> Result<Manner, Stop> {
        let meta = step.meta.as_ref();
        let meta = meta.map(|change| change.try_map(|value| interpolate(value, &self.bindings)));
        Ok(Manner {
            intent: self.intent(step),
            meta: meta.transpose()?,
            retry: step.retry,
        })
    }

    /// A method and its params with every `${...}` replaced.
    pub(super) fn filled_in(&self, method: &str, params: Option<&Value>) -> Result<(String, Option<Value>), Stop> {
        let method = interpolate_text(method, &self.bindings)?;
        let params = params.map(|params| interpolate(params, &self.bindings)).transpose()?;
        Ok((method, params))
    }
}

/// Whether some params have all of these members, with these values.
fn has_members(params: &Value, wanted: &Value) -> bool {
    let mut wanted = wanted.as_object().into_iter().flatten();
    wanted.all(|(name, value)| params.get(name) == Some(value))
}

pub(super) fn seen(answer: &Answer, sent: Option<Sent>) -> Seen {
    let events = answer.event.into_iter().chain(sent.map(|sent| sent.event)).collect();
    Seen {
        value: answer.to_value(),
        events,
        spoilt: (!answer.exact).then_some(OTHER_ID),
    }
}
