//! Where a model's weights come from, by the names that this crate gives them.

use super::fault::Fault;
use super::matrix::{Matrix, size};
use kernels::weights::gguf::Value;
use kernels::{Limits, Metadata, View, Weights};
use std::path::{Path, PathBuf};

/// Larger files beside a model are no description.
const LIMIT: u64 = 64 << 20;

/// An opened model.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    weights: Weights,
    gguf: bool,
}

/// What a GGUF file says of itself.
pub(crate) struct Described<'a>(&'a [(String, Value)]);

impl<'a> Described<'a> {
    pub(crate) fn value(&self, key: &str) -> Option<&'a Value> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    pub(crate) fn text(&self, key: &str) -> Option<&'a str> {
        match self.value(key) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A number that is not negative; for an array, its first, where all are the same.
    pub(crate) fn number(&self, key: &str) -> Option<f64> {
        let number = match self.value(key)? {
            Value::U8(v) => f64::from(*v),
            Value::U16(v) => f64::from(*v),
            Value::U32(v) => f64::from(*v),
            Value::U64(v) => *v as f64,
            Value::I8(v) => f64::from(*v),
            Value::I16(v) => f64::from(*v),
            Value::I32(v) => f64::from(*v),
            Value::I64(v) => *v as f64,
            Value::F32(v) => f64::from(*v),
            Value::F64(v) => *v,
            Value::Bool(v) => f64::from(u8::from(*v)),
            Value::Array(array) => {
                let all = array.numbers()?;
                let first = *all.first()?;
                return all.iter().all(|v| *v == first).then_some(first);
            }
            Value::Text(_) => return None,
        };
        (number >= 0.0).then_some(number)
    }

    /// How many values an array has.
    pub(crate) fn count(&self, key: &str) -> Option<usize> {
        match self.value(key) {
            Some(Value::Array(array)) => Some(array.count() as usize),
            _ => None,
        }
    }
}

impl Source {
    /// Opens a GGUF file, a safetensors file, or a folder.
    pub(crate) fn open(path: &Path) -> Result<Source, Fault> {
        let weights = Weights::open(path, &Limits::default())?;
        let gguf = matches!(weights.metadata(), Metadata::Gguf(_));
        Ok(Source { path: weights.path().to_owned(), weights, gguf })
    }

    pub(crate) fn file(&self) -> String {
        self.path.display().to_string()
    }

    pub(crate) fn described(&self) -> Option<Described<'_>> {
        match self.weights.metadata() {
            Metadata::Gguf(pairs) => Some(Described(pairs)),
            Metadata::Safetensors(_) => None,
        }
    }

    /// A file beside the weights.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.path.parent().unwrap_or(Path::new(".")).join(name)
    }

    /// The bytes of a file beside the weights; none if there is none.
    pub(crate) fn read_beside(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        read(&self.beside(name))
    }

    /// A decoder's tensor as this file calls it. Names are those of safetensors without `model.` and `layers.`.
    fn name(&self, layer: Option<usize>, part: &str) -> String {
        if !self.gguf {
            return match layer {
                Some(layer) => format!("model.layers.{layer}.{part}"),
                None if part == "lm_head.weight" => part.to_owned(),
                None => format!("model.{part}"),
            };
        }
        let (stem, kind) = part.rsplit_once('.').unwrap_or((part, "weight"));
        let stem = match stem {
            "embed_tokens" => "token_embd",
            "norm" => "output_norm",
            "lm_head" => "output",
            "input_layernorm" => "attn_norm",
            "post_attention_layernorm" => "ffn_norm",
            "self_attn.q_proj" => "attn_q",
            "self_attn.k_proj" => "attn_k",
            "self_attn.v_proj" => "attn_v",
            "self_attn.o_proj" => "attn_output",
            "self_attn.q_norm" => "attn_q_norm",
            "self_attn.k_norm" => "attn_k_norm",
            "mlp.gate_proj" => "ffn_gate",
            "mlp.up_proj" => "ffn_up",
            "mlp.down_proj" => "ffn_down",
            other => other,
        };
        match layer {
            Some(layer) => format!("blk.{layer}.{stem}.{kind}"),
            None => format!("{stem}.{kind}"),
        }
    }

    /// A decoder's tensor, if there is one; it must have this shape.
    pub(crate) fn decoder(&self, layer: Option<usize>, part: &str, shape: &[usize]) -> Result<Option<View<'_>>, Fault> {
        let name = self.name(layer, part);
        if self.weights.contains(&name) { self.tensor(&name, shape).map(Some) } else { Ok(None) }
    }

    /// A decoder's tensor that there must be.
    pub(crate) fn must(&self, layer: Option<usize>, part: &str, shape: &[usize]) -> Result<View<'_>, Fault> {
        self.tensor(&self.name(layer, part), shape)
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.weights.contains(name)
    }

    /// A tensor by its own name; it must have this shape.
    pub(crate) fn tensor(&self, name: &str, shape: &[usize]) -> Result<View<'_>, Fault> {
        let view = self.weights.tensor(name)?;
        let wanted: Vec<u64> = shape.iter().map(|n| *n as u64).collect();
        if view.shape != wanted {
            return Err(Fault::Shape { tensor: name.to_owned(), found: view.shape.to_vec(), wanted });
        }
        if !view.format.is_readable() || view.format.is_whole() {
            return Err(Fault::Format { tensor: name.to_owned(), format: view.format });
        }
        Ok(view)
    }
}

/// The bytes of a file, if there is one, and it is not too large for a description.
fn read(path: &Path) -> Result<Option<Vec<u8>>, Fault> {
    let fail = |source| Fault::Io { path: path.to_owned(), source };
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(error)),
        Ok(meta) if meta.len() > LIMIT => {
            return Err(Fault::config(path.display().to_string(), format!("it is larger than {LIMIT} bytes")));
        }
        Ok(_) => {}
    }
    std::fs::read(path).map(Some).map_err(fail)
}

/// Counts memory before any of it is taken.
pub(crate) struct Room {
    pub(crate) need: u64,
    pub(crate) limit: u64,
}

impl Room {
    /// Takes room for a matrix of this tensor.
    pub(crate) fn take(&mut self, view: &View<'_>) -> Result<(), Fault> {
        let rows = view.shape.first().copied().unwrap_or(1) as usize;
        let bytes = if view.shape.len() == 2 { size(view.format, rows, view.row()) } else { view.count() as u64 * 4 };
        self.need = self.need.saturating_add(bytes);
        if self.need > self.limit { Err(Fault::Memory { need: self.need, limit: self.limit }) } else { Ok(()) }
    }
}

/// The numbers of a tensor of one dimension.
pub(crate) fn numbers(view: &View<'_>) -> Result<Vec<f32>, Fault> {
    Ok(kernels::dequantize(view)?)
}

/// A matrix, and what is added to each of its products.
#[derive(Debug)]
pub(crate) struct Linear {
    pub(crate) matrix: Matrix,
    pub(crate) bias: Option<Vec<f32>>,
}

impl Linear {
    pub(crate) fn of(weights: &View<'_>, bias: Option<View<'_>>) -> Result<Linear, Fault> {
        Ok(Linear { matrix: Matrix::pack(weights)?, bias: bias.as_ref().map(numbers).transpose()? })
    }

    pub(crate) fn apply(&self, input: &super::product::Input<'_>) -> Vec<f32> {
        let mut out = super::product::multiply(&self.matrix, input);
        if let Some(bias) = &self.bias {
            for row in out.chunks_mut(bias.len()) {
                row.iter_mut().zip(bias).for_each(|(x, b)| *x += b);
            }
        }
        out
    }
}
