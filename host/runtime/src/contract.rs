//! The exports of an agent, as the host calls them.

#[allow(missing_docs, unreachable_pub)]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package village:host;
            world exports { export village:agent/agent@0.1.0; }
        ",
        world: "village:host/exports",
        exports: { default: async },
    });
}

pub use bindings::exports::village::agent::agent::{Card, Message, Reply, Sender, Skill};
pub use bindings::village::agent::types::{Failure, FailureKind, Payload, Priority};
pub(crate) use bindings::{Exports, ExportsPre};
