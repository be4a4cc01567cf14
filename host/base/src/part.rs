//! A part of a whole, from nothing to all of it: `10%`.

use crate::quantity::{Bad, scaled};
use std::fmt;
use std::str::FromStr;

/// A part of a whole, in millionths: from nothing to all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Part(u32);

/// Millionths in the whole.
const WHOLE: u32 = 1_000_000;

impl Part {
    /// Nothing of it.
    pub const NONE: Part = Part(0);

    /// All of it.
    pub const ALL: Part = Part(WHOLE);

    /// So many hundredths, and no more than all.
    pub const fn percent(percent: u32) -> Part {
        match percent < 100 {
            true => Part(percent * (WHOLE / 100)),
            false => Part::ALL,
        }
    }

    /// In millionths.
    pub const fn millionths(self) -> u32 {
        self.0
    }

    /// This part of a number, rounded down.
    pub fn of(self, number: u32) -> u32 {
        (u64::from(number) * u64::from(self.0) / u64::from(WHOLE)) as u32
    }
}

impl FromStr for Part {
    type Err = Bad;

    fn from_str(text: &str) -> Result<Part, Bad> {
        let bad = || Bad { given: text.into(), wanted: "a part from 0% to 100%, such as 10% or 0.5%" };
        let number = text.trim().strip_suffix('%').ok_or_else(bad)?;
        match scaled(number.trim(), u64::from(WHOLE / 100)).map(u32::try_from) {
            Some(Ok(millionths)) if millionths <= WHOLE => Ok(Part(millionths)),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.0) / f64::from(WHOLE / 100))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_reads_as_it_is_written() {
        for text in ["0%", "0.5%", "10%", "100%"] {
            assert_eq!(text.parse::<Part>().map(|part| part.to_string()), Ok(text.into()));
        }
        for text in ["101%", "10", "-1%", "%", "ten%"] {
            assert!(text.parse::<Part>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_part_of_a_number_is_rounded_down() {
        assert_eq!((Part::percent(1).of(99), Part::percent(1).of(100), Part::ALL.of(7)), (0, 1, 7));
        assert_eq!(Part::ALL.of(u32::MAX), u32::MAX);
    }
}
