//! SARIF 2.1.0, for code scanning: a rule for each requirement that was broken, a result for each finding.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::escape::cut;
use crate::headline;
use crate::record::{FindingEntry, RunRecord};

/// The log of all records: a run for each.
#[must_use]
pub fn render(records: &[RunRecord]) -> Value {
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": records.iter().map(run).collect::<Vec<_>>(),
    })
}

fn run(record: &RunRecord) -> Value {
    let mut rules: BTreeMap<&str, &FindingEntry> = BTreeMap::new();
    for finding in &record.findings {
        rules.entry(&finding.requirement).or_insert(finding);
    }
    let index: BTreeMap<&str, usize> = rules.keys().enumerate().map(|(at, id)| (*id, at)).collect();
    let location = location(&record.target);
    let mut invocation = json!({
        "executionSuccessful": record.failure.is_none() && !record.interrupted,
        "startTimeUtc": record.started,
    });
    if let Some(failure) = &record.failure {
        invocation["toolExecutionNotifications"] =
            json!([{ "level": "error", "message": { "text": shown(&failure.reason) } }]);
    }
    let mut category = headline::server(record);
    if let Some(transport) = &record.transport {
        category = format!("{category}/{transport}");
    }
    json!({
        "tool": { "driver": {
            "name": "Touchstone",
            "informationUri": env!("CARGO_PKG_REPOSITORY"),
            "version": record.tool.version,
            "semanticVersion": record.tool.version,
            "rules": rules.values().map(|finding| rule(finding)).collect::<Vec<_>>(),
        }},
        "automationDetails": { "id": format!("touchstone/{}/", shown(&category).replace('/', "-")) },
        "invocations": [invocation],
        "columnKind": "unicodeCodePoints",
        "results": record.findings.iter().map(|finding| result(finding, &index, &location)).collect::<Vec<_>>(),
        "properties": {
            "target": shown(&record.target),
            "verdict": headline::of(record).sentence,
            "revisions": record.runs.iter().map(|run| run.revision.as_str()).collect::<Vec<_>>(),
        },
    })
}

fn rule(finding: &FindingEntry) -> Value {
    let mut rule = json!({
        "id": finding.requirement,
        "name": finding.requirement.replace(['/', '-'], "_"),
        "shortDescription": { "text": cut(&finding.statement, 250) },
        "fullDescription": { "text": format!("{} ({})", finding.statement, finding.level) },
        "help": { "text": format!("{}\n\n{}", finding.statement, finding.hint.as_deref().unwrap_or("See the specification.")) },
        "defaultConfiguration": { "level": level(&finding.severity) },
        "properties": { "tags": ["mcp", finding.requirement.split('/').next().unwrap_or_default(), finding.score] },
    });
    if let Some(link) = finding.links.iter().find(|link| link.starts_with("https://")) {
        rule["helpUri"] = json!(link);
    }
    rule
}

fn result(finding: &FindingEntry, index: &BTreeMap<&str, usize>, location: &str) -> Value {
    let mut text = shown(&cut(&finding.message, 1_000));
    for excerpt in finding.evidence.iter().take(4) {
        text.push_str(&format!("\n{}: {}", excerpt.what, shown(&cut(&excerpt.text, 800))));
    }
    if let Some(also) = finding.also_breaks() {
        text.push_str(&format!("\n{}", shown(&also)));
    }
    text.push_str(&format!("\nAgain: {}", shown(&finding.reproduce)));
    let mut result = json!({
        "ruleId": finding.requirement,
        "ruleIndex": index.get(finding.requirement.as_str()),
        "level": level(&finding.severity),
        "kind": "fail",
        "message": { "text": text },
        "locations": [{
            "physicalLocation": { "artifactLocation": { "uri": location }, "region": { "startLine": 1 } },
            "logicalLocations": [{ "fullyQualifiedName": finding.case.as_deref().unwrap_or("outside of cases"), "kind": "member" }],
        }],
        "partialFingerprints": { "touchstone/v1": finding.signature },
        "occurrenceCount": finding.occurrences.max(1),
        "properties": { "level": finding.level, "score": finding.score, "revisions": finding.revisions },
    });
    if finding.severity == "info" {
        // Worth knowing, and never a failure.
        result["kind"] = json!("review");
        result["level"] = json!("none");
    }
    if let Some(excuse) = &finding.excused {
        result["suppressions"] = json!([{ "kind": "external", "justification": shown(&excuse.reason) }]);
    }
    result
}

fn level(severity: &str) -> &'static str {
    match severity {
        "fail" => "error",
        "warn" => "warning",
        _ => "note",
    }
}

/// The file that the server most likely is, as far as the command tells: code scanning wants one for each result.
fn location(target: &str) -> String {
    const ENDINGS: [&str; 12] = [
        ".py", ".mjs", ".cjs", ".js", ".mts", ".ts", ".rs", ".go", ".jar", ".rb", ".php", ".dll",
    ];
    let name = |character: char| character.is_ascii_alphanumeric() || "._-/".contains(character);
    target
        .split_whitespace()
        .map(|word| word.trim_start_matches("./"))
        .find(|word| {
            ENDINGS.iter().any(|ending| word.ends_with(ending))
                && !word.starts_with(['/', '-'])
                && !word.contains("..")
                && word.chars().all(name)
        })
        .unwrap_or("mcp-server")
        .to_owned()
}

fn shown(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(crate::escape::terminal).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata;

    #[test]
    fn findings_become_results_with_rules() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&render(&[testdata::hostile()])).unwrap());
    }

    #[test]
    fn the_place_is_the_servers_file_and_never_an_absolute_path() {
        assert_eq!(location("python servers/guide.py --fast"), "servers/guide.py");
        assert_eq!(location("node ./a.mjs"), "a.mjs");
        assert_eq!(location("/opt/x/run.py"), "mcp-server");
        assert_eq!(location("python ../x.py"), "mcp-server");
        assert_eq!(location("http://localhost:8000/mcp"), "mcp-server");
    }
}
