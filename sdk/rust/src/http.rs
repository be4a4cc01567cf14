//! Outgoing HTTP, by `wasi:http`. Grant: `http`, by origin, path and method. Budget: `http`, requests per second.
//!
//! A secret that the grant names is put into the request by the host: an agent never sees it, and asks without it. Redirects are not
//! followed: the answer says where to (`location`), and the next request is judged like the first.
//!
//! ```
//! use serde::Deserialize;
//! use village::{Error, http};
//! # use village::test;
//!
//! #[derive(Deserialize)]
//! struct Weather {
//!     degrees: f32,
//! }
//!
//! fn degrees(town: &str) -> Result<f32, Error> {
//!     let answer = http::get(&format!("https://weather.example/{}", http::escape(town)))?.success()?;
//!     Ok(answer.json::<Weather>()?.degrees)
//! }
//! # let host = test::Host::new().with_http(|request| {
//! #     assert_eq!(request.url(), "https://weather.example/New%20York");
//! #     Ok(http::Response::new(200, r#"{"degrees": 21.5}"#))
//! # });
//! # assert_eq!(host.enter(|| degrees("New York")), Ok(21.5));
//! ```

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::imports::http as host;
use crate::json;
use crate::types::{Error, Limit};

/// How long an answer's body may be if nothing else is said.
const LONGEST: u64 = 16 << 20;

/// Gets what is there. See [`Request`] for everything else.
pub fn get(url: &str) -> Result<Response, Error> {
    Request::get(url).send()
}

/// Posts a value as JSON. See [`Request`] for everything else.
pub fn post<T: Serialize + ?Sized>(url: &str, value: &T) -> Result<Response, Error> {
    Request::post(url).json(value)?.send()
}

/// Waits for all answers; they come in the order of the sendings.
///
/// ```
/// use village::http::{self, Request};
/// # let host = village::test::Host::new().with_http(|request| Ok(http::Response::new(200, request.url())));
/// # host.enter(|| {
/// let both = vec![Request::get("https://a.example/").begin()?, Request::get("https://b.example/").begin()?];
/// let lengths = http::all(both).into_iter().map(|answer| answer.map(|answer| answer.body.len())).collect::<Result<Vec<_>, _>>()?;
/// # assert_eq!(lengths, [18, 18]);
/// # Ok::<_, village::Error>(())
/// # }).unwrap();
/// ```
pub fn all(sendings: Vec<Sending>) -> Vec<Result<Response, Error>> {
    sendings.into_iter().map(Sending::wait).collect()
}

/// `text` as a part of a path or query: everything but letters, digits, `-`, `.`, `_` and `~` is written as `%XX`.
pub fn escape(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push('%');
            escaped.push(char::from(HEX[usize::from(byte / 16)]));
            escaped.push(char::from(HEX[usize::from(byte % 16)]));
        }
    }
    escaped
}

/// A request. It is sent by [`send`](Request::send), or by [`begin`](Request::begin) to wait for it later.
#[derive(Clone, Debug)]
#[must_use = "it is sent by `send` or `begin`"]
pub struct Request {
    method: String,
    url: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    timeout: Option<Duration>,
    longest: u64,
}

impl Request {
    /// Any method: `GET`, `QUERY`…
    pub fn new(method: &str, url: &str) -> Request {
        Request {
            method: method.to_owned(),
            url: url.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: None,
            longest: LONGEST,
        }
    }

    /// `GET`.
    pub fn get(url: &str) -> Request {
        Request::new("GET", url)
    }

    /// `POST`.
    pub fn post(url: &str) -> Request {
        Request::new("POST", url)
    }

    /// `PUT`.
    pub fn put(url: &str) -> Request {
        Request::new("PUT", url)
    }

    /// `DELETE`.
    pub fn delete(url: &str) -> Request {
        Request::new("DELETE", url)
    }

    /// One more header. What belongs to the connection (`host`, `connection`…) is the host's, and fails with `invalid`.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Request {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// What is sent.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Request {
        self.body = body.into();
        self
    }

    /// What is sent, as JSON.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Result<Request, Error> {
        let body = json::write(value)?;
        Ok(self.header("content-type", "application/json").body(body))
    }

    /// How long the connection, the first byte, and each pause between two may take. The turn's deadline bounds it all.
    pub fn timeout(mut self, timeout: Duration) -> Request {
        self.timeout = Some(timeout);
        self
    }

    /// The most bytes that the answer's body may have; a longer one fails with `limit`. Without this: 16 MiB.
    pub fn longest(mut self, bytes: u64) -> Request {
        self.longest = bytes;
        self
    }

    /// Sends it, and waits for the whole answer.
    ///
    /// Fails with `denied` without a grant for it, `limit` (`http`) when the allowance is used up, `invalid` for what is no request,
    /// `timeout` and `unavailable`. An answer of any status is no failure: see [`Response::success`].
    pub fn send(self) -> Result<Response, Error> {
        self.begin()?.wait()
    }

    /// Sends it, and does not wait: the answer comes through the [`Sending`].
    pub fn begin(self) -> Result<Sending, Error> {
        let target = Target::of(&self.url)?;
        let host = host::begin(&self, &target)?;
        Ok(Sending { host, longest: self.longest })
    }

    /// As it was given.
    pub fn method_name(&self) -> &str {
        &self.method
    }

    /// As it was given.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Names and values, as they were given.
    pub fn headers(&self) -> &[(String, Vec<u8>)] {
        &self.headers
    }

    /// What is sent.
    pub fn sent(&self) -> &[u8] {
        &self.body
    }

    /// How long each step may take.
    pub fn patience(&self) -> Option<Duration> {
        self.timeout
    }
}

