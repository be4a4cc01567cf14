//! The inside of a JSON string, byte by byte, up to the quote that ends it: whole letters of UTF-8, sound escapes.

/// What must follow within a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Inside {
    /// Anything, or the end.
    #[default]
    Text,
    /// What is escaped.
    Escape,
    /// So many digits of a number of four.
    Hex(u8),
    /// So many further bytes of a letter, of which the next is between these.
    Letter(u8, u8, u8),
}

/// What a byte does to a string.
pub(super) enum Push {
    /// It goes on; whether a letter begins.
    On(Inside, bool),
    /// It ends.
    End,
}

impl Inside {
    pub(super) fn push(self, byte: u8) -> Option<Push> {
        let on = |next| Some(Push::On(next, false));
        let begins = |next| Some(Push::On(next, true));
        let letter = |more, low, high| begins(Inside::Letter(more, low, high));
        match (self, byte) {
            (Inside::Text, b'"') => Some(Push::End),
            (Inside::Text, b'\\') => begins(Inside::Escape),
            (Inside::Text, 0x20..0x80) => begins(Inside::Text),
            // What is too long for what it says, half of a pair, or beyond the last letter, is none.
            (Inside::Text, 0xc2..=0xdf) => letter(1, 0x80, 0xbf),
            (Inside::Text, 0xe0) => letter(2, 0xa0, 0xbf),
            (Inside::Text, 0xed) => letter(2, 0x80, 0x9f),
            (Inside::Text, 0xe1..=0xef) => letter(2, 0x80, 0xbf),
            (Inside::Text, 0xf0) => letter(3, 0x90, 0xbf),
            (Inside::Text, 0xf1..=0xf3) => letter(3, 0x80, 0xbf),
            (Inside::Text, 0xf4) => letter(3, 0x80, 0x8f),
            (Inside::Escape, b'u') => on(Inside::Hex(4)),
            (Inside::Escape, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => on(Inside::Text),
            // Halves of pairs begin with D: those are written as they are, or not at all.
            (Inside::Hex(4), b'd' | b'D') => None,
            (Inside::Hex(left), byte) if byte.is_ascii_hexdigit() => {
                on(if left > 1 { Inside::Hex(left - 1) } else { Inside::Text })
            }
            (Inside::Letter(left, low, high), byte) if (low..=high).contains(&byte) => {
                on(if left > 1 { Inside::Letter(left - 1, 0x80, 0xbf) } else { Inside::Text })
            }
            _ => None,
        }
    }

    /// Bytes until the letter is whole.
    pub(super) fn missing(self) -> u64 {
        match self {
            Inside::Text => 0,
            Inside::Escape => 1,
            Inside::Hex(left) | Inside::Letter(left, ..) => u64::from(left),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(bytes: &[u8]) -> bool {
        let mut inside = Inside::Text;
        for byte in bytes {
            match inside.push(*byte) {
                Some(Push::On(next, _)) => inside = next,
                Some(Push::End) | None => return false,
            }
        }
        inside == Inside::Text
    }

    #[test]
    fn it_reads_what_a_parser_reads() {
        // Every text of up to three bytes, of bytes of all sorts.
        let sorts = [
            0x00, 0x1f, b' ', b'a', b'\\', b'n', b'u', b'x', 0x7f, 0x80, 0x8f, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xe0,
            0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff,
        ];
        let mut all: Vec<Vec<u8>> = vec![Vec::new()];
        for _ in 0..4 {
            let longer = |text: &Vec<u8>| sorts.map(|byte| [text.as_slice(), &[byte]].concat());
            let more: Vec<Vec<u8>> = all.iter().flat_map(longer).collect();
            all = more;
            for text in &all {
                let whole = [b"\"", text.as_slice(), b"\""].concat();
                let parsed = serde_json::from_slice::<String>(&whole).is_ok();
                assert_eq!(reads(text), parsed, "{text:?}");
            }
        }
        assert!(reads(b"\\u00e4\\uABCD") && !reads(b"\\ud834\\udd1e") && !reads(b"\\u12"));
    }
}
