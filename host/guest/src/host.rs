//! The host: one engine, its workers, and what is offered to guests.

use crate::accounts::{Above, Accounts, Parent};
use crate::agent::Agent;
use crate::compute::{Compute, Opener};
use crate::ctx::Ctx;
use crate::grants::Grants;
use crate::house::{House, Means};
use crate::imports;
use crate::network::Network;
use crate::roll::Enrolment;
use crate::secrets::{self, Secrets};
use crate::spaces::local_model;
use crate::standing::Standing;
use crate::turns::Turns;
use agents::kin::{PLANS, Supervision, What, head_of_group};
use agents::{Books, Told};
use base::{Budget, Group};
use kernels::Backend;
use mesh::Mesh;
use model::Router;
use runtime::{Compiler, Engine, Fault, Pool, Settings, Workers};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::Change;
use wasmtime::component::{Linker, LinkerInstance};

/// Loads components and gives them life.
pub struct Host {
    engine: Engine,
    linker: Linker<Ctx>,
    /// Interfaces that the embedding program offers beside ours.
    own: Vec<String>,
    house: Arc<House>,
    /// Agents run on them.
    workers: Workers,
    /// After the workers: guests that are gone have cancelled what they wanted.
    _computing: Computing,
}

/// A component that can be run, and what it is.
#[derive(Clone)]
pub struct Version(pub(crate) Arc<runtime::Version<Ctx>>);

