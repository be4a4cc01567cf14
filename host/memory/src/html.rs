//! HTML: the text between the tags, in sections by its headings. Scripts, styles and what is not shown are left out.
//!
//! One pass, without recursion: tags need not match, and depth costs nothing.

mod entity;

use crate::cut::Section;
use crate::read::Extracted;
use entity::entity;

/// Elements whose content is no text.
const HIDDEN: [&str; 9] = ["script", "style", "template", "svg", "math", "noscript", "object", "iframe", "select"];

/// Elements that a line does not go on through.
const BLOCKS: [&str; 36] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "br",
    "caption",
    "dd",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "li",
    "main",
    "nav",
    "ol",
    "p",
    "pre",
    "section",
    "table",
    "title",
    "tr",
    "ul",
    "summary",
];

/// A context is at most so long.
const CONTEXT: usize = 200;

/// The text that is shown, with where it stood.
pub(crate) fn extract(html: &str) -> Extracted {
    let mut page = Page { html, ..Page::default() };
    let mut at = 0;
    while at < html.len() {
        at = match html[at..].find('<') {
            None => page.text(at, html.len()),
            Some(0) => page.tag(at),
            Some(next) => page.text(at, at + next),
        };
    }
    page.end_section();
    Extracted { text: page.out, stretches: Some(page.stretches), sections: page.sections }
}

#[derive(Default)]
struct Page<'a> {
    html: &'a str,
    out: String,
    stretches: Vec<(usize, usize)>,
    sections: Vec<Section>,
    /// Where the section begins that is open.
    begun: usize,
    context: String,
    above: Vec<(u8, String)>,
    /// A heading whose text is being read: its level, and where it begins.
    heading: Option<(u8, usize)>,
    preformatted: u32,
}

impl Page<'_> {
    /// Takes over what stands between tags; answers where it ends.
    fn text(&mut self, start: usize, end: usize) -> usize {
        let mut at = start;
        while at < end {
            let rest = &self.html[at..end];
            let Some(first) = rest.chars().next() else { break };
            if first == '&'
                && let Some((decoded, length)) = entity(rest)
            {
                self.push(decoded, at);
                at += length;
                continue;
            }
            self.push(first, at);
            at += first.len_utf8();
        }
        end
    }

    /// Adds a character that stands at `at`. White space is one space, but where lines were set by hand.
    fn push(&mut self, found: char, at: usize) {
        let blank = found.is_whitespace();
        if blank && self.preformatted == 0 && (self.out.is_empty() || self.out.ends_with(char::is_whitespace)) {
            return;
        }
        let goes_on = self.stretches.last().is_some_and(|(text, source)| source + (self.out.len() - text) == at);
        if !goes_on {
            self.stretches.push((self.out.len(), at));
        }
        self.out.push(if blank && self.preformatted == 0 { ' ' } else { found });
    }

    /// Goes over a tag or a comment; answers where it ends.
    fn tag(&mut self, start: usize) -> usize {
        let rest = &self.html[start..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            return comment.find("-->").map_or(self.html.len(), |end| start + 4 + end + 3);
        }
        let inner = &rest[1..];
        let closing = inner.starts_with('/');
        let name = inner.strip_prefix('/').unwrap_or(inner);
        if !name.starts_with(|first: char| first.is_ascii_alphabetic()) {
            return match inner.starts_with(['!', '?', '/']) {
                true => rest.find('>').map_or(self.html.len(), |end| start + end + 1),
                // Somebody compared two numbers.
                false => self.text(start, start + 1),
            };
        }
        let length = name.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(name.len());
        let lower = name[..length.min(16)].to_ascii_lowercase();
        let Some(end) = tag_end(rest) else { return self.html.len() };
        let end = start + end;
        let alone = self.html[..end].ends_with("/>");
        if !closing && !alone && HIDDEN.contains(&lower.as_str()) {
            return self.skip(&lower, end);
        }
        self.pass(&lower, closing, alone);
        end
    }

    /// What a tag means for the text.
    fn pass(&mut self, name: &str, closing: bool, alone: bool) {
        if !BLOCKS.contains(&name) {
            if matches!(name, "td" | "th") {
                self.space("");
            }
            return;
        }
        let level = name.strip_prefix('h').and_then(|level| level.parse::<u8>().ok());
        match (level, closing) {
            (Some(level), false) => {
                self.end_section();
                self.above.retain(|(other, _)| *other < level);
                self.heading = Some((level, self.out.len()));
            }
            (Some(_), true) => {
                if let Some((level, begun)) = self.heading.take() {
                    self.above.push((level, self.out[begun..].trim().to_owned()));
                }
            }
            (None, _) => {}
        }
        if name == "pre" && !alone {
            self.preformatted = if closing { self.preformatted.saturating_sub(1) } else { self.preformatted + 1 };
        }
        self.space(if matches!(name, "br" | "tr" | "li" | "dt" | "dd") { "\n" } else { "\n\n" });
    }

    /// Sets white space that is nowhere in the document: so many line ends, or a space.
    fn space(&mut self, wanted: &str) {
        let kept = self.out.trim_end_matches(' ').len();
        if kept > self.begun && self.preformatted == 0 {
            self.out.truncate(kept);
            // What was cut off can't be where a stretch begins.
            while self.stretches.last().is_some_and(|(text, _)| *text >= kept) {
                self.stretches.pop();
            }
        }
        if wanted.is_empty() && !self.out.is_empty() && !self.out.ends_with(char::is_whitespace) {
            self.out.push(' ');
        }
        let there = self.out.len() - self.out.trim_end_matches('\n').len();
        if !self.out.is_empty() && there < wanted.len() {
            self.out.push_str(&wanted[there..]);
        }
    }

    fn end_section(&mut self) {
        self.heading = None;
        if !self.out[self.begun..].trim().is_empty() {
            let range = self.begun..self.out.len();
            self.sections.push(Section { range, context: std::mem::take(&mut self.context), lines: false });
        }
        self.begun = self.out.len();
        let titles: Vec<_> = self.above.iter().map(|(_, title)| title.as_str()).collect();
        self.context = titles.join(" > ");
        self.context.truncate(self.context.floor_char_boundary(CONTEXT));
    }

    /// Goes over all that is in a hidden element; answers where it ends.
    fn skip(&mut self, name: &str, start: usize) -> usize {
        let (mut at, mut depth) = (start, 1u32);
        while let Some(found) = self.html[at..].find('<') {
            let tag = at + found;
            at = tag + 1;
            let inner = &self.html[at..];
            let (closing, inner) = inner.strip_prefix('/').map_or((false, inner), |inner| (true, inner));
            let named = inner.len() >= name.len()
                && inner.as_bytes()[..name.len()].eq_ignore_ascii_case(name.as_bytes())
                && !inner[name.len()..].starts_with(|next: char| next.is_ascii_alphanumeric());
            match (named, closing) {
                (true, true) => depth -= 1,
                // In a script no other begins.
                (true, false) if !matches!(name, "script" | "style" | "noscript" | "iframe") => depth += 1,
                _ => continue,
            }
            if depth == 0 {
                return inner.find('>').map_or(self.html.len(), |end| self.html.len() - inner.len() + end + 1);
            }
        }
        self.html.len()
    }
}

/// Where a tag ends: at the first `>` that is in no quotes.
fn tag_end(tag: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in tag.bytes().enumerate().skip(1) {
        match (byte, quote) {
            (b'"' | b'\'', None) => quote = Some(byte),
            (byte, Some(open)) if byte == open => quote = None,
            (b'>', None) => return Some(at + 1),
            _ => {}
        }
    }
    None
}
