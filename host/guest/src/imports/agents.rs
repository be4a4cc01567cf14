//! `village:agent/agents`: asking and telling the other agents of this host.

use super::bindings::village::agent::agents::*;
use super::bindings::village::agent::types::{Failure, FailureKind, Limit};
use super::{Error, denied, limit};
use crate::abroad::wire::OVERHEAD;
use crate::abroad::{Asked, Ear, Elsewhere, Far, LARGEST, Lost, Noted, Peers, SKILL, Whom, ask};
use crate::ctx::Ctx;
use crate::effects::{Told, Way};
use crate::house::millis;
use crate::rate::Rate;
use crate::standing::{Ends, Later, Standing};
use crate::tape::{Bytes, Seen};
use crate::waits::{self, Ring, Wanted};
use agents::{Answer as Came, Desk, Door, Mail, Origin, Outgoing, Refusal};
use runtime::{Chunk, Fault, Message, Quota, Sender};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::subscribe;

type Answer<T> = wasmtime::Result<Result<T, Error>>;

/// An answer that is on its way.
#[allow(unreachable_pub)]
pub struct Pending {
    asker: Arc<Standing>,
    to: Arc<str>,
    answer: Source,
    chunks: mpsc::UnboundedReceiver<Chunk>,
    until: Instant,
    /// When the turn that asks must have ended.
    deadline: u64,
    chunk: Option<Chunk>,
    came: Option<Result<Came, Error>>,
    given: bool,
    /// The ring that it waits in, if other villages have to do with that.
    ring: Option<Arc<OnceLock<Ring>>>,
    /// That others know of those who wait for the answer.
    _noted: Option<Noted>,
    /// What was asked, where that is kept.
    question: Option<[u8; 32]>,
    /// In a turn that is run again: what it was answered.
    recorded: Option<Result<Payload, Error>>,
}

/// Where the answer comes from.
enum Source {
    Near(oneshot::Receiver<Came>),
    /// From another village, with what ends the question when nobody waits any more.
    Far {
        answer: oneshot::Receiver<Abroad>,
        memory: Arc<Quota>,
        rate: Arc<Rate>,
        _asking: Ends,
    },
}

/// What came from another village.
type Abroad = Result<runtime::Payload, Elsewhere>;

/// What a message that is kept for later is counted as beside its payload.
const MESSAGE: u64 = 512;

impl Ctx {
    /// Whether it may send to `to` now.
    fn may_send(&self, to: &str) -> Result<(), Error> {
        self.covers(to)?;
        let taken = self.accounts.messages.take(1, runtime::clock::now());
        taken.map_err(|exceeded| limit("messages", exceeded.after))
    }

    /// Whether a grant covers `to`.
    pub(super) fn covers(&self, to: &str) -> Result<(), Error> {
        if self.standing.reaches(to) {
            return Ok(());
        }
        let add = format!("add `agents = [\"{to}\"]` under [grants] in agent.toml, or run with --grant agents={to}");
        Err(Error::Denied(format!("no grant `agents` covers `{to}`: {add}")))
    }

    /// The way to an agent, also to one that this turn created.
    pub(super) fn door(&mut self, to: &str) -> Result<Door, Error> {
        let found = self.standing.house.door(to).map_err(|error| Error::Unavailable(error.to_string()))?;
        let found = found.or_else(|| self.effects().door(to));
        found.ok_or_else(|| Error::NotFound(format!("there is no agent `{to}`")))
    }

    fn message(&self, id: String, sender: Sender, request: Request) -> Message {
        let Request { skill, payload, priority } = request;
        Message {
            id,
            sender,
            skill,
            payload: runtime::Payload { content_type: payload.content_type, body: payload.body },
            priority: match priority {
                Priority::Low => runtime::Priority::Low,
                Priority::Normal => runtime::Priority::Normal,
                Priority::High => runtime::Priority::High,
                Priority::Urgent => runtime::Priority::Urgent,
            },
            attempt: 1,
            accepted: millis(),
        }
    }

