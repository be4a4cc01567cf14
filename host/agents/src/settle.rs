//! How a turn ends: what it did is kept, together with the end of its message, and then takes effect.

use crate::agent::{Answer, Error, Lasting};
use crate::books::Books;
use crate::door::{Accepted, Desk, Origin, Place, size};
use crate::event::{self, Did, Entry, Event, Outcome, Then, Used};
use crate::fresh::secure;
use crate::live::{Handed, Life};
use crate::mail::{DEAD, Dead, From, MAIL, Mail, REPLIES, Recorded};
use runtime::{Message, Reply, clock};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use store::Change;

/// Turns that left nothing behind. They are written into the journal together.
#[derive(Default)]
pub(crate) struct Tally {
    turns: u64,
    failed: u64,
    used: Used,
}

/// So many turns are written together at most.
const TOGETHER: u64 = 1000;

/// How long a message waits when the store could not keep what came of it. That is no failure of the message's.
const STORE: Duration = Duration::from_secs(1);

/// Whoever hands over a message that was kept just before a life began does so within this time.
const LATE: Duration = Duration::from_secs(5);

/// How often a life looks whether the one before it has ended.
const ENDING: Duration = Duration::from_millis(1);

impl<T: Lasting> Life<T> {
    /// Finds what waits in the store; answers whether this life can begin.
    pub(crate) async fn find(&mut self) -> bool {
        let Some(books) = self.spec.books.clone() else { return true };
        while let Some(before) = &self.spec.before {
            // What its last turn does may still be on its way into the store.
            match before.ended() {
                true => self.spec.before = None,
                false if self.task.stopping() => return false,
                false => tokio::time::sleep(ENDING).await,
            }
        }
        loop {
            match self.look(&books) {
                Ok(()) => return true,
                // Without what waits nothing may be handled: it would go before its turn.
                Err(_) if !self.task.stopping() => tokio::time::sleep(STORE).await,
                Err(_) => return false,
            }
        }
    }

    fn look(&mut self, books: &Books) -> Result<(), store::Error> {
        let last = books.number();
        let found = books.store().read().scan(MAIL.under(&self.spec.name), None, usize::MAX)?;
        let (now, unix) = (clock::now(), millis());
        for ((_, number), mail) in found {
            self.shared.found.lock().numbers.insert(number);
            let due = mail.due;
            let message = mail.message();
            let mailbox = &self.spec.mailbox;
            // It had room when it was accepted, and keeps it if there is less now.
            let place =
                Place { message: mailbox.messages.hold(1).ok(), _bytes: mailbox.bytes.hold(size(&message)).ok() };
            let (desk, origin) = (Desk::nobody(), Origin::Kept(number));
            let handed = Box::new(Handed { message, place, desk, origin, again: true, fresh: None });
            match due.saturating_sub(unix) {
                0 => self.queue.push(handed),
                // A clock that was set back makes nobody wait longer than the longest back-off.
                left => {
                    let left = Duration::from_millis(left).min(self.spec.retry.longest);
                    self.queue.rest(handed, now + left.as_nanos() as u64, self.spec.retry.ordered);
                }
            }
        }
        let mut found = self.shared.found.lock();
        found.last = last;
        found.until = now + LATE.as_nanos() as u64;
        Ok(())
    }

    /// Handles one message, keeps what came of it, and answers it.
    pub(crate) async fn deal(&mut self, mut handed: Box<Handed>) {
        // It waits no more; its bytes are there until it is done with.
        handed.place.message = None;
        let Some(books) = self.spec.books.clone() else { return self.deal_in_memory(*handed).await };
        if let Some(reply) = self.given(&books, &handed) {
            let Handed { desk, .. } = *handed;
            return desk.deliver(Answer { outcome: Ok(reply), receipt: Default::default(), held: None });
        }
        let (answer, _claim) = self.handle_alone(&mut handed).await;
        match &answer.outcome {
            Ok(_) => self.keep(&books, handed, answer).await,
            Err(_) => self.fail(&books, handed, answer).await,
        }
        if self.instance.as_ref().is_some_and(runtime::Instance::spent) {
            self.instance = None;
        }
    }

    async fn deal_in_memory(&mut self, mut handed: Handed) {
        let answer = self.handle(&mut handed).await;
        if let Some(broke) = self.broke.take() {
            self.tell_of(broke);
        }
        let Handed { message, place, desk, .. } = handed;
        match (&answer.outcome, &mut self.instance) {
            (Ok(_), Some(instance)) => {
                instance.data().commit();
                if instance.spent() {
                    self.instance = None;
                }
            }
            // Memory is a cache: what a failed turn left there is not to be trusted.
            _ => self.instance = None,
        }
        drop((message, place));
        desk.deliver(answer);
    }

