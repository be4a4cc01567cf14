//! What a page draws, as far as it is text: where a line ends, and where a word.

use super::font::Font;
use super::object::{Map, Object, Parser};
use super::{Answer, DEPTH, File, Page};
use std::rc::Rc;

/// Writes the text of pages.
pub(crate) struct Writer<'a> {
    file: &'a File<'a>,
    out: &'a mut String,
    begun: usize,
    font: Option<Rc<Font>>,
    size: f64,
    leading: f64,
    /// Where the line begins, and how large its units are.
    line: (f64, f64),
    scale: f64,
    /// Where the next character stands; none before the first.
    pen: Option<(f64, f64)>,
    at: f64,
    /// Characters that nobody knows.
    pub(crate) unknown: usize,
    /// Other pieces that a page draws within each other.
    depth: usize,
}

/// Of the values before a word, so many are kept.
const OPERANDS: usize = 64;

impl<'a> Writer<'a> {
    pub(crate) fn new(file: &'a File<'a>, out: &'a mut String) -> Writer<'a> {
        let begun = out.len();
        Writer {
            file,
            out,
            begun,
            font: None,
            size: 1.0,
            leading: 0.0,
            line: (0.0, 0.0),
            scale: 1.0,
            pen: None,
            at: 0.0,
            unknown: 0,
            depth: 0,
        }
    }

    pub(crate) fn page(&mut self, page: &Page) -> Answer<()> {
        let mut data = Vec::new();
        for part in &page.content {
            // What is packed in a way that is not known is no text either.
            data.extend(self.file.data(part)?.unwrap_or_default());
            data.push(b'\n');
        }
        self.run(&data, &page.resources)
    }

    fn run(&mut self, data: &[u8], resources: &Map) -> Answer<()> {
        let file = self.file;
        let mut parser = Parser::new(data, 0, file.purse());
        let mut operands: Vec<Object> = Vec::new();
        loop {
            match parser.object()? {
                Object::End => return Ok(()),
                Object::Word(word) => {
                    if word == b"ID" {
                        // An image between the words: its bytes are no words.
                        let rest = &data[parser.at..];
                        let end = rest.windows(3).position(|at| at[0].is_ascii_whitespace() && &at[1..] == b"EI");
                        parser.at = end.map_or(data.len(), |end| parser.at + end + 3);
                        file.purse().spend(end.unwrap_or(rest.len()))?;
                    }
                    self.word(&word, &operands, resources)?;
                    operands.clear();
                }
                value if operands.len() < OPERANDS => operands.push(value),
                _ => {}
            }
        }
    }

    fn word(&mut self, word: &[u8], operands: &[Object], resources: &Map) -> Answer<()> {
        let number = |at: usize| match operands.get(at) {
            Some(Object::Number(number)) => *number,
            _ => 0.0,
        };
        match word {
            b"BT" => {
                (self.line, self.scale) = ((0.0, 0.0), 1.0);
                self.at = 0.0;
            }
            b"Tf" => {
                if let Some(Object::Name(name)) = operands.first() {
                    self.font = self.file.font(resources, name)?;
                }
                self.size = number(1);
            }
            b"TL" => self.leading = number(0),
            b"Td" => self.go(number(0), number(1)),
            b"TD" => {
                self.leading = -number(1);
                self.go(number(0), number(1));
            }
            b"T*" => self.go(0.0, -self.leading),
            b"Tm" => {
                let up = number(3).hypot(number(2));
                self.scale = if up.is_finite() && up > 0.0 { up } else { 1.0 };
                self.line = (number(4), number(5));
                self.at = self.line.0;
            }
            b"Tj" => self.show(operands.first())?,
            b"'" | b"\"" => {
                self.go(0.0, -self.leading);
                self.show(operands.last())?;
            }
            b"TJ" => {
                let Some(Object::List(parts)) = operands.first() else { return Ok(()) };
                for part in parts {
                    match part {
                        Object::Number(back) => self.at -= back / 1000.0 * self.unit(),
                        part => self.show(Some(part))?,
                    }
                }
            }
            b"Do" => self.draw(operands.first(), resources)?,
            _ => {}
        }
        Ok(())
    }

    /// How large a letter is.
    fn unit(&self) -> f64 {
        (self.size * self.scale).abs().max(0.01)
    }

    fn go(&mut self, right: f64, up: f64) {
        self.line = (self.line.0 + right * self.scale, self.line.1 + up * self.scale);
        self.at = self.line.0;
    }

    /// Something that a page draws as a whole.
    fn draw(&mut self, name: Option<&Object>, resources: &Map) -> Answer<()> {
        let Some(Object::Name(name)) = name else { return Ok(()) };
        let others = self.file.map(resources, "XObject")?;
        let Some(object) = others.get(name) else { return Ok(()) };
        let Object::Stream(map, _) = self.file.resolve(object)? else { return Ok(()) };
        if map.get("Subtype") != Some(&Object::Name("Form".into())) || self.depth >= DEPTH {
            return Ok(());
        }
        let Some(data) = self.file.data(object)? else { return Ok(()) };
        let own = self.file.map(&map, "Resources")?;
        self.depth += 1;
        self.run(&data, if own.is_empty() { resources } else { &own })?;
        self.depth -= 1;
        Ok(())
    }

    fn show(&mut self, text: Option<&Object>) -> Answer<()> {
        let (Some(Object::Text(bytes)), Some(font)) = (text, self.font.clone()) else { return Ok(()) };
        if bytes.is_empty() {
            return Ok(());
        }
        self.part();
        let unit = self.unit();
        for (shown, width) in font.decode(bytes) {
            match shown {
                Some(shown) => {
                    self.file.purse().spend(shown.len())?;
                    self.out.extend(shown.chars().filter(|shown| !shown.is_control()));
                }
                None => self.unknown += 1,
            }
            self.at += width / 1000.0 * unit;
        }
        self.pen = Some((self.at, self.line.1));
        Ok(())
    }

    /// Sets what stands between the last character and the next one: nothing, a space, a line's end, or a paragraph's.
    fn part(&mut self) {
        let Some((right, height)) = self.pen else { return };
        if self.out.len() == self.begun {
            return;
        }
        let (unit, down) = (self.unit(), (height - self.line.1).abs());
        let wanted = match () {
            () if down > 1.8 * unit => "\n\n",
            () if down > 0.5 * unit => "\n",
            () if self.at - right > 0.15 * unit || right - self.at > 2.0 * unit => " ",
            () => return,
        };
        let bare = self.out.trim_end_matches(' ').len();
        if wanted != " " {
            self.out.truncate(bare);
        }
        if !self.out.ends_with(wanted) {
            self.out.push_str(wanted);
        }
    }
}
