//! One step of a case: an action, what becomes of its answer, and what is expected of it.
//!
//! In YAML a step is a flat mapping; the key that names the action decides which other keys make sense, and any other is an error.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::expectation::Expectation;
use super::meta::MetaChange;

/// One step.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RawStep")]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// What must hold, or the step is passed over.
    pub needs: Vec<String>,
    /// Keep the answer under this name.
    pub name: Option<String>,
    /// Wait at most this long instead of the default.
    pub within: Option<Duration>,
    /// Whether the params are wrong on purpose: legal to ask, but not what the schema of the method allows.
    pub deliberate: bool,
    /// How the `_meta` of what is sent differs from what the session makes it.
    pub meta: Option<MetaChange>,
    /// Whether an answer that asks for input is answered and the request sent again, so that the step sees the answer to that.
    pub retry: bool,
    /// The connection that a `connect` step opened and on which this one runs; the case's own when `None`.
    pub on: Option<String>,
    /// What the answer must be like.
    pub expect: Vec<Expectation>,
}

/// What a step does.
#[derive(Debug, Clone)]
pub enum Action {
    /// Sends a request and waits for its answer.
    Request {
        /// The method.
        method: String,
        /// Its params; `None` leaves the member out.
        params: Option<Value>,
        /// An exact id token; the session's next id when `None`.
        id: Option<String>,
        /// Arguments to generate into `params.arguments`.
        arguments: Option<Arguments>,
    },
    /// Sends a request and goes on; `await-answer` collects the answer by name.
    Start {
        /// The method.
        method: String,
        /// Its params.
        params: Option<Value>,
        /// An exact id token; the session's next id when `None`.
        id: Option<String>,
        /// Arguments to generate into `params.arguments`; of several the first.
        arguments: Option<Arguments>,
    },
    /// Waits for the answer of a request sent by `start`.
    AwaitAnswer {
        /// The name that the `start` step gave with `as`.
        of: String,
    },
    /// Sends a notification, then waits until the server has shown that it is still there.
    Notify {
        /// The method.
        method: String,
        /// Its params.
        params: Option<Value>,
    },
    /// Sends any JSON value as a message and collects what comes back.
    Send(Value),
    /// Sends exact bytes, one write for each chunk, and collects what comes back.
    SendRaw {
        /// The chunks.
        chunks: Vec<Vec<u8>>,
        /// Whether a newline ends the last chunk (stdio).
        newline: bool,
    },
    /// Makes an HTTP request of its own on the same endpoint.
    Http(HttpStep),
    /// Waits for a notification or request from the server.
    Await {
        /// Its method.
        method: String,
        /// Members that its params must have, with these values; others are passed over.
        params: Option<Map<String, Value>>,
        /// The request that `start` sent under this name: once it is answered, what is waited for comes no more.
        unless_answered: Option<String>,
    },
    /// Says how requests from the server are answered for the rest of the case.
    Answer {
        /// By method: `{result: ...}` or `{error: ...}`.
        replies: Map<String, Value>,
    },
    /// Listens for a while; the answer lists what arrived.
    Silence(Duration),
    /// Closes the server's standard input.
    CloseStdin,
    /// Sends a signal to the server's process group.
    Signal(String),
    /// Waits for the server process to end.
    ExpectExit,
    /// The cheapest request that is always valid in the revision.
    Probe,
    /// Follows the cursors of a list method; the answer has `items`, `pages`, `cursors`, `ended`.
    ListAll {
        /// The list method.
        method: String,
    },
    /// Runs steps for every item of a list of the server.
    ForEach {
        /// Which list.
        source: Source,
        /// The name under which steps see the item.
        item: String,
        /// How many items at most.
        at_most: Option<usize>,
        /// The steps.
        steps: Vec<Step>,
    },
    /// Runs steps several times.
    Repeat {
        /// How often.
        times: u32,
        /// The steps.
        steps: Vec<Step>,
    },
    /// Sends the requests of all steps before it waits for any of the answers.
    Parallel {
        /// The steps, all of them `request`.
        steps: Vec<Step>,
    },
    /// Keeps values under names.
    Bind {
        /// The values.
        values: Map<String, Value>,
    },
    /// Ends the connection and opens another one, without a handshake.
    Reconnect,
    /// Opens a second connection, with a handshake, as another client would. Steps with `on` run there.
    Connect {
        /// Its name.
        name: String,
        /// The revision that it asks for; the case's own when `None`.
        revision: Option<String>,
    },
}

