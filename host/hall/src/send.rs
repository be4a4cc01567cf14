//! Messages from outside: asked, told, listened to.

use crate::callers::{PATIENCE, way};
use crate::error::Error;
use crate::letter::{Came, Letter};
use crate::resident::Resident;
use crate::ring::millis;
use crate::village::Village;
use crate::window::{Noted, Promise, Stage};
use agents::Keyed;
use guest::{Agent, Answer, Failed, Fault, Refusal};
use std::pin::pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// Where parts of an answer go.
type Parts = mpsc::UnboundedSender<Vec<u8>>;

/// A message that is on its way. What becomes of it does not depend on anybody who waits.
struct Begun {
    /// Its id, when the agent has accepted it.
    accepted: oneshot::Receiver<String>,
    came: JoinHandle<Result<Came, Error>>,
}

/// Who is told that a message was accepted.
struct Accept {
    caller: Option<oneshot::Sender<String>>,
    promise: Option<Promise>,
}

impl Accept {
    fn tell(&mut self, id: &str) {
        if let Some(promise) = &self.promise {
            promise.accepted(id);
        }
        if let Some(caller) = self.caller.take() {
            // It may wait for nothing any more.
            let _ = caller.send(id.into());
        }
    }
}

/// How often an agent is made anew that was let go while a message was on its way to it.
const TRIES: u32 = 3;

impl Village {
    /// Hands an agent a message, and waits for what comes of it. The message is handled also if nobody waits any more.
    pub async fn ask(&self, name: &str, letter: Letter) -> Result<Came, Error> {
        self.ask_within(name, letter, PATIENCE).await
    }

    /// The same by somebody who will not wait for longer than that: it is what one elsewhere has to answer.
    pub async fn ask_within(&self, name: &str, letter: Letter, patience: Duration) -> Result<Came, Error> {
        if letter.due.is_some() {
            return Err(Error::Bad("nobody waits for the answer to a message that is for later".into()));
        }
        if let Some(way) = way(name) {
            return self.ask_abroad(way, name, letter, patience, None).await;
        }
        // Whoever is told that the agent does not want it needs no dead letter.
        let waiting = Arc::new(());
        let came = ended(self.hand(name, letter, None, Arc::downgrade(&waiting))?.came).await;
        drop(waiting);
        came
    }

    /// The same; `hear` is given each provisional part of the reply when it comes. Nothing of such a message is kept: nobody
    /// could hear its parts a second time.
    pub async fn listen(&self, name: &str, letter: Letter, hear: impl FnMut(Vec<u8>) + Send) -> Result<Came, Error> {
        self.listen_within(name, letter, PATIENCE, hear).await
    }

    /// Whether an address is one that can be listened to: an agent of this village, or one that may be elsewhere.
    pub fn may_hear(&self, name: &str) -> Result<(), Error> {
        match way(name) {
            Some(_) => Ok(()),
            None => self.resident(name).map(drop),
        }
    }