    fn begin_ask(&mut self, to: &str, mut request: Request, timeout: u64) -> Result<Pending, Error> {
        if let (Some(skill), true) = (to.strip_prefix(SKILL), request.skill.is_empty()) {
            request.skill = skill.into();
        }
        if self.tape.is_playing() {
            return self.answered_before(to, request);
        }
        if to.contains('@') || to.starts_with(SKILL) {
            return self.begin_far(to, request, timeout);
        }
        self.may_send(to)?;
        if to == self.standing.name {
            let ringed = runtime::ringed(&[to.to_owned()]);
            return Err(Error::Invalid(format!("`to`: an agent that waits for itself waits for ever{ringed}")));
        }
        if self.accounts.out_of_reach() {
            return Err(super::out_of_reach());
        }
        let door = self.door(to)?;
        let (id, again) = self.next_question();
        let message = self.message(id, Sender::Agent(self.standing.name.clone()), request);
        let origin = match again {
            Some(again) => Origin::Ask { question: agents::question(to, &message), again },
            None => Origin::Memory,
        };
        let place = door.reserve(&message).map_err(|refusal| refused(to, refusal))?;
        let (desk, answer, chunks) = Desk::listener();
        let desk = desk.on(self.accounts.memory.clone());
        let (house, name) = (&self.standing.house, &self.standing.name);
        let ring = house.abroad.as_ref().map(|_| self.standing.waits.expect(&to.into()));
        let noted = self.chain.as_ref().and_then(|chain| {
            let chain = house.longer(Some(chain), name);
            house.closes(&chain, to);
            house.note_chain(&message.id, &chain)
        });
        self.leave();
        door.send(place, message, desk, origin).map_err(|refusal| refused(to, refusal))?;
        let left = Duration::from_nanos(self.until.saturating_sub(runtime::clock::now()));
        let until = Instant::now() + left.min(Duration::from_millis(timeout));
        let question = match origin {
            Origin::Ask { question, .. } => Some(question),
            _ => None,
        };
        let pending =
            Pending { ring, _noted: noted, question, until, ..self.pending(to, Source::Near(answer), chunks) };
        Ok(pending)
    }

    /// Asks an agent of another village, or whoever has a skill.
    fn begin_far(&mut self, to: &str, request: Request, timeout: u64) -> Result<Pending, Error> {
        let whom = match to.strip_prefix(SKILL) {
            Some(skill) => {
                self.meshes(&format!("skill/{skill}"))?;
                Whom::Any(skill.into())
            }
            None => Whom::One(self.far(to)?),
        };
        if self.accounts.out_of_reach() {
            return Err(super::out_of_reach());
        }
        self.may_send_bytes(&request)?;
        let (id, again) = self.next_question();
        let message = self.message(id, Sender::Agent(self.standing.name.clone()), request);
        let question = again.map(|_| agents::question(to, &message));
        let peers = Peers::default();
        if again.is_some() {
            let asked = (peers.clone(), message.id.clone());
            self.effects().elsewhere.push(asked);
        }
        self.leave();
        let left = Duration::from_nanos(self.until.saturating_sub(runtime::clock::now()));
        let left = left.min(Duration::from_millis(timeout));
        let until = Instant::now() + left;
        let to = match &whom {
            Whom::One(far) => far.address(),
            Whom::Any(_) => to.into(),
        };
        let standing = &self.standing;
        let chain = standing.house.longer(self.chain.as_ref(), &standing.name);
        let ring = Some(standing.waits.expect(&to.as_str().into()));
        let (chunks, heard) = mpsc::unbounded_channel();
        let (memory, rate) = (self.accounts.memory.clone(), Some(self.accounts.mesh.clone()));
        let ears = standing.house.abroad.as_ref().map(|abroad| abroad.ears.clone());
        let ear = ears.map(|ears| Ear { chunks, memory, rate, ears });
        // It says what is the matter just before nobody waits any more.
        let before = until - (left / 10).min(Duration::from_millis(50));
        let asked = Asked { message, peers, chain, ear, again, until: before };
        let (answer, handle) = ask(&self.standing.house, whom, asked);
        let accounts = &self.accounts;
        let (memory, rate) = (accounts.memory.clone(), accounts.mesh.clone());
        let source = Source::Far { answer, memory, rate, _asking: Ends(handle) };
        Ok(Pending { ring, question, until, ..self.pending(&to, source, heard) })
    }

    /// An agent of another village that a grant covers.
    fn far(&self, to: &str) -> Result<Far, Error> {
        match self.standing.house.locate(to) {
            Ok(far) => {
                self.covers(&far.address())
                    .or_else(|denied| if self.grants.reaches(to) { Ok(()) } else { Err(denied) })?;
                Ok(far)
            }
            Err(Lost::Bad(text)) => Err(Error::Invalid(format!("`to`: {text}"))),
            Err(lost) => {
                self.covers(to)?;
                Err(elsewhere(lost.into()))
            }
        }
    }

