//! A Llama model as GGUF: llama.cpp's names, its order of attention rows, and the metadata it asks for.

use std::path::Path;

use serde::Deserialize;

use super::gguf::{Array, Value};
use crate::{Error, Fault, Result};

/// What a model's `config.json` and `tokenizer.json` say, for a GGUF file.
#[derive(Clone, Debug, PartialEq)]
pub struct Llama {
    metadata: Vec<(String, Value)>,
    heads: u64,
    key_heads: u64,
}

#[derive(Deserialize)]
struct Config {
    architectures: Vec<String>,
    hidden_size: u32,
    intermediate_size: u32,
    num_hidden_layers: u32,
    num_attention_heads: u32,
    num_key_value_heads: Option<u32>,
    head_dim: Option<u32>,
    max_position_embeddings: u32,
    rms_norm_eps: f32,
    rope_theta: Option<f32>,
    rope_parameters: Option<Rope>,
    vocab_size: u32,
    bos_token_id: Option<u32>,
    eos_token_id: Option<Ids>,
}

#[derive(Deserialize)]
struct Rope {
    rope_theta: Option<f32>,
}

/// One number, or several of which the first is meant.
#[derive(Deserialize)]
#[serde(untagged)]
enum Ids {
    One(u32),
    Many(Vec<u32>),
}

#[derive(Deserialize)]
struct Tokenizer {
    model: Model,
    #[serde(default)]
    added_tokens: Vec<Added>,
}

#[derive(Deserialize)]
struct Model {
    #[serde(default)]
    vocab: std::collections::HashMap<String, u32>,
    #[serde(default)]
    merges: Vec<Merge>,
}

/// Written as one text or as two.
#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Text(String),
    Pair(String, String),
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
    special: bool,
}

/// Larger files beside a model are no configuration.
const LIMIT: u64 = 64 << 20;

impl Llama {
    /// Reads what lies in a model's folder. Other families than Llama and Mistral are refused.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("config.json");
        let config: Config = parse(&path)?;
        let known = ["LlamaForCausalLM", "MistralForCausalLM"];
        if !config.architectures.iter().any(|name| known.contains(&name.as_str())) {
            let fault = Fault::Not("of the family Llama or Mistral");
            return Err(Error::file(path.display().to_string(), fault));
        }
        let heads = config.num_attention_heads;
        let key_heads = config.num_key_value_heads.unwrap_or(heads);
        if heads == 0 || key_heads == 0 {
            return Err(Error::file(path.display().to_string(), Fault::Not("a model with attention heads")));
        }
        let mut metadata = describe(&config, heads, key_heads);
        let tokenizer = folder.join("tokenizer.json");
        metadata.extend(tokens(&tokenizer, &config)?);
        Ok(Self { metadata, heads: u64::from(heads), key_heads: u64::from(key_heads) })
    }

    /// The key-value pairs.
    pub fn metadata(&self) -> &[(String, Value)] {
        &self.metadata
    }

    /// llama.cpp's name for a tensor; none if it has none.
    pub fn name(&self, tensor: &str) -> Option<String> {
        let whole = match tensor {
            "model.embed_tokens.weight" => "token_embd.weight",
            "model.norm.weight" => "output_norm.weight",
            "lm_head.weight" => "output.weight",
            _ => "",
        };
        if !whole.is_empty() {
            return Some(whole.to_owned());
        }
        let (number, rest) = tensor.strip_prefix("model.layers.")?.split_once('.')?;
        let (part, kind) = rest.rsplit_once('.')?;
        let part = match part {
            "input_layernorm" => "attn_norm",
            "post_attention_layernorm" => "ffn_norm",
            "self_attn.q_proj" => "attn_q",
            "self_attn.k_proj" => "attn_k",
            "self_attn.v_proj" => "attn_v",
            "self_attn.o_proj" => "attn_output",
            "mlp.gate_proj" => "ffn_gate",
            "mlp.up_proj" => "ffn_up",
            "mlp.down_proj" => "ffn_down",
            _ => return None,
        };
        let number: u32 = number.parse().ok()?;
        Some(format!("blk.{number}.{part}.{kind}"))
    }

    /// The heads whose rows change places: rotary pairs are halves of a head there and neighbours here.
    fn pairs(&self, tensor: &str) -> Option<u64> {
        match () {
            () if tensor.contains(".self_attn.q_proj.") => Some(self.heads),
            () if tensor.contains(".self_attn.k_proj.") => Some(self.key_heads),
            () => None,
        }
    }

    /// The tensor's bytes with its rows in llama.cpp's order; none if they are already.
    pub(crate) fn reorder(&self, tensor: &str, shape: &[u64], bytes: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some(heads) = self.pairs(tensor) else { return Ok(None) };
        let rows = shape.first().copied().unwrap_or(0);
        if rows == 0 || !rows.is_multiple_of(2 * heads) {
            return Err(Error::tensor(tensor, Fault::Not("a whole number of pairs of rows for each head")));
        }
        let (row, size) = (bytes.len() / rows as usize, (rows / heads) as usize);
        let mut out = Vec::with_capacity(bytes.len());
        for to in 0..rows as usize {
            let (head, place) = (to / size, to % size);
            let from = head * size + place % 2 * (size / 2) + place / 2;
            out.extend_from_slice(&bytes[from * row..][..row]);
        }
        Ok(Some(out))
    }
}

