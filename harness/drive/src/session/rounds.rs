//! What a session keeps of the requests that it has sent: how they are cancelled, and how questions in their answers are answered.
//!
//! In the stateless era a server that needs something of the client answers with `input_required` (multi round trip requests): the client sends
//! the same request again with what was asked for. The session does so by its reply policy, as it answers requests of a server in the other era,
//! and whoever waits for the first request gets the answer to the last.

use serde_json::{Map, Value, json};
use tokio::time::Instant;
use touchstone_core::case::MetaChange;
use touchstone_core::jsonrpc::{self, IdToken};
use touchstone_core::revision::Era;
use touchstone_core::trace::{Intent, TransportKind};

use super::{Arrival, Pending, Session};
use crate::transport::{Sent, TransportError};

/// How often a request is sent again with input; a server that asks for ever gets no more.
const MOST_ROUNDS: usize = 10;
/// The requests that may be answered with questions.
const METHODS: [&str; 3] = ["tools/call", "prompts/get", "resources/read"];
/// What a server may ask for; anything else is its mistake, and gets no answer.
const QUESTIONS: [&str; 3] = ["elicitation/create", "sampling/createMessage", "roots/list"];
/// The request that stays open until the client ends it.
const LISTEN: &str = "subscriptions/listen";

/// How a message departs from what the session makes of it by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manner {
    /// What it is meant to be.
    pub intent: Intent,
    /// What is different about its `_meta`.
    pub meta: Option<MetaChange>,
    /// Whether an answer that asks for input is answered by sending the request again.
    pub retry: bool,
}

impl Default for Manner {
    fn default() -> Self {
        Self::from(Intent::Proper)
    }
}

impl From<Intent> for Manner {
    fn from(intent: Intent) -> Self {
        Self {
            intent,
            meta: None,
            retry: true,
        }
    }
}

/// A request that was sent, as far as it may be needed again.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    method: String,
    /// As they were before the era added anything.
    params: Option<Value>,
    manner: Manner,
    sent: Sent,
    rounds: usize,
}

impl Session {
    /// Sends a request with an exact id in a manner of its own, and does not wait.
    ///
    /// # Errors
    /// When it cannot be handed over.
    pub async fn start_in(
        &mut self,
        id: &IdToken,
        method: &str,
        params: Option<Value>,
        manner: &Manner,
    ) -> Result<Pending, TransportError> {
        self.start_round(id, method, params, manner, 0).await
    }

    async fn start_round(
        &mut self,
        id: &IdToken,
        method: &str,
        params: Option<Value>,
        manner: &Manner,
        rounds: usize,
    ) -> Result<Pending, TransportError> {
        let kept = (self.protocol.era() == Era::Stateless).then(|| params.clone());
        let params = self.dressed(method, params, manner.meta.as_ref());
        let bytes = jsonrpc::request_bytes(id, method, params.as_ref());
        let sent = self.send_bytes(&bytes, manner.intent).await?;
        self.answered.remove(id.as_str());
        self.retried.remove(id.as_str());
        self.outstanding.push(id.clone());
        if let Some(params) = kept {
            let asked = Asked {
                method: method.to_owned(),
                params,
                manner: manner.clone(),
                sent,
                rounds,
            };
            self.asked.insert(id.to_string(), asked);
        }
        Ok(Pending {
            id: id.clone(),
            sent,
            since: Instant::now(),
        })
    }

    /// The params of a message with what the era adds to them, and with what a case changes about that.
    pub(crate) fn dressed(&self, method: &str, params: Option<Value>, change: Option<&MetaChange>) -> Option<Value> {
        match change {
            Some(MetaChange::None) => MetaChange::None.apply(params),
            Some(change) => change.apply(self.protocol.dress(method, params)),
            None => self.protocol.dress(method, params),
        }
    }

    /// The request that goes on where this one was answered with questions, after so many rounds.
    pub(super) fn successor(&mut self, id: &IdToken) -> Option<Pending> {
        self.retried.remove(id.as_str())
    }

    /// How often a request was sent again to come to this one.
    pub(super) fn rounds(&self, id: &IdToken) -> usize {
        self.asked.get(id.as_str()).map_or(0, |asked| asked.rounds)
    }

