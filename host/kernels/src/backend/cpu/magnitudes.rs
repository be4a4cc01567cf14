//! Magnitudes of differences, for finding the place where a merge cuts.

use super::{TILE, each, part, soon};
use crate::Format;
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
pub(crate) fn difference_bits(level: Level, base: Stretch<'_>, input: Stretch<'_>, count: usize) -> Vec<u32> {
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
        let (mut rooms, mut found) = ([[0.0f32; TILE]; 2], [0u32; TILE + 16]);
        let (mut above, mut inside) = (0u64, Vec::new());
        let mut from = 0;
        while from < count {
            let length = TILE.min(count - from);
            soon(base, from, length);
            soon(input, from, length);
            let [room, other] = &mut rooms;
            let (a, b) = (singles(base, from, &mut room[..length]), singles(input, from, &mut other[..length]));
            let (larger, length) = match level {
                #[cfg(target_arch = "x86_64")]
                #[allow(unsafe_code, reason = "the level says that the instructions are there")]
                Level::Avx512 => unsafe { gather(a, b, low, high, &mut found) },
                _ => gather_plain(a, b, low, high, &mut found),
            };
            above += u64::from(larger);
            inside.extend_from_slice(&found[..length]);
            from += TILE;
        }
        (above, inside)
    }
}

/// A stretch's elements as singles: where they lie if they are that, else read into `room`.
#[inline(always)]
fn singles<'a>(input: Stretch<'a>, from: usize, room: &'a mut [f32]) -> &'a [[u8; 4]] {
    if input.format == Format::F32 {
        return part(input, from, room.len()).as_chunks::<4>().0;
    }
    each(input, from, room, |slot, x| *slot = x);
    bytemuck::cast_slice(room)
}

#[inline(always)]
fn magnitude(base: [u8; 4], input: [u8; 4]) -> u32 {
    (f32::from_le_bytes(input) - f32::from_le_bytes(base)).to_bits() & 0x7fff_ffff
}

/// Puts the magnitudes from `low` to `high` one after the other. How many are larger, and how many are inside.
#[inline(always)]
fn gather_plain(
    base: &[[u8; 4]],
    input: &[[u8; 4]],
    low: u32,
    high: u32,
    found: &mut [u32; TILE + 16],
) -> (u32, usize) {
    let (mut larger, mut length) = (0, 0);
    for (base, input) in base.chunks(16).zip(input.chunks(16)) {
        let (mut any, mut more) = (0u32, 0u32);
        for (a, b) in base.iter().zip(input) {
            let bits = magnitude(*a, *b);
            more += u32::from(bits > high);
            any |= u32::from(bits.wrapping_sub(low) <= high - low);
        }
        larger += more;
        // Few are inside: most groups need no second look.
        if any != 0 {
            for (a, b) in base.iter().zip(input) {
                found[length] = magnitude(*a, *b);
                length += usize::from(found[length].wrapping_sub(low) <= high - low);
            }
        }
    }
    (larger, length)
}

/// [`gather_plain`] by the instruction made for it.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,popcnt")]
fn gather(base: &[[u8; 4]], input: &[[u8; 4]], low: u32, high: u32, found: &mut [u32; TILE + 16]) -> (u32, usize) {
    use std::arch::x86_64::{
        _mm512_and_si512, _mm512_castps_si512, _mm512_cmpgt_epu32_mask, _mm512_cmple_epu32_mask, _mm512_loadu_ps,
        _mm512_maskz_compress_epi32, _mm512_set1_epi32, _mm512_storeu_si512, _mm512_sub_epi32, _mm512_sub_ps,
    };
    let ((first, base), (second, input)) = (base.as_chunks::<16>(), input.as_chunks::<16>());
    let (sign, least, most) =
        (_mm512_set1_epi32(0x7fff_ffff), _mm512_set1_epi32(low as i32), _mm512_set1_epi32(high as i32));
    let width = _mm512_sub_epi32(most, least);
    let (mut larger, mut length) = (0, 0);
    for (a, b) in first.iter().zip(second) {
        let slot = &mut found[length..length + 16];
        #[allow(unsafe_code, reason = "a group and a slot are sixteen words each")]
        unsafe {
            let difference = _mm512_sub_ps(_mm512_loadu_ps(b.as_ptr().cast()), _mm512_loadu_ps(a.as_ptr().cast()));
            let bits = _mm512_and_si512(_mm512_castps_si512(difference), sign);
            larger += _mm512_cmpgt_epu32_mask(bits, most).count_ones();
            let inside = _mm512_cmple_epu32_mask(_mm512_sub_epi32(bits, least), width);
            _mm512_storeu_si512(slot.as_mut_ptr().cast(), _mm512_maskz_compress_epi32(inside, bits));
            length += inside.count_ones() as usize;
        }
    }
    for (a, b) in base.iter().zip(input) {
        found[length] = magnitude(*a, *b);
        larger += u32::from(found[length] > high);
        length += usize::from(found[length].wrapping_sub(low) <= high - low);
    }
    (larger, length)
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
