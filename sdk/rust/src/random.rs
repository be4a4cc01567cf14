//! Random numbers, by `wasi:random`. Grant: `random`.
//!
//! Without the grant a call ends the turn: WASI has no way to answer that it is denied. A hash table of `std` does without it.
//!
//! ```
//! use village::{random, test};
//!
//! fn die() -> u64 {
//!     random::below(6) + 1
//! }
//!
//! // In a test: numbers that are the same each time.
//! test::Host::new().with_random(7).enter(|| {
//!     let thrown: Vec<u64> = (0..100).map(|_| die()).collect();
//!     assert!((1..=6).all(|face| thrown.contains(&face)) && thrown.iter().all(|face| *face <= 6));
//! });
//! ```

use crate::imports::random as host;

/// Bytes that nobody can foretell.
pub fn bytes(count: u64) -> Vec<u8> {
    host::get_random_bytes(count)
}

/// Any number.
pub fn number() -> u64 {
    host::get_random_u64()
}

/// A number below `limit`, each as likely as the others; 0 if `limit` is 0.
pub fn below(limit: u64) -> u64 {
    if limit == 0 {
        return 0;
    }
    // Those above the last whole multiple would make the small ones likelier.
    let whole = u64::MAX - u64::MAX % limit;
    loop {
        let number = number();
        if number < whole {
            return number % limit;
        }
    }
}
