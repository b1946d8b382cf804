//! A finding in forms that work without a campaign: one line for a shell, and a case in the language of cases.

use std::fmt::Write as _;

use serde_json::{Value, json};
use touchstone_core::revision::Revision;

use super::case::{FuzzCase, HttpMessage, RelationKind, Step, What};
use super::ledger::Reproduction;
use crate::session::{ClientIdentity, Stateful};

/// Longest line that anybody would paste into a shell.
const LONGEST: usize = 100_000;

/// A line for a POSIX shell that sends the conversation to a server over stdio; `None` when it is too long for that.
#[must_use]
pub fn shell(reproduction: &Reproduction, server: &str, revision: Revision) -> Option<String> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let steps = || reproduction.cases.iter().flat_map(|case| &case.steps);
    if steps().any(|step| matches!(step.what, What::Http(_))) {
        return None;
    }
    let client = ClientIdentity::touchstone(revision);
    if revision.era() == touchstone_core::revision::Era::Stateful {
        let params = Stateful::initialize_params(&client, revision.as_str());
        lines.push(
            json!({ "jsonrpc": "2.0", "id": "open", "method": "initialize", "params": params })
                .to_string()
                .into_bytes(),
        );
        lines.push(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_vec());
    }
    lines.extend(steps().zip(1..).map(|(step, number)| line(step, number)));
    let quoted: Vec<String> = lines.iter().map(|line| quoted(line)).collect();
    let text = format!("{{ printf '%b\\n' {}; sleep 1; }} | {server}", quoted.join(" "));
    (text.len() <= LONGEST).then_some(text)
}

/// A line for a POSIX shell that sends the conversation to a server over Streamable HTTP with curl; `None` when it is too long, or holds bytes that no
/// word of a shell can.
#[must_use]
pub fn curl(reproduction: &Reproduction, url: &str, revision: Revision) -> Option<String> {
    let word = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let url = word(url);
    let stateful = revision.era() == touchstone_core::revision::Era::Stateful;
    let mut fields = vec![
        ("Content-Type", "application/json".to_owned()),
        ("Accept", "application/json, text/event-stream".to_owned()),
    ];
    let mut commands = Vec::new();
    if stateful {
        let params = Stateful::initialize_params(&ClientIdentity::touchstone(revision), revision.as_str());
        let open = json!({ "jsonrpc": "2.0", "id": "open", "method": "initialize", "params": params }).to_string();
        commands.push(format!(
            "S=$(curl -sS -D - -o /dev/null -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' --data-binary {} {url} | tr -d '\\r' | sed -n 's/^[Mm]cp-[Ss]ession-[Ii]d: //p')",
            word(&open)
        ));
    }
    fields.push(("MCP-Protocol-Version", revision.as_str().to_owned()));
    let steps = reproduction.cases.iter().flat_map(|case| &case.steps);
    for (step, number) in steps.zip(1..) {
        let mut command = "curl -i -sS".to_owned();
        let (method, changes) = match &step.what {
            What::Http(message) => (message.method.as_str(), message.headers.as_slice()),
            _ => ("POST", [].as_slice()),
        };
        let _ = write!(command, " -X {}", word(method));
        let changed = |name: &str| changes.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        for (name, value) in fields.iter().filter(|(name, _)| !changed(name)) {
            let _ = write!(command, " -H {}", word(&format!("{name}: {value}")));
        }
        if stateful && !changed("Mcp-Session-Id") {
            command.push_str(" ${S:+-H \"Mcp-Session-Id: $S\"}");
        }
        for (name, value) in changes {
            let field = match value.as_deref() {
                None => word(&format!("{name}:")),
                Some("") => word(&format!("{name};")),
                // The id of the session is one of the shell's words.
                Some(value) => word(&format!("{name}: {value}"))
                    .replace("{session-cut}", "'\"${S%?}\"'")
                    .replace("{session}", "'\"$S\"'"),
            };
            let _ = write!(command, " -H {field}");
        }
        let body = String::from_utf8(line(step, number))
            .ok()
            .filter(|body| !body.contains('\0'))?;
        if !body.is_empty() {
            let _ = write!(command, " --data-binary {}", word(&body));
        }
        commands.push(format!("{command} {url}"));
    }
    let text = commands.join("; ");
    (text.len() <= LONGEST).then_some(text)
}

