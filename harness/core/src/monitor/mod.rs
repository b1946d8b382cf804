//! Monitors judge finished traces: the same code for suite, fuzzer and recordings.
//!
//! ```text
//! Trace -> Conversation (messages parsed once, requests paired with answers)
//!            |-> every Monitor -> Vec<Observation>
//! ```
//!
//! A monitor is a pure function. It speaks only of what it saw: a requirement is kept when something was there to judge.

mod authorization;
mod cancellation;
mod capability;
mod completion;
mod content;
mod conversation;
mod credential;
mod declared;
mod deprecated;
mod discover;
mod elicitation;
mod envelope;
mod error_code;
mod exchange;
mod ext_task;
mod header_annotation;
mod http_exchange;
mod http_reply;
mod http_session;
mod http_sse;
mod http_stateless;
mod icon;
mod lifecycle;
mod listen;
mod listing;
mod logging;
mod meta;
mod outgoing;
mod pairing;
mod ping;
mod progress;
mod request_log;
mod resource;
mod result_type;
mod roots;
mod sampling;
mod schema;
mod schema_reference;
mod security;
mod shutdown;
mod sse_stream;
mod stateless;
mod stdout;
mod subscription;
mod task;
mod text_form;
mod tool;
mod tool_form;
mod ui;
mod unprompted;

pub use conversation::{Conversation, Direction, End, Frame, Message};
pub use exchange::{Answered, Exchange};
pub use outgoing::own_mistakes;
pub use tool::dialect;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::revision::{Era, Revision};
use crate::spec::requirement::Severity;
use crate::spec::schema::RevisionSchemas;
use crate::trace::TransportKind;
use crate::verdict::{Breach, Evidence, Observation, Outcome, Score};

/// What monitors know beside the trace.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The revision that was negotiated, or, while none is, the one that was asked for.
    pub revision: Revision,
    /// The message schemas of that revision.
    pub schemas: &'a RevisionSchemas,
}

/// One family of rules.
pub struct Monitor {
    /// Its name, for `touchstone list`.
    pub name: &'static str,
    /// What it watches, in one sentence.
    pub summary: &'static str,
    /// Which conversations it speaks of.
    pub scope: Scope,
    /// The transports over which it judges.
    pub over: &'static [TransportKind],
    /// The requirements that it can judge.
    pub requirements: &'static [&'static str],
    judge: fn(&Conversation<'_>, &Context<'_>, &mut Observer<'_>),
}

/// Over every transport.
const EVERYWHERE: &[TransportKind] = &TransportKind::ALL;
/// Over pipes only.
const STDIO: &[TransportKind] = &[TransportKind::Stdio];
/// Over Streamable HTTP only.
const STREAMABLE: &[TransportKind] = &[TransportKind::StreamableHttp];
/// Over HTTP+SSE only.
const HTTP_SSE: &[TransportKind] = &[TransportKind::HttpSse];
/// Over both HTTP transports.
const HTTP: &[TransportKind] = &[TransportKind::StreamableHttp, TransportKind::HttpSse];

/// Which conversations a monitor speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Every one: what it judges is the same in both eras.
    Wire,
    /// Those of the era of the revision that is judged. A server of both eras may be spoken to in the other one meanwhile.
    Either,
    /// Those that begin with a handshake.
    Stateful,
    /// Those in which every request speaks for itself.
    Stateless,
}

impl Scope {
    /// Whether it speaks of conversations of a revision at all.
    #[must_use]
    pub fn speaks_of(self, revision: Revision) -> bool {
        match self {
            Self::Wire | Self::Either => true,
            Self::Stateful => revision.era() == Era::Stateful,
            Self::Stateless => revision.era() == Era::Stateless,
        }
    }

