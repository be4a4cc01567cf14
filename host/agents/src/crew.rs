//! Replicas: several instances of one agent that serve one mailbox, under one budget.
//!
//! The agent's life hands its messages to them, each a life with an instance of its own; a sender's messages go one after
//! the other. There are more of them while messages wait, and fewer when there is little to do.

use crate::agent::{Keep, Lasting, Spec};
use crate::blow::{Blow, Blows};
use crate::care::Pulse;
use crate::door::Origin;
use crate::live::{Handed, Life, Links, Work};
use crate::replica::{Report, serve};
use crate::swap::Orders;
use runtime::{Sender, Spawner, Task, clock};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::mpsc;

/// An agent has no more replicas than this.
pub const MOST_REPLICAS: u32 = 16;

/// How many instances may serve an agent's mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replicas {
    /// There are never fewer, if the host has room for them.
    pub min: u32,
    /// There are never more.
    pub max: u32,
}

impl Default for Replicas {
    fn default() -> Replicas {
        Replicas { min: 1, max: 1 }
    }
}

/// Tells others of a task.
pub type Join = Box<dyn Fn(&Arc<Task>) + Send + Sync>;

/// Where further instances of an agent have their place.
pub struct Room {
    /// A place for one more; none if the host is full.
    pub seat: Box<dyn Fn() -> Option<Keep> + Send + Sync>,
    /// Has a task look again whether it may run when what the agent shares with others changes.
    pub join: Join,
}

/// Messages that waited so long while every replica was busy want one more.
const PRESSED: u64 = 20_000_000;

/// One that was not needed for so long goes.
const SLACK: u64 = 2_000_000_000;

/// After one could not be made nobody tries again for so long.
const LATER: u64 = 5_000_000_000;

/// How often a life looks whether its replicas have ended.
const ENDING: Duration = Duration::from_millis(1);

/// The replicas of one agent.
pub(crate) struct Crew {
    hands: Vec<Hand>,
    /// Those that are not needed any more, until they have ended.
    leavers: Vec<Arc<Task>>,
    pub(crate) replicas: Replicas,
    pulse: Arc<Pulse>,
    numbers: u64,
    /// Since when messages wait while none is free; none if none does.
    pressed: Option<u64>,
    /// Since when one more than is needed is there.
    slack: u64,
    /// Nobody tries to make another before.
    later: u64,
}

/// One replica, seen from the agent's life.
struct Hand {
    number: u64,
    work: mpsc::UnboundedSender<Work>,
    task: Arc<Task>,
    blows: Arc<Blows>,
    /// Whether its instance could be made. The first one takes messages without: what is wrong is their failure.
    ready: bool,
    /// What it is busy with.
    busy: Option<(Sender, Origin)>,
    /// Whether it was made because messages waited.
    wanted: bool,
}

impl Crew {
    fn new(replicas: Replicas, pulse: Arc<Pulse>) -> Crew {
        let slack = clock::now();
        Crew { hands: Vec::new(), leavers: Vec::new(), replicas, pulse, numbers: 0, pressed: None, slack, later: 0 }
    }

    /// Whether it has to go: the agent is to have one instance again.
    fn leaves(&self) -> bool {
        self.replicas.max == 1
    }

    /// Whether a replica handles a message of this sender, so that the next one has to wait. Senders without a name are
    /// not known to be one.
    pub(crate) fn is_busy_with(&self, sender: &Sender) -> bool {
        let anonymous = matches!(sender, Sender::Client(name) if name.is_empty());
        let busy = self.hands.iter().filter_map(|hand| hand.busy.as_ref());
        !anonymous && busy.into_iter().any(|(other, _)| crate::queue::same(other, sender))
    }

    /// Whether a replica handles the message that is kept under `number`.
    pub(crate) fn has(&self, number: u64) -> bool {
        self.hands.iter().any(|hand| matches!(hand.busy, Some((_, Origin::Kept(kept))) if kept == number))
    }

    fn free(&mut self) -> Option<&mut Hand> {
        self.hands.iter_mut().find(|hand| hand.ready && hand.busy.is_none())
    }

    fn idle(&self) -> bool {
        self.hands.iter().all(|hand| hand.busy.is_none())
    }

    /// Whether a message that comes now has to wait.
    pub(crate) fn delays(&self, sender: &Sender) -> bool {
        self.leaves() || self.is_busy_with(sender) || !self.hands.iter().any(|hand| hand.ready && hand.busy.is_none())
    }

    /// What befalls the agent befalls each of them. What counts is counted once, by its life.
    pub(crate) fn strike(&self, blow: &Blow) {
        for hand in &self.hands {
            hand.blows.add(Blow { with: blow.with.clone(), pause: None, counts: false });
            let _ = hand.work.send(Work::Struck);
            hand.task.reconsider();
        }
    }

