//! The monitors of tools, resources, completions, metadata and pings on traces of one exchange.

use super::*;
use crate::spec::requirement::Severity;

/// One request with its answer, after a handshake in which the server declares resources or does not.
fn exchange(method: &str, params: &str, result: &str, resources: bool) -> Trace {
    let declared = if resources { r#""resources":{}"# } else { "" };
    let lines = [
        HELLO.to_owned(),
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"result":{{"protocolVersion":"2025-11-25","capabilities":{{"tools":{{}},"prompts":{{}},"completions":{{}}{}{declared}}},"serverInfo":{{"name":"s","version":"1"}}}}}}"#,
            if resources { "," } else { "" }
        ),
        READY.to_owned(),
        format!(r#"{{"jsonrpc":"2.0","id":2,"method":"{method}","params":{params}}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":2,"result":{result}}}"#),
    ];
    let mut trace = Trace::new("t", TransportKind::Stdio);
    for (index, line) in lines.into_iter().enumerate() {
        let kind = if [0, 2, 3].contains(&index) {
            EventKind::Sent {
                payload: line.as_str().into(),
                exchange: None,
                intent: Intent::Proper,
            }
        } else {
            EventKind::Received {
                payload: line.as_str().into(),
                channel: Channel::Stdout,
                exchange: None,
                terminated: true,
            }
        };
        trace.push(index as u64 * 1_000, kind);
    }
    trace
}

