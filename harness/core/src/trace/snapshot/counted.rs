//! What a server counts: numbers in results that differ between equal calls of a tool. Which number a case gets to see depends on what else runs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use crate::jsonrpc::{self, Reading};
use crate::trace::{EventKind, Trace};

/// A run of digits.
static DIGITS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\d+").ok());

/// The places in the results of tools at which numbers change from call to call, learnt from all that a run has recorded.
#[derive(Debug, Clone, Default)]
pub struct Counted {
    /// Dotted paths, by the call.
    places: BTreeMap<String, BTreeSet<String>>,
}

/// The numbers and texts of a result, by dotted paths; items of an array share one.
type Leaves = BTreeMap<String, Vec<String>>;

impl Counted {
    /// Learns from the traces of a run.
    #[must_use]
    pub fn of(traces: &[Trace]) -> Self {
        let mut places: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut first: HashMap<String, Leaves> = HashMap::new();
        for trace in traces {
            // Who asked, by the exchange and the id.
            let mut asked: HashMap<(Option<u32>, String), String> = HashMap::new();
            for event in &trace.events {
                match &event.kind {
                    EventKind::Sent { payload, exchange, .. } => {
                        let message = read(payload.bytes());
                        let method = message["method"].as_str().unwrap_or_default();
                        if let (Some(call), Some(id)) = (call(method, &message["params"]), message.get("id")) {
                            asked.insert((*exchange, id.to_string()), call);
                        }
                    }
                    EventKind::Received { payload, exchange, .. } if !asked.is_empty() => {
                        let message = read(payload.bytes());
                        let id = message["id"].to_string();
                        let own = (*exchange, id);
                        // Over HTTP+SSE answers come on another exchange than their requests.
                        let elsewhere = || asked.keys().find(|(_, other)| *other == own.1).cloned();
                        let key = if asked.contains_key(&own) {
                            Some(own.clone())
                        } else {
                            elsewhere()
                        };
                        let Some(call) = key.and_then(|key| asked.remove(&key)) else {
                            continue;
                        };
                        let mut leaves = Leaves::new();
                        collect(&message["result"], "", &mut leaves);
                        match first.get(&call) {
                            Some(earlier) => places.entry(call).or_default().extend(differing(earlier, &leaves)),
                            None => drop(first.insert(call, leaves)),
                        }
                    }
                    _ => {}
                }
            }
        }
        Self { places }
    }

    /// The places in the result of a call.
    pub(super) fn places(&self, method: &str, params: &Value) -> BTreeSet<String> {
        let places = call(method, params).and_then(|call| self.places.get(&call));
        places.cloned().unwrap_or_default()
    }
}

/// The message in a frame, or null. What is beyond measure is not read.
fn read(bytes: &[u8]) -> Value {
    match jsonrpc::read(bytes, &jsonrpc::Limits::default()) {
        Reading::Complete(document) => document.value.unwrap_or_default(),
        _ => Value::Null,
    }
}

/// What makes two calls of tools equal; nothing for other requests.
fn call(method: &str, params: &Value) -> Option<String> {
    let Value::Object(members) = params else { return None };
    // Metadata has tokens that differ from call to call.
    let said: BTreeMap<&String, &Value> = members.iter().filter(|(name, _)| *name != "_meta").collect();
    (method == "tools/call").then(|| json!(said).to_string())
}

fn collect(value: &Value, path: &str, leaves: &mut Leaves) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                collect(value, &format!("{path}.{name}"), leaves);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, path, leaves)),
        Value::String(text) => leaves.entry(path.to_owned()).or_default().push(text.clone()),
        Value::Number(number) => leaves.entry(path.to_owned()).or_default().push(number.to_string()),
        _ => {}
    }
}

/// The paths at which nothing but digits differs.
fn differing(one: &Leaves, other: &Leaves) -> Vec<String> {
    let alike = |one: &[String], other: &[String]| {
        let plain = |texts: &[String]| texts.iter().map(|text| without_digits(text)).collect::<Vec<_>>();
        plain(one) == plain(other)
    };
    one.iter()
        .filter(|(path, texts)| {
            other
                .get(*path)
                .is_some_and(|found| found != *texts && alike(found, texts))
        })
        .map(|(path, _)| path.clone())
        .collect()
}

/// A text with a sign for every number in it.
pub(super) fn without_digits(text: &str) -> String {
    match &*DIGITS {
        Some(digits) => digits.replace_all(text, "<number>").into_owned(),
        None => text.to_owned(),
    }
}
