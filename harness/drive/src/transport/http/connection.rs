//! Connections to one origin: established with a deadline, to addresses looked up once, and kept for the next request.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use url::{Host, Url};

use super::HttpError;
use super::interim::{Bounded, Wait};
use super::recording::shown_url;
use crate::transport::TransportLimits;

/// Servers close connections that idle for a few seconds. A younger one is still open, so a request does not race with the close.
const LONGEST_IDLE: Duration = Duration::from_secs(1);

/// Longest wait for a connection that has just carried a response to take the next request.
const LONGEST_TURNAROUND: Duration = Duration::from_millis(200);

/// The smallest read buffer that the HTTP library allows.
const SMALLEST_BUFFER: usize = 8192;

/// Where the connections lead.
pub(super) struct Endpoint {
    /// The value of the `Host` field.
    pub(super) host_field: String,
    host: Host<String>,
    port: u16,
    tls: bool,
}

/// The connections of one client.
pub(super) struct Pool {
    endpoint: Endpoint,
    limits: TransportLimits,
    /// Looked up once, the address that answered first: a name that changes its address in between cannot redirect a run.
    addresses: RefCell<Vec<SocketAddr>>,
    idle: RefCell<Vec<(Link, Instant)>>,
    #[cfg(feature = "tls")]
    connector: std::cell::OnceCell<tokio_rustls::TlsConnector>,
}

/// One open connection. Dropping it closes the socket at once.
pub(super) struct Link {
    pub(super) sender: http1::SendRequest<Full<Bytes>>,
    /// To be told when a response is waited for.
    pub(super) wait: Wait,
    _driver: AbortOnDropHandle<()>,
}

impl Endpoint {
    pub(super) fn new(url: &Url) -> Result<Self, HttpError> {
        let wrong = |reason: &str| HttpError::Url {
            url: shown_url(url),
            reason: reason.to_owned(),
        };
        let tls = match url.scheme() {
            "http" => false,
            "https" if cfg!(feature = "tls") => true,
            "https" => return Err(HttpError::TlsMissing { url: shown_url(url) }),
            other => return Err(wrong(&format!("its scheme is {other}, not http or https"))),
        };
        let host = url.host().ok_or_else(|| wrong("it names no host"))?.to_owned();
        let port = url.port_or_known_default().ok_or_else(|| wrong("it names no port"))?;
        let host_field = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_string(),
        };
        Ok(Self {
            host_field,
            host,
            port,
            tls,
        })
    }

    fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl Pool {
    pub(super) fn new(endpoint: Endpoint, limits: &TransportLimits) -> Self {
        Self {
            endpoint,
            limits: limits.clone(),
            addresses: RefCell::default(),
            idle: RefCell::default(),
            #[cfg(feature = "tls")]
            connector: std::cell::OnceCell::new(),
        }
    }

    /// A connection that can take a request, and whether it has carried one before.
    pub(super) async fn take(&self, lowercase_names: bool) -> Result<(Link, bool), HttpError> {
        if !lowercase_names && let Some(link) = self.take_idle().await {
            return Ok((link, true));
        }
        let limit = self.limits.connect;
        match timeout(limit, self.connect(lowercase_names)).await {
            Ok(link) => Ok((link?, false)),
            Err(_) => Err(HttpError::ConnectDeadline {
                authority: self.endpoint.authority(),
                limit,
            }),
        }
    }

    /// Keeps a connection whose response was read to the end.
    pub(super) fn give_back(&self, link: Link) {
        let mut idle = self.idle.borrow_mut();
        idle.retain(|(link, since)| since.elapsed() <= LONGEST_IDLE && !link.sender.is_closed());
        if !link.sender.is_closed() {
            idle.push((link, Instant::now()));
        }
    }

    /// An idle connection that is still open.
    async fn take_idle(&self) -> Option<Link> {
        loop {
            let (mut link, since) = self.idle.borrow_mut().pop()?;
            if since.elapsed() > LONGEST_IDLE {
                continue;
            }
            // Lets the driver of the connection see a close that has arrived already.
            tokio::task::yield_now().await;
            if matches!(timeout(LONGEST_TURNAROUND, link.sender.ready()).await, Ok(Ok(()))) {
                return Some(link);
            }
        }
    }

    async fn connect(&self, lowercase_names: bool) -> Result<Link, HttpError> {
        let tcp = self.connect_tcp().await?;
        // Messages are small and answered one by one: waiting to fill a packet only adds delay. Failing to say so is harmless.
        let _ = tcp.set_nodelay(true);
        if self.endpoint.tls {
            #[cfg(feature = "tls")]
            {
                let connector = self.connector.get_or_init(super::tls::connector).clone();
                let stream = super::tls::handshake(&connector, &self.endpoint.host, tcp).await?;
                return self.handshake(stream, lowercase_names).await;
            }
        }
        self.handshake(tcp, lowercase_names).await
    }

    async fn handshake<S>(&self, stream: S, lowercase_names: bool) -> Result<Link, HttpError>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let mut builder = http1::Builder::new();
        builder
            .title_case_headers(!lowercase_names)
            .max_headers(self.limits.head_fields)
            .max_header_size(self.limits.head_bytes)
            .max_buf_size(self.limits.head_bytes.max(SMALLEST_BUFFER));
        let caps = (self.limits.head_bytes, self.limits.head_fields);
        let wait = Wait::default();
        let (sender, connection) = builder
            .handshake(TokioIo::new(Bounded::new(stream, wait.clone())))
            .await
            .map_err(|error| HttpError::from_hyper(&error, caps))?;
        let driver = tokio::task::spawn_local(async move {
            // A failure reaches whoever waits for the response.
            let _ = connection.await;
        });
        Ok(Link {
            sender,
            wait,
            _driver: AbortOnDropHandle::new(driver),
        })
    }

    async fn connect_tcp(&self) -> Result<TcpStream, HttpError> {
        let known = self.addresses.borrow().clone();
        let addresses = if known.is_empty() { self.look_up().await? } else { known };
        let share = self.limits.connect / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
        let mut reason = "the name has no address".to_owned();
        for address in addresses {
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    *self.addresses.borrow_mut() = vec![address];
                    return Ok(stream);
                }
                Ok(Err(error)) => reason = error.to_string(),
                Err(_) => reason = format!("{address} did not answer within {share:?}"),
            }
        }
        Err(HttpError::Connect {
            authority: self.endpoint.authority(),
            reason,
        })
    }

    async fn look_up(&self) -> Result<Vec<SocketAddr>, HttpError> {
        let port = self.endpoint.port;
        match &self.endpoint.host {
            Host::Ipv4(address) => Ok(vec![SocketAddr::from((*address, port))]),
            Host::Ipv6(address) => Ok(vec![SocketAddr::from((*address, port))]),
            Host::Domain(name) => {
                let found = tokio::net::lookup_host((name.as_str(), port)).await;
                let resolved = found.map(|addresses| addresses.collect());
                resolved.map_err(|error| HttpError::Resolve {
                    host: name.clone(),
                    reason: error.to_string(),
                })
            }
        }
    }
}
