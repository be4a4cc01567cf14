//! Messages between the agents of this village and those of others, and from here to agents elsewhere.

use crate::error::Error;
use crate::letter::{Came, Letter};
use crate::ring::millis;
use crate::village::Village;
use guest::{Elsewhere, Failed};
use mesh::Ask;
use std::time::Duration;

/// How long somebody outside waits for an answer of another village.
const PATIENCE: Duration = Duration::from_secs(600);

/// When an agent that was stopped may be asked again.
const STOPPED: Duration = Duration::from_secs(1);

/// Answers what another village says to an agent of this one, or asks it.
pub(crate) async fn received(village: &Village, ask: Ask) {
    let name = ask.frame.to.split('/').next().unwrap_or_default();
    // One that is stopped may be started again; one that is not known is refused.
    let stopped = village.resident(name).is_ok_and(|resident| matches!(resident.open(), Err(Error::Stopped { .. })));
    match stopped {
        true => ask.busy(STOPPED),
        false => village.host().received(ask).await,
    }
}

/// Whether an address is of another village.
pub(crate) fn is_elsewhere(address: &str) -> bool {
    address.contains('@')
}

impl Village {
    /// Asks an agent of another village, and waits for the answer.
    pub(crate) async fn ask_elsewhere(&self, address: &str, letter: Letter) -> Result<Came, Error> {
        self.open()?;
        plain(&letter)?;
        let id = self.id();
        let message = letter.clone().message(if letter.fast { String::new() } else { id.clone() }, millis());
        let outcome = match self.host().ask_elsewhere(address, message, PATIENCE).await {
            Ok(payload) => Ok(payload),
            Err(Elsewhere::Failed(failure)) => Err(Failed::Failed(failure)),
            Err(error) => return Err(Error::Elsewhere { address: address.into(), error: Box::new(error) }),
        };
        Ok(Came { id, outcome, receipt: Default::default(), repeated: false })
    }

    /// Keeps a message for an agent of another village, to which it is brought as soon as that can be reached.
    pub(crate) async fn tell_elsewhere(&self, address: &str, letter: Letter) -> Result<String, Error> {
        self.open()?;
        plain(&letter)?;
        let message = letter.message(String::new(), millis());
        let told = self.host().tell_elsewhere(address, message).await;
        told.map_err(|error| Error::Elsewhere { address: address.into(), error: Box::new(error) })
    }
}

/// What is known here by keys, numbers and timers is of agents of this village.
fn plain(letter: &Letter) -> Result<(), Error> {
    let said = "a message to another village has no `key`, no `sequence` and no time to wait for: it is brought there once anyway";
    match letter.key.is_some() || letter.sequence.is_some() || letter.due.is_some() {
        true => Err(Error::Bad(said.into())),
        false => Ok(()),
    }
}
