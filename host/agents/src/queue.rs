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
pub(crate) fn same(a: &Sender, b: &Sender) -> bool {
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

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.resting.is_empty() && self.lanes.iter().all(VecDeque::is_empty)
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

    /// The next message of a sender that is not `busy`. Those whose time has come must have been woken.
    pub(crate) fn pop_but(&mut self, busy: impl Fn(&Sender) -> bool) -> Option<Box<Handed>> {
        loop {
            let (lane, place) = self.first_but(&busy)?;
            let top = self.lanes.iter().rposition(|lane| !lane.is_empty());
            let below = self.lanes[..lane].iter().any(|lane| !lane.is_empty());
            self.in_a_row = if below && Some(lane) == top { self.in_a_row + 1 } else { 0 };
            let handed = self.lanes[lane].remove(place)?;
            match self.holder(&handed) {
                None => return Some(handed),
                Some(resting) => resting.waiting.push_back(handed),
            }
        }
    }

    /// Whether there is such a message.
    pub(crate) fn has_but(&self, busy: impl Fn(&Sender) -> bool) -> bool {
        self.first_but(&busy).is_some()
    }

    fn first_but(&self, busy: &impl Fn(&Sender) -> bool) -> Option<(usize, usize)> {
        let first = |lane: usize| {
            let place = self.lanes[lane].iter().position(|handed| !busy(&handed.message.sender))?;
            Some((lane, place))
        };
        let lanes = 0..self.lanes.len();
        let low = if self.in_a_row >= IN_A_ROW { lanes.clone().find_map(first) } else { None };
        low.or_else(|| lanes.rev().find_map(first))
    }

    /// How many messages may be handled as soon as somebody is free.
    pub(crate) fn len(&self) -> usize {
        self.lanes.iter().map(VecDeque::len).sum()
    }

    /// Those that failed, with when they are tried again and whether they hold others back. They rest here no longer.
    pub(crate) fn take_resting(&mut self) -> Vec<(Box<Handed>, u64, bool)> {
        let resting = std::mem::take(&mut self.resting).into_iter();
        let each = resting.map(|((due, _), Resting { waiting, holds, .. })| (due, holds, waiting));
        each.flat_map(|(due, holds, waiting)| waiting.into_iter().map(move |handed| (handed, due, holds))).collect()
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
    pub(crate) fn wake(&mut self, now: u64) {
        while let Some(entry) = self.resting.first_entry()
            && entry.key().0 <= now
        {
            let resting = entry.remove();
            for handed in resting.waiting.into_iter().rev() {
                self.lanes[resting.lane].push_front(handed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::{Desk, Place};
    use runtime::{Message, Payload};

    fn handed(name: &str, id: u64, priority: Priority) -> Box<Handed> {
        let payload = Payload { content_type: String::new(), body: Vec::new() };
        let (sender, id) = (Sender::Client(name.into()), id.to_string());
        let message = Message { id, sender, skill: String::new(), payload, priority, attempt: 1, accepted: 0 };
        let place = Place { message: None, _bytes: None };
        let (desk, origin) = (Desk::nobody(), Origin::Memory);
        Box::new(Handed { message, place, desk, origin, again: false, fresh: None })
    }

    fn ids(queue: &mut Queue, now: u64) -> Vec<String> {
        std::iter::from_fn(|| queue.pop(now)).map(|handed| handed.message.id).collect()
    }

    #[test]
    fn what_is_urgent_goes_first_and_the_order_of_arrival_holds_within() {
        let mut queue = Queue::default();
        let all =
            [Priority::Low, Priority::Normal, Priority::Urgent, Priority::High, Priority::Urgent, Priority::Normal];
        for (id, priority) in all.into_iter().enumerate() {
            queue.push(handed("a", id as u64, priority));
        }
        assert_eq!(ids(&mut queue, 0), ["2", "4", "3", "1", "5", "0"]);
    }

    #[test]
    fn what_is_not_urgent_has_its_turn_in_the_end() {
        let mut queue = Queue::default();
        queue.push(handed("a", 0, Priority::Low));
        for id in 1..=200 {
            queue.push(handed("a", id, Priority::Urgent));
        }
        let place = ids(&mut queue, 0).iter().position(|id| id == "0");
        assert_eq!(place, Some(IN_A_ROW as usize));
    }

    #[test]
    fn a_message_that_failed_holds_back_its_senders_later_ones_of_the_same_priority() {
        let mut queue = Queue::default();
        queue.rest(handed("a", 1, Priority::Normal), 100, true);
        for (name, id, priority) in [("a", 2, Priority::Normal), ("b", 3, Priority::Normal), ("a", 4, Priority::High)] {
            queue.push(handed(name, id, priority));
        }
        assert_eq!(ids(&mut queue, 50), ["4", "3"]);
        assert_eq!(queue.due(), Some(100));
        assert_eq!(ids(&mut queue, 100), ["1", "2"]);
        assert_eq!(queue.due(), None);
    }

    #[test]
    fn where_no_order_is_wanted_later_ones_pass() {
        let mut queue = Queue::default();
        queue.rest(handed("a", 1, Priority::Normal), 100, false);
        queue.push(handed("a", 2, Priority::Normal));
        assert_eq!(ids(&mut queue, 50), ["2"]);
        assert_eq!(ids(&mut queue, 100), ["1"]);
    }

    /// All that `pop_but` gives while these senders are busy.
    fn free_ids(queue: &mut Queue, busy: &[&str]) -> Vec<String> {
        let is_busy = |sender: &Sender| busy.iter().any(|name| same(sender, &Sender::Client((*name).into())));
        assert_eq!(queue.has_but(is_busy), queue.first_but(&is_busy).is_some());
        std::iter::from_fn(|| queue.pop_but(is_busy)).map(|handed| handed.message.id).collect()
    }

    #[test]
    fn who_is_busy_is_passed_over_and_keeps_its_order_and_place() {
        let mut queue = Queue::default();
        let all = [
            ("a", 0, Priority::Normal),
            ("b", 1, Priority::Normal),
            ("a", 2, Priority::High),
            ("b", 3, Priority::Normal),
            ("c", 4, Priority::Low),
            ("a", 5, Priority::Normal),
        ];
        for (name, id, priority) in all {
            queue.push(handed(name, id, priority));
        }
        assert_eq!(queue.len(), 6);
        assert_eq!(free_ids(&mut queue, &["a", "c"]), ["1", "3"]);
        assert!(free_ids(&mut queue, &["a", "c"]).is_empty());
        assert_eq!((queue.len(), free_ids(&mut queue, &["c"])), (4, ["2", "0", "5"].map(String::from).to_vec()));
        assert_eq!(free_ids(&mut queue, &[]), ["4"]);
        assert!(queue.is_empty());
    }

    #[test]
    fn what_a_failed_message_holds_back_is_not_given_to_a_free_one_either() {
        let mut queue = Queue::default();
        queue.rest(handed("a", 1, Priority::Normal), 100, true);
        queue.push(handed("a", 2, Priority::Normal));
        queue.push(handed("b", 3, Priority::Normal));
        queue.push(handed("a", 4, Priority::High));
        assert_eq!(free_ids(&mut queue, &[]), ["4", "3"]);
        assert_eq!(queue.len(), 0, "what rests can't be handled yet");
        queue.wake(99);
        assert!(free_ids(&mut queue, &[]).is_empty());
        queue.wake(100);
        assert!(free_ids(&mut queue, &["a"]).is_empty());
        assert_eq!(free_ids(&mut queue, &[]), ["1", "2"]);
        // What rests elsewhere is taken with when it is due, and whether it holds others back.
        queue.rest(handed("a", 5, Priority::Normal), 7, true);
        queue.rest(handed("b", 6, Priority::Low), 8, false);
        queue.push(handed("a", 7, Priority::Normal));
        assert!(free_ids(&mut queue, &[]).is_empty());
        let taken: Vec<_> =
            queue.take_resting().into_iter().map(|(one, due, holds)| (one.message.id, due, holds)).collect();
        assert_eq!(taken, [("5".into(), 7, true), ("7".into(), 7, true), ("6".into(), 8, false)]);
        assert!(queue.is_empty() && queue.due().is_none());
    }

    #[test]
    fn what_is_not_urgent_has_its_turn_also_beside_who_is_busy() {
        let mut queue = Queue::default();
        queue.push(handed("busy", 1000, Priority::Low));
        queue.push(handed("a", 0, Priority::Low));
        for id in 1..=200 {
            queue.push(handed("b", id, Priority::Urgent));
        }
        let place = free_ids(&mut queue, &["busy"]).iter().position(|id| id == "0");
        assert_eq!(place, Some(IN_A_ROW as usize));
        assert_eq!(free_ids(&mut queue, &[]), ["1000"]);
    }
}
