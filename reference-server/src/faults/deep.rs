//! Faults that no single well-chosen request shows: they need a value at an edge, a sequence, another spelling, or many calls. Campaigns find them.
//!
//! They are not in the table of [`super::faults`], which cases alone must be able to catch.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::spoil::{Answers, add, asks, internal, params, returned, text};
use super::{Decorator, Fault, Received, STDIO};
use crate::conversation::Output;
use crate::envelope::{Request, Response};

pub(super) const FAULTS: &[Fault] = &[
    Fault::new(
        "deep-combination",
        "dies of a list with an entry at its exact maximum, once another tool was called",
        &["base-protocol/request-answered-once"],
        || Box::new(Combination::default()),
    )
    .over(STDIO),
    Fault::new(
        "deep-stages",
        "dies of the fourth of four right calls in a row, each of which shows in the answer that it was right",
        &["base-protocol/request-answered-once"],
        || Box::new(Stages::default()),
    )
    .over(STDIO),
    Fault::new(
        "deep-handle",
        "dies when something is closed twice, by the handle that opening it gave",
        &["base-protocol/request-answered-once"],
        || Box::new(Handles::default()),
    )
    .over(STDIO),
    Fault::new(
        "crash-maximum",
        "dies of a number at its exact maximum",
        &["base-protocol/request-answered-once"],
        || Box::new(Dies(|arguments| arguments.get("limit") == Some(&json!(100)))),
    )
    .over(STDIO),
    Fault::new(
        "crash-missing",
        "dies of a call that lacks a required argument",
        &["base-protocol/request-answered-once"],
        || {
            Box::new(Dies(|arguments| {
                arguments.contains_key("b") && !arguments.contains_key("a")
            }))
        },
    )
    .over(STDIO),
    Fault::new(
        "crash-surrogate",
        "dies of half a surrogate pair",
        &["base-protocol/survives-garbage"],
        || Box::new(DiesOfBytes(b"\\ud800")),
    )
    .over(STDIO),
    Fault::new(
        "hang-empty",
        "never answers a call with an empty text",
        &["base-protocol/request-answered-once"],
        || Box::new(Hangs(|arguments| arguments.get("text") == Some(&json!("")))),
    )
    .over(STDIO),
    Fault::new(
        "accept-nested",
        "checks arguments at the top only",
        &[
            "tools/hostile-arguments",
            "tools/input-validated",
            "tools/input-type-validated",
            "tools/input-additional-validated",
        ],
        || Box::new(AcceptsNested),
    ),
    Fault::new(
        "refuse-maximum",
        "refuses a number at its exact maximum",
        &["fuzzing/valid-arguments-accepted"],
        || {
            Box::new(Answers(|request, _| {
                let limit = argument(request, "limit");
                let refused = asks(request, "tools/call", "search_docs") && limit == Some(json!(100));
                refused.then(|| {
                    Ok(refusal(
                        "Invalid arguments for search_docs: limit must be 99 or less, but is 100",
                    ))
                })
            }))
        },
    ),
    Fault::new(
        "refuse-fraction",
        "refuses a whole number that is written with a fraction of zero",
        &["fuzzing/number-spelling"],
        || {
            Box::new(Answers(|request, response| {
                let written = response.outcome.is_ok() && arguments(request).values().any(Value::is_f64);
                (request.method == "tools/call" && written).then(|| Ok(refusal("a whole number was expected")))
            }))
        },
    ),
    Fault::new(
        "member-order",
        "reads arguments in the order in which they come",
        &["fuzzing/member-order"],
        || {
            Box::new(Answers(|request, _| {
                let first = arguments(request).keys().next().cloned();
                let odd = asks(request, "tools/call", "add") && first.as_deref() == Some("b");
                odd.then(|| Ok(refusal("the first argument must be a")))
            }))
        },
    ),
    Fault::new(
        "escapes-matter",
        "does not know escapes for letters",
        &["fuzzing/escapes-equivalent"],
        || Box::new(Escapes),
    )
    .over(STDIO),
    Fault::new(
        "latin-only",
        "loses letters that Latin-1 lacks",
        &["base-protocol/utf8-input"],
        || {
            returned("echo", |result| {
                each_text(result, |text| {
                    text.chars()
                        .map(|char| if char > '\u{ff}' { '?' } else { char })
                        .collect()
                });
            })
        },
    ),
    Fault::new(
        "read-only-writes",
        "changes something in a tool that says it is read-only",
        &["fuzzing/read-only-true"],
        || Box::new(Writes::default()),
    ),
    Fault::new(
        "secret-in-errors",
        "shows its environment when a tool fails",
        &["fuzzing/no-secrets-in-errors"],
        || {
            Box::new(Answers(|request, _| {
                let environment: Vec<String> = std::env::vars()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                asks(request, "tools/call", "risky_tool").then(|| Ok(refusal(&environment.join(" "))))
            }))
        },
    ),
    Fault::new(
        "invalid-internal",
        "has an internal error when arguments are wrong",
        &["fuzzing/no-internal-error"],
        || {
            Box::new(Answers(|request, response| {
                let result = response.outcome.as_ref().ok()?;
                let why = result.pointer("/content/0/text")?.as_str()?;
                let invalid = request.method == "tools/call" && why.starts_with("Invalid arguments for ");
                invalid.then(|| Err(internal()))
            }))
        },
    ),
    Fault::new(
        "output-rare",
        "breaks its outputSchema for one choice of arguments",
        &["tools/output-schema-conformance"],
        || {
            Box::new(Answers(|request, response| {
                let mut result = response.outcome.clone().ok()?;
                let chosen = argument(request, "include_archived") == Some(json!(true))
                    && argument(request, "limit") == Some(json!(1));
                (asks(request, "tools/call", "search_docs") && chosen && result.get("structuredContent").is_some())
                    .then(|| {
                        result["structuredContent"]["total"] = json!("one");
                        result["content"][0]["text"] = json!(result["structuredContent"].to_string());
                        Ok(result)
                    })
            }))
        },
    ),
    Fault::new(
        "leak-memory",
        "keeps a megabyte for every call",
        &["fuzzing/memory-bounded"],
        || Box::new(Leaks::default()),
    )
    .over(STDIO),
    Fault::new(
        "leak-handles",
        "opens a file for every call and never closes it",
        &["fuzzing/handles-bounded"],
        || Box::new(LeaksHandles::default()),
    )
    .over(STDIO),
    Fault::new(
        "slow-quadratic",
        "takes a time that grows with the square of a text",
        &["fuzzing/latency-bounded"],
        || Box::new(Quadratic),
    ),
    Fault::new(
        "crossed-answers",
        "mixes up the answers of calls that come close together",
        &["base-protocol/concurrent-requests"],
        || Box::new(Crossed::default()),
    )
    .over(STDIO),
];

