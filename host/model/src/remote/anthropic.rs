//! The messages API of Anthropic.

use super::client::{Client, Outgoing, Reply, Trust};
use super::draft::Draft;
use super::events::Event;
use super::openai::parsed;
use super::plain::Plain;
use super::{MODELS, Remote, Step, WHOLE, fault, follow, within};
use crate::backend::{Ask, Backend, Counted, Embedded, Listed, Reader};
use crate::error::Error;
use crate::prompt::{Completion, Finish, Prompt, Role};
use async_trait::async_trait;
use http::{HeaderName, HeaderValue, Method};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::time::Instant;

/// A back end that speaks as Anthropic's does.
pub struct Anthropic {
    remote: Remote,
    client: Client,
    plain: Plain,
}

/// The version of the API that this is written for.
const VERSION: &str = "2023-06-01";

/// The tool by which a model gives an answer that fits a schema.
const ANSWER: &str = "give_answer";

/// Where a schema that is of no object has its value.
const VALUE: &str = "value";

impl Anthropic {
    /// A back end at an address whose path is `/v1` if none is written.
    pub fn new(remote: Remote, trust: &Arc<Trust>) -> Anthropic {
        let remote = Remote { address: remote.address.or_path("/v1"), ..remote };
        Anthropic { client: remote.client(trust), remote, plain: Plain::default() }
    }

    fn outgoing(&self, method: Method, path: &str, body: Option<&Value>, private: bool) -> Outgoing {
        let mut headers = vec![(HeaderName::from_static("anthropic-version"), HeaderValue::from_static(VERSION))];
        headers.extend(self.remote.key.as_ref().map(|key| (HeaderName::from_static("x-api-key"), key.header(""))));
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
        let found: Models = self.read(self.outgoing(Method::GET, "/models?limit=1000", None, false), "").await?;
        let listed = |model: Model| self.remote.listed(model.id, model.max_input_tokens, Some(false));
        Ok(found.data.into_iter().take(MODELS).map(listed).collect())
    }

    async fn write(&self, ask: Ask<'_>, reader: &mut dyn Reader) -> Result<Completion, Error> {
        let form = Form::of(ask.prompt)?;
        let mut body = body(ask, form.as_ref())?;
        body["stream"] = true.into();
        self.plain.trim(ask.model, &mut body);
        let outgoing = |body: &Value| self.outgoing(Method::POST, "/messages", Some(body), ask.prompt.private);
        let mut reply = match self.fetch(outgoing(&body), ask.model).await {
            Err(error) if self.plain.learns(ask.model, &error, &mut body) => {
                self.fetch(outgoing(&body), ask.model).await?
            }
            reply => reply?,
        };
        // What stands beside an answer that fits a schema is not part of it.
        let mut aside = Aside(&mut *reader);
        let reader: &mut dyn Reader = if form.is_some() { &mut aside } else { &mut *aside.0 };
        let mut draft = Draft::new(&self.remote.name, self.remote.key.as_ref(), ask, reader);
        if reply.streams() {
            follow(reply, &mut draft, ask.until, |draft, event| self.event(draft, event, ask.model)).await?;
        } else {
            // What stands between may not stream, and answers in one piece.
            let body = reply.all(WHOLE).await?;
            message(&mut draft, &body)?;
        }
        let Some(form) = form else { return draft.done() };
        let mut completion = draft.done()?;
        form.open(&mut completion).ok_or_else(|| Error::Unfit { backend: self.remote.name.clone() })?;
        if !completion.text.is_empty() {
            aside.0.text(&completion.text);
        }
        Ok(completion)
    }

    fn event(&self, draft: &mut Draft<'_>, event: &Event, model: &str) -> Result<Step, Error> {
        let part: Part =
            serde_json::from_str(&event.data).map_err(|_| draft.broken("its answer is not what it should be"))?;
        match part.kind.as_str() {
            "error" => return Err(fault::of_event(&self.client, &event.data, model)),
            "message_start" => {
                if let Some(usage) = part.message.and_then(|message| message.usage) {
                    draft.tokens_in = usage.read();
                }
            }
            "content_block_start" => {
                let block = part.content_block.unwrap_or_default();
                match block.kind.as_str() {
                    "text" => draft.text(&block.text)?,
                    "tool_use" => draft.call(part.index, &block.id, &block.name, "")?,
                    _ => draft.thought(1)?,
                }
            }
            "content_block_delta" => {
                let delta = part.delta.unwrap_or_default();
                match delta.kind.as_str() {
                    "text_delta" => draft.text(&delta.text)?,
                    "input_json_delta" => draft.call(part.index, "", "", &delta.partial_json)?,
                    _ => draft.thought(delta.thinking.len().max(1))?,
                }
            }
            "message_delta" => {
                if let Some(usage) = part.usage {
                    draft.tokens_out = usage.output_tokens.or(draft.tokens_out);
                }
                let reason = part.delta.and_then(|delta| delta.stop_reason).filter(|_| draft.finish.is_none());
                draft.finish = reason.as_deref().map(finish).or(draft.finish);
            }
            "message_stop" => return Ok(Step::Last),
            // Signs of life, and what is not known yet.
            _ => {}
        }
        Ok(Step::More)
    }

