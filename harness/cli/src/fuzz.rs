//! `touchstone fuzz`: runs campaigns and reports.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;
use touchstone_core::trace::TransportKind;
use touchstone_drive::fuzz::{
    Campaign, CampaignRun, Reproduced, Reproduction, StoredCase, What, case_yaml, curl, shell,
};
use touchstone_drive::target::Target;
use touchstone_libtest::Bundle;
use touchstone_reports::campaign::{CampaignEntry, ReproductionEntry};
use touchstone_reports::escape::{cut, terminal};
use touchstone_reports::record::{FindingEntry, RunRecord};
use touchstone_reports::terminal::finding_block;
use touchstone_reports::{Hints, RecordInput, Start};

use crate::check::{failure, hidden, interrupts, style};
use crate::fuzz_args::FuzzPlan;
use crate::progress::CampaignProgress;
use crate::{Exit, complain, invocation, outputs, print};

/// Runs a campaign against every target of the plan; the worst exit wins.
pub(crate) fn run(plan: &FuzzPlan) -> anyhow::Result<Exit> {
    let bundle = Bundle::load()?;
    let hints = Hints::from_json(touchstone_cases::hints())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    let cancel = CancellationToken::new();
    let mut records = Vec::new();
    let mut exit = Exit::Clean;
    for (name, target) in &plan.targets {
        if cancel.is_cancelled() {
            break;
        }
        let (record, verdict) = local.block_on(&runtime, campaign(plan, &bundle, &hints, target, &cancel))?;
        if !plan.json.as_deref().is_some_and(outputs::is_stdout) {
            if let Some(name) = name {
                print(&format!("== {} ==\n", terminal(name)));
            }
            print(&render(plan, &record));
        }
        exit = exit.max(verdict);
        records.push(record);
    }
    outputs::write_records(plan.json.as_deref(), &records.iter().collect::<Vec<_>>())?;
    Ok(if cancel.is_cancelled() { Exit::Interrupted } else { exit })
}

async fn campaign(
    plan: &FuzzPlan,
    bundle: &Bundle,
    hints: &Hints,
    target: &Target,
    cancel: &CancellationToken,
) -> anyhow::Result<(RunRecord, Exit)> {
    let interrupt = tokio::task::spawn_local(interrupts(cancel.clone()));
    let campaign = Campaign {
        catalog: &bundle.catalog,
        schemas: Arc::clone(&bundle.schemas),
        options: plan.options.clone(),
    };
    let (at, began) = (SystemTime::now(), Instant::now());
    let progress = CampaignProgress::new(plan.quiet, style(plan.quiet, plan.verbose).width);
    let result = campaign.run(target, &|event| progress.show(&event), cancel).await;
    progress.clear();
    interrupt.abort();
    let start = Start {
        target: target.to_string(),
        invocation: invocation::of(target, &plan.options.call, &plan.options.allowed_tools),
        at,
        duration: began.elapsed(),
    };
    let run = match result {
        Ok(run) => run,
        Err(error) => {
            let input = RecordInput {
                failure: Some(hidden(failure(&error), &target.credentials())),
                partition: plan.options.partition.map(|partition| partition.to_string()),
                ..RecordInput::new(start, hints)
            };
            return Ok((RunRecord::build(&bundle.catalog, input), Exit::CouldNotRun));
        }
    };
    let runs = std::slice::from_ref(&run.run);
    let input = RecordInput {
        transport: Some(run.transport),
        sessions: run.sessions,
        interrupted: run.interrupted,
        partition: plan.options.partition.map(|partition| partition.to_string()),
        runs,
        ..RecordInput::new(start, hints)
    };
    let mut record = RunRecord::build(&bundle.catalog, input);
    record.campaign = Some(numbers(&run));
    for finding in &mut record.findings {
        let found = run
            .reproductions
            .iter()
            .find(|found| found.signature == finding.signature);
        finding.reproduce = format!("touchstone fuzz --seed {} {}", plan.options.seed, record.invocation);
        finding.reproduction = found.map(|found| reproduction(found, target, &run));
    }
    if let Some(folder) = &plan.export {
        export(folder, &record.findings)?;
    }
    let exit = verdict(plan, &record, &run);
    Ok((record, exit))
}

