//! What of the traces goes into a record: excerpts that prove findings, and the traces themselves as far as there is room.
//!
//! A run can send hundreds of megabytes; a report that a browser opens at once cannot. What belongs to something broken comes first, then what is
//! short, and what had to go is counted.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use touchstone_core::jsonrpc::{self, Reading};
use touchstone_core::trace::{Event, EventKind, Intent, Trace};
use touchstone_core::verdict::{CaseResult, Evidence, RevisionRun, Score, Verdict};

use super::{Excerpt, RunRecord, Stretch, TraceEntry, TraceEvent};

/// Bytes of text that the traces of a record may have.
pub const TRACE_BUDGET: usize = 4 * 1024 * 1024;
/// Longest excerpt of a message that a finding carries, in characters.
const LONGEST_EXCERPT: usize = 4_000;
/// Longest text of an event in a trace, in characters, where something was broken.
const LONGEST_TELLING: usize = 8_000;
/// And where all was well.
const LONGEST_ORDINARY: usize = 1_500;
/// What an event costs beside its text.
const OVERHEAD: usize = 80;

/// What happened, as a word and a text; `None` for what only we know.
fn described(kind: &EventKind) -> Option<(&'static str, String)> {
    Some(match kind {
        EventKind::Sent { payload, .. } => ("sent", payload.text().into_owned()),
        EventKind::Received { payload, .. } => ("received", payload.text().into_owned()),
        EventKind::Stderr { payload } => ("stderr", payload.text().into_owned()),
        EventKind::ProcessExited { code, signal } => (
            "exited",
            match (code, signal) {
                (Some(code), _) => format!("exit code {code}"),
                (None, Some(signal)) => format!("signal {signal}"),
                (None, None) => String::new(),
            },
        ),
        EventKind::StdinClosed => ("closed stdin", String::new()),
        EventKind::StdoutClosed => ("stdout closed", String::new()),
        EventKind::Signalled { signal } => ("signalled", signal.clone()),
        EventKind::GaveUp { id, waited_ms } => ("gave up", format!("request {id} after {waited_ms} ms")),
        EventKind::HttpRequest {
            method,
            target,
            headers,
            ..
        } => ("request", head(&format!("{method} {target}"), headers)),
        EventKind::HttpResponse { status, headers, .. } => ("response", head(&status.to_string(), headers)),
        EventKind::Survivors { processes } => (
            "survivors",
            processes
                .iter()
                .map(|process| format!("{} ({})", process.name, process.pid))
                .collect::<Vec<_>>()
                .join(", "),
        ),
        EventKind::StreamEvent { data, .. } => ("stream event", data.text().into_owned()),
        EventKind::HttpBody { payload, .. } => ("body", payload.text().into_owned()),
        _ => return None,
    })
}

/// What else may stand in a trace that is shown.
fn described_in_trace(kind: &EventKind) -> Option<(&'static str, String)> {
    described(kind).or_else(|| {
        Some(match kind {
            EventKind::ProcessStarted { pid } => ("started", format!("process {pid}")),
            EventKind::HttpEnded { failure, .. } => ("ended", failure.clone().unwrap_or_default()),
            EventKind::LimitReached { limit } => ("limit", limit.clone()),
            EventKind::CaseStarted { case, .. } => ("case", case.clone()),
            EventKind::CaseEnded { case } => ("case end", case.clone()),
            _ => return None,
        })
    })
}

/// The first line of an HTTP message and its header fields.
fn head(first: &str, headers: &[(String, String)]) -> String {
    let mut text = first.to_owned();
    for (name, value) in headers {
        text.push('\n');
        text.push_str(name);
        text.push_str(": ");
        text.push_str(value);
    }
    text
}

/// The first `longest` characters, and the size of the whole where that is more.
fn shortened(text: String, longest: usize) -> (String, Option<u64>) {
    match text.char_indices().nth(longest) {
        Some((end, _)) => {
            let size = u64::try_from(text.len()).unwrap_or(u64::MAX);
            (text[..end].to_owned(), Some(size))
        }
        None => (text, None),
    }
}

