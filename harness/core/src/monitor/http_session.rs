//! Sessions of Streamable HTTP: what their ids consist of, whether they can be guessed, and what the end of one ends.

use std::collections::BTreeSet;

use super::conversation::Conversation;
use super::http_exchange::HttpExchange;
use super::{BreachAt, Context, Monitor, Observer, STREAMABLE, Scope, quoted};
use crate::spec::requirement::Severity;
use crate::trace::{ENDED_BY_HARNESS, TransportKind};

pub(super) const MONITOR: Monitor = Monitor {
    name: "http-session",
    scope: Scope::Stateful,
    over: STREAMABLE,
    summary: "session ids consist of visible ASCII, are all different, and cannot be guessed; the end of a session ends its streams",
    requirements: &[
        "transport-streamable-http/session-id-header",
        "transport-streamable-http/session-id-charset",
        "transport-streamable-http/session-id-unique",
        "transport-streamable-http/session-id-secure",
        "transport-streamable-http/session-delete-ends-streams",
    ],
    judge: observe,
};

/// Fewer ids say nothing about how they are made.
const ENOUGH: usize = 8;
/// Fewer bits that differ can be guessed.
const BITS: f64 = 64.0;
/// Steps between ids written in hexadecimal that are too small to be chance.
const SMALL_STEP: u128 = 1 << 24;

/// How long the end of a stream may take to arrive, in microseconds.
const ARRIVES_US: u64 = 50_000;

const SECURE: &str = "transport-streamable-http/session-id-secure";

fn observe(conversation: &Conversation<'_>, _context: &Context<'_>, observer: &mut Observer<'_>) {
    if conversation.transport() != TransportKind::StreamableHttp {
        return;
    }
    let mut ids: Vec<(usize, &str)> = Vec::new();
    let exchanges = HttpExchange::all(conversation);
    ended_streams(conversation, observer, &exchanges);
    for exchange in &exchanges {
        let opened = exchange.asks("initialize") && exchange.request_field("mcp-session-id").is_none();
        let Some(head) = exchange.success().filter(|_| opened) else {
            continue;
        };
        let Some(id) = exchange.response_field("mcp-session-id") else {
            continue;
        };
        observer.kept("transport-streamable-http/session-id-header", head.event);
        if !id.is_empty() && id.bytes().all(|byte| (0x21..=0x7e).contains(&byte)) {
            observer.kept("transport-streamable-http/session-id-charset", head.event);
        } else {
            let message = format!(
                "the session id {} has characters other than visible ASCII (0x21 to 0x7E), or none",
                quoted(id)
            );
            let breach = BreachAt::new("transport-streamable-http/session-id-charset", head.event, message);
            observer.broken(breach);
        }
        ids.push((head.event, id));
    }
    if ids.len() >= ENOUGH {
        guess(observer, &ids);
    }
}

