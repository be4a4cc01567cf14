//! Asks the web: what its message says, as it says it, and answers what came back.
//!
//! A request is written as it would be sent: a line `METHOD URL`, headers, an empty line, the body.

use std::fmt::Write as _;

use guests::bindings::village::agent::log;
use guests::{Agent, Answer, Failure, FailureKind, failure, number, text, unsupported};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
    RequestOptions, Scheme,
};
use wasip2::io::streams::StreamError;

struct Fetch;

impl Agent for Fetch {
    const NAME: &'static str = "fetch";
    const SKILLS: &'static [&'static str] = &[
        "fetch", "raw", "follow", "times", "at-once", "slow", "size", "log", "print", "panic", "fail", "fields",
        "bodies",
    ];

    fn handle(skill: &str, body: Vec<u8>) -> Answer {
        let request = text(body)?;
        let reply = match skill {
            "fetch" => shown(fetch(&Asked::read(&request)?)),
            "raw" => shown(fetch(&Asked::parts(&request))),
            "follow" => shown(follow(Asked::read(&request)?)),
            "times" => times(&request)?,
            "at-once" => at_once(&request)?,
            "slow" => slow(&request)?,
            "size" => {
                fetch(&Asked::read(&request)?).map_or_else(|error| said(&error), |got| got.body.len().to_string())
            }
            "log" => format!("{:?}", log::write(log::Level::Info, &shown(fetch(&Asked::read(&request)?))).is_ok()),
            "print" => {
                let got = shown(fetch(&Asked::read(&request)?));
                println!("{got}");
                eprintln!("{got}");
                String::new()
            }
            "panic" => panic!("{}", shown(fetch(&Asked::read(&request)?))),
            "fail" => return Err(failure(FailureKind::Refused, shown(fetch(&Asked::read(&request)?)))),
            "fields" => {
                let kept: Vec<_> = (0..number(request.as_bytes(), 0)?).map(|_| Fields::new()).collect();
                kept.len().to_string()
            }
            "bodies" => bodies(number(request.as_bytes(), 0)?),
            _ => return Err(unsupported(skill)),
        };
        Ok(reply.into_bytes())
    }
}

struct Asked {
    method: String,
    scheme: Option<String>,
    authority: Option<String>,
    path: Option<String>,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

struct Got {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Asked {
    fn read(text: &str) -> Result<Asked, Failure> {
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let (method, url) = lines
            .next()
            .and_then(|line| line.split_once(' '))
            .ok_or_else(|| failure(FailureKind::Invalid, "a request begins with METHOD URL"))?;
        let headers = lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.into(), value.into()));
        let asked = Asked {
            method: method.into(),
            scheme: None,
            authority: None,
            path: None,
            headers: headers.collect(),
            body: body.into(),
        };
        Ok(asked.at(url))
    }

