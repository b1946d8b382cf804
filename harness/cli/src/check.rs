//! `touchstone check`: judges servers and reports.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;
use touchstone_core::baseline::{Applied, Baseline};
use touchstone_core::coverage::Coverage;
use touchstone_core::recording;
use touchstone_core::revision::Era;
use touchstone_core::trace::Trace;
use touchstone_drive::credentials::Credentials;
use touchstone_drive::execute::{Engine, EraReport, Locked, Selection, StartError, TargetRun};
use touchstone_drive::session::ConnectError;
use touchstone_drive::target::Target;
use touchstone_libtest::Bundle;
use touchstone_reports::record::{EraEntry, Failure, RunRecord};
use touchstone_reports::terminal::{Style, render};
use touchstone_reports::{Hints, RecordInput, Start};

use crate::args::CheckPlan;
use crate::progress::Progress;
use crate::{Exit, complain, expectations, invocation, outputs, print};

/// What judging needs beside the plan.
struct Means {
    bundle: Bundle,
    hints: Hints,
    baseline: Option<Baseline>,
}

/// Judges every target of the plan, one after the other; the worst exit wins.
pub(crate) fn run(plan: &CheckPlan) -> anyhow::Result<Exit> {
    let silent = plan.outputs.take_stdout(plan.json.as_deref())?;
    let mut bundle = Bundle::load()?;
    for folder in &plan.folders {
        bundle.add_folder(folder)?;
    }
    let baseline = plan.expected.read(&bundle, plan.targets.len())?;
    let hints = Hints::from_json(touchstone_cases::hints())?;
    let means = Means {
        bundle,
        hints,
        baseline,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    let cancel = CancellationToken::new();
    let mut records = Vec::new();
    let mut exit = Exit::Clean;
    let mut add = |name: Option<&String>, (record, verdict, told): (RunRecord, Exit, String)| {
        if !silent {
            if let Some(name) = name {
                print(&format!("== {} ==\n", touchstone_reports::escape::terminal(name)));
            }
            print(&told);
            print(&render(&record, &style(plan.quiet, plan.verbose)));
        }
        exit = exit.max(verdict);
        records.push((name.cloned(), record));
    };
    if plan.recordings.is_empty() {
        for (name, target) in &plan.targets {
            if cancel.is_cancelled() {
                break;
            }
            let judged = local.block_on(&runtime, judge(plan, &means, target, &cancel))?;
            add(name.as_ref(), judged);
        }
    } else {
        add(None, judge_recordings(plan, &means)?);
    }
    let plain: Vec<&RunRecord> = records.iter().map(|(_, record)| record).collect();
    outputs::write_records(plan.json.as_deref(), &plain)?;
    plan.outputs.write(&records, None)?;
    Ok(if cancel.is_cancelled() { Exit::Interrupted } else { exit })
}

/// Judges one target.
async fn judge(
    plan: &CheckPlan,
    means: &Means,
    target: &Target,
    cancel: &CancellationToken,
) -> anyhow::Result<(RunRecord, Exit, String)> {
    let bundle = &means.bundle;
    let interrupt = tokio::task::spawn_local(interrupts(cancel.clone()));
    let engine = Engine {
        catalog: &bundle.catalog,
        schemas: &bundle.schemas,
        suite: &bundle.suite,
        options: plan.options.clone(),
        coverage: std::cell::OnceCell::new(),
    };
    let (at, began) = (SystemTime::now(), Instant::now());
    let progress = Progress::new(plan.quiet, style(plan.quiet, plan.verbose).width);
    let result = engine.run(target, &|event| progress.show(&event), cancel).await;
    progress.clear();
    interrupt.abort();
    let start = Start {
        target: target.to_string(),
        invocation: invocation::of(target, &plan.options.call, &plan.options.allowed_tools),
        at,
        duration: began.elapsed(),
    };
    Ok(match result {
        Ok(mut run) => {
            if let Some(limit) = run.out_of_time {
                complain(&format!(
                    "the time for the run, {limit:?}, was over before every case was run; --time-limit gives it more"
                ));
            }
            if let Some(folder) = &plan.traces {
                write_traces(folder, &run)?;
            }
            let complete = plan.options.filter.is_all() && !run.interrupted && run.locked.is_none();
            let applied = plan.expected.apply(means.baseline.as_ref(), &mut run.runs, complete)?;
            let review = plan.expected.review(&run.runs, complete)?;
            let input = RecordInput {
                start,
                transport: Some(run.transport),
                sessions: run.sessions,
                interrupted: run.interrupted,
                partition: plan.partition.map(|partition| partition.to_string()),
                failure: run.locked.as_ref().map(locked_out),
                runs: &run.runs,
                baseline: applied.as_ref().map(|applied| applied.entries.as_slice()),
                hints: &means.hints,
            };
            let mut record = RunRecord::build(&bundle.catalog, input);
            record.eras = run.eras.iter().map(era).collect();
            let mut exit = verdict(plan, &record, &run).max(stale(applied.as_ref()));
            if review.as_ref().is_some_and(touchstone_libtest::Review::is_open) {
                exit = exit.max(Exit::Failed);
            }
            (
                record,
                exit,
                review.as_ref().map(expectations::told).unwrap_or_default(),
            )
        }
        Err(error) => {
            let failure = hidden(failure(&error), &plan.options.credentials);
            let failure = hidden(failure, &target.credentials());
            let input = RecordInput {
                partition: plan.partition.map(|partition| partition.to_string()),
                failure: Some(failure),
                ..RecordInput::new(start, &means.hints)
            };
            (
                RunRecord::build(&bundle.catalog, input),
                Exit::CouldNotRun,
                String::new(),
            )
        }
    })
}

/// A baseline that no longer fits fails the run: it would hide the mistake when it comes back.
fn stale(applied: Option<&Applied>) -> Exit {
    if expectations::tell_stale(applied) {
        Exit::Failed
    } else {
        Exit::Clean
    }
}

/// Judges recorded traces, with no server.
fn judge_recordings(plan: &CheckPlan, means: &Means) -> anyhow::Result<(RunRecord, Exit, String)> {
    let (at, began) = (SystemTime::now(), Instant::now());
    let bundle = &means.bundle;
    let traces = plan
        .recordings
        .iter()
        .map(read_trace)
        .collect::<anyhow::Result<Vec<_>>>()?;
    let wanted = match plan.options.selection {
        Selection::Only(revision) => Some(revision),
        Selection::Newest | Selection::All => None,
    };
    let coverage = Coverage::new(&bundle.catalog, &bundle.schemas, &bundle.suite);
    let sessions = traces.len();
    let mut runs = recording::judge(traces, wanted, &bundle.catalog, &bundle.schemas, &coverage)?;
    let applied = plan.expected.apply(means.baseline.as_ref(), &mut runs, false)?;
    let files: Vec<String> = plan.recordings.iter().map(|file| file.display().to_string()).collect();
    let start = Start {
        target: files.join(" "),
        invocation: invocation::of_recordings(&plan.recordings),
        at,
        duration: began.elapsed(),
    };
    let input = RecordInput {
        transport: runs.first().map(|run| run.transport),
        sessions,
        runs: &runs,
        baseline: applied.as_ref().map(|applied| applied.entries.as_slice()),
        ..RecordInput::new(start, &means.hints)
    };
    let record = RunRecord::build(&bundle.catalog, input);
    let exit = weigh(plan, &record);
    Ok((record, exit, String::new()))
}

fn read_trace(path: &PathBuf) -> anyhow::Result<Trace> {
    let file = std::fs::File::open(path).with_context(|| format!("--trace: {} cannot be read", path.display()))?;
    let lines = std::io::BufReader::new(file);
    let mut trace = Trace::read_json_lines(lines).with_context(|| format!("--trace: {}", path.display()))?;
    // Two files may hold traces of the same name, and evidence refers to traces by it.
    trace.name = format!("{} ({})", trace.name, path.display());
    Ok(trace)
}

fn verdict(plan: &CheckPlan, record: &RunRecord, run: &TargetRun) -> Exit {
    if !run.own_mistakes.is_empty() {
        for mistake in run.own_mistakes.iter().take(10) {
            complain(&format!("a mistake of Touchstone itself, not of the server: {mistake}"));
        }
        return Exit::OwnMistake;
    }
    match weigh(plan, record) {
        // Whoever makes a run too long must not pass by it.
        Exit::Clean if run.locked.is_some() || run.out_of_time.is_some() => Exit::CouldNotRun,
        exit => exit,
    }
}

/// What the findings of a record come to.
fn weigh(plan: &CheckPlan, record: &RunRecord) -> Exit {
    let observed = record
        .runs
        .iter()
        .flat_map(|run| &run.requirements)
        .any(|requirement| requirement.observed > 0);
    if plan.gate.failures(&record.summary, plan.strict) > 0 {
        Exit::Failed
    } else if observed {
        Exit::Clean
    } else {
        Exit::CouldNotRun
    }
}

/// What was found out about an era, for the record.
fn era(report: &EraReport) -> EraEntry {
    EraEntry {
        era: match report.era {
            Era::Stateful => "stateful",
            Era::Stateless => "stateless",
        }
        .to_owned(),
        revisions: report.spoken.iter().map(ToString::to_string).collect(),
        how: report.how.clone(),
    }
}

/// Why nothing could be judged, for the record.
pub(crate) fn failure(error: &StartError) -> Failure {
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

/// The failure without secrets that the server has repeated.
pub(crate) fn hidden(mut failure: Failure, credentials: &Credentials) -> Failure {
    let texts = [&mut failure.reason, &mut failure.stderr].into_iter();
    for text in texts.chain(&mut failure.stdout).chain(&mut failure.hint) {
        credentials.hide_in_text(text);
    }
    failure
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
pub(crate) async fn interrupts(cancel: CancellationToken) {
    if tokio::signal::ctrl_c().await.is_ok() {
        cancel.cancel();
    }
    if tokio::signal::ctrl_c().await.is_ok() {
        std::process::exit(i32::from(Exit::Interrupted.code()));
    }
}

/// How the console wants it.
pub(crate) fn style(quiet: bool, verbose: bool) -> Style {
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let width = terminal_size::terminal_size()
        .map_or(100, |(width, _)| usize::from(width.0))
        .clamp(60, 140);
    Style {
        colour,
        width,
        verbose,
        quiet,
    }
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
