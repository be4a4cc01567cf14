//! Phone numbers: international ones by country code, national ones by the spellings that are common in some countries,
//! and any other where the words before it say so.

use super::text::{Part, Run, Text};
use super::{Ground, Hit, Kind};

/// Country codes of two digits; those of three begin with none of them.
const TWO: [&str; 45] = [
    "20", "27", "28", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47", "48", "49",
    "51", "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63", "64", "65", "66", "81", "82", "83", "84",
    "86", "90", "91", "92", "93", "94", "95",
];

/// What country codes of three digits begin with.
const THREE: [&str; 20] = [
    "21", "22", "23", "24", "25", "26", "29", "35", "37", "38", "42", "50", "59", "67", "68", "69", "80", "85", "88",
    "96",
];

/// How many digits follow a country code, where plans are strict.
const STRICT: [(&str, usize, usize); 14] = [
    ("1", 10, 10),
    ("7", 10, 10),
    ("27", 9, 9),
    ("30", 10, 10),
    ("31", 9, 9),
    ("32", 8, 9),
    ("33", 9, 9),
    ("34", 9, 9),
    ("41", 9, 9),
    ("44", 9, 10),
    ("45", 8, 8),
    ("48", 9, 9),
    ("91", 10, 10),
    ("61", 9, 9),
];

/// Words that a phone number follows.
const CALLS: [&str; 30] = [
    "tel",
    "tél",
    "fon",
    "phone",
    "telephone",
    "téléphone",
    "telefon",
    "teléfono",
    "telefone",
    "telefoon",
    "telefono",
    "puh",
    "mobile",
    "mobil",
    "móvil",
    "mob",
    "cell",
    "cellulare",
    "portable",
    "handy",
    "fax",
    "call",
    "ring",
    "dial",
    "whatsapp",
    "gsm",
    "тел",
    "телефон",
    "電話",
    "电话",
];

pub(super) fn find(text: &Text<'_>, hits: &mut Vec<Hit>) {
    for run in &text.runs {
        let longest = |found: Option<(Part<'_>, String)>, ground| {
            found.map(|(part, detail)| Hit {
                kind: Kind::Phone,
                start: part.start() - lead(text, run),
                end: part.end(),
                ground,
                detail,
            })
        };
        let hit = longest(international(text, run), Ground::Shape)
            .or_else(|| longest(national(text, run), Ground::Shape))
            .or_else(|| longest(announced(text, run), Ground::Context));
        hits.extend(hit);
    }
}

/// How many bytes of plus and parenthesis belong to the number.
fn lead(text: &Text<'_>, run: &Run) -> usize {
    let before = &text.all[..run.groups[0].0];
    let closed = || run.groups.windows(2).any(|pair| text.all[pair[0].1..pair[1].0].contains(')'));
    match (run.plus, run.opened) {
        (true, true) if closed() => 2,
        (true, _) => 1,
        (false, true) if before.ends_with('(') && closed() => 1,
        _ => 0,
    }
}

/// The longest part from the run's start that a test accepts.
fn prefix<'r>(
    text: &'r Text<'_>,
    run: &'r Run,
    accept: impl Fn(&Part<'_>) -> Option<String>,
) -> Option<(Part<'r>, String)> {
    let start = run.groups[0].0 - lead(text, run);
    let parts: Vec<_> = text.parts(run, 8).take_while(|part| part.start() == run.groups[0].0).collect();
    parts
        .into_iter()
        .rev()
        .filter(|part| text.stands_alone(start, part.end()))
        .find_map(|part| Some((part, accept(&part)?)))
}

