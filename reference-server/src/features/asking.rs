//! Questions to the client, and the two tools that ask nothing but whether it is there.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::tools::{Tool, failed, no_arguments, text};
use super::{Answer, Object, Session};
use crate::envelope::Reply;

/// How long the client may think about a question that a person has to answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the impatient tool waits.
const IMPATIENCE: Duration = Duration::from_millis(50);

/// A request to the client, and what to do with its answer.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) params: Option<Value>,
    /// How long to wait for the answer.
    pub(crate) patience: Duration,
    pub(crate) then: Continuation,
    /// What the stateless era adds.
    pub(crate) round: Round,
}

/// A round of questions as the stateless era has it: several at once, each under a name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Round {
    /// The name of the question; without it, one that is made up.
    pub(crate) key: Option<&'static str>,
    /// Further questions. Where there are some the reply is an object with all answers by their names.
    pub(crate) beside: Vec<Beside>,
    /// Whether there is a state for the client to repeat even if nothing was answered so far.
    pub(crate) keeps_state: bool,
    /// Whether the state is good for one time only.
    pub(crate) once: bool,
}

/// A further question of a round.
#[derive(Clone, Debug)]
pub(crate) struct Beside {
    pub(crate) key: &'static str,
    pub(crate) method: &'static str,
    pub(crate) params: Option<Value>,
}

/// An `Err` is a failure for the model to read.
type Then = dyn FnOnce(&mut Session, Reply) -> Result<Answer, String> + Send;

/// What a tool does once the client has answered.
pub(crate) struct Continuation(Box<Then>);

impl Continuation {
    pub(crate) fn run(self, session: &mut Session, reply: Reply) -> Answer {
        (self.0)(session, reply).unwrap_or_else(|message| failed(&message))
    }
}

impl fmt::Debug for Continuation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Continuation")
    }
}

/// An answer that has to ask first.
pub(super) fn ask(
    method: &'static str,
    params: Option<Value>,
    then: impl FnOnce(&mut Session, Reply) -> Result<Answer, String> + Send + 'static,
) -> Answer {
    Answer {
        ask: Some(Ask {
            method,
            params,
            patience: PATIENCE,
            then: Continuation(Box::new(then)),
            round: Round::default(),
        }),
        ..Answer::from(Value::Null)
    }
}

/// The result in a reply, or why there is none, in words for the model.
pub(super) fn result(reply: Reply) -> Result<Value, String> {
    match reply {
        Reply::Result(result) => Ok(result),
        Reply::Error(error) => Err(match error["code"].as_i64() {
            Some(code) => format!("The client refused with error {code}"),
            None => "The client refused".to_owned(),
        }),
        Reply::Nothing => Err("The client did not answer in time".to_owned()),
    }
}

/// Stateful revisions only: later nobody but the client makes requests.
pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "test_ping_client",
        title: "Ping the client",
        description: "Pings the client, and answers once the ping is answered.",
        read_only: true,
        input: no_arguments,
        output: None,
        run: |_, _, _| Ok(ping()),
    },
    Tool {
        name: "test_impatient_request",
        title: "Ping the client impatiently",
        description: "Pings the client, and cancels the ping when it is not answered at once.",
        read_only: true,
        input: no_arguments,
        output: None,
        run: impatient,
    },
];

fn ping() -> Answer {
    ask("ping", None, |_, reply| {
        result(reply)?;
        Ok(text("The client is there"))
    })
}

fn impatient(_: &mut Session, _: &Object, _: Option<&Value>) -> Result<Answer, String> {
    // It says the same whether there was an answer: which of both it is depends on how busy the machine is.
    let mut answer = ask("ping", None, |_, _| Ok(text("The client was given a moment")));
    if let Some(ask) = &mut answer.ask {
        ask.patience = IMPATIENCE;
    }
    Ok(answer)
}

/// Params that ask for reports of progress under a token of their own, where the client makes such reports.
pub(super) fn with_token(session: &mut Session, mut params: Value) -> Value {
    if session.revision.is_stateless() {
        return params;
    }
    session.tokens += 1;
    params["_meta"] = json!({ "progressToken": session.tokens });
    params
}
