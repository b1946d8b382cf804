//! What goes wrong below messages: fields and methods of HTTP requests, session ids, paths, streams that are left. Over Streamable HTTP and HTTP+SSE.
//!
//! A server may refuse each of these, or serve it. It may not fail with a status that says the mistake is its own, and must go on.

use touchstone_core::revision::{Era, Revision};
use touchstone_core::trace::TransportKind;
use touchstone_generate::{Dice, HOSTILE_TEXTS};

use super::case::{Expect, FuzzCase, HttpMessage, Phase, Step, What};
use super::phases::{in_turn, numbered};
use crate::transport::{HttpAddress, path_and_query};

/// Stands for the id of the session in the value of a field.
const SESSION: &str = "{session}";
/// Stands for that id without its last character.
const CUT_SESSION: &str = "{session-cut}";

/// A value that no server expects, in a field that it reads.
const FIELDS: [(&str, &[&str]); 6] = [
    (
        "Accept",
        &[
            "*/*",
            "application/json",
            "text/event-stream",
            "text/html",
            "",
            ",,",
            "application/json;q=0, text/event-stream;q=0",
            "application/json;q=high, text/event-stream",
            "APPLICATION/JSON,TEXT/EVENT-STREAM",
            "application/json; charset=\"utf-8, text/event-stream",
            "/",
        ],
    ),
    (
        "Content-Type",
        &[
            "application/json; charset=utf-8",
            "application/json;charset=\"latin-1",
            "APPLICATION/JSON",
            "text/plain",
            "",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "application/json, text/plain",
            "/",
        ],
    ),
    (
        "MCP-Protocol-Version",
        &[
            "",
            "1.0",
            "9999-99-99",
            "2025-06-18, 2025-03-26",
            "latest",
            "../../etc/passwd",
            "é",
        ],
    ),
    ("Content-Encoding", &["gzip", "identity", "br", "touchstone", ""]),
    ("Expect", &["touchstone"]),
    (
        "Last-Event-ID",
        &[
            "",
            "0",
            "-1",
            "99999999999999999999",
            "é",
            "../../etc/passwd",
            "' OR 1=1 --",
        ],
    ),
];

/// Methods that no endpoint serves, or serves otherwise.
const METHODS: [&str; 8] = ["PUT", "PATCH", "OPTIONS", "HEAD", "TRACE", "get", "BREW", "M-SEARCH"];

/// Ids that name no session of the server.
const FORGED: [(&str, &str); 6] = [
    ("a session id without its last character", CUT_SESSION),
    ("a session id with one character more", "{session}0"),
    ("a session id twice", "{session}{session}"),
    (
        "a session id that was never given",
        "00000000-0000-4000-8000-000000000000",
    ),
    ("a session id that is a word", "undefined"),
    ("a session id that is a path", "../../etc/passwd"),
];

/// Fields that mean something over Streamable HTTP only.
const NEW_FIELDS: [&str; 2] = ["MCP-Protocol-Version", "Last-Event-ID"];

/// Paths and queries beside the one that an HTTP+SSE server has given for messages.
const TARGETS: [(&str, &str); 6] = [
    ("a path for messages without its last character", "{endpoint-cut}"),
    ("a path for messages with one character more", "{endpoint}0"),
    ("a path for messages with another parameter", "{endpoint}&touchstone=1"),
    (
        "a path for messages with the same parameters twice",
        "{endpoint}&{query}",
    ),
    ("a path for messages without its parameters", "{path}"),
    ("a message to the path of the event stream", "{url}"),
];

