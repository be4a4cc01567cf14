//! What a decoder looks like: read from `config.json` or from GGUF's metadata, and checked before anything is made of it.

use super::fault::Fault;
use super::source::Described;
use serde::Deserialize;

/// Which numbers of a head are turned together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pairs {
    /// One of the first half with one of the second.
    Halves,
    /// Two neighbours.
    Neighbours,
}

/// How positions slow down beyond the window that a model was trained with first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Stretch {
    /// Not at all.
    None,
    /// All by one factor.
    Linear(f32),
    /// Slow ones by a factor, fast ones not, as Llama 3.1 has it.
    Llama3 { factor: f32, low: f32, high: f32, window: f32 },
}

/// The sizes of a decoder.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shape {
    pub(crate) hidden: usize,
    pub(crate) inner: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) key_heads: usize,
    pub(crate) head: usize,
    pub(crate) vocabulary: usize,
    pub(crate) context: usize,
    /// How far back a token sees; the context if as far as there is.
    pub(crate) window: usize,
    pub(crate) epsilon: f32,
    pub(crate) theta: f32,
    pub(crate) stretch: Stretch,
    pub(crate) pairs: Pairs,
    /// Whether questions and keys are scaled to one, head by head.
    pub(crate) head_norms: bool,
    pub(crate) eos: Vec<u32>,
}

/// One number or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Ids {
    One(u32),
    Many(Vec<u32>),
}

impl Ids {
    pub(crate) fn all(&self) -> Vec<u32> {
        match self {
            Ids::One(id) => vec![*id],
            Ids::Many(ids) => ids.clone(),
        }
    }
}

#[derive(Deserialize)]
struct Config {
    model_type: String,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    max_position_embeddings: usize,
    rms_norm_eps: f32,
    rope_theta: Option<f32>,
    rope_scaling: Option<Rope>,
    rope_parameters: Option<Rope>,
    vocab_size: usize,
    sliding_window: Option<usize>,
    use_sliding_window: Option<bool>,
    hidden_act: Option<String>,
    partial_rotary_factor: Option<f32>,
    quantization_config: Option<serde_json::Value>,
    eos_token_id: Option<Ids>,
}

#[derive(Deserialize)]
struct Rope {
    rope_type: Option<String>,
    #[serde(rename = "type")]
    old_type: Option<String>,
    rope_theta: Option<f32>,
    factor: Option<f32>,
    low_freq_factor: Option<f32>,
    high_freq_factor: Option<f32>,
    original_max_position_embeddings: Option<f32>,
}

impl Shape {
    /// From the text of a `config.json`.
    pub(crate) fn from_config(file: &str, text: &[u8]) -> Result<Shape, Fault> {
        let fail = |why: String| Fault::config(file, why);
        let kind: serde_json::Value = serde_json::from_slice(text).map_err(|e| fail(e.to_string()))?;
        let kind = kind.get("model_type").and_then(|v| v.as_str()).unwrap_or_default().to_owned();
        if !["llama", "mistral", "qwen2", "qwen3"].contains(&kind.as_str()) {
            return Err(Fault::Architecture(kind));
        }
        let config: Config = serde_json::from_slice(text).map_err(|e| fail(e.to_string()))?;
        let unsupported = |what: &str| Err(Fault::Unsupported { what: what.to_owned() });
        if config.quantization_config.is_some() {
            return unsupported("weights that are quantized within safetensors");
        }
        if config.hidden_act.as_deref().is_some_and(|act| act != "silu") {
            return unsupported("another activation than silu");
        }
        if config.partial_rotary_factor.is_some_and(|part| part != 1.0) {
            return unsupported("positions in a part of each head");
        }
        let slides = config.use_sliding_window.unwrap_or(config.model_type == "mistral");
        if slides && config.model_type != "mistral" {
            return unsupported("a window in some of its layers");
        }
        let heads = config.num_attention_heads;
        let rope = config.rope_parameters.as_ref().or(config.rope_scaling.as_ref());
        let window = config.sliding_window.filter(|_| slides).unwrap_or(config.max_position_embeddings);
        Shape {
            hidden: config.hidden_size,
            inner: config.intermediate_size,
            layers: config.num_hidden_layers,
            heads,
            key_heads: config.num_key_value_heads.unwrap_or(heads),
            head: config.head_dim.unwrap_or(config.hidden_size.checked_div(heads).unwrap_or(0)),
            vocabulary: config.vocab_size,
            context: config.max_position_embeddings,
            window,
            epsilon: config.rms_norm_eps,
            theta: rope.and_then(|r| r.rope_theta).or(config.rope_theta).unwrap_or(10_000.0),
            stretch: stretch(rope).map_err(|what| Fault::Unsupported { what })?,
            pairs: Pairs::Halves,
            head_norms: config.model_type == "qwen3",
            eos: config.eos_token_id.map(|ids| ids.all()).unwrap_or_default(),
        }
        .checked(file)
    }

