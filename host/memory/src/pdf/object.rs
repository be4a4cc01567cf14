//! The words of a PDF: numbers, names, strings, lists and maps.

use super::{Answer, Purse, unreadable};
use std::collections::HashMap;
use std::ops::Range;

pub(crate) type Map = HashMap<String, Object>;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Object {
    Null,
    Number(f64),
    Name(String),
    Text(Vec<u8>),
    List(Vec<Object>),
    Map(Map),
    Ref(u32),
    /// What it says of itself, and where its bytes are in the file.
    Stream(Map, Range<usize>),
    /// A word that is no value: what a page does with those before it.
    Word(Vec<u8>),
    End,
}

/// Lists and maps nest no deeper.
const DEPTH: usize = 64;

/// Reads values one after the other.
pub(crate) struct Parser<'a> {
    bytes: &'a [u8],
    pub(crate) at: usize,
    purse: &'a Purse,
    depth: usize,
}

fn is_space(byte: u8) -> bool {
    matches!(byte, 0 | b'\t' | b'\n' | 12 | b'\r' | b' ')
}

fn is_delimiter(byte: u8) -> bool {
    matches!(byte, b'(' | b')' | b'<' | b'>' | b'[' | b']' | b'{' | b'}' | b'/' | b'%')
}

/// Where objects begin, by their numbers, in the order of the file: behind `7 0 obj`.
pub(crate) fn all(bytes: &[u8]) -> Vec<(u32, usize)> {
    let mut found = Vec::new();
    for at in 3..bytes.len().saturating_sub(2) {
        if &bytes[at..at + 3] != b"obj" || !is_space(bytes[at - 1]) {
            continue;
        }
        let before = |mut end: usize| {
            while end > 0 && is_space(bytes[end - 1]) {
                end -= 1;
            }
            let start = (end.saturating_sub(10)..end).rev().take_while(|at| bytes[*at].is_ascii_digit()).last()?;
            Some((start, std::str::from_utf8(&bytes[start..end]).ok()?.parse::<u32>().ok()?))
        };
        if let Some((generation, _)) = before(at)
            && let Some((_, number)) = before(generation)
        {
            found.push((number, at + 3));
        }
    }
    found
}

/// The next byte that is no white space.
pub(crate) fn skip_space(bytes: &[u8], from: usize) -> Option<usize> {
    (from..bytes.len().min(from + 4)).find(|at| !is_space(bytes[*at]))
}

