//! Fuzz targets for every reader of foreign bytes, as plain functions.
//!
//! Each asserts real properties. `fuzz_targets/` feeds them from libFuzzer under `cfg(fuzzing)`, and from files otherwise, so that a finding
//! replays on the stable toolchain; the smoke test feeds them some thousand inputs with every `cargo test`.

mod schema_source;

use std::sync::OnceLock;

use arbitrary::Unstructured;
use serde_json::{Value, json};
use touchstone_core::case::Suite;
use touchstone_core::jsonrpc::{self, Limits, Line, LineReader, Reading};
use touchstone_core::revision::Revision;
use touchstone_core::spec::judge::{DialectPolicy, Judgement, SchemaJudge};
use touchstone_core::spec::requirement::Catalog;
use touchstone_core::spec::schema::SchemaLibrary;
use touchstone_core::sse::{SseItem, SseReader};
use touchstone_core::trace::Trace;
use touchstone_drive::fuzz::StoredCase;
use touchstone_generate::{Dice, Generator};
use touchstone_reference_server::{Conversation, Options, Output};

/// The reader of JSON-RPC frames, the splitter of lines and the reader of trace files.
pub fn json_rpc(bytes: &[u8]) {
    let ours = jsonrpc::read(bytes, &Limits::default());
    let theirs = serde_json::from_slice::<Value>(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
    match (&ours, theirs) {
        (Reading::Complete(document), theirs) => {
            for member in &document.members {
                assert!(member.value.end <= bytes.len());
                assert!(matches!(
                    jsonrpc::read(&bytes[member.value.clone()], &Limits::default()),
                    Reading::Complete(_)
                ));
            }
            if let Err(error) = theirs {
                // serde_json refuses what it cannot hold, although it is well-formed.
                let text = error.to_string();
                let limit = ["recursion", "out of range", "surrogate", "hex escape"]
                    .iter()
                    .any(|limit| text.contains(limit));
                assert!(limit, "{text}: {:?}", String::from_utf8_lossy(bytes));
            }
        }
        (other, Ok(value)) => panic!("{other:?} for {value}"),
        (_, Err(_)) => {}
    }
    let lines = |chunk: usize| {
        let mut reader = LineReader::new(64);
        let mut lines: Vec<Line> = Vec::new();
        for chunk in bytes.chunks(chunk) {
            reader.push(chunk);
            lines.extend(std::iter::from_fn(|| reader.next_line()));
        }
        lines
    };
    assert_eq!(lines(1), lines(7));
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(trace) = Trace::from_json_lines(text)
        && let Ok(written) = trace.to_json_lines()
    {
        assert!(Trace::from_json_lines(&written).is_ok_and(|again| again == trace));
    }
}

/// The reader of event streams: chunks do not matter, and memory is bounded.
pub fn sse(bytes: &[u8]) {
    let items = |chunk: usize| -> Vec<SseItem> {
        let mut reader = SseReader::new(64);
        for chunk in bytes.chunks(chunk) {
            reader.push(chunk);
        }
        reader.finish()
    };
    let whole = items(bytes.len().max(1));
    assert_eq!(whole, items(1));
    for item in whole {
        if let SseItem::Event(event) = item {
            assert!(event.data.len() <= 64);
        }
    }
}

/// The judge of schemas that servers send: whatever the schema, it ends, and says something.
pub fn schema(bytes: &[u8]) {
    if bytes.len() > 4096 {
        return;
    }
    let Ok(schema) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    for policy in [DialectPolicy::Exactly2020, DialectPolicy::AnyCommon] {
        if let Ok(judge) = SchemaJudge::compile(&schema, policy) {
            for value in [
                Value::Null,
                Value::from("text"),
                serde_json::json!({ "a": [1, 2.5, "x"] }),
            ] {
                let _ = judge.judge(&value);
            }
        }
    }
}

/// The reference server: whatever comes in, only JSON-RPC messages go out.
pub fn reference_server(bytes: &[u8]) {
    let mut conversation = Conversation::new(&Options::default());
    for line in bytes.split(|byte| *byte == b'\n') {
        for output in conversation.receive(line) {
            if let Output::Message { message, .. } = output {
                let bytes = message.to_bytes();
                let value: Value = serde_json::from_slice(&bytes).expect("every message is JSON");
                let messages = value.as_array().cloned().unwrap_or_else(|| vec![value]);
                assert!(
                    messages.iter().all(|message| message["jsonrpc"] == "2.0"),
                    "{messages:?}"
                );
            }
        }
    }
}

/// The generator, over schemas made from the bytes: what it calls valid is, what it calls broken is, and the same schema gives the same values.
pub fn generator(bytes: &[u8]) {
    let mut source = Unstructured::new(bytes);
    let schema = schema_source::schema(&mut source, 0);
    let Ok(generator) = Generator::new(&schema) else { return };
    let Ok(judge) = SchemaJudge::compile(&schema, DialectPolicy::AnyCommon) else {
        panic!("the generator takes a schema that the judge refuses: {schema}");
    };
    if let Ok(value) = generator.simplest() {
        assert_eq!(judge.judge(&value), Judgement::Valid, "{schema}: {value}");
        assert_eq!(generator.simplest().as_ref(), Ok(&value), "{schema}");
    }
    for edge in generator.edges().into_iter().take(40) {
        assert_eq!(judge.judge(&edge.value), Judgement::Valid, "{schema}: {edge:?}");
    }
    for flaw in generator.flaws().into_iter().take(40) {
        let Judgement::Invalid(violations) = judge.judge(&flaw.value) else {
            panic!("{schema}: {flaw:?} is not invalid");
        };
        assert!(
            violations.iter().all(|violation| violation.keyword == flaw.keyword),
            "{schema}: {flaw:?}"
        );
    }
    let mut dice = Dice::new(1, bytes.len() as u64);
    if let Some(value) = generator.sample(&mut dice) {
        assert_eq!(judge.judge(&value), Judgement::Valid, "{schema}: {value}");
    }
}

/// The layering of message schemas: whatever a document says, deriving the schemas of the revisions ends.
pub fn layering(bytes: &[u8]) {
    if bytes.len() > 16 * 1024 {
        return;
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(library) = SchemaLibrary::load([("fuzz", text)], catalog()) {
        for revision in Revision::ALL {
            let schemas = library.for_revision(revision);
            let _ = schemas.plain();
            for definition in schemas.definitions().map(str::to_owned).collect::<Vec<_>>() {
                let _ = schemas.check(&definition, &json!({ "a": [1, "x", null] }));
            }
        }
    }
}

/// The loader of case files: an error or cases, never a panic.
pub fn case_loader(bytes: &[u8]) {
    if bytes.len() > 64 * 1024 {
        return;
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut suite = Suite::default();
    if let Err(error) = suite.add_yaml("own", "own.yaml", text, catalog()) {
        assert!(!error.to_string().is_empty());
    }
}

/// Files of `touchstone replay`: what is read is written and read again as the same.
pub fn replay_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(stored) = StoredCase::from_lines(text) {
        let again = StoredCase::from_lines(&stored.to_lines()).expect("what was written can be read");
        assert_eq!(again, stored);
    }
}

/// The tools of the reference server, end to end: whatever the arguments, every call has one answer, and that is a result with content or an
/// error.
pub fn reference_tools(bytes: &[u8]) {
    const TOOLS: [&str; 6] = ["add", "search_docs", "create_issue", "get_user", "echo", "counter"];
    let arguments =
        serde_json::from_slice::<Value>(bytes).unwrap_or_else(|_| json!({ "text": String::from_utf8_lossy(bytes) }));
    let mut conversation = Conversation::new(&Options::default());
    let client = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "fuzz", "version": "1" } });
    let open = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": client });
    conversation.receive(open.to_string().as_bytes());
    for (name, id) in TOOLS.into_iter().zip(1_u64..) {
        let call = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": name, "arguments": arguments } });
        let outputs = conversation.receive(call.to_string().as_bytes());
        let messages = outputs.iter().filter_map(|output| match output {
            Output::Message { message, .. } => serde_json::from_slice::<Value>(&message.to_bytes()).ok(),
            _ => None,
        });
        let answers: Vec<Value> = messages.filter(|message| message["id"] == json!(id)).collect();
        let [answer] = answers.as_slice() else {
            panic!("{name} {arguments}: {answers:?}");
        };
        let well = answer["error"]["code"].is_i64() || answer["result"]["content"].is_array();
        assert!(well, "{name} {arguments}: {answer}");
    }
}