/// The pieces of traces that evidence points at, in order, and for an answer the request that it belongs to.
/// Where the server did not survive something, what was sent before comes first.
pub(super) fn excerpts(traces: &[Trace], evidence: &[Evidence], score: Score) -> Vec<Excerpt> {
    let mut places: Vec<&Evidence> = evidence.iter().collect();
    places.sort_by_key(|place| place.event);
    places.dedup();
    let trace = |name: &str| traces.iter().find(|trace| trace.name == name);
    let asked = places.iter().any(|place| {
        let kind = trace(&place.trace).and_then(|trace| trace.events.get(place.event));
        kind.is_some_and(|event| matches!(event.kind, EventKind::Sent { .. } | EventKind::HttpRequest { .. }))
    });
    let mut excerpts = Vec::new();
    if score == Score::Robustness
        && let Some(place) = places.first()
        && let Some(trace) = trace(&place.trace)
        && let Some(broken) = broken_before(trace, place.event)
    {
        excerpts.extend(excerpt(trace, broken, true));
    }
    for place in places {
        let Some(trace) = trace(&place.trace) else { continue };
        if !asked
            && let Some(request) = request_of(trace, place.event)
            && let Some(excerpt) = excerpt(trace, request, true)
            && !excerpts.contains(&excerpt)
        {
            excerpts.push(excerpt);
        }
        excerpts.extend(excerpt(trace, place.event, false));
    }
    excerpts
}

fn excerpt(trace: &Trace, event: usize, context: bool) -> Option<Excerpt> {
    let (what, text) = described(&trace.events.get(event)?.kind)?;
    let (text, bytes) = shortened(text, LONGEST_EXCERPT);
    Some(Excerpt {
        trace: trace.name.clone(),
        event,
        what: what.to_owned(),
        text,
        bytes,
        context,
    })
}

/// The last thing before an event that no client may send, in the same case.
fn broken_before(trace: &Trace, event: usize) -> Option<usize> {
    for (index, event) in trace.events.get(..event)?.iter().enumerate().rev() {
        match &event.kind {
            EventKind::Sent {
                intent: Intent::Broken | Intent::Deliberate,
                ..
            } => return Some(index),
            EventKind::CaseStarted { .. } => return None,
            _ => {}
        }
    }
    None
}

/// The request that a received message answers.
fn request_of(trace: &Trace, event: usize) -> Option<usize> {
    let message = |bytes: &[u8]| match jsonrpc::read(bytes, &jsonrpc::Limits::default()) {
        Reading::Complete(document) => document.value,
        // What is beyond measure would fill the memory here as well.
        _ => None,
    };
    let id = |message: &Value| message.get("id").filter(|id| !id.is_null()).cloned();
    let EventKind::Received { payload, .. } = &trace.events.get(event)?.kind else {
        return None;
    };
    let wanted = message(payload.bytes()).as_ref().and_then(id)?;
    trace.events[..event].iter().rposition(|event| match &event.kind {
        EventKind::Sent { payload, .. } => message(payload.bytes())
            .is_some_and(|message| message.get("method").is_some() && id(&message).as_ref() == Some(&wanted)),
        _ => false,
    })
}

/// Where each case ran.
pub(super) fn stretches(traces: &[Trace]) -> BTreeMap<String, Vec<Stretch>> {
    let mut found: BTreeMap<String, Vec<Stretch>> = BTreeMap::new();
    for trace in traces {
        let mut open: Option<(&str, usize)> = None;
        for (index, event) in trace.events.iter().enumerate() {
            match &event.kind {
                EventKind::CaseStarted { case, .. } => open = Some((case, index)),
                EventKind::CaseEnded { .. } => {
                    if let Some((case, from)) = open.take() {
                        found.entry(case.to_owned()).or_default().push(Stretch {
                            trace: trace.name.clone(),
                            from,
                            to: index,
                        });
                    }
                }
                _ => {}
            }
        }
        if let Some((case, from)) = open {
            found.entry(case.to_owned()).or_default().push(Stretch {
                trace: trace.name.clone(),
                from,
                to: trace.events.len().saturating_sub(1),
            });
        }
    }
    found
}

/// A piece of a trace that is kept or left out as a whole.
struct Piece {
    run: usize,
    trace: usize,
    from: usize,
    to: usize,
    telling: bool,
    cost: usize,
}