/// Lists of the server that `for-each` goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// All tools.
    Tools,
    /// The tools that may be called with valid arguments, and not as a task only.
    CallableTools,
    /// Those of them that require no argument.
    PlainTools,
    /// The tools that may be called as a task.
    TaskTools,
    /// Those of them that may be called plainly as well.
    OptionalTaskTools,
    /// Those of them that may not.
    RequiredTaskTools,
    /// The tools that may be called, but not as a task.
    TasklessTools,
    /// All prompts.
    Prompts,
    /// The prompts that require no argument.
    PlainPrompts,
    /// All resources.
    Resources,
    /// The resources with a `file:` URI.
    FileResources,
    /// All resource templates.
    ResourceTemplates,
}

/// Arguments made from a tool's own schema.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Arguments {
    /// Which kind.
    pub generate: Generate,
    /// The keyword to violate, for `invalid`.
    pub violate: Option<String>,
    /// The name of the tool's binding.
    pub from: String,
    /// A text that takes the place of every generated text, where the schema allows it.
    pub text: Option<String>,
}

impl Arguments {
    /// The smallest sensible valid value, whatever the tool is bound to.
    #[must_use]
    pub fn valid() -> Self {
        Self {
            generate: Generate::Valid,
            violate: None,
            from: String::new(),
            text: None,
        }
    }
}

/// Kinds of generated arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Generate {
    /// The smallest sensible valid value.
    Valid,
    /// Valid values at the edges, one after the other.
    Boundary,
    /// A value that breaks exactly one keyword.
    Invalid,
}

/// An HTTP request of a transport case.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HttpStep {
    /// The HTTP method.
    pub method: String,
    /// Paths, or URLs of the same origin, instead of the endpoint's; the first that answers with 200 counts.
    #[serde(default, deserialize_with = "crate::spec::requirement::one_or_many")]
    pub path: Vec<String>,
    /// Names below `/.well-known/`, tried after `path` in the places where the metadata of `of` belongs.
    #[serde(default, deserialize_with = "crate::spec::requirement::one_or_many")]
    pub well_known: Vec<String>,
    /// The URL that `well-known` is about; the endpoint's own when `None`.
    pub of: Option<String>,
    /// What goes along as proof of authorization.
    #[serde(default)]
    pub credentials: Credential,
    /// Path and query instead of those of the server's address.
    pub target: Option<String>,
    /// Header fields to set, or, with null, to leave out.
    #[serde(default)]
    pub headers: Map<String, Value>,
    /// Send the names of the header fields in lower case.
    #[serde(default)]
    pub lower_case: bool,
    /// A JSON body.
    pub json: Option<Value>,
    /// An exact body.
    pub body: Option<String>,
    /// How far the exchange is followed.
    #[serde(default)]
    pub until: HttpUntil,
    /// Break the exchange off then, as a client does that loses its connection.
    #[serde(default)]
    pub abort: bool,
}

/// How far an HTTP exchange is followed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HttpUntil {
    /// To its end.
    #[default]
    End,
    /// To the head of the response; what follows is left open.
    Head,
    /// To the first event of the stream; what follows is left open.
    Event,
}

/// What an HTTP request carries as proof of authorization.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Credential {
    /// What every request of the run carries.
    #[default]
    Valid,
    /// Nothing.
    None,
    /// The valid token, in the query string and nowhere else.
    InQuery,
    /// The valid token, with the name of the scheme in small letters.
    LowerCase,
    /// The valid token with a broken signature.
    Tampered,
    /// The claims of the valid token without a signature.
    Unsigned,
    /// A token that has expired.
    Expired,
    /// A token for another resource.
    OtherAudience,
    /// A token of another issuer.
    OtherIssuer,
    /// A token that does not allow everything.
    LowScope,
    /// A token of somebody else.
    SecondPrincipal,
}

/// A step as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawStep {
    request: Option<String>,
    start: Option<String>,
    await_answer: Option<String>,
    notify: Option<String>,
    send: Option<Value>,
    send_raw: Option<String>,
    send_base64: Option<String>,
    send_chunks: Option<Vec<String>>,
    http: Option<HttpStep>,
    #[serde(rename = "await")]
    await_message: Option<String>,
    unless_answered: Option<String>,
    answer: Option<Map<String, Value>>,
    silence: Option<String>,
    close_stdin: Option<bool>,
    signal: Option<String>,
    expect_exit: Option<bool>,
    probe: Option<String>,
    list_all: Option<String>,
    for_each: Option<Source>,
    repeat: Option<u32>,
    parallel: Option<Vec<Step>>,
    bind: Option<Map<String, Value>>,
    reconnect: Option<bool>,
    connect: Option<String>,

    params: Option<Value>,
    id: Option<String>,
    arguments: Option<Arguments>,
    newline: Option<bool>,
    at_most: Option<usize>,
    steps: Option<Vec<Step>>,
    meta: Option<Value>,
    retry: Option<bool>,
    revision: Option<String>,
    #[serde(default)]
    needs: Vec<String>,
    #[serde(rename = "as")]
    name: Option<String>,
    within: Option<String>,
    on: Option<String>,
    #[serde(default)]
    deliberate: bool,
    #[serde(default)]
    expect: Vec<Expectation>,
}

