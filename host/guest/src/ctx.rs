//! The state of one guest: what stands behind its imports.

use crate::abroad::Chain;
use crate::accounts::Accounts;
use crate::effects::Effects;
use crate::fetched::Wire;
use crate::grants::Grants;
use crate::host::Version;
use crate::imports::http::Http;
use crate::imports::streams::{Input, Output};
use crate::service;
use crate::spaces::Staged;
use crate::standing::Standing;
use crate::state::Writes;
use crate::tape::{Bytes, Record, Tape};
use crate::workspace;
use agents::{Did, Lasting, Mail};
use parking_lot::RwLock;
use runtime::{Begin, Card, Chunk, Denied, Failure, Fault, Guest, Limiter, Message, Quota, Reply};
use std::sync::Arc;
use store::Change;
use tokio::sync::mpsc::UnboundedSender;
use wasmtime::Store;
use wasmtime::component::{InstancePre, ResourceTable};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

/// What stands behind the imports of one instance.
pub struct Ctx {
    limiter: Limiter,
    pub(crate) table: ResourceTable,
    pub(crate) grants: Arc<Grants>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) standing: Arc<Standing>,
    /// What this is an instance of.
    pub(crate) version: Version,
    /// What the turn under way has written.
    pub(crate) writes: Writes,
    /// What it will have done to others. Most turns do nothing to others.
    effects: Option<Box<Effects>>,
    /// What it will have done to spaces of memory. Shared with the thread that searches them.
    pub(crate) staged: Option<Arc<RwLock<Staged>>>,
    /// The message that it handles, where what it is answered must be kept.
    pub(crate) turn: Option<Turn>,
    /// Where what it reads is written down, or read from.
    pub(crate) tape: Tape,
    /// The same for what the web answers it.
    pub(crate) wire: Wire,
    /// Who waits in other villages, or for those that do, for what comes of the message that it handles.
    pub(crate) chain: Option<Chain>,
    /// Requests of this turn that changed something elsewhere.
    pub(crate) posts: u32,
    /// Where parts of its reply go.
    pub(crate) chunks: Option<UnboundedSender<Chunk>>,
    /// To be told before anything leaves the turn that it cannot take back; none once it was.
    pub(crate) leaving: Option<Arc<dyn runtime::Leaving>>,
    /// When the turn under way must have ended.
    pub(crate) until: u64,
    /// When the message that it handles was accepted, in Unix milliseconds; 0 if it handles none.
    pub(crate) accepted: u64,
    /// Bytes of files that this instance deleted, and may still hold open.
    pub(crate) deleted: u64,
    /// How many descriptors of files it has.
    pub(crate) open: usize,
    /// Shared with every stream of a file that it has.
    pub(crate) streams: Arc<()>,
    /// Most agents never use it, so it is made when it is first used.
    wasi: Option<Box<WasiCtx>>,
    /// The same goes for this.
    pub(crate) http: Option<Box<Http>>,
    program: Option<Arc<Program>>,
}

/// A turn whose message is tried again if it fails.
pub(crate) struct Turn {
    pub(crate) id: String,
    /// Whether it may have been tried before.
    pub(crate) again: bool,
}

/// What a command is given beside its grants.
pub(crate) struct Program {
    pub(crate) arguments: Vec<String>,
    pub(crate) input: Input,
    pub(crate) output: Output,
    pub(crate) errors: Output,
}

impl Ctx {
    /// `memory` counts what the instance holds: the agent's own, unless two versions of it live.
    pub(crate) fn new(
        standing: Arc<Standing>,
        version: Version,
        memory: &Arc<Quota>,
        program: Option<Arc<Program>>,
    ) -> Result<Ctx, Fault> {
        let (grants, accounts) = (standing.grants.clone(), standing.accounts.clone());
        let full = |_| Fault::Memory { limit: memory.limit(), frames: Vec::new() };
        let limiter = Limiter::new(memory.clone()).map_err(full)?;
        let writes = accounts.state.begin().map_err(|refused| refused.fault(accounts.memory.limit()))?;
        let mut table = ResourceTable::new();
        table.set_max_capacity(limiter.handles());
        Ok(Ctx {
            limiter,
            table,
            grants,
            writes,
            until: u64::MAX,
            accepted: 0,
            accounts,
            standing,
            version,
            effects: None,
            staged: None,
            turn: None,
            tape: Tape::Off,
            wire: Wire::Off,
            chain: None,
            posts: 0,
            chunks: None,
            leaving: None,
            deleted: 0,
            open: 0,
            streams: Arc::new(()),
            wasi: None,
            http: None,
            program,
        })
    }

    /// What the turn under way will have done to others.
    pub(crate) fn effects(&mut self) -> &mut Effects {
        self.effects.get_or_insert_with(|| Box::new(Effects::new(self.standing.clone())))
    }

    /// Something is about to leave the turn that it cannot take back.
    pub(crate) fn leave(&mut self) {
        if let Some(leaving) = self.leaving.take() {
            leaving.leave();
        }
    }

    /// Ends the turn unless `open`: for what has no way to answer `denied`.
    pub(crate) fn insist(&self, open: bool, grant: &str) -> wasmtime::Result<()> {
        match open {
            true => Ok(()),
            false => Err(wasmtime::Error::from(Denied(crate::grants::shut(grant)))),
        }
    }
}

