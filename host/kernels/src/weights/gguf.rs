//! GGUF, version 3: key-value pairs, a table of tensors, then their bytes at aligned offsets.

use super::{Info, Limits, Metadata, Parsed, disjoint, within};
use crate::{Error, Fault, Format, Result};

/// The first bytes of every GGUF file.
pub const MAGIC: &[u8] = b"GGUF";
/// What data is aligned to when the file does not say.
pub const ALIGNMENT: u64 = 32;
/// Arrays of arrays deeper than this are refused.
const DEPTH: usize = 4;

/// A value of the metadata.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Unsigned, 8 bits.
    U8(u8),
    /// Signed, 8 bits.
    I8(i8),
    /// Unsigned, 16 bits.
    U16(u16),
    /// Signed, 16 bits.
    I16(i16),
    /// Unsigned, 32 bits.
    U32(u32),
    /// Signed, 32 bits.
    I32(i32),
    /// Single.
    F32(f32),
    /// Truth.
    Bool(bool),
    /// Text.
    Text(String),
    /// Many of one kind.
    Array(Array),
    /// Unsigned, 64 bits.
    U64(u64),
    /// Signed, 64 bits.
    I64(i64),
    /// Double.
    F64(f64),
}

/// Many values of one kind, kept as the file writes them: a vocabulary has hundreds of thousands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array {
    kind: u32,
    count: u64,
    raw: Box<[u8]>,
}

impl Array {
    /// How many values.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// An array of texts.
    pub fn of_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut raw, mut count) = (Vec::new(), 0);
        for text in texts {
            put_text(&mut raw, text);
            count += 1;
        }
        Self { kind: TEXT, count, raw: raw.into() }
    }

    /// An array of singles.
    pub fn of_f32(values: &[f32]) -> Self {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self { kind: 6, count: values.len() as u64, raw }
    }

    /// An array of integers.
    pub fn of_i32(values: &[i32]) -> Self {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self { kind: 5, count: values.len() as u64, raw }
    }

    /// The numbers, if it is an array of numbers.
    pub fn numbers(&self) -> Option<Vec<f64>> {
        let raw = self.raw.as_ref();
        Some(match self.kind {
            0 | 7 => raw.iter().map(|v| f64::from(*v)).collect(),
            1 => raw.iter().map(|v| f64::from(*v as i8)).collect(),
            2 => raw.as_chunks().0.iter().map(|v| f64::from(u16::from_le_bytes(*v))).collect(),
            3 => raw.as_chunks().0.iter().map(|v| f64::from(i16::from_le_bytes(*v))).collect(),
            4 => raw.as_chunks().0.iter().map(|v| f64::from(u32::from_le_bytes(*v))).collect(),
            5 => raw.as_chunks().0.iter().map(|v| f64::from(i32::from_le_bytes(*v))).collect(),
            6 => raw.as_chunks().0.iter().map(|v| f64::from(f32::from_le_bytes(*v))).collect(),
            10 => raw.as_chunks().0.iter().map(|v| u64::from_le_bytes(*v) as f64).collect(),
            11 => raw.as_chunks().0.iter().map(|v| i64::from_le_bytes(*v) as f64).collect(),
            12 => raw.as_chunks().0.iter().map(|v| f64::from_le_bytes(*v)).collect(),
            _ => return None,
        })
    }

    /// The texts, if it is an array of texts.
    pub fn texts(&self) -> Option<Vec<String>> {
        let mut reader = Reader { bytes: &self.raw, at: 0, limit: u64::MAX };
        (self.kind == TEXT).then(|| (0..self.count).map_while(|_| reader.text("text").ok()).collect())
    }
}

const TEXT: u32 = 8;
const ARRAY: u32 = 9;

