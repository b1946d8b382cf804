//! The stateless era over Streamable HTTP: each mistake under its own rule, and what is legal under none.

use serde_json::{Value, json};

use super::http::{Http, JSON, STREAM};
use super::stateless::{ask, discovery, done, judged_stateless, refused, tell};
use super::*;

const QUIET: &[(&str, &str)] = &[("content-type", "text/event-stream"), ("X-Accel-Buffering", "no")];

/// A POST with the header fields that belong to it.
fn post(http: Http, exchange: u32, text: &str) -> Http {
    let message: Value = serde_json::from_str(text).unwrap();
    let method = message["method"].as_str().unwrap().to_owned();
    let version = message
        .pointer("/params/_meta/io.modelcontextprotocol~1protocolVersion")
        .and_then(Value::as_str)
        .unwrap_or("2026-07-28")
        .to_owned();
    let fields = [
        ("MCP-Protocol-Version", version.as_str()),
        ("Mcp-Method", method.as_str()),
    ];
    http.request(exchange, "POST", &fields).sent(exchange, text)
}

/// The same, answered with JSON.
fn asked(http: Http, exchange: u32, text: &str, status: u16, answer: &str) -> Http {
    let http = post(http, exchange, text).head(exchange, status, JSON);
    json_message(http, exchange, answer).end(exchange)
}

fn json_message(http: Http, exchange: u32, text: &str) -> Http {
    http.push(EventKind::Received {
        payload: text.into(),
        channel: Channel::JsonBody,
        exchange: Some(exchange),
        terminated: true,
    })
}

fn discovered() -> Http {
    let [(.., question), (.., answer)] =
        discovery(json!({ "tools": { "listChanged": true }, "logging": {}, "resources": {}, "prompts": {} }));
    asked(Http::streamable(), 0, &question, 200, &answer)
}

fn judged_all(http: &Http) -> (BTreeSet<String>, BTreeSet<String>) {
    judged_stateless(&http.trace)
}

fn found(http: &Http) -> Vec<String> {
    judged_all(http).0.into_iter().collect()
}

fn call(id: &str, meta: Value) -> String {
    ask(id, "tools/call", json!({ "name": "a", "_meta": meta }))
}

fn called(id: &str) -> String {
    done(id, json!({ "content": [] }))
}

fn acknowledgement() -> String {
    let meta = json!({ "io.modelcontextprotocol/subscriptionId": "L" });
    tell(
        "notifications/subscriptions/acknowledged",
        json!({ "notifications": { "toolsListChanged": true }, "_meta": meta }),
    )
}

/// A subscription that is open.
fn listening(http: Http, exchange: u32) -> Http {
    let request = ask(
        "L",
        "subscriptions/listen",
        json!({ "notifications": { "toolsListChanged": true } }),
    );
    post(http, exchange, &request)
        .head(exchange, 200, QUIET)
        .message(exchange, &acknowledgement())
}

#[test]
fn what_is_right_breaks_nothing() {
    let logged = json!({ "io.modelcontextprotocol/logLevel": "info", "progressToken": 7 });
    let http = listening(discovered(), 1);
    let http = post(http, 2, &call("c", logged)).head(2, 200, QUIET);
    let http = http
        .message(2, &tell("notifications/message", json!({ "level": "info", "data": 1 })))
        .message(
            2,
            &tell("notifications/progress", json!({ "progressToken": 7, "progress": 1 })),
        )
        .message(2, &called("c"))
        .end(2);
    let http = asked(
        http,
        3,
        &ask(3, "made/up", json!({})),
        404,
        &refused(3, -32601, Value::Null),
    );
    let http = http.broken_off(1);
    let (broken, kept) = judged_all(&http);
    assert_eq!(broken, BTreeSet::new());
    for requirement in [
        "transport-streamable-http/session-id-not-minted",
        "transport-streamable-http/no-sse-event-ids",
        "transport-streamable-http/x-accel-buffering",
        "transport-streamable-http/method-not-found-404",
        "transport-streamable-http/sse-related-messages",
        "logging/request-stream-only",
        "subscriptions/request-scoped-excluded",
        "subscriptions/ack-first",
        "subscriptions/subscription-id-value",
    ] {
        assert!(kept.contains(requirement), "{requirement}: {kept:#?}");
    }
}

#[test]
fn codes_come_with_their_status() {
    let old = json!({ "_meta": { "io.modelcontextprotocol/protocolVersion": "1900-01-01" } });
    let unclaimed = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {} }).to_string();
    let unsupported = json!({ "supported": ["2026-07-28"], "requested": "1900-01-01" });
    let missing = json!({ "requiredCapabilities": { "extensions": { "com.example/x": {} } } });
    for (requirement, question, answer, right) in [
        (
            "transport-streamable-http/method-not-found-404",
            ask(1, "made/up", json!({})),
            refused(1, -32601, Value::Null),
            404,
        ),
        (
            "transport-streamable-http/unsupported-version-400",
            ask(1, "tools/list", old),
            refused(1, -32022, unsupported),
            400,
        ),
        (
            "meta/missing-capability-http-400",
            call("1", json!({})).replace(r#""id":"1""#, r#""id":1"#),
            refused(1, -32021, missing),
            400,
        ),
        (
            "meta/missing-required-http-400",
            unclaimed,
            refused(1, -32602, Value::Null),
            400,
        ),
    ] {
        let (broken, kept) = judged_all(&asked(discovered(), 1, &question, right, &answer));
        assert_eq!(broken, BTreeSet::new(), "{requirement}");
        assert!(kept.contains(requirement), "{requirement}");
        assert_eq!(found(&asked(discovered(), 1, &question, 200, &answer)), [requirement]);
    }
}

