//! Error codes of the stateless era: which ranges are whose, what the codes that MCP defines say, and with which HTTP status they come.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::conversation::{Conversation, Direction, Message};
use super::exchange::Exchange;
use super::http_exchange::HttpExchange;
use super::stateless::{self, lacks_metadata};
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope, quoted};
use crate::jsonrpc::{IdToken, Shape};
use crate::spec::requirement::Severity;
use crate::trace::TransportKind;

pub(super) const MONITOR: Monitor = Monitor {
    name: "error-code",
    scope: Scope::Stateless,
    over: EVERYWHERE,
    summary: "error codes keep to their ranges and meanings, bring the data they promise, and come with the right HTTP status",
    requirements: &[
        "base-protocol/app-codes-outside-reserved",
        "base-protocol/legacy-error-range-unused",
        "base-protocol/reserved-range-only-defined",
        "base-protocol/reserved-codes-own-meaning",
        "base-protocol/retired-codes-unused",
        "meta/missing-capability-data",
        "meta/missing-capability-http-400",
        "meta/missing-required-http-400",
        "versioning/unsupported-version-supported-list",
        "versioning/unsupported-version-requested-echo",
        "transport-streamable-http/method-not-found-404",
        "transport-streamable-http/unsupported-version-400",
        "headers/mismatch-body-json-rpc",
        "transport-stdio/no-header-layer",
    ],
    judge: observe,
};

/// Header fields contradict the body.
const HEADER_MISMATCH: i64 = -32020;
/// The client lacks a capability.
const MISSING_CAPABILITY: i64 = -32021;
/// The version is not supported.
const UNSUPPORTED_VERSION: i64 = -32022;
/// The method does not exist.
const METHOD_NOT_FOUND: i64 = -32601;
/// Params are not as they must be.
const INVALID_PARAMS: i64 = -32602;
/// What JSON-RPC itself defines.
const STANDARD: [i64; 5] = [-32700, -32600, METHOD_NOT_FOUND, INVALID_PARAMS, -32603];
/// What older revisions defined.
const RETIRED: [i64; 2] = [-32002, -32042];
/// What a shown code stands for when it is outside of what anybody may use freely.
const OWN_MEANING: &str = "base-protocol/reserved-codes-own-meaning";

fn observe(conversation: &Conversation<'_>, context: &Context<'_>, observer: &mut Observer<'_>) {
    let messages = conversation.messages();
    let (exchanges, strays) = conversation.exchanges(&messages);
    let served: BTreeSet<&str> = exchanges
        .iter()
        .filter(|exchange| {
            let answer = exchange.answers.first();
            answer.is_some_and(|answer| answer.message.value.get("result").is_some())
        })
        .filter_map(|exchange| stateless::version(exchange.request.value))
        .collect();
    let over_http = conversation.transport() == TransportKind::StreamableHttp;
    let carriers: HashMap<u32, HttpExchange<'_>> = if over_http {
        let all = HttpExchange::all(conversation);
        all.into_iter().map(|carrier| (carrier.number, carrier)).collect()
    } else {
        HashMap::new()
    };
    for exchange in &exchanges {
        // A request of the other era is answered by the rules of that era.
        if exchange.method == "initialize" && stateless::version(exchange.request.value).is_none() {
            continue;
        }
        let carrier = conversation.frames()[exchange.request.frame]
            .exchange
            .and_then(|number| carriers.get(&number));
        let asked = Asked {
            exchange,
            carrier,
            version: stateless::version(exchange.request.value).filter(|version| {
                // Where header and body name different versions, either may be the one that is refused; and `initialize` names one of its own.
                exchange.method != "initialize"
                    && carrier.is_none_or(|carrier| carrier.request_field("mcp-protocol-version") == Some(version))
            }),
        };
        for answer in &exchange.answers {
            let found = error_of(answer.message);
            if !over_http {
                without_headers(observer, exchange, answer.message, found.map(|(code, _)| code));
            }
            let Some((code, error)) = found else {
                continue;
            };
            ranges(observer, code, answer.message.event);
            meaning(observer, &asked, answer.message, code, &served);
            data(observer, context, &asked, answer.message, code, error);
        }
    }
    for stray in strays {
        if let Some((code, _)) = error_of(stray) {
            ranges(observer, code, stray.event);
        }
    }
    let mut carried: BTreeMap<u32, Vec<&Message<'_>>> = BTreeMap::new();
    for message in messages.iter().filter(|_| over_http) {
        if let Some(number) = conversation.frames()[message.frame].exchange {
            carried.entry(number).or_default().push(message);
        }
    }
    for (number, messages) in &carried {
        if let Some(carrier) = carriers.get(number) {
            status(conversation, observer, carrier, messages);
        }
    }
}

