//! The safetensors header: a length, a JSON object, then the tensors' bytes without gaps.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{Info, Limits, Metadata, Parsed, disjoint, within};
use crate::{Error, Fault, Format, Result};

/// The key under which formats that safetensors has no name for are told: a JSON object, tensor to format and shape.
const OWN: &str = "village.formats";

/// Pairs in the file's order, which a map would lose; no more than [`MOST`].
struct Pairs<V>(Vec<(String, V)>);

/// Pairs of one object. What a header claims takes several times its own bytes: this bounds it.
const MOST: usize = 1 << 20;

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Pairs<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<V>(std::marker::PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Reader<V> {
            type Value = Pairs<V>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    if pairs.len() >= MOST {
                        return Err(too_many());
                    }
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Reader(std::marker::PhantomData))
    }
}

fn too_many<E: serde::de::Error>() -> E {
    E::custom(format!("more than {MOST} pairs"))
}

/// The header: tensors in the file's order, and the metadata.
struct Head {
    tensors: Vec<(String, Entry)>,
    metadata: Vec<(String, String)>,
}

#[derive(serde::Deserialize)]
struct Entry {
    dtype: String,
    shape: Shape,
    data_offsets: [u64; 2],
}

/// Dimensions; what comes after those that any limit accepts is not kept.
struct Shape(Vec<u64>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Shape;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of dimensions")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                const MOST: usize = 256;
                let mut shape = Vec::new();
                while let Some(dimension) = list.next_element()? {
                    if shape.len() >= MOST {
                        return Err(serde::de::Error::custom(format!("more than {MOST} dimensions")));
                    }
                    shape.push(dimension);
                }
                Ok(Shape(shape))
            }
        }
        deserializer.deserialize_seq(Reader)
    }
}

impl<'de> Deserialize<'de> for Head {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Head;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut head = Head { tensors: Vec::new(), metadata: Vec::new() };
                while let Some(name) = map.next_key::<String>()? {
                    if head.tensors.len() >= MOST {
                        return Err(too_many());
                    }
                    match name.as_str() {
                        "__metadata__" => Pairs(head.metadata) = map.next_value()?,
                        _ => head.tensors.push((name, map.next_value()?)),
                    }
                }
                Ok(head)
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

#[derive(serde::Deserialize, serde::Serialize)]
struct Own {
    format: Format,
    shape: Vec<u64>,
}

/// Reads the header; `bytes` are the file's first, `have` is how many there are in all.
pub(super) fn parse(bytes: &[u8], have: u64, file: &str, limits: &Limits) -> Result<Parsed> {
    let fail = |fault| Error::file(file, fault);
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(fail(Fault::Truncated { need: 8, have: bytes.len() as u64 }));
    };
    let length = u64::from_le_bytes(*length);
    within("bytes of header", length, limits.header).map_err(fail)?;
    let Some((header, _)) = usize::try_from(length).ok().and_then(|n| rest.split_at_checked(n)) else {
        return Err(fail(Fault::Truncated { need: length.saturating_add(8), have: bytes.len() as u64 }));
    };
    if !header.starts_with(b"{") {
        return Err(fail(Fault::Not("a safetensors file")));
    }
    let Head { tensors, mut metadata } =
        serde_json::from_slice::<Head>(header).map_err(|e| fail(Fault::Header(e.to_string())))?;
    within("number of tensors", tensors.len() as u64, limits.tensors).map_err(fail)?;

    let start = 8 + header.len();
    let available = have.saturating_sub(start as u64);
    let mut infos = Vec::with_capacity(tensors.len());
    for (name, Entry { dtype, shape: Shape(shape), data_offsets }) in tensors {
        infos.push(tensor(name, &dtype, shape, data_offsets, start, available, limits)?);
    }
    whole(&infos, start, have as usize).map_err(|(name, fault)| match name {
        Some(name) => Error::tensor(name, fault),
        None => fail(fault),
    })?;
    disjoint(&infos)?;
    if let Some(at) = metadata.iter().position(|(key, _)| key == OWN) {
        let own = metadata.remove(at).1;
        infos = join(infos, &own).map_err(|(name, fault)| Error::tensor(name, fault))?;
    }
    Ok(Parsed { infos, metadata: Metadata::Safetensors(metadata) })
}

fn tensor(
    name: String,
    dtype: &str,
    shape: Vec<u64>,
    [begin, end]: [u64; 2],
    start: usize,
    available: u64,
    limits: &Limits,
) -> Result<Info> {
    let check = || {
        within("number of dimensions", shape.len() as u64, limits.dimensions as u64)?;
        let format = Format::from_safetensors(dtype).ok_or_else(|| Fault::UnknownFormat(dtype.to_owned()))?;
        if begin > end || end > available {
            return Err(Fault::Outside { begin, end, available });
        }
        let need = format.bytes(&shape)?;
        if need != end - begin {
            return Err(Fault::Size { shape: shape.clone(), need: u128::from(need), given: end - begin });
        }
        Ok(format)
    };
    match check() {
        Ok(format) => {
            Ok(Info { name, shape, format, shard: 0, begin: start + begin as usize, end: start + end as usize })
        }
        Err(fault) => Err(Error::tensor(name, fault)),
    }
}

/// Every byte after the header belongs to a tensor; the format demands it, so that nothing hides between.
fn whole(infos: &[Info], start: usize, length: usize) -> Result<(), (Option<String>, Fault)> {
    let mut order: Vec<&Info> = infos.iter().filter(|info| info.end > info.begin).collect();
    order.sort_by_key(|info| info.begin);
    let mut at = start;
    for info in order {
        if info.begin > at {
            return Err((Some(info.name.clone()), Fault::Gap((info.begin - at) as u64)));
        }
        at = at.max(info.end);
    }
    if at < length {
        Err((None, Fault::Header(format!("{} bytes after the last tensor", length - at))))
    } else {
        Ok(())
    }
}

