//! Whole villages that know each other, in one process: each with its hall, its store, its agents and its mesh.

use crate::Error;
use crate::village::ECHO;
use ::mesh::{Mesh, Message, Settings};
use guest::{Compiler, Host, Payload, Pool};
use hall::{Deployment, Letter, Options, Village};
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::task::JoinHandle;

const ASKER: &[u8] = include_bytes!("../../guests/asker.wasm");

/// So that no allowance is what is measured.
const LIMITS: [(&str, &str); 5] =
    [("cpu", "100%"), ("burst", "10s"), ("messages", "1000000/s"), ("mesh", "1GiB/s"), ("deadline", "120s")];

/// The longest that anything here takes, unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// A village that listens here, for so many agents, which keeps what it compiles in a folder.
pub(super) async fn village(folder: &Path, cache: &Path, slots: u32, settings: Settings) -> Result<Village, Error> {
    let builder = Host::builder().pool(Pool::Slots(slots)).cache(cache).workers(NonZeroUsize::MIN);
    let builder = builder.compiler(Compiler::ThisProgram);
    let options = Options { data: folder.into(), mesh: Some(settings), ..Options::default() };
    Ok(Village::begin(builder, options).await?)
}

/// The mesh of a village that has one.
pub(super) fn mesh(village: &Village) -> Result<&Mesh, Error> {
    village.mesh().ok_or_else(|| "the village has a mesh".into())
}

/// Settings under which what one member may send is not what is measured.
pub(super) fn settings(listen: &str) -> Result<Settings, Error> {
    let mut settings = Settings::new("");
    settings.listen = vec![listen.parse()?];
    settings.rate.messages = 1 << 20;
    settings.rate.bytes = u32::MAX;
    settings.blob_rate = 1 << 40;
    Ok(settings)
}

/// Deploys an agent.
pub(super) async fn deploy(village: &Village, name: &str, component: &[u8], grants: &[&str]) -> Result<(), Error> {
    let digest = village.upload(component.to_vec()).await?.digest.parse()?;
    let deployment = Deployment {
        name: Some(name.into()),
        digest: Some(digest),
        budget: LIMITS.map(|(field, value)| (field.into(), value.into())).into(),
        grants: grants.iter().map(|grant| grant.to_string()).collect(),
        ..Deployment::default()
    };
    village.deploy(deployment).await?;
    Ok(())
}

/// Waits until it is so.
pub(super) async fn until<F: Future<Output = Result<bool, Error>>>(
    what: &str,
    mut so: impl FnMut() -> F,
) -> Result<(), Error> {
    let begun = Instant::now();
    while !so().await? {
        if begun.elapsed() > PATIENCE {
            return Err(format!("not within {PATIENCE:?}: {what}").into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// One village whose agent asks, and one whose agent answers.
pub(super) struct Pair {
    pub(super) asking: Village,
    pub(super) answering: Village,
    /// Whom to ask.
    echo: String,
    pub(super) folder: TempDir,
}

impl Pair {
    pub(super) async fn new(listen: &str) -> Result<Pair, Error> {
        let folder = tempfile::tempdir()?;
        let cache = folder.path().join("native");
        let open = |name: &str| village_in(folder.path().join(name), cache.clone(), listen);
        let (asking, answering) = (open("asking").await?, open("answering").await?);
        deploy(&asking, "asker", ASKER, &["clock", "agents=*@*"]).await?;
        deploy(&answering, "echo", ECHO, &["public"]).await?;
        let invitation = mesh(&answering)?.invite(1, PATIENCE).await?;
        mesh(&asking)?.join(&invitation).await?;
        let echo = format!("echo@{}", mesh(&answering)?.peer());
        let pair = Pair { asking, answering, echo, folder };
        // Each hears of the other a moment after it has joined, and agents are made when they are first asked.
        until("an agent has its answer", || async { Ok(pair.asks(1, 1, true).await.is_ok()) }).await?;
        Ok(pair)
    }

    /// Nanoseconds of each of so many asks of one agent, so many of them under way at once: by that agent's clock, from before it
    /// asks until it has the answer. A fast turn's asks are kept by nobody, another's are.
    pub(super) async fn asks(&self, times: usize, together: usize, fast: bool) -> Result<Vec<f64>, Error> {
        let order =
            serde_json::json!({ "to": self.echo, "times": times, "together": together, "bytes": super::bare::BYTES });
        let payload = Payload { content_type: "application/json".into(), body: order.to_string().into_bytes() };
        let mut letter = Letter::new("ask", payload);
        letter.fast = fast;
        let reply = self.asking.ask("asker", letter).await?.outcome?;
        let took: Vec<f64> = serde_json::from_slice(&reply.body)?;
        match took.len() == times {
            true => Ok(took),
            false => Err(format!("{} of {times} asks were answered", took.len()).into()),
        }
    }

    pub(super) async fn close(self) -> Result<(), Error> {
        for village in [self.asking, self.answering] {
            village.stop(Duration::from_secs(5)).await;
            village.close().await?;
        }
        Ok(())
    }
}

/// The same way without villages and agents: two meshes, of which one sends back what the other asks.
pub(super) struct Peers {
    asking: Mesh,
    answering: Mesh,
    serving: JoinHandle<()>,
    _folder: TempDir,
}

impl Peers {
    pub(super) async fn new(listen: &str) -> Result<Peers, Error> {
        let folder = tempfile::tempdir()?;
        let of = |name: &str| -> Result<Settings, Error> {
            let place = Settings::new(folder.path().join(name));
            Ok(Settings { folder: place.folder, blobs: place.blobs, ..settings(listen)? })
        };
        let (asking, _) = Mesh::start(of("asking")?).await?;
        let (answering, mut asks) = Mesh::start(of("answering")?).await?;
        asking.join(&answering.invite(1, PATIENCE).await?).await?;
        let serving = tokio::spawn(async move {
            while let Some(mut ask) = asks.next().await {
                let body = std::mem::take(&mut ask.frame.body);
                // Who has gone does not want it.
                drop(ask.answer(body));
            }
        });
        Ok(Peers { asking, answering, serving, _folder: folder })
    }

    /// Nanoseconds of each of so many asks.
    pub(super) async fn asks(&self, times: usize) -> Result<Vec<f64>, Error> {
        let (mesh, to) = (self.asking.clone(), self.answering.peer());
        let asking = tokio::spawn(async move {
            let mut took = Vec::with_capacity(times);
            for _ in 0..times {
                let message = Message::new("echo", vec![1; super::bare::BYTES]);
                let begun = Instant::now();
                mesh.ask(to, message).await?;
                took.push(begun.elapsed().as_nanos() as f64);
            }
            Ok::<_, Error>(took)
        });
        asking.await?
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn village_in(folder: std::path::PathBuf, cache: std::path::PathBuf, listen: &str) -> Result<Village, Error> {
    village(&folder, &cache, 8, settings(listen)?).await
}
