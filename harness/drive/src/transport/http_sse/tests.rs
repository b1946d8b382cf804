//! HTTP+SSE against servers that write exact bytes.

use touchstone_core::trace::{Channel, EventKind, TransportKind};

use super::*;
use crate::transport::http::test_server::{STREAM_HEAD, Step, TestServer, response, run, stream};

const PING: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

fn tap() -> Tap {
    Tap::new("test", TransportKind::HttpSse, 1024 * 1024)
}

fn limits() -> TransportLimits {
    TransportLimits {
        first_event: Duration::from_millis(200),
        ..TransportLimits::default()
    }
}

async fn open(server: &TestServer) -> Result<HttpSseConnection, HttpSseError> {
    HttpSseConnection::open(&server.target(), &limits(), tap()).await
}

async fn error_of(events: &'static str) -> HttpSseError {
    let server = TestServer::start(move |_| stream(events)).await;
    let error = open(&server).await.unwrap_err();
    assert_eq!(server.requests(), ["GET /mcp"]);
    error
}

/// A server whose GET stream names `/messages` and then carries what the test pushes.
async fn proper_server() -> TestServer {
    TestServer::start(|request| match request.method() {
        "GET" => {
            let start = format!("{STREAM_HEAD}: hi\n\nevent: endpoint\ndata: /messages?session_id=7\n\n");
            vec![Step::Write(start.into()), Step::Follow]
        }
        _ => vec![Step::Write(response("202 Accepted", "", "Accepted"))],
    })
    .await
}

#[test]
fn messages_go_to_the_endpoint_and_come_from_the_stream() {
    run(async {
        let server = proper_server().await;
        let tap = tap();
        let mut connection = HttpSseConnection::open(&server.target(), &limits(), tap.clone())
            .await
            .unwrap();
        assert_eq!(
            connection.endpoint().as_str(),
            server.url.join("/messages?session_id=7").unwrap().as_str()
        );
        let sent = connection.send(PING, Intent::Proper).await.unwrap();
        assert_eq!(sent.exchange, Some(1));
        assert!(matches!(
            connection.receive().await,
            Some(Incoming::Head {
                exchange: 0,
                status: 200,
                ..
            })
        ));
        assert!(matches!(
            connection.receive().await,
            Some(Incoming::Head {
                exchange: 1,
                status: 202,
                ..
            })
        ));
        assert_eq!(
            connection.receive().await,
            Some(Incoming::ExchangeEnded {
                exchange: 1,
                failure: None
            })
        );
        server.push("event: message\ndata: {}\n\n");
        let Some(Incoming::Message {
            bytes,
            channel: Channel::GetStream,
            exchange: Some(0),
            event,
        }) = connection.receive().await
        else {
            panic!("no message")
        };
        assert_eq!(bytes, b"{}");
        let received = tap.snapshot().events[event].kind.clone();
        let channel = Channel::GetStream;
        assert_eq!(
            received,
            EventKind::Received {
                payload: "{}".into(),
                channel,
                exchange: Some(0),
                terminated: true
            }
        );
        let endpoint = EventKind::StreamEvent {
            exchange: 0,
            name: Some("endpoint".to_owned()),
            data: "/messages?session_id=7".into(),
            id: None,
            retry: None,
            terminated: true,
        };
        assert!(tap.read(|trace| trace.events.iter().any(|event| event.kind == endpoint)));

        server.end_pushes();
        assert_eq!(
            connection.receive().await,
            Some(Incoming::ExchangeEnded {
                exchange: 0,
                failure: None
            })
        );
        let reason = "the event stream ended".to_owned();
        assert_eq!(
            connection.receive().await,
            Some(Incoming::Closed { reason: reason.clone() })
        );
        assert_eq!(connection.receive().await, None);
        let error = connection.send(PING, Intent::Proper).await.unwrap_err();
        assert!(error.to_string().contains(&reason), "{error}");
        assert_eq!(server.requests(), ["GET /mcp", "POST /messages?session_id=7"]);
    });
}

