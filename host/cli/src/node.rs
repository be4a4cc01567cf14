//! One node: the threads for input and output, and the host on them.

use crate::problem::Problem;
use guest::{Builder, Host};

/// Makes a host, and does `work` with it.
pub(crate) fn with<O>(builder: Builder, work: impl AsyncFnOnce(&Host) -> Result<O, Problem>) -> Result<O, Problem> {
    // Guests have threads of their own; one for input and output is enough beside this one.
    let io = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("io")
        .enable_all()
        .build()
        .map_err(|error| Problem::new("internal", format!("no threads can be had: {error}")))?;
    let done = io.block_on(async {
        let host = builder.build()?;
        work(&host).await
    });
    // A thread that waits for the standard input must not keep the program from ending.
    io.shutdown_background();
    done
}

/// Does `work` that only asks others.
pub(crate) fn asking<O>(work: impl AsyncFnOnce() -> Result<O, Problem>) -> Result<O, Problem> {
    let io = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Problem::new("internal", format!("no threads can be had: {error}")))?;
    let done = io.block_on(work());
    io.shutdown_background();
    done
}

/// Makes a host that stays, and hands it to `work`.
pub(crate) fn serving<O>(builder: Builder, work: impl AsyncFnOnce(Host) -> Result<O, Problem>) -> Result<O, Problem> {
    let io = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("io")
        .enable_all()
        .build()
        .map_err(|error| Problem::new("internal", format!("no threads can be had: {error}")))?;
    let done = io.block_on(work());
    // What still waits for somebody outside must not keep the program from ending.
    io.shutdown_background();
    done
}
