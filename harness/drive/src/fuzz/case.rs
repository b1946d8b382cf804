//! What a campaign sends: cases of a few steps, each an exact message, with what is expected of the answers.

use std::fmt;

use serde_json::Value;

/// A stage of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// What was found before, sent again.
    Regressions,
    /// A tour of what the server offers, with the simplest arguments and the examples that schemas give.
    Examples,
    /// Every constraint of every schema, from both sides.
    Coverage,
    /// Requests that a client may send, and that servers get wrong.
    Protocol,
    /// Messages that no client may send.
    Bytes,
    /// The same call spelled, numbered, repeated, ordered otherwise.
    Metamorphic,
    /// Requests whose fields, methods and streams are odd, over HTTP.
    Http,
    /// Memory, handles and time as calls go on.
    Growth,
    /// Sequences of calls that use what earlier ones gave.
    Stateful,
    /// Random arguments, random sequences, random bytes, until the budget is used up.
    Random,
}

impl Phase {
    /// Every phase, in order.
    pub const ALL: [Self; 10] = [
        Self::Regressions,
        Self::Examples,
        Self::Coverage,
        Self::Protocol,
        Self::Bytes,
        Self::Metamorphic,
        Self::Http,
        Self::Growth,
        Self::Stateful,
        Self::Random,
    ];

    /// The word used on the command line and in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Regressions => "regressions",
            Self::Examples => "examples",
            Self::Coverage => "coverage",
            Self::Protocol => "protocol",
            Self::Bytes => "bytes",
            Self::Metamorphic => "metamorphic",
            Self::Http => "http",
            Self::Growth => "growth",
            Self::Stateful => "stateful",
            Self::Random => "random",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl std::str::FromStr for Phase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|phase| phase.as_str() == text)
            .ok_or_else(|| {
                format!(
                    "unknown phase {text:?}; known are {}",
                    Self::ALL.map(Self::as_str).join(", ")
                )
            })
    }
}

/// One message, or a group of them, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The message.
    pub what: What,
    /// Whether the next step is sent before the answer to this one has come.
    pub held: bool,
    /// Values of earlier answers that go into the params.
    pub binds: Vec<Bind>,
}

/// A value of an earlier answer that goes into params: what a server has made up, such as an id, is another one in the next session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// The step that got the answer.
    pub step: usize,
    /// Where the value is in the answer.
    pub from: String,
    /// Where it goes in the params.
    pub into: String,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A request, whose answer is waited for.
    Request {
        /// The method.
        method: String,
        /// The params, spelled exactly so.
        params: Option<String>,
        /// An id token; without it the session counts.
        id: Option<String>,
        /// Whether the params are wrong on purpose.
        deliberate: bool,
    },
    /// A notification.
    Notify {
        /// The method.
        method: String,
        /// The params, spelled exactly so.
        params: Option<String>,
    },
    /// Exact bytes that make up a line or a body.
    Raw(Vec<u8>),
    /// An HTTP request of a case's own making.
    Http(HttpMessage),
}

/// An HTTP request: what the transport sends by itself, with changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpMessage {
    /// The method.
    pub method: String,
    /// Path and query instead of those that messages are sent to. `{endpoint}` stands for these, `{endpoint-cut}` for them without their last
    /// character, `{path}` and `{query}` for each alone, and `{url}` for the path that the client was given.
    pub target: Option<String>,
    /// Changes to the fields: `None` leaves one out; a name that comes twice is sent twice. `{session}` stands for the id of the session.
    pub headers: Vec<(String, Option<String>)>,
    /// The body.
    pub body: Option<Vec<u8>>,
    /// Whether the exchange is followed to its end; otherwise it is broken off once its head is there.
    pub whole: bool,
}

impl HttpMessage {
    /// A request without a body.
    #[must_use]
    pub fn new(method: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: None,
            headers: Vec::new(),
            body: None,
            whole: true,
        }
    }

    /// The same with a field.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), Some(value.to_owned())));
        self
    }

    /// The same, sent to another path and query.
    #[must_use]
    pub fn to(mut self, target: &str) -> Self {
        self.target = Some(target.to_owned());
        self
    }

    /// The same without a field.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.push((name.to_owned(), None));
        self
    }
}

impl Step {
    /// A step that waits for its answer.
    #[must_use]
    pub fn new(what: What) -> Self {
        Self {
            what,
            held: false,
            binds: Vec::new(),
        }
    }

    /// A request.
    #[must_use]
    pub fn request(method: &str, params: Option<&Value>) -> Self {
        Self::spelled(method, params.map(Value::to_string))
    }

    /// A request whose params are spelled exactly so.
    #[must_use]
    pub fn spelled(method: &str, params: Option<String>) -> Self {
        Self::new(What::Request {
            method: method.to_owned(),
            params,
            id: None,
            deliberate: false,
        })
    }

    /// A call of a tool.
    #[must_use]
    pub fn call(tool: &str, arguments: &Value) -> Self {
        Self::call_spelled(tool, &arguments.to_string())
    }

