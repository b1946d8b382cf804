//! Correct servers that differ from the ordinary one: nothing that weighs may be found about them.

use std::time::Duration;

use serde_json::{Value, json};

use super::spoil::{Bytes, Results, error, take};
use super::{Decorator, Fault, ONE_STREAM, Received, STDIO};
use crate::conversation::Output;
use crate::envelope::{Incoming, Message, Request, Response, RpcError};

pub(super) const VARIANTS: &[Fault] = &[
    Fault::new(
        "variant-only-tools",
        "is correct, and offers nothing but tools",
        &[],
        || Box::new(Without(&["resources", "prompts", "completions", "logging"])),
    ),
    Fault::new("variant-no-tools", "is correct, and offers no tools", &[], || {
        Box::new(Without(&["tools"]))
    }),
    Fault::new(
        "variant-no-subscriptions",
        "is correct, and offers neither subscriptions nor news",
        &[],
        || Box::new(NoNews),
    ),
    Fault::new(
        "variant-silent",
        "is correct, and answers nothing that it cannot read",
        &[],
        || Box::new(Silent),
    )
    // Over Streamable HTTP every POST is answered, and one that cannot be read is refused.
    .over(ONE_STREAM),
    Fault::new(
        "variant-invalid-params",
        "is correct, and tells wrong arguments in a protocol error, as older revisions do",
        &[],
        || Box::new(InvalidParams),
    ),
    Fault::new(
        "variant-meta",
        "is correct, and says `_meta` wherever it may",
        &[],
        || Box::new(Results(with_meta)),
    ),
    Fault::new(
        "variant-more-members",
        "is correct, and says members that no revision knows",
        &[],
        || Box::new(Results(with_more_members)),
    ),
    Fault::new(
        "variant-bare",
        "is correct, and says nothing that it need not say",
        &[],
        || Box::new(Results(bare)),
    ),
    Fault::new(
        "variant-odd-cursors",
        "is correct, and has cursors with every kind of character",
        &[],
        || Box::new(OddCursors),
    ),
    Fault::new(
        "variant-one-page",
        "is correct, and has no list of several pages",
        &[],
        || Box::new(Ordinary),
    )
    .served_with(&["--page-size", "1000"]),
    Fault::new(
        "variant-slow",
        "is correct, and takes its time for every answer",
        &[],
        || Box::new(Slow),
    ),
    Fault::new(
        "variant-escapes",
        "is correct, and writes JSON with spaces and with escapes for everything that can have one",
        &[],
        || Box::new(Bytes(escaped)),
    )
    .over(STDIO),
    Fault::new(
        "variant-pings",
        "is correct, and pings the client before every answer",
        &[],
        || Box::new(Pings(0)),
    )
    .over(STDIO),
];

/// What a server changes by its options alone.
#[derive(Debug)]
struct Ordinary;

impl Decorator for Ordinary {}

/// The entries of the lists and content blocks in a result.
fn entries(result: &mut Value) -> impl Iterator<Item = &mut Value> {
    const LISTS: &[&str] = &[
        "tools",
        "prompts",
        "resources",
        "resourceTemplates",
        "content",
        "contents",
    ];
    result
        .as_object_mut()
        .into_iter()
        .flatten()
        .filter(|(name, _)| LISTS.contains(&name.as_str()))
        .filter_map(|(_, list)| list.as_array_mut())
        .flatten()
}

fn with_meta(_: &Request, result: &mut Value) {
    let meta = json!({ "com.example/origin": "reference", "n": [1, null] });
    let add = |value: &mut Value| {
        // What is there already belongs to the protocol.
        if value.get("_meta").is_none_or(Value::is_null) {
            value["_meta"] = meta.clone();
        }
    };
    entries(result).for_each(add);
    add(result);
}

fn with_more_members(request: &Request, result: &mut Value) {
    let more = json!({ "of": ["a", "later", "revision"] });
    entries(result).for_each(|entry| entry["x-later"] = more.clone());
    if request.method == "initialize" {
        result["capabilities"]["x-later"] = more.clone();
        result["serverInfo"]["x-later"] = more.clone();
    }
    // Results of these methods are empty, and stay so.
    if ![
        "ping",
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
    ]
    .contains(&request.method.as_str())
    {
        result["x-later"] = more;
    }
}

fn bare(request: &Request, result: &mut Value) {
    const OPTIONAL: &[&str] = &["title", "description", "icons", "annotations", "size", "mimeType"];
    if request.method.ends_with("/list") {
        for entry in entries(result) {
            for member in OPTIONAL {
                take(entry, member);
            }
        }
    }
    if request.method == "initialize" {
        take(result, "instructions");
        for member in ["title", "description", "icons", "websiteUrl"] {
            take(&mut result["serverInfo"], member);
        }
    }
}

/// A cursor is opaque: the client repeats it and makes nothing of it.
#[derive(Debug)]
struct OddCursors;

impl OddCursors {
    const BEFORE: &str = "  {\"page\":\\ é\u{2028}\u{1F600}/?&=%00 ";
    const AFTER: &str = "\t=\n";
}

impl Decorator for OddCursors {
    fn incoming(&mut self, mut incoming: Incoming) -> Incoming {
        if let Incoming::Request(Request { params: Ok(params), .. }) = &mut incoming
            && let Some(Value::String(cursor)) = params.get_mut("cursor")
        {
            let inner = cursor
                .strip_prefix(Self::BEFORE)
                .and_then(|rest| rest.strip_suffix(Self::AFTER));
            // A cursor that this server never gave out is none, even if the ordinary one would have given it.
            *cursor = inner.unwrap_or("none of mine").to_owned();
        }
        incoming
    }

