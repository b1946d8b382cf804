//! Baselines: mistakes of a server that are known and expected, each with a reason, so that a run fails only for what is new.
//!
//! ```text
//! YAML ──► Baseline ──apply──► excused findings, requirements and cases
//!                       └────► what each entry excused, and entries that excuse nothing any more
//! ```
//!
//! A baseline can only shrink by itself: an entry that no longer fits anything is an error, and so is one that is misspelt or has expired.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Deserialize;

use crate::case::Suite;
use crate::revision::Revision;
use crate::spec::requirement::{Catalog, Severity};
use crate::spelling::nearest;
use crate::trace::TransportKind;
use crate::verdict::{BY_CAUSE, CaseResult, Excuse, Finding, RequirementVerdict, RevisionRun, Verdict};
use crate::yaml::{self, Spanned, YamlError};

/// A file of known mistakes.
#[derive(Debug, Clone)]
pub struct Baseline {
    file: String,
    text: String,
    entries: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    excused: Vec<Spanned<Written>>,
}

/// An entry as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    requirement: Option<Spanned<String>>,
    case: Option<Spanned<String>>,
    finding: Option<Spanned<String>>,
    reason: Spanned<String>,
    expires: Option<Spanned<String>>,
    #[serde(default)]
    revisions: Vec<Spanned<String>>,
    transport: Option<Spanned<String>>,
    #[serde(default)]
    sometimes: bool,
}

/// What an entry is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum About {
    Requirement(String),
    Case(String),
    Finding(String),
}

impl About {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Requirement(_) => "requirement",
            Self::Case(_) => "case",
            Self::Finding(_) => "finding",
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Requirement(name) | Self::Case(name) | Self::Finding(name) => name,
        }
    }
}

#[derive(Debug, Clone)]
struct Entry {
    place: (usize, usize),
    about: About,
    excuse: Excuse,
    revisions: Vec<Revision>,
    transport: Option<TransportKind>,
    /// Whether the mistake shows by chance, so that a run without it proves nothing.
    sometimes: bool,
}

/// What an entry came to in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryUse {
    /// `requirement`, `case` or `finding`.
    pub kind: &'static str,
    /// What it names.
    pub name: String,
    /// Its reason and its end.
    pub excuse: Excuse,
    /// How many findings or cases it excused, over all revisions.
    pub excused: u64,
    /// Whether what it excuses was exercised, and is right now.
    pub stale: bool,
}

/// What came of applying a baseline.
#[derive(Debug, Clone, Default)]
pub struct Applied {
    /// Every entry, in the order of the file.
    pub entries: Vec<EntryUse>,
    /// Entries that excuse nothing any more, with their places.
    pub stale: Vec<YamlError>,
}

impl Baseline {
    /// Reads a baseline. `today` is `YYYY-MM-DD`.
    ///
    /// # Errors
    /// When the text is not a baseline, an entry names something that does not exist, or has expired: all of them, each with its place.
    pub fn read(file: &str, text: &str, catalog: &Catalog, suite: &Suite, today: &str) -> Result<Self, Vec<YamlError>> {
        let content: File = yaml::parse(file, text).map_err(|error| vec![error])?;
        let cases: BTreeSet<String> = suite.cases().map(|(id, ..)| id).collect();
        let mut problems = Vec::new();
        let mut entries: Vec<Entry> = Vec::new();
        for written in content.excused {
            let place = yaml::place(&written);
            let mut complain = |place: (usize, usize), message: &str| {
                problems.push(YamlError::at_place(file, text, place, message));
            };
            match Entry::make(place, written.value, catalog, &cases, today, &mut complain) {
                Some(entry) if entries.iter().any(|other| other.overlaps(&entry)) => {
                    complain(place, &format!("{} is excused twice", entry.about.name()));
                }
                Some(entry) => entries.push(entry),
                None => {}
            }
        }
        if problems.is_empty() {
            Ok(Self {
                file: file.to_owned(),
                text: text.to_owned(),
                entries,
            })
        } else {
            Err(problems)
        }
    }

