//! `touchstone check`: judges servers and reports.

use std::cell::Cell;
use std::io::IsTerminal as _;
use std::path::Path;
use std::time::{Instant, SystemTime};

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;
use touchstone_drive::execute::{Engine, Locked, RunEvent, StartError, TargetRun};
use touchstone_drive::session::ConnectError;
use touchstone_drive::target::Target;
use touchstone_libtest::Bundle;
use touchstone_reports::record::{Failure, RunRecord};
use touchstone_reports::terminal::{Style, render};
use touchstone_reports::{RecordInput, Start};

use crate::args::{CheckPlan, Gate};
use crate::{Exit, complain, print};

/// Judges every target of the plan, one after the other; the worst exit wins.
pub(crate) fn run(plan: &CheckPlan) -> anyhow::Result<Exit> {
    let mut bundle = Bundle::load()?;
    for folder in &plan.folders {
        bundle.add_folder(folder)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    let cancel = CancellationToken::new();
    let mut records = Vec::new();
    let mut exit = Exit::Clean;
    for (name, target) in &plan.targets {
        if cancel.is_cancelled() {
            break;
        }
        let (record, verdict) = local.block_on(&runtime, judge(plan, &bundle, target, &cancel))?;
        if let Some(name) = name {
            print(&format!("== {} ==\n", touchstone_reports::escape::terminal(name)));
        }
        if plan.json.as_deref() != Some(Path::new("-")) {
            print(&render(&record, &style(plan)));
        }
        exit = exit.max(verdict);
        records.push(record);
    }
    write_records(plan, &records)?;
    Ok(if cancel.is_cancelled() { Exit::Interrupted } else { exit })
}

/// Judges one target.
async fn judge(
    plan: &CheckPlan,
    bundle: &Bundle,
    target: &Target,
    cancel: &CancellationToken,
) -> anyhow::Result<(RunRecord, Exit)> {
    let interrupt = tokio::task::spawn_local(interrupts(cancel.clone()));
    let engine = Engine {
        catalog: &bundle.catalog,
        schemas: &bundle.schemas,
        suite: &bundle.suite,
        options: plan.options.clone(),
    };
    let (at, began) = (SystemTime::now(), Instant::now());
    let progress = Progress::new(plan);
    let result = engine.run(target, &|event| progress.show(&event), cancel).await;
    progress.clear();
    interrupt.abort();
    let start = Start {
        target: target.to_string(),
        at,
        duration: began.elapsed(),
    };
    Ok(match result {
        Ok(run) => {
            if let Some(limit) = run.out_of_time {
                complain(&format!(
                    "the time for the run, {limit:?}, was over before every case was run; --time-limit gives it more"
                ));
            }
            if let Some(folder) = &plan.traces {
                write_traces(folder, &run)?;
            }
            let input = RecordInput {
                start,
                transport: Some(run.transport),
                sessions: run.sessions,
                interrupted: run.interrupted,
                failure: run.locked.as_ref().map(locked_out),
                runs: &run.runs,
            };
            let record = RunRecord::build(&bundle.catalog, input);
            let exit = verdict(plan, &record, &run);
            (record, exit)
        }
        Err(error) => {
            let mut failure = failure(&error);
            let mut credentials = plan.options.credentials.clone();
            credentials.confidences.extend(target.confidences());
            if let Target::Url(url) = target {
                credentials.valid = url.token().or(credentials.valid);
            }
            let texts = [&mut failure.reason, &mut failure.stderr].into_iter();
            for text in texts.chain(&mut failure.stdout).chain(&mut failure.hint) {
                credentials.hide_in_text(text);
            }
            let input = RecordInput {
                start,
                transport: None,
                sessions: 0,
                interrupted: false,
                failure: Some(failure),
                runs: &[],
            };
            (RunRecord::build(&bundle.catalog, input), Exit::CouldNotRun)
        }
    })
}

fn verdict(plan: &CheckPlan, record: &RunRecord, run: &TargetRun) -> Exit {
    if !run.own_mistakes.is_empty() {
        for mistake in run.own_mistakes.iter().take(10) {
            complain(&format!("a mistake of Touchstone itself, not of the server: {mistake}"));
        }
        return Exit::OwnMistake;
    }
    let (conformance, robustness) = (record.summary.conformance, record.summary.robustness);
    let robust = if plan.gate == Gate::All {
        robustness.fail + if plan.strict { robustness.warn } else { 0 }
    } else {
        0
    };
    let failed = conformance.fail + if plan.strict { conformance.warn } else { 0 } + robust;
    let observed = record
        .runs
        .iter()
        .flat_map(|run| &run.requirements)
        .any(|requirement| requirement.observed > 0);
    if failed > 0 {
        Exit::Failed
    } else if run.locked.is_some() || run.out_of_time.is_some() {
        // Whoever makes a run too long must not pass by it.
        Exit::CouldNotRun
    } else if observed {
        Exit::Clean
    } else {
        Exit::CouldNotRun
    }
}

/// Why nothing could be judged, for the record.
fn failure(error: &StartError) -> Failure {
    match error {
        StartError::Connect(ConnectError::Handshake(handshake)) => Failure {
            reason: handshake.to_string(),
            stderr: handshake.stderr.clone(),
            stdout: handshake.stdout.clone(),
            hint: handshake.hint.clone(),
        },
        other => Failure {
            reason: other.to_string(),
            ..Failure::default()
        },
    }
}

/// Why most of the server was not judged, for the record.
fn locked_out(locked: &Locked) -> Failure {
    Failure {
        reason: locked.reason.clone(),
        hint: Some(locked.hint.clone()),
        ..Failure::default()
    }
}

/// The first Ctrl-C ends the run in order, the second at once.
async fn interrupts(cancel: CancellationToken) {
    if tokio::signal::ctrl_c().await.is_ok() {
        cancel.cancel();
    }
    if tokio::signal::ctrl_c().await.is_ok() {
        std::process::exit(i32::from(Exit::Interrupted.code()));
    }
}

fn style(plan: &CheckPlan) -> Style {
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let width = terminal_size::terminal_size()
        .map_or(100, |(width, _)| usize::from(width.0))
        .clamp(60, 140);
    Style {
        colour,
        width,
        verbose: plan.verbose,
        quiet: plan.quiet,
    }
}

fn write_records(plan: &CheckPlan, records: &[RunRecord]) -> anyhow::Result<()> {
    let Some(path) = &plan.json else { return Ok(()) };
    // Several servers of a configuration make a list.
    let mut text = match records {
        [record] => serde_json::to_string_pretty(record)?,
        several => serde_json::to_string_pretty(several)?,
    };
    text.push('\n');
    if path == Path::new("-") {
        print(&text);
        return Ok(());
    }
    std::fs::write(path, text).with_context(|| format!("the record cannot be written to {}", path.display()))
}

/// One file for each trace, named by its number: names come partly from case files, and must not become paths.
fn write_traces(folder: &Path, run: &TargetRun) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    for revision in &run.runs {
        for trace in &revision.traces {
            let name: String = trace
                .name
                .chars()
                .map(|c| {
                    if c.is_ascii_alphanumeric() || ".-".contains(c) {
                        c
                    } else {
                        '_'
                    }
                })
                .collect();
            let path = folder.join(format!("{name}.trace.jsonl"));
            std::fs::write(&path, trace.to_json_lines()?)
                .with_context(|| format!("{} cannot be written", path.display()))?;
        }
    }
    Ok(())
}

/// A line on a terminal that tells how far the run is.
struct Progress {
    shown: bool,
    cases: Cell<usize>,
    done: Cell<usize>,
}

impl Progress {
    fn new(plan: &CheckPlan) -> Self {
        Self {
            shown: !plan.quiet && std::io::stderr().is_terminal(),
            cases: Cell::new(0),
            done: Cell::new(0),
        }
    }

    #[expect(clippy::print_stderr, reason = "a progress line belongs on stderr")]
    fn show(&self, event: &RunEvent<'_>) {
        match event {
            RunEvent::Revision { cases, .. } => self.cases.set(self.cases.get() + cases),
            RunEvent::Case { .. } => self.done.set(self.done.get() + 1),
        }
        if self.shown {
            eprint!("\r{} of {} cases", self.done.get(), self.cases.get());
        }
    }

    #[expect(clippy::print_stderr, reason = "a progress line belongs on stderr")]
    fn clear(&self) {
        if self.shown {
            eprint!("\r{:40}\r", "");
        }
    }
}
