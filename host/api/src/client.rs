//! The other side: asks a running village.

mod mesh;
mod models;
mod records;
mod spaces;
mod votes;

use crate::wire::{
    Accepted, Agents, BackupTo, Cancelled, Card, DeadLetters, Failure, Groups, Log, ManifestText, Message, NewAgent,
    NewVersion, Reason, Reply, Versions,
};
use hall::{Backup, Details, Entries, Event, Figures, Spoken, Stamped, Step, Uploaded, Verified};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpStream;

/// A running village, as its clients see it.
pub struct Client {
    address: SocketAddr,
    token: String,
    /// A connection that is kept from one request to the next.
    open: tokio::sync::Mutex<Option<SendRequest<Full<Bytes>>>>,
}

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Nobody listens there.
    #[error("no village answers at {address}: {reason}")]
    Nobody {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        reason: String,
    },
    /// It was there, and broke off.
    #[error("the village at {address} broke off: {reason}")]
    Broken {
        /// The address.
        address: SocketAddr,
        /// How.
        reason: String,
    },
    /// It said no.
    #[error("{}", .0.message)]
    Said(Reason),
}

/// Something in a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// Its name; `message` unless it has another.
    pub event: String,
    /// Its number, if it has one.
    pub id: Option<u64>,
    /// What it says.
    pub data: Value,
}

/// A stream of pieces.
pub struct Pieces {
    body: Incoming,
    address: SocketAddr,
    /// What came and is no whole piece yet.
    rest: Vec<u8>,
}

/// How long it may take until the village is reached.
const REACH: Duration = Duration::from_secs(5);

/// A piece of a stream is no larger than this.
const PIECE: usize = 256 << 20;

type Answer<T> = Result<T, Error>;

