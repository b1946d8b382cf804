//! What a run is held against: a baseline of known mistakes, and snapshots of how the server behaves.

use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Context as _, anyhow};
use clap::Args;
use touchstone_core::baseline::{self, Applied, Baseline};
use touchstone_core::verdict::RevisionRun;
use touchstone_libtest::{Bundle, Review, Snapshots};

use crate::{complain, outputs};

/// What a run is held against.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Expectations")]
pub(crate) struct ExpectationArguments {
    /// Mistakes that are known and excused, each with a reason; entries that are stale, misspelt or expired are errors
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,

    /// Write a baseline that excuses what is broken now; entries of --baseline that still hold are kept
    #[arg(long, value_name = "FILE")]
    pub write_baseline: Option<PathBuf>,

    /// Compare how the server behaves in every case with the snapshots in this folder; INSTA_UPDATE says what happens to what is new
    #[arg(long, value_name = "DIR")]
    pub snapshots: Option<PathBuf>,

    /// Leave the values of these members out of snapshots: a name, or the end of a dotted path
    #[arg(long, value_name = "NAME", requires = "snapshots")]
    pub snapshot_redact: Vec<String>,
}

/// Today in UTC, `YYYY-MM-DD`.
fn today() -> String {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    now.chars().take(10).collect()
}

impl ExpectationArguments {
    /// Reads the baseline, if there is one.
    ///
    /// # Errors
    /// When it cannot be read, or an entry is wrong: all of them, each with its place.
    pub(crate) fn read(&self, bundle: &Bundle, targets: usize) -> anyhow::Result<Option<Baseline>> {
        if targets > 1 && (self.baseline.is_some() || self.write_baseline.is_some()) {
            return Err(anyhow!(
                "a baseline is about one server, and the configuration has {targets}: choose one with --server"
            ));
        }
        let Some(path) = &self.baseline else { return Ok(None) };
        let text =
            std::fs::read_to_string(path).with_context(|| format!("--baseline: {} cannot be read", path.display()))?;
        let file = path.display().to_string();
        match Baseline::read(&file, &text, &bundle.catalog, &bundle.suite, &today()) {
            Ok(baseline) => Ok(Some(baseline)),
            Err(problems) => {
                let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                Err(anyhow!("{}", problems.join("\nerror: ")))
            }
        }
    }

    /// Excuses what the baseline names, and writes the new one.
    pub(crate) fn apply(
        &self,
        baseline: Option<&Baseline>,
        runs: &mut [RevisionRun],
        complete: bool,
    ) -> anyhow::Result<Option<Applied>> {
        let applied = baseline.map(|baseline| baseline.apply(runs, complete));
        if let Some(path) = &self.write_baseline {
            let text = baseline::write(runs, baseline, &today());
            outputs::write(path, &text)?;
        }
        Ok(applied)
    }
}

impl ExpectationArguments {
    /// Compares the server's behaviour with its snapshots.
    pub(crate) fn review(&self, runs: &[RevisionRun], complete: bool) -> anyhow::Result<Option<Review>> {
        let Some(folder) = &self.snapshots else { return Ok(None) };
        let environment = |name: &str| std::env::var(name).ok();
        let snapshots = Snapshots::new(folder.clone(), self.snapshot_redact.clone(), environment)
            .map_err(|problem| anyhow!("{problem}"))?;
        let review = snapshots
            .review(runs, complete)
            .with_context(|| format!("--snapshots: {}", folder.display()))?;
        Ok(Some(review))
    }
}

/// What the comparison with the snapshots came to, for the console.
pub(crate) fn told(review: &Review) -> String {
    const MOST: usize = 12;
    let shown = touchstone_reports::escape::terminal;
    let mut text = String::new();
    for (name, lines) in review.different.iter().take(MOST) {
        text.push_str(&format!("changed: {name}\n"));
        for line in lines.lines() {
            text.push_str(&format!("    {}\n", shown(&touchstone_reports::escape::cut(line, 160))));
        }
    }
    if review.different.len() > MOST {
        text.push_str(&format!("and {} more that changed\n", review.different.len() - MOST));
    }
    for name in review.unreferenced.iter().take(MOST) {
        text.push_str(&format!("no case behaves like this any more: {name}\n"));
    }
    text.push_str(&format!(
        "Snapshots: {} the same, {} written, {} changed, {} new",
        review.same,
        review.written,
        review.different.len(),
        review.missing.len()
    ));
    if review.is_open() {
        text.push_str(". Look at them with `cargo insta review`, or run with INSTA_UPDATE=always to accept them all");
    }
    text.push_str(".\n");
    text
}

/// Tells which entries have to go. Those that `--write-baseline` has dropped already are told as well.
pub(crate) fn tell_stale(applied: Option<&Applied>) -> bool {
    let stale = applied.map_or(&[][..], |applied| applied.stale.as_slice());
    for problem in stale {
        complain(&problem.to_string());
    }
    !stale.is_empty()
}
