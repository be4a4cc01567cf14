//! A component that serves HTTP, asked as an agent: a message is a request, and its reply the answer.
//!
//! A request comes as the bytes of an HTTP message (`message/http`), or as JSON for those who ask by hand. The answer is
//! kept until the turn has ended well, so that nobody sees half of what failed.

use crate::ctx::Ctx;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use runtime::{Card, Failure, FailureKind, Held, Message, Payload, Quota, Reply, Skill};
use serde_json::{Map, Value, json};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime::component::ResourceTable;
use wasmtime_wasi_http::WasiHttpView as _;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

/// The bytes of an HTTP message, as a payload's content type.
pub(crate) const HTTP: &str = "message/http";
const JSON: &str = "application/json";

/// The one skill of a service.
const SKILL: &str = "http";

/// Headers that a message may have.
pub(crate) const HEADERS: usize = 100;

/// An answer is no longer than this, however much memory there is.
const LONGEST: u64 = 64 << 20;

type Asked = Request<Full<Bytes>>;
type Answered = Result<Response<HyperOutgoingBody>, ErrorCode>;

/// Hands a message to an instance that is made for it.
pub(crate) async fn handle(
    service: &ProxyPre<Ctx>,
    store: &mut Store<Ctx>,
    message: &Message,
) -> wasmtime::Result<Result<Reply, Failure>> {
    if !["", SKILL].contains(&message.skill.as_str()) {
        return Ok(Err(failure(FailureKind::Unsupported, format!("no skill `{}`: there is `{SKILL}`", message.skill))));
    }
    let raw = message.payload.content_type == HTTP;
    let read = if raw { read_http(&message.payload.body) } else { read_json(&message.payload.body) };
    let asked = match read {
        Ok(asked) => asked,
        Err(problem) => return Ok(Err(failure(FailureKind::Invalid, problem))),
    };
    let head = asked.method() == Method::HEAD;
    let memory = store.data().accounts.memory.clone();
    // The body is beside the message that it came in.
    let _held = memory.hold(message.payload.body.len() as u64)?;
    let answer = match call(service, store, asked, &memory).await? {
        Ok(answer) => answer,
        Err(problem) => return Ok(Err(failure(FailureKind::Internal, problem))),
    };
    let payload = match raw {
        true => Payload { content_type: HTTP.into(), body: write_answer(&answer, head) },
        false => Payload { content_type: JSON.into(), body: answer_json(&answer).to_string().into_bytes() },
    };
    Ok(Ok(Reply { payload }))
}

/// Calls the handler, and gathers its answer meanwhile: a guest that writes waits until somebody reads.
async fn call(
    service: &ProxyPre<Ctx>,
    store: &mut Store<Ctx>,
    asked: Asked,
    memory: &Arc<Quota>,
) -> wasmtime::Result<Result<Response<Bytes>, String>> {
    let (tell, told) = oneshot::channel();
    let mut http = store.data_mut().http();
    let request = http.new_incoming_request(Scheme::Http, asked)?;
    let out = http.new_response_outparam(tell)?;
    let instance = service.instantiate_async(&mut *store).await?;
    let mut gathering = pin!(gather(told, memory.hold(0)?));
    let mut gathered = None;
    {
        let mut calling = pin!(instance.wasi_http_incoming_handler().call_handle(&mut *store, request, out));
        std::future::poll_fn(|cx| {
            let called = calling.as_mut().poll(cx);
            if gathered.is_none()
                && let Poll::Ready(answer) = gathering.as_mut().poll(cx)
            {
                gathered = Some(answer);
            }
            called
        })
        .await?;
    }
    if gathered.is_none() {
        // Whatever the guest left open is closed.
        store.data_mut().table = ResourceTable::new();
        gathered = Some(gathering.await);
    }
    gathered.unwrap_or_else(|| Ok(Err("it did not answer".into())))
}

async fn gather(
    told: oneshot::Receiver<Answered>,
    mut held: Held,
) -> wasmtime::Result<Result<Response<Bytes>, String>> {
    let (parts, mut body) = match told.await {
        Ok(Ok(answer)) => answer.into_parts(),
        Ok(Err(code)) => return Ok(Err(format!("it answered with an error: {code}"))),
        Err(_) => return Ok(Err("it did not answer".into())),
    };
    let mut bytes: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Ok(Err("it did not finish its answer".into())) };
        let Ok(piece) = frame.into_data() else { continue };
        let size = bytes.len() + piece.len();
        if size as u64 > LONGEST {
            return Ok(Err(format!("its answer is longer than {}", base::Size::bytes(LONGEST))));
        }
        if size > bytes.capacity() {
            let capacity = size.max(bytes.capacity() * 2);
            held.resize(capacity as u64)?;
            bytes.reserve_exact(capacity - bytes.len());
        }
        bytes.extend_from_slice(&piece);
    }
    let promised = parts.headers.get(header::CONTENT_LENGTH).and_then(|size| size.to_str().ok()?.parse().ok());
    if promised.is_some_and(|size: usize| size != bytes.len() && !bytes.is_empty()) {
        return Ok(Err("it promised an answer of another length".into()));
    }
    Ok(Ok(Response::from_parts(parts, bytes.into())))
}

