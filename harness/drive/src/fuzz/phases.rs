//! The cases of the systematic phases: lists, the same every time.

use serde_json::{Value, json};
use touchstone_core::revision::Revision;
use touchstone_core::spec::judge::Judgement;
use touchstone_generate::malformed;

use super::case::{Expect, FuzzCase, Phase, Step, What};
use super::toolbox::{Toolbox, constraint};

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
    let mut together = Vec::new();
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
        together.push(tool.pairs.iter().map(move |value| {
            let label = "valid arguments in which limits of two members meet";
            let mut case = FuzzCase::of(Phase::Coverage, label, Step::call(&tool.name, value));
            case.expect = Expect::Arguments {
                explicit: true,
                coercible: false,
            };
            case.independent = independent;
            case
        }));
    }
    let mut cases = in_turn(rounds);
    cases.extend(in_turn(together));
    cases.extend(odd);
    numbered(cases)
}

/// One of each after the other.
pub(super) fn in_turn(lists: Vec<impl IntoIterator<Item = FuzzCase>>) -> Vec<FuzzCase> {
    let mut lists: Vec<_> = lists.into_iter().map(IntoIterator::into_iter).collect();
    let mut cases = Vec::new();
    loop {
        let before = cases.len();
        cases.extend(lists.iter_mut().filter_map(Iterator::next));
        if cases.len() == before {
            return cases;
        }
    }
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
        let (kind, requirement) = if token.starts_with('"') {
            ("an id that is a text", "base-protocol/string-id-supported")
        } else {
            ("an id that is a number", "base-protocol/integer-id-supported")
        };
        let case = FuzzCase::of(Phase::Protocol, kind, Step::request(probe, None).with_id(token));
        cases.push(case.expecting(Expect::Succeeds(requirement)));
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
        cases.extend(without_arguments(toolbox));
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

/// Calls without `arguments`, of tools that ask for none: as good as empty ones.
fn without_arguments(toolbox: &Toolbox) -> impl Iterator<Item = FuzzCase> {
    let none = json!({});
    let tools = toolbox
        .callable()
        .filter(move |tool| tool.judge(&none) == Some(Judgement::Valid));
    tools.take(8).map(|tool| {
        let step = Step::request("tools/call", Some(&json!({ "name": tool.name })));
        let case = FuzzCase::of(
            Phase::Protocol,
            "a call without arguments of a tool that needs none",
            step,
        );
        case.expecting(Expect::Arguments {
            explicit: true,
            coercible: false,
        })
    })
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

/// The cases with their numbers.
pub(super) fn numbered(mut cases: Vec<FuzzCase>) -> Vec<FuzzCase> {
    for (case, number) in cases.iter_mut().zip(0..) {
        case.number = number;
    }
    cases
}
