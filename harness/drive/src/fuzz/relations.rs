//! Calls that mean the same: spelled, numbered, repeated, ordered otherwise. Their answers are compared with each other.

use serde_json::{Value, json};
use touchstone_core::spec::judge::Judgement;
use touchstone_generate::{Spelling, spell};

use super::case::{Expect, FuzzCase, Phase, Relation, RelationKind, Step};
use super::phases::{in_turn, numbered};
use super::toolbox::{Tool, Toolbox};

/// Text that is looked for in results, plain and with characters that get lost.
const PLAIN: &str = "zq7x1";
const RICH: [(&str, &str); 3] = [
    ("letters of many scripts", "zq7é中😀x1"),
    ("separators of lines and paragraphs", "zq7\u{2028}\u{2029}\u{85}x1"),
    ("control characters", "zq7\u{0}\u{1b}x1"),
];

/// The same call spelled, numbered, repeated, ordered otherwise.
pub(super) fn metamorphic(toolbox: &Toolbox) -> Vec<FuzzCase> {
    let mut rounds: Vec<Vec<FuzzCase>> = Vec::new();
    let tools: Vec<&Tool> = toolbox.callable().filter(|tool| tool.read_only).collect();
    let probes = probes(toolbox);
    for tool in &tools {
        let Some(simplest) = &tool.simplest else { continue };
        let fullest = tool.fullest.as_ref().unwrap_or(simplest);
        let mut round: Vec<FuzzCase> = Vec::new();
        for spelling in Spelling::ALL {
            round.extend(spelled(Phase::Metamorphic, tool, fullest, spelling));
        }
        // What finds most for its calls comes first: looking at everything before and after a call takes dozens.
        let relations = reflections(tool, fullest).into_iter().chain([with_ids(tool, simplest)]);
        let at = round.len().min(2);
        round.splice(at..at, relations);
        round.push(repeated(tool, simplest));
        round.extend(probes.as_ref().map(|probes| read_only(tool, fullest, probes)));
        if fullest != simplest {
            for spelling in [Spelling::MemberOrder, Spelling::Escapes] {
                round.extend(spelled(Phase::Metamorphic, tool, simplest, spelling));
            }
        }
        rounds.push(round);
    }
    let mut cases: Vec<FuzzCase> = together(&tools).into_iter().collect();
    cases.extend(in_turn(rounds));
    numbered(cases)
}

fn relation(phase: Phase, tool: &str, kind: RelationKind, label: &str, steps: Vec<Step>) -> FuzzCase {
    let pairs = |pairs: &[(usize, usize)]| pairs.to_vec();
    let (stable, same) = match kind {
        RelationKind::Repeated => (Vec::new(), pairs(&[(0, 1)])),
        RelationKind::Reflected => (Vec::new(), Vec::new()),
        // In an order that shows what merely changes with every call.
        _ => (pairs(&[(0, 3), (1, 2)]), pairs(&[(0, 1)])),
    };
    FuzzCase {
        phase,
        number: 0,
        label: label.to_owned(),
        subject: tool.to_owned(),
        legal: true,
        steps,
        expect: Expect::Nothing,
        relation: Some(Relation { kind, stable, same }),
        independent: false,
        covers: None,
    }
}

/// A call spelled otherwise: so, twice otherwise, and so again.
pub(super) fn spelled(phase: Phase, tool: &Tool, arguments: &Value, spelling: Spelling) -> Option<FuzzCase> {
    let text = spell(arguments, spelling)?;
    let plain = Step::call(&tool.name, arguments);
    let other = Step::call_spelled(&tool.name, &text);
    let steps = vec![plain.clone(), other.clone(), other, plain];
    Some(relation(
        phase,
        &tool.name,
        RelationKind::Spelled(spelling),
        spelling.as_str(),
        steps,
    ))
}

fn with_ids(tool: &Tool, arguments: &Value) -> FuzzCase {
    let plain = Step::call(&tool.name, arguments);
    let unique = |number: u64| {
        format!(
            "\"touchstone-{}-{number}\"",
            tool.name
                .chars()
                .filter(char::is_ascii_alphanumeric)
                .collect::<String>()
        )
    };
    let steps = vec![
        plain.clone(),
        plain.clone().with_id(&unique(1)),
        plain.clone().with_id(&unique(2)),
        plain,
    ];
    relation(Phase::Metamorphic, &tool.name, RelationKind::Id, "another id", steps)
}

fn repeated(tool: &Tool, arguments: &Value) -> FuzzCase {
    let call = Step::call(&tool.name, arguments);
    relation(
        Phase::Metamorphic,
        &tool.name,
        RelationKind::Repeated,
        "the same call again",
        vec![call.clone(), call],
    )
}

