//! The crate from outside: real files, other tools' bytes, both back ends.

mod backends;
mod compare;
mod formats;
mod fuzz;
mod merge;
mod quantize;

use std::path::PathBuf;

/// A file of `tests/oracle`.
pub fn oracle(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/oracle").join(name)
}

/// Hexadecimal SHA-256.
pub fn digest(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Numbers as a file of raw little-endian singles has them.
pub fn singles(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// The bytes of numbers.
pub fn raw(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}
