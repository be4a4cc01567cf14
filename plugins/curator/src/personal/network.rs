//! Addresses of machines: IPv4 and IPv6.

use core::net::{Ipv4Addr, Ipv6Addr};

use super::text::Text;
use super::{Ground, Hit, Kind};

/// What stands before a version, not an address.
const VERSION: [&str; 12] =
    ["v", "ver", "version", "versions", "release", "build", "rev", "firmware", "oid", "section", "upgrade", "chapter"];

pub(super) fn find(text: &Text<'_>, hits: &mut Vec<Hit>) {
    let inside = |c: char| c.is_ascii_hexdigit() || c == ':' || c == '.';
    let mut at = 0;
    while let Some(skip) = text.all[at..].find(inside) {
        let start = at + skip;
        let rest = &text.all[start..];
        at = start + rest.find(|c| !inside(c)).unwrap_or(rest.len());
        let outside = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
        if outside(text.before(start)) && outside(text.after(at)) {
            hits.extend(version_six(text, start, at).or_else(|| version_four(text, start, at)));
        }
    }
}

fn version_four(text: &Text<'_>, start: usize, end: usize) -> Option<Hit> {
    // A port may follow, a full stop, or both.
    let all = &text.all[start..end];
    let body = all.trim_start_matches([':', '.']);
    let start = start + all.len() - body.len();
    let body = body.split(':').next()?.trim_end_matches('.');
    let address: Ipv4Addr = body.parse().ok()?;
    // `tool-1.2.3.4`, `Browser/1.2.3.4` and `1.2.3.4-rc` are versions, as what is called one is.
    let hyphen = |c: Option<char>| matches!(c, Some('-' | '+' | '~'));
    let product = text.all[..start].strip_suffix('/').is_some_and(|before| before.ends_with(char::is_alphabetic));
    if product || hyphen(text.before(start)) || hyphen(text.after(start + body.len())) || text.says(start, &VERSION, 12)
    {
        return None;
    }
    let detail = if address.is_loopback() {
        "loopback"
    } else if address.is_private() {
        "private"
    } else if address.is_link_local() {
        "link-local"
    } else if address.is_documentation() {
        "documentation"
    } else {
        ""
    };
    Some(hit(Kind::Ipv4, start, start + body.len(), detail))
}

fn version_six(text: &Text<'_>, start: usize, end: usize) -> Option<Hit> {
    let body = &text.all[start..end];
    // The full stop or colon of a sentence, unless the colon is the address's own.
    let body = body.trim_end_matches('.');
    let body = if body.ends_with("::") { body } else { body.trim_end_matches(':') };
    let address: Ipv6Addr = body.parse().ok()?;
    // `a::b` parses, and is more often a name in a program.
    let groups = body.split(':').filter(|group| !group.is_empty()).count();
    let digits = body.bytes().any(|byte| byte.is_ascii_digit());
    let usual = body.starts_with("::") || matches!(address.segments()[0], 0xfe80..=0xfebf | 0xfc00..=0xfdff);
    if !digits || (groups < 3 && !usual && address.segments()[0] >> 13 != 1) {
        return None;
    }
    let detail = match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => "loopback",
        [0xfe80..=0xfebf, ..] => "link-local",
        [0xfc00..=0xfdff, ..] => "private",
        [0x2001, 0xdb8, ..] => "documentation",
        _ => "",
    };
    Some(hit(Kind::Ipv6, start, start + body.len(), detail))
}

fn hit(kind: Kind, start: usize, end: usize, detail: &str) -> Hit {
    Hit { kind, start, end, ground: Ground::Shape, detail: detail.to_owned() }
}
