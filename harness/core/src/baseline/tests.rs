//! What a baseline excuses, and what it complains about.

use super::*;
use crate::spec::requirement::Level;
use crate::verdict::{Score, ToolCoverage};

const CATALOG: &str = r#"[
    {"id": "tools/name-unique", "levels": {"2025-06-18": "MUST"}, "statement": "s", "ref": "r", "needs": "none", "test": "t", "kind": "wire", "tier": "A", "oracle": "monitor"},
    {"id": "tools/list-cursor", "levels": {"2025-06-18": "MUST"}, "statement": "s", "ref": "r", "needs": "none", "test": "t", "kind": "wire", "tier": "A", "oracle": "monitor"}]"#;

fn read(text: &str) -> Result<Baseline, String> {
    let catalog = Catalog::from_json([("tools", CATALOG)]).unwrap();
    let mut suite = Suite::default();
    let case = "- case: unknown-tool\n  title: T\n  exercises: [tools/name-unique]\n  steps:\n    - probe: alive\n";
    suite.add_yaml("tools", "c.yaml", case, &catalog).unwrap();
    Baseline::read("b.yaml", text, &catalog, &suite, "2026-11-26").map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        problems.join("\n")
    })
}

fn finding(requirement: &str, hash: &str, cases: &[&str]) -> Finding {
    Finding {
        signature: format!("{requirement}#{hash}"),
        requirement: requirement.to_owned(),
        also: Vec::new(),
        level: Level::Must,
        severity: Severity::Fail,
        score: Score::Conformance,
        message: "two tools\nare `add`".to_owned(),
        about: vec![],
        case: cases.first().map(|case| (*case).to_owned()),
        cases: cases.iter().map(|case| (*case).to_owned()).collect(),
        outside_cases: u64::from(cases.is_empty()),
        occurrences: 1,
        evidence: vec![],
        excused: None,
    }
}

fn run(findings: Vec<Finding>) -> RevisionRun {
    let verdict = |id: &str| RequirementVerdict {
        id: id.to_owned(),
        level: Level::Must,
        verdict: match findings.iter().any(|finding| finding.requirement == id) {
            true => Verdict::Failed,
            false => Verdict::Passed,
        },
        observed: 1,
        reason: None,
    };
    let broken = findings.iter().any(|finding| !finding.cases.is_empty());
    RevisionRun {
        revision: Revision::V2025_06_18,
        transport: TransportKind::Stdio,
        server: serde_json::Value::Null,
        requirements: vec![verdict("tools/name-unique"), verdict("tools/list-cursor")],
        cases: vec![CaseResult {
            id: "tools/unknown-tool".to_owned(),
            title: "T".to_owned(),
            verdict: if broken { Verdict::Failed } else { Verdict::Passed },
            reason: None,
            messages: vec![],
            findings: findings.iter().map(|finding| finding.signature.clone()).collect(),
            duration_us: 1,
            trace: None,
        }],
        findings,
        traces: vec![],
        tools: ToolCoverage::default(),
    }
}

#[test]
fn mistakes_are_shown_with_line_column_and_the_nearest_name() {
    insta::assert_snapshot!(read("excused:\n  - requirement: tools/name-uniqe\n    reason: later\n").unwrap_err());
    for (text, complaint) in [
        (
            "excused:\n  - case: tools/unknown-tol\n    reason: x\n",
            "b.yaml:2:11: there is no case tools/unknown-tol; did you mean tools/unknown-tool?",
        ),
        (
            "excused:\n  - finding: tools/name-uniqe#1\n    reason: x\n",
            "b.yaml:2:14: there is no requirement tools/name-uniqe; did you mean tools/name-unique?",
        ),
        (
            "excused:\n  - finding: tools/name-unique\n    reason: x\n",
            "b.yaml:2:14: \"tools/name-unique\" is no signature",
        ),
        ("excused:\n  - reason: x\n", "exactly one thing"),
        (
            "excused:\n  - requirement: tools/name-unique\n    reason: x\n    expires: 2026-11-25\n",
            "b.yaml:4:14: this excuse has expired on 2026-11-25",
        ),
        (
            "excused:\n  - requirement: tools/name-unique\n    reason: x\n    expires: soon\n",
            "no date",
        ),
        (
            "excused:\n  - requirement: tools/name-unique\n    reason: ''\n",
            "say why",
        ),
        ("excused:\n  - requirement: tools/name-unique\n", "missing field"),
        (
            "excused:\n  - requirement: tools/name-unique\n    raeson: x\n",
            "unknown field `raeson`",
        ),
        (
            "excused:\n  - requirement: tools/name-unique\n    reason: x\n    transport: stdoi\n",
            "unknown transport",
        ),
        (
            "excused:\n  - requirement: tools/name-unique\n    reason: x\n  - requirement: tools/name-unique\n    reason: y\n",
            "b.yaml:4:5: tools/name-unique is excused twice",
        ),
    ] {
        let problem = read(text).unwrap_err();
        assert!(problem.contains(complaint), "{problem}");
    }
    assert!(read("excused:\n  - requirement: tools/name-unique\n    reason: x\n    expires: 2026-11-26\n").is_ok());
}

