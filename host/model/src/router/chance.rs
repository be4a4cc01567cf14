//! Chance that begins with a seed, so that what follows from it can be repeated.

/// Less than this is as good as nothing, and would be lost in the arithmetic.
const LEAST: f64 = 0.05;

/// Numbers that look like chance (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From nothing to one, and neither.
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        let (radius, angle) = ((-2.0 * self.unit().ln()).sqrt(), std::f64::consts::TAU * self.unit());
        radius * angle.cos()
    }

    /// Marsaglia and Tsang's way.
    fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            return self.gamma(shape + 1.0) * self.unit().powf(1.0 / shape);
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && self.unit().ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }

    /// How often something may pass that has passed `passed` times and failed `failed` times. Both are above nothing.
    pub(crate) fn beta(&mut self, passed: f64, failed: f64) -> f64 {
        let (a, b) = (self.gamma(passed.max(LEAST)), self.gamma(failed.max(LEAST)));
        a / (a + b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_is_spread_as_it_should_be() {
        let mut chance = Chance::new(7);
        for (a, b) in [(1.0, 1.0), (0.5, 0.3), (2.0, 5.0), (90.0, 10.0)] {
            let drawn: Vec<f64> = (0..20_000).map(|_| chance.beta(a, b)).collect();
            let mean = drawn.iter().sum::<f64>() / 2e4;
            let spread = drawn.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 2e4;
            let (sum, expected) = (a + b, a / (a + b));
            assert!((mean - expected).abs() < 0.01, "{mean} {expected}");
            let variance = a * b / (sum * sum * (sum + 1.0));
            assert!((spread / variance - 1.0).abs() < 0.1, "{spread} {variance}");
        }
    }
}
