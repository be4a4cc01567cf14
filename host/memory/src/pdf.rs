//! PDF: the text of its pages, in the order in which they draw it.
//!
//! A subset, and an honest one: streams that are plain, deflated, or in digits; fonts that say what their characters are. What is
//! encrypted, scanned, or packed in another way is refused. All that is read and unpacked is paid for out of one purse, so that
//! a small file can't ask for much.

mod content;
mod font;
mod object;

use crate::Error;
use crate::cut::Section;
use crate::read::Extracted;
use content::Writer;
use font::Font;
use object::{Map, Object, Parser};
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// What reading costs at most: so many bytes for a start, and so many times the file.
const START: u64 = 32 << 20;
const TIMES: u64 = 24;

/// What is unpacked is at most so large, each stream of it.
const UNPACKED: usize = 32 << 20;

/// Pages, and how deep they and what they draw may nest.
const PAGES: usize = 10_000;
const DEPTH: usize = 32;

pub(crate) fn unreadable(why: impl Into<String>) -> Error {
    Error::Unreadable { what: "the PDF", why: why.into() }
}

type Answer<T> = Result<T, Error>;

/// What is left to be spent on a file.
pub(crate) struct Purse(Cell<u64>);

impl Purse {
    pub(crate) fn spend(&self, bytes: usize) -> Answer<()> {
        let left = self.0.get().checked_sub(bytes as u64);
        self.0.set(left.ok_or_else(|| unreadable("it unpacks to far more than it is"))?);
        Ok(())
    }
}

/// The text of a file's pages, a section each.
pub(crate) fn extract(bytes: &[u8]) -> Answer<Extracted> {
    let head = &bytes[..bytes.len().min(1024)];
    if !head.windows(5).any(|window| window == b"%PDF-") {
        return Err(unreadable("it does not begin as one"));
    }
    let file = File::open(bytes)?;
    let pages = file.pages()?;
    if pages.is_empty() {
        return Err(unreadable("it has no pages"));
    }
    let (mut text, mut sections, mut unknown) = (String::new(), Vec::new(), 0);
    for page in &pages {
        let start = text.len();
        let mut writer = Writer::new(&file, &mut text);
        writer.page(page)?;
        unknown += writer.unknown;
        text.push_str("\n\n");
        sections.push(Section { range: start..text.len(), context: String::new(), lines: false });
    }
    if text.trim().is_empty() && unknown > 0 {
        return Err(unreadable("its fonts don't say what their characters are"));
    }
    Ok(Extracted { text, stretches: None, sections })
}

/// Where an object is.
#[derive(Clone, Copy)]
enum Spot {
    /// At this byte of the file.
    File(usize),
    /// At this byte of what that stream unpacks to.
    Packed(u32, usize),
}

/// A file: its objects by their numbers.
pub(crate) struct File<'a> {
    bytes: &'a [u8],
    purse: Purse,
    spots: HashMap<u32, Spot>,
    unpacked: HashMap<u32, Rc<Vec<u8>>>,
    fonts: std::cell::RefCell<HashMap<u32, Rc<Font>>>,
}

/// A page, or a form within one: what it draws, and with what.
pub(crate) struct Page {
    pub(crate) content: Vec<Object>,
    pub(crate) resources: Map,
}

