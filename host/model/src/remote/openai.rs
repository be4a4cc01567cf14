//! The API of OpenAI, as Ollama, vLLM, llama.cpp's server and OpenAI itself speak it.

use super::client::{Client, Outgoing, Reply, Trust};
use super::draft::Draft;
use super::events::Event;
use super::plain::Plain;
use super::{MODELS, Remote, Step, WHOLE, fault, follow, within};
use crate::backend::{Ask, Backend, Counted, Embedded, Listed, Reader, guess};
use crate::error::Error;
use crate::prompt::{Completion, Finish, Prompt, Role, Turn};
use async_trait::async_trait;
use http::{Method, header};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::time::Instant;

/// A back end that speaks as OpenAI does.
pub struct OpenAi {
    remote: Remote,
    client: Client,
    /// It has no way to count tokens.
    uncounted: AtomicBool,
    plain: Plain,
}

/// Texts that are embedded by one request.
const TEXTS: usize = 128;

impl OpenAi {
    /// A back end at an address whose path is `/v1` if none is written.
    pub fn new(remote: Remote, trust: &Arc<Trust>) -> OpenAi {
        let remote = Remote { address: remote.address.or_path("/v1"), ..remote };
        // It has no counter, and says so only after having been given the text.
        let uncounted = AtomicBool::new(remote.address.under("openai.com"));
        OpenAi { client: remote.client(trust), uncounted, plain: Plain::default(), remote }
    }

    fn outgoing(&self, method: Method, path: &str, body: Option<&Value>, private: bool) -> Outgoing {
        let key = self.remote.key.as_ref();
        let headers = key.map(|key| (header::AUTHORIZATION, key.header("Bearer "))).into_iter().collect();
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        Outgoing { method, path: path.into(), rooted: false, headers, body, private }
    }

    async fn fetch(&self, outgoing: Outgoing, model: &str) -> Result<Reply, Error> {
        let reply = self.client.send(outgoing).await?;
        match reply.status.is_success() {
            true => Ok(reply),
            false => Err(fault::of_reply(&self.client, reply, model).await),
        }
    }

    async fn read<T: for<'de> Deserialize<'de>>(&self, outgoing: Outgoing, model: &str) -> Result<T, Error> {
        let body = self.fetch(outgoing, model).await?.all(WHOLE).await?;
        serde_json::from_slice(&body).map_err(|_| self.client.broken("its answer is not what it should be"))
    }

    async fn models(&self) -> Result<Vec<Listed>, Error> {
        let outgoing = self.outgoing(Method::GET, "/models", None, false);
        let found: Models = self.read(outgoing, "").await?;
        let listed = |model: Model| {
            let context = model.max_model_len.or_else(|| model.meta.and_then(|meta| meta.n_ctx.or(meta.n_ctx_train)));
            self.remote.listed(model.id, context, None)
        };
        Ok(found.data.into_iter().take(MODELS).map(listed).collect())
    }

    async fn write(&self, ask: Ask<'_>, reader: &mut dyn Reader) -> Result<Completion, Error> {
        let mut body = body(ask, self.remote.address.under("openai.com"))?;
        self.plain.trim(ask.model, &mut body);
        let outgoing = |body: &Value| self.outgoing(Method::POST, "/chat/completions", Some(body), ask.prompt.private);
        let mut reply = match self.fetch(outgoing(&body), ask.model).await {
            Err(error) if self.plain.learns(ask.model, &error, &mut body) => {
                self.fetch(outgoing(&body), ask.model).await?
            }
            reply => reply?,
        };
        let mut draft = Draft::new(&self.remote.name, self.remote.key.as_ref(), ask, reader);
        if reply.streams() {
            follow(reply, &mut draft, ask.until, |draft, event| self.event(draft, event, ask.model)).await?;
        } else {
            // It does not stream, and answers in one piece.
            let body = reply.all(WHOLE).await?;
            let text = std::str::from_utf8(&body).map_err(|_| draft.broken("its answer is not text"))?;
            self.part(&mut draft, text, ask.model)?;
        }
        draft.done()
    }

    fn event(&self, draft: &mut Draft<'_>, event: &Event, model: &str) -> Result<Step, Error> {
        if event.data.trim() == "[DONE]" {
            return Ok(Step::Last);
        }
        if event.name == "error" {
            return Err(fault::of_event(&self.client, &event.data, model));
        }
        self.part(draft, &event.data, model).map(|()| Step::More)
    }

