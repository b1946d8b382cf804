//! `touchstone list`: what there is, and what judges what.

pub(crate) mod faults;
mod requirements;

use std::fmt::Write as _;

use anyhow::bail;
use serde_json::{Value, json};
use touchstone_core::coverage::Coverage;
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
    if arguments.what != Listed::Faults && (arguments.matrix || arguments.record.is_some()) {
        bail!("--matrix and --record are for `touchstone list faults`");
    }
    if arguments.what != Listed::Requirements
        && (arguments.uncovered || arguments.area.is_some() || arguments.tier.is_some())
    {
        bail!("--uncovered, --area and --tier are for `touchstone list requirements`");
    }
    let (entries, text) = match arguments.what {
        Listed::Requirements => {
            let coverage = Coverage::new(&bundle.catalog, &bundle.schemas, &bundle.suite);
            let rows = requirements::rows(&bundle, &coverage, arguments)?;
            (
                rows.iter().map(requirements::entry).collect(),
                requirements::text(&rows),
            )
        }
        Listed::Cases => two_lines(cases(&bundle, arguments.revision), 44, "id", "title", |entry| {
            words(entry, "requirements")
        }),
        Listed::Monitors => two_lines(monitors(), 12, "name", "summary", |entry| words(entry, "requirements")),
        Listed::Faults if arguments.matrix || arguments.record.is_some() => {
            let matrix = faults::matrix(arguments.revision, arguments.record.as_deref())?;
            let rows = matrix.rows.iter().map(serde_json::to_value);
            (rows.collect::<Result<_, _>>()?, matrix.to_text())
        }
        Listed::Faults => two_lines(faults::entries(arguments.revision), 24, "id", "summary", |entry| {
            let revision = entry.get("revision").and_then(Value::as_str);
            format!(
                "over {}{}; caught by {}",
                words(entry, "transports"),
                revision.map_or_else(String::new, |revision| format!(", in {revision}")),
                words(entry, "caught_by")
            )
        }),
    };
    if arguments.json {
        print(&format!("{}\n", serde_json::to_string_pretty(&entries)?));
    } else {
        print(&text);
    }
    Ok(Exit::Clean)
}

/// Entries, and as text two lines for each: its name and what it is, and below that what belongs to it.
fn two_lines(
    entries: Vec<Value>,
    width: usize,
    name: &str,
    about: &str,
    below: impl Fn(&Value) -> String,
) -> (Vec<Value>, String) {
    let mut text = String::new();
    for entry in &entries {
        let word = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
        let _ = writeln!(
            text,
            "{:<width$} {}\n{:<width$} {}",
            word(name),
            word(about),
            "",
            below(entry)
        );
    }
    (entries, text)
}

/// The texts in a list of an entry, with commas.
fn words(entry: &Value, key: &str) -> String {
    let values = entry.get(key).and_then(Value::as_array).into_iter().flatten();
    values.filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
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

fn monitors() -> Vec<Value> {
    monitor::all()
        .iter()
        .map(
            |monitor| json!({ "name": monitor.name, "summary": monitor.summary, "requirements": monitor.requirements }),
        )
        .collect()
}
