//! The machine that the village runs on. Grant: `device`. Every function fails with `denied` without it.
//!
//! ```
//! use village::{Error, device};
//!
//! fn on_battery() -> Result<bool, Error> {
//!     Ok(!device::now()?.plugged)
//! }
//! # assert!(matches!(on_battery(), Err(Error::Denied(_))));
//! ```

use crate::imports::device as host;
use crate::types::Error;

pub use crate::bindings::village::agent::device::{Gpu, Load, Profile};

/// What does not change.
pub fn about() -> Result<Profile, Error> {
    host::about()
}

/// What does.
pub fn now() -> Result<Load, Error> {
    host::now()
}
