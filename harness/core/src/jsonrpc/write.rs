//! The messages that we send, with the exact id token in place.

use serde_json::{Value, json};

use super::id::IdToken;

/// A request.
#[must_use]
pub fn request_bytes(id: &IdToken, method: &str, params: Option<&Value>) -> Vec<u8> {
    let params = params
        .map(|params| format!(r#","params":{params}"#))
        .unwrap_or_default();
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":{}{params}}}"#, json!(method)).into_bytes()
}

/// A notification.
#[must_use]
pub fn notification_bytes(method: &str, params: Option<&Value>) -> Vec<u8> {
    let params = params
        .map(|params| format!(r#","params":{params}"#))
        .unwrap_or_default();
    format!(r#"{{"jsonrpc":"2.0","method":{}{params}}}"#, json!(method)).into_bytes()
}

/// The answer to a request of the server.
#[must_use]
pub fn result_bytes(id: &IdToken, result: &Value) -> Vec<u8> {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#).into_bytes()
}

/// The refusal of a request of the server.
#[must_use]
pub fn error_bytes(id: &IdToken, code: i64, message: &str) -> Vec<u8> {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{}}}}}"#,
        json!(message)
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_token_goes_out_as_it_is() {
        let id = IdToken::from_raw("9007199254740993").unwrap();
        let bytes = request_bytes(&id, "tools/call", Some(&json!({"name": "a\"b"})));
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            r#"{"jsonrpc":"2.0","id":9007199254740993,"method":"tools/call","params":{"name":"a\"b"}}"#
        );
        assert_eq!(notification_bytes("n", None), br#"{"jsonrpc":"2.0","method":"n"}"#);
    }
}
