//! The village: who is in it, and the way to each.

use crate::error::Error;
use crate::event::{Event, What};
use crate::folder::Folder;
use crate::registry::Registry;
use crate::resident::Resident;
use crate::ring::{Ring, Since, millis};
use crate::window::Window;
use base::{Budget, Digest, Group};
use guest::{Agent, Host, Version};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::{OnceCell, watch};

/// What a village is made with.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where it keeps what must last. Made if it isn't there.
    pub data: PathBuf,
    /// Groups by name, with the name of the group that each is in.
    pub groups: BTreeMap<String, (Group, Option<String>)>,
    /// What an agent may use where nobody says.
    pub budget: Budget,
}

/// The agents of one node. Cheap to clone; they end when the last one is gone.
#[derive(Clone)]
pub struct Village(Arc<Inner>);

struct Inner {
    host: Host,
    registry: Registry,
    _folder: Folder,
    agents: RwLock<BTreeMap<Arc<str>, Arc<Resident>>>,
    groups: BTreeMap<String, Grouped>,
    budget: Budget,
    /// Versions that some agent is made of, or soon.
    versions: Mutex<HashMap<Digest, Arc<OnceCell<Version>>>>,
    /// Components that were uploaded a short while ago.
    uploads: Mutex<Vec<(Instant, Digest)>>,
    /// Held by whoever changes which agents there are.
    changes: tokio::sync::Mutex<()>,
    events: Ring<Event>,
    window: Window,
    stopping: AtomicBool,
    under_way: watch::Sender<u64>,
    numbers: AtomicU64,
    born: u64,
    begun: Instant,
}

pub(crate) struct Grouped {
    pub(crate) budget: Mutex<Group>,
    pub(crate) within: Option<String>,
    pub(crate) group: guest::Group,
}

/// Events that are kept, and their bytes.
const EVENTS: usize = 4_096;
const EVENT_BYTES: usize = 1 << 20;

/// How long a component stays that was uploaded and that no agent is made of.
const SPARED: Duration = Duration::from_secs(600);

/// So many such components stay.
const UPLOADS: usize = 16;

