//! What a server asks and tells by itself: each mistake under its own rule, and what is legal under none.

use std::sync::LazyLock;

use super::*;
use crate::trace::Channel;

fn welcome(revision: Revision, client: &str, server: &str) -> [String; 3] {
    let info = r#"{"name":"n","version":"1"}"#;
    let date = revision.as_str();
    [
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{"protocolVersion":"{date}","capabilities":{client},"clientInfo":{info}}}}}"#
        ),
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"result":{{"protocolVersion":"{date}","capabilities":{server},"serverInfo":{info}}}}}"#
        ),
        READY.to_owned(),
    ]
}

/// A line with its time in milliseconds: `>` sent, `<` received.
type Timed<'a> = (u64, char, &'a str);

fn told(revision: Revision, client: &str, server: &str, lines: &[Timed<'_>]) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut trace = Trace::new("t", TransportKind::Stdio);
    let [hello, answer, ready] = welcome(revision, client, server);
    let opening = [
        (0, '>', hello.as_str()),
        (1, '<', answer.as_str()),
        (2, '>', ready.as_str()),
    ];
    for (at, direction, text) in opening.iter().chain(lines) {
        let payload = (*text).into();
        let kind = match direction {
            '>' => EventKind::Sent {
                payload,
                exchange: None,
                intent: Intent::Proper,
            },
            '<' => EventKind::Received {
                payload,
                channel: Channel::Stdout,
                exchange: None,
                terminated: true,
            },
            _ => EventKind::GaveUp {
                id: (*text).to_owned(),
                waited_ms: 0,
            },
        };
        trace.push(at * 1_000, kind);
    }
    // Loading it takes longer than everything else here.
    static LIBRARY: LazyLock<SchemaLibrary> = LazyLock::new(library);
    judged(&LIBRARY, revision, &trace)
}

const SERVER: &str = r#"{"tools":{},"logging":{},"resources":{"subscribe":true}}"#;
const CALL: &str =
    r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"a","_meta":{"progressToken":7}}}"#;
const DONE: &str = r#"{"jsonrpc":"2.0","id":2,"result":{"content":[{"type":"text","text":"x"}]}}"#;
const CANCEL: &str = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}"#;

fn progress(token: &str, progress: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{progress}}}}}"#
    )
}

fn question(id: &str, method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":"{id}","method":"{method}","params":{params}}}"#)
}

fn names(set: &BTreeSet<String>) -> Vec<&str> {
    set.iter().map(String::as_str).collect()
}