#[test]
fn what_is_expected_is_excused_and_what_is_new_is_not() {
    let baseline = read("excused:\n  - requirement: tools/name-unique\n    reason: known\n").unwrap();
    let mut runs = [run(vec![
        finding("tools/name-unique", "1", &["tools/unknown-tool"]),
        finding("tools/list-cursor", "2", &[]),
    ])];
    let applied = baseline.apply(&mut runs, true);
    assert_eq!((applied.stale.len(), applied.entries[0].excused), (0, 1));
    assert!(runs[0].findings[0].excused.is_some() && runs[0].findings[1].excused.is_none());
    assert_eq!(runs[0].requirements[0].verdict, Verdict::Excused);
    assert_eq!(runs[0].requirements[1].verdict, Verdict::Failed);
    assert_eq!(
        runs[0].cases[0].verdict,
        Verdict::Failed,
        "something else was broken during the case"
    );
}

#[test]
fn a_finding_is_told_from_another_of_the_same_requirement() {
    let baseline = read("excused:\n  - finding: tools/name-unique#1\n    reason: known\n").unwrap();
    let mut runs = [run(vec![
        finding("tools/name-unique", "1", &[]),
        finding("tools/name-unique", "2", &[]),
    ])];
    let _ = baseline.apply(&mut runs, true);
    assert!(runs[0].findings[0].excused.is_some() && runs[0].findings[1].excused.is_none());
    assert_eq!(runs[0].requirements[0].verdict, Verdict::Failed);
}

#[test]
fn a_mistake_that_breaks_several_rules_is_excused_when_each_of_them_is() {
    let mistake = || {
        let mut finding = finding("tools/name-unique", "1", &[]);
        finding.signature = format!("{BY_CAUSE}#1");
        finding.also = vec!["tools/list-cursor".to_owned()];
        finding
    };
    let excused = |text: &str| {
        let mut runs = [run(vec![mistake()])];
        let baseline = read(text).unwrap();
        let applied = baseline.apply(&mut runs, true);
        assert!(applied.stale.is_empty());
        let written = write(&runs, Some(&baseline), "2026-11-26");
        let mut again = [run(vec![mistake()])];
        let _ = read(&written).unwrap().apply(&mut again, true);
        assert!(again[0].findings[0].excused.is_some(), "{written}");
        runs[0].findings[0].excused.is_some()
    };
    let one = "excused:\n  - requirement: tools/name-unique\n    reason: known\n";
    assert!(!excused(one));
    assert!(excused(&format!(
        "{one}  - requirement: tools/list-cursor\n    reason: known too\n"
    )));
    let by_cause = "excused:\n  - finding: \"cause#1\"\n    reason: known\n";
    assert!(excused(by_cause));
    let mut repaired = [run(vec![])];
    assert_eq!(read(by_cause).unwrap().apply(&mut repaired, true).stale.len(), 1);
}

#[test]
fn a_case_excuses_what_is_seen_nowhere_else() {
    let baseline = read("excused:\n  - case: tools/unknown-tool\n    reason: known\n").unwrap();
    let mut here = [run(vec![finding("tools/name-unique", "1", &["tools/unknown-tool"])])];
    let _ = baseline.apply(&mut here, true);
    assert_eq!(here[0].requirements[0].verdict, Verdict::Excused);
    assert_eq!(here[0].cases[0].verdict, Verdict::Excused);
    let mut both = [run(vec![finding(
        "tools/name-unique",
        "1",
        &["tools/unknown-tool", "tools/other"],
    )])];
    let applied = baseline.apply(&mut both, true);
    assert_eq!(both[0].requirements[0].verdict, Verdict::Failed);
    assert!(applied.stale.is_empty());
}

#[test]
fn an_entry_that_excuses_nothing_is_stale_unless_it_shows_by_chance_or_was_not_exercised() {
    let text = "excused:\n  - requirement: tools/name-unique\n    reason: known\n";
    let stale = |text: &str, complete: bool, exercised: bool| {
        let mut runs = [run(vec![])];
        if !exercised {
            runs[0].requirements[0].verdict = Verdict::NotExercised;
        }
        read(text).unwrap().apply(&mut runs, complete).stale
    };
    let problems = stale(text, true, true);
    assert!(
        problems[0]
            .to_string()
            .starts_with("b.yaml:2:5: requirement tools/name-unique is not broken any more")
    );
    assert!(stale(text, false, true).is_empty() && stale(text, true, false).is_empty());
    assert!(stale(&format!("{text}    sometimes: true\n"), true, true).is_empty());
    assert!(stale(&format!("{text}    transport: http-sse\n"), true, true).is_empty());
}

#[test]
fn what_is_written_is_read_and_excuses_everything() {
    let findings = || {
        vec![
            finding("tools/name-unique", "1", &[]),
            finding("tools/list-cursor", "2", &[]),
        ]
    };
    let mut runs = [run(findings())];
    let old = read("excused:\n  - finding: tools/name-unique#1\n    reason: \"we: know\"\n    expires: 2027-01-31\n  - requirement: tools/name-unique\n    reason: unused\n    transport: http-sse\n").unwrap();
    let _ = old.apply(&mut runs, true);
    let text = write(&runs, Some(&old), "2026-11-26");
    insta::assert_snapshot!(text);
    let mut again = [run(findings())];
    let applied = read(&text).unwrap().apply(&mut again, true);
    assert!(applied.stale.is_empty() && again[0].findings.iter().all(|finding| finding.excused.is_some()));
    assert!(read(&write(&[run(vec![])], None, "2026-11-26")).is_ok());
}
