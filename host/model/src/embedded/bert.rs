//! An encoder of the family BERT: one vector of length one for a text, the mean of its tokens' last states.

use super::fault::Fault;
use super::product::Input;
use super::source::{Linear, Room, Source, numbers};
use super::vector::{Attend, gelu, layer_norm};
use kernels::{Level, View};
use rayon::prelude::*;
use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
struct Config {
    model_type: String,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    max_position_embeddings: usize,
    vocab_size: usize,
    type_vocab_size: usize,
    layer_norm_eps: f32,
    hidden_act: Option<String>,
    position_embedding_type: Option<String>,
}

/// How the vectors of tokens become one.
#[derive(Deserialize)]
struct Pooling {
    #[serde(default)]
    pooling_mode_cls_token: bool,
    #[serde(default)]
    pooling_mode_max_tokens: bool,
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
}

/// An encoder.
#[derive(Debug)]
pub(crate) struct Bert {
    config: Config,
    words: Linear,
    /// What each position adds, with what the first type of token adds.
    positions: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Norm {
    weights: Vec<f32>,
    bias: Vec<f32>,
}

#[derive(Debug)]
struct Layer {
    question: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    attention_norm: Norm,
    inner: Linear,
    outer: Linear,
    output_norm: Norm,
}

/// Whether a `config.json` describes one.
pub(crate) fn is_bert(config: &[u8]) -> bool {
    let config: Result<serde_json::Value, _> = serde_json::from_slice(config);
    config.is_ok_and(|config| config.get("model_type").and_then(|v| v.as_str()) == Some("bert"))
}

impl Bert {
    /// Loads it, on the pool that this is called from.
    pub(crate) fn load(source: &Source, text: &[u8], room: &mut Room) -> Result<Bert, Fault> {
        let file = source.beside("config.json").display().to_string();
        let config: Config = serde_json::from_slice(text).map_err(|e| Fault::config(&file, e.to_string()))?;
        check(&file, &config)?;
        pooling(source)?;
        let loader = Loader {
            source,
            prefix: if source.contains("bert.embeddings.word_embeddings.weight") { "bert." } else { "" },
        };
        for (name, shape) in tensors(&config) {
            room.take(&loader.view(&name, &shape)?)?;
        }
        let hidden = config.hidden_size;
        let mut positions =
            numbers(&loader.view("embeddings.position_embeddings.weight", &[config.max_position_embeddings, hidden])?)?;
        let types =
            numbers(&loader.view("embeddings.token_type_embeddings.weight", &[config.type_vocab_size, hidden])?)?;
        for row in positions.chunks_mut(hidden) {
            row.iter_mut().zip(&types).for_each(|(x, t)| *x += t);
        }
        let words = loader.view("embeddings.word_embeddings.weight", &[config.vocab_size, hidden])?;
        Ok(Bert {
            words: Linear::of(&words, None)?,
            positions,
            norm: loader.norm("embeddings.LayerNorm", hidden)?,
            layers: (0..config.num_hidden_layers).map(|n| loader.layer(&config, n)).collect::<Result<_, _>>()?,
            config,
        })
    }

    /// The tokens that its vocabulary has.
    pub(crate) fn vocabulary(&self) -> usize {
        self.config.vocab_size
    }

    /// The tokens that a text may have.
    pub(crate) fn context(&self) -> usize {
        self.config.max_position_embeddings
    }

