//! A decoder as a chain of layers, of which any range can be held: a hidden state goes in, a hidden state comes out.

use super::fault::Fault;
use super::product::Input;
use super::shape::{Pairs, Shape, frequencies};
use super::source::{Linear, Room, Source, numbers};
use super::vector::{Attend, rms_norm, swiglu};
use kernels::Level;
use rayon::prelude::*;
use std::ops::Range;

/// A range of a decoder's layers; the first one has the embedding, and the last one the head.
#[derive(Debug)]
pub(crate) struct Decoder {
    shape: Shape,
    layers: Vec<Layer>,
    embedding: Option<Linear>,
    norm: Vec<f32>,
    /// None with the last layer: the embedding is the head, too.
    head: Option<Linear>,
    is_last: bool,
    /// Radians a position, for each pair of a head.
    speeds: Vec<f64>,
}

#[derive(Debug)]
struct Layer {
    attention_norm: Vec<f32>,
    question: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    question_norm: Option<Vec<f32>>,
    key_norm: Option<Vec<f32>>,
    inner_norm: Vec<f32>,
    gate: Linear,
    up: Linear,
    down: Linear,
}

/// Keys and values of one sequence, in the layers of one range.
pub(crate) struct Cache {
    layers: Vec<Kept>,
    /// Tokens that are kept.
    length: usize,
    room: usize,
}

/// One head's rows lie together: `[head][token][number]`.
struct Kept {
    keys: Vec<f32>,
    values: Vec<f32>,
}

/// So many of the tokens at hand go to the end of a sequence.
pub(crate) struct Step<'a> {
    pub(crate) cache: &'a mut Cache,
    pub(crate) tokens: usize,
}

impl Decoder {
    /// Loads a range of layers, on the pool that this is called from.
    pub(crate) fn load(source: &Source, shape: &Shape, range: Range<usize>, room: &mut Room) -> Result<Decoder, Fault> {
        let (first, last) = (range.start == 0, range.end == shape.layers);
        let tied = source.decoder(None, "lm_head.weight", &[shape.vocabulary, shape.hidden])?.is_none();
        let table = [shape.vocabulary, shape.hidden];
        // Everything is looked at before anything is loaded.
        if first || last && tied {
            room.take(&source.must(None, "embed_tokens.weight", &table)?)?;
        }
        if last && !tied {
            room.take(&source.must(None, "lm_head.weight", &table)?)?;
        }
        source.must(None, "norm.weight", &[shape.hidden])?;
        for layer in range.clone() {
            for (part, rows, columns) in matrices(shape) {
                room.take(&source.must(Some(layer), &format!("{part}.weight"), &[rows, columns])?)?;
            }
            for (part, size) in norms(shape) {
                room.take(&source.must(Some(layer), part, &[size])?)?;
            }
        }
        let embedding = if first || last && tied {
            Some(Linear::of(&source.must(None, "embed_tokens.weight", &table)?, None)?)
        } else {
            None
        };
        let head =
            if last && !tied { Some(Linear::of(&source.must(None, "lm_head.weight", &table)?, None)?) } else { None };
        Ok(Decoder {
            layers: range.map(|layer| Layer::load(source, shape, layer)).collect::<Result<_, _>>()?,
            embedding,
            norm: numbers(&source.must(None, "norm.weight", &[shape.hidden])?)?,
            head,
            is_last: last,
            speeds: speeds(source, shape)?,
            shape: shape.clone(),
        })
    }

    /// Room for the keys and values of so many tokens. It costs memory only as it is used.
    pub(crate) fn cache(&self, room: usize) -> Cache {
        let size = self.shape.key_heads * self.shape.head * room;
        let kept = |_: &Layer| Kept { keys: vec![0.0; size], values: vec![0.0; size] };
        Cache { layers: self.layers.iter().map(kept).collect(), length: 0, room }
    }

    /// The hidden state that tokens begin with, which must be below the vocabulary's size.
    pub(crate) fn begin(&self, tokens: &[u32]) -> Vec<f32> {
        let mut hidden = vec![0.0; tokens.len() * self.shape.hidden];
        if let Some(embedding) = &self.embedding {
            for (token, row) in tokens.iter().zip(hidden.chunks_mut(self.shape.hidden)) {
                embedding.matrix.row(*token as usize, row);
            }
        }
        hidden
    }