    /// Whether a grant `mesh` covers a topic or skill.
    pub(super) fn meshes(&self, what: &str) -> Result<(), Error> {
        if self.grants.meshes(what) {
            return Ok(());
        }
        let add = format!("add `mesh = [\"{what}\"]` under [grants] in agent.toml, or run with --grant mesh={what}");
        Err(Error::Denied(format!("no grant `mesh` covers `{what}`: {add}")))
    }

    /// Whether it may send that to another village now.
    fn may_send_bytes(&self, request: &Request) -> Result<(), Error> {
        self.may_publish(request.skill.len() + request.payload.content_type.len() + request.payload.body.len())
    }

    /// The same for so many bytes.
    pub(super) fn may_publish(&self, bytes: usize) -> Result<(), Error> {
        let bytes = bytes + OVERHEAD;
        if bytes > LARGEST {
            let most = base::Size::bytes(LARGEST as u64);
            return Err(Error::Invalid(format!("`payload`: what goes to another village has at most {most}")));
        }
        let now = runtime::clock::now();
        let (messages, mesh) = (&self.accounts.messages, &self.accounts.mesh);
        mesh.take(bytes as u64, now).map_err(|exceeded| limit("mesh", exceeded.after))?;
        messages.take(1, now).map_err(|exceeded| limit("messages", exceeded.after))
    }

    /// A message in the outbox, from when this turn commits.
    pub(super) fn put_out(&mut self, going: Outgoing, message: Message, number: Option<u64>) -> Result<(), Error> {
        let bytes = MESSAGE + (message.payload.body.len() + message.payload.content_type.len()) as u64;
        let held = self.accounts.memory.hold(bytes).map_err(|_| limit("memory", None))?;
        let abroad = self.standing.house.abroad.as_ref().ok_or_else(|| elsewhere(Lost::Alone.into()))?;
        let budget = *self.accounts.budget.lock();
        let most = (budget.mailbox.into(), budget.mailbox_bytes.get());
        let stay = abroad.reserve(&going.mail.from.to_string(), message.payload.body.len() as u64, most);
        // Some of it is carried away meanwhile, if the other village can be reached.
        let stay = stay.map_err(|what| Error::Limit(Limit { what: what.into(), retry_after: Some(1_000) }))?;
        let (id, to) = (message.id.clone(), going.address());
        self.effects().tell(Told { id, number, to, way: Way::Outbox(going, stay), message, _held: held });
        Ok(())
    }

    fn pending(&self, to: &str, answer: Source, chunks: mpsc::UnboundedReceiver<Chunk>) -> Pending {
        let (asker, to, deadline, until) = (self.standing.clone(), to.into(), self.until, Instant::now());
        let (chunk, came, given, ring, _noted, question, recorded) = Default::default();
        Pending { asker, to, answer, chunks, until, deadline, chunk, came, given, ring, _noted, question, recorded }
    }

    /// In a turn that is run again: what the same question was answered then.
    fn answered_before(&mut self, to: &str, request: Request) -> Result<Pending, Error> {
        let message = self.message(String::new(), Sender::Agent(self.standing.name.clone()), request);
        let asked = agents::question(to, &message);
        let wanted = |seen: &Seen| match seen {
            Seen::Answer { question, outcome } if *question == asked => Some(outcome.clone()),
            _ => None,
        };
        let found = self.tape.find(|| format!("what `{to}` answers to `{}`", message.skill), wanted).flatten();
        let missing = || Error::Unavailable("the record of this turn does not have the answer".into());
        let recorded = match found.ok_or_else(missing)? {
            Ok((content_type, body)) => Ok(Payload { content_type, body: body.0 }),
            Err(text) => Err(Error::Unavailable(text)),
        };
        let ((_, answer), (_, chunks)) = (oneshot::channel(), mpsc::unbounded_channel());
        Ok(Pending { recorded: Some(recorded), ..self.pending(to, Source::Near(answer), chunks) })
    }

