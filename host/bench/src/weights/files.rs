//! Whole files: merging three models beside copying one, and beside mergekit where it is installed.

use crate::report::{Bar, Row};
use crate::{Error, Plan, Rows};
use kernels::{Counter, Format, Metadata, Output};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The sizes of a model: hidden, inner, words, layers.
struct Size(u64, u64, u64, u64);

/// 490 MB in 16 bits.
const WHOLE: Size = Size(1024, 2816, 32_000, 14);
const QUICK: Size = Size(256, 512, 4096, 4);

const MODELS: [&str; 4] = ["base", "a", "b", "c"];

pub(crate) fn measure(plan: &Plan) -> Rows {
    let folder = tempfile::tempdir()?;
    let place = folder.path();
    let size = if plan.quick { QUICK } else { WHOLE };
    for (number, name) in MODELS.iter().enumerate() {
        model(&place.join(name), &size, number as u64)?;
    }
    let model = place.join("a/model.safetensors");
    let bytes = std::fs::metadata(&model)?.len() as f64;
    let rounds = if plan.quick { 1 } else { 5 };
    let mut rows = Vec::new();
    for (method, models, bar) in [("linear", 3.0, Bar::AtLeast(0.5)), ("ties", 4.0, Bar::Stated)] {
        let recipe = recipe(place, method)?;
        let (mut ratios, mut seconds, mut memory) = (Vec::new(), Vec::new(), 0.0f64);
        for _ in 0..rounds {
            let copied = copy(&model, &place.join("copy"))?;
            let run = run(plan, &recipe, &place.join("merged.safetensors"))?;
            // Bytes read and written a second, of both.
            ratios.push((models + 1.0) * bytes / run.seconds / (2.0 * bytes / copied));
            seconds.push(run.seconds);
            memory = memory.max(run.memory);
        }
        let what = format!("cp of one, and sync, as ours does; {:.0} MB each", bytes / 1e6);
        rows.push(Row::of(format!("kernels: {method}, {models} files to one, of cp's rate"), "×", ratios, what, bar));
        let name = format!("kernels: {method}, memory beside the mapped files");
        rows.push(Row::judged(name, "MiB", memory, "the most of the run", Bar::AtMost(100.0)));
        rows.extend(beside_mergekit(place, method, &recipe, &seconds)?);
    }
    Ok(rows)
}

/// A model's folder, as the tools expect one: weights in 16 bits, and a configuration.
fn model(folder: &Path, size: &Size, number: u64) -> Result<(), Error> {
    let Size(hidden, inner, words, layers) = *size;
    std::fs::create_dir(folder)?;
    let mut plans = vec![
        ("lm_head.weight".to_owned(), vec![words, hidden]),
        ("model.embed_tokens.weight".to_owned(), vec![words, hidden]),
        ("model.norm.weight".to_owned(), vec![hidden]),
    ];
    for layer in 0..layers {
        let mut add =
            |name: &str, shape: &[u64]| plans.push((format!("model.layers.{layer}.{name}.weight"), shape.into()));
        for name in ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"] {
            add(name, &[hidden, hidden]);
        }
        add("mlp.gate_proj", &[inner, hidden]);
        add("mlp.up_proj", &[inner, hidden]);
        add("mlp.down_proj", &[hidden, inner]);
        add("input_layernorm", &[hidden]);
        add("post_attention_layernorm", &[hidden]);
    }
    let plans: Vec<_> = plans.into_iter().map(|(name, shape)| (name, shape, Format::Bf16)).collect();
    let metadata = Metadata::Safetensors(vec![("format".to_owned(), "pt".to_owned())]);
    let output = Output::create(&folder.join("model.safetensors"), &plans, &metadata)?;
    // The base's numbers from one table, and each model's differences from another: both are gone round.
    const TABLE: u64 = 1 << 20;
    let table = |seed: u64, width: f32| -> Vec<f32> {
        let counter = Counter::new(seed, "model", 0);
        (0..TABLE).map(|i| (0..3).map(|k| counter.unit(3 * i + k) - 0.5).sum::<f32>() * width).collect()
    };
    let (base, delta) = (table(0, 0.04), table(number, if number == 0 { 0.0 } else { 0.004 }));
    let mut bytes = Vec::new();
    for (tensor, (_, shape, _)) in plans.iter().enumerate() {
        let count = shape.iter().product::<u64>();
        for from in (0..count).step_by(TABLE as usize) {
            let at = |i: u64, step: u64| ((i + tensor as u64 * step) % TABLE) as usize;
            bytes.clear();
            let part = (0..TABLE.min(count - from)).map(|i| base[at(i, 7919)] + delta[at(i, 104_729)]);
            bytes.extend(part.flat_map(|x| ((x.to_bits() + 0x8000) >> 16).to_le_bytes().into_iter().take(2)));
            output.write(tensor, from * 2, &bytes)?;
        }
    }
    output.finish()?;
    let config = format!(
        r#"{{"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":{hidden},"intermediate_size":{inner},
"num_hidden_layers":{layers},"num_attention_heads":16,"num_key_value_heads":16,"vocab_size":{words},
"max_position_embeddings":2048,"rms_norm_eps":1e-05,"tie_word_embeddings":false,"torch_dtype":"bfloat16"}}"#
    );
    std::fs::write(folder.join("config.json"), config)?;
    Ok(())
}

