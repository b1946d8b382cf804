//! `touchstone record`: stands between a real client and a server over stdio, and makes a trace of what passes.
//!
//! The streams are copied as they come. The server is a child of the guard process, so it goes when this program goes, however that happens; what
//! this program is told by a signal it tells the server, and its exit code is the server's.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use tokio::sync::watch;
use touchstone_drive::process::{GuardProgram, ProcessOptions};
use touchstone_drive::relay::{Client, Relayed, relay};
use touchstone_drive::target::CommandTarget;

use crate::{Exit, complain};

#[derive(Debug, Args)]
pub(crate) struct RecordArguments {
    /// Where the trace goes; `touchstone check --trace FILE` judges it
    #[arg(long, default_value = "session.trace.jsonl", value_name = "FILE")]
    out: PathBuf,

    /// The command that starts the server
    #[arg(last = true, required = true, value_name = "COMMAND")]
    server_command: Vec<OsString>,
}

/// Never comes back when the server could be started: the process ends as the server did.
pub(crate) fn run(arguments: &RecordArguments) -> anyhow::Result<Exit> {
    let mut words = arguments.server_command.iter().cloned();
    let program = words.next().context("name the command that starts the server")?;
    let target = CommandTarget::new(program, words);
    let file = std::fs::File::create(&arguments.out)
        .with_context(|| format!("--out: {} cannot be written", arguments.out.display()))?;
    let options = ProcessOptions {
        guard: GuardProgram::CurrentExecutable,
        ..ProcessOptions::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    let relayed = local.block_on(&runtime, async {
        let (sender, signals) = watch::channel(None);
        tokio::task::spawn_local(listen(sender));
        let client = Client {
            input: tokio::io::stdin(),
            output: tokio::io::stdout(),
            errors: tokio::io::stderr(),
        };
        relay(&target, &options, client, file, signals).await
    })?;
    if let Some(error) = &relayed.lost {
        complain(&format!(
            "{}: the trace is not complete: {error}",
            arguments.out.display()
        ));
    }
    // A read of stdin cannot be called off: nothing less than the end of the process ends it.
    std::process::exit(code(&relayed));
}

/// The server's exit code, or what a shell makes of a signal.
fn code(relayed: &Relayed) -> i32 {
    match relayed.exit {
        Some(exit) => exit.code.or(exit.signal.map(|signal| 128 + signal)).unwrap_or(1),
        None => 1,
    }
}

/// Tells which signals come.
#[cfg(unix)]
async fn listen(sender: watch::Sender<Option<&'static str>>) {
    use tokio::signal::unix::{SignalKind, signal};
    let streams = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
        signal(SignalKind::hangup()),
    );
    let (Ok(mut term), Ok(mut interrupt), Ok(mut hangup)) = streams else {
        return;
    };
    loop {
        let name = tokio::select! {
            _ = term.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
            _ = hangup.recv() => "SIGHUP",
        };
        let _ = sender.send(Some(name));
    }
}

/// Tells when Ctrl-C comes; there are no signals to hand on.
#[cfg(not(unix))]
async fn listen(sender: watch::Sender<Option<&'static str>>) {
    while tokio::signal::ctrl_c().await.is_ok() {
        let _ = sender.send(Some("SIGINT"));
    }
}
