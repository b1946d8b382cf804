//! The summary on a console: what failed and why, with the bytes that prove it, and what to do.
//!
//! Plain text that is the same whether piped or not; colours are added only when asked for, and never carry meaning by themselves.

use std::fmt::Write as _;

use touchstone_core::verdict::Verdict;

use crate::campaign::ReproductionEntry;
use crate::escape::{cut, terminal};
use crate::record::{Excerpt, Failure, FindingEntry, Run, RunRecord};

/// How the summary is laid out.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Whether to use colours.
    pub colour: bool,
    /// Columns to fill at most.
    pub width: usize,
    /// Show information as well, and what was not exercised.
    pub verbose: bool,
    /// Show nothing but the verdict.
    pub quiet: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            colour: false,
            width: 100,
            verbose: false,
            quiet: false,
        }
    }
}

/// The summary of a record.
#[must_use]
pub fn render(record: &RunRecord, style: &Style) -> String {
    let mut out = String::new();
    if let Some(failure) = record.failure.as_ref().filter(|_| record.runs.is_empty()) {
        start_failure(&mut out, record, failure, style);
        return out;
    }
    if !style.quiet {
        heading(&mut out, record, style);
        findings(&mut out, record, style);
        table(&mut out, record, style);
        if style.verbose {
            not_exercised(&mut out, record, style);
        }
        advice(&mut out, record, style);
    }
    if let Some(failure) = &record.failure {
        wrapped(
            &mut out,
            style,
            0,
            &format!("COULD NOT RUN the rest: {}", terminal(&failure.reason)),
        );
        if let Some(hint) = &failure.hint {
            wrapped(&mut out, style, 2, &format!("hint: {}", terminal(hint)));
        }
    }
    verdict_line(&mut out, record, style);
    out
}

fn start_failure(out: &mut String, record: &RunRecord, failure: &Failure, style: &Style) {
    line(
        out,
        style,
        &format!(
            "{} {}",
            paint("COULD NOT RUN", Colour::Red, style),
            terminal(&record.target)
        ),
    );
    wrapped(out, style, 2, &terminal(&failure.reason));
    if let Some(stdout) = &failure.stdout {
        line(out, style, &format!("  on stdout: {}", terminal(&cut(stdout, 200))));
    }
    let tail: Vec<&str> = failure.stderr.lines().rev().take(12).collect();
    if !tail.is_empty() {
        line(out, style, "  the end of its stderr:");
        for text in tail.iter().rev() {
            line(out, style, &format!("    | {}", terminal(&cut(text, 300))));
        }
    }
    if let Some(hint) = &failure.hint {
        wrapped(out, style, 2, &format!("hint: {}", terminal(hint)));
    }
    line(out, style, "Nothing was judged, so nothing passed.");
}

fn heading(out: &mut String, record: &RunRecord, style: &Style) {
    let word = |name: &str| {
        record
            .server
            .get(name)
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
    };
    let server = format!("{} {}", word("name"), word("version"));
    let revisions: Vec<&str> = record.runs.iter().map(|run| run.revision.as_str()).collect();
    let transport = record.transport.as_deref().unwrap_or("no connection");
    line(out, style, &paint(&terminal(&record.target), Colour::Bold, style));
    line(
        out,
        style,
        &format!(
            "  {} over {transport}, revision {}",
            terminal(server.trim()),
            revisions.join(", ")
        ),
    );
    out.push('\n');
}

/// Findings that are written out in full unless everything was asked for: more do not fit on a few screens.
const MOST_BLOCKS: usize = 25;
/// Messages of a conversation that are shown.
const MOST_MESSAGES: usize = 12;
/// Longest shell line that is shown, in bytes.
const LONGEST_SHELL: usize = 2_000;

