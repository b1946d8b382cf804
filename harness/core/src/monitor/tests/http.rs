//! The monitors of both HTTP transports: each mistake under its own rule, and what is legal under none.

use std::sync::LazyLock;

use super::*;
use crate::trace::{ENDED_BY_HARNESS, REPEATED_SECRET};

static LIBRARY: LazyLock<SchemaLibrary> = LazyLock::new(library);

const CALL: &str =
    r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"a","_meta":{"progressToken":"p"}}}"#;
const CALLED: &str = r#"{"jsonrpc":"2.0","id":7,"result":{"content":[]}}"#;
const PROGRESS: &str =
    r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":1}}"#;
pub(super) const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
pub(super) const STREAM: &[(&str, &str)] = &[("content-type", "text/event-stream")];
const SESSION: &[(&str, &str)] = &[("Mcp-Session-Id", "s"), ("MCP-Protocol-Version", "2025-11-25")];

/// A trace over HTTP in the making. A millisecond passes between its events.
pub(super) struct Http {
    pub(super) trace: Trace,
    at_us: u64,
}

impl Http {
    pub(super) fn streamable() -> Self {
        Self::over(TransportKind::StreamableHttp)
    }

    fn over(transport: TransportKind) -> Self {
        Self {
            trace: Trace::new("t", transport),
            at_us: 0,
        }
    }

    pub(super) fn push(mut self, kind: EventKind) -> Self {
        self.at_us += 1_000;
        self.trace.push(self.at_us, kind);
        self
    }

    /// Lets time pass.
    pub(super) fn wait(mut self, milliseconds: u64) -> Self {
        self.at_us += milliseconds * 1_000;
        self
    }

    pub(super) fn request(self, exchange: u32, method: &str, headers: &[(&str, &str)]) -> Self {
        self.push(EventKind::HttpRequest {
            exchange,
            method: method.to_owned(),
            target: "/mcp".to_owned(),
            headers: own(headers),
        })
    }

    /// A POST of a message in the session `s`.
    fn post(self, exchange: u32, text: &str) -> Self {
        self.request(exchange, "POST", SESSION).sent(exchange, text)
    }

    pub(super) fn sent(self, exchange: u32, text: &str) -> Self {
        let intent = Intent::Proper;
        self.push(EventKind::Sent {
            payload: text.into(),
            exchange: Some(exchange),
            intent,
        })
    }

    pub(super) fn head(self, exchange: u32, status: u16, headers: &[(&str, &str)]) -> Self {
        self.push(EventKind::HttpResponse {
            exchange,
            status,
            headers: own(headers),
        })
    }

    /// A stream opened by GET in the session `s`, perhaps from where another broke off.
    fn listen(self, exchange: u32, last_event_id: Option<&str>) -> Self {
        let resumed = last_event_id.map(|id| ("Last-Event-ID", id));
        let headers: Vec<(&str, &str)> = SESSION.iter().copied().chain(resumed).collect();
        self.request(exchange, "GET", &headers).head(exchange, 200, STREAM)
    }

    pub(super) fn message(self, exchange: u32, text: &str) -> Self {
        self.push(EventKind::Received {
            payload: text.into(),
            channel: Channel::PostStream,
            exchange: Some(exchange),
            terminated: true,
        })
    }

    /// The other fields of the event before.
    pub(super) fn fields(self, exchange: u32, name: Option<&str>, id: Option<&str>) -> Self {
        self.push(EventKind::StreamEventFields {
            exchange,
            name: name.map(str::to_owned),
            id: id.map(str::to_owned),
            retry: None,
        })
    }

    fn event(self, exchange: u32, name: Option<&str>, data: &str, id: Option<&str>, retry: Option<u64>) -> Self {
        self.push(EventKind::StreamEvent {
            exchange,
            name: name.map(str::to_owned),
            data: data.into(),
            id: id.map(str::to_owned),
            retry,
            terminated: true,
        })
    }

    fn body(self, exchange: u32, text: &str) -> Self {
        self.push(EventKind::HttpBody {
            exchange,
            payload: text.into(),
        })
    }

