//! Signs in the place of values that change from run to run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::{Map, Value};

use super::counted::without_digits;

/// Longest text that is written out, in characters.
const LONGEST: usize = 600;

/// A text of bearable length.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}... ({} bytes in all)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}

/// Masks what changes from run to run. The same value gets the same sign throughout a case.
#[derive(Default)]
pub(super) struct Masks<'r> {
    /// Members whose values are left out, by name or by the end of their dotted path.
    redact: &'r [String],
    /// Values that the server made up: cursors, tasks, sessions.
    known: BTreeMap<String, String>,
    counts: BTreeMap<&'static str, usize>,
    /// Dotted paths at which the server counts, in the value that is being written.
    pub(super) counted: BTreeSet<String>,
    /// Ids of the requests, by their numbers.
    pub(super) requests: Vec<Value>,
}

/// Members whose texts are made up by whoever sends them first.
const MADE_UP: [(&str, &str); 6] = [
    ("requestState", "state"),
    ("nextCursor", "cursor"),
    ("taskId", "task"),
    ("progressToken", "token"),
    ("sessionId", "session"),
    ("elicitationId", "elicitation"),
];

static PATTERNS: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    [
        (r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}", "<uuid>"),
        (
            r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:[.,]\d+)?(?:Z|[+-]\d{2}:?\d{2})?",
            "<time>",
        ),
        (r"(127\.0\.0\.1|localhost|\[::1\]|0\.0\.0\.0):\d+", "$1:<port>"),
        (
            r#"(?:/(?:home|root|tmp|usr|var|opt|private|Users|work|workspace|mnt|srv|builds|app|nix|run)/)[^\s"'`:,;)\]}<>]+"#,
            "<path>",
        ),
        (r#"\b[A-Za-z]:\\[^\s"'`,;)\]}<>]+"#, "<path>"),
        (r"\b[0-9a-f]{16,}\b", "<hex>"),
        (r"\b1[5-9]\d{11}\b", "<time>"),
        // What a server counts: over HTTP all its clients count together.
        (r"(^|[\s(])#\d+\b", "$1#<number>"),
    ]
    .into_iter()
    .filter_map(|(pattern, sign)| Some((Regex::new(pattern).ok()?, sign)))
    .collect()
});

impl<'r> Masks<'r> {
    /// Masks that leave out the values of these members as well.
    pub(super) fn new(redact: &'r [String]) -> Self {
        Self {
            redact,
            ..Self::default()
        }
    }

    /// Writes a value below its head, members sorted.
    pub(super) fn body(&mut self, text: &mut String, value: &Value) {
        if value.is_null() {
            return;
        }
        let masked = self.value(value, "", "");
        let pretty = serde_json::to_string_pretty(&masked).unwrap_or_default();
        for line in pretty.lines() {
            let _ = writeln!(text, "    {line}");
        }
    }

    fn value(&mut self, value: &Value, key: &str, path: &str) -> Value {
        let named = |redacted: &String| redacted == key || path.ends_with(&format!(".{redacted}"));
        if !key.is_empty() && self.redact.iter().any(named) {
            return Value::from("<redacted>");
        }
        match value {
            Value::Object(members) => {
                let mut names: Vec<&String> = members.keys().collect();
                names.sort();
                let is_info = matches!(
                    key,
                    "serverInfo"
                        | "clientInfo"
                        | "io.modelcontextprotocol/serverInfo"
                        | "io.modelcontextprotocol/clientInfo"
                );
                // How far a task is when somebody looks is chance, and so is what it has brought by then.
                let is_task = members.contains_key("taskId") && members.contains_key("status");
                let passing = |name: &str| matches!(name, "statusMessage" | "result" | "error" | "inputRequests");
                let names = names.into_iter().filter(|name| !(is_task && passing(name)));
                let masked = names.map(|name| {
                    let value = &members[name];
                    if is_task && name == "status" {
                        return (name.clone(), Value::from("<status>"));
                    }
                    let value = if is_info && name == "version" {
                        Value::from("<version>")
                    } else {
                        self.value(value, name, &format!("{path}.{name}"))
                    };
                    (name.clone(), value)
                });
                Value::Object(masked.collect::<Map<_, _>>())
            }
            // Which tasks there are depends on what else has run.
            Value::Array(items) if key == "tasks" && items.iter().all(|item| item["taskId"].is_string()) => {
                Value::from("<tasks>")
            }
            Value::Array(items) => Value::Array(items.iter().map(|item| self.value(item, "", path)).collect()),
            Value::String(text) => Value::from(self.string(text, key, path)),
            Value::Number(number) => self.number(number, key, path),
            other => other.clone(),
        }
    }

    fn number(&mut self, number: &serde_json::Number, key: &str, path: &str) -> Value {
        const SECONDS: std::ops::Range<f64> = 1.5e9..2.5e9;
        if key == "requestId" || key == "id" {
            let id = Value::Number(number.clone());
            if self.requests.contains(&id) {
                return Value::from("<request>");
            }
        }
        if key == "progressToken" || key.ends_with("/subscriptionId") {
            return Value::from(self.sign("token", &number.to_string()));
        }
        match number.as_f64() {
            Some(time) if SECONDS.contains(&time) || SECONDS.contains(&(time / 1000.0)) => Value::from("<time>"),
            _ if self.counted.contains(path) => Value::from("<number>"),
            _ => Value::Number(number.clone()),
        }
    }

    fn string(&mut self, text: &str, key: &str, path: &str) -> String {
        if let Some((_, kind)) = MADE_UP.iter().find(|(name, _)| *name == key) {
            return self.sign(kind, text);
        }
        if (key == "requestId" || key == "id") && self.requests.iter().any(|other| other.as_str() == Some(text)) {
            return "<request>".to_owned();
        }
        if self.counted.contains(path) {
            return without_digits(&self.text(text));
        }
        self.text(text)
    }

    /// The sign of a made-up value.
    fn sign(&mut self, kind: &'static str, text: &str) -> String {
        if let Some(sign) = self.known.get(text) {
            return sign.clone();
        }
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        let sign = format!("<{kind} {count}>");
        self.known.insert(text.to_owned(), sign.clone());
        sign
    }

    /// A text, with signs for what changes in it.
    pub(super) fn text(&self, text: &str) -> String {
        // Short values could be a part of anything.
        const SHORTEST: usize = 6;
        if let Some(sign) = self.known.get(text) {
            return sign.clone();
        }
        let mut masked = shortened(text);
        for (value, sign) in &self.known {
            if value.len() >= SHORTEST && masked.contains(value.as_str()) {
                masked = masked.replace(value.as_str(), sign);
            }
        }
        for (pattern, sign) in PATTERNS.iter() {
            masked = pattern
                .replace_all(&masked, |found: &Captures<'_>| {
                    let mut sign_with_groups = String::new();
                    found.expand(sign, &mut sign_with_groups);
                    sign_with_groups
                })
                .into_owned();
        }
        masked
    }
}
