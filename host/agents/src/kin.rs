//! Who falls with whom, and who is told: monitors, links, and families that share a strategy.
//!
//! Only names are known here, and what comes of it when one of them breaks; whoever asks sees to it. A family is what one
//! agent created, or what a group of a village has; its head is that agent's name, or a word that no agent can have.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;
use store::Table;

/// Monitors: who is watched, and by whom.
pub const MONITORS: Table<(String, String), u64> = Table::new("monitors");

/// Links, once from each end. 1 at the end that made it, 0 at the other.
pub const LINKS: Table<(String, String), u64> = Table::new("links");

/// Which of what an agent created came first, by address.
pub const BIRTHS: Table<String, u64> = Table::new("births");

/// How an agent looks after what it created, where its manifest says so.
pub const PLANS: Table<String, Supervision> = Table::new("supervision");

/// Which of a family begin anew when one of them breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Strategy {
    /// Only the one that broke.
    OneForOne,
    /// All of them.
    OneForAll,
    /// The one that broke, and those that came after it.
    RestForOne,
}

/// How a family is looked after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supervision {
    /// Who begins anew with the one that broke.
    pub strategy: Strategy,
    /// So often one of them may break within [`Supervision::within`]; beyond that all of them are left alone.
    pub restarts: u32,
    /// See above.
    pub within: Duration,
}

impl Default for Supervision {
    fn default() -> Supervision {
        Supervision { strategy: Strategy::OneForOne, restarts: 3, within: Duration::from_secs(10) }
    }
}

/// The names of the strategies, as they are written.
pub const STRATEGIES: [(&str, Strategy); 3] = [
    ("one-for-one", Strategy::OneForOne),
    ("one-for-all", Strategy::OneForAll),
    ("rest-for-one", Strategy::RestForOne),
];

/// How long a family is left alone the first time that it breaks too often, and at most. Twice as long each time that it
/// does so again soon.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// Something that was tied, or untied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tie {
    /// The first is told what becomes of the second.
    Monitor,
    /// Both fall together.
    Link,
}

/// What the watchers of an agent are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Who is told.
    pub to: String,
    /// Of whom.
    pub agent: String,
    /// What became of it.
    pub what: What,
}

/// What became of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A turn of its broke, for this kind of reason.
    Broke(String),
    /// It began anew because this other one broke.
    Fell(String),
    /// It is left alone for so long.
    LeftAlone(Duration),
    /// What it created broke too often, this one at last, and is left alone for so long. Only its creator is told so.
    GaveUp(String, Duration),
    /// It was stopped, and takes no messages until it is started.
    Stopped,
    /// It is there no more.
    Removed,
}

/// What comes of it that an agent broke.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Fall {
    /// Those that begin anew as well, each because of the agent that is named with it.
    pub fallen: Vec<(String, String)>,
    /// Families that are left alone: the head, the members, and for how long.
    pub given_up: Vec<(String, Vec<String>, Duration)>,
    /// Who is told what.
    pub news: Vec<News>,
}

/// Who is tied to whom.
#[derive(Default)]
pub struct Kin(Mutex<Ties>);

#[derive(Default)]
struct Ties {
    watchers: BTreeMap<String, BTreeSet<String>>,
    watched: BTreeMap<String, BTreeSet<String>>,
    /// Whether this end made it.
    links: BTreeMap<String, BTreeMap<String, bool>>,
    plans: HashMap<String, Supervision>,
    families: HashMap<String, Family>,
    /// The family of each member, and its place in it.
    heads: BTreeMap<String, (String, u64)>,
}

#[derive(Default)]
struct Family {
    members: BTreeSet<(u64, String)>,
    falls: VecDeque<u64>,
    /// How often in a row it was left alone, and when last.
    pauses: u32,
    last: u64,
}

/// Two agents each, by name.
pub type Pairs = Vec<(String, String)>;

impl Kin {
    /// Ties `from` to `to`.
    pub fn tie(&self, tie: &Tie, from: &str, to: &str) {
        self.0.lock().tie(tie, from, to);
    }

    /// Unties them.
    pub fn untie(&self, tie: &Tie, from: &str, to: &str) {
        self.0.lock().untie(tie, from, to);
    }

    /// Whether they are tied.
    pub fn has(&self, tie: &Tie, from: &str, to: &str) -> bool {
        let ties = self.0.lock();
        match tie {
            Tie::Monitor => ties.watched.get(from).is_some_and(|all| all.contains(to)),
            Tie::Link => ties.links.get(from).is_some_and(|all| all.contains_key(to)),
        }
    }

