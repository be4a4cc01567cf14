//! The section `[models]` of `village.toml`: back ends, what they cost, and how one is chosen.

mod embedded;
mod open;

pub use embedded::Inside;
pub use open::Unopened;

use crate::backend::Backend;
use crate::key::{KeyError, Keys, named};
use crate::pattern::Pattern;
use crate::remote::anthropic::Anthropic;
use crate::remote::openai::OpenAi;
use crate::remote::{Address, Remote, Trust};
use crate::router::{Policy, Price, Routing, Terms};
use base::{Part, Size, nearest};
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What `[models]` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// How one is chosen.
    pub routing: Routing,
    /// The back ends that are asked over HTTP, by name.
    pub backends: Vec<Chosen>,
    /// Those whose models run in this process.
    pub inside: Vec<Inside>,
}

/// What a back end speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As OpenAI does, and Ollama, vLLM and llama.cpp's server.
    OpenAi,
    /// As Anthropic does.
    Anthropic,
}

/// A back end as it was written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// What it is called.
    pub name: String,
    /// What it speaks.
    pub kind: Kind,
    /// Where it is.
    pub address: Address,
    /// The name of its key.
    pub key: Option<String>,
    /// Its models, where it is not asked for them.
    pub models: Vec<String>,
    /// Tokens in the window of a model of which it says nothing.
    pub context: u32,
    /// Requests that it gets at once.
    pub at_once: usize,
    /// Whether what it is given may go further, although it is on this machine.
    pub passes_on: bool,
    /// What its models cost and are worth.
    pub terms: Terms,
}

/// What is wrong, and at which byte.
type Problem = (usize, String);

const KEYS: [&str; 5] = ["policy", "cache", "hedge", "shadow", "shadow-part"];
const BACKEND: [&str; 9] = ["kind", "url", "key", "models", "context", "at-once", "passes-on", "prices", "quality"];
const POLICIES: [&str; 5] = ["cost", "speed", "privacy", "quality", "balanced"];

/// Back ends that need no address or kind to be known: name, kind, address.
const KNOWN: [(&str, Kind, &str); 7] = [
    ("ollama", Kind::OpenAi, "http://127.0.0.1:11434"),
    ("vllm", Kind::OpenAi, "http://127.0.0.1:8000"),
    ("llama-cpp", Kind::OpenAi, "http://127.0.0.1:8080"),
    ("lm-studio", Kind::OpenAi, "http://127.0.0.1:1234"),
    ("openai", Kind::OpenAi, "https://api.openai.com/v1"),
    ("claude", Kind::Anthropic, "https://api.anthropic.com"),
    ("anthropic", Kind::Anthropic, "https://api.anthropic.com"),
];

impl Settings {
    /// Reads the section; an error says what is wrong, and at which byte of the file.
    pub fn read(table: &DeTable<'_>) -> Result<Settings, Problem> {
        let mut settings = Settings::default();
        let mut part = None;
        for (key, value) in table {
            let (name, at) = (key.get_ref().as_ref(), value.span().start);
            match (name, value.get_ref()) {
                ("policy", _) => settings.routing.policy = policy(value)?,
                ("cache", _) => {
                    let text = text("cache", "16MiB", value)?;
                    let size: Size = text.parse().map_err(|bad| (at, format!("`cache`: {bad}")))?;
                    settings.routing.cache = size;
                }
                ("hedge", DeValue::Boolean(hedge)) => settings.routing.hedge = *hedge,
                ("hedge", _) => return Err((at, "`hedge` is either true or false".into())),
                ("shadow", _) => {
                    let text = text("shadow", "local/llama3.2", value)?;
                    let pattern: Pattern = text.parse().map_err(|bad| (at, format!("`shadow`: {bad}")))?;
                    settings.routing.shadow = Some(pattern);
                }
                ("shadow-part", _) => {
                    let text = text("shadow-part", "5%", value)?;
                    part = Some((at, text.parse::<Part>().map_err(|bad| (at, format!("`shadow-part`: {bad}")))?));
                }
                (_, DeValue::Table(table)) if embedded::is(name, table) => {
                    settings.inside.push(embedded::read(name, key.span().start, table)?);
                }
                (_, DeValue::Table(table)) => {
                    settings.backends.push(backend(name, key.span().start, table)?);
                }
                _ => return Err((key.span().start, unknown("key of the models", name, &KEYS))),
            }
        }
        if let Some((at, part)) = part {
            if settings.routing.shadow.is_none() {
                return Err((at, "`shadow-part` says how often: `shadow` says which model".into()));
            }
            settings.routing.shadow_part = part;
        }
        Ok(settings)
    }
}

