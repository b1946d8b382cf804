//! Findings as files, so that they can be sent again: JSON Lines, a header and then one message a line, bytes exactly as they were.
//!
//! ```text
//! {"touchstone_replay":1,"revision":"2025-06-18","requirement":"tools/...","signature":"tools/...#0123abcd","death":false,...}
//! {"t":"case","legal":true,"phase":"coverage","number":7,"label":"...","subject":"add","expect":"arguments"}
//! {"t":"request","method":"tools/call","params":"{\"name\":\"add\",\"arguments\":{}}"}
//! {"t":"send","base64":"//4="}
//! ```
//!
//! A file is foreign input: sizes are capped, and nothing in it is ever run. The server to send it to is named by who replays it.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};
use touchstone_core::revision::Revision;
use touchstone_generate::Spelling;

use super::case::{Bind, Expect, FuzzCase, HttpMessage, Phase, Relation, RelationKind, Step, What};
use super::ledger::Reproduction;

/// Largest file that is read.
const LARGEST: u64 = 16 * 1024 * 1024;
/// Most messages in one file, and most cases.
const MOST_STEPS: usize = 100_000;
/// Most files of a folder that are read.
const MOST_FILES: usize = 10_000;
/// Most bytes of a folder that are read.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// A finding that was stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredCase {
    /// The revision in which it was seen.
    pub revision: Revision,
    /// The requirement that it breaks.
    pub requirement: String,
    /// The finding's signature.
    pub signature: String,
    /// Whether the server died or fell silent.
    pub death: bool,
    /// What happened.
    pub message: String,
    /// The seed of the campaign.
    pub seed: u64,
    /// The conversation.
    pub cases: Vec<FuzzCase>,
}

/// Why a file is no stored finding.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// It cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// It is too large.
    #[error("{0}: larger than the {LARGEST} bytes that are read")]
    TooLarge(PathBuf),
    /// There is too much in a folder.
    #[error(
        "{0}: more than {MOST_FILES} files or {MOST_BYTES} bytes; remove findings that are fixed, or name another folder"
    )]
    TooMany(PathBuf),
    /// A line is wrong.
    #[error("line {line}: {reason}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

impl StoredCase {
    /// What is stored of a finding.
    #[must_use]
    pub fn of(reproduction: &Reproduction, revision: Revision) -> Self {
        Self {
            revision,
            requirement: reproduction.requirement.clone(),
            signature: reproduction.signature.clone(),
            death: reproduction.death,
            message: reproduction.message.clone(),
            seed: reproduction.seed,
            cases: reproduction.cases.clone(),
        }
    }

