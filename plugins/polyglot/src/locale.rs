//! Language tags, and numbers as they are given.

use fixed_decimal::Decimal;
use icu_locale_core::Locale;
use serde::Deserialize;
use village::Schema;

use crate::{Error, invalid};

/// Languages that the data of `icu_plurals` and `icu_decimal` has. For others it answers as if they had no rules.
const KNOWN: &str = " af ak am ar as az be bg bn br bs ca cs cv cy da de ee el en eo es et eu fa fi fil fo fr fy ga gd gl \
    gu ha he hi hr hu hy ia id ig ii is it ja jv ka kk km kn ko ks ku ky lb lo lt lv mk ml mn mr ms mt my nb \
    ne nl nn no om or pa pl ps pt rm ro ru sc sd si sk sl so sq sr su sv sw ta te th ti tk tr ug uk ur uz vi wo xh yo \
    zh zu ";

/// Most digits of a number.
const MOST_DIGITS: usize = 40;

/// A number, as JSON has it or as text, so that `1.50` keeps its last digit.
#[derive(Clone, Deserialize, Schema)]
#[serde(untagged)]
pub enum Amount {
    Number(f64),
    Text(String),
}

/// A language tag such as `pt-BR` that is well formed and known.
pub(crate) fn parse(field: &str, tag: &str) -> Result<Locale, Error> {
    let malformed = || invalid(field, format!("is `{tag}`; a language tag is written as `de` or `pt-BR`"));
    let locale = Locale::try_from_str(tag).map_err(|_| malformed())?;
    if !KNOWN.contains(&format!(" {} ", locale.id.language)) {
        return Err(Error::Unsupported(format!("`{field}` is `{tag}`: there are no rules for this language here")));
    }
    Ok(locale)
}

impl Amount {
    /// The number, with the digits it was given.
    pub(crate) fn decimal(&self, field: &str) -> Result<Decimal, Error> {
        let text = match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        };
        let wrong = || invalid(field, format!("is `{text}`; a number is written as `-1234.50`"));
        if text.len() > MOST_DIGITS * 2 || text.bytes().filter(u8::is_ascii_digit).count() > MOST_DIGITS {
            return Err(invalid(field, format!("has more than {MOST_DIGITS} digits")));
        }
        // An exponent could ask for more digits than there is memory for.
        let exponent = text.split_once(['e', 'E']).map_or(Ok(0), |(_, exponent)| exponent.parse::<i32>());
        if exponent.map_err(|_| wrong())?.abs() > MOST_DIGITS as i32 {
            return Err(invalid(field, format!("is `{text}`; its exponent is over {MOST_DIGITS}")));
        }
        let plain = text.strip_prefix('-').unwrap_or(&text);
        if !plain.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(wrong());
        }
        Decimal::try_from_str(&text).map_err(|_| wrong())
    }
}
