//! Calibrated work, for measuring what metering costs. Each takes a count and answers something that depends on all of it.

use std::hint::black_box;

/// `n` rounds of xorshift: a loop with no memory and no calls.
pub fn tight(n: u64) -> u64 {
    let mut x = 0x9e37_79b9_7f4a_7c15u64;
    for _ in 0..n {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    black_box(x)
}

/// Functions that call themselves, `n` deep: about 1.6 to the power of `n` calls, with a little work in each.
pub fn fib(n: u64) -> u64 {
    if n < 2 { n } else { fib(black_box(n - 1)).wrapping_add(fib(n - 2)) }
}

/// `n` calls through a pointer to functions of one instruction: a loop of nothing but calling.
pub fn calls(n: u64) -> u64 {
    let steps: [fn(u64) -> u64; 2] = black_box([odd, even]);
    let mut x = 27;
    for _ in 0..n {
        x = steps[(x & 1) as usize ^ 1](x);
    }
    black_box(x)
}

#[inline(never)]
fn odd(x: u64) -> u64 {
    x.wrapping_mul(3).wrapping_add(1)
}

#[inline(never)]
fn even(x: u64) -> u64 {
    x >> 1
}

/// `n` bytes of 64 KiB of memory read, changed and written, round and round.
pub fn bytes(n: u64) -> u64 {
    let mut memory = black_box(vec![0u8; 64 * 1024]);
    let mut sum = 0u8;
    let mut left = n;
    while left > 0 {
        for byte in memory.iter_mut().take(left.min(64 * 1024) as usize) {
            sum = sum.wrapping_mul(31).wrapping_add(*byte ^ 0x5a);
            *byte = sum;
        }
        left = left.saturating_sub(64 * 1024);
    }
    black_box(sum).into()
}

/// SHA-256 of `n` zero bytes.
pub fn sha256_of_zeros(n: u64) -> [u8; 32] {
    let mut hash = Sha256::new();
    let zeros = black_box([0u8; 64]);
    for _ in 0..n / 64 {
        hash.block(&zeros);
    }
    hash.finish(&zeros[..(n % 64) as usize], n)
}

struct Sha256 {
    state: [u32; 8],
}

impl Sha256 {
    fn new() -> Self {
        Self { state: [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19] }
    }

    fn block(&mut self, block: &[u8; 64]) {
        let mut w = [0u32; 64];
        for (word, bytes) in w.iter_mut().zip(block.as_chunks::<4>().0) {
            *word = u32::from_be_bytes(*bytes);
        }
        for i in 16..64 {
            let s0 = w[i - 15].rotate_right(7) ^ w[i - 15].rotate_right(18) ^ (w[i - 15] >> 3);
            let s1 = w[i - 2].rotate_right(17) ^ w[i - 2].rotate_right(19) ^ (w[i - 2] >> 10);
            w[i] = w[i - 16].wrapping_add(s0).wrapping_add(w[i - 7]).wrapping_add(s1);
        }
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = self.state;
        for i in 0..64 {
            let s1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
            let choice = (e & f) ^ (!e & g);
            let t1 = h.wrapping_add(s1).wrapping_add(choice).wrapping_add(ROUNDS[i]).wrapping_add(w[i]);
            let s0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
            let majority = (a & b) ^ (a & c) ^ (b & c);
            let t2 = s0.wrapping_add(majority);
            (h, g, f, e, d, c, b, a) = (g, f, e, d.wrapping_add(t1), c, b, a, t1.wrapping_add(t2));
        }
        for (word, add) in self.state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
            *word = word.wrapping_add(add);
        }
    }

    /// `rest` is what is left of the last block, `length` that of the whole message in bytes.
    fn finish(mut self, rest: &[u8], length: u64) -> [u8; 32] {
        let mut block = [0u8; 64];
        block[..rest.len()].copy_from_slice(rest);
        block[rest.len()] = 0x80;
        if rest.len() >= 56 {
            self.block(&block);
            block = [0u8; 64];
        }
        block[56..].copy_from_slice(&(length * 8).to_be_bytes());
        self.block(&block);

        let mut digest = [0u8; 32];
        for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(self.state) {
            *bytes = word.to_be_bytes();
        }
        digest
    }
}

/// The first 32 bits of the fractional parts of the cube roots of the first 64 primes (FIPS 180-4, 4.2.2).
const ROUNDS: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98,
    0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
    0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
    0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
    0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
    0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
    0xc67178f2,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: [u8; 32]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn sha256_agrees_with_published_digests_of_zeros() {
        assert_eq!(hex(sha256_of_zeros(0)), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(hex(sha256_of_zeros(1)), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        assert_eq!(hex(sha256_of_zeros(60)), "5dcc1b5872dd9ff1c234501f1fefda01f664164e1583c3e1bb3dbea47588ab31");
        assert_eq!(hex(sha256_of_zeros(1 << 20)), "30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58");
    }

    #[test]
    fn each_kernel_depends_on_its_count() {
        for kernel in [tight, calls, bytes] {
            assert_ne!(kernel(1000), kernel(1001));
        }
    }
}
