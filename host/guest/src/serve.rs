//! HTTP for those outside: each request is a message to an agent, and its reply the answer.
//!
//! Whoever asks is not trusted: connections, heads, bodies and waiting are all bounded, and what went wrong inside is not
//! told to the outside.

use crate::agent::Agent;
use crate::reception::{Limits, receive};
use crate::service;
use agents::{Error as Failed, Receipt, Refusal};
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use runtime::{Fault, Message, Payload, Priority, Quota, Sender};
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;

/// One request, and what came of it.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The method.
    pub method: String,
    /// The path, without its query.
    pub path: String,
    /// The answer's status.
    pub status: u16,
    /// How long it took, waiting for its turn included.
    pub took: Duration,
    /// What the turn used; nothing if there was none.
    pub receipt: Receipt,
    /// What went wrong inside, which the client was not told.
    pub problem: Option<String>,
}

/// Serves an agent that answers HTTP requests.
pub struct Server {
    agent: Arc<Agent>,
    /// The bytes of bodies that wait for their turn. They have an account of their own, so that whoever sends can't take
    /// the agent's memory.
    waiting: Arc<Quota>,
    told: Box<dyn Fn(&Exchange) + Send + Sync>,
    count: AtomicU64,
}

const LIMITS: Limits = Limits {
    connections: 256,
    head: 16 << 10,
    fields: service::HEADERS,
    patience: Duration::from_secs(10),
    farewell: Duration::from_secs(5),
};

/// How long a body may take.
const UPLOAD: Duration = Duration::from_secs(30);

/// Bytes of bodies that may wait, all together.
const WAITING: u64 = 4 << 20;

impl Server {
    /// For an agent whose version is a [service](runtime::Kind::Service). `told` hears of each request when it is over.
    pub fn new(agent: Agent, told: impl Fn(&Exchange) + Send + Sync + 'static) -> Arc<Server> {
        let agent = Arc::new(agent);
        Arc::new(Server { agent, waiting: Quota::new(WAITING), told: Box::new(told), count: AtomicU64::new(0) })
    }

