//! Quotas of bytes: everything of a kind that is held for an agent, in a tree.
//!
//! One quota is an agent's memory: its linear memories and tables, counted by the [`Limiter`](crate::Limiter) in its
//! store, and what the host keeps for it. Another is its storage.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// The bytes of one kind that an agent or a group may hold.
#[derive(Debug)]
pub struct Quota {
    limit: AtomicU64,
    used: AtomicU64,
    peak: AtomicU64,
    /// Whether something was refused since it was last asked.
    refused: AtomicBool,
    parent: Option<Arc<Quota>>,
}

/// There is no room for so many bytes more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{wanted} bytes more than the {used} held would pass the limit of {limit}")]
pub struct Full {
    /// What was asked for.
    pub wanted: u64,
    /// What is held.
    pub used: u64,
    /// What may be held.
    pub limit: u64,
}

impl Quota {
    /// A quota that stands alone.
    pub fn new(limit: u64) -> Arc<Quota> {
        Self::make(limit, None)
    }

    /// A quota whose holdings count in `self` too.
    pub fn child(self: &Arc<Quota>, limit: u64) -> Arc<Quota> {
        Self::make(limit, Some(self.clone()))
    }

    fn make(limit: u64, parent: Option<Arc<Quota>>) -> Arc<Quota> {
        let (limit, used, peak) = (limit.into(), 0.into(), 0.into());
        Arc::new(Quota { limit, used, peak, refused: false.into(), parent })
    }

    /// Bytes that may be held.
    pub fn limit(&self) -> u64 {
        self.limit.load(Relaxed)
    }

    /// Changes the limit. What is held already stays; growth is refused until it is below.
    pub fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Relaxed);
    }

    /// Bytes that are held.
    pub fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// The most bytes that were held at once since this was last asked; begins anew with what is held now.
    pub fn take_peak(&self) -> u64 {
        self.peak.swap(self.used(), Relaxed)
    }

    /// Whether anything was refused since this was last asked.
    pub fn take_refused(&self) -> bool {
        self.refused.swap(false, Relaxed)
    }

    /// Whether anything was refused since [`Quota::take_refused`].
    pub fn refused(&self) -> bool {
        self.refused.load(Relaxed)
    }

    /// Takes bytes from this quota and all above it, or from none.
    pub fn take(&self, bytes: u64) -> Result<(), Full> {
        if let Err(used) =
            self.used.fetch_update(Relaxed, Relaxed, |used| used.checked_add(bytes).filter(|sum| *sum <= self.limit()))
        {
            self.refused.store(true, Relaxed);
            return Err(Full { wanted: bytes, used, limit: self.limit() });
        }
        if let Some(parent) = &self.parent
            && let Err(full) = parent.take(bytes)
        {
            self.used.fetch_sub(bytes, Relaxed);
            self.refused.store(true, Relaxed);
            return Err(full);
        }
        self.peak.fetch_max(self.used(), Relaxed);
        Ok(())
    }

    /// Takes bytes from this quota and all above it, whatever their limits are.
    fn force(&self, bytes: u64) {
        let before = self.used.fetch_add(bytes, Relaxed);
        self.peak.fetch_max(before + bytes, Relaxed);
        if let Some(parent) = &self.parent {
            parent.force(bytes);
        }
    }

    /// Gives back what was taken.
    pub fn give(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Relaxed);
        if let Some(parent) = &self.parent {
            parent.give(bytes);
        }
    }

    /// Takes bytes for as long as the [`Held`] lives.
    pub fn hold(self: &Arc<Quota>, bytes: u64) -> Result<Held, Full> {
        self.take(bytes)?;
        Ok(Held { quota: self.clone(), bytes })
    }
}

/// Bytes taken from a quota, given back when this is dropped.
#[derive(Debug)]
pub struct Held {
    quota: Arc<Quota>,
    bytes: u64,
}

impl Held {
    /// How many there are.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes more, or gives some back, so that there are `bytes`.
    pub fn resize(&mut self, bytes: u64) -> Result<(), Full> {
        if bytes > self.bytes {
            self.quota.take(bytes - self.bytes)?;
        } else {
            self.quota.give(self.bytes - bytes);
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Holds `bytes` whatever the limit is: for what is there already.
    pub fn force(&mut self, bytes: u64) {
        if bytes > self.bytes {
            self.quota.force(bytes - self.bytes);
        } else {
            self.quota.give(self.bytes - bytes);
        }
        self.bytes = bytes;
    }

    /// Takes over what `other` holds of the same quota.
    pub fn absorb(&mut self, other: &mut Held) {
        debug_assert!(Arc::ptr_eq(&self.quota, &other.quota), "bytes of one quota are not bytes of another");
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.quota.give(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_given_back() {
        let quota = Quota::new(100);
        let held = quota.hold(60).expect("there is room");
        assert_eq!(quota.hold(41).map(|_| ()), Err(Full { wanted: 41, used: 60, limit: 100 }));
        assert!(quota.take_refused());
        drop(held);
        assert_eq!((quota.used(), quota.take_peak()), (0, 60));
        assert!(quota.hold(100).is_ok());
    }

    #[test]
    fn what_is_taken_over_needs_no_room() {
        let quota = Quota::new(100);
        let (mut a, mut b) = (quota.hold(60).expect("room"), quota.hold(40).expect("room"));
        quota.set_limit(10);
        a.absorb(&mut b);
        assert_eq!((a.bytes(), b.bytes(), quota.used()), (100, 0, 100));
        drop((a, b));
        assert_eq!(quota.used(), 0);
    }

    #[test]
    fn a_full_group_refuses_its_members() {
        let group = Quota::new(100);
        let (a, b) = (group.child(80), group.child(80));
        let _held = a.hold(70).expect("there is room");
        assert!(b.hold(31).is_err());
        assert_eq!((b.used(), group.used()), (0, 70));
        assert!(b.hold(30).is_ok());
    }
}
