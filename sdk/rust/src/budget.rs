//! What this agent may use, and what is left of it. Grant: `budget`. Every function fails with `denied` without it.
//!
//! ```
//! use std::time::Duration;
//! use village::budget;
//!
//! /// Whether to go on looking for something better: until a tenth of a second is left of the turn.
//! fn time_left() -> bool {
//!     budget::remaining().is_ok_and(|left| left > Duration::from_millis(100))
//! }
//! # assert!(!time_left());
//! ```

use std::time::Duration;

use crate::imports::budget as host;
use crate::types::Error;

pub use crate::bindings::village::agent::budget::{Allowance, Unit};

/// Every field that is enforced here, in the manifest's order.
pub fn list() -> Result<Vec<Allowance>, Error> {
    host::list()
}

/// One field, as the manifest spells it: `memory`, `storage`… None if it is not enforced here.
pub fn allowance(name: &str) -> Result<Option<Allowance>, Error> {
    Ok(list()?.into_iter().find(|allowance| allowance.name == name))
}

/// Until this turn's deadline; nothing once it has passed.
pub fn remaining() -> Result<Duration, Error> {
    host::remaining().map(Duration::from_micros)
}

impl Allowance {
    /// What is left, in the same unit; nothing if more is used than allowed.
    pub fn left(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }
}