    /// Sends a request again with what its answer asks for. False when the answer asks for nothing, or for something that is not given.
    pub(super) async fn answer_questions(&mut self, id: &IdToken, answer: &Value, event: usize) -> bool {
        let result = &answer["result"];
        if result["resultType"] != "input_required" || !self.outstanding.iter().any(|other| other.same_value(id)) {
            return false;
        }
        let Some(asked) = self.asked.get(id.as_str()).cloned() else {
            return false;
        };
        if !asked.manner.retry || !METHODS.contains(&asked.method.as_str()) || asked.rounds >= MOST_ROUNDS {
            return false;
        }
        if !can_be_answered(result) {
            return false;
        }
        let Some(responses) = self.responses(&result["inputRequests"], event) else {
            return false;
        };
        let mut params = match &asked.params {
            Some(Value::Object(members)) => members.clone(),
            _ => Map::new(),
        };
        params.insert("inputResponses".to_owned(), Value::Object(responses));
        match &result["requestState"] {
            Value::Null => params.remove("requestState"),
            state => params.insert("requestState".to_owned(), state.clone()),
        };
        let next = self.fresh_id();
        let params = Some(Value::Object(params));
        // The retry calls back into this function only when its own answer comes.
        let started = Box::pin(self.start_round(&next, &asked.method, params, &asked.manner, asked.rounds + 1)).await;
        match started {
            Ok(pending) => {
                self.answered.insert(id.to_string());
                self.retried.insert(id.to_string(), pending);
                true
            }
            // Whoever waits for the answer sees the questions.
            Err(_) => false,
        }
    }

    /// What the client says to each question; `None` when one of them gets no answer.
    fn responses(&mut self, questions: &Value, event: usize) -> Option<Map<String, Value>> {
        let mut responses = Map::new();
        for (key, question) in questions.as_object().into_iter().flatten() {
            let method = question.get("method").and_then(Value::as_str).unwrap_or_default();
            // So that a case can wait for it, as for a request of the server.
            self.inbox.push(Arrival {
                event,
                value: json!({ "method": method, "params": question.get("params"), "key": key }),
                method: Some(method.to_owned()),
                id: None,
            });
            self.trim();
            responses.insert(key.clone(), self.replies.response(method, question.get("params"))?);
        }
        Some(responses)
    }

    /// What the client would say to the questions of a result; `None` when one of them gets no answer.
    pub fn responses_to(&mut self, result: &Value) -> Option<Value> {
        if !can_be_answered(result) {
            return None;
        }
        let mut responses = Map::new();
        for (key, question) in result["inputRequests"].as_object().into_iter().flatten() {
            let method = question.get("method").and_then(Value::as_str).unwrap_or_default();
            responses.insert(key.clone(), self.replies.response(method, question.get("params"))?);
        }
        Some(Value::Object(responses))
    }

    /// Whether a subscription was refused, so that nothing of it will come.
    pub(crate) fn is_refused(&self, method: &str) -> bool {
        let of_listen = |id: &IdToken| self.asked.get(id.as_str()).is_some_and(|asked| asked.method == LISTEN);
        method == "notifications/subscriptions/acknowledged"
            && self
                .answers
                .iter()
                .any(|answer| answer.id.as_ref().is_some_and(of_listen))
    }

    /// Ends a request by what the transport has for it, when `notifications/cancelled` is not how that is done: over Streamable HTTP the
    /// stateless era closes the stream of the response. `None` where the notification is to be sent.
    pub(super) fn hang_up_on(&mut self, method: &str, params: Option<&Value>) -> Option<Sent> {
        let over_http = self.connection.kind() == TransportKind::StreamableHttp;
        if method != "notifications/cancelled" || !over_http || self.protocol.era() != Era::Stateless {
            return None;
        }
        let id = params?.get("requestId")?.to_string();
        let sent = self.asked.get(&id)?.sent;
        self.connection.abandon(sent.exchange?);
        Some(sent)
    }

    /// Ends the subscriptions that were opened and not ended yet: what they bring is not for whoever uses the session next.
    pub(crate) async fn stop_listening(&mut self) {
        let open: Vec<(IdToken, Sent)> = self
            .outstanding
            .iter()
            .filter_map(|id| Some((id.clone(), self.asked.get(id.as_str())?)))
            .filter(|(_, asked)| asked.method == LISTEN)
            .map(|(id, asked)| (id, asked.sent))
            .collect();
        for (id, sent) in open {
            let answered = |arrival: &Arrival| arrival.id.as_ref().is_some_and(|other| other.same_value(&id));
            if self.closed.is_some() || self.answers.iter().any(answered) {
                continue;
            }
            match sent.exchange {
                Some(exchange) => self.connection.abandon(exchange),
                None => {
                    let id: Value = serde_json::from_str(id.as_str()).unwrap_or_default();
                    // A server that does not take it any more is noticed by what comes next.
                    let _ = self
                        .notify("notifications/cancelled", Some(json!({ "requestId": id })))
                        .await;
                }
            }
        }
    }
}