/// What shows the state of the server, as far as reading goes: resources, and tools that need no arguments.
fn probes(toolbox: &Toolbox) -> Option<Vec<Step>> {
    let resources = toolbox
        .inventory
        .resources
        .iter()
        .filter_map(|resource| resource.get("uri")?.as_str());
    let resources = resources
        .take(4)
        .map(|uri| Step::request("resources/read", Some(&json!({ "uri": uri }))));
    let plain = toolbox.callable().filter(|tool| tool.read_only && tool.is_plain());
    let plain = plain.take(4).map(|tool| Step::call(&tool.name, &json!({})));
    let probes: Vec<Step> = resources.chain(plain).take(6).collect();
    (!probes.is_empty()).then_some(probes)
}

/// What is shown before and after a call: three times before, three times after.
fn read_only(tool: &Tool, arguments: &Value, probes: &[Step]) -> FuzzCase {
    let count = probes.len();
    let mut steps: Vec<Step> = Vec::new();
    for _ in 0..3 {
        steps.extend(probes.iter().cloned());
    }
    steps.push(Step::call(&tool.name, arguments));
    for _ in 0..3 {
        steps.extend(probes.iter().cloned());
    }
    let mut case = relation(
        Phase::Metamorphic,
        &tool.name,
        RelationKind::ReadOnly,
        "what is shown before and after",
        steps,
    );
    let mut relation = Relation {
        kind: RelationKind::ReadOnly,
        stable: Vec::new(),
        same: Vec::new(),
    };
    for probe in 0..count {
        let before = |round: usize| round * count + probe;
        let after = |round: usize| 3 * count + 1 + round * count + probe;
        relation.stable.extend([
            (before(0), before(1)),
            (before(1), before(2)),
            (after(0), after(1)),
            (after(1), after(2)),
        ]);
        relation.same.push((before(2), after(0)));
    }
    case.relation = Some(relation);
    case
}

/// A text that comes back, with other characters.
fn reflections(tool: &Tool, base: &Value) -> Vec<FuzzCase> {
    let Value::Object(members) = base else {
        return Vec::new();
    };
    let texts: Vec<&String> = members
        .iter()
        .filter(|(_, value)| value.is_string())
        .map(|(name, _)| name)
        .collect();
    let mut cases = Vec::new();
    for name in texts.into_iter().take(3) {
        let with = |text: &str| {
            let mut changed = members.clone();
            changed.insert(name.clone(), json!(text));
            Value::Object(changed)
        };
        let valid = |value: &Value| tool.judge(value) == Some(Judgement::Valid);
        if !valid(&with(PLAIN)) {
            continue;
        }
        for (label, rich) in RICH {
            if valid(&with(rich)) {
                let steps = vec![
                    Step::call(&tool.name, &with(PLAIN)),
                    Step::call(&tool.name, &with(rich)),
                ];
                cases.push(relation(
                    Phase::Metamorphic,
                    &tool.name,
                    RelationKind::Reflected,
                    label,
                    steps,
                ));
            }
        }
    }
    cases
}

/// Calls of different tools, one by one, all at once, and both again.
fn together(tools: &[&Tool]) -> Option<FuzzCase> {
    let mut calls: Vec<Step> = Vec::new();
    for tool in tools.iter().take(8) {
        calls.extend(tool.simplest.iter().map(|value| Step::call(&tool.name, value)));
        let other = tool
            .fullest
            .iter()
            .filter(|value| Some(*value) != tool.simplest.as_ref());
        calls.extend(other.map(|value| Step::call(&tool.name, value)));
    }
    let count = calls.len();
    if count < 2 {
        return None;
    }
    let crowd = || calls.iter().map(|step| step.clone().held());
    let single = || calls.iter().cloned();
    let steps: Vec<Step> = single().chain(crowd()).chain(single()).chain(crowd()).collect();
    // The last of a crowd is held too, and would wait for the next step.
    let mut steps = steps;
    for last in [2 * count - 1, 4 * count - 1] {
        steps[last].held = false;
    }
    let mut case = relation(
        Phase::Metamorphic,
        "tools/call",
        RelationKind::Together,
        "many calls at once",
        steps,
    );
    case.relation = Some(Relation {
        kind: RelationKind::Together,
        stable: (0..count).map(|call| (call, 2 * count + call)).collect(),
        same: (0..count)
            .flat_map(|call| [(call, count + call), (call, 3 * count + call)])
            .collect(),
    });
    Some(case)
}
