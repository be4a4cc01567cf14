//! The back end whose models run in this process: opening them, and what is asked of them.

use super::bert::{Bert, is_bert};
use super::calls::{Listener, Style};
use super::decoder::Decoder;
use super::engine::{Bounds, Engine, Job, News, Refusal};
use super::fault::Fault;
use super::guide::{Form, Guide, Refusal as Unguided, Vocabulary};
use super::sampler::{Sampler, Stops};
use super::shape::{Ids, Shape};
use super::source::{Room, Source};
use super::template::Template;
use super::tokens::Tokens;
use crate::backend::{Ask, Backend, Counted, Embedded, Listed, Reader};
use crate::error::Error;
use crate::prompt::{Completion, Finish, Prompt};
use async_trait::async_trait;
use rayon::ThreadPool;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, timeout_at};

/// No token stands for more bytes than this, so a longer text than a window of them need not be read.
const TOKEN_BYTES: usize = 256;
/// Tokens of texts that go through an embedder together; between two such pieces it can be stopped.
const PIECE: usize = 512;

/// What the back end may use, and its models. Every field has a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What the back end is called.
    pub name: String,
    /// Threads that compute, for all its models together.
    pub threads: NonZeroUsize,
    /// Bytes of memory for the weights of all its models.
    pub memory: u64,
    /// Bytes of memory for what each model keeps of the conversations that it is in.
    pub cache: u64,
    /// Conversations that one model goes on with at once.
    pub together: usize,
    /// Prompts that wait for one model.
    pub waiting: usize,
    /// The models.
    pub models: Vec<Settled>,
}

/// A model that is to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// What it is called.
    pub name: String,
    /// A GGUF file, or a folder with safetensors, `config.json` and `tokenizer.json`.
    pub path: PathBuf,
    /// How conversations are put to it; if it is not said, as its tokens suggest.
    pub template: Option<Template>,
}

/// The back end.
pub struct Models {
    name: String,
    pool: Arc<ThreadPool>,
    models: Vec<Held>,
}

struct Held {
    name: String,
    tokens: Arc<Tokens>,
    /// Tokens that fit.
    context: usize,
    /// Of its weights.
    bytes: u64,
    kind: Kind,
}

enum Kind {
    Writes {
        engine: Engine,
        template: Template,
        /// How many tokens the model tells apart, and what they stand for once somebody wants to know.
        size: usize,
        vocabulary: Arc<OnceLock<Option<Arc<Vocabulary>>>>,
    },
    /// One text after the other: the lock keeps them apart.
    Embeds(Arc<Bert>, Mutex<()>),
}