    /// The reply that this question had when the turn that asks was tried before.
    fn given(&self, books: &Books, handed: &Handed) -> Option<Reply> {
        let Origin::Ask { question, again: true } = &handed.origin else { return None };
        let recorded = books.store().read().get(&REPLIES, &handed.message.id).ok()??;
        recorded.reply(question)
    }

    /// A turn that ended well: what it did is kept, then takes effect, then is answered.
    async fn keep(&mut self, books: &Books, mut handed: Box<Handed>, answer: Answer) {
        let Some(instance) = &mut self.instance else { return };
        let (mut change, accepted) = accepting(&mut handed);
        let did = instance.data().record(&mut change);
        if handed.origin == Origin::Memory && did.nothing() && change.is_empty() {
            instance.data().commit();
            self.count(books, &answer);
            return handed.desk.deliver(answer);
        }
        let Ok(reply) = &answer.outcome else { return };
        let record = instance.data().recorded(&handed.message, Ok(reply));
        match &handed.origin {
            Origin::Kept(number) => {
                let key = (&*self.spec.name, *number);
                if accepted.is_none() {
                    // Another life of this agent may have handled it meanwhile.
                    change.require(&MAIL, key).delete(&MAIL, key);
                }
                books.ended(*number, Ok(reply), &mut change);
                if did.asked > 0 || handed.again {
                    change.clear(REPLIES.starting(&answers_of(&handed.message)));
                }
            }
            Origin::Ask { question, .. } => {
                let payload = &reply.payload;
                let (content_type, body) = (payload.content_type.clone(), payload.body.clone());
                let recorded = Recorded { question: *question, content_type, body, when: millis() };
                change.put(&REPLIES, &handed.message.id, &recorded);
            }
            Origin::Memory => {}
        }
        let outcome = Outcome::Replied(reply.payload.body.len() as u64);
        let entry = Entry { record, ..self.entry(&handed.message, outcome, &answer, did) };
        change.record(millis(), &Event::Turn(Box::new(entry)));
        self.tally.write(&self.spec.name, &mut change);
        match books.store().commit(change).await {
            Ok(_) => {
                tell(accepted, Ok(()));
                if let Some(instance) = &mut self.instance {
                    instance.data().commit();
                }
                let Handed { message, place, desk, origin, .. } = *handed;
                if let Origin::Kept(number) = origin {
                    books.unkeyed(number);
                }
                drop((message, place));
                self.deliver(desk, origin, answer);
            }
            Err(error) => match accepted {
                // It was not accepted, and whoever sent it is told so.
                Some(_) => {
                    self.instance = None;
                    tell(accepted, Err(error));
                }
                None => self.lost(handed, answer, error),
            },
        }
    }

    /// What a turn did could not be kept, so it did not happen.
    fn lost(&mut self, mut handed: Box<Handed>, answer: Answer, error: store::Error) {
        self.instance = None;
        match (handed.origin, &error) {
            // Somebody else did it, and has answered.
            (Origin::Kept(_), store::Error::Conflict { .. }) => {}
            (Origin::Kept(_), _) => {
                handed.again = true;
                let due = clock::now() + STORE.as_nanos() as u64;
                self.queue.rest(handed, due, self.spec.retry.ordered);
            }
            _ => handed.desk.deliver(Answer { outcome: Err(Error::Store(error.to_string())), ..answer }),
        }
    }

