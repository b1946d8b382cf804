//! `touchstone list faults`: the misbehaviours of the bundled reference server, and as a matrix where each one shows, what must
//! catch it, and what did.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};
use touchstone_core::revision::Revision;

/// What the kill matrix has written down, by fault and transport.
type Record = BTreeMap<(String, String), Value>;

/// The faults, all of them or those that show in one revision.
pub(super) fn entries(revision: Option<Revision>) -> Vec<Value> {
    touchstone_reference_server::faults()
        .filter(|fault| {
            let shows_in = fault.revision.map(|shows_in| shows_in.as_str());
            revision.is_none_or(|wanted| shows_in.is_none_or(|shows_in| shows_in == wanted.as_str()))
        })
        .map(|fault| {
            let transports: Vec<String> = fault.transports.iter().map(ToString::to_string).collect();
            json!({
                "id": fault.id,
                "summary": fault.summary,
                "transports": transports,
                "revision": fault.revision.map(|revision| revision.as_str()),
                "serve_with": fault.serve_with,
                "caught_by": fault.caught_by,
            })
        })
        .collect()
}

/// Reads what `cargo test -p touchstone-fixtures --test kill_matrix` has written into the file that `TOUCHSTONE_MATRIX` names.
pub(super) fn record(file: &Path) -> anyhow::Result<Record> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let mut record = Record::new();
    for (number, line) in text.lines().enumerate() {
        let entry: Value = serde_json::from_str(line)
            .with_context(|| format!("{}, line {}: no entry of a matrix", file.display(), number + 1))?;
        let key = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        record.insert((key("fault"), key("transport")), entry);
    }
    Ok(record)
}

/// One row for each fault and transport, and below them how many were caught.
pub(super) fn matrix(entries: &[Value], record: Option<&Record>) -> String {
    let mut text = String::new();
    let (mut rows, mut caught) = (0, 0);
    let _ = writeln!(
        text,
        "{:<34} {:<16} {:<11} {:<9} EXPECTED",
        "FAULT", "TRANSPORT", "REVISION", "CAUGHT"
    );
    for entry in entries {
        let id = entry["id"].as_str().unwrap_or_default();
        let expected = super::words(entry, "caught_by");
        let transports = entry["transports"].as_array().into_iter().flatten();
        for transport in transports.filter_map(Value::as_str) {
            let found = record.and_then(|record| record.get(&(id.to_owned(), transport.to_owned())));
            let verdict = match found {
                None => "-",
                Some(found) if found["ok"] == true => "yes",
                Some(_) => "NO",
            };
            rows += 1;
            caught += usize::from(verdict == "yes");
            let by = found
                .map(|found| super::words(found, "found"))
                .filter(|by| !by.is_empty());
            let expected = match (expected.is_empty(), by) {
                (true, _) => "nothing: it is correct".to_owned(),
                (false, Some(by)) => format!("{expected}; found: {by}"),
                (false, None) => expected.clone(),
            };
            let revision = entry["revision"].as_str().unwrap_or("any");
            let _ = writeln!(text, "{id:<34} {transport:<16} {revision:<11} {verdict:<9} {expected}");
        }
    }
    let _ = match record {
        None => writeln!(text, "\n{} faults, {rows} rows", entries.len()),
        Some(_) => writeln!(text, "\n{} faults, {caught} of {rows} rows as expected", entries.len()),
    };
    text
}
