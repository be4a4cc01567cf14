//! Messages between the agents of this village and those of others, and from here to agents elsewhere or by skill.

use crate::error::Error;
use crate::letter::{Came, Letter};
use crate::ring::millis;
use crate::village::Village;
use guest::{Chunk, Elsewhere, Failed, SKILL, Unanswered};
use mesh::Ask;
use std::pin::pin;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How long somebody outside waits for an answer of another village.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

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

/// Where a message goes that is for no agent of this village by its name.
pub(crate) enum Way<'a> {
    /// To an agent of another village.
    Village,
    /// To whoever has a skill.
    Skill(&'a str),
}

/// Whether an address is none of this village's agents.
pub(crate) fn way(address: &str) -> Option<Way<'_>> {
    match address.strip_prefix(SKILL) {
        Some(skill) => Some(Way::Skill(skill)),
        None => address.contains('@').then_some(Way::Village),
    }
}

impl Village {
    /// Asks an agent of another village, or whoever has a skill, and waits for the answer.
    pub(crate) async fn ask_abroad(
        &self,
        way: Way<'_>,
        address: &str,
        letter: Letter,
        patience: Duration,
        hear: Hear<'_>,
    ) -> Result<Came, Error> {
        self.open()?;
        plain(&letter)?;
        match way {
            Way::Village => self.try_elsewhere(address, letter, patience, hear).await.map_err(|(error, _)| error),
            Way::Skill(skill) => self.ask_skill(skill, address, letter, patience, hear).await,
        }
    }

    /// Asks an agent of another village. Of a failure it is said whether it is certain that nothing was handled.
    async fn try_elsewhere(
        &self,
        address: &str,
        letter: Letter,
        patience: Duration,
        hear: Hear<'_>,
    ) -> Result<Came, (Error, bool)> {
        let id = self.id();
        // Nobody could hear its parts a second time.
        let fast = letter.fast || hear.is_some();
        let message = letter.message(if fast { String::new() } else { id.clone() }, millis());
        let (parts, mut heard) = mpsc::unbounded_channel();
        let parts = hear.is_some().then_some(parts);
        let mut asked = pin!(self.host().ask_elsewhere(address, message, patience, parts));
        let answer = loop {
            tokio::select! {
                biased;
                Some(part) = heard.recv() => told(hear, part),
                answer = &mut asked => break answer,
            }
        };
        while let Ok(part) = heard.try_recv() {
            told(hear, part);
        }
        let outcome = match answer {
            Ok(payload) => Ok(payload),
            Err(Unanswered { error: Elsewhere::Failed(failure), .. }) => Err(Failed::Failed(failure)),
            Err(Unanswered { error, untouched }) => return Err((said_of(address, error), untouched)),
        };
        Ok(Came { id, outcome, receipt: Default::default(), repeated: false })
    }

    /// Asks the best that is known to have a skill, and the next one if it is certain that the one before did not handle it.
    async fn ask_skill(
        &self,
        skill: &str,
        address: &str,
        mut letter: Letter,
        patience: Duration,
        hear: Hear<'_>,
    ) -> Result<Came, Error> {
        if skill.is_empty() {
            return Err(Error::Bad(format!("which skill? Write {SKILL}NAME")));
        }
        self.linked()?;
        if letter.skill.is_empty() {
            letter.skill = skill.into();
        }
        let until = Instant::now() + patience;
        let all = self.host().skilled(skill).await.map_err(|error| said_of(address, error))?;
        let (count, mut last) = (all.len(), Error::Late(patience));
        for (n, one) in all.into_iter().enumerate() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let tried = match way(&one) {
                // Time for each that is left, so that one that is gone does not use up all of it.
                Some(_) => self.try_elsewhere(&one, letter.clone(), left / (count - n) as u32, hear).await,
                None => self.ask_here(&one, letter.clone(), hear).await.map_err(|error| {
                    let untouched = was_not_accepted(&error);
                    (error, untouched)
                }),
            };
            match tried {
                Err((error, true)) => last = error,
                Err((error, false)) => return Err(error),
                Ok(came) => return Ok(came),
            }
        }
        Err(last)
    }

    async fn ask_here(&self, name: &str, letter: Letter, hear: Hear<'_>) -> Result<Came, Error> {
        match hear {
            Some(hear) => {
                // Whoever hears it may have gone.
                let hear = |part| drop(hear.send(part));
                Box::pin(self.listen(name, letter, hear)).await
            }
            None => Box::pin(self.ask(name, letter)).await,
        }
    }

    /// Keeps a message for an agent of another village, to which it is brought as soon as that can be reached.
    pub(crate) async fn tell_abroad(&self, way: Way<'_>, address: &str, letter: Letter) -> Result<String, Error> {
        self.open()?;
        if let Way::Skill(_) = way {
            return Err(Error::Bad("a skill is asked; what is told has one receiver".into()));
        }
        plain(&letter)?;
        let message = letter.message(String::new(), millis());
        self.host().tell_elsewhere(address, message).await.map_err(|error| said_of(address, error))
    }
}

/// Who hears the parts of a reply, if anybody does.
pub(crate) type Hear<'a> = Option<&'a mpsc::UnboundedSender<Vec<u8>>>;

fn told(hear: Hear<'_>, part: Chunk) {
    if let Some(hear) = hear {
        // Whoever hears it may have gone.
        let _ = hear.send(part.bytes);
    }
}

fn said_of(address: &str, error: Elsewhere) -> Error {
    Error::Elsewhere { address: address.into(), error: Box::new(error) }
}

/// Whether an agent of this village has not accepted a message, so that another one may be asked.
fn was_not_accepted(error: &Error) -> bool {
    matches!(error, Error::Unknown { .. } | Error::Stopped { .. } | Error::Asleep { .. } | Error::Refused(_))
}

/// What is known here by keys, numbers and timers is of agents of this village.
fn plain(letter: &Letter) -> Result<(), Error> {
    let said = "a message to another village, or to a skill, has no `key`, no `sequence` and no time to wait for: it is \
                brought there once anyway";
    match letter.key.is_some() || letter.sequence.is_some() || letter.due.is_some() {
        true => Err(Error::Bad(said.into())),
        false => Ok(()),
    }
}