fn describe(config: &Config, heads: u32, key_heads: u32) -> Vec<(String, Value)> {
    let head = config.head_dim.unwrap_or(config.hidden_size / heads);
    let rope =
        config.rope_parameters.as_ref().and_then(|rope| rope.rope_theta).or(config.rope_theta).unwrap_or(10_000.0);
    let number = |key: &str, value: u32| (format!("llama.{key}"), Value::U32(value));
    vec![
        ("general.architecture".to_owned(), Value::Text("llama".to_owned())),
        ("general.type".to_owned(), Value::Text("model".to_owned())),
        number("block_count", config.num_hidden_layers),
        number("context_length", config.max_position_embeddings),
        number("embedding_length", config.hidden_size),
        number("feed_forward_length", config.intermediate_size),
        number("attention.head_count", heads),
        number("attention.head_count_kv", key_heads),
        number("attention.key_length", head),
        number("attention.value_length", head),
        number("rope.dimension_count", head),
        number("vocab_size", config.vocab_size),
        ("llama.rope.freq_base".to_owned(), Value::F32(rope)),
        ("llama.attention.layer_norm_rms_epsilon".to_owned(), Value::F32(config.rms_norm_eps)),
    ]
}

/// The vocabulary, if it is one of byte pairs; else the file says that it has none.
fn tokens(path: &Path, config: &Config) -> Result<Vec<(String, Value)>> {
    let text = |key: &str, value: &str| (format!("tokenizer.ggml.{key}"), Value::Text(value.to_owned()));
    if !path.is_file() {
        return Ok(vec![text("model", "none")]);
    }
    let tokenizer: Tokenizer = parse(path)?;
    if tokenizer.model.merges.is_empty() {
        return Ok(vec![text("model", "none")]);
    }
    let size = config.vocab_size as usize;
    // Numbers without a token of their own are told to be unused.
    let mut names: Vec<String> = (0..size).map(|i| format!("[PAD{i}]")).collect();
    let mut kinds = vec![5i32; size];
    let added = tokenizer.added_tokens.iter().map(|t| (t.content.as_str(), t.id, if t.special { 3 } else { 4 }));
    let plain = tokenizer.model.vocab.iter().map(|(name, id)| (name.as_str(), *id, 1));
    for (name, id, kind) in plain.chain(added) {
        let fault = Fault::TooMuch { what: "token's number", value: u64::from(id), limit: size as u64 };
        let outside = || Error::file(path.display().to_string(), fault);
        let at = id as usize;
        *names.get_mut(at).ok_or_else(outside)? = name.to_owned();
        kinds[at] = kind;
    }
    let merges: Vec<String> = tokenizer
        .model
        .merges
        .into_iter()
        .map(|merge| match merge {
            Merge::Text(text) => text,
            Merge::Pair(left, right) => format!("{left} {right}"),
        })
        .collect();
    let array = |key: &str, array: Array| (format!("tokenizer.ggml.{key}"), Value::Array(array));
    let mut out = vec![
        text("model", "gpt2"),
        text("pre", "default"),
        array("tokens", Array::of_texts(names.iter().map(String::as_str))),
        array("token_type", Array::of_i32(&kinds)),
        array("merges", Array::of_texts(merges.iter().map(String::as_str))),
    ];
    let end = match &config.eos_token_id {
        Some(Ids::One(id)) => Some(*id),
        Some(Ids::Many(ids)) => ids.first().copied(),
        None => None,
    };
    for (key, id) in [("bos_token_id", config.bos_token_id), ("eos_token_id", end)] {
        out.extend(id.map(|id| (format!("tokenizer.ggml.{key}"), Value::U32(id))));
    }
    Ok(out)
}

fn parse<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T> {
    let length = std::fs::metadata(path).map_err(Error::io(path))?.len();
    let refuse = |fault| Error::file(path.display().to_string(), fault);
    super::within("bytes", length, LIMIT).map_err(refuse)?;
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    serde_json::from_slice(&bytes).map_err(|e| refuse(Fault::Header(e.to_string())))
}