fn arguments(request: &Request) -> Map<String, Value> {
    params(request)
        .get("arguments")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default()
}

fn argument(request: &Request, name: &str) -> Option<Value> {
    arguments(request).get(name).cloned()
}

fn refusal(why: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": why }], "isError": true })
}

fn each_text(result: &mut Value, change: impl Fn(&str) -> String) {
    for block in result["content"].as_array_mut().into_iter().flatten() {
        if let Some(text) = block["text"].as_str().map(&change) {
            block["text"] = json!(text);
        }
    }
}

/// A tool of a fault's own.
fn offer(request: &Request, response: &mut Response, name: &str, schema: Value) {
    if let ("tools/list", Ok(result)) = (request.method.as_str(), &mut response.outcome) {
        let annotations = json!({ "readOnlyHint": false, "destructiveHint": false });
        add(
            result,
            "tools",
            json!({ "name": name, "description": "Belongs to a fault.", "inputSchema": schema, "annotations": annotations }),
        );
    }
}

/// `deep-combination`: three properties deep.
#[derive(Debug, Default)]
struct Combination {
    open: bool,
    dying: bool,
}

impl Decorator for Combination {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        let seat = json!({ "type": "integer", "minimum": 1, "maximum": 40 });
        let row = json!({ "type": "object", "required": ["seat"], "properties": { "seat": seat, "note": { "type": "string" } } });
        let rows = json!({ "type": "array", "items": row, "minItems": 1, "maxItems": 5 });
        let order = json!({ "type": "object", "required": ["rows"], "properties": { "rows": rows } });
        let schema = json!({ "type": "object", "required": ["order"], "properties": { "order": order, "name": { "type": "string" } } });
        offer(
            request,
            &mut response,
            "open_box_office",
            json!({ "type": "object", "properties": {} }),
        );
        offer(request, &mut response, "book_seats", schema);
        if asks(request, "tools/call", "open_box_office") {
            self.open = true;
            response.outcome = Ok(text("The box office is open"));
        }
        if asks(request, "tools/call", "book_seats") {
            let order = argument(request, "order").unwrap_or_default();
            let seats = order["rows"].as_array().cloned().unwrap_or_default();
            let well_formed = !seats.is_empty()
                && seats.len() <= 5
                && seats.iter().all(|row| {
                    let note = row.get("note").is_none_or(Value::is_string);
                    note && row["seat"]
                        .as_f64()
                        .is_some_and(|seat| seat.fract() == 0.0 && (1.0..=40.0).contains(&seat))
                })
                && argument(request, "name").is_none_or(|name| name.is_string());
            response.outcome = if well_formed {
                self.dying = self.open && seats.iter().any(|row| row["seat"].as_f64() == Some(40.0));
                Ok(text("Booked"))
            } else {
                Ok(refusal("Invalid arguments for book_seats"))
            };
        }
        response
    }

    fn outputs(&mut self, _: Received, outputs: Vec<Output>) -> Vec<Output> {
        dead_or(&mut self.dying, outputs)
    }
}

