//! The letters of JSON: where values begin and end, strings and numbers.

use std::borrow::Cow;

use serde::de::{Error, Expected, Unexpected};

use super::fault::Fault;

/// How deep values may stand in each other: each level takes stack.
const DEEPEST: u8 = 128;

pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: u8,
}

type Outcome<T> = Result<T, Fault>;

impl<'a> Reader<'a> {
    pub(super) fn of(body: &'a [u8]) -> Outcome<Reader<'a>> {
        let text = std::str::from_utf8(body).map_err(|_| Fault::new("is not UTF-8"))?;
        Ok(Reader { text, at: 0, depth: 0 })
    }

    /// The next letter that is no space.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    /// Takes `letter`, if it is the next one that is no space.
    pub(super) fn take(&mut self, letter: u8) -> bool {
        let there = self.peek() == Some(letter);
        self.at += usize::from(there);
        there
    }

    /// There is nothing but space behind the value.
    pub(super) fn end(&mut self) -> Outcome<()> {
        if self.peek().is_some() { Err(self.broken("there is more behind the end")) } else { Ok(()) }
    }

    /// What is no JSON, with the place.
    #[cold]
    pub(super) fn broken(&self, reason: &str) -> Fault {
        let before = &self.text.as_bytes()[..self.at.min(self.text.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let column = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count();
        Fault::new(
            &["is not JSON at line ", &line.to_string(), ", column ", &column.to_string(), ": ", reason].concat(),
        )
    }

    /// What is JSON, and not what is wanted.
    #[cold]
    pub(super) fn mismatch(&mut self, expected: &dyn Expected) -> Fault {
        let unexpected = match self.peek() {
            Some(b'"') => match self.string() {
                Ok(text) => return Fault::invalid_type(Unexpected::Str(&text), expected),
                Err(fault) => return fault,
            },
            Some(b'-' | b'0'..=b'9') => match self.number() {
                Ok(number) => {
                    return Fault::invalid_type(Unexpected::Other(&["the number ", number].concat()), expected);
                }
                Err(fault) => return fault,
            },
            Some(b'{') => Unexpected::Map,
            Some(b'[') => Unexpected::Seq,
            Some(b't') if self.word("true") => Unexpected::Bool(true),
            Some(b'f') if self.word("false") => Unexpected::Bool(false),
            Some(b'n') if self.word("null") => Unexpected::Unit,
            Some(_) => return self.broken("a value is missing"),
            None => return self.broken("it ends too early"),
        };
        Fault::invalid_type(unexpected, expected)
    }

    /// Takes `true`, `false` or `null`.
    pub(super) fn word(&mut self, word: &str) -> bool {
        self.peek();
        let there = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        if there {
            self.at += word.len();
        }
        there
    }

    pub(super) fn enter(&mut self) -> Outcome<()> {
        self.depth += 1;
        if self.depth > DEEPEST { Err(self.broken("it is too deep")) } else { Ok(()) }
    }

    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// A number as it is written.
    pub(super) fn number(&mut self) -> Outcome<&'a str> {
        self.peek();
        let start = self.at;
        self.letter(b"-");
        if !self.letter(b"0") {
            self.digits()?;
        }
        if self.letter(b".") {
            self.digits()?;
        }
        if self.letter(b"eE") {
            self.letter(b"+-");
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    fn letter(&mut self, letters: &[u8]) -> bool {
        let there = self.text.as_bytes().get(self.at).is_some_and(|byte| letters.contains(byte));
        self.at += usize::from(there);
        there
    }

    fn digits(&mut self) -> Outcome<()> {
        let start = self.at;
        while self.text.as_bytes().get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at == start { Err(self.broken("a digit is missing")) } else { Ok(()) }
    }

    /// A string: a piece of the text, unless something in it is escaped.
    pub(super) fn string(&mut self) -> Outcome<Cow<'a, str>> {
        if !self.take(b'"') {
            return Err(self.broken("a string is missing"));
        }
        let mut owned = String::new();
        loop {
            let start = self.at;
            let rest = &self.text.as_bytes()[start..];
            let length = plain(rest);
            if length == rest.len() {
                self.at = self.text.len();
                return Err(self.broken("a string has no end"));
            }
            let piece = &self.text[start..start + length];
            self.at += length + 1;
            match rest[length] {
                b'"' if owned.is_empty() => return Ok(Cow::Borrowed(piece)),
                b'"' => {
                    owned.push_str(piece);
                    return Ok(Cow::Owned(owned));
                }
                b'\\' => {
                    owned.push_str(piece);
                    owned.push(self.escape()?);
                }
                _ => {
                    self.at -= 1;
                    return Err(self.broken("a control character stands in a string"));
                }
            }
        }
    }

    fn escape(&mut self) -> Outcome<char> {
        let letter = self.text.as_bytes().get(self.at).copied().unwrap_or_default();
        self.at += 1;
        Ok(match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\x08',
            b'f' => '\x0c',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(self.broken("there is no such escape")),
        })
    }

    /// `\u0041`, or a pair of them for what is beyond the first 65,536.
    fn unicode(&mut self) -> Outcome<char> {
        let first = self.four()?;
        let mut code = first;
        if (0xd800..0xdc00).contains(&first) && self.letter(b"\\") && self.letter(b"u") {
            let second = self.four()?;
            let low = second.wrapping_sub(0xdc00);
            // Not of a pair: no code at all.
            code = if low < 0x400 { 0x1_0000 + ((first - 0xd800) << 10) + low } else { u32::MAX };
        }
        char::from_u32(code).ok_or_else(|| self.broken("half of a pair stands alone"))
    }

    fn four(&mut self) -> Outcome<u32> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4).unwrap_or_default();
        let mut number = 0;
        for digit in digits {
            let value = char::from(*digit).to_digit(16).ok_or_else(|| self.broken("four digits follow `\\u`"))?;
            number = number * 16 + value;
        }
        if digits.is_empty() {
            return Err(self.broken("four digits follow `\\u`"));
        }
        self.at += 4;
        Ok(number)
    }

