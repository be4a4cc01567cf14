//! What others ask of this peer: held to their rate, looked at, handled once, answered.

use super::calls::Done;
use super::present::PRESENT;
use super::recent::RECENT;
use super::{Answered, Due, Node, Outgoing, Room};
use crate::codec::Held;
use crate::event::{Event, Why};
use crate::figures::Counters;
use crate::frame::{self, BODY_LIMIT, Frame, Id, LIFE_LIMIT, Priority, Reply, SKEW, Trace};
use crate::key::Key;
use crate::mesh::OWN;
use crate::roster::Member;
use crate::said::Ask;
use crate::settings::{Rate, Settings};
use libp2p::request_response::ResponseChannel;
use libp2p::{Multiaddr, PeerId};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};

pub(super) struct Asked {
    inbox: mpsc::Sender<Ask>,
    done: mpsc::UnboundedSender<Answered>,
    answers: mpsc::UnboundedReceiver<Answered>,
    recent: HashMap<(Key, Id), Before>,
    /// When which of them is forgotten.
    forget: BTreeMap<(Instant, Key, Id), ()>,
    /// Bytes of replies that are kept, and the most of them.
    kept: usize,
    keep: usize,
    buckets: HashMap<PeerId, Bucket>,
    /// How much is being handled for each.
    running: HashMap<Key, usize>,
}

/// A message that was here a while ago.
struct Before {
    peer: PeerId,
    hash: blake3::Hash,
    state: State,
}

enum State {
    Running(Vec<ResponseChannel<Held>>),
    Done(Vec<u8>),
    /// It was answered, and for the answer there was no room.
    Forgotten,
}

/// Something that arrived, on its way to being handled.
pub(super) struct Late {
    peer: PeerId,
    held: Held,
    channel: Option<ResponseChannel<Held>>,
    /// Whether it is the sender's rate that it had to wait for.
    over: bool,
}

/// What one peer may send: as a bucket that is filled at its rate, and may be owed to for a while.
struct Bucket {
    messages: f64,
    bytes: f64,
    filled: Instant,
    late: usize,
    told: Instant,
}

const LIE: f64 = 100.0;
/// Messages that are remembered at once: at a hundred bytes each.
const REMEMBERED: usize = 200_000;
/// How many ways of asking one thing wait for its answer.
const CHANNELS: usize = 4;
/// What is said to those who come while all is full.
const BUSY: u32 = 50;
/// How long nothing is heard of what got lost in bad weather.
const SILENCE: Duration = Duration::from_secs(1);
/// What members ask each other by themselves.
const ROSTER: &str = "~roster";
const ROSTER_LIFE: Duration = Duration::from_secs(20);

impl Asked {
    pub(super) fn new(inbox: mpsc::Sender<Ask>, settings: &Settings) -> Asked {
        let (done, answers) = mpsc::unbounded_channel();
        let (recent, forget, buckets, running) = Default::default();
        Asked { inbox, done, answers, recent, forget, kept: 0, keep: settings.memory / 4, buckets, running }
    }

    pub(super) async fn answered(&mut self) -> Option<Answered> {
        self.answers.recv().await
    }

    /// Forgets what nobody can say again.
    pub(super) fn forget(&mut self) {
        let now = Instant::now();
        while let Some(first) = self.forget.first_entry() {
            let (at, key, id) = *first.key();
            if at > now {
                break;
            }
            first.remove();
            match self.recent.remove(&(key, id)) {
                Some(Before { state: State::Done(reply), .. }) => self.kept -= reply.len(),
                Some(Before { state: State::Running(_), .. }) => self.rest(&key),
                _ => {}
            }
        }
        self.buckets.retain(|_, bucket| bucket.late > 0 || bucket.filled.elapsed() < Duration::from_secs(60));
    }

