//! The server with authorization, from the refusal to the token that its own authorization server gives.

use super::*;

/// A server that demands tokens.
async fn guarded(faults: &[&str]) -> Server {
    let faults: Vec<_> = faults.iter().map(|id| faults::find(id).unwrap()).collect();
    let listener = bind(0).await.unwrap();
    let address = listener.local_addr().unwrap();
    let guard = guard(&listener, &faults, None).unwrap();
    let served = tokio::spawn(serve_guarded(
        listener,
        Options::new(&[], &faults, 3),
        guard,
        Served::default(),
    ));
    Server { address, served }
}

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// The challenge for the verifier (RFC 7636, appendix B).
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

#[tokio::test]
async fn a_client_gets_from_the_refusal_to_a_token_and_in() {
    let server = guarded(&[]).await;
    let refused = server.send("POST", "/mcp", &POST, INITIALIZE).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let challenge = refused.headers()["www-authenticate"].to_str().unwrap().to_owned();
    assert!(
        challenge.starts_with("Bearer scope=\"mcp:use\", resource_metadata=\"http://127.0.0.1:"),
        "{challenge}"
    );

    let resource = value(
        server
            .send("GET", "/.well-known/oauth-protected-resource/mcp", &[], "")
            .await,
    )
    .await;
    assert_eq!(resource["resource"], format!("http://{}/mcp", server.address));
    let issuer = value(
        server
            .send("GET", "/.well-known/oauth-authorization-server", &[], "")
            .await,
    )
    .await;
    assert_eq!(issuer["issuer"], resource["authorization_servers"][0]);

    let client = r#"{"redirect_uris":["http://localhost:1/cb"]}"#;
    let registered = server.send("POST", "/register", &JSON, client).await;
    assert_eq!(registered.status(), StatusCode::CREATED);
    let client = value(registered).await["client_id"].as_str().unwrap().to_owned();
    let redirect = "http%3A%2F%2Flocalhost%3A1%2Fcb";
    let query = format!(
        "/authorize?response_type=code&client_id={client}&redirect_uri={redirect}&state=a%20b&code_challenge_method=S256"
    );
    let asked = format!("{query}&code_challenge={CHALLENGE}");
    let redirected = server.send("GET", &asked, &[], "").await;
    assert_eq!(redirected.status(), StatusCode::FOUND);
    let location = redirected.headers()["location"].to_str().unwrap().to_owned();
    assert!(location.ends_with("&state=a%20b"), "{location}");
    let code = location.split_once("code=").unwrap().1.split('&').next().unwrap();

    let form = |verifier: &str| {
        format!(
            "grant_type=authorization_code&client_id={client}&redirect_uri={redirect}&code={code}&code_verifier={verifier}"
        )
    };
    let granted = server.send("POST", "/token", &[], &form(VERIFIER)).await;
    assert_eq!(granted.status(), StatusCode::OK);
    let token = value(granted).await["access_token"].as_str().unwrap().to_owned();
    let again = server.send("POST", "/token", &[], &form(VERIFIER)).await;
    assert_eq!(again.status(), StatusCode::BAD_REQUEST, "a code is good once");

    let bearer = format!("Bearer {token}");
    let headers = [POST[0], POST[1], ("authorization", bearer.as_str())];
    assert_eq!(
        server.send("POST", "/mcp", &headers, INITIALIZE).await.status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_client_or_a_code_is_refused() {
    let server = guarded(&[]).await;
    for uris in [
        "[\"http://example.com/cb\"]",
        "[]",
        "[\"https://a/#x\"]",
        "[1]",
        "\"https://a/\"",
    ] {
        let body = format!("{{\"redirect_uris\":{uris}}}");
        let registered = server.send("POST", "/register", &JSON, &body).await;
        assert_eq!(registered.status(), StatusCode::BAD_REQUEST, "{uris}");
    }
    let asked = server
        .send(
            "GET",
            "/authorize?response_type=code&client_id=x&redirect_uri=https%3A%2F%2Fa",
            &[],
            "",
        )
        .await;
    assert_eq!(asked.status(), StatusCode::BAD_REQUEST);
    let granted = server
        .send("POST", "/token", &[], "grant_type=authorization_code&code=x")
        .await;
    assert_eq!(granted.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn bad_tokens_are_told_apart_from_none_and_from_malformed_ones() {
    let server = guarded(&[]).await;
    for (field, status, error) in [
        ("Basic eDp5", 401, ""),
        ("Bearer", 400, "invalid_request"),
        ("Bearer a b", 400, "invalid_request"),
        ("Bearer garbage", 401, "invalid_token"),
        // The header of an unsigned token, and claims.
        ("Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.", 401, "invalid_token"),
    ] {
        let headers = [POST[0], POST[1], ("authorization", field)];
        let refused = server.send("POST", "/mcp", &headers, INITIALIZE).await;
        let challenge = refused.headers()["www-authenticate"].to_str().unwrap().to_owned();
        assert_eq!(refused.status().as_u16(), status, "{field}");
        assert_eq!(
            challenge.contains("error=\""),
            !error.is_empty(),
            "{field}: {challenge}"
        );
        assert!(challenge.contains(error), "{field}: {challenge}");
    }
    // A page of somebody else learns nothing, not even that a token is needed.
    let headers = [POST[0], POST[1], ("origin", "https://evil.example")];
    assert_eq!(
        server.send("POST", "/mcp", &headers, INITIALIZE).await.status(),
        StatusCode::FORBIDDEN
    );
}
