//! Several records side by side: runs of one server (what got better, what got worse), or several servers in one table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::headline::{self, Headline, rank};
use crate::record::RunRecord;

/// Records side by side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Whether all are runs of the same server, oldest first, rather than different servers.
    pub history: bool,
    /// One for each record.
    pub columns: Vec<Column>,
    /// In a history: what changed from each run to the next.
    pub changes: Vec<Changes>,
}

/// A record as a column of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Column {
    /// What stands above it. Hostile text.
    pub label: String,
    /// The verdict.
    pub headline: Headline,
}

/// What changed from one run to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Requirements with a worse verdict: id, before, after, and where, revision and transport.
    pub worse: Vec<Change>,
    /// Requirements with a better one.
    pub better: Vec<Change>,
    /// Findings that were not there before: signature and message.
    pub new: Vec<(String, String)>,
    /// Findings that are gone.
    pub gone: Vec<(String, String)>,
    /// How many findings are in both.
    pub still: usize,
}

/// Another verdict on a requirement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The requirement.
    pub id: String,
    /// Revision and transport.
    pub place: String,
    /// The verdict before.
    pub before: String,
    /// The verdict after.
    pub after: String,
}

/// Puts records side by side. Runs of the same target over the same transport are put in order of time. `labels` may name columns.
#[must_use]
pub fn compare(records: &mut [(Option<String>, RunRecord)]) -> Comparison {
    let history = records.len() > 1
        && records.windows(2).all(|pair| {
            let (a, b) = (&pair[0].1, &pair[1].1);
            a.target == b.target && (a.transport == b.transport || a.transport.is_none() || b.transport.is_none())
        });
    if history {
        records.sort_by(|a, b| a.1.started.cmp(&b.1.started));
    }
    let labels = labels(records, history);
    let columns = records
        .iter()
        .zip(labels)
        .map(|((_, record), label)| Column {
            label,
            headline: headline::of(record),
        })
        .collect();
    let changes = if history {
        records.windows(2).map(|pair| changes(&pair[0].1, &pair[1].1)).collect()
    } else {
        Vec::new()
    };
    Comparison {
        history,
        columns,
        changes,
    }
}

/// A label for each column, with as much as it takes to tell them apart.
fn labels(records: &[(Option<String>, RunRecord)], history: bool) -> Vec<String> {
    let base = |label: &Option<String>, record: &RunRecord| match label {
        Some(label) => label.clone(),
        None if history => format!("{} {}", headline::server(record), record.started),
        None => headline::server(record),
    };
    let mut labels: Vec<String> = records.iter().map(|(label, record)| base(label, record)).collect();
    let more: [fn(&RunRecord) -> String; 3] = [
        |record| record.transport.clone().unwrap_or_default(),
        |record| record.target.clone(),
        |record| record.started.clone(),
    ];
    for more in more {
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        for label in &labels {
            *times.entry(label.clone()).or_default() += 1;
        }
        for (label, (_, record)) in labels.iter_mut().zip(records) {
            if times[label.as_str()] > 1 {
                let _ = write!(label, " ({})", more(record));
            }
        }
    }
    labels
}

