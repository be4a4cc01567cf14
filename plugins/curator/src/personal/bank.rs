//! Bank accounts by IBAN, and payment cards.

use super::text::{Part, Text};
use super::{Ground, Hit, Kind};

/// How many characters an IBAN has in each country, as SWIFT's registry says.
const LENGTHS: [(&str, usize); 88] = [
    ("AD", 24),
    ("AE", 23),
    ("AL", 28),
    ("AT", 20),
    ("AZ", 28),
    ("BA", 20),
    ("BE", 16),
    ("BG", 22),
    ("BH", 22),
    ("BI", 27),
    ("BR", 29),
    ("BY", 28),
    ("CH", 21),
    ("CR", 22),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DJ", 27),
    ("DK", 18),
    ("DO", 28),
    ("EE", 20),
    ("EG", 29),
    ("ES", 24),
    ("FI", 18),
    ("FK", 18),
    ("FO", 18),
    ("FR", 27),
    ("GB", 22),
    ("GE", 22),
    ("GI", 23),
    ("GL", 18),
    ("GR", 27),
    ("GT", 28),
    ("HN", 28),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IQ", 23),
    ("IS", 26),
    ("IT", 27),
    ("JO", 30),
    ("KW", 30),
    ("KZ", 20),
    ("LB", 28),
    ("LC", 32),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("LY", 25),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MN", 20),
    ("MR", 27),
    ("MT", 31),
    ("MU", 30),
    ("NI", 28),
    ("NL", 18),
    ("NO", 15),
    ("OM", 23),
    ("PK", 24),
    ("PL", 28),
    ("PS", 29),
    ("PT", 25),
    ("QA", 29),
    ("RO", 24),
    ("RS", 22),
    ("RU", 33),
    ("SA", 24),
    ("SC", 31),
    ("SD", 18),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
    ("SO", 23),
    ("ST", 25),
    ("SV", 28),
    ("TL", 23),
    ("TN", 24),
    ("TR", 26),
    ("UA", 29),
    ("VA", 22),
    ("VG", 24),
    ("XK", 20),
];

pub(super) fn find(text: &Text<'_>, hits: &mut Vec<Hit>) {
    for run in &text.runs {
        // The digits after a country's letters begin a run.
        let first = run.groups[0].0;
        for group in &run.groups {
            hits.extend(iban(text, group.0));
        }
        for part in text.parts(run, 5).filter(|part| text.stands_alone(part.start(), part.end())) {
            if let Some(brand) = card(&part)
                && !(run.plus && part.start() == first)
            {
                let detail = brand.to_owned();
                hits.push(Hit {
                    kind: Kind::Card,
                    start: part.start(),
                    end: part.end(),
                    ground: Ground::Checked,
                    detail,
                });
            }
        }
    }
}

/// An IBAN whose check digits stand at `digits`.
fn iban(text: &Text<'_>, digits: usize) -> Option<Hit> {
    let start = digits.checked_sub(2)?;
    let country = text.all.get(start..digits)?.to_ascii_uppercase();
    let (_, length) = *LENGTHS.iter().find(|(known, _)| *known == country)?;
    if text.before(start).is_some_and(|c| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let mut account = String::with_capacity(length);
    let mut end = start;
    let mut parted = true;
    for (at, c) in text.all[start..].char_indices() {
        if c.is_ascii_alphanumeric() {
            account.push(c.to_ascii_uppercase());
            end = start + at + 1;
            parted = false;
        } else if !parted && matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '-') {
            parted = true;
        } else {
            break;
        }
        if account.len() == length {
            break;
        }
    }
    let whole = account.len() == length && !text.after(end).is_some_and(|c| c.is_alphanumeric() || c == '_');
    (whole && remainder(&account) == Some(1)).then_some(Hit {
        kind: Kind::Iban,
        start,
        end,
        ground: Ground::Checked,
        detail: country,
    })
}

/// The remainder by 97 of the account with its first four characters moved to the end and letters as 10 to 35 (ISO 7064).
fn remainder(account: &str) -> Option<u32> {
    let (head, tail) = account.split_at_checked(4)?;
    tail.chars().chain(head.chars()).try_fold(0, |rest, c| {
        let value = c.to_digit(36)?;
        Some((rest * if value > 9 { 100 } else { 10 } + value) % 97)
    })
}

/// The brand of a card's number; none if it is no such number.
fn card(part: &Part<'_>) -> Option<&'static str> {
    let shape = part.shape();
    let usual = matches!(*shape, [_] | [4, 4, 4, 4] | [4, 6, 5] | [4, 6, 4] | [4, 4, 4, 4, 1..=3]);
    if !usual || !part.parted_by(&[" ", "-"]) {
        return None;
    }
    let digits = part.digits();
    if !(12..=19).contains(&digits.len()) || !luhn(&digits) {
        return None;
    }
    let lead = |count: usize| digits[..count].iter().fold(0u32, |number, digit| number * 10 + u32::from(*digit));
    // The ranges of numbers that the brands issue, with the lengths that they have.
    Some(match (lead(4), digits.len()) {
        // Those of 13 digits are long gone, and the numbers of goods from Germany look like them.
        (4000..=4999, 16 | 19) => "Visa",
        (5100..=5599 | 2221..=2720, 16) => "Mastercard",
        (3400..=3499 | 3700..=3799, 15) => "American Express",
        (6011 | 6440..=6499 | 6500..=6599, 16..=19) => "Discover",
        (3528..=3589, 16..=19) => "JCB",
        (3000..=3059 | 3095 | 3600..=3699 | 3800..=3999, 14..=19) => "Diners Club",
        (6200..=6299, 16..=19) => "UnionPay",
        (5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763, 12..=19) => "Maestro",
        _ => return None,
    })
}

/// Whether the last digit checks the others: every second one from the right is doubled.
pub(super) fn luhn(digits: &[u8]) -> bool {
    let sum = digits.iter().rev().enumerate().map(|(at, digit)| {
        let digit = u32::from(*digit) * if at % 2 == 1 { 2 } else { 1 };
        digit / 10 + digit % 10
    });
    // All zeros would pass.
    sum.sum::<u32>() % 10 == 0 && digits.iter().any(|digit| *digit > 0)
}