    /// Takes a piece of a stream, or an answer that comes whole.
    fn part(&self, draft: &mut Draft<'_>, text: &str, model: &str) -> Result<(), Error> {
        let part: Part = serde_json::from_str(text).map_err(|_| draft.broken("its answer is not what it should be"))?;
        if part.error.is_some_and(|error| !error.is_null()) {
            return Err(fault::of_event(&self.client, text, model));
        }
        if let Some(usage) = part.usage {
            draft.tokens_in = usage.prompt_tokens.or(draft.tokens_in);
            draft.tokens_out = usage.completion_tokens.or(draft.tokens_out);
        }
        let Some(choice) = part.choices.into_iter().next() else { return Ok(()) };
        if let Some(said) = choice.delta.or(choice.message) {
            draft.thought(said.reasoning_content.or(said.reasoning).map_or(0, |text| text.len()))?;
            draft.text(said.content.as_deref().unwrap_or_default())?;
            if let Some(refusal) = said.refusal.filter(|text| !text.is_empty()) {
                draft.text(&refusal)?;
                draft.finish = Some(Finish::Refused);
            }
            for (place, call) in said.tool_calls.unwrap_or_default().into_iter().enumerate() {
                let function = call.function.unwrap_or_default();
                let arguments = match &function.arguments {
                    Value::Null => String::new(),
                    Value::String(text) => text.clone(),
                    // Some send the object itself.
                    other => other.to_string(),
                };
                let index = call.index.unwrap_or(place as u64);
                let (id, name) = (call.id.unwrap_or_default(), function.name.unwrap_or_default());
                draft.call(index, &id, &name, &arguments)?;
            }
        }
        if let Some(reason) = choice.finish_reason.filter(|_| draft.finish.is_none()) {
            draft.finish = Some(match reason.as_str() {
                "length" => Finish::Length,
                "tool_calls" | "function_call" => Finish::Calls,
                "content_filter" => Finish::Refused,
                _ => Finish::Stop,
            });
        }
        Ok(())
    }

    async fn vectors(&self, model: &str, texts: &[String], private: bool) -> Result<Embedded, Error> {
        let mut all = Embedded { vectors: Vec::with_capacity(texts.len()), tokens: 0 };
        for texts in texts.chunks(TEXTS) {
            let body = json!({ "model": model, "input": texts, "encoding_format": "float" });
            let outgoing = self.outgoing(Method::POST, "/embeddings", Some(&body), private);
            let mut found: Vectors = self.read(outgoing, model).await?;
            found.data.sort_by_key(|vector| vector.index);
            let indexes = found.data.iter().map(|vector| vector.index);
            if !indexes.eq(0..texts.len() as u64) {
                return Err(self.client.broken("it does not answer one vector a text"));
            }
            all.vectors.extend(found.data.into_iter().map(|vector| vector.embedding));
            let bytes = texts.iter().map(String::len).sum();
            all.tokens += found.usage.and_then(|usage| usage.prompt_tokens).unwrap_or_else(|| guess(bytes));
        }
        let length = all.vectors.first().map_or(0, Vec::len);
        let sound = |vector: &Vec<f32>| vector.len() == length && vector.iter().all(|value| value.is_finite());
        match length > 0 && all.vectors.iter().all(sound) {
            true => Ok(all),
            false => Err(self.client.broken("its vectors are not of one length, or hold what is no number")),
        }
    }

    /// As vLLM and llama.cpp count; the one wants `prompt`, the other `content`.
    async fn tokens(&self, model: &str, text: &str, private: bool) -> Result<Option<u64>, Error> {
        let body = json!({ "model": model, "prompt": text, "content": text, "add_special_tokens": false });
        let mut outgoing = self.outgoing(Method::POST, "/tokenize", Some(&body), private);
        let whole = &self.remote.address.path;
        (outgoing.path, outgoing.rooted) = (format!("{}/tokenize", whole.strip_suffix("/v1").unwrap_or(whole)), true);
        let mut reply = self.client.send(outgoing).await?;
        if !reply.status.is_success() {
            return match reply.status.as_u16() {
                // There is no such thing here.
                404 | 405 | 501 => Ok(None),
                _ => Err(fault::of_reply(&self.client, reply, model).await),
            };
        }
        let found: Tokens = serde_json::from_slice(&reply.all(WHOLE).await?).unwrap_or_default();
        Ok(found.count.or(found.tokens.map(|tokens| tokens.len() as u64)))
    }
}

#[async_trait]
impl Backend for OpenAi {
    fn name(&self) -> &str {
        &self.remote.name
    }

    async fn list(&self, until: Instant) -> Result<Vec<Listed>, Error> {
        match self.remote.declared() {
            Some(declared) => Ok(declared),
            None => within(until, self.models()).await,
        }
    }

    async fn complete(&self, ask: Ask<'_>, reader: &mut dyn Reader) -> Result<Completion, Error> {
        self.remote.admit(ask.model, ask.prompt.private)?;
        within(ask.until, self.write(ask, reader)).await
    }

    async fn embed(&self, model: &str, texts: &[String], private: bool, until: Instant) -> Result<Embedded, Error> {
        self.remote.admit(model, private)?;
        if texts.is_empty() {
            return Ok(Embedded { vectors: Vec::new(), tokens: 0 });
        }
        within(until, self.vectors(model, texts, private)).await
    }

