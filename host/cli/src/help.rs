//! The parts of the help that teach.

use base::{Budget, Size};
use std::fmt::Write;

pub(crate) const VILLAGE: &str = "\
To begin with:
  village doctor                     what this machine has, and what to do about what it lacks
  village demo                       a real agent beside hostile ones, from a checkout of the sources
  village inspect agent.wasm         what a component is, and what it would need
  village run agent.wasm --input hi  one message, one reply
  village tensors model.gguf         what a file of weights holds

Exit codes: 0 it is done; 1 the agent or the village said no; 2 it was called wrongly.
With --json an error is {\"error\": {\"kind\", \"message\", \"details\"}}.
Compiled components are kept in $VILLAGE_CACHE, or else in the user's cache folder.";

pub(crate) const DEMO: &str = "\
It is run from a checkout of the sources, and sets up by itself what agents are built with.
Exit code 1 if any agent was not held to its budget.";

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

An agent gets one message, and its reply goes to the standard output; lines of its log go to the standard error.
A command (a component that exports wasi:cli/run) gets ARGS and the standard input. Its exit code is in the JSON;
this program's own is 0 if it was 0, and 1 if not.

An agent.toml in the component's folder that names it is used: --budget overrides it, --grant adds to it.

Budget: every field has a limit, and these are the defaults
";

/// What each field of a budget means.
const FIELDS: [(&str, &str); 6] = [
    ("cpu", "CPU time of one core, sustained"),
    ("burst", "CPU time that it may run ahead of its share"),
    ("deadline", "wall time of one turn, waiting included"),
    ("memory", "all that it holds, and what the host holds for it"),
    ("storage", "durable state, and what it adds to files"),
    ("log", "bytes that it may log in a second"),
];

/// What each grant opens, with how it is written.
const GRANTS: [(&str, &str, &str); 7] = [
    ("log", "log", "its own log"),
    ("state", "state", "its own state"),
    ("budget", "budget", "reading its own budget"),
    ("clock", "clock", "the time, and waiting for it"),
    ("random", "random", "random numbers"),
    ("env", "env=NAME", "an environment variable, with the value that it has here"),
    ("files", "files=HOST:GUEST:ro", "a folder of this machine, under the guest's name for it; rw to write as well"),
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
  village quantize in.safetensors out.safetensors --type int8_row

OUT's ending says what it becomes. GGUF is made of GGUF, or of a folder with safetensors and a config.json.
What is not a matrix of weights keeps its type, and rows that don't divide into a type's blocks get the nearest that fits.
What a model needs beside its weights to run is not part of --fits.

The result appears when it is whole: an error or Ctrl-C leaves nothing. There is no resuming.

Types
";

/// What follows the options of `quantize`.
pub(crate) fn quantize() -> String {
    let rows = TYPES.map(|(name, meaning)| format!("  {name:<14} {meaning}"));
    QUANTIZE.to_string() + &rows.join("\n")
}

pub(crate) const BENCH: &str = "\
Measurements: spawn, turn, metering, shares, fairness, deadline, density, sdk, program.

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
