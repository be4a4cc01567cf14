//! A back end whose models run in this process, as `[models.NAME]` describes it: which files, and how much they may take.

use super::{Problem, each, named_well, number, text, unknown};
use crate::embedded::{Settings, Settled, Template};
use crate::router::Terms;
use base::Size;
use std::num::NonZeroUsize;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A back end whose models run in this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inside {
    /// What it may use, and its models.
    pub settings: Settings,
    /// What its models cost and are worth.
    pub terms: Terms,
}

/// The name that says so by itself.
const NAME: &str = "embedded";

const KEYS: [&str; 10] =
    ["kind", "files", "templates", "threads", "memory", "cache", "together", "waiting", "prices", "quality"];
const TEMPLATES: [&str; 3] = ["llama3", "chatml", "plain"];

/// Less room than that holds no model, and no conversation.
const LEAST: Size = Size::kib(64);

/// Whether a back end is such a one.
pub(super) fn is(name: &str, table: &DeTable<'_>) -> bool {
    let kind = table.iter().find(|(key, _)| key.get_ref() == "kind").map(|(_, value)| value.get_ref());
    match kind {
        Some(DeValue::String(kind)) => kind == NAME,
        Some(_) => false,
        None => name == NAME || table.iter().any(|(key, _)| key.get_ref() == "files"),
    }
}

pub(super) fn read(name: &str, place: usize, table: &DeTable<'_>) -> Result<Inside, Problem> {
    named_well(name, place)?;
    let mut settings = Settings {
        name: name.into(),
        threads: threads(),
        memory: Size::mib(4 << 10).get(),
        cache: Size::mib(512).get(),
        together: 8,
        waiting: 64,
        models: Vec::new(),
    };
    let (mut terms, mut templates) = (Terms::default(), Vec::new());
    for (key, value) in table {
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("kind", _) => {}
            ("files", DeValue::Table(files)) => settings.models = models(files)?,
            ("files", _) => {
                return Err((value.span().start, "`files` is a table, such as { llama = \"./llama.gguf\" }".into()));
            }
            ("templates", DeValue::Table(table)) => templates = table.iter().collect(),
            ("templates", _) => {
                return Err((value.span().start, "`templates` is a table, such as { llama = \"plain\" }".into()));
            }
            ("threads", _) => {
                let threads = number("threads", value, 1, 256)? as usize;
                settings.threads = NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN);
            }
            ("memory", _) => settings.memory = size("memory", value)?,
            ("cache", _) => settings.cache = size("cache", value)?,
            ("together", _) => settings.together = number("together", value, 1, 256)? as usize,
            ("waiting", _) => settings.waiting = number("waiting", value, 1, 10_000)? as usize,
            ("prices", DeValue::Table(table)) => terms.prices = each(table, super::price)?,
            ("quality", DeValue::Table(table)) => {
                terms.quality = each(table, |value| Ok(number("quality", value, 0, 100)? as u32))?;
            }
            ("prices" | "quality", _) => {
                return Err((value.span().start, format!("`{}` is a table", key.get_ref())));
            }
            (other, _) => return Err((key.span().start, unknown("key of an embedded back end", other, &KEYS))),
        }
    }
    if settings.models.is_empty() {
        let said =
            format!("`{name}` has no models: name them and their files, as files = {{ llama = \"./llama.gguf\" }}");
        return Err((place, said));
    }
    for (key, value) in templates {
        let Some(model) = settings.models.iter_mut().find(|model| model.name == *key.get_ref()) else {
            return Err((key.span().start, format!("there is no model `{}` under `files`", key.get_ref())));
        };
        model.template = Some(template(value)?);
    }
    Ok(Inside { settings, terms })
}

/// Half of the cores: agents run on them too.
fn threads() -> NonZeroUsize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    NonZeroUsize::new(cores / 2).unwrap_or(NonZeroUsize::MIN)
}

fn models(files: &DeTable<'_>) -> Result<Vec<Settled>, Problem> {
    let one = |(key, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
        let name = key.get_ref().to_string();
        if name.is_empty() || name.len() > 100 || !name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'*') {
            return Err((key.span().start, format!("`{name}` can't be the name of a model")));
        }
        let path = text("files", "./llama.gguf", value)?;
        Ok(Settled { name, path: path.into(), template: None })
    };
    files.iter().map(one).collect()
}

fn template(value: &Spanned<DeValue<'_>>) -> Result<Template, Problem> {
    Ok(match text("templates", "plain", value)?.as_str() {
        "llama3" => Template::Llama3,
        "chatml" => Template::ChatMl,
        "plain" => Template::Plain,
        other => return Err((value.span().start, unknown("template", other, &TEMPLATES))),
    })
}

fn size(key: &str, value: &Spanned<DeValue<'_>>) -> Result<u64, Problem> {
    let (at, text) = (value.span().start, text(key, "4GiB", value)?);
    let size: Size = text.parse().map_err(|bad| (at, format!("`{key}`: {bad}")))?;
    match size < LEAST {
        true => Err((at, format!("`{key}`: {text} is less than {LEAST}"))),
        false => Ok(size.get()),
    }
}

impl Inside {
    /// Has files be found from a folder, where they are not named in full.
    pub(super) fn look_in(&mut self, folder: &Path) {
        for model in &mut self.settings.models {
            model.path = folder.join(&model.path);
        }
    }
}