    /// Excuses what the entries name. `complete` tells that all cases were meant to run, so that an entry which excuses nothing is stale.
    #[must_use]
    pub fn apply(&self, runs: &mut [RevisionRun], complete: bool) -> Applied {
        let mut used: Vec<u64> = vec![0; self.entries.len()];
        for run in runs.iter_mut() {
            self.excuse(run, &mut used);
        }
        let mut applied = Applied::default();
        for (entry, used) in self.entries.iter().zip(used) {
            let stale = complete && used == 0 && !entry.sometimes && entry.is_right_now(runs);
            if stale {
                let message = format!(
                    "{} {} is not broken any more: remove the entry",
                    entry.about.kind(),
                    entry.about.name()
                );
                applied
                    .stale
                    .push(YamlError::at_place(&self.file, &self.text, entry.place, &message));
            }
            applied.entries.push(EntryUse {
                kind: entry.about.kind(),
                name: entry.about.name().to_owned(),
                excuse: entry.excuse.clone(),
                excused: used,
                stale,
            });
        }
        applied
    }

    fn excuse(&self, run: &mut RevisionRun, used: &mut [u64]) {
        let entries: Vec<(usize, &Entry)> = self
            .entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.is_for(run.revision, run.transport))
            .collect();
        let by_case: BTreeMap<&str, (usize, &Excuse)> = entries
            .iter()
            .filter_map(|(at, entry)| match &entry.about {
                About::Case(case) => Some((case.as_str(), (*at, &entry.excuse))),
                _ => None,
            })
            .collect();
        for finding in run
            .findings
            .iter_mut()
            .filter(|finding| finding.severity != Severity::Info)
        {
            let entry_about = |about: About| entries.iter().find(|(_, entry)| entry.about == about);
            // A mistake that breaks several rules is excused when each of them is.
            let direct: Vec<_> = match entry_about(About::Finding(finding.signature.clone())) {
                Some(whole) => vec![Some(whole)],
                None => finding
                    .requirements()
                    .map(|id| entry_about(About::Requirement(id.to_owned())))
                    .collect(),
            };
            direct.iter().flatten().for_each(|(at, _)| used[*at] += 1);
            if let (Some(Some((_, entry))), true) = (direct.first(), direct.iter().all(Option::is_some)) {
                finding.excused = Some(entry.excuse.clone());
                continue;
            }
            let only_there = finding.outside_cases == 0 && !finding.cases.is_empty();
            let excuses: Vec<_> = finding.cases.iter().map(|case| by_case.get(case.as_str())).collect();
            for (at, _) in excuses.iter().flatten() {
                used[*at] += 1;
            }
            if only_there && excuses.iter().all(Option::is_some) {
                finding.excused = excuses.first().copied().flatten().map(|(_, excuse)| (*excuse).clone());
            }
        }
        let findings = &run.findings;
        for requirement in &mut run.requirements {
            excuse_requirement(requirement, findings);
        }
        for case in &mut run.cases {
            excuse_case(case, findings, by_case.get(case.id.as_str()).map(|(_, excuse)| *excuse));
        }
    }
}

/// The worst of the findings that nothing excuses, and the first excuse among the others.
fn what_is_left<'f>(findings: impl Iterator<Item = &'f Finding>) -> (Option<Severity>, Option<&'f Excuse>) {
    let mut left = None;
    let mut excuse = None;
    for finding in findings.filter(|finding| finding.severity != Severity::Info) {
        match &finding.excused {
            Some(reason) => excuse = excuse.or(Some(reason)),
            None => left = left.max(Some(finding.severity)),
        }
    }
    (left, excuse)
}

fn excuse_requirement(requirement: &mut RequirementVerdict, findings: &[Finding]) {
    let about = findings
        .iter()
        .filter(|finding| finding.requirements().any(|id| id == requirement.id));
    match what_is_left(about) {
        (_, None) => {}
        (Some(severity), Some(_)) => requirement.verdict = severity.into(),
        (None, Some(excuse)) => {
            requirement.verdict = Verdict::Excused;
            requirement.reason = Some(excuse.reason.clone());
        }
    }
}

fn excuse_case(case: &mut CaseResult, findings: &[Finding], own: Option<&Excuse>) {
    if !matches!(case.verdict, Verdict::Failed | Verdict::Warned) {
        return;
    }
    let about = findings
        .iter()
        .filter(|finding| case.findings.contains(&finding.signature));
    let excuse = match (own, what_is_left(about)) {
        (Some(own), _) => own,
        (None, (None, Some(excuse))) => excuse,
        (None, (Some(severity), Some(_))) => {
            case.verdict = severity.into();
            return;
        }
        (None, (_, None)) => return,
    };
    case.verdict = Verdict::Excused;
    case.reason = Some(excuse.reason.clone());
}