    /// Passes on what is not about a message.
    pub(crate) fn pass(&self, work: Work) {
        let to_all = |make: fn() -> Work| self.hands.iter().for_each(|hand| drop(hand.work.send(make())));
        match work {
            Work::Care(retry, care) => self.hands.iter().for_each(|hand| drop(hand.work.send(Work::Care(retry, care)))),
            Work::Rest if self.idle() => to_all(|| Work::Rest),
            Work::Rest => {}
            work => {
                // Whoever waits for it learns that the agent is ending.
                let _ = self.hands.first().map(|hand| hand.work.send(work));
            }
        }
    }

    /// How many serve.
    fn serving(&self) -> u32 {
        self.hands.iter().filter(|hand| hand.ready).count() as u32
    }

    /// Lets the replica at `place` go, which has nothing to do.
    fn dismiss(&mut self, place: usize) {
        let hand = self.hands.remove(place);
        self.leavers.retain(|task| !task.ended());
        self.leavers.push(hand.task.clone());
        self.count();
    }

    /// Notes how many there are, for those who look from outside.
    fn count(&self) {
        let count = self.serving().max(1);
        self.hands.iter().for_each(|hand| hand.task.set_among(self.hands.len() as u32));
        self.pulse.replicas.store(count, Relaxed);
        *self.pulse.crew.lock() = self.hands.iter().map(|hand| hand.task.clone()).collect();
    }

    /// Stops all, and waits until nothing more comes of them.
    async fn end(&mut self) {
        let tasks: Vec<_> = self.hands.iter().map(|hand| &hand.task).chain(&self.leavers).cloned().collect();
        tasks.iter().for_each(Task::stop);
        while !tasks.iter().all(|task| task.ended()) {
            tokio::time::sleep(ENDING).await;
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.hands.iter().for_each(|hand| hand.task.stop());
        self.pulse.crew.lock().clear();
        self.pulse.replicas.store(1, Relaxed);
    }
}

impl<T: Lasting> Life<T> {
    /// Changes how many instances may serve the mailbox.
    pub(crate) fn scale(&mut self, replicas: Replicas) {
        self.spec.replicas = replicas;
        match &mut self.crew {
            Some(crew) => crew.replicas = replicas,
            None if replicas.max > 1 => {
                (self.instance, self.asleep, self.turns) = (None, None, 0);
                self.crew = Some(Crew::new(replicas, self.pulse.clone()));
                self.grow(false);
            }
            None => {}
        }
        self.pulse.most.store(if self.crew.is_some() { replicas.max.max(2) } else { 1 }, Relaxed);
    }

    /// Hands out what may be handled now, and sees to it that there are as many replicas as are needed. Answers when to look
    /// again.
    pub(crate) fn hand_out(&mut self, now: u64) -> Option<u64> {
        self.queue.wake(now);
        while let Some(crew) = self.crew.as_mut().filter(|crew| !crew.leaves())
            && crew.free().is_some()
        {
            let ordered = self.spec.retry.ordered;
            let Some(handed) = self.queue.pop_but(|sender| ordered && crew.is_busy_with(sender)) else { break };
            let Some(hand) = crew.free() else { break };
            hand.busy = Some((handed.message.sender.clone(), handed.origin));
            // One that has just ended takes the agent with it.
            let _ = hand.work.send(Work::Handle(handed));
        }
        let look = self.resize(now);
        let busy = self.crew.as_ref().is_some_and(|crew| !crew.idle());
        self.pulse.busy.store(busy, Relaxed);
        look
    }

