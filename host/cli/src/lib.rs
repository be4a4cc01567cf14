//! The program `village`: from arguments to what they ask for, and from what came of it to text or JSON.
//!
//! Exit codes: 0 it is done; 1 the agent or the village said no; 2 it was called wrongly.

mod arguments;
mod author;
mod bench;
mod bundled;
mod demo;
mod doctor;
mod help;
mod inspect;
mod json;
mod node;
mod print;
mod problem;
mod run;
mod running;
mod secret;
mod serve;
mod settings;
mod source;
mod weights;

use arguments::{Call, Command};
use clap::Parser;
use problem::Problem;
use std::process::ExitCode;

/// Does what the command line says.
pub fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let call = match Call::try_parse_from(&arguments) {
        Ok(call) => call,
        Err(error) => return wrong(&error, arguments::wants_json(&arguments)),
    };
    let json = call.json;
    let done = match call.command {
        Command::New(options) => author::new(&options, json),
        Command::Build(options) => author::build(&options, json),
        Command::Test(options) => author::test(&options, json),
        Command::Inspect(options) => inspect::inspect(&options, json),
        Command::Run(options) => run::run(&options, json),
        Command::Up(options) => running::up(&options, json),
        Command::Deploy(options) => running::deploy(&options, json),
        Command::Fetch(options) => running::fetch(&options, json),
        Command::Mesh(options) => running::mesh(&options, json),
        Command::Models(options) => running::models(&options, json),
        Command::Memory(options) => running::memory(&options, json),
        Command::Ps(options) => running::ps(&options, json),
        Command::Top(options) => running::top(&options, json),
        Command::Logs(options) => running::logs(&options, json),
        Command::Events(options) => running::events(&options, json),
        Command::Send(options) => running::send(&options, json),
        Command::Start(options) => running::start(&options, json),
        Command::Stop(options) => running::stop(&options, json),
        Command::Rm(options) => running::rm(&options, json),
        Command::Budget(options) => running::budget(&options, json),
        Command::Scale(options) => running::scale(&options, json),
        Command::Turns(options) => running::turns(&options, json),
        Command::Swap(options) => running::swap(&options, json),
        Command::Rollback(options) => running::rollback(&options, json),
        Command::Versions(options) => running::versions(&options, json),
        Command::Dev(options) => author::dev(&options, json),
        Command::Audit(options) => running::audit(&options, json),
        Command::Replay(options) => running::replay(&options, json),
        Command::DeadLetters(options) => running::dead_letters(&options, json),
        Command::Erase(options) => running::erase(&options, json),
        Command::Backup(options) => running::backup(&options, json),
        Command::Restore(options) => running::restore(&options, json),
        Command::Secret(options) => secret::secret(&options.action, json),
        Command::Merge(options) => weights::merge(&options, json),
        Command::Quantize(options) => weights::quantize(&options, json),
        Command::Tensors(options) => weights::tensors(&options, json),
        Command::Doctor(options) => doctor::doctor(&options, json),
        Command::Demo => demo::demo(json),
        Command::Bench(options) => bench::bench(&options, json),
        Command::IdleHost => bench::idle_host(),
    };
    done.unwrap_or_else(|problem| problem.report(json))
}

/// Shows the help that was asked for, or says what is wrong with the command line.
fn wrong(error: &clap::Error, json: bool) -> ExitCode {
    if error.use_stderr() {
        return Problem::usage(arguments::explain(error)).report(json);
    }
    print::out(error.render().to_string().as_bytes());
    ExitCode::SUCCESS
}
