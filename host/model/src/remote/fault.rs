//! What a back end means when it says no.

use super::client::{Client, Reply};
use crate::error::Error;
use http::HeaderMap;
use serde_json::Value;
use std::time::Duration;

/// The most that is read of what a back end says about an error.
const READ: usize = 64 << 10;

/// The most that is passed on of it.
const SAID: usize = 300;

/// The longest that a back end can ask to be left alone.
const LONGEST: Duration = Duration::from_secs(3600);

/// The error in a reply that is not a success.
pub(super) async fn of_reply(client: &Client, mut reply: Reply, model: &str) -> Error {
    let status = reply.status.as_u16();
    if (300..400).contains(&status) {
        return client.broken(&format!("it points elsewhere ({status}), where nothing is sent"));
    }
    let retry_after = retry_after(&reply.headers);
    let body = reply.all(READ).await.unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let said = Said::of(&body);
    judge(client, status, &said, retry_after, model)
}

/// The error in the midst of a stream, of which only the text is known.
pub(super) fn of_event(client: &Client, data: &str, model: &str) -> Error {
    let body: Value = serde_json::from_str(data).unwrap_or_default();
    let said = Said::of(&body);
    let status = match said.kind.as_str() {
        "overloaded_error" => 529,
        "rate_limit_error" | "rate_limit_exceeded" => 429,
        "authentication_error" | "invalid_api_key" => 401,
        "permission_error" => 403,
        "not_found_error" => 404,
        "invalid_request_error" | "request_too_large" => 400,
        _ => said.code.unwrap_or(500),
    };
    judge(client, status, &said, None, model)
}

/// What a body says about an error, wherever this server puts it.
#[derive(Default)]
struct Said {
    /// A word for programs.
    kind: String,
    code: Option<u16>,
    message: String,
}

impl Said {
    fn of(body: &Value) -> Said {
        let error = match &body["error"] {
            Value::Null => body,
            Value::String(message) => return Said { message: message.clone(), ..Said::default() },
            error => error,
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let word = |value: &Value| value.as_str().filter(|word| plain(word)).map(str::to_owned);
        let kind = word(&error["code"]).or_else(|| word(&error["type"])).unwrap_or_default();
        let code = error["code"].as_u64().and_then(|code| u16::try_from(code).ok());
        let detail = text(&body["detail"]);
        let message = Some(text(&error["message"])).filter(|text| !text.is_empty()).unwrap_or(detail);
        Said { kind, code, message }
    }
}

/// Whether it is a word for programs, and neither a sentence nor a key.
fn plain(word: &str) -> bool {
    word.len() <= 40 && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn judge(client: &Client, status: u16, said: &Said, retry_after: Option<Duration>, model: &str) -> Error {
    let lower = said.message.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word) || said.kind.contains(word));
    // What is said about a key may repeat it, or a part of it: only the word for programs is passed on.
    let short = match said.kind.as_str() {
        "" => format!("status {status}"),
        kind => format!("status {status}, {}", client.clean(kind)),
    };
    let unavailable = |why: String| match client.unavailable(&why) {
        Error::Unavailable { backend, why, .. } => Error::Unavailable { backend, why, retry_after },
        other => other,
    };
    let backend = || match client.unavailable("") {
        Error::Unavailable { backend, .. } => backend,
        _ => String::new(),
    };
    match status {
        401 | 403 => Error::Key { backend: backend(), why: short },
        402 => unavailable("its account has no credit".into()),
        _ if has(&["insufficient_quota", "credit balance"]) => unavailable("its account has no credit".into()),
        429 => Error::Busy { backend: backend(), retry_after },
        400 | 413 | 422
            if has(&["context_length", "context length", "context size", "context window", "prompt is too long"]) =>
        {
            Error::TooLong { model: model.into() }
        }
        400 if has(&["content_filter", "content_policy", "content management policy"]) => {
            Error::Refused { backend: backend(), why: short }
        }
        400 if has(&["model_not_found", "invalid model name"]) => Error::Unknown { model: model.into() },
        404 if has(&["model"]) => Error::Unknown { model: model.into() },
        404 => client.broken("there is nothing at its address (404): is its `url` right?"),
        408 | 425 | 500.. => unavailable(short),
        400.. => Error::Unsupported { backend: backend(), what: message(client, said, &short) },
        _ => client.broken(&short),
    }
}

/// What a back end says about a prompt that it does not take, in a line.
fn message(client: &Client, said: &Said, short: &str) -> String {
    if said.message.is_empty() {
        return short.into();
    }
    let clean = client.clean(&said.message);
    let line: String = clean.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(SAID).collect();
    format!("{short}: {line}")
}

/// Seconds or, where a server is so kind, milliseconds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let seconds = number("retry-after-ms").map(|millis| millis / 1e3).or_else(|| number("retry-after"))?;
    Duration::try_from_secs_f64(seconds).ok().map(|wait| wait.min(LONGEST))
}
