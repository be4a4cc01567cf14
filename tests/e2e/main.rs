//! Whole hosts, with guests that keep to nothing: every budget and every grant is tried, beside a neighbour that is honest.

mod cpu;
mod deadline;
mod faults;
mod files;
mod http;
mod load;
mod log;
mod memory;
mod secrets;
mod serve;
mod storage;
mod structure;
mod world;