    pub(super) fn end(self, exchange: u32) -> Self {
        self.push(EventKind::HttpEnded {
            exchange,
            failure: None,
        })
    }

    pub(super) fn broken_off(self, exchange: u32) -> Self {
        self.push(EventKind::HttpEnded {
            exchange,
            failure: Some(ENDED_BY_HARNESS.to_owned()),
        })
    }

    /// The requirements of the HTTP transports that are broken, whatever that weighs, and those that are kept.
    fn judged(&self, revision: Revision) -> (Vec<String>, Vec<String>) {
        let context = Context {
            revision,
            schemas: LIBRARY.for_revision(revision),
        };
        let (mut broken, mut kept) = (BTreeSet::new(), BTreeSet::new());
        for observation in observe(&Conversation::of(&self.trace), &context) {
            let Some(name) = ["transport-streamable-http/", "transport-http-sse/", "authorization/"]
                .iter()
                .find_map(|area| observation.requirement.strip_prefix(area))
            else {
                continue;
            };
            match observation.outcome {
                Outcome::Broken(_) => broken.insert(name.to_owned()),
                Outcome::Kept(_) => kept.insert(name.to_owned()),
            };
        }
        (broken.into_iter().collect(), kept.into_iter().collect())
    }

    fn broken(&self) -> Vec<String> {
        self.judged(Revision::V2025_06_18).0
    }

    fn broken_newest(&self) -> Vec<String> {
        self.judged(Revision::V2025_11_25).0
    }
}

fn own(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// A call that is answered on a stream with progress, ids on the events if wanted.
fn streamed(ids: bool) -> Http {
    let id = |id: &'static str| ids.then_some(id);
    Http::streamable()
        .post(0, CALL)
        .head(0, 200, STREAM)
        .message(0, PROGRESS)
        .fields(0, None, id("1-0"))
        .message(0, CALLED)
        .fields(0, None, id("1-1"))
        .end(0)
}

#[test]
fn sound_exchanges_break_nothing() {
    let notified = Http::streamable().post(0, READY).head(0, 202, &[]).end(0);
    let answered = Http::streamable()
        .post(0, PING)
        .head(0, 200, JSON)
        .message(0, PONG)
        .end(0);
    let refused = Http::streamable()
        .post(0, READY)
        .head(0, 400, JSON)
        .message(
            0,
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"No"}}"#,
        )
        .end(0);
    for (http, kept) in [
        (&notified, "notification-202"),
        (&notified, "no-body-202"),
        (&answered, "json-single-object"),
        (&answered, "success-status-200"),
        (&refused, "rejected-input-body"),
        (&streamed(false), "sse-delivers-response"),
        (&streamed(true), "event-id-unique"),
    ] {
        let (broken, all) = http.judged(Revision::V2025_06_18);
        assert!(
            broken.is_empty() && all.contains(&kept.to_owned()),
            "{kept}: {broken:?} {all:?}"
        );
    }
}

#[test]
fn replies_that_are_wrong_are_found() {
    let post = |text| Http::streamable().post(0, text);
    let welcomed = |status, headers: &[(&str, &str)]| post(HELLO).head(0, status, headers).end(0);
    for (http, found) in [
        (post(READY).head(0, 200, &[]).end(0), "notification-202"),
        (post(READY).head(0, 202, &[]).body(0, "Accepted").end(0), "no-body-202"),
        (
            post(PING).head(0, 200, &[("content-type", "text/html")]).end(0),
            "request-content-type",
        ),
        (post(PING).head(0, 200, JSON).end(0), "json-single-object"),
        (
            post(PING).head(0, 201, JSON).message(0, PONG).end(0),
            "success-status-200",
        ),
        (post(PING).head(0, 405, &[]).end(0), "allow-header-on-405"),
        (
            post(READY)
                .head(0, 400, JSON)
                .message(
                    0,
                    r#"{"jsonrpc":"2.0","id":"x","error":{"code":-32600,"message":"No"}}"#,
                )
                .end(0),
            "rejected-input-body",
        ),
        (welcomed(307, &[("location", "/mcp/")]), "url-trailing-slash"),
    ] {
        assert_eq!(http.broken(), [found]);
    }
}