    /// Makes one more, or lets one go.
    fn resize(&mut self, now: u64) -> Option<u64> {
        let ordered = self.spec.retry.ordered;
        let crew = self.crew.as_mut()?;
        if crew.leaves() {
            if crew.idle() {
                (0..crew.hands.len()).rev().for_each(|place| crew.dismiss(place));
                crew.leavers.retain(|task| !task.ended());
                if crew.leavers.is_empty() {
                    self.crew = None;
                    self.pulse.most.store(1, Relaxed);
                    return Some(now);
                }
                return Some(now + ENDING.as_nanos() as u64);
            }
            return None;
        }
        let (count, Replicas { min, max }) = (crew.hands.len() as u32, crew.replicas);
        let making = crew.hands.iter().any(|hand| !hand.ready);
        let all_busy = crew.free().is_none();
        let waits = all_busy && self.queue.has_but(|sender| ordered && crew.is_busy_with(sender));
        crew.pressed = waits.then(|| crew.pressed.unwrap_or(now));
        let pressed = crew.pressed.is_some_and(|since| now >= since + PRESSED || self.queue.len() > count as usize);
        if all_busy {
            crew.slack = now;
        }
        let wanted = count < min || (count < max && pressed);
        if wanted && !making && now >= crew.later {
            self.grow(count >= min);
            return Some(now);
        }
        let spare = count > max || (count > min && now >= crew.slack + SLACK);
        if spare && let Some(place) = crew.hands.iter().rposition(|hand| hand.ready && hand.busy.is_none()) {
            // The first one may have been let go, and another is the first now.
            let before = crew.serving();
            crew.dismiss(place);
            crew.slack = now;
            if count <= max {
                self.tell_scaled(before);
            }
            return Some(now);
        }
        match () {
            () if wanted && !making => Some(crew.later),
            () if crew.pressed.is_some() && count < max && !making => crew.pressed.map(|since| since + PRESSED),
            () if count > min && !all_busy => Some(crew.slack + SLACK),
            () => None,
        }
    }

    /// There are more or fewer replicas than before, and nobody said so.
    fn tell_scaled(&self, before: u32) {
        if let (Some(books), Some(crew)) = (&self.spec.books, &self.crew) {
            books.scaled(&self.spec.name, before, crew.serving());
        }
    }

    /// Makes one more replica, `wanted` because messages wait.
    fn grow(&mut self, wanted: bool) {
        let Some(crew) = &mut self.crew else { return };
        let first = crew.hands.is_empty();
        // The first one has the place that the agent has anyway.
        let keep: Keep = match first {
            true => Box::new(()),
            false => match (self.spec.room.seat)() {
                Some(keep) => keep,
                None => return crew.later = clock::now() + LATER,
            },
        };
        crew.numbers += 1;
        let (number, (work, works)) = (crew.numbers, mpsc::unbounded_channel());
        let Spec { name, books, retry, care, version, budget, cpu, gpu, tokens, memory, mailbox, data, fell, .. } =
            &self.spec;
        let spec = Spec {
            name: name.clone(),
            books: books.clone(),
            before: None,
            retry: *retry,
            care: *care,
            version: version.clone(),
            budget: *budget,
            cpu: cpu.clone(),
            gpu: gpu.clone(),
            tokens: tokens.clone(),
            memory: memory.clone(),
            mailbox: mailbox.clone(),
            data: data.clone(),
            keep,
            fell: fell.clone(),
            replicas: Replicas::default(),
            room: Room { seat: Box::new(|| None), join: Box::new(|_| {}) },
        };
        let blows = Arc::<Blows>::default();
        let (_, orders) = Orders::new();
        let workers: Spawner = self.workers.clone();
        let links = Links {
            deadline: self.deadline.clone(),
            orders,
            pulse: self.pulse.clone(),
            blows: blows.clone(),
            workers: workers.clone(),
        };
        let (shared, front, life) = (self.shared.clone(), self.mine.clone(), Some(self.task.clone()));
        let report = Report { number, front: front.clone(), life };
        let task = workers.spawn(cpu.clone(), |task| async move {
            let life = Life { replica: true, ..Life::new(task, spec, front, links, shared) };
            serve(life, works, report, first).await;
        });
        (self.spec.room.join)(&task);
        crew.hands.push(Hand { number, work, task, blows, ready: first, busy: None, wanted });
        crew.count();
    }

    /// A replica is done with its message; those in `back` wait until they are tried again.
    pub(crate) fn done(&mut self, number: u64, back: Vec<(Box<Handed>, u64, bool)>) {
        for (handed, due, holds) in back {
            self.queue.rest(handed, due, holds);
        }
        if let Some(crew) = &mut self.crew
            && let Some(hand) = crew.hands.iter_mut().find(|hand| hand.number == number)
        {
            hand.busy = None;
        }
    }

    /// A replica's instance was made, or could not be.
    pub(crate) fn ready(&mut self, number: u64, made: bool) {
        let Some(crew) = &mut self.crew else { return };
        let Some(place) = crew.hands.iter().position(|hand| hand.number == number) else { return };
        let before = crew.serving();
        match made {
            true => crew.hands[place].ready = true,
            false => {
                crew.dismiss(place);
                crew.later = clock::now() + LATER;
            }
        }
        let wanted = made && crew.hands[place].wanted;
        crew.count();
        if wanted {
            self.tell_scaled(before);
        }
    }

    /// The life ends, and its replicas before it.
    pub(crate) async fn end_crew(&mut self) {
        if let Some(crew) = &mut self.crew {
            crew.end().await;
        }
    }
}