    /// Passes over a value, which must be JSON all the same.
    pub(super) fn skip(&mut self) -> Outcome<()> {
        match self.peek() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b'-' | b'0'..=b'9') => self.number().map(|_| ()),
            Some(open @ (b'{' | b'[')) => {
                self.at += 1;
                self.enter()?;
                let mut first = true;
                while self.more(&mut first, if open == b'{' { b'}' } else { b']' })? {
                    if open == b'{' {
                        self.string()?;
                        self.colon()?;
                    }
                    self.skip()?;
                }
                self.leave();
                Ok(())
            }
            _ if self.word("true") || self.word("false") || self.word("null") => Ok(()),
            Some(_) => Err(self.broken("a value is missing")),
            None => Err(self.broken("it ends too early")),
        }
    }

    pub(super) fn colon(&mut self) -> Outcome<()> {
        if self.take(b':') { Ok(()) } else { Err(self.broken("a `:` is missing")) }
    }

    /// Whether there is another item before the `end`, which is taken.
    pub(super) fn more(&mut self, first: &mut bool, end: u8) -> Outcome<bool> {
        if self.take(end) {
            return Ok(false);
        }
        if !std::mem::take(first) && !self.take(b',') {
            return Err(self.broken("a `,` or the end is missing"));
        }
        Ok(true)
    }
}

/// How many bytes at the start of a string stand for themselves. Eight are looked at together: long texts are the most of what is read.
fn plain(bytes: &[u8]) -> usize {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    /// Has the highest bit of the lowest byte that is below `limit`; those above it may be wrong.
    const fn below(word: u64, limit: u8) -> u64 {
        word.wrapping_sub(EACH * limit as u64) & !word
    }
    let mut at = 0;
    while let Some(Ok(eight)) = bytes.get(at..at + 8).map(<[u8; 8]>::try_from) {
        let word = u64::from_le_bytes(eight);
        let quote = below(word ^ (EACH * u64::from(b'"')), 1);
        let slash = below(word ^ (EACH * u64::from(b'\\')), 1);
        let found = (below(word, b' ') | quote | slash) & (EACH * 0x80);
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let special = |byte: &u8| *byte < b' ' || *byte == b'"' || *byte == b'\\';
    at + bytes[at..].iter().position(special).unwrap_or(bytes.len() - at)
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn what_stands_for_itself_is_counted_up_to_the_first_byte_that_does_not() {
        for length in 0..40 {
            for filler in [b' ', b'!', b'#', b'a', 0x7f, 0x80, 0xff] {
                let mut bytes = vec![filler; length];
                assert_eq!(plain(&bytes), length);
                for at in 0..length {
                    for special in [0, 0x1f, b'\n', b'"', b'\\'] {
                        bytes[at] = special;
                        assert_eq!(plain(&bytes), at, "{bytes:?}");
                        bytes[at] = filler;
                    }
                }
            }
        }
    }
}