    /// The file as text.
    #[must_use]
    pub fn to_lines(&self) -> String {
        let mut lines = vec![json!({
            "touchstone_replay": 1,
            "suite": env!("CARGO_PKG_VERSION"),
            "revision": self.revision.as_str(),
            "requirement": self.requirement,
            "signature": self.signature,
            "death": self.death,
            "message": self.message,
            "seed": self.seed,
        })];
        for case in &self.cases {
            lines.push(case_line(case));
            lines.extend(case.steps.iter().map(step_line));
        }
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// When it is none; the error names the line.
    pub fn from_lines(text: &str) -> Result<Self, CorpusError> {
        let wrong = |line: usize, reason: &str| CorpusError::Line {
            line: line + 1,
            reason: reason.to_owned(),
        };
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let (at, first) = lines.next().ok_or_else(|| wrong(0, "the file is empty"))?;
        let header: Value = serde_json::from_str(first).map_err(|error| wrong(at, &error.to_string()))?;
        if header.get("touchstone_replay") != Some(&json!(1)) {
            return Err(wrong(
                at,
                "this is no file of `touchstone fuzz`: it does not begin with \"touchstone_replay\": 1",
            ));
        }
        let text_of = |name: &str| header.get(name).and_then(Value::as_str).map(str::to_owned);
        let revision = text_of("revision").and_then(|revision| revision.parse().ok());
        let mut stored = Self {
            revision: revision.ok_or_else(|| wrong(at, "`revision` is none that Touchstone knows"))?,
            requirement: text_of("requirement").ok_or_else(|| wrong(at, "`requirement` is missing"))?,
            signature: text_of("signature").ok_or_else(|| wrong(at, "`signature` is missing"))?,
            death: header.get("death") == Some(&Value::Bool(true)),
            message: text_of("message").unwrap_or_default(),
            seed: header.get("seed").and_then(Value::as_u64).unwrap_or(0),
            cases: Vec::new(),
        };
        let mut steps = 0;
        for (at, line) in lines {
            let line: Value = serde_json::from_str(line).map_err(|error| wrong(at, &error.to_string()))?;
            if line.get("t") == Some(&json!("case")) {
                if stored.cases.len() == MOST_STEPS {
                    return Err(wrong(at, &format!("more than {MOST_STEPS} cases")));
                }
                stored.cases.push(read_case(&line));
                continue;
            }
            steps += 1;
            if steps > MOST_STEPS {
                return Err(wrong(at, &format!("more than the {MOST_STEPS} messages that are sent")));
            }
            let step = read_step(&line).map_err(|reason| wrong(at, reason))?;
            match stored.cases.last_mut() {
                Some(case) => case.steps.push(step),
                None => return Err(wrong(at, "a message before the first case")),
            }
        }
        if stored.cases.iter().all(|case| case.steps.is_empty()) {
            return Err(wrong(0, "there is no message in it"));
        }
        stored.cases.retain(|case| !case.steps.is_empty());
        Ok(stored)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or is none.
    pub fn read(path: &Path) -> Result<Self, CorpusError> {
        let failed = |error| CorpusError::File {
            path: path.to_owned(),
            error,
        };
        // What a file says of its size need not be so: devices say that they are empty.
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
        if size_of(&bytes) > LARGEST {
            return Err(CorpusError::TooLarge(path.to_owned()));
        }
        let text = String::from_utf8(bytes).map_err(|error| failed(std::io::Error::other(error)))?;
        Self::from_lines(&text)
    }

    /// Reads every file of a folder; one that is none is left out. A folder that does not exist is empty.
    ///
    /// # Errors
    /// When the folder cannot be read, or there is too much in it.
    pub fn read_folder(folder: &Path) -> Result<Vec<(PathBuf, Self)>, CorpusError> {
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                return Err(CorpusError::File {
                    path: folder.to_owned(),
                    error,
                });
            }
        };
        let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
        let mut paths: Vec<PathBuf> = paths
            .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
            .collect();
        paths.sort();
        let sizes = paths.iter().filter_map(|path| Some(path.metadata().ok()?.len()));
        if paths.len() > MOST_FILES || sizes.sum::<u64>() > MOST_BYTES {
            return Err(CorpusError::TooMany(folder.to_owned()));
        }
        Ok(paths
            .into_iter()
            .filter_map(|path| Some((path.clone(), Self::read(&path).ok()?)))
            .collect())
    }

    /// Writes the file into a folder, under a name made of the signature alone: nothing that a server said becomes a path.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<PathBuf, CorpusError> {
        let failed = |path: &Path, error| CorpusError::File {
            path: path.to_owned(),
            error,
        };
        std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
        let path = folder.join(format!("{}.jsonl", self.file_stem()));
        std::fs::write(&path, self.to_lines()).map_err(|error| failed(&path, error))?;
        Ok(path)
    }

    /// The name of the file without its ending.
    #[must_use]
    pub fn file_stem(&self) -> String {
        let plain = |character: char| {
            if character.is_ascii_alphanumeric() {
                character
            } else {
                '-'
            }
        };
        self.signature.chars().map(plain).collect()
    }
}

fn size_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn case_line(case: &FuzzCase) -> Value {
    let mut line = json!({
        "t": "case",
        "legal": case.legal,
        "phase": case.phase.as_str(),
        "number": case.number,
        "label": case.label,
        "subject": case.subject,
        "expect": expect_word(case.expect),
    });
    if let Some(relation) = &case.relation {
        let pairs = |pairs: &[(usize, usize)]| json!(pairs.iter().map(|(a, b)| json!([a, b])).collect::<Vec<_>>());
        line["relation"] = json!({
            "kind": relation_word(relation.kind),
            "stable": pairs(&relation.stable),
            "same": pairs(&relation.same),
        });
    }
    line
}

