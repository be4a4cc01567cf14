//! Who waits for whom: a note of the asks that agents wait for now, so that a ring of them can be named.
//!
//! Nobody looks at it while all goes well. When a deadline strikes or an ask takes too long, it is followed from agent to
//! agent, to see whether it leads back to where it began.

use crate::abroad::SKILL;
use crate::house::House;
use crate::standing::Standing;
use parking_lot::Mutex;
use runtime::clock;
use std::collections::HashSet;
use std::sync::{Arc, OnceLock, Weak};

/// The agents of a ring, each waiting for the next one and the last for the first.
pub(crate) type Ring = Arc<[String]>;

/// What one agent waits for now.
#[derive(Default)]
pub(crate) struct Waits(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    asks: Vec<Wait>,
    number: u64,
    /// Asks whose rings other villages may know of.
    far: Vec<(Arc<str>, Weak<OnceLock<Ring>>)>,
    /// The ring that the turn was in whose deadline, by which it is known, broke its wait off.
    broken: Option<(u64, Ring)>,
}

struct Wait {
    number: u64,
    to: Arc<str>,
    /// Set by whoever's time was up first, with when: once that turn has ended, there is no ring to be found any more.
    ring: Option<(u64, Ring)>,
}

/// Deadlines that strike within so many nanoseconds of each other broke one ring. Later on it is something else that takes long.
const TOGETHER: u64 = 50_000_000;

/// So many agents are looked at before it is taken that there is no ring.
const MOST: usize = 10_000;

impl Waits {
    fn targets(&self) -> Vec<Arc<str>> {
        self.0.lock().asks.iter().map(|wait| wait.to.clone()).collect()
    }

    fn mark(&self, to: &str, ring: &Ring) {
        for wait in self.0.lock().asks.iter_mut().filter(|wait| &*wait.to == to) {
            wait.ring = Some((clock::now(), ring.clone()));
        }
    }

    /// Where the ring goes that an ask turns out to be in, if that is known of other villages.
    pub(crate) fn expect(&self, to: &Arc<str>) -> Arc<OnceLock<Ring>> {
        let ring = Arc::default();
        let mut waiting = self.0.lock();
        waiting.far.retain(|(_, ask)| ask.strong_count() > 0);
        waiting.far.push((to.clone(), Arc::downgrade(&ring)));
        ring
    }

    /// Tells the asks to `to` that they are in a ring.
    pub(crate) fn tell(&self, to: &str, ring: &Ring) {
        let waiting = self.0.lock();
        // Who was asked by skill is not known here.
        for (_, ask) in waiting.far.iter().filter(|(other, _)| &**other == to || other.starts_with(SKILL)) {
            if let Some(ask) = ask.upgrade() {
                // The first that was found is as good.
                let _ = ask.set(ring.clone());
            }
        }
    }

    /// The ring in which the turn waited that had to end at `until`.
    pub(crate) fn broken(&self, until: u64) -> Option<Ring> {
        self.0.lock().broken.take().filter(|(of, _)| *of == until).map(|(_, ring)| ring)
    }
}

/// A wait, from when it begins until it is dropped.
pub(crate) struct Wanted<'a> {
    asker: &'a Arc<Standing>,
    to: &'a str,
    number: u64,
    /// The ring that it is in, if another village knows of one.
    far: Option<&'a OnceLock<Ring>>,
    /// When the turn must have ended; 0 once the wait is over.
    until: u64,
}

impl<'a> Wanted<'a> {
    pub(crate) fn begin(
        asker: &'a Arc<Standing>,
        to: &'a Arc<str>,
        far: Option<&'a OnceLock<Ring>>,
        until: u64,
    ) -> Wanted<'a> {
        let mut waiting = asker.waits.0.lock();
        waiting.number += 1;
        let number = waiting.number;
        waiting.asks.push(Wait { number, to: to.clone(), ring: None });
        drop(waiting);
        Wanted { asker, to, number, far, until }
    }

    /// What was waited for has come, or takes too long.
    pub(crate) fn over(mut self) {
        self.until = 0;
    }
}

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        // One that is given up although there is time left is one of several, of which another was ready.
        let now = if self.until > 0 { clock::now() } else { 0 };
        let struck = self.until > 0 && now >= self.until;
        let ring = if struck { ring(&self.asker.house, &self.asker.name, self.to) } else { None };
        let mut waiting = self.asker.waits.0.lock();
        let Some(at) = waiting.asks.iter().position(|wait| wait.number == self.number) else { return };
        let wait = waiting.asks.swap_remove(at);
        let known = wait.ring.filter(|(when, _)| now.saturating_sub(*when) < TOGETHER).map(|(_, ring)| ring);
        let far = || self.far.and_then(|ring| ring.get().cloned());
        if let Some(ring) = ring.or(known).or_else(far).filter(|_| struck) {
            waiting.broken = Some((self.until, ring));
        }
    }
}

/// The ring in which `from` waits for `to`, beginning with `from`; none if `to` does not wait for it in turn.
pub(crate) fn ring(house: &House, from: &str, to: &str) -> Option<Ring> {
    let ring = path(house, from, to)?;
    tell_all(house, &ring);
    Some(ring)
}

/// The same, of which nobody is told: `from`, and those that wait for each other from `to` on, the last of them for `from`.
pub(crate) fn path(house: &House, from: &str, to: &str) -> Option<Ring> {
    let mut path: Vec<(Arc<str>, Vec<Arc<str>>)> = Vec::new();
    let mut seen = HashSet::new();
    let mut next: Option<Arc<str>> = Some(to.into());
    loop {
        if let Some(name) = next.take() {
            if &*name == from {
                let names = std::iter::once(from).chain(path.iter().map(|(name, _)| &**name));
                return Some(names.map(String::from).collect());
            }
            if seen.len() < MOST && seen.insert(name.clone()) {
                let targets = house.standing(&name).map(|standing| standing.waits.targets()).unwrap_or_default();
                path.push((name, targets));
            }
        }
        let (_, targets) = path.last_mut()?;
        next = targets.pop();
        if next.is_none() {
            path.pop();
        }
    }
}

/// Has all of a ring know of it.
fn tell_all(house: &House, ring: &Ring) {
    for at in 0..ring.len() {
        let (name, next) = (&ring[at], &ring[(at + 1) % ring.len()]);
        if let Some(standing) = house.standing(name) {
            let own: Ring = ring[at..].iter().chain(&ring[..at]).cloned().collect();
            standing.waits.mark(next, &own);
        }
    }
}
