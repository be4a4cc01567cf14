//! Everything that a guest can reach: one file per interface, name for name as in `wit/`.
//!
//! Translation happens here: a refusal becomes a value of the contract; what has no such value ends the turn.

pub(crate) mod agents;
mod budget;
mod clocks;
mod device;
mod files;
pub(crate) mod http;
mod kernels;
mod ledger;
mod log;
mod memory;
mod mesh;
mod model;
mod random;
mod state;
pub(crate) mod streams;
mod supervision;
mod tasks;
mod workspace;

use crate::ctx::Ctx;
use bindings::village::agent::types;
use runtime::Engine;
use types::Error;
use wasmtime::component::{HasSelf, Linker};

#[allow(missing_docs, unreachable_pub, clippy::unwrap_used)]
pub(crate) mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package village:host;
            world imports {
                import village:agent/log@0.1.0;
                import village:agent/state@0.1.0;
                import village:agent/workspace@0.1.0;
                import village:agent/budget@0.1.0;
                import village:agent/agents@0.1.0;
                import village:agent/mesh@0.1.0;
                import village:agent/model@0.1.0;
                import village:agent/memory@0.1.0;
                import village:agent/kernels@0.1.0;
                import village:agent/tasks@0.1.0;
                import village:agent/ledger@0.1.0;
                import village:agent/device@0.1.0;
                import village:agent/supervision@0.1.0;
            }
        ",
        world: "village:host/imports",
        imports: {
            "village:agent/mesh.find": async | trappable,
            "village:agent/memory.ingest": async | trappable,
            "village:agent/memory.search": async | trappable,
            "village:agent/memory.compress": async | trappable,
            "village:agent/model.complete": async | trappable,
            "village:agent/model.embed": async | trappable,
            "village:agent/model.count": async | trappable,
            "village:agent/model.models": async | trappable,
            "village:agent/kernels.open": async | trappable,
            "village:agent/kernels.norm": async | trappable,
            "village:agent/kernels.distance": async | trappable,
            "village:agent/kernels.cosine": async | trappable,
            "village:agent/kernels.top": async | trappable,
            "village:agent/kernels.[method]tensor.read": async | trappable,
            default: trappable,
        },
        with: {
            "wasi:io/poll": wasmtime_wasi::p2::bindings::io::poll,
            "village:agent/agents.pending": crate::imports::agents::Pending,
            "village:agent/kernels.tensor": crate::tensors::Tensor,
            "village:agent/kernels.weights": crate::tensors::Weights,
            "village:agent/kernels.work": super::kernels::Work,
            "village:agent/model.writing": crate::thinking::Writing,
        },
        require_store_data_send: true,
    });
}

/// A linker with everything that is offered. What is not granted is there too, and answers `denied`.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Ctx>> {
    let mut linker = Linker::new(engine.wasmtime());
    village(&mut linker)?;
    wasi(&mut linker)?;
    http::add_to_linker(&mut linker)?;
    Ok(linker)
}

fn village(linker: &mut Linker<Ctx>) -> wasmtime::Result<()> {
    use bindings::village::agent::{
        agents, budget, device, kernels, ledger, log, memory, mesh, model, state, supervision, tasks, types, workspace,
    };
    types::add_to_linker::<Ctx, HasSelf<Ctx>>(linker, |ctx| ctx)?;
    log::add_to_linker::<Ctx, HasSelf<Ctx>>(linker, |ctx| ctx)?;
    state::add_to_linker::<Ctx, HasSelf<Ctx>>(linker, |ctx| ctx)?;
    workspace::add_to_linker::<Ctx, HasSelf<Ctx>>(linker, |ctx| ctx)?;
    budget::add_to_linker::<Ctx, HasSelf<Ctx>>(linker, |ctx| ctx)?;
    agents::add_to_linker::<Ctx, HasSelf<Ctx>>(linker, |ctx| ctx)?;
    mesh::add_to_linker::<Ctx, HasSelf<Ctx>>(linker, |ctx| ctx)?;
    model::add_to_linker::<Ctx, HasSelf<Ctx>>(linker, |ctx| ctx)?;
    memory::add_to_linker::<Ctx, HasSelf<Ctx>>(linker, |ctx| ctx)?;
    kernels::add_to_linker::<Ctx, HasSelf<Ctx>>(linker, |ctx| ctx)?;
    tasks::add_to_linker::<Ctx, HasSelf<Ctx>>(linker, |ctx| ctx)?;
    ledger::add_to_linker::<Ctx, HasSelf<Ctx>>(linker, |ctx| ctx)?;
    device::add_to_linker::<Ctx, HasSelf<Ctx>>(linker, |ctx| ctx)?;
    supervision::add_to_linker::<Ctx, HasSelf<Ctx>>(linker, |ctx| ctx)
}

