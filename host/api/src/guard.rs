//! Who may ask: whoever has the token, and no web page that a browser here has open.

use crate::error::Error;
use crate::routes::App;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, StatusCode, header};
use std::net::{IpAddr, SocketAddr};

/// Passes on what may pass.
pub(crate) async fn guard(State(app): State<App>, request: Request, next: Next) -> Result<Response, Error> {
    browsers(request.headers(), app.address)?;
    if !matches!(request.uri().path(), "/live" | "/ready") {
        token(request.headers(), &app)?;
    }
    Ok(next.run(request).await)
}

fn refused(status: StatusCode, kind: &'static str, message: &str) -> Error {
    Error::Request { status, kind, message: message.into() }
}

fn token(headers: &HeaderMap, app: &App) -> Result<(), Error> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given =
        given.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    match given {
        Some((_, given)) if app.token.is(given.trim()) => Ok(()),
        Some(_) => Err(refused(StatusCode::UNAUTHORIZED, "unauthorized", "the token is not this village's")),
        None => Err(refused(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "a token is needed: `authorization: Bearer TOKEN`, with what is in the file `token` of the data folder",
        )),
    }
}

/// Refuses what a web page could have sent: one whose name was bound to this machine's address, or one of another origin.
fn browsers(headers: &HeaderMap, address: SocketAddr) -> Result<(), Error> {
    let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    if headers.get_all(header::HOST).iter().count() != 1 || !is_here(host, address) {
        return Err(refused(
            StatusCode::FORBIDDEN,
            "host",
            "the `host` of the request is not this village: ask it by its address",
        ));
    }
    let foreign = match text(header::ORIGIN) {
        Some(origin) => origin.strip_prefix("http://") != Some(host),
        None => headers.contains_key(header::ORIGIN),
    };
    let fetched = text(header::HeaderName::from_static("sec-fetch-site"));
    if foreign || fetched.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return Err(refused(StatusCode::FORBIDDEN, "origin", "web pages of other origins may not ask"));
    }
    Ok(())
}

/// Whether a `host` names the address that is listened at, by that address or, on loopback, as `localhost`.
fn is_here(host: &str, address: SocketAddr) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        // The last colon may be one within an IPv6 address.
        Some((name, port)) if !port.contains(']') => (name, port.parse().ok()),
        _ => (host, Some(80)),
    };
    if port != Some(address.port()) {
        return false;
    }
    let ip = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match ip {
        // Whoever listens everywhere is asked by any address; names are what can be bound to another.
        Ok(_) if address.ip().is_unspecified() => true,
        Ok(ip) => ip == address.ip(),
        Err(_) => {
            name.eq_ignore_ascii_case("localhost") && (address.ip().is_loopback() || address.ip().is_unspecified())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn passes(headers: &[(&'static str, &'static str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        browsers(&map, SocketAddr::from(([127, 0, 0, 1], 7420))).is_ok()
    }

    #[test]
    fn only_this_address_is_this_village() {
        for host in ["127.0.0.1:7420", "localhost:7420", "LOCALHOST:7420"] {
            assert!(passes(&[("host", host)]), "{host}");
        }
        for host in ["evil.example:7420", "127.0.0.1", "127.0.0.1:80", "127.0.0.2:7420", "localhost", "", "[::1]:7420"]
        {
            assert!(!passes(&[("host", host)]), "{host}");
        }
        assert!(!passes(&[]) && !passes(&[("host", "127.0.0.1:7420"), ("host", "evil.example")]));
        let six = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 7420));
        assert!(is_here("[::1]:7420", six) && !is_here("[::2]:7420", six) && !is_here("[::1]", six));
        let all = SocketAddr::from(([0, 0, 0, 0], 7420));
        assert!(is_here("192.168.1.5:7420", all) && !is_here("evil.example:7420", all));
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        let host = ("host", "127.0.0.1:7420");
        assert!(passes(&[host, ("origin", "http://127.0.0.1:7420")]));
        assert!(passes(&[host, ("sec-fetch-site", "same-origin")]));
        for origin in ["http://evil.example", "https://127.0.0.1:7420", "null", "http://localhost:7420"] {
            assert!(!passes(&[host, ("origin", origin)]), "{origin}");
        }
        assert!(!passes(&[host, ("sec-fetch-site", "cross-site")]));
    }
}
