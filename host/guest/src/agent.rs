//! An agent that lives, with its accounts.

use crate::accounts::{Above, Accounts, Usage};
use crate::ctx::Ctx;
use crate::grants::Grants;
use crate::host::Version;
use crate::house::{House, Row};
use crate::kin;
use crate::log::Line;
use crate::redact::redacted;
use crate::replicas;
use crate::standing::{Ends, Standing};
use crate::state::Shelf;
use crate::turns::Turns;
use agents::kin::Supervision;
use agents::swap::Versions;
use agents::{Accepted, Answer, Care, Desk, Door, Error, Refusal, Replicas, Retry, Room, Spec};
use base::Budget;
use parking_lot::Mutex;
use runtime::{Card, Fault, Message, Quota};
use std::borrow::Cow;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use store::Change;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// An agent that lives. Dropping it stops it, and all that it created.
pub struct Agent {
    pub(crate) inner: agents::Agent,
    pub(crate) standing: Arc<Standing>,
    pub(crate) versions: Arc<Versions<Ctx>>,
    /// What a version that is about to take over counts on.
    pub(crate) second: Mutex<Weak<Quota>>,
    /// What will end it when its time is over, if somebody gave it a time.
    retires: OnceLock<Ends>,
    pub(crate) row: Arc<Row>,
}

/// Why a message was not kept. Nothing comes of it.
#[derive(Debug, thiserror::Error)]
pub enum Unkept {
    /// The agent does not take it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store can't keep it.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The agent goes with its host, and so does what it is sent.
    #[error("this agent keeps nothing: its host has no store, or it has no name")]
    Nowhere,
}

/// How what an agent does is kept.
pub(crate) struct Lasts {
    pub(crate) turns: Turns,
    /// Its life before this one, which may still have to end.
    pub(crate) before: Option<Arc<runtime::Task>>,
    /// How many instances serve its mailbox.
    pub(crate) replicas: Replicas,
}

/// Nothing looks after an agent that nobody keeps.
const CARE: Care = Care {
    faults: u32::MAX,
    within: Duration::ZERO,
    pause: Duration::ZERO,
    longest: Duration::ZERO,
    recycle: u32::MAX,
    idle: Duration::MAX,
};

impl Lasts {
    const NOT: Lasts = Lasts {
        turns: Turns { retry: Retry::NEVER, record: false, care: CARE },
        before: None,
        replicas: Replicas { min: 1, max: 1 },
    };
}

impl Agent {
    /// Gives life to an agent. Nobody can send to it by name yet.
    pub(crate) fn start(
        house: &Arc<House>,
        name: String,
        version: &Version,
        budget: Budget,
        grants: Arc<Grants>,
        above: Above<'_>,
        lasts: Option<Lasts>,
    ) -> Result<Agent, crate::host::Error> {
        let row = Arc::new(Row::default());
        let place = row.add(house.seats.clone().take(version.0.room())?);
        let lasts = lasts.and_then(|lasts| Some((house.books.clone()?, lasts)));
        let (books, lasts) = lasts.map_or((None, Lasts::NOT), |(books, lasts)| (Some(books), lasts));
        let Lasts { turns, before, replicas } = lasts;
        let shelf = books.clone().map(|books| Shelf { books, agent: name.clone() });
        let accounts = Accounts::new(budget, &grants, above, house, shelf)?;
        if replicas.max > 1 {
            accounts.state.share();
        }
        let group = if let Above::Group(group) = above { Some(group.clone()) } else { None };
        let room = Room {
            seat: replicas::seat(house.clone(), row.clone(), version.clone()),
            join: Box::new(move |task| group.iter().for_each(|group| group.add(task))),
        };
        let (known, last) = (Arc::from(name.as_str()), (books.clone(), turns));
        let standing = Standing::new(name, grants, accounts.clone(), house.clone(), last);
        let (behind, falls, first) = (standing.clone(), standing.clone(), version.clone());
        let spec = Spec {
            name: known,
            books,
            retry: turns.retry,
            before,
            care: turns.care,
            version: version.0.clone(),
            budget,
            cpu: accounts.cpu.clone(),
            gpu: accounts.gpu.clone(),
            tokens: accounts.tokens.total(),
            memory: accounts.memory.clone(),
            mailbox: accounts.mailbox.clone(),
            data: Arc::new(move |memory| Ctx::new(behind.clone(), first.clone(), memory, None)),
            keep: Box::new(place),
            fell: Arc::new(move |broke, change| kin::fell(&falls, broke, change)),
            replicas,
            room,
        };
        let (inner, versions) = agents::Agent::start(&house.spawner, spec);
        Ok(Agent { inner, standing, versions, second: Mutex::default(), retires: OnceLock::new(), row })
    }

    /// Takes up again what is kept of it beside its messages: its timers, and the agents that it created.
    pub(crate) fn recover(&self) {
        self.standing.recover();
    }

    /// Its name: what others send to, if it was started under one.
    pub fn name(&self) -> &str {
        &self.standing.name
    }

