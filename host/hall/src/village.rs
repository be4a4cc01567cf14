//! The village: who is in it, and the way to each.

use crate::error::Error;
use crate::event::{Event, What};
use crate::figures::Swaps;
use crate::folder::Folder;
use crate::groups::Grouped;
use crate::holds::Holds;
use crate::journal::Keep;
use crate::registry::{Registration, Registry, Wanted, apart};
use crate::resident::Resident;
use crate::ring::{Ring, Since, millis};
use crate::share::Terms;
use crate::window::Window;
use agents::{Books, MAIL, TIMERS};
use base::{Budget, Digest, Group};
use guest::{Agent, Builder, Enrolment, Host, Replicas, Supervision, Turns, Version};
use mesh::Mesh;
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use store::Store;
use tokio::sync::{OnceCell, watch};

/// What a village is made with.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where it keeps what must last. Made if it isn't there.
    pub data: PathBuf,
    /// Groups by name, with the name of the group that each is in.
    pub groups: BTreeMap<String, (Group, Option<String>)>,
    /// How the agents of a group are looked after, for groups where somebody says.
    pub supervised: BTreeMap<String, Supervision>,
    /// What an agent may use where nobody says.
    pub budget: Budget,
    /// How much of its journal is kept.
    pub journal: Keep,
    /// How it meets other villages; without this it is alone. Folders in it are replaced by ones in the data folder.
    pub mesh: Option<mesh::Settings>,
    /// What other villages may have of it.
    pub terms: Terms,
    /// Who answers the prompts of its agents; without this nobody does, unless the host has somebody.
    pub models: Option<model::Settings>,
    /// The model of this machine that makes vectors of what agents remember; without this that is found by its words.
    pub embedder: Option<String>,
}

/// The agents of one node. Cheap to clone; they end when the last one is gone.
#[derive(Clone)]
pub struct Village(Arc<Inner>);

struct Inner {
    host: Host,
    mesh: Option<Mesh>,
    terms: Terms,
    /// Held by those that lend or fetch components, and alone by whoever takes back what is lent.
    lending: tokio::sync::RwLock<()>,
    registry: Registry,
    _folder: Folder,
    data: PathBuf,
    agents: RwLock<BTreeMap<Arc<str>, Arc<Resident>>>,
    groups: BTreeMap<String, Grouped>,
    budget: Budget,
    /// Versions that some agent is made of, or soon.
    versions: Mutex<HashMap<Digest, Arc<OnceCell<Version>>>>,
    /// Components that somebody needs who has no row yet.
    holds: Arc<Holds>,
    /// Held by whoever lets components go.
    sweeping: tokio::sync::Mutex<()>,
    /// Names of agents that are being deployed.
    coming: Mutex<BTreeSet<Arc<str>>>,
    events: Ring<Event>,
    window: Window,
    swaps: Mutex<Swaps>,
    /// Messages with keys that were accepted.
    keyed: AtomicU64,
    stopping: AtomicBool,
    under_way: watch::Sender<u64>,
    begun: Instant,
}

/// A name that is taken for an agent that is being deployed.
pub(crate) struct Coming {
    village: Village,
    name: Arc<str>,
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.village.0.coming.lock().remove(&self.name);
    }
}

/// Events that are kept, and their bytes.
const EVENTS: usize = 4_096;
const EVENT_BYTES: usize = 1 << 20;

/// Rows that are read at once.
const PAGE: usize = 1_000;

/// How soon it is tried again to make an agent for which something waits.
const AGAIN: Duration = Duration::from_secs(1);

/// How long an agent may take to end that was stopped.
const LAST: Duration = Duration::from_secs(5);

