//! HTTP requests of a case's own making, and further connections: what transport cases need beyond messages.

use std::time::Duration;

use serde_json::{Map, Value, json};
use touchstone_core::case::interpolation::{interpolate, interpolate_text};
use touchstone_core::case::{HttpStep, HttpUntil, Input, Step};
use touchstone_core::jsonrpc;
use touchstone_core::revision::UnknownRevision;
use touchstone_core::trace::{EventKind, Intent, Trace, TransportKind};

use super::hand_made::request_ids;
use super::places::{FOREIGN, Targets};
use super::runner::{Runner, Seen, Stop};
use crate::session::{Answer, ClientIdentity, Pending, Session, Until};
use crate::transport::{RawRequest, Sent, path_and_query};

/// The most of a body or of an event's data that expectations see, in characters.
const LONGEST: usize = 4096;

impl Runner<'_> {
    /// Sends an HTTP request, or the same one to several places until one of them has what is looked for, and looks at what comes back.
    pub(super) async fn http(&mut self, request: &HttpStep, step: &Step) -> Result<Seen, Stop> {
        let mut raw = self.raw_request(request, step)?;
        let (target, headers) = (raw.target.clone(), raw.headers.clone());
        let Targets { places, foreign } = self.targets(request)?;
        let mut seen = None;
        for place in places {
            raw.document = place.is_some();
            raw.target = place.clone().or_else(|| target.clone());
            raw.headers.clone_from(&headers);
            self.authorize(request.credentials, &mut raw)?;
            let answer = self.exchange(&raw, place, request, step).await?;
            if answer.value.pointer("/http/status") == Some(&json!(200)) {
                return Ok(answer);
            }
            seen = Some(answer);
        }
        let mut seen = seen.unwrap_or_else(|| Seen {
            value: json!({ "outcome": "refused" }),
            events: vec![],
            spoilt: None,
        });
        if foreign {
            seen.spoilt = Some(FOREIGN);
        }
        Ok(seen)
    }

    /// One HTTP request of a step, and what came of it.
    async fn exchange(
        &mut self,
        raw: &RawRequest,
        place: Option<String>,
        request: &HttpStep,
        step: &Step,
    ) -> Result<Seen, Stop> {
        let first = self.session.tap().position();
        let since = tokio::time::Instant::now();
        let exchange = self.session.connection().http_request(raw);
        let exchange = exchange.map_err(|error| Stop::Case(error.to_string()))?;
        let until = match request.until {
            HttpUntil::End => Until::End,
            HttpUntil::Head => Until::Head,
            HttpUntil::Event => Until::Event,
        };
        self.session.follow_exchange(exchange, until, step.within).await;
        if request.abort {
            self.session.connection().abandon(exchange);
            self.session
                .follow_exchange(exchange, Until::End, Some(Duration::from_secs(1)))
                .await;
        }
        let trace = self.session.tap().read(|trace| events_of(trace, exchange, first));
        let status = self.session.exchange_status(exchange);
        let mut answer = self.session.answer_of_exchange(exchange);
        // Over HTTP+SSE what answers the message comes on the event stream.
        let over_sse = self.session.connection().kind() == TransportKind::HttpSse;
        if answer.is_none() && over_sse && status.is_some_and(|status| status < 300) {
            let ids = raw.body.as_deref().map(request_ids).unwrap_or_default();
            if let Some(id) = ids.into_iter().next() {
                let sent = Sent {
                    event: first,
                    exchange: Some(exchange),
                };
                let pending = Pending { id, sent, since };
                answer = Some(self.session.finish(&pending, step.within).await);
            }
        }
        let failure = failure(&trace);
        let answer = answer.unwrap_or_else(|| Answer::without_message(status, failure.clone()));
        let mut value = answer.to_value();
        value["http"] = self.described(&trace, status, failure);
        let asked = raw.body.as_deref().is_some_and(|body| !request_ids(body).is_empty());
        if asked && answer.message.is_none() {
            value["http"]["unanswered"] = json!(true);
        }
        self.describe_authorization(&mut value, exchange, place);
        let head = trace
            .iter()
            .find(|(_, kind)| matches!(kind, EventKind::HttpResponse { .. }))
            .map(|(event, _)| *event);
        Ok(Seen {
            value,
            events: answer.event.into_iter().chain(head).chain([first]).collect(),
            spoilt: None,
        })
    }

    fn raw_request(&self, request: &HttpStep, step: &Step) -> Result<RawRequest, Stop> {
        let mut raw = RawRequest::new(&request.method);
        raw.lowercase_names = request.lower_case;
        raw.target = match &request.target {
            Some(target) => Some(interpolate_text(target, &self.bindings)?),
            None => None,
        };
        let headers = interpolate(&Value::Object(request.headers.clone()), &self.bindings)?;
        for (name, value) in headers.as_object().into_iter().flatten() {
            let text = |value: &Value| match value {
                Value::String(text) => text.clone().into_bytes(),
                other => other.to_string().into_bytes(),
            };
            match value {
                Value::Null => raw.headers.push((name.clone(), None)),
                Value::Array(values) => {
                    let fields = values.iter().map(|value| (name.clone(), Some(text(value))));
                    raw.headers.extend(fields);
                }
                value => raw.headers.push((name.clone(), Some(text(value)))),
            }
        }
        raw.body = match (&request.json, &request.body) {
            (Some(json), _) => {
                let message = self.dressed(interpolate(json, &self.bindings)?, step)?;
                Some(message.to_string().into_bytes())
            }
            (None, Some(text)) => Some(interpolate_text(text, &self.bindings)?.into_bytes()),
            (None, None) => None,
        };
        let broken = step.deliberate || self.case.input == Input::Illegal;
        raw.intent = if broken { Intent::Broken } else { Intent::Proper };
        Ok(raw)
    }

    /// What expectations can look at: everything that came back, as far as it has come.
    fn described(&mut self, trace: &[(usize, EventKind)], status: Option<u16>, failure: Option<String>) -> Value {
        let mut events: Vec<Map<String, Value>> = Vec::new();
        let mut messages = Vec::new();
        let mut described = json!({ "status": status, "ended": false, "headers": {}, "body": "" });
        for (_, kind) in trace {
            match kind {
                EventKind::HttpResponse { headers, .. } => {
                    let fields = headers.iter().map(|(name, value)| (name.to_lowercase(), json!(value)));
                    described["headers"] = fields.collect();
                }
                EventKind::HttpBody { payload, .. } => described["body"] = json!(cut(&payload.text())),
                EventKind::HttpEnded { .. } => described["ended"] = json!(true),
                EventKind::Received { payload, .. } => {
                    events.push(Map::from_iter([("data".to_owned(), json!(cut(&payload.text())))]));
                    match jsonrpc::value(payload.bytes()) {
                        Some(Value::Array(batch)) => messages.extend(batch),
                        Some(message) => messages.push(message),
                        None => {}
                    }
                }
                EventKind::StreamEventFields { name, id, retry, .. } => {
                    if let Some(event) = events.last_mut() {
                        set_fields(event, name.as_deref(), id.as_deref(), *retry);
                    }
                }
                EventKind::StreamEvent {
                    name, data, id, retry, ..
                } => {
                    let mut event = Map::from_iter([("data".to_owned(), json!(cut(&data.text())))]);
                    set_fields(&mut event, name.as_deref(), id.as_deref(), *retry);
                    events.push(event);
                }
                _ => {}
            }
        }
        if let Some(id) = events.iter().rev().find_map(|event| event.get("id")) {
            described["last-id"] = id.clone();
        }
        described["events"] = json!(events);
        described["messages"] = json!(messages);
        // Present only when they hold, so that `bind` can make the rest of a case depend on them.
        if status.is_some_and(|status| (200..300).contains(&status)) {
            described["success"] = json!(true);
        }
        if status.is_some_and(|status| status >= 400) {
            described["refused"] = json!(true);
        }
        if let Some(failure) = failure {
            described["failure"] = json!(failure);
        }
        let address = self.session.connection().address();
        described["loopback"] = json!(address.is_some_and(|address| address.is_loopback()));
        described
    }

    /// A body with what the era adds to the params of a request.
    fn dressed(&self, mut message: Value, step: &Step) -> Result<Value, Stop> {
        let method = message.get("method").and_then(Value::as_str).map(str::to_owned);
        let (Some(method), Value::Object(members)) = (method, &mut message) else {
            return Ok(message);
        };
        let manner = self.manner(step)?;
        if members.contains_key("id") || manner.meta.is_some() {
            let params = self
                .session
                .dressed(&method, members.remove("params"), manner.meta.as_ref());
            members.extend(params.map(|params| ("params".to_owned(), params)));
        }
        Ok(message)
    }

    /// Opens a further connection, with a handshake; in another revision when the case names one.
    pub(super) async fn connect(&mut self, name: &str, revision: Option<&str>) -> Result<Seen, Stop> {
        let trace = format!("{}/{}@{name}", self.revision, self.case_id);
        let blocked = |error: String| Stop::Case(format!("blocked: no connection for a second client: {error}"));
        let own = self.session.revision();
        let wanted = match revision {
            Some(text) => interpolate_text(text, &self.bindings)?
                .parse()
                .map_err(|error: UnknownRevision| Stop::Case(error.to_string()))?,
            None => own,
        };
        let client = match revision {
            Some(_) => ClientIdentity::touchstone(wanted),
            None => self.session.client(),
        };
        let session = self.connector.session(&trace, wanted, client).await;
        let mut session = session.map_err(|error| blocked(error.to_string()))?;
        let opened = session.open().await;
        if wanted == own {
            session.begin_case(self.case_id, self.case.input == Input::Illegal);
        }
        let last = session.tap().position().saturating_sub(1);
        let value = match opened {
            Ok(opening) => json!({ "outcome": "opened", "version": opening.version }),
            Err(problem) if revision.is_some() => {
                json!({ "outcome": "refused", "reason": problem.reason, "versions": problem.versions })
            }
            Err(problem) => {
                self.hang_up(session).await;
                return Err(blocked(problem.reason));
            }
        };
        let facts = facts(&mut session);
        self.bindings.insert(name.to_owned(), facts);
        if let Some(earlier) = self.others.insert(name.to_owned(), session) {
            self.hang_up(earlier).await;
        }
        Ok(Seen {
            value,
            events: vec![last],
            spoilt: None,
        })
    }

    /// Ends a connection that a `connect` step has opened.
    async fn hang_up(&mut self, mut session: Session) {
        self.connector.end(&mut session).await;
        let trace = session.tap().snapshot();
        if session.revision() == self.revision {
            self.report.traces.push(trace);
        } else {
            self.report.apart.push(trace);
        }
    }

    /// Lets the connection of that name and the current one change places.
    pub(super) fn change_to(&mut self, name: &str) -> Result<(), Stop> {
        let other = self.others.get_mut(name);
        let other = other.ok_or_else(|| Stop::Case(format!("the connection {name:?} is not open")))?;
        std::mem::swap(self.session, other);
        Ok(())
    }

    /// Ends the connections that the case has opened.
    pub(super) async fn disconnect(&mut self) {
        for (_, mut session) in std::mem::take(&mut self.others) {
            session.end_case(self.case_id);
            self.hang_up(session).await;
        }
    }

    /// Binds `session`: where its messages are posted, and what names it there.
    pub(super) fn bind_session(&mut self) {
        let facts = facts(self.session);
        self.bindings.insert("session".to_owned(), facts);
    }
}

