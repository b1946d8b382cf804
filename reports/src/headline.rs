//! The verdict on a run in one word and one sentence: the same in every report.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::record::{FindingEntry, RunRecord};

/// How the verdict feels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tone {
    /// Nothing broken.
    Good,
    /// Recommendations not met, or not all was judged.
    Mixed,
    /// Something required is broken.
    Bad,
    /// Nothing was judged.
    Empty,
}

/// Distinct requirements by their worst verdict over all revisions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Counts {
    /// Observed, and always kept.
    pub passed: usize,
    /// Broken, and required.
    pub failed: usize,
    /// Broken, and recommended.
    pub warned: usize,
    /// Broken in ways that are allowed.
    pub info: usize,
    /// Broken, and expected.
    pub excused: usize,
    /// Nobody asked.
    pub not_exercised: usize,
    /// Cannot apply here.
    pub not_applicable: usize,
}

impl Counts {
    /// Requirements on which something was observed.
    #[must_use]
    pub const fn exercised(&self) -> usize {
        self.passed + self.failed + self.warned + self.info + self.excused
    }

    /// Requirements that apply.
    #[must_use]
    pub const fn applicable(&self) -> usize {
        self.exercised() + self.not_exercised
    }
}

/// The verdict on a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Headline {
    /// How it feels.
    pub tone: Tone,
    /// A word or two.
    pub word: &'static str,
    /// A sentence.
    pub sentence: String,
    /// What it is made of.
    pub counts: Counts,
}

/// The worst of a requirement's verdicts over all revisions, by id.
#[must_use]
pub fn worst(record: &RunRecord) -> BTreeMap<&str, &str> {
    let mut worst: BTreeMap<&str, &str> = BTreeMap::new();
    for requirement in record.runs.iter().flat_map(|run| &run.requirements) {
        let entry = worst.entry(&requirement.id).or_insert(&requirement.verdict);
        if rank(&requirement.verdict) > rank(entry) {
            *entry = &requirement.verdict;
        }
    }
    worst
}

/// How bad a verdict is.
#[must_use]
pub fn rank(verdict: &str) -> usize {
    const ORDER: [&str; 7] = [
        "not-applicable",
        "not-exercised",
        "passed",
        "info",
        "excused",
        "warned",
        "failed",
    ];
    ORDER.iter().position(|known| *known == verdict).unwrap_or(0)
}

/// The verdict on a run.
#[must_use]
pub fn of(record: &RunRecord) -> Headline {
    let mut counts = Counts::default();
    for verdict in worst(record).into_values() {
        *match verdict {
            "passed" => &mut counts.passed,
            "failed" => &mut counts.failed,
            "warned" => &mut counts.warned,
            "info" => &mut counts.info,
            "excused" => &mut counts.excused,
            "not-exercised" => &mut counts.not_exercised,
            _ => &mut counts.not_applicable,
        } += 1;
    }
    let (tone, word, sentence) = sentence(record, counts);
    Headline {
        tone,
        word,
        sentence,
        counts,
    }
}

