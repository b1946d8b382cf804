//! Every single-field mutation of every valid message, and of the least that is left of it, judged three times: by our checker, by our plain schema, and by the specification's
//! own schema where that is at hand. The first two agree but for formats. Where the third differs, [`DIFFERENCES`] says why.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

use super::completeness::{OF_EXTENSIONS, official_methods};
use super::{Definitions, Message, library, messages, only_formats, put};
use crate::pointer::below;
use crate::revision::Revision;
use crate::spec::requirement::Severity;
use crate::spec::schema::{Checked, SchemaFault};

/// One changed place of a message.
struct Mutation {
    pointer: String,
    change: String,
    value: Value,
}

/// Where a message stands that only one side accepts.
struct Difference<'a> {
    revision: Revision,
    definition: &'a str,
    pointer: &'a str,
    change: &'a str,
    checked: &'a Checked,
}

impl Difference<'_> {
    fn ours_accepts(&self) -> bool {
        self.checked.faults.is_empty()
    }

    fn is_at(&self, definition: &str, pointer: &str) -> bool {
        self.definition == definition && self.pointer.starts_with(pointer)
    }

    /// Whether every one of our faults, of which there are some, is of this kind.
    fn all(&self, kind: impl Fn(&SchemaFault) -> bool) -> bool {
        !self.ours_accepts() && self.checked.faults.iter().all(kind)
    }
}

/// Why only one side accepts a message, and which messages that holds for.
type Explanation = (&'static str, fn(&Difference<'_>) -> bool);

/// The differences that are meant.
const DIFFERENCES: &[Explanation] = &[
    (
        "formats and patterns are annotations there, and are checked in code here",
        |difference| difference.all(|fault| matches!(fault.rule, "format" | "pattern")),
    ),
    (
        "empty results and params of notifications of change have no members by the text: a warning",
        |difference| {
            difference.change == "added"
                && difference.all(|fault| fault.rule == "x-absent" && fault.at_most == Severity::Warn)
        },
    ),
    (
        "an error about an unreadable message has a null id or none by JSON-RPC, whatever the schema says",
        |difference| difference.is_at("ErrorResponse", "/id") && difference.ours_accepts(),
    ),
    (
        "the envelope leaves what is in params to the definitions of the methods",
        |difference| difference.is_at("Request", "/params/") && difference.ours_accepts(),
    ),
    (
        "_meta of params stands only in the generic request and notification types, which the method's own type leaves out",
        |difference| {
            let own_type_is_complete = difference.revision >= Revision::V2025_11_25
                && !["TaskParams", "ClientTaskParams", "ElicitationComplete"].contains(&difference.definition);
            !own_type_is_complete && difference.all(|fault| fault.pointer.starts_with("/_meta"))
        },
    ),
    (
        "a cancellation by a server can only be about a request, and has to name it",
        |difference| {
            difference.is_at("Cancelled", "/requestId") && difference.change == "dropped" && !difference.ours_accepts()
        },
    ),
    (
        "the page on prompts wants a MIME type of embedded resources: a warning",
        |difference| {
            difference.all(|fault| {
                fault.requirement.as_deref() == Some("prompts/embedded-mime") && fault.at_most == Severity::Warn
            })
        },
    ),
    (
        "a number of bytes or values below zero is no number of anything: a warning",
        |difference| {
            difference.change == "to -1"
                && difference.all(|fault| fault.rule == "minimum" && fault.at_most == Severity::Warn)
        },
    ),
    (
        "a broken enumeration in a form passes there as a plain string with extras",
        |difference| {
            let choices = ["/enum", "/enumNames", "/oneOf"];
            difference.definition == "ElicitParams"
                && difference.all(|fault| choices.iter().any(|member| fault.pointer.contains(member)))
        },
    ),
    (
        "numbers in the answer to a form may have fractions by schema.ts",
        |difference| {
            difference.is_at("ElicitResult", "/content/") && difference.change == "to 1.5" && difference.ours_accepts()
        },
    ),
    (
        "what the page on tasks puts into _meta is not in the types",
        |difference| {
            ["TaskPayloadResult", "CreateTaskResult"].contains(&difference.definition)
                && difference.pointer.starts_with("/_meta")
                && !difference.ours_accepts()
        },
    ),
    (
        "the envelope leaves what is in a result to the definitions of the methods",
        |difference| difference.is_at("ResultResponse", "/result") && difference.ours_accepts(),
    ),
    (
        "filters have a field of the extension for tasks, which the schema of the core does not know",
        |difference| {
            ["ListenParams", "Acknowledged"].contains(&difference.definition)
                && difference.all(|fault| fault.pointer.starts_with("/notifications/taskIds"))
        },
    ),
    (
        "that a result asks for input or carries state, and that some version is supported, is in the text only",
        |difference| {
            ["InputRequiredResult", "UnsupportedVersion"].contains(&difference.definition)
                && difference.all(|fault| matches!(fault.rule, "x-one-of" | "minItems"))
        },
    ),
    (
        "answers to input requests are told apart here by the member that only their kind has; their content is the client's own",
        |difference| difference.is_at("CallToolParams", "/inputResponses/") && difference.ours_accepts(),
    ),
    (
        "JSON objects have only texts, whole numbers and truth values there, and anything by schema.ts",
        |difference| difference.is_at("CreateMessageParams", "/metadata/") && difference.ours_accepts(),
    ),
];

