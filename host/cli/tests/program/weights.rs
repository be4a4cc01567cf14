//! `village merge`, `village quantize`, `village tensors`: files in, one file out or none.

use crate::harness::{Ran, village};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().expect("a path of plain characters").into()
}

/// A safetensors file of f32 tensors, all of whose elements are one number.
fn safetensors(at: &str, tensors: &[(&str, &[u64], f32)]) {
    let (mut header, mut bytes) = (serde_json::Map::new(), Vec::new());
    for (name, shape, number) in tensors {
        let begin = bytes.len();
        (0..shape.iter().product()).for_each(|_| bytes.extend(number.to_le_bytes()));
        header.insert((*name).into(), json!({ "dtype": "F32", "shape": shape, "data_offsets": [begin, bytes.len()] }));
    }
    let header = Value::Object(header).to_string();
    let whole = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &bytes].concat();
    std::fs::write(at, whole).expect("written");
}

/// The numbers of the last `count` elements of a safetensors file of f32.
fn numbers(at: &str, count: usize) -> Vec<f32> {
    let bytes = std::fs::read(at).expect("a file");
    let tail = &bytes[bytes.len() - 4 * count..];
    tail.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
}

/// A Llama model without layers.
fn llama(folder: &TempDir) -> String {
    let tensors: [(&str, &[u64], f32); 3] = [
        ("model.embed_tokens.weight", &[8, 32], 0.5),
        ("lm_head.weight", &[8, 32], -1.0),
        ("model.norm.weight", &[32], 1.0),
    ];
    safetensors(&path(folder, "model.safetensors"), &tensors);
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 0,
        "num_attention_heads": 2, "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "vocab_size": 8,
    });
    std::fs::write(path(folder, "config.json"), config.to_string()).expect("written");
    folder.path().to_str().expect("a path of plain characters").into()
}

/// Two models and a recipe that takes a quarter of one and three quarters of the other.
fn recipe(folder: &TempDir) -> String {
    safetensors(&path(folder, "one.safetensors"), &[("a.weight", &[4, 8], 1.0)]);
    safetensors(&path(folder, "two.safetensors"), &[("a.weight", &[4, 8], 5.0)]);
    let text = "merge_method: linear\nmodels:\n  - {model: one.safetensors, parameters: {weight: 0.25}}\n  \
                - {model: two.safetensors, parameters: {weight: 0.75}}\n";
    std::fs::write(path(folder, "recipe.yml"), text).expect("written");
    path(folder, "recipe.yml")
}

/// What lies in a folder, hidden or not.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The same call for people and for programs; nothing changes in the folder. Answers the error.
fn refused(folder: &TempDir, arguments: &[&str], code: i32, kind: &str, words: &[&str]) -> Value {
    let before = names(folder.path());
    let Ran { code: given, out, err } = village(arguments);
    assert_eq!((given, out.as_str(), err.lines().count()), (code, "", 1), "{arguments:?}: {err}");
    assert!(err.starts_with(&format!("village: {kind}: ")), "{err}");
    let ran = village(arguments.iter().chain(&["--json"]));
    let (json_kind, message) = ran.error();
    assert_eq!((ran.code, json_kind.as_str()), (code, kind));
    for word in words {
        assert!(err.contains(word) && message.contains(word), "`{word}` in {err} and {message}");
    }
    assert_eq!(names(folder.path()), before, "nothing is left behind");
    ran.json()["error"].clone()
}

#[test]
fn two_models_are_merged_into_a_file() {
    let folder = folder();
    let (recipe, out) = (recipe(&folder), path(&folder, "out.safetensors"));
    let object = village(["merge", &recipe, &out, "--threads", "1", "--backend", "cpu", "--json"]).json();
    assert_eq!(
        (&object["method"], &object["threads"], &object["bytes_after"]),
        (&json!("linear"), &json!(1), &json!(128))
    );
    assert_eq!(object["tensors"][0]["name"], "a.weight");
    assert_eq!(numbers(&out, 32), [4.0; 32]);
    let text = village(["merge", &recipe, &out, "--force"]);
    assert_eq!((text.code, text.err.as_str()), (0, ""), "no bar in a pipe");
    assert!(text.out.contains("1 tensors, 128B → 128B"), "{}", text.out);
    assert_eq!(names(folder.path()), ["one.safetensors", "out.safetensors", "recipe.yml", "two.safetensors"]);
}