/// Puts the stretches of our own formats together again: they lie one after the other.
fn join(infos: Vec<Info>, own: &str) -> Result<Vec<Info>, (String, Fault)> {
    let bad = |e: serde_json::Error| (OWN.to_owned(), Fault::Header(e.to_string()));
    let Pairs(own) = serde_json::from_str::<Pairs<Own>>(own).map_err(bad)?;
    let mut place: HashMap<String, usize> = HashMap::new();
    for (number, info) in infos.iter().enumerate() {
        place.insert(info.name.clone(), number);
    }
    let mut out: Vec<Option<Info>> = infos.into_iter().map(Some).collect();
    for (name, Own { format, shape }) in own {
        let need = format.bytes(&shape).map_err(|fault| (name.clone(), fault))?;
        let mut joined: Option<Info> = None;
        let mut last = 0;
        for part in format.parts(&shape) {
            let part_name = format!("{name}{}", part.suffix);
            let missing = || (name.clone(), Fault::Missing(part_name.clone()));
            last = *place.get(&part_name).ok_or_else(missing)?;
            let info = out[last].take().ok_or_else(missing)?;
            let first = joined.get_or_insert(Info { end: info.begin, ..info.clone() });
            if info.begin != first.end {
                return Err((part_name, Fault::Not("next to the part before it")));
            }
            first.end = info.end;
        }
        if let Some(info) = joined {
            if info.bytes() != need {
                return Err((name, Fault::Size { shape, need: u128::from(need), given: info.bytes() }));
            }
            out[last] = Some(Info { name, shape, format, ..info });
        }
    }
    Ok(out.into_iter().flatten().collect())
}

/// `model.safetensors.index.json`: which file holds which tensor.
pub(super) struct Index {
    pub(super) files: Vec<String>,
    place: Vec<(String, usize)>,
    by_name: HashMap<String, usize>,
}

impl Index {
    pub(super) fn parse(text: &[u8], limits: &Limits) -> Result<Self, Fault> {
        #[derive(serde::Deserialize)]
        struct Raw {
            weight_map: Pairs<String>,
        }
        let raw: Raw = serde_json::from_slice(text).map_err(|e| Fault::Header(e.to_string()))?;
        let map = raw.weight_map.0;
        within("number of tensors", map.len() as u64, limits.tensors)?;
        let mut index = Self { files: Vec::new(), place: Vec::new(), by_name: HashMap::new() };
        let mut numbers: HashMap<String, usize> = HashMap::new();
        for (name, file) in map {
            let plain = !file.is_empty() && !file.contains(['/', '\\', ':', '\0']) && file != "." && file != "..";
            if !plain {
                return Err(Fault::Path(file));
            }
            let number = *numbers.entry(file).or_insert_with_key(|file| {
                index.files.push(file.clone());
                index.files.len() - 1
            });
            within("number of files", index.files.len() as u64, limits.shards as u64)?;
            index.by_name.insert(name.clone(), number);
            index.place.push((name, number));
        }
        Ok(index)
    }

    pub(super) fn shard(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.place.iter().map(|(name, number)| (name.as_str(), self.files[*number].as_str()))
    }
}

/// The header for tensors in this order, padded so that data begins at a multiple of 8; and where each begins.
pub(crate) fn header(
    tensors: &[(String, Vec<u64>, Format)],
    metadata: &[(String, String)],
) -> Result<(Vec<u8>, Vec<u64>)> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut own = serde_json::Map::new();
    let mut entries = Vec::new();
    let mut places = Vec::new();
    let mut at = 0u64;
    for (name, shape, format) in tensors {
        format.bytes(shape).map_err(|fault| Error::tensor(name, fault))?;
        places.push(at);
        if format.safetensors().is_none() {
            own.insert(name.clone(), serde_json::json!({ "format": format.name(), "shape": shape }));
        }
        for part in format.parts(shape) {
            // Blocks have no name of their own in this file: they are bytes, and the metadata says which.
            let (dtype, part_shape) = match part.format.safetensors() {
                Some(dtype) => (dtype, part.shape.clone()),
                None => ("U8", vec![part.format.bytes(&part.shape).map_err(|fault| Error::tensor(name, fault))?]),
            };
            let bytes = part.format.bytes(&part.shape).map_err(|fault| Error::tensor(name, fault))?;
            let key = quoted(&format!("{name}{}", part.suffix));
            let shape = part_shape.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
            let end = at + bytes;
            entries.push(format!("{key}:{{\"dtype\":\"{dtype}\",\"shape\":[{shape}],\"data_offsets\":[{at},{end}]}}"));
            at = end;
        }
    }
    let mut pairs: Vec<String> = metadata.iter().map(|(k, v)| format!("{}:{}", quoted(k), quoted(v))).collect();
    if !own.is_empty() {
        pairs.push(format!("{}:{}", quoted(OWN), quoted(&serde_json::Value::from(own).to_string())));
    }
    let mut text = String::from("{");
    if !pairs.is_empty() {
        text.push_str(&format!("\"__metadata__\":{{{}}}", pairs.join(",")));
        text.push_str(if entries.is_empty() { "" } else { "," });
    }
    text.push_str(&entries.join(","));
    text.push('}');
    while !text.len().is_multiple_of(8) {
        text.push(' ');
    }
    let mut out = (text.len() as u64).to_le_bytes().to_vec();
    out.extend_from_slice(text.as_bytes());
    let start = out.len() as u64;
    Ok((out, places.into_iter().map(|place| place + start).collect()))
}
