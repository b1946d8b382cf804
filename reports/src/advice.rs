//! What was not exercised, and what the tester can do about it.

use std::collections::BTreeMap;

use touchstone_core::spec::requirement::Requirement;

use crate::record::{Run, RunRecord};

/// How a requirement that was not exercised can be, as an instruction; `None` where nothing can be done from outside.
#[must_use]
pub fn for_requirement(requirement: Option<&Requirement>, reason: Option<&str>) -> Option<String> {
    let reason = reason.unwrap_or_default();
    if reason.starts_with("not judged") || reason.starts_with("no case or monitor") {
        return None;
    }
    if reason.starts_with("blocked") {
        return Some("Repair what is listed as failed first, then run again.".to_owned());
    }
    if reason.starts_with("only a case of Touchstone's own") || reason.starts_with("the recording") {
        return Some(
            "Run `touchstone check` against the server itself: a recording shows only what its client did.".to_owned(),
        );
    }
    if reason.starts_with("interrupted") {
        return Some("Let the run come to its end.".to_owned());
    }
    if reason.contains("no tool may be called") || reason.contains("no such tool may be called") {
        return Some(SAFE_TOOL.to_owned());
    }
    let needs = requirement.map_or(&[][..], |requirement| requirement.needs.as_slice());
    needs.iter().find_map(|need| for_need(need, reason))
}

const SAFE_TOOL: &str = "Let tools be called: annotate those without effects readOnlyHint: true, name some with --allow-tool, or run with --call all.";

fn for_need(need: &str, reason: &str) -> Option<String> {
    let text = match need {
        "has:safe-tool" | "has:required-arg" => SAFE_TOOL,
        "has:output-schema" | "has:structured-content" => "Offer a tool with an outputSchema that may be called.",
        "has:pages" | "has:empty-cursor" => "Offer enough tools, prompts or resources that a list has several pages.",
        "has:listed-resource" | "has:file-resource" | "has:binary-resource" => "List a resource of that kind.",
        "has:listed-prompt" | "has:prompt-arg" | "has:required-prompt-arg" => "List a prompt of that kind.",
        "has:template" => "List a resource template.",
        "has:completable" => "Offer completion for an argument of a prompt or a resource template.",
        "token" => {
            "Pass a token: --header 'Authorization: Bearer ...', or `token` in [authorization] of touchstone.toml."
        }
        "token:expired"
        | "token:low-scope"
        | "token:other-audience"
        | "token:other-issuer"
        | "two-principals"
        | "beyond-low-scope" => {
            "Give tokens of other kinds in [authorization] of touchstone.toml (docs/touchstone.toml shows how)."
        }
        "spawned" => "Let Touchstone start the server itself: touchstone check -- COMMAND.",
        "named-host" => "Reach the server by a host name instead of an address.",
        _ => "",
    };
    if !text.is_empty() {
        return Some(text.to_owned());
    }
    if let Some(kind) = need.strip_prefix("fixture:") {
        let offer = reason
            .split_once('(')
            .and_then(|(_, rest)| rest.split_once(','))
            .map(|(offer, _)| offer)
            .filter(|offer| offer.starts_with("offer "));
        let words = kind.replace('-', " ");
        return Some(match offer {
            Some(offer) => format!(
                "Name what serves as {words} in [fixtures.{kind}] of touchstone.toml, or {offer} (cases/fixtures.yaml says what it does)."
            ),
            None => format!("Name what serves as {words} in [fixtures.{kind}] of touchstone.toml."),
        });
    }
    let found = need.strip_prefix("has:")?;
    Some(format!("Offer something with {}.", found.replace('-', " ")))
}

/// Requirements that were not exercised, with the same reason.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Gap {
    /// Why.
    pub reason: String,
    /// What to do, where something can be done.
    pub advice: Option<String>,
    /// Their ids.
    pub requirements: Vec<String>,
    /// How many of them are MUST or MUST NOT.
    pub musts: usize,
}

/// What was not exercised in any revision, by what can be done about it: first what helps most.
#[must_use]
pub fn gaps(record: &RunRecord) -> Vec<Gap> {
    type Seen<'a> = (bool, Option<(&'a Run, usize)>);
    let mut seen: BTreeMap<&str, Seen<'_>> = BTreeMap::new();
    for run in &record.runs {
        for (at, requirement) in run.requirements.iter().enumerate() {
            let entry = seen.entry(&requirement.id).or_default();
            match requirement.verdict.as_str() {
                "not-exercised" => entry.1 = entry.1.or(Some((run, at))),
                "not-applicable" => {}
                _ => entry.0 = true,
            }
        }
    }
    let mut gaps: BTreeMap<(Option<&str>, &str), Gap> = BTreeMap::new();
    for (id, (exercised, missing)) in seen {
        let (false, Some((run, at))) = (exercised, missing) else {
            continue;
        };
        let requirement = &run.requirements[at];
        let advice = requirement.advice.as_deref();
        let reason = requirement.reason.as_deref().unwrap_or("no reason known");
        // With the same advice, the reasons differ in words only; without, each is worth knowing, but not each one's wording.
        let kind = match advice {
            Some(_) => "",
            None if reason.starts_with("not judged") => "cannot be seen from outside",
            None if reason.starts_with("no case or monitor") => "nothing judges it yet",
            None if reason.ends_with("is declared") => "holds only where the server does not declare the capability",
            None if reason.starts_with("only over") => "holds only over another transport",
            None => reason,
        };
        let gap = gaps.entry((advice, kind)).or_insert_with(|| Gap {
            reason: if advice.is_some() {
                reason.to_owned()
            } else {
                kind.to_owned()
            },
            advice: advice.map(str::to_owned),
            requirements: Vec::new(),
            musts: 0,
        });
        gap.requirements.push(id.to_owned());
        gap.musts += usize::from(requirement.level.starts_with("MUST"));
    }
    let mut gaps: Vec<Gap> = gaps.into_values().collect();
    gaps.sort_by_key(|gap| (gap.advice.is_none(), std::cmp::Reverse(gap.requirements.len())));
    gaps
}