    /// The id of the next question of this turn, and whether it may have been asked before; none if nobody keeps replies.
    fn next_question(&mut self) -> (String, Option<bool>) {
        let Some(turn) = &self.turn else { return (self.standing.house.message(), None) };
        let (id, again) = (turn.id.clone(), turn.again);
        let effects = self.effects();
        effects.asked += 1;
        (format!("{id}.{}", effects.asked), Some(again))
    }

    fn begin_tell(&mut self, mut to: String, request: Request, when: Delivery) -> Result<String, Error> {
        let far = match to.contains('@') && !self.tape.is_playing() {
            true => Some(self.far(&to)?),
            false => None,
        };
        match &far {
            Some(far) => {
                to = far.address();
                self.may_send_bytes(&request)?;
            }
            None if to.starts_with(SKILL) => {
                return Err(Error::Invalid("`to`: a skill is asked; what is told has one receiver".into()));
            }
            None => self.may_send(&to)?,
        }
        if self.tape.is_playing() {
            return self.told_before(to, request);
        }
        let due = match when {
            Delivery::Now => None,
            Delivery::After(span) => Some(millis().saturating_add(span)),
            Delivery::At(time) => Some(time).filter(|time| *time > millis()),
        };
        let itself = to == self.standing.name;
        let sender = match (itself, due) {
            (true, Some(_)) => Sender::Timer(String::new()),
            _ => Sender::Agent(self.standing.name.clone()),
        };
        let number = self.standing.books.as_ref().map(|books| books.number());
        let id = number.map_or_else(|| self.standing.house.message(), |number| format!("{number:x}"));
        let message = self.message(id.clone(), sender, request);
        let bytes = MESSAGE + (message.payload.body.len() + message.payload.content_type.len()) as u64;
        let held = self.accounts.memory.hold(bytes).map_err(|_| limit("memory", None))?;
        match due {
            Some(due) => {
                // One that isn't there now may be there when the time comes; one that was never granted is refused now.
                self.effects().tell_later(Later { id: id.clone(), number, to, due, message, _held: held });
            }
            // What runs apart tells nobody, so it needs no place.
            None if self.accounts.apart.is_some() && far.is_some() => {}
            None if self.accounts.apart.is_some() => drop(self.door(&to)?),
            None if far.is_some() => {
                drop(held);
                let going = far.map(|far| Outgoing::new(&far.agent, &far.peer.to_string(), Mail::of(&message)));
                if let Some(going) = going {
                    self.put_out(going, message, number)?;
                }
            }
            None => {
                let door = self.door(&to)?;
                let place = door.reserve(&message).map_err(|refusal| refused(&to, refusal))?;
                let way = Way::Door(door, place);
                self.effects().tell(Told { id: id.clone(), number, to, way, message, _held: held });
            }
        }
        Ok(id)
    }

    /// In a turn that is run again: nothing leaves.
    fn told_before(&mut self, to: String, request: Request) -> Result<String, Error> {
        let told = (to, request.skill, Bytes(request.payload.body));
        let effects = self.effects();
        effects.pretended.push(told);
        Ok(format!("replayed-{}", effects.pretended.len()))
    }

    fn send_chunk(&mut self, bytes: Vec<u8>) -> Result<(), Error> {
        let Some(chunks) = &self.chunks else { return Ok(()) };
        let held = self.accounts.memory.hold(CHUNK + bytes.len() as u64).map_err(|_| limit("memory", None))?;
        // Whoever asked may have given up.
        drop(chunks.send(Chunk { bytes, held }));
        Ok(())
    }
}

/// What a chunk is counted as beside its bytes.
const CHUNK: u64 = 64;

fn refused(to: &str, refusal: Refusal) -> Error {
    match refusal {
        Refusal::Full { what } => Error::Limit(Limit { what: what.into(), retry_after: None }),
        Refusal::Stopped => Error::NotFound(format!("the agent `{to}` has ended")),
    }
}

impl Host for Ctx {
    fn ask(&mut self, to: String, request: Request, timeout: u64) -> Answer<Resource<Pending>> {
        let begun = self.begin_ask(&to, request, timeout);
        self.count_ask(begun.is_ok());
        match begun {
            Ok(pending) => Ok(Ok(self.table.push(pending)?)),
            Err(error) => Ok(Err(error)),
        }
    }

    fn tell(&mut self, to: String, request: Request, when: Delivery) -> Answer<String> {
        let begun = self.begin_tell(to, request, when);
        self.count_tell(begun.is_ok());
        Ok(begun)
    }

