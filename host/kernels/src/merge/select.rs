//! The place in the order of magnitudes after which `k` differences remain above: exact, in about one pass.
//!
//! A sample brackets the place; one pass counts what is above the bracket and keeps what is inside. Should the
//! bracket miss, a histogram finds a sure one.

use super::job::stretch;
use super::sums::STRETCH;
use crate::backend::{Cut, Stretch, difference_bits, scan};
use crate::level::Level;
use crate::random::Counter;
use crate::{Pool, Result, View, pool};

/// Elements that are looked at for the bracket, at most; the more, the narrower it is.
const SAMPLE: usize = 1 << 16;
/// Deviations to either side: a miss is one in ten thousand, and costs one more pass.
const SURE: f64 = 4.0;

struct Search<'a> {
    level: Level,
    pool: &'a dyn Pool,
    base: &'a View<'a>,
    view: &'a View<'a>,
    count: usize,
}

/// What one pass found for a bracket.
struct Pass {
    above: u64,
    /// Magnitudes inside, stretch by stretch, in order.
    inside: Vec<Vec<u32>>,
}

pub(super) fn cut(level: Level, pool: &dyn Pool, base: &View<'_>, view: &View<'_>, k: u64) -> Result<Cut> {
    let count = view.count();
    if k == 0 {
        return Ok(Cut::TOP);
    }
    if k >= count as u64 {
        return Ok(Cut::BOTTOM);
    }
    let search = Search { level, pool, base, view, count };
    let (low, high) = search.sampled(k);
    let pass = search.pass(low, high)?;
    if let Some(cut) = search.inside(&pass, k) {
        return Ok(cut);
    }
    let (low, high) = search.histogram(k)?;
    let pass = search.pass(low, high)?;
    Ok(search.inside(&pass, k).unwrap_or(Cut::BOTTOM))
}

