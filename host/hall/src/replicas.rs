//! How many instances serve an agent's mailbox: kept beside its row, and changed while it runs.

use crate::error::Error;
use crate::event::What;
use crate::registry::{Note, Registry};
use crate::village::Village;
use agents::Scaled;
use guest::Replicas;
use guest::replicas::checked;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Change, Table};

/// The fewest and the most, by the agent's name; none of one that has one instance.
const REPLICAS: Table<String, (u32, u32)> = Table::new("replicas");

/// How many instances serve an agent's mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scale {
    /// Those that serve now.
    pub serving: u32,
    /// There are never fewer, if there is room for them.
    pub min: u32,
    /// There are never more.
    pub max: u32,
}

/// Adds to a change how many there may be.
pub(crate) fn keep(name: &str, replicas: Replicas, change: &mut Change) {
    match replicas == Replicas::default() {
        true => change.delete(&REPLICAS, name),
        false => change.put(&REPLICAS, name, &(replicas.min, replicas.max)),
    };
}

/// Adds to a change that nothing of it is kept any more.
pub(crate) fn forget(name: &str, change: &mut Change) {
    change.delete(&REPLICAS, name);
}

impl Registry {
    /// How many instances may serve an agent's mailbox.
    pub(crate) fn replicas(&self, name: &str) -> Result<Replicas, Error> {
        let Some((min, max)) = self.books().store().read().get(&REPLICAS, name)? else {
            return Ok(Replicas::default());
        };
        checked(min, max).map_err(|error| Error::Kept(format!("the agent `{name}`: {error}")))
    }
}

impl Village {
    /// Changes how many instances serve an agent's mailbox, now and after a restart: as many as are needed between both
    /// numbers.
    pub async fn scale(&self, name: &str, min: u32, max: u32) -> Result<(), Error> {
        self.open()?;
        let replicas = checked(min, max)?;
        let resident = self.resident(name)?;
        // Whether it keeps memory is asked of itself. One that is to have one instance need not be there.
        let agent = if max > 1 { Some(self.awake(&resident).await?) } else { self.present(name) };
        let _changing = resident.changing.lock().await;
        let (row, before) = (self.row(name)?, self.registry().replicas(name)?);
        if let Some(agent) = &agent {
            agent.scale(replicas).await?;
        }
        let note = Note::new("scaled", json!({ "min": min, "max": max }));
        if let Err(error) = self.registry().put_with(&row, note, |change| keep(name, replicas, change)).await {
            if let Some(agent) = &agent {
                // It may have ended.
                drop(agent.scale(before).await);
            }
            return Err(error);
        }
        self.host().change(name, |enrolment| enrolment.replicas = replicas);
        self.tell_of(name, What::Scaled { min, max });
        Ok(())
    }

    /// Tells when agents' replicas become more or fewer of their own accord, for as long as the village is there.
    pub(crate) fn hear_of_replicas(&self) {
        let (mut scaled, village) = (self.books().hear_scaled(), self.weakly());
        tokio::spawn(async move {
            while let Some(Scaled { agent, before, serving }) = scaled.recv().await {
                let Some(village) = village() else { return };
                village.tell_of(&agent, What::Replicas { before, serving });
            }
        });
    }

    /// How many there are, and may be.
    pub(crate) fn scale_of(&self, name: &str) -> Result<Scale, Error> {
        let Replicas { min, max } = self.registry().replicas(name)?;
        let serving = self.present(name).map_or(0, |agent| agent.replicas());
        Ok(Scale { serving, min, max })
    }
}
