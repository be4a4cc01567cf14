//! More of what OpenAI's and Anthropic's servers say than `fake` does: calls of tools, answers that come whole, and faults
//! in their full form. The official clients have read all of it: see `golden/wire`.

use crate::fake::{self, Act, Seen, data, event, head, whole, words};
use serde_json::{Value, json};

/// The texts of a conversation's last turn, whichever way they are put.
fn last(body: &Value) -> String {
    let content = body["messages"].as_array().and_then(|all| Some(all.last()?["content"].clone()));
    match content.unwrap_or_default() {
        Value::String(text) => text,
        Value::Array(blocks) => blocks.iter().filter_map(|block| block["text"].as_str()).collect(),
        _ => String::new(),
    }
}

/// The place that a question is about, if it is one for a tool.
fn place(body: &Value) -> Option<String> {
    let asked = last(body);
    let place = asked.strip_prefix("How warm is it in ")?.strip_suffix('?')?;
    body["tools"].is_array().then(|| place.to_owned())
}

/// OpenAI's server with the models of `fake`, and others that fail.
pub(crate) fn openai(seen: &Seen) -> Vec<Act> {
    let body = &seen.body;
    let fault = |status, headers: &str, message: &str, kind: &str, code: Value| {
        let error = json!({"message": message, "type": kind, "param": null, "code": code});
        whole(status, headers, &json!({"error": error}))
    };
    let (model, streams) = (body["model"].as_str().unwrap_or_default(), body["stream"] == true);
    match model {
        "locked" => {
            let message = "Incorrect API key provided. You can find your API key in your account.";
            fault(401, "", message, "invalid_request_error", json!("invalid_api_key"))
        }
        "busy" => {
            let message = "Rate limit reached for busy: limit 3 requests a minute. Please try again in 2s.";
            fault(429, "retry-after: 2\r\n", message, "requests", json!("rate_limit_exceeded"))
        }
        "broken" => {
            let message = "The server had an error while processing your request.";
            fault(500, "", message, "server_error", Value::Null)
        }
        "echo" if seen.line.contains("/chat/completions") => match (place(body), streams) {
            (None, true) => fake::openai(seen),
            (None, false) => openai_whole(json!({"content": last(body)}), "stop", words(&last(body)).len()),
            (Some(place), true) => openai_calls(&place),
            (Some(place), false) => {
                let function = json!({"name": "warmth", "arguments": json!({"place": place}).to_string()});
                let call = json!({"id": "call_1", "type": "function", "function": function});
                openai_whole(json!({"content": null, "tool_calls": [call]}), "tool_calls", 9)
            }
        },
        _ => fake::openai(seen),
    }
}

fn openai_whole(mut message: Value, reason: &str, tokens: usize) -> Vec<Act> {
    message["role"] = "assistant".into();
    message["refusal"] = Value::Null;
    let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": reason});
    let usage = json!({"prompt_tokens": 3, "completion_tokens": tokens, "total_tokens": tokens + 3});
    let answer = json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "echo",
        "choices": [choice], "usage": usage});
    whole(200, "", &answer)
}

fn openai_calls(place: &str) -> Vec<Act> {
    let chunk = |choices: Value, usage: Value| {
        data(&json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "echo",
            "choices": choices, "usage": usage}))
    };
    let said = |delta: Value, reason: Value| {
        chunk(json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason}]), Value::Null)
    };
    let call = |call: Value| said(json!({"tool_calls": [call]}), Value::Null);
    let arguments = json!({"place": place}).to_string();
    let first = json!({"name": "warmth", "arguments": ""});
    let mut acts = vec![
        head(),
        said(json!({"role": "assistant", "content": null}), Value::Null),
        call(json!({"index": 0, "id": "call_1", "type": "function", "function": first})),
    ];
    // In pieces of a few letters, as a model writes them.
    let letters: Vec<char> = arguments.chars().collect();
    for piece in letters.chunks(4) {
        let piece: String = piece.iter().collect();
        acts.push(call(json!({"index": 0, "function": {"arguments": piece}})));
    }
    acts.push(said(json!({}), json!("tool_calls")));
    acts.push(chunk(json!([]), json!({"prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12})));
    acts.extend([Act::Send(b"data: [DONE]\n\n".to_vec()), Act::Close]);
    acts
}

/// Anthropic's server with the model of `fake`, and others that fail.
pub(crate) fn anthropic(seen: &Seen) -> Vec<Act> {
    let body = &seen.body;
    let fault = |status, headers: &str, kind: &str, message: &str| {
        let error = json!({"type": kind, "message": message});
        whole(status, headers, &json!({"type": "error", "error": error, "request_id": "req_1"}))
    };
    match body["model"].as_str().unwrap_or_default() {
        "locked" => fault(401, "", "authentication_error", "invalid x-api-key"),
        "busy" => fault(429, "retry-after: 2\r\n", "rate_limit_error", "This would exceed your rate limit."),
        "broken" => fault(500, "", "api_error", "Internal server error"),
        "full" => fault(529, "", "overloaded_error", "Overloaded"),
        "echo" if seen.line.contains("/v1/messages ") => match (place(body), body["stream"] == true) {
            (None, true) => fake::anthropic(seen),
            (None, false) => anthropic_whole(json!([{"type": "text", "text": last(body)}]), "end_turn", body),
            (Some(place), true) => anthropic_calls(&place),
            (Some(place), false) => {
                let used = json!({"type": "tool_use", "id": "toolu_1", "name": "warmth", "input": {"place": place}});
                anthropic_whole(json!([{"type": "text", "text": "I look."}, used]), "tool_use", body)
            }
        },
        _ => fake::anthropic(seen),
    }
}

fn anthropic_whole(content: Value, reason: &str, body: &Value) -> Vec<Act> {
    let usage = json!({"input_tokens": 3, "output_tokens": words(&last(body)).len()});
    let answer = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "echo", "content": content,
        "stop_reason": reason, "stop_sequence": null, "usage": usage});
    whole(200, "", &answer)
}

fn anthropic_calls(place: &str) -> Vec<Act> {
    let begun = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "echo", "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 3, "output_tokens": 1}});
    let starts =
        |at: usize, block: Value| event(&json!({"type": "content_block_start", "index": at, "content_block": block}));
    let delta = |at: usize, delta: Value| event(&json!({"type": "content_block_delta", "index": at, "delta": delta}));
    let ends = |at: usize| event(&json!({"type": "content_block_stop", "index": at}));
    let mut acts = vec![
        head(),
        event(&json!({"type": "message_start", "message": begun})),
        starts(0, json!({"type": "text", "text": ""})),
        event(&json!({"type": "ping"})),
        delta(0, json!({"type": "text_delta", "text": "I look."})),
        ends(0),
        starts(1, json!({"type": "tool_use", "id": "toolu_1", "name": "warmth", "input": {}})),
        delta(1, json!({"type": "input_json_delta", "partial_json": ""})),
    ];
    let arguments = json!({"place": place}).to_string();
    let letters: Vec<char> = arguments.chars().collect();
    for piece in letters.chunks(4) {
        let piece: String = piece.iter().collect();
        acts.push(delta(1, json!({"type": "input_json_delta", "partial_json": piece})));
    }
    let changed = json!({"stop_reason": "tool_use", "stop_sequence": null});
    acts.push(ends(1));
    acts.push(event(&json!({"type": "message_delta", "delta": changed, "usage": {"output_tokens": 9}})));
    acts.extend([event(&json!({"type": "message_stop"})), Act::Close]);
    acts
}
