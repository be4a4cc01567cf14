//! No agent: it answers HTTP requests, and misbehaves where the path asks for it.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

struct Serve;

static COUNT: AtomicU64 = AtomicU64::new(0);

impl wasip2::exports::http::incoming_handler::Guest for Serve {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let n = query.parse().unwrap_or(0);
        match path {
            "/" => answer(out, 200, &[("content-type", "text/plain")], b"hello\n"),
            "/echo" => {
                let text = echo(request);
                answer(out, 201, &[("x-one", "1"), ("set-cookie", "a=b"), ("set-cookie", "c=d")], &text);
            }
            "/count" => {
                let count = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
                answer(out, 200, &[], count.to_string().as_bytes());
            }
            "/print" => {
                println!("{query}");
                answer(out, 204, &[], b"");
            }
            "/big" => answer(out, 200, &[], &vec![b'x'; n]),
            "/flood" => flood(out),
            "/trap" => panic!("an inner detail"),
            "/spin" => loop {
                std::hint::black_box(n);
            },
            "/none" => {}
            "/error" => ResponseOutparam::set(out, Err(ErrorCode::HttpProtocolError)),
            "/half" => half(out),
            "/after" => {
                answer(out, 200, &[], b"too early");
                panic!("an inner detail");
            }
            "/memory" => {
                let mut kept: Vec<Vec<u8>> = Vec::new();
                loop {
                    kept.push(vec![1; 1 << 20]);
                }
            }
            _ => answer(out, 404, &[], b"not found\n"),
        }
    }
}

fn answer(out: ResponseOutparam, status: u16, headers: &[(&str, &str)], bytes: &[u8]) {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    let answer = OutgoingResponse::new(Fields::from_list(&headers).expect("good headers"));
    answer.set_status_code(status).expect("a good status");
    let body = answer.body().expect("the first body");
    ResponseOutparam::set(out, Ok(answer));
    let stream = body.write().expect("the first stream");
    for piece in bytes.chunks(4096) {
        if stream.blocking_write_and_flush(piece).is_err() {
            return;
        }
    }
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

/// The request as text.
fn echo(request: IncomingRequest) -> Vec<u8> {
    let method = match request.method() {
        Method::Get => "GET".into(),
        Method::Post => "POST".into(),
        Method::Other(other) => other,
        other => format!("{other:?}"),
    };
    let mut text = format!("{method} {}\n", request.path_with_query().unwrap_or_default());
    for (name, value) in request.headers().entries() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name}: {}", String::from_utf8_lossy(&value));
    }
    let mut bytes = text.into_bytes();
    bytes.push(b'\n');
    let incoming = request.consume().expect("the first body");
    let stream = incoming.stream().expect("the first stream");
    while let Ok(piece) = stream.blocking_read(64 << 10) {
        bytes.extend(piece);
    }
    drop(stream);
    drop(IncomingBody::finish(incoming));
    bytes
}

/// Writes for ever, as long as anybody takes it.
fn flood(out: ResponseOutparam) {
    let answer = OutgoingResponse::new(Fields::new());
    let body = answer.body().expect("the first body");
    ResponseOutparam::set(out, Ok(answer));
    let stream = body.write().expect("the first stream");
    while stream.blocking_write_and_flush(&[b'x'; 4096]).is_ok() {}
}

/// Promises ten bytes and writes five.
fn half(out: ResponseOutparam) {
    let headers = Fields::from_list(&[("content-length".to_owned(), b"10".to_vec())]).expect("good headers");
    let answer = OutgoingResponse::new(headers);
    let body = answer.body().expect("the first body");
    ResponseOutparam::set(out, Ok(answer));
    let stream = body.write().expect("the first stream");
    let _ = stream.blocking_write_and_flush(b"12345");
}

wasip2::http::proxy::export!(Serve);
