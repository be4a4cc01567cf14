//! The contract's imports on a host for tests, name for name and as the bindings have them.

pub(crate) mod budget;
pub(crate) mod log;
pub(crate) mod state;