    fn holds(self, conversation: &Conversation<'_>, revision: Revision) -> bool {
        // Over HTTP every request tells for itself, so that both eras may share a conversation.
        let other_era = revision.era() == Era::Stateless
            && conversation.handshake().is_some()
            && !conversation.transport().is_http();
        match self {
            Self::Wire => true,
            Self::Either => !other_era,
            Self::Stateful => revision.era() == Era::Stateful,
            Self::Stateless => revision.era() == Era::Stateless && !other_era,
        }
    }
}

/// Every monitor.
#[must_use]
pub fn all() -> &'static [Monitor] {
    const ALL: &[Monitor] = &[
        stdout::MONITOR,
        envelope::MONITOR,
        pairing::MONITOR,
        schema::MONITOR,
        capability::MONITOR,
        lifecycle::MONITOR,
        listing::MONITOR,
        tool::MONITOR,
        tool_form::MONITOR,
        content::MONITOR,
        icon::MONITOR,
        resource::MONITOR,
        completion::MONITOR,
        meta::MONITOR,
        security::MONITOR,
        task::MONITOR,
        progress::MONITOR,
        cancellation::MONITOR,
        logging::MONITOR,
        ping::MONITOR,
        subscription::MONITOR,
        sampling::MONITOR,
        elicitation::MONITOR,
        roots::MONITOR,
        shutdown::MONITOR,
        authorization::MONITOR,
        credential::MONITOR,
        http_reply::MONITOR,
        http_session::MONITOR,
        sse_stream::MONITOR,
        http_sse::MONITOR,
        unprompted::MONITOR,
        result_type::MONITOR,
        error_code::MONITOR,
        discover::MONITOR,
        listen::MONITOR,
        request_log::MONITOR,
        ext_task::MONITOR,
        ui::MONITOR,
        header_annotation::MONITOR,
        schema_reference::MONITOR,
        text_form::MONITOR,
        http_stateless::MONITOR,
        deprecated::MONITOR,
    ];
    ALL
}

thread_local! {
    /// Monitors that have failed since this was asked last.
    static FAILURES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Breaches of one requirement that are told of one trace: a flood of them says no more than many.
const MOST_BREACHES: usize = 500;

/// Judges a conversation with every monitor.
#[must_use]
pub fn observe(conversation: &Conversation<'_>, context: &Context<'_>) -> Vec<Observation> {
    let mut observer = Observer {
        conversation,
        kept: BTreeMap::new(),
        broken: Vec::new(),
        breaches: BTreeMap::new(),
    };
    let fitting = |monitor: &&Monitor| monitor.scope.holds(conversation, context.revision);
    for monitor in all().iter().filter(fitting) {
        // A monitor that meets something that its author did not think of must not take the others with it.
        let judged = catch_unwind(AssertUnwindSafe(|| {
            (monitor.judge)(conversation, context, &mut observer)
        }));
        if judged.is_err() {
            let trace = conversation.trace_name();
            FAILURES.with_borrow_mut(|failures| {
                failures.push(format!("the monitor {} failed on the trace {trace}", monitor.name))
            });
        }
    }
    observer.finish()
}

/// Collects what monitors see.
pub struct Observer<'a> {
    conversation: &'a Conversation<'a>,
    kept: BTreeMap<&'static str, Kept>,
    broken: Vec<Observation>,
    breaches: BTreeMap<String, usize>,
}

#[derive(Default)]
struct Kept {
    times: u64,
    evidence: Option<usize>,
}

/// A breach under construction.
pub struct BreachAt<'a> {
    /// The requirement.
    pub requirement: &'a str,
    /// The event that shows it best.
    pub event: usize,
    /// Other events that belong to it.
    pub also: &'a [usize],
    /// What happened.
    pub message: String,
    /// What it is about.
    pub about: Option<&'a str>,
    /// The most that it may weigh.
    pub at_most: Severity,
}

impl<'a> BreachAt<'a> {
    /// A breach shown by one event, weighing what the requirement's level says.
    fn new(requirement: &'a str, event: usize, message: impl Into<String>) -> Self {
        Self {
            requirement,
            event,
            also: &[],
            message: message.into(),
            about: None,
            at_most: Severity::Fail,
        }
    }

