//! Messages with values put in, in the right plural form: the common part of ICU's message format.
//!
//! `{name}`, `{count, number}`, `{share, number, percent}`, `{count, plural, =0 {none} one {# file} other {# files}}` with
//! `offset:1`, `selectordinal`, and `{who, select, she {…} other {…}}`. How a template is read is in `template`.

mod template;

use std::collections::BTreeMap;

use fixed_decimal::Decimal;
use icu_decimal::DecimalFormatter;
use icu_locale_core::Locale;
use serde::{Deserialize, Serialize};
use village::Schema;

use crate::locale::{self, Amount};
use crate::{Error, at_most, invalid, number, plural};
use template::{Choice, Key, Kind, Node};

const MOST_TEMPLATE: usize = 64 << 10;
const MOST_OUTPUT: usize = 1 << 20;

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// A language tag such as `pl`.
    pub language: String,
    /// At most 64 KiB. An apostrophe before a brace makes it a letter; two make one apostrophe.
    pub template: String,
    /// For each name in the template, a number or a text.
    #[serde(default)]
    pub values: BTreeMap<String, Amount>,
}

#[derive(Serialize, Schema)]
pub struct Answer {
    pub text: String,
    /// Plural forms that the language has and a choice in the template lacks, so that `other` stands in for them.
    pub lacking: Vec<Lack>,
}

#[derive(Debug, PartialEq, Serialize, Schema)]
pub struct Lack {
    pub name: String,
    pub forms: Vec<String>,
}

pub fn answer(request: Request) -> Result<Answer, Error> {
    at_most("template", request.template.len(), MOST_TEMPLATE)?;
    let locale = locale::parse("language", &request.language)?;
    let nodes = template::parse(&request.template)?;
    let digits = number::digits(&locale, true)?;
    let mut filler =
        Filler { values: &request.values, locale: &locale, digits, text: String::new(), lacking: Vec::new() };
    filler.look(&nodes)?;
    filler.fill(&nodes, None)?;
    Ok(Answer { text: filler.text, lacking: filler.lacking })
}

struct Filler<'a> {
    values: &'a BTreeMap<String, Amount>,
    locale: &'a Locale,
    digits: DecimalFormatter,
    text: String,
    lacking: Vec<Lack>,
}

impl<'a> Filler<'a> {
    /// Notes what every choice lacks, those that are not taken this time included.
    fn look(&mut self, nodes: &[Node]) -> Result<(), Error> {
        for node in nodes {
            let Node::Choice(choice) = node else {
                continue;
            };
            if let Kind::Plural { ordinal, .. } = choice.kind {
                let has =
                    |name: &str| choice.cases.iter().any(|(key, _)| matches!(key, Key::Word(word) if word == name));
                let rules = plural::rules(self.locale, ordinal)?;
                let forms: Vec<String> =
                    rules.categories().map(plural::name).filter(|name| !has(name)).map(str::to_owned).collect();
                let lack = Lack { name: choice.name.clone(), forms };
                if !lack.forms.is_empty() && !self.lacking.contains(&lack) {
                    self.lacking.push(lack);
                }
            }
            for (_, nodes) in &choice.cases {
                self.look(nodes)?;
            }
        }
        Ok(())
    }

    /// `count` is the number that `#` stands for, if there is one.
    fn fill(&mut self, nodes: &[Node], count: Option<&Decimal>) -> Result<(), Error> {
        for node in nodes {
            match node {
                Node::Text(text) => self.text.push_str(text),
                Node::Count => match count {
                    Some(count) => self.text.push_str(&self.digits.format(count).to_string()),
                    None => self.text.push('#'),
                },
                Node::Value(name) => match self.value(name)? {
                    Amount::Text(text) => self.text.push_str(text),
                    Amount::Number(_) => self.number(name, false)?,
                },
                Node::Number { name, percent } => self.number(name, *percent)?,
                Node::Choice(choice) => self.choose(choice, count)?,
            }
            // Long values, put in many times, could fill the memory.
            at_most("text", self.text.len(), MOST_OUTPUT)?;
        }
        Ok(())
    }

    fn value(&self, name: &str) -> Result<&'a Amount, Error> {
        self.values.get(name).ok_or_else(|| invalid(format!("values.{name}"), "is missing, and the template has it"))
    }

    fn number(&mut self, name: &str, percent: bool) -> Result<(), Error> {
        let amount = self.value(name)?.clone();
        amount.decimal(&format!("values.{name}"))?;
        let style = if percent { number::Style::Percent } else { number::Style::Decimal };
        let written = number::answer(number::Request {
            language: self.locale.to_string(),
            numbers: vec![amount],
            style,
            currency: None,
            code: false,
            least_digits: None,
            most_digits: None,
            grouping: true,
        })?;
        self.text.extend(written.texts);
        Ok(())
    }

    fn choose(&mut self, choice: &Choice, outer: Option<&Decimal>) -> Result<(), Error> {
        let field = format!("values.{}", choice.name);
        let value = self.value(&choice.name)?;
        let Kind::Plural { ordinal, offset } = choice.kind else {
            let word = match value {
                Amount::Text(text) => text.clone(),
                Amount::Number(number) => number.to_string(),
            };
            let nodes =
                choice.case(&word).ok_or_else(|| invalid(field, format!("is `{word}`, for which there is no case")))?;
            return self.fill(nodes, outer);
        };
        let number = value.decimal(&field)?;
        let rest = less(&number, offset, &field)?;
        let exact = |key: &Key| matches!(key, Key::Exactly(exactly) if same(exactly, &number));
        let nodes = match choice.cases.iter().find(|(key, _)| exact(key)) {
            Some((_, nodes)) => Some(nodes.as_slice()),
            None => choice.case(plural::name(plural::rules(self.locale, ordinal)?.category_for(&rest))),
        };
        self.fill(nodes.expect("every choice has the case `other`"), Some(&rest))
    }
}

/// Whether both are the same number, whatever zeros stand at their ends.
fn same(a: &Decimal, b: &Decimal) -> bool {
    let plain = |number: &Decimal| {
        let mut number = number.clone();
        number.trim_end();
        number.trim_start();
        number.to_string()
    };
    plain(a) == plain(b) || (a.is_zero() && b.is_zero())
}

/// What is left of a count when some of it is named: only whole numbers have an offset.
fn less(number: &Decimal, offset: i64, field: &str) -> Result<Decimal, Error> {
    if offset == 0 {
        return Ok(number.clone());
    }
    let whole: i64 =
        number.to_string().parse().map_err(|_| invalid(field, "must be a whole number, for there is an offset"))?;
    Ok(Decimal::from(whole.saturating_sub(offset)))
}

#[cfg(test)]
mod tests;
