//! A message that its sender was not yet told is accepted: it is kept together with what comes of it, if that is soon there.

use crate::books::Books;
use crate::door::Accepted;
use crate::mail::{MAIL, Mail};
use parking_lot::Mutex;
use runtime::Leaving;
use std::sync::Arc;
use store::Change;

/// What is to be kept of such a message.
pub(crate) struct Fresh {
    books: Arc<Books>,
    /// None once it is on its way into the store.
    waiting: Mutex<Option<Waiting>>,
}

struct Waiting {
    /// What accepts it, but for the message itself.
    change: Change,
    key: (String, u64),
    mail: Mail,
    /// To be told when it is kept.
    accepted: Accepted,
}

impl Fresh {
    pub(crate) fn new(
        books: &Arc<Books>,
        change: Change,
        key: (String, u64),
        mail: Mail,
        accepted: Accepted,
    ) -> Arc<Fresh> {
        let waiting = Mutex::new(Some(Waiting { change, key, mail, accepted }));
        Arc::new(Fresh { books: books.clone(), waiting })
    }

    /// For whoever keeps it together with what came of it: what accepts it, without the message, and who is told. None if
    /// it is on its way into the store.
    pub(crate) fn take(&self) -> Option<(Change, Accepted)> {
        self.waiting.lock().take().map(|waiting| (waiting.change, waiting.accepted))
    }

    /// Whether it is not yet on its way into the store.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.lock().is_some()
    }
}

/// What a turn sends to others comes after its message in the store.
impl Leaving for Fresh {
    fn leave(&self) {
        let waiting = self.waiting.lock().take();
        if let Some(Waiting { mut change, key: (agent, number), mail, accepted }) = waiting {
            change.put(&MAIL, (&agent, number), &mail);
            self.books.store().submit(change, move |done| accepted(done.map(drop)));
        }
    }
}

impl std::fmt::Debug for Fresh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fresh").field("waiting", &self.is_waiting()).finish()
    }
}

/// Has a message kept after all: it has to wait, or its turn takes longer.
pub(crate) fn secure(fresh: &Option<Arc<Fresh>>) {
    if let Some(fresh) = fresh {
        fresh.leave();
    }
}
