//! The models of this process, as every back end is tried.

use crate::suite::{Models, suite};
use model::embedded::{self, Settings, Settled};
use std::num::NonZeroUsize;
use std::path::Path;

#[tokio::test]
async fn models_of_this_process() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/embedded");
    let folder = tempfile::tempdir().expect("a folder");
    let models = ["llama", "bert"].map(|name| {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).expect("a folder");
        std::fs::copy(golden.join("tokenizer.json"), path.join("tokenizer.json")).expect("copies");
        std::fs::copy(golden.join(name).join("model.safetensors"), path.join("model.safetensors")).expect("copies");
        let config = std::fs::read_to_string(golden.join(name).join("config.json")).expect("reads");
        let mut config: serde_json::Value = serde_json::from_str(&config).expect("parses");
        if name == "llama" {
            // The prompts of the suite are longer than it was made for.
            config["max_position_embeddings"] = 1000.into();
        }
        std::fs::write(path.join("config.json"), config.to_string()).expect("writes");
        Settled { name: name.into(), path, template: None }
    });
    let settings = Settings {
        name: "here".into(),
        threads: NonZeroUsize::new(2).expect("not zero"),
        memory: 1 << 20,
        cache: 1 << 20,
        together: 2,
        waiting: 8,
        models: models.into(),
    };
    let backend = embedded::Models::open(&settings).expect("opens");
    suite(&backend, Models { writes: "llama", embeds: Some("bert") }).await;
    suite(&backend, Models { writes: "llama", embeds: None }).await;
}