    async fn tokens(&self, model: &str, text: &str, private: bool) -> Result<u64, Error> {
        // A text of nothing is refused.
        if text.trim().is_empty() {
            return Ok(text.len() as u64);
        }
        let body = json!({ "model": model, "messages": [{ "role": "user", "content": text }] });
        let outgoing = self.outgoing(Method::POST, "/messages/count_tokens", Some(&body), private);
        let found: Tokens = self.read(outgoing, model).await?;
        Ok(found.input_tokens)
    }
}

/// Takes an answer that comes whole.
fn message(draft: &mut Draft<'_>, body: &[u8]) -> Result<(), Error> {
    let whole: Whole = serde_json::from_slice(body).map_err(|_| draft.broken("its answer is not what it should be"))?;
    for (index, block) in whole.content.iter().enumerate() {
        match block.kind.as_str() {
            "text" => draft.text(&block.text)?,
            "tool_use" => draft.call(index as u64, &block.id, &block.name, &block.input.to_string())?,
            _ => draft.thought(1)?,
        }
    }
    draft.finish = whole.stop_reason.as_deref().map(finish).or(draft.finish);
    if let Some(usage) = whole.usage {
        (draft.tokens_in, draft.tokens_out) = (usage.read(), usage.output_tokens);
    }
    Ok(())
}

fn finish(reason: &str) -> Finish {
    match reason {
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "tool_use" => Finish::Calls,
        "refusal" => Finish::Refused,
        _ => Finish::Stop,
    }
}

/// A reader that learns only that something is written.
struct Aside<'a>(&'a mut dyn Reader);

impl Reader for Aside<'_> {
    fn text(&mut self, _text: &str) {
        self.0.alive();
    }

    fn alive(&mut self) {
        self.0.alive();
    }
}

#[async_trait]
impl Backend for Anthropic {
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

    async fn embed(&self, model: &str, texts: &[String], private: bool, _until: Instant) -> Result<Embedded, Error> {
        self.remote.admit(model, private)?;
        match texts.is_empty() {
            true => Ok(Embedded { vectors: Vec::new(), tokens: 0 }),
            false => Err(Error::Unsupported { backend: self.remote.name.clone(), what: "it has no vectors".into() }),
        }
    }

    async fn count(&self, model: &str, text: &str, private: bool, until: Instant) -> Result<Counted, Error> {
        self.remote.admit(model, private)?;
        let tokens = within(until, self.tokens(model, text, private)).await?;
        Ok(Counted { tokens, exact: true })
    }
}

/// A schema as the tool that it becomes.
struct Form {
    schema: Value,
    /// Its value is in a field of the tool's, whose arguments must be an object.
    wrapped: bool,
}

impl Form {
    fn of(prompt: &Prompt) -> Result<Option<Form>, Error> {
        let Some(schema) = &prompt.schema else { return Ok(None) };
        let mut schema = parsed("schema", schema)?;
        if schema["type"] == "object" {
            return Ok(Some(Form { schema, wrapped: false }));
        }
        let mut whole = json!({ "type": "object", "required": [VALUE], "additionalProperties": false });
        // What it refers to stays where it is looked for.
        for place in ["$defs", "definitions"] {
            if let Some(parts) = schema.as_object_mut().and_then(|schema| schema.remove(place)) {
                whole[place] = parts;
            }
        }
        whole["properties"] = json!({ VALUE: schema });
        Ok(Some(Form { schema: whole, wrapped: true }))
    }

