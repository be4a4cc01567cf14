//! HTTP to one back end: connections that are kept, and replies that are bounded.
//!
//! No redirect is followed and no proxy is used: what is sent goes to the address that was configured, or nowhere.

use super::address::{Address, Host};
use super::again;
use crate::error::Error;
use crate::key::Key;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// The most that is read of a reply's head.
const HEAD: usize = 64 << 10;

/// A stream is no longer than this in all. What is kept of it is bounded elsewhere, and tighter.
const LONGEST: usize = 256 << 20;

/// Connections that are kept for the next request, and how long.
const IDLE: usize = 8;
const KEPT: Duration = Duration::from_secs(20);

/// Who is trusted over TLS. Made when the first connection needs it.
#[derive(Default)]
pub struct Trust {
    roots: Option<PathBuf>,
    connector: OnceLock<Option<tokio_rustls::TlsConnector>>,
}

impl Trust {
    /// Whom browsers trust, and the certificates in a file.
    pub fn new(roots: Option<PathBuf>) -> Trust {
        Trust { roots, connector: OnceLock::new() }
    }

    fn connector(&self) -> Option<&tokio_rustls::TlsConnector> {
        self.connector.get_or_init(|| self.make()).as_ref()
    }

    fn make(&self) -> Option<tokio_rustls::TlsConnector> {
        let mut trusted = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(path) = &self.roots {
            // A file that was named and can't be read is no reason to trust less or more than was meant.
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
}

/// The way to one back end.
pub(super) struct Client {
    name: String,
    address: Address,
    key: Option<Key>,
    trust: Arc<Trust>,
    at_once: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<(Connection, Instant)>>>,
}

/// A connection, and the task that moves its bytes. It ends with it.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// A request, without what the connection adds.
pub(super) struct Outgoing {
    pub(super) method: Method,
    /// With a slash before it.
    pub(super) path: String,
    /// Whether the path is the whole one; otherwise it comes after the address's own.
    pub(super) rooted: bool,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Vec<u8>,
    /// Whether it must stay on this machine.
    pub(super) private: bool,
}

/// A reply of which the body is still to be read. Dropping it closes the connection.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    body: Incoming,
    read: usize,
    name: String,
    connection: Option<Connection>,
    idle: Arc<Mutex<Vec<(Connection, Instant)>>>,
    _permit: OwnedSemaphorePermit,
}

impl Client {
    pub(super) fn new(name: &str, address: &Address, key: Option<Key>, at_once: usize, trust: Arc<Trust>) -> Client {
        Client {
            name: name.into(),
            address: address.clone(),
            key,
            trust,
            at_once: Arc::new(Semaphore::new(at_once.max(1))),
            idle: Arc::default(),
        }
    }

    /// What others say, without the key and without the address.
    pub(super) fn clean(&self, text: &str) -> String {
        let text = self.key.as_ref().map_or(text.into(), |key| key.clean(text));
        text.replace(&self.address.authority(), "[address]")
    }

    /// Sends a request; the answer is there when its head is.
    pub(super) async fn send(&self, mut outgoing: Outgoing) -> Result<Reply, Error> {
        let permit = self.at_once.clone().acquire_owned().await.expect("it is never closed");
        let private = outgoing.private;
        let mut request = self.request(&mut outgoing)?;
        while let Some(mut connection) = self.kept() {
            match connection.sender.try_send_request(request).await {
                Ok(reply) => return Ok(self.reply(reply, connection, permit)),
                // It was closed at the other end before it could be used: nothing has been sent.
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(self.unavailable("the connection broke")),
                },
            }
        }
        let mut connection = self.connect(private).await?;
        match connection.sender.send_request(request).await {
            Ok(reply) => Ok(self.reply(reply, connection, permit)),
            Err(error) if error.is_parse() => Err(self.broken("it does not speak HTTP as it should")),
            Err(_) => Err(self.unavailable("the connection broke before an answer came")),
        }
    }

    fn request(&self, outgoing: &mut Outgoing) -> Result<Request<Full<Bytes>>, Error> {
        let path = match outgoing.rooted {
            true => std::mem::take(&mut outgoing.path),
            false => format!("{}{}", self.address.path, outgoing.path),
        };
        let key = (!outgoing.method.is_safe()).then(|| again::key(&path, &outgoing.body)).flatten();
        let mut request = Request::builder()
            .method(outgoing.method.clone())
            .uri(path)
            .header(header::HOST, self.address.authority())
            .header(header::USER_AGENT, concat!("village/", env!("CARGO_PKG_VERSION")))
            .header(header::ACCEPT, "application/json, text/event-stream")
            .header(header::ACCEPT_ENCODING, "identity");
        if !outgoing.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(key) = key {
            request = request.header(again::HEADER, key);
        }
        for (name, value) in outgoing.headers.drain(..) {
            request = request.header(name, value);
        }
        let body = Full::new(Bytes::from(std::mem::take(&mut outgoing.body)));
        request.body(body).map_err(|_| self.broken("its address can't be used"))
    }

