//! The village among others: the mesh is started with it, and what other villages ask is answered one by one.

mod fetched;
mod look;
mod membership;
mod own;
mod told;

pub use fetched::{Adopted, Adoption, Fetched};
pub use look::{LinkFigures, MeshFigures, PeerFigures};
pub use membership::{Invited, Joined};
pub use mesh::short;
pub use own::{Edge, Pinged, Topology};

use crate::error::Error;
use crate::village::Village;
use mesh::{Ask, Asks, Mesh, Settings};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::task::JoinSet;

/// Where the mesh keeps its keys and what it knows, in the data folder; and where what it hands out and fetches is.
const FOLDER: &str = "mesh";
const BLOBS: &str = "blobs";

/// What others ask that is answered at once; more waits in the mesh, which bounds it.
const AT_ONCE: usize = 256;

/// After how long others may ask again while this village stops.
const AGAIN: Duration = Duration::from_secs(1);

/// Starts the mesh, if there is to be one.
pub(crate) async fn begin(settings: Option<Settings>, data: &Path) -> Result<(Option<Mesh>, Option<Asks>), Error> {
    let Some(settings) = settings else { return Ok((None, None)) };
    let (folder, blobs) = (data.join(FOLDER), blobs(data));
    crate::folder::private(&folder).map_err(|error| Error::Kept(format!("{}: {error}", folder.display())))?;
    let started = Mesh::start(Settings { blobs, folder, ..settings }).await;
    let (mesh, asks) = started.map_err(|error| match error {
        mesh::Error::Setting { .. } => Error::Config(format!("the mesh: {error}")),
        error => error.into(),
    })?;
    Ok((Some(mesh), Some(asks)))
}

/// Where what the mesh hands out and fetches is.
fn blobs(data: &Path) -> PathBuf {
    data.join(FOLDER).join(BLOBS)
}

impl Village {
    /// Answers what other villages ask, until the mesh has stopped or the village is gone.
    pub(crate) fn answer_peers(&self, mut asks: Asks) {
        if let Some(mesh) = self.mesh() {
            self.tell_of_mesh(mesh);
        }
        let village = self.weakly();
        tokio::spawn(async move {
            let mut answering = JoinSet::new();
            while let Some(ask) = asks.next().await {
                while answering.len() >= AT_ONCE {
                    answering.join_next().await;
                }
                while answering.try_join_next().is_some() {}
                let Some(village) = village() else { return };
                match village.open() {
                    Ok(()) => drop(answering.spawn(async move { received(&village, ask).await })),
                    Err(_) => ask.busy(AGAIN),
                }
            }
        });
    }
}

/// Answers what another village asks.
async fn received(village: &Village, ask: Ask) {
    if ask.frame.to.starts_with(own::OWN) && !guest::ADDRESSES.contains(&ask.frame.to.as_str()) {
        return village.answer_village(ask).await;
    }
    crate::callers::received(village, ask).await;
}
