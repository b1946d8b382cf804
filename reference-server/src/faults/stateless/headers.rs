//! Faults in what is made of the HTTP header of a request, and in what tools want there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::super::http::{PLAIN, Plain, http};
use super::super::spoil::Entry;
use super::super::{Decorator, Fault};
use super::{Passes, fault, http_fault};
use crate::stateless::Rule;
use crate::transport::deviation::Asked;
use crate::transport::http_server::{self, Reply};

const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
const TOOL: &str = "test_custom_headers";

pub(in super::super) const FAULTS: &[Fault] = &[
    http_fault(
        "header-no-version",
        "serves requests without MCP-Protocol-Version",
        &["headers/missing-version-header"],
        || Box::new(Passes(Rule::VersionHeader, "is missing")),
    ),
    http_fault(
        "header-any-version",
        "does not compare MCP-Protocol-Version with the body",
        &["headers/version-mismatch"],
        || Box::new(Passes(Rule::VersionHeader, "is not what")),
    ),
    http_fault(
        "header-no-method",
        "serves requests without Mcp-Method",
        &["headers/missing-method-header"],
        || Box::new(Passes(Rule::MethodHeader, "is missing")),
    ),
    http_fault(
        "header-any-method",
        "does not compare Mcp-Method with the body",
        &["headers/method-mismatch", "headers/method-value-case-sensitive"],
        || Box::new(Passes(Rule::MethodHeader, "is not what")),
    ),
    http_fault(
        "header-method-case",
        "takes Mcp-Method in any case",
        &[
            "headers/method-value-case-sensitive",
            // It reads a method in capital letters as another than the one of the body.
            "base-protocol/reserved-codes-own-meaning",
        ],
        || {
            heads(|head| {
                // No method is written in capital letters.
                let shouted =
                    text(head, &METHOD).filter(|value| !value.contains(|char: char| char.is_ascii_lowercase()));
                let lower = shouted.map(|value| value.to_ascii_lowercase());
                replace(head, &METHOD, lower);
            })
        },
    ),
    http_fault(
        "header-name-case",
        "knows the names of header fields in some cases only",
        &["headers/names-case-insensitive"],
        || {
            http(Plain {
                received: |bytes| {
                    for odd in [&b"mcp-method:"[..], b"mcp-protocol-version:"] {
                        blot(bytes, odd, 0, b'X');
                    }
                },
                ..PLAIN
            })
        },
    ),
    http_fault(
        "header-blanks",
        "takes blanks before a value for a part of it",
        &["headers/surrounding-whitespace-trimmed"],
        || {
            http(Plain {
                received: |bytes| {
                    for field in [&b"Mcp-Method:  "[..], b"Mcp-Name:  "] {
                        blot(bytes, field, field.len() - 1, b'_');
                    }
                },
                ..PLAIN
            })
        },
    ),
    http_fault(
        "header-no-name",
        "serves requests without Mcp-Name",
        &["headers/missing-name-header"],
        || Box::new(Passes(Rule::NameHeader, "is missing")),
    ),
    http_fault(
        "header-any-name",
        "does not compare Mcp-Name with the body",
        &[
            "headers/name-mismatch",
            "headers/name-base64-decoded",
            "headers/sentinel-case-sensitive",
            "ext-tasks/name-header",
        ],
        || Box::new(Passes(Rule::NameHeader, "is not what")),
    ),
    http_fault(
        "header-name-everywhere",
        "demands Mcp-Name of requests for prompts, which name nothing",
        &[
            "headers/name-not-required-elsewhere",
            // The field that is missing contradicts nothing.
            "base-protocol/reserved-codes-own-meaning",
            // And no client comes to its prompts.
            "prompts/list-supported",
            "pagination/invalid-cursor",
        ],
        || {
            replies(|asked, reply| {
                let method = asked
                    .message()
                    .and_then(|message| message["method"].as_str().map(str::to_owned));
                let nameless = method.is_some_and(|method| method == "prompts/list");
                match nameless && is_modern(asked) && !asked.head.headers.contains_key(NAME) {
                    true => mismatch(asked),
                    false => reply,
                }
            })
        },
    ),
    http_fault(
        "header-name-encoded",
        "does not decode Mcp-Name",
        &["headers/name-base64-decoded"],
        || heads(|head| undecodable(head, &NAME)),
    ),
    http_fault(
        "header-name-broken",
        "serves requests whose Mcp-Name is broken base64",
        &["headers/name-base64-invalid"],
        || Box::new(Passes(Rule::NameHeader, "marked as base64")),
    ),
    http_fault(
        "header-marks-case",
        "knows the marks of base64 in any case",
        &["headers/sentinel-case-sensitive"],
        || {
            heads(|head| {
                let value = text(head, &NAME).filter(|value| value.to_ascii_lowercase().starts_with("=?base64?"));
                let known = value.map(|value| format!("=?base64?{}", &value["=?base64?".len()..]));
                replace(head, &NAME, known);
            })
        },
    ),
    http_fault(
        "header-refusal-text",
        "refuses a header that is not that of the body in words alone",
        &[
            "headers/mismatch-body-json-rpc",
            "headers/method-mismatch",
            "headers/method-value-case-sensitive",
        ],
        || {
            replies(|asked, reply| {
                let said = asked.head.headers.get(METHOD).and_then(|value| value.to_str().ok());
                let meant = asked
                    .message()
                    .and_then(|message| message["method"].as_str().map(str::to_owned));
                match (said, meant) {
                    (Some(said), Some(meant)) if said.trim() != meant && is_modern(asked) => {
                        http_server::text(StatusCode::BAD_REQUEST, "The header is wrong")
                    }
                    _ => reply,
                }
            })
        },
    ),
    http_fault(
        "header-twice",
        "takes the last of several values of Mcp-Method",
        &["headers/duplicate-routing-header"],
        || {
            heads(|head| {
                let last = head.headers.get_all(METHOD).iter().next_back().cloned();
                if let Some(last) = last {
                    head.headers.insert(METHOD, last);
                }
            })
        },
    ),
    http_fault(
        "header-injection",
        "lets line breaks in a name become fields of the header",
        &["headers/header-injection"],
        || replies(injected),
    ),
    fault(
        "parameter-no-name",
        "wants an argument in a header field without a name",
        &["headers/param-annotation-non-empty", "headers/param-annotation-token"],
        || region(|schema| schema["x-mcp-header"] = json!("")),
    ),
    fault(
        "parameter-odd-name",
        "wants an argument in a header field whose name has a blank",
        &["headers/param-annotation-token"],
        || region(|schema| schema["x-mcp-header"] = json!("Re gion")),
    ),
    fault(
        "parameter-same-name",
        "wants two arguments in the same header field",
        &["headers/param-annotation-unique"],
        || region(|schema| schema["x-mcp-header"] = json!("PRIORITY")),
    ),
    fault(
        "parameter-number",
        "wants a number that is no integer in the header",
        &["headers/param-annotation-primitive"],
        || region(|schema| schema["type"] = json!("number")),
    ),
    fault(
        "parameter-unreachable",
        "wants an argument in the header that is there in one of several cases only",
        &["headers/param-annotation-reachable"],
        || {
            tool(|tool| {
                let zone = json!({ "zone": { "type": "string", "x-mcp-header": "Zone" } });
                tool["inputSchema"]["anyOf"] = json!([{ "properties": zone }, true]);
            })
        },
    ),
    fault(
        "parameter-secret",
        "wants a password in the header",
        &["headers/param-annotation-not-sensitive"],
        || {
            tool(|tool| {
                let password = json!({ "type": "string", "x-mcp-header": "Password" });
                tool["inputSchema"]["properties"]["password"] = password;
            })
        },
    ),
    http_fault(
        "parameter-any",
        "does not compare arguments with the header",
        &[
            "headers/param-match-validated",
            "headers/param-base64-decoded",
            "headers/param-integer-numeric-compare",
        ],
        || Box::new(Passes(Rule::ParameterHeaders, "is not the argument")),
    ),
    http_fault(
        "parameter-missing",
        "serves calls without the header that their arguments need",
        &["headers/param-missing-rejected"],
        || Box::new(Passes(Rule::ParameterHeaders, "is missing")),
    ),
    http_fault(
        "parameter-demanded",
        "demands a header for arguments that are not there",
        // Calls without them are right, and fail.
        &["headers/param-null-not-expected", "tools/execution-error-as-result"],
        || {
            replies(|asked, reply| {
                let message = asked.message().unwrap_or_default();
                let arguments = &message["params"]["arguments"];
                let absent =
                    ["region", "priority"].map(|name| arguments.get(name).is_none_or(Value::is_null)) == [true; 2];
                let meant = message["params"]["name"] == TOOL && absent && message["method"] == "tools/call";
                match meant && !asked.head.headers.contains_key("mcp-param-region") {
                    true => mismatch(asked),
                    false => reply,
                }
            })
        },
    ),
    http_fault(
        "parameter-encoded",
        "does not decode arguments in the header",
        &["headers/param-base64-decoded"],
        || heads(|head| undecodable(head, &HeaderName::from_static("mcp-param-region"))),
    ),
    http_fault(
        "parameter-broken",
        "serves calls whose header is broken base64, or has characters that no header has",
        &["headers/param-invalid-characters"],
        || Box::new(Broken),
    ),
    http_fault(
        "parameter-textual",
        "compares numbers with the header by their letters",
        &["headers/param-integer-numeric-compare"],
        || {
            heads(|head| {
                let field = HeaderName::from_static("mcp-param-priority");
                let odd = text(head, &field)
                    .filter(|value| value.contains('.'))
                    .map(|_| "no number".to_owned());
                replace(head, &field, odd);
            })
        },
    ),
    http_fault(
        "parameter-unknown",
        "refuses header fields for arguments that it does not know",
        &["headers/param-unrecognised-ignored"],
        || {
            replies(|asked, reply| {
                const KNOWN: [&str; 4] = [
                    "mcp-param-region",
                    "mcp-param-priority",
                    "mcp-param-verbose",
                    "mcp-param-label",
                ];
                let odd = asked
                    .head
                    .headers
                    .keys()
                    .any(|name| name.as_str().starts_with("mcp-param-") && !KNOWN.contains(&name.as_str()));
                if odd { mismatch(asked) } else { reply }
            })
        },
    ),
    http_fault(
        "parameter-without-argument",
        "serves calls whose header has an argument that the body has not",
        &["headers/param-without-argument"],
        || Box::new(Passes(Rule::ParameterHeaders, "has no argument")),
    ),
];