/// A request whose answer is an error.
struct Asked<'a> {
    exchange: &'a Exchange<'a>,
    /// The HTTP exchange that carried it.
    carrier: Option<&'a HttpExchange<'a>>,
    /// The version that it names, where it names one only.
    version: Option<&'a str>,
}

/// The code of an error response, and the error.
fn error_of<'m>(message: &Message<'m>) -> Option<(i64, &'m Value)> {
    let error = message.value.get("error")?;
    Some((error.get("code")?.as_i64()?, error))
}

/// Each code breaks one rule at most: the one that speaks of the smallest range.
fn ranges(observer: &mut Observer<'_>, code: i64, event: usize) {
    const RULES: [&str; 4] = [
        "base-protocol/retired-codes-unused",
        "base-protocol/reserved-range-only-defined",
        "base-protocol/legacy-error-range-unused",
        "base-protocol/app-codes-outside-reserved",
    ];
    let defined = STANDARD.contains(&code) || (UNSUPPORTED_VERSION..=HEADER_MISMATCH).contains(&code);
    let (broken, what) = match code {
        _ if defined => (None, ""),
        _ if RETIRED.contains(&code) => (
            Some(RULES[0]),
            "was defined by older revisions, and is no longer in use",
        ),
        -32099..=-32020 => (Some(RULES[1]), "is reserved for MCP, which does not define it"),
        -32019..=-32000 => (
            Some(RULES[2]),
            "is left to what existed before; new errors use codes outside of -32768 to -32000",
        ),
        -32768..=-32100 => (Some(RULES[3]), "is reserved by JSON-RPC, which does not define it"),
        _ => (None, ""),
    };
    match broken {
        None => RULES.iter().for_each(|rule| observer.kept(rule, event)),
        Some(requirement) => {
            let text = format!("the error code {code} {what}");
            // Which one it is tells one mistake from another.
            observer.broken(BreachAt::new(requirement, event, text).about(&code.to_string()));
        }
    }
}

/// Over stdio there are no header fields that could contradict anything, or be missing.
fn without_headers(observer: &mut Observer<'_>, exchange: &Exchange<'_>, answer: &Message<'_>, code: Option<i64>) {
    const REQUIREMENT: &str = "transport-stdio/no-header-layer";
    if code == Some(HEADER_MISMATCH) {
        let text = "error -32020 is about header fields, which stdio does not have";
        observer.broken(BreachAt::new(REQUIREMENT, answer.event, text).also(&[exchange.request.event]));
    } else if code.is_none() && !lacks_metadata(exchange.request.value) {
        observer.kept(REQUIREMENT, answer.event);
    }
}

/// Whether a code that MCP defines is used for what it means.
fn meaning(observer: &mut Observer<'_>, asked: &Asked<'_>, answer: &Message<'_>, code: i64, served: &BTreeSet<&str>) {
    // Over stdio that is a rule of its own.
    if code == HEADER_MISMATCH && asked.carrier.is_none() {
        return;
    }
    let complaint = match code {
        HEADER_MISMATCH if headers_agree(asked) => {
            Some("error -32020 says that header fields contradict the body, and they agree".to_owned())
        }
        UNSUPPORTED_VERSION if asked.version.is_some_and(|version| served.contains(version)) => Some(format!(
            "error -32022 says that version {} is not supported, under which other requests were served",
            quoted(asked.version.unwrap_or_default())
        )),
        HEADER_MISMATCH | MISSING_CAPABILITY | UNSUPPORTED_VERSION => None,
        _ => return,
    };
    match complaint {
        None => observer.kept(OWN_MEANING, answer.event),
        Some(text) => {
            let breach = BreachAt::new(OWN_MEANING, answer.event, text);
            observer.broken(breach.also(&[asked.exchange.request.event]));
        }
    }
}

