//! A request by `wasi:http`.

use std::time::Duration;

use crate::bindings::wasi::http::outgoing_handler;
use crate::bindings::wasi::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions,
    Scheme,
};
use crate::bindings::wasi::io::streams::{InputStream, StreamError};
use crate::http::{Request, Response, Target};
use crate::types::{Error, Limit};

/// What is read and written at once.
const PIECE: u64 = 64 << 10;

#[derive(Debug)]
pub(crate) struct Sending(FutureIncomingResponse);

pub(crate) fn begin(request: &Request, target: &Target<'_>) -> Result<Sending, Error> {
    let fields = Fields::new();
    for (name, value) in request.headers() {
        let fits = fields.append(name, value);
        fits.map_err(|_| Error::Invalid(["the header `", name, "` can't be sent"].concat()))?;
    }
    let outgoing = OutgoingRequest::new(fields);
    let scheme = if target.secure { Scheme::Https } else { Scheme::Http };
    set(outgoing.set_method(&method(request.method_name())), "the method")?;
    set(outgoing.set_scheme(Some(&scheme)), "the scheme")?;
    set(outgoing.set_authority(Some(target.authority)), "the host")?;
    set(outgoing.set_path_with_query(Some(&target.path)), "the path")?;
    let body = set(outgoing.body(), "the body")?;
    let options = request.patience().map(options).transpose()?;
    let sending = outgoing_handler::handle(outgoing, options).map_err(error)?;
    send(body, request.sent())?;
    Ok(Sending(sending))
}

fn set<T>(outcome: Result<T, ()>, what: &str) -> Result<T, Error> {
    outcome.map_err(|()| Error::Invalid([what, " of the request"].concat()))
}

fn options(patience: Duration) -> Result<RequestOptions, Error> {
    let options = RequestOptions::new();
    let nanoseconds = Some(u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX));
    set(options.set_connect_timeout(nanoseconds), "the time-out")?;
    set(options.set_first_byte_timeout(nanoseconds), "the time-out")?;
    set(options.set_between_bytes_timeout(nanoseconds), "the time-out")?;
    Ok(options)
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}

/// Writes the body while the host sends it. A server that answers without having read it all is no error: the answer says why.
fn send(body: OutgoingBody, mut bytes: &[u8]) -> Result<(), Error> {
    let stream = set(body.write(), "the body")?;
    while !bytes.is_empty() {
        match stream.check_write() {
            Ok(0) => stream.subscribe().block(),
            Ok(room) => {
                let (piece, rest) = bytes.split_at(bytes.len().min(room as usize));
                if stream.write(piece).is_err() {
                    break;
                }
                bytes = rest;
            }
            Err(_) => break,
        }
    }
    drop(stream);
    if bytes.is_empty() {
        OutgoingBody::finish(body, None).map_err(error)?;
    }
    Ok(())
}

impl Sending {
    pub(crate) fn wait(self, longest: u64) -> Result<Response, Error> {
        loop {
            match self.0.get() {
                None => self.0.subscribe().block(),
                Some(Ok(Ok(response))) => return receive(response, longest),
                Some(Ok(Err(code))) => return Err(error(code)),
                Some(Err(())) => return Err(Error::Invalid("the answer was given already".to_owned())),
            }
        }
    }
}

fn receive(response: IncomingResponse, longest: u64) -> Result<Response, Error> {
    let status = response.status();
    let headers = response.headers().entries();
    let incoming = set(response.consume(), "the answer's body")?;
    // Declared behind the body, so that it is dropped before it.
    let stream = set(incoming.stream(), "the answer's body")?;
    let body = read(&stream, longest)?;
    Ok(Response { status, headers, body })
}

fn read(stream: &InputStream, longest: u64) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    loop {
        match stream.read(PIECE) {
            Ok(piece) if piece.is_empty() => stream.subscribe().block(),
            Ok(piece) => body.extend(piece),
            Err(StreamError::Closed) => return Ok(body),
            Err(StreamError::LastOperationFailed(error)) => return Err(Error::Unavailable(error.to_debug_string())),
        }
        if body.len() as u64 > longest {
            return Err(Error::Limit(Limit { what: "the length of the answer".to_owned(), retry_after: None }));
        }
    }
}

fn error(code: ErrorCode) -> Error {
    match code {
        ErrorCode::HttpRequestDenied => Error::Denied("no grant opens `http` for this request".to_owned()),
        ErrorCode::DestinationIpProhibited => Error::Denied("the address is not for agents".to_owned()),
        ErrorCode::ConnectionLimitReached => Error::Limit(Limit { what: "http".to_owned(), retry_after: None }),
        ErrorCode::DestinationNotFound => Error::NotFound("the host".to_owned()),
        ErrorCode::DnsTimeout
        | ErrorCode::ConnectionTimeout
        | ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout
        | ErrorCode::HttpResponseTimeout => Error::Timeout(format!("{code:?}")),
        ErrorCode::HttpRequestMethodInvalid
        | ErrorCode::HttpRequestUriInvalid
        | ErrorCode::HttpRequestUriTooLong
        | ErrorCode::HttpRequestLengthRequired
        | ErrorCode::HttpRequestBodySize(_)
        | ErrorCode::HttpRequestHeaderSectionSize(_)
        | ErrorCode::HttpRequestHeaderSize(_) => Error::Invalid(format!("{code:?}")),
        other => Error::Unavailable(format!("{other:?}")),
    }
}
