//! The cases of each phase. Those of the systematic phases are lists, the same every time; those of the others come from the seed and a number.

use serde_json::{Value, json};
use touchstone_core::revision::Revision;
use touchstone_core::spec::judge::Judgement;
use touchstone_generate::{Dice, Spelling, malformed, mutate, spell};

use super::case::{Bind, Expect, FuzzCase, Phase, Relation, RelationKind, Step, What};
use super::feedback::Feedback;
use super::toolbox::{Tool, Toolbox, constraint};

/// A tour of what the server offers.
pub(super) fn examples(toolbox: &Toolbox, revision: Revision) -> Vec<FuzzCase> {
    let mut cases = Vec::new();
    let mut ask = |label: &str, method: &str, params: Option<Value>| {
        cases.push(FuzzCase::of(
            Phase::Examples,
            label,
            Step::request(method, params.as_ref()),
        ));
    };
    if revision.era() == touchstone_core::revision::Era::Stateful {
        ask("the simplest request", "ping", None);
        ask("params that are empty", "ping", Some(json!({})));
    }
    let inventory = &toolbox.inventory;
    for (capability, method) in [
        ("tools", "tools/list"),
        ("prompts", "prompts/list"),
        ("resources", "resources/list"),
        ("resources", "resources/templates/list"),
    ] {
        if toolbox.has(capability) {
            ask("a list", method, None);
            ask("a list with empty params", method, Some(json!({})));
        }
    }
    for prompt in inventory.prompts.iter().take(50) {
        let Some(name) = prompt.get("name").and_then(Value::as_str) else {
            continue;
        };
        let declared = prompt.get("arguments").and_then(Value::as_array);
        let names = declared
            .into_iter()
            .flatten()
            .filter_map(|argument| argument.get("name")?.as_str());
        let all: serde_json::Map<String, Value> = names.map(|name| (name.to_owned(), json!("touchstone"))).collect();
        ask(
            "a prompt with all its arguments",
            "prompts/get",
            Some(json!({ "name": name, "arguments": all })),
        );
        if toolbox.has("completions")
            && let Some(argument) = all.keys().next()
        {
            let params = json!({ "ref": { "type": "ref/prompt", "name": name }, "argument": { "name": argument, "value": "a" } });
            ask("a completion", "completion/complete", Some(params));
        }
    }
    for resource in inventory.resources.iter().take(50) {
        if let Some(uri) = resource.get("uri").and_then(Value::as_str) {
            ask("a listed resource", "resources/read", Some(json!({ "uri": uri })));
        }
    }
    if toolbox.has("logging") {
        ask(
            "a level of logging",
            "logging/setLevel",
            Some(json!({ "level": "error" })),
        );
    }
    for tool in toolbox.callable() {
        let examples = tool
            .definition
            .pointer("/inputSchema/examples")
            .and_then(Value::as_array);
        let values = tool
            .simplest
            .iter()
            .chain(tool.fullest.iter())
            .chain(examples.into_iter().flatten());
        let mut seen = Vec::new();
        for value in values.filter(|value| value.is_object()) {
            if !seen.contains(&value) {
                seen.push(value);
                let case = FuzzCase::of(Phase::Examples, "ordinary arguments", Step::call(&tool.name, value));
                cases.push(case.expecting(Expect::Arguments {
                    explicit: true,
                    coercible: false,
                }));
            }
        }
        if tool.is_plain() {
            let params = json!({ "name": tool.name }).to_string();
            cases.push(FuzzCase::of(
                Phase::Examples,
                "a call without the member arguments",
                Step::spelled("tools/call", Some(params)),
            ));
        }
    }
    numbered(cases)
}

