//! The one place where the engine is made, and where components are loaded.

use crate::cache::Cache;
use crate::compiler::{self, Compiler};
use crate::shape::Shape;
use base::Digest;
use std::path::PathBuf;
use std::sync::Arc;
use wasmtime::component::Component;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

/// How many instances may live at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// Exactly so many.
    Slots(u32),
    /// As many as the machine's settings allow, up to some ten thousand.
    Machine,
}

/// What instances take of the pool: each a slot, with an ordinary instance's memory and tables; what it has beyond
/// those comes from a stock that all share, so that whoever has many takes nobody's slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Instances.
    pub slots: u32,
    /// Memories beyond the first.
    pub memories: u32,
    /// Tables beyond the first four.
    pub tables: u32,
}

impl Room {
    /// What one instance of a component takes.
    pub(crate) fn of(component: &Component) -> Room {
        // None is for components that import modules, which is not offered.
        let (memories, tables) = component
            .resources_required()
            .map_or((MOST_MEMORIES, MOST_TABLES), |needs| (needs.num_memories, needs.num_tables));
        Room { slots: 1, memories: memories.saturating_sub(1), tables: tables.saturating_sub(TABLES) }
    }

    /// What there is where so many instances may live.
    fn in_all(slots: u32) -> Room {
        Room { slots, memories: slots / 8 + MOST_MEMORIES, tables: slots / 4 + MOST_TABLES }
    }

    /// What is left when `other` is taken from it; none if that is too much.
    pub fn less(self, other: Room) -> Option<Room> {
        Some(Room {
            slots: self.slots.checked_sub(other.slots)?,
            memories: self.memories.checked_sub(other.memories)?,
            tables: self.tables.checked_sub(other.tables)?,
        })
    }

    /// What is enough for either of two.
    pub fn or(self, other: Room) -> Room {
        Room {
            slots: self.slots.max(other.slots),
            memories: self.memories.max(other.memories),
            tables: self.tables.max(other.tables),
        }
    }

    /// The same with what `other` took.
    pub fn and(self, other: Room) -> Room {
        Room {
            slots: self.slots + other.slots,
            memories: self.memories + other.memories,
            tables: self.tables + other.tables,
        }
    }
}

/// Tables that come with a slot: a module's own, and those of the adapters that tools put around it.
const TABLES: u32 = 4;

/// The most that one component may have.
const MOST_MEMORIES: u32 = 8;
const MOST_TABLES: u32 = 32;
const MOST_INSTANCES: u32 = 64;

/// How to make an [`Engine`].
#[derive(Debug, Clone)]
pub struct Settings {
    /// How many instances may live at once.
    pub pool: Pool,
    /// Where compiled components are kept. Must belong to this user alone.
    pub cache: PathBuf,
    /// Where components are compiled.
    pub compiler: Compiler,
}

/// Compiles, caches and instantiates components.
#[derive(Clone)]
pub struct Engine {
    engine: wasmtime::Engine,
    layout: Layout,
    slots: u32,
    cache: Arc<Cache>,
    compiler: Compiler,
}

/// How linear memories lie in the address space. It is part of the compiled code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// 4 GiB are reserved for each, so that no access needs a check.
    Reserved,
    /// Where address space is short: as much as is used, with checks.
    Compact,
}

/// Why a component can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is something else.
    #[error("not a component that can run here: {reason}")]
    NotComponent {
        /// What it is, and what to do about it.
        reason: String,
    },
    /// It is a component, of another world.
    #[error("the component does not fit: {}", .problems.join("; "))]
    Unfit {
        /// Everything that is missing or too much.
        problems: Vec<String>,
    },
    /// The compiler gave up.
    #[error("it can't be compiled: {reason}")]
    Compile {
        /// Why.
        reason: String,
    },
    /// It was loaded, and traps before it can serve.
    #[error("it can't serve: {what} failed: {fault}")]
    CantServe {
        /// What it was doing.
        what: &'static str,
        /// How it failed.
        fault: crate::Fault,
    },
    /// The cache can't be used.
    #[error("the cache of compiled components at {}: {reason}", .path.display())]
    Cache {
        /// Its folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The host's own fault.
    #[error("the engine: {0}")]
    Engine(String),
}

impl Error {
    /// The word that programs know it by.
    pub fn kind(&self) -> &'static str {
        match self {
            Error::NotComponent { .. } | Error::Unfit { .. } | Error::Compile { .. } => "invalid-component",
            Error::CantServe { fault, .. } => fault.kind(),
            Error::Cache { .. } => "cache",
            Error::Engine(_) => "internal",
        }
    }
}

impl Engine {
    /// Makes an engine. Where 4 GiB of address space an instance can't be had, memories are laid out compactly.
    pub fn new(settings: &Settings) -> Result<Engine, Error> {
        let slots = match settings.pool {
            Pool::Slots(slots) => slots.max(1),
            Pool::Machine => machine_slots(),
        };
        let reserved = wasmtime::Engine::new(&config(Layout::Reserved, Some(slots)));
        let (engine, layout) = match reserved {
            Ok(engine) => (engine, Layout::Reserved),
            Err(_) => (make(&config(Layout::Compact, Some(slots)))?, Layout::Compact),
        };
        let cache = Arc::new(Cache::open(&settings.cache)?);
        Ok(Engine { engine, layout, slots, cache, compiler: settings.compiler.clone() })
    }