impl Village {
    /// Opens a village: its agents are those that it had. Refused while another one has the data folder.
    pub async fn begin(host: Builder, options: Options) -> Result<Village, Error> {
        let Options { data, groups, supervised, budget, journal, mesh, terms, models, embedder } = options;
        terms.most(budget)?;
        let folder = Folder::take(&data)?;
        let place = data.join("store");
        let store = apart(move || Store::open(&place, store::Options::default())).await?;
        let books = Books::open(store).await?;
        let (mesh, asks) = crate::peers::begin(mesh, &data).await?;
        let host = match &mesh {
            Some(mesh) => host.mesh(mesh.clone()),
            None => host,
        };
        let host = match crate::models::begin(models).await? {
            Some(models) => host.models(models),
            None => host,
        };
        let host = match embedder {
            Some(embedder) => host.embedder(embedder),
            None => host,
        };
        let host = host.books(books.clone()).build()?;
        let mut groups = groups;
        crate::groups::changed(books.store(), &mut groups)?;
        let groups = crate::groups::made(&host, groups)?;
        supervised.iter().for_each(|(group, plan)| host.supervise_group(group, *plan));
        let village = Village(Arc::new(Inner {
            host,
            mesh,
            terms,
            lending: tokio::sync::RwLock::default(),
            registry: Registry::new(books),
            _folder: folder,
            data,
            agents: RwLock::default(),
            groups,
            budget,
            versions: Mutex::default(),
            holds: Arc::default(),
            sweeping: tokio::sync::Mutex::default(),
            coming: Mutex::default(),
            events: Ring::new(EVENTS, EVENT_BYTES),
            window: Window::default(),
            swaps: Mutex::default(),
            keyed: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            under_way: watch::Sender::new(0),
            begun: Instant::now(),
        }));
        village.sweep().await?;
        village.gather().await?;
        village.look_after_keys();
        village.hear_of_replicas();
        village.keep_short(journal);
        if let Some(asks) = asks {
            village.answer_peers(asks);
            village.look_after_cards();
        }
        village.tell_of("", What::Up { agents: village.residents().len() as u64 });
        Ok(village)
    }

    /// Takes up the agents that are kept. One that can't be is there all the same, and says why.
    async fn gather(&self) -> Result<(), Error> {
        let mut after = String::new();
        loop {
            let rows = self.registry().rows(&after, PAGE)?;
            let Some(last) = rows.last() else { break };
            after.clone_from(&last.name);
            for row in rows {
                let resident = Resident::new(&row.name, row.wanted);
                if row.wanted == Wanted::Running
                    && let Err(error) = self.enrol(&row).await
                {
                    self.failed(&resident, &error);
                }
                self.settle(resident);
            }
        }
        self.wake_those_with_work();
        Ok(())
    }

    /// Makes the agents for which something is kept that must not wait until somebody sends them another message.
    fn wake_those_with_work(&self) {
        let village = self.clone();
        // It ends when each was woken, or the village stops.
        tokio::spawn(async move {
            for name in village.with_work().unwrap_or_default() {
                while let Ok(resident) = village.resident(&name)
                    && village.open().is_ok()
                    && resident.open().is_ok()
                {
                    match village.awake(&resident).await {
                        Ok(_) => break,
                        // There may be room later.
                        Err(_) => tokio::time::sleep(AGAIN).await,
                    }
                }
            }
        });
    }

    /// Agents with messages that wait or that they send later; of those that agents created, the first of the line.
    fn with_work(&self) -> Result<Vec<String>, Error> {
        let read = self.books().store().read();
        let mut names = std::collections::BTreeSet::new();
        let line = |name: &str| name.split('/').next().unwrap_or_default().to_string();
        let mut after: Option<String> = None;
        while let Some(((name, _), _)) =
            read.scan(MAIL.all(), after.as_deref().map(|name| (name, u64::MAX)), 1)?.into_iter().next()
        {
            names.insert(line(&name));
            after = Some(name);
        }
        after = None;
        while let Some(((name, _), _)) =
            read.scan(TIMERS.all(), after.as_deref().map(|name| (name, u64::MAX)), 1)?.into_iter().next()
        {
            names.insert(line(&name));
            after = Some(name);
        }
        Ok(names.into_iter().collect())
    }

    /// Refuses what is new once the village is stopping.
    pub(crate) fn open(&self) -> Result<(), Error> {
        match self.0.stopping.load(Relaxed) {
            true => Err(Error::Stopping),
            false => Ok(()),
        }
    }

    pub(crate) fn host(&self) -> &Host {
        &self.0.host
    }

    /// The way to other villages; none if this one is alone.
    pub fn mesh(&self) -> Option<&Mesh> {
        self.0.mesh.as_ref()
    }