/// Every constraint of every tool from both sides: first what the schemas speak of, tool by tool in turn, then what is merely odd.
pub(super) fn coverage(toolbox: &Toolbox) -> Vec<FuzzCase> {
    let mut rounds: Vec<Vec<FuzzCase>> = Vec::new();
    let mut odd = Vec::new();
    for tool in toolbox.callable() {
        let independent = tool.read_only;
        let mut firm = Vec::new();
        let mut lenient = Vec::new();
        for flaw in &tool.flaws {
            let label = format!("arguments that break {} and nothing else", flaw.keyword);
            let mut case = FuzzCase::of(Phase::Coverage, label, Step::call(&tool.name, &flaw.value));
            case.expect = Expect::Arguments {
                explicit: true,
                coercible: flaw.coercible,
            };
            case.covers = Some(constraint(&tool.name, &flaw.keyword, &flaw.pointer));
            case.independent = independent;
            if flaw.coercible { &mut lenient } else { &mut firm }.push(case);
        }
        for edge in &tool.edges {
            let label = format!("valid arguments at the edge of {}", edge.keyword);
            let mut case = FuzzCase::of(Phase::Coverage, label, Step::call(&tool.name, &edge.value));
            case.expect = Expect::Arguments {
                explicit: edge.explicit,
                coercible: false,
            };
            case.covers = edge
                .explicit
                .then(|| constraint(&tool.name, &edge.keyword, &edge.pointer));
            case.independent = independent;
            if edge.explicit { &mut firm } else { &mut odd }.push(case);
        }
        // Edges and flaws of one tool in turn.
        let half = firm.len().div_ceil(2);
        let (first, second) = firm.split_at(half.min(firm.len()));
        let mut mixed: Vec<FuzzCase> = Vec::with_capacity(firm.len());
        for index in 0..half {
            mixed.extend(first.get(index).cloned());
            mixed.extend(second.get(second.len().wrapping_sub(index + 1)).cloned());
        }
        rounds.push(mixed);
        odd.extend(lenient);
    }
    let longest = rounds.iter().map(Vec::len).max().unwrap_or(0);
    let mut cases = Vec::new();
    for index in 0..longest {
        cases.extend(rounds.iter().filter_map(|round| round.get(index).cloned()));
    }
    cases.extend(odd);
    numbered(cases)
}

