//! TLS by rustls, trusting what the system trusts. Compiled in by the cargo feature `tls`.

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{IpAddr, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use url::Host;

use super::HttpError;
use super::error::chain;

/// A connector that trusts the certificates of the system's store. Certificates that cannot be read are left out: where none is left, every
/// handshake fails and says that the issuer is unknown.
pub(super) fn connector() -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider supports the default protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}

/// Runs the handshake and checks the server's certificate against the host of the URL.
pub(super) async fn handshake(
    connector: &TlsConnector,
    host: &Host<String>,
    tcp: TcpStream,
) -> Result<TlsStream<TcpStream>, HttpError> {
    let failed = |reason: String| HttpError::Tls {
        host: host.to_string(),
        reason,
    };
    let name = match host {
        Host::Domain(name) => ServerName::try_from(name.clone()).map_err(|error| failed(error.to_string()))?,
        Host::Ipv4(address) => ServerName::IpAddress(IpAddr::from(std::net::IpAddr::V4(*address))),
        Host::Ipv6(address) => ServerName::IpAddress(IpAddr::from(std::net::IpAddr::V6(*address))),
    };
    connector
        .connect(name, tcp)
        .await
        .map_err(|error| failed(chain(&error)))
}