    /// Loads a component: from the cache if it was compiled before, else by compiling it.
    pub async fn load(&self, bytes: &[u8]) -> Result<(Component, Digest, Shape), Error> {
        let shape = Shape::read(bytes)?;
        let digest = Digest::of(bytes);
        let name = self.cache.name(&digest, compiler::compatibility(&self.engine));
        if let Some(component) = self.cached(&name) {
            return Ok((component, digest, shape));
        }
        // One compilation at a time, also among several villages with one cache.
        let _turn = self.cache.turn().await?;
        if let Some(component) = self.cached(&name) {
            return Ok((component, digest, shape));
        }
        let native = self.compiler.compile(&self.engine, self.layout, bytes).await?;
        self.cache.put(&name, &native)?;
        let component = self.deserialize(&native).map_err(|error| Error::Compile { reason: format!("{error:#}") })?;
        Ok((component, digest, shape))
    }

    /// The engine itself, for what only it can do.
    pub fn wasmtime(&self) -> &wasmtime::Engine {
        &self.engine
    }

    /// How many instances may live at once.
    pub fn slots(&self) -> u32 {
        self.slots
    }

    /// What instances may take, all together.
    pub fn room(&self) -> Room {
        Room::in_all(self.slots)
    }

    /// Whether memories had to be laid out compactly, which makes guests slower.
    pub fn compact(&self) -> bool {
        self.layout == Layout::Compact
    }

    fn cached(&self, name: &str) -> Option<Component> {
        // What can't be read or used is compiled anew, and replaced.
        let native = self.cache.get(name)?;
        self.deserialize(&native).ok()
    }

    fn deserialize(&self, native: &[u8]) -> wasmtime::Result<Component> {
        // SAFETY: the bytes are native code. They come from our own compiler, either just now or from the cache, which
        // belongs to this user alone and answers only bytes that carry its own seal.
        #[allow(unsafe_code)]
        unsafe {
            Component::deserialize(&self.engine, native)
        }
    }
}

pub(crate) fn make(config: &Config) -> Result<wasmtime::Engine, Error> {
    wasmtime::Engine::new(config).map_err(|error| Error::Engine(format!("{error:#}")))
}

/// The one configuration. Without slots it is for compiling only.
pub(crate) fn config(layout: Layout, slots: Option<u32>) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // Three times the cost of a call, for what the contract does not use.
        .concurrency_support(false)
        .epoch_interruption(true)
        // A 64-bit memory would not fit its reservation.
        .wasm_memory64(false)
        .max_wasm_stack(512 << 10)
        .async_stack_size(1 << 20);
    if layout == Layout::Compact {
        config.memory_reservation(0).memory_reservation_for_growth(1 << 20).memory_guard_size(64 << 10);
    } else if let Some(slots) = slots {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(slots)));
    }
    config
}

/// What is kept resident of a freed slot, for the next instance.
const KEEP: usize = 1 << 20;

fn pool(slots: u32) -> PoolingAllocationConfig {
    let room = Room::in_all(slots);
    // An agent that is stopped gives its place back at once, and its instance once a worker has let go of it. The
    // workers do that first, so there is one such instance for each at most.
    let leaving = std::thread::available_parallelism().map_or(4, |count| (count.get() as u32).max(4));
    let slots = slots + leaving;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        // Only a number: it reserves nothing.
        .total_core_instances(slots.saturating_mul(MOST_INSTANCES))
        .total_memories(slots + room.memories + leaving * MOST_MEMORIES)
        .total_tables(slots.saturating_mul(TABLES) + room.tables + leaving * MOST_TABLES)
        .total_stacks(slots)
        .max_core_instances_per_component(MOST_INSTANCES)
        .max_memories_per_component(MOST_MEMORIES)
        .max_memories_per_module(MOST_MEMORIES)
        .max_tables_per_component(MOST_TABLES)
        .max_tables_per_module(MOST_TABLES)
        .max_memory_size(1 << 32)
        .table_elements(32 << 10)
        .max_unused_warm_slots(slots.min(64))
        .decommit_batch_size(16)
        .linear_memory_keep_resident(KEEP)
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(16 << 10)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// How many instances fit into what the kernel lets a process map: six mappings each, and some for the host.
fn machine_slots() -> u32 {
    const MOST: u32 = 10_400;
    const EACH: u32 = 6;
    const HOST: u32 = 3_000;
    match std::fs::read_to_string("/proc/sys/vm/max_map_count").ok().and_then(|text| text.trim().parse::<u32>().ok()) {
        Some(maps) => (maps.saturating_sub(HOST) / EACH).clamp(16, MOST),
        // Other systems have no such limit, or it isn't known.
        None => 1_000,
    }
}
