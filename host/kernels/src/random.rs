//! Chance by counting: a number depends on its key and position alone, so it is the same whoever asks, and when.

/// A stream of numbers that can be entered anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    key: u64,
}

/// Spreads every bit of the input over the output (the finaliser of MurmurHash3 with Stafford's thirteenth constants).
#[inline(always)]
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The golden ratio in 64 bits: consecutive multiples of it are far apart.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Counter {
    /// The stream of one model's part in one tensor.
    pub fn new(seed: u64, tensor: &str, model: u64) -> Self {
        // FNV-1a: short, and written down everywhere.
        let name =
            tensor.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        let key = mix(mix(mix(seed.wrapping_add(STEP)) ^ name).wrapping_add(STEP.wrapping_mul(model + 1)));
        Self { key }
    }

    /// 24 bits, as a number in [0, 1) that a single holds exactly.
    #[inline(always)]
    pub fn unit(self, index: u64) -> f32 {
        (self.bits(index) >> 40) as f32 / 16_777_216.0
    }

    /// 64 bits.
    #[inline(always)]
    pub fn bits(self, index: u64) -> u64 {
        mix(self.key.wrapping_add(STEP.wrapping_mul(index.wrapping_add(1))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_never_changes() {
        let counter = Counter::new(42, "model.norm.weight", 1);
        let first: Vec<u64> = (0..3).map(|i| counter.bits(i)).collect();
        assert_eq!(first, GOLDEN);
    }

    /// Merges done with a seed must stay repeatable over versions.
    const GOLDEN: [u64; 3] = [0x1451_a73d_ff7c_c3bc, 0x98be_3535_2c0d_60a1, 0x0f90_0532_11be_01cf];

    #[test]
    fn a_share_of_the_numbers_is_below_that_share() {
        let counter = Counter::new(7, "a", 0);
        for share in [0.1f32, 0.5, 0.9] {
            let n = 100_000u64;
            let below = (0..n).filter(|i| counter.unit(*i) < share).count() as f64;
            let expected = f64::from(share) * n as f64;
            let deviation = (expected * (1.0 - f64::from(share))).sqrt();
            assert!((below - expected).abs() < 5.0 * deviation, "{share}: {below}");
        }
    }

    #[test]
    fn seed_tensor_and_model_each_make_another_stream() {
        let base = Counter::new(1, "a", 0);
        for other in [Counter::new(2, "a", 0), Counter::new(1, "b", 0), Counter::new(1, "a", 1)] {
            assert!((0..1000).filter(|i| (base.unit(*i) < 0.5) == (other.unit(*i) < 0.5)).count() < 600);
        }
    }
}
