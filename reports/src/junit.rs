//! JUnit XML: a suite for each revision and transport, a test for each case, and one for each mistake that showed while no case was running.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::escape::cut;
use crate::headline;
use crate::record::{CaseEntry, FindingEntry, Run, RunRecord};

/// Longest text of a failure.
const LONGEST: usize = 8_000;

/// The reports of all records as one file.
///
/// # Errors
/// When the XML cannot be written, which its types rule out.
pub fn render(records: &[RunRecord]) -> Result<String, quick_junit::SerializeError> {
    let mut report = Report::new("touchstone");
    for record in records {
        let server = headline::server(record);
        if record.runs.is_empty() {
            let mut suite = TestSuite::new(clean(&server));
            suite.add_test_case(not_started(record));
            report.add_test_suite(suite);
        }
        for run in &record.runs {
            let name = match records.len() {
                1 => format!("{} over {}", run.revision, run.transport),
                _ => format!("{server}: {} over {}", run.revision, run.transport),
            };
            let mut suite = TestSuite::new(clean(&name));
            suite.add_property(("server", clean(&server).as_str()));
            suite.add_property(("target", clean(&record.target).as_str()));
            suite.add_property(("revision", run.revision.as_str()));
            suite.add_property(("transport", run.transport.as_str()));
            for case in &run.cases {
                suite.add_test_case(case_entry(case, run, record));
            }
            for finding in outside(record, run) {
                suite.add_test_case(outside_entry(finding));
            }
            report.add_test_suite(suite);
        }
    }
    report.to_string()
}

fn not_started(record: &RunRecord) -> TestCase {
    let headline = headline::of(record);
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_message(clean(&headline.sentence));
    if let Some(failure) = &record.failure {
        let hint = failure.hint.as_deref().unwrap_or_default();
        status.set_description(clean(&cut(&format!("{}\n{hint}", failure.stderr), LONGEST)));
    }
    let mut case = TestCase::new("session opens", status);
    case.set_classname("touchstone");
    case
}

/// Mistakes of a run that showed while no case was running.
fn outside<'a>(record: &'a RunRecord, run: &'a Run) -> impl Iterator<Item = &'a FindingEntry> {
    record.findings.iter().filter(|finding| {
        finding.cases.is_empty() && finding.severity != "info" && finding.revisions.contains(&run.revision)
    })
}

fn outside_entry(finding: &FindingEntry) -> TestCase {
    let broken = finding.severity == "fail" && finding.excused.is_none();
    let status = if broken {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_type(clean(&finding.level));
        status.set_message(clean(&cut(&finding.message, 300)));
        status.set_description(clean(&described(finding)));
        status
    } else {
        TestCaseStatus::success()
    };
    let mut case = TestCase::new(clean(&finding.requirement), status);
    case.set_classname("outside of cases");
    if !broken {
        case.set_system_out(clean(&described(finding)));
    }
    case
}

fn case_entry(case: &CaseEntry, run: &Run, record: &RunRecord) -> TestCase {
    let findings: Vec<&FindingEntry> = record
        .findings
        .iter()
        .filter(|finding| case.findings.contains(&finding.signature) && finding.severity != "info")
        .collect();
    let text = || {
        let blocks: Vec<String> = findings.iter().map(|finding| described(finding)).collect();
        let lines = if blocks.is_empty() {
            case.messages.join("\n")
        } else {
            blocks.join("\n\n")
        };
        clean(&cut(&lines, LONGEST))
    };
    let mut out = None;
    let status = match case.verdict.as_str() {
        "failed" => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            let message = case.messages.first().map_or(case.title.as_str(), String::as_str);
            status.set_message(clean(&cut(message, 300)));
            if let Some(finding) = findings.first() {
                status.set_type(clean(&finding.level));
            }
            status.set_description(text());
            status
        }
        "not-applicable" | "not-exercised" | "excused" => {
            let mut status = TestCaseStatus::skipped();
            let reason = case.reason.as_deref().unwrap_or("nothing was observed");
            status.set_message(clean(&format!("{}: {reason}", case.verdict)));
            status
        }
        "warned" => {
            out = Some(text());
            TestCaseStatus::success()
        }
        _ => TestCaseStatus::success(),
    };
    let (area, name) = case.name.split_once('/').unwrap_or(("own", &case.name));
    let mut entry = TestCase::new(clean(&format!("{name} ({})", run.revision)), status);
    entry.set_classname(clean(area));
    entry.set_time(Duration::from_micros(case.duration_us));
    if let Some(out) = out {
        entry.set_system_out(out);
    }
    entry
}

/// A finding with everything that proves it.
fn described(finding: &FindingEntry) -> String {
    let mut lines = vec![
        format!("{} {}: {}", finding.level, finding.requirement, finding.message),
        format!("rule: {}", finding.statement),
    ];
    lines.extend(finding.links.first().cloned());
    lines.extend(finding.also_breaks());
    for excerpt in finding.evidence.iter().take(4) {
        lines.push(format!("{}: {}", excerpt.what, cut(&excerpt.text, 1_500)));
    }
    if let Some(excuse) = &finding.excused {
        lines.push(format!("excused: {}", excuse.reason));
    }
    lines.push(format!("again: {}", finding.reproduce));
    lines.join("\n")
}

/// Text that XML can hold and a terminal may show: control characters written out, line by line.
fn clean(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(crate::escape::terminal).collect();
    lines
        .join("\n")
        .chars()
        .map(|character| match character {
            // No XML character: noncharacters at the end of the plane.
            '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata;

    #[test]
    fn cases_become_tests_and_hostile_text_stays_text() {
        let xml = render(&[testdata::hostile()]).unwrap();
        assert!(!xml.contains('\x1b') && !xml.contains("<script"), "{xml}");
        insta::assert_snapshot!(xml);
    }

    #[test]
    fn what_is_written_is_read_back() {
        for record in [testdata::hostile(), testdata::clean(), testdata::not_started()] {
            let xml = render(std::slice::from_ref(&record)).unwrap();
            let report = quick_junit::Report::deserialize_from_str(&xml).unwrap();
            assert_eq!(report.test_suites.len(), record.runs.len().max(1));
        }
    }
}
