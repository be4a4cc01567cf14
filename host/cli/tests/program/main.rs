//! The program as its users call it: arguments in, output and exit code out.

#![allow(missing_docs, reason = "a test is documented by its name")]

mod agents;
mod answers;
mod authoring;
mod bench;
mod bundled;
mod commands;
mod harness;
mod http;
mod looks;
mod mistakes;
mod refusals;
mod running;
mod villages;
mod weights;