/// WASI 0.2 as wasmtime has it, but for clocks, random and files, which are ours: they look at grants and budgets.
fn wasi(linker: &mut Linker<Ctx>) -> wasmtime::Result<()> {
    use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, io, random, sockets};
    use wasmtime_wasi::{cli::WasiCli, cli::WasiCliView, filesystem::WasiFilesystem, filesystem::WasiFilesystemView};
    use wasmtime_wasi::{sockets::WasiSockets, sockets::WasiSocketsView};
    io::error::add_to_linker::<Ctx, HasTable>(linker, |ctx| &mut ctx.table)?;
    io::poll::add_to_linker::<Ctx, HasTable>(linker, |ctx| &mut ctx.table)?;
    io::streams::add_to_linker::<Ctx, HasTable>(linker, |ctx| &mut ctx.table)?;
    clocks::wall_clock::add_to_linker::<Ctx, HasSelf<Ctx>>(linker, |ctx| ctx)?;
    clocks::monotonic_clock::add_to_linker::<Ctx, HasSelf<Ctx>>(linker, |ctx| ctx)?;
    random::random::add_to_linker::<Ctx, HasSelf<Ctx>>(linker, |ctx| ctx)?;
    random::insecure::add_to_linker::<Ctx, HasSelf<Ctx>>(linker, |ctx| ctx)?;
    random::insecure_seed::add_to_linker::<Ctx, HasSelf<Ctx>>(linker, |ctx| ctx)?;
    filesystem::types::add_to_linker::<Ctx, HasSelf<Ctx>>(linker, |ctx| ctx)?;
    filesystem::preopens::add_to_linker::<Ctx, WasiFilesystem>(linker, Ctx::filesystem)?;
    cli::exit::add_to_linker::<Ctx, WasiCli>(linker, Ctx::cli)?;
    cli::environment::add_to_linker::<Ctx, WasiCli>(linker, Ctx::cli)?;
    cli::stdin::add_to_linker::<Ctx, WasiCli>(linker, Ctx::cli)?;
    cli::stdout::add_to_linker::<Ctx, WasiCli>(linker, Ctx::cli)?;
    cli::stderr::add_to_linker::<Ctx, WasiCli>(linker, Ctx::cli)?;
    cli::terminal_input::add_to_linker::<Ctx, WasiCli>(linker, Ctx::cli)?;
    cli::terminal_output::add_to_linker::<Ctx, WasiCli>(linker, Ctx::cli)?;
    cli::terminal_stdin::add_to_linker::<Ctx, WasiCli>(linker, Ctx::cli)?;
    cli::terminal_stdout::add_to_linker::<Ctx, WasiCli>(linker, Ctx::cli)?;
    cli::terminal_stderr::add_to_linker::<Ctx, WasiCli>(linker, Ctx::cli)?;
    // Sockets are there because standard libraries name them; no grant opens them.
    let options = sockets::network::LinkOptions::default();
    sockets::network::add_to_linker::<Ctx, WasiSockets>(linker, &options, Ctx::sockets)?;
    sockets::instance_network::add_to_linker::<Ctx, WasiSockets>(linker, Ctx::sockets)?;
    sockets::ip_name_lookup::add_to_linker::<Ctx, WasiSockets>(linker, Ctx::sockets)?;
    sockets::tcp::add_to_linker::<Ctx, WasiSockets>(linker, Ctx::sockets)?;
    sockets::tcp_create_socket::add_to_linker::<Ctx, WasiSockets>(linker, Ctx::sockets)?;
    sockets::udp::add_to_linker::<Ctx, WasiSockets>(linker, Ctx::sockets)?;
    sockets::udp_create_socket::add_to_linker::<Ctx, WasiSockets>(linker, Ctx::sockets)
}

/// The part of a guest's state that streams and pollables live in.
struct HasTable;

impl wasmtime::component::HasData for HasTable {
    type Data<'a> = &'a mut wasmtime::component::ResourceTable;
}

