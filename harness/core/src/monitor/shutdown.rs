//! How a stdio server ends.

use super::conversation::Conversation;
use super::{BreachAt, Context, Monitor, Observer, STDIO, Scope, quoted};
use crate::spec::requirement::Severity;
use crate::trace::{EventKind, TransportKind};

pub(super) const MONITOR: Monitor = Monitor {
    name: "shutdown",
    scope: Scope::Wire,
    over: STDIO,
    summary: "the server exits by itself when its input ends, and leaves no process behind",
    requirements: &[
        "transport-stdio/exit-on-stdin-close",
        "transport-stdio/exit-on-sigterm",
        "transport-stdio/exit-code-zero",
    ],
    judge: observe,
};

/// How long a server may take to end after its input was closed, or after SIGTERM.
const PATIENCE_MS: u64 = 2_000;

fn observe(conversation: &Conversation<'_>, _context: &Context<'_>, observer: &mut Observer<'_>) {
    if conversation.transport() != TransportKind::Stdio {
        return;
    }
    let events = &conversation.trace().events;
    let position = |wanted: fn(&EventKind) -> bool| events.iter().position(|event| wanted(&event.kind));
    let closed = position(|kind| matches!(kind, EventKind::StdinClosed));
    let exited = position(|kind| matches!(kind, EventKind::ProcessExited { .. }));
    let signals: Vec<(usize, &str)> = events
        .iter()
        .enumerate()
        .filter_map(|(index, event)| match &event.kind {
            EventKind::Signalled { signal } => Some((index, signal.as_str())),
            _ => None,
        })
        .collect();
    if let Some(closed) = closed {
        // Before the input ended the server was healthy, or another finding says what was wrong.
        let healthy = !conversation.illegal_before(closed) && exited.is_none_or(|exited| exited > closed);
        match (exited, signals.iter().find(|(index, _)| *index > closed)) {
            _ if !healthy => {}
            (Some(exited), None) => {
                observer.kept("transport-stdio/exit-on-stdin-close", exited);
                exit_code(observer, &events[exited].kind, exited);
            }
            (_, Some((signal, name))) => {
                let waited = (events[*signal].at_us.saturating_sub(events[closed].at_us)) / 1000;
                if waited < PATIENCE_MS {
                    // The harness was in a hurry, because another session has shown already how long it takes.
                    return;
                }
                let message = format!(
                    "the server was still running {waited} ms after its stdin was closed, and was ended by {name}"
                );
                observer.broken(BreachAt::new("transport-stdio/exit-on-stdin-close", *signal, message).also(&[closed]));
            }
            (None, None) => {}
        }
    }
    if let Some((terminated, _)) = signals.iter().find(|(_, name)| *name == "SIGTERM")
        && closed.is_none_or(|closed| closed > *terminated)
    {
        match signals.iter().find(|(_, name)| *name == "SIGKILL") {
            Some((killed, _)) => {
                let message = "the server ignored SIGTERM and had to be killed";
                observer
                    .broken(BreachAt::new("transport-stdio/exit-on-sigterm", *killed, message).also(&[*terminated]));
            }
            None => {
                // What ended the server was the end of its input, long after.
                let outlived = closed
                    .filter(|closed| exited.is_none_or(|exited| exited > *closed))
                    .unwrap_or(*terminated);
                let waited = events[outlived].at_us.saturating_sub(events[*terminated].at_us) / 1000;
                if waited >= PATIENCE_MS {
                    let message = format!("the server was still running {waited} ms after SIGTERM");
                    observer.broken(
                        BreachAt::new("transport-stdio/exit-on-sigterm", outlived, message).also(&[*terminated]),
                    );
                } else if exited.is_some() {
                    observer.kept("transport-stdio/exit-on-sigterm", *terminated);
                }
            }
        }
    }
    for (index, event) in events.iter().enumerate() {
        if let EventKind::Survivors { processes } = &event.kind {
            let names: Vec<String> = processes.iter().map(|process| quoted(&process.name)).collect();
            let message = format!(
                "processes that the server had started outlived it and were killed: {}",
                names.join(", ")
            );
            observer.broken(BreachAt::new("transport-stdio/exit-on-stdin-close", index, message));
        }
    }
}

fn exit_code(observer: &mut Observer<'_>, kind: &EventKind, event: usize) {
    match kind {
        EventKind::ProcessExited { code: Some(0), .. } => observer.kept("transport-stdio/exit-code-zero", event),
        EventKind::ProcessExited { code: Some(code), .. } => {
            let message = format!("the exit code after a regular end is {code}");
            observer.broken(BreachAt::new("transport-stdio/exit-code-zero", event, message).at_most(Severity::Info));
        }
        _ => {}
    }
}
