//! Weights as products want them: sixteen rows side by side, so that one register holds a column of each.
//!
//! What a file keeps in four or eight bits stays so. Formats without a layout of their own become Q8_0.

use super::fault::Fault;
use kernels::float::{bf16_to_f32, f16_to_f32};
use kernels::{Format, Scheme, View};
use rayon::prelude::*;

/// Rows of a tile.
pub(crate) const LANES: usize = 16;
/// Columns that share a scale.
pub(crate) const BLOCK: usize = 32;
/// Columns of a super-block.
pub(crate) const SUPER: usize = 256;

/// Bytes of a tile's block of four bits: sixteen scales, then four times four columns of sixteen rows in the low halves
/// of the bytes, and the columns sixteen further on in the high ones.
pub(crate) const NIBBLES: usize = LANES * 18;
/// Bytes of a tile's block of eight bits: sixteen scales, then eight times four columns of sixteen rows, 128 added.
pub(crate) const BYTES: usize = LANES * 34;
/// Bytes of one eighth of a tile's super-block: sixteen scales, sixteen minima, then as the nibbles.
pub(crate) const EIGHTH: usize = LANES * 18;
/// Bytes of a tile's super-block: sixteen scales of scales, sixteen of minima, then its eighths.
pub(crate) const SUPERS: usize = 4 * LANES + 8 * EIGHTH;

/// How the elements are kept.
#[derive(Debug)]
pub(crate) enum Packed {
    /// Column after column.
    Singles(Vec<f32>),
    /// Column after column, IEEE halves.
    Halves(Vec<u16>),
    /// Column after column, bfloat16.
    Shorts(Vec<u16>),
    /// Q4_0.
    Nibbles(Vec<u8>),
    /// Q8_0.
    Bytes(Vec<u8>),
    /// Q4_K.
    Supers(Vec<u8>),
}

/// A matrix of weights. Rows that are missing in the last tile are zero.
#[derive(Debug)]
pub(crate) struct Matrix {
    rows: usize,
    columns: usize,
    packed: Packed,
}

/// What the rows of a tile are packed into.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    Singles,
    Halves,
    Shorts,
    Nibbles,
    Bytes,
    Supers,
}

impl Layout {
    fn of(format: Format, columns: usize) -> Layout {
        match format {
            Format::F16 => Layout::Halves,
            Format::Bf16 => Layout::Shorts,
            Format::Q4_0 => Layout::Nibbles,
            Format::Q4K => Layout::Supers,
            Format::F32 | Format::F64 => Layout::Singles,
            _ if columns.is_multiple_of(BLOCK) => Layout::Bytes,
            _ => Layout::Singles,
        }
    }

    /// Bytes that so many columns of a tile take.
    fn bytes(self, columns: usize) -> usize {
        match self {
            Layout::Singles => columns * LANES * 4,
            Layout::Halves | Layout::Shorts => columns * LANES * 2,
            Layout::Nibbles => columns / BLOCK * NIBBLES,
            Layout::Bytes => columns / BLOCK * BYTES,
            Layout::Supers => columns / SUPER * SUPERS,
        }
    }
}

/// Bytes of memory that a matrix of this shape takes.
pub(crate) fn size(format: Format, rows: usize, columns: usize) -> u64 {
    rows.div_ceil(LANES) as u64 * Layout::of(format, columns).bytes(columns) as u64
}

