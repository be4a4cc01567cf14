//! Counts what a store holds.

use crate::quota::{Full, Quota};
use std::sync::Arc;
use wasmtime::ResourceLimiter;

/// What one element of a table is counted as.
const ELEMENT: u64 = 16;

/// What one entry of a handle table is counted as, with what stands behind it.
const HANDLE: u64 = 128;

/// Counts the memories, tables and handles of one store. They are given back when it is dropped.
pub struct Limiter {
    memory: Arc<Quota>,
    taken: u64,
    /// What the last growth took, in case it fails after all.
    last: u64,
    handles: usize,
}

impl Limiter {
    /// Counts on `memory`. The handle tables are paid for in advance, by their largest size.
    pub fn new(memory: Arc<Quota>) -> Result<Limiter, Full> {
        let handles = (memory.limit() >> 16).clamp(64, 1024);
        memory.take(handles * HANDLE)?;
        Ok(Limiter { memory, taken: handles * HANDLE, last: 0, handles: handles as usize })
    }

    /// The account.
    pub fn memory(&self) -> &Arc<Quota> {
        &self.memory
    }

    /// Bytes that this store holds.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Counts on another quota of the same group from now on, with all that is held.
    pub(crate) fn settle(&mut self, memory: &Arc<Quota>) {
        if !Arc::ptr_eq(memory, &self.memory) {
            memory.adopt(self.taken, &self.memory);
            self.memory = memory.clone();
        }
    }

    /// The most handles that a guest may have at once.
    pub fn handles(&self) -> usize {
        self.handles
    }

    /// Memories and tables of all instances together share one limit.
    fn grow(&mut self, bytes: u64) -> bool {
        let room = self.memory.take(bytes).is_ok();
        self.last = if room { bytes } else { 0 };
        self.taken += self.last;
        room
    }

    fn grow_failed(&mut self) {
        self.memory.give(self.last);
        self.taken -= std::mem::take(&mut self.last);
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow((desired - current) as u64))
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.grow_failed();
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow((desired - current) as u64 * ELEMENT))
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.grow_failed();
        Ok(())
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.memory.give(self.taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_memories_and_tables_share_one_limit() {
        let memory = Quota::new(10 * 65536);
        let mut limiter = Limiter::new(memory.clone()).expect("there is room");
        let handles = memory.used();
        assert!(limiter.memory_growing(0, 4 * 65536, None).expect("asked"));
        assert!(limiter.memory_growing(0, 4 * 65536, None).expect("asked"));
        assert!(!limiter.memory_growing(0, 4 * 65536, None).expect("asked"));
        assert!(!limiter.table_growing(0, 10_000, None).expect("asked"));
        assert_eq!(memory.used(), handles + 8 * 65536);
        drop(limiter);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn a_growth_that_failed_is_not_held() {
        let memory = Quota::new(1 << 20);
        let mut limiter = Limiter::new(memory.clone()).expect("there is room");
        let before = memory.used();
        assert!(limiter.memory_growing(0, 65536, None).expect("asked"));
        limiter.memory_grow_failed(wasmtime::Error::msg("no")).expect("noted");
        assert_eq!(memory.used(), before);
    }
}