    /// Takes what the tool was called with as the answer. None if that isn't one.
    fn open(&self, completion: &mut Completion) -> Option<()> {
        let said = std::mem::take(&mut completion.text);
        let Some(at) = completion.calls.iter().position(|call| call.name == ANSWER) else {
            // It asks for other tools first, has no room left or says why it won't.
            completion.text = said;
            return (completion.finish != Finish::Stop).then_some(());
        };
        let mut value: Value = serde_json::from_str(&completion.calls.remove(at).arguments).ok()?;
        if self.wrapped {
            value = value.get_mut(VALUE)?.take();
        }
        completion.text = value.to_string();
        if completion.calls.is_empty() && completion.finish == Finish::Calls {
            completion.finish = Finish::Stop;
        }
        Some(())
    }
}

/// The body of a request.
fn body(ask: Ask<'_>, form: Option<&Form>) -> Result<Value, Error> {
    let prompt = ask.prompt;
    let mut body = json!({
        "model": ask.model,
        "max_tokens": prompt.max_tokens,
        // It has none above one.
        "temperature": f64::from(prompt.temperature.min(1000)) / 1000.0,
        "messages": messages(prompt)?,
    });
    let system: Vec<&str> =
        prompt.turns.iter().filter(|turn| turn.role == Role::System).map(|turn| turn.content.as_str()).collect();
    if !system.is_empty() {
        body["system"] = system.join("\n\n").into();
    }
    // It refuses a stop of nothing but space; the text is cut at it here.
    let stops: Vec<&String> = prompt.stop.iter().filter(|stop| !stop.trim().is_empty()).collect();
    if !stops.is_empty() {
        body["stop_sequences"] = json!(stops);
    }
    let mut tools = Vec::new();
    for tool in &prompt.tools {
        let schema = parsed("parameters", &tool.parameters)?;
        tools.push(json!({ "name": tool.name, "description": tool.description, "input_schema": schema }));
    }
    if let Some(form) = form {
        let description = "Gives the answer. Call it once, when the answer is known.";
        tools.push(json!({ "name": ANSWER, "description": description, "input_schema": form.schema }));
        body["tool_choice"] = match prompt.tools.is_empty() {
            true => json!({ "type": "tool", "name": ANSWER }),
            false => json!({ "type": "any" }),
        };
    }
    if !tools.is_empty() {
        body["tools"] = tools.into();
    }
    Ok(body)
}

/// The turns in the form of the API: users and assistants in alternation, what tools answer said by the user.
fn messages(prompt: &Prompt) -> Result<Vec<Value>, Error> {
    let mut messages: Vec<(&str, Vec<Value>)> = Vec::new();
    for turn in prompt.turns.iter().filter(|turn| turn.role != Role::System) {
        let role = if turn.role == Role::Assistant { "assistant" } else { "user" };
        let mut blocks = Vec::new();
        match turn.role {
            Role::Tool => {
                blocks.push(json!({ "type": "tool_result", "tool_use_id": turn.answers, "content": turn.content }))
            }
            // A text of nothing is refused.
            _ if turn.content.trim().is_empty() => {}
            _ => blocks.push(json!({ "type": "text", "text": turn.content })),
        }
        for call in &turn.calls {
            let input = parsed("arguments", &call.arguments)?;
            blocks.push(json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": input }));
        }
        match messages.last_mut() {
            Some((last, all)) if *last == role => all.append(&mut blocks),
            _ => messages.push((role, blocks)),
        }
    }
    let whole = messages.into_iter().filter(|(_, blocks)| !blocks.is_empty());
    Ok(whole.map(|(role, blocks)| json!({ "role": role, "content": blocks })).collect())
}

#[derive(Deserialize)]
struct Models {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
    max_input_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    index: u64,
    message: Option<Begun>,
    content_block: Option<Block>,
    delta: Option<Delta>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Whole {
    content: Vec<Block>,
    stop_reason: Option<String>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Begun {
    usage: Option<Usage>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Block {
    #[serde(rename = "type")]
    kind: String,
    text: String,
    id: String,
    name: String,
    /// Of a block that comes whole.
    input: Value,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Delta {
    #[serde(rename = "type")]
    kind: String,
    text: String,
    partial_json: String,
    thinking: String,
    stop_reason: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

impl Usage {
    /// What was read from a cache was read as well.
    fn read(&self) -> Option<u64> {
        let cached = self.cache_creation_input_tokens.unwrap_or(0) + self.cache_read_input_tokens.unwrap_or(0);
        self.input_tokens.map(|tokens| tokens + cached)
    }
}

#[derive(Deserialize)]
struct Tokens {
    input_tokens: u64,
}