    async fn count(&self, model: &str, text: &str, private: bool, until: Instant) -> Result<Counted, Error> {
        self.remote.admit(model, private)?;
        if !self.uncounted.load(Ordering::Relaxed) {
            match within(until, self.tokens(model, text, private)).await? {
                Some(tokens) => return Ok(Counted { tokens, exact: true }),
                None => self.uncounted.store(true, Ordering::Relaxed),
            }
        }
        Ok(Counted { tokens: guess(text.len()), exact: false })
    }
}

/// The body of a request for a completion.
fn body(ask: Ask<'_>, openai: bool) -> Result<Value, Error> {
    let prompt = ask.prompt;
    let turns: Vec<Value> = prompt.turns.iter().map(turn).collect();
    let mut body = json!({
        "model": ask.model,
        "messages": turns,
        "temperature": f64::from(prompt.temperature) / 1000.0,
        "stream": true,
        "stream_options": { "include_usage": true },
    });
    // The newer word is the only one that OpenAI's own newer models take, and not known everywhere else.
    body[if openai { "max_completion_tokens" } else { "max_tokens" }] = prompt.max_tokens.into();
    if !prompt.stop.is_empty() {
        body["stop"] = json!(prompt.stop);
    }
    if let Some(seed) = prompt.seed {
        // Some read it as a signed number.
        body["seed"] = (seed & (u64::MAX >> 1)).into();
    }
    if !prompt.tools.is_empty() {
        body["tools"] = tools(prompt)?;
    }
    if let Some(schema) = &prompt.schema {
        let schema: Value = parsed("schema", schema)?;
        let strict = strict(&schema);
        let named = json!({ "name": "answer", "schema": schema, "strict": strict });
        body["response_format"] = json!({ "type": "json_schema", "json_schema": named });
    }
    Ok(body)
}

fn turn(turn: &Turn) -> Value {
    let role = match turn.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    let mut message = json!({ "role": role, "content": turn.content });
    if turn.role == Role::Tool {
        message["tool_call_id"] = turn.answers.clone().into();
    }
    if !turn.calls.is_empty() {
        let call = |call: &crate::Call| {
            let function = json!({ "name": call.name, "arguments": call.arguments });
            json!({ "id": call.id, "type": "function", "function": function })
        };
        message["tool_calls"] = turn.calls.iter().map(call).collect();
    }
    message
}

fn tools(prompt: &Prompt) -> Result<Value, Error> {
    let tool = |tool: &crate::Tool| {
        let parameters = parsed("parameters", &tool.parameters)?;
        let function = json!({ "name": tool.name, "description": tool.description, "parameters": parameters });
        Ok(json!({ "type": "function", "function": function }))
    };
    prompt.tools.iter().map(tool).collect::<Result<Vec<_>, Error>>().map(Value::from)
}

pub(super) fn parsed(what: &str, text: &str) -> Result<Value, Error> {
    serde_json::from_str(text).map_err(|error| Error::Invalid { what: format!("`{what}` is not JSON: {error}") })
}

/// Whether a schema can be held to strictly: OpenAI does that only where every object says all that it has, and has all of it.
fn strict(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => {
            let object = map.get("properties").and_then(Value::as_object);
            let whole = object.is_none_or(|properties| {
                let required = map.get("required").and_then(Value::as_array);
                let has = |name: &String| required.is_some_and(|all| all.iter().any(|one| one == name.as_str()));
                map.get("additionalProperties") == Some(&Value::Bool(false)) && properties.keys().all(has)
            });
            whole && map.values().all(strict)
        }
        Value::Array(list) => list.iter().all(strict),
        _ => true,
    }
}

#[derive(Deserialize)]
struct Models {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
    /// As vLLM says it.
    max_model_len: Option<u64>,
    /// As llama.cpp says it.
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Meta {
    n_ctx: Option<u64>,
    n_ctx_train: Option<u64>,
}

#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Usage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Said>,
    message: Option<Said>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Said {
    content: Option<String>,
    /// What the model thinks, where it is told apart.
    reasoning_content: Option<String>,
    reasoning: Option<String>,
    refusal: Option<String>,
    tool_calls: Option<Vec<Called>>,
}

#[derive(Deserialize)]
struct Called {
    index: Option<u64>,
    id: Option<String>,
    function: Option<Function>,
}

#[derive(Deserialize, Default)]
struct Function {
    name: Option<String>,
    #[serde(default)]
    arguments: Value,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Vectors {
    data: Vec<Vector>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Vector {
    index: u64,
    embedding: Vec<f32>,
}

#[derive(Deserialize, Default)]
struct Tokens {
    count: Option<u64>,
    tokens: Option<Vec<Value>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_schema_that_says_all_is_held_to_strictly() {
        let whole = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"],
            "additionalProperties": false});
        assert!(strict(&whole) && strict(&json!({"type": "string"})));
        let mut open = whole.clone();
        open["required"] = json!([]);
        assert!(!strict(&open) && !strict(&json!({"type": "array", "items": open})));
    }
}
