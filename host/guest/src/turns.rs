//! How an agent's turns are tried, recorded and looked after, field by field: `[turns]` of `agent.toml`.

use agents::{Care, Retry};
use base::{nearest, span, span_text};
use std::time::Duration;

/// How an agent's turns are tried, recorded and looked after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turns {
    /// How often a message is tried.
    pub retry: Retry,
    /// Whether what its turns read is kept, so that they can be run again.
    pub record: bool,
    /// How it is looked after.
    pub care: Care,
}

/// The fields, as they are written.
pub const FIELDS: [&str; 11] = [
    "attempts",
    "backoff",
    "longest-backoff",
    "ordered",
    "record",
    "recycle",
    "idle",
    "faults",
    "within",
    "pause",
    "longest-pause",
];

/// What can't be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such field.
    #[error("unknown field `{field}` of turns{}; there are {}", near(*.nearest), FIELDS.join(", "))]
    Unknown {
        /// As it was written.
        field: String,
        /// The one that was probably meant.
        nearest: Option<&'static str>,
    },
    /// Not a value of this field's kind.
    #[error("turns field `{field}`: `{given}` is not {wanted}")]
    Value {
        /// The field.
        field: &'static str,
        /// What was written.
        given: String,
        /// What was expected, with an example.
        wanted: &'static str,
    },
    /// A value that can't be kept to.
    #[error("turns field `{field}`: {given} is not between {least} and {most}")]
    Range {
        /// The field.
        field: &'static str,
        /// What was written.
        given: String,
        /// The least that it may be.
        least: String,
        /// The most.
        most: String,
    },
    /// Two fields that contradict each other.
    #[error("turns field `{less}` ({given}) is longer than `{more}` ({limit})")]
    Order {
        /// The field that must not be above the other.
        less: &'static str,
        /// What it is.
        given: String,
        /// The other field.
        more: &'static str,
        /// What that is.
        limit: String,
    },
}

fn near(word: Option<&str>) -> String {
    word.map(|word| format!(", did you mean `{word}`?")).unwrap_or_default()
}

const MILLI: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// A message is tried no more often than this.
const ATTEMPTS: u32 = 1_000;

/// Each fault within the window is remembered.
const FAULTS: u32 = 10_000;

impl Turns {
    /// Sets one field from its text. [`Turns::check`] looks at them together.
    pub fn set(&mut self, field: &str, text: &str) -> Result<(), Error> {
        let Turns { retry, record, care } = self;
        match known(field)? {
            "attempts" => retry.attempts = count("attempts", text, ATTEMPTS)?,
            "backoff" => retry.backoff = time("backoff", text, Duration::ZERO, HOUR)?,
            "longest-backoff" => retry.longest = time("longest-backoff", text, Duration::ZERO, DAY)?,
            "ordered" => retry.ordered = flag("ordered", text)?,
            "record" => *record = flag("record", text)?,
            "recycle" => care.recycle = count("recycle", text, u32::MAX)?,
            "idle" => care.idle = time("idle", text, MILLI, 30 * DAY)?,
            "faults" => care.faults = count("faults", text, FAULTS)?,
            "within" => care.within = time("within", text, MILLI, DAY)?,
            "pause" => care.pause = time("pause", text, MILLI, DAY)?,
            "longest-pause" => care.longest = time("longest-pause", text, MILLI, DAY)?,
            field => unreachable!("`{field}` is one of FIELDS"),
        }
        Ok(())
    }

    /// Sets some fields, and looks at all of them together.
    pub fn with<'a>(mut self, fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Turns, Error> {
        for (field, text) in fields {
            self.set(field, text)?;
        }
        self.check()?;
        Ok(self)
    }

    /// Refuses fields that contradict each other.
    pub fn check(&self) -> Result<(), Error> {
        let order = |less, given: Duration, more, limit: Duration| match given <= limit {
            true => Ok(()),
            false => Err(Error::Order { less, given: span_text(given), more, limit: span_text(limit) }),
        };
        order("backoff", self.retry.backoff, "longest-backoff", self.retry.longest)?;
        order("pause", self.care.pause, "longest-pause", self.care.longest)
    }

    /// Each field as it would be written: [`Turns::set`] makes the same of it.
    pub fn fields(&self) -> [(&'static str, String); FIELDS.len()] {
        let Turns { retry, record, care } = self;
        [
            ("attempts", retry.attempts.to_string()),
            ("backoff", span_text(retry.backoff)),
            ("longest-backoff", span_text(retry.longest)),
            ("ordered", retry.ordered.to_string()),
            ("record", record.to_string()),
            ("recycle", care.recycle.to_string()),
            ("idle", span_text(care.idle)),
            ("faults", care.faults.to_string()),
            ("within", span_text(care.within)),
            ("pause", span_text(care.pause)),
            ("longest-pause", span_text(care.longest)),
        ]
    }
}

