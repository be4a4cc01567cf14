//! Whether a text is JSON, without a crate that would have to be built for it.

/// Says where and why it is not.
pub(crate) fn check(text: &str) -> Result<(), String> {
    let mut reader = Reader { text: text.as_bytes(), at: 0 };
    let result = reader.value(0).and_then(|()| {
        reader.space();
        if reader.at == reader.text.len() { Ok(()) } else { Err("there is more behind its end") }
    });
    result.map_err(|reason| format!("at letter {}, {reason}", text[..floor(text, reader.at)].chars().count() + 1))
}

fn floor(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

type Outcome = Result<(), &'static str>;

impl Reader<'_> {
    fn value(&mut self, depth: u32) -> Outcome {
        if depth > 128 {
            return Err("it is too deep");
        }
        self.space();
        match self.peek() {
            Some(b'{') => self.items(b'}', |reader| {
                reader.space();
                reader.string()?;
                reader.space();
                reader.expect(b':', "a `:` is missing")?;
                reader.value(depth + 1)
            }),
            Some(b'[') => self.items(b']', |reader| reader.value(depth + 1)),
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => ["true", "false", "null"]
                .iter()
                .find(|word| self.text[self.at..].starts_with(word.as_bytes()))
                .map(|word| self.at += word.len())
                .ok_or("a value is missing"),
            None => Err("it ends too early"),
        }
    }

    fn items(&mut self, end: u8, mut item: impl FnMut(&mut Self) -> Outcome) -> Outcome {
        self.at += 1;
        self.space();
        if self.peek() == Some(end) {
            self.at += 1;
            return Ok(());
        }
        loop {
            item(self)?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(found) if found == end => {
                    self.at += 1;
                    return Ok(());
                }
                Some(_) => return Err("a `,` or the end is missing"),
                None => return Err("it ends too early"),
            }
        }
    }

    fn string(&mut self) -> Outcome {
        self.expect(b'"', "a `\"` is missing")?;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(0..=0x1f) => return Err("a control character stands in a string"),
                Some(_) => self.at += 1,
                None => return Err("it ends too early"),
            }
        }
    }

    fn escape(&mut self) -> Outcome {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                let digits = self.text.get(self.at + 1..self.at + 5).ok_or("it ends too early")?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err("four digits follow `\\u`");
                }
                self.at += 5;
            }
            _ => return Err("there is no such escape"),
        }
        Ok(())
    }

    fn number(&mut self) -> Outcome {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Outcome {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err("a digit is missing") } else { Ok(()) }
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, letter: u8, otherwise: &'static str) -> Outcome {
        if self.peek() != Some(letter) {
            return Err(otherwise);
        }
        self.at += 1;
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn json_passes_and_what_is_nearly_json_says_where() {
        for text in ["{}", " [1, -0.5e+3, 0] ", r#"{"a": {"b": [true, false, null, "é\u00e9\n"]}}"#, "\"\"", "7"] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        for (text, letter) in [
            ("", 1),
            ("{name: 1}", 2),
            (r#"{"a" 1}"#, 6),
            (r#"{"a": 1,}"#, 9),
            ("[1 2]", 4),
            ("01", 2),
            ("1.", 3),
            ("\"é", 3),
            (r#""\x""#, 3),
            ("{} x", 4),
            ("nul", 1),
        ] {
            let reason = check(text).expect_err(text);
            assert!(reason.starts_with(&format!("at letter {letter},")), "{text}: {reason}");
        }
        assert!(check(&"[".repeat(200)).is_err());
    }
}
