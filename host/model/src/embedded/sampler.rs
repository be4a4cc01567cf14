//! Which token comes next, and when a text has come to its end.

use super::vector::soften;

/// Chooses tokens. The same seed and the same logits give the same tokens.
#[derive(Debug, Clone)]
pub(crate) struct Sampler {
    /// Thousandths; 0 takes the likeliest.
    temperature: u32,
    state: u64,
}

impl Sampler {
    pub(crate) fn new(temperature: u32, seed: u64) -> Sampler {
        Sampler { temperature, state: seed }
    }

    /// The next token; none if the logits are no numbers. What is in `logits` afterwards is of no use.
    pub(crate) fn choose(&mut self, logits: &mut [f32]) -> Option<u32> {
        let (best, most) = best(logits)?;
        // Sums of NaN are NaN, so one suffices to be seen.
        if self.temperature == 0 {
            return Some(best);
        }
        // The largest becomes zero first: divided by a small temperature, the others overflow into never.
        logits.iter_mut().for_each(|v| *v -= most);
        let total = soften(logits, 1000.0 / self.temperature as f32);
        let mut left = f64::from(self.next()) * f64::from(total);
        for (token, share) in logits.iter().enumerate() {
            left -= f64::from(*share);
            if left < 0.0 {
                return Some(token as u32);
            }
        }
        // Rounding left a little over.
        Some(best)
    }

    /// From 0 to 1, without 1.
    fn next(&mut self) -> f32 {
        // SplitMix64.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
    }
}

/// The largest, the first of several; none if one is no number.
fn best(logits: &[f32]) -> Option<(u32, f32)> {
    let mut best = (0u32, *logits.first()?);
    for (token, v) in logits.iter().enumerate() {
        if v.is_nan() {
            return None;
        }
        if *v > best.1 {
            best = (token as u32, *v);
        }
    }
    best.1.is_finite().then_some(best)
}

/// Lets text through up to the first stop, and holds back what could be the begin of one.
#[derive(Debug, Clone)]
pub(crate) struct Stops {
    stops: Vec<String>,
    held: String,
}

impl Stops {
    pub(crate) fn new(stops: &[String]) -> Stops {
        Stops { stops: stops.iter().filter(|s| !s.is_empty()).cloned().collect(), held: String::new() }
    }

    /// What may be shown of the text so far, and whether it ends there.
    pub(crate) fn push(&mut self, text: &str) -> (String, bool) {
        self.held.push_str(text);
        if let Some(at) = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min() {
            self.held.truncate(at);
            return (std::mem::take(&mut self.held), true);
        }
        let begins =
            |at: &usize| self.stops.iter().any(|stop| stop.as_bytes().starts_with(&self.held.as_bytes()[*at..]));
        let from = self.held.len() - self.stops.iter().map(String::len).max().unwrap_or(0).min(self.held.len());
        let at = (from..self.held.len()).filter(|at| self.held.is_char_boundary(*at)).find(begins);
        let rest = self.held.split_off(at.unwrap_or(self.held.len()));
        (std::mem::replace(&mut self.held, rest), false)
    }

    /// What is held back, because no stop counts any more.
    pub(crate) fn release(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// What was held back, when no more comes.
    pub(crate) fn finish(self) -> String {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_temperature_the_first_of_the_likeliest_is_taken() {
        let mut sampler = Sampler::new(0, 1);
        assert_eq!(sampler.choose(&mut [1.0, 3.0, 3.0, f32::NEG_INFINITY]), Some(1));
        assert_eq!(sampler.choose(&mut [1.0, f32::NAN, 3.0]), None);
        assert_eq!(sampler.choose(&mut [f32::NEG_INFINITY; 3]), None);
        assert_eq!(sampler.choose(&mut [0.0, f32::INFINITY]), None);
        assert_eq!(sampler.choose(&mut []), None);
    }

    #[test]
    fn tokens_come_as_often_as_they_are_likely() {
        // At a temperature of two, logits of twice the logarithm.
        let logits = [2.0 * 0.1f32.ln(), 2.0 * 0.6f32.ln(), 2.0 * 0.3f32.ln(), -1e30];
        let mut sampler = Sampler::new(2000, 42);
        let mut counts = [0u32; 4];
        for _ in 0..20_000 {
            counts[sampler.choose(&mut logits.clone()).expect("numbers") as usize] += 1;
        }
        // Five deviations of a binomial distribution are below 350.
        for (count, wanted) in counts.iter().zip([2000, 12_000, 6000, 0]) {
            assert!(count.abs_diff(wanted) < 350, "{counts:?}");
        }
        assert_eq!(counts[3], 0);
    }

    #[test]
    fn a_seed_leads_to_the_same_tokens_and_another_one_does_not() {
        let draw = |seed| {
            let mut sampler = Sampler::new(1000, seed);
            (0..50).map(|_| sampler.choose(&mut [0.0; 100]).expect("numbers")).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn text_ends_before_the_first_stop_however_it_is_cut() {
        let stops = ["END".to_owned(), "E\nF".to_owned(), String::new(), "ö!".to_owned()];
        for (text, shown) in
            [("ab EN ENDE", "ab EN "), ("E\nEND", "E\n"), ("EEE", "EEE"), ("xö", "xö"), ("xöö!y", "xö")]
        {
            for width in 1..4 {
                let mut held = Stops::new(&stops);
                let (mut out, mut ended) = (String::new(), false);
                let letters: Vec<char> = text.chars().collect();
                for piece in letters.chunks(width) {
                    let (show, end) = held.push(&piece.iter().collect::<String>());
                    out.push_str(&show);
                    ended = end;
                    if end {
                        break;
                    }
                }
                if !ended {
                    out.push_str(&held.finish());
                }
                assert_eq!(out, shown, "{text:?} by {width}");
            }
        }
    }
}
