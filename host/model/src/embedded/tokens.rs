//! From text to tokens and back, as `tokenizer.json` or a GGUF file says.

use super::fault::Fault;
use super::source::{Described, Source};
use kernels::weights::gguf::Value;
use serde_json::json;
use std::collections::HashMap;
use tokenizers::Tokenizer;

/// A letter has at most four bytes, so more tokens than this never wait for its end.
const WAIT: usize = 8;

/// A model's tokenizer. Text never becomes one of the tokens that only the host may set.
pub(crate) struct Tokens {
    tokenizer: Tokenizer,
    /// What every prompt begins with, if anything.
    pub(crate) bos: Option<u32>,
}

impl Tokens {
    /// Of the model that lies there, which has so many tokens.
    pub(crate) fn open(source: &Source, vocabulary: usize) -> Result<Tokens, Fault> {
        let (mut tokenizer, bos) = match source.described() {
            Some(said) if said.value("tokenizer.ggml.tokens").is_some() => from_gguf(&said)?,
            _ => {
                let bytes = source.read_beside("tokenizer.json")?;
                let bytes =
                    bytes.ok_or_else(|| Fault::Tokenizer("there is no tokenizer.json beside the model".into()))?;
                from_json(&bytes)?
            }
        };
        if let Some(most) = tokenizer.get_vocab(true).into_values().max()
            && most as usize >= vocabulary
        {
            let why = format!("it has a token {most}, and the model's vocabulary ends before {vocabulary}");
            return Err(Fault::Tokenizer(why));
        }
        let _ = tokenizer.with_truncation(None);
        tokenizer.with_padding(None);
        tokenizer.set_encode_special_tokens(true);
        Ok(Tokens { tokenizer, bos })
    }

    /// The tokens of a text, without any that mark its begin or end.
    pub(crate) fn encode(&self, text: &str) -> Option<Vec<u32>> {
        if text.is_empty() {
            return Some(Vec::new());
        }
        Some(self.tokenizer.encode_fast(text, false).ok()?.get_ids().to_vec())
    }

    /// The tokens of a text, with what the tokenizer puts around it.
    pub(crate) fn encode_whole(&self, text: &str) -> Option<Vec<u32>> {
        Some(self.tokenizer.encode_fast(text, true).ok()?.get_ids().to_vec())
    }

    /// A token by its name.
    pub(crate) fn id(&self, name: &str) -> Option<u32> {
        self.tokenizer.token_to_id(name)
    }

    /// The bytes that each token stands for; none if it isn't known how this tokenizer writes them. Those that only the
    /// host may set are not among them.
    pub(crate) fn bytes(&self) -> Option<Vec<(Vec<u8>, u32)>> {
        let decoder = serde_json::to_string(self.tokenizer.get_decoder()?).ok()?;
        let letters = decoder.contains("\"ByteLevel\"").then(letters);
        if letters.is_none() && !decoder.contains("\"ByteFallback\"") {
            return None;
        }
        let added = self.tokenizer.get_added_tokens_decoder();
        let all = self.tokenizer.get_vocab(true).into_iter();
        let known = all.filter(|(_, id)| !added.get(id).is_some_and(|token| token.special));
        Some(known.map(|(name, id)| (written(&name, letters.as_ref()), id)).collect())
    }

    fn decode(&self, ids: &[u32]) -> String {
        self.tokenizer.decode(ids, true).unwrap_or_default()
    }
}

/// The text of tokens that come one by one.
#[derive(Default)]
pub(crate) struct Writer {
    ids: Vec<u32>,
    /// Tokens that only show how the ones behind them are written.
    shown: usize,
}

