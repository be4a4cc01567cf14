//! Waiting, which takes no time: the world's clock goes on to the next thing that happens.

use crate::test::world::here;

#[derive(Debug)]
pub(crate) struct Pollable {
    /// The millisecond of the world's clock at which it is ready.
    pub(crate) at: u64,
}

impl Pollable {
    pub(crate) fn block(&self) {
        wait_until(self.at);
    }
}

/// Waits for the first; answers the places of those that are ready then.
pub(crate) fn poll(pollables: &[&Pollable]) -> Vec<u32> {
    let first = pollables.iter().map(|pollable| pollable.at).min();
    wait_until(first.expect("waiting for nothing traps in a village, too"));
    let now = now();
    let ready = pollables.iter().enumerate().filter(|(_, pollable)| pollable.at <= now);
    ready.map(|(place, _)| place as u32).collect()
}

/// The world's clock. It stands where there is no world.
pub(crate) fn now() -> u64 {
    here().map_or(u64::MAX, |world| world.borrow().now)
}

fn wait_until(time: u64) {
    if let Some(world) = here() {
        let mut world = world.borrow_mut();
        world.now = world.now.max(time);
    }
}
