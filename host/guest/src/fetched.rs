//! What the web answered to a turn: written down while it passes, and given again where the turn is run again.
//!
//! A request is known by its method, its address and its body; what its headers say does not make it another one.

use crate::tape::{Bytes as Kept, Seen};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use wasmtime_wasi_http::{Error, WasiBody};

/// A request, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fetched {
    /// Of method, address and body.
    pub(crate) question: [u8; 32],
    /// Method and address.
    pub(crate) asked: String,
    /// The answer, or the word for why there was none.
    pub(crate) answer: Result<Page, String>,
}

/// An answer, as the guest got it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, Kept)>,
    pub(crate) body: Kept,
    /// Whether the body ended there; the word for why it broke off, if it did.
    pub(crate) end: Result<bool, String>,
}

/// Bytes of answers that are recorded of one turn: an answer with which there are more is not.
const MOST: usize = 1 << 20;

/// Where what the web answers to a turn is written down, or had from.
#[derive(Clone, Default)]
pub(crate) enum Wire {
    /// Nobody wants to know.
    #[default]
    Off,
    Recording(Arc<Mutex<Recorded>>),
    Playing(Arc<Mutex<Played>>),
}

#[derive(Default)]
pub(crate) struct Recorded {
    all: Vec<Slot>,
    bytes: usize,
}

/// One request of a turn that is recorded.
struct Slot {
    hasher: blake3::Hasher,
    asked: String,
    /// None until it comes, and again if there is more of it than is kept.
    answer: Option<Result<Page, String>>,
}

/// The answers that a turn had, where it is run again.
#[derive(Default)]
pub(crate) struct Played {
    left: VecDeque<Fetched>,
    /// What it asked, and the record does not have.
    missing: Vec<String>,
}

impl Wire {
    pub(crate) fn recording() -> Wire {
        Wire::Recording(Arc::default())
    }

    /// The answers among what a turn read.
    pub(crate) fn playing(reads: &[Seen]) -> Wire {
        let web = reads.iter().filter_map(|seen| match seen {
            Seen::Web(fetched) => Some((**fetched).clone()),
            _ => None,
        });
        Wire::Playing(Arc::new(Mutex::new(Played { left: web.collect(), missing: Vec::new() })))
    }

    /// Notes a request of a turn that is recorded; `clean` takes secrets out of its address. The body that comes back is the
    /// one to send.
    pub(crate) fn ask(
        &self,
        request: Request<WasiBody>,
        clean: impl Fn(&mut String),
    ) -> (Request<WasiBody>, Option<Note>) {
        let Wire::Recording(recorded) = self else { return (request, None) };
        let mut asked = named(&request);
        let hasher = begun(&request);
        clean(&mut asked);
        let mut all = recorded.lock();
        let note = Note { recorded: recorded.clone(), at: all.all.len() };
        all.bytes += asked.len() + 64;
        all.all.push(Slot { hasher, asked, answer: None });
        drop(all);
        let sent = note.clone();
        let request = request.map(|body| Tapped { body, tap: move |bytes: &Bytes| sent.sent(bytes) }.boxed_unsync());
        (request, Some(note))
    }

    /// In a turn that is run again: what was answered then. None in a turn of its own.
    pub(crate) fn again(&self) -> Option<Arc<Mutex<Played>>> {
        match self {
            Wire::Playing(played) => Some(played.clone()),
            _ => None,
        }
    }

    /// What was recorded, and whether there was more.
    pub(crate) fn take(&mut self) -> (Vec<Seen>, bool) {
        let Wire::Recording(recorded) = std::mem::take(self) else { return (Vec::new(), false) };
        let slots = std::mem::take(&mut recorded.lock().all);
        let count = slots.len();
        let whole = slots.into_iter().filter_map(|slot| {
            let question = *slot.hasher.finalize().as_bytes();
            Some(Seen::Web(Box::new(Fetched { question, asked: slot.asked, answer: slot.answer? })))
        });
        let whole: Vec<_> = whole.collect();
        let cut = whole.len() < count;
        (whole, cut)
    }

    /// Of a turn that was run again: what it asked and the record doesn't have, and what the record has that it didn't ask.
    pub(crate) fn left(&self) -> (Vec<String>, Vec<String>) {
        let Wire::Playing(played) = self else { return Default::default() };
        let played = played.lock();
        (played.missing.clone(), played.left.iter().map(|fetched| fetched.asked.clone()).collect())
    }
}

/// One request of a turn that is recorded.
#[derive(Clone)]
pub(crate) struct Note {
    recorded: Arc<Mutex<Recorded>>,
    at: usize,
}

impl Note {
    fn with(&self, change: impl FnOnce(&mut Slot)) {
        // A body may go on when the turn is over.
        if let Some(slot) = self.recorded.lock().all.get_mut(self.at) {
            change(slot);
        }
    }

    fn sent(&self, bytes: &Bytes) {
        self.with(|slot| {
            slot.hasher.update(bytes);
        });
    }

    /// Notes that there is no answer.
    pub(crate) fn failed(&self, error: &Error) {
        self.with(|slot| slot.answer = Some(Err(word(error))));
    }

    /// Notes an answer, whose body is noted as the guest reads it.
    pub(crate) fn answered(self, answer: Response<WasiBody>) -> Response<WasiBody> {
        let headers = answer.headers().iter();
        let headers: Vec<_> =
            headers.map(|(name, value)| (name.to_string(), Kept(value.as_bytes().to_vec()))).collect();
        let size = headers.iter().map(|(name, value)| name.len() + value.0.len() + 16).sum();
        let page = Page { status: answer.status().as_u16(), headers, body: Kept(Vec::new()), end: Ok(false) };
        self.with(|slot| slot.answer = Some(Ok(page)));
        self.grow(size, |_| {});
        answer.map(|body| Heard { body, note: self }.boxed_unsync())
    }