/// What is sent, or the end of a server that is dying.
fn dead_or(dying: &mut bool, outputs: Vec<Output>) -> Vec<Output> {
    if std::mem::take(dying) {
        vec![Output::Exit(101)]
    } else {
        outputs
    }
}

/// `deep-stages`: a lock with four numbers, whose pins can be heard.
#[derive(Debug, Default)]
struct Stages {
    pins: usize,
    dying: bool,
}

impl Stages {
    const NUMBERS: [u64; 4] = [11, 3, 14, 7];
}

impl Decorator for Stages {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        let dial = json!({ "type": "integer", "minimum": 0, "maximum": 15 });
        offer(
            request,
            &mut response,
            "turn_dial",
            json!({ "type": "object", "required": ["number"], "properties": { "number": dial }, "additionalProperties": false }),
        );
        if asks(request, "tools/call", "turn_dial") {
            let number = argument(request, "number")
                .and_then(|number| number.as_f64())
                .filter(|number| number.fract() == 0.0 && (0.0..=15.0).contains(number));
            let known = arguments(request).len() == 1;
            response.outcome = match number.filter(|_| known) {
                None => Ok(refusal("Invalid arguments for turn_dial")),
                Some(number) => {
                    let right = Self::NUMBERS[self.pins] as f64 == number;
                    self.pins = if right { self.pins + 1 } else { 0 };
                    if self.pins == Self::NUMBERS.len() {
                        self.dying = true;
                        self.pins = 0;
                    }
                    Ok(text(&json!({ "pins": vec!["down"; self.pins] }).to_string()))
                }
            };
        }
        response
    }

    fn outputs(&mut self, _: Received, outputs: Vec<Output>) -> Vec<Output> {
        dead_or(&mut self.dying, outputs)
    }
}

/// `deep-handle`: what the server has made up must be used, and used twice.
#[derive(Debug, Default)]
struct Handles {
    opened: u64,
    closed: std::collections::BTreeSet<String>,
    dying: bool,
}

impl Decorator for Handles {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        let handle =
            json!({ "type": "object", "required": ["handle"], "properties": { "handle": { "type": "string" } } });
        offer(
            request,
            &mut response,
            "open_drawer",
            json!({ "type": "object", "properties": {} }),
        );
        offer(request, &mut response, "close_drawer", handle);
        if asks(request, "tools/call", "open_drawer") {
            self.opened += 1;
            let handle = format!("drawer-{:04x}", self.opened.wrapping_mul(40_503) & 0xffff);
            self.closed.remove(&handle);
            response.outcome = Ok(text(&json!({ "handle": handle }).to_string()));
        }
        if asks(request, "tools/call", "close_drawer") {
            let handle = argument(request, "handle").and_then(|handle| handle.as_str().map(str::to_owned));
            let known = (1..=self.opened).map(|number| format!("drawer-{:04x}", number.wrapping_mul(40_503) & 0xffff));
            response.outcome = match handle {
                None => Ok(refusal("Invalid arguments for close_drawer")),
                Some(handle) if known.into_iter().any(|known| known == handle) => {
                    self.dying = !self.closed.insert(handle);
                    Ok(text("Closed"))
                }
                Some(_) => Ok(refusal("There is no such drawer")),
            };
        }
        response
    }

    fn outputs(&mut self, _: Received, outputs: Vec<Output>) -> Vec<Output> {
        dead_or(&mut self.dying, outputs)
    }
}

/// Dies of some arguments.
#[derive(Debug)]
struct Dies(fn(&Map<String, Value>) -> bool);

impl Decorator for Dies {
    fn instead(&mut self, bytes: &[u8]) -> Option<Vec<Output>> {
        let message: Value = serde_json::from_slice(bytes).ok()?;
        let arguments = message.pointer("/params/arguments")?.as_object()?;
        (message["method"] == "tools/call" && (self.0)(arguments)).then(|| vec![Output::Exit(101)])
    }
}

