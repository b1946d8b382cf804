//! One message as it stood on the wire, and what kind of message it is.

use std::ops::Range;

use serde_json::Value;

use super::id::IdToken;
use super::scan::{self, Fault, Limits, Member, Oddity, Stop};

/// What some bytes are.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// More bytes could make them a JSON text.
    Incomplete,
    /// No bytes could.
    Invalid(Fault),
    /// One JSON text.
    Complete(Document),
}

/// One JSON text.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Its value; `None` when it is nested too deeply to be held.
    pub value: Option<Value>,
    /// What kind of message it is.
    pub shape: Shape,
    /// What is unusual about it.
    pub oddities: Vec<Oddity>,
    /// Members of the outermost object, with the place of their values.
    pub members: Vec<Member>,
    /// Deepest nesting.
    pub depth: usize,
    /// Values and member names in it.
    pub nodes: usize,
}

/// What kind of message a JSON text is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// A method with an id.
    Request {
        /// The id token.
        id: IdToken,
        /// The method.
        method: String,
        /// Whether there is a `params` member.
        has_params: bool,
    },
    /// A method without an id.
    Notification {
        /// The method.
        method: String,
        /// Whether there is a `params` member.
        has_params: bool,
    },
    /// A result.
    Response {
        /// The id token; `None` when the member is missing.
        id: Option<IdToken>,
    },
    /// An error.
    ErrorResponse {
        /// The id token; `None` when the member is missing.
        id: Option<IdToken>,
    },
    /// An array of messages.
    Batch(Vec<Element>),
    /// Other JSON, with the reason.
    NotAMessage(String),
}

/// An element of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// What kind of message it is.
    pub shape: Shape,
    /// Where it stands.
    pub bytes: Range<usize>,
}

/// Reads the bytes of one frame.
///
/// ```
/// use touchstone_core::jsonrpc::{Limits, Reading, Shape, read};
/// let Reading::Complete(document) = read(br#"{"jsonrpc":"2.0","id":"7","method":"ping"}"#, &Limits::default()) else { panic!() };
/// let Shape::Request { id, method, .. } = document.shape else { panic!() };
/// assert_eq!((id.as_str(), method.as_str()), ("\"7\"", "ping"));
/// assert_eq!(read(b"{\"id\":", &Limits::default()), Reading::Incomplete);
/// ```
#[must_use]
pub fn read(bytes: &[u8], limits: &Limits) -> Reading {
    let scan = match scan::scan(bytes, limits) {
        Ok(scan) => scan,
        Err(Stop::Incomplete) => return Reading::Incomplete,
        Err(Stop::Invalid(fault)) => return Reading::Invalid(fault),
    };
    let body = &bytes[scan.value.clone()];
    let softens = |oddity: &Oddity| matches!(oddity, Oddity::LoneSurrogate | Oddity::LossyNumber(_));
    let value = serde_json::from_slice(body).ok().or_else(|| {
        let softened = scan.oddities.iter().any(softens).then(|| softened(body))?;
        serde_json::from_slice(&softened).ok()
    });
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let shape = match body.first() {
        Some(b'{') => shape_of(text, &scan.members),
        Some(b'[') => Shape::Batch(elements(text, &scan.elements, limits)),
        _ => Shape::NotAMessage("it is no object".to_owned()),
    };
    Reading::Complete(Document {
        value,
        shape,
        oddities: scan.oddities,
        members: scan.members,
        depth: scan.max_depth,
        nodes: scan.nodes,
    })
}

/// The value of one frame; `None` when it is no JSON, or more of it than the usual limits let anybody hold.
///
/// ```
/// use touchstone_core::jsonrpc::value;
/// assert_eq!(value(b"[1]"), Some(serde_json::json!([1])));
/// assert_eq!(value(b"[1"), None);
/// assert_eq!(value(format!("[{}0]", "0,".repeat(500_000)).as_bytes()), None);
/// ```
#[must_use]
pub fn value(bytes: &[u8]) -> Option<Value> {
    match read(bytes, &Limits::default()) {
        Reading::Complete(document) => document.value,
        Reading::Incomplete | Reading::Invalid(_) => None,
    }
}

