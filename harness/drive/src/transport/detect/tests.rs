//! Detection against servers that write exact bytes.

use super::*;
use crate::transport::http::test_server::{STREAM_HEAD, SeenRequest, Step, TestServer, json, response, run, stream};

const INITIALIZE: &[u8] = br#"{"jsonrpc":"2.0","id":"era-1","method":"initialize","params":{}}"#;
const ANSWER: &str = r#"{"jsonrpc":"2.0","id":"era-1","result":{}}"#;

fn limits() -> TransportLimits {
    TransportLimits {
        response_head: Duration::from_millis(300),
        first_event: Duration::from_millis(100),
        close: Duration::from_millis(100),
        ..TransportLimits::default()
    }
}

async fn detected(server: &TestServer) -> Result<TransportKind, DetectError> {
    detect(&server.target(), INITIALIZE, &limits()).await
}

async fn of(answer: impl Fn(&SeenRequest) -> Vec<Step> + 'static) -> Result<TransportKind, DetectError> {
    detected(&TestServer::start(answer).await).await
}

async fn of_bytes(bytes: Vec<u8>) -> DetectError {
    detected(&TestServer::fixed(bytes).await).await.unwrap_err()
}

#[test]
fn an_answer_as_json_or_as_an_event_is_streamable_http() {
    run(async {
        assert_eq!(
            of(|_| vec![Step::Write(json(ANSWER))]).await.unwrap(),
            TransportKind::StreamableHttp
        );
        let events = "id: 1\ndata:\n\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"n\"}\n\ndata: ";
        let answer = move |_: &SeenRequest| {
            vec![
                Step::Write(format!("{STREAM_HEAD}{events}{ANSWER}\n\n").into()),
                Step::Hang,
            ]
        };
        assert_eq!(of(answer).await.unwrap(), TransportKind::StreamableHttp);
        let refusal = r#"{"jsonrpc":"2.0","id":"era-1","error":{"code":-32022,"message":"no"}}"#;
        let refuse = move |_: &SeenRequest| {
            vec![Step::Write(response(
                "400 Bad Request",
                "Content-Type: application/json\r\n",
                refusal,
            ))]
        };
        assert_eq!(of(refuse).await.unwrap(), TransportKind::StreamableHttp);
    });
}

#[test]
fn a_session_that_the_probe_opened_is_ended() {
    run(async {
        let fields = "Content-Type: application/json\r\nMcp-Session-Id: s\r\n";
        let server = TestServer::fixed(response("200 OK", fields, ANSWER)).await;
        detected(&server).await.unwrap();
        assert_eq!(server.requests(), ["POST /mcp", "DELETE /mcp"]);
        assert_eq!(server.seen()[1].field("Mcp-Session-Id"), Some("s"));
        assert_eq!(server.seen()[0].field("Mcp-Protocol-Version"), None);
    });
}

#[test]
fn a_refusal_and_an_endpoint_event_are_http_sse() {
    run(async {
        for status in [
            "405 Method Not Allowed",
            "404 Not Found",
            "400 Bad Request",
            "415 Unsupported Media Type",
        ] {
            let kind = of(move |request| match request.method() {
                "GET" => stream("event: endpoint\ndata: /messages\n\n"),
                _ => vec![Step::Write(response(status, "", "no"))],
            });
            assert_eq!(kind.await.unwrap(), TransportKind::HttpSse, "{status}");
        }
        let foreign = of(|request| match request.method() {
            "GET" => stream("event: endpoint\ndata: http://evil.example/\n\n"),
            _ => vec![Step::Write(response("405 Method Not Allowed", "", ""))],
        });
        let error = foreign.await.unwrap_err();
        assert!(
            matches!(
                error,
                DetectError::UnusableHttpSse(HttpSseError::ForeignEndpoint { .. })
            ),
            "{error}"
        );
    });
}

#[test]
fn a_refusal_in_json_rpc_with_another_id_is_streamable_http_unless_there_is_an_endpoint_event() {
    run(async {
        let refusal = r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"no"}}"#;
        let kind = of(move |_| {
            vec![Step::Write(response(
                "400 Bad Request",
                "Content-Type: application/json\r\n",
                refusal,
            ))]
        });
        assert_eq!(kind.await.unwrap(), TransportKind::StreamableHttp);
    });
}

