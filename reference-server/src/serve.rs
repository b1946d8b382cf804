//! Options in, a running server out: the only place that touches the process (stdin, stdout, stderr, signals).

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use crate::authorization::{self, Authorization};
use crate::conversation::{Conversation, Options};
use crate::faults::{self, Fault, UnknownFault};
use crate::revision::Revision;
use crate::transport::deviation::Deviations;
use crate::transport::{Answers, Transport, http_server, http_sse, stdio, streamable_http};

/// What to serve.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// How clients connect.
    pub transport: Transport,
    /// The revisions to negotiate; none means all.
    pub revisions: Vec<Revision>,
    /// The ids of the faults to switch on; none makes a correct server.
    pub faults: Vec<String>,
    /// The port on 127.0.0.1 for the HTTP transports; 0 takes any free one.
    pub port: u16,
    /// How many items a page of a list has; 0 counts as 1.
    pub page_size: usize,
    /// In which form requests are answered (Streamable HTTP only).
    pub answers: Answers,
    /// Give no session ids, and remember nothing between two requests (Streamable HTTP only).
    pub stateless: bool,
    /// Demand a token of every request (Streamable HTTP only).
    pub authorization: bool,
    /// Where to write a settings file with tokens of every kind.
    pub tokens: Option<PathBuf>,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            transport: Transport::Stdio,
            revisions: Vec::new(),
            faults: Vec::new(),
            port: 0,
            page_size: 3,
            answers: Answers::default(),
            stateless: false,
            authorization: false,
            tokens: None,
        }
    }
}

/// Why serving could not begin, or ended.
#[derive(Debug, Error)]
pub enum ServeError {
    /// There is no such fault.
    #[error(transparent)]
    UnknownFault(#[from] UnknownFault),
    /// The fault has no effect on the transport.
    #[error("the fault {fault:?} has no effect over {transport}; leave it out or choose another transport")]
    FaultTransport {
        /// The id of the fault.
        fault: &'static str,
        /// The transport it was asked for.
        transport: Transport,
    },
    /// The port cannot be used.
    #[error("cannot listen on {address}: {source}; choose another port, or 0 for any")]
    Bind {
        /// Where the server was to listen.
        address: SocketAddr,
        /// Why it cannot.
        source: io::Error,
    },
    /// Authorization was asked for on a transport that has none.
    #[error("authorization needs the transport streamable-http, not {transport}")]
    AuthorizationTransport {
        /// The transport that was asked for.
        transport: Transport,
    },
    /// A mode of Streamable HTTP was asked for on another transport.
    #[error("forms of answers and statelessness are matters of the transport streamable-http, not of {transport}")]
    ModeTransport {
        /// The transport that was asked for.
        transport: Transport,
    },
    /// There is no key for tokens, or they cannot be written.
    #[error("the tokens cannot be made: {0}")]
    Tokens(String),
    /// Reading or writing failed.
    #[error("serving ended: {0}")]
    Io(#[from] io::Error),
    /// A fault wants the process to end with this code.
    #[error("a fault ended the server with code {code}")]
    Exited {
        /// The exit code.
        code: i32,
    },
}

/// Serves until stdin ends (stdio) or a signal asks for the end.
///
/// The HTTP transports print one line, `listening on http://127.0.0.1:PORT/mcp` (or `/sse`), on stderr once they accept
/// connections. After an error over stdio a read of stdin may still be in progress: end the runtime with
/// `shutdown_background`, or else dropping it waits for that read.
///
/// # Errors
/// [`ServeError`]; of its variants all but `Io` and `Exited` come before anything is served.
pub async fn serve(options: ServeOptions) -> Result<(), ServeError> {
    let faults = resolve(&options)?;
    if options.authorization && options.transport != Transport::StreamableHttp {
        return Err(ServeError::AuthorizationTransport {
            transport: options.transport,
        });
    }
    if options.transport != Transport::StreamableHttp && (options.stateless || options.answers != Answers::default()) {
        return Err(ServeError::ModeTransport {
            transport: options.transport,
        });
    }
    let conversations =
        Options::new(&options.revisions, &faults, options.page_size).answering(options.answers, options.stateless);
    let stubborn = Conversation::new(&conversations).outlives_signals();
    let ending = async {
        loop {
            terminated().await;
            if !stubborn {
                break;
            }
        }
    };
    if options.transport == Transport::Stdio {
        let conversation = Conversation::new(&conversations);
        let (end, told_to_end) = oneshot::channel::<()>();
        let told_to_end = async {
            let _ = told_to_end.await;
        };
        let mut serving = pin!(stdio::serve(stdio::input(), stdio::output(), conversation, told_to_end,));
        return tokio::select! {
            served = &mut serving => served,
            () = ending => {
                // Fails when serving has just ended by itself.
                let _ = end.send(());
                // Nobody may be reading what is said last.
                tokio::time::timeout(LAST_WORDS, serving).await.unwrap_or(Ok(()))
            }
        };
    }
    let served = Served::default();
    let serving = async {
        let listener = bind(options.port).await?;
        if options.authorization {
            let guard = guard(&listener, &faults, options.tokens.as_deref())?;
            announce(listener.local_addr()?, options.transport);
            return serve_guarded(listener, conversations, guard, Served::clone(&served)).await;
        }
        announce(listener.local_addr()?, options.transport);
        serve_http(listener, options.transport, conversations, Served::clone(&served)).await
    };
    tokio::select! {
        served = serving => served,
        () = ending => {
            if served.get().is_some_and(|endpoint| endpoint.end()) {
                // What has been said last is still on its way.
                tokio::time::sleep(LAST_WORDS).await;
            }
            Ok(())
        }
    }
}

/// The endpoint that is served, once it is.
type Served = Arc<OnceLock<Arc<streamable_http::Endpoint>>>;

/// How long the server stays to send what it says at its end.
const LAST_WORDS: Duration = Duration::from_millis(50);

fn resolve(options: &ServeOptions) -> Result<Vec<&'static Fault>, ServeError> {
    let resolve_one = |id: &String| {
        let fault = faults::find(id)?;
        match fault.transports.contains(&options.transport) {
            true => Ok(fault),
            false => Err(ServeError::FaultTransport {
                fault: fault.id,
                transport: options.transport,
            }),
        }
    };
    options.faults.iter().map(resolve_one).collect()
}

async fn bind(port: u16) -> Result<TcpListener, ServeError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address)
        .await
        .map_err(|source| ServeError::Bind { address, source })
}

