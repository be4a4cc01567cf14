//! Numbers in digits, written one by one so that the whole is within bounds: no exponents, and no more digits than a
//! reader keeps exactly.

/// Digits after the point that are written at most.
const AFTER: u32 = 6;

/// Digits before the point, of a number that may have some after it and of one that may not.
const BEFORE: [u32; 2] = [12, 18];

/// The numbers that may be written, in millionths for those that have a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    low: i128,
    high: i128,
    whole: bool,
}

/// What is written of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Digits {
    value: u64,
    before: u8,
    after: u8,
    negative: bool,
    point: bool,
}

impl Range {
    /// From a bound to another, each with whether it is outside itself.
    pub(super) fn new(low: Option<(f64, bool)>, high: Option<(f64, bool)>, whole: bool) -> Range {
        let scale = if whole { 1.0 } else { 10f64.powi(AFTER as i32) };
        let most = 10i128.pow(BEFORE[usize::from(whole)] + if whole { 0 } else { AFTER }) - 1;
        let least = |(bound, outside): (f64, bool)| match outside {
            true => (bound * scale).floor() as i128 + 1,
            false => (bound * scale).ceil() as i128,
        };
        // The same from the other side.
        let low = low.map_or(-most, least).clamp(-most - 1, most + 1);
        let high = high.map_or(most, |(bound, outside)| -least((-bound, outside))).clamp(-most - 1, most + 1);
        Range { low: low.max(-most), high: high.min(most), whole }
    }

    /// The sizes that a number with this sign may have.
    fn sizes(&self, negative: bool) -> (i128, i128) {
        // Nobody means a negative nothing.
        if negative { ((-self.high).max(1), -self.low) } else { (self.low.max(0), self.high) }
    }

    fn after(&self) -> u32 {
        if self.whole { 0 } else { AFTER }
    }

    /// How many bytes are missing until it may end, at least; none if it never may.
    pub(super) fn missing(&self, digits: &Digits) -> Option<u64> {
        let Digits { value, before, after, negative, point } = *digits;
        let (low, high) = self.sizes(negative);
        if before == 0 {
            let signs = if negative { &[][..] } else { &[Digits { negative: true, ..*digits }][..] };
            let first = (0..10).map(|value| Digits { value, before: 1, ..*digits });
            return first
                .chain(signs.iter().copied())
                .filter_map(|next| self.missing(&next))
                .min()
                .map(|more| more + 1);
        }
        let (value, all) = (i128::from(value), self.after());
        // The least number with so many digits after the point that begins like this.
        let fits = |value: i128, before: u32, after: u32| {
            let unit = 10i128.pow(all - after.min(all));
            let place = 10i128.pow(all - u32::from(digits.after) + before);
            let (from, to) = (low.max(value * place), high.min((value + 1) * place - 1));
            from.div_euclid(unit) * unit + if from.rem_euclid(unit) == 0 { 0 } else { unit } <= to
        };
        if point {
            let from = u32::from(after).max(1);
            return (from..=all).find(|more| fits(value, 0, *more)).map(|more| u64::from(more - u32::from(after)));
        }
        let room = if value == 0 { 0 } else { BEFORE[usize::from(self.whole)] - u32::from(before) };
        let with = |more: u32| {
            let after = (0..=all).find(|after| fits(value, more, *after))?;
            Some(u64::from(more + after + u32::from(after > 0)))
        };
        (0..=room).filter_map(with).min()
    }

    /// With one more byte; none if no number that may be written begins like that.
    pub(super) fn push(&self, digits: &Digits, byte: u8) -> Option<Digits> {
        let mut next = *digits;
        match byte {
            b'-' if digits.before == 0 && !digits.negative => next.negative = true,
            b'.' if digits.before > 0 && !digits.point && !self.whole => next.point = true,
            b'0'..=b'9' if digits.point && u32::from(digits.after) < AFTER => next.after += 1,
            b'0'..=b'9' if !digits.point && u32::from(digits.before) < BEFORE[usize::from(self.whole)] => {
                if digits.before > 0 && digits.value == 0 {
                    return None;
                }
                next.before += 1;
            }
            _ => return None,
        }
        if byte.is_ascii_digit() {
            next.value = next.value * 10 + u64::from(byte - b'0');
        }
        self.missing(&next).map(|_| next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a text can be written to its end.
    fn writes(range: &Range, text: &str) -> bool {
        let mut digits = Digits::default();
        for byte in text.bytes() {
            let Some(next) = range.push(&digits, byte) else { return false };
            digits = next;
        }
        range.missing(&digits) == Some(0)
    }

    #[test]
    fn whole_numbers_are_written_exactly_if_they_are_within_bounds() {
        for (low, high) in [(-12, 105), (7, 7), (0, 9), (-300, -20), (95, 1003), (0, 0), (-1, 0)] {
            let range = Range::new(Some((f64::from(low), false)), Some((f64::from(high), false)), true);
            for number in -1200..1200 {
                assert_eq!(
                    writes(&range, &number.to_string()),
                    (low..=high).contains(&number),
                    "{low} {number} {high}"
                );
            }
            for bad in ["", "-", "-0", "00", "07", "1.0", "1e2", "+1"] {
                assert!(!writes(&range, bad), "{bad}");
            }
        }
    }

    #[test]
    fn numbers_with_a_point_keep_within_bounds_and_never_come_to_a_dead_end() {
        let bounds = [(-1.5, 2.25), (0.1, 0.3), (0.999999, 1.0), (-0.5, -0.25), (1234.5, 1234.5)];
        for (low, high) in bounds {
            let range = Range::new(Some((low, false)), Some((high, false)), false);
            for thousandth in -2500..2500 {
                let text = format!("{}", f64::from(thousandth) / 1000.0);
                let value: f64 = text.parse().expect("a number");
                assert_eq!(writes(&range, &text), (low..=high).contains(&value) && text != "-0", "{low} {text} {high}");
            }
        }
        // Whatever is chosen, what is missing gets less where one follows it.
        let range = Range::new(Some((1234.5, false)), Some((1234.5, false)), false);
        let mut digits = Digits::default();
        for left in (0..6).rev() {
            let next = (0..=255).filter_map(|byte| range.push(&digits, byte)).min_by_key(|next| range.missing(next));
            digits = next.expect("it goes on");
            assert_eq!(range.missing(&digits), Some(left));
        }
    }

    #[test]
    fn a_bound_that_is_outside_itself_is_not_written_and_nothing_between_is_never() {
        let range = Range::new(Some((1.0, true)), Some((3.0, true)), true);
        assert!(writes(&range, "2") && !writes(&range, "1") && !writes(&range, "3"));
        let range = Range::new(Some((1.0, true)), Some((2.0, true)), true);
        assert_eq!(range.missing(&Digits::default()), None);
        let range = Range::new(Some((0.0, true)), Some((1e-9, false)), false);
        assert_eq!(range.missing(&Digits::default()), None);
        let wide = Range::new(Some((-1e300, false)), Some((1e300, true)), true);
        assert!(writes(&wide, "999999999999999999") && !writes(&wide, "1000000000000000000"));
    }
}