/// Changes the header of each request before anything looks at it.
fn heads(change: fn(&mut Parts)) -> Box<dyn Decorator> {
    #[derive(Clone, Debug)]
    struct Heads(fn(&mut Parts));
    impl crate::transport::deviation::HttpDecorator for Heads {
        fn request(&mut self, head: &mut Parts) -> Option<Reply> {
            (self.0)(head);
            None
        }
    }
    http(Heads(change))
}

/// Changes replies.
fn replies(reply: fn(&Asked, Reply) -> Reply) -> Box<dyn Decorator> {
    http(Plain { reply, ..PLAIN })
}

/// Whether the request is one of the stateless era.
pub(super) fn is_modern(asked: &Asked) -> bool {
    let version = asked.head.headers.get(VERSION);
    version.is_some_and(|version| version == "2026-07-28")
}

/// The refusal of a header.
fn mismatch(asked: &Asked) -> Reply {
    let id = asked.message().unwrap_or_default()["id"].clone();
    let error = json!({ "code": -32020, "message": "Header mismatch" });
    let body = json!({ "jsonrpc": "2.0", "id": id, "error": error });
    http_server::json(StatusCode::BAD_REQUEST, body.to_string().into_bytes())
}

fn text(head: &Parts, field: &HeaderName) -> Option<String> {
    head.headers.get(field)?.to_str().ok().map(str::to_owned)
}