    /// How many ties an agent made.
    pub fn made(&self, name: &str) -> u64 {
        let ties = self.0.lock();
        let links = ties.links.get(name).map_or(0, |links| links.values().filter(|made| **made).count());
        (links + ties.watched.get(name).map_or(0, BTreeSet::len)) as u64
    }

    /// Says how what `head` has is looked after; none if nobody says.
    pub fn plan(&self, head: &str, plan: Option<Supervision>) {
        let mut ties = self.0.lock();
        match plan {
            Some(plan) => ties.plans.insert(head.into(), plan),
            None => ties.plans.remove(head),
        };
    }

    /// Adds a member to a family; `place` orders them.
    pub fn join(&self, head: &str, member: &str, place: u64) {
        let mut ties = self.0.lock();
        ties.leave(member);
        ties.heads.insert(member.into(), (head.into(), place));
        ties.families.entry(head.into()).or_default().members.insert((place, member.into()));
    }

    /// What comes of it that `name` broke at the time `now`, in nanoseconds.
    pub fn fall(&self, name: &str, kind: &str, now: u64) -> Fall {
        self.0.lock().fall(name, kind, now)
    }

    /// Who is told that something became of `name`.
    pub fn news(&self, name: &str, what: &What) -> Vec<News> {
        let mut news = Vec::new();
        self.0.lock().tell(name, what, &mut news);
        news
    }

    /// All that is tied to an agent or made by it: its monitors as (watched, watcher), its links from either end.
    pub fn all_of(&self, name: &str) -> (Pairs, Pairs) {
        let ties = self.0.lock();
        let of = |map: &BTreeMap<String, BTreeSet<String>>| map.get(name).cloned().unwrap_or_default();
        let mut monitors: Vec<_> = of(&ties.watchers).into_iter().map(|by| (name.to_string(), by)).collect();
        monitors.extend(of(&ties.watched).into_iter().map(|watched| (watched, name.to_string())));
        let linked = ties.links.get(name).into_iter().flat_map(BTreeMap::keys);
        let links = linked.flat_map(|other| [(name.into(), other.clone()), (other.clone(), name.into())]).collect();
        (monitors, links)
    }

    /// Those whose address begins with `name/`, as far as they are anybody's kin.
    pub fn below(&self, name: &str) -> Vec<String> {
        let ties = self.0.lock();
        let start = format!("{name}/");
        let mut all = BTreeSet::new();
        all.extend(under(&ties.watchers, &start));
        all.extend(under(&ties.watched, &start));
        all.extend(under(&ties.links, &start));
        all.extend(under(&ties.heads, &start));
        all.into_iter().cloned().collect()
    }

    /// Forgets an agent.
    pub fn forget(&self, name: &str) {
        let (monitors, links) = self.all_of(name);
        let mut ties = self.0.lock();
        for (watched, watcher) in monitors {
            ties.untie(&Tie::Monitor, &watcher, &watched);
        }
        for (from, to) in links {
            ties.untie(&Tie::Link, &from, &to);
        }
        ties.leave(name);
        ties.plans.remove(name);
        ties.families.remove(name);
    }
}

/// The keys of a map that begin with `start`.
fn under<'a, V>(map: &'a BTreeMap<String, V>, start: &'a str) -> impl Iterator<Item = &'a String> {
    map.range(start.to_string()..).map(|(key, _)| key).take_while(move |key| key.starts_with(start))
}

/// Removes one from a set of a map, and the set with the last one.
fn take(map: &mut BTreeMap<String, BTreeSet<String>>, key: &str, value: &str) {
    if let Some(set) = map.get_mut(key) {
        set.remove(value);
        if set.is_empty() {
            map.remove(key);
        }
    }
}

impl Ties {
    fn tie(&mut self, tie: &Tie, from: &str, to: &str) {
        match tie {
            Tie::Monitor => {
                self.watchers.entry(to.into()).or_default().insert(from.into());
                self.watched.entry(from.into()).or_default().insert(to.into());
            }
            Tie::Link => {
                // One that was made from the other end stays that one's.
                self.links.entry(from.into()).or_default().entry(to.into()).or_insert(true);
                self.links.entry(to.into()).or_default().entry(from.into()).or_insert(false);
            }
        }
    }

    fn untie(&mut self, tie: &Tie, from: &str, to: &str) {
        match tie {
            Tie::Monitor => {
                take(&mut self.watchers, to, from);
                take(&mut self.watched, from, to);
            }
            Tie::Link => {
                for (one, other) in [(from, to), (to, from)] {
                    if let Some(links) = self.links.get_mut(one) {
                        links.remove(other);
                        if links.is_empty() {
                            self.links.remove(one);
                        }
                    }
                }
            }
        }
    }

