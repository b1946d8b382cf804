//! Workflow commands of GitHub Actions: failures and warnings shown on the page of the run.

use std::fmt::Write as _;

use crate::escape::{cut, terminal};
use crate::headline;
use crate::record::{FindingEntry, RunRecord};

/// GitHub shows ten of each kind; more would only be noise in the log.
const MOST: usize = 10;

/// One line for each finding that fails or warns, errors first.
#[must_use]
pub fn render(records: &[RunRecord]) -> String {
    let mut out = String::new();
    for record in records {
        if record.runs.is_empty() {
            let message = headline::of(record).sentence;
            command(&mut out, "error", "Touchstone could not run", &message);
            continue;
        }
        for (severity, name) in [("fail", "error"), ("warn", "warning")] {
            let findings: Vec<&FindingEntry> = record
                .findings
                .iter()
                .filter(|finding| finding.severity == severity && finding.excused.is_none())
                .collect();
            for finding in findings.iter().take(MOST) {
                let title = format!("{} {}", finding.level, finding.requirement);
                let mut message = cut(&finding.message, 400);
                let _ = write!(message, "\nrule: {}", finding.statement);
                if let Some(also) = finding.also_breaks() {
                    let _ = write!(message, "\n{also}");
                }
                if let Some(link) = finding.links.first() {
                    let _ = write!(message, "\n{link}");
                }
                let _ = write!(message, "\nagain: {}", finding.reproduce);
                command(&mut out, name, &title, &message);
            }
            if findings.len() > MOST {
                let message = format!("{} more are in the other reports of this run.", findings.len() - MOST);
                command(&mut out, "notice", &format!("Touchstone: further {name}s"), &message);
            }
        }
    }
    out
}

fn command(out: &mut String, name: &str, title: &str, message: &str) {
    // `terminal` writes control characters out; the newlines that are ours stay.
    let lines: Vec<String> = message.lines().map(terminal).collect();
    let message = lines
        .join("\n")
        .replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A");
    let title = terminal(title)
        .replace('%', "%25")
        .replace(':', "%3A")
        .replace(',', "%2C");
    let _ = writeln!(out, "::{name} title={title}::{message}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata;

    #[test]
    fn findings_become_commands_and_hostile_text_stays_text() {
        let text = render(&[testdata::hostile()]);
        assert!(
            text.lines()
                .all(|line| line.starts_with("::error ") || line.starts_with("::warning ")),
            "{text}"
        );
        assert!(!text.contains('\x1b'));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_run_that_could_not_start_is_one_error() {
        insta::assert_snapshot!(render(&[testdata::not_started()]), @"::error title=Touchstone could not run::Nothing was judged, so nothing passed: no session could be opened: the server exited with code 1.");
    }
}