impl Search<'_> {
    fn stretches(&self) -> usize {
        self.count.div_ceil(STRETCH)
    }

    fn stretch(&self, number: usize) -> (Stretch<'_>, Stretch<'_>, usize) {
        let from = number * STRETCH;
        let count = STRETCH.min(self.count - from);
        (stretch(*self.base, from, count), stretch(*self.view, from, count), count)
    }

    /// A bracket that very likely holds the place.
    fn sampled(&self, k: u64) -> (u32, u32) {
        const LEAST: usize = 1 << 12;
        let wanted = (self.count / 128).clamp(LEAST, SAMPLE);
        if self.count <= 16 * LEAST {
            return (0, u32::MAX);
        }
        // Runs of consecutive elements, at places by chance: reading single elements would touch as many pages.
        const RUN: usize = 256;
        let chance = Counter::new(0, self.view.name, 0);
        let runs = self.count / RUN;
        let mut sample = Vec::with_capacity(wanted);
        for i in 0..(wanted / RUN) as u64 {
            let from = (chance.bits(i) % runs as u64) as usize * RUN;
            let (base, view) = (stretch(*self.base, from, RUN), stretch(*self.view, from, RUN));
            sample.extend(difference_bits(self.level, base, view, RUN));
        }
        let share = k as f64 / self.count as f64;
        let size = sample.len() as f64;
        let middle = share * size;
        let spread = SURE * (size * share * (1.0 - share)).sqrt() + 16.0;
        let high = middle - spread;
        let low = (middle + spread) as usize;
        let mut at = |place: usize| *sample.select_nth_unstable_by(place, |a, b| b.cmp(a)).1;
        let high = if high < 0.0 { u32::MAX } else { at(high as usize) };
        (if low < size as usize { at(low) } else { 0 }, high)
    }

    fn pass(&self, low: u32, high: u32) -> Result<Pass> {
        let parts = pool::map(self.pool, self.stretches(), |i| {
            let (base, view, count) = self.stretch(i);
            Ok(scan(self.level, base, view, count, low, high))
        })?;
        let above = parts.iter().map(|(above, _)| above).sum();
        Ok(Pass { above, inside: parts.into_iter().map(|(_, inside)| inside).collect() })
    }

    /// The place, if it is inside the bracket.
    fn inside(&self, pass: &Pass, k: u64) -> Option<Cut> {
        let mut all: Vec<u32> = pass.inside.concat();
        let rest = usize::try_from(k.checked_sub(pass.above)?).ok()?;
        if rest >= all.len() {
            return None;
        }
        let (larger, bits, _) = all.select_nth_unstable_by(rest, |a, b| b.cmp(a));
        let bits = *bits;
        let mut equal = rest - larger.iter().filter(|b| **b > bits).count();
        // Of those of just this magnitude, the first `equal` are above the cut.
        for (number, inside) in pass.inside.iter().enumerate() {
            let here = inside.iter().filter(|b| **b == bits).count();
            if equal >= here {
                equal -= here;
                continue;
            }
            let (base, view, count) = self.stretch(number);
            let magnitudes = difference_bits(self.level, base, view, count);
            let place = magnitudes.iter().enumerate().filter(|(_, b)| **b == bits).nth(equal)?.0;
            return Some(Cut { bits, index: (number * STRETCH + place) as u64 });
        }
        None
    }

    /// A bracket that surely holds the place: all magnitudes with the same upper sixteen bits.
    fn histogram(&self, k: u64) -> Result<(u32, u32)> {
        const BINS: usize = 1 << 16;
        let parts = pool::map(self.pool, self.stretches(), |i| {
            let (base, view, count) = self.stretch(i);
            let mut bins = std::collections::HashMap::<u32, u64>::new();
            for bits in difference_bits(self.level, base, view, count) {
                *bins.entry(bits >> 15).or_default() += 1;
            }
            Ok(bins)
        })?;
        let mut bins = vec![0u64; BINS];
        parts.iter().flatten().for_each(|(bin, n)| bins[*bin as usize] += n);
        let mut above = 0;
        for (bin, n) in bins.iter().enumerate().rev() {
            if above + n > k {
                let low = (bin as u32) << 15;
                return Ok((low, low | 0x7fff));
            }
            above += n;
        }
        Ok((0, u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Format, Inline};

    /// The place found by sorting everything.
    fn sorted(values: &[f32], k: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by_key(|i| (std::cmp::Reverse(values[*i].to_bits() & 0x7fff_ffff), *i));
        order.truncate(k);
        order.sort_unstable();
        order
    }

    fn above(values: &[f32], cut: Cut) -> Vec<usize> {
        let is_above = |i: &usize| {
            let bits = values[*i].to_bits() & 0x7fff_ffff;
            bits > cut.bits || (bits == cut.bits && (*i as u64) < cut.index)
        };
        (0..values.len()).filter(is_above).collect()
    }

    #[test]
    fn a_cut_has_exactly_the_largest_above_it_by_bracket_and_by_histogram() {
        let chance = Counter::new(5, "select", 0);
        let count = 150_000;
        let fine: Vec<f32> = (0..count).map(|i| chance.unit(i) - 0.5).collect();
        // Few different magnitudes: nearly every cut is among equals.
        let coarse: Vec<f32> = fine.iter().map(|x| (x * 16.0).round()).collect();
        let shape = [count];
        let zero = vec![0u8; count as usize * 4];
        let base = View::new("base", &shape, Format::F32, &zero).expect("sound");
        for values in [&fine, &coarse] {
            let bytes: &[u8] = bytemuck::cast_slice(values);
            let view = View::new("view", &shape, Format::F32, bytes).expect("sound");
            for level in Level::available() {
                let search = Search { level, pool: &Inline, base: &base, view: &view, count: count as usize };
                for k in [1, 2, 777, 75_000, 149_999] {
                    let wanted = sorted(values, k);
                    assert_eq!(above(values, cut(level, &Inline, &base, &view, k as u64).expect("finds")), wanted);
                    let (low, high) = search.histogram(k as u64).expect("counts");
                    let pass = search.pass(low, high).expect("passes");
                    assert_eq!(above(values, search.inside(&pass, k as u64).expect("is inside")), wanted);
                }
            }
        }
    }

    #[test]
    fn a_bracket_that_misses_is_noticed() {
        let values = [1.0f32, 2.0, 3.0, 4.0];
        let bytes: &[u8] = bytemuck::cast_slice(&values);
        let zero = [0u8; 16];
        let base = View::new("base", &[4], Format::F32, &zero).expect("sound");
        let view = View::new("view", &[4], Format::F32, bytes).expect("sound");
        let search = Search { level: Level::Portable, pool: &Inline, base: &base, view: &view, count: 4 };
        let found =
            |low: f32, high: f32, k| search.inside(&search.pass(low.to_bits(), high.to_bits()).expect("passes"), k);
        assert_eq!(found(1.5, 2.5, 1), None);
        assert_eq!(found(3.5, 4.5, 2), None);
        assert_eq!(found(1.5, 3.5, 2).map(|cut| cut.bits), Some(2.0f32.to_bits()));
    }
}