    /// The same by somebody who will not wait for longer than that: it is what one elsewhere has to answer.
    pub async fn listen_within(
        &self,
        name: &str,
        letter: Letter,
        patience: Duration,
        mut hear: impl FnMut(Vec<u8>) + Send,
    ) -> Result<Came, Error> {
        if letter.sequence.is_some() || letter.due.is_some() {
            let said = "a message whose answer is heard in parts is not kept: it has no `sequence`, and comes at once";
            return Err(Error::Bad(said.into()));
        }
        let (parts, mut heard) = mpsc::unbounded_channel();
        let came = async {
            match way(name) {
                Some(way) => self.ask_abroad(way, name, letter, patience, Some(&parts)).await,
                None => ended(self.hand(name, letter, Some(parts.clone()), Weak::new())?.came).await,
            }
        };
        let mut came = pin!(came);
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

    /// Hands an agent a message, and waits until it is accepted, which means kept unless it is a fast one: answers its id.
    pub async fn tell(&self, name: &str, letter: Letter) -> Result<String, Error> {
        if let Some(way) = way(name) {
            return self.tell_abroad(way, name, letter).await;
        }
        if let Some(due) = letter.due {
            return self.post_later(name, letter, due).await;
        }
        let Begun { accepted, came } = self.hand(name, letter, None, Weak::new())?;
        match accepted.await {
            Ok(id) => Ok(id),
            // It was not accepted, or it is over already.
            Err(_) => ended(came).await.map(|came| came.id),
        }
    }

    /// Sends a message on its way.
    fn hand(&self, name: &str, letter: Letter, parts: Option<Parts>, waiting: Weak<()>) -> Result<Begun, Error> {
        let resident = self.resident(name)?;
        let under_way = UnderWay::new(self.under_way().clone());
        // Looked at when it is counted: a village that stops waits for all that were counted before.
        self.open()?;
        let promise = match &letter.key {
            Some(key) => match self.window().note(name, key, letter.digest(), Instant::now())? {
                Noted::Before(answer) => return Ok(before(answer)),
                Noted::New(promise) => match self.accepted_before(name, key, letter.digest()) {
                    Ok(None) => Some(promise),
                    Ok(Some(keyed)) => return Ok(self.remember(resident, key.clone(), keyed, promise)),
                    Err(error) => {
                        self.window().keep(promise, Err(error.clone()));
                        return Err(error);
                    }
                },
            },
            None => None,
        };
        let (caller, accepted) = oneshot::channel();
        let mut accept = Accept { caller: Some(caller), promise };
        let village = self.clone();
        let came = tokio::spawn(async move {
            let came = village.carry(&resident, letter, parts, &mut accept, waiting).await;
            if let Some(what) = resident.count(&came) {
                village.tell_of(&resident.name, what);
            }
            if let Some(promise) = accept.promise.take() {
                village.window().keep(promise, came.clone());
            }
            drop(under_way);
            came
        });
        Ok(Begun { accepted, came })
    }

    /// A message that was accepted before this village began, or longer ago than it remembers.
    fn remember(&self, resident: Arc<Resident>, key: String, keyed: Keyed, promise: Promise) -> Begun {
        let (caller, accepted) = oneshot::channel();
        Accept { caller: Some(caller), promise: None }.tell(&keyed.id);
        promise.accepted(&keyed.id);
        let village = self.clone();
        let came = tokio::spawn(async move {
            let came = village.came_before(&resident, &key, keyed).await;
            village.window().keep(promise, came.clone());
            came
        });
        Begun { accepted, came }
    }

    /// Brings a message to the agent, which is made if it isn't there, and the answer back.
    async fn carry(
        &self,
        resident: &Arc<Resident>,
        letter: Letter,
        parts: Option<Parts>,
        accept: &mut Accept,
        waiting: Weak<()>,
    ) -> Result<Came, Error> {
        let mut tries = 0;
        loop {
            let agent = self.awake(resident).await?;
            let came = match &parts {
                Some(parts) => listened(&agent, letter.clone(), parts, self.id()).await,
                None if letter.fast => fast(&agent, letter.clone(), self.id(), accept).await,
                None => self.posted(&agent, letter.clone(), accept, waiting.clone()).await,
            };
            tries += 1;
            match came {
                // It was let go just now, and the message was not accepted.
                Err(Error::Refused(Refusal::Stopped)) if accept.caller.is_some() && tries < TRIES => continue,
                came => return came,
            }
        }
    }

    /// Takes nothing new, waits for what is under way, but no longer than `within`, and ends all agents. Answers how many
    /// messages were under way then: those that are kept go on when the village begins again.
    pub async fn stop(&self, within: Duration) -> u64 {
        if !self.stopping().swap(true, Relaxed) {
            self.tell_of("", crate::event::What::Stopping);
        }
        let mut left = self.under_way().subscribe();
        // Whoever sends is this village itself, so there is always somebody.
        let _ = tokio::time::timeout(within, left.wait_for(|left| *left == 0)).await;
        let left = *self.under_way().borrow();
        let residents = self.residents();
        // All at once: each may take a little while.
        let ending: Vec<_> = residents.iter().filter(|resident| self.present(&resident.name).is_some()).collect();
        for resident in &ending {
            if let Some(agent) = self.present(&resident.name) {
                agent.stop();
            }
        }
        for resident in ending {
            self.end(resident).await;
        }
        left
    }

    /// Ends what is kept: nothing can be kept or read any more. To be called when nobody asks any more.
    pub async fn close(&self) -> Result<(), Error> {
        if let Some(mesh) = self.mesh() {
            mesh.stop().await;
        }
        let store = self.books().store().clone();
        crate::registry::apart(move || {
            store.close();
            Ok(())
        })
        .await
    }
}

/// A message that waits for what comes of an earlier one with the same key.
fn before(mut answer: watch::Receiver<Stage>) -> Begun {
    let (accept, accepted) = oneshot::channel();
    let mut accept = Accept { caller: Some(accept), promise: None };
    let came = tokio::spawn(async move {
        loop {
            let stage = answer.borrow_and_update().clone();
            match stage {
                Stage::Over(came) => return came.map(|came| Came { repeated: true, ..came }),
                Stage::Accepted(id) => accept.tell(&id),
                Stage::Sent => {}
            }
            if answer.changed().await.is_err() {
                return Err(Error::Refused(Refusal::Stopped));
            }
        }
    });
    Begun { accepted, came }
}

impl Village {
    /// A message that is kept before it is accepted.
    async fn posted(
        &self,
        agent: &Agent,
        letter: Letter,
        accept: &mut Accept,
        waiting: Weak<()>,
    ) -> Result<Came, Error> {
        // The store gives it its id.
        let (id, answer) = self.post(agent, letter, waiting).await?;
        accept.tell(&id);
        match answer.await {
            // A turn that was broken off is tried again: the message is kept.
            Ok(Answer { outcome: Err(Failed::Broke(Fault::Stopped)), .. }) | Err(_) => Err(Error::Postponed { id }),
            Ok(answer) => Ok(came(id, answer)),
        }
    }
}

/// A message that is not.
async fn fast(agent: &Agent, letter: Letter, id: String, accept: &mut Accept) -> Result<Came, Error> {
    let mut asked = pin!(agent.ask(letter.message(id.clone(), millis())));
    // A refusal comes at once.
    let first = std::future::poll_fn(|cx| Poll::Ready(asked.as_mut().poll(cx))).await;
    let answer = match first {
        Poll::Ready(answer) => answer?,
        Poll::Pending => {
            accept.tell(&id);
            asked.await?
        }
    };
    Ok(came(id, answer))
}

async fn listened(agent: &Agent, letter: Letter, parts: &Parts, id: String) -> Result<Came, Error> {
    let hear = |part| {
        // They may be heard by nobody any more.
        let _ = parts.send(part);
    };
    let answer = agent.listen(letter.message(id.clone(), millis()), hear).await?;
    Ok(came(id, answer))
}

fn came(id: String, answer: Answer) -> Came {
    let Answer { outcome, receipt, held: _ } = answer;
    Came { id, outcome: outcome.map(|reply| reply.payload), receipt, repeated: false }
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