    /// A call of a tool whose arguments are spelled exactly so.
    #[must_use]
    pub fn call_spelled(tool: &str, arguments: &str) -> Self {
        let name = Value::from(tool);
        Self::spelled(
            "tools/call",
            Some(format!(r#"{{"name":{name},"arguments":{arguments}}}"#)),
        )
    }

    /// The same with an id of its own.
    #[must_use]
    pub fn with_id(mut self, token: &str) -> Self {
        if let What::Request { id, .. } = &mut self.what {
            *id = Some(token.to_owned());
        }
        self
    }

    /// The same, sent together with the next one.
    #[must_use]
    pub fn held(self) -> Self {
        Self { held: true, ..self }
    }

    /// The same, with params that are wrong on purpose.
    #[must_use]
    pub fn deliberate(mut self) -> Self {
        if let What::Request { deliberate, .. } = &mut self.what {
            *deliberate = true;
        }
        self
    }

    /// The tool and the arguments as JSON, when the step is a call that names them.
    #[must_use]
    pub fn called(&self) -> Option<(String, Value)> {
        let What::Request { method, params, .. } = &self.what else {
            return None;
        };
        let params: Value = serde_json::from_str(params.as_deref()?).ok()?;
        let name = params.get("name")?.as_str()?.to_owned();
        let arguments = params
            .get("arguments")
            .cloned()
            .unwrap_or_else(|| Value::Object(serde_json::Map::new()));
        (method == "tools/call").then_some((name, arguments))
    }

    /// What the step is, in a word or two.
    #[must_use]
    pub fn subject(&self) -> String {
        match &self.what {
            What::Request { method, .. } => self.called().map_or_else(|| method.clone(), |(tool, _)| tool),
            What::Notify { method, .. } => method.clone(),
            What::Raw(_) => "bytes".to_owned(),
            What::Http(message) => format!("HTTP {}", message.method),
        }
    }
}

/// What the answers of a case must be like, beyond what monitors watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Nothing,
    /// Calls: refused when the arguments break the schema, not refused for that when they keep it. `explicit`: valid by what the schema says, not
    /// merely not forbidden; `coercible`: invalid in a way that a lenient reader forgives.
    Arguments {
        /// See above.
        explicit: bool,
        /// See above.
        coercible: bool,
    },
    /// The error -32601.
    UnknownMethod,
    /// The refusal of a tool that does not exist.
    UnknownTool,
    /// The refusal of a name that no tool has, and that means something to a programming language.
    HostileName,
    /// An error.
    Refused(&'static str),
    /// A result.
    Succeeds(&'static str),
    /// Over HTTP: no status that says the server has failed.
    NoServerError,
    /// Over HTTP: that, and no result.
    NotServed(&'static str),
}

/// What is compared between the answers of one case.
#[derive(Debug, Clone, PartialEq)]
pub struct Relation {
    /// What was varied.
    pub kind: RelationKind,
    /// Pairs of steps that must agree, or nothing can be told: the server answers differently every time.
    pub stable: Vec<(usize, usize)>,
    /// Pairs of steps that must agree then.
    pub same: Vec<(usize, usize)>,
}

/// What was varied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RelationKind {
    /// Another spelling of the same JSON.
    Spelled(touchstone_generate::Spelling),
    /// Another id.
    Id,
    /// Nothing at all.
    Repeated,
    /// Other calls at the same time.
    Together,
    /// A call of a tool that changes nothing, in between.
    ReadOnly,
    /// Other characters in a text that comes back.
    Reflected,
}

/// Some steps with what is expected of their answers.
#[derive(Debug, Clone, PartialEq)]
pub struct FuzzCase {
    /// The phase that made it.
    pub phase: Phase,
    /// Its number within the phase.
    pub number: u64,
    /// What is special about it, in words without values: part of the identity of a crash.
    pub label: String,
    /// The tool, method or kind of message that it is about: what is parked when it keeps killing the server.
    pub subject: String,
    /// Whether a client may send all of it.
    pub legal: bool,
    /// The messages.
    pub steps: Vec<Step>,
    /// What is expected of each answer.
    pub expect: Expect,
    /// What is expected of the answers together.
    pub relation: Option<Relation>,
    /// Whether the answer depends on nothing else, so that it can be sent together with others.
    pub independent: bool,
    /// The constraint that it covers.
    pub covers: Option<String>,
}

impl FuzzCase {
    /// A case of one step that a client may send.
    #[must_use]
    pub fn of(phase: Phase, label: impl Into<String>, step: Step) -> Self {
        Self {
            phase,
            number: 0,
            label: label.into(),
            subject: step.subject(),
            legal: true,
            steps: vec![step],
            expect: Expect::Nothing,
            relation: None,
            independent: false,
            covers: None,
        }
    }

    /// The same with an expectation.
    #[must_use]
    pub fn expecting(self, expect: Expect) -> Self {
        Self { expect, ..self }
    }

    /// What it is called in traces and reports.
    #[must_use]
    pub fn id(&self) -> String {
        format!("fuzz/{}-{}", self.phase, self.number)
    }

    /// Messages that count as calls.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.steps.len() as u64
    }
}