    /// What other villages may have of this one.
    pub(crate) fn terms(&self) -> &Terms {
        &self.0.terms
    }

    /// Who answers the prompts of its agents; none if no back end is named.
    pub fn models(&self) -> Option<&Arc<model::Router>> {
        self.0.host.models()
    }

    pub(crate) fn lending(&self) -> &tokio::sync::RwLock<()> {
        &self.0.lending
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.0.registry
    }

    pub(crate) fn defaults(&self) -> Budget {
        self.0.budget
    }

    pub(crate) fn holds(&self) -> &Arc<Holds> {
        &self.0.holds
    }

    pub(crate) fn sweeping(&self) -> &tokio::sync::Mutex<()> {
        &self.0.sweeping
    }

    pub(crate) fn loaded(&self) -> &Mutex<HashMap<Digest, Arc<OnceCell<Version>>>> {
        &self.0.versions
    }

    pub(crate) fn begun(&self) -> Instant {
        self.0.begun
    }

    pub(crate) fn window(&self) -> &Window {
        &self.0.window
    }

    /// The folder of all that is kept.
    pub(crate) fn data(&self) -> &Path {
        &self.0.data
    }

    /// The way to this village for as long as somebody has it.
    pub(crate) fn weakly(&self) -> impl Fn() -> Option<Village> + Send + use<> {
        let weak = Arc::downgrade(&self.0);
        move || weak.upgrade().map(Village)
    }

    pub(crate) fn swaps(&self) -> &Mutex<Swaps> {
        &self.0.swaps
    }

    pub(crate) fn keyed_count(&self) -> &AtomicU64 {
        &self.0.keyed
    }

    pub(crate) fn groups(&self) -> &BTreeMap<String, Grouped> {
        &self.0.groups
    }

    pub(crate) fn stopping(&self) -> &AtomicBool {
        &self.0.stopping
    }

    pub(crate) fn under_way(&self) -> &watch::Sender<u64> {
        &self.0.under_way
    }

    /// All agents, in the order of their names.
    pub(crate) fn residents(&self) -> Vec<Arc<Resident>> {
        self.0.agents.read().values().cloned().collect()
    }

    /// What happened since a number.
    pub fn events(&self, id: u64, most: usize) -> Since<Event> {
        self.0.events.since(id, most, false)
    }

    /// Tells when something happens: the number of the last event.
    pub fn happens(&self) -> watch::Receiver<u64> {
        self.0.events.watch()
    }

    /// An id for a message that is not kept: no other has it.
    pub(crate) fn id(&self) -> String {
        format!("{:x}", self.books().number())
    }

    pub(crate) fn books(&self) -> &Arc<Books> {
        self.0.registry.books()
    }

    pub(crate) fn group(&self, name: Option<&str>) -> Result<Option<&guest::Group>, Error> {
        match name {
            None => Ok(None),
            Some(name) => match self.0.groups.get(name) {
                Some(grouped) => Ok(Some(&grouped.group)),
                None => Err(Error::Group { name: name.into() }),
            },
        }
    }

    pub(crate) fn resident(&self, name: &str) -> Result<Arc<Resident>, Error> {
        let there = self.0.agents.read().get(name).cloned();
        there.ok_or_else(|| self.unknown(name))
    }

    /// There is no agent of that name.
    pub(crate) fn unknown(&self, name: &str) -> Error {
        let agents = self.0.agents.read();
        let nearest = base::nearest(name, agents.keys().map(|name| &**name)).map(Into::into);
        Error::Unknown { name: name.into(), nearest }
    }

    /// Takes a name for an agent that is being deployed: nobody else gets it until the answer is dropped.
    pub(crate) fn take_name(&self, name: &str) -> Result<Coming, Error> {
        let mut coming = self.0.coming.lock();
        // Looked at while that is locked: whoever settles has not dropped its own before.
        if self.0.agents.read().contains_key(name) || !coming.insert(name.into()) {
            return Err(Error::Exists { name: name.into() });
        }
        Ok(Coming { village: self.clone(), name: name.into() })
    }

    pub(crate) fn settle(&self, resident: Arc<Resident>) {
        self.0.agents.write().insert(resident.name.clone(), resident);
    }