    /// From what a GGUF file says of itself.
    pub(crate) fn from_gguf(file: &str, said: &Described) -> Result<Shape, Fault> {
        let kind = said.text("general.architecture").unwrap_or_default();
        if !["llama", "qwen2", "qwen3"].contains(&kind) {
            return Err(Fault::Architecture(kind.to_owned()));
        }
        let key = |name: &str| format!("{kind}.{name}");
        let maybe = |name: &str| said.number(&key(name));
        let must = |name: &str| maybe(name).ok_or_else(|| Fault::config(file, format!("`{}` is missing", key(name))));
        let size = |name: &str| must(name).map(|n| n.clamp(0.0, 1e12) as usize);
        let (hidden, heads) = (size("embedding_length")?, size("attention.head_count")?);
        let head = maybe("attention.key_length").map_or(hidden.checked_div(heads).unwrap_or(0), |n| n as usize);
        let values = maybe("attention.value_length").map_or(head, |n| n as usize);
        let turned = maybe("rope.dimension_count").map_or(head, |n| n as usize);
        let unsupported = |what: &str| Err(Fault::Unsupported { what: what.to_owned() });
        if values != head || turned != head {
            return unsupported("values or positions of another size than keys");
        }
        if maybe("expert_count").is_some_and(|n| n > 0.0) {
            return unsupported("experts");
        }
        let stretch = match said.text(&key("rope.scaling.type")) {
            None | Some("none") => Stretch::None,
            Some("linear") => Stretch::Linear(maybe("rope.scaling.factor").unwrap_or(1.0) as f32),
            Some(other) => return unsupported(&format!("positions stretched by `{other}`")),
        };
        let context = size("context_length")?;
        Shape {
            hidden,
            inner: size("feed_forward_length")?,
            layers: size("block_count")?,
            heads,
            key_heads: maybe("attention.head_count_kv").map_or(heads, |n| n as usize),
            head,
            vocabulary: said.count("tokenizer.ggml.tokens").or(maybe("vocab_size").map(|n| n as usize)).unwrap_or(0),
            context,
            window: maybe("attention.sliding_window").map_or(context, |n| n as usize),
            epsilon: must("attention.layer_norm_rms_epsilon")? as f32,
            theta: maybe("rope.freq_base").unwrap_or(10_000.0) as f32,
            stretch,
            pairs: if kind == "llama" { Pairs::Neighbours } else { Pairs::Halves },
            head_norms: kind == "qwen3",
            eos: ["eos_token_id", "eot_token_id", "eom_token_id"]
                .iter()
                .filter_map(|name| said.number(&format!("tokenizer.ggml.{name}")).map(|n| n as u32))
                .collect(),
        }
        .checked(file)
    }

    /// Refuses sizes that make no sense, so that no later product of them overflows.
    fn checked(self, file: &str) -> Result<Shape, Fault> {
        let limits = [
            ("hidden size", self.hidden, 1 << 17),
            ("inner size", self.inner, 1 << 20),
            ("number of layers", self.layers, 1 << 10),
            ("number of heads", self.heads, 1 << 12),
            ("number of key heads", self.key_heads, 1 << 12),
            ("size of a head", self.head, 1 << 12),
            ("vocabulary", self.vocabulary, 1 << 22),
            ("context", self.context, 1 << 24),
            ("window", self.window, 1 << 24),
        ];
        Fault::sizes(file, &limits)?;
        if !self.heads.is_multiple_of(self.key_heads) || !self.head.is_multiple_of(2) {
            let why = format!("{} heads of {} do not share {} key heads", self.heads, self.head, self.key_heads);
            return Err(Fault::config(file, why));
        }
        let positive = |v: f32| v.is_finite() && v > 0.0;
        if !positive(self.theta) || !self.epsilon.is_finite() || self.epsilon < 0.0 {
            return Err(Fault::config(file, "the base of positions or the smallest norm is no positive number"));
        }
        let sound = match self.stretch {
            Stretch::None => true,
            Stretch::Linear(factor) => positive(factor),
            Stretch::Llama3 { factor, low, high, window } => {
                [factor, low, high - low, window].into_iter().all(positive)
            }
        };
        if !sound {
            return Err(Fault::config(file, "the factors of positions are no positive numbers"));
        }
        Ok(self)
    }
}

fn stretch(rope: Option<&Rope>) -> Result<Stretch, String> {
    let Some(rope) = rope else { return Ok(Stretch::None) };
    match rope.rope_type.as_deref().or(rope.old_type.as_deref()) {
        None | Some("default") => Ok(Stretch::None),
        Some("linear") => Ok(Stretch::Linear(rope.factor.unwrap_or(1.0))),
        Some("llama3") => Ok(Stretch::Llama3 {
            factor: rope.factor.unwrap_or(8.0),
            low: rope.low_freq_factor.unwrap_or(1.0),
            high: rope.high_freq_factor.unwrap_or(4.0),
            window: rope.original_max_position_embeddings.unwrap_or(8192.0),
        }),
        Some(other) => Err(format!("positions stretched by `{other}`")),
    }
}

/// How fast each pair of a head turns, in radians a position.
pub(crate) fn frequencies(shape: &Shape) -> Vec<f64> {
    let pairs = shape.head / 2;
    let plain = (0..pairs).map(|i| f64::from(shape.theta).powf(-2.0 * i as f64 / shape.head as f64));
    plain
        .map(|speed| match shape.stretch {
            Stretch::None => speed,
            Stretch::Linear(factor) => speed / f64::from(factor),
            Stretch::Llama3 { factor, low, high, window } => {
                let [factor, low, high, window] = [factor, low, high, window].map(f64::from);
                let length = 2.0 * std::f64::consts::PI / speed;
                let smooth = ((window / length - low) / (high - low)).clamp(0.0, 1.0);
                (1.0 - smooth) * speed / factor + smooth * speed
            }
        })
        .collect()
}
