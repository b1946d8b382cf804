//! Streamable HTTP against servers that write exact bytes.

use std::time::Duration;

use touchstone_core::trace::{Channel, EventKind, TransportKind};

use super::*;
use crate::transport::http::test_server::{STREAM_HEAD, SeenRequest, Step, TestServer, json, response, run, stream};

const PING: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const PONG: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;

fn tap() -> Tap {
    Tap::new("test", TransportKind::StreamableHttp, 1024 * 1024)
}

fn limits() -> TransportLimits {
    TransportLimits {
        message_bytes: 1000,
        ..TransportLimits::default()
    }
}

fn open(server: &TestServer, tap: &Tap) -> StreamableHttpConnection {
    StreamableHttpConnection::open(&server.target(), &limits(), tap.clone()).unwrap()
}

fn events(tap: &Tap) -> Vec<EventKind> {
    tap.snapshot().events.into_iter().map(|event| event.kind).collect()
}

/// What the queue gives for one exchange, without the indexes of events.
async fn outcome(connection: &mut StreamableHttpConnection) -> (Option<u16>, Vec<String>, Option<String>) {
    let (mut status, mut messages) = (None, Vec::new());
    loop {
        match connection.receive().await.unwrap() {
            Incoming::Head { status: seen, .. } => status = Some(seen),
            Incoming::Message { bytes, .. } => messages.push(String::from_utf8(bytes).unwrap()),
            Incoming::ExchangeEnded { failure, .. } => return (status, messages, failure),
            Incoming::Closed { reason } => panic!("closed: {reason}"),
        }
    }
}

/// Posts a ping to a server that takes these steps, and what comes of it.
async fn ping(
    steps: impl Fn(&SeenRequest) -> Vec<Step> + 'static,
) -> (Option<u16>, Vec<String>, Option<String>, Vec<EventKind>) {
    let server = TestServer::start(steps).await;
    let tap = tap();
    let mut connection = open(&server, &tap);
    connection.send(PING, Intent::Proper).await.unwrap();
    let (status, messages, failure) = outcome(&mut connection).await;
    (status, messages, failure, events(&tap))
}

async fn ping_bytes(bytes: impl Into<Vec<u8>>) -> (Option<u16>, Vec<String>, Option<String>, Vec<EventKind>) {
    let bytes = bytes.into();
    ping(move |_| vec![Step::Write(bytes.clone()), Step::Close]).await
}

#[test]
fn a_json_answer_arrives_in_order_and_everything_is_recorded() {
    run(async {
        let server = TestServer::fixed(json(PONG)).await;
        let tap = tap();
        let mut connection = open(&server, &tap);
        let sent = connection.send(PING, Intent::Proper).await.unwrap();
        assert_eq!(
            sent,
            Sent {
                event: 1,
                exchange: Some(0)
            }
        );
        let channel = Channel::JsonBody;
        assert_eq!(
            connection.receive().await,
            Some(Incoming::Head {
                exchange: 0,
                status: 200,
                event: 2
            })
        );
        let message = Incoming::Message {
            bytes: PONG.into(),
            event: 3,
            channel,
            exchange: Some(0),
        };
        assert_eq!(connection.receive().await, Some(message));
        assert_eq!(
            connection.receive().await,
            Some(Incoming::ExchangeEnded {
                exchange: 0,
                failure: None
            })
        );

        let events = events(&tap);
        let EventKind::HttpRequest {
            method,
            target,
            headers,
            ..
        } = &events[0]
        else {
            panic!("{events:?}")
        };
        assert_eq!((method.as_str(), target.as_str()), ("POST", "/mcp"));
        let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "Host",
                "User-Agent",
                "Accept-Encoding",
                "Content-Type",
                "Accept",
                "Content-Length"
            ]
        );
        assert_eq!(
            events[1],
            EventKind::Sent {
                payload: PING.into(),
                exchange: Some(0),
                intent: Intent::Proper
            }
        );
        assert!(matches!(events[2], EventKind::HttpResponse { status: 200, .. }));
        assert_eq!(
            events[3..],
            [
                EventKind::Received {
                    payload: PONG.into(),
                    channel,
                    exchange: Some(0),
                    terminated: true
                },
                EventKind::HttpEnded {
                    exchange: 0,
                    failure: None
                },
            ]
        );

        let seen = &server.seen()[0];
        assert_eq!(seen.body.as_bytes(), PING);
        assert_eq!(seen.field("Accept"), Some("application/json, text/event-stream"));
        assert_eq!(seen.field("Content-Type"), Some("application/json"));
        assert_eq!(seen.field("Accept-Encoding"), Some("identity"));
        assert_eq!(seen.field("Host"), Some(server.url.authority()));
    });
}