    fn response(&mut self, _: &Request, mut response: Response) -> Response {
        if let Ok(result) = &mut response.outcome
            && let Some(Value::String(cursor)) = result.get_mut("nextCursor")
        {
            *cursor = format!("{}{cursor}{}", Self::BEFORE, Self::AFTER);
        }
        response
    }
}

/// How long a slow server thinks about anything.
const THOUGHT: Duration = Duration::from_millis(10);

#[derive(Debug)]
struct Slow;

impl Decorator for Slow {
    fn outputs(&mut self, _: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        for output in &mut outputs {
            if let Output::Message { after, .. } = output {
                *after += THOUGHT;
            }
        }
        outputs
    }
}

/// The same JSON with a space around every token, and every character of a text as an escape.
fn escaped(json: Vec<u8>) -> Vec<u8> {
    let Ok(text) = String::from_utf8(json) else {
        return Vec::new();
    };
    let (mut written, mut in_text, mut after_backslash) = (String::new(), false, false);
    for char in text.chars() {
        match char {
            '"' if !after_backslash => {
                in_text = !in_text;
                written.push('"');
            }
            '/' if in_text && !after_backslash => written.push_str("\\/"),
            _ if in_text && !char.is_ascii() => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    written.push_str(&format!("\\u{unit:04X}"));
                }
            }
            '{' | '}' | '[' | ']' | ',' | ':' if !in_text => {
                written.push(' ');
                written.push(char);
                written.push(' ');
            }
            _ => written.push(char),
        }
        after_backslash = in_text && char == '\\' && !after_backslash;
    }
    written.into_bytes()
}

/// Both sides may ping at any time.
#[derive(Debug)]
struct Pings(u64);

impl Decorator for Pings {
    fn outputs(&mut self, received: Received, mut outputs: Vec<Output>) -> Vec<Output> {
        // Never before the answer to `initialize`, which is the first.
        if matches!(received, Received::Requests(_)) {
            self.0 += 1;
            if self.0 > 1 {
                let ping = Message::Request {
                    id: json!(format!("are-you-there-{}", self.0)),
                    method: "ping",
                    params: None,
                };
                outputs.insert(0, Output::Aside(ping));
            }
        }
        outputs
    }
}

/// A server without some capabilities, and without their methods.
#[derive(Debug)]
struct Without(&'static [&'static str]);

impl Decorator for Without {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if let ("initialize", Ok(result)) = (request.method.as_str(), &mut response.outcome) {
            for capability in self.0 {
                take(&mut result["capabilities"], capability);
            }
        }
        let of = match request.method.split('/').next() {
            Some("completion") => "completions",
            Some(area) => area,
            None => "",
        };
        if let ("tools/call", Ok(result)) = (request.method.as_str(), &mut response.outcome)
            && self.0.contains(&"resources")
            && let Some(blocks) = result["content"].as_array_mut()
        {
            // Resources come from servers that have some.
            blocks.retain(|block| block["type"] != "resource");
        }
        if self.0.contains(&of) {
            response.outcome = Err(RpcError::method_not_found(&request.method));
        }
        response
    }

    fn outputs(&mut self, _: Received, outputs: Vec<Output>) -> Vec<Output> {
        let news: Vec<&str> = self.0.iter().filter_map(|capability| news_of(capability)).collect();
        without(outputs, &news)
    }
}

/// The notification that needs a capability.
fn news_of(capability: &str) -> Option<&'static str> {
    match capability {
        "tools" => Some("notifications/tools/list_changed"),
        "prompts" => Some("notifications/prompts/list_changed"),
        "resources" => Some("notifications/resources/list_changed"),
        "logging" => Some("notifications/message"),
        _ => None,
    }
}

/// The outputs without some notifications.
fn without(mut outputs: Vec<Output>, methods: &[&str]) -> Vec<Output> {
    outputs.retain(|output| match output {
        Output::Aside(Message::Notification { method, .. })
        | Output::Message {
            message: Message::Notification { method, .. },
            ..
        } => !methods.contains(method),
        _ => true,
    });
    outputs
}

/// A server whose lists never change, and whose resources cannot be subscribed to.
#[derive(Debug)]
struct NoNews;

impl Decorator for NoNews {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        if let ("initialize", Ok(result)) = (request.method.as_str(), &mut response.outcome) {
            for list in ["tools", "prompts", "resources"] {
                result["capabilities"][list] = serde_json::json!({});
            }
        }
        if ["resources/subscribe", "resources/unsubscribe"].contains(&request.method.as_str()) {
            response.outcome = Err(error(-32601, "Method not found"));
        }
        response
    }

    fn outputs(&mut self, _: Received, outputs: Vec<Output>) -> Vec<Output> {
        let news: Vec<&str> = ["tools", "prompts", "resources"]
            .into_iter()
            .filter_map(news_of)
            .collect();
        without(outputs, &news)
    }
}

/// What most SDKs do: a frame that is no message is left alone.
#[derive(Debug)]
struct Silent;

impl Decorator for Silent {
    fn outputs(&mut self, received: Received, outputs: Vec<Output>) -> Vec<Output> {
        match received {
            Received::Unparseable => Vec::new(),
            _ => outputs,
        }
    }
}

/// Up to 2025-06-18 both ways are right.
#[derive(Debug)]
struct InvalidParams;

impl Decorator for InvalidParams {
    fn response(&mut self, request: &Request, mut response: Response) -> Response {
        let text = |result: &Value| {
            result
                .pointer("/content/0/text")
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        if request.method == "tools/call"
            && let Some(why) = response.outcome.as_ref().ok().and_then(text)
            && why.starts_with("Invalid arguments for ")
        {
            response.outcome = Err(RpcError::invalid_params(why));
        }
        response
    }
}