/// Bytes of a value of fixed size.
fn width(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Metadata and table may not go beyond this many bytes.
    limit: u64,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: u64) -> Result<&'a [u8], Fault> {
        let need = (self.at as u64).saturating_add(count);
        if need > self.bytes.len() as u64 {
            return Err(Fault::Truncated { need, have: self.bytes.len() as u64 });
        }
        within("bytes of header", need, self.limit)?;
        let from = self.at;
        self.at = need as usize;
        Ok(&self.bytes[from..self.at])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N as u64)?);
        Ok(out)
    }

    fn u32(&mut self) -> Result<u32, Fault> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, Fault> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn text(&mut self, what: &'static str) -> Result<String, Fault> {
        let length = self.u64()?;
        let bytes = self.take(length)?;
        Ok(std::str::from_utf8(bytes).map_err(|_| Fault::Text(what))?.to_owned())
    }

    /// Goes over `count` values of a kind without keeping them.
    fn skip(&mut self, kind: u32, count: u64, depth: usize) -> Result<(), Fault> {
        if let Some(width) = width(kind) {
            let bytes =
                count.checked_mul(width).ok_or(Fault::TooMuch { what: "array", value: count, limit: self.limit })?;
            self.take(bytes)?;
            return Ok(());
        }
        for _ in 0..count {
            match kind {
                TEXT => {
                    let length = self.u64()?;
                    let bytes = self.take(length)?;
                    std::str::from_utf8(bytes).map_err(|_| Fault::Text("a value"))?;
                }
                ARRAY if depth < DEPTH => {
                    let (kind, count) = (self.u32()?, self.u64()?);
                    self.skip(kind, count, depth + 1)?;
                }
                ARRAY => {
                    return Err(Fault::TooMuch {
                        what: "depth of arrays",
                        value: depth as u64 + 1,
                        limit: DEPTH as u64,
                    });
                }
                _ => return Err(Fault::UnknownFormat(format!("value {kind}"))),
            }
        }
        Ok(())
    }

    fn value(&mut self) -> Result<Value, Fault> {
        Ok(match self.u32()? {
            0 => Value::U8(self.array::<1>()?[0]),
            1 => Value::I8(i8::from_le_bytes(self.array()?)),
            2 => Value::U16(u16::from_le_bytes(self.array()?)),
            3 => Value::I16(i16::from_le_bytes(self.array()?)),
            4 => Value::U32(self.u32()?),
            5 => Value::I32(i32::from_le_bytes(self.array()?)),
            6 => Value::F32(f32::from_le_bytes(self.array()?)),
            7 => Value::Bool(self.array::<1>()?[0] != 0),
            TEXT => Value::Text(self.text("a value")?),
            ARRAY => {
                let (kind, count) = (self.u32()?, self.u64()?);
                let from = self.at;
                self.skip(kind, count, 1)?;
                Value::Array(Array { kind, count, raw: self.bytes[from..self.at].into() })
            }
            10 => Value::U64(self.u64()?),
            11 => Value::I64(i64::from_le_bytes(self.array()?)),
            12 => Value::F64(f64::from_le_bytes(self.array()?)),
            kind => return Err(Fault::UnknownFormat(format!("value {kind}"))),
        })
    }
}

/// A row of the table before the begin of the data is known.
struct Row {
    name: String,
    shape: Vec<u64>,
    format: Format,
    offset: u64,
}

/// Reads all but the tensors; `bytes` are the file's first, `have` is how many there are in all.
pub(super) fn parse(bytes: &[u8], have: u64, file: &str, limits: &Limits) -> Result<Parsed> {
    let fail = |fault| Error::file(file, fault);
    let mut reader = Reader { bytes, at: MAGIC.len(), limit: limits.header };
    let version = reader.u32().map_err(fail)?;
    if !(2..=3).contains(&version) {
        return Err(fail(Fault::Not("GGUF version 2 or 3, little-endian")));
    }
    let tensors = reader.u64().map_err(fail)?;
    let pairs = reader.u64().map_err(fail)?;
    within("number of tensors", tensors, limits.tensors).map_err(fail)?;
    within("number of values", pairs, limits.tensors).map_err(fail)?;
    // No capacity is reserved from a claim: what is not in the file costs nothing.
    let mut metadata: Vec<(String, Value)> = Vec::new();
    let mut keys = std::collections::HashSet::new();
    for _ in 0..pairs {
        let key = reader.text("a key").map_err(fail)?;
        let value = reader.value().map_err(|fault| Error::file(format!("{file}: `{key}`"), fault))?;
        if !keys.insert(key.clone()) {
            return Err(Error::file(format!("{file}: `{key}`"), Fault::Twice));
        }
        metadata.push((key, value));
    }
    let alignment = alignment(&metadata).map_err(fail)?;
    let mut rows = Vec::new();
    for _ in 0..tensors {
        let name = reader.text("a tensor's name").map_err(fail)?;
        rows.push(row(&mut reader, &name, limits).map_err(|fault| Error::tensor(&name, fault))?);
    }
    let start = (reader.at as u64).next_multiple_of(alignment);
    let available = have.saturating_sub(start);
    let mut infos = Vec::with_capacity(rows.len());
    for row in rows {
        let name = row.name.clone();
        infos.push(place(row, start, available, alignment).map_err(|fault| Error::tensor(name, fault))?);
    }
    disjoint(&infos)?;
    Ok(Parsed { infos, metadata: Metadata::Gguf(metadata) })
}

