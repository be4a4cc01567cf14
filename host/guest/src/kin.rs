//! Agents that are tied to each other: who falls with one that breaks, who is told, and what is kept of that.

use crate::host::Host;
use crate::house::{House, millis};
use crate::log::Source;
use crate::standing::Standing;
use agents::kin::{BIRTHS, Kin, LINKS, MONITORS, News, PLANS, Supervision, Tie, What};
use agents::{Blow, Books, Broke, Desk, Event, MAIL, Mail, Origin, Told};
use runtime::{Message, Payload, Priority, Sender, clock};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use store::Change;

/// Who news comes from, as a timer. No agent can set one of that name.
const SENDER: &str = "supervision";

/// The skill that news asks for.
const SKILL: &str = "down";

/// A note names so many, and how many there are.
const NAMED: usize = 100;

/// What one tie is counted as, as memory of whoever made it.
pub(crate) const TIE: u64 = 256;

/// Takes up what is kept of who is tied to whom.
pub(crate) fn load(books: &Books) -> Kin {
    let (kin, read) = (Kin::default(), books.store().read());
    // What can't be read is as if it had never been: the store says so itself when it is opened.
    for ((watched, watcher), _) in read.scan(MONITORS.all(), None, usize::MAX).unwrap_or_default() {
        kin.tie(&Tie::Monitor, &watcher, &watched);
    }
    // Each is there from both ends.
    for ((from, to), made) in read.scan(LINKS.all(), None, usize::MAX).unwrap_or_default() {
        if made == 1 {
            kin.tie(&Tie::Link, &from, &to);
        }
    }
    for (head, plan) in read.scan(PLANS.all(), None, usize::MAX).unwrap_or_default() {
        kin.plan(&head, Some(plan));
    }
    kin
}

/// Adds a tie to what is to be kept.
pub(crate) fn keep(tie: &Tie, from: &str, to: &str, change: &mut Change) {
    match tie {
        Tie::Monitor => change.put(&MONITORS, (to, from), &millis()),
        Tie::Link => change.put(&LINKS, (from, to), &1).put(&LINKS, (to, from), &0),
    };
}

/// Takes it away again.
pub(crate) fn lose(tie: &Tie, from: &str, to: &str, change: &mut Change) {
    match tie {
        Tie::Monitor => change.delete(&MONITORS, (to, from)),
        Tie::Link => change.delete(&LINKS, (from, to)).delete(&LINKS, (to, from)),
    };
}

/// What a note or a log calls it.
pub(crate) fn word(tie: &Tie, there: bool) -> &'static str {
    match (tie, there) {
        (Tie::Monitor, true) => "monitors",
        (Tie::Monitor, false) => "monitors-no-more",
        (Tie::Link, true) => "links",
        (Tie::Link, false) => "unlinks",
    }
}

/// Adds to the journal what became of an agent.
pub(crate) fn note(what: &str, agent: &str, by: &str, details: &serde_json::Value, change: &mut Change) {
    let (what, agent, by, details) = (what.into(), agent.into(), by.into(), details.to_string());
    change.record(millis(), &Event::Noted { what, agent, by, details });
}

/// Has others told that the agent of this standing broke, or is left alone.
pub(crate) fn fell(standing: &Standing, broke: &Broke, change: &mut Change) -> Told {
    let told = standing.house.fell(&standing.name, broke, change);
    match (&standing.books, &standing.house.books) {
        // It keeps nothing, and those that are told may.
        (None, Some(books)) if !change.is_empty() => {
            let own = std::mem::replace(change, Change::new());
            books.store().submit(own, move |_| told());
            Box::new(|| {})
        }
        _ => told,
    }
}

impl House {
    fn fell(self: &Arc<House>, name: &str, broke: &Broke, change: &mut Change) -> Told {
        let mut news = Vec::new();
        if let Some(kind) = broke.kind {
            let fall = self.kin.fall(name, kind, clock::now());
            for (fallen, with) in &fall.fallen {
                self.strike(fallen, Blow { with: with.clone(), pause: None, counts: false });
            }
            if !fall.fallen.is_empty() {
                let named: BTreeSet<_> = fall.fallen.iter().take(NAMED).map(|(fallen, _)| fallen).collect();
                let details = serde_json::json!({ "kind": kind, "count": fall.fallen.len(), "agents": named });
                note("fell-together", name, "village", &details, change);
            }
            for (head, members, pause) in &fall.given_up {
                self.leave_alone(name, head, members, *pause, change);
            }
            news.extend(fall.news);
        }
        if let Some(pause) = broke.pause {
            news.extend(self.kin.news(name, &What::LeftAlone(pause)));
        }
        self.tell(news, change)
    }

    fn leave_alone(&self, name: &str, head: &str, members: &[String], pause: Duration, change: &mut Change) {
        for member in members {
            self.strike(member, Blow { with: name.into(), pause: Some(pause), counts: false });
        }
        // The head of a group is no agent, and nobody is there to be struck.
        self.strike(head, Blow { with: name.into(), pause: None, counts: true });
        let named: Vec<_> = members.iter().take(NAMED).collect();
        let millis = pause.as_millis() as u64;
        let details = serde_json::json!({ "broke": name, "millis": millis, "count": members.len(), "agents": named });
        note("family-left-alone", head, "village", &details, change);
    }