    /// Whether something of this peer's is being handled, or waits to be.
    pub(super) fn works_for(&self, peer: &PeerId) -> bool {
        let late = self.buckets.get(peer).is_some_and(|bucket| bucket.late > 0);
        late || Key::of(peer).is_some_and(|key| self.running.contains_key(&key))
    }

    /// One thing less is being handled for this one.
    fn rest(&mut self, key: &Key) {
        if let Some(count) = self.running.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                self.running.remove(key);
            }
        }
    }

    /// How long a message of this peer has to wait; nothing if far too much waits already.
    fn charge(&mut self, peer: PeerId, bytes: usize, rate: &Rate) -> Option<Duration> {
        let now = Instant::now();
        let bucket = self.buckets.entry(peer).or_insert_with(|| Bucket {
            messages: rate.messages.into(),
            bytes: rate.bytes.into(),
            filled: now,
            late: 0,
            told: now.checked_sub(Duration::from_secs(1)).unwrap_or(now),
        });
        let passed = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.filled = now;
        let (messages, most) = (f64::from(rate.messages), f64::from(rate.bytes));
        bucket.messages = (bucket.messages + passed * messages).min(messages);
        bucket.bytes = (bucket.bytes + passed * most).min(most);
        if bucket.late >= rate.late {
            return None;
        }
        bucket.messages -= 1.0;
        bucket.bytes -= bytes as f64;
        let owed = (-bucket.messages / messages).max(-bucket.bytes / most).max(0.0);
        Some(Duration::from_secs_f64(owed))
    }

    /// A charge for what a peer has published; whether it may be passed on.
    pub(super) fn charge_published(&mut self, source: PeerId, bytes: usize, rate: &Rate) -> bool {
        let wait = self.charge(source, bytes, rate);
        let good = wait.is_some_and(|wait| wait < Duration::from_secs(1));
        if let (false, true, Some(bucket)) = (good, wait.is_some(), self.buckets.get_mut(&source)) {
            // What is not passed on is not owed for either: it would never end.
            bucket.messages += 1.0;
            bucket.bytes += bytes as f64;
        }
        good
    }

    /// A charge for a lie, which counts for a hundred messages; whether that is too much.
    pub(super) fn is_flood(&mut self, peer: PeerId, bytes: usize, rate: &Rate) -> bool {
        let Some(_) = self.charge(peer, bytes, rate) else { return true };
        let Some(bucket) = self.buckets.get_mut(&peer) else { return false };
        bucket.messages -= LIE;
        -bucket.messages > f64::from(rate.messages)
    }
}

impl Node {
    pub(super) fn arrived(&mut self, peer: PeerId, held: Held, channel: ResponseChannel<Held>) {
        self.links.received(&peer, held.bytes.len());
        self.links.used(&peer);
        let fate = self.settings.weather.as_ref().map(|weather| weather.fate()).unwrap_or_default();
        if fate.twice {
            self.charged(Late { peer, held: held.bytes.clone().into(), channel: None, over: false });
        }
        let late = Late { peer, held, channel: Some(channel), over: false };
        if fate.lost {
            self.timers.after(SILENCE, Due::Silence(late));
        } else if !fate.delay.is_zero() {
            self.timers.after(fate.delay, Due::Arrive(late));
        } else {
            self.charged(late);
        }
    }

    /// Handles it, now or as soon as its sender's rate allows.
    fn charged(&mut self, late: Late) {
        let peer = late.peer;
        match self.asked.charge(peer, late.held.bytes.len(), &self.settings.rate) {
            Some(Duration::ZERO) => self.handle(late),
            Some(wait) => {
                if let Some(bucket) = self.asked.buckets.get_mut(&peer) {
                    bucket.late += 1;
                    if bucket.told.elapsed() >= Duration::from_secs(1) {
                        bucket.told = Instant::now();
                        self.tell(Event::Slowed { peer });
                    }
                }
                self.timers.after(wait, Due::Arrive(Late { over: true, ..late }));
            }
            None => self.ban(peer),
        }
    }