/// Whether the fields that say what the body says do so, as plainly as can be. Arguments of tools may be repeated in further fields.
fn headers_agree(asked: &Asked<'_>) -> bool {
    let (exchange, Some(carrier)) = (asked.exchange, asked.carrier) else {
        return false;
    };
    let body = exchange.request.value;
    let agrees = |field: &str, wanted: Option<&str>| {
        let mut values = carrier.request_fields_named(field);
        match (values.next(), values.next()) {
            (Some(found), None) => wanted == Some(found),
            _ => false,
        }
    };
    exchange.method != "tools/call"
        && carrier.is_plain()
        && agrees("mcp-protocol-version", stateless::version(body))
        && agrees("mcp-method", Some(exchange.method))
        && match exchange.method {
            "prompts/get" => agrees("mcp-name", body.pointer("/params/name").and_then(Value::as_str)),
            "resources/read" => agrees("mcp-name", body.pointer("/params/uri").and_then(Value::as_str)),
            "tasks/get" | "tasks/update" | "tasks/cancel" => {
                agrees("mcp-name", body.pointer("/params/taskId").and_then(Value::as_str))
            }
            _ => true,
        }
}

/// What an error promises to bring along.
fn data(
    observer: &mut Observer<'_>,
    context: &Context<'_>,
    asked: &Asked<'_>,
    answer: &Message<'_>,
    code: i64,
    error: &Value,
) {
    let Some(definition) = context.schemas.error_data_definition(code) else {
        return;
    };
    let event = answer.event;
    let request = asked.exchange.request;
    let requested = asked.version;
    let nothing = Value::Object(serde_json::Map::new());
    let data = error.get("data").unwrap_or(&nothing);
    let checked = context.schemas.check(definition, data);
    let mut broken: BTreeSet<&str> = BTreeSet::new();
    for fault in &checked.faults {
        let Some(requirement) = fault.requirement.as_deref() else {
            continue;
        };
        broken.insert(requirement);
        // Nothing can be repeated of a request that names no version.
        let names_none = stateless::version(request.value).is_none();
        if requirement == "versioning/unsupported-version-requested-echo" && names_none {
            continue;
        }
        let place = if fault.pointer.is_empty() { "" } else { ", at " };
        let text = format!("the data of error {code}{place}{}: {}", fault.pointer, fault.message);
        observer.broken(
            BreachAt::new(requirement, event, text)
                .at_most(fault.at_most)
                .also(&[request.event]),
        );
    }
    match code {
        UNSUPPORTED_VERSION => {
            let supported = data.get("supported").and_then(Value::as_array).into_iter().flatten();
            let lists_it = supported
                .filter_map(Value::as_str)
                .any(|version| Some(version) == requested);
            const LIST: &str = "versioning/unsupported-version-supported-list";
            if lists_it {
                let text = "data.supported of error -32022 lists the version that the error refuses";
                observer.broken(BreachAt::new(LIST, event, text).also(&[request.event]));
            } else if !broken.contains(LIST) {
                observer.kept(LIST, event);
            }
            const ECHO: &str = "versioning/unsupported-version-requested-echo";
            match (data.get("requested").and_then(Value::as_str), requested) {
                (Some(found), Some(requested)) if found == requested => observer.kept(ECHO, event),
                (Some(found), Some(requested)) => {
                    let text = format!(
                        "data.requested of error -32022 is {}, and the request names {}",
                        quoted(found),
                        quoted(requested)
                    );
                    observer.broken(BreachAt::new(ECHO, event, text).also(&[request.event]));
                }
                _ => {}
            }
        }
        MISSING_CAPABILITY if broken.is_empty() => {
            const DATA: &str = "meta/missing-capability-data";
            let required = data.get("requiredCapabilities").unwrap_or(&Value::Null);
            let declared = stateless::capabilities(request.value).unwrap_or(&Value::Null);
            if covers(declared, required) {
                let text = "error -32021 names no capability that the request does not declare already";
                observer.broken(BreachAt::new(DATA, event, text).also(&[request.event]));
            } else {
                observer.kept(DATA, event);
            }
        }
        _ => {}
    }
}