impl Matrix {
    /// Packs a tensor of two dimensions, on the pool that this is called from.
    pub(crate) fn pack(view: &View<'_>) -> Result<Matrix, Fault> {
        let &[rows, columns] = view.shape else {
            return Err(Fault::Shape { tensor: view.name.into(), found: view.shape.to_vec(), wanted: vec![0, 0] });
        };
        if !view.format.is_readable() || view.format.is_whole() {
            return Err(Fault::Format { tensor: view.name.into(), format: view.format });
        }
        let (rows, columns) = (rows as usize, columns as usize);
        let layout = Layout::of(view.format, columns);
        let tiles = rows.div_ceil(LANES);
        let stride = layout.bytes(columns);
        let rows_of = Rows { view, rows, columns, bytes: view.bytes.len() / rows.max(1) };
        let packed = match layout {
            Layout::Singles => Packed::Singles(each(tiles, stride / 4, |tile, out| rows_of.singles(tile, out))?),
            Layout::Halves | Layout::Shorts => {
                let words = each(tiles, stride / 2, |tile, out| {
                    rows_of.words(tile, out);
                    Ok(())
                })?;
                if layout == Layout::Halves { Packed::Halves(words) } else { Packed::Shorts(words) }
            }
            Layout::Nibbles => Packed::Nibbles(each(tiles, stride, |tile, out| {
                rows_of.nibbles(tile, out);
                Ok(())
            })?),
            Layout::Bytes => Packed::Bytes(each(tiles, stride, |tile, out| rows_of.bytes(tile, out))?),
            Layout::Supers => Packed::Supers(each(tiles, stride, |tile, out| {
                rows_of.supers(tile, out);
                Ok(())
            })?),
        };
        Ok(Matrix { rows, columns, packed })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    pub(crate) fn packed(&self) -> &Packed {
        &self.packed
    }

    /// Whether the other side of a product has to be in eight bits.
    pub(crate) fn is_quantized(&self) -> bool {
        matches!(self.packed, Packed::Nibbles(_) | Packed::Bytes(_) | Packed::Supers(_))
    }

    /// One row as numbers; `row` must be below [`Self::rows`], and `out` as long as there are columns.
    pub(crate) fn row(&self, row: usize, out: &mut [f32]) {
        let (tile, lane) = (row / LANES, row % LANES);
        let first = tile * self.columns * LANES + lane;
        let half = |bytes: &[u8], at: usize| f16_to_f32(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
        let code = |bytes: &[u8], c: usize| {
            let byte = bytes[c % 16 / 4 * 64 + lane * 4 + c % 4];
            f32::from(if c < 16 { byte & 15 } else { byte >> 4 })
        };
        match &self.packed {
            Packed::Singles(w) => (0..out.len()).for_each(|c| out[c] = w[first + c * LANES]),
            Packed::Halves(w) => (0..out.len()).for_each(|c| out[c] = f16_to_f32(w[first + c * LANES])),
            Packed::Shorts(w) => (0..out.len()).for_each(|c| out[c] = bf16_to_f32(w[first + c * LANES])),
            Packed::Nibbles(w) => {
                for (b, out) in out.chunks_mut(BLOCK).enumerate() {
                    let block = &w[(tile * (self.columns / BLOCK) + b) * NIBBLES..][..NIBBLES];
                    let d = half(block, lane * 2);
                    (0..BLOCK).for_each(|c| out[c] = (code(&block[32..], c) - 8.0) * d);
                }
            }
            Packed::Bytes(w) => {
                for (b, out) in out.chunks_mut(BLOCK).enumerate() {
                    let block = &w[(tile * (self.columns / BLOCK) + b) * BYTES..][..BYTES];
                    let d = half(block, lane * 2);
                    (0..BLOCK)
                        .for_each(|c| out[c] = (f32::from(block[32 + c / 4 * 64 + lane * 4 + c % 4]) - 128.0) * d);
                }
            }
            Packed::Supers(w) => {
                for (b, out) in out.chunks_mut(BLOCK).enumerate() {
                    let all = &w[(tile * (self.columns / SUPER) + b / 8) * SUPERS..][..SUPERS];
                    let part = &all[64 + b % 8 * EIGHTH..][..EIGHTH];
                    let d = half(all, lane * 2) * f32::from(part[lane]);
                    let m = half(all, 32 + lane * 2) * f32::from(part[16 + lane]);
                    (0..BLOCK).for_each(|c| out[c] = d * code(&part[32..], c) - m);
                }
            }
        }
    }
}

/// Makes the tiles, each by its number.
fn each<T: Copy + Default + Send>(
    tiles: usize,
    stride: usize,
    make: impl Fn(usize, &mut [T]) -> Result<(), Fault> + Sync,
) -> Result<Vec<T>, Fault> {
    let mut out = vec![T::default(); tiles * stride];
    if stride > 0 {
        out.par_chunks_mut(stride).enumerate().try_for_each(|(tile, out)| make(tile, out))?;
    }
    Ok(out)
}

/// The rows of a tensor, as the file has them.
struct Rows<'a> {
    view: &'a View<'a>,
    rows: usize,
    columns: usize,
    bytes: usize,
}

impl Rows<'_> {
    /// The rows of a tile, each with its lane.
    fn of(&self, tile: usize) -> impl Iterator<Item = (usize, &[u8])> {
        let last = (tile * LANES + LANES).min(self.rows);
        (tile * LANES..last).map(|row| (row % LANES, &self.view.bytes[row * self.bytes..][..self.bytes]))
    }

    fn numbers(&self, row: &[u8]) -> Result<Vec<f32>, Fault> {
        let shape = [1, self.columns as u64];
        let view = View::new(self.view.name, &shape, self.view.format, row)?;
        Ok(kernels::dequantize(&view)?)
    }

    fn singles(&self, tile: usize, out: &mut [f32]) -> Result<(), Fault> {
        for (lane, row) in self.of(tile) {
            for (c, value) in self.numbers(row)?.into_iter().enumerate() {
                out[c * LANES + lane] = value;
            }
        }
        Ok(())
    }

    fn words(&self, tile: usize, out: &mut [u16]) {
        for (lane, row) in self.of(tile) {
            for (c, word) in row.as_chunks::<2>().0.iter().enumerate() {
                out[c * LANES + lane] = u16::from_le_bytes(*word);
            }
        }
    }

