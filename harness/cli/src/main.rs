//! `touchstone`: conformance tests for MCP servers, on the command line.
//!
//! `args` turns words into validated commands, each command has a file of its own, and [`Exit`] is what the process says at the end. This is the
//! only part of Touchstone that prints and that reads the environment.

mod args;
mod check;
mod config_file;
mod expectations;
mod fuzz;
mod fuzz_args;
mod invocation;
mod list;
mod outputs;
mod progress;
mod record;
mod replay;
mod report;
mod serve;
mod settings;

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use clap::Parser as _;

/// What the process says at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Nothing failed.
    Clean,
    /// Something failed; with `--strict`, or was warned about.
    Failed,
    /// The run could not be done: bad usage, or no server to judge.
    CouldNotRun,
    /// A mistake of Touchstone itself.
    OwnMistake,
    /// Ctrl-C.
    Interrupted,
}

impl Exit {
    /// The exit code.
    const fn code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Failed => 1,
            Self::CouldNotRun => 2,
            Self::OwnMistake => 3,
            Self::Interrupted => 130,
        }
    }
}

fn main() -> ExitCode {
    touchstone_drive::process::guard::run_if_requested();
    let command = args::Cli::parse().command;
    let exit = std::panic::catch_unwind(AssertUnwindSafe(|| run(command))).unwrap_or_else(|_| {
        complain(
            "this is a bug in Touchstone, and says nothing about the server; please report it with the text above",
        );
        Exit::OwnMistake
    });
    ExitCode::from(exit.code())
}

fn run(command: args::Command) -> Exit {
    let done = match command {
        args::Command::Check(arguments) => args::CheckPlan::try_from(*arguments).and_then(|plan| check::run(&plan)),
        args::Command::Fuzz(arguments) => fuzz_args::FuzzPlan::try_from(*arguments).and_then(|plan| fuzz::run(&plan)),
        args::Command::Replay(arguments) => replay::run(*arguments),
        args::Command::Report(arguments) => report::run(arguments),
        args::Command::Record(arguments) => record::run(&arguments),
        args::Command::List(arguments) => list::run(&arguments),
        args::Command::Serve(arguments) => serve::run(&arguments),
    };
    done.unwrap_or_else(|error| {
        complain(&format!("{error:#}"));
        Exit::CouldNotRun
    })
}

/// Tells the user what is wrong.
#[expect(clippy::print_stderr, reason = "the command's own voice")]
pub(crate) fn complain(message: &str) {
    eprintln!("error: {message}");
}

/// Prints a report. A reader that went away, as `head` does, is no error.
pub(crate) fn print(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stdout().write_all(text.as_bytes());
}