/// Whether a client has declared everything that is required, member by member.
fn covers(declared: &Value, required: &Value) -> bool {
    match (declared, required) {
        (Value::Object(declared), Value::Object(required)) => required
            .iter()
            .all(|(name, part)| declared.get(name).is_some_and(|own| covers(own, part))),
        (_, Value::Object(_)) => false,
        // Settings are for both sides to understand.
        _ => true,
    }
}

/// The status of an answer that is an error.
fn status(
    conversation: &Conversation<'_>,
    observer: &mut Observer<'_>,
    exchange: &HttpExchange<'_>,
    messages: &[&Message<'_>],
) {
    let ids = exchange.request_ids();
    let (Some(head), [id]) = (&exchange.response, ids.as_slice()) else {
        return;
    };
    let find = |direction: Direction, wanted: &dyn Fn(&Shape) -> bool| {
        let mut found = messages.iter().copied();
        found.find(|message| message.direction == direction && wanted(message.shape))
    };
    let is_request = |shape: &Shape| matches!(shape, Shape::Request { .. });
    let is_error = |shape: &Shape| matches!(shape, Shape::ErrorResponse { .. });
    let (Some(request), Some(answer)) = (
        find(Direction::ToServer, &is_request),
        find(Direction::FromServer, &is_error),
    ) else {
        return;
    };
    let Some((code, _)) = error_of(answer) else { return };
    let method = request.value.get("method").and_then(Value::as_str).unwrap_or_default();
    // What belongs to the handshake is refused by rules of its own.
    if method == "initialize"
        || conversation
            .handshake()
            .is_some_and(|_| stateless::version(request.value).is_none())
    {
        return;
    }
    let (requirement, wanted) = match code {
        METHOD_NOT_FOUND => ("transport-streamable-http/method-not-found-404", 404),
        MISSING_CAPABILITY => ("meta/missing-capability-http-400", 400),
        UNSUPPORTED_VERSION => ("transport-streamable-http/unsupported-version-400", 400),
        INVALID_PARAMS if lacks_metadata(request.value) => ("meta/missing-required-http-400", 400),
        HEADER_MISMATCH => return mismatch(observer, exchange, answer, id),
        _ => return,
    };
    if head.status == wanted {
        observer.kept(requirement, answer.event);
        return;
    }
    let text = format!("error {code} came with status {}; it must be {wanted}", head.status);
    let breach = BreachAt::new(requirement, answer.event, text);
    // A stream that had been opened before cannot change its status any more.
    let at_most = match (exchange.is_stream(), code) {
        (true, MISSING_CAPABILITY) => Severity::Info,
        (true, _) => Severity::Warn,
        _ => Severity::Fail,
    };
    observer.broken(breach.at_most(at_most).also(&[request.event, head.event]));
}

/// The body with which a request is refused whose header fields contradict it. Status and code are judged by the cases that send one.
fn mismatch(observer: &mut Observer<'_>, exchange: &HttpExchange<'_>, answer: &Message<'_>, id: &IdToken) {
    const REQUIREMENT: &str = "headers/mismatch-body-json-rpc";
    let media_type = exchange.media_type();
    let echoes = match answer.shape {
        Shape::ErrorResponse { id: Some(found) } => found.same_value(id),
        _ => false,
    };
    let text = if !echoes {
        "error -32020 does not carry the id of the request".to_owned()
    } else if media_type != "application/json" {
        format!("error -32020 came with the content type {}", quoted(&media_type))
    } else {
        return observer.kept(REQUIREMENT, answer.event);
    };
    observer.broken(BreachAt::new(REQUIREMENT, answer.event, text).also(&[exchange.request]));
}
