//! One outgoing request: judged, sent by the host, and its answer held to limits.

use crate::accounts::Accounts;
use crate::fetched::{self, Wire};
use crate::grants::Grants;
use crate::idempotency::{self, Seed};
use crate::network::{Keys, Network};
use crate::rate::Rate;
use crate::redact;
use crate::site::{Site, Target};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use runtime::Held;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::{Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks};

/// What one agent's requests are charged on.
pub(crate) struct Web {
    pub(crate) rate: Arc<Rate>,
    pub(crate) keys: Keys,
    network: Arc<Network>,
    at_once: Arc<Semaphore>,
}

/// Requests that one agent may have under way at once.
const AT_ONCE: usize = 16;

/// What a request is counted as while it is under way: buffers of both directions, and those of the encryption.
const UNDER_WAY: u64 = 192 << 10;

/// The most that is read of an answer's head.
const HEAD: usize = 64 << 10;

/// Headers that an answer may have.
const HEADERS: usize = 128;

/// What the headers of a request may have, names and values.
const SENT: usize = 32 << 10;

/// How long a path with its query may be.
const PATH: usize = 8 << 10;

/// An answer's body is no longer than this.
const LONGEST: u64 = 64 << 20;

/// How long a connection may take to be made, unless the guest wants less.
const CONNECT: Duration = Duration::from_secs(10);

/// How long an answer may pause, unless the guest wants less.
const PAUSE: Duration = Duration::from_secs(30);

/// What a guest may write at once into a body, and how many such pieces wait.
pub(crate) const PIECE: usize = 16 << 10;
pub(crate) const PIECES: usize = 1;

impl Web {
    pub(crate) fn new(rate: Arc<Rate>, network: Arc<Network>, keys: Keys) -> Web {
        let at_once = Arc::new(Semaphore::new(AT_ONCE));
        Web { rate, keys, network, at_once }
    }
}

/// What stands between a guest and the network.
pub(crate) struct Hooks {
    pub(crate) grants: Arc<Grants>,
    pub(crate) accounts: Arc<Accounts>,
    /// When the turn under way must have ended.
    pub(crate) until: u64,
    /// Where what is answered is written down, or had from.
    pub(crate) wire: Wire,
    /// What the next request that changes something is known by, at each try of its turn; none if that is tried once.
    /// Taken by such a request.
    pub(crate) seed: Option<Seed>,
}

/// A request that may be sent.
struct Admitted {
    request: Request<WasiBody>,
    target: Target,
    permit: OwnedSemaphorePermit,
    held: Held,
}

/// Headers that belong to the connection, beside those that are forbidden anyway.
const HOPS: [HeaderName; 3] = [header::TE, header::TRAILER, header::EXPECT];

type Driver = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for Hooks {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(|name| wasmtime_wasi_http::DEFAULT_FORBIDDEN_HEADERS.contains(name) || HOPS.contains(name))
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _sent: Driver,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Driver), Error>> + Send> {
        let left = Duration::from_nanos(self.until.saturating_sub(runtime::clock::now()));
        if let Some(played) = self.wire.again() {
            return Box::new(async move {
                let none: Driver = Box::new(std::future::ready(Ok(())));
                Ok((fetched::again(played, request, left).await?, none))
            });
        }
        let redactor = &self.accounts.http.keys.redactor;
        let (request, note) = self.wire.ask(request, |text| redactor.clean(text));
        let admitted = self.admit(request);
        let web = self.accounts.clone();
        Box::new(async move {
            let sent = match admitted {
                Ok(admitted) => send(admitted, options.unwrap_or_default(), left, &web.http).await,
                Err(refused) => Err(refused),
            };
            match (sent, note) {
                (Ok((answer, driver)), Some(note)) => Ok((note.answered(answer), driver)),
                (Err(error), Some(note)) => {
                    note.failed(&error);
                    Err(error)
                }
                (sent, None) => sent,
            }
        })
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        PIECES
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        PIECE
    }
}

