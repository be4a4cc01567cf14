//! Which tensor gets which type.

use std::str::FromStr;

use crate::weights::gguf::Value;
use crate::{Error, Format, Metadata, Misfit, Result, Scheme, Weights};

/// A choice of types for a model's tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Types {
    mix: Mix,
    /// Patterns of names, and the type of tensors that have them; the first that fits decides.
    rules: Vec<(String, Scheme)>,
    layers: u32,
    tied: bool,
}

/// What most tensors get, and which get better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mix {
    Plain(Scheme),
    Q2K,
    Q3K(Size),
    Q4K(Size),
    Q5K(Size),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Small,
    Medium,
    Large,
}

/// From the best to the smallest; each is tried until one fits.
const LADDER: [&str; 12] = [
    "q8_0", "q6_k", "q5_k_m", "q5_k_s", "q4_k_m", "q4_k_s", "q3_k_l", "q3_k_m", "q3_k_s", "q2_k", "ternary", "tq1_0_ls",
];

impl FromStr for Types {
    type Err = Error;

    /// A type's name, or the name of a mix: `q4_k_m`.
    fn from_str(text: &str) -> Result<Self> {
        let mix = match text.to_ascii_lowercase().as_str() {
            "q2_k" => Mix::Q2K,
            "q3_k_s" => Mix::Q3K(Size::Small),
            "q3_k_m" | "q3_k" => Mix::Q3K(Size::Medium),
            "q3_k_l" => Mix::Q3K(Size::Large),
            "q4_k_s" => Mix::Q4K(Size::Small),
            "q4_k_m" | "q4_k" => Mix::Q4K(Size::Medium),
            "q5_k_s" => Mix::Q5K(Size::Small),
            "q5_k_m" | "q5_k" => Mix::Q5K(Size::Medium),
            other => Mix::Plain(other.parse()?),
        };
        Ok(Self { mix, rules: Vec::new(), layers: 0, tied: false })
    }
}

fn has(name: &str, pattern: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return name.contains(pattern) };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = name.find(part) else { return false };
        name = &name[at + part.len()..];
    }
    name.ends_with(last)
}

/// What a tensor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Output,
    Embedding,
    Value,
    Fused,
    AttentionOutput,
    Down,
    Other,
}

fn role(name: &str) -> Role {
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    match () {
        () if has(&["lm_head."]) || name == "output.weight" => Role::Output,
        () if has(&["embed_tokens", "token_embd", "wte."]) => Role::Embedding,
        () if has(&["attn_v.", "v_proj."]) => Role::Value,
        () if has(&["attn_qkv.", "qkv_proj.", "query_key_value.", "c_attn."]) => Role::Fused,
        () if has(&["attn_output.", "o_proj."]) => Role::AttentionOutput,
        () if has(&["ffn_down", "down_proj."]) => Role::Down,
        () => Role::Other,
    }
}

impl Types {
    /// Gives tensors whose name has a pattern a type of their own. The first such rule decides. In a pattern `*` stands for
    /// anything, and then it must fit the whole name; without one it must be part of the name.
    #[must_use]
    pub fn with(mut self, pattern: impl Into<String>, scheme: Scheme) -> Self {
        self.rules.push((pattern.into(), scheme));
        self
    }

