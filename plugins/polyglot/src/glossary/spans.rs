//! What must stay as it is: placeholders, tags, addresses, code, and texts that were named.

/// Longest placeholder or tag; a brace that is not closed soon is no placeholder.
const LONGEST: usize = 300;

/// Spans in order, none overlapping another.
pub(super) struct Protected(Vec<(usize, usize)>);

impl Protected {
    pub(super) fn holds(&self, at: usize) -> bool {
        let next = self.0.partition_point(|(start, _)| *start <= at);
        next.checked_sub(1).is_some_and(|last| at < self.0[last].1)
    }
}

pub(super) fn protected(text: &str, named: &[String], markup: bool) -> Protected {
    let mut spans: Vec<(usize, usize)> = Vec::new();
    for name in named {
        spans.extend(text.match_indices(name.as_str()).map(|(at, found)| (at, at + found.len())));
    }
    if markup {
        let mut at = 0;
        while let Some(skip) = text[at..].find(['{', '%', '<', '`', ':', '@', '$']) {
            at += skip;
            match span(text, at) {
                Some((start, end)) => {
                    spans.push((start, end));
                    at = end.max(at + 1);
                }
                None => at += 1,
            }
        }
    }
    spans.sort_unstable();
    let mut joined: Vec<(usize, usize)> = Vec::with_capacity(spans.len());
    for (start, end) in spans {
        match joined.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => joined.push((start, end)),
        }
    }
    Protected(joined)
}

/// The span that the mark at this place belongs to.
fn span(text: &str, at: usize) -> Option<(usize, usize)> {
    let rest = &text[at..];
    let end = match rest.as_bytes()[0] {
        b'{' => braces(rest)?,
        b'$' => {
            let rest = rest[1..].strip_prefix('{').map(|_| &rest[1..])?;
            1 + braces(rest)?
        }
        b'%' => percent(rest)?,
        b'<' => tag(rest)?,
        b'`' => code(rest)?,
        b':' => return address(text, at),
        _ => return mail(text, at),
    };
    Some((at, at + end))
}

/// `{name}`, `{{ name }}`, `{n, plural, …}`: up to the brace that closes the first.
fn braces(rest: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, byte) in rest.bytes().enumerate().take(LONGEST) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

/// `%s`, `%1$d`, `%.2f`, `%(name)s`, `%@`; a per cent sign before a blank or at the end is none.
fn percent(rest: &str) -> Option<usize> {
    if let Some(named) = rest[1..].strip_prefix('(') {
        let close = named.find(')').filter(|at| *at < LONGEST)?;
        return named[close + 1..].starts_with(|c: char| c.is_ascii_alphabetic()).then_some(close + 4);
    }
    let flags = rest[1..]
        .bytes()
        .take_while(|byte| matches!(byte, b'0'..=b'9' | b'$' | b'.' | b'-' | b'+' | b'*' | b'#'))
        .count();
    let sizes = rest[1 + flags..].bytes().take_while(|byte| matches!(byte, b'l' | b'h' | b'z')).count();
    let kind = rest.as_bytes().get(1 + flags + sizes)?;
    let end = 2 + flags + sizes;
    // `100%discount` has no placeholder: a letter follows the letter.
    let whole = !rest[end..].starts_with(|c: char| c.is_alphabetic());
    (matches!(kind, b'd' | b'i' | b'u' | b's' | b'f' | b'g' | b'e' | b'x' | b'X' | b'c' | b'@' | b'%') && whole)
        .then_some(end)
}

/// `<b>`, `</b>`, `<a href="…">`, `<!-- … -->`.
fn tag(rest: &str) -> Option<usize> {
    if let Some(comment) = rest.strip_prefix("<!--") {
        let near = comment.char_indices().nth(LONGEST * 10).map_or(comment, |(at, _)| &comment[..at]);
        return near.find("-->").map(|at| at + 7);
    }
    let name = rest[1..].strip_prefix('/').unwrap_or(&rest[1..]);
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let mut quote = None;
    for (at, byte) in rest.bytes().enumerate().take(LONGEST * 10) {
        match (quote, byte) {
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            (None, b'>') => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Between marks of the same number of backticks.
fn code(rest: &str) -> Option<usize> {
    let ticks = rest.bytes().take_while(|byte| *byte == b'`').count();
    let mark = &rest[..ticks];
    rest[ticks..].find(mark).map(|at| ticks + at + ticks)
}

/// `https://…` and the like, from the scheme's first letter.
fn address(text: &str, at: usize) -> Option<(usize, usize)> {
    text[at..].strip_prefix("://")?;
    let scheme = text[..at]
        .bytes()
        .rev()
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
        .count();
    let tail = text[at..]
        .find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '«' | '»' | '“' | '”'))
        .unwrap_or(text.len() - at);
    // The full stop of a sentence is not part of it.
    let address = text[at..at + tail].trim_end_matches(['.', ',', ';', ':', '!', '?', ')', '\'']);
    (scheme > 0).then_some((at - scheme, at + address.len()))
}

/// `name@host.example`.
fn mail(text: &str, at: usize) -> Option<(usize, usize)> {
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
    let name: usize = text[..at].chars().rev().take_while(|c| inside(*c)).map(char::len_utf8).sum();
    let host = text[at + 1..].find(|c| !inside(c)).unwrap_or(text.len() - at - 1);
    let host = text[at + 1..at + 1 + host].trim_end_matches('.');
    (name > 0 && host.contains('.')).then_some((at - name, at + 1 + host.len()))
}
