//! National identification numbers of some countries, by their check digits.
//!
//! Where only one number in ten fails the check by chance, the words before it must say what it is.

mod check;

use super::text::{Part, Text};
use super::{Ground, Hit, Kind};

/// A number of digits only.
struct Number {
    detail: &'static str,
    /// The groups in which its digits are written.
    shapes: &'static [&'static [usize]],
    separators: &'static [&'static str],
    sound: fn(&[u8]) -> bool,
    /// What it is called. Without one of these words it counts only if it is written in groups, and `grouped` says so.
    words: &'static [&'static str],
    needs_words: Needs,
}

#[derive(PartialEq)]
enum Needs {
    Never,
    /// Unless it is written in groups.
    Bare,
    Always,
}

const NUMBERS: [Number; 13] = [
    Number {
        detail: "BE national register",
        shapes: &[&[11], &[2, 2, 2, 3, 2], &[6, 3, 2]],
        separators: &[" ", "-", "."],
        sound: check::belgium,
        words: &["rijksregister", "registre", "national", "insz", "niss"],
        needs_words: Needs::Bare,
    },
    Number {
        detail: "BR CPF",
        shapes: &[&[11], &[3, 3, 3, 2], &[9, 2]],
        separators: &["-", ".", " "],
        sound: check::brazil,
        words: &["cpf"],
        needs_words: Needs::Bare,
    },
    Number {
        detail: "CH AHV",
        shapes: &[&[13], &[3, 4, 4, 2]],
        separators: &["."],
        sound: check::switzerland,
        words: &["ahv", "avs"],
        needs_words: Needs::Never,
    },
    Number {
        detail: "CN resident identity",
        shapes: &[&[18]],
        separators: &[],
        sound: check::china,
        words: &["身份证"],
        needs_words: Needs::Never,
    },
    Number {
        detail: "DE tax identification",
        shapes: &[&[11], &[2, 3, 3, 3]],
        separators: &[" "],
        sound: check::germany,
        words: &["steuer", "steuerid", "idnr", "tin"],
        needs_words: Needs::Bare,
    },
    Number {
        detail: "FR NIR",
        shapes: &[&[15], &[13, 2], &[1, 2, 2, 2, 3, 3, 2]],
        separators: &[" "],
        sound: check::france,
        words: &["nir", "sécurité"],
        needs_words: Needs::Never,
    },
    Number {
        detail: "GB NHS",
        shapes: &[&[10], &[3, 3, 4]],
        separators: &[" ", "-"],
        sound: check::nhs,
        words: &["nhs"],
        needs_words: Needs::Always,
    },
    Number {
        detail: "IN Aadhaar",
        shapes: &[&[12], &[4, 4, 4]],
        separators: &[" ", "-"],
        sound: check::india,
        words: &["aadhaar", "aadhar", "uidai", "uid", "आधार"],
        needs_words: Needs::Always,
    },
    Number {
        detail: "NL BSN",
        shapes: &[&[9], &[4, 2, 3], &[3, 3, 3]],
        separators: &[" ", "."],
        sound: check::netherlands,
        words: &["bsn", "burgerservicenummer", "sofinummer"],
        needs_words: Needs::Always,
    },
    Number {
        detail: "NO birth number",
        shapes: &[&[11], &[6, 5]],
        separators: &[" "],
        sound: check::norway,
        words: &["fødselsnummer", "personnummer"],
        needs_words: Needs::Never,
    },
    Number {
        detail: "PL PESEL",
        shapes: &[&[11]],
        separators: &[],
        sound: check::poland,
        words: &["pesel"],
        needs_words: Needs::Always,
    },
    Number {
        detail: "SE personal identity",
        shapes: &[&[10], &[12], &[6, 4], &[8, 4]],
        separators: &["-", "+"],
        sound: check::sweden,
        words: &["personnummer", "pnr"],
        needs_words: Needs::Bare,
    },
    Number {
        detail: "US social security",
        shapes: &[&[9], &[3, 2, 4]],
        separators: &["-", " "],
        sound: check::america,
        words: &["ssn", "social", "security"],
        needs_words: Needs::Bare,
    },
];