impl Entry {
    fn make(
        place: (usize, usize),
        written: Written,
        catalog: &Catalog,
        cases: &BTreeSet<String>,
        today: &str,
        complain: &mut dyn FnMut((usize, usize), &str),
    ) -> Option<Self> {
        let mut right = true;
        let mut complain = |place: (usize, usize), message: String| {
            right = false;
            complain(place, &message);
        };
        let ids = || catalog.iter().map(|requirement| requirement.id.as_str());
        let about = match (written.requirement, written.case, written.finding) {
            (Some(requirement), None, None) => {
                if catalog.get(&requirement.value).is_none() {
                    let problem = unknown("requirement", &requirement.value, ids());
                    complain(yaml::place(&requirement), problem);
                }
                Some(About::Requirement(requirement.value))
            }
            (None, Some(case), None) => {
                if !cases.contains(&case.value) {
                    let problem = unknown("case", &case.value, cases.iter().map(String::as_str));
                    complain(yaml::place(&case), problem);
                }
                Some(About::Case(case.value))
            }
            (None, None, Some(finding)) => {
                match finding.value.split_once('#') {
                    None => complain(
                        yaml::place(&finding),
                        format!(
                            "{:?} is no signature of a finding; they look like tools/name-unique#0a1b2c3d, and stand in the record",
                            finding.value
                        ),
                    ),
                    Some((cause, _)) if cause.trim_end_matches('!') == BY_CAUSE => {}
                    Some((requirement, _)) if catalog.get(requirement.trim_end_matches('!')).is_none() => {
                        let problem = unknown("requirement", requirement.trim_end_matches('!'), ids());
                        complain(yaml::place(&finding), problem);
                    }
                    Some(_) => {}
                }
                Some(About::Finding(finding.value))
            }
            _ => {
                complain(
                    place,
                    "an entry names exactly one thing: `requirement`, `case` or `finding`".to_owned(),
                );
                None
            }
        };
        if written.reason.value.trim().is_empty() {
            complain(yaml::place(&written.reason), "say why, in `reason`".to_owned());
        }
        if let Some(expires) = &written.expires {
            if !is_date(&expires.value) {
                complain(
                    yaml::place(expires),
                    format!("{:?} is no date such as 2027-01-31", expires.value),
                );
            } else if expires.value.as_str() < today {
                complain(
                    yaml::place(expires),
                    format!(
                        "this excuse has expired on {}: repair the server, or say anew how long it holds",
                        expires.value
                    ),
                );
            }
        }
        let mut revisions = Vec::new();
        for revision in &written.revisions {
            match revision.value.parse() {
                Ok(known) => revisions.push(known),
                Err(error) => complain(yaml::place(revision), format!("{error}")),
            }
        }
        let transport = match written.transport.map(|text| (yaml::place(&text), text.value.parse())) {
            None => None,
            Some((_, Ok(transport))) => Some(transport),
            Some((place, Err(error))) => {
                complain(place, error);
                None
            }
        };
        let about = about.filter(|_| right)?;
        Some(Self {
            place,
            about,
            excuse: Excuse {
                reason: written.reason.value.trim().to_owned(),
                expires: written.expires.map(|expires| expires.value),
            },
            revisions,
            transport,
            sometimes: written.sometimes,
        })
    }

    fn is_for(&self, revision: Revision, transport: TransportKind) -> bool {
        (self.revisions.is_empty() || self.revisions.contains(&revision))
            && self.transport.is_none_or(|wanted| wanted == transport)
    }

    fn overlaps(&self, other: &Self) -> bool {
        let meets = self.revisions.is_empty()
            || other.revisions.is_empty()
            || self.revisions.iter().any(|revision| other.revisions.contains(revision));
        let carried = self.transport.is_none() || other.transport.is_none() || self.transport == other.transport;
        self.about == other.about && meets && carried
    }

    /// Whether a run has shown that what the entry excuses is right.
    fn is_right_now(&self, runs: &[RevisionRun]) -> bool {
        let shown = |verdict: Verdict| !matches!(verdict, Verdict::NotApplicable | Verdict::NotExercised);
        runs.iter()
            .filter(|run| self.is_for(run.revision, run.transport))
            .any(|run| match &self.about {
                About::Case(id) => run.cases.iter().any(|case| case.id == *id && shown(case.verdict)),
                About::Requirement(_) | About::Finding(_) => {
                    let name = self.about.name();
                    let id = name.split('#').next().unwrap_or(name).trim_end_matches('!');
                    // A cause belongs to no rule: that the run judged anything at all has to do.
                    run.requirements
                        .iter()
                        .any(|requirement| (requirement.id == id || id == BY_CAUSE) && shown(requirement.verdict))
                }
            })
    }
}

