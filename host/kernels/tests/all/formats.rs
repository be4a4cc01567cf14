//! Files: what is written is read again, and what is not sound is refused.

use std::path::Path;
use std::sync::Arc;

use kernels::weights::gguf::{Array, Value};
use kernels::{Counter, Format, Limits, Metadata, Output, Result, Weights, dequantize};

use crate::{oracle, singles};

fn bytes_of(file: &[u8]) -> Result<Weights> {
    Weights::from_bytes("file", Arc::from(file), &Limits::default())
}

fn header(json: &str, data: usize) -> Vec<u8> {
    let mut out = (json.len() as u64).to_le_bytes().to_vec();
    out.extend(json.as_bytes());
    out.resize(out.len() + data, 0);
    out
}

fn refusal(file: &[u8]) -> String {
    bytes_of(file).expect_err("refused").to_string()
}

#[test]
fn hostile_safetensors_are_refused_with_tensor_and_reason() {
    let one = |shape: &str, offsets: &str| {
        header(&format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#), 16)
    };
    let entry =
        |name: &str, offsets: &str| format!(r#""{name}":{{"dtype":"F32","shape":[2],"data_offsets":{offsets}}}"#);
    for (file, reason) in [
        (vec![1, 2, 3], "file: cut short: needs 8 bytes, has 3"),
        (u64::MAX.to_le_bytes().to_vec(), "file: bytes of header is 18446744073709551615, the limit is 104857600"),
        (1000u64.to_le_bytes().to_vec(), "file: cut short: needs 1008 bytes, has 8"),
        (header("[]      ", 0), "file: not a safetensors file"),
        (one("[4]", "[0,16000000000]"), "tensor `a`: bytes 0..16000000000 are outside of the 16 there are"),
        (one("[4]", "[16,0]"), "tensor `a`: bytes 16..0 are outside of the 16 there are"),
        (one("[5]", "[0,16]"), "tensor `a`: shape [5] needs 20 bytes, the file gives 16"),
        (one("[1,1,1,1,1,1,1,1,4]", "[0,16]"), "tensor `a`: number of dimensions is 9, the limit is 8"),
        (one("[3]", "[4,16]"), "tensor `a`: 4 bytes before it belong to no tensor"),
        (one("[3]", "[0,12]"), "file: header: 4 bytes after the last tensor"),
        (
            header(&format!("{{{},{}}}", entry("a", "[0,8]"), entry("b", "[4,12]")), 12),
            "tensor `b`: shares bytes with `a`",
        ),
        (header(&format!("{{{},{}}}", entry("a", "[0,8]"), entry("a", "[8,16]")), 16), "tensor `a`: appears twice"),
        (
            header(r#"{"a":{"dtype":"F31","shape":[],"data_offsets":[0,4]}}"#, 4),
            "tensor `a`: unknown element type `F31`",
        ),
    ] {
        assert_eq!(refusal(&file), reason);
    }
    let absurd = one("[18446744073709551615,18446744073709551615,0]", "[0,0]");
    assert!(refusal(&absurd).starts_with("tensor `a`: shape"), "{}", refusal(&absurd));
    assert!(refusal(&one("[-1]", "[0,16]")).starts_with("file: header"));
}

fn gguf(tensors: u64, pairs: u64, rest: &[u8]) -> Vec<u8> {
    let mut out = b"GGUF".to_vec();
    out.extend(3u32.to_le_bytes());
    out.extend(tensors.to_le_bytes());
    out.extend(pairs.to_le_bytes());
    out.extend(rest);
    out
}

fn text(text: &str) -> Vec<u8> {
    let mut out = (text.len() as u64).to_le_bytes().to_vec();
    out.extend(text.as_bytes());
    out
}

fn row(name: &str, shape: &[u64], id: u32, offset: u64) -> Vec<u8> {
    let mut out = text(name);
    out.extend((shape.len() as u32).to_le_bytes());
    shape.iter().for_each(|d| out.extend(d.to_le_bytes()));
    out.extend(id.to_le_bytes());
    out.extend(offset.to_le_bytes());
    out
}

#[test]
fn hostile_gguf_is_refused_with_tensor_and_reason() {
    let array = |kind: u32, count: u64| {
        let mut out = text("k");
        out.extend(9u32.to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend(count.to_le_bytes());
        out
    };
    let nested: Vec<u8> = (0..6).fold(array(9, 1), |mut out, _| {
        out.extend(9u32.to_le_bytes());
        out.extend(1u64.to_le_bytes());
        out
    });
    let two = |a: u64, b: u64| {
        let mut out = row("a", &[32], 0, a);
        out.extend(row("b", &[32], 0, b));
        out.resize(512, 0);
        gguf(2, 0, &out)
    };
    for (file, reason) in [
        (b"GGUF\x01\0\0\0".to_vec(), "file: not GGUF version 2 or 3, little-endian"),
        (gguf(u64::MAX, 0, &[]), "file: number of tensors is 18446744073709551615, the limit is 1048576"),
        (gguf(0, 1 << 40, &[]), "file: number of values is 1099511627776, the limit is 1048576"),
        (gguf(0, 1, &u64::MAX.to_le_bytes()), "file: cut short: needs 18446744073709551615 bytes, has 32"),
        (gguf(0, 1, &array(4, 1 << 40)), "file: `k`: cut short: needs 4398046511153 bytes, has 49"),
        (gguf(0, 1, &array(12, u64::MAX)), "file: `k`: array is 18446744073709551615, the limit is 104857600"),
        (gguf(0, 1, &nested), "file: `k`: depth of arrays is 5, the limit is 4"),
        (
            gguf(1, 0, &row("a", &[1 << 40, 1 << 40], 0, 0)),
            "tensor `a`: shape [1099511627776, 1099511627776] needs 340282366920938463463374607431768211455 bytes, the file gives 0",
        ),
        (gguf(1, 0, &row("a", &[33], 8, 0)), "tensor `a`: rows of 33 do not divide into q8_0 blocks of 32"),
        (gguf(1, 0, &row("a", &[32], 99, 0)), "tensor `a`: unknown element type `99`"),
        (gguf(1, 0, &row("a", &[32], 0, 5)), "tensor `a`: offset 5 is not a multiple of 32"),
        (
            gguf(1, 0, &row("a", &[32], 0, u64::MAX - 31)),
            "tensor `a`: bytes 18446744073709551584..18446744073709551615 are outside of the 0 there are",
        ),
        (two(0, 64), "tensor `b`: shares bytes with `a`"),
    ] {
        assert_eq!(refusal(&file), reason);
    }
    assert!(bytes_of(&two(0, 128)).is_ok());
}

/// Damages a sound file in every way a counter thinks of; whatever comes of it is a value, and views stay inside.
#[test]
fn no_damage_to_a_file_panics_or_reads_outside() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut files =
        vec![std::fs::read(oracle("merge/inputs/base_bf16/model.safetensors")).expect("test data is there")];
    files.push(written(&folder.path().join("a.gguf"), &metadata()));
    for (number, sound) in files.iter().enumerate() {
        assert!(bytes_of(sound).is_ok());
        let chance = Counter::new(3, "damage", number as u64);
        let reach = sound.len().min(1200) as u64;
        for round in 0..4000u64 {
            let mut file = sound.clone();
            for edit in 0..1 + chance.bits(round) % 3 {
                let bits = chance.bits(round << 8 | edit << 4 | 15);
                let at = (bits % reach) as usize;
                match bits >> 40 & 3 {
                    0 => file[at] ^= 1 << (bits >> 50 & 7),
                    1 => file[at] = (bits >> 50) as u8,
                    2 => file.truncate((bits >> 20) as usize % sound.len()),
                    _ => drop(file.splice(at..at, (bits >> 45).to_le_bytes()).count()),
                }
                file.resize(file.len().max(reach as usize), 0);
            }
            if let Ok(weights) = bytes_of(&file) {
                for info in weights.infos() {
                    let view = weights.view(info);
                    assert_eq!(view.bytes.len() as u64, view.format.bytes(view.shape).expect("was checked"));
                }
            }
        }
    }
}

fn metadata() -> Metadata {
    Metadata::Gguf(vec![
        ("general.architecture".into(), Value::Text("llama".into())),
        ("general.alignment".into(), Value::U32(64)),
        ("a.bool".into(), Value::Bool(true)),
        ("a.f64".into(), Value::F64(0.5)),
        ("a.i8".into(), Value::I8(-3)),
        ("a.texts".into(), Value::Array(Array::of_texts(["one", "zwei", ""]))),
        ("a.floats".into(), Value::Array(Array::of_f32(&[1.0, -2.5]))),
        ("a.ints".into(), Value::Array(Array::of_i32(&[7, -8]))),
    ])
}

fn written(path: &Path, metadata: &Metadata) -> Vec<u8> {
    let tensors = vec![
        ("z.weight".to_owned(), vec![3, 32], Format::Q8_0),
        ("a.weight".to_owned(), vec![5], Format::F32),
        ("m.weight".to_owned(), vec![2, 3, 4], Format::Bf16),
    ];
    let output = Output::create(path, &tensors, metadata).expect("creates");
    for (number, (_, shape, format)) in tensors.iter().enumerate() {
        let bytes: Vec<u8> = (0..format.bytes(shape).expect("fits")).map(|i| (i * 7 + number as u64) as u8).collect();
        let (first, second) = bytes.split_at(9);
        output.write(number, 9, second).expect("writes");
        output.write(number, 0, first).expect("writes");
    }
    assert!(!path.exists(), "nothing has its name before it is whole");
    output.finish().expect("renames");
    std::fs::read(path).expect("is there")
}

#[test]
fn what_is_written_is_read_again_in_its_order() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pairs = vec![("format".to_owned(), "pt".to_owned()), ("note".to_owned(), "\"quoted\"\n".to_owned())];
    for (name, metadata) in [("a.gguf", metadata()), ("a.safetensors", Metadata::Safetensors(pairs))] {
        let path = folder.path().join(name);
        let file = written(&path, &metadata);
        let weights = Weights::open(&path, &Limits::default()).expect("sound");
        assert_eq!(*weights.metadata(), metadata);
        let names: Vec<&str> = weights.infos().iter().map(|info| info.name.as_str()).collect();
        assert_eq!(names, ["z.weight", "a.weight", "m.weight"]);
        let view = weights.tensor("m.weight").expect("is there");
        assert_eq!((view.shape, view.format), (&[2u64, 3, 4][..], Format::Bf16));
        let z = weights.tensor("z.weight").expect("is there");
        assert_eq!((z.format, z.shape, z.bytes[10]), (Format::Q8_0, &[3u64, 32][..], 70));
        assert_eq!(weights.file_bytes(), file.len() as u64);
    }
}

#[test]
fn an_output_that_is_dropped_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tensors = vec![("a".to_owned(), vec![5], Format::F32)];
    drop(Output::create(&folder.path().join("x"), &tensors, &Metadata::Safetensors(vec![])).expect("creates"));
    assert!(std::fs::read_dir(folder.path()).expect("a folder").next().is_none());
}

fn shards(folder: &Path, map: &str) -> Result<Weights> {
    for (file, name) in [("one.safetensors", "a"), ("two.safetensors", "b")] {
        let json = format!(r#"{{"{name}":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}}"#);
        std::fs::write(folder.join(file), header(&json, 4)).expect("writes");
    }
    std::fs::write(folder.join("model.safetensors.index.json"), format!(r#"{{"metadata":{{}},"weight_map":{map}}}"#))
        .expect("writes");
    Weights::open(folder, &Limits::default())
}

#[test]
fn a_sharded_model_is_one_model() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let weights = shards(folder.path(), r#"{"a":"one.safetensors","b":"two.safetensors"}"#).expect("sound");
    assert_eq!(weights.infos().len(), 2);
    assert_eq!(weights.tensor("b").expect("is there").bytes, [0; 4]);
}

#[test]
fn an_index_that_lies_or_leads_away_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let refusal = |map: &str| shards(folder.path(), map).expect_err("refused").to_string();
    assert_eq!(refusal(r#"{"a":"one.safetensors","c":"two.safetensors"}"#), "tensor `c`: missing from two.safetensors");
    for file in ["../one.safetensors", "/etc/passwd", "..", "a\\\\b"] {
        assert!(refusal(&format!(r#"{{"a":"{file}"}}"#)).ends_with("is not a plain file name"), "{file}");
    }
}

#[test]
fn formats_that_safetensors_has_no_name_for_survive_in_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("own.safetensors");
    let values = crate::quantize::normal(8 * 256, 5);
    let shape = vec![8, 256];
    for name in ["int8_asym_row", "nf4", "bitnet_row", "vq", "q4_k", "int8"] {
        let format: Format = name.parse().expect("a format");
        let tensors = vec![("first".to_owned(), vec![3], Format::U8), ("w.weight".to_owned(), shape.clone(), format)];
        let output = Output::create(&path, &tensors, &Metadata::Safetensors(vec![])).expect("creates");
        let mut bytes = vec![0; format.bytes(&shape).expect("fits") as usize];
        kernels::quantize(&shape, &values, format.into(), &mut bytes, &kernels::Inline).expect("quantizes");
        output.write(1, 0, &bytes).expect("writes");
        output.finish().expect("renames");
        let weights = Weights::open(&path, &Limits::default()).expect("sound");
        let view = weights.tensor("w.weight").expect("is there");
        assert_eq!((view.format, view.shape), (format, shape.as_slice()), "{name}");
        assert_eq!(view.bytes, bytes, "{name}");
        assert_eq!(weights.infos().len(), 2, "{name}");
        assert_eq!(dequantize(&view).expect("reads").len(), values.len());
    }
}

#[test]
fn a_tensor_that_is_not_finite_stops_the_work_and_is_named() {
    use kernels::job::{self, Means};
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("nan.safetensors");
    let tensors = vec![("x.weight".to_owned(), vec![64, 64], Format::F32)];
    let output = Output::create(&path, &tensors, &Metadata::Safetensors(vec![])).expect("creates");
    output.write(0, 4 * 1234, &f32::NAN.to_le_bytes()).expect("writes");
    output.finish().expect("renames");
    let weights = Weights::open(&path, &Limits::default()).expect("sound");
    let to = folder.path().join("out");
    let means = Means { backend: &kernels::Cpu::default(), pool: &kernels::Inline, watch: &() };
    for types in ["q8_0", "f32", "bf16", "int8"] {
        let types = types.parse().expect("a type");
        let error = job::convert(&weights, &types, &to, weights.metadata(), means).expect_err("refused");
        assert_eq!(error.to_string(), "tensor `x.weight`: element 1234 is not finite");
        assert!(!to.exists());
    }
    assert_eq!(singles(weights.tensor("x.weight").expect("is there").bytes)[0], 0.0);
}

#[test]
fn a_file_of_another_tool_is_read_whole() {
    let weights = Weights::open(&oracle("tool.gguf"), &Limits::default()).expect("sound");
    let Metadata::Gguf(pairs) = weights.metadata() else { panic!("another kind") };
    let value = |key: &str| pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone());
    assert_eq!(value("a.u32"), Some(Value::U32(7)));
    assert_eq!(value("a.f64"), Some(Value::F64(1e300)));
    assert_eq!(value("a.i8"), Some(Value::I8(-5)));
    assert_eq!(value("a.text"), Some(Value::Text("grüße".into())));
    let Some(Value::Array(texts)) = value("a.texts") else { panic!("no array") };
    assert_eq!(texts.texts(), Some(vec!["x".to_owned(), "yy".to_owned()]));
    for name in ["x.f32", "x.f16", "x.q8_0"] {
        let view = weights.tensor(name).expect("is there");
        assert_eq!(view.shape, [2, 3, 32]);
        for (i, x) in dequantize(&view).expect("reads").into_iter().enumerate() {
            assert!((x - (i as f32 / 64.0 - 1.0)).abs() < 0.01, "{name} {i}: {x}");
        }
    }
}

const CONFIG: &str = r#"{"architectures":["LlamaForCausalLM"],"hidden_size":64,"intermediate_size":128,"num_hidden_layers":2,
"num_attention_heads":4,"num_key_value_heads":2,"max_position_embeddings":128,"rms_norm_eps":1e-5,"rope_theta":5000.0,
"vocab_size":6,"bos_token_id":0,"eos_token_id":[4,1]}"#;
const TOKENIZER: &str = r#"{"model":{"type":"BPE","vocab":{"a":1,"b":2,"ab":3},"merges":["a b"]},
"added_tokens":[{"id":0,"content":"<s>","special":true},{"id":4,"content":"</s>","special":true}]}"#;

#[test]
fn a_llama_model_becomes_a_gguf_with_its_names_rows_and_words() {
    use kernels::job::{self, Means};
    use kernels::weights::llama::Llama;
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("config.json"), CONFIG).expect("writes");
    std::fs::write(folder.path().join("tokenizer.json"), TOKENIZER).expect("writes");
    let llama = Llama::read(folder.path()).expect("sound");
    let from = Weights::open(&oracle("merge/inputs/a_bf16"), &Limits::default()).expect("sound");
    let to = folder.path().join("a.gguf");
    let means = Means { backend: &kernels::Cpu::default(), pool: &kernels::Inline, watch: &() };
    job::convert_llama(&from, &llama, &"f32".parse().expect("a type"), &to, means).expect("converts");
    let made = Weights::open(&to, &Limits::default()).expect("sound");
    let Metadata::Gguf(pairs) = made.metadata() else { panic!("another kind") };
    let value = |key: &str| pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone());
    assert_eq!(value("llama.attention.head_count_kv"), Some(Value::U32(2)));
    assert_eq!(value("llama.rope.freq_base"), Some(Value::F32(5000.0)));
    assert_eq!(value("tokenizer.ggml.eos_token_id"), Some(Value::U32(4)));
    assert_eq!(value("general.file_type"), Some(Value::U32(0)));
    let Some(Value::Array(tokens)) = value("tokenizer.ggml.tokens") else { panic!("no tokens") };
    let words = ["<s>", "a", "b", "ab", "</s>", "[PAD5]"].map(str::to_owned).to_vec();
    assert_eq!(tokens.texts(), Some(words));
    assert_eq!(made.tensor("output_norm.weight").expect("is there").format, Format::F32);

    let row = |weights: &Weights, name: &str, at: usize| {
        let values = dequantize(&weights.tensor(name).expect("is there")).expect("reads");
        values[at * 64..][..64].to_vec()
    };
    // Two heads of sixteen rows for keys: the second half of a head goes between the rows of the first.
    for (to, at) in [(0, 0), (1, 8), (2, 1), (15, 15), (16, 16), (17, 24), (30, 23)] {
        let theirs = row(&from, "model.layers.1.self_attn.k_proj.weight", at);
        assert_eq!(row(&made, "blk.1.attn_k.weight", to), theirs, "{to}");
    }
    assert_eq!(row(&made, "blk.0.attn_v.weight", 5), row(&from, "model.layers.0.self_attn.v_proj.weight", 5));
}

#[test]
fn another_family_is_not_taken_for_a_llama() {
    use kernels::weights::llama::Llama;
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("config.json"), CONFIG.replace("LlamaFor", "BertFor")).expect("writes");
    assert!(
        Llama::read(folder.path()).expect_err("refused").to_string().ends_with("not of the family Llama or Mistral")
    );
    let outside = TOKENIZER.replace("\"id\":4", "\"id\":4000000000");
    std::fs::write(folder.path().join("config.json"), CONFIG).expect("writes");
    std::fs::write(folder.path().join("tokenizer.json"), outside).expect("writes");
    assert!(Llama::read(folder.path()).expect_err("refused").to_string().contains("token's number is 4000000000"));
}

#[test]
fn what_lies_beside_a_model_goes_with_it() {
    let (from, to) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    std::fs::write(from.path().join("config.json"), CONFIG).expect("writes");
    std::fs::write(from.path().join("tokenizer.json"), TOKENIZER).expect("writes");
    std::fs::write(from.path().join("model.safetensors"), "large").expect("writes");
    kernels::companions::copy(from.path(), to.path(), Some(7), Some(Format::Bf16)).expect("copies");
    let config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(to.path().join("config.json")).expect("is there")).expect("parses");
    assert_eq!((&config["num_hidden_layers"], &config["torch_dtype"]), (&7.into(), &"bfloat16".into()));
    assert_eq!(config["hidden_size"], 64);
    assert!(to.path().join("tokenizer.json").exists() && !to.path().join("model.safetensors").exists());
}
