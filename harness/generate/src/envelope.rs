//! Messages that no client may send: broken envelopes, odd ids, broken JSON, bytes that are no text, too much of everything.
//!
//! A server may answer each of them as it likes, or not at all. What it may not do is die, fall silent for good, or mix up other requests.

use std::collections::VecDeque;

use crate::dice::Dice;

/// A message that breaks a rule, with what is wrong about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong, in words without values: part of a finding's identity.
    pub label: &'static str,
    /// Messages that are wrong in the same way, for example because they are no JSON.
    pub family: &'static str,
    /// The bytes, without a newline at the end.
    pub bytes: Vec<u8>,
}

/// The family of messages whose bytes are no UTF-8.
const NO_TEXT: &str = "bytes that are no UTF-8";

/// How deep values are nested, what finds most first.
const DEPTHS: [usize; 8] = [1_000, 100_000, 129, 256, 64, 126, 127, 128];

/// Malformed messages around a request for `method`, the same every time. Ids begin with `id`, which no other request uses.
#[must_use]
pub fn malformed(method: &str, id: &str) -> Vec<Malformed> {
    let mut made = Maker {
        found: Vec::new(),
        method,
        id,
    };
    envelopes(&mut made);
    ids(&mut made);
    batches(&mut made);
    broken_json(&mut made);
    bytes(&mut made);
    nesting(&mut made);
    sizes(&mut made);
    in_turn(made.found)
}

/// One message of each family after the other, so that a short campaign sends something of each.
fn in_turn(all: Vec<Malformed>) -> Vec<Malformed> {
    let mut families: Vec<(&'static str, VecDeque<Malformed>)> = Vec::new();
    for message in all {
        match families.iter_mut().find(|(family, _)| *family == message.family) {
            Some((_, members)) => members.push_back(message),
            None => families.push((message.family, VecDeque::from([message]))),
        }
    }
    let mut mixed = Vec::new();
    while families.iter().any(|(_, members)| !members.is_empty()) {
        mixed.extend(families.iter_mut().filter_map(|(_, members)| members.pop_front()));
    }
    mixed
}

/// Bytes that are no text are that before they are anything else.
fn family_of(bytes: &[u8], otherwise: &'static str) -> &'static str {
    match std::str::from_utf8(bytes) {
        Ok(_) => otherwise,
        Err(_) => NO_TEXT,
    }
}

struct Maker<'a> {
    found: Vec<Malformed>,
    method: &'a str,
    id: &'a str,
}

impl Maker<'_> {
    fn raw(&mut self, family: &'static str, label: &'static str, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        self.found.push(Malformed {
            label,
            family: family_of(&bytes, family),
            bytes,
        });
    }

    /// A template in which ID and METHOD are filled in.
    fn text(&mut self, family: &'static str, label: &'static str, template: &str) {
        let id = format!("\"{}-{}\"", self.id, self.found.len());
        let text = template
            .replace("ID", &id)
            .replace("METHOD", &format!("\"{}\"", self.method));
        self.raw(family, label, text);
    }
}