/// Requests that a client may send, and that servers get wrong.
pub(super) fn protocol(toolbox: &Toolbox, revision: Revision) -> Vec<FuzzCase> {
    let mut cases = Vec::new();
    let stateful = revision.era() == touchstone_core::revision::Era::Stateful;
    let probe = if stateful { "ping" } else { "server/discover" };
    let long = format!("\"{}\"", "touchstone-id-".repeat(20));
    for token in [
        "0",
        "\"touchstone\"",
        "\"1\"",
        "\"\"",
        "\"é中😀\"",
        "\"\\u00e9\\ud83d\\ude00x\"",
        "\"with space\"",
        "\"123e4567-e89b-12d3-a456-426614174000\"",
        "\"null\"",
        &long,
        "2147483648",
        "4294967297",
        "1774232524389",
        "9007199254740991",
    ] {
        let kind = if token.starts_with('"') {
            "an id that is a text"
        } else {
            "an id that is a number"
        };
        cases.push(FuzzCase::of(
            Phase::Protocol,
            kind,
            Step::request(probe, None).with_id(token),
        ));
    }
    for (label, method) in [
        ("a method that nobody knows", "touchstone/no-such-method"),
        ("a method that nobody knows", "touchstone.no.such.method"),
        ("a method in other letters", "Tools/List"),
        ("a method in other letters", "PING"),
        ("a method with a space", "ping "),
        ("a method with a space", " tools/list"),
        ("a method with a slash too many", "tools/list/"),
        ("a method with a name of the language", "__proto__"),
        ("a method with a name of the language", "constructor"),
        ("a method with a name of the language", "toString"),
        ("a method of JSON-RPC itself", "rpc.discover"),
    ] {
        let case = FuzzCase::of(Phase::Protocol, label, Step::request(method, None));
        cases.push(case.expecting(Expect::UnknownMethod));
    }
    for (label, method, params) in [
        ("a notification that nobody knows", "notifications/touchstone", None),
        (
            "a notification that nobody knows",
            "notifications/touchstone",
            Some(json!({ "a": [1] })),
        ),
        (
            "the cancellation of a request that never was",
            "notifications/cancelled",
            Some(json!({ "requestId": "touchstone-never", "reason": "touchstone" })),
        ),
        (
            "progress that nobody waits for",
            "notifications/progress",
            Some(json!({ "progressToken": "touchstone-never", "progress": 1 })),
        ),
    ] {
        let params = params.map(|params| params.to_string());
        let step = Step::new(What::Notify {
            method: method.to_owned(),
            params,
        });
        cases.push(FuzzCase::of(Phase::Protocol, label, step));
    }
    let extra = |method: &str| {
        let step = Step::request(method, Some(&json!({ "x-touchstone": 1 })));
        FuzzCase::of(Phase::Protocol, "a member of params that nobody knows", step)
            .expecting(Expect::Succeeds("base-protocol/unknown-params-members"))
    };
    if stateful {
        cases.push(extra("ping"));
    }
    for (capability, method) in [
        ("tools", "tools/list"),
        ("prompts", "prompts/list"),
        ("resources", "resources/list"),
    ] {
        if toolbox.has(capability) {
            if stateful {
                cases.push(extra(method));
            }
            for cursor in ["touchstone-no-such-cursor", "é\u{2028}", "-1"] {
                let step = Step::request(method, Some(&json!({ "cursor": cursor })));
                cases.push(FuzzCase::of(
                    Phase::Protocol,
                    "a cursor that the server never gave",
                    step,
                ));
            }
        }
    }
    if toolbox.has("tools") {
        names(toolbox, &mut cases);
    }
    if toolbox.has("prompts") {
        for name in ["touchstone_no_such_prompt", "__proto__", "../../etc/passwd"] {
            let step = Step::request("prompts/get", Some(&json!({ "name": name })));
            cases.push(FuzzCase::of(Phase::Protocol, "a prompt that does not exist", step));
        }
    }
    if toolbox.has("resources") {
        for uri in [
            "touchstone://no/such/resource",
            "file:///etc/passwd",
            "file:///../../etc/passwd",
            "http://127.0.0.1:1/",
            "touchstone://%00/%ff",
            "urn:x",
            "touchstone://a/1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20X",
        ] {
            let step = Step::request("resources/read", Some(&json!({ "uri": uri })));
            cases.push(FuzzCase::of(Phase::Protocol, "a resource that does not exist", step));
        }
    }
    if let Some((name, arguments)) = toolbox
        .callable()
        .find_map(|tool| Some((&tool.name, tool.simplest.as_ref()?)))
    {
        for token in [json!("touchstone-token"), json!(7_000_001)] {
            let params = json!({ "name": name, "arguments": arguments, "_meta": { "progressToken": token } });
            cases.push(FuzzCase::of(
                Phase::Protocol,
                "a call that asks for progress",
                Step::request("tools/call", Some(&params)),
            ));
        }
        for id in ["\"touchstone-cancelled-1\"", "\"touchstone-cancelled-2\""] {
            let call = Step::call(name, arguments).with_id(id).held();
            let cancel = Step::new(What::Notify {
                method: "notifications/cancelled".to_owned(),
                params: Some(format!(r#"{{"requestId":{id},"reason":"touchstone"}}"#)),
            });
            let mut case = FuzzCase::of(Phase::Protocol, "a call that is cancelled at once", call);
            case.steps.push(cancel);
            cases.push(case);
        }
    }
    let crowd: Vec<Step> = (0..20).map(|_| Step::request(probe, None).held()).collect();
    let mut case = FuzzCase::of(
        Phase::Protocol,
        "twenty requests at once",
        Step::request(probe, None).held(),
    );
    case.steps.extend(crowd);
    cases.push(case);
    if revision == Revision::V2025_03_26 {
        let batch = br#"[{"jsonrpc":"2.0","id":"touchstone-batch-1","method":"ping"},{"jsonrpc":"2.0","id":"touchstone-batch-2","method":"ping"}]"#;
        cases.push(FuzzCase::of(
            Phase::Protocol,
            "a batch",
            Step::new(What::Raw(batch.to_vec())),
        ));
    }
    numbered(cases)
}

/// Calls that name no tool, or are not shaped like a call.
fn names(toolbox: &Toolbox, cases: &mut Vec<FuzzCase>) {
    let long = "touchstone".repeat(1_000);
    for (label, name, expect) in [
        (
            "a tool that does not exist",
            "touchstone_no_such_tool",
            Expect::UnknownTool,
        ),
        ("a tool with a name of the language", "__proto__", Expect::HostileName),
        ("a tool with a name of the language", "constructor", Expect::HostileName),
        ("a tool with a name of the language", "toString", Expect::HostileName),
        (
            "a tool with a name of the language",
            "hasOwnProperty",
            Expect::HostileName,
        ),
        ("a tool with an empty name", "", Expect::HostileName),
        ("a tool with a path for a name", "../../etc/passwd", Expect::HostileName),
        ("a tool with a long name", long.as_str(), Expect::HostileName),
    ] {
        if toolbox.tool(name).is_some() {
            continue;
        }
        let step = Step::call(name, &json!({}));
        let mut case = FuzzCase::of(Phase::Protocol, label, step).expecting(expect);
        "tools/call".clone_into(&mut case.subject);
        cases.push(case);
    }
    for params in [
        json!({}),
        json!({ "name": 5, "arguments": {} }),
        json!({ "name": null }),
    ] {
        let step = Step::request("tools/call", Some(&params)).deliberate();
        let case = FuzzCase::of(Phase::Protocol, "a call that names no tool", step);
        cases.push(case.expecting(Expect::Refused("tools/missing-name")));
    }
    if let Some(tool) = toolbox.callable().next() {
        for arguments in [json!([]), json!("text"), json!(5), json!(true)] {
            let params = json!({ "name": tool.name, "arguments": arguments });
            let step = Step::request("tools/call", Some(&params)).deliberate();
            let case = FuzzCase::of(Phase::Protocol, "arguments that are no object", step);
            cases.push(case.expecting(Expect::Refused("tools/arguments-not-object")));
        }
    }
}

/// Messages that no client may send.
pub(super) fn bytes(revision: Revision) -> Vec<FuzzCase> {
    let stateful = revision.era() == touchstone_core::revision::Era::Stateful;
    let probe = if stateful { "ping" } else { "server/discover" };
    let cases = malformed(probe, "touchstone-odd").into_iter().map(|message| {
        let mut case = FuzzCase::of(Phase::Bytes, message.label, Step::new(What::Raw(message.bytes)));
        case.legal = false;
        message.family.clone_into(&mut case.subject);
        case
    });
    numbered(cases.collect())
}

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
        let mut round = vec![repeated(tool, simplest)];
        round.extend(probes.as_ref().map(|probes| read_only(tool, fullest, probes)));
        for spelling in Spelling::ALL {
            round.extend(spelled(Phase::Metamorphic, tool, fullest, spelling));
        }
        round.push(with_ids(tool, simplest));
        round.extend(reflections(tool, fullest));
        if fullest != simplest {
            for spelling in [Spelling::MemberOrder, Spelling::Escapes] {
                round.extend(spelled(Phase::Metamorphic, tool, simplest, spelling));
            }
        }
        rounds.push(round);
    }
    let mut cases: Vec<FuzzCase> = together(&tools).into_iter().collect();
    let longest = rounds.iter().map(Vec::len).max().unwrap_or(0);
    for index in 0..longest {
        cases.extend(rounds.iter().filter_map(|round| round.get(index).cloned()));
    }
    numbered(cases)
}