    pub(super) fn take(&mut self, late: Late) {
        if !late.over {
            return self.charged(late);
        }
        if let Some(bucket) = self.asked.buckets.get_mut(&late.peer) {
            bucket.late -= 1;
        }
        self.handle(late);
    }

    fn handle(&mut self, late: Late) {
        let Late { peer, held, channel, .. } = late;
        let frame = match self.check(&peer, &held.bytes) {
            Ok(frame) => frame,
            Err(why) => {
                self.turn_away(Some(peer), why);
                return self.reply(channel, &Reply::Away(why).encode());
            }
        };
        let key = (frame.sender, frame.id);
        let hash = blake3::hash(&held.bytes);
        match self.asked.recent.get_mut(&key) {
            Some(recent) if recent.hash != hash => {
                self.turn_away(Some(peer), Why::Replayed);
                return self.reply(channel, &Reply::Away(Why::Replayed).encode());
            }
            Some(recent) => {
                Counters::add(&self.counters.repeated);
                match &mut recent.state {
                    State::Running(channels) if channels.len() < CHANNELS => channels.extend(channel),
                    State::Running(_) => {}
                    State::Done(reply) => {
                        let reply = reply.clone();
                        self.reply(channel, &reply);
                    }
                    State::Forgotten => self.reply(channel, &Reply::Away(Why::Replayed).encode()),
                }
                return;
            }
            None => {}
        }
        if self.asked.recent.len() >= REMEMBERED {
            return self.busy(channel);
        }
        if frame.to.starts_with(OWN) {
            let reply = self.own_answer(&frame);
            return self.reply(channel, &reply.encode());
        }
        let left = frame.expires.saturating_sub(self.now());
        // Only this task fills it, so what has a place now has it in a moment.
        if self.asked.inbox.capacity() == 0 {
            return self.busy(channel);
        }
        let until = Instant::now() + Duration::from_millis(left) + 2 * SKEW;
        self.asked.forget.insert((until, key.0, key.1), ());
        *self.asked.running.entry(key.0).or_default() += 1;
        self.asked.recent.insert(key, Before { peer, hash, state: State::Running(channel.into_iter().collect()) });
        // If nobody takes any more, the ask is dropped, and so refused.
        let _ = self.asked.inbox.try_send(Ask {
            from: peer,
            frame,
            done: Some(self.asked.done.clone()),
            _memory: held.memory,
        });
    }

    /// Whether it is a frame, of this peer, in time.
    fn check(&self, peer: &PeerId, bytes: &[u8]) -> Result<Frame, Why> {
        let frame = Frame::decode(bytes).map_err(super::door::why)?;
        if Key::named(peer) != Some(frame.sender) {
            return Err(Why::Forged);
        }
        self.check_time(&frame)?;
        Ok(frame)
    }

    /// Not too old, and not made to last longer than it is remembered here.
    pub(super) fn check_time(&self, frame: &Frame) -> Result<(), Why> {
        let (now, skew) = (self.now(), SKEW.as_millis() as u64);
        let latest = now + skew + LIFE_LIMIT.as_millis() as u64;
        if frame.expires.saturating_add(skew) <= now || frame.expires > latest {
            return Err(Why::Expired);
        }
        Ok(())
    }

    fn busy(&mut self, channel: Option<ResponseChannel<Held>>) {
        Counters::add(&self.counters.busy);
        self.reply(channel, &Reply::Busy(BUSY).encode());
    }

    fn reply(&mut self, channel: Option<ResponseChannel<Held>>, bytes: &[u8]) {
        if let Some(channel) = channel {
            // Who has gone asks again.
            let _ = self.swarm.behaviour_mut().gate.inner.calls.send_response(channel, bytes.to_vec().into());
        }
    }

