//! From observations to verdicts and findings.
//!
//! An [`Observation`] says that a requirement was kept or broken, with the events that show it. [`judge`] sums them up: one
//! [`RequirementVerdict`] for every requirement of the revision, and one [`Finding`] for every distinct mistake. No observation, no pass.

mod signature;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::case::Need;
use crate::revision::Revision;
use crate::spec::requirement::{Catalog, Level, Requirement, Severity};
use crate::trace::TransportKind;

pub use signature::{BY_CAUSE, signature_of};

/// Which of the two scores an observation counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Score {
    /// What the server does with messages that a client may send.
    Conformance,
    /// Whether the server survives what no client may send.
    Robustness,
}

/// A place in a trace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Evidence {
    /// The trace's name.
    pub trace: String,
    /// Index of the event.
    pub event: usize,
}

/// That a requirement was kept or broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The requirement's id.
    pub requirement: String,
    /// Which.
    pub outcome: Outcome,
    /// The case during which it was seen.
    pub case: Option<String>,
    /// The events that show it, the most telling first.
    pub evidence: Vec<Evidence>,
}

/// Kept or broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Kept, this many times.
    Kept(u64),
    /// Broken.
    Broken(Breach),
}

/// How a requirement was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// What happened, for the server's author. May quote the server: hostile text, to be escaped where it is shown.
    pub message: String,
    /// What the message is about where the same mistake can occur in many places: a tool's name, a method.
    pub about: Option<String>,
    /// The most that it may weigh, whatever the level.
    pub at_most: Severity,
    /// Which score it counts for.
    pub score: Score,
    /// The mistake behind it, where one mistake breaks many rules: all breaches with the same cause are one finding.
    pub cause: Option<String>,
}

/// What became of a requirement or a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Cannot apply here: another transport, a capability that the server does not have.
    NotApplicable,
    /// Nothing was observed.
    NotExercised,
    /// Observed, and always kept.
    Passed,
    /// Broken at most in ways that are worth knowing but allowed.
    Info,
    /// Broken, but a baseline expects it.
    Excused,
    /// Broken, and recommended.
    Warned,
    /// Broken, and required.
    Failed,
}

impl Verdict {
    /// The word used in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotApplicable => "not-applicable",
            Self::NotExercised => "not-exercised",
            Self::Passed => "passed",
            Self::Info => "info",
            Self::Excused => "excused",
            Self::Warned => "warned",
            Self::Failed => "failed",
        }
    }
}

impl From<Severity> for Verdict {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Info => Self::Info,
            Severity::Warn => Self::Warned,
            Severity::Fail => Self::Failed,
        }
    }
}

/// The verdict on one requirement in one revision over one transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequirementVerdict {
    /// The requirement's id.
    pub id: String,
    /// Its level in the revision.
    pub level: Level,
    /// The verdict.
    pub verdict: Verdict,
    /// Observations that were summed up, kept and broken.
    pub observed: u64,
    /// Why it was not exercised or does not apply.
    pub reason: Option<String>,
}

/// One distinct mistake of the server, however often it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Identity across runs; holds no raw values.
    pub signature: String,
    /// The requirement that it breaks; of several, the one that weighs most.
    pub requirement: String,
    /// Requirements beside this one that the same mistake breaks.
    pub also: Vec<String>,
    /// Its level in the revision.
    pub level: Level,
    /// What it means for the run.
    pub severity: Severity,
    /// Which score it counts for.
    pub score: Score,
    /// What happened, from the first occurrence.
    pub message: String,
    /// The distinct things it is about: tools, methods.
    pub about: Vec<String>,
    /// The case of the first occurrence.
    pub case: Option<String>,
    /// Every case during which it was seen.
    pub cases: Vec<String>,
    /// How often it was seen while no case was running.
    pub outside_cases: u64,
    /// How often it was seen.
    pub occurrences: u64,
    /// Events of the first occurrence.
    pub evidence: Vec<Evidence>,
    /// Why a baseline excuses it.
    pub excused: Option<Excuse>,
}