fn sentence(record: &RunRecord, counts: Counts) -> (Tone, &'static str, String) {
    if record.runs.is_empty() {
        let reason = record
            .failure
            .as_ref()
            .map_or("nothing was judged", |failure| &failure.reason);
        return (
            Tone::Empty,
            "Could not run",
            format!("Nothing was judged, so nothing passed: {reason}."),
        );
    }
    if counts.exercised() == 0 {
        return (
            Tone::Empty,
            "Nothing judged",
            "Nothing was exercised, so nothing passed.".to_owned(),
        );
    }
    let (conformance, robustness) = (record.summary.conformance, record.summary.robustness);
    let to = format!("{} over {}", revisions(record), transports(record));
    let broken = conformance.fail + robustness.fail > 0;
    let mut parts = Vec::new();
    // What only illegal input showed is said in words of its own, and not counted a second time.
    let failed = counts.failed.saturating_sub(only_fragile(record));
    if failed > 0 {
        parts.push(format!(
            "{failed} {} broken",
            if failed == 1 {
                "requirement is"
            } else {
                "requirements are"
            }
        ));
    }
    if counts.warned > 0 {
        parts.push(format!(
            "{} {} not met",
            counts.warned,
            if counts.warned == 1 {
                "recommendation is"
            } else {
                "recommendations are"
            }
        ));
    }
    if robustness.fail > 0 {
        parts.push("the server did not survive what no client may send".to_owned());
    }
    if counts.excused > 0 {
        parts.push(format!("{} expected by the baseline", counts.excused));
    }
    if parts.is_empty() {
        parts.push(format!("all {} that were exercised are kept", counts.exercised()));
    }
    let rest = format!(
        "{}; {} of {} requirements that apply were exercised.",
        parts.join(", "),
        counts.exercised(),
        counts.applicable()
    );
    let unfinished = record.interrupted || record.failure.is_some();
    match (broken, unfinished, conformance.warn + robustness.warn > 0) {
        (true, _, _) => (Tone::Bad, "Not conformant", format!("Not conformant to {to}: {rest}")),
        (false, true, _) => (
            Tone::Mixed,
            "Incomplete",
            format!("Judged in part against {to}: {rest}"),
        ),
        (false, false, true) => (
            Tone::Mixed,
            "Conformant, with warnings",
            format!("Keeps what {to} requires, as far as exercised: {rest}"),
        ),
        (false, false, false) => (
            Tone::Good,
            "Conformant",
            format!("Conformant to {to}, as far as exercised: {rest}"),
        ),
    }
}

/// How many requirements failed in robustness only.
fn only_fragile(record: &RunRecord) -> usize {
    let failed_in = |score: &str| -> BTreeSet<&str> {
        let findings = record.findings.iter();
        let counting = findings.filter(|finding| finding.excused.is_none() && finding.severity == "fail");
        counting
            .filter(|finding| finding.score == score)
            .flat_map(FindingEntry::requirements)
            .collect()
    };
    let worst = worst(record);
    let (fragile, wrong) = (failed_in("robustness"), failed_in("conformance"));
    let only = fragile.difference(&wrong);
    only.filter(|id| worst.get(**id) == Some(&"failed")).count()
}

/// The judged revisions in words, oldest first.
#[must_use]
pub fn revisions(record: &RunRecord) -> String {
    let mut revisions: Vec<&str> = record.runs.iter().map(|run| run.revision.as_str()).collect();
    revisions.sort_unstable();
    revisions.dedup();
    listed(&revisions)
}

/// The transports in words.
#[must_use]
pub fn transports(record: &RunRecord) -> String {
    let mut transports: Vec<&str> = record.runs.iter().map(|run| run.transport.as_str()).collect();
    transports.sort_unstable();
    transports.dedup();
    listed(&transports)
}

fn listed(words: &[&str]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// The server's name and version, or the target where it gave none. Hostile text.
#[must_use]
pub fn server(record: &RunRecord) -> String {
    let word = |name: &str| {
        let value = record.server.get(name).and_then(serde_json::Value::as_str);
        value.unwrap_or_default().trim()
    };
    let name = if word("title").is_empty() {
        word("name")
    } else {
        word("title")
    };
    let text = format!("{name} {}", word("version"));
    if text.trim().is_empty() {
        record.target.clone()
    } else {
        text.trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata;

    #[test]
    fn what_only_illegal_input_broke_is_counted_once() {
        let mut record = testdata::hostile();
        let sentence = |record: &RunRecord| of(record).sentence;
        assert!(
            sentence(&record).contains("1 requirement is broken"),
            "{}",
            sentence(&record)
        );
        for finding in &mut record.findings {
            finding.score = "robustness".to_owned();
        }
        record.summary.robustness = std::mem::take(&mut record.summary.conformance);
        let fragile = sentence(&record);
        assert!(!fragile.contains("broken"), "{fragile}");
        assert!(fragile.contains("did not survive"), "{fragile}");
        assert_eq!(of(&record).tone, Tone::Bad);
    }
}