    /// This program has answered.
    pub(super) fn answer(&mut self, answered: Answered) {
        let Answered { key, reply } = answered;
        let bytes = reply.encode();
        let Some(recent) = self.asked.recent.get_mut(&key) else { return };
        let peer = recent.peer;
        // What is to come again is not remembered as answered.
        let state = if matches!(reply, Reply::Busy(_)) {
            self.asked.recent.remove(&key).map(|recent| recent.state)
        } else if self.asked.kept + bytes.len() <= self.asked.keep {
            self.asked.kept += bytes.len();
            Some(std::mem::replace(&mut recent.state, State::Done(bytes.clone())))
        } else {
            Some(std::mem::replace(&mut recent.state, State::Forgotten))
        };
        let Some(State::Running(channels)) = state else { return };
        self.asked.rest(&key.0);
        self.links.sent(&peer, bytes.len());
        for channel in channels {
            self.reply(Some(channel), &bytes);
        }
    }

    /// What members ask each other by themselves.
    fn own_answer(&mut self, frame: &Frame) -> Reply {
        match frame.to.as_str() {
            ROSTER => self.roster_answer(),
            RECENT => self.recent_answer(),
            PRESENT => self.present_answer(),
            _ => Reply::Refused("this is not known here".into()),
        }
    }

    fn roster_answer(&mut self) -> Reply {
        let mut members: Vec<Member> = self.roster.members().map(|(_, member)| member.clone()).collect();
        self.dice.shuffle(&mut members);
        let mut bytes = frame::encode(&members, Vec::new());
        while bytes.len() > BODY_LIMIT {
            members.truncate(members.len() * 3 / 4);
            bytes = frame::encode(&members, Vec::new());
        }
        Reply::Done(bytes)
    }

    /// Asks a member whom it knows, what was published lately, and who is there.
    pub(super) fn catch_up(&mut self, peer: PeerId) {
        self.ask_own(peer, ROSTER, Done::Roster);
        self.ask_own(peer, RECENT, Done::Recent);
        self.ask_own(peer, PRESENT, Done::Present);
    }

    fn ask_own(&mut self, peer: PeerId, what: &str, done: Done) {
        let now = self.now();
        let frame = Frame {
            id: Id::new(),
            sender: self.own(),
            to: what.into(),
            priority: Priority::High,
            sent: now,
            expires: now + ROSTER_LIFE.as_millis() as u64,
            correlation: None,
            trace: Trace::default(),
            body: Vec::new(),
        };
        let bytes = frame.encode();
        // Of these there is one for each link.
        let own = Arc::new(Semaphore::new(2));
        let (Ok(place), Ok(memory)) = (own.clone().try_acquire_owned(), own.try_acquire_owned()) else { return };
        let room = Room { _place: place, _memory: memory };
        let until = Instant::now() + ROSTER_LIFE;
        let outgoing = Outgoing { to: peer, id: frame.id, priority: frame.priority, bytes, until, _room: room };
        self.begin(outgoing, done);
    }

    pub(super) fn learn_roster(&mut self, from: PeerId, bytes: &[u8]) {
        let members: Vec<Member> = match frame::decode(bytes, BODY_LIMIT) {
            Ok(members) => members,
            Err(error) => return self.turn_away(Some(from), super::door::why(error)),
        };
        self.learn_members(from, members);
    }

    /// Takes in those of whom another tells, as far as their passes are good.
    pub(super) fn learn_members(&mut self, from: PeerId, members: Vec<Member>) {
        for member in members {
            let holder = member.pass.holder();
            let known = self.roster.has(&holder);
            match self.admit(&member.pass) {
                Ok(()) => {
                    // What is known first hand is better.
                    if !known && let Some(peer) = holder.peer() {
                        let addresses: Vec<Multiaddr> =
                            member.addresses.iter().take(8).filter_map(|text| text.parse().ok()).collect();
                        self.located(peer, &addresses);
                    }
                }
                Err(Why::Blocked | Why::Full) => {}
                Err(why) => return self.turn_away(Some(from), why),
            }
        }
    }
}
