//! The command line: words as clap reads them, and the validated plan that the rest of the program works with.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use touchstone_core::revision::Revision;
use touchstone_core::trace::TransportKind;
use touchstone_drive::execute::{CallPolicy, CaseFilter, EngineOptions, Partition, Selection};
use touchstone_drive::process::{GuardProgram, ProcessOptions, ResourceLimits};
use touchstone_drive::session::{ConnectorOptions, SessionLimits};
use touchstone_drive::target::{CommandTarget, Target, UrlTarget};
use touchstone_reports::record::{Severities, Summary};

use crate::config_file;
use crate::expectations::ExpectationArguments;
use crate::fuzz_args::{FuzzArguments, ReplayArguments};
use crate::outputs::OutputArguments;
use crate::record::RecordArguments;
use crate::report::ReportArguments;
use crate::scratch::Scratch;
use crate::settings::Settings;

/// Conformance tests for MCP servers.
#[derive(Debug, Parser)]
#[command(
    name = "touchstone",
    version,
    about,
    after_help = "Exit codes: 0 nothing failed, 1 something failed, 2 could not run, 3 a bug in Touchstone, 130 interrupted"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Judge a server; without a target, the bundled reference server
    Check(Box<CheckArguments>),
    /// Find the message that breaks a server, make it small, and keep it; without a target, of the bundled reference server
    Fuzz(Box<FuzzArguments>),
    /// Send a finding of `fuzz` again: fixed, failed or flaky
    Replay(Box<ReplayArguments>),
    /// Render records again: as pages, merged, side by side
    Report(ReportArguments),
    /// Stand between a client and a server over stdio, and record the session as a trace
    Record(RecordArguments),
    /// List cases, requirements, monitors or faults
    List(ListArguments),
    /// Run the bundled reference server
    Serve(ServeArguments),
}

