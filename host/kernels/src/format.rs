//! How the elements of a tensor are kept.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Fault};

macro_rules! formats {
    ($($(#[$doc:meta])* $variant:ident $name:literal $block:literal $bytes:literal $ggml:expr, $st:expr;)*) => {
        /// How a tensor's elements are kept. The text form is what `--type` and the `kernels` import spell.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        #[non_exhaustive]
        pub enum Format { $($(#[$doc])* $variant,)* }

        impl Format {
            /// Every format.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The text form.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Elements and bytes of one block. Formats that keep something beside the blocks say (1, 0).
            pub const fn block(self) -> (u64, u64) {
                match self { $(Self::$variant => ($block, $bytes),)* }
            }

            /// GGUF's number for it.
            pub const fn ggml(self) -> Option<u32> {
                match self { $(Self::$variant => $ggml,)* }
            }

            /// The name in a safetensors header.
            pub const fn safetensors(self) -> Option<&'static str> {
                match self { $(Self::$variant => $st,)* }
            }
        }
    };
}

formats! {
    /// IEEE double.
    F64 "f64" 1 8 Some(28), Some("F64");
    /// IEEE single.
    F32 "f32" 1 4 Some(0), Some("F32");
    /// IEEE half.
    F16 "f16" 1 2 Some(1), Some("F16");
    /// The upper half of a single.
    Bf16 "bf16" 1 2 Some(30), Some("BF16");
    /// Integer.
    I64 "i64" 1 8 Some(27), Some("I64");
    /// Integer.
    I32 "i32" 1 4 Some(26), Some("I32");
    /// Integer.
    I16 "i16" 1 2 Some(25), Some("I16");
    /// Integer.
    I8 "i8" 1 1 Some(24), Some("I8");
    /// Integer.
    U64 "u64" 1 8 None, Some("U64");
    /// Integer.
    U32 "u32" 1 4 None, Some("U32");
    /// Integer.
    U16 "u16" 1 2 None, Some("U16");
    /// Integer.
    U8 "u8" 1 1 None, Some("U8");
    /// One byte each.
    Bool "bool" 1 1 None, Some("BOOL");
    /// Eight-bit float; copied, not computed with.
    F8E4M3 "f8_e4m3" 1 1 None, Some("F8_E4M3");
    /// Eight-bit float; copied, not computed with.
    F8E5M2 "f8_e5m2" 1 1 None, Some("F8_E5M2");
    /// Eight-bit exponent; copied, not computed with.
    F8E8M0 "f8_e8m0" 1 1 None, Some("F8_E8M0");
    /// 4 bits, one scale for 32.
    Q4_0 "q4_0" 32 18 Some(2), None;
    /// 4 bits, scale and minimum for 32.
    Q4_1 "q4_1" 32 20 Some(3), None;
    /// 5 bits, one scale for 32.
    Q5_0 "q5_0" 32 22 Some(6), None;
    /// 5 bits, scale and minimum for 32.
    Q5_1 "q5_1" 32 24 Some(7), None;
    /// 8 bits, one scale for 32.
    Q8_0 "q8_0" 32 34 Some(8), None;
    /// Super-blocks of 256, 2 bits.
    Q2K "q2_k" 256 84 Some(10), None;
    /// Super-blocks of 256, 3 bits.
    Q3K "q3_k" 256 110 Some(11), None;
    /// Super-blocks of 256, 4 bits.
    Q4K "q4_k" 256 144 Some(12), None;
    /// Super-blocks of 256, 5 bits.
    Q5K "q5_k" 256 176 Some(13), None;
    /// Super-blocks of 256, 6 bits.
    Q6K "q6_k" 256 210 Some(14), None;
    /// Trits, five to a byte.
    Tq1_0 "tq1_0" 256 54 Some(34), None;
    /// Trits, four to a byte.
    Tq2_0 "tq2_0" 256 66 Some(35), None;
    /// E2M1 with one power of two for 32.
    Mxfp4 "mxfp4" 32 17 Some(39), None;
    /// Copied, not computed with.
    Iq2Xxs "iq2_xxs" 256 66 Some(16), None;
    /// Copied, not computed with.
    Iq2Xs "iq2_xs" 256 74 Some(17), None;
    /// Copied, not computed with.
    Iq3Xxs "iq3_xxs" 256 98 Some(18), None;
    /// Copied, not computed with.
    Iq1S "iq1_s" 256 50 Some(19), None;
    /// Copied, not computed with.
    Iq4Nl "iq4_nl" 32 18 Some(20), None;
    /// Copied, not computed with.
    Iq3S "iq3_s" 256 110 Some(21), None;
    /// Copied, not computed with.
    Iq2S "iq2_s" 256 82 Some(22), None;
    /// Copied, not computed with.
    Iq4Xs "iq4_xs" 256 136 Some(23), None;
    /// Copied, not computed with.
    Iq1M "iq1_m" 256 56 Some(29), None;
    /// Copied, not computed with.
    Nvfp4 "nvfp4" 64 36 Some(40), None;
    /// Affine, symmetric, one scale for the tensor: the scale (f32), then the codes.
    Int8 "int8" 1 0 None, None;
    /// Affine, symmetric, one scale a row: the scales, then the codes.
    Int8Row "int8_row" 1 0 None, None;
    /// Affine with a zero point, for the tensor: scale (f32), zero point (i8), codes.
    Int8Asym "int8_asym" 1 0 None, None;
    /// Affine with a zero point a row: scales, zero points, codes.
    Int8AsymRow "int8_asym_row" 1 0 None, None;
    /// The 16 normal quantiles, largest magnitude (f32) for 64: magnitudes, then two codes a byte, first one high.
    Nf4 "nf4" 1 0 None, None;
    /// BitNet b1.58, one scale for the tensor: the scale (f32), then four trits a byte, first one low.
    Bitnet "bitnet" 1 0 None, None;
    /// BitNet b1.58, one scale a row.
    BitnetRow "bitnet_row" 1 0 None, None;
    /// 256 vectors of 4 (f16), one scale a row (f16), then one code for four elements.
    Vq "vq" 1 0 None, None;
}

/// One stretch of bytes of a format that keeps more than blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Appended to the tensor's name in a safetensors file.
    pub suffix: &'static str,
    /// How this stretch is kept.
    pub format: Format,
    /// Its shape.
    pub shape: Vec<u64>,
}

/// Elements that share one NF4 magnitude.
pub const NF4_BLOCK: u64 = 64;
/// Elements of a vector of the `vq` format, and vectors in its codebook.
pub const VQ_DIM: u64 = 4;
/// See [`VQ_DIM`].
pub const VQ_CODES: u64 = 256;

impl Format {
    /// The format GGUF gives this number.
    pub fn from_ggml(id: u32) -> Option<Self> {
        Self::ALL.iter().copied().find(|format| format.ggml() == Some(id))
    }

    /// The format a safetensors header calls this.
    pub fn from_safetensors(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|format| format.safetensors() == Some(name))
    }

    /// One number an element, of a kind that arithmetic accepts as input.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::Bf16)
    }

    /// Can be read as numbers.
    pub const fn is_readable(self) -> bool {
        !matches!(
            self,
            Self::F8E4M3
                | Self::F8E5M2
                | Self::F8E8M0
                | Self::Iq2Xxs
                | Self::Iq2Xs
                | Self::Iq3Xxs
                | Self::Iq1S
                | Self::Iq4Nl
                | Self::Iq3S
                | Self::Iq2S
                | Self::Iq4Xs
                | Self::Iq1M
                | Self::Nvfp4
        )
    }

    /// Keeps something beside its blocks, so it can only be made from a whole tensor.
    pub const fn is_whole(self) -> bool {
        self.block().1 == 0
    }

    /// The stretches of a whole-tensor format, in their order; one stretch for all others.
    pub fn parts(self, shape: &[u64]) -> Vec<Part> {
        let columns = shape.last().copied().unwrap_or(1);
        let count: u64 = shape.iter().product();
        let rows = count.checked_div(columns).unwrap_or(0);
        let part = |suffix, format, shape: &[u64]| Part { suffix, format, shape: shape.to_vec() };
        let scales = |count| part(".scale", Self::F32, &[count]);
        let trits = part("", Self::U8, &[count.div_ceil(4)]);
        match self {
            Self::Int8 => vec![scales(1), part("", Self::I8, shape)],
            Self::Int8Row => vec![scales(rows), part("", Self::I8, shape)],
            Self::Int8Asym => vec![scales(1), part(".zero", Self::I8, &[1]), part("", Self::I8, shape)],
            Self::Int8AsymRow => vec![scales(rows), part(".zero", Self::I8, &[rows]), part("", Self::I8, shape)],
            Self::Nf4 => {
                vec![part(".absmax", Self::F32, &[count.div_ceil(NF4_BLOCK)]), part("", Self::U8, &[count.div_ceil(2)])]
            }
            Self::Bitnet => vec![scales(1), trits],
            Self::BitnetRow => vec![scales(rows), trits],
            Self::Vq => vec![
                part(".codebook", Self::F16, &[VQ_CODES, VQ_DIM]),
                part(".scale", Self::F16, &[rows]),
                part("", Self::U8, &[count / VQ_DIM]),
            ],
            other => vec![part("", other, shape)],
        }
    }

    /// Bytes a tensor of this shape takes, or why it cannot be kept so.
    pub fn bytes(self, shape: &[u64]) -> Result<u64, Fault> {
        let overflow = || Fault::Size { shape: shape.to_vec(), need: u128::MAX, given: 0 };
        let count = count(shape).ok_or_else(overflow)?;
        let row = shape.last().copied().unwrap_or(1);
        let refused = |block| Fault::Rows { row, format: self, block };
        if self.is_whole() {
            if self == Self::Vq && !row.is_multiple_of(VQ_DIM) {
                return Err(refused(VQ_DIM));
            }
            // A part never has more bytes than 8 times the elements, and a header.
            count.checked_mul(16).and_then(|x| x.checked_add(4096)).ok_or_else(overflow)?;
            return Ok(self.parts(shape).iter().map(|p| p.shape.iter().product::<u64>() * p.format.block().1).sum());
        }
        let (elements, bytes) = self.block();
        if elements > 1 && !row.is_multiple_of(elements) {
            return Err(refused(elements));
        }
        (count / elements).checked_mul(bytes).ok_or_else(overflow)
    }
}

/// Elements of a shape; none if that is more than 64 bits hold.
pub(crate) fn count(shape: &[u64]) -> Option<u64> {
    // A zero anywhere must not hide an overflow elsewhere: the sizes of rows are computed from parts of the shape.
    let product = shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d.max(1)))?;
    Some(if shape.contains(&0) { 0 } else { product })
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Format {
    type Err = Error;

    /// Case does not matter: people write `Q4_K` and `q4_k`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wanted = text.to_ascii_lowercase();
        Self::ALL
            .iter()
            .copied()
            .find(|format| format.name() == wanted)
            .ok_or_else(|| Error::file("type", Fault::UnknownFormat(text.to_owned())))
    }
}

