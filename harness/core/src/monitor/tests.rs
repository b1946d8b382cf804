//! Every monitor on small traces: what breaks a rule is found, and under that rule; what is legal is not.

use std::collections::BTreeSet;

use super::*;
use crate::spec::requirement::Catalog;
use crate::spec::schema::SchemaLibrary;
use crate::trace::{Channel, EventKind, Intent, Survivor, Trace, TransportKind};

mod extensions;
mod features;
mod http;
mod stateless;
mod stateless_http;

/// One line of a trace, in short.
pub(super) enum Line {
    /// Sent as a proper message.
    Out(&'static str),
    /// Sent broken on purpose.
    Bad(&'static str),
    /// Received on stdout.
    In(&'static str),
    /// Anything else.
    Event(EventKind),
}
use Line::{Bad, Event, In, Out};

fn trace(lines: impl IntoIterator<Item = Line>) -> Trace {
    let mut trace = Trace::new("t", TransportKind::Stdio);
    for (index, line) in lines.into_iter().enumerate() {
        let kind = match line {
            Out(text) => EventKind::Sent {
                payload: text.into(),
                exchange: None,
                intent: Intent::Proper,
            },
            Bad(text) => EventKind::Sent {
                payload: text.into(),
                exchange: None,
                intent: Intent::Broken,
            },
            In(text) => EventKind::Received {
                payload: text.into(),
                channel: Channel::Stdout,
                exchange: None,
                terminated: true,
            },
            Event(kind) => kind,
        };
        trace.push(index as u64 * 1_000, kind);
    }
    trace
}

fn catalog() -> Catalog {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cases/requirements");
    let mut catalog = Catalog::default();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let area = path.file_stem().unwrap().to_str().unwrap();
            catalog
                .add(
                    area,
                    crate::yaml::parse(area, &std::fs::read_to_string(&path).unwrap()).unwrap(),
                )
                .unwrap();
        }
    }
    catalog
}

fn library() -> SchemaLibrary {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cases/schemas");
    let catalog = catalog();
    let documents: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), std::fs::read_to_string(path).unwrap()))
        .collect();
    SchemaLibrary::load(
        documents.iter().map(|(name, text)| (name.as_str(), text.as_str())),
        &catalog,
    )
    .unwrap()
}

/// The requirements that a trace breaks in a way that weighs, and those that it keeps.
fn judged(library: &SchemaLibrary, revision: Revision, trace: &Trace) -> (BTreeSet<String>, BTreeSet<String>) {
    let context = Context {
        revision,
        schemas: library.for_revision(revision),
    };
    let (mut broken, mut kept) = (BTreeSet::new(), BTreeSet::new());
    for observation in observe(&Conversation::of(trace), &context) {
        match observation.outcome {
            Outcome::Broken(breach) if breach.at_most > Severity::Info => drop(broken.insert(observation.requirement)),
            Outcome::Broken(_) => {}
            Outcome::Kept(_) => drop(kept.insert(observation.requirement)),
        }
    }
    (broken, kept)
}

/// The same in the newest stateful revision.
pub(super) fn judged_newest(lines: impl IntoIterator<Item = Line>) -> (BTreeSet<String>, BTreeSet<String>) {
    judged(&library(), Revision::V2025_11_25, &trace(lines))
}

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const PONG: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
const HELLO: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
const WELCOME: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}}"#;
const READY: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
const LIST: &str = r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#;