fn findings(out: &mut String, record: &RunRecord, style: &Style) {
    let shown: Vec<&FindingEntry> = record
        .findings
        .iter()
        .filter(|finding| style.verbose || (finding.severity != "info" && finding.excused.is_none()))
        .collect();
    let most = if style.verbose { shown.len() } else { MOST_BLOCKS };
    for finding in shown.iter().take(most) {
        finding_block(out, finding, style);
    }
    for finding in shown.iter().skip(most) {
        let text = format!(
            "{} ({}): {}",
            finding.requirement,
            finding.level,
            finding.message.replace('\n', " ")
        );
        line(
            out,
            style,
            &terminal(&cut(&text, style.width.saturating_sub(30).max(40))),
        );
    }
    if shown.len() > most {
        out.push('\n');
    }
    let excused = record
        .findings
        .iter()
        .filter(|finding| finding.excused.is_some())
        .count();
    if excused > 0 && !style.verbose {
        let are = if excused == 1 { "is" } else { "are" };
        let text = format!("{excused} more {are} excused by the baseline; --verbose shows them.");
        wrapped(out, style, 0, &text);
        out.push('\n');
    }
}

/// Writes one finding: the rule, the bytes or the smallest conversation that show it, and what to do.
pub fn finding_block(out: &mut String, finding: &FindingEntry, style: &Style) {
    let (word, colour) = match finding.severity.as_str() {
        _ if finding.excused.is_some() => ("EXCUSED", Colour::Blue),
        "fail" => ("FAILED", Colour::Red),
        "warn" => ("WARNED", Colour::Yellow),
        _ => ("INFO  ", Colour::Blue),
    };
    let times = if finding.occurrences == 1 {
        String::new()
    } else {
        format!(", seen {} times", finding.occurrences)
    };
    // To die of illegal input weighs the same whatever the level.
    let level = match finding.score.as_str() {
        "robustness" => "robustness",
        _ => finding.level.as_str(),
    };
    let head = format!(
        "{} {} ({level}{times})",
        paint(word, colour, style),
        finding.requirement
    );
    line(out, style, &head);
    wrapped(out, style, 2, &terminal(&cut(&finding.message, 600)));
    if let Some(also) = finding.also_breaks() {
        wrapped(out, style, 2, &terminal(&also));
    }
    if finding.about.len() > 1 {
        let about: Vec<String> = finding
            .about
            .iter()
            .take(8)
            .map(|about| terminal(&cut(about, 60)))
            .collect();
        let more = finding.about.len().saturating_sub(about.len());
        let rest = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        wrapped(out, style, 2, &format!("in: {}{rest}", about.join(", ")));
    }
    match &finding.reproduction {
        Some(reproduction) => conversation(out, reproduction, style),
        None => {
            for excerpt in finding.evidence.iter().take(4) {
                line(out, style, &paint(&excerpt_line(excerpt, style), Colour::Dim, style));
            }
        }
    }
    wrapped(out, style, 2, &format!("rule: {}", finding.statement));
    if let Some(link) = finding.links.first() {
        line(out, style, &format!("  {link}"));
    }
    if let Some(excuse) = &finding.excused {
        wrapped(out, style, 2, &format!("excused: {}", terminal(&excuse.reason)));
    }
    if let Some(sdk) = &finding.sdk {
        wrapped(out, style, 2, &format!("probably the SDK ({}): {}", sdk.sdk, sdk.note));
    }
    if let Some(hint) = &finding.hint {
        wrapped(out, style, 2, &format!("hint: {hint}"));
    }
    let revisions = finding.revisions.join(", ");
    if finding.case.is_some() {
        line(out, style, &format!("  again: {}", terminal(&finding.reproduce)));
    }
    line(out, style, &format!("  seen in {revisions}"));
    out.push('\n');
}

/// How a campaign saw it: the messages of the smallest conversation, and a line that sends them again.
fn conversation(out: &mut String, reproduction: &ReproductionEntry, style: &Style) {
    let text = format!(
        "{}; {} messages out of {}, first seen at call {}",
        terminal(&reproduction.description),
        reproduction.messages.len(),
        reproduction.calls_before,
        reproduction.first_call
    );
    wrapped(out, style, 2, &text);
    let room = style.width.saturating_sub(8).max(200);
    for message in reproduction.messages.iter().take(MOST_MESSAGES) {
        let text = format!("    --> {}", terminal(&cut(message, room)));
        line(out, style, &paint(&text, Colour::Dim, style));
    }
    if reproduction.messages.len() > MOST_MESSAGES {
        let more = reproduction.messages.len() - MOST_MESSAGES;
        line(out, style, &format!("    and {more} more"));
    }
    if let Some(shell) = reproduction.shell.as_ref().filter(|shell| shell.len() < LONGEST_SHELL) {
        line(out, style, &format!("  {}", terminal(shell)));
    }
}