fn read_case(line: &Value) -> FuzzCase {
    let text = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let pairs = |relation: &Value, name: &str| -> Vec<(usize, usize)> {
        let index = |pair: &Value, at: usize| pair.get(at)?.as_u64().and_then(|index| usize::try_from(index).ok());
        let listed = relation.get(name).and_then(Value::as_array);
        listed
            .into_iter()
            .flatten()
            .filter_map(|pair| Some((index(pair, 0)?, index(pair, 1)?)))
            .collect()
    };
    let relation = line.get("relation").and_then(|relation| {
        Some(Relation {
            kind: relation_kind(relation.get("kind")?.as_str()?)?,
            stable: pairs(relation, "stable"),
            same: pairs(relation, "same"),
        })
    });
    FuzzCase {
        phase: text("phase").parse().unwrap_or(Phase::Regressions),
        number: line.get("number").and_then(Value::as_u64).unwrap_or(0),
        label: text("label"),
        subject: text("subject"),
        legal: line.get("legal") != Some(&Value::Bool(false)),
        steps: Vec::new(),
        expect: expectation(&text("expect")),
        relation,
        independent: false,
        covers: None,
    }
}

fn step_line(step: &Step) -> Value {
    let mut line = Map::new();
    let mut put = |name: &str, value: Value| line.insert(name.to_owned(), value);
    match &step.what {
        What::Request {
            method,
            params,
            id,
            deliberate,
        } => {
            put("t", json!("request"));
            put("method", json!(method));
            params.iter().for_each(|params| drop(put("params", json!(params))));
            id.iter().for_each(|id| drop(put("id", json!(id))));
            if *deliberate {
                put("deliberate", json!(true));
            }
        }
        What::Notify { method, params } => {
            put("t", json!("notify"));
            put("method", json!(method));
            params.iter().for_each(|params| drop(put("params", json!(params))));
        }
        What::Raw(bytes) => {
            put("t", json!("send"));
            let (name, bytes) = bytes_member(bytes);
            put(name, bytes);
        }
        What::Http(message) => {
            put("t", json!("http"));
            put("method", json!(message.method));
            message
                .target
                .iter()
                .for_each(|target| drop(put("target", json!(target))));
            put("headers", json!(message.headers));
            if let Some((name, body)) = message.body.as_deref().map(bytes_member) {
                put(name, body);
            }
            if !message.whole {
                put("abort", json!(true));
            }
        }
    }
    if step.held {
        put("held", json!(true));
    }
    if !step.binds.is_empty() {
        let binds = step
            .binds
            .iter()
            .map(|bind| json!({ "step": bind.step, "from": bind.from, "into": bind.into }));
        put("bind", Value::Array(binds.collect()));
    }
    Value::Object(line)
}

/// Bytes as a member: a text where they are one.
fn bytes_member(bytes: &[u8]) -> (&'static str, Value) {
    match std::str::from_utf8(bytes) {
        Ok(text) => ("text", json!(text)),
        Err(_) => ("base64", json!(BASE64_STANDARD.encode(bytes))),
    }
}

fn read_step(line: &Value) -> Result<Step, &'static str> {
    let text = |name: &str| line.get(name).and_then(Value::as_str).map(str::to_owned);
    let bytes = || match (text("text"), text("base64")) {
        (Some(text), _) => Ok(Some(text.into_bytes())),
        (None, Some(encoded)) => BASE64_STANDARD
            .decode(encoded)
            .map(Some)
            .map_err(|_| "`base64` is none"),
        (None, None) => Ok(None),
    };
    let what = match line.get("t").and_then(Value::as_str) {
        Some("request") => What::Request {
            method: text("method").ok_or("a request without `method`")?,
            params: text("params"),
            id: text("id"),
            deliberate: line.get("deliberate") == Some(&Value::Bool(true)),
        },
        Some("notify") => What::Notify {
            method: text("method").ok_or("a notification without `method`")?,
            params: text("params"),
        },
        Some("send") => What::Raw(bytes()?.ok_or("`send` wants `text` or `base64`")?),
        Some("http") => What::Http(HttpMessage {
            method: text("method").ok_or("an HTTP request without `method`")?,
            target: text("target"),
            headers: read_headers(line).ok_or("`headers` is no list of names and values")?,
            body: bytes()?,
            whole: line.get("abort") != Some(&Value::Bool(true)),
        }),
        _ => return Err("`t` is none of case, request, notify, send, http"),
    };
    let binds = line
        .get("bind")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|bind| {
            Some(Bind {
                step: usize::try_from(bind.get("step")?.as_u64()?).ok()?,
                from: bind.get("from")?.as_str()?.to_owned(),
                into: bind.get("into")?.as_str()?.to_owned(),
            })
        });
    Ok(Step {
        what,
        held: line.get("held") == Some(&Value::Bool(true)),
        binds: binds.collect(),
    })
}

