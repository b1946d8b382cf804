//! `touchstone list faults`: the misbehaviours of the bundled reference server, and as a matrix where each one shows, what must
//! catch it, and what did.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Value, json};
use touchstone_core::revision::Revision;
use touchstone_reference_server::Fault;
use touchstone_reports::KillMatrix;
use touchstone_reports::kill_matrix::{Outcome, Row};

/// What the kill matrix has written down of one fault over one transport.
#[derive(Debug, Deserialize)]
struct Trial {
    fault: String,
    transport: String,
    found: Vec<String>,
    ok: bool,
}

/// The faults, all of them or those that show in one revision.
fn shown_in(revision: Option<Revision>) -> impl Iterator<Item = &'static Fault> {
    touchstone_reference_server::faults().filter(move |fault| {
        let shows_in = fault.revision.map(|shows_in| shows_in.as_str());
        revision.is_none_or(|wanted| shows_in.is_none_or(|shows_in| shows_in == wanted.as_str()))
    })
}

/// The same as entries of a list.
pub(super) fn entries(revision: Option<Revision>) -> Vec<Value> {
    shown_in(revision)
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

/// Which faults show over which transport, with what must catch them; and what did, where `record` is a file that
/// `cargo test -p touchstone-fixtures --test kill_matrix` has written because `TOUCHSTONE_MATRIX` names it.
///
/// # Errors
/// When the file cannot be read, or holds something else.
pub(crate) fn matrix(revision: Option<Revision>, record: Option<&Path>) -> anyhow::Result<KillMatrix> {
    let tried = record.map(read).transpose()?.unwrap_or_default();
    let mut rows = Vec::new();
    for fault in shown_in(revision) {
        for transport in fault.transports {
            let transport = transport.to_string();
            let trial = tried.get(&(fault.id.to_owned(), transport.clone()));
            rows.push(Row {
                fault: fault.id.to_owned(),
                summary: fault.summary.to_owned(),
                transport,
                revision: fault.revision.map(|revision| revision.as_str().to_owned()),
                caught_by: fault.caught_by.iter().map(ToString::to_string).collect(),
                found: trial.map(|trial| trial.found.clone()).unwrap_or_default(),
                outcome: match trial {
                    None => Outcome::NotTried,
                    Some(trial) if trial.ok => Outcome::AsExpected,
                    Some(_) => Outcome::Otherwise,
                },
            });
        }
    }
    Ok(KillMatrix { rows })
}

/// The last trial of each fault over each transport.
fn read(file: &Path) -> anyhow::Result<BTreeMap<(String, String), Trial>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let mut trials = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let trial: Trial = serde_json::from_str(line)
            .with_context(|| format!("{}:{}: no entry of a kill matrix", file.display(), number + 1))?;
        trials.insert((trial.fault.clone(), trial.transport.clone()), trial);
    }
    Ok(trials)
}