impl Hooks {
    /// Judges a request by grants, form and budget, in that order, and puts in what the host adds.
    fn admit(&mut self, mut request: Request<WasiBody>) -> Result<Admitted, Error> {
        if self.grants.http.is_empty() {
            return Err(Error::HttpRequestDenied);
        }
        let target = Target::of(request.method(), request.uri()).map_err(|_| Error::HttpRequestUriInvalid)?;
        let site = self.grants.http.iter().find(|site| site.allows(&target)).ok_or(Error::HttpRequestDenied)?;
        if request.uri().path_and_query().is_some_and(|path| path.as_str().len() > PATH) {
            return Err(Error::HttpRequestUriTooLong);
        }
        let size = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>();
        if size > SENT {
            return Err(Error::HttpRequestHeaderSectionSize(u32::try_from(size).ok()));
        }
        if self.accounts.out_of_reach() {
            return Err(Error::HttpRequestDenied);
        }
        self.dress(request.headers_mut(), site, &target)?;
        idempotency::mark(&mut self.seed, &mut request);
        let web = &self.accounts.http;
        web.rate.take(1, runtime::clock::now()).map_err(|_| Error::ConnectionLimitReached)?;
        let permit = web.at_once.clone().try_acquire_owned().map_err(|_| Error::ConnectionLimitReached)?;
        let held = self.accounts.memory.hold(UNDER_WAY);
        let held = held.map_err(|full| Error::InternalError(Some(format!("memory: {full}"))))?;
        Ok(Admitted { request, target, permit, held })
    }

