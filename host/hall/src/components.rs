//! Components that the village keeps: uploaded, loaded once, and let go when nobody is made of them.

use crate::error::Error;
use crate::holds::Hold;
use crate::village::Village;
use base::Digest;
use guest::Shape;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// A component that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uploaded {
    /// Its digest.
    pub digest: String,
    /// Its bytes.
    pub size: u64,
}

/// A component has no more bytes than this.
pub(crate) const LARGEST: usize = 256 << 20;

impl Village {
    /// Keeps a component, for an agent that is deployed soon.
    pub async fn upload(&self, bytes: Vec<u8>) -> Result<Uploaded, Error> {
        self.open()?;
        if bytes.len() > LARGEST {
            let most = base::Size::bytes(LARGEST as u64);
            return Err(Error::Bad(format!("the component is larger than {most}")));
        }
        Shape::read(&bytes).map_err(|error| Error::Load { kind: error.kind(), text: error.to_string() })?;
        let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
        let held = self.hold(digest).await;
        self.registry().keep(digest, bytes).await?;
        self.spare(held).await?;
        Ok(Uploaded { digest: digest.to_string(), size })
    }

    /// Keeps a component that is held for a while longer.
    pub(crate) async fn spare(&self, held: Hold) -> Result<(), Error> {
        let less = self.holds().uploaded(held.digest(), Instant::now());
        drop(held);
        if less {
            self.sweep().await?;
        }
        Ok(())
    }

    /// Keeps a component from being swept away as long as the answer is there: for whoever is about to name it in a row.
    pub(crate) async fn hold(&self, digest: Digest) -> Hold {
        self.holds().hold(digest).await
    }

    /// Lets go what nobody is made of: components, and versions in memory.
    pub(crate) async fn sweep(&self) -> Result<(), Error> {
        let _one = self.sweeping().lock().await;
        let registry = self.registry();
        let (there, named) = (registry.components()?, registry.named()?);
        let going = self.holds().go(there.into_iter().filter(|digest| !named.contains(digest)));
        if !going.digests.is_empty() {
            // Whoever held one of them before that has written its row by now, or does without it.
            let named = registry.named()?;
            for digest in going.digests.iter().filter(|digest| !named.contains(*digest)) {
                registry.lose(digest).await?;
            }
        }
        drop(going);
        self.loaded().lock().retain(|digest, _| registry.has(digest).unwrap_or(true));
        self.take_back().await
    }
}
