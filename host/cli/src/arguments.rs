//! What the command line may say, and what is wrong with one that says something else.

mod mesh;
mod models;
mod records;
mod running;
mod scale;
mod spaces;
mod votes;

pub(crate) use mesh::{Fetch, Mesh, MeshAction};
pub(crate) use models::{Models, ModelsAction, RouteWish};
pub(crate) use records::{Erase, Replay, Turns};
pub(crate) use running::{
    Audit, Backup, Budget, DeadLetters, Deploy, Dev, Events, Logs, MemoryWish, Named, Ps, Reach, Restore, Rollback,
    Send, Swap, Top, Up, Urgency, Versions,
};
pub(crate) use scale::Scale;
pub(crate) use spaces::{Memory, MemoryAction};
pub(crate) use votes::{Choice, Propose, Verify, Vote, Votes};

use crate::help;
use base::Size;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::path::PathBuf;

/// A host for AI agents: each in its own sandbox, held to a budget, with only the abilities that it is granted.
#[derive(Parser)]
#[command(name = "village", version, after_help = help::VILLAGE, disable_help_subcommand = true)]
pub(crate) struct Call {
    /// Answer with one JSON object on the standard output, errors too
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Write a new agent: it builds, passes its cases and runs as it is
    New(New),
    /// Build an agent's component, and check it
    Build(Build),
    /// Run an agent's own cases, in the sandbox and under its own budget and grants
    Test(Test),
    /// Build an agent, run it, and swap in each change that builds
    Dev(Dev),
    /// Say what a component is: imports, exports, the grants that it may need, size, digest
    Inspect(Inspect),
    /// Hand one message to an agent, or run a command, held to a budget
    Run(Run),
    /// Start a village: agents that stay, asked over HTTP on this machine
    Up(Up),
    /// Make an agent of a running village
    Deploy(Deploy),
    /// Fetch a component that another village has
    Fetch(Fetch),
    /// Meet other villages: invite, join, look who is there
    Mesh(Mesh),
    /// Models of a running village: which there are, which would answer and why, how fast they are
    Models(Models),
    /// Spaces of memory of a running village: list them, take one away
    Memory(Memory),
    /// List a running village's agents: what each is doing, and what it uses of its budget
    Ps(Ps),
    /// Show what the agents use, as they use it
    Top(Top),
    /// Show what an agent logged
    Logs(Logs),
    /// Show what happens in a running village, as it happens
    Events(Events),
    /// Send an agent a message, and show its answer
    Send(Send),
    /// Let agents take messages again
    Start(Named),
    /// Stop agents, in the midst of a turn if need be, until they are started
    Stop(Named),
    /// Remove agents
    Rm(Named),
    /// Show what an agent may use, or change it while it runs
    Budget(Budget),
    /// Change how many instances serve an agent's mailbox, or show it
    Scale(Scale),
    /// Show how an agent's messages are tried, recorded and looked after, or change it while it runs
    Turns(Turns),
    /// Let another version of an agent take over while it runs
    Swap(Swap),
    /// Let the version before take over again
    Rollback(Rollback),
    /// List the versions that an agent had
    Versions(Versions),
    /// Show the journal: who did what, when, and what came of it
    Audit(Audit),
    /// Run a recorded turn again, outside the world, and show where it differs
    Replay(Replay),
    /// Show messages that were given up; try them again, or drop them
    DeadLetters(DeadLetters),
    /// Erase what messages said: from the journal, whose chain of hashes stays whole, and from what waits
    Erase(Erase),
    /// Copy all that a running village keeps into a folder
    Backup(Backup),
    /// Make a data folder from a backup
    Restore(Restore),
    /// Keep the secrets that `http` grants name; values are read from the standard input, and never shown
    Secret(Secret),
    /// Merge models into one, as a recipe of mergekit's says
    Merge(Merge),
    /// Give a model's weights other types: fewer bits, or another kind of file
    Quantize(Quantize),
    /// List what a file of weights holds: names, shapes, formats, bytes, metadata
    Tensors(Tensors),
    /// Look at what this machine has for building and running agents, and say what to do about what it lacks
    Doctor(Doctor),
    /// Run a real agent beside hostile ones, and show that each is held to its budget, and a swap that loses nothing
    #[command(after_help = help::DEMO)]
    Demo,
    /// Measure this machine: what budgets, grants and turns cost, beside the plain engine in the same run
    #[command(after_help = help::BENCH)]
    Bench(Bench),
    /// Make a host, say how many MiB are resident, and end
    #[command(hide = true)]
    IdleHost,
}