fn alignment(metadata: &[(String, Value)]) -> Result<u64, Fault> {
    match metadata.iter().find(|(key, _)| key == "general.alignment") {
        None => Ok(ALIGNMENT),
        Some((_, Value::U32(n))) if n.is_power_of_two() && *n >= 8 && *n <= 1 << 20 => Ok(u64::from(*n)),
        Some(_) => Err(Fault::Not("a power of two of at least 8: general.alignment")),
    }
}

fn row(reader: &mut Reader<'_>, name: &str, limits: &Limits) -> Result<Row, Fault> {
    let dimensions = reader.u32()?;
    within("number of dimensions", u64::from(dimensions), limits.dimensions as u64)?;
    let mut shape = (0..dimensions).map(|_| reader.u64()).collect::<Result<Vec<_>, _>>()?;
    shape.reverse();
    let id = reader.u32()?;
    let format = Format::from_ggml(id).ok_or_else(|| Fault::UnknownFormat(id.to_string()))?;
    Ok(Row { name: name.to_owned(), shape, format, offset: reader.u64()? })
}

fn place(row: Row, start: u64, available: u64, alignment: u64) -> Result<Info, Fault> {
    let Row { name, shape, format, offset } = row;
    let bytes = format.bytes(&shape)?;
    if !offset.is_multiple_of(alignment) {
        return Err(Fault::Unaligned { offset, alignment });
    }
    let end = offset.saturating_add(bytes);
    if end > available {
        return Err(Fault::Outside { begin: offset, end, available });
    }
    let (begin, end) = ((start + offset) as usize, (start + end) as usize);
    Ok(Info { name, shape, format, shard: 0, begin, end })
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    let mut put = |kind: u32, bytes: &[u8]| {
        out.extend(kind.to_le_bytes());
        out.extend(bytes);
    };
    match value {
        Value::U8(v) => put(0, &v.to_le_bytes()),
        Value::I8(v) => put(1, &v.to_le_bytes()),
        Value::U16(v) => put(2, &v.to_le_bytes()),
        Value::I16(v) => put(3, &v.to_le_bytes()),
        Value::U32(v) => put(4, &v.to_le_bytes()),
        Value::I32(v) => put(5, &v.to_le_bytes()),
        Value::F32(v) => put(6, &v.to_le_bytes()),
        Value::Bool(v) => put(7, &[u8::from(*v)]),
        Value::Text(v) => {
            put(TEXT, &[]);
            put_text(out, v);
        }
        Value::Array(v) => {
            put(ARRAY, &v.kind.to_le_bytes());
            out.extend(v.count.to_le_bytes());
            out.extend(v.raw.iter());
        }
        Value::U64(v) => put(10, &v.to_le_bytes()),
        Value::I64(v) => put(11, &v.to_le_bytes()),
        Value::F64(v) => put(12, &v.to_le_bytes()),
    }
}

/// Everything before the tensors' bytes; where each begins; and the whole file's length.
pub(crate) fn header(
    tensors: &[(String, Vec<u64>, Format)],
    metadata: &[(String, Value)],
) -> Result<(Vec<u8>, Vec<u64>, u64)> {
    let alignment = alignment(metadata).map_err(|fault| Error::file("metadata", fault))?;
    let mut out = MAGIC.to_vec();
    out.extend(3u32.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        put_text(&mut out, key);
        put_value(&mut out, value);
    }
    let mut offsets = Vec::with_capacity(tensors.len());
    let mut at = 0u64;
    for (name, shape, format) in tensors {
        let refuse = |fault| Error::tensor(name, fault);
        let bytes = format.bytes(shape).map_err(refuse)?;
        let id = format.ggml().ok_or_else(|| refuse(Fault::Not("a format that GGUF has a number for")))?;
        // GGUF readers accept four dimensions and no more.
        within("number of dimensions", shape.len() as u64, 4).map_err(refuse)?;
        put_text(&mut out, name);
        // A tensor of no dimensions is one number; readers of GGUF expect to be told so.
        let shape: &[u64] = if shape.is_empty() { &[1] } else { shape };
        out.extend((shape.len() as u32).to_le_bytes());
        shape.iter().rev().for_each(|d| out.extend(d.to_le_bytes()));
        out.extend(id.to_le_bytes());
        out.extend(at.to_le_bytes());
        offsets.push(at);
        at = (at + bytes).next_multiple_of(alignment);
    }
    out.resize(out.len().next_multiple_of(alignment as usize), 0);
    let start = out.len() as u64;
    Ok((out, offsets.into_iter().map(|offset| start + offset).collect(), start + at))
}