fn replace(head: &mut Parts, field: &HeaderName, value: Option<String>) {
    if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
        head.headers.insert(field, value);
    }
}

/// Makes a value that is marked as base64 one that is not.
fn undecodable(head: &mut Parts, field: &HeaderName) {
    let value = text(head, field).filter(|value| value.starts_with("=?base64?"));
    replace(
        head,
        field,
        value.map(|value| value.replacen("=?base64?", "=?BASE64?", 1)),
    );
}

/// Overwrites one byte of every place where the pattern stands.
fn blot(bytes: &mut [u8], pattern: &[u8], offset: usize, with: u8) {
    let mut from = 0;
    while let Some(found) = bytes[from..]
        .windows(pattern.len())
        .position(|window| window == pattern)
    {
        bytes[from + found + offset] = with;
        from += found + pattern.len();
    }
}

/// The reply with the fields that stand behind line breaks in the name.
fn injected(asked: &Asked, mut reply: Reply) -> Reply {
    let name = asked.head.headers.get(NAME).and_then(|value| value.to_str().ok());
    let encoded = name.and_then(|name| name.strip_prefix("=?base64?")?.strip_suffix("?="));
    let decoded = encoded
        .and_then(|encoded| STANDARD.decode(encoded).ok())
        .unwrap_or_default();
    let decoded = String::from_utf8_lossy(&decoded).into_owned();
    for line in decoded.split(['\r', '\n']).skip(1) {
        if let Some((field, value)) = line.split_once(':')
            && let (Ok(field), Ok(value)) = (field.trim().parse::<HeaderName>(), value.trim().parse::<HeaderValue>())
        {
            reply.headers_mut().insert(field, value);
        }
    }
    reply
}

fn tool(change: fn(&mut Value)) -> Box<dyn Decorator> {
    Box::new(Entry("tools/list", "tools", TOOL, change))
}

/// Changes the schema of an argument that stands in the header.
fn region(change: fn(&mut Value)) -> Box<dyn Decorator> {
    Box::new(Region(change))
}

#[derive(Debug)]
struct Region(fn(&mut Value));

impl Decorator for Region {
    fn response(
        &mut self,
        request: &crate::envelope::Request,
        mut response: crate::envelope::Response,
    ) -> crate::envelope::Response {
        if let Ok(result) = &mut response.outcome
            && request.method == "tools/list"
            && let Some(tool) = super::super::spoil::entry(result, "tools", TOOL)
        {
            (self.0)(&mut tool["inputSchema"]["properties"]["region"]);
        }
        response
    }
}

/// `parameter-broken`.
#[derive(Debug)]
struct Broken;

impl Decorator for Broken {
    fn refusal(
        &mut self,
        rule: Rule,
        method: &str,
        error: crate::envelope::RpcError,
    ) -> Option<crate::envelope::RpcError> {
        let error = Passes(Rule::ParameterHeaders, "marked as base64").refusal(rule, method, error)?;
        Passes(Rule::ParameterHeaders, "characters that a header").refusal(rule, method, error)
    }
}
