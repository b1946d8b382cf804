//! Questions to the client inside results: instead of a request to the client there is a result that waits for input, and
//! the client sends its request again with the answers (basic/utilities/mrtr).
//!
//! Nothing waits here meanwhile. Features ask as they do in the stateful era, and go on with the answer; with each retry they
//! run anew from the beginning, and are given the answers of the earlier rounds, which the client brings back in a sealed
//! state.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::seal;
use crate::envelope::{Reply, RpcError};
use crate::features::{Answer, Ask, Object, Session, random_id};

/// How long a state is good for.
const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// How many states are remembered as used.
const MOST_USED: usize = 1000;

/// What came of a request.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and most are complete")]
pub(crate) enum Answered {
    /// It is answered.
    Complete(Answer),
    /// There is no answer before the client has given this.
    Waiting(Value),
}

/// Answers a method with the features, as far as it goes.
pub(super) fn answer(
    session: &mut Session,
    method: &str,
    params: &Object,
    now: Duration,
) -> Result<Answered, RpcError> {
    let mut retry = match ["tools/call", "prompts/get", "resources/read"].contains(&method) {
        true => Retry::read(session.principal.as_deref(), method, params, now)?,
        false => Retry::default(),
    };
    let mut answer = session.answer(method, params)?;
    let mut number = 0;
    while let Some(ask) = answer.ask.take() {
        number += 1;
        let questions = questions(&ask, number);
        retry.take(&questions)?;
        let open: Map<String, Value> = questions
            .iter()
            .filter(|question| !retry.answers.contains_key(&question.key))
            .map(|question| (question.key.clone(), question.as_asked()))
            .collect();
        let unsealed = ask.round.once && retry.number.is_none();
        if !open.is_empty() || unsealed {
            let open = match unsealed {
                true => questions
                    .iter()
                    .map(|question| (question.key.clone(), question.as_asked()))
                    .collect(),
                false => open,
            };
            let mut waiting = json!({ "resultType": "input_required", "inputRequests": open });
            if ask.round.keeps_state || !retry.answers.is_empty() {
                let principal = session.principal.as_deref();
                waiting["requestState"] = json!(retry.sealed(principal, method, params, now, ask.round.once)?);
            }
            return Ok(Answered::Waiting(waiting));
        }
        if ask.round.once {
            retry.use_up(session)?;
        }
        let reply = match questions.as_slice() {
            [only] => retry.answers.get(&only.key).cloned().unwrap_or_default(),
            all => {
                let given =
                    |question: &Question| Some((question.key.clone(), retry.answers.get(&question.key)?.clone()));
                Value::Object(all.iter().filter_map(given).collect())
            }
        };
        answer = ask.then.run(session, Reply::Result(reply));
    }
    Ok(Answered::Complete(answer))
}

/// One question of a round.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) key: String,
    method: &'static str,
    params: Option<Value>,
}

impl Question {
    pub(super) fn as_asked(&self) -> Value {
        let mut asked = json!({ "method": self.method });
        if let Some(params) = &self.params {
            asked["params"] = params.clone();
        }
        asked
    }
}

/// The questions of the round, each under a name that no other question of the request has.
pub(super) fn questions(ask: &Ask, number: usize) -> Vec<Question> {
    let made_up = || {
        let kind = ask.method.split('/').next().unwrap_or_default();
        format!("{kind}-{number}")
    };
    let first = Question {
        key: ask.round.key.map_or_else(made_up, str::to_owned),
        method: ask.method,
        params: ask.params.clone(),
    };
    let beside = ask.round.beside.iter().map(|beside| Question {
        key: beside.key.to_owned(),
        method: beside.method,
        params: beside.params.clone(),
    });
    std::iter::once(first).chain(beside).collect()
}

/// What a retry brings with it.
#[derive(Debug, Default)]
struct Retry {
    /// The answers of earlier rounds.
    answers: Object,
    /// The answers of this one.
    given: Object,
    /// The number of a state that is good for one time.
    number: Option<Value>,
}