    /// Has an agent begin anew, if it is there: one that is not has no memory to lose.
    fn strike(&self, name: &str, blow: Blow) {
        let Some((door, standing)) = self.listed(name) else { return };
        let text = format!("`{}` broke, so this agent begins anew", blow.with);
        door.strike(blow);
        if let Some(standing) = standing.upgrade().filter(|standing| standing.grants.log) {
            // One that has written too much of late has no room for it.
            let _ = standing.accounts.log.write(Source::Warn, &text);
        }
    }

    /// Has those told who watch an agent that was stopped, or is there no more. What is tied to one that is removed goes.
    pub(crate) fn gone(self: &Arc<House>, name: &str, what: &What, change: &mut Change) -> Told {
        let mut names = vec![name.to_string()];
        if *what == What::Removed {
            names.extend(self.kin.below(name));
        }
        let mut news: Vec<_> = names.iter().flat_map(|name| self.kin.news(name, what)).collect();
        if *what != What::Removed {
            return self.tell(news, change);
        }
        // Nobody is told who is there no more either.
        news.retain(|news| !names.contains(&news.to));
        if self.books.is_some() {
            names.iter().for_each(|name| self.forget_kin(name, change));
        }
        let (told, house) = (self.tell(news, change), self.clone());
        Box::new(move || {
            names.iter().for_each(|name| house.kin.forget(name));
            told();
        })
    }

    fn forget_kin(&self, name: &str, change: &mut Change) {
        let (monitors, links) = self.kin.all_of(name);
        for (watched, watcher) in &monitors {
            change.delete(&MONITORS, (watched, watcher));
        }
        for (from, to) in &links {
            change.delete(&LINKS, (from, to));
        }
        change.delete(&BIRTHS, name).delete(&PLANS, name);
    }

    /// Messages for whoever is told: kept with the change where they last, and on their way when it is.
    fn tell(self: &Arc<House>, news: Vec<News>, change: &mut Change) -> Told {
        let mut letters = Vec::new();
        for News { to, agent, what } in news {
            let number = self.books.as_ref().filter(|_| self.lasts(&to)).map(|books| books.number());
            let id = number.map_or_else(|| self.message(), |number| format!("{number:x}"));
            let message = letter(id, &agent, &what);
            if let Some(number) = number {
                change.put(&MAIL, (&to, number), &Mail::of(&message));
            }
            letters.push((to, number, message));
        }
        let house = Arc::downgrade(self);
        Box::new(move || {
            let Some(house) = house.upgrade() else { return };
            letters.into_iter().for_each(|(to, number, message)| house.hand_out(&to, number, message));
        })
    }

    fn hand_out(&self, to: &str, number: Option<u64>, message: Message) {
        match (number, &self.books) {
            // It finds its way as any that is kept: who is asleep is made.
            (Some(number), Some(books)) => books.stray(to, number),
            _ => {
                let Some((door, _)) = self.listed(to) else { return };
                // One without a store is told as long as its mailbox has room.
                if let Ok(place) = door.reserve(&message) {
                    let _ = door.send(place, message, Desk::nobody(), Origin::Memory);
                }
            }
        }
    }

    /// Whether what is sent to an agent is kept.
    fn lasts(&self, name: &str) -> bool {
        match self.standing(name) {
            Some(standing) => standing.books.is_some(),
            // It is asleep or stopped: one that keeps nothing has no ties when it has ended.
            None => self.books.is_some(),
        }
    }
}

/// What is told of an agent, as a message.
fn letter(id: String, agent: &str, what: &What) -> Message {
    let millis = |pause: &Duration| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
    let (reason, kind, with, pause) = match what {
        What::Broke(kind) => ("broke", kind.as_str(), "", 0),
        What::Fell(with) => ("fell", "linked", with.as_str(), 0),
        What::LeftAlone(pause) => ("left-alone", "", "", millis(pause)),
        What::GaveUp(with, pause) => ("gave-up", "family", with.as_str(), millis(pause)),
        What::Stopped => ("stopped", "", "", 0),
        What::Removed => ("removed", "", "", 0),
    };
    let body = serde_json::json!({
        "agent": agent,
        "reason": reason,
        "kind": kind,
        "with": with,
        "millis": pause,
        "at": self::millis(),
    });
    Message {
        id,
        sender: Sender::Timer(SENDER.into()),
        skill: SKILL.into(),
        payload: Payload { content_type: "application/json".into(), body: body.to_string().into_bytes() },
        priority: Priority::High,
        attempt: 1,
        accepted: self::millis(),
    }
}

impl Host {
    /// Adds to `change` how what an agent creates is looked after; none if nobody says. It holds at once.
    pub fn supervise_with(&self, name: &str, plan: Option<Supervision>, change: &mut Change) {
        self.house().kin.plan(name, plan);
        match plan {
            Some(plan) => change.put(&PLANS, name, &plan),
            None => change.delete(&PLANS, name),
        };
    }

    /// Takes an agent off that could not be kept, with what was said of it.
    pub fn disown(&self, name: &str) {
        self.expel(name);
        self.house().kin.forget(name);
    }
}