    fn leave(&mut self, member: &str) {
        let Some((head, place)) = self.heads.remove(member) else { return };
        if let Some(family) = self.families.get_mut(&head) {
            family.members.remove(&(place, member.to_string()));
            if family.members.is_empty() {
                self.families.remove(&head);
            }
        }
    }

    /// How a family is looked after. What an agent created looks after its own as it is looked after itself.
    fn plan_of(&self, head: &str) -> Option<Supervision> {
        let mut name = head;
        loop {
            match (self.plans.get(name), name.rsplit_once('/')) {
                (Some(plan), _) => return Some(*plan),
                (None, Some((above, _))) => name = above,
                (None, None) => return None,
            }
        }
    }

    fn tell(&self, name: &str, what: &What, news: &mut Vec<News>) {
        for to in self.watchers.get(name).into_iter().flatten() {
            news.push(News { to: to.clone(), agent: name.into(), what: what.clone() });
        }
    }

    fn fall(&mut self, name: &str, kind: &str, now: u64) -> Fall {
        let mut fall = Fall::default();
        let mut seen = HashSet::from([name.to_string()]);
        let (mut broke, mut kind) = (name.to_string(), kind.to_string());
        loop {
            self.tell(&broke, &What::Broke(kind), &mut fall.news);
            self.spread(&broke, &mut seen, &mut fall);
            let Some((head, pause)) = self.give_up(&broke, now) else { return fall };
            let members: Vec<_> = self.families[&head].members.iter().map(|(_, member)| member.clone()).collect();
            for member in &members {
                self.tell(member, &What::LeftAlone(pause), &mut fall.news);
            }
            fall.given_up.push((head.clone(), members, pause));
            if !self.is_agent(&head) {
                return fall;
            }
            fall.news.push(News { to: head.clone(), agent: broke.clone(), what: What::GaveUp(broke, pause) });
            // It counts as the creator's own failure.
            seen.insert(head.clone());
            (broke, kind) = (head, "family".into());
        }
    }

    /// Whoever is tied to one that broke, and to those in turn: each once, however they are tied.
    fn spread(&self, broke: &str, seen: &mut HashSet<String>, fall: &mut Fall) {
        let mut next = VecDeque::from([broke.to_string()]);
        while let Some(name) = next.pop_front() {
            let linked = self.links.get(&name).into_iter().flat_map(BTreeMap::keys).cloned();
            for other in linked.chain(self.siblings(&name)) {
                if seen.insert(other.clone()) {
                    self.tell(&other, &What::Fell(broke.into()), &mut fall.news);
                    fall.fallen.push((other.clone(), broke.into()));
                    next.push_back(other);
                }
            }
        }
    }

    /// Those of its family that begin anew with it.
    fn siblings(&self, name: &str) -> Vec<String> {
        let Some((head, place)) = self.heads.get(name) else { return Vec::new() };
        let Some(family) = self.families.get(head) else { return Vec::new() };
        let others = family.members.iter().filter(|(_, member)| member != name);
        let named = |(_, member): &(u64, String)| member.clone();
        match self.plan_of(head).map(|plan| plan.strategy) {
            None | Some(Strategy::OneForOne) => Vec::new(),
            Some(Strategy::OneForAll) => others.map(named).collect(),
            Some(Strategy::RestForOne) => {
                others.filter(|(at, member)| (at, member.as_str()) > (place, name)).map(named).collect()
            }
        }
    }

    /// Counts a break of one of a family; answers its head, and how long it is left alone, if that was one too many.
    fn give_up(&mut self, name: &str, now: u64) -> Option<(String, Duration)> {
        let (head, _) = self.heads.get(name)?.clone();
        let plan = self.plan_of(&head)?;
        let family = self.families.get_mut(&head)?;
        let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        family.falls.push_back(now);
        let old = now.saturating_sub(nanos(plan.within));
        while family.falls.front().is_some_and(|fall| *fall < old) {
            family.falls.pop_front();
        }
        if family.falls.len() <= plan.restarts as usize {
            return None;
        }
        if now.saturating_sub(family.last) > nanos(LONGEST) * 2 {
            family.pauses = 0;
        }
        let pause = PAUSE.saturating_mul(1u32.checked_shl(family.pauses).unwrap_or(u32::MAX)).min(LONGEST);
        (family.pauses, family.last) = (family.pauses.saturating_add(1), now);
        family.falls.clear();
        Some((head, pause))
    }

    fn is_agent(&self, head: &str) -> bool {
        !head.starts_with(GROUP)
    }
}

/// What the heads of groups begin with. No agent's name does.
const GROUP: char = ':';

/// The head of what a group has.
pub fn head_of_group(group: &str) -> String {
    format!("{GROUP}{group}")
}

#[cfg(test)]
mod tests;
