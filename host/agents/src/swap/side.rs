//! One of two versions that an agent has while one takes over from the other.

use crate::agent::{Data, Keep};
use runtime::{Guest, Instance, Quota, Version};
use std::sync::Arc;

/// A version with what its instances need.
pub struct Side<T: Guest> {
    /// Dropped first: what is kept for it outlives it.
    pub(crate) instance: Option<Instance<T>>,
    pub(crate) version: Arc<Version<T>>,
    /// What its instance is counted on while the other side's is there too.
    pub(crate) memory: Arc<Quota>,
    pub(crate) data: Data<T>,
    pub(crate) _keep: Keep,
}

impl<T: Guest> Side<T> {
    /// A version without an instance. `keep` is kept for as long as it may have one.
    pub fn new(version: Arc<Version<T>>, memory: Arc<Quota>, data: Data<T>, keep: Keep) -> Side<T> {
        Side { instance: None, version, memory, data, _keep: keep }
    }
}