/// An answer that is on its way. Dropping it gives it up.
#[derive(Debug)]
pub struct Sending {
    host: host::Sending,
    longest: u64,
}

impl Sending {
    /// Waits for the whole answer.
    pub fn wait(self) -> Result<Response, Error> {
        self.host.wait(self.longest)
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Such as 200.
    pub status: u16,
    /// Names, in lower case, and values.
    pub headers: Vec<(String, Vec<u8>)>,
    /// May be empty.
    pub body: Vec<u8>,
}

impl Response {
    /// One without headers: for tests.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Response {
        Response { status, headers: Vec::new(), body: body.into() }
    }

    /// The first header of that name that is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(&found.1).ok()
    }

    /// The answer, if its status is one of success (200 to 299). Otherwise: 404 and 410 fail with `not-found`, 429 with `limit` (and
    /// the time that `retry-after` says), 5xx and 408 with `unavailable`, and the rest with `invalid`.
    pub fn success(self) -> Result<Response, Error> {
        let text = || format!("the server answered {}", self.status);
        Err(match self.status {
            200..=299 => return Ok(self),
            404 | 410 => Error::NotFound(text()),
            408 | 500.. => Error::Unavailable(text()),
            429 => {
                let seconds = self.header("retry-after").and_then(|after| after.parse::<u64>().ok());
                Error::Limit(Limit { what: text(), retry_after: seconds.map(|seconds| seconds.saturating_mul(1000)) })
            }
            _ => Error::Invalid(text()),
        })
    }

    /// The body as JSON. Fails with `unreadable`, which names the field.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        json::read(&self.body).map_err(|fault| Error::Unreadable(fault.text()))
    }

    /// The body as text. Fails with `unreadable` if it is not UTF-8.
    pub fn text(&self) -> Result<&str, Error> {
        std::str::from_utf8(&self.body).map_err(|error| Error::Unreadable(error.to_string()))
    }
}

/// A URL, in the parts that a request names. What they may have in them is the host's to judge.
#[cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "a host for tests is given the whole request"))]
pub(crate) struct Target<'a> {
    pub(crate) secure: bool,
    pub(crate) authority: &'a str,
    pub(crate) path: String,
}

impl Target<'_> {
    fn of(url: &str) -> Result<Target<'_>, Error> {
        let wrong = |why: &str| Err(Error::Invalid(["the address `", url, "` ", why].concat()));
        let Some((scheme, rest)) = url.split_once("://") else { return wrong("has no scheme, such as https://") };
        let secure = match scheme {
            _ if scheme.eq_ignore_ascii_case("https") => true,
            _ if scheme.eq_ignore_ascii_case("http") => false,
            _ => return wrong("is neither https nor http"),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.is_empty() {
            return wrong("names no host");
        }
        let path = if path.starts_with('/') { path.to_owned() } else { ["/", path].concat() };
        Ok(Target { secure, authority, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_where_its_parts_end() {
        for (url, secure, authority, path) in [
            ("https://a.example", true, "a.example", "/"),
            ("HTTP://a.example:81/b/c?d=e#f", false, "a.example:81", "/b/c?d=e"),
            ("https://a.example?d=/e", true, "a.example", "/?d=/e"),
            ("https://[::1]:8080/", true, "[::1]:8080", "/"),
        ] {
            let target = Target::of(url).expect(url);
            assert_eq!((target.secure, target.authority, target.path.as_str()), (secure, authority, path), "{url}");
        }
        for url in ["a.example", "ftp://a.example/", "https:///path", "https://", ""] {
            assert!(matches!(Target::of(url), Err(Error::Invalid(why)) if why.contains(url)), "{url}");
        }
    }

    #[test]
    fn what_is_no_success_says_whether_asking_again_may_help() {
        let answer = |status| Response::new(status, "").success();
        assert!(answer(204).is_ok());
        assert!(matches!(answer(404), Err(Error::NotFound(_))));
        assert!(matches!(answer(503), Err(Error::Unavailable(_))));
        assert!(matches!(answer(301), Err(Error::Invalid(_))));
        let busy = Response { headers: vec![("Retry-After".into(), b"3".to_vec())], ..Response::new(429, "") };
        assert!(matches!(busy.success(), Err(Error::Limit(limit)) if limit.retry_after == Some(3000)));
    }

    #[test]
    fn what_is_escaped_has_no_letter_left_that_means_something() {
        assert_eq!(escape("a b/ä?&%~-._"), "a%20b%2F%C3%A4%3F%26%25~-._");
    }
}
