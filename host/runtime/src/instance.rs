//! A version of an agent, and its instances.

use crate::contract::{Card, Exports, ExportsPre, Failure, Message, Reply};
use crate::engine::{Engine, Error, Room};
use crate::fault::Fault;
use crate::limiter::Limiter;
use crate::quota::{Held, Quota};
use crate::shape::{Kind, Shape};
use base::Digest;
use std::future::Future;
use std::sync::Arc;
use tokio::sync::mpsc;
use wasmtime::Store;
use wasmtime::component::{Component, InstancePre, Linker};

/// The state of a guest, as far as the runtime needs to know it.
pub trait Guest: Send + 'static {
    /// Counts what this guest holds.
    fn limiter(&mut self) -> &mut Limiter;

    /// A turn begins.
    fn begin(&mut self, turn: Begin<'_>);

    /// The turn is about to hand the guest this message.
    fn handles(&mut self, _message: &Message) {}

    /// The turn has ended well: what it did takes effect, all together.
    fn commit(&mut self);

    /// A component that serves HTTP, ready to be instantiated.
    type Service: Send + Sync + 'static;

    /// Makes one ready.
    fn service(pre: InstancePre<Self>) -> wasmtime::Result<Self::Service>
    where
        Self: Sized;

    /// Hands a message to an instance of it, made for this message in a store of its own.
    fn serve(
        service: &Self::Service,
        store: &mut Store<Self>,
        message: &Message,
    ) -> impl Future<Output = wasmtime::Result<Result<Reply, Failure>>> + Send
    where
        Self: Sized;

    /// What such a component says of itself, which has no words for it.
    fn introduction() -> Card;
}

/// What a guest's state is told of a turn that begins.
#[derive(Debug)]
pub struct Begin<'a> {
    /// The message that it handles, if that is tried again when it fails.
    pub message: Option<&'a Message>,
    /// Whether it may have been tried before, in this life of the host or in one that was cut off.
    pub again: bool,
    /// Its deadline, by [`clock::now`](crate::clock::now).
    pub until: u64,
    /// Where provisional chunks of the reply go; none if nobody waits for them.
    pub chunks: Option<mpsc::UnboundedSender<Chunk>>,
    /// To be told before anything leaves the turn that it cannot take back.
    pub leaving: Option<Arc<dyn Leaving>>,
}

/// What has to be done before anything leaves a turn that it cannot take back.
pub trait Leaving: std::fmt::Debug + Send + Sync {
    /// Does it, if it was not done before.
    fn leave(&self);
}

/// A provisional part of a reply. It counts as memory of the agent that sent it until it is taken.
#[derive(Debug)]
pub struct Chunk {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What they are counted as.
    pub held: Held,
}

/// An immutable version of an agent: compiled, linked, ready to be instantiated.
pub struct Version<T: Guest> {
    pre: InstancePre<T>,
    ready: Ready<T>,
    digest: Digest,
    shape: Shape,
    kind: Kind,
    room: Room,
}

/// What a version is instantiated from.
enum Ready<T: Guest> {
    Agent(ExportsPre<T>),
    Service(Arc<T::Service>),
    Command,
}

impl<T: Guest> Version<T> {
    /// Links a component against what `linker` offers.
    ///
    /// `offered` names the interfaces that it offers, so that a component which wants another is told all of those at once.
    pub async fn load(
        engine: &Engine,
        linker: &Linker<T>,
        offered: &(dyn Fn(&str) -> bool + Sync),
        bytes: &[u8],
    ) -> Result<Version<T>, Error> {
        let mut problems = Vec::new();
        let shape = Shape::read(bytes)?;
        if shape.kind().is_none() {
            problems.push(
                "it exports neither village:agent/agent@0.1.0 (an agent) nor wasi:http/incoming-handler@0.2 (a service) \
                 nor wasi:cli/run@0.2 (a command)"
                    .into(),
            );
        }
        problems.extend(
            shape
                .imports
                .iter()
                .filter(|import| !offered(import))
                .map(|import| format!("it imports {import}, which is not offered here")),
        );
        let (Some(kind), true) = (shape.kind(), problems.is_empty()) else {
            return Err(Error::Unfit { problems });
        };
        let (component, digest, shape) = engine.load(bytes).await?;
        Self::link(linker, &component, digest, shape, kind)
    }

    fn link(
        linker: &Linker<T>,
        component: &Component,
        digest: Digest,
        shape: Shape,
        kind: Kind,
    ) -> Result<Version<T>, Error> {
        let unfit = |error: wasmtime::Error| Error::Unfit { problems: vec![format!("{error:#}")] };
        let pre = linker.instantiate_pre(component).map_err(unfit)?;
        let ready = match kind {
            Kind::Agent => Ready::Agent(ExportsPre::new(pre.clone()).map_err(unfit)?),
            Kind::Service => Ready::Service(Arc::new(T::service(pre.clone()).map_err(unfit)?)),
            Kind::Command => Ready::Command,
        };
        Ok(Version { pre, ready, digest, shape, kind, room: Room::of(component) })
    }

    /// The digest of the component's bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Its imports and exports.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// How it wants to be run.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What an instance of it takes of the pool.
    pub fn room(&self) -> Room {
        self.room
    }