/// The cases of the phase; those about sessions where there is one.
pub(super) fn cases(revision: Revision, transport: TransportKind, has_session: bool) -> Vec<FuzzCase> {
    let streamable = transport == TransportKind::StreamableHttp;
    let mut lists: Vec<Vec<FuzzCase>> = Vec::new();
    let mut number = 0;
    let mut post = || {
        number += 1;
        probe(revision, number)
    };
    for (name, values) in fields(transport) {
        let long = "a".repeat(8_000);
        let values = values.iter().copied().chain([long.as_str()]);
        let mut list: Vec<FuzzCase> = values
            .map(|value| odd(format!("an unusual value of {name}"), name, post().with(name, value)))
            .collect();
        list.push(odd(format!("no {name}"), name, post().without(name)));
        list.push(odd(
            format!("{name} twice"),
            name,
            post().with(name, "text/plain").with(name, "application/json"),
        ));
        lists.push(list);
    }
    let methods = METHODS.iter().flat_map(|method| {
        let empty = HttpMessage::new(method);
        [
            odd("a method that is not served".to_owned(), "method", empty.clone()),
            odd(
                "a method that is not served, with a body".to_owned(),
                "method",
                HttpMessage {
                    body: Some(b"{}".to_vec()),
                    ..empty
                },
            ),
        ]
    });
    lists.push(methods.collect());
    lists.push(bodies(&mut post));
    lists.push(streams(revision, streamable));
    if !streamable {
        let targets = TARGETS
            .iter()
            .map(|(label, target)| odd((*label).to_owned(), "path", post().to(target)));
        lists.push(targets.collect());
    }
    let mut many = post();
    for index in 0..40 {
        many = many.with(&format!("X-Touchstone-{index}"), &"x".repeat(40));
    }
    let mut left = post();
    left.whole = false;
    lists.push(vec![
        odd("many fields".to_owned(), "fields", many),
        odd("an exchange that is broken off".to_owned(), "stream", left),
        odd(
            "a cookie".to_owned(),
            "fields",
            post().with("Cookie", "a=b; $Version=1; =; ;;"),
        ),
        odd(
            "a forwarded request".to_owned(),
            "fields",
            post()
                .with("Forwarded", "for=\"_touchstone\";host=")
                .with("X-Forwarded-For", "é"),
        ),
    ]);
    if has_session {
        let forged = FORGED.iter().map(|(label, value)| {
            let message = post().with("Mcp-Session-Id", value);
            odd((*label).to_owned(), "Mcp-Session-Id", message)
                .expecting(Expect::NotServed("transport-streamable-http/session-unknown-404"))
        });
        let mut forged: Vec<FuzzCase> = forged.collect();
        forged.push(odd(
            "no session id".to_owned(),
            "Mcp-Session-Id",
            post().without("Mcp-Session-Id"),
        ));
        forged.push(odd(
            "the session id in two fields".to_owned(),
            "Mcp-Session-Id",
            post().with("Mcp-Session-Id", SESSION).with("Mcp-Session-Id", "x"),
        ));
        lists.push(forged);
    }
    numbered(in_turn(lists))
}

