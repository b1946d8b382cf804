//! `touchstone list`: what there is, and what judges what.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};
use touchstone_core::monitor;
use touchstone_core::revision::Revision;
use touchstone_libtest::Bundle;

use crate::args::{ListArguments, Listed};
use crate::{Exit, print};

pub(crate) fn run(arguments: &ListArguments) -> anyhow::Result<Exit> {
    let mut bundle = Bundle::load()?;
    for folder in &arguments.folders {
        bundle.add_folder(folder)?;
    }
    let entries = match arguments.what {
        Listed::Cases => cases(&bundle, arguments.revision),
        Listed::Requirements => requirements(&bundle, arguments.revision),
        Listed::Monitors => monitors(),
        Listed::Faults => faults(),
    };
    if arguments.json {
        print(&format!("{}\n", serde_json::to_string_pretty(&entries)?));
        return Ok(Exit::Clean);
    }
    let mut text = String::new();
    for entry in &entries {
        let word = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
        let list = |key: &str| {
            let values = entry
                .get(key)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str);
            values.collect::<Vec<_>>().join(", ")
        };
        let _ = match arguments.what {
            Listed::Cases => writeln!(
                text,
                "{:<44} {}\n{:<44} {}",
                word("id"),
                word("title"),
                "",
                list("requirements")
            ),
            Listed::Requirements => writeln!(text, "{:<52} {:<11} {}", word("id"), word("level"), list("judged_by")),
            Listed::Monitors => writeln!(
                text,
                "{:<12} {}\n{:<12} {}",
                word("name"),
                word("summary"),
                "",
                list("requirements")
            ),
            Listed::Faults => writeln!(
                text,
                "{:<24} {}\n{:<24} over {}; caught by {}",
                word("id"),
                word("summary"),
                "",
                list("transports"),
                list("caught_by")
            ),
        };
    }
    print(&text);
    Ok(Exit::Clean)
}

fn cases(bundle: &Bundle, revision: Option<Revision>) -> Vec<Value> {
    let entry = |id: String, file: &touchstone_core::case::CaseFile, case: &touchstone_core::case::Case| {
        let in_revision = |revision: &Revision| {
            bundle
                .suite
                .of(*revision, &bundle.catalog)
                .any(|(other, ..)| other == id)
        };
        let revisions: Vec<&str> = Revision::ALL
            .iter()
            .filter(|revision| in_revision(revision))
            .map(|revision| revision.as_str())
            .collect();
        json!({ "id": id, "title": case.title, "file": file.path, "needs": case.needs, "requirements": case.requirements(), "revisions": revisions })
    };
    match revision {
        Some(revision) => bundle
            .suite
            .of(revision, &bundle.catalog)
            .map(|(id, file, case)| entry(id, file, case))
            .collect(),
        None => bundle
            .suite
            .cases()
            .map(|(id, file, case)| entry(id, file, case))
            .collect(),
    }
}

fn requirements(bundle: &Bundle, revision: Option<Revision>) -> Vec<Value> {
    let mut judges: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for monitor in monitor::all() {
        for id in monitor.requirements {
            judges
                .entry((*id).to_owned())
                .or_default()
                .push(format!("monitor {}", monitor.name));
        }
    }
    for revision in Revision::STATEFUL {
        for id in bundle.schemas.for_revision(revision).requirements() {
            let judges = judges.entry(id).or_default();
            if !judges.iter().any(|judge| judge == "schemas") {
                judges.push("schemas".to_owned());
            }
        }
    }
    for (case_id, _, case) in bundle.suite.cases() {
        for id in case.requirements() {
            judges.entry(id.to_owned()).or_default().push(format!("case {case_id}"));
        }
    }
    let wanted = |requirement: &&touchstone_core::spec::requirement::Requirement| {
        revision.is_none_or(|revision| requirement.level(revision).is_some())
    };
    bundle
        .catalog
        .iter()
        .filter(wanted)
        .map(|requirement| {
            let levels: BTreeMap<&str, &str> = requirement
                .levels
                .iter()
                .map(|(revision, level)| (revision.0.as_str(), level.as_str()))
                .collect();
            let level = match revision {
                Some(revision) => requirement.level(revision).map(|level| level.as_str()),
                None => levels.values().last().copied(),
            };
            json!({
                "id": requirement.id,
                "level": level,
                "levels": levels,
                "statement": requirement.statement,
                "needs": requirement.needs,
                "judged_by": judges.get(&requirement.id).cloned().unwrap_or_default(),
                "ambiguity": requirement.ambiguity,
            })
        })
        .collect()
}

fn monitors() -> Vec<Value> {
    monitor::all()
        .iter()
        .map(
            |monitor| json!({ "name": monitor.name, "summary": monitor.summary, "requirements": monitor.requirements }),
        )
        .collect()
}

fn faults() -> Vec<Value> {
    touchstone_reference_server::faults()
        .map(|fault| {
            let transports: Vec<String> = fault.transports.iter().map(ToString::to_string).collect();
            json!({ "id": fault.id, "summary": fault.summary, "transports": transports, "caught_by": fault.caught_by })
        })
        .collect()
}