impl Chosen {
    /// The back end itself, with its key.
    pub fn open(&self, keys: &Keys, trust: &Arc<Trust>) -> Result<Arc<dyn Backend>, KeyError> {
        let remote = Remote {
            name: self.name.clone(),
            address: self.address.clone(),
            key: self.key.as_ref().map(|name| keys.find(name)).transpose()?,
            models: self.models.clone(),
            context: self.context,
            at_once: self.at_once,
            passes_on: self.passes_on,
        };
        Ok(match self.kind {
            Kind::OpenAi => Arc::new(OpenAi::new(remote, trust)),
            Kind::Anthropic => Arc::new(Anthropic::new(remote, trust)),
        })
    }
}

/// Whether a back end can have that name.
fn named_well(name: &str, place: usize) -> Result<(), Problem> {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.len() > 32 || !name.bytes().all(letter) || KEYS.contains(&name) {
        return Err((place, format!("a back end is named by up to 32 of a to z, 0 to 9 and -, which `{name}` is not")));
    }
    Ok(())
}

fn backend(name: &str, place: usize, table: &DeTable<'_>) -> Result<Chosen, Problem> {
    named_well(name, place)?;
    let known = KNOWN.iter().find(|(known, ..)| *known == name);
    let (mut kind, mut address, mut context) = (known.map(|known| known.1), None, None);
    let mut key_at = place;
    let mut chosen = Chosen {
        name: name.into(),
        kind: Kind::OpenAi,
        address: KNOWN[0].2.parse().expect("it is an address"),
        key: None,
        models: Vec::new(),
        context: 0,
        at_once: 16,
        passes_on: false,
        terms: Terms::default(),
    };
    // A kind that is misspelt explains why other keys are unknown.
    let mut fields: Vec<_> = table.iter().collect();
    fields.sort_by_key(|(key, _)| key.get_ref() != "kind");
    for (key, value) in fields {
        let at = value.span().start;
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("url", _) => {
                let text = text("url", "http://127.0.0.1:11434", value)?;
                address = Some(text.parse::<Address>().map_err(|bad| (at, format!("`url`: {bad}")))?);
            }
            ("key", _) => {
                let text = text("key", "OPENAI_API_KEY", value)?;
                if !named(&text) {
                    return Err((at, KeyError::Name.to_string()));
                }
                (chosen.key, key_at) = (Some(text), at);
            }
            ("kind", _) => {
                kind = Some(match text("kind", "openai", value)?.as_str() {
                    "openai" => Kind::OpenAi,
                    "anthropic" => Kind::Anthropic,
                    other => return Err((at, unknown("kind", other, &["openai", "anthropic", "embedded"]))),
                });
            }
            ("models", DeValue::Array(list)) => {
                chosen.models = list.iter().map(|item| text("models", "llama3.2", item)).collect::<Result<_, _>>()?;
            }
            ("models", _) => return Err((at, "`models` is a list, such as [\"llama3.2\"]".into())),
            ("context", _) => context = Some(number("context", value, 1, 1 << 30)? as u32),
            ("at-once", _) => chosen.at_once = number("at-once", value, 1, 1024)? as usize,
            ("passes-on", DeValue::Boolean(passes_on)) => chosen.passes_on = *passes_on,
            ("passes-on", _) => return Err((at, "`passes-on` is either true or false".into())),
            ("prices", DeValue::Table(table)) => chosen.terms.prices = each(table, price)?,
            ("prices", _) => return Err((at, "`prices` is a table, such as { \"*\" = [3, 15] }".into())),
            ("quality", DeValue::Table(table)) => {
                chosen.terms.quality = each(table, |value| Ok(number("quality", value, 0, 100)? as u32))?;
            }
            ("quality", _) => return Err((at, "`quality` is a table, such as { \"*\" = 80 }".into())),
            (other, _) => return Err((key.span().start, unknown("key of a back end", other, &BACKEND))),
        }
    }
    let usual = known.map(|known| known.2.parse::<Address>().expect("it is an address"));
    chosen.address = address.or(usual).ok_or_else(|| (place, format!("the back end `{name}` needs a `url`")))?;
    chosen.kind = kind.unwrap_or(if chosen.address.under("anthropic.com") { Kind::Anthropic } else { Kind::OpenAi });
    chosen.context = context.unwrap_or(if chosen.kind == Kind::Anthropic { 200_000 } else { 8192 });
    if chosen.key.is_some() && chosen.address.readable() {
        let said = "a key is only sent over https, or to this machine: others could read it on the way";
        return Err((key_at, said.into()));
    }
    Ok(chosen)
}