    /// Adds to the answer, unless that makes more than is kept.
    fn grow(&self, size: usize, change: impl FnOnce(&mut Page)) {
        let mut recorded = self.recorded.lock();
        recorded.bytes += size;
        let much = recorded.bytes > MOST;
        let Some(slot) = recorded.all.get_mut(self.at) else { return };
        let Some(Ok(page)) = &mut slot.answer else { return };
        let room = size + page.body.0.len();
        match much {
            false => change(page),
            true => {
                slot.answer = None;
                recorded.bytes = recorded.bytes.saturating_sub(room);
            }
        }
    }
}

impl Played {
    /// The answer that a request had.
    fn find(&mut self, question: &[u8; 32], asked: String) -> Option<Result<Page, String>> {
        match self.left.iter().position(|fetched| fetched.question == *question) {
            Some(at) => self.left.remove(at).map(|fetched| fetched.answer),
            None => {
                self.missing.push(format!("what `{asked}` was answered"));
                None
            }
        }
    }
}

/// The answer that a request had when the turn was recorded, once its body has been written; refused if it had none.
pub(crate) async fn again(
    played: Arc<Mutex<Played>>,
    request: Request<WasiBody>,
    left: Duration,
) -> Result<Response<WasiBody>, Error> {
    let (asked, mut hasher) = (named(&request), begun(&request));
    let mut body = request.into_body();
    let written = async {
        while let Some(frame) = body.frame().await {
            if let Ok(bytes) = frame?.into_data() {
                hasher.update(&bytes);
            }
        }
        Ok::<_, Error>(())
    };
    tokio::time::timeout(left, written).await.map_err(|_| Error::ConnectionTimeout)??;
    let question = *hasher.finalize().as_bytes();
    let answer = played.lock().find(&question, asked.clone());
    let page = answer.ok_or(Error::HttpRequestDenied)?.map_err(|word| error(&word))?;
    let mut response = Response::builder().status(page.status);
    for (name, value) in &page.headers {
        let pair = (HeaderName::try_from(name), HeaderValue::from_bytes(&value.0));
        if let (Ok(name), Ok(value)) = pair {
            response = response.header(name, value);
        }
    }
    let end = page.end.map_err(|word| error(&word)).map(|ended| (!ended).then_some((played, asked)));
    let body = Replayed { body: Some(page.body.0.into()), end: Some(end) };
    response.body(body.boxed_unsync()).map_err(|_| Error::HttpProtocolError)
}

fn named<B>(request: &Request<B>) -> String {
    format!("{} {}", request.method(), request.uri())
}

/// The hash of a request before its body.
fn begun<B>(request: &Request<B>) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new();
    for part in [request.method().as_str(), &request.uri().to_string()] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher
}

/// The body of a request, looked at as it is sent.
struct Tapped<F> {
    body: WasiBody,
    tap: F,
}

impl<F: Fn(&Bytes) + Unpin> Body for Tapped<F> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(bytes) = frame.data_ref()
        {
            (self.tap)(bytes);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer, noted as it is read.
struct Heard {
    body: WasiBody,
    note: Note,
}

impl Body for Heard {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(bytes) = frame.data_ref() {
                    self.note.grow(bytes.len(), |page| page.body.0.extend_from_slice(bytes));
                }
            }
            Some(Err(error)) => self.note.grow(0, |page| page.end = Err(word(error))),
            None => self.note.grow(0, |page| page.end = Ok(true)),
        }
        Poll::Ready(frame)
    }
}

/// The body of an answer that is given again. What the turn did not read then is not there now either.
struct Replayed {
    body: Option<Bytes>,
    /// How it ends: by itself, broken off, or where the record ends.
    end: Option<Result<Option<Unread>, Error>>,
}

/// What was asked where the record ends, and who is told.
type Unread = (Arc<Mutex<Played>>, String);

impl Body for Replayed {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(body) = self.body.take().filter(|body| !body.is_empty()) {
            return Poll::Ready(Some(Ok(Frame::data(body))));
        }
        Poll::Ready(match self.end.take() {
            None | Some(Ok(None)) => None,
            Some(Err(error)) => Some(Err(error)),
            Some(Ok(Some((played, asked)))) => {
                played.lock().missing.push(format!("the rest of what `{asked}` was answered"));
                Some(Err(Error::HttpResponseIncomplete))
            }
        })
    }
}

/// Errors that are known again by their words. Others are an internal error with the same text.
macro_rules! words {
    ($($name:ident)*) => {
        fn word(error: &Error) -> String {
            match error {
                $(Error::$name => stringify!($name).into(),)*
                other => other.to_string(),
            }
        }

        fn error(word: &str) -> Error {
            match word {
                $(stringify!($name) => Error::$name,)*
                other => Error::InternalError(Some(other.into())),
            }
        }
    };
}

words! {
    DnsTimeout DestinationNotFound DestinationUnavailable DestinationIpProhibited DestinationIpUnroutable ConnectionRefused
    ConnectionTerminated ConnectionTimeout ConnectionReadTimeout ConnectionWriteTimeout ConnectionLimitReached
    TlsProtocolError TlsCertificateError HttpRequestDenied HttpRequestMethodInvalid HttpRequestUriInvalid
    HttpRequestUriTooLong HttpResponseIncomplete HttpResponseTimeout HttpProtocolError ConfigurationError
}