    /// One vector a text. Each text has one to [`Self::context`] tokens, all of the vocabulary.
    pub(crate) fn embed(&self, texts: &[Vec<u32>]) -> Vec<Vec<f32>> {
        let (hidden, epsilon) = (self.config.hidden_size, self.config.layer_norm_eps);
        let tokens: usize = texts.iter().map(Vec::len).sum();
        let mut state = vec![0.0; tokens * hidden];
        let places = texts.iter().flat_map(|text| text.iter().enumerate());
        for ((position, token), row) in places.zip(state.chunks_mut(hidden)) {
            self.words.matrix.row(*token as usize, row);
            row.iter_mut().zip(&self.positions[position * hidden..]).for_each(|(x, p)| *x += p);
        }
        layer_norm(&mut state, &self.norm.weights, &self.norm.bias, epsilon);
        for layer in &self.layers {
            let three = [&layer.question.matrix, &layer.key.matrix, &layer.value.matrix];
            let input = Input::of(&state, hidden, &three);
            let [questions, keys, values] = [&layer.question, &layer.key, &layer.value].map(|l| l.apply(&input));
            let seen = self.attend(texts, &questions, &keys, &values);
            let output = layer.output.apply(&Input::of(&seen, hidden, &[&layer.output.matrix]));
            add(&mut state, &output);
            layer_norm(&mut state, &layer.attention_norm.weights, &layer.attention_norm.bias, epsilon);
            let mut inner = layer.inner.apply(&Input::of(&state, hidden, &[&layer.inner.matrix]));
            gelu(&mut inner);
            let outer = layer.outer.apply(&Input::of(&inner, self.config.intermediate_size, &[&layer.outer.matrix]));
            add(&mut state, &outer);
            layer_norm(&mut state, &layer.output_norm.weights, &layer.output_norm.bias, epsilon);
        }
        let mut rows = state.chunks(hidden);
        texts.iter().map(|text| mean(rows.by_ref().take(text.len()), hidden)).collect()
    }

    /// What each token sees of its text, before and behind it.
    fn attend(&self, texts: &[Vec<u32>], questions: &[f32], keys: &[f32], values: &[f32]) -> Vec<f32> {
        let hidden = self.config.hidden_size;
        let size = hidden / self.config.num_attention_heads;
        let scale = 1.0 / (size as f32).sqrt();
        let mut out = vec![0.0; questions.len()];
        let mut jobs = Vec::new();
        let (mut rest, mut from) = (out.as_mut_slice(), 0);
        for text in texts {
            let (mine, others) = rest.split_at_mut(text.len() * hidden);
            jobs.push((mine, from..from + text.len() * hidden));
            (rest, from) = (others, from + text.len() * hidden);
        }
        jobs.into_par_iter().for_each(|(out, span)| {
            for head in 0..hidden / size {
                let of = |x: &[f32]| -> Vec<f32> {
                    x[span.clone()].chunks(hidden).flat_map(|row| row[head * size..][..size].to_vec()).collect()
                };
                let (questions, keys, values) = (of(questions), of(keys), of(values));
                let mut seen = vec![0.0; questions.len()];
                let all = Attend { keys: &keys, values: &values, questions: &questions, size, scale, out: &mut seen };
                Level::detect().run(all);
                for (out, seen) in out.chunks_mut(hidden).zip(seen.chunks(size)) {
                    out[head * size..][..size].copy_from_slice(seen);
                }
            }
        });
        out
    }
}

fn check(file: &str, config: &Config) -> Result<(), Fault> {
    if config.model_type != "bert" {
        return Err(Fault::Architecture(config.model_type.clone()));
    }
    let limits = [
        ("hidden size", config.hidden_size, 1 << 16),
        ("inner size", config.intermediate_size, 1 << 18),
        ("number of layers", config.num_hidden_layers, 1 << 10),
        ("number of heads", config.num_attention_heads, 1 << 10),
        ("number of positions", config.max_position_embeddings, 1 << 17),
        ("vocabulary", config.vocab_size, 1 << 22),
        ("number of types", config.type_vocab_size, 1 << 10),
    ];
    Fault::sizes(file, &limits)?;
    if !config.hidden_size.is_multiple_of(config.num_attention_heads) {
        return Err(Fault::config(file, "the heads do not share the hidden size evenly"));
    }
    if !config.layer_norm_eps.is_finite() || config.layer_norm_eps < 0.0 {
        return Err(Fault::config(file, "the smallest norm is no positive number"));
    }
    let unsupported = |what: &str| Err(Fault::Unsupported { what: what.to_owned() });
    if config.hidden_act.as_deref().is_some_and(|act| act != "gelu") {
        return unsupported("another activation than gelu");
    }
    if config.position_embedding_type.as_deref().is_some_and(|kind| kind != "absolute") {
        return unsupported("positions that are not absolute");
    }
    Ok(())
}

/// Refuses a model that says it wants something else than the mean.
fn pooling(source: &Source) -> Result<(), Fault> {
    let Some(text) = source.read_beside("1_Pooling/config.json")? else { return Ok(()) };
    let file = source.beside("1_Pooling/config.json").display().to_string();
    let pooling: Pooling = serde_json::from_slice(&text).map_err(|e| Fault::config(file, e.to_string()))?;
    if pooling.pooling_mode_cls_token || pooling.pooling_mode_max_tokens || !pooling.pooling_mode_mean_tokens {
        return Err(Fault::Unsupported { what: "another vector than the mean of its tokens".to_owned() });
    }
    Ok(())
}

/// All tensors that it needs, with their shapes.
fn tensors(config: &Config) -> Vec<(String, Vec<usize>)> {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let mut all = vec![
        ("embeddings.word_embeddings.weight".to_owned(), vec![config.vocab_size, hidden]),
        ("embeddings.position_embeddings.weight".to_owned(), vec![config.max_position_embeddings, hidden]),
        ("embeddings.token_type_embeddings.weight".to_owned(), vec![config.type_vocab_size, hidden]),
    ];
    for layer in 0..config.num_hidden_layers {
        for (part, rows, columns) in parts(hidden, inner) {
            all.push((format!("encoder.layer.{layer}.{part}.weight"), vec![rows, columns]));
        }
    }
    all
}

fn parts(hidden: usize, inner: usize) -> [(&'static str, usize, usize); 6] {
    [
        ("attention.self.query", hidden, hidden),
        ("attention.self.key", hidden, hidden),
        ("attention.self.value", hidden, hidden),
        ("attention.output.dense", hidden, hidden),
        ("intermediate.dense", inner, hidden),
        ("output.dense", hidden, inner),
    ]
}

struct Loader<'a> {
    source: &'a Source,
    prefix: &'static str,
}

impl<'a> Loader<'a> {
    fn view(&self, name: &str, shape: &[usize]) -> Result<View<'a>, Fault> {
        self.source.tensor(&format!("{}{name}", self.prefix), shape)
    }