#[derive(Args)]
pub(crate) struct Bench {
    /// Which measurements; all, unless some are named
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(::bench::GROUPS), value_name = "NAME")]
    pub(crate) only: Vec<String>,
    /// A look rather than a measurement: few repetitions
    #[arg(long)]
    pub(crate) quick: bool,
}

#[derive(Args)]
#[command(after_help = help::NEW)]
pub(crate) struct New {
    /// What the agent, its package and its folder are called
    pub(crate) name: String,
    /// What it is written in
    #[arg(long, value_name = "LANGUAGE", default_value = "rust")]
    pub(crate) lang: String,
    /// The folder in which its own is made; the current one, unless it is said
    #[arg(long, value_name = "DIR")]
    pub(crate) r#in: Option<PathBuf>,
}

#[derive(Args)]
#[command(after_help = help::BUILD)]
pub(crate) struct Build {
    /// A folder with an agent.toml, or one below it
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) folder: PathBuf,
}

#[derive(Args)]
#[command(after_help = help::TEST)]
pub(crate) struct Test {
    /// A folder with an agent.toml and a cases.toml, or one below it
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) folder: PathBuf,
    /// Only the cases with these words in their names
    #[arg(long, value_name = "WORDS")]
    pub(crate) only: Option<String>,
    /// Take the back ends of models from this file; without it, from a village.toml in the agent's folder
    #[arg(long, value_name = "village.toml")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Args)]
#[command(after_long_help = help::INSPECT)]
pub(crate) struct Inspect {
    /// A component, an agent.toml, or a folder with one
    pub(crate) file: PathBuf,
    /// Don't ask an agent what it is: run nothing of it
    #[arg(long)]
    pub(crate) no_run: bool,
}

#[derive(Args)]
#[command(after_long_help = help::run())]
pub(crate) struct Run {
    /// A component, an agent.toml, or a folder with one
    pub(crate) file: PathBuf,
    /// The skill that the agent is asked for
    #[arg(long, value_name = "NAME")]
    pub(crate) skill: Option<String>,
    /// What it is given: TEXT as it is, @FILE for what is in a file, - for the standard input
    #[arg(long, value_name = "TEXT|@FILE|-", allow_negative_numbers = true)]
    pub(crate) input: Option<String>,
    /// What it may use, such as cpu=10%,memory=32MiB
    #[arg(long, value_name = "FIELD=VALUE,…")]
    pub(crate) budget: Vec<String>,
    /// What it may reach, such as log, env=LANG or files=./notes:/notes:ro
    #[arg(long, value_name = "GRANT")]
    pub(crate) grant: Vec<String>,
    /// Take budget and grants from this agent.toml
    #[arg(long, value_name = "agent.toml")]
    pub(crate) manifest: Option<PathBuf>,
    /// Start this agent too, under the name that its agent.toml gives it, so that it can be asked
    #[arg(long, value_name = "FILE")]
    pub(crate) beside: Vec<PathBuf>,
    /// Take the back ends of models from this file; without it, from a village.toml here
    #[arg(long, value_name = "village.toml")]
    pub(crate) config: Option<PathBuf>,
    /// Write the parts of a reply as they come; the reply at the end says whether they stand
    #[arg(long)]
    pub(crate) stream: bool,
    /// Serve a component that answers HTTP: a port of this machine, or ADDRESS:PORT
    #[arg(long, value_name = "ADDR", value_parser = listen, conflicts_with_all = ["skill", "input", "arguments"])]
    pub(crate) http: Option<SocketAddr>,
    /// What a command is given as its arguments
    #[arg(last = true, value_name = "ARGS")]
    pub(crate) arguments: Vec<String>,
}