    /// For what is not an agent: the linked component itself.
    pub fn pre(&self) -> &InstancePre<T> {
        &self.pre
    }
}

/// A store that is bounded as every guest's must be.
pub fn store<T: Guest>(engine: &wasmtime::Engine, data: T) -> Store<T> {
    let mut store = Store::new(engine, data);
    store.limiter(|data| data.limiter());
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    let limiter = store.data_mut().limiter();
    let (handles, limit) = (limiter.handles(), limiter.memory().limit());
    store.set_max_component_handles(handles);
    store.set_hostcall_fuel(arguments(limit));
    store
}

/// What is copied of an answer beside its bytes.
const ANSWER: usize = 64;

/// The most that one call may copy between guest and host. It is beside what is held, and only while the call lasts.
fn arguments(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX).clamp(256 << 10, 128 << 20)
}

/// A version in memory, with a store of its own. It handles one message at a time.
pub struct Instance<T: Guest> {
    store: Store<T>,
    inner: Inner<T>,
    memory: Arc<Quota>,
}

enum Inner<T: Guest> {
    Agent(Exports),
    /// What serves HTTP expects a fresh instance for each request, which is made when there is one.
    Service {
        service: Arc<T::Service>,
        spent: bool,
    },
}

impl<T: Guest> Instance<T> {
    /// Makes an instance. Guest code may run: this belongs into a turn.
    pub async fn start(version: &Version<T>, mut data: T) -> Result<Instance<T>, Fault> {
        let memory = data.limiter().memory().clone();
        memory.take_refused();
        let mut store = store(version.pre.engine(), data);
        let inner = match &version.ready {
            Ready::Agent(agent) => {
                Inner::Agent(agent.instantiate_async(&mut store).await.map_err(|error| fault(&memory, &error))?)
            }
            Ready::Service(service) => Inner::Service { service: service.clone(), spent: false },
            Ready::Command => return Err(Fault::Refused { what: "a command can't be asked as an agent".into() }),
        };
        Ok(Instance { store, inner, memory })
    }

    /// What the agent says of itself.
    pub async fn describe(&mut self) -> Result<Card, Fault> {
        self.begin();
        let Inner::Agent(exports) = &self.inner else { return Ok(T::introduction()) };
        let card = exports.village_agent_agent().call_describe(&mut self.store).await;
        card.map_err(|error| fault(&self.memory, &error))
    }

    /// Hands it a message. After a fault the instance can't be used again.
    pub async fn handle(&mut self, message: &Message) -> Result<Result<Reply, Failure>, Fault> {
        self.begin();
        self.store.data_mut().handles(message);
        let outcome = match &mut self.inner {
            Inner::Agent(exports) => exports.village_agent_agent().call_handle(&mut self.store, message).await,
            Inner::Service { service, spent } => {
                *spent = true;
                T::serve(service, &mut self.store, message).await
            }
        };
        outcome.map_err(|error| fault(&self.memory, &error))
    }

    /// What it wants to keep: no more than it may hold. A service keeps nothing.
    pub async fn snapshot(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        self.begin();
        let Inner::Agent(exports) = &self.inner else { return Ok(None) };
        // It lies in memory that is counted, so what is held bounds it.
        let most = self.store.data_mut().limiter().taken();
        self.store.set_hostcall_fuel(usize::try_from(most).unwrap_or(usize::MAX).saturating_add(ANSWER));
        let state = exports.village_agent_agent().call_snapshot(&mut self.store).await;
        self.store.set_hostcall_fuel(arguments(self.memory.limit()));
        state.map_err(|error| fault(&self.memory, &error))
    }

    /// Gives it what another instance kept.
    pub async fn restore(&mut self, state: &[u8], version: &str) -> Result<Result<(), Failure>, Fault> {
        self.begin();
        let Inner::Agent(exports) = &self.inner else { return Ok(Ok(())) };
        let outcome = exports.village_agent_agent().call_restore(&mut self.store, state, version).await;
        outcome.map_err(|error| fault(&self.memory, &error))
    }

    /// Bytes of memories, tables and handles that it holds.
    pub fn held(&mut self) -> u64 {
        self.store.data_mut().limiter().taken()
    }

    /// Counts what it holds on another quota of the same group, from now on.
    pub fn settle(&mut self, memory: &Arc<Quota>) {
        self.store.data_mut().limiter().settle(memory);
        self.memory = memory.clone();
    }

    /// Whether it was made for one message, and has had it.
    pub fn spent(&self) -> bool {
        matches!(self.inner, Inner::Service { spent: true, .. })
    }

    /// The guest's state.
    pub fn data(&mut self) -> &mut T {
        self.store.data_mut()
    }

    fn begin(&mut self) {
        // Ticks that passed while nothing ran don't count.
        self.store.set_epoch_deadline(1);
        if self.memory.refused() {
            self.memory.take_refused();
        }
    }
}

/// What an error out of the engine means for the guest whose account this is.
pub fn fault(memory: &Quota, error: &wasmtime::Error) -> Fault {
    Fault::of(error, memory.take_refused(), memory.limit())
}
