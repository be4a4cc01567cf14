//! The plain engine: the same components, with nothing of ours around them.

use crate::Error;
use crate::http::Hooks;
use std::time::Instant;
use wasmtime::component::{Component, HasSelf, InstancePre, Linker, ResourceTable};
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::WasiHttpCtx;

#[allow(missing_docs, unreachable_pub)]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package village:plain;
            world plain {
                import village:agent/log@0.1.0;
                import village:agent/state@0.1.0;
                import village:agent/budget@0.1.0;
                export village:agent/agent@0.1.0;
            }
        ",
        world: "village:plain/plain",
        imports: { default: trappable },
        exports: { default: async },
        require_store_data_send: true,
    });
}

use bindings::exports::village::agent::agent::{Message, Sender};
use bindings::village::agent::{budget, log, state, types};

/// The engine with the settings that are best for it, and no metering.
pub(crate) struct Plain {
    engine: wasmtime::Engine,
    linker: Linker<Bare>,
}

/// What stands behind the imports: as little as answers them.
pub(crate) struct Bare {
    pub(crate) table: ResourceTable,
    wasi: Option<Box<WasiCtx>>,
    pub(crate) http: WasiHttpCtx,
    pub(crate) hooks: Hooks,
    until: Instant,
}

pub(crate) type Pre = bindings::PlainPre<Bare>;

/// An instance with its store.
pub(crate) struct Instance {
    pub(crate) store: Store<Bare>,
    exports: bindings::Plain,
}

impl Plain {
    /// `slots` instances; `epochs` has the code check for interruption, as ours must.
    pub(crate) fn new(slots: u32, epochs: bool) -> Result<Plain, Error> {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(slots)
            .total_core_instances(slots * 8)
            .total_memories(slots + slots / 8 + 8)
            .total_tables(slots * 4)
            .total_stacks(slots)
            .max_memory_size(1 << 32)
            .table_elements(32 << 10)
            .max_unused_warm_slots(slots.min(64))
            .decommit_batch_size(16)
            .linear_memory_keep_resident(1 << 20)
            .table_keep_resident(64 << 10)
            .async_stack_keep_resident(16 << 10)
            .pagemap_scan(Enabled::Auto);
        let mut config = Config::new();
        config
            .wasm_component_model(true)
            .concurrency_support(false)
            .epoch_interruption(epochs)
            .async_stack_size(1 << 20)
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = wasmtime::Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        types::add_to_linker::<Bare, HasSelf<Bare>>(&mut linker, |bare| bare)?;
        log::add_to_linker::<Bare, HasSelf<Bare>>(&mut linker, |bare| bare)?;
        state::add_to_linker::<Bare, HasSelf<Bare>>(&mut linker, |bare| bare)?;
        budget::add_to_linker::<Bare, HasSelf<Bare>>(&mut linker, |bare| bare)?;
        Ok(Plain { engine, linker })
    }

    pub(crate) fn load(&self, bytes: &[u8]) -> Result<Pre, Error> {
        Ok(Pre::new(self.link(bytes)?)?)
    }

    /// A component of whatever world.
    pub(crate) fn link(&self, bytes: &[u8]) -> Result<InstancePre<Bare>, Error> {
        let component = Component::new(&self.engine, bytes)?;
        Ok(self.linker.instantiate_pre(&component)?)
    }
}

/// A store with nothing in it yet.
pub(crate) fn store(engine: &wasmtime::Engine) -> Store<Bare> {
    let bare =
        Bare { table: ResourceTable::new(), wasi: None, http: WasiHttpCtx::new(), hooks: Hooks, until: Instant::now() };
    let mut store = Store::new(engine, bare);
    store.set_epoch_deadline(u64::MAX / 2);
    store
}

impl Instance {
    pub(crate) async fn start(pre: &Pre) -> Result<Instance, Error> {
        let mut store = store(pre.engine());
        let exports = pre.instantiate_async(&mut store).await?;
        Ok(Instance { store, exports })
    }

    pub(crate) async fn handle(&mut self, skill: &str, body: &[u8]) -> Result<Vec<u8>, Error> {
        let message = Message {
            id: "0".into(),
            sender: Sender::Client(String::new()),
            skill: skill.into(),
            payload: types::Payload { content_type: String::new(), body: body.into() },
            priority: types::Priority::Normal,
            attempt: 1,
            accepted: 0,
        };
        let reply = self.exports.village_agent_agent().call_handle(&mut self.store, &message).await?;
        reply.map(|reply| reply.payload.body).map_err(|failure| failure.message.into())
    }
}

impl WasiView for Bare {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi.get_or_insert_with(|| Box::new(WasiCtx::builder().build()));
        WasiCtxView { ctx: wasi, table: &mut self.table }
    }
}

type Answer<T> = wasmtime::Result<Result<T, types::Error>>;

fn denied<T>() -> Answer<T> {
    Ok(Err(types::Error::Denied(String::new())))
}

impl types::Host for Bare {}

impl log::Host for Bare {
    fn write(&mut self, _level: log::Level, _message: String) -> Answer<()> {
        Ok(Ok(()))
    }
}

impl state::Host for Bare {
    fn get(&mut self, _key: String) -> Answer<Option<state::Entry>> {
        denied()
    }

    fn set(&mut self, _key: String, _value: Vec<u8>) -> Answer<u64> {
        denied()
    }

    fn swap(&mut self, _key: String, _expected: Option<u64>, _value: Vec<u8>) -> Answer<u64> {
        denied()
    }

    fn delete(&mut self, _key: String) -> Answer<bool> {
        denied()
    }

    fn scan(&mut self, _prefix: String, _after: Option<String>, _limit: u32) -> Answer<Vec<state::Entry>> {
        denied()
    }
}

impl budget::Host for Bare {
    fn list(&mut self) -> Answer<Vec<budget::Allowance>> {
        denied()
    }

    fn remaining(&mut self) -> Answer<u64> {
        Ok(Ok(u64::try_from(self.until.elapsed().as_micros()).unwrap_or(u64::MAX)))
    }
}
