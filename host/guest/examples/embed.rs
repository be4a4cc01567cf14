//! A program that runs a guest in its sandbox, and offers it an import of its own: `acme:dice/roll`.
//!
//! `cargo run --package guest --example embed`

use base::Budget;
use guest::{Builder, Error, Finished, Grants, Host, Stdin};
use std::process::ExitCode;

/// A command that rolls a die, and succeeds if it shows six. Any component that imports the interface does as well.
const GUEST: &str = r#"(component
    (import "acme:dice/roll@1.0.0" (instance $dice (export "roll" (func (param "sides" u32) (result u32)))))
    (core func $roll (canon lower (func $dice "roll")))
    (core module $program
        (import "dice" "roll" (func $roll (param i32) (result i32)))
        (func (export "run") (result i32) (i32.ne (call $roll (i32.const 6)) (i32.const 6))))
    (core instance $program (instantiate $program (with "dice" (instance (export "roll" (func $roll))))))
    (func $run (result (result)) (canon lift (core func $program "run")))
    (instance $command (export "run" (func $run)))
    (export "wasi:cli/run@0.2.0" (instance $command)))"#;

/// Runs the guest with dice that show what `roll` says for so many sides.
async fn play(builder: Builder, roll: fn(u32) -> u32) -> Result<Finished, Error> {
    let host = builder
        .import("acme:dice/roll@1.0.0", move |dice| {
            dice.func_wrap("roll", move |_, (sides,): (u32,)| Ok((roll(sides),)))
        })
        .build()?;
    let version = host.load(&wat::parse_str(GUEST).expect("the guest is well formed")).await?;
    let mut budget = Budget::default();
    budget.set("cpu", "10%").expect("a share");
    budget.set("memory", "1MiB").expect("a size");
    host.run(&version, vec!["dice".into()], Stdin::Bytes(Vec::new()), budget, Grants::default()).await
}

fn main() -> ExitCode {
    // Components are compiled in a child process: this program, started again.
    if let Some(code) = guest::enter() {
        return code;
    }
    let runtime = tokio::runtime::Runtime::new().expect("threads can be had");
    match runtime.block_on(play(Host::builder(), |sides| std::process::id() % sides + 1)) {
        Ok(finished) => {
            println!("{:?}, after {:?} of CPU time", finished.outcome, finished.receipt.cpu);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use guest::Compiler;

    async fn code(roll: fn(u32) -> u32) -> i32 {
        let cache = tempfile::tempdir().expect("a folder");
        let builder = Host::builder().compiler(Compiler::InProcess).cache(cache.path().join("native"));
        play(builder, roll).await.expect("it is run").outcome.expect("it ends")
    }

    #[tokio::test]
    async fn a_guest_rolls_the_dice_that_it_is_given() {
        assert_eq!(code(|sides| sides).await, 0);
        assert_eq!(code(|_| 1).await, 1);
    }
}