/// The bytes of a step as they go over the wire.
fn line(step: &Step, number: u64) -> Vec<u8> {
    let params = |params: &Option<String>| {
        params
            .as_ref()
            .map(|params| format!(r#","params":{params}"#))
            .unwrap_or_default()
    };
    match &step.what {
        What::Request {
            method,
            params: given,
            id,
            ..
        } => {
            let id = id.clone().unwrap_or_else(|| number.to_string());
            let method = Value::from(method.as_str());
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":{method}{}}}"#, params(given)).into_bytes()
        }
        What::Notify { method, params: given } => {
            let method = Value::from(method.as_str());
            format!(r#"{{"jsonrpc":"2.0","method":{method}{}}}"#, params(given)).into_bytes()
        }
        What::Raw(bytes) => bytes.clone(),
        What::Http(message) => message.body.clone().unwrap_or_default(),
    }
}

/// A word in single quotes for the `%b` of printf: everything that is no plain letter as an octal escape.
fn quoted(bytes: &[u8]) -> String {
    let mut word = String::from("'");
    for byte in bytes {
        match byte {
            b'\'' | b'\\' | 0..=31 | 127.. => {
                let _ = write!(word, "\\0{byte:03o}");
            }
            plain => word.push(char::from(*plain)),
        }
    }
    word.push('\'');
    word
}

/// Text as a double-quoted scalar, which YAML and JSON share; what YAML does not print is escaped, and so is what cases replace.
fn scalar(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.replace("${", "$${").chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            ' '..='~' => out.push(character),
            '\u{a1}'..='\u{d7ff}' if !matches!(character, '\u{ad}' | '\u{2000}'..='\u{206f}') => out.push(character),
            _ if u32::from(character) <= 0xffff => {
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            _ => {
                let _ = write!(out, "\\U{:08x}", u32::from(character));
            }
        }
    }
    out.push('"');
    out
}

/// A value in flow style.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, member)| format!("{}: {}", scalar(name), flow(member)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// What a step is followed by.
struct Written<'a> {
    out: &'a mut String,
    illegal: bool,
}

impl Written<'_> {
    fn step(&mut self, step: &Step, indent: &str, after: &str) {
        match &step.what {
            What::Request {
                method,
                params,
                id,
                deliberate,
            } => {
                let value = params
                    .as_deref()
                    .map(|params| (params, serde_json::from_str::<Value>(params)));
                let canonical = match &value {
                    None => Some(None),
                    Some((text, Ok(value))) if is_spelled(value, text) => Some(Some(value)),
                    _ => None,
                };
                let Some(params) = canonical else {
                    return self.raw(&line(step, 900_000), indent, after);
                };
                let _ = writeln!(self.out, "{indent}- request: {}", scalar(method));
                if let Some(params) = params {
                    let _ = writeln!(self.out, "{indent}  params: {}", flow(params));
                }
                if let Some(id) = id {
                    let _ = writeln!(self.out, "{indent}  id: {}", scalar(id));
                }
                if *deliberate && !self.illegal {
                    let _ = writeln!(self.out, "{indent}  deliberate: true");
                }
                self.out.push_str(after);
            }
            What::Notify { method, params } => {
                let _ = writeln!(self.out, "{indent}- notify: {}", scalar(method));
                if let Some(Ok(params)) = params.as_deref().map(serde_json::from_str::<Value>) {
                    let _ = writeln!(self.out, "{indent}  params: {}", flow(&params));
                }
                self.out.push_str(after);
            }
            What::Raw(bytes) => self.raw(bytes, indent, after),
            What::Http(message) => self.http(message, indent, after),
        }
    }

    fn http(&mut self, message: &HttpMessage, indent: &str, after: &str) {
        let _ = writeln!(self.out, "{indent}- http:");
        let _ = writeln!(self.out, "{indent}    method: {}", scalar(&message.method));
        let mut names: Vec<&String> = message.headers.iter().map(|(name, _)| name).collect();
        names.dedup();
        if !names.is_empty() {
            let values = |name: &String| {
                let values = message.headers.iter().filter(|(other, _)| other == name);
                let values: Vec<Value> = values
                    .map(|(_, value)| value.clone().map_or(Value::Null, Value::from))
                    .collect();
                match values.as_slice() {
                    [one] => flow(one),
                    _ => flow(&Value::Array(values)),
                }
            };
            let fields: Vec<String> = names
                .into_iter()
                .map(|name| format!("{}: {}", scalar(name), values(name)))
                .collect();
            let _ = writeln!(self.out, "{indent}    headers: {{ {} }}", fields.join(", "));
        }
        if let Some(body) = message.body.as_deref().and_then(|body| std::str::from_utf8(body).ok()) {
            let _ = writeln!(self.out, "{indent}    body: {}", scalar(body));
        }
        if !message.whole {
            let _ = writeln!(self.out, "{indent}    until: head\n{indent}    abort: true");
        }
        self.out.push_str(after);
        let _ = writeln!(self.out, "{indent}- probe: alive");
    }

    fn raw(&mut self, bytes: &[u8], indent: &str, after: &str) {
        use base64::Engine as _;
        match std::str::from_utf8(bytes) {
            // Nothing is replaced in raw texts, so that nothing must be escaped for that.
            Ok(text) => {
                let _ = writeln!(self.out, "{indent}- send-raw: {}", scalar(text).replace("$${", "${"));
            }
            Err(_) => {
                let encoded = base64::prelude::BASE64_STANDARD.encode(bytes);
                let _ = writeln!(self.out, "{indent}- send-base64: {}", scalar(&encoded));
            }
        }
        self.out.push_str(after);
        let _ = writeln!(self.out, "{indent}- probe: alive");
    }
}