#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    #[command(flatten)]
    target: TargetArguments,

    /// Which revisions to judge: a date, `newest` (of each era that the server speaks) or `all`
    #[arg(long, default_value = "newest", value_name = "R|newest|all")]
    revision: String,

    /// Run only cases whose id matches; `*` stands for anything
    #[arg(long = "case", value_name = "GLOB")]
    cases: Vec<String>,

    /// A folder with case files of your own, run together with the built-in ones
    #[arg(long = "cases", value_name = "DIR")]
    folders: Vec<PathBuf>,

    /// Which tools are called with valid arguments
    #[arg(long, value_enum, default_value_t = Call::ReadOnly)]
    call: Call,

    /// Call this tool with valid arguments, whatever its annotations say
    #[arg(long, value_name = "NAME")]
    allow_tool: Vec<String>,

    /// Examples, tokens and fixtures of the server; without it `touchstone.toml`, where there is one
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,

    /// Exit with 1 for warnings too
    #[arg(long)]
    strict: bool,

    /// Which score decides the exit code
    #[arg(long, value_enum, default_value_t = Gate::All)]
    gate: Gate,

    /// Write the run record as JSON; `-` for stdout
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    #[command(flatten)]
    outputs: OutputArguments,

    #[command(flatten)]
    expected: ExpectationArguments,

    /// Write every trace into this folder, as JSON Lines
    #[arg(long, value_name = "DIR")]
    traces: Option<PathBuf>,

    /// Judge recorded traces instead of a server
    #[arg(long = "trace", value_name = "FILE", conflicts_with_all = ["url", "config", "server_command"])]
    recordings: Vec<PathBuf>,

    /// Run only a part of the cases; `touchstone report` merges the records of all parts
    #[arg(long, value_name = "I/N")]
    partition: Option<Partition>,

    /// Cases that run at the same time; 0 for as many as there are processors, and at least four
    #[arg(long, default_value_t = 0, value_name = "N")]
    jobs: usize,

    /// How long to wait for the first answer of a fresh server: seconds, or a time such as 500ms or 2m
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = time)]
    start_timeout: Duration,

    /// How long to wait for any other answer
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = time)]
    timeout: Duration,

    /// Longest time for one server; what is not done by then is not exercised
    #[arg(long, default_value = "10m", value_name = "TIME", value_parser = time)]
    time_limit: Duration,

    /// Print only the verdict
    #[arg(short, long)]
    quiet: bool,

    /// Print information and what was not exercised as well
    #[arg(short, long, conflicts_with = "quiet")]
    verbose: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TargetArguments {
    /// The server's URL
    #[arg(long, conflicts_with_all = ["config", "server_command"])]
    url: Option<String>,

    /// An HTTP header for every request, `Name: value`; the value is kept secret
    #[arg(long = "header", value_name = "NAME: VALUE", requires = "url")]
    headers: Vec<String>,

    /// Use this transport instead of finding out
    #[arg(long, value_name = "streamable-http|http-sse|stdio")]
    transport: Option<TransportKind>,

    /// A client configuration: `mcpServers` (Claude Desktop, Cursor) or `servers` (VS Code)
    #[arg(long, value_name = "FILE", conflicts_with = "server_command")]
    config: Option<PathBuf>,

    /// Only this server of the configuration
    #[arg(long, value_name = "NAME", requires = "config")]
    server: Option<String>,

    /// A variable for the server's environment, `NAME=VALUE`; the value is kept secret
    #[arg(long = "env", value_name = "NAME=VALUE")]
    environment: Vec<String>,

    /// The server's working directory
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,

    /// Start the server with an almost empty environment, as desktop clients do
    #[arg(long)]
    clean_env: bool,

    /// Give the server an empty home, temporary folder and, without --cwd, working directory of its own, removed afterwards
    #[arg(long)]
    isolate: bool,

    /// Most memory for each process of the server, for example 2GB (Linux)
    #[arg(long, value_name = "SIZE", value_parser = size)]
    limit_memory: Option<u64>,

    /// Largest file that the server may write (Linux)
    #[arg(long, value_name = "SIZE", value_parser = size)]
    limit_file_size: Option<u64>,

    /// Most open files for each process of the server (Linux)
    #[arg(long, value_name = "N")]
    limit_open_files: Option<u64>,

    /// Most processes that the server may have at the same time, counting all that it starts; beyond that all are killed (Linux)
    #[arg(long, value_name = "N")]
    limit_processes: Option<u64>,

    /// The command that starts the server, over stdio
    #[arg(last = true, value_name = "COMMAND")]
    server_command: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Call {
    /// Those annotated readOnlyHint: true
    ReadOnly,
    /// All
    All,
    /// None
    None,
}

impl From<Call> for CallPolicy {
    fn from(call: Call) -> Self {
        match call {
            Call::ReadOnly => Self::ReadOnly,
            Call::All => Self::All,
            Call::None => Self::None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Gate {
    /// Conformance and robustness
    All,
    /// Conformance alone
    Conformance,
}

impl Gate {
    /// How many findings fail the run.
    pub(crate) fn failures(self, summary: &Summary, strict: bool) -> u64 {
        let weight = |findings: Severities| findings.fail + if strict { findings.warn } else { 0 };
        let robustness = match self {
            Self::All => weight(summary.robustness),
            Self::Conformance => 0,
        };
        weight(summary.conformance) + robustness
    }
}

#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// What to list
    #[arg(value_enum)]
    pub what: Listed,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Only what exists in this revision
    #[arg(long, value_name = "R")]
    pub revision: Option<Revision>,

    /// A folder with case files of your own, listed together with the built-in ones
    #[arg(long = "cases", value_name = "DIR")]
    pub folders: Vec<PathBuf>,

    /// Only requirements that nothing judges, with the reason
    #[arg(long)]
    pub uncovered: bool,

    /// Only requirements of this area, for example `tools`
    #[arg(long, value_name = "AREA")]
    pub area: Option<String>,

    /// Only requirements of this tier: A, B (no fixture needed), C (fixture or credentials), D (permissions, untestable)
    #[arg(long, value_enum, ignore_case = true, value_name = "A|B|C|D")]
    pub tier: Option<TierName>,

    /// Faults only: one row for each fault and transport, with what must catch it
    #[arg(long)]
    pub matrix: bool,

    /// Faults only: a file that the kill matrix has written, to tell what did catch each one
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "UPPER")]
pub(crate) enum TierName {
    A,
    B,
    C,
    D,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Listed {
    /// Cases and the requirements that they are tied to
    Cases,
    /// Requirements and what judges them
    Requirements,
    /// Monitors and what they judge
    Monitors,
    /// Faults of the reference server and what must catch them
    Faults,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// The transport
    #[arg(long, default_value = "stdio", value_name = "stdio|streamable-http|http-sse")]
    pub transport: String,

    /// A revision to speak; all of them when none is given
    #[arg(long = "revision", value_name = "R")]
    pub revisions: Vec<String>,

    /// A fault to misbehave with (see `touchstone list faults`)
    #[arg(long = "fault", value_name = "ID")]
    pub faults: Vec<String>,

    /// How many items a page of a list has
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub page_size: usize,

    /// The port to listen on; 0 for any
    #[arg(long, default_value_t = 0)]
    pub port: u16,

    /// In which form requests are answered (streamable-http only)
    #[arg(long, default_value = "fitting", value_name = "fitting|json|events")]
    pub answers: String,

    /// Give no session ids and remember nothing between two requests (streamable-http only)
    #[arg(long)]
    pub stateless: bool,

    /// Demand an OAuth token of every request (streamable-http only)
    #[arg(long)]
    pub authorization: bool,

    /// Write tokens of every kind into this file, for `touchstone check --settings FILE`; implies --authorization
    #[arg(long, value_name = "FILE")]
    pub tokens: Option<PathBuf>,
}

/// A validated `check`.
pub(crate) struct CheckPlan {
    /// The servers, with the name that a configuration gives them.
    pub targets: Vec<(Option<String>, Target)>,
    /// What the engine is to do.
    pub options: EngineOptions,
    /// Folders of isolated servers, which end with the plan.
    _scratch: Option<Scratch>,
    /// Folders of the user's own cases.
    pub folders: Vec<PathBuf>,
    /// Whether warnings fail the run.
    pub strict: bool,
    /// Which score decides.
    pub gate: Gate,
    /// Where the record goes.
    pub json: Option<PathBuf>,
    /// Where reports go.
    pub outputs: OutputArguments,
    /// What the run is held against.
    pub expected: ExpectationArguments,
    /// Where traces go.
    pub traces: Option<PathBuf>,
    /// Traces to judge instead of a server.
    pub recordings: Vec<PathBuf>,
    /// Which part of the cases runs.
    pub partition: Option<Partition>,
    /// How much is printed.
    pub quiet: bool,
    /// How much is printed.
    pub verbose: bool,
}

impl TryFrom<CheckArguments> for CheckPlan {
    type Error = anyhow::Error;

    fn try_from(arguments: CheckArguments) -> anyhow::Result<Self> {
        let selection = match arguments.revision.as_str() {
            "newest" => Selection::Newest,
            "all" => Selection::All,
            date => {
                let revision: Revision = date
                    .parse()
                    .map_err(|error| anyhow!("--revision: {error}, and the words newest and all"))?;
                Selection::Only(revision)
            }
        };
        let mut session = SessionLimits {
            start: arguments.start_timeout,
            request: arguments.timeout,
            ..SessionLimits::default()
        };
        if arguments.expected.snapshots.is_some() {
            session = session.repeatable();
        }
        let process = ProcessOptions {
            guard: GuardProgram::CurrentExecutable,
            limits: arguments.target.limits()?,
            ..ProcessOptions::default()
        };
        let mut settings = Settings::find(arguments.settings.as_deref())?;
        let scratch = arguments.target.scratch()?;
        let mut targets = targets(arguments.target, scratch.as_ref())?;
        settings.authorize(&mut targets)?;
        let allowed = arguments.allow_tool.into_iter().chain(settings.allowed_tools);
        let options = EngineOptions {
            selection,
            filter: CaseFilter::new(arguments.cases).part(arguments.partition),
            call: arguments.call.into(),
            allowed_tools: allowed.collect::<BTreeSet<_>>(),
            fixtures: settings.fixtures,
            jobs: arguments.jobs,
            time_limit: Some(arguments.time_limit),
            connector: ConnectorOptions {
                session,
                process,
                ..ConnectorOptions::default()
            },
            credentials: settings.credentials,
            examples: settings.examples,
        };
        Ok(Self {
            targets,
            options,
            _scratch: scratch,
            folders: arguments.folders,
            strict: arguments.strict,
            gate: arguments.gate,
            json: arguments.json,
            outputs: arguments.outputs,
            expected: arguments.expected,
            traces: arguments.traces,
            recordings: arguments.recordings,
            partition: arguments.partition,
            quiet: arguments.quiet,
            verbose: arguments.verbose,
        })
    }
}

impl TargetArguments {
    /// What the server may take of the machine.
    pub(crate) fn limits(&self) -> anyhow::Result<ResourceLimits> {
        let limits = ResourceLimits {
            memory: self.limit_memory,
            file_size: self.limit_file_size,
            open_files: self.limit_open_files,
            processes: self.limit_processes,
        };
        if self.url.is_some() && !limits.is_none() {
            bail!("--limit-... options are for a server that Touchstone starts, not for a URL");
        }
        limits.check().map_err(|error| anyhow!("--limit-...: {error}"))?;
        Ok(limits)
    }

    /// Folders of its own for the server, when it is to have some.
    pub(crate) fn scratch(&self) -> anyhow::Result<Option<Scratch>> {
        if self.isolate && self.url.is_some() {
            bail!("--isolate is for a server that Touchstone starts, not for a URL");
        }
        self.isolate.then(Scratch::new).transpose()
    }
}

pub(crate) fn targets(
    arguments: TargetArguments,
    scratch: Option<&Scratch>,
) -> anyhow::Result<Vec<(Option<String>, Target)>> {
    let environment = arguments
        .environment
        .iter()
        .map(|pair| variable(pair))
        .collect::<anyhow::Result<Vec<_>>>()?;
    if let Some(url) = arguments.url {
        let url: url::Url = url
            .parse()
            .with_context(|| format!("--url {url:?} is no URL, for example http://localhost:8000/mcp"))?;
        if !matches!(url.scheme(), "http" | "https") {
            bail!("--url {url}: only http and https can be used");
        }
        if !environment.is_empty() || arguments.cwd.is_some() || arguments.clean_env {
            bail!("--env, --cwd and --clean-env are for a server that Touchstone starts, not for a URL");
        }
        let headers = arguments
            .headers
            .iter()
            .map(|header| field(header))
            .collect::<anyhow::Result<Vec<_>>>()?;
        return Ok(vec![(
            None,
            Target::Url(UrlTarget {
                url,
                headers,
                transport: arguments.transport,
            }),
        )]);
    }
    let adjust = |command: &mut CommandTarget| {
        command.clean_environment |= arguments.clean_env;
        if let Some(directory) = &arguments.cwd {
            command.directory = Some(directory.clone());
        }
        if let Some(scratch) = scratch {
            scratch.isolate(command);
        }
        command.environment.extend(environment.iter().cloned());
    };
    if let Some(file) = &arguments.config {
        let mut servers = config_file::read(file, arguments.server.as_deref())?;
        for (_, target) in &mut servers {
            match target {
                Target::Command(command) => adjust(command),
                Target::Url(url) => url.transport = arguments.transport.or(url.transport),
            }
        }
        return Ok(servers.into_iter().map(|(name, target)| (Some(name), target)).collect());
    }
    if arguments.transport.is_some_and(TransportKind::is_http) {
        bail!(
            "--transport {} needs a --url",
            arguments.transport.map_or("", TransportKind::as_str)
        );
    }
    let mut words = arguments.server_command.into_iter();
    let mut command = match words.next() {
        Some(program) => CommandTarget::new(program, words),
        None => {
            let this = std::env::current_exe()
                .context("the path of this program is unknown, so the bundled server cannot be started")?;
            CommandTarget::new(this, ["serve".into()])
        }
    };
    adjust(&mut command);
    Ok(vec![(None, Target::Command(command))])
}

/// Reads a number of seconds, or a time with its unit; never zero, which would wait for nothing.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let parsed = match text.parse() {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => humantime::parse_duration(text),
    };
    match parsed {
        Ok(time) if !time.is_zero() => Ok(time),
        Ok(_) => Err("must be more than zero".to_owned()),
        Err(error) => Err(format!("{error}; write 30, 30s, 500ms or 2m")),
    }
}

/// Reads a number of bytes, or a size with its unit.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let factor = match text[digits.len()..]
        .to_ascii_lowercase()
        .trim_end_matches("ib")
        .trim_end_matches('b')
    {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        unit => return Err(format!("{unit:?} is no unit; write 500MB, 2GB or a number of bytes")),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "write 500MB, 2GB or a number of bytes".to_owned())?;
    number
        .checked_mul(factor)
        .ok_or_else(|| "that is more than can be counted".to_owned())
}

fn variable(pair: &str) -> anyhow::Result<(String, String)> {
    match pair.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        // The text may be a secret that somebody forgot to name.
        _ => bail!("--env wants NAME=VALUE"),
    }
}

fn field(header: &str) -> anyhow::Result<(String, String)> {
    match header.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.trim().to_owned())),
        _ => bail!("--header wants \"Name: value\""),
    }
}