impl<'a> Parser<'a> {
    pub(crate) fn new(bytes: &'a [u8], at: usize, purse: &'a Purse) -> Parser<'a> {
        Parser { bytes, at, purse, depth: 0 }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b'%' => {
                    while self.peek().is_some_and(|byte| byte != b'\n' && byte != b'\r') {
                        self.at += 1;
                    }
                }
                byte if is_space(byte) => self.at += 1,
                _ => return,
            }
        }
    }

    /// The next value, word, or the end.
    pub(crate) fn object(&mut self) -> Answer<Object> {
        let from = self.at;
        let object = self.next();
        self.purse.spend(self.at - from + 8)?;
        object
    }

    fn next(&mut self) -> Answer<Object> {
        self.space();
        let Some(byte) = self.peek() else { return Ok(Object::End) };
        match byte {
            b'/' => Ok(Object::Name(self.name())),
            b'(' => Ok(Object::Text(self.literal())),
            b'<' if self.bytes.get(self.at + 1) == Some(&b'<') => self.nest(Self::map),
            b'<' => {
                self.at += 1;
                let start = self.at;
                while self.peek().is_some_and(|byte| byte != b'>') {
                    self.at += 1;
                }
                let text = hex(&self.bytes[start..self.at]);
                self.at = (self.at + 1).min(self.bytes.len());
                Ok(Object::Text(text))
            }
            b'[' => self.nest(Self::list),
            b'+' | b'-' | b'.' | b'0'..=b'9' => Ok(self.number()),
            byte if is_delimiter(byte) => {
                let length = if self.bytes[self.at..].starts_with(b">>") { 2 } else { 1 };
                self.at += length;
                Ok(Object::Word(self.bytes[self.at - length..self.at].to_vec()))
            }
            _ => {
                let word = self.word();
                Ok(match word {
                    b"null" | b"true" | b"false" => Object::Null,
                    word => Object::Word(word.to_vec()),
                })
            }
        }
    }

    fn nest(&mut self, read: impl FnOnce(&mut Self) -> Answer<Object>) -> Answer<Object> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(unreadable("it nests too deep"));
        }
        let object = read(self);
        self.depth -= 1;
        object
    }

    fn word(&mut self) -> &'a [u8] {
        let start = self.at;
        while self.peek().is_some_and(|byte| !is_space(byte) && !is_delimiter(byte)) {
            self.at += 1;
        }
        &self.bytes[start..self.at]
    }

    fn name(&mut self) -> String {
        self.at += 1;
        let word = self.word();
        let mut name = Vec::with_capacity(word.len());
        let mut at = 0;
        while at < word.len() {
            let code =
                word.get(at + 1..at + 3).and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
            match (word[at], code) {
                (b'#', Some(code)) => {
                    name.push(code);
                    at += 3;
                }
                (byte, _) => {
                    name.push(byte);
                    at += 1;
                }
            }
        }
        String::from_utf8_lossy(&name).into_owned()
    }

    /// A number, or a reference to an object: `7 0 R`.
    fn number(&mut self) -> Object {
        let word = self.word();
        let Some(number) = std::str::from_utf8(word).ok().and_then(|word| word.parse::<f64>().ok()) else {
            return Object::Word(word.to_vec());
        };
        let after = self.at;
        if word.iter().all(u8::is_ascii_digit) && number <= f64::from(u32::MAX) {
            self.space();
            let generation = self.word();
            if (1..=5).contains(&generation.len()) && generation.iter().all(u8::is_ascii_digit) {
                self.space();
                if self.word() == b"R" {
                    return Object::Ref(number as u32);
                }
            }
            self.at = after;
        }
        Object::Number(number)
    }

    fn literal(&mut self) -> Vec<u8> {
        self.at += 1;
        let (mut text, mut open) = (Vec::new(), 1);
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'(' => open += 1,
                b')' => {
                    open -= 1;
                    if open == 0 {
                        return text;
                    }
                }
                b'\\' => {
                    self.escaped(&mut text);
                    continue;
                }
                _ => {}
            }
            text.push(byte);
        }
        text
    }

    fn escaped(&mut self, text: &mut Vec<u8>) {
        let Some(byte) = self.peek() else { return };
        self.at += 1;
        match byte {
            b'n' => text.push(b'\n'),
            b'r' => text.push(b'\r'),
            b't' => text.push(b'\t'),
            b'b' | b'f' => {}
            b'\r' => self.at += usize::from(self.peek() == Some(b'\n')),
            b'\n' => {}
            b'0'..=b'7' => {
                let mut code = u32::from(byte - b'0');
                for _ in 0..2 {
                    let Some(digit @ b'0'..=b'7') = self.peek() else { break };
                    code = code * 8 + u32::from(digit - b'0');
                    self.at += 1;
                }
                text.push(code as u8);
            }
            other => text.push(other),
        }
    }

    fn list(&mut self) -> Answer<Object> {
        self.at += 1;
        let mut list = Vec::new();
        loop {
            match self.object()? {
                Object::Word(word) if word == b"]" => return Ok(Object::List(list)),
                Object::Word(word) if word == b"endobj" || word == b"endstream" => return Ok(Object::List(list)),
                Object::End => return Ok(Object::List(list)),
                Object::Word(_) => {}
                object => list.push(object),
            }
        }
    }

    fn map(&mut self) -> Answer<Object> {
        self.at += 2;
        let mut map = Map::new();
        loop {
            let name = match self.object()? {
                Object::Name(name) => name,
                Object::Word(word) if word == b">>" || word == b"endobj" => return Ok(Object::Map(map)),
                Object::End => return Ok(Object::Map(map)),
                _ => continue,
            };
            match self.object()? {
                Object::Word(word) if word == b">>" => return Ok(Object::Map(map)),
                Object::End => return Ok(Object::Map(map)),
                value => drop(map.insert(name, value)),
            }
        }
    }

    /// Where the bytes begin of a stream whose map was just read; none if it is none.
    pub(crate) fn stream(&mut self) -> Option<usize> {
        self.space();
        if self.word() != b"stream" {
            return None;
        }
        match (self.peek(), self.bytes.get(self.at + 1)) {
            (Some(b'\r'), Some(b'\n')) => Some(self.at + 2),
            (Some(b'\n' | b'\r'), _) => Some(self.at + 1),
            _ => Some(self.at),
        }
    }
}

/// Bytes that are written in hexadecimal digits.
pub(crate) fn hex(text: &[u8]) -> Vec<u8> {
    let digits = text.iter().take_while(|byte| **byte != b'>').filter_map(|byte| (*byte as char).to_digit(16));
    let digits: Vec<u8> = digits.map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair.get(1).copied().unwrap_or(0)).collect()
}

/// Bytes that are written four in five characters.
pub(crate) fn ascii85(text: &[u8]) -> Vec<u8> {
    let (mut bytes, mut group) = (Vec::new(), Vec::new());
    let flush = |group: &mut Vec<u8>, bytes: &mut Vec<u8>| {
        let length = group.len();
        if length < 2 {
            return group.clear();
        }
        group.resize(5, 84);
        let value = group.iter().fold(0u32, |value, digit| value.wrapping_mul(85).wrapping_add(u32::from(*digit)));
        bytes.extend_from_slice(&value.to_be_bytes()[..length - 1]);
        group.clear();
    };
    for byte in text {
        match byte {
            b'~' => break,
            b'z' if group.is_empty() => bytes.extend_from_slice(&[0; 4]),
            b'!'..=b'u' => {
                group.push(byte - b'!');
                if group.len() == 5 {
                    flush(&mut group, &mut bytes);
                }
            }
            _ => {}
        }
    }
    flush(&mut group, &mut bytes);
    bytes
}
