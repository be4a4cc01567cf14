//! What lies beside a model's weights: its configuration and tokenizer.

use std::path::Path;

use crate::{Error, Fault, Format, Result};

/// Files that are copied as they are.
const COPIED: [&str; 9] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "generation_config.json",
    "chat_template.jinja",
];
const CONFIG: &str = "config.json";
/// Larger files beside a model are no configuration.
const LIMIT: u64 = 64 << 20;

/// Copies what lies beside one model to beside another, the configuration told about its layers and format.
/// What is not there is not copied.
pub fn copy(from: &Path, to: &Path, layers: Option<u32>, format: Option<Format>) -> Result<()> {
    for name in COPIED {
        if let Some(bytes) = read(&from.join(name))? {
            write(&to.join(name), &bytes)?;
        }
    }
    let path = from.join(CONFIG);
    let Some(bytes) = read(&path)? else { return Ok(()) };
    let wrong = |e: serde_json::Error| Error::file(path.display().to_string(), Fault::Header(e.to_string()));
    let mut config: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&bytes).map_err(wrong)?;
    if let Some(layers) = layers {
        config.insert("num_hidden_layers".to_owned(), layers.into());
    }
    let name = match format {
        Some(Format::F32) => Some("float32"),
        Some(Format::F16) => Some("float16"),
        Some(Format::Bf16) => Some("bfloat16"),
        _ => None,
    };
    if let Some(name) = name {
        // The library that reads it has renamed the key; old versions know the old one.
        for key in ["dtype", "torch_dtype"] {
            if key == "torch_dtype" || config.contains_key(key) {
                config.insert(key.to_owned(), name.into());
            }
        }
    }
    let text = serde_json::to_vec_pretty(&config).map_err(wrong)?;
    write(&to.join(CONFIG), &text)
}

fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let Ok(kind) = std::fs::metadata(path) else { return Ok(None) };
    if !kind.is_file() || kind.len() > LIMIT {
        return Ok(None);
    }
    std::fs::read(path).map(Some).map_err(Error::io(path))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let file = tempfile::Builder::new().prefix(".partial-").tempfile_in(folder).map_err(Error::io(folder))?;
    std::fs::write(file.path(), bytes).map_err(Error::io(path))?;
    crate::weights::output::readable(file.as_file()).map_err(Error::io(path))?;
    file.persist(path).map_err(|e| Error::io(path)(e.error))?;
    Ok(())
}
