//! The snapshot form of a conversation: what a server does, without what changes from run to run.
//!
//! ```text
//! stretches of traces ──► turns (a message of the client, and what belongs to it) ──► text, values masked, order canonical
//! ```
//!
//! Ids, times, ports, session ids, cursors, task ids, numbers behind a `#`, paths and versions become signs. Messages of the client stand in the order in which they were
//! sent; answers and progress stand below the request that they belong to, whenever they came; what belongs to no request stands at the end, sorted.
//! What is chance by its nature is left out: the answer to a cancelled request, how far a task is, which tasks there are.

mod counted;
mod masks;
mod turns;

use std::fmt::Write as _;

pub use counted::Counted;
use masks::Masks;
use turns::Turns;

use super::{EventKind, Trace};

/// A stretch of a trace, both ends included.
#[derive(Debug, Clone, Copy)]
pub struct Stretch<'a> {
    /// The trace.
    pub trace: &'a Trace,
    /// Index of the first event.
    pub from: usize,
    /// Index of the last event.
    pub to: usize,
}

/// The stretches during which a case ran, in the order of traces.
#[must_use]
pub fn stretches_of<'a>(case: &str, traces: &'a [Trace]) -> Vec<Stretch<'a>> {
    let mut found = Vec::new();
    for trace in traces {
        let mut open = None;
        for (index, event) in trace.events.iter().enumerate() {
            match &event.kind {
                EventKind::CaseStarted { case: started, .. } => open = (started == case).then_some(index),
                EventKind::CaseEnded { .. } => {
                    if let Some(from) = open.take() {
                        found.push(Stretch { trace, from, to: index });
                    }
                }
                _ => {}
            }
        }
        if let Some(from) = open {
            let to = trace.events.len().saturating_sub(1);
            found.push(Stretch { trace, from, to });
        }
    }
    found
}

