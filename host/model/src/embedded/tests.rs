//! The models of `tests/golden/embedded` against what transformers computed with them, and the back end around them.

mod asked;
mod broken;
mod formed;

use super::bert::Bert;
use super::decoder::{Decoder, Step};
use super::models::{Models, Settings, Settled};
use super::shape::Shape;
use super::source::{Room, Source};
use super::tokens::{Tokens, Writer};
use serde_json::Value;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/embedded")
}

fn expected() -> Value {
    let text = std::fs::read(golden().join("expected.json")).expect("reads");
    serde_json::from_slice(&text).expect("parses")
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().expect("an array").iter().map(|v| v.as_f64().expect("a number") as f32).collect()
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().expect("an array").iter().map(|v| v.as_u64().expect("a number") as u32).collect()
}

fn room() -> Room {
    Room { need: 0, limit: 1 << 30 }
}

fn shape(source: &Source) -> Shape {
    match source.described() {
        Some(said) => Shape::from_gguf("file", &said),
        None => Shape::from_config("config", &source.read_beside("config.json").expect("reads").expect("is there")),
    }
    .expect("a shape")
}

fn decoder(name: &str) -> Decoder {
    let source = Source::open(&golden().join(name)).expect("opens");
    let shape = shape(&source);
    Decoder::load(&source, &shape, 0..shape.layers, &mut room()).expect("loads")
}

/// The logits of each token, of which so many are read at a time.
fn logits(decoder: &Decoder, ids: &[u32], together: usize) -> Vec<f32> {
    let mut cache = decoder.cache(ids.len());
    let mut out = Vec::new();
    for piece in ids.chunks(together) {
        let mut hidden = decoder.begin(piece);
        decoder.advance(&mut hidden, &mut [Step { cache: &mut cache, tokens: piece.len() }]);
        out.extend(decoder.logits(&hidden));
    }
    out
}

/// A model's folder of its own, with a tokenizer, and its description changed.
fn copy(name: &str, change: impl FnOnce(&mut Value)) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let from = golden().join(name);
    std::fs::copy(from.join("model.safetensors"), folder.path().join("model.safetensors")).expect("copies");
    std::fs::copy(golden().join("tokenizer.json"), folder.path().join("tokenizer.json")).expect("copies");
    let text = std::fs::read(from.join("config.json")).expect("reads");
    let mut config: Value = serde_json::from_slice(&text).expect("parses");
    change(&mut config);
    std::fs::write(folder.path().join("config.json"), config.to_string()).expect("writes");
    folder
}

fn settings(models: &[(&str, &Path)]) -> Settings {
    let settled =
        |(name, path): &(&str, &Path)| Settled { name: (*name).into(), path: path.to_path_buf(), template: None };
    Settings {
        name: "here".into(),
        threads: NonZeroUsize::new(2).expect("not zero"),
        memory: 1 << 28,
        cache: 1 << 30,
        together: 8,
        waiting: 8,
        models: models.iter().map(settled).collect(),
    }
}

#[test]
fn logits_are_those_of_transformers() {
    let expected = expected();
    for (name, file, most) in [
        ("llama", "llama", 1e-4),
        ("mistral", "mistral", 1e-4),
        ("qwen2", "qwen2", 1e-4),
        ("qwen3", "qwen3", 1e-4),
        ("f16", "f16.gguf", 1e-4),
        // Activations are rounded to eight bits.
        ("q4_0", "q4_0.gguf", 0.04),
        ("q4_k", "q4_k.gguf", 0.04),
    ] {
        let tokens = ids(&expected[if file.ends_with("gguf") { "gguf_ids" } else { "ids" }]);
        let made = logits(&decoder(file), &tokens, tokens.len());
        let wide = made.len() / tokens.len();
        for (at, part) in [(0, "first"), (5, "middle"), (tokens.len() - 1, "last")] {
            let wanted = floats(&expected["logits"][name][part]);
            let made = &made[at * wide..][..wanted.len()];
            let square = |x: f32| f64::from(x) * f64::from(x);
            let error: f64 = made.iter().zip(&wanted).map(|(a, b)| square(a - b)).sum();
            let error = (error / wanted.iter().map(|v| square(*v)).sum::<f64>()).sqrt();
            assert!(error < most, "{name} {part}: {error} of the logits' size");
        }
    }
}

