//! Numbers to fewer bits, and back.
//!
//! The ggml formats give ggml's bytes. Rounding is half away from zero unless a format's lines say otherwise.

mod affine;
mod blocks;
mod codes;
mod kquants;
mod lanes;
mod ternary;
mod vector;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::level::{Kernel, Level};
use crate::{Error, Fault, Format, Pool, Result, float};

/// How to get to a format. For most there is one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Scheme {
    /// How the result is kept.
    pub format: Format,
    /// How its scale is found.
    pub fit: Fit,
}

/// How a block's scale is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fit {
    /// As the tool that owns the format does; for ggml's formats, its bytes.
    Usual,
    /// Least squares, for the ternary formats: the same bytes to a reader, 5 dB better on ordinary weights.
    Least,
}

impl From<Format> for Scheme {
    fn from(format: Format) -> Self {
        Self { format, fit: Fit::Usual }
    }
}

/// How people ask for a least-squares ternary: the format's name and this.
const LEAST: &str = "_ls";

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fit {
            Fit::Usual => self.format.fmt(f),
            Fit::Least => f.pad(&format!("{}{LEAST}", self.format)),
        }
    }
}

impl FromStr for Scheme {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let lower = text.to_ascii_lowercase();
        if lower == "ternary" {
            return Ok(Self { format: Format::Tq2_0, fit: Fit::Least });
        }
        match lower.strip_suffix(LEAST).map(str::parse) {
            Some(Ok(format @ (Format::Tq2_0 | Format::Tq1_0))) => Ok(Self { format, fit: Fit::Least }),
            Some(_) => Err(Error::file("type", Fault::UnknownFormat(text.to_owned()))),
            None => Ok(lower.parse::<Format>()?.into()),
        }
    }
}

impl From<Scheme> for String {
    fn from(scheme: Scheme) -> Self {
        scheme.to_string()
    }
}

impl TryFrom<String> for Scheme {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

/// Runs one format's function with a level's instructions. A function of its own for each: one for all of them
/// would be too large for the compiler to do well.
macro_rules! encode_with {
    ($level:expr, $values:expr, $out:expr, |$x:ident, $b:ident| $body:expr) => {{
        struct Encode<'a>(&'a [f32], &'a mut [u8]);
        impl Kernel for Encode<'_> {
            type Output = ();

            #[inline(always)]
            fn run(self) {
                let Self($x, $b) = self;
                $body;
            }
        }
        $level.run(Encode($values, $out))
    }};
}

fn encode_at(level: Level, scheme: Scheme, values: &[f32], out: &mut [u8]) {
    match (scheme.format, scheme.fit) {
        (Format::F32, _) => {
            encode_with!(level, values, out, |x, b| each(x, b, |x, b: &mut [u8; 4]| *b = x.to_le_bytes()))
        }
        (Format::F64, _) => {
            encode_with!(level, values, out, |x, b| each(x, b, |x, b: &mut [u8; 8]| *b = f64::from(x).to_le_bytes()))
        }
        (Format::F16, _) => {
            encode_with!(level, values, out, |x, b| each(x, b, |x, b: &mut [u8; 2]| *b =
                float::f32_to_f16(x).to_le_bytes()));
        }
        (Format::Bf16, _) => {
            encode_with!(level, values, out, |x, b| each(x, b, |x, b: &mut [u8; 2]| *b =
                float::f32_to_bf16(x).to_le_bytes()));
        }
        (Format::Q8_0, _) => encode_with!(level, values, out, |x, b| blocks::q8_0(x, b)),
        (Format::Q4_0, _) => encode_with!(level, values, out, |x, b| blocks::q4_0(x, b)),
        (Format::Q4_1, _) => encode_with!(level, values, out, |x, b| blocks::q4_1(x, b)),
        (Format::Q5_0, _) => encode_with!(level, values, out, |x, b| blocks::q5_0(x, b)),
        (Format::Q5_1, _) => encode_with!(level, values, out, |x, b| blocks::q5_1(x, b)),
        (Format::Mxfp4, _) => encode_with!(level, values, out, |x, b| codes::mxfp4(x, b)),
        (Format::Tq1_0, Fit::Usual) => encode_with!(level, values, out, |x, b| ternary::tq1_0(x, b, Fit::Usual)),
        (Format::Tq1_0, Fit::Least) => encode_with!(level, values, out, |x, b| ternary::tq1_0(x, b, Fit::Least)),
        (Format::Tq2_0, Fit::Usual) => encode_with!(level, values, out, |x, b| ternary::tq2_0(x, b, Fit::Usual)),
        (Format::Tq2_0, Fit::Least) => encode_with!(level, values, out, |x, b| ternary::tq2_0(x, b, Fit::Least)),
        (Format::Q2K, _) => encode_with!(level, values, out, |x, b| kquants::q2_k(x, b)),
        (Format::Q3K, _) => encode_with!(level, values, out, |x, b| kquants::q3_k(x, b)),
        (Format::Q4K, _) => encode_with!(level, values, out, |x, b| kquants::q4_k(x, b)),
        (Format::Q5K, _) => encode_with!(level, values, out, |x, b| kquants::q5_k(x, b)),
        (Format::Q6K, _) => encode_with!(level, values, out, |x, b| kquants::q6_k(x, b)),
        (format, _) => unreachable!("`is_streamed` let {format} through"),
    }
}

