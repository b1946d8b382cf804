//! `touchstone serve`: the bundled reference server.

use anyhow::anyhow;
use touchstone_reference_server::{ServeOptions, serve};

use crate::Exit;
use crate::args::ServeArguments;

pub(crate) fn run(arguments: &ServeArguments) -> anyhow::Result<Exit> {
    let mut options = ServeOptions {
        transport: arguments
            .transport
            .parse()
            .map_err(|error| anyhow!("--transport: {error}"))?,
        faults: arguments.faults.clone(),
        page_size: arguments.page_size,
        port: arguments.port,
        answers: arguments
            .answers
            .parse()
            .map_err(|error| anyhow!("--answers: {error}"))?,
        stateless: arguments.stateless,
        authorization: arguments.authorization || arguments.tokens.is_some(),
        tokens: arguments.tokens.clone(),
        ..ServeOptions::default()
    };
    if !arguments.revisions.is_empty() {
        let parse = |text: &String| text.parse().map_err(|error| anyhow!("--revision: {error}"));
        options.revisions = arguments.revisions.iter().map(parse).collect::<anyhow::Result<_>>()?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    let served = local.block_on(&runtime, serve(options));
    // A read of stdin cannot be called off; without this the process would stay until its input ends.
    runtime.shutdown_background();
    served.map_err(|error| anyhow!("{error}"))?;
    Ok(Exit::Clean)
}
