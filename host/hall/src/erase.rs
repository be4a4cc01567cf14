//! Erasing what messages said: from the journal, whose chain of hashes stays whole, from dead letters, and from what waits.

use crate::error::Error;
use crate::registry::{Note, Wanted, apart};
use crate::village::Village;
use agents::{ANSWERS, DEAD, Event, From, KEYS, MAIL, OUTBOX, Outgoing, REPLIES, SEQUENCES, TIMERS};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Change, Read};

/// Whose words are to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Erase {
    /// All that was sent to an agent, what its turns read, and what it has on its way; or, of an address in another village,
    /// all that is on its way there.
    Agent(String),
    /// One message, by its id.
    Message(String),
}

/// What was erased.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erased {
    /// Entries of the journal of which only the hashes are left.
    pub entries: u64,
    /// Dead letters that are gone.
    pub letters: u64,
    /// Messages that waited, were to be sent later or were on their way to another village, and are gone.
    pub messages: u64,
    /// Recorded answers that are gone.
    pub answers: u64,
}

/// Entries that are looked at together, and bytes of them that are erased together.
const PAGE: u64 = 1_000;
const TOGETHER: usize = 16 << 20;

impl Village {
    /// Erases what messages said. What waits for an agent can't be taken from it while it runs: it must be stopped for that.
    /// Archives and backups of before have it still, and so may agents in their own state.
    pub async fn erase(&self, what: Erase) -> Result<Erased, Error> {
        self.open()?;
        let (store, wanted) = (self.books().store().clone(), what.clone());
        let found = apart(move || found(&store.read(), &wanted)).await?;
        let agents: Vec<&str> = match &what {
            Erase::Agent(name) => vec![name],
            Erase::Message(_) => found.agents.iter().map(String::as_str).collect(),
        };
        let (mut change, mut erased) = (Change::new(), Erased::default());
        for agent in &agents {
            self.take_out(agent, &what, &mut change, &mut erased)?;
        }
        erased.messages += self.take_from_outbox(&what).await?;
        if found.entries.is_empty() && erased == Erased::default() {
            return Err(match what {
                Erase::Agent(name) if self.resident(&name).is_err() => self.unknown(&name),
                Erase::Agent(name) => Error::Bad(format!("nothing is kept that was sent to `{name}`")),
                Erase::Message(turn) => Error::Turn { turn, why: "nothing is kept of such a message".into() },
            });
        }
        for agent in agents {
            self.window().forget_agent(agent);
        }
        erased.entries = found.entries.len() as u64;
        self.books().store().commit(change).await?;
        let store = self.books().store().clone();
        apart(move || found.batches().into_iter().try_for_each(|batch| store.erase(&batch))).await?;
        self.registry().erased();
        let (agent, details) = match what {
            Erase::Agent(name) => (name, json!(erased)),
            Erase::Message(id) => {
                let mut details = json!(erased);
                details["id"] = id.into();
                (String::new(), details)
            }
        };
        self.registry().note(&agent, Note::new("erased", details)).await?;
        Ok(erased)
    }

