//! Running a `wasi:cli` command: a program with arguments, input, output and an exit code, held to a budget like an agent.

use crate::accounts::Usage;
use crate::ctx::{Ctx, Program};
use crate::grants::Grants;
use crate::host::{Error, Host, Version};
use crate::imports::streams::{Input, Output};
use base::Budget;
use runtime::{Begin, Fault, Guest, Interrupted, Task, turn};
use std::sync::Arc;
use std::time::Duration;
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi::p2::pipe::MemoryInputPipe;

/// What a command reads.
pub enum Stdin {
    /// These bytes.
    Bytes(Vec<u8>),
    /// This process's own input, as the command asks for it.
    Host,
}

/// What came of a command.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code, or why it did not get that far.
    pub outcome: Result<i32, Fault>,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
    /// What it used.
    pub receipt: agents::Receipt,
    /// Every field of its budget, as it stood at the end.
    pub usage: Vec<Usage>,
}

impl Host {
    /// Runs a command to its end, or its deadline.
    pub async fn run(
        &self,
        version: &Version,
        arguments: Vec<String>,
        stdin: Stdin,
        budget: Budget,
        grants: Grants,
    ) -> Result<Finished, Error> {
        let seat = self.house().seats.clone().take(version.0.room())?;
        let standing = self.alone(budget, grants)?;
        let accounts = standing.accounts.clone();
        let full = |_| Fault::Memory { limit: budget.memory.get(), frames: Vec::new() };
        let input = match stdin {
            Stdin::Bytes(bytes) => Input::Bytes(MemoryInputPipe::new(bytes)),
            Stdin::Host => Input::Host,
        };
        let output = Output::kept(&accounts.memory).map_err(full)?;
        let errors = Output::kept(&accounts.memory).map_err(full)?;
        let program = Program { arguments, input, output: output.clone(), errors: errors.clone() };
        let ctx = Ctx::new(standing.clone(), version.clone(), &accounts.memory, Some(Arc::new(program)))?;
        let pre = CommandPre::new(version.0.pre().clone())
            .map_err(|error| runtime::Error::Unfit { problems: vec![format!("{error:#}")] })?;

        let (done, waiting) = tokio::sync::oneshot::channel();
        let task = self.workers().spawn(accounts.cpu.clone(), |task| async move {
            let turn = turn(&task, budget.deadline, 0, |until| execute(pre, ctx, until)).await;
            drop(done.send(turn));
        });
        // If nobody waits for it any more, it ends too.
        let task = Stop(task);
        let turn = waiting.await.map_err(|_| Fault::Stopped)?;
        while !task.0.ended() {
            // The last slice is charged right after the future has ended.
            tokio::task::yield_now().await;
        }
        standing.end();
        drop(seat);
        let [cpu, gpu] = [&accounts.cpu, &accounts.gpu].map(|account| Duration::from_nanos(account.used()));
        let tokens = accounts.tokens.used();
        let receipt = agents::Receipt { cpu, gpu, tokens, wall: turn.wall(), memory: accounts.memory.take_peak() };
        let outcome = match turn.outcome {
            Ok(outcome) => outcome,
            Err(Interrupted::Deadline) => Err(Fault::Deadline { limit: budget.deadline, ring: Vec::new() }),
            Err(Interrupted::Stopped) => Err(Fault::Stopped),
        };
        let usage = accounts.usage(receipt.wall);
        let redactor = &accounts.http.keys.redactor;
        let clean = |bytes: Vec<u8>| redactor.bytes(&bytes).into_owned();
        let (stdout, stderr) = (clean(output.take()), clean(errors.take()));
        Ok(Finished {
            outcome: outcome.map_err(|fault| fault.redacted(&mut |text| redactor.clean(text))),
            stdout,
            stderr,
            receipt,
            usage,
        })
    }
}

/// A command under way. Dropping this stops it.
struct Stop(Arc<Task>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

async fn execute(pre: CommandPre<Ctx>, mut ctx: Ctx, until: u64) -> Result<i32, Fault> {
    ctx.begin(Begin { message: None, again: false, until, chunks: None, leaving: None });
    let memory = ctx.limiter().memory().clone();
    let mut store = runtime::store(pre.engine(), ctx);
    let broke = |error: wasmtime::Error| match error.downcast_ref::<I32Exit>() {
        Some(exit) => Ok(exit.0),
        None => Err(runtime::fault(&memory, &error)),
    };
    let command = match pre.instantiate_async(&mut store).await {
        Ok(command) => command,
        Err(error) => return broke(error),
    };
    let code = match command.wasi_cli_run().call_run(&mut store).await {
        Ok(Ok(())) => 0,
        Ok(Err(())) => 1,
        Err(error) => broke(error)?,
    };
    if code == 0 {
        store.data_mut().commit();
    }
    Ok(code)
}
