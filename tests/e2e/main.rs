//! Whole hosts, with guests that keep to nothing: every budget and every grant is tried, beside a neighbour that is honest.

mod bindings;
mod bundled;
mod cpu;
mod deadline;
mod family;
mod faults;
mod files;
mod http;
mod kernels;
mod load;
mod log;
mod memory;
mod power;
mod records;
mod replay;
mod sdk;
mod secrets;
mod serve;
mod storage;
mod structure;
mod swap;
mod turns;
mod world;