    /// Names the receiver as it was judged, and adds the secret, which the guest may not have set itself.
    fn dress(&self, headers: &mut HeaderMap, site: &Site, target: &Target) -> Result<(), Error> {
        let host = HeaderValue::from_str(&target.authority()).map_err(|_| Error::HttpRequestUriInvalid)?;
        headers.insert(header::HOST, host);
        let keys = &self.accounts.http.keys;
        if !keys.redactor.is_empty() {
            // What is compressed can't be searched.
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        let Some(key) = site.key() else { return Ok(()) };
        // A part of an answer could hold a part of a secret.
        if headers.contains_key(&key.header) || headers.contains_key(header::RANGE) {
            return Err(Error::HttpRequestDenied);
        }
        let value = keys.value(&key.secret).and_then(|value| key.fill(value)).ok_or(Error::ConfigurationError)?;
        headers.insert(key.header.clone(), value);
        Ok(())
    }
}

async fn send(
    Admitted { mut request, target, permit, held }: Admitted,
    options: RequestOptions,
    left: Duration,
    web: &Web,
) -> Result<(Response<WasiBody>, Driver), Error> {
    let until = Instant::now() + left;
    let connect = options.connect_timeout.unwrap_or(CONNECT).min(CONNECT).min(left);
    let connecting = tokio::time::timeout(connect, web.network.connect(&target, permit));
    let (wire, permit) = connecting.await.map_err(|_| Error::ConnectionTimeout)??;
    // The receiver is who is connected to: the line of the request has only the path.
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let path = if path.starts_with('?') { format!("/{path}") } else { path.into() };
    *request.uri_mut() = path.parse().map_err(|_| Error::HttpRequestUriInvalid)?;

    let mut client = hyper::client::conn::http1::Builder::new();
    client.max_buf_size(HEAD).max_headers(HEADERS);
    let (mut sender, mut connection) = client.handshake(TokioIo::new(wire)).await.map_err(broken)?;
    let first = options.first_byte_timeout.unwrap_or(left).min(left);
    let mut closed = false;
    let answered = tokio::time::timeout(first, async {
        let mut answering = std::pin::pin!(sender.send_request(request));
        tokio::select! {
            biased;
            answer = &mut answering => answer,
            ended = &mut connection => {
                closed = true;
                ended?;
                answering.await
            }
        }
    });
    let answer = answered.await.map_err(|_| Error::ConnectionReadTimeout)?.map_err(broken)?;
    let pause = options.between_bytes_timeout.unwrap_or(PAUSE).min(PAUSE);
    let answer = bounded(answer, Bounds { pause, until, permit, held }, &web.keys)?;
    Ok((answer, Box::new(async move { if closed { Ok(()) } else { connection.await.map_err(broken) } })))
}

/// What went wrong on the wire.
fn broken(error: hyper::Error) -> Error {
    match () {
        () if error.is_incomplete_message() => Error::HttpResponseIncomplete,
        () if error.is_parse_too_large() => Error::HttpResponseHeaderSectionSize(None),
        () if error.is_closed() || error.is_canceled() => Error::ConnectionTerminated,
        // A connection that ends in the midst of a body is an error of the reader's.
        () if error.is_body_write_aborted() => Error::HttpRequestBodySize(None),
        () if error.is_parse() => Error::HttpProtocolError,
        () => match std::error::Error::source(&error).and_then(|source| source.downcast_ref::<std::io::Error>()) {
            Some(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => Error::HttpResponseIncomplete,
            Some(_) => Error::ConnectionTerminated,
            None => Error::HttpProtocolError,
        },
    }
}

/// What an error in the midst of a body is to the guest.
pub(crate) fn code(error: &Error) -> ErrorCode {
    match error {
        Error::HttpResponseIncomplete => ErrorCode::HttpResponseIncomplete,
        Error::HttpResponseBodySize(size) => ErrorCode::HttpResponseBodySize(*size),
        Error::HttpRequestBodySize(size) => ErrorCode::HttpRequestBodySize(*size),
        Error::ConnectionReadTimeout => ErrorCode::ConnectionReadTimeout,
        Error::ConnectionTerminated => ErrorCode::ConnectionTerminated,
        _ => ErrorCode::HttpProtocolError,
    }
}

struct Bounds {
    pause: Duration,
    until: Instant,
    permit: OwnedSemaphorePermit,
    held: Held,
}

/// The answer as the guest gets it: without secrets, and with a body that ends.
fn bounded(answer: Response<Incoming>, bounds: Bounds, keys: &Keys) -> Result<Response<WasiBody>, Error> {
    let (mut parts, incoming) = answer.into_parts();
    if let Some(size) = incoming.size_hint().exact().filter(|size| *size > LONGEST) {
        return Err(Error::HttpResponseBodySize(Some(size)));
    }
    let mut clean = None;
    if !keys.redactor.is_empty() {
        if let Some(coding) = parts.headers.get(header::CONTENT_ENCODING).filter(|coding| *coding != "identity") {
            return Err(Error::HttpResponseContentCoding(
                coding.to_str().ok().map(|text| keys.redactor.text(text).into()),
            ));
        }
        redact_headers(&mut parts.headers, &keys.redactor);
        clean = Some(redact::Stream::new(keys.redactor.clone()));
    }
    let body = Answer {
        incoming,
        left: LONGEST,
        clean,
        pause: bounds.pause,
        until: bounds.until,
        timer: None,
        ended: false,
        _held: bounds.held,
        _permit: bounds.permit,
    };
    Ok(Response::from_parts(parts, body.boxed_unsync()))
}

fn redact_headers(headers: &mut HeaderMap, redactor: &redact::Redactor) {
    // The body may become longer or shorter.
    headers.remove(header::CONTENT_LENGTH);
    let told = |name: &HeaderName| matches!(redactor.bytes(name.as_str().as_bytes()), std::borrow::Cow::Owned(_));
    let names: Vec<_> = headers.keys().filter(|name| told(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
    for value in headers.values_mut() {
        if let std::borrow::Cow::Owned(clean) = redactor.bytes(value.as_bytes()) {
            *value = HeaderValue::from_bytes(&clean).unwrap_or(HeaderValue::from_static(""));
        }
    }
}

/// The body of an answer. It ends: by itself, by its size, by a pause, or with the turn in which it was asked for.
struct Answer {
    incoming: Incoming,
    left: u64,
    clean: Option<redact::Stream>,
    pause: Duration,
    until: Instant,
    /// Runs while nothing arrives.
    timer: Option<Pin<Box<Sleep>>>,
    ended: bool,
    _held: Held,
    _permit: OwnedSemaphorePermit,
}

impl Answer {
    /// What a frame becomes for the guest; none if nothing of it can be passed on yet.
    fn pass(&mut self, frame: Frame<Bytes>) -> Result<Option<Frame<Bytes>>, Error> {
        let bytes = match frame.into_data() {
            Ok(bytes) => bytes,
            Err(trailers) => return Ok(Some(trailers).filter(|_| self.clean.is_none())),
        };
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or(Error::HttpResponseBodySize(Some(LONGEST)))?;
        let bytes = match &mut self.clean {
            Some(clean) => clean.push(&bytes).into(),
            None => bytes,
        };
        Ok(Some(bytes).filter(|bytes| !bytes.is_empty()).map(Frame::data))
    }

    /// What was held back, when nothing more arrives.
    fn rest(&mut self) -> Option<Frame<Bytes>> {
        self.ended = true;
        let rest = self.clean.as_mut().map(redact::Stream::finish).unwrap_or_default();
        (!rest.is_empty()).then(|| Frame::data(rest.into()))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        loop {
            match Pin::new(&mut self.incoming).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.timer = None;
                    match self.pass(frame) {
                        Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                        Ok(None) => {}
                        Err(error) => {
                            self.ended = true;
                            return Poll::Ready(Some(Err(error)));
                        }
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(broken(error))));
                }
                Poll::Ready(None) => return Poll::Ready(self.rest().map(Ok)),
                Poll::Pending => break,
            }
        }
        let at = (Instant::now() + self.pause).min(self.until);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => {
                self.ended = true;
                Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}