fn listen(text: &str) -> Result<SocketAddr, &'static str> {
    guest::listen_address(text).ok_or("write a port, or ADDRESS:PORT such as 127.0.0.1:8080")
}

#[derive(Args)]
#[command(after_help = help::SECRET)]
pub(crate) struct Secret {
    #[command(subcommand)]
    pub(crate) action: SecretAction,
}

#[derive(Subcommand)]
pub(crate) enum SecretAction {
    /// Keep a new one, from the standard input; a terminal is asked, and shows nothing
    Set {
        /// A to Z, 0 to 9 and _, such as API_KEY
        name: String,
    },
    /// Replace one by a new value
    Rotate {
        /// Its name
        name: String,
    },
    /// List their names, and where each value is
    Ls,
    /// Forget one
    Rm {
        /// Its name
        name: String,
    },
}

/// With what weights are computed.
#[derive(Args, Clone, Copy)]
pub(crate) struct Means {
    /// Threads, at most; all cores, unless it is said
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroU8>,
    /// Where arithmetic happens; the bytes are the same
    #[arg(long, value_enum, default_value_t = Wish::Auto)]
    pub(crate) backend: Wish,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wish {
    /// A graphics processor, if there is one, the work is large, and it was faster at a short trial
    Auto,
    /// The CPU
    Cpu,
    /// The graphics processor
    Gpu,
}

#[derive(Args)]
#[command(after_help = help::MERGE)]
pub(crate) struct Merge {
    /// The recipe: mergekit's YAML
    #[arg(value_name = "CONFIG.yml")]
    pub(crate) config: PathBuf,
    /// A .safetensors or .gguf, as the models are; or a new folder, which gets configuration and tokenizer too
    pub(crate) out: PathBuf,
    /// Quantize in the same pass
    #[arg(long, value_name = "TYPE")]
    pub(crate) quantize: Option<String>,
    /// A type for the tensors whose name has a pattern, such as '*.mlp.*=q8_0'; the first that fits decides
    #[arg(long, value_name = "PATTERN=TYPE", requires = "quantize")]
    pub(crate) types: Vec<String>,
    /// Weights in several files, none larger than this, such as 5GB; OUT must be a folder
    #[arg(long, value_name = "SIZE")]
    pub(crate) shard_size: Option<Size>,
    /// Decides what the random methods keep
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Round where mergekit's linear does, on the CPU
    #[arg(long)]
    pub(crate) mergekit_exact: bool,
    /// Replace a file that is there
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) means: Means,
}

#[derive(Args)]
#[command(after_help = help::quantize())]
pub(crate) struct Quantize {
    /// A .safetensors, a .gguf, a sharded model's index, or a folder with one model
    #[arg(value_name = "IN")]
    pub(crate) input: PathBuf,
    /// A .gguf or a .safetensors; with --shard-size a new folder
    pub(crate) out: PathBuf,
    /// What the weights become
    #[arg(long, value_name = "TYPE", required_unless_present_any = ["target_size", "fits"])]
    pub(crate) r#type: Option<String>,
    /// A type for the tensors whose name has a pattern, such as '*.mlp.*=q8_0'; the first that fits decides
    #[arg(long, value_name = "PATTERN=TYPE", conflicts_with_all = ["target_size", "fits"])]
    pub(crate) types: Vec<String>,
    /// The best types with which the file is at most this large, such as 4GiB
    #[arg(long, value_name = "SIZE", conflicts_with_all = ["type", "fits"])]
    pub(crate) target_size: Option<Size>,
    /// The best types with which the tensors fit so much memory
    #[arg(long, value_name = "SIZE", conflicts_with = "type")]
    pub(crate) fits: Option<Size>,
    /// Safetensors in several files, none larger than this, such as 5GB; OUT must be a folder
    #[arg(long, value_name = "SIZE", conflicts_with_all = ["target_size", "fits"])]
    pub(crate) shard_size: Option<Size>,
    /// Replace a file that is there
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) means: Means,
}

#[derive(Args)]
#[command(after_help = help::TENSORS)]
pub(crate) struct Tensors {
    /// A .safetensors, a .gguf, a sharded model's index, or a folder with one model
    pub(crate) file: PathBuf,
}