fn mutations(message: &Value) -> Vec<Mutation> {
    let mut found = Vec::new();
    walk(message, message, "", false, &mut found);
    found
}

fn walk(whole: &Value, here: &Value, pointer: &str, droppable: bool, found: &mut Vec<Mutation>) {
    let mut change = |pointer: &str, change: String, new: Option<Value>| {
        let mut value = whole.clone();
        put(&mut value, pointer, new);
        found.push(Mutation {
            pointer: pointer.to_owned(),
            change,
            value,
        });
    };
    if droppable {
        change(pointer, "dropped".to_owned(), None);
    }
    if !pointer.is_empty() {
        let others = [
            json!(null),
            json!(5),
            json!(1.5),
            json!(-1),
            json!(true),
            json!(""),
            json!("zzz-unknown"),
            json!([]),
            json!({}),
        ];
        for other in others.into_iter().filter(|other| other != here) {
            change(pointer, format!("to {other}"), Some(other));
        }
    }
    match here {
        Value::Object(members) => {
            change(&format!("{pointer}/zzzExtra"), "added".to_owned(), Some(json!(1)));
            for (name, member) in members {
                walk(whole, member, &below(pointer, name), true, found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(whole, item, &format!("{pointer}/{index}"), false, found);
            }
        }
        _ => {}
    }
}

/// The message with everything left out that can be: other choices and other absences than in the full one.
fn minimal(message: &Value, is_valid: impl Fn(&Value) -> bool) -> Value {
    let mut least = message.clone();
    while let Some(smaller) = mutations(&least)
        .into_iter()
        .find(|mutation| mutation.change == "dropped" && is_valid(&mutation.value))
    {
        least = smaller.value;
    }
    least
}

#[test]
fn the_checker_agrees_with_the_plain_schema() {
    let (library, messages) = (library(), messages());
    let mut tried = 0;
    for revision in Revision::ALL {
        let schemas = library.for_revision(revision);
        let plain = Definitions::new(&schemas.plain(), "$defs");
        for message in messages.iter().filter(|message| message.revisions.contains(&revision)) {
            let least = minimal(&message.value, |value| {
                schemas.check(&message.definition, value).faults.is_empty()
            });
            let changed = mutations(&message.value).into_iter().chain(mutations(&least));
            for Mutation { pointer, change, value } in changed {
                tried += 1;
                let checked = schemas.check(&message.definition, &value);
                let accepted = plain.accept(&message.definition, &value);
                let name = &message.name;
                assert_eq!(
                    accepted,
                    only_formats(&checked),
                    "{revision} {name} {pointer} {change}: {:?}",
                    checked.faults
                );
            }
        }
    }
    println!("{tried} messages judged by both");
    assert!(tried > 30_000, "{tried}");
}

#[test]
fn differences_from_the_official_schemas_are_explained() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/spec/official-schema");
    if !folder.is_dir() {
        println!(
            "SKIPPED: there is no {}; nothing was compared with the official schemas",
            folder.display()
        );
        return;
    }
    let (library, messages) = (library(), messages());
    let (mut tried, mut unexplained) = (0, Vec::new());
    let mut used: BTreeMap<&str, usize> = BTreeMap::new();
    for revision in Revision::ALL {
        let text = std::fs::read_to_string(folder.join(format!("{revision}.schema.json"))).unwrap();
        let document: Value = serde_json::from_str(&text).unwrap();
        let official = Official::new(&document);
        let schemas = library.for_revision(revision);
        let of_extension = |method: &str| revision == Revision::V2026_07_28 && OF_EXTENSIONS.contains(&method);
        let ours: BTreeSet<String> = schemas
            .server_methods()
            .filter(|method| !of_extension(method))
            .map(str::to_owned)
            .collect();
        assert_eq!(ours, official_methods(&document, "Server"), "{revision}");
        let ours: BTreeSet<String> = schemas
            .client_methods()
            .filter(|method| !of_extension(method))
            .map(str::to_owned)
            .collect();
        assert_eq!(ours, official_methods(&document, "Client"), "{revision}");
        for message in messages.iter().filter(|message| message.revisions.contains(&revision)) {
            let Some(name) = official.name(message) else {
                assert!(
                    message.official.is_empty(),
                    "{revision}: no definition for {}",
                    message.name
                );
                continue;
            };
            if !official.accepts(name, &wrapped(message, &message.value)) {
                unexplained.push(format!(
                    "{revision} {}: the official schema refuses it as it is",
                    message.name
                ));
                continue;
            }
            let least = minimal(&message.value, |value| {
                schemas.check(&message.definition, value).faults.is_empty()
                    && official.accepts(name, &wrapped(message, value))
            });
            let changed = mutations(&message.value).into_iter().chain(mutations(&least));
            for Mutation { pointer, change, value } in changed {
                tried += 1;
                let checked = schemas.check(&message.definition, &value);
                let accepted = official.accepts(name, &wrapped(message, &value));
                if checked.faults.is_empty() == accepted {
                    continue;
                }
                let definition = message.definition.as_str();
                let difference = Difference {
                    revision,
                    definition,
                    pointer: &pointer,
                    change: &change,
                    checked: &checked,
                };
                match DIFFERENCES.iter().find(|(_, holds)| holds(&difference)) {
                    Some((reason, _)) => *used.entry(reason).or_default() += 1,
                    None => unexplained.push(format!(
                        "{revision} {} {pointer} {change}: official accepts: {accepted}, our faults: {:?}",
                        message.name, checked.faults
                    )),
                }
            }
        }
    }
    println!("{tried} messages compared; differences: {used:#?}");
    assert!(
        unexplained.is_empty(),
        "{} unexplained differences:\n{}",
        unexplained.len(),
        unexplained.join("\n")
    );
    let stale: Vec<&str> = DIFFERENCES
        .iter()
        .map(|(reason, _)| *reason)
        .filter(|reason| !used.contains_key(reason))
        .collect();
    assert!(stale.is_empty(), "explanations that explain nothing: {stale:?}");
}

