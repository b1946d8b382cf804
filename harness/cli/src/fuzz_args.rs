//! The words of `touchstone fuzz` and `touchstone replay`, and the plans made of them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::Args;
use touchstone_core::revision::Revision;
use touchstone_drive::execute::Partition;
use touchstone_drive::fuzz::{Budget, CampaignOptions, Phase};
use touchstone_drive::process::{GuardProgram, ProcessOptions};
use touchstone_drive::session::{ConnectorOptions, SessionLimits};
use touchstone_drive::target::Target;

use crate::args::{Call, Gate, TargetArguments, targets, time};
use crate::scratch::Scratch;
use crate::settings::Settings;

#[derive(Debug, Args)]
pub(crate) struct FuzzArguments {
    #[command(flatten)]
    target: TargetArguments,

    /// Go on for so long: seconds, or a time such as 90s or 30m; 60s when neither this nor --count is given
    #[arg(long, value_name = "TIME", value_parser = time)]
    time: Option<Duration>,

    /// Send so many calls
    #[arg(long, value_name = "N")]
    count: Option<u64>,

    /// Begin random choices with this number; the same one sends the same calls
    #[arg(long, value_name = "S")]
    seed: Option<u64>,

    /// Only this phase: regressions, examples, coverage, protocol, bytes, metamorphic, http, growth, stateful or random
    #[arg(long = "phase", value_name = "PHASE")]
    phases: Vec<Phase>,

    /// Only this tool
    #[arg(long = "tool", value_name = "NAME")]
    tools: Vec<String>,

    /// Which tools are called
    #[arg(long, value_enum, default_value_t = Call::ReadOnly)]
    call: Call,

    /// Call this tool, whatever its annotations say
    #[arg(long, value_name = "NAME")]
    allow_tool: Vec<String>,

    /// Examples, tokens and allowed tools; without it `touchstone.toml`, where there is one
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,

    /// The revision to speak; the newest that the server offers when none is given
    #[arg(long, value_name = "R")]
    revision: Option<Revision>,

    /// Keep findings in this folder, and send those of before first
    #[arg(long, value_name = "DIR")]
    corpus: Option<PathBuf>,

    /// Send only a part of the cases, each of which has a number; `touchstone report` merges the records of all parts. Give every part the same seed
    #[arg(long, value_name = "I/N", requires = "seed")]
    partition: Option<Partition>,

    /// Write every finding into this folder as a case for `check --cases`
    #[arg(long, value_name = "DIR")]
    export: Option<PathBuf>,

    /// Write the run record as JSON; `-` for stdout
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Start so many servers at most to make one finding small; 0 leaves findings as they are
    #[arg(long, default_value_t = 80, value_name = "N")]
    shrink: usize,

    /// Do not let answers decide what is sent next
    #[arg(long)]
    no_feedback: bool,

    /// Exit with 1 for warnings too
    #[arg(long)]
    strict: bool,

    /// Which score decides the exit code
    #[arg(long, value_enum, default_value_t = Gate::All)]
    gate: Gate,

    /// How long to wait for the first answer of a fresh server
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = time)]
    start_timeout: Duration,

    /// How long to wait for any other answer
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = time)]
    timeout: Duration,

    /// Print only the verdict
    #[arg(short, long)]
    quiet: bool,

    /// Print information as well
    #[arg(short, long, conflicts_with = "quiet")]
    verbose: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArguments {
    /// A file that `touchstone fuzz --corpus` wrote
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    #[command(flatten)]
    pub target: TargetArguments,

    /// How long to wait for the first answer of a fresh server
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = time)]
    pub start_timeout: Duration,

    /// How long to wait for any other answer
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = time)]
    pub timeout: Duration,

    /// How long all attempts may take together; a server that keeps busy for longer gets no verdict
    #[arg(long, default_value = "2m", value_name = "TIME", value_parser = time)]
    pub time_limit: Duration,
}

/// A validated `fuzz`.
pub(crate) struct FuzzPlan {
    /// Folders of isolated servers, which end with the plan.
    _folders: Option<Scratch>,
    /// The servers, with the name that a configuration gives them.
    pub targets: Vec<(Option<String>, Target)>,
    /// What the campaign is to do.
    pub options: CampaignOptions,
    /// Where cases go.
    pub export: Option<PathBuf>,
    /// Where the record goes.
    pub json: Option<PathBuf>,
    /// Whether warnings fail the run.
    pub strict: bool,
    /// Which score decides.
    pub gate: Gate,
    /// How much is printed.
    pub quiet: bool,
    /// How much is printed.
    pub verbose: bool,
}

/// How long a campaign takes when nobody says.
const USUAL: Duration = Duration::from_secs(60);

/// How connections are made.
pub(crate) fn connector(start: Duration, request: Duration) -> ConnectorOptions {
    ConnectorOptions {
        session: SessionLimits {
            start,
            request,
            ..SessionLimits::default()
        },
        process: ProcessOptions {
            guard: GuardProgram::CurrentExecutable,
            ..ProcessOptions::default()
        },
        // Traces of campaigns are judged window by window, and not kept.
        run_bytes: usize::MAX,
        ..ConnectorOptions::default()
    }
}

impl TryFrom<FuzzArguments> for FuzzPlan {
    type Error = anyhow::Error;

    fn try_from(arguments: FuzzArguments) -> anyhow::Result<Self> {
        let mut settings = Settings::find(arguments.settings.as_deref())?;
        let limits = arguments.target.limits()?;
        let folders = arguments.target.scratch()?;
        let mut targets = targets(arguments.target, folders.as_ref())?;
        settings.authorize(&mut targets)?;
        let time = match (arguments.time, arguments.count) {
            (None, None) => Some(USUAL),
            (time, _) => time,
        };
        let from_clock = || {
            let now = SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default();
            now.as_secs() ^ u64::from(now.subsec_nanos())
        };
        let phases: BTreeSet<Phase> = if arguments.phases.is_empty() {
            Phase::ALL.into_iter().collect()
        } else {
            arguments.phases.into_iter().collect()
        };
        let allowed = arguments.allow_tool.into_iter().chain(settings.allowed_tools);
        let mut connector = connector(arguments.start_timeout, arguments.timeout);
        connector.secrets = settings.credentials.secrets();
        connector.process.limits = limits;
        let options = CampaignOptions {
            budget: Budget {
                time,
                count: arguments.count,
            },
            seed: arguments.seed.unwrap_or_else(from_clock),
            phases,
            tools: arguments.tools,
            call: arguments.call.into(),
            allowed_tools: allowed.collect(),
            examples: settings.examples,
            revision: arguments.revision,
            connector,
            corpus: arguments.corpus,
            partition: arguments.partition,
            guided: !arguments.no_feedback,
            within: arguments.timeout,
            spawns: arguments.shrink,
        };
        Ok(Self {
            _folders: folders,
            targets,
            options,
            export: arguments.export,
            json: arguments.json,
            strict: arguments.strict,
            gate: arguments.gate,
            quiet: arguments.quiet,
            verbose: arguments.verbose,
        })
    }
}