/// The streams that a client had opened by GET when its session was ended by DELETE.
fn ended_streams(conversation: &Conversation<'_>, observer: &mut Observer<'_>, exchanges: &[HttpExchange<'_>]) {
    const REQUIREMENT: &str = "transport-streamable-http/session-delete-ends-streams";
    let at = |event: usize| conversation.trace().events[event].at_us;
    let deletes = exchanges.iter().filter(|exchange| exchange.method == "DELETE");
    for delete in deletes {
        let Some(head) = delete.success() else { continue };
        // Until other things are answered time passes, in which the end of the streams arrives.
        let later = exchanges
            .iter()
            .filter(|other| other.request > head.event && other.method != "DELETE");
        let answers = later.filter_map(|other| other.response.as_ref());
        let Some(later) = answers.map(|answer| answer.event).max() else {
            continue;
        };
        let open = exchanges.iter().filter(|stream| {
            stream.method == "GET"
                && stream.is_stream()
                && stream.session().is_some()
                && stream.session() == delete.session()
                && stream
                    .response
                    .as_ref()
                    .is_some_and(|opened| opened.event < delete.request)
        });
        for stream in open {
            match stream.ended {
                Some((end, _)) if end < delete.request => {}
                Some((end, failure)) if failure != Some(ENDED_BY_HARNESS) => observer.kept(REQUIREMENT, end),
                Some((end, _)) if end < later => {}
                _ if at(later).saturating_sub(at(head.event)) < ARRIVES_US => {}
                _ => {
                    let message = "a stream stayed open although its session had been ended by DELETE";
                    observer.broken(BreachAt::new(REQUIREMENT, head.event, message).also(&[stream.request]));
                }
            }
        }
    }
}

fn guess(observer: &mut Observer<'_>, ids: &[(usize, &str)]) {
    const UNIQUE: &str = "transport-streamable-http/session-id-unique";
    let last = ids.last().map_or(0, |(event, _)| *event);
    let shown: Vec<String> = ids.iter().take(3).map(|(_, id)| quoted(id)).collect();
    let shown = shown.join(", ");
    let texts: Vec<&str> = ids.iter().map(|(_, id)| *id).collect();
    let distinct = texts.iter().collect::<BTreeSet<_>>().len();
    if distinct == 1 {
        let message = format!("all sessions have the same id {shown}");
        observer.broken(BreachAt::new(SECURE, last, message));
        return;
    }
    if distinct < texts.len() {
        let message = format!(
            "{} sessions have only {distinct} different ids: {shown}, ...",
            texts.len()
        );
        observer.broken(BreachAt::new(UNIQUE, last, message));
        return;
    }
    observer.kept(UNIQUE, last);
    let varying = varying_parts(&texts);
    if counts_up(&varying) {
        let message = format!("session ids are counted or timed, so that anybody can guess them: {shown}, ...");
        observer.broken(BreachAt::new(SECURE, last, message));
    } else if bits(&varying) < BITS {
        let message = format!(
            "session ids differ in about {:.0} bits only; {BITS:.0} are the least: {shown}, ...",
            bits(&varying)
        );
        observer.broken(BreachAt::new(SECURE, last, message).at_most(Severity::Warn));
    } else {
        observer.kept(SECURE, last);
    }
}

/// What is left of the ids without the beginning and the end that all have in common. Hyphens are decoration.
fn varying_parts(ids: &[&str]) -> Vec<String> {
    let plain: Vec<Vec<char>> = ids
        .iter()
        .map(|id| id.chars().filter(|character| *character != '-').collect())
        .collect();
    let first = &plain[0];
    let shortest = plain.iter().map(Vec::len).min().unwrap_or_default();
    let same_start = |count: usize| plain.iter().all(|id| id[..count] == first[..count]);
    let start = (0..=shortest)
        .take_while(|count| same_start(*count))
        .last()
        .unwrap_or_default();
    let same_end = |count: usize| {
        plain
            .iter()
            .all(|id| id[id.len() - count..] == first[first.len() - count..])
    };
    let end = (0..=shortest - start)
        .take_while(|count| same_end(*count))
        .last()
        .unwrap_or_default();
    plain
        .iter()
        .map(|id| id[start..id.len() - end].iter().collect())
        .collect()
}

/// Whether the parts are numbers that only grow: in decimal by whatever steps, as clocks do, in hexadecimal by small ones.
fn counts_up(parts: &[String]) -> bool {
    let numbers = |radix: u32| -> Option<Vec<u128>> {
        parts
            .iter()
            .map(|part| u128::from_str_radix(part, radix).ok())
            .collect()
    };
    let grows = |numbers: &[u128], step: u128| {
        numbers
            .windows(2)
            .all(|pair| pair[1] > pair[0] && pair[1] - pair[0] <= step)
    };
    // The common beginning may have swallowed leading digits, which makes the shorter parts the smaller numbers all the same.
    numbers(10).is_some_and(|numbers| grows(&numbers, u128::MAX))
        || numbers(16).is_some_and(|numbers| grows(&numbers, SMALL_STEP))
}

/// How many bits the parts differ in at most, judged by their length and the characters that they use.
fn bits(parts: &[String]) -> f64 {
    let alphabet = parts
        .iter()
        .flat_map(|part| part.chars())
        .collect::<BTreeSet<char>>()
        .len();
    let length = parts.iter().map(|part| part.chars().count()).min().unwrap_or_default();
    (alphabet.max(1) as f64).log2() * length as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(make: impl Fn(u64) -> String) -> Vec<String> {
        let ids: Vec<String> = (0..12).map(make).collect();
        varying_parts(&ids.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Looks random, and is the same every time.
    fn scattered(number: u64) -> u64 {
        (number + 1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(31)
            .wrapping_mul(0xd6e8_feb8_6659_fd93)
    }

    #[test]
    fn counters_and_clocks_are_found_out() {
        for (name, ids) in [
            ("counter", parts(|number| format!("{}", number + 1))),
            ("prefix", parts(|number| format!("session-{}", 41 + number))),
            ("padded", parts(|number| format!("s{:08}", 99 + number))),
            ("hexadecimal", parts(|number| format!("{:08x}", 0xabc_def0 + number))),
            (
                "milliseconds",
                parts(|number| format!("{}", 1_764_108_000_123 + number * 7 + number % 3)),
            ),
        ] {
            assert!(counts_up(&ids), "{name}: {ids:?}");
        }
    }

    #[test]
    fn random_ids_are_left_in_peace() {
        let uuid = |number: u64| {
            let (a, b) = (scattered(number), scattered(number + 100));
            format!(
                "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
                a >> 32,
                a >> 16 & 0xffff,
                a & 0xfff,
                b >> 52,
                b & 0xffff_ffff_ffff
            )
        };
        let dated = |number: u64| format!("0193{:08x}-{:016x}", 7 + number, scattered(number));
        let token = |number: u64| format!("eyJhbGciOi.{:016x}{:016x}", scattered(number), scattered(number + 9));
        for (name, ids) in [("uuid", parts(uuid)), ("dated", parts(dated)), ("token", parts(token))] {
            assert!(!counts_up(&ids) && bits(&ids) >= BITS, "{name}: {ids:?}");
        }
        let short = parts(|number| format!("{:06x}", scattered(number) & 0xff_ffff));
        assert!(!counts_up(&short) && bits(&short) < BITS, "{short:?}");
    }
}
