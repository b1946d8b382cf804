//! Bytes as they stood on the wire, with a text view where there is one.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Raw bytes. Serialised as a string where they are text and as `{"base64": "..."}` where not: where they are no UTF-8, or full of control
/// characters, each of which JSON writes with six bytes.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Payload(Vec<u8>);

impl Payload {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text, invalid sequences replaced. For display only.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl From<&str> for Payload {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.text())
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) if !is_full_of_controls(&self.0) => serializer.serialize_str(text),
            _ => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("base64", &STANDARD.encode(&self.0))?;
                map.end()
            }
        }
    }
}

/// Below this size it does not matter how bytes are written, and what people can read is better.
const SMALL: usize = 4096;

/// Whether more than an eighth of the bytes are control characters other than white space.
fn is_full_of_controls(bytes: &[u8]) -> bool {
    if bytes.len() < SMALL {
        return false;
    }
    let controls = bytes
        .iter()
        .filter(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace());
    controls.count() > bytes.len() / 8
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PayloadVisitor)
    }
}

struct PayloadVisitor;

impl<'de> Visitor<'de> for PayloadVisitor {
    type Value = Payload;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string, or {\"base64\": \"...\"}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Payload, E> {
        Ok(Payload::from(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Payload, A::Error> {
        match map.next_entry::<String, String>()? {
            Some((key, encoded)) if key == "base64" => STANDARD
                .decode(encoded)
                .map(Payload)
                .map_err(|error| de::Error::custom(format!("invalid base64: {error}"))),
            _ => Err(de::Error::custom("expected the single member \"base64\"")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_a_round_trip_as_text_or_base64() {
        for bytes in [&b"{\"id\":1}"[..], b"", b"caf\xc3\xa9", b"\xff\xfe\x00"] {
            let payload = Payload::from(bytes);
            let json = serde_json::to_string(&payload).unwrap();
            assert_eq!(serde_json::from_str::<Payload>(&json).unwrap(), payload, "{json}");
        }
        let nothing = Payload::from(vec![0; 30_000]);
        let json = serde_json::to_string(&nothing).unwrap();
        assert!(json.len() < 50_000, "NUL is not written with six bytes");
        assert_eq!(serde_json::from_str::<Payload>(&json).unwrap(), nothing);
        assert_eq!(serde_json::to_string(&Payload::from("a")).unwrap(), "\"a\"");
        assert_eq!(
            serde_json::to_string(&Payload::from(&b"\xff"[..])).unwrap(),
            r#"{"base64":"/w=="}"#
        );
    }
}