impl From<Format> for String {
    fn from(format: Format) -> Self {
        format.name().to_owned()
    }
}

impl TryFrom<String> for Format {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_lead_back_to_their_format() {
        for &format in Format::ALL {
            assert_eq!(format.name().parse::<Format>().expect("parses"), format);
            if let Some(id) = format.ggml() {
                assert_eq!(Format::from_ggml(id), Some(format));
            }
            if let Some(name) = format.safetensors() {
                assert_eq!(Format::from_safetensors(name), Some(format));
            }
        }
    }

    #[test]
    fn an_absurd_shape_has_no_size() {
        assert!(Format::F32.bytes(&[1 << 40, 1 << 40]).is_err());
        assert!(Format::F32.bytes(&[u64::MAX, u64::MAX, 0]).is_err());
        assert!(Format::F64.bytes(&[1 << 61, 1]).is_err());
        assert!(Format::Nf4.bytes(&[1 << 61, 1]).is_err());
        assert_eq!(Format::F32.bytes(&[]).expect("a number"), 4);
        assert_eq!(Format::F32.bytes(&[0, 7]).expect("nothing"), 0);
    }

    #[test]
    fn rows_that_do_not_divide_are_refused() {
        assert!(matches!(Format::Q4K.bytes(&[4, 128]), Err(Fault::Rows { row: 128, block: 256, .. })));
        assert_eq!(Format::Q4K.bytes(&[4, 256]).expect("fits"), 4 * 144);
    }
}