fn excerpt_line(excerpt: &Excerpt, style: &Style) -> String {
    let arrow = match excerpt.what.as_str() {
        "sent" => "-->",
        "received" => "<--",
        other => other,
    };
    let room = style.width.saturating_sub(arrow.len() + 6).max(40);
    format!("    {arrow} {}", terminal(&cut(&excerpt.text, room)))
}

/// The columns of the table.
const COLUMNS: [(Verdict, &str); 6] = [
    (Verdict::Passed, "passed"),
    (Verdict::Failed, "failed"),
    (Verdict::Warned, "warned"),
    (Verdict::Info, "info"),
    (Verdict::NotExercised, "not exercised"),
    (Verdict::NotApplicable, "not applicable"),
];

fn table(out: &mut String, record: &RunRecord, style: &Style) {
    let mut head = format!("{:<12} {:<16}", "revision", "transport");
    for (_, name) in COLUMNS {
        let _ = write!(head, " {name:>width$}", width = name.len().max(7));
    }
    line(out, style, &paint(&head, Colour::Bold, style));
    for run in &record.runs {
        let mut row = format!("{:<12} {:<16}", run.revision, run.transport);
        for (verdict, name) in COLUMNS {
            let _ = write!(row, " {:>width$}", run.count(verdict), width = name.len().max(7));
        }
        let excused = run.count(Verdict::Excused);
        if excused > 0 {
            let _ = write!(row, "  ({excused} excused)");
        }
        line(out, style, &row);
    }
    out.push('\n');
}

fn not_exercised(out: &mut String, record: &RunRecord, style: &Style) {
    for run in &record.runs {
        line(out, style, &format!("Not exercised in {}:", run.revision));
        for requirement in run
            .requirements
            .iter()
            .filter(|requirement| requirement.verdict == Verdict::NotExercised.as_str())
        {
            let reason = requirement.reason.as_deref().unwrap_or("no reason known");
            line(
                out,
                style,
                &format!(
                    "  {} ({}): {}",
                    requirement.id,
                    requirement.level,
                    terminal(&cut(reason, 200))
                ),
            );
        }
        out.push('\n');
    }
}

/// What weakens the verdict, and what to do about it.
fn advice(out: &mut String, record: &RunRecord, style: &Style) {
    if let Some(Run { tools, .. }) = record.runs.first()
        && tools.callable < tools.listed
    {
        let silent = tools.listed - tools.callable;
        let text = format!(
            "{silent} of {} tools were not called with valid arguments, because they are not annotated readOnlyHint: true. Use --call all, or --allow-tool NAME.",
            tools.listed
        );
        wrapped(out, style, 0, &text);
    }
    let blocked: usize = record
        .runs
        .iter()
        .flat_map(|run| &run.cases)
        .filter(|case| {
            case.reason
                .as_deref()
                .is_some_and(|reason| reason.starts_with("blocked"))
        })
        .count();
    if blocked > 0 {
        let cases = if blocked == 1 { "case was" } else { "cases were" };
        wrapped(
            out,
            style,
            0,
            &format!("{blocked} {cases} blocked by the failures above and judged nothing."),
        );
    }
    for entry in record.baseline.iter().flatten().filter(|entry| entry.stale) {
        let text = format!(
            "The baseline excuses {} {}, which is not broken any more.",
            entry.kind, entry.name
        );
        wrapped(out, style, 0, &text);
    }
    if let Some(partition) = &record.partition {
        let text =
            format!("Only part {partition} of the cases ran; `touchstone report` merges the records of all parts.");
        wrapped(out, style, 0, &text);
    }
    if record.interrupted {
        wrapped(
            out,
            style,
            0,
            "The run was interrupted: what is missing was not exercised.",
        );
    }
}

