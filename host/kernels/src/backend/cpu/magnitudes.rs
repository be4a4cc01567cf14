//! Magnitudes of differences, for finding the place where a merge cuts.

use super::{TILE, each};
use crate::backend::Stretch;
use crate::level::{Kernel, Level};

/// The magnitudes' bits of the differences of two stretches.
struct Bits<'a> {
    base: Stretch<'a>,
    input: Stretch<'a>,
    out: &'a mut [u32],
}

impl Kernel for Bits<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let mut tile = [0.0f32; TILE];
        for (number, out) in self.out.chunks_mut(TILE).enumerate() {
            let tile = &mut tile[..out.len()];
            each(self.base, number * TILE, tile, |slot, x| *slot = x);
            each(self.input, number * TILE, tile, |slot, x| *slot = x - *slot);
            for (out, x) in out.iter_mut().zip(tile) {
                *out = x.to_bits() & 0x7fff_ffff;
            }
        }
    }
}

/// The magnitudes' bits of the differences of two stretches.
pub(crate) fn difference_bits(
    level: Level,
    base: Stretch<'_>,
    input: Stretch<'_>,
    count: usize,
) -> Vec<u32> {
    let mut out = vec![0; count];
    level.run(Bits { base, input, out: &mut out });
    out
}

struct Scan<'a> {
    base: Stretch<'a>,
    input: Stretch<'a>,
    count: usize,
    low: u32,
    high: u32,
    level: Level,
}

impl Kernel for Scan<'_> {
    type Output = (u64, Vec<u32>);

    #[inline(always)]
    fn run(self) -> (u64, Vec<u32>) {
        let Self { level, base, input, count, low, high } = self;
        let mut tile = [0.0f32; TILE];
        let mut found = [0u32; TILE + 16];
        let (mut above, mut inside) = (0u64, Vec::new());
        let mut from = 0;
        while from < count {
            let tile = &mut tile[..TILE.min(count - from)];
            each(base, from, tile, |slot, x| *slot = x);
            each(input, from, tile, |slot, x| *slot = x - *slot);
            let mut larger = 0u32;
            for x in tile.iter() {
                let bits = x.to_bits() & 0x7fff_ffff;
                larger += u32::from(bits > high);
            }
            let length = match level {
                #[cfg(target_arch = "x86_64")]
                #[allow(unsafe_code, reason = "the level says that the instructions are there")]
                Level::Avx512 => unsafe { gather(tile, low, high, &mut found) },
                _ => gather_plain(tile, low, high, &mut found),
            };
            above += u64::from(larger);
            inside.extend_from_slice(&found[..length]);
            from += TILE;
        }
        (above, inside)
    }
}

/// Puts the magnitudes from `low` to `high` one after the other; says how many there are.
#[inline(always)]
fn gather_plain(tile: &[f32], low: u32, high: u32, found: &mut [u32; TILE + 16]) -> usize {
    let mut length = 0;
    for group in tile.chunks(16) {
        let mut any = 0u32;
        for x in group {
            let bits = x.to_bits() & 0x7fff_ffff;
            any |= u32::from(bits.wrapping_sub(low) <= high - low);
        }
        // Few are inside: most groups need no second look.
        if any != 0 {
            for x in group {
                let bits = x.to_bits() & 0x7fff_ffff;
                found[length] = bits;
                length += usize::from(bits.wrapping_sub(low) <= high - low);
            }
        }
    }
    length
}

/// [`gather_plain`] by the instruction made for it.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,popcnt")]
fn gather(tile: &[f32], low: u32, high: u32, found: &mut [u32; TILE + 16]) -> usize {
    use std::arch::x86_64::{
        _mm512_and_si512, _mm512_cmple_epu32_mask, _mm512_loadu_si512, _mm512_maskz_compress_epi32, _mm512_set1_epi32,
        _mm512_storeu_si512, _mm512_sub_epi32,
    };
    let (groups, rest) = tile.as_chunks::<16>();
    let (sign, least, width) =
        (_mm512_set1_epi32(0x7fff_ffff), _mm512_set1_epi32(low as i32), _mm512_set1_epi32((high - low) as i32));
    let mut length = 0;
    for group in groups {
        let slot = &mut found[length..length + 16];
        #[allow(unsafe_code, reason = "a group and a slot are sixteen words each")]
        unsafe {
            let bits = _mm512_and_si512(_mm512_loadu_si512(group.as_ptr().cast()), sign);
            let inside = _mm512_cmple_epu32_mask(_mm512_sub_epi32(bits, least), width);
            _mm512_storeu_si512(slot.as_mut_ptr().cast(), _mm512_maskz_compress_epi32(inside, bits));
            length += inside.count_ones() as usize;
        }
    }
    for x in rest {
        let bits = x.to_bits() & 0x7fff_ffff;
        found[length] = bits;
        length += usize::from(bits.wrapping_sub(low) <= high - low);
    }
    length
}

/// How many differences are larger than `high`, and the magnitudes' bits from `low` to `high`, in order.
pub(crate) fn scan(
    level: Level,
    base: Stretch<'_>,
    input: Stretch<'_>,
    count: usize,
    low: u32,
    high: u32,
) -> (u64, Vec<u32>) {
    level.run(Scan { level, base, input, count, low, high })
}
