//! Which instructions this processor has. Kernels are written once and compiled for each level.
//!
//! No level changes a result: nothing is fused, and order of operations is that of the source.

use std::sync::OnceLock;

/// Sets of instructions that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What the target always has.
    Portable,
    /// AVX2, FMA, F16C.
    Avx2,
    /// AVX-512 F, BW, DQ, VL, and all of the above.
    Avx512,
}

/// A piece of arithmetic. `run` must be `#[inline(always)]`, or it keeps the instructions of its own place.
pub trait Kernel {
    /// What it gives back.
    type Output;
    /// Computes.
    fn run(self) -> Self::Output;
}

impl Level {
    /// The best level of this processor.
    pub fn detect() -> Self {
        static FOUND: OnceLock<Level> = OnceLock::new();
        *FOUND.get_or_init(|| Self::available().last().copied().unwrap_or(Self::Portable))
    }

    /// Every level that runs here, the plainest first.
    pub fn available() -> Vec<Self> {
        let mut found = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            if has!("avx2")
                && has!("fma")
                && has!("f16c")
                && has!("bmi1")
                && has!("bmi2")
                && has!("lzcnt")
                && has!("popcnt")
            {
                found.push(Self::Avx2);
                if has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") {
                    found.push(Self::Avx512);
                }
            }
        }
        found
    }

    /// Runs a kernel with this level's instructions.
    #[inline]
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            #[allow(
                unsafe_code,
                reason = "a Level above Portable comes from `available` alone, which asked the processor"
            )]
            Self::Avx512 => unsafe { avx512(kernel) },
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code, reason = "as above")]
            Self::Avx2 => unsafe { avx2(kernel) },
            _ => kernel.run(),
        }
    }
}

/// Asks for memory that is needed soon. Kernels that take several streams by turns, or compute for long between two
/// reads, are not foreseen by the processor itself.
#[inline(always)]
pub(crate) fn prefetch<T>(soon: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for at in (0..size_of_val(soon)).step_by(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let line = soon.as_ptr().cast::<i8>().wrapping_add(at);
        #[allow(unsafe_code, reason = "a prefetch of any address has no effect that a program can see")]
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(line);
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = soon;
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt")]
fn avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt")]
fn avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}