#[test]
fn a_merge_into_a_folder_brings_what_lies_beside_the_model() {
    let folder = folder();
    let recipe = recipe(&folder);
    std::fs::write(path(&folder, "config.json"), "{\"torch_dtype\": \"bfloat16\"}").expect("written");
    let out = path(&folder, "merged");
    assert_eq!(village(["merge", &recipe, &out]).code, 0);
    assert_eq!(names(Path::new(&out)), ["config.json", "model.safetensors"]);
    let config = std::fs::read_to_string(folder.path().join("merged/config.json")).expect("a file");
    assert!(config.contains("float32"), "{config}");
    refused(&folder, &["merge", &recipe, &out, "--force"], 1, "exists", &["folders are not replaced"]);
}

#[test]
fn a_model_becomes_gguf_and_comes_back() {
    let (model, folder) = (folder(), folder());
    let (small, plain) = (path(&folder, "small.gguf"), path(&folder, "plain.gguf"));
    let object = village(["quantize", &llama(&model), &small, "--type", "q8_0", "--json"]).json();
    assert!(object["ratio"].as_f64().is_some_and(|ratio| ratio > 3.0), "{object}");

    let seen = village(["tensors", &small, "--json"]).json();
    assert_eq!((&seen["kind"], &seen["metadata"]["general.architecture"]), (&json!("gguf"), &json!("llama")));
    let embedding = json!({ "name": "token_embd.weight", "shape": [8, 32], "format": "q8_0", "bytes": 272 });
    assert!(seen["tensors"].as_array().is_some_and(|all| all.contains(&embedding)), "{seen}");
    let text = village(["tensors", &small]).out;
    for line in ["token_embd.weight   q8_0  8×32  272B", "general.architecture "] {
        assert!(text.contains(line), "`{line}` in {text}");
    }

    assert_eq!(village(["quantize", &small, &plain, "--type", "f32"]).code, 0);
    let back = village(["tensors", &plain, "--json"]).json();
    assert!(back["tensors"].as_array().is_some_and(|all| all.iter().all(|one| one["format"] == "f32")), "{back}");
}

#[test]
fn a_wanted_size_chooses_the_types_or_is_refused() {
    let (model, folder) = (folder(), folder());
    let (model, out) = (llama(&model), path(&folder, "out.gguf"));
    let object = village(["quantize", &model, &out, "--fits", "1KiB", "--json"]).json();
    assert!(object["bytes_after"].as_u64().is_some_and(|bytes| bytes <= 1024), "{object}");
    let other = path(&folder, "other.gguf");
    let error = refused(&folder, &["quantize", &model, &other, "--fits", "300B"], 1, "size", &["no types reach"]);
    assert!(error["message"].as_str().is_some_and(|said| said.contains("with the smallest it is about")), "{error}");
    refused(&folder, &["quantize", &model, &path(&folder, "a.safetensors"), "--fits", "1KiB"], 2, "usage", &[".gguf"]);
}

#[test]
fn a_truncated_file_is_refused_with_its_reason() {
    let folder = folder();
    let file = path(&folder, "cut.safetensors");
    safetensors(&file, &[("a.weight", &[4, 8], 1.0)]);
    let whole = std::fs::read(&file).expect("a file");
    std::fs::write(&file, &whole[..whole.len() - 8]).expect("written");
    let out = path(&folder, "out.safetensors");
    for arguments in [&["tensors", &file][..], &["quantize", &file, &out, "--type", "f16"]] {
        let error = refused(&folder, arguments, 1, "weights", &[]);
        assert!(error["details"]["reason"].is_string(), "{error}");
    }
}

#[test]
fn a_number_that_is_none_leaves_no_file_behind() {
    let folder = folder();
    let file = path(&folder, "in.safetensors");
    safetensors(&file, &[("a.weight", &[4, 32], 1.0), ("b.weight", &[4, 32], f32::NAN)]);
    let out = path(&folder, "out.safetensors");
    let words = ["tensor `b.weight`", "not finite"];
    let error = refused(&folder, &["quantize", &file, &out, "--type", "f16"], 1, "not-finite", &words);
    assert_eq!(error["details"]["tensor"], "b.weight");
}

