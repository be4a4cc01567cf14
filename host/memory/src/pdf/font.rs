//! Fonts: which characters the bytes of a text stand for, and how wide they are.

mod glyphs;

use super::object::{Map, Object, Parser};
use super::{Answer, File};
use glyphs::{MAC, STANDARD, WINDOWS, glyph};
use std::collections::HashMap;

/// What the bytes of a text mean.
pub(crate) struct Font {
    /// Two bytes a character, and not one.
    wide: bool,
    /// What characters are, by their codes.
    known: HashMap<u32, String>,
    /// What is not known is UTF-16.
    utf16: bool,
    widths: HashMap<u32, f64>,
    width: f64,
}

/// A range of characters is at most so long.
const RANGE: u32 = 1 << 16;

impl Font {
    pub(crate) fn read(file: &File<'_>, map: &Map) -> Answer<Font> {
        let composite = map.get("Subtype") == Some(&Object::Name("Type0".into()));
        let (known, widths) = Default::default();
        let mut font = Font { wide: composite, known, utf16: false, widths, width: 500.0 };
        match composite {
            true => font.composite(file, map)?,
            false => font.simple(file, map)?,
        }
        if let Some(to_unicode) = map.get("ToUnicode")
            && let Some(data) = file.data(to_unicode)?
        {
            font.learn(file, &data)?;
        }
        Ok(font)
    }

    fn composite(&mut self, file: &File<'_>, map: &Map) -> Answer<()> {
        if let Object::Name(encoding) = file.get(map, "Encoding")? {
            self.utf16 = encoding.contains("UCS2") || encoding.contains("UTF16");
        }
        let Some(below) = file.list(map, "DescendantFonts")?.into_iter().next() else { return Ok(()) };
        let Object::Map(below) = file.resolve(&below)? else { return Ok(()) };
        self.width = file.number(&below, "DW")?.unwrap_or(1000.0);
        let list = file.list(&below, "W")?;
        let mut at = 0;
        while at + 1 < list.len() {
            match (&list[at], file.resolve(&list[at + 1])?, list.get(at + 2)) {
                (Object::Number(first), Object::List(widths), _) => {
                    for (next, width) in widths.iter().enumerate() {
                        if let Object::Number(width) = width {
                            self.widths.insert(*first as u32 + next as u32, *width);
                        }
                    }
                    at += 2;
                }
                (Object::Number(first), Object::Number(last), Some(Object::Number(width))) => {
                    let (first, last) = (*first as u32, last as u32);
                    let last = last.min(first.saturating_add(RANGE));
                    file.purse().spend((last.saturating_sub(first) as usize + 1) * 16)?;
                    self.widths.extend((first..=last).map(|code| (code, *width)));
                    at += 3;
                }
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    fn simple(&mut self, file: &File<'_>, map: &Map) -> Answer<()> {
        let encoding = file.get(map, "Encoding")?;
        let (base, differences) = match &encoding {
            Object::Name(name) => (name.clone(), Vec::new()),
            Object::Map(map) => {
                let base = match file.get(map, "BaseEncoding")? {
                    Object::Name(name) => name,
                    _ => String::new(),
                };
                (base, file.list(map, "Differences")?)
            }
            _ => (String::new(), Vec::new()),
        };
        for code in 0x20..0x7f_u8 {
            self.known.insert(code.into(), char::from(code).to_string());
        }
        match base.as_str() {
            "MacRomanEncoding" => self.above(0x80, MAC),
            "WinAnsiEncoding" => {
                self.above(0x80, WINDOWS);
                self.above(0xa0, &(0xa0..=0xff_u8).map(char::from).collect::<String>());
            }
            _ => {
                for (code, shown) in STANDARD {
                    self.known.insert(code.into(), shown.into());
                }
            }
        }
        let mut code = 0;
        for difference in differences {
            match difference {
                Object::Number(next) => code = next as u32,
                Object::Name(name) => {
                    match glyph(&name) {
                        Some(shown) => self.known.insert(code, shown),
                        None => self.known.remove(&code),
                    };
                    code = code.saturating_add(1);
                }
                _ => {}
            }
        }
        let first = file.number(map, "FirstChar")?.unwrap_or(0.0) as u32;
        for (next, width) in file.list(map, "Widths")?.iter().enumerate().take(256) {
            if let Object::Number(width) = file.resolve(width)? {
                self.widths.insert(first.saturating_add(next as u32), width);
            }
        }
        Ok(())
    }

    fn above(&mut self, first: u32, shown: &str) {
        let known = shown.chars().enumerate().filter(|(_, shown)| *shown != '\u{fffd}');
        self.known.extend(known.map(|(next, shown)| (first + next as u32, shown.to_string())));
    }

    /// Learns what a table says that the file has for this.
    fn learn(&mut self, file: &File<'_>, data: &[u8]) -> Answer<()> {
        let mut parser = Parser::new(data, 0, file.purse());
        let mut values: Vec<Object> = Vec::new();
        loop {
            match parser.object()? {
                Object::End => return Ok(()),
                Object::Word(word) => {
                    match word.as_slice() {
                        b"endcodespacerange" => {
                            if let Some(Object::Text(last)) = values.last() {
                                self.wide = last.len() > 1;
                            }
                        }
                        b"endbfchar" => {
                            for pair in values.chunks_exact(2) {
                                if let [Object::Text(code), Object::Text(shown)] = pair {
                                    self.known.insert(number(code), utf16(shown));
                                }
                            }
                        }
                        b"endbfrange" => self.ranges(file, &values)?,
                        _ => {}
                    }
                    values.clear();
                }
                value => values.push(value),
            }
        }
    }

    fn ranges(&mut self, file: &File<'_>, values: &[Object]) -> Answer<()> {
        for triple in values.chunks_exact(3) {
            match triple {
                [Object::Text(first), Object::Text(last), Object::Text(shown)] => {
                    let (first, last) = (number(first), number(last));
                    let last = last.min(first.saturating_add(RANGE));
                    for code in first..=last {
                        file.purse().spend(shown.len() + 16)?;
                        let mut shown = shown.clone();
                        // Only the last of several goes up.
                        if let [.., high, low] = shown.as_mut_slice() {
                            let next = u16::from_be_bytes([*high, *low]).wrapping_add((code - first) as u16);
                            [*high, *low] = next.to_be_bytes();
                        }
                        self.known.insert(code, utf16(&shown));
                    }
                }
                [Object::Text(first), Object::Text(_), Object::List(all)] => {
                    for (next, shown) in all.iter().enumerate() {
                        if let Object::Text(shown) = shown {
                            self.known.insert(number(first).saturating_add(next as u32), utf16(shown));
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Each character of a text, if it is known, with its width.
    pub(crate) fn decode<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = (Option<String>, f64)> + 'a {
        bytes.chunks(if self.wide { 2 } else { 1 }).map(|code| {
            let code_number = number(code);
            let width = self.widths.get(&code_number).copied().unwrap_or(self.width);
            let shown = self.known.get(&code_number).cloned();
            (shown.or_else(|| self.utf16.then(|| utf16(code))), width)
        })
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn utf16(bytes: &[u8]) -> String {
    let units: Vec<u16> = bytes
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u16::from_be_bytes([*high, *low]),
            [one, ..] => u16::from(*one),
            [] => 0,
        })
        .collect();
    String::from_utf16_lossy(&units)
}