#[test]
fn messages_that_follow_each_other_share_a_connection_and_parallel_ones_do_not() {
    run(async {
        let server = TestServer::fixed(json(PONG)).await;
        let tap = tap();
        let mut connection = open(&server, &tap);
        for _ in 0..3 {
            connection.send(PING, Intent::Proper).await.unwrap();
            outcome(&mut connection).await;
        }
        let used: Vec<usize> = server.seen().iter().map(|request| request.connection).collect();
        assert_eq!(used, [0, 0, 0]);
        connection.send(PING, Intent::Proper).await.unwrap();
        connection.send(PING, Intent::Proper).await.unwrap();
        outcome(&mut connection).await;
        outcome(&mut connection).await;
        let mut used: Vec<usize> = server.seen()[3..].iter().map(|request| request.connection).collect();
        used.sort_unstable();
        assert_eq!(used, [0, 1]);
    });
}

#[test]
fn an_idle_connection_that_the_server_closed_is_replaced() {
    run(async {
        let server = TestServer::start(|_| vec![Step::Write(json(PONG)), Step::Close]).await;
        let tap = tap();
        let mut connection = open(&server, &tap);
        for _ in 0..20 {
            connection.send(PING, Intent::Proper).await.unwrap();
            let (status, messages, failure) = outcome(&mut connection).await;
            assert_eq!((status, messages.len(), failure), (Some(200), 1, None));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(server.seen().len(), 20);
    });
}

#[test]
fn an_event_stream_is_read_whatever_its_packets_and_line_ends() {
    const EVENTS: &str = ": hello\n\nid: 7\ndata:\n\nevent: message\nid: 8\ndata: {\"a\":\ndata: 1}\n\nevent: other\ndata: x\n\ndata: [2]\n\n";
    run(async {
        for line_end in ["\n", "\r\n"] {
            let body = EVENTS.replace('\n', line_end);
            let bytes = format!("{STREAM_HEAD}{body}").into_bytes();
            let (status, messages, failure, events) =
                ping(move |_| vec![Step::Trickle(bytes.clone()), Step::Close]).await;
            assert_eq!((status, failure), (Some(200), None));
            assert_eq!(messages, ["{\"a\":\n1}", "[2]"], "{line_end:?}");
            let received: Vec<&EventKind> = events[3..].iter().collect();
            let channel = Channel::PostStream;
            let expected = [
                EventKind::StreamComment {
                    exchange: 0,
                    payload: " hello".into(),
                },
                EventKind::StreamEvent {
                    exchange: 0,
                    name: None,
                    data: "".into(),
                    id: Some("7".to_owned()),
                    retry: None,
                    terminated: true,
                },
                EventKind::Received {
                    payload: "{\"a\":\n1}".into(),
                    channel,
                    exchange: Some(0),
                    terminated: true,
                },
                EventKind::StreamEventFields {
                    exchange: 0,
                    name: None,
                    id: Some("8".to_owned()),
                    retry: None,
                },
                EventKind::StreamEvent {
                    exchange: 0,
                    name: Some("other".to_owned()),
                    data: "x".into(),
                    id: None,
                    retry: None,
                    terminated: true,
                },
                EventKind::Received {
                    payload: "[2]".into(),
                    channel,
                    exchange: Some(0),
                    terminated: true,
                },
                EventKind::HttpEnded {
                    exchange: 0,
                    failure: None,
                },
            ];
            assert_eq!(received, expected.iter().collect::<Vec<_>>(), "{line_end:?}");
        }
    });
}

#[test]
fn a_chunked_stream_is_joined_across_chunks() {
    run(async {
        let head =
            "HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunks = "6\r\ndata: \r\n3\r\n{}\n\r\n1\r\n\n\r\n0\r\n\r\n";
        let (_, messages, failure, _) = ping_bytes(format!("{head}{chunks}")).await;
        assert_eq!((messages, failure), (vec!["{}".to_owned()], None));
    });
}

#[test]
fn an_event_that_the_stream_cuts_off_is_recorded_and_not_delivered() {
    run(async {
        let (_, messages, failure, events) = ping(|_| stream("data: {\"id\":1}\n")).await;
        assert_eq!((messages.len(), failure), (0, None));
        assert!(
            events
                .iter()
                .any(|event| matches!(event, EventKind::Received { terminated: false, .. })),
            "{events:?}"
        );
    });
}

#[test]
fn an_accepted_notification_brings_a_head_and_an_end() {
    run(async {
        let (status, messages, failure, _) = ping_bytes(response("202 Accepted", "", "")).await;
        assert_eq!((status, messages.len(), failure), (Some(202), 0, None));
    });
}

#[test]
fn a_refusal_in_json_rpc_is_a_message_and_any_other_is_a_body() {
    run(async {
        let error = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no"}}"#;
        let fields = "Content-Type: application/json; charset=utf-8\r\n";
        let (status, messages, failure, _) = ping_bytes(response("400 Bad Request", fields, error)).await;
        assert_eq!((status, messages, failure), (Some(400), vec![error.to_owned()], None));

        let (status, messages, _, events) =
            ping_bytes(response("404 Not Found", fields, r#"{"detail":"Not Found"}"#)).await;
        assert_eq!((status, messages.len()), (Some(404), 0));
        assert_eq!(
            events[3],
            EventKind::HttpBody {
                exchange: 0,
                payload: r#"{"detail":"Not Found"}"#.into()
            }
        );

        let (_, messages, _, events) =
            ping_bytes(response("200 OK", "Content-Type: text/html\r\n", "<html>hello</html>")).await;
        assert!(messages.is_empty());
        assert_eq!(
            events[3],
            EventKind::HttpBody {
                exchange: 0,
                payload: "<html>hello</html>".into()
            }
        );
    });
}

#[test]
fn a_dead_port_ends_the_exchange_and_not_the_connection() {
    run(async {
        let free = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        let url = format!("http://{free}/mcp").parse().unwrap();
        let target = UrlTarget {
            url,
            headers: vec![],
            transport: None,
        };
        let tap = tap();
        let mut connection = StreamableHttpConnection::open(&target, &limits(), tap.clone()).unwrap();
        for _ in 0..2 {
            connection.send(PING, Intent::Proper).await.unwrap();
            let (status, _, failure) = outcome(&mut connection).await;
            assert_eq!(status, None);
            let failure = failure.unwrap();
            assert!(
                failure.contains("no connection to") && failure.contains("refused"),
                "{failure}"
            );
        }
        assert!(matches!(events(&tap)[2], EventKind::HttpEnded { failure: Some(_), .. }));
    });
}

#[test]
fn endless_comments_leave_a_bounded_trace_and_can_be_abandoned() {
    run(async {
        let bytes = ": keep\n\n".repeat(100).into_bytes();
        let server =
            TestServer::start(move |_| vec![Step::Write(STREAM_HEAD.into()), Step::Endless(bytes.clone())]).await;
        let tap = tap();
        let mut connection = open(&server, &tap);
        let sent = connection.send(PING, Intent::Proper).await.unwrap();
        assert!(matches!(connection.receive().await, Some(Incoming::Head { .. })));
        while !events(&tap)
            .iter()
            .any(|event| matches!(event, EventKind::LimitReached { .. }))
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let position = tap.position();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(tap.position(), position);
        connection.abandon(sent.exchange.unwrap());
        let (_, _, failure) = outcome(&mut connection).await;
        assert_eq!(failure.as_deref(), Some("ended by the harness"));
    });
}

#[test]
fn messages_wait_in_the_socket_when_nobody_receives() {
    run(async {
        let server = TestServer::start(|_| {
            vec![
                Step::Write(STREAM_HEAD.into()),
                Step::Endless(b"data: {}\n\n".repeat(50)),
            ]
        })
        .await;
        let tap = tap();
        let limits = TransportLimits {
            queue_messages: 8,
            ..limits()
        };
        let mut connection = StreamableHttpConnection::open(&server.target(), &limits, tap.clone()).unwrap();
        connection.send(PING, Intent::Proper).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let received = events(&tap)
            .iter()
            .filter(|event| matches!(event, EventKind::Received { .. }))
            .count();
        assert!((7..=9).contains(&received), "{received}");
        connection.close().await;
        assert!(matches!(
            events(&tap).last(),
            Some(EventKind::HttpEnded { failure: Some(_), .. })
        ));
    });
}

#[test]
fn bodies_and_heads_that_are_too_large_are_cut() {
    run(async {
        let (_, messages, failure, events) = ping_bytes(json(&format!("\"{}\"", "x".repeat(2000)))).await;
        assert_eq!(
            (messages.len(), failure.as_deref()),
            (0, Some("the response body is longer than 1000 bytes"))
        );
        assert!(
            events
                .iter()
                .any(|event| matches!(event, EventKind::LimitReached { .. }))
        );

        let chunk = format!("3e8\r\n{}\r\n", " ".repeat(1000)).into_bytes();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        let endless = move |_: &SeenRequest| vec![Step::Write(head.into()), Step::Endless(chunk.clone())];
        let (_, _, failure, _) = ping(endless).await;
        assert_eq!(failure.as_deref(), Some("the response body is longer than 1000 bytes"));

        let many: String = (0..1000).map(|number| format!("X-{number}: 1\r\n")).collect();
        let (status, _, failure, _) = ping_bytes(response("200 OK", &many, "")).await;
        assert_eq!(status, None);
        assert!(failure.unwrap().contains("response head is larger"));

        let endless = |_: &SeenRequest| {
            vec![
                Step::Write(b"HTTP/1.1 200 OK\r\nX: ".to_vec()),
                Step::Endless(vec![b'x'; 10_000]),
            ]
        };
        let (status, _, failure, _) = ping(endless).await;
        assert_eq!(status, None);
        assert!(failure.unwrap().contains("response head is larger"));
    });
}

#[test]
fn what_is_not_http_and_what_breaks_off_is_told_apart() {
    run(async {
        let (_, _, failure, _) = ping_bytes("SSH-2.0-OpenSSH_9.9\r\n").await;
        assert!(failure.unwrap().contains("not valid HTTP/1.1"));

        let lengths = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}";
        let (_, _, failure, _) = ping_bytes(lengths).await;
        assert!(failure.unwrap().contains("not valid HTTP/1.1"));

        let chunk =
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n";
        let (status, _, failure, _) = ping_bytes(chunk).await;
        assert_eq!(status, Some(200));
        assert!(failure.unwrap().contains("not valid HTTP/1.1"));

        let (_, _, failure, _) = ping(|_| vec![Step::Close]).await;
        assert!(failure.unwrap().contains("ended before the response did"));

        let part = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"jsonrpc\"";
        for end in [|| Step::Close, || Step::Reset] {
            let (status, messages, failure, events) = ping(move |_| vec![Step::Write(part.into()), end()]).await;
            assert_eq!((status, messages.len()), (Some(200), 0));
            assert!(failure.unwrap().contains("ended before the response did"));
            // After a reset the system may drop what had arrived.
            if let Some(EventKind::HttpBody { payload, .. }) = events.get(3) {
                assert_eq!(payload.text(), "{\"jsonrpc\"");
            }
        }
    });
}

#[test]
fn a_head_that_does_not_come_meets_a_deadline() {
    run(async {
        let server = TestServer::start(|_| vec![Step::Hang]).await;
        let limits = TransportLimits {
            response_head: Duration::from_millis(30),
            ..limits()
        };
        let mut connection = StreamableHttpConnection::open(&server.target(), &limits, tap()).unwrap();
        connection.send(PING, Intent::Proper).await.unwrap();
        let (status, _, failure) = outcome(&mut connection).await;
        assert_eq!(
            (status, failure.as_deref()),
            (None, Some("no response head within 30ms"))
        );
    });
}

#[test]
fn a_body_that_pauses_meets_a_deadline_and_an_event_stream_may_pause() {
    run(async {
        let limits = TransportLimits {
            body_idle: Duration::from_millis(30),
            ..limits()
        };
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n";
        let server = TestServer::start(move |_| vec![Step::Write(head.into()), Step::Hang]).await;
        let mut connection = StreamableHttpConnection::open(&server.target(), &limits, tap()).unwrap();
        connection.send(PING, Intent::Proper).await.unwrap();
        let (_, _, failure) = outcome(&mut connection).await;
        assert!(failure.unwrap().contains("paused for more than 30ms"));

        let server = TestServer::start(|_| vec![Step::Write(STREAM_HEAD.into()), Step::Follow]).await;
        let mut connection = StreamableHttpConnection::open(&server.target(), &limits, tap()).unwrap();
        connection.send(PING, Intent::Proper).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.push("data: {}\n\n");
        server.end_pushes();
        assert_eq!(outcome(&mut connection).await, (Some(200), vec!["{}".to_owned()], None));
    });
}

#[test]
fn a_redirect_is_an_answer() {
    run(async {
        let server = TestServer::fixed(response("307 Temporary Redirect", "Location: /mcp/\r\n", "")).await;
        let tap = tap();
        let mut connection = open(&server, &tap);
        connection.send(PING, Intent::Proper).await.unwrap();
        assert_eq!(outcome(&mut connection).await, (Some(307), vec![], None));
        assert_eq!(server.requests(), ["POST /mcp"]);
        let EventKind::HttpResponse { headers, .. } = &events(&tap)[2] else {
            panic!()
        };
        assert!(headers.contains(&("location".to_owned(), "/mcp/".to_owned())));
    });
}

#[test]
fn an_encoded_body_is_kept_and_not_decoded() {
    run(async {
        let fields = "Content-Type: application/json\r\nContent-Encoding: gzip\r\n";
        let (_, messages, failure, events) = ping_bytes(response("200 OK", fields, "{}")).await;
        assert!(messages.is_empty());
        assert!(failure.unwrap().contains("encoded as gzip"));
        assert_eq!(
            events[3],
            EventKind::HttpBody {
                exchange: 0,
                payload: "{}".into()
            }
        );
    });
}

#[test]
fn a_session_is_adopted_and_ended_once() {
    run(async {
        let server = TestServer::start(|request| {
            vec![Step::Write(match request.method() {
                "DELETE" => response("200 OK", "Mcp-Session-Id: s-1\r\n", ""),
                _ => response(
                    "200 OK",
                    "Content-Type: application/json\r\nMcp-Session-Id: s-1\r\n",
                    PONG,
                ),
            })]
        })
        .await;
        let tap = tap();
        let mut connection = open(&server, &tap);
        assert_eq!(connection.session_id(), None);
        connection.send(PING, Intent::Proper).await.unwrap();
        outcome(&mut connection).await;
        assert_eq!(connection.session_id().as_deref(), Some("s-1"));
        connection.set_protocol_version(Some("2025-06-18".to_owned()));
        connection.set_protocol_version(Some("2025\r\nX: y".to_owned()));
        connection.send(PING, Intent::Proper).await.unwrap();
        outcome(&mut connection).await;
        connection.set_protocol_version(Some("2025-06-18".to_owned()));
        connection.send(PING, Intent::Proper).await.unwrap();
        outcome(&mut connection).await;
        connection.end_session().unwrap();
        outcome(&mut connection).await;
        connection.send(PING, Intent::Proper).await.unwrap();
        outcome(&mut connection).await;
        connection.forget_session();
        assert_eq!(connection.session_id(), None);
        connection.close().await;
        assert!(matches!(connection.receive().await, Some(Incoming::Closed { .. })));
        assert_eq!(connection.receive().await, None);
        assert!(matches!(
            connection.send(PING, Intent::Proper).await,
            Err(TransportError::Closed(_))
        ));

        let seen = server.seen();
        let sent: Vec<_> = seen
            .iter()
            .map(|request| {
                (
                    request.method(),
                    request.field("Mcp-Session-Id"),
                    request.field("Mcp-Protocol-Version"),
                )
            })
            .collect();
        assert_eq!(
            sent,
            [
                ("POST", None, None),
                ("POST", Some("s-1"), None),
                ("POST", Some("s-1"), Some("2025-06-18")),
                ("DELETE", Some("s-1"), Some("2025-06-18")),
                ("POST", Some("s-1"), Some("2025-06-18")),
            ]
        );
    });
}

#[test]
fn closing_ends_streams_and_every_session_that_was_opened() {
    run(async {
        let server = TestServer::start(|request| match request.method() {
            "GET" => vec![Step::Write(STREAM_HEAD.into()), Step::Hang],
            "DELETE" => vec![Step::Write(response("204 No Content", "", ""))],
            _ => {
                let fields = format!(
                    "Content-Type: application/json\r\nMcp-Session-Id: s{}\r\n",
                    request.body.len()
                );
                vec![Step::Write(response("200 OK", &fields, PONG))]
            }
        })
        .await;
        let tap = tap();
        let mut connection = open(&server, &tap);
        connection.send(b"1", Intent::Broken).await.unwrap();
        outcome(&mut connection).await;
        // A second session that must not replace the first one.
        let raw = RawRequest::new("POST")
            .with_body("22", Intent::Broken)
            .without_header("mcp-session-id");
        connection.request_raw(&raw).unwrap();
        outcome(&mut connection).await;
        assert_eq!(connection.session_id().as_deref(), Some("s1"));
        connection.open_stream(Some("e7")).unwrap();
        assert!(matches!(
            connection.receive().await,
            Some(Incoming::Head { status: 200, .. })
        ));
        connection.close().await;
        let seen = server.seen();
        assert_eq!(seen[2].field("Last-Event-Id"), Some("e7"));
        let mut ended: Vec<_> = seen[3..]
            .iter()
            .map(|request| (request.method(), request.field("Mcp-Session-Id")))
            .collect();
        ended.sort_unstable();
        assert_eq!(ended, [("DELETE", Some("s1")), ("DELETE", Some("s2"))]);
        let trace = events(&tap);
        let requests = trace
            .iter()
            .filter(|event| matches!(event, EventKind::HttpRequest { .. }))
            .count();
        let ends = trace
            .iter()
            .filter(|event| matches!(event, EventKind::HttpEnded { .. }))
            .count();
        assert_eq!((requests, ends), (5, 5));
    });
}

#[test]
fn closing_does_not_wait_for_a_server_that_hangs() {
    run(async {
        let server = TestServer::start(|request| match request.method() {
            "DELETE" => vec![Step::Hang],
            _ => vec![Step::Write(response(
                "200 OK",
                "Mcp-Session-Id: s\r\nContent-Type: application/json\r\n",
                PONG,
            ))],
        })
        .await;
        let tap = tap();
        let limits = TransportLimits {
            close: Duration::from_millis(30),
            ..limits()
        };
        let mut connection = StreamableHttpConnection::open(&server.target(), &limits, tap.clone()).unwrap();
        connection.send(PING, Intent::Proper).await.unwrap();
        outcome(&mut connection).await;
        connection.close().await;
        let last = events(&tap).pop();
        assert_eq!(
            last,
            Some(EventKind::HttpEnded {
                exchange: 1,
                failure: Some("ended by the harness".to_owned())
            })
        );
    });
}

#[test]
fn a_raw_request_changes_what_it_says_and_nothing_else() {
    run(async {
        let server = TestServer::fixed(response("406 Not Acceptable", "", "")).await;
        let tap = tap();
        let mut connection = open(&server, &tap);
        let raw = RawRequest {
            target: Some("/other?x=1".to_owned()),
            ..RawRequest::new("PATCH")
                .with_body(b"\xff{", Intent::Broken)
                .without_header("Accept")
                .with_header("Host", "evil.example")
                .with_header("X-Twice", "a")
                .with_header("X-Twice", "b")
        };
        assert_eq!(connection.request_raw(&raw).unwrap(), 0);
        assert_eq!(outcome(&mut connection).await.0, Some(406));
        let seen = &server.seen()[0];
        assert!(seen.head.starts_with("PATCH /other?x=1 HTTP/1.1\r\n"), "{}", seen.head);
        assert_eq!(seen.field("Host"), Some("evil.example"));
        assert_eq!(seen.field("Accept"), None);
        assert_eq!(seen.field("Content-Type"), Some("application/json"));
        assert!(seen.head.contains("X-Twice: a\r\nX-Twice: b\r\n"), "{}", seen.head);
        assert_eq!(seen.body, "\u{fffd}{");

        let lower = RawRequest {
            lowercase_names: true,
            ..RawRequest::new("POST")
        }
        .with_header("MCP-Session-Id", "s");
        connection.request_raw(&lower).unwrap();
        outcome(&mut connection).await;
        assert!(server.seen()[1].head.contains("\r\nmcp-session-id: s\r\n"));

        for refused in [
            RawRequest::new("PO ST"),
            RawRequest::new("POST").with_header("Content-Length", "7"),
            RawRequest::new("POST").with_header("a b", "7"),
            RawRequest::new("POST").with_header("a", "x\r\ny"),
            RawRequest {
                target: Some("http://evil.example/".to_owned()),
                ..RawRequest::new("POST")
            },
        ] {
            let error = connection.request_raw(&refused).unwrap_err();
            assert!(matches!(error, TransportError::InvalidRequest(_)), "{refused:?}");
        }
    });
}

#[test]
fn secrets_of_the_target_are_sent_and_not_recorded() {
    run(async {
        let fields = "Content-Type: application/json\r\nSet-Cookie: sid=cookie-secret\r\nX-Echo: token-secret\r\n";
        let server = TestServer::fixed(response("200 OK", fields, PONG)).await;
        let tap = tap();
        let mut url = server.url.clone();
        url.set_query(Some("api_key=query-secret"));
        let headers = vec![("X-Token".to_owned(), "token-secret".to_owned())];
        let target = UrlTarget {
            url,
            headers,
            transport: None,
        };
        let mut connection = StreamableHttpConnection::open(&target, &limits(), tap.clone()).unwrap();
        connection.send(PING, Intent::Proper).await.unwrap();
        outcome(&mut connection).await;
        assert_eq!(server.seen()[0].field("X-Token"), Some("token-secret"));
        assert_eq!(server.seen()[0].path(), "/mcp?api_key=query-secret");
        let recorded = format!("{:?}", events(&tap));
        assert!(!recorded.contains("-secret"), "{recorded}");
        assert!(recorded.contains("X-Token"), "{recorded}");
    });
}

#[test]
fn provisional_responses_without_end_are_broken_off() {
    run(async {
        let server = TestServer::start(|_| vec![Step::Endless(b"HTTP/1.1 100 Continue\r\n\r\n".repeat(20))]).await;
        let mut connection = StreamableHttpConnection::open(&server.target(), &limits(), tap()).unwrap();
        connection.send(PING, Intent::Proper).await.unwrap();
        let (status, _, failure) = outcome(&mut connection).await;
        assert_eq!(status, None);
        assert!(failure.is_some_and(|failure| failure.contains("more than 100 interim responses")));
    });
}

#[test]
fn methods_with_a_meaning_of_their_own_in_http_are_answered_like_any_other() {
    run(async {
        for (method, status) in [
            ("HEAD", "200 OK"),
            ("CONNECT", "405 Method Not Allowed"),
            ("TRACE", "405 Method Not Allowed"),
            ("brew", "418 Teapot"),
        ] {
            let server = TestServer::fixed(response(status, "Content-Type: application/json\r\n", "")).await;
            let mut connection = open(&server, &tap());
            connection.request_raw(&RawRequest::new(method)).unwrap();
            let (seen, _, failure) = outcome(&mut connection).await;
            assert_eq!((seen, failure), (status[..3].parse().ok(), None), "{method}");
            assert_eq!(server.seen()[0].method(), method);
        }
        let (status, _, _, _) =
            ping_bytes("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nxx").await;
        assert_eq!(status, Some(101));
    });
}
