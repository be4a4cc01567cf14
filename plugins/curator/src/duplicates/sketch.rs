//! Shingles of a text, its MinHash signature, and the bands that likely pairs share.

use super::Unit;

/// Numbers in a signature. The share in which two signatures agree estimates their similarity within 0.09 (2 σ).
const LENGTH: usize = 128;

/// Most pairs at the threshold that may be missed.
const MOST_MISSED: f64 = 0.005;

/// The shingles of a text as sorted hashes, each once. Letters count without their case, and only letters and digits count.
///
/// A text shorter than a shingle is one shingle; hashes of 64 bits stand for shingles, so that two of a million are taken for
/// each other once in 40 million texts.
pub(super) fn shingles(text: &str, unit: Unit, size: usize) -> Vec<u64> {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let units: Vec<u64> = match unit {
        Unit::Words => words.iter().map(|word| hash(word.as_bytes())).collect(),
        Unit::Characters => {
            // One blank between words, so that line breaks and punctuation make no difference.
            words.join(" ").chars().map(|c| mix(u64::from(c))).collect()
        }
    };
    let join = |units: &[u64]| units.iter().fold(size as u64, |hash, unit| mix(hash ^ unit).rotate_left(5));
    let mut all: Vec<u64> = match units.len() {
        0 => Vec::new(),
        count if count < size => vec![join(&units)],
        _ => units.windows(size).map(join).collect(),
    };
    all.sort_unstable();
    all.dedup();
    all
}

/// For each of `LENGTH` orders of all hashes, the least of the set.
pub(super) fn signature(set: &[u64]) -> Vec<u64> {
    let least = |order: u64| set.iter().map(|hash| mix(hash ^ order)).min().unwrap_or(u64::MAX);
    (1..=LENGTH as u64).map(|at| least(mix(at))).collect()
}

/// How a signature is cut: two texts are looked at if they agree in all rows of a band.
pub(super) struct Bands {
    pub(super) count: usize,
    rows: usize,
}

impl Bands {
    /// The most rows, and so the fewest pairs to measure, with which few enough pairs at the threshold are missed.
    pub(super) fn for_threshold(threshold: f64) -> Self {
        let cut = |rows| Self { count: LENGTH / rows, rows };
        (1..=LENGTH).rev().map(cut).find(|bands| bands.missed(threshold) <= MOST_MISSED).unwrap_or_else(|| cut(1))
    }

    /// The chance that a pair so alike shares no band.
    pub(super) fn missed(&self, similarity: f64) -> f64 {
        (1.0 - similarity.powi(self.rows as i32)).powi(self.count as i32)
    }

    pub(super) fn key(&self, signature: &[u64], band: usize) -> u64 {
        let rows = &signature[band * self.rows..(band + 1) * self.rows];
        rows.iter().fold(band as u64, |key, row| mix(key ^ row))
    }
}

/// FNV-1a, mixed.
fn hash(bytes: &[u8]) -> u64 {
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)))
}

/// The finaliser of SplitMix64: each bit in changes half of the bits out.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