    /// The agent.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Serves until `stop`; what is under way then has a little time to end.
    pub async fn run(self: Arc<Server>, listener: TcpListener, stop: impl Future<Output = ()>) {
        let answer = hyper::service::service_fn(move |request| {
            let server = self.clone();
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        receive(listener, LIMITS, stop, answer).await;
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let begun = Instant::now();
        let mut exchange = Exchange {
            method: request.method().to_string(),
            path: request.uri().path().into(),
            status: 0,
            took: Duration::ZERO,
            receipt: Receipt::default(),
            problem: None,
        };
        let answer = match self.turn(request, &mut exchange).await {
            Ok(answer) => answer,
            Err(status) => short(status),
        };
        exchange.status = answer.status().as_u16();
        exchange.took = begun.elapsed();
        (self.told)(&exchange);
        answer
    }

    /// One request as one turn, or the status that says why not.
    async fn turn(
        &self,
        request: Request<Incoming>,
        exchange: &mut Exchange,
    ) -> Result<Response<Full<Bytes>>, StatusCode> {
        sound(&request)?;
        let (parts, body) = request.into_parts();
        let held = match body.size_hint().upper() {
            Some(size) if size > WAITING => return Err(StatusCode::PAYLOAD_TOO_LARGE),
            // Of a body that doesn't say how long it is, all that there may be is set aside.
            size => self.waiting.hold(size.unwrap_or(WAITING / 4)).map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?,
        };
        let bytes = tokio::time::timeout(UPLOAD, Limited::new(body, held.bytes() as usize).collect()).await;
        let bytes = match bytes.map_err(|_| StatusCode::REQUEST_TIMEOUT)? {
            Ok(bytes) => bytes.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(StatusCode::PAYLOAD_TOO_LARGE),
            Err(_) => return Err(StatusCode::BAD_REQUEST),
        };
        let message = self.message(service::write_request(&Request::from_parts(parts, ()), &bytes));
        drop(bytes);
        let answered = self.agent.ask(message).await;
        drop(held);
        let answer = answered.map_err(|refusal| {
            exchange.problem = Some(refusal.to_string());
            match refusal {
                Refusal::Full { .. } | Refusal::Stopped => StatusCode::SERVICE_UNAVAILABLE,
            }
        })?;
        exchange.receipt = answer.receipt;
        let reply = answer.outcome.map_err(|error| {
            exchange.problem = Some(error.to_string());
            match error {
                Failed::Broke(Fault::Deadline { .. }) => StatusCode::GATEWAY_TIMEOUT,
                Failed::Broke(Fault::Stopped | Fault::Linked { .. } | Fault::Refused { .. }) => {
                    StatusCode::SERVICE_UNAVAILABLE
                }
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            }
        })?;
        let answer = service::read_answer(reply.payload.body).ok_or(StatusCode::INTERNAL_SERVER_ERROR)?;
        Ok(answer.map(Full::new))
    }

    fn message(&self, body: Vec<u8>) -> Message {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Message {
            id: format!("http-{}", self.count.fetch_add(1, Relaxed)),
            sender: Sender::Client(String::new()),
            skill: String::new(),
            payload: Payload { content_type: service::HTTP.into(), body },
            priority: Priority::Normal,
            attempt: 1,
            accepted: u64::try_from(now).unwrap_or(u64::MAX),
        }
    }
}

/// Refuses what two servers in a row could read in two ways, and what is no request for a service.
fn sound<B>(request: &Request<B>) -> Result<(), StatusCode> {
    let headers = request.headers();
    let count = |name| headers.get_all(name).iter().count();
    let framed = count(header::CONTENT_LENGTH) + count(header::TRANSFER_ENCODING);
    if count(header::HOST) != 1 || framed > 1 || request.uri().authority().is_some() {
        return Err(StatusCode::BAD_REQUEST);
    }
    match *request.method() {
        Method::CONNECT | Method::TRACE => Err(StatusCode::NOT_IMPLEMENTED),
        _ if headers.contains_key(header::UPGRADE) => Err(StatusCode::NOT_IMPLEMENTED),
        _ => Ok(()),
    }
}

/// An answer that says no more than its status.
fn short(status: StatusCode) -> Response<Full<Bytes>> {
    let text = status.canonical_reason().unwrap_or_default();
    let mut answer = Response::new(Full::new(Bytes::from(format!("{text}\n"))));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}

/// Reads an address to listen at: `8080` and `:8080` are of this machine only.
pub fn address(text: &str) -> Option<SocketAddr> {
    let port = text.strip_prefix(':').unwrap_or(text);
    match port.parse::<u16>() {
        Ok(port) => Some(SocketAddr::from(([127, 0, 0, 1], port))),
        Err(_) => text.replace("localhost:", "127.0.0.1:").parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_of_this_machine_unless_it_says_otherwise() {
        for text in ["8080", ":8080", "127.0.0.1:8080", "localhost:8080"] {
            assert_eq!(address(text), Some(SocketAddr::from(([127, 0, 0, 1], 8080))), "{text}");
        }
        assert!(address("0.0.0.0:80").is_some_and(|address| address.ip().is_unspecified()));
        assert!(address("[::1]:80").is_some() && address("example.com:80").is_none() && address("70000").is_none());
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let refused = |headers: &[(&'static str, &'static str)], uri: &str| {
            let mut request = Request::new(());
            *request.uri_mut() = uri.parse().expect("a URI");
            for (name, value) in headers {
                request.headers_mut().append(*name, HeaderValue::from_static(value));
            }
            sound(&request).err().map(|status| status.as_u16())
        };
        assert_eq!(refused(&[("host", "a")], "/"), None);
        assert_eq!(refused(&[("host", "a"), ("content-length", "1")], "/"), None);
        assert_eq!(refused(&[], "/"), Some(400));
        assert_eq!(refused(&[("host", "a"), ("host", "b")], "/"), Some(400));
        assert_eq!(
            refused(&[("host", "a"), ("content-length", "1"), ("transfer-encoding", "chunked")], "/"),
            Some(400)
        );
        assert_eq!(refused(&[("host", "a")], "http://b/"), Some(400));
        assert_eq!(refused(&[("host", "a"), ("upgrade", "h2c")], "/"), Some(501));
    }
}