/// Well-formed JSON with what no value can hold replaced by what comes nearest: half a surrogate pair by the replacement character, a number
/// beyond measure by the largest. The bytes themselves are judged elsewhere; here a strange answer must not look like none.
fn softened(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let unit = |at: usize| -> Option<u32> {
        let digits = body.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let (mut at, mut in_string) = (0, false);
    while let Some(byte) = body.get(at) {
        match byte {
            b'\\' if in_string => {
                let length = match unit(at) {
                    Some(0xD800..0xDC00) if matches!(unit(at + 6), Some(0xDC00..0xE000)) => 12,
                    Some(0xD800..0xE000) => {
                        out.extend_from_slice(b"\\ufffd");
                        at += 6;
                        continue;
                    }
                    Some(_) => 6,
                    None => 2,
                };
                out.extend_from_slice(&body[at..(at + length).min(body.len())]);
                at += length;
                continue;
            }
            b'"' => in_string = !in_string,
            b'-' | b'0'..=b'9' if !in_string => {
                let rest = &body[at..];
                let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
                let length = rest.iter().position(|byte| !is_part(byte)).unwrap_or(rest.len());
                let token = std::str::from_utf8(&rest[..length]).unwrap_or("0");
                match token.parse::<f64>() {
                    Ok(number) if number == f64::INFINITY => out.extend_from_slice(b"1.7976931348623157e308"),
                    Ok(number) if number == f64::NEG_INFINITY => out.extend_from_slice(b"-1.7976931348623157e308"),
                    _ => out.extend_from_slice(token.as_bytes()),
                }
                at += length;
                continue;
            }
            _ => {}
        }
        out.push(*byte);
        at += 1;
    }
    out
}

fn elements(text: &str, ranges: &[Range<usize>], limits: &Limits) -> Vec<Element> {
    let element = |range: &Range<usize>| {
        let part = &text[range.clone()];
        let shape = match scan::scan(part.as_bytes(), limits) {
            Ok(scan) if part.starts_with('{') => shape_of(part, &scan.members),
            _ => Shape::NotAMessage("it is no object".to_owned()),
        };
        Element {
            shape,
            bytes: range.clone(),
        }
    };
    ranges.iter().map(element).collect()
}

/// The kind of message that an object with these members is. Of members that occur twice, the last counts, as for most readers.
fn shape_of(text: &str, members: &[Member]) -> Shape {
    let token = |name: &str| {
        members
            .iter()
            .rfind(|member| member.name == name)
            .map(|member| &text[member.value.clone()])
    };
    let id = token("id").map(IdToken::scanned);
    let has_params = token("params").is_some();
    // Some libraries write the member that they do not use as null: what was meant is plain, and the envelope monitor reports it.
    let (result, error) = match (token("result"), token("error")) {
        (result @ Some(_), Some("null")) => (result, None),
        (Some("null"), error @ Some(_)) => (None, error),
        both => both,
    };
    match (token("method"), result, error) {
        (Some(method), None, None) => match (serde_json::from_str::<String>(method), id) {
            (Ok(method), Some(id)) => Shape::Request { id, method, has_params },
            (Ok(method), None) => Shape::Notification { method, has_params },
            (Err(_), _) => Shape::NotAMessage("its method is no string".to_owned()),
        },
        (None, Some(_), None) => Shape::Response { id },
        (None, None, Some(_)) => Shape::ErrorResponse { id },
        (None, Some(_), Some(_)) => Shape::NotAMessage("it has both result and error".to_owned()),
        (Some(_), ..) => Shape::NotAMessage("it has method together with result or error".to_owned()),
        (None, None, None) => Shape::NotAMessage("it has neither method nor result nor error".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::FaultKind;
    use super::*;
    use proptest::prelude::*;

    fn complete(text: &str) -> Document {
        match read(text.as_bytes(), &Limits::default()) {
            Reading::Complete(document) => document,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn what_no_value_can_hold_does_not_hide_the_rest() {
        let text = r#"{"id":1,"result":{"a":"\ud800x\ud83d\ude00\\u\"","n":[1e999999,-1e999999,12]}}"#;
        let value = complete(text).value.unwrap();
        assert_eq!(value["result"]["a"], "\u{fffd}x😀\\u\"");
        assert_eq!(value["result"]["n"], serde_json::json!([f64::MAX, f64::MIN, 12]));
    }

    #[test]
    fn kinds_of_messages_are_told_apart() {
        let id = || Some(IdToken::from_raw("1").unwrap());
        for (text, wanted) in [
            (
                r#"{"id":1,"method":"a"}"#,
                Shape::Request {
                    id: id().unwrap(),
                    method: "a".into(),
                    has_params: false,
                },
            ),
            (
                r#"{"method":"a","params":{}}"#,
                Shape::Notification {
                    method: "a".into(),
                    has_params: true,
                },
            ),
            (r#"{ "id" : 1 , "result" : {} }"#, Shape::Response { id: id() }),
            (r#"{"id":1,"result":{},"error":null}"#, Shape::Response { id: id() }),
            (
                r#"{"id":1,"result":null,"error":{}}"#,
                Shape::ErrorResponse { id: id() },
            ),
            (r#"{"error":{}}"#, Shape::ErrorResponse { id: None }),
            (
                r#"{"id":null,"error":{}}"#,
                Shape::ErrorResponse {
                    id: IdToken::from_raw("null"),
                },
            ),
        ] {
            assert_eq!(complete(text).shape, wanted, "{text}");
        }
        for text in [
            r#"{"id":1}"#,
            r#"{"id":1,"result":{},"error":{}}"#,
            r#"{"method":"a","result":1}"#,
            r#"{"method":1}"#,
            "5",
            "{}",
        ] {
            assert!(matches!(complete(text).shape, Shape::NotAMessage(_)), "{text}");
        }
    }

    #[test]
    fn batches_keep_the_place_of_their_elements() {
        let text = r#"[ {"id":1,"method":"a"}, 5 ,{"method":"b"}]"#;
        let Shape::Batch(elements) = complete(text).shape else {
            panic!()
        };
        let parts: Vec<&str> = elements.iter().map(|element| &text[element.bytes.clone()]).collect();
        assert_eq!(parts, [r#"{"id":1,"method":"a"}"#, "5", r#"{"method":"b"}"#]);
        assert!(matches!(elements[1].shape, Shape::NotAMessage(_)));
        assert_eq!(complete("[]").shape, Shape::Batch(vec![]));
        assert_eq!(complete("[ ]").shape, Shape::Batch(vec![]));
    }

    #[test]
    fn members_are_found_with_their_bytes() {
        let text = r#"{ "id" : {"a":[1,{}]} , "x":[] , "y": {} }"#;
        let document = complete(text);
        let parts: Vec<(&str, &str)> = document
            .members
            .iter()
            .map(|member| (member.name.as_str(), &text[member.value.clone()]))
            .collect();
        assert_eq!(parts, [("id", r#"{"a":[1,{}]}"#), ("x", "[]"), ("y", "{}")]);
        assert!(complete("{}").members.is_empty() && complete("{ }").members.is_empty());
    }

    #[test]
    fn what_is_cut_off_is_incomplete_and_what_is_wrong_is_not() {
        let text = r#"{"a":[1,-2.5e3,"x\u00e9\ud83d\ude00"],"b":{"c":true,"d":null}}"#;
        for end in 0..text.len() {
            assert_eq!(
                read(&text.as_bytes()[..end], &Limits::default()),
                Reading::Incomplete,
                "{}",
                &text[..end]
            );
        }
        for (text, kind) in [
            ("Server started", FaultKind::Syntax),
            ("{\"a\":1}}", FaultKind::Trailing),
            ("{\"a\":1} x", FaultKind::Trailing),
            ("{a:1}", FaultKind::Syntax),
            ("[1,]", FaultKind::Syntax),
            ("01", FaultKind::Trailing),
            ("\"\\x\"", FaultKind::Syntax),
            ("\"a\nb\"", FaultKind::Syntax),
            ("nul1", FaultKind::Syntax),
        ] {
            match read(text.as_bytes(), &Limits::default()) {
                Reading::Invalid(fault) => assert_eq!(fault.kind, kind, "{text}: {fault:?}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        assert!(matches!(
            read(b"{\"a\":\"\xff\"}", &Limits::default()),
            Reading::Invalid(Fault {
                kind: FaultKind::Utf8,
                offset: 6,
                ..
            })
        ));
    }

    #[test]
    fn oddities_are_told_and_do_no_harm() {
        assert_eq!(complete("\u{feff}{}").oddities, [Oddity::ByteOrderMark]);
        assert_eq!(complete("{}\r").oddities, [Oddity::CarriageReturn]);
        assert_eq!(
            complete(r#"{"a":1,"b":{"c":1,"c":2}}"#).oddities,
            [Oddity::DuplicateName("c".into())]
        );
        assert_eq!(complete(r#"["\ud800"]"#).oddities, [Oddity::LoneSurrogate]);
        assert_eq!(complete(r#"["\ud83d\ude00"]"#).oddities, []);
        assert_eq!(complete("[1e999]").oddities, [Oddity::LossyNumber("1e999".into())]);
    }

    #[test]
    fn deep_nesting_is_read_without_a_value_and_capped() {
        let deep = |levels: usize| {
            format!(
                "{{\"id\":1,\"method\":\"m\",\"params\":{}{}}}",
                "[".repeat(levels),
                "]".repeat(levels)
            )
        };
        let document = complete(&deep(50_000));
        assert_eq!((document.value, document.depth), (None, 50_001));
        assert!(matches!(document.shape, Shape::Request { .. }));
        let limits = Limits {
            depth: 10,
            ..Limits::default()
        };
        assert!(matches!(
            read(deep(10).as_bytes(), &limits),
            Reading::Invalid(Fault {
                kind: FaultKind::Limit,
                ..
            })
        ));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(&bytes, &Limits::default());
        }

        #[test]
        fn validity_agrees_with_serde_json(text in r#"[\[\]{}",:0-9a-f\\u\-.eE tn]{0,24}"#) {
            let ours = matches!(read(text.as_bytes(), &Limits::default()), Reading::Complete(_));
            // serde_json refuses numbers that overflow and lone surrogates; both are well-formed.
            if let Err(error) = serde_json::from_str::<Value>(&text) {
                let tolerated = error.to_string().contains("out of range") || error.to_string().contains("surrogate");
                prop_assert!(!ours || tolerated, "{} {}", text, error);
            } else {
                prop_assert!(ours, "{}", text);
            }
        }
    }
}