fn known(field: &str) -> Result<&'static str, Error> {
    let unknown = || Error::Unknown { field: field.into(), nearest: nearest(field, FIELDS) };
    FIELDS.into_iter().find(|known| *known == field).ok_or_else(unknown)
}

fn count(field: &'static str, text: &str, most: u32) -> Result<u32, Error> {
    let bad = || Error::Value { field, given: text.into(), wanted: "a whole number, such as 5" };
    let value: u64 = text.trim().parse().map_err(|_| bad())?;
    match u32::try_from(value) {
        Ok(value) if (1..=most).contains(&value) => Ok(value),
        _ => Err(Error::Range { field, given: text.into(), least: "1".into(), most: most.to_string() }),
    }
}

fn flag(field: &'static str, text: &str) -> Result<bool, Error> {
    let bad = |_| Error::Value { field, given: text.into(), wanted: "true or false" };
    text.trim().parse().map_err(bad)
}

fn time(field: &'static str, text: &str, least: Duration, most: Duration) -> Result<Duration, Error> {
    let value = span(text).map_err(|bad| Error::Value { field, given: bad.given, wanted: bad.wanted })?;
    // Finer than this they could not be written again.
    let value = Duration::from_micros(u64::try_from(value.as_micros()).unwrap_or(u64::MAX));
    match (least..=most).contains(&value) {
        true => Ok(value),
        false => Err(Error::Range { field, given: text.into(), least: span_text(least), most: span_text(most) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(fields: &[(&str, &str)]) -> String {
        Turns::default().with(fields.iter().copied()).expect_err("it is refused").to_string()
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let other = [
            ("attempts", "7"),
            ("backoff", "20ms"),
            ("longest-backoff", "2h"),
            ("ordered", "false"),
            ("record", "true"),
            ("recycle", "12"),
            ("idle", "1.5s"),
            ("faults", "3"),
            ("within", "10s"),
            ("pause", "1500us"),
            ("longest-pause", "9s"),
        ];
        assert_eq!(other.map(|(field, _)| field), FIELDS);
        let turns = Turns::default().with(other).expect("it is good");
        let (mine, default) = (turns.fields(), Turns::default().fields());
        for ((field, text), (_, default)) in mine.iter().zip(&default) {
            assert_ne!(text, default, "{field} has a value of its own");
        }
        let again = Turns::default().with(mine.iter().map(|(field, text)| (*field, text.as_str())));
        assert_eq!(again, Ok(turns));
        assert_eq!((turns.retry.longest, turns.care.idle), (2 * HOUR, Duration::from_millis(1_500)));
        assert!(turns.record && !turns.retry.ordered);
    }

    #[test]
    fn nonsense_is_refused_with_what_would_be_right() {
        assert!(said(&[("atempts", "1")]).contains("unknown field `atempts` of turns, did you mean `attempts`?"));
        assert_eq!(said(&[("attempts", "0")]), "turns field `attempts`: 0 is not between 1 and 1000");
        assert_eq!(said(&[("attempts", "x")]), "turns field `attempts`: `x` is not a whole number, such as 5");
        assert_eq!(said(&[("record", "yes")]), "turns field `record`: `yes` is not true or false");
        assert!(said(&[("idle", "5")]).contains("`5` is not a length of time"));
        assert_eq!(said(&[("pause", "0ms")]), "turns field `pause`: 0ms is not between 1ms and 86400s");
        assert_eq!(
            said(&[("backoff", "2s"), ("longest-backoff", "1s")]),
            "turns field `backoff` (2s) is longer than `longest-backoff` (1s)"
        );
        assert!(said(&[("longest-pause", "500ms")]).contains("`pause` (1s) is longer than `longest-pause` (500ms)"));
    }
}
