//! The reports that `check` and `report` write: which, and where to.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use touchstone_reports::{KillMatrix, RunRecord, annotations, badge, html, junit, markdown, sarif};

use crate::print;

/// Where reports go; `-` is stdout.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Reports")]
pub(crate) struct OutputArguments {
    /// Write a report as one HTML file, which needs nothing else
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// Write JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,

    /// Write Markdown, for the summary of a CI job
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,

    /// Write SARIF 2.1.0, for code scanning
    #[arg(long, value_name = "FILE")]
    pub sarif: Option<PathBuf>,

    /// Write a badge as SVG
    #[arg(long, value_name = "FILE")]
    pub badge: Option<PathBuf>,

    /// Write annotations for GitHub Actions; with `-` they follow the summary
    #[arg(long, value_name = "FILE")]
    pub annotations: Option<PathBuf>,
}

/// Whether a path stands for stdout.
pub(crate) fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

impl OutputArguments {
    /// Whether one of the files is stdout, so that nothing else may be printed there. Annotations may stand among other lines.
    ///
    /// # Errors
    /// When several want stdout.
    pub(crate) fn take_stdout(&self, json: Option<&Path>) -> anyhow::Result<bool> {
        let files = [&self.html, &self.junit, &self.markdown, &self.sarif, &self.badge];
        let wanted = files.into_iter().flatten().map(PathBuf::as_path).chain(json);
        match wanted.filter(|path| is_stdout(path)).count() {
            0 => Ok(false),
            1 => Ok(true),
            _ => bail!("only one report can go to stdout"),
        }
    }

    /// Writes what was asked for. Each record may have a label; the HTML report can show the kill matrix as well.
    pub(crate) fn write(
        &self,
        records: &[(Option<String>, RunRecord)],
        proof: Option<&KillMatrix>,
    ) -> anyhow::Result<()> {
        let plain = || -> Vec<RunRecord> { records.iter().map(|(_, record)| record.clone()).collect() };
        if let Some(path) = &self.html {
            write(path, &html::render(records.to_vec(), proof))?;
        }
        if let Some(path) = &self.junit {
            write(path, &junit::render(&plain())?)?;
        }
        if let Some(path) = &self.markdown {
            write(path, &markdown::render(&plain()))?;
        }
        if let Some(path) = &self.sarif {
            let mut text = serde_json::to_string_pretty(&sarif::render(&plain()))?;
            text.push('\n');
            write(path, &text)?;
        }
        if let Some(path) = &self.badge {
            match records {
                [(_, record)] => write(path, &badge::render(record))?,
                _ => bail!("--badge is about one server; there are {}", records.len()),
            }
        }
        if let Some(path) = &self.annotations {
            write(path, &annotations::render(&plain()))?;
        }
        Ok(())
    }
}

/// Writes records as JSON, where that is asked for. Several servers of a configuration make a list.
pub(crate) fn write_records(path: Option<&Path>, records: &[&RunRecord]) -> anyhow::Result<()> {
    let Some(path) = path else { return Ok(()) };
    let mut text = match records {
        [record] => serde_json::to_string_pretty(record)?,
        several => serde_json::to_string_pretty(several)?,
    };
    text.push('\n');
    write(path, &text)
}

/// Writes a file, or prints it.
pub(crate) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    if is_stdout(path) {
        print(text);
        return Ok(());
    }
    std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}
