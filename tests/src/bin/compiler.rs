//! Nothing but a compiler: a host under test starts it, as `village` starts itself.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::compiler::enter().unwrap_or_else(|| {
        eprintln!("this compiles for a host, and does nothing else");
        ExitCode::from(2)
    })
}