/// The traces as far as `budget` bytes reach, and what was left out.
pub(super) fn entries(runs: &[RevisionRun], budget: usize) -> (Vec<TraceEntry>, Option<String>) {
    let mut pieces: Vec<Piece> = Vec::new();
    for (run_at, run) in runs.iter().enumerate() {
        let telling: BTreeSet<&str> = run
            .cases
            .iter()
            .filter(|case| is_telling(case))
            .map(|case| case.id.as_str())
            .collect();
        for (trace_at, trace) in run.traces.iter().enumerate() {
            // A recording has no cases: what it shows is what it is for.
            let recorded = run.cases.is_empty();
            let mut from = 0;
            let mut case: Option<&str> = None;
            let mut cut = |to: usize, case: Option<&str>| {
                if from < to {
                    let telling = recorded || case.is_none_or(|case| telling.contains(case));
                    let longest = if telling { LONGEST_TELLING } else { LONGEST_ORDINARY };
                    let cost = trace.events[from..to].iter().map(|event| cost(event, longest)).sum();
                    pieces.push(Piece {
                        run: run_at,
                        trace: trace_at,
                        from,
                        to,
                        telling,
                        cost,
                    });
                }
                from = to;
            };
            for (index, event) in trace.events.iter().enumerate() {
                match &event.kind {
                    EventKind::CaseStarted { case: started, .. } => {
                        cut(index, case);
                        case = Some(started);
                    }
                    EventKind::CaseEnded { .. } => {
                        cut(index + 1, case);
                        case = None;
                    }
                    _ => {}
                }
            }
            cut(trace.events.len(), case);
        }
    }
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    order.sort_by_key(|at| (!pieces[*at].telling, pieces[*at].cost));
    let mut left = budget;
    let mut kept: BTreeSet<usize> = BTreeSet::new();
    for at in order {
        if pieces[at].cost <= left {
            left -= pieces[at].cost;
            kept.insert(at);
        }
    }
    let mut entries: BTreeMap<(usize, usize), TraceEntry> = BTreeMap::new();
    let mut omitted = 0;
    for (at, piece) in pieces.iter().enumerate() {
        let run = &runs[piece.run];
        let trace = &run.traces[piece.trace];
        let entry = entries.entry((piece.run, piece.trace)).or_insert_with(|| TraceEntry {
            name: trace.name.clone(),
            revision: run.revision.to_string(),
            transport: trace.transport.to_string(),
            events: Vec::new(),
            omitted: 0,
        });
        if kept.contains(&at) {
            let longest = if piece.telling {
                LONGEST_TELLING
            } else {
                LONGEST_ORDINARY
            };
            let events = trace.events[piece.from..piece.to].iter().enumerate();
            entry
                .events
                .extend(events.filter_map(|(index, event)| trace_event(piece.from + index, event, longest)));
        } else {
            let events = u64::try_from(piece.to - piece.from).unwrap_or(u64::MAX);
            entry.omitted += events;
            omitted += events;
        }
    }
    let entries: Vec<TraceEntry> = entries.into_values().collect();
    let note = (omitted > 0).then(|| left_out(omitted));
    (entries, note)
}

fn left_out(events: u64) -> String {
    format!(
        "{events} events of cases in which nothing was broken were left out to keep the record small; --traces DIR writes them all."
    )
}

fn is_telling(case: &CaseResult) -> bool {
    matches!(case.verdict, Verdict::Failed | Verdict::Warned | Verdict::Excused)
}

fn cost(event: &Event, longest: usize) -> usize {
    described_in_trace(&event.kind).map_or(0, |(_, text)| text.len().min(longest * 4) + OVERHEAD)
}

fn trace_event(index: usize, event: &Event, longest: usize) -> Option<TraceEvent> {
    let (what, text) = described_in_trace(&event.kind)?;
    let (text, bytes) = shortened(text, longest);
    Some(TraceEvent {
        event: index,
        at_us: event.at_us,
        what: what.to_owned(),
        text,
        bytes,
        exchange: event.kind.exchange(),
    })
}

