//! Whole hosts, with guests that keep to nothing: every budget and every grant is tried, beside a neighbour that is honest.

mod across;
mod bindings;
mod bundled;
mod circles;
mod cpu;
mod deadline;
mod deploys;
/// The servers that the back ends are tried against.
#[allow(dead_code, unreachable_pub, reason = "each of its users needs a part of it")]
#[path = "../../host/model/tests/all/fake.rs"]
mod fake;
mod families;
mod family;
mod faults;
mod figures;
mod files;
mod http;
mod kernels;
mod lapse;
mod load;
mod log;
mod memory;
mod models;
mod neighbours;
mod power;
mod records;
mod replay;
mod replicas;
mod rings;
mod sdk;
mod secrets;
mod serve;
mod shared;
mod skills;
mod spaces;
mod storage;
mod structure;
mod supervision;
mod swap;
mod thoughts;
mod turns;
mod vectors;
mod workspace;
mod world;
