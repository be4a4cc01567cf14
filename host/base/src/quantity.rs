//! Quantities as people write them: `64MiB`, `25%`, `200ms`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A quantity that can't be read, with what would be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not {wanted}")]
pub struct Bad {
    /// What was written.
    pub given: String,
    /// What was expected, with an example.
    pub wanted: &'static str,
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Size(u64);

impl Size {
    /// So many bytes.
    pub const fn bytes(bytes: u64) -> Size {
        Size(bytes)
    }

    /// So many times 1024 bytes.
    pub const fn kib(kib: u64) -> Size {
        Size(kib << 10)
    }

    /// So many times 1024 KiB.
    pub const fn mib(mib: u64) -> Size {
        Size(mib << 20)
    }

    /// The number of bytes.
    pub const fn get(self) -> u64 {
        self.0
    }
}

const UNITS: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1000),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

impl FromStr for Size {
    type Err = Bad;

    fn from_str(text: &str) -> Result<Size, Bad> {
        let bad = || Bad { given: text.into(), wanted: "a size, such as 64MiB or 4096B" };
        let trimmed = text.trim();
        let (number, factor) = UNITS
            .iter()
            .find_map(|&(unit, factor)| Some((trimmed.strip_suffix(unit)?, factor)))
            .unwrap_or((trimmed, 1));
        scaled(number.trim(), factor).map(Size).ok_or_else(bad)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, factor) in [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
            if self.0 >= factor {
                let tenths = (u128::from(self.0) * 10 / u128::from(factor)) as u64;
                return match tenths % 10 {
                    0 => write!(f, "{}{unit}", tenths / 10),
                    rest => write!(f, "{}.{rest}{unit}", tenths / 10),
                };
            }
        }
        write!(f, "{}B", self.0)
    }
}

/// A sustained share of one core, in millionths. Never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

impl Share {
    /// One whole core.
    pub const CORE: Share = Share(1_000_000);

    /// So many hundredths of a core.
    ///
    /// # Panics
    /// If it is zero.
    pub const fn percent(percent: u32) -> Share {
        assert!(percent > 0, "a share is more than nothing");
        Share(percent * 10_000)
    }

    /// So many thousandths of a core.
    ///
    /// # Panics
    /// If it is zero.
    pub const fn permille(permille: u32) -> Share {
        assert!(permille > 0, "a share is more than nothing");
        Share(permille * 1_000)
    }

    /// Millionths of a core.
    pub const fn millionths(self) -> u32 {
        self.0
    }

    /// As a fraction of a core.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 1e6
    }
}

impl FromStr for Share {
    type Err = Bad;

    fn from_str(text: &str) -> Result<Share, Bad> {
        let bad = || Bad { given: text.into(), wanted: "a share of one core above nothing, such as 25% or 0.5%" };
        let number = text.trim().strip_suffix('%').ok_or_else(bad)?;
        let millionths = scaled(number.trim(), 10_000).ok_or_else(bad)?;
        match u32::try_from(millionths) {
            Ok(0) | Err(_) => Err(bad()),
            Ok(millionths) => Ok(Share(millionths)),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.0) / 10_000.0)
    }
}

/// Reads a length of time: `200ms`, `30s`, `1.5m`, `2h`, `30d`.
pub fn span(text: &str) -> Result<Duration, Bad> {
    let bad = || Bad { given: text.into(), wanted: "a length of time, such as 200ms, 30s or 5m" };
    let trimmed = text.trim();
    let units = [
        ("us", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
        ("d", 86_400_000_000_000),
    ];
    units
        .iter()
        .find_map(|&(unit, nanos)| scaled(trimmed.strip_suffix(unit)?.trim(), nanos))
        .map(Duration::from_nanos)
        .ok_or_else(bad)
}

/// Writes a length of time so that [`span`] reads it.
pub fn span_text(span: Duration) -> String {
    let micros = span.as_micros();
    match micros {
        0 => "0ms".into(),
        _ if micros.is_multiple_of(1_000_000) => format!("{}s", micros / 1_000_000),
        _ if micros.is_multiple_of(1_000) => format!("{}ms", micros / 1_000),
        _ => format!("{micros}us"),
    }
}

/// A decimal number times `factor`, exactly; none if it isn't one, or doesn't fit.
pub(crate) fn scaled(number: &str, factor: u64) -> Option<u64> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > 9 || number.ends_with('.') {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    let scale = 10u128.pow(part.len() as u32);
    let part = if part.is_empty() { 0 } else { part.parse::<u128>().ok()? * u128::from(factor) / scale };
    whole.checked_add(u64::try_from(part).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_written() {
        for (text, bytes) in [("64MiB", 64 << 20), ("1.5KiB", 1536), ("10MB", 10_000_000), ("4096", 4096), ("7 B", 7)] {
            assert_eq!(text.parse::<Size>().map(Size::get), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "MiB", "-1MiB", "1e9", "64mib", "99999999999TiB", "1.", ".5MiB"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_of_nothing_is_refused() {
        assert!("0%".parse::<Share>().is_err());
        assert!("0.00001%".parse::<Share>().is_err());
        assert!("25".parse::<Share>().is_err());
        assert_eq!("0.5%".parse::<Share>().map(Share::millionths), Ok(5_000));
    }

    #[test]
    fn what_is_written_can_be_read_again() {
        for text in ["200ms", "30s", "1500us"] {
            assert_eq!(span(text).map(span_text).as_deref(), Ok(text));
        }
        assert_eq!(Size::kib(1536).to_string(), "1.5MiB");
        assert_eq!(Share::percent(25).to_string(), "25%");
    }

    #[test]
    fn minutes_are_not_milliseconds() {
        assert_eq!(span("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(span("5ms"), Ok(Duration::from_millis(5)));
        assert_eq!(span("1.5d"), Ok(Duration::from_secs(36 * 3_600)));
        assert!(span("5").is_err());
    }
}