#[test]
fn a_mismatch_is_one_and_says_so() {
    let request = ask(1, "tools/list", json!({}));
    let wrong = |answer: &str| {
        let fields = [("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "prompts/list")];
        let http = discovered().request(1, "POST", &fields).sent(1, &request);
        json_message(http.head(1, 400, JSON), 1, answer).end(1)
    };
    let (broken, kept) = judged_all(&wrong(&refused(1, -32020, Value::Null)));
    assert_eq!(broken, BTreeSet::new());
    assert!(kept.contains("headers/mismatch-body-json-rpc"));
    assert_eq!(
        found(&wrong(&refused(Value::Null, -32020, Value::Null))),
        ["headers/mismatch-body-json-rpc"]
    );
    let agreeing = asked(discovered(), 1, &request, 400, &refused(1, -32020, Value::Null));
    assert_eq!(found(&agreeing), ["base-protocol/reserved-codes-own-meaning"]);
    // What a field for an argument contradicts is another question.
    let fields = [
        ("MCP-Protocol-Version", "2026-07-28"),
        ("Mcp-Method", "tools/list"),
        ("Mcp-Param-Region", "eu"),
    ];
    let http = discovered().request(1, "POST", &fields).sent(1, &request);
    let repeated = json_message(http.head(1, 400, JSON), 1, &refused(1, -32020, Value::Null)).end(1);
    assert!(found(&repeated).is_empty());
}

#[test]
fn streams_and_heads_carry_nothing_of_sessions() {
    let request = call("c", json!({}));
    let answered = |head: &[(&str, &str)], id: Option<&str>| {
        let http = post(discovered(), 1, &request)
            .head(1, 200, head)
            .message(1, &called("c"));
        match id {
            Some(id) => http.fields(1, None, Some(id)),
            None => http,
        }
        .end(1)
    };
    assert_eq!(found(&answered(QUIET, None)), Vec::<String>::new());
    assert_eq!(
        found(&answered(STREAM, None)),
        ["transport-streamable-http/x-accel-buffering"]
    );
    assert_eq!(
        found(&answered(QUIET, Some("e1"))),
        ["transport-streamable-http/no-sse-event-ids"]
    );
    let minted: Vec<(&str, &str)> = QUIET.iter().copied().chain([("Mcp-Session-Id", "s")]).collect();
    assert_eq!(
        found(&answered(&minted, None)),
        ["transport-streamable-http/session-id-not-minted"]
    );
}

#[test]
fn everything_stays_on_its_stream() {
    let talking = || {
        call(
            "c",
            json!({ "progressToken": 7, "io.modelcontextprotocol/logLevel": "debug" }),
        )
    };
    let progress = tell("notifications/progress", json!({ "progressToken": 7, "progress": 1 }));
    let log = tell("notifications/message", json!({ "level": "info", "data": 1 }));
    let open = |http: Http| post(http, 2, &talking()).head(2, 200, QUIET);
    let close = |http: Http| http.message(2, &called("c")).end(2).broken_off(1);

    let on_listen = |text: &str| close(open(listening(discovered(), 1)).message(1, text));
    assert_eq!(found(&on_listen(&progress)), ["subscriptions/request-scoped-excluded"]);
    assert_eq!(found(&on_listen(&log)), ["subscriptions/request-scoped-excluded"]);

    let other = post(open(discovered()), 3, &call("e", json!({}))).head(3, 200, QUIET);
    let other = other.message(3, &log).message(3, &called("e")).end(3);
    assert_eq!(
        found(&other.message(2, &called("c")).end(2)),
        ["logging/request-stream-only"]
    );

    let by_get = discovered()
        .request(4, "GET", &[])
        .head(4, 200, STREAM)
        .push(EventKind::Received {
            payload: tell("notifications/made_up", json!({})).as_str().into(),
            channel: Channel::GetStream,
            exchange: Some(4),
            terminated: true,
        });
    assert_eq!(found(&by_get), ["base-protocol/no-unprompted-traffic"]);

    let ended = listening(discovered(), 1).end(1);
    assert_eq!(found(&ended), ["subscriptions/graceful-close-result"]);
    let changed = tell("notifications/tools/list_changed", json!({}));
    let elsewhere = open(discovered()).message(2, &changed).message(2, &called("c")).end(2);
    assert_eq!(found(&elsewhere), ["subscriptions/no-delivery-without-listen"]);
}

/// Two clients of one server may use the same id at the same time.
#[test]
fn answers_belong_to_the_request_that_they_came_back_to() {
    let list = || ask("same", "tools/list", json!({}));
    let prompts = || ask("same", "prompts/list", json!({}));
    let hints = json!({ "ttlMs": 0, "cacheScope": "public" });
    let with = |member: &str| {
        let mut result = hints.clone();
        result[member] = json!([]);
        done("same", result)
    };
    let http = post(post(discovered(), 1, &list()), 2, &prompts());
    let http = json_message(http.head(1, 200, JSON), 1, &with("tools")).end(1);
    let http = json_message(http.head(2, 200, JSON), 2, &with("prompts")).end(2);
    assert_eq!(found(&http), Vec::<String>::new());
}
