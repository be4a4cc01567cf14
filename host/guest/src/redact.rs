//! Takes secrets out of bytes: as they are, in base64, in hexadecimal, percent-encoded, escaped as in JSON.
//!
//! This is a net for accidents, such as a server that echoes a request. It can't hold against a server that helps the
//! agent: whoever is sent a secret can say it in words of their own.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use runtime::Card;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

/// Knows the secrets of one agent.
#[derive(Default)]
pub(crate) struct Redactor {
    /// The longest first, so that what is replaced is whole.
    patterns: Vec<Pattern>,
    /// Bytes that some pattern begins with.
    first: Vec<bool>,
}

struct Pattern {
    bytes: Vec<u8>,
    /// Whether large and small letters are the same here.
    fold: bool,
    word: Arc<str>,
}

impl Redactor {
    /// Of secrets by name and value.
    pub(crate) fn new(secrets: &[(String, String)]) -> Redactor {
        let mut patterns = Vec::new();
        for (name, value) in secrets {
            let word: Arc<str> = format!("[secret {name}]").into();
            let spellings: BTreeSet<_> =
                spellings(value).into_iter().filter(|(bytes, _)| bytes.len() >= SHORTEST).collect();
            patterns.extend(spellings.into_iter().map(|(bytes, fold)| Pattern { bytes, fold, word: word.clone() }));
        }
        patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.bytes.len()));
        let mut first = vec![false; if patterns.is_empty() { 0 } else { 256 }];
        for pattern in &patterns {
            let byte = pattern.bytes[0];
            first[usize::from(byte)] = true;
            if pattern.fold {
                first[usize::from(byte.to_ascii_lowercase())] = true;
                first[usize::from(byte.to_ascii_uppercase())] = true;
            }
        }
        Redactor { patterns, first }
    }

    /// Whether there is nothing to look for.
    pub(crate) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The same bytes without secrets.
    pub(crate) fn bytes<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        if self.is_empty() || !(0..bytes.len()).any(|at| self.at(&bytes[at..]).is_some()) {
            return Cow::Borrowed(bytes);
        }
        let mut clean = Vec::with_capacity(bytes.len());
        self.copy(bytes, &mut clean, false);
        Cow::Owned(clean)
    }

    /// The same text without secrets.
    pub(crate) fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.bytes(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            // Secrets are ASCII, so what is left between them is text as before.
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    /// Takes secrets out of a text that is kept.
    pub(crate) fn clean(&self, text: &mut String) {
        if let Cow::Owned(clean) = self.text(text) {
            *text = clean;
        }
    }

    /// The pattern that `bytes` begin with.
    fn at(&self, bytes: &[u8]) -> Option<&Pattern> {
        let begins = bytes.first().is_some_and(|byte| self.first[usize::from(*byte)]);
        if !begins {
            return None;
        }
        self.patterns.iter().find(|pattern| bytes.len() >= pattern.bytes.len() && pattern.agrees(bytes))
    }

    /// Copies `bytes`, and answers how many are left over: those that may be the beginning of a secret, if more is to come.
    fn copy(&self, bytes: &[u8], clean: &mut Vec<u8>, more: bool) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            if let Some(pattern) = self.at(rest) {
                clean.extend_from_slice(pattern.word.as_bytes());
                at += pattern.bytes.len();
                continue;
            }
            let begins = |pattern: &Pattern| rest.len() < pattern.bytes.len() && pattern.agrees(rest);
            if more && self.first[usize::from(rest[0])] && self.patterns.iter().any(begins) {
                return rest.len();
            }
            clean.push(rest[0]);
            at += 1;
        }
        0
    }
}

impl Pattern {
    /// Whether the two are the same as far as both go.
    fn agrees(&self, bytes: &[u8]) -> bool {
        let shared = self.bytes.len().min(bytes.len());
        match self.fold {
            true => self.bytes[..shared].eq_ignore_ascii_case(&bytes[..shared]),
            false => self.bytes[..shared] == bytes[..shared],
        }
    }
}

/// Bytes that arrive in pieces: a secret that lies across two of them is found too.
pub(crate) struct Stream {
    redactor: Arc<Redactor>,
    /// The end of what arrived, as long as it may be the beginning of a secret.
    held: Vec<u8>,
}

impl Stream {
    pub(crate) fn new(redactor: Arc<Redactor>) -> Stream {
        Stream { redactor, held: Vec::new() }
    }

    /// What can be passed on, now that `bytes` have arrived.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        let mut clean = Vec::with_capacity(self.held.len());
        let left = self.redactor.copy(&self.held, &mut clean, true);
        self.held.drain(..self.held.len() - left);
        clean
    }

    /// The rest, as nothing more will arrive.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        let mut clean = Vec::new();
        self.redactor.copy(&std::mem::take(&mut self.held), &mut clean, false);
        clean
    }
}

/// A spelling that is shorter would be found everywhere.
const SHORTEST: usize = 6;