/// A case that fails as long as the finding is there; `None` for what the language of cases has no words for: growth, and time.
#[must_use]
pub fn case_yaml(reproduction: &Reproduction) -> Option<String> {
    let requirement = reproduction.requirement.as_str();
    if matches!(
        requirement,
        "fuzzing/memory-bounded"
            | "fuzzing/handles-bounded"
            | "fuzzing/latency-bounded"
            | "fuzzing/no-secrets-in-errors"
            | "fuzzing/read-only-true"
            | "fuzzing/repeatable"
            | "fuzzing/failure-flagged"
    ) || reproduction.cases.is_empty()
    {
        return None;
    }
    let steps = || reproduction.cases.iter().flat_map(|case| &case.steps);
    let requests = || {
        steps().filter_map(|step| match &step.what {
            What::Http(message) => Some(message),
            _ => None,
        })
    };
    // Cases do not know the id of the session, nor the path that a server has given, nor bodies that are no text.
    let told = |message: &HttpMessage| {
        let session =
            |(_, value): &(String, Option<String>)| value.as_ref().is_some_and(|value| value.contains("{session"));
        let body = message.body.as_deref().unwrap_or_default();
        message.target.is_none() && !message.headers.iter().any(session) && std::str::from_utf8(body).is_ok()
    };
    if !requests().all(told) {
        return None;
    }
    let illegal = reproduction.cases.iter().any(|case| !case.legal);
    let relation = reproduction
        .cases
        .iter()
        .find_map(|case| Some((case, case.relation.as_ref()?)));
    let mut out = String::new();
    let name: String = reproduction
        .signature
        .chars()
        .map(|character| {
            if character.is_ascii_alphanumeric() {
                character.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    let title = reproduction.message.chars().take(160).collect::<String>();
    let _ = writeln!(out, "# Found by `touchstone fuzz --seed {}`.", reproduction.seed);
    let _ = writeln!(out, "- case: fuzz-{}", name.trim_matches('-').replace("--", "-"));
    let _ = writeln!(out, "  title: {}", scalar(&format!("Not so: {title}")));
    let _ = writeln!(out, "  isolation: fresh");
    if illegal {
        let _ = writeln!(out, "  input: illegal");
    }
    if requests().next().is_some() {
        let _ = writeln!(out, "  needs: [streamable-http]");
    }
    let expectation = if reproduction.death {
        None
    } else {
        expectation(requirement)
    };
    if expectation.is_none() && relation.is_none() {
        let _ = writeln!(out, "  exercises: [{requirement}]");
    }
    let _ = writeln!(out, "  steps:");
    let mut written = Written { out: &mut out, illegal };
    if let Some((case, relation)) = relation.filter(|_| !reproduction.death) {
        related(&mut written, case, relation.kind, requirement)?;
        return Some(out);
    }
    let last = reproduction.cases.len() - 1;
    for (index, case) in reproduction.cases.iter().enumerate() {
        for (at, step) in case.steps.iter().enumerate() {
            let here = index == last && at + 1 == case.steps.len();
            let after = match (&expectation, here) {
                (Some(expectation), true) => {
                    format!("      expect:\n        - requirement: {requirement}\n{expectation}")
                }
                _ => String::new(),
            };
            written.step(step, "    ", &after);
        }
    }
    if reproduction.death {
        out.push_str("    - probe: alive\n");
    }
    Some(out)
}

/// What the last answer must be like, for requirements that no monitor judges.
fn expectation(requirement: &str) -> Option<&'static str> {
    Some(match requirement {
        "tools/input-validated"
        | "tools/input-type-validated"
        | "tools/input-additional-validated"
        | "tools/hostile-arguments"
        | "tools/unknown-tool-error"
        | "tools/hostile-names"
        | "tools/missing-name"
        | "tools/arguments-not-object" => {
            "          any:\n            - error: { type: object }\n            - result.isError: true\n"
        }
        "base-protocol/method-not-found" => "          that: { error.code: -32601 }\n",
        "fuzzing/valid-arguments-accepted" | "base-protocol/unknown-params-members" => {
            "          that: { outcome: result }\n"
        }
        "fuzzing/http-client-errors" => "          none:\n            - http.status: 500\n",
        "transport-streamable-http/session-unknown-404" => "          none:\n            - outcome: result\n",
        "fuzzing/no-internal-error" => "          none:\n            - error.code: -32603\n",
        _ => return None,
    })
}

/// The same call twice, otherwise the second time.
fn related(written: &mut Written<'_>, case: &FuzzCase, kind: RelationKind, requirement: &str) -> Option<()> {
    let (plain, other) = (case.steps.first()?, case.steps.get(1)?);
    let head = format!("      expect:\n        - requirement: {requirement}\n");
    match kind {
        RelationKind::Spelled(_) => {
            written.step(plain, "    ", "      as: plain\n");
            let after = format!("{head}          that: {{ replies.0.result: {{ const: '${{plain.result}}' }} }}\n");
            written.raw(&line(other, 900_001), "    ", &after);
        }
        RelationKind::Id => {
            written.step(plain, "    ", "      as: plain\n");
            written.step(
                other,
                "    ",
                &format!("{head}          that: {{ result: {{ const: '${{plain.result}}' }} }}\n"),
            );
        }
        RelationKind::Reflected => {
            let marker = super::oracle::marker(other)?;
            let plain_text = super::oracle::marker(plain)?;
            written.step(plain, "    ", "      as: plain\n");
            let pattern = |text: &str| scalar(&text.replace('\\', "\\\\"));
            let after = format!(
                "{head}          when: {{ outcome: result }}\n          that: {{ result.content.0.text: {{ type: string, pattern: {} }} }}\n",
                pattern(&marker)
            );
            let _ = plain_text;
            written.step(other, "    ", &after);
        }
        RelationKind::Repeated | RelationKind::Together | RelationKind::ReadOnly => return None,
    }
    Some(())
}

/// Whether the text is the plainest one of the value, so that nothing is lost when it is written as YAML.
fn is_spelled(value: &Value, text: &str) -> bool {
    let plain = value.to_string();
    plain == text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::case::Phase;
    use crate::fuzz::ledger::Reproduced;
    use touchstone_core::spec::requirement::Severity;

    fn reproduction(requirement: &str, case: FuzzCase) -> Reproduction {
        Reproduction {
            signature: format!("{requirement}#0123abcd"),
            requirement: requirement.to_owned(),
            message: "accepted \"${it}\"\n".to_owned(),
            severity: Severity::Fail,
            death: false,
            seed: 1,
            first: crate::fuzz::ledger::FirstSeen::default(),
            calls_before: 1,
            cases: vec![case],
            reproduced: Reproduced::Always(3),
            spawns: 3,
        }
    }

    #[test]
    fn a_shell_line_holds_every_byte() {
        let case = FuzzCase::of(Phase::Bytes, "x", Step::new(What::Raw(vec![b'\'', 0xff, b'a'])));
        let line = shell(
            &reproduction("base-protocol/survives-garbage", case),
            "server --x",
            Revision::V2025_06_18,
        )
        .unwrap();
        assert!(line.ends_with("'\\0047\\0377a'; sleep 1; } | server --x"), "{line}");
    }

    #[test]
    fn a_curl_line_opens_a_session_and_sends_the_fields() {
        let http = HttpMessage::new("PUT")
            .with("Accept", "it's")
            .with("Mcp-Session-Id", "{session}0")
            .without("Content-Type");
        let case = FuzzCase::of(Phase::Http, "x", Step::new(What::Http(http)));
        let found = reproduction("fuzzing/http-client-errors", case);
        let line = curl(&found, "http://localhost/mcp", Revision::V2025_06_18).unwrap();
        assert!(line.starts_with("S=$(curl "), "{line}");
        assert!(
            line.ends_with(
                r#"-X 'PUT' -H 'MCP-Protocol-Version: 2025-06-18' -H 'Accept: it'\''s' -H 'Mcp-Session-Id: '"$S"'0' -H 'Content-Type:' 'http://localhost/mcp'"#
            ),
            "{line}"
        );
    }

    #[test]
    fn a_case_can_be_read_by_the_loader() {
        let mut cases = vec![
            reproduction(
                "tools/hostile-arguments",
                FuzzCase::of(
                    Phase::Coverage,
                    "x",
                    Step::call("add", &json!({"a": "${x}\u{0}\u{2028}é😀", "n": [1, -2.5, null]})),
                ),
            ),
            reproduction("base-protocol/survives-garbage", {
                let mut case = FuzzCase::of(Phase::Bytes, "x", Step::new(What::Raw(b"{\"id\": '${x}".to_vec())));
                case.legal = false;
                case.steps.push(Step::new(What::Raw(vec![0xff])));
                case
            }),
            reproduction(
                "base-protocol/method-not-found",
                FuzzCase::of(Phase::Protocol, "x", Step::request("Tools/List", None).with_id("\"é\"")),
            ),
        ];
        let mut related = FuzzCase::of(Phase::Metamorphic, "x", Step::call("echo", &json!({"text": "a"})));
        related.steps.push(Step::call_spelled("echo", "{\"text\":\"\\u0061\"}"));
        related.relation = Some(crate::fuzz::case::Relation {
            kind: RelationKind::Spelled(touchstone_generate::Spelling::Escapes),
            stable: vec![],
            same: vec![(0, 1)],
        });
        cases.push(reproduction("fuzzing/escapes-equivalent", related));
        let http = HttpMessage {
            body: Some(b"{}".to_vec()),
            whole: false,
            ..HttpMessage::new("POST")
                .with("Accept", "é")
                .with("Accept", "")
                .without("Expect")
        };
        let mut odd = FuzzCase::of(Phase::Http, "x", Step::new(What::Http(http)));
        odd.legal = false;
        cases.push(reproduction("fuzzing/http-client-errors", odd));
        for reproduction in cases {
            let yaml = case_yaml(&reproduction).unwrap();
            let entry = format!(
                r#"[{{"id": "{}", "levels": {{"2025-06-18": "MUST"}}, "statement": "s", "ref": "r", "needs": "none", "test": "t",
                "kind": "wire", "tier": "A", "oracle": "fuzz"}}]"#,
                reproduction.requirement
            );
            let area = reproduction.requirement.split('/').next().unwrap();
            let catalog = touchstone_core::spec::requirement::Catalog::from_json([(area, entry.as_str())]).unwrap();
            let mut suite = touchstone_core::case::Suite::default();
            let loaded = suite.add_yaml("own", "own.yaml", &yaml, &catalog);
            assert!(loaded.is_ok(), "{loaded:?}\n{yaml}");
        }
    }
}