    /// Hands it a message, and waits for what comes of it.
    pub async fn ask(&self, message: Message) -> Result<Answer, Refusal> {
        Ok(self.cleaned(self.inner.ask(message).await?))
    }

    /// Hands it a message. `hear` is given each provisional part of the reply when it comes; the answer says whether
    /// they stand.
    pub async fn listen(&self, message: Message, mut hear: impl FnMut(Vec<u8>)) -> Result<Answer, Refusal> {
        let redactor = &self.standing.accounts.http.keys.redactor;
        let hear = |chunk: runtime::Chunk| match redactor.bytes(&chunk.bytes) {
            Cow::Owned(clean) => hear(clean),
            Cow::Borrowed(_) => hear(chunk.bytes),
        };
        Ok(self.cleaned(self.inner.listen(message, hear).await?))
    }

    /// Keeps a message from outside, and hands it over. The outer future says when it is kept, and what it is known by; the
    /// inner one, what comes of it. It is tried again when that fails, and survives this host.
    pub async fn post(
        &self,
        message: Message,
    ) -> Result<(String, impl Future<Output = Result<Answer, Refusal>> + Send + use<'_>), Unkept> {
        self.send(message, Weak::new(), false, |_, _, _| {}).await
    }

    /// The same for a caller who waits for what comes of it anyway: where the agent has nothing else to do and is soon done,
    /// the message and what comes of it are kept together.
    pub async fn call(
        &self,
        message: Message,
    ) -> Result<(String, impl Future<Output = Result<Answer, Refusal>> + Send + use<'_>), Unkept> {
        self.send(message, Weak::new(), true, |_, _, _| {}).await
    }

    /// Either of them: whoever keeps `waiting` calls, and what the agent refuses for good is no dead letter then. `more` adds
    /// to the change what is to be kept with the message, which it is shown with its number.
    pub async fn post_with<F: FnOnce(&Message, u64, &mut Change)>(
        &self,
        message: Message,
        waiting: Weak<()>,
        more: F,
    ) -> Result<(String, impl Future<Output = Result<Answer, Refusal>> + Send + use<'_, F>), Unkept> {
        let calls = waiting.strong_count() > 0;
        self.send(message, waiting, calls, more).await
    }

    async fn send<F: FnOnce(&Message, u64, &mut Change)>(
        &self,
        message: Message,
        waiting: Weak<()>,
        calls: bool,
        more: F,
    ) -> Result<(String, impl Future<Output = Result<Answer, Refusal>> + Send + use<'_, F>), Unkept> {
        let Some(books) = &self.standing.books else { return Err(Unkept::Nowhere) };
        let (desk, answered) = Desk::caller();
        let (tell, kept) = oneshot::channel();
        let done: Accepted = Box::new(move |done| drop(tell.send(done)));
        let (door, name, desk) = (self.inner.door(), &self.standing.name, desk.tells(waiting));
        let id = match calls {
            true => door.call(books, name, message, desk, more, done)?,
            false => door.post(books, name, message, desk, more, done)?,
        };
        kept.await.map_err(|_| Refusal::Stopped)??;
        Ok((id, async move { Ok(self.cleaned(answered.await.map_err(|_| Refusal::Stopped)?)) }))
    }

    /// Keeps a message from outside that it is handed at `due`, in Unix milliseconds; also if its host is another one then. It
    /// counts as the agent's memory until that. `more` adds what is to be kept with it. Answers what it is known by.
    pub async fn post_later(
        &self,
        mut message: Message,
        due: u64,
        more: impl FnOnce(&Message, u64, &mut Change),
    ) -> Result<String, Unkept> {
        let Some(books) = &self.standing.books else { return Err(Unkept::Nowhere) };
        let number = books.number();
        message.id = format!("{number:x}");
        let later = self.standing.later(message, number, due).ok_or(Refusal::Full { what: "memory" })?;
        let mut change = Change::new();
        later.keep(&self.standing.name, &mut change);
        more(&later.message, number, &mut change);
        let id = later.id.clone();
        books.store().commit(change).await?;
        self.standing.post(later);
        Ok(id)
    }

    /// Keeps a message from outside, and hands it over. `kept` is told when it is kept; nobody waits for what comes of it.
    /// Answers what it is known by.
    pub fn tell(
        &self,
        message: Message,
        kept: impl FnOnce(Result<(), store::Error>) + Send + 'static,
    ) -> Result<String, Unkept> {
        let Some(books) = &self.standing.books else { return Err(Unkept::Nowhere) };
        Ok(self.inner.door().post(books, &self.standing.name, message, Desk::nobody(), |_, _, _| {}, Box::new(kept))?)
    }

    /// What came of a message once, to be given again.
    pub fn recall(&self, answered: agents::Answered) -> Answer {
        let outcome = answered.outcome().map_err(Error::Failed);
        self.cleaned(Answer { outcome, receipt: Default::default(), held: None })
    }

