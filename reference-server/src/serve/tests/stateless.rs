//! The stateless era over a loopback connection: statuses, streams, and that both eras live at one endpoint.

use super::*;

fn body(id: &str, method: &str, mut params: Value) -> String {
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({ "elicitation": {} });
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
}

/// Posts a request with the header that it needs.
async fn post(server: &Server, method: &str, params: Value) -> Response<Incoming> {
    let name = params
        .get("name")
        .or(params.get("uri"))
        .and_then(Value::as_str)
        .map(str::to_owned);
    let mut headers = vec![
        POST[0],
        POST[1],
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", method),
    ];
    if let Some(name) = &name {
        headers.push(("mcp-name", name));
    }
    server.send("POST", "/mcp", &headers, &body("r", method, params)).await
}

async fn of_this_era_alone() -> Server {
    let listener = bind(0).await.unwrap();
    let address = listener.local_addr().unwrap();
    let options = Options::new(&[Revision::V2026_07_28], &[], 3);
    let served = tokio::spawn(serve_http(
        listener,
        Transport::StreamableHttp,
        options,
        Served::default(),
    ));
    Server { address, served }
}

#[tokio::test]
async fn errors_have_their_statuses() {
    let server = Server::start(Transport::StreamableHttp, &[]).await;
    for (method, params, status) in [
        ("server/discover", json!({}), 200),
        ("no/such", json!({}), 404),
        ("initialize", json!({}), 404),
        ("ping", json!({}), 404),
        ("tools/call", json!({ "name": "test_missing_capability" }), 400),
        ("tools/call", json!({ "name": "risky_tool", "arguments": {} }), 200),
        (
            "tools/call",
            json!({ "name": "test_input_required_result_elicitation" }),
            200,
        ),
    ] {
        let reply = post(&server, method, params).await;
        assert_eq!(reply.status(), status, "{method}");
        assert!(!reply.headers().contains_key("mcp-session-id"));
        assert_eq!(reply.headers()["content-type"], "application/json");
        assert_eq!(value(reply).await["id"], "r");
    }
    let modern = [
        POST[0],
        POST[1],
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "server/discover"),
    ];
    let discover = body("r", "server/discover", json!({}));
    let old = discover.replace("2026-07-28", "1900-01-01");
    let old_header = [
        POST[0],
        POST[1],
        ("mcp-protocol-version", "1900-01-01"),
        ("mcp-method", "server/discover"),
    ];
    for (headers, body, status, code) in [
        (&modern[..3], discover.as_str(), 400, -32020),
        (&old_header[..], &old, 400, -32022),
        (&old_header[..], &discover, 400, -32020),
        (&POST[..], &discover, 400, -32020),
        (&modern[..], PING, 400, -32602),
        (&modern[..], "garbage", 400, -32700),
        (&modern[..], "[]", 400, -32600),
    ] {
        let reply = server.send("POST", "/mcp", headers, body).await;
        assert_eq!(reply.status(), status, "{headers:?}");
        assert_eq!(value(reply).await["error"]["code"], code, "{headers:?} {body}");
    }
    for (headers, body, status) in [
        (&modern[..], r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, 400),
        (
            &modern[..],
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"x"}}"#,
            202,
        ),
        (
            &[&modern[..], &[("origin", "http://evil.example")]].concat()[..],
            discover.as_str(),
            403,
        ),
        (
            &[&modern[..], &[("mcp-session-id", "junk"), ("last-event-id", "1")]].concat()[..],
            &discover,
            200,
        ),
        (
            &[("accept", "application/json"), POST[1], modern[2], modern[3]][..],
            &discover,
            406,
        ),
        (
            &[POST[0], ("content-type", "text/plain"), modern[2], modern[3]][..],
            &discover,
            415,
        ),
    ] {
        assert_eq!(
            server.send("POST", "/mcp", headers, body).await.status(),
            status,
            "{headers:?}"
        );
    }
    for method in ["GET", "DELETE"] {
        let refused = server.send(method, "/mcp", &[POST[0], modern[2]], "").await;
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["allow"]),
            (405, &"POST".parse().unwrap())
        );
    }
}

#[tokio::test]
async fn both_eras_live_at_one_endpoint() {
    let server = Server::start(Transport::StreamableHttp, &[]).await;
    let initialized = server.send("POST", "/mcp", &POST, INITIALIZE).await;
    let session = initialized.headers()["mcp-session-id"].to_str().unwrap().to_owned();
    let list = value(post(&server, "tools/list", json!({})).await).await;
    assert_eq!(list["result"]["resultType"], "complete");
    let headers = [
        POST[0],
        POST[1],
        ("mcp-session-id", &*session),
        ("mcp-protocol-version", "2025-06-18"),
    ];
    let pinged = value(server.send("POST", "/mcp", &headers, PING).await).await;
    assert_eq!(pinged["result"], json!({}));
    // The version decides between the eras where the method is named in a header too.
    let named = [
        POST[0],
        POST[1],
        ("mcp-protocol-version", "2025-11-25"),
        ("mcp-method", "initialize"),
    ];
    let again = server.send("POST", "/mcp", &named, INITIALIZE).await;
    assert!(again.headers().contains_key("mcp-session-id"));

    let alone = of_this_era_alone().await;
    let refused = alone.send("POST", "/mcp", &POST, INITIALIZE).await;
    assert_eq!(refused.status(), 400);
    assert_eq!(
        value(refused).await["error"]["data"]["supported"],
        json!(["2026-07-28"])
    );
    for method in ["GET", "DELETE"] {
        assert_eq!(alone.send(method, "/mcp", &[POST[0]], "").await.status(), 405);
    }
}

#[tokio::test]
async fn who_listens_is_told_what_others_change_until_somebody_goes() {
    let server = Server::start(Transport::StreamableHttp, &[]).await;
    let filter = json!({ "notifications": { "toolsListChanged": true } });
    let mut stream = post(&server, "subscriptions/listen", filter.clone()).await;
    assert_eq!(
        (stream.status().as_u16(), &stream.headers()["x-accel-buffering"]),
        (200, &"no".parse().unwrap())
    );
    let first = next_event(&mut stream).await;
    assert!(first.contains("acknowledged") && !first.contains("id: "), "{first}");
    let other = post(&server, "subscriptions/listen", filter).await;
    drop(other);
    post(
        &server,
        "tools/call",
        json!({ "name": "test_change_lists", "arguments": {} }),
    )
    .await;
    assert!(next_event(&mut stream).await.contains("tools/list_changed"));
    let progress = json!({ "name": "slow", "arguments": { "milliseconds": 50 }, "_meta": { "progressToken": 1 } });
    let events = text(post(&server, "tools/call", progress).await).await;
    assert_eq!(
        (
            events.matches("notifications/progress").count(),
            events.matches("\"id\":\"r\"").count()
        ),
        (4, 1)
    );
}