impl Village {
    /// Opens a village: its agents are those that it had. Refused while another one has the data folder.
    pub async fn begin(host: Host, options: Options) -> Result<Village, Error> {
        let Options { data, groups, budget } = options;
        let folder = Folder::take(&data)?;
        let registry = Registry::default();
        let groups = make_groups(&host, groups)?;
        let mut agents = BTreeMap::new();
        for (name, wanted) in registry.names()? {
            let resident = Resident::new(&name, wanted);
            agents.insert(resident.name.clone(), resident);
        }
        registry.sweep(&[]).await?;
        let count = agents.len() as u64;
        let village = Village(Arc::new(Inner {
            host,
            registry,
            _folder: folder,
            agents: RwLock::new(agents),
            groups,
            budget,
            versions: Mutex::default(),
            uploads: Mutex::default(),
            changes: tokio::sync::Mutex::default(),
            events: Ring::new(EVENTS, EVENT_BYTES),
            window: Window::default(),
            stopping: AtomicBool::new(false),
            under_way: watch::Sender::new(0),
            numbers: AtomicU64::new(1),
            born: millis(),
            begun: Instant::now(),
        }));
        village.tell_of("", What::Up { agents: count });
        Ok(village)
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

    pub(crate) fn registry(&self) -> &Registry {
        &self.0.registry
    }

    pub(crate) fn defaults(&self) -> Budget {
        self.0.budget
    }

    pub(crate) fn changes(&self) -> &tokio::sync::Mutex<()> {
        &self.0.changes
    }

    pub(crate) fn begun(&self) -> Instant {
        self.0.begun
    }

    pub(crate) fn window(&self) -> &Window {
        &self.0.window
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

    /// An id that no other message has, also not one of another day.
    pub(crate) fn id(&self) -> String {
        format!("{:x}-{}", self.0.born, self.0.numbers.fetch_add(1, Relaxed))
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
        let agents = self.0.agents.read();
        agents.get(name).cloned().ok_or_else(|| {
            let nearest = base::nearest(name, agents.keys().map(|name| &**name)).map(Into::into);
            Error::Unknown { name: name.into(), nearest }
        })
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

    /// Keeps a component from being swept away for a while.
    pub(crate) async fn spare(&self, digest: Digest) -> Result<(), Error> {
        let now = Instant::now();
        {
            let mut uploads = self.0.uploads.lock();
            uploads.retain(|(since, known)| now - *since < SPARED && *known != digest);
            uploads.push((now, digest));
            let excess = uploads.len().saturating_sub(UPLOADS);
            uploads.drain(..excess);
        }
        self.sweep().await
    }

    /// Lets go what nobody is made of: components, and versions in memory.
    pub(crate) async fn sweep(&self) -> Result<(), Error> {
        let spare: Vec<_> = self.0.uploads.lock().iter().map(|(_, digest)| *digest).collect();
        self.0.registry.sweep(&spare).await?;
        let known: Vec<_> = self.0.versions.lock().keys().copied().collect();
        for digest in known {
            if self.0.registry.component(&digest)?.is_none() {
                self.0.versions.lock().remove(&digest);
            }
        }
        Ok(())
    }

    /// A component in a form that runs. It is loaded once.
    pub(crate) async fn version(&self, digest: Digest) -> Result<Version, Error> {
        let cell = self.0.versions.lock().entry(digest).or_default().clone();
        let version = cell
            .get_or_try_init(async || {
                let bytes = self.0.registry.component(&digest)?.ok_or(Error::Component { digest })?;
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
        if let Some(agent) = resident.agent()? {
            return Ok(agent);
        }
        let _changing = resident.changing.lock().await;
        if let Some(agent) = resident.agent()? {
            return Ok(agent);
        }
        match self.make(&resident.name).await {
            Ok(agent) => {
                resident.woken(agent.clone());
                self.tell_of(&resident.name, What::Woken);
                Ok(agent)
            }
            Err(error) => {
                let (kind, text) = (error.kind(), error.to_string());
                resident.failed(text.clone());
                self.tell_of(&resident.name, What::Failed { kind: kind.into(), message: text.clone() });
                Err(Error::Asleep { name: resident.name.to_string(), kind, text })
            }
        }
    }

    async fn make(&self, name: &str) -> Result<Arc<Agent>, Error> {
        let gone = || Error::Kept(format!("there is no row of the agent `{name}`"));
        let row = self.0.registry.row(name)?.ok_or_else(gone)?;
        let version = self.version(row.digest()?).await?;
        let (budget, grants) = (row.budget()?, row.grants()?);
        let group = self.group(row.group.as_deref())?;
        Ok(Arc::new(self.0.host.start_as(name, &version, budget, grants, group)?))
    }
}

/// Makes groups, those that are within others after them.
fn make_groups(
    host: &Host,
    mut wanted: BTreeMap<String, (Group, Option<String>)>,
) -> Result<BTreeMap<String, Grouped>, Error> {
    let mut made: BTreeMap<String, Grouped> = BTreeMap::new();
    while !wanted.is_empty() {
        let ready = |(_, within): &(Group, Option<String>)| within.as_ref().is_none_or(|name| made.contains_key(name));
        let next = wanted.iter().find(|(_, group)| ready(group)).map(|(name, _)| name.clone());
        let Some(name) = next else {
            let names: Vec<_> = wanted.into_keys().collect();
            let said = format!("groups within each other, or within one that is not there: {}", names.join(", "));
            return Err(Error::Bad(said));
        };
        let Some((budget, within)) = wanted.remove(&name) else { continue };
        let above = within.as_ref().and_then(|name| made.get(name));
        let group = host.group(&budget, above.map(|above| &above.group));
        made.insert(name, Grouped { budget: Mutex::new(budget), within, group });
    }
    Ok(made)
}
