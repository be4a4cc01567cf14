//! What agents share that lasts: the store, and the numbers of messages.

use crate::event::Event;
use crate::keys::Open;
use crate::mail::{MAIL, REPLIES};
use crate::scaled::Listener;
use crate::settle::millis;
use parking_lot::Mutex;
use runtime::{Message, Payload};
use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use store::{Change, Store, Table};
use tokio::sync::mpsc;

/// What agents share that lasts.
pub struct Books {
    store: Store,
    numbers: AtomicU64,
    salt: u64,
    keys: Mutex<Open>,
    strays: mpsc::UnboundedSender<(String, u64)>,
    /// Messages that were given up since this was opened.
    given_up: AtomicU64,
    scaled: Listener,
    /// Until somebody takes it.
    found: Mutex<Option<Strays>>,
}

/// Messages that are kept, and whose receiver had ended when they should have been put into its mailbox.
pub type Strays = mpsc::UnboundedReceiver<(String, u64)>;

/// How often this store was opened, under the key 0; under 1, a number by which it differs from others.
const OPENED: Table<u64, u64> = Table::new("opened");

/// So many low bits of a number count within one opening of the store; 2^40 messages are enough for a year at 30 000 a second.
const WITHIN: u32 = 40;

impl Books {
    /// Goes on with what a store has.
    pub async fn open(store: Store) -> Result<Arc<Books>, store::Error> {
        let opened = store.read().get(&OPENED, 0)?.unwrap_or(0) + 1;
        let mut change = Change::new();
        change.put(&OPENED, 0, &opened);
        sweep(&store, &mut change)?;
        let salt = match store.read().get(&OPENED, 1)? {
            Some(salt) => salt,
            None => {
                let salt = RandomState::new().hash_one(opened);
                change.put(&OPENED, 1, &salt);
                salt
            }
        };
        store.commit(change).await?;
        let keys = Mutex::new(Books::find_open(&store)?);
        let (strays, found) = mpsc::unbounded_channel();
        let found = Mutex::new(Some(found));
        let (numbers, given_up) = (AtomicU64::new(opened << WITHIN), AtomicU64::new(0));
        Ok(Arc::new(Books { store, numbers, salt, keys, strays, given_up, scaled: Listener::default(), found }))
    }

    /// Where everything is kept.
    pub fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn scaled_listener(&self) -> &Listener {
        &self.scaled
    }

    pub(crate) fn open_keys(&self) -> &Mutex<Open> {
        &self.keys
    }

    /// A number by which what is kept here differs from what others keep: the same for as long as there is this store.
    pub fn salt(&self) -> u64 {
        self.salt
    }

    /// A number above all that were given before, also by those who had this store earlier.
    pub fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Relaxed)
    }

    /// A message that is kept has met a closed door.
    pub fn stray(&self, agent: &str, number: u64) {
        // Without anybody who looks after them, it is found when its receiver begins again.
        drop(self.strays.send((agent.into(), number)));
    }

    /// A message has become a dead letter.
    pub(crate) fn gave_up(&self) {
        self.given_up.fetch_add(1, Relaxed);
    }

    /// How many messages became dead letters since this was opened.
    pub fn given_up(&self) -> u64 {
        self.given_up.load(Relaxed)
    }

    /// The messages that met a closed door, for whoever asks first.
    pub fn strays(&self) -> Option<Strays> {
        self.found.lock().take()
    }

    /// Writes something that happened into the journal.
    pub fn note(&self, event: &Event) -> impl Future<Output = Result<(), store::Error>> + Send + use<> {
        let mut change = Change::new();
        change.record(millis(), event);
        let done = self.store.commit(change);
        async move { done.await.map(drop) }
    }
}

/// Lets replies go whose turn is neither done nor will be tried again: it was cut off before its message was kept.
fn sweep(store: &Store, change: &mut Change) -> Result<(), store::Error> {
    let read = store.read();
    let replies = read.scan(REPLIES.all(), None, usize::MAX)?;
    if replies.is_empty() {
        return Ok(());
    }
    let waiting: HashSet<_> = read.scan(MAIL.all(), None, usize::MAX)?.into_iter().map(|(_, mail)| mail.id).collect();
    for (id, _) in &replies {
        // What another village asked is kept until that says so, or for a time.
        if id.starts_with('@') {
            continue;
        }
        // What an agent asks for another one's sake begins with the message that all began with.
        let first = id.split_once('.').map_or(id.as_str(), |(first, _)| first);
        if !waiting.contains(first) {
            change.delete(&REPLIES, id);
        }
    }
    Ok(())
}

/// What an ask asks: of receiver, skill and payload.
pub fn question(to: &str, message: &Message) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let Payload { content_type, body } = &message.payload;
    for part in [to.as_bytes(), message.skill.as_bytes(), content_type.as_bytes(), body] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}
