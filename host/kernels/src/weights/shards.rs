//! A model written to several files with an index, as other tools have it, or to one if it fits.

use std::path::{Path, PathBuf};

use super::output::{Output, Plan};
use crate::{Error, Format, Metadata, Result};

/// A model being written to files of a size.
pub(crate) struct Shards {
    files: Vec<Output>,
    /// Of each tensor, its file and its number there.
    places: Vec<(usize, usize)>,
    /// The index's path and text; none for a single file.
    index: Option<(PathBuf, String)>,
}

impl Shards {
    /// Begins `path`, or files beside it that hold `most` bytes of tensors at most: a tensor that is larger has one alone.
    pub(crate) fn create(path: &Path, tensors: &[Plan], metadata: &Metadata, most: u64) -> Result<Self> {
        let bytes = |(name, shape, format): &Plan| -> Result<u64> {
            Format::bytes(*format, shape).map_err(|fault| Error::tensor(name, fault))
        };
        let (mut groups, mut places) = (vec![Vec::new()], Vec::with_capacity(tensors.len()));
        let (mut filled, mut total) = (0u64, 0u64);
        for tensor in tensors {
            let size = bytes(tensor)?;
            let group: &mut Vec<Plan> = match groups.last_mut() {
                Some(group) if group.is_empty() || filled.saturating_add(size) <= most => group,
                _ => {
                    filled = 0;
                    groups.push(Vec::new());
                    groups.last_mut().expect("one was pushed")
                }
            };
            filled += size;
            total += size;
            group.push(tensor.clone());
            let number = group.len() - 1;
            places.push((groups.len() - 1, number));
        }
        if groups.len() == 1 {
            return Ok(Self { files: vec![Output::create(path, tensors, metadata)?], places, index: None });
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = |number: usize| format!("{stem}-{:05}-of-{:05}.safetensors", number + 1, groups.len());
        let mut map = serde_json::Map::new();
        for ((tensor, ..), (file, _)) in tensors.iter().zip(&places) {
            map.insert(tensor.clone(), name(*file).into());
        }
        let index = serde_json::json!({ "metadata": { "total_size": total }, "weight_map": map });
        let mut files = Vec::with_capacity(groups.len());
        for (number, group) in groups.iter().enumerate() {
            files.push(Output::create(&path.with_file_name(name(number)), group, metadata)?);
        }
        let text = serde_json::to_string_pretty(&index).map_err(|e| Error::io(path)(e.into()))?;
        Ok(Self { files, places, index: Some((path.with_file_name(format!("{stem}.safetensors.index.json")), text)) })
    }

    /// Writes part of tensor `number`, from byte `offset` of it.
    pub(crate) fn write(&self, number: usize, offset: u64, bytes: &[u8]) -> Result<()> {
        let (file, number) = self.places[number];
        self.files[file].write(number, offset, bytes)
    }

    /// Bytes that the files will have.
    pub(crate) fn length(&self) -> u64 {
        self.files.iter().map(Output::length).sum()
    }

    /// Makes the files appear under their names, and then the index that names them.
    pub(crate) fn finish(self) -> Result<()> {
        self.files.into_iter().try_for_each(Output::finish)?;
        match self.index {
            Some((path, text)) => std::fs::write(&path, text).map_err(Error::io(&path)),
            None => Ok(()),
        }
    }
}