/// What cases can say of a connection.
fn facts(session: &mut Session) -> Value {
    let Some(address) = session.connection().address() else {
        return json!({});
    };
    let mut facts = json!({ "messages": path_and_query(&address.endpoint) });
    if let Some(id) = address.session {
        facts["id"] = json!(id);
    }
    facts
}

fn set_fields(event: &mut Map<String, Value>, name: Option<&str>, id: Option<&str>, retry: Option<u64>) {
    if let Some(name) = name {
        event.insert("event".to_owned(), json!(name));
    }
    if let Some(id) = id {
        event.insert("id".to_owned(), json!(id));
    }
    if let Some(retry) = retry {
        event.insert("retry".to_owned(), json!(retry));
    }
}

/// Why the exchange failed, unless the harness itself broke it off.
fn failure(trace: &[(usize, EventKind)]) -> Option<String> {
    trace.iter().find_map(|(_, kind)| match kind {
        EventKind::HttpEnded { failure, .. } => failure
            .clone()
            .filter(|failure| failure != touchstone_core::trace::ENDED_BY_HARNESS),
        _ => None,
    })
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

/// The events of one exchange from a position on.
fn events_of(trace: &Trace, exchange: u32, from: usize) -> Vec<(usize, EventKind)> {
    let events = trace.events.iter().enumerate().skip(from);
    events
        .filter(|(_, event)| event.kind.exchange() == Some(exchange))
        .map(|(index, event)| (index, event.kind.clone()))
        .collect()
}
