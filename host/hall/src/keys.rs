//! Messages that came before: known by their keys for a while, also after a restart, and by the numbers of their senders.

use crate::error::Error;
use crate::letter::{Came, Letter};
use crate::resident::Resident;
use crate::ring::millis;
use crate::village::Village;
use agents::{ANSWERS, Answered, Books, Counted, KEYS, Keyed, SEQUENCES};
use base::Digest;
use guest::{Agent, Answer, Message, Refusal, Unkept};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;
use store::Change;

/// How long a key is known, how many are, and how many bytes of what came of their messages are kept.
const SPAN: Duration = Duration::from_secs(3_600);
const MOST: usize = 10_000;
const BYTES: u64 = 64 << 20;

/// How long the last number of a sender is known, and how many senders are.
const SEQUENCE_SPAN: Duration = Duration::from_secs(7 * 86_400);
const SENDERS: usize = 100_000;

/// How often it is looked whether some can go; and after so many messages.
const EVERY: Duration = Duration::from_secs(60);
const AFTER: u64 = 1_000;

/// How often it is looked whether a message of before has ended.
const LOOK: Duration = Duration::from_millis(50);

const BUSY: &str = "too many messages of this sender came at once: send it again";

/// How often a number is tried that others count on at the same time.
const TRIES: u32 = 64;

impl Village {
    /// The message of this key that was accepted before, if it is known. It must be the same.
    pub(crate) fn accepted_before(&self, name: &str, key: &str, said: Digest) -> Result<Option<Keyed>, Error> {
        let Some(keyed) = self.books().store().read().get(&KEYS, (name, key))? else { return Ok(None) };
        match keyed.said == *said.as_bytes() {
            true => Ok(Some(keyed)),
            false => Err(Error::Key { key: key.into() }),
        }
    }