#[expect(clippy::print_stderr, reason = "the line by which the caller learns the port")]
fn announce(address: SocketAddr, transport: Transport) {
    let path = match transport {
        Transport::HttpSse => http_sse::PATH,
        _ => streamable_http::PATH,
    };
    eprintln!("listening on http://{address}{path}");
}

/// The guard of a server that demands tokens; a settings file with some is written before anyone is told where it listens.
fn guard(
    listener: &TcpListener,
    faults: &[&'static Fault],
    tokens: Option<&Path>,
) -> Result<Authorization, ServeError> {
    let origin = format!("http://{}", listener.local_addr()?);
    let guard = Authorization::new(origin, streamable_http::PATH, faults)
        .map_err(|error| ServeError::Tokens(error.to_string()))?;
    if let Some(path) = tokens {
        authorization::write_settings(path, guard.issuer())
            .map_err(|error| ServeError::Tokens(format!("{}: {error}", path.display())))?;
    }
    Ok(guard)
}

async fn serve_guarded(
    listener: TcpListener,
    options: Options,
    guard: Authorization,
    served: Served,
) -> Result<(), ServeError> {
    let (exits, exited) = mpsc::unbounded_channel();
    let deviations = Arc::new(Deviations::of(&options.faults));
    let endpoint = Arc::new(streamable_http::Endpoint::new(options, exits, Arc::clone(&deviations)));
    let endpoint = Arc::clone(served.get_or_init(|| endpoint));
    let guard = Arc::new(guard);
    http_server::run(listener, exited, deviations, move |request| {
        let (guard, endpoint) = (Arc::clone(&guard), Arc::clone(&endpoint));
        async move { guard.serve(request, |request| endpoint.handle(request)).await }
    })
    .await
}

async fn serve_http(
    listener: TcpListener,
    transport: Transport,
    options: Options,
    served: Served,
) -> Result<(), ServeError> {
    let (exits, exited) = mpsc::unbounded_channel();
    let deviations = Arc::new(Deviations::of(&options.faults));
    if transport == Transport::HttpSse {
        let endpoint = Arc::new(http_sse::Endpoint::new(options, exits, Arc::clone(&deviations)));
        let handler = move |request| Arc::clone(&endpoint).handle(request);
        http_server::run(listener, exited, deviations, handler).await
    } else {
        let endpoint = Arc::new(streamable_http::Endpoint::new(options, exits, Arc::clone(&deviations)));
        let endpoint = Arc::clone(served.get_or_init(|| endpoint));
        let handler = move |request| Arc::clone(&endpoint).handle(request);
        http_server::run(listener, exited, deviations, handler).await
    }
}

/// Waits for a signal that asks for the end, so that the scratch directory is removed on the way out.
#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        Ok(()) = tokio::signal::ctrl_c() => {}
    }
}

/// Waits for a signal that asks for the end, so that the scratch directory is removed on the way out.
#[cfg(not(unix))]
async fn terminated() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests;
