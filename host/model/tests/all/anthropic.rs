//! What is sent to Anthropic's API, and how its answers are read.

use crate::fake::{self, Act, Fake, event, head, whole};
use crate::suite::ask;
use model::{Anthropic, Backend as _, Call, Error, Finish, Prompt, Role, Tool, Turn};
use serde_json::{Value, json};

fn blocks(blocks: &[(Value, Vec<Value>)], reason: &str) -> Vec<Act> {
    let mut acts = vec![head()];
    acts.push(event(&json!({"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}}})));
    for (index, (block, deltas)) in blocks.iter().enumerate() {
        acts.push(event(&json!({"type": "content_block_start", "index": index, "content_block": block})));
        for delta in deltas {
            acts.push(event(&json!({"type": "content_block_delta", "index": index, "delta": delta})));
        }
        acts.push(event(&json!({"type": "content_block_stop", "index": index})));
    }
    acts.push(event(
        &json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 12}}),
    ));
    acts.push(event(&json!({"type": "message_stop"})));
    acts
}

fn text(text: &str) -> (Value, Vec<Value>) {
    (json!({"type": "text", "text": ""}), vec![json!({"type": "text_delta", "text": text})])
}

fn tool(id: &str, name: &str, pieces: &[&str]) -> (Value, Vec<Value>) {
    let deltas = pieces.iter().map(|piece| json!({"type": "input_json_delta", "partial_json": piece})).collect();
    (json!({"type": "tool_use", "id": id, "name": name, "input": {}}), deltas)
}

async fn answers(acts: Vec<Act>) -> (Fake, Anthropic) {
    let fake = Fake::new(move |_| acts.clone()).await;
    let backend = Anthropic::new(fake.remote("claude"), &Default::default());
    (fake, backend)
}

#[tokio::test]
async fn a_prompt_is_put_into_the_form_of_the_api() {
    let (fake, backend) = answers(blocks(&[text("fine")], "end_turn")).await;
    let call = |id: &str| Call { id: id.into(), name: "look".into(), arguments: "{\"at\":1}".into() };
    let prompt = Prompt {
        turns: vec![
            Turn::new(Role::System, "Be brief."),
            Turn::new(Role::User, "look"),
            Turn { calls: vec![call("c1"), call("c2")], ..Turn::new(Role::Assistant, "") },
            Turn { answers: "c1".into(), ..Turn::new(Role::Tool, "42") },
            Turn { answers: "c2".into(), ..Turn::new(Role::Tool, "43") },
            Turn::new(Role::User, "and?"),
            Turn::new(Role::System, "In English."),
        ],
        tools: vec![Tool {
            name: "look".into(),
            description: "Looks.".into(),
            parameters: "{\"type\":\"object\"}".into(),
        }],
        stop: vec!["END".into(), "\n".into()],
        temperature: 1500,
        seed: Some(7),
        ..Prompt::ask("", 50)
    };
    let answer = backend.complete(ask("echo", &prompt), &mut ()).await.expect("it answers");
    assert_eq!((answer.text.as_str(), answer.tokens_in, answer.tokens_out), ("fine", 9, 12));
    let seen = fake.last();
    assert_eq!(seen.line, "POST /v1/messages HTTP/1.1");
    assert!(
        seen.head.contains(&format!("x-api-key: {}", fake::KEY)) && seen.head.contains("anthropic-version: 2023-06-01")
    );
    let used = |id: &str| json!({"type": "tool_use", "id": id, "name": "look", "input": {"at": 1}});
    let sent = json!({
        "model": "echo", "max_tokens": 50, "temperature": 1.0, "stream": true, "stop_sequences": ["END"],
        "system": "Be brief.\n\nIn English.",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "look"}]},
            {"role": "assistant", "content": [used("c1"), used("c2")]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": "42"},
                {"type": "tool_result", "tool_use_id": "c2", "content": "43"},
                {"type": "text", "text": "and?"},
            ]},
        ],
        "tools": [{"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}],
    });
    assert_eq!(seen.body, sent);
}

