//! Measures models that run in this process. `speed [THREADS]` makes a model of random weights in the shape of a Llama
//! of a billion parameters; `make FILE` keeps such a model, and `speed THREADS FILE` measures it; `formed` does so with schemas and
//! without; `vectors FOLDER VECTORS` compares an embedder with what another program has computed.

use kernels::weights::gguf::{Array, Value};
use kernels::{Format, Metadata, Output};
use model::embedded::{Models, Settings, Settled, Template};
use model::{Ask, Backend, Prompt};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const HIDDEN: u64 = 2048;
const INNER: u64 = 8192;
const LAYERS: u32 = 16;
const VOCABULARY: u64 = 128_256;
/// Tokens that a prompt has, and that are written.
const LENGTH: usize = 32;

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["speed"] => speed(1, None).await,
        ["speed", threads] => speed(threads.parse().expect("a number"), None).await,
        ["speed", threads, file] => speed(threads.parse().expect("a number"), Some(Path::new(file))).await,
        ["make", file] => println!("{} bytes of weights", make(Path::new(file))),
        ["formed"] => formed().await,
        ["vectors", folder, wanted] => vectors(Path::new(folder), Path::new(wanted)).await,
        _ => eprintln!("speed [THREADS [FILE]] | make FILE | formed | vectors FOLDER VECTORS"),
    }
}

fn open(path: &Path, threads: usize) -> Models {
    let models = vec![Settled { name: "m".into(), path: path.into(), template: Some(Template::Plain) }];
    Models::open(&Settings {
        name: "here".into(),
        threads: NonZeroUsize::new(threads).expect("not zero"),
        memory: 8 << 30,
        cache: 1 << 30,
        together: 8,
        waiting: 64,
        models,
    })
    .expect("opens")
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(500)
}

async fn vectors(folder: &Path, wanted: &Path) {
    let text = std::fs::read(wanted).expect("reads");
    let wanted: Vec<serde_json::Value> = serde_json::from_slice(&text).expect("parses");
    let texts: Vec<String> = wanted.iter().map(|case| case["text"].as_str().expect("a text").to_owned()).collect();
    let models = open(folder, 1);
    let begun = cpu();
    let made = models.embed("m", &texts, true, later()).await.expect("embeds");
    println!("{} tokens in {:.3} s of a core", made.tokens, cpu() - begun);
    for (case, vector) in wanted.iter().zip(&made.vectors) {
        let other = case["vector"].as_array().expect("an array").iter().map(|v| v.as_f64().expect("a number"));
        let cosine: f64 = vector.iter().zip(other).map(|(a, b)| f64::from(*a) * b).sum();
        println!("cosine {cosine:.7}");
        assert!(cosine > 1.0 - 1e-4, "another vector");
    }
}

async fn speed(threads: usize, made: Option<&Path>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = made.map_or_else(|| folder.path().join("random.gguf"), Path::to_owned);
    // What else is in the file is little beside the weights.
    let bytes = made.map_or_else(|| make(&path), |path| std::fs::metadata(path).expect("it is there").len());
    println!("{:.0} MB of weights; one core reads {:.1} GB/s", bytes as f64 / 1e6, bandwidth());
    let begun = std::time::Instant::now();
    let models = Arc::new(open(&path, threads));
    println!("opened in {:.1} s", begun.elapsed().as_secs_f64());
    let (mut alone, mut rate) = (0.0, 0.0);
    for together in [1, 2, 4, 8] {
        let (reading, read_cpu) = run(&models, together, 1).await;
        let (both, both_cpu) = run(&models, together, LENGTH as u32 + 1).await;
        let tokens = (together * LENGTH) as f64;
        let each = tokens / (both_cpu - read_cpu);
        if together == 1 {
            alone = each;
            rate = tokens / (both - reading);
            let possible = bandwidth() * 1e9 / bytes as f64;
            println!("of {possible:.1} tokens/s that the memory could give a core: {:.2} (bar: 0.5)", each / possible);
        }
        println!(
            "{together} together on {threads}: {:.1} tokens/s, {each:.1} a second of a core ({:.2} of one alone); prompt {:.0} tokens/s a core",
            tokens / (both - reading),
            each / alone,
            (together * LENGTH) as f64 / read_cpu
        );
        if together == 8 {
            let times = tokens / (both - reading) / rate;
            println!(
                "8 together are {times:.2} times as fast as one by the clock, {:.2} by the core (bar: 2.5)",
                each / alone
            );
        }
    }
}

/// Tokens a second of a core, of answers that may be anything and of those that must fit a schema.
async fn formed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("random.gguf");
    make(&path);
    let models = open(&path, 1);
    let person = r#"{"properties": {"name": {"type": "string", "maxLength": 60}, "age": {"type": "integer", "minimum": 0},
        "tags": {"items": {"enum": ["old", "new", "borrowed"]}, "minItems": 8, "maxItems": 8}},
        "required": ["name", "age", "tags"]}"#;
    let string = r#"{"type": "string", "minLength": 40, "maxLength": 200}"#;
    for (what, schema) in
        [("nothing", None), ("a string", Some(string)), ("an object", Some(person)), ("nothing", None)]
    {
        let (begun, mut tokens, mut reading) = (cpu(), 0, 0.0);
        for seed in 0..4 {
            // The first token is that of the prompt; what stands before is compiled with it.
            for most in [1, 400] {
                let schema = schema.filter(|_| most > 1).map(str::to_owned);
                let most = if schema.is_none() && most > 1 { 48 } else { most };
                let prompt = Prompt { temperature: 1000, seed: Some(seed), schema, ..Prompt::ask("abcdefgh", most) };
                let begun = cpu();
                let done = models.complete(Ask { model: "m", prompt: &prompt, until: later() }, &mut ()).await;
                let done = done.expect("answers");
                match most {
                    1 => reading += 2.0 * (cpu() - begun),
                    _ => tokens += done.tokens_out - 1,
                }
            }
        }
        let spent = cpu() - begun - reading;
        println!("held to {what}: {:.2} tokens/s of a core ({tokens} tokens)", tokens as f64 / spent);
    }
}

