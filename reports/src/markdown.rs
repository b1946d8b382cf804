//! Markdown for the summary of a CI job: the verdict, the figures, and every finding with its bytes behind a fold.

use std::fmt::Write as _;

use crate::advice;
use crate::escape::{cut, terminal};
use crate::headline::{self, Tone};
use crate::record::{Excerpt, FindingEntry, RunRecord};

/// GitHub takes a summary of one mebibyte at most.
const LONGEST: usize = 900_000;
/// Findings that are written out.
const MOST: usize = 60;

/// The summary of all records.
#[must_use]
pub fn render(records: &[RunRecord]) -> String {
    let mut out = String::new();
    for record in records {
        one(&mut out, record);
    }
    if out.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|end| out.is_char_boundary(*end)).unwrap_or(0);
        out.truncate(end);
        out.push_str("\n\n...\n\nThe summary is cut here; the record has everything.\n");
    }
    out
}

fn one(out: &mut String, record: &RunRecord) {
    let headline = headline::of(record);
    let mark = match headline.tone {
        Tone::Good => "✅",
        Tone::Mixed => "⚠️",
        Tone::Bad => "❌",
        Tone::Empty => "⬜",
    };
    let _ = writeln!(
        out,
        "## {mark} {}: {}\n",
        headline.word,
        inline(&headline::server(record))
    );
    let _ = writeln!(out, "{}\n", inline(&headline.sentence));
    let _ = writeln!(
        out,
        "{} · {} · {:.1} s · Touchstone {}\n",
        code(&record.target),
        record.started,
        record.duration_ms as f64 / 1000.0,
        record.tool.version
    );
    if let Some(failure) = &record.failure {
        let _ = writeln!(
            out,
            "> **Could not run{}:** {}",
            if record.runs.is_empty() { "" } else { " the rest" },
            inline(&failure.reason)
        );
        if let Some(hint) = &failure.hint {
            let _ = writeln!(out, ">\n> {}", inline(hint));
        }
        out.push('\n');
        let tail: Vec<&str> = failure.stderr.lines().rev().take(12).collect();
        if !tail.is_empty() {
            let text: Vec<&str> = tail.into_iter().rev().collect();
            fence(out, &text.join("\n"));
        }
    }
    if record.interrupted {
        out.push_str("> The run was interrupted: what is missing was not exercised.\n\n");
    }
    if record.runs.is_empty() {
        return;
    }
    out.push_str(
        "| revision | transport | passed | failed | warned | info | excused | not exercised | not applicable |\n",
    );
    out.push_str("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n");
    for run in &record.runs {
        let count = |verdict: &str| run.requirements.iter().filter(|entry| entry.verdict == verdict).count();
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            run.revision,
            run.transport,
            count("passed"),
            bold(count("failed")),
            bold(count("warned")),
            count("info"),
            count("excused"),
            count("not-exercised"),
            count("not-applicable")
        );
    }
    out.push('\n');
    findings(out, record);
    stale(out, record);
    gaps(out, record);
}

fn bold(count: usize) -> String {
    if count == 0 {
        "0".to_owned()
    } else {
        format!("**{count}**")
    }
}

fn findings(out: &mut String, record: &RunRecord) {
    let shown: Vec<&FindingEntry> = record
        .findings
        .iter()
        .filter(|finding| finding.severity != "info")
        .collect();
    if shown.is_empty() {
        return;
    }
    out.push_str("### Findings\n\n");
    for finding in shown.iter().take(MOST) {
        let word = match (finding.excused.is_some(), finding.severity.as_str()) {
            (true, _) => "⚪ excused",
            (false, "fail") => "❌ failed",
            _ => "⚠️ warned",
        };
        let score = if finding.score == "robustness" {
            ", robustness"
        } else {
            ""
        };
        let times = match finding.occurrences {
            1 => String::new(),
            many => format!(", seen {many} times"),
        };
        let _ = writeln!(
            out,
            "<details><summary>{word} <code>{}</code> ({}{score}{times}): {}</summary>\n",
            html(&finding.requirement),
            finding.level,
            html(&terminal(&cut(&finding.message.replace('\n', " "), 300)))
        );
        let _ = writeln!(out, "**Rule:** {}\n", inline(&finding.statement));
        if let Some(also) = finding.also_breaks() {
            let _ = writeln!(out, "{}\n", inline(&also));
        }
        for link in &finding.links {
            if link.starts_with("https://") {
                let _ = writeln!(out, "<{}>\n", link.replace(['<', '>', ' '], ""));
            }
        }
        if let Some(excuse) = &finding.excused {
            let _ = writeln!(out, "**Excused:** {}\n", inline(&excuse.reason));
        }
        if let Some(hint) = &finding.hint {
            let _ = writeln!(out, "**What usually helps:** {}\n", inline(hint));
        }
        if let Some(sdk) = &finding.sdk {
            let _ = writeln!(
                out,
                "**This is probably {}:** {}\n",
                inline(&sdk.sdk),
                inline(&sdk.note)
            );
        }
        if !finding.evidence.is_empty() {
            let lines: Vec<String> = finding.evidence.iter().take(6).map(evidence).collect();
            fence(out, &lines.join("\n"));
        }
        let _ = writeln!(
            out,
            "Seen in {}. Again: {}\n",
            finding.revisions.join(", "),
            code(&finding.reproduce)
        );
        out.push_str("</details>\n\n");
    }
    if shown.len() > MOST {
        let _ = writeln!(out, "{} more findings are in the record.\n", shown.len() - MOST);
    }
}