#[tokio::test]
async fn text_and_calls_come_in_blocks() {
    let thinking = (json!({"type": "thinking"}), vec![json!({"type": "thinking_delta", "thinking": "hm"})]);
    let all = [thinking, text("I look."), tool("c1", "look", &["", "{\"at\"", ":1}"]), tool("c2", "wait", &[])];
    let (_fake, backend) = answers(blocks(&all, "tool_use")).await;
    let prompt = Prompt::ask("look", 50);
    let answer = backend.complete(ask("echo", &prompt), &mut ()).await.expect("it answers");
    let calls: Vec<_> = answer.calls.iter().map(|c| (c.id.as_str(), c.name.as_str(), c.arguments.as_str())).collect();
    assert_eq!(calls, [("c1", "look", "{\"at\":1}"), ("c2", "wait", "{}")]);
    assert_eq!((answer.text.as_str(), answer.finish), ("I look.", Finish::Calls));
    let (_fake, backend) = answers(blocks(&[text("No.")], "refusal")).await;
    let answer = backend.complete(ask("echo", &prompt), &mut ()).await.expect("it answers");
    assert_eq!((answer.text.as_str(), answer.finish), ("No.", Finish::Refused));
}

#[tokio::test]
async fn an_answer_that_fits_a_schema_is_the_text() {
    let given = tool("c1", "give_answer", &["{\"a\":", "\"x\"}"]);
    let (fake, backend) = answers(blocks(&[text("Here it is:"), given], "tool_use")).await;
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let prompt = Prompt { schema: Some(schema.to_string()), ..Prompt::ask("look", 50) };
    let mut told = String::new();
    let answer = backend.complete(ask("echo", &prompt), &mut told).await.expect("it answers");
    assert_eq!((answer.text.as_str(), answer.finish, answer.calls.len()), ("{\"a\":\"x\"}", Finish::Stop, 0));
    assert_eq!(told, answer.text);
    let body = fake.last().body;
    assert_eq!(body["tool_choice"], json!({"type": "tool", "name": "give_answer"}));
    assert_eq!(body["tools"][0]["input_schema"], schema);

    let given = tool("c1", "give_answer", &["{\"value\":[1,2]}"]);
    let (fake, backend) = answers(blocks(&[given], "tool_use")).await;
    let schema = json!({"type": "array", "items": {"$ref": "#/$defs/n"}, "$defs": {"n": {"type": "integer"}}});
    let prompt = Prompt { schema: Some(schema.to_string()), ..Prompt::ask("look", 50) };
    let answer = backend.complete(ask("echo", &prompt), &mut ()).await.expect("it answers");
    assert_eq!(answer.text, "[1,2]");
    let sent = json!({"type": "object", "required": ["value"], "additionalProperties": false,
        "$defs": {"n": {"type": "integer"}},
        "properties": {"value": {"type": "array", "items": {"$ref": "#/$defs/n"}}}});
    assert_eq!(fake.last().body["tools"][0]["input_schema"], sent);

    let (_fake, backend) = answers(blocks(&[text("I'd rather talk.")], "end_turn")).await;
    let answer = backend.complete(ask("echo", &prompt), &mut ()).await;
    assert_eq!(answer, Err(Error::Unfit { backend: "claude".into() }));
}

#[tokio::test]
async fn an_answer_that_comes_whole_is_read_all_the_same() {
    let content = json!([
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "c1", "name": "look", "input": {"at": 1}},
    ]);
    let usage = json!({"input_tokens": 4, "output_tokens": 5});
    let body = json!({"type": "message", "content": content, "stop_reason": "tool_use", "usage": usage});
    let (_fake, backend) = answers(whole(200, "", &body)).await;
    let (prompt, mut told) = (Prompt::ask("look", 50), String::new());
    let answer = backend.complete(ask("echo", &prompt), &mut told).await.expect("it answers");
    let call = Call { id: "c1".into(), name: "look".into(), arguments: "{\"at\":1}".into() };
    assert_eq!((answer.text.as_str(), answer.calls, answer.finish), ("I look.", vec![call], Finish::Calls));
    assert_eq!((told.as_str(), answer.tokens_in, answer.tokens_out), ("I look.", 4, 5));
}
