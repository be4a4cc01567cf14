//! `village:agent/mesh`: topics, and who has which skill in other villages.

use super::Error;
use super::agents::elsewhere;
use super::bindings::village::agent::mesh::*;
use super::bindings::village::agent::types::Limit;
use crate::abroad::{Elsewhere, Lost};
use crate::ctx::Ctx;
use crate::house::millis;
use crate::tape::{Bytes, FoundThen, Seen};
use agents::{Mail, Outgoing};
use mesh::Mesh;
use runtime::{Message, Priority, Sender};
use std::time::Duration;

type Answer<T> = wasmtime::Result<Result<T, Error>>;

/// An agent follows no more topics than this.
const TOPICS: usize = 100;

/// A topic's name is no longer.
const LONGEST: usize = 200;

/// How far a village is that was not measured yet: it takes a moment to connect with it.
const UNMEASURED: Duration = Duration::from_millis(100);

impl Ctx {
    /// The name by which others know a topic that a grant covers.
    fn topic(&self, topic: &str) -> Result<String, Error> {
        if topic.is_empty() || topic.len() > LONGEST || topic.contains(char::is_control) {
            return Err(Error::Invalid(format!("`topic`: a name has 1 to {LONGEST} bytes, and no control characters")));
        }
        let named = format!("topic/{topic}");
        self.meshes(&named)?;
        Ok(named)
    }

    fn mesh(&self) -> Result<Mesh, Error> {
        let abroad = self.standing.house.abroad.as_ref();
        abroad.map(|abroad| abroad.mesh.clone()).ok_or_else(|| elsewhere(Lost::Alone.into()))
    }

    fn say(&mut self, topic: &str, payload: Payload) -> Result<(), Error> {
        let named = self.topic(topic)?;
        if self.tape.is_playing() {
            self.effects().pretended.push((named, String::new(), Bytes(payload.body)));
            return Ok(());
        }
        self.mesh()?;
        self.may_publish(payload.content_type.len() + payload.body.len())?;
        let number = self.standing.books.as_ref().map(|books| books.number());
        let id = number.map_or_else(|| self.standing.house.message(), |number| format!("{number:x}"));
        let message = Message {
            id,
            sender: Sender::Agent(self.standing.name.clone()),
            skill: String::new(),
            payload: runtime::Payload { content_type: payload.content_type, body: payload.body },
            priority: Priority::Normal,
            attempt: 1,
            accepted: millis(),
        };
        let going = Outgoing::new(&named, "", Mail::of(&message));
        self.put_out(going, message, number)
    }

    fn follow(&mut self, topic: &str, follows: bool) -> Result<bool, Error> {
        self.topic(topic)?;
        let wanted = |seen: &Seen| match seen {
            Seen::Follows { topic: known, there } if known == topic => Some(*there),
            _ => None,
        };
        if let Some(found) = self.tape.find(|| format!("whether `{topic}` was followed"), wanted) {
            return Ok(found.unwrap_or_default());
        }
        self.mesh()?;
        if follows && self.effects().topics() >= TOPICS {
            return Err(Error::Limit(Limit { what: "mesh".into(), retry_after: None }));
        }
        let changed = self.effects().follow(topic, follows);
        let there = changed != follows;
        self.tape.note(topic.len(), || Seen::Follows { topic: topic.into(), there });
        Ok(there)
    }

    async fn look_for(&mut self, skill: &str, most: u32) -> Result<Vec<Found>, Error> {
        if most == 0 {
            return Err(Error::Invalid("`limit`: nobody is wanted".into()));
        }
        self.meshes(&format!("skill/{skill}"))?;
        let wanted = |seen: &Seen| match seen {
            Seen::Found { skill: known, most: asked, found } if known == skill && *asked == most => Some(found.clone()),
            _ => None,
        };
        if let Some(found) = self.tape.find(|| format!("who has the skill `{skill}`"), wanted) {
            return Ok(found.unwrap_or_default().into_iter().map(again).collect());
        }
        if self.accounts.out_of_reach() {
            return Err(super::out_of_reach());
        }
        let mesh = self.mesh()?;
        let own = mesh.peer();
        let all = mesh.find(skill).await.map_err(|error| elsewhere(Elsewhere::Unavailable(error.to_string())))?;
        let few = all.into_iter().take(usize::try_from(most).unwrap_or(usize::MAX)).map(|found| {
            let address = match found.peer == own {
                true => found.agent.clone(),
                false => format!("{}@{}", found.agent, found.peer),
            };
            let latency = found.latency.unwrap_or(UNMEASURED).as_micros();
            Found {
                address,
                name: found.agent,
                version: found.version,
                skills: found.skills,
                age: u64::try_from(found.age.as_millis()).unwrap_or(u64::MAX),
                load: found.load.into(),
                latency: u64::try_from(latency).unwrap_or(u64::MAX),
            }
        });
        let few: Vec<Found> = few.collect();
        let size = few.iter().map(|found| 128 + found.skills.iter().map(|skill| skill.len() + 4).sum::<usize>()).sum();
        self.tape.note(size, || Seen::Found { skill: skill.into(), most, found: few.iter().map(then).collect() });
        Ok(few)
    }
}

fn then(found: &Found) -> FoundThen {
    let Found { address, name, version, skills, age, load, latency } = found.clone();
    (address, name, version, skills, age, load, latency)
}

fn again((address, name, version, skills, age, load, latency): FoundThen) -> Found {
    Found { address, name, version, skills, age, load, latency }
}

impl Host for Ctx {
    fn publish(&mut self, topic: String, payload: Payload) -> Answer<()> {
        Ok(self.say(&topic, payload))
    }

    fn subscribe(&mut self, topic: String) -> Answer<()> {
        Ok(self.follow(&topic, true).map(drop))
    }

    fn unsubscribe(&mut self, topic: String) -> Answer<bool> {
        Ok(self.follow(&topic, false))
    }

    async fn find(&mut self, skill: String, limit: u32) -> Answer<Vec<Found>> {
        Ok(self.look_for(&skill, limit).await)
    }
}