#[test]
fn a_model_in_two_ranges_gives_the_same_logits() {
    let tokens = ids(&expected()["ids"]);
    let source = Source::open(&golden().join("llama")).expect("opens");
    let shape = shape(&source);
    let whole = logits(&decoder("llama"), &tokens, 5);
    let parts = [0..1, 1..2].map(|range| Decoder::load(&source, &shape, range, &mut room()).expect("loads"));
    let mut caches = parts.each_ref().map(|part| part.cache(tokens.len()));
    let mut made = Vec::new();
    for piece in tokens.chunks(5) {
        let mut hidden = parts[0].begin(piece);
        for (part, cache) in parts.iter().zip(&mut caches) {
            part.advance(&mut hidden, &mut [Step { cache, tokens: piece.len() }]);
        }
        assert!(parts[0].logits(&hidden).is_empty(), "the first range has no head");
        made.extend(parts[1].logits(&hidden));
    }
    assert_eq!(made, whole);
}

#[test]
fn neither_pieces_nor_neighbours_change_a_bit() {
    let tokens = ids(&expected()["ids"]);
    for file in ["llama", "mistral", "q4_0.gguf"] {
        let decoder = decoder(file);
        let tokens: Vec<u32> = tokens.iter().map(|id| id % 64).collect();
        let whole = logits(&decoder, &tokens, tokens.len());
        assert_eq!(logits(&decoder, &tokens, 1), whole, "{file} token by token");
        assert_eq!(logits(&decoder, &tokens, 5), whole, "{file} in pieces");
        let other = [9, 8, 7];
        let (mut mine, mut theirs) = (decoder.cache(tokens.len()), decoder.cache(3));
        let mut hidden = decoder.begin(&[&other[..], &tokens].concat());
        let size = hidden.len() / (3 + tokens.len());
        let steps = &mut [Step { cache: &mut theirs, tokens: 3 }, Step { cache: &mut mine, tokens: tokens.len() }];
        decoder.advance(&mut hidden, steps);
        assert_eq!(decoder.logits(&hidden[3 * size..]), whole, "{file} beside another");
    }
}

#[test]
fn vectors_are_those_of_transformers() {
    let folder = copy("bert", |_| {});
    let source = Source::open(folder.path()).expect("opens");
    let text = source.read_beside("config.json").expect("reads").expect("is there");
    let bert = Bert::load(&source, &text, &mut room()).expect("loads");
    let tokens = Tokens::open(&source, bert.vocabulary()).expect("opens");
    let expected = expected();
    let texts = expected["vectors"].as_array().expect("an array");
    let read: Vec<_> =
        texts.iter().map(|text| tokens.encode_whole(text["text"].as_str().expect("a text")).expect("reads")).collect();
    for (text, (vector, read)) in texts.iter().zip(bert.embed(&read).iter().zip(&read)) {
        assert_eq!(read.len() as u64, text["tokens"].as_u64().expect("a number"));
        let wanted = floats(&text["vector"]);
        let most = vector.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(most < 1e-5, "{}: {most}", text["text"]);
    }
}

#[test]
fn tokens_are_those_of_the_tokenizer_and_lead_back_to_the_text() {
    let folder = copy("llama", |_| {});
    let source = Source::open(folder.path()).expect("opens");
    let tokens = Tokens::open(&source, 288).expect("opens");
    for case in expected()["tokens"].as_array().expect("an array") {
        let text = case["text"].as_str().expect("a text");
        let read = tokens.encode(text).expect("reads");
        assert_eq!(read, ids(&case["ids"]), "{text}");
        let mut writer = Writer::default();
        let mut written: String = read.iter().map(|id| writer.push(&tokens, *id)).collect();
        written.push_str(&writer.finish(&tokens));
        assert_eq!(written, text);
    }
    let marks = tokens.encode("<|eot_id|>").expect("reads");
    assert!(marks.len() > 3 && !marks.contains(&3), "a text can't end its turn: {marks:?}");
}

#[test]
fn pieces_with_scores_are_merged_best_first() {
    let source = Source::open(&golden().join("q4_0.gguf")).expect("opens");
    let tokens = Tokens::open(&source, 64).expect("opens");
    let names = |text: &str| -> Vec<u32> { tokens.encode(text).expect("reads") };
    let id = |name: &str| tokens.id(name).expect("a token");
    // `▁the` is reached by `▁t` and `he`, both better than any other merge of it.
    assert_eq!(names("the band!"), [id("▁the"), id("▁b"), id("a"), id("nd"), id("<0x21>")]);
    assert_eq!(names("ö"), [id("▁"), id("<0xC3>"), id("<0xB6>")]);
    assert_eq!(tokens.bos, Some(1));
    let mut writer = Writer::default();
    let mut written: String = names("is it ö.").iter().map(|id| writer.push(&tokens, *id)).collect();
    written.push_str(&writer.finish(&tokens));
    assert_eq!(written, "is it ö.");
}