    fn norm(&self, name: &str, size: usize) -> Result<Norm, Fault> {
        let part = |kind: &str| numbers(&self.view(&format!("{name}.{kind}"), &[size])?);
        Ok(Norm { weights: part("weight")?, bias: part("bias")? })
    }

    fn layer(&self, config: &Config, layer: usize) -> Result<Layer, Fault> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");
        let linear = |number: usize| {
            let (part, rows, columns) = parts(hidden, inner)[number];
            let weights = self.view(&name(&format!("{part}.weight")), &[rows, columns])?;
            Linear::of(&weights, Some(self.view(&name(&format!("{part}.bias")), &[rows])?))
        };
        Ok(Layer {
            question: linear(0)?,
            key: linear(1)?,
            value: linear(2)?,
            output: linear(3)?,
            attention_norm: self.norm(&name("attention.output.LayerNorm"), hidden)?,
            inner: linear(4)?,
            outer: linear(5)?,
            output_norm: self.norm(&name("output.LayerNorm"), hidden)?,
        })
    }
}

fn add(to: &mut [f32], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
}

/// The mean of the rows, brought to length one.
fn mean<'a>(rows: impl Iterator<Item = &'a [f32]>, size: usize) -> Vec<f32> {
    let mut sum = vec![0.0f32; size];
    rows.for_each(|row| add(&mut sum, row));
    let length = sum.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt();
    let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
    sum.iter().map(|v| (f64::from(*v) * scale) as f32).collect()
}
