//! A document becomes passages, by what kind it is.

use crate::cut::{Section, cut};
use crate::{Error, code, html, markdown, pdf};

/// A document is at most this long.
pub const LONGEST: usize = 16 << 20;

/// So many passages are made of one document at most.
pub const MOST: usize = 20_000;

/// A piece of a document that stands for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// What it says.
    pub text: String,
    /// What it stands under, such as its headings; found by these words too. May be empty.
    pub context: String,
    /// Where it begins in the document, in bytes; of a PDF, in its text.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
}

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Markdown,
    Html,
    Code,
    Pdf,
}

/// A text that was taken out of a document, and where its parts stood there.
pub(crate) struct Extracted {
    pub(crate) text: String,
    /// Where stretches begin in the text, and where in the document, in order: a stretch is the same in both. None if the
    /// text is the document.
    pub(crate) stretches: Option<Vec<(usize, usize)>>,
    pub(crate) sections: Vec<Section>,
}

/// Cuts a document into passages. What it is, is said by its media type, or else by the end of its source's name, or by how it
/// begins. One without text gives none.
pub fn read(content_type: &str, source: &str, bytes: &[u8]) -> Result<Vec<Passage>, Error> {
    if bytes.len() > LONGEST {
        return Err(Error::TooLarge { most: LONGEST as u64, of: "bytes" });
    }
    let extracted = match kind(content_type, source, bytes)? {
        Kind::Pdf => pdf::extract(bytes)?,
        kind => {
            let text = text(bytes)?;
            match kind {
                Kind::Html => html::extract(text),
                Kind::Markdown => whole(text, markdown::sections(text)),
                Kind::Code => whole(text, code::sections(text)),
                Kind::Plain | Kind::Pdf => whole(text, vec![Section::all(text)]),
            }
        }
    };
    passages(&extracted)
}

fn whole(text: &str, sections: Vec<Section>) -> Extracted {
    Extracted { text: text.to_owned(), stretches: None, sections }
}

fn passages(extracted: &Extracted) -> Result<Vec<Passage>, Error> {
    let Extracted { text, stretches, sections } = extracted;
    let mut passages = Vec::new();
    for section in sections {
        for range in cut(text, section) {
            if passages.len() == MOST {
                return Err(Error::TooLarge { most: MOST as u64, of: "passages" });
            }
            let (start, end) = match stretches {
                None => (range.start, range.end),
                Some(stretches) => (place(stretches, range.start), place(stretches, range.end - 1) + 1),
            };
            let (text, context) = (text[range].to_owned(), section.context.clone());
            passages.push(Passage { text, context, start: start as u64, end: end as u64 });
        }
    }
    Ok(passages)
}

/// Where a byte of the text stands in the document.
fn place(stretches: &[(usize, usize)], at: usize) -> usize {
    let next = stretches.partition_point(|(begin, _)| *begin <= at);
    next.checked_sub(1).map_or(at, |stretch| stretches[stretch].1 + (at - stretches[stretch].0))
}

/// The document's text, without a mark of the order of bytes.
fn text(bytes: &[u8]) -> Result<&str, Error> {
    let unreadable = |why: String| Error::Unreadable { what: "the text", why };
    let text = std::str::from_utf8(bytes)
        .map_err(|error| unreadable(format!("it is not UTF-8 from byte {} on", error.valid_up_to())))?;
    match text.find('\0') {
        Some(at) => Err(unreadable(format!("it has a zero at byte {at}, as no text has"))),
        None => Ok(text),
    }
}

/// Ends of names of source code.
const CODE: [&str; 34] = [
    "rs", "py", "js", "mjs", "ts", "tsx", "jsx", "go", "java", "kt", "c", "h", "cc", "cpp", "hpp", "cs", "rb", "php",
    "swift", "scala", "sh", "sql", "lua", "pl", "r", "jl", "hs", "ml", "ex", "exs", "zig", "wit", "proto", "dart",
];

fn kind(content_type: &str, source: &str, bytes: &[u8]) -> Result<Kind, Error> {
    let named = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let begins = |start: &[u8]| bytes.len() >= start.len() && bytes[..start.len()].eq_ignore_ascii_case(start);
    Ok(match named.as_str() {
        "" | "application/octet-stream" | "text/plain" => {
            let end = source.rsplit(['/', '\\']).next().and_then(|name| name.rsplit_once('.'));
            match end.map(|(_, end)| end.to_ascii_lowercase()).as_deref() {
                _ if begins(b"%PDF-") => Kind::Pdf,
                Some("pdf") => Kind::Pdf,
                Some("md" | "markdown") => Kind::Markdown,
                Some("html" | "htm" | "xhtml") => Kind::Html,
                Some(end) if CODE.contains(&end) => Kind::Code,
                _ if named != "text/plain" && (begins(b"<!doctype html") || begins(b"<html")) => Kind::Html,
                _ => Kind::Plain,
            }
        }
        "application/pdf" => Kind::Pdf,
        "text/markdown" | "text/x-markdown" => Kind::Markdown,
        "text/html" | "application/xhtml+xml" => Kind::Html,
        "text/javascript" | "application/javascript" | "application/typescript" | "application/sql" => Kind::Code,
        "application/json" | "application/toml" | "application/yaml" | "application/xml" => Kind::Plain,
        name if name.starts_with("text/x-") => Kind::Code,
        name if name.starts_with("text/") => Kind::Plain,
        _ => return Err(Error::Kind { kind: named }),
    })
}

#[cfg(test)]
mod tests;
