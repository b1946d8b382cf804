//! A state that the client keeps for the server, so that the server need not: sealed, because the client could write
//! anything into it (basic/utilities/mrtr, Security Considerations).
//!
//! All processes of this server have the same key, because any of them may get the retry. It is a fixture: a server in
//! earnest would be told its key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::Value;

const KEY: &[u8] = b"touchstone-reference: not a secret";

/// The value as text that nobody else can write.
pub(super) fn seal(value: &Value) -> String {
    let content = value.to_string();
    let tag = hmac::sign(&key(), content.as_bytes());
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    format!("{}.{}", encode(content.as_bytes()), encode(tag.as_ref()))
}

/// The value, if it was sealed here.
pub(super) fn open(sealed: &str) -> Option<Value> {
    let (content, tag) = sealed.split_once('.')?;
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let content = decode(content)?;
    hmac::verify(&key(), &content, &decode(tag)?).ok()?;
    serde_json::from_slice(&content).ok()
}

fn key() -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, KEY)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_was_sealed_opens() {
        let value = json!({ "a": [1, "é"] });
        let sealed = seal(&value);
        assert_eq!(open(&sealed), Some(value));
        let (content, tag) = sealed.split_once('.').unwrap();
        let other = seal(&json!({ "a": 2 }));
        for tampered in [
            format!("{sealed}x"),
            format!("{content}."),
            format!("{}.{tag}", other.split_once('.').unwrap().0),
            content.to_owned(),
            String::new(),
        ] {
            assert_eq!(open(&tampered), None, "{tampered}");
        }
    }
}
