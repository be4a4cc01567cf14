//! Dates of birth: dates that words such as `born` stand before.

use super::text::{Part, Text};
use super::{Ground, Hit, Kind};
use crate::date::Date;

const BIRTH: [&str; 30] = [
    "born",
    "birth",
    "birthday",
    "birthdate",
    "dob",
    "geb",
    "geboren",
    "geburtsdatum",
    "geburtstag",
    "né",
    "née",
    "naissance",
    "nacido",
    "nacida",
    "nacimiento",
    "nato",
    "nata",
    "nascita",
    "nascido",
    "nascida",
    "nascimento",
    "geboortedatum",
    "född",
    "født",
    "urodzony",
    "urodzona",
    "urodzenia",
    "рождения",
    "родился",
    "родилась",
];

/// Names of months and their short forms; each month's begin with one of these.
const MONTHS: [(&str, u32); 48] = [
    ("jan", 1),
    ("ene", 1),
    ("gen", 1),
    ("jän", 1),
    ("feb", 2),
    ("fév", 2),
    ("fev", 2),
    ("mar", 3),
    ("mär", 3),
    ("apr", 4),
    ("avr", 4),
    ("abr", 4),
    ("may", 5),
    ("mai", 5),
    ("mag", 5),
    ("mei", 5),
    ("jun", 6),
    ("juin", 6),
    ("giu", 6),
    ("jul", 7),
    ("juil", 7),
    ("lug", 7),
    ("aug", 8),
    ("aoû", 8),
    ("ago", 8),
    ("sep", 9),
    ("set", 9),
    ("oct", 10),
    ("okt", 10),
    ("ott", 10),
    ("out", 10),
    ("nov", 11),
    ("dec", 12),
    ("dez", 12),
    ("déc", 12),
    ("dic", 12),
    ("янв", 1),
    ("фев", 2),
    ("мар", 3),
    ("апр", 4),
    ("мая", 5),
    ("июн", 6),
    ("июл", 7),
    ("авг", 8),
    ("сен", 9),
    ("окт", 10),
    ("ноя", 11),
    ("дек", 12),
];

/// How far before a date its words may stand.
const REACH: usize = 40;

pub(super) fn find(text: &Text<'_>, hits: &mut Vec<Hit>) {
    for run in &text.runs {
        let numeric = text.parts(run, 3).filter(numeric).map(|part| (part.start(), part.end()));
        let found = numeric.chain(written(text, run.groups[0]));
        for (start, end) in found.filter(|(start, _)| text.says(*start, &BIRTH, REACH)) {
            hits.push(Hit { kind: Kind::BirthDate, start, end, ground: Ground::Context, detail: String::new() });
        }
    }
}

/// `1985-03-12`, `12.03.1985`, `3/12/1985`.
fn numeric(part: &Part<'_>) -> bool {
    if part.groups.len() != 3 || !part.parted_by(&["-", ".", "/", " "]) {
        return false;
    }
    let number = |at: usize| part.text[part.groups[at].0..part.groups[at].1].parse::<u32>().ok();
    let (Some(a), Some(b), Some(c)) = (number(0), number(1), number(2)) else {
        return false;
    };
    let sound = |year: u32, month, day| Date::new(year as i32, month, day).is_some() && (1850..=2100).contains(&year);
    match part.shape()[..] {
        [4, 1..=2, 1..=2] => sound(a, b, c),
        // The day first in most countries, the month in some.
        [1..=2, 1..=2, 4] => sound(c, b, a) || sound(c, a, b),
        [1..=2, 1..=2, 2] => sound(1900 + c, b, a) || sound(1900 + c, a, b),
        _ => false,
    }
}

/// `12 March 1985`, `12. März 1985`, `12 de marzo de 1985`, `March 12, 1985`, from the day's digits.
fn written(text: &Text<'_>, day: (usize, usize)) -> Option<(usize, usize)> {
    if day.1 - day.0 > 2 {
        return None;
    }
    let number: u32 = text.all[day.0..day.1].parse().ok()?;
    if let Some((month, end)) = month_after(text, day.1)
        && let Some((year, end)) = year_after(text, end)
    {
        return Date::new(year, month, number).map(|_| (day.0, end));
    }
    let before = text.all[..day.0].trim_end_matches([' ', '\u{a0}', '.']);
    let start = before
        .rfind(|c: char| !c.is_alphabetic())
        .map_or(0, |at| at + before[at..].chars().next().map_or(0, char::len_utf8));
    let month = month(&before[start..])?;
    let (year, end) = year_after(text, day.1)?;
    Date::new(year, month, number).map(|_| (start, end))
}

fn month(word: &str) -> Option<u32> {
    let word = word.to_lowercase();
    // The longest beginning that fits: `juil` and `juin` before `jui`.
    let fitting = MONTHS.iter().filter(|(start, _)| word.starts_with(start));
    fitting.max_by_key(|(start, _)| start.len()).map(|(_, month)| *month)
}

/// Past a full stop, `er`, `st` and the like, spaces and `de` or `of`.
fn month_after(text: &Text<'_>, at: usize) -> Option<(u32, usize)> {
    let rest = text.all[at..].trim_start_matches("er").trim_start_matches("st").trim_start_matches("nd");
    let rest = rest.trim_start_matches("rd").trim_start_matches("th").trim_start_matches(['.', 'º', '°']);
    let rest = skip_link(rest);
    let long = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    Some((month(&rest[..long])?, text.all.len() - rest.len() + long))
}

fn year_after(text: &Text<'_>, at: usize) -> Option<(i32, usize)> {
    let rest = text.all[at..].trim_start_matches(['.', ',']);
    let rest = skip_link(rest);
    let long = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let year: i32 = rest[..long].parse().ok().filter(|_| long == 4)?;
    (1850..=2100).contains(&year).then_some((year, text.all.len() - rest.len() + 4))
}

fn skip_link(rest: &str) -> &str {
    let rest = rest.trim_start_matches([' ', '\u{a0}', '-']);
    let linked = ["de ", "of ", "del "].iter().find_map(|link| rest.strip_prefix(link));
    linked.unwrap_or(rest)
}