fn wasi(grants: &Grants, accounts: &Arc<Accounts>, program: Option<&Program>) -> wasmtime::Result<WasiCtx> {
    let mut builder = WasiCtx::builder();
    builder.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
    for (name, value) in &grants.env {
        builder.env(name, value);
    }
    for folder in &grants.files {
        let perms = if folder.writable { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
        builder.preopened_dir(&folder.host, &folder.guest, perms)?;
    }
    match program {
        Some(program) => {
            builder.args(&program.arguments);
            builder.stdin(program.input.clone()).stdout(program.output.clone()).stderr(program.errors.clone());
        }
        None => {
            builder.stdout(Output::log(accounts.clone(), crate::Source::Stdout));
            builder.stderr(Output::log(accounts.clone(), crate::Source::Stderr));
        }
    }
    Ok(builder.build())
}

impl Guest for Ctx {
    fn limiter(&mut self) -> &mut Limiter {
        &mut self.limiter
    }

    fn begin(&mut self, turn: Begin<'_>) {
        self.until = turn.until;
        self.accepted = 0;
        self.turn = turn.message.map(|message| Turn { id: message.id.clone(), again: turn.again });
        if !self.tape.is_playing() {
            let wanted = turn.message.is_some() && self.standing.turns().record;
            self.tape = if wanted { Tape::Recording(Box::default()) } else { Tape::Off };
            self.wire = if wanted { Wire::recording() } else { Wire::Off };
        }
        self.chain = None;
        self.posts = 0;
        self.chunks = turn.chunks;
        self.leaving = turn.leaving;
        self.effects = None;
        self.staged = None;
        self.accounts.state.discard(&mut self.writes);
        self.accounts.state.watch(&mut self.writes);
    }

    fn handles(&mut self, message: &Message) {
        self.accepted = message.accepted;
        self.chain = self.standing.house.chain(&message.id);
    }

    fn commit(&mut self) {
        self.accounts.state.commit(&mut self.writes);
        self.chunks = None;
        // What runs apart from its agent does nothing to others.
        if let Some(effects) = self.effects.take()
            && self.accounts.apart.is_none()
        {
            effects.commit();
        }
        // Nobody else has it once the turn has ended.
        if let Some(staged) = self.staged.take().and_then(Arc::into_inner)
            && self.accounts.apart.is_none()
        {
            staged.into_inner().commit();
        }
    }

    type Service = ProxyPre<Ctx>;

    fn service(pre: InstancePre<Ctx>) -> wasmtime::Result<ProxyPre<Ctx>> {
        ProxyPre::new(pre)
    }

    async fn serve(
        service: &ProxyPre<Ctx>,
        store: &mut Store<Ctx>,
        message: &Message,
    ) -> wasmtime::Result<Result<Reply, Failure>> {
        service::handle(service, store, message).await
    }

    fn introduction() -> Card {
        service::card()
    }
}

impl Lasting for Ctx {
    fn record(&mut self, change: &mut Change) -> Did {
        let did = self.effects.as_mut().map(|effects| effects.record(change)).unwrap_or_default();
        let staged = self.staged.as_ref().map_or(0, |staged| staged.write().record(change));
        Did { wrote: self.accounts.state.record(&self.writes, change) + staged, ..did }
    }

    fn recorded(&mut self, message: &Message, outcome: Result<&Reply, &agents::Error>) -> Vec<u8> {
        let Tape::Recording(recording) = std::mem::take(&mut self.tape) else { return Vec::new() };
        let mut record = Record { message: Some(Mail::of(message)), ..self.done(recording.record, outcome) };
        let (web, cut) = self.wire.take();
        record.reads.extend(web);
        record.cut |= cut;
        record.bytes()
    }

    async fn claim(&mut self) -> Result<agents::Claim, agents::Stale> {
        self.accounts.state.claim(&self.writes).await
    }

    fn ring(&mut self) -> Vec<String> {
        self.standing.waits.broken(self.until).map(|ring| ring.to_vec()).unwrap_or_default()
    }
}

impl Ctx {
    /// Adds what the turn has done to what it read.
    pub(crate) fn done(&self, record: Record, outcome: Result<&Reply, &agents::Error>) -> Record {
        let told = self.effects.as_ref().map(|effects| effects.told()).unwrap_or_default();
        let outcome = match outcome {
            Ok(reply) => Ok(Bytes(reply.payload.body.clone())),
            Err(error) => Err(error.kind().to_owned()),
        };
        let mut workspace = workspace::touched(&self.writes);
        if let Some(staged) = &self.staged {
            workspace.extend(staged.read().touched());
        }
        Record { wrote: self.writes.list(), told, outcome: Some(outcome), workspace, ..record }
    }
}

impl WasiView for Ctx {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi.get_or_insert_with(|| {
            let made = wasi(&self.grants, &self.accounts, self.program.as_deref());
            // A folder that has gone since it was granted: the guest finds nothing there.
            Box::new(made.unwrap_or_else(|_| WasiCtx::builder().build()))
        });
        WasiCtxView { ctx: wasi, table: &mut self.table }
    }
}

impl Drop for Ctx {
    fn drop(&mut self) {
        self.accounts.files.shrink(self.deleted);
    }
}