    fn cancel(&mut self, id: String) -> Answer<bool> {
        match self.grants.agents.is_empty() && !self.grants.spawn {
            true => Ok(Err(denied("agents"))),
            false => Ok(Ok(self.effects().cancel(&id))),
        }
    }

    fn emit(&mut self, chunk: Vec<u8>) -> Answer<()> {
        Ok(self.send_chunk(chunk))
    }
}

impl Pending {
    /// Looks whether something has come, without waiting.
    fn look(&mut self) {
        if self.chunk.is_none() {
            self.chunk = self.chunks.try_recv().ok();
        }
        if self.came.is_none() {
            self.came = match self.answer.look() {
                Some(came) => Some(came),
                None if Instant::now() >= self.until => Some(Err(self.late())),
                None => None,
            };
        }
    }
}

impl Pending {
    fn known_ring(&self) -> Option<Ring> {
        self.ring.as_ref()?.get().cloned()
    }

    /// What is said when its time is up. Only whoever waits in a ring is told who else does.
    fn late(&self) -> Error {
        let ring = waits::ring(&self.asker.house, &self.asker.name, &self.to).or_else(|| self.known_ring());
        let ringed = ring.map(|ring| runtime::ringed(&ring)).unwrap_or_default();
        Error::Timeout(format!("the other agent took too long{ringed}"))
    }
}

impl Source {
    /// What has come, without waiting.
    fn look(&mut self) -> Option<Result<Came, Error>> {
        use oneshot::error::TryRecvError::{Closed, Empty};
        match self {
            Source::Near(answer) => match answer.try_recv() {
                Ok(answer) => Some(Ok(answer)),
                Err(Closed) => Some(Err(ended())),
                Err(Empty) => None,
            },
            Source::Far { answer, memory, rate, .. } => match answer.try_recv() {
                Ok(came) => Some(arrived(came, memory, rate)),
                Err(Closed) => Some(Err(ended())),
                Err(Empty) => None,
            },
        }
    }

    async fn recv(&mut self) -> Result<Came, Error> {
        match self {
            Source::Near(answer) => answer.await.map_err(|_| ended()),
            Source::Far { answer, memory, rate, .. } => match answer.await {
                Ok(came) => arrived(came, memory, rate),
                Err(_) => Err(ended()),
            },
        }
    }
}

/// A reply of another village: it counts as memory of whoever asked until it is taken, and on what they may exchange.
fn arrived(came: Abroad, memory: &Arc<Quota>, rate: &Rate) -> Result<Came, Error> {
    let payload = came.map_err(elsewhere)?;
    let size = (payload.body.len() + payload.content_type.len()) as u64;
    rate.spend(size + OVERHEAD as u64, runtime::clock::now());
    let held = Some(memory.hold(size).map_err(|_| limit("memory", None))?);
    Ok(Came { outcome: Ok(runtime::Reply { payload }), receipt: Default::default(), held })
}

/// What an agent is told of what did not get to another village, or did not come back.
pub(super) fn elsewhere(error: Elsewhere) -> Error {
    match error {
        Elsewhere::NotFound(text) => Error::NotFound(text),
        Elsewhere::Denied(text) => Error::Denied(text),
        Elsewhere::Limit { what, after } => Error::Limit(Limit { what, retry_after: after }),
        Elsewhere::Invalid(text) => Error::Invalid(text),
        Elsewhere::Timeout(text) => Error::Timeout(text),
        Elsewhere::Unavailable(text) => Error::Unavailable(text),
        Elsewhere::Failed(failure) => Error::Failed(failed(failure)),
        Elsewhere::Broke(kind) => {
            Error::Failed(Failure { kind: FailureKind::Internal, message: broke_off(&kind), details: String::new() })
        }
        Elsewhere::Store(error) => Error::Unavailable(error.to_string()),
    }
}

fn ended() -> Error {
    Error::Unavailable("the other agent ended before it answered".into())
}

#[wasmtime_wasi::async_trait]
impl wasmtime_wasi::p2::Pollable for Pending {
    async fn ready(&mut self) {
        if self.chunk.is_some() || self.came.is_some() || self.recorded.is_some() {
            return;
        }
        let Pending { asker, to, answer, chunks, until, deadline, ring, .. } = self;
        let wanted = Wanted::begin(asker, to, ring.as_deref(), *deadline);
        let late = tokio::select! {
            biased;
            Some(chunk) = chunks.recv() => {
                self.chunk = Some(chunk);
                false
            }
            came = answer.recv() => {
                self.came = Some(came);
                false
            }
            () = tokio::time::sleep_until(*until) => true,
        };
        wanted.over();
        if late {
            self.came = Some(Err(self.late()));
        }
    }
}

