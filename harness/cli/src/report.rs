//! `touchstone report`: renders records again, merges the shards of a run, puts several side by side.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use serde_json::Value;
use touchstone_reports::record::FORMAT;
use touchstone_reports::terminal::render;
use touchstone_reports::{RunRecord, compare, merge};

use crate::check::style;
use crate::list::faults;
use crate::outputs::OutputArguments;
use crate::{Exit, outputs, print};

#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    /// Records that `--json` wrote; `LABEL=FILE` names one in a comparison
    #[arg(required = true, value_name = "[LABEL=]FILE")]
    records: Vec<String>,

    /// Write the record, or the records after merging, as JSON; `-` for stdout
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Show in the HTML report what the suite was seen to catch: a file that the kill matrix has written
    #[arg(long, value_name = "FILE", requires = "html")]
    matrix: Option<PathBuf>,

    #[command(flatten)]
    outputs: OutputArguments,

    /// Print only the verdict
    #[arg(short, long)]
    quiet: bool,

    /// Print information and what was not exercised as well
    #[arg(short, long, conflicts_with = "quiet")]
    verbose: bool,
}

pub(crate) fn run(arguments: ReportArguments) -> anyhow::Result<Exit> {
    let silent = arguments.outputs.take_stdout(arguments.json.as_deref())?;
    let proof = arguments.matrix.as_deref().map(|file| faults::matrix(None, Some(file)));
    let proof = proof.transpose()?;
    let mut records: Vec<(Option<String>, RunRecord)> = Vec::new();
    for argument in &arguments.records {
        let (label, path) = label_and_path(argument);
        records.extend(read(path)?.into_iter().map(|record| (label.clone(), record)));
    }
    let mut records = merge::merge(records)?;
    let plain: Vec<&RunRecord> = records.iter().map(|(_, record)| record).collect();
    outputs::write_records(arguments.json.as_deref(), &plain)?;
    if !silent {
        match records.as_slice() {
            [(_, record)] => print(&render(record, &style(arguments.quiet, arguments.verbose))),
            _ => print(&compare::render(&compare::compare(&mut records))),
        }
    }
    arguments.outputs.write(&records, proof.as_ref())?;
    Ok(Exit::Clean)
}

/// `LABEL=FILE`, unless there is a file of that whole name.
fn label_and_path(argument: &str) -> (Option<String>, &Path) {
    match argument.split_once('=') {
        Some((label, path)) if !label.is_empty() && !Path::new(argument).exists() => {
            (Some(label.to_owned()), Path::new(path))
        }
        _ => (None, Path::new(argument)),
    }
}

/// Largest record that is read.
const LARGEST: u64 = 256 * 1024 * 1024;

/// The record of a file, or the list of them that several servers of a configuration make.
fn read(path: &Path) -> anyhow::Result<Vec<RunRecord>> {
    let shown = path.display();
    let file = std::fs::File::open(path).with_context(|| format!("{shown} cannot be read"))?;
    let mut text = String::new();
    let read = file.take(LARGEST + 1).read_to_string(&mut text);
    read.with_context(|| format!("{shown} cannot be read"))?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > LARGEST {
        bail!(
            "{shown} is larger than the {LARGEST} bytes that are read; traces and reports are capped, so that no run writes so much"
        );
    }
    let value: Value = serde_json::from_str(&text).with_context(|| format!("{shown} is no JSON"))?;
    let records = match value {
        Value::Array(records) => records,
        record => vec![record],
    };
    if records.is_empty() {
        bail!("{shown} holds no record");
    }
    records
        .into_iter()
        .map(|value| match value.get("format").and_then(Value::as_u64) {
            Some(format) if format == u64::from(FORMAT) => serde_json::from_value(value)
                .map_err(|error| anyhow!("{shown} is not a record that this version can read: {error}")),
            Some(format) => bail!("{shown} has format {format}; this version reads format {FORMAT}"),
            None => bail!("{shown} is no record: `touchstone check --json FILE` writes them"),
        })
        .collect()
}