#[derive(Args)]
pub(crate) struct Doctor {
    /// Ask the back ends of models in this file; without it, those of a village.toml here
    #[arg(long, value_name = "village.toml")]
    pub(crate) config: Option<PathBuf>,
    /// Set up what agents are built with, if it isn't there
    #[arg(long)]
    pub(crate) fix: bool,
}

/// Whether JSON is wanted, of a command line that can't be understood.
pub(crate) fn wants_json(arguments: &[OsString]) -> bool {
    arguments.iter().take_while(|argument| *argument != "--").any(|argument| argument == "--json")
}

/// What is wrong with a command line, in one line.
pub(crate) fn explain(error: &clap::Error) -> String {
    let said = |kind| error.get(kind).map(text).unwrap_or_default();
    let hint = |kind, word: &str| {
        let near = error.get(kind).map(text).filter(|text| !text.is_empty());
        near.or_else(|| nearest(kind, word)).map(|near| format!(", did you mean `{near}`?")).unwrap_or_default()
    };
    let argument = said(ContextKind::InvalidArg);
    let value = said(ContextKind::InvalidValue);
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = said(ContextKind::InvalidSubcommand);
            format!("there is no `{word}`{}; {}", hint(ContextKind::SuggestedSubcommand, &word), commands())
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            format!("which command? {}", commands())
        }
        ErrorKind::UnknownArgument => {
            let hint = hint(ContextKind::SuggestedArg, &argument);
            format!("`{argument}` is not expected here{hint}; --help says what is")
        }
        ErrorKind::MissingRequiredArgument => format!("{argument} is missing; --help says what is needed"),
        ErrorKind::InvalidValue if value.is_empty() => format!("{argument} needs a value; --help says which"),
        ErrorKind::ArgumentConflict => format!("{argument} may be given once, and not with what excludes it"),
        _ => {
            let all = error.to_string();
            let first = all.lines().next().unwrap_or_default();
            first.trim_start_matches("error: ").to_string()
        }
    }
}

fn commands() -> String {
    let call = Call::command();
    let shown = call.get_subcommands().filter(|command| !command.is_hide_set());
    let names: Vec<_> = shown.map(clap::Command::get_name).collect();
    format!("there are {}; `village --help` says what each does", names.join(", "))
}

fn nearest(kind: ContextKind, word: &str) -> Option<String> {
    let call = Call::command();
    let names = call.get_subcommands().map(clap::Command::get_name);
    (kind == ContextKind::SuggestedSubcommand).then(|| base::nearest(word, names))?.map(Into::into)
}

fn text(value: &ContextValue) -> String {
    match value {
        ContextValue::Strings(all) => all.join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(line: &str) -> String {
        let words = line.split(' ').filter(|word| !word.is_empty());
        let error = Call::try_parse_from(std::iter::once("village").chain(words)).err().expect("it is refused");
        explain(&error)
    }

    #[test]
    fn the_command_line_is_consistent() {
        Call::command().debug_assert();
    }

    #[test]
    fn what_is_wrong_is_one_line_with_the_nearest_word() {
        assert!(refusal("rnu x.wasm").starts_with("there is no `rnu`, did you mean `run`?"));
        assert!(
            refusal("hippopotamus")
                .starts_with("there is no `hippopotamus`; there are new, build, test, dev, inspect,")
        );
        assert!(refusal("").starts_with("which command? there are new,"));
        assert!(
            refusal("run x.wasm --budgte cpu=1%")
                .starts_with("`--budgte` is not expected here, did you mean `--budget`?")
        );
        assert!(refusal("run").starts_with("<FILE> is missing"));
        assert!(refusal("run x.wasm --skill").contains("--skill <NAME> needs a value"));
        assert!(refusal("run x.wasm --skill a --skill b").contains("--skill <NAME> may be given once"));
        assert!(refusal("inspect x.wasm y.wasm").starts_with("`y.wasm` is not expected here"));
    }

    #[test]
    fn json_after_the_double_dash_is_the_commands_own() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert!(wants_json(&words("village run x --json -- a")));
        assert!(!wants_json(&words("village run x -- --json")));
    }
}
