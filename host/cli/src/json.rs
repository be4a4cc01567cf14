//! What agents answer, log and use, as JSON.

use guest::{Line, Payload, Receipt, Usage};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The JSON in `text`, or the text itself; null if it is empty.
pub(crate) fn or_text(text: &str) -> Value {
    match text {
        "" => Value::Null,
        text => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
    }
}

/// A payload: its body as JSON if it says that it is, else as text, else in base64.
pub(crate) fn payload(payload: &Payload) -> Value {
    let kind = &payload.content_type;
    let parsed = if is_json(kind) { serde_json::from_slice::<Value>(&payload.body).ok() } else { None };
    match (parsed, std::str::from_utf8(&payload.body)) {
        (Some(value), _) => json!({ "content-type": kind, "body": value }),
        (None, Ok(text)) => json!({ "content-type": kind, "body": text }),
        (None, Err(_)) => json!({ "content-type": kind, "body-base64": base64(&payload.body) }),
    }
}

/// Whether bytes of this type are JSON.
pub(crate) fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind == "application/json" || kind.ends_with("+json")
}

/// Bytes that are text as it is, others in base64, under a name that says which.
pub(crate) fn stream(object: &mut Map<String, Value>, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => object.insert(name.into(), text.into()),
        Err(_) => object.insert(format!("{name}-base64"), base64(bytes).into()),
    };
}

/// The lines of a log.
pub(crate) fn log(lines: &[Line]) -> Value {
    lines.iter().map(|line| json!({ "level": line.source.word(), "text": line.text })).collect()
}

/// What a turn used.
pub(crate) fn usage(receipt: &Receipt) -> Value {
    json!({
        "cpu_ms": ms(receipt.cpu),
        "gpu_ms": ms(receipt.gpu),
        "tokens": receipt.tokens,
        "wall_ms": ms(receipt.wall),
        "memory_peak_bytes": receipt.memory,
    })
}

/// Every field of a budget, with what the turn used of it.
pub(crate) fn budget(usage: Vec<Usage>, receipt: Option<&Receipt>) -> Value {
    let fields = usage.into_iter().map(|usage| {
        // The account tells what runs now, and the turn is over.
        let used = receipt.and_then(|receipt| used(usage.field, receipt)).unwrap_or(usage.used);
        json!({ "field": usage.field, "used": used, "limit": usage.limit })
    });
    fields.collect()
}

/// A share is what was used over a second, or over the turn if that was longer.
const SECOND: f64 = 1.0;

fn used(field: &str, receipt: &Receipt) -> Option<String> {
    match field {
        "cpu" => Some(format!("{:.1}%", receipt.cpu.as_secs_f64() / receipt.wall.as_secs_f64().max(SECOND) * 100.0)),
        "gpu" => Some(format!("{:.1}%", receipt.gpu.as_secs_f64() / receipt.wall.as_secs_f64().max(SECOND) * 100.0)),
        "deadline" => Some(format!("{}ms", ms(receipt.wall))),
        "tokens" => Some(receipt.tokens.to_string()),
        "memory" => Some(base::Size::bytes(receipt.memory).to_string()),
        _ => None,
    }
}

/// Milliseconds, to the microsecond.
pub(crate) fn ms(span: Duration) -> f64 {
    span.as_micros() as f64 / 1e3
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            match digit <= chunk.len() {
                true => text.push(char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63])),
                false => text.push('='),
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(content_type: &str, body: &[u8]) -> Value {
        payload(&Payload { content_type: content_type.into(), body: body.into() })
    }

    #[test]
    fn base64_is_as_the_standard_has_it() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[255, 254, 253]), "//79");
    }

    #[test]
    fn a_body_is_shown_as_what_it_is() {
        assert_eq!(shown("application/json; charset=utf-8", b"{\"a\":1}")["body"]["a"], 1);
        assert_eq!(shown("application/problem+json", b"[1]")["body"][0], 1);
        assert_eq!(shown("application/json", b"{")["body"], "{");
        assert_eq!(shown("text/plain", b"{\"a\":1}")["body"], "{\"a\":1}");
        assert_eq!(shown("", &[255])["body-base64"], "/w==");
    }
}
