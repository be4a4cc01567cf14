//! The program `village`.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Components are compiled in a child process: this program, started again.
    match guest::enter() {
        Some(code) => code,
        None => cli::main(),
    }
}