    /// Takes the hidden state of all steps' tokens through the layers, and keeps their keys and values.
    pub(crate) fn advance(&self, hidden: &mut [f32], steps: &mut [Step<'_>]) {
        let turns = self.turns(steps);
        for (number, layer) in self.layers.iter().enumerate() {
            let normed = normed(hidden, &layer.attention_norm, self.shape.epsilon);
            let three = [&layer.question.matrix, &layer.key.matrix, &layer.value.matrix];
            let input = Input::of(&normed, self.shape.hidden, &three);
            let mut questions = layer.question.apply(&input);
            let mut keys = layer.key.apply(&input);
            let values = layer.value.apply(&input);
            for (x, norm) in [(&mut questions, &layer.question_norm), (&mut keys, &layer.key_norm)] {
                if let Some(norm) = norm {
                    rms_norm(x, norm, self.shape.epsilon);
                }
                self.turn(x, &turns);
            }
            self.keep(number, steps, &keys, &values);
            let seen = self.attend(number, steps, &questions);
            let input = Input::of(&seen, self.shape.heads * self.shape.head, &[&layer.output.matrix]);
            add(hidden, &layer.output.apply(&input));
            let normed = self::normed(hidden, &layer.inner_norm, self.shape.epsilon);
            let input = Input::of(&normed, self.shape.hidden, &[&layer.gate.matrix, &layer.up.matrix]);
            let (mut gate, up) = (layer.gate.apply(&input), layer.up.apply(&input));
            swiglu(&mut gate, &up);
            let input = Input::of(&gate, self.shape.inner, &[&layer.down.matrix]);
            add(hidden, &layer.down.apply(&input));
        }
        for step in steps {
            step.cache.length += step.tokens;
        }
    }

    /// What the last layer says of each token that may come next; one row of the vocabulary for each hidden state.
    pub(crate) fn logits(&self, hidden: &[f32]) -> Vec<f32> {
        let head = if self.is_last { self.head.as_ref().or(self.embedding.as_ref()) } else { None };
        let Some(head) = head else { return Vec::new() };
        let normed = normed(hidden, &self.norm, self.shape.epsilon);
        head.apply(&Input::of(&normed, self.shape.hidden, &[&head.matrix]))
    }

    /// Cosine and sine of each token's pairs.
    fn turns(&self, steps: &[Step<'_>]) -> Vec<(f32, f32)> {
        let positions = steps.iter().flat_map(|s| s.cache.length..s.cache.length + s.tokens);
        let turn = |position: usize| {
            self.speeds.iter().map(move |speed| {
                let angle = position as f64 * speed;
                (angle.cos() as f32, angle.sin() as f32)
            })
        };
        positions.flat_map(turn).collect()
    }

    /// Turns the pairs of each head by its token's position.
    fn turn(&self, x: &mut [f32], turns: &[(f32, f32)]) {
        let (size, half) = (self.shape.head, self.shape.head / 2);
        let tokens = turns.len() / half;
        let row = x.len() / tokens.max(1);
        for (x, turns) in x.chunks_mut(row.max(1)).zip(turns.chunks(half)) {
            for head in x.chunks_mut(size) {
                for (i, (cos, sin)) in turns.iter().enumerate() {
                    let (a, b) = match self.shape.pairs {
                        Pairs::Halves => (i, i + half),
                        Pairs::Neighbours => (2 * i, 2 * i + 1),
                    };
                    (head[a], head[b]) = (head[a] * cos - head[b] * sin, head[a] * sin + head[b] * cos);
                }
            }
        }
    }

    /// Puts keys and values at the end of their sequences.
    fn keep(&self, layer: usize, steps: &mut [Step<'_>], keys: &[f32], values: &[f32]) {
        let (size, heads) = (self.shape.head, self.shape.key_heads);
        let mut rows = keys.chunks(size * heads).zip(values.chunks(size * heads));
        for step in steps {
            let (room, length) = (step.cache.room, step.cache.length);
            let kept = &mut step.cache.layers[layer];
            for (at, (key, value)) in (length..length + step.tokens).zip(rows.by_ref()) {
                for head in 0..heads {
                    let to = (head * room + at) * size;
                    kept.keys[to..][..size].copy_from_slice(&key[head * size..][..size]);
                    kept.values[to..][..size].copy_from_slice(&value[head * size..][..size]);
                }
            }
        }
    }

    /// What each token sees of its sequence up to itself; the questions that share a key head go together.
    fn attend(&self, layer: usize, steps: &[Step<'_>], questions: &[f32]) -> Vec<f32> {
        let (size, heads) = (self.shape.head, self.shape.key_heads);
        let group = self.shape.heads / heads * size;
        let places: Vec<(&Cache, usize)> =
            steps.iter().flat_map(|s| (s.cache.length..s.cache.length + s.tokens).map(|at| (&*s.cache, at))).collect();
        let mut out = vec![0.0; questions.len()];
        let scale = 1.0 / (size as f32).sqrt();
        out.par_chunks_mut(group).zip(questions.par_chunks(group)).enumerate().with_min_len(2).for_each(
            |(number, (out, questions))| {
                let (cache, at) = places[number / heads];
                let first = (at + 1).saturating_sub(self.shape.window);
                let kept = &cache.layers[layer];
                let from = (number % heads * cache.room + first) * size;
                let seen = from..from + (at + 1 - first) * size;
                let (keys, values) = (&kept.keys[seen.clone()], &kept.values[seen]);
                Level::detect().run(Attend { keys, values, questions, size, scale, out });
            },
        );
        out
    }
}

/// The matrices of a layer.
fn matrices(shape: &Shape) -> [(&'static str, usize, usize); 7] {
    let (questions, keys) = (shape.heads * shape.head, shape.key_heads * shape.head);
    [
        ("self_attn.q_proj", questions, shape.hidden),
        ("self_attn.k_proj", keys, shape.hidden),
        ("self_attn.v_proj", keys, shape.hidden),
        ("self_attn.o_proj", shape.hidden, questions),
        ("mlp.gate_proj", shape.inner, shape.hidden),
        ("mlp.up_proj", shape.inner, shape.hidden),
        ("mlp.down_proj", shape.hidden, shape.inner),
    ]
}

/// The norms of a layer.
fn norms(shape: &Shape) -> Vec<(&'static str, usize)> {
    let mut all = vec![("input_layernorm.weight", shape.hidden), ("post_attention_layernorm.weight", shape.hidden)];
    if shape.head_norms {
        all.extend([("self_attn.q_norm.weight", shape.head), ("self_attn.k_norm.weight", shape.head)]);
    }
    all
}

impl Layer {
    fn load(source: &Source, shape: &Shape, layer: usize) -> Result<Layer, Fault> {
        let linear = |number: usize| {
            let (part, rows, columns) = matrices(shape)[number];
            let bias = source.decoder(Some(layer), &format!("{part}.bias"), &[rows])?;
            Linear::of(&source.must(Some(layer), &format!("{part}.weight"), &[rows, columns])?, bias)
        };
        let norm =
            |part: &str, size: usize| -> Result<Vec<f32>, Fault> { numbers(&source.must(Some(layer), part, &[size])?) };
        let of_head = |part: &str| shape.head_norms.then(|| norm(part, shape.head)).transpose();
        Ok(Layer {
            attention_norm: norm("input_layernorm.weight", shape.hidden)?,
            question: linear(0)?,
            key: linear(1)?,
            value: linear(2)?,
            output: linear(3)?,
            question_norm: of_head("self_attn.q_norm.weight")?,
            key_norm: of_head("self_attn.k_norm.weight")?,
            inner_norm: norm("post_attention_layernorm.weight", shape.hidden)?,
            gate: linear(4)?,
            up: linear(5)?,
            down: linear(6)?,
        })
    }
}

/// How fast pairs turn; a GGUF file may divide each one's speed.
fn speeds(source: &Source, shape: &Shape) -> Result<Vec<f64>, Fault> {
    let mut speeds = frequencies(shape);
    if source.contains("rope_freqs.weight") {
        let factors = numbers(&source.tensor("rope_freqs.weight", &[speeds.len()])?)?;
        if factors.iter().any(|f| !f.is_finite() || *f <= 0.0) {
            return Err(Fault::config(source.file(), "`rope_freqs.weight` has factors that are no positive numbers"));
        }
        speeds.iter_mut().zip(factors).for_each(|(speed, factor)| *speed /= f64::from(factor));
    }
    Ok(speeds)
}

fn normed(hidden: &[f32], weights: &[f32], epsilon: f32) -> Vec<f32> {
    let mut out = hidden.to_vec();
    rms_norm(&mut out, weights, epsilon);
    out
}

fn add(to: &mut [f32], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
}