#[test]
fn an_unknown_type_or_method_names_the_nearest() {
    let folder = folder();
    let out = path(&folder, "out.gguf");
    let words = ["there is no type `q4_m`", "did you mean `q4_"];
    refused(&folder, &["quantize", "no.gguf", &out, "--type", "q4_m"], 2, "usage", &words);
    refused(&folder, &["merge", "no.yml", &out, "--quantize", "q9_0"], 2, "usage", &["there is no type `q9_0`"]);
    refused(&folder, &["quantize", "no.gguf", &out, "--type", "nf4"], 2, "usage", &["only a .safetensors can have it"]);
    refused(&folder, &["quantize", "no.gguf", &out], 2, "usage", &["--type"]);
    refused(&folder, &["merge", "no.yml", &out, "--backend", "gup"], 2, "usage", &["gup"]);
    let recipe = path(&folder, "recipe.yml");
    std::fs::write(&recipe, "merge_method: tise\nmodels: [{model: a}]\n").expect("written");
    refused(&folder, &["merge", &recipe, &out], 1, "recipe", &["unknown merge method `tise`, did you mean `ties`?"]);
}

#[test]
fn what_is_there_already_is_kept_unless_force_is_said() {
    let folder = folder();
    let (recipe, out) = (recipe(&folder), path(&folder, "out.safetensors"));
    std::fs::write(&out, "mine").expect("written");
    refused(&folder, &["merge", &recipe, &out], 1, "exists", &["--force replaces it"]);
    let one = path(&folder, "one.safetensors");
    refused(&folder, &["quantize", &one, &out, "--type", "f16"], 1, "exists", &["--force replaces it"]);
    assert_eq!(std::fs::read(&out).expect("a file"), b"mine");
    assert_eq!(village(["quantize", &one, &out, "--type", "f16", "--force"]).code, 0);
}

#[test]
fn a_missing_model_is_named() {
    let folder = folder();
    let (recipe, out) = (recipe(&folder), path(&folder, "out.safetensors"));
    std::fs::remove_file(path(&folder, "two.safetensors")).expect("removed");
    refused(&folder, &["merge", &recipe, &out], 1, "file", &["model two.safetensors", "not downloaded"]);
    refused(&folder, &["tensors", "no.gguf"], 1, "file", &["no.gguf: no such file"]);
}

