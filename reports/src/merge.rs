//! Shards of one run become one record again.
//!
//! Each shard of `--partition i/n` ran its share of the cases; monitors watched in all of them. So cases are put together, observations are
//! added up, the worst verdict on a requirement counts, and a mistake that several shards saw is one finding.

use std::collections::BTreeMap;

use crate::headline::rank;
use crate::record::{FindingEntry, RequirementEntry, Run, RunRecord, Summary, add_new};

/// Why records are no shards of one run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// A shard is there twice.
    #[error("part {0} of {1} is there twice")]
    Twice(String, String),
    /// Not all shards are there.
    #[error(
        "of {target} only {found} of {wanted} parts are there; give all of them, or the verdict would be about a part of the cases"
    )]
    Missing {
        /// The target.
        target: String,
        /// How many there are.
        found: usize,
        /// How many there should be.
        wanted: usize,
    },
}

/// A record, and what it is called where several are shown.
pub type Labelled = (Option<String>, RunRecord);

/// Puts shards of the same run together, in the place of the first of them. Other records stay as they are.
///
/// # Errors
/// When a shard is missing or there twice.
pub fn merge(records: Vec<Labelled>) -> Result<Vec<Labelled>, MergeError> {
    let mut groups: Vec<(Option<String>, Vec<RunRecord>)> = Vec::new();
    for (label, record) in records {
        let same = |(name, shards): &(Option<String>, Vec<RunRecord>)| {
            let other = &shards[0];
            other.partition.is_some()
                && *name == label
                && other.target == record.target
                && other.transport == record.transport
                && seed(other) == seed(&record)
                && parts(other).map(|(_, of)| of) == parts(&record).map(|(_, of)| of)
        };
        let home = record
            .partition
            .is_some()
            .then(|| groups.iter_mut().find(|group| same(group)))
            .flatten();
        match home {
            Some((_, shards)) => shards.push(record),
            None => groups.push((label, vec![record])),
        }
    }
    groups
        .into_iter()
        .map(|(label, shards)| Ok((label, one(shards)?)))
        .collect()
}

/// The seed of a campaign: parts of campaigns with other seeds are parts of something else.
fn seed(record: &RunRecord) -> Option<u64> {
    record.campaign.as_ref().map(|campaign| campaign.seed)
}

/// The part and the number of parts.
fn parts(record: &RunRecord) -> Option<(usize, usize)> {
    let (part, of) = record.partition.as_deref()?.split_once('/')?;
    Some((part.parse().ok()?, of.parse().ok()?))
}

fn one(mut group: Vec<RunRecord>) -> Result<RunRecord, MergeError> {
    let mut seen: Vec<usize> = Vec::new();
    for record in &group {
        let Some((part, _)) = parts(record) else { continue };
        if seen.contains(&part) {
            let partition = record.partition.clone().unwrap_or_default();
            return Err(MergeError::Twice(partition, record.target.clone()));
        }
        seen.push(part);
    }
    if let Some((_, of)) = parts(&group[0])
        && seen.len() != of
    {
        return Err(MergeError::Missing {
            target: group[0].target.clone(),
            found: seen.len(),
            wanted: of,
        });
    }
    let mut whole = group.remove(0);
    whole.partition = None;
    for shard in group {
        add(&mut whole, shard);
    }
    whole.findings.sort_by(|a, b| {
        let rank = |finding: &FindingEntry| (finding.excused.is_none(), severity_rank(&finding.severity));
        rank(b).cmp(&rank(a)).then_with(|| a.requirement.cmp(&b.requirement))
    });
    whole.summary = Summary::of(&whole.runs, &whole.findings);
    Ok(whole)
}

fn severity_rank(severity: &str) -> usize {
    ["info", "warn", "fail"]
        .iter()
        .position(|known| *known == severity)
        .unwrap_or(0)
}

