//! mergekit's YAML, as it is.

use serde::Deserialize;

use super::Method;
use crate::{Error, Format, Misfit, Result};

/// A parameter: one value, a gradient over layers, or values by tensor name.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Setting {
    /// Yes or no.
    Switch(bool),
    /// A number.
    Number(f64),
    /// The first whose filter is part of the tensor's name.
    Filtered(Vec<Filtered>),
    /// From the first layer to the last, interpolated.
    Gradient(Vec<f64>),
}

/// A value for the tensors whose name contains `filter`; for all, if there is none.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filtered {
    filter: Option<String>,
    value: Box<Setting>,
}

impl Setting {
    /// The value for one tensor; `depth` goes from 0 (first layer) to 1 (last).
    pub(super) fn at(&self, tensor: &str, depth: f64) -> Option<f64> {
        match self {
            Self::Switch(on) => Some(f64::from(u8::from(*on))),
            Self::Number(value) => Some(*value),
            Self::Filtered(list) => list
                .iter()
                .find(|f| f.filter.as_deref().is_none_or(|text| text == "*" || tensor.contains(text)))
                .and_then(|f| f.value.at(tensor, depth)),
            Self::Gradient(points) => {
                let place = depth * (points.len().checked_sub(1)? as f64);
                let (low, share) = (place as usize, place.fract());
                match points.get(low + 1) {
                    Some(next) if share > 0.0 => Some((1.0 - share) * points[low] + share * next),
                    _ => points.get(low.min(points.len() - 1)).copied(),
                }
            }
        }
    }
}

/// Parameters by name, in the file's order.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub(super) struct Settings(pub(super) std::collections::BTreeMap<String, Setting>);

/// A model, and what is said about it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// A path or a name; whoever opens models decides.
    pub(super) model: Name,
    /// Layers of it that are used: from, and up to.
    #[serde(default)]
    pub(super) layer_range: Option<[u32; 2]>,
    #[serde(default)]
    pub(super) parameters: Settings,
}

/// A model's name, written as text or spelled out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(untagged)]
pub(super) enum Name {
    /// As text.
    Text(String),
    /// `{ model: { path: … } }`.
    Nested {
        /// The model.
        model: Path,
        /// An adapter on top of it, which is not supported.
        #[serde(default)]
        lora: Option<Path>,
    },
}

/// A model's place.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
pub(super) struct Path {
    path: String,
}

impl Name {
    /// The text.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Nested { model, .. } => &model.path,
        }
    }
}

/// Layers of the result that are made of the same layers of some models.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Slice {
    pub(super) sources: Vec<Input>,
    #[serde(default)]
    pub(super) parameters: Settings,
    #[serde(default)]
    pub(super) base_model: Option<Name>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    merge_method: String,
    #[serde(default)]
    base_model: Option<Name>,
    #[serde(default)]
    models: Option<Vec<Input>>,
    #[serde(default)]
    slices: Option<Vec<Slice>>,
    #[serde(default)]
    parameters: Option<Settings>,
    #[serde(default)]
    dtype: Option<String>,
    #[serde(default)]
    out_dtype: Option<String>,
    #[serde(default)]
    tokenizer_source: Option<String>,
    #[serde(default)]
    chat_template: Option<String>,
    #[serde(default)]
    name: Option<String>,
}

/// What to make of which models.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// How.
    pub method: Method,
    /// What differences are from, for the methods that take differences.
    pub base: Option<String>,
    pub(super) slices: Vec<Slice>,
    /// Whether `slices` was given: then layers are renumbered.
    pub(super) sliced: bool,
    pub(super) parameters: Settings,
    /// How the result is kept; as the first model, if neither `out_dtype` nor `dtype` is given.
    pub format: Option<Format>,
    /// Of the random methods.
    pub seed: u64,
    /// Adds with one rounding instead of two where mergekit's `linear` does.
    pub fused: bool,
}

/// Longer recipes are refused; mergekit's own examples have some hundred lines.
const LENGTH: usize = 1 << 20;

