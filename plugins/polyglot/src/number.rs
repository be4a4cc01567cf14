//! Numbers, per cents and amounts of money as a language writes them, by CLDR.
//!
//! Digits, separators and groups come from ICU's data; where per cent and currency signs stand, from the table in `patterns`.

mod patterns;

use fixed_decimal::{Decimal, SignedRoundingMode, UnsignedRoundingMode};
use icu_decimal::DecimalFormatter;
use icu_decimal::options::{DecimalFormatterOptions, GroupingStrategy};
use icu_locale_core::Locale;
use serde::{Deserialize, Serialize};
use village::Schema;

use crate::locale::{self, Amount};
use crate::{Error, at_most, invalid};
use patterns::Patterns;

const MOST_NUMBERS: usize = 10_000;
/// Most digits after the point that can be asked for.
const MOST_DIGITS: i16 = 20;

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// A language tag such as `de-CH`, or `ar-u-nu-arab` to choose the digits.
    pub language: String,
    /// At most 10000. As text, numbers can have more digits than JSON's.
    #[schema(max_items = 10000)]
    pub numbers: Vec<Amount>,
    #[serde(default)]
    pub style: Style,
    /// ISO 4217 code such as `EUR`; needed for the style `currency`.
    pub currency: Option<String>,
    /// The code itself in place of the sign.
    #[serde(default)]
    pub code: bool,
    /// Digits after the point, at least; as many as the currency has, or 0.
    #[schema(minimum = 0, maximum = 20)]
    pub least_digits: Option<i16>,
    /// And at most, halves rounded away from zero; as many as the currency has, 0 for per cents, or 3.
    #[schema(minimum = 0, maximum = 20)]
    pub most_digits: Option<i16>,
    /// Whether thousands are set apart, in the way of the language.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub grouping: bool,
}

fn yes() -> bool {
    true
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Schema)]
#[serde(rename_all = "kebab-case")]
pub enum Style {
    #[default]
    Decimal,
    /// 0.25 is 25 %.
    Percent,
    Currency,
}

#[derive(Serialize, Schema)]
pub struct Answer {
    pub texts: Vec<String>,
}

pub fn answer(request: Request) -> Result<Answer, Error> {
    at_most("numbers", request.numbers.len(), MOST_NUMBERS)?;
    let locale = locale::parse("language", &request.language)?;
    let writer = Writer::new(&request, &locale)?;
    let text = |(at, number): (usize, &Amount)| Ok(writer.write(number.decimal(&format!("numbers[{at}]"))?));
    Ok(Answer { texts: request.numbers.iter().enumerate().map(text).collect::<Result<_, Error>>()? })
}

/// Writes numbers of one style.
struct Writer {
    digits: DecimalFormatter,
    least: i16,
    most: i16,
    style: Style,
    patterns: Option<Patterns>,
    sign: String,
}

impl Writer {
    fn new(request: &Request, locale: &Locale) -> Result<Self, Error> {
        let sign = sign(request)?;
        let usual = match request.style {
            Style::Decimal => (0, 3),
            Style::Percent => (0, 0),
            Style::Currency => {
                let digits = patterns::minor_digits(request.currency.as_deref().unwrap_or_default());
                (digits, digits)
            }
        };
        for (field, given) in [("least_digits", request.least_digits), ("most_digits", request.most_digits)] {
            if given.is_some_and(|given| !(0..=MOST_DIGITS).contains(&given)) {
                return Err(invalid(field, format!("must be from 0 to {MOST_DIGITS}")));
            }
        }
        let least =
            request.least_digits.unwrap_or_else(|| request.most_digits.map_or(usual.0, |most| usual.0.min(most)));
        let most = request.most_digits.unwrap_or_else(|| usual.1.max(least));
        if least > most {
            return Err(invalid("least_digits", format!("is {least}, more than `most_digits` ({most})")));
        }
        let patterns = match request.style {
            Style::Decimal => None,
            style => Some(Patterns::of(locale).filter(|patterns| patterns.knows(style)).ok_or_else(|| {
                Error::Unsupported(format!("where `{locale}` puts per cent and currency signs is not known here"))
            })?),
        };
        Ok(Self { digits: digits(locale, request.grouping)?, least, most, style: request.style, patterns, sign })
    }

    fn write(&self, mut number: Decimal) -> String {
        if self.style == Style::Percent {
            number.multiply_pow10(2);
        }
        // Halves away from zero, as people are taught to round.
        number.round_with_mode(-self.most, SignedRoundingMode::Unsigned(UnsignedRoundingMode::HalfExpand));
        number.trim_end();
        number.pad_end(-self.least);
        number.trim_start();
        match &self.patterns {
            None => self.digits.format(&number).to_string(),
            Some(patterns) => self.signed(patterns, number),
        }
    }

    /// The pattern for what is not negative, or the one for what is, about the digits.
    fn signed(&self, patterns: &Patterns, number: Decimal) -> String {
        let whole = self.digits.format(&number).to_string();
        let plain = self.digits.format(&number.with_sign(fixed_decimal::Sign::None)).to_string();
        // The minus of the language, with the marks of direction that belong to it.
        let minus = whole.strip_suffix(&plain).unwrap_or_default();
        match self.style {
            Style::Percent => patterns.percent(&plain, minus),
            _ => patterns.currency(&plain, minus, &self.sign),
        }
    }
}

/// The currency's sign, or its code.
fn sign(request: &Request) -> Result<String, Error> {
    let code = match (&request.currency, request.style) {
        (Some(code), Style::Currency) => code,
        (None, Style::Currency) => return Err(invalid("currency", "is missing, and amounts of money are asked for")),
        (Some(_), _) => return Err(invalid("currency", "means nothing to this style")),
        (None, _) => return Ok(String::new()),
    };
    if code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(invalid("currency", format!("is `{code}`; it is three capitals such as `EUR`")));
    }
    Ok(if request.code { code.clone() } else { patterns::sign(code).to_owned() })
}

/// Digits, separators and groups of a language.
pub(crate) fn digits(locale: &Locale, grouping: bool) -> Result<DecimalFormatter, Error> {
    let mut options = DecimalFormatterOptions::default();
    options.grouping_strategy = Some(if grouping { GroupingStrategy::Auto } else { GroupingStrategy::Never });
    DecimalFormatter::try_new(locale.into(), options)
        .map_err(|_| Error::Unsupported(format!("there are no digits for `{locale}`")))
}

#[cfg(test)]
mod tests;