impl HostPending for Ctx {
    fn subscribe(&mut self, this: Resource<Pending>) -> wasmtime::Result<Resource<Pollable>> {
        subscribe(&mut self.table, this)
    }

    fn chunk(&mut self, this: Resource<Pending>) -> wasmtime::Result<Option<Vec<u8>>> {
        let pending = self.table.get_mut(&this)?;
        pending.look();
        Ok(pending.chunk.take().map(|chunk| chunk.bytes))
    }

    fn answer(&mut self, this: Resource<Pending>) -> wasmtime::Result<Option<Result<Payload, Error>>> {
        let pending = self.table.get_mut(&this)?;
        if pending.given {
            return Ok(Some(Err(Error::Invalid("the answer was given before".into()))));
        }
        if let Some(recorded) = pending.recorded.take() {
            pending.given = true;
            return Ok(Some(recorded));
        }
        pending.look();
        let came = pending.came.take();
        pending.given = came.is_some();
        let question = pending.question;
        let asker = pending.asker.clone();
        let ring = pending.known_ring();
        let came = came.map(|came| came.and_then(|came| reply(came, &asker.name)).map_err(|error| named(error, ring)));
        if let (Some(question), Some(came)) = (question, &came) {
            let size = came.as_ref().map_or(32, |payload| payload.body.len());
            let outcome = || match came {
                Ok(payload) => Ok((payload.content_type.clone(), Bytes(payload.body.clone()))),
                Err(error) => Err(format!("{error:?}")),
            };
            self.tape.note(size, || Seen::Answer { question, outcome: outcome() });
        }
        Ok(came)
    }

    fn drop(&mut self, this: Resource<Pending>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

/// The same error with the ring that it comes of, where it does not name it: whoever asks in another village is told so just
/// before its time is up, and is not told by that village why a turn there broke off.
fn named(error: Error, ring: Option<Ring>) -> Error {
    match (error, ring) {
        (Error::Timeout(text), Some(ring)) if !text.contains(" -> ") => {
            Error::Timeout(format!("{text}{}", runtime::ringed(&ring)))
        }
        (Error::Failed(failure), Some(ring)) if failure.message == broke_off("deadline") => {
            let message = format!("{}{}", failure.message, runtime::ringed(&ring));
            Error::Failed(Failure { message, ..failure })
        }
        (error, _) => error,
    }
}

fn broke_off(kind: &str) -> String {
    format!("the other agent's turn broke off ({kind})")
}

/// What the agent `asker` is told of an answer.
fn reply(answer: Came, asker: &str) -> Result<Payload, Error> {
    match answer.outcome {
        Ok(reply) => Ok(Payload { content_type: reply.payload.content_type, body: reply.payload.body }),
        Err(agents::Error::Failed(failure)) => Err(Error::Failed(failed(failure))),
        // What broke it is its own affair; how is not, nor a ring that the asker is part of.
        Err(agents::Error::Broke(fault)) => {
            let ringed = match &fault {
                Fault::Deadline { ring, .. } if ring.iter().any(|name| name == asker) => runtime::ringed(ring),
                _ => String::new(),
            };
            Err(Error::Failed(Failure {
                kind: FailureKind::Internal,
                message: broke_off(fault.kind()) + &ringed,
                details: String::new(),
            }))
        }
        Err(agents::Error::NoRoom) => Err(limit("memory", None)),
        Err(agents::Error::Store(_)) => {
            Err(Error::Unavailable("what the other agent did could not be kept, so it did not happen".into()))
        }
    }
}

fn failed(failure: runtime::Failure) -> Failure {
    let kind = match failure.kind {
        runtime::FailureKind::Invalid => FailureKind::Invalid,
        runtime::FailureKind::Unsupported => FailureKind::Unsupported,
        runtime::FailureKind::Refused => FailureKind::Refused,
        runtime::FailureKind::Temporary => FailureKind::Temporary,
        runtime::FailureKind::Internal => FailureKind::Internal,
    };
    Failure { kind, message: failure.message, details: failure.details }
}