impl Writer {
    /// The text that this token completes; empty while a letter is not whole.
    pub(crate) fn push(&mut self, tokens: &Tokens, id: u32) -> String {
        self.ids.push(id);
        let before = tokens.decode(&self.ids[..self.shown]);
        let after = tokens.decode(&self.ids);
        let whole = !after.ends_with('\u{fffd}') || self.ids.len() - self.shown > WAIT;
        let Some(new) = after.strip_prefix(before.as_str()).filter(|new| whole && !new.is_empty()) else {
            return String::new();
        };
        let new = new.to_owned();
        self.ids.drain(..self.shown);
        self.shown = self.ids.len();
        new
    }

    /// The rest, when no more comes. A letter that was not finished is nothing.
    pub(crate) fn finish(&self, tokens: &Tokens) -> String {
        let before = tokens.decode(&self.ids[..self.shown]);
        let after = tokens.decode(&self.ids);
        after.strip_prefix(before.as_str()).unwrap_or_default().trim_end_matches('\u{fffd}').to_owned()
    }
}

/// The letters that stand for bytes, as GPT-2 has chosen them.
fn letters() -> HashMap<char, u8> {
    let itself = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let others = (0..=255).filter(|byte| !itself(byte)).zip('\u{100}'..);
    let all = (0..=255).filter(itself).map(|byte| (byte, char::from(byte))).chain(others);
    all.map(|(byte, letter)| (letter, byte)).collect()
}

/// What a token's name stands for.
fn written(name: &str, letters: Option<&HashMap<char, u8>>) -> Vec<u8> {
    if let Some(letters) = letters {
        // A name in which another letter is stands for itself.
        return name.chars().map(|letter| letters.get(&letter).copied()).collect::<Option<_>>().unwrap_or(name.into());
    }
    let byte = name.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>')).filter(|digits| digits.len() == 2);
    match byte.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
        Some(byte) => vec![byte],
        None => name.replace('▁', " ").into_bytes(),
    }
}

fn from_json(bytes: &[u8]) -> Result<(Tokenizer, Option<u32>), Fault> {
    let tokenizer = Tokenizer::from_bytes(bytes).map_err(|e| Fault::Tokenizer(e.to_string()))?;
    // What is put before nothing is put before everything.
    let empty = tokenizer.encode("", true).map_err(|e| Fault::Tokenizer(e.to_string()))?;
    let bos = empty.get_ids().first().copied();
    Ok((tokenizer, bos))
}

/// Byte pairs, or pieces with scores as SentencePiece has them.
fn from_gguf(said: &Described<'_>) -> Result<(Tokenizer, Option<u32>), Fault> {
    let fail = |why: &str| Fault::Tokenizer(why.to_owned());
    let texts = |key: &str| match said.value(&format!("tokenizer.ggml.{key}")) {
        Some(Value::Array(array)) => array.texts(),
        _ => None,
    };
    let numbers = |key: &str| match said.value(&format!("tokenizer.ggml.{key}")) {
        Some(Value::Array(array)) => array.numbers(),
        _ => None,
    };
    let names = texts("tokens").ok_or_else(|| fail("its tokens are no texts"))?;
    let kinds = numbers("token_type").unwrap_or_else(|| vec![1.0; names.len()]);
    if kinds.len() != names.len() {
        return Err(fail("it has not as many kinds as tokens"));
    }
    let added: Vec<_> = (0..names.len())
        .filter(|i| kinds[*i] == 3.0 || kinds[*i] == 4.0)
        .map(|i| {
            json!({"id": i, "content": names[i], "special": kinds[i] == 3.0, "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": false})
        })
        .collect();
    let number = |key: &str| said.number(&format!("tokenizer.ggml.{key}"));
    let (model, around, begins) = match said.text("tokenizer.ggml.model") {
        Some("gpt2") => {
            let merges = texts("merges").ok_or_else(|| fail("it has no merges"))?;
            let pre = said.text("tokenizer.ggml.pre").unwrap_or("default");
            (pairs(&names, merges)?, split(pre)?, pre.starts_with("llama"))
        }
        Some("llama") => {
            let scores = numbers("scores").filter(|scores| scores.len() == names.len());
            let scores = scores.ok_or_else(|| fail("it has not as many scores as tokens"))?;
            let prefix = number("add_space_prefix") != Some(0.0);
            (pieces(&names, &scores), sentence(prefix), true)
        }
        other => return Err(fail(&format!("`{}` is none that is known", other.unwrap_or("none")))),
    };
    let mut whole = around;
    whole["version"] = json!("1.0");
    whole["added_tokens"] = json!(added);
    whole["model"] = model;
    let tokenizer: Tokenizer = serde_json::from_value(whole).map_err(|e| Fault::Tokenizer(e.to_string()))?;
    let wants = number("add_bos_token").map_or(begins, |v| v != 0.0);
    let bos = number("bos_token_id").filter(|_| wants).map(|v| v as u32);
    if bos.is_some_and(|id| id as usize >= names.len()) {
        return Err(fail("its first token is none of its tokens"));
    }
    Ok((tokenizer, bos))
}