#[test]
fn the_first_get_is_a_stream_or_refused_with_405() {
    let served = Http::streamable()
        .post(0, PING)
        .head(0, 200, JSON)
        .message(0, PONG)
        .end(0);
    let served = |status, headers: &[(&str, &str)]| {
        let Http { trace, at_us } = &served;
        let http = Http {
            trace: trace.clone(),
            at_us: *at_us,
        };
        http.request(1, "GET", SESSION).head(1, status, headers).end(1)
    };
    assert!(served(405, &[("allow", "POST")]).broken().is_empty());
    assert!(served(200, STREAM).broken().is_empty());
    assert_eq!(served(404, &[]).broken(), ["single-endpoint"]);
    // Another GET may have come first, and one stream may be all that there is.
    let raced = |status| {
        Http::streamable()
            .post(0, PING)
            .head(0, 200, JSON)
            .message(0, PONG)
            .end(0)
            .request(1, "GET", SESSION)
            .request(2, "GET", SESSION)
            .head(2, 200, STREAM)
            .head(1, status, &[])
            .end(1)
    };
    assert!(raced(409).broken().is_empty());
    assert_eq!(served(200, JSON).broken(), ["get-sse-or-405"]);
}

#[test]
fn streams_that_are_wrong_are_found() {
    let call = || Http::streamable().post(0, CALL).head(0, 200, STREAM);
    let older = [("Mcp-Session-Id", "s"), ("MCP-Protocol-Version", "2025-06-18")];
    let older_call = Http::streamable()
        .request(0, "POST", &older)
        .sent(0, CALL)
        .head(0, 200, STREAM);
    for (http, found) in [
        (
            call().message(0, CALLED).fields(0, Some("answer"), None).end(0),
            "sse-event-type",
        ),
        (
            older_call.event(0, None, "", None, None).message(0, CALLED).end(0),
            "sse-data-is-message",
        ),
        (call().message(0, PROGRESS).end(0), "sse-not-closed-early"),
        (
            call().message(0, CALLED).wait(2_500).end(0),
            "sse-closed-after-response",
        ),
        (
            call()
                .message(0, PROGRESS)
                .fields(0, None, Some("1"))
                .message(0, CALLED)
                .fields(0, None, Some("1"))
                .end(0),
            "event-id-unique",
        ),
        (
            call().message(0, CALLED).fields(0, None, Some("a b")).end(0),
            "event-id-no-nul",
        ),
    ] {
        assert_eq!(http.broken(), [found]);
    }
}

#[test]
fn priming_is_asked_for_in_the_newest_revision_only() {
    let primed = Http::streamable()
        .post(0, CALL)
        .head(0, 200, STREAM)
        .event(0, None, "", Some("1"), None)
        .message(0, CALLED)
        .end(0);
    assert!(primed.broken_newest().is_empty());
    assert_eq!(streamed(true).broken_newest(), ["sse-priming-event"]);
    // A request that names no version is served as one of 2025-03-26.
    let nameless = Http::streamable()
        .request(0, "POST", &[("Mcp-Session-Id", "s")])
        .push(EventKind::Sent {
            payload: CALL.into(),
            exchange: Some(0),
            intent: Intent::Proper,
        })
        .head(0, 200, STREAM)
        .message(0, CALLED)
        .end(0);
    assert!(nameless.broken_newest().is_empty());
    assert!(streamed(true).broken().is_empty());
}

#[test]
fn a_stream_that_is_closed_to_be_resumed_says_when() {
    let closed = |retry| {
        Http::streamable()
            .post(0, CALL)
            .head(0, 200, STREAM)
            .event(0, None, "", Some("1"), retry)
            .end(0)
            .listen(1, Some("1"))
            .message(1, CALLED)
            .end(1)
    };
    let (broken, kept) = closed(Some(100)).judged(Revision::V2025_11_25);
    assert!(broken.is_empty(), "{broken:?}");
    for name in [
        "sse-retry-before-close",
        "sse-early-close-resumable",
        "sse-delivers-response",
    ] {
        assert!(kept.contains(&name.to_owned()), "{name}: {kept:?}");
    }
    assert_eq!(closed(None).broken_newest(), ["sse-retry-before-close"]);
}