fn envelopes(made: &mut Maker<'_>) {
    const FAMILY: &str = "envelope";
    for (label, template) in [
        ("no jsonrpc member", r#"{"id":ID,"method":METHOD}"#),
        (
            "an old version of JSON-RPC",
            r#"{"jsonrpc":"1.0","id":ID,"method":METHOD}"#,
        ),
        ("the version as a number", r#"{"jsonrpc":2.0,"id":ID,"method":METHOD}"#),
        ("the version as null", r#"{"jsonrpc":null,"id":ID,"method":METHOD}"#),
        ("no method", r#"{"jsonrpc":"2.0","id":ID}"#),
        ("the method as a number", r#"{"jsonrpc":"2.0","id":ID,"method":7}"#),
        ("the method as null", r#"{"jsonrpc":"2.0","id":ID,"method":null}"#),
        ("the method as a list", r#"{"jsonrpc":"2.0","id":ID,"method":[METHOD]}"#),
        ("the method as an object", r#"{"jsonrpc":"2.0","id":ID,"method":{}}"#),
        ("an empty method", r#"{"jsonrpc":"2.0","id":ID,"method":""}"#),
        (
            "params as a list",
            r#"{"jsonrpc":"2.0","id":ID,"method":METHOD,"params":[]}"#,
        ),
        (
            "params as a list of values",
            r#"{"jsonrpc":"2.0","id":ID,"method":METHOD,"params":[1,"a",null]}"#,
        ),
        (
            "params as null",
            r#"{"jsonrpc":"2.0","id":ID,"method":METHOD,"params":null}"#,
        ),
        (
            "params as a text",
            r#"{"jsonrpc":"2.0","id":ID,"method":METHOD,"params":"x"}"#,
        ),
        (
            "params as a number",
            r#"{"jsonrpc":"2.0","id":ID,"method":METHOD,"params":0}"#,
        ),
        (
            "_meta as a list",
            r#"{"jsonrpc":"2.0","id":ID,"method":METHOD,"params":{"_meta":[]}}"#,
        ),
        (
            "_meta as null",
            r#"{"jsonrpc":"2.0","id":ID,"method":METHOD,"params":{"_meta":null}}"#,
        ),
        (
            "a progress token that is an object",
            r#"{"jsonrpc":"2.0","id":ID,"method":METHOD,"params":{"_meta":{"progressToken":{}}}}"#,
        ),
        (
            "a progress token that is null",
            r#"{"jsonrpc":"2.0","id":ID,"method":METHOD,"params":{"_meta":{"progressToken":null}}}"#,
        ),
        (
            "member names in capitals",
            r#"{"Jsonrpc":"2.0","Id":ID,"Method":METHOD}"#,
        ),
        (
            "a member name with a letter that folds",
            "{\"jsonrpc\":\"2.0\",\"id\":ID,\"method\":METHOD,\"param\u{17f}\":{}}",
        ),
        (
            "a request that is a response too",
            r#"{"jsonrpc":"2.0","id":ID,"method":METHOD,"result":{}}"#,
        ),
        (
            "a request that is an error too",
            r#"{"jsonrpc":"2.0","id":ID,"method":METHOD,"error":{"code":1,"message":"m"}}"#,
        ),
        ("a response to nothing", r#"{"jsonrpc":"2.0","id":ID,"result":{}}"#),
        ("a response without id", r#"{"jsonrpc":"2.0","result":{}}"#),
        (
            "an error to nothing",
            r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32603,"message":"m"}}"#,
        ),
        (
            "an error of the wrong form",
            r#"{"jsonrpc":"2.0","id":ID,"error":"no"}"#,
        ),
        (
            "an error without id",
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}"#,
        ),
        (
            "result and error",
            r#"{"jsonrpc":"2.0","id":ID,"result":{},"error":{"code":1,"message":"m"}}"#,
        ),
        (
            "a cancellation of nothing named",
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#,
        ),
        (
            "a cancellation of an object",
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":{}}}"#,
        ),
        (
            "progress of nothing",
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":ID,"progress":"x"}}"#,
        ),
        (
            "a notification with params that are a list",
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":[1]}"#,
        ),
        (
            "a notification with params that are null",
            r#"{"jsonrpc":"2.0","method":"notifications/touchstone","params":null}"#,
        ),
        ("a request as a notification", r#"{"jsonrpc":"2.0","method":METHOD}"#),
        (
            "a call without id",
            r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"touchstone_no_such_tool","arguments":{}}}"#,
        ),
        (
            "a second opening that is empty",
            r#"{"jsonrpc":"2.0","id":ID,"method":"initialize"}"#,
        ),
        (
            "a notification of the server",
            r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#,
        ),
        (
            "a request of the server",
            r#"{"jsonrpc":"2.0","id":ID,"method":"sampling/createMessage","params":{}}"#,
        ),
        ("an empty object", "{}"),
        ("a number", "5"),
        ("a text", "\"text\""),
        ("null", "null"),
        ("true", "true"),
    ] {
        made.text(FAMILY, label, template);
    }
}

fn ids(made: &mut Maker<'_>) {
    const FAMILY: &str = "ids";
    // No number is one that the session counts to: a lenient reader would answer another request.
    for (label, token) in [
        ("an id that is null", "null"),
        ("an id that is true", "true"),
        ("an id that is a list", "[1]"),
        ("an id that is an empty list", "[]"),
        ("an id that is an object", "{\"a\":1}"),
        ("an id with a fraction", "700000001.5"),
        ("an id with a fraction of zero", "700000002.0"),
        ("an id with an exponent", "7e10"),
        ("an id beyond every number", "1e999"),
        ("an id beyond 64 bits", "123456789012345678901234567890"),
        ("an id that is minus zero", "-0"),
    ] {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{token},"method":"{}"}}"#, made.method);
        made.raw(FAMILY, label, text);
    }
    let text = format!(
        r#"{{"jsonrpc":"2.0","id":"{}-a","id":"{}-b","method":"{}"}}"#,
        made.id, made.id, made.method
    );
    made.raw(FAMILY, "two ids", text);
}

fn batches(made: &mut Maker<'_>) {
    const FAMILY: &str = "batches";
    made.text(FAMILY, "an empty list", "[]");
    made.text(FAMILY, "a list of what is no message", "[1,null,\"x\",[]]");
    made.text(
        FAMILY,
        "a list in a list",
        r#"[[{"jsonrpc":"2.0","id":ID,"method":METHOD}]]"#,
    );
    made.text(
        FAMILY,
        "a list with an opening",
        r#"[{"jsonrpc":"2.0","id":ID,"method":"initialize","params":{}}]"#,
    );
    let entry = format!(r#"{{"jsonrpc":"2.0","method":"{}"}}"#, "notifications/touchstone");
    made.raw(FAMILY, "a long list", format!("[{}]", vec![entry; 1000].join(",")));
}

fn broken_json(made: &mut Maker<'_>) {
    const FAMILY: &str = "broken JSON";
    for (label, template) in [
        (
            "JSON that is cut after a colon",
            r#"{"jsonrpc":"2.0","id":ID,"method":"#,
        ),
        ("JSON that is cut in a text", r#"{"jsonrpc":"2.0","id":ID,"method":"pi"#),
        (
            "JSON that is cut in an escape",
            r#"{"jsonrpc":"2.0","id":ID,"method":"\u00"#,
        ),
        (
            "JSON without its last brace",
            r#"{"jsonrpc":"2.0","id":ID,"method":METHOD"#,
        ),
        ("a brace too many", r#"{"jsonrpc":"2.0","id":ID,"method":METHOD}}"#),
        (
            "two messages on a line",
            r#"{"jsonrpc":"2.0","id":ID,"method":METHOD}{"jsonrpc":"2.0","id":ID,"method":METHOD}"#,
        ),
        ("a comma too many", r#"{"jsonrpc":"2.0","id":ID,"method":METHOD,}"#),
        ("a comment", r#"{"jsonrpc":"2.0",/* hello */"id":ID,"method":METHOD}"#),
        ("single quotes", r"{'jsonrpc':'2.0','id':700000003,'method':'ping'}"),
        ("names without quotes", r#"{jsonrpc:"2.0",id:ID,method:METHOD}"#),
        ("NaN", r#"{"jsonrpc":"2.0","id":ID,"method":METHOD,"params":{"x":NaN}}"#),
        (
            "Infinity",
            r#"{"jsonrpc":"2.0","id":ID,"method":METHOD,"params":{"x":-Infinity}}"#,
        ),
        (
            "a number beyond every range",
            r#"{"jsonrpc":"2.0","id":ID,"method":METHOD,"params":{"x":1e99999}}"#,
        ),
        (
            "a number with a leading zero",
            r#"{"jsonrpc":"2.0","id":ID,"method":METHOD,"params":{"x":007}}"#,
        ),
        (
            "an escape that JSON does not know",
            r#"{"jsonrpc":"2.0","id":ID,"method":METHOD,"params":{"x":"\x41"}}"#,
        ),
        (
            "half a surrogate pair",
            r#"{"jsonrpc":"2.0","id":ID,"method":METHOD,"params":{"x":"\ud800"}}"#,
        ),
        (
            "half a surrogate pair in a name",
            r#"{"jsonrpc":"2.0","id":ID,"method":METHOD,"params":{"\udfff":1}}"#,
        ),
        (
            "members that come twice",
            r#"{"jsonrpc":"2.0","jsonrpc":"2.0","id":ID,"method":METHOD,"method":"tools/list"}"#,
        ),
        ("words that are no JSON", "hello, is anybody there?"),
        ("a header of another protocol", "Content-Length: 2"),
        ("a request of HTTP", "GET / HTTP/1.1"),
        ("markup", "<?xml version=\"1.0\"?><methodCall/>"),
    ] {
        made.text(FAMILY, label, template);
    }
    let digits = "9".repeat(2_000);
    made.text(
        FAMILY,
        "a number of two thousand digits",
        &format!(r#"{{"jsonrpc":"2.0","id":ID,"method":METHOD,"params":{{"x":{digits}}}}}"#),
    );
}

fn bytes(made: &mut Maker<'_>) {
    const FAMILY: &str = "bytes";
    let around = |inside: &[u8]| -> Vec<u8> {
        let mut line = br#"{"jsonrpc":"2.0","id":"touchstone-bytes","method":""#.to_vec();
        line.extend_from_slice(inside);
        line.extend_from_slice(br#""}"#);
        line
    };
    made.raw(FAMILY, "bytes that are no UTF-8", [0xff, 0xfe]);
    made.raw(FAMILY, "a text with a broken sequence", around(&[0xc3, 0x28]));
    made.raw(FAMILY, "a text with a sequence that is cut", around(&[0xe2, 0x82]));
    made.raw(FAMILY, "a text with an overlong sequence", around(&[0xc0, 0xaf]));
    made.raw(FAMILY, "a text with an encoded surrogate", around(&[0xed, 0xa0, 0x80]));
    made.raw(FAMILY, "a text in Latin-1", around(&[0xe9]));
    made.raw(FAMILY, "a NUL byte", [0]);
    made.raw(FAMILY, "a text with a NUL byte", around(&[0]));
    made.raw(FAMILY, "a text with a raw tab", around(b"\t"));
    made.raw(FAMILY, "a text with a raw escape", around(b"\x1b[2J"));
    made.raw(FAMILY, "an empty line", b"".as_slice());
    made.raw(FAMILY, "a line of blanks", b"   \t ".as_slice());
    let ping = format!(
        r#"{{"jsonrpc":"2.0","id":"{}-bom","method":"{}"}}"#,
        made.id, made.method
    );
    made.raw(FAMILY, "a byte order mark", [b"\xef\xbb\xbf", ping.as_bytes()].concat());
    let utf16: Vec<u8> = ping.encode_utf16().flat_map(u16::to_le_bytes).collect();
    // A newline inside would cut the line; no character of an ASCII message has one in UTF-16.
    made.raw(FAMILY, "a message in UTF-16", utf16);
}

fn nesting(made: &mut Maker<'_>) {
    const FAMILY: &str = "nesting";
    let label = "values nested deeply";
    for depth in DEPTHS {
        made.raw(FAMILY, label, "[".repeat(depth));
        let inside = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        made.text(
            FAMILY,
            label,
            &format!(
                r#"{{"jsonrpc":"2.0","id":ID,"method":METHOD,"params":{{"_meta":{{"com.example/deep":{inside}}}}}}}"#
            ),
        );
        let objects = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        made.raw(FAMILY, label, objects);
    }
}

fn sizes(made: &mut Maker<'_>) {
    const FAMILY: &str = "sizes";
    let much = "a".repeat(1_000_000);
    made.raw(FAMILY, "a million letters that are no JSON", much.clone());
    made.text(
        FAMILY,
        "an id of a million letters",
        &format!(r#"{{"jsonrpc":"2.0","id":"{much}","method":METHOD}}"#),
    );
    made.text(
        FAMILY,
        "a method of a million letters",
        &format!(r#"{{"jsonrpc":"2.0","id":ID,"method":"{much}"}}"#),
    );
    let many: Vec<String> = (0..20_000).map(|index| format!("\"m{index}\":{index}")).collect();
    made.text(
        FAMILY,
        "an object of many members",
        &format!(
            r#"{{"jsonrpc":"2.0","id":ID,"method":METHOD,"params":{{"_meta":{{"com.example/x":{{{}}}}}}}}}"#,
            many.join(",")
        ),
    );
}

impl Malformed {
    /// The message with some bytes changed at random; never a newline, which would make two messages of it.
    #[must_use]
    pub fn disturbed(&self, dice: &mut Dice) -> Self {
        const SIGNS: &[u8] = b"{}[]\",:\\0-e.tn\x00\xff\x80 ";
        let mut bytes = self.bytes.clone();
        for _ in 0..=dice.below(4) {
            let at = dice.below(bytes.len() + 1);
            let sign = SIGNS[dice.below(SIGNS.len())];
            match dice.below(5) {
                0 if at < bytes.len() => bytes[at] = sign,
                1 => bytes.insert(at, sign),
                2 if at < bytes.len() => {
                    bytes.remove(at);
                }
                3 => bytes.truncate(at),
                _ => {
                    let end = (at + dice.below(16)).min(bytes.len());
                    bytes.extend_from_within(at..end);
                }
            }
        }
        bytes.retain(|byte| *byte != b'\n');
        Self {
            label: "bytes changed at random",
            family: family_of(&bytes, self.family),
            bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_holds_a_newline_and_all_are_different() {
        let all = malformed("ping", "odd");
        assert!(all.len() > 120, "{}", all.len());
        assert!(all.iter().all(|message| !message.bytes.contains(&b'\n')));
        let mut dice = Dice::new(1, 1);
        for message in &all {
            assert!(!message.disturbed(&mut dice).bytes.contains(&b'\n'));
        }
        let first: std::collections::BTreeSet<&str> = all.iter().take(8).map(|message| message.family).collect();
        assert_eq!(first.len(), 8, "every family has its turn: {first:?}");
        let distinct: std::collections::BTreeSet<&[u8]> = all.iter().map(|message| message.bytes.as_slice()).collect();
        assert_eq!(distinct.len(), all.len());
    }
}