/// Interfaces of the contract; all of version 0.1.
const VILLAGE: [&str; 14] = [
    "types",
    "log",
    "state",
    "workspace",
    "budget",
    "agents",
    "mesh",
    "model",
    "memory",
    "kernels",
    "tasks",
    "ledger",
    "device",
    "supervision",
];

/// Interfaces of WASI; all of version 0.2.
const WASI: [&str; 29] = [
    "cli/environment",
    "cli/exit",
    "cli/stdin",
    "cli/stdout",
    "cli/stderr",
    "cli/terminal-input",
    "cli/terminal-output",
    "cli/terminal-stdin",
    "cli/terminal-stdout",
    "cli/terminal-stderr",
    "clocks/wall-clock",
    "clocks/monotonic-clock",
    "filesystem/types",
    "filesystem/preopens",
    "http/outgoing-handler",
    "http/types",
    "io/error",
    "io/poll",
    "io/streams",
    "random/random",
    "random/insecure",
    "random/insecure-seed",
    "sockets/network",
    "sockets/instance-network",
    "sockets/ip-name-lookup",
    "sockets/tcp",
    "sockets/tcp-create-socket",
    "sockets/udp",
    "sockets/udp-create-socket",
];

/// Whether an interface is offered, by its full name.
pub(crate) fn offered(import: &str) -> bool {
    let Some((name, version)) = import.split_once('@') else { return false };
    let of = |minor: &str| version.strip_prefix(minor).is_some_and(|rest| rest.parse::<u32>().is_ok());
    match (name.strip_prefix("village:agent/"), name.strip_prefix("wasi:")) {
        (Some(name), _) => VILLAGE.contains(&name) && of("0.1."),
        (_, Some(name)) => WASI.contains(&name) && of("0.2."),
        _ => false,
    }
}

/// What opens an import, for those who look at a component before they run it. None if nothing needs to.
pub(crate) fn grant_for(import: &str) -> Option<&'static str> {
    let name = import.split_once('@').map_or(import, |(name, _)| name);
    Some(match name {
        "village:agent/log" => "log",
        "village:agent/state" => "state",
        "village:agent/workspace" => "workspace",
        "village:agent/budget" => "budget",
        "village:agent/agents" | "village:agent/supervision" => "agents",
        "village:agent/mesh" => "mesh",
        "village:agent/model" => "model",
        "village:agent/memory" => "memory",
        "village:agent/kernels" => "kernels",
        "village:agent/tasks" => "spawn",
        "village:agent/ledger" => "ledger",
        "village:agent/device" => "device",
        "wasi:clocks/wall-clock" | "wasi:clocks/monotonic-clock" => "clock",
        "wasi:random/random" => "random",
        "wasi:filesystem/types" | "wasi:filesystem/preopens" => "files",
        "wasi:http/outgoing-handler" => "http",
        "wasi:cli/environment" => "env",
        _ => return None,
    })
}

/// An import that no grant opens yet, as its interface is filled by a room to come.
fn shut<T>(grant: &str, room: &str) -> wasmtime::Result<Result<T, Error>> {
    Ok(Err(Error::Denied(format!("`{grant}` can't be granted yet: it comes with {room}"))))
}

/// A handle of a kind that nothing here ever made.
fn no_such_handle<T>() -> wasmtime::Result<T> {
    Err(wasmtime::Error::msg("there is no such handle"))
}

/// The refusal of an import whose grant is shut.
fn denied(grant: &str) -> Error {
    Error::Denied(crate::grants::shut(grant))
}

/// The refusal of what a version that runs apart from its agent does not reach.
fn out_of_reach() -> Error {
    Error::Unavailable("this version only rehearses: nothing that it does leaves it".into())
}

/// The refusal of an import whose allowance is used up.
fn limit(what: &str, after: Option<u64>) -> Error {
    let retry_after = after.map(|nanos| nanos.div_ceil(1_000_000));
    Error::Limit(types::Limit { what: what.into(), retry_after })
}

impl types::Host for Ctx {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_is_judged_by_name_and_version() {
        assert!(offered("village:agent/log@0.1.0") && offered("village:agent/log@0.1.7"));
        assert!(offered("wasi:io/poll@0.2.6"));
        assert!(!offered("village:agent/log@0.2.0") && !offered("wasi:io/poll@0.3.0"));
        assert!(!offered("wasi:http/incoming-handler@0.2.0") && !offered("acme:dice/roll@1.0.0") && !offered("log"));
    }
}
