//! How many instances serve an agent's mailbox: `[replicas]` of `agent.toml`, and what `village scale` says.

use crate::agent::Agent;
use crate::grants::Grants;
use crate::host::Version;
use crate::house::{House, Row};
pub use agents::Replicas;
use agents::{MOST_REPLICAS, Refusal};
use runtime::Fault;
use std::sync::Arc;

/// The fields, as they are written.
pub const FIELDS: [&str; 2] = ["min", "max"];

/// Why an agent can't have replicas like these.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Not a number of replicas.
    #[error("replicas: `{field}` = {given} is not a whole number between 1 and {MOST_REPLICAS}")]
    Range {
        /// `min` or `max`.
        field: &'static str,
        /// What was written.
        given: String,
    },
    /// There would have to be more than there may be.
    #[error("replicas: `min` ({min}) is above `max` ({max})")]
    Order {
        /// The fewest.
        min: u32,
        /// The most.
        max: u32,
    },
    /// Its instances keep something that the others would not know.
    #[error(
        "the agent keeps memory between its turns, which another replica would not have: keep it in `state` instead"
    )]
    Memory,
    /// It creates agents.
    #[error("the agent may create agents (`spawn`), whose names its replicas would give twice")]
    Spawns,
    /// Nothing of it is kept.
    #[error("the agent's host keeps nothing, and replicas need a store")]
    Nowhere,
    /// A swap is under way.
    #[error("a swap of the agent is under way: wait for its end")]
    Swapping,
    /// Its instance can't be made.
    #[error(transparent)]
    Broke(#[from] Fault),
    /// It has stopped.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Reads one of both numbers.
pub fn number(field: &'static str, text: &str) -> Result<u32, Error> {
    let wrong = || Error::Range { field, given: text.into() };
    let number = text.trim().parse().map_err(|_| wrong())?;
    if (1..=MOST_REPLICAS).contains(&number) { Ok(number) } else { Err(wrong()) }
}

/// Checks both together.
pub fn checked(min: u32, max: u32) -> Result<Replicas, Error> {
    for (field, value) in [("min", min), ("max", max)] {
        number(field, &value.to_string())?;
    }
    match min <= max {
        true => Ok(Replicas { min, max }),
        false => Err(Error::Order { min, max }),
    }
}

/// How many there are to be, where somebody says so over what was said before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    /// The fewest.
    pub min: Option<u32>,
    /// The most.
    pub max: Option<u32>,
}

impl Bounds {
    /// Both numbers. With the fewest alone there may be as many as before, and at least as many as that.
    pub fn over(self, before: Replicas) -> Result<Replicas, Error> {
        let min = self.min.unwrap_or(before.min);
        checked(min, self.max.unwrap_or(before.max.max(min)))
    }
}

/// Whether an agent with these grants may have more than one.
pub(crate) fn allowed(grants: &Grants) -> Result<(), Error> {
    if grants.spawn { Err(Error::Spawns) } else { Ok(()) }
}

/// Where one more instance has its place, if there is any.
pub(crate) fn seat(
    house: Arc<House>,
    row: Arc<Row>,
    version: Version,
) -> Box<dyn Fn() -> Option<agents::Keep> + Send + Sync> {
    Box::new(move || {
        let seat = house.seats.clone().take(version.0.room()).ok()?;
        let keep: agents::Keep = Box::new(row.add(seat));
        Some(keep)
    })
}

impl Agent {
    /// Whether it may have more than one replica: its instance must keep nothing. Makes that, if there is none.
    pub async fn may_have_replicas(&self) -> Result<(), Error> {
        allowed(&self.standing.grants)?;
        match self.inner.keeps().await? {
            Ok(false) => Ok(()),
            Ok(true) => Err(Error::Memory),
            Err(fault) => Err(Error::Broke(crate::agent::explained(&self.standing.accounts, fault))),
        }
    }

    /// Changes how many instances serve its mailbox; they come and go while it runs. The same budget holds for all together.
    pub async fn scale(&self, replicas: Replicas) -> Result<(), Error> {
        let replicas = checked(replicas.min, replicas.max)?;
        if replicas.max > 1 {
            if self.standing.books.is_none() {
                return Err(Error::Nowhere);
            }
            let coming = |known: &agents::swap::Known| known.place == agents::swap::Place::Coming;
            if self.versions.list().iter().any(coming) {
                return Err(Error::Swapping);
            }
            if !self.inner.is_many() {
                self.may_have_replicas().await?;
            }
            self.standing.accounts.state.share();
        }
        Ok(self.inner.scale(replicas)?)
    }

    /// How many instances serve its mailbox now.
    pub fn replicas(&self) -> u32 {
        self.inner.replicas()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(min: u32, max: u32) -> String {
        checked(min, max).expect_err("it is refused").to_string()
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(checked(2, 16).expect("it is good"), Replicas { min: 2, max: 16 });
        assert_eq!(said(0, 2), "replicas: `min` = 0 is not a whole number between 1 and 16");
        assert_eq!(said(1, 17), "replicas: `max` = 17 is not a whole number between 1 and 16");
        assert_eq!(said(3, 2), "replicas: `min` (3) is above `max` (2)");
        let over = |min, max, before| Bounds { min, max }.over(before).map_err(|error| error.to_string());
        let (one, some) = (Replicas::default(), Replicas { min: 2, max: 4 });
        for (min, max, before, wanted) in [
            (None, None, some, (2, 4)),
            (Some(3), None, one, (3, 3)),
            (Some(3), None, some, (3, 4)),
            (None, Some(3), one, (1, 3)),
            (Some(1), Some(1), some, (1, 1)),
        ] {
            assert_eq!(over(min, max, before), Ok(Replicas { min: wanted.0, max: wanted.1 }));
        }
        assert_eq!(over(None, Some(1), some), Err("replicas: `min` (2) is above `max` (1)".into()));
        assert!(number("max", "-1").is_err() && number("max", "many").is_err() && number("max", "2").is_ok());
    }
}