#[cfg(unix)]
#[test]
fn an_interrupted_work_leaves_nothing_behind() {
    let folder = folder();
    let file = path(&folder, "in.safetensors");
    // Searching a codebook for so many numbers takes far longer than it takes to be interrupted.
    safetensors(&file, &[("a.weight", &[4096, 1024], 1.0), ("b.weight", &[4096, 1024], 2.0)]);
    let out = path(&folder, "out.safetensors");
    let child = std::process::Command::new(env!("CARGO_BIN_EXE_village"))
        .args(["quantize", &file, &out, "--type", "vq", "--threads", "1", "--backend", "cpu", "--json"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the program starts");
    while !names(folder.path()).iter().any(|name| name.starts_with(".partial-")) {
        std::thread::yield_now();
    }
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(killed.expect("kill runs").success());
    let output = child.wait_with_output().expect("the program ends");
    let object: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!((output.status.code(), &object["error"]["kind"]), (Some(1), &json!("stopped")));
    assert_eq!(names(folder.path()), ["in.safetensors"]);
}

#[test]
fn types_are_given_by_patterns() {
    let folder = folder();
    let (model, out) = (path(&folder, "in.safetensors"), path(&folder, "out.safetensors"));
    let tensors: [(&str, &[u64], f32); 3] =
        [("a.mlp.up.weight", &[4, 32], 1.0), ("a.attn.weight", &[4, 32], 1.0), ("b.mlp.up.weight", &[4, 32], 1.0)];
    safetensors(&model, &tensors);
    let object = village([
        "quantize",
        &model,
        &out,
        "--type",
        "q4_0",
        "--types",
        "a.*.up.*=q8_0",
        "--types",
        "mlp=bf16",
        "--json",
    ])
    .json();
    let types: Vec<_> = object["tensors"].as_array().expect("a list").iter().map(|line| line["to"].clone()).collect();
    // By their names, as the file has them.
    assert_eq!(types, ["q4_0", "q8_0", "bf16"]);
    for (pattern, words) in
        [("mlp", "PATTERN=TYPE"), ("=q8_0", "PATTERN=TYPE"), ("mlp=q9", "no type"), ("a=q4_k_m", "a mix")]
    {
        let arguments = ["quantize", &model, &path(&folder, "x.safetensors"), "--type", "q4_0", "--types", pattern];
        refused(&folder, &arguments, 2, "usage", &[words]);
    }
    refused(
        &folder,
        &["quantize", &model, &path(&folder, "x.gguf"), "--type", "q4_0", "--types", "a=nf4"],
        2,
        "usage",
        &["nf4"],
    );
}

#[test]
fn a_merge_is_written_to_files_of_a_size() {
    let folder = folder();
    let tensors: [(&str, &[u64], f32); 4] =
        [("a.weight", &[8, 8], 1.0), ("b.weight", &[8, 8], 2.0), ("c.weight", &[4], 3.0), ("d.weight", &[16, 16], 4.0)];
    safetensors(&path(&folder, "one.safetensors"), &tensors);
    let text = "merge_method: linear\nmodels:\n  - {model: one.safetensors, parameters: {weight: 1}}\n";
    std::fs::write(path(&folder, "recipe.yml"), text).expect("written");
    let (recipe, out) = (path(&folder, "recipe.yml"), path(&folder, "merged"));
    assert_eq!(village(["merge", &recipe, &out, "--shard-size", "530B"]).code, 0);
    let files = ["1", "2"].map(|n| format!("model-0000{n}-of-00002.safetensors"));
    let all = [files[0].as_str(), &files[1], "model.safetensors.index.json"];
    assert_eq!(names(Path::new(&out)), all);
    let index = std::fs::read_to_string(Path::new(&out).join(all[2])).expect("an index");
    let index: Value = serde_json::from_str(&index).expect("JSON");
    assert_eq!((&index["metadata"]["total_size"], &index["weight_map"]["d.weight"]), (&json!(1552), &json!(files[1])));
    // It is read again as one model, and what fits one file is one.
    let listed = village(["tensors", &out, "--json"]).json();
    assert_eq!(listed["tensors"].as_array().map(Vec::len), Some(4));
    let whole = path(&folder, "whole");
    assert_eq!(village(["merge", &recipe, &whole, "--shard-size", "1MiB"]).code, 0);
    assert_eq!(names(Path::new(&whole)), ["model.safetensors"]);
    refused(
        &folder,
        &["merge", &recipe, &path(&folder, "x.safetensors"), "--shard-size", "1MiB"],
        2,
        "usage",
        &["folder"],
    );
}

#[test]
fn a_model_is_quantized_to_files_of_a_size_with_what_lies_beside_it() {
    let (model, folder) = (self::folder(), self::folder());
    let (from, out) = (llama(&model), path(&folder, "small"));
    assert_eq!(village(["quantize", &from, &out, "--type", "bf16", "--shard-size", "700B"]).code, 0);
    let files = ["1", "2"].map(|n| format!("model-0000{n}-of-00002.safetensors"));
    let all = ["config.json", files[0].as_str(), &files[1], "model.safetensors.index.json"];
    assert_eq!(names(Path::new(&out)), all);
    let listed = village(["tensors", &out, "--json"]).json();
    assert_eq!(
        (listed["tensors"].as_array().map(Vec::len), &listed["tensors"][0]["format"]),
        (Some(3), &json!("bf16"))
    );
    for name in ["x.safetensors", "x.gguf"] {
        let arguments = ["quantize", &from, &path(&folder, name), "--type", "bf16", "--shard-size", "1MiB"];
        refused(&folder, &arguments, 2, "usage", &["folder"]);
    }
}

#[test]
fn what_a_killed_program_left_is_removed_and_what_is_being_made_is_not() {
    let folder = folder();
    let (recipe, out) = (recipe(&folder), path(&folder, "out.safetensors"));
    let aged = |name: &str| {
        let made = folder.path().join(name);
        std::fs::create_dir(&made).expect("made");
        std::fs::write(made.join("model.safetensors"), "half").expect("written");
        let lock = std::fs::File::open(&made).expect("opens");
        lock.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(60)).expect("aged");
        lock
    };
    drop(aged(".partial-left"));
    let busy = aged(".partial-busy");
    busy.lock().expect("locked");
    std::fs::create_dir(folder.path().join(".partial-young")).expect("made");
    let ran = village(["merge", &recipe, &out]);
    assert_eq!(ran.code, 0);
    assert!(ran.err.contains(".partial-left, left by a program that was killed"), "{}", ran.err);
    let left: Vec<_> = names(folder.path()).into_iter().filter(|name| name.starts_with('.')).collect();
    assert_eq!(left, [".partial-busy", ".partial-young"]);
}
