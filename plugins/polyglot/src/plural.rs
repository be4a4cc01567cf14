//! Which plural form a number takes, by CLDR's rules.

use icu_locale_core::Locale;
use icu_plurals::{PluralCategory, PluralRuleType, PluralRules, PluralRulesOptions};
use serde::{Deserialize, Serialize};
use village::Schema;

use crate::locale::{self, Amount};
use crate::{Error, at_most};

const MOST_NUMBERS: usize = 10_000;

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// A language tag such as `pl` or `pt-PT`.
    pub language: String,
    /// At most 10000. As text a number keeps its digits: in some languages `1` and `1.0` take different forms.
    #[schema(max_items = 10000)]
    pub numbers: Vec<Amount>,
    /// Whether they say which one (first, second) rather than how many.
    #[serde(default)]
    pub ordinal: bool,
}

#[derive(Serialize, Schema)]
pub struct Answer {
    /// `zero`, `one`, `two`, `few`, `many` or `other`, for each number.
    pub categories: Vec<String>,
    /// All that the language has.
    pub all: Vec<String>,
}

pub fn answer(request: Request) -> Result<Answer, Error> {
    at_most("numbers", request.numbers.len(), MOST_NUMBERS)?;
    let rules = rules(&locale::parse("language", &request.language)?, request.ordinal)?;
    let category = |(at, number): (usize, &Amount)| {
        let number = number.decimal(&format!("numbers[{at}]"))?;
        Ok(name(rules.category_for(&number)).to_owned())
    };
    Ok(Answer {
        categories: request.numbers.iter().enumerate().map(category).collect::<Result<_, Error>>()?,
        all: rules.categories().map(|category| name(category).to_owned()).collect(),
    })
}

pub(crate) fn rules(locale: &Locale, ordinal: bool) -> Result<PluralRules, Error> {
    let kind = if ordinal { PluralRuleType::Ordinal } else { PluralRuleType::Cardinal };
    let options = PluralRulesOptions::default().with_type(kind);
    PluralRules::try_new(locale.into(), options)
        .map_err(|_| Error::Unsupported(format!("there are no plural rules for `{locale}`")))
}

pub(crate) fn name(category: PluralCategory) -> &'static str {
    match category {
        PluralCategory::Zero => "zero",
        PluralCategory::One => "one",
        PluralCategory::Two => "two",
        PluralCategory::Few => "few",
        PluralCategory::Many => "many",
        PluralCategory::Other => "other",
    }
}

#[cfg(test)]
mod tests;