/// The actions and the keys beside `as`, `within` and `expect` that each understands.
const ACTIONS: [(&str, &[&str]); 23] = [
    ("request", &["params", "id", "arguments", "meta", "retry"]),
    ("start", &["params", "id", "arguments", "meta", "retry"]),
    ("await-answer", &[]),
    ("notify", &["params", "meta"]),
    ("send", &[]),
    ("send-raw", &["newline"]),
    ("send-base64", &["newline"]),
    ("send-chunks", &["newline"]),
    ("http", &["meta"]),
    ("await", &["params", "unless-answered"]),
    ("answer", &[]),
    ("silence", &[]),
    ("close-stdin", &[]),
    ("signal", &[]),
    ("expect-exit", &[]),
    ("probe", &[]),
    ("list-all", &[]),
    ("for-each", &["at-most", "steps"]),
    ("repeat", &["steps"]),
    ("parallel", &[]),
    ("bind", &[]),
    ("reconnect", &[]),
    ("connect", &["revision"]),
];

impl RawStep {
    /// The keys that are present, actions and qualifiers.
    fn present(&self) -> (Vec<&'static str>, Vec<&'static str>) {
        let actions = [
            ("request", self.request.is_some()),
            ("start", self.start.is_some()),
            ("await-answer", self.await_answer.is_some()),
            ("notify", self.notify.is_some()),
            ("send", self.send.is_some()),
            ("send-raw", self.send_raw.is_some()),
            ("send-base64", self.send_base64.is_some()),
            ("send-chunks", self.send_chunks.is_some()),
            ("http", self.http.is_some()),
            ("await", self.await_message.is_some()),
            ("answer", self.answer.is_some()),
            ("silence", self.silence.is_some()),
            ("close-stdin", self.close_stdin.is_some()),
            ("signal", self.signal.is_some()),
            ("expect-exit", self.expect_exit.is_some()),
            ("probe", self.probe.is_some()),
            ("list-all", self.list_all.is_some()),
            ("for-each", self.for_each.is_some()),
            ("repeat", self.repeat.is_some()),
            ("parallel", self.parallel.is_some()),
            ("bind", self.bind.is_some()),
            ("reconnect", self.reconnect.is_some()),
            ("connect", self.connect.is_some()),
        ];
        let qualifiers = [
            ("params", self.params.is_some()),
            ("id", self.id.is_some()),
            ("arguments", self.arguments.is_some()),
            ("newline", self.newline.is_some()),
            ("at-most", self.at_most.is_some()),
            ("steps", self.steps.is_some()),
            ("meta", self.meta.is_some()),
            ("retry", self.retry.is_some()),
            ("revision", self.revision.is_some()),
            ("unless-answered", self.unless_answered.is_some()),
        ];
        let names =
            |keys: &[(&'static str, bool)]| keys.iter().filter(|(_, set)| *set).map(|(name, _)| *name).collect();
        (names(&actions), names(&qualifiers))
    }
}

impl Step {
    /// What an occurrence in this step is about, where the step is one of several alike: the method that it tries.
    #[must_use]
    pub fn about(&self) -> Option<&str> {
        match &self.action {
            Action::Request { method, .. } | Action::ListAll { method } if !self.needs.is_empty() => Some(method),
            _ => None,
        }
    }
}

impl TryFrom<RawStep> for Step {
    type Error = String;

    fn try_from(raw: RawStep) -> Result<Self, String> {
        let (actions, qualifiers) = raw.present();
        let [action] = actions.as_slice() else {
            let known = ACTIONS.map(|(name, _)| name).join(", ");
            return Err(match actions.as_slice() {
                [] => format!("a step needs one of: {known}"),
                several => format!("a step does one thing, this one has {}", several.join(" and ")),
            });
        };
        let understood = ACTIONS
            .iter()
            .find(|(name, _)| name == action)
            .map_or(&[][..], |(_, keys)| *keys);
        if let Some(stranger) = qualifiers.iter().find(|key| !understood.contains(key)) {
            return Err(format!("{stranger:?} makes no sense in a {action:?} step"));
        }
        let name = raw.name.clone();
        let within = raw.within.as_deref().map(duration).transpose()?;
        let deliberate = raw.deliberate;
        if deliberate
            && !matches!(
                *action,
                "request" | "start" | "notify" | "parallel" | "http" | "send" | "send-raw"
            )
        {
            return Err(format!("\"deliberate\" makes no sense in a {action:?} step"));
        }
        let meta = raw.meta.clone().map(MetaChange::read).transpose()?;
        let retry = raw.retry.unwrap_or(true);
        let on = raw.on.clone();
        if on.is_some() && *action == "connect" {
            return Err("a \"connect\" step opens a connection of its own, so \"on\" makes no sense in it".to_owned());
        }
        let expect = raw.expect.clone();
        let needs = raw.needs.clone();
        Ok(Self {
            action: action_of(raw)?,
            needs,
            name,
            within,
            deliberate,
            meta,
            retry,
            on,
            expect,
        })
    }
}

/// Builds the action of a step that is known to name exactly one.
fn action_of(raw: RawStep) -> Result<Action, String> {
    let newline = raw.newline.unwrap_or(true);
    let RawStep {
        params,
        id,
        arguments,
        steps,
        revision,
        ..
    } = raw;
    if let Some(method) = raw.request {
        return Ok(Action::Request {
            method,
            params,
            id,
            arguments,
        });
    }
    if let Some(method) = raw.start {
        return Ok(Action::Start {
            method,
            params,
            id,
            arguments,
        });
    }
    if let Some(of) = raw.await_answer {
        return Ok(Action::AwaitAnswer { of });
    }
    if let Some(method) = raw.notify {
        return Ok(Action::Notify { method, params });
    }
    if let Some(message) = raw.send {
        return Ok(Action::Send(message));
    }
    if let Some(text) = raw.send_raw {
        return Ok(Action::SendRaw {
            chunks: vec![text.into_bytes()],
            newline,
        });
    }
    if let Some(encoded) = raw.send_base64 {
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::STANDARD.decode(encoded);
        return Ok(Action::SendRaw {
            chunks: vec![bytes.map_err(|error| format!("send-base64: {error}"))?],
            newline,
        });
    }
    if let Some(chunks) = raw.send_chunks {
        return Ok(Action::SendRaw {
            chunks: chunks.into_iter().map(String::into_bytes).collect(),
            newline,
        });
    }
    if let Some(http) = raw.http {
        if http.json.is_some() && http.body.is_some() {
            return Err("an http step has json or body, not both".to_owned());
        }
        return Ok(Action::Http(http));
    }
    if let Some(method) = raw.await_message {
        let params = match params {
            None => None,
            Some(Value::Object(members)) => Some(members),
            Some(_) => return Err("the params of an await step are an object".to_owned()),
        };
        return Ok(Action::Await {
            method,
            params,
            unless_answered: raw.unless_answered,
        });
    }
    if let Some(replies) = raw.answer {
        return Ok(Action::Answer { replies });
    }
    if let Some(text) = raw.silence {
        return Ok(Action::Silence(duration(&text)?));
    }
    if let Some(signal) = raw.signal {
        return Ok(Action::Signal(signal));
    }
    if let Some(what) = raw.probe {
        return if what == "alive" {
            Ok(Action::Probe)
        } else {
            Err(format!("probe is always \"alive\", not {what:?}"))
        };
    }
    if let Some(method) = raw.list_all {
        return Ok(Action::ListAll { method });
    }
    if let Some(source) = raw.for_each {
        let item = raw.name.ok_or("a for-each step names its item with \"as\"")?;
        let steps = steps.ok_or("a for-each step has \"steps\"")?;
        return Ok(Action::ForEach {
            source,
            item,
            at_most: raw.at_most,
            steps,
        });
    }
    if let Some(times) = raw.repeat {
        return Ok(Action::Repeat {
            times,
            steps: steps.ok_or("a repeat step has \"steps\"")?,
        });
    }
    if let Some(steps) = raw.parallel {
        return if steps.iter().all(|step| matches!(step.action, Action::Request { .. })) {
            Ok(Action::Parallel { steps })
        } else {
            Err("all steps of a parallel step are requests".to_owned())
        };
    }
    if let Some(values) = raw.bind {
        return Ok(Action::Bind { values });
    }
    if let Some(name) = raw.connect {
        return Ok(Action::Connect { name, revision });
    }
    for (set, action) in [
        (raw.close_stdin, Action::CloseStdin),
        (raw.expect_exit, Action::ExpectExit),
        (raw.reconnect, Action::Reconnect),
    ] {
        match set {
            Some(true) => return Ok(action),
            Some(false) => return Err("this key is true or left out".to_owned()),
            None => {}
        }
    }
    Err("a step needs an action".to_owned())
}

/// Reads a time such as `250ms` or `5s`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let parsed = match text.strip_suffix("ms") {
        Some(number) => number.parse().ok().map(Duration::from_millis),
        None => text
            .strip_suffix('s')
            .and_then(|number| number.parse().ok())
            .map(Duration::from_secs),
    };
    parsed.ok_or_else(|| format!("{text:?} is not a time; write 250ms or 5s"))
}

#[cfg(test)]
mod tests;
