//! Records for the tests of reports: a clean one, one of a server that says everything it can to break a report, one that could not start.

use std::time::{Duration, SystemTime};

use touchstone_core::revision::Revision;
use touchstone_core::spec::requirement::{Catalog, Level, Severity};
use touchstone_core::trace::{Channel, EventKind, Intent, Trace, TransportKind};
use touchstone_core::verdict::{
    CaseResult, Evidence, Excuse, Finding, RequirementVerdict, RevisionRun, Score, ToolCoverage, Verdict,
};

use crate::hint::Hints;
use crate::record::{Failure, RecordInput, RunRecord, Start};

/// Everything that means something somewhere: to HTML, XML, Markdown, a terminal, a CI log.
pub(crate) const HOSTILE: &str = "</script><script>alert(1)</script>]]><img src=x onerror=alert(2)>\x1b[31m\u{202e}::error::x | `a` @someone {{x}}\u{2028}\u{0}";

fn catalog() -> Catalog {
    let entry = |id: &str, level: &str| {
        format!(
            r#"{{"id": "{id}", "levels": {{"2025-06-18": "{level}"}}, "statement": "What is right about {id}.", "ref": "server/tools#{level}", "needs": "fixture:slow-tool",
            "test": "t", "kind": "wire", "tier": "A", "oracle": "monitor", "ambiguity": "The text is unclear."}}"#
        )
    };
    let text = format!(
        "[{},{},{},{}]",
        entry("tools/a", "MUST"),
        entry("tools/b", "SHOULD"),
        entry("tools/c", "MAY"),
        entry("tools/d", "MUST")
    );
    Catalog::from_json([("tools", text.as_str())]).unwrap()
}

fn trace() -> Trace {
    let mut trace = Trace::new("2025-06-18/shared", TransportKind::Stdio);
    let case = || "tools/unknown".to_owned();
    trace.push(
        0,
        EventKind::CaseStarted {
            case: case(),
            illegal: false,
        },
    );
    trace.push(
        5,
        EventKind::Sent {
            payload: r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x"}}"#.into(),
            exchange: None,
            intent: Intent::Proper,
        },
    );
    trace.push(
        6,
        EventKind::Stderr {
            payload: HOSTILE.into(),
        },
    );
    let answer = serde_json::json!({ "jsonrpc": "2.0", "id": 7, "result": { "content": HOSTILE } }).to_string();
    trace.push(
        9,
        EventKind::Received {
            payload: answer.as_str().into(),
            channel: Channel::Stdout,
            exchange: None,
            terminated: true,
        },
    );
    trace.push(10, EventKind::CaseEnded { case: case() });
    trace
}

fn finding(requirement: &str, severity: Severity, level: Level, excused: Option<Excuse>) -> Finding {
    Finding {
        signature: format!("{requirement}#00000001"),
        requirement: requirement.to_owned(),
        also: Vec::new(),
        level,
        severity,
        score: Score::Conformance,
        message: format!("the answer was {HOSTILE}\nand more"),
        about: vec![HOSTILE.to_owned(), "add".to_owned()],
        case: Some("tools/unknown".to_owned()),
        cases: vec!["tools/unknown".to_owned()],
        outside_cases: 0,
        occurrences: 3,
        evidence: vec![Evidence {
            trace: "2025-06-18/shared".to_owned(),
            event: 3,
        }],
        excused,
    }
}

fn requirement(id: &str, level: Level, verdict: Verdict) -> RequirementVerdict {
    let silent = verdict == Verdict::NotExercised;
    RequirementVerdict {
        id: id.to_owned(),
        level,
        verdict,
        observed: if silent { 0 } else { 3 },
        reason: silent.then(|| "needs a slow tool (offer a tool named test_slow, see cases/fixtures.yaml)".to_owned()),
    }
}

fn build(runs: &[RevisionRun], failure: Option<Failure>, target: &str) -> RunRecord {
    let hints = Hints::from_json(r#"{"repairs": {"tools/a": "Answer with -32602."}, "sdks": [{"sdk": "An SDK", "versions": "1.0", "marks": ["alert"], "known": [{"requirement": "tools/a", "evidence": ["content"], "note": "It does that."}]}]}"#).unwrap();
    RunRecord::build(
        &catalog(),
        RecordInput {
            start: Start {
                target: target.to_owned(),
                invocation: format!("-- {target}"),
                at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_600_000),
                duration: Duration::from_millis(1234),
            },
            transport: Some(TransportKind::Stdio),
            sessions: 1,
            interrupted: false,
            partition: None,
            failure,
            runs,
            baseline: None,
            hints: &hints,
        },
    )
}

fn run(name: &str, requirements: Vec<RequirementVerdict>, case: Verdict, findings: Vec<Finding>) -> RevisionRun {
    RevisionRun {
        revision: Revision::V2025_06_18,
        transport: TransportKind::Stdio,
        server: serde_json::json!({ "name": name, "version": "1.0" }),
        requirements,
        cases: vec![CaseResult {
            id: "tools/unknown".to_owned(),
            title: "Calling what does not exist is refused".to_owned(),
            verdict: case,
            reason: None,
            messages: findings
                .iter()
                .map(|finding| format!("failed {}: {}", finding.requirement, finding.message))
                .collect(),
            findings: findings.iter().map(|finding| finding.signature.clone()).collect(),
            duration_us: 1_500,
            trace: Some("2025-06-18/shared".to_owned()),
        }],
        findings,
        traces: vec![trace()],
        tools: ToolCoverage { listed: 3, callable: 1 },
    }
}

/// A server that says everything it can to break a report.
pub(crate) fn hostile() -> RunRecord {
    let requirements = vec![
        requirement("tools/a", Level::Must, Verdict::Failed),
        requirement("tools/b", Level::Should, Verdict::Excused),
        requirement("tools/c", Level::May, Verdict::Passed),
        requirement("tools/d", Level::Must, Verdict::NotExercised),
    ];
    let excuse = Excuse {
        reason: format!("known: {HOSTILE}"),
        expires: None,
    };
    let twofold = Finding {
        also: vec!["tools/c".to_owned()],
        ..finding("tools/a", Severity::Fail, Level::Must, None)
    };
    let findings = vec![twofold, finding("tools/b", Severity::Warn, Level::Should, Some(excuse))];
    build(
        &[run(HOSTILE, requirements, Verdict::Failed, findings)],
        None,
        &format!("python server.py {HOSTILE}"),
    )
}

/// A server without mistakes.
pub(crate) fn clean() -> RunRecord {
    let requirements = vec![
        requirement("tools/a", Level::Must, Verdict::Passed),
        requirement("tools/b", Level::Should, Verdict::Passed),
        requirement("tools/c", Level::May, Verdict::NotApplicable),
        requirement("tools/d", Level::Must, Verdict::NotExercised),
    ];
    build(
        &[run("guide", requirements, Verdict::Passed, vec![])],
        None,
        "python server.py",
    )
}

/// A server that never started.
pub(crate) fn not_started() -> RunRecord {
    let failure = Failure {
        reason: "no session could be opened: the server exited with code 1".to_owned(),
        stderr: format!("Traceback\nKeyError: 'DATABASE_URL'\n{HOSTILE}\n"),
        stdout: None,
        hint: Some("pass it with --env DATABASE_URL=VALUE".to_owned()),
    };
    build(&[], Some(failure), "python server.py")
}
