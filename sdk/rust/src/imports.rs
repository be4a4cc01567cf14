//! The imports of a component. Natively `test::imports` takes their place.

pub(crate) mod http;

pub(crate) use crate::bindings::village::agent::{
    agents, budget, device, kernels, ledger, log, memory, mesh, model, state, supervision, tasks, workspace,
};
pub(crate) use crate::bindings::wasi::io::poll;
pub(crate) use crate::bindings::wasi::random::random;
