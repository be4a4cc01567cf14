//! `village run --http`: a service, until somebody stops it.

use crate::problem::Problem;
use crate::run::{self, Job};
use crate::{json, print};
use guest::{Exchange, Host, Server};
use serde_json::json;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

/// How often lines of the log are shown that were written outside any request.
const PACE: Duration = Duration::from_millis(200);

impl Job<'_> {
    pub(crate) async fn serve(self, host: &Host, address: SocketAddr) -> Result<ExitCode, Problem> {
        let agent = host.start(self.version, self.budget, self.grants, None)?;
        agent.supervise(self.source.supervision());
        let listening = tokio::net::TcpListener::bind(address).await;
        let listener = listening.map_err(|error| Problem::new("listen", format!("{address}: {error}")))?;
        let bound = listener.local_addr().map_err(|error| Problem::new("listen", format!("{address}: {error}")))?;
        let as_json = self.json;
        let server = Server::new(agent, move |exchange| tell(exchange, as_json));
        match as_json {
            true => print::json(&json!({ "listening": format!("http://{bound}") })),
            false => print::err(&format!("village: listening on http://{bound}; Ctrl-C ends it")),
        }
        if !bound.ip().is_loopback() {
            print::err("village: anybody who can reach this machine can reach this address");
        }
        let serving = server.clone().run(listener, stopped());
        let mut serving = std::pin::pin!(serving);
        let mut pace = tokio::time::interval(PACE);
        loop {
            tokio::select! {
                () = &mut serving => break,
                _ = pace.tick() => log(&server, as_json),
            }
        }
        log(&server, as_json);
        Ok(ExitCode::SUCCESS)
    }
}

/// Ctrl-C, or the word of whoever started this program that it is to end.
async fn stopped() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut ended = signal(SignalKind::terminate()).ok();
        let ended = async {
            match &mut ended {
                Some(ended) => drop(ended.recv().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            () = ended => {}
        }
    }
    #[cfg(not(unix))]
    let _ = tokio::signal::ctrl_c().await;
}

fn tell(exchange: &Exchange, as_json: bool) {
    let Exchange { method, path, status, took, receipt, problem } = exchange;
    if !as_json {
        let why = problem.as_ref().map(|problem| format!(": {problem}")).unwrap_or_default();
        return print::err(&print::tame(&format!("{status} {method} {path} {:.1} ms{why}", json::ms(*took))));
    }
    let mut line = json!({
        "method": method,
        "path": path,
        "status": status,
        "took_ms": json::ms(*took),
        "usage": json::usage(receipt),
    });
    if let Some(problem) = problem {
        line["problem"] = problem.as_str().into();
    }
    print::json(&line);
}

fn log(server: &Server, as_json: bool) {
    let (lines, lost) = server.agent().log();
    match as_json {
        false => run::show(&lines, lost),
        true if lines.is_empty() => {}
        true => print::json(&json!({ "log": json::log(&lines), "log-lost": lost })),
    }
}