impl Client {
    /// For the village at an address, with its token.
    pub fn new(address: SocketAddr, token: impl Into<String>) -> Client {
        Client { address, token: token.into(), open: tokio::sync::Mutex::default() }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The village as a whole.
    pub async fn village(&self) -> Answer<Figures> {
        self.get("/v1/village").await
    }

    /// Keeps a component.
    pub async fn upload(&self, component: Vec<u8>) -> Answer<Uploaded> {
        let body = Full::new(Bytes::from(component));
        self.asked(Method::POST, "/v1/components", Some("application/wasm"), body).await
    }

    /// Makes an agent.
    pub async fn deploy(&self, agent: &NewAgent) -> Answer<Details> {
        self.send(Method::POST, "/v1/agents", agent).await
    }

    /// Some agents, those whose names come after `after`.
    pub async fn list(&self, after: &str) -> Answer<Agents> {
        self.get(&format!("/v1/agents?limit=1000&after={}", escaped(after))).await
    }

    /// All agents.
    pub async fn agents(&self) -> Answer<Vec<Details>> {
        let mut all = Vec::new();
        let mut after = String::new();
        loop {
            let Agents { agents, next } = self.list(&after).await?;
            all.extend(agents);
            match next {
                Some(next) => after = next,
                None => return Ok(all),
            }
        }
    }

    /// One agent.
    pub async fn details(&self, name: &str) -> Answer<Details> {
        self.get(&of(name, "")).await
    }

    /// What an agent is, in its own words.
    pub async fn card(&self, name: &str) -> Answer<Card> {
        self.get(&of(name, "/card")).await
    }

    /// Lets an agent take messages.
    pub async fn start(&self, name: &str) -> Answer<Details> {
        self.bare(Method::POST, &of(name, "/start")).await
    }

    /// Stops an agent.
    pub async fn stop(&self, name: &str) -> Answer<Details> {
        self.bare(Method::POST, &of(name, "/stop")).await
    }

    /// Removes an agent.
    pub async fn remove(&self, name: &str) -> Answer<()> {
        self.nothing(Method::DELETE, &of(name, "")).await
    }

    /// Changes fields of an agent's budget.
    pub async fn set_budget(&self, name: &str, fields: &BTreeMap<String, String>) -> Answer<Details> {
        self.send(Method::PATCH, &of(name, "/budget"), fields).await
    }

    /// The groups.
    pub async fn groups(&self) -> Answer<Groups> {
        self.get("/v1/groups").await
    }

    /// Changes what a group may use.
    pub async fn set_group(&self, name: &str, fields: &BTreeMap<String, String>) -> Answer<Groups> {
        self.send(Method::PATCH, &format!("/v1/groups/{}/budget", escaped(name)), fields).await
    }

    /// Sends a message, and waits for the answer.
    pub async fn ask(&self, name: &str, message: &Message) -> Answer<Reply> {
        self.send(Method::POST, &of(name, "/messages"), message).await
    }

    /// Sends a message, and waits until it is accepted.
    pub async fn tell(&self, name: &str, message: &Message) -> Answer<Accepted> {
        let message = Message { wait: Some(false), ..message.clone() };
        self.send(Method::POST, &of(name, "/messages"), &message).await
    }

    /// Sends a message; the parts of its answer come as they are given, and the answer at the end.
    pub async fn listen(&self, name: &str, message: &Message) -> Answer<Pieces> {
        let (kind, body) = json(message);
        self.stream(Method::POST, &of(name, "/stream"), kind, body).await
    }

    /// The last lines that an agent logged.
    pub async fn log(&self, name: &str, limit: usize) -> Answer<Log> {
        self.get(&of(name, &format!("/log?limit={limit}"))).await
    }

    /// What an agent logs, after the line with this number.
    pub async fn follow(&self, name: &str, since: u64) -> Answer<Pieces> {
        self.stream(Method::GET, &of(name, &format!("/log/follow?since={since}")), None, Full::default()).await
    }

    /// What happens, after the event with this number, or from now on.
    pub async fn events(&self, since: Option<u64>) -> Answer<Pieces> {
        let since = since.map(|since| format!("?since={since}")).unwrap_or_default();
        self.stream(Method::GET, &format!("/v1/events{since}"), None, Full::default()).await
    }

    /// Lets another component take over; its steps come as pieces `step`.
    pub async fn swap(&self, name: &str, version: &NewVersion) -> Answer<Pieces> {
        let (kind, body) = json(version);
        self.stream(Method::POST, &of(name, "/swap"), kind, body).await
    }

    /// Calls off the swap that is under way.
    pub async fn cancel_swap(&self, name: &str) -> Answer<Cancelled> {
        self.bare(Method::DELETE, &of(name, "/swap")).await
    }

    /// Lets the version before take over again.
    pub async fn rollback(&self, name: &str) -> Answer<Pieces> {
        self.stream(Method::POST, &of(name, "/rollback"), None, Full::default()).await
    }

    /// The versions that an agent had.
    pub async fn versions(&self, name: &str) -> Answer<Versions> {
        self.get(&of(name, "/versions")).await
    }

    /// Messages that were given up: one agent's, or all.
    pub async fn dead_letters(&self, agent: Option<&str>) -> Answer<DeadLetters> {
        let agent = agent.map(|agent| format!("&agent={}", escaped(agent))).unwrap_or_default();
        self.get(&format!("/v1/dead-letters?limit=1000{agent}")).await
    }

    /// Puts a dead letter back into its mailbox.
    pub async fn redrive(&self, agent: &str, id: &str) -> Answer<()> {
        self.nothing(Method::POST, &format!("/v1/dead-letters/{}/{}", escaped(agent), escaped(id))).await
    }

    /// Throws a dead letter away.
    pub async fn discard(&self, agent: &str, id: &str) -> Answer<()> {
        self.nothing(Method::DELETE, &format!("/v1/dead-letters/{}/{}", escaped(agent), escaped(id))).await
    }

    /// Entries of the journal: those after a number or the last ones, of one agent or all.
    pub async fn audit(&self, after: Option<u64>, agent: Option<&str>, limit: usize) -> Answer<Entries> {
        let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
        let agent = agent.map(|agent| format!("&agent={}", escaped(agent))).unwrap_or_default();
        self.get(&format!("/v1/audit?limit={limit}{after}{agent}")).await
    }

    /// Walks the journal's chain of hashes.
    pub async fn verify(&self) -> Answer<Verified> {
        self.bare(Method::POST, "/v1/audit/verify").await
    }

    /// Copies all that is kept into a folder of the village's machine.
    pub async fn backup(&self, folder: &Path) -> Answer<Backup> {
        let to = BackupTo { folder: folder.display().to_string() };
        self.send(Method::POST, "/v1/backup", &to).await
    }

    async fn nothing(&self, method: Method, path: &str) -> Answer<()> {
        let answer = self.request(method, path, None, Full::default()).await?;
        self.read(answer).await.map(drop)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Answer<T> {
        self.bare(Method::GET, path).await
    }

    async fn bare<T: DeserializeOwned>(&self, method: Method, path: &str) -> Answer<T> {
        self.asked(method, path, None, Full::default()).await
    }

    async fn send<T: DeserializeOwned>(&self, method: Method, path: &str, body: &impl Serialize) -> Answer<T> {
        let (kind, body) = json(body);
        self.asked(method, path, kind, body).await
    }

    async fn asked<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        kind: Option<&'static str>,
        body: Full<Bytes>,
    ) -> Answer<T> {
        let answer = self.request(method, path, kind, body).await?;
        let bytes = self.read(answer).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.broken(&error))
    }

    async fn stream(
        &self,
        method: Method,
        path: &str,
        kind: Option<&'static str>,
        body: Full<Bytes>,
    ) -> Answer<Pieces> {
        let answer = self.request(method, path, kind, body).await?;
        if answer.status() != StatusCode::OK {
            self.read(answer).await?;
            return Err(self.broken(&"it answered nothing"));
        }
        Ok(Pieces { body: answer.into_body(), address: self.address, rest: Vec::new() })
    }

