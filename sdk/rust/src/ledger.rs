//! The village's tokens. Grant: `ledger`, with the most that a turn may move.
//!
//! Amounts are in millionths of a VCoin: see [`VCOIN`]. Moves take effect when the turn commits. Every function fails with
//! `denied` without the grant, or above its amount.
//!
//! ```
//! use village::ledger::{self, Refusal, VCOIN};
//!
//! /// Sets three VCoins aside for a work, and pays what it came to.
//! fn pay(worker: &str, came_to: u64) -> Result<(), Refusal> {
//!     let hold = ledger::reserve(3 * VCOIN)?;
//!     hold.commit(worker, came_to)
//! }
//! # let host = village::test::Host::new().with_ledger(5 * VCOIN);
//! # assert!(matches!(host.enter(|| pay("smith", 4 * VCOIN)), Err(Refusal::Insufficient(_))));
//! # host.enter(|| pay("smith", 2 * VCOIN)).unwrap();
//! # assert_eq!(host.enter(ledger::balance), Ok(3 * VCOIN));
//! ```

use crate::imports::ledger as host;
use crate::types::{Error, Failure};

pub use crate::bindings::village::agent::ledger::{Entry, Refusal};

/// One VCoin, in the ledger's unit.
pub const VCOIN: u64 = 1_000_000;

/// Tokens set aside. Dropping the hold gives them back.
#[derive(Debug)]
pub struct Hold(host::Hold);

impl Hold {
    /// What is set aside.
    pub fn amount(&self) -> u64 {
        self.0.amount()
    }

    /// Spends `used` to an agent and gives back the rest.
    ///
    /// Fails with `insufficient`, spending nothing, if `used` is more than the hold.
    pub fn commit(self, to: &str, used: u64) -> Result<(), Refusal> {
        host::Hold::commit(self.0, to, used)
    }
}

/// What this agent holds and has not set aside.
pub fn balance() -> Result<u64, Error> {
    host::balance()
}

/// Moves tokens to another agent. Fails with `insufficient`, moving nothing. An amount of 0 fails with `invalid`.
pub fn transfer(to: &str, amount: u64, reason: &str) -> Result<(), Refusal> {
    host::transfer(to, amount, reason)
}

/// Sets tokens aside. Fails with `insufficient`, setting nothing aside.
pub fn reserve(amount: u64) -> Result<Hold, Refusal> {
    host::reserve(amount).map(Hold)
}

/// This agent's own entries, latest first, at most `limit` (0 fails with `invalid`), those before the entry `before` if one is given.
pub fn history(before: Option<&str>, limit: u32) -> Result<Vec<Entry>, Error> {
    host::history(before, limit)
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Error(error)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        match refusal {
            Refusal::Error(error) => error.into(),
            // More may come in; asking again at once is no use, and later may be.
            Refusal::Insufficient(there) => {
                Failure::temporary(format!("there are only {there} millionths of a VCoin")).details(&there)
            }
        }
    }
}