fn add(whole: &mut RunRecord, mut shard: RunRecord) {
    // Names of traces are unique within a run only.
    rename_traces(&mut shard, whole.sessions);
    whole.duration_ms = whole.duration_ms.max(shard.duration_ms);
    whole.sessions += shard.sessions;
    whole.interrupted |= shard.interrupted;
    whole.failure = whole.failure.take().or(shard.failure);
    if whole.started > shard.started {
        whole.started = shard.started;
    }
    if whole.eras.is_empty() {
        whole.eras = shard.eras;
    }
    if whole.server.is_null() {
        whole.server = shard.server;
    }
    whole.transport = whole.transport.take().or(shard.transport);
    match (&mut whole.campaign, shard.campaign.take()) {
        (Some(home), Some(part)) => home.add(part),
        (home, part) => *home = home.take().or(part),
    }
    whole.traces.append(&mut shard.traces);
    whole.traces_note = whole.traces_note.take().or(shard.traces_note);
    whole.requirements.append(&mut shard.requirements);
    for run in shard.runs {
        let same = |other: &&mut Run| other.revision == run.revision && other.transport == run.transport;
        match whole.runs.iter_mut().find(same) {
            Some(home) => add_run(home, run),
            None => whole.runs.push(run),
        }
    }
    for finding in shard.findings {
        match whole
            .findings
            .iter_mut()
            .find(|other| other.signature == finding.signature)
        {
            Some(home) => {
                home.occurrences += finding.occurrences;
                home.broken_too(finding.requirements().map(str::to_owned));
                add_new(&mut home.about, &finding.about);
                add_new(&mut home.cases, &finding.cases);
                add_new(&mut home.revisions, &finding.revisions);
                home.reproduction = home.reproduction.take().or(finding.reproduction);
                if finding.excused.is_none() {
                    home.excused = None;
                }
            }
            None => whole.findings.push(finding),
        }
    }
    if let (Some(home), Some(entries)) = (&mut whole.baseline, shard.baseline) {
        for (entry, other) in home.iter_mut().zip(entries) {
            entry.excused += other.excused;
        }
    }
}

fn rename_traces(shard: &mut RunRecord, number: usize) {
    let renamed = |name: &str| format!("{name} ({number})");
    for trace in &mut shard.traces {
        trace.name = renamed(&trace.name);
    }
    for excerpt in shard.findings.iter_mut().flat_map(|finding| &mut finding.evidence) {
        excerpt.trace = renamed(&excerpt.trace);
    }
    for case in shard.runs.iter_mut().flat_map(|run| &mut run.cases) {
        case.trace = case.trace.as_deref().map(renamed);
        for stretch in &mut case.stretches {
            stretch.trace = renamed(&stretch.trace);
        }
    }
}

fn add_run(home: &mut Run, run: Run) {
    let mut more: BTreeMap<String, RequirementEntry> = run
        .requirements
        .into_iter()
        .map(|entry| (entry.id.clone(), entry))
        .collect();
    for entry in &mut home.requirements {
        let Some(other) = more.remove(&entry.id) else { continue };
        entry.observed += other.observed;
        // A reason that a case gave says more than that nobody came across it.
        let vague = entry
            .reason
            .as_deref()
            .is_some_and(|reason| reason.contains("did not come across"));
        let worse = rank(&other.verdict) > rank(&entry.verdict);
        if worse || (vague && other.verdict == entry.verdict) {
            entry.verdict = other.verdict;
            entry.reason = other.reason;
            entry.advice = other.advice;
        }
    }
    home.requirements.extend(more.into_values());
    home.requirements.sort_by(|a, b| a.id.cmp(&b.id));
    home.cases.extend(run.cases);
    // Every part of a campaign has cases of every phase: of a name that comes twice the worst verdict counts.
    home.cases.sort_by(|a, b| {
        a.name
            .cmp(&b.name)
            .then_with(|| rank(&b.verdict).cmp(&rank(&a.verdict)))
    });
    home.cases.dedup_by(|again, first| {
        let same = again.name == first.name;
        if same {
            add_new(&mut first.messages, &again.messages);
            add_new(&mut first.findings, &again.findings);
        }
        same
    });
    home.tools.listed = home.tools.listed.max(run.tools.listed);
    home.tools.callable = home.tools.callable.max(run.tools.callable);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata;

    fn shard(partition: &str, verdict: &str, case: &str) -> RunRecord {
        let mut record = testdata::clean();
        record.partition = Some(partition.to_owned());
        record.runs[0].requirements[0].verdict = verdict.to_owned();
        record.runs[0].cases[0].name = case.to_owned();
        record
    }

    #[test]
    fn shards_become_one_record_with_all_cases_and_the_worst_verdicts() {
        let shards = vec![
            (None, shard("1/2", "passed", "tools/a")),
            (Some("other".to_owned()), testdata::not_started()),
            (None, shard("2/2", "failed", "tools/b")),
        ];
        let merged = merge(shards).unwrap();
        assert_eq!((merged.len(), merged[1].0.as_deref()), (2, Some("other")));
        let whole = &merged[0].1;
        assert_eq!((whole.partition.as_deref(), whole.runs[0].cases.len()), (None, 2));
        assert_eq!(whole.runs[0].requirements[0].verdict, "failed");
        assert_eq!(whole.summary.requirements["failed"], 1);
    }

    #[test]
    fn a_part_that_is_missing_or_there_twice_is_no_whole() {
        let missing = merge(vec![(None, shard("1/2", "passed", "tools/a"))]);
        assert!(missing.unwrap_err().to_string().contains("only 1 of 2 parts"));
        let twice = merge(vec![
            (None, shard("1/2", "passed", "tools/a")),
            (None, shard("1/2", "passed", "tools/a")),
        ]);
        assert!(twice.unwrap_err().to_string().contains("twice"));
    }
}