    /// All of an answer, or what it says against the request.
    async fn read(&self, answer: http::Response<Incoming>) -> Answer<Bytes> {
        let status = answer.status();
        let bytes = answer.into_body().collect().await.map_err(|error| self.broken(&error))?.to_bytes();
        if status.is_success() {
            return Ok(bytes);
        }
        let failure: Result<Failure, _> = serde_json::from_slice(&bytes);
        Err(match failure {
            Ok(failure) => Error::Said(failure.error),
            Err(_) => self.broken(&format!("it answered {status}")),
        })
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        kind: Option<&'static str>,
        body: Full<Bytes>,
    ) -> Answer<http::Response<Incoming>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.address.to_string())
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        if let Some(kind) = kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let request = request.body(body).map_err(|error| self.broken(&error))?;
        let mut open = self.open.lock().await;
        let kept = match open.take() {
            // The village may have closed it meanwhile.
            Some(mut kept) => kept.ready().await.is_ok().then_some(kept),
            None => None,
        };
        let mut connection = match kept {
            Some(kept) => kept,
            None => self.connect().await?,
        };
        let answer = connection.send_request(request).await.map_err(|error| self.broken(&error))?;
        *open = Some(connection);
        Ok(answer)
    }

    async fn connect(&self) -> Answer<SendRequest<Full<Bytes>>> {
        let nobody = |reason: String| Error::Nobody { address: self.address, reason };
        let reached = tokio::time::timeout(REACH, TcpStream::connect(self.address)).await;
        let stream = match reached {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(nobody(error.to_string())),
            Err(_) => return Err(nobody("it can't be reached in time".into())),
        };
        let _ = stream.set_nodelay(true);
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| self.broken(&error))?;
        // It ends with the sender.
        tokio::spawn(connection);
        Ok(sender)
    }

    fn broken(&self, error: &dyn std::fmt::Display) -> Error {
        Error::Broken { address: self.address, reason: error.to_string() }
    }
}

impl Pieces {
    /// The next piece; none when the stream has ended.
    pub async fn next(&mut self) -> Answer<Option<Piece>> {
        loop {
            while let Some(end) = self.rest.windows(2).position(|two| two == b"\n\n") {
                let piece: Vec<u8> = self.rest.drain(..end + 2).collect();
                if let Some(piece) = piece_of(&String::from_utf8_lossy(&piece)) {
                    return Ok(Some(piece));
                }
            }
            let broken = |reason: String| Error::Broken { address: self.address, reason };
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(broken(error.to_string())),
                Some(Ok(frame)) => self.rest.extend(frame.into_data().unwrap_or_default()),
            }
            if self.rest.len() > PIECE {
                return Err(broken("a piece of the stream is too large".into()));
            }
        }
    }

    /// The next line of a log that is followed; what else the stream says is skipped.
    pub async fn line(&mut self) -> Answer<Option<Stamped<Spoken>>> {
        self.kind().await
    }

    /// The next step of a swap.
    pub async fn step(&mut self) -> Answer<Option<Step>> {
        self.kind().await
    }

    /// The next event.
    pub async fn event(&mut self) -> Answer<Option<Stamped<Event>>> {
        self.kind().await
    }

    async fn kind<T: DeserializeOwned>(&mut self) -> Answer<Option<T>> {
        while let Some(piece) = self.next().await? {
            if let Ok(one) = serde_json::from_value(piece.data) {
                return Ok(Some(one));
            }
        }
        Ok(None)
    }
}

/// A piece from its lines; none if it says nothing.
fn piece_of(text: &str) -> Option<Piece> {
    let (mut event, mut id, mut data) = ("message".to_string(), None, String::new());
    for line in text.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => event = value.into(),
            "id" => id = value.parse().ok(),
            "data" => {
                if !data.is_empty() {
                    data.push('\n');
                }
                data.push_str(value);
            }
            _ => {}
        }
    }
    (!data.is_empty()).then(|| Piece { event, id, data: serde_json::from_str(&data).unwrap_or(Value::String(data)) })
}

fn json(body: &impl Serialize) -> (Option<&'static str>, Full<Bytes>) {
    let bytes = serde_json::to_vec(body).unwrap_or_default();
    (Some("application/json"), Full::new(bytes.into()))
}

fn of(agent: &str, rest: &str) -> String {
    format!("/v1/agents/{}{rest}", escaped(agent))
}

/// A text as a part of a path or a query.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// What `agent.toml` is sent as.
pub fn manifest(text: String, path: &Path) -> ManifestText {
    ManifestText { text, path: path.display().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_read_as_they_are_written() {
        let piece = piece_of("event: part\nid: 7\ndata: {\"a\":1}\n\n").expect("a piece");
        assert_eq!((piece.event.as_str(), piece.id, &piece.data["a"]), ("part", Some(7), &1.into()));
        assert_eq!(piece_of("data: a\ndata: b\n\n").map(|piece| piece.data), Some(Value::String("a\nb".into())));
        assert_eq!(piece_of(": still here\n\n"), None);
    }

    #[test]
    fn what_is_no_plain_letter_is_escaped_in_a_path() {
        assert_eq!(of("a/b ?", "/card"), "/v1/agents/a%2Fb%20%3F/card");
    }
}
