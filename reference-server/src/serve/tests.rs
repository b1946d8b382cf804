//! The HTTP transports over a loopback connection, with a client that speaks through hyper's connection and no more.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::*;

/// A server on a free port.
struct Server {
    address: SocketAddr,
    served: JoinHandle<Result<(), ServeError>>,
}

impl Server {
    async fn start(transport: Transport, faults: &[&str]) -> Self {
        let faults: Vec<_> = faults.iter().map(|id| faults::find(id).unwrap()).collect();
        let listener = bind(0).await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = tokio::spawn(serve_http(
            listener,
            transport,
            Options::new(&[], &faults, 3),
            Served::default(),
        ));
        Self { address, served }
    }

    async fn send(&self, method: &str, path: &str, headers: Headers<'_>, body: &str) -> Response<Incoming> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", self.address.to_string());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        sender
            .send_request(request.body(Full::new(Bytes::from(body.to_owned()))).unwrap())
            .await
            .unwrap()
    }
}

type Headers<'a> = &'a [(&'a str, &'a str)];

const POST: [(&str, &str); 2] = [
    ("accept", "application/json, text/event-stream"),
    ("content-type", "application/json"),
];
const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const NOTIFICATION: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":
    {"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;

async fn text(response: Response<Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

async fn value(response: Response<Incoming>) -> Value {
    serde_json::from_str(&text(response).await).unwrap()
}

async fn next_event(stream: &mut Response<Incoming>) -> String {
    let frame = stream.body_mut().frame().await.unwrap().unwrap();
    String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
}

fn slow(id: u64, milliseconds: u64, progress: bool) -> String {
    let mut params = json!({ "name": "slow", "arguments": { "milliseconds": milliseconds } });
    if progress {
        params["_meta"] = json!({ "progressToken": 1 });
    }
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params }).to_string()
}

