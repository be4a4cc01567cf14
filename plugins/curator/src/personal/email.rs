//! E-mail addresses, of letters of any script.

use super::text::Text;
use super::{Ground, Hit, Kind};

pub(super) fn find(text: &Text<'_>, hits: &mut Vec<Hit>) {
    for (at, _) in text.all.match_indices('@') {
        let Some((start, end)) = local(text, at).zip(domain(text, at + 1)) else {
            continue;
        };
        // `git@host:path` is a place and no address.
        let mut rest = text.all[end..].chars();
        if rest.next() == Some(':') && rest.next().is_some_and(|c| c.is_alphanumeric() || c == '~' || c == '/') {
            continue;
        }
        hits.push(Hit { kind: Kind::Email, start, end, ground: Ground::Shape, detail: String::new() });
    }
}

/// Where the part before the sign begins.
fn local(text: &Text<'_>, at: usize) -> Option<usize> {
    // The standard allows more, such as `=` and `/`; in running text those stand around an address.
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '%' | '+' | '-' | '\'' | '’');
    let before = &text.all[..at];
    let start = before.char_indices().rev().take_while(|(_, c)| inside(*c)).last()?.0;
    // A quotation mark or a full stop before it is not part of it.
    let start = start + before[start..].find(|c: char| !matches!(c, '.' | '\'' | '’' | '-' | '%'))?;
    let part = &before[start..];
    // `https://user:secret@host` is no address either.
    let scheme =
        before[..start].ends_with(':') && before[..start - 1].rsplit(char::is_whitespace).next()?.contains("//");
    let sound = part.chars().count() <= 64 && !part.ends_with('.') && !part.contains("..") && !scheme;
    sound.then_some(start)
}

/// Where the part after the sign ends.
fn domain(text: &Text<'_>, at: usize) -> Option<usize> {
    let inside = |c: char| c.is_alphanumeric() || c == '-' || c == '.';
    let rest = &text.all[at..];
    let long = rest.find(|c: char| !inside(c)).unwrap_or(rest.len());
    // The full stop of a sentence, and a sentence that begins right after it.
    let name = rest[..long].trim_end_matches(['.', '-']);
    let labels: Vec<&str> = name.split('.').collect();
    let label =
        |label: &&str| (1..=63).contains(&label.chars().count()) && !label.starts_with('-') && !label.ends_with('-');
    let top = labels.last()?;
    let top_is_sound = top.chars().count() > 1 && (top.starts_with("xn--") || top.chars().all(char::is_alphabetic));
    let sound = labels.len() > 1 && labels.iter().all(label) && top_is_sound && name.len() <= 253;
    sound.then_some(at + name.len())
}