impl Finding {
    /// All requirements that it breaks.
    pub fn requirements(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.requirement).chain(&self.also).map(String::as_str)
    }
}

/// That a mistake is known and expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excuse {
    /// Why, in the words of whoever wrote the baseline.
    pub reason: String,
    /// The last day on which the excuse holds, `YYYY-MM-DD`.
    pub expires: Option<String>,
}

/// What became of one case in one revision over one transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseResult {
    /// `area/name`.
    pub id: String,
    /// The sentence that says what is right.
    pub title: String,
    /// The worst that was observed during the case.
    pub verdict: Verdict,
    /// Why it was not run, or not to its end.
    pub reason: Option<String>,
    /// What was broken, in words, worst first.
    pub messages: Vec<String>,
    /// The signatures of what was broken.
    pub findings: Vec<String>,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// The trace that shows it.
    pub trace: Option<String>,
}

/// Everything that was found out in one revision over one transport.
#[derive(Debug, Clone)]
pub struct RevisionRun {
    /// The negotiated revision.
    pub revision: Revision,
    /// The transport.
    pub transport: TransportKind,
    /// The server's name and version, as it gave them.
    pub server: Value,
    /// Verdicts on requirements, by id.
    pub requirements: Vec<RequirementVerdict>,
    /// Cases, in order.
    pub cases: Vec<CaseResult>,
    /// Distinct mistakes, worst first.
    pub findings: Vec<Finding>,
    /// The traces that evidence refers to.
    pub traces: Vec<crate::trace::Trace>,
    /// Tools that were listed, and how many of them were not called because that was not allowed.
    pub tools: ToolCoverage,
}

/// How many tools could be exercised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCoverage {
    /// Tools that the server lists.
    pub listed: usize,
    /// Tools that may be called with valid arguments.
    pub callable: usize,
}

/// What is known of the server and the run when verdicts are given.
#[derive(Debug, Clone)]
pub struct Circumstances {
    /// The negotiated revision.
    pub revision: Revision,
    /// The transport.
    pub transport: TransportKind,
    /// The server's capabilities as declared; null when no session was opened.
    pub capabilities: Value,
    /// Requirements that a case would have judged but could not, with the reason.
    pub reasons: BTreeMap<String, String>,
    /// Requirements that some case or monitor can judge at all.
    pub covered: std::collections::BTreeSet<String>,
    /// Whether the server demands authorization.
    pub protected: bool,
    /// Why there was no session at all, when there was none.
    pub blocked: Option<String>,
}

/// Verdicts and findings of one revision over one transport.
#[derive(Debug, Clone, Default)]
pub struct Judged {
    /// One for each requirement that exists in the revision, by id.
    pub requirements: Vec<RequirementVerdict>,
    /// Worst first.
    pub findings: Vec<Finding>,
}

/// Sums up observations. Those about requirements that do not exist in the revision are dropped.
#[must_use]
pub fn judge(catalog: &Catalog, circumstances: &Circumstances, observations: &[Observation]) -> Judged {
    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    let mut findings: BTreeMap<String, Finding> = BTreeMap::new();
    for observation in observations {
        let Some(requirement) = catalog.get(&observation.requirement) else {
            continue;
        };
        let Some(level) = requirement.level(circumstances.revision) else {
            continue;
        };
        let tally = tallies.entry(&requirement.id).or_default();
        match &observation.outcome {
            Outcome::Kept(times) => tally.observed += times,
            Outcome::Broken(breach) => {
                let severity = severity_of(requirement, circumstances.revision, breach);
                tally.observed += 1;
                tally.worst = tally.worst.max(Some(severity));
                collect(&mut findings, requirement, level, severity, breach, observation);
            }
        }
    }
    let requirements = catalog
        .of(circumstances.revision)
        .map(|(requirement, level)| {
            let tally = tallies.get(requirement.id.as_str()).copied().unwrap_or_default();
            verdict_of(requirement, level, tally, circumstances)
        })
        .collect();
    let mut findings: Vec<Finding> = findings.into_values().collect();
    findings.sort_by(|a, b| {
        b.severity
            .cmp(&a.severity)
            .then_with(|| a.requirement.cmp(&b.requirement))
    });
    Judged { requirements, findings }
}

