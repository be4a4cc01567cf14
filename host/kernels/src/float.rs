//! Sixteen-bit floats, by integers: the same on every machine and every path.

/// The exact value of an IEEE half.
#[inline(always)]
pub fn f16_to_f32(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let body = u32::from(half & 0x7fff) << 13;
    // Shifting moves the exponent to f32's place, 112 short; one multiplication repairs it, subnormals included.
    let finite = f32::from_bits(body) * f32::from_bits(0x7780_0000);
    let bits = if body >= 0x0f80_0000 { body | 0x7f80_0000 } else { finite.to_bits() };
    f32::from_bits(sign | bits)
}

/// The nearest IEEE half, ties to even. Too large becomes infinity.
#[inline(always)]
pub fn f32_to_f16(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = ((bits >> 16) & 0x8000) as u16;
    let body = bits & 0x7fff_ffff;
    // 65520 is the first value that rounds to infinity.
    let large = if body > 0x7f80_0000 { 0x7e00 } else { 0x7c00 };
    // Adding 0.5 puts the last bit kept of a subnormal at the last bit of the sum: the addition rounds for us.
    let small = (f32::from_bits(body) + 0.5).to_bits().wrapping_sub(0x3f00_0000);
    let odd = (body >> 13) & 1;
    let normal = body.wrapping_sub(0x3800_0000).wrapping_add(0x0fff + odd) >> 13;
    let half = if body >= 0x477f_f000 {
        large
    } else if body < 0x3880_0000 {
        small
    } else {
        normal
    };
    sign | half as u16
}

/// The exact value of a bfloat16.
#[inline(always)]
pub fn bf16_to_f32(short: u16) -> f32 {
    f32::from_bits(u32::from(short) << 16)
}

/// The nearest bfloat16, ties to even.
#[inline(always)]
pub fn f32_to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    // Rounding up could carry a NaN's payload into the sign.
    let nan = (bits >> 16) | 0x40;
    (if bits & 0x7fff_ffff > 0x7f80_0000 { nan } else { rounded }) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_survives_the_way_there_and_back() {
        for half in 0..=u16::MAX {
            let wide = f16_to_f32(half);
            if wide.is_nan() {
                assert!(f16_to_f32(f32_to_f16(wide)).is_nan());
            } else {
                assert_eq!(f32_to_f16(wide), half, "{half:#06x}");
            }
        }
    }

    #[test]
    fn halfway_between_two_halves_goes_to_the_even_one() {
        for half in 0..0x7bffu16 {
            let (low, high) = (f64::from(f16_to_f32(half)), f64::from(f16_to_f32(half + 1)));
            let middle = ((low + high) / 2.0) as f32;
            assert_eq!(f32_to_f16(middle), half + (half & 1), "{half:#06x}");
            assert_eq!(f32_to_f16(middle.next_up()), half + 1);
            assert_eq!(f32_to_f16(middle.next_down()), half);
        }
        assert_eq!(f32_to_f16(65519.996), 0x7bff);
        assert_eq!(f32_to_f16(65520.0), 0x7c00);
        assert_eq!(f32_to_f16(-1e30), 0xfc00);
    }

    #[test]
    fn bfloat16_rounds_ties_to_even() {
        assert_eq!(f32_to_bf16(f32::from_bits(0x3f80_8000)), 0x3f80);
        assert_eq!(f32_to_bf16(f32::from_bits(0x3f81_8000)), 0x3f82);
        assert_eq!(f32_to_bf16(f32::MAX), 0x7f80);
        assert!(bf16_to_f32(f32_to_bf16(f32::NAN)).is_nan());
    }
}