impl Models {
    /// Opens all models. This reads their weights, and blocks for as long.
    pub fn open(settings: &Settings) -> Result<Models, Fault> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(settings.threads.get())
            .thread_name(|number| format!("model-{number}"))
            .build()
            .map_err(|e| Fault::Threads(e.to_string()))?;
        let pool = Arc::new(pool);
        let mut room = Room { need: 0, limit: settings.memory };
        let mut models: Vec<Held> = Vec::new();
        for model in &settings.models {
            if models.iter().any(|other| other.name == model.name) {
                return Err(Fault::config(&settings.name, format!("two models are called `{}`", model.name)));
            }
            models.push(hold(settings, model, &mut room, &pool)?);
        }
        Ok(Models { name: settings.name.clone(), pool, models })
    }

    fn find(&self, model: &str) -> Result<&Held, Error> {
        let unknown = || Error::Unknown { model: model.to_owned() };
        self.models.iter().find(|held| held.name == model).ok_or_else(unknown)
    }

    fn style(&self, model: &str) -> Result<Style, Error> {
        match &self.find(model)?.kind {
            Kind::Writes { template, .. } => Ok(Style::of(*template)),
            Kind::Embeds(..) => Err(self.unsupported("writing with a model that makes vectors")),
        }
    }

    fn unsupported(&self, what: &str) -> Error {
        Error::Unsupported { backend: self.name.clone(), what: what.to_owned() }
    }

    fn broken(&self, why: &str) -> Error {
        Error::Broken { backend: self.name.clone(), why: why.to_owned() }
    }

    fn gone(&self) -> Error {
        Error::Unavailable { backend: self.name.clone(), why: "the model has stopped".to_owned(), retry_after: None }
    }

    /// What keeps an answer to what the prompt wants it to look like.
    async fn guide(&self, held: &Held, prompt: &Prompt, until: Instant) -> Result<Option<Guide>, Error> {
        let Kind::Writes { template, size, vocabulary, .. } = &held.kind else { return Ok(None) };
        if prompt.schema.is_none() && prompt.tools.is_empty() {
            return Ok(None);
        }
        let (tools, schema, style) = (prompt.tools.clone(), prompt.schema.clone(), Style::of(*template));
        let (tokens, size, vocabulary) = (held.tokens.clone(), *size, vocabulary.clone());
        let work = tokio::task::spawn_blocking(move || {
            let known = vocabulary.get_or_init(|| Vocabulary::new(&tokens, size).map(Arc::new));
            let known = known.as_ref().ok_or(Unguided::Tokens)?;
            let form = match (tools.is_empty(), &schema) {
                (true, Some(schema)) => Form::of_schema(schema)?,
                _ => style.form(&tools, schema.as_deref())?,
            };
            Guide::new(&form, known)
        });
        let made = timeout_at(until, work).await.map_err(|_| Error::Timeout)?;
        match made.map_err(|_| self.broken("the schema can't be read"))? {
            Ok(guide) => Ok(Some(guide)),
            Err(Unguided::Bad(what)) => Err(Error::Invalid { what: format!("`schema`: {what}") }),
            Err(why) => Err(self.unsupported(&why.to_string())),
        }
    }

    /// Tokenizes apart from those who wait: a long text takes its time.
    async fn tokenize<T: Send + 'static>(
        &self,
        held: &Held,
        until: Instant,
        read: impl FnOnce(&Tokens) -> Option<T> + Send + 'static,
    ) -> Result<T, Error> {
        let tokens = held.tokens.clone();
        let work = tokio::task::spawn_blocking(move || read(&tokens));
        let read = timeout_at(until, work).await.map_err(|_| Error::Timeout)?;
        read.ok().flatten().ok_or_else(|| self.broken("the tokenizer can't read this text"))
    }

    /// Hands the prompt to the engine of a model.
    async fn begin(&self, ask: Ask<'_>) -> Result<(mpsc::UnboundedReceiver<News>, u64), Error> {
        let held = self.find(ask.model)?;
        let Kind::Writes { engine, template, .. } = &held.kind else {
            return Err(self.unsupported("writing with a model that makes vectors"));
        };
        ask.prompt.check()?;
        let too_long = || Error::TooLong { model: held.name.clone() };
        if ask.prompt.bytes() > held.context.saturating_mul(TOKEN_BYTES) {
            return Err(too_long());
        }
        let (template, guide) = (*template, self.guide(held, ask.prompt, ask.until).await?);
        let turns = Style::of(template).turns(ask.prompt);
        let mut stops = ask.prompt.stop.clone();
        stops.extend(template.stops(&turns).iter().map(|stop| (*stop).to_owned()));
        let prompt = self.tokenize(held, ask.until, move |tokens| template.encode(tokens, &turns)).await?;
        if prompt.is_empty() {
            return Err(Error::Invalid { what: "the prompt has no tokens".to_owned() });
        }
        if prompt.len() >= held.context {
            return Err(too_long());
        }
        let read = prompt.len() as u64;
        let most = (ask.prompt.max_tokens as usize).min(held.context - prompt.len());
        if let Some(least) = guide.as_ref().map(Guide::least).filter(|least| *least > most as u64) {
            let what = format!("an answer of {most} tokens that fits the schema: the shortest takes {least}");
            return Err(self.unsupported(&what));
        }
        let (to, news) = mpsc::unbounded_channel();
        let job = Job {
            most,
            prompt,
            sampler: Sampler::new(ask.prompt.temperature, ask.prompt.seed.unwrap_or_else(chance)),
            stops: Stops::new(&stops),
            guide,
            until: ask.until.into_std(),
            to,
        };
        match engine.put(job) {
            Ok(()) => Ok((news, read)),
            Err(Refusal::Full) => Err(Error::Busy { backend: self.name.clone(), retry_after: None }),
            Err(Refusal::Gone) => Err(self.gone()),
        }
    }
}