impl Recipe {
    /// Reads a recipe. What is not supported is refused by name, never ignored.
    pub fn parse(yaml: &str) -> Result<Self> {
        if yaml.len() > LENGTH {
            return Err(Error::Recipe(Misfit::Yaml(format!("{} bytes, the limit is {LENGTH}", yaml.len()))));
        }
        let raw: Raw = serde_saphyr::from_str(yaml).map_err(|e| Error::Recipe(Misfit::Yaml(e.to_string())))?;
        let method: Method = raw.merge_method.parse()?;
        let unsupported = |what: &str| Err(Error::Recipe(Misfit::Unsupported(what.to_owned())));
        if raw.tokenizer_source.as_deref().is_some_and(|s| s != "base") {
            return unsupported("tokenizer_source");
        }
        if raw.chat_template.as_deref().is_some_and(|s| s != "auto") {
            return unsupported("chat_template");
        }
        // A label for people.
        let _ = raw.name;
        let base = raw.base_model.as_ref().map(|name| name.text().to_owned());
        let (mut slices, sliced) = match (raw.models, raw.slices) {
            (Some(models), None) => {
                (vec![Slice { sources: models, parameters: Settings::default(), base_model: None }], false)
            }
            (None, Some(slices)) => (slices, true),
            _ => return Err(needs(method, "either `models` or `slices`")),
        };
        if slices.is_empty() || slices.iter().any(|slice| slice.sources.is_empty()) {
            return Err(needs(method, "at least one model"));
        }
        let named = slices.iter().flat_map(|s| s.sources.iter().map(|i| &i.model).chain(&s.base_model));
        for name in named.chain(&raw.base_model) {
            let adapter = matches!(name, Name::Nested { lora: Some(_), .. }) || name.text().contains('+');
            if adapter {
                return unsupported("an adapter (lora)");
            }
        }
        for slice in &mut slices {
            let base = slice.base_model.as_ref().map(Name::text).or(base.as_deref()).map(str::to_owned);
            complete(slice, base.as_deref(), method, sliced)?;
        }
        let all = slices.iter().flat_map(|s| s.sources.iter().map(|i| &i.parameters).chain([&s.parameters]));
        for settings in all.chain(&raw.parameters) {
            super::parameters::known(settings)?;
        }
        let format = match raw.out_dtype.or(raw.dtype) {
            Some(name) => Some(dtype(&name)?),
            None => None,
        };
        let parameters = raw.parameters.unwrap_or_default();
        Ok(Self { method, base, slices, sliced, parameters, format, seed: 0, fused: false })
    }

    /// The models it names, each once, in order of appearance.
    pub fn models(&self) -> Vec<&str> {
        let mut out: Vec<&str> = Vec::new();
        for name in self
            .base
            .as_deref()
            .into_iter()
            .chain(self.slices.iter().flat_map(|s| s.sources.iter().map(|i| i.model.text())))
        {
            if !out.contains(&name) {
                out.push(name);
            }
        }
        out
    }
}

/// Puts the base among the sources where the method needs it, and checks the ranges of layers.
fn complete(slice: &mut Slice, base: Option<&str>, method: Method, sliced: bool) -> Result<()> {
    if let Some(base) = base
        && method.takes_base()
        && slice.sources.iter().all(|input| input.model.text() != base)
    {
        let layer_range = slice.sources[0].layer_range;
        let input = Input { model: Name::Text(base.to_owned()), layer_range, parameters: Settings::default() };
        slice.sources.insert(0, input);
    }
    let length = |input: &Input| input.layer_range.map(|[from, to]| to.checked_sub(from));
    let first = length(&slice.sources[0]);
    let sound = match first {
        None => !sliced && slice.sources.iter().all(|input| input.layer_range.is_none()),
        Some(Some(1..)) => sliced && slice.sources.iter().all(|input| length(input) == first),
        Some(_) => false,
    };
    if sound { Ok(()) } else { Err(needs(method, "ranges of layers of one length, in slices only")) }
}

pub(super) fn needs(method: Method, need: &'static str) -> Error {
    Error::Recipe(Misfit::Needs { method: method.name().to_owned(), need })
}

fn dtype(name: &str) -> Result<Format> {
    match name {
        "float32" => Ok(Format::F32),
        "bfloat16" => Ok(Format::Bf16),
        "float16" => Ok(Format::F16),
        "float64" => Ok(Format::F64),
        other => Err(Error::Recipe(Misfit::Unsupported(format!("dtype {other}")))),
    }
}