fn verdict(plan: &FuzzPlan, record: &RunRecord, run: &CampaignRun) -> Exit {
    if let Some(mistake) = run.own_mistakes.first() {
        complain(&format!(
            "Touchstone sent something that it should not have sent: {mistake}"
        ));
        return Exit::OwnMistake;
    }
    if plan.gate.failures(&record.summary, plan.strict) > 0 {
        Exit::Failed
    } else if run.sums.calls == 0 {
        Exit::CouldNotRun
    } else {
        Exit::Clean
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn numbers(run: &CampaignRun) -> CampaignEntry {
    let sums = &run.sums;
    let seconds = sums.calling.as_secs_f64().max(1e-9);
    CampaignEntry {
        seed: sums.seed,
        calls: sums.calls,
        calls_per_second: (sums.calls as f64 / seconds * 10.0).round() / 10.0,
        phases: sums
            .phases
            .iter()
            .map(|(phase, cases)| ((*phase).to_owned(), *cases))
            .collect(),
        restarts: sums.restarts,
        spawns: sums.spawns,
        covered: sums.covered,
        constraints: sums.constraints,
        shapes: sums.shapes,
        uncalled: sums.uncalled,
        parked: sums.parked.clone(),
        regressions: sums
            .regressions
            .iter()
            .map(|(file, verdict)| (file.clone(), (*verdict).to_owned()))
            .collect(),
        digest: format!("{:016x}", sums.digest),
        ended: run.ended.clone(),
    }
}

fn reproduction(found: &Reproduction, target: &Target, run: &CampaignRun) -> ReproductionEntry {
    let revision = run.run.revision;
    let steps = found.cases.iter().flat_map(|case| &case.steps);
    let messages = steps.map(|step| match &step.what {
        What::Request { method, params, .. } => format!("{method} {}", params.as_deref().unwrap_or_default()),
        What::Notify { method, params } => format!("{method} {}", params.as_deref().unwrap_or_default()),
        What::Http(message) => {
            let fields = message.headers.iter().map(|(name, value)| match value {
                Some(value) => format!(" {name}: {value};"),
                None => format!(" no {name};"),
            });
            let body = String::from_utf8_lossy(message.body.as_deref().unwrap_or_default()).into_owned();
            let target = message.target.as_ref().map(|target| format!(" {target};"));
            let target = target.unwrap_or_default();
            format!("HTTP {}{target}{} {body}", message.method, fields.collect::<String>())
        }
        What::Raw(bytes) => String::from_utf8_lossy(&bytes[..bytes.len().min(4_000)]).into_owned(),
    });
    ReproductionEntry {
        first_call: found.first.calls,
        first_ms: u64::try_from(found.first.after.as_millis()).unwrap_or(u64::MAX),
        calls_before: found.calls_before,
        reproduced: match &found.reproduced {
            Reproduced::Always(_) => "always",
            Reproduced::Sometimes(..) => "flaky",
            Reproduced::Never(_) => "not-reproduced",
            Reproduced::NotTried(_) => "not-tried",
        }
        .to_owned(),
        description: found.reproduced.describe(),
        spawns: found.spawns,
        messages: messages.map(|message| cut(message.trim_end(), 4_000)).collect(),
        shell: match target {
            Target::Command(_) => shell(found, &target.to_string(), revision),
            Target::Url(_) if run.transport == TransportKind::StreamableHttp => {
                curl(found, &target.to_string(), revision)
            }
            Target::Url(_) => None,
        },
        case_yaml: case_yaml(found),
        replay: StoredCase::of(found, revision).to_lines(),
    }
}

/// One case file for each finding that can be put as a case, named by its signature.
fn export(folder: &Path, findings: &[FindingEntry]) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    for finding in findings {
        let Some(yaml) = finding
            .reproduction
            .as_ref()
            .and_then(|reproduction| reproduction.case_yaml.as_ref())
        else {
            continue;
        };
        let plain = |character: char| {
            if character.is_ascii_alphanumeric() {
                character
            } else {
                '-'
            }
        };
        let stem: String = finding.signature.chars().map(plain).collect();
        let path = folder.join(format!("{stem}.yaml"));
        std::fs::write(&path, yaml).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

/// The report of a campaign, for a terminal.
fn render(plan: &FuzzPlan, record: &RunRecord) -> String {
    let mut out = String::new();
    let Some(campaign) = &record.campaign else {
        return touchstone_reports::terminal::render(record, &style(plan.quiet, plan.verbose));
    };
    if !plan.quiet {
        let style = style(plan.quiet, plan.verbose);
        heading(&mut out, record);
        for finding in record
            .findings
            .iter()
            .filter(|finding| plan.verbose || finding.severity != "info")
        {
            finding_block(&mut out, finding, &style);
        }
        body(&mut out, campaign);
    }
    let (conformance, robustness) = (record.summary.conformance, record.summary.robustness);
    let word = if conformance.fail + robustness.fail > 0 {
        "FAILED"
    } else {
        "OK"
    };
    let _ = writeln!(
        out,
        "{word}: {} failed, {} warned (robustness: {} failed, {} warned), {} informed; seed {}",
        conformance.fail,
        conformance.warn,
        robustness.fail,
        robustness.warn,
        conformance.info + robustness.info,
        campaign.seed,
    );
    out
}

fn heading(out: &mut String, record: &RunRecord) {
    let word = |name: &str| {
        record
            .server
            .get(name)
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
    };
    let revision = record.runs.first().map(|run| run.revision.as_str()).unwrap_or_default();
    let _ = writeln!(out, "{}", terminal(&record.target));
    let _ = writeln!(
        out,
        "  {} {} over {}, revision {revision}\n",
        terminal(word("name")),
        terminal(word("version")),
        record.transport.as_deref().unwrap_or_default(),
    );
}

fn body(out: &mut String, campaign: &CampaignEntry) {
    let phases: Vec<String> = campaign
        .phases
        .iter()
        .map(|(phase, cases)| format!("{phase} {cases}"))
        .collect();
    let _ = writeln!(
        out,
        "{} calls, {:.0} calls/s; {} of {} constraints covered; {} shapes of answers; cases: {}",
        campaign.calls,
        campaign.calls_per_second,
        campaign.covered,
        campaign.constraints,
        campaign.shapes,
        phases.join(", ")
    );
    if campaign.restarts > 0 || campaign.spawns > 0 {
        let _ = writeln!(
            out,
            "the server was started again {} times, and {} times to make findings small",
            campaign.restarts, campaign.spawns
        );
    }
    for (subject, cases) in &campaign.parked {
        let _ = writeln!(
            out,
            "{} keeps ending the server: {cases} cases were left out",
            terminal(subject)
        );
    }
    for (file, verdict) in &campaign.regressions {
        let _ = writeln!(out, "{verdict}: {}", terminal(file));
    }
    if campaign.uncalled > 0 {
        let _ = writeln!(
            out,
            "{} tools were not called: not named with --tool, not allowed (see --call and --allow-tool), or only to be run as tasks",
            campaign.uncalled
        );
    }
    if let Some(ended) = &campaign.ended {
        let _ = writeln!(out, "ended early: {}", terminal(ended));
    }
    out.push('\n');
}