/// What a breach means for the run: the requirement's level, made milder by its grade and by the breach itself. In the robustness score the
/// level plays no part: dying of illegal input fails whatever the specification says about that input.
#[must_use]
pub fn severity_of(requirement: &Requirement, revision: Revision, breach: &Breach) -> Severity {
    match breach.score {
        Score::Robustness => breach.at_most,
        Score::Conformance => requirement
            .severity(revision)
            .unwrap_or(Severity::Info)
            .min(breach.at_most),
    }
}

/// The signature of the finding that an observation leads to, and what it means for the run; `None` when it leads to none.
#[must_use]
pub fn identity(catalog: &Catalog, revision: Revision, observation: &Observation) -> Option<(String, Severity)> {
    let Outcome::Broken(breach) = &observation.outcome else {
        return None;
    };
    let requirement = catalog.get(&observation.requirement)?;
    requirement.level(revision)?;
    let severity = severity_of(requirement, revision, breach);
    Some((signature_of(&requirement.id, severity, breach), severity))
}

#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    observed: u64,
    worst: Option<Severity>,
}

fn verdict_of(
    requirement: &Requirement,
    level: Level,
    tally: Tally,
    circumstances: &Circumstances,
) -> RequirementVerdict {
    let (verdict, reason) = match tally {
        Tally {
            worst: Some(severity), ..
        } => (Verdict::from(severity), None),
        Tally {
            observed: 1..,
            worst: None,
        } => (Verdict::Passed, None),
        Tally {
            observed: 0,
            worst: None,
        } => absent(requirement, circumstances),
    };
    RequirementVerdict {
        id: requirement.id.clone(),
        level,
        verdict,
        observed: tally.observed,
        reason,
    }
}

/// Why nothing was observed about a requirement.
fn absent(requirement: &Requirement, circumstances: &Circumstances) -> (Verdict, Option<String>) {
    if !requirement.applies_to(circumstances.transport) {
        return (
            Verdict::NotApplicable,
            Some(format!("does not apply over {}", circumstances.transport)),
        );
    }
    if !circumstances.capabilities.is_null() {
        for need in requirement.needs.iter().filter_map(|need| need.parse::<Need>().ok()) {
            if let (Need::Capability(_), Some(reason)) =
                (&need, need.unmet(circumstances.transport, &circumstances.capabilities))
            {
                return (Verdict::NotApplicable, Some(reason));
            }
        }
    }
    if circumstances.transport == TransportKind::StreamableHttp
        && !circumstances.protected
        && requirement.needs.iter().any(|need| need == "auth")
    {
        let reason = "the server demands no authorization".to_owned();
        return (Verdict::NotApplicable, Some(reason));
    }
    if let Some(reason) = circumstances.reasons.get(&requirement.id) {
        return (Verdict::NotExercised, Some(reason.clone()));
    }
    let reason = if let Some(cause) = requirement.unjudged_because() {
        format!("not judged: {cause}")
    } else if let Some(reason) = &circumstances.blocked {
        reason.clone()
    } else if !circumstances.covered.contains(&requirement.id) {
        "no case or monitor judges it yet".to_owned()
    } else {
        let needs: Vec<&str> = requirement
            .needs
            .iter()
            .map(String::as_str)
            .filter(|need| need.contains(':'))
            .collect();
        if needs.is_empty() {
            "the run did not come across it".to_owned()
        } else {
            format!("needs {}", needs.join(", "))
        }
    };
    (Verdict::NotExercised, Some(reason))
}

