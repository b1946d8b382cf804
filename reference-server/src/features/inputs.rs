//! Tools and a prompt that cannot go on before the client has given something: one for each way in which a result can wait
//! for input since 2026-07-28 (basic/utilities/mrtr). They go by the names of the official suite.

use serde_json::{Value, json};

use super::asking::{Beside, ask, result};
use super::elicitation::{check, has_forms};
use super::tools::{Tool, no_arguments, text};
use super::{Answer, Object, Session, roots, sampling};
use crate::envelope::RpcError;

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "test_input_required_result_elicitation",
        title: "Greet the user",
        description: "Asks the user for a name, and greets.",
        read_only: true,
        input: no_arguments,
        output: None,
        run: |session, _, _| {
            let question = form("What is your name?", "name", "string");
            Ok(needing(session, FORM, |_| {
                asked("user_name", false, question, |content| {
                    format!("Hello, {}!", said(content, "name"))
                })
            }))
        },
    },
    Tool {
        name: "test_input_required_result_sampling",
        title: "Ask the model for a capital",
        description: "Asks the client's model for the capital of France, and returns what it says.",
        read_only: true,
        input: no_arguments,
        output: None,
        run: |session, _, _| Ok(needing(session, SAMPLING, |_| sampled("capital_question"))),
    },
    Tool {
        name: "test_input_required_result_list_roots",
        title: "List the roots in a round",
        description: "Asks the client for its roots, and tells which they are.",
        read_only: true,
        input: no_arguments,
        output: None,
        run: |session, _, _| {
            Ok(needing(session, ROOTS, |_| {
                named(
                    "client_roots",
                    false,
                    ask("roots/list", Some(json!({})), |_, reply| roots::tell(&result(reply)?)),
                )
            }))
        },
    },
    Tool {
        name: "test_input_required_result_request_state",
        title: "Confirm with a state",
        description: "Asks the user for a confirmation, and has the client keep a state meanwhile.",
        read_only: true,
        input: no_arguments,
        output: None,
        run: confirmed,
    },
    Tool {
        name: "test_input_required_result_tampered_state",
        title: "Confirm with a sealed state",
        description: "Asks the user for a confirmation, and takes it only with the state that was given out with the question.",
        read_only: true,
        input: no_arguments,
        output: None,
        run: confirmed,
    },
    Tool {
        name: "test_input_required_result_multiple_inputs",
        title: "Ask three things at once",
        description: "Asks the user for a name, the model for a greeting and the client for its roots, all in one round.",
        read_only: true,
        input: no_arguments,
        output: None,
        run: |session, _, _| {
            let all = json!({ "elicitation": {}, "sampling": {}, "roots": {} });
            Ok(needing(
                session,
                || all,
                |_| together(&["user_name", "greeting", "client_roots"]),
            ))
        },
    },
    Tool {
        name: "test_input_required_result_multi_round",
        title: "Ask in two rounds",
        description: "Asks the user for a name, and then for a colour.",
        read_only: true,
        input: no_arguments,
        output: None,
        run: |session, _, _| {
            Ok(needing(session, FORM, |_| {
                let first = form("Step 1: What is your name?", "name", "string");
                named(
                    "step1",
                    true,
                    checked(first, |content| {
                        let name = said(content, "name");
                        let second = form("Step 2: What is your favorite color?", "color", "string");
                        Ok(asked("step2", true, second, move |content| {
                            format!("{name} likes {}", said(content, "color"))
                        }))
                    }),
                )
            }))
        },
    },
    Tool {
        name: "test_input_required_result_capabilities",
        title: "Ask what can be asked",
        description: "Asks one thing of each kind that the client can answer, all in one round.",
        read_only: true,
        input: no_arguments,
        output: None,
        run: |session, _, _| {
            let kinds = [
                (has_forms(session), "user_name"),
                (session.client_has("/sampling"), "greeting"),
                (session.client_has("/roots"), "client_roots"),
            ];
            let keys: Vec<&'static str> = kinds.into_iter().filter(|(can, _)| *can).map(|(_, key)| key).collect();
            match keys.as_slice() {
                [] => Ok(text("There is nothing that this client can be asked")),
                keys => Ok(together(keys)),
            }
        },
    },
];

/// The prompt that asks.
pub(super) const PROMPT: &str = "test_input_required_result_prompt";

const FORM: fn() -> Value = || json!({ "elicitation": {} });
const SAMPLING: fn() -> Value = || json!({ "sampling": {} });
const ROOTS: fn() -> Value = || json!({ "roots": {} });

impl Session {
    /// The prompt, in the era that has it.
    pub(super) fn prompt_that_asks(&mut self, method: &str, params: &Object) -> Option<Result<Answer, RpcError>> {
        let meant = method == "prompts/get" && params.get("name").is_some_and(|name| name == PROMPT);
        if !meant || !self.revision.is_stateless() {
            return None;
        }
        let question = form("What context should the prompt use?", "context", "string");
        Some(Ok(needing(self, FORM, |_| {
            named(
                "user_context",
                false,
                checked(question, |content| {
                    let words = format!("Please answer in this context: {}", said(content, "context"));
                    let content = json!({ "type": "text", "text": words });
                    Ok(Answer::from(json!({
                        "description": "A prompt with a context of the user's.",
                        "messages": [{ "role": "user", "content": content }],
                    })))
                }),
            )
        })))
    }

