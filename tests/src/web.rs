//! Servers on this machine that answer what a test says, byte for byte, and remember what they were asked.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A piece of an answer.
pub enum Piece {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Nothing, for so long.
    Pause(Duration),
    /// These bytes, until the other side has had enough.
    Forever(Vec<u8>),
}

/// A server. It ends with the test.
pub struct Web {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

/// What makes a connection a secure one; plain ones stay as they are.
pub type Tls = Option<tokio_rustls::TlsAcceptor>;

impl Web {
    /// A server that answers each request with what `answer` makes of it, and then closes the connection.
    pub async fn start(answer: impl Fn(&str) -> Vec<Piece> + Send + Sync + 'static) -> Web {
        Web::start_tls(None, answer).await
    }

    /// The same over TLS.
    pub async fn start_tls(tls: Tls, answer: impl Fn(&str) -> Vec<Piece> + Send + Sync + 'static) -> Web {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let (seen, answer) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(answer));
        let noted = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (noted, answer, tls) = (noted.clone(), answer.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => talk(stream, &noted, &*answer).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => talk(stream, &noted, &*answer).await,
                            Err(error) => noted.lock().expect("nobody panicked").push(format!("no TLS: {error}")),
                        },
                    }
                });
            }
        });
        Web { address, seen }
    }

    /// Its origin, by address.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it was asked so far, whole.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("nobody panicked").clone()
    }
}

async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, seen: &Mutex<Vec<String>>, answer: &dyn Answer) {
    let Some(request) = read(&mut stream).await else { return };
    seen.lock().expect("nobody panicked").push(request.clone());
    for piece in answer.make(&request) {
        let written = match piece {
            Piece::Bytes(bytes) => stream.write_all(&bytes).await,
            Piece::Pause(span) => {
                tokio::time::sleep(span).await;
                Ok(())
            }
            Piece::Forever(bytes) => loop {
                if let Err(error) = stream.write_all(&bytes).await {
                    break Err(error);
                }
            },
        };
        if written.is_err() {
            return;
        }
    }
    let _ = stream.shutdown().await;
}

trait Answer: Send + Sync {
    fn make(&self, request: &str) -> Vec<Piece>;
}

impl<F: Fn(&str) -> Vec<Piece> + Send + Sync> Answer for F {
    fn make(&self, request: &str) -> Vec<Piece> {
        self(request)
    }
}

/// One request: its head, and the body that the head promises.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let field = |name: &str| {
                head.lines().find_map(|line| line.to_lowercase().strip_prefix(name).map(|rest| rest.trim().to_string()))
            };
            let length = field("content-length:").and_then(|length| length.parse().ok()).unwrap_or(0);
            let chunked = field("transfer-encoding:").is_some() && !body.ends_with("0\r\n\r\n");
            if body.len() >= length && !chunked {
                return Some(text);
            }
        }
        let mut more = [0; 4096];
        match stream.read(&mut more).await {
            Ok(count @ 1..) => bytes.extend_from_slice(&more[..count]),
            _ => return None,
        }
    }
}

/// An answer with this body, and one more line in its head if it isn't empty.
pub fn ok(line: &str, body: impl AsRef<[u8]>) -> Vec<Piece> {
    let line = if line.is_empty() { String::new() } else { format!("{line}\r\n") };
    let mut bytes = format!("HTTP/1.1 200 OK\r\n{line}content-length: {}\r\n\r\n", body.as_ref().len()).into_bytes();
    bytes.extend_from_slice(body.as_ref());
    vec![Piece::Bytes(bytes)]
}

/// A redirect.
pub fn to(place: &str) -> Vec<Piece> {
    vec![raw(&format!("HTTP/1.1 302 Found\r\nlocation: {place}\r\ncontent-length: 0\r\n\r\n"))]
}

/// Bytes as they are.
pub fn raw(text: &str) -> Piece {
    Piece::Bytes(text.into())
}

/// Sends bytes to a server, and answers all that comes back until it closes the connection, or for ten seconds at most.
pub async fn send(address: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let _ = stream.write_all(bytes.as_ref()).await;
    rest(&mut stream).await
}

/// What comes until the other side closes the connection, or for fifteen seconds at most.
pub async fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let reading = async {
        let mut more = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut more).await {
            all.extend_from_slice(&more[..count]);
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(15), reading).await;
    String::from_utf8_lossy(&all).into_owned()
}