    /// A turn that failed: nothing of it happened. Its message is tried again, or given up.
    async fn fail(&mut self, books: &Books, mut handed: Box<Handed>, answer: Answer) {
        let Err(error) = &answer.outcome else { return };
        let record = self.instance.as_mut().map(|instance| instance.data().recorded(&handed.message, Err(error)));
        // Memory is a cache: what a failed turn left there is not to be trusted.
        self.instance = None;
        let broke = self.broke.take();
        let Origin::Kept(number) = handed.origin else {
            self.count(books, &answer);
            broke.into_iter().for_each(|broke| self.tell_of(broke));
            return handed.desk.deliver(answer);
        };
        // An agent that is stopped has not failed: the message waits for its next life, if it was accepted.
        if matches!(error, Error::Broke(runtime::Fault::Stopped)) {
            if !handed.fresh.is_some_and(|fresh| fresh.is_waiting()) {
                handed.desk.deliver(answer);
            }
            return;
        }
        if matches!(error, Error::Broke(runtime::Fault::Linked { .. })) {
            secure(&handed.fresh);
            return self.spare(books, handed, answer, number).await;
        }
        handed.again = true;
        let retry = self.spec.retry;
        let dead = event::is_final(error) || handed.message.attempt >= retry.attempts;
        // Whoever waits is told that the agent does not want it, and knows what to do.
        let told = event::is_final(error) && matches!(error, Error::Failed(_)) && handed.desk.tells_somebody();
        let wait = retry.wait(handed.message.attempt, clock::now());
        let key = (&*self.spec.name, number);
        let (mut change, accepted) = accepting(&mut handed);
        if accepted.is_none() {
            change.require(&MAIL, key);
        }
        let mut mail = Mail::of(&handed.message);
        match dead {
            true => {
                change.delete(&MAIL, key);
                change.clear(REPLIES.starting(&answers_of(&handed.message)));
                let (kind, reason) = (error.kind().to_string(), event::reason(error));
                books.ended(number, Err(error), &mut change);
                if !told {
                    let bytes = mail.body.len() as u64;
                    // Those that can't be counted now are counted with the next.
                    drop(self.shared.graves.lock().dig(&books.store().read(), &self.spec.name, bytes, &mut change));
                    change.put(&DEAD, key, &Dead { mail, when: millis(), kind, reason });
                }
            }
            false => {
                mail.attempt += 1;
                mail.due = millis() + wait.as_millis() as u64;
                change.put(&MAIL, key, &mail);
            }
        }
        let then = match (dead, told) {
            (false, _) => Then::Again,
            (true, false) => Then::Dead,
            (true, true) => Then::Told,
        };
        let outcome = Outcome::failed(error, then);
        let record = record.unwrap_or_default();
        let entry = Entry { record, ..self.entry(&handed.message, outcome, &answer, Did::default()) };
        change.record(millis(), &Event::Turn(Box::new(entry)));
        self.tally.write(&self.spec.name, &mut change);
        let fell = broke.map(|broke| (self.spec.fell)(&broke, &mut change));
        let done = books.store().commit(change).await;
        if let (Ok(_), Some(fell)) = (&done, fell) {
            fell();
        }
        if accepted.is_some() {
            let refused = done.is_err();
            tell(accepted, done.as_ref().map(drop).map_err(store::Error::clone));
            if refused {
                return;
            }
        }
        match done {
            Ok(_) if dead => {
                if !told {
                    books.gave_up();
                }
                books.unkeyed(number);
                self.deliver(handed.desk, handed.origin, answer);
            }
            Err(store::Error::Conflict { .. }) => {}
            Ok(_) => {
                handed.message.attempt += 1;
                self.queue.rest(handed, clock::now() + wait.as_nanos() as u64, retry.ordered);
            }
            Err(_) => {
                let due = clock::now() + wait.max(STORE).as_nanos() as u64;
                self.queue.rest(handed, due, retry.ordered);
            }
        }
    }

    pub(crate) fn entry(&self, message: &Message, outcome: Outcome, answer: &Answer, did: Did) -> Entry {
        Entry {
            agent: self.spec.name.to_string(),
            version: *self.spec.version.digest().as_bytes(),
            id: message.id.clone(),
            from: From::of(&message.sender),
            skill: message.skill.clone(),
            attempt: message.attempt,
            outcome,
            receipt: Used::of(&answer.receipt),
            did,
            record: Vec::new(),
        }
    }

    /// A turn that left nothing behind.
    fn count(&mut self, books: &Books, answer: &Answer) {
        self.tally.turns += 1;
        self.tally.failed += u64::from(answer.outcome.is_err());
        self.tally.used.add(&answer.receipt);
        if self.tally.turns >= TOGETHER {
            let mut change = Change::new();
            self.tally.write(&self.spec.name, &mut change);
            // Nobody waits for it; one that can't be kept is of turns that nothing depends on.
            books.store().submit(change, |_| {});
        }
    }

    /// The life ends.
    pub(crate) async fn close(&mut self) {
        if let Some(books) = self.spec.books.clone()
            && self.tally.turns > 0
        {
            let mut change = Change::new();
            self.tally.write(&self.spec.name, &mut change);
            drop(books.store().commit(change).await);
        }
    }
}

impl Tally {
    /// Adds them to what is written anyway.
    fn write(&mut self, agent: &Arc<str>, change: &mut Change) {
        let Tally { turns, failed, used } = std::mem::take(self);
        if turns > 0 {
            let together = Event::Fast { agent: agent.to_string(), turns, failed, receipt: used };
            change.record(millis(), &together);
        }
    }
}

/// The change that ends a message: with what accepts it, if that is not kept yet, and who is told of that.
fn accepting(handed: &mut Handed) -> (Change, Option<Accepted>) {
    match handed.fresh.take().and_then(|fresh| fresh.take()) {
        Some((change, accepted)) => (change, Some(accepted)),
        None => (Change::new(), None),
    }
}

fn tell(told: Option<Accepted>, kept: Result<(), store::Error>) {
    if let Some(told) = told {
        told(kept);
    }
}

/// What the ids of all that a turn asked begin with.
fn answers_of(message: &Message) -> String {
    format!("{}.", message.id)
}

/// The present as Unix milliseconds.
pub(crate) fn millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