    /// Takes out what is on its way to other villages; answers how many messages that were.
    async fn take_from_outbox(&self, what: &Erase) -> Result<u64, Error> {
        loop {
            let (mut change, mut taken) = (Change::new(), Vec::new());
            for ((lane, number), going) in self.books().store().read().scan(OUTBOX.all(), None, usize::MAX)? {
                if is_meant(&going, what) {
                    change.require(&OUTBOX, (&lane, number)).delete(&OUTBOX, (&lane, number));
                    taken.push(going);
                }
            }
            if taken.is_empty() {
                return Ok(0);
            }
            match self.books().store().commit(change).await {
                Ok(_) => {
                    self.host().carry_no_more(&taken);
                    return Ok(taken.len() as u64);
                }
                // Some of it was brought there just now.
                Err(store::Error::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Adds to a change that what is kept of messages to an agent goes.
    fn take_out(&self, agent: &str, what: &Erase, change: &mut Change, erased: &mut Erased) -> Result<(), Error> {
        let line = agent.split('/').next().unwrap_or_default();
        let stopped = self.row(line).map_or(true, |row| row.wanted == Wanted::Stopped);
        let all = matches!(what, Erase::Agent(_));
        let meant = |id: &str| match what {
            Erase::Agent(_) => true,
            Erase::Message(wanted) => wanted == id,
        };
        let read = self.books().store().read();
        for ((_, number), mail) in read.scan(MAIL.under(agent), None, usize::MAX)? {
            if !meant(&mail.id) {
                continue;
            }
            if !stopped {
                let said = format!("a message waits for `{agent}`, which runs: `village stop {line}` first");
                return Err(Error::Bad(said));
            }
            change.delete(&MAIL, (agent, number)).clear(REPLIES.starting(&format!("{}.", mail.id)));
            erased.messages += 1;
        }
        for ((_, number), timer) in read.scan(TIMERS.under(agent), None, usize::MAX)? {
            if !meant(&timer.mail.id) {
                continue;
            }
            if !stopped {
                let said = format!(
                    "a message is for `{agent}` to have or to send later, and it runs: `village stop {line}` first"
                );
                return Err(Error::Bad(said));
            }
            change.delete(&TIMERS, (agent, number));
            erased.messages += 1;
        }
        for ((_, number), dead) in read.scan(DEAD.under(agent), None, usize::MAX)? {
            if meant(&dead.mail.id) {
                change.delete(&DEAD, (agent, number));
                erased.letters += 1;
            }
        }
        for ((_, key), keyed) in read.scan(KEYS.under(agent), None, usize::MAX)? {
            if meant(&keyed.id) {
                change.delete(&KEYS, (agent, &key)).delete(&ANSWERS, (agent, &key));
                self.books().unkeyed(keyed.number);
                erased.answers += 1;
            }
        }
        if all {
            change.clear(SEQUENCES.under(agent));
        }
        Ok(())
    }
}

/// Whether a message on its way is one of those.
fn is_meant(going: &Outgoing, what: &Erase) -> bool {
    let sent_by = |name: &str| match &going.mail.from {
        From::Agent(sender) => sender == name || sender.strip_prefix(name).is_some_and(|rest| rest.starts_with('/')),
        _ => false,
    };
    match what {
        Erase::Agent(name) => going.address() == *name || sent_by(name),
        Erase::Message(id) => going.mail.id == *id,
    }
}

/// What the journal has of it.
#[derive(Default)]
struct Found {
    /// Numbers of entries, with their bytes.
    entries: Vec<(u64, usize)>,
    agents: Vec<String>,
}

impl Found {
    /// The numbers, so many at once as a change may have.
    fn batches(&self) -> Vec<Vec<u64>> {
        let (mut all, mut bytes) = (vec![Vec::new()], 0);
        for (seq, size) in &self.entries {
            if bytes > TOGETHER
                && let Some(last) = all.last()
                && !last.is_empty()
            {
                all.push(Vec::new());
                bytes = 0;
            }
            bytes += size;
            all.last_mut().into_iter().for_each(|batch| batch.push(*seq));
        }
        all
    }
}

fn found(read: &Read, what: &Erase) -> Result<Found, store::Error> {
    let (mut found, mut next) = (Found::default(), read.anchor()?.seq + 1);
    if let Erase::Message(wanted) = what {
        // One that did not get to another village is under its address, and the journal does not name that.
        let dead = read.scan(DEAD.all(), None, usize::MAX)?.into_iter().filter(|(_, dead)| dead.mail.id == *wanted);
        found.agents.extend(dead.map(|((agent, _), _)| agent));
    }
    loop {
        let records = read.journal(next..u64::MAX, PAGE as usize)?;
        let Some(last) = records.last() else { return Ok(found) };
        next = last.seq + 1;
        for record in records {
            let size = record.bytes().map_or(0, <[u8]>::len);
            // Nobody's words: what is of no known form was written by a later version.
            let Ok(Some(event)) = record.read::<Event>() else { continue };
            let (agent, id) = match event {
                Event::Accepted { agent, id, .. } => (agent, id),
                Event::Turn(entry) => (entry.agent, entry.id),
                _ => continue,
            };
            let meant = match what {
                Erase::Agent(name) => {
                    agent == *name || agent.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('/'))
                }
                Erase::Message(wanted) => id == *wanted,
            };
            if meant {
                found.entries.push((record.seq, size));
                if !found.agents.contains(&agent) {
                    found.agents.push(agent);
                }
            }
        }
    }
}