impl<'a> File<'a> {
    fn open(bytes: &'a [u8]) -> Answer<File<'a>> {
        let purse = Purse(Cell::new(START + TIMES * bytes.len() as u64));
        let (unpacked, fonts) = Default::default();
        let mut file = File { bytes, purse, spots: HashMap::new(), unpacked, fonts };
        file.purse.spend(bytes.len())?;
        // They are looked for, and not looked up: tables of where they are may be broken, or packed themselves.
        for (number, at) in object::all(bytes) {
            file.spots.insert(number, Spot::File(at));
        }
        if bytes.windows(8).any(|window| window == b"/Encrypt") {
            return Err(unreadable("it is encrypted"));
        }
        file.unpack()?;
        Ok(file)
    }

    /// Finds the objects that are packed in streams.
    fn unpack(&mut self) -> Answer<()> {
        let mut numbers: Vec<u32> = self.spots.keys().copied().collect();
        numbers.sort_unstable();
        for number in numbers {
            let Some(Spot::File(at)) = self.spots.get(&number).copied() else { continue };
            // Most objects are none of these: look before reading all of it.
            let near = &self.bytes[at..(at + 512).min(self.bytes.len())];
            if !near.windows(7).any(|window| window == b"/ObjStm") {
                continue;
            }
            let Object::Stream(map, range) = self.object(number)? else { continue };
            let (Some(count), Some(first)) = (self.number(&map, "N")?, self.number(&map, "First")?) else { continue };
            let Some(data) = self.decode(&map, &self.bytes[range])? else { continue };
            let mut parser = Parser::new(&data, 0, &self.purse);
            for _ in 0..(count as usize).min(data.len()) {
                let (Object::Number(number), Object::Number(at)) = (parser.object()?, parser.object()?) else { break };
                self.spots.entry(number as u32).or_insert(Spot::Packed(0, 0));
                let spot = Spot::Packed(self.unpacked.len() as u32, first as usize + at as usize);
                // What stands by itself in the file, and again in a stream, is rare; the stream is mostly the later one.
                if !matches!(self.spots.get(&(number as u32)), Some(Spot::File(_))) {
                    self.spots.insert(number as u32, spot);
                }
            }
            let place = self.unpacked.len() as u32;
            self.unpacked.insert(place, Rc::new(data));
        }
        Ok(())
    }

    /// The object of that number.
    fn object(&self, number: u32) -> Answer<Object> {
        match self.spots.get(&number) {
            Some(Spot::File(at)) => {
                let mut parser = Parser::new(self.bytes, *at, &self.purse);
                match parser.object()? {
                    Object::Map(map) => match parser.stream() {
                        Some(start) => {
                            let end = self.stream_end(&map, start)?;
                            Ok(Object::Stream(map, start..end))
                        }
                        None => Ok(Object::Map(map)),
                    },
                    other => Ok(other),
                }
            }
            Some(Spot::Packed(stream, at)) => {
                let Some(data) = self.unpacked.get(stream) else { return Ok(Object::Null) };
                Parser::new(data, (*at).min(data.len()), &self.purse).object()
            }
            None => Ok(Object::Null),
        }
    }

    fn stream_end(&self, map: &Map, start: usize) -> Answer<usize> {
        if let Some(length) = self.number(map, "Length")?
            && let Some(end) = start.checked_add(length as usize).filter(|end| *end <= self.bytes.len())
            && object::skip_space(self.bytes, end).is_some_and(|at| self.bytes[at..].starts_with(b"endstream"))
        {
            return Ok(end);
        }
        let rest = &self.bytes[start.min(self.bytes.len())..];
        let end = rest.windows(9).position(|window| window == b"endstream").unwrap_or(rest.len());
        self.purse.spend(end)?;
        Ok(start + end)
    }

    /// What an object is, wherever it is said.
    pub(crate) fn resolve(&self, object: &Object) -> Answer<Object> {
        let mut object = object.clone();
        for _ in 0..DEPTH {
            match object {
                Object::Ref(number) => object = self.object(number)?,
                other => return Ok(other),
            }
        }
        Ok(Object::Null)
    }

    /// What a map says under a name.
    pub(crate) fn get(&self, map: &Map, name: &str) -> Answer<Object> {
        map.get(name).map_or(Ok(Object::Null), |object| self.resolve(object))
    }

    pub(crate) fn map(&self, map: &Map, name: &str) -> Answer<Map> {
        Ok(match self.get(map, name)? {
            Object::Map(map) | Object::Stream(map, _) => map,
            _ => Map::new(),
        })
    }

    pub(crate) fn number(&self, map: &Map, name: &str) -> Answer<Option<f64>> {
        Ok(match self.get(map, name)? {
            Object::Number(number) => Some(number),
            _ => None,
        })
    }

    pub(crate) fn list(&self, map: &Map, name: &str) -> Answer<Vec<Object>> {
        Ok(match self.get(map, name)? {
            Object::List(list) => list,
            Object::Null => Vec::new(),
            other => vec![other],
        })
    }

    /// A stream's bytes; none if it is packed in a way that is not known here.
    pub(crate) fn data(&self, object: &Object) -> Answer<Option<Vec<u8>>> {
        match self.resolve(object)? {
            Object::Stream(map, range) => self.decode(&map, &self.bytes[range]),
            _ => Ok(None),
        }
    }

    fn decode(&self, map: &Map, bytes: &[u8]) -> Answer<Option<Vec<u8>>> {
        self.purse.spend(bytes.len())?;
        let mut data = bytes.to_vec();
        for filter in self.list(map, "Filter")? {
            let Object::Name(filter) = self.resolve(&filter)? else { return Ok(None) };
            data = match filter.as_str() {
                "FlateDecode" | "Fl" if !self.predicted(map)? => inflate(&data)?,
                "ASCIIHexDecode" | "AHx" => object::hex(&data),
                "ASCII85Decode" | "A85" => object::ascii85(&data),
                _ => return Ok(None),
            };
            self.purse.spend(data.len())?;
        }
        Ok(Some(data))
    }

    /// Whether a stream was made smaller by saying only how it differs from what comes before.
    fn predicted(&self, map: &Map) -> Answer<bool> {
        for parameters in self.list(map, "DecodeParms")? {
            if let Object::Map(parameters) = self.resolve(&parameters)?
                && self.number(&parameters, "Predictor")?.is_some_and(|number| number > 1.0)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// All pages, in order.
    fn pages(&self) -> Answer<Vec<Page>> {
        let (mut root, mut loose) = (None, Vec::new());
        let mut numbers: Vec<u32> = self.spots.keys().copied().collect();
        numbers.sort_unstable();
        for number in numbers {
            let Object::Map(map) = self.object(number)? else { continue };
            match map.get("Type") {
                Some(Object::Name(name)) if name == "Catalog" => root = map.get("Pages").cloned(),
                Some(Object::Name(name)) if name == "Page" => loose.push(Object::Ref(number)),
                _ => {}
            }
        }
        let mut pages = Vec::new();
        let mut seen = HashSet::new();
        let mut waiting: Vec<(Object, Map, usize)> = match root {
            Some(root) => vec![(root, Map::new(), 0)],
            None => loose.into_iter().rev().map(|page| (page, Map::new(), 0)).collect(),
        };
        while let Some((object, above, depth)) = waiting.pop() {
            if let Object::Ref(number) = object
                && !seen.insert(number)
            {
                continue;
            }
            let Object::Map(map) = self.resolve(&object)? else { continue };
            let own = self.map(&map, "Resources")?;
            let resources = if own.is_empty() { above } else { own };
            match self.get(&map, "Kids")? {
                Object::List(kids) if depth < DEPTH => {
                    self.purse.spend(kids.len() * (64 + 32 * resources.len()))?;
                    waiting.extend(kids.into_iter().rev().map(|kid| (kid, resources.clone(), depth + 1)));
                }
                Object::List(_) => return Err(unreadable("its pages nest too deep")),
                _ if pages.len() == PAGES => return Err(unreadable(format!("it has more than {PAGES} pages"))),
                _ => pages.push(Page { content: self.content(&map)?, resources }),
            }
        }
        Ok(pages)
    }

    fn content(&self, page: &Map) -> Answer<Vec<Object>> {
        Ok(match page.get("Contents") {
            Some(Object::List(parts)) => parts.clone(),
            Some(Object::Ref(number)) => match self.object(*number)? {
                Object::List(parts) => parts,
                _ => vec![Object::Ref(*number)],
            },
            _ => Vec::new(),
        })
    }

    /// A font by its name in some resources.
    pub(crate) fn font(&self, resources: &Map, name: &str) -> Answer<Option<Rc<Font>>> {
        let fonts = self.map(resources, "Font")?;
        let Some(object) = fonts.get(name) else { return Ok(None) };
        if let Object::Ref(number) = object
            && let Some(known) = self.fonts.borrow().get(number)
        {
            return Ok(Some(known.clone()));
        }
        let Object::Map(map) = self.resolve(object)? else { return Ok(None) };
        let font = Rc::new(Font::read(self, &map)?);
        if let Object::Ref(number) = object {
            self.fonts.borrow_mut().insert(*number, font.clone());
        }
        Ok(Some(font))
    }

    pub(crate) fn purse(&self) -> &Purse {
        &self.purse
    }
}

fn inflate(data: &[u8]) -> Answer<Vec<u8>> {
    use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_zlib_with_limit};
    match decompress_to_vec_zlib_with_limit(data, UNPACKED) {
        Ok(data) => Ok(data),
        Err(error) if error.status == TINFLStatus::HasMoreOutput => {
            Err(unreadable("it unpacks to far more than it is"))
        }
        // A stream that was cut off is read as far as it goes.
        Err(error) => Ok(error.output),
    }
}

#[cfg(test)]
mod tests;
