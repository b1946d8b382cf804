//! Campaigns as trials: `fuzz::TOOL`, one for each tool that may be called.
//!
//! Which tools there are only the server knows. It is asked when the filter asks for such trials (`cargo test fuzz`), and never just to list cases.

use std::collections::BTreeSet;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use tokio_util::sync::CancellationToken;
use touchstone_core::spec::requirement::Severity;
use touchstone_drive::execute::CallPolicy;
use touchstone_drive::fuzz::{Budget, Campaign, CampaignOptions, Phase};
use touchstone_drive::process::{GuardProgram, ProcessOptions};
use touchstone_drive::session::ConnectorOptions;
use touchstone_drive::target::Target;

use crate::Bundle;

/// What begins the names of these trials.
const PREFIX: &str = "fuzz";
/// Calls of one trial.
const CALLS: u64 = 400;

/// What all of them share.
struct Shared {
    bundle: Bundle,
    target: Target,
    strict: bool,
    call_all: bool,
}

/// One trial for each tool, when the command line asks for any; the reason when the server does not say which there are.
pub(crate) fn make(
    bundle: Bundle,
    target: Target,
    strict: bool,
    call_all: bool,
    arguments: &Arguments,
) -> Result<Vec<Trial>, String> {
    let wanted = arguments
        .filter
        .as_ref()
        .is_some_and(|filter| filter.starts_with(PREFIX));
    if !wanted {
        return Ok(Vec::new());
    }
    let shared = Arc::new(Shared {
        bundle,
        target,
        strict,
        call_all,
    });
    let campaign = shared.campaign(Vec::new());
    let tools = block_on(campaign.tools(&shared.target))?.map_err(|error| error.to_string())?;
    let trial = |tool: String| {
        let shared = Arc::clone(&shared);
        Trial::test(format!("{PREFIX}::{tool}"), move || shared.judge(&tool))
    };
    Ok(tools.into_iter().map(trial).collect())
}

/// Runs something on a runtime of its own.
fn block_on<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    Ok(tokio::task::LocalSet::new().block_on(&runtime, work))
}

impl Shared {
    fn campaign(&self, tools: Vec<String>) -> Campaign<'_> {
        let process = ProcessOptions {
            guard: GuardProgram::CurrentExecutable,
            ..ProcessOptions::default()
        };
        Campaign {
            catalog: &self.bundle.catalog,
            schemas: Arc::clone(&self.bundle.schemas),
            options: CampaignOptions {
                budget: Budget {
                    time: None,
                    count: Some(CALLS),
                },
                seed: 1,
                phases: BTreeSet::from([Phase::Examples, Phase::Coverage, Phase::Metamorphic, Phase::Random]),
                tools,
                call: if self.call_all {
                    CallPolicy::All
                } else {
                    CallPolicy::ReadOnly
                },
                connector: ConnectorOptions {
                    process,
                    ..ConnectorOptions::default()
                },
                ..CampaignOptions::default()
            },
        }
    }

    fn judge(&self, tool: &str) -> Result<(), Failed> {
        let campaign = self.campaign(vec![tool.to_owned()]);
        let run = block_on(campaign.run(&self.target, &|_| {}, &CancellationToken::new()))??;
        if let Some(mistake) = run.own_mistakes.first() {
            return Err(format!(
                "Touchstone made a mistake of its own, which says nothing about the server: {mistake}"
            )
            .into());
        }
        let weighs = |severity: Severity| severity == Severity::Fail || (self.strict && severity == Severity::Warn);
        let mut lines = Vec::new();
        for finding in run.run.findings.iter().filter(|finding| weighs(finding.severity)) {
            let message = touchstone_reports::escape::terminal(&finding.message);
            lines.push(format!("{} ({}): {message}", finding.requirement, finding.level));
            let reproduction = run
                .reproductions
                .iter()
                .find(|found| found.signature == finding.signature);
            if let Some(reproduction) = reproduction {
                lines.push(format!("  {}", reproduction.reproduced.describe()));
                for step in reproduction.cases.iter().flat_map(|case| &case.steps).take(8) {
                    let step = touchstone_reports::escape::cut(&format!("{:?}", step.what), 400);
                    lines.push(format!("  > {}", touchstone_reports::escape::terminal(&step)));
                }
            }
        }
        if lines.is_empty() {
            Ok(())
        } else {
            Err(lines.join("\n").into())
        }
    }
}
