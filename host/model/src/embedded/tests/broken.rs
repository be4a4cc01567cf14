//! Files that are damaged, or not what they say: an error that tells what is wrong, and nothing else.

use super::*;
use crate::embedded::Fault;

fn fault(path: &Path) -> Fault {
    Models::open(&settings(&[("tiny", path)])).err().expect("must not open")
}

#[test]
fn a_gguf_file_that_ends_early_is_refused_wherever_it_ends() {
    let whole = std::fs::read(golden().join("q4_0.gguf")).expect("reads");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cut.gguf");
    for length in (0..whole.len()).step_by(353).chain([whole.len() - 1]) {
        std::fs::write(&path, &whole[..length]).expect("writes");
        let fault = fault(&path);
        assert!(matches!(fault, Fault::Weights(_) | Fault::Io { .. } | Fault::Config { .. }), "{length}: {fault}");
    }
}

#[test]
fn any_byte_may_be_wrong_and_nothing_panics() {
    let whole = std::fs::read(golden().join("q4_0.gguf")).expect("reads");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("odd.gguf");
    for at in (0..3000.min(whole.len())).step_by(7) {
        for value in [0, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            std::fs::write(&path, &bytes).expect("writes");
            // Some changes only rename a token or make another number: those may open.
            let mut settings = settings(&[("tiny", &path)]);
            settings.threads = NonZeroUsize::MIN;
            let _ = Models::open(&settings);
        }
    }
}

#[test]
fn a_description_that_does_not_fit_is_refused() {
    let with = |change: fn(&mut Value)| {
        let folder = copy("llama", change);
        fault(folder.path())
    };
    assert!(matches!(with(|c| c["model_type"] = "mamba".into()), Fault::Architecture(name) if name == "mamba"));
    assert!(matches!(with(|c| c["intermediate_size"] = 41.into()), Fault::Shape { .. }));
    assert!(matches!(with(|c| c["num_hidden_layers"] = 3.into()), Fault::Weights(_)));
    assert!(matches!(with(|c| c["num_attention_heads"] = 0.into()), Fault::Config { .. }));
    assert!(matches!(with(|c| c["num_key_value_heads"] = 3.into()), Fault::Config { .. }));
    assert!(matches!(with(|c| c["hidden_size"] = u64::MAX.into()), Fault::Config { .. }));
    assert!(matches!(with(|c| c["max_position_embeddings"] = (1u64 << 60).into()), Fault::Config { .. }));
    assert!(matches!(with(|c| c["rms_norm_eps"] = "small".into()), Fault::Config { .. }));
    assert!(matches!(with(|c| c["rope_parameters"]["rope_type"] = "yarn".into()), Fault::Unsupported { .. }));
    assert!(matches!(with(|c| c["rope_parameters"]["factor"] = (-1.0).into()), Fault::Config { .. }));
    assert!(matches!(with(|c| c["hidden_act"] = "gelu".into()), Fault::Unsupported { .. }));
    let qwen = copy("qwen2", |c| c["use_sliding_window"] = true.into());
    assert!(matches!(fault(qwen.path()), Fault::Unsupported { .. }));
    let bert = copy("bert", |c| c["intermediate_size"] = 33.into());
    assert!(matches!(fault(bert.path()), Fault::Shape { .. }));
}

#[test]
fn a_tokenizer_that_is_another_models_is_refused() {
    let folder = copy("llama", |_| {});
    let path = folder.path().join("tokenizer.json");
    let text = std::fs::read_to_string(&path).expect("reads").replace("\"id\":3,", "\"id\":9999,");
    let text = text.replace("\"id\": 3,", "\"id\": 9999,").replace("\"<|eot_id|>\":3", "\"<|eot_id|>\":9999");
    let text = text.replace("\"<|eot_id|>\": 3", "\"<|eot_id|>\": 9999");
    std::fs::write(&path, text).expect("writes");
    assert!(matches!(fault(folder.path()), Fault::Tokenizer(why) if why.contains("9999")));
    std::fs::write(&path, "{").expect("writes");
    assert!(matches!(fault(folder.path()), Fault::Tokenizer(_)));
    std::fs::remove_file(&path).expect("removes");
    assert!(matches!(fault(folder.path()), Fault::Tokenizer(_)));
}

#[test]
fn more_memory_than_allowed_is_refused_before_it_is_taken() {
    let folder = copy("llama", |_| {});
    let mut settings = settings(&[("tiny", folder.path()), ("again", folder.path())]);
    // Its table of tokens takes 9216 bytes, its layers 11 kilobytes.
    settings.memory = 30_000;
    assert!(matches!(Models::open(&settings).err(), Some(Fault::Memory { limit: 30_000, .. })));
    settings.models.truncate(1);
    assert!(Models::open(&settings).is_ok());
    settings.cache = 100;
    assert!(matches!(Models::open(&settings).err(), Some(Fault::Memory { limit: 100, .. })));
}
