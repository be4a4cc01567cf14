//! The parts of the help that teach.

mod mesh;
mod models;
mod records;
mod scale;

pub(crate) use mesh::{FETCH, MESH};
pub(crate) use models::MODELS;
pub(crate) use records::{AUDIT, DEAD_LETTERS, ERASE, REPLAY, TURNS};
pub(crate) use scale::SCALE;

use base::{Budget, Size};
use std::fmt::Write;

pub(crate) const VILLAGE: &str = "\
To begin with:
  village new my-agent               a new agent, in a folder of its own
  village doctor                     what this machine has, and what to do about what it lacks
  village demo                       real agents beside hostile ones, each held to its budget; a swap; two villages
  village run navigator --skill …    one of the agents inside the program: curator, mischief, navigator, polyglot, sage
  village inspect agent.wasm         what a component is, and what it would need
  village run agent.wasm --input hi  one message, one reply
  village up                         agents that stay, asked over HTTP: then deploy, send, ps, top, logs
  village tensors model.gguf         what a file of weights holds

Exit codes: 0 it is done; 1 the agent or the village said no; 2 it was called wrongly.
With --json an error is {\"error\": {\"kind\", \"message\", \"details\"}}.
Compiled components are kept in $VILLAGE_CACHE, or else in the user's cache folder.";

pub(crate) const UP: &str = "\
Examples:
  village up                               data in the user's own folder, settings from village.toml if it is here
  village up --data ./data --listen 8000   http://127.0.0.1:8000
  village up --config village.toml
  village up --mesh                        meets other villages too: `village mesh --help`

village.toml, every part of it optional:
  listen = \"127.0.0.1:7420\"
  data = \"./data\"
  stop-within = \"30s\"

  [defaults]                               what an agent may use where its manifest doesn't say
  cpu = \"10%\"

  [journal]                                how much of it is kept: all, unless it is said
  keep = \"30d\"                            older entries go
  most = 1000000                           and the oldest, with more than this
  archive = true                           into the folder `archive` of the data folder, before they go

  [mesh]                                   meets other villages; `village mesh --help` says what else stands here
  listen = [\"0.0.0.0:7421\"]

  [models.embedded]                        models of this process, for agents with `model = [\"local/*\"]`
  files = { llama = \"./llama.gguf\" }

  [models.claude]                          or of a server; another one needs its `url`
  key = \"ANTHROPIC_API_KEY\"               in the environment, or kept with `village secret set`

  [groups.workers]                         agents that share a budget; a group may be `within` another
  cpu = \"50%\"
  memory = \"256MiB\"

  [groups.workers.supervision]             who begins anew when one of them breaks: one-for-one, one-for-all,
  strategy = \"one-for-all\"                or rest-for-one; after more than so many breaks in so long all of
  restarts = 3                             them are left alone for a while
  within = \"10s\"

  [[agents]]                               deployed if there is none of that name
  component = \"navigator\"
  group = \"workers\"
  budget = { memory = \"48MiB\" }
  grants = [\"log\"]

At the first start it makes a token, in the file `token` of the data folder, and shows it; whoever has it may do
everything. The other commands read it there. Ctrl-C, or SIGTERM, ends it when what is under way has ended; a second one
ends it at once. GET /v1/openapi.json describes the API.";

pub(crate) const DEPLOY: &str = "\
Examples:
  village deploy navigator
  village deploy my-agent --name first --group workers
  village deploy agent.wasm --budget cpu=10%,memory=32MiB --grant log
  village deploy navigator@5XmV --grant log      as the village 5XmV… of the mesh has it: component, budget and turns
  village deploy sha256:5f70… --name first       of a component that `village fetch` has fetched

The component is sent to the village, and asked what it is, under its own budget; what can't serve is refused. Then it
sleeps until a message comes for it. Folders of its grants are those of the village's machine, and variables have the
values that they have for `village up`. What an agent of another village may reach there
is not open here: it has the grants that are said. There is one agent of a name.";

pub(crate) const PS: &str = "\
State: awake (it is there), asleep (it is made when a message comes), stopped (until it is started), failed (it could not
be made; a message tries again). Health: well, broke (its last turn did), failing (three and more in a row),
left-alone (it broke too often, and handles nothing for a while).
A field of a budget is shown as used/limit.";

pub(crate) const LOGS: &str = "\
Examples:
  village logs my-agent
  village logs my-agent -f --lines 10

The last thousand lines of each agent are there, and 256 KiB of them at most. They go when the village ends.";

pub(crate) const SEND: &str = "\
Examples:
  village send navigator --skill shortest-path --input @question.json
  village send my-agent --skill greet --input '{\"name\": \"Ada\"}' --key order-7
  village send my-agent --input 'later' --no-wait
  village send my-agent --skill remind --after 10m
  village send skill:translate --input 'Guten Tag'

Of another village NAME@VILLAGE is an agent, and skill:NAME is whoever is known to have that skill: the best, and the next one
if that one can't be reached or does not take it.
A message is kept before it is accepted, and tried again if its turn fails; it is handled also if nobody waits any more,
and if the village ends before that. With --fast or --stream it is in memory only, and tried once.
A key is known for an hour, also after a restart. --sequence numbers the messages of one --from: what is not above the last
number is refused as a `duplicate`, for a week after the last one.
What the agent refuses for good is an answer where somebody waits for it, and a dead letter where nobody does.";

pub(crate) const BUDGET: &str = "\
Examples:
  village budget my-agent                       every field, used and limit
  village budget my-agent cpu=10% memory=32MiB  from now on, and after a restart
  village budget --group workers cpu=80%        the same, over what village.toml says";

pub(crate) const SWAP: &str = "\
Examples:
  village swap my-agent next.wasm
  village swap my-agent . --shadow 100 --canary 10% --for 1000 --max-failures 1% --max-p99 50ms
  village rollback my-agent
  village swap my-agent --cancel

The new version is loaded, started apart and asked what it is before anything is torn down. It shadows and is tried if that
is wanted; then it takes over between two turns, with the memory that the old one hands it. Whatever goes wrong, the old
one serves on, and the exit code is 1. Budget, grants, replicas, mailbox and state stay the agent's; [turns] of its manifest
holds with the new version. Each step is in the journal.";

pub(crate) const DEV: &str = "\
Examples:
  village dev                                      the agent in this folder
  village dev my-agent --skill greet --input '{\"name\": \"Ada\"}'

The agent lives in a village of its own, which ends with this command, and what it keeps with it. Each save is built first
and then swapped in: state stays, and memory too if the agent restores it. While something does not compile, the version
before serves. What agent.toml says anew holds at once, and is told line by line; with other grants the agent begins anew.
A line on the standard input is a message: the skill, a space, and what it is given.";

pub(crate) const BACKUP: &str = "\
Examples:
  village backup /backups/monday
  village restore /backups/monday --data ./data

A backup is of one moment, while the village goes on: its agents, what they keep, what waits for them, the journal. It is
verified before it is restored. The token is not in it: the first start makes a new one.";

pub(crate) const NEW: &str = "\
Examples:
  village new my-agent
  village new route-planner --in agents

The folder has the agent (src/lib.rs), what it may use and reach (agent.toml), what it must answer (cases.toml), and, in
.village, the contract and the SDK that it is built with: it builds anywhere, with plain cargo too.
A folder that is there and not empty is left alone.";

pub(crate) const BUILD: &str = "\
Examples:
  village build                 the agent in this folder, or in one above it
  village build plugins/navigator
  village build --json          errors of the compiler as {\"errors\": [{\"file\", \"line\", \"message\"}]}

Cargo builds it for wasm32-wasip2, in release mode. Then the component is checked: that it fits this village, that it can
say what it is under its own budget, that its skills have names of their own and sound schemas, and examples that fit
them. A component that will do is put where agent.toml's `component` says; if it won't, the one there stays.
Without a Cargo.toml beside agent.toml, the component there is only checked.

Cargo builds in a folder of $VILLAGE_CACHE, one for each project, that begins with what was built for another: only the
first agent of all takes a minute. A workspace, a target-dir in cargo's settings and $CARGO_TARGET_DIR are respected.";

pub(crate) const TEST: &str = "\
Examples:
  village test                  all cases of the agent in this folder
  village test plugins/navigator --only route

It is built first, as by `village build`. cases.toml, beside agent.toml:

  [[case]]
  name = \"greets by name\"
  skill = \"greet\"
  input = { name = \"Ada\" }             JSON; or text = \"…\", or file = \"…\"
  output = { text = \"Hello, Ada!\" }    all of the answer; or contains = { … }, a part of it

  [[case]]
  name = \"refuses nobody, and counts nothing\"
  steps = [                            several messages to one agent, in order
    { skill = \"greet\", input = { name = \"\" }, fails = \"invalid\", says = \"name\" },
    { skill = \"greet\", input = { name = \"Ada\" }, contains = { times = 1 } },
  ]

Agents that it asks are named at the top, by their folders or by the names of those inside the program, as in
beside = [\"../scribe\", \"polyglot\"]; they are there for all cases.

Each case has an agent of its own, with nothing in its state, under the budget and grants of agent.toml. What it is asked
and what it answers must fit the skill's schemas. `fails` is one of invalid, unsupported, refused, temporary, internal
(the agent says no) or deadline, memory, denied, trap, exit (it breaks). Numbers are the same if they differ by less than
a billionth. Exit code 1 if any case fails.";

pub(crate) const DEMO: &str = "\
The agents are inside the program: it needs no network and no other file. On a terminal it shows what each uses while
it runs, elsewhere a line a second. Then a better version takes over from an agent that is asked meanwhile. At the end a
second village is invited: an agent asks one over there, and what it is told while it is away arrives once when it is back.
Exit code 1 if any agent was not held to its budget, or if a message was lost or came twice.";

pub(crate) const INSPECT: &str = "\
Examples:
  village inspect agent.wasm            all of it, and the agent's own card
  village inspect agent.wasm --no-run   the same, without running anything of it
  village inspect agent.wasm --json

What can't run here is exit code 1, with everything that is missing or too much.";

const EXAMPLES: &str = "\
Examples:
  village run agent.wasm --skill echo --input 'hello'
  village run plugins/navigator --skill shortest-path --input @question.json --json
  village run agent.wasm --budget cpu=10%,memory=32MiB --budget deadline=2s --grant log
  village run tool.wasm --grant files=./notes:/notes:ro -- --all /notes/today.txt
  village run asker.wasm --grant 'http=GET https://api.example.com/v1/ secret=API_KEY'
  village run service.wasm --http 8080

An agent gets one message, and its reply goes to the standard output; lines of its log go to the standard error.
A command (a component that exports wasi:cli/run) gets ARGS and the standard input. Its exit code is in the JSON;
this program's own is 0 if it was 0, and 1 if not.
A service (one that exports wasi:http/incoming-handler) is served with --http until Ctrl-C, each request a turn of its
own; with --json each is a line. Without --http it is an agent with the skill `http`.

An agent.toml in the component's folder that names it is used: --budget overrides it, --grant adds to it.

Budget: every field has a limit, and these are the defaults
";

/// What each field of a budget means.
const FIELDS: [(&str, &str); base::BUDGET_FIELDS.len()] = [
    ("cpu", "CPU time of one core, sustained"),
    ("burst", "CPU time that it may run ahead of its share"),
    ("deadline", "wall time of one turn, waiting included"),
    ("memory", "all that it holds, and what the host holds for it"),
    ("storage", "state, workspace, and what it adds to files"),
    ("mailbox", "messages that may wait for it"),
    ("mailbox-bytes", "bytes of them"),
    ("log", "bytes that it may log in a second"),
    ("messages", "messages that it may send to other agents in a second"),
    ("mesh", "bytes that it may exchange with other villages in a second, both ways"),
    ("children", "agents that it may create"),
    ("gpu", "time of the graphics processor, sustained; it may run ahead by burst"),
    ("http", "HTTP requests that it may send in a second"),
    ("tokens", "tokens of models in a minute, read and written together"),
];

/// What each grant opens, with how it is written.
const GRANTS: [(&str, &str, &str); guest::GRANTS.len()] = [
    ("log", "log", "its own log"),
    ("state", "state", "its own state"),
    ("workspace", "workspace", "its own files, and objects in versions, inside the village"),
    ("budget", "budget", "reading its own budget"),
    ("clock", "clock", "the time, and waiting for it"),
    ("random", "random", "random numbers"),
    ("kernels", "kernels", "arithmetic on weights, of files in its folders or made by itself"),
    (
        "agents",
        "agents=NAME",
        "sending to an agent of that name; helper/* for all that helper created, * for all here, *@* elsewhere",
    ),
    ("public", "public", "being sent to by agents of other villages"),
    ("mesh", "mesh=topic/NAME", "a topic of other villages; skill/NAME for finding who has a skill, * for all"),
    (
        "memory",
        "memory=SPACE",
        "documents kept and found in that space; notes/* for all that begin so, :read behind it to read only",
    ),
    ("model", "model=local/*", "models by name or pattern: local/* for all of this machine, cloud/claude-*"),
    ("spawn", "spawn", "creating helpers, within `children`"),
    ("env", "env=NAME", "an environment variable, with the value that it has here"),
    ("files", "files=HOST:GUEST:ro", "a folder of this machine, under the guest's name for it; rw to write as well"),
    ("http", "http=GET URL", "asking under this URL, with these methods (GET and HEAD, unless some are named)"),
];

/// What follows the options of `run`.
pub(crate) fn run() -> String {
    let mut text = String::from(EXAMPLES);
    // Writing to a string cannot fail.
    for (field, limit) in Budget::default().fields() {
        let meaning = FIELDS.iter().find(|(name, _)| *name == field).map_or("", |(_, meaning)| meaning);
        let _ = writeln!(text, "  {:<20} {meaning}", format!("{field}={limit}"));
    }
    let _ = writeln!(text, "\nGrants: nothing is open unless it is granted");
    for (_, written, meaning) in GRANTS {
        let _ = writeln!(text, "  {written:<20} {meaning}");
    }
    let most = Size::bytes(crate::source::MOST);
    let _ = write!(text, "\nA component or an input may have {most} at most.");
    text
}

pub(crate) const MERGE: &str = "\
Examples:
  village merge recipe.yml merged                       a folder: weights, configuration, tokenizer
  village merge recipe.yml merged.safetensors --seed 7  one file
  village merge recipe.yml small.gguf --quantize q4_k_m of GGUF models, in one pass
  village merge recipe.yml merged --shard-size 5GB      a folder with several files and their index
  village merge recipe.yml merged --json                every tensor's bytes, and decibels if it is quantized

A recipe:
  merge_method: ties
  base_model: ./base
  models:
    - model: ./one
      parameters: {weight: 0.6, density: 0.5}
    - model: ./two
      parameters: {weight: 0.4, density: 0.5}
  dtype: bfloat16

Methods: linear, slerp, nuslerp, multislerp, task_arithmetic, ties, dare_linear, dare_ties, della, della_linear,
breadcrumbs, breadcrumbs_ties, model_stock, passthrough, nearswap, karcher. Types are those of `village quantize`.
A model is a path, from here or from the recipe's folder; nothing is downloaded. What isn't supported is refused.

The result appears when it is whole: an error or Ctrl-C leaves nothing. There is no resuming.";

pub(crate) const SECRET: &str = "\
Examples:
  village secret set API_KEY               asks for the value, without showing it
  village secret set API_KEY < key.txt
  village secret ls

A grant names a secret, and the host puts it into the request; the agent never sees it:
  --grant 'http=GET https://api.example.com/ secret=API_KEY as=authorization: Bearer {}'

They are kept in $VILLAGE_SECRETS, or else in secrets.toml in the user's configuration folder, which only its owner may
read. A variable VILLAGE_SECRET_NAME goes before it. Agents that run keep the value with which they were started.";

pub(crate) const TENSORS: &str = "\
Examples:
  village tensors model.gguf
  village tensors model-folder --json

The file is checked, and no tensor is read. Shapes have the contiguous dimension last, of GGUF files too.
Of an array in GGUF's metadata, the JSON has the length.";

/// What weights can become, and what of each is worth knowing.
pub(crate) const TYPES: [(&str, &str); 31] = [
    ("f32", "32 bits: what every reader understands"),
    ("f16", "16 bits, half precision"),
    ("bf16", "16 bits, the range of f32"),
    ("q8_0", "8.5 bits, hardly told from the original"),
    ("q6_k", "6.6 bits"),
    ("q5_k_m", "5.5 bits, the tensors that matter in 6.6"),
    ("q5_k_s", "5.5 bits"),
    ("q5_1", "6 bits"),
    ("q5_0", "5.5 bits"),
    ("q4_k_m", "4.5 bits, the tensors that matter in 6.6: what most people want"),
    ("q4_k_s", "4.5 bits, a few tensors in 5.5"),
    ("q4_1", "5 bits"),
    ("q4_0", "4.5 bits, fast everywhere"),
    ("mxfp4", "4.25 bits, floats with a shared power of two"),
    ("q3_k_l", "3.4 bits, some tensors in 5.5"),
    ("q3_k_m", "3.4 bits, some tensors in 4.5"),
    ("q3_k_s", "3.4 bits"),
    ("q2_k", "2.6 bits, some tensors in 3.4"),
    ("ternary", "2.06 bits: tq2_0 with scales by least squares"),
    ("tq2_0", "2.06 bits, for models trained ternary"),
    ("tq1_0", "1.69 bits, for models trained ternary"),
    ("tq2_0_ls", "the same as ternary"),
    ("tq1_0_ls", "1.69 bits, scales by least squares"),
    ("int8", "8 bits, one scale a tensor; safetensors"),
    ("int8_row", "8 bits, one scale a row; safetensors"),
    ("int8_asym", "8 bits with a zero point, for the tensor; safetensors"),
    ("int8_asym_row", "8 bits with a zero point, a row; safetensors"),
    ("nf4", "4.5 bits, normal quantiles; safetensors"),
    ("bitnet", "2 bits, one scale a tensor; safetensors"),
    ("bitnet_row", "2 bits, one scale a row; safetensors"),
    ("vq", "about 2 bits, a codebook a tensor: slow to make; safetensors"),
];

const QUANTIZE: &str = "\
Examples:
  village quantize model-folder model.gguf --type q4_k_m     a Llama or Mistral model, for llama.cpp
  village quantize model.gguf smaller.gguf --fits 2GiB       the best types that fit
  village quantize model.gguf smaller.gguf --target-size 4GB
  village quantize model.gguf plain.gguf --type f32          and back
  village quantize model-folder m.gguf --type q4_0 --types '*.mlp.*=q8_0' --types lm_head=q6_k
  village quantize in.safetensors out.safetensors --type int8_row

OUT's ending says what it becomes. GGUF is made of GGUF, or of a folder with safetensors and a config.json.
What is not a matrix of weights keeps its type, and rows that don't divide into a type's blocks get the nearest that fits.
What a model needs beside its weights to run is not part of --fits.

A pattern is a part of a tensor's name, or with * the whole of it; the first that fits decides.

The result appears when it is whole: an error or Ctrl-C leaves nothing. There is no resuming.

Types
";

/// What follows the options of `quantize`.
pub(crate) fn quantize() -> String {
    let rows = TYPES.map(|(name, meaning)| format!("  {name:<14} {meaning}"));
    QUANTIZE.to_string() + &rows.join("\n")
}

pub(crate) const BENCH: &str = "\
Measurements: spawn, turn, durable, metering, shares, fairness, deadline, density, swap, http,
kernels, program, village, mesh, authoring.

Each row is a ratio or a percentile of repeated runs that take turns with their baseline. A row that misses its bar is
marked so, and does not make the program fail. Times on a busy machine wander: measure on a quiet one.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_and_method_of_the_help_exists() {
        for (name, _) in TYPES {
            assert!(name.parse::<kernels::Types>().is_ok(), "{name}");
        }
        for method in kernels::merge::Method::ALL {
            assert!(MERGE.contains(&format!("{},", method.name())) || MERGE.contains(&format!("{}.", method.name())));
        }
    }

    #[test]
    fn every_field_and_grant_is_explained() {
        assert_eq!(FIELDS.map(|(name, _)| name), base::BUDGET_FIELDS);
        assert_eq!(GRANTS.map(|(name, ..)| name), guest::GRANTS);
        let text = run();
        for (field, limit) in Budget::default().fields() {
            assert!(text.contains(&format!("{field}={limit}")), "{field}");
        }
    }
}
