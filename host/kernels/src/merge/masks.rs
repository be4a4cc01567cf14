//! Masks by chance and rank: the larger a difference among its row's, the likelier it is kept.

use super::job::stretch;
use crate::backend::difference_bits;
use crate::level::Level;
use crate::random::Counter;
use crate::{Pool, Result, View, pool};

/// One bit an element, the first one lowest.
pub(super) fn by_rank(
    level: Level,
    pool: &dyn Pool,
    base: &View<'_>,
    view: &View<'_>,
    density: f64,
    epsilon: f64,
    counter: Counter,
) -> Result<Vec<u8>> {
    let (row, count) = (view.row().max(1), view.count());
    // Enough rows that a job is worth its start, few enough that its buffers stay small.
    let rows = (1usize << 16).div_ceil(row);
    let per_job = rows * row;
    let flags = pool::map(pool, count.div_ceil(per_job), |job| {
        let from = job * per_job;
        let length = per_job.min(count - from);
        let bits = difference_bits(level, stretch(*base, from, length), stretch(*view, from, length), length);
        let mut flags = vec![false; length];
        let mut order: Vec<u32> = Vec::with_capacity(row);
        for (line, bits) in bits.chunks(row).enumerate() {
            order.clear();
            order.extend(0..bits.len() as u32);
            // Of equals the lower index is the larger one, as everywhere else.
            order.sort_unstable_by_key(|i| (bits[*i as usize], std::cmp::Reverse(*i)));
            let last = (bits.len() - 1).max(1) as f64;
            for (rank, i) in order.iter().enumerate() {
                let at = line * row + *i as usize;
                let share = (density - epsilon) + rank as f64 / last * 2.0 * epsilon;
                flags[at] = f64::from(counter.unit((from + at) as u64)) < share;
            }
        }
        Ok(flags)
    })?;
    let mut mask = vec![0u8; count.div_ceil(8)];
    for (i, kept) in flags.into_iter().flatten().enumerate() {
        mask[i / 8] |= u8::from(kept) << (i % 8);
    }
    Ok(mask)
}
