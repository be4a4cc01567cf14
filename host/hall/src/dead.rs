//! Dead letters: messages that were tried as often as they may be, or that could not be handled at all.

use crate::error::Error;
use crate::village::Village;
use agents::{DEAD, Dead, Event, MAIL, Mail, OUTBOX, Outgoing};
use serde::{Deserialize, Serialize};
use store::Change;

/// A message that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The receiver.
    pub agent: String,
    /// The message.
    pub id: String,
    /// Who sent it.
    pub from: String,
    /// The skill that it asks for.
    pub skill: String,
    /// Bytes of its payload.
    pub bytes: u64,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was accepted, in Unix milliseconds.
    pub accepted: u64,
    /// When it was given up, in Unix milliseconds.
    pub given_up: u64,
    /// The word for why the last try failed.
    pub kind: String,
    /// Why it failed.
    pub reason: String,
}

impl DeadLetter {
    fn of(agent: String, dead: Dead) -> DeadLetter {
        let Dead { mail, when, kind, reason } = dead;
        DeadLetter {
            agent,
            id: mail.id,
            from: mail.from.to_string(),
            skill: mail.skill,
            bytes: mail.body.len() as u64,
            attempts: mail.attempt,
            accepted: mail.accepted,
            given_up: when,
            kind,
            reason,
        }
    }
}

/// Rows that are looked at together.
const PAGE: usize = 256;

impl Village {
    /// Dead letters of one agent, or of all, the oldest first.
    pub fn dead_letters(&self, agent: Option<&str>, most: usize) -> Result<Vec<DeadLetter>, Error> {
        let read = self.books().store().read();
        let span = agent.map_or_else(|| DEAD.all(), |agent| DEAD.under(agent));
        let rows = read.scan(span, None, most)?;
        Ok(rows.into_iter().map(|((agent, _), dead)| DeadLetter::of(agent, dead)).collect())
    }

    /// Puts a dead letter back into its receiver's mailbox, to be tried as often as a new one.
    pub async fn redrive(&self, agent: &str, id: &str) -> Result<(), Error> {
        self.open()?;
        let (number, dead) = self.dead(agent, id)?;
        if let Some(going) = Outgoing::again(agent, dead.mail.clone()) {
            // It is known by another number now: the first one was refused for good.
            let next = self.books().number();
            self.settled(agent, id, number, true, |change| {
                change.put(&OUTBOX, (&going.lane(), next), &going);
            })
            .await?;
            self.host().carry_again(&going);
            return Ok(());
        }
        // It comes after all that waits now, and is known by its id as before.
        let next = self.books().number();
        let mail = Mail { attempt: 1, due: 0, ..dead.mail };
        self.settled(agent, id, number, true, |change| {
            change.put(&MAIL, (agent, next), &mail);
        })
        .await?;
        self.books().stray(agent, next);
        Ok(())
    }

    /// Throws a dead letter away.
    pub async fn discard(&self, agent: &str, id: &str) -> Result<(), Error> {
        let (number, _) = self.dead(agent, id)?;
        self.settled(agent, id, number, false, |_| {}).await
    }

    fn dead(&self, agent: &str, id: &str) -> Result<(u64, Dead), Error> {
        let read = self.books().store().read();
        let mut after: Option<u64> = None;
        loop {
            let rows = read.scan(DEAD.under(agent), after.map(|number| (agent, number)), PAGE)?;
            let Some(((_, last), _)) = rows.last() else {
                return Err(Error::Letter { agent: agent.into(), id: id.into() });
            };
            after = Some(*last);
            if let Some(((_, number), dead)) = rows.into_iter().find(|(_, dead)| dead.mail.id == id) {
                return Ok((number, dead));
            }
        }
    }

    async fn settled(
        &self,
        agent: &str,
        id: &str,
        number: u64,
        again: bool,
        more: impl FnOnce(&mut Change),
    ) -> Result<(), Error> {
        let mut change = Change::new();
        // Somebody else may do the same just now.
        change.require(&DEAD, (agent, number)).delete(&DEAD, (agent, number));
        more(&mut change);
        change.record(crate::ring::millis(), &Event::Dead { agent: agent.into(), id: id.into(), again });
        match self.books().store().commit(change).await {
            Ok(_) => Ok(()),
            Err(store::Error::Conflict { .. }) => Err(Error::Letter { agent: agent.into(), id: id.into() }),
            Err(error) => Err(error.into()),
        }
    }
}
