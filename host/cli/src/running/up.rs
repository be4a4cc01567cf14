//! `village up`: a village, until somebody ends it.

use super::reach::{announce, data, retract};
use super::signals::Signals;
use crate::arguments::Up;
use crate::problem::Problem;
use crate::source::Source;
use crate::{node, print, settings, weights};
use api::{Server, Settings, Token};
use guest::Host;
use hall::{Config, Deployment, MeshConfig, MeshFigures, Options, Village, Wish};
use serde_json::json;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Where it listens, unless it is said.
const LISTEN: &str = "127.0.0.1:7420";

/// How long turns may take to end, unless it is said.
const STOP_WITHIN: Duration = Duration::from_secs(30);

pub(crate) fn up(options: &Up, json: bool) -> Result<ExitCode, Problem> {
    let config = config(options)?;
    let listen = options.listen.as_deref().or(config.listen.as_deref()).unwrap_or(LISTEN);
    let Some(address) = guest::listen_address(listen) else {
        let said = format!("`{listen}` is no address to listen at: write a port, or ADDRESS:PORT such as {LISTEN}");
        return Err(Problem::usage(said));
    };
    let within = match &options.stop_within {
        Some(text) => base::span(text).map_err(|bad| Problem::usage(format!("--stop-within: {bad}")))?,
        None => config.stop_within.unwrap_or(STOP_WITHIN),
    };
    let data = data(options.data.as_deref().or(config.data.as_deref()))?;
    let settings = Settings { address, open: options.open };
    let mesh = mesh(options, &config)?;
    node::serving(async || {
        let mut signals = Signals::new();
        let village = Options {
            data: data.clone(),
            groups: config.groups.clone(),
            supervised: config.supervised.clone(),
            budget: config.budget,
            journal: config.journal.clone(),
            mesh: mesh.as_ref().map(MeshConfig::settings),
            terms: mesh.as_ref().map(MeshConfig::terms).unwrap_or_default(),
            models: config.models.clone(),
            embedder: config.embedder.clone(),
        };
        let host = Host::builder().device(|| weights::choice::device(kernels::Kind::Search));
        let village = Village::begin(host, village).await?;
        let (token, new) = Token::open(&data)?;
        // Listened at before agents are deployed: a port that is taken is said at once.
        let server = Server::bind(village.clone(), token.clone(), &settings).await?;
        for wish in &config.agents {
            grant(&village, wish).await?;
        }
        announce(&data, server.address())?;
        let mesh = if village.mesh().is_some() { Some(village.mesh_figures().await?) } else { None };
        say(&village, &server, &data, new.then_some(&token), mesh.as_ref(), json);
        let left = serve(&village, server, &mut signals, within, json).await;
        village.close().await?;
        retract(&data);
        ended(left, json);
        Ok(if left == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

fn config(options: &Up) -> Result<Config, Problem> {
    Ok(settings::config(options.config.as_deref(), Path::new(""))?.unwrap_or_default())
}

/// How it meets other villages, if it does.
fn mesh(options: &Up, config: &Config) -> Result<Option<MeshConfig>, Problem> {
    let Some(address) = &options.mesh else { return Ok(config.mesh.clone()) };
    let mut mesh = config.mesh.clone().unwrap_or_default();
    if let Some(address) = address {
        mesh.listen = MeshConfig::listen(address).map_err(|bad| Problem::usage(format!("--mesh: {bad}")))?;
    }
    Ok(Some(mesh))
}

/// Deploys an agent that the settings name, unless there is one of its name.
async fn grant(village: &Village, wish: &Wish) -> Result<(), Problem> {
    let source = Source::open(Path::new(&wish.component), None)?;
    let name = wish.name.clone().or_else(|| source.name().map(Into::into));
    if let Some(name) = &name
        && village.details(name).is_ok()
    {
        return Ok(());
    }
    let manifest = source.manifest_text()?;
    let uploaded = village.upload(source.bytes).await.map_err(|error| named(error, &wish.component))?;
    let deployment = Deployment {
        name,
        digest: uploaded.digest.parse().ok(),
        manifest,
        budget: wish.budget.clone(),
        grants: wish.grants.clone(),
        group: wish.group.clone(),
        turns: wish.turns.clone(),
        replicas: wish.replicas,
    };
    match village.deploy(deployment).await {
        // One without a name in its settings or its manifest is known by what it calls itself.
        Ok(_) | Err(hall::Error::Exists { .. }) => Ok(()),
        Err(error) => Err(named(error, &wish.component)),
    }
}

fn named(error: hall::Error, component: &str) -> Problem {
    Problem::from(error).prefixed(&format!("{component}: "))
}

fn say(village: &Village, server: &Server, data: &Path, token: Option<&Token>, mesh: Option<&MeshFigures>, json: bool) {
    let (address, agents) = (server.address(), village.figures().agents.iter().map(|(_, count)| count).sum::<u64>());
    if json {
        let mut line = json!({
            "listening": format!("http://{address}"),
            "data": data.display().to_string(),
            "agents": agents,
        });
        if let Some(token) = token {
            line["token"] = token.text().into();
        }
        if let Some(mesh) = mesh {
            line["mesh"] = json!({ "peer": mesh.peer, "addresses": mesh.addresses, "members": mesh.members });
        }
        return print::json(&line);
    }
    print::err(&format!("village: {agents} agents, on http://{address}; Ctrl-C ends it"));
    print::err(&format!("village: data in {}", data.display()));
    if let Some(token) = token {
        print::err(&format!("village: the token is {}", token.text()));
        print::err("village: it stays in the file `token` of the data folder, and the commands read it there");
    }
    if let Some(MeshFigures { peer, addresses, members, .. }) = mesh {
        print::err(&format!("village: in the mesh it is {}, at {}", hall::short(peer), addresses.join(", ")));
        if *members == 0 {
            print::err("village: it knows no others: `village mesh invite` lets one in, `village mesh join` joins one");
        }
    }
    if !address.ip().is_loopback() {
        warn(address);
    }
}

fn warn(address: SocketAddr) {
    print::err(&format!("village: anybody who can reach {address} can read what is sent, the token included"));
}

/// Serves until it is to end, and then until what is under way has ended, or its time is over, or somebody insists.
/// Answers how many messages were under way then.
async fn serve(village: &Village, server: Server, signals: &mut Signals, within: Duration, json: bool) -> u64 {
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let serving = server.run(async move { drop(ended.await) });
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        () = &mut serving => {}
        () = signals.next() => {}
    }
    let under_way = village.figures().under_way;
    if under_way > 0 && !json {
        print::err(&format!("village: ending {under_way} messages first; once more ends it at once"));
    }
    let left = {
        let mut stopping = std::pin::pin!(village.stop(within));
        tokio::select! {
            left = &mut stopping => left,
            // It serves on, so that those who wait get their answers.
            () = &mut serving => stopping.await,
            () = signals.next() => village.figures().under_way,
        }
    };
    let _ = end.send(());
    serving.await;
    left
}

fn ended(left: u64, json: bool) {
    match (json, left) {
        (true, _) => print::json(&json!({ "stopped": true, "left": left })),
        (false, 0) => print::err("village: stopped"),
        (false, _) => print::err(&format!(
            "village: stopped, with {left} messages under way; what is kept of them goes on next time"
        )),
    }
}
