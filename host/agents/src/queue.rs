//! What waits for one agent, in the order in which it is handled.
//!
//! A more urgent message goes first; within one priority the order of arrival holds. A message that failed waits until
//! it is tried again, and holds back what its sender sent after it, unless the agent lets that pass.

use crate::door::Origin;
use crate::live::Handed;
use runtime::{Priority, Sender};
use std::collections::{BTreeMap, VecDeque};

/// After so many in a row that were more urgent, one that is less urgent has its turn.
const IN_A_ROW: u32 = 64;

/// What waits for one agent.
#[derive(Default)]
pub(crate) struct Queue {
    /// The least urgent first.
    lanes: [VecDeque<Box<Handed>>; 4],
    /// Messages that failed, with what they hold back, by the time at which they are tried again.
    resting: BTreeMap<(u64, u64), Resting>,
    rests: u64,
    in_a_row: u32,
}

struct Resting {
    lane: usize,
    /// The one that failed goes first.
    waiting: VecDeque<Box<Handed>>,
    holds: bool,
}

fn lane(priority: Priority) -> usize {
    match priority {
        Priority::Low => 0,
        Priority::Normal => 1,
        Priority::High => 2,
        Priority::Urgent => 3,
    }
}

/// Whether two senders are one.
fn same(a: &Sender, b: &Sender) -> bool {
    match (a, b) {
        (Sender::Client(a), Sender::Client(b))
        | (Sender::Agent(a), Sender::Agent(b))
        | (Sender::Timer(a), Sender::Timer(b))
        | (Sender::Topic(a), Sender::Topic(b)) => a == b,
        _ => false,
    }
}

impl Queue {
    pub(crate) fn push(&mut self, handed: Box<Handed>) {
        self.lanes[lane(handed.message.priority)].push_back(handed);
    }

    /// Puts back a message that is to be tried again at `due`. It `holds` back its sender's later ones.
    pub(crate) fn rest(&mut self, handed: Box<Handed>, due: u64, holds: bool) {
        self.rests += 1;
        let lane = lane(handed.message.priority);
        self.resting.insert((due, self.rests), Resting { lane, waiting: VecDeque::from([handed]), holds });
    }

    /// When the next message that failed is tried again.
    pub(crate) fn due(&self) -> Option<u64> {
        self.resting.first_key_value().map(|((due, _), _)| *due)
    }

    /// The message that is kept under `number`, if it waits here.
    pub(crate) fn find(&mut self, number: u64) -> Option<&mut Handed> {
        let resting = self.resting.values_mut().map(|resting| &mut resting.waiting);
        let all = self.lanes.iter_mut().chain(resting).flatten();
        all.map(|handed| &mut **handed).find(|handed| handed.origin == Origin::Kept(number))
    }

    /// The next message, if one may be handled at the time `now`.
    pub(crate) fn pop(&mut self, now: u64) -> Option<Box<Handed>> {
        if !self.resting.is_empty() {
            self.wake(now);
        }
        loop {
            let handed = self.next()?;
            match self.holder(&handed) {
                None => return Some(handed),
                Some(resting) => resting.waiting.push_back(handed),
            }
        }
    }

    fn next(&mut self) -> Option<Box<Handed>> {
        let top = self.lanes.iter().rposition(|lane| !lane.is_empty())?;
        let below = self.lanes[..top].iter().position(|lane| !lane.is_empty());
        let lane = match below {
            Some(lowest) if self.in_a_row >= IN_A_ROW => lowest,
            _ => top,
        };
        self.in_a_row = if below.is_some() && lane == top { self.in_a_row + 1 } else { 0 };
        self.lanes[lane].pop_front()
    }

    /// Whose failure `handed` has to wait for.
    fn holder(&mut self, handed: &Handed) -> Option<&mut Resting> {
        if self.resting.is_empty() {
            return None;
        }
        let lane = lane(handed.message.priority);
        self.resting.values_mut().find(|resting| {
            let first = resting.waiting.front();
            resting.holds
                && resting.lane == lane
                && first.is_some_and(|first| same(&first.message.sender, &handed.message.sender))
        })
    }

    /// Those whose time has come go to the front of their lanes, what they held back behind them.
    fn wake(&mut self, now: u64) {
        while let Some(entry) = self.resting.first_entry()
            && entry.key().0 <= now
        {
            let resting = entry.remove();
            for handed in resting.waiting.into_iter().rev() {
                self.lanes[resting.lane].push_front(handed);
            }
        }
    }

    /// How many wait, those that failed included.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        let resting = self.resting.values().map(|resting| resting.waiting.len());
        self.lanes.iter().map(VecDeque::len).chain(resting).sum()
    }
}