/// `+` or `00`, a country code, and as many digits as there can be.
fn international<'r>(text: &'r Text<'_>, run: &'r Run) -> Option<(Part<'r>, String)> {
    prefix(text, run, |part| {
        let shape = part.shape();
        let mut digits: String = part.digits().iter().map(|digit| char::from(b'0' + digit)).collect();
        if !run.plus {
            // A bare number that begins with two zeros is more likely something else.
            digits = digits.strip_prefix("00").filter(|_| shape.len() > 1)?.to_owned();
        }
        let code = code(&digits)?;
        // `+44 (0)20 …`: the zero is dialled at home only.
        let separators: Vec<_> = part.separators().collect();
        let dropped = separators
            .windows(2)
            .zip(&shape[1..])
            .any(|(pair, long)| *long == 1 && pair[0].ends_with('(') && pair[1].starts_with(')'));
        let rest = &digits[code.len()..];
        let rest = if dropped { rest.strip_prefix('0')? } else { rest };
        let (least, most) = STRICT.iter().find(|plan| plan.0 == code).map_or((5, 12), |plan| (plan.1, plan.2));
        let sound = (least..=most).contains(&rest.len()) && digits.len() <= 16;
        (sound && (code != "1" || american(rest.as_bytes()))).then(|| format!("+{code}"))
    })
}

/// The country code that digits begin with.
fn code(digits: &str) -> Option<&str> {
    if digits.starts_with(['1', '7']) {
        return digits.get(..1);
    }
    let two = digits.get(..2)?;
    if TWO.contains(&two) {
        return Some(two);
    }
    THREE.contains(&two).then(|| digits.get(..3))?
}

/// Area and exchange of North America: neither begins with 0 or 1, nor is one of the short numbers such as 911.
fn american(digits: &[u8]) -> bool {
    let place = |at: usize| digits[at] > b'1' && !(digits[at + 1] == b'1' && digits[at + 2] == b'1');
    digits.len() == 10 && place(0) && digits[3] > b'1'
}

/// A whole run that is spelt as numbers are in North America, Britain, France, Germany and their neighbours.
fn national<'r>(text: &'r Text<'_>, run: &'r Run) -> Option<(Part<'r>, String)> {
    let part = text.part(run, 0, run.groups.len() - 1);
    let start = part.start() - lead(text, run);
    if run.plus || run.groups.len() > 8 || !text.stands_alone(start, part.end()) || is_date(&part) {
        return None;
    }
    let digits: Vec<u8> = part.digits().iter().map(|digit| b'0' + digit).collect();
    let shape = part.shape();
    let separators: Vec<_> = part.separators().collect();
    if matches!(*shape, [3, 3, 4] | [1, 3, 3, 4]) {
        let local = if shape.len() == 4 { digits.strip_prefix(b"1")? } else { &digits[..] };
        return american(local).then(|| (part, "North America".to_owned()));
    }
    // A trunk zero, an area, and a number: a decimal fraction has a zero alone, `(0 30)` stands in parentheses.
    let area = match shape.first()? {
        1 if run.opened => 2..=3,
        _ => 2..=6,
    };
    let trunk = (9..=12).contains(&digits.len()) && digits[0] == b'0' && digits[1] != b'0' && shape.len() > 1;
    let first = if shape[0] == 1 { 2 } else { shape[0] };
    let pairs = shape.iter().all(|long| *long == 2);
    // Dots part pairs only, as in France; else they are dates and versions.
    let dots = separators.iter().any(|separator| separator == ".");
    let sound =
        trunk && area.contains(&first) && (shape[0] > 1 || run.opened) && (!dots || (pairs && shape.len() == 5));
    sound.then(|| (part, if pairs { "with a trunk zero, in pairs" } else { "with a trunk zero" }.to_owned()))
}

/// Any number of a likely length after a word such as `tel`.
fn announced<'r>(text: &'r Text<'_>, run: &'r Run) -> Option<(Part<'r>, String)> {
    if !text.says(run.groups[0].0 - lead(text, run), &CALLS, 24) {
        return None;
    }
    prefix(text, run, |part| {
        let sound = (6..=13).contains(&part.len()) && part.groups.len() <= 6 && !is_date(part);
        sound.then(String::new)
    })
}

fn is_date(part: &Part<'_>) -> bool {
    let uniform = part.separators().take(2).collect::<Vec<_>>();
    let same = uniform.len() == 2 && uniform[0] == uniform[1] && matches!(uniform[0].as_str(), "." | "/" | "-");
    same && matches!(part.shape()[..], [4, 1 | 2, 1 | 2, ..] | [1 | 2, 1 | 2, 4 | 2, ..])
        && !part.shape().iter().all(|long| *long == 2)
}
