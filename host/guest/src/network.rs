//! Connections to the outside: names are resolved once, each address is judged, and the one judged is the one connected to.

use crate::address;
use crate::grants::Grants;
use crate::redact::Redactor;
use crate::secrets::{self, Secrets};
use crate::site::{LOCALHOST, Name, Target};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime_wasi_http::Error;

/// What a host has for reaching out: whom it trusts, and the user's secrets.
pub(crate) struct Network {
    /// A file of certificates that are trusted beside the ones that browsers trust.
    roots: Option<PathBuf>,
    secrets: Option<Secrets>,
    /// Made when the first connection needs it.
    tls: OnceLock<Option<tokio_rustls::TlsConnector>>,
}

/// The secrets of one agent.
#[derive(Clone, Default)]
pub(crate) struct Keys {
    values: Vec<(String, String)>,
    pub(crate) redactor: Arc<Redactor>,
}

impl Keys {
    /// The value of one that the agent's grants name.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A connection, encrypted or not.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

impl Network {
    pub(crate) fn new(roots: Option<PathBuf>, secrets: Option<Secrets>) -> Network {
        let named = || std::env::var_os("VILLAGE_CA_FILE").filter(|path| !path.is_empty()).map(PathBuf::from);
        Network { roots: roots.or_else(named), secrets: secrets.or_else(Secrets::of_user), tls: OnceLock::new() }
    }

    /// The values of the secrets that these grants name.
    pub(crate) fn keys(&self, grants: &Grants) -> Result<Keys, secrets::Error> {
        let mut values: Vec<(String, String)> = Vec::new();
        for key in grants.http.iter().filter_map(|site| site.key()) {
            if values.iter().any(|(name, _)| *name == key.secret) {
                continue;
            }
            let secrets = self.secrets.as_ref().ok_or_else(|| secrets::Error::Missing { name: key.secret.clone() })?;
            values.push((key.secret.clone(), secrets.value(&key.secret)?));
        }
        let redactor = Arc::new(Redactor::new(&values));
        Ok(Keys { values, redactor })
    }

    /// Connects to what a granted request asks for. The permit is kept until the name has been looked up, whoever still waits.
    pub(crate) async fn connect(
        &self,
        target: &Target,
        permit: OwnedSemaphorePermit,
    ) -> Result<(Box<dyn Wire>, OwnedSemaphorePermit), Error> {
        let (addresses, permit) = resolve(target, permit).await?;
        let mut failed = Error::DestinationIpProhibited;
        let mut stream = None;
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(connected) => {
                    stream = Some(connected);
                    break;
                }
                Err(error) => failed = refused(&error),
            }
        }
        let stream = stream.ok_or(failed)?;
        // A request is written in one piece, and should not wait for more.
        let _ = stream.set_nodelay(true);
        if !target.tls {
            return Ok((Box::new(stream), permit));
        }
        let name = match &target.host {
            Name::Dns(name) => ServerName::try_from(name.clone()).map_err(|_| Error::HttpRequestUriInvalid)?,
            Name::Ip(ip) => ServerName::IpAddress((*ip).into()),
        };
        let tls =
            self.tls.get_or_init(|| connector(self.roots.as_deref())).as_ref().ok_or(Error::ConfigurationError)?;
        let stream = tls.connect(name, stream).await.map_err(|error| untrusted(&error))?;
        Ok((Box::new(stream), permit))
    }
}

/// The addresses that a request may connect to: those of a name that are public, or what the grant names.
async fn resolve(
    target: &Target,
    permit: OwnedSemaphorePermit,
) -> Result<(Vec<SocketAddr>, OwnedSemaphorePermit), Error> {
    let at = |ip: IpAddr| SocketAddr::new(ip, target.port);
    let name = match &target.host {
        // The grant is of this very address.
        Name::Ip(ip) => return Ok((vec![at(*ip)], permit)),
        Name::Dns(name) if name == LOCALHOST => {
            return Ok((vec![at(Ipv4Addr::LOCALHOST.into()), at(Ipv6Addr::LOCALHOST.into())], permit));
        }
        Name::Dns(name) => name.clone(),
    };
    let port = target.port;
    // With a dot at its end it is a whole name: no search list makes another one of it.
    let looking =
        tokio::task::spawn_blocking(move || ((format!("{name}."), port).to_socket_addrs().map(Vec::from_iter), permit));
    let (found, permit) = looking.await.map_err(|_| Error::InternalError(None))?;
    let found: Vec<SocketAddr> = found.map_err(|_| Error::DnsError { rcode: None, info_code: None })?;
    let public: Vec<_> = judged(&found);
    match (public.is_empty(), found.is_empty()) {
        (true, true) => Err(Error::DestinationNotFound),
        (true, false) => Err(Error::DestinationIpProhibited),
        (false, _) => Ok((public, permit)),
    }
}

/// Of the addresses of a name, those that may be connected to.
fn judged(found: &[SocketAddr]) -> Vec<SocketAddr> {
    const MOST: usize = 8;
    found.iter().copied().filter(|address| address::public(address.ip())).take(MOST).collect()
}

fn connector(roots: Option<&std::path::Path>) -> Option<tokio_rustls::TlsConnector> {
    let mut trusted = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = roots {
        // A file that was named and can't be read is no reason to trust less or more than was meant: nothing is trusted.
        for certificate in CertificateDer::pem_file_iter(path).ok()? {
            trusted.add(certificate.ok()?).ok()?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .ok()?
        .with_root_certificates(trusted)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Some(Arc::new(config).into())
}

fn refused(error: &std::io::Error) -> Error {
    use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable, TimedOut};
    match error.kind() {
        ConnectionRefused => Error::ConnectionRefused,
        TimedOut => Error::ConnectionTimeout,
        HostUnreachable | NetworkUnreachable => Error::DestinationUnavailable,
        _ => Error::ConnectionTerminated,
    }
}

fn untrusted(error: &std::io::Error) -> Error {
    let why = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match why {
        Some(rustls::Error::InvalidCertificate(_)) => Error::TlsCertificateError,
        Some(rustls::Error::AlertReceived(alert)) => {
            Error::TlsAlertReceived { alert_id: Some((*alert).into()), alert_message: None }
        }
        Some(_) => Error::TlsProtocolError,
        None => Error::ConnectionTerminated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_addresses_of_a_name_only_public_ones_are_connected_to() {
        let found = ["10.0.0.1:80", "1.1.1.1:80", "[::1]:80", "[2606:4700::1111]:80", "169.254.169.254:80"];
        let found: Vec<SocketAddr> = found.iter().map(|text| text.parse().expect("an address")).collect();
        assert_eq!(judged(&found), [found[1], found[3]]);
        assert_eq!(judged(&found[..1]), []);
    }

    #[test]
    fn a_file_of_roots_that_cannot_be_read_leaves_nothing_trusted() {
        assert!(connector(None).is_some());
        assert!(connector(Some(std::path::Path::new("/no/such/file"))).is_none());
    }
}
