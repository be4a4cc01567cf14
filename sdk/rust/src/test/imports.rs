//! The contract's imports on a host for tests, name for name and as the bindings have them.

pub(crate) mod agents;
pub(crate) mod budget;
pub(crate) mod device;
pub(crate) mod http;
pub(crate) mod kernels;
pub(crate) mod ledger;
pub(crate) mod log;
pub(crate) mod memory;
pub(crate) mod mesh;
pub(crate) mod model;
pub(crate) mod poll;
pub(crate) mod random;
pub(crate) mod state;
pub(crate) mod supervision;
pub(crate) mod tasks;
pub(crate) mod workspace;