/// Pairs of a name and a value, or null where the field is left out.
fn read_headers(line: &Value) -> Option<Vec<(String, Option<String>)>> {
    let pairs = line.get("headers")?.as_array()?.iter();
    pairs
        .map(|pair| {
            let name = pair.get(0)?.as_str()?.to_owned();
            Some((name, pair.get(1)?.as_str().map(str::to_owned)))
        })
        .collect()
}

/// Requirements of which a refusal or a result is expected: what is read is one of them or nothing.
const NAMED: [&str; 6] = [
    "tools/missing-name",
    "tools/arguments-not-object",
    "base-protocol/unknown-params-members",
    "base-protocol/string-id-supported",
    "base-protocol/integer-id-supported",
    "transport-streamable-http/session-unknown-404",
];

fn expect_word(expect: Expect) -> String {
    match expect {
        Expect::Nothing => "nothing".to_owned(),
        Expect::Arguments { explicit, coercible } => {
            let explicit = if explicit { " explicit" } else { "" };
            let coercible = if coercible { " coercible" } else { "" };
            format!("arguments{explicit}{coercible}")
        }
        Expect::UnknownMethod => "unknown-method".to_owned(),
        Expect::UnknownTool => "unknown-tool".to_owned(),
        Expect::HostileName => "hostile-name".to_owned(),
        Expect::Refused(requirement) => format!("refused {requirement}"),
        Expect::Succeeds(requirement) => format!("succeeds {requirement}"),
        Expect::NoServerError => "no-server-error".to_owned(),
        Expect::NotServed(requirement) => format!("not-served {requirement}"),
    }
}

fn expectation(word: &str) -> Expect {
    let named = |rest: &str| NAMED.into_iter().find(|known| *known == rest);
    match word.split_once(' ').unwrap_or((word, "")) {
        ("arguments", rest) => Expect::Arguments {
            explicit: rest.contains("explicit"),
            coercible: rest.contains("coercible"),
        },
        ("unknown-method", _) => Expect::UnknownMethod,
        ("unknown-tool", _) => Expect::UnknownTool,
        ("hostile-name", _) => Expect::HostileName,
        ("refused", rest) => named(rest).map_or(Expect::Nothing, Expect::Refused),
        ("no-server-error", _) => Expect::NoServerError,
        ("not-served", rest) => named(rest).map_or(Expect::NoServerError, Expect::NotServed),
        ("succeeds", rest) => named(rest).map_or(Expect::Nothing, Expect::Succeeds),
        _ => Expect::Nothing,
    }
}

fn relation_word(kind: RelationKind) -> String {
    match kind {
        RelationKind::Spelled(spelling) => format!("spelled {}", spelling.as_str()),
        RelationKind::Id => "id".to_owned(),
        RelationKind::Repeated => "repeated".to_owned(),
        RelationKind::Together => "together".to_owned(),
        RelationKind::ReadOnly => "read-only".to_owned(),
        RelationKind::Reflected => "reflected".to_owned(),
    }
}