/// Seconds by the clock and of the processor.
async fn run(models: &Arc<Models>, together: usize, most: u32) -> (f64, f64) {
    let (begun, used) = (Instant::now(), cpu());
    let mut all = tokio::task::JoinSet::new();
    for number in 0..together {
        let models = models.clone();
        all.spawn(async move {
            let text = "abcdefghijklmnopqrstuvwxyz012345"[..LENGTH].to_owned();
            let prompt = Prompt { temperature: 1000, seed: Some(number as u64), ..Prompt::ask(text, most) };
            let done = models.complete(Ask { model: "m", prompt: &prompt, until: later() }, &mut ()).await;
            assert_eq!(done.expect("answers").tokens_out, u64::from(most));
        });
    }
    while let Some(done) = all.join_next().await {
        done.expect("no panic");
    }
    (begun.elapsed().as_secs_f64(), cpu() - used)
}

fn cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Gigabytes that one core reads in a second of its own.
fn bandwidth() -> f64 {
    let words = vec![1u64; 1 << 26];
    let begun = cpu();
    let mut sum = 0u64;
    for _ in 0..2 {
        sum = sum.wrapping_add(std::hint::black_box(&words).iter().fold(0, |sum, word| sum ^ word));
    }
    std::hint::black_box(sum);
    2.0 * words.len() as f64 * 8.0 / 1e9 / (cpu() - begun)
}

fn make(path: &Path) -> u64 {
    let mut tensors = vec![("token_embd.weight".to_owned(), vec![VOCABULARY, HIDDEN], Format::Q4_0)];
    tensors.push(("output_norm.weight".into(), vec![HIDDEN], Format::F32));
    for layer in 0..LAYERS {
        let mut add = |name: &str, shape: Vec<u64>| {
            let format = if shape.len() == 1 { Format::F32 } else { Format::Q4_0 };
            tensors.push((format!("blk.{layer}.{name}.weight"), shape, format));
        };
        add("attn_norm", vec![HIDDEN]);
        add("ffn_norm", vec![HIDDEN]);
        add("attn_q", vec![HIDDEN, HIDDEN]);
        add("attn_k", vec![HIDDEN / 4, HIDDEN]);
        add("attn_v", vec![HIDDEN / 4, HIDDEN]);
        add("attn_output", vec![HIDDEN, HIDDEN]);
        add("ffn_gate", vec![INNER, HIDDEN]);
        add("ffn_up", vec![INNER, HIDDEN]);
        add("ffn_down", vec![HIDDEN, INNER]);
    }
    let output = Output::create(path, &tensors, &Metadata::Gguf(metadata())).expect("creates");
    let mut state = 1u64;
    let mut total = 0;
    for (number, (_, shape, format)) in tensors.iter().enumerate() {
        let length = format.bytes(shape).expect("fits") as usize;
        let bytes: Vec<u8> = if *format == Format::F32 {
            std::iter::repeat_n(1.0f32.to_le_bytes(), length / 4).flatten().collect()
        } else {
            let mut bytes = vec![0u8; length];
            for block in bytes.as_chunks_mut::<18>().0 {
                // 0.004 as a half.
                block[..2].copy_from_slice(&0x1c19u16.to_le_bytes());
                for eight in block[2..].as_chunks_mut::<8>().0 {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    *eight = (state ^ state >> 29).to_le_bytes();
                }
            }
            total += length as u64;
            bytes
        };
        output.write(number, 0, &bytes).expect("writes");
    }
    output.finish().expect("finishes");
    total
}

fn metadata() -> Vec<(String, Value)> {
    let number = |key: &str, value: u32| (format!("llama.{key}"), Value::U32(value));
    // The letters that stand for bytes themselves, and names for the rest.
    let letters = (b'!'..=b'~').map(|byte| char::from(byte).to_string());
    let names: Vec<String> = letters.chain((94..VOCABULARY).map(|n| format!("token{n}"))).collect();
    vec![
        ("general.architecture".into(), Value::Text("llama".into())),
        number("block_count", LAYERS),
        number("context_length", 2048),
        number("embedding_length", HIDDEN as u32),
        number("feed_forward_length", INNER as u32),
        number("attention.head_count", 32),
        number("attention.head_count_kv", 8),
        ("llama.attention.layer_norm_rms_epsilon".into(), Value::F32(1e-5)),
        ("tokenizer.ggml.model".into(), Value::Text("gpt2".into())),
        ("tokenizer.ggml.tokens".into(), Value::Array(Array::of_texts(names.iter().map(String::as_str)))),
        ("tokenizer.ggml.merges".into(), Value::Array(Array::of_texts([]))),
    ]
}
