//! Messages from outside: asked, told, listened to.

use crate::error::Error;
use crate::letter::{Came, Letter};
use crate::resident::Resident;
use crate::ring::millis;
use crate::village::Village;
use crate::window::Noted;
use guest::{Answer, Refusal};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// A message that is on its way. What becomes of it does not depend on anybody who waits.
struct Begun {
    id: String,
    /// Says when the agent has accepted it.
    accepted: oneshot::Receiver<()>,
    came: JoinHandle<Result<Came, Error>>,
}

impl Village {
    /// Hands an agent a message, and waits for what comes of it. The message is handled also if nobody waits any more.
    pub async fn ask(&self, name: &str, letter: Letter) -> Result<Came, Error> {
        ended(self.hand(name, letter, None)?.came).await
    }

    /// The same; `hear` is given each provisional part of the reply when it comes.
    pub async fn listen(
        &self,
        name: &str,
        letter: Letter,
        mut hear: impl FnMut(Vec<u8>) + Send,
    ) -> Result<Came, Error> {
        let (parts, mut heard) = mpsc::unbounded_channel();
        let came = ended(self.hand(name, letter, Some(parts))?.came);
        let mut came = std::pin::pin!(came);
        let came = loop {
            tokio::select! {
                biased;
                Some(part) = heard.recv() => hear(part),
                came = &mut came => break came,
            }
        };
        while let Ok(part) = heard.try_recv() {
            hear(part);
        }
        came
    }

    /// Hands an agent a message, and waits until it is accepted: answers its id.
    pub async fn tell(&self, name: &str, letter: Letter) -> Result<String, Error> {
        let Begun { id, accepted, came } = self.hand(name, letter, None)?;
        if accepted.await.is_ok() {
            return Ok(id);
        }
        // It was not accepted, or it is over already.
        ended(came).await.map(|came| came.id)
    }

    /// Sends a message on its way.
    fn hand(&self, name: &str, letter: Letter, parts: Option<mpsc::UnboundedSender<Vec<u8>>>) -> Result<Begun, Error> {
        self.open()?;
        let resident = self.resident(name)?;
        let under_way = UnderWay::new(self.under_way().clone());
        // Looked at again when it is counted: a village that stops waits for all that were counted before.
        self.open()?;
        let id = self.id();
        let noted = match &letter.key {
            Some(key) => Some(self.window().note(name, key, letter.digest(), &id, Instant::now())?),
            None => None,
        };
        let (accept, accepted) = oneshot::channel();
        let promise = match noted {
            Some(Noted::Before { id, mut answer }) => {
                let _ = accept.send(());
                let came = tokio::spawn(async move {
                    let known = answer.wait_for(Option::is_some).await.map_err(|_| Error::Refused(Refusal::Stopped))?;
                    let known = known.clone().unwrap_or(Err(Error::Stopping));
                    known.map(|came| Came { repeated: true, ..came })
                });
                return Ok(Begun { id, accepted, came });
            }
            Some(Noted::New(promise)) => Some(promise),
            None => None,
        };
        let (village, own) = (self.clone(), id.clone());
        let came = tokio::spawn(async move {
            let came = village.carry(&resident, letter, own, parts, accept).await;
            if let Some(event) = resident.count(&came) {
                village.tell_of(&resident.name, event);
            }
            if let Some(promise) = promise {
                village.window().keep(promise, came.clone());
            }
            drop(under_way);
            came
        });
        Ok(Begun { id, accepted, came })
    }

    /// Brings a message to the agent, which is made if it isn't there, and the answer back.
    async fn carry(
        &self,
        resident: &Arc<Resident>,
        letter: Letter,
        id: String,
        parts: Option<mpsc::UnboundedSender<Vec<u8>>>,
        accept: oneshot::Sender<()>,
    ) -> Result<Came, Error> {
        let agent = self.awake(resident).await?;
        let message = letter.message(id.clone(), millis());
        let answer = match parts {
            Some(parts) => {
                drop(accept);
                agent.listen(message, |part| drop(parts.send(part))).await?
            }
            None => {
                let answer = agent.hand(message)?;
                let _ = accept.send(());
                answer.await?
            }
        };
        let Answer { outcome, receipt, held: _ } = answer;
        Ok(Came { id, outcome: outcome.map(|reply| reply.payload), receipt, repeated: false })
    }

    /// Takes nothing new, waits for what is under way, but no longer than `within`, and ends all agents. Answers how many
    /// messages were under way then.
    pub async fn stop(&self, within: std::time::Duration) -> u64 {
        if !self.stopping().swap(true, Relaxed) {
            self.tell_of("", crate::event::What::Stopping);
        }
        let mut left = self.under_way().subscribe();
        // Whoever sends is this village itself, so there is always somebody.
        let _ = tokio::time::timeout(within, left.wait_for(|left| *left == 0)).await;
        let left = *self.under_way().borrow();
        for resident in self.residents() {
            resident.end();
        }
        left
    }
}

async fn ended(came: JoinHandle<Result<Came, Error>>) -> Result<Came, Error> {
    came.await.unwrap_or_else(|error| Err(Error::Host(error.to_string())))
}

/// Counts as a message under way.
struct UnderWay(watch::Sender<u64>);

impl UnderWay {
    fn new(count: watch::Sender<u64>) -> UnderWay {
        count.send_modify(|count| *count += 1);
        UnderWay(count)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