impl Retry {
    /// Reads what the client has sent; nothing of it is trusted.
    fn read(principal: Option<&str>, method: &str, params: &Object, now: Duration) -> Result<Self, RpcError> {
        let given = match params.get("inputResponses") {
            None => Object::new(),
            Some(Value::Object(given)) => given.clone(),
            Some(_) => return Err(invalid("inputResponses must be an object")),
        };
        let mut number = None;
        let answers = match params.get("requestState") {
            None => Object::new(),
            Some(state) => {
                let content = state.as_str().and_then(seal::open);
                let content = content.ok_or_else(|| invalid("the requestState is not one of this server"))?;
                if content["for"] != bound_to(method, params) {
                    return Err(invalid("the requestState belongs to another request"));
                }
                if content["by"].as_str() != principal {
                    return Err(invalid("the requestState was given to somebody else"));
                }
                let issued = Duration::from_millis(content["issued"].as_u64().unwrap_or_default());
                if issued + LIFETIME < now {
                    return Err(invalid("the requestState has expired"));
                }
                number = content.get("number").cloned();
                content["answers"].as_object().cloned().unwrap_or_default()
            }
        };
        Ok(Self { answers, given, number })
    }

    /// Takes the state for the only time.
    fn use_up(&self, session: &mut Session) -> Result<(), RpcError> {
        let Some(number) = &self.number else { return Ok(()) };
        if session.used.contains(number) {
            return Err(invalid("the requestState was good for one time"));
        }
        if session.used.len() >= MOST_USED {
            session.used.remove(0);
        }
        session.used.push(number.clone());
        Ok(())
    }

    /// Takes over the answers to these questions, if they are the ones that were open. An answer to anything else answers
    /// nothing.
    fn take(&mut self, questions: &[Question]) -> Result<(), RpcError> {
        if questions
            .iter()
            .all(|question| self.answers.contains_key(&question.key))
        {
            return Ok(());
        }
        let mut given = std::mem::take(&mut self.given);
        for question in questions {
            if let Some(answer) = given.shift_remove(&question.key) {
                check(question, &answer)?;
                self.answers.entry(&question.key).or_insert(answer);
            }
        }
        Ok(())
    }

    fn sealed(
        &self,
        principal: Option<&str>,
        method: &str,
        params: &Object,
        now: Duration,
        once: bool,
    ) -> Result<String, RpcError> {
        let issued = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let bound = bound_to(method, params);
        let mut content = json!({ "for": bound, "by": principal, "issued": issued, "answers": self.answers });
        if once {
            content["number"] = json!(random_id()?);
        }
        Ok(seal::seal(&content))
    }
}

/// What of a request must be the same in its retry.
pub(crate) fn bound_to(method: &str, params: &Object) -> Value {
    json!([method, params.get("name"), params.get("uri"), params.get("arguments")])
}

/// Whether the answer has the form that answers of its kind have.
pub(super) fn check(question: &Question, answer: &Value) -> Result<(), RpcError> {
    let well_formed = match question.method {
        "elicitation/create" => {
            let action = answer["action"].as_str();
            action.is_some_and(|action| ["accept", "decline", "cancel"].contains(&action))
                && answer.get("content").is_none_or(Value::is_object)
        }
        "sampling/createMessage" => {
            let content = &answer["content"];
            answer["role"].is_string() && answer["model"].is_string() && (content.is_object() || content.is_array())
        }
        _ => {
            let roots = answer["roots"].as_array();
            roots.is_some_and(|roots| roots.iter().all(|root| root["uri"].is_string()))
        }
    };
    match well_formed {
        true => Ok(()),
        false => Err(invalid(&format!(
            "the response {:?} is no answer to {}",
            question.key, question.method
        ))),
    }
}

fn invalid(why: &str) -> RpcError {
    RpcError::invalid_params(format!("Invalid params: {why}"))
}
