//! From a component and what it may use to an agent of the village.

use crate::error::Error;
use crate::event::What;
use crate::registry::{Note, Registration, Wanted, kept};
use crate::resident::Resident;
use crate::ring::millis;
use crate::village::Village;
use base::{Budget, Digest};
use guest::replicas::Bounds;
use guest::{Grants, Kind, Manifest, Replicas, Supervision, Turns, Version};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use store::Change;

/// What is to become an agent.
#[derive(Debug, Clone, Default)]
pub struct Deployment {
    /// Its name: the manifest's, or else what the agent calls itself, unless it is said.
    pub name: Option<String>,
    /// The digest of a component that was uploaded.
    pub digest: Option<Digest>,
    /// The text of an `agent.toml`, and where it lies: what it names is relative to that.
    pub manifest: Option<(String, PathBuf)>,
    /// Fields of its budget, over the manifest's.
    pub budget: Vec<(String, String)>,
    /// Grants, beside the manifest's.
    pub grants: Vec<String>,
    /// The group that it shares a budget with.
    pub group: Option<String>,
    /// Fields of its `[turns]`, over the manifest's.
    pub turns: Vec<(String, String)>,
    /// How many instances serve its mailbox, over the manifest's.
    pub replicas: Bounds,
}

impl Village {
    /// Makes an agent of a component that was uploaded. It is loaded and asked what it is, under its own budget, so that
    /// what can't serve is refused here; after that it sleeps until a message comes for it.
    pub async fn deploy(&self, deployment: Deployment) -> Result<Registration, Error> {
        self.open()?;
        let Deployment { name, digest, manifest, budget: fields, grants: more, group, turns, replicas } = deployment;
        let manifest = match manifest {
            Some((text, path)) => {
                let read = Manifest::parse_over(&text, &path, self.defaults());
                Some(read.map_err(|error| Error::Bad(error.to_string()))?)
            }
            None => None,
        };
        let digest = digest.ok_or_else(|| Error::Bad("which component? Name one that was uploaded".into()))?;
        let mut budget = manifest.as_ref().map_or_else(|| self.defaults(), |manifest| manifest.budget);
        for (field, text) in &fields {
            budget.set(field, text)?;
        }
        let mut grants = manifest.as_ref().map(|manifest| manifest.grants.clone()).unwrap_or_default();
        for text in &more {
            grants.open(text)?;
        }
        let share = manifest.as_ref().is_none_or(|manifest| manifest.share);
        let looks_after = manifest.as_ref().and_then(|manifest| manifest.supervision);
        let own = manifest.as_ref().map(|manifest| (manifest.turns, manifest.replicas)).unwrap_or_default();
        let turns = own.0.with(turns.iter().map(|(field, text)| (field.as_str(), text.as_str())))?;
        let replicas = replicas.over(own.1)?;
        // From here until its row names it.
        let _held = self.hold(digest).await;
        let version = self.version(digest).await?;
        let called = self.probe(&version, budget, grants.clone(), group.as_deref(), replicas).await?;
        let name = name.or_else(|| manifest.map(|manifest| manifest.name)).unwrap_or(called);
        named(&name)?;
        let row = Registration {
            name,
            digest: digest.to_string(),
            budget: kept(&budget),
            grants: absolute(grants).texts(),
            group,
            wanted: Wanted::Running,
            deployed: millis(),
            since: millis(),
            before: Vec::new(),
        };
        self.register(row, looks_after, turns, replicas, share).await
    }

    /// Asks it what it is, under the budget that it will have; answers its name.
    async fn probe(
        &self,
        version: &Version,
        budget: Budget,
        grants: Grants,
        group: Option<&str>,
        replicas: Replicas,
    ) -> Result<String, Error> {
        if version.kind() == Kind::Command {
            let text = "it is a command, which runs once: `village run` runs it; an agent handles messages";
            return Err(Error::Load { kind: "invalid-component", text: text.into() });
        }
        let group = self.group(group)?;
        let agent = self.host().start(version, budget, grants, group)?;
        let card = agent.describe().await?;
        if replicas.max > 1 && card.is_ok() {
            agent.may_have_replicas().await?;
        }
        card.map(|card| card.name).map_err(|fault| Error::Load { kind: fault.kind(), text: fault.to_string() })
    }

    async fn register(
        &self,
        row: Registration,
        plan: Option<Supervision>,
        turns: Turns,
        replicas: Replicas,
        share: bool,
    ) -> Result<Registration, Error> {
        let _coming = self.take_name(&row.name)?;
        let note = Note::new("deployed", json!({ "digest": row.digest, "grants": row.grants, "group": row.group }));
        let kept = async {
            self.enrol_with(&row, turns, replicas).await?;
            let more = |change: &mut Change| {
                self.host().supervise_with(&row.name, plan, change);
                crate::turns::keep(&row.name, &turns, change);
                crate::replicas::keep(&row.name, replicas, change);
                crate::share::keep(&row.name, share, change);
            };
            self.registry().put_with(&row, note, more).await
        };
        if let Err(error) = kept.await {
            self.host().disown(&row.name);
            return Err(error);
        }
        self.settle(Resident::new(&row.name, row.wanted));
        self.tell_of(&row.name, What::Deployed { digest: row.digest.clone() });
        if !share {
            // Others could have had it until now.
            self.take_back().await?;
        }
        Ok(row)
    }

    /// Removes an agent, in the midst of a turn if need be.
    pub async fn remove(&self, name: &str) -> Result<(), Error> {
        let resident = self.resident(name)?;
        let _changing = resident.changing.lock().await;
        // Somebody else may have removed it meanwhile, and deployed another.
        if !Arc::ptr_eq(&self.resident(name)?, &resident) {
            return Err(Error::Unknown { name: name.into(), nearest: None });
        }
        // Nothing may be kept of it any more once what is kept is gone.
        self.end(&resident).await;
        let mut told = None;
        let gone = self.registry().remove(name, Note::new("removed", Value::Null), |change| {
            self.host().forget(name, change);
            told = Some(self.host().tell_removed(name, change));
            crate::turns::forget(name, change);
            crate::replicas::forget(name, change);
            crate::share::forget(name, change);
        });
        if let Err(error) = gone.await {
            // It is there as before.
            self.enrol(&self.row(name)?).await?;
            return Err(error);
        }
        if let Some(told) = told {
            told();
        }
        resident.remove();
        self.unsettle(name);
        self.tell_of(name, What::Removed);
        self.sweep().await
    }
}

/// Checks a name: what can stand in a manifest.
pub(crate) fn named(name: &str) -> Result<(), Error> {
    let good = (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    match good {
        true => Ok(()),
        false => Err(Error::Bad(format!("`{name}` is no name: use 1 to 64 letters, digits and hyphens"))),
    }
}

/// Folders by paths that mean the same wherever the village is started next time.
pub(crate) fn absolute(mut grants: Grants) -> Grants {
    for folder in &mut grants.files {
        if let Ok(path) = std::path::absolute(&folder.host) {
            folder.host = path;
        }
    }
    grants
}
