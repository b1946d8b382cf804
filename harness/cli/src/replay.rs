//! `touchstone replay`: is a finding still there?

use anyhow::{Context as _, bail};
use touchstone_drive::fuzz::{Patience, ReplayVerdict, StoredCase, replay};
use touchstone_libtest::Bundle;
use touchstone_reports::escape::terminal;

use crate::args::targets;
use crate::fuzz_args::{ReplayArguments, connector};
use crate::{Exit, print};

/// Sends a stored finding to a server again. Exits with 0 when it is fixed, with 1 when it is there, always or now and then.
pub(crate) fn run(arguments: ReplayArguments) -> anyhow::Result<Exit> {
    let stored = StoredCase::read(&arguments.file).with_context(|| format!("{}", arguments.file.display()))?;
    let limits = arguments.target.limits()?;
    let folders = arguments.target.scratch()?;
    let mut targets = targets(arguments.target, folders.as_ref())?;
    let Some((_, target)) = targets.pop().filter(|_| targets.is_empty()) else {
        bail!("a finding is sent to one server; name it with --server");
    };
    let bundle = Bundle::load()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    let mut options = connector(arguments.start_timeout, arguments.timeout);
    options.process.limits = limits;
    let patience = Patience {
        answer: arguments.timeout,
        whole: arguments.time_limit,
    };
    let again = replay(&stored, &target, options, patience, &bundle.catalog, &bundle.schemas);
    let replayed = local.block_on(&runtime, again)?;
    print(&format!(
        "{}: {} (seen {} of {} times)\n  {}\n  {}\n",
        replayed.verdict().as_str(),
        terminal(&stored.requirement),
        replayed.seen,
        replayed.attempts,
        terminal(&stored.message),
        terminal(&target.to_string()),
    ));
    Ok(match replayed.verdict() {
        ReplayVerdict::Fixed => Exit::Clean,
        ReplayVerdict::Failed | ReplayVerdict::Flaky => Exit::Failed,
    })
}