    /// Method, scheme, authority and path, each on a line of its own, as they are.
    fn parts(text: &str) -> Asked {
        let mut lines = text.split('\n').map(str::to_owned);
        Asked {
            method: lines.next().unwrap_or_default(),
            scheme: lines.next(),
            authority: lines.next(),
            path: lines.next(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    fn at(mut self, url: &str) -> Asked {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let cut = rest.find(['/', '?']).unwrap_or(rest.len());
        self.scheme = Some(scheme.into());
        self.authority = Some(rest[..cut].into());
        self.path = Some(rest[cut..].into());
        self
    }

    fn start(&self, options: Option<RequestOptions>) -> Result<FutureIncomingResponse, String> {
        let headers = Fields::from_list(&self.headers).map_err(|error| format!("header {error:?}"))?;
        let request = OutgoingRequest::new(headers);
        let method = match self.method.as_str() {
            "GET" => Method::Get,
            "POST" => Method::Post,
            other => Method::Other(other.to_owned()),
        };
        let scheme = self.scheme.as_ref().map(|scheme| match scheme.as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            other => Scheme::Other(other.to_owned()),
        });
        request.set_method(&method).map_err(|()| "method")?;
        request.set_scheme(scheme.as_ref()).map_err(|()| "scheme")?;
        request.set_authority(self.authority.as_deref()).map_err(|()| "authority")?;
        request.set_path_with_query(self.path.as_deref()).map_err(|()| "path")?;
        let body = (!self.body.is_empty()).then(|| request.body().expect("the first body"));
        let answer = outgoing_handler::handle(request, options).map_err(|error| format!("{error:?}"))?;
        if let Some(body) = body {
            let stream = body.write().expect("the first stream");
            for piece in self.body.chunks(4096) {
                stream.blocking_write_and_flush(piece).map_err(|_| "the body could not be sent")?;
            }
            drop(stream);
            OutgoingBody::finish(body, None).map_err(|error| format!("{error:?}"))?;
        }
        Ok(answer)
    }
}

fn fetch(asked: &Asked) -> Result<Got, String> {
    read(answered(&asked.start(None)?)?)
}

fn answered(future: &FutureIncomingResponse) -> Result<IncomingResponse, String> {
    future.subscribe().block();
    match future.get() {
        Some(Ok(Ok(answer))) => Ok(answer),
        Some(Ok(Err(error))) => Err(format!("{error:?}")),
        _ => Err("no answer".into()),
    }
}

fn read(answer: IncomingResponse) -> Result<Got, String> {
    let (status, headers) = (answer.status(), answer.headers().entries());
    let incoming = answer.consume().map_err(|()| "no body")?;
    let stream = incoming.stream().map_err(|()| "no stream")?;
    let mut body = Vec::new();
    let ended = loop {
        match stream.blocking_read(64 << 10) {
            Ok(bytes) => body.extend(bytes),
            Err(StreamError::Closed) => break Ok(()),
            Err(StreamError::LastOperationFailed(error)) => {
                let code = wasip2::http::types::http_error_code(&error);
                break Err(code.map_or_else(|| error.to_debug_string(), |code: ErrorCode| format!("{code:?}")));
            }
        }
    };
    drop(stream);
    drop(IncomingBody::finish(incoming));
    ended.map_err(|error| format!("after {} bytes: {error}", body.len()))?;
    Ok(Got { status, headers, body })
}

/// Follows redirects, five at most, as the host does not.
fn follow(mut asked: Asked) -> Result<Got, String> {
    for _ in 0..5 {
        let got = fetch(&asked)?;
        let to = got.headers.iter().find(|(name, _)| name == "location");
        let Some((_, to)) = to.filter(|_| (300..400).contains(&got.status)) else { return Ok(got) };
        asked = asked.at(&String::from_utf8_lossy(to));
    }
    Err("too many redirects".into())
}

/// `N` and a request: asks it so often in a row; answers how often that went well, and the first error.
fn times(request: &str) -> Result<String, Failure> {
    let (count, request) = request.split_once(' ').unwrap_or(("1", request));
    let asked = Asked::read(request)?;
    for done in 0..number(count.as_bytes(), 1)? {
        if let Err(error) = fetch(&asked) {
            return Ok(format!("{done} {}", said(&error)));
        }
    }
    Ok(count.to_owned())
}

/// The same, all at once; answers a line each.
fn at_once(request: &str) -> Result<String, Failure> {
    let (count, request) = request.split_once(' ').unwrap_or(("1", request));
    let asked = Asked::read(request)?;
    let all: Vec<_> = (0..number(count.as_bytes(), 1)?).map(|_| asked.start(None)).collect();
    let mut lines = String::new();
    // Each answer is kept until all are there: only then are their bodies read.
    let answers: Vec<_> = all.into_iter().map(|one| one.and_then(|future| answered(&future))).collect();
    for answer in answers {
        // Writing to a string cannot fail.
        let _ = writeln!(
            lines,
            "{}",
            answer.and_then(read).map_or_else(|error| said(&error), |got| got.status.to_string())
        );
    }
    Ok(lines)
}

/// `CONNECT FIRST BETWEEN` in milliseconds, and a request.
fn slow(request: &str) -> Result<String, Failure> {
    let mut parts = request.splitn(4, ' ');
    let options = RequestOptions::new();
    let mut time = || parts.next().and_then(|part| part.parse::<u64>().ok()).map(|millis| millis * 1_000_000);
    let set = [
        options.set_connect_timeout(time()),
        options.set_first_byte_timeout(time()),
        options.set_between_bytes_timeout(time()),
    ];
    let asked = Asked::read(parts.next().unwrap_or_default())?;
    if set.iter().any(Result::is_err) {
        return Ok("error: options".into());
    }
    Ok(shown(asked.start(Some(options)).and_then(|future| read(answered(&future)?))))
}

/// Makes requests with bodies and fills them, and sends none.
fn bodies(count: u64) -> String {
    let mut kept = Vec::new();
    for _ in 0..count {
        let request = OutgoingRequest::new(Fields::new());
        let body = request.body().expect("the first body");
        let stream = body.write().expect("the first stream");
        while let Ok(room @ 1..) = stream.check_write() {
            if stream.write(&vec![0; room as usize]).is_err() {
                break;
            }
        }
        kept.push((stream, body, request));
    }
    kept.len().to_string()
}

fn shown(got: Result<Got, String>) -> String {
    match got {
        Err(error) => said(&error),
        Ok(got) => {
            let mut text = got.status.to_string();
            for (name, value) in &got.headers {
                let _ = write!(text, "\n{name}: {}", String::from_utf8_lossy(value));
            }
            format!("{text}\n\n{}", String::from_utf8_lossy(&got.body))
        }
    }
}

fn said(error: &str) -> String {
    format!("error: {error}")
}

guests::export!(Fetch with_types_in guests::bindings);
