//! The safetensors header: a length, a JSON object, then the tensors' bytes without gaps.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::{Info, Limits, Metadata, Parsed, disjoint, within};
use crate::{Error, Fault, Format, Result};

/// The key under which formats that safetensors has no name for are told: a JSON object, tensor to format and shape.
const OWN: &str = "village.formats";

/// Pairs in the file's order, which a map would lose.
struct Pairs<V>(Vec<(String, V)>);

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
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Reader(std::marker::PhantomData))
    }
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Entry {
    Tensor { dtype: String, shape: Vec<u64>, data_offsets: [u64; 2] },
    Metadata(Pairs<String>),
}

#[derive(serde::Deserialize, serde::Serialize)]
struct Own {
    format: Format,
    shape: Vec<u64>,
}

pub(super) fn parse(bytes: &[u8], file: &str, limits: &Limits) -> Result<Parsed> {
    let fail = |fault| Error::file(file, fault);
    let have = bytes.len() as u64;
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(fail(Fault::Truncated { need: 8, have }));
    };
    let length = u64::from_le_bytes(*length);
    within("bytes of header", length, limits.header).map_err(fail)?;
    let Some((header, data)) = usize::try_from(length).ok().and_then(|n| rest.split_at_checked(n)) else {
        return Err(fail(Fault::Truncated { need: length.saturating_add(8), have }));
    };
    if !header.starts_with(b"{") {
        return Err(fail(Fault::Not("a safetensors file")));
    }
    let Pairs(entries) =
        serde_json::from_slice::<Pairs<Entry>>(header).map_err(|e| fail(Fault::Header(e.to_string())))?;
    within("number of tensors", entries.len() as u64, limits.tensors).map_err(fail)?;

    let start = 8 + header.len();
    let mut infos = Vec::with_capacity(entries.len());
    let mut metadata = Vec::new();
    for (name, entry) in entries {
        match entry {
            Entry::Metadata(Pairs(pairs)) if name == "__metadata__" => metadata = pairs,
            Entry::Tensor { dtype, shape, data_offsets } if name != "__metadata__" => {
                let info = tensor(name, &dtype, shape, data_offsets, start, data.len() as u64, limits)?;
                infos.push(info);
            }
            _ => return Err(fail(Fault::Header(format!("`{name}` is neither a tensor nor metadata")))),
        }
    }
    whole(&infos, start, bytes.len()).map_err(|(name, fault)| match name {
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