fn policy(value: &Spanned<DeValue<'_>>) -> Result<Policy, Problem> {
    Ok(match text("policy", "balanced", value)?.as_str() {
        "cost" => Policy::Cost,
        "speed" => Policy::Speed,
        "privacy" => Policy::Privacy,
        "quality" => Policy::Quality,
        "balanced" => Policy::Balanced,
        other => return Err((value.span().start, unknown("policy", other, &POLICIES))),
    })
}

/// What is said of models by pattern, the longest pattern first, so that the nearest is found first.
fn each<T>(
    table: &DeTable<'_>,
    read: impl Fn(&Spanned<DeValue<'_>>) -> Result<T, Problem>,
) -> Result<Vec<(String, T)>, Problem> {
    let one = |(key, value): (&Spanned<_>, _)| -> Result<(String, T), Problem> {
        let key: &std::borrow::Cow<'_, str> = key.get_ref();
        Ok((key.to_string(), read(value)?))
    };
    let mut all = table.iter().map(one).collect::<Result<Vec<_>, _>>()?;
    all.sort_by_key(|(pattern, _)| (pattern.contains('*'), std::cmp::Reverse(pattern.len())));
    Ok(all)
}

/// Money for a million tokens that are read, and for a million that are written.
fn price(value: &Spanned<DeValue<'_>>) -> Result<Price, Problem> {
    let bad = || (value.span().start, "a price is [3, 15]: for a million tokens read, and a million written".into());
    let DeValue::Array(list) = value.get_ref() else { return Err(bad()) };
    let each: Option<Vec<u64>> = list.iter().map(|item| amount(item.get_ref())).collect();
    match each.as_deref() {
        Some([read, write]) => Ok(Price { read: *read, write: *write }),
        _ => Err(bad()),
    }
}

/// Thousandths: of a coin for a million tokens, which are billionths for one.
fn amount(value: &DeValue<'_>) -> Option<u64> {
    let number: f64 = match value {
        DeValue::Integer(number) => number.to_string().parse().ok()?,
        DeValue::Float(number) => number.to_string().parse().ok()?,
        _ => return None,
    };
    (0.0..=1e6).contains(&number).then(|| (number * 1e3).round() as u64)
}

fn number(key: &str, value: &Spanned<DeValue<'_>>, least: u64, most: u64) -> Result<u64, Problem> {
    let bad = || (value.span().start, format!("`{key}` is a number from {least} to {most}"));
    match value.get_ref() {
        DeValue::Integer(number) => {
            let number: u64 = number.to_string().parse().map_err(|_| bad())?;
            (least..=most).contains(&number).then_some(number).ok_or_else(bad)
        }
        _ => Err(bad()),
    }
}

/// What to say of a name that does not belong where it stands.
fn unknown(what: &str, name: &str, known: &[&'static str]) -> String {
    let near = nearest(name, known.iter().copied()).map(|word| format!(", did you mean `{word}`?"));
    format!("unknown {what} `{name}`{}; there are {}", near.unwrap_or_default(), known.join(", "))
}

fn text(key: &str, example: &str, value: &Spanned<DeValue<'_>>) -> Result<String, Problem> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text.to_string()),
        _ => Err((value.span().start, format!("`{key}` must be text in quotes, such as \"{example}\""))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, String> {
        let document = DeTable::parse(text).map_err(|error| error.message().to_string())?;
        let (_, models) = document.get_ref().iter().find(|(key, _)| key.get_ref() == "models").expect("a section");
        let DeValue::Table(table) = models.get_ref() else { return Err("no table".into()) };
        Settings::read(table).map_err(|(at, problem)| {
            format!("{}: {problem}", text[..at].bytes().filter(|byte| *byte == b'\n').count() + 1)
        })
    }

    #[test]
    fn two_lines_point_at_ollama_or_claude() {
        let ollama = read("[models.ollama]\nurl = \"http://127.0.0.1:11434\"\n").expect("it is good").backends;
        assert_eq!((ollama[0].kind, ollama[0].address.loopback(), &ollama[0].key), (Kind::OpenAi, true, &None));
        assert_eq!(read("[models.ollama]\n").expect("it is good").backends, ollama);
        let claude = read("[models.claude]\nkey = \"ANTHROPIC_API_KEY\"\n").expect("it is good").backends;
        assert_eq!((claude[0].kind, claude[0].address.loopback()), (Kind::Anthropic, false));
        assert_eq!(claude[0].key.as_deref(), Some("ANTHROPIC_API_KEY"));
        let other = read("[models.mine]\nurl = \"https://api.anthropic.com/v1\"\n").expect("it is good").backends;
        assert_eq!(other[0].kind, Kind::Anthropic);
    }

    #[test]
    fn models_of_this_process_are_named_with_their_files() {
        let settings = read(
            "[models.embedded]\nfiles = { tiny = \"tiny.gguf\", minilm = \"/models/minilm\" }\nmemory = \"64MiB\"\n\
             cache = \"1MiB\"\nthreads = 3\ntogether = 2\nwaiting = 5\ntemplates = { tiny = \"plain\" }\n\
             quality = { \"*\" = 20 }\n[models.second]\nkind = \"embedded\"\nfiles = { b = \"b\" }\n",
        );
        let settings = settings.expect("it is good").within(std::path::Path::new("/etc/village"));
        let inside = settings.inside.iter().find(|inside| inside.settings.name == "embedded").expect("it is read");
        let of = |name: &str| {
            let model = inside.settings.models.iter().find(|model| model.name == name).expect("it is read");
            (model.path.display().to_string(), model.template)
        };
        assert_eq!(of("tiny"), ("/etc/village/tiny.gguf".into(), Some(crate::embedded::Template::Plain)));
        assert_eq!(of("minilm"), ("/models/minilm".into(), None));
        let bounds = (inside.settings.memory, inside.settings.cache, inside.settings.threads.get());
        assert_eq!(bounds, (64 << 20, 1 << 20, 3));
        assert_eq!((inside.settings.together, inside.settings.waiting, inside.terms.quality("tiny")), (2, 5, Some(20)));
        assert_eq!((settings.inside.len(), settings.backends.len()), (2, 0));
        for (text, said) in [
            ("[models.embedded]\n", "1: `embedded` has no models: name them"),
            (
                "[models.embedded]\nfile = { a = \"b\" }\n",
                "2: unknown key of an embedded back end `file`, did you mean `files`?",
            ),
            ("[models.embedded]\nfiles = \"b\"\n", "2: `files` is a table"),
            ("[models.embedded]\nfiles = { a = 1 }\n", "2: `files` must be text in quotes"),
            ("[models.embedded]\nfiles = { \"a b\" = \"c\" }\n", "2: `a b` can't be the name"),
            ("[models.embedded]\nfiles = { a = \"b\" }\nthreads = 0\n", "3: `threads` is a number from 1 to 256"),
            ("[models.embedded]\nfiles = { a = \"b\" }\nmemory = \"1KiB\"\n", "3: `memory`: 1KiB is less than 64KiB"),
            ("[models.embedded]\nfiles = { a = \"b\" }\ntemplates = { b = \"plain\" }\n", "3: there is no model `b`"),
            ("[models.embedded]\nfiles = { a = \"b\" }\ntemplates = { a = \"plan\" }\n", "did you mean `plain`?"),
            ("[models.embedded]\nkind = \"embeded\"\nfiles = { a = \"b\" }\n", "did you mean `embedded`?"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn what_can_not_be_opened_says_which_back_end_and_why() {
        let open = |text: &str| {
            let opened = read(text).expect("it is good").open(&Keys::default(), &Arc::new(Trust::default()));
            opened.err().expect("it is refused").to_string()
        };
        let said = open("[models.claude]\nkey = \"NO_SUCH_KEY_ANYWHERE\"\n");
        assert!(said.starts_with("the back end `claude`: there is no key `NO_SUCH_KEY_ANYWHERE`"), "{said}");
        let said = open("[models.embedded]\nfiles = { a = \"/nowhere/a.gguf\" }\n");
        assert!(said.starts_with("the back end `embedded`: /nowhere/a.gguf"), "{said}");
    }

    #[test]
    fn a_whole_section_is_read() {
        let settings = read(
            "[models]\npolicy = \"cost\"\ncache = \"1MiB\"\nhedge = false\nshadow = \"local/new\"\nshadow-part = \"5%\"\n\
             [models.far]\nurl = \"https://example.com/v1\"\nkind = \"openai\"\nkey = \"FAR_KEY\"\nmodels = [\"a\", \"b\"]\n\
             context = 32000\nat-once = 3\npasses-on = true\nprices = { \"*\" = [3, 15], \"a\" = [0.25, 1.25] }\n\
             quality = { \"a*\" = 80 }\n",
        )
        .expect("it is good");
        let routing = &settings.routing;
        assert_eq!((routing.policy, routing.cache, routing.hedge), (Policy::Cost, Size::mib(1), false));
        assert_eq!(routing.shadow.as_ref().map(ToString::to_string).as_deref(), Some("local/new"));
        assert_eq!(routing.shadow_part, Part::percent(5));
        let far = &settings.backends[0];
        assert_eq!((far.context, far.at_once, far.passes_on, far.models.len()), (32_000, 3, true, 2));
        assert_eq!(far.terms.price("a"), Some(Price { read: 250, write: 1250 }));
        assert_eq!(far.terms.price("b"), Some(Price { read: 3000, write: 15_000 }));
        assert_eq!((far.terms.quality("ab"), far.terms.quality("b")), (Some(80), None));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line_and_the_nearest_word() {
        for (text, said) in [
            ("[models]\npolcy = \"cost\"\n", "2: unknown key of the models `polcy`, did you mean `policy`?"),
            ("[models]\npolicy = \"cheap\"\n", "2: unknown policy `cheap`; there are cost"),
            ("[models]\ncache = \"much\"\n", "2: `cache`: `much` is not a size"),
            ("[models]\nhedge = 1\n", "2: `hedge` is either"),
            ("[models]\nshadow = \"new\"\n", "2: `shadow`: a model is named"),
            ("[models]\nshadow-part = \"5%\"\n", "2: `shadow-part` says how often"),
            ("[models.a]\n", "1: the back end `a` needs a `url`"),
            ("[models.A]\n", "1: a back end is named by"),
            ("[models.policy]\n", "1: `policy` must be text"),
            ("[models.a]\nulr = \"http://x\"\n", "2: unknown key of a back end `ulr`, did you mean `url`?"),
            ("[models.a]\nurl = \"x\"\n", "2: `url`: "),
            ("[models.a]\nurl = 1\n", "2: `url` must be text in quotes"),
            ("[models.ollama]\nkind = \"opnai\"\n", "2: unknown kind `opnai`, did you mean `openai`?"),
            ("[models.ollama]\ncontext = 0\n", "2: `context` is a number from 1"),
            ("[models.ollama]\nat-once = \"x\"\n", "2: `at-once` is a number"),
            ("[models.ollama]\nprices = { \"*\" = 3 }\n", "2: a price is [3, 15]"),
            ("[models.ollama]\nprices = { \"*\" = [3, -1] }\n", "2: a price is [3, 15]"),
            ("[models.ollama]\nquality = { \"*\" = 101 }\n", "2: `quality` is a number from 0 to 100"),
            ("[models.ollama]\nmodels = \"x\"\n", "2: `models` is a list"),
            ("[models.a]\nurl = \"http://10.0.0.1\"\nkey = \"A_KEY\"\n", "3: a key is only sent over https"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.starts_with(said), "{error}");
        }
        let pasted = "sk-ant-0123456789";
        let error = read(&format!("[models.claude]\nkey = \"{pasted}\"\n")).expect_err("it is refused");
        assert!(error.starts_with("2: a key is called by its name") && !error.contains(pasted), "{error}");
    }
}
