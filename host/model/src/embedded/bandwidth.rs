//! How fast this machine reads memory, which bounds how fast a model writes: each token reads all of its weights.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

/// More than caches hold, in words of eight bytes.
const WORDS: usize = 1 << 25;

/// Bytes that so many threads read in a second, each all of a quarter of a gigabyte. It blocks for as long as that takes.
pub fn bandwidth(threads: NonZeroUsize) -> f64 {
    let words: Arc<[u64]> = vec![1; WORDS].into();
    let begun = Instant::now();
    let readers: Vec<_> = (0..threads.get())
        .map(|_| {
            let words = words.clone();
            std::thread::spawn(move || std::hint::black_box(&words[..]).iter().fold(0, |sum, word| sum ^ word))
        })
        .collect();
    let sums: Vec<_> = readers.into_iter().map(|reader| reader.join().unwrap_or_default()).collect();
    std::hint::black_box(sums);
    (threads.get() * WORDS * size_of::<u64>()) as f64 / begun.elapsed().as_secs_f64()
}