fn changes(before: &RunRecord, after: &RunRecord) -> Changes {
    let mut changes = Changes::default();
    for run in &after.runs {
        let Some(earlier) = before
            .runs
            .iter()
            .find(|other| other.revision == run.revision && other.transport == run.transport)
        else {
            continue;
        };
        let verdicts: BTreeMap<&str, &str> = earlier
            .requirements
            .iter()
            .map(|entry| (entry.id.as_str(), entry.verdict.as_str()))
            .collect();
        for entry in &run.requirements {
            let Some(verdict) = verdicts.get(entry.id.as_str()) else {
                continue;
            };
            let change = Change {
                id: entry.id.clone(),
                place: format!("{} over {}", run.revision, run.transport),
                before: (*verdict).to_owned(),
                after: entry.verdict.clone(),
            };
            // What was kept and is not exercised any more is worse as well: nobody knows.
            match badness(&entry.verdict).cmp(&badness(verdict)) {
                std::cmp::Ordering::Greater => changes.worse.push(change),
                std::cmp::Ordering::Less => changes.better.push(change),
                std::cmp::Ordering::Equal => {}
            }
        }
    }
    let weighty = |record: &RunRecord| -> BTreeMap<String, String> {
        let findings = record.findings.iter().filter(|finding| finding.severity != "info");
        findings
            .map(|finding| (finding.signature.clone(), finding.message.clone()))
            .collect()
    };
    let (old, new) = (weighty(before), weighty(after));
    let only = |these: &BTreeMap<String, String>, those: &BTreeMap<String, String>| -> Vec<(String, String)> {
        these
            .iter()
            .filter(|(signature, _)| !those.contains_key(*signature))
            .map(|(signature, message)| (signature.clone(), message.clone()))
            .collect()
    };
    changes.new = only(&new, &old);
    changes.gone = only(&old, &new);
    changes.still = new.keys().filter(|signature| old.contains_key(*signature)).count();
    changes
}

/// Kept is best, then what is only worth knowing, then what nobody knows, then what is broken. What does not apply is neither good nor bad.
fn badness(verdict: &str) -> usize {
    match verdict {
        "passed" | "not-applicable" => 0,
        "info" => 1,
        "not-exercised" => 2,
        other => rank(other),
    }
}

/// The comparison for a console: one line for each column, and what changed.
#[must_use]
pub fn render(comparison: &Comparison) -> String {
    let mut out = String::new();
    let shown = crate::escape::terminal;
    for column in &comparison.columns {
        let counts = column.headline.counts;
        let _ = writeln!(
            out,
            "{:<48} {:>4} failed {:>4} warned {:>5} kept {:>5} not exercised",
            shown(&crate::escape::cut(&column.label, 60)),
            counts.failed,
            counts.warned,
            counts.passed + counts.info,
            counts.not_exercised
        );
    }
    for (at, changes) in comparison.changes.iter().enumerate() {
        let _ = writeln!(
            out,
            "\nFrom {} to {}: {} worse, {} better; {} new findings, {} gone, {} still there",
            shown(&comparison.columns[at].label),
            shown(&comparison.columns[at + 1].label),
            changes.worse.len(),
            changes.better.len(),
            changes.new.len(),
            changes.gone.len(),
            changes.still
        );
        for (word, list) in [("worse", &changes.worse), ("better", &changes.better)] {
            for change in list.iter().take(40) {
                let _ = writeln!(
                    out,
                    "  {word}: {} ({}) {} -> {}",
                    change.id, change.place, change.before, change.after
                );
            }
        }
        for (word, list) in [("new", &changes.new), ("gone", &changes.gone)] {
            for (signature, message) in list.iter().take(40) {
                let text = shown(&crate::escape::cut(&message.replace('\n', " "), 140));
                let _ = writeln!(out, "  {word}: {signature} {text}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata;

    #[test]
    fn runs_of_one_server_show_what_changed() {
        let mut later = testdata::hostile();
        later.started = "2026-11-27T00:00:00Z".to_owned();
        let mut earlier = testdata::clean();
        earlier.target = later.target.clone();
        let mut records = vec![(None, later), (None, earlier)];
        let comparison = compare(&mut records);
        assert!(comparison.history);
        insta::assert_snapshot!(render(&comparison));
    }

    #[test]
    fn different_servers_are_a_table_with_labels_that_tell_them_apart() {
        let mut other = testdata::clean();
        other.target = "node server.mjs".to_owned();
        let mut records = vec![
            (None, testdata::clean()),
            (None, other),
            (Some("mine".to_owned()), testdata::clean()),
        ];
        let comparison = compare(&mut records);
        assert!(!comparison.history && comparison.changes.is_empty());
        let labels: Vec<&str> = comparison.columns.iter().map(|column| column.label.as_str()).collect();
        assert_eq!(labels[2], "mine");
        assert_ne!(labels[0], labels[1]);
    }
}
