//! The same on the registers of x86: AVX2, and AVX-512 with its products of bytes.

use super::{Codes, Kind};
use crate::embedded::matrix::{BYTES, EIGHTH, LANES, NIBBLES, SUPERS};
use std::arch::x86_64::*;

/// On AVX-512 with VNNI, which the caller has asked the processor for.
pub(super) fn vnni<const N: usize>(kind: Kind, weights: &[u8], x: [Codes<'_>; N]) -> [[f32; LANES]; N] {
    #[allow(unsafe_code, reason = "Speed::Vnni comes from `available` alone, which asked the processor")]
    unsafe {
        match kind {
            Kind::Nibbles => vnni_nibbles(weights, x),
            Kind::Bytes => vnni_bytes(weights, x),
            Kind::Supers => vnni_supers(weights, x),
        }
    }
}

/// On AVX2 with F16C, which the caller has asked the processor for.
pub(super) fn avx2<const N: usize>(kind: Kind, weights: &[u8], x: [Codes<'_>; N]) -> [[f32; LANES]; N] {
    #[allow(unsafe_code, reason = "Speed::Avx2 comes from `available` alone, which asked the processor")]
    unsafe {
        match kind {
            Kind::Nibbles => avx2_nibbles(weights, x),
            Kind::Bytes => avx2_bytes(weights, x),
            Kind::Supers => avx2_supers(weights, x),
        }
    }
}

#[inline(always)]
fn load<V: Copy, const B: usize>(bytes: &[u8; B]) -> V {
    const { assert!(size_of::<V>() == B) };
    #[allow(unsafe_code, reason = "a register of integers is as many bytes, and any of them are one")]
    unsafe {
        bytes.as_ptr().cast::<V>().read_unaligned()
    }
}

/// `B` bytes from `at` on.
#[inline(always)]
fn part<const B: usize>(bytes: &[u8], at: usize) -> &[u8; B] {
    // The blocks are arrays of a length known to the compiler, so nothing is left of this.
    bytes[at..].first_chunk().unwrap_or(&[0; B])
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx512vl,avx2,f16c")]
#[inline]
fn halves512(bytes: &[u8], at: usize) -> __m512 {
    _mm512_cvtph_ps(load(part::<32>(bytes, at)))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx512vl,avx2,f16c")]
#[inline]
fn small512(bytes: &[u8], at: usize) -> __m512 {
    _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(load(part::<16>(bytes, at))))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx512vl,avx2,f16c")]
#[inline]
fn dots512<const N: usize>(sums: &mut [__m512i; N], codes: &[u8], x: &[Codes<'_>; N], b: usize) {
    let mask = _mm512_set1_epi8(15);
    for k in 0..4 {
        let both: __m512i = load(part::<64>(codes, k * 64));
        let (low, high) = (_mm512_and_si512(both, mask), _mm512_and_si512(_mm512_srli_epi16::<4>(both), mask));
        for n in 0..N {
            sums[n] = _mm512_dpbusd_epi32(sums[n], low, _mm512_set1_epi32(x[n].words[b][k]));
            sums[n] = _mm512_dpbusd_epi32(sums[n], high, _mm512_set1_epi32(x[n].words[b][4 + k]));
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx512vl,avx2,f16c")]
#[inline]
fn store512<const N: usize>(sums: [__m512; N]) -> [[f32; LANES]; N] {
    sums.map(|sum| {
        #[allow(unsafe_code, reason = "a register of sixteen floats is an array of them")]
        unsafe {
            std::mem::transmute::<__m512, [f32; LANES]>(sum)
        }
    })
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx512vl,avx2,f16c")]
fn vnni_nibbles<const N: usize>(weights: &[u8], x: [Codes<'_>; N]) -> [[f32; LANES]; N] {
    let mut out = [_mm512_setzero_ps(); N];
    for (b, block) in weights.as_chunks::<NIBBLES>().0.iter().enumerate() {
        let mut sums = [_mm512_setzero_si512(); N];
        for n in 0..N {
            sums[n] = _mm512_set1_epi32(-8 * x[n].sums[b]);
        }
        dots512(&mut sums, &block[32..], &x, b);
        let scale = halves512(block, 0);
        for n in 0..N {
            let scale = _mm512_mul_ps(scale, _mm512_set1_ps(x[n].scales[b]));
            out[n] = _mm512_add_ps(out[n], _mm512_mul_ps(_mm512_cvtepi32_ps(sums[n]), scale));
        }
    }
    store512(out)
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx512vl,avx2,f16c")]
fn vnni_bytes<const N: usize>(weights: &[u8], x: [Codes<'_>; N]) -> [[f32; LANES]; N] {
    let mut out = [_mm512_setzero_ps(); N];
    for (b, block) in weights.as_chunks::<BYTES>().0.iter().enumerate() {
        let mut sums = [_mm512_setzero_si512(); N];
        for n in 0..N {
            sums[n] = _mm512_set1_epi32(-128 * x[n].sums[b]);
        }
        for k in 0..8 {
            let codes: __m512i = load(part::<64>(block, 32 + k * 64));
            for n in 0..N {
                sums[n] = _mm512_dpbusd_epi32(sums[n], codes, _mm512_set1_epi32(x[n].words[b][k]));
            }
        }
        let scale = halves512(block, 0);
        for n in 0..N {
            let scale = _mm512_mul_ps(scale, _mm512_set1_ps(x[n].scales[b]));
            out[n] = _mm512_add_ps(out[n], _mm512_mul_ps(_mm512_cvtepi32_ps(sums[n]), scale));
        }
    }
    store512(out)
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx512vl,avx2,f16c")]
fn vnni_supers<const N: usize>(weights: &[u8], x: [Codes<'_>; N]) -> [[f32; LANES]; N] {
    let mut out = [_mm512_setzero_ps(); N];
    for (s, block) in weights.as_chunks::<SUPERS>().0.iter().enumerate() {
        let (d, m) = (halves512(block, 0), halves512(block, 32));
        for (e, eighth) in block[64..].as_chunks::<EIGHTH>().0.iter().enumerate() {
            let b = s * 8 + e;
            let mut sums = [_mm512_setzero_si512(); N];
            dots512(&mut sums, &eighth[32..], &x, b);
            let scale = _mm512_mul_ps(d, small512(eighth, 0));
            let low = _mm512_mul_ps(m, small512(eighth, 16));
            for n in 0..N {
                let dot = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[n]), scale);
                let low = _mm512_mul_ps(_mm512_set1_ps(x[n].sums[b] as f32), low);
                let both = _mm512_mul_ps(_mm512_sub_ps(dot, low), _mm512_set1_ps(x[n].scales[b]));
                out[n] = _mm512_add_ps(out[n], both);
            }
        }
    }
    store512(out)
}

/// The two halves of a tile.
type Pair<T> = [T; 2];

#[target_feature(enable = "avx2,f16c")]
#[inline]
fn halves256(bytes: &[u8], at: usize) -> Pair<__m256> {
    [_mm256_cvtph_ps(load(part::<16>(bytes, at))), _mm256_cvtph_ps(load(part::<16>(bytes, at + 16)))]
}

#[target_feature(enable = "avx2,f16c")]
#[inline]
fn small256(bytes: &[u8], at: usize) -> Pair<__m256> {
    let all: __m128i = load(part::<16>(bytes, at));
    let high = _mm_unpackhi_epi64(all, all);
    [_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(all)), _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(high))]
}

/// Adds four products of an unsigned and a signed byte each; no pair of them may exceed sixteen bits.
#[target_feature(enable = "avx2,f16c")]
#[inline]
fn dot256(sum: __m256i, unsigned: __m256i, signed: __m256i) -> __m256i {
    let pairs = _mm256_maddubs_epi16(unsigned, signed);
    _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
}

#[target_feature(enable = "avx2,f16c")]
#[inline]
fn dots256<const N: usize>(sums: &mut [Pair<__m256i>; N], codes: &[u8], x: &[Codes<'_>; N], b: usize) {
    let mask = _mm256_set1_epi8(15);
    for k in 0..4 {
        for side in 0..2 {
            let both: __m256i = load(part::<32>(codes, k * 64 + side * 32));
            let (low, high) = (_mm256_and_si256(both, mask), _mm256_and_si256(_mm256_srli_epi16::<4>(both), mask));
            for n in 0..N {
                let sum = dot256(sums[n][side], low, _mm256_set1_epi32(x[n].words[b][k]));
                sums[n][side] = dot256(sum, high, _mm256_set1_epi32(x[n].words[b][4 + k]));
            }
        }
    }
}

#[target_feature(enable = "avx2,f16c")]
#[inline]
fn store256<const N: usize>(sums: [Pair<__m256>; N]) -> [[f32; LANES]; N] {
    sums.map(|pair| {
        #[allow(unsafe_code, reason = "two registers of eight floats are an array of sixteen")]
        unsafe {
            std::mem::transmute::<Pair<__m256>, [f32; LANES]>(pair)
        }
    })
}

#[target_feature(enable = "avx2,f16c")]
fn avx2_nibbles<const N: usize>(weights: &[u8], x: [Codes<'_>; N]) -> [[f32; LANES]; N] {
    let mut out = [[_mm256_setzero_ps(); 2]; N];
    for (b, block) in weights.as_chunks::<NIBBLES>().0.iter().enumerate() {
        let mut sums = [[_mm256_setzero_si256(); 2]; N];
        for n in 0..N {
            sums[n] = [_mm256_set1_epi32(-8 * x[n].sums[b]); 2];
        }
        dots256(&mut sums, &block[32..], &x, b);
        scaled256(&mut out, &sums, halves256(block, 0), &x, b);
    }
    store256(out)
}

#[target_feature(enable = "avx2,f16c")]
#[inline]
fn scaled256<const N: usize>(
    out: &mut [Pair<__m256>; N],
    sums: &[Pair<__m256i>; N],
    scale: Pair<__m256>,
    x: &[Codes<'_>; N],
    b: usize,
) {
    for n in 0..N {
        for side in 0..2 {
            let scale = _mm256_mul_ps(scale[side], _mm256_set1_ps(x[n].scales[b]));
            let product = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[n][side]), scale);
            out[n][side] = _mm256_add_ps(out[n][side], product);
        }
    }
}

#[target_feature(enable = "avx2,f16c")]
fn avx2_bytes<const N: usize>(weights: &[u8], x: [Codes<'_>; N]) -> [[f32; LANES]; N] {
    let mut out = [[_mm256_setzero_ps(); 2]; N];
    let flip = _mm256_set1_epi8(-128);
    for (b, block) in weights.as_chunks::<BYTES>().0.iter().enumerate() {
        let mut sums = [[_mm256_setzero_si256(); 2]; N];
        for k in 0..8 {
            for side in 0..2 {
                let signed = _mm256_xor_si256(load(part::<32>(block, 32 + k * 64 + side * 32)), flip);
                // Activations are never -128, so giving them the other's sign does not overflow.
                let size = _mm256_abs_epi8(signed);
                for n in 0..N {
                    let x = _mm256_sign_epi8(_mm256_set1_epi32(x[n].words[b][k]), signed);
                    sums[n][side] = dot256(sums[n][side], size, x);
                }
            }
        }
        scaled256(&mut out, &sums, halves256(block, 0), &x, b);
    }
    store256(out)
}

#[target_feature(enable = "avx2,f16c")]
fn avx2_supers<const N: usize>(weights: &[u8], x: [Codes<'_>; N]) -> [[f32; LANES]; N] {
    let mut out = [[_mm256_setzero_ps(); 2]; N];
    for (s, block) in weights.as_chunks::<SUPERS>().0.iter().enumerate() {
        let (d, m) = (halves256(block, 0), halves256(block, 32));
        for (e, eighth) in block[64..].as_chunks::<EIGHTH>().0.iter().enumerate() {
            let b = s * 8 + e;
            let mut sums = [[_mm256_setzero_si256(); 2]; N];
            dots256(&mut sums, &eighth[32..], &x, b);
            let (scales, mins) = (small256(eighth, 0), small256(eighth, 16));
            for side in 0..2 {
                let scale = _mm256_mul_ps(d[side], scales[side]);
                let low = _mm256_mul_ps(m[side], mins[side]);
                for n in 0..N {
                    let dot = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[n][side]), scale);
                    let low = _mm256_mul_ps(_mm256_set1_ps(x[n].sums[b] as f32), low);
                    let both = _mm256_mul_ps(_mm256_sub_ps(dot, low), _mm256_set1_ps(x[n].scales[b]));
                    out[n][side] = _mm256_add_ps(out[n][side], both);
                }
            }
        }
    }
    store256(out)
}