#[inline(always)]
fn each<const N: usize>(values: &[f32], out: &mut [u8], write: impl Fn(f32, &mut [u8; N])) {
    let (out, _) = out.as_chunks_mut::<N>();
    for (value, bytes) in values.iter().zip(out) {
        write(*value, bytes);
    }
}

/// Formats that a stretch of a tensor can be turned into by itself.
pub(crate) const fn is_streamed(format: Format) -> bool {
    !format.is_whole()
        && format.is_readable()
        && !matches!(
            format,
            Format::I64
                | Format::I32
                | Format::I16
                | Format::I8
                | Format::U64
                | Format::U32
                | Format::U16
                | Format::U8
                | Format::Bool
        )
}

/// Quantizes a stretch of whole blocks. `out` has exactly the bytes they need.
pub(crate) fn encode(level: Level, scheme: Scheme, values: &[f32], out: &mut [u8]) -> Result<(), Fault> {
    let need = scheme.format.bytes(&[values.len() as u64])?;
    if !is_streamed(scheme.format) {
        return Err(Fault::Opaque(scheme.format));
    }
    if need != out.len() as u64 {
        return Err(Fault::Truncated { need, have: out.len() as u64 });
    }
    encode_at(level, scheme, values, out);
    Ok(())
}

/// Quantizes a whole tensor to any format that can be written. Errors name no tensor.
pub(crate) fn encode_whole(
    level: Level,
    scheme: Scheme,
    shape: &[u64],
    values: &[f32],
    out: &mut [u8],
    pool: &dyn Pool,
) -> Result<()> {
    let refuse = |fault| Error::tensor("", fault);
    let need = scheme.format.bytes(shape).map_err(refuse)?;
    if need != out.len() as u64 {
        return Err(refuse(Fault::Truncated { need, have: out.len() as u64 }));
    }
    let row = shape.last().copied().unwrap_or(1).max(1) as usize;
    match scheme.format {
        Format::Int8 => affine::symmetric(values, values.len(), out),
        Format::Int8Row => affine::symmetric(values, row, out),
        Format::Int8Asym => affine::asymmetric(values, values.len(), out),
        Format::Int8AsymRow => affine::asymmetric(values, row, out),
        Format::Nf4 => codes::nf4(values, out),
        Format::Bitnet => ternary::bitnet(values, values.len(), out),
        Format::BitnetRow => ternary::bitnet(values, row, out),
        Format::Vq => return vector::encode(level, values, row, out, pool),
        _ => return encode(level, scheme, values, out).map_err(refuse),
    }
    Ok(())
}

struct Decode<'a> {
    format: Format,
    bytes: &'a [u8],
    out: &'a mut [f32],
}