/// Leaves events out of the traces of several records, so that all together have at most `budget` bytes: what was broken stays longest.
pub fn limit_traces(records: &mut [RunRecord], budget: usize) {
    let total = |records: &[RunRecord]| -> usize {
        let events = records
            .iter()
            .flat_map(|record| &record.traces)
            .flat_map(|trace| &trace.events);
        events.map(|event| event.text.len() + OVERHEAD).sum()
    };
    if total(records) <= budget {
        return;
    }
    let share = budget / records.len().max(1);
    for record in records {
        let telling: BTreeSet<(String, usize)> = record
            .runs
            .iter()
            .flat_map(|run| &run.cases)
            .filter(|case| ["failed", "warned", "excused"].contains(&case.verdict.as_str()))
            .flat_map(|case| &case.stretches)
            .flat_map(|stretch| (stretch.from..=stretch.to).map(|event| (stretch.trace.clone(), event)))
            .collect();
        let mut left = share;
        let mut omitted = 0;
        for wanted in [true, false] {
            for trace in &mut record.traces {
                let name = trace.name.clone();
                let before = trace.events.len();
                trace.events.retain(|event| {
                    if telling.contains(&(name.clone(), event.event)) != wanted {
                        return true;
                    }
                    let cost = event.text.len() + OVERHEAD;
                    let fits = cost <= left;
                    if fits {
                        left -= cost;
                    }
                    fits
                });
                let gone = u64::try_from(before - trace.events.len()).unwrap_or_default();
                trace.omitted += gone;
                omitted += gone;
            }
        }
        if omitted > 0 {
            let all: u64 = record.traces.iter().map(|trace| trace.omitted).sum();
            record.traces_note = Some(left_out(all));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use touchstone_core::revision::Revision;
    use touchstone_core::trace::{Channel, TransportKind};
    use touchstone_core::verdict::ToolCoverage;

    /// A run of two cases, of which one failed.
    fn run() -> RevisionRun {
        let mut trace = Trace::new("t", TransportKind::Stdio);
        let mut cases = Vec::new();
        for (name, verdict) in [("a/fine", Verdict::Passed), ("a/broken", Verdict::Failed)] {
            let case = || name.to_owned();
            trace.push(
                0,
                EventKind::CaseStarted {
                    case: case(),
                    illegal: false,
                },
            );
            for id in 0..3 {
                let request = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
                trace.push(
                    1,
                    EventKind::Sent {
                        payload: request.as_str().into(),
                        exchange: None,
                        intent: Intent::Proper,
                    },
                );
                let answer = format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"result":{{"x":"{}"}}}}"#,
                    "y".repeat(3_000)
                );
                trace.push(
                    2,
                    EventKind::Received {
                        payload: answer.as_str().into(),
                        channel: Channel::Stdout,
                        exchange: None,
                        terminated: true,
                    },
                );
            }
            trace.push(3, EventKind::CaseEnded { case: case() });
            cases.push(CaseResult {
                id: case(),
                title: String::new(),
                verdict,
                reason: None,
                messages: vec![],
                findings: vec![],
                duration_us: 0,
                trace: None,
            });
        }
        RevisionRun {
            revision: Revision::V2025_06_18,
            transport: TransportKind::Stdio,
            server: Value::Null,
            requirements: vec![],
            cases,
            findings: vec![],
            traces: vec![trace],
            tools: ToolCoverage::default(),
        }
    }

    #[test]
    fn what_was_broken_stays_when_there_is_no_room() {
        let (all, note) = entries(&[run()], TRACE_BUDGET);
        assert_eq!((all[0].events.len(), note), (16, None));
        assert_eq!(
            all[0].events[2].bytes,
            Some(3_042),
            "long texts of what went well are cut"
        );
        assert_eq!(all[0].events[10].bytes, None);
        let (some, note) = entries(&[run()], 12_000);
        let kept: Vec<usize> = some[0].events.iter().map(|event| event.event).collect();
        assert_eq!(kept, (8..16).collect::<Vec<_>>());
        assert_eq!(some[0].omitted, 8);
        assert!(note.is_some_and(|note| note.starts_with("8 events")));
    }

    #[test]
    fn cases_know_where_they_ran() {
        let found = stretches(&run().traces);
        assert_eq!((found["a/broken"][0].from, found["a/broken"][0].to), (8, 15));
    }

    #[test]
    fn an_answer_stands_beside_its_request() {
        let place = Evidence {
            trace: "t".to_owned(),
            event: 12,
        };
        let shown = excerpts(&run().traces, &[place], Score::Conformance);
        assert_eq!(shown.len(), 2);
        assert!(shown[0].context && shown[0].event == 11 && !shown[1].context);
    }
}