/// Why something can't be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The component can't be loaded.
    #[error(transparent)]
    Load(#[from] runtime::Error),
    /// The file can't be read.
    #[error("{}: {reason}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It was loaded, and broke.
    #[error(transparent)]
    Broke(#[from] Fault),
    /// An agent of that name is there.
    #[error("there is an agent `{name}` already")]
    Taken {
        /// The name.
        name: String,
    },
    /// A secret that its grants name can't be had.
    #[error(transparent)]
    Secret(#[from] secrets::Error),
    /// A swap can't begin.
    #[error(transparent)]
    Swap(#[from] agents::swap::Refused),
    /// The agent may have several replicas, which no swap changes at once.
    #[error("several replicas may serve this agent: scale it to 1 first")]
    Many,
    /// The host can't be made.
    #[error("{0}")]
    Host(String),
}

impl Error {
    /// The word that programs know it by.
    pub fn kind(&self) -> &'static str {
        match self {
            Error::Load(error) => error.kind(),
            Error::File { .. } => "file",
            Error::Broke(fault) => fault.kind(),
            Error::Taken { .. } => "taken",
            Error::Secret(_) => "secret",
            Error::Swap(refused) => refused.kind(),
            Error::Many => "replicas",
            Error::Host(_) => "internal",
        }
    }
}

type Offer = Box<dyn FnOnce(&mut LinkerInstance<'_, Ctx>) -> wasmtime::Result<()>>;

/// How to make a [`Host`].
pub struct Builder {
    pool: Pool,
    cache: Option<PathBuf>,
    compiler: Compiler,
    workers: Option<NonZeroUsize>,
    device: Option<Opener>,
    offers: Vec<(String, Offer)>,
    roots: Option<PathBuf>,
    secrets: Option<Secrets>,
    books: Option<Arc<Books>>,
    mesh: Option<Mesh>,
    known: Option<u64>,
    models: Option<Arc<Router>>,
    embedder: Option<String>,
}

impl Builder {
    /// How many instances may live at once. As many as the machine allows, unless it is said.
    pub fn pool(mut self, pool: Pool) -> Builder {
        self.pool = pool;
        self
    }

    /// Where compiled components are kept: the user's cache folder, unless it is said.
    pub fn cache(mut self, folder: impl Into<PathBuf>) -> Builder {
        self.cache = Some(folder.into());
        self
    }

    /// Where components are compiled: in a child process of this program, unless it is said.
    pub fn compiler(mut self, compiler: Compiler) -> Builder {
        self.compiler = compiler;
        self
    }

    /// How many threads run guests: one for each core, unless it is said.
    pub fn workers(mut self, count: NonZeroUsize) -> Builder {
        self.workers = Some(count);
        self
    }

    /// Where arithmetic on much data happens instead of the CPU: `open` is called when it is first wanted, and answers none
    /// if there is nothing better. Agents share it, each within its `gpu`.
    pub fn device(mut self, open: impl FnOnce() -> Option<Box<dyn Backend + Send>> + Send + 'static) -> Builder {
        self.device = Some(Box::new(open));
        self
    }

    /// A PEM file of certificates that are trusted beside those that browsers trust: `VILLAGE_CA_FILE`, unless it is said.
    pub fn roots(mut self, file: impl Into<PathBuf>) -> Builder {
        self.roots = Some(file.into());
        self
    }

    /// Where the secrets are that grants name: the user's own, unless it is said.
    pub fn secrets(mut self, secrets: Secrets) -> Builder {
        self.secrets = Some(secrets);
        self
    }

    /// Where what agents do is kept. Without this everything goes with the host.
    pub fn books(mut self, books: Arc<Books>) -> Builder {
        self.books = Some(books);
        self
    }

    /// The way to other villages. Without this agents reach nobody but each other.
    pub fn mesh(mut self, mesh: Mesh) -> Builder {
        self.mesh = Some(mesh);
        self
    }

    /// How many messages of each other village are known here at once, so that none is taken twice: a million, unless it is
    /// said. One of which as many are known has to wait.
    pub fn known(mut self, most: u64) -> Builder {
        self.known = Some(most);
        self
    }

    /// Who answers prompts. Without this there are no models.
    pub fn models(mut self, models: Arc<Router>) -> Builder {
        self.models = Some(models);
        self
    }

    /// The model of this machine that makes vectors of what agents remember, such as `local/minilm`. Without this they find it
    /// by its words.
    pub fn embedder(mut self, model: impl Into<String>) -> Builder {
        self.embedder = Some(model.into());
        self
    }

    /// Offers an interface of the embedding program's own, such as `acme:dice/roll@1.0.0`, to every guest.
    pub fn import(
        mut self,
        interface: &str,
        define: impl FnOnce(&mut LinkerInstance<'_, Ctx>) -> wasmtime::Result<()> + 'static,
    ) -> Builder {
        self.offers.push((interface.into(), Box::new(define)));
        self
    }

    /// Makes the host. To be called where a tokio runtime is.
    pub fn build(self) -> Result<Host, Error> {
        let broken = |error: wasmtime::Error| Error::Host(format!("{error:#}"));
        let io = tokio::runtime::Handle::try_current().map_err(|error| Error::Host(error.to_string()))?;
        let cache = self.cache.or_else(cache_folder).ok_or_else(|| {
            Error::Host("there is no folder for compiled components: set VILLAGE_CACHE to one".into())
        })?;
        if let Some(model) = self.embedder.as_ref().filter(|model| !local_model(model)) {
            return Err(Error::Host(format!("`{model}` is no name of a model of this machine, such as local/minilm")));
        }
        let engine = Engine::new(&Settings { pool: self.pool, cache, compiler: self.compiler })?;
        let mut linker = imports::linker(&engine).map_err(broken)?;
        let mut own = Vec::new();
        for (interface, define) in self.offers {
            define(&mut linker.instance(&interface).map_err(broken)?).map_err(broken)?;
            own.push(interface);
        }
        let count = self.workers.or_else(|| std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
        let workers = Workers::start(engine.wasmtime(), count, &io).map_err(|error| Error::Host(error.to_string()))?;
        let compute = Compute::new(count, self.device);
        let network = Arc::new(Network::new(self.roots, self.secrets));
        let means = Means {
            compute: compute.clone(),
            network,
            models: self.models,
            embedder: self.embedder,
            books: self.books,
            mesh: self.mesh,
        };
        let house = House::new(workers.spawner(), io, engine.room(), means);
        house.look_after_strays();
        house.look_after_idlers();
        if let (Some(abroad), Some(most)) = (&house.abroad, self.known) {
            abroad.bound(most);
        }
        house.look_abroad();
        Ok(Host { engine, linker, own, house, workers, _computing: Computing(compute) })
    }
}

/// The user's cache folder: `VILLAGE_CACHE`, or where the system keeps such things.
pub fn cache_folder() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("VILLAGE_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|folder| folder.join("village")))
        .or_else(|| variable("LOCALAPPDATA").map(|folder| folder.join("village")))
        .or_else(|| variable("HOME").map(|folder| folder.join(".cache/village")))
}

impl Host {
    /// How to make one.
    pub fn builder() -> Builder {
        Builder {
            pool: Pool::Machine,
            cache: None,
            compiler: Compiler::ThisProgram,
            workers: None,
            device: None,
            offers: Vec::new(),
            roots: None,
            secrets: None,
            books: None,
            mesh: None,
            known: None,
            models: None,
            embedder: None,
        }
    }

    /// Loads a component: compiles it, unless that was done before, and checks that it fits.
    pub async fn load(&self, bytes: &[u8]) -> Result<Version, Error> {
        let offered = |name: &str| imports::offered(name) || self.own.iter().any(|own| own == name);
        let version = runtime::Version::load(&self.engine, &self.linker, &offered, bytes).await?;
        let version = Version(Arc::new(version));
        self.house.note(&version);
        Ok(version)
    }

    /// Loads a component from a file.
    pub async fn load_file(&self, path: &Path) -> Result<Version, Error> {
        let bytes =
            std::fs::read(path).map_err(|error| Error::File { path: path.into(), reason: error.to_string() })?;
        self.load(&bytes).await
    }

    /// Gives life to an agent that others can't send to. It is held to its budget, and to that of its group.
    ///
    /// Refused when as many live as may.
    pub fn start(
        &self,
        version: &Version,
        budget: Budget,
        grants: Grants,
        group: Option<&Parent>,
    ) -> Result<Agent, Error> {
        let above = group.map_or(Above::Nobody, Above::Group);
        let name = format!("agent-{}", self.house.number());
        let agent = Agent::start(&self.house, name, version, budget, Arc::new(grants), above, None)?;
        if let Some(group) = group {
            group.add(agent.task());
        }
        Ok(agent)
    }

    /// Gives life to an agent that others can send to by its name, if they are granted that.
    pub fn start_as(
        &self,
        name: &str,
        version: &Version,
        budget: Budget,
        grants: Grants,
        group: Option<&Parent>,
    ) -> Result<Agent, Error> {
        let above = group.map_or(Above::Nobody, Above::Group);
        let agent = Agent::start(&self.house, name.into(), version, budget, Arc::new(grants), above, None)?;
        agent.list().map_err(|_| Error::Taken { name: name.into() })?;
        if let Some(group) = group {
            group.add(agent.task());
        }
        Ok(agent)
    }

    /// Keeps an agent by name. It is made when its first message comes, and where there is a store, what it does is kept.
    pub fn enrol(&self, name: &str, enrolment: Enrolment) -> Result<(), Error> {
        self.house.roll.add(name, enrolment)
    }

    /// Changes what an agent is made of, from the next time on that it is made; answers whether there is one.
    pub fn change(&self, name: &str, change: impl FnOnce(&mut Enrolment)) -> bool {
        self.house.roll.change(name, change)
    }

    /// An agent that is kept by name, made now if it does not live; none if there is none of that name.
    pub fn wake(&self, name: &str) -> Result<Option<Arc<Agent>>, Error> {
        self.house.roll.wake(&self.house, name)
    }

    /// The same, if it lives.
    pub fn awake(&self, name: &str) -> Option<Arc<Agent>> {
        self.house.roll.awake(name)
    }

    /// All agents that are kept by name and live.
    pub fn all_awake(&self) -> Vec<(String, Arc<Agent>)> {
        self.house.roll.all_awake()
    }

    /// Lets an agent go until it is wanted again; answers whether it lived. A turn under way is broken off, and what waits
    /// stays where it is kept.
    pub fn rest(&self, name: &str) -> bool {
        self.house.roll.rest(name)
    }

    /// Keeps an agent no longer; answers whether there was one. What it did stays in the store.
    pub fn expel(&self, name: &str) -> bool {
        self.house.roll.remove(name)
    }

    /// Says how what an agent creates is looked after, and keeps that where there is a store; none if nobody says.
    pub fn supervise(
        &self,
        name: &str,
        plan: Option<Supervision>,
    ) -> impl Future<Output = Result<(), store::Error>> + Send + use<> {
        self.house.kin.plan(name, plan);
        let mut change = Change::new();
        match plan {
            Some(plan) => change.put(&PLANS, name, &plan),
            None => change.delete(&PLANS, name),
        };
        let done = self.house.books.as_ref().map(|books| books.store().commit(change));
        async move {
            match done {
                Some(done) => done.await.map(drop),
                None => Ok(()),
            }
        }
    }

    /// Says how the agents of a group are looked after that [`Host::join_group`] names.
    pub fn supervise_group(&self, group: &str, plan: Supervision) {
        self.house.kin.plan(&head_of_group(group), Some(plan));
    }

    /// Counts an agent among those that are looked after together; `place` orders them.
    pub fn join_group(&self, group: &str, name: &str, place: u64) {
        self.house.kin.join(&head_of_group(group), name, place);
    }

    /// Adds to `change` that those are told who watch an agent that is stopped. What it answers is to be called once that is
    /// kept.
    pub fn tell_stopped(&self, name: &str, change: &mut Change) -> Told {
        self.house.gone(name, &What::Stopped, change)
    }

    /// The same of one that is removed. Whatever is tied to it goes.
    pub fn tell_removed(&self, name: &str, change: &mut Change) -> Told {
        self.house.gone(name, &What::Removed, change)
    }

    /// Adds to `change` that nothing of an agent is kept any more.
    pub fn forget(&self, name: &str, change: &mut Change) {
        self.house.forget(name, change);
    }

    /// An instance without a life: on the caller's thread and time, bounded in memory and not in CPU. For measuring.
    pub async fn instantiate(
        &self,
        version: &Version,
        budget: Budget,
        grants: Grants,
    ) -> Result<runtime::Instance<Ctx>, Error> {
        let standing = self.alone(budget, grants)?;
        let memory = standing.accounts.memory.clone();
        let ctx = Ctx::new(standing, version.clone(), &memory, None)?;
        Ok(runtime::Instance::start(&version.0, ctx).await?)
    }

    /// The standing of a guest that nobody can send to, and that is no agent.
    pub(crate) fn alone(&self, budget: Budget, grants: Grants) -> Result<Arc<Standing>, Error> {
        let accounts = Accounts::new(budget, &grants, Above::Nobody, &self.house, None)?;
        let name = format!("agent-{}", self.house.number());
        let turns = Turns { retry: agents::Retry::NEVER, ..Turns::default() };
        Ok(Standing::new(name, Arc::new(grants), accounts, self.house.clone(), (None, turns)))
    }

    /// Runs a future of the host's own among the guests, as an agent that asks others would. For measuring.
    pub fn among_guests(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.workers.spawn(runtime::Cpu::new(base::Share::CORE, std::time::Duration::from_secs(3600)), |_| work);
    }

    /// A group of agents that share a budget, within another group if there is one.
    pub fn group(&self, budget: &Group, within: Option<&Parent>) -> Parent {
        Parent::new(budget, within)
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Who answers prompts; none if no back end is named.
    pub fn models(&self) -> Option<&Arc<Router>> {
        self.house.models.as_ref()
    }

    /// How many agents may live at once.
    pub fn capacity(&self) -> u32 {
        self.house.seats.all()
    }

    pub(crate) fn workers(&self) -> &Workers {
        &self.workers
    }

    pub(crate) fn house(&self) -> &Arc<House> {
        &self.house
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // They hold the house that holds them.
        self.house.roll.clear();
    }
}

/// The threads that compute for agents end with the host.
struct Computing(Arc<Compute>);

impl Drop for Computing {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Version {
    /// The digest of the component's bytes.
    pub fn digest(&self) -> base::Digest {
        self.0.digest()
    }

    /// How it wants to be run.
    pub fn kind(&self) -> runtime::Kind {
        self.0.kind()
    }

    /// Its imports and exports.
    pub fn shape(&self) -> &runtime::Shape {
        self.0.shape()
    }
}

/// The grants that a component's imports may need, each once, in order. It may well do with fewer.
pub fn grants_needed(shape: &runtime::Shape) -> Vec<&'static str> {
    let mut needed: Vec<_> = shape.imports.iter().filter_map(|import| imports::grant_for(import)).collect();
    needed.sort_unstable();
    needed.dedup();
    needed
}