/// Whether a client can go on with what a result asks for: an answer to anything else would be a mistake of its own.
fn can_be_answered(result: &Value) -> bool {
    let state = result.get("requestState");
    let questions = result.get("inputRequests");
    let known = |question: &Value| {
        let method = question.get("method").and_then(Value::as_str).unwrap_or_default();
        QUESTIONS.contains(&method) && question.get("params").is_none_or(Value::is_object)
    };
    let questions_fit = match questions {
        None => state.is_some(),
        Some(Value::Object(questions)) => questions.values().all(known),
        Some(_) => false,
    };
    questions_fit && state.is_none_or(Value::is_string)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::task::LocalSet;
    use touchstone_core::revision::Revision;

    use super::*;
    use crate::session::{ClientIdentity, Outcome, SessionLimits, protocol_for};
    use crate::tap::Tap;
    use crate::target::CommandTarget;
    use crate::transport::{Connection, StdioConnection, StdioOptions};

    /// A server that asks for the roots until it is given some, and answers everything else.
    const ASKS: &str = r#"while IFS= read -r line; do
        id=$(printf '%s' "$line" | sed 's/.*"id":\([0-9]*\).*/\1/')
        case "$line" in
            *'"roots":[{'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"resultType":"complete","content":[]}}\n' "$id" ;;
            *tools/call*) printf '{"jsonrpc":"2.0","id":%s,"result":{"resultType":"input_required","requestState":"s","inputRequests":{"r":{"method":"roots/list"}}}}\n' "$id" ;;
            *) printf '{"jsonrpc":"2.0","id":%s,"result":{}}\n' "$id" ;;
        esac
    done"#;

    fn locally<T>(work: impl AsyncFnOnce(Session) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        LocalSet::new().block_on(&runtime, async {
            let tap = Tap::new("test", TransportKind::Stdio, 100_000);
            let target = CommandTarget::new("sh", ["-c".into(), ASKS.into()]);
            let connection = StdioConnection::open(&target, &StdioOptions::default(), tap.clone()).await;
            let revision = Revision::V2026_07_28;
            let protocol = protocol_for(revision, ClientIdentity::touchstone(revision));
            let limits = SessionLimits::default();
            let session = Session::new(Connection::Stdio(connection.unwrap()), tap, revision, protocol, limits);
            let limit = Duration::from_secs(30);
            tokio::time::timeout(limit, work(session)).await.expect("it ends")
        })
    }

    #[test]
    fn questions_are_answered_and_the_last_answer_counts() {
        locally(async |mut session| {
            let answer = session.request("tools/call", Some(json!({ "name": "t" })), None).await;
            assert_eq!((answer.outcome, answer.rounds), (Outcome::Result, 1));
            assert_eq!(answer.result().unwrap()["resultType"], "complete");
            let sent: Vec<Value> = session.tap().read(|trace| {
                let texts = trace.events.iter().filter_map(|event| match &event.kind {
                    touchstone_core::trace::EventKind::Sent { payload, .. } => Some(payload.bytes().to_vec()),
                    _ => None,
                });
                texts.map(|text| serde_json::from_slice(&text).unwrap()).collect()
            });
            assert_eq!(sent.len(), 2);
            assert_ne!(sent[0]["id"], sent[1]["id"]);
            assert_eq!(
                (&sent[1]["params"]["name"], &sent[1]["params"]["requestState"]),
                (&json!("t"), &json!("s"))
            );
            let asked = session
                .wait_for("roots/list", |_| true, Duration::from_millis(1), None)
                .await;
            assert_eq!(asked.unwrap().value["key"], "r");
        });
    }

    #[test]
    fn a_case_may_see_the_questions_and_what_would_be_said() {
        locally(async |mut session| {
            let manner = Manner {
                retry: false,
                ..Manner::default()
            };
            let id = session.fresh_id();
            let params = Some(json!({ "name": "t" }));
            let pending = session.start_in(&id, "tools/call", params, &manner).await.unwrap();
            let answer = session.finish(&pending, None).await;
            assert_eq!(answer.result().unwrap()["resultType"], "input_required");
            let result = answer.result().unwrap().clone();
            assert!(session.responses_to(&result).unwrap()["r"]["roots"].is_array());
            for odd in [
                json!({ "requestState": {} }),
                json!({ "inputRequests": { "p": { "method": "ping" } } }),
            ] {
                assert_eq!(session.responses_to(&odd), None);
            }
            // What is answered with an error is not given.
            session
                .replies()
                .set("roots/list", json!({ "error": { "code": -1, "message": "no" } }));
            let answer = session.request("tools/call", Some(json!({ "name": "t" })), None).await;
            assert_eq!(answer.result().unwrap()["resultType"], "input_required");
        });
    }

    #[test]
    fn a_server_that_asks_for_ever_is_left() {
        locally(async |mut session| {
            session
                .replies()
                .set("roots/list", json!({ "result": { "roots": [] } }));
            let answer = session.request("tools/call", Some(json!({ "name": "t" })), None).await;
            assert_eq!(answer.rounds, MOST_ROUNDS);
            assert_eq!(answer.result().unwrap()["resultType"], "input_required");
        });
    }
}
