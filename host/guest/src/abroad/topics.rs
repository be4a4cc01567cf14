//! Topics that agents follow: what is published on one becomes a message for each of them.

use super::wire::{self, Parcel};
use crate::house::{House, millis};
use crate::log::Source;
use crate::standing::Standing;
use agents::{ARRIVED, Desk, Door, Origin, TOPICS};
use mesh::{Heard, Mesh};
use runtime::{Message, Payload, Priority, Sender, clock};
use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;
use store::Change;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// Who follows a topic here. It is listened to for as long as somebody does.
pub(crate) struct Followed {
    agents: BTreeSet<String>,
    listening: AbortHandle,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// How the mesh knows a topic of agents.
pub(crate) fn named(topic: &str) -> String {
    format!("topic/{topic}")
}

/// How long a published message may come again.
const KNOWN: Duration = Duration::from_secs(600);

/// How long it rests when a topic can't be listened to.
const REST: Duration = Duration::from_secs(1);

/// Those that follow a topic, in order.
pub(crate) fn followers(house: &House, topic: &str) -> Vec<String> {
    let Some(abroad) = &house.abroad else { return Vec::new() };
    let topics = abroad.topics.lock();
    topics.get(topic).map(|followed| followed.agents.iter().cloned().collect()).unwrap_or_default()
}

impl House {
    /// An agent follows a topic from now on.
    pub(crate) fn follow(self: &Arc<House>, agent: &str, topic: &str) {
        let Some(abroad) = &self.abroad else { return };
        let mut topics = abroad.topics.lock();
        let followed = topics.entry(topic.into()).or_insert_with(|| {
            let (house, mesh, name) = (Arc::downgrade(self), abroad.mesh.clone(), topic.to_string());
            Followed { agents: BTreeSet::new(), listening: abroad.spawn(self, listen(house, mesh, name)) }
        });
        followed.agents.insert(agent.into());
    }

    /// It does no more.
    pub(crate) fn leave_topic(&self, agent: &str, topic: &str) {
        let Some(abroad) = &self.abroad else { return };
        let mut topics = abroad.topics.lock();
        if let Some(followed) = topics.get_mut(topic) {
            followed.agents.remove(agent);
            if followed.agents.is_empty() {
                topics.remove(topic);
            }
        }
    }

    /// How many topics an agent follows.
    pub(crate) fn topics_of(&self, agent: &str) -> usize {
        let Some(abroad) = &self.abroad else { return 0 };
        abroad.topics.lock().values().filter(|followed| followed.agents.contains(agent)).count()
    }
}

async fn listen(house: Weak<House>, mesh: Mesh, topic: String) {
    loop {
        if let Ok(mut heard) = mesh.subscribe(&named(&topic)).await {
            while let Some((one, _missed)) = heard.next().await {
                let Some(house) = house.upgrade() else { return };
                house.hear(&topic, &one).await;
            }
        }
        tokio::time::sleep(REST).await;
        if house.strong_count() == 0 {
            return;
        }
    }
}

impl House {
    /// Hands a published message to all who follow its topic.
    async fn hear(self: &Arc<House>, topic: &str, heard: &Heard) {
        let Ok(Parcel::Published { salt, number, content_type, body }) = wire::decode(&heard.frame.body) else {
            return;
        };
        let message = Message {
            id: String::new(),
            sender: Sender::Topic(topic.into()),
            skill: String::new(),
            payload: Payload { content_type, body },
            priority: Priority::Normal,
            attempt: 1,
            accepted: millis(),
        };
        let known = number.map(|number| (format!("{}/{salt:x}", heard.from), number));
        for agent in followers(self, topic) {
            let kept = self.books.as_ref().map(|books| {
                let read = books.store().read();
                read.contains(&TOPICS, (&agent, topic)).unwrap_or(true)
            });
            if kept == Some(false) && (self.roll.has(&agent) || self.standing(&agent).is_none()) {
                // It was removed, and another one may have its name.
                self.leave_topic(&agent, topic);
                continue;
            }
            let Ok(Some(door)) = self.door(&agent) else {
                // One that is kept is stopped, or not there yet: it will follow again.
                if kept != Some(true) {
                    self.leave_topic(&agent, topic);
                }
                continue;
            };
            let Some(standing) = self.standing(&agent) else { continue };
            if !standing.grants.meshes(&named(topic)) {
                continue;
            }
            if standing.accounts.mesh.take(wire::size(&message) as u64, clock::now()).is_err() {
                dropped(&standing, topic, "its budget `mesh` is used up");
                continue;
            }
            self.hand(&door, &standing, message.clone(), &known, topic).await;
        }
    }

    async fn hand(
        &self,
        door: &Door,
        standing: &Arc<Standing>,
        mut message: Message,
        known: &Option<(String, u64)>,
        topic: &str,
    ) {
        let Some(books) = self.books.as_ref().filter(|_| standing.books.is_some()) else {
            message.id = self.message();
            let sent =
                door.reserve(&message).and_then(|place| door.send(place, message, Desk::nobody(), Origin::Memory));
            if sent.is_err() {
                dropped(standing, topic, "its mailbox is full");
            }
            return;
        };
        // Each who follows it has it once, whatever comes again after a restart.
        let key = known.as_ref().map(|(whose, number)| (format!("{whose}>{}", standing.name), *number));
        if let Some((whose, number)) = &key
            && books.store().read().contains(&ARRIVED, (whose, *number)).unwrap_or(false)
        {
            return;
        }
        let whose = known.as_ref().map(|(whose, _)| super::peer_of(whose));
        let Some(abroad) = self.abroad.as_ref().filter(|abroad| !whose.is_some_and(|peer| abroad.is_full(peer))) else {
            return dropped(standing, topic, "too many messages of that village are known here");
        };
        let more = |_: usize, change: &mut Change| {
            if let Some((whose, number)) = &key {
                let until = millis() + KNOWN.as_millis() as u64;
                change.guard(&ARRIVED, (whose, *number), None).put(&ARRIVED, (whose, *number), &until);
            }
        };
        let (tell, kept) = oneshot::channel();
        let done = Box::new(move |done| drop(tell.send(done)));
        let (_, refusal) = door.receive(books, &standing.name, vec![message], more, done);
        // The next one comes after it.
        if let (Ok(Ok(())), None, Some(peer)) = (kept.await, &refusal, whose) {
            abroad.know(peer, 1);
        }
        if refusal.is_some() {
            dropped(standing, topic, "its mailbox is full");
        }
    }
}

/// Says in the agent's own log what it has not heard.
fn dropped(standing: &Standing, topic: &str, why: &str) {
    if standing.grants.log {
        // One that has written too much of late has no room for it.
        let _ = standing.accounts.log.write(Source::Warn, &format!("a message on `{topic}` was dropped: {why}"));
    }
}