#[test]
fn what_is_no_evidence_is_an_error_that_helps() {
    run(async {
        let page = of_bytes(response(
            "200 OK",
            "Content-Type: text/html\r\n",
            "<html>Welcome</html>",
        ))
        .await;
        assert!(matches!(page, DetectError::NotMcp { status: 200, .. }), "{page}");
        let text = page.to_string();
        assert!(
            text.contains("text/html") && text.contains("Welcome") && text.contains("/mcp"),
            "{text}"
        );

        let missing = of_bytes(response("404 Not Found", "", "")).await;
        assert!(matches!(missing, DetectError::NotMcp { status: 404, .. }), "{missing}");

        let challenge = "WWW-Authenticate: Bearer realm=\"x\"\r\n";
        let credentials = of_bytes(response("401 Unauthorized", challenge, "")).await;
        assert!(credentials.to_string().contains("--header"), "{credentials}");
        assert!(matches!(
            credentials,
            DetectError::NeedsCredentials {
                status: 401,
                challenge: Some(_),
                ..
            }
        ));
        let credentials = of_bytes(response("403 Forbidden", challenge, "")).await;
        assert!(
            matches!(credentials, DetectError::NeedsCredentials { status: 403, .. }),
            "{credentials}"
        );
        let origin = of_bytes(response("403 Forbidden", "", "Invalid Host")).await;
        assert!(matches!(origin, DetectError::Forbidden { .. }), "{origin}");

        let outage = of_bytes(response("502 Bad Gateway", "", "upstream")).await;
        assert!(matches!(outage, DetectError::Outage { status: 502, .. }), "{outage}");
        let redirect = of_bytes(response("307 Temporary Redirect", "Location: http://other/\r\n", "")).await;
        assert!(redirect.to_string().contains("http://other/"), "{redirect}");

        let silent = of(|_| vec![Step::Hang]).await.unwrap_err();
        assert!(
            matches!(
                &silent,
                DetectError::NoAnswer {
                    error: HttpError::HeadDeadline(_),
                    ..
                }
            ),
            "{silent}"
        );
        let stream = of(|_| vec![Step::Write(STREAM_HEAD.into()), Step::Endless(b":\n\n".to_vec())])
            .await
            .unwrap_err();
        assert!(
            matches!(stream, DetectError::Unanswered { status: 200, .. }),
            "{stream}"
        );
        let garbage = of_bytes(b"\x15\x03\x01\x00\x02\x02\x16 alert\r\n\r\n".to_vec()).await;
        assert!(
            matches!(
                &garbage,
                DetectError::NoAnswer {
                    error: HttpError::Invalid(_),
                    ..
                }
            ),
            "{garbage}"
        );
        assert!(garbage.to_string().contains("https"), "{garbage}");
    });
}

#[test]
fn a_dead_port_and_an_unknown_host_are_told_apart() {
    run(async {
        let free = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        let target = |url: &str| UrlTarget {
            url: url.parse().unwrap(),
            headers: vec![],
            transport: None,
        };
        let dead = detect(&target(&format!("http://u:secret@{free}/mcp")), INITIALIZE, &limits())
            .await
            .unwrap_err();
        assert!(
            matches!(
                &dead,
                DetectError::NoAnswer {
                    error: HttpError::Connect { .. },
                    ..
                }
            ),
            "{dead}"
        );
        let text = dead.to_string();
        assert!(
            text.contains("Is the server running") && !text.contains("secret"),
            "{text}"
        );
        let unknown = detect(&target("http://no-such-host.invalid/mcp"), INITIALIZE, &limits())
            .await
            .unwrap_err();
        assert!(
            matches!(
                &unknown,
                DetectError::NoAnswer {
                    error: HttpError::Resolve { .. } | HttpError::ConnectDeadline { .. },
                    ..
                }
            ),
            "{unknown}"
        );
        assert!(matches!(
            detect(&target("http://127.0.0.1:1/"), b"[]", &limits()).await,
            Err(DetectError::NotARequest)
        ));
    });
}

#[cfg(feature = "tls")]
#[test]
fn a_server_without_tls_behind_an_https_url_is_a_tls_error() {
    run(async {
        let server = TestServer::start(|_| vec![]).await;
        let mut target = server.target();
        target.url = server.url.as_str().replace("http:", "https:").parse().unwrap();
        let limits = TransportLimits {
            connect: Duration::from_millis(300),
            ..limits()
        };
        let error = detect(&target, INITIALIZE, &limits).await.unwrap_err();
        assert!(
            matches!(
                &error,
                DetectError::NoAnswer {
                    error: HttpError::Tls { .. } | HttpError::ConnectDeadline { .. },
                    ..
                }
            ),
            "{error}"
        );
    });
}
