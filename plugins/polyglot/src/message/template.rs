//! Reading a message's template.

use fixed_decimal::Decimal;

use crate::{Error, invalid};

pub(super) enum Node {
    Text(String),
    /// The `#` of a plural form.
    Count,
    Value(String),
    Number {
        name: String,
        percent: bool,
    },
    Choice(Choice),
}

pub(super) struct Choice {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// One is `other`.
    pub(super) cases: Vec<(Key, Vec<Node>)>,
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Plural { ordinal: bool, offset: i64 },
    Select,
}

#[derive(PartialEq)]
pub(super) enum Key {
    Word(String),
    Exactly(Decimal),
}

impl Choice {
    /// The case of a word, or else `other`.
    pub(super) fn case(&self, word: &str) -> Option<&[Node]> {
        let find = |wanted: &str| self.cases.iter().find(|(key, _)| matches!(key, Key::Word(word) if word == wanted));
        find(word).or_else(|| find("other")).map(|(_, nodes)| nodes.as_slice())
    }
}

/// How deep choices may stand in each other.
const DEEPEST: usize = 8;

pub(super) fn parse(text: &str) -> Result<Vec<Node>, Error> {
    let mut reader = Reader { text, at: 0 };
    let nodes = reader.nodes(0, false)?;
    match reader.peek() {
        None => Ok(nodes),
        Some(_) => Err(reader.wrong("a `}` that closes nothing")),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn wrong(&self, what: &str) -> Error {
        let line = self.text[..self.at].matches('\n').count() + 1;
        let column = self.text[..self.at].rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        invalid("template", format!("has {what} in line {line}, column {column}"))
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.next();
        }
    }

    fn expect(&mut self, wanted: char, place: &str) -> Result<(), Error> {
        self.blanks();
        if self.peek() == Some(wanted) {
            self.next();
            return Ok(());
        }
        Err(self.wrong(&format!("no `{wanted}` {place}")))
    }

    /// Up to a `}` that closes what is around it, or the end. In a plural form `#` is its number.
    fn nodes(&mut self, depth: usize, counts: bool) -> Result<Vec<Node>, Error> {
        if depth > DEEPEST {
            return Err(self.wrong(&format!("choices more than {DEEPEST} deep")));
        }
        let mut nodes = Vec::new();
        let mut text = String::new();
        while let Some(c) = self.peek() {
            let node = match c {
                '}' => break,
                '\'' => {
                    self.quoted(&mut text, counts);
                    continue;
                }
                '{' => {
                    self.next();
                    self.argument(depth, counts)?
                }
                '#' if counts => {
                    self.next();
                    Node::Count
                }
                c => {
                    text.push(c);
                    self.next();
                    continue;
                }
            };
            if !text.is_empty() {
                nodes.push(Node::Text(std::mem::take(&mut text)));
            }
            nodes.push(node);
        }
        if !text.is_empty() {
            nodes.push(Node::Text(text));
        }
        Ok(nodes)
    }

    /// Two apostrophes are one; one before a brace quotes up to the next; any other is a letter.
    fn quoted(&mut self, text: &mut String, counts: bool) {
        self.next();
        match self.peek() {
            Some('\'') => {
                text.push('\'');
                self.next();
            }
            Some(c) if matches!(c, '{' | '}') || (c == '#' && counts) => {
                while let Some(c) = self.next() {
                    if c == '\'' && self.peek() == Some('\'') {
                        self.next();
                    } else if c == '\'' {
                        break;
                    }
                    text.push(c);
                }
            }
            _ => text.push('\''),
        }
    }

    /// What follows a `{`, and its `}`.
    fn argument(&mut self, depth: usize, counts: bool) -> Result<Node, Error> {
        let name = self.word("a name")?;
        self.blanks();
        match self.next() {
            Some('}') => return Ok(Node::Value(name)),
            Some(',') => {}
            _ => return Err(self.wrong("neither `,` nor `}` after a name")),
        }
        let kind = self.word("`number`, `plural`, `selectordinal` or `select`")?;
        let kind = match kind.as_str() {
            "number" => return self.number(name),
            "plural" => Kind::Plural { ordinal: false, offset: 0 },
            "selectordinal" => Kind::Plural { ordinal: true, offset: 0 },
            "select" => Kind::Select,
            other => {
                return Err(Error::Unsupported(format!(
                    "`{{{name}, {other}}}`: there are number, plural, selectordinal and select"
                )));
            }
        };
        self.expect(',', "before the cases")?;
        self.choice(name, kind, depth, counts)
    }

    fn number(&mut self, name: String) -> Result<Node, Error> {
        self.blanks();
        let mut percent = false;
        if self.peek() == Some(',') {
            self.next();
            match self.word("a style")?.as_str() {
                "percent" => percent = true,
                "integer" | "decimal" => {}
                other => {
                    return Err(Error::Unsupported(format!(
                        "`{{{name}, number, {other}}}`: there is only the style percent"
                    )));
                }
            }
        }
        self.expect('}', "after the number")?;
        Ok(Node::Number { name, percent })
    }

    fn choice(&mut self, name: String, mut kind: Kind, depth: usize, counts: bool) -> Result<Node, Error> {
        let mut cases: Vec<(Key, Vec<Node>)> = Vec::new();
        let plural = matches!(kind, Kind::Plural { .. });
        loop {
            self.blanks();
            if self.peek() == Some('}') {
                self.next();
                break;
            }
            let word = self.word("a case")?;
            if let (Some(text), Kind::Plural { offset, .. }, true) =
                (word.strip_prefix("offset:"), &mut kind, cases.is_empty())
            {
                *offset = text.parse().map_err(|_| self.wrong("an `offset` that is no whole number"))?;
                continue;
            }
            let key = self.key(&word, plural)?;
            if cases.iter().any(|(known, _)| *known == key) {
                return Err(self.wrong(&format!("the case `{word}` twice")));
            }
            self.expect('{', "after a case")?;
            let nodes = self.nodes(depth + 1, plural || counts)?;
            self.expect('}', "after a case's text")?;
            cases.push((key, nodes));
        }
        if !cases.iter().any(|(key, _)| matches!(key, Key::Word(word) if word == "other")) {
            return Err(self.wrong(&format!("no case `other` for `{name}`")));
        }
        Ok(Node::Choice(Choice { name, kind, cases }))
    }

    fn key(&self, word: &str, plural: bool) -> Result<Key, Error> {
        if let Some(number) = word.strip_prefix('=').filter(|_| plural) {
            let number = Decimal::try_from_str(number).map_err(|_| self.wrong("a case `=` that is no number"))?;
            return Ok(Key::Exactly(number));
        }
        if plural && !matches!(word, "zero" | "one" | "two" | "few" | "many" | "other") {
            return Err(self.wrong(&format!("the plural form `{word}`, which no language has")));
        }
        Ok(Key::Word(word.to_owned()))
    }

    /// Up to a blank, a comma or a brace.
    fn word(&mut self, what: &str) -> Result<String, Error> {
        self.blanks();
        let start = self.at;
        while self.peek().is_some_and(|c| !c.is_whitespace() && !matches!(c, ',' | '{' | '}' | '\'')) {
            self.next();
        }
        if self.at == start {
            return Err(self.wrong(&format!("not {what}")));
        }
        Ok(self.text[start..self.at].to_owned())
    }
}
