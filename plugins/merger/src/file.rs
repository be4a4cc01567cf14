//! A safetensors file, written from its begin to its end. Until it is whole it has another name.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use village::Failure;

/// One tensor of the file to be.
pub(crate) struct Plan {
    name: String,
    dtype: &'static str,
    shape: Vec<u64>,
    bytes: u64,
}

impl Plan {
    /// Of a tensor that is merged from one of this format: floats stay what they are, and all else becomes `f32`.
    pub(crate) fn new(name: &str, shape: Vec<u64>, format: &str) -> Result<Plan, Failure> {
        let (dtype, width) = match format {
            "f64" => ("F64", 8),
            "f16" => ("F16", 2),
            "bf16" => ("BF16", 2),
            _ => ("F32", 4),
        };
        let bytes = shape.iter().try_fold(width, |bytes: u64, dimension| bytes.checked_mul(*dimension));
        let bytes = bytes.ok_or_else(|| Failure::invalid(format!("tensor `{name}` is too large")))?;
        Ok(Plan { name: name.to_owned(), dtype, shape, bytes })
    }
}

pub(crate) struct Output {
    file: BufWriter<File>,
    partial: PathBuf,
    path: PathBuf,
    /// Bytes of each tensor that has not been written yet, the last one first.
    left: Vec<u64>,
    total: u64,
}

impl Output {
    pub(crate) fn create(path: &Path, plans: &[Plan]) -> Result<Output, Failure> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let file = File::create(&partial).map_err(|error| failed(&partial, &error))?;
        let left = plans.iter().rev().map(|plan| plan.bytes).collect();
        let mut output = Output { file: BufWriter::new(file), partial, path: path.into(), left, total: 0 };
        output.put(&header(plans))?;
        Ok(output)
    }

    /// Writes some of the tensor whose turn it is.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.total += bytes.len() as u64;
        self.put(bytes)
    }

    /// The tensor is written; it had so many bytes.
    pub(crate) fn next(&mut self, bytes: u64) -> Result<(), Failure> {
        match self.left.pop() {
            Some(planned) if planned == bytes => Ok(()),
            planned => Err(Failure::internal(format!("a tensor of {bytes} bytes instead of {planned:?}"))),
        }
    }

    /// Gives the file its name; answers the bytes of all tensors.
    pub(crate) fn finish(mut self) -> Result<u64, Failure> {
        if !self.left.is_empty() {
            return Err(Failure::internal(format!("{} tensors were not written", self.left.len())));
        }
        let done = self.file.flush().and_then(|()| std::fs::rename(&self.partial, &self.path));
        done.map_err(|error| failed(&self.path, &error))?;
        Ok(self.total)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.file.write_all(bytes).map_err(|error| failed(&self.partial, &error))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // After a failure nothing is left; after success there is nothing by that name.
        let _ = std::fs::remove_file(&self.partial);
    }
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::refused(format!("{}: {error}", path.display()))
}

/// Its length, then a JSON object, padded so that the numbers begin at a multiple of eight.
fn header(plans: &[Plan]) -> Vec<u8> {
    let mut at = 0;
    let mut entries = Vec::with_capacity(plans.len());
    for plan in plans {
        let end = at + plan.bytes;
        let about = serde_json::json!({ "dtype": plan.dtype, "shape": plan.shape, "data_offsets": [at, end] });
        entries.push(format!("{}:{about}", serde_json::Value::from(plan.name.as_str())));
        at = end;
    }
    let mut text = format!("{{{}}}", entries.join(","));
    while !text.len().is_multiple_of(8) {
        text.push(' ');
    }
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text.into_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plans() -> Vec<Plan> {
        let plan = |name, shape: &[u64], format| Plan::new(name, shape.to_vec(), format).expect("a plan");
        vec![plan("a\"b", &[2, 2], "bf16"), plan("c", &[3], "q8_0")]
    }

    #[test]
    fn a_file_is_what_its_header_says() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.safetensors");
        let mut output = Output::create(&path, &plans()).expect("begun");
        output.write(&[1; 8]).and_then(|()| output.next(8)).expect("written");
        assert!(!path.exists(), "not before it is whole");
        output.write(&[2; 12]).and_then(|()| output.next(12)).expect("written");
        assert_eq!(output.finish().expect("finished"), 20);
        let bytes = std::fs::read(&path).expect("it is there");
        let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight")) as usize;
        assert!(length.is_multiple_of(8) && bytes.len() == 8 + length + 20);
        let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).expect("JSON");
        assert_eq!(header["a\"b"], serde_json::json!({ "dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8] }));
        assert_eq!(header["c"], serde_json::json!({ "dtype": "F32", "shape": [3], "data_offsets": [8, 20] }));
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn what_is_not_whole_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.safetensors");
        let mut output = Output::create(&path, &plans()).expect("begun");
        output.write(&[1; 8]).expect("written");
        assert!(output.next(7).is_err(), "another length than was said");
        let output = Output::create(&path, &plans()).expect("begun");
        assert!(output.finish().is_err(), "tensors are missing");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }
}