#[test]
fn what_is_sent_again_is_the_same_message() {
    let http = streamed(true)
        .listen(1, Some("1-0"))
        .message(1, CALLED)
        .fields(1, None, Some("1-1"))
        .end(1);
    let context = Context {
        revision: Revision::V2025_06_18,
        schemas: LIBRARY.for_revision(Revision::V2025_06_18),
    };
    let broken: Vec<_> = observe(&Conversation::of(&http.trace), &context)
        .into_iter()
        .filter(|observation| matches!(observation.outcome, Outcome::Broken(_)))
        .map(|observation| observation.requirement)
        .filter(|requirement| !requirement.starts_with("lifecycle/"))
        .collect();
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn progress_has_one_place() {
    // What is told on the stream of a client that listens, while the call runs.
    let listening = |told: &[&str], own: &[&str]| {
        let mut http = Http::streamable().listen(0, None).post(1, CALL).head(1, 200, STREAM);
        for text in own {
            http = http.message(1, text);
        }
        for text in told {
            http = http.message(0, text);
        }
        http.message(1, CALLED).end(1)
    };
    let (broken, kept) = listening(&[], &[PROGRESS]).judged(Revision::V2025_06_18);
    assert!(broken.is_empty(), "{broken:?}");
    for name in [
        "no-broadcast",
        "get-unrelated-messages",
        "sse-related-messages",
        "get-no-responses",
    ] {
        assert!(kept.contains(&name.to_owned()), "{name}: {kept:?}");
    }
    assert_eq!(listening(&[PROGRESS], &[PROGRESS]).broken(), ["no-broadcast"]);
    assert_eq!(listening(&[PROGRESS], &[]).broken(), ["get-unrelated-messages"]);
    assert_eq!(listening(&[CALLED], &[]).broken(), ["get-no-responses"]);
    // After the answer nothing runs that it could be related to.
    let late = Http::streamable()
        .listen(0, None)
        .post(1, CALL)
        .head(1, 200, STREAM)
        .message(1, CALLED)
        .end(1)
        .message(0, PROGRESS);
    assert!(late.broken().is_empty());
    let crossed = Http::streamable()
        .post(0, CALL)
        .head(0, 200, STREAM)
        .post(1, PING)
        .head(1, 200, STREAM)
        .message(1, PROGRESS)
        .message(1, PONG)
        .end(1)
        .message(0, CALLED)
        .end(0);
    assert_eq!(crossed.broken(), ["sse-related-messages"]);
}

#[test]
fn the_end_of_a_session_ends_its_streams() {
    const REQUIREMENT: &str = "session-delete-ends-streams";
    let ended = || {
        Http::streamable()
            .listen(0, None)
            .request(1, "DELETE", SESSION)
            .head(1, 200, &[])
    };
    let asked = |http: Http| http.post(2, PING).head(2, 404, &[]).end(2);
    let (broken, kept) = asked(ended().end(0)).judged(Revision::V2025_06_18);
    assert!(
        broken.is_empty() && kept.contains(&REQUIREMENT.to_owned()),
        "{broken:?} {kept:?}"
    );
    assert_eq!(asked(ended().wait(60)).broken(), [REQUIREMENT]);
    // Its end may still be on its way.
    assert!(asked(ended()).broken().is_empty());
    assert!(ended().wait(60).broken_off(0).broken().is_empty());
}

#[test]
fn session_ids_are_visible_and_cannot_be_guessed() {
    let opened = |make: fn(u32) -> String| {
        let mut http = Http::streamable();
        for number in 0..8 {
            let id = make(number);
            http = http
                .request(number, "POST", &[])
                .push(EventKind::Sent {
                    payload: HELLO.into(),
                    exchange: Some(number),
                    intent: Intent::Proper,
                })
                .head(number, 200, &[JSON[0], ("mcp-session-id", &id)])
                .message(number, WELCOME)
                .end(number);
        }
        http
    };
    let scattered = |number: u32| {
        let part = u64::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!(
            "{part:016x}{:016x}",
            part.rotate_left(29).wrapping_mul(0xd6e8_feb8_6659_fd93)
        )
    };
    let (broken, kept) = opened(scattered).judged(Revision::V2025_06_18);
    assert!(broken.is_empty(), "{broken:?}");
    assert!(kept.contains(&"session-id-secure".to_owned()), "{kept:?}");
    assert_eq!(
        opened(|number| format!("session-{number}")).broken(),
        ["session-id-secure"]
    );
    assert_eq!(opened(|_| "same".to_owned()).broken(), ["session-id-secure"]);
    assert_eq!(
        opened(|number| format!("{:064x}", number % 7)).broken(),
        ["session-id-unique"]
    );
    assert_eq!(
        opened(|number| format!(
            "{:020} {:020}",
            u64::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            1
        ))
        .broken(),
        ["session-id-charset"]
    );
}

#[test]
fn over_http_and_sse_the_endpoint_comes_first_and_answers_come_on_the_stream() {
    let stream = || {
        Http::over(TransportKind::HttpSse)
            .request(0, "GET", &[("Host", "h:1")])
            .head(0, 200, STREAM)
    };
    let endpoint = |data| stream().event(0, Some("endpoint"), data, None, None);
    let sound = endpoint("/messages?session_id=1")
        .post(1, PING)
        .head(1, 202, &[])
        .end(1)
        .message(0, PONG);
    let (broken, kept) = sound.judged(Revision::V2024_11_05);
    assert!(broken.is_empty(), "{broken:?}");
    for name in [
        "endpoint-event-first",
        "endpoint-uri-resolvable",
        "responses-on-stream",
        "post-status",
    ] {
        assert!(kept.contains(&name.to_owned()), "{name}: {kept:?}");
    }
    for (http, found) in [
        (stream().end(0), "endpoint-event"),
        (
            stream()
                .event(0, Some("hello"), "x", None, None)
                .event(0, Some("endpoint"), "/m", None, None),
            "endpoint-event-first",
        ),
        (endpoint("not a uri"), "endpoint-uri-resolvable"),
        (endpoint("http://elsewhere/m"), "endpoint-uri-resolvable"),
        (
            endpoint("/m").post(1, PING).head(1, 200, JSON).message(1, PONG).end(1),
            "responses-on-stream",
        ),
        (
            endpoint("/m")
                .post(1, PING)
                .head(1, 202, &[])
                .end(1)
                .message(0, PONG)
                .fields(0, Some("answer"), None),
            "message-events",
        ),
    ] {
        assert_eq!(http.judged(Revision::V2024_11_05).0, [found]);
    }
}

#[test]
fn a_token_is_not_repeated() {
    let authorized = |status, headers: &[(&str, &str)], body: &str| {
        Http::streamable()
            .request(0, "POST", &[("Authorization", "***")])
            .head(0, status, headers)
            .body(0, body)
            .end(0)
    };
    let echo = format!("you sent {REPEATED_SECRET}");
    let (broken, kept) = authorized(500, &[], "sorry").judged(Revision::V2025_06_18);
    assert!(
        broken.is_empty() && kept.contains(&"token-not-echoed".to_owned()),
        "{broken:?} {kept:?}"
    );
    for http in [authorized(500, &[], &echo), authorized(500, &[("x-debug", &echo)], "")] {
        assert_eq!(http.broken(), ["token-not-echoed"]);
    }
}

#[test]
fn over_stdio_nobody_is_challenged() {
    let refused =
        r#"{"jsonrpc":"2.0","id":2,"error":{"code":-32001,"message":"401","data":"WWW-Authenticate: Bearer"}}"#;
    let (broken, _) = judged_newest([Out(HELLO), In(WELCOME), Out(READY), Out(LIST), In(refused)]);
    assert!(
        broken.contains("authorization/stdio-credentials-from-environment"),
        "{broken:?}"
    );
    let (_, kept) = judged_newest([Out(HELLO), In(WELCOME), Out(READY)]);
    assert!(
        kept.contains("authorization/stdio-credentials-from-environment"),
        "{kept:?}"
    );
}