fn failure(kind: FailureKind, message: String) -> Failure {
    Failure { kind, message, details: String::new() }
}

/// A request as the bytes of an HTTP message.
pub(crate) fn write_request<B>(request: &Request<B>, body: &[u8]) -> Vec<u8> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let mut bytes = Vec::with_capacity(512 + body.len());
    for part in [request.method().as_str(), " ", path, " HTTP/1.1\r\n"] {
        bytes.extend_from_slice(part.as_bytes());
    }
    write_headers(request.headers(), &mut bytes);
    bytes.extend_from_slice(body);
    bytes
}

fn write_headers(headers: &HeaderMap, bytes: &mut Vec<u8>) {
    for (name, value) in headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(b"\r\n");
}

/// An answer likewise. How long its body is, is seen; an answer to HEAD has none, and says how long it would be.
fn write_answer(answer: &Response<Bytes>, head: bool) -> Vec<u8> {
    let mut headers = answer.headers().clone();
    if !head {
        headers.remove(header::CONTENT_LENGTH);
    }
    let mut bytes = Vec::with_capacity(256 + answer.body().len());
    bytes.extend_from_slice(format!("HTTP/1.1 {} \r\n", answer.status().as_str()).as_bytes());
    write_headers(&headers, &mut bytes);
    if !head {
        bytes.extend_from_slice(answer.body());
    }
    bytes
}

fn read_http(bytes: &[u8]) -> Result<Asked, String> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut read = httparse::Request::new(&mut headers);
    let body = match read.parse(bytes) {
        Ok(httparse::Status::Complete(at)) => &bytes[at..],
        _ => return Err("the bytes of an HTTP message are expected".into()),
    };
    let bad = |error: http::Error| error.to_string();
    let mut request = Request::new(Full::new(Bytes::copy_from_slice(body)));
    *request.method_mut() =
        Method::from_bytes(read.method.unwrap_or_default().as_bytes()).map_err(|error| bad(error.into()))?;
    *request.uri_mut() = read.path.unwrap_or_default().parse::<Uri>().map_err(|error| bad(error.into()))?;
    for header in read.headers {
        append(request.headers_mut(), header.name, header.value)?;
    }
    Ok(request)
}

/// The answer in the bytes of an HTTP message.
pub(crate) fn read_answer(bytes: Vec<u8>) -> Option<Response<Bytes>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS * 2];
    let mut read = httparse::Response::new(&mut headers);
    let at = match read.parse(&bytes) {
        Ok(httparse::Status::Complete(at)) => at,
        _ => return None,
    };
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = http::StatusCode::from_u16(read.code?).ok()?;
    for header in read.headers {
        append(answer.headers_mut(), header.name, header.value).ok()?;
    }
    *answer.body_mut() = Bytes::from(bytes).slice(at..);
    Some(answer)
}

fn append(headers: &mut HeaderMap, name: &str, value: &[u8]) -> Result<(), String> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is no header"))?;
    let value =
        HeaderValue::from_bytes(value).map_err(|_| format!("the value of `{name}` is none that a header has"))?;
    headers.append(name, value);
    Ok(())
}

const FIELDS: [&str; 5] = ["method", "path", "headers", "body", "body-base64"];

/// A request as JSON; what isn't said is `GET / HTTP/1.1` to `localhost`, without a body.
fn read_json(bytes: &[u8]) -> Result<Asked, String> {
    let fields = match serde_json::from_slice(if bytes.is_empty() { b"{}" } else { bytes }) {
        Ok(Value::Object(fields)) => fields,
        _ => return Err("a JSON object is expected, such as {\"method\": \"GET\", \"path\": \"/\"}".into()),
    };
    if let Some(field) = fields.keys().find(|field| !FIELDS.contains(&field.as_str())) {
        return Err(format!("unknown field `{field}`; there are {}", FIELDS.join(", ")));
    }
    let text = |field: &str, otherwise: &'static str| match fields.get(field) {
        None => Ok(otherwise.to_string()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(format!("`{field}` is text")),
    };
    let body = match fields.contains_key("body-base64") {
        true => STANDARD.decode(text("body-base64", "")?).map_err(|_| "`body-base64` is not base64".to_string())?,
        false => text("body", "")?.into_bytes(),
    };
    let path = text("path", "/")?;
    if !path.starts_with('/') {
        return Err("`path` begins with a slash".into());
    }
    let mut request = Request::new(Full::new(body.into()));
    *request.method_mut() = text("method", "GET")?.parse().map_err(|_| "`method` is no method".to_string())?;
    *request.uri_mut() = path.parse().map_err(|_| "`path` is no path".to_string())?;
    let headers = match fields.get("headers") {
        None => &Map::new(),
        Some(Value::Object(headers)) => headers,
        Some(_) => return Err("`headers` is an object of texts".into()),
    };
    for (name, value) in headers {
        let values = match value {
            Value::String(value) => std::slice::from_ref(value).to_vec(),
            Value::Array(all) => all.iter().filter_map(|one| one.as_str().map(Into::into)).collect(),
            _ => return Err(format!("header `{name}` is text, or a list of texts")),
        };
        values.iter().try_for_each(|value| append(request.headers_mut(), name, value.as_bytes()))?;
    }
    if !request.headers().contains_key(header::HOST) {
        request.headers_mut().insert(header::HOST, HeaderValue::from_static("localhost"));
    }
    Ok(request)
}