/// The ways in which a secret may be written, and whether large and small letters are the same in each.
fn spellings(value: &str) -> Vec<(Vec<u8>, bool)> {
    let bytes = value.as_bytes();
    let mut all = vec![(bytes.to_vec(), false)];
    for before in 0..3 {
        // What stands before it in the encoded text shifts it; only digits made of it alone are looked for.
        let shifted = [vec![0; before], bytes.to_vec()].concat();
        let (skip, digits) = ((before * 8).div_ceil(6), shifted.len() * 8 / 6);
        for text in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
            all.push((text.as_bytes()[skip..digits].to_vec(), false));
        }
    }
    let mut hex = String::new();
    let (mut percent, mut percent_all, mut form, mut json, mut json_slash) = Default::default();
    for letter in value.chars() {
        let byte = u32::from(letter);
        let plain = letter.is_ascii_alphanumeric() || "-._~".contains(letter);
        let escaped = matches!(letter, '"' | '\\');
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        push(&mut percent, plain, letter, &format!("%{byte:02X}"));
        push(&mut percent_all, false, letter, &format!("%{byte:02X}"));
        push(&mut form, plain, letter, &if letter == ' ' { "+".into() } else { format!("%{byte:02X}") });
        push(&mut json, !escaped, letter, &format!("\\{letter}"));
        push(&mut json_slash, !escaped && letter != '/', letter, &format!("\\{letter}"));
    }
    all.extend([hex, percent, percent_all, form].map(|text| (text.into_bytes(), true)));
    all.extend([json, json_slash].map(|text| (text.into_bytes(), false)));
    all
}

fn push(text: &mut String, plain: bool, letter: char, otherwise: &str) {
    match plain {
        true => text.push(letter),
        false => text.push_str(otherwise),
    }
}

/// A card is made by the guest, which may have seen what it should not.
pub(crate) fn redacted(mut card: Card, redactor: &Redactor) -> Card {
    let Card { name, version, role, description, skills, tags } = &mut card;
    [name, version, role, description].into_iter().chain(tags).for_each(|text| redactor.clean(text));
    for runtime::Skill { name, description, input, output, tags, examples } in skills {
        let texts = [name, description, input, output].into_iter().chain(tags).chain(examples);
        texts.for_each(|text| redactor.clean(text));
    }
    card
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "s3cr3t/v+lue\"99";

    fn redactor() -> Arc<Redactor> {
        Arc::new(Redactor::new(&[("KEY".into(), VALUE.into())]))
    }

    #[test]
    fn a_secret_is_found_however_it_is_spelt() {
        let base64 = |before: &str, after: &str| STANDARD_NO_PAD.encode(format!("{before}{VALUE}{after}"));
        let hex: String = VALUE.bytes().map(|byte| format!("{byte:02X}")).collect();
        for text in [
            VALUE.into(),
            base64("", ""),
            base64("u", "!"),
            base64("us", "ab"),
            base64("user:", "abc"),
            URL_SAFE_NO_PAD.encode(VALUE),
            hex.clone(),
            hex.to_lowercase(),
            "s3cr3t%2Fv%2Blue%2299".into(),
            "s3cr3t%2fv%2blue%2299".into(),
            VALUE.bytes().map(|byte| format!("%{byte:02x}")).collect(),
            r#"s3cr3t/v+lue\"99"#.into(),
            r#"s3cr3t\/v+lue\"99"#.into(),
        ] {
            let said = redactor().text(&format!("before {text} after")).into_owned();
            assert!(said.contains("[secret KEY]"), "{text}: {said}");
            assert!(said.starts_with("before ") && said.ends_with(" after"), "{said}");
            assert!(said.len() < 40, "{text}: {said}");
        }
    }

    #[test]
    fn what_is_no_secret_stays_as_it_is() {
        for text in ["", "s3cr3t/v+lue", "S3CR3T/V+LUE\"99", "nothing here, ünd nothing there"] {
            assert!(matches!(redactor().text(text), Cow::Borrowed(same) if same == text));
        }
        let none = Redactor::default();
        assert!(none.is_empty() && matches!(none.bytes(VALUE.as_bytes()), Cow::Borrowed(_)));
    }

    #[test]
    fn a_secret_is_found_across_pieces_of_any_length() {
        let text = format!("s3cr3t/s3cr3t/v{VALUE}s3{VALUE}{VALUE} s3cr3");
        let whole = redactor().text(&text).into_owned();
        assert_eq!(whole, "s3cr3t/s3cr3t/v[secret KEY]s3[secret KEY][secret KEY] s3cr3");
        for size in 1..20 {
            let mut stream = Stream::new(redactor());
            let mut clean = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                clean.extend(stream.push(piece));
            }
            clean.extend(stream.finish());
            assert_eq!(String::from_utf8_lossy(&clean), whole, "in pieces of {size}");
        }
    }

    #[test]
    fn nothing_is_held_back_that_can_be_no_secret() {
        let mut stream = Stream::new(redactor());
        assert_eq!(stream.push(b"an event\n"), b"an event\n");
    }
}