fn relation(phase: Phase, tool: &str, kind: RelationKind, label: &str, steps: Vec<Step>) -> FuzzCase {
    let pairs = |pairs: &[(usize, usize)]| pairs.to_vec();
    let (stable, same) = match kind {
        RelationKind::Repeated => (Vec::new(), pairs(&[(0, 1)])),
        RelationKind::Reflected => (Vec::new(), Vec::new()),
        _ => (pairs(&[(0, 2), (1, 3)]), pairs(&[(0, 1)])),
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

/// A call spelled otherwise: twice so, and twice otherwise, in turn.
pub(super) fn spelled(phase: Phase, tool: &Tool, arguments: &Value, spelling: Spelling) -> Option<FuzzCase> {
    let text = spell(arguments, spelling)?;
    let plain = Step::call(&tool.name, arguments);
    let other = Step::call_spelled(&tool.name, &text);
    let steps = vec![plain.clone(), other.clone(), plain, other];
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
        plain.clone(),
        plain.with_id(&unique(2)),
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

/// Where random choices come from.
pub(super) struct Random<'a> {
    pub toolbox: &'a Toolbox,
    pub feedback: &'a Feedback,
    pub seed: u64,
    /// Whether what was new is gone on from.
    pub guided: bool,
    pub revision: Revision,
}

/// Calls in a sequence.
const LONGEST_SEQUENCE: usize = 8;

impl Random<'_> {
    fn dice(&self, phase: Phase, number: u64) -> Dice {
        Dice::new(self.seed, ((phase as u64) << 48) | number)
    }

    /// A sequence of calls that use what earlier ones gave.
    pub(super) fn stateful(&self, number: u64) -> Option<FuzzCase> {
        let dice = &mut self.dice(Phase::Stateful, number);
        let mut case = self.sequence(Phase::Stateful, dice)?;
        case.number = number;
        Some(case)
    }

    /// Anything.
    pub(super) fn any(&self, number: u64) -> Option<FuzzCase> {
        let dice = &mut self.dice(Phase::Random, number);
        let case = match dice.below(100) {
            0..45 => self.arguments(dice),
            45..85 => self.sequence(Phase::Random, dice),
            85..93 => self.disturbed(dice),
            _ => self.respelled(dice),
        };
        let mut case = case.or_else(|| self.disturbed(dice))?;
        case.number = number;
        Some(case)
    }

    fn tool(&self, dice: &mut Dice) -> Option<&Tool> {
        let tools: Vec<&Tool> = self
            .toolbox
            .callable()
            .filter(|tool| tool.generator.is_some())
            .collect();
        // Tools with more to get wrong get more attention.
        let weights: Vec<usize> = tools
            .iter()
            .map(|tool| 2 + (tool.edges.len() + tool.flaws.len()).min(60) / 6)
            .collect();
        let mut roll = dice.below(weights.iter().sum());
        for (tool, weight) in tools.into_iter().zip(weights) {
            if roll < weight {
                return Some(tool);
            }
            roll -= weight;
        }
        None
    }

    /// Valid, nearly valid or changed arguments.
    fn value(&self, tool: &Tool, dice: &mut Dice, wild: bool) -> Option<Value> {
        let edge = |dice: &mut Dice| dice.pick(&tool.edges).map(|edge| edge.value.clone());
        let sample = |dice: &mut Dice| tool.generator.as_ref().and_then(|generator| generator.sample(dice));
        let base = match dice.below(10) {
            0..4 => edge(dice).or_else(|| sample(dice)),
            _ => sample(dice).or_else(|| edge(dice)),
        };
        let mut value = base.filter(Value::is_object).or_else(|| tool.simplest.clone())?;
        if wild && dice.chance(60) {
            for _ in 0..=dice.below(3) {
                let changed = mutate(&value, dice, self.feedback.pool());
                if changed.is_object() {
                    value = changed;
                }
            }
        }
        Some(value)
    }

    fn arguments(&self, dice: &mut Dice) -> Option<FuzzCase> {
        let tool = self.tool(dice)?;
        let value = self.value(tool, dice, true)?;
        let mut case = FuzzCase::of(Phase::Random, "random arguments", Step::call(&tool.name, &value));
        case.expect = Expect::Arguments {
            explicit: false,
            coercible: true,
        };
        case.independent = tool.read_only;
        Some(case)
    }

    /// A call for a sequence; values of earlier answers are used where names suggest it.
    fn step(&self, dice: &mut Dice, before: &[Step]) -> Option<Step> {
        let again = before.last().and_then(Step::called).filter(|_| dice.chance(35));
        let tool = match again.and_then(|(name, _)| self.toolbox.tool(&name)) {
            Some(tool) => tool,
            None => self.tool(dice)?,
        };
        let value = self.value(tool, dice, dice.clone().chance(10))?;
        let mut step = Step::call(&tool.name, &value);
        if !before.is_empty() && dice.chance(40) {
            let scalar = |value: &Value| value.is_string() || value.is_number();
            let names: Vec<&String> = value
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(_, value)| scalar(value))
                .map(|(name, _)| name)
                .collect();
            if let Some(name) = dice.pick(&names) {
                step.binds.push(Bind {
                    step: dice.below(before.len()),
                    from: String::new(),
                    into: format!("/arguments/{}", name.replace('~', "~0").replace('/', "~1")),
                });
            }
        }
        Some(step)
    }

    fn sequence(&self, phase: Phase, dice: &mut Dice) -> Option<FuzzCase> {
        let parent = if self.guided && dice.chance(70) {
            self.feedback.parent(dice)
        } else {
            None
        };
        let mut steps = parent.map(|case| case.steps.clone()).unwrap_or_default();
        if steps.is_empty() {
            for _ in 0..=dice.below(LONGEST_SEQUENCE) {
                let step = self.step(dice, &steps)?;
                steps.push(step);
            }
        } else {
            match dice.below(10) {
                // Mostly one more call: what is new came of the last one.
                0..6 => {
                    let step = self.step(dice, &steps)?;
                    steps.push(step);
                }
                6 | 7 => {
                    let last = steps.len() - 1;
                    let step = self.step(dice, &steps[..last])?;
                    steps[last] = step;
                }
                8 if steps.len() > 1 => {
                    steps.remove(dice.below(steps.len() - 1));
                    steps.iter_mut().for_each(|step| step.binds.clear());
                }
                _ => {
                    let at = dice.below(steps.len());
                    if let Some((name, arguments)) = steps[at].called() {
                        let changed = mutate(&arguments, dice, self.feedback.pool());
                        if changed.is_object() {
                            steps[at] = Step::call(&name, &changed);
                        }
                    }
                }
            }
            steps.truncate(LONGEST_SEQUENCE * 2);
        }
        let mut case = FuzzCase::of(phase, "a sequence of calls", steps[0].clone());
        case.subject = steps.last().map(Step::subject).unwrap_or_default();
        case.steps = steps;
        Some(case)
    }

    fn disturbed(&self, dice: &mut Dice) -> Option<FuzzCase> {
        let stateful = self.revision.era() == touchstone_core::revision::Era::Stateful;
        let all = malformed(if stateful { "ping" } else { "server/discover" }, "touchstone-random");
        let small: Vec<_> = all.into_iter().filter(|message| message.bytes.len() < 4_096).collect();
        let message = dice.pick(&small)?.disturbed(dice);
        let mut case = FuzzCase::of(Phase::Random, message.label, Step::new(What::Raw(message.bytes)));
        case.legal = false;
        message.family.clone_into(&mut case.subject);
        Some(case)
    }

    fn respelled(&self, dice: &mut Dice) -> Option<FuzzCase> {
        let tool = self.tool(dice).filter(|tool| tool.read_only)?;
        let value = self.value(tool, dice, false)?;
        let spelling = *dice.pick(&Spelling::ALL)?;
        spelled(Phase::Random, tool, &value, spelling)
    }
}

fn numbered(mut cases: Vec<FuzzCase>) -> Vec<FuzzCase> {
    for (case, number) in cases.iter_mut().zip(0..) {
        case.number = number;
    }
    cases
}
