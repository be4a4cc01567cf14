//! The village among others: the mesh is started with it, and what other villages ask is answered one by one.

use crate::error::Error;
use crate::village::Village;
use mesh::{Ask, Asks, Mesh, Settings};
use std::path::Path;
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
    let folder = data.join(FOLDER);
    let (mesh, asks) = Mesh::start(Settings { blobs: folder.join(BLOBS), folder, ..settings }).await?;
    Ok((Some(mesh), Some(asks)))
}

impl Village {
    /// Answers what other villages ask, until the mesh has stopped or the village is gone.
    pub(crate) fn answer_peers(&self, mut asks: Asks) {
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
    crate::callers::received(village, ask).await;
}
