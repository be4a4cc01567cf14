//! The versions that an agent had.

use base::Digest;
use runtime::{Card, Guest, Version};
use std::collections::VecDeque;
use std::sync::Arc;

/// How many versions before the one that serves are kept, ready to take over again.
pub const KEPT: usize = 8;

/// A version of an agent, as its host knows it.
#[derive(Debug, Clone)]
pub struct Known {
    /// The digest of its component.
    pub digest: Digest,
    /// What it says of itself, if it was asked.
    pub card: Option<Arc<Card>>,
    /// What it does.
    pub place: Place,
}

/// What a version does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It is to take over: it is probed, shadows the one that serves, or is on trial.
    Coming,
    /// It serves.
    Live,
    /// It served; so many have served since. A rollback goes to the first.
    Before(usize),
}

/// A version with what it says of itself.
pub(crate) struct Entry<T: Guest> {
    pub(crate) version: Arc<Version<T>>,
    pub(crate) card: Option<Arc<Card>>,
}

impl<T: Guest> Clone for Entry<T> {
    fn clone(&self) -> Entry<T> {
        Entry { version: self.version.clone(), card: self.card.clone() }
    }
}

/// The versions of one agent.
pub(crate) struct History<T: Guest> {
    pub(crate) live: Entry<T>,
    pub(crate) coming: Option<Entry<T>>,
    /// The one before the live one is the last.
    pub(crate) before: VecDeque<Entry<T>>,
}

impl<T: Guest> History<T> {
    pub(crate) fn new(version: Arc<Version<T>>) -> History<T> {
        History { live: Entry { version, card: None }, coming: None, before: VecDeque::new() }
    }

    /// The version to come serves now.
    pub(crate) fn advance(&mut self) {
        if let Some(next) = self.coming.take() {
            let last = std::mem::replace(&mut self.live, next);
            self.before.push_back(last);
            if self.before.len() > KEPT {
                self.before.pop_front();
            }
        }
    }

    /// The version to come is one that served before. Those since are not gone back to.
    pub(crate) fn go_back(&mut self) {
        let Some(next) = self.coming.take() else { return };
        let digest = next.version.digest();
        if let Some(at) = self.before.iter().rposition(|entry| entry.version.digest() == digest) {
            self.before.truncate(at);
        }
        self.live = next;
    }

    /// All of them, the newest first.
    pub(crate) fn list(&self) -> Vec<Known> {
        let known = |entry: &Entry<T>, place| Known { digest: entry.version.digest(), card: entry.card.clone(), place };
        let before = self.before.iter().rev().enumerate();
        let coming = self.coming.iter().map(|entry| known(entry, Place::Coming));
        let all = coming.chain([known(&self.live, Place::Live)]);
        all.chain(before.map(|(since, entry)| known(entry, Place::Before(since + 1)))).collect()
    }
}