impl Kernel for Decode<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { format, bytes, out } = self;
        match format {
            Format::F64 => read(bytes, out, |b| f64::from_le_bytes(b) as f32),
            Format::F32 => read(bytes, out, f32::from_le_bytes),
            Format::F16 => read(bytes, out, |b| float::f16_to_f32(u16::from_le_bytes(b))),
            Format::Bf16 => read(bytes, out, |b| float::bf16_to_f32(u16::from_le_bytes(b))),
            Format::I64 => read(bytes, out, |b| i64::from_le_bytes(b) as f32),
            Format::I32 => read(bytes, out, |b| i32::from_le_bytes(b) as f32),
            Format::I16 => read(bytes, out, |b| f32::from(i16::from_le_bytes(b))),
            Format::I8 => read(bytes, out, |b| f32::from(i8::from_le_bytes(b))),
            Format::U64 => read(bytes, out, |b| u64::from_le_bytes(b) as f32),
            Format::U32 => read(bytes, out, |b| u32::from_le_bytes(b) as f32),
            Format::U16 => read(bytes, out, |b| f32::from(u16::from_le_bytes(b))),
            Format::U8 => read(bytes, out, |[b]| f32::from(b)),
            Format::Bool => read(bytes, out, |[b]| f32::from(u8::from(b != 0))),
            Format::Q8_0 => blocks::from_q8_0(bytes, out),
            Format::Q4_0 => blocks::from_q4_0(bytes, out),
            Format::Q4_1 => blocks::from_q4_1(bytes, out),
            Format::Q5_0 => blocks::from_q5_0(bytes, out),
            Format::Q5_1 => blocks::from_q5_1(bytes, out),
            Format::Mxfp4 => codes::from_mxfp4(bytes, out),
            Format::Tq1_0 => ternary::from_tq1_0(bytes, out),
            Format::Tq2_0 => ternary::from_tq2_0(bytes, out),
            Format::Q2K => kquants::from_q2_k(bytes, out),
            Format::Q3K => kquants::from_q3_k(bytes, out),
            Format::Q4K => kquants::from_q4_k(bytes, out),
            Format::Q5K => kquants::from_q5_k(bytes, out),
            Format::Q6K => kquants::from_q6_k(bytes, out),
            other => unreachable!("`decode` let {other} through"),
        }
    }
}

#[inline(always)]
fn read<const N: usize>(bytes: &[u8], out: &mut [f32], value: impl Fn([u8; N]) -> f32) {
    let (bytes, _) = bytes.as_chunks::<N>();
    for (slot, bytes) in out.iter_mut().zip(bytes) {
        *slot = value(*bytes);
    }
}

/// Reads a stretch of whole blocks as numbers.
pub(crate) fn decode(level: Level, format: Format, bytes: &[u8], out: &mut [f32]) -> Result<(), Fault> {
    if format.is_whole() || !format.is_readable() {
        return Err(Fault::Opaque(format));
    }
    let need = format.bytes(&[out.len() as u64])?;
    if need != bytes.len() as u64 {
        return Err(Fault::Truncated { need, have: bytes.len() as u64 });
    }
    level.run(Decode { format, bytes, out });
    Ok(())
}

/// Reads elements `from..from + out.len()` of a tensor of any readable format. `from` is at the begin of a row
/// for the formats that keep something a row, and of a block for those of blocks.
pub(crate) fn decode_at(
    level: Level,
    format: Format,
    shape: &[u64],
    bytes: &[u8],
    from: usize,
    out: &mut [f32],
) -> Result<(), Fault> {
    if format.is_whole() {
        let count = shape.iter().product::<u64>() as usize;
        let row = shape.last().copied().unwrap_or(1).max(1) as usize;
        let per = |row_wise: bool| if row_wise { row } else { count.max(1) };
        match format {
            Format::Int8 | Format::Int8Row => {
                affine::from_symmetric(bytes, count, per(format == Format::Int8Row), from, out)
            }
            Format::Int8Asym | Format::Int8AsymRow => {
                affine::from_asymmetric(bytes, count, per(format == Format::Int8AsymRow), from, out);
            }
            Format::Nf4 => codes::from_nf4(bytes, count, from, out),
            Format::Bitnet | Format::BitnetRow => {
                ternary::from_bitnet(bytes, count, per(format == Format::BitnetRow), from, out)
            }
            Format::Vq => vector::decode(bytes, count, row, from, out),
            other => return Err(Fault::Opaque(other)),
        }
        return Ok(());
    }
    let (elements, size) = format.block();
    let begin = from / elements as usize * size as usize;
    let length = out.len() / elements as usize * size as usize;
    let have = bytes.len() as u64;
    let stretch = bytes.get(begin..begin + length).ok_or(Fault::Truncated { need: (begin + length) as u64, have })?;
    decode(level, format, stretch, out)
}
