//! The conformance cases as `cargo test` trials, through libtest-mimic.
//!
//! A crate embeds them with one line in a test target of its own with `harness = false` (see `examples/embedded.rs`):
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     touchstone_libtest::run(touchstone_libtest::Defaults::command("my-server", ["--stdio"]))
//! }
//! ```
//!
//! Trials are named `area::case::revision`; with a filter that begins with `fuzz`, also `fuzz::tool`, a short campaign against one tool. Listing
//! needs no server. All selected cases share one run, which the first trial starts; under nextest every trial is a process and a run of its own.

mod bundle;
mod campaigns;
mod snapshots;
mod trials;

pub use bundle::{Bundle, BundleError, CheckError};
pub use snapshots::{Compared, Review, Snapshots};

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use touchstone_drive::target::{CommandTarget, Target, UrlTarget};

/// The server to test when the caller names none.
#[derive(Debug, Clone, Default)]
pub struct Defaults {
    command: Option<(OsString, Vec<OsString>)>,
}

impl Defaults {
    /// A command that speaks MCP over stdio.
    #[must_use]
    pub fn command<T: Into<OsString>>(program: impl Into<OsString>, arguments: impl IntoIterator<Item = T>) -> Self {
        Self {
            command: Some((program.into(), arguments.into_iter().map(Into::into).collect())),
        }
    }
}

/// MCP conformance cases as tests.
#[derive(Debug, Parser)]
#[command(name = "conformance", about = "MCP conformance cases as tests")]
struct ConformanceArguments {
    /// The command that starts the server under test, over stdio; relative paths start where you stand.
    #[arg(
        long,
        env = "TOUCHSTONE_SERVER_CMD",
        value_name = "COMMAND",
        conflicts_with = "server_url"
    )]
    server_cmd: Option<String>,

    /// The URL of the server under test.
    #[arg(long, env = "TOUCHSTONE_SERVER_URL", value_name = "URL")]
    server_url: Option<String>,

    /// The bearer token that the server at the URL demands.
    #[arg(long, env = "TOUCHSTONE_SERVER_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    server_token: Option<String>,

    /// Fail trials that break a SHOULD as well.
    #[arg(long, env = "TOUCHSTONE_STRICT")]
    strict: bool,

    /// Call every tool with valid arguments, not only those annotated readOnlyHint.
    #[arg(long, env = "TOUCHSTONE_CALL_ALL")]
    call_all: bool,

    /// Compare the server's behaviour in every case with the snapshots in this folder; INSTA_UPDATE says what happens to what is new.
    #[arg(long, env = "TOUCHSTONE_SNAPSHOTS", value_name = "DIR")]
    snapshots: Option<PathBuf>,

    #[command(flatten)]
    libtest: libtest_mimic::Arguments,
}

/// Runs the trials that the command line selects, and gives back the exit code of the test target.
#[must_use]
pub fn run(defaults: Defaults) -> ExitCode {
    touchstone_drive::process::guard::run_if_requested();
    let arguments = ConformanceArguments::parse();
    let prepared = target(&arguments, defaults).and_then(|target| {
        let bundle = Bundle::load().map_err(|error| error.to_string())?;
        // As for the server's command, relative paths start where the user stands.
        let folder = arguments
            .snapshots
            .clone()
            .map(|folder| standing().unwrap_or_default().join(folder));
        let snapshots = folder.map(|folder| Snapshots::new(folder, Vec::new(), |name| std::env::var(name).ok()));
        Ok((target, bundle, snapshots.transpose()?))
    });
    let (target, bundle, snapshots) = match prepared {
        Ok(prepared) => prepared,
        Err(problem) => {
            #[expect(
                clippy::print_stderr,
                reason = "this is the front of a test target, and has nowhere else to complain"
            )]
            {
                eprintln!("error: {problem}");
            }
            return ExitCode::from(2);
        }
    };
    let campaigns = Bundle::load().map_err(|error| error.to_string()).and_then(|bundle| {
        let (target, strict, call_all) = (target.clone(), arguments.strict, arguments.call_all);
        campaigns::make(bundle, target, strict, call_all, &arguments.libtest)
    });
    let settings = trials::Settings {
        target,
        strict: arguments.strict,
        call_all: arguments.call_all,
        snapshots,
    };
    let mut trials = trials::make(bundle, settings, &arguments.libtest);
    match campaigns {
        Ok(campaigns) => trials.extend(campaigns),
        Err(problem) => trials.push(libtest_mimic::Trial::test("fuzz::tools", move || Err(problem.into()))),
    }
    libtest_mimic::run(&arguments.libtest, trials).exit_code()
}

/// The server to test.
fn target(arguments: &ConformanceArguments, defaults: Defaults) -> Result<Target, String> {
    if let Some(url) = &arguments.server_url {
        let url = url
            .parse()
            .map_err(|error| format!("--server-url {url:?} is no URL: {error}"))?;
        let token = arguments.server_token.iter();
        let headers = token.map(|token| ("Authorization".to_owned(), format!("Bearer {token}")));
        return Ok(Target::Url(UrlTarget {
            url,
            headers: headers.collect(),
            transport: None,
        }));
    }
    let (program, words) = match &arguments.server_cmd {
        Some(line) => {
            let mut words = shlex::split(line)
                .ok_or_else(|| format!("--server-cmd {line:?} has an open quote"))?
                .into_iter();
            let program = words.next().ok_or("--server-cmd is empty")?;
            (OsString::from(program), words.map(OsString::from).collect())
        }
        None => defaults
            .command
            .ok_or("name the server under test: --server-cmd COMMAND or --server-url URL")?,
    };
    let mut command = CommandTarget::new(program, words);
    command.directory = standing();
    Ok(Target::Command(command))
}

/// Where the user stands. Cargo runs tests in the package's folder, but `PWD` keeps the folder of the shell.
fn standing() -> Option<PathBuf> {
    std::env::var_os("PWD")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute() && path.is_dir())
}