fn relation_kind(word: &str) -> Option<RelationKind> {
    Some(match word {
        "id" => RelationKind::Id,
        "repeated" => RelationKind::Repeated,
        "together" => RelationKind::Together,
        "read-only" => RelationKind::ReadOnly,
        "reflected" => RelationKind::Reflected,
        spelled => {
            let wanted = spelled.strip_prefix("spelled ")?;
            RelationKind::Spelled(Spelling::ALL.into_iter().find(|spelling| spelling.as_str() == wanted)?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored() -> StoredCase {
        let mut first = FuzzCase::of(
            Phase::Stateful,
            "a sequence of calls",
            Step::call("open", &json!({"n": 1})),
        );
        let mut second = Step::call_spelled("use", r#"{"\u0069d":"x"}"#).held();
        second.binds.push(Bind {
            step: 0,
            from: "/result/structuredContent/id".to_owned(),
            into: "/arguments/id".to_owned(),
        });
        first.steps.push(second);
        first
            .steps
            .push(Step::request("ping", None).with_id("9007199254740991"));
        let mut raw = FuzzCase::of(Phase::Bytes, "bytes", Step::new(What::Raw(vec![0xff, 0xfe])));
        raw.legal = false;
        raw.steps.push(Step::new(What::Raw(b"{\"id\":".to_vec())));
        let http = HttpMessage {
            body: Some(vec![0xff]),
            whole: false,
            ..HttpMessage::new("POST")
                .to("{endpoint}0")
                .with("Accept", "é")
                .without("Expect")
        };
        let mut odd = FuzzCase::of(Phase::Http, "x", Step::new(What::Http(http)));
        odd.expect = Expect::NotServed("transport-streamable-http/session-unknown-404");
        let mut related = FuzzCase::of(Phase::Metamorphic, "x", Step::call("add", &json!({})));
        related.expect = Expect::Refused("tools/missing-name");
        related.relation = Some(Relation {
            kind: RelationKind::Spelled(Spelling::Escapes),
            stable: vec![(0, 2)],
            same: vec![(0, 1)],
        });
        StoredCase {
            revision: Revision::V2025_06_18,
            requirement: "tools/hostile-arguments".to_owned(),
            signature: "tools/hostile-arguments#0123abcd".to_owned(),
            death: false,
            message: "m".to_owned(),
            seed: 7,
            cases: vec![first, raw, related, odd],
        }
    }

    #[test]
    fn a_file_reads_as_it_was_written() {
        let stored = stored();
        assert_eq!(StoredCase::from_lines(&stored.to_lines()).unwrap(), stored);
        assert_eq!(stored.file_stem(), "tools-hostile-arguments-0123abcd");
    }

    #[test]
    fn files_and_folders_without_measure_are_refused() {
        let header = stored().to_lines().lines().next().unwrap().to_owned();
        for (line, told) in [
            ("{\"t\":\"case\"}\n", "cases"),
            ("{\"t\":\"request\",\"method\":\"ping\"}\n", "messages"),
        ] {
            let lines = format!("{header}\n{{\"t\":\"case\"}}\n{}", line.repeat(MOST_STEPS + 1));
            let error = StoredCase::from_lines(&lines).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, size: u64| {
            let path = folder.path().join(name);
            std::fs::File::create(&path).unwrap().set_len(size).unwrap();
            path
        };
        let error = StoredCase::read(&file("a.jsonl", LARGEST + 1)).unwrap_err();
        assert!(matches!(error, CorpusError::TooLarge(_)), "{error}");
        file("b.jsonl", MOST_BYTES);
        let error = StoredCase::read_folder(folder.path()).unwrap_err();
        assert!(matches!(error, CorpusError::TooMany(_)), "{error}");
        #[cfg(unix)]
        assert!(matches!(
            StoredCase::read(Path::new("/dev/zero")),
            Err(CorpusError::TooLarge(_))
        ));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_with_its_line() {
        let text = stored().to_lines();
        for (broken, line) in [
            ("", 1),
            ("{}", 1),
            ("{\"touchstone_replay\":1}", 1),
            (&text.replace("\"request\"", "\"run\""), 3),
            (&text.replace("//4=", "?"), 7),
        ] {
            match StoredCase::from_lines(broken) {
                Err(CorpusError::Line { line: found, .. }) => assert_eq!(found, line, "{broken}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
