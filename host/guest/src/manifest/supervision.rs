//! `[supervision]`: how an agent looks after those that it creates, and a village after the agents of a group.

use agents::kin::{STRATEGIES, Supervision};
use base::{nearest, span};
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

const KEYS: [&str; 3] = ["strategy", "restarts", "within"];

/// So many breaks may be borne at most, and so long may the time be in which they are counted.
const MOST: u32 = 1_000;
const LONGEST: Duration = Duration::from_secs(3600);

/// Reads the table; what is wrong is said with its place in the text.
pub fn read(table: &DeTable<'_>) -> Result<Supervision, (usize, String)> {
    let mut supervision = Supervision::default();
    for (key, value) in table {
        let at = value.span().start;
        match key.get_ref().as_ref() {
            "strategy" => supervision.strategy = strategy(value)?,
            "restarts" => supervision.restarts = restarts(value)?,
            "within" => {
                let text = string("within", "10s", value)?;
                let within = span(text).map_err(|bad| (at, format!("`within`: {bad}")))?;
                if within.is_zero() || within > LONGEST {
                    return Err((at, format!("`within`: {text} is not above nothing and at most an hour")));
                }
                supervision.within = within;
            }
            other => {
                let near = nearest(other, KEYS).map(|word| format!(", did you mean `{word}`?")).unwrap_or_default();
                let all = KEYS.join(", ");
                return Err((
                    key.span().start,
                    format!("unknown key `{other}` of [supervision]{near}; there are {all}"),
                ));
            }
        }
    }
    Ok(supervision)
}

fn strategy(value: &Spanned<DeValue<'_>>) -> Result<agents::kin::Strategy, (usize, String)> {
    let text = string("strategy", "one-for-one", value)?;
    let words = STRATEGIES.map(|(word, _)| word);
    STRATEGIES.into_iter().find(|(word, _)| *word == text).map(|(_, strategy)| strategy).ok_or_else(|| {
        let near = nearest(text, words).map(|word| format!(", did you mean `{word}`?")).unwrap_or_default();
        (value.span().start, format!("`strategy`: `{text}` is none{near}; there are {}", words.join(", ")))
    })
}

fn restarts(value: &Spanned<DeValue<'_>>) -> Result<u32, (usize, String)> {
    let number = match value.get_ref() {
        DeValue::Integer(number) => number.to_string().parse::<u32>().ok().filter(|number| *number <= MOST),
        _ => None,
    };
    number.ok_or_else(|| (value.span().start, format!("`restarts` is a whole number from 0 to {MOST}, such as 3")))
}

fn string<'a>(key: &str, example: &str, value: &'a Spanned<DeValue<'_>>) -> Result<&'a str, (usize, String)> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text),
        _ => Err((value.span().start, format!("`{key}` must be text in quotes, such as \"{example}\""))),
    }
}

#[cfg(test)]
mod tests {
    use crate::manifest::Manifest;
    use agents::kin::{Strategy, Supervision};
    use std::path::Path;
    use std::time::Duration;

    fn parse(rest: &str) -> Result<Option<Supervision>, String> {
        let text = format!("[agent]\nname = \"echo\"\ncomponent = \"echo.wasm\"\n{rest}");
        let manifest = Manifest::parse(&text, Path::new("agent.toml")).map_err(|error| error.to_string())?;
        Ok(manifest.supervision)
    }

    #[test]
    fn a_manifest_says_how_helpers_are_looked_after() {
        let text = "[supervision]\nstrategy = \"rest-for-one\"\nrestarts = 7\nwithin = \"1m\"\n";
        let wanted = Supervision { strategy: Strategy::RestForOne, restarts: 7, within: Duration::from_secs(60) };
        assert_eq!(parse(text), Ok(Some(wanted)));
        assert_eq!(parse("[supervision]\n"), Ok(Some(Supervision::default())));
        assert_eq!(parse(""), Ok(None), "nobody says");
    }

    #[test]
    fn nonsense_is_refused_with_its_line() {
        for (rest, said) in [
            (
                "strategi = \"one-for-one\"",
                "unknown key `strategi` of [supervision], did you mean `strategy`?; there are",
            ),
            ("strategy = \"one-for-al\"", "`strategy`: `one-for-al` is none, did you mean `one-for-all`?; there are"),
            ("strategy = 1", "`strategy` must be text in quotes"),
            ("restarts = -1", "`restarts` is a whole number from 0 to 1000"),
            ("restarts = 1001", "`restarts` is a whole number from 0 to 1000"),
            ("restarts = \"3\"", "`restarts` is a whole number from 0 to 1000"),
            ("restarts = 1.5", "`restarts` is a whole number from 0 to 1000"),
            ("within = \"0s\"", "`within`: "),
            ("within = \"2h\"", "`within`: 2h is not above nothing and at most an hour"),
            ("within = \"soon\"", "`within`: "),
            ("within = 10", "`within` must be text in quotes"),
        ] {
            let refusal = parse(&format!("[supervision]\n{rest}\n")).expect_err(rest);
            assert!(refusal.starts_with(&format!("agent.toml:5: {said}")), "{refusal}");
        }
        assert!(parse("[supervison]\n").is_err_and(|said| said.contains("did you mean `supervision`?")));
    }
}