/// Another number each time.
fn chance() -> u64 {
    RandomState::new().hash_one(0)
}

fn hold(settings: &Settings, model: &Settled, room: &mut Room, pool: &Arc<ThreadPool>) -> Result<Held, Fault> {
    let source = Source::open(&model.path)?;
    let config = if source.described().is_some() { None } else { source.read_beside("config.json")? };
    let (name, before) = (model.name.clone(), room.need);
    if let Some(text) = config.as_deref().filter(|text| is_bert(text)) {
        let bert = pool.install(|| Bert::load(&source, text, room))?;
        let tokens = Arc::new(Tokens::open(&source, bert.vocabulary())?);
        let context = bert.context();
        let bytes = room.need - before;
        return Ok(Held { name, tokens, context, bytes, kind: Kind::Embeds(Arc::new(bert), Mutex::new(())) });
    }
    let mut shape = match (source.described(), config) {
        (Some(said), _) => Shape::from_gguf(&source.file(), &said)?,
        (None, Some(text)) => Shape::from_config(&source.beside("config.json").display().to_string(), &text)?,
        (None, None) => return Err(Fault::config(source.file(), "there is no config.json beside it")),
    };
    let tokens = Arc::new(Tokens::open(&source, shape.vocabulary)?);
    let ends = ends(&source, &shape, &tokens)?;
    // A token in a cache must not be larger than all caches together.
    let token = (shape.layers * shape.key_heads * shape.head * 2 * 4) as u64;
    let room_tokens = settings.cache / token;
    if room_tokens < 2 {
        return Err(Fault::Memory { need: 2 * token, limit: settings.cache });
    }
    shape.context = shape.context.min(usize::try_from(room_tokens).unwrap_or(usize::MAX));
    let (context, size) = (shape.context, shape.vocabulary);
    let decoder = pool.install(|| Decoder::load(&source, &shape, 0..shape.layers, room))?;
    let template = model.template.unwrap_or_else(|| Template::detect(&tokens));
    let bounds = Bounds {
        together: settings.together.max(1),
        waiting: settings.waiting.max(1),
        room: usize::try_from(room_tokens).unwrap_or(usize::MAX),
    };
    let engine = Engine::start(decoder, tokens.clone(), ends, bounds, pool.clone())
        .map_err(|e| Fault::Threads(e.to_string()))?;
    let bytes = room.need - before;
    Ok(Held { name, tokens, context, bytes, kind: Kind::Writes { engine, template, size, vocabulary: Arc::default() } })
}

/// The tokens that end an answer: by what the model says, and by the names that such tokens have.
fn ends(source: &Source, shape: &Shape, tokens: &Tokens) -> Result<Vec<u32>, Fault> {
    #[derive(serde::Deserialize)]
    struct Generation {
        eos_token_id: Option<Ids>,
    }
    let mut ends = shape.eos.clone();
    if source.described().is_none()
        && let Some(text) = source.read_beside("generation_config.json")?
    {
        let file = source.beside("generation_config.json").display().to_string();
        let said: Generation = serde_json::from_slice(&text).map_err(|e| Fault::config(file, e.to_string()))?;
        ends.extend(said.eos_token_id.map(|ids| ids.all()).unwrap_or_default());
    }
    ends.extend(Template::ends().iter().filter_map(|name| tokens.id(name)));
    Ok(ends)
}

#[async_trait]
impl Backend for Models {
    fn name(&self) -> &str {
        &self.name
    }

    async fn list(&self, _until: Instant) -> Result<Vec<Listed>, Error> {
        let listed = |held: &Held| Listed {
            name: held.name.clone(),
            context: u32::try_from(held.context).unwrap_or(u32::MAX),
            embeds: matches!(held.kind, Kind::Embeds(..)),
            local: true,
        };
        Ok(self.models.iter().map(listed).collect())
    }