/// Writes the stretches of one case. `redact` names members whose values are left out, by name or by the end of their dotted path; `counted` is
/// what the whole run has shown to change by itself.
#[must_use]
pub fn render(stretches: &[Stretch<'_>], redact: &[String], counted: &Counted) -> String {
    let mut masks = Masks::new(redact);
    let mut text = String::new();
    for (at, stretch) in stretches.iter().enumerate() {
        if stretches.len() > 1 {
            let _ = writeln!(text, "connection {}", at + 1);
        }
        let mut turns = Turns::default();
        turns.read(stretch);
        turns.write(&mut masks, counted, &mut text);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::{Channel, Intent, TransportKind};
    use super::*;

    fn conversation(lines: &[&str]) -> Trace {
        let mut trace = Trace::new("t", TransportKind::Stdio);
        let case = || "a/b".to_owned();
        trace.push(
            0,
            EventKind::CaseStarted {
                case: case(),
                illegal: false,
            },
        );
        for line in lines {
            let (way, text) = line.split_at(2);
            let payload = text.into();
            trace.push(
                0,
                match way {
                    "> " => EventKind::Sent {
                        payload,
                        exchange: None,
                        intent: Intent::Proper,
                    },
                    _ => EventKind::Received {
                        payload,
                        channel: Channel::Stdout,
                        exchange: None,
                        terminated: true,
                    },
                },
            );
        }
        trace.push(0, EventKind::CaseEnded { case: case() });
        trace
    }

    fn snapshot(lines: &[&str], redact: &[&str]) -> String {
        let traces = [conversation(lines)];
        let redact: Vec<String> = redact.iter().map(|name| (*name).to_owned()).collect();
        render(&stretches_of("a/b", &traces), &redact, &Counted::of(&traces))
    }

    #[test]
    fn what_changes_from_run_to_run_becomes_signs() {
        insta::assert_snapshot!(snapshot(
            &[
                r#"> {"jsonrpc":"2.0","id":7,"method":"tools/list","params":{}}"#,
                r#"< {"jsonrpc":"2.0","id":7,"result":{"tools":[],"nextCursor":"c-8213"}}"#,
                r#"> {"jsonrpc":"2.0","id":8,"method":"tools/list","params":{"cursor":"c-8213"}}"#,
                r#"< {"jsonrpc":"2.0","id":8,"result":{"load":0.7,"inner":{"load":1},"at":"2026-11-26T05:00:00Z","log":"/home/user/x.log on 127.0.0.1:4711","serverInfo":{"version":"1.2","name":"s"},"started":1795600000}}"#,
            ],
            &["load"]
        ));
    }

    #[test]
    fn the_order_in_which_things_come_does_not_matter() {
        let call =
            r#"> {"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","_meta":{"progressToken":"p"}}}"#;
        let ping = r#"> {"jsonrpc":"2.0","id":2,"method":"tools/list"}"#;
        let progress =
            r#"< {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":1}}"#;
        let log = r#"< {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"a"}}"#;
        let change = r#"< {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
        let asks = r#"< {"jsonrpc":"2.0","id":"s1","method":"roots/list"}"#;
        let says = r#"> {"jsonrpc":"2.0","id":"s1","result":{"roots":[]}}"#;
        let first = r#"< {"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#;
        let second = r#"< {"jsonrpc":"2.0","id":2,"error":{"code":-32601,"message":"no"}}"#;
        let one = snapshot(&[call, ping, progress, log, asks, says, change, first, second], &[]);
        let other = snapshot(&[call, asks, change, ping, second, says, progress, first, log], &[]);
        assert_eq!(one, other);
        insta::assert_snapshot!(one);
    }

    #[test]
    fn a_request_of_the_server_that_it_takes_back_too_late_is_chance() {
        let asks = r#"< {"jsonrpc":"2.0","id":4,"method":"ping"}"#;
        let says = r#"> {"jsonrpc":"2.0","id":4,"result":{}}"#;
        let cancel = r#"< {"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":4}}"#;
        assert_eq!(snapshot(&[asks, cancel, says], &[]), snapshot(&[asks, says], &[]));
        assert_ne!(
            snapshot(&[asks, cancel], &[]),
            snapshot(&[asks], &[]),
            "unless nobody answered"
        );
    }

    #[test]
    fn numbers_that_a_server_counts_are_no_change() {
        let created = |number: u32| {
            let call = r#"> {"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}"#;
            let answer = format!(r#"< {{"jsonrpc":"2.0","id":1,"result":{{"text":"Created issue #{number}: x"}}}}"#);
            snapshot(&[call, &answer], &[])
        };
        assert_eq!(created(6), created(17));
        assert!(created(6).contains("Created issue #<number>: x"));
    }

    #[test]
    fn numbers_that_equal_calls_answer_differently_are_no_change() {
        let counts = |from: u32| {
            let call = |id: u32| {
                format!(
                    r#"> {{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"counter","arguments":{{}}}}}}"#
                )
            };
            let answer = |id: u32, count: u32| {
                let text = format!("{count} so far, of 3");
                format!(
                    r#"< {{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"text":"{text}","size":7}}],"n":{count}}}}}"#
                )
            };
            snapshot(&[&call(1), &answer(1, from), &call(2), &answer(2, from + 1)], &[])
        };
        assert_eq!(counts(1), counts(41));
        assert!(
            counts(1).contains("<number> so far") && counts(1).contains("\"size\": 7"),
            "{}",
            counts(1)
        );
    }

    #[test]
    fn an_answer_that_crosses_with_a_cancellation_is_chance() {
        let call = r#"> {"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"x"}}"#;
        let cancel = r#"> {"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"x"}}"#;
        let answer = r#"< {"jsonrpc":"2.0","id":"x","result":{}}"#;
        assert_eq!(snapshot(&[call, cancel, answer], &[]), snapshot(&[call, cancel], &[]));
    }
}