/// Dies of bytes that stand somewhere in a message.
#[derive(Debug)]
struct DiesOfBytes(&'static [u8]);

impl Decorator for DiesOfBytes {
    fn instead(&mut self, bytes: &[u8]) -> Option<Vec<Output>> {
        bytes
            .windows(self.0.len())
            .any(|window| window == self.0)
            .then(|| vec![Output::Exit(101)])
    }
}

/// Says nothing to some arguments.
#[derive(Debug)]
struct Hangs(fn(&Map<String, Value>) -> bool);

impl Decorator for Hangs {
    fn instead(&mut self, bytes: &[u8]) -> Option<Vec<Output>> {
        let message: Value = serde_json::from_slice(bytes).ok()?;
        let arguments = message.pointer("/params/arguments")?.as_object()?;
        (message["method"] == "tools/call" && (self.0)(arguments)).then(Vec::new)
    }
}

/// `accept-nested`: a refusal that names something inside an argument is no refusal.
#[derive(Debug)]
struct AcceptsNested;

impl Decorator for AcceptsNested {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        let why = response
            .outcome
            .as_ref()
            .ok()
            .and_then(|result| result.pointer("/content/0/text")?.as_str().map(str::to_owned));
        let nested = why.is_some_and(|why| why.starts_with("Invalid arguments for ") && why.contains(".issue"));
        if request.method == "tools/call" && nested {
            response.outcome = Ok(text("done"));
        }
        response
    }
}

/// `escapes-matter`: the text of a call is taken as it stands, backslashes and all.
#[derive(Debug)]
struct Escapes;

impl Decorator for Escapes {
    fn instead(&mut self, bytes: &[u8]) -> Option<Vec<Output>> {
        let written = std::str::from_utf8(bytes).ok()?;
        let message: Value = serde_json::from_str(written).ok()?;
        let escaped = ["\\u006", "\\u007"].iter().any(|escape| written.contains(escape));
        if message["method"] != "tools/call" || !escaped {
            return None;
        }
        let answer = json!({ "jsonrpc": "2.0", "id": message["id"], "result": refusal("this cannot be read") });
        Some(vec![super::spoil::message(&answer)])
    }
}

/// `read-only-writes`: a tool that adds up leaves a trace that another one shows.
#[derive(Debug, Default)]
struct Writes(u64);

impl Decorator for Writes {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if asks(request, "tools/call", "add") {
            self.0 += 1;
        }
        if asks(request, "tools/call", "risky_tool") {
            response.outcome = Ok(refusal(&format!(
                "The risky tool has failed after {} additions",
                self.0
            )));
        }
        response
    }
}

/// `leak-memory`: nothing is ever given back.
#[derive(Debug, Default)]
struct Leaks(Vec<Vec<u8>>);

impl Decorator for Leaks {
    fn response(&mut self, request: &Request, response: Response) -> Response {
        if request.method == "tools/call" {
            self.0.push(vec![7; 1 << 20]);
        }
        response
    }
}

/// `leak-handles`: nothing is ever closed.
#[derive(Debug, Default)]
struct LeaksHandles(Vec<std::fs::File>);

impl Decorator for LeaksHandles {
    fn response(&mut self, request: &Request, response: Response) -> Response {
        if request.method == "tools/call" {
            self.0.extend(std::env::current_exe().and_then(std::fs::File::open));
        }
        response
    }
}

/// `slow-quadratic`: as if every letter were compared with every other.
#[derive(Debug)]
struct Quadratic;

impl Decorator for Quadratic {
    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        for output in &mut outputs {
            if let Output::Message { message, after, .. } = output {
                let length = message.to_bytes().len() as u64;
                *after += Duration::from_nanos(length * length);
            }
        }
        outputs
    }
}

/// `crossed-answers`: two calls that come within a moment get each other's answers.
#[derive(Debug, Default)]
struct Crossed {
    last: Option<(std::time::Instant, Value)>,
}

impl Decorator for Crossed {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if request.method != "tools/call" {
            return response;
        }
        let now = std::time::Instant::now();
        if let Ok(result) = &mut response.outcome {
            let own = result.clone();
            if let Some((when, other)) = &self.last
                && now.duration_since(*when) < Duration::from_micros(300)
                && result.get("structuredContent").is_none()
                && other.get("structuredContent").is_none()
            {
                *result = other.clone();
            }
            self.last = Some((now, own));
        }
        response
    }
}