    /// An answer without secrets, and with the reason why it broke.
    fn cleaned(&self, mut answer: Answer) -> Answer {
        let accounts = &self.standing.accounts;
        let redactor = &accounts.http.keys.redactor;
        match &mut answer.outcome {
            Ok(reply) if !redactor.is_empty() => {
                redactor.clean(&mut reply.payload.content_type);
                if let Cow::Owned(clean) = redactor.bytes(&reply.payload.body) {
                    reply.payload.body = clean;
                }
            }
            Ok(_) | Err(Error::NoRoom | Error::Store(_)) => {}
            Err(Error::Failed(failure)) => {
                redactor.clean(&mut failure.message);
                redactor.clean(&mut failure.details);
            }
            Err(Error::Broke(fault)) => *fault = explained(accounts, fault.clone()),
        }
        answer
    }

    /// Makes its instance, if there is none. It begins at once; the future is there to wait for it.
    pub fn warm(&self) -> impl Future<Output = Result<Result<(), Fault>, Refusal>> + Send + use<> {
        let (warm, accounts) = (self.inner.warm(), self.standing.accounts.clone());
        async move { Ok(warm.await?.map_err(|fault| explained(&accounts, fault))) }
    }

    /// Asks it what it is.
    pub async fn describe(&self) -> Result<Result<Card, Fault>, Refusal> {
        let card = self.inner.describe().await?.map_err(|fault| explained(&self.standing.accounts, fault));
        Ok(card.map(|card| redacted(card, &self.standing.accounts.http.keys.redactor)))
    }

    /// The lines of its log since this was last asked, and how many had to go.
    pub fn log(&self) -> (Vec<Line>, u64) {
        self.standing.accounts.log.drain()
    }

    /// Every field of its budget, with what is used of it.
    pub fn usage(&self) -> Vec<Usage> {
        self.standing.accounts.usage(Duration::ZERO)
    }

    /// Puts its instance away if it has had nothing to do for long. It is made again for the next message.
    pub(crate) fn rest_if_idle(&self) {
        self.inner.rest_if_idle();
    }

    /// Whether it has an instance.
    pub fn has_instance(&self) -> bool {
        self.inner.awake()
    }

    /// How long it is left alone, having broken too often; none if it isn't.
    pub fn left_alone(&self) -> Option<Duration> {
        self.inner.left_alone()
    }

    /// How often it broke.
    pub fn faults(&self) -> u64 {
        self.inner.faults()
    }

    /// CPU time that it has used.
    pub fn cpu(&self) -> Duration {
        Duration::from_nanos(self.standing.accounts.cpu.used())
    }

    /// Time of the graphics processor that it has used.
    pub fn gpu(&self) -> Duration {
        Duration::from_nanos(self.standing.accounts.gpu.used())
    }

    /// Changes what it may use, while it runs. A new deadline holds from the next turn on.
    pub fn set_budget(&self, budget: Budget) {
        self.standing.accounts.set(budget);
        if let Some(second) = self.second.lock().upgrade() {
            second.set_limit(budget.memory.get());
        }
        self.inner.set_deadline(budget.deadline);
        self.reconsider();
    }

    /// Changes how its messages are tried, whether its turns are recorded and how it is looked after, from the next turn on.
    pub fn set_turns(&self, turns: Turns) {
        self.standing.set_turns(turns);
        self.inner.set_care(turns.retry, turns.care);
    }

    /// What it may use.
    pub fn budget(&self) -> Budget {
        *self.standing.accounts.budget.lock()
    }

    /// Says how those that it creates are looked after, for as long as it lives; none if nobody says.
    pub fn supervise(&self, plan: Option<Supervision>) {
        self.standing.house.kin.plan(&self.standing.name, plan);
    }

    /// Stops it, in the midst of a turn if need be.
    pub fn stop(&self) {
        self.inner.stop();
    }

    /// Whether it was stopped, and nothing more comes of what it did.
    pub fn ended(&self) -> bool {
        self.inner.task().ended()
    }

    /// Looks again whether it may run, and all that it created.
    pub(crate) fn reconsider(&self) {
        self.inner.reconsider();
        self.standing.reconsider();
    }

    pub(crate) fn door(&self) -> &Door {
        self.inner.door()
    }

    /// Somebody will end it.
    pub(crate) fn ends_with(&self, timer: AbortHandle) {
        drop(self.retires.set(Ends(timer)));
    }

    /// Lets others send to it by its name.
    pub(crate) fn list(&self) -> Result<(), crate::house::Taken> {
        self.standing.list(self.inner.door().clone())
    }

    pub(crate) fn task(&self) -> &Arc<runtime::Task> {
        self.inner.task()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.inner.stop();
        self.versions.cancel();
        self.row.clear();
        self.standing.end();
    }
}

/// A panic says why on the standard error, and then traps without a word.
pub(crate) fn explained(accounts: &Accounts, mut fault: Fault) -> Fault {
    let said = accounts.log.take_tail();
    if let (Fault::Trap { reason, .. }, false) = (&mut fault, said.is_empty()) {
        *reason = format!("{said} ({reason})");
    }
    fault.redacted(&mut |text| accounts.http.keys.redactor.clean(text))
}