fn unknown<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let hint = nearest(name, known).map(|near| format!("; did you mean {near}?"));
    format!("there is no {kind} {name}{}", hint.unwrap_or_default())
}

/// Whether a text looks like `YYYY-MM-DD`.
fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 10
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
        && ("01".."13").contains(&&text[5..7])
        && ("01".."32").contains(&&text[8..])
}

/// Writes a baseline that excuses everything that failed or was warned about. Entries of `old` that still excuse something stay as they are.
#[must_use]
pub fn write(runs: &[RevisionRun], old: Option<&Baseline>, today: &str) -> String {
    let mut text = String::from(
        "# Known mistakes of the server, for `touchstone check --baseline`. Each entry names a requirement, a case or a finding, and says why it is\n# excused. Optional: `expires` (the last day), `revisions`, `transport`, and `sometimes: true` for what shows by chance.\n",
    );
    let kept: Vec<&Entry> = old.map_or_else(Vec::new, |old| {
        old.entries
            .iter()
            .filter(|entry| entry.sometimes || entry.is_needed(runs))
            .collect()
    });
    let mut fresh: BTreeMap<&str, (&Finding, Vec<Revision>)> = BTreeMap::new();
    for run in runs {
        for finding in run
            .findings
            .iter()
            .filter(|finding| finding.severity != Severity::Info && finding.excused.is_none())
        {
            let (_, revisions) = fresh.entry(&finding.signature).or_insert_with(|| (finding, Vec::new()));
            revisions.push(run.revision);
        }
    }
    if kept.is_empty() && fresh.is_empty() {
        text.push_str("excused: []\n");
        return text;
    }
    text.push_str("excused:\n");
    for entry in kept {
        entry.write(&mut text);
    }
    for (signature, (finding, revisions)) in fresh {
        let revisions: Vec<&str> = revisions.iter().map(|revision| revision.as_str()).collect();
        let also = match finding.also.as_slice() {
            [] => String::new(),
            also => format!("; it breaks {} and {}", finding.requirement, also.join(", ")),
        };
        let _ = writeln!(
            text,
            "  # {}: {}{also}\n  # seen in {}\n  - finding: {}\n    reason: {}",
            finding.level,
            one_line(&finding.message),
            revisions.join(", "),
            quoted(signature),
            quoted(&format!("was there on {today}, nobody has looked at it yet")),
        );
    }
    text
}

impl Entry {
    /// Whether it excuses something in a run that it was applied to.
    fn is_needed(&self, runs: &[RevisionRun]) -> bool {
        let excuse = Some(&self.excuse);
        runs.iter().any(|run| {
            self.is_for(run.revision, run.transport)
                && run.findings.iter().any(|finding| {
                    let excused = finding.excused.as_ref();
                    match &self.about {
                        // Of several rules that one mistake breaks, the first that is excused gives its reason.
                        About::Requirement(id) if !finding.also.is_empty() => {
                            excused.is_some() && finding.requirements().any(|broken| broken == id)
                        }
                        About::Requirement(id) => excused == excuse && *id == finding.requirement,
                        About::Finding(signature) => excused == excuse && *signature == finding.signature,
                        About::Case(case) => excused == excuse && finding.cases.contains(case),
                    }
                })
        })
    }

    fn write(&self, text: &mut String) {
        let _ = writeln!(text, "  - {}: {}", self.about.kind(), quoted(self.about.name()));
        let _ = writeln!(text, "    reason: {}", quoted(&self.excuse.reason));
        if let Some(expires) = &self.excuse.expires {
            let _ = writeln!(text, "    expires: {expires}");
        }
        if !self.revisions.is_empty() {
            let revisions: Vec<String> = self
                .revisions
                .iter()
                .map(|revision| quoted(revision.as_str()))
                .collect();
            let _ = writeln!(text, "    revisions: [{}]", revisions.join(", "));
        }
        if let Some(transport) = self.transport {
            let _ = writeln!(text, "    transport: {transport}");
        }
        if self.sometimes {
            text.push_str("    sometimes: true\n");
        }
    }
}

/// A scalar that YAML reads back as it is: JSON's quotation is YAML's.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/' | b'!');
    if text.bytes().next().is_some_and(|first| first.is_ascii_lowercase()) && text.bytes().all(plain) {
        return text.to_owned();
    }
    serde_json::Value::from(text).to_string()
}

/// Server text for a comment: one line, control characters written out, cut when long.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    for character in text.chars().take(160) {
        if character.is_control() || matches!(character, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}') {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

#[cfg(test)]
mod tests;