/// The specification's own schema of a revision.
struct Official {
    names: BTreeSet<String>,
    definitions: Definitions,
}

impl Official {
    fn new(schema: &Value) -> Self {
        // Up to 2025-06-18 the dialect is draft-07, from 2025-11-25 it is 2020-12.
        let key = if schema.get("$defs").is_some() {
            "$defs"
        } else {
            "definitions"
        };
        let names = schema[key].as_object().unwrap().keys().cloned().collect();
        Self {
            names,
            definitions: Definitions::new(schema, key),
        }
    }

    fn name<'a>(&self, message: &'a Message) -> Option<&'a str> {
        message
            .official
            .iter()
            .find(|name| self.names.contains(*name))
            .map(String::as_str)
    }

    fn accepts(&self, name: &str, value: &Value) -> bool {
        self.definitions.accept(name, value)
    }
}

/// The message as the official schemas describe it: params within their request or notification, data within its error.
fn wrapped(message: &Message, value: &Value) -> Value {
    match message.wrap.as_deref() {
        None => value.clone(),
        Some(wrap) => match wrap.strip_prefix("error ") {
            Some(code) => {
                let code: i64 = code.parse().unwrap();
                json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": code, "message": "m", "data": value } })
            }
            None if wrap.starts_with("notifications/") => json!({ "jsonrpc": "2.0", "method": wrap, "params": value }),
            None => json!({ "jsonrpc": "2.0", "id": 1, "method": wrap, "params": value }),
        },
    }
}