    fn weighs(&self, model: &str) -> Option<(u64, usize)> {
        Some((self.find(model).ok()?.bytes, self.pool.current_num_threads()))
    }

    async fn complete(&self, ask: Ask<'_>, reader: &mut dyn Reader) -> Result<Completion, Error> {
        let (mut news, read) = self.begin(ask).await?;
        let style = self.style(ask.model)?;
        let mut listener = Listener::new(style, ask.prompt, reader);
        loop {
            match timeout_at(ask.until, news.recv()).await.map_err(|_| Error::Timeout)? {
                Some(News::Text(more)) => listener.text(&more),
                Some(News::Alive) => listener.alive(),
                Some(News::Done(finish, written)) => {
                    let (text, calls) = listener.done().ok_or_else(|| self.broken("a call of a tool is none"))?;
                    let finish = if calls.is_empty() { finish } else { Finish::Calls };
                    let model = ask.model.to_owned();
                    return Ok(Completion { text, calls, finish, model, tokens_in: read, tokens_out: written });
                }
                Some(News::Late) => return Err(Error::Timeout),
                Some(News::Broken) => return Err(self.broken("what the model computes is no number")),
                None => return Err(self.gone()),
            }
        }
    }

    async fn embed(&self, model: &str, texts: &[String], _private: bool, until: Instant) -> Result<Embedded, Error> {
        let held = self.find(model)?;
        if texts.is_empty() {
            return Ok(Embedded { vectors: Vec::new(), tokens: 0 });
        }
        let Kind::Embeds(bert, lock) = &held.kind else {
            return Err(self.unsupported("vectors of a model that writes"));
        };
        let too_long = || Error::TooLong { model: held.name.clone() };
        if texts.iter().any(|text| text.len() > held.context.saturating_mul(TOKEN_BYTES)) {
            return Err(too_long());
        }
        let all = texts.to_vec();
        let read = move |tokens: &Tokens| all.iter().map(|text| tokens.encode_whole(text)).collect::<Option<Vec<_>>>();
        let texts = self.tokenize(held, until, read).await?;
        if texts.iter().any(Vec::is_empty) {
            return Err(Error::Invalid { what: "a text has no tokens".to_owned() });
        }
        if texts.iter().any(|text| text.len() > held.context) {
            return Err(too_long());
        }
        let tokens = texts.iter().map(|text| text.len() as u64).sum();
        let _turn = timeout_at(until, lock.lock()).await.map_err(|_| Error::Timeout)?;
        let stopped = Stopped(Arc::new(AtomicBool::new(false)));
        let (bert, pool, stop) = (bert.clone(), self.pool.clone(), stopped.0.clone());
        let work = tokio::task::spawn_blocking(move || {
            let mut vectors = Vec::new();
            for piece in pieces(texts) {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                vectors.extend(pool.install(|| bert.embed(&piece)));
            }
            vectors
        });
        let vectors = timeout_at(until, work).await.map_err(|_| Error::Timeout)?.map_err(|_| self.gone())?;
        if vectors.iter().flatten().any(|v| !v.is_finite()) {
            return Err(self.broken("what the model computes is no number"));
        }
        Ok(Embedded { vectors, tokens })
    }

    async fn count(&self, model: &str, text: &str, _private: bool, until: Instant) -> Result<Counted, Error> {
        let held = self.find(model)?;
        let text = text.to_owned();
        let ids = self.tokenize(held, until, move |tokens| tokens.encode(&text)).await?;
        Ok(Counted { tokens: ids.len() as u64, exact: true })
    }
}

/// Stops the work when whoever wanted it is gone.
struct Stopped(Arc<AtomicBool>);

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Texts that go together: as many as [`PIECE`] tokens have room for, and at least one.
fn pieces(texts: Vec<Vec<u32>>) -> Vec<Vec<Vec<u32>>> {
    let mut pieces: Vec<Vec<Vec<u32>>> = Vec::new();
    let mut size = PIECE + 1;
    for text in texts {
        size += text.len();
        match pieces.last_mut().filter(|_| size <= PIECE) {
            Some(piece) => piece.push(text),
            None => {
                size = text.len();
                pieces.push(vec![text]);
            }
        }
    }
    pieces
}