fn verdict_line(out: &mut String, record: &RunRecord, style: &Style) {
    let count = |name: &str| record.summary.cases.get(name).copied().unwrap_or_default();
    let ran: u64 = record
        .summary
        .cases
        .iter()
        .filter(|(name, _)| name.as_str() != "not-applicable")
        .map(|(_, count)| count)
        .sum();
    let (conformance, robustness) = (record.summary.conformance, record.summary.robustness);
    let observed: usize = record
        .runs
        .iter()
        .map(|run| {
            run.requirements
                .iter()
                .filter(|requirement| requirement.observed > 0)
                .count()
        })
        .sum();
    let (word, colour) = if conformance.fail + robustness.fail > 0 {
        ("FAILED", Colour::Red)
    } else if observed == 0 {
        ("NOTHING JUDGED", Colour::Yellow)
    } else if record.failure.is_some() {
        ("INCOMPLETE", Colour::Yellow)
    } else if conformance.warn + robustness.warn > 0 {
        ("PASSED with warnings", Colour::Yellow)
    } else {
        ("PASSED", Colour::Green)
    };
    let text = format!(
        "{}: {} failed and {} warned in conformance, {} failed in robustness{}; {observed} requirements observed by {ran} cases ({} not applicable) in {:.1} s",
        paint(word, colour, style),
        conformance.fail,
        conformance.warn,
        robustness.fail,
        match conformance.excused + robustness.excused {
            0 => String::new(),
            excused => format!(", {excused} excused"),
        },
        count("not-applicable"),
        record.duration_ms as f64 / 1000.0,
    );
    line(out, style, &text);
}

enum Colour {
    Red,
    Yellow,
    Green,
    Blue,
    Bold,
    Dim,
}

fn paint(text: &str, colour: Colour, style: &Style) -> String {
    if !style.colour {
        return text.to_owned();
    }
    let code = match colour {
        Colour::Red => "1;31",
        Colour::Yellow => "1;33",
        Colour::Green => "1;32",
        Colour::Blue => "34",
        Colour::Bold => "1",
        Colour::Dim => "2",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

fn line(out: &mut String, _style: &Style, text: &str) {
    out.push_str(text.trim_end());
    out.push('\n');
}

/// Text broken between words to fit the width.
fn wrapped(out: &mut String, style: &Style, indent: usize, text: &str) {
    let room = style.width.saturating_sub(indent).max(30);
    let margin = " ".repeat(indent);
    let mut current = String::new();
    for word in text.split(' ') {
        let needed =
            unicode_width::UnicodeWidthStr::width(current.as_str()) + unicode_width::UnicodeWidthStr::width(word) + 1;
        if !current.is_empty() && needed > room {
            line(out, style, &format!("{margin}{current}"));
            current.clear();
        }
        if !current.is_empty() {
            current.push(' ');
        }
        current.push_str(word);
    }
    if !current.is_empty() {
        line(out, style, &format!("{margin}{current}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata;

    #[test]
    fn a_failure_shows_the_rule_the_bytes_and_what_to_do_and_escapes_what_the_server_said() {
        insta::assert_snapshot!(render(&testdata::hostile(), &Style::default()));
    }

    #[test]
    fn a_server_that_did_not_start_is_explained() {
        insta::assert_snapshot!(render(&testdata::not_started(), &Style::default()));
    }

    #[test]
    fn quiet_is_one_line() {
        let text = render(
            &testdata::hostile(),
            &Style {
                quiet: true,
                ..Style::default()
            },
        );
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn colours_are_added_only_when_asked_for() {
        assert!(!render(&testdata::hostile(), &Style::default()).contains('\x1b'));
        assert!(
            render(
                &testdata::hostile(),
                &Style {
                    colour: true,
                    ..Style::default()
                }
            )
            .contains("\x1b[1;31mFAILED\x1b[0m")
        );
    }

    #[test]
    fn the_record_survives_its_json_and_matches_its_schema() {
        let record = testdata::hostile();
        let json = serde_json::to_value(&record).unwrap();
        assert_eq!(serde_json::from_value::<RunRecord>(json).unwrap(), record);
        assert_eq!(RunRecord::json_schema()["properties"]["format"]["type"], "integer");
    }
}