#[tokio::test]
async fn streamable_http_runs_a_session_from_initialize_to_delete() {
    let server = Server::start(Transport::StreamableHttp, &[]).await;
    let initialized = server.send("POST", "/mcp", &POST, INITIALIZE).await;
    assert_eq!(initialized.status(), StatusCode::OK);
    let session = initialized.headers()["mcp-session-id"].to_str().unwrap().to_owned();
    assert_eq!(value(initialized).await["result"]["protocolVersion"], "2025-06-18");
    let headers = [
        POST[0],
        POST[1],
        ("mcp-session-id", &session),
        ("mcp-protocol-version", "2025-06-18"),
    ];

    let accepted = server.send("POST", "/mcp", &headers, NOTIFICATION).await;
    assert_eq!(
        (accepted.status(), text(accepted).await.as_str()),
        (StatusCode::ACCEPTED, "")
    );
    assert_eq!(
        value(server.send("POST", "/mcp", &headers, PING).await).await["result"],
        json!({})
    );

    let progress = server.send("POST", "/mcp", &headers, &slow(2, 50, true)).await;
    assert_eq!(progress.headers()["content-type"], "text/event-stream");
    let events = text(progress).await;
    assert_eq!(
        (
            events.matches("notifications/progress").count(),
            events.matches("\"id\":2").count()
        ),
        (4, 1)
    );

    let cancelled = server.send("POST", "/mcp", &headers, &slow(3, 500, false)).await;
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}"#;
    server.send("POST", "/mcp", &headers, cancel).await;
    assert_eq!(text(cancelled).await, "");

    let idle = server.send("GET", "/mcp", &headers, "").await;
    assert_eq!(
        (idle.status(), &idle.headers()["content-type"]),
        (StatusCode::OK, &"text/event-stream".parse().unwrap())
    );
    assert_eq!(
        server.send("DELETE", "/mcp", &headers, "").await.status(),
        StatusCode::OK
    );
    assert_eq!(text(idle).await, "");
    assert_eq!(
        server.send("POST", "/mcp", &headers, PING).await.status(),
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_client_that_was_cut_off_comes_back_for_its_answer() {
    let server = Server::start(Transport::StreamableHttp, &[]).await;
    let initialize = INITIALIZE.replace("2025-06-18", "2025-11-25");
    let initialized = server.send("POST", "/mcp", &POST, &initialize).await;
    let session = initialized.headers()["mcp-session-id"].to_str().unwrap().to_owned();
    let headers = [POST[0], POST[1], ("mcp-session-id", &session)];

    let mut cut_off = server.send("POST", "/mcp", &headers, &slow(2, 50, false)).await;
    let priming = next_event(&mut cut_off).await;
    let id = priming
        .strip_prefix("id: ")
        .unwrap()
        .strip_suffix("\ndata:\n\n")
        .unwrap();
    drop(cut_off);
    let resumed = server
        .send("GET", "/mcp", &[headers[0], headers[2], ("last-event-id", id)], "")
        .await;
    let events = text(resumed).await;
    assert!(events.contains("\"id\":2") && !events.contains(&priming), "{events}");
}

#[tokio::test]
async fn streamable_http_refuses_what_the_specification_refuses() {
    let server = Server::start(Transport::StreamableHttp, &[]).await;
    let [accept, json_type] = POST;
    let large = format!("{INITIALIZE}{}", " ".repeat(4 * 1024 * 1024));
    let rows: [(&str, &str, Headers<'_>, &str, u16); 14] = [
        ("POST", "/other", &POST, INITIALIZE, 404),
        ("PUT", "/mcp", &POST, INITIALIZE, 405),
        (
            "POST",
            "/mcp",
            &[json_type, ("accept", "application/json")],
            INITIALIZE,
            406,
        ),
        ("POST", "/mcp", &[json_type], INITIALIZE, 406),
        ("POST", "/mcp", &[json_type, ("accept", "*/*")], INITIALIZE, 200),
        (
            "POST",
            "/mcp",
            &[accept, ("content-type", "text/plain")],
            INITIALIZE,
            415,
        ),
        ("POST", "/mcp", &POST, &large, 413),
        ("POST", "/mcp", &POST, PING, 400),
        (
            "POST",
            "/mcp",
            &[accept, json_type, ("mcp-session-id", "none")],
            PING,
            404,
        ),
        (
            "POST",
            "/mcp",
            &[accept, json_type, ("mcp-protocol-version", "1999-01-01")],
            INITIALIZE,
            400,
        ),
        (
            "POST",
            "/mcp",
            &[accept, json_type, ("origin", "http://evil.example")],
            INITIALIZE,
            403,
        ),
        (
            "POST",
            "/mcp",
            &[accept, json_type, ("host", "evil.example")],
            INITIALIZE,
            403,
        ),
        ("GET", "/mcp", &[("accept", "text/html")], "", 406),
        ("DELETE", "/mcp", &[], "", 400),
    ];
    for (method, path, headers, body, status) in rows {
        let response = server.send(method, path, headers, body).await;
        assert_eq!(response.status(), status, "{method} {path} {headers:?}");
        assert_eq!(response.headers().contains_key("allow"), status == 405);
    }
    let malformed = server.send("POST", "/mcp", &POST, "garbage").await;
    assert_eq!(malformed.status(), StatusCode::BAD_REQUEST);
    assert_eq!(value(malformed).await["error"]["code"], -32700);
}

#[tokio::test]
async fn http_sse_answers_on_the_stream() {
    let server = Server::start(Transport::HttpSse, &[]).await;
    let mut stream = server.send("GET", "/sse", &[("accept", "text/event-stream")], "").await;
    let event = next_event(&mut stream).await;
    let endpoint = event.strip_prefix("event: endpoint\ndata: ").unwrap().trim_end();
    assert!(endpoint.starts_with("/messages?session_id="));

    for body in [INITIALIZE, NOTIFICATION, "garbage", PING] {
        assert_eq!(
            server.send("POST", endpoint, &POST, body).await.status(),
            StatusCode::ACCEPTED
        );
    }
    let mut received = Vec::new();
    for _ in 0..3 {
        let event = next_event(&mut stream).await;
        let data = event.strip_prefix("event: message\ndata: ").unwrap();
        received.push(serde_json::from_str::<Value>(data).unwrap());
    }
    assert_eq!(received[0]["result"]["protocolVersion"], "2025-06-18");
    assert_eq!(
        (&received[1]["error"]["code"], &received[2]["id"]),
        (&json!(-32700), &json!(1))
    );

    let rows: [(&str, &str, Headers<'_>, u16); 5] = [
        ("POST", "/messages?session_id=none", &POST, 404),
        ("POST", "/messages", &POST, 404),
        ("POST", "/sse", &POST, 405),
        (
            "POST",
            endpoint,
            &[("content-type", "application/json"), ("origin", "http://evil.example")],
            403,
        ),
        ("GET", "/sse", &[("host", "evil.example")], 403),
    ];
    for (method, path, headers, status) in rows {
        assert_eq!(
            server.send(method, path, headers, PING).await.status(),
            status,
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn faults_reach_the_http_transports() {
    let server = Server::start(Transport::StreamableHttp, &["die-malformed", "dup-response"]).await;
    let twice = text(server.send("POST", "/mcp", &POST, INITIALIZE).await).await;
    assert_eq!(twice.matches("\"id\":0").count(), 2);
    server.send("POST", "/mcp", &POST, "garbage").await;
    assert!(matches!(
        server.served.await.unwrap(),
        Err(ServeError::Exited { code: 1 })
    ));
}

#[tokio::test]
async fn faults_that_cannot_work_are_refused_before_serving() {
    let serve_with = |transport, fault: &str| {
        serve(ServeOptions {
            transport,
            faults: vec![fault.to_owned()],
            ..ServeOptions::default()
        })
    };
    assert!(matches!(
        serve_with(Transport::Stdio, "no-such").await,
        Err(ServeError::UnknownFault(_))
    ));
    assert!(matches!(
        serve_with(Transport::HttpSse, "banner").await,
        Err(ServeError::FaultTransport { .. })
    ));
}

mod authorization;
mod stateless;