/// A number with letters in it, as it is once blanks are taken out.
type Word = (&'static str, fn(&[u8]) -> bool, Ground);

const WORDS: [Word; 6] = [
    ("CN resident identity", check::china_letter, Ground::Checked),
    ("ES DNI", check::spain, Ground::Checked),
    ("FI personal identity", check::finland, Ground::Checked),
    ("FR NIR", check::corsica, Ground::Checked),
    ("GB national insurance", check::britain, Ground::Shape),
    ("IT codice fiscale", check::italy, Ground::Checked),
];

/// How far before a number its name may stand.
const REACH: usize = 40;

pub(super) fn find(text: &Text<'_>, hits: &mut Vec<Hit>) {
    for run in &text.runs {
        for part in text.parts(run, 7).filter(|part| text.stands_alone(part.start(), part.end())) {
            hits.extend(number(text, &part));
        }
    }
    words(text, hits);
}

fn number(text: &Text<'_>, part: &Part<'_>) -> Option<Hit> {
    let shape = part.shape();
    let digits = part.digits();
    let fits = |number: &&Number| {
        let named = || text.says(part.start(), number.words, REACH);
        number.shapes.contains(&&shape[..])
            && part.separators().all(|separator| number.separators.contains(&separator.as_str()))
            && (number.sound)(&digits)
            && match number.needs_words {
                Needs::Never => true,
                Needs::Bare => shape.len() > 1 || named(),
                Needs::Always => named(),
            }
    };
    let found = NUMBERS.iter().find(fits)?;
    // The American one has no check digit.
    let ground = if found.detail.starts_with("US") { Ground::Shape } else { Ground::Checked };
    Some(hit(part.start(), part.end(), ground, found.detail))
}

/// Words of letters and digits, alone or up to seven that single blanks or hyphens part.
fn words(text: &Text<'_>, hits: &mut Vec<Hit>) {
    let inside = |c: char| c.is_ascii_alphanumeric();
    let mut places: Vec<(usize, usize)> = Vec::new();
    let mut at = 0;
    while let Some(skip) = text.all[at..].find(inside) {
        let start = at + skip;
        at = start + text.all[start..].find(|c| !inside(c)).unwrap_or(text.all.len() - start);
        places.push((start, at));
    }
    let apart = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
    for (index, first) in places.iter().enumerate().filter(|(_, place)| apart(text.before(place.0))) {
        let mut joined = Vec::with_capacity(20);
        for (step, place) in places[index..].iter().take(7).enumerate() {
            if step > 0 {
                let between = &text.all[places[index + step - 1].1..place.0];
                if !matches!(between, " " | "-" | "+" | "\u{a0}") {
                    break;
                }
                // The sign of a Finnish number says which century.
                joined.extend(between.bytes().filter(|byte| matches!(byte, b'-' | b'+')));
            }
            joined.extend(text.all[place.0..place.1].bytes().map(|byte| byte.to_ascii_uppercase()));
            // `at 123456 a day` is no number: in parts it is written in capitals.
            let small = step > 0 && text.all[first.0..place.1].bytes().any(|byte| byte.is_ascii_lowercase());
            if joined.len() > 21 || small {
                break;
            }
            if (9..=21).contains(&joined.len())
                && joined.iter().any(u8::is_ascii_uppercase)
                && joined.iter().any(u8::is_ascii_digit)
                && apart(text.after(place.1))
            {
                let known = WORDS.iter().find(|(_, sound, _)| sound(&joined));
                hits.extend(known.map(|(detail, _, ground)| hit(first.0, place.1, *ground, detail)));
            }
        }
    }
}

fn hit(start: usize, end: usize, ground: Ground, detail: &str) -> Hit {
    Hit { kind: Kind::NationalId, start, end, ground, detail: detail.to_owned() }
}