#[test]
fn progress_belongs_to_a_request_under_way_and_grows() {
    let (one, two, same) = (progress("7", "1"), progress("7", "2"), progress("7", "2"));
    let (text, stranger) = (progress(r#""7""#, "3"), progress(r#""x""#, "3"));
    let rows: [(&[Timed<'_>], &[&str]); 6] = [
        (&[(3, '>', CALL), (4, '<', &one), (5, '<', &two), (6, '<', DONE)], &[]),
        (
            &[(3, '>', CALL), (4, '<', &two), (5, '<', &one), (6, '<', DONE)],
            &["progress/monotonic"],
        ),
        (
            &[(3, '>', CALL), (4, '<', &two), (5, '<', &same), (6, '<', DONE)],
            &["progress/monotonic"],
        ),
        (
            &[(3, '>', CALL), (4, '<', &text), (6, '<', DONE)],
            &["progress/token-echo"],
        ),
        (
            &[(3, '>', CALL), (4, '<', &stranger), (6, '<', DONE)],
            &["progress/only-known-tokens"],
        ),
        (
            &[(3, '>', CALL), (4, '<', DONE), (6, '<', &one)],
            &["progress/stops-after-completion"],
        ),
    ];
    for (lines, expected) in rows {
        let (broken, _) = told(Revision::V2025_06_18, "{}", SERVER, lines);
        assert_eq!(names(&broken), expected, "{lines:?}");
    }
}

#[test]
fn a_late_answer_is_told_from_one_that_crossed_with_the_cancellation() {
    let one = progress("7", "1");
    let two = progress("7", "2");
    let late = "cancellation/no-response-after-cancel";
    let on = "cancellation/stops-processing";
    let no = r#"{"jsonrpc":"2.0","id":2,"error":{"code":0,"message":"Request cancelled"}}"#;
    let (ping, pong) = (
        r#"{"jsonrpc":"2.0","id":3,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":3,"result":{}}"#,
    );
    let rows: [(&[Timed<'_>], &[&str], bool); 7] = [
        (&[(3, '>', CALL), (4, '>', CANCEL), (5, '<', no)], &[], false),
        (
            &[(3, '>', CALL), (4, '<', &one), (5, '>', CANCEL), (6, '<', no)],
            &[late],
            false,
        ),
        (&[(3, '>', CALL), (4, '>', CANCEL), (100, '<', DONE)], &[], false),
        // Nothing shows that the server has read the cancellation before it answered.
        (
            &[
                (3, '>', CALL),
                (4, '>', CANCEL),
                (5, '>', ping),
                (400, '<', DONE),
                (401, '<', pong),
            ],
            &[],
            false,
        ),
        (
            &[
                (3, '>', CALL),
                (4, '>', CANCEL),
                (5, '>', ping),
                (6, '<', pong),
                (400, '<', DONE),
            ],
            &[late],
            false,
        ),
        (
            &[(3, '>', CALL), (4, '<', &one), (5, '>', CANCEL), (400, '?', "2")],
            &[],
            true,
        ),
        (
            &[
                (3, '>', CALL),
                (4, '<', &one),
                (5, '>', CANCEL),
                (6, '>', ping),
                (7, '<', pong),
                (300, '<', &two),
                (400, '?', "2"),
            ],
            &[on],
            true,
        ),
    ];
    for (lines, expected, silent) in rows {
        let (broken, kept) = told(Revision::V2025_06_18, "{}", SERVER, lines);
        assert_eq!(names(&broken), expected, "{lines:?}");
        assert_eq!(kept.contains(late), silent, "{lines:?}");
    }
}

#[test]
fn a_server_cancels_only_open_requests_of_its_own() {
    let ask = question("s", "ping", "{}");
    let cancel =
        |id: &str| format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#);
    let (own, other) = (cancel(r#""s""#), cancel("2"));
    let pong = r#"{"jsonrpc":"2.0","id":"s","result":{}}"#;
    let rule = "cancellation/server-cancel-own-request";
    let rows: [(&[Timed<'_>], &[&str]); 4] = [
        (&[(3, '<', &ask), (4, '<', &own)], &[]),
        (&[(3, '<', &ask), (4, '>', pong), (5, '<', &own)], &[]),
        (&[(3, '<', &ask), (4, '>', pong), (500, '<', &own)], &[rule]),
        (&[(3, '>', CALL), (4, '<', &other), (5, '<', DONE)], &[rule]),
    ];
    for (lines, expected) in rows {
        let (broken, _) = told(Revision::V2025_06_18, "{}", SERVER, lines);
        assert_eq!(names(&broken), expected, "{lines:?}");
    }
}

/// Between two streams there is no order, but on the stream of a request nothing is older than the request.
#[test]
fn logs_on_the_stream_of_a_later_request_keep_to_the_level() {
    use super::http::{Http, JSON, STREAM};
    const SET: &str = r#"{"jsonrpc":"2.0","id":2,"method":"logging/setLevel","params":{"level":"error"}}"#;
    const CALL: &str = r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"a"}}"#;
    const LOG: &str = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}"#;
    let begin = || {
        let set = Http::streamable().request(0, "POST", &[]).sent(0, SET);
        set.head(0, 200, JSON)
            .message(0, r#"{"jsonrpc":"2.0","id":2,"result":{}}"#)
            .end(0)
    };
    let filtered = |http: Http| {
        let (broken, _) = judged(&library(), Revision::V2025_06_18, &http.trace);
        broken.contains("logging/level-filter")
    };
    let call = begin().request(1, "POST", &[]).sent(1, CALL).head(1, 200, STREAM);
    assert!(filtered(call.message(1, LOG)));
    let listen = begin().request(1, "GET", &[]).head(1, 200, STREAM);
    assert!(!filtered(listen.message(1, LOG)));
}

#[test]
fn logs_keep_to_the_level_and_hold_no_secrets() {
    const SET: &str = r#"{"jsonrpc":"2.0","id":2,"method":"logging/setLevel","params":{"level":"error"}}"#;
    const OK: &str = r#"{"jsonrpc":"2.0","id":2,"result":{}}"#;
    let log = |level: &str, data: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"{level}","logger":"l","data":"{data}"}}}}"#
        )
    };
    let (low, high) = (log("info", "x"), log("alert", "see someone at the desk"));
    let key = log("alert", &format!("sk-{}", "a1".repeat(20)));
    let mail = log("alert", "from a.b@example.org.");
    let trace = log("alert", r"Error\n    at main (x.js:1:2)");
    let rows: [(&[Timed<'_>], &[&str]); 6] = [
        (
            &[
                (3, '<', &low),
                (4, '>', SET),
                (5, '<', &low),
                (6, '<', OK),
                (7, '<', &high),
            ],
            &[],
        ),
        (
            &[(4, '>', SET), (6, '<', OK), (7, '<', &low)],
            &["logging/level-filter"],
        ),
        (&[(7, '<', &key)], &["logging/no-secrets"]),
        (&[(7, '<', &mail)], &["logging/no-pii"]),
        (&[(7, '<', &trace)], &["logging/no-internal-details"]),
        (&[(7, '<', &high), (8, '<', &high)], &[]),
    ];
    for (lines, expected) in rows {
        let (broken, _) = told(Revision::V2025_06_18, "{}", SERVER, lines);
        assert_eq!(names(&broken), expected, "{lines:?}");
    }
    let flood: Vec<Timed<'_>> = (0..150).map(|at| (10 + at, '<', high.as_str())).collect();
    let (broken, _) = told(Revision::V2025_06_18, "{}", SERVER, &flood);
    assert_eq!(names(&broken), ["logging/rate-limited"]);
}

#[test]
fn pings_do_not_wait_for_tools_and_are_not_too_many() {
    const ASK: &str = r#"{"jsonrpc":"2.0","id":3,"method":"ping"}"#;
    const ANSWER: &str = r#"{"jsonrpc":"2.0","id":3,"result":{}}"#;
    let one = progress("7", "1");
    let rows: [(&[Timed<'_>], &[&str]); 3] = [
        (
            &[(3, '>', CALL), (4, '>', ASK), (5, '<', ANSWER), (500, '<', DONE)],
            &[],
        ),
        // The server may have been asleep.
        (
            &[(3, '>', CALL), (4, '>', ASK), (500, '<', DONE), (501, '<', ANSWER)],
            &[],
        ),
        (
            &[
                (3, '>', CALL),
                (4, '>', ASK),
                (90, '<', &one),
                (500, '<', DONE),
                (501, '<', ANSWER),
            ],
            &["ping/during-long-request"],
        ),
    ];
    for (lines, expected) in rows {
        let (broken, _) = told(Revision::V2025_06_18, "{}", SERVER, lines);
        assert_eq!(names(&broken), expected, "{lines:?}");
    }
    let pings: Vec<String> = (0..3)
        .map(|number| question(&format!("p{number}"), "ping", "{}"))
        .collect();
    let at_once: Vec<Timed<'_>> = pings.iter().map(|ping| (10, '<', ping.as_str())).collect();
    let (broken, _) = told(Revision::V2025_06_18, "{}", SERVER, &at_once);
    assert_eq!(names(&broken), ["ping/server-ping-not-excessive"]);
}

#[test]
fn news_come_to_subscribers_only() {
    let request = |id: u32, method: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"resources/{method}","params":{{"uri":"test://a"}}}}"#)
    };
    let done = |id: u32| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
    let news = |uri: &str| {
        format!(r#"{{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{{"uri":"{uri}"}}}}"#)
    };
    let (on, on_done, off, off_done) = (request(2, "subscribe"), done(2), request(3, "unsubscribe"), done(3));
    let (own, below, other) = (news("test://a"), news("test://a/b"), news("test://ab"));
    let rows: [(&[Timed<'_>], &[&str]); 4] = [
        (
            &[(3, '>', &on), (4, '<', &own), (5, '<', &on_done), (6, '<', &below)],
            &[],
        ),
        (&[(3, '<', &own)], &["resources/updated-only-subscribed"]),
        (
            &[(3, '>', &on), (4, '<', &on_done), (6, '<', &other)],
            &["resources/updated-only-subscribed"],
        ),
        (
            &[
                (3, '>', &on),
                (4, '<', &on_done),
                (5, '>', &off),
                (6, '<', &own),
                (7, '<', &off_done),
                (8, '<', &own),
            ],
            &["resources/unsubscribe-stops"],
        ),
    ];
    for (lines, expected) in rows {
        let (broken, _) = told(Revision::V2025_06_18, "{}", SERVER, lines);
        assert_eq!(names(&broken), expected, "{lines:?}");
    }
}

#[test]
fn the_client_is_asked_only_for_what_it_declared() {
    let last = Revision::V2025_11_25;
    let say = r#""messages":[{"role":"user","content":{"type":"text","text":"t"}}],"maxTokens":1"#;
    let plain = question("s", "sampling/createMessage", &format!("{{{say}}}"));
    let tools = question("s", "sampling/createMessage", &format!(r#"{{{say},"tools":[]}}"#));
    let context = question(
        "s",
        "sampling/createMessage",
        &format!(r#"{{{say},"includeContext":"allServers"}}"#),
    );
    let form = question(
        "s",
        "elicitation/create",
        r#"{"message":"m","requestedSchema":{"type":"object","properties":{}}}"#,
    );
    let url = question(
        "s",
        "elicitation/create",
        r#"{"mode":"url","message":"m","url":"https://a.example/x","elicitationId":"e"}"#,
    );
    let roots = r#"{"jsonrpc":"2.0","id":"s","method":"roots/list"}"#;
    let rows: [(&str, &str, Option<&str>); 11] = [
        (r#"{"sampling":{}}"#, &plain, None),
        ("{}", &plain, Some("client-features/sampling-needs-capability")),
        (r#"{"sampling":{"tools":{}}}"#, &tools, None),
        (
            r#"{"sampling":{}}"#,
            &tools,
            Some("client-features/sampling-tools-capability"),
        ),
        (
            r#"{"sampling":{}}"#,
            &context,
            Some("client-features/sampling-context-capability"),
        ),
        (r#"{"elicitation":{}}"#, &form, None),
        (
            r#"{"elicitation":{"url":{}}}"#,
            &form,
            Some("client-features/elicitation-mode-supported"),
        ),
        (r#"{"elicitation":{"url":{}}}"#, &url, None),
        (
            r#"{"elicitation":{}}"#,
            &url,
            Some("client-features/elicitation-mode-supported"),
        ),
        (
            r#"{"sampling":{}}"#,
            &url,
            Some("client-features/elicitation-needs-capability"),
        ),
        ("{}", roots, Some("client-features/roots-needs-capability")),
    ];
    for (client, request, expected) in rows {
        let (broken, _) = told(last, client, SERVER, &[(3, '<', request)]);
        assert_eq!(
            names(&broken),
            expected.into_iter().collect::<Vec<_>>(),
            "{client} {request}"
        );
    }
}

#[test]
fn what_the_client_has_put_into_a_form_is_not_the_server_s() {
    let last = Revision::V2025_11_25;
    let client = r#"{"elicitation":{"form":{},"url":{}}}"#;
    let form = |message: &str| {
        let params = format!(r#"{{"message":"{message}","requestedSchema":{{"type":"object","properties":{{}}}}}}"#);
        question("s", "elicitation/create", &params)
    };
    let call = r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"ask","arguments":{"text":"https://a.example/x"}}}"#;
    let rule = "client-features/elicitation-form-no-urls";
    for (message, expected) in [
        ("https://a.example/x", None),
        ("Is (https://a.example/x) right?", None),
        ("Is https://b.example/x right?", Some(rule)),
    ] {
        let (broken, _) = told(last, client, SERVER, &[(3, '>', call), (4, '<', &form(message))]);
        assert_eq!(names(&broken), expected.into_iter().collect::<Vec<_>>(), "{message}");
        // What was not said before counts.
        let (broken, _) = told(last, client, SERVER, &[(3, '<', &form(message)), (4, '>', call)]);
        assert_eq!(names(&broken), [rule], "{message}");
    }
}

#[test]
fn forms_ask_for_no_secrets_and_urls_are_safe() {
    let last = Revision::V2025_11_25;
    let client = r#"{"elicitation":{"form":{},"url":{}}}"#;
    let form = |message: &str, field: &str| {
        let schema = format!(r#"{{"type":"object","properties":{{"{field}":{{"type":"string"}}}}}}"#);
        question(
            "s",
            "elicitation/create",
            &format!(r#"{{"message":"{message}","requestedSchema":{schema}}}"#),
        )
    };
    let url = |url: &str| {
        let params = format!(r#"{{"mode":"url","message":"m","url":"{url}","elicitationId":"e"}}"#);
        question("s", "elicitation/create", &params)
    };
    let complete = r#"{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"elicitationId":"e"}}"#;
    let rows = [
        (form("Who?", "passwordlessLogin"), None),
        (form("Who?", "maxTokens"), None),
        (
            form("Who?", "userPassword"),
            Some("client-features/elicitation-no-sensitive"),
        ),
        (
            form("Who?", "API-Keys"),
            Some("client-features/elicitation-no-sensitive"),
        ),
        (
            form("See https://a.example", "name"),
            Some("client-features/elicitation-form-no-urls"),
        ),
        (url("https://a.example/x?id=1"), None),
        (url("http://localhost:3000/x"), None),
        (url("http://a.example/x"), Some("client-features/elicitation-url-https")),
        (
            url("https://a.example/x?mail=b%40c.example"),
            Some("client-features/elicitation-url-no-user-data"),
        ),
        (complete.to_owned(), Some("client-features/elicitation-complete-shape")),
    ];
    for (request, expected) in rows {
        let (broken, _) = told(last, client, SERVER, &[(3, '<', &request)]);
        assert_eq!(names(&broken), expected.into_iter().collect::<Vec<_>>(), "{request}");
    }
}

#[test]
fn error_32042_means_one_thing() {
    let error =
        |data: &str| format!(r#"{{"jsonrpc":"2.0","id":2,"error":{{"code":-32042,"message":"m","data":{data}}}}}"#);
    let good = r#"{"elicitations":[{"mode":"url","message":"m","url":"https://a.example/","elicitationId":"e"}]}"#;
    let rows = [
        (good, None),
        (
            r#"{"elicitations":[{"mode":"url"}]}"#,
            Some("client-features/url-elicitation-error-shape"),
        ),
        ("{}", Some("client-features/url-elicitation-error-only")),
    ];
    for (data, expected) in rows {
        let (broken, _) = told(
            Revision::V2025_11_25,
            r#"{"elicitation":{"url":{}}}"#,
            SERVER,
            &[(3, '>', CALL), (4, '<', &error(data))],
        );
        assert_eq!(names(&broken), expected.into_iter().collect::<Vec<_>>(), "{data}");
    }
}

#[test]
fn tool_uses_and_tool_results_belong_together() {
    let text = r#"{"type":"text","text":"t"}"#;
    let used = |id: &str| format!(r#"{{"type":"tool_use","id":"{id}","name":"n","input":{{}}}}"#);
    let result = |id: &str| format!(r#"{{"type":"tool_result","toolUseId":"{id}","content":[]}}"#);
    let request = |content: &str| {
        let wishes = format!(r#"{{"role":"assistant","content":[{},{}]}}"#, used("a"), used("b"));
        let params = format!(
            r#"{{"messages":[{{"role":"user","content":{text}}},{wishes},{{"role":"user","content":[{content}]}}],"maxTokens":1,"tools":[]}}"#
        );
        question("s", "sampling/createMessage", &params)
    };
    let (a, b) = (result("a"), result("b"));
    let rows = [
        (format!("{a},{b}"), None),
        (a.clone(), Some("client-features/sampling-tool-use-balanced")),
        (
            format!("{a},{b},{text}"),
            Some("client-features/sampling-tool-result-only"),
        ),
    ];
    for (content, expected) in rows {
        let lines = request(&content);
        let client = r#"{"sampling":{"tools":{}}}"#;
        let (broken, _) = told(Revision::V2025_11_25, client, SERVER, &[(3, '<', &lines)]);
        assert_eq!(names(&broken), expected.into_iter().collect::<Vec<_>>(), "{content}");
    }
}