/// The requirements, read once.
fn catalog() -> &'static Catalog {
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    CATALOG.get_or_init(|| {
        let files = touchstone_cases::requirements()
            .iter()
            .map(|file| (file.area, file.json));
        Catalog::from_json(files).expect("the embedded requirements are a catalog")
    })
}

/// Runs a target over the files that the command line names: how a finding is replayed without libFuzzer.
///
/// # Panics
/// When the target finds something, or a file cannot be read.
pub fn replay(target: fn(&[u8])) {
    for path in std::env::args_os().skip(1) {
        target(&std::fs::read(&path).expect("the file can be read"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEDS: [&[u8]; 13] = [
        br#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"a","version":"1"}}}"#,
        br#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"add","arguments":{"a":1,"b":-2.5e3}}}"#,
        br#"[{"jsonrpc":"2.0","method":"x"},[],{},null,true,"\ud83d\ude00"]"#,
        b"event: message\r\nid: 7\r\ndata: {\"a\":1}\r\ndata: b\r\n\r\n: comment\nretry: 10\n\n",
        br##"{"type":"object","properties":{"a":{"$ref":"#/$defs/x"},"b":{"pattern":"^(a+)+$"}},"$defs":{"x":{"anyOf":[{"type":"string"},{"$ref":"#"}]}}}"##,
        b"{\"touchstone_trace\":1,\"name\":\"n\",\"transport\":\"stdio\"}\n{\"at_us\":0,\"event\":\"stdin-closed\"}\n",
        br#"{"a":{"a":[[[[1]]]]},"a":1e999}"#,
        b"\xef\xbb\xbf {} \r",
        b"\n\n{\"id\":",
        b"- case: a-b\n  title: T.\n  steps:\n    - request: ping\n      expect:\n        - requirement: ping/answered\n          that: { result: {} }\n",
        br##"{"$defs":{"A":{"type":"object","x-since":"2025-03-26","properties":{"b":{"x-until":"2025-06-18","$ref":"#/$defs/A"}}}}}"##,
        b"{\"touchstone_replay\":1,\"revision\":\"2025-06-18\",\"requirement\":\"r\",\"signature\":\"s\"}\n{\"t\":\"case\",\"legal\":false,\"expect\":\"arguments explicit\"}\n{\"t\":\"send\",\"base64\":\"//4=\"}\n",
        br#"{"a":1,"b":1e3,"issue":{"title":"long enough","labels":["x"],"priority":"high"},"user_id":"usr_1","query":"x","limit":100,"text":"\u0000"}"#,
    ];

    /// Deterministic noise (xorshift).
    struct Noise(u64);

    impl Noise {
        fn below(&mut self, limit: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % u64::try_from(limit.max(1)).unwrap()).unwrap()
        }

        /// A seed with some bytes changed, dropped, repeated, or spliced with another seed.
        fn input(&mut self) -> Vec<u8> {
            let mut bytes = SEEDS[self.below(SEEDS.len())].to_vec();
            for _ in 0..self.below(6) {
                let at = self.below(bytes.len());
                match self.below(5) {
                    0 if !bytes.is_empty() => bytes[at] = u8::try_from(self.below(256)).unwrap(),
                    1 => bytes.truncate(at),
                    2 => bytes.insert(at, *b"{}[]\",:\n\\0"[self.below(10)..].first().unwrap()),
                    3 => bytes.extend_from_within(at..),
                    _ => bytes
                        .splice(at.., SEEDS[self.below(SEEDS.len())].iter().copied())
                        .for_each(drop),
                }
            }
            bytes
        }
    }

    #[test]
    fn smoke() {
        for (target, seed, times) in [
            (json_rpc as fn(&[u8]), 1, 2000),
            (sse, 2, 2000),
            (schema, 3, 2000),
            (reference_server, 4, 2000),
            (generator, 5, 150),
            (layering, 6, 500),
            (case_loader, 7, 1000),
            (replay_file, 8, 2000),
            (reference_tools, 9, 1000),
        ] {
            let mut noise = Noise(0x9e37_79b9_7f4a_7c15 ^ seed);
            SEEDS.iter().for_each(|seed| target(seed));
            for _ in 0..times {
                target(&noise.input());
            }
        }
    }
}