fn recipe(place: &Path, method: &str) -> Result<PathBuf, Error> {
    let mut text = format!("merge_method: {method}\ndtype: bfloat16\n");
    if method == "ties" {
        text += &format!("base_model: {}\n", place.join("base").display());
    }
    text += "models:\n";
    for (name, weight) in [("a", 0.5), ("b", 0.3), ("c", 0.2)] {
        let place = place.join(name);
        text += &format!("  - model: {}\n    parameters: {{weight: {weight}, density: 0.5}}\n", place.display());
    }
    let path = place.join(format!("{method}.yml"));
    std::fs::write(&path, text)?;
    Ok(path)
}

/// Seconds of copying a file, on its way to the disk as a finished output is.
fn copy(from: &Path, to: &Path) -> Result<f64, Error> {
    let begun = Instant::now();
    for (program, arguments) in [("cp", vec![from, to]), ("sync", vec![Path::new("-d"), to])] {
        let status = Command::new(program).args(arguments).status()?;
        if !status.success() {
            return Err(format!("{program}: {status}").into());
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    std::fs::remove_file(to)?;
    Ok(seconds)
}

struct Run {
    seconds: f64,
    /// MiB that are not of a mapped file.
    memory: f64,
}

/// One merge by the program, in a process of its own.
fn run(plan: &Plan, recipe: &Path, out: &Path) -> Result<Run, Error> {
    let begun = Instant::now();
    let mut child = Command::new(&plan.program)
        .arg("merge")
        .args([recipe, out])
        .args(["--backend", "cpu"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    let status_file = format!("/proc/{}/status", child.id());
    let mut most = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        most = most.max(anonymous(&status_file));
        std::thread::sleep(Duration::from_millis(2));
    };
    let seconds = begun.elapsed().as_secs_f64();
    if !status.success() {
        return Err(format!("village merge: {status}").into());
    }
    std::fs::remove_file(out)?;
    Ok(Run { seconds, memory: most as f64 / 1024.0 })
}

/// KiB of a process's memory that are of no file; none once it has ended.
fn anonymous(status: &str) -> u64 {
    let text = std::fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(0)
}

/// The same by mergekit; no rows where it is not installed.
fn beside_mergekit(place: &Path, method: &str, recipe: &Path, ours: &[f64]) -> Rows {
    let out = place.join("theirs");
    let begun = Instant::now();
    let status = Command::new("mergekit-yaml")
        .args([recipe, &out])
        .args(["--no-write-model-card", "--no-copy-tokenizer"])
        .env("HF_HUB_OFFLINE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let seconds = begun.elapsed().as_secs_f64();
    match status {
        Err(_) => Ok(Vec::new()),
        Ok(status) if !status.success() => Err(format!("mergekit-yaml {}: {status}", recipe.display()).into()),
        Ok(_) => {
            std::fs::remove_dir_all(&out)?;
            let bar = Bar::AtLeast(if method == "linear" { 10.0 } else { 15.0 });
            let ratios = ours.iter().map(|ours| seconds / ours).collect();
            let what = format!("mergekit-yaml, which took {seconds:.1} s");
            Ok(vec![Row::of(format!("kernels: {method}, files to one, beside mergekit"), "×", ratios, what, bar)])
        }
    }
}