    pub(crate) fn unsettle(&self, name: &str) {
        let gone = self.0.agents.write().remove(name);
        drop(gone);
    }

    pub(crate) fn tell_of(&self, agent: &str, what: What) {
        let bytes = what.bytes() + agent.len();
        self.0.events.push(millis(), bytes, Event { agent: agent.into(), what });
    }

    /// A component in a form that runs. It is loaded once.
    pub(crate) async fn version(&self, digest: Digest) -> Result<Version, Error> {
        let cell = self.0.versions.lock().entry(digest).or_default().clone();
        let version = cell
            .get_or_try_init(async || {
                let bytes = self.0.registry.component(&digest).await?.ok_or(Error::Component { digest })?;
                Ok::<_, Error>(self.0.host.load(&bytes).await?)
            })
            .await;
        if version.is_err() {
            self.0.versions.lock().remove(&digest);
        }
        version.cloned()
    }

    /// The agent, made now if it isn't there.
    pub(crate) async fn awake(&self, resident: &Resident) -> Result<Arc<Agent>, Error> {
        resident.open()?;
        if let Some(agent) = self.present(&resident.name) {
            return Ok(agent);
        }
        let _changing = resident.changing.lock().await;
        resident.open()?;
        if let Some(agent) = self.present(&resident.name) {
            return Ok(agent);
        }
        match self.make(&resident.name).await {
            Ok(agent) => {
                resident.made(None);
                self.tell_of(&resident.name, What::Woken);
                Ok(agent)
            }
            Err(error) => {
                self.failed(resident, &error);
                let (name, kind, text) = (resident.name.to_string(), error.kind(), error.to_string());
                Err(Error::Asleep { name, kind, text })
            }
        }
    }

    /// The agent, if it is there.
    pub(crate) fn present(&self, name: &str) -> Option<Arc<Agent>> {
        self.0.host.awake(name).filter(|agent| !agent.ended())
    }

    /// Notes that an agent can't be made.
    fn failed(&self, resident: &Resident, error: &Error) {
        let message = error.to_string();
        resident.made(Some(message.clone()));
        self.tell_of(&resident.name, What::Failed { kind: error.kind().into(), message });
    }

    async fn make(&self, name: &str) -> Result<Arc<Agent>, Error> {
        if let Some(agent) = self.0.host.wake(name)? {
            return Ok(agent);
        }
        // It could not be taken up when the village began.
        let gone = || Error::Kept(format!("there is no row of the agent `{name}`"));
        self.enrol(&self.0.registry.row(name)?.ok_or_else(gone)?).await?;
        self.0.host.wake(name)?.ok_or_else(gone)
    }

    /// Puts an agent on the host's roll: it is made when somebody sends it a message, another agent perhaps.
    pub(crate) async fn enrol(&self, row: &Registration) -> Result<(), Error> {
        let replicas = self.0.registry.replicas(&row.name)?;
        self.enrol_with(row, self.0.registry.turns(&row.name)?, replicas).await
    }

    /// The same, with how its turns are tried, recorded and looked after, and how many replicas it may have.
    pub(crate) async fn enrol_with(&self, row: &Registration, turns: Turns, replicas: Replicas) -> Result<(), Error> {
        let Turns { retry, record, care } = turns;
        let version = self.version(row.digest()?).await?;
        let enrolment = Enrolment {
            version,
            budget: row.budget()?,
            grants: Arc::new(row.grants()?),
            group: self.group(row.group.as_deref())?.cloned(),
            retry,
            record,
            care,
            replicas,
        };
        if let Some(group) = &row.group {
            self.0.host.join_group(group, &row.name, row.deployed);
        }
        match self.0.host.enrol(&row.name, enrolment) {
            Ok(()) | Err(guest::Error::Taken { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes an agent off the roll, in the midst of a turn if need be, and waits until nothing more comes of it.
    pub(crate) async fn end(&self, resident: &Resident) {
        let agent = self.0.host.awake(&resident.name);
        self.0.host.expel(&resident.name);
        let Some(agent) = agent else { return };
        agent.stop();
        resident.collect(&agent);
        for _ in 0..LAST.as_millis() {
            if agent.ended() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