#[test]
fn a_healthy_conversation_breaks_nothing_and_keeps_what_it_showed() {
    let lines = [
        Out(HELLO),
        In(WELCOME),
        Out(READY),
        Out(LIST),
        In(r#"{"jsonrpc":"2.0","method":"ping","id":"s1"}"#),
        In(r#"{"jsonrpc":"2.0","id":2,"result":{"tools":[{"name":"a","inputSchema":{"type":"object"}}]}}"#),
        Event(EventKind::StdinClosed),
        Event(EventKind::ProcessExited {
            code: Some(0),
            signal: None,
        }),
    ];
    let (broken, kept) = judged(&library(), Revision::V2025_06_18, &trace(lines));
    assert_eq!(broken, BTreeSet::new());
    for requirement in [
        "transport-stdio/stdout-pure",
        "transport-stdio/exit-on-stdin-close",
        "transport-stdio/exit-quiet",
        "base-protocol/response-id-echo",
        "base-protocol/request-answered-once",
        "base-protocol/notification-no-response",
        "base-protocol/features-advertised",
        "lifecycle/version-echo",
        "tools/name-unique",
        "tools/input-schema-valid",
        "tools/name-string",
    ] {
        assert!(kept.contains(requirement), "{requirement} was there to see: {kept:?}");
    }
}

#[test]
fn nothing_seen_is_nothing_kept() {
    let (broken, kept) = judged(&library(), Revision::V2025_06_18, &trace([]));
    assert_eq!((broken, kept), (BTreeSet::new(), BTreeSet::new()));
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_mistake_breaks_its_own_rule_and_no_other() {
    let welcomed = |rest: Vec<Line>| {
        [Out(HELLO), In(WELCOME), Out(READY)]
            .into_iter()
            .chain(rest)
            .collect::<Vec<_>>()
    };
    let died = || {
        Event(EventKind::ProcessExited {
            code: Some(1),
            signal: None,
        })
    };
    let case = |illegal| {
        Event(EventKind::CaseStarted {
            case: "c".to_owned(),
            illegal,
        })
    };
    let rows: Vec<(&str, Vec<Line>)> = vec![
        // What is on stdout.
        (
            "transport-stdio/stdout-pure",
            vec![In("Server started"), Out(PING), In(PONG)],
        ),
        (
            "transport-stdio/stdout-pure",
            vec![Out(PING), In(r#"done{"jsonrpc":"2.0","id":1,"result":{}}"#), In(PONG)],
        ),
        (
            "transport-stdio/stdout-schema-valid",
            vec![In(r#"{"level":"info","msg":"up"}"#), Out(PING), In(PONG)],
        ),
        (
            "transport-stdio/newline-delimited",
            vec![In("Content-Length: 36\r"), Out(PING), In(PONG)],
        ),
        (
            "transport-stdio/no-embedded-newlines",
            vec![
                Out(PING),
                In("{"),
                In(r#"  "jsonrpc": "2.0", "id": 1,"#),
                In(r#"  "result": {} }"#),
                In(PONG),
            ],
        ),
        (
            "transport-stdio/exit-quiet",
            vec![
                Out(PING),
                In(PONG),
                Event(EventKind::StdinClosed),
                In("bye"),
                Event(EventKind::ProcessExited {
                    code: Some(0),
                    signal: None,
                }),
            ],
        ),
        // The envelope.
        (
            "base-protocol/jsonrpc-member",
            vec![Out(PING), In(r#"{"id":1,"result":{}}"#)],
        ),
        (
            "base-protocol/result-is-object",
            vec![Out(PING), In(r#"{"jsonrpc":"2.0","id":1,"result":null}"#)],
        ),
        (
            "base-protocol/error-code-integer",
            vec![
                Out(PING),
                In(r#"{"jsonrpc":"2.0","id":1,"error":{"code":"x","message":"m"}}"#),
            ],
        ),
        (
            "base-protocol/error-message-string",
            vec![Out(PING), In(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-1}}"#)],
        ),
        (
            "base-protocol/batch-not-emitted",
            vec![Out(PING), In(r#"[{"jsonrpc":"2.0","id":1,"result":{}}]"#)],
        ),
        (
            "base-protocol/server-notification-no-id",
            vec![
                Out(PING),
                In(PONG),
                In(r#"{"jsonrpc":"2.0","id":null,"method":"notifications/tools/list_changed"}"#),
            ],
        ),
        // Requests and answers.
        (
            "base-protocol/response-id-type",
            vec![Out(PING), In(r#"{"jsonrpc":"2.0","id":"1","result":{}}"#)],
        ),
        (
            "base-protocol/response-id-echo",
            vec![Out(PING), In(PONG), In(r#"{"jsonrpc":"2.0","id":77,"result":{}}"#)],
        ),
        (
            "base-protocol/request-answered-once",
            vec![Out(PING), In(PONG), In(PONG)],
        ),
        (
            "base-protocol/request-answered-once",
            vec![
                Out(PING),
                Event(EventKind::GaveUp {
                    id: "1".to_owned(),
                    waited_ms: 10,
                }),
            ],
        ),
        ("base-protocol/request-answered-once", vec![Out(PING), died()]),
        (
            "base-protocol/notification-no-response",
            welcomed(vec![
                In(r#"{"jsonrpc":"2.0","id":null,"result":{}}"#),
                Out(LIST),
                In(r#"{"jsonrpc":"2.0","id":2,"result":{"tools":[]}}"#),
            ]),
        ),
        (
            "base-protocol/survives-garbage",
            vec![
                Out(PING),
                In(PONG),
                case(true),
                Bad("{"),
                Out(r#"{"jsonrpc":"2.0","id":9,"method":"ping"}"#),
                died(),
            ],
        ),
        // Schemas and capabilities.
        (
            "ping/empty-result",
            vec![Out(PING), In(r#"{"jsonrpc":"2.0","id":1,"result":{"_meta":{}}}"#)],
        ),
        (
            "tools/description-string",
            welcomed(vec![
                Out(LIST),
                In(
                    r#"{"jsonrpc":"2.0","id":2,"result":{"tools":[{"name":"a","description":5,"inputSchema":{"type":"object"}}]}}"#,
                ),
            ]),
        ),
        (
            "base-protocol/features-advertised",
            welcomed(vec![
                Out(LIST),
                In(r#"{"jsonrpc":"2.0","id":2,"error":{"code":-32601,"message":"no"}}"#),
            ]),
        ),
        (
            "prompts/capability-declared",
            welcomed(vec![
                Out(r#"{"jsonrpc":"2.0","id":2,"method":"prompts/list"}"#),
                In(r#"{"jsonrpc":"2.0","id":2,"result":{"prompts":[{"name":"p"}]}}"#),
            ]),
        ),
        (
            "logging/capability-declared",
            welcomed(vec![In(
                r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}"#,
            )]),
        ),
        (
            "client-features/roots-needs-capability",
            welcomed(vec![In(r#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#)]),
        ),
        (
            "base-protocol/server-method-vocabulary",
            welcomed(vec![In(r#"{"jsonrpc":"2.0","id":1,"method":"made/up"}"#)]),
        ),
        (
            "lifecycle/negotiated-version-respected",
            welcomed(vec![In(
                r#"{"jsonrpc":"2.0","method":"notifications/tasks/status","params":{}}"#,
            )]),
        ),
        // Lifecycle, lists, tools, shutdown.
        (
            "lifecycle/version-counter-offer",
            vec![
                Out(
                    r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"1999-01-01","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#,
                ),
                In(
                    r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"1999-01-01","capabilities":{},"serverInfo":{"name":"s","version":"1"}}}"#,
                ),
            ],
        ),
        (
            "lifecycle/first-interaction",
            vec![
                In(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#),
                Out(PING),
                In(PONG),
            ],
        ),
        (
            "tools/name-unique",
            welcomed(vec![
                Out(LIST),
                In(
                    r#"{"jsonrpc":"2.0","id":2,"result":{"tools":[{"name":"a","inputSchema":{"type":"object"}},{"name":"a","inputSchema":{"type":"object"}}]}}"#,
                ),
            ]),
        ),
        (
            "pagination/terminates",
            welcomed(vec![
                Out(LIST),
                In(r#"{"jsonrpc":"2.0","id":2,"result":{"tools":[],"nextCursor":"c"}}"#),
                Out(r#"{"jsonrpc":"2.0","id":3,"method":"tools/list","params":{"cursor":"c"}}"#),
                In(r#"{"jsonrpc":"2.0","id":3,"result":{"tools":[],"nextCursor":"c"}}"#),
            ]),
        ),
        (
            "tools/input-schema-valid",
            welcomed(vec![
                Out(LIST),
                In(
                    r#"{"jsonrpc":"2.0","id":2,"result":{"tools":[{"name":"a","inputSchema":{"type":"object","properties":{"x":{"type":"unknown"}}}}]}}"#,
                ),
            ]),
        ),
        (
            "tools/output-schema-conformance",
            welcomed(vec![
                Out(LIST),
                In(
                    r#"{"jsonrpc":"2.0","id":2,"result":{"tools":[{"name":"a","inputSchema":{"type":"object"},"outputSchema":{"type":"object","properties":{"n":{"type":"integer"}}}}]}}"#,
                ),
                Out(r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"a"}}"#),
                In(
                    r#"{"jsonrpc":"2.0","id":3,"result":{"content":[{"type":"text","text":"{\"n\":\"x\"}"}],"structuredContent":{"n":"x"}}}"#,
                ),
            ]),
        ),
        (
            "transport-stdio/exit-on-stdin-close",
            vec![
                Out(PING),
                In(PONG),
                Event(EventKind::StdinClosed),
                Event(EventKind::Survivors {
                    processes: vec![Survivor {
                        pid: 7,
                        name: "sleep".to_owned(),
                    }],
                }),
            ],
        ),
    ];
    let library = library();
    for (requirement, lines) in rows {
        let trace = trace(lines);
        let (broken, kept) = judged(&library, Revision::V2025_06_18, &trace);
        if requirement == "ping/empty-result" {
            // `_meta` is the one member that an empty result may have.
            assert!(broken.is_empty() && kept.contains(requirement));
            continue;
        }
        assert_eq!(broken, BTreeSet::from([requirement.to_owned()]), "{:#?}", trace.events);
    }
}

#[test]
fn answers_out_of_order_and_news_in_between_confuse_nothing() {
    let second = r#"{"jsonrpc":"2.0","id":"two","method":"ping","params":{"_meta":{"progressToken":1}}}"#;
    let lines = [
        Out(PING),
        Out(second),
        In(r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}"#),
        In(r#"{"jsonrpc":"2.0","id":"two","result":{}}"#),
        In(r#"{"jsonrpc":"2.0","id":9,"method":"ping"}"#),
        In(PONG),
    ];
    assert_eq!(
        judged(&library(), Revision::V2025_06_18, &trace(lines)).0,
        BTreeSet::new()
    );
}

#[test]
fn illegal_input_weighs_on_nothing_but_survival() {
    let lines = [
        Out(PING),
        In(PONG),
        Event(EventKind::CaseStarted {
            case: "c".to_owned(),
            illegal: true,
        }),
        Bad("garbage"),
        In("what was that?"),
        In(r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32700,"message":"no"}}"#),
        Out(r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#),
        In(r#"{"jsonrpc":"2.0","id":2,"result":{}}"#),
    ];
    let (broken, kept) = judged(&library(), Revision::V2025_06_18, &trace(lines));
    assert_eq!(broken, BTreeSet::new());
    assert!(kept.contains("base-protocol/survives-garbage"));
}

#[test]
fn our_own_messages_are_checked_unless_they_are_wrong_on_purpose() {
    let library = library();
    let context = Context {
        revision: Revision::V2025_06_18,
        schemas: library.for_revision(Revision::V2025_06_18),
    };
    let mistakes = |line| own_mistakes(&Conversation::of(&trace([line])), &context).len();
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}"#;
    assert_eq!(mistakes(Out(call)), 1);
    assert_eq!(mistakes(Bad(call)), 0);
    assert_eq!(mistakes(Out(r#"{"jsonrpc":"2.0","id":1,"method":"no/such"}"#)), 0);
    assert_eq!(mistakes(Out("{")), 1);
}

/// Nothing forbids notifications of one's own, and what another monitor says is not said twice.
#[test]
fn methods_of_nobody_and_of_other_revisions_are_told_apart() {
    let library = library();
    let own = r#"{"jsonrpc":"2.0","method":"notifications/made_up"}"#;
    let private = trace([Out(HELLO), In(WELCOME), Out(READY), In(own)]);
    assert_eq!(judged(&library, Revision::V2025_06_18, &private).0, BTreeSet::new());
    let form = r#"{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{}}"#;
    let early = trace([Out(HELLO), In(WELCOME), Out(READY), In(form)]);
    assert_eq!(
        judged(&library, Revision::V2025_03_26, &early).0,
        BTreeSet::from(["base-protocol/undeclared-client-capability-unused".to_owned()])
    );
}
mod unasked;

/// The id of an object that is no request can be read all the same.
#[test]
fn an_error_under_a_readable_id_is_not_invented() {
    const INCOMPLETE: &str = r#"{"jsonrpc":"2.0","id":"half"}"#;
    const REFUSED: &str = r#"{"jsonrpc":"2.0","id":"half","error":{"code":-32600,"message":"Invalid request"}}"#;
    const INVENTED: &str = r#"{"jsonrpc":"2.0","id":0,"error":{"code":-32600,"message":"Invalid request"}}"#;
    let library = library();
    let context = Context {
        revision: Revision::V2025_11_25,
        schemas: library.for_revision(Revision::V2025_11_25),
    };
    // Lines of a trace live as long as the test.
    let deep: &'static str = Box::leak(
        format!(
            r#"{{"jsonrpc":"2.0","id":"half","method":"ping","params":{{"x":{}{}}}}}"#,
            "[".repeat(1000),
            "]".repeat(1000)
        )
        .into_boxed_str(),
    );
    for (bad, answer, invents) in [
        (INCOMPLETE, REFUSED, false),
        (INCOMPLETE, INVENTED, true),
        (deep, REFUSED, false),
        (deep, INVENTED, true),
    ] {
        let trace = trace([Out(HELLO), In(WELCOME), Out(READY), Bad(bad), In(answer)]);
        let broken = observe(&Conversation::of(&trace), &context).iter().any(|found| {
            found.requirement == "base-protocol/undetectable-id" && matches!(found.outcome, Outcome::Broken(_))
        });
        assert_eq!(broken, invents, "{answer}");
    }
}

/// A server that refuses batches answers no notification, and names no id of its own.
#[test]
fn a_refused_batch_is_no_answered_notification() {
    let lines = [
        Out(HELLO),
        In(WELCOME),
        Out(READY),
        Out(r#"[{"jsonrpc":"2.0","id":"b","method":"ping"},{"jsonrpc":"2.0","method":"notifications/initialized"}]"#),
        Out(r#"{"jsonrpc":"2.0","id":6,"method":"ping"}"#),
        In(r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid request"}}"#),
        In(r#"{"jsonrpc":"2.0","id":6,"result":{}}"#),
    ];
    let (broken, _) = judged(&library(), Revision::V2025_03_26, &trace(lines));
    assert!(!broken.iter().any(|id| id.starts_with("base-protocol/")), "{broken:?}");
}