    /// The prompt as it is listed.
    pub(super) fn listed_prompt_that_asks(&self) -> Option<Value> {
        let item = json!({ "name": PROMPT, "description": "Asks the user for a context first." });
        self.revision
            .is_stateless()
            .then(|| self.titled(item, "Prompt with a question"))
    }
}

/// The answer, if the client has declared what it needs.
fn needing(
    session: &mut Session,
    needed: impl FnOnce() -> Value,
    answer: impl FnOnce(&mut Session) -> Answer,
) -> Answer {
    let needed = needed();
    let mut missing = needed.clone();
    for (capability, _) in needed.as_object().into_iter().flatten() {
        let there = match capability.as_str() {
            "elicitation" => has_forms(session),
            other => session.client_has(&format!("/{other}")),
        };
        if there && let Some(missing) = missing.as_object_mut() {
            missing.shift_remove(capability);
        }
    }
    match missing.as_object().is_some_and(|missing| missing.is_empty()) {
        true => answer(session),
        false => Answer::refusal(RpcError::missing_capability(missing)),
    }
}

/// The answer, if the client shows forms.
pub(super) fn needing_forms(session: &mut Session, answer: impl FnOnce(&mut Session) -> Answer) -> Answer {
    needing(session, FORM, answer)
}

/// The params of a form with one field.
pub(super) fn form(message: &str, field: &str, kind: &str) -> Value {
    let schema = json!({ "type": "object", "properties": { field: { "type": kind } }, "required": [field] });
    json!({ "mode": "form", "message": message, "requestedSchema": schema })
}

/// A form, and what is made of what the user has filled in.
fn checked(params: Value, then: impl FnOnce(&Value) -> Result<Answer, String> + Send + 'static) -> Answer {
    let schema = params["requestedSchema"].clone();
    ask("elicitation/create", Some(params), move |_, reply| {
        let answer = result(reply)?;
        match answer["action"].as_str() {
            Some("accept") => {
                check(&schema, &answer["content"])?;
                then(&answer["content"])
            }
            _ => Ok(text("The user would not say")),
        }
    })
}

/// A form under a name, and the text that is made of it.
fn asked(
    key: &'static str,
    keeps_state: bool,
    params: Value,
    then: impl FnOnce(&Value) -> String + Send + 'static,
) -> Answer {
    named(key, keeps_state, checked(params, |content| Ok(text(&then(content)))))
}

/// The question under a name.
pub(super) fn named(key: &'static str, keeps_state: bool, mut answer: Answer) -> Answer {
    if let Some(ask) = &mut answer.ask {
        ask.round.key = Some(key);
        ask.round.keeps_state = keeps_state;
    }
    answer
}

pub(super) fn said(content: &Value, field: &str) -> String {
    content[field].as_str().unwrap_or_default().to_owned()
}

fn confirmed(session: &mut Session, _: &Object, _: Option<&Value>) -> Result<Answer, String> {
    let question = form("Please confirm", "ok", "boolean");
    Ok(needing(session, FORM, |_| {
        asked("confirm", true, question, |content| match content["ok"] == true {
            true => "state-ok: confirmed".to_owned(),
            false => "state-ok: not confirmed".to_owned(),
        })
    }))
}

fn capital() -> Value {
    let content = json!({ "type": "text", "text": "What is the capital of France?" });
    json!({ "messages": [{ "role": "user", "content": content }], "maxTokens": 100 })
}

fn sampled(key: &'static str) -> Answer {
    let answer = ask("sampling/createMessage", Some(capital()), |_, reply| {
        let message = sampling::checked(result(reply)?)?;
        Ok(text(&format!("LLM response: {}", sampling::words(&message)?)))
    });
    named(key, false, answer)
}

/// Questions of one round by their names, with a state.
fn together(keys: &[&'static str]) -> Answer {
    let question = |key: &'static str| match key {
        "user_name" => ("elicitation/create", form("What is your name?", "name", "string")),
        "greeting" => {
            let content = json!({ "type": "text", "text": "Generate a greeting" });
            let params = json!({ "messages": [{ "role": "user", "content": content }], "maxTokens": 50 });
            ("sampling/createMessage", params)
        }
        _ => ("roots/list", json!({})),
    };
    let (first, others) = keys
        .split_first()
        .map_or(("client_roots", &[][..]), |(first, others)| (*first, others));
    let (method, params) = question(first);
    let alone = others.is_empty();
    let answer = ask(method, Some(params), move |_, reply| {
        let all = result(reply)?;
        let names: Vec<&str> = match alone {
            true => vec![first],
            false => all
                .as_object()
                .into_iter()
                .flatten()
                .map(|(key, _)| key.as_str())
                .collect(),
        };
        Ok(text(&format!("Answered: {}", names.join(", "))))
    });
    let mut answer = named(first, true, answer);
    if let Some(ask) = &mut answer.ask {
        ask.round.beside = others
            .iter()
            .map(|key| {
                let (method, params) = question(key);
                Beside {
                    key,
                    method,
                    params: Some(params),
                }
            })
            .collect();
    }
    answer
}
