//! Days of the Gregorian calendar, and spans of years, months and days.

use std::fmt;

/// A day, as ISO 8601 writes it: `2026-03-31`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    year: i32,
    month: u32,
    day: u32,
}

/// `P6Y`, `P18M`, `P2W`, `P30D`, or years, months and days in one: `P1Y6M`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    months: u32,
    days: u32,
}

impl Date {
    /// None if there is no such day in the years 1 to 9999.
    pub fn new(year: i32, month: u32, day: u32) -> Option<Self> {
        let sound =
            (1..=9999).contains(&year) && (1..=12).contains(&month) && (1..=month_length(year, month)).contains(&day);
        sound.then_some(Self { year, month, day })
    }

    /// None if the text is not a day written as `YYYY-MM-DD`.
    pub fn parse(text: &str) -> Option<Self> {
        let part =
            |range: std::ops::Range<usize>| text.get(range).filter(|part| part.bytes().all(|b| b.is_ascii_digit()));
        let dashes = text.len() == 10 && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-';
        let (year, month, day) = (part(0..4)?, part(5..7)?, part(8..10)?);
        dashes.then(|| Self::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?))?
    }

    /// Months first, cut to the end of a shorter month, then days. None after the year 9999.
    pub fn after(self, span: Span) -> Option<Self> {
        let months = i64::from(self.year) * 12 + i64::from(self.month - 1) + i64::from(span.months);
        let (year, month) = (i32::try_from(months / 12).ok()?, (months % 12) as u32 + 1);
        let moved = Self::new(year, month, self.day.min(month_length(year, month)))?;
        Self::from_number(moved.number() + i64::from(span.days))
    }

    /// Days since the first of March of the year 0, so that the leap day comes last in its year.
    pub fn number(self) -> i64 {
        let year = i64::from(self.year) - i64::from(self.month < 3);
        let month = i64::from((self.month + 9) % 12);
        year * 365 + year / 4 - year / 100 + year / 400 + (month * 306 + 5) / 10 + i64::from(self.day) - 1
    }

    fn from_number(number: i64) -> Option<Self> {
        let guess = |number: i64| (10_000 * number + 14_780) / 3_652_425;
        let first = |year: i64| year * 365 + year / 4 - year / 100 + year / 400;
        let mut year = guess(number);
        if number < first(year) {
            year -= 1;
        }
        let rest = number - first(year);
        let month = (100 * rest + 52) / 3060;
        let day = rest - (month * 306 + 5) / 10 + 1;
        let year = year + i64::from(month > 9);
        Self::new(i32::try_from(year).ok()?, ((month + 2) % 12 + 1) as u32, day as u32)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl Span {
    /// None if the text is not such a span, or one of more than 1000 years.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text.strip_prefix('P').filter(|rest| !rest.is_empty())?;
        let mut span = Self::default();
        for (unit, months, days) in [('Y', 12, 0), ('M', 1, 0), ('W', 0, 7), ('D', 0, 1)] {
            let long = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            if let Some(after) = rest[long..].strip_prefix(unit) {
                let count: u32 = rest[..long].parse().ok().filter(|count| *count <= 366_000)?;
                span = Self { months: span.months + count * months, days: span.days + count * days };
                rest = after;
            }
        }
        (rest.is_empty() && span.months <= 12_000 && span.days <= 366_000).then_some(span)
    }
}

fn month_length(year: i32, month: u32) -> u32 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        Date::parse(text).expect("it is a day")
    }

    fn after(text: &str, span: &str) -> String {
        date(text).after(Span::parse(span).expect("it is a span")).expect("there is such a day").to_string()
    }

    #[test]
    fn days_follow_each_other_without_a_gap_for_a_thousand_years() {
        let one = Span::parse("P1D").expect("it is a span");
        let mut day = date("1600-01-01");
        let mut count = 0;
        while day.year < 2600 {
            let next = day.after(one).expect("there is such a day");
            assert_eq!(next.number(), day.number() + 1, "{day}");
            assert!(next > day, "{day}");
            day = next;
            count += 1;
        }
        // Two and a half cycles of 400 years, which have 146097 days each: 1600 to 2399, then 200 years with 49 leap days.
        assert_eq!(count, 2 * 146_097 + 200 * 365 + 49);
    }

    #[test]
    fn spans_are_cut_to_the_end_of_a_shorter_month() {
        assert_eq!(after("2024-01-31", "P1M"), "2024-02-29");
        assert_eq!(after("2023-01-31", "P1M"), "2023-02-28");
        assert_eq!(after("2024-02-29", "P1Y"), "2025-02-28");
        assert_eq!(after("2019-12-31", "P6Y"), "2025-12-31");
        assert_eq!(after("2026-03-01", "P1Y2M3D"), "2027-05-04");
        assert_eq!(after("2026-12-30", "P1W"), "2027-01-06");
        assert_eq!(date("9999-12-31").after(Span::parse("P1D").expect("it is a span")), None);
    }

    #[test]
    fn what_is_no_day_or_span_is_refused() {
        for text in [
            "2023-02-29",
            "2024-13-01",
            "2024-1-1",
            "2024/01/01",
            "24-01-01",
            "2024-01-01T",
            "2024-00-10",
            "",
            "２０２４-01-01",
        ] {
            assert_eq!(Date::parse(text), None, "{text}");
        }
        for text in ["", "P", "6Y", "P6", "PY", "P6X", "P1D1Y", "P-1Y", "P99999999999Y", "P1001Y"] {
            assert_eq!(Span::parse(text), None, "{text}");
        }
    }
}