    fn nibbles(&self, tile: usize, out: &mut [u8]) {
        for (lane, row) in self.of(tile) {
            for (block, out) in row.as_chunks::<18>().0.iter().zip(out.as_chunks_mut::<NIBBLES>().0) {
                out[lane * 2..][..2].copy_from_slice(&block[..2]);
                for j in 0..16 {
                    out[32 + j / 4 * 64 + lane * 4 + j % 4] = block[2 + j];
                }
            }
        }
    }

    fn bytes(&self, tile: usize, out: &mut [u8]) -> Result<(), Fault> {
        let mut made = vec![0u8; self.columns / BLOCK * 34];
        for (lane, row) in self.of(tile) {
            let row = if self.view.format == Format::Q8_0 {
                row
            } else {
                let scheme = Scheme::from(Format::Q8_0);
                let values = self.numbers(row)?;
                kernels::quantize(&[1, self.columns as u64], &values, scheme, &mut made, &kernels::Inline)?;
                &made
            };
            for (block, out) in row.as_chunks::<34>().0.iter().zip(out.as_chunks_mut::<BYTES>().0) {
                out[lane * 2..][..2].copy_from_slice(&block[..2]);
                for j in 0..32 {
                    out[32 + j / 4 * 64 + lane * 4 + j % 4] = block[2 + j] ^ 0x80;
                }
            }
        }
        Ok(())
    }

    fn supers(&self, tile: usize, out: &mut [u8]) {
        for (lane, row) in self.of(tile) {
            for (block, out) in row.as_chunks::<144>().0.iter().zip(out.as_chunks_mut::<SUPERS>().0) {
                out[lane * 2..][..2].copy_from_slice(&block[..2]);
                out[32 + lane * 2..][..2].copy_from_slice(&block[2..4]);
                for (eighth, part) in out[64..].as_chunks_mut::<EIGHTH>().0.iter_mut().enumerate() {
                    let (scale, min) = six(&block[4..16], eighth);
                    part[lane] = scale;
                    part[16 + lane] = min;
                    let codes = &block[16 + eighth / 2 * 32..][..32];
                    let code = |c: usize| codes[c] >> (eighth % 2 * 4) & 15;
                    for j in 0..16 {
                        part[32 + j / 4 * 64 + lane * 4 + j % 4] = code(j) | code(j + 16) << 4;
                    }
                }
            }
        }
    }
}

/// The six bits of a scale and of a minimum in a Q4_K block.
fn six(bytes: &[u8], at: usize) -> (u8, u8) {
    if at < 4 {
        return (bytes[at] & 63, bytes[at + 4] & 63);
    }
    let low = bytes[at + 4];
    (low & 15 | (bytes[at - 4] >> 6) << 4, low >> 4 | (bytes[at] >> 6) << 4)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use kernels::float::f32_to_f16;

    /// Numbers between -1 and 1 that are the same everywhere.
    pub(crate) fn noise(count: usize, seed: u64) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        (0..count)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
            })
            .collect()
    }

    /// A matrix of a format, and its numbers as the kernels read them.
    pub(crate) fn matrix(format: Format, rows: usize, columns: usize) -> (Matrix, Vec<f32>) {
        let shape = [rows as u64, columns as u64];
        let values = noise(rows * columns, 7);
        let bytes = match format {
            Format::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Format::F16 => values.iter().flat_map(|v| f32_to_f16(*v).to_le_bytes()).collect(),
            Format::Bf16 => values.iter().flat_map(|v| kernels::float::f32_to_bf16(*v).to_le_bytes()).collect(),
            _ => {
                let mut bytes = vec![0; format.bytes(&shape).expect("fits") as usize];
                kernels::quantize(&shape, &values, format.into(), &mut bytes, &kernels::Inline).expect("quantizes");
                bytes
            }
        };
        let view = View::new("w", &shape, format, &bytes).expect("a view");
        let numbers = kernels::dequantize(&view).expect("reads");
        (Matrix::pack(&view).expect("packs"), numbers)
    }

    #[test]
    fn rows_come_back_as_they_were_packed() {
        for format in [Format::F32, Format::F16, Format::Bf16, Format::Q4_0, Format::Q8_0, Format::Q4K] {
            // A last tile that is not full.
            let (matrix, numbers) = matrix(format, 37, 512);
            let mut row = vec![0.0; 512];
            for at in 0..37 {
                matrix.row(at, &mut row);
                assert_eq!(row, numbers[at * 512..][..512], "{format} row {at}");
            }
            let size = size(format, 37, 512);
            assert!((37 * 512 / 2..=48 * 512 * 4).contains(&size), "{format} takes {size}");
        }
    }

    #[test]
    fn formats_without_a_layout_lose_less_than_they_had_lost() {
        let (matrix, numbers) = matrix(Format::Q6K, 5, 256);
        let mut row = vec![0.0; 256];
        matrix.row(3, &mut row);
        let most = row.iter().zip(&numbers[3 * 256..]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(most > 0.0 && most < 0.52 / 127.0 + 6e-4, "{most}");
    }
}