    fn reply(&self, reply: http::Response<Incoming>, connection: Connection, permit: OwnedSemaphorePermit) -> Reply {
        let (head, body) = reply.into_parts();
        Reply {
            status: head.status,
            headers: head.headers,
            body,
            read: 0,
            name: self.name.clone(),
            connection: Some(connection),
            idle: self.idle.clone(),
            _permit: permit,
        }
    }

    fn kept(&self) -> Option<Connection> {
        let mut idle = self.idle.lock();
        let now = Instant::now();
        idle.retain(|(connection, since)| connection.sender.is_ready() && now.duration_since(*since) < KEPT);
        idle.pop().map(|(connection, _)| connection)
    }

    async fn connect(&self, private: bool) -> Result<Connection, Error> {
        let connecting = tokio::time::timeout(CONNECT, self.dial(private));
        let wire = connecting.await.map_err(|_| self.unavailable("no connection came about"))??;
        let mut client = Builder::new();
        client.max_buf_size(HEAD).max_headers(128);
        let shaken = client.handshake(TokioIo::new(wire)).await;
        let (sender, connection) = shaken.map_err(|_| self.unavailable("the connection broke"))?;
        // What goes wrong on it is told to whoever reads the reply.
        let driver = tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Connection { sender, driver })
    }

    async fn dial(&self, private: bool) -> Result<Box<dyn Wire>, Error> {
        let found = self.address.resolve().await.map_err(|_| self.unavailable("its name is not known"))?;
        let mut failed = "its name has no address";
        for address in found {
            let stream = match TcpStream::connect(address).await {
                Ok(stream) => stream,
                Err(error) => {
                    failed = refused(&error);
                    continue;
                }
            };
            // The last look before anything is written: what is private stays here whatever was configured.
            let here = stream.peer_addr().is_ok_and(|peer| peer.ip().to_canonical().is_loopback());
            if private && !here {
                return Err(Error::Denied { model: format!("a private prompt to `{}`", self.name) });
            }
            let _ = stream.set_nodelay(true);
            return self.wrap(stream).await;
        }
        Err(self.unavailable(failed))
    }

    async fn wrap(&self, stream: TcpStream) -> Result<Box<dyn Wire>, Error> {
        if !self.address.tls {
            return Ok(Box::new(stream));
        }
        let bad = || self.unavailable("its name can't be in a certificate");
        let name = match &self.address.host {
            Host::Localhost => ServerName::try_from("localhost").map_err(|_| bad())?,
            Host::Dns(name) => ServerName::try_from(name.clone()).map_err(|_| bad())?,
            Host::Ip(ip) => ServerName::IpAddress((*ip).into()),
        };
        let connector =
            self.trust.connector().ok_or_else(|| self.unavailable("the file of certificates can't be read"))?;
        let stream = connector.connect(name, stream).await.map_err(|error| {
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            self.unavailable(match inner {
                Some(rustls::Error::InvalidCertificate(_)) => "its certificate is not trusted",
                _ => "it does not speak TLS as it should",
            })
        })?;
        Ok(Box::new(stream))
    }

    pub(super) fn unavailable(&self, why: &str) -> Error {
        Error::Unavailable { backend: self.name.clone(), why: why.into(), retry_after: None }
    }

    pub(super) fn broken(&self, why: &str) -> Error {
        Error::Broken { backend: self.name.clone(), why: why.into() }
    }
}

impl Reply {
    /// The next piece of the body; none at its end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let Some(frame) = self.body.frame().await else {
                self.put_back();
                return Ok(None);
            };
            let frame = frame.map_err(|_| self.broken("its answer broke off"))?;
            if let Ok(bytes) = frame.into_data() {
                self.read += bytes.len();
                if self.read > LONGEST {
                    return Err(self.broken("its answer has no end"));
                }
                return Ok(Some(bytes));
            }
        }
    }

    /// The whole body, if it has at most so many bytes.
    pub(super) async fn all(&mut self, most: usize) -> Result<Vec<u8>, Error> {
        let mut all = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if all.len() + chunk.len() > most {
                return Err(self.broken("its answer is too large"));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    }

    /// Whether the body is a stream of events.
    pub(super) fn streams(&self) -> bool {
        let kind = self.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        kind.is_some_and(|kind| kind.starts_with("text/event-stream"))
    }

    /// Reads to the end if that is near, so that the connection can be used again; otherwise it is closed.
    pub(super) async fn keep(mut self) {
        let rest = async { while matches!(self.chunk().await, Ok(Some(_))) {} };
        let _ = tokio::time::timeout(Duration::from_millis(20), rest).await;
    }

    fn put_back(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let mut idle = self.idle.lock();
        if idle.len() < IDLE {
            idle.push((connection, Instant::now()));
        }
    }

    fn broken(&self, why: &str) -> Error {
        Error::Broken { backend: self.name.clone(), why: why.into() }
    }
}

fn refused(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable, TimedOut};
    match error.kind() {
        ConnectionRefused => "the connection was refused",
        TimedOut => "no connection came about",
        HostUnreachable | NetworkUnreachable => "there is no way to it",
        _ => "no connection could be made",
    }
}