fn collect(
    findings: &mut BTreeMap<String, Finding>,
    requirement: &Requirement,
    level: Level,
    severity: Severity,
    breach: &Breach,
    observation: &Observation,
) {
    let signature = signature_of(&requirement.id, severity, breach);
    let first = || Finding {
        signature: signature.clone(),
        requirement: requirement.id.clone(),
        also: Vec::new(),
        level,
        severity,
        score: breach.score,
        message: breach.message.clone(),
        about: Vec::new(),
        case: observation.case.clone(),
        cases: Vec::new(),
        outside_cases: 0,
        occurrences: 0,
        evidence: observation.evidence.clone(),
        excused: None,
    };
    let finding = findings.entry(signature.clone()).or_insert_with(first);
    if finding.requirement != requirement.id {
        let weighs_more = (severity, &finding.requirement) > (finding.severity, &requirement.id);
        let other = if weighs_more {
            let head = Finding {
                also: std::mem::take(&mut finding.also),
                about: std::mem::take(&mut finding.about),
                cases: std::mem::take(&mut finding.cases),
                outside_cases: finding.outside_cases,
                occurrences: finding.occurrences,
                ..first()
            };
            std::mem::replace(finding, head).requirement
        } else {
            requirement.id.clone()
        };
        if let Err(at) = finding.also.binary_search(&other) {
            finding.also.insert(at, other);
        }
        finding.also.retain(|also| *also != finding.requirement);
    }
    finding.occurrences += 1;
    match &observation.case {
        None => finding.outside_cases += 1,
        Some(case) if !finding.cases.contains(case) => finding.cases.push(case.clone()),
        Some(_) => {}
    }
    finding.severity = finding.severity.max(severity);
    if let Some(about) = &breach.about
        && !finding.about.contains(about)
    {
        finding.about.push(about.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        let entry = |id: &str, level: &str, needs: &str| {
            format!(
                r#"{{"id": "{id}", "levels": {{"2025-06-18": "{level}"}}, "statement": "s", "ref": "r", "needs": "{needs}", "test": "t",
                "kind": "wire", "tier": "A", "oracle": "monitor"}}"#
            )
        };
        let text = format!(
            "[{},{},{},{}]",
            entry("tools/a", "MUST", "none"),
            entry("tools/b", "SHOULD", "tools"),
            entry("tools/c", "MAY", "none"),
            entry("tools/d", "MUST", "stdio")
        );
        Catalog::from_json([("tools", text.as_str())]).unwrap()
    }

    fn circumstances() -> Circumstances {
        Circumstances {
            revision: Revision::V2025_06_18,
            transport: TransportKind::StreamableHttp,
            capabilities: serde_json::json!({}),
            reasons: BTreeMap::new(),
            covered: std::collections::BTreeSet::new(),
            protected: false,
            blocked: None,
        }
    }

    fn broken(requirement: &str, message: &str, about: &str, score: Score) -> Observation {
        let breach = Breach {
            message: message.to_owned(),
            about: Some(about.to_owned()),
            at_most: Severity::Fail,
            score,
            cause: None,
        };
        Observation {
            requirement: requirement.to_owned(),
            outcome: Outcome::Broken(breach),
            case: None,
            evidence: vec![],
        }
    }

    fn verdict(judged: &Judged, id: &str) -> Verdict {
        judged
            .requirements
            .iter()
            .find(|requirement| requirement.id == id)
            .unwrap()
            .verdict
    }

    #[test]
    fn levels_decide_and_silence_is_no_pass() {
        let observations = ["tools/a", "tools/b", "tools/c"].map(|id| broken(id, "m", "x", Score::Conformance));
        let judged = judge(&catalog(), &circumstances(), &observations);
        assert_eq!(verdict(&judged, "tools/a"), Verdict::Failed);
        assert_eq!(verdict(&judged, "tools/b"), Verdict::Warned);
        assert_eq!(verdict(&judged, "tools/c"), Verdict::Info);
        assert_eq!(verdict(&judged, "tools/d"), Verdict::NotApplicable);
        let nothing = judge(&catalog(), &circumstances(), &[]);
        assert_eq!(verdict(&nothing, "tools/a"), Verdict::NotExercised);
        assert_eq!(
            verdict(&nothing, "tools/b"),
            Verdict::NotApplicable,
            "the capability is not declared"
        );
    }

    #[test]
    fn the_catalog_says_why_nothing_judges_a_rule() {
        let text = r#"[{"id": "tools/e", "levels": {"2025-06-18": "MUST"}, "statement": "s", "ref": "r", "needs": "none", "test": "t",
            "kind": "wire", "tier": "D", "oracle": "none", "unjudged": "needs a clock of days."}]"#;
        let judged = judge(&Catalog::from_json([("tools", text)]).unwrap(), &circumstances(), &[]);
        let reason = judged.requirements[0].reason.as_deref();
        assert_eq!(reason, Some("not judged: needs a clock of days."));
    }

    #[test]
    fn robustness_fails_whatever_the_level() {
        let judged = judge(
            &catalog(),
            &circumstances(),
            &[broken("tools/c", "died", "x", Score::Robustness)],
        );
        assert_eq!(verdict(&judged, "tools/c"), Verdict::Failed);
    }

    #[test]
    fn one_mistake_over_many_tools_is_one_finding() {
        let observations = ["add", "echo", "add"].map(|tool| {
            broken(
                "tools/a",
                &format!("tool {tool} sent \"{tool}\" 12 times"),
                tool,
                Score::Conformance,
            )
        });
        let judged = judge(&catalog(), &circumstances(), &observations);
        let [finding] = judged.findings.as_slice() else {
            panic!("{:?}", judged.findings)
        };
        assert_eq!((finding.occurrences, finding.about.len()), (3, 2));
    }

    #[test]
    fn one_cause_under_many_rules_is_one_finding_of_the_rule_that_weighs_most() {
        let cause = |requirement: &str, cause: &str| {
            let mut observation = broken(requirement, requirement, "x", Score::Conformance);
            if let Outcome::Broken(breach) = &mut observation.outcome {
                breach.cause = Some(cause.to_owned());
            }
            observation
        };
        let observations = [
            cause("tools/b", "code 1"),
            cause("tools/c", "code 1"),
            cause("tools/a", "code 1"),
            cause("tools/b", "code 1"),
            cause("tools/a", "code 2"),
        ];
        let judged = judge(&catalog(), &circumstances(), &observations);
        // What is only worth knowing stays apart from what counts.
        let [one, two, three] = judged.findings.as_slice() else {
            panic!("{:?}", judged.findings)
        };
        assert_eq!(
            (one.requirement.as_str(), two.requirement.as_str()),
            ("tools/a", "tools/a")
        );
        let folded = if one.also.is_empty() { two } else { one };
        assert_eq!(
            (folded.also.as_slice(), folded.occurrences),
            (&["tools/b".to_owned()][..], 3)
        );
        assert_eq!((folded.message.as_str(), folded.severity), ("tools/a", Severity::Fail));
        assert_eq!(
            (three.requirement.as_str(), three.severity),
            ("tools/c", Severity::Info)
        );
        assert_eq!(
            verdict(&judged, "tools/b"),
            Verdict::Warned,
            "each rule keeps its own verdict"
        );
    }

    #[test]
    fn signatures_hold_no_values_and_tell_mistakes_apart() {
        let one = judge(
            &catalog(),
            &circumstances(),
            &[broken("tools/a", "got \"x\" after 5 ms", "", Score::Conformance)],
        );
        let same = judge(
            &catalog(),
            &circumstances(),
            &[broken("tools/a", "got \"yy\" after 77 ms", "", Score::Conformance)],
        );
        let other = judge(
            &catalog(),
            &circumstances(),
            &[broken("tools/a", "nothing came", "", Score::Conformance)],
        );
        assert_eq!(one.findings[0].signature, same.findings[0].signature);
        assert_ne!(one.findings[0].signature, other.findings[0].signature);
    }
}