/// The requirements that are broken, with how much each weighs at most.
fn broken(library: &SchemaLibrary, revision: Revision, trace: &Trace) -> Vec<(String, Severity)> {
    let context = Context {
        revision,
        schemas: library.for_revision(revision),
    };
    let mut found: Vec<(String, Severity)> = observe(&Conversation::of(trace), &context)
        .into_iter()
        .filter_map(|observation| match observation.outcome {
            Outcome::Broken(breach) => Some((observation.requirement, breach.at_most)),
            Outcome::Kept(_) => None,
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

/// A requirement, how much its breach weighs, the revision, and method, params and result of the exchange.
type Row<'a> = (&'a str, Severity, Revision, (&'a str, &'a str, &'a str));

const TOOL: &str = r#"{"name":"a"}"#;

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn one_exchange_breaks_one_rule() {
    let library = library();
    let call = |result: &'static str| ("tools/call", TOOL, result);
    let rows: Vec<Row<'_>> = vec![
        (
            "meta/key-prefix-grammar",
            Severity::Fail,
            Revision::V2025_06_18,
            call(r#"{"content":[],"_meta":{"com..example/a":1}}"#),
        ),
        (
            "meta/key-name-grammar",
            Severity::Fail,
            Revision::V2025_06_18,
            call(r#"{"content":[],"_meta":{"_fast":1}}"#),
        ),
        (
            "meta/reserved-prefix-unused",
            Severity::Fail,
            Revision::V2025_06_18,
            call(r#"{"content":[],"_meta":{"mcp.dev/a":1}}"#),
        ),
        (
            "meta/reserved-prefix-unused",
            Severity::Fail,
            Revision::V2025_11_25,
            call(r#"{"content":[],"_meta":{"dev.mcp/a":1}}"#),
        ),
        (
            "meta/reverse-dns-prefix",
            Severity::Fail,
            Revision::V2025_11_25,
            call(r#"{"content":[],"_meta":{"example.com/a":1}}"#),
        ),
        (
            "tools/embedded-needs-resources",
            Severity::Fail,
            Revision::V2025_06_18,
            call(r#"{"content":[{"type":"resource","resource":{"uri":"a://b","text":"c"}}]}"#),
        ),
        (
            "tools/content-image-mime",
            Severity::Fail,
            Revision::V2025_06_18,
            call(r#"{"content":[{"type":"image","mimeType":"image/png","data":"AAAA"}]}"#),
        ),
        (
            "tools/execution-error-content",
            Severity::Fail,
            Revision::V2025_06_18,
            call(r#"{"content":[],"isError":true}"#),
        ),
        (
            "security/no-internal-details-in-errors",
            Severity::Fail,
            Revision::V2025_06_18,
            call(r#"{"content":[{"type":"text","text":"Traceback (most recent call last)\n"}],"isError":true}"#),
        ),
        (
            "tools/schema-dialect-known",
            Severity::Warn,
            Revision::V2025_11_25,
            (
                "tools/list",
                "{}",
                r#"{"tools":[{"name":"a","inputSchema":{"$schema":"https://example.com/x","type":"object","additionalProperties":false}}]}"#,
            ),
        ),
        (
            "schema/dialect-2020-12-recommended",
            Severity::Info,
            Revision::V2025_11_25,
            (
                "tools/list",
                "{}",
                r#"{"tools":[{"name":"a","inputSchema":{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","additionalProperties":false}}]}"#,
            ),
        ),
        (
            "tools/annotations-consistent",
            Severity::Fail,
            Revision::V2025_06_18,
            (
                "tools/list",
                "{}",
                r#"{"tools":[{"name":"a","inputSchema":{"type":"object","additionalProperties":false},"annotations":{"readOnlyHint":true,"destructiveHint":true}}]}"#,
            ),
        ),
        (
            "schema/icon-src-scheme",
            Severity::Fail,
            Revision::V2025_11_25,
            (
                "tools/list",
                "{}",
                r#"{"tools":[{"name":"a","inputSchema":{"type":"object","additionalProperties":false},"icons":[{"src":"file:///a.png"}]}]}"#,
            ),
        ),
        (
            "schema/icon-src-scheme",
            Severity::Warn,
            Revision::V2025_11_25,
            (
                "tools/list",
                "{}",
                r#"{"tools":[{"name":"a","inputSchema":{"type":"object","additionalProperties":false},"icons":[{"src":"http://example.com/a.png"}]}]}"#,
            ),
        ),
        (
            "completion/total-consistent",
            Severity::Fail,
            Revision::V2025_06_18,
            (
                "completion/complete",
                r#"{"ref":{"type":"ref/prompt","name":"a"},"argument":{"name":"b","value":""}}"#,
                r#"{"completion":{"values":["c","d"],"total":1}}"#,
            ),
        ),
        (
            "prompts/argument-names-unique",
            Severity::Fail,
            Revision::V2025_06_18,
            (
                "prompts/list",
                "{}",
                r#"{"prompts":[{"name":"a","arguments":[{"name":"b"},{"name":"b"}]}]}"#,
            ),
        ),
        (
            "security/hidden-unicode",
            Severity::Fail,
            Revision::V2025_06_18,
            (
                "prompts/list",
                "{}",
                r#"{"prompts":[{"name":"a","description":"do\u202ethis"}]}"#,
            ),
        ),
    ];
    for (requirement, at_most, revision, (method, params, result)) in rows {
        let trace = exchange(method, params, result, false);
        let found = broken(&library, revision, &trace);
        assert_eq!(found, [(requirement.to_owned(), at_most)], "{method} {result}");
    }
    for (requirement, at_most, params, result) in [
        (
            "resources/text-only-for-text",
            Severity::Warn,
            r#"{"uri":"a://b"}"#,
            r#"{"contents":[{"uri":"a://b","mimeType":"image/png","text":"c"}]}"#,
        ),
        (
            "resources/text-only-for-text",
            Severity::Warn,
            r#"{"uri":"a://b"}"#,
            r#"{"contents":[{"uri":"a://b","text":"\ufffd\ufffd"}]}"#,
        ),
    ] {
        let trace = exchange("resources/read", params, result, true);
        assert_eq!(
            broken(&library, Revision::V2025_06_18, &trace),
            [(requirement.to_owned(), at_most)],
            "{result}"
        );
    }
    let scheme = exchange(
        "resources/list",
        "{}",
        r#"{"resources":[{"uri":"my_docs://a","name":"a"}]}"#,
        true,
    );
    for (revision, requirement) in [
        (Revision::V2025_06_18, "resources/custom-scheme"),
        (Revision::V2025_03_26, "resources/uri-valid"),
    ] {
        let found = broken(&library, revision, &scheme);
        // Where the newer rule does not exist, what the monitor says of it is dropped later.
        assert!(found.iter().any(|(id, _)| id == requirement), "{revision}: {found:?}");
        let old = found.iter().any(|(id, _)| id == "resources/uri-valid");
        assert_eq!(old, revision < Revision::V2025_06_18, "{revision}: {found:?}");
    }
}

#[test]
fn what_is_legal_breaks_nothing() {
    let library = library();
    for (method, params, result) in [
        (
            "tools/call",
            TOOL,
            r#"{"content":[{"type":"text","text":"ok"}],"structuredContent":{"_meta":{"-":1}},"_meta":{"progress":1,"io.modelcontextprotocol/related-task":{},"com.example/":1,"a/b/c":1,"openai/x":2}}"#,
        ),
        (
            "resources/read",
            r#"{"uri":"a://b"}"#,
            r#"{"contents":[{"uri":"a://b","mimeType":"image/svg+xml","text":"<svg/>"}]}"#,
        ),
        (
            "resources/templates/list",
            "{}",
            r#"{"resourceTemplates":[{"name":"a","uriTemplate":"{scheme}://b/{c}"}]}"#,
        ),
        (
            "completion/complete",
            r#"{"ref":{"type":"ref/prompt","name":"a"},"argument":{"name":"b","value":""}}"#,
            r#"{"completion":{"values":["c"],"total":7,"hasMore":true}}"#,
        ),
        (
            "prompts/list",
            "{}",
            r#"{"prompts":[{"name":"family","description":"👨‍👩‍👧\tand\nmore"}]}"#,
        ),
    ] {
        let mut trace = exchange(method, params, result, true);
        trace.push(9_000_000, EventKind::StdinClosed);
        let found = broken(&library, Revision::V2025_11_25, &trace);
        let found: Vec<_> = found
            .iter()
            .filter(|(id, _)| id != "tools/structured-content-text")
            .collect();
        assert_eq!(found, Vec::<&(String, Severity)>::new(), "{method} {result}");
    }
}

#[test]
fn many_pings_at_once_are_too_many() {
    let ping = |id: usize| EventKind::Received {
        payload: format!(r#"{{"jsonrpc":"2.0","id":"s{id}","method":"ping"}}"#)
            .as_str()
            .into(),
        channel: Channel::Stdout,
        exchange: None,
        terminated: true,
    };
    let library = library();
    for (apart_us, storm) in [(100_000, true), (1_500_000, false)] {
        let mut trace = Trace::new("t", TransportKind::Stdio);
        for id in 0..6 {
            trace.push(id as u64 * apart_us, ping(id));
        }
        let found = broken(&library, Revision::V2025_06_18, &trace);
        let found = found.iter().any(|(id, _)| id == "ping/server-ping-not-excessive");
        assert_eq!(found, storm);
    }
}

/// What is wrapped because it is no object is said by its text all the same.
#[test]
fn text_that_says_the_only_member_is_information() {
    // Otherwise it weighs what its level does.
    let library = library();
    for (result, severity) in [
        (
            r#"{"content":[{"type":"text","text":"5"}],"structuredContent":{"result":5}}"#,
            Severity::Info,
        ),
        (
            r#"{"content":[{"type":"text","text":"so"}],"structuredContent":{"result":"so"}}"#,
            Severity::Info,
        ),
        (
            r#"{"content":[{"type":"text","text":"{\"a\":1}"},{"type":"text","text":"2"}],"structuredContent":{"result":[{"a":1},2]}}"#,
            Severity::Info,
        ),
        (
            r#"{"content":[{"type":"text","text":"6"}],"structuredContent":{"result":5}}"#,
            Severity::Fail,
        ),
        (
            r#"{"content":[{"type":"text","text":"5"}],"structuredContent":{"result":5,"more":1}}"#,
            Severity::Fail,
        ),
    ] {
        let mut trace = exchange("tools/call", r#"{"name":"a"}"#, result, true);
        trace.push(9_000_000, EventKind::StdinClosed);
        let found = broken(&library, Revision::V2025_11_25, &trace);
        assert_eq!(
            found,
            vec![("tools/structured-content-text".to_owned(), severity)],
            "{result}"
        );
    }
}