fn vocabulary(names: &[String]) -> HashMap<&str, usize> {
    names.iter().enumerate().map(|(i, name)| (name.as_str(), i)).collect()
}

fn pairs(names: &[String], merges: Vec<String>) -> Result<serde_json::Value, Fault> {
    let split = |merge: &String| merge.split_once(' ').map(|(a, b)| json!([a, b]));
    let merges: Option<Vec<_>> = merges.iter().map(split).collect();
    let merges = merges.ok_or_else(|| Fault::Tokenizer("one of its merges is no pair".into()))?;
    Ok(json!({"type": "BPE", "vocab": vocabulary(names), "merges": merges, "ignore_merges": true}))
}

/// How byte pairs are kept apart before they are merged.
fn split(pre: &str) -> Result<serde_json::Value, Fault> {
    const WORDS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|";
    const REST: &str = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    let bytes =
        |regex: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": regex});
    let by = |pattern: String| {
        json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false}, bytes(false)]})
    };
    let before = match pre {
        "llama-bpe" | "llama3" | "llama-v3" => by(format!(r"{WORDS}\p{{N}}{{1,3}}{REST}")),
        "qwen2" | "deepseek-r1-qwen" => by(format!(r"{WORDS}\p{{N}}{REST}")),
        "smollm" => {
            json!({"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": true}, bytes(true)]})
        }
        "default" | "gpt-2" | "gpt2" => bytes(true),
        other => return Err(Fault::Tokenizer(format!("it keeps words apart as `{other}`, which is not known"))),
    };
    Ok(json!({"pre_tokenizer": before, "decoder": bytes(true)}))
}

/// Two pieces are merged if what they make is a piece; better scores first.
fn pieces(names: &[String], scores: &[f64]) -> serde_json::Value {
    let vocabulary = vocabulary(names);
    let mut merges: Vec<(f64, usize, usize, &str, &str)> = Vec::new();
    for (name, score) in names.iter().zip(scores) {
        for (at, _) in name.char_indices().skip(1) {
            let (left, right) = name.split_at(at);
            if let (Some(a), Some(b)) = (vocabulary.get(left), vocabulary.get(right)) {
                merges.push((-score, *a, *b, left, right));
            }
        }
    }
    merges.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let merges: Vec<_> = merges.into_iter().map(|m| json!([m.3, m.4])).collect();
    let unknown = names.iter().find(|name| *name == "<unk>");
    json!({"type": "BPE", "vocab": vocabulary, "merges": merges, "byte_fallback": true, "fuse_unk": true, "unk_token": unknown})
}

/// Spaces are written as a letter of their own.
fn sentence(prefix: bool) -> serde_json::Value {
    let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
    let normalizer = if prefix {
        json!({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, replace]})
    } else {
        replace
    };
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if prefix {
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    json!({"normalizer": normalizer, "decoder": {"type": "Sequence", "decoders": decoders}})
}