fn evidence(excerpt: &Excerpt) -> String {
    let arrow = match excerpt.what.as_str() {
        "sent" | "request" => "→",
        "received" | "response" | "body" | "stream event" => "←",
        other => other,
    };
    format!("{arrow} {}", cut(&excerpt.text, 1_500))
}

fn stale(out: &mut String, record: &RunRecord) {
    let stale = record.baseline.iter().flatten().filter(|entry| entry.stale);
    let lines: Vec<String> = stale
        .map(|entry| format!("- {} {}", entry.kind, code(&entry.name)))
        .collect();
    if !lines.is_empty() {
        let _ = writeln!(out, "### Stale entries of the baseline\n\n{}\n", lines.join("\n"));
    }
}

fn gaps(out: &mut String, record: &RunRecord) {
    let gaps = advice::gaps(record);
    if gaps.is_empty() {
        return;
    }
    out.push_str("<details><summary>What was not exercised, and how to exercise it</summary>\n\n| requirements | MUST | what to do, or why not |\n| ---: | ---: | --- |\n");
    for gap in gaps {
        let what = gap.advice.unwrap_or(gap.reason);
        let _ = writeln!(
            out,
            "| {} | {} | {} |",
            gap.requirements.len(),
            gap.musts,
            inline(&what)
        );
    }
    out.push_str("\n</details>\n\n");
}

/// Text inside a line: nothing in it is Markdown or HTML, and it breaks no table.
fn inline(text: &str) -> String {
    let text = terminal(&text.replace(['\n', '\r'], " "));
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // Mentions of people would tell them.
            '@' => out.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' | '$' => {
                out.push('\\');
                out.push(character);
            }
            other => out.push(other),
        }
    }
    // Addresses would become links.
    out.replace("://", ":&#47;/").replace("www.", "www&#46;")
}

/// Text for HTML inside Markdown.
fn html(text: &str) -> String {
    let escaped = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('@', "&#64;");
    let escaped = escaped
        .replace('*', "&#42;")
        .replace('_', "&#95;")
        .replace('`', "&#96;")
        .replace('[', "&#91;");
    escaped.replace("://", ":&#47;/").replace("www.", "www&#46;")
}

/// A piece of code inside a line or a table.
fn code(text: &str) -> String {
    format!(
        "<code>{}</code>",
        html(&terminal(&text.replace(['\n', '\r'], " "))).replace('|', "&#124;")
    )
}

/// A block of code that nothing inside can end.
fn fence(out: &mut String, text: &str) {
    let longest = text
        .split(|character| character != '`')
        .map(str::len)
        .max()
        .unwrap_or(0);
    let ticks = "`".repeat(longest.max(2) + 1);
    let lines: Vec<String> = text.lines().map(terminal).collect();
    let _ = writeln!(out, "{ticks}text\n{}\n{ticks}\n", lines.join("\n"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata;

    #[test]
    fn findings_are_folded_and_hostile_text_stays_text() {
        let text = render(&[testdata::hostile()]);
        // Inside of fences nothing is markup.
        let outside: String = text.split("\n```").step_by(2).collect();
        assert!(
            !outside.contains("<script") && !outside.contains("<img") && !text.contains('\x1b'),
            "{text}"
        );
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_clean_run_and_one_that_could_not_start_are_short() {
        insta::assert_snapshot!(render(&[testdata::clean(), testdata::not_started()]));
    }

    #[test]
    fn a_fence_is_longer_than_what_is_inside() {
        let mut out = String::new();
        fence(&mut out, "a ```` b");
        assert!(out.starts_with("`````text"));
    }
}