#[test]
fn a_message_in_the_answer_to_a_post_is_delivered_too() {
    run(async {
        let server = TestServer::start(|request| match request.method() {
            "GET" => vec![
                Step::Write(format!("{STREAM_HEAD}event: endpoint\ndata: m\n\n").into()),
                Step::Hang,
            ],
            _ => vec![Step::Write(response(
                "200 OK",
                "Content-Type: application/json\r\n",
                "{}",
            ))],
        })
        .await;
        let mut connection = open(&server).await.unwrap();
        connection.send(PING, Intent::Proper).await.unwrap();
        let mut messages = Vec::new();
        loop {
            match connection.receive().await.unwrap() {
                Incoming::Message { bytes, channel, .. } => messages.push((bytes, channel)),
                Incoming::ExchangeEnded { .. } => break,
                _ => {}
            }
        }
        assert_eq!(messages, [(b"{}".to_vec(), Channel::JsonBody)]);
        let raw = RawRequest::new("DELETE");
        connection.request_raw(&raw).unwrap();
        while !matches!(connection.receive().await, Some(Incoming::ExchangeEnded { .. })) {}
        assert_eq!(server.requests(), ["GET /mcp", "POST /m", "DELETE /mcp"]);
        connection.close().await;
        let mut last = None;
        while let Some(item) = connection.receive().await {
            last = Some(item);
        }
        assert!(matches!(last, Some(Incoming::Closed { .. })));
        assert!(matches!(
            connection.send(PING, Intent::Proper).await,
            Err(TransportError::Closed(_))
        ));
    });
}

#[test]
fn an_absolute_endpoint_of_the_same_origin_is_used() {
    let stream = "http://localhost:8000/a/sse".parse().unwrap();
    let resolved = |data: &str| resolve_endpoint(&stream, data.as_bytes()).map(|url| url.to_string());
    assert_eq!(
        resolved("http://localhost:8000/m?s=1").unwrap(),
        "http://localhost:8000/m?s=1"
    );
    assert_eq!(resolved("m").unwrap(), "http://localhost:8000/a/m");
    assert_eq!(resolved("?s=1").unwrap(), "http://localhost:8000/a/sse?s=1");
    for foreign in [
        "http://localhost:8001/m",
        "https://localhost:8000/m",
        "//evil.example/m",
        "http://127.0.0.1:8000/m",
    ] {
        assert!(
            matches!(resolved(foreign), Err(HttpSseError::ForeignEndpoint { .. })),
            "{foreign}"
        );
    }
    for unusable in ["file:///etc/passwd", "http://[", "javascript:1"] {
        assert!(
            matches!(resolved(unusable), Err(HttpSseError::UnusableEndpoint { .. })),
            "{unusable}"
        );
    }
}

#[test]
fn a_foreign_endpoint_is_named_and_never_contacted() {
    run(async {
        let other = TestServer::fixed(response("200 OK", "", "")).await;
        let foreign = other.url.clone();
        let server = TestServer::start(move |_| stream(&format!("event: endpoint\ndata: {foreign}\n\n"))).await;
        let error = open(&server).await.unwrap_err();
        let HttpSseError::ForeignEndpoint { origin, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(*origin, other.url.origin().ascii_serialization());
        assert!(other.seen().is_empty());
    });
}

#[test]
fn every_way_of_not_being_http_sse_has_its_error() {
    run(async {
        // An endpoint event that comes late is still taken; the monitors judge that it was not the first.
        let error = error_of("event: message\ndata: {}\n\n").await;
        let expected = HttpSseError::OtherEventFirst {
            name: "message".to_owned(),
            data: "{}".to_owned(),
        };
        assert_eq!(error, expected);
        assert!(matches!(error_of("").await, HttpSseError::NoEndpoint(_)));
        assert!(matches!(
            error_of("event: endpoint\ndata: /m\n").await,
            HttpSseError::NoEndpoint(_)
        ));

        let server =
            TestServer::start(|_| vec![Step::Write(STREAM_HEAD.into()), Step::Endless(b":\n\n".to_vec())]).await;
        assert!(matches!(open(&server).await, Err(HttpSseError::NoEndpoint(_))));

        let server = TestServer::fixed(response("405 Method Not Allowed", "", "no")).await;
        let error = open(&server).await.unwrap_err();
        assert!(
            matches!(&error, HttpSseError::Refused { status: 405, beginning, .. } if beginning == "no"),
            "{error}"
        );

        let server = TestServer::fixed(response("200 OK", "Content-Type: text/html\r\n", "<p>\n hi")).await;
        let error = open(&server).await.unwrap_err();
        assert!(
            matches!(&error, HttpSseError::NotAnEventStream { content_type, beginning, .. }
                if content_type == "text/html" && beginning == "<p> hi"),
            "{error}"
        );

        let server = TestServer::start(|_| vec![Step::Close]).await;
        assert!(matches!(open(&server).await, Err(HttpSseError::Http { .. })));
    });
}