    /// What came of a message of before, once that is known.
    pub(crate) async fn came_before(&self, resident: &Arc<Resident>, key: &str, keyed: Keyed) -> Result<Came, Error> {
        loop {
            let read = self.books().store().read();
            let answered = read.get(&ANSWERS, (&resident.name, key))?;
            let known = read.contains(&KEYS, (&resident.name, key))?;
            drop(read);
            if let Some(answered) = answered {
                return self.again(resident, keyed.id, answered).await;
            }
            self.open()?;
            if !known {
                return Err(Error::Postponed { id: keyed.id });
            }
            // Whoever is there handles it.
            self.awake(resident).await?;
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn again(&self, resident: &Arc<Resident>, id: String, answered: Answered) -> Result<Came, Error> {
        let agent = self.awake(resident).await?;
        let Answer { outcome, receipt, .. } = agent.recall(answered);
        Ok(Came { id, outcome: outcome.map(|reply| reply.payload), receipt, repeated: true })
    }

    /// Lets go what need not be known any more, for as long as the village is there.
    pub(crate) fn look_after_keys(&self) {
        let books = Arc::downgrade(self.books());
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(EVERY).await;
                let Some(books) = books.upgrade() else { return };
                // What can't be let go now is tried again.
                if let Err(store::Error::Closed) = forget(&books).await {
                    return;
                }
            }
        });
    }

    /// One more is known by a key.
    fn keyed(&self) {
        if self.keyed_count().fetch_add(1, Relaxed) % AFTER == AFTER - 1 {
            let books = self.books().clone();
            tokio::spawn(async move { drop(forget(&books).await) });
        }
    }

    /// Hands a message to an agent that is to be kept, with what it is known by.
    pub(crate) async fn post<'a>(
        &self,
        agent: &'a Agent,
        letter: Letter,
        waiting: Weak<()>,
    ) -> Result<(String, impl Future<Output = Result<Answer, Refusal>> + Send + use<'a>), Error> {
        let (books, name) = (self.books().clone(), agent.name().to_string());
        for _ in 0..TRIES {
            let counted = self.next_of(&name, &letter)?;
            let (number, more) = self.known(&name, &letter, counted);
            let keyed = letter.key.is_some();
            let message = letter.clone().message(String::new(), millis());
            match agent.post_with(message, waiting.clone(), more).await {
                Ok(posted) => {
                    if keyed {
                        self.keyed();
                    }
                    return Ok(posted);
                }
                Err(error) => {
                    books.unkeyed(number.load(Relaxed));
                    match error {
                        // Another message of this sender came meanwhile.
                        Unkept::Store(store::Error::Conflict { .. }) if letter.sequence.is_some() => continue,
                        Unkept::Refused(Refusal::Stopped) => return Err(Error::Refused(Refusal::Stopped)),
                        error => return Err(error.into()),
                    }
                }
            }
        }
        Err(Error::Kept(BUSY.into()))
    }

    /// Keeps a message that the agent is to have later; answers its id. One of the same key is the same message.
    pub(crate) async fn post_later(&self, name: &str, letter: Letter, due: u64) -> Result<String, Error> {
        self.open()?;
        let resident = self.resident(name)?;
        let agent = self.awake(&resident).await?;
        for _ in 0..TRIES {
            if let Some(key) = &letter.key
                && let Some(keyed) = self.accepted_before(name, key, letter.digest())?
            {
                return Ok(keyed.id);
            }
            let counted = self.next_of(name, &letter)?;
            let (number, more) = self.known(name, &letter, counted);
            match agent.post_later(letter.clone().message(String::new(), millis()), due, more).await {
                Ok(id) => return Ok(id),
                Err(error) => {
                    self.books().unkeyed(number.load(Relaxed));
                    if !matches!(error, Unkept::Store(store::Error::Conflict { .. })) {
                        return Err(error.into());
                    }
                }
            }
        }
        Err(Error::Kept(BUSY.into()))
    }

    /// What is to be kept with a message that is accepted; its number is told where the first of both is.
    fn known(
        &self,
        name: &str,
        letter: &Letter,
        counted: Option<Counted>,
    ) -> (Arc<AtomicU64>, impl FnOnce(&Message, u64, &mut Change) + Send + use<>) {
        let at = Arc::new(AtomicU64::new(0));
        let (books, name, told) = (self.books().clone(), name.to_string(), at.clone());
        let (key, from, said, sequence) = (letter.key.clone(), letter.from.clone(), letter.digest(), letter.sequence);
        let more = move |message: &Message, number: u64, change: &mut Change| {
            told.store(number, Relaxed);
            if let Some(key) = &key {
                let (said, id) = (*said.as_bytes(), message.id.clone());
                books.keyed(&name, key, Keyed { said, id, number, when: millis(), bytes: None }, change);
            }
            if let Some(last) = sequence {
                let now = Counted { last, id: message.id.clone(), when: millis() };
                let at = (name.as_str(), from.as_str());
                change.guard(&SEQUENCES, at, counted.as_ref()).put(&SEQUENCES, at, &now);
            }
        };
        (at, more)
    }

    /// The last number of a sender that counts; refused if this message has one that was there.
    fn next_of(&self, name: &str, letter: &Letter) -> Result<Option<Counted>, Error> {
        let Some(sequence) = letter.sequence else { return Ok(None) };
        let counted = self.books().store().read().get(&SEQUENCES, (name, &letter.from))?;
        match &counted {
            Some(Counted { last, id, .. }) if sequence <= *last => {
                let from = letter.from.clone();
                Err(Error::Repeated { from, sequence, last: *last, id: id.clone() })
            }
            _ => Ok(counted),
        }
    }
}

async fn forget(books: &Arc<Books>) -> Result<(), store::Error> {
    let (looking, millis) = (books.clone(), |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
    let looked = tokio::task::spawn_blocking(move || {
        let mut change = Change::new();
        let keys = looking.forget_keys(millis(SPAN), MOST, BYTES, &mut change)?;
        let senders = looking.forget_sequences(millis(SEQUENCE_SPAN), SENDERS, &mut change)?;
        Ok::<_, store::Error>((keys + senders > 0).then_some(change))
    });
    match looked.await {
        Ok(Ok(Some(change))) => books.store().commit(change).await.map(drop),
        Ok(done) => done.map(drop),
        Err(_) => Ok(()),
    }
}