fn answer_json(answer: &Response<Bytes>) -> Value {
    let mut headers = Map::new();
    for name in answer.headers().keys() {
        let values = answer.headers().get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        let mut values: Vec<Value> = values.map(Into::into).collect();
        let value = if values.len() == 1 { values.remove(0) } else { values.into() };
        headers.insert(name.to_string(), value);
    }
    let status = answer.status().as_u16();
    match std::str::from_utf8(answer.body()) {
        Ok(body) => json!({ "status": status, "headers": headers, "body": body }),
        Err(_) => json!({ "status": status, "headers": headers, "body-base64": STANDARD.encode(answer.body()) }),
    }
}

/// What a service is shown as.
pub(crate) fn card() -> Card {
    let headers = json!({ "type": "object" });
    let body = |mut rest: Value| {
        rest["headers"] = headers.clone();
        rest["body"] = json!({ "type": "string" });
        rest["body-base64"] = json!({ "type": "string", "contentEncoding": "base64" });
        json!({ "type": "object", "properties": rest, "additionalProperties": false }).to_string()
    };
    let skill = Skill {
        name: SKILL.into(),
        description: "One HTTP request, and its answer.".into(),
        input: body(json!({ "method": { "type": "string" }, "path": { "type": "string", "pattern": "^/" } })),
        output: body(json!({ "status": { "type": "integer" } })),
        tags: vec!["http".into()],
        examples: vec![json!({ "method": "GET", "path": "/" }).to_string()],
    };
    Card {
        name: "service".into(),
        version: "0.0.0".into(),
        role: "service".into(),
        description: "A component that answers HTTP requests.".into(),
        skills: vec![skill],
        tags: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json_of(text: &str) -> Result<Asked, String> {
        read_json(text.as_bytes())
    }

    #[test]
    fn a_request_in_json_is_read_and_what_is_wrong_with_it_said() {
        let asked =
            json_of(r#"{"method":"POST","path":"/x?y","headers":{"a":["1","2"]},"body":"hi"}"#).expect("it is good");
        assert_eq!((asked.method().as_str(), asked.uri().to_string().as_str()), ("POST", "/x?y"));
        assert_eq!(asked.headers().get_all("a").iter().count(), 2);
        assert_eq!(asked.headers()["host"], "localhost");
        assert!(json_of("").is_ok_and(|asked| asked.method() == Method::GET && asked.uri() == "/"));
        for (text, said) in [
            ("[1]", "a JSON object is expected"),
            ("{\"mehtod\":\"GET\"}", "unknown field `mehtod`"),
            ("{\"path\":\"x\"}", "begins with a slash"),
            ("{\"method\":\"G T\"}", "no method"),
            ("{\"headers\":{\"a b\":\"\"}}", "no header"),
            ("{\"headers\":{\"a\":\"x\\r\\ny\"}}", "none that a header has"),
            ("{\"body-base64\":\"?\"}", "not base64"),
        ] {
            let refusal = json_of(text).expect_err("it is refused");
            assert!(refusal.contains(said), "{text}: {refusal}");
        }
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let mut request = Request::new(());
        *request.method_mut() = Method::PUT;
        *request.uri_mut() = "http://host.example/a?b".parse().expect("a URI");
        request.headers_mut().insert("x-y", HeaderValue::from_static("z"));
        let read = read_http(&write_request(&request, b"\r\n\0body")).expect("it is read");
        assert_eq!((read.method(), read.uri().to_string().as_str()), (&Method::PUT, "/a?b"));
        assert_eq!(read.headers()["x-y"], "z");
        let mut answer = Response::new(Bytes::from_static(b"\r\n\0body"));
        *answer.status_mut() = http::StatusCode::IM_A_TEAPOT;
        let read = read_answer(write_answer(&answer, false)).expect("it is read");
        assert_eq!((read.status().as_u16(), &read.body()[..]), (418, &b"\r\n\0body"[..]));
        assert_eq!(read_answer(write_answer(&answer, true)).map(|answer| answer.body().len()), Some(0));
    }
}