    /// Looks at a model: mixes treat the first and last layers better, and an embedding that is the output too.
    #[must_use]
    pub fn for_model<'a>(mut self, names: impl Iterator<Item = &'a str> + Clone) -> Self {
        self.layers = names.clone().filter_map(number).max().map_or(0, |n| n + 1);
        self.tied = !names.clone().any(|name| role(name) == Role::Output);
        self
    }

    /// The best choice whose tensors take at most `limit` bytes.
    pub fn within(weights: &Weights, limit: u64) -> Result<Self> {
        let names = weights.infos().iter().map(|info| info.name.as_str());
        let mut smallest = u64::MAX;
        for name in LADDER {
            let types = name.parse::<Self>()?.for_model(names.clone());
            let size = types.size(weights);
            if size <= limit {
                return Ok(types);
            }
            smallest = smallest.min(size);
        }
        Err(Error::Recipe(Misfit::Size { wanted: limit, smallest }))
    }

    /// Bytes of the tensors of a model with these types.
    pub fn size(&self, weights: &Weights) -> u64 {
        let bytes =
            |info: &crate::Info| self.of(&info.name, &info.shape, info.format).format.bytes(&info.shape).unwrap_or(0);
        weights.infos().iter().map(bytes).sum()
    }

    /// llama.cpp's number for a file of these types; none if it has none.
    pub fn file_type(&self) -> Option<u32> {
        Some(match self.mix {
            Mix::Q2K => 10,
            Mix::Q3K(Size::Small) => 11,
            Mix::Q3K(Size::Medium) => 12,
            Mix::Q3K(Size::Large) => 13,
            Mix::Q4K(Size::Small) => 14,
            Mix::Q4K(_) => 15,
            Mix::Q5K(Size::Small) => 16,
            Mix::Q5K(_) => 17,
            Mix::Plain(scheme) => match scheme.format {
                Format::F32 => 0,
                Format::F16 => 1,
                Format::Q4_0 => 2,
                Format::Q4_1 => 3,
                Format::Q8_0 => 7,
                Format::Q5_0 => 8,
                Format::Q5_1 => 9,
                Format::Q6K => 18,
                Format::Bf16 => 32,
                Format::Tq1_0 => 36,
                Format::Tq2_0 => 37,
                _ => return None,
            },
        })
    }

    /// Metadata that says what is now in the file.
    pub(crate) fn tell(&self, metadata: &Metadata) -> Metadata {
        let Metadata::Gguf(pairs) = metadata else { return metadata.clone() };
        let mut pairs = pairs.clone();
        let told = [("general.file_type", self.file_type()), ("general.quantization_version", Some(2))];
        for (key, value) in told {
            pairs.retain(|(k, _)| k != key);
            pairs.extend(value.map(|value| (key.to_owned(), Value::U32(value))));
        }
        Metadata::Gguf(pairs)
    }

    /// The type of one tensor. What is not a matrix of weights keeps the type it has.
    pub fn of(&self, name: &str, shape: &[u64], from: Format) -> Scheme {
        let kept = Scheme::from(from);
        let matrix = shape.len() >= 2 && from.is_readable() && name.ends_with("weight");
        let other =
            ["norm.weight", "gate_inp.weight", "position_embd", "rope_freqs"].iter().any(|part| name.contains(part));
        if let Some((_, scheme)) = self.rules.iter().find(|(pattern, _)| has(name, pattern)) {
            return fallback(*scheme, shape).unwrap_or(kept);
        }
        if !matrix || other {
            return kept;
        }
        fallback(self.wanted(name), shape).unwrap_or(kept)
    }

    /// llama.cpp's choices, without an importance matrix.
    fn wanted(&self, name: &str) -> Scheme {
        let role = role(name);
        let at = number(name).unwrap_or(0);
        let more = more_bits(at, self.layers);
        let (usual, better) = match self.mix {
            Mix::Plain(scheme) => {
                let output = role == Role::Output || (role == Role::Embedding && self.tied);
                // Few codes ruin an output; it is a small part of a model.
                let few =
                    scheme.format.ggml().is_some() && scheme.format.block().0 > 1 && scheme.format != Format::Q8_0;
                return if output && few { Format::Q6K.into() } else { scheme };
            }
            Mix::Q2K => {
                (Format::Q2K, matches!(role, Role::Value | Role::AttentionOutput | Role::Down).then_some(Format::Q3K))
            }
            Mix::Q3K(size) => (Format::Q3K, three(size, role, at, self.layers)),
            Mix::Q4K(Size::Small) => {
                let better = (role == Role::Value && at < 4) || (role == Role::Down && at < self.layers / 8);
                (Format::Q4K, better.then_some(Format::Q5K))
            }
            Mix::Q4K(_) if role == Role::Fused => (Format::Q4K, Some(Format::Q5K)),
            Mix::Q4K(_) => (Format::Q4K, (matches!(role, Role::Value | Role::Down) && more).then_some(Format::Q6K)),
            Mix::Q5K(Size::Small) => (Format::Q5K, None),
            Mix::Q5K(_) => {
                let better = role == Role::Fused || (matches!(role, Role::Value | Role::Down) && more);
                (Format::Q5K, better.then_some(Format::Q6K))
            }
        };
        if role == Role::Output || (role == Role::Embedding && self.tied) {
            return Format::Q6K.into();
        }
        better.unwrap_or(usual).into()
    }
}

/// Q3_K's better tensors.
fn three(size: Size, role: Role, at: u32, layers: u32) -> Option<Format> {
    match (size, role) {
        (Size::Small, _) => None,
        (Size::Medium, Role::Value) => Some(if at < 2 { Format::Q5K } else { Format::Q4K }),
        (Size::Medium, Role::Down) => Some(if at < layers / 16 { Format::Q5K } else { Format::Q4K }),
        (Size::Medium, Role::AttentionOutput | Role::Fused) => Some(Format::Q4K),
        (Size::Large, Role::Value | Role::Down | Role::AttentionOutput) => Some(Format::Q5K),
        (Size::Large, Role::Fused) => Some(Format::Q4K),
        _ => None,
    }
}

/// The first and last eighth of the layers, and every third between.
fn more_bits(at: u32, layers: u32) -> bool {
    at < layers / 8 || at >= 7 * layers / 8 || (at - layers / 8) % 3 == 2
}

/// The first whole number in a name that stands between points.
fn number(name: &str) -> Option<u32> {
    name.split('.').find_map(|word| word.parse().ok())
}

/// The nearest type that the rows divide into; none if there is none smaller than what they have.
fn fallback(scheme: Scheme, shape: &[u64]) -> Option<Scheme> {
    let fits = |format: Format| format.bytes(shape).is_ok();
    if fits(scheme.format) {
        return Some(scheme);
    }
    let next = match scheme.format {
        Format::Q2K | Format::Q3K | Format::Tq1_0 | Format::Tq2_0 => Format::Q4_0,
        Format::Q4K => Format::Q5_0,
        Format::Q5K => Format::Q5_1,
        Format::Q6K => Format::Q8_0,
        _ => Format::F16,
    };
    let next = if fits(next) { next } else { Format::F16 };
    Some(next.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_a_part_or_with_stars_the_whole() {
        let name = "model.layers.10.mlp.down_proj.weight";
        for pattern in [
            "down_proj",
            "*down_proj*",
            "model.*.weight",
            "*.10.*.weight",
            "*",
            "model.layers.10.mlp.down_proj.weight*",
        ] {
            assert!(has(name, pattern), "{pattern}");
        }
        for pattern in
            ["up_proj", "*up_proj*", "layers.*", "model.*.bias", "*.1.*", "model.layers.10.mlp.down_proj.weight*t"]
        {
            assert!(!has(name, pattern), "{pattern}");
        }
    }

    #[test]
    fn the_first_pattern_that_fits_decides() {
        let types: Types = "q4_0".parse().expect("a type");
        let types = types.with("*.mlp.*", Format::Q8_0.into()).with("weight", Format::Q5_0.into());
        let of = |name: &str| types.of(name, &[4, 32], Format::F32).format;
        assert_eq!([of("a.mlp.weight"), of("a.weight"), of("a.bias")], [Format::Q8_0, Format::Q5_0, Format::F32]);
    }
}