/// The fields that a transport knows.
fn fields(transport: TransportKind) -> Vec<(&'static str, &'static [&'static str])> {
    let streamable = transport == TransportKind::StreamableHttp;
    let known = FIELDS.into_iter();
    known
        .filter(|(name, _)| streamable || !NEW_FIELDS.contains(name))
        .collect()
}

/// Bodies that go with their fields badly.
fn bodies(post: &mut impl FnMut() -> HttpMessage) -> Vec<FuzzCase> {
    let with = |body: &[u8]| HttpMessage {
        body: Some(body.to_vec()),
        ..HttpMessage::new("POST")
    };
    vec![
        odd("a POST without a body".to_owned(), "body", HttpMessage::new("POST")),
        odd("an empty body".to_owned(), "body", with(b"")),
        odd("a body of blanks".to_owned(), "body", with(b" \r\n\t")),
        odd("a body that is no JSON".to_owned(), "body", with(b"a=b&c=d")),
        odd(
            "a body that is no UTF-8".to_owned(),
            "body",
            with(&[0xff, 0xfe, b'{', b'}']),
        ),
        odd("a body that is no object".to_owned(), "body", with(b"[[]]")),
        odd(
            "a GET with a body".to_owned(),
            "body",
            HttpMessage {
                method: "GET".to_owned(),
                whole: false,
                ..post()
            },
        ),
    ]
}

/// Streams that are asked for in odd ways, and left at once.
fn streams(revision: Revision, streamable: bool) -> Vec<FuzzCase> {
    let get = || HttpMessage {
        whole: false,
        ..HttpMessage::new("GET")
    };
    let mut list = vec![
        odd("a stream that is left at once".to_owned(), "stream", get()),
        odd(
            "a stream of another type".to_owned(),
            "stream",
            get().with("Accept", "application/json"),
        ),
        odd("a stream of no type".to_owned(), "stream", get().without("Accept")),
    ];
    if streamable && revision.era() == Era::Stateful {
        for id in ["0", "-1", "touchstone", "99999999999999999999", "é"] {
            list.push(odd(
                "a stream taken up after an event that never was".to_owned(),
                "Last-Event-ID",
                get().with("Last-Event-ID", id),
            ));
        }
    }
    list
}

/// A request with one field that was made up.
pub(super) fn random(revision: Revision, transport: TransportKind, dice: &mut Dice) -> Option<FuzzCase> {
    let (name, known) = *dice.pick(&fields(transport))?;
    let hostile: Vec<&str> = HOSTILE_TEXTS
        .into_iter()
        .filter(|text| text.chars().all(|letter| !letter.is_control()))
        .collect();
    let text = |dice: &mut Dice| {
        let from: &[&str] = if dice.chance(50) { known } else { &hostile };
        dice.pick(from).copied().unwrap_or_default()
    };
    let value = match dice.below(4) {
        0 => text(dice).to_owned(),
        1 => format!("{}{}", text(dice), text(dice)),
        2 => format!("{}, {}", text(dice), text(dice)),
        _ => format!("{};{}={}", text(dice), text(dice), text(dice)),
    };
    let id = dice.roll() % 1_000_000_000;
    let mut message = probe(revision, id).with(name, &value);
    if dice.chance(20) {
        message.method = (*dice.pick(&["GET", "PUT", "HEAD", "OPTIONS"])?).to_owned();
        message.whole = false;
    }
    let mut case = odd(format!("an unusual value of {name}"), name, message);
    case.phase = Phase::Random;
    Some(case)
}

/// A request that a client could send.
fn probe(revision: Revision, number: u64) -> HttpMessage {
    let method = match revision.era() {
        Era::Stateful => "ping",
        Era::Stateless => "server/discover",
    };
    let body = format!(r#"{{"jsonrpc":"2.0","id":"touchstone-http-{number}","method":"{method}"}}"#);
    HttpMessage {
        body: Some(body.into_bytes()),
        ..HttpMessage::new("POST")
    }
}

fn odd(label: String, subject: &str, message: HttpMessage) -> FuzzCase {
    let mut case = FuzzCase::of(Phase::Http, label, Step::new(What::Http(message)));
    case.legal = false;
    subject.clone_into(&mut case.subject);
    case.expecting(Expect::NoServerError)
}

/// A value of a field, with the id of the session filled in.
pub(super) fn filled(value: &str, session: &str) -> String {
    let mut cut = session.to_owned();
    cut.pop();
    value.replace(CUT_SESSION, &cut).replace(SESSION, session)
}

/// A target with the paths and queries of the server filled in.
pub(super) fn aimed(target: &str, address: &HttpAddress) -> String {
    let endpoint = &address.endpoint;
    let whole = path_and_query(endpoint);
    let mut cut = whole.to_owned();
    cut.pop();
    target
        .replace("{endpoint-cut}", &cut)
        .replace("{endpoint}", whole)
        .replace("{path}", endpoint.path())
        .replace("{query}", endpoint.query().unwrap_or_default())
        .replace("{url}", address.url.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_every_kind_have_their_turn_and_sessions_only_where_there_are_some() {
        let about = |cases: &[FuzzCase], subject: &str| cases.iter().filter(|case| case.subject == subject).count();
        let with = cases(Revision::V2025_06_18, TransportKind::StreamableHttp, true);
        let without = cases(Revision::V2025_06_18, TransportKind::StreamableHttp, false);
        assert!(with.len() > 80, "{}", with.len());
        assert_eq!(
            (about(&without, "Mcp-Session-Id"), about(&with, "Mcp-Session-Id")),
            (0, 8)
        );
        let early: std::collections::BTreeSet<&str> = with.iter().take(11).map(|case| case.subject.as_str()).collect();
        assert!(early.len() >= 9, "{early:?}");
        assert!(with.iter().all(|case| !case.legal));
    }

    #[test]
    fn http_sse_has_paths_and_no_fields_that_came_later() {
        let cases = cases(Revision::V2024_11_05, TransportKind::HttpSse, false);
        let about = |subject: &str| cases.iter().filter(|case| case.subject == subject).count();
        assert_eq!(about("path"), TARGETS.len());
        assert_eq!((about("Last-Event-ID"), about("MCP-Protocol-Version")), (0, 0));
    }

    #[test]
    fn paths_and_queries_are_filled_in() {
        let address = HttpAddress {
            url: "http://localhost:1/sse".parse().expect("an address"),
            endpoint: "http://localhost:1/messages/?session_id=abc"
                .parse()
                .expect("an address"),
            session: None,
        };
        let aimed = |target: &str| aimed(target, &address);
        assert_eq!(aimed("{endpoint-cut}"), "/messages/?session_id=ab");
        assert_eq!(aimed("{endpoint}&{query}"), "/messages/?session_id=abc&session_id=abc");
        assert_eq!(
            (aimed("{path}"), aimed("{url}")),
            ("/messages/".to_owned(), "/sse".to_owned())
        );
    }

    #[test]
    fn a_session_id_is_filled_in_and_cut() {
        assert_eq!(filled("{session}0 {session-cut}", "abc"), "abc0 ab");
    }
}