    /// Names what the breach is about.
    fn about(self, about: &'a str) -> Self {
        Self {
            about: Some(about),
            ..self
        }
    }

    /// Adds other events.
    fn also(self, also: &'a [usize]) -> Self {
        Self { also, ..self }
    }

    /// Caps what the breach may weigh.
    fn at_most(self, at_most: Severity) -> Self {
        Self { at_most, ..self }
    }
}

impl Observer<'_> {
    /// Notes that a requirement was kept by what the event shows.
    fn kept(&mut self, requirement: &'static str, event: usize) {
        let kept = self.kept.entry(requirement).or_default();
        kept.times += 1;
        kept.evidence.get_or_insert(event);
    }

    /// Notes a breach. What happens after illegal input is only worth knowing: no sentence says what a server does with it.
    fn broken(&mut self, breach: BreachAt<'_>) {
        self.note(breach);
    }

    /// Notes a breach; false when there are so many that it is left out.
    fn note(&mut self, breach: BreachAt<'_>) -> bool {
        let breaches = self.breaches.entry(breach.requirement.to_owned()).or_default();
        *breaches += 1;
        if *breaches > MOST_BREACHES {
            return false;
        }
        let at_most = if self.conversation.illegal_at(breach.event) {
            Severity::Info
        } else {
            breach.at_most
        };
        let evidence = std::iter::once(breach.event).chain(breach.also.iter().copied());
        self.broken.push(Observation {
            requirement: breach.requirement.to_owned(),
            outcome: Outcome::Broken(Breach {
                message: breach.message,
                about: breach.about.map(str::to_owned),
                at_most,
                score: Score::Conformance,
                cause: None,
            }),
            case: self.conversation.case_at(breach.event).map(str::to_owned),
            evidence: evidence.map(|event| self.evidence(event)).collect(),
        });
        true
    }

    /// Notes that the server did not survive illegal input.
    fn not_survived(&mut self, event: usize, also: &[usize], message: String) {
        let noted = self.note(BreachAt::new("base-protocol/survives-garbage", event, message).also(also));
        if noted
            && let Some(Outcome::Broken(breach)) = self.broken.last_mut().map(|observation| &mut observation.outcome)
        {
            breach.score = Score::Robustness;
            breach.at_most = Severity::Fail;
        }
    }

    /// Notes that a requirement named by data was kept.
    fn kept_by_data(&mut self, requirement: &str, event: usize) {
        self.broken.push(Observation {
            requirement: requirement.to_owned(),
            outcome: Outcome::Kept(1),
            case: None,
            evidence: vec![self.evidence(event)],
        });
    }

    fn evidence(&self, event: usize) -> Evidence {
        Evidence {
            trace: self.conversation.trace_name().to_owned(),
            event,
        }
    }

    fn finish(self) -> Vec<Observation> {
        let trace = self.conversation.trace_name();
        let kept = self.kept.into_iter().map(|(requirement, kept)| Observation {
            requirement: requirement.to_owned(),
            outcome: Outcome::Kept(kept.times),
            case: None,
            evidence: kept
                .evidence
                .map(|event| Evidence {
                    trace: trace.to_owned(),
                    event,
                })
                .into_iter()
                .collect(),
        });
        kept.chain(self.broken).collect()
    }
}

/// Server text quoted in a message: one line, cut when long. Escaping for the place where it is shown is the report's duty.
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 120;
    let mut line = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == LONGEST {
            line.push_str("...");
            break;
        }
        match character {
            control if control.is_control() => line.extend(control.escape_default()),
            // The delimiter: what stands between two of them is left out of a finding's identity.
            '`' => line.push('\''),
            other => line.push(other),
        }
    }
    format!("`{line}`")
}

#[cfg(test)]
mod tests;
